package node

import (
	"bufio"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/seawall-security/seawall/internal/sensor/process"
)

// user is a line of passwd(5).
type user struct{ name, home, shell string }

// accounts are the users and groups of one root file system.
type accounts struct {
	users  map[uint32]*user
	groups map[uint32]string
	until  time.Time // when to read them anew
}

func (a *accounts) user(uid uint32) *user   { return a.users[uid] }
func (a *accounts) group(gid uint32) string { return a.groups[gid] }

const (
	// maxRoots bounds the root file systems whose accounts are remembered.
	maxRoots = 256
	// maxAccounts bounds the accounts of one, maxAccountFile the bytes read.
	maxAccounts    = 4096
	maxAccountFile = 1 << 20
	// staleAccounts is how long they are believed, retryAccounts how long it is believed that they cannot be read.
	staleAccounts, retryAccounts = time.Minute, 100 * time.Millisecond
)

// users are the accounts as the event's process sees them: of its container's root
// file system, or of the host's.
func (s *Stream) users(e *Event) *accounts {
	key := ""
	if e.Container != nil {
		key = e.Container.ID
	}
	now := e.When()
	known := s.accounts[key]
	if known != nil && now.Before(known.until) {
		return known
	}
	read, answered := process.Look(&s.guard, s.accountsReader(e))
	switch {
	case !answered: // nor will they soon
		if read = known; known == nil {
			read = &accounts{}
		}
		read.until = now.Add(staleAccounts)
	case read != nil:
		read.until = now.Add(staleAccounts)
	case known != nil:
		read = known // nobody is there: who comes later is asked
		read.until = now.Add(retryAccounts)
	default:
		read = &accounts{until: now.Add(retryAccounts)}
	}
	if len(s.accounts) >= maxRoots {
		clear(s.accounts)
	}
	s.accounts[key] = read
	return read
}

// accountsReader reads those of the event's process, or when that is gone of another
// one of its container: an ancestor or the first of its PID namespace. On the host they are
// those of the first process, which not everyone may look into.
func (s *Stream) accountsReader(e *Event) func() *accounts {
	root := func(pid uint32) string {
		return filepath.Join(s.cfg.Proc, strconv.FormatUint(uint64(pid), 10), "root")
	}
	var roots []string
	if e.Container == nil {
		roots = append(roots, root(1))
	}
	roots = append(roots, root(e.Task.PID))
	others := []*process.Process{s.tree.Init(e.Task.PIDNS)}
	for p := e.Process.Parent; p != nil && len(others) < 8; p = p.Parent {
		others = append(others, p)
	}
	for _, p := range others {
		if p != nil && !p.Ended && p.Cgroup != 0 && !e.outside(p) {
			roots = append(roots, root(p.PID))
		}
	}
	return func() *accounts {
		for _, root := range roots {
			if a := readAccounts(root); a != nil {
				return a
			}
		}
		return nil
	}
}

// readAccounts reads etc/passwd and etc/group below root, nil when root is gone. The
// files are the container's to write: links do not lead out of the root.
func readAccounts(root string) *accounts {
	dir, err := os.Open(root)
	if err != nil {
		return nil
	}
	defer dir.Close()
	a := &accounts{users: map[uint32]*user{}, groups: map[uint32]string{}}
	lines(dir, "etc/passwd", func(f []string, id uint32) {
		if _, there := a.users[id]; !there && len(f) > 6 && len(a.users) < maxAccounts {
			a.users[id] = &user{f[0], f[5], f[6]}
		}
	})
	lines(dir, "etc/group", func(f []string, id uint32) {
		if _, there := a.groups[id]; !there && len(a.groups) < maxAccounts {
			a.groups[id] = f[0]
		}
	})
	return a
}

// lines gives the lines of an account file, cut at colons, with the id in the third field.
func lines(root *os.File, name string, f func(fields []string, id uint32)) {
	fd, err := unix.Openat2(int(root.Fd()), name, &unix.OpenHow{Flags: unix.O_RDONLY | unix.O_CLOEXEC | unix.O_NONBLOCK, Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS})
	if err != nil {
		return // an image need not have it
	}
	file := os.NewFile(uintptr(fd), name)
	defer file.Close()
	if info, err := file.Stat(); err != nil || info.Mode()&fs.ModeType != 0 {
		return
	}
	parseAccounts(file, f)
}

// parseAccounts reads the first maxAccountFile bytes.
func parseAccounts(r io.Reader, f func(fields []string, id uint32)) {
	scan := bufio.NewScanner(io.LimitReader(r, maxAccountFile))
	for scan.Scan() {
		fields := strings.SplitN(scan.Text(), ":", 8)
		if len(fields) < 3 {
			continue
		}
		if id, err := strconv.ParseUint(fields[2], 10, 32); err == nil {
			f(fields, uint32(id))
		}
	}
}
