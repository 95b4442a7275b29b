package kernel

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/features"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"github.com/seawall-security/seawall/internal/sensor/trace"
)

// Status is what a probe came to.
type Status string

// The outcomes of a probe.
const (
	Supported   Status = "ok"
	Unsupported Status = "not supported"
	Unknown     Status = "could not find out"
)

// Feature is something the agent can make use of.
type Feature struct {
	Name string `json:"name"`
	// Purpose is what the agent does with it.
	Purpose string `json:"purpose"`
	// Required: without it the agent does not run.
	Required bool   `json:"required"`
	Status   Status `json:"status"`
	// Reason says more: a version, or why not.
	Reason string `json:"reason,omitempty"`
}

// Probe tries what this kernel and this process's privileges allow; nothing of it stays.
func Probe() []Feature {
	var all []Feature
	add := func(name, purpose string, required bool, probe func() (string, error)) {
		f := Feature{Name: name, Purpose: purpose, Required: required, Status: Supported}
		reason, err := probe()
		f.Reason = reason
		switch {
		case err == nil:
		case errors.Is(err, ebpf.ErrNotSupported), errors.Is(err, errors.ErrUnsupported), errors.Is(err, os.ErrNotExist):
			f.Status, f.Reason = Unsupported, firstLine(err)
		default:
			f.Status, f.Reason = Unknown, firstLine(err)
		}
		all = append(all, f)
	}
	yes := func(err error) func() (string, error) { return func() (string, error) { return "", err } }
	add("kernel", "its release; what counts is what follows", false, release)
	add("privileges", "CAP_BPF and CAP_PERFMON load programs; CAP_SYS_RESOURCE, CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH read of every process", true, privileges)
	add("btf", "the same programs fit every kernel", true, func() (string, error) { return present("/sys/kernel/btf/vmlinux") })
	add("ring buffer", "events in order, without a copy for each CPU", true, yes(features.HaveMapType(ebpf.RingBuf)))
	add("tp_btf", "typed tracepoints", true, func() (string, error) { return "", loads(ebpf.Tracing, ebpf.AttachTraceRawTp, "sys_exit") })
	add("programs", "the sensor's own programs pass the verifier", true, ownPrograms)
	add("32-bit calls", "system calls by the 32-bit entry are told as well", false, compat)
	add("io_uring", "operations that are handed to io_uring are told as well", false, ring)
	add("bpf_send_signal", "ending a forbidden program before its first instruction", false, func() (string, error) {
		return "", loads(ebpf.Tracing, ebpf.AttachTraceRawTp, "sys_exit", asm.Mov.Imm(asm.R1, 0), asm.FnSendSignal.Call())
	})
	add("cgroup v2", "whose event it is", true, cgroup2)
	add("cgroup_skb", "cutting a container's network", false, yes(features.HaveProgramType(ebpf.CGroupSKB)))
	add("cgroup connect", "refusing connections", false, yes(features.HaveProgramType(ebpf.CGroupSockAddr)))
	add("sk_lookup", "handing connections to the proxy", false, yes(features.HaveProgramType(ebpf.SkLookup)))
	add("fanotify permission", "refusing a program's start by its path", false, fanotify)
	add("kprobe", "not used", false, kprobe)
	add("lsm", "not used", false, lsm)
	return all
}

// firstLine is an error without a verifier's log.
func firstLine(err error) string {
	line, _, _ := strings.Cut(err.Error(), "\n")
	return line
}

func release() (string, error) {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return "", err
	}
	return unix.ByteSliceToString(u.Release[:]), nil
}

const everything = "CAP_SYS_ADMIN"

// privileges names the capabilities that are missing.
func privileges() (string, error) {
	hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&hdr, &data[0]); err != nil {
		return "", err
	}
	effective := uint64(data[0].Effective) | uint64(data[1].Effective)<<32
	if trace.HasCap(effective, unix.CAP_SYS_ADMIN) {
		return everything, nil
	}
	var missing []string
	for _, c := range []struct {
		name string
		nr   int
	}{{"CAP_BPF", unix.CAP_BPF}, {"CAP_PERFMON", unix.CAP_PERFMON}} {
		if !trace.HasCap(effective, c.nr) {
			missing = append(missing, c.name)
		}
	}
	if missing != nil {
		return "", fmt.Errorf("missing %s: %w", strings.Join(missing, ", "), ebpf.ErrNotSupported)
	}
	return "CAP_BPF, CAP_PERFMON", nil
}

