package kernel

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/cilium/ebpf"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/sensor/trace"
	"github.com/seawall-security/seawall/internal/testenv"
)

// acts are what the children of the tests do, each in a directory of its own.
func acts() map[string]func(dir string) error {
	return map[string]func(dir string) error{
		"files": actFiles, "names": actNames, "mounts": actMounts, "identities": actIdentities, "control": actControl,
		"memory": actMemory, "network": actNetwork, "dns": actDNS, "ring": actRing, "memfd": actMemfd, "overlay": actOverlay,
		"deleted": actDeleted, "storm": actStorm, "cgroup": actCgroup, "sensor": actSensor, "opens": actOpens, "maps": actMaps,
	}
}

// path is a text of a system call.
func path0(s string) uintptr {
	b, err := unix.BytePtrFromString(s)
	if err != nil {
		panic(err)
	}
	return uintptr(unsafe.Pointer(b))
}

// must ends an act whose step went wrong.
func must(err error) {
	if err != nil {
		panic(err)
	}
}

func named(name string) func(*trace.Event) bool {
	return func(e *trace.Event) bool { return e.Path == name }
}

func actFiles(dir string) error {
	d, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY, 0)
	must(err)
	fd, err := unix.Openat(d, "made", unix.O_CREAT|unix.O_WRONLY|unix.O_TRUNC, 0o640)
	must(err)
	must(unix.Fchmod(fd, 0o4755))
	must(unix.Fchown(fd, 12, 34))
	if _, _, errno := unix.Syscall6(unix.SYS_UTIMENSAT, uintptr(fd), 0, 0, 0, 0, 0); errno != 0 {
		return errno
	}
	fd2, err := unix.Openat2(unix.AT_FDCWD, "made", &unix.OpenHow{Flags: unix.O_RDONLY, Resolve: unix.RESOLVE_NO_SYMLINKS})
	must(err)
	unix.Close(fd2)
	unix.Close(fd)
	unix.Open(filepath.Join(dir, "missing"), unix.O_RDWR, 0)
	must(unix.Chmod("made", 0o600))
	must(unix.Fchmodat(unix.AT_FDCWD, "made", 0o711, 0))
	must(unix.Lchown("made", 1, 2))
	must(unix.Fchownat(unix.AT_FDCWD, "made", 3, 4, unix.AT_SYMLINK_NOFOLLOW))
	must(unix.Truncate("made", 10))
	must(unix.UtimesNanoAt(unix.AT_FDCWD, "made", []unix.Timespec{{}, {}}, 0))
	must(unix.Unlinkat(d, "made", 0))
	return nil
}

func TestFiles(t *testing.T) {
	s := newStage(t, Config{}, seawall.EventFilter{})
	events := s.act(t, "files")
	made := filepath.Join(s.dir, "made")
	open := find(t, events, trace.Openat, func(e *trace.Event) bool { return e.Path == "made" })
	if open.Dir != s.dir || open.File.Path != made || open.FD < 0 || int64(open.FD) != open.Ret || open.OpFlags != unix.O_CREAT|unix.O_WRONLY|unix.O_TRUNC|unix.O_LARGEFILE && open.OpFlags != unix.O_CREAT|unix.O_WRONLY|unix.O_TRUNC ||
		open.Mode != 0o640 || open.File.Kind != trace.KindFile || open.File.Mode&0o7777 != 0o640 || open.File.Inode == 0 {
		t.Errorf("open: %+v", open)
	}
	if e := find(t, events, trace.Openat2, named("made")); e.OpFlags != unix.O_RDONLY || e.File.Inode != open.File.Inode || e.Dir != s.dir {
		t.Errorf("openat2: %+v", e)
	}
	if e := find(t, events, trace.Openat, named(filepath.Join(s.dir, "missing"))); e.Ret != -int64(unix.ENOENT) || e.FD != -1 || e.File.Path != "" || !e.Failed() || e.OpFlags&unix.O_RDWR == 0 {
		t.Errorf("failed open: %+v", e)
	}
	if e := find(t, events, trace.Fchmod, any1); e.File.Path != made || e.Mode != 0o4755 || e.FD != open.FD {
		t.Errorf("fchmod: %+v", e)
	}
	if e := find(t, events, trace.Fchown, any1); e.File.Path != made || e.NewUID != 12 || e.NewGID != 34 {
		t.Errorf("fchown: %+v", e)
	}
	for _, e := range events {
		if e.Type == trace.Chmod || e.Type == trace.Fchmodat {
			if e.Path != "made" || e.Dir != s.dir || e.Mode != 0o600 && e.Mode != 0o711 {
				t.Errorf("chmod: %+v", e)
			}
		}
	}
	if e := find(t, events, trace.Fchownat, func(e *trace.Event) bool { return e.NewUID == 3 }); e.NewGID != 4 || e.OpFlags != unix.AT_SYMLINK_NOFOLLOW {
		t.Errorf("fchownat: %+v", e)
	}
	find(t, events, trace.Truncate, func(e *trace.Event) bool { return e.Path == "made" && e.Dir == s.dir })
	find(t, events, trace.Utimensat, func(e *trace.Event) bool { return e.Path == "made" && e.Dir == s.dir })
	find(t, events, trace.Utimensat, func(e *trace.Event) bool { return e.Path == "" && e.Dir == made && e.Flags&trace.FlagUnreadable == 0 })
	find(t, events, trace.Unlinkat, func(e *trace.Event) bool { return e.Path == "made" && e.Dir == s.dir })
}

func any1(*trace.Event) bool { return true }

func actNames(dir string) error {
	d, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY, 0)
	must(err)
	must(os.WriteFile("a", nil, 0o600))
	must(unix.Renameat2(d, "a", unix.AT_FDCWD, "b", unix.RENAME_NOREPLACE))
	must(unix.Linkat(d, "b", d, "c", 0))
	must(unix.Symlinkat("/target of it", d, "s"))
	must(unix.Mkdirat(d, "sub", 0o700))
	must(unix.Mkfifoat(d, "fifo", 0o600))
	must(unix.Rmdir(dir + "/sub"))
	must(unix.Chdir("/"))
	must(unix.Unlink(dir + "/b"))
	if runtime.GOARCH == "amd64" {
		const rename, link = 82, 86 // not on other architectures
		unix.Syscall(rename, path0(dir+"/c"), path0(dir+"/d"), 0)
		unix.Syscall(link, path0("relative"), path0(dir+"/e"), 0)
	}
	unix.Syscall(unix.SYS_UNLINKAT, ^uintptr(99), 1, 0) // neither descriptor nor memory
	return nil
}

