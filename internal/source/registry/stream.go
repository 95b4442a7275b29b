package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/source/image"
)

// maxResumes bounds how often in a row a connection may break without having
// delivered anything, maxBreaks how often at all: a server may give a byte each time.
const maxResumes, maxBreaks = 4, 1000

// stream reads a blob and goes on from where a connection broke.
type stream struct {
	ctx    context.Context
	c      *client
	d      image.Descriptor
	offset int64
	broken int // connections in a row that brought nothing
	breaks int // connections that broke
	body   io.ReadCloser
}

// connect asks for the rest of the blob.
func (s *stream) connect() error {
	resp, err := s.c.get(s.ctx, "blobs/"+s.d.Digest, blobTypes, s.offset)
	var answer *transport.Error
	if s.offset > 0 && errors.As(err, &answer) && answer.StatusCode == http.StatusRequestedRangeNotSatisfiable {
		return fmt.Errorf("blob %s: %w: it ends after %d of %d bytes", s.d.Digest, seawall.ErrCorrupt, s.offset, s.d.Size)
	}
	if err != nil {
		return fmt.Errorf("blob %s: %w", s.d.Digest, err)
	}
	s.body = resp.Body
	if s.offset == 0 || resp.StatusCode == http.StatusPartialContent {
		return nil
	}
	// The server does not do ranges: pass over what we have.
	if _, err := io.CopyN(io.Discard, s.body, s.offset); err != nil {
		s.Close()
		return fmt.Errorf("blob %s: %w: %w", s.d.Digest, seawall.ErrUnreadable, err)
	}
	return nil
}

func (s *stream) Read(p []byte) (int, error) {
	for {
		if s.body == nil {
			if err := s.connect(); err != nil {
				return 0, err
			}
		}
		n, err := s.body.Read(p)
		s.offset += int64(n)
		if n > 0 {
			s.broken = 0
		}
		complete := err == io.EOF && s.offset >= s.d.Size
		if err == nil || complete || s.ctx.Err() != nil {
			return n, err
		}
		s.Close()
		s.breaks++
		if s.broken++; s.broken > maxResumes || s.breaks > maxBreaks {
			return n, fmt.Errorf("blob %s: %w: the connection broke %d times, last at byte %d: %w", s.d.Digest, seawall.ErrUnreadable, s.breaks, s.offset, err)
		}
		if s.c.log != nil {
			s.c.log.Warn("connection broke, resuming", "blob", s.d.Digest, "offset", s.offset, "error", err)
		}
		if n > 0 {
			return n, nil
		}
	}
}

// Close implements io.Closer.
func (s *stream) Close() error {
	if s.body == nil {
		return nil
	}
	err := s.body.Close()
	s.body = nil
	return err
}
