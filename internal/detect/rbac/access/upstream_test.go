package access_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seawall-security/seawall/internal/detect/rbac/access"
	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/test/cluster/cluster"
)

// TestUpstream asks Kubernetes' own authorizer and this package the same
// questions about generated role sets: who may, and which subjects may. Not one
// answer may differ.
func TestUpstream(t *testing.T) {
	t.Parallel()
	kube := cluster.KubeBinary(t)
	sets := 300
	if os.Getenv("SEAWALL_LONG") != "" {
		sets = 10_000
	}
	cmd := exec.Command(kube, "authz")
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		in.Close()
		if err := cmd.Wait(); err != nil && !t.Failed() {
			t.Error(err)
		}
	}()
	asked, allowed := ask(t, in, bufio.NewReader(out), sets)
	if allowed < asked/50 || allowed > asked*9/10 {
		t.Errorf("%d of %d questions were allowed: the generator asks nothing interesting", allowed, asked)
	}
	t.Logf("%d role sets, %d questions, %d allowed", sets, asked, allowed)
}

func ask(t *testing.T, in io.Writer, out io.Reader, sets int) (asked, allowed int) {
	encoder, decoder := json.NewEncoder(in), json.NewDecoder(out)
	for seed := range sets {
		g := generator{rand.New(rand.NewPCG(uint64(seed), 1))}
		roles := g.roleSet()
		if err := encoder.Encode(roles); err != nil {
			t.Fatal(err)
		}
		var upstream struct {
			Answers []struct {
				Allowed  bool             `json:"allowed"`
				Subjects []access.Subject `json:"subjects"`
			} `json:"answers"`
		}
		if err := decoder.Decode(&upstream); err != nil {
			t.Fatal(err)
		}
		set, problems := access.Read(roles.objects(t), access.Options{Live: true})
		if len(problems) > 0 {
			t.Fatalf("set %d: %v", seed, problems)
		}
		for i, q := range roles.Questions {
			request := q.request()
			_, ours := set.Allowed(q.User, q.Groups, request)
			if ours != upstream.Answers[i].Allowed {
				t.Fatalf("set %d: %s by %s %v: upstream says %v\n%s", seed, request, q.User, q.Groups, upstream.Answers[i].Allowed, dump(roles))
			}
			want := sortedSubjects(upstream.Answers[i].Subjects)
			if diff := cmp.Diff(want, whoCan(set, request)); diff != "" {
				t.Fatalf("set %d: who can %s (-upstream +ours):\n%s\n%s", seed, request, diff, dump(roles))
			}
			asked++
			if ours {
				allowed++
			}
		}
	}
	return asked, allowed
}

func whoCan(set *access.Set, q access.Request) []access.Subject {
	var subjects []access.Subject
	for _, a := range access.Answers(set.WhoCan(q)) {
		subjects = append(subjects, a.Subject)
	}
	return subjects
}

// sortedSubjects leaves out the group that needs no binding, which upstream puts first.
func sortedSubjects(list []access.Subject) []access.Subject {
	if len(list) > 0 && list[0].Kind == access.Group && list[0].Name == access.Masters {
		list = list[1:]
	}
	var clean []access.Subject
	for _, s := range list {
		s = access.Subject{Kind: s.Kind, Name: s.Name, Namespace: s.Namespace}
		if !slices.Contains(clean, s) {
			clean = append(clean, s)
		}
	}
	slices.SortFunc(clean, access.Subject.Compare)
	return clean
}

// roleSet is the document the authorizer reads.
type roleSet struct {
	Roles               []object   `json:"roles"`
	ClusterRoles        []object   `json:"clusterRoles"`
	RoleBindings        []object   `json:"roleBindings"`
	ClusterRoleBindings []object   `json:"clusterRoleBindings"`
	Questions           []question `json:"questions"`
}

type object map[string]any

type question struct {
	User        string   `json:"user"`
	Groups      []string `json:"groups"`
	Verb        string   `json:"verb"`
	APIGroup    string   `json:"apiGroup"`
	Resource    string   `json:"resource"`
	Subresource string   `json:"subresource"`
	Name        string   `json:"name"`
	Namespace   string   `json:"namespace"`
	Path        string   `json:"path"`
	Subjects    bool     `json:"subjects"`
}

