// Package text writes the table that people read in a terminal. It says first
// what could not be judged, then incidents, then what is wrong, worst first and gathered by the
// package to upgrade, and ends with the totals and the next step, because the
// end of the output is what a terminal shows.
//
// Lines wrap at the width asked for; identifiers are never cut. Long lists are
// folded with a count. Colour adds nothing that the words do not say.
package text

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/sink"
	"github.com/seawall-security/seawall/internal/sink/triage"
)

// New returns the handler of the table format.
func New(w io.Writer, o sink.Options) sink.Handler {
	return sink.Whole(func(r *seawall.Report) error {
		p := &printer{out: bufio.NewWriter(w), width: max(cmp.Or(o.Width, 80), 40), color: o.Color}
		t := &table{printer: p, view: triage.New(r, o), options: o}
		t.render()
		return p.out.Flush()
	})
}

// table renders one view.
type table struct {
	*printer
	view    *triage.View
	options sink.Options
}

func (t *table) render() {
	t.gaps()
	t.incomplete()
	t.incidents()
	fleet := t.view.Fleet()
	for i := range t.view.Assets {
		a := &t.view.Assets[i]
		if fleet && i > 0 {
			t.fleet()
			break
		}
		t.asset(a)
		for j := range a.Others {
			last := j+1 == len(a.Others) || a.Others[j+1].Rule != a.Others[j].Rule
			t.other(a.Others[j], last)
		}
		t.groups(a.Groups)
		t.notEvaluated(a.NotEvaluated)
		if t.options.Packages {
			t.packages(a.ID)
		}
	}
	t.decisions()
	t.total()
}

// gaps says what the database could not judge, and the command that mends it.
func (t *table) gaps() {
	if len(t.view.Gaps) == 0 {
		return
	}
	gaps := t.view.MergedGaps()
	unjudged := 0
	for _, g := range gaps {
		if g.Status == seawall.CoverageNotEvaluated {
			unjudged += g.Packages
		}
	}
	headline := "PARTLY JUDGED"
	if unjudged > 0 {
		headline = "NOT EVALUATED: " + triage.Count(unjudged, "package") + " could not be judged; this is not a clean result"
	}
	t.prose(0, headline, boldRed)
	for _, g := range gaps {
		size := triage.Count(g.Packages, "package")
		if g.Assets > 1 {
			size += fmt.Sprintf(" in %d assets", g.Assets)
		}
		words := append(split(g.Ecosystems(), bold), split("("+size+"): "+g.Reason, plain)...)
		t.wrap([]word{{"  ", plain}}, 2, words)
		if g.Remedy != "" {
			t.wrap([]word{{"    mend:", dim}, {" ", plain}}, 10, split(g.Remedy, cyan))
		}
	}
	t.blank()
}

// incomplete lists the collectors that did not finish everything.
func (t *table) incomplete() {
	const most = 8
	if len(t.view.Incomplete) == 0 {
		return
	}
	t.prose(0, "NOT READ COMPLETELY", boldRed)
	for i, s := range t.view.Incomplete {
		if i == most {
			t.prose(2, fmt.Sprintf("+%d more: see collectors in --format json", len(t.view.Incomplete)-most), dim)
			break
		}
		words := append([]word{{sink.Plain(s.Name), bold}}, split(string(s.Status)+": "+s.Reason, plain)...)
		if len(t.view.Assets) > 1 {
			words = append(words, split("in "+t.view.AssetName(s.Asset), dim)...)
		}
		t.wrap([]word{{"  ", plain}}, 2, words)
	}
	t.blank()
}

func (t *table) asset(a *triage.Asset) {
	t.prose(0, cmp.Or(a.Name, a.ID), bold)
	t.facts(0, a.Facts(), dim)
	if a.Failing() == 0 {
		verdict, clean := a.Nothing()
		st := yellow
		if clean {
			st = green
		}
		t.prose(0, verdict, st)
	}
	t.blank()
}

// facts writes short statements with a dot between them, none broken over lines.
func (t *table) facts(indent int, facts []string, st style) {
	var words []word
	for i, f := range facts {
		if i < len(facts)-1 {
			f += " ·"
		}
		words = append(words, word{sink.Plain(f), st})
	}
	t.wrap(nil, indent, words)
}

