// Package vuln judges packages by the advisories of a database.
//
// Data flows: packages -> subjects (one per name, version and ecosystem, with
// all places) -> queries (the ecosystem, names and version its advisories use:
// source packages, binaries mapped to products) -> statements that hold for the
// version -> issues (statements about one vulnerability, aliases merged) ->
// findings, and per ecosystem a coverage that says what could not be judged.
//
// A detector keeps nothing between runs and asks only its advisory.Lookup.
package vuln

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/seawall-security/seawall/internal/advisory"
	"github.com/seawall-security/seawall/internal/advisory/version"
	"github.com/seawall-security/seawall/internal/detect"
	"github.com/seawall-security/seawall/internal/seawall"
)

// Lookup is the advisory knowledge a Detector asks.
type Lookup = advisory.Lookup

// Detector finds known vulnerabilities, malicious packages and packages nobody maintains.
type Detector struct {
	lookup advisory.Lookup
}

// New returns a detector that asks the database given.
func New(lookup advisory.Lookup) *Detector { return &Detector{lookup} }

// Name implements detect.Detector.
func (*Detector) Name() string { return "vuln" }

// Detect implements detect.Detector. Findings are ordered by ecosystem, package,
// version and rule. An error means the database is damaged.
func (d *Detector) Detect(ctx context.Context, f detect.Facts) (detect.Result, error) {
	var result detect.Result
	coverage := newCoverage(d.lookup, f.Now)
	run := &run{lookup: d.lookup, advisories: map[advisory.Ref]*advisory.Advisory{}, found: map[string][]advisory.Match{}}
	for _, s := range subjects(f.Packages, coverage) {
		if err := ctx.Err(); err != nil {
			return result, err
		}
		findings, err := run.judge(s, coverage)
		if err != nil {
			return result, err
		}
		result.Findings = append(result.Findings, findings...)
	}
	result.Coverage = coverage.rows()
	return result, nil
}

// subject is one package in one version, wherever it lies.
type subject struct {
	*seawall.Package
	locations []seawall.Location
	// dev and declared hold only when they hold for every place.
	dev, declared bool
	count         int
}

// subjects merges equal packages and orders them; those judged by their owner's
// advisories are only counted.
func subjects(packages []seawall.Package, c *coverage) []*subject {
	type key struct{ ecosystem, name, version, source, sourceVersion, module string }
	index := make(map[key]*subject, len(packages))
	owner := distribution(packages)
	list := make([]*subject, 0, len(packages))
	for i := range packages {
		p := &packages[i]
		if p.Owner != "" {
			c.owned(p, owner)
			continue
		}
		k := key{p.Ecosystem, p.Name, p.Version, p.Source, p.SourceVersion, p.Module}
		s := index[k]
		if s == nil {
			s = &subject{Package: p, dev: true, declared: true}
			index[k] = s
			list = append(list, s)
		}
		s.count++
		s.dev, s.declared = s.dev && p.Dev, s.declared && p.Declared
		for _, l := range p.Locations {
			if !slices.Contains(s.locations, l) {
				s.locations = append(s.locations, l)
			}
		}
	}
	slices.SortStableFunc(list, func(a, b *subject) int {
		return cmp.Or(strings.Compare(a.Ecosystem, b.Ecosystem), strings.Compare(a.lookupName(), b.lookupName()),
			strings.Compare(a.Name, b.Name), strings.Compare(a.Version, b.Version))
	})
	return list
}

// distribution is the ecosystem that the packages of the operating system are asked about in.
func distribution(packages []seawall.Package) string {
	for i := range packages {
		if q := queriesFor(&packages[i]); len(q) > 0 && isDistribution(q[0].ecosystem) {
			return q[0].ecosystem
		}
	}
	return "Linux"
}

// lookupName groups the packages of one source, whose statements lie together.
func (s *subject) lookupName() string { return cmp.Or(s.Source, s.Name) }

// run is one Detect.
type run struct {
	lookup     advisory.Lookup
	advisories map[advisory.Ref]*advisory.Advisory
	// found holds the answers for source, the one judged now: its packages ask the same again.
	source string
	found  map[string][]advisory.Match
}

