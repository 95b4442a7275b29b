package version

import (
	"slices"

	"github.com/seawall-security/seawall/internal/advisory"
)

// Set is a set of versions of one scheme, kept as disjoint spans in version
// order. It is how the range languages of advisory sources are combined before
// they become OSV ranges: "vulnerable minus patched" is Minus. The zero value is not usable.
type Set struct {
	scheme Scheme
	spans  []span
}

// span is everything between two cuts.
type span struct{ from, to cut }

// cut is a point between versions: just before or just after version, or beyond all of them.
type cut struct {
	version string
	after   bool
	end     int8 // -1 before every version, 1 after every version, 0 at version
}

var (
	lowest  = cut{end: -1}
	highest = cut{end: 1}
)

func (s Set) compareCuts(a, b cut) int {
	switch {
	case a.end != 0 || b.end != 0:
		return int(a.end) - int(b.end)
	case a.version != b.version:
		if c := s.scheme.compare(a.version, b.version); c != 0 {
			return c
		}
	}
	switch {
	case a.after == b.after:
		return 0
	case a.after:
		return 1
	default:
		return -1
	}
}

// All is every version of a scheme.
func All(s Scheme) Set { return Set{s, []span{{lowest, highest}}} }

// None is no version of a scheme.
func None(s Scheme) Set { return Set{scheme: s} }

// Between is the versions at or above from and below to; "" leaves a side open.
func Between(s Scheme, from, to string) (Set, error) {
	p := span{lowest, highest}
	if from != "" {
		if err := s.Check(from); err != nil {
			return Set{}, err
		}
		p.from = cut{version: from}
	}
	if to != "" {
		if err := s.Check(to); err != nil {
			return Set{}, err
		}
		p.to = cut{version: to}
	}
	return Set{s, nil}.with(p), nil
}

// with returns the set and one more span.
func (s Set) with(p span) Set { return s.Union(Set{s.scheme, []span{p}}) }

// Union is the versions in either set.
func (s Set) Union(o Set) Set {
	all := slices.Concat(s.spans, o.spans)
	slices.SortStableFunc(all, func(a, b span) int { return s.compareCuts(a.from, b.from) })
	out := all[:0]
	for _, p := range all {
		if s.compareCuts(p.from, p.to) >= 0 {
			continue
		}
		if n := len(out); n > 0 && s.compareCuts(p.from, out[n-1].to) <= 0 {
			if s.compareCuts(p.to, out[n-1].to) > 0 {
				out[n-1].to = p.to
			}
			continue
		}
		out = append(out, p)
	}
	return Set{s.scheme, out}
}

// Not is the versions outside the set.
func (s Set) Not() Set {
	out := Set{scheme: s.scheme}
	from := lowest
	for _, p := range s.spans {
		if s.compareCuts(from, p.from) < 0 {
			out.spans = append(out.spans, span{from, p.from})
		}
		from = p.to
	}
	if from.end <= 0 {
		out.spans = append(out.spans, span{from, highest})
	}
	return out
}

// Intersect is the versions in both sets.
func (s Set) Intersect(o Set) Set { return s.Not().Union(o.Not()).Not() }

// Minus is the versions in s that are not in o.
func (s Set) Minus(o Set) Set { return s.Intersect(o.Not()) }

// Empty says whether no version is in the set.
func (s Set) Empty() bool { return len(s.spans) == 0 }

// Ranges writes the set as one OSV range with an introduced event per span, or
// nil for the empty set: callers must not store that as an Affected without
// ranges, which would name every version.
//
// OSV has no event for "after this version" as a start. It is written as
// introduced at the next version: exact for Semver, for the other schemes the
// version with ".0.0.1" added.
func (s Set) Ranges() []advisory.Range {
	if s.Empty() {
		return nil
	}
	r := advisory.Range{Type: advisory.RangeEcosystem}
	if s.scheme == Semver {
		r.Type = advisory.RangeSemver
	}
	for _, p := range s.spans {
		start := "0"
		if p.from.end == 0 {
			start = p.from.version
			if p.from.after {
				start = s.scheme.successor(start)
			}
		}
		r.Events = append(r.Events, advisory.RangeEvent{Introduced: start})
		switch {
		case p.to.end != 0:
		case p.to.after:
			r.Events = append(r.Events, advisory.RangeEvent{LastAffected: p.to.version})
		default:
			r.Events = append(r.Events, advisory.RangeEvent{Fixed: p.to.version})
		}
	}
	return []advisory.Range{r}
}

// successor is the version after v.
func (s Scheme) successor(v string) string {
	if s != Semver {
		return v + ".0.0.1"
	}
	p, ok := parsePartial(v)
	if !ok || len(p.numbers) < 3 {
		return v + ".0.0.1"
	}
	if p.prerelease != "" {
		return p.String() + ".0"
	}
	return p.bump(2) + "-0"
}
