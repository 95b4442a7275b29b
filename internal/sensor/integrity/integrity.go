// Package integrity tells which files of chosen trees are not as they were.
//
//	Take -> Baseline (kept as a file) -> Compare with another, or Watch live -> Changes -> Findings
//
// A Baseline has every file of the trees with its type, permissions, owner and the
// SHA-256 of its content. Compare is for a check now and then. A Watch sees the kernel
// sensor's events: it looks at a file again a moment after something was done to it
// and says which process did.
//
// What could not be read is in the baseline as unread and is never called unchanged.
package integrity

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/seawall-security/seawall/internal/seawall"
)

// SchemaVersion is a baseline's.
const SchemaVersion = "seawall.integrity/v1"

// The bounds of a baseline.
const (
	maxEntries = 1 << 20
	maxFile    = 512 << 20
)

// Trees are those that matter on a node: programs, their configuration, the kernel's
// modules and what starts by itself.
func Trees() []string {
	return []string{"/etc", "/usr/bin", "/usr/sbin", "/usr/local/bin", "/usr/local/sbin", "/bin", "/sbin", "/boot", "/lib/modules",
		"/lib/systemd/system", "/opt/cni/bin", "/root/.ssh", "/var/spool/cron", "/var/lib/kubelet/config.yaml"}
}

// Config says what to look at.
type Config struct {
	// Trees are absolute paths of directories or files, as the host sees them. One
	// that is not there is no error: its appearance is a change.
	Trees []string
	// Root is where the host's file system is; "" is "/".
	Root string
	// Exclude are patterns of paths (path.Match), and of directories with all in them.
	Exclude []string
}

// Baseline is the state of trees at one time.
type Baseline struct {
	SchemaVersion string   `json:"schemaVersion"`
	Time          string   `json:"time"` // RFC 3339
	Trees         []string `json:"trees"`
	Exclude       []string `json:"exclude,omitempty"`
	// Entries are in the order of their paths.
	Entries []Entry `json:"entries"`
}

// Entry is one file.
type Entry struct {
	// Path is the host's.
	Path string `json:"path"`
	// Type is file, directory, symlink, or other: a device, a socket, a pipe.
	Type string `json:"type"`
	// Mode are the permissions with set-user-ID, set-group-ID and sticky.
	Mode uint32 `json:"mode"`
	UID  uint32 `json:"uid"`
	GID  uint32 `json:"gid"`
	// Size and SHA256 are a file's, Target is a symlink's.
	Size   int64  `json:"size,omitempty"`
	SHA256 string `json:"sha256,omitempty"`
	Target string `json:"target,omitempty"`
	// Unread is why there is no SHA256.
	Unread string `json:"unread,omitempty"`
}

// Take makes a baseline. What it could not read is returned as seawall.Incomplete
// beside it.
func Take(ctx context.Context, c Config, now time.Time) (*Baseline, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	b := &Baseline{SchemaVersion: SchemaVersion, Time: now.UTC().Format(time.RFC3339), Trees: slices.Sorted(slices.Values(c.Trees)), Exclude: c.Exclude}
	seen := map[string]bool{}
	for _, tree := range b.Trees {
		if err := c.walk(ctx, tree, b, seen); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(b.Entries, func(x, y Entry) int { return cmp.Compare(x.Path, y.Path) })
	var unread seawall.Incomplete
	for _, e := range b.Entries {
		if e.Unread != "" {
			unread = append(unread, fmt.Errorf("%s: %s", e.Path, e.Unread))
		}
	}
	if len(unread) > 0 {
		return b, unread
	}
	return b, nil
}

func (c *Config) check() error {
	for _, tree := range c.Trees {
		if !path.IsAbs(tree) || path.Clean(tree) != tree {
			return fmt.Errorf("tree %q: want an absolute path: %w", tree, seawall.ErrUsage)
		}
	}
	for _, pattern := range c.Exclude {
		if _, err := path.Match(pattern, ""); err != nil {
			return fmt.Errorf("pattern %q: %w: %w", pattern, err, seawall.ErrUsage)
		}
	}
	return nil
}

func (c *Config) walk(ctx context.Context, tree string, b *Baseline, seen map[string]bool) error {
	return filepath.WalkDir(filepath.Join(c.Root, tree), func(name string, d fs.DirEntry, err error) error {
		host := c.host(name)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, fs.ErrNotExist):
			return nil
		case c.excluded(host):
			if d != nil && d.IsDir() {
				return fs.SkipDir
			}
			return nil
		case err != nil:
			// A directory that cannot be read was told without its contents.
			if i := slices.IndexFunc(b.Entries, func(e Entry) bool { return e.Path == host }); i >= 0 {
				b.Entries[i].Unread = err.Error()
				return nil
			}
			b.Entries = append(b.Entries, Entry{Path: host, Type: "other", Unread: err.Error()})
			return nil
		case seen[host]:
			return nil
		case len(b.Entries) >= maxEntries:
			return fmt.Errorf("%s: more than %d files: %w", tree, maxEntries, seawall.ErrBound)
		}
		seen[host] = true
		if e, ok := c.look(ctx, host); ok {
			b.Entries = append(b.Entries, e)
		}
		return nil
	})
}

