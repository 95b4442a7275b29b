package inventory

import (
	"io/fs"
	"slices"

	"github.com/seawall-security/seawall/internal/seawall"
)

// link is a wanted hard link: a second name of an earlier entry.
type link struct {
	path       string
	hash       uint64
	seq        int
	target     int // sequence number of the entry with the content
	collectors []int
}

// lateLink is a second name whose content has passed unread.
type lateLink struct {
	path string
	info fs.FileInfo
	hash uint64
	seq  int
	have []int // collectors that have the content from its first name
}

// hardlink gives a second name's collectors what they found under the first, and
// notes the link as late for those that did not want the first.
func (w *walk) hardlink(e *seawall.Entry, hash uint64) {
	target, known := w.collected[e.Link]
	info := sizedInfo{e.Info, 1} // not empty; its real size is known once it is read
	if known {
		info.size = target.size
	}
	wanting := w.wanted(e.Path, info)
	var shared []int
	for _, c := range wanting {
		if slices.Contains(target.collectors, c) {
			shared = append(shared, c)
		}
	}
	if len(wanting) > 0 {
		w.rec.want(hash, w.seq)
	}
	if len(shared) > 0 {
		w.rec.links = append(w.rec.links, link{path: e.Path, hash: hash, seq: w.seq, target: target.seq, collectors: shared})
		target.collectors = shared
		w.collected[e.Path] = target
	}
	if len(shared) < len(wanting) {
		if w.late == nil {
			w.late = map[string][]lateLink{}
		}
		w.late[e.Link] = append(w.late[e.Link], lateLink{e.Path, e.Info, hash, w.seq, shared})
	}
}

// visitLate takes an entry of the layer's second walk: contents of late links are
// collected under the first of the links' names, the others follow it.
func (w *walk) visitLate(e seawall.Entry) error {
	links := w.late[e.Path]
	if len(links) == 0 || e.Kind != seawall.EntryFile {
		return nil
	}
	delete(w.late, e.Path)
	var first *job
	for _, l := range links {
		info := sizedInfo{l.info, e.Info.Size()}
		collectors := slices.DeleteFunc(slices.Clone(w.wanted(l.path, info)), func(c int) bool { return slices.Contains(l.have, c) })
		if len(collectors) == 0 {
			continue
		}
		if first == nil {
			first = &job{walk: w, path: l.path, info: info, seq: l.seq, hash: l.hash, collectors: collectors}
			continue
		}
		for _, c := range collectors {
			if !slices.Contains(first.collectors, c) {
				w.rec.problem(c, l.path, "hard link to content that was read as "+first.path)
			}
		}
		w.rec.links = append(w.rec.links, link{path: l.path, hash: l.hash, seq: l.seq, target: first.seq, collectors: collectors})
	}
	if first == nil {
		return nil
	}
	return w.read(first, &e)
}

// giveUpLate reports the links whose content was not to be had.
func (w *walk) giveUpLate() {
	for target, links := range w.late {
		for _, l := range links {
			for _, c := range w.wanted(l.path, sizedInfo{l.info, 1}) {
				if !slices.Contains(l.have, c) {
					w.rec.problem(c, l.path, "hard link to "+target+", whose content cannot be read again")
				}
			}
		}
	}
}

// sizedInfo is a hard link's information with the size of its target, which the archive leaves out.
type sizedInfo struct {
	fs.FileInfo
	size int64
}

func (i sizedInfo) Size() int64 { return i.size }

// followLinks repeats the facts of files under their further names, unless that
// makes too many.
func (r *recorder) followLinks() {
	if len(r.links) == 0 {
		return
	}
	byTarget := map[int][]link{}
	for _, l := range r.links {
		byTarget[l.target] = append(byTarget[l.target], l)
	}
	found := r.files
	for _, f := range found {
		r.count += len(f.Facts) * len(byTarget[f.seq])
	}
	if r.count > maxFacts {
		return
	}
	for _, f := range found {
		for _, l := range byTarget[f.seq] {
			if !slices.Contains(l.collectors, f.Collector) {
				continue
			}
			facts := make([]seawall.Fact, len(f.Facts))
			for i := range facts {
				facts[i] = movePath(f.Facts[i], f.Path, l.path)
			}
			r.files = append(r.files, sequencedFacts{FileFacts{l.path, f.Collector, facts}, l.seq, l.hash})
		}
	}
}

// movePath returns a copy of a fact found through another name of the same file.
func movePath(f seawall.Fact, from, to string) seawall.Fact {
	move := func(p string) string {
		if p == from {
			return to
		}
		return p
	}
	switch {
	case f.Package != nil:
		p := *f.Package
		p.Locations = slices.Clone(p.Locations)
		for i := range p.Locations {
			p.Locations[i].Path = move(p.Locations[i].Path)
		}
		f.Package = &p
	case f.File != nil:
		file := *f.File
		file.Path = move(file.Path)
		f.File = &file
	case f.Config != nil:
		c := *f.Config
		c.Path = move(c.Path)
		f.Config = &c
	case f.Object != nil:
		o := *f.Object
		o.Path = move(o.Path)
		f.Object = &o
	case f.Match != nil:
		m := *f.Match
		m.Location.Path = move(m.Location.Path)
		f.Match = &m
	}
	return f
}
