package process

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/sensor/trace"
	"github.com/seawall-security/seawall/internal/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }

const second = uint64(time.Second)

func task(pid, parent uint32, start, parentStart uint64, comm string) trace.Task {
	return trace.Task{PID: pid, TID: pid, PPID: parent, Start: start, ParentStart: parentStart, Comm: comm, VPID: pid, PGID: pid, SID: 1, PIDNS: 1}
}

func execute(k trace.Task, at uint64, path string, args ...string) *trace.Event {
	return &trace.Event{Type: trace.Execve, Time: at, Task: k, File: trace.File{Path: path, Kind: trace.KindFile}, Exec: trace.Exec{Args: trace.Strings(strings.Join(args, "\x00") + "\x00"), CWD: "/"}}
}

func forked(k trace.Task, at uint64, child uint32) *trace.Event {
	return &trace.Event{Type: trace.Clone, Time: at, Task: k, Ret: int64(child), Child: trace.Child{PID: child, VPID: child, Start: at, PIDNS: k.PIDNS}}
}

func empty(t testing.TB) *Tree {
	return New(Config{Proc: t.TempDir()})
}

func lineage(p *Process) string {
	var all []string
	for ; p != nil; p = p.Parent {
		all = append(all, p.Comm)
	}
	return strings.Join(all, " ")
}

// TestLineage: ancestors are those who started a process, also when they have ended.
func TestLineage(t *testing.T) {
	tree := empty(t)
	bash := task(10, 1, second, 0, "bash")
	tree.Apply(execute(bash, second, "/bin/bash", "bash", "-c", "x y"))
	tree.Apply(forked(bash, 2*second, 11))
	child := task(11, 10, 2*second, second, "bash")
	if p := tree.Apply(&trace.Event{Type: trace.Unlink, Time: 2 * second, Task: child}); p.Cmdline != "bash -c x y" || p.Program.Arg0 != "bash" || p.Program.Count != 2 {
		t.Errorf("a child runs what its parent does, not %q", p.Cmdline)
	}
	child.Comm = "sh"
	tree.Apply(execute(child, 3*second, "/bin/sh", "sh"))
	tree.Apply(forked(child, 4*second, 12))
	tree.Apply(&trace.Event{Type: trace.Exit, Time: 5 * second, Task: child})
	grand := task(12, 1, 4*second, 0, "evil") // the kernel has given it to init
	p := tree.Apply(execute(grand, 100*second, "/tmp/evil", "evil"))
	if got := lineage(p); got != "evil sh bash" {
		t.Errorf("lineage: %s", got)
	}
	if q := tree.Find(11); q != nil {
		t.Errorf("%s is still in the tree", q.Comm)
	}
	if p.Parent.Program.Path != "/bin/sh" || !p.Parent.Ended {
		t.Errorf("the ended parent: %+v", p.Parent)
	}
}

// TestReuse: a PID that is used again is another process.
func TestReuse(t *testing.T) {
	tree := empty(t)
	old := tree.Apply(execute(task(10, 1, second, 0, "old"), second, "/old", "old"))
	tree.Apply(&trace.Event{Type: trace.Exit, Time: 2 * second, Task: task(10, 1, second, 0, "old")})
	young := tree.Apply(execute(task(10, 1, 3*second, 0, "young"), 3*second, "/young", "young"))
	if old == young || tree.Find(10) != young {
		t.Error("taken for the same")
	}
	tree.Apply(&trace.Event{Type: trace.Unlink, Time: 60 * second, Task: task(11, 1, 60*second, 0, "x")})
	if tree.Find(10) != young {
		t.Error("the end of the old one removed the young one")
	}
	if p := tree.Apply(&trace.Event{Type: trace.Unlink, Time: 61 * second, Task: task(12, 10, 61*second, second, "child")}); p.Parent != nil {
		t.Errorf("the old one's child has the parent %s", p.Parent.Comm)
	}
}

// TestOvertaken: an event of a process that comes before that of its start, and after that of its end.
func TestOvertaken(t *testing.T) {
	tree := empty(t)
	bash := task(10, 1, second, 0, "bash")
	tree.Apply(execute(bash, second, "/bin/bash", "bash"))
	child := task(11, 10, 2*second, second, "bash")
	early := tree.Apply(&trace.Event{Type: trace.Unlink, Time: 2*second + 5, Task: child})
	if early.Program.Path != "/bin/bash" || lineage(early) != "bash bash" {
		t.Errorf("before its start: %+v", early)
	}
	child.Comm = "ls"
	ls := tree.Apply(execute(child, 2*second+9, "/bin/ls", "ls"))
	tree.Apply(forked(bash, 2*second, 11))
	if ls != early || tree.Find(11) != ls || ls.Program.Path != "/bin/ls" || ls.Comm != "ls" {
		t.Errorf("the late event of its start undid its program: %+v", tree.Find(11))
	}
	tree.Apply(&trace.Event{Type: trace.Exit, Time: 3 * second, Task: child})
	if p := tree.Apply(&trace.Event{Type: trace.Unlink, Time: 3*second - 1, Task: child}); p != ls {
		t.Error("after its end it was another")
	}
}

