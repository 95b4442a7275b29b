// Package view writes a compliance report for people: a table for the terminal,
// Markdown for a pull request, and one self-contained page an auditor can read,
// print and keep.
//
// Texts of scanned things reach the writers through Plain, which every caller
// sets to what makes foreign text safe to print.
package view

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/seawall-security/seawall/internal/compliance"
)

// Options are the parameters of every writer.
type Options struct {
	// Plain makes foreign text safe to show: control characters and changes of
	// direction become visible. It must be set.
	Plain func(string) string
	// Verbose lists the checks of every requirement, not only of those that fail.
	Verbose bool
}

// printer keeps the first error of many writes.
type printer struct {
	w   io.Writer
	err error
}

func (p *printer) f(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.w, format, args...)
	}
}

// Table writes readable text: totals, then every requirement in a line, those
// that fail with what failed.
func Table(w io.Writer, r *compliance.Report, o Options) error {
	p := &printer{w: w}
	p.f("%s (%s)\n%s\n%s\n", r.Framework.Title, r.Framework.ID, scopeLine(r, o), totals(r))
	section := ""
	for i := range r.Requirements {
		q := &r.Requirements[i]
		if q.Section != section {
			section = q.Section
			p.f("\n%s\n", section)
		}
		p.f("  %-14s %-9s %s%s\n", word(q.Status), q.ID, o.Plain(q.Title), exceptions(q, " (", ")"))
		if q.Status == compliance.Fail || o.Verbose {
			p.checks(q, o)
		}
	}
	p.missing(r)
	return p.err
}

// checks lists failing checks, or all of them.
func (p *printer) checks(q *compliance.Result, o Options) {
	const indent = "                 "
	for i := range q.Checks {
		c := &q.Checks[i]
		if c.Status != compliance.Fail && !o.Verbose {
			continue
		}
		p.f("%s%s  %s\n", indent, o.Plain(c.ID), o.Plain(cmp.Or(c.Reason, counted(c))))
		if len(c.Evidence) > 0 && c.Status == compliance.Fail {
			p.f("%s  %s\n", indent, o.Plain(proofLine(c)))
		}
	}
	if !o.Verbose {
		return
	}
	for _, text := range q.ByHand {
		p.f("%sby hand: %s\n", indent, text)
	}
}

// proofLine is the worst finding of a check in a line: what where, unless the
// check says that already, and the evidence.
func proofLine(c *compliance.Check) string {
	e := &c.Evidence[0]
	parts := []string{e.Title, e.Place, e.Detail}
	if e.Title == c.Title {
		parts = parts[1:]
	}
	line := strings.Join(strings.Fields(strings.Join(slices.DeleteFunc(parts, func(s string) bool { return s == "" }), ": ")), " ")
	const width = 140
	if runes := []rune(line); len(runes) > width {
		return string(runes[:width]) + "…"
	}
	return line
}

func (p *printer) missing(r *compliance.Report) {
	if len(r.Scope.Missing) == 0 {
		return
	}
	p.f("\nNot looked at\n")
	for _, m := range r.Scope.Missing {
		p.f("  %s for %s%s\n", m.Detector, counts(m.Checks, "check"), prefixed(": ", m.Remedy))
	}
}

// exceptions tells of findings that were accepted: a pass that has some is not the same as one without.
func exceptions(q *compliance.Result, before, after string) string {
	if q.Exceptions == 0 {
		return ""
	}
	return before + counts(q.Exceptions, "exception") + " accepted" + after
}

// counted says how a check came out in numbers.
func counted(c *compliance.Check) string {
	var parts []string
	for _, n := range []struct {
		count int
		noun  string
	}{{c.Failed, "failed"}, {c.Passed, "passed"}, {c.Exceptions, "accepted"}} {
		if n.count > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n.count, n.noun))
		}
	}
	return strings.Join(parts, ", ")
}

// scopeLine says what the report rests on.
func scopeLine(r *compliance.Report, o Options) string {
	var parts []string
	const shown = 3
	for i, a := range r.Scope.Assets {
		if i == shown {
			parts = append(parts, fmt.Sprintf("and %d more", len(r.Scope.Assets)-shown))
			break
		}
		parts = append(parts, string(a.Kind)+" "+o.Plain(a.Name))
	}
	line := cmp.Or(strings.Join(parts, ", "), "nothing was looked at")
	if db := oldestDatabase(r); db != "" {
		line += " · advisories of " + db
	}
	if n := len(r.Scope.Gaps); n > 0 {
		line += fmt.Sprintf(" · %s not judged completely", counts(n, "part"))
	}
	return line
}

// oldestDatabase is the day of the oldest advisory knowledge among the inputs.
func oldestDatabase(r *compliance.Report) string {
	oldest := ""
	for _, in := range r.Scope.Inputs {
		if in.Database != "" && (oldest == "" || in.Database < oldest) {
			oldest = in.Database
		}
	}
	day, _, _ := strings.Cut(oldest, "T")
	return day
}

func totals(r *compliance.Report) string {
	var parts []string
	for _, s := range compliance.Statuses() {
		parts = append(parts, fmt.Sprintf("%d %s", r.Summary.Of(s), word(s)))
	}
	return fmt.Sprintf("%s: %s", counts(r.Summary.Total, "requirement"), strings.Join(parts, ", "))
}

// word is a status as people read it.
func word(s compliance.Status) string {
	switch s {
	case compliance.Fail:
		return "FAIL"
	case compliance.Manual:
		return "by hand"
	default:
		return strings.ReplaceAll(string(s), "-", " ")
	}
}

func counts(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// prefixed is the text behind a prefix, nothing without text.
func prefixed(prefix, text string) string {
	if text == "" {
		return ""
	}
	return prefix + text
}
