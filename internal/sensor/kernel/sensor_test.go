package kernel

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/sensor/trace"
	"github.com/seawall-security/seawall/internal/testenv"
)

// The tests start this binary again to act: an act is a child in a cgroup of the
// test's own, whose events are the ones that count; the machine is full of others.
const actVariable = "SEAWALL_KERNEL_ACT"

func TestMain(m *testing.M) {
	if name := os.Getenv(actVariable); name != "" {
		if err := acts()[name](os.Getenv("SEAWALL_KERNEL_DIR")); err != nil {
			fmt.Fprintf(os.Stderr, "act %s: %v\n", name, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	testenv.Main(m, func() {
		if os.Geteuid() != 0 {
			return
		}
		if h, err := shared(); err == nil {
			err = h.stop()
			if err != nil {
				fmt.Fprintln(os.Stderr, "the shared sensor:", err)
				os.Exit(1)
			}
		}
	})
}

// theatre is a running sensor, which hands the events of a cgroup to who asked for them.
type theatre struct {
	*Sensor
	stop func() error

	mu     sync.Mutex
	stages map[uint64]*stage
}

// stage is a cgroup to act in and what was seen of it.
type stage struct {
	*theatre
	dir, cgroupDir string
	cgroup         uint64
	events         []*trace.Event
}

// shared is the sensor of all tests that do not ask for one of another kind: loading takes most of their time.
var shared = sync.OnceValues(func() (*theatre, error) { return openTheatre(Config{}) })

func openTheatre(cfg Config) (*theatre, error) {
	h := &theatre{stages: map[uint64]*stage{}}
	started := make(chan struct{})
	cfg.Started = func() error { close(started); return nil }
	var err error
	if h.Sensor, err = New(cfg); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- h.Run(ctx, seawall.EventFilter{Types: []string{}}, h.take) }()
	h.stop = sync.OnceValue(func() error {
		cancel()
		return errors.Join(<-done, h.Close())
	})
	select {
	case <-started:
		return h, nil
	case err := <-done:
		done <- err
		return nil, h.stop()
	}
}

func (h *theatre) take(e *trace.Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	s := h.stages[e.Task.Cgroup]
	if s == nil {
		s = h.stages[e.Child.Cgroup]
	}
	if s != nil {
		s.events = append(s.events, e.Clone())
	}
}

// newStage makes a stage under a sensor with a filter; a Config of its own takes a sensor of its own.
func newStage(t *testing.T, cfg Config, filter seawall.EventFilter) *stage {
	t.Helper()
	testenv.Root(t)
	get := shared
	if cfg.Rate != 0 {
		get = func() (*theatre, error) { return openTheatre(cfg) }
	}
	h, err := get()
	if err != nil {
		t.Fatal(err)
	}
	s := &stage{theatre: h, dir: t.TempDir()}
	s.cgroupDir, s.cgroup = newCgroup(t)
	h.mu.Lock()
	h.stages[s.cgroup] = s
	h.mu.Unlock()
	t.Cleanup(func() {
		h.mu.Lock()
		delete(h.stages, s.cgroup)
		h.mu.Unlock()
		if n := h.Damaged(); n != 0 {
			t.Errorf("%d records could not be decoded", n)
		}
		if cfg.Rate != 0 {
			if err := h.stop(); err != nil {
				t.Error(err)
			}
		}
	})
	if err := h.SetFilter(filter); err != nil {
		t.Fatal(err)
	}
	return s
}

// newCgroup makes a cgroup of version 2 for a test.
func newCgroup(t *testing.T) (dir string, id uint64) {
	t.Helper()
	dir, err := os.MkdirTemp(cgroupRoot(t), "seawall-kernel-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		// Its last process may be on its way out.
		var err error
		for range 200 {
			if err = os.Remove(dir); err == nil {
				return
			}
			time.Sleep(5 * time.Millisecond)
		}
		t.Error(err)
	})
	var st unix.Stat_t
	if err := unix.Stat(dir, &st); err != nil {
		t.Fatal(err)
	}
	return dir, st.Ino
}

func cgroupRoot(t *testing.T) string {
	t.Helper()
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(mounts)) {
		if f := strings.Fields(line); len(f) > 2 && f[2] == "cgroup2" {
			return f[1]
		}
	}
	t.Fatal("no cgroup2 mount")
	return ""
}

// start runs a command in the stage's cgroup to its end and returns its state.
func (s *stage) start(t *testing.T, cmd *exec.Cmd) *os.ProcessState {
	t.Helper()
	d, err := os.Open(s.cgroupDir)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	var output strings.Builder
	cmd.Stdout, cmd.Stderr = &output, &output
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.UseCgroupFD, cmd.SysProcAttr.CgroupFD = true, int(d.Fd())
	_ = cmd.Run()
	if cmd.ProcessState == nil {
		t.Fatalf("%v did not start", cmd)
	}
	if output.Len() > 0 {
		t.Log(output.String())
	}
	return cmd.ProcessState
}

