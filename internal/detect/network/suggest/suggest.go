// Package suggest writes the network policies a cluster needs today: per namespace a
// default deny, DNS, and for every workload what its Services, routes, settings and
// webhooks show to be used.
//
//	model + objects -> flows (flow.go: who calls whom, and how that is known)
//	               -> policies (policy.go) -> YAML with the reasons as comments
//
// No object says who uses a Service. Callers are found by the names of Services in
// environment variables, arguments and ConfigMaps; where none is found, the pods of
// the Service's own namespace are taken to be. Every such guess is a comment.
package suggest

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/seawall-security/seawall/internal/detect/network/reach"
	"github.com/seawall-security/seawall/internal/seawall"
)

// Options choose what is written.
type Options struct {
	// DefaultDeny adds a policy per namespace that denies what nothing allows.
	DefaultDeny bool
	// Namespaces are those to write for; none means all but the cluster's own.
	Namespaces []string
}

// Set is the suggested policies and the flows they are for.
type Set struct {
	Policies []Policy
	Flows    []Flow
}

// Policy is one NetworkPolicy with the reasons for what it allows.
type Policy struct {
	Namespace, Name string
	Comments        []string
	body            networkPolicy
}

// For works out the policies of a model's namespaces. objects are those the model
// was made of: settings are read from their ConfigMaps.
func For(m *reach.Model, objects []seawall.Object, o Options) Set {
	s := &suggester{Model: m, options: o, settings: configMaps(objects), hooks: webhooks(objects), byNamespace: map[string][]*reach.Workload{}}
	for _, w := range m.Workloads {
		if s.wanted(w.Namespace) {
			s.byNamespace[w.Namespace] = append(s.byNamespace[w.Namespace], w)
		}
	}
	s.flows()
	names := make([]string, 0, len(s.byNamespace))
	for name := range s.byNamespace {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		s.namespace(name)
	}
	return Set{Policies: s.policies, Flows: s.found}
}

// suggester is the work on one model.
type suggester struct {
	*reach.Model
	options     Options
	settings    map[string]string // text of ConfigMaps, by "namespace/name"
	hooks       map[string][]int  // ports the API server calls, by "namespace/service"
	byNamespace map[string][]*reach.Workload
	found       []Flow
	policies    []Policy
}

// wanted says whether policies are written for a namespace.
func (s *suggester) wanted(namespace string) bool {
	if len(s.options.Namespaces) > 0 {
		return slices.Contains(s.options.Namespaces, namespace)
	}
	return !strings.HasPrefix(namespace, "kube-")
}

// namespace writes the policies of one namespace.
func (s *suggester) namespace(name string) {
	if s.options.DefaultDeny {
		deny := networkPolicy{Spec: spec{Types: []string{"Ingress", "Egress"}}}
		s.add(name, "default-deny", deny, "Nothing is allowed but what other policies allow. Nodes reach their own pods always: probes need no rule.")
	}
	dns := networkPolicy{Spec: spec{Types: []string{"Egress"}, Egress: []rule{{To: []peer{s.dns()}, Ports: []port{{"UDP", 53, 0}, {"TCP", 53, 0}}}}}}
	s.add(name, "allow-dns", dns, "Every pod looks up names. A node-local DNS cache (169.254.20.10) is on the node and needs no rule with most plugins.")
	for _, w := range s.byNamespace[name] {
		if w.Host() {
			continue // no policy binds it
		}
		s.workload(w)
	}
}

// dns is the pods that answer DNS: those of kube-system with a port for it.
func (s *suggester) dns() peer {
	labels := map[string]string{"k8s-app": "kube-dns"}
	for _, w := range s.Workloads {
		for _, pod := range w.Pods {
			dns := slices.ContainsFunc(pod.Ports, func(p reach.Port) bool { return p.Number == 53 })
			if w.Namespace == "kube-system" && dns && !pod.Host && len(selectorOf(w)) > 0 {
				labels = selectorOf(w)
			}
		}
	}
	return peer{Namespaces: inNamespace("kube-system"), Pods: &selector{labels}}
}