func TestNames(t *testing.T) {
	s := newStage(t, Config{}, seawall.EventFilter{Types: []string{"renameat2", "renameat", "rename", "link", "linkat", "symlinkat", "mkdirat", "mknodat", "rmdir", "unlinkat", "unlink", "chdir"}})
	events := s.act(t, "names")
	if e := find(t, events, trace.Renameat2, any1); e.Path != "a" || e.Path2 != "b" || e.Dir != s.dir || e.Dir2 != s.dir || e.OpFlags != unix.RENAME_NOREPLACE {
		t.Errorf("rename: %+v", e)
	}
	if e := find(t, events, trace.Linkat, any1); e.Path != "b" || e.Path2 != "c" || e.Dir2 != s.dir {
		t.Errorf("link: %+v", e)
	}
	if e := find(t, events, trace.Symlinkat, any1); e.Path != "/target of it" || e.Dir != "" || e.Path2 != "s" || e.Dir2 != s.dir {
		t.Errorf("symlink: %+v", e)
	}
	if e := find(t, events, trace.Mkdirat, named("sub")); e.Mode != 0o700 {
		t.Errorf("mkdir: %+v", e)
	}
	find(t, events, trace.Mknodat, named("fifo"))
	find(t, events, trace.Chdir, named("/"))
	if e := find(t, events, trace.Unlinkat, func(e *trace.Event) bool { return e.Ret == -int64(unix.EFAULT) || e.Ret == -int64(unix.EBADF) }); e.Path != "" || e.Flags&trace.FlagUnreadable == 0 {
		t.Errorf("unlink of nothing: %+v", e)
	}
	if runtime.GOARCH == "amd64" {
		if e := find(t, events, trace.Link, any1); e.Path != "relative" || e.Dir != "/" || !e.Failed() {
			t.Errorf("link: %+v", e)
		}
		find(t, events, trace.Rename, func(e *trace.Event) bool { return e.Path2 == s.dir+"/d" && e.Dir2 == "" })
	}
	for _, e := range events {
		if e.Type == trace.Openat || e.Type == trace.Mmap {
			t.Fatalf("a type that was not asked for: %+v", e)
		}
	}
}

func actMounts(dir string) error {
	runtime.LockOSThread()
	must(unix.Unshare(unix.CLONE_NEWNS))
	must(unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""))
	must(unix.Mount("somewhere", dir, "tmpfs", unix.MS_NOSUID, "size=4k"))
	must(os.WriteFile(filepath.Join(dir, "inside"), nil, 0o600))
	must(unix.Chdir("/"))
	must(unix.Unmount(dir, unix.MNT_DETACH))
	ns, err := unix.Open("/proc/self/ns/uts", unix.O_RDONLY, 0)
	must(err)
	must(unix.Setns(ns, unix.CLONE_NEWUTS))
	fs, err := unix.Fsopen("tmpfs", 0)
	must(err)
	unix.Close(fs)
	unix.MoveMount(unix.AT_FDCWD, "/nowhere", unix.AT_FDCWD, "/nothing", 0)
	unix.PivotRoot("/nowhere", "/nothing")
	must(unix.Mkdir(dir+"/jail", 0o755))
	must(unix.Chroot(dir + "/jail"))
	must(os.WriteFile("/injail", nil, 0o600))
	return nil
}

func TestMounts(t *testing.T) {
	s := newStage(t, Config{}, seawall.EventFilter{})
	events := s.act(t, "mounts")
	find(t, events, trace.Unshare, func(e *trace.Event) bool { return e.OpFlags == unix.CLONE_NEWNS })
	if e := find(t, events, trace.Mount, named("somewhere")); e.Path2 != s.dir || e.FSType != "tmpfs" || e.OpFlags != unix.MS_NOSUID || e.Ret != 0 {
		t.Errorf("mount: %+v", e)
	}
	inside := find(t, events, trace.Openat, named(s.dir+"/inside"))
	if inside.File.Path != s.dir+"/inside" || inside.File.FSMagic != unix.TMPFS_MAGIC || inside.Task.MountNS == 0 {
		t.Errorf("open across a mount: %+v", inside)
	}
	find(t, events, trace.Umount2, func(e *trace.Event) bool { return e.Path == s.dir && e.OpFlags == unix.MNT_DETACH })
	find(t, events, trace.Setns, func(e *trace.Event) bool { return e.OpFlags == unix.CLONE_NEWUTS && e.File.FSMagic == unix.NSFS_MAGIC })
	find(t, events, trace.Fsopen, func(e *trace.Event) bool { return e.FSType == "tmpfs" })
	find(t, events, trace.MoveMount, func(e *trace.Event) bool { return e.Path == "/nowhere" && e.Path2 == "/nothing" && e.Failed() })
	find(t, events, trace.PivotRoot, func(e *trace.Event) bool { return e.Path == "/nowhere" && e.Path2 == "/nothing" && e.Failed() })
	find(t, events, trace.Chroot, named(s.dir+"/jail"))
	if e := find(t, events, trace.Openat, named("/injail")); e.File.Path != "/injail" {
		t.Errorf("a path is not seen from the process's root: %+v", e.File)
	}
}

func actIdentities(string) error {
	runtime.LockOSThread()
	raw := func(nr uintptr, a ...uintptr) {
		a = append(a, 0, 0, 0)
		unix.RawSyscall(nr, a[0], a[1], a[2])
	}
	raw(unix.SYS_SETRESGID, 5, 6, 7)
	raw(unix.SYS_SETFSUID, 42)
	raw(unix.SYS_SETRESUID, 0, 1234, 0)
	raw(unix.SYS_SETREUID, ^uintptr(0), 0)
	hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	must(unix.Capget(&hdr, &data[0]))
	data[0].Effective &^= 1 << unix.CAP_SYS_ADMIN
	must(unix.Capset(&hdr, &data[0]))
	raw(unix.SYS_SETUID, 99)
	must(unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0))
	return nil
}

