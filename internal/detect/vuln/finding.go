package vuln

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/seawall-security/seawall/internal/advisory"
	"github.com/seawall-security/seawall/internal/advisory/cvss"
	"github.com/seawall-security/seawall/internal/seawall"
)

// maxReferences bounds the links of one finding.
const maxReferences = 16

// findings writes a subject's issues as findings, ordered by rule.
func (r *run) findings(s *subject, list []*issue) []seawall.Finding {
	if len(list) == 0 {
		return nil
	}
	fixes := make([][]string, len(list))
	fixable := 0
	for n, i := range list {
		if fixes[n] = i.fixes(); len(fixes[n]) > 0 {
			fixable++
		}
	}
	advice := ""
	if target := upgrade(list, fixes); target != "" {
		advice = remediation(s, target, fixable, len(list))
	}
	out := make([]seawall.Finding, 0, len(list))
	for n, i := range list {
		f := r.finding(s, i, fixes[n])
		if f.Remediation == "" && len(fixes[n]) > 0 {
			f.Remediation = advice
		}
		out = append(out, f)
	}
	slices.SortStableFunc(out, func(a, b seawall.Finding) int { return strings.Compare(a.Rule, b.Rule) })
	return out
}

func (r *run) finding(s *subject, i *issue, fixes []string) seawall.Finding {
	v := r.vulnerability(i, fixes)
	f := seawall.Finding{
		Kind: seawall.KindVulnerability, Rule: v.ID, Status: seawall.StatusFail, Vulnerability: v,
		Locations:  s.locations,
		Package:    &seawall.PackageRef{Name: s.Name, Version: s.Version, Ecosystem: s.Ecosystem, PURL: s.PURL},
		Evidence:   evidence(s, i, fixes),
		References: i.references(v.ID),
	}
	if q := i.statements[0].query; q.name == s.Source && s.Source != s.Name {
		f.Package.Source, f.Package.SourceVersion = s.Source, q.version
	}
	if len(f.Locations) > 0 {
		f.Location = &f.Locations[0]
	}
	if f.Severity, f.SeveritySource = i.severity(v.ID); f.Severity == seawall.SeverityUnknown {
		f.Severity, f.SeveritySource = r.borrowedSeverity(i)
	}
	what := outcome(v)
	switch kind, notice := i.kind(); {
	case kind == advisory.KindMalware:
		f.Kind, f.Severity, what = seawall.KindMalware, seawall.SeverityCritical, "malicious package"
		f.Remediation = "remove the package, and treat what ran it as compromised: rotate the secrets it could read"
	case kind == advisory.KindNotice && notice != "unsound":
		f.Kind, what = seawall.KindLifecycle, cmp.Or(notice, "notice")
		f.Severity = seawall.SeverityLow
		f.Remediation = "replace the package by one that is maintained"
	case kind == advisory.KindNotice && f.Severity == seawall.SeverityUnknown:
		f.Severity = seawall.SeverityLow
	}
	f.Title = fmt.Sprintf("%s: %s, %s", strings.TrimSpace(s.Name+" "+s.Version), v.ID, what)
	return f
}

// kind is the gravest of the statements' kinds.
func (i *issue) kind() (advisory.Kind, string) {
	kind, notice := advisory.KindNotice, ""
	for _, s := range i.statements {
		switch s.advisory.Kind {
		case advisory.KindMalware:
			return advisory.KindMalware, ""
		case advisory.KindVulnerability:
			kind = advisory.KindVulnerability
		case advisory.KindNotice:
			notice = s.advisory.Notice
		}
	}
	return kind, notice
}

// outcome ends a title.
func outcome(v *seawall.Vulnerability) string {
	switch v.State {
	case seawall.StateFixed:
		return "fixed in " + v.Fixed[0]
	case seawall.StateWillNotFix:
		return "will not be fixed"
	case seawall.StateDeferred:
		return "fix deferred"
	case seawall.StateEndOfLife:
		return "no fix, end of life"
	case seawall.StateUnderInvestigation:
		return "under investigation"
	default:
		return "no fix yet"
	}
}

// vulnerability merges what the advisories say.
func (r *run) vulnerability(i *issue, fixes []string) *seawall.Vulnerability {
	v := &seawall.Vulnerability{ID: i.rule(), State: i.state(fixes), Fixed: fixes}
	for _, id := range slices.Concat(i.ids, i.errata) {
		if id != v.ID && !slices.Contains(v.Aliases, id) {
			v.Aliases = append(v.Aliases, id)
		}
	}
	slices.Sort(v.Aliases)
	for _, s := range i.statements {
		a := s.advisory
		v.CVSS = addScores(addScores(v.CVSS, s.Affected.CVSS), a.CVSS)
		v.CWEs, v.Symbols, v.Sources = union(v.CWEs, a.CWEs), union(v.Symbols, s.Affected.Symbols), union(v.Sources, []string{a.Source})
		v.Summary = cmp.Or(v.Summary, a.Summary)
		v.Modified = max(v.Modified, a.Modified)
		if a.Published != "" && (v.Published == "" || a.Published < v.Published) {
			v.Published = a.Published
		}
		if at := s.Affected.FixedAt; at != "" && len(fixes) > 0 && (v.FixedAt == nil || at < *v.FixedAt) {
			v.FixedAt = &at
		}
	}
	slices.Sort(v.CWEs)
	slices.Sort(v.Sources)
	slices.SortStableFunc(v.CVSS, func(a, b seawall.CVSS) int { return strings.Compare(b.Version, a.Version) })
	for _, id := range i.ids {
		e := r.lookup.Exploitation(id)
		v.KEV = v.KEV || e.KEV
		if e.EPSS != nil && (v.EPSS == nil || e.EPSS.Score > v.EPSS.Score) {
			v.EPSS = e.EPSS
		}
	}
	return v
}

