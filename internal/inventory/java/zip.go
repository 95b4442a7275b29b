package java

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/flate"

	"github.com/seawall-security/seawall/internal/seawall"
)

// The parts of a ZIP file read here (APPNOTE.TXT 6.3.10, sections 4.3.7 to 4.3.16).
const (
	endSignature       = "PK\x05\x06"
	end64Signature     = "PK\x06\x06"
	locator64Signature = "PK\x06\x07"
	entrySignature     = "PK\x01\x02"
	localSignature     = "PK\x03\x04"

	endLen       = 22
	end64Len     = 56
	locator64Len = 20
	entryLen     = 46
	localLen     = 30

	methodStored  = 0
	methodDeflate = 8
	flagEncrypted = 1

	// maxDirectory bounds a central directory in bytes: 64 MiB are about 700,000 entries.
	maxDirectory = 64 << 20
	// maxRatio is the most deflate can expand (1032) and then some.
	maxRatio = 1100
)

// entry is one line of the central directory.
type entry struct {
	name   []byte // valid until the next entry
	method uint16
	flags  uint16
	packed int64 // bytes as stored
	size   int64 // bytes as they are
	offset int64 // of the local header, from the start of the archive
}

// archive is a ZIP file being read. Unlike archive/zip it keeps no list of its
// entries, so its cost in memory does not grow with their number, which the
// input decides.
type archive struct {
	r         io.ReaderAt
	base      int64 // where the archive begins: programs may stand before it
	directory int64
	length    int64 // of the directory, in bytes
}

// open finds the central directory.
func open(r io.ReaderAt, size int64) (archive, error) {
	// Most archives end in the record; a comment after it may have 64 KiB.
	var tail []byte
	i := -1
	for _, n := range [...]int64{1 << 10, endLen + 1<<16} {
		if i >= 0 {
			break
		}
		tail = make([]byte, min(size, n))
		if _, err := r.ReadAt(tail, size-int64(len(tail))); err != nil && !errors.Is(err, io.EOF) {
			return archive{}, err
		}
		i = lastEnd(tail)
	}
	if i < 0 {
		return archive{}, fmt.Errorf("no end of a zip directory: %w", seawall.ErrCorrupt)
	}
	end := tail[i:]
	a := archive{r: r, length: int64(binary.LittleEndian.Uint32(end[12:]))}
	offset, at := int64(binary.LittleEndian.Uint32(end[16:])), size-int64(len(tail)-i)
	if binary.LittleEndian.Uint16(end[10:]) == 0xffff || a.length == 0xffffffff || offset == 0xffffffff {
		if pos, ok := end64(r, at, size); ok {
			var b [end64Len]byte
			if _, err := r.ReadAt(b[:], pos); err != nil {
				return archive{}, fmt.Errorf("zip64 end: %w: %w", seawall.ErrCorrupt, err)
			}
			a.length, offset, at = int64(binary.LittleEndian.Uint64(b[40:])), int64(binary.LittleEndian.Uint64(b[48:])), pos
		}
	}
	if a.length > maxDirectory {
		return archive{}, fmt.Errorf("zip directory of %d bytes: %w", a.length, seawall.ErrBound)
	}
	if a.length < 0 || a.length > at || offset < 0 || offset > at-a.length {
		return archive{}, fmt.Errorf("zip directory outside the file: %w", seawall.ErrCorrupt)
	}
	a.directory = at - a.length
	a.base = a.directory - offset
	return a, nil
}

// lastEnd returns where the last end record in b begins that b holds whole, else -1.
func lastEnd(b []byte) int {
	i := bytes.LastIndex(b, []byte(endSignature))
	for i >= 0 && (len(b)-i < endLen || i+endLen+int(binary.LittleEndian.Uint16(b[i+20:])) > len(b)) {
		i = bytes.LastIndex(b[:i], []byte(endSignature))
	}
	return i
}

// end64 finds the zip64 end record that the locator before the end record points to.
func end64(r io.ReaderAt, end, size int64) (int64, bool) {
	var b [locator64Len]byte
	if end < locator64Len {
		return 0, false
	}
	if _, err := r.ReadAt(b[:], end-locator64Len); err != nil || string(b[:4]) != locator64Signature {
		return 0, false
	}
	// The record stands right before its locator, whatever was put before the archive.
	for _, pos := range [...]int64{int64(binary.LittleEndian.Uint64(b[8:])), end - locator64Len - end64Len} {
		if pos < 0 || pos > size-end64Len {
			continue
		}
		if _, err := r.ReadAt(b[:4], pos); err == nil && string(b[:4]) == end64Signature {
			return pos, true
		}
	}
	return 0, false
}