func TestIdentities(t *testing.T) {
	s := newStage(t, Config{}, seawall.EventFilter{Types: []string{"setresgid", "setresuid", "setreuid", "setuid", "setfsuid", "capset", "prctl"}})
	events := s.act(t, "identities")
	if e := find(t, events, trace.Setresgid, any1); e.NewGID != 6 || e.Task.GID != 5 || e.Task.EGID != 6 || e.Task.SGID != 7 {
		t.Errorf("setresgid: %+v", e)
	}
	if e := find(t, events, trace.Setresuid, any1); e.NewUID != 1234 || e.Task.EUID != 1234 || e.Task.UID != 0 {
		t.Errorf("setresuid: %+v", e)
	}
	if e := find(t, events, trace.Setfsuid, any1); e.NewUID != 42 || e.Task.FSUID != 42 {
		t.Errorf("setfsuid: %+v", e)
	}
	find(t, events, trace.Setreuid, func(e *trace.Event) bool { return e.NewUID == 0 && e.Task.EUID == 0 })
	if e := find(t, events, trace.Capset, any1); trace.HasCap(e.Task.CapEffective, unix.CAP_SYS_ADMIN) || !trace.HasCap(e.Task.CapPermitted, unix.CAP_SYS_ADMIN) {
		t.Errorf("capset: %+v", e.Task)
	}
	if e := find(t, events, trace.Setuid, any1); e.NewUID != 99 || e.Task.UID != 99 || e.Task.CapEffective != 0 {
		t.Errorf("setuid: %+v", e)
	}
	find(t, events, trace.Prctl, func(e *trace.Event) bool { return e.Command == unix.PR_SET_DUMPABLE })
}

func actControl(string) error {
	must(unix.Kill(os.Getpid(), 0))
	must(unix.Tgkill(os.Getpid(), unix.Gettid(), unix.SIGURG))
	unix.Syscall6(unix.SYS_PTRACE, unix.PTRACE_SEIZE, 0x7ffffff0, 0, 0, 0, 0)
	unix.Syscall(unix.SYS_BPF, 999, 0, 0)
	unix.Syscall(unix.SYS_INIT_MODULE, 0, 0, 0)
	null, err := unix.Open("/dev/null", unix.O_RDONLY, 0)
	must(err)
	unix.FinitModule(null, "", 0)
	unix.DeleteModule("no_such_module", unix.O_NONBLOCK)
	one := byte(1)
	iov := []unix.Iovec{{Base: &one, Len: 1}}
	_, err = unix.ProcessVMWritev(os.Getpid(), iov, []unix.RemoteIovec{{Base: uintptr(unsafe.Pointer(&one)), Len: 1}}, 0)
	must(err)
	unix.KeyctlInt(unix.KEYCTL_GET_KEYRING_ID, unix.KEY_SPEC_SESSION_KEYRING, 0, 0, 0)
	unix.Syscall(unix.SYS_USERFAULTFD, unix.O_CLOEXEC, 0, 0)
	pidfd, err := unix.PidfdOpen(os.Getpid(), 0)
	must(err)
	return unix.Close(pidfd)
}

func TestControl(t *testing.T) {
	s := newStage(t, Config{}, seawall.EventFilter{Reads: &seawall.PathFilter{}, Writes: &seawall.PathFilter{}})
	events := s.act(t, "control")
	pid := find(t, events, trace.Exit, any1).Task.PID
	find(t, events, trace.Kill, func(e *trace.Event) bool { return e.TargetPID == int32(pid) && e.Signal == 0 })
	find(t, events, trace.Tgkill, func(e *trace.Event) bool { return e.TargetPID == int32(pid) && e.Signal == int32(unix.SIGURG) })
	find(t, events, trace.Ptrace, func(e *trace.Event) bool {
		return e.Command == unix.PTRACE_SEIZE && e.TargetPID == 0x7ffffff0 && e.Failed()
	})
	find(t, events, trace.Bpf, func(e *trace.Event) bool { return e.Command == 999 && e.Failed() })
	find(t, events, trace.InitModule, (*trace.Event).Failed)
	find(t, events, trace.FinitModule, func(e *trace.Event) bool { return e.File.Path == "/dev/null" && e.File.Kind == trace.KindChar })
	find(t, events, trace.DeleteModule, named("no_such_module"))
	find(t, events, trace.ProcessVMWritev, func(e *trace.Event) bool { return e.TargetPID == int32(pid) && e.Ret == 1 })
	find(t, events, trace.Keyctl, func(e *trace.Event) bool { return e.Command == unix.KEYCTL_GET_KEYRING_ID })
	find(t, events, trace.Userfaultfd, func(e *trace.Event) bool { return e.OpFlags == unix.O_CLOEXEC })
	find(t, events, trace.PidfdOpen, func(e *trace.Event) bool { return e.TargetPID == int32(pid) })
}

func actMemory(string) error {
	m, err := unix.Mmap(-1, 0, 4096, unix.PROT_READ|unix.PROT_WRITE|unix.PROT_EXEC, unix.MAP_PRIVATE|unix.MAP_ANON)
	must(err)
	must(unix.Mprotect(m, unix.PROT_READ))
	must(unix.Mprotect(m, unix.PROT_READ|unix.PROT_WRITE|unix.PROT_EXEC))
	fd, err := unix.MemfdCreate("secret", unix.MFD_CLOEXEC)
	must(err)
	return unix.Close(fd)
}

func TestMemory(t *testing.T) {
	s := newStage(t, Config{}, seawall.EventFilter{Types: []string{"mmap", "mprotect", "memfd_create"}})
	events := s.act(t, "memory")
	const all = unix.PROT_READ | unix.PROT_WRITE | unix.PROT_EXEC
	find(t, events, trace.Mmap, func(e *trace.Event) bool { return e.Prot == all && e.OpFlags&unix.MAP_ANON != 0 && e.FD == -1 })
	find(t, events, trace.Mprotect, func(e *trace.Event) bool { return e.Prot == all })
	for _, e := range events {
		if (e.Type == trace.Mmap || e.Type == trace.Mprotect) && e.Prot != all {
			t.Errorf("harmless: %+v", e)
		}
	}
	if e := find(t, events, trace.MemfdCreate, named("secret")); e.OpFlags != unix.MFD_CLOEXEC || !e.File.Memfd || e.File.Path != "memfd:secret" || int64(e.FD) != e.Ret {
		t.Errorf("memfd: %+v", e)
	}
}

