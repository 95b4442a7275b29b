package inventory

import (
	"cmp"
	"context"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/seawall-security/seawall/internal/seawall"
)

// merge fills m with the visible facts of all layers, lowest first, in path
// order, and returns how many facts each collector contributed (file facts,
// which only serve joiners, not counted).
//
// The rules are those of the OCI image specification, layer.md: an entry
// replaces what lies at its path below and, unless both are directories, all
// beneath it; a whiteout removes a path with all beneath it; an opaque whiteout
// removes all beneath a directory. Whiteouts act on lower layers only.
func (m *Merged) merge(infos []seawall.LayerInfo, layers []*LayerFacts, collectors int) (found []int) {
	found = make([]int, collectors)
	o := newOverlay(infos, layers)
	packages, locations := countPackages(layers)
	m.Packages = make([]seawall.Package, 0, packages)
	p := &placer{slab: make([]seawall.Location, 0, locations)}
	for versions := range filesInOrder(layers) {
		top := versions[len(versions)-1]
		var survivors contents
		if o.visible(top.layer, top.Path) {
			found[top.Collector] += m.add(top.Facts, p, infos[top.layer].Digest, o.origin(versions))
			if len(versions) > 1 {
				survivors = contentsOf(top)
			}
		} else {
			m.hide(top.Facts, p, infos[top.layer].Digest, contents{})
		}
		for _, v := range versions[:len(versions)-1] {
			m.hide(v.Facts, p, infos[v.layer].Digest, survivors)
		}
	}
	return found
}

func countPackages(layers []*LayerFacts) (packages, locations int) {
	for _, l := range layers {
		for i := range l.Files {
			for _, f := range l.Files[i].Facts {
				if f.Package != nil {
					packages++
					locations += len(f.Package.Locations)
				}
			}
		}
	}
	return packages, locations
}

// version is what one layer has of a file.
type version struct {
	*FileFacts
	layer int
}

// filesInOrder yields the files of all layers by path, then collector, each with
// its versions from the lowest layer up. The slice is valid until the next.
func filesInOrder(layers []*LayerFacts) iter.Seq[[]version] {
	return func(yield func([]version) bool) {
		next := make([]int, len(layers))
		var versions []version
		for {
			versions = versions[:0]
			for i, l := range layers {
				if next[i] == len(l.Files) {
					continue
				}
				f := &l.Files[next[i]]
				if len(versions) > 0 {
					switch c := compareFiles(f, versions[0].FileFacts); {
					case c > 0:
						continue
					case c < 0:
						versions = versions[:0]
					}
				}
				versions = append(versions, version{f, i})
			}
			if len(versions) == 0 || !yield(versions) {
				return
			}
			for _, v := range versions {
				next[v.layer]++
			}
		}
	}
}

func compareFiles(a, b *FileFacts) int {
	return cmp.Or(strings.Compare(a.Path, b.Path), cmp.Compare(a.Collector, b.Collector))
}

// contents tells what a version of a file has.
type contents struct {
	packages map[packageKey]bool
	matches  map[matchKey]bool
}

type matchKey struct {
	kind              seawall.FindingKind
	rule, fingerprint string
}

func matchKeyOf(m *seawall.Match) matchKey { return matchKey{m.Kind, m.Rule, m.Fingerprint} }

func contentsOf(v version) contents {
	c := contents{packages: make(map[packageKey]bool, len(v.Facts)), matches: map[matchKey]bool{}}
	for _, f := range v.Facts {
		switch {
		case f.Package != nil:
			c.packages[keyOf(f.Package)] = true
		case f.Match != nil:
			c.matches[matchKeyOf(f.Match)] = true
		}
	}
	return c
}

// add takes a visible file's facts from a layer. origin tells the layer that
// brought a package.
func (m *Merged) add(facts []seawall.Fact, place *placer, layer string, origin func(*seawall.Package) string) (counted int) {
	for i := range facts {
		switch f := &facts[i]; {
		case f.Package != nil:
			m.Packages = append(m.Packages, place.in(f.Package, origin(f.Package)))
			counted++
		case f.Config != nil:
			c := *f.Config
			c.Layer = layer
			m.Configs = append(m.Configs, c)
			counted++
		case f.Object != nil:
			m.Objects = append(m.Objects, *f.Object)
			counted++
		case f.Match != nil:
			m.match(f.Match, layer, false)
			counted++
		case f.File != nil:
			m.Files = append(m.Files, *f.File)
		}
	}
	return counted
}

// match takes a match from a layer.
func (m *Merged) match(f *seawall.Match, layer string, hidden bool) {
	c := *f
	c.Location.Layer, c.Hidden = layer, hidden
	m.Matches = append(m.Matches, c)
}

// hide keeps the packages and matches of a hidden file, except those its visible successor still has.
func (m *Merged) hide(facts []seawall.Fact, place *placer, layer string, survivors contents) {
	for i := range facts {
		switch f := &facts[i]; {
		case f.Package != nil && !survivors.packages[keyOf(f.Package)]:
			m.Hidden = append(m.Hidden, place.in(f.Package, layer))
		case f.Match != nil && !survivors.matches[matchKeyOf(f.Match)]:
			m.match(f.Match, layer, true)
		}
	}
}

