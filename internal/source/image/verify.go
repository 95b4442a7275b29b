package image

import (
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"strings"
	"sync/atomic"

	"github.com/seawall-security/seawall/internal/seawall"
)

// checkedReader passes stored bytes on, and instead of io.EOF returns
// ErrCorrupt when size or digest are not what was promised. A size of 0 and a
// digest of "" are not checked.
type checkedReader struct {
	ctx      context.Context
	r        io.Reader
	digest   string
	size     int64
	hash     hash.Hash
	read     atomic.Int64
	progress func(n int64)
}

func newCheckedReader(ctx context.Context, r io.Reader, digest string, size int64) (*checkedReader, error) {
	c := &checkedReader{ctx: ctx, r: r, digest: digest, size: size}
	if digest == "" {
		return c, nil
	}
	if err := CheckDigest(digest); err != nil {
		return nil, err
	}
	if strings.HasPrefix(digest, "sha512:") {
		c.hash = sha512.New()
	} else {
		c.hash = sha256.New()
	}
	return c, nil
}

func (c *checkedReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := c.r.Read(p)
	total := c.read.Add(int64(n))
	if c.hash != nil {
		c.hash.Write(p[:n])
	}
	if c.progress != nil && n > 0 {
		c.progress(int64(n))
	}
	switch {
	case c.size > 0 && total > c.size:
		return n, fmt.Errorf("%w: more than the %d bytes it should have", seawall.ErrCorrupt, c.size)
	case err == io.EOF:
		return n, c.finish(total)
	case err != nil:
		return n, readError(err)
	}
	return n, nil
}

// finish returns io.EOF when all that was promised has come.
func (c *checkedReader) finish(total int64) error {
	if c.size > 0 && total < c.size {
		return fmt.Errorf("%w: truncated: %d of %d bytes", seawall.ErrCorrupt, total, c.size)
	}
	if c.hash == nil {
		return io.EOF
	}
	algorithm, _, _ := strings.Cut(c.digest, ":")
	if got := algorithm + ":" + hex.EncodeToString(c.hash.Sum(nil)); got != c.digest {
		return fmt.Errorf("%w: the content has digest %s, not %s", seawall.ErrCorrupt, got, c.digest)
	}
	return io.EOF
}

// readError marks an error of the place the bytes come from.
func readError(err error) error { return mark(err, seawall.ErrUnreadable) }

// damaged marks an error of a format reader. What comes from the place is marked already.
func damaged(err error) error { return mark(err, seawall.ErrCorrupt) }

// mark wraps err with a sentinel unless it already says what it is.
func mark(err, sentinel error) error {
	for _, known := range []error{seawall.ErrCorrupt, seawall.ErrBound, seawall.ErrUnreadable, context.Canceled, context.DeadlineExceeded} {
		if errors.Is(err, known) {
			return err
		}
	}
	return fmt.Errorf("%w: %w", sentinel, err)
}
