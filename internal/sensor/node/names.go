package node

import (
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// bit is a flag by name. mask is 0 for a single bit; else the bits that say it when they are exactly set.
type bit struct {
	set, mask uint64
	name      string
}

const (
	accessMode = unix.O_ACCMODE
	readOnly   = unix.O_RDONLY
	readWrite  = unix.O_RDWR
	flagCreate = unix.O_CREAT
)

// The flags of calls, as include/uapi/linux has them. O_SYNC has O_DSYNC in it,
// and O_TMPFILE O_DIRECTORY.
var (
	openBits = []bit{
		{readOnly, accessMode, "O_RDONLY"}, {unix.O_WRONLY, accessMode, "O_WRONLY"}, {readWrite, accessMode, "O_RDWR"},
		{set: flagCreate, name: "O_CREAT"}, {set: unix.O_APPEND, name: "O_APPEND"}, {set: unix.O_EXCL, name: "O_EXCL"}, {set: unix.O_TRUNC, name: "O_TRUNC"},
		{set: unix.O_NONBLOCK, name: "O_NONBLOCK"}, {set: unix.O_DIRECT, name: "O_DIRECT"}, {set: unix.O_DIRECTORY, name: "O_DIRECTORY"}, {set: unix.O_CLOEXEC, name: "O_CLOEXEC"},
		{set: unix.O_PATH, name: "O_PATH"}, {set: unix.O_NOFOLLOW, name: "O_NOFOLLOW"}, {set: unix.O_NOATIME, name: "O_NOATIME"}, {set: unix.O_DSYNC, name: "O_DSYNC"},
		{unix.O_SYNC, unix.O_SYNC, "O_SYNC"}, {unix.O_TMPFILE, unix.O_TMPFILE, "O_TMPFILE"},
	}
	modeBits = []bit{
		{unix.S_IFBLK, unix.S_IFMT, "S_IFBLK"}, {unix.S_IFCHR, unix.S_IFMT, "S_IFCHR"}, {unix.S_IFIFO, unix.S_IFMT, "S_IFIFO"}, {unix.S_IFSOCK, unix.S_IFMT, "S_IFSOCK"}, {unix.S_IFREG, unix.S_IFMT, "S_IFREG"},
		{set: unix.S_ISUID, name: "S_ISUID"}, {set: unix.S_ISGID, name: "S_ISGID"}, {set: unix.S_ISVTX, name: "S_ISVTX"},
		{set: unix.S_IRUSR, name: "S_IRUSR"}, {set: unix.S_IWUSR, name: "S_IWUSR"}, {set: unix.S_IXUSR, name: "S_IXUSR"},
		{set: unix.S_IRGRP, name: "S_IRGRP"}, {set: unix.S_IWGRP, name: "S_IWGRP"}, {set: unix.S_IXGRP, name: "S_IXGRP"},
		{set: unix.S_IROTH, name: "S_IROTH"}, {set: unix.S_IWOTH, name: "S_IWOTH"}, {set: unix.S_IXOTH, name: "S_IXOTH"},
	}
	unlinkBits = []bit{{set: unix.AT_REMOVEDIR, name: "AT_REMOVEDIR"}}
	mountBits  = []bit{
		{set: unix.MS_RDONLY, name: "MS_RDONLY"}, {set: unix.MS_NOSUID, name: "MS_NOSUID"}, {set: unix.MS_NODEV, name: "MS_NODEV"}, {set: unix.MS_NOEXEC, name: "MS_NOEXEC"},
		{set: unix.MS_SYNCHRONOUS, name: "MS_SYNCHRONOUS"}, {set: unix.MS_REMOUNT, name: "MS_REMOUNT"}, {set: unix.MS_MANDLOCK, name: "MS_MANDLOCK"}, {set: unix.MS_DIRSYNC, name: "MS_DIRSYNC"},
		{set: unix.MS_NOATIME, name: "MS_NOATIME"}, {set: unix.MS_NODIRATIME, name: "MS_NODIRATIME"}, {set: unix.MS_BIND, name: "MS_BIND"}, {set: unix.MS_MOVE, name: "MS_MOVE"},
		{set: unix.MS_REC, name: "MS_REC"}, {set: unix.MS_SILENT, name: "MS_SILENT"}, {set: unix.MS_UNBINDABLE, name: "MS_UNBINDABLE"}, {set: unix.MS_PRIVATE, name: "MS_PRIVATE"},
		{set: unix.MS_SLAVE, name: "MS_SLAVE"}, {set: unix.MS_SHARED, name: "MS_SHARED"}, {set: unix.MS_RELATIME, name: "MS_RELATIME"}, {set: unix.MS_STRICTATIME, name: "MS_STRICTATIME"},
	}
	umountBits = []bit{{set: unix.MNT_FORCE, name: "MNT_FORCE"}, {set: unix.MNT_DETACH, name: "MNT_DETACH"}, {set: unix.MNT_EXPIRE, name: "MNT_EXPIRE"}, {set: unix.UMOUNT_NOFOLLOW, name: "UMOUNT_NOFOLLOW"}}
	cloneBits  = []bit{
		{set: unix.CLONE_VM, name: "CLONE_VM"}, {set: unix.CLONE_FS, name: "CLONE_FS"}, {set: unix.CLONE_FILES, name: "CLONE_FILES"}, {set: unix.CLONE_SIGHAND, name: "CLONE_SIGHAND"},
		{set: unix.CLONE_PTRACE, name: "CLONE_PTRACE"}, {set: unix.CLONE_VFORK, name: "CLONE_VFORK"}, {set: unix.CLONE_PARENT, name: "CLONE_PARENT"}, {set: unix.CLONE_THREAD, name: "CLONE_THREAD"},
		{set: unix.CLONE_NEWNS, name: "CLONE_NEWNS"}, {set: unix.CLONE_NEWCGROUP, name: "CLONE_NEWCGROUP"}, {set: unix.CLONE_NEWUTS, name: "CLONE_NEWUTS"}, {set: unix.CLONE_NEWIPC, name: "CLONE_NEWIPC"},
		{set: unix.CLONE_NEWUSER, name: "CLONE_NEWUSER"}, {set: unix.CLONE_NEWPID, name: "CLONE_NEWPID"}, {set: unix.CLONE_NEWNET, name: "CLONE_NEWNET"}, {set: unix.CLONE_NEWTIME, name: "CLONE_NEWTIME"},
	}
	execBits = []bit{{set: execWritable, name: "EXE_WRITABLE"}, {set: execUpper, name: "EXE_UPPER_LAYER"}, {set: execMemfd, name: "EXE_FROM_MEMFD"}, {set: execLower, name: "EXE_LOWER_LAYER"}}
	protBits = []bit{{set: unix.PROT_READ, name: "PROT_READ"}, {set: unix.PROT_WRITE, name: "PROT_WRITE"}, {set: unix.PROT_EXEC, name: "PROT_EXEC"}}
	mapBits  = []bit{
		{unix.MAP_SHARED, unix.MAP_TYPE, "MAP_SHARED"}, {unix.MAP_PRIVATE, unix.MAP_TYPE, "MAP_PRIVATE"},
		{set: unix.MAP_FIXED, name: "MAP_FIXED"}, {set: unix.MAP_ANONYMOUS, name: "MAP_ANONYMOUS"}, {set: unix.MAP_LOCKED, name: "MAP_LOCKED"}, {set: unix.MAP_POPULATE, name: "MAP_POPULATE"},
		{set: unix.MAP_STACK, name: "MAP_STACK"}, {set: unix.MAP_HUGETLB, name: "MAP_HUGETLB"}, {set: unix.MAP_GROWSDOWN, name: "MAP_GROWSDOWN"},
	}
)

// flags are the names of the bits that are set, between bars; 0 is no text where no name stands for it.
func (e *Event) flags(set uint64, names *[]bit) string {
	from := len(e.scratch)
	for _, n := range *names {
		if n.mask == 0 && set&n.set == 0 || n.mask != 0 && set&n.mask != n.set {
			continue
		}
		if len(e.scratch) > from {
			e.scratch = append(e.scratch, '|')
		}
		e.scratch = append(e.scratch, n.name...)
	}
	if len(e.scratch) == from {
		return e.decimal(int64(set))
	}
	return e.since(from)
}

// errnoName is the name of an error number.
func errnoName(n int64) string {
	if name := unix.ErrnoName(unix.Errno(n)); name != "" {
		return name
	}
	return strconv.FormatInt(n, 10)
}

// ptraceRequests are those of include/uapi/linux/ptrace.h and of x86-64 and arm64.
var ptraceRequests = sync.OnceValue(func() map[uint64]string {
	return map[uint64]string{
		0: "PTRACE_TRACEME", 1: "PTRACE_PEEKTEXT", 2: "PTRACE_PEEKDATA", 3: "PTRACE_PEEKUSR", 4: "PTRACE_POKETEXT", 5: "PTRACE_POKEDATA", 6: "PTRACE_POKEUSR",
		7: "PTRACE_CONT", 8: "PTRACE_KILL", 9: "PTRACE_SINGLESTEP", 12: "PTRACE_GETREGS", 13: "PTRACE_SETREGS", 14: "PTRACE_GETFPREGS", 15: "PTRACE_SETFPREGS",
		16: "PTRACE_ATTACH", 17: "PTRACE_DETACH", 24: "PTRACE_SYSCALL", 0x4200: "PTRACE_SETOPTIONS", 0x4201: "PTRACE_GETEVENTMSG", 0x4202: "PTRACE_GETSIGINFO",
		0x4203: "PTRACE_SETSIGINFO", 0x4204: "PTRACE_GETREGSET", 0x4205: "PTRACE_SETREGSET", 0x4206: "PTRACE_SEIZE", 0x4207: "PTRACE_INTERRUPT", 0x4208: "PTRACE_LISTEN",
		0x4209: "PTRACE_PEEKSIGINFO", 0x420a: "PTRACE_GETSIGMASK", 0x420b: "PTRACE_SETSIGMASK", 0x420e: "PTRACE_GET_SYSCALL_INFO",
	}
})

// bpfCommands are enum bpf_cmd of include/uapi/linux/bpf.h.
var bpfCommands = sync.OnceValue(func() map[uint64]string {
	all := map[uint64]string{}
	for i, name := range strings.Fields(`MAP_CREATE MAP_LOOKUP_ELEM MAP_UPDATE_ELEM MAP_DELETE_ELEM MAP_GET_NEXT_KEY PROG_LOAD OBJ_PIN OBJ_GET PROG_ATTACH PROG_DETACH PROG_TEST_RUN
		PROG_GET_NEXT_ID MAP_GET_NEXT_ID PROG_GET_FD_BY_ID MAP_GET_FD_BY_ID OBJ_GET_INFO_BY_FD PROG_QUERY RAW_TRACEPOINT_OPEN BTF_LOAD BTF_GET_FD_BY_ID TASK_FD_QUERY
		MAP_LOOKUP_AND_DELETE_ELEM MAP_FREEZE BTF_GET_NEXT_ID MAP_LOOKUP_BATCH MAP_LOOKUP_AND_DELETE_BATCH MAP_UPDATE_BATCH MAP_DELETE_BATCH LINK_CREATE LINK_UPDATE
		LINK_GET_FD_BY_ID LINK_GET_NEXT_ID ENABLE_STATS ITER_CREATE LINK_DETACH PROG_BIND_MAP TOKEN_CREATE`) {
		all[uint64(i)] = "BPF_" + name
	}
	return all
})

var families = sync.OnceValue(func() map[uint64]string {
	return map[uint64]string{
		unix.AF_UNIX: "AF_UNIX", unix.AF_INET: "AF_INET", unix.AF_INET6: "AF_INET6", unix.AF_NETLINK: "AF_NETLINK", unix.AF_PACKET: "AF_PACKET", unix.AF_ALG: "AF_ALG",
		unix.AF_VSOCK: "AF_VSOCK", unix.AF_KEY: "AF_KEY", unix.AF_BLUETOOTH: "AF_BLUETOOTH", unix.AF_CAN: "AF_CAN", unix.AF_XDP: "AF_XDP", unix.AF_KCM: "AF_KCM",
		unix.AF_RDS: "AF_RDS", unix.AF_TIPC: "AF_TIPC", unix.AF_NFC: "AF_NFC", unix.AF_SMC: "AF_SMC",
	}
})

var socketTypes = sync.OnceValue(func() map[uint64]string {
	return map[uint64]string{
		unix.SOCK_STREAM: "SOCK_STREAM", unix.SOCK_DGRAM: "SOCK_DGRAM", unix.SOCK_RAW: "SOCK_RAW", unix.SOCK_RDM: "SOCK_RDM", unix.SOCK_SEQPACKET: "SOCK_SEQPACKET", unix.SOCK_PACKET: "SOCK_PACKET",
	}
})

// namespaceKinds are the kinds by the name of their files in /proc/PID/ns.
var namespaceKinds = sync.OnceValue(func() map[string]uint64 {
	return map[string]uint64{
		"mnt": unix.CLONE_NEWNS, "net": unix.CLONE_NEWNET, "pid": unix.CLONE_NEWPID, "user": unix.CLONE_NEWUSER,
		"uts": unix.CLONE_NEWUTS, "ipc": unix.CLONE_NEWIPC, "cgroup": unix.CLONE_NEWCGROUP, "time": unix.CLONE_NEWTIME,
	}
})

// capabilityNames are those of include/uapi/linux/capability.h by number.
var capabilityNames = sync.OnceValue(func() []string {
	return strings.Fields(`CAP_CHOWN CAP_DAC_OVERRIDE CAP_DAC_READ_SEARCH CAP_FOWNER CAP_FSETID CAP_KILL CAP_SETGID CAP_SETUID CAP_SETPCAP CAP_LINUX_IMMUTABLE
		CAP_NET_BIND_SERVICE CAP_NET_BROADCAST CAP_NET_ADMIN CAP_NET_RAW CAP_IPC_LOCK CAP_IPC_OWNER CAP_SYS_MODULE CAP_SYS_RAWIO CAP_SYS_CHROOT CAP_SYS_PTRACE
		CAP_SYS_PACCT CAP_SYS_ADMIN CAP_SYS_BOOT CAP_SYS_NICE CAP_SYS_RESOURCE CAP_SYS_TIME CAP_SYS_TTY_CONFIG CAP_MKNOD CAP_LEASE CAP_AUDIT_WRITE CAP_AUDIT_CONTROL
		CAP_SETFCAP CAP_MAC_OVERRIDE CAP_MAC_ADMIN CAP_SYSLOG CAP_WAKE_ALARM CAP_BLOCK_SUSPEND CAP_AUDIT_READ CAP_PERFMON CAP_BPF CAP_CHECKPOINT_RESTORE`)
})
