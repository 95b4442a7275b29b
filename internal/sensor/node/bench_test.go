package node

import (
	"net/netip"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/seawall-security/seawall/internal/detect/rules"
	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/sensor/identity"
	"github.com/seawall-security/seawall/internal/sensor/trace"
	"github.com/seawall-security/seawall/internal/testenv"
)

// fixed is an Identity that knows everything.
type fixed struct {
	containers map[uint64]*identity.Container
	pending    map[uint64]bool
	learned    map[uint64]string
	resolved   chan struct{}
}

func (f *fixed) Lookup(cgroup uint64, _ uint32) (*identity.Container, bool) {
	return f.containers[cgroup], !f.pending[cgroup]
}
func (f *fixed) Learn(cgroup uint64, path string) { f.learned[cgroup] = path }
func (f *fixed) Path(cgroup uint64) string        { return "/sys/fs/cgroup/test" }
func (f *fixed) Resolved() <-chan struct{}        { return f.resolved }

const (
	hostGroup = 1
	webGroup  = 4242
	second    = 1_000_000_000
)

// web is the container of the tests.
func web() *identity.Container {
	return &identity.Container{
		Container: seawall.Container{
			ID: containerID, Name: "web", Image: "registry.example.org/shop/web:1.2", Digest: "sha256:" + containerID, Namespace: "shop", Pod: "web-6d4cf56db6-x2x9z",
			PodUID: "5d97025f-e6f1-42b9-aab8-f04580216c05", Workload: "Deployment/shop/web", Labels: map[string]string{"app": "web", "pod-template-hash": "6d4cf56db6"},
		},
		Short: containerID[:12], Runtime: "containerd", Known: true, SandboxID: "4a15a9e5859f960502853de6a8480a8caa66160bcf4a89950fb8990eafde2e42", ImageID: "sha256:0011",
		Repository: "registry.example.org/shop/web", Tag: "1.2", IP: "10.1.2.3", Created: 1_700_000_000 * second, CgroupPath: "/sys/fs/cgroup/kubepods/web",
		Mounts: []identity.Mount{{Source: "/var/run/docker.sock", Destination: "/docker.sock", Mode: "Z", Writable: true, Propagation: "private"}}, MountsText: "/var/run/docker.sock:/docker.sock:Z:true:private",
		ContainerLabels: map[string]string{"tier": "front"}, LabelsText: "tier:front", PodLabelsText: "app:web, pod-template-hash:6d4cf56db6",
		Privileged: true, HostPID: true, HostNetwork: true, HostIPC: true,
	}
}