// placer makes copies of packages, which a cache may share, that say which layer
// they are of. All their locations are in one allocation.
type placer struct {
	slab []seawall.Location
}

func (p *placer) in(pkg *seawall.Package, layer string) seawall.Package {
	c := *pkg
	n := len(p.slab)
	p.slab = append(p.slab, pkg.Locations...)
	c.Locations = p.slab[n:len(p.slab):len(p.slab)]
	for i := range c.Locations {
		c.Locations[i].Layer = layer
	}
	return c
}

// overlay answers what of each layer is still to be seen from the top.
type overlay struct {
	infos  []seawall.LayerInfo
	layers []*LayerFacts
	// dirs remembers by layer whether what lies beneath a directory is hidden.
	dirs []map[string]bool
}

func newOverlay(infos []seawall.LayerInfo, layers []*LayerFacts) *overlay {
	o := &overlay{infos: infos, layers: layers, dirs: make([]map[string]bool, len(layers))}
	for i := range o.dirs {
		o.dirs[i] = map[string]bool{}
	}
	return o
}

// visible says whether a file of layer i is seen from the top.
func (o *overlay) visible(i int, p string) bool {
	above := o.layers[i+1:]
	if len(above) == 0 {
		return true
	}
	h := hashPath(p)
	for _, l := range above {
		if contains(l.Paths, h) || contains(l.Dirs, h) || contains(l.Whiteouts, p) {
			return false
		}
	}
	return !o.hidesBeneath(i, parent(p))
}

// hidesBeneath says whether what layer i has beneath a directory is hidden by a layer above.
func (o *overlay) hidesBeneath(i int, dir string) bool {
	if hidden, known := o.dirs[i][dir]; known {
		return hidden
	}
	hidden := false
	h := hashPath(dir)
	for _, l := range o.layers[i+1:] {
		hidden = hidden || contains(l.Opaques, dir) || contains(l.Whiteouts, dir) || contains(l.Paths, h)
	}
	if !hidden && dir != "." {
		hidden = o.hidesBeneath(i, parent(dir))
	}
	o.dirs[i][dir] = hidden
	return hidden
}

func contains[T uint64 | string](sorted []T, v T) bool {
	_, ok := slices.BinarySearch(sorted, v)
	return ok
}

// origin returns a function that tells which layer brought a package of the top
// version of a file. A package database is rewritten by every layer that
// installs something, so the layer that brought a package is the lowest of the
// unbroken run of versions that have it.
func (o *overlay) origin(versions []version) func(*seawall.Package) string {
	top := versions[len(versions)-1].layer
	if len(versions) == 1 {
		return func(*seawall.Package) string { return o.infos[top].Digest }
	}
	earlier := o.rewritten(versions)
	have := make([]contents, len(earlier))
	for i, v := range earlier {
		have[i] = contentsOf(v)
	}
	return func(p *seawall.Package) string {
		layer := top
		for i, v := range earlier {
			if !have[i].packages[keyOf(p)] {
				break
			}
			layer = v.layer
		}
		return o.infos[layer].Digest
	}
}

// rewritten returns the versions below the top one, next lower first, as far
// down as the file was rewritten in place and not removed in between.
func (o *overlay) rewritten(versions []version) (earlier []version) {
	upper := versions[len(versions)-1].layer
	for _, v := range slices.Backward(versions[:len(versions)-1]) {
		if slices.ContainsFunc(o.layers[v.layer+1:upper+1], func(l *LayerFacts) bool { return l.removes(v.Path) }) {
			break
		}
		earlier = append(earlier, v)
		upper = v.layer
	}
	return earlier
}

// removes says whether a layer removes what the layers below have at a path, whatever it puts there itself.
func (l *LayerFacts) removes(p string) bool {
	if contains(l.Whiteouts, p) {
		return true
	}
	for dir := parent(p); ; dir = parent(dir) {
		if contains(l.Whiteouts, dir) || contains(l.Opaques, dir) || contains(l.Paths, hashPath(dir)) {
			return true
		}
		if dir == "." {
			return false
		}
	}
}

// joinTally is how one joiner fared.
type joinTally struct {
	spent    time.Duration
	problems Problems
	failed   string
}

// join runs the joiners in the collectors' order.
func (m *Merged) join(ctx context.Context, collectors []Collector) ([]joinTally, error) {
	tallies := make([]joinTally, len(collectors))
	for i, c := range collectors {
		j, ok := c.(Joiner)
		if !ok {
			continue
		}
		t := &tallies[i]
		m.Warn = func(reason string) { t.problems.add("", reason) }
		start := time.Now()
		if err := recoverJoin(ctx, j, m); err != nil {
			t.failed = err.Error()
		}
		t.spent = time.Since(start)
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
	}
	m.Warn = nil
	return tallies, nil
}
