package reach

import (
	"fmt"
	"slices"
	"strings"

	"github.com/seawall-security/seawall/internal/detect/network/ipset"
	"github.com/seawall-security/seawall/internal/detect/network/portset"
	"github.com/seawall-security/seawall/internal/seawall"
)

// Endpoint is one end of a question: workloads, or addresses.
type Endpoint struct {
	Name      string
	Workloads []*Workload
	Addresses ipset.Set
	// Internet asks, as a source, for a way in from outside: something must lead to the destination.
	Internet bool
	// Ports, of a Service, are the workloads' ports it leads to.
	service *Service
}

// Answer is what may pass between two ends.
type Answer struct {
	From, To string
	// Asked are the ports asked for, Ports those of them that are open.
	Asked, Ports portset.Set
	// Sides say what decided, at the source (egress) and the destination (ingress).
	Sides []Side
	// Exposures are the ways in, of questions from the Internet.
	Exposures []Exposure
	// Note says what else the user should know; "" when nothing.
	Note string
}

// Side is what decided at one end.
type Side struct {
	Direction Direction
	Workload  string
	// Allowed says whether some of the ports asked for pass here; why in words.
	Allowed bool
	Reason  string
	// Rules are those that decided: that allow, or deny, or the policies that isolate
	// the pods without allowing.
	Rules []Decider
}

// Decider is a rule that decided; Field is "" where the policy as a whole did.
type Decider struct {
	Object *seawall.Object
	Field  string
	Action string
}

// Endpoint reads one end: "namespace/name", "namespace/kind/name", "namespace/service/name"
// (svc), a CIDR block, an address, or "internet".
func (m *Model) Endpoint(text string) (Endpoint, error) {
	e := Endpoint{Name: text}
	if text == "internet" {
		e.Internet, e.Addresses = true, ipset.Internet()
		return e, nil
	}
	if set, err := ipset.Parse(text); err == nil {
		e.Addresses = set
		e.Workloads = m.at(set)
		return e, nil
	}
	if parts := strings.Split(text, "/"); len(parts) == 3 && (sameKind(parts[1], "Service") || parts[1] == "svc") {
		s := m.Service(parts[0], parts[2])
		if s == nil {
			return e, fmt.Errorf("no Service %q in namespace %q: %w", parts[2], parts[0], seawall.ErrUsage)
		}
		e.service, e.Workloads = s, m.Serves(s)
		if len(e.Workloads) == 0 {
			return e, fmt.Errorf("Service %s/%s has no pods: %w", parts[0], parts[2], seawall.ErrUsage)
		}
		return e, nil
	}
	e.Workloads = m.Find(text)
	if len(e.Workloads) > 0 {
		return e, nil
	}
	err := fmt.Errorf("%q is no workload here, nor a CIDR block: %w", text, seawall.ErrUsage)
	return e, seawall.WithHint(err, m.suggest(text))
}

// at finds the pod that has a single address.
func (m *Model) at(set ipset.Set) []*Workload {
	r := set.Ranges()
	if len(r) != 1 || r[0].First != r[0].Last {
		return nil
	}
	f := familyOf(r[0].First)
	for _, w := range m.Workloads {
		for _, pod := range w.Pods {
			if pod.ips[f] == r[0].First && !pod.Host {
				one := *w
				one.Pods, one.classes = []*Pod{pod}, []int{pod.class}
				return []*Workload{&one}
			}
		}
	}
	return nil
}

// suggest names what the user may have meant.
func (m *Model) suggest(text string) string {
	name := text[strings.LastIndexByte(text, '/')+1:]
	var near []string
	for _, w := range m.Workloads {
		if strings.Contains(w.Name, name) && len(near) < 5 {
			near = append(near, w.ID())
		}
	}
	if len(near) > 0 {
		return "did you mean " + strings.Join(near, ", ") + "?"
	}
	return "write NAMESPACE/NAME, NAMESPACE/KIND/NAME, NAMESPACE/service/NAME, a CIDR block or internet"
}

// Check answers whether anything of from can reach to on the ports; of a Service
// these are the Service's ports.
func (m *Model) Check(from, to Endpoint, ports portset.Set) Answer {
	a := Answer{From: from.Name, To: to.Name, Asked: ports}
	switch {
	case len(from.Workloads) > 0 && len(to.Workloads) > 0:
		m.checkPods(&a, from, to)
	case len(to.Workloads) > 0:
		m.checkIn(&a, from, to)
	case len(from.Workloads) > 0:
		m.checkOut(&a, from, to)
	default:
		a.Note = "neither end is a workload: no policy of the cluster decides"
		a.Ports = ports
	}
	return a
}

