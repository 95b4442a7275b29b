// Package reach answers who can reach whom on which port, from Kubernetes objects.
//
//	objects -> Read -> Cluster (pods, policies, Services, …)
//	        -> New  -> Model: pods in classes that no policy tells apart,
//	                   policies compiled to rules over classes, addresses and ports
//	        -> Connections, Check, Exposures
//
// The semantics are those of the API reference: NetworkPolicy
// (https://kubernetes.io/docs/concepts/services-networking/network-policies/),
// AdminNetworkPolicy and BaselineAdminNetworkPolicy (policy.networking.k8s.io/v1alpha1)
// and ClusterNetworkPolicy (v1alpha2, https://network-policy-api.sigs.k8s.io/).
// Where they leave the answer to the network plugin, this is what is assumed:
//
//   - Traffic is judged by the pod's address and port, after Services were resolved.
//   - Blocks of addresses match pods and nodes too, by their addresses. Where these
//     are not known (manifests), a block matches when it covers all that pods may
//     have: the nodes' pod ranges, else all private addresses.
//   - Pods in the host's network are the node: no policy binds them and no selector
//     matches them, blocks and node selectors do.
//   - A node reaches its own pods always. NetworkPolicies never keep a pod from its
//     own node; administrators' policies do.
//   - A named port is a port of the destination pod with that name.
package reach

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/seawall-security/seawall/internal/detect/network/ipset"
	"github.com/seawall-security/seawall/internal/detect/network/portset"
	"github.com/seawall-security/seawall/internal/seawall"
)

// Cluster is what of the objects matters for reach.
type Cluster struct {
	Namespaces map[string]*Namespace
	// Workloads are sorted by ID; every pod belongs to one.
	Workloads []*Workload
	// Policies are NetworkPolicies, by namespace and name; Admin those of
	// administrators, in the order they apply in, baseline last.
	Policies, Admin []*Policy
	Services        []*Service
	Routes          []*Route
	// Problems are sentences about what could not be read or be told; Assumptions
	// about what an answer rests on.
	Problems, Assumptions []string

	nodes    map[string]*node
	podRange [families]ipset.Set
	has      [families]bool // families of addresses there are
}

// Namespace is a namespace; Object is nil when only its name is known.
type Namespace struct {
	Name   string
	Labels map[string]string
	Object *seawall.Object
}

// Workload is what makes pods, or a pod that nothing made.
type Workload struct {
	Namespace, Kind, Name string
	// Object is nil when only its pods are known.
	Object *seawall.Object
	Pods   []*Pod
	// Selector is its spec.selector.matchLabels, which its pods have.
	Selector map[string]string
	// Spec is the pod specification, for what reach does not look at.
	Spec *PodSpec

	classes []int
	host    bool
}

// ID is "namespace/Kind/name".
func (w *Workload) ID() string { return w.Namespace + "/" + w.Kind + "/" + w.Name }

// Host says whether its pods are in the network of their node.
func (w *Workload) Host() bool { return w.host }

// Pod is a pod, or the template of some.
type Pod struct {
	Name     string // "" of a template
	Workload *Workload
	Labels   map[string]string
	// Annotations are those of the pod or template.
	Annotations map[string]string
	Ports       []Port
	Host        bool
	Node        string // "" when not known

	ips   [families]netip.Addr // zero when not known
	known bool                 // ips are
	class int
}

// Port is a port a container declares.
type Port struct {
	Name     string
	Protocol portset.Protocol
	Number   int
	HostPort int
}

// node is a Node.
type node struct {
	labels map[string]string
	ips    []netip.Addr
}

// family is a family of addresses.
type family int

const (
	v4 family = iota
	v6
	families
)

func familyOf(a netip.Addr) family {
	if a.Is4() {
		return v4
	}
	return v6
}

// Direction is seen from the pod a policy selects.
type Direction int

// The directions.
const (
	Ingress Direction = iota
	Egress
	directions
)

// String is "ingress" or "egress".
func (d Direction) String() string { return [...]string{"ingress", "egress"}[d] }

// Tier is the order policies apply in.
type Tier int

// The tiers.
const (
	Admin Tier = iota
	Namespaced
	Baseline
)

// Action is what a rule does with traffic it matches.
type Action int

// The actions. NetworkPolicies only allow.
const (
	Allow Action = iota
	Deny
	Pass
)

