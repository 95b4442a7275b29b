//go:build unix

package db

import (
	"fmt"
	"os"
	"syscall"
)

// mapFile maps a whole file for reading. Updates replace the file by renaming
// another over it, so what is mapped does not change.
func mapFile(f *os.File) (data []byte, unmap func() error, err error) {
	info, err := f.Stat()
	if err != nil {
		return nil, nil, err
	}
	if !info.Mode().IsRegular() || info.Size() == 0 {
		return nil, nil, fmt.Errorf("not a file with content")
	}
	if data, err = syscall.Mmap(int(f.Fd()), 0, int(info.Size()), syscall.PROT_READ, syscall.MAP_PRIVATE); err != nil {
		return nil, nil, fmt.Errorf("mapping into memory: %w", err)
	}
	return data, func() error { return syscall.Munmap(data) }, nil
}
