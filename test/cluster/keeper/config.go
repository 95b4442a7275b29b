//go:build linux

package keeper

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/seawall-security/seawall/test/cluster/pki"
)

// etc is the directory of configuration, as the programs see it.
const etc = "/etc/kubernetes"

const podImage = "seawall.test/pause:1"

// writeConfig writes everything the programs read: below dir/etc-kubernetes
// and dir/etc-cni, seen as /etc/kubernetes and /etc/cni/net.d on the node.
func (c *cluster) writeConfig() error {
	files, err := c.certificates()
	if err != nil {
		return err
	}
	options := c.spec.Options
	files["../var-lib-kubelet/config.yaml"] = asJSON(c.kubeletConfig())
	files["kube-proxy-config.yaml"] = asJSON(c.proxyConfig(etc + "/kube-proxy.conf"))
	files["resolv.conf"] = "nameserver " + c.slot.dnsService() + "\n"
	files["containerd.toml"] = fmt.Sprintf(containerdConfig, podImage)
	for name, content := range map[string]string{
		"audit-policy.yaml": options.AuditPolicy,
		"encryption.yaml":   options.Encryption,
		"admission.yaml":    options.Admission,
	} {
		if content != "" {
			files[name] = content
		}
	}
	if options.Kubeadm {
		maps.Copy(files, c.staticPods())
	}
	for name, content := range options.Files {
		files[name] = strings.ReplaceAll(content, HostAddress, c.slot.hostAddress())
	}
	for name, content := range files {
		if err := write(filepath.Join(c.slot.dir, "etc-kubernetes", name), content); err != nil {
			return err
		}
	}
	return write(filepath.Join(c.slot.dir, "etc-cni", "10-bridge.conflist"), asJSON(map[string]any{
		"cniVersion": "0.4.0", "name": "pods",
		"plugins": []any{
			map[string]any{
				"type": "bridge", "bridge": "cni0", "isGateway": true, "hairpinMode": true,
				"ipam": map[string]any{
					"type":   "host-local",
					"ranges": []any{[]any{map[string]any{"subnet": c.slot.pods()}}},
					"routes": []any{map[string]any{"dst": "0.0.0.0/0"}},
				},
			},
		},
	}))
}

func write(path, content string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, []byte(content), 0o600)
}

// asJSON writes what is made of maps, slices and plain values only.
func asJSON(v any) string {
	data, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		panic(err)
	}
	return string(data)
}

// certificates are the files kubeadm would make, with its names.
func (c *cluster) certificates() (map[string]string, error) {
	files := map[string]string{}
	authorities := map[string]*pki.Authority{}
	for path, name := range map[string]string{
		"pki/ca": "kubernetes", "pki/etcd/ca": "etcd-ca", "pki/front-proxy-ca": "front-proxy-ca",
	} {
		authority, err := pki.NewAuthority(name)
		if err != nil {
			return nil, err
		}
		authorities[path] = authority
		files[path+".crt"], files[path+".key"] = string(authority.CertPEM), string(authority.KeyPEM)
	}
	node, local := net.ParseIP(c.slot.nodeAddress()), net.IPv4(127, 0, 0, 1)
	for path, issued := range map[string]struct {
		by   string
		leaf pki.Leaf
	}{
		"pki/apiserver": {"pki/ca", pki.Leaf{
			CommonName: "kube-apiserver",
			Names:      []string{c.slot.name(), "localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"},
			Addresses:  []net.IP{node, local, net.ParseIP(c.slot.kubernetesService())},
		}},
		"pki/apiserver-kubelet-client": {"pki/ca", pki.Leaf{CommonName: "kube-apiserver-kubelet-client", Organizations: []string{"system:masters"}}},
		"pki/kubelet":                  {"pki/ca", pki.Leaf{CommonName: "system:node:" + c.slot.name(), Organizations: []string{"system:nodes"}, Names: []string{c.slot.name()}, Addresses: []net.IP{node}}},
		"pki/front-proxy-client":       {"pki/front-proxy-ca", pki.Leaf{CommonName: "front-proxy-client"}},
		"pki/etcd/server":              {"pki/etcd/ca", pki.Leaf{CommonName: c.slot.name(), Names: []string{"localhost"}, Addresses: []net.IP{node, local}}},
		"pki/etcd/peer":                {"pki/etcd/ca", pki.Leaf{CommonName: c.slot.name(), Names: []string{"localhost"}, Addresses: []net.IP{node, local}}},
		"pki/apiserver-etcd-client":    {"pki/etcd/ca", pki.Leaf{CommonName: "kube-apiserver-etcd-client"}},
	} {
		pair, err := authorities[issued.by].Issue(issued.leaf)
		if err != nil {
			return nil, err
		}
		files[path+".crt"], files[path+".key"] = string(pair.Cert), string(pair.Key)
	}
	admins := "system:masters"
	if c.spec.Options.Kubeadm {
		admins = "kubeadm:cluster-admins"
	}
	for file, user := range map[string]pki.Leaf{
		"admin.conf":              {CommonName: "kubernetes-admin", Organizations: []string{admins}},
		"super-admin.conf":        {CommonName: "kubernetes-super-admin", Organizations: []string{"system:masters"}},
		"controller-manager.conf": {CommonName: "system:kube-controller-manager"},
		"scheduler.conf":          {CommonName: "system:kube-scheduler"},
		"kube-proxy.conf":         {CommonName: "system:kube-proxy"},
		"kubelet.conf":            {CommonName: "system:node:" + c.slot.name(), Organizations: []string{"system:nodes"}},
	} {
		pair, err := authorities["pki/ca"].Issue(user)
		if err != nil {
			return nil, err
		}
		config, err := pki.Kubeconfig(c.url(), authorities["pki/ca"].CertPEM, pair)
		if err != nil {
			return nil, err
		}
		files[file] = string(config)
	}
	return files, serviceAccountKey(files)
}