func actMaps(string) error {
	for range 2 {
		f, err := os.Open("/bin/true")
		must(err)
		_, err = unix.Mmap(int(f.Fd()), 0, 4096, unix.PROT_READ|unix.PROT_EXEC, unix.MAP_PRIVATE)
		must(err)
		f.Close()
	}
	return nil
}

func TestFilesMappedExecutableOncePerCgroup(t *testing.T) {
	s := newStage(t, Config{}, seawall.EventFilter{Types: []string{}, Maps: true})
	events := s.act(t, "maps")
	n := 0
	for _, e := range events {
		if e.Type == trace.Mmap && e.File.Path == "/usr/bin/true" && e.Prot == unix.PROT_READ|unix.PROT_EXEC {
			n++
		}
	}
	if n != 1 {
		t.Errorf("told %d times", n)
	}
}

func actNetwork(dir string) error {
	listener, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	must(err)
	must(unix.Bind(listener, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}))
	must(unix.Listen(listener, 7))
	at, err := unix.Getsockname(listener)
	must(err)
	client, err := unix.Socket(unix.AF_INET6, unix.SOCK_STREAM, 0)
	must(err)
	mapped := [16]byte{10: 0xff, 11: 0xff, 12: 127, 15: 1}
	must(unix.Connect(client, &unix.SockaddrInet6{Port: at.(*unix.SockaddrInet4).Port, Addr: mapped}))
	server, _, err := unix.Accept4(listener, unix.SOCK_NONBLOCK)
	must(err)
	unix.Close(listener)
	refused, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	must(err)
	unix.Connect(refused, &unix.SockaddrInet4{Port: 1, Addr: [4]byte{127, 0, 0, 9}})
	local, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	must(err)
	must(unix.Bind(local, &unix.SockaddrUnix{Name: dir + "/socket"}))
	must(unix.Listen(local, 1))
	other, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	must(err)
	must(unix.Connect(other, &unix.SockaddrUnix{Name: dir + "/socket"}))
	must(unix.Dup3(server, 0, 0))
	pipe := make([]int, 2)
	must(unix.Pipe(pipe))
	must(unix.Dup3(pipe[0], 0, 0))
	unix.Close(0)
	_, err = unix.FcntlInt(uintptr(server), unix.F_DUPFD, 0)
	return err
}

func TestNetwork(t *testing.T) {
	s := newStage(t, Config{}, seawall.EventFilter{})
	events := s.act(t, "network")
	listen := find(t, events, trace.Listen, func(e *trace.Event) bool { return e.Socket.Family == unix.AF_INET })
	port := listen.Socket.Local.Port()
	if listen.Socket.Local.Addr().String() != "127.0.0.1" || port == 0 || listen.Socket.Protocol != unix.IPPROTO_TCP || listen.Args[1] != 7 {
		t.Errorf("listen: %+v", listen)
	}
	find(t, events, trace.SocketCall, func(e *trace.Event) bool {
		return e.FD == listen.FD && e.Socket.Family == unix.AF_INET && e.Socket.Type == unix.SOCK_STREAM && e.File.Kind == trace.KindSocket && e.OpFlags == unix.SOCK_STREAM|unix.SOCK_CLOEXEC
	})
	find(t, events, trace.Bind, func(e *trace.Event) bool { return e.Socket.Local == listen.Socket.Local })
	connect := find(t, events, trace.Connect, func(e *trace.Event) bool { return e.Socket.Family == unix.AF_INET6 })
	if connect.Socket.Remote != listen.Socket.Local || connect.Socket.Local.Addr().String() != "127.0.0.1" || connect.Ret != 0 {
		t.Errorf("connect: %+v", connect)
	}
	if e := find(t, events, trace.Accept4, any1); e.Socket.Remote != connect.Socket.Local || e.Socket.Local != listen.Socket.Local || e.OpFlags != unix.SOCK_NONBLOCK || e.FD == listen.FD {
		t.Errorf("accept: %+v", e)
	}
	if e := find(t, events, trace.Connect, func(e *trace.Event) bool { return e.Ret == -int64(unix.ECONNREFUSED) }); e.Socket.Remote.String() != "127.0.0.9:1" {
		t.Errorf("refused: %+v", e)
	}
	find(t, events, trace.Bind, func(e *trace.Event) bool { return e.Socket.Family == unix.AF_UNIX && e.Socket.Path == s.dir+"/socket" })
	find(t, events, trace.Connect, func(e *trace.Event) bool { return e.Socket.Family == unix.AF_UNIX && e.Socket.Path == s.dir+"/socket" })
	if e := find(t, events, trace.Dup3, any1); e.NewFD != 0 || e.File.Kind != trace.KindSocket || e.Socket.Remote != connect.Socket.Local {
		t.Errorf("dup: %+v", e)
	}
	find(t, events, trace.Fcntl, func(e *trace.Event) bool {
		return e.Command == unix.F_DUPFD && e.NewFD == 0 && e.Socket.Family == unix.AF_INET
	})
	for _, e := range events {
		if (e.Type == trace.Dup3 || e.Type == trace.Fcntl) && e.File.Kind != trace.KindSocket {
			t.Errorf("no socket: %+v", e)
		}
	}
}

// query asks for the address of example.com (RFC 1035, section 4.1).
func query() []byte {
	b := []byte{0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0}
	for _, label := range []string{"example", "com"} {
		b = append(append(b, byte(len(label))), label...)
	}
	return append(b, 0, 0, 1, 0, 1)
}

func actDNS(string) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
	must(err)
	resolver := &unix.SockaddrInet4{Port: 53, Addr: [4]byte{127, 0, 0, 99}}
	must(unix.Sendto(fd, query(), 0, resolver))
	_ = unix.Sendto(fd, []byte("other"), 0, &unix.SockaddrInet4{Port: 5353, Addr: [4]byte{127, 0, 0, 99}})
	connected, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
	must(err)
	must(unix.Connect(connected, resolver))
	_, err = unix.SendmsgN(connected, query(), nil, nil, 0)
	must(err)
	// As Go's own resolver does it.
	again, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
	must(err)
	must(unix.Connect(again, resolver))
	_, err = unix.Write(again, query())
	must(err)
	unix.Close(again)
	// The same number is something else now.
	file, err := unix.Open("file", unix.O_CREAT|unix.O_WRONLY, 0o600)
	must(err)
	if file != again {
		return fmt.Errorf("descriptor %d, want %d", file, again)
	}
	_, err = unix.Write(file, []byte("to no resolver"))
	return err
}

