package library_test

import (
	"testing"

	"github.com/seawall-security/seawall/internal/policy"
	"github.com/seawall-security/seawall/internal/policy/cases"
	"github.com/seawall-security/seawall/internal/policy/library"
)

// TestLibrary: every policy does what its tests say, and they ask for every answer.
func TestLibrary(t *testing.T) {
	result, err := cases.Run([]string{"."})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range result.Cases {
		for _, p := range c.Problems {
			t.Errorf("%s: %s: %s", c.Place, c.Name, p)
		}
	}
	for _, r := range result.Rules {
		if r.Matched == 0 || r.Unmatched == 0 {
			t.Errorf("%s, rule %s: matched %d times, did not %d times", r.Policy, r.Rule, r.Matched, r.Unmatched)
		}
	}
}

// TestText: each file holds one policy of its name.
func TestText(t *testing.T) {
	names := library.Names()
	if len(names) < 13 {
		t.Errorf("%d policies", len(names))
	}
	for _, name := range names {
		text, ok := library.Text(name)
		set, err := policy.Parse(name+".yaml", text)
		if !ok || err != nil || len(set.Policies) != 1 || set.Policies[0].Name != name || set.Policies[0].Description == "" {
			t.Errorf("%s: %v, %+v", name, err, set)
		}
	}
	if _, ok := library.Text("no-secrets.test"); ok {
		t.Error("a test is no policy")
	}
}
