// Package workload reads what matters for access from everything that runs pods:
// the account it runs as, whether its token is in the container, the node it is
// on, and what would let a shell in it become root on the node.
package workload

import (
	"cmp"
	"encoding/json"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/seawall-security/seawall/internal/detect/rbac/access"
	"github.com/seawall-security/seawall/internal/seawall"
)

// Workload is a pod, or what makes pods.
type Workload struct {
	access.Ref
	// Account is the service account its pods run as.
	Account access.Subject
	// Token: the account's token is mounted. PodSays: the pod's own field decided
	// it; Projected: one of its own volumes has the token, whatever fields say.
	Token, PodSays, Projected bool
	// Node is the node it is bound to; "" when not known.
	Node string
	// EveryNode: a DaemonSet that no selector or affinity keeps off nodes.
	EveryNode   bool
	tolerations []toleration
	// Host lists what makes a shell in it root on its node, with the field that says so.
	Host []Way
	// Secrets are the names of the Secrets it mounts or reads as environment.
	Secrets []string
	// Field is the path of its pod's specification: "spec.template.spec".
	Field string
}

// Way is a way from a container to its node.
type Way struct{ Field, What string }

// Taint keeps pods off a node that do not tolerate it
// (https://kubernetes.io/docs/concepts/scheduling-eviction/taint-and-toleration/).
type Taint struct {
	Key    string `json:"key"`
	Value  string `json:"value"`
	Effect string `json:"effect"`
}

type toleration struct {
	Key      string `json:"key"`
	Operator string `json:"operator"`
	Value    string `json:"value"`
	Effect   string `json:"effect"`
}

// Tolerates says whether pods may run on a node with these taints.
func (w *Workload) Tolerates(taints []Taint) bool {
	return !slices.ContainsFunc(taints, func(taint Taint) bool {
		return taint.Effect != "PreferNoSchedule" && !slices.ContainsFunc(w.tolerations, func(t toleration) bool {
			return (t.Effect == "" || t.Effect == taint.Effect) &&
				(t.Key == taint.Key && (t.Operator == "Exists" || t.Value == taint.Value) || t.Key == "" && t.Operator == "Exists")
		})
	})
}

// podSpec has what is looked at of a PodSpec.
type podSpec struct {
	ServiceAccountName string            `json:"serviceAccountName"`
	DeprecatedAccount  string            `json:"serviceAccount"`
	Automount          *bool             `json:"automountServiceAccountToken"`
	NodeName           string            `json:"nodeName"`
	Tolerations        []toleration      `json:"tolerations"`
	NodeSelector       map[string]string `json:"nodeSelector"`
	Affinity           *struct {
		Node *struct{} `json:"nodeAffinity"`
	} `json:"affinity"`
	HostPID        bool        `json:"hostPID"`
	Containers     []container `json:"containers"`
	InitContainers []container `json:"initContainers"`
	Ephemeral      []container `json:"ephemeralContainers"`
	Volumes        []struct {
		Name     string `json:"name"`
		HostPath *struct {
			Path string `json:"path"`
		} `json:"hostPath"`
		Secret *struct {
			Name string `json:"secretName"`
		} `json:"secret"`
		Projected *struct {
			Sources []struct {
				Token *struct {
					Audience string `json:"audience"`
				} `json:"serviceAccountToken"`
				Secret *struct {
					Name string `json:"name"`
				} `json:"secret"`
			} `json:"sources"`
		} `json:"projected"`
	} `json:"volumes"`
}

type container struct {
	Name            string `json:"name"`
	SecurityContext *struct {
		Privileged   bool `json:"privileged"`
		Capabilities *struct {
			Add []string `json:"add"`
		} `json:"capabilities"`
	} `json:"securityContext"`
	VolumeMounts []struct {
		Name     string `json:"name"`
		ReadOnly bool   `json:"readOnly"`
	} `json:"volumeMounts"`
	Env []struct {
		ValueFrom *struct {
			Secret *struct {
				Name string `json:"name"`
			} `json:"secretKeyRef"`
		} `json:"valueFrom"`
	} `json:"env"`
	EnvFrom []struct {
		Secret *struct {
			Name string `json:"name"`
		} `json:"secretRef"`
	} `json:"envFrom"`
}