// act plays one act and returns the events of its cgroup up to its end.
func (s *stage) act(t *testing.T, name string) []*trace.Event {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), actVariable+"="+name, "SEAWALL_KERNEL_DIR="+s.dir)
	cmd.Dir = s.dir
	state := s.start(t, cmd)
	if !state.Success() {
		t.Fatalf("act %s: %v", name, state)
	}
	return s.until(t, uint32(state.Pid()))
}

// until waits for the end of a process to be told and takes what was until then.
func (s *stage) until(t *testing.T, pid uint32) []*trace.Event {
	t.Helper()
	for range 2000 {
		s.mu.Lock()
		for _, e := range s.events {
			if e.Type == trace.Exit && e.Task.PID == pid {
				// Another CPU's may be behind it.
				s.mu.Unlock()
				time.Sleep(3 * awake)
				s.mu.Lock()
				all := s.events
				s.events = nil
				s.mu.Unlock()
				return all
			}
		}
		s.mu.Unlock()
		time.Sleep(5 * time.Millisecond)
	}
	t.Fatalf("the end of process %d was not told", pid)
	return nil
}

// find returns the only event of a type that is meant; what it is not is told.
func find(t *testing.T, events []*trace.Event, typ trace.Type, is func(*trace.Event) bool) *trace.Event {
	t.Helper()
	var found *trace.Event
	var others []string
	for _, e := range events {
		switch {
		case e.Type != typ:
		case is(e):
			found = e
		default:
			others = append(others, fmt.Sprintf("%+v", *e))
		}
	}
	if found == nil {
		t.Fatalf("no such %v among %d events; others of it:\n%s", typ, len(events), strings.Join(others, "\n"))
	}
	return found
}

// Rules that come later ask for variables then, and those that go no longer cost them.
func TestEnvironmentIsSwitched(t *testing.T) {
	s := newStage(t, Config{}, seawall.EventFilter{Types: []string{"execve"}})
	for i, wanted := range []bool{false, true, false} {
		if err := s.SetFilter(seawall.EventFilter{Types: []string{"execve"}, Environment: wanted}); err != nil {
			t.Fatal(err)
		}
		program := copyFile(t, "/bin/true", filepath.Join(s.dir, fmt.Sprint("true", i)))
		cmd := exec.Command(program)
		cmd.Env = []string{"COLOUR=blue"}
		state := s.start(t, cmd)
		e := find(t, s.until(t, uint32(state.Pid())), trace.Execve, func(e *trace.Event) bool { return e.Path == program })
		if got := string(e.Exec.Env) == "COLOUR=blue\x00"; got != wanted || !wanted && len(e.Exec.Env) > 0 {
			t.Errorf("filter %d: environment %q, wanted %v", i, e.Exec.Env, wanted)
		}
	}
}

func TestProcesses(t *testing.T) {
	s := newStage(t, Config{}, seawall.EventFilter{Types: []string{}, Environment: true})
	program := copyFile(t, "/bin/sh", filepath.Join(s.dir, "sh"))
	cmd := exec.Command(program, "-c", "/bin/true --an 'argument of two'; exit 3")
	cmd.Dir = s.dir
	cmd.Env = []string{"COLOUR=blue"}
	cmd.Stdin = nil
	state := s.start(t, cmd)
	pid := uint32(state.Pid())
	events := s.until(t, pid)

	shell := find(t, events, trace.Execve, func(e *trace.Event) bool { return e.Path == program })
	var st unix.Stat_t
	if err := unix.Stat(program, &st); err != nil {
		t.Fatal(err)
	}
	if f := shell.File; f.Path != program || f.Inode != st.Ino || f.Mode != st.Mode || f.Kind != trace.KindFile || f.MTime != uint64(st.Mtim.Nano()) || f.CTime != uint64(st.Ctim.Nano()) ||
		f.UID != st.Uid || f.NLink != uint32(st.Nlink) || f.Memfd || f.Deleted || !f.Writable {
		t.Errorf("file %+v, stat %+v", f, st)
	}
	if want := program + "\x00-c\x00/bin/true --an 'argument of two'; exit 3\x00"; string(shell.Exec.Args) != want || shell.Exec.CWD != s.dir {
		t.Errorf("arguments %q in %s", shell.Exec.Args, shell.Exec.CWD)
	}
	if string(shell.Exec.Env) != "COLOUR=blue\x00" {
		t.Errorf("environment %q", shell.Exec.Env)
	}
	if in, out := shell.Exec.Stdio[0], shell.Exec.Stdio[1]; in.Kind != trace.KindChar || out.Kind != trace.KindPipe || out.Inode == 0 {
		t.Errorf("standard streams %+v", shell.Exec.Stdio)
	}
	checkTask(t, &shell.Task, pid)

	child := find(t, events, trace.Execve, func(e *trace.Event) bool { return e.Path == "/bin/true" })
	var fork *trace.Event
	for _, e := range events {
		if e.Child.PID == child.Task.PID {
			fork = e
		}
	}
	if fork == nil {
		t.Fatalf("the start of %+v was not told", child.Task)
	}
	if c := fork.Child; c.PID != child.Task.PID || c.Start != child.Task.Start || c.Cgroup != s.cgroup || fork.Ret != int64(c.PID) || c.PIDNS != fork.Task.PIDNS {
		t.Errorf("child %+v, which runs %+v", c, child.Task)
	}
	if child.Task.PPID != pid || child.Task.ParentStart != shell.Task.Start {
		t.Errorf("parent of %+v is not %+v", child.Task, shell.Task)
	}
	if end := find(t, events, trace.Exit, func(e *trace.Event) bool { return e.Task.PID == pid }); end.Ret != 3 || end.Time <= shell.Time {
		t.Errorf("the shell ended with %d at %d", end.Ret, end.Time)
	}
	if end := find(t, events, trace.Exit, func(e *trace.Event) bool { return e.Task.PID == child.Task.PID }); end.Ret != 0 {
		t.Errorf("true ended with %d", end.Ret)
	}
}

