package permission

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seawall-security/seawall/internal/enforce/enforcetest"
	"github.com/seawall-security/seawall/internal/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }

func newContainer(t *testing.T) *enforcetest.Shell {
	t.Helper()
	if err := Probe(); err != nil {
		t.Skipf("this kernel refuses no programs: %v", err)
	}
	return enforcetest.NewShell(t)
}

// guard starts a Guard that watches a container; judge is asked for each Exec.
func guard(t testing.TB, c *enforcetest.Shell, judge func(*Exec) bool, deadline time.Duration) *Guard {
	t.Helper()
	g, err := New(Config{Judge: func(e *Exec) (bool, bool) { return judge(e), true }, Deadline: deadline})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- g.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if err := g.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := g.Watch(c.PID); err != nil {
		t.Fatal(err)
	}
	return g
}

func TestRefused(t *testing.T) {
	c := newContainer(t)
	var mu sync.Mutex
	var seen []Exec
	judge := func(r *Exec) bool {
		mu.Lock()
		defer mu.Unlock()
		seen = append(seen, *r)
		return r.Name() == "payload" || slices.Contains(r.Args, "--evil")
	}
	c.Run("cp /bin/touch m/payload; cp /bin/touch m/harmless; ln -s harmless m/link; mkdir m/sub")
	c.Run("printf '#!/bin/sh\\ntouch m/script-was-here\\n' > m/script; chmod +x m/script")
	c.Run("cp /bin/true o/new")
	g := guard(t, c, judge, 10*time.Second)
	for _, tc := range []struct {
		command string
		refused bool
		effect  string
		want    Exec
	}{
		{"m/payload m/a", true, "m/a", Exec{Claimed: "m/payload", Path: c.Dir + "/m/payload", File: c.Dir + "/m/payload", Args: []string{"m/payload", "m/a"}}},
		{"(exec -a harmless m/payload m/b)", true, "m/b", Exec{Claimed: c.Dir + "/m/payload", Path: c.Dir + "/m/payload", File: c.Dir + "/m/payload", Args: []string{"harmless", "m/b"}}},
		{"m/harmless m/c", false, "m/c", Exec{Claimed: "m/harmless", Path: c.Dir + "/m/harmless", File: c.Dir + "/m/harmless", Args: []string{"m/harmless", "m/c"}}},
		{"m/link m/d", false, "m/d", Exec{Claimed: "m/link", Path: c.Dir + "/m/harmless", File: c.Dir + "/m/harmless", Args: []string{"m/link", "m/d"}}},
		{"(cd m/sub; exec ../harmless e)", false, "m/sub/e", Exec{Claimed: c.Dir + "/m/sub/../harmless", Path: c.Dir + "/m/harmless", File: c.Dir + "/m/harmless", Args: []string{"../harmless", "e"}}},
		{"m/script --evil", true, "m/script-was-here", Exec{Claimed: "m/script", Path: resolved(t, "/bin/sh"), File: c.Dir + "/m/script", Args: []string{"m/script", "--evil"}}},
		{"m/script", false, "m/script-was-here", Exec{Claimed: "m/script", Path: resolved(t, "/bin/sh"), File: c.Dir + "/m/script", Args: []string{"m/script"}}},
		{"(cp /bin/true m/gone; exec 9< m/gone; rm m/gone; exec /proc/self/fd/9)", false, "m", Exec{Claimed: "/proc/self/fd/9", Path: c.Dir + "/m/gone", File: c.Dir + "/m/gone", Args: []string{"/proc/self/fd/9"}, Deleted: true}},
		{"o/new", false, "o/new", Exec{Claimed: "o/new", Path: c.Dir + "/o/new", File: c.Dir + "/o/new", Args: []string{"o/new"}, Upper: true}},
		{"o/old", false, "o/old", Exec{Claimed: "o/old", Path: c.Dir + "/o/old", File: c.Dir + "/o/old", Args: []string{"o/old"}, Lower: true}},
	} {
		mu.Lock()
		seen = nil
		mu.Unlock()
		said := c.Run(tc.command)
		if refused := strings.Contains(said, "Operation not permitted"); refused != tc.refused {
			t.Errorf("%s: %s", tc.command, said)
		}
		if exists := strings.Contains(c.Run("test -e "+tc.effect), "== 0"); exists == tc.refused {
			t.Errorf("%s: its effect %s is there: %t", tc.command, tc.effect, exists)
		}
		mu.Lock()
		if !slices.ContainsFunc(seen, func(e Exec) bool {
			return e.Claimed == tc.want.Claimed && e.Path == tc.want.Path && e.File == tc.want.File && slices.Equal(e.Args, tc.want.Args) &&
				e.Upper == tc.want.Upper && e.Deleted == tc.want.Deleted && e.Lower == tc.want.Lower && e.Type == "execve" && e.PID > 0 && e.Inode > 0
		}) {
			t.Errorf("%s: judged %+v\nwant %+v", tc.command, seen, tc.want)
		}
		mu.Unlock()
	}
	if n := g.Counts(); n.Refused != 3 || n.Late != 0 || n.Allowed < 6 {
		t.Errorf("%+v", n)
	}
}

