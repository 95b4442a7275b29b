package reach

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/seawall-security/seawall/internal/detect/network/ipset"
	"github.com/seawall-security/seawall/internal/detect/network/portset"
	"github.com/seawall-security/seawall/internal/seawall"
)

// The policies as the API writes them, all kinds in one: a field that a kind
// lacks stays empty.
type policyJSON struct {
	Spec struct {
		// NetworkPolicy.
		PodSelector Selector `json:"podSelector"`
		PolicyTypes []string `json:"policyTypes"`
		// Administrators' policies.
		Tier     string      `json:"tier"`
		Priority int         `json:"priority"`
		Subject  subjectJSON `json:"subject"`

		Ingress []ruleJSON `json:"ingress"`
		Egress  []ruleJSON `json:"egress"`
	} `json:"spec"`
}

type subjectJSON struct {
	Namespaces *Selector       `json:"namespaces"`
	Pods       *namespacedJSON `json:"pods"`
}

type namespacedJSON struct {
	Namespaces Selector `json:"namespaceSelector"`
	Pods       Selector `json:"podSelector"`
}

type ruleJSON struct {
	Name      string         `json:"name"`
	Action    string         `json:"action"`
	From      []peerJSON     `json:"from"`
	To        []peerJSON     `json:"to"`
	Ports     []portJSON     `json:"ports"`
	Protocols []protocolJSON `json:"protocols"` // ClusterNetworkPolicy
}

type peerJSON struct {
	// NetworkPolicy.
	PodSelector       *Selector  `json:"podSelector"`
	NamespaceSelector *Selector  `json:"namespaceSelector"`
	IPBlock           *blockJSON `json:"ipBlock"`
	// Administrators' policies.
	subjectJSON
	Nodes       *Selector `json:"nodes"`
	Networks    []string  `json:"networks"`
	DomainNames []string  `json:"domainNames"`
}

type blockJSON struct {
	CIDR   string   `json:"cidr"`
	Except []string `json:"except"`
}

type portJSON struct {
	// NetworkPolicy; Port is a number or a name.
	Protocol string          `json:"protocol"`
	Port     json.RawMessage `json:"port"`
	EndPort  int             `json:"endPort"`
	// AdminNetworkPolicy.
	PortNumber *struct {
		Protocol string `json:"protocol"`
		Port     int    `json:"port"`
	} `json:"portNumber"`
	PortRange *struct {
		Protocol string `json:"protocol"`
		Start    int    `json:"start"`
		End      int    `json:"end"`
	} `json:"portRange"`
	NamedPort string `json:"namedPort"`
}

type protocolJSON struct {
	TCP   *destinationJSON `json:"tcp"`
	UDP   *destinationJSON `json:"udp"`
	SCTP  *destinationJSON `json:"sctp"`
	Named string           `json:"destinationNamedPort"`
}

type destinationJSON struct {
	Port *struct {
		Number int `json:"number"`
		Range  *struct {
			Start int `json:"start"`
			End   int `json:"end"`
		} `json:"range"`
	} `json:"destinationPort"`
}

// readPolicy reads a policy of any kind. What the API server would refuse is an
// error, with the field.
func readPolicy(o *seawall.Object) (*Policy, error) {
	var in policyJSON
	if err := json.Unmarshal(o.JSON, &in); err != nil {
		return nil, err
	}
	p := &Policy{Object: o, Priority: in.Spec.Priority}
	if o.Kind == "NetworkPolicy" {
		p.Tier, p.Subject = Namespaced, Peer{Namespace: o.Namespace, Pods: in.Spec.PodSelector}
		if err := p.types(in.Spec.PolicyTypes, len(in.Spec.Egress) > 0); err != nil {
			return nil, err
		}
	} else {
		if err := p.administrator(o.Kind, in.Spec.Tier, &in.Spec.Subject); err != nil {
			return nil, err
		}
		p.Affects = [directions]bool{Ingress: len(in.Spec.Ingress) > 0, Egress: len(in.Spec.Egress) > 0}
	}
	if err := cmp.Or(p.Subject.Pods.check(), p.Subject.Namespaces.check()); err != nil {
		return nil, fmt.Errorf("the selector of its pods: %w", err)
	}
	for d, rules := range [directions][]ruleJSON{in.Spec.Ingress, in.Spec.Egress} {
		for i := range rules {
			r := &Rule{Policy: p, Direction: Direction(d), Index: i}
			if err := r.read(&rules[i]); err != nil {
				return nil, fmt.Errorf("%s: %w", r.Field(), err)
			}
			p.Rules[d] = append(p.Rules[d], r)
		}
	}
	return p, nil
}

