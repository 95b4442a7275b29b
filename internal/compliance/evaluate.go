package compliance

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/seawall-security/seawall/internal/seawall"
)

// Control is one rule of a detector of this program.
type Control struct {
	ID, Title   string
	Severity    seawall.Severity
	Remediation string
	// Frameworks are the identifiers the rule itself names.
	Frameworks []string
	// Manual is what a person must look at; "" for a rule a machine can judge.
	Manual string
	// Detector is the name of the detector that has the rule.
	Detector string
}

// Input is one scan report, under the name the user gave it.
type Input struct {
	Name   string
	Report *seawall.Report
}

// Options are the parameters of Evaluate.
type Options struct {
	Tool seawall.Tool
	Now  time.Time
	// Evidence bounds the evidence listed per check; 0 is no bound.
	Evidence int
}

// Evaluate judges every requirement of a framework by scan reports.
func Evaluate(f *Framework, controls []Control, inputs []Input, o Options) *Report {
	e := newEvaluation(controls, inputs, o)
	r := &Report{
		SchemaVersion: SchemaVersion, Tool: o.Tool, Generated: o.Now.UTC().Format(time.RFC3339),
		Framework: Header{f.ID, f.Title, f.Publisher, f.URL, f.Note}, Scope: scopeOf(inputs), Requirements: []Result{},
	}
	for _, s := range f.Sections {
		for i := range s.Requirements {
			result := e.requirement(f, &s.Requirements[i])
			result.Section = s.Title
			r.Summary.Add(result.Status)
			r.Requirements = append(r.Requirements, result)
		}
	}
	r.Scope.Missing = e.missingDetectors()
	return r
}

// evaluation is the scan reports, indexed.
type evaluation struct {
	Options
	controls []Control
	foreign  []string // rules of findings that are none of controls: the users' own
	byRule   map[string][]found
	byKind   map[seawall.FindingKind][]found
	assets   map[string]seawall.AssetKind
	runs     []seawall.CollectorStatus
	works    map[string]work // by detector
	// uncovered are the packages that could not be judged completely.
	uncovered []seawall.Coverage
	// missing counts the checks that wait for a detector; checked says which were counted.
	missing map[string]int
	checked map[string]bool
}

// found is a finding and when its report was made.
type found struct {
	*seawall.Finding
	at time.Time
}

func newEvaluation(controls []Control, inputs []Input, o Options) *evaluation {
	e := &evaluation{
		Options: o, controls: controls,
		byRule: map[string][]found{}, byKind: map[seawall.FindingKind][]found{},
		assets: map[string]seawall.AssetKind{}, works: map[string]work{},
		missing: map[string]int{}, checked: map[string]bool{},
	}
	for _, in := range inputs {
		e.add(in.Report)
	}
	own := map[string]bool{}
	for _, c := range controls {
		own[c.ID] = true
	}
	for rule, list := range e.byRule {
		if list[0].Kind == seawall.KindMisconfiguration && !own[rule] {
			e.foreign = append(e.foreign, rule)
		}
	}
	slices.Sort(e.foreign)
	return e
}

func (e *evaluation) add(r *seawall.Report) {
	at, err := time.Parse(time.RFC3339, cmp.Or(r.Run.Ended, r.Run.Started))
	if err != nil {
		at = e.Now
	}
	for _, a := range assetsOf(r) {
		e.assets[a.ID] = a.Kind
	}
	for i := range r.Findings {
		f := found{&r.Findings[i], at}
		e.byRule[f.Rule] = append(e.byRule[f.Rule], f)
		e.byKind[f.Kind] = append(e.byKind[f.Kind], f)
	}
	e.runs = append(e.runs, r.Collectors...)
	for _, c := range r.Coverage {
		if c.Status != seawall.CoverageOK {
			e.uncovered = append(e.uncovered, c)
		}
	}
}

func assetsOf(r *seawall.Report) []seawall.Asset {
	if r.Asset == nil {
		return r.Assets
	}
	return append([]seawall.Asset{*r.Asset}, r.Assets...)
}

