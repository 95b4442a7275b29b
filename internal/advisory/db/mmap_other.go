//go:build !unix

package db

import (
	"io"
	"os"
)

// mapFile reads the whole file where it cannot be mapped.
func mapFile(f *os.File) (data []byte, unmap func() error, err error) {
	data, err = io.ReadAll(f)
	return data, func() error { return nil }, err
}