// types is which directions a NetworkPolicy affects: what it says, else ingress,
// and egress when it has rules for it.
func (p *Policy) types(words []string, egress bool) error {
	if len(words) == 0 {
		p.Affects = [directions]bool{Ingress: true, Egress: egress}
	}
	for _, w := range words {
		switch w {
		case "Ingress":
			p.Affects[Ingress] = true
		case "Egress":
			p.Affects[Egress] = true
		default:
			return fmt.Errorf("spec.policyTypes: unknown type %q (want Ingress or Egress)", w)
		}
	}
	return nil
}

func (p *Policy) administrator(kind, tier string, subject *subjectJSON) error {
	switch {
	case kind == "AdminNetworkPolicy", kind == "ClusterNetworkPolicy" && tier == "Admin":
		p.Tier = Admin
	case kind == "ClusterNetworkPolicy" && tier == "Baseline":
		p.Tier = Baseline
	case kind == "BaselineAdminNetworkPolicy":
		p.Tier, p.Priority = Baseline, 1001 // behind every ClusterNetworkPolicy
	default:
		return fmt.Errorf("spec.tier: unknown tier %q (want Admin or Baseline)", tier)
	}
	peer, ok := subject.peer()
	if !ok {
		return errors.New("spec.subject: exactly one of namespaces and pods is needed")
	}
	p.Subject = peer
	return nil
}

func (s *subjectJSON) peer() (Peer, bool) {
	switch {
	case s.Namespaces != nil && s.Pods == nil:
		return Peer{Namespaces: *s.Namespaces}, true
	case s.Pods != nil && s.Namespaces == nil:
		return Peer{Namespaces: s.Pods.Namespaces, Pods: s.Pods.Pods}, true
	}
	return Peer{}, false
}

func (r *Rule) read(in *ruleJSON) error {
	peers := in.From
	if r.Direction == Egress {
		peers = in.To
	}
	if r.Policy.Tier == Namespaced {
		r.Any = len(peers) == 0
	} else if err := r.action(in.Action, len(peers)); err != nil {
		return err
	}
	for i := range peers {
		if err := r.peer(&peers[i]); err != nil {
			word := [...]string{"from", "to"}[r.Direction]
			return fmt.Errorf("%s[%d]: %w", word, i, err)
		}
	}
	r.AllPorts = len(in.Ports) == 0 && len(in.Protocols) == 0
	for i := range in.Ports {
		if err := r.port(&in.Ports[i]); err != nil {
			return fmt.Errorf("ports[%d]: %w", i, err)
		}
	}
	for i := range in.Protocols {
		if err := r.protocol(&in.Protocols[i]); err != nil {
			return fmt.Errorf("protocols[%d]: %w", i, err)
		}
	}
	if r.AllPorts || r.closed {
		r.AllPorts, r.Ports, r.Named = true, portset.All(), nil
	}
	return nil
}

func (r *Rule) action(word string, peers int) error {
	switch word {
	case "Allow", "Accept":
		r.Action = Allow
	case "Deny":
		r.Action = Deny
	case "Pass":
		r.Action = Pass
	default:
		return fmt.Errorf("unknown action %q (want Allow, Deny or Pass)", word)
	}
	if word == "Pass" && r.Policy.Object.Kind == "BaselineAdminNetworkPolicy" {
		return errors.New("a baseline policy cannot Pass")
	}
	if peers == 0 {
		return errors.New("a rule of an administrator's policy needs a peer")
	}
	return nil
}

// peer adds one peer. One with no field that is known here fails closed: an allowing
// rule then matches nothing with it, another one denies everything.
func (r *Rule) peer(in *peerJSON) error {
	if r.Policy.Tier == Namespaced {
		return r.namespacedPeer(in)
	}
	peer, ok := in.peer()
	switch {
	case ok:
		r.Peers = append(r.Peers, peer)
		return cmp.Or(peer.Namespaces.check(), peer.Pods.check())
	case in.Nodes != nil:
		r.Peers = append(r.Peers, Peer{Nodes: in.Nodes})
		return in.Nodes.check()
	case len(in.Networks) > 0:
		for _, text := range in.Networks {
			block, err := ipset.Parse(text)
			if err != nil {
				return err
			}
			r.Blocks = r.Blocks.Union(block)
		}
	case len(in.DomainNames) > 0:
		r.Domains = append(r.Domains, in.DomainNames...)
	case r.Action != Allow:
		r.Any, r.Action, r.closed = true, Deny, true
	}
	return nil
}

