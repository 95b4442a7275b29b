package text

import (
	"fmt"

	"github.com/seawall-security/seawall/internal/sink"
	"github.com/seawall-security/seawall/internal/sink/triage"
)

// mostVerdicts are shown before the rest is folded with a count.
const mostVerdicts = 12

// decisions tells what policies decided, what they stop first.
func (t *table) decisions() {
	list := t.view.Verdicts()
	if len(list) == 0 {
		return
	}
	t.prose(0, "POLICY: "+triage.CountVerdicts(list), bold)
	for i, v := range list {
		if i == mostVerdicts {
			t.prose(2, fmt.Sprintf("+%d more: see decisions in --format json", len(list)-i), dim)
			break
		}
		st := yellow
		if v.Enforced {
			st = boldRed
		}
		words := append([]word{{sink.Plain(v.Rule), bold}}, split(v.Reason, plain)...)
		t.wrap([]word{{"  ", plain}, {v.Word + " ", st}}, 4, words)
		if v.Where != "" {
			t.prose(4, "at "+v.Where, dim)
		}
	}
	t.blank()
}
