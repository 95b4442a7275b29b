package trace

import "fmt"

// Type is what was done: a system call, named as rules name it, or Exit.
type Type uint16

// The types, with the members beyond Task, Ret and Args that each sets. "path" is Path and Dir, "paths" also Path2 and
// Dir2; "file" is FD and File; "socket" is FD, File and Socket.
const (
	TypeNone Type = iota
	// Execve and Execveat: Path (claimed), File (the executable), Exec, OpFlags (execveat); of a failed one Path and Dir.
	Execve
	Execveat
	// Exit is the end of a process (of its last thread), not the call; rules name it "procexit".
	// Where the two last threads end at once it may be told twice.
	Exit
	// Fork, Vfork, Clone, Clone3: Child, OpFlags.
	Fork
	Vfork
	Clone
	Clone3
	// Open, Openat, Openat2, Creat: path, file, OpFlags, Mode. Of a failed one no file.
	Open
	Openat
	Openat2
	Creat
	OpenByHandleAt // file, OpFlags
	// Rename, Renameat, Renameat2: paths, OpFlags.
	Rename
	Renameat
	Renameat2
	// Unlink, Unlinkat, Rmdir: path, OpFlags.
	Unlink
	Unlinkat
	Rmdir
	// Mkdir, Mkdirat, Mknod, Mknodat: path, Mode.
	Mkdir
	Mkdirat
	Mknod
	Mknodat
	// Link, Linkat, Symlink, Symlinkat: paths.
	Link
	Linkat
	Symlink
	Symlinkat
	// Chmod, Fchmodat, Fchmodat2: path, Mode. Fchmod: file, Mode.
	Chmod
	Fchmod
	Fchmodat
	Fchmodat2
	// Chown, Lchown, Fchownat: path, NewUID, NewGID. Fchown: file, NewUID, NewGID.
	Chown
	Lchown
	Fchown
	Fchownat
	// Truncate: path. Utime, Utimes, Futimesat, Utimensat: path; of a file given by its descriptor Dir alone. Setxattr: path, Path2 is the attribute's name. Chdir, Chroot: path.
	Truncate
	Utime
	Utimes
	Futimesat
	Utimensat
	Setxattr
	Lsetxattr
	Chdir
	Chroot
	// Mount: Path (source), Path2 (target), FSType, OpFlags. Umount2: path, OpFlags. MoveMount: paths. Fsopen: FSType. PivotRoot: paths.
	// OpenTree: path.
	Mount
	Umount2
	MoveMount
	Fsopen
	PivotRoot
	OpenTree
	// Setns: file, OpFlags. Unshare: OpFlags.
	Setns
	Unshare
	// Ptrace: Command, TargetPID. ProcessVMWritev, ProcessVMReadv, PidfdOpen, PidfdGetfd: TargetPID.
	Ptrace
	ProcessVMReadv
	ProcessVMWritev
	PidfdOpen
	PidfdGetfd
	// Kill, Tkill, Tgkill, PidfdSendSignal: TargetPID, Signal.
	Kill
	Tkill
	Tgkill
	PidfdSendSignal
	// Bpf: Command. InitModule: nothing. FinitModule: file. DeleteModule: Path (its name).
	Bpf
	InitModule
	FinitModule
	DeleteModule
	KexecLoad
	KexecFileLoad
	// The setuid family: NewUID or NewGID (of setresuid the effective one).
	Setuid
	Setgid
	Setreuid
	Setregid
	Setresuid
	Setresgid
	Setfsuid
	Setfsgid
	Setgroups
	// Capset: nothing beyond Task, whose sets are the new ones. Prctl: Command.
	Capset
	Prctl
	// MemfdCreate: Path (its name), file, OpFlags. Mmap: file (where one is mapped), Prot, OpFlags. Mprotect: Prot.
	MemfdCreate
	Mmap
	Mprotect
	// Socket: socket. Connect: socket. Accept, Accept4: socket (the new one). Bind: socket. Listen: socket.
	SocketCall
	Connect
	Accept
	Accept4
	Bind
	Listen
	// Sendto, Sendmsg, Sendmmsg, Recvfrom, Recvmsg, Recvmmsg: socket, Payload. Only to or from port 53.
	// Write, Read: the same of sockets that were connected to port 53.
	Sendto
	Sendmsg
	Sendmmsg
	Recvfrom
	Recvmsg
	Recvmmsg
	Write
	Read
	// Dup, Dup2, Dup3, Fcntl (F_DUPFD only): file or socket, NewFD. Only those onto the standard streams.
	Dup
	Dup2
	Dup3
	Fcntl
	IOUringSetup
	IOUringOp // an operation through io_uring: Command is its opcode; socket or file where it has a descriptor.
	Userfaultfd
	Keyctl // Command
	AddKey
	PerfEventOpen
	Quotactl
	Swapon
	Reboot
	Sethostname
	Settimeofday
	ClockSettime
	Personality
	// CgroupMkdir, CgroupRmdir: Path (in the cgroup v2 tree) and Child.Cgroup; Task is who did it.
	CgroupMkdir
	CgroupRmdir
	typeCount
)

