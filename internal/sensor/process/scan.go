package process

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/sensor/trace"
)

// tick is the unit of start times in /proc/PID/stat: USER_HZ is 100 wherever Linux runs Go.
const tick = 10 * time.Millisecond

// Scan adds every process there is. What events have told already stays.
func (t *Tree) Scan() error {
	dir, err := os.Open(t.proc)
	if err != nil {
		return err
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return err
	}
	parents := map[*Process]uint32{}
	for _, name := range names {
		pid, err := strconv.ParseUint(name, 10, 32)
		if err != nil {
			continue
		}
		p, ppid, err := t.read(uint32(pid))
		if err != nil {
			continue // it has ended
		}
		if known := t.byPID[p.PID]; known != nil && known.same(p.Start) {
			if known.Program == unknown {
				known.Program, known.assumed = p.Program, false
				known.rename(known.Comm)
			}
			p = known
		} else {
			t.insert(p)
		}
		if p.Parent == nil {
			parents[p] = ppid
		}
	}
	for p, ppid := range parents {
		if q := t.byPID[ppid]; q != nil && q != p {
			p.Parent = q
		}
		if p.VPID == 1 && p.PIDNS != 0 {
			t.inits[p.PIDNS] = p
		}
	}
	return nil
}

// read looks at one process.
func (t *Tree) read(pid uint32) (p *Process, ppid uint32, err error) {
	dir := filepath.Join(t.proc, strconv.FormatUint(uint64(pid), 10))
	stat, err := readBounded(filepath.Join(dir, "stat"), 4096)
	if err != nil {
		return nil, 0, err
	}
	p, ppid, err = parseStat(stat)
	if err != nil {
		return nil, 0, fmt.Errorf("process %d: %w", pid, err)
	}
	if status, err := readBounded(filepath.Join(dir, "status"), 16<<10); err == nil {
		p.status(status)
	}
	if login, err := readBounded(filepath.Join(dir, "loginuid"), 32); err == nil {
		p.LoginUID = number(string(login))
	}
	if info, err := os.Stat(filepath.Join(dir, "ns/pid")); err == nil {
		if st, ok := info.Sys().(*syscall.Stat_t); ok {
			p.PIDNS = uint32(st.Ino)
		}
	}
	if p.Program, err = t.readProgram(pid); err != nil {
		p.Program = unknown // a kernel thread has none
	}
	p.rename(p.Comm)
	return p, ppid, nil
}

// parseStat reads /proc/PID/stat (proc_pid_stat(5)): "pid (comm) state ppid pgrp session tty …".
func parseStat(stat []byte) (p *Process, ppid uint32, err error) {
	open, end := bytes.IndexByte(stat, '('), bytes.LastIndexByte(stat, ')')
	if open < 1 || end < open {
		return nil, 0, fmt.Errorf("stat without a name: %w", seawall.ErrCorrupt)
	}
	pid, err := strconv.ParseUint(strings.TrimSpace(string(stat[:open])), 10, 32)
	if err != nil {
		return nil, 0, fmt.Errorf("stat: %w: %w", seawall.ErrCorrupt, err)
	}
	rest := strings.Fields(string(stat[end+1:]))
	const start = 19 // field 22; state, field 3, is the first after the name
	if len(rest) <= start {
		return nil, 0, fmt.Errorf("stat of %d fields: %w", len(rest)+2, seawall.ErrCorrupt)
	}
	ticks, err := strconv.ParseUint(rest[start], 10, 64)
	if err != nil {
		return nil, 0, fmt.Errorf("stat: start: %w: %w", seawall.ErrCorrupt, err)
	}
	comm := string(stat[open+1 : end])
	p = &Process{PID: uint32(pid), Start: ticks * uint64(tick), Comm: comm[:min(len(comm), 64)], Program: unknown, coarse: true, LoginUID: ^uint32(0)}
	p.PGID, p.SID, p.TTY = number(rest[2]), number(rest[3]), number(rest[4])
	return p, number(rest[1]), nil
}

// status takes the identifiers in the process's own namespaces from /proc/PID/status.
func (p *Process) status(text []byte) {
	for line := range strings.Lines(string(text)) {
		name, values, _ := strings.Cut(line, ":")
		f := strings.Fields(values)
		if len(f) == 0 {
			continue
		}
		switch last := number(f[len(f)-1]); name {
		case "Uid":
			p.UID = number(f[0])
		case "NSpid":
			p.VPID = last
		case "NSpgid":
			p.VPGID = last
		case "NSsid":
			p.VSID = last
		}
	}
}

// number reads a decimal; negative ones (a terminal's -1) wrap, what is no number is 0.
func number(s string) uint32 {
	n, _ := strconv.ParseInt(strings.TrimSpace(s), 10, 64)
	return uint32(n)
}

// readProgram looks at what a process runs, without waiting for the process or its file systems.
func (t *Tree) readProgram(pid uint32) (*Program, error) {
	dir := filepath.Join(t.proc, strconv.FormatUint(uint64(pid), 10))
	path, err := os.Readlink(filepath.Join(dir, "exe"))
	if err != nil {
		return nil, err
	}
	p := &Program{}
	deleted := strings.HasSuffix(path, " (deleted)")
	if name, ok := strings.CutPrefix(path, "/memfd:"); ok {
		path, p.File.Memfd = "memfd:"+name, true
	}
	p.Path, p.File.Path, p.File.Deleted = path, path, deleted
	var st unix.Statx_t
	if unix.Statx(unix.AT_FDCWD, filepath.Join(dir, "exe"), unix.AT_STATX_DONT_SYNC, unix.STATX_BASIC_STATS, &st) == nil {
		p.File.Kind, p.File.Inode, p.File.Mode = trace.KindFile, st.Ino, uint32(st.Mode)
		p.File.UID, p.File.GID = st.Uid, st.Gid
		p.File.CTime, p.File.MTime = nanoseconds(st.Ctime), nanoseconds(st.Mtime)
	}
	p.CWD, _ = os.Readlink(filepath.Join(dir, "cwd"))
	if args, ok := Look(&t.guard, func() []byte { // they lie in the process's memory
		args, _ := readBounded(filepath.Join(dir, "cmdline"), maxText)
		return args
	}); ok {
		p.arguments(string(args))
	}
	return p, nil
}

func nanoseconds(t unix.StatxTimestamp) uint64 {
	return uint64(t.Sec)*uint64(time.Second) + uint64(t.Nsec)
}

// readBounded reads the first max bytes of a file of /proc.
func readBounded(path string, max int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, max))
	if errors.Is(err, syscall.ESRCH) {
		err = fs.ErrNotExist
	}
	return b, err
}

// budget bounds how often /proc is read for processes whose start was not seen.
type budget struct {
	second uint64
	used   int
}

const maxReads = 500 // a second

func (b *budget) take(now uint64) bool {
	if second := now / uint64(time.Second); second != b.second {
		b.second, b.used = second, 0
	}
	b.used++
	return b.used <= maxReads
}
