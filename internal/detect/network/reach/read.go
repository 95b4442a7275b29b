package reach

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/seawall-security/seawall/internal/detect/network/ipset"
	"github.com/seawall-security/seawall/internal/detect/network/portset"
	"github.com/seawall-security/seawall/internal/seawall"
)

// nameLabel is the label the API server gives every namespace.
const nameLabel = "kubernetes.io/metadata.name"

// meta is the metadata looked at.
type meta struct {
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations"`
	Owners      []owner           `json:"ownerReferences"`
}

type owner struct {
	Kind       string `json:"kind"`
	Name       string `json:"name"`
	Controller bool   `json:"controller"`
}

// PodSpec is what is looked at of a pod's specification.
type PodSpec struct {
	HostNetwork    bool        `json:"hostNetwork"`
	NodeName       string      `json:"nodeName"`
	Account        string      `json:"serviceAccountName"`
	Automount      *bool       `json:"automountServiceAccountToken"`
	DNSPolicy      string      `json:"dnsPolicy"`
	Containers     []Container `json:"containers"`
	InitContainers []Container `json:"initContainers"`
	Volumes        []Volume    `json:"volumes"`
}

// Container is what is looked at of a container.
type Container struct {
	Name          string   `json:"name"`
	Image         string   `json:"image"`
	Command       []string `json:"command"`
	Args          []string `json:"args"`
	RestartPolicy string   `json:"restartPolicy"`
	Ports         []struct {
		Name     string `json:"name"`
		Protocol string `json:"protocol"`
		Port     int    `json:"containerPort"`
		HostPort int    `json:"hostPort"`
	} `json:"ports"`
	Env []struct {
		Name  string `json:"name"`
		Value string `json:"value"`
		From  struct {
			ConfigMap struct {
				Name string `json:"name"`
			} `json:"configMapKeyRef"`
		} `json:"valueFrom"`
	} `json:"env"`
	EnvFrom []struct {
		ConfigMap struct {
			Name string `json:"name"`
		} `json:"configMapRef"`
	} `json:"envFrom"`
	Readiness *struct{} `json:"readinessProbe"`
	Liveness  *struct{} `json:"livenessProbe"`
	Startup   *struct{} `json:"startupProbe"`
}

// Volume is what is looked at of a volume.
type Volume struct {
	ConfigMap *struct {
		Name string `json:"name"`
	} `json:"configMap"`
}

type podJSON struct {
	Metadata meta    `json:"metadata"`
	Spec     PodSpec `json:"spec"`
	Status   struct {
		Phase  string `json:"phase"`
		PodIP  string `json:"podIP"`
		PodIPs []struct {
			IP string `json:"ip"`
		} `json:"podIPs"`
	} `json:"status"`
}

type template struct {
	Metadata meta    `json:"metadata"`
	Spec     PodSpec `json:"spec"`
}

// workloadJSON is any kind with a pod template.
type workloadJSON struct {
	Metadata meta `json:"metadata"`
	Spec     struct {
		Selector json.RawMessage `json:"selector"` // of a ReplicationController no label selector
		Template template        `json:"template"`
		Job      struct {
			Spec struct {
				Template template `json:"template"`
			} `json:"spec"`
		} `json:"jobTemplate"`
	} `json:"spec"`
}

type nodeJSON struct {
	Metadata meta `json:"metadata"`
	Spec     struct {
		PodCIDR  string   `json:"podCIDR"`
		PodCIDRs []string `json:"podCIDRs"`
	} `json:"spec"`
	Status struct {
		Addresses []struct {
			Type    string `json:"type"`
			Address string `json:"address"`
		} `json:"addresses"`
	} `json:"status"`
}

// reader collects what Read makes a Cluster of.
type reader struct {
	*Cluster
	byID   map[string]*Workload
	owners map[string]owner // of "ns/Kind/name"
	pods   []*podJSON
	podOf  []*seawall.Object
}

// Read takes from objects what matters for reach. What cannot be read is a problem
// and counts for nothing; of an object given twice the last counts.
func Read(objects []seawall.Object) *Cluster {
	r := &reader{
		Cluster: &Cluster{Namespaces: map[string]*Namespace{}, nodes: map[string]*node{}},
		byID:    map[string]*Workload{}, owners: map[string]owner{},
	}
	for _, o := range latest(objects) {
		if err := r.read(o); err != nil {
			r.Problems = append(r.Problems, place(o)+": "+err.Error())
		}
	}
	for i, p := range r.pods {
		r.pod(r.podOf[i], p)
	}
	r.workloads()
	for _, list := range [][]*Policy{r.Policies, r.Admin} {
		for _, p := range list {
			if p.Object.Namespace != "" {
				r.namespace(p.Object.Namespace)
			}
		}
	}
	r.ranges()
	sortPolicies(r.Cluster)
	r.services()
	return r.Cluster
}

