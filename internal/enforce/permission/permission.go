// Package permission refuses programs before they start.
//
//	fanotify event -> what is executed (Exec) -> Config.Judge -> allow or deny
//
// The mounts of watched containers are marked for FAN_OPEN_EXEC_PERM: whoever wants to
// execute a file there waits until the Guard has answered. A Guard answers within a
// deadline, judged or not: what is late is allowed, and so is what cannot be read
// (another thread may have changed it meanwhile). Such programs are still judged when
// they have started. Files in memory (memfd_create) are on no mount and are never asked
// for; neither are mounts made after Watch.
//
// When the process ends, however it does, the kernel allows what waits. A process
// that is stopped (SIGSTOP) answers nobody: the programs of watched containers wait.
package permission

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/seawall-security/seawall/internal/seawall"
)

// Config is who decides.
type Config struct {
	// Judge says whether to refuse an exec. judged false says that it could not be
	// judged: it is allowed. Judge is called from several goroutines.
	Judge func(e *Exec) (refuse, judged bool)
	// Deadline is how long a program may be kept waiting; 0 is 200 ms.
	Deadline time.Duration
}

// Counts are the answers so far.
type Counts struct {
	// Allowed and Refused were judged. Unread could not be read or is not judged,
	// Late was not judged in time; both were allowed.
	Allowed, Refused, Unread, Late uint64
}

// Guard answers for watched containers. It is safe for concurrent use.
type Guard struct {
	config Config
	file   *os.File
	// slots bounds what is judged at a time.
	slots chan struct{}

	allowed, refused, unread, late atomic.Uint64
}

const maxJudged = 64

// New returns a Guard of nothing.
func New(c Config) (*Guard, error) {
	if c.Deadline == 0 {
		c.Deadline = 200 * time.Millisecond
	}
	fd, err := initialize()
	if err != nil {
		return nil, err
	}
	return &Guard{config: c, file: os.NewFile(uintptr(fd), "fanotify"), slots: make(chan struct{}, maxJudged)}, nil
}

func initialize() (int, error) {
	fd, err := unix.FanotifyInit(unix.FAN_CLASS_CONTENT|unix.FAN_CLOEXEC|unix.FAN_NONBLOCK|unix.FAN_REPORT_TID|unix.FAN_UNLIMITED_MARKS,
		unix.O_RDONLY|unix.O_CLOEXEC|unix.O_LARGEFILE|unix.O_NONBLOCK)
	if err != nil {
		return -1, fmt.Errorf("fanotify_init: %w", err)
	}
	return fd, nil
}

// Probe says whether this kernel lets this process refuse programs. It marks its own
// executable for a moment.
func Probe() error {
	fd, err := initialize()
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := unix.FanotifyMark(fd, unix.FAN_MARK_ADD, unix.FAN_OPEN_EXEC_PERM, unix.AT_FDCWD, "/proc/self/exe"); err != nil {
		return fmt.Errorf("fanotify_mark: %w", err)
	}
	return nil
}

// ErrNode: the process has the mounts of the node or of the agent, which are never
// watched: a container's runtime has, before it becomes the container.
var ErrNode = errors.New("its mounts are the node's")

// Watch marks the mounts of a process's mount namespace that programs can be executed
// from. The marks end with the mounts; marking again adds those that are new.
func (g *Guard) Watch(pid int) error {
	theirs, err := os.Stat(fmt.Sprintf("/proc/%d/ns/mnt", pid))
	if err != nil {
		return fmt.Errorf("mounts of process %d: %w", pid, err)
	}
	for _, spared := range []string{"self", "1"} {
		ns, err := os.Stat("/proc/" + spared + "/ns/mnt")
		if errors.Is(err, fs.ErrPermission) && spared == "1" {
			continue // a sandbox whose first process is out of reach, and so its mounts
		}
		if err != nil {
			return fmt.Errorf("mounts of the node: %w", err)
		}
		if os.SameFile(ns, theirs) {
			return fmt.Errorf("process %d: %w", pid, ErrNode)
		}
	}
	points, err := mountPoints(pid)
	if err != nil {
		return fmt.Errorf("mounts of process %d: %w", pid, err)
	}
	var failed seawall.Incomplete
	for _, point := range points {
		err := g.mark(fmt.Sprintf("/proc/%d/root%s", pid, point))
		if err != nil && point == "/" {
			return fmt.Errorf("watching the root of process %d: %w", pid, err)
		}
		if err != nil {
			failed = append(failed, fmt.Errorf("watching %s of process %d: %w", point, pid, err))
		}
	}
	if len(failed) > 0 {
		return failed
	}
	return nil
}

