package enforce

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// CgroupDir is the directory of a target's cgroup, checked to be its container's:
// in a cgroup v2 tree, named after the container, and of the number it should have.
func (t *Target) CgroupDir() (string, error) {
	dir := filepath.Clean(t.Cgroup)
	var info unix.Stat_t
	var system unix.Statfs_t
	switch {
	case len(t.Container) < 12 || !filepath.IsAbs(dir):
		return "", fmt.Errorf("container %q, cgroup %q: %w", t.Container, t.Cgroup, ErrIdentity)
	case !strings.Contains(filepath.Base(dir), t.Container):
		return "", fmt.Errorf("cgroup %s is not named after container %s: %w", dir, t.Container, ErrIdentity)
	}
	if err := unix.Stat(dir, &info); errors.Is(err, unix.ENOENT) {
		return "", fmt.Errorf("container %.12s: %w", t.Container, ErrGone)
	} else if err = errors.Join(err, unix.Statfs(dir, &system)); err != nil {
		return "", fmt.Errorf("cgroup %s: %w", dir, err)
	}
	if system.Type != unix.CGROUP2_SUPER_MAGIC {
		return "", fmt.Errorf("%s is no cgroup v2: %w", dir, ErrIdentity)
	}
	if t.CgroupID != 0 && info.Ino != t.CgroupID {
		return "", fmt.Errorf("cgroup %s has number %d, not %d: %w", dir, info.Ino, t.CgroupID, ErrGone)
	}
	return dir, nil
}
