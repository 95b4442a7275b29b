package admission_test

import (
	"strings"
	"testing"

	"github.com/seawall-security/seawall/internal/admission"
	"github.com/seawall-security/seawall/internal/seawall"
)

// TestDenialsAreWhole: of two webhooks that deny, users hear one: each tells what both
// have to say, and decides by its own policies alone.
func TestDenialsAreWhole(t *testing.T) {
	rules := func(name, condition string) string {
		return "  rules: [{name: r, when: '" + condition + "', action: block, message: " + name + " says no}]\n"
	}
	s := snapshot(t, document("lenient", rules("lenient", `image.tag == "latest"`))+
		document("strict", "  failure: closed\n"+rules("strict", `image.registry == "docker.io"`)))
	decided := map[string]int{}
	h := handler(t, s, func(c *admission.Config) {
		c.Decided = func(d *seawall.Decision) { decided[d.Policy]++ }
	})
	for _, path := range []string{"/validate/open", "/validate/closed"} {
		r := post(t, h, path, review("CREATE", pod("nginx")))
		for _, want := range []string{"lenient says no", "strict says no", "against 2 rules"} {
			if r.Allowed || !strings.Contains(r.Status.Message, want) {
				t.Errorf("%s: no %q in %+v", path, want, r)
			}
		}
	}
	if decided["lenient"] != 1 || decided["strict"] != 1 {
		t.Errorf("decisions counted: %v", decided)
	}
	if r := post(t, h, "/validate/open", review("CREATE", pod("nginx:1"))); !r.Allowed {
		t.Errorf("the open webhook denies for a closed policy: %+v", r)
	}
}
