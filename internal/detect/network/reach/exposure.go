package reach

import (
	"slices"
	"strings"

	"github.com/seawall-security/seawall/internal/detect/network/ipset"
	"github.com/seawall-security/seawall/internal/detect/network/portset"
)

// Exposure is a way from outside the cluster to a workload's ports that policies leave open.
type Exposure struct {
	Workload *Workload
	// Chain is what leads there, outermost first: "LoadBalancer Service/shop/web".
	Chain []string
	// Ports are the workload's.
	Ports portset.Set
	// From are the addresses outside that may come; for routes those of the Internet.
	From ipset.Set
	// Internet: addresses of the Internet are among them.
	Internet bool
	// Assumed says what about it is not certain; "" when nothing.
	Assumed string
}

// Exposures are all ways from outside to workloads, by workload.
//
// Whether nodes and load balancers have public addresses is not in the objects: they are
// taken to, but for load balancers marked internal. Sources are judged by the client's
// address. What comes through an Ingress or a Gateway comes from its controller's pods
// where they are among the workloads, else from anywhere outside the namespace.
func (m *Model) Exposures() []Exposure {
	var out []Exposure
	for _, s := range m.Services {
		if s.Outside {
			out = m.serviceExposures(out, s)
		}
	}
	controllers := m.Controllers()
	for _, r := range m.Routes {
		out = m.routeExposures(out, r, controllers)
	}
	for _, w := range m.Workloads {
		var ports portset.Set
		for _, pod := range w.Pods {
			for _, p := range pod.Ports {
				if p.HostPort > 0 && !pod.Host {
					one, _ := portset.Of(p.Protocol, p.Number, p.Number)
					ports = ports.Union(one)
				}
			}
		}
		out = m.direct(out, w, []string{"host port of its nodes"}, ports, ipset.All())
	}
	slices.SortStableFunc(out, func(a, b Exposure) int { return strings.Compare(a.Workload.ID(), b.Workload.ID()) })
	return out
}

func (m *Model) serviceExposures(out []Exposure, s *Service) []Exposure {
	for i := range s.Ports {
		p := &s.Ports[i]
		for _, b := range m.Backends(s, p) {
			out = m.direct(out, b.Workload, []string{s.Type + " " + s.Object.Resource() + " port " + itoa(p.Port)}, b.Ports, s.From)
		}
	}
	return out
}

// direct adds the way of clients whose addresses the pods see.
func (m *Model) direct(out []Exposure, w *Workload, chain []string, ports portset.Set, from ipset.Set) []Exposure {
	var open portset.Set
	var addresses ipset.Set
	for _, o := range m.Outside(w, Ingress) {
		if both, p := o.Addresses.Intersect(from), o.Ports.Intersect(ports); !both.Empty() && !p.Empty() {
			open, addresses = open.Union(p), addresses.Union(both)
		}
	}
	if open.Empty() {
		return out
	}
	return append(out, Exposure{Workload: w, Chain: chain, Ports: open, From: addresses, Internet: !addresses.Intersect(ipset.Internet()).Empty()})
}

func (m *Model) routeExposures(out []Exposure, r *Route, controllers []*Workload) []Exposure {
	seen := map[string]bool{}
	for _, b := range r.Backends {
		s := m.Service(b.Namespace, b.Service)
		if s == nil {
			continue
		}
		for i := range s.Ports {
			p := &s.Ports[i]
			if !b.Leads(p) {
				continue
			}
			for _, end := range m.Backends(s, p) {
				e := Exposure{Workload: end.Workload, From: ipset.Internet(), Internet: true}
				e.Chain = append(slices.Clone(r.Gateways), r.Object.Resource(), s.Object.Resource()+" port "+itoa(p.Port))
				e.Ports, e.Assumed = m.fromControllers(end, controllers)
				if key := e.Workload.ID() + e.Ports.Key() + s.Object.Name; !e.Ports.Empty() && !seen[key] {
					seen[key] = true
					out = append(out, e)
				}
			}
		}
	}
	return out
}

// fromControllers is which of a backend's ports what carries out Ingresses can reach.
func (m *Model) fromControllers(b Backend, controllers []*Workload) (ports portset.Set, assumed string) {
	for _, c := range controllers {
		ports = ports.Union(m.Ports(c, b.Workload).Intersect(b.Ports))
	}
	if len(controllers) > 0 {
		return ports, ""
	}
	for _, i := range b.Workload.classes {
		if m.classes[i].pod.Host {
			return b.Ports, ""
		}
		got := m.judge(&m.classes[i].binding[Ingress], Ingress, stranger{m.Cluster, true}, false)
		ports = ports.Union(m.sets.Set(got).Intersect(b.Ports))
	}
	for _, o := range m.Outside(b.Workload, Ingress) {
		if !o.Addresses.Intersect(ipset.Internet()).Empty() {
			ports = ports.Union(o.Ports.Intersect(b.Ports))
		}
	}
	return ports, "which pods carry out the route is not known here; they are taken to be outside the namespace"
}

// FromAnyNamespace is what pods of a namespace that no policy knows of can reach on a workload.
func (m *Model) FromAnyNamespace(w *Workload) portset.Set {
	got := portset.None
	for _, i := range w.classes {
		got = m.sets.Union(got, m.judge(&m.classes[i].binding[Ingress], Ingress, stranger{m.Cluster, false}, false))
	}
	return m.sets.Set(got)
}

// stranger is a pod with no labels in a namespace that is not among the objects and
// has none. With meant, a selector that matches no known namespace is taken to mean it.
type stranger struct {
	*Cluster
	meant bool
}

func (s stranger) in(r *Rule) bool {
	return r.Any || slices.ContainsFunc(r.Peers, func(p Peer) bool {
		if p.Namespace != "" || p.Nodes != nil {
			return false
		}
		if !s.meant || p.Namespaces.Everything() {
			return p.Namespaces.Matches(nil) && p.Pods.Matches(nil)
		}
		for _, ns := range s.Namespaces {
			if p.Namespaces.Matches(ns.Labels) {
				return false
			}
		}
		return true
	})
}

func (s stranger) ports(_ *Model, _ Direction, r bound) portset.ID { return r.ports }

// Controllers are the workloads that carry out Ingresses and Gateways, by what is in
// their images' names.
func (m *Model) Controllers() []*Workload {
	var out []*Workload
	for _, w := range m.Workloads {
		if w.Spec != nil && slices.ContainsFunc(w.Spec.Containers, func(c Container) bool { return isController(c.Image) }) {
			out = append(out, w)
		}
	}
	return out
}

func isController(image string) bool {
	image, _, _ = strings.Cut(image, "@")
	name := image[strings.LastIndexByte(image, '/')+1:]
	name, _, _ = strings.Cut(name, ":")
	switch name {
	case "traefik", "contour", "kong", "kong-gateway", "haproxy-ingress", "kubernetes-ingress", "nginx-ingress", "nginx-gateway-fabric",
		"nginx-ingress-controller", "apisix", "envoy-gateway", "istio-ingressgateway", "caddy-ingress", "skipper":
		return true
	}
	return strings.Contains(image, "ingress-nginx/controller") || strings.Contains(name, "ingress-controller")
}

// Exposed says whether something leads from outside the cluster to a workload, given as
// "namespace/Kind/name", and policies let it in.
func (m *Model) Exposed(id string) bool {
	return slices.ContainsFunc(m.Exposures(), func(e Exposure) bool { return e.Workload.ID() == id })
}
