package access_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seawall-security/seawall/internal/detect/rbac/access"
	"github.com/seawall-security/seawall/internal/detect/rbac/rbactest"
	"github.com/seawall-security/seawall/internal/seawall"
)

func vias(answers []access.Answer) map[string]string {
	m := map[string]string{}
	for _, a := range answers {
		var via []string
		for _, ref := range a.Via {
			via = append(via, ref.String())
		}
		m[a.Subject.String()] = strings.Join(via, " ")
	}
	return m
}

const shop = `
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: monitoring}
aggregationRule: {clusterRoleSelectors: [{matchLabels: {to-monitoring: "true"}}, {matchExpressions: [{key: tier, operator: In, values: [ops]}]}]}
rules: [{apiGroups: [""], resources: [secrets], verbs: [get]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: logs, labels: {to-monitoring: "true"}}
rules: [{apiGroups: [""], resources: [pods/log], verbs: [get]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: ops, labels: {tier: ops}}
aggregationRule: {clusterRoleSelectors: [{matchLabels: {to-ops: "true"}}]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: scaler, labels: {to-ops: "true"}}
rules: [{apiGroups: ["*"], resources: ["*/scale"], verbs: [update]}, {nonResourceURLs: [/metrics, /debug/*], verbs: [get]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: monitoring}
roleRef: {kind: ClusterRole, name: monitoring}
subjects: [{kind: Group, name: sre}, {kind: ServiceAccount, name: prometheus, namespace: ops}, {kind: ServiceAccount, name: lost}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: devs, namespace: shop}
roleRef: {kind: ClusterRole, name: edit}
subjects: [{kind: User, name: jane}, {kind: ServiceAccount, name: ci}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: one-secret, namespace: shop}
rules: [{apiGroups: [""], resources: [secrets], resourceNames: [tls], verbs: [get, list]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: one-secret, namespace: shop}
roleRef: {kind: Role, name: one-secret}
subjects: [{kind: ServiceAccount, name: web, namespace: shop}]
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: certificates.cert-manager.io}
spec: {group: cert-manager.io, scope: Namespaced, names: {plural: certificates, kind: Certificate, shortNames: [cert]}}
`

func TestWhoCan(t *testing.T) {
	t.Parallel()
	set, problems := access.Read(rbactest.Objects(t, shop), access.Options{})
	if len(problems) != 1 || !strings.Contains(problems[0], `"lost" without a namespace`) {
		t.Errorf("problems: %q", problems)
	}
	const monitoring = "ClusterRoleBinding/monitoring ClusterRole/monitoring "
	for _, c := range []struct {
		verb, resource, name, namespace string
		want                            map[string]string
	}{
		{"get", "pods/log", "", "", map[string]string{"Group/sre": monitoring + "ClusterRole/logs", "ServiceAccount/ops/prometheus": monitoring + "ClusterRole/logs"}},
		// an aggregated role loses the rules written in it
		{"get", "secret", "", "", map[string]string{}},
		{"update", "deploy/scale", "", "", map[string]string{"Group/sre": monitoring + "ClusterRole/scaler", "ServiceAccount/ops/prometheus": monitoring + "ClusterRole/scaler"}},
		{"update", "deploy/status", "", "", map[string]string{}},
		{"get", "/metrics", "", "", map[string]string{"Group/sre": monitoring + "ClusterRole/scaler", "ServiceAccount/ops/prometheus": monitoring + "ClusterRole/scaler"}},
		{"get", "/debug/pprof", "", "", map[string]string{"Group/sre": monitoring + "ClusterRole/scaler", "ServiceAccount/ops/prometheus": monitoring + "ClusterRole/scaler"}},
		{"get", "/debug", "", "", map[string]string{}},
		{"get", "secrets", "tls", "shop", map[string]string{
			"User/jane":               "RoleBinding/shop/devs ClusterRole/edit ClusterRole/system:aggregate-to-edit",
			"ServiceAccount/shop/ci":  "RoleBinding/shop/devs ClusterRole/edit ClusterRole/system:aggregate-to-edit",
			"ServiceAccount/shop/web": "RoleBinding/shop/one-secret Role/shop/one-secret",
		}},
		{"list", "secrets", "", "prod", map[string]string{}},
	} {
		q, note, err := set.Resolve(c.verb, c.resource, c.name, c.namespace)
		if err != nil || note != "" {
			t.Fatalf("%s: %v %s", c.resource, err, note)
		}
		if diff := cmp.Diff(c.want, vias(access.Answers(set.WhoCan(q)))); diff != "" {
			t.Errorf("who can %s (-want +got):\n%s", q, diff)
		}
	}
}

