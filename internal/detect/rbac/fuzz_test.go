package rbac_test

import (
	"context"
	"io"
	"strings"
	"testing"

	"github.com/seawall-security/seawall/internal/detect/rbac"
	"github.com/seawall-security/seawall/internal/detect/rbac/access"
	"github.com/seawall-security/seawall/internal/detect/rbac/rbactest"
	"github.com/seawall-security/seawall/internal/detect/rbac/view"
	"github.com/seawall-security/seawall/internal/seawall"
)

// FuzzDetect judges objects with any content: each is judged or named in
// Partial, every finding can be shown, and nothing panics.
func FuzzDetect(f *testing.F) {
	kinds := []struct{ version, kind string }{{"rbac.authorization.k8s.io/v1", "ClusterRole"}, {"rbac.authorization.k8s.io/v1", "Role"},
		{"rbac.authorization.k8s.io/v1", "ClusterRoleBinding"}, {"rbac.authorization.k8s.io/v1", "RoleBinding"}, {"v1", "ServiceAccount"}, {"v1", "Pod"},
		{"apps/v1", "Deployment"}, {"batch/v1", "CronJob"}, {"v1", "Secret"}, {"v1", "Node"}, {"v1", "Namespace"}, {"apiextensions.k8s.io/v1", "CustomResourceDefinition"}}
	for _, o := range rbactest.Objects(f, shipped+"---\n"+clusterRole("{apiGroups: ['*'], resources: ['*'], verbs: [get, bind]}")+binding("x", "ClusterRole", "r", "{kind: ServiceAccount, name: web, namespace: shop}")) {
		for i, k := range kinds {
			if k.kind == o.Kind {
				f.Add(uint8(i), o.JSON, "n", "r")
			}
		}
	}
	f.Add(uint8(0), []byte(`{"aggregationRule":{"clusterRoleSelectors":[{}]},"rules":[{"verbs":["*"],"resources":["*/scale","*"],"apiGroups":["*"],"resourceNames":[""]}]}`), "", "r")
	f.Add(uint8(11), []byte(`{"spec":{"group":"g","names":{"plural":"p","shortNames":["s"]}}}`), "", "p.g")
	f.Fuzz(func(t *testing.T, kind uint8, data []byte, namespace, name string) {
		if len(data) > 1<<16 {
			return
		}
		k := kinds[int(kind)%len(kinds)]
		objects := append(rbactest.Objects(t, shipped+binding("x", "ClusterRole", "r", "{kind: ServiceAccount, name: web, namespace: shop}")),
			seawall.Object{APIVersion: k.version, Kind: k.kind, Namespace: namespace, Name: name, JSON: data})
		facts := live(objects)
		result, err := rbac.Detector{}.Detect(context.Background(), facts)
		if err != nil {
			t.Fatal(err)
		}
		for _, finding := range result.Findings {
			if finding.Status == seawall.StatusFail && (finding.Location == nil || finding.Severity == seawall.SeverityUnknown || finding.Title == "" || finding.Remediation == "") {
				t.Errorf("%+v", finding)
			}
		}
		if err := view.HTML(io.Discard, rbac.Analyse(facts), ""); err != nil {
			t.Error(err)
		}
	})
}

// FuzzResolve: what people write is a request or an error, never both or neither.
func FuzzResolve(f *testing.F) {
	for _, s := range []string{"pods", "deploy.apps/scale", "*.apps", "/metrics", "deployments.v1.apps", "", ".", "a/b/c", "roles.rbac"} {
		f.Add(s)
	}
	set, _ := access.Read(nil, access.Options{})
	f.Fuzz(func(t *testing.T, text string) {
		q, _, err := set.Resolve("get", text, "", "")
		switch {
		case err == nil && q.Path == "" && (q.Resource == "" || strings.ContainsAny(q.Resource, "/.")):
			t.Errorf("%q became %+v", text, q)
		case err == nil && q.Path != "" && q.Resource != "":
			t.Errorf("%q is both a URL and a resource: %+v", text, q)
		}
	})
}
