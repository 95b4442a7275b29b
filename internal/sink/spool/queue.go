package spool

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/seawall-security/seawall/internal/seawall"
)

// ErrFull is Append's error when a record has no room.
var ErrFull = errors.New("the spool is full")

const (
	// MaxRecord bounds one record.
	MaxRecord = 4 << 20
	// header is a record's length and checksum.
	header = 8
	// ackedFile holds the number of the first record that is still to be taken.
	ackedFile = "acked"
	suffix    = ".spool"
)

// Queue is records on disk, in order: written by Append, read by Peek, forgotten
// by Ack. It is safe for concurrent use by one writer and one reader.
//
// Records lie in segments named by the number of their first record, each record
// after its length and checksum. What was appended survives the end of the
// process at any point; a record cut short by the end of the machine is dropped
// with all after it in its segment.
type Queue struct {
	dir      string
	max      int64
	lock     *os.File
	mu       sync.Mutex
	segments []*segment // the oldest first; the last one is written
	file     *os.File   // of the last segment
	read     *os.File   // of the first segment
	position int64      // in read: of the record placed
	placed   uint64     // up to acked
	acked    uint64     // the number of the first record not taken
	bytes    int64
	damaged  int
}

type segment struct {
	first   uint64
	records uint64
	size    int64
}

// Open opens the queue in a directory, which it makes, and which no other process
// has open. max bounds the bytes on disk.
func Open(dir string, max int64) (*Queue, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	q := &Queue{dir: dir, max: max}
	var err error
	if q.lock, err = os.Open(dir); err != nil {
		return nil, err
	}
	if err := unix.Flock(int(q.lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("%s is in use by another process: %w", dir, err), q.lock.Close())
	}
	if err := q.load(); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", dir, err), q.Close())
	}
	return q, nil
}

// load finds what an earlier process left.
func (q *Queue) load() error {
	entries, err := os.ReadDir(q.dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		number, ok := strings.CutSuffix(e.Name(), suffix)
		first, err := strconv.ParseUint(number, 10, 64)
		if !ok || err != nil {
			continue
		}
		s := &segment{first: first}
		if err := q.check(s); err != nil {
			return err
		}
		q.segments = append(q.segments, s)
		q.bytes += s.size
	}
	slices.SortFunc(q.segments, func(a, b *segment) int { return cmp.Compare(a.first, b.first) })
	if data, err := os.ReadFile(filepath.Join(q.dir, ackedFile)); err == nil && len(data) == 8 {
		q.acked = binary.LittleEndian.Uint64(data)
	}
	if len(q.segments) > 0 {
		q.acked = max(q.acked, q.segments[0].first)
	}
	return q.forget()
}

// check counts a segment's records and cuts off what is no whole record.
func (q *Queue) check(s *segment) error {
	f, err := os.OpenFile(q.path(s), os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	for {
		_, next, err := record(f, s.size)
		if err != nil {
			break
		}
		s.records++
		s.size = next
	}
	if info, err := f.Stat(); err != nil || info.Size() == s.size {
		return err
	}
	q.damaged++
	return f.Truncate(s.size)
}

// record reads the record at a position and tells the next one's. Without a whole
// record there the error is io.EOF or seawall.ErrCorrupt.
func record(r io.ReaderAt, at int64) (data []byte, next int64, err error) {
	var h [header]byte
	if _, err := r.ReadAt(h[:], at); err != nil {
		return nil, at, io.EOF
	}
	size := binary.LittleEndian.Uint32(h[:])
	if size > MaxRecord {
		return nil, at, fmt.Errorf("a record of %d bytes: %w", size, seawall.ErrCorrupt)
	}
	data = make([]byte, size)
	if _, err := r.ReadAt(data, at+header); err != nil {
		return nil, at, io.EOF
	}
	if crc32.Checksum(data, castagnoli()) != binary.LittleEndian.Uint32(h[4:]) {
		return nil, at, fmt.Errorf("a record with a wrong checksum: %w", seawall.ErrCorrupt)
	}
	return data, at + header + int64(size), nil
}

func castagnoli() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) } // made once by the library

func (q *Queue) path(s *segment) string {
	return filepath.Join(q.dir, fmt.Sprintf("%020d%s", s.first, suffix))
}

// next is the number the next record gets.
func (q *Queue) next() uint64 {
	if len(q.segments) == 0 {
		return q.acked
	}
	last := q.segments[len(q.segments)-1]
	return last.first + last.records
}