// workload writes the policy of one workload; none when nothing needs it.
func (s *suggester) workload(w *reach.Workload) {
	p := networkPolicy{Spec: spec{Pods: selector{selectorOf(w)}}}
	var comments []string
	if len(selectorOf(w)) == 0 {
		comments = append(comments, "The pods of "+w.Kind+" "+w.Name+" have no labels of their own: this is about every pod of the namespace.")
	}
	for i := range s.found {
		f := &s.found[i]
		var in, out bool
		if in = f.To == w; in {
			p.Spec.Ingress = addRule(p.Spec.Ingress, rule{From: f.from(), Ports: portsOf(f.Ports)})
		}
		if out = f.From == w || f.From == nil && f.Namespace == w.Namespace && f.To != w; out && f.outgoing() {
			p.Spec.Egress = addRule(p.Spec.Egress, rule{To: f.to(), Ports: portsOf(f.Ports)})
		}
		if in || out && f.outgoing() {
			comments = append(comments, f.comment(in))
		}
	}
	if len(p.Spec.Ingress) > 0 {
		p.Spec.Types = append(p.Spec.Types, "Ingress")
	}
	if len(p.Spec.Egress) > 0 {
		p.Spec.Types = append(p.Spec.Types, "Egress")
	}
	if len(p.Spec.Types) > 0 {
		slices.Sort(comments)
		s.add(w.Namespace, policyName(w), p, slices.Compact(comments)...)
	}
}

func (s *suggester) add(namespace, name string, p networkPolicy, comments ...string) {
	p.APIVersion, p.Kind = "networking.k8s.io/v1", "NetworkPolicy"
	p.Metadata = metadata{Name: name, Namespace: namespace}
	s.policies = append(s.policies, Policy{Namespace: namespace, Name: name, Comments: comments, body: p})
}

// policyName is a name of at most 63 characters.
func policyName(w *reach.Workload) string {
	name := "allow-" + strings.ToLower(w.Kind) + "-" + strings.ToLower(w.Name)
	return strings.TrimRight(name[:min(len(name), 63)], "-.")
}

// selectorOf is the labels that select a workload's pods, in every generation of them.
func selectorOf(w *reach.Workload) map[string]string {
	labels := w.Selector
	if len(labels) == 0 && len(w.Pods) > 0 {
		labels = w.Pods[0].Labels
	}
	out := map[string]string{}
	for k, v := range labels {
		switch k {
		case "pod-template-hash", "controller-revision-hash", "controller-uid", "job-name", "pod-template-generation",
			"batch.kubernetes.io/controller-uid", "batch.kubernetes.io/job-name", "statefulset.kubernetes.io/pod-name", "apps.kubernetes.io/pod-index":
		default:
			out[k] = v
		}
	}
	return out
}

// Write prints policies as YAML documents.
func Write(w io.Writer, policies []Policy) error {
	var out bytes.Buffer
	for i := range policies {
		text, err := policies[i].YAML()
		if err != nil {
			return err
		}
		if i > 0 {
			out.WriteString("---\n")
		}
		out.Write(text)
	}
	_, err := w.Write(out.Bytes())
	return err
}

// YAML is the policy as a document, its reasons before it.
func (p *Policy) YAML() ([]byte, error) {
	var out bytes.Buffer
	for _, c := range p.Comments {
		fmt.Fprintf(&out, "# %s\n", strings.Map(oneLine, c))
	}
	enc := yaml.NewEncoder(&out)
	enc.SetIndent(2)
	if err := cmp.Or(enc.Encode(&p.body), enc.Close()); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// oneLine keeps foreign names from ending a comment.
func oneLine(r rune) rune {
	if r < 0x20 || r == 0x7f || r == 0x85 || r == 0x2028 || r == 0x2029 {
		return ' '
	}
	return r
}

// WriteJSON prints policies as a Kubernetes List.
func WriteJSON(w io.Writer, policies []Policy) error {
	items := make([]any, 0, len(policies))
	for i := range policies {
		text, err := yaml.Marshal(&policies[i].body)
		if err != nil {
			return err
		}
		var item any
		if err := yaml.Unmarshal(text, &item); err != nil {
			return err
		}
		items = append(items, item)
	}
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(map[string]any{"apiVersion": "v1", "kind": "List", "items": items})
}
