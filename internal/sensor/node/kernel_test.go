package node

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/sensor/identity"
	"github.com/seawall-security/seawall/internal/sensor/kernel"
	"github.com/seawall-security/seawall/internal/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }

const containerID = "ab54211245ed74f27b97b1b1dbebfdd638d64d43c0c631b755c680dcfcb0f5d1"

// live is the whole chain from the kernel to events that are written down.
type live struct {
	*Stream
	mu     sync.Mutex
	events []*seawall.Event
	of     func(e *Event) bool
}

// start runs the sensor until the test ends; the events that of takes are kept.
func start(t *testing.T, cfg identity.Config, filter seawall.EventFilter, of func(e *Event) bool) *live {
	t.Helper()
	testenv.Root(t)
	ids, err := identity.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	l := &live{of: of}
	if l.Stream, err = New(Config{Node: "n1", Identity: ids}); err != nil {
		t.Fatal(err)
	}
	started := make(chan struct{})
	sensor, err := kernel.New(kernel.Config{Started: func() error { defer close(started); return l.Scan() }})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	var asking sync.WaitGroup
	asking.Go(func() { ids.Run(ctx) })
	filter.Environment = true
	go func() { done <- l.Run(ctx, sensor, filter, l.keep) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
		asking.Wait()
		if err := sensor.Close(); err != nil {
			t.Error(err)
		}
		if err := ids.Close(); err != nil {
			t.Error(err)
		}
	})
	select {
	case <-started:
	case err := <-done:
		done <- err
		t.Fatal(err)
	}
	return l
}

func (l *live) keep(e *Event) {
	if l.of(e) {
		l.mu.Lock()
		l.events = append(l.events, e.Event())
		l.mu.Unlock()
	}
}

// wait returns the first event kept that is wanted.
func (l *live) wait(t *testing.T, what string, is func(e *seawall.Event) bool) *seawall.Event {
	t.Helper()
	for range 500 {
		l.mu.Lock()
		for _, e := range l.events {
			if is(e) {
				l.mu.Unlock()
				return e
			}
		}
		l.mu.Unlock()
		time.Sleep(20 * time.Millisecond)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range l.events {
		t.Logf("%s %v %v %v", e.Type, e.Fields["proc.cmdline"], e.Fields["fd.name"], e.Fields["container.id"])
	}
	t.Fatal("not seen: " + what)
	return nil
}

// cgroup makes a cgroup of the test's own and returns its directory.
func cgroup(t *testing.T, name string) string {
	t.Helper()
	testenv.Root(t)
	root := "/sys/fs/cgroup"
	if _, err := os.Stat(root + "/unified"); err == nil {
		root += "/unified"
	}
	top := filepath.Join(root, "seawall-node-"+filepath.Base(filepath.Dir(t.TempDir())))
	dir := filepath.Join(top, name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for d := dir; d != root; d = filepath.Dir(d) {
			for range 100 {
				if err := os.Remove(d); err == nil || os.IsNotExist(err) {
					break
				}
				time.Sleep(10 * time.Millisecond)
			}
			if _, err := os.Stat(d); err == nil {
				t.Errorf("%s is left", d)
			}
		}
	})
	return dir
}

// in is a command that starts in a cgroup.
func in(t *testing.T, dir string, args ...string) *exec.Cmd {
	t.Helper()
	fd, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { fd.Close() })
	cmd := exec.Command(args[0], args[1:]...)
	cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(fd.Fd()), Pdeathsig: syscall.SIGKILL}
	return cmd
}

// TestHost: what runs on the host has the host's users.
func TestHost(t *testing.T) {
	dir := cgroup(t, "some.service")
	info, err := os.Stat(dir)
	if err != nil {
		t.Fatal(err)
	}
	id := info.Sys().(*syscall.Stat_t).Ino
	l := start(t, identity.Config{}, seawall.EventFilter{Types: []string{"execve"}}, func(e *Event) bool { return e.Task.Cgroup == id })
	if out, err := in(t, dir, "/bin/sleep", "0.1").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	e := l.wait(t, "sleep", func(e *seawall.Event) bool { return e.Type == "execve" && e.Fields["proc.name"] == "sleep" })
	if f := e.Fields; f["user.name"] != "root" || f["group.name"] != "root" || f["container.id"] != "host" || f["k8s.pod.name"] != nil || f["container.image"] != nil {
		t.Errorf("%v", f)
	}
}