// latest drops all but the last of objects with the same identity.
func latest(objects []seawall.Object) []*seawall.Object {
	seen := make(map[[4]string]int, len(objects))
	out := make([]*seawall.Object, 0, len(objects))
	for i := range objects {
		o := &objects[i]
		group, _, _ := strings.Cut(o.APIVersion, "/")
		key := [4]string{group, o.Kind, o.Namespace, o.Name}
		if at, ok := seen[key]; ok && o.Name != "" {
			out[at] = o
			continue
		}
		seen[key] = len(out)
		out = append(out, o)
	}
	return out
}

func place(o *seawall.Object) string {
	if o.Path == "" {
		return o.Resource()
	}
	return o.Path + ":" + itoa(o.Line) + ": " + o.Resource()
}

func (r *reader) read(o *seawall.Object) error {
	group, _, grouped := strings.Cut(o.APIVersion, "/")
	if !grouped {
		group = ""
	}
	switch o.Kind {
	case "Namespace":
		var in struct{ Metadata meta }
		if err := json.Unmarshal(o.JSON, &in); err != nil {
			return err
		}
		ns := r.namespace(o.Name)
		ns.Object, ns.Labels = o, in.Metadata.Labels
		if ns.Labels == nil {
			ns.Labels = map[string]string{}
		}
		ns.Labels[nameLabel] = o.Name
	case "Node":
		return r.node(o)
	case "Pod":
		in := new(podJSON)
		if err := json.Unmarshal(o.JSON, in); err != nil {
			return err
		}
		r.pods, r.podOf = append(r.pods, in), append(r.podOf, o)
	case "Deployment", "ReplicaSet", "StatefulSet", "DaemonSet", "Job", "CronJob", "ReplicationController":
		return r.workload(o)
	case "NetworkPolicy", "AdminNetworkPolicy", "BaselineAdminNetworkPolicy", "ClusterNetworkPolicy":
		return r.policy(o, group)
	case "Service", "Ingress", "Gateway", "HTTPRoute", "GRPCRoute", "TLSRoute", "TCPRoute", "UDPRoute":
		return r.entry(o, group)
	}
	return nil
}

func (r *reader) policy(o *seawall.Object, group string) error {
	if o.Kind == "NetworkPolicy" && group != "networking.k8s.io" && group != "extensions" || o.Kind != "NetworkPolicy" && group != "policy.networking.k8s.io" {
		return nil // a plugin's own kind of that name
	}
	p, err := readPolicy(o)
	if err != nil {
		return err
	}
	if p.Tier == Namespaced {
		r.Policies = append(r.Policies, p)
	} else {
		r.Admin = append(r.Admin, p)
	}
	return nil
}

// namespace returns a namespace, made when it is not known yet.
func (r *reader) namespace(name string) *Namespace {
	ns := r.Namespaces[name]
	if ns == nil {
		ns = &Namespace{Name: name, Labels: map[string]string{nameLabel: name}}
		r.Namespaces[name] = ns
	}
	return ns
}

func (r *reader) node(o *seawall.Object) error {
	var in nodeJSON
	if err := json.Unmarshal(o.JSON, &in); err != nil {
		return err
	}
	n := &node{labels: in.Metadata.Labels}
	for _, a := range in.Status.Addresses {
		if ip, err := netip.ParseAddr(a.Address); err == nil {
			n.ips = append(n.ips, ip)
		}
	}
	r.nodes[o.Name] = n
	blocks := in.Spec.PodCIDRs
	if len(blocks) == 0 && in.Spec.PodCIDR != "" {
		blocks = []string{in.Spec.PodCIDR}
	}
	for _, text := range blocks {
		block, err := ipset.Parse(text)
		if err != nil {
			return fmt.Errorf("spec.podCIDRs: %w", err)
		}
		f := familyOf(block.Ranges()[0].First)
		r.podRange[f] = r.podRange[f].Union(block)
	}
	return nil
}

func (r *reader) workload(o *seawall.Object) error {
	var in workloadJSON
	if err := json.Unmarshal(o.JSON, &in); err != nil {
		return err
	}
	w := &Workload{Namespace: o.Namespace, Kind: o.Kind, Name: o.Name, Object: o}
	if i := slices.IndexFunc(in.Metadata.Owners, func(w owner) bool { return w.Controller }); i >= 0 {
		r.owners[w.ID()] = in.Metadata.Owners[i]
		return nil // its owner stands for it
	}
	t := &in.Spec.Template
	if o.Kind == "CronJob" {
		t = &in.Spec.Job.Spec.Template
	}
	var selector Selector
	if json.Unmarshal(in.Spec.Selector, &selector) == nil {
		w.Selector = selector.MatchLabels
	}
	r.namespace(o.Namespace)
	r.byID[w.ID()] = w
	w.Spec = &t.Spec
	w.Pods = []*Pod{newPod(w, "", &t.Metadata, &t.Spec)}
	return nil
}

