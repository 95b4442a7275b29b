package node

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/sensor/identity"
	"github.com/seawall-security/seawall/internal/sensor/trace"
)

// scripted is a sensor that emits what a function tells it to.
type scripted func(ctx context.Context, emit func(*trace.Event)) error

func (s scripted) Run(ctx context.Context, _ seawall.EventFilter, emit func(*trace.Event)) error {
	return s(ctx, emit)
}

// unlink is an event of a cgroup, told apart by its path.
func unlink(cgroup uint64, path string) *trace.Event {
	k := task(uint32(5000+cgroup), 1, "rm")
	k.Cgroup = cgroup
	return &trace.Event{Type: trace.Unlink, Task: k, Time: 6000 * second, Path: path, FD: -1, NewFD: -1}
}

// TestHold: events of a container that is being identified wait, in their order, and
// the others do not; the reused event of the sensor is copied.
func TestHold(t *testing.T) {
	var seen []string
	s, ids := recorder(t, nil)
	const late = 7
	ids.containers[late] = &identity.Container{}
	ids.containers[late].ID = "partial"
	ids.pending[late] = true
	run := func(_ context.Context, emit func(*trace.Event)) error {
		reused := &trace.Event{}
		for i, cgroup := range []uint64{late, hostGroup, late, webGroup, late} {
			buffer := fmt.Appendf(nil, "/%d", i)
			*reused = *unlink(cgroup, string(buffer))
			emit(reused)
		}
		*reused = trace.Event{}
		if n := s.Stats().Waiting; n != 3 {
			t.Errorf("%d wait", n)
		}
		s.mu.Lock()
		ids.pending[late] = false
		ids.containers[late] = web()
		s.mu.Unlock()
		ids.resolved <- struct{}{}
		for range 500 {
			if s.Stats().Waiting == 0 {
				return nil
			}
			time.Sleep(10 * time.Millisecond)
		}
		return errors.New("they were not let go")
	}
	if err := s.Run(t.Context(), scripted(run), seawall.EventFilter{}, func(e *Event) { seen = append(seen, ask(e, "container.id", 0)+e.Path) }); err != nil {
		t.Fatal(err)
	}
	web := containerID[:12]
	if got, want := strings.Join(seen, " "), "host/1 "+web+"/3 "+web+"/0 "+web+"/2 "+web+"/4"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if st := s.Stats(); st.Events != 5 || st.Held != 3 || st.Early != 0 {
		t.Errorf("%+v", st)
	}
}

// TestHoldBounded: events leave with what is known when the memory for them or
// their time is over, in their order, and the rest when the sensor ends.
func TestHoldBounded(t *testing.T) {
	var seen []string
	s, ids := recorder(t, nil)
	ids.containers[7] = &identity.Container{Short: "partial"}
	ids.pending[7] = true
	room := size(unlink(7, "/0"))
	s.cfg.MaxHeld = 3 * room
	run := func(_ context.Context, emit func(*trace.Event)) error {
		for i := range 5 {
			emit(unlink(7, fmt.Sprintf("/%d", i)))
		}
		return nil
	}
	if err := s.Run(t.Context(), scripted(run), seawall.EventFilter{}, func(e *Event) { seen = append(seen, ask(e, "container.id", 0)+e.Path) }); err != nil {
		t.Fatal(err)
	}
	if got, want := strings.Join(seen, " "), "partial/0 partial/1 partial/2 partial/3 partial/4"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if st := s.Stats(); st.Early != 5 || st.Waiting != 0 || s.bytes != 0 {
		t.Errorf("%+v, %d bytes", st, s.bytes)
	}
	s.cfg.HoldFor = time.Nanosecond
	s.take(unlink(7, "/late"))
	s.release(false)
	if got := seen[len(seen)-1]; got != "partial/late" {
		t.Errorf("after its time: %s", got)
	}
}

// TestCgroups: the sensor's news of cgroups are for the identity alone.
func TestCgroups(t *testing.T) {
	emitted := 0
	s, ids := recorder(t, func(*Event) { emitted++ })
	s.take(&trace.Event{Type: trace.CgroupMkdir, Path: "/kubepods/x", Child: trace.Child{Cgroup: 9}})
	s.take(&trace.Event{Type: trace.CgroupRmdir, Path: "/kubepods/x", Child: trace.Child{Cgroup: 9}})
	if emitted != 0 || ids.learned[9] != "/kubepods/x" {
		t.Errorf("%d emitted, learned %v", emitted, ids.learned)
	}
}