// wanted is the ports asked for on a destination: those behind a Service's ports.
func (m *Model) wanted(to Endpoint, w *Workload, ports portset.Set) portset.Set {
	if to.service == nil {
		return ports
	}
	var out portset.Set
	for i := range to.service.Ports {
		p := &to.service.Ports[i]
		if !ports.Contains(p.Protocol, uint16(p.Port)) {
			continue
		}
		for _, b := range m.Backends(to.service, p) {
			if b.Workload == w {
				out = out.Union(b.Ports)
			}
		}
	}
	return out
}

func (m *Model) checkPods(a *Answer, from, to Endpoint) {
	pairs, open := 0, 0
	for _, src := range from.Workloads {
		for _, dst := range to.Workloads {
			want := m.wanted(to, dst, a.Asked)
			got := m.Ports(src, dst).Intersect(want)
			pairs++
			if !got.Empty() {
				open++
			}
			a.Ports = a.Ports.Union(got)
			a.Sides = append(a.Sides, m.side(Egress, src, dst, want), m.side(Ingress, dst, src, want))
			if len(want.Ranges(0))+len(want.Ranges(1))+len(want.Ranges(2)) == 0 {
				a.Note = "the Service has no such port, or no pod has the port it leads to"
			}
		}
	}
	if open > 0 && open < pairs {
		a.Note = fmt.Sprintf("of %d pairs of workloads, %d may connect", pairs, open)
	}
}

func (m *Model) checkIn(a *Answer, from, to Endpoint) {
	for _, dst := range to.Workloads {
		want := m.wanted(to, dst, a.Asked)
		a.Sides = append(a.Sides, m.outsideSide(Ingress, dst, from.Addresses, want))
		if from.Internet {
			for _, e := range m.Exposures() {
				if e.Workload.ID() == dst.ID() && e.Internet && !e.Ports.Intersect(want).Empty() {
					a.Exposures = append(a.Exposures, e)
					a.Ports = a.Ports.Union(e.Ports.Intersect(want))
				}
			}
			continue
		}
		for _, o := range m.Outside(dst, Ingress) {
			if !o.Addresses.Intersect(from.Addresses).Empty() {
				a.Ports = a.Ports.Union(o.Ports.Intersect(want))
			}
		}
	}
	if from.Internet && len(a.Exposures) == 0 {
		a.Note = "no Service, Ingress, Gateway route or host port leads there from outside and is let in"
	}
}

func (m *Model) checkOut(a *Answer, from, to Endpoint) {
	for _, src := range from.Workloads {
		var reached ipset.Set
		for _, o := range m.Outside(src, Egress) {
			both, ports := o.Addresses.Intersect(to.Addresses), o.Ports.Intersect(a.Asked)
			if !both.Empty() && !ports.Empty() {
				reached, a.Ports = reached.Union(both), a.Ports.Union(ports)
			}
		}
		if !reached.Empty() && !reached.Equal(to.Addresses) && !to.Internet {
			a.Note = "only " + reached.String() + " of it"
		}
		a.Sides = append(a.Sides, m.outsideSide(Egress, src, to.Addresses, a.Asked))
	}
}

// side explains one end of a question between workloads, by the pair of pods that
// passes most.
func (m *Model) side(d Direction, subject, other *Workload, ports portset.Set) Side {
	best := Side{Direction: d, Workload: subject.ID()}
	for n, s := range subject.Pods {
		for k, o := range other.Pods {
			if (n > 0 || k > 0) && (s.class == subject.Pods[0].class && o.class == other.Pods[0].class && s.Node == "" && o.Node == "") {
				continue
			}
			side := m.podSide(d, s, o, ports)
			side.Workload = subject.ID()
			if best.Reason == "" || side.Allowed && !best.Allowed {
				best = side
			}
			if best.Allowed {
				return best
			}
		}
	}
	return best
}