func (q question) request() access.Request {
	return access.Request{Verb: q.Verb, Group: q.APIGroup, Resource: q.Resource, Subresource: q.Subresource, Name: q.Name, Namespace: q.Namespace, Path: q.Path}
}

func (s *roleSet) objects(t testing.TB) []seawall.Object {
	var objects []seawall.Object
	for _, list := range [][]object{s.Roles, s.ClusterRoles, s.RoleBindings, s.ClusterRoleBindings} {
		for _, o := range list {
			raw, err := json.Marshal(o)
			if err != nil {
				t.Fatal(err)
			}
			meta := o["metadata"].(object)
			namespace, _ := meta["namespace"].(string)
			objects = append(objects, seawall.Object{
				APIVersion: "rbac.authorization.k8s.io/v1", Kind: o["kind"].(string),
				Namespace: namespace, Name: meta["name"].(string), JSON: raw,
			})
		}
	}
	return objects
}

func dump(s *roleSet) string {
	s.Questions = nil
	raw, _ := json.MarshalIndent(s, "", " ")
	return string(raw)
}

// generator makes role sets out of few words, so that questions meet rules often.
type generator struct{ *rand.Rand }

var (
	verbs      = []string{"get", "list", "watch", "create", "update", "patch", "delete", "deletecollection", "impersonate", "bind", "escalate", "*"}
	groups     = []string{"", "apps", "batch", "rbac.authorization.k8s.io", "*"}
	resources  = []string{"pods", "secrets", "deployments", "nodes", "roles", "serviceaccounts", "users", "*"}
	subs       = []string{"log", "exec", "scale", "token", "proxy", "status", "*"}
	names      = []string{"a", "b", "web", "system:masters", ""}
	namespaces = []string{"shop", "kube-system", "prod"}
	urls       = []string{"/metrics", "/healthz", "/healthz/etcd", "/api", "/api/v1", "/logs/x", "/"}
	urlRules   = []string{"/metrics", "/healthz/*", "/api*", "*", "/logs/**", "/*", "/healthz*"}
	users      = []string{"jane", "system:anonymous", "system:serviceaccount:shop:web", "system:serviceaccount:prod:web", "system:serviceaccount:shop:a:b"}
	teams      = []string{"dev", "system:authenticated", "system:serviceaccounts", "system:serviceaccounts:shop", "system:masters", "system:unauthenticated"}
)

func (g generator) pick(list []string) string { return list[g.IntN(len(list))] }

// some picks up to n words, the rare ones being the wildcard's share.
func (g generator) some(list []string, n int) []string {
	out := []string{}
	for range 1 + g.IntN(n) {
		out = append(out, g.pick(list))
	}
	return out
}

func (g generator) resource() string {
	r := g.pick(resources)
	if g.IntN(3) == 0 {
		r += "/" + g.pick(subs)
	}
	return r
}

func (g generator) rules(cluster bool) []object {
	rules := []object{}
	for range g.IntN(4) {
		if cluster && g.IntN(4) == 0 {
			rules = append(rules, object{"verbs": g.some(verbs, 3), "nonResourceURLs": g.some(urlRules, 2)})
			continue
		}
		var list []string
		for range 1 + g.IntN(3) {
			list = append(list, g.resource())
		}
		rule := object{"verbs": g.some(verbs, 4), "apiGroups": g.some(groups, 2), "resources": list}
		if g.IntN(4) == 0 {
			rule["resourceNames"] = g.some(names, 2)
		}
		rules = append(rules, rule)
	}
	return rules
}

func (g generator) subjects() []object {
	subjects := []object{}
	for range g.IntN(4) {
		switch g.IntN(3) {
		case 0:
			subjects = append(subjects, object{"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": g.pick(users)})
		case 1:
			subjects = append(subjects, object{"kind": "Group", "apiGroup": "rbac.authorization.k8s.io", "name": g.pick(teams)})
		default:
			subjects = append(subjects, object{"kind": "ServiceAccount", "name": g.pick([]string{"web", "a", "a:b"}), "namespace": g.pick(namespaces)})
		}
	}
	return subjects
}

