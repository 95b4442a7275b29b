package network

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/seawall-security/seawall/internal/detect/network/ipset"
	"github.com/seawall-security/seawall/internal/detect/network/reach"
	"github.com/seawall-security/seawall/internal/seawall"
)

func (j *judge) policies() []*reach.Policy { return slices.Concat(j.Policies, j.Admin) }

// selectors finds policies about no pods, about pods they do not bind, and rules
// that match nobody. Of manifests only what they can show: selectors within a
// namespace whose workloads are among them.
func (j *judge) selectors() {
	for _, p := range j.policies() {
		name := p.Object.Kind + " " + strings.TrimPrefix(p.Object.Namespace+"/"+p.Object.Name, "/")
		if !j.live && !j.shown(p.Object.Namespace) {
			continue
		}
		j.looked(ruleNoPods, 1)
		j.looked(ruleHost, 1)
		selected := j.Selected(p)
		if host := j.hostPods(p); len(host) > 0 {
			j.fail(ruleHost, 0, name+" selects pods it cannot bind", some(host), "", p.Object.Location("spec.podSelector"))
		} else if len(selected) == 0 {
			if p.Subject.Pods.Everything() {
				continue // the default of a namespace whose pods are yet to come
			}
			field := "spec.podSelector"
			if p.Tier != reach.Namespaced {
				field = "spec.subject"
			}
			j.fail(ruleNoPods, 0, name+" selects no pods", "", "", p.Object.Location(field))
			continue
		}
		for _, rules := range p.Rules {
			for _, r := range rules {
				j.looked(ruleNoPeer, 1)
				if !j.MatchesSomething(r) && (j.live || within(r)) {
					j.fail(ruleNoPeer, 0, fmt.Sprintf("%s: %s rule %d matches nobody", name, r.Direction, r.Index+1), "", "", p.Object.Location(r.Field()))
				}
			}
		}
	}
}

// shown says whether workloads of a namespace are among the objects; for "" any.
func (j *judge) shown(namespace string) bool {
	return slices.ContainsFunc(j.Workloads, func(w *reach.Workload) bool { return namespace == "" || w.Namespace == namespace })
}

// within says whether a rule's peers are all in the policy's own namespace.
func within(r *reach.Rule) bool {
	return !slices.ContainsFunc(r.Peers, func(p reach.Peer) bool { return p.Namespace == "" })
}

// peersKnown says whether every rule of a policy has a peer here. Manifests do
// not show those of other namespaces, as DNS and ingress controllers.
func (j *judge) peersKnown(p *reach.Policy) bool {
	for _, rules := range p.Rules {
		if slices.ContainsFunc(rules, func(r *reach.Rule) bool { return !j.MatchesSomething(r) || !j.live && !within(r) }) {
			return false
		}
	}
	return true
}

// hostPods are workloads in their node's network whose labels a NetworkPolicy selects.
func (j *judge) hostPods(p *reach.Policy) []string {
	var out []string
	if p.Tier != reach.Namespaced || p.Subject.Pods.Everything() {
		return nil // one for the whole namespace is not about them
	}
	for _, w := range j.Workloads {
		if w.Host() && w.Namespace == p.Object.Namespace && slices.ContainsFunc(w.Pods, func(pod *reach.Pod) bool { return p.Subject.Pods.Matches(pod.Labels) }) {
			out = append(out, w.Kind+"/"+w.Name)
		}
	}
	return out
}

// openRules finds rules that allow everything.
func (j *judge) openRules() {
	everywhere := ipset.Of(netip.MustParsePrefix("0.0.0.0/0"))
	everywhere6 := ipset.Of(netip.MustParsePrefix("::/0"))
	for _, p := range j.policies() {
		for d, rules := range p.Rules {
			id := []string{ruleAllIngress, ruleAllEgress}[d]
			if !p.Affects[d] {
				continue
			}
			j.looked(id, 1)
			for _, r := range rules {
				all := r.Any || r.Blocks.Covers(everywhere) || r.Blocks.Covers(everywhere6)
				if r.Action == reach.Allow && all && r.AllPorts {
					title := fmt.Sprintf("%s allows all %s", p.Object.Resource(), r.Direction)
					j.fail(id, 0, title, r.Field(), "", p.Object.Location(r.Field()))
				}
			}
		}
	}
}

// namedPorts finds names of ports in policies that no destination has.
func (j *judge) namedPorts() {
	for _, p := range j.policies() {
		selected := j.Selected(p)
		for d, rules := range p.Rules {
			for _, r := range rules {
				if len(r.Named) == 0 || len(selected) == 0 || !j.live && d == int(reach.Egress) && !within(r) {
					continue
				}
				destinations := selected
				if reach.Direction(d) == reach.Egress {
					destinations = j.Workloads
				}
				j.looked(ruleNamedPort, len(r.Named))
				for _, n := range r.Named {
					if !slices.ContainsFunc(destinations, func(w *reach.Workload) bool { return hasPort(w, n) }) {
						title := fmt.Sprintf("%s names port %q, which no pod has", p.Object.Resource(), n.Name)
						j.fail(ruleNamedPort, 0, title, r.Field(), "", p.Object.Location(r.Field()+".ports"))
					}
				}
			}
		}
	}
}

func hasPort(w *reach.Workload, n reach.NamedPort) bool {
	return slices.ContainsFunc(w.Pods, func(pod *reach.Pod) bool {
		return slices.ContainsFunc(pod.Ports, func(p reach.Port) bool { return p.Name == n.Name && (n.Any || p.Protocol == n.Protocol) })
	})
}

