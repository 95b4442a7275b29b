// Package view draws an analysis of access: escalation paths as SVG and DOT, and
// everything as one self-contained HTML page in which a reader asks who can do
// what without a server.
//
// The shortest paths to cluster-admin form a tree with cluster-admin as its
// root, because each position has one next step. That tree is what is drawn:
// positions that lead to the same next one and have nothing behind them are one
// box when there are many.
package view

import (
	"fmt"
	"slices"
	"strings"

	"github.com/seawall-security/seawall/internal/detect/rbac"
	"github.com/seawall-security/seawall/internal/detect/rbac/access"
	"github.com/seawall-security/seawall/internal/detect/rbac/escalation"
)

// bundle is how many leaves of one kind beside each other become one box.
const bundle = 5

// maxLeaves bounds the drawing; what is beyond is counted below it.
const maxLeaves = 300

// box is one position in the drawing.
type box struct {
	label, why string
	kind       string
	members    []string // of a bundle
	proof      []access.Ref
	children   []*box // positions whose next step is this one
	depth      int
	y          float64 // in rows
}

// tree builds the tree of the shortest paths from every start.
func tree(a *rbac.Analysis) (root *box, omitted int) {
	g := a.Graph
	root = &box{label: "cluster-admin", kind: escalation.KindAdmin}
	boxes := map[int]*box{0: root}
	starts := a.Starts()
	slices.SortStableFunc(starts, func(x, y escalation.Node) int { return len(g.Path(x)) - len(g.Path(y)) })
	for _, start := range starts {
		path := g.Path(start)
		if path == nil {
			continue
		}
		for i := len(path) - 1; i >= 0; i-- {
			e := path[i]
			if boxes[e.From] != nil {
				continue
			}
			n := g.Nodes[e.From]
			b := &box{label: n.String(), kind: n.Kind, why: e.Why, proof: e.Proof, depth: boxes[e.To].depth + 1}
			boxes[e.From] = b
			boxes[e.To].children = append(boxes[e.To].children, b)
		}
	}
	root.pack()
	left := maxLeaves
	omitted = root.prune(&left)
	row := 0.0
	root.place(&row)
	return root, omitted
}

// pack makes bundles of leaves that are alike.
func (b *box) pack() {
	alike := map[[2]string][]*box{}
	var order [][2]string
	var children []*box
	for _, c := range b.children {
		c.pack()
		if len(c.children) > 0 {
			children = append(children, c)
			continue
		}
		key := [2]string{c.kind, c.why}
		if alike[key] == nil {
			order = append(order, key)
		}
		alike[key] = append(alike[key], c)
	}
	for _, key := range order {
		leaves := alike[key]
		if len(leaves) < bundle {
			children = append(children, leaves...)
			continue
		}
		one := &box{label: fmt.Sprintf("%d × %s", len(leaves), key[0]), kind: key[0], why: key[1], depth: leaves[0].depth, proof: leaves[0].proof}
		for _, l := range leaves {
			one.members = append(one.members, l.label)
		}
		children = append(children, one)
	}
	b.children = children
}

// prune drops leaves beyond the bound and counts them.
func (b *box) prune(left *int) (omitted int) {
	if len(b.children) == 0 {
		*left--
		return 0
	}
	for i, c := range b.children {
		if *left <= 0 {
			omitted += len(b.children) - i
			b.children = b.children[:i]
			break
		}
		omitted += c.prune(left)
	}
	return omitted
}

// place gives leaves a row each and parents the middle of their children.
func (b *box) place(row *float64) {
	if len(b.children) == 0 {
		b.y = *row
		*row++
		return
	}
	for _, c := range b.children {
		c.place(row)
	}
	b.y = (b.children[0].y + b.children[len(b.children)-1].y) / 2
}

// walk visits the box and all behind it.
func (b *box) walk(visit func(b *box)) {
	visit(b)
	for _, c := range b.children {
		c.walk(visit)
	}
}

// tooltip is everything about a box.
func (b *box) tooltip() string {
	s := b.label
	if b.why != "" {
		s += "\n" + b.why
	}
	for _, ref := range b.proof {
		s += "\n  " + ref.String()
	}
	if len(b.members) > 0 {
		s += "\n" + strings.Join(b.members, "\n")
	}
	return s
}

// family is the kind of a box for colour.
func (b *box) family() string {
	switch b.kind {
	case escalation.KindAdmin:
		return "admin"
	case access.ServiceAccount, access.User, access.Group:
		return "subject"
	case escalation.KindNode:
		return "node"
	case escalation.KindPods, escalation.KindExec, escalation.KindTokens, escalation.KindSecrets, escalation.KindNamespace:
		return "power"
	}
	return "workload"
}

// empty is what a drawing without paths says.
func empty(a *rbac.Analysis) string {
	if reason := strings.Join(a.Unread(), "; "); reason != "" {
		return "No path to cluster-admin was found, but not everything could be read: " + reason
	}
	return "No path from a workload, account or person to cluster-admin was found."
}
