// Package triage orders a report for people: what could not be judged first,
// then failing findings worst first, vulnerabilities gathered by the package
// whose upgrade mends them. The table, Markdown and HTML formats show this one
// view, so they never disagree.
package triage

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/sink"
)

// View is a report in reading order. It points into the report it was made from.
type View struct {
	Report *seawall.Report
	Assets []Asset
	// Gaps are the packages that could not (all) be judged, worst first.
	Gaps []seawall.Coverage
	// Incomplete are the collectors that did not finish everything.
	Incomplete []seawall.CollectorStatus
	// Hidden counts failing findings that the display filter hides.
	Hidden int
	// Exploited and Fixable count failing vulnerabilities: known to be exploited, mended by a published version.
	Exploited, Fixable int
}

// Asset is one asset with what was found in it.
type Asset struct {
	seawall.Asset
	// Packages counts the packages found.
	Packages int
	// Groups are the vulnerable packages, worst first.
	Groups []Group
	// Others are failing findings that are not about a vulnerable package, worst first.
	Others []*seawall.Finding
	// Suppressed and NotEvaluated are what was waived and what could not be checked.
	Suppressed, NotEvaluated []*seawall.Finding

	hidden     int  // failing findings the display filter hides
	judged     int  // packages of ecosystems that were judged, at least partly
	incomplete bool // something was not judged or not read
}

// Nothing words the absence of failing findings no stronger than what was
// checked; clean is true when all of it was.
func (a *Asset) Nothing() (verdict string, clean bool) {
	switch {
	case a.hidden > 0:
		return "nothing to show: " + Count(a.hidden, "finding") + " not shown by the display filter", false
	case a.incomplete && a.judged == 0:
		return "nothing could be judged", false
	case a.incomplete:
		return "nothing found in what could be judged", false
	case a.Packages == 0 && !slices.Contains(withoutPackages(), a.Kind):
		return "no packages found", true
	}
	return "nothing found", true
}

// withoutPackages are the kinds of asset that nobody looks for packages in.
func withoutPackages() []seawall.AssetKind {
	return []seawall.AssetKind{seawall.AssetRegistry, seawall.AssetManifests, seawall.AssetCluster, seawall.AssetNode, seawall.AssetContainer, seawall.AssetWorkload}
}

// Facts are short statements of what the asset is: kind, distribution, platform, number of packages, base image.
func (a *Asset) Facts() []string {
	facts := []string{string(a.Kind)}
	if a.OS != nil {
		facts = append(facts, cmp.Or(a.OS.Name, strings.TrimSpace(a.OS.ID+" "+a.OS.Version)))
	}
	if a.Image != nil && a.Image.Platform != "" {
		facts = append(facts, a.Image.Platform)
	}
	if a.Packages > 0 {
		facts = append(facts, Count(a.Packages, "package"))
	}
	if a.Image != nil && a.Image.Base != nil {
		facts = append(facts, baseFact(a.Image.Base))
	}
	if n := len(a.Workloads); n > 0 {
		fact := "run by " + a.Workloads[0]
		if n > 1 {
			fact += " and " + strconv.Itoa(n-1) + " more"
		}
		if a.Exposed != nil && *a.Exposed {
			fact += ", reached from outside"
		}
		facts = append(facts, fact)
	}
	return facts
}

// baseFact says what an image was built on and what moving to a mended base would remove.
func baseFact(b *seawall.BaseImage) string {
	fact := "base " + cmp.Or(b.Name, b.Digest)
	switch {
	case b.Layers == 0 || b.Findings == nil:
		return fact + " (its layers are not known: scan it, or name it with --base)"
	case countFailing(b.Findings) == 0:
		return fact + " (" + Count(b.Layers, "layer") + ", nothing found in them)"
	}
	return fact + " (" + Count(b.Layers, "layer") + "): mending it would remove " + Count(countFailing(b.Findings), "finding")
}