// checkTask compares with what the kernel says of this process, the child's parent.
func checkTask(t *testing.T, task *trace.Task, pid uint32) {
	t.Helper()
	ns := func(kind string) uint32 {
		var st unix.Stat_t
		if err := unix.Stat("/proc/self/ns/"+kind, &st); err != nil {
			t.Fatal(err)
		}
		return uint32(st.Ino)
	}
	if task.PID != pid || task.VPID != pid || task.PPID != uint32(os.Getpid()) || task.PGID != uint32(unix.Getpgrp()) || task.Comm != "sh" {
		t.Errorf("numbers %+v", task)
	}
	if task.MountNS != ns("mnt") || task.PIDNS != ns("pid") || task.NetNS != ns("net") || task.UserNS != ns("user") {
		t.Errorf("namespaces %+v", task)
	}
	status, _ := os.ReadFile("/proc/self/status")
	if want := fmt.Sprintf("CapEff:\t%016x\n", task.CapEffective); !strings.Contains(string(status), want) {
		t.Errorf("capabilities %q", want)
	}
	sid, _ := unix.Getsid(0)
	if task.SID != uint32(sid) || task.UID != uint32(os.Getuid()) || task.EGID != uint32(os.Getegid()) {
		t.Errorf("identities %+v", task)
	}
	login, _ := os.ReadFile("/proc/self/loginuid")
	if want := fmt.Sprint(task.LoginUID); string(login) != want {
		t.Errorf("login %s, want %s", want, login)
	}
	now := uint64(bootTime(t))
	if task.Start == 0 || task.Start > now || now-task.Start > 60e9 {
		t.Errorf("started at %d, now is %d", task.Start, now)
	}
}

func TestNumbersInAPIDNamespace(t *testing.T) {
	s := newStage(t, Config{}, seawall.EventFilter{Types: []string{"kill"}})
	cmd := exec.Command("/bin/sh", "-c", "/bin/true; kill -0 $$")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWPID | unix.CLONE_NEWNET}
	state := s.start(t, cmd)
	events := s.until(t, uint32(state.Pid()))
	first := find(t, events, trace.Execve, named("/bin/sh")).Task
	second := find(t, events, trace.Execve, named("/bin/true")).Task
	var own, ownNet unix.Stat_t
	if err := errors.Join(unix.Stat("/proc/self/ns/pid", &own), unix.Stat("/proc/self/ns/net", &ownNet)); err != nil {
		t.Fatal(err)
	}
	if first.PID != uint32(state.Pid()) || first.VPID != 1 || first.VTID != 1 || first.VPPID != 0 || first.PPID != uint32(os.Getpid()) || first.PIDNS == uint32(own.Ino) || first.NetNS == uint32(ownNet.Ino) {
		t.Errorf("the first: %+v", first)
	}
	if second.VPID != 2 || second.VPPID != 1 || second.PPID != first.PID || second.PIDNS != first.PIDNS || second.PID == 2 {
		t.Errorf("the second: %+v", second)
	}
	for _, e := range events {
		if e.Child.PID == second.PID && (e.Child.VPID != 2 || e.Ret != 2 || e.Child.PIDNS != first.PIDNS) {
			t.Errorf("its start: %d, %+v", e.Ret, e.Child)
		}
	}
	if e := find(t, events, trace.Kill, any1); e.TargetPID != 1 {
		t.Errorf("kill: %+v", e)
	}
}

func copyFile(t *testing.T, from, to string) string {
	t.Helper()
	content, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, content, 0o755); err != nil {
		t.Fatal(err)
	}
	return to
}

func bootTime(t *testing.T) int64 {
	t.Helper()
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		t.Fatal(err)
	}
	return ts.Nano()
}

func TestProbe(t *testing.T) {
	testenv.Root(t)
	for _, f := range Probe() {
		t.Logf("%-20s %-20s %s", f.Name, f.Status, f.Reason)
		if f.Required && f.Status != Supported {
			t.Errorf("%s: %s: %s", f.Name, f.Status, f.Reason)
		}
		if f.Status != Supported && f.Reason == "" {
			t.Errorf("%s: %s without a reason", f.Name, f.Status)
		}
	}
}
