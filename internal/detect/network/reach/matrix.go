package reach

import (
	"iter"
	"slices"

	"github.com/seawall-security/seawall/internal/detect/network/ipset"
	"github.com/seawall-security/seawall/internal/detect/network/portset"
)

// fill works out the reach between all classes. Per family it is the ports that
// the destination lets in and the source lets out.
func (m *Model) fill() {
	n := len(m.classes)
	row := make([]portset.ID, n)
	for f := range families {
		if !m.has[f] {
			continue
		}
		over := make([]portset.ID, n*n)
		for dst := range m.classes {
			m.row(dst, Ingress, f, over[dst*n:dst*n+n])
		}
		for src := range m.classes {
			m.row(src, Egress, f, row)
			for dst := range m.classes {
				at := dst*n + src
				over[at] = m.sets.Intersect(over[at], row[dst])
			}
		}
		m.over[f] = over
	}
}

// row is the ports a class lets in from, or out to, each class over a family.
func (m *Model) row(subject int, d Direction, f family, out []portset.ID) {
	cl := m.classes[subject]
	b := &cl.binding[d]
	if len(b.admin) == 0 && len(b.baseline) == 0 {
		m.simpleRow(b, d, f, out)
	} else {
		for peer := range out {
			out[peer] = m.judge(b, d, peerClass{m.classes[peer], peer, f}, false)
		}
	}
	for peer := range out {
		if !cl.has[f] || !m.classes[peer].has[f] {
			out[peer] = portset.None
		}
	}
}

// simpleRow is row where only NetworkPolicies bind.
func (m *Model) simpleRow(b *binding, d Direction, f family, out []portset.ID) {
	start := portset.AllPorts
	if b.isolated {
		start = portset.None
	}
	for i := range out {
		out[i] = start
	}
	if !b.isolated {
		return
	}
	for _, r := range b.allow {
		r.hit = true
		add := func(peer int) {
			ports := r.ports
			if d == Egress && len(r.Named) > 0 {
				ports = m.named(r.Rule, m.classes[peer])
			}
			out[peer] = m.sets.Union(out[peer], ports)
		}
		if r.Any {
			for peer := range out {
				add(peer)
			}
		} else {
			r.match[f].each(add)
		}
	}
}

// peer is the other end of a question to a class's rules.
type peer interface {
	// in says whether a rule's peers match it.
	in(r *Rule) bool
	// ports is what a bound rule's ports mean with it.
	ports(m *Model, d Direction, r bound) portset.ID
}

// peerClass is a class as the other end.
type peerClass struct {
	*class
	at int
	f  family
}

func (p peerClass) in(r *Rule) bool { return r.Any || r.match[p.f].has(p.at) }

func (p peerClass) ports(m *Model, d Direction, r bound) portset.ID {
	if d == Egress {
		return m.named(r.Rule, p.class)
	}
	return r.ports
}

// peerAddress is addresses outside the cluster as the other end; the rules tell none of them apart.
type peerAddress struct{ ipset.Range }

func (p peerAddress) in(r *Rule) bool                                 { return r.Any || r.Blocks.Contains(p.First) }
func (p peerAddress) ports(_ *Model, _ Direction, r bound) portset.ID { return r.ports }

// judge goes through the tiers: administrators' rules first to last, each deciding
// what is left; then NetworkPolicies where one selects the class, else the baseline.
// What nothing decided is allowed. ownNode: the other end is the pod's own node.
func (m *Model) judge(b *binding, d Direction, p peer, ownNode bool) portset.ID {
	allowed, passed, left := m.ordered(b.admin, d, p, portset.AllPorts)
	left = m.sets.Union(left, passed)
	if b.isolated {
		if ownNode {
			return m.sets.Union(allowed, left)
		}
		for _, r := range b.allow {
			if p.in(r.Rule) {
				hit := m.sets.Intersect(left, p.ports(m, d, r))
				r.hit = r.hit || hit != portset.None
				allowed = m.sets.Union(allowed, hit)
			}
		}
		return allowed
	}
	more, passed, left := m.ordered(b.baseline, d, p, left)
	return m.sets.Union(m.sets.Union(allowed, more), m.sets.Union(passed, left))
}

// ordered applies rules in turn to the ports that are left.
func (m *Model) ordered(rules []bound, d Direction, p peer, start portset.ID) (allowed, passed, left portset.ID) {
	left = start
	for _, r := range rules {
		if left == portset.None {
			break
		}
		if !p.in(r.Rule) {
			continue
		}
		hit := m.sets.Intersect(left, p.ports(m, d, r))
		r.hit = r.hit || hit != portset.None
		left = m.sets.Minus(left, hit)
		switch r.Action {
		case Allow:
			allowed = m.sets.Union(allowed, hit)
		case Pass:
			passed = m.sets.Union(passed, hit)
		}
	}
	return allowed, passed, left
}

// Ports is what some pod of one workload can reach on some pod of another, over any family.
func (m *Model) Ports(src, dst *Workload) portset.Set { return m.sets.Set(m.ports(src, dst)) }