// host takes the root off a name.
func (c *Config) host(name string) string {
	if c.Root == "" || c.Root == "/" {
		return name
	}
	return "/" + strings.TrimPrefix(strings.TrimPrefix(name, filepath.Clean(c.Root)), "/")
}

func (c *Config) excluded(host string) bool {
	for _, pattern := range c.Exclude {
		if ok, _ := path.Match(pattern, host); ok {
			return true
		}
	}
	return false
}

// within says whether a path is of the trees.
func (c *Config) within(host string) bool {
	for _, tree := range c.Trees {
		if host == tree || strings.HasPrefix(host, strings.TrimSuffix(tree, "/")+"/") {
			for at := host; len(at) >= len(tree); at = path.Dir(at) {
				if c.excluded(at) {
					return false
				}
				if at == "/" {
					break
				}
			}
			return true
		}
	}
	return false
}

// look reads one file; false where there is none.
func (c *Config) look(ctx context.Context, host string) (e Entry, there bool) {
	e.Path = host
	name := filepath.Join(c.Root, host)
	info, err := os.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return e, false
	}
	if err != nil {
		e.Type, e.Unread = "other", err.Error()
		return e, true
	}
	e.set(info)
	switch e.Type {
	case "symlink":
		if e.Target, err = os.Readlink(name); err != nil {
			e.Unread = err.Error()
		}
	case "file":
		if err := e.hash(ctx, name); err != nil {
			e.Unread = err.Error()
		}
	}
	return e, true
}

// set fills in what stat knows.
func (e *Entry) set(info fs.FileInfo) {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return
	}
	e.Mode, e.UID, e.GID = stat.Mode&0o7777, stat.Uid, stat.Gid
	switch stat.Mode & syscall.S_IFMT {
	case syscall.S_IFREG:
		e.Type, e.Size = "file", stat.Size
	case syscall.S_IFDIR:
		e.Type = "directory"
	case syscall.S_IFLNK:
		e.Type, e.Mode = "symlink", 0
	default:
		e.Type = "other"
	}
}

// hash reads a file's content, of the very file that was looked at.
func (e *Entry) hash(ctx context.Context, name string) error {
	f, err := os.OpenFile(name, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_NOATIME, 0)
	if errors.Is(err, fs.ErrPermission) {
		f, err = os.OpenFile(name, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	}
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if e.set(info); e.Type != "file" {
		return errors.New("it was replaced while it was read")
	}
	if e.Size > maxFile {
		return fmt.Errorf("%d bytes: %w", e.Size, seawall.ErrBound)
	}
	sum := sha256.New()
	if _, err := io.Copy(sum, io.LimitReader(reader{ctx, f}, maxFile)); err != nil {
		return err
	}
	e.SHA256 = hex.EncodeToString(sum.Sum(nil))
	return nil
}

// reader ends with its context.
type reader struct {
	ctx context.Context
	io.Reader
}

func (r reader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.Reader.Read(p)
}

// maxBaseline bounds a baseline's file.
const maxBaseline = 512 << 20

// Read reads a baseline.
func Read(r io.Reader) (*Baseline, error) {
	var b Baseline
	limited := &io.LimitedReader{R: r, N: maxBaseline}
	d := json.NewDecoder(limited)
	if err := d.Decode(&b); err != nil {
		if limited.N == 0 {
			return nil, fmt.Errorf("baseline of over %d bytes: %w", maxBaseline, seawall.ErrBound)
		}
		return nil, fmt.Errorf("baseline: %w: %w", err, seawall.ErrCorrupt)
	}
	if b.SchemaVersion != SchemaVersion {
		return nil, fmt.Errorf("baseline: schema version %q, want %s: %w", b.SchemaVersion, SchemaVersion, seawall.ErrCorrupt)
	}
	if len(b.Entries) > maxEntries {
		return nil, fmt.Errorf("baseline of %d files: %w", len(b.Entries), seawall.ErrBound)
	}
	if err := (&Config{Trees: b.Trees, Exclude: b.Exclude}).check(); err != nil {
		return nil, fmt.Errorf("baseline: %w: %w", err, seawall.ErrCorrupt)
	}
	if !slices.IsSortedFunc(b.Entries, func(x, y Entry) int { return cmp.Compare(x.Path, y.Path) }) {
		return nil, fmt.Errorf("baseline: its entries are not in order: %w", seawall.ErrCorrupt)
	}
	return &b, nil
}

// Write writes a baseline.
func (b *Baseline) Write(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", " ")
	return e.Encode(b)
}
