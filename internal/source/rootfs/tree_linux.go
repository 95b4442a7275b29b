//go:build linux && !rootfsportable

package rootfs

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/seawall-security/seawall/internal/seawall"
)

// tree is a directory that everything is opened relative to and beneath.
type tree struct {
	root *os.Root
	// at is the same directory for the system calls os.Root has no method for.
	at  *os.File
	dev uint64
	buf []byte // for directory listings: a walk reads one at a time
}

// openTree opens a directory, following links up to it.
func openTree(path string) (*tree, error) {
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, err
	}
	at, err := root.Open(".")
	if err != nil {
		root.Close()
		return nil, err
	}
	t := &tree{root: root, at: at, buf: make([]byte, 64<<10)}
	var st unix.Stat_t
	if err := unix.Fstat(int(at.Fd()), &st); err != nil {
		t.Close()
		return nil, err
	}
	t.dev = st.Dev
	return t, nil
}

func (t *tree) Close() error { return errors.Join(t.at.Close(), t.root.Close()) }

// opener returns a function that opens a regular file of the tree by its real path.
func (t *tree) opener(path string) func() (io.ReadCloser, error) {
	return regular(func() (*os.File, error) { return t.open(path) })
}

// open uses one system call where the kernel has openat2 (5.6), else os.Root,
// which takes one for each directory. O_NONBLOCK: a pipe put in the file's place must not hang the scan.
func (t *tree) open(path string) (*os.File, error) {
	how := unix.OpenHow{
		Flags:   unix.O_RDONLY | unix.O_CLOEXEC | unix.O_NOFOLLOW | unix.O_NONBLOCK,
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS,
	}
	for try := 0; ; try++ {
		fd, err := unix.Openat2(int(t.at.Fd()), path, &how)
		switch {
		case err == nil:
			return os.NewFile(uintptr(fd), path), nil
		case (err == unix.EINTR || err == unix.EAGAIN) && try < 100: // EAGAIN: something was renamed on the way
		case err == unix.ENOSYS || err == unix.EPERM: // EPERM: a seccomp filter that does not know it
			return t.root.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
		default:
			return nil, err
		}
	}
}

// dir is an open directory of a tree.
type dir struct {
	t  *tree
	fd int
}

// top opens the tree's own directory.
func (t *tree) top() (*dir, error) {
	return (&dir{t, int(t.at.Fd())}).child(".")
}

// child opens a directory of this one; never a link to one.
func (d *dir) child(name string) (*dir, error) {
	for {
		fd, err := unix.Openat(d.fd, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return nil, err
		}
		return &dir{d.t, fd}, nil
	}
}

func (d *dir) close() { unix.Close(d.fd) }

// names lists the directory in order. On error it returns those read before.
func (d *dir) names() ([]string, error) {
	var names []string
	for {
		n, err := unix.ReadDirent(d.fd, d.t.buf)
		if err == unix.EINTR {
			continue
		}
		if err != nil || n == 0 {
			slices.Sort(names)
			return names, err
		}
		_, _, names = unix.ParseDirent(d.t.buf[:n], -1, names)
	}
}

func (d *dir) stat(name string) (fileInfo, error) {
	var st unix.Stat_t
	for {
		err := unix.Fstatat(d.fd, name, &st, unix.AT_SYMLINK_NOFOLLOW)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return fileInfo{}, err
		}
		info := fileInfo{name: name, size: st.Size, mode: fileMode(st.Mode), modified: st.Mtim.Nano(), owner: seawall.Ownership{UID: st.Uid, GID: st.Gid}}
		if info.mode.IsRegular() && info.mode&0o111 != 0 {
			info.capability = d.capability(name)
		}
		return info, nil
	}
}

// capability reads the privileges a program is started with, "" for none: they
// are no part of its mode (capabilities(7), "File capabilities").
func (d *dir) capability(name string) string {
	var value [32]byte // a revision 3 attribute has 24 bytes
	n, err := unix.Lgetxattr("/proc/self/fd/"+strconv.Itoa(d.fd)+"/"+name, "security.capability", value[:])
	if err != nil {
		return ""
	}
	return string(value[:n])
}

func (d *dir) readlink(name string) (string, error) {
	buf := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(d.fd, name, buf)
	if err != nil {
		return "", err
	}
	return string(buf[:n]), nil
}

// foreign tells whether the directory is the top of a mount that is not on a
// local disk. Disks are told by their kind and not by their number, as /usr,
// /var or a btrfs subvolume may be mounted on their own.
func (d *dir) foreign() bool {
	var st unix.Stat_t
	if unix.Fstat(d.fd, &st) != nil || st.Dev == d.t.dev {
		return false
	}
	var sfs unix.Statfs_t
	if unix.Fstatfs(d.fd, &sfs) != nil {
		return true
	}
	switch uint32(sfs.Type) {
	case unix.EXT4_SUPER_MAGIC, unix.XFS_SUPER_MAGIC, unix.BTRFS_SUPER_MAGIC, unix.F2FS_SUPER_MAGIC,
		unix.REISERFS_SUPER_MAGIC, zfsMagic, jfsMagic, bcachefsMagic:
		return false
	}
	return true
}

// File systems x/sys/unix has no name for (statfs(2), and their own headers).
const (
	zfsMagic      = 0x2fc12fc1
	jfsMagic      = 0x3153464a
	bcachefsMagic = 0xca451a4e
)

// fileMode turns st_mode into Go's bits.
func fileMode(m uint32) fs.FileMode {
	mode := fs.FileMode(m & 0o777)
	switch m & unix.S_IFMT {
	case unix.S_IFDIR:
		mode |= fs.ModeDir
	case unix.S_IFLNK:
		mode |= fs.ModeSymlink
	case unix.S_IFREG:
	case unix.S_IFCHR:
		mode |= fs.ModeDevice | fs.ModeCharDevice
	case unix.S_IFBLK:
		mode |= fs.ModeDevice
	case unix.S_IFIFO:
		mode |= fs.ModeNamedPipe
	case unix.S_IFSOCK:
		mode |= fs.ModeSocket
	default:
		mode |= fs.ModeIrregular
	}
	if m&unix.S_ISUID != 0 {
		mode |= fs.ModeSetuid
	}
	if m&unix.S_ISGID != 0 {
		mode |= fs.ModeSetgid
	}
	if m&unix.S_ISVTX != 0 {
		mode |= fs.ModeSticky
	}
	return mode
}