// TestParentFlag: a clone with CLONE_PARENT makes a sibling.
func TestParentFlag(t *testing.T) {
	tree := empty(t)
	runc := task(10, 1, second, 0, "runc")
	tree.Apply(execute(runc, second, "/usr/bin/runc", "runc"))
	tree.Apply(forked(runc, 2*second, 11))
	child := task(11, 10, 2*second, second, "runc:[1:CHILD]")
	e := forked(child, 3*second, 12)
	e.OpFlags = cloneParent
	tree.Apply(e)
	if got := lineage(tree.Find(12)); got != "runc:[1:CHILD] runc" {
		t.Errorf("lineage: %s", got)
	}
}

// TestLeaders: sessions and groups are named by their leaders, by an ancestor when those are gone.
func TestLeaders(t *testing.T) {
	tree := empty(t)
	sshd := task(10, 1, second, 0, "sshd")
	sshd.SID = 10
	tree.Apply(execute(sshd, second, "/usr/sbin/sshd", "sshd"))
	tree.Apply(forked(sshd, 2*second, 11))
	bash := task(11, 10, 2*second, second, "bash")
	bash.SID, bash.PGID = 11, 11
	tree.Apply(execute(bash, 2*second, "/bin/bash", "bash"))
	tree.Apply(forked(bash, 3*second, 12))
	ls := task(12, 11, 3*second, 2*second, "ls")
	ls.SID, ls.PGID = 11, 12
	p := tree.Apply(execute(ls, 3*second, "/bin/ls", "ls"))
	if s, g := tree.SessionLeader(p), tree.GroupLeader(p); s.Comm != "bash" || g.Comm != "ls" {
		t.Errorf("session %s, group %s", s.Comm, g.Comm)
	}
	tree.Apply(&trace.Event{Type: trace.Exit, Time: 4 * second, Task: bash})
	tree.Apply(&trace.Event{Type: trace.Unlink, Time: 60 * second, Task: ls})
	if tree.Find(11) != nil {
		t.Fatal("bash is still there")
	}
	if s := tree.SessionLeader(p); s.Comm != "bash" {
		t.Errorf("session %s", s.Comm)
	}
}

// TestBounds: neither many processes, nor processes that start themselves anew for ever, nor long arguments cost more than the bounds.
func TestBounds(t *testing.T) {
	tree := New(Config{Proc: t.TempDir(), Max: 100})
	for pid := range uint32(1000) {
		tree.Apply(execute(task(pid+10, 1, second, 0, "x"), second, "/x", "x"))
	}
	if s := tree.Stats(); s.Processes != 100 || s.Refused != 900 {
		t.Errorf("%+v", s)
	}
	tree = empty(t)
	now := second
	last := task(10, 1, now, 0, "phoenix")
	p := tree.Apply(execute(last, now, "/phoenix", "phoenix"))
	for i := range uint32(5000) {
		now += second
		tree.Apply(forked(last, now, 11+i))
		tree.Apply(&trace.Event{Type: trace.Exit, Time: now, Task: last})
		next := task(11+i, 1, now, 0, "phoenix")
		p = tree.Apply(&trace.Event{Type: trace.Unlink, Time: now, Task: next})
		last = next
	}
	n := 0
	for q := p; q != nil; q = q.Parent {
		n++
	}
	if n > maxDead+3 {
		t.Errorf("%d generations", n)
	}
	if s := tree.Stats(); s.Processes > 10 {
		t.Errorf("%+v", s)
	}
	long := tree.Apply(execute(task(9, 1, now, 0, "long"), now, "/long", "long", strings.Repeat("x", 1<<20)))
	if len(long.Cmdline) > maxText+16 {
		t.Errorf("%d bytes of arguments", len(long.Cmdline))
	}
}

