package text

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/sink"
	"github.com/seawall-security/seawall/internal/sink/triage"
)

// foldAfter is how many packages are shown one by one before those with only
// minor findings are folded.
const foldAfter = 20

func (t *table) groups(groups []triage.Group) {
	var minors []*triage.Group
	for i := range groups {
		if g := &groups[i]; i >= foldAfter && minor(g) {
			minors = append(minors, g)
		} else {
			t.group(g)
		}
	}
	if len(minors) > 0 {
		t.folded(minors)
	}
}

// minor is false for what may be serious: an unknown severity, known exploitation.
func minor(g *triage.Group) bool {
	return g.Exploited == 0 && g.Counts.Critical+g.Counts.High+g.Counts.Medium+g.Counts.Unknown == 0
}

// folded names the packages that have only minor findings, without their ids.
func (t *table) folded(groups []*triage.Group) {
	var names []word
	n := 0
	for _, g := range groups {
		names = append(names, word{sink.Plain(g.Name), plain})
		n += len(g.Findings)
	}
	t.wrap([]word{{fmt.Sprintf("+%s with only low or negligible findings (%d):", triage.Count(len(groups), "package"), n), dim}}, 0, nil)
	t.wrap(nil, 2, names)
	t.prose(2, "all of them: --format json, or --severity low,negligible", dim)
	t.blank()
}

// group writes one package: what to upgrade to, the vulnerabilities by severity, where it came from.
func (t *table) group(g *triage.Group) {
	head := []word{{sink.Plain(g.Name), bold}, {sink.Plain(g.Version), plain}}
	if g.Upgrade == "" {
		head = append(head, split(g.NoFix(), yellow)...)
	} else {
		head = append(head, word{"->", plain}, word{sink.Plain(g.Upgrade), green})
		if g.Fixed < len(g.Findings) {
			head = append(head, split(fmt.Sprintf("mends %d of %d", g.Fixed, len(g.Findings)), dim)...)
		}
	}
	from := origin(g)
	if gap := t.width - length(head) - length(from); len(from) > 0 && gap >= 3 {
		head = append(append(head, word{strings.Repeat(" ", gap-2), plain}), from...)
		from = nil
	}
	t.wrap(nil, 0, head)
	for _, sev := range seawall.Severities() {
		if n := g.Counts.Of(sev); n > 0 {
			t.severityRow(g, sev, n)
		}
	}
	if len(from) > 0 {
		t.wrap(nil, 4, from)
	}
	t.blank()
}

// severityRow lists the identifiers of one severity; beyond a few lines they are folded.
func (t *table) severityRow(g *triage.Group, sev seawall.Severity, n int) {
	const indent = 16
	lines := 2
	if sev >= seawall.SeverityHigh {
		lines = 6
	}
	room := lines * max(t.width-indent, 1)
	var words []word
	for i, f := range slices.DeleteFunc(slices.Clone(g.Findings), func(f *seawall.Finding) bool { return f.Severity != sev }) {
		next := identifiers(f)
		if i < n-1 {
			next[len(next)-1].text += ","
		}
		for _, w := range next {
			room -= cells(w.text) + 1
		}
		if room < 10 && i > 0 {
			words = append(words, word{fmt.Sprintf("+%d more", n-i), dim})
			break
		}
		words = append(words, next...)
	}
	s := severityWord(sev)
	lead := []word{{"  ", plain}, s, {strings.Repeat(" ", 11-len(s.text)), plain}, {fmt.Sprintf("%2d ", n), plain}}
	t.wrap(lead, indent, words)
}

// identifiers is the name a finding is known by, its CVE where it has one, with
// the marks that change its urgency.
func identifiers(f *seawall.Finding) []word {
	words := []word{{sink.Plain(cmp.Or(cveOf(f), f.Rule)), plain}}
	if f.Vulnerability.KEV {
		words = append(words, word{"KEV", reversed})
	}
	if e := f.Vulnerability.EPSS; e != nil && e.Score >= 0.1 {
		words = append(words, word{fmt.Sprintf("EPSS\u00a0%.0f%%", e.Score*100), boldRed})
	}
	return words
}

func cveOf(f *seawall.Finding) string {
	if strings.HasPrefix(f.Rule, "CVE-") {
		return f.Rule
	}
	for _, a := range f.Vulnerability.Aliases {
		if strings.HasPrefix(a, "CVE-") {
			return a
		}
	}
	return ""
}

// origin says which packages, layer and files a group is about, with dots between.
func origin(g *triage.Group) []word {
	var parts []string
	if len(g.Packages) > 1 {
		parts = append(parts, "in "+strings.Join(g.Packages, ", "))
	}
	if g.InUse != nil {
		parts = append(parts, map[bool]string{true: "in use", false: "not in use"}[*g.InUse])
	}
	if l := g.Layer; l != nil {
		where := fmt.Sprintf("layer %d", l.Index)
		if l.Base {
			where += " (base image)"
		} else if l.CreatedBy != "" {
			where += ": " + shorten(l.CreatedBy, 60)
		}
		parts = append(parts, where)
	}
	if len(g.Paths) > 0 {
		path := g.Paths[0]
		if more := len(g.Paths) - 1; more > 0 {
			path += fmt.Sprintf(" (+%d more)", more)
		}
		parts = append(parts, path)
	}
	return split(strings.Join(parts, " · "), dim)
}

// shorten cuts a build step, which is a hint and not an identifier.
func shorten(s string, n int) string {
	if runes := []rune(s); len(runes) > n {
		return string(runes[:n]) + "…"
	}
	return s
}

func severityWord(s seawall.Severity) word {
	return word{strings.ToUpper(s.String()), styleOf(s)}
}

func styleOf(s seawall.Severity) style {
	switch s {
	case seawall.SeverityCritical:
		return reversed
	case seawall.SeverityHigh:
		return boldRed
	case seawall.SeverityMedium:
		return yellow
	case seawall.SeverityLow:
		return cyan
	}
	return dim
}

// packages lists the packages of an asset in columns.
func (t *table) packages(asset string) {
	var list []*seawall.Package
	name, version := 0, 0
	for i := range t.view.Report.Packages {
		if p := &t.view.Report.Packages[i]; p.Asset == asset {
			list = append(list, p)
			name, version = max(name, cells(sink.Plain(p.Name))), max(version, cells(sink.Plain(p.Version)))
		}
	}
	name, version = min(name, t.width/2), min(version, t.width/4)
	t.prose(0, "PACKAGES", bold)
	for _, p := range list {
		t.wrap([]word{{"  ", plain}}, 2, []word{pad(p.Name, name), pad(p.Version, version), {sink.Plain(p.Ecosystem), dim}})
	}
	t.blank()
}

// pad makes foreign text at least n cells wide.
func pad(s string, n int) word {
	s = sink.Plain(s)
	return word{s + strings.Repeat(" ", max(n-cells(s), 0)), plain}
}
