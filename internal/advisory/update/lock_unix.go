//go:build unix

package update

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"github.com/seawall-security/seawall/internal/seawall"
)

// lock takes the lock of one updater. The kernel frees it when the process
// ends, however it ends.
func lock(path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, seawall.WithHint(fmt.Errorf("another update of this database is running (%s is locked)", path), "wait for it to end")
		}
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return func() { f.Close() }, nil
}