// PortsID is Ports by its number, which equal sets share. Set is the set of one.
func (m *Model) PortsID(src, dst *Workload) portset.ID { return m.ports(src, dst) }

// Set is the set of ports with a number.
func (m *Model) Set(id portset.ID) portset.Set { return m.sets.Set(id) }

func (m *Model) ports(src, dst *Workload) portset.ID {
	if src.host || dst.host {
		return m.hostPorts(src, dst)
	}
	n, got := len(m.classes), portset.None
	for _, s := range src.classes {
		for _, d := range dst.classes {
			for f := range families {
				if m.has[f] {
					got = m.sets.Union(got, m.over[f][d*n+s])
				}
			}
		}
	}
	return got
}

// hostPorts is ports where one of the two is in its node's network: pod by pod,
// because being on the same node decides.
func (m *Model) hostPorts(src, dst *Workload) portset.ID {
	got := portset.None
	for _, s := range src.Pods {
		for _, d := range dst.Pods {
			if got = m.sets.Union(got, m.podPorts(s, d)); got == portset.AllPorts {
				return got
			}
		}
	}
	return got
}

// podPorts is what one pod can reach on another. A pod reaches itself.
func (m *Model) podPorts(s, d *Pod) portset.ID {
	if s == d && s.Name != "" || s.Host && d.Host {
		return portset.AllPorts
	}
	sameNode := s.Node == "" || d.Node == "" || s.Node == d.Node
	if s.Host && sameNode {
		return portset.AllPorts
	}
	if d.Host && sameNode {
		return m.ownNode(s.class, d.class)
	}
	n, got := len(m.classes), portset.None
	for f := range families {
		if m.has[f] {
			got = m.sets.Union(got, m.over[f][d.class*n+s.class])
		}
	}
	return got
}

// ownNode is what a class may send to its own node.
func (m *Model) ownNode(src, dst int) portset.ID {
	key := src*len(m.classes) + dst
	id, ok := m.own[key]
	if !ok {
		for f := range families {
			if m.classes[src].has[f] && m.classes[dst].has[f] {
				id = m.sets.Union(id, m.judge(&m.classes[src].binding[Egress], Egress, peerClass{m.classes[dst], dst, f}, true))
			}
		}
		m.own[key] = id
	}
	return id
}

// Outside is addresses outside the cluster and the ports on them.
type Outside struct {
	Addresses ipset.Set
	Ports     portset.Set
}

// Outside is what addresses that are no pod's and no node's the pods of a workload
// may send to (Egress) or be sent from (Ingress), as far as policies decide it. No
// address is in two of them; none has no ports.
func (m *Model) Outside(w *Workload, d Direction) []Outside {
	if len(w.classes) == 1 {
		return m.outside(m.classes[w.classes[0]], d)
	}
	var parts []Outside
	for _, i := range w.classes {
		parts = append(parts, m.outside(m.classes[i], d)...)
	}
	return disjoint(parts)
}

// disjoint makes of overlapping parts some that do not, each address with all its ports.
func disjoint(parts []Outside) []Outside {
	var out []Outside
	for _, p := range parts {
		rest := p.Addresses
		for i := range out {
			both := out[i].Addresses.Intersect(rest)
			if both.Empty() || out[i].Ports.Covers(p.Ports) {
				rest = rest.Minus(both)
				continue
			}
			rest = rest.Minus(both)
			out = append(out, Outside{both, out[i].Ports.Union(p.Ports)})
			out[i].Addresses = out[i].Addresses.Minus(both)
		}
		out = append(out, Outside{rest, p.Ports})
	}
	return merge(out)
}

// merge joins parts with the same ports, in the order of their first address.
func merge(parts []Outside) []Outside {
	at := map[string]int{}
	var out []Outside
	for _, p := range parts {
		if p.Addresses.Empty() || p.Ports.Empty() {
			continue
		}
		key := p.Ports.Key()
		if i, ok := at[key]; ok {
			out[i].Addresses = out[i].Addresses.Union(p.Addresses)
			continue
		}
		at[key] = len(out)
		out = append(out, p)
	}
	slices.SortFunc(out, func(a, b Outside) int {
		return a.Addresses.Ranges()[0].First.Compare(b.Addresses.Ranges()[0].First)
	})
	return out
}

// outside cuts the addresses where a rule's blocks begin and end; within a piece
// all addresses are alike, so its first stands for it.
func (m *Model) outside(cl *class, d Direction) []Outside {
	if cl.outside[d] != nil {
		return cl.outside[d]
	}
	b := &cl.binding[d]
	var everything ipset.Set
	for _, r := range ipset.All().Ranges() {
		if cl.has[familyOf(r.First)] {
			everything = everything.Union(ipset.Between(r))
		}
	}
	pieces := []ipset.Set{everything}
	for _, list := range [][]bound{b.admin, b.allow, b.baseline} {
		for _, r := range list {
			if !r.Any && !r.Blocks.Empty() {
				pieces = cut(pieces, r.Blocks)
			}
		}
	}
	parts := make([]Outside, 0, len(pieces))
	for _, piece := range pieces {
		ports := m.judge(b, d, peerAddress{piece.Ranges()[0]}, false)
		parts = append(parts, Outside{piece, m.sets.Set(ports)})
	}
	cl.outside[d] = merge(parts)
	if cl.outside[d] == nil {
		cl.outside[d] = []Outside{}
	}
	return cl.outside[d]
}