// TestCycle: roles that aggregate each other, and themselves, end; the rules of all are in all.
func TestCycle(t *testing.T) {
	t.Parallel()
	set, _ := access.Read(rbactest.Objects(t, `
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: a, labels: {x: "1"}}
aggregationRule: {clusterRoleSelectors: [{matchExpressions: [{key: x, operator: Exists}]}]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: b, labels: {x: "2", y: ""}}
aggregationRule: {clusterRoleSelectors: [{matchLabels: {x: "1"}}, {matchExpressions: [{key: y, operator: NotIn, values: [""]}, {key: x, operator: Near}]}]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: c, labels: {x: "3"}}
rules: [{apiGroups: [""], resources: [pods], verbs: [get]}]
`), access.Options{})
	for _, r := range set.Roles {
		if !r.Default && (len(r.Rules) != 1 || r.Allows(access.Request{Verb: "get", Resource: "pods"}) != 0) {
			t.Errorf("%s has %+v", r, r.Rules)
		}
	}
}

func TestResolve(t *testing.T) {
	t.Parallel()
	set, _ := access.Read(rbactest.Objects(t, shop), access.Options{})
	for _, c := range []struct {
		resource, name, namespace string
		want                      access.Request
		note                      string
	}{
		{"po", "", "", access.Request{Resource: "pods"}, ""},
		{"Deployment", "", "n", access.Request{Group: "apps", Resource: "deployments", Namespace: "n"}, ""},
		{"deployments.apps/scale", "", "", access.Request{Group: "apps", Resource: "deployments", Subresource: "scale"}, ""},
		{"deployments.v1.apps", "", "", access.Request{Group: "apps", Resource: "deployments"}, ""},
		{"pods.v1", "", "", access.Request{Resource: "pods"}, ""},
		{"roles.rbac", "", "", access.Request{Group: "rbac.authorization.k8s.io", Resource: "roles"}, ""},
		{"events", "", "", access.Request{Resource: "events"}, ""},
		{"events.events.k8s.io", "", "", access.Request{Group: "events.k8s.io", Resource: "events"}, ""},
		{"cert", "", "", access.Request{Group: "cert-manager.io", Resource: "certificates"}, ""},
		{"nodes", "", "n", access.Request{Resource: "nodes"}, "cluster-scoped"},
		{"ns", "shop", "", access.Request{Resource: "namespaces", Name: "shop", Namespace: "shop"}, ""},
		{"widgets.example.org", "", "", access.Request{Group: "example.org", Resource: "widgets"}, "not known here"},
		{"pods/web", "", "", access.Request{Resource: "pods", Subresource: "web"}, "no subresource"},
		{"*", "", "", access.Request{Group: "*", Resource: "*"}, ""},
		{"*.apps", "", "", access.Request{Group: "apps", Resource: "*"}, ""},
		{"/metrics", "", "", access.Request{Path: "/metrics"}, ""},
	} {
		c.want.Verb = "get"
		got, note, err := set.Resolve("get", c.resource, c.name, c.namespace)
		if err != nil {
			t.Errorf("%s: %v", c.resource, err)
		}
		if diff := cmp.Diff(c.want, got); diff != "" || !strings.Contains(note, c.note) || c.note == "" && note != "" {
			t.Errorf("%s: %q (-want +got):\n%s", c.resource, note, diff)
		}
	}
	for _, wrong := range []string{"widgets", "", "/sub"[1:] + ".", "."} {
		if q, _, err := set.Resolve("get", wrong, "", ""); err == nil && q.Resource == "" {
			t.Errorf("%q: resolved to %+v", wrong, q)
		}
	}
}

// TestDefaults: roles of manifests that name what every cluster has work as there.
func TestDefaults(t *testing.T) {
	t.Parallel()
	set, _ := access.Read(nil, access.Options{Defaults: true})
	for _, c := range []struct {
		user   string
		groups []string
		q      access.Request
		want   bool
	}{
		{"root", []string{access.Masters}, access.Request{Verb: "*", Group: "*", Resource: "*"}, true},
		{"jane", []string{access.Authenticated}, access.Request{Verb: "get", Path: "/healthz"}, true},
		{"jane", []string{access.Authenticated}, access.Request{Verb: "list", Resource: "pods"}, false},
		{access.Anonymous, []string{access.Unauthenticated}, access.Request{Verb: "get", Path: "/version"}, true},
		{access.Anonymous, []string{access.Unauthenticated}, access.Request{Verb: "get", Path: "/api"}, false},
		{"system:serviceaccount:kube-system:clusterrole-aggregation-controller", nil, access.Request{Verb: "escalate", Group: "rbac.authorization.k8s.io", Resource: "clusterroles"}, true},
	} {
		if _, got := set.Allowed(c.user, c.groups, c.q); got != c.want {
			t.Errorf("%s %s: %v", c.user, c.q, got)
		}
	}
	label := `
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: %s, labels: {kubernetes.io/bootstrapping: rbac-defaults}}
rules: [{apiGroups: ["*"], resources: ["*"], verbs: ["*"]}]`
	for name, want := range map[string]bool{"system:node": true, "mine": false, "system:mine": false} {
		set, _ := access.Read(rbactest.Objects(t, fmt.Sprintf(label, name)), access.Options{Live: true})
		if got := set.Roles[0].Default; got != want {
			t.Errorf("ClusterRole %s counts as a default one: %v", name, got)
		}
	}
}

