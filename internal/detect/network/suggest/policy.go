package suggest

import (
	"reflect"
	"slices"

	"github.com/seawall-security/seawall/internal/detect/network/portset"
)

// A NetworkPolicy as it is written.
type networkPolicy struct {
	APIVersion string   `yaml:"apiVersion"`
	Kind       string   `yaml:"kind"`
	Metadata   metadata `yaml:"metadata"`
	Spec       spec     `yaml:"spec"`
}

type metadata struct {
	Name      string `yaml:"name"`
	Namespace string `yaml:"namespace"`
}

type spec struct {
	Pods    selector `yaml:"podSelector"`
	Types   []string `yaml:"policyTypes"`
	Ingress []rule   `yaml:"ingress,omitempty"`
	Egress  []rule   `yaml:"egress,omitempty"`
}

type selector struct {
	Labels map[string]string `yaml:"matchLabels,omitempty"`
}

type rule struct {
	From  []peer `yaml:"from,omitempty"`
	To    []peer `yaml:"to,omitempty"`
	Ports []port `yaml:"ports,omitempty"`
}

type peer struct {
	Namespaces *selector `yaml:"namespaceSelector,omitempty"`
	Pods       *selector `yaml:"podSelector,omitempty"`
	Block      *block    `yaml:"ipBlock,omitempty"`
}

type block struct {
	CIDR   string   `yaml:"cidr"`
	Except []string `yaml:"except,omitempty"`
}

type port struct {
	Protocol string `yaml:"protocol"`
	Port     int    `yaml:"port"`
	End      int    `yaml:"endPort,omitempty"`
}

func inNamespace(name string) *selector {
	return &selector{map[string]string{"kubernetes.io/metadata.name": name}}
}

// everywhere is every address.
func everywhere() []peer {
	return []peer{{Block: &block{CIDR: "0.0.0.0/0"}}, {Block: &block{CIDR: "::/0"}}}
}

// publicInternet is every address but private, shared and link-local ones.
func publicInternet() []peer {
	return []peer{
		{Block: &block{"0.0.0.0/0", []string{"10.0.0.0/8", "100.64.0.0/10", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16"}}},
		{Block: &block{"::/0", []string{"fc00::/7", "fe80::/10"}}},
	}
}

func portsOf(s portset.Set) []port {
	var out []port
	for _, p := range portset.Protocols() {
		for _, r := range s.Ranges(p) {
			one := port{Protocol: p.String(), Port: int(r.First)}
			if r.Last > r.First {
				one.End = int(r.Last)
			}
			out = append(out, one)
		}
	}
	return out
}

// addRule adds a rule, to one with the same ports where there is one.
func addRule(rules []rule, r rule) []rule {
	for i := range rules {
		if reflect.DeepEqual(rules[i].Ports, r.Ports) && (len(rules[i].From) > 0) == (len(r.From) > 0) && (len(rules[i].To) > 0) == (len(r.To) > 0) {
			rules[i].From = addPeers(rules[i].From, r.From)
			rules[i].To = addPeers(rules[i].To, r.To)
			return rules
		}
	}
	return append(rules, r)
}

func addPeers(peers, more []peer) []peer {
	for _, p := range more {
		if !slices.ContainsFunc(peers, func(o peer) bool { return reflect.DeepEqual(o, p) }) {
			peers = append(peers, p)
		}
	}
	return peers
}
