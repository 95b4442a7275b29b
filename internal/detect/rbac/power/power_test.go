package power_test

import (
	"testing"

	"github.com/seawall-security/seawall/internal/detect/rbac/access"
	"github.com/seawall-security/seawall/internal/detect/rbac/power"
)

func TestGone(t *testing.T) {
	t.Parallel()
	for version, want := range map[string]power.Set{"": 0, "v1.34.9": 0, "1.35": power.Of(power.ExecByGet), "v1.36.3+k3s1": power.Of(power.ExecByGet), "v1.35+": power.Of(power.ExecByGet), "v2.0": 0, "nonsense": 0} {
		if got := power.Gone(version); got != want {
			t.Errorf("%q: %v", version, got.List())
		}
	}
}

// TestOfRole: everything gives every power; each request of a power gives it, and none is cut by its own namespace rule.
func TestOfRole(t *testing.T) {
	t.Parallel()
	all := power.OfRole(&access.Role{Rules: []access.Rule{{Verbs: []string{"*"}, APIGroups: []string{"*"}, Resources: []string{"*"}}}})
	if n := len(all.List()); n < 30 || !all.Has(power.Everything, power.DeleteEvents) {
		t.Errorf("everything is %d powers", n)
	}
	if power.OfRole(&access.Role{}) != 0 {
		t.Error("an empty role gives something")
	}
	for _, p := range all.List() {
		if p.String() == "" || len(p.Requests()) == 0 {
			t.Errorf("power %d has no name or no requests", p)
		}
		for _, q := range p.Requests() {
			rule := access.Rule{Verbs: []string{q.Verb}, APIGroups: []string{q.Group}, Resources: []string{q.Resource}}
			if q.Subresource != "" {
				rule.Resources[0] += "/" + q.Subresource
			}
			if q.Name != "" {
				rule.ResourceNames = []string{q.Name}
			}
			got := power.OfRole(&access.Role{Rules: []access.Rule{rule}})
			if !got.Has(p) || got.Namespaced().Has(p) == p.Cluster() {
				t.Errorf("%s: %v gives %v", p, rule, got.List())
			}
		}
	}
}
