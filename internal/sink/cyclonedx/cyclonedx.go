// Package cyclonedx writes a CycloneDX 1.6 JSON bill of materials: the first
// asset as subject, its packages as components with their places and layers,
// and what was found about them as vulnerabilities, suppressed ones with their
// analysis. Dependencies between packages are not known from what is installed,
// so the composition says "incomplete" instead of inventing edges.
package cyclonedx

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"strconv"
	"strings"

	cdx "github.com/CycloneDX/cyclonedx-go"

	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/sink"
	"github.com/seawall-security/seawall/internal/sink/license"
)

// New returns the handler of the cyclonedx format.
func New(w io.Writer) sink.Handler {
	return sink.Whole(func(r *seawall.Report) error {
		out := bufio.NewWriter(w)
		enc := cdx.NewBOMEncoder(out, cdx.BOMFileFormatJSON).SetPretty(true).SetEscapeHTML(false)
		if err := enc.Encode(build(r)); err != nil {
			return err
		}
		return out.Flush()
	})
}

// builder hands out unique references.
type builder struct {
	report *seawall.Report
	taken  map[string]int // references handed out, with how often they were asked for
	// refs are the components by what a finding knows of its package.
	refs map[packageKey]string
	// assets are the references of assets by id.
	assets map[string]string
}

type packageKey struct{ asset, ecosystem, name, version string }

func build(r *seawall.Report) *cdx.BOM {
	b := &builder{report: r, taken: make(map[string]int), refs: make(map[packageKey]string), assets: make(map[string]string)}
	bom := cdx.NewBOM()
	bom.SpecVersion, bom.JSONSchema = cdx.SpecVersion1_6, "http://cyclonedx.org/schema/bom-1.6.schema.json"
	bom.SerialNumber = sink.DocumentID("cyclonedx", r)
	bom.Metadata = &cdx.Metadata{
		Timestamp: cmp.Or(r.Run.Ended, r.Run.Started),
		Tools:     &cdx.ToolsChoice{Components: &[]cdx.Component{{Type: cdx.ComponentTypeApplication, Name: r.Tool.Name, Version: r.Tool.Version}}},
	}
	components := []cdx.Component{}
	for i, a := range sink.Assets(r) {
		c := b.asset(a)
		if i == 0 {
			bom.Metadata.Component = &c
		} else {
			components = append(components, c)
		}
		components = append(components, b.os(a)...)
	}
	of := make(map[string][]string)
	for i := range r.Packages {
		c := b.component(&r.Packages[i])
		components = append(components, c)
		of[r.Packages[i].Asset] = append(of[r.Packages[i].Asset], c.BOMRef)
	}
	vulnerabilities := []cdx.Vulnerability{}
	for i := range r.Findings {
		if f := &r.Findings[i]; f.Vulnerability != nil && (f.Status == seawall.StatusFail || f.Status == seawall.StatusSuppressed) {
			vulnerabilities = append(vulnerabilities, b.vulnerability(f, &components))
		}
	}
	bom.Components, bom.Vulnerabilities = &components, &vulnerabilities
	bom.Dependencies, bom.Compositions = b.contents(of)
	return bom
}

// contents says that assets hold their packages, and that edges between packages are missing.
func (b *builder) contents(of map[string][]string) (*[]cdx.Dependency, *[]cdx.Composition) {
	dependencies, refs := []cdx.Dependency{}, []cdx.BOMReference{}
	for _, a := range sink.Assets(b.report) {
		ref := b.assets[a.ID]
		packages := append([]string{}, of[a.ID]...)
		dependencies = append(dependencies, cdx.Dependency{Ref: ref, Dependencies: &packages})
		refs = append(refs, cdx.BOMReference(ref))
	}
	if len(refs) == 0 {
		return nil, nil
	}
	return &dependencies, &[]cdx.Composition{{Aggregate: cdx.CompositionAggregateIncomplete, Dependencies: &refs}}
}

// unique makes a bom-ref no other component has.
func (b *builder) unique(ref string) string {
	ref = cmp.Or(ref, "unnamed")
	try := ref
	for b.taken[try] > 0 {
		b.taken[ref]++
		try = ref + "#" + strconv.Itoa(b.taken[ref])
	}
	b.taken[try]++
	return try
}

func (b *builder) asset(a *seawall.Asset) cdx.Component {
	purl := sink.AssetPURL(a)
	c := cdx.Component{BOMRef: b.unique(cmp.Or(purl, a.ID)), Type: typeOf(a.Kind), Name: cmp.Or(a.Name, a.ID), PackageURL: purl}
	b.assets[a.ID] = c.BOMRef
	var p properties
	p.add("asset:id", a.ID)
	p.add("asset:kind", string(a.Kind))
	if a.Image != nil {
		p.add("image:config-digest", a.Image.ConfigDigest)
		p.add("image:platform", a.Image.Platform)
		for _, l := range a.Image.Layers {
			p.add(fmt.Sprintf("image:layer:%d:digest", l.Index), l.Digest)
			p.add(fmt.Sprintf("image:layer:%d:diff-id", l.Index), l.DiffID)
			p.add(fmt.Sprintf("image:layer:%d:created-by", l.Index), l.CreatedBy)
		}
	}
	c.Version = a.Digest
	c.Properties = p.list()
	return c
}

