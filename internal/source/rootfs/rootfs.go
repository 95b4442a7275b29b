// Package rootfs opens directories as targets: an unpacked root file system
// (rootfs), a project directory or one of its files (fs), and the machine itself (host).
//
// A directory is one layer. The walk goes down by directory descriptors and
// never through a symbolic link, so that nobody who can write to the tree while
// it is read can lead it out. Entries come in the order of their names, parents
// first. What is removed meanwhile is passed over; what cannot be read comes as Entry.Err.
//
// What each leaves out: rootfs nothing; fs the object stores of git; host
// what is not on a local disk (proc, sys, dev, tmpfs, network mounts) and the
// storage of container engines, whose images and containers are targets of their own.
// Which mounts those are is known on Linux only. What the running system says
// about itself in /proc and /sys comes from package live, when it is asked for.
package rootfs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"

	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/source"
	"github.com/seawall-security/seawall/internal/source/live"
)

// Openers returns the three ways to open a directory.
func Openers() []source.Opener {
	return []source.Opener{opener(seawall.AssetRootFS), opener(seawall.AssetFS), opener(seawall.AssetHost)}
}

// opener opens directories as one kind of asset; the kind is also the scheme.
type opener seawall.AssetKind

// Schemes implements source.Opener.
func (k opener) Schemes() []string { return []string{string(k)} }

// Open implements source.Opener. For host, "" is "/".
func (k opener) Open(_ context.Context, name string, o source.Options) (seawall.Target, error) {
	kind := seawall.AssetKind(k)
	dir := name
	if kind == seawall.AssetHost && dir == "" {
		dir = "/"
	}
	st, err := os.Stat(dir)
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %w", name, seawall.ErrUnreadable, reason(err))
	}
	t := &target{asset: asset(kind, dir)}
	t.leaveOut = leaveOut(kind, o)
	switch {
	case st.IsDir():
	case kind == seawall.AssetFS && st.Mode().IsRegular():
		dir, t.only = filepath.Split(filepath.Clean(dir))
	default:
		return nil, seawall.WithHint(fmt.Errorf("%s: %w: not a directory", name, seawall.ErrUnreadable),
			"for an image archive write scan image docker-archive:"+name+" or oci-archive:"+name)
	}
	if dir == "" {
		dir = "."
	}
	if t.root, err = openTree(dir); err != nil {
		return nil, fmt.Errorf("%s: %w: %w", name, seawall.ErrUnreadable, reason(err))
	}
	if kind == seawall.AssetHost && o.Live {
		return host{t}, nil
	}
	return t, nil
}

// host is a target that also says what its running system says about itself.
type host struct{ *target }

// Facts implements seawall.Describer.
func (h host) Facts(ctx context.Context) ([]seawall.Fact, error) { return live.Facts(ctx, h.root.root) }

