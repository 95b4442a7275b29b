package suggest

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/seawall-security/seawall/internal/detect/network/portset"
	"github.com/seawall-security/seawall/internal/detect/network/reach"
	"github.com/seawall-security/seawall/internal/seawall"
)

// Flow is traffic that must go on. From and To are workloads; where From is nil it
// is the pods of Namespace, or what Source says; where To is nil, what Host says, or the API server.
type Flow struct {
	From, To  *reach.Workload
	Namespace string
	Source    Source
	// Host is a name or address outside the cluster.
	Host  string
	Ports portset.Set
	// Why is how it is known; Guess that nothing shows it.
	Why   string
	Guess bool
}

// Source is where a flow comes from that is no workload.
type Source int

// The sources.
const (
	Inside    Source = iota // pods of Flow.Namespace
	Clients                 // addresses outside the cluster
	AnyPods                 // pods of any namespace
	APIServer               // the API server, whose address is not known
)

// outgoing says whether the flow needs egress of pods.
func (f *Flow) outgoing() bool { return f.Source == Inside }

// from is the peers of an ingress rule.
func (f *Flow) from() []peer {
	switch {
	case f.From != nil && f.From.Host():
		return everywhere() // a node's address
	case f.From != nil:
		return []peer{podsOf(f.From, f.To.Namespace)}
	case f.Source == Clients, f.Source == APIServer:
		return everywhere()
	case f.Source == AnyPods:
		return []peer{{Namespaces: &selector{}}}
	}
	return []peer{{Pods: &selector{}}}
}

// to is the peers of an egress rule.
func (f *Flow) to() []peer {
	switch {
	case f.To != nil && f.To.Host():
		return everywhere()
	case f.To != nil:
		namespace := f.Namespace
		if f.From != nil {
			namespace = f.From.Namespace
		}
		return []peer{podsOf(f.To, namespace)}
	case f.Host == "":
		return everywhere() // the API server
	}
	if ip, err := netip.ParseAddr(f.Host); err == nil {
		return []peer{{Block: &block{CIDR: netip.PrefixFrom(ip, ip.BitLen()).String()}}}
	}
	return publicInternet()
}

// podsOf selects a workload's pods, as seen from a namespace.
func podsOf(w *reach.Workload, from string) peer {
	p := peer{Pods: &selector{selectorOf(w)}}
	if w.Namespace != from {
		p.Namespaces = inNamespace(w.Namespace)
	}
	return p
}

// comment says why the rule is there; in tells the side it is on.
func (f *Flow) comment(in bool) string {
	guess := ""
	if f.Guess {
		guess = "Guessed: "
	}
	word := "to"
	if in {
		word = "on"
	}
	return fmt.Sprintf("%s%s, %s %s.", guess, f.Why, word, f.Ports)
}

// flows finds what must go on.
func (s *suggester) flows() {
	called := map[string]bool{}
	for _, w := range s.Workloads {
		for _, c := range s.calls(w) {
			s.call(w, c, called)
		}
		s.apiServer(w)
		s.scraped(w)
	}
	exposed := map[string]bool{}
	for _, svc := range s.Services {
		s.entries(svc, exposed)
	}
	for _, r := range s.Routes {
		s.route(r, exposed)
	}
	s.hostPorts()
	for _, svc := range s.Services {
		id := svc.Object.Namespace + "/" + svc.Object.Name
		for i := range svc.Ports {
			for _, b := range s.Backends(svc, &svc.Ports[i]) {
				s.unknown(svc, b, called[id] || exposed[id])
			}
		}
	}
}

// unknown adds for a Service that nothing is known to use the pods of its namespace,
// and for the pods of a StatefulSet one another.
func (s *suggester) unknown(svc *reach.Service, b reach.Backend, known bool) {
	if b.Workload.Kind == "StatefulSet" {
		s.found = append(s.found, Flow{From: b.Workload, To: b.Workload, Ports: b.Ports, Guess: true,
			Why: "pods of StatefulSet " + b.Workload.Name + " talk to one another"})
	}
	if !known {
		s.found = append(s.found, Flow{To: b.Workload, Namespace: svc.Object.Namespace, Ports: b.Ports, Guess: true,
			Why: "no setting names Service " + svc.Object.Name + ", so any pod of its namespace may use it"})
	}
}

// call adds what one reference to a name means.
func (s *suggester) call(w *reach.Workload, c reference, called map[string]bool) {
	svc := s.Service(c.namespace, c.name)
	if svc == nil || svc.Type == "ExternalName" {
		host := c.host
		if svc != nil {
			host = "Service " + c.name
		}
		ports := c.ports
		if ports.Empty() {
			ports, _ = portset.Of(portset.TCP, 443, 443)
		}
		s.found = append(s.found, Flow{From: w, Namespace: w.Namespace, Host: host, Ports: ports,
			Why: c.where + " names " + host + ", which is outside the cluster"})
		return
	}
	called[c.namespace+"/"+c.name] = true
	some := slices.ContainsFunc(svc.Ports, func(p reach.ServicePort) bool { return c.ports.Contains(p.Protocol, uint16(p.Port)) })
	for i := range svc.Ports {
		p := &svc.Ports[i]
		if some && !c.ports.Contains(p.Protocol, uint16(p.Port)) {
			continue
		}
		for _, b := range s.Backends(svc, p) {
			s.found = append(s.found, Flow{From: w, To: b.Workload, Namespace: w.Namespace, Ports: b.Ports,
				Why: fmt.Sprintf("%s of %s %s/%s names Service %s", c.where, w.Kind, w.Namespace, w.Name, c.namespace+"/"+c.name)})
		}
	}
}

