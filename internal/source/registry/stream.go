package registry

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/source/image"
)

// stallTimeout ends a connection over which nothing comes; maxResumes bounds
// how often in a row one may break without having delivered anything.
const (
	stallTimeout = 60 * time.Second
	maxResumes   = 4
)

// stream reads a blob and goes on from where a connection broke.
type stream struct {
	ctx    context.Context
	c      *client
	d      image.Descriptor
	offset int64
	broken int // connections in a row that brought nothing
	body   io.ReadCloser
	cancel context.CancelFunc
}

// connect asks for the rest of the blob.
func (s *stream) connect() error {
	ctx, cancel := context.WithCancel(s.ctx)
	resp, err := s.c.get(ctx, "blobs/"+s.d.Digest, "", s.offset)
	if err != nil {
		cancel()
		return fmt.Errorf("blob %s: %w", s.d.Digest, err)
	}
	s.body, s.cancel = resp.Body, cancel
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
		watchdog := time.AfterFunc(stallTimeout, s.cancel)
		n, err := s.body.Read(p)
		watchdog.Stop()
		s.offset += int64(n)
		if n > 0 {
			s.broken = 0
		}
		complete := err == io.EOF && s.offset >= s.d.Size
		if err == nil || complete || s.ctx.Err() != nil {
			return n, err
		}
		s.Close()
		if s.broken++; s.broken > maxResumes {
			return n, fmt.Errorf("blob %s: %w: the connection broke %d times at byte %d: %w", s.d.Digest, seawall.ErrUnreadable, s.broken, s.offset, err)
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
	s.cancel()
	s.body = nil
	return err
}
