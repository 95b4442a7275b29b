package rules_test

import (
	"testing"

	"github.com/seawall-security/seawall/internal/detect/rules"
	"github.com/seawall-security/seawall/internal/seawall"
)

// ready is an event with its values made, found by name.
type ready struct {
	kind   string
	values map[string][]seawall.Value
}

func (r *ready) EventType() string { return r.kind }

func (r *ready) Value(ref *seawall.FieldRef, i int, v *seawall.Value) bool {
	values := r.values[ref.Name]
	if ref.Index >= 0 {
		i = ref.Index
	}
	if i >= len(values) || ref.Argument != "" && ref.Index < 0 {
		return false
	}
	*v = values[i]
	return true
}

func layOut(e rules.Recorded) *ready {
	r := &ready{kind: e.EventType(), values: map[string][]seawall.Value{}}
	for _, f := range rules.Fields() {
		for i := 0; ; i++ {
			var v seawall.Value
			if !e.Value(&seawall.FieldRef{Name: f.Name, Index: -1}, i, &v) {
				break
			}
			r.values[f.Name] = append(r.values[f.Name], v)
			if !f.Any && !f.List {
				break
			}
		}
	}
	return r
}

// ordinary is what a busy node does most: nothing any rule is about.
func ordinary() []rules.Recorded {
	process := func(kind string, more map[string]any) rules.Recorded {
		fields := map[string]any{
			"proc.name": "node", "proc.pname": "containerd-shim", "proc.exepath": "/usr/local/bin/node", "proc.exe": "node", "proc.cmdline": "node /app/server.js --port 8080",
			"proc.args": "/app/server.js --port 8080", "proc.pexe": "/usr/bin/containerd-shim-runc-v2", "proc.pcmdline": "containerd-shim -namespace k8s.io", "proc.tty": 0,
			"proc.aname": []any{"node", "containerd-shim", "systemd"}, "proc.cwd": "/app/", "proc.vpid": 1, "proc.sid": 1, "proc.sname": "node", "user.name": "app", "user.uid": 1000,
			"user.loginuid": -1, "container.id": "0123456789ab", "container.image.repository": "registry.example.org/shop/web", "k8s.ns.name": "shop", "k8s.pod.name": "web-1",
			"evt.rawres": 3, "evt.res": "SUCCESS", "evt.dir": "<", "thread.cap_permitted": "", "proc.is_exe_upper_layer": false, "proc.is_exe_from_memfd": false, "proc.duration": 5000000000,
		}
		for k, v := range more {
			fields[k] = v
		}
		return event(kind, fields)
	}
	file := map[string]any{"fd.name": "/app/node_modules/express/lib/router.js", "fd.nameraw": "/app/node_modules/express/lib/router.js", "fd.directory": "/app/node_modules/express/lib", "fd.filename": "router.js",
		"fd.typechar": "f", "fd.type": "file", "fd.num": 12, "evt.arg.flags": "O_RDONLY|O_CLOEXEC", "evt.is_open_read": true, "evt.is_open_write": false}
	socket := map[string]any{"fd.name": "10.0.0.5:41000->10.0.0.9:5432", "fd.typechar": "4", "fd.type": "ipv4", "fd.num": 15, "fd.sip": "10.0.0.9", "fd.cip": "10.0.0.5", "fd.lip": "10.0.0.5", "fd.rip": "10.0.0.9",
		"fd.snet": "10.0.0.9", "fd.cnet": "10.0.0.5", "fd.sport": 5432, "fd.cport": 41000, "fd.lport": 41000, "fd.rport": 5432, "fd.l4proto": "tcp", "fd.connected": true}
	return []rules.Recorded{
		process("openat", file), process("openat", file), process("openat", file), process("openat", file), process("connect", socket), process("accept4", socket),
		process("execve", map[string]any{"proc.name": "date", "proc.exepath": "/usr/bin/date", "proc.cmdline": "date +%s", "proc.args": "+%s", "evt.arg.flags": "EXE_WRITABLE"}), process("clone", nil),
		process("close", file), process("rename", map[string]any{"evt.arg.oldpath": "/app/a", "evt.arg.newpath": "/app/b"}),
	}
}

// BenchmarkCorpus is the cost of one event with every public rule loaded, BenchmarkOwn with ours.
func BenchmarkCorpus(b *testing.B) { benchmark(b, load(b, corpus(b))) }
func BenchmarkOwn(b *testing.B)    { benchmark(b, own(b)) }

func load(t testing.TB, files []rules.File) *rules.Engine {
	t.Helper()
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

func benchmark(b *testing.B, engine *rules.Engine) {
	state := engine.NewState()
	var events []*ready
	for _, e := range ordinary() {
		events = append(events, layOut(e))
	}
	b.ReportAllocs()
	hits := 0
	for i := 0; b.Loop(); i++ {
		hits += len(state.Match(rules.SourceSyscall, events[i%len(events)]))
	}
	b.ReportMetric(float64(hits)/float64(b.N), "hits/op")
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
}

// BenchmarkCompile is the cost of loading the corpus.
func BenchmarkCompile(b *testing.B) {
	files := corpus(b)
	b.ReportAllocs()
	for b.Loop() {
		set, err := rules.Load(files...)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := rules.Compile(set); err != nil {
			b.Fatal(err)
		}
	}
}

// TestNoAllocation: an event no rule is about costs no memory.
func TestNoAllocation(t *testing.T) {
	for name, engine := range map[string]*rules.Engine{"public": load(t, corpus(t)), "own": own(t)} {
		state := engine.NewState()
		for _, e := range ordinary() {
			r := layOut(e)
			if hits := state.Match(rules.SourceSyscall, r); len(hits) > 0 {
				t.Errorf("%s: %s: %s", name, e.EventType(), hits[0].Name)
			}
			if n := testing.AllocsPerRun(100, func() { state.Match(rules.SourceSyscall, r) }); n > 0 {
				t.Errorf("%s: %s: %v allocations", name, e.EventType(), n)
			}
		}
	}
}