func typeOf(k seawall.AssetKind) cdx.ComponentType {
	switch k {
	case seawall.AssetImage, seawall.AssetContainer:
		return cdx.ComponentTypeContainer
	case seawall.AssetHost, seawall.AssetNode:
		return cdx.ComponentTypeDevice
	case seawall.AssetRegistry, seawall.AssetCluster:
		return cdx.ComponentTypePlatform
	}
	return cdx.ComponentTypeApplication
}

func (b *builder) os(a *seawall.Asset) []cdx.Component {
	if a.OS == nil || a.OS.ID == "" {
		return nil
	}
	return []cdx.Component{{
		BOMRef: b.unique("os:" + a.OS.ID + "@" + a.OS.Version), Type: cdx.ComponentTypeOS,
		Name: a.OS.ID, Version: a.OS.Version, Description: a.OS.Name,
	}}
}

func (b *builder) component(p *seawall.Package) cdx.Component {
	c := cdx.Component{
		BOMRef: b.unique(cmp.Or(p.PURL, p.Name+"@"+p.Version)), Type: cdx.ComponentTypeLibrary,
		Name: p.Name, Version: p.Version, PackageURL: p.PURL, Licenses: licenses(p.Licenses), Scope: cdx.ScopeRequired,
	}
	if p.Dev {
		c.Scope = cdx.ScopeOptional
	}
	if p.Vendor != "" {
		c.Supplier = &cdx.OrganizationalEntity{Name: p.Vendor}
	}
	b.refs[packageKey{p.Asset, p.Ecosystem, p.Name, p.Version}] = c.BOMRef
	var props properties
	props.add("ecosystem", p.Ecosystem)
	props.add("package:kind", p.Kind)
	props.add("package:source", p.Source)
	props.add("package:source-version", p.SourceVersion)
	props.add("package:module", p.Module)
	props.add("package:owner", p.Owner)
	if len(b.report.Assets) > 0 {
		props.add("asset:id", p.Asset)
	}
	if p.Declared {
		props.add("package:declared", "true")
	}
	occurrences := []cdx.EvidenceOccurrence{}
	layers := make(map[string]bool)
	for _, l := range p.Locations {
		if l.Path == "" {
			continue
		}
		o := cdx.EvidenceOccurrence{Location: l.Path}
		if l.Inner != "" {
			o.Location += "!" + l.Inner
		}
		if l.Line > 0 {
			o.Line = &l.Line
		}
		occurrences = append(occurrences, o)
		if l.Layer != "" && !layers[l.Layer] {
			layers[l.Layer] = true
			props.add("layer:digest", l.Layer)
		}
	}
	if len(occurrences) > 0 {
		c.Evidence = &cdx.Evidence{Occurrences: &occurrences}
	}
	c.Properties = props.list()
	return c
}

// licenses writes listed identifiers as such, a sole expression as expression, and other words as names.
func licenses(names []string) *cdx.Licenses {
	if len(names) == 1 && !license.IsID(names[0]) && license.IsExpression(names[0]) {
		return &cdx.Licenses{{Expression: names[0]}}
	}
	list := cdx.Licenses{}
	for _, n := range names {
		switch {
		case license.IsID(n):
			list = append(list, cdx.LicenseChoice{License: &cdx.License{ID: n}})
		case n != "":
			list = append(list, cdx.LicenseChoice{License: &cdx.License{Name: n}})
		}
	}
	if len(list) == 0 {
		return nil
	}
	return &list
}

// properties collects name and value pairs in the seawall: namespace, leaving out empty values.
type properties []cdx.Property

func (p *properties) add(name, value string) {
	if value != "" {
		*p = append(*p, cdx.Property{Name: "seawall:" + name, Value: value})
	}
}

func (p *properties) list() *[]cdx.Property {
	if len(*p) == 0 {
		return nil
	}
	return (*[]cdx.Property)(p)
}

