//go:build linux

package keeper

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// lockOne waits until one of these files in Base can be locked. The lock ends with
// the process that has it, or when that closes the file.
func lockOne(ctx context.Context, names ...string) (*os.File, error) {
	if err := os.MkdirAll(Base, 0o700); err != nil {
		return nil, err
	}
	for {
		for _, name := range names {
			f, err := tryLock(filepath.Join(Base, name))
			if f != nil || err != nil {
				return f, err
			}
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("waiting for the clusters of other tests: %w", ctx.Err())
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// tryLock returns nil when another process has the lock.
func tryLock(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if err == nil {
		return f, nil
	}
	f.Close()
	if errors.Is(err, unix.EWOULDBLOCK) {
		return nil, nil
	}
	return nil, fmt.Errorf("locking %s: %w", path, err)
}

// turns are the locks for clusters that are not shared: one for every 8 GB of memory and
// every 48 of the inotify instances that root may have, of which a cluster takes 23 and
// shared ones need some. Never more than three, since they share the processors, too.
func turns() ([]string, error) {
	var info unix.Sysinfo_t
	if err := unix.Sysinfo(&info); err != nil {
		return nil, err
	}
	text, err := os.ReadFile("/proc/sys/fs/inotify/max_user_instances")
	if err != nil {
		return nil, err
	}
	instances, err := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 64)
	if err != nil {
		return nil, err
	}
	memory := info.Totalram * uint64(info.Unit) >> 33
	return []string{"turn-1", "turn-2", "turn-3"}[:min(3, max(1, min(memory, instances/48)))], nil
}