// recorder is a stream whose events a function sees.
func recorder(t testing.TB, see func(e *Event)) (*Stream, *fixed) {
	t.Helper()
	ids := &fixed{containers: map[uint64]*identity.Container{webGroup: web()}, pending: map[uint64]bool{}, learned: map[uint64]string{}, resolved: make(chan struct{}, 1)}
	s, err := New(Config{Node: "n1", Identity: ids, Proc: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	s.emit = see
	return s, ids
}

// task is a thread of a process in the container.
func task(pid, parent uint32, comm string) trace.Task {
	return trace.Task{
		PID: pid, TID: pid, PPID: parent, VPID: pid - 4000, VTID: pid - 4000, VPPID: parent - 4000, PGID: pid, SID: 4001, VPGID: pid - 4000, VSID: 1, Start: uint64(pid) * second, ParentStart: uint64(parent) * second,
		LoginUID: ^uint32(0), CapPermitted: 0xa80425fb, CapEffective: 0xa80425fb, Cgroup: webGroup, PIDNS: 77, NetNS: 78, Comm: comm,
	}
}

// started is the start of a program.
func started(pid, parent uint32, path, args string) *trace.Event {
	comm := base(path)
	t := task(pid, parent, comm[:min(len(comm), 15)])
	return &trace.Event{
		Type: trace.Execve, Time: t.Start + second/10, Task: t, Path: path, FD: -1, NewFD: -1,
		File: trace.File{Path: path, Kind: trace.KindFile, Inode: 99, CTime: 1_600_000_000 * second, MTime: 1_600_000_001 * second, Lower: true, Writable: true},
		Exec: trace.Exec{Args: trace.Strings(args), CWD: "/app", Env: "HOME=/root\x00MARK=here\x00", Stdio: [3]trace.Stdio{{Kind: trace.KindSocket, Family: unix.AF_INET}, {Kind: trace.KindFile}, {Kind: trace.KindPipe}}},
	}
}

// populate starts the container: shim (on the host), the web server, a shell in it.
func populate(s *Stream) {
	shim := started(3000, 1, "/usr/bin/containerd-shim-runc-v2", "containerd-shim\x00-namespace\x00k8s.io\x00")
	shim.Task.Cgroup = hostGroup
	s.take(shim)
	s.take(started(4001, 3000, "/usr/local/bin/node", "node\x00/app/server.js\x00--port\x008080\x00"))
	s.take(started(4002, 4001, "/bin/sh", "sh\x00-c\x00date +%s\x00"))
}

// ordinary is what a busy container does most, none of it worth a word.
func ordinary() []*trace.Event {
	node := task(4001, 3000, "node")
	file := trace.File{Path: "/app/node_modules/express/lib/router.js", Kind: trace.KindFile, Inode: 7, Lower: true}
	open := &trace.Event{Type: trace.Openat, Task: node, Time: 5000 * second, Ret: 12, FD: 12, NewFD: -1, Path: "/app/node_modules/express/lib/router.js", File: file, OpFlags: unix.O_CLOEXEC, Args: [6]uint64{0xffffff9c}}
	tcp := trace.Socket{Family: unix.AF_INET, Type: unix.SOCK_STREAM, Protocol: unix.IPPROTO_TCP, State: 1, Local: netip.MustParseAddrPort("10.0.0.5:41000"), Remote: netip.MustParseAddrPort("10.0.0.9:5432")}
	socket := trace.File{Kind: trace.KindSocket, Inode: 8}
	connect := &trace.Event{Type: trace.Connect, Task: node, Time: 5001 * second, FD: 15, NewFD: -1, File: socket, Socket: tcp}
	accept := &trace.Event{Type: trace.Accept4, Task: node, Time: 5002 * second, Ret: 16, FD: 16, NewFD: -1, File: socket, Socket: trace.Socket{Family: unix.AF_INET, Type: unix.SOCK_STREAM, Protocol: unix.IPPROTO_TCP, State: 1, Local: netip.MustParseAddrPort("10.0.0.5:8080"), Remote: netip.MustParseAddrPort("10.0.0.9:50000")}}
	rename := &trace.Event{Type: trace.Rename, Task: node, Time: 5003 * second, FD: -1, NewFD: -1, Path: "/app/a.tmp", Path2: "/app/a"}
	fork := &trace.Event{Type: trace.Clone, Task: node, Time: 5004 * second, Ret: 10, FD: -1, NewFD: -1, OpFlags: 0x1200011, Child: trace.Child{PID: 4010, VPID: 10, Start: 5004 * second, Cgroup: webGroup, PIDNS: 77}}
	date := started(4011, 4001, "/usr/bin/date", "date\x00+%s\x00")
	return []*trace.Event{open, open, open, connect, accept, rename, fork, date}
}

func corpus(t testing.TB) *rules.Engine {
	t.Helper()
	files := rules.Own()
	for _, name := range []string{"falco_rules.yaml", "falco-incubating_rules.yaml", "falco-sandbox_rules.yaml"} {
		path := testenv.Shared(t, "falco-rules/"+name)
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, rules.File{Path: path, Data: data})
	}
	set, err := rules.Load(files...)
	if err != nil {
		t.Fatal(err)
	}
	engine, err := rules.Compile(set)
	if err != nil {
		t.Fatal(err)
	}
	return engine
}

// BenchmarkCorpus is the cost of one event from the sensor to the verdict of all
// public rules and our own.
func BenchmarkCorpus(b *testing.B) {
	state := corpus(b).NewState()
	hits := 0
	s, _ := recorder(b, func(e *Event) { hits += len(state.Match(seawall.SourceSyscall, e)) })
	populate(s)
	hits = 0
	events := ordinary()
	for _, e := range events {
		b.Run(e.Type.String(), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				s.take(e)
			}
		})
	}
	b.Run("all", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			s.take(events[i%len(events)])
		}
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
	})
	b.ReportMetric(float64(hits), "hits")
}

// BenchmarkJoin is the same without any rule.
func BenchmarkJoin(b *testing.B) {
	s, _ := recorder(b, func(*Event) {})
	populate(s)
	events := ordinary()
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		s.take(events[i%len(events)])
	}
}
