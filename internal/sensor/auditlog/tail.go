package auditlog

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/seawall-security/seawall/internal/seawall"
)

// Tail follows the log file of an API server: what is appended to it, over rotation
// by renaming and by cutting short, and over the absence of the file.
type Tail struct {
	Path string
	// Cursor is a file that keeps the place, so that a later Run goes on where this
	// one ended; "" keeps none. Without a place reading begins at the file's end.
	Cursor string
	// Every is how often to look; 0 is a quarter of a second.
	Every time.Duration

	file    *os.File
	place   place
	saved   place
	partial []byte
	skip    bool // the rest of a line that is too long
	missing atomic.Bool
}

// place is how far a file was read.
type place struct {
	Device, Inode uint64
	Offset        int64 // of the first line not told
}

// Run calls emit for every event and damaged for every line that is none, until ctx
// ends. A file that is not there is waited for; one that cannot be read is an error,
// and so is a place that could not be kept in the end.
func (t *Tail) Run(ctx context.Context, emit func(*Entry), damaged func(*Damaged)) error {
	if t.Every == 0 {
		t.Every = 250 * time.Millisecond
	}
	first := t.load()
	defer func() {
		if t.file != nil {
			t.file.Close()
			t.file = nil
		}
	}()
	tick := time.NewTicker(t.Every)
	defer tick.Stop()
	for {
		if err := t.look(first, emit, damaged); err != nil {
			return fmt.Errorf("%s: %w", t.Path, err)
		}
		first = false
		unsaved := t.save() // tried again
		select {
		case <-ctx.Done():
			return unsaved
		case <-tick.C:
		}
	}
}

// Missing says that there was no file when Run last looked.
func (t *Tail) Missing() bool { return t.missing.Load() }

// load reads the place kept; it says whether there is none.
func (t *Tail) load() bool {
	data, err := os.ReadFile(t.Cursor)
	return t.Cursor == "" || err != nil || json.Unmarshal(data, &t.place) != nil
}

func (t *Tail) save() error {
	if t.Cursor == "" || t.place == t.saved {
		return nil
	}
	data, err := json.Marshal(t.place)
	if err == nil {
		err = os.WriteFile(t.Cursor+".new", data, 0o600)
	}
	if err == nil {
		err = os.Rename(t.Cursor+".new", t.Cursor)
	}
	if err != nil {
		return fmt.Errorf("keeping the place in the audit log: %w", err)
	}
	t.saved = t.place
	return nil
}

// look reads what is new, of the file that was open and of the one that took its
// name. At first, without a place, what is there is old.
func (t *Tail) look(first bool, emit func(*Entry), damaged func(*Damaged)) error {
	if t.file != nil {
		if err := t.read(emit, damaged); err != nil {
			return err
		}
	}
	info, err := os.Stat(t.Path)
	t.missing.Store(errors.Is(err, fs.ErrNotExist))
	if t.missing.Load() {
		return nil
	} else if err != nil {
		return fmt.Errorf("%w: %w", err, seawall.ErrUnreadable)
	}
	now := identity(info)
	same := now.Device == t.place.Device && now.Inode == t.place.Inode
	if t.file != nil && same && info.Size() >= t.place.Offset {
		return nil
	}
	if t.file != nil {
		t.file.Close()
	}
	if t.file, err = os.Open(t.Path); err != nil {
		return fmt.Errorf("%w: %w", err, seawall.ErrUnreadable)
	}
	if info, err = t.file.Stat(); err != nil {
		return err
	}
	now, t.partial, t.skip = identity(info), nil, false
	switch {
	case first:
		now.Offset = info.Size()
	case same && info.Size() >= t.place.Offset:
		now.Offset = t.place.Offset
	}
	t.place = now
	return t.read(emit, damaged)
}

func identity(info fs.FileInfo) place {
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		return place{Device: s.Dev, Inode: s.Ino}
	}
	return place{}
}

// read tells the whole lines up to the file's end.
func (t *Tail) read(emit func(*Entry), damaged func(*Damaged)) error {
	chunk := make([]byte, 64<<10)
	for {
		n, err := t.file.ReadAt(chunk, t.place.Offset+int64(len(t.partial)))
		t.partial = append(t.partial, chunk[:n]...)
		for {
			line, rest, whole := bytes.Cut(t.partial, []byte("\n"))
			if !whole {
				break
			}
			if !t.skip {
				t.line(line, emit, damaged)
			}
			t.skip = false
			t.place.Offset += int64(len(line)) + 1
			t.partial = rest
		}
		if len(t.partial) > MaxEvent {
			damaged(&Damaged{Err: fmt.Errorf("a line of more than %d MiB: %w", MaxEvent>>20, seawall.ErrBound)})
			t.place.Offset += int64(len(t.partial))
			t.partial, t.skip = nil, true
		}
		if err == io.EOF {
			t.partial = append([]byte(nil), t.partial...) // not the whole chunk
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (t *Tail) line(line []byte, emit func(*Entry), damaged func(*Damaged)) {
	if line = bytes.TrimSpace(line); len(line) == 0 {
		return
	}
	events, err := parse(line)
	if err != nil {
		damaged(&Damaged{Err: err})
	}
	for _, e := range events {
		emit(e)
	}
}
