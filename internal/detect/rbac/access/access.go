// Package access answers who may do what: Kubernetes' role-based access control,
// computed exactly as its authorizer does
// (https://kubernetes.io/docs/reference/access-authn-authz/rbac/), from objects
// alone.
//
// Read takes Roles, ClusterRoles, bindings and ServiceAccounts of manifests or a
// cluster, resolves aggregation and the roles that bindings name, and indexes
// the rules by resource. The Set it returns answers two questions: Allowed (may
// this user?) and WhoCan (which subjects may?), each with the grants that prove
// the answer. Resolve turns what people write (deploy, deployments.apps,
// pods/log) into what the API server is asked.
//
// A Set does not change after Read and may be used from many goroutines.
package access

import (
	"slices"
	"strings"
)

// All is the wildcard of verbs, groups, resources and URLs.
const All = "*"

// The kinds of subject.
const (
	User           = "User"
	Group          = "Group"
	ServiceAccount = "ServiceAccount"
)

// Names that the API server gives a meaning of their own.
const (
	Anonymous       = "system:anonymous"
	Unauthenticated = "system:unauthenticated"
	Authenticated   = "system:authenticated"
	Masters         = "system:masters"
	AllAccounts     = "system:serviceaccounts"
	accountPrefix   = "system:serviceaccount:"
)

// Request is one question to the API server, as its authorizers see it.
type Request struct {
	Verb string `json:"verb"`
	// Path is a non-resource URL; then the fields below are "".
	Path        string `json:"path,omitempty"`
	Group       string `json:"group,omitempty"`
	Resource    string `json:"resource,omitempty"`
	Subresource string `json:"subresource,omitempty"`
	Name        string `json:"name,omitempty"`
	// Namespace is "" for cluster-scoped resources and for all namespaces at once.
	Namespace string `json:"namespace,omitempty"`
}

// String writes the request as people ask it: "get pods/log web in shop".
func (q Request) String() string {
	if q.Path != "" {
		return q.Verb + " " + q.Path
	}
	s := q.Verb + " " + q.combined()
	if q.Group != "" {
		s = q.Verb + " " + q.Resource + "." + q.Group
		if q.Subresource != "" {
			s += "/" + q.Subresource
		}
	}
	if q.Name != "" {
		s += " " + q.Name
	}
	if q.Namespace != "" {
		s += " in " + q.Namespace
	}
	return s
}

func (q Request) combined() string {
	if q.Subresource == "" {
		return q.Resource
	}
	return q.Resource + "/" + q.Subresource
}

// Ref names a Kubernetes object, and its place in a manifest where it has one.
type Ref struct {
	Kind      string `json:"kind"`
	Name      string `json:"name"`
	Namespace string `json:"namespace,omitempty"`
	Path      string `json:"path,omitempty"`
	Line      int    `json:"line,omitempty"`
}

// String is the form findings use: "Role/shop/reader".
func (r Ref) String() string {
	if r.Namespace == "" {
		return r.Kind + "/" + r.Name
	}
	return r.Kind + "/" + r.Namespace + "/" + r.Name
}

// Rule is one rule of a role.
type Rule struct {
	Verbs           []string `json:"verbs"`
	APIGroups       []string `json:"apiGroups,omitempty"`
	Resources       []string `json:"resources,omitempty"`
	ResourceNames   []string `json:"resourceNames,omitempty"`
	NonResourceURLs []string `json:"nonResourceURLs,omitempty"`
	// From is the ClusterRole that an aggregated rule came from; nil for the role's own rules.
	From *Role `json:"-"`
}

// Role is a Role or ClusterRole.
type Role struct {
	Ref
	Labels map[string]string
	Rules  []Rule
	// Aggregated: the rules are the union of other roles'.
	Aggregated bool
	// Default: one that every API server brings (see default.go). Its rules may
	// have been changed.
	Default bool
	// Bindings are those that name it, in the order read.
	Bindings []*Binding

	cluster    []*Binding            // ClusterRoleBindings
	namespaced map[string][]*Binding // RoleBindings by namespace
}

// Binding is a RoleBinding or, with an empty Namespace, a ClusterRoleBinding.
type Binding struct {
	Ref
	// RoleRef is the role as the binding names it.
	RoleRef  Ref
	Subjects []Subject
	// Role is nil when there is no such role: the binding grants nothing.
	Role *Role
	// Default: one that every API server brings.
	Default bool
}

// Subject is whom a binding names.
type Subject struct {
	Kind string `json:"kind"`
	Name string `json:"name"`
	// Namespace of a ServiceAccount; "" for others.
	Namespace string `json:"namespace"`
}

// String is "ServiceAccount/shop/web" or "Group/dev".
func (s Subject) String() string {
	return Ref{Kind: s.Kind, Namespace: s.Namespace, Name: s.Name}.String()
}

