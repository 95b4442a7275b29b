package permission

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/seawall-security/seawall/internal/seawall"
)

// Exec is a program that wants to start.
type Exec struct {
	// Type is execve or execveat. PID is the process that calls it.
	Type string
	PID  int
	// Path is the file that will run, as the process sees it: of a script its
	// interpreter. File is what was named: the script, else Path.
	Path, File string
	// Claimed and Args are the path and arguments as the program passes them; another
	// of its threads may change them while they are read.
	Claimed string
	Args    []string
	// Inode is Path's. Upper says that it is in the upper layer of an overlay, so not
	// of the image; Lower that it is of the image. Neither: on no overlay.
	// Deleted says that it has no name any more.
	Inode                 uint64
	Mode                  uint32
	Upper, Lower, Deleted bool
}

// Name is what the process will be called.
func (e *Exec) Name() string {
	name := path.Base(e.Claimed)
	if e.Claimed == "" {
		name = path.Base(e.File)
	}
	return name[:min(len(name), 15)]
}

var errNotThat = errors.New("not what the program named: a loader or interpreter")

// readExec reads what a thread that waits in an exec is about to run; fd is the open file.
func readExec(tid, fd int) (*Exec, error) {
	e := &Exec{}
	var err error
	if e.PID, err = group(tid); err != nil {
		return nil, err
	}
	dir, flags, err := e.readCall(tid)
	if err != nil {
		return nil, err
	}
	p := &process{dir: fmt.Sprintf("/proc/%d", tid)}
	if p.root, err = unix.Open(p.dir+"/root", unix.O_PATH|unix.O_CLOEXEC|unix.O_DIRECTORY, 0); err != nil {
		return nil, err
	}
	defer unix.Close(p.root)
	var opened, named unix.Stat_t
	if err := errors.Join(unix.Fstat(fd, &opened), p.stat(dir, flags, e.Claimed, &named)); err != nil {
		return nil, err
	}
	if opened.Dev != named.Dev || opened.Ino != named.Ino {
		return nil, errNotThat
	}
	if e.File, err = p.path(fmt.Sprintf("/proc/self/fd/%d", fd)); err != nil {
		return nil, err
	}
	e.Path, e.Inode, e.Mode, e.Deleted = e.File, opened.Ino, opened.Mode, opened.Nlink == 0
	if err := e.follow(p, fd); err != nil {
		return nil, err
	}
	e.Upper, e.Lower = layerOf(p, e.Path)
	return e, nil
}

// readCall reads the arguments of the system call a thread is in: the directory and
// flags of execveat, and what is passed.
func (e *Exec) readCall(tid int) (dir int, flags uint64, err error) {
	line, err := os.ReadFile(fmt.Sprintf("/proc/%d/syscall", tid))
	if err != nil {
		return 0, 0, err
	}
	number, args, err := parseCall(line)
	if err != nil {
		return 0, 0, err
	}
	name, argv := args[0], args[1]
	switch number {
	case unix.SYS_EXECVE:
		e.Type, dir = "execve", unix.AT_FDCWD
	case unix.SYS_EXECVEAT:
		e.Type, dir, name, argv, flags = "execveat", int(int32(args[0])), args[1], args[2], args[4]
	default:
		return 0, 0, fmt.Errorf("in system call %d, not in an exec", number)
	}
	mem, err := os.Open(fmt.Sprintf("/proc/%d/mem", tid))
	if err != nil {
		return 0, 0, err
	}
	defer mem.Close()
	if e.Claimed, err = text(mem, name, unix.PathMax); err != nil {
		return 0, 0, err
	}
	e.Args, err = texts(mem, argv)
	return dir, flags, err
}

// parseCall reads /proc/PID/syscall: the number and six arguments.
func parseCall(line []byte) (number int, args [6]uint64, err error) {
	words := strings.Fields(string(line))
	if len(words) < 7 {
		return 0, args, fmt.Errorf("in no system call: %.40q", line)
	}
	if number, err = strconv.Atoi(words[0]); err != nil {
		return 0, args, err
	}
	for i := range args {
		if args[i], err = strconv.ParseUint(words[i+1], 0, 64); err != nil {
			return 0, args, err
		}
	}
	return number, args, nil
}