func TestDNS(t *testing.T) {
	s := newStage(t, Config{}, seawall.EventFilter{Types: []string{"sendto", "sendmsg", "write"}})
	events := s.act(t, "dns")
	for _, typ := range []trace.Type{trace.Sendto, trace.Sendmsg, trace.Write} {
		if e := find(t, events, typ, any1); e.Payload != string(query()) || e.Socket.Remote.String() != "127.0.0.99:53" || e.Socket.Protocol != unix.IPPROTO_UDP {
			t.Errorf("%v: %+v", typ, e)
		}
	}
	for _, e := range events {
		if e.Socket.Remote.Port() == 5353 || e.Type == trace.Write && e.Payload != string(query()) {
			t.Errorf("no query: %+v", e)
		}
	}
}

// actRing opens a file through io_uring, without the system call.
func actRing(dir string) error {
	type offsets struct {
		Head, Tail, Mask, Entries, Flags, Dropped, Array, R1 uint32
		Addr                                                 uint64
	}
	var p struct {
		SQEntries, CQEntries, Flags, CPU, Idle, Features, WQ uint32
		Reserved                                             [3]uint32
		SQ, CQ                                               offsets
	}
	fd, _, errno := unix.Syscall(unix.SYS_IO_URING_SETUP, 1, uintptr(unsafe.Pointer(&p)), 0)
	if errno != 0 {
		return fmt.Errorf("io_uring_setup: %w", errno)
	}
	ring, err := unix.Mmap(int(fd), 0, int(p.SQ.Array+4*p.SQEntries), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	must(err)
	entries, err := unix.Mmap(int(fd), 0x10000000, 64, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	must(err)
	name, err := unix.BytePtrFromString(filepath.Join(dir, "through the ring"))
	must(err)
	entries[0] = 18 // IORING_OP_OPENAT
	at := int32(unix.AT_FDCWD)
	binary.NativeEndian.PutUint32(entries[4:], uint32(at))
	binary.NativeEndian.PutUint64(entries[16:], uint64(uintptr(unsafe.Pointer(name))))
	binary.NativeEndian.PutUint32(entries[24:], 0o600)
	binary.NativeEndian.PutUint32(entries[28:], unix.O_CREAT|unix.O_WRONLY)
	binary.NativeEndian.PutUint32(ring[p.SQ.Tail:], 1)
	if _, _, errno := unix.Syscall6(unix.SYS_IO_URING_ENTER, fd, 1, 1, 1, 0, 0); errno != 0 {
		return fmt.Errorf("io_uring_enter: %w", errno)
	}
	runtime.KeepAlive(name)
	_, err = os.Stat(filepath.Join(dir, "through the ring"))
	return err
}

func TestRing(t *testing.T) {
	s := newStage(t, Config{}, seawall.EventFilter{Types: []string{"io_uring_setup", "io_uring_op"}})
	events := s.act(t, "ring")
	find(t, events, trace.IOUringSetup, func(e *trace.Event) bool { return e.Args[0] == 1 && e.Ret >= 0 && e.FD == int32(e.Ret) })
	find(t, events, trace.IOUringOp, func(e *trace.Event) bool { return e.Command == 18 })
}

// actMemfd runs a program that is nowhere on a disk; it would write a file.
func actMemfd(string) error {
	fd, err := unix.MemfdCreate("program", 0)
	must(err)
	content, err := os.ReadFile("/bin/touch")
	must(err)
	_, err = unix.Write(fd, content)
	must(err)
	argv := []*byte{bytePtr("touch"), bytePtr("effect"), nil}
	empty := []*byte{nil}
	_, _, errno := unix.Syscall6(unix.SYS_EXECVEAT, uintptr(fd), path0(""), uintptr(unsafe.Pointer(&argv[0])), uintptr(unsafe.Pointer(&empty[0])), unix.AT_EMPTY_PATH, 0)
	return errno
}

func bytePtr(s string) *byte {
	b, err := unix.BytePtrFromString(s)
	must(err)
	return b
}

func TestMemfd(t *testing.T) {
	s := newStage(t, Config{}, seawall.EventFilter{Types: []string{}})
	events := s.act(t, "memfd")
	e := find(t, events, trace.Execveat, any1)
	if !e.File.Memfd || e.File.Path != "memfd:program" || !e.File.Deleted || string(e.Exec.Args) != "touch\x00effect\x00" || !e.Task.ExeMemfd {
		t.Errorf("%+v", e)
	}
	if end := find(t, events, trace.Exit, any1); !end.Task.ExeMemfd || end.Ret != 0 {
		t.Errorf("%+v", end)
	}
}

// actOverlay runs a program of an overlay's lower layer, and one that was written into the upper.
func actOverlay(dir string) error {
	runtime.LockOSThread()
	must(unix.Unshare(unix.CLONE_NEWNS))
	must(unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""))
	must(unix.Mount("tmpfs", dir, "tmpfs", 0, ""))
	for _, d := range []string{"lower", "upper", "work", "merged"} {
		must(os.Mkdir(filepath.Join(dir, d), 0o755))
	}
	content, err := os.ReadFile("/bin/touch")
	must(err)
	must(os.WriteFile(filepath.Join(dir, "lower", "ofimage"), content, 0o755))
	must(unix.Mount("overlay", filepath.Join(dir, "merged"), "overlay", 0, fmt.Sprintf("lowerdir=%s/lower,upperdir=%s/upper,workdir=%s/work", dir, dir, dir)))
	must(os.WriteFile(filepath.Join(dir, "merged", "dropped"), content, 0o755))
	for _, name := range []string{"ofimage", "dropped"} {
		cmd := exec.Command(filepath.Join(dir, "merged", name), os.Getenv("SEAWALL_KERNEL_EFFECT")+name)
		if err := cmd.Run(); err != nil {
			fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
		}
	}
	return nil
}

func TestOverlay(t *testing.T) {
	t.Setenv("SEAWALL_KERNEL_EFFECT", t.TempDir()+"/")
	s := newStage(t, Config{}, seawall.EventFilter{Types: []string{}})
	events := s.act(t, "overlay")
	merged := filepath.Join(s.dir, "merged")
	if e := find(t, events, trace.Execve, named(merged+"/ofimage")); !e.File.Lower || e.File.Upper || e.Task.ExeUpper || e.File.Path != merged+"/ofimage" {
		t.Errorf("lower: %+v", e)
	}
	if e := find(t, events, trace.Execve, named(merged+"/dropped")); e.File.Lower || !e.File.Upper || !e.Task.ExeUpper {
		t.Errorf("upper: %+v", e)
	}
}

func actDeleted(dir string) error {
	copied := filepath.Join(dir, "gone")
	content, err := os.ReadFile("/bin/true")
	must(err)
	must(os.WriteFile(copied, content, 0o755))
	fd, err := unix.Open(copied, unix.O_PATH, 0)
	must(err)
	must(os.Remove(copied))
	return exec.Command(fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), fd)).Run()
}

