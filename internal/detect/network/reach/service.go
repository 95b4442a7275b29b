package reach

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/seawall-security/seawall/internal/detect/network/ipset"
	"github.com/seawall-security/seawall/internal/detect/network/portset"
	"github.com/seawall-security/seawall/internal/seawall"
)

// Service is a Service. Its pods are those its selector matches; one without a
// selector, or with type ExternalName, has none here.
type Service struct {
	Object   *seawall.Object
	Selector map[string]string
	Type     string
	Ports    []ServicePort
	// Outside says that its ports are open to addresses outside the cluster: a load
	// balancer, node ports, external addresses. From limits whose; it is all but for
	// load balancers with source ranges, and private for internal ones.
	Outside bool
	From    ipset.Set
}

// ServicePort is one port of a Service.
type ServicePort struct {
	Name     string
	Protocol portset.Protocol
	Port     int
	NodePort int
	// Target is the pods' port: a number, or else a name.
	Target     int
	TargetName string
}

// Backend is a port of a workload that a Service's port leads to.
type Backend struct {
	Workload *Workload
	Ports    portset.Set
}

// Route is an Ingress or a route of the Gateway API.
type Route struct {
	Object *seawall.Object
	// Gateways are the Gateways it hangs on, by name as written.
	Gateways []string
	Backends []RouteBackend
}

// RouteBackend is a Service's port a route leads to.
type RouteBackend struct {
	Namespace, Service string
	// Port is a number, or else PortName; neither means every port.
	Port     int
	PortName string
}

// Leads says whether a port of the Service is the one the route leads to.
func (b RouteBackend) Leads(p *ServicePort) bool {
	return (b.Port == 0 || b.Port == p.Port) && (b.PortName == "" || b.PortName == p.Name)
}

type serviceJSON struct {
	Metadata meta `json:"metadata"`
	Spec     struct {
		Type        string            `json:"type"`
		Selector    map[string]string `json:"selector"`
		ExternalIPs []string          `json:"externalIPs"`
		Ranges      []string          `json:"loadBalancerSourceRanges"`
		Ports       []struct {
			Name     string          `json:"name"`
			Protocol string          `json:"protocol"`
			Port     int             `json:"port"`
			Target   json.RawMessage `json:"targetPort"`
			NodePort int             `json:"nodePort"`
		} `json:"ports"`
	} `json:"spec"`
}

type ingressJSON struct {
	Spec struct {
		Default *ingressBackend `json:"defaultBackend"`
		Rules   []struct {
			HTTP struct {
				Paths []struct {
					Backend ingressBackend `json:"backend"`
				} `json:"paths"`
			} `json:"http"`
		} `json:"rules"`
	} `json:"spec"`
}

type ingressBackend struct {
	Service struct {
		Name string `json:"name"`
		Port struct {
			Number int    `json:"number"`
			Name   string `json:"name"`
		} `json:"port"`
	} `json:"service"`
}

type routeJSON struct {
	Spec struct {
		Parents []struct {
			Kind      string `json:"kind"`
			Namespace string `json:"namespace"`
			Name      string `json:"name"`
		} `json:"parentRefs"`
		Rules []struct {
			Backends []struct {
				Group     string `json:"group"`
				Kind      string `json:"kind"`
				Namespace string `json:"namespace"`
				Name      string `json:"name"`
				Port      int    `json:"port"`
			} `json:"backendRefs"`
		} `json:"rules"`
	} `json:"spec"`
}

// entry reads what leads traffic to pods.
func (r *reader) entry(o *seawall.Object, group string) error {
	switch {
	case o.Kind == "Service" && group == "":
		return r.service(o)
	case o.Kind == "Ingress" && (group == "networking.k8s.io" || group == "extensions"):
		return r.ingress(o)
	case strings.HasSuffix(o.Kind, "Route") && group == "gateway.networking.k8s.io":
		return r.route(o)
	}
	return nil
}

func (r *reader) service(o *seawall.Object) error {
	var in serviceJSON
	if err := json.Unmarshal(o.JSON, &in); err != nil {
		return err
	}
	s := &Service{Object: o, Selector: in.Spec.Selector, Type: in.Spec.Type, From: ipset.All()}
	if s.Type == "" {
		s.Type = "ClusterIP"
	}
	r.Services = append(r.Services, s)
	if s.Type == "ExternalName" {
		s.Selector = nil
		return nil
	}
	s.Outside = s.Type == "LoadBalancer" || s.Type == "NodePort" || len(in.Spec.ExternalIPs) > 0
	if s.Type == "LoadBalancer" && internalBalancer(in.Metadata.Annotations) {
		s.From = ipset.Private()
	}
	var ranges ipset.Set
	for _, text := range in.Spec.Ranges {
		block, err := ipset.Parse(strings.TrimSpace(text))
		if err != nil {
			return err
		}
		ranges = ranges.Union(block)
	}
	if s.Type == "LoadBalancer" && !ranges.Empty() {
		s.From = s.From.Intersect(ranges)
	}
	for _, p := range in.Spec.Ports {
		protocol, err := portset.ParseProtocol(p.Protocol)
		if err != nil {
			return err
		}
		port := ServicePort{Name: p.Name, Protocol: protocol, Port: p.Port, NodePort: p.NodePort, Target: p.Port}
		var number int
		if json.Unmarshal(p.Target, &number) == nil && number != 0 {
			port.Target = number
		} else if len(p.Target) > 0 && json.Unmarshal(p.Target, &port.TargetName) == nil && port.TargetName != "" {
			port.Target = 0
		}
		s.Ports = append(s.Ports, port)
	}
	return nil
}

