// Package markdown writes a report for pull requests, issues and wikis in
// GitHub-flavoured Markdown: the same order as the table, one row per package
// to upgrade, the identifiers folded into a details block.
package markdown

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"strings"
	"sync"

	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/sink"
	"github.com/seawall-security/seawall/internal/sink/triage"
)

// New returns the handler of the markdown format.
func New(w io.Writer, o sink.Options) sink.Handler {
	return sink.Whole(func(r *seawall.Report) error {
		p := &page{Writer: bufio.NewWriter(w), view: triage.New(r, o), options: o}
		p.render()
		return p.Flush()
	})
}

type page struct {
	*bufio.Writer
	view    *triage.View
	options sink.Options
}

func (p *page) printf(format string, args ...any) { fmt.Fprintf(p, format, args...) }

func (p *page) render() {
	p.printf("# Seawall report\n\n")
	p.gaps()
	p.totals()
	p.incidents()
	p.decisions()
	for i := range p.view.Assets {
		a := &p.view.Assets[i]
		p.printf("## %s\n\n", text(cmp.Or(a.Name, a.ID)))
		p.printf("%s\n\n", text(strings.Join(a.Facts(), " · ")))
		p.others(a.Others)
		p.groups(a.Groups)
		p.waived(a)
		if p.options.Packages {
			p.packages(a)
		}
		if a.Failing() == 0 {
			verdict, _ := a.Nothing()
			p.printf("%s\n\n", verdict)
		}
	}
	p.footer()
}

// incidents tells what happened, worst first, before the findings it is made of.
func (p *page) incidents() {
	list := p.view.Incidents()
	if len(list) == 0 {
		return
	}
	p.printf("## Incidents: %d\n\n", len(list))
	for i := range list {
		if i == triage.MostIncidents {
			p.printf("and %d more\n\n", len(list)-i)
			break
		}
		p.printf("### %s: %s\n\n", list[i].Severity, text(list[i].Title))
		for _, f := range list[i].Facts {
			p.printf("- **%s:** %s\n", text(f.Label), text(f.Text))
		}
		p.printf("\n")
	}
}

// mostVerdicts are shown of what policies decided before the rest is counted.
const mostVerdicts = 50

func (p *page) decisions() {
	list := p.view.Verdicts()
	if len(list) == 0 {
		return
	}
	p.printf("## Policy: %s\n\n", text(triage.CountVerdicts(list)))
	for i, v := range list {
		if i == mostVerdicts {
			p.printf("- and %d more\n", len(list)-i)
			break
		}
		p.printf("- **%s** %s: %s", text(v.Word), code(v.Rule), text(v.Reason))
		if v.Where != "" {
			p.printf(" (%s)", text(v.Where))
		}
		p.printf("\n")
	}
	p.printf("\n")
}

func (p *page) gaps() {
	if len(p.view.Gaps)+len(p.view.Incomplete) == 0 {
		return
	}
	p.printf("> **Not everything was judged; this is not a clean result.**\n>\n")
	for _, g := range p.view.MergedGaps() {
		p.printf("> - **%s** (%s, %s): %s", text(g.Ecosystems()), triage.Count(g.Packages, "package"), g.Status, text(g.Reason))
		if g.Remedy != "" {
			p.printf(" — mend it with %s", code(g.Remedy))
		}
		p.printf("\n")
	}
	for _, s := range p.view.Incomplete {
		p.printf("> - **%s** %s: %s\n", text(s.Name), s.Status, text(s.Reason))
	}
	p.printf("\n")
}

func (p *page) totals() {
	s := &p.view.Report.Summary
	p.printf("| critical | high | medium | low | negligible | unknown | known exploited | fixable | suppressed |\n")
	p.printf("|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n")
	p.printf("| %d | %d | %d | %d | %d | %d | %d | %d | %d |\n\n", s.Critical, s.High, s.Medium, s.Low, s.Negligible, s.Unknown, p.view.Exploited, p.view.Fixable, s.Suppressed)
	if p.view.Hidden > 0 {
		p.printf("%s not shown by the display filter.\n\n", triage.Count(p.view.Hidden, "finding"))
	}
	if next := p.view.Next(); next != "" {
		p.printf("**Next:** %s\n\n", text(next))
	}
}

func (p *page) others(list []*seawall.Finding) {
	if len(list) == 0 {
		return
	}
	p.printf("| severity | rule | finding | where | what to do |\n|---|---|---|---|---|\n")
	for _, f := range list {
		where := ""
		if f.Location != nil {
			where = code(triage.PlaceOf(*f.Location))
		}
		p.printf("| %s | %s | %s | %s | %s |\n", f.Severity, link(f.Rule), text(f.Title), where, text(f.Advice()))
	}
	p.printf("\n")
}

