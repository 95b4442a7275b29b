package triage

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"github.com/seawall-security/seawall/internal/seawall"
)

// Verdict is a decision as people read it.
type Verdict struct {
	// Word says what happens: "block", "would block", "not decided".
	Word string
	// Enforced: it does happen, and is more than an alert.
	Enforced bool
	// Rule is "policy/rule", Reason why, Where the object or asset it is about.
	Rule, Reason, Where string
}

// Verdicts are the decisions of policies, those that stop something first.
func (v *View) Verdicts() []Verdict {
	decisions := slices.Clone(v.Report.Decisions)
	slices.SortStableFunc(decisions, func(a, b seawall.Decision) int { return cmp.Compare(urgency(&a), urgency(&b)) })
	out := make([]Verdict, len(decisions))
	for i := range decisions {
		d := &decisions[i]
		out[i] = Verdict{Word: d.Action, Rule: d.Policy + "/" + d.Rule, Reason: d.Reason, Enforced: urgency(d) == 0}
		switch d.Outcome {
		case "dry-run":
			out[i].Word = "would " + d.Action
		case "failed":
			out[i].Word = "not decided"
		}
		switch {
		case d.Location != nil:
			out[i].Where = PlaceOf(*d.Location)
		case len(v.Assets) > 1:
			out[i].Where = v.AssetName(d.Asset)
		}
	}
	return out
}

// urgency orders decisions: carried out, not made, alerts, dry runs.
func urgency(d *seawall.Decision) int {
	switch {
	case d.Outcome == "enforced" && d.Action != "alert":
		return 0
	case d.Outcome == "failed":
		return 1
	case d.Outcome == "enforced":
		return 2
	}
	return 3
}

// CountVerdicts counts them by word, in their order: "2 block, 1 would block".
func CountVerdicts(list []Verdict) string {
	var words, order []string
	counts := map[string]int{}
	for i := range list {
		if counts[list[i].Word]++; counts[list[i].Word] == 1 {
			order = append(order, list[i].Word)
		}
	}
	for _, w := range order {
		words = append(words, strconv.Itoa(counts[w])+" "+w)
	}
	return strings.Join(words, ", ")
}
