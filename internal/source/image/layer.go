package image

import (
	"archive/tar"
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"
	"sync/atomic"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/source"
)

// Sizes of the rings between the stages of a layer: under 3 MiB a layer.
const (
	rawBuffer, rawDepth           = 128 << 10, 4
	inflatedBuffer, inflatedDepth = 256 << 10, 8
)

// ratioFloor is how much a layer may inflate to before its ratio is looked at.
const ratioFloor = 1 << 30

// maxPath is Linux's PATH_MAX: no runtime could unpack a longer name.
const maxPath = 4096

// maxZstdWindow is the largest window zstd makes without its --long option (level 22).
const maxZstdWindow = 128 << 20

// Whiteout markers of the OCI image specification, layer.md.
const (
	whiteoutPrefix = ".wh."
	whiteoutOpaque = ".wh..wh..opq"
)

// layer implements seawall.Layer.
type layer struct {
	info     seawall.LayerInfo
	blob     Blob
	bounds   source.Bounds
	inflated *atomic.Int64 // of all layers of the image
	progress func(n int64)
	walked   atomic.Bool
}

func (l *layer) Info() seawall.LayerInfo { return l.info }

// CacheKey is the digest of the stored bytes. The diff ID would let one entry
// serve both compressions, but it is the image's own claim: with it, an image
// could name a clean layer's diff ID and be given that layer's facts.
func (l *layer) CacheKey() string { return l.info.Digest }

// Walk implements seawall.Layer.
func (l *layer) Walk(ctx context.Context, visit func(seawall.Entry) error) error {
	if l.walked.Swap(true) {
		return fmt.Errorf("layer %d: walked twice", l.info.Index)
	}
	return l.namedWalk(ctx, visit)
}

// Rewalk implements seawall.Rewalker. Its bytes are no progress.
func (l *layer) Rewalk(ctx context.Context, visit func(seawall.Entry) error) error {
	l.progress = nil
	return l.namedWalk(ctx, visit)
}

// namedWalk walks the layer and puts its name before its errors, not before those of visit.
func (l *layer) namedWalk(ctx context.Context, visit func(seawall.Entry) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if err := l.walk(ctx, cancel, visit); err != nil {
		var v *visitError
		if errors.As(err, &v) {
			return v.err
		}
		return fmt.Errorf("layer %d (%s): %w", l.info.Index, l.info.Digest, err)
	}
	return nil
}

// visitError carries what visit returned past the wrapping of the layer's own errors.
type visitError struct{ err error }

func (v *visitError) Error() string { return v.err.Error() }

func (l *layer) walk(ctx context.Context, cancel func(), visit func(seawall.Entry) error) error {
	if err := checkLayerType(l.blob.MediaType); err != nil {
		return err
	}
	body, err := l.blob.Open(ctx)
	if err != nil {
		return err
	}
	defer body.Close()
	stored, err := newCheckedReader(ctx, body, l.blob.Digest, l.blob.Size)
	if err != nil {
		return err
	}
	stored.progress = l.progress
	raw := newReadAhead(stored, rawBuffer, rawDepth)
	defer raw.Close()
	defer cancel()
	inflate, plain, err := decompressor(bufio.NewReaderSize(raw, 64<<10))
	if err != nil {
		return damaged(err)
	}
	defer inflate.Close()
	content, err := newCheckedReader(ctx, &boundedReader{r: inflate, layer: l, stored: &stored.read, plain: plain}, l.verifyDiffID(), 0)
	if err != nil {
		return err
	}
	ahead := newReadAhead(content, inflatedBuffer, inflatedDepth)
	defer ahead.Close()
	defer cancel()
	if err := l.walkTar(ahead, visit); err != nil {
		return err
	}
	if content.hash != nil {
		if err := ahead.drain(); err != nil {
			return damaged(err)
		}
	}
	ahead.Close()
	return raw.drain()
}

// verifyDiffID returns the diff ID to check the inflated bytes against: only
// where the stored bytes have no digest of their own.
func (l *layer) verifyDiffID() string {
	if l.blob.Digest != "" {
		return ""
	}
	return l.info.DiffID
}

// checkLayerType refuses what we cannot read; an unknown type is judged by its content.
func checkLayerType(mediaType string) error {
	switch {
	case strings.HasSuffix(mediaType, "+encrypted"):
		return seawall.WithHint(fmt.Errorf("%w: the layer is encrypted", seawall.ErrUnreadable), "decrypt the image first")
	case strings.Contains(mediaType, ".foreign."):
		return fmt.Errorf("%w: a foreign layer (a Windows base layer), which is not stored with the image", seawall.ErrUnreadable)
	}
	return nil
}

// decompressor picks a reader by the first bytes: media types are often wrong.
// plain tells that nothing needs inflating.
func decompressor(r *bufio.Reader) (rc io.ReadCloser, plain bool, err error) {
	magic, err := r.Peek(4)
	if err != nil && err != io.EOF {
		return nil, false, err
	}
	switch {
	case bytes.HasPrefix(magic, []byte{0x1f, 0x8b}):
		z, err := gzip.NewReader(r)
		return z, false, err
	case bytes.Equal(magic, []byte{0x28, 0xb5, 0x2f, 0xfd}) || isSkippableFrame(magic):
		z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxZstdWindow))
		if err != nil {
			return nil, false, err
		}
		return z.IOReadCloser(), false, nil
	}
	return io.NopCloser(r), true, nil
}

// isSkippableFrame tells a zstd skippable frame (RFC 8878 section 3.1.2), with which zstd:chunked layers may begin.
func isSkippableFrame(magic []byte) bool {
	return len(magic) == 4 && magic[0]&0xf0 == 0x50 && magic[1] == 0x2a && magic[2] == 0x4d && magic[3] == 0x18
}