func TestDeleted(t *testing.T) {
	s := newStage(t, Config{}, seawall.EventFilter{Types: []string{}})
	events := s.act(t, "deleted")
	if e := find(t, events, trace.Execve, func(e *trace.Event) bool { return e.File.Path == s.dir+"/gone" }); !e.File.Deleted || e.File.NLink != 0 || e.File.Memfd {
		t.Errorf("%+v", e)
	}
}

// program32 is an executable that makes 32-bit calls: mkdir("compat", 0750), connect
// to 127.0.0.7:9 by socketcall, old mmap of memory to write and execute; then it exits with 5.
func program32() []byte {
	const base, entry = 0x400000, 0x78 // behind the ELF header and one program header
	var code bytes.Buffer
	imm := func(op byte, v uint32) { code.WriteByte(op); must(binary.Write(&code, binary.LittleEndian, v)) }
	call := func() { code.Write([]byte{0xcd, 0x80}) }
	const data = base + 0x200
	const eax, ebx, ecx = 0xb8, 0xbb, 0xb9
	imm(eax, 39)
	imm(ebx, data)
	imm(ecx, 0o750)
	call()
	imm(eax, 102)
	imm(ebx, 1) // socket
	imm(ecx, data+16)
	call()
	code.Write([]byte{0xa3}) // the descriptor into connect's arguments (moffs64)
	must(binary.Write(&code, binary.LittleEndian, uint64(data+32)))
	imm(eax, 102)
	imm(ebx, 3) // connect
	imm(ecx, data+32)
	call()
	imm(eax, 90) // old mmap
	imm(ebx, data+64)
	call()
	imm(eax, 1)
	imm(ebx, 5)
	call()

	b := make([]byte, 0x260)
	le := binary.LittleEndian
	copy(b, "\x7fELF\x02\x01\x01")
	le.PutUint16(b[16:], 2) // executable
	le.PutUint16(b[18:], 62)
	le.PutUint32(b[20:], 1)
	le.PutUint64(b[24:], base+entry)
	le.PutUint64(b[32:], 64)
	le.PutUint16(b[52:], 64)
	le.PutUint16(b[54:], 56)
	le.PutUint16(b[56:], 1)
	le.PutUint32(b[64:], 1) // load
	le.PutUint32(b[68:], 7)
	le.PutUint64(b[80:], base)
	le.PutUint64(b[88:], base)
	le.PutUint64(b[96:], uint64(len(b)))
	le.PutUint64(b[104:], uint64(len(b)))
	le.PutUint64(b[112:], 0x1000)
	copy(b[entry:0x200], code.Bytes())
	copy(b[0x200:], "compat\x00")
	le.PutUint32(b[0x210:], unix.AF_INET)
	le.PutUint32(b[0x214:], unix.SOCK_STREAM)
	le.PutUint32(b[0x224:], data+48)
	le.PutUint32(b[0x228:], 16)
	le.PutUint16(b[0x230:], unix.AF_INET)
	copy(b[0x232:], []byte{0, 9, 127, 0, 0, 7})
	le.PutUint32(b[0x244:], 4096)
	le.PutUint32(b[0x248:], unix.PROT_READ|unix.PROT_WRITE|unix.PROT_EXEC)
	le.PutUint32(b[0x24c:], unix.MAP_PRIVATE|unix.MAP_ANON)
	return b
}

func TestCompatCallsAreSeen(t *testing.T) {
	if runtime.GOARCH != "amd64" {
		t.Skip("the program is for x86")
	}
	s := newStage(t, Config{}, seawall.EventFilter{})
	program := filepath.Join(s.dir, "program32")
	if err := os.WriteFile(program, program32(), 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program)
	cmd.Dir = s.dir
	state := s.start(t, cmd)
	if state.ExitCode() != 5 {
		t.Fatalf("the program ended with %v", state)
	}
	events := s.until(t, uint32(state.Pid()))
	if e := find(t, events, trace.Mkdir, named("compat")); e.Flags&trace.FlagCompat == 0 || e.Mode != 0o750 || e.Dir != s.dir || e.Ret != 0 {
		t.Errorf("mkdir: %+v", e)
	}
	find(t, events, trace.Mmap, func(e *trace.Event) bool {
		return e.Flags&trace.FlagCompat != 0 && e.Prot&unix.PROT_WRITE != 0 && e.Ret > 0 && e.Args[1] == 4096
	})
	if e := find(t, events, trace.SocketCall, func(e *trace.Event) bool { return e.Flags&trace.FlagCompat != 0 }); e.Socket.Family != unix.AF_INET {
		t.Errorf("socket: %+v", e)
	}
	if e := find(t, events, trace.Connect, func(e *trace.Event) bool { return e.Flags&trace.FlagCompat != 0 }); e.Socket.Remote.String() != "127.0.0.7:9" || !e.Failed() {
		t.Errorf("connect: %+v", e)
	}
}

