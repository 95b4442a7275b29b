package vuln

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/seawall-security/seawall/internal/advisory"
	"github.com/seawall-security/seawall/internal/seawall"
)

const (
	// maxNamed is how many packages a reason names.
	maxNamed = 3
	// staleAfter is the age from which advisories judge only in part: half a year
	// of disclosures is missing.
	staleAfter = 180 * 24 * time.Hour
)

// coverage counts, per ecosystem, what could be judged.
type coverage struct {
	lookup     advisory.Lookup
	now        time.Time
	updated    map[string]time.Time // by source, where known
	ecosystems map[string]*ecosystemCoverage
	databases  map[string]int // what is held, by ecosystem asked
}

type ecosystemCoverage struct {
	packages int
	// uncovered packages have no advisories in the database, by the ecosystem that would hold them.
	// partly covered ones only selective sources.
	uncovered, partly map[string]int
	// unknown packages are in no advisory database this program knows; unordered have advisories but a version without order.
	unknown, unordered named
	// owned packages belong to packages of the distribution; orphaned ones too, but
	// the database has no advisories for the distribution.
	owned, orphaned int
	distribution    string
}

// named counts packages and keeps the first names.
type named struct {
	count int
	names []string
}

func (n *named) add(count int, name string) {
	n.count += count
	if len(n.names) < maxNamed && !slices.Contains(n.names, name) {
		n.names = append(n.names, name)
	}
}

func (n *named) String() string {
	s := strings.Join(n.names, ", ")
	if n.count > len(n.names) {
		s += ", …"
	}
	return s
}

// newCoverage starts counting; a zero now judges no age.
func newCoverage(lookup advisory.Lookup, now time.Time) *coverage {
	c := &coverage{lookup: lookup, now: now, updated: map[string]time.Time{}, ecosystems: map[string]*ecosystemCoverage{}, databases: map[string]int{}}
	for _, s := range lookup.Info().Sources {
		if t, err := time.Parse(time.RFC3339, s.Updated); err == nil {
			c.updated[s.Name] = t
		}
	}
	return c
}

func (c *coverage) of(ecosystem string) *ecosystemCoverage {
	e := c.ecosystems[ecosystem]
	if e == nil {
		e = &ecosystemCoverage{uncovered: map[string]int{}, partly: map[string]int{}}
		c.ecosystems[ecosystem] = e
	}
	return e
}

// owned counts a package that the advisories of its owner, a package of the
// distribution, judge: if there are any.
func (c *coverage) owned(p *seawall.Package, distribution string) {
	e := c.of(p.Ecosystem)
	e.packages++
	e.distribution = distribution
	if c.known(distribution) == coverageNone {
		e.orphaned++
		return
	}
	e.owned++
}

// judged counts a subject; problem is why the database's answer was no use.
func (c *coverage) judged(s *subject, queries []query, problem error) {
	e := c.of(s.Ecosystem)
	e.packages += s.count
	if len(queries) == 0 {
		e.unknown.add(s.count, s.Name)
		return
	}
	known := coverageNone
	for _, q := range queries {
		known = max(known, c.known(q.ecosystem))
	}
	switch {
	case known == coverageNone:
		e.uncovered[queries[0].ecosystem] += s.count
	case problem != nil:
		e.unordered.add(s.count, strings.TrimSpace(s.Name+" "+s.Version))
	case known == coverageSome:
		e.partly[queries[0].ecosystem] += s.count
	}
}

// What a database holds of an ecosystem.
const (
	coverageNone = iota
	// coverageSome: only sources that look at a part of the ecosystem.
	coverageSome
	coverageFull
)

// known says what the database holds of an ecosystem, asking once for each.
func (c *coverage) known(ecosystem string) int {
	known, ok := c.databases[ecosystem]
	if !ok {
		for _, source := range c.lookup.Sources(ecosystem) {
			known = max(known, coverageSome)
			if !isSelective(source) {
				known = coverageFull
			}
		}
		c.databases[ecosystem] = known
	}
	return known
}

// isSelective names the sources that cover a part of their ecosystem by
// intent: a package they do not name is not thereby known to be free of vulnerabilities.
func isSelective(source string) bool {
	return source == "retirejs" // libraries that browsers load
}