// entries calls yield for every line of the directory, in order, until it returns an error.
func (a archive) entries(yield func(entry) error) error {
	r := io.NewSectionReader(a.r, a.directory, a.length)
	buf := make([]byte, 0, min(a.length, 64<<10))
	read := int64(0) // of the directory, buffered bytes included
	used := 0
	fill := func(n int) bool {
		if len(buf)-used >= n {
			return true
		}
		kept := copy(buf[:cap(buf)], buf[used:])
		used = 0
		if cap(buf) < n {
			buf = append(make([]byte, 0, n), buf[:kept]...)
		}
		m, _ := io.ReadFull(r, buf[kept:cap(buf)])
		read += int64(m)
		buf = buf[:kept+m]
		return len(buf) >= n
	}
	for n := 0; used < len(buf) || read < a.length; n++ {
		if !fill(entryLen) || string(buf[used:used+4]) != entrySignature {
			return fmt.Errorf("zip directory entry %d: %w", n, seawall.ErrCorrupt)
		}
		h := buf[used:]
		name, extra, comment := int(binary.LittleEndian.Uint16(h[28:])), int(binary.LittleEndian.Uint16(h[30:])), int(binary.LittleEndian.Uint16(h[32:]))
		if !fill(entryLen + name + extra + comment) {
			return fmt.Errorf("zip directory entry %d: %w", n, seawall.ErrCorrupt)
		}
		h = buf[used:]
		e := entry{
			name:   h[entryLen : entryLen+name],
			flags:  binary.LittleEndian.Uint16(h[8:]),
			method: binary.LittleEndian.Uint16(h[10:]),
			packed: int64(binary.LittleEndian.Uint32(h[20:])),
			size:   int64(binary.LittleEndian.Uint32(h[24:])),
			offset: int64(binary.LittleEndian.Uint32(h[42:])),
		}
		e.extend(h[entryLen+name : entryLen+name+extra])
		used += entryLen + name + extra + comment
		if err := yield(e); err != nil {
			return err
		}
	}
	return nil
}

// extend takes the 64-bit values from the extra field where the short ones are all ones.
func (e *entry) extend(extra []byte) {
	for len(extra) >= 4 {
		tag, n := binary.LittleEndian.Uint16(extra), int(binary.LittleEndian.Uint16(extra[2:]))
		extra = extra[4:]
		if n > len(extra) {
			return
		}
		if tag == 1 {
			field := extra[:n]
			for _, v := range [...]*int64{&e.size, &e.packed, &e.offset} {
				if *v == 0xffffffff && len(field) >= 8 {
					*v = int64(binary.LittleEndian.Uint64(field))
					field = field[8:]
				}
			}
			return
		}
		extra = extra[n:]
	}
}

// raw returns an entry's bytes as stored.
func (a archive) raw(e entry) (*io.SectionReader, error) {
	if e.flags&flagEncrypted != 0 {
		return nil, fmt.Errorf("encrypted: %w", seawall.ErrUnreadable)
	}
	if e.method == methodDeflate && e.size > e.packed*maxRatio {
		return nil, fmt.Errorf("%d bytes cannot inflate to %d: %w", e.packed, e.size, seawall.ErrCorrupt)
	}
	var h [localLen]byte
	pos := a.base + e.offset
	if e.offset < 0 || e.packed < 0 || e.size < 0 || pos > a.directory-localLen {
		return nil, fmt.Errorf("outside the archive: %w", seawall.ErrCorrupt)
	}
	if _, err := a.r.ReadAt(h[:], pos); err != nil || string(h[:4]) != localSignature {
		return nil, fmt.Errorf("no local header: %w", seawall.ErrCorrupt)
	}
	start := pos + localLen + int64(binary.LittleEndian.Uint16(h[26:])) + int64(binary.LittleEndian.Uint16(h[28:]))
	if e.packed > a.directory-start {
		return nil, fmt.Errorf("longer than the archive: %w", seawall.ErrCorrupt)
	}
	return io.NewSectionReader(a.r, start, e.packed), nil
}

// inflater inflates one entry after the other with one decompressor.
type inflater struct{ deflate io.ReadCloser }

// inflate reads an entry's content, limit bytes of it at most; the content may
// end sooner than the directory says only with an error.
func (z *inflater) inflate(a archive, e entry, limit int64) ([]byte, error) {
	raw, err := a.raw(e)
	if err != nil {
		return nil, err
	}
	var in io.Reader = raw
	switch {
	case e.method == methodStored:
	case e.method != methodDeflate:
		return nil, fmt.Errorf("compression method %d is not supported: %w", e.method, seawall.ErrUnreadable)
	case z.deflate == nil:
		z.deflate = flate.NewReader(raw)
		in = z.deflate
	default:
		if err := z.deflate.(flate.Resetter).Reset(raw, nil); err != nil {
			return nil, err
		}
		in = z.deflate
	}
	content := make([]byte, min(e.size, limit))
	n, err := io.ReadFull(in, content)
	if err != nil {
		return content[:n], fmt.Errorf("%d of %d bytes: %w", n, e.size, seawall.ErrCorrupt)
	}
	return content, nil
}
