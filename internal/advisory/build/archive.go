package build

import (
	"archive/tar"
	"archive/zip"
	"bufio"
	"bytes"
	"compress/bzip2"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/klauspost/compress/zstd"

	"github.com/seawall-security/seawall/internal/seawall"
)

// headSize is how much of a document importers see to recognise it.
const headSize = 64 << 10

// opener opens the archives in one file of the tree and hands on the documents
// in them. Damage is reported and ends the archive it is in; what document
// returns ends everything.
type opener struct {
	ctx      context.Context
	bounds   Bounds
	document func(ctx context.Context, place string, head []byte, r io.Reader) error
	damage   func(place string, err error)

	inflated int64
	entries  int
	err      error // what document returned, kept apart from damage
}

// open reads r, an archive or a document.
func (o *opener) open(place string, r io.Reader, depth int) error {
	if err := o.stream(place, r, depth); err != nil {
		if o.err != nil {
			return o.err
		}
		if o.ctx.Err() != nil {
			return o.ctx.Err()
		}
		o.damage(place, err)
	}
	return nil
}

func (o *opener) stream(place string, r io.Reader, depth int) error {
	br := bufio.NewReaderSize(r, headSize)
	head, err := br.Peek(headSize)
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: %w", seawall.ErrCorrupt, err)
	}
	unpack := unpacker(head)
	if unpack == nil {
		if o.err = o.document(o.ctx, place, head, br); o.err != nil {
			return o.err
		}
		return nil
	}
	if depth == o.bounds.Depth {
		return fmt.Errorf("archives nested more than %d deep: %w", o.bounds.Depth, seawall.ErrBound)
	}
	return unpack(o, place, r, br, depth+1)
}

// unpacker tells what opens content that starts with head; nil for a document.
func unpacker(head []byte) func(o *opener, place string, r io.Reader, br *bufio.Reader, depth int) error {
	switch {
	case bytes.HasPrefix(head, []byte{0x1f, 0x8b}):
		return (*opener).gzip
	case bytes.HasPrefix(head, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		return (*opener).zstd
	case bytes.HasPrefix(head, []byte("BZh")) && len(head) > 10 && string(head[4:10]) == "1AY&SY":
		return (*opener).bzip2
	case bytes.HasPrefix(head, []byte("PK\x03\x04")), bytes.HasPrefix(head, []byte("PK\x05\x06")):
		return (*opener).zip
	case len(head) > 262 && string(head[257:262]) == "ustar":
		return (*opener).tar
	}
	return nil
}

func (o *opener) gzip(place string, _ io.Reader, br *bufio.Reader, depth int) error {
	z, err := gzip.NewReader(br)
	if err != nil {
		return fmt.Errorf("%w: %w", seawall.ErrCorrupt, err)
	}
	return o.stream(strings.TrimSuffix(place, ".gz"), o.meter(z), depth)
}

func (o *opener) zstd(place string, _ io.Reader, br *bufio.Reader, depth int) error {
	z, err := zstd.NewReader(br, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxMemory(128<<20))
	if err != nil {
		return fmt.Errorf("%w: %w", seawall.ErrCorrupt, err)
	}
	defer z.Close()
	return o.stream(strings.TrimSuffix(place, ".zst"), o.meter(z), depth)
}

func (o *opener) bzip2(place string, _ io.Reader, br *bufio.Reader, depth int) error {
	return o.stream(strings.TrimSuffix(place, ".bz2"), o.meter(bzip2.NewReader(br)), depth)
}

func (o *opener) tar(place string, _ io.Reader, br *bufio.Reader, depth int) error {
	t := tar.NewReader(br)
	for {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return corrupt(err)
		}
		if err := o.entry(); err != nil {
			return err
		}
		if h.Typeflag != tar.TypeReg {
			continue
		}
		if err := o.open(place+"!"+strings.TrimPrefix(h.Name, "./"), t, depth); err != nil {
			return err
		}
	}
}

// zip needs random access: a file of the tree is read where it is, a member of
// another archive is copied to a temporary file first.
func (o *opener) zip(place string, r io.Reader, br *bufio.Reader, depth int) error {
	f, ok := r.(*os.File)
	if !ok {
		spool, err := o.spool(br)
		if err != nil {
			return err
		}
		defer os.Remove(spool.Name())
		defer spool.Close()
		f = spool
	}
	info, err := f.Stat()
	if err != nil {
		return err
	}
	z, err := zip.NewReader(f, info.Size())
	if err != nil {
		return corrupt(err)
	}
	for _, member := range z.File {
		if err := o.entry(); err != nil {
			return err
		}
		if !member.Mode().IsRegular() {
			continue
		}
		name := place + "!" + member.Name
		m, err := member.Open()
		if err != nil {
			o.damage(name, corrupt(err))
			continue
		}
		err = o.open(name, o.meter(m), depth)
		if m.Close(); err != nil {
			return err
		}
	}
	return nil
}

func (o *opener) spool(r io.Reader) (*os.File, error) {
	f, err := os.CreateTemp("", "seawall-build-*.zip")
	if err != nil {
		return nil, err
	}
	n, err := io.Copy(f, io.LimitReader(r, o.bounds.Spool+1))
	if err == nil && n > o.bounds.Spool {
		err = fmt.Errorf("zip archive of more than %d bytes inside another: %w", o.bounds.Spool, seawall.ErrBound)
	}
	if err != nil {
		f.Close()
		os.Remove(f.Name())
		return nil, err
	}
	return f, nil
}

func (o *opener) entry() error {
	if o.entries++; o.entries > o.bounds.Entries {
		return fmt.Errorf("more than %d archive members: %w", o.bounds.Entries, seawall.ErrBound)
	}
	return o.ctx.Err()
}

// meter counts what is inflated against the bound.
func (o *opener) meter(r io.Reader) io.Reader { return &meter{o, r} }

type meter struct {
	o *opener
	r io.Reader
}

func (m *meter) Read(p []byte) (int, error) {
	n, err := m.r.Read(p)
	if m.o.inflated += int64(n); m.o.inflated > m.o.bounds.Bytes {
		return n, fmt.Errorf("inflates to more than %d bytes: %w", m.o.bounds.Bytes, seawall.ErrBound)
	}
	return n, err
}

// corrupt marks an archive's own errors, but not those of a bound reached underneath.
func corrupt(err error) error {
	if errors.Is(err, seawall.ErrBound) {
		return err
	}
	return fmt.Errorf("%w: %w", seawall.ErrCorrupt, err)
}