func present(path string) (string, error) {
	_, err := os.Stat(path)
	return "", err
}

func ownPrograms() (string, error) {
	s, err := New(Config{Buffer: os.Getpagesize()})
	if err != nil {
		return "", err
	}
	return "", s.Close()
}

func compat() (string, error) {
	if runtime.GOARCH != "amd64" {
		return "", fmt.Errorf("the 32-bit calls of %s are not told apart: %w", runtime.GOARCH, ebpf.ErrNotSupported)
	}
	return "", nil
}

func ring() (string, error) {
	const tracepoint = "io_uring_submit_req"
	return "", loads(ebpf.Tracing, ebpf.AttachTraceRawTp, tracepoint)
}

func cgroup2() (string, error) {
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(mounts)) {
		if f := strings.Fields(line); len(f) > 2 && f[2] == "cgroup2" {
			return f[1], nil
		}
	}
	return "", fmt.Errorf("no cgroup2 file system is mounted: %w", ebpf.ErrNotSupported)
}

// refused turns what a kernel says that was built without something, or that keeps
// it even from those who have every privilege, into ebpf.ErrNotSupported.
func refused(err error) error {
	if all, _ := privileges(); all == everything && errors.Is(err, unix.EPERM) {
		return fmt.Errorf("refused by this kernel to one who has every privilege: %w", ebpf.ErrNotSupported)
	}
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.ENODEV) || errors.Is(err, unix.EOPNOTSUPP) {
		return fmt.Errorf("%w: %w", err, ebpf.ErrNotSupported)
	}
	return err
}

func fanotify() (string, error) {
	fd, err := unix.FanotifyInit(unix.FAN_CLASS_CONTENT|unix.FAN_CLOEXEC|unix.FAN_NONBLOCK, unix.O_RDONLY|unix.O_LARGEFILE)
	if err != nil {
		return "", refused(err)
	}
	return "", unix.Close(fd)
}

// small is a program that does next to nothing.
func small(t ebpf.ProgramType, attach ebpf.AttachType, to string, body ...asm.Instruction) (*ebpf.Program, error) {
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Type: t, AttachType: attach, AttachTo: to, License: "GPL",
		Instructions: append(body, asm.Mov.Imm(asm.R0, 0), asm.Return()),
	})
	if err != nil {
		return nil, refused(err)
	}
	return p, nil
}

func loads(t ebpf.ProgramType, attach ebpf.AttachType, to string, body ...asm.Instruction) error {
	p, err := small(t, attach, to, body...)
	if err != nil {
		return err
	}
	return p.Close()
}

func kprobe() (string, error) {
	p, err := small(ebpf.Kprobe, ebpf.AttachNone, "")
	if err != nil {
		return "", err
	}
	defer p.Close()
	l, err := link.Kprobe("vprintk", p, nil)
	if err != nil && strings.Contains(err.Error(), "neither debugfs nor tracefs") {
		return "", errors.New("neither debugfs nor tracefs is mounted")
	}
	if err != nil {
		return "", refused(err)
	}
	return "", l.Close()
}

func lsm() (string, error) {
	p, err := small(ebpf.LSM, ebpf.AttachLSMMac, "file_mprotect")
	if err != nil {
		return "", err
	}
	defer p.Close()
	l, err := link.AttachLSM(link.LSMOptions{Program: p})
	if err != nil {
		return "", refused(err)
	}
	defer l.Close()
	active, err := os.ReadFile("/sys/kernel/security/lsm")
	if err == nil && !strings.Contains(string(active), "bpf") {
		return "", fmt.Errorf("bpf is not among the active modules (%s): %w", strings.TrimSpace(string(active)), ebpf.ErrNotSupported)
	}
	return "", nil
}