// requirement judges one requirement.
func (e *evaluation) requirement(f *Framework, q *Requirement) Result {
	r := Result{ID: q.ID, Title: q.Title, Text: q.Text, Role: q.Role, ByHand: q.ByHand, Checks: []Check{}}
	id := f.ID + ":" + q.ID
	wants := func(rule string, frameworks []string) bool {
		return slices.Contains(frameworks, id) || anyMatches(q.Rules, rule) || anyMatches(q.Benchmarks, frameworks...)
	}
	for i := range e.controls {
		if c := &e.controls[i]; wants(c.ID, c.Frameworks) {
			r.Checks = append(r.Checks, e.rule(c))
		}
	}
	for _, rule := range e.foreign {
		if first := e.byRule[rule][0]; wants(rule, first.Frameworks) {
			r.Checks = append(r.Checks, e.rule(&Control{ID: rule, Title: first.Title, Severity: first.Severity, Remediation: first.Remediation}))
		}
	}
	for i := range q.Kinds {
		r.Checks = append(r.Checks, e.kind(&q.Kinds[i]))
	}
	r.Checks = append(r.Checks, e.uncoveredSelectors(q)...)
	if r.Title == "" {
		r.Title = titleOf(r.Checks, q)
	}
	slices.SortStableFunc(r.Checks, func(a, b Check) int {
		return cmp.Or(cmp.Compare(rank(a.Status), rank(b.Status)), cmp.Compare(b.Severity, a.Severity), strings.Compare(a.ID, b.ID))
	})
	r.conclude(q.Automated || len(q.Rules)+len(q.Benchmarks)+len(q.Kinds) > 0)
	return r
}

// uncoveredSelectors are a requirement's patterns that no rule of this version
// takes: what they ask for is open, not passed.
func (e *evaluation) uncoveredSelectors(q *Requirement) []Check {
	var out []Check
	for _, pattern := range slices.Concat(q.Rules, q.Benchmarks) {
		if !slices.ContainsFunc(e.controls, func(c Control) bool { return matches(pattern, c.ID) || anyMatches([]string{pattern}, c.Frameworks...) }) {
			out = append(out, Check{ID: pattern, Title: pattern, Status: NotEvaluated, Reason: "no rule of this version covers it"})
		}
	}
	return out
}

// titleOf names a benchmark's number after the rules behind it: the benchmark's own words are not ours to copy.
func titleOf(checks []Check, q *Requirement) string {
	if len(checks) > 0 {
		return checks[0].Title
	}
	return strings.TrimSpace("Recommendation " + q.ID + " " + q.Role)
}

func rank(s Status) int { return slices.Index(Statuses(), s) }

// conclude makes the requirement's status of its checks'. Showable says that a
// machine could show it.
func (r *Result) conclude(showable bool) {
	var n Summary
	for _, c := range r.Checks {
		n.Add(c.Status)
		r.Exceptions += c.Exceptions
	}
	switch {
	case n.Total == 0 && showable:
		r.Status, r.Reason = NotEvaluated, "no rule of this version covers it"
	case n.Total == 0:
		r.Status, r.Reason = Manual, "no tool can show it"
	case n.Fail > 0:
		r.Status, r.Reason = Fail, fmt.Sprintf("%d of %s failed", n.Fail, plural(n.Total, "check"))
	case n.NotEvaluated > 0:
		r.Status, r.Reason = NotEvaluated, fmt.Sprintf("%d of %s could not be evaluated", n.NotEvaluated, plural(n.Total, "check"))
	case n.Manual > 0:
		r.Status, r.Reason = Manual, fmt.Sprintf("nothing failed; %d of %s for a person to look at", n.Manual, plural(n.Total, "check"))
	case n.Pass > 0:
		r.Status, r.Reason = Pass, fmt.Sprintf("%d of %s passed", n.Pass, plural(n.Total, "check"))
	default:
		r.Status, r.Reason = NotApplicable, "none of its checks applies here"
	}
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