// TestNames: a name is that of its network namespace, the newest counts, and they are bounded.
func TestNames(t *testing.T) {
	s, _ := recorder(t, func(*Event) {})
	answer := &trace.Event{Type: trace.Recvmsg, Task: task(4001, 3000, "node"), Payload: query("www.example.org.", true), Socket: trace.Socket{Remote: netip.MustParseAddrPort("10.0.0.10:53")}}
	s.take(answer)
	at := netip.MustParseAddr("93.184.216.34")
	if got := s.names.of(78, at); got != "www.example.org" {
		t.Errorf("%q", got)
	}
	if got := s.names.of(79, at); got != "" {
		t.Errorf("in another namespace: %q", got)
	}
	answer.Socket.Remote = netip.MustParseAddrPort("10.0.0.10:5353")
	answer.Payload = query("evil.example.org.", true)
	s.take(answer)
	if got := s.names.of(78, at); got != "www.example.org" {
		t.Errorf("not from a name server: %q", got)
	}
	for i := range maxNames + 10 {
		s.names.add(78, netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), "x")
	}
	if len(s.names.known) != maxNames || len(s.names.order) != maxNames || s.names.of(78, at) != "" {
		t.Errorf("%d remembered, %d in order", len(s.names.known), len(s.names.order))
	}
}

// FuzzAnswers: whatever comes from port 53 gives bounded answers.
func FuzzAnswers(f *testing.F) {
	f.Add(query("www.example.org.", true))
	f.Add(query("www.example.org.", false))
	f.Add(query("www.example.org.", true)[:40])
	f.Fuzz(func(t *testing.T, payload string) {
		n := 0
		answers(payload, func(name string, a netip.Addr) {
			n++
			if !a.IsValid() || len(name) > 255 {
				t.Errorf("%q: %v", name, a)
			}
		})
		if n > maxAnswers || len(question(payload)) > 255 {
			t.Errorf("%d answers", n)
		}
	})
}

// FuzzAccounts: whatever a container's account files hold is read within bounds.
func FuzzAccounts(f *testing.F) {
	f.Add("root:x:0:0:root:/root:/bin/bash\nwheel:x:10:\n# comment\n:::\n")
	f.Fuzz(func(t *testing.T, text string) {
		parseAccounts(strings.NewReader(text), func(fields []string, _ uint32) {
			if len(fields) < 3 || len(fields) > 8 {
				t.Errorf("%q", fields)
			}
		})
	})
}

