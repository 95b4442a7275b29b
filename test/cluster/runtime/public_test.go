package runtime

import (
	"testing"

	"github.com/seawall-security/seawall/internal/testenv"
	"github.com/seawall-security/seawall/test/attacks"
	"github.com/seawall-security/seawall/test/cluster/cluster"
)

// The public rules people have work beside ours, unchanged: they find their share of the attacks.
func TestPublicRules(t *testing.T) {
	testenv.Root(t)
	var args []string
	for _, name := range []string{"falco_rules.yaml", "falco-incubating_rules.yaml", "falco-sandbox_rules.yaml"} {
		args = append(args, "--rules", testenv.Shared(t, "falco-rules/"+name))
	}
	all, err := attacks.All()
	if err != nil {
		t.Fatal(err)
	}
	s := newStage(t, cluster.Shared(t), all)
	w := watch(t, s.Cluster, append([]string{"--rules", "own"}, args...)...)
	s.canary(t, w)
	s.act(t, all, false)
	s.canary(t, w)
	ours := map[string]bool{}
	for _, a := range all {
		ours[a.Rule] = true
	}
	found := map[string]bool{}
	for _, f := range w.report(t).Findings {
		if s.owns(&f) && !ours[f.Rule] {
			found[f.Rule] = true
		}
	}
	for _, rule := range publicFindings() {
		if !found[rule] {
			t.Errorf("public rule %q finds nothing", rule)
		}
	}
}

// publicFindings are the public rules that our attacks are attacks for, too.
func publicFindings() []string {
	return []string{}
}
