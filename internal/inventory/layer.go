package inventory

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/seawall-security/seawall/internal/seawall"
)

// LayerFacts are the raw facts of one layer: a pure function of the layer's
// bytes and the collectors' versions. They say nothing about other layers;
// Location.Layer is empty.
type LayerFacts struct {
	// Files are the facts found, by path, then collector.
	Files []FileFacts
	// Paths are the hashes of the paths of all entries that are no directories, Dirs those
	// of all directories, named or implied; both sorted. See hashPath.
	Paths, Dirs []uint64
	// Whiteouts are the paths removed from the layers below, Opaques the
	// directories whose content below is hidden; both sorted.
	Whiteouts, Opaques []string
	// Tallies are one per collector, in the collectors' order.
	Tallies []Tally
	// Missed are entries other than files that could not be read: what lies in an
	// unreadable directory is unknown to every collector.
	Missed Problems
}

// FileFacts are the facts one collector read from one file.
type FileFacts struct {
	Path string
	// Collector is an index into the run's collectors.
	Collector int
	Facts     []seawall.Fact
}

// Tally is how one collector fared in one layer.
type Tally struct {
	Spent    time.Duration
	Problems Problems
	// Failed is the first panic, by path; "" is none.
	Failed string
}

// Problems counts inputs that could not be judged and keeps the first few by
// path, so that the text does not depend on the order of work.
type Problems struct {
	Count int
	First []Problem
}

// Problem is one input that could not be judged.
type Problem struct {
	Path, Reason string
}

const (
	problemsKept = 3
	// maxFacts bounds the facts of one layer, at some 600 bytes each: hard links
	// multiply them at no cost to whoever makes the image.
	maxFacts = 2 << 20
	// maxReason bounds the text of one problem: it may quote what an attacker wrote.
	maxReason = 300
	// maxPaths bounds what is remembered of one layer, at some 20 bytes a path.
	maxPaths = 8 << 20
)

func (p *Problems) add(path, reason string) {
	p.Count++
	p.keep(Problem{path, shorten(strings.TrimPrefix(reason, path+": "))})
}

func shorten(reason string) string {
	if len(reason) <= maxReason {
		return reason
	}
	return strings.ToValidUTF8(reason[:maxReason], "") + "…"
}

func (p *Problems) addAll(q Problems) {
	p.Count += q.Count
	for _, one := range q.First {
		p.keep(one)
	}
}

func (p *Problems) keep(one Problem) {
	i, _ := slices.BinarySearchFunc(p.First, one, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(a.Reason, b.Reason))
	})
	if i < problemsKept {
		p.First = slices.Insert(p.First, i, one)
		p.First = p.First[:min(len(p.First), problemsKept)]
	}
}

// String is "" without problems, else "2 inputs: a: why; b: why".
func (p Problems) String() string {
	if p.Count == 0 {
		return ""
	}
	var b strings.Builder
	if p.Count > 1 {
		fmt.Fprintf(&b, "%d inputs: ", p.Count)
	}
	for i, one := range p.First {
		if i > 0 {
			b.WriteString("; ")
		}
		if one.Path != "" {
			b.WriteString(one.Path + ": ")
		}
		b.WriteString(one.Reason)
	}
	if p.Count > len(p.First) {
		b.WriteString("; …")
	}
	return b.String()
}

// parent is path.Dir for the clean paths of entries, without allocation.
func parent(path string) string {
	if i := strings.LastIndexByte(path, '/'); i >= 0 {
		return path[:i]
	}
	return "."
}

// hashPath is the first 64 bits of SHA-256: an upper layer made by an attacker
// must not be able to hide a lower file by a path that merely collides with it.
func hashPath(path string) uint64 {
	var buf [256]byte
	sum := sha256.Sum256(append(buf[:0], path...))
	return binary.BigEndian.Uint64(sum[:])
}

// recorder gathers one layer's facts from its walker and the workers.
type recorder struct {
	// overlay is false for a directory alone: nothing is above or below it and no
	// path comes twice, so its paths need not be remembered.
	overlay bool

	// The walker's own.
	paths              []uint64
	dirs               map[uint64]struct{}
	lastDir            string
	whiteouts, opaques []string
	last               map[uint64]int // path hash of a wanted file -> sequence number of the latest entry there
	links              []link
	unreadable         bool // an entry could not be read

	mu      sync.Mutex
	files   []sequencedFacts
	count   int // of facts in files, and of those there was no room for
	tallies []Tally
	missed  Problems
	// transient: a collector's trouble that another try may not have.
	transient bool
}

type sequencedFacts struct {
	FileFacts
	seq  int
	hash uint64
}

func newRecorder(collectors int, overlay bool) *recorder {
	return &recorder{overlay: overlay, tallies: make([]Tally, collectors), last: map[uint64]int{}, dirs: map[uint64]struct{}{}}
}

