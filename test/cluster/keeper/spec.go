// Package keeper is the process that owns a test cluster. It claims a slot (a
// directory, subnets and names that no other cluster on the machine has), writes
// certificates and configuration, boots a node and starts etcd, the control plane
// and, where asked for, containerd, kubelet and kube-proxy on it. Tests talk to it
// over a socket in the slot's directory.
//
// A cluster lives as long as one of the processes that hold it; a keeper that
// waits for them to end takes the cluster down whatever became of them. The
// kernel ends the cluster with the keeper. What is left then (files, empty
// cgroups) is removed by whoever claims the slot next, or by Down.
package keeper

// Options say how a cluster differs from the usual one.
type Options struct {
	// Kubelet adds a node that runs pods: containerd, kubelet, kube-proxy, pod network.
	Kubelet bool
	// Kubeadm lays the cluster out as kubeadm does: the control plane in static pods, kube-proxy
	// in a DaemonSet, files and ConfigMaps where kubeadm has them. It implies Kubelet.
	Kubeadm bool
	// Flags are set over the usual ones, by program: kube-apiserver, kube-controller-manager,
	// kube-scheduler, etcd, kubelet, kube-proxy. A flag is named without dashes; Unset takes one away.
	Flags map[string]map[string]string
	// KubeletConfig is merged over the usual KubeletConfiguration (a null takes a field away).
	KubeletConfig map[string]any
	// ProxyConfig is merged over the usual KubeProxyConfiguration.
	ProxyConfig map[string]any
	// AuditPolicy is an audit policy file; the log is in Cluster.AuditLog.
	AuditPolicy string
	// Encryption is an EncryptionConfiguration file.
	Encryption string
	// Admission is an AdmissionConfiguration file.
	Admission string
	// Files are put into /etc/kubernetes, for flags to name. HostAddress in them is replaced.
	Files map[string]string
}

// HostAddress in Options.Files stands for State.HostAddress.
const HostAddress = "${HOST_ADDRESS}"

// Unset as the value of a flag takes the flag away.
const Unset = "\x00unset"

// Spec is everything a keeper needs to know.
type Spec struct {
	Options Options
	// Kube is the binary of test/cluster/kube.
	Kube string
	// Hold are processes that need the cluster. Without any it stays until it is closed.
	Hold []int
	// Key names a cluster that all with the same key share. One without waits for
	// its turn: the machine has only some of them at a time (see turns).
	Key string
}

// State is how a running cluster is reached. Paths are of the real machine.
type State struct {
	// Name is the node's, and of everything on the machine that belongs to the cluster.
	Name string `json:"name"`
	// Dir has the cluster's files: etc-kubernetes, log, audit.
	Dir string `json:"dir"`
	// URL is the API server's.
	URL string `json:"url"`
	// Address is the node's address, HostAddress the real machine's as the cluster sees it:
	// what tests serve for the cluster (webhooks) listens there.
	Address     string `json:"address"`
	HostAddress string `json:"hostAddress"`
	// NodePID is the init of the node.
	NodePID int `json:"nodePID"`
	// Kube is the binary of test/cluster/kube.
	Kube string `json:"kube"`
	// Key is Spec.Key.
	Key string `json:"key,omitempty"`
}

// Kubeconfig is the administrator's kubeconfig file.
func (s *State) Kubeconfig() string { return s.Dir + "/etc-kubernetes/admin.conf" }

// Containerd is the socket of the cluster's containerd.
func (s *State) Containerd() string { return s.Dir + "/run-containerd/containerd.sock" }

// AuditLog is the audit log file.
func (s *State) AuditLog() string { return s.Dir + "/audit/audit.log" }