// Username is the name the API server knows a user or account by; "" for groups.
func (s Subject) Username() string {
	switch s.Kind {
	case User:
		return s.Name
	case ServiceAccount:
		return accountPrefix + s.Namespace + ":" + s.Name
	}
	return ""
}

// Groups are the groups that are certain: those of every service account, and
// that of everybody who has or has not logged in. For a Group it is the group itself
// and what its members share.
func (s Subject) Groups() []string {
	switch {
	case s.Kind == ServiceAccount:
		return []string{AllAccounts, AllAccounts + ":" + s.Namespace, Authenticated}
	case s.Kind == User && s.Name == Anonymous:
		return []string{Unauthenticated}
	case s.Kind == Group && (s.Name == Unauthenticated || s.Name == Authenticated):
		return []string{s.Name}
	case s.Kind == Group && strings.HasPrefix(s.Name, AllAccounts+":"):
		return []string{s.Name, AllAccounts, Authenticated}
	case s.Kind == Group:
		return []string{s.Name, Authenticated}
	}
	return []string{Authenticated}
}

// Grant proves an answer: this binding gives this role, whose rule allows it, to the subject.
type Grant struct {
	Subject Subject
	Binding *Binding
	Role    *Role
	Rule    int // index in Role.Rules
}

// Objects are the objects that make the grant, the one that names the subject first.
func (g Grant) Objects() []Ref {
	refs := []Ref{g.Binding.Ref, g.Role.Ref}
	if from := g.Role.Rules[g.Rule].From; from != nil {
		refs = append(refs, from.Ref)
	}
	return refs
}

// Set is all that the roles and bindings of a cluster, or of some manifests, say.
type Set struct {
	// Roles, Bindings and Accounts are in the order read.
	Roles    []*Role
	Bindings []*Binding
	Accounts []*Account
	// resources are what Resolve knows besides the built-in ones.
	resources []Resource

	users, groups map[string][]*Binding
	byResource    map[string][]place // by the resource as a rule writes it
	byURL         []place            // rules with non-resource URLs
}

// Account is a ServiceAccount object.
type Account struct {
	Ref
	// Automount is automountServiceAccountToken; nil when not said.
	Automount *bool
	// Default: a controller's own, which every cluster has.
	Default bool
}

// Subject is the account as bindings name it.
func (a *Account) Subject() Subject {
	return Subject{Kind: ServiceAccount, Namespace: a.Namespace, Name: a.Name}
}

// place is a rule of a role.
type place struct {
	role *Role
	rule int
}

// Allows says which rule of the role allows the request; -1 for none.
func (r *Role) Allows(q Request) int {
	combined := q.combined()
	for i := range r.Rules {
		if r.Rules[i].allows(q, combined) {
			return i
		}
	}
	return -1
}

func (r *Rule) allows(q Request, combined string) bool {
	if q.Path != "" {
		return has(r.Verbs, q.Verb) && r.matchesURL(q.Path)
	}
	return has(r.Verbs, q.Verb) && has(r.APIGroups, q.Group) && r.matchesResource(combined, q.Subresource) && r.matchesName(q.Name)
}

// Allows says whether the rule allows the request.
func (r *Rule) Allows(q Request) bool { return r.allows(q, q.combined()) }

// has says whether a list with the wildcard holds a word.
func has(list []string, word string) bool {
	for _, s := range list {
		if s == All || s == word {
			return true
		}
	}
	return false
}

func (r *Rule) matchesResource(combined, subresource string) bool {
	for _, s := range r.Resources {
		if s == All || s == combined {
			return true
		}
		if rest, ok := strings.CutPrefix(s, "*/"); ok && subresource != "" && rest == subresource {
			return true
		}
	}
	return false
}

// matchesName: a rule with names allows nothing that has none (list, create).
func (r *Rule) matchesName(name string) bool {
	return len(r.ResourceNames) == 0 || slices.Contains(r.ResourceNames, name)
}

func (r *Rule) matchesURL(path string) bool {
	for _, s := range r.NonResourceURLs {
		if s == All || s == path || strings.HasSuffix(s, All) && strings.HasPrefix(path, strings.TrimRight(s, All)) {
			return true
		}
	}
	return false
}

// Allowed says whether the user with these groups may, and by which grant. The
// grant is the first found: ClusterRoleBindings and RoleBindings alike, those of the user before those of groups.
func (s *Set) Allowed(user string, groups []string, q Request) (Grant, bool) {
	if g, ok := s.granted(s.users[user], q); ok {
		g.Subject = naming(g.Binding, user, "")
		return g, true
	}
	for _, group := range groups {
		if g, ok := s.granted(s.groups[group], q); ok {
			g.Subject = Subject{Kind: Group, Name: group}
			return g, true
		}
	}
	return Grant{}, false
}

// naming is the subject of a binding that is this user.
func naming(b *Binding, user, group string) Subject {
	for _, s := range b.Subjects {
		if user != "" && s.Username() == user || group != "" && s.Kind == Group && s.Name == group {
			return s
		}
	}
	return Subject{}
}

