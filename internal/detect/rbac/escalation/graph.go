// Package escalation draws the ways from a shell in a pod to cluster-admin as a
// graph and finds the shortest.
//
// Nodes are workloads, subjects, nodes of the cluster, what one may do to all
// pods, tokens or secrets of a namespace (or of the cluster), and cluster-admin.
// An edge says why whoever has the first gets the second, and names the objects
// that let it. An edge stands only where objects prove it; what happens outside
// of them (an admission webhook that refuses privileged pods, a firewall before
// the kubelet) is not seen, so that a path says what Kubernetes itself allows.
//
// Paths are found by one search backwards from cluster-admin.
package escalation

import (
	"strings"

	"github.com/seawall-security/seawall/internal/detect/rbac/access"
	"github.com/seawall-security/seawall/internal/detect/rbac/power"
	"github.com/seawall-security/seawall/internal/detect/rbac/workload"
)

// The kinds of node beside those of workloads, subjects and Node.
const (
	KindAdmin     = "cluster-admin"
	KindNamespace = "NamespaceAdmin" // everything in a namespace
	KindPods      = "Pods"           // run any pod there
	KindExec      = "Exec"           // run commands in any pod there
	KindTokens    = "Tokens"         // act as any account there
	KindSecrets   = "Secrets"        // read every secret there
	KindNode      = "Node"           // root on it
)

// AnyNode is the name of the node that a pod may choose; SomeNode of the one it happens to be on.
const (
	AnyNode  = "*"
	SomeNode = "?"
)

// Node is a position of an attacker.
type Node struct {
	Kind      string `json:"kind"`
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name,omitempty"`
}

// String says the position in words.
func (n Node) String() string {
	where := " in " + n.Namespace
	if n.Namespace == "" {
		where = " in every namespace"
	}
	switch n.Kind {
	case KindAdmin:
		return "cluster-admin"
	case KindNamespace:
		return "everything" + where
	case KindPods:
		return "run any pod" + where
	case KindExec:
		return "a shell in any pod" + where
	case KindTokens:
		return "act as any service account" + where
	case KindSecrets:
		return "read every secret" + where
	case KindNode:
		switch n.Name {
		case AnyNode:
			return "root on a node of choice"
		case SomeNode:
			return "root on its node"
		}
		return "root on node " + n.Name
	}
	return access.Ref{Kind: n.Kind, Namespace: n.Namespace, Name: n.Name}.String()
}

// Edge is one step.
type Edge struct {
	From, To int
	// Why says what the one at From may or has: one clause.
	Why string
	// Proof are the objects that allow it; empty for what follows from the position itself.
	Proof []access.Ref
	// Grant is the RBAC grant behind it; nil where there is none.
	Grant *access.Grant
}

// Graph is the whole.
type Graph struct {
	Nodes []Node
	Edges []Edge

	index map[Node]int
	pairs map[[2]int]bool // edges there are
	in    [][]int         // edges by To
	next  []int           // the edge of a shortest path from a node; -1 when there is none
	dist  []int
}

// Input is what a graph is made of.
type Input struct {
	Set       *access.Set
	Workloads []workload.Workload
	// ControlPlane are the cluster's nodes, true for those that run the control plane. Nil when not known (manifests).
	ControlPlane map[string]bool
	// Taints are those of ControlPlane's nodes.
	Taints map[string][]workload.Taint
	// Managed: the control plane is out of the reach of every pod.
	Managed bool
	// Gone are powers that this version of Kubernetes does not give.
	Gone power.Set
	// Restricted has the namespaces that are known: true where labels refuse pods that could become root on a node.
	Restricted map[string]bool
	// TokenSecrets are Secrets that hold a token, and of which account.
	TokenSecrets map[access.Ref]access.Subject
}

// New builds the graph.
func New(in Input) *Graph {
	b := builder{Graph: &Graph{index: map[Node]int{}, pairs: map[[2]int]bool{}}, in: in, masks: map[*access.Role]power.Set{}, accounts: map[string][]access.Subject{}}
	b.node(Node{Kind: KindAdmin}) // always 0
	b.subjects()
	b.workloads()
	b.positions()
	b.search()
	return b.Graph
}

// node returns the index of a node, made if need be.
func (g *Graph) node(n Node) int {
	i, ok := g.index[n]
	if !ok {
		i = len(g.Nodes)
		g.index[n] = i
		g.Nodes = append(g.Nodes, n)
		g.in = append(g.in, nil)
	}
	return i
}

func (g *Graph) edge(from, to Node, why string, proof []access.Ref, grant *access.Grant) {
	e := Edge{From: g.node(from), To: g.node(to), Why: why, Proof: proof, Grant: grant}
	if pair := [2]int{e.From, e.To}; e.From == e.To || g.pairs[pair] {
		return // one reason is enough
	}
	g.pairs[[2]int{e.From, e.To}] = true
	g.in[e.To] = append(g.in[e.To], len(g.Edges))
	g.Edges = append(g.Edges, e)
}

// search finds, for every node, the first edge of a shortest path to cluster-admin.
func (b *builder) search() {
	g := b.Graph
	g.next, g.dist = make([]int, len(g.Nodes)), make([]int, len(g.Nodes))
	for i := range g.next {
		g.next[i], g.dist[i] = -1, -1
	}
	g.dist[0] = 0
	for queue := []int{0}; len(queue) > 0; queue = queue[1:] {
		for _, i := range g.in[queue[0]] {
			if from := g.Edges[i].From; g.dist[from] < 0 {
				g.dist[from], g.next[from] = g.dist[queue[0]]+1, i
				queue = append(queue, from)
			}
		}
	}
}

// Path is a shortest way from a node to cluster-admin; nil when there is none.
func (g *Graph) Path(from Node) []Edge {
	i, ok := g.index[from]
	if !ok || g.dist[i] <= 0 {
		return nil
	}
	var path []Edge
	for i != 0 {
		e := g.Edges[g.next[i]]
		path = append(path, e)
		i = e.To
	}
	return path
}

// Step writes an edge in words: "run any pod in shop: may create pods (RoleBinding/shop/ci, Role/shop/ci)".
func (g *Graph) Step(e Edge) string {
	s := g.Nodes[e.To].String() + ": " + e.Why
	if len(e.Proof) > 0 {
		var refs []string
		for _, r := range e.Proof {
			refs = append(refs, r.String())
		}
		s += " (" + strings.Join(refs, ", ") + ")"
	}
	return s
}

// WorkloadNode is the position of a shell in a workload.
func WorkloadNode(w *workload.Workload) Node {
	return Node{Kind: w.Kind, Namespace: w.Namespace, Name: w.Name}
}

// SubjectNode is the position of who acts as the subject.
func SubjectNode(s access.Subject) Node {
	return Node{Kind: s.Kind, Namespace: s.Namespace, Name: s.Name}
}
