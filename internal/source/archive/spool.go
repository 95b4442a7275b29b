package archive

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/source"
)

// openTar makes a tar file, or standard input for "-", a bundle.
func openTar(ctx context.Context, name string, o source.Options) (*tarball, error) {
	if name == "-" {
		if o.Stdin == nil {
			return nil, fmt.Errorf("%w: no standard input to read an archive from", seawall.ErrUsage)
		}
		return spooled(ctx, o.Stdin, seawall.Progress{Asset: "stdin"}, o)
	}
	f, err := openFile(ctx, name)
	if err != nil {
		return nil, err
	}
	t, err := openTarFile(ctx, f, o)
	if err != nil {
		f.Close()
		return nil, err
	}
	return t, nil
}

// openFile is os.Open that ends with the context: a named pipe opens when its other end does.
func openFile(ctx context.Context, name string) (*os.File, error) {
	type result struct {
		f   *os.File
		err error
	}
	done := make(chan result, 1)
	go func() {
		f, err := os.Open(name)
		done <- result{f, err}
	}()
	select {
	case r := <-done:
		if r.err != nil {
			return nil, notThere(r.err)
		}
		return r.f, nil
	case <-ctx.Done():
		go func() {
			if r := <-done; r.err == nil {
				r.f.Close()
			}
		}()
		return nil, ctx.Err()
	}
}

func openTarFile(ctx context.Context, f *os.File, o source.Options) (*tarball, error) {
	st, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", seawall.ErrUnreadable, err)
	}
	if st.IsDir() {
		return nil, seawall.WithHint(fmt.Errorf("%w: a directory, not a tar archive", seawall.ErrUnreadable),
			"for an OCI layout directory write oci:"+f.Name()+", for a root file system use scan rootfs")
	}
	if !st.Mode().IsRegular() {
		defer f.Close()
		return spooled(ctx, f, seawall.Progress{Asset: f.Name()}, o)
	}
	magic := make([]byte, 6)
	n, err := f.ReadAt(magic, 0)
	if err != nil && err != io.EOF {
		return nil, fmt.Errorf("%w: %w", seawall.ErrUnreadable, err)
	}
	if compression(magic[:n]) != "" {
		t, err := spooled(ctx, f, seawall.Progress{Asset: f.Name()}, o)
		if err == nil {
			f.Close()
		}
		return t, err
	}
	return indexTar(ctx, f, st.Size(), f)
}

// notThere turns an error of os.Open into one of ours.
func notThere(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: no such file or directory", seawall.ErrUnreadable)
	}
	return fmt.Errorf("%w: %w", seawall.ErrUnreadable, err)
}

// compression names the compression a file begins with; "" for none.
func compression(magic []byte) string {
	for _, c := range []struct{ magic, name string }{
		{"\x1f\x8b", "gzip"}, {"\x28\xb5\x2f\xfd", "zstd"}, {"BZh", "bzip2"}, {"\xfd7zXZ\x00", "xz"},
	} {
		if bytes.HasPrefix(magic, []byte(c.magic)) {
			return c.name
		}
	}
	return ""
}

// inflate decompresses an archive as a whole; layers inside are another matter.
func inflate(r *bufio.Reader) (io.Reader, func(), error) {
	magic, err := r.Peek(6)
	if err != nil && err != io.EOF {
		return nil, nil, err
	}
	switch kind := compression(magic); kind {
	case "":
		return r, func() {}, nil
	case "gzip":
		z, err := gzip.NewReader(r)
		return z, func() {}, err
	case "zstd":
		z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(128<<20))
		if err != nil {
			return nil, nil, err
		}
		return z, z.Close, nil
	default:
		return nil, nil, seawall.WithHint(fmt.Errorf("%w: the archive is compressed with %s", seawall.ErrUnreadable, kind),
			strings.Replace("decompress it into the scan: KINDcat FILE | seawall scan image docker-archive:-", "KIND", kind[:2], 1))
	}
}

// spooled copies a stream, decompressed, to a temporary file without a name and indexes it.
func spooled(ctx context.Context, r io.Reader, p seawall.Progress, o source.Options) (*tarball, error) {
	f, err := unnamed()
	if err != nil {
		return nil, fmt.Errorf("%w: temporary file: %w", seawall.ErrUnreadable, err)
	}
	// The copy runs in its own goroutine: a read of standard input does not end with
	// the context. Closing the file ends it at its next write.
	type result struct {
		n   int64
		err error
	}
	done := make(chan result, 1)
	go func() {
		n, err := spool(f, r, p, o)
		done <- result{n, err}
	}()
	var res result
	select {
	case res = <-done:
	case <-ctx.Done():
		res.err = ctx.Err()
	}
	if res.err != nil {
		f.Close()
		return nil, res.err
	}
	t, err := indexTar(ctx, f, res.n, f)
	if err != nil {
		f.Close()
		return nil, err
	}
	return t, nil
}

// ratioFloor is how much an archive may inflate to before its ratio is looked at.
const ratioFloor = 1 << 30

// counted counts what is read.
type counted struct {
	r io.Reader
	n int64
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

func spool(f *os.File, r io.Reader, progress seawall.Progress, o source.Options) (int64, error) {
	stored := &counted{r: r}
	in, done, err := inflate(bufio.NewReaderSize(stored, 256<<10))
	if err != nil {
		return 0, spoolError(err)
	}
	defer done()
	bounds := o.Bounds.WithDefaults()
	progress.Stage, progress.Unit = "spooling", "bytes"
	buf := make([]byte, 256<<10)
	for {
		n, err := in.Read(buf)
		if progress.Done += int64(n); progress.Done > bounds.Spool {
			return 0, fmt.Errorf("%w: the archive is larger than %d bytes", seawall.ErrBound, bounds.Spool)
		}
		if progress.Done > ratioFloor && progress.Done/bounds.Ratio > stored.n {
			return 0, seawall.WithHint(fmt.Errorf("%w: %d bytes inflate to more than %d times as many", seawall.ErrBound, stored.n, bounds.Ratio),
				"this looks like a decompression bomb; if it is known to be good, decompress it and scan the result")
		}
		if _, werr := f.Write(buf[:n]); werr != nil {
			return 0, seawall.WithHint(fmt.Errorf("%w: temporary file: %w", seawall.ErrUnreadable, werr),
				"set TMPDIR to a directory with room for the uncompressed archive")
		}
		if o.Progress != nil {
			o.Progress(progress)
		}
		if err == io.EOF {
			return progress.Done, nil
		}
		if err != nil {
			return 0, spoolError(err)
		}
	}
}

// spoolError marks what ended the stream: an unknown error is the decompressor's or the stream's own end.
func spoolError(err error) error {
	var place *fs.PathError
	switch {
	case errors.Is(err, seawall.ErrUnreadable), errors.Is(err, seawall.ErrCorrupt), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	case errors.As(err, &place):
		return fmt.Errorf("%w: %w", seawall.ErrUnreadable, err)
	}
	return fmt.Errorf("%w: %w", seawall.ErrCorrupt, err)
}

// unnamed makes a temporary file that is already removed.
func unnamed() (*os.File, error) {
	f, err := os.CreateTemp("", "seawall-")
	if err != nil {
		return nil, err
	}
	if err := os.Remove(f.Name()); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}
