package rbac_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seawall-security/seawall/internal/detect"
	"github.com/seawall-security/seawall/internal/detect/rbac"
	"github.com/seawall-security/seawall/internal/detect/rbac/access"
	"github.com/seawall-security/seawall/internal/detect/rbac/escalation"
	"github.com/seawall-security/seawall/internal/seawall"
	sourcecluster "github.com/seawall-security/seawall/internal/source/cluster"
	"github.com/seawall-security/seawall/test/cluster/cluster"
)

// read is what 'seawall rbac' reads of a real cluster.
func read(t *testing.T, c *cluster.Cluster) detect.Facts {
	t.Helper()
	target, err := sourcecluster.Open(t.Context(), sourcecluster.Options{Kubeconfig: c.Kubeconfig()})
	if err != nil {
		t.Fatal(err)
	}
	defer target.Close()
	facts, err := target.Facts(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	f := detect.Facts{Asset: target.Asset()}
	for _, fact := range facts {
		if fact.Object != nil {
			f.Objects = append(f.Objects, *fact.Object)
		}
		if fact.Config != nil {
			f.Configs = append(f.Configs, *fact.Config)
		}
	}
	return f
}

// TestRealCluster compares what is built in with a real API server, asks it the same
// questions, and applies fixes to it.
func TestRealCluster(t *testing.T) {
	c := cluster.Shared(t)
	c.Wait(t, "the controller that fills aggregated roles", func() error {
		for _, name := range []string{"admin", "edit", "view"} {
			role, err := c.Get(t.Context(), "/apis/rbac.authorization.k8s.io/v1/clusterroles/"+name)
			if err != nil {
				return err
			}
			if len(role.List("rules")) < 10 {
				return fmt.Errorf("%s has %d rules", name, len(role.List("rules")))
			}
		}
		return nil
	})
	t.Run("defaults", func(t *testing.T) { sameDefaults(t, c) })
	t.Run("resources", func(t *testing.T) { sameResources(t, c) })
	t.Run("clean", func(t *testing.T) { nothingFound(t, c) })
	t.Run("reviews", func(t *testing.T) { sameReviews(t, c) })
	t.Run("binding", func(t *testing.T) { bindingGoes(t, c) })
	t.Run("token", func(t *testing.T) { tokenLeads(t, c) })
	t.Run("fixes", func(t *testing.T) { fixesWork(t, c) })
}

// sameDefaults: the roles, bindings and accounts built in are those the API server made, aggregated rules included.
func sameDefaults(t *testing.T, c *cluster.Cluster) {
	real := rbac.Analyse(read(t, c)).Set
	builtin, problems := access.Read(nil, access.Options{Defaults: true})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	rules := func(s *access.Set) map[string][]string {
		m := map[string][]string{}
		for _, r := range s.Roles {
			if !r.Default {
				continue
			}
			list := []string{}
			for _, one := range r.Rules {
				list = append(list, fmt.Sprint(one.Verbs, one.APIGroups, one.Resources, one.ResourceNames, one.NonResourceURLs))
			}
			slices.Sort(list)
			m[r.String()] = slices.Compact(list)
		}
		return m
	}
	if diff := cmp.Diff(rules(builtin), rules(real)); diff != "" {
		t.Errorf("rules of default roles (-built in +real):\n%s", diff)
	}
	bindings := func(s *access.Set) map[string]string {
		m := map[string]string{}
		for _, b := range s.Bindings {
			if b.Default {
				m[b.String()] = fmt.Sprint(b.RoleRef, b.Subjects)
			}
		}
		return m
	}
	if diff := cmp.Diff(bindings(builtin), bindings(real)); diff != "" {
		t.Errorf("default bindings (-built in +real):\n%s", diff)
	}
}

// sameResources: what Resolve knows is what the API server serves.
func sameResources(t *testing.T, c *cluster.Cluster) {
	served := map[string]access.Resource{}
	take := func(group, path string) {
		list, err := c.Get(t.Context(), path)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range list.List("resources") {
			if strings.Contains(r.String("name"), "/") {
				continue
			}
			namespaced, _ := r["namespaced"].(bool)
			one := access.Resource{Group: group, Name: r.String("name"), Singular: r.String("singularName"), Kind: r.String("kind"), Namespaced: namespaced}
			for _, s := range anyStrings(r["shortNames"]) {
				one.Short = append(one.Short, s)
			}
			served[one.Group+"/"+one.Name] = one
		}
	}
	take("", "/api/v1")
	groups, err := c.Get(t.Context(), "/apis")
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range groups.List("groups") {
		take(g.String("name"), "/apis/"+g.String("preferredVersion", "groupVersion"))
	}
	known := map[string]access.Resource{}
	for _, r := range access.Builtin() {
		r.Subresources, r.Verbs = nil, nil
		known[r.Group+"/"+r.Name] = r
	}
	for key, want := range served {
		if diff := cmp.Diff(want, known[key]); diff != "" {
			t.Errorf("%s (-served +built in):\n%s", key, diff)
		}
	}
	if len(served) < 50 {
		t.Errorf("only %d resources are served", len(served))
	}
}

func anyStrings(v any) []string {
	var out []string
	list, _ := v.([]any)
	for _, s := range list {
		out = append(out, s.(string))
	}
	return out
}

// nothingFound: what a cluster is installed with has no findings, and everything was evaluated.
func nothingFound(t *testing.T, c *cluster.Cluster) {
	builtin, _ := access.Read(nil, access.Options{Defaults: true})
	installed := map[string]bool{}
	for _, r := range builtin.Roles {
		installed[r.String()] = true
	}
	for _, b := range builtin.Bindings {
		installed[b.String()] = true
	}
	for _, f := range findings(t, read(t, c)) {
		// Other tests use the cluster, too.
		if f.Status == seawall.StatusFail && (installed[f.Location.Resource] || strings.Contains(f.Location.Resource, "/kube-system/")) {
			t.Errorf("%s %s %s: %s", f.Rule, f.Severity, f.Title, f.Evidence)
		}
		if f.Status == seawall.StatusNotEvaluated {
			t.Errorf("%s: %s", f.Rule, f.Reason)
		}
	}
}

const shopRoles = `
apiVersion: v1
kind: ServiceAccount
metadata: {name: ci}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: idle}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: deployer, labels: {team: shop}}
rules:
- {apiGroups: [""], resources: [configmaps, secrets, pods/log], verbs: [get, list]}
- {apiGroups: [apps], resources: ["*"], verbs: [get, list, watch, patch]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: deployer}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: deployer}
subjects: [{kind: ServiceAccount, name: ci, namespace: NAMESPACE}, {kind: Group, apiGroup: rbac.authorization.k8s.io, name: "system:serviceaccounts:NAMESPACE"}]
---
apiVersion: v1
kind: Pod
metadata: {name: idle}
spec: {serviceAccountName: idle, containers: [{name: c, image: none.invalid/c:1, imagePullPolicy: Never}]}
---
apiVersion: v1
kind: Pod
metadata: {name: ci}
spec: {serviceAccountName: ci, containers: [{name: c, image: none.invalid/c:1, imagePullPolicy: Never}]}
`

// fixesWork applies what the findings of a namespace say until none is left: what was
// dangerous is refused by the API server then, and what is needed still works.
func fixesWork(t *testing.T, c *cluster.Cluster) {
	ns := c.Namespace(t)
	c.Apply(t, ns, strings.ReplaceAll(shopRoles, "NAMESPACE", ns))
	account := c.As(t, "system:serviceaccount:"+ns+":ci", access.AllAccounts, access.AllAccounts+":"+ns)
	stranger := c.As(t, "system:serviceaccount:"+ns+":other", access.AllAccounts, access.AllAccounts+":"+ns)
	status := func(client *cluster.Client, path string) int {
		_, err := client.Get(t.Context(), path)
		if err == nil {
			return http.StatusOK
		}
		return cluster.Code(err)
	}
	configmaps, secrets, deployments := "/api/v1/namespaces/"+ns+"/configmaps", "/api/v1/namespaces/"+ns+"/secrets", "/apis/apps/v1/namespaces/"+ns+"/deployments"
	if status(account, secrets) != http.StatusOK || status(stranger, secrets) != http.StatusOK {
		t.Fatal("the fixture does not allow what is to be fixed")
	}

	var idle cluster.Object
	for _, o := range cluster.Parse(t, shopRoles) {
		if o.String("kind") == "Pod" && o.Name() == "idle" {
			idle = o
		}
	}
	want := []string{"SW-RBAC-002", "SW-RBAC-003", "SW-RBAC-005", "SW-RBAC-032", "SW-RBAC-042"}
	var rules []string
	for round := 0; ; round++ {
		found := failing(t, c, ns)
		if len(found) == 0 {
			break
		}
		for _, f := range found {
			if round == 2 { // what the fixes of the first round let show is mended in the second
				t.Fatalf("after the fixes: %s %s\n%s", f.Rule, f.Title, f.Evidence)
			}
			rules = append(rules, f.Rule)
			follow(t, c, f)
		}
		// The pod is made again, as its fix says.
		if err := c.Delete(t.Context(), "/api/v1/namespaces/"+ns+"/pods/idle"); err != nil {
			t.Fatal(err)
		}
		c.Wait(t, "the pod to be made again", func() error {
			_, err := c.Post(t.Context(), "/api/v1/namespaces/"+ns+"/pods", idle)
			return err
		})
	}
	slices.Sort(rules)
	if diff := cmp.Diff(want, slices.Compact(rules)); diff != "" {
		t.Errorf("findings (-want +got):\n%s", diff)
	}
	for _, check := range []struct {
		who  string
		as   *cluster.Client
		path string
		want int
	}{
		{"the account", account, configmaps, http.StatusOK}, {"the account", account, deployments, http.StatusOK}, {"the account", account, secrets, http.StatusForbidden},
		{"a stranger", stranger, configmaps, http.StatusForbidden}, {"a stranger", stranger, secrets, http.StatusForbidden},
	} {
		c.Wait(t, fmt.Sprintf("%s asking for %s to be answered %d", check.who, check.path, check.want), func() error {
			if got := status(check.as, check.path); got != check.want {
				return fmt.Errorf("it is %d", got)
			}
			return nil
		})
	}
}

// follow runs the command in a finding's remediation with its manifest.
func follow(t *testing.T, c *cluster.Cluster, f seawall.Finding) {
	t.Helper()
	fix := manifestOf(t, f.Remediation)
	command, _, _ := strings.Cut(fix, "\n")
	file := filepath.Join(t.TempDir(), "fix.yaml")
	if err := os.WriteFile(file, []byte(fix), 0o600); err != nil {
		t.Fatal(err)
	}
	c.Kubectl(t, append(strings.Fields(strings.TrimSuffix(strings.TrimPrefix(command, "# kubectl "), " -")), file)...)
}

const admin = `
apiVersion: v1
kind: ServiceAccount
metadata: {name: operator}
---
apiVersion: v1
kind: Pod
metadata: {name: operator}
spec: {serviceAccountName: operator, containers: [{name: c, image: none.invalid/c:1, imagePullPolicy: Never}]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: NAMESPACE-operator}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}
subjects: [{kind: ServiceAccount, name: operator, namespace: NAMESPACE}]
`

// bindingGoes removes what makes a pod's account cluster-admin, by the fix of the path from that pod.
func bindingGoes(t *testing.T, c *cluster.Cluster) {
	ns := c.Namespace(t)
	c.Apply(t, ns, strings.ReplaceAll(admin, "NAMESPACE", ns))
	t.Cleanup(func() {
		if err := c.Delete(context.Background(), "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/"+ns+"-operator"); err != nil {
			t.Error(err)
		}
	})
	account := c.As(t, "system:serviceaccount:"+ns+":operator", access.AllAccounts, access.AllAccounts+":"+ns)
	if _, err := account.Get(t.Context(), "/api/v1/secrets"); err != nil {
		t.Fatal(err)
	}
	rules := func() (list []string, path *seawall.Finding) {
		for _, f := range findings(t, read(t, c)) {
			if f.Status == seawall.StatusFail && strings.Contains(f.Location.Resource, ns) && f.Rule < "SW-RBAC-040" {
				list = append(list, f.Rule)
			} else if f.Status == seawall.StatusFail && f.Rule == "SW-RBAC-050" && f.Location.Resource == "Pod/"+ns+"/operator" {
				list, path = append(list, f.Rule), &f
			}
		}
		return list, path
	}
	list, path := rules()
	if diff := cmp.Diff([]string{"SW-RBAC-001", "SW-RBAC-050"}, list); diff != "" {
		t.Fatalf("findings (-want +got):\n%s", diff)
	}
	follow(t, c, *path)
	if list, _ := rules(); list != nil {
		t.Errorf("after the fix: %v", list)
	}
	c.Wait(t, "the account to lose everything", func() error {
		if _, err := account.Get(t.Context(), "/api/v1/secrets"); cluster.Code(err) != http.StatusForbidden {
			return fmt.Errorf("reading secrets: %w", err)
		}
		return nil
	})
	if _, err := account.Get(t.Context(), "/version"); err != nil {
		t.Errorf("what everybody may is gone, too: %v", err)
	}
}

const tokens = `
apiVersion: v1
kind: ServiceAccount
metadata: {name: weak}
---
apiVersion: v1
kind: Secret
metadata: {name: old, annotations: {kubernetes.io/service-account.name: operator}}
type: kubernetes.io/service-account-token
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: weak}
rules: [{apiGroups: [""], resources: [secrets], resourceNames: [old], verbs: [get]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: weak}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: weak}
subjects: [{kind: ServiceAccount, name: weak, namespace: NAMESPACE}]
---
apiVersion: v1
kind: Pod
metadata: {name: weak}
spec: {serviceAccountName: weak, containers: [{name: c, image: none.invalid/c:1, imagePullPolicy: Never}]}
`

// tokenLeads: an account that may read one Secret is as strong as the account whose token is in it, and walks the path to show it.
func tokenLeads(t *testing.T, c *cluster.Cluster) {
	ns := c.Namespace(t)
	c.Apply(t, ns, strings.ReplaceAll(admin+"---"+tokens, "NAMESPACE", ns))
	t.Cleanup(func() {
		if err := c.Delete(context.Background(), "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/"+ns+"-operator"); err != nil {
			t.Error(err)
		}
	})
	var steps []string
	for _, s := range rbac.Analyse(read(t, c)).Steps(escalation.Node{Kind: "Pod", Namespace: ns, Name: "weak"}) {
		steps = append(steps, s.Position)
	}
	want := []string{"ServiceAccount/" + ns + "/weak", "ServiceAccount/" + ns + "/operator", "cluster-admin"}
	if diff := cmp.Diff(want, steps); diff != "" {
		t.Errorf("path (-want +got):\n%s", diff)
	}
	weak := c.As(t, "system:serviceaccount:"+ns+":weak", access.AllAccounts, access.AllAccounts+":"+ns)
	c.Wait(t, "the token controller to fill the secret", func() error {
		secret, err := weak.Get(t.Context(), "/api/v1/namespaces/"+ns+"/secrets/old")
		if err == nil && secret.String("data", "token") == "" {
			err = fmt.Errorf("it is empty")
		}
		return err
	})
}

// failing are the findings of one namespace, that of the default account's left out.
func failing(t *testing.T, c *cluster.Cluster, namespace string) []seawall.Finding {
	var list []seawall.Finding
	for _, f := range findings(t, read(t, c)) {
		if f.Status == seawall.StatusFail && strings.Contains(f.Location.Resource, "/"+namespace+"/") {
			list = append(list, f)
		}
	}
	return list
}

// sameReviews asks the API server, by SubjectAccessReview, about every kind of subject.
func sameReviews(t *testing.T, c *cluster.Cluster) {
	ns := c.Namespace(t)
	c.Apply(t, ns, strings.ReplaceAll(shopRoles, "NAMESPACE", ns))
	set := rbac.Analyse(read(t, c)).Set
	questions := 60
	if os.Getenv("SEAWALL_LONG") != "" {
		questions = 2000
	}
	r := rand.New(rand.NewPCG(1, 2))
	pick := func(list ...string) string { return list[r.IntN(len(list))] }
	resources, allowed := access.Builtin(), 0
	for range questions {
		res := resources[r.IntN(len(resources))]
		if r.IntN(2) == 0 {
			res = access.Resource{Name: pick("configmaps", "secrets", "pods", "deployments"), Group: pick("", "", "apps")}
		}
		q := access.Request{Verb: pick("get", "list", "watch", "patch", "create", "delete"), Group: res.Group, Resource: res.Name, Namespace: pick("", ns, "kube-system")}
		s := []access.Subject{{Kind: access.ServiceAccount, Namespace: ns, Name: "ci"}, {Kind: access.ServiceAccount, Namespace: "kube-system", Name: "generic-garbage-collector"},
			{Kind: access.User, Name: "jane"}, {Kind: access.User, Name: "system:kube-scheduler"}, {Kind: access.User, Name: access.Anonymous}}[r.IntN(5)]
		_, ours := set.Allowed(s.Username(), s.Groups(), q)
		review, err := c.Post(t.Context(), "/apis/authorization.k8s.io/v1/subjectaccessreviews", map[string]any{
			"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview",
			"spec": map[string]any{"user": s.Username(), "groups": s.Groups(), "resourceAttributes": map[string]any{
				"verb": q.Verb, "group": q.Group, "resource": q.Resource, "namespace": q.Namespace}}})
		if err != nil {
			t.Fatal(err)
		}
		if real, _ := review.At("status", "allowed").(bool); real != ours {
			t.Errorf("%s by %s: the API server says %v", q, s, real)
		}
		if ours {
			allowed++
		}
	}
	if allowed == 0 || allowed == questions {
		t.Errorf("%d of %d are allowed", allowed, questions)
	}
}