// internalBalancer knows the annotations by which the clouds' load balancers are
// kept from the Internet.
func internalBalancer(annotations map[string]string) bool {
	for _, name := range []string{
		"service.beta.kubernetes.io/aws-load-balancer-internal", "service.beta.kubernetes.io/aws-load-balancer-scheme",
		"service.beta.kubernetes.io/azure-load-balancer-internal", "networking.gke.io/load-balancer-type",
		"cloud.google.com/load-balancer-type", "service.beta.kubernetes.io/openstack-internal-load-balancer",
	} {
		if v := strings.ToLower(annotations[name]); v == "true" || v == "internal" {
			return true
		}
	}
	return false
}

func (r *reader) ingress(o *seawall.Object) error {
	var in ingressJSON
	if err := json.Unmarshal(o.JSON, &in); err != nil {
		return err
	}
	route := &Route{Object: o}
	add := func(b *ingressBackend) {
		if b.Service.Name != "" {
			route.Backends = append(route.Backends, RouteBackend{o.Namespace, b.Service.Name, b.Service.Port.Number, b.Service.Port.Name})
		}
	}
	if in.Spec.Default != nil {
		add(in.Spec.Default)
	}
	for _, rule := range in.Spec.Rules {
		for i := range rule.HTTP.Paths {
			add(&rule.HTTP.Paths[i].Backend)
		}
	}
	r.Routes = append(r.Routes, route)
	return nil
}

func (r *reader) route(o *seawall.Object) error {
	var in routeJSON
	if err := json.Unmarshal(o.JSON, &in); err != nil {
		return err
	}
	route := &Route{Object: o}
	for _, p := range in.Spec.Parents {
		if p.Kind != "" && p.Kind != "Gateway" {
			continue // a Service: a mesh's own routing
		}
		route.Gateways = append(route.Gateways, "Gateway/"+orElse(p.Namespace, o.Namespace)+"/"+p.Name)
	}
	for _, rule := range in.Spec.Rules {
		for _, b := range rule.Backends {
			if b.Group == "" && (b.Kind == "" || b.Kind == "Service") {
				route.Backends = append(route.Backends, RouteBackend{Namespace: orElse(b.Namespace, o.Namespace), Service: b.Name, Port: b.Port})
			}
		}
	}
	if len(route.Gateways) > 0 {
		r.Routes = append(r.Routes, route)
	}
	return nil
}

func orElse(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

func (r *reader) services() {
	slices.SortFunc(r.Services, func(a, b *Service) int { return compareObjects(a.Object, b.Object) })
	slices.SortFunc(r.Routes, func(a, b *Route) int { return compareObjects(a.Object, b.Object) })
}

func compareObjects(a, b *seawall.Object) int {
	return strings.Compare(a.Namespace+"/"+a.Kind+"/"+a.Name, b.Namespace+"/"+b.Kind+"/"+b.Name)
}

// Service finds a Service; nil when there is none.
func (c *Cluster) Service(namespace, name string) *Service {
	for _, s := range c.Services {
		if s.Object.Namespace == namespace && s.Object.Name == name {
			return s
		}
	}
	return nil
}

// Backends are the workloads behind a Service's port, with the ports it leads to
// on them; none of a named port that no pod has.
func (c *Cluster) Backends(s *Service, p *ServicePort) []Backend {
	var out []Backend
	for _, w := range c.Serves(s) {
		var ports portset.Set
		for _, pod := range w.Pods {
			if s.selects(pod) {
				ports = ports.Union(p.on(pod))
			}
		}
		if !ports.Empty() {
			out = append(out, Backend{w, ports})
		}
	}
	return out
}

// on is the port a Service's port leads to on a pod.
func (p *ServicePort) on(pod *Pod) portset.Set {
	number := p.Target
	for _, port := range pod.Ports {
		if number == 0 && port.Name == p.TargetName && port.Protocol == p.Protocol {
			number = port.Number
		}
	}
	s, _ := portset.Of(p.Protocol, number, number) // none for a port that is none
	return s
}

func (s *Service) selects(pod *Pod) bool {
	sel := Selector{MatchLabels: s.Selector}
	return len(s.Selector) > 0 && pod.Workload.Namespace == s.Object.Namespace && sel.Matches(pod.Labels)
}

// Serves are the workloads with pods a Service selects.
func (c *Cluster) Serves(s *Service) []*Workload {
	var out []*Workload
	if len(s.Selector) == 0 {
		return nil
	}
	for _, w := range c.Workloads {
		if slices.ContainsFunc(w.Pods, s.selects) {
			out = append(out, w)
		}
	}
	return out
}
