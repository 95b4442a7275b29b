package inventory

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"sync"
	"time"

	"github.com/seawall-security/seawall/internal/seawall"
)

// walk is one layer on its way: visit runs in the layer's own goroutine, asks
// every collector once per file, reads what is wanted and queues it for the workers.
type walk struct {
	*engine
	ctx  context.Context
	rec  *recorder
	jobs sync.WaitGroup
	seq  int

	wanting []int // scratch of wanted
	// collected are the files of this layer that were wanted, by path, for hard
	// links to them; not kept for directories, where a link is a file like another.
	collected map[string]collected
	// late are hard links wanted by collectors that did not want the content when it
	// passed, by the path of the content.
	late map[string][]lateLink
}

// collected is a wanted file a hard link may name later.
type collected struct {
	seq        int
	size       int64
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

// job is one wanted file.
type job struct {
	walk       *walk
	path       string
	link       string
	info       fs.FileInfo
	seq        int
	hash       uint64
	collectors []int
	// Exactly one of pages (content held), open (content at hand, random access)
	// and chunks (content streamed) is set; none for an empty file or symbolic link.
	pages  [][]byte
	size   int64
	open   func() (io.ReadCloser, error)
	chunks chan []byte
}

// run walks the layer, a second time where late links ask for it, and waits for all work on it.
func (w *walk) run(layer seawall.Layer) error {
	named := func(visit func(seawall.Entry) error) func(seawall.Entry) error {
		return func(e seawall.Entry) error {
			if err := visit(e); err != nil {
				return fmt.Errorf("layer %d: %w", layer.Info().Index, err)
			}
			return nil
		}
	}
	err := layer.Walk(w.ctx, named(w.visit))
	if again, ok := layer.(seawall.Rewalker); ok && err == nil && len(w.late) > 0 {
		err = again.Rewalk(w.ctx, named(w.visitLate))
	}
	w.giveUpLate()
	w.jobs.Wait()
	return errors.Join(err, w.ctx.Err())
}

// visit takes one entry of the layer.
func (w *walk) visit(e seawall.Entry) error {
	w.seq++
	w.entries.Add(1)
	hash, err := w.rec.note(&e, w.seq)
	if err != nil {
		return err
	}
	switch e.Kind {
	case seawall.EntryFile, seawall.EntrySymlink:
	case seawall.EntryHardlink:
		w.hardlink(&e, hash)
		return nil
	default:
		if e.Err != nil {
			w.rec.unread(&e, nil)
		}
		return nil
	}
	wanting := w.wanted(e.Path, e.Info)
	if len(wanting) == 0 {
		return nil
	}
	if e.Err != nil {
		w.rec.unread(&e, wanting)
		return nil
	}
	w.rec.want(hash, w.seq)
	j := &job{walk: w, path: e.Path, info: e.Info, seq: w.seq, hash: hash, collectors: slices.Clone(wanting)}
	switch {
	case e.Kind == seawall.EntrySymlink:
		j.link = e.Link
		return w.submit(j)
	case e.Random:
		j.open, j.size = e.Open, e.Info.Size()
		return w.submit(j)
	}
	w.collected[j.path] = collected{seq: j.seq, size: e.Info.Size(), collectors: j.collectors}
	return w.read(j, &e)
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

// wanted returns the collectors that want a file, valid until the next call.
func (w *walk) wanted(path string, info fs.FileInfo) []int {
	w.wanting = w.wanting[:0]
	for next := 0; next < len(w.Collectors); {
		next = w.askFrom(next, path, info)
	}
	return w.wanting
}

// askFrom asks the collectors from i on; a panic ends it early, after that collector.
func (w *walk) askFrom(i int, path string, info fs.FileInfo) (next int) {
	defer func() {
		if p := recover(); p != nil {
			w.rec.failed(i, path, p)
			next = i + 1
		}
	}()
	for ; i < len(w.Collectors); i++ {
		if w.Collectors[i].Wants(path, info) {
			w.wanting = append(w.wanting, i)
		}
	}
	return i
}

// submit hands a job to the workers.
func (w *walk) submit(j *job) error {
	w.jobs.Add(1)
	select {
	case w.queue <- j:
		return nil
	case <-w.ctx.Done():
		w.jobs.Done()
		if j.pages != nil {
			w.Memory.release(j.pages)
		}
		return w.ctx.Err()
	}
}

// read takes the content of a file that passes by only once.
func (w *walk) read(j *job, e *seawall.Entry) error {
	size := e.Info.Size()
	if size > w.MaxFile {
		w.keepStreamers(j, size)
		if len(j.collectors) == 0 {
			return nil
		}
	}
	r, err := e.Open()
	if err != nil {
		return fmt.Errorf("opening %s: %w", e.Path, err)
	}
	defer r.Close()
	if size > min(streamOver, w.MaxFile) && w.allStream(j.collectors) {
		return w.stream(j, r, size)
	}
	if size > 0 {
		j.size = size
		if j.pages, err = w.Memory.acquire(w.ctx, pagesFor(size)); err != nil {
			return err
		}
		if err := readPages(r, j.pages, size); err != nil {
			w.Memory.release(j.pages)
			return fmt.Errorf("reading %s: %w", e.Path, err)
		}
	}
	return w.submit(j)
}

// keepStreamers leaves out the collectors that cannot stream a file too large to be held, with the reason.
func (w *walk) keepStreamers(j *job, size int64) {
	j.collectors = slices.DeleteFunc(j.collectors, func(c int) bool {
		if _, ok := w.Collectors[c].(Streamer); ok {
			return false
		}
		w.rec.problem(c, j.path, fmt.Sprintf("needs random access to %d MiB, more than the %d MiB held in memory", size>>20, w.MaxFile>>20))
		return true
	})
}

func (w *walk) allStream(collectors []int) bool {
	return !slices.ContainsFunc(collectors, func(c int) bool {
		_, ok := w.Collectors[c].(Streamer)
		return !ok
	})
}

func pagesFor(size int64) int { return int((size + pageSize - 1) / pageSize) }

// readPages fills pages with size bytes of r.
func readPages(r io.Reader, pages [][]byte, size int64) error {
	for _, page := range pages {
		n := min(size, pageSize)
		if _, err := io.ReadFull(r, page[:n]); err != nil {
			return shortRead(err)
		}
		size -= n
	}
	return nil
}

// shortRead names a content shorter than its size for what it is.
func shortRead(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("content ends before its size: %w", seawall.ErrCorrupt)
	}
	return err
}

// stream sends a file through its collectors' streams chunk by chunk, one
// goroutine apart so that inflating goes on.
func (w *walk) stream(j *job, r io.Reader, size int64) error {
	j.chunks = make(chan []byte, 4)
	w.jobs.Add(1)
	go w.consume(j)
	defer close(j.chunks)
	for size > 0 {
		pages, err := w.Memory.acquire(w.ctx, 1)
		if err != nil {
			return err
		}
		n := min(size, pageSize)
		if _, err := io.ReadFull(r, pages[0][:n]); err != nil {
			w.Memory.release(pages)
			return fmt.Errorf("reading %s: %w", j.path, shortRead(err))
		}
		j.chunks <- pages[0][:n]
		size -= n
	}
	return nil
}

// consume feeds a streamed file's chunks to its collectors until the channel closes.
func (w *walk) consume(j *job) {
	defer w.jobs.Done()
	streams := make([]streamState, len(j.collectors))
	for i, c := range j.collectors {
		streams[i] = streamState{collector: c}
		streams[i].try(j, func() error {
			streams[i].stream = w.Collectors[c].(Streamer).Stream(j.path, j.info)
			return nil
		})
	}
	for chunk := range j.chunks {
		for i := range streams {
			s := &streams[i]
			s.try(j, func() error { _, err := s.stream.Write(chunk); return err })
		}
		w.Memory.release([][]byte{chunk[:pageSize]})
	}
	for i := range streams {
		s := &streams[i]
		var facts []seawall.Fact
		s.try(j, func() (err error) { facts, err = s.stream.Facts(); return err })
		w.rec.facts(j, s.collector, facts, s.spent, s.err)
	}
}

// streamState is one collector's stream of one file.
type streamState struct {
	collector int
	stream    Stream
	spent     time.Duration
	err       error
	over      bool // no stream wanted, an error or a panic: nothing more is sent
}

// try runs one step unless the stream is over.
func (s *streamState) try(j *job, step func() error) {
	if s.over {
		return
	}
	start := time.Now()
	defer func() {
		s.spent += time.Since(start)
		if p := recover(); p != nil {
			j.walk.rec.failed(s.collector, j.path, p)
			s.over = true
		}
	}()
	s.err = step()
	s.over = s.err != nil || s.stream == nil
}
