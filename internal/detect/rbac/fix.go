package rbac

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	"go.yaml.in/yaml/v3"

	"github.com/seawall-security/seawall/internal/detect/rbac/access"
	"github.com/seawall-security/seawall/internal/detect/rbac/power"
	"github.com/seawall-security/seawall/internal/detect/rbac/workload"
)

// The command that a fix's manifest is for, as its first line.
const (
	applyLine  = "# kubectl apply --server-side --force-conflicts -f -\n"
	deleteLine = "# kubectl delete -f -\n"
)

const rbacVersion = "rbac.authorization.k8s.io/v1"

// manifest is an object as a fix writes it.
type manifest struct {
	APIVersion string     `yaml:"apiVersion"`
	Kind       string     `yaml:"kind"`
	Metadata   metadata   `yaml:"metadata"`
	Automount  *bool      `yaml:"automountServiceAccountToken,omitempty"`
	Rules      []ruleYAML `yaml:"rules,omitempty"`
	RoleRef    *roleRef   `yaml:"roleRef,omitempty"`
	Subjects   []subject  `yaml:"subjects,omitempty"`
	Spec       any        `yaml:"spec,omitempty"`
}

type metadata struct {
	Name      string            `yaml:"name"`
	Namespace string            `yaml:"namespace,omitempty"`
	Labels    map[string]string `yaml:"labels,omitempty"`
}

type ruleYAML struct {
	APIGroups       []string `yaml:"apiGroups,omitempty,flow"`
	Resources       []string `yaml:"resources,omitempty,flow"`
	ResourceNames   []string `yaml:"resourceNames,omitempty,flow"`
	NonResourceURLs []string `yaml:"nonResourceURLs,omitempty,flow"`
	Verbs           []string `yaml:"verbs,flow"`
}

type roleRef struct {
	APIGroup string `yaml:"apiGroup"`
	Kind     string `yaml:"kind"`
	Name     string `yaml:"name"`
}

type subject struct {
	APIGroup  string `yaml:"apiGroup,omitempty"`
	Kind      string `yaml:"kind"`
	Name      string `yaml:"name"`
	Namespace string `yaml:"namespace,omitempty"`
}

func (m manifest) String() string {
	var b strings.Builder
	e := yaml.NewEncoder(&b)
	e.SetIndent(2)
	if err := e.Encode(m); err != nil {
		panic(err) // strings and bools always encode
	}
	return b.String()
}

// narrowed is the role without its wildcards and without any power: what stays
// is everything else it allowed, of the resources that are known.
func narrowed(role *access.Role, known []access.Resource) string {
	m := manifest{APIVersion: rbacVersion, Kind: role.Kind, Metadata: metadata{Name: role.Name, Namespace: role.Namespace, Labels: role.Labels}}
	for _, r := range narrow(role.Rules, known) {
		m.Rules = append(m.Rules, ruleYAML{r.APIGroups, r.Resources, r.ResourceNames, r.NonResourceURLs, r.Verbs})
	}
	text := m.String()
	if len(m.Rules) == 0 {
		text += "rules: []\n" // said, so that applying it takes the old ones away
	}
	return applyLine + text
}

// narrow drops from rules what gives a power, and spells wildcards out.
func narrow(rules []access.Rule, known []access.Resource) []access.Rule {
	var out []access.Rule
	for i := range rules {
		r := &rules[i]
		if r.From != nil {
			continue // another role's, narrowed there
		}
		if !wild(r) && rulePowers(r) == 0 {
			out = append(out, *r)
			continue
		}
		out = append(out, narrowURLs(r)...)
		out = append(out, narrowResources(r, known)...)
	}
	return out
}

// wild says whether the rule has a wildcard that stands for what is not known yet.
func wild(r *access.Rule) bool {
	return slices.Contains(r.Verbs, access.All) || slices.Contains(r.APIGroups, access.All) ||
		slices.Contains(r.Resources, access.All) || slices.Contains(r.NonResourceURLs, access.All)
}

// rulePowers are the powers one rule gives that a rule of the catalogue is about;
// the others only count together with them.
func rulePowers(r *access.Rule) power.Set {
	return power.OfRole(&access.Role{Rules: []access.Rule{*r}}) & reported()
}

var reported = sync.OnceValue(func() power.Set {
	s := power.Of(power.Everything)
	for _, c := range powerRules() {
		s |= power.Of(c.powers...)
	}
	return s
})

// discovery are the URLs every login may get already; "/metrics" and the rest have to be asked for.
var discovery = []string{"/api", "/api/*", "/apis", "/apis/*", "/healthz", "/livez", "/openapi", "/openapi/*", "/readyz", "/version", "/version/"}

func narrowURLs(r *access.Rule) []access.Rule {
	if len(r.NonResourceURLs) == 0 {
		return nil
	}
	urls, verbs := r.NonResourceURLs, r.Verbs
	if slices.Contains(urls, access.All) {
		urls = discovery
	}
	if slices.Contains(verbs, access.All) {
		verbs = []string{"get"}
	}
	return []access.Rule{{NonResourceURLs: once(urls), Verbs: once(verbs)}}
}

// atom is one resource of one group, with the verbs left for it.
type atom struct {
	group, resource string
	verbs           []string
}

var everyVerb = []string{"get", "list", "watch", "create", "update", "patch", "delete", "deletecollection"}

