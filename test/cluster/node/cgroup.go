//go:build linux

package node

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// hierarchy is one mounted cgroup hierarchy: the only one of version 2, or one
// per controller of version 1.
type hierarchy struct {
	mount, fstype, options string
}

// hierarchies reads the mounts of this process.
func hierarchies() ([]hierarchy, error) {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var found []hierarchy
	for s := bufio.NewScanner(f); s.Scan(); {
		// 36 35 98:0 / /sys/fs/cgroup/cpu rw,noatime shared:1 - cgroup cgroup rw,cpu
		before, after, ok := strings.Cut(s.Text(), " - ")
		mount, fsys := strings.Fields(before), strings.Fields(after)
		if !ok || len(mount) < 5 || len(fsys) < 3 || !strings.HasPrefix(fsys[0], "cgroup") {
			continue
		}
		options := slices.DeleteFunc(strings.Split(fsys[2], ","), func(o string) bool { return o == "rw" || o == "ro" })
		h := hierarchy{mount: mount[4], fstype: fsys[0], options: strings.Join(options, ",")}
		if h.fstype == "cgroup2" {
			h.options = ""
		}
		found = append(found, h)
	}
	if found == nil {
		return nil, errors.New("no cgroups are mounted")
	}
	return found, nil
}

// enterCgroups moves this process into a cgroup of its own, in every hierarchy,
// and into a cgroup namespace in which that is the root.
func enterCgroups(name string) error {
	all, err := hierarchies()
	if err != nil {
		return err
	}
	for _, h := range all {
		dir := filepath.Join(h.mount, name)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
		if strings.Contains(h.options, "cpuset") {
			for _, file := range []string{"cpuset.cpus", "cpuset.mems"} {
				if err := copyFile(filepath.Join(h.mount, file), filepath.Join(dir, file)); err != nil {
					return err
				}
			}
		}
		if err := join(dir); err != nil {
			return err
		}
	}
	if err := unix.Unshare(unix.CLONE_NEWCGROUP); err != nil {
		return fmt.Errorf("new cgroup namespace: %w", err)
	}
	for _, h := range all {
		if h.fstype != "cgroup2" {
			continue
		}
		// A version 2 cgroup either has processes or hands controllers on.
		dir := filepath.Join(h.mount, name)
		leaf := filepath.Join(dir, "init")
		if err := os.MkdirAll(leaf, 0o755); err != nil {
			return err
		}
		if err := join(leaf); err != nil {
			return err
		}
		for _, parent := range []string{h.mount, dir} {
			if err := enableControllers(parent); err != nil {
				return err
			}
		}
	}
	return nil
}

func join(dir string) error {
	return os.WriteFile(filepath.Join(dir, "cgroup.procs"), []byte("0"), 0)
}

func copyFile(from, to string) error {
	data, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, data, 0)
}

// enableControllers hands every controller of a version 2 cgroup on to its children.
func enableControllers(dir string) error {
	controllers, err := os.ReadFile(filepath.Join(dir, "cgroup.controllers"))
	if err != nil {
		return err
	}
	for _, c := range strings.Fields(string(controllers)) {
		if err := os.WriteFile(filepath.Join(dir, "cgroup.subtree_control"), []byte("+"+c), 0); err != nil {
			return fmt.Errorf("cgroup controller %s: %w", c, err)
		}
	}
	return nil
}

// mountCgroups mounts the hierarchies, as this cgroup namespace sees them, below root.
func mountCgroups(root string, all []hierarchy) error {
	top := filepath.Join(root, "sys/fs/cgroup")
	if len(all) > 1 {
		if err := mount("tmpfs", top, "tmpfs", 0, "mode=755"); err != nil {
			return err
		}
	}
	for _, h := range all {
		dir := filepath.Join(root, h.mount)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
		if err := mount(h.fstype, dir, h.fstype, 0, h.options); err != nil {
			return err
		}
	}
	return nil
}

// RemoveCgroups removes the cgroups of a machine that is down.
func RemoveCgroups(name string) error {
	all, err := hierarchies()
	if err != nil {
		return err
	}
	for _, h := range all {
		// The kernel lets go of the last processes a moment after they are gone.
		for wait := time.Millisecond; ; wait *= 2 {
			if err = removeTree(filepath.Join(h.mount, name)); err == nil {
				break
			} else if wait > 4*time.Second {
				return err
			}
			time.Sleep(wait)
		}
	}
	return nil
}

// removeTree removes directories only, children first: the files in a cgroup are not removable.
func removeTree(dir string) error {
	var dirs []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			dirs = append(dirs, path)
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	})
	for _, d := range slices.Backward(dirs) {
		if e := os.Remove(d); e != nil && !errors.Is(e, fs.ErrNotExist) {
			return e
		}
	}
	return err
}