// reason drops the repeated path of an os error.
func reason(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

// asset names the target: a host by its host name, a directory by its path.
func asset(kind seawall.AssetKind, dir string) seawall.Asset {
	name := dir
	if kind == seawall.AssetHost && dir == "/" {
		if h, err := os.Hostname(); err == nil {
			name = h
		}
	}
	return seawall.Asset{ID: string(kind) + ":" + name, Kind: kind, Name: name}
}

// target implements seawall.Target and is its only seawall.Layer.
type target struct {
	asset seawall.Asset
	root  *tree
	// only is the single file to show; "" for all.
	only     string
	leaveOut func(path string, d *dir) bool
	walked   atomic.Bool
}

func (t *target) Asset() seawall.Asset    { return t.asset }
func (t *target) Layers() []seawall.Layer { return []seawall.Layer{t} }
func (t *target) Close() error            { return t.root.Close() }
func (t *target) Info() seawall.LayerInfo { return seawall.LayerInfo{} }

// CacheKey is "": a directory may change at any time.
func (t *target) CacheKey() string { return "" }

// maxDepth bounds the nesting of directories: each level holds a descriptor open.
const maxDepth = 500

// Walk implements seawall.Layer.
func (t *target) Walk(ctx context.Context, visit func(seawall.Entry) error) error {
	if t.walked.Swap(true) {
		return errors.New("walked twice")
	}
	w := walk{t: t, ctx: ctx, visit: visit}
	top, err := t.root.top()
	if err != nil {
		return fmt.Errorf("%s: %w: %w", t.asset.Name, seawall.ErrUnreadable, err)
	}
	defer top.close()
	if t.only != "" {
		return w.entries(top, "", "", []string{t.only}, 0)
	}
	info, err := top.stat(".")
	if err != nil {
		return fmt.Errorf("%s: %w: %w", t.asset.Name, seawall.ErrUnreadable, err)
	}
	names, listErr := top.names()
	if err := visit(seawall.Entry{Path: ".", Kind: seawall.EntryDir, Info: &info, Err: unreadable(listErr)}); err != nil {
		return err
	}
	return w.entries(top, "", "", names, 0)
}

// walk is one walk of a target.
type walk struct {
	t     *target
	ctx   context.Context
	visit func(seawall.Entry) error
}

// entries visits the named entries of a directory. raw is the directory's real
// path and shown the one given to visitors, both with a slash at the end or
// empty: they differ where a name is not valid UTF-8.
func (w *walk) entries(d *dir, raw, shown string, names []string, depth int) error {
	if err := w.ctx.Err(); err != nil {
		return err
	}
	infos := make([]fileInfo, len(names))
	for i, name := range names {
		e := seawall.Entry{Path: shown + source.CleanName(name), Info: &infos[i]}
		path := raw + name
		var err error
		if infos[i], err = d.stat(name); errors.Is(err, fs.ErrNotExist) {
			continue
		} else if err != nil {
			infos[i].name = name
			e.Kind, e.Err = seawall.EntryOther, unreadable(err)
			if err := w.visit(e); err != nil {
				return err
			}
			continue
		}
		switch mode := infos[i].mode; {
		case mode.IsDir():
			err = w.directory(d, e, name, path, depth+1)
		case mode.IsRegular():
			e.Kind, e.Random = seawall.EntryFile, true
			e.Open = w.t.root.opener(path)
			err = w.visit(e)
		case mode&fs.ModeSymlink != 0:
			var lerr error
			e.Kind = seawall.EntrySymlink
			e.Link, lerr = d.readlink(name)
			e.Err = unreadable(lerr)
			err = w.visit(e)
		default:
			e.Kind = seawall.EntryOther
			err = w.visit(e)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// directory visits a directory and, unless it is left out, what is in it.
func (w *walk) directory(parent *dir, e seawall.Entry, name, path string, depth int) error {
	e.Kind = seawall.EntryDir
	if depth > maxDepth {
		e.Err = fmt.Errorf("%w: directories nested more than %d deep", seawall.ErrBound, maxDepth)
		return w.visit(e)
	}
	d, err := parent.child(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		e.Err = unreadable(err)
		return w.visit(e)
	}
	defer d.close()
	if w.t.leaveOut(path, d) {
		return w.visit(e)
	}
	names, err := d.names()
	e.Err = unreadable(err)
	if err := w.visit(e); err != nil {
		return err
	}
	return w.entries(d, path+"/", e.Path+"/", names, depth)
}

// regular makes an Entry.Open of a way to open a file that may have become something else meanwhile.
func regular(open func() (*os.File, error)) func() (io.ReadCloser, error) {
	return func() (io.ReadCloser, error) {
		f, err := open()
		if err != nil {
			return nil, unreadable(reason(err))
		}
		st, err := f.Stat()
		if err == nil && !st.Mode().IsRegular() {
			err = errors.New("no longer a regular file")
		}
		if err != nil {
			f.Close()
			return nil, unreadable(err)
		}
		return f, nil
	}
}

// unreadable marks an error of one entry.
func unreadable(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w: %w", seawall.ErrUnreadable, err)
}

// leaveOut returns what a kind of target does not descend into.
func leaveOut(kind seawall.AssetKind, o source.Options) func(string, *dir) bool {
	switch {
	case kind == seawall.AssetFS:
		return func(path string, _ *dir) bool { return isGitObjects(path) }
	case kind == seawall.AssetHost && !o.AllFileSystems:
		return func(path string, d *dir) bool { return isContainerStorage(path) || d.foreign() }
	}
	return func(string, *dir) bool { return false }
}

// isGitObjects tells the object stores of a repository, its submodules and LFS.
func isGitObjects(path string) bool {
	return strings.HasSuffix(path, "/objects") && (strings.HasPrefix(path, ".git/") || strings.Contains(path, "/.git/"))
}

// isContainerStorage tells where container engines keep images and containers.
func isContainerStorage(path string) bool {
	switch path {
	case "proc", "sys", "dev", "run",
		"var/lib/docker", "var/lib/containerd", "var/lib/containers/storage", "var/lib/kubelet/pods",
		"var/lib/rancher/k3s/agent/containerd", "var/lib/rancher/rke2/agent/containerd", "var/lib/k0s/containerd",
		"var/snap/microk8s/common/var/lib/containerd", "var/snap/docker/common/var-lib-docker",
		"var/lib/lxc", "var/lib/lxd", "var/lib/incus", "var/lib/machines", "var/lib/buildkit":
		return true
	}
	return strings.HasSuffix(path, "/.local/share/containers/storage") || strings.HasSuffix(path, "/.local/share/docker")
}
