package access

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/seawall-security/seawall/internal/seawall"
)

const rbacGroup = "rbac.authorization.k8s.io"

// Options say what the objects are a picture of.
type Options struct {
	// Live: the objects are all of a cluster's, as its API server gave them.
	// Aggregated roles then hold their rules already. Of manifests aggregation is
	// computed, and roles that every cluster has (cluster-admin, admin, edit, view,
	// system:…) are there without being written.
	Live bool
	// Defaults adds, to manifests, also the bindings and accounts every cluster has.
	Defaults bool
}

// written is an object as manifests write it; what a kind lacks stays empty.
type written struct {
	Metadata struct {
		Labels map[string]string `json:"labels"`
	} `json:"metadata"`
	Rules       []Rule `json:"rules"`
	Aggregation *struct {
		Selectors []selector `json:"clusterRoleSelectors"`
	} `json:"aggregationRule"`
	RoleRef   Ref       `json:"roleRef"`
	Subjects  []Subject `json:"subjects"`
	Automount *bool     `json:"automountServiceAccountToken"`
	Spec      struct {
		Group string `json:"group"`
		Scope string `json:"scope"`
		Names struct {
			Plural     string   `json:"plural"`
			Singular   string   `json:"singular"`
			Kind       string   `json:"kind"`
			ShortNames []string `json:"shortNames"`
		} `json:"names"`
	} `json:"spec"`
}

// selector is a label selector.
type selector struct {
	MatchLabels      map[string]string `json:"matchLabels"`
	MatchExpressions []struct {
		Key      string   `json:"key"`
		Operator string   `json:"operator"`
		Values   []string `json:"values"`
	} `json:"matchExpressions"`
}

// reader collects what Read makes a Set of.
type reader struct {
	set       *Set
	roles     map[Ref]*Role // by kind, namespace and name
	bindings  map[Ref]*Binding
	accounts  map[Ref]*Account
	selectors map[*Role][]selector
	problems  []string
}

// Read makes a Set of the objects, of which it looks at RBAC objects,
// ServiceAccounts and CustomResourceDefinitions. Problems are sentences about objects that count for less
// than they say or could not be read; of an object written twice the last counts.
func Read(objects []seawall.Object, o Options) (set *Set, problems []string) {
	r := reader{
		set:   &Set{users: map[string][]*Binding{}, groups: map[string][]*Binding{}, byResource: map[string][]place{}},
		roles: map[Ref]*Role{}, bindings: map[Ref]*Binding{}, accounts: map[Ref]*Account{}, selectors: map[*Role][]selector{},
	}
	for i := range objects {
		r.read(&objects[i])
	}
	if o.Live {
		r.attribute()
	} else {
		r.addDefaults(o.Defaults)
		r.aggregate()
	}
	r.resolve()
	r.index()
	return r.set, r.problems
}

func (r *reader) read(o *seawall.Object) {
	group, _, grouped := strings.Cut(o.APIVersion, "/")
	if !grouped {
		group = ""
	}
	var take func(Ref, *written)
	switch {
	case group == rbacGroup && (o.Kind == "Role" || o.Kind == "ClusterRole"):
		take = r.role
	case group == rbacGroup && (o.Kind == "RoleBinding" || o.Kind == "ClusterRoleBinding"):
		take = r.binding
	case group == "" && o.Kind == ServiceAccount:
		take = r.account
	case group == "apiextensions.k8s.io" && o.Kind == "CustomResourceDefinition":
		take = r.definition
	default:
		return
	}
	ref := Ref{Kind: o.Kind, Namespace: o.Namespace, Name: o.Name, Path: o.Path, Line: o.Line}
	var w written
	if err := json.Unmarshal(o.JSON, &w); err != nil {
		r.problem(ref, "is not read: %v", err)
		return
	}
	take(ref, &w)
}

func (r *reader) problem(ref Ref, format string, args ...any) {
	where := ""
	if ref.Path != "" {
		where = fmt.Sprintf("%s:%d: ", ref.Path, ref.Line)
	}
	r.problems = append(r.problems, where+ref.String()+" "+fmt.Sprintf(format, args...))
}