func narrowResources(r *access.Rule, known []access.Resource) []access.Rule {
	var atoms []atom
	for _, a := range spell(r, known) {
		kept := a.verbs[:0:0]
		for _, verb := range a.verbs {
			one := access.Rule{Verbs: []string{verb}, APIGroups: []string{a.group}, Resources: []string{a.resource}, ResourceNames: r.ResourceNames}
			if rulePowers(&one) == 0 {
				kept = append(kept, verb)
			}
		}
		if len(kept) > 0 {
			atoms = append(atoms, atom{a.group, a.resource, kept})
		}
	}
	return unite(atoms, r.ResourceNames)
}

// spell writes a rule as atoms, wildcards replaced by what is known.
func spell(r *access.Rule, known []access.Resource) []atom {
	var atoms []atom
	add := func(group, resource string, served []string) {
		verbs := r.Verbs
		switch {
		case slices.Contains(verbs, access.All):
			verbs = served
		case !slices.Contains(r.Resources, resource): // spelled out: only what is served
			verbs = slices.DeleteFunc(slices.Clone(verbs), func(v string) bool { return !slices.Contains(served, v) })
		}
		if len(verbs) > 0 {
			atoms = append(atoms, atom{group, resource, once(verbs)})
		}
	}
	for _, k := range known {
		if !slices.Contains(r.APIGroups, access.All) && !slices.Contains(r.APIGroups, k.Group) {
			continue
		}
		for _, resource := range append([]string{k.Name}, prefixed(k.Name+"/", k.Subresources)...) {
			if covers(r.Resources, resource) {
				add(k.Group, resource, standard(k, resource))
			}
		}
	}
	for _, group := range r.APIGroups {
		for _, resource := range r.Resources {
			if resource == access.All || group == access.All || isKnown(known, group, resource) {
				continue
			}
			add(group, resource, everyVerb)
		}
	}
	return atoms
}

// once leaves out what a list has already.
func once(list []string) []string {
	var out []string
	for _, s := range list {
		if !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}

// covers says whether a rule's resources hold this one, subresources included.
func covers(list []string, resource string) bool {
	_, sub, _ := strings.Cut(resource, "/")
	return slices.ContainsFunc(list, func(s string) bool {
		return s == access.All || s == resource || sub != "" && s == "*/"+sub
	})
}

func prefixed(prefix string, list []string) []string {
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = prefix + s
	}
	return out
}

// standard are the verbs a resource is served with; those of its subresources are not known.
func standard(k access.Resource, resource string) []string {
	if resource != k.Name {
		return []string{"get", "create", "update", "patch"}
	}
	if len(k.Verbs) == 0 {
		return everyVerb
	}
	return k.Verbs
}

func isKnown(known []access.Resource, group, resource string) bool {
	name, sub, _ := strings.Cut(resource, "/")
	return slices.ContainsFunc(known, func(k access.Resource) bool {
		return k.Group == group && (name == k.Name || name == access.All) && (sub == "" || slices.Contains(k.Subresources, sub))
	})
}

// unite makes rules of atoms: resources of a group with the same verbs share one.
func unite(atoms []atom, names []string) []access.Rule {
	var rules []access.Rule
	for _, a := range atoms {
		i := slices.IndexFunc(rules, func(r access.Rule) bool { return r.APIGroups[0] == a.group && slices.Equal(r.Verbs, a.verbs) })
		if i < 0 {
			rules = append(rules, access.Rule{APIGroups: []string{a.group}, Verbs: a.verbs, ResourceNames: names})
			i = len(rules) - 1
		}
		if !slices.Contains(rules[i].Resources, a.resource) {
			rules[i].Resources = append(rules[i].Resources, a.resource)
		}
	}
	return rules
}

// without is the binding without the subjects; deleted when nobody is left.
func without(b *access.Binding, remove func(access.Subject) bool) string {
	m := manifest{APIVersion: rbacVersion, Kind: b.Kind, Metadata: metadata{Name: b.Name, Namespace: b.Namespace}}
	for _, s := range b.Subjects {
		if remove(s) {
			continue
		}
		left := subject{Kind: s.Kind, Name: s.Name, Namespace: s.Namespace}
		if s.Kind != access.ServiceAccount {
			left.APIGroup = "rbac.authorization.k8s.io"
		}
		m.Subjects = append(m.Subjects, left)
	}
	m.RoleRef = &roleRef{"rbac.authorization.k8s.io", b.RoleRef.Kind, b.RoleRef.Name}
	if len(m.Subjects) == 0 {
		return deleteLine + m.String()
	}
	return applyLine + m.String()
}

// deleted names objects for kubectl delete.
func deleted(refs ...access.Ref) string {
	var b strings.Builder
	b.WriteString(deleteLine)
	for i, ref := range refs {
		if i > 0 {
			b.WriteString("---\n")
		}
		version := rbacVersion
		if ref.Kind == access.ServiceAccount {
			version = "v1"
		}
		fmt.Fprint(&b, manifest{APIVersion: version, Kind: ref.Kind, Metadata: metadata{Name: ref.Name, Namespace: ref.Namespace}})
	}
	return b.String()
}

// noToken is the account with its token left out of pods.
func noToken(s access.Subject) string {
	no := false
	return applyLine + manifest{APIVersion: "v1", Kind: access.ServiceAccount, Metadata: metadata{Name: s.Name, Namespace: s.Namespace}, Automount: &no}.String()
}

// podWithout is the part of a workload that leaves its account's token out of its pods.
func podWithout(w *workload.Workload, apiVersion string) string {
	var spec any = map[string]any{"automountServiceAccountToken": false}
	fields := strings.Split(w.Field, ".")
	for _, field := range slices.Backward(fields[1:]) {
		spec = map[string]any{field: spec}
	}
	return manifest{APIVersion: apiVersion, Kind: w.Kind, Metadata: metadata{Name: w.Name, Namespace: w.Namespace}, Spec: spec}.String()
}