func (p *page) groups(groups []triage.Group) {
	if len(groups) == 0 {
		return
	}
	p.printf("| package | installed | upgrade to | worst | vulnerabilities | from |\n|---|---|---|---|---|---|\n")
	for i := range groups {
		g := &groups[i]
		upgrade := text(g.NoFix())
		if g.Upgrade != "" {
			upgrade = "**" + code(g.Upgrade) + "**"
			if g.Fixed < len(g.Findings) {
				upgrade += fmt.Sprintf(" (%d of %d)", g.Fixed, len(g.Findings))
			}
		}
		from := ""
		if g.Layer != nil {
			from = fmt.Sprintf("layer %d", g.Layer.Index)
			if g.Layer.Base {
				from += " (base)"
			}
		}
		if g.InUse != nil {
			from = strings.TrimPrefix(from+", "+map[bool]string{true: "in use", false: "not in use"}[*g.InUse], ", ")
		}
		p.printf("| %s | %s | %s | %s | %s | %s |\n", code(g.Name), code(g.Version), upgrade, g.Worst().Severity, counts(g), from)
	}
	p.printf("\n<details><summary>Identifiers</summary>\n\n")
	for i := range groups {
		g := &groups[i]
		var ids []string
		for _, f := range g.Findings {
			id := link(f.Rule)
			if f.Vulnerability.KEV {
				id += " **known exploited**"
			}
			ids = append(ids, id)
		}
		p.printf("- %s %s: %s\n", code(g.Name), code(g.Version), strings.Join(ids, ", "))
	}
	p.printf("\n</details>\n\n")
}

func counts(g *triage.Group) string {
	var parts []string
	for _, s := range seawall.Severities() {
		if n := g.Counts.Of(s); n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, s))
		}
	}
	if g.Exploited > 0 {
		parts = append(parts, fmt.Sprintf("**%d known exploited**", g.Exploited))
	}
	return strings.Join(parts, ", ")
}

// waived lists what was suppressed or not evaluated, with the reasons.
func (p *page) waived(a *triage.Asset) {
	if len(a.Suppressed)+len(a.NotEvaluated) == 0 {
		return
	}
	p.printf("| not counted | rule | why |\n|---|---|---|\n")
	for _, list := range [][]*seawall.Finding{a.NotEvaluated, a.Suppressed} {
		for _, f := range list {
			p.printf("| %s | %s | %s |\n", f.Status, link(f.Rule), text(f.Reason))
		}
	}
	p.printf("\n")
}

func (p *page) packages(a *triage.Asset) {
	p.printf("| package | version | ecosystem |\n|---|---|---|\n")
	for i := range p.view.Report.Packages {
		if pkg := &p.view.Report.Packages[i]; pkg.Asset == a.ID {
			p.printf("| %s | %s | %s |\n", code(pkg.Name), code(pkg.Version), text(pkg.Ecosystem))
		}
	}
	p.printf("\n")
}

func (p *page) footer() {
	if db := p.view.Report.Database; db != nil {
		p.printf("<sub>seawall %s, advisories built %s</sub>\n", text(p.view.Report.Tool.Version), text(db.Built))
	}
}

// escapes keep foreign words words: no markup, no table cells, no mentions or
// issue references (a word joiner, U+2060, parts what would become one).
var escapes = sync.OnceValue(func() *strings.Replacer {
	return strings.NewReplacer(
		"\\", "\\\\", "`", "\\`", "*", "\\*", "_", "\\_", "[", "\\[", "]", "\\]", "|", "\\|", "~", "\\~", "!", "\\!",
		"<", "&lt;", ">", "&gt;", "&", "&amp;", "@", "@\u2060", "#", "#\u2060", "://", ":\u2060//",
	)
})

// text writes foreign words as plain text.
func text(s string) string { return escapes().Replace(sink.Plain(s)) }

// code makes a code span that no content can end; a pipe would still end a table
// cell there, so it is escaped too.
func code(s string) string {
	if s == "" {
		return ""
	}
	return "`" + strings.ReplaceAll(strings.ReplaceAll(sink.Plain(s), "`", "'"), "|", "\\|") + "`"
}

func link(id string) string {
	if u := sink.AdvisoryURL(id); u != "" {
		return "[" + text(id) + "](" + u + ")"
	}
	return text(id)
}
