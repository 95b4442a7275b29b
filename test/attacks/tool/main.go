//go:build linux

// Tool makes the calls that busybox cannot, for the attacks and everyday work of
// package attacks. Nothing it does reaches out of its container, and nothing is
// damaged: files are its own, connections are to loopback or are never sent a packet.
//
//	tool run < steps      runs commands one after another and tells when each began and ended
//	tool wait             waits for ever, and ends with a signal: the first process of a pod
//	tool VERB [ARG...]    one of the verbs below
//
// Called by another name (nginx, lua) it does the same: the process then has that name.
package main

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/seawall-security/seawall/test/attacks/step"
)

func main() {
	if len(os.Args) < 2 {
		fail(fmt.Errorf("no verb"))
	}
	verb, args := os.Args[1], os.Args[2:]
	do := verbs()[verb]
	if do == nil {
		fail(fmt.Errorf("%s: no such verb", verb))
	}
	if err := do(args); err != nil {
		fail(fmt.Errorf("%s: %w", verb, err))
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

func verbs() map[string]func([]string) error {
	return map[string]func([]string) error{
		"run":   func([]string) error { return run(os.Stdin, os.Stdout) },
		"wait":  wait,
		"spawn": spawn,
		"named": named,
		"pty":   pty,

		"memfd":   memfd,
		"deleted": deleted,
		"wx":      wx,

		"udp":           udp,
		"dns":           dns,
		"dns-connected": dnsConnected,
		"unix":          unixSocket,
		"packet":        packet,
		"reverse-shell": reverseShell,
		"dup-file":      dupFile,

		"setns":     setns,
		"unshare":   unshare,
		"pivot":     call(func() error { return unix.PivotRoot(".", ".") }),
		"handle":    handle,
		"mknod":     mknod,
		"fifo":      fifo,
		"module":    call(func() error { return unix.InitModule([]byte("none"), "") }),
		"kexec":     call(func() error { return raw(unix.SYS_KEXEC_LOAD, 0, 0, 0, 0) }),
		"bpf-load":  func([]string) error { return bpf(unix.BPF_PROG_LOAD) },
		"bpf-query": func([]string) error { return bpf(unix.BPF_PROG_GET_NEXT_ID) },

		"capset":      capset,
		"drop":        drop,
		"userfault":   userfault,
		"ring":        ring,
		"attach":      attach,
		"traceme":     call(func() error { return raw(unix.SYS_PTRACE, unix.PTRACE_TRACEME, 0, 0, 0) }),
		"write-other": func([]string) error { return vm(unix.SYS_PROCESS_VM_WRITEV) },
		"read-other":  func([]string) error { return vm(unix.SYS_PROCESS_VM_READV) },
		"xattr":       xattr,
		"append":      appendNothing,
	}
}

// call is a verb of one system call. That it is refused is expected: who tries is seen.
func call(f func() error) func([]string) error {
	return func([]string) error { tell(f()); return nil }
}

func tell(err error) {
	if err != nil {
		fmt.Println("refused:", err)
	}
}

func raw(number, a, b, c, d uintptr) error {
	if _, _, e := unix.Syscall6(number, a, b, c, d, 0, 0); e != 0 {
		return e
	}
	return nil
}

// run does steps, one JSON object each, and answers each with its Result.
func run(in io.Reader, out io.Writer) error {
	steps, results := json.NewDecoder(in), json.NewEncoder(out)
	for {
		var s step.Step
		if err := steps.Decode(&s); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		cmd := exec.Command("/bin/sh", "-c", s.Command)
		cmd.Dir = "/"
		r := step.Result{Name: s.Name, Began: time.Now()}
		text, err := cmd.CombinedOutput()
		time.Sleep(step.Pause)
		r.Ended, r.Output = time.Now(), string(text[:min(len(text), 200)])
		if err != nil {
			r.Output += err.Error()
		}
		if err := results.Encode(r); err != nil {
			return err
		}
	}
}

func wait([]string) error {
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, unix.SIGTERM, unix.SIGINT)
	<-stop
	return nil
}

// spawn starts a program and waits for it: tool spawn PROGRAM ARG...
func spawn(args []string) error {
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	tell(cmd.Run())
	return nil
}

// named starts a program under another name of its own: tool named NAME PROGRAM ARG...
func named(args []string) error {
	cmd := exec.Command(args[1])
	cmd.Args = append([]string{args[0]}, args[2:]...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	tell(cmd.Run())
	return nil
}

// pty starts a program at a terminal: tool pty PROGRAM ARG...
func pty(args []string) error {
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer master.Close()
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err != nil {
		return err
	}
	if err := unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		return err
	}
	slave, err := os.OpenFile("/dev/pts/"+strconv.Itoa(n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return err
	}
	defer slave.Close()
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	return cmd.Run()
}

// memfd executes busybox's true out of memory.
func memfd([]string) error {
	program, err := os.ReadFile("/bin/busybox")
	if err != nil {
		return err
	}
	fd, err := unix.MemfdCreate("payload", unix.MFD_CLOEXEC)
	if err != nil {
		return err
	}
	if _, err := unix.Write(fd, program); err != nil {
		return err
	}
	return unix.Exec("/proc/self/fd/"+strconv.Itoa(fd), []string{"true"}, nil)
}

// deleted executes a file that has no name any more.
func deleted([]string) error {
	program, err := os.ReadFile("/bin/busybox")
	if err != nil {
		return err
	}
	const name = "/opt/gone"
	if err := os.WriteFile(name, program, 0o755); err != nil {
		return err
	}
	fd, err := unix.Open(name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	if err := os.Remove(name); err != nil {
		return err
	}
	return unix.Exec("/proc/self/fd/"+strconv.Itoa(fd), []string{"true"}, nil)
}

// wx maps memory and makes it writable and executable.
func wx([]string) error {
	m, err := unix.Mmap(-1, 0, 4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		return err
	}
	return unix.Mprotect(m, unix.PROT_READ|unix.PROT_WRITE|unix.PROT_EXEC)
}

// udp connects a datagram socket, which sends nothing: tool udp ADDRESS:PORT
func udp(args []string) error {
	c, err := net.Dial("udp", args[0])
	if err == nil {
		err = c.Close()
	}
	tell(err)
	return nil
}

// question is a message of DNS that asks for a name's address.
func question(name string) []byte {
	q := []byte{0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0}
	for label := range strings.SplitSeq(name, ".") {
		q = append(append(q, byte(len(label))), label...)
	}
	return append(q, 0, 0, 1, 0, 1)
}

// dns sends a question to port 53 of loopback: tool dns NAME
func dns(args []string) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return unix.Sendto(fd, question(args[0]), 0, &unix.SockaddrInet4{Port: 53, Addr: [4]byte{127, 0, 0, 1}})
}

// dnsConnected does so as programs in Go do: it writes to a connected socket.
func dnsConnected(args []string) error {
	c, err := net.Dial("udp", "127.0.0.1:53")
	if err != nil {
		return err
	}
	defer c.Close()
	_, err = c.Write(question(args[0]))
	return err
}

// unixSocket listens at a path and connects to it: tool unix PATH
func unixSocket(args []string) error {
	_ = os.Remove(args[0])
	l, err := net.Listen("unix", args[0])
	if err != nil {
		return err
	}
	defer l.Close()
	c, err := net.Dial("unix", args[0])
	if err != nil {
		return err
	}
	return c.Close()
}

func packet([]string) error {
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW, 0)
	if err == nil {
		err = unix.Close(fd)
	}
	tell(err)
	return nil
}

// reverseShell gives a shell to a connection on loopback, whose other end says exit.
func reverseShell([]string) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer l.Close()
	go func() {
		if c, err := l.Accept(); err == nil {
			_, _ = c.Write([]byte("exit\n"))
			_, _ = io.Copy(io.Discard, c)
		}
	}()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		return err
	}
	defer c.Close()
	f, err := c.(*net.TCPConn).File()
	if err != nil {
		return err
	}
	defer f.Close()
	cmd := exec.Command("/bin/sh")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = f, f, f
	return cmd.Run()
}