// apiServer adds the way to the API server for pods with an account of their own.
func (s *suggester) apiServer(w *reach.Workload) {
	if w.Spec == nil || w.Spec.Account == "" || w.Spec.Account == "default" || w.Spec.Automount != nil && !*w.Spec.Automount {
		return
	}
	a, _ := portset.Parse("tcp/443")
	b, _ := portset.Parse("tcp/6443")
	s.found = append(s.found, Flow{From: w, Namespace: w.Namespace, Ports: a.Union(b), Guess: true,
		Why: "ServiceAccount " + w.Spec.Account + " is there to ask the API server; put its address in place of every address"})
}

// scraped adds the way in for Prometheus where annotations ask for it.
func (s *suggester) scraped(w *reach.Workload) {
	for _, pod := range w.Pods {
		if pod.Annotations["prometheus.io/scrape"] != "true" {
			continue
		}
		ports, err := portset.Parse("tcp/" + cmp.Or(pod.Annotations["prometheus.io/port"], "80"))
		if err != nil {
			continue
		}
		f := Flow{To: w, Source: AnyPods, Ports: ports, Why: "annotation prometheus.io/scrape asks for it"}
		for _, p := range s.Workloads {
			if p.Spec != nil && slices.ContainsFunc(p.Spec.Containers, func(c reach.Container) bool { return strings.Contains(c.Image, "/prometheus:") }) {
				f.From, f.Source = p, Inside
			}
		}
		s.found = append(s.found, f)
		return
	}
}

// entries adds what comes to a Service from outside and from the API server.
func (s *suggester) entries(svc *reach.Service, exposed map[string]bool) {
	id := svc.Object.Namespace + "/" + svc.Object.Name
	for i := range svc.Ports {
		p := &svc.Ports[i]
		for _, b := range s.Backends(svc, p) {
			if svc.Outside {
				exposed[id] = true
				s.found = append(s.found, Flow{To: b.Workload, Source: Clients, Ports: b.Ports, Why: svc.Type + " Service " + svc.Object.Name + " is open to clients outside"})
			}
			if slices.Contains(s.hooks[id], p.Port) {
				exposed[id] = true
				s.found = append(s.found, Flow{To: b.Workload, Source: APIServer, Ports: b.Ports, Why: "the API server calls Service " + svc.Object.Name + " (a webhook or an API); its address is not known here"})
			}
		}
	}
}

// route adds what comes through an Ingress or a Gateway.
func (s *suggester) route(r *reach.Route, exposed map[string]bool) {
	controllers := s.Controllers()
	for _, b := range r.Backends {
		svc := s.Service(b.Namespace, b.Service)
		if svc == nil {
			continue
		}
		exposed[b.Namespace+"/"+b.Service] = true
		for i := range svc.Ports {
			p := &svc.Ports[i]
			if !b.Leads(p) {
				continue
			}
			for _, end := range s.Backends(svc, p) {
				why := r.Object.Kind + " " + r.Object.Name + " leads to Service " + svc.Object.Name
				for _, c := range controllers {
					s.found = append(s.found, Flow{From: c, To: end.Workload, Namespace: c.Namespace, Ports: end.Ports, Why: why})
				}
				if len(controllers) == 0 {
					s.found = append(s.found, Flow{To: end.Workload, Source: AnyPods, Ports: end.Ports, Guess: true, Why: why + "; which pods carry it out is not known, so any namespace"})
				}
			}
		}
	}
}

// hostPorts adds what comes to ports of the nodes.
func (s *suggester) hostPorts() {
	for _, w := range s.Workloads {
		for _, pod := range w.Pods {
			for _, p := range pod.Ports {
				if p.HostPort > 0 && !pod.Host {
					ports, _ := portset.Of(p.Protocol, p.Number, p.Number) // checked when read
					s.found = append(s.found, Flow{To: w, Source: Clients, Ports: ports, Why: fmt.Sprintf("host port %d is open to clients outside", p.HostPort)})
				}
			}
		}
	}
}

// webhooks are the ports of Services the API server calls, by "namespace/name".
func webhooks(objects []seawall.Object) map[string][]int {
	out := map[string][]int{}
	for i := range objects {
		o := &objects[i]
		type client struct {
			Service struct {
				Namespace string `json:"namespace"`
				Name      string `json:"name"`
				Port      int    `json:"port"`
			} `json:"service"`
		}
		var in struct {
			Webhooks []struct {
				Client client `json:"clientConfig"`
			} `json:"webhooks"`
			Spec struct {
				client
				Conversion struct {
					Webhook struct {
						Client client `json:"clientConfig"`
					} `json:"webhook"`
				} `json:"conversion"`
			} `json:"spec"`
		}
		switch o.Kind {
		case "ValidatingWebhookConfiguration", "MutatingWebhookConfiguration", "APIService", "CustomResourceDefinition":
		default:
			continue
		}
		if json.Unmarshal(o.JSON, &in) != nil {
			continue // the reader of the objects has told
		}
		clients := []client{in.Spec.client, in.Spec.Conversion.Webhook.Client}
		for _, w := range in.Webhooks {
			clients = append(clients, w.Client)
		}
		for _, c := range clients {
			if c.Service.Name != "" {
				id := c.Service.Namespace + "/" + c.Service.Name
				out[id] = append(out[id], cmp.Or(c.Service.Port, 443))
			}
		}
	}
	return out
}