// names are those of the rules language.
var names = [typeCount]string{
	Execve:          "execve",
	Execveat:        "execveat",
	Exit:            "procexit",
	Fork:            "fork",
	Vfork:           "vfork",
	Clone:           "clone",
	Clone3:          "clone3",
	Open:            "open",
	Openat:          "openat",
	Openat2:         "openat2",
	Creat:           "creat",
	OpenByHandleAt:  "open_by_handle_at",
	Rename:          "rename",
	Renameat:        "renameat",
	Renameat2:       "renameat2",
	Unlink:          "unlink",
	Unlinkat:        "unlinkat",
	Rmdir:           "rmdir",
	Mkdir:           "mkdir",
	Mkdirat:         "mkdirat",
	Mknod:           "mknod",
	Mknodat:         "mknodat",
	Link:            "link",
	Linkat:          "linkat",
	Symlink:         "symlink",
	Symlinkat:       "symlinkat",
	Chmod:           "chmod",
	Fchmod:          "fchmod",
	Fchmodat:        "fchmodat",
	Fchmodat2:       "fchmodat2",
	Chown:           "chown",
	Lchown:          "lchown",
	Fchown:          "fchown",
	Fchownat:        "fchownat",
	Truncate:        "truncate",
	Utime:           "utime",
	Utimes:          "utimes",
	Futimesat:       "futimesat",
	Utimensat:       "utimensat",
	Setxattr:        "setxattr",
	Lsetxattr:       "lsetxattr",
	Chdir:           "chdir",
	Chroot:          "chroot",
	Mount:           "mount",
	Umount2:         "umount2",
	MoveMount:       "move_mount",
	Fsopen:          "fsopen",
	PivotRoot:       "pivot_root",
	OpenTree:        "open_tree",
	Setns:           "setns",
	Unshare:         "unshare",
	Ptrace:          "ptrace",
	ProcessVMReadv:  "process_vm_readv",
	ProcessVMWritev: "process_vm_writev",
	PidfdOpen:       "pidfd_open",
	PidfdGetfd:      "pidfd_getfd",
	Kill:            "kill",
	Tkill:           "tkill",
	Tgkill:          "tgkill",
	PidfdSendSignal: "pidfd_send_signal",
	Bpf:             "bpf",
	InitModule:      "init_module",
	FinitModule:     "finit_module",
	DeleteModule:    "delete_module",
	KexecLoad:       "kexec_load",
	KexecFileLoad:   "kexec_file_load",
	Setuid:          "setuid",
	Setgid:          "setgid",
	Setreuid:        "setreuid",
	Setregid:        "setregid",
	Setresuid:       "setresuid",
	Setresgid:       "setresgid",
	Setfsuid:        "setfsuid",
	Setfsgid:        "setfsgid",
	Setgroups:       "setgroups",
	Capset:          "capset",
	Prctl:           "prctl",
	MemfdCreate:     "memfd_create",
	Mmap:            "mmap",
	Mprotect:        "mprotect",
	SocketCall:      "socket",
	Connect:         "connect",
	Accept:          "accept",
	Accept4:         "accept4",
	Bind:            "bind",
	Listen:          "listen",
	Sendto:          "sendto",
	Sendmsg:         "sendmsg",
	Sendmmsg:        "sendmmsg",
	Recvfrom:        "recvfrom",
	Recvmsg:         "recvmsg",
	Recvmmsg:        "recvmmsg",
	Write:           "write",
	Read:            "read",
	Dup:             "dup",
	Dup2:            "dup2",
	Dup3:            "dup3",
	Fcntl:           "fcntl",
	IOUringSetup:    "io_uring_setup",
	IOUringOp:       "io_uring_op",
	Userfaultfd:     "userfaultfd",
	Keyctl:          "keyctl",
	AddKey:          "add_key",
	PerfEventOpen:   "perf_event_open",
	Quotactl:        "quotactl",
	Swapon:          "swapon",
	Reboot:          "reboot",
	Sethostname:     "sethostname",
	Settimeofday:    "settimeofday",
	ClockSettime:    "clock_settime",
	Personality:     "personality",
	CgroupMkdir:     "cgroup_mkdir",
	CgroupRmdir:     "cgroup_rmdir",
}

// String is the name rules use.
func (t Type) String() string {
	if t > TypeNone && t < typeCount {
		return names[t]
	}
	return fmt.Sprintf("type(%d)", uint16(t))
}

// forks reports whether the call makes processes.
func (t Type) forks() bool { return t >= Fork && t <= Clone3 }

// TypeOf is the type of a name.
func TypeOf(name string) (Type, bool) {
	for t := TypeNone + 1; t < typeCount; t++ {
		if names[t] == name {
			return t, true
		}
	}
	return TypeNone, false
}

// Types are all of them, in order.
func Types() []Type {
	all := make([]Type, 0, typeCount-1)
	for t := TypeNone + 1; t < typeCount; t++ {
		all = append(all, t)
	}
	return all
}