// Bounds of what is read of arguments.
const (
	maxArgs     = 256
	maxArgBytes = 16 << 10
)

// texts reads a list of pointers that a null ends. What is over the bounds is not
// read: such an exec is judged when it has happened.
func texts(mem *os.File, at uint64) (out []string, err error) {
	left := maxArgBytes
	var pointer [8]byte
	for at != 0 {
		if _, err := mem.ReadAt(pointer[:], int64(at)); err != nil {
			return nil, err
		}
		p := binary.NativeEndian.Uint64(pointer[:])
		if p == 0 {
			break
		}
		s, err := text(mem, p, left)
		if err != nil {
			return nil, err
		}
		out = append(out, s)
		left -= len(s) + 1
		if at += 8; len(out) > maxArgs || left <= 0 {
			return nil, fmt.Errorf("arguments: %w", seawall.ErrBound)
		}
	}
	return out, nil
}

// text reads a text of less than limit bytes that a zero byte ends.
func text(mem *os.File, at uint64, limit int) (string, error) {
	var out []byte
	for len(out) < limit {
		// Not past the page: the next one may not be there.
		chunk := make([]byte, min(4096-int(at%4096), limit-len(out)))
		n, err := mem.ReadAt(chunk, int64(at))
		if end := bytes.IndexByte(chunk[:n], 0); end >= 0 {
			return string(append(out, chunk[:end]...)), nil
		}
		if err != nil {
			return "", err
		}
		out, at = append(out, chunk...), at+uint64(n)
	}
	return "", fmt.Errorf("text of %d bytes: %w", limit, seawall.ErrBound)
}

// process is how a process sees files.
type process struct {
	dir  string // in /proc
	root int
}

// stat is the file that an exec of path, relative to dir, would run.
func (p *process) stat(dir int, flags uint64, path string, to *unix.Stat_t) error {
	link := ""
	switch {
	case path == "" && flags&unix.AT_EMPTY_PATH != 0:
		link = fmt.Sprintf("%s/fd/%d", p.dir, dir)
	case path == "/proc/self/exe":
		link = p.dir + "/exe"
	case strings.HasPrefix(path, "/proc/self/fd/"):
		link = p.dir + "/fd/" + filepath.Base(path)
	}
	if link != "" {
		return unix.Stat(link, to)
	}
	if !strings.HasPrefix(path, "/") {
		base, from := "", p.dir+"/cwd"
		if dir != unix.AT_FDCWD {
			from = fmt.Sprintf("%s/fd/%d", p.dir, dir)
		}
		base, err := p.path(from)
		if err != nil {
			return err
		}
		path = base + "/" + path
	}
	fd, err := p.open(path)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return unix.Fstat(fd, to)
}

// open opens a path in the process's root, for its properties only.
func (p *process) open(path string) (int, error) {
	return unix.Openat2(p.root, path, &unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT})
}

// path reads a link of /proc and takes the process's root off.
func (p *process) path(link string) (string, error) {
	to, err := os.Readlink(link)
	if err != nil {
		return "", err
	}
	root, err := os.Readlink(p.dir + "/root")
	if err != nil {
		return "", err
	}
	if rest, ok := strings.CutPrefix(to, root); ok && root != "/" && (rest == "" || rest[0] == '/') {
		to = "/" + strings.TrimPrefix(rest, "/")
	}
	return strings.TrimSuffix(to, " (deleted)"), nil
}

// maxInterpreters is how often the kernel goes from script to interpreter.
const maxInterpreters = 5

// follow goes from a script to what will run.
func (e *Exec) follow(p *process, fd int) error {
	var head [256]byte
	n, err := unix.Pread(fd, head[:], 0)
	for range maxInterpreters {
		if err != nil {
			return err
		}
		interpreter := interpreterOf(head[:n])
		if interpreter == "" {
			return nil
		}
		if !strings.HasPrefix(interpreter, "/") {
			return fmt.Errorf("interpreter %q: %w", interpreter, errNotThat)
		}
		if n, err = e.step(p, interpreter, &head); err != nil {
			return err
		}
	}
	return fmt.Errorf("interpreters: %w", seawall.ErrBound)
}

