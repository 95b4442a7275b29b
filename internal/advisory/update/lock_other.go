//go:build !unix

package update

import "errors"

// lock: updates need a file lock that ends with the process.
func lock(string) (func(), error) {
	return nil, errors.New("database updates are supported on Linux and other Unix systems only")
}
