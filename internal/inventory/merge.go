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
	o := newOverlay(layers)
	packages, locations := 0, 0
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
	m.Packages = make([]seawall.Package, 0, packages)
	p := &placer{slab: make([]seawall.Location, 0, locations)}
	for i, f := range inPathOrder(layers) {
		if o.visible(i, f.Path) {
			found[f.Collector] += m.add(f.Facts, p, infos[i].Digest, o.origin(infos, i, f))
		} else {
			m.hide(f.Facts, p, infos[i].Digest, o.survivors(i, f))
		}
	}
	return found
}

// inPathOrder yields the files of all layers with their layer's index, by path,
// then collector, then layer.
func inPathOrder(layers []*LayerFacts) iter.Seq2[int, *FileFacts] {
	return func(yield func(int, *FileFacts) bool) {
		next := make([]int, len(layers))
		for {
			first := -1
			for i, l := range layers {
				if next[i] < len(l.Files) && (first < 0 || compareFiles(&l.Files[next[i]], &layers[first].Files[next[first]]) < 0) {
					first = i
				}
			}
			if first < 0 || !yield(first, &layers[first].Files[next[first]]) {
				return
			}
			next[first]++
		}
	}
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
		case f.File != nil:
			m.Files = append(m.Files, *f.File)
		}
	}
	return counted
}

// hide keeps the packages of a hidden file, except those its visible successor still has.
func (m *Merged) hide(facts []seawall.Fact, place *placer, layer string, survivors map[packageKey]bool) {
	for i := range facts {
		if p := facts[i].Package; p != nil && !survivors[keyOf(p)] {
			m.Hidden = append(m.Hidden, place.in(p, layer))
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
	layers []*LayerFacts
	// dirs remembers by layer whether what lies beneath a directory is hidden.
	dirs []map[string]bool
	// byPath are the layers that have facts at a path, lowest first; only for paths in several layers.
	byPath map[fileKey][]int
}

type fileKey struct {
	path      string
	collector int
}

func newOverlay(layers []*LayerFacts) *overlay {
	o := &overlay{layers: layers, dirs: make([]map[string]bool, len(layers)), byPath: map[fileKey][]int{}}
	if len(layers) == 1 {
		return o
	}
	for i, l := range layers {
		o.dirs[i] = map[string]bool{}
		for j := range l.Files {
			k := fileKey{l.Files[j].Path, l.Files[j].Collector}
			o.byPath[k] = append(o.byPath[k], i)
		}
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

// origin returns a function that tells which layer brought a package of a
// visible file of layer i. A package database is rewritten by every layer that
// installs something, so the layer that brought a package is the lowest of the
// unbroken run of versions of the file that have it.
func (o *overlay) origin(infos []seawall.LayerInfo, i int, f *FileFacts) func(*seawall.Package) string {
	versions := o.below(i, f)
	have := make([]map[packageKey]bool, len(versions))
	return func(p *seawall.Package) string {
		layer := i
		for v, below := range versions {
			if have[v] == nil {
				have[v] = packagesAt(o.layers[below], f.Path, f.Collector)
			}
			if !have[v][keyOf(p)] {
				break
			}
			layer = below
		}
		return infos[layer].Digest
	}
}

// below returns the layers under i with the file's earlier versions, next lower
// first, as far down as it was rewritten in place and not removed in between.
func (o *overlay) below(i int, f *FileFacts) []int {
	at := o.byPath[fileKey{f.Path, f.Collector}]
	n, _ := slices.BinarySearch(at, i)
	var versions []int
	for _, lower := range slices.Backward(at[:n]) {
		if slices.ContainsFunc(o.layers[lower+1:i+1], func(l *LayerFacts) bool { return l.removes(f.Path) }) {
			break
		}
		versions = append(versions, lower)
		i = lower
	}
	return versions
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

// survivors are the packages of the visible version of a hidden file of layer i; none when it is gone.
func (o *overlay) survivors(i int, f *FileFacts) map[packageKey]bool {
	at := o.byPath[fileKey{f.Path, f.Collector}]
	if top := at[len(at)-1]; top > i && o.visible(top, f.Path) {
		return packagesAt(o.layers[top], f.Path, f.Collector)
	}
	return nil
}

func packagesAt(l *LayerFacts, path string, collector int) map[packageKey]bool {
	i, ok := slices.BinarySearchFunc(l.Files, fileKey{path, collector}, func(f FileFacts, k fileKey) int {
		return cmp.Or(strings.Compare(f.Path, k.path), cmp.Compare(f.Collector, k.collector))
	})
	if !ok {
		return nil
	}
	set := make(map[packageKey]bool, len(l.Files[i].Facts))
	for _, f := range l.Files[i].Facts {
		if f.Package != nil {
			set[keyOf(f.Package)] = true
		}
	}
	return set
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

func compareFiles(a, b *FileFacts) int {
	return cmp.Or(strings.Compare(a.Path, b.Path), cmp.Compare(a.Collector, b.Collector))
}
