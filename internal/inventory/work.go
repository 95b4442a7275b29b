package inventory

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"time"

	"github.com/seawall-security/seawall/internal/seawall"
)

// work analyses queued files until the queue closes. Once ctx is done it only drains.
func (e *engine) work(ctx context.Context) {
	for j := range e.queue {
		if ctx.Err() == nil {
			e.analyse(ctx, j)
		}
		if j.pages != nil {
			e.Memory.release(j.pages)
		}
		j.walk.jobs.Done()
	}
}

// analyse opens a file and hands it to each collector that wants it.
func (e *engine) analyse(ctx context.Context, j *job) {
	open := func(int) seawall.Content { return newPagedContent(j.pages, j.size) }
	if j.open != nil && j.size > 0 {
		file, err := j.open()
		if err != nil {
			j.unreadable(err)
			return
		}
		defer file.Close()
		pages, err := e.Memory.acquire(ctx, 1)
		if err != nil {
			return
		}
		defer e.Memory.release(pages)
		if open, err = e.openRandom(j, file, pages); err != nil {
			j.unreadable(err)
			return
		}
	}
	for _, c := range j.collectors {
		e.collect(ctx, j, c, open(c))
	}
}

// openRandom reads a small file into its page and leaves a large one where it lies.
func (e *engine) openRandom(j *job, file io.ReadCloser, pages [][]byte) (func(int) seawall.Content, error) {
	if j.size <= pageSize {
		n, err := io.ReadFull(file, pages[0][:j.size])
		if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
			return nil, err
		}
		return func(int) seawall.Content { return newPagedContent(pages, int64(n)) }, nil
	}
	at, ok := file.(io.ReaderAt)
	if !ok {
		return nil, fmt.Errorf("no random access to %T", file)
	}
	return func(c int) seawall.Content {
		limit := e.MaxFile
		if _, ok := e.Collectors[c].(Streamer); ok {
			limit = j.size
		}
		return &windowContent{seeker: seeker{size: j.size}, file: at, page: pages[0], limit: limit}
	}, nil
}

// unreadable makes every collector that wanted the file partial, unless the file
// is simply not there any more.
func (j *job) unreadable(err error) {
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	for _, c := range j.collectors {
		j.walk.rec.problem(c, j.path, err.Error())
	}
}

// collect runs one collector on one file.
func (e *engine) collect(ctx context.Context, j *job, c int, content seawall.Content) {
	start := time.Now()
	nested := &allowance{ctx: ctx, m: e.Memory}
	defer func() {
		nested.close()
		if p := recover(); p != nil {
			j.walk.rec.failed(c, j.path, p)
		}
	}()
	facts, err := e.Collectors[c].Collect(ctx, seawall.File{
		Path: j.path, Info: j.info, Link: j.link, Content: content, Budget: nested.ask,
	})
	j.walk.rec.facts(j, c, facts, time.Since(start), err)
}