// services finds Services and routes that lead nowhere.
func (j *judge) services() {
	for _, s := range j.Services {
		if len(s.Selector) == 0 || !j.live && !j.shown(s.Object.Namespace) {
			continue
		}
		j.looked(ruleNoBackend, 1)
		served := j.Serves(s)
		if len(served) == 0 {
			j.fail(ruleNoBackend, 0, "Service "+s.Object.Namespace+"/"+s.Object.Name+" selects no pods", "", "", s.Object.Location("spec.selector"))
			continue
		}
		for i := range s.Ports {
			p := &s.Ports[i]
			if p.Target != 0 {
				continue
			}
			j.looked(ruleTargetPort, 1)
			n := reach.NamedPort{Name: p.TargetName, Protocol: p.Protocol}
			if !slices.ContainsFunc(served, func(w *reach.Workload) bool { return hasPort(w, n) }) {
				j.fail(ruleTargetPort, 0, fmt.Sprintf("Service %s/%s leads to port %q, which no pod has", s.Object.Namespace, s.Object.Name, p.TargetName), "", "",
					s.Object.Location(fmt.Sprintf("spec.ports[%d].targetPort", i)))
			}
		}
	}
	for _, r := range j.Routes {
		for _, b := range r.Backends {
			if !j.live && !j.namespaceHasServices(b.Namespace) {
				continue
			}
			j.looked(ruleNoService, 1)
			if j.Service(b.Namespace, b.Service) == nil {
				j.fail(ruleNoService, 0, r.Object.Resource()+" leads to Service "+b.Namespace+"/"+b.Service+", which does not exist", "", "", r.Object.Location("spec"))
			}
		}
	}
}

func (j *judge) namespaceHasServices(name string) bool {
	return slices.ContainsFunc(j.Services, func(s *reach.Service) bool { return s.Object.Namespace == name })
}

// overlaps finds policies that change nothing, contradict one another or never apply.
func (j *judge) overlaps() {
	for _, p := range j.Policies {
		if len(p.Rules[reach.Ingress])+len(p.Rules[reach.Egress]) == 0 {
			continue // a default deny is for the pods to come, too
		}
		if !j.peersKnown(p) {
			continue // whom it is for may be yet to come: it is not to be removed
		}
		j.looked(ruleRedundant, 1)
		if j.Redundant(p) {
			j.fail(ruleRedundant, 0, p.Object.Resource()+" changes nothing", "", "", p.Object.Location(""))
		}
	}
	for i, p := range j.Admin {
		j.looked(rulePriority, 1)
		for _, o := range j.Admin[i+1:] {
			if p.Tier == o.Tier && p.Priority == o.Priority && sameDirection(p, o) {
				if both := j.both(p, o); len(both) > 0 {
					title := fmt.Sprintf("%s and %s have the same priority", p.Object.Resource(), o.Object.Resource())
					j.fail(rulePriority, 0, title, fmt.Sprintf("priority %d, about %s", p.Priority, some(both)), "", p.Object.Location("spec.priority"), o.Object.Location("spec.priority"))
				}
			}
		}
		for _, rules := range p.Rules {
			j.looked(ruleIdle, len(rules))
		}
	}
	if len(j.Admin) == 0 {
		return // NetworkPolicies only add: each of their rules applies
	}
	for _, r := range j.Idle() {
		title := fmt.Sprintf("%s: %s rule %d never applies", r.Policy.Object.Resource(), r.Direction, r.Index+1)
		j.fail(ruleIdle, 0, title, "", "", r.Policy.Object.Location(r.Field()))
	}
}

func sameDirection(p, o *reach.Policy) bool {
	return p.Affects[reach.Ingress] && o.Affects[reach.Ingress] || p.Affects[reach.Egress] && o.Affects[reach.Egress]
}

// both are the workloads two policies are about.
func (j *judge) both(p, o *reach.Policy) []string {
	var out []string
	other := j.Selected(o)
	for _, w := range j.Selected(p) {
		if slices.Contains(other, w) {
			out = append(out, w.ID())
		}
	}
	return out
}

// plugin judges by the DaemonSets of a cluster whether its network plugin enforces policies.
func (j *judge) plugin(configs []seawall.ConfigFact) {
	if !j.live {
		j.missing("manifests do not show the cluster's network plugin", rulePlugin)
		return
	}
	var flannel *reach.Workload
	for _, w := range j.Workloads {
		if w.Kind != "DaemonSet" {
			continue
		}
		switch {
		case enforces(w.Name):
			j.looked(rulePlugin, 1)
			return
		case strings.HasPrefix(w.Name, "kube-flannel"):
			flannel = w
		}
	}
	for i := range configs {
		if d := configs[i].Data["distribution"]; configs[i].Kind == "kubernetes/version" && (d == "k3s" || d == "rke2" || d == "openshift") {
			j.looked(rulePlugin, 1) // enforce them themselves
			return
		}
	}
	if flannel != nil {
		j.fail(rulePlugin, 0, "Flannel does not enforce network policies", flannel.ID(), "", location(flannel))
		return
	}
	j.missing("no network plugin known here is among the DaemonSets", rulePlugin)
}

func enforces(daemonSet string) bool {
	return slices.ContainsFunc([]string{"calico-node", "cilium", "antrea-agent", "kube-router", "ovnkube-node", "ovs-node", "canal", "kube-network-policies", "weave-net", "azure-npm", "tungsten", "kube-ovn-cni", "romana-agent"},
		func(known string) bool { return daemonSet == known || strings.HasPrefix(daemonSet, known+"-") })
}
