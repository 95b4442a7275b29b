package enforce

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/seawall-security/seawall/internal/seawall"
)

// CgroupDir is the directory of the cgroup of a subject's container, checked to be
// its: in a cgroup v2 tree, named after the container, and holding the cgroup the
// subject was seen in.
func CgroupDir(s *seawall.Subject) (string, error) {
	dir := filepath.Clean(s.CgroupPath)
	var system unix.Statfs_t
	switch {
	case s.Container == nil || len(s.Container.ID) < 12 || !filepath.IsAbs(dir):
		return "", fmt.Errorf("no container, or no cgroup of it (%q): %w", s.CgroupPath, ErrIdentity)
	case !strings.Contains(filepath.Base(dir), s.Container.ID):
		return "", fmt.Errorf("cgroup %s is not named after container %s: %w", dir, s.Container.ID, ErrIdentity)
	}
	if err := unix.Statfs(dir, &system); errors.Is(err, unix.ENOENT) {
		return "", fmt.Errorf("container %.12s: %w", s.Container.ID, ErrGone)
	} else if err != nil {
		return "", fmt.Errorf("cgroup %s: %w", dir, err)
	}
	if system.Type != unix.CGROUP2_SUPER_MAGIC {
		return "", fmt.Errorf("%s is no cgroup v2: %w", dir, ErrIdentity)
	}
	if s.Cgroup != 0 && !holds(dir, s.Cgroup) {
		return "", fmt.Errorf("cgroup %d is not in %s: %w", s.Cgroup, dir, ErrGone)
	}
	return dir, nil
}

// holds says whether a directory or one below it has an inode number.
func holds(dir string, inode uint64) (found bool) {
	_ = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		var info unix.Stat_t
		if err == nil && d.IsDir() && unix.Stat(path, &info) == nil && info.Ino == inode {
			found = true
			return fs.SkipAll
		}
		return nil
	})
	return found
}