// TestScan: the processes that are there, this one and a child of it among them; events find them again.
func TestScan(t *testing.T) {
	sleep := exec.Command(testenv.Tool(t, "sleep"), "60")
	sleep.Args[0] = "sleep"
	if err := sleep.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = sleep.Process.Kill(); _ = sleep.Wait() }()
	var p *Process
	for range 200 { // until it has become sleep
		tree := New(Config{})
		if err := tree.Scan(); err != nil {
			t.Fatal(err)
		}
		if p = tree.Find(uint32(sleep.Process.Pid)); p != nil && p.Comm == "sleep" {
			start := p.Start + 1234567 // the kernel's clock is finer
			again := tree.Apply(&trace.Event{Type: trace.Unlink, Time: p.Start + second, Task: task(p.PID, uint32(os.Getpid()), start, 0, "sleep")})
			if again != p || p.Start != start {
				t.Errorf("found %p started %d again as %p started %d", p, start, again, again.Start)
			}
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if p.Cmdline != "sleep 60" || p.Program.Arg0 != "sleep" || !strings.HasSuffix(p.Program.Path, "sleep") || p.PIDNS == 0 || p.VPID == 0 || p.Program.File.Inode == 0 {
		t.Errorf("%+v %+v", p, p.Program)
	}
	if p.Parent == nil || p.Parent.PID != uint32(os.Getpid()) || p.Parent.Program.Path != self {
		t.Errorf("its parent: %+v", p.Parent)
	}
}

// TestLook: a look that lasts for ever is left alone, there are only so many of them, and others go on when they have ended.
func TestLook(t *testing.T) {
	var g Guard
	if got, ok := Look(&g, func() int { return 7 }); got != 7 || !ok {
		t.Errorf("%d %v", got, ok)
	}
	release := make(chan struct{})
	answered := make(chan bool, maxLooks)
	for range maxLooks {
		go func() {
			_, ok := Look(&g, func() int { <-release; return 1 })
			answered <- ok
		}()
	}
	for range maxLooks {
		if <-answered {
			t.Error("what never ended has answered")
		}
	}
	begun := false
	if _, ok := Look(&g, func() bool { begun = true; return true }); ok || begun {
		t.Error("one more was begun")
	}
	close(release)
	for range 500 {
		if _, ok := Look(&g, func() int { return 1 }); ok {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Error("none is begun any more")
}

func TestParseStat(t *testing.T) {
	p, parent, err := parseStat([]byte("7 (a) (b) S 3 7 5 34816 7 4194304 1 2 3 4 5 6 7 8 20 0 1 0 1234 5 6"))
	if err != nil || p.PID != 7 || parent != 3 || p.Comm != "a) (b" || p.PGID != 7 || p.SID != 5 || p.TTY != 34816 || p.Start != 1234*uint64(tick) {
		t.Errorf("%+v, parent %d, %v", p, parent, err)
	}
}

// FuzzStat: whatever stands in stat and status is an error or a process.
func FuzzStat(f *testing.F) {
	f.Add([]byte("7 (a) (b) S 3 7 5 34816 7 4194304 1 2 3 4 5 6 7 8 20 0 1 0 1234 5 6"), []byte("Name:\tx\nUid:\t0\t0\t0\t0\nNSpid:\t7\t1\n"))
	if stat, err := os.ReadFile("/proc/self/stat"); err == nil {
		f.Add(stat, []byte{})
	}
	f.Fuzz(func(t *testing.T, stat, status []byte) {
		p, _, err := parseStat(stat)
		if (p == nil) != (err != nil) || err != nil && !errors.Is(err, seawall.ErrCorrupt) {
			t.Fatalf("%v, %v", p, err)
		}
		if p != nil {
			p.status(status)
			if len(p.Comm) > 64 {
				t.Errorf("a name of %d bytes", len(p.Comm))
			}
		}
	})
}

// BenchmarkLife is a process that starts, becomes a program, does something and ends.
func BenchmarkLife(b *testing.B) {
	tree := empty(b)
	bash := task(10, 1, second, 0, "bash")
	tree.Apply(execute(bash, second, "/bin/bash", "bash"))
	now := 2 * second
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		now += second / 1000
		pid := uint32(100 + i%30000)
		tree.Apply(forked(bash, now, pid))
		child := task(pid, 10, now, second, "date")
		tree.Apply(execute(child, now, "/usr/bin/date", "date", "+%s"))
		tree.Apply(&trace.Event{Type: trace.Unlink, Time: now, Task: child})
		tree.Apply(&trace.Event{Type: trace.Exit, Time: now, Task: child})
	}
}

// BenchmarkMemory tells what one process costs.
func BenchmarkMemory(b *testing.B) {
	for b.Loop() {
		tree := empty(b)
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		const n = 10000
		for pid := range uint32(n) {
			tree.Apply(execute(task(pid+10, 1, second, 0, "node"), second, "/usr/local/bin/node", "node", "/app/server.js", "--port", fmt.Sprint(pid)))
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/n, "bytes/process")
		runtime.KeepAlive(tree)
	}
}
