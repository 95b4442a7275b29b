package triage

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/sink"
)

// Group is the vulnerabilities that one upgrade decision is about: a package,
// or the packages built from one source package, at one version.
type Group struct {
	// Name is the source package where several packages share it, else the package.
	Name, Version, Ecosystem string
	// Packages are the installed packages concerned, sorted.
	Packages []string
	// Upgrade is the smallest version that mends all that can be mended; "" when
	// nothing can or the versions cannot be put in order.
	Upgrade string
	// Fixed and Exploited count the vulnerabilities shown that a published version
	// mends, and that are known to be exploited.
	Fixed, Exploited int
	// Counts are the vulnerabilities shown, by severity; a vulnerability in several packages counts once.
	Counts seawall.Summary
	// Findings are those shown, one per vulnerability, worst first.
	Findings []*seawall.Finding
	// InUse: one of the packages was seen loaded; false when none was; nil when not known.
	InUse *bool
	// Layer brought the package; nil when unknown.
	Layer *seawall.LayerInfo
	// Paths are where it was found, the one to show first.
	Paths []string

	all []*seawall.Finding // before the display filter
}

type groupKey struct{ asset, ecosystem, name, version string }

// keyOf groups findings about vulnerable packages. ok is false for all others.
func keyOf(f *seawall.Finding) (key groupKey, ok bool) {
	if f.Vulnerability == nil || f.Package == nil || f.Kind == seawall.KindMalware {
		return groupKey{}, false
	}
	p := f.Package
	return groupKey{f.Asset, p.Ecosystem, cmp.Or(p.Source, p.Name), p.Version}, true
}

func newGroup(f *seawall.Finding) *Group {
	p := f.Package
	return &Group{Name: cmp.Or(p.Source, p.Name), Version: p.Version, Ecosystem: p.Ecosystem, Layer: f.Layer}
}

func (g *Group) add(f *seawall.Finding, shown bool) {
	g.all = append(g.all, f)
	if !shown {
		return
	}
	g.Findings = append(g.Findings, f)
	g.Packages = append(g.Packages, f.Package.Name)
	for _, l := range sink.Places(f) {
		g.Paths = append(g.Paths, PathOf(l))
	}
}

// finish sorts, merges the same vulnerability of several packages, counts and finds the upgrade.
func (g *Group) finish() {
	g.InUse = inUse(g.Findings)
	slices.SortStableFunc(g.Findings, compareFindings)
	g.Findings = slices.CompactFunc(g.Findings, func(a, b *seawall.Finding) bool { return a.Rule == b.Rule })
	for _, f := range g.Findings {
		g.Counts.Add(f)
		if len(f.Vulnerability.Fixed) > 0 {
			g.Fixed++
		}
		g.Exploited += exploited(f)
	}
	slices.Sort(g.Packages)
	g.Packages = slices.Compact(g.Packages)
	if len(g.Packages) == 1 {
		g.Name = g.Packages[0]
	}
	seen := make(map[string]bool, len(g.Paths))
	g.Paths = slices.DeleteFunc(g.Paths, func(p string) bool {
		known := seen[p]
		seen[p] = true
		return known
	})
	g.Upgrade = upgrade(g.Ecosystem, g.all)
	g.all = nil
}

// inUse is true where it is for one finding, false where it is for all.
func inUse(findings []*seawall.Finding) *bool {
	no := len(findings) > 0
	for _, f := range findings {
		if f.InUse != nil && *f.InUse {
			return f.InUse
		}
		no = no && f.InUse != nil
	}
	if !no {
		return nil
	}
	return findings[0].InUse
}

// Worst is the first finding.
func (g *Group) Worst() *seawall.Finding { return g.Findings[0] }

func compareGroups(a, b Group) int {
	if c := cmp.Compare(exploited(b.Worst()), exploited(a.Worst())); c != 0 {
		return c
	}
	if c := cmp.Compare(loaded(&b), loaded(&a)); c != 0 {
		return c
	}
	for _, s := range seawall.Severities() {
		if c := cmp.Compare(b.Counts.Of(s), a.Counts.Of(s)); c != 0 {
			return c
		}
	}
	if c := cmp.Compare(likelihood(b.Worst()), likelihood(a.Worst())); c != 0 {
		return c
	}
	return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Version, b.Version))
}

// loaded orders what is known of use: in use, unknown, not in use.
func loaded(g *Group) int {
	switch {
	case g.InUse == nil:
		return 0
	case *g.InUse:
		return 1
	}
	return -1
}

// PathOf writes a location in one line: path, place inside an archive, object.
func PathOf(l seawall.Location) string {
	l.Line, l.Field = 0, ""
	return PlaceOf(l)
}

// PlaceOf is PathOf with the line after the path, and the object's field.
func PlaceOf(l seawall.Location) string {
	s := l.Path
	if l.Inner != "" {
		s += "!" + l.Inner
	}
	if l.Line > 0 {
		s += ":" + strconv.Itoa(l.Line)
	}
	parts := slices.DeleteFunc([]string{s, l.Resource, l.Field}, func(p string) bool { return p == "" })
	return strings.Join(parts, " ")
}

// NoFix says in a few words why there is no Upgrade.
func (g *Group) NoFix() string {
	if g.Fixed > 0 {
		return "fixed versions differ by finding"
	}
	state := g.Worst().Vulnerability.State
	for _, f := range g.Findings {
		if f.Vulnerability.State != state {
			return "no fixed version yet"
		}
	}
	switch state {
	case seawall.StateWillNotFix:
		return "the vendor will not fix this"
	case seawall.StateDeferred:
		return "the vendor has deferred a fix"
	case seawall.StateEndOfLife:
		return "no fix: end of life"
	case seawall.StateUnderInvestigation:
		return "the vendor is investigating"
	}
	return "no fixed version yet"
}
