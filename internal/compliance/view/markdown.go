package view

import (
	"cmp"
	"io"
	"strings"

	"github.com/seawall-security/seawall/internal/compliance"
)

// Markdown writes the report for pull requests, issues and wikis (CommonMark
// with tables).
func Markdown(w io.Writer, r *compliance.Report, o Options) error {
	p := &printer{w: w}
	p.f("# %s\n\n%s  \n**%s**\n", r.Framework.Title, cell(scopeLine(r, o)), totals(r))
	section := ""
	for i := range r.Requirements {
		q := &r.Requirements[i]
		if i == 0 || q.Section != section {
			section = q.Section
			p.f("\n## %s\n\n| Status | Requirement | Title | Why |\n|---|---|---|---|\n", cmp.Or(section, "Requirements"))
		}
		p.f("| %s | %s | %s | %s |\n", word(q.Status), cell(q.ID), cell(o.Plain(q.Title)), cell(why(q, o)))
	}
	p.byHand(r)
	if len(r.Scope.Missing) > 0 {
		p.f("\n## Not looked at\n\n")
		for _, m := range r.Scope.Missing {
			p.f("* %s for %s%s\n", cell(m.Detector), counts(m.Checks, "check"), prefixed(": ", "`"+m.Remedy+"`"))
		}
	}
	return p.err
}

// why names what failed, else the reason.
func why(q *compliance.Result, o Options) string {
	var failed []string
	for i := range q.Checks {
		if c := &q.Checks[i]; c.Status == compliance.Fail {
			failed = append(failed, o.Plain(c.ID)+" ("+counted(c)+")")
		}
	}
	return strings.TrimSuffix(q.Reason+": "+strings.Join(failed, ", "), ": ") + exceptions(q, "; ", "")
}

func (p *printer) byHand(r *compliance.Report) {
	title := "\n## What no tool can show\n\n"
	for _, q := range r.Requirements {
		for _, text := range q.ByHand {
			p.f("%s* **%s** %s\n", title, cell(q.ID), cell(text))
			title = ""
		}
	}
}

// cell keeps text inside its cell, and from being markup.
func cell(s string) string {
	return strings.NewReplacer("|", `\|`, "\n", " ", "<", "&lt;", "`", "'", "*", `\*`, "_", `\_`, "[", `\[`).Replace(s)
}
