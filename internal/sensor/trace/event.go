// Package trace is what a kernel sensor sees: one Event for every system call of
// interest, every start, replacement and end of a process.
//
// A sensor decodes each record of its ring buffer into the same Event (Decode) and
// hands a pointer on; whoever keeps one takes a Clone. The wire format is the one
// the BPF programs of internal/sensor/kernel write; Append writes it too, for
// recordings and tests.
//
// Identifiers are those of the host's namespaces where nothing else is said.
// What a program claimed (a path as it was passed, an address given to connect) is
// kept apart from what the kernel resolved: the first may be changed by another
// thread of the program while it is read.
package trace

import (
	"iter"
	"net/netip"
	"strings"
	"time"
)

// Event is one thing a thread did. Which of the members after Args are set depends on
// Type (its constants say so); the others are zero.
//
// Texts point into memory of the record that was decoded: they hold until the
// function the event was handed to returns. Clone copies them.
type Event struct {
	Type  Type
	Flags Flags
	// CPU is where it was seen. Records of one CPU are in order; those of several may overtake one another.
	CPU uint16
	// Time is nanoseconds of CLOCK_BOOTTIME (Clock makes wall-clock time of it).
	Time uint64
	// Task is who did it, as it was when the call returned: after a setuid the new
	// identity, after an exec the new program.
	Task Task
	// Ret is what the call returned: negative is -errno. Exit: the exit code (0-255), or minus the signal that ended
	// the process. Fork family: the child's PID as the parent sees it.
	Ret int64
	// Args are the call's raw arguments; pointers among them mean nothing here.
	Args [6]uint64

	// Path and Path2 are paths as claimed: the first and second path of the call
	// (rename: old and new; link: existing and new; symlink: target text and new;
	// mount: source and target; chdir, open, exec, ...: Path alone; memfd_create: its name).
	Path, Path2 string
	// Dir and Dir2 are the directories that Path and Path2 are relative to, resolved;
	// "" where the path is absolute or there is none.
	Dir, Dir2 string
	// FSType is the file system's type as given to mount or fsopen.
	FSType string

	// FD is the descriptor the call is about or has made (open, socket, accept, memfd_create, connect, setns, dup: the old one); -1 where
	// there is none. NewFD is the one dup made.
	FD, NewFD int32
	// File is what FD refers to, what was executed (Exec), what was mapped (mmap).
	File File
	// Socket is what FD refers to when File.Kind is KindSocket. Of a connect that is refused or under way Remote is as claimed.
	Socket Socket

	// OpFlags are the flags of open (O_*), of clone and unshare (CLONE_*), mount (MS_*), setns (CLONE_NEW*), memfd_create,
	// renameat2, unlinkat, socket type of socket: "flags" in the field's sense. As the kernel's headers have them.
	OpFlags uint64
	// Mode are permission bits: open with O_CREAT, chmod, mkdir, mknod.
	Mode uint32
	// Prot is mmap's and mprotect's protection (PROT_*).
	Prot uint32
	// Command is ptrace's request, bpf's command, prctl's option, keyctl's and fcntl's command.
	Command uint32
	// TargetPID is whom kill, tkill, tgkill, ptrace, process_vm_writev, pidfd_open name, as they name it (in the caller's pid namespace).
	TargetPID int32
	Signal    int32
	// NewUID and NewGID are the identities asked for: setuid family, chown. ^0 leaves it as it is.
	NewUID, NewGID uint32

	// Rule is the deny rule that ended the process, where Flags has FlagKilled.
	Rule uint32

	// Exec is what an execve, execveat came to; File is the executable.
	Exec Exec
	// Child is whom a fork, vfork, clone, clone3 made.
	Child Child
	// Payload is the start (511 bytes) of what was sent or received on port 53: a DNS message.
	Payload string
}

// Task is a thread and its process.
type Task struct {
	PID, TID, PPID         uint32
	VPID, VTID, VPPID      uint32 // in its own pid namespace
	PGID, SID, VPGID, VSID uint32
	// Start is when the process began, ns of CLOCK_BOOTTIME: PID and Start name a process for good.
	// The thread's own beginning is not told.
	Start, ParentStart     uint64
	UID, EUID, SUID, FSUID uint32
	GID, EGID, SGID, FSGID uint32
	LoginUID, Session      uint32 // of audit; ^0 is none
	// Capability sets, bit n is capability n.
	CapPermitted, CapEffective, CapInheritable uint64
	// Cgroup is the id of its cgroup v2: the inode of its directory.
	Cgroup                        uint64
	MountNS, PIDNS, NetNS, UserNS uint32 // inode numbers as in /proc/PID/ns
	// TTY is the device number of the controlling terminal as in /proc/PID/stat; 0 is none.
	TTY uint32
	// Comm is the thread's name, up to 15 bytes.
	Comm string
	// ExeUpper and ExeMemfd: what the process runs is from an overlay's upper layer, from a memfd.
	ExeUpper, ExeMemfd bool
}

