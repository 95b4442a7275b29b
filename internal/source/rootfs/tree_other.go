//go:build !linux || rootfsportable

package rootfs

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"github.com/seawall-security/seawall/internal/seawall"
)

// tree is a directory that everything is opened relative to and beneath.
type tree struct{ root *os.Root }

// openTree opens a directory, following links up to it.
func openTree(path string) (*tree, error) {
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, err
	}
	return &tree{root}, nil
}

func (t *tree) Close() error { return t.root.Close() }

// opener returns a function that opens a regular file of the tree by its real path.
func (t *tree) opener(path string) func() (io.ReadCloser, error) {
	return regular(func() (*os.File, error) {
		// os.Root keeps what is opened beneath it; a link put on the way since would still lead elsewhere in it.
		for at := path; at != "."; at = filepath.Dir(at) {
			if st, err := t.root.Lstat(at); err != nil {
				return nil, err
			} else if st.Mode()&fs.ModeSymlink != 0 {
				return nil, errors.New("now behind a symbolic link")
			}
		}
		return t.root.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	})
}

// top opens the tree's own directory.
func (t *tree) top() (*dir, error) {
	root, err := t.root.OpenRoot(".")
	return &dir{root}, err
}

// dir is an open directory of a tree.
type dir struct{ root *os.Root }

// child opens a directory of this one; never a link to one.
func (d *dir) child(name string) (*dir, error) {
	before, err := d.root.Lstat(name)
	if err != nil {
		return nil, err
	}
	root, err := d.root.OpenRoot(name)
	if err != nil {
		return nil, err
	}
	// os.Root follows links that stay beneath it: what was opened must be what is there by that name.
	if after, err := root.Stat("."); err != nil || !os.SameFile(before, after) {
		root.Close()
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return &dir{root}, nil
}

func (d *dir) close() { d.root.Close() }

// names lists the directory in order. On error it returns those read before.
func (d *dir) names() ([]string, error) {
	f, err := d.root.Open(".")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	names, err := f.Readdirnames(-1)
	slices.Sort(names)
	return names, err
}

func (d *dir) stat(name string) (fileInfo, error) {
	st, err := d.root.Lstat(name)
	if err != nil {
		return fileInfo{}, err
	}
	info := fileInfo{name: name, size: st.Size(), mode: st.Mode(), modified: st.ModTime().UnixNano()}
	if s, ok := st.Sys().(*syscall.Stat_t); ok {
		info.owner = seawall.Ownership{UID: s.Uid, GID: s.Gid}
	}
	return info, nil
}

func (d *dir) readlink(name string) (string, error) { return d.root.Readlink(name) }

// foreign tells mounts that are not on a local disk: there is no portable way to.
func (d *dir) foreign() bool { return false }