// stale returns the day of the newest source of an ecosystem when that is too
// long ago. A source without a date says nothing of its age.
func (c *coverage) stale(ecosystem string) (day string, ok bool) {
	var newest time.Time
	for _, source := range c.lookup.Sources(ecosystem) {
		updated, known := c.updated[source]
		if !known {
			return "", false
		}
		if updated.After(newest) {
			newest = updated
		}
	}
	if newest.IsZero() || c.now.IsZero() || c.now.Sub(newest) <= staleAfter {
		return "", false
	}
	return newest.Format(time.DateOnly), true
}

// rows returns the coverage sorted by ecosystem.
func (c *coverage) rows() []seawall.Coverage {
	rows := make([]seawall.Coverage, 0, len(c.ecosystems))
	for name, e := range c.ecosystems {
		row := e.row(name)
		if day, ok := c.stale(name); ok && row.Status == seawall.CoverageOK {
			row.Status, row.Remedy = seawall.CoveragePartial, updateCommand([]string{name})
			row.Reason = "advisories as of " + day + ": nothing published since is known"
		}
		rows = append(rows, row)
	}
	slices.SortFunc(rows, func(a, b seawall.Coverage) int { return strings.Compare(a.Ecosystem, b.Ecosystem) })
	return rows
}

func (e *ecosystemCoverage) row(name string) seawall.Coverage {
	row := seawall.Coverage{Ecosystem: name, Packages: e.packages, Status: seawall.CoverageOK}
	var reasons, fetch []string
	missing, partly := e.orphaned, 0
	say := func(format string, args ...any) { reasons = append(reasons, fmt.Sprintf(format, args...)) }
	for _, ecosystem := range slices.Sorted(maps.Keys(e.uncovered)) {
		n := e.uncovered[ecosystem]
		missing += n
		if !advisory.Published(ecosystem) {
			say("no advisory database for %s is known to this program", ecosystem)
			continue
		}
		fetch = append(fetch, ecosystem)
		if n == e.packages {
			say("no advisories for %s in this database", ecosystem)
		} else {
			say("%s: no advisories for %s in this database", packages(n), ecosystem)
		}
	}
	for _, ecosystem := range slices.Sorted(maps.Keys(e.partly)) {
		partly += e.partly[ecosystem]
		fetch = append(fetch, ecosystem)
		say("%s judged only by what this database has for %s: advisories on some of its packages", packages(e.partly[ecosystem]), ecosystem)
	}
	if n := e.unknown.count; n > 0 {
		missing += n
		say("%s that no advisory database covers (%s)", packages(n), &e.unknown)
	}
	if n := e.unordered.count; n > 0 {
		missing += n
		say("%s with advisories but a version that cannot be ordered (%s)", packages(n), &e.unordered)
	}
	if e.orphaned > 0 {
		if advisory.Published(e.distribution) {
			fetch = append(fetch, e.distribution)
		}
		if e.orphaned == e.packages {
			// No count: rows of several ecosystems then read alike and are shown as one.
			say("brought by %s packages, for which this database has no advisories", e.distribution)
		} else {
			say("%s brought by %s packages, for which this database has no advisories", packages(e.orphaned), e.distribution)
		}
	}
	if e.owned > 0 {
		say("%s judged by the operating-system package they belong to", packages(e.owned))
	}
	switch {
	case missing == 0 && partly == 0:
	case missing >= e.packages-e.owned:
		row.Status = seawall.CoverageNotEvaluated
	default:
		row.Status = seawall.CoveragePartial
	}
	row.Reason, row.Remedy = strings.Join(reasons, "; "), updateCommand(fetch)
	return row
}

func packages(n int) string {
	if n == 1 {
		return "1 package"
	}
	return fmt.Sprintf("%d packages", n)
}

// updateCommand fetches the advisories of ecosystems, "" for none.
func updateCommand(ecosystems []string) string {
	if len(ecosystems) == 0 {
		return ""
	}
	command := "seawall db update"
	for _, e := range ecosystems {
		if strings.Contains(e, " ") {
			e = "'" + e + "'"
		}
		command += " --ecosystem " + e
	}
	return command
}
