package rbac_test

import (
	"math/rand/v2"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/seawall-security/seawall/internal/detect/rbac/access"
	"github.com/seawall-security/seawall/internal/detect/rbac/rbactest"
	"github.com/seawall-security/seawall/internal/seawall"
)

// generatedRole makes a role of rules that are often dangerous and wild.
func generatedRole(r *rand.Rand) map[string]any {
	some := func(list ...string) []string {
		out := []string{}
		for range 1 + r.IntN(3) {
			out = append(out, list[r.IntN(len(list))])
		}
		return out
	}
	var rules []any
	for range 1 + r.IntN(4) {
		rule := map[string]any{
			"verbs":     some("get", "list", "watch", "create", "update", "patch", "delete", "deletecollection", "*", "bind", "escalate", "impersonate", "approve"),
			"apiGroups": some("", "apps", "batch", "rbac.authorization.k8s.io", "certificates.k8s.io", "example.org", "*"),
			"resources": some("pods", "pods/exec", "secrets", "configmaps", "deployments", "deployments/scale", "nodes", "nodes/proxy", "clusterroles", "rolebindings",
				"serviceaccounts", "serviceaccounts/token", "users", "groups", "widgets", "signers", "certificatesigningrequests/approval", "*/scale", "*"),
		}
		if r.IntN(4) == 0 {
			rule["resourceNames"] = some("a", "cluster-admin", "system:masters")
		}
		rules = append(rules, rule)
	}
	if r.IntN(3) == 0 {
		rules = append(rules, map[string]any{"verbs": some("get", "*"), "nonResourceURLs": some("/metrics", "*", "/api/*")})
	}
	return map[string]any{"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": map[string]any{"name": "r"}, "rules": rules}
}

// TestNarrowed applies the fix of generated roles: no finding about the role is
// left, nothing is allowed that was not, and whatever is known and not dangerous still is.
func TestNarrowed(t *testing.T) {
	t.Parallel()
	fixed := 0
	for seed := range 400 {
		role := generatedRole(rand.New(rand.NewPCG(uint64(seed), 7)))
		bind := rbactest.Objects(t, binding("b", "ClusterRole", "r", "{kind: Group, name: ops}"))
		before := append(bind, rbactest.Object(t, role))
		var fix string
		for _, f := range findings(t, live(before)) {
			if f.Status == seawall.StatusFail && f.Location.Resource == "ClusterRole/r" {
				fix = manifestOf(t, f.Remediation)
			}
		}
		if fix == "" {
			continue
		}
		fixed++
		after := append(rbactest.Objects(t, fix), bind...)
		for _, f := range findings(t, live(after)) {
			if f.Status == seawall.StatusFail {
				t.Fatalf("seed %d: %s %s after the fix\n%s\n%s", seed, f.Rule, f.Evidence, dump(role), fix)
			}
		}
		compare(t, seed, before, after, fix)
	}
	if fixed < 300 {
		t.Errorf("only %d roles had anything to fix", fixed)
	}
}

// compare asks every verb on every known resource before and after.
func compare(t *testing.T, seed int, before, after []seawall.Object, fix string) {
	t.Helper()
	old, _ := access.Read(before, access.Options{Live: true})
	now, _ := access.Read(after, access.Options{Live: true})
	dangerous := func(q access.Request) bool {
		one := map[string]any{"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": map[string]any{"name": "r"}, "rules": []any{
			map[string]any{"verbs": []string{q.Verb}, "apiGroups": []string{q.Group}, "resources": []string{combined(q)}, "resourceNames": nameList(q.Name)}}}
		for _, f := range findings(t, live(append(rbactest.Objects(t, binding("b", "ClusterRole", "r", "{kind: Group, name: ops}")), rbactest.Object(t, one)))) {
			if f.Status == seawall.StatusFail {
				return true
			}
		}
		return false
	}
	allowed := func(s *access.Set, q access.Request) bool { _, ok := s.Allowed("", []string{"ops"}, q); return ok }
	for _, r := range access.Builtin() {
		verbs := r.Verbs
		for _, sub := range append([]string{""}, r.Subresources...) {
			if sub != "" {
				verbs = []string{"get", "update", "patch"}
			}
			for _, verb := range verbs {
				for _, name := range []string{"", "a"} {
					q := access.Request{Verb: verb, Group: r.Group, Resource: r.Name, Subresource: sub, Name: name}
					was, is := allowed(old, q), allowed(now, q)
					if is && !was {
						t.Fatalf("seed %d: %s is allowed only after the fix\n%s", seed, q, fix)
					}
					unnamed := q
					unnamed.Name = ""
					if allowed(old, unnamed) {
						q = unnamed // dangerous without a name, gone with every name
					}
					if was && !is && seed%20 == 0 && !dangerous(q) {
						t.Fatalf("seed %d: %s is lost by the fix\n%s", seed, q, fix)
					}
				}
			}
		}
	}
}

func combined(q access.Request) string {
	if q.Subresource == "" {
		return q.Resource
	}
	return q.Resource + "/" + q.Subresource
}

func nameList(name string) []string {
	if name == "" {
		return nil
	}
	return []string{name}
}

func dump(o map[string]any) string {
	text, _ := yaml.Marshal(o)
	return string(text)
}

// manifestOf takes the manifest out of a remediation, as the guide tells people to.
func manifestOf(t testing.TB, remediation string) string {
	t.Helper()
	_, text, ok := strings.Cut(remediation, "\n\n# kubectl ")
	if !ok {
		t.Fatalf("no manifest in %q", remediation)
	}
	return "# kubectl " + text
}

// TestTokenFix: the account stops giving its token, and so does a workload that says it wants it.
func TestTokenFix(t *testing.T) {
	t.Parallel()
	deployment := `
apiVersion: apps/v1
kind: Deployment
metadata: {name: p, namespace: shop}
spec: {template: {spec: {serviceAccountName: web, automountServiceAccountToken: true, containers: [{name: c}]}}}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: web, namespace: shop}
`
	var fix string
	for _, f := range findings(t, live(rbactest.Objects(t, deployment))) {
		if f.Rule == "SW-RBAC-042" && f.Status == seawall.StatusFail {
			fix = manifestOf(t, f.Remediation)
		}
	}
	want := `# kubectl apply --server-side --force-conflicts -f -
apiVersion: v1
kind: ServiceAccount
metadata:
  name: web
  namespace: shop
automountServiceAccountToken: false
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: p
  namespace: shop
spec:
  template:
    spec:
      automountServiceAccountToken: false
`
	if fix != want {
		t.Errorf("%s", fix)
	}
	for _, f := range findings(t, live(rbactest.Objects(t, fix))) {
		if f.Status == seawall.StatusFail && f.Rule == "SW-RBAC-042" {
			t.Errorf("after the fix: %s", f.Title)
		}
	}
}