func (m *Model) podSide(d Direction, s, o *Pod, ports portset.Set) Side {
	sameNode := s.Node == "" || o.Node == "" || s.Node == o.Node
	switch {
	case s.Host:
		return Side{Direction: d, Allowed: true, Reason: "the pod is in its node's network: no policy binds it"}
	case s == o && s.Name != "":
		return Side{Direction: d, Allowed: true, Reason: "a pod reaches itself"}
	case d == Ingress && o.Host && sameNode:
		return Side{Direction: d, Allowed: true, Reason: "a node reaches its own pods"}
	}
	cl := m.classes[s.class]
	for f := range families {
		if !m.has[f] || !cl.has[f] || !m.classes[o.class].has[f] {
			continue
		}
		side := m.explain(d, cl, peerClass{m.classes[o.class], o.class, f}, ports, d == Egress && o.Host && sameNode)
		if side.Allowed || f == v6 || !m.has[v6] {
			return side
		}
	}
	return Side{Direction: d, Reason: "the pods have no address of the same family"}
}

// outsideSide explains the end in the cluster of a question with addresses.
func (m *Model) outsideSide(d Direction, w *Workload, addresses ipset.Set, ports portset.Set) Side {
	best := Side{Direction: d, Workload: w.ID()}
	for _, i := range w.classes {
		cl := m.classes[i]
		if cl.pod.Host {
			best.Allowed, best.Reason = true, "the pod is in its node's network: no policy binds it"
			return best
		}
		at := addresses.Ranges()[0]
		for _, o := range m.outside(cl, d) {
			if both := o.Addresses.Intersect(addresses); !both.Empty() && !o.Ports.Intersect(ports).Empty() {
				at = both.Ranges()[0]
			}
		}
		side := m.explain(d, cl, peerAddress{at}, ports, false)
		side.Workload = w.ID()
		if best.Reason == "" || side.Allowed && !best.Allowed {
			best = side
		}
	}
	return best
}

// explain finds the rules that decide about ports between a class and another end.
func (m *Model) explain(d Direction, cl *class, p peer, ports portset.Set, ownNode bool) Side {
	b := &cl.binding[d]
	side := Side{Direction: d}
	got := m.sets.Set(m.judge(b, d, p, ownNode)).Intersect(ports)
	side.Allowed = !got.Empty()
	left := ports
	for _, r := range b.admin {
		if hit := m.sets.Set(p.ports(m, d, r)).Intersect(left); p.in(r.Rule) && !hit.Empty() {
			side.decide(r, side.Allowed)
			left = left.Minus(hit)
		}
	}
	if left.Empty() && !slices.ContainsFunc(side.Rules, func(r Decider) bool { return r.Action == Pass.String() }) {
		side.Reason = "administrators' policies decide"
		return side
	}
	switch {
	case b.isolated && ownNode:
		side.Reason = "NetworkPolicies never keep a pod from its own node"
	case b.isolated:
		m.explainNamespaced(&side, cl, d, p, ports)
	default:
		for _, r := range b.baseline {
			if hit := m.sets.Set(p.ports(m, d, r)).Intersect(left); p.in(r.Rule) && !hit.Empty() {
				side.decide(r, side.Allowed)
				left = left.Minus(hit)
			}
		}
		side.Reason = "no NetworkPolicy selects the pods for " + d.String()
		if len(side.Rules) > 0 {
			side.Reason += "; administrators' policies decide"
		}
	}
	return side
}

// decide notes a rule. Of an open side those that deny the rest are left out.
func (s *Side) decide(r bound, allowed bool) {
	if allowed && r.Action == Deny {
		return
	}
	s.Rules = append(s.Rules, Decider{r.Policy.Object, r.Field(), r.Action.String()})
}

func (m *Model) explainNamespaced(side *Side, cl *class, d Direction, p peer, ports portset.Set) {
	for _, r := range cl.binding[d].allow {
		if p.in(r.Rule) && !m.sets.Set(p.ports(m, d, r)).Intersect(ports).Empty() {
			side.decide(r, side.Allowed)
		}
	}
	if side.Allowed {
		side.Reason = "a NetworkPolicy allows it"
		return
	}
	side.Reason = "NetworkPolicies isolate the pods for " + d.String() + " and none allows it"
	for _, policy := range m.Policies {
		if policy.Affects[d] && policy.Selects(m.Cluster, cl.pod) {
			side.Rules = append(side.Rules, Decider{policy.Object, "", "isolates"})
		}
	}
}