// Append adds a record, or nothing and ErrFull.
func (q *Queue) Append(data []byte) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	size := int64(header + len(data))
	switch {
	case len(data) > MaxRecord:
		return fmt.Errorf("a record of %d bytes: %w", len(data), seawall.ErrBound)
	case q.bytes+size > q.max:
		return ErrFull
	}
	if q.file == nil || q.segments[len(q.segments)-1].size >= q.max/8 {
		if err := q.roll(); err != nil {
			return err
		}
	}
	buf := make([]byte, header, size)
	binary.LittleEndian.PutUint32(buf, uint32(len(data)))
	binary.LittleEndian.PutUint32(buf[4:], crc32.Checksum(data, castagnoli()))
	last := q.segments[len(q.segments)-1]
	if _, err := q.file.WriteAt(append(buf, data...), last.size); err != nil {
		return fmt.Errorf("writing to the spool: %w", err)
	}
	last.size += size
	last.records++
	q.bytes += size
	return nil
}

// roll begins a segment. Every process begins one of its own.
func (q *Queue) roll() error {
	s := &segment{first: q.next()}
	f, err := os.OpenFile(q.path(s), os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("writing to the spool: %w", err)
	}
	if q.file != nil {
		err = errors.Join(q.file.Sync(), q.file.Close())
	}
	q.file = f
	if n := len(q.segments); n > 0 && q.segments[n-1].records == 0 {
		q.segments = q.segments[:n-1] // an empty one has the same name
	}
	q.segments = append(q.segments, s)
	return err
}

// Peek returns the oldest records, at least one if there is any, up to so many
// records and bytes. Without Ack it returns them again.
func (q *Queue) Peek(records, bytes int) ([][]byte, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.acked == q.next() {
		return nil, nil
	}
	if err := q.seek(); err != nil {
		return nil, err
	}
	var out [][]byte
	// What is in the next segment comes once these are taken.
	for at, end := q.position, q.segments[0].size; len(out) < records && at < end; {
		data, next, err := record(q.read, at)
		if err != nil {
			return nil, fmt.Errorf("reading the spool: %w", err)
		}
		if bytes -= len(data); bytes < 0 && len(out) > 0 {
			break
		}
		out, at = append(out, data), next
	}
	return out, nil
}

// Ack forgets the oldest n records.
func (q *Queue) Ack(n int) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.acked = min(q.acked+uint64(n), q.next())
	var data [8]byte
	binary.LittleEndian.PutUint64(data[:], q.acked)
	name := filepath.Join(q.dir, ackedFile)
	if err := os.WriteFile(name+".new", data[:], 0o600); err != nil {
		return fmt.Errorf("writing to the spool: %w", err)
	}
	if err := os.Rename(name+".new", name); err != nil {
		return fmt.Errorf("writing to the spool: %w", err)
	}
	return q.forget()
}

// forget removes segments that are taken as a whole and finds the place of the
// first record that is not.
func (q *Queue) forget() error {
	var errs []error
	for len(q.segments) > 0 {
		s := q.segments[0]
		if q.acked < s.first+s.records || s.records == 0 && len(q.segments) == 1 && q.file != nil {
			break
		}
		if q.read != nil {
			errs = append(errs, q.read.Close())
			q.read = nil
		}
		if len(q.segments) == 1 && q.file != nil { // the next record begins another
			errs = append(errs, q.file.Close())
			q.file = nil
		}
		errs = append(errs, os.Remove(q.path(s)))
		q.bytes -= s.size
		q.segments = q.segments[1:]
		if len(q.segments) > 0 {
			q.acked = max(q.acked, q.segments[0].first) // after records that were damaged
		}
	}
	if len(q.segments) == 0 {
		return errors.Join(errs...)
	}
	return errors.Join(append(errs, q.seek())...)
}

// seek finds the place of the first record that is not taken.
func (q *Queue) seek() error {
	s := q.segments[0]
	if q.read == nil {
		f, err := os.Open(q.path(s))
		if err != nil {
			return fmt.Errorf("reading the spool: %w", err)
		}
		q.read, q.position, q.placed = f, 0, s.first
	}
	for ; q.placed < q.acked; q.placed++ {
		var h [4]byte
		if _, err := q.read.ReadAt(h[:], q.position); err != nil {
			return fmt.Errorf("reading the spool: %w", err)
		}
		q.position += header + int64(binary.LittleEndian.Uint32(h[:]))
	}
	return nil
}

// Usage is what a queue holds.
type Usage struct {
	Records uint64
	Bytes   int64
	// Damaged counts segments of which an end had to be cut off when it was opened.
	Damaged int
}

// Usage tells what the queue holds.
func (q *Queue) Usage() Usage {
	q.mu.Lock()
	defer q.mu.Unlock()
	return Usage{Records: q.next() - q.acked, Bytes: q.bytes, Damaged: q.damaged}
}

// Close closes the queue; its records stay.
func (q *Queue) Close() error {
	q.mu.Lock()
	defer q.mu.Unlock()
	var errs []error
	if q.file != nil {
		errs = append(errs, q.file.Sync())
	}
	for _, f := range []*os.File{q.file, q.read, q.lock} {
		if f != nil {
			errs = append(errs, f.Close())
		}
	}
	return errors.Join(errs...)
}