// other shows a finding that no upgrade mends. Of several by one rule the last
// says what to do.
func (t *table) other(f *seawall.Finding, last bool) {
	t.wrap([]word{severityWord(f.Severity)}, 12, append([]word{{sink.Plain(f.Rule), bold}}, split(f.Title, plain)...))
	places := sink.Places(f)
	for i, l := range places {
		if i == 3 {
			t.prose(12, fmt.Sprintf("+%d more places", len(places)-i), dim)
			break
		}
		t.prose(12, "at "+triage.PlaceOf(l), dim)
	}
	if f.Evidence != "" {
		t.prose(12, f.Evidence, dim)
	}
	if !last {
		return
	}
	if f.Remediation != "" {
		t.prose(12, f.Advice(), cyan)
	}
	t.blank()
}

// notEvaluated lists the checks that were not made, those with the same reason
// in one entry.
func (t *table) notEvaluated(list []*seawall.Finding) {
	byReason := make(map[string][]*seawall.Finding)
	for _, f := range list {
		byReason[f.Reason] = append(byReason[f.Reason], f)
	}
	for _, f := range list {
		same := byReason[f.Reason]
		delete(byReason, f.Reason)
		switch len(same) {
		case 0: // listed with an earlier one
		case 1:
			words := append([]word{{sink.Plain(f.Rule), bold}}, split(f.Title+" (not evaluated: "+f.Reason+")", plain)...)
			t.wrap([]word{{"?", yellow}}, 10, words)
		default:
			words := split(fmt.Sprintf("%d checks not evaluated: %s", len(same), f.Reason), plain)
			t.wrap([]word{{"?", yellow}}, 10, words)
			t.prose(10, strings.Join(rules(same), ", "), dim)
		}
	}
	if len(list) > 0 {
		t.blank()
	}
}

// rules are the rules of findings, each once, in order.
func rules(list []*seawall.Finding) []string {
	var out []string
	for _, f := range list {
		out = append(out, f.Rule)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// total ends the table: counts, the age of the knowledge used, the next step.
func (t *table) total() {
	t.out.WriteString(strings.Repeat("─", t.width) + "\n")
	s := &t.view.Report.Summary
	var words []word
	for _, sev := range seawall.Severities() {
		if n := s.Of(sev); n > 0 {
			words = append(words, word{fmt.Sprintf("%d %s", n, sev), styleOf(sev)})
		}
	}
	if len(words) == 0 {
		words = []word{{"0 findings", green}}
	}
	if n := t.view.Exploited; n > 0 {
		words = append(words, word{fmt.Sprintf("%d known exploited (KEV)", n), boldRed})
	}
	if n := t.view.Fixable; n > 0 {
		words = append(words, word{fmt.Sprintf("%d fixable", n), green})
	}
	if n := len(t.view.Report.Incidents); n > 0 {
		words = append(words, word{triage.Count(n, "incident"), boldRed})
	}
	if n := s.Suppressed; n > 0 {
		words = append(words, word{fmt.Sprintf("%d suppressed", n), dim})
	}
	if n := s.NotEvaluated; n > 0 {
		words = append(words, word{fmt.Sprintf("%d checks not evaluated", n), yellow})
	}
	if n := t.view.Hidden; n > 0 {
		words = append(words, word{fmt.Sprintf("%d not shown by --severity or --fixable", n), dim})
	}
	for i := range words[:len(words)-1] {
		words[i].text += " ·"
	}
	t.wrap(nil, 0, words)
	t.database()
	if next := t.view.Next(); next != "" {
		t.wrap([]word{{"next:", bold}, {" ", plain}}, 6, split(next, cyan))
	}
}

func (t *table) database() {
	db := t.view.Report.Database
	if db == nil {
		return
	}
	built, _, _ := strings.Cut(db.Built, "T")
	line := "advisories of " + cmp.Or(built, "an unknown day")
	if age, ok := t.view.DatabaseAge(); ok {
		line += ", " + triage.Count(int(age/(24*time.Hour)), "day") + " old"
	}
	if db.Origin != "" {
		line += ", " + db.Origin
	}
	t.prose(0, line, dim)
}
