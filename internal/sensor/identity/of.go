package identity

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// Of is the cgroup a process is in now.
func (r *Resolver) Of(pid uint32) (cgroup uint64, err error) {
	path, err := pathOf(r.cfg.Proc, pid)
	if err != nil {
		return 0, err
	}
	var info unix.Stat_t
	if err := unix.Stat(r.groups.path+path, &info); err != nil {
		return 0, fmt.Errorf("cgroup %s: %w", path, err)
	}
	return info.Ino, nil
}