func (r *Rule) namespacedPeer(in *peerJSON) error {
	switch {
	case in.IPBlock != nil && (in.PodSelector != nil || in.NamespaceSelector != nil):
		return errors.New("ipBlock cannot be with a selector in one peer")
	case in.IPBlock != nil:
		block, err := in.IPBlock.set()
		if err != nil {
			return err
		}
		r.Blocks = r.Blocks.Union(block)
		return nil
	case in.PodSelector == nil && in.NamespaceSelector == nil:
		return errors.New("a peer needs a podSelector, a namespaceSelector or an ipBlock")
	}
	p := Peer{Namespace: r.Policy.Object.Namespace}
	if in.NamespaceSelector != nil {
		p.Namespace, p.Namespaces = "", *in.NamespaceSelector
	}
	if in.PodSelector != nil {
		p.Pods = *in.PodSelector
	}
	r.Peers = append(r.Peers, p)
	return cmp.Or(p.Namespaces.check(), p.Pods.check())
}

func (b *blockJSON) set() (ipset.Set, error) {
	set, err := ipset.Parse(b.CIDR)
	if err != nil {
		return set, fmt.Errorf("ipBlock.cidr: %w", err)
	}
	whole := set
	for _, text := range b.Except {
		except, err := ipset.Parse(text)
		switch {
		case err != nil:
			return set, fmt.Errorf("ipBlock.except: %w", err)
		case !whole.Covers(except):
			return set, fmt.Errorf("ipBlock.except: %s is not within %s", text, b.CIDR)
		}
		set = set.Minus(except)
	}
	return set, nil
}

func (r *Rule) port(in *portJSON) error {
	switch {
	case in.PortNumber != nil:
		return r.addPorts(in.PortNumber.Protocol, in.PortNumber.Port, in.PortNumber.Port)
	case in.PortRange != nil:
		return r.addPorts(in.PortRange.Protocol, in.PortRange.Start, in.PortRange.End)
	case in.NamedPort != "":
		r.Named = append(r.Named, NamedPort{Name: in.NamedPort, Any: true})
		return nil
	case r.Policy.Tier != Namespaced:
		return errors.New("exactly one of portNumber, portRange and namedPort is needed")
	case len(in.Port) == 0 || string(in.Port) == "null":
		if in.EndPort != 0 {
			return errors.New("endPort needs port")
		}
		return r.addPorts(in.Protocol, 1, 65535)
	}
	var number int
	if json.Unmarshal(in.Port, &number) == nil {
		last := cmp.Or(in.EndPort, number)
		return r.addPorts(in.Protocol, number, last)
	}
	var name string
	if err := json.Unmarshal(in.Port, &name); err != nil || name == "" {
		return errors.New("port: want a number or a name")
	}
	if in.EndPort != 0 {
		return errors.New("endPort needs a port that is a number")
	}
	p, err := portset.ParseProtocol(in.Protocol)
	r.Named = append(r.Named, NamedPort{Name: name, Protocol: p})
	return err
}

func (r *Rule) protocol(in *protocolJSON) error {
	if in.Named != "" {
		r.Named = append(r.Named, NamedPort{Name: in.Named, Any: true})
		return nil
	}
	for name, d := range map[string]*destinationJSON{"TCP": in.TCP, "UDP": in.UDP, "SCTP": in.SCTP} {
		switch {
		case d == nil:
			continue
		case d.Port == nil:
			return r.addPorts(name, 1, 65535)
		case d.Port.Range != nil:
			return r.addPorts(name, d.Port.Range.Start, d.Port.Range.End)
		}
		return r.addPorts(name, d.Port.Number, d.Port.Number)
	}
	return errors.New("exactly one of tcp, udp, sctp and destinationNamedPort is needed")
}

func (r *Rule) addPorts(protocol string, first, last int) error {
	p, err := portset.ParseProtocol(protocol)
	if err != nil {
		return err
	}
	s, err := portset.Of(p, first, last)
	if err != nil {
		return err
	}
	r.Ports = r.Ports.Union(s)
	return nil
}

// sortPolicies puts administrators' policies in the order they apply in. Of equal
// priority the API leaves it open; here the name decides.
func sortPolicies(c *Cluster) {
	slices.SortFunc(c.Policies, func(a, b *Policy) int {
		return cmp.Or(cmp.Compare(a.Object.Namespace, b.Object.Namespace), cmp.Compare(a.Object.Name, b.Object.Name))
	})
	slices.SortFunc(c.Admin, func(a, b *Policy) int {
		return cmp.Or(cmp.Compare(a.Tier, b.Tier), cmp.Compare(a.Priority, b.Priority),
			cmp.Compare(a.Object.Name, b.Object.Name), cmp.Compare(a.Object.Kind, b.Object.Kind))
	})
}