// note remembers that an entry is there and returns its path's hash, 0 when it is not needed.
func (r *recorder) note(e *seawall.Entry, seq int) (uint64, error) {
	if !r.overlay {
		return 0, nil
	}
	if len(r.paths)+len(r.dirs)+len(r.whiteouts)+len(r.opaques) > maxPaths {
		return 0, fmt.Errorf("more than %d paths in one layer: %w", maxPaths, seawall.ErrBound)
	}
	switch e.Kind {
	case seawall.EntryWhiteout:
		r.whiteouts = append(r.whiteouts, e.Path)
		return 0, nil
	case seawall.EntryOpaque:
		r.opaques = append(r.opaques, e.Path)
		return 0, nil
	}
	h := hashPath(e.Path)
	if _, wanted := r.last[h]; wanted {
		r.last[h] = seq
	}
	if e.Kind == seawall.EntryDir {
		r.dirs[h] = struct{}{}
	} else {
		r.paths = append(r.paths, h)
	}
	r.noteParents(e.Path)
	return h, nil
}

// noteParents remembers the directories a path implies.
func (r *recorder) noteParents(p string) {
	dir := parent(p)
	if dir == r.lastDir {
		return
	}
	r.lastDir = dir
	for d := dir; d != "."; d = parent(d) {
		h := hashPath(d)
		if _, known := r.dirs[h]; known {
			return
		}
		r.dirs[h] = struct{}{}
	}
}

// want remembers that the file now noted is collected.
func (r *recorder) want(hash uint64, seq int) {
	if r.overlay {
		r.last[hash] = seq
	}
}

// facts keeps what a collector returned for a file.
func (r *recorder) facts(j *job, collector int, facts []seawall.Fact, spent time.Duration, err error) {
	for i := range facts {
		setPath(&facts[i], j.path)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	t := &r.tallies[collector]
	t.Spent += spent
	if err != nil {
		t.Problems.add(j.path, err.Error())
		r.transient = r.transient || errors.Is(err, seawall.ErrTransient)
	}
	r.count += len(facts)
	if len(facts) > 0 && r.count <= maxFacts { // finish reports too many
		r.files = append(r.files, sequencedFacts{FileFacts{j.path, collector, facts}, j.seq, j.hash})
	}
}

// problem records that a collector could not judge a file.
func (r *recorder) problem(collector int, path, reason string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tallies[collector].Problems.add(path, reason)
}

// failed records a collector's panic.
func (r *recorder) failed(collector int, path string, panicked any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	t := &r.tallies[collector]
	reason := path + ": " + shorten(fmt.Sprintf("panic: %v", panicked))
	if t.Failed == "" || reason < t.Failed {
		t.Failed = reason
	}
}

// unread records an entry that could not be read, with the collectors that wanted it.
func (r *recorder) unread(e *seawall.Entry, wanting []int) {
	r.unreadable = true
	for _, c := range wanting {
		r.problem(c, e.Path, e.Err.Error())
	}
	if e.Kind != seawall.EntryFile {
		r.missed.add(e.Path, e.Err.Error())
	}
}

// reproducible is false when reading the same bytes again might go better.
func (r *recorder) reproducible() bool {
	return !r.unreadable && !r.transient && !slices.ContainsFunc(r.tallies, func(t Tally) bool { return t.Failed != "" })
}

// finish puts everything in order, once the walk and all its work are done.
func (r *recorder) finish() (*LayerFacts, error) {
	r.followLinks()
	if r.count > maxFacts {
		return nil, fmt.Errorf("more than %d packages and other facts in one layer: %w", maxFacts, seawall.ErrBound)
	}
	l := &LayerFacts{
		Paths: sortedSet(r.paths), Dirs: slices.Sorted(maps.Keys(r.dirs)),
		Whiteouts: sortedSet(r.whiteouts), Opaques: sortedSet(r.opaques),
		Tallies: r.tallies, Missed: r.missed,
	}
	slices.SortFunc(r.files, func(a, b sequencedFacts) int {
		return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(a.Collector, b.Collector), cmp.Compare(a.seq, b.seq))
	})
	l.Files = make([]FileFacts, 0, len(r.files))
	for _, f := range r.files {
		// A path stored twice in one layer is what its last entry says.
		if r.overlay && r.last[f.hash] != f.seq {
			continue
		}
		l.Files = append(l.Files, f.FileFacts)
	}
	return l, nil
}

func sortedSet[T cmp.Ordered](s []T) []T {
	slices.Sort(s)
	return slices.Clip(slices.Compact(s))
}

// setPath fills the place of a fact where the collector left it out.
func setPath(f *seawall.Fact, path string) {
	switch {
	case f.Package != nil:
		if len(f.Package.Locations) == 0 {
			f.Package.Locations = []seawall.Location{{}}
		}
		for i := range f.Package.Locations {
			if l := &f.Package.Locations[i]; l.Path == "" {
				l.Path = path
			}
		}
	case f.File != nil && f.File.Path == "":
		f.File.Path = path
	case f.Config != nil && f.Config.Path == "":
		f.Config.Path = path
	case f.Object != nil && f.Object.Path == "":
		f.Object.Path = path
	case f.Match != nil && f.Match.Location.Path == "":
		f.Match.Location.Path = path
	}
}
