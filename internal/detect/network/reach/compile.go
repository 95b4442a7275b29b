package reach

import (
	"encoding/binary"
	"fmt"
	"math/bits"
	"slices"
	"strings"

	"github.com/seawall-security/seawall/internal/detect/network/ipset"
	"github.com/seawall-security/seawall/internal/detect/network/portset"
)

// Model answers questions about a Cluster. It is not safe for use by several
// goroutines at once.
type Model struct {
	*Cluster
	sets    *portset.Table
	classes []*class
	// over[f] is the reach over one family of addresses: over[f][dst*n+src].
	over [families][]portset.ID
	// own is what pods of a class may send to their own node; only for classes that
	// an administrator's policy restricts.
	own map[int]portset.ID
	// assumed counts the rules that rest on an assumption and names the first.
	assumed [assumptions]struct {
		rules int
		first string
	}
}

// class is pods that no policy tells apart.
type class struct {
	pod *Pod // any of them
	has [families]bool
	// binding are the rules that bind it, by direction.
	binding [directions]binding
	outside [directions][]Outside // filled when first asked for
}

// binding is the rules that bind a class in one direction.
type binding struct {
	admin, allow, baseline []bound
	// isolated: a NetworkPolicy selects it.
	isolated bool
}

// bound is a rule with the ports it means for the class it binds; for egress
// rules with named ports those without.
type bound struct {
	*Rule
	ports portset.ID
}

// bitset is a set of classes.
type bitset []uint64

func (b bitset) has(i int) bool { return b[i/64]&(1<<(i%64)) != 0 }
func (b bitset) set(i int)      { b[i/64] |= 1 << (i % 64) }

func (b bitset) each(f func(int)) {
	for at, word := range b {
		for ; word != 0; word &= word - 1 {
			f(at*64 + bits.TrailingZeros64(word))
		}
	}
}

// New compiles the policies of a cluster.
func New(c *Cluster) *Model {
	m := &Model{Cluster: c, sets: portset.NewTable(), own: map[int]portset.ID{}}
	m.classify()
	namespaces := map[string][]int{}
	for i, cl := range m.classes {
		namespaces[cl.pod.Workload.Namespace] = append(namespaces[cl.pod.Workload.Namespace], i)
	}
	for _, list := range [][]*Policy{c.Admin, c.Policies} {
		for _, p := range list {
			m.compile(p, namespaces)
		}
	}
	m.fill()
	for a, text := range [assumptions]string{
		podsUnknown:    "blocks of addresses that cover only some of those pods may have, which are not known here, are taken to match no pod",
		nodesUnknown:   "which nodes are selected is not known here: those peers match none",
		domainsUnknown: "the addresses of domain names are not known here: those peers match none",
	} {
		if n := m.assumed[a].rules; n > 0 {
			m.Assumptions = append(m.Assumptions, fmt.Sprintf("%s (%s, %d in all)", text, m.assumed[a].first, n))
		}
	}
	return m
}

// What answers may rest on.
const (
	podsUnknown = iota
	nodesUnknown
	domainsUnknown
	assumptions
)

// assume notes a rule whose meaning rests on an assumption.
func (m *Model) assume(what int, r *Rule) {
	a := &m.assumed[what]
	if a.rules++; a.rules == 1 {
		a.first = "as " + r.Policy.Object.Resource() + " " + r.Field()
	}
}

// classify puts pods in classes.
func (m *Model) classify() {
	labels, ports, nodeLabels := m.relevant()
	blocks := m.blocks()
	byKey := map[string]int{}
	var key strings.Builder
	for _, w := range m.Workloads {
		for _, pod := range w.Pods {
			key.Reset()
			m.key(&key, pod, labels, nodeLabels, ports, blocks)
			i, ok := byKey[key.String()]
			if !ok {
				i = len(m.classes)
				byKey[key.String()] = i
				m.classes = append(m.classes, m.newClass(pod))
			}
			pod.class = i
			if !slices.Contains(w.classes, i) {
				w.classes = append(w.classes, i)
			}
		}
	}
}