type template struct {
	Spec struct {
		podSpec
		Template *struct {
			Spec podSpec `json:"spec"`
		} `json:"template"`
		JobTemplate *struct {
			Spec struct {
				Template struct {
					Spec podSpec `json:"spec"`
				} `json:"template"`
			} `json:"spec"`
		} `json:"jobTemplate"`
	} `json:"spec"`
}

// runsPods knows the kinds that run pods, each in its API groups.
func runsPods(o *seawall.Object) bool {
	group, _, grouped := strings.Cut(o.APIVersion, "/")
	if !grouped {
		return o.Kind == "Pod" || o.Kind == "ReplicationController"
	}
	switch o.Kind {
	case "Deployment", "ReplicaSet", "StatefulSet", "DaemonSet":
		return group == "apps" || group == "extensions"
	case "Job", "CronJob":
		return group == "batch"
	}
	return false
}

// Read finds the workloads among objects; set has the accounts. Problems are sentences about objects that could not be read.
func Read(objects []seawall.Object, set *access.Set) (list []Workload, problems []string) {
	accounts := make(map[access.Subject]*access.Account, len(set.Accounts))
	for _, a := range set.Accounts {
		accounts[a.Subject()] = a
	}
	for i := range objects {
		o := &objects[i]
		if !runsPods(o) {
			continue
		}
		var t template
		if err := json.Unmarshal(o.JSON, &t); err != nil {
			problems = append(problems, fmt.Sprintf("%s is not read: %v", o.Resource(), err))
			continue
		}
		list = append(list, read(o, &t, accounts))
	}
	return list, problems
}

func read(o *seawall.Object, t *template, accounts map[access.Subject]*access.Account) Workload {
	spec, field := &t.Spec.podSpec, "spec"
	switch {
	case t.Spec.JobTemplate != nil:
		spec, field = &t.Spec.JobTemplate.Spec.Template.Spec, "spec.jobTemplate.spec.template.spec"
	case o.Kind != "Pod" && t.Spec.Template != nil:
		spec, field = &t.Spec.Template.Spec, "spec.template.spec"
	}
	w := Workload{
		Ref:     access.Ref{Kind: o.Kind, Namespace: o.Namespace, Name: o.Name, Path: o.Path, Line: o.Line},
		Account: access.Subject{Kind: access.ServiceAccount, Namespace: o.Namespace, Name: cmp.Or(spec.ServiceAccountName, spec.DeprecatedAccount, "default")},
		Node:    spec.NodeName,
		Field:   field,

		tolerations: spec.Tolerations,
	}
	w.EveryNode = o.Kind == "DaemonSet" && len(spec.NodeSelector) == 0 && (spec.Affinity == nil || spec.Affinity.Node == nil)
	w.Token = true
	switch a := accounts[w.Account]; {
	case spec.Automount != nil:
		w.Token, w.PodSays = *spec.Automount, true
	case a != nil && a.Automount != nil:
		w.Token = *a.Automount
	}
	w.volumes(spec)
	w.containers(spec)
	slices.Sort(w.Secrets)
	w.Secrets = slices.Compact(w.Secrets)
	return w
}

// writable directories of the node that give root on it to who mounts them, or a parent.
var writable = []string{"/etc", "/etc/cron.d", "/etc/systemd", "/etc/ld.so.preload", "/root/.ssh", "/home", "/proc", "/sys", "/var/lib/docker", "/var/lib/containerd",
	"/var/spool/cron", "/usr", "/usr/bin", "/bin", "/sbin", "/lib", "/boot", "/opt/cni/bin"}