// serviceAccountKey adds the pair that signs service account tokens.
func serviceAccountKey(files map[string]string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	private, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return err
	}
	public, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		return err
	}
	files["pki/sa.key"] = string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: private}))
	files["pki/sa.pub"] = string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public}))
	return nil
}

// flags are the usual flags of each program with those of the options over them.
func (c *cluster) flags(program string) []string {
	set := c.usualFlags(program)
	maps.Copy(set, c.spec.Options.Flags[program])
	var args []string
	for _, name := range slices.Sorted(maps.Keys(set)) {
		if set[name] != Unset {
			args = append(args, "--"+name+"="+set[name])
		}
	}
	return args
}

func (c *cluster) usualFlags(program string) map[string]string {
	switch program {
	case "etcd":
		return map[string]string{
			"name": c.slot.name(), "data-dir": "/var/lib/etcd", "unsafe-no-fsync": "true", "log-level": "warn",
			"advertise-client-urls":       "https://" + c.slot.nodeAddress() + ":2379",
			"listen-client-urls":          "https://127.0.0.1:2379,https://" + c.slot.nodeAddress() + ":2379",
			"initial-advertise-peer-urls": "https://127.0.0.1:2380", "listen-peer-urls": "https://127.0.0.1:2380",
			"initial-cluster": c.slot.name() + "=https://127.0.0.1:2380",
			"cert-file":       etc + "/pki/etcd/server.crt", "key-file": etc + "/pki/etcd/server.key",
			"client-cert-auth": "true", "trusted-ca-file": etc + "/pki/etcd/ca.crt",
			"peer-cert-file": etc + "/pki/etcd/peer.crt", "peer-key-file": etc + "/pki/etcd/peer.key",
			"peer-client-cert-auth": "true", "peer-trusted-ca-file": etc + "/pki/etcd/ca.crt",
		}
	case "kube-apiserver":
		return c.apiServerFlags()
	case "kube-controller-manager":
		return map[string]string{
			"allocate-node-cidrs": "true", "cluster-cidr": c.slot.pods(), "node-cidr-mask-size": "24",
			"service-cluster-ip-range":  c.slot.services(),
			"authentication-kubeconfig": etc + "/controller-manager.conf", "authorization-kubeconfig": etc + "/controller-manager.conf",
			"kubeconfig": etc + "/controller-manager.conf", "bind-address": "127.0.0.1",
			"client-ca-file": etc + "/pki/ca.crt", "root-ca-file": etc + "/pki/ca.crt",
			"requestheader-client-ca-file": etc + "/pki/front-proxy-ca.crt",
			"cluster-signing-cert-file":    etc + "/pki/ca.crt", "cluster-signing-key-file": etc + "/pki/ca.key",
			"service-account-private-key-file": etc + "/pki/sa.key", "use-service-account-credentials": "true",
			"leader-elect": "false",
		}
	case "kube-scheduler":
		return map[string]string{
			"authentication-kubeconfig": etc + "/scheduler.conf", "authorization-kubeconfig": etc + "/scheduler.conf",
			"kubeconfig": etc + "/scheduler.conf", "bind-address": "127.0.0.1", "leader-elect": "false",
		}
	case "kubelet":
		return map[string]string{"config": "/var/lib/kubelet/config.yaml", "kubeconfig": etc + "/kubelet.conf", "node-ip": c.slot.nodeAddress()}
	}
	return map[string]string{"config": etc + "/kube-proxy-config.yaml", "hostname-override": c.slot.name()}
}