// countFailing counts the failing findings of a summary.
func countFailing(s *seawall.Summary) (n int) {
	for _, v := range seawall.Severities() {
		n += s.Of(v)
	}
	return n
}

// Failing counts the failing findings shown.
func (a *Asset) Failing() int {
	n := len(a.Others)
	for i := range a.Groups {
		n += len(a.Groups[i].Findings)
	}
	return n
}

// New arranges a report. The upgrade advice of a group considers every failing
// finding of its package, also those the display filter hides.
func New(r *seawall.Report, o sink.Options) *View {
	b := &builder{view: &View{Report: r}, options: o, index: make(map[string]int), groups: make(map[groupKey]*Group)}
	for _, a := range sink.Assets(r) {
		b.add(*a)
	}
	for i := range r.Packages {
		b.asset(r.Packages[i].Asset).Packages++
	}
	for i := range r.Findings {
		b.sort(&r.Findings[i])
	}
	for _, key := range b.order {
		if g := b.groups[key]; len(g.Findings) > 0 {
			g.finish()
			a := b.asset(key.asset)
			a.Groups = append(a.Groups, *g)
		}
	}
	for i := range b.view.Assets {
		slices.SortStableFunc(b.view.Assets[i].Groups, compareGroups)
		slices.SortStableFunc(b.view.Assets[i].Others, compareFindings)
	}
	b.gaps()
	return b.view
}

// builder sorts findings into the assets and groups of a view.
type builder struct {
	view    *View
	options sink.Options
	index   map[string]int // of assets by id
	groups  map[groupKey]*Group
	order   []groupKey // of groups, as first met
}

func (b *builder) add(a seawall.Asset) {
	b.index[a.ID] = len(b.view.Assets)
	b.view.Assets = append(b.view.Assets, Asset{Asset: a})
}

// asset returns the asset with this id, a nameless one if the report does not
// list it. The pointer is good until the next call.
func (b *builder) asset(id string) *Asset {
	if _, known := b.index[id]; !known {
		b.add(seawall.Asset{ID: id, Name: id})
	}
	return &b.view.Assets[b.index[id]]
}

func (b *builder) sort(f *seawall.Finding) {
	a := b.asset(f.Asset)
	switch f.Status {
	case seawall.StatusSuppressed:
		a.Suppressed = append(a.Suppressed, f)
	case seawall.StatusNotEvaluated:
		a.NotEvaluated = append(a.NotEvaluated, f)
	case seawall.StatusFail:
		b.view.count(f)
		shown := b.options.Shows(f)
		if !shown {
			b.view.Hidden++
			a.hidden++
		}
		if key, ok := keyOf(f); ok {
			b.group(key, f).add(f, shown)
		} else if shown {
			a.Others = append(a.Others, f)
		}
	}
}

// group returns the group of a key, a new one for the finding that is its first.
func (b *builder) group(key groupKey, f *seawall.Finding) *Group {
	g := b.groups[key]
	if g == nil {
		g = newGroup(f)
		b.groups[key] = g
		b.order = append(b.order, key)
	}
	return g
}

func (v *View) count(f *seawall.Finding) {
	if f.Vulnerability == nil {
		return
	}
	if f.Vulnerability.KEV {
		v.Exploited++
	}
	if len(f.Vulnerability.Fixed) > 0 {
		v.Fixable++
	}
}

// gaps gathers what was not judged and what was not read.
func (b *builder) gaps() {
	v := b.view
	for _, c := range v.Report.Coverage {
		a := b.asset(c.Asset)
		if c.Status != seawall.CoverageNotEvaluated {
			a.judged += c.Packages
		}
		if c.Status != seawall.CoverageOK {
			a.incomplete = true
			v.Gaps = append(v.Gaps, c)
		}
	}
	slices.SortStableFunc(v.Gaps, func(a, b seawall.Coverage) int {
		if a.Status != b.Status { // "not-evaluated" before "partial"
			return cmp.Compare(a.Status, b.Status)
		}
		return cmp.Compare(b.Packages, a.Packages)
	})
	for _, s := range v.Report.Collectors {
		if s.Status == seawall.RunFailed || s.Status == seawall.RunPartial {
			b.asset(s.Asset).incomplete = true
			v.Incomplete = append(v.Incomplete, s)
		}
	}
	slices.SortStableFunc(v.Incomplete, func(a, b seawall.CollectorStatus) int {
		return cmp.Compare(a.Status, b.Status) // "failed" before "partial"
	})
}

