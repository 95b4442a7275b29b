package inventory

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"sync"

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
	listers []lister
	// collected are the files of this layer that were wanted, by path, for hard
	// links to them; not kept for directories, where a link is a file like another.
	collected map[string]collected
	// late are hard links wanted by collectors that did not want the content when it
	// passed, by the path of the content.
	late map[string][]lateLink
}

// lister is a collector that is shown every entry.
type lister struct {
	Lister
	collector int
}

// list shows an entry to a lister.
func (w *walk) list(l lister, path string, info fs.FileInfo) {
	defer func() {
		if p := recover(); p != nil {
			w.rec.failed(l.collector, path, p)
		}
	}()
	if f := l.List(path, info); f != nil {
		w.rec.facts(&job{path: path, seq: w.seq}, l.collector, []seawall.Fact{*f}, 0, nil)
	}
}

// collected is a wanted file a hard link may name later.
type collected struct {
	seq        int
	size       int64
	collectors []int
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
	if e.Err == nil {
		for _, l := range w.listers {
			w.list(l, e.Path, e.Info)
		}
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