func (m *Model) newClass(pod *Pod) *class {
	cl := &class{pod: pod}
	for f := range cl.has {
		cl.has[f] = m.has[f]
		if pod.known {
			cl.has[f] = pod.ips[f].IsValid()
		}
	}
	return cl
}

// relevant is the labels of pods and nodes and the names of ports some policy asks for.
func (m *Model) relevant() (labels []string, ports map[string]bool, nodeLabels []string) {
	pods, nodes := map[string]bool{}, map[string]bool{}
	ports = map[string]bool{}
	for _, list := range [][]*Policy{m.Admin, m.Policies} {
		for _, p := range list {
			p.Subject.Pods.keys(func(k string) { pods[k] = true })
			for _, rules := range p.Rules {
				for _, r := range rules {
					for i := range r.Peers {
						r.Peers[i].Pods.keys(func(k string) { pods[k] = true })
						if r.Peers[i].Nodes != nil {
							r.Peers[i].Nodes.keys(func(k string) { nodes[k] = true })
						}
					}
					for _, n := range r.Named {
						ports[n.Name] = true
					}
				}
			}
		}
	}
	return sorted(pods), ports, sorted(nodes)
}

func sorted(set map[string]bool) []string {
	out := make([]string, 0, len(set))
	for k := range set {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

// blocks are the different sets of addresses in rules.
func (m *Model) blocks() []ipset.Set {
	var out []ipset.Set
	seen := map[string]bool{}
	for _, list := range [][]*Policy{m.Admin, m.Policies} {
		for _, p := range list {
			for _, rules := range p.Rules {
				for _, r := range rules {
					if key := r.Blocks.String(); !r.Blocks.Empty() && !seen[key] {
						seen[key] = true
						out = append(out, r.Blocks)
					}
				}
			}
		}
	}
	return out
}

// key is equal for pods no policy tells apart.
func (m *Model) key(b *strings.Builder, pod *Pod, labels, nodeLabels []string, ports map[string]bool, blocks []ipset.Set) {
	word := func(s string) {
		b.WriteString(s)
		b.WriteByte(0)
	}
	pairs := func(keys []string, have map[string]string) {
		for i, k := range keys {
			if v, ok := have[k]; ok {
				var at [4]byte
				binary.BigEndian.PutUint32(at[:], uint32(i))
				b.Write(at[:])
				word(v)
			}
		}
		b.WriteByte(1)
	}
	if pod.Host {
		word("node")
		if n := m.nodes[pod.Node]; n != nil {
			word("known")
			pairs(nodeLabels, n.labels)
		}
	} else {
		word(pod.Workload.Namespace)
		pairs(labels, pod.Labels)
		for _, p := range pod.Ports {
			if ports[p.Name] {
				word(fmt.Sprint(p.Name, p.Protocol, p.Number))
			}
		}
	}
	b.WriteByte(2)
	fmt.Fprint(b, pod.known, pod.ips[v4].IsValid(), pod.ips[v6].IsValid())
	for i, block := range blocks {
		for f := range families {
			if m.within(block, pod, f) {
				fmt.Fprintf(b, ",%d/%d", i, f)
			}
		}
	}
}

// within says whether a block matches a pod by its address of a family.
func (m *Model) within(block ipset.Set, pod *Pod, f family) bool {
	if pod.known {
		return pod.ips[f].IsValid() && block.Contains(pod.ips[f])
	}
	return m.has[f] && block.Covers(m.podRange[f])
}

// compile finds the classes a policy's rules match and binds them to the classes it is about.
func (m *Model) compile(p *Policy, namespaces map[string][]int) {
	var about []int
	m.candidates(&p.Subject, namespaces, func(i int) {
		if p.Subject.matches(m.Cluster, m.classes[i].pod) {
			about = append(about, i)
		}
	})
	for d := range directions {
		if !p.Affects[d] {
			continue
		}
		for _, i := range about {
			m.classes[i].binding[d].isolated = m.classes[i].binding[d].isolated || p.Tier == Namespaced
		}
		for _, r := range p.Rules[d] {
			m.match(r, namespaces)
			for _, i := range about {
				m.classes[i].binding[d].add(bound{r, m.portsOf(r, d, m.classes[i])})
			}
		}
	}
}

func (b *binding) add(r bound) {
	switch r.Policy.Tier {
	case Admin:
		b.admin = append(b.admin, r)
	case Namespaced:
		b.allow = append(b.allow, r)
	case Baseline:
		b.baseline = append(b.baseline, r)
	}
}

// candidates calls f with the classes a peer may match.
func (m *Model) candidates(p *Peer, namespaces map[string][]int, f func(int)) {
	if p.Namespace != "" {
		for _, i := range namespaces[p.Namespace] {
			f(i)
		}
		return
	}
	for name, list := range namespaces {
		if p.Nodes != nil || p.inNamespace(m.Cluster, name) {
			for _, i := range list {
				f(i)
			}
		}
	}
}

// match finds the classes a rule's peers match.
func (m *Model) match(r *Rule, namespaces map[string][]int) {
	r.ports = m.sets.ID(r.Ports)
	words := (len(m.classes) + 63) / 64
	both := make(bitset, 2*words)
	r.match = [families]bitset{both[:words], both[words:]}
	for i := range r.Peers {
		m.candidates(&r.Peers[i], namespaces, func(at int) {
			if r.Peers[i].matches(m.Cluster, m.classes[at].pod) {
				r.match[v4].set(at)
				r.match[v6].set(at)
			}
		})
		if r.Peers[i].Nodes != nil {
			r.Blocks = r.Blocks.Union(m.nodeAddresses(r, &r.Peers[i]))
		}
	}
	if !r.Blocks.Empty() {
		m.matchBlocks(r)
	}
	if len(r.Domains) > 0 {
		m.assume(domainsUnknown, r)
	}
}

func (m *Model) matchBlocks(r *Rule) {
	partly := false
	for at, cl := range m.classes {
		for f := range families {
			if m.within(r.Blocks, cl.pod, f) {
				r.match[f].set(at)
			} else if !cl.pod.known && m.has[f] && !r.Blocks.Intersect(m.podRange[f]).Empty() {
				partly = true
			}
		}
	}
	if partly {
		m.assume(podsUnknown, r)
	}
}

// nodeAddresses are the addresses of nodes a peer selects.
func (m *Model) nodeAddresses(r *Rule, p *Peer) ipset.Set {
	var s ipset.Set
	for _, n := range m.nodes {
		if p.Nodes.Matches(n.labels) {
			for _, ip := range n.ips {
				s = s.Union(ipset.Between(ipset.Range{First: ip, Last: ip}))
			}
		}
	}
	if len(m.nodes) == 0 {
		m.assume(nodesUnknown, r)
	}
	return s
}

// portsOf is what a rule's ports mean where named ports are those of cl; an
// egress rule's named ports are added per destination.
func (m *Model) portsOf(r *Rule, d Direction, cl *class) portset.ID {
	if d == Egress || len(r.Named) == 0 {
		return r.ports
	}
	return m.named(r, cl)
}

// named is a rule's ports with the named ones of a destination.
func (m *Model) named(r *Rule, dst *class) portset.ID {
	if len(r.Named) == 0 || dst.pod.Host {
		return r.ports
	}
	set := r.Ports
	for _, n := range r.Named {
		for _, port := range dst.pod.Ports {
			if n.Name == port.Name && (n.Any || n.Protocol == port.Protocol) {
				one, _ := portset.Of(port.Protocol, port.Number, port.Number) // checked when read
				set = set.Union(one)
			}
		}
	}
	return m.sets.ID(set)
}