// String is the word of the API.
func (a Action) String() string { return [...]string{"Allow", "Deny", "Pass"}[a] }

// Policy is a policy of any kind.
type Policy struct {
	Object   *seawall.Object
	Tier     Tier
	Priority int
	// Subject selects the pods it is about; Affects says in which directions.
	Subject Peer
	Affects [directions]bool
	Rules   [directions][]*Rule
}

// Rule is one rule of a policy.
type Rule struct {
	Policy    *Policy
	Direction Direction
	// Index is its place in the list of its direction.
	Index  int
	Action Action
	// Any matches every peer, outside the cluster too; else one of Peers must match.
	Any   bool
	Peers []Peer
	// Blocks are the addresses it matches.
	Blocks ipset.Set
	// Domains are names whose addresses are not known here.
	Domains []string
	// AllPorts, or Ports and the destination's ports with the names in Named.
	AllPorts bool
	Ports    portset.Set
	Named    []NamedPort

	match  [families]bitset // classes
	ports  portset.ID       // of Ports, without Named
	closed bool             // a peer of an unknown kind made it deny everything
	hit    bool             // some traffic was left to it to decide
}

// NamedPort is a port by name. Any says that its protocol does not matter.
type NamedPort struct {
	Name     string
	Protocol portset.Protocol
	Any      bool
}

// Peer selects pods or nodes by their labels.
type Peer struct {
	// Namespace is the one it is about; "" when Namespaces selects them.
	Namespace  string
	Namespaces Selector
	Pods       Selector
	// Nodes selects nodes instead of pods.
	Nodes *Selector
}

// Field is the rule's place in its policy.
func (r *Rule) Field() string {
	return "spec." + r.Direction.String() + "[" + itoa(r.Index) + "]"
}

// matches says whether a peer's selectors match a pod.
func (p *Peer) matches(c *Cluster, pod *Pod) bool {
	if p.Nodes != nil {
		if !pod.Host {
			return false
		}
		n := c.nodes[pod.Node]
		return n != nil && p.Nodes.Matches(n.labels) || n == nil && p.Nodes.Everything()
	}
	return !pod.Host && p.inNamespace(c, pod.Workload.Namespace) && p.Pods.Matches(pod.Labels)
}

func (p *Peer) inNamespace(c *Cluster, name string) bool {
	if p.Namespace != "" {
		return p.Namespace == name
	}
	ns := c.Namespaces[name]
	return ns != nil && p.Namespaces.Matches(ns.Labels)
}

// Selects says whether the policy is about a pod.
func (p *Policy) Selects(c *Cluster, pod *Pod) bool { return p.Subject.matches(c, pod) }

// Selected are the workloads with a pod the policy is about.
func (c *Cluster) Selected(p *Policy) []*Workload {
	var out []*Workload
	for _, w := range c.Workloads {
		if slices.ContainsFunc(w.Pods, func(pod *Pod) bool { return p.Selects(c, pod) }) {
			out = append(out, w)
		}
	}
	return out
}

// Find returns the workloads a user means by "ns/name", "ns/kind/name" (any case,
// "deploy" and the like too) or "ns/pod-name".
func (c *Cluster) Find(text string) []*Workload {
	parts := strings.Split(text, "/")
	var out []*Workload
	for _, w := range c.Workloads {
		switch {
		case parts[0] != w.Namespace:
		case len(parts) == 2 && w.Name == parts[1],
			len(parts) == 3 && w.Name == parts[2] && sameKind(parts[1], w.Kind):
			out = append(out, w)
		}
	}
	if len(out) > 0 {
		return out
	}
	for _, w := range c.Workloads {
		for _, pod := range w.Pods {
			if w.Namespace == parts[0] && pod.Name != "" && pod.Name == parts[len(parts)-1] && (len(parts) == 2 || len(parts) == 3 && sameKind(parts[1], "Pod")) {
				one := *w
				one.Pods, one.classes = []*Pod{pod}, []int{pod.class}
				return []*Workload{&one}
			}
		}
	}
	return nil
}

func sameKind(word, kind string) bool {
	word, kind = strings.ToLower(word), strings.ToLower(kind)
	if word == kind || word == kind+"s" {
		return true
	}
	short := map[string]string{"deploy": "deployment", "sts": "statefulset", "ds": "daemonset", "rs": "replicaset", "po": "pod", "cj": "cronjob", "rc": "replicationcontroller"}
	return short[word] == kind
}