// step makes an interpreter what will run and reads its head.
func (e *Exec) step(p *process, interpreter string, head *[256]byte) (int, error) {
	fd, err := p.open(interpreter)
	if err != nil {
		return 0, err
	}
	defer unix.Close(fd)
	link := fmt.Sprintf("/proc/self/fd/%d", fd)
	var info unix.Stat_t
	if err := unix.Fstat(fd, &info); err != nil {
		return 0, err
	}
	if info.Mode&unix.S_IFMT != unix.S_IFREG {
		return 0, errNotThat
	}
	if e.Path, err = p.path(link); err != nil {
		return 0, err
	}
	e.Inode, e.Mode, e.Deleted = info.Ino, info.Mode, info.Nlink == 0
	f, err := os.Open(link)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	n, err := f.ReadAt(head[:], 0)
	if n > 0 {
		err = nil
	}
	return n, err
}

// interpreterOf is the interpreter a script's first line names; "" where it is no script.
func interpreterOf(head []byte) string {
	rest, ok := bytes.CutPrefix(head, []byte("#!"))
	if !ok {
		return ""
	}
	line, _, _ := bytes.Cut(rest, []byte("\n"))
	words := strings.FieldsFunc(string(line), func(r rune) bool { return r == ' ' || r == '\t' || r == 0 })
	if len(words) == 0 {
		return ""
	}
	return words[0]
}

// group is the process a thread is of.
func group(tid int) (int, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", tid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(data)) {
		if value, ok := strings.CutPrefix(line, "Tgid:"); ok {
			return strconv.Atoi(strings.TrimSpace(value))
		}
	}
	return 0, fmt.Errorf("thread %d: its status names no process", tid)
}

// mount is a line of mountinfo.
type mount struct {
	point, fsType, options, super string
}

// mounts are the mounts of a process, as it sees them, the topmost last.
func mounts(pid string) (out []mount, err error) {
	data, err := os.ReadFile(pid + "/mountinfo")
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(data)) {
		if m, ok := parseMount(line); ok {
			out = append(out, m)
		}
	}
	return out, nil
}

func parseMount(line string) (m mount, ok bool) {
	left, right, ok := strings.Cut(line, " - ")
	l, r := strings.Fields(left), strings.Fields(right)
	if !ok || len(l) < 6 || len(r) < 1 {
		return m, false
	}
	m = mount{point: unescape(l[4]), fsType: r[0], options: l[5]}
	if len(r) > 2 {
		m.super = r[2]
	}
	return m, true
}

// unescape undoes the octal escapes of mountinfo.
func unescape(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(n))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// mountPoints are those a program can be executed from.
func mountPoints(pid int) (out []string, err error) {
	all, err := mounts(fmt.Sprintf("/proc/%d", pid))
	if err != nil {
		return nil, err
	}
	for _, m := range all {
		switch m.fsType {
		case "proc", "sysfs", "cgroup", "cgroup2", "devpts", "mqueue", "debugfs", "tracefs", "securityfs", "bpf", "pstore", "configfs", "fusectl", "nsfs":
			continue
		}
		if !slices.Contains(strings.Split(m.options, ","), "noexec") && !slices.Contains(out, m.point) {
			out = append(out, m.point)
		}
	}
	return out, nil
}

// layerOf says in which layer of an overlay a file is: the kernel writes into the
// upper directory, where everything is under its own name.
func layerOf(p *process, path string) (upper, lower bool) {
	all, err := mounts(p.dir)
	if err != nil {
		return false, false
	}
	var on mount
	for _, m := range all {
		if below := strings.TrimSuffix(m.point, "/"); (path == below || strings.HasPrefix(path, below+"/")) && len(m.point) >= len(on.point) {
			on = m
		}
	}
	if on.fsType != "overlay" {
		return false, false
	}
	for option := range strings.SplitSeq(on.super, ",") {
		dir, ok := strings.CutPrefix(option, "upperdir=")
		if !ok {
			continue
		}
		var info unix.Stat_t
		file := filepath.Join(unescape(dir), strings.TrimPrefix(path, on.point))
		// The directory is the host's: the agent may have it under its own process 1 alone.
		if unix.Lstat(file, &info) != nil && unix.Lstat("/proc/1/root"+file, &info) != nil {
			return false, true
		}
		return true, false
	}
	return false, true // no upper directory: nothing can be written
}