// readable ones that hold credentials, or sockets that obey whoever can open them.
var readable = []string{"/etc/kubernetes/pki", "/etc/kubernetes/manifests", "/etc/kubernetes/admin.conf", "/etc/kubernetes/kubelet.conf",
	"/var/lib/kubelet/pods", "/var/lib/kubelet/pki", "/var/lib/etcd", "/root/.kube", "/var/lib/rancher/k3s/server",
	"/var/run/docker.sock", "/run/docker.sock", "/run/containerd/containerd.sock", "/var/run/containerd/containerd.sock",
	"/run/k3s/containerd/containerd.sock", "/run/crio/crio.sock", "/var/run/crio/crio.sock"}

func (w *Workload) volumes(spec *podSpec) {
	for i := range spec.Volumes {
		v := &spec.Volumes[i]
		field := fmt.Sprintf("%s.volumes[%d]", w.Field, i)
		if v.HostPath != nil {
			if mounted, write := spec.mounts(v.Name); mounted && leads(v.HostPath.Path, write) {
				how := "reads"
				if write {
					how = "writes"
				}
				w.Host = append(w.Host, Way{field + ".hostPath.path", how + " " + v.HostPath.Path + " of the node"})
			}
		}
		if v.Secret != nil {
			w.Secrets = append(w.Secrets, v.Secret.Name)
		}
		if v.Projected == nil {
			continue
		}
		for _, s := range v.Projected.Sources {
			switch {
			case s.Secret != nil:
				w.Secrets = append(w.Secrets, s.Secret.Name)
			case s.Token != nil && s.Token.Audience == "":
				w.Token, w.Projected = true, true // for the API server
			}
		}
	}
}

// mounts says whether a container mounts the volume, and whether for writing.
func (p *podSpec) mounts(volume string) (mounted, writable bool) {
	for _, list := range [][]container{p.Containers, p.InitContainers, p.Ephemeral} {
		for i := range list {
			for _, m := range list[i].VolumeMounts {
				mounted = mounted || m.Name == volume
				writable = writable || m.Name == volume && !m.ReadOnly
			}
		}
	}
	return mounted, writable
}

// leads says whether a directory of the node leads to root on it or to credentials.
func leads(dir string, write bool) bool {
	dir = path.Clean("/" + dir)
	reaches := func(p string) bool {
		return dir == p || strings.HasPrefix(p, strings.TrimSuffix(dir, "/")+"/")
	}
	return slices.ContainsFunc(readable, reaches) || write && slices.ContainsFunc(writable, reaches)
}

func (w *Workload) containers(spec *podSpec) {
	for _, l := range []struct {
		name string
		list []container
	}{{"containers", spec.Containers}, {"initContainers", spec.InitContainers}, {"ephemeralContainers", spec.Ephemeral}} {
		for i := range l.list {
			w.container(spec, &l.list[i], fmt.Sprintf("%s.%s[%d]", w.Field, l.name, i))
		}
	}
}

func (w *Workload) container(spec *podSpec, c *container, field string) {
	for _, e := range c.Env {
		if e.ValueFrom != nil && e.ValueFrom.Secret != nil {
			w.Secrets = append(w.Secrets, e.ValueFrom.Secret.Name)
		}
	}
	for _, e := range c.EnvFrom {
		if e.Secret != nil {
			w.Secrets = append(w.Secrets, e.Secret.Name)
		}
	}
	if c.SecurityContext == nil {
		return
	}
	if c.SecurityContext.Privileged {
		w.Host = append(w.Host, Way{field + ".securityContext.privileged", "container " + c.Name + " is privileged"})
		return
	}
	if c.SecurityContext.Capabilities == nil {
		return
	}
	for _, name := range c.SecurityContext.Capabilities.Add {
		name = strings.TrimPrefix(strings.ToUpper(name), "CAP_")
		switch {
		case name == "ALL" || name == "SYS_ADMIN" || name == "SYS_MODULE" || name == "SYS_RAWIO" || name == "DAC_READ_SEARCH":
		case name == "SYS_PTRACE" && spec.HostPID:
		default:
			continue
		}
		w.Host = append(w.Host, Way{field + ".securityContext.capabilities.add", "container " + c.Name + " has the capability " + name})
		return
	}
}
