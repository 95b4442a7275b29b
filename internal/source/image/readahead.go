package image

import (
	"errors"
	"io"
	"sync"
)

// readAhead reads from a slower reader in its own goroutine into a bounded ring
// of buffers. Seek skips forward without copying, which is how archive/tar
// passes over the content nobody opened.
type readAhead struct {
	full   chan filled
	free   chan []byte
	stop   chan struct{}
	exited sync.WaitGroup

	buf  []byte // the unread part of cur
	cur  []byte // the buffer to give back
	err  error  // what follows buf
	pos  int64
	once sync.Once
}

// filled is a buffer and the error met after it, if any.
type filled struct {
	data []byte
	err  error
}

// newReadAhead starts reading r into at most depth buffers of size bytes.
// Close must be called; r is not used after Close returns.
func newReadAhead(r io.Reader, size, depth int) *readAhead {
	a := &readAhead{
		full: make(chan filled, depth),
		free: make(chan []byte, depth),
		stop: make(chan struct{}),
	}
	a.exited.Go(func() { a.fill(r, size, depth) })
	return a
}

func (a *readAhead) fill(r io.Reader, size, depth int) {
	for made := 0; ; {
		var buf []byte
		select {
		case <-a.stop:
			return
		case buf = <-a.free:
		default:
			if made < depth {
				buf, made = make([]byte, size), made+1
				break
			}
			select {
			case <-a.stop:
				return
			case buf = <-a.free:
			}
		}
		n, err := fillBuffer(r, buf)
		a.full <- filled{buf[:n], err} // never blocks: there are only depth buffers
		if err != nil {
			return
		}
	}
}

// fillBuffer reads until buf is full or r ends; the error is the reader's own.
func fillBuffer(r io.Reader, buf []byte) (int, error) {
	n, empty := 0, 0
	for n < len(buf) {
		m, err := r.Read(buf[n:])
		n += m
		if err != nil {
			return n, err
		}
		if m > 0 {
			empty = 0
		} else if empty++; empty > 100 {
			return n, io.ErrNoProgress
		}
	}
	return n, nil
}

// next makes the following buffer current; it returns the sticky error at the end.
func (a *readAhead) next() error {
	for len(a.buf) == 0 {
		if a.err != nil {
			return a.err
		}
		if a.cur != nil {
			a.free <- a.cur[:cap(a.cur)]
			a.cur = nil
		}
		f := <-a.full
		a.cur, a.buf, a.err = f.data, f.data, f.err
	}
	return nil
}

func (a *readAhead) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if err := a.next(); err != nil {
		return 0, err
	}
	n := copy(p, a.buf)
	a.buf = a.buf[n:]
	a.pos += int64(n)
	return n, nil
}

// Seek moves forward from the current position; nothing else is supported.
func (a *readAhead) Seek(offset int64, whence int) (int64, error) {
	if whence != io.SeekCurrent || offset < 0 {
		return 0, errors.ErrUnsupported
	}
	for offset > 0 {
		if err := a.next(); err == io.EOF {
			return a.pos, io.ErrUnexpectedEOF
		} else if err != nil {
			return a.pos, err
		}
		n := min(offset, int64(len(a.buf)))
		a.buf = a.buf[n:]
		a.pos += n
		offset -= n
	}
	return a.pos, nil
}

// drain reads to the end and returns the error met there, nil for io.EOF.
func (a *readAhead) drain() error {
	for {
		if err := a.next(); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		a.pos += int64(len(a.buf))
		a.buf = nil
	}
}

// Close ends the goroutine and waits for it.
func (a *readAhead) Close() {
	a.once.Do(func() { close(a.stop) })
	a.exited.Wait()
}