// Gap is what could not be judged for one reason, in one or more ecosystems and assets.
type Gap struct {
	Status         seawall.CoverageStatus
	Reason, Remedy string
	// Packages counts those concerned, Assets the assets they are in.
	Packages, Assets int

	ecosystems []string
	packages   map[string]int
	assets     map[string]bool
}

// Ecosystems names them, most packages first, with their counts when there are several.
func (g *Gap) Ecosystems() string {
	if len(g.ecosystems) == 1 {
		return cmp.Or(g.ecosystems[0], "unknown ecosystem")
	}
	var parts []string
	for _, e := range g.ecosystems {
		parts = append(parts, fmt.Sprintf("%s %d", cmp.Or(e, "unknown ecosystem"), g.packages[e]))
	}
	return strings.Join(parts, ", ")
}

// MergedGaps gathers Gaps by their reason, so that one remedy is said once.
func (v *View) MergedGaps() []*Gap {
	type key struct {
		status         seawall.CoverageStatus
		reason, remedy string
	}
	index := make(map[key]*Gap)
	var merged []*Gap
	for _, c := range v.Gaps {
		k := key{c.Status, c.Reason, c.Remedy}
		g := index[k]
		if g == nil {
			g = &Gap{Status: c.Status, Reason: c.Reason, Remedy: c.Remedy, packages: make(map[string]int), assets: make(map[string]bool)}
			index[k] = g
			merged = append(merged, g)
		}
		if _, seen := g.packages[c.Ecosystem]; !seen {
			g.ecosystems = append(g.ecosystems, c.Ecosystem)
		}
		g.packages[c.Ecosystem] += c.Packages
		g.Packages += c.Packages
		g.assets[c.Asset] = true
		g.Assets = len(g.assets)
	}
	return merged
}

// DatabaseAge is how old the advisory database was when the run started; ok is
// false when either time is unknown.
func (v *View) DatabaseAge() (age time.Duration, ok bool) {
	if v.Report.Database == nil {
		return 0, false
	}
	built, err1 := time.Parse(time.RFC3339, v.Report.Database.Built)
	started, err2 := time.Parse(time.RFC3339, v.Report.Run.Started)
	if err1 != nil || err2 != nil {
		return 0, false
	}
	return max(started.Sub(built), 0), true
}

// AssetName is what to call the asset with this id.
func (v *View) AssetName(id string) string {
	for i := range v.Assets {
		if v.Assets[i].ID == id {
			return v.Assets[i].Name
		}
	}
	return id
}

// compareFindings puts the worst first: known exploited, then severity, then
// likelihood of exploitation, then by rule so that the order is stable.
func compareFindings(a, b *seawall.Finding) int {
	if c := cmp.Compare(exploited(b), exploited(a)); c != 0 {
		return c
	}
	if c := cmp.Compare(b.Severity, a.Severity); c != 0 {
		return c
	}
	if c := cmp.Compare(likelihood(b), likelihood(a)); c != 0 {
		return c
	}
	return cmp.Compare(a.Rule, b.Rule)
}

func exploited(f *seawall.Finding) int {
	if f.Vulnerability != nil && f.Vulnerability.KEV || f.Kind == seawall.KindMalware {
		return 1
	}
	return 0
}

func likelihood(f *seawall.Finding) float64 {
	if f.Vulnerability == nil || f.Vulnerability.EPSS == nil {
		return 0
	}
	return f.Vulnerability.EPSS.Score
}
