package cli

import (
	"bytes"
	"testing"

	"github.com/seawall-security/seawall/internal/detect/actor"
	"github.com/seawall-security/seawall/internal/detect/behaviour"
	"github.com/seawall-security/seawall/internal/sensor/integrity"
)

// What the agent and the server find by themselves is explained like what scans find.
func TestExplainKnowsLiveRules(t *testing.T) {
	for _, rule := range []string{
		actor.RuleTwoPlaces, behaviour.RuleCPU, behaviour.RuleEgress,
		integrity.RuleContent, integrity.RuleOwner, integrity.RuleAdded, integrity.RuleRemoved, integrity.RuleUnread,
	} {
		var out, errs bytes.Buffer
		if code := Run(t.Context(), Invocation{Args: []string{"explain", rule}, Stdout: &out, Stderr: &errs}); code != 0 {
			t.Errorf("%s: exit status %d: %s", rule, code, errs.String())
			continue
		}
		for _, part := range []string{rule + "  ", "\nWhat to do\n", "\nReferences\n", "\nFrameworks\n"} {
			if !bytes.Contains(out.Bytes(), []byte(part)) {
				t.Errorf("%s: no %q in\n%s", rule, part, out.String())
			}
		}
	}
}