func actOpens(dir string) error {
	for _, name := range []string{"read/a", "write/b", "either/c", "c.jar", "c.tar"} {
		full := filepath.Join(dir, name)
		must(os.MkdirAll(filepath.Dir(full), 0o755))
		must(os.WriteFile(full, nil, 0o600))
		f, err := os.Open(full)
		must(err)
		f.Close()
	}
	must(os.Symlink(dir+"/read/a", dir+"/innocent"))
	_, err := os.ReadFile(dir + "/innocent")
	must(err)
	must(os.Symlink(dir+"/c.tar", dir+"/claimed.jar"))
	_, err = os.ReadFile(dir + "/claimed.jar")
	must(err)
	_, _ = os.ReadFile(dir + "/read/missing")
	null, err := os.OpenFile("/dev/null", os.O_WRONLY, 0)
	must(err)
	return null.Close()
}

func TestOpenFilters(t *testing.T) {
	testenv.Root(t)
	dir := t.TempDir()
	s := newStage(t, Config{}, seawall.EventFilter{
		Types:  []string{"openat"},
		Reads:  &seawall.PathFilter{Prefixes: []string{dir + "/opens/read/", dir + "/opens/either/"}, Suffixes: []string{".jar"}},
		Writes: &seawall.PathFilter{Prefixes: []string{dir + "/opens/write/", dir + "/opens/e", "/dev/"}},
	})
	s.dir = filepath.Join(dir, "opens")
	if err := os.Mkdir(s.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	opened := func() map[string]bool {
		got := map[string]bool{}
		for _, e := range s.act(t, "opens") {
			if e.Type == trace.Openat {
				use := "read "
				if e.OpFlags&(unix.O_ACCMODE|unix.O_CREAT) != 0 {
					use = "write "
				}
				got[use+e.Path[min(len(s.dir)+1, len(e.Path)):]] = true
			}
		}
		return got
	}
	want := map[string]bool{
		"read read/a": true, "write write/b": true, "read either/c": true, "write either/c": true, "read c.jar": true,
		"read innocent": true, "read claimed.jar": true, "read read/missing": true,
	}
	if diff := cmp.Diff(want, opened()); diff != "" {
		t.Error(diff)
	}
	before, err := s.Counters()
	if err != nil {
		t.Fatal(err)
	}
	if before[trace.Openat].Filtered == 0 || before[trace.Openat].Emitted < uint64(len(want)) {
		t.Errorf("counted %+v", before[trace.Openat])
	}
	if err := os.RemoveAll(s.dir); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(s.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := s.SetFilter(seawall.EventFilter{Types: []string{"openat"}, Reads: &seawall.PathFilter{}, Writes: &seawall.PathFilter{Suffixes: []string{"/b"}}}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]bool{"write write/b": true}, opened()); diff != "" {
		t.Errorf("after the change: %s", diff)
	}
}

func TestFloodsAreLimitedAndCounted(t *testing.T) {
	s := newStage(t, Config{Rate: 1, Burst: 2}, seawall.EventFilter{Types: []string{"unlinkat", "unlink", "openat"}, Reads: &seawall.PathFilter{}, Writes: &seawall.PathFilter{Suffixes: []string{"/flood"}}})
	cmd := exec.Command("/bin/sh", "-c", "i=0; while [ $i -lt 40 ]; do : > flood; i=$((i+1)); done")
	cmd.Dir = s.dir
	state := s.start(t, cmd)
	emitted := uint64(0)
	for _, e := range s.until(t, uint32(state.Pid())) {
		if e.Type == trace.Openat && e.File.Path == s.dir+"/flood" {
			emitted++
		}
	}
	counts, err := s.Counters()
	if err != nil {
		t.Fatal(err)
	}
	// Others on this machine may have been limited too.
	if emitted == 0 || emitted > 20 || counts[trace.Openat].Limited < 40-emitted {
		t.Errorf("emitted %d of 40, counted %+v", emitted, counts[trace.Openat])
	}
}

func actCgroup(string) error {
	sub := filepath.Join(os.Getenv("SEAWALL_KERNEL_EFFECT"), "sub")
	must(os.Mkdir(sub, 0o755))
	var st unix.Stat_t
	must(unix.Stat(sub, &st))
	must(os.Remove(sub))
	return os.WriteFile("id", []byte(strconv.FormatUint(st.Ino, 10)), 0o600)
}

func TestCgroups(t *testing.T) {
	s := newStage(t, Config{}, seawall.EventFilter{Types: []string{}})
	t.Setenv("SEAWALL_KERNEL_EFFECT", s.cgroupDir)
	events := s.act(t, "cgroup")
	id, err := os.ReadFile(filepath.Join(s.dir, "id"))
	if err != nil {
		t.Fatal(err)
	}
	for _, typ := range []trace.Type{trace.CgroupMkdir, trace.CgroupRmdir} {
		e := find(t, events, typ, any1)
		if strconv.FormatUint(e.Child.Cgroup, 10) != string(id) || !strings.HasSuffix(e.Path, filepath.Base(s.cgroupDir)+"/sub") || e.Task.Cgroup != s.cgroup {
			t.Errorf("%v of %s: %+v", typ, id, e)
		}
	}
}

const stormCalls = 2000

// actStorm makes calls that nobody else on the machine makes.
func actStorm(string) error {
	for range stormCalls {
		unix.Syscall6(unix.SYS_QUOTACTL, ^uintptr(0), path0("/no device"), 0, 0, 0, 0)
	}
	return nil
}

// A reader that does not keep up loses events; how many is known exactly.
func TestLostEventsAreCounted(t *testing.T) {
	testenv.Root(t)
	started, ended := make(chan struct{}), make(chan struct{})
	s, err := New(Config{Rate: -1, Buffer: 16 * os.Getpagesize(), Started: func() error { close(started); return nil }})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	ctx, stop := context.WithCancel(context.Background())
	done, told := make(chan error, 1), uint64(0)
	go func() {
		done <- s.Run(ctx, seawall.EventFilter{Types: []string{"quotactl"}}, func(e *trace.Event) {
			<-ended
			if e.Type == trace.Quotactl {
				told++
			}
		})
	}()
	<-started
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), actVariable+"=storm")
	err = cmd.Run()
	close(ended)
	stop()
	if err := errors.Join(err, <-done); err != nil {
		t.Fatal(err)
	}
	counts, err := s.Counters()
	if err != nil {
		t.Fatal(err)
	}
	c := counts[trace.Quotactl]
	if c.Emitted != told || c.Emitted+c.Lost != stormCalls || c.Lost == 0 || c.Limited != 0 {
		t.Errorf("told %d of %d, counted %+v", told, stormCalls, c)
	}
}