func (s *Set) granted(bindings []*Binding, q Request) (Grant, bool) {
	for _, b := range bindings {
		if b.Role == nil || !b.in(q.Namespace) {
			continue
		}
		if i := b.Role.Allows(q); i >= 0 {
			return Grant{Binding: b, Role: b.Role, Rule: i}, true
		}
	}
	return Grant{}, false
}

// in says whether the binding counts for requests in a namespace; "" is the whole cluster.
func (b *Binding) in(namespace string) bool {
	return b.Namespace == "" || b.Namespace == namespace
}

// WhoCan lists every subject that a binding names and whose grant allows the
// request, one grant per subject, binding and role, in the order of roles and bindings read.
// Members of groups are not listed: they cannot be known. Nobody needs a
// binding to act as the group system:masters.
func (s *Set) WhoCan(q Request) []Grant {
	var grants []Grant
	if q.Path != "" {
		return s.grants(grants, s.byURL, q, nil)
	}
	combined := q.combined()
	grants = s.grants(grants, s.byResource[combined], q, nil)
	earlier := []string{combined}
	if combined != All {
		grants = s.grants(grants, s.byResource[All], q, earlier)
		earlier = append(earlier, All)
	}
	if wildcard := "*/" + q.Subresource; q.Subresource != "" && wildcard != combined {
		grants = s.grants(grants, s.byResource[wildcard], q, earlier)
	}
	return grants
}

// grants adds those of the rules at places. A role that allows the request by a
// rule of an earlier list was added with that list.
func (s *Set) grants(grants []Grant, places []place, q Request, earlier []string) []Grant {
	combined := q.combined()
	var last *Role
	for _, p := range places {
		if p.role == last || len(p.role.Bindings) == 0 || !p.role.Rules[p.rule].allows(q, combined) {
			continue
		}
		last = p.role
		if p.role.allowsBy(q, combined, earlier) {
			continue
		}
		for _, b := range p.role.cluster {
			grants = b.grant(grants, p)
		}
		if q.Namespace != "" {
			for _, b := range p.role.namespaced[q.Namespace] {
				grants = b.grant(grants, p)
			}
		}
	}
	return grants
}

// allowsBy says whether a rule that writes one of these resources allows the request.
func (r *Role) allowsBy(q Request, combined string, resources []string) bool {
	if len(resources) == 0 {
		return false
	}
	for i := range r.Rules {
		for _, resource := range resources {
			if slices.Contains(r.Rules[i].Resources, resource) && r.Rules[i].allows(q, combined) {
				return true
			}
		}
	}
	return false
}

func (b *Binding) grant(grants []Grant, p place) []Grant {
	for _, s := range b.Subjects {
		grants = append(grants, Grant{Subject: s, Binding: b, Role: p.role, Rule: p.rule})
	}
	return grants
}

// Answer is one subject that may, and all the objects that let it.
type Answer struct {
	Subject
	Via []Ref `json:"via"`
}

// Answers unites grants by subject, ordered by kind, namespace and name.
func Answers(grants []Grant) []Answer {
	answers := []Answer{}
	at := map[Subject]int{}
	for _, g := range grants {
		i, ok := at[g.Subject]
		if !ok {
			i = len(answers)
			at[g.Subject] = i
			answers = append(answers, Answer{Subject: g.Subject})
		}
		for _, ref := range g.Objects() {
			if !slices.Contains(answers[i].Via, ref) {
				answers[i].Via = append(answers[i].Via, ref)
			}
		}
	}
	slices.SortFunc(answers, func(a, b Answer) int { return a.Subject.Compare(b.Subject) })
	return answers
}

// Compare orders subjects by kind, namespace and name.
func (s Subject) Compare(o Subject) int {
	if c := strings.Compare(s.Kind, o.Kind); c != 0 {
		return c
	}
	if c := strings.Compare(s.Namespace, o.Namespace); c != 0 {
		return c
	}
	return strings.Compare(s.Name, o.Name)
}

// BindingsOf are the bindings that name the subject itself, or a group it is certain to be in.
func (s *Set) BindingsOf(subject Subject) []*Binding {
	var bindings []*Binding
	if subject.Kind != Group {
		bindings = append(bindings, s.users[subject.Username()]...)
	}
	for _, g := range subject.Groups() {
		bindings = append(bindings, s.groups[g]...)
	}
	return bindings
}

// Subjects lists every subject that a binding names and every account, once each, in order.
func (s *Set) Subjects() []Subject {
	seen := map[Subject]bool{}
	var list []Subject
	add := func(subject Subject) {
		if !seen[subject] {
			seen[subject] = true
			list = append(list, subject)
		}
	}
	for _, b := range s.Bindings {
		for _, subject := range b.Subjects {
			add(subject)
		}
	}
	for _, a := range s.Accounts {
		add(a.Subject())
	}
	slices.SortFunc(list, Subject.Compare)
	return list
}