func (g *Guard) mark(path string) error {
	conn, err := g.file.SyscallConn()
	if err != nil {
		return err
	}
	var marked error
	err = conn.Control(func(fd uintptr) {
		marked = unix.FanotifyMark(int(fd), unix.FAN_MARK_ADD|unix.FAN_MARK_MOUNT, unix.FAN_OPEN_EXEC_PERM, unix.AT_FDCWD, path)
	})
	return errors.Join(err, marked)
}

// Counts tells the answers so far.
func (g *Guard) Counts() Counts {
	return Counts{Allowed: g.allowed.Load(), Refused: g.refused.Load(), Unread: g.unread.Load(), Late: g.late.Load()}
}

// Close ends the Guard: everything that waits is allowed.
func (g *Guard) Close() error { return g.file.Close() }

// Run answers until ctx ends or the Guard is closed.
func (g *Guard) Run(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() { _ = g.file.SetReadDeadline(time.Now()) })
	defer stop()
	var judging sync.WaitGroup
	defer judging.Wait()
	buffer := make([]byte, 4096)
	for {
		n, err := g.file.Read(buffer)
		switch {
		case ctx.Err() != nil, errors.Is(err, os.ErrClosed):
			return nil
		case err != nil:
			return fmt.Errorf("reading fanotify events: %w", err)
		}
		for rest := buffer[:n]; len(rest) >= int(unsafe.Sizeof(unix.FanotifyEventMetadata{})); {
			e := *(*unix.FanotifyEventMetadata)(unsafe.Pointer(&rest[0]))
			if e.Vers != unix.FANOTIFY_METADATA_VERSION || int(e.Event_len) > len(rest) || e.Event_len < uint32(unsafe.Sizeof(e)) {
				return fmt.Errorf("fanotify events of version %d: %w", e.Vers, seawall.ErrCorrupt)
			}
			rest = rest[e.Event_len:]
			if e.Fd >= 0 {
				judging.Go(func() { g.answer(&e) })
			}
		}
	}
}

// answer judges one event; those of loaders and interpreters, which the kernel opens
// for a program that was judged, are allowed uncounted. It answers at the deadline where judging takes longer,
// and closes the event's descriptor, which the answer names, only after that.
func (g *Guard) answer(e *unix.FanotifyEventMetadata) {
	fd := int(e.Fd)
	defer unix.Close(fd)
	var answered sync.Once
	respond := func(count *atomic.Uint64, response uint32) {
		answered.Do(func() {
			if count != nil {
				count.Add(1)
			}
			r := unix.FanotifyResponse{Fd: e.Fd, Response: response}
			// It fails when the Guard has been closed: then all is allowed.
			_, _ = g.file.Write(unsafe.Slice((*byte)(unsafe.Pointer(&r)), unsafe.Sizeof(r)))
		})
	}
	late := time.AfterFunc(g.config.Deadline, func() { respond(&g.late, unix.FAN_ALLOW) })
	defer func() {
		if !late.Stop() {
			respond(&g.late, unix.FAN_ALLOW) // waits for the timer's answer
		}
	}()
	g.slots <- struct{}{}
	defer func() { <-g.slots }()
	exec, err := readExec(int(e.Pid), fd)
	if errors.Is(err, errNotThat) {
		respond(nil, unix.FAN_ALLOW)
		return
	}
	refuse, judged := false, false
	if err == nil && exec.PID != os.Getpid() {
		refuse, judged = g.config.Judge(exec)
	}
	switch {
	case !judged:
		respond(&g.unread, unix.FAN_ALLOW)
	case refuse:
		respond(&g.refused, unix.FAN_DENY)
	default:
		respond(&g.allowed, unix.FAN_ALLOW)
	}
}