// TestUserNamespace: the root of a user namespace is root to rules, as it is to itself.
func TestUserNamespace(t *testing.T) {
	dir := cgroup(t, "kubepods/pod5d97025f-e6f1-42b9-aab8-f04580216c05/"+containerID)
	info, err := os.Stat(dir)
	if err != nil {
		t.Fatal(err)
	}
	id := info.Sys().(*syscall.Stat_t).Ino
	l := start(t, identity.Config{}, seawall.EventFilter{Types: []string{"execve"}}, func(e *Event) bool { return e.Task.Cgroup == id })
	cmd := in(t, dir, "/bin/cat")
	cmd.SysProcAttr.Cloneflags = syscall.CLONE_NEWUSER
	cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: 100000, Size: 65536}}
	cmd.SysProcAttr.GidMappings = cmd.SysProcAttr.UidMappings
	cmd.SysProcAttr.Credential = &syscall.Credential{Uid: 0, Gid: 7}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stdin.Close(); _ = cmd.Wait() })
	e := l.wait(t, "cat", func(e *seawall.Event) bool { return e.Fields["proc.name"] == "cat" })
	if f := e.Fields; f["user.uid"] != int64(0) || f["user.name"] != "root" || f["group.gid"] != int64(7) {
		t.Errorf("%v %v %v", f["user.uid"], f["user.name"], f["group.gid"])
	}
}

// TestKernel: what real processes do in a cgroup that looks like a container's, as rules see it.
func TestKernel(t *testing.T) {
	dir := cgroup(t, "kubepods/pod5d97025f-e6f1-42b9-aab8-f04580216c05/"+containerID)
	info, err := os.Stat(dir)
	if err != nil {
		t.Fatal(err)
	}
	id := info.Sys().(*syscall.Stat_t).Ino
	l := start(t, identity.Config{}, seawall.EventFilter{}, func(e *Event) bool { return e.Task.Cgroup == id })
	work := t.TempDir()
	cmd := in(t, dir, "/bin/bash", "-c", `cd "$1"; export MARK=here; /bin/dash -c 'cat /etc/shadow > ./copy; chmod 4755 ../`+filepath.Base(work)+`/copy'; read`, "bash", work)
	stdin, err := cmd.StdinPipe() // the shell stays until all has been looked at
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stdin.Close(); _ = cmd.Wait() })
	cat := l.wait(t, "cat", func(e *seawall.Event) bool { return e.Type == "execve" && e.Fields["proc.name"] == "cat" })
	want := map[string]any{
		"proc.pname": "dash", "proc.args": "/etc/shadow", "proc.cmdline": "cat /etc/shadow", "proc.exe": "cat", "proc.exepath": "/usr/bin/cat", "proc.cwd": work + "/",
		"evt.res": "SUCCESS", "evt.rawres": int64(0), "user.uid": int64(0), "user.name": "root", "group.name": "root", "container.id": containerID[:12], "evt.hostname": "n1",
		"k8s.pod.uid": "5d97025f-e6f1-42b9-aab8-f04580216c05", "container.full_id": containerID, "proc.stdout.type": "file", "proc.is_exe_from_memfd": false,
	}
	got := map[string]any{}
	for name := range want {
		got[name] = cat.Fields[name]
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("cat (-want +got)\n%s", diff)
	}
	if names := cat.Fields["proc.aname"].([]string); len(names) < 4 || !cmp.Equal(names[:3], []string{"cat", "dash", "bash"}) || !strings.HasPrefix(names[3], "node.test") {
		t.Errorf("ancestors: %q", names)
	}
	open := l.wait(t, "opening shadow", func(e *seawall.Event) bool { return e.Fields["fd.name"] == "/etc/shadow" })
	want = map[string]any{"proc.name": "cat", "fd.directory": "/etc", "fd.filename": "shadow", "fd.typechar": "f", "fd.type": "file", "evt.is_open_read": true, "evt.is_open_write": false,
		"evt.arg.flags": "O_RDONLY", "fs.path.name": "/etc/shadow", "evt.arg.name": "/etc/shadow"}
	got = map[string]any{}
	for name := range want {
		got[name] = open.Fields[name]
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("open (-want +got)\n%s", diff)
	}
	chmod := l.wait(t, "chmod", func(e *seawall.Event) bool { return strings.Contains(e.Type, "chmod") })
	if f := chmod.Fields; f["fs.path.name"] != work+"/copy" || f["evt.arg.filename"] != work+"/copy" || !strings.Contains(f["evt.arg.mode"].(string), "S_ISUID") || f["proc.pname"] != "dash" {
		t.Errorf("chmod: %v", f)
	}
	if e := l.wait(t, "the end", func(e *seawall.Event) bool { return e.Type == "procexit" && e.Fields["proc.name"] == "dash" }); e.Fields["evt.arg.status"] != "0" {
		t.Errorf("dash: %v", e.Fields)
	}
}