// key identifies an object whatever its place.
func key(ref Ref) Ref { return Ref{Kind: ref.Kind, Namespace: ref.Namespace, Name: ref.Name} }

func (r *reader) twice(now, before Ref) {
	if before.Path == "" {
		r.problem(now, "is there twice; the last one counts")
		return
	}
	r.problem(now, "is also written at %s:%d; the last one counts", before.Path, before.Line)
}

func (r *reader) role(ref Ref, w *written) {
	role := r.roles[key(ref)]
	if role != nil {
		r.twice(ref, role.Ref)
		delete(r.selectors, role)
	} else {
		role = &Role{}
		r.roles[key(ref)] = role
		r.set.Roles = append(r.set.Roles, role)
	}
	*role = Role{Ref: ref, Labels: w.Metadata.Labels, Rules: w.Rules, Default: isDefault(ref, w.Metadata.Labels)}
	if w.Aggregation != nil {
		role.Aggregated = true
		r.selectors[role] = w.Aggregation.Selectors
	}
}

func (r *reader) binding(ref Ref, w *written) {
	b := r.bindings[key(ref)]
	if b != nil {
		r.twice(ref, b.Ref)
	} else {
		b = &Binding{}
		r.bindings[key(ref)] = b
		r.set.Bindings = append(r.set.Bindings, b)
	}
	*b = Binding{Ref: ref, RoleRef: Ref{Kind: w.RoleRef.Kind, Name: w.RoleRef.Name}, Default: isDefault(ref, w.Metadata.Labels)}
	if b.RoleRef.Kind == "Role" {
		b.RoleRef.Namespace = b.Namespace
	}
	for _, s := range w.Subjects {
		switch {
		case s.Kind == ServiceAccount && s.Namespace == "":
			s.Namespace = b.Namespace
			if s.Namespace == "" {
				r.problem(ref, "names the ServiceAccount %q without a namespace: it grants that one nothing", s.Name)
				continue
			}
		case s.Kind == User || s.Kind == Group:
			s.Namespace = ""
		case s.Kind != ServiceAccount:
			r.problem(ref, "names a subject of kind %q: it grants that one nothing (want User, Group or ServiceAccount)", s.Kind)
			continue
		}
		b.Subjects = append(b.Subjects, s)
	}
}

func (r *reader) account(ref Ref, w *written) {
	a := r.accounts[key(ref)]
	if a == nil {
		a = &Account{}
		r.accounts[key(ref)] = a
		r.set.Accounts = append(r.set.Accounts, a)
	} else {
		r.twice(ref, a.Ref)
	}
	*a = Account{Ref: ref, Automount: w.Automount}
}

func (r *reader) definition(_ Ref, w *written) {
	n := w.Spec.Names
	if n.Plural == "" || w.Spec.Group == "" {
		return
	}
	r.set.resources = append(r.set.resources, Resource{
		Group: w.Spec.Group, Name: n.Plural, Singular: cmp.Or(n.Singular, strings.ToLower(n.Kind)), Kind: n.Kind,
		Short: n.ShortNames, Namespaced: w.Spec.Scope != "Cluster",
	})
}

// aggregate computes the rules of aggregated ClusterRoles: all rules of the
// selected ones, in the order of their names, an aggregated one's included. The
// controller overwrites what was written.
func (r *reader) aggregate() {
	sources := r.clusterRoles()
	closed := make(map[*Role][]Rule, len(r.selectors))
	for role := range r.selectors {
		var rules []Rule
		for _, source := range r.selected(role, sources) {
			for _, rule := range source.Rules {
				rule.From = source
				if !slices.ContainsFunc(rules, func(o Rule) bool { return sameRule(o, rule) }) {
					rules = append(rules, rule)
				}
			}
		}
		closed[role] = rules
	}
	for role, rules := range closed {
		role.Rules = rules
	}
}