// vulnerability converts a finding. A package that is not in the package list (a
// filtered or foreign report) is added, so that every reference resolves.
func (b *builder) vulnerability(f *seawall.Finding, components *[]cdx.Component) cdx.Vulnerability {
	v := f.Vulnerability
	out := cdx.Vulnerability{
		BOMRef: b.unique("finding:" + f.ID), ID: f.Rule, Source: source(f.Rule), Ratings: ratings(f), CWEs: cwes(v.CWEs),
		Description: cmp.Or(v.Summary, f.Title), Recommendation: f.Remediation, Published: v.Published, Updated: v.Modified,
		Analysis: analysis(f),
	}
	var aliases []cdx.VulnerabilityReference
	for _, a := range v.Aliases {
		if s := source(a); a != f.Rule && s != nil {
			aliases = append(aliases, cdx.VulnerabilityReference{ID: a, Source: s})
		}
	}
	if len(aliases) > 0 {
		out.References = &aliases
	}
	var links []cdx.Advisory
	for _, u := range f.References {
		if sink.IsWebURL(u) {
			links = append(links, cdx.Advisory{URL: u})
		}
	}
	if len(links) > 0 {
		out.Advisories = &links
	}
	ref, version := b.assets[f.Asset], ""
	if p := f.Package; p != nil {
		key := packageKey{f.Asset, p.Ecosystem, p.Name, p.Version}
		if b.refs[key] == "" {
			*components = append(*components, b.component(&seawall.Package{Asset: f.Asset, Name: p.Name, Version: p.Version, Ecosystem: p.Ecosystem, PURL: p.PURL, Locations: f.Locations}))
		}
		ref, version = b.refs[key], p.Version
	}
	if ref != "" {
		affects := cdx.Affects{Ref: ref}
		if version != "" {
			affects.Range = &[]cdx.AffectedVersions{{Version: version, Status: cdx.VulnerabilityStatusAffected}}
		}
		out.Affects = &[]cdx.Affects{affects}
	}
	var props properties
	props.add("kind", string(f.Kind))
	props.add("state", string(v.State))
	props.add("fixed", strings.Join(v.Fixed, ", "))
	if v.KEV {
		props.add("known-exploited", "true")
	}
	if f.InUse != nil {
		props.add("in-use", strconv.FormatBool(*f.InUse))
	}
	if f.Layer != nil {
		props.add("layer:digest", f.Layer.Digest)
		props.add("layer:base", strconv.FormatBool(f.Layer.Base))
	}
	out.Properties = props.list()
	return out
}

func source(id string) *cdx.Source {
	u := sink.AdvisoryURL(id)
	if u == "" {
		return nil
	}
	prefix, _, _ := strings.Cut(id, "-")
	return &cdx.Source{Name: prefix, URL: u}
}

func ratings(f *seawall.Finding) *[]cdx.VulnerabilityRating {
	list := []cdx.VulnerabilityRating{{Severity: severity(f.Severity), Method: cdx.ScoringMethodOther, Source: named(cmp.Or(f.SeveritySource, "seawall"))}}
	for _, c := range f.Vulnerability.CVSS {
		list = append(list, cdx.VulnerabilityRating{
			Source: named(c.Source), Score: &c.Score, Vector: c.Vector, Method: method(c.Version),
			Severity: severity(seawall.SeverityOfScore(c.Version, c.Score)),
		})
	}
	if e := f.Vulnerability.EPSS; e != nil {
		list = append(list, cdx.VulnerabilityRating{Source: &cdx.Source{Name: "EPSS", URL: "https://www.first.org/epss/"}, Score: &e.Score, Method: cdx.ScoringMethodOther})
	}
	return &list
}

func named(name string) *cdx.Source {
	if name == "" {
		return nil
	}
	return &cdx.Source{Name: name}
}

func method(version string) cdx.ScoringMethod {
	switch version {
	case "2.0":
		return cdx.ScoringMethodCVSSv2
	case "3.0":
		return cdx.ScoringMethodCVSSv3
	case "3.1":
		return cdx.ScoringMethodCVSSv31
	case "4.0":
		return cdx.ScoringMethodCVSSv4
	}
	return cdx.ScoringMethodOther
}

func severity(s seawall.Severity) cdx.Severity {
	if s == seawall.SeverityNegligible {
		return cdx.SeverityInfo
	}
	return cdx.Severity(s.String())
}

// cwes are the numbers of "CWE-79" and the like.
func cwes(names []string) *[]int {
	var numbers []int
	for _, n := range names {
		if i, err := strconv.Atoi(strings.TrimPrefix(n, "CWE-")); err == nil && i > 0 {
			numbers = append(numbers, i)
		}
	}
	if len(numbers) == 0 {
		return nil
	}
	return &numbers
}

// analysis words a suppression: what VEX cleared keeps its status, what the
// owner merely accepted stays exploitable with no fix planned.
func analysis(f *seawall.Finding) *cdx.VulnerabilityAnalysis {
	if f.Status != seawall.StatusSuppressed {
		return nil
	}
	a := &cdx.VulnerabilityAnalysis{Detail: f.Reason}
	switch {
	case strings.HasPrefix(f.Reason, "not affected"):
		a.State = cdx.IASNotAffected
	case strings.HasPrefix(f.Reason, "fixed"):
		a.State = cdx.IASResolved
	default:
		a.State = cdx.IASExploitable
		a.Response = &[]cdx.ImpactAnalysisResponse{cdx.IARWillNotFix}
	}
	return a
}