// dupFile is what every shell does: a file becomes a standard stream.
func dupFile([]string) error {
	f, err := os.Create("/opt/output")
	if err != nil {
		return err
	}
	defer f.Close()
	return unix.Dup3(int(f.Fd()), 1, 0)
}

func setns([]string) error {
	f, err := os.Open("/proc/self/ns/uts")
	if err != nil {
		return err
	}
	defer f.Close()
	tell(unix.Setns(int(f.Fd()), unix.CLONE_NEWUTS))
	return nil
}

// ofOneUser runs ourselves again in a user namespace of its own.
func ofOneUser(args ...string) error {
	cmd := exec.Command("/proc/self/exe", args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWUSER, UidMappings: []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}}}
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	tell(cmd.Run())
	return nil
}

// unshare makes a user namespace: tool unshare; and mounts of its own in it: tool unshare mounts.
func unshare(args []string) error {
	switch strings.Join(args, " ") {
	case "mounts":
		return ofOneUser("unshare", "inner")
	case "inner":
		runtime.LockOSThread()
		tell(unix.Unshare(unix.CLONE_NEWNS))
		return nil
	}
	return ofOneUser("spawn", "/bin/true")
}

func handle([]string) error {
	at, err := unix.Open("/", unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return err
	}
	defer unix.Close(at)
	_, err = unix.OpenByHandleAt(at, unix.NewFileHandle(1, make([]byte, 8)), unix.O_RDONLY)
	tell(err)
	return nil
}