func (c *cluster) apiServerFlags() map[string]string {
	flags := map[string]string{
		"advertise-address": c.slot.nodeAddress(), "secure-port": "6443",
		"allow-privileged": "true", "authorization-mode": "Node,RBAC", "enable-admission-plugins": "NodeRestriction",
		"client-ca-file": etc + "/pki/ca.crt", "tls-cert-file": etc + "/pki/apiserver.crt", "tls-private-key-file": etc + "/pki/apiserver.key",
		"etcd-servers": "https://127.0.0.1:2379", "etcd-cafile": etc + "/pki/etcd/ca.crt",
		"etcd-certfile": etc + "/pki/apiserver-etcd-client.crt", "etcd-keyfile": etc + "/pki/apiserver-etcd-client.key",
		"kubelet-client-certificate": etc + "/pki/apiserver-kubelet-client.crt", "kubelet-client-key": etc + "/pki/apiserver-kubelet-client.key",
		"kubelet-preferred-address-types": "InternalIP",
		"proxy-client-cert-file":          etc + "/pki/front-proxy-client.crt", "proxy-client-key-file": etc + "/pki/front-proxy-client.key",
		"requestheader-allowed-names": "front-proxy-client", "requestheader-client-ca-file": etc + "/pki/front-proxy-ca.crt",
		"requestheader-extra-headers-prefix": "X-Remote-Extra-", "requestheader-group-headers": "X-Remote-Group", "requestheader-username-headers": "X-Remote-User",
		"service-account-issuer": "https://kubernetes.default.svc.cluster.local", "service-account-key-file": etc + "/pki/sa.pub",
		"service-account-signing-key-file": etc + "/pki/sa.key", "service-cluster-ip-range": c.slot.services(),
	}
	options := c.spec.Options
	if options.AuditPolicy != "" {
		flags["audit-policy-file"] = etc + "/audit-policy.yaml"
		flags["audit-log-path"] = auditDir + "/audit.log"
	}
	if options.Encryption != "" {
		flags["encryption-provider-config"] = etc + "/encryption.yaml"
	}
	if options.Admission != "" {
		flags["admission-control-config-file"] = etc + "/admission.yaml"
	}
	return flags
}

func (c *cluster) kubeletConfig() map[string]any {
	config := map[string]any{
		"apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration",
		"authentication": map[string]any{
			"anonymous": map[string]any{"enabled": false}, "webhook": map[string]any{"enabled": true},
			"x509": map[string]any{"clientCAFile": etc + "/pki/ca.crt"},
		},
		"authorization": map[string]any{"mode": "Webhook"},
		"tlsCertFile":   etc + "/pki/kubelet.crt", "tlsPrivateKeyFile": etc + "/pki/kubelet.key",
		"containerRuntimeEndpoint": "unix:///run/containerd/containerd.sock",
		"clusterDNS":               []any{c.slot.dnsService()}, "clusterDomain": "cluster.local", "resolvConf": etc + "/resolv.conf",
		"staticPodPath": etc + "/manifests", "cgroupDriver": "cgroupfs", "failCgroupV1": false, "failSwapOn": false,
		// A test machine may be nearly full.
		"evictionHard":                map[string]any{"memory.available": "1Mi", "nodefs.available": "0%", "nodefs.inodesFree": "0%", "imagefs.available": "0%"},
		"imageGCHighThresholdPercent": 100, "imageGCLowThresholdPercent": 99,
		// Ready soon.
		"nodeStatusUpdateFrequency": "1s", "nodeStatusReportFrequency": "5m", "syncFrequency": "1s",
	}
	merge(config, c.spec.Options.KubeletConfig)
	return config
}

func (c *cluster) proxyConfig(kubeconfig string) map[string]any {
	config := map[string]any{
		"apiVersion": "kubeproxy.config.k8s.io/v1alpha1", "kind": "KubeProxyConfiguration",
		"mode": "nftables", "clusterCIDR": c.slot.pods(),
		"clientConnection": map[string]any{"kubeconfig": kubeconfig},
		// These are the real machine's.
		"conntrack": map[string]any{"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
	}
	merge(config, c.spec.Options.ProxyConfig)
	return config
}

// merge puts the fields of over into config, maps into maps; null takes a field away.
func merge(config, over map[string]any) {
	for key, value := range over {
		inner, isMap := value.(map[string]any)
		old, wasMap := config[key].(map[string]any)
		switch {
		case value == nil:
			delete(config, key)
		case isMap && wasMap:
			merge(old, inner)
		default:
			config[key] = value
		}
	}
}

// lastLines are the end of a log, for an error.
func lastLines(path string, n int) string {
	data, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	lines := bytes.Split(bytes.TrimSpace(data), []byte{'\n'})
	return string(bytes.Join(lines[max(0, len(lines)-n):], []byte{'\n'}))
}

// containerdConfig keeps to the standard paths, which are the node's own.
// restrict_oom_score_adj: not every test machine lets us lower a score.
const containerdConfig = `version = 2
disabled_plugins = ["io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.devmapper", "io.containerd.tracing.processor.v1.otlp", "io.containerd.internal.v1.tracing"]
[grpc]
  address = "/run/containerd/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = %q
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "/etc/cni/net.d"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
`