func resolved(t *testing.T, path string) string {
	t.Helper()
	to, err := filepath.EvalSymlinks(path)
	if err != nil {
		t.Fatal(err)
	}
	return to
}

// TestLate: who judges too long does not hold anybody up.
func TestLate(t *testing.T) {
	c := newContainer(t)
	judged := make(chan struct{})
	defer close(judged)
	g := guard(t, c, func(*Exec) bool { <-judged; return true }, 20*time.Millisecond)
	if said := c.Run("/bin/true"); said != "== 0" {
		t.Error(said)
	}
	if n := g.Counts(); n.Late == 0 || n.Refused != 0 {
		t.Errorf("%+v", n)
	}
}

// TestClosed: what waits when the agent ends is allowed.
func TestClosed(t *testing.T) {
	c := newContainer(t)
	g, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	if err := g.Watch(c.PID); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintln(c.In, "/bin/true; echo went on")
	time.Sleep(20 * time.Millisecond) // it waits by now, as nobody answers
	if err := g.Close(); err != nil {
		t.Fatal(err)
	}
	if line, err := c.Out.ReadString('\n'); line != "went on\n" {
		t.Errorf("%q, %v", line, err)
	}
}

func TestWatchErrors(t *testing.T) {
	testenv.Root(t)
	g, err := New(Config{})
	if err != nil {
		t.Skip(err)
	}
	defer g.Close()
	if err := g.Watch(os.Getpid()); !errors.Is(err, ErrNode) {
		t.Errorf("the agent's own: %v", err)
	}
	if err := g.Watch(1); !errors.Is(err, ErrNode) && !errors.Is(err, fs.ErrPermission) {
		t.Errorf("the node's: %v", err)
	}
	if err := g.Watch(1 << 30); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no process: %v", err)
	}
}

func TestInterpreterOf(t *testing.T) {
	for head, want := range map[string]string{
		"#!/bin/sh\necho": "/bin/sh", "#! /usr/bin/env python3\n": "/usr/bin/env", "#!\t/bin/a\x00": "/bin/a", "#!": "", "#!\n/bin/sh": "", "\x7fELF": "", "": "",
	} {
		if got := interpreterOf([]byte(head)); got != want {
			t.Errorf("%q: %q, want %q", head, got, want)
		}
	}
}

func FuzzParsers(f *testing.F) {
	f.Add("59 0x55d0 0x55d8 0x55e0 0x1 0x2 0x3 0x7ffd 0x7f11")
	f.Add("running")
	f.Add(`41 30 0:36 / /o\040x rw,noexec shared:1 - overlay overlay rw,lowerdir=/l,upperdir=/u\054x`)
	f.Add("#! /bin/sh -e\n")
	f.Fuzz(func(t *testing.T, s string) {
		if _, _, err := parseCall([]byte(s)); err == nil && len(strings.Fields(s)) < 7 {
			t.Errorf("%q: a call without arguments", s)
		}
		if m, ok := parseMount(s); ok && (m.fsType == "" || strings.ContainsAny(m.fsType, " \n")) {
			t.Errorf("%q: %+v", s, m)
		}
		if len(unescape(s)) > len(s) {
			t.Errorf("%q: unescaped is longer", s)
		}
		if i := interpreterOf([]byte(s)); i != "" && !strings.Contains(s, i) {
			t.Errorf("%q: interpreter %q", s, i)
		}
	})
}
