// Package file is an output file that other programs rotate: a name that is moved
// away or removed is made again, one that is cut short goes on at its end.
package file

import (
	"errors"
	"fmt"
	"os"
)

// File is a file at the end of which is written. It is not safe for concurrent use.
type File struct {
	name string
	file *os.File
}

// Open opens a file for writing at its end; it is made where it is not there.
func Open(name string) (*File, error) {
	f := &File{name: name}
	return f, f.open()
}

func (f *File) open() (err error) {
	f.file, err = os.OpenFile(f.name, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o640)
	return err
}

// Write writes at the end of the file that has the name now.
func (f *File) Write(data []byte) (int, error) {
	if f.moved() {
		if f.file != nil {
			if err := f.file.Close(); err != nil {
				f.file = nil
				return 0, err
			}
		}
		if err := f.open(); err != nil {
			f.file = nil
			return 0, err
		}
	}
	return f.file.Write(data)
}

// moved says whether the name is another file's now.
func (f *File) moved() bool {
	if f.file == nil {
		return true
	}
	have, err := f.file.Stat()
	if err != nil {
		return true
	}
	want, err := os.Stat(f.name)
	return err != nil && errors.Is(err, os.ErrNotExist) || err == nil && !os.SameFile(have, want)
}

// Close closes the file; what was written is on disk.
func (f *File) Close() error {
	if f.file == nil {
		return nil
	}
	err := f.file.Sync()
	if info, serr := f.file.Stat(); serr == nil && !info.Mode().IsRegular() {
		err = nil // a device or pipe has no disk
	}
	if err = errors.Join(err, f.file.Close()); err != nil {
		return fmt.Errorf("closing %s: %w", f.name, err)
	}
	return nil
}