// attribute finds where the rules of a cluster's aggregated roles came from.
func (r *reader) attribute() {
	sources := r.clusterRoles()
	for role := range r.selectors {
		for _, source := range r.selected(role, sources) {
			for i := range role.Rules {
				if role.Rules[i].From == nil && slices.ContainsFunc(source.Rules, func(o Rule) bool { return sameRule(o, role.Rules[i]) }) {
					role.Rules[i].From = source
				}
			}
		}
	}
}

func (r *reader) clusterRoles() []*Role {
	var list []*Role
	for _, role := range r.set.Roles {
		if role.Kind == "ClusterRole" {
			list = append(list, role)
		}
	}
	slices.SortFunc(list, func(a, b *Role) int { return strings.Compare(a.Name, b.Name) })
	return list
}

// selected are the roles with rules of their own that a role takes rules from,
// through other aggregated ones too, in the order of sources.
func (r *reader) selected(role *Role, sources []*Role) []*Role {
	seen := map[*Role]bool{role: true}
	for queue := []*Role{role}; len(queue) > 0; queue = queue[1:] {
		for _, source := range sources {
			if seen[source] || !slices.ContainsFunc(r.selectors[queue[0]], func(s selector) bool { return s.matches(source.Labels) }) {
				continue
			}
			seen[source] = true
			if source.Aggregated {
				queue = append(queue, source)
			}
		}
	}
	var list []*Role
	for _, source := range sources {
		if seen[source] && !source.Aggregated {
			list = append(list, source)
		}
	}
	return list
}

func sameRule(a, b Rule) bool {
	return slices.Equal(a.Verbs, b.Verbs) && slices.Equal(a.APIGroups, b.APIGroups) && slices.Equal(a.Resources, b.Resources) &&
		slices.Equal(a.ResourceNames, b.ResourceNames) && slices.Equal(a.NonResourceURLs, b.NonResourceURLs)
}

// matches follows https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/;
// an empty selector matches everything, an invalid one nothing.
func (s *selector) matches(labels map[string]string) bool {
	for k, v := range s.MatchLabels {
		if got, ok := labels[k]; !ok || got != v {
			return false
		}
	}
	for _, e := range s.MatchExpressions {
		got, ok := labels[e.Key]
		switch e.Operator {
		case "In":
			ok = ok && slices.Contains(e.Values, got)
		case "NotIn":
			ok = !ok || !slices.Contains(e.Values, got)
		case "Exists":
		case "DoesNotExist":
			ok = !ok
		default:
			ok = false
		}
		if !ok {
			return false
		}
	}
	return true
}

// resolve finds the roles that bindings name.
func (r *reader) resolve() {
	for _, b := range r.set.Bindings {
		if b.RoleRef.Kind == "Role" && b.Namespace == "" {
			r.problem(b.Ref, "names a Role, but a ClusterRoleBinding can only name a ClusterRole: it grants nothing")
			continue
		}
		role := r.roles[key(b.RoleRef)]
		if role == nil {
			continue
		}
		b.Role = role
		b.RoleRef = role.Ref
		role.Bindings = append(role.Bindings, b)
		if b.Namespace == "" {
			role.cluster = append(role.cluster, b)
			continue
		}
		if role.namespaced == nil {
			role.namespaced = map[string][]*Binding{}
		}
		role.namespaced[b.Namespace] = append(role.namespaced[b.Namespace], b)
	}
}

func (r *reader) index() {
	s := r.set
	for _, role := range s.Roles {
		for i := range role.Rules {
			rule := &role.Rules[i]
			for _, resource := range rule.Resources {
				s.byResource[resource] = append(s.byResource[resource], place{role, i})
			}
			if len(rule.NonResourceURLs) > 0 {
				s.byURL = append(s.byURL, place{role, i})
			}
		}
	}
	for _, b := range s.Bindings {
		for _, subject := range b.Subjects {
			if subject.Kind == Group {
				s.groups[subject.Name] = appendOnce(s.groups[subject.Name], b)
			} else {
				s.users[subject.Username()] = appendOnce(s.users[subject.Username()], b)
			}
		}
	}
}

func appendOnce(list []*Binding, b *Binding) []*Binding {
	if n := len(list); n > 0 && list[n-1] == b {
		return list
	}
	return append(list, b)
}