func addScores(list, more []seawall.CVSS) []seawall.CVSS {
	for _, c := range more {
		c = scored(c)
		if !slices.Contains(list, c) {
			list = append(list, c)
		}
	}
	return list
}

// scored completes a score of which the source gives only the vector. One that
// cannot be scored stays as the source wrote it.
func scored(c seawall.CVSS) seawall.CVSS {
	if c.Score == 0 && c.Vector != "" {
		if v, score, err := cvss.Score(c.Vector); err == nil {
			c.Version, c.Score = v, score
		}
	}
	return c
}

// severity is the distribution's own word; else what the newest CVSS version
// comes to, from the advisory the finding goes by before the others; else any word.
func (i *issue) severity(rule string) (seawall.Severity, string) {
	vendorFirst := isDistribution(i.statements[0].query.ecosystem)
	if vendorFirst {
		if v, source := i.word(); v != seawall.SeverityUnknown {
			return v, source
		}
	}
	var best seawall.CVSS
	var own bool
	source := ""
	for _, s := range i.statements {
		mine := s.advisory.ID == rule
		for _, c := range slices.Concat(s.Affected.CVSS, s.advisory.CVSS) {
			if best.Version != "" && (own && !mine || own == mine && c.Version <= best.Version) {
				continue
			}
			best, own, source = c, mine, cmp.Or(c.Source, s.advisory.Source)
		}
	}
	if best.Version != "" {
		best = scored(best)
		return seawall.SeverityOfScore(best.Version, best.Score), source
	}
	return i.word()
}

// borrowedSeverity is what another advisory of the database scores one of the issue's CVEs.
func (r *run) borrowedSeverity(i *issue) (seawall.Severity, string) {
	for _, id := range i.ids {
		if c := r.lookup.Exploitation(id).Score; c != nil {
			return seawall.SeverityOfScore(c.Version, c.Score), c.Source
		}
	}
	return seawall.SeverityUnknown, ""
}

// word is the worst severity any statement names in words, those on the package before those on the advisory.
func (i *issue) word() (v seawall.Severity, source string) {
	for _, of := range [...]func(statement) seawall.Severity{
		func(s statement) seawall.Severity { return s.Affected.Severity },
		func(s statement) seawall.Severity { return s.advisory.Severity },
	} {
		for _, s := range i.statements {
			if w := of(s); w > v {
				v, source = w, s.advisory.Source
			}
		}
		if v != seawall.SeverityUnknown {
			break
		}
	}
	return v, source
}

// evidence says why the finding is there.
func evidence(s *subject, i *issue, fixes []string) string {
	q := i.statements[0].query
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s", q.name, q.version)
	switch {
	case q.name == s.Source && s.Source != s.Name:
		b.WriteString(" (source package)")
	case q.ecosystem != s.Ecosystem:
		fmt.Fprintf(&b, " (judged as %s)", q.ecosystem)
	}
	if len(fixes) > 0 {
		fmt.Fprintf(&b, " is before %s", fixes[0])
	} else {
		b.WriteString(" is affected")
	}
	fmt.Fprintf(&b, ", says %s", i.statements[0].advisory.ID)
	if s.dev {
		b.WriteString("; development dependency")
	}
	if s.declared {
		b.WriteString("; declared, not seen installed")
	}
	return b.String()
}

// references are the advisory's page and the links of all statements.
func (i *issue) references(rule string) []string {
	list := make([]string, 0, maxReferences)
	add := func(url string) {
		if url != "" && len(list) < maxReferences && !slices.Contains(list, url) {
			list = append(list, url)
		}
	}
	add(advisoryPage(rule))
	for _, id := range i.errata {
		add(advisoryPage(id))
	}
	for _, s := range i.statements {
		for _, url := range s.advisory.References {
			add(url)
		}
	}
	return list
}

// advisoryPage is where a database shows an identifier; such links are not stored.
func advisoryPage(id string) string {
	prefix, rest, _ := strings.Cut(id, "-")
	switch prefix {
	case "CVE":
		return "https://www.cve.org/CVERecord?id=" + id
	case "GHSA":
		return "https://github.com/advisories/" + id
	case "GO":
		return "https://pkg.go.dev/vuln/" + id
	case "RUSTSEC":
		return "https://rustsec.org/advisories/" + id + ".html"
	case "DSA", "DLA":
		return "https://security-tracker.debian.org/tracker/" + id
	case "USN":
		return "https://ubuntu.com/security/notices/" + id
	case "RHSA":
		return "https://access.redhat.com/errata/" + id
	case "PYSEC", "MAL", "BIT", "ALSA", "RLSA", "CGA":
		if rest != "" {
			return "https://osv.dev/vulnerability/" + id
		}
	}
	return ""
}