// TestTwice: of an object written twice the last one counts, and that is said.
func TestTwice(t *testing.T) {
	t.Parallel()
	list := rbactest.Objects(t, shop)
	last := list[6] // one-secret
	last.Path, last.Line = "b.yaml", 9
	last.JSON = []byte(`{"rules": []}`)
	broken := list[7]
	broken.Name, broken.JSON = "broken", []byte(`{"subjects": 1}`)
	set, problems := access.Read(append(list, last, broken), access.Options{})
	if grants := set.WhoCan(access.Request{Verb: "get", Resource: "secrets", Name: "tls", Namespace: "shop"}); len(grants) != 2 {
		t.Errorf("%d grants, want those of edit only", len(grants))
	}
	all := strings.Join(problems, "\n")
	for _, want := range []string{"b.yaml:9: Role/shop/one-secret is there twice", "RoleBinding/shop/broken is not read"} {
		if !strings.Contains(all, want) {
			t.Errorf("no %q in:\n%s", want, all)
		}
	}
}

// BenchmarkWhoCan is 5,000 subjects, 2,000 roles and 10,000 bindings.
func BenchmarkWhoCan(b *testing.B) {
	set, _ := access.Read(large(), access.Options{Live: true})
	q := access.Request{Verb: "get", Resource: "secrets", Namespace: "ns7"}
	b.ReportMetric(float64(len(set.WhoCan(q))), "subjects")
	b.ReportAllocs()
	for b.Loop() {
		set.WhoCan(q)
	}
}

func BenchmarkAllowed(b *testing.B) {
	set, _ := access.Read(large(), access.Options{Live: true})
	subject := access.Subject{Kind: access.ServiceAccount, Namespace: "ns7", Name: "sa7"}
	user, groups := subject.Username(), subject.Groups()
	q := access.Request{Verb: "get", Resource: "secrets", Namespace: "ns7"}
	b.ReportAllocs()
	for b.Loop() {
		set.Allowed(user, groups, q)
	}
}

func BenchmarkRead(b *testing.B) {
	objects := large()
	b.ReportAllocs()
	for b.Loop() {
		access.Read(objects, access.Options{Live: true})
	}
}

func large() []seawall.Object {
	var list []seawall.Object
	add := func(kind, namespace, name, body string) {
		version := "rbac.authorization.k8s.io/v1"
		if kind == "ServiceAccount" {
			version = "v1"
		}
		list = append(list, seawall.Object{APIVersion: version, Kind: kind, Namespace: namespace, Name: name, JSON: []byte(body)})
	}
	for i := range 2000 {
		rules := fmt.Sprintf(`{"rules":[{"verbs":["get","list","watch"],"apiGroups":["","apps"],"resources":["pods","services","deployments","res%d"]},`+
			`{"verbs":["%s"],"apiGroups":[""],"resources":["secrets"]},{"verbs":["update"],"apiGroups":["apps"],"resources":["deployments/scale"]}]}`, i, []string{"get", "list", "create", "watch"}[i%4])
		if i%2 == 0 {
			add("ClusterRole", "", fmt.Sprint("role", i), rules)
		} else {
			add("Role", fmt.Sprint("ns", i%100), fmt.Sprint("role", i), rules)
		}
	}
	for i := range 5000 {
		add("ServiceAccount", fmt.Sprint("ns", i%100), fmt.Sprint("sa", i), `{}`)
	}
	for i := range 10_000 {
		role, kind := i%2000, "Role"
		if role%2 == 0 {
			kind = "ClusterRole"
		}
		body := fmt.Sprintf(`{"roleRef":{"kind":%q,"name":"role%d"},"subjects":[{"kind":"ServiceAccount","namespace":"ns%d","name":"sa%d"}]}`, kind, role, i%100, i%5000)
		if i%50 == 0 && kind == "ClusterRole" {
			add("ClusterRoleBinding", "", fmt.Sprint("b", i), body)
		} else {
			add("RoleBinding", fmt.Sprint("ns", i%100), fmt.Sprint("b", i), body)
		}
	}
	return list
}