// mknod makes a block device nobody may open, and removes it.
func mknod([]string) error {
	tell(unix.Mknod("/opt/device", unix.S_IFBLK|0o600, int(unix.Mkdev(259, 255))))
	return os.RemoveAll("/opt/device")
}

func fifo([]string) error {
	tell(unix.Mkfifo("/opt/fifo", 0o600))
	return os.RemoveAll("/opt/fifo")
}

// bpf asks with attributes of zeros, which are refused.
func bpf(command uintptr) error {
	var attributes [48]byte
	tell(raw(unix.SYS_BPF, command, uintptr(unsafe.Pointer(&attributes)), unsafe.Sizeof(attributes), 0))
	return nil
}

func setCapabilities(mask uint32) error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return err
	}
	data[0].Effective = data[0].Permitted & mask
	data[1].Effective = 0
	return unix.Capset(&header, &data[0])
}

// capset has all capabilities in a user namespace of its own and makes them effective.
func capset(args []string) error {
	if len(args) == 0 {
		return ofOneUser("capset", "inner")
	}
	runtime.LockOSThread()
	return setCapabilities(^uint32(0))
}

// drop keeps one capability, as careful servers do.
func drop([]string) error {
	runtime.LockOSThread()
	return setCapabilities(1 << unix.CAP_NET_BIND_SERVICE)
}

func userfault([]string) error {
	const userModeOnly = 1
	fd, _, e := unix.Syscall(unix.SYS_USERFAULTFD, userModeOnly|unix.O_CLOEXEC, 0, 0)
	if e != 0 {
		return e
	}
	return unix.Close(int(fd))
}

func ring([]string) error {
	var parameters [120]byte
	fd, _, e := unix.Syscall(unix.SYS_IO_URING_SETUP, 4, uintptr(unsafe.Pointer(&parameters)), 0)
	if e != 0 {
		return e
	}
	return unix.Close(int(fd))
}

// child starts a process of ours that sleeps, and ends it after.
func child(f func(pid int) error) error {
	cmd := exec.Command("/proc/self/exe", "wait")
	if err := cmd.Start(); err != nil {
		return err
	}
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}()
	return f(cmd.Process.Pid)
}

func attach([]string) error {
	runtime.LockOSThread()
	return child(func(pid int) error {
		if err := unix.PtraceAttach(pid); err != nil {
			return err
		}
		var status unix.WaitStatus
		if _, err := unix.Wait4(pid, &status, unix.WALL, nil); err != nil {
			return err
		}
		return unix.PtraceDetach(pid)
	})
}

// vm copies no byte between our memory and a child's.
func vm(number uintptr) error {
	return child(func(pid int) error {
		var b [8]byte
		local := unix.Iovec{Base: &b[0]}
		local.SetLen(0)
		if _, _, e := unix.Syscall6(number, uintptr(pid), uintptr(unsafe.Pointer(&local)), 1, uintptr(unsafe.Pointer(&local)), 1, 0); e != 0 {
			tell(e)
		}
		return nil
	})
}

// xattr gives a file of ours an attribute: tool xattr capability|comment
func xattr(args []string) error {
	const name = "/opt/labelled"
	if err := os.WriteFile(name, nil, 0o600); err != nil {
		return err
	}
	defer os.Remove(name)
	if args[0] == "comment" {
		tell(unix.Setxattr(name, "user.comment", []byte("x"), 0))
		return nil
	}
	value := make([]byte, 20)
	binary.LittleEndian.PutUint32(value, 0x02000001)
	binary.LittleEndian.PutUint32(value[4:], 1<<unix.CAP_NET_BIND_SERVICE)
	tell(unix.Setxattr(name, "security.capability", value, 0))
	return nil
}

// appendNothing opens files for writing and writes nothing: tool append PATH...
func appendNothing(args []string) error {
	for _, name := range args {
		f, err := os.OpenFile(name, os.O_WRONLY|os.O_APPEND, 0)
		if err == nil {
			err = f.Close()
		}
		tell(err)
	}
	return nil
}