// boundedReader counts inflated bytes against the bounds.
type boundedReader struct {
	r      io.Reader
	layer  *layer
	stored *atomic.Int64
	plain  bool
	n      int64
}

func (b *boundedReader) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	b.n += int64(n)
	total := b.layer.inflated.Add(int64(n))
	switch bounds := b.layer.bounds; {
	case total > bounds.Inflated:
		return n, overBound(fmt.Errorf("%w: the image inflates to more than %d bytes", seawall.ErrBound, bounds.Inflated))
	case !b.plain && b.n > ratioFloor && b.n/bounds.Ratio > b.stored.Load():
		return n, overBound(fmt.Errorf("%w: %d stored bytes inflate to more than %d times as many", seawall.ErrBound, b.stored.Load(), bounds.Ratio))
	}
	if err != nil && err != io.EOF {
		err = damaged(err)
	}
	return n, err
}

func overBound(err error) error {
	return seawall.WithHint(err, "this looks like a decompression bomb; if the image is known to be good, unpack it and use 'seawall scan rootfs DIR'")
}

// walkTar hands every member of the tar stream to visit.
func (l *layer) walkTar(r *readAhead, visit func(seawall.Entry) error) error {
	w := tarWalk{tr: tar.NewReader(r), bound: l.bounds.Inflated}
	open := w.open
	last := ""
	for n := int64(0); ; n++ {
		hdr, err := w.tr.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil && !errors.Is(err, tar.ErrInsecurePath) {
			return tarError(err, last)
		}
		if n >= l.bounds.Entries {
			return fmt.Errorf("%w: more than %d entries", seawall.ErrBound, l.bounds.Entries)
		}
		if hdr.Typeflag == tar.TypeXGlobalHeader {
			continue
		}
		e, err := entry(hdr)
		if err != nil {
			return tarError(err, last)
		}
		last = e.Path
		if e.Kind == seawall.EntryFile {
			e.Open = open
		}
		w.begin()
		err = visit(e)
		w.end()
		if w.err != nil && (err == nil || errors.Is(err, w.err)) {
			return tarError(w.err, last)
		}
		if err != nil {
			return &visitError{err}
		}
	}
}

// tarError says after which entry the stream broke.
func tarError(err error, last string) error {
	if last == "" {
		return damaged(err)
	}
	return fmt.Errorf("after %q: %w", last, damaged(err))
}

// tarWalk is the state of a tar stream that entries' Open functions share.
type tarWalk struct {
	tr        *tar.Reader
	bound     int64 // on delivered: a sparse file delivers more than is stored
	delivered int64
	cur       *tarFile
	live      bool
	err       error // met by a reader: damage ends the walk even if the visitor does not mind
}

func (w *tarWalk) begin() { w.live, w.cur = true, nil }
func (w *tarWalk) end()   { w.live, w.cur = false, nil }

// open implements Entry.Open for the current member.
func (w *tarWalk) open() (io.ReadCloser, error) {
	if !w.live || w.cur != nil {
		return nil, fmt.Errorf("a file of a layer can be opened once, while it is visited: %w", fs.ErrClosed)
	}
	w.cur = &tarFile{w}
	return w.cur, nil
}

// tarFile reads the member it was opened for and no other.
type tarFile struct{ w *tarWalk }

func (f *tarFile) Read(p []byte) (int, error) {
	if f.w.cur != f {
		return 0, fs.ErrClosed
	}
	n, err := f.w.tr.Read(p)
	if f.w.delivered += int64(n); f.w.delivered > f.w.bound {
		err = overBound(fmt.Errorf("%w: its files hold more than %d bytes", seawall.ErrBound, f.w.bound))
	}
	if err != nil && err != io.EOF {
		err = damaged(err)
		f.w.err = err
	}
	return n, err
}

func (f *tarFile) Close() error { return nil }

// entry turns a tar header into an Entry without Open.
func entry(hdr *tar.Header) (seawall.Entry, error) {
	if len(hdr.Name) > maxPath || len(hdr.Linkname) > maxPath {
		return seawall.Entry{}, fmt.Errorf("%w: a name of more than %d bytes", seawall.ErrBound, maxPath)
	}
	e := seawall.Entry{Path: source.CleanPath(hdr.Name), Info: hdr.FileInfo()}
	switch hdr.Typeflag {
	case tar.TypeReg, tar.TypeGNUSparse, tar.TypeCont:
		e.Kind = seawall.EntryFile
	case tar.TypeDir:
		e.Kind = seawall.EntryDir
	case tar.TypeSymlink:
		e.Kind, e.Link = seawall.EntrySymlink, hdr.Linkname
	case tar.TypeLink:
		e.Kind, e.Link = seawall.EntryHardlink, source.CleanPath(hdr.Linkname)
	default:
		e.Kind = seawall.EntryOther
	}
	return whiteout(e), nil
}

// whiteout recognises the markers that remove what lower layers hold. A marker
// that would name nothing, itself or its parent stays an ordinary entry.
func whiteout(e seawall.Entry) seawall.Entry {
	dir, base := path.Split(e.Path)
	switch hidden, ok := strings.CutPrefix(base, whiteoutPrefix); {
	case !ok || hidden == "" || hidden == "." || hidden == "..":
	case base == whiteoutOpaque:
		e.Kind, e.Path = seawall.EntryOpaque, path.Clean(dir)
	default:
		e.Kind, e.Path = seawall.EntryWhiteout, dir+hidden
	}
	return e
}