func (g generator) roleSet() *roleSet {
	s := &roleSet{}
	for i := range 1 + g.IntN(4) {
		s.ClusterRoles = append(s.ClusterRoles, object{"kind": "ClusterRole", "metadata": object{"name": fmt.Sprint("c", i)}, "rules": g.rules(true)})
	}
	for _, namespace := range namespaces {
		for i := range g.IntN(3) {
			s.Roles = append(s.Roles, object{"kind": "Role", "metadata": object{"namespace": namespace, "name": fmt.Sprint("r", i)}, "rules": g.rules(false)})
		}
		for i := range g.IntN(4) {
			ref := object{"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": fmt.Sprint("r", g.IntN(3))}
			if g.IntN(2) == 0 {
				ref = object{"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": fmt.Sprint("c", g.IntN(5))}
			}
			s.RoleBindings = append(s.RoleBindings, object{"kind": "RoleBinding", "metadata": object{"namespace": namespace, "name": fmt.Sprint("b", i)}, "roleRef": ref, "subjects": g.subjects()})
		}
	}
	for i := range g.IntN(4) {
		s.ClusterRoleBindings = append(s.ClusterRoleBindings, object{
			"kind": "ClusterRoleBinding", "metadata": object{"name": fmt.Sprint("b", i)}, "subjects": g.subjects(),
			"roleRef": object{"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": fmt.Sprint("c", g.IntN(5))},
		})
	}
	for range 20 {
		q := g.question()
		if g.IntN(4) > 0 {
			g.aim(&q, s)
		}
		s.Questions = append(s.Questions, q)
	}
	return s
}

// aim turns a question towards a rule that a binding gives, as a whole or in part.
func (g generator) aim(q *question, s *roleSet) {
	bindings := append(slices.Clone(s.ClusterRoleBindings), s.RoleBindings...)
	if len(bindings) == 0 {
		return
	}
	b := bindings[g.IntN(len(bindings))]
	for _, role := range append(slices.Clone(s.ClusterRoles), s.Roles...) {
		rules := role["rules"].([]object)
		if role["metadata"].(object)["name"] != b["roleRef"].(object)["name"] || len(rules) == 0 {
			continue
		}
		g.like(q, rules[g.IntN(len(rules))])
	}
	if namespace, ok := b["metadata"].(object)["namespace"].(string); ok && g.IntN(4) > 0 && q.Path == "" {
		q.Namespace = namespace
	}
	subjects := b["subjects"].([]object)
	if len(subjects) == 0 {
		return
	}
	switch subject := subjects[g.IntN(len(subjects))]; subject["kind"] {
	case "User":
		q.User = subject["name"].(string)
	case "Group":
		q.Groups = append(q.Groups, subject["name"].(string))
	default:
		q.User = fmt.Sprintf("system:serviceaccount:%s:%s", subject["namespace"], subject["name"])
	}
}

// like asks what the rule allows, each part with a probability.
func (g generator) like(q *question, rule object) {
	word := func(now, field string) string {
		list, ok := rule[field].([]string)
		if !ok || g.IntN(10) == 0 {
			return now
		}
		if w := g.pick(list); w != "*" || g.IntN(2) == 0 {
			return w
		}
		return now
	}
	q.Verb = word(q.Verb, "verbs")
	if _, ok := rule["nonResourceURLs"]; ok {
		*q = question{User: q.User, Groups: q.Groups, Verb: q.Verb, Path: g.pick(urls), Subjects: true}
		return
	}
	if q.Path != "" {
		return
	}
	q.APIGroup, q.Name = word(q.APIGroup, "apiGroups"), word(q.Name, "resourceNames")
	resource := word("", "resources")
	if resource != "" {
		q.Resource, q.Subresource, _ = strings.Cut(resource, "/")
	}
}

func (g generator) question() question {
	q := question{User: g.pick(users), Groups: []string{}, Verb: g.pick(verbs), Subjects: true}
	for range g.IntN(3) {
		q.Groups = append(q.Groups, g.pick(teams))
	}
	if g.IntN(5) == 0 {
		q.Path = g.pick(urls)
		return q
	}
	q.APIGroup = g.pick(groups)
	q.Resource, q.Subresource, _ = strings.Cut(g.resource(), "/")
	if g.IntN(2) == 0 {
		q.Name = g.pick(names)
	}
	if g.IntN(3) > 0 {
		q.Namespace = g.pick(namespaces)
	}
	return q
}
