package inventory

import (
	"errors"
	"fmt"
	"io"

	"github.com/seawall-security/seawall/internal/seawall"
)

// seeker is the position arithmetic the contents share.
type seeker struct {
	off, size int64
}

// Size implements seawall.Content.
func (s *seeker) Size() int64 { return s.size }

// Seek implements io.Seeker.
func (s *seeker) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekStart:
	case io.SeekCurrent:
		offset += s.off
	case io.SeekEnd:
		offset += s.size
	default:
		return 0, errors.New("seek: unknown whence")
	}
	if offset < 0 {
		return 0, errors.New("seek: negative position")
	}
	s.off = offset
	return offset, nil
}

// pagedContent is a file held in pages.
type pagedContent struct {
	seeker
	pages [][]byte
}

func newPagedContent(pages [][]byte, size int64) *pagedContent {
	return &pagedContent{seeker: seeker{size: size}, pages: pages}
}

// Read implements io.Reader.
func (c *pagedContent) Read(p []byte) (int, error) {
	n, err := c.ReadAt(p, c.off)
	c.off += int64(n)
	if n > 0 {
		err = nil
	}
	return n, err
}

// ReadAt implements io.ReaderAt.
func (c *pagedContent) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, errors.New("read: negative offset")
	}
	n := 0
	for n < len(p) && off < c.size {
		page := c.pages[off/pageSize][off%pageSize:]
		m := copy(p[n:], page[:min(int64(len(page)), c.size-off)])
		n += m
		off += int64(m)
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// windowContent is a file read where it lies, through one page. Small reads are
// served from the page, large ones go straight to the file.
type windowContent struct {
	seeker
	file  io.ReaderAt
	page  []byte
	start int64 // of the page's content in the file
	have  int   // bytes of content in the page
	// limit bounds what Read may read in all; random access is not bounded.
	limit int64
}

// Read implements io.Reader.
func (c *windowContent) Read(p []byte) (int, error) {
	if c.off >= c.limit && c.off < c.size {
		return 0, fmt.Errorf("more than %d bytes read in order: %w", c.limit, seawall.ErrBudget)
	}
	n, err := c.ReadAt(p[:min(int64(len(p)), max(c.limit-c.off, 0))], c.off)
	c.off += int64(n)
	if n > 0 {
		err = nil
	}
	return n, err
}

// ReadAt implements io.ReaderAt.
func (c *windowContent) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, errors.New("read: negative offset")
	}
	if off >= c.size {
		return 0, io.EOF
	}
	want := int(min(int64(len(p)), c.size-off))
	var n int
	var err error
	if want > len(c.page)/2 {
		n, err = c.file.ReadAt(p[:want], off)
	} else {
		n, err = c.fromPage(p[:want], off)
	}
	if n < len(p) && err == nil {
		err = io.EOF
	}
	return n, err
}

// fromPage copies p from the page, filling it first where it does not hold all of p.
func (c *windowContent) fromPage(p []byte, off int64) (int, error) {
	if off < c.start || off+int64(len(p)) > c.start+int64(c.have) {
		n, err := c.file.ReadAt(c.page[:min(int64(len(c.page)), c.size-off)], off)
		c.start, c.have = off, n
		if n < len(p) && err == nil {
			err = io.EOF
		}
		if n < len(p) {
			return copy(p, c.page[:n]), err
		}
	}
	return copy(p, c.page[off-c.start:c.have]), nil
}