// find asks the database, once for all packages of a source.
func (r *run) find(s *subject, q query) ([]advisory.Match, error) {
	if source := s.lookupName(); source != r.source {
		r.source = source
		clear(r.found)
	}
	key := q.ecosystem + "\x00" + q.name
	matches, ok := r.found[key]
	if ok {
		return matches, nil
	}
	matches, err := r.lookup.Find(q.ecosystem, q.name)
	if err != nil {
		return nil, fmt.Errorf("advisory database: %w", err)
	}
	r.found[key] = matches
	return matches, nil
}

func (r *run) advisory(ref advisory.Ref) (*advisory.Advisory, error) {
	if a := r.advisories[ref]; a != nil {
		return a, nil
	}
	a, err := r.lookup.Advisory(ref)
	if err != nil {
		return nil, fmt.Errorf("advisory database: %w", err)
	}
	r.advisories[ref] = a
	return a, nil
}

// judge returns the findings of one subject.
func (r *run) judge(s *subject, c *coverage) ([]seawall.Finding, error) {
	queries := queriesFor(s.Package)
	var held []statement
	var problem error
	for _, q := range queries {
		matches, err := r.find(s, q)
		if err != nil {
			return nil, err
		}
		if len(matches) == 0 {
			continue
		}
		v, invalid := version.Parse(q.ecosystem, q.version)
		for _, m := range matches {
			if !concerns(m.Affected, s.Package, q) {
				continue
			}
			holds, err := true, error(nil)
			switch {
			case invalid == nil:
				holds, err = v.Affected(m.Affected)
			case !everyVersion(m.Affected) && !slices.Contains(m.Affected.Versions, q.version):
				holds, err = false, invalid
			}
			if err != nil {
				problem = err
			}
			if !holds {
				continue
			}
			a, err := r.advisory(m.Advisory)
			if err != nil {
				return nil, err
			}
			held = append(held, statement{Match: m, advisory: a, version: v, query: q})
		}
	}
	c.judged(s, queries, problem)
	return r.findings(s, issues(held)), nil
}

// statement is an advisory's word that holds for a subject's version.
type statement struct {
	advisory.Match
	advisory *advisory.Advisory
	version  version.Version
	query    query
}

// everyVersion says whether a statement holds for any version, also one that cannot be read.
func everyVersion(f *advisory.Affected) bool {
	if len(f.Ranges) == 0 {
		return len(f.Versions) == 0
	}
	for _, r := range f.Ranges {
		if len(r.Events) == 1 && r.Events[0].Introduced == "0" {
			return true
		}
	}
	return false
}

// concerns says whether a statement is about this build of the package: its
// architecture and, in the RHEL family, its module stream.
func concerns(f *advisory.Affected, p *seawall.Package, q query) bool {
	if len(f.Arches) > 0 && p.Arch != "" && p.Arch != "noarch" && p.Arch != "all" && !slices.Contains(f.Arches, p.Arch) {
		return false
	}
	modular := p.Module != "" || strings.Contains(p.Version, ".module")
	switch {
	case f.Module == "":
		return !q.modular || modularFix(f) == modular
	case p.Module == "" && modular:
		return mayBeOf(f.Module, p)
	}
	return f.Module == p.Module
}

// mayBeOf says whether a build that does not name its module may be of the
// stream given: the package a module is named after has the stream's version.
func mayBeOf(module string, p *seawall.Package) bool {
	name, stream, _ := strings.Cut(module, ":")
	if p.Name != name || strings.Trim(stream, "0123456789.") != "" {
		return true
	}
	_, upstream, found := strings.Cut(p.Version, ":")
	if !found {
		upstream = p.Version
	}
	return strings.HasPrefix(upstream, stream+".")
}

// modularFix says whether a statement's fix was built as part of a module.
func modularFix(f *advisory.Affected) bool {
	for _, r := range f.Ranges {
		for _, e := range r.Events {
			if e.Fixed != "" {
				return strings.Contains(e.Fixed, ".module")
			}
		}
	}
	return false
}