func TestDeny(t *testing.T) {
	effects := t.TempDir()
	t.Setenv("SEAWALL_KERNEL_EFFECT", effects+"/")
	s := newStage(t, Config{}, seawall.EventFilter{Types: []string{}})
	killed := func(events []*trace.Event) (all []*trace.Event) {
		for _, e := range events {
			if e.Flags&trace.FlagKilled != 0 {
				all = append(all, e)
			}
		}
		return all
	}
	exists := func(path string) bool {
		_, err := os.Stat(path)
		return err == nil
	}
	run := func(name string) []*trace.Event {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), actVariable+"="+name, "SEAWALL_KERNEL_DIR="+s.dir)
		cmd.Dir = s.dir
		return s.until(t, uint32(s.start(t, cmd).Pid()))
	}

	if err := s.Deny(s.cgroup, DenyRule{ID: 7, Memfd: true}); err != nil {
		t.Fatal(err)
	}
	events := run("memfd")
	if k := killed(events); len(k) != 1 || !k[0].File.Memfd || k[0].Rule != 7 {
		t.Errorf("memfd: killed %+v", k)
	}
	if exists(s.dir + "/effect") {
		t.Error("the program from memory had an effect")
	}
	if e := find(t, events, trace.Exit, any1); e.Ret != -int64(unix.SIGKILL) {
		t.Errorf("ended with %d", e.Ret)
	}

	if err := s.Deny(s.cgroup, DenyRule{ID: 8, Upper: true}); err != nil {
		t.Fatal(err)
	}
	if k := killed(run("overlay")); len(k) != 1 || filepath.Base(k[0].File.Path) != "dropped" || k[0].Rule != 8 {
		t.Errorf("upper: killed %+v", k)
	}
	if exists(effects+"/dropped") || !exists(effects+"/ofimage") {
		t.Errorf("dropped ran: %v; of the image ran: %v", exists(effects+"/dropped"), exists(effects+"/ofimage"))
	}

	if err := s.Allow(s.cgroup); err != nil {
		t.Fatal(err)
	}
	if k := killed(run("memfd")); len(k) != 0 || !exists(s.dir+"/effect") {
		t.Errorf("allowed again: killed %+v", k)
	}
	testDenyFileAndUser(t, s)
}

func testDenyFileAndUser(t *testing.T, s *stage) {
	program := copyFile(t, "/bin/touch", filepath.Join(s.dir, "program"))
	cmd := func(effect string) *exec.Cmd { return exec.Command(program, filepath.Join(s.dir, effect)) }
	state := s.start(t, cmd("1"))
	e := find(t, s.until(t, uint32(state.Pid())), trace.Execve, named(program))
	if err := s.Deny(s.cgroup, DenyRule{ID: 9, Files: []FileID{{e.File.Dev, e.File.Inode}}}); err != nil {
		t.Fatal(err)
	}
	if state := s.start(t, cmd("2")); state.Success() {
		t.Error("a denied file ran")
	}
	if err := errors.Join(s.Allow(s.cgroup), s.Deny(s.cgroup, DenyRule{UIDs: []uint32{4242}})); err != nil {
		t.Fatal(err)
	}
	if state := s.start(t, cmd("3")); !state.Success() {
		t.Error("another user was denied")
	}
	if err := s.Deny(s.cgroup, DenyRule{UIDs: []uint32{0}}); err != nil {
		t.Fatal(err)
	}
	if state := s.start(t, cmd("4")); state.Success() {
		t.Error("a denied user ran a program")
	}
	for effect, want := range map[string]bool{"1": true, "2": false, "3": true, "4": false} {
		if _, err := os.Stat(filepath.Join(s.dir, effect)); (err == nil) != want {
			t.Errorf("effect %s: %v, want %v", effect, err, want)
		}
	}
	if err := s.Deny(1, DenyRule{Upper: true}); !errors.Is(err, seawall.ErrUsage) {
		t.Errorf("denying on the whole machine: %v", err)
	}
}

// actSensor runs a sensor until it is killed; it prints its programs' identifiers.
func actSensor(string) error {
	s, err := New(Config{Started: func() error { fmt.Println("started"); return nil }})
	must(err)
	for _, p := range append(s.attached(), s.objects.HandlePaths) {
		info, err := p.Info()
		must(err)
		id, _ := info.ID()
		fmt.Println(id)
	}
	return s.Run(context.Background(), seawall.EventFilter{Types: []string{}}, func(*trace.Event) {})
}

// vanish waits until programs are gone: the kernel frees them after a grace period.
func vanish(t *testing.T, ids []ebpf.ProgramID) {
	t.Helper()
	for _, id := range ids {
		var err error
		for range 1000 {
			var p *ebpf.Program
			if p, err = ebpf.NewProgramFromID(id); err != nil {
				break
			}
			p.Close()
			time.Sleep(5 * time.Millisecond)
		}
		if !errors.Is(err, os.ErrNotExist) {
			t.Errorf("program %d is still there: %v", id, err)
		}
	}
}

func TestNothingStays(t *testing.T) {
	testenv.Root(t)
	s, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	var ids []ebpf.ProgramID
	for _, p := range append(s.attached(), s.objects.HandlePaths) {
		info, err := p.Info()
		if err != nil {
			t.Fatal(err)
		}
		id, _ := info.ID()
		ids = append(ids, id)
	}
	ctx, stop := context.WithCancel(context.Background())
	s.config.Started = func() error { stop(); return nil }
	if err := errors.Join(s.Run(ctx, seawall.EventFilter{}, func(*trace.Event) {}), s.Close()); err != nil {
		t.Fatal(err)
	}
	vanish(t, ids)
}

func TestNothingStaysOfOneThatIsKilled(t *testing.T) {
	testenv.Root(t)
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), actVariable+"=sensor")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var ids []ebpf.ProgramID
	lines := bufio.NewScanner(out)
	for lines.Scan() && lines.Text() != "started" {
		id, err := strconv.Atoi(lines.Text())
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, ebpf.ProgramID(id))
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	if len(ids) < 5 {
		t.Fatalf("programs %v", ids)
	}
	vanish(t, ids)
}