// Exec is the program that replaced another.
type Exec struct {
	// Interp is the interpreter the kernel started (of a script; else the executable's own path), as claimed.
	Interp string
	// Args are the new program's arguments, the first its own name; Env the variables. Bounded: see ArgsCut, EnvCut.
	// They are read from the new program's memory before its first instruction runs.
	Args, Env Strings
	// CWD is the working directory, resolved.
	CWD string
	// Stdio is what the descriptors 0, 1 and 2 are.
	Stdio [3]Stdio
	// OldTID is the thread that called; where it was not its process's first, the others are gone.
	OldTID uint32
}

// Stdio is one of the standard streams.
type Stdio struct {
	Kind  Kind
	Inode uint64
	Dev   uint32
	// Family is the address family where Kind is KindSocket (AF_*).
	Family uint16
}

// Child is a new process; threads are not told.
type Child struct {
	PID, VPID uint32 // VPID: in its own pid namespace
	Start     uint64
	Cgroup    uint64
	PIDNS     uint32
}

// File is an open file.
type File struct {
	// Path is resolved in the process's root, without " (deleted)". "" where Kind has no path.
	Path string
	Kind Kind
	// Dev is the device as in stat (major<<20|minor of the kernel); of overlayfs the overlay's.
	Dev             uint32
	Inode           uint64
	Mode            uint32 // type and permissions (S_IF*)
	UID, GID, NLink uint32
	CTime, MTime    uint64 // ns since 1970
	FSMagic         uint64 // as statfs has it
	// Flags are the open file's (O_*).
	Flags uint32
	// Upper: the file lies in the upper layer of an overlay, so it is not of the image. Lower: in a lower one.
	// Neither: not on an overlay.
	Upper, Lower bool
	// Memfd: made by memfd_create. Deleted: no name is left. Writable: the task's user may write it.
	Memfd, Deleted, Writable bool
}

// Socket is an open socket.
type Socket struct {
	Family   uint16 // AF_*
	Type     uint16 // SOCK_*
	Protocol uint16 // IPPROTO_*
	// State is the kernel's TCP state: 1 established, 10 listening.
	State uint8
	// Local and Remote are set for AF_INET and AF_INET6; an IPv4 address in IPv6 is unmapped.
	Local, Remote netip.AddrPort
	// Path is a unix socket's, of its own or of the peer it connects to; abstract ones begin with a zero byte.
	Path string
}

// Kind is what a descriptor refers to.
type Kind uint8

// The kinds.
const (
	KindNone Kind = iota
	KindFile
	KindDir
	KindSocket
	KindPipe
	KindChar
	KindBlock
	KindLink
	KindAnon // anon_inode: eventfd, epoll, bpf, io_uring, ...
)

// Flags mark an event.
type Flags uint16

// The flags.
const (
	// FlagKilled: the process was ended in the kernel, by a deny rule, before its first instruction.
	FlagKilled Flags = 1 << iota
	// FlagCompat: a 32-bit system call.
	FlagCompat
	// FlagArgsCut, FlagEnvCut, FlagPathCut: a bound cut it.
	FlagArgsCut
	FlagEnvCut
	FlagPathCut
	// FlagUnreadable: memory that the call points to could not be read (it was not there, or changed).
	FlagUnreadable
)

// Failed reports whether the call returned an error. A connect under way (EINPROGRESS) has not failed.
func (e *Event) Failed() bool {
	return e.Ret < 0 && e.Type != Exit && !(e.Type == Connect && e.Ret == -115)
}

// Strings is a list of texts, each ended by a zero byte.
type Strings string

// All gives them in order.
func (s Strings) All() iter.Seq2[int, string] {
	return func(yield func(int, string) bool) {
		rest := string(s)
		for i := 0; rest != ""; i++ {
			var one string
			one, rest, _ = strings.Cut(rest, "\x00")
			if !yield(i, one) {
				return
			}
		}
	}
}

// Len is their number.
func (s Strings) Len() int {
	n := strings.Count(string(s), "\x00")
	if s != "" && s[len(s)-1] != 0 {
		n++ // cut
	}
	return n
}

// Clock turns event times into wall-clock time.
type Clock struct {
	boot time.Time
}

// NewClock takes the clock readings of one moment: now, and CLOCK_BOOTTIME.
func NewClock(now time.Time, sinceBoot time.Duration) Clock {
	return Clock{boot: now.Add(-sinceBoot)}
}

// Time is the wall-clock time of an event's.
func (c Clock) Time(ns uint64) time.Time { return c.boot.Add(time.Duration(ns)) }

// Clone is a copy that keeps its texts: one allocation for the event, one for all of them.
func (e *Event) Clone() *Event {
	c := *e
	texts := c.texts()
	n := 0
	for _, t := range texts {
		n += len(*t)
	}
	b := make([]byte, 0, n)
	for _, t := range texts {
		b = append(b, *t...)
	}
	all := string(b)
	for _, t := range texts {
		*t, all = all[:len(*t)], all[len(*t):]
	}
	return &c
}

// texts are all members that point into the record.
func (e *Event) texts() [13]*string {
	return [...]*string{
		&e.Path, &e.Path2, &e.Dir, &e.Dir2, &e.FSType, &e.File.Path, &e.Socket.Path, &e.Task.Comm, &e.Payload,
		&e.Exec.Interp, (*string)(&e.Exec.Args), (*string)(&e.Exec.Env), &e.Exec.CWD,
	}
}