// TestAccountsStayInside: a container's links do not lead the agent out of its root, nor to a pipe.
func TestAccountsStayInside(t *testing.T) {
	root := t.TempDir()
	outside := filepath.Join(t.TempDir(), "passwd")
	if err := os.WriteFile(outside, []byte("outside:x:0:0::/:/bin/sh\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(root, "etc"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(outside, filepath.Join(root, "etc/passwd")); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mkfifo(filepath.Join(root, "etc/group"), 0o644); err != nil {
		t.Fatal(err)
	}
	a := readAccounts(root)
	if a == nil || a.user(0) != nil || a.group(0) != "" {
		t.Errorf("%+v", a)
	}
	// A link is followed inside of the root.
	if err := os.MkdirAll(filepath.Join(root, filepath.Dir(outside)), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root, outside), []byte("inside:x:0:0::/:/bin/sh\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if a = readAccounts(root); a == nil || a.user(0) == nil || a.user(0).name != "inside" {
		t.Errorf("%+v", a)
	}
}

// FuzzSpans: whatever an id map holds is bounded, and maps without a panic.
func FuzzSpans(f *testing.F) {
	f.Add("         0     100000      65536\n     65536          7          1\n", uint32(100003))
	f.Fuzz(func(t *testing.T, text string, id uint32) {
		all := parseSpans(text)
		if len(all) > maxSpans {
			t.Errorf("%d ranges", len(all))
		}
		if text == "" && into(all, id) != id {
			t.Errorf("%d became %d", id, into(all, id))
		}
	})
}

// TestAbsolute: paths are joined and cleaned by name.
func TestAbsolute(t *testing.T) {
	check := func(*Event) {}
	s, _ := recorder(t, func(e *Event) { check(e) })
	populate(s)
	check = func(e *Event) {
		for _, c := range [][3]string{
			{"/usr/bin", "ls", "/usr/bin/ls"}, {"/usr", "../etc//./x/", "/etc/x"}, {"", "/a/../../b", "/b"}, {"", "/clean", "/clean"}, {"/", "..", "/"},
			{"", "relative", "/app/relative"}, {"/d", "", "/d"}, {"", "/", "/"}, {"", "/.hidden", "/.hidden"}, {"/d", "..name/...", "/d/..name/..."},
		} {
			if got := e.absolute(c[0], c[1]); got != c[2] {
				t.Errorf("%q in %q: %q, want %q", c[1], c[0], got, c[2])
			}
		}
	}
	s.take(acts()["open"])
	check = func(e *Event) {
		if got := e.absolute("", "relative"); got != "relative" {
			t.Errorf("without any directory: %q", got)
		}
	}
	s.take(unlink(webGroup, "/x"))
}

// TestNoAllocation: judging an event that no rule is about costs no memory.
func TestNoAllocation(t *testing.T) {
	state := corpus(t).NewState()
	var hits []string
	s, _ := recorder(t, func(e *Event) {
		for _, r := range state.Match(seawall.SourceSyscall, e) {
			hits = append(hits, e.EventType()+": "+r.Name)
		}
	})
	write(t, s, "4001/root/etc/passwd", "node:x:0:0::/:/bin/sh\n")
	populate(s)
	hits = nil
	for _, e := range ordinary() {
		if e.Type == trace.Execve {
			continue // a new program is remembered
		}
		s.take(e)
		if n := testing.AllocsPerRun(100, func() { s.take(e) }); n > 0 {
			t.Errorf("%s: %v allocations", e.Type, n)
		}
	}
	if len(hits) > 0 {
		t.Errorf("a rule is about what is ordinary: %q", hits[0])
	}
}

// FuzzEvent: whatever record the sensor's decoder takes, every field of it can be asked for, and it can be written down.
func FuzzEvent(f *testing.F) {
	for _, e := range acts() {
		f.Add(trace.Append(nil, e))
	}
	var refs []seawall.FieldRef
	for _, name := range Fields() {
		refs = append(refs, seawall.FieldRef{Name: name, Index: -1}, seawall.FieldRef{Name: name, Index: 1, Argument: "1"}, seawall.FieldRef{Name: name, Index: -1, Argument: "path"})
	}
	f.Fuzz(func(t *testing.T, record []byte) {
		var e trace.Event
		if trace.Decode(record, &e) != nil {
			return
		}
		s, _ := recorder(t, func(e *Event) {
			for i := range refs {
				var v seawall.Value
				for n := range 3 {
					e.Value(&refs[i], n, &v)
				}
			}
			written := e.Event()
			if written.Type != e.EventType() {
				t.Errorf("%s is written as %s", e.EventType(), written.Type)
			}
			for name, value := range written.Fields {
				if text, ok := value.(string); ok && len(text) > maxReported*3 {
					t.Errorf("%s: %d bytes", name, len(text))
				}
			}
			e.Subject()
			e.Entered()
		})
		s.take(&e)
	})
}

func TestSpans(t *testing.T) {
	all := parseSpans("0 100000 10\nbroken\n10 7 1\n20 4294967290 100\n")
	for id, want := range map[uint32]uint32{100000: 0, 100009: 9, 100010: 100010, 7: 10, 8: 8, 4294967294: 24} {
		if got := into(all, id); got != want {
			t.Errorf("%d is %d, want %d", id, got, want)
		}
	}
}

func TestFilter(t *testing.T) {
	if f := Filter(seawall.EventFilter{}); f.Types != nil {
		t.Errorf("of everything: %+v", f)
	}
	if f := Filter(seawall.EventFilter{Types: []string{"openat"}}); len(f.Types) != 1 {
		t.Errorf("without connections: %+v", f)
	}
	given := []string{"connect", "recvmsg"}
	if f := Filter(seawall.EventFilter{Types: given}); strings.Join(f.Types, " ") != "connect recvmsg recvfrom recvmmsg read" || len(given) != 2 {
		t.Errorf("%+v", f)
	}
}
