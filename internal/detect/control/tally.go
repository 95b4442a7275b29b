package control

import (
	"fmt"

	"github.com/seawall-security/seawall/internal/seawall"
)

// tally is what one control came to.
type tally struct {
	fails  []seawall.Finding
	passes int
	// inapplicable and unjudged count subjects; the first reason and place are kept.
	inapplicable, unjudged  int
	whyInapplicable, whyNot string
	where                   *seawall.Location
	// unread are lists that were needed and not read: nothing passes without them.
	unread []string
}

func (t *tally) add(f seawall.Finding) { t.fails = append(t.fails, f) }

func (t *tally) notApplicable(reason string) {
	t.inapplicable++
	if t.whyInapplicable == "" {
		t.whyInapplicable = reason
	}
}

func (t *tally) notEvaluated(s *Subject, reason string) {
	t.unjudged++
	if t.whyNot == "" {
		t.whyNot = reason
		t.where = locate(s, "")
	}
}

func (t *tally) merge(o *tally) {
	t.fails = append(t.fails, o.fails...)
	t.passes += o.passes
	t.inapplicable += o.inapplicable
	t.unjudged += o.unjudged
	if t.whyInapplicable == "" {
		t.whyInapplicable = o.whyInapplicable
	}
	if t.whyNot == "" {
		t.whyNot, t.where = o.whyNot, o.where
	}
	t.unread = append(t.unread, o.unread...)
}

// findings are all results in the order of the controls: those that fail, then
// one for each other status. What was not read turns passes into not-evaluated;
// a control without anything to judge does not apply.
func (r *run) findings(programs []*program) []seawall.Finding {
	var out []seawall.Finding
	for _, p := range programs {
		t := r.tallies[p]
		if t == nil {
			continue
		}
		out = append(out, t.fails...)
		one := func(status seawall.Status, count int, reason string, where *seawall.Location) {
			out = append(out, seawall.Finding{
				Kind: seawall.KindMisconfiguration, Rule: p.ID, Title: p.Title, Severity: p.Severity, SeveritySource: "seawall",
				Status: status, Reason: reason, Count: count, Location: where, References: p.References, Frameworks: p.Frameworks,
			})
		}
		switch {
		case len(t.unread) > 0:
			one(seawall.StatusNotEvaluated, max(1, t.unjudged), reasons(t.unread), t.where)
		case t.unjudged > 0:
			reason := t.whyNot
			if t.unjudged > 1 {
				reason = fmt.Sprintf("%s (and %d more)", reason, t.unjudged-1)
			}
			one(seawall.StatusNotEvaluated, t.unjudged, reason, t.where)
		}
		switch {
		case t.passes > 0 && len(t.unread) == 0:
			one(seawall.StatusPass, t.passes, "", nil)
		case t.passes == 0 && len(t.fails) == 0 && t.unjudged == 0 && len(t.unread) == 0:
			reason := t.whyInapplicable
			if reason == "" {
				reason = "there is nothing of the kind"
			}
			one(seawall.StatusNotApplicable, t.inapplicable, reason, nil)
		}
	}
	return out
}
