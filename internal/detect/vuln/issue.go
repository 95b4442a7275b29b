package vuln

import (
	"slices"
	"strings"

	"github.com/seawall-security/seawall/internal/advisory"
	"github.com/seawall-security/seawall/internal/advisory/version"
	"github.com/seawall-security/seawall/internal/seawall"
)

// issue is one vulnerability of one subject: all statements about it.
type issue struct {
	// ids name the vulnerability; errata name updates that mend it among others.
	ids, errata []string
	statements  []statement
}

// issues groups statements by the identifiers they share. An erratum that mends
// several vulnerabilities counts for each of them and joins none.
func issues(held []statement) []*issue {
	var list []*issue
	for _, s := range held {
		a := s.advisory
		if a.Kind == advisory.KindNotice && a.Notice == "update" {
			continue
		}
		if len(a.Upstream) == 0 {
			list = join(list, &issue{ids: append([]string{a.ID}, a.Aliases...), statements: []statement{s}})
			continue
		}
		for _, id := range a.Upstream {
			one := &issue{ids: []string{id}, errata: []string{a.ID}, statements: []statement{s}}
			if len(a.Upstream) == 1 {
				one.errata = append(one.errata, a.Aliases...)
			}
			list = join(list, one)
		}
	}
	return slices.DeleteFunc(list, func(i *issue) bool { return !i.affected() })
}

// join adds an issue, merging those that share an identifier with it.
func join(list []*issue, add *issue) []*issue {
	var into *issue
	rest := list[:0]
	for _, i := range list {
		if !slices.ContainsFunc(i.ids, func(id string) bool { return slices.Contains(add.ids, id) }) {
			rest = append(rest, i)
			continue
		}
		if into == nil {
			into = i
			rest = append(rest, i)
			continue
		}
		into.merge(i)
	}
	if into == nil {
		return append(rest, add)
	}
	into.merge(add)
	return rest
}

func (i *issue) merge(o *issue) {
	i.ids, i.errata = union(i.ids, o.ids), union(i.errata, o.errata)
	i.statements = append(i.statements, o.statements...)
}

func union(a, b []string) []string {
	for _, s := range b {
		if !slices.Contains(a, s) {
			a = append(a, s)
		}
	}
	return a
}

// affected drops the statements that a "not affected" of the same source takes
// back, and says whether any is left. Sources of one distribution are one vendor.
func (i *issue) affected() bool {
	var cleared []string
	for _, s := range i.statements {
		if s.Affected.Unaffected {
			cleared = append(cleared, s.vendor())
		}
	}
	if len(cleared) > 0 {
		i.statements = slices.DeleteFunc(i.statements, func(s statement) bool { return slices.Contains(cleared, s.vendor()) })
	}
	return len(i.statements) > 0
}

// vendor is who may take a statement back: the distribution, or the source of a language's advisory.
func (s *statement) vendor() string {
	if isDistribution(s.query.ecosystem) {
		return s.query.ecosystem
	}
	return s.advisory.Source
}

// isDistribution says whether an ecosystem is an operating system's.
func isDistribution(ecosystem string) bool {
	switch s, _ := version.SchemeOf(ecosystem); s {
	case version.DPKG, version.RPM, version.APK:
		return true
	}
	return false
}

// rule picks the identifier the finding goes by: for operating systems and
// products the CVE, for languages the one of the language's own database.
func (i *issue) rule() string {
	preferred := []string{"MAL-", "CVE-"}
	switch i.statements[0].query.ecosystem {
	case "Go":
		preferred = []string{"MAL-", "GO-", "GHSA-", "CVE-"}
	case "PyPI":
		preferred = []string{"MAL-", "PYSEC-", "GHSA-", "CVE-"}
	case "crates.io":
		preferred = []string{"MAL-", "RUSTSEC-", "GHSA-", "CVE-"}
	case "npm", "Maven", "RubyGems", "Packagist", "NuGet", "Pub", "Hex", "SwiftURL", "GitHub Actions":
		preferred = []string{"MAL-", "GHSA-", "CVE-"}
	}
	for _, prefix := range preferred {
		best := ""
		for _, id := range i.ids {
			if strings.HasPrefix(id, prefix) && (best == "" || id < best) {
				best = id
			}
		}
		if best != "" {
			return best
		}
	}
	return i.statements[0].advisory.ID
}

// fixes returns the versions after the installed one that mend the issue,
// oldest first: fixed by some statement and still affected by none.
func (i *issue) fixes() []string {
	var list []string
	for _, s := range i.statements {
		list = union(list, s.version.Fixes(s.Affected))
	}
	list = slices.DeleteFunc(list, i.affects)
	slices.SortFunc(list, func(a, b string) int { return i.compare(a, b) })
	return list
}

// compare orders two versions as the issue's ecosystem does.
func (i *issue) compare(a, b string) int {
	s, _ := version.SchemeOf(i.statements[0].query.ecosystem)
	c, err := s.Compare(a, b)
	if err != nil {
		return strings.Compare(a, b)
	}
	return c
}

// affects says whether a version has the issue; one that cannot be told is taken to have it.
func (i *issue) affects(text string) bool {
	for _, s := range i.statements {
		v, err := version.Parse(s.query.ecosystem, text)
		if err != nil {
			return true
		}
		if in, err := v.Affected(s.Affected); in || err != nil {
			return true
		}
	}
	return false
}

// state is the vendor's word: fixed when there is a fix to install, else the
// most telling of what the statements say.
func (i *issue) state(fixes []string) seawall.VulnerabilityState {
	if len(fixes) > 0 {
		return seawall.StateFixed
	}
	for _, state := range [...]seawall.VulnerabilityState{
		seawall.StateWillNotFix, seawall.StateEndOfLife, seawall.StateDeferred, seawall.StateUnderInvestigation,
	} {
		if slices.ContainsFunc(i.statements, func(s statement) bool { return s.Affected.State == state }) {
			return state
		}
	}
	return seawall.StateAffected
}

// upgrade returns the oldest version that mends every issue there is a fix for.
func upgrade(list []*issue, fixes [][]string) string {
	target := ""
	for n := range list {
		if len(fixes[n]) > 0 && (target == "" || list[n].compare(fixes[n][0], target) > 0) {
			target = fixes[n][0]
		}
	}
	// A later branch may have an issue again that an earlier fix mended: go on to the fix in that branch.
	for moved := true; moved && target != ""; {
		moved = false
		for n, i := range list {
			if len(fixes[n]) == 0 || !i.affects(target) {
				continue
			}
			next := slices.IndexFunc(fixes[n], func(f string) bool { return i.compare(f, target) > 0 })
			if next < 0 {
				continue
			}
			target, moved = fixes[n][next], true
		}
	}
	return target
}