// cut divides pieces into what is within a block and what is not.
func cut(pieces []ipset.Set, block ipset.Set) []ipset.Set {
	out := make([]ipset.Set, 0, len(pieces)+1)
	for _, p := range pieces {
		for _, part := range []ipset.Set{p.Intersect(block), p.Minus(block)} {
			if !part.Empty() {
				out = append(out, part)
			}
		}
	}
	return out
}

// Connection is what one workload can reach: another, or addresses outside.
type Connection struct {
	From *Workload
	// To is nil when Addresses are the destination.
	To        *Workload
	Addresses ipset.Set
	Ports     portset.Set
}

// Connections are all that workloads can reach, by source. A workload's pods
// among one another are left out.
func (m *Model) Connections() iter.Seq[Connection] {
	return func(yield func(Connection) bool) {
		for _, src := range m.Workloads {
			for _, dst := range m.Workloads {
				if src == dst {
					continue
				}
				if id := m.ports(src, dst); id != portset.None && !yield(Connection{From: src, To: dst, Ports: m.sets.Set(id)}) {
					return
				}
			}
			for _, o := range m.Outside(src, Egress) {
				if !yield(Connection{From: src, Addresses: o.Addresses, Ports: o.Ports}) {
					return
				}
			}
		}
	}
}

// Isolated says whether a NetworkPolicy or an administrator's policy that denies
// selects every pod of a workload in a direction. Pods in their node's network never are.
func (m *Model) Isolated(w *Workload, d Direction) bool {
	for _, i := range w.classes {
		b := &m.classes[i].binding[d]
		denies := func(r bound) bool { return r.Action == Deny }
		if m.classes[i].pod.Host || !b.isolated && !slices.ContainsFunc(b.admin, denies) && !slices.ContainsFunc(b.baseline, denies) {
			return false
		}
	}
	return true
}

// Idle are the rules that match something for the pods of their policy, but whose
// traffic policies before them decide in full.
func (m *Model) Idle() []*Rule {
	for _, w := range m.Workloads {
		for d := range directions {
			m.Outside(w, d)
		}
	}
	var out []*Rule
	for _, list := range [][]*Policy{m.Admin, m.Policies} {
		for _, p := range list {
			if len(m.Selected(p)) == 0 {
				continue
			}
			for _, rules := range p.Rules {
				for _, r := range rules {
					if !r.hit && m.MatchesSomething(r) && (r.AllPorts || !r.Ports.Empty()) {
						out = append(out, r)
					}
				}
			}
		}
	}
	return out
}

// MatchesSomething says whether a rule has a peer: a pod here, or addresses.
func (m *Model) MatchesSomething(r *Rule) bool {
	some := func(word uint64) bool { return word != 0 }
	return r.Any || !r.Blocks.Empty() || len(r.Domains) > 0 || slices.ContainsFunc(r.match[v4], some) || slices.ContainsFunc(r.match[v6], some)
}

// Redundant says whether nothing would change without a NetworkPolicy: others
// isolate its pods, and allow all that it allows.
func (m *Model) Redundant(p *Policy) bool {
	n := len(m.classes)
	with, without := make([]portset.ID, n), make([]portset.ID, n)
	about := false
	for _, cl := range m.classes {
		if !p.Selects(m.Cluster, cl.pod) {
			continue
		}
		about = true
		for d := range directions {
			if !p.Affects[d] {
				continue
			}
			if !m.isolatedBeside(p, cl, d) {
				return false
			}
			rest := &class{pod: cl.pod, has: cl.has}
			rest.binding[d] = cl.binding[d]
			rest.binding[d].allow = slices.DeleteFunc(slices.Clone(cl.binding[d].allow), func(r bound) bool { return r.Policy == p })
			for f := range families {
				m.simpleRow(&cl.binding[d], d, f, with)
				m.simpleRow(&rest.binding[d], d, f, without)
				if !slices.Equal(with, without) {
					return false
				}
			}
			if !slices.EqualFunc(m.outside(cl, d), m.outside(rest, d), func(a, b Outside) bool { return a.Addresses.Equal(b.Addresses) && a.Ports.Equal(b.Ports) }) {
				return false
			}
		}
	}
	return about
}

// isolatedBeside says whether another NetworkPolicy isolates a class.
func (m *Model) isolatedBeside(p *Policy, cl *class, d Direction) bool {
	return slices.ContainsFunc(m.Policies, func(o *Policy) bool {
		return o != p && o.Affects[d] && o.Object.Namespace == p.Object.Namespace && o.Selects(m.Cluster, cl.pod)
	})
}
