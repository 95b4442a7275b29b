package trace

import (
	"errors"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/seawall-security/seawall/internal/seawall"
)

var equal = cmp.Options{cmpopts.EquateComparable(netip.AddrPort{}), cmpopts.EquateEmpty()}

// samples are events as a sensor decodes them.
func samples() []*Event {
	task := Task{
		PID: 4711, TID: 4712, PPID: 1, VPID: 7, VTID: 8, PGID: 4711, SID: 4700, VPGID: 7, VSID: 1, Start: 5e9, ParentStart: 1e9,
		UID: 1000, EUID: 0, LoginUID: none, Session: none, CapPermitted: 0xa80425fb, Cgroup: 4242, MountNS: 4026531841, TTY: 34816, Comm: "sh", ExeUpper: true,
	}
	return []*Event{
		{
			Type: Execve, Time: 6e9, CPU: 1, Task: task, FD: -1, NewFD: -1, Path: "./run", NewUID: none, NewGID: none,
			File: File{Path: "/tmp/run", Kind: KindFile, Dev: 0x2a, Inode: 99, Mode: 0o100755, CTime: 1, MTime: 2, NLink: 1, Upper: true, Writable: true},
			Exec: Exec{Args: "run\x00-x\x00", CWD: "/tmp", Interp: "./run", Stdio: [3]Stdio{{Kind: KindSocket, Inode: 5, Family: afInet}, {Kind: KindPipe}, {Kind: KindChar}}},
		},
		{Type: Clone, Task: task, Ret: 9, FD: -1, NewFD: -1, OpFlags: 0x1200011, Child: Child{PID: 4800, VPID: 9, Start: 7e9, Cgroup: 4242, PIDNS: 1}, NewUID: none, NewGID: none},
		{
			Type: Openat, Task: task, Ret: 3, Args: [6]uint64{0xffffff9c, 0, 0o2101, 0o644}, FD: 3, NewFD: -1, OpFlags: 0o2101, Mode: 0o644,
			Path: "log", Dir: "/var", File: File{Path: "/var/log", Kind: KindFile, Mode: 0o100644, Lower: true}, NewUID: none, NewGID: none,
		},
		{
			Type: Connect, Task: task, Ret: -115, Args: [6]uint64{4}, FD: 4, NewFD: -1, File: File{Kind: KindSocket, Mode: 0o140777, FSMagic: magicSocket},
			Socket: Socket{Family: afInet6, Type: 1, Protocol: 6, Local: netip.MustParseAddrPort("[fd00::1]:40000"), Remote: netip.MustParseAddrPort("192.0.2.1:443")}, NewUID: none, NewGID: none,
		},
		{Type: Kill, Task: task, Args: [6]uint64{7, 9}, FD: -1, NewFD: -1, TargetPID: 7, Signal: 9, NewUID: none, NewGID: none},
		{Type: Exit, Task: task, Ret: -9, FD: -1, NewFD: -1, NewUID: none, NewGID: none},
	}
}

func TestWireKeepsEvents(t *testing.T) {
	for _, want := range samples() {
		t.Run(want.Type.String(), func(t *testing.T) {
			b := Append([]byte("before"), want)[len("before"):]
			var got Event
			got.Path = "of the event before"
			if err := Decode(b, &got); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, &got, equal...); diff != "" {
				t.Error(diff)
			}
			clone := got.Clone()
			clear(b)
			if diff := cmp.Diff(want, clone, equal...); diff != "" {
				t.Errorf("the clone changed with the record:\n%s", diff)
			}
		})
	}
}

func TestDecodeAllocatesNothing(t *testing.T) {
	var e Event
	for _, want := range samples() {
		b := Append(nil, want)
		if n := testing.AllocsPerRun(100, func() { _ = Decode(b, &e) }); n != 0 {
			t.Errorf("%v: %v allocations", want.Type, n)
		}
	}
}

func TestDecodeRefusesDamage(t *testing.T) {
	whole := Append(nil, samples()[0])
	for name, b := range map[string][]byte{
		"empty":          nil,
		"short":          whole[:100],
		"wrong size":     whole[:len(whole)-8],
		"type of none":   edit(whole, 4, 0),
		"unknown type":   edit(whole, 5, 0xff),
		"record too big": edit(whole, headerSize+3, 0xff),
		"size of a file": edit(Append(nil, &Event{Type: Openat, File: File{Inode: 1}}), headerSize+2, 8),
	} {
		var e Event
		if err := Decode(b, &e); !errors.Is(err, seawall.ErrCorrupt) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func edit(b []byte, at int, to byte) []byte {
	b = slices.Clone(b)
	b[at] = to
	return b
}

func TestTypesHaveNames(t *testing.T) {
	seen := map[string]bool{}
	for _, typ := range Types() {
		name := typ.String()
		if back, ok := TypeOf(name); !ok || back != typ {
			t.Errorf("%d is %q, which is %v", typ, name, back)
		}
		if seen[name] || name == "" {
			t.Errorf("two types named %q", name)
		}
		seen[name] = true
	}
}

func TestFailed(t *testing.T) {
	for _, c := range []struct {
		e    Event
		want bool
	}{
		{Event{Type: Openat, Ret: 3}, false},
		{Event{Type: Openat, Ret: -2}, true},
		{Event{Type: Exit, Ret: -9}, false},
		{Event{Type: Connect, Ret: -115}, false},
		{Event{Type: Connect, Ret: -111}, true},
	} {
		if got := c.e.Failed(); got != c.want {
			t.Errorf("%v %d: %v", c.e.Type, c.e.Ret, got)
		}
	}
}

func TestStrings(t *testing.T) {
	for text, want := range map[Strings][]string{
		"":             nil,
		"a\x00":        {"a"},
		"a\x00\x00b":   {"a", "", "b"}, // cut
		"a\x00b c\x00": {"a", "b c"},
	} {
		var got []string
		for i, s := range text.All() {
			if i != len(got) {
				t.Errorf("%q: number %d after %d", text, i, len(got))
			}
			got = append(got, s)
		}
		if !slices.Equal(got, want) || text.Len() != len(want) {
			t.Errorf("%q: %q, length %d", text, got, text.Len())
		}
	}
}

func TestClock(t *testing.T) {
	now := time.Date(2026, 11, 21, 9, 0, 0, 0, time.UTC)
	c := NewClock(now, 100*time.Second)
	if got := c.Time(103e9); !got.Equal(now.Add(3 * time.Second)) {
		t.Error(got)
	}
}

func FuzzDecode(f *testing.F) {
	for _, e := range samples() {
		f.Add(Append(nil, e))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var e, again Event
		if err := Decode(b, &e); err != nil {
			if !errors.Is(err, seawall.ErrCorrupt) {
				t.Fatalf("an error of another kind: %v", err)
			}
			return
		}
		if e.Type == TypeNone || len(e.Path)+len(e.Exec.Args) > len(b) {
			t.Fatalf("%+v", e)
		}
		if err := Decode(Append(nil, &e), &again); err != nil {
			t.Fatalf("written again: %v", err)
		}
		if diff := cmp.Diff(e, again, equal...); diff != "" {
			t.Fatal(diff)
		}
	})
}

func BenchmarkDecode(b *testing.B) {
	var e Event
	for _, s := range samples()[:3] {
		record := Append(nil, s)
		b.Run(s.Type.String(), func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(record)))
			for b.Loop() {
				if err := Decode(record, &e); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