func newPod(w *Workload, name string, m *meta, spec *PodSpec) *Pod {
	pod := &Pod{Name: name, Workload: w, Labels: m.Labels, Annotations: m.Annotations, Host: spec.HostNetwork, Node: spec.NodeName}
	add := func(c *Container) {
		for _, p := range c.Ports {
			protocol, err := portset.ParseProtocol(p.Protocol)
			if err == nil && p.Port > 0 && p.Port < 65536 {
				pod.Ports = append(pod.Ports, Port{Name: p.Name, Protocol: protocol, Number: p.Port, HostPort: p.HostPort})
			}
		}
	}
	for i := range spec.Containers {
		add(&spec.Containers[i])
	}
	for i := range spec.InitContainers {
		if c := &spec.InitContainers[i]; c.RestartPolicy == "Always" { // a sidecar
			add(c)
		}
	}
	return pod
}

// pod adds a pod to the workload that made it. The template stays beside it: other
// pods of it may be anywhere.
func (r *reader) pod(o *seawall.Object, in *podJSON) {
	if in.Status.Phase == "Succeeded" || in.Status.Phase == "Failed" {
		return
	}
	w := r.maker(o, &in.Metadata)
	if w.Spec == nil {
		w.Spec = &in.Spec
	}
	pod := newPod(w, o.Name, &in.Metadata, &in.Spec)
	for _, ip := range in.Status.PodIPs {
		pod.address(ip.IP)
	}
	pod.address(in.Status.PodIP)
	w.Pods = append(w.Pods, pod)
}

func (p *Pod) address(text string) {
	if ip, err := netip.ParseAddr(text); err == nil {
		ip = ip.Unmap()
		p.ips[familyOf(ip)], p.known = ip, true
	}
}

// maker finds what made a pod in the end: of a ReplicaSet its Deployment, of a Job its CronJob.
func (r *reader) maker(o *seawall.Object, m *meta) *Workload {
	r.namespace(o.Namespace)
	w := &Workload{Namespace: o.Namespace, Kind: "Pod", Name: o.Name, Object: o}
	for depth := 0; depth < 4; depth++ {
		var up owner
		if i := slices.IndexFunc(m.Owners, func(w owner) bool { return w.Controller }); depth == 0 && i >= 0 {
			up = m.Owners[i]
		} else if depth > 0 {
			up = r.owners[w.ID()]
		}
		hash := m.Labels["pod-template-hash"]
		if up.Name == "" && w.Kind == "ReplicaSet" && r.byID[w.ID()] == nil && hash != "" && strings.HasSuffix(w.Name, "-"+hash) {
			up = owner{Kind: "Deployment", Name: strings.TrimSuffix(w.Name, "-"+hash)}
		}
		if up.Name == "" || up.Kind == "Node" { // static pods belong to their node
			break
		}
		w = &Workload{Namespace: o.Namespace, Kind: up.Kind, Name: up.Name}
	}
	if have := r.byID[w.ID()]; have != nil {
		return have
	}
	r.byID[w.ID()] = w
	return w
}

// workloads sorts what was found.
func (r *reader) workloads() {
	for _, w := range r.byID {
		w.host = slices.ContainsFunc(w.Pods, func(p *Pod) bool { return p.Host })
		r.Workloads = append(r.Workloads, w)
	}
	slices.SortFunc(r.Workloads, func(a, b *Workload) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Name, b.Name))
	})
}

// ranges works out which families of addresses there are, and where pods whose
// address is not known may be.
func (r *reader) ranges() {
	for _, w := range r.Workloads {
		for _, pod := range w.Pods {
			for f, ip := range pod.ips {
				r.has[f] = r.has[f] || ip.IsValid()
			}
		}
	}
	for _, n := range r.nodes {
		for _, ip := range n.ips {
			r.has[familyOf(ip)] = true
		}
	}
	for f := range r.podRange {
		r.has[f] = r.has[f] || !r.podRange[f].Empty()
	}
	if r.has == [families]bool{} {
		r.has = [families]bool{true, true}
	}
	if r.podRange[v4].Empty() {
		r.podRange[v4] = ipset.Private()
	}
	if r.podRange[v6].Empty() {
		r.podRange[v6] = ipset.Of(netip.MustParsePrefix("fc00::/7"))
	}
}
