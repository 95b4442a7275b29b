package cluster_test

import (
	"context"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/source/cluster"
	real "github.com/seawall-security/seawall/test/cluster/cluster"
)

// snapshot reads a real cluster as a user.
func snapshot(t *testing.T, o cluster.Options) taken {
	t.Helper()
	target, err := cluster.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	defer target.Close()
	facts, err := target.Facts(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	out := taken{target: target, objects: map[string]string{}}
	for _, f := range facts {
		switch {
		case f.Object != nil:
			out.objects[f.Object.Resource()] = string(f.Object.JSON)
		case f.Config != nil:
			out.configs = append(out.configs, *f.Config)
		}
	}
	return out
}

// resourcesOf are the resources of a kind of configuration, in order.
func (s *taken) resourcesOf(kind string) []string {
	var out []string
	for _, c := range s.configs {
		if c.Kind == kind && c.Data["served"] != "false" && !slices.Contains(out, c.Data["resource"]) {
			out = append(out, c.Data["resource"])
		}
	}
	slices.Sort(out)
	return out
}

// bind gives a user the roles of a file of deploy/rbac.
func bind(t *testing.T, c *real.Cluster, user, file string) {
	t.Helper()
	text, err := os.ReadFile("../../../deploy/rbac/" + file)
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range c.Apply(t, "", string(text)) {
		binding := "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRoleBinding\nmetadata: {name: " + user + "-" + o.Name() + "}\n" +
			"roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: " + o.Name() + "}\nsubjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: " + user + "}]\n"
		c.Apply(t, "", binding)
		t.Cleanup(func() {
			_ = c.Delete(context.Background(), "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/"+user+"-"+o.Name())
			_ = c.Delete(context.Background(), "/apis/rbac.authorization.k8s.io/v1/clusterroles/"+o.Name())
		})
	}
}

// TestShippedRoles: with the role that is shipped everything is read that is
// said to be read, and the optional ones add what they say; without any role
// nothing is read and everything is said not to be.
func TestShippedRoles(t *testing.T) {
	c := real.Shared(t)
	ns := c.Namespace(t)
	c.Apply(t, ns, `
apiVersion: v1
kind: Secret
metadata: {name: password}
stringData: {password: correct-horse-battery}
---
apiVersion: v1
kind: Secret
metadata: {name: own}
type: example.org/own
stringData: {x: correct-horse-battery}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {a: b}
`)
	admin := snapshot(t, cluster.Options{Kubeconfig: c.Kubeconfig()})
	served := admin.resourcesOf("kubernetes/read")
	if len(served) < 35 || len(admin.resourcesOf("kubernetes/unread")) > 0 {
		t.Fatalf("the administrator reads %v, not %v", served, admin.resourcesOf("kubernetes/unread"))
	}
	if text := admin.objects["Secret/"+ns+"/password"]; !strings.Contains(text, `"type":"Opaque"`) || strings.Contains(text, `"data":`) {
		t.Errorf("the secret is read as %s", text)
	}
	if text := admin.objects["Secret/"+ns+"/own"]; text == "" || strings.Contains(text, `"data":`) {
		t.Errorf("the secret of an own type is read as %s", text)
	}
	t.Run("none", func(t *testing.T) {
		got := snapshot(t, cluster.Options{Kubeconfig: c.UserKubeconfig(t, "seawall-test-nobody")})
		if len(got.objects) > 0 || len(got.resourcesOf("kubernetes/read")) > 0 {
			t.Errorf("without a role %v is read", got.resourcesOf("kubernetes/read"))
		}
		want := slices.DeleteFunc(slices.Clone(served), func(r string) bool { return r == "nodes/proxy" })
		if diff := cmp.Diff(want, got.resourcesOf("kubernetes/unread")); diff != "" {
			t.Error(diff)
		}
		if reason := got.of("kubernetes/unread", "pods")["reason"]; !strings.Contains(reason, `User "seawall-test-nobody" cannot list resource "pods"`) {
			t.Errorf("the reason is %q", reason)
		}
	})
	t.Run("scan.yaml", func(t *testing.T) {
		const user = "seawall-test-scan"
		bind(t, c, user, "scan.yaml")
		kubeconfig := c.UserKubeconfig(t, user)
		got := snapshot(t, cluster.Options{Kubeconfig: kubeconfig})
		if diff := cmp.Diff([]string{"nodes/proxy", "secrets"}, got.resourcesOf("kubernetes/unread")); diff != "" {
			t.Errorf("not read with deploy/rbac/scan.yaml: %s", diff)
		}
		if got.target.Asset().ID != admin.target.Asset().ID || !strings.HasPrefix(got.target.Asset().ID, "cluster:") {
			t.Errorf("the cluster is %s for one and %s for the other", got.target.Asset().ID, admin.target.Asset().ID)
		}
		if got.objects["ConfigMap/"+ns+"/settings"] == "" {
			t.Error("an object is missing")
		}
		bind(t, c, user, "secrets.yaml")
		bind(t, c, user, "kubelet.yaml")
		got = snapshot(t, cluster.Options{Kubeconfig: kubeconfig})
		if left := got.resourcesOf("kubernetes/unread"); len(left) > 0 {
			t.Errorf("not read with all roles: %v", left)
		}
		i := slices.IndexFunc(got.configs, func(c seawall.ConfigFact) bool { return c.Kind == "kubernetes/kubelet" })
		if i < 0 || got.configs[i].Data["authentication.anonymous.enabled"] == "" {
			t.Error("the kubelet's settings are missing")
		}
	})
	t.Run("namespace", func(t *testing.T) {
		got := snapshot(t, cluster.Options{Kubeconfig: c.Kubeconfig(), Namespace: ns})
		for resource := range got.objects {
			if strings.HasPrefix(resource, "ConfigMap/") && !strings.HasPrefix(resource, "ConfigMap/"+ns+"/") {
				t.Errorf("%s is not of the namespace", resource)
			}
		}
	})
}
