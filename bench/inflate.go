package main

import (
	"archive/tar"
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/klauspost/compress/gzip"
	"golang.org/x/sync/errgroup"
)

// inflateLayout inflates all gzip layers of a layout's first image at once and walks their members.
func inflateLayout(dir string) error {
	var index struct{ Manifests, Layers []struct{ Digest string } }
	if err := readJSON(filepath.Join(dir, "index.json"), &index); err != nil {
		return err
	}
	if len(index.Manifests) == 0 {
		return fmt.Errorf("%s: no image in it", dir)
	}
	if err := readJSON(blob(dir, index.Manifests[0].Digest), &index); err != nil {
		return err
	}
	var all errgroup.Group
	for _, l := range index.Layers {
		all.Go(func() error { return inflateLayer(blob(dir, l.Digest)) })
	}
	return all.Wait()
}

func blob(dir, digest string) string {
	return filepath.Join(dir, "blobs", strings.ReplaceAll(digest, ":", "/"))
}

func readJSON(path string, v any) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, v); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// inflateLayer inflates in one goroutine and walks the archive in another, as
// fast as the library goes.
func inflateLayer(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	z, err := gzip.NewReader(bufio.NewReaderSize(f, 1<<20))
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	content := newPipe()
	go content.fill(z)
	for t := tar.NewReader(content); ; {
		if _, err := t.Next(); err == io.EOF {
			return nil
		} else if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
}

// pipe carries chunks from the inflating goroutine to the walking one.
type pipe struct {
	full, free chan []byte
	err        error // valid once full is closed
	rest, cur  []byte
	pos        int64
}

func newPipe() *pipe {
	p := &pipe{full: make(chan []byte, 8), free: make(chan []byte, 8)}
	for range cap(p.free) {
		p.free <- make([]byte, 256<<10)
	}
	return p
}

// fill reads r to its end.
func (p *pipe) fill(r io.Reader) {
	defer close(p.full)
	for buf := range p.free {
		n, err := io.ReadFull(r, buf)
		p.full <- buf[:n]
		if err != nil {
			p.err = err
			return
		}
	}
}

// next makes another chunk the rest.
func (p *pipe) next() error {
	for len(p.rest) == 0 {
		if p.cur != nil {
			p.free <- p.cur[:cap(p.cur)]
		}
		var more bool
		if p.cur, more = <-p.full; !more {
			if errors.Is(p.err, io.ErrUnexpectedEOF) {
				return io.EOF // the last chunk was short; what ends inside a chunk the archive reader tells
			}
			return p.err
		}
		p.rest = p.cur
	}
	return nil
}

// Read implements io.Reader.
func (p *pipe) Read(b []byte) (int, error) {
	if err := p.next(); err != nil {
		return 0, err
	}
	n := copy(b, p.rest)
	p.rest = p.rest[n:]
	p.pos += int64(n)
	return n, nil
}

// Seek skips forward, which is how the archive reader passes over content.
func (p *pipe) Seek(offset int64, whence int) (int64, error) {
	if whence != io.SeekCurrent || offset < 0 {
		return p.pos, errors.ErrUnsupported
	}
	for offset > 0 {
		if err := p.next(); err != nil {
			return p.pos, err
		}
		n := min(offset, int64(len(p.rest)))
		p.rest = p.rest[n:]
		p.pos += n
		offset -= n
	}
	return p.pos, nil
}
