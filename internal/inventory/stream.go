package inventory

import (
	"fmt"
	"io"
	"time"

	"github.com/seawall-security/seawall/internal/seawall"
)

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
	stream    seawall.Stream
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
