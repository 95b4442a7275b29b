package rules_test

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seawall-security/seawall/internal/detect/rules"
	"github.com/seawall-security/seawall/internal/seawall"
)

func filterOf(t *testing.T, conditions ...string) (*rules.Engine, seawall.EventFilter) {
	t.Helper()
	var text strings.Builder
	for i, c := range conditions {
		text.WriteString("- rule: r" + string(rune('a'+i)) + "\n  desc: d\n  condition: >\n    " + c + "\n  output: o\n  priority: INFO\n")
	}
	set, err := rules.Load(rules.File{Path: "f.yaml", Data: []byte(text.String())})
	if err != nil {
		t.Fatal(err)
	}
	engine, err := rules.Compile(set)
	if err != nil {
		t.Fatal(err)
	}
	return engine, engine.Filter()
}

func TestFilter(t *testing.T) {
	none := &seawall.PathFilter{}
	for name, c := range map[string]struct {
		conditions []string
		want       seawall.EventFilter
	}{
		"types": {[]string{`evt.type in (execve, setns)`, `evt.type = bpf and evt.type != ptrace`},
			seawall.EventFilter{Types: []string{"bpf", "execve", "setns"}, Reads: none, Writes: none}},
		"any type":      {[]string{`proc.name = nc`}, seawall.EventFilter{}},
		"not this type": {[]string{`evt.type != execve and fd.name = /a`}, seawall.EventFilter{Reads: &seawall.PathFilter{Prefixes: []string{"/a"}}, Writes: &seawall.PathFilter{Prefixes: []string{"/a"}}}},
		"reads and writes": {[]string{`evt.type = openat and evt.is_open_read = true and fd.name in (/etc/shadow, /etc/gshadow)`, `evt.type = openat and evt.is_open_write = true and fd.directory = /bin`},
			seawall.EventFilter{Types: []string{"openat"}, Reads: &seawall.PathFilter{Prefixes: []string{"/etc/shadow", "/etc/gshadow"}}, Writes: &seawall.PathFilter{Prefixes: []string{"/bin/", "/etc/shadow", "/etc/gshadow"}}}},
		"the narrower term": {[]string{`evt.type = open and fd.name startswith /proc and (fd.filename = mem or fd.name endswith /environ) and not proc.name = x`},
			seawall.EventFilter{Types: []string{"open"}, Reads: &seawall.PathFilter{Prefixes: []string{"/proc"}}, Writes: &seawall.PathFilter{Prefixes: []string{"/proc"}}}},
		"the longer text": {[]string{`evt.type = open and fd.name glob '/proc/*' and fd.name endswith /environ`},
			seawall.EventFilter{Types: []string{"open"}, Reads: &seawall.PathFilter{Suffixes: []string{"/environ"}}, Writes: &seawall.PathFilter{Suffixes: []string{"/environ"}}}},
		"either": {[]string{`evt.type = open and (fd.filename = id_rsa or fd.name glob '/root/*.key' or fd.name glob '*.pem')`},
			seawall.EventFilter{Types: []string{"open"}, Reads: &seawall.PathFilter{Prefixes: []string{"/root"}, Suffixes: []string{".pem", "/id_rsa"}}, Writes: &seawall.PathFilter{Prefixes: []string{"/root"}, Suffixes: []string{".pem", "/id_rsa"}}}},
		"a path unknown": {[]string{`evt.type = open and (fd.name contains secret or fd.name = /a)`}, seawall.EventFilter{Types: []string{"open"}}},
		"negated":        {[]string{`evt.type = open and not fd.name = /a`}, seawall.EventFilter{Types: []string{"open"}}},
		"negated twice": {[]string{`evt.type = open and not (not fd.name = /a or fd.name = /b)`},
			seawall.EventFilter{Types: []string{"open"}, Reads: &seawall.PathFilter{Prefixes: []string{"/a"}}, Writes: &seawall.PathFilter{Prefixes: []string{"/a"}}}},
		"covered": {[]string{`evt.type = creat and fd.name startswith /etc`, `evt.type = creat and fd.name = /etc/passwd`},
			seawall.EventFilter{Types: []string{"creat"}, Reads: &seawall.PathFilter{Prefixes: []string{"/etc"}}, Writes: &seawall.PathFilter{Prefixes: []string{"/etc"}}}},
	} {
		_, got := filterOf(t, c.conditions...)
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func TestUses(t *testing.T) {
	e, _ := filterOf(t, `evt.type = execve and not (proc.env contains LD_PRELOAD and proc.cwd = val(proc.exepath))`, `proc.name = a`)
	for field, want := range map[string]bool{"proc.env": true, "proc.cwd": true, "proc.exepath": true, "proc.name": true, "fd.name": false} {
		if e.Uses(field) != want {
			t.Errorf("%s: %v", field, !want)
		}
	}
	if _, f := filterOf(t, `evt.type = execve and proc.name = a`); f.Environment {
		t.Error("variables are asked for by no rule")
	}
	if _, f := filterOf(t, `evt.type = execve and proc.env contains LD_PRELOAD`); !f.Environment {
		t.Error("the variables a rule asks for are not wanted")
	}
}

// wanted says what a sensor does with a filter.
func wanted(f seawall.EventFilter, e *seawall.Event) bool {
	if f.Types != nil && !contains(f.Types, e.Type) {
		return false
	}
	if !strings.HasPrefix(e.Type, "open") {
		return true
	}
	paths := f.Writes
	if e.Fields["evt.is_open_write"] != true {
		paths = f.Reads
	}
	if paths == nil {
		return true
	}
	path := e.Fields["fd.name"].(string)
	for _, p := range paths.Prefixes {
		if strings.HasPrefix(path, p) {
			return true
		}
	}
	for _, s := range paths.Suffixes {
		if strings.HasSuffix(path, s) {
			return true
		}
	}
	return false
}

func contains(list []string, s string) bool {
	for _, l := range list {
		if l == s {
			return true
		}
	}
	return false
}

// What the filter leaves out no rule is true for: random conditions, every event.
func TestFilterLosesNothing(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	atoms := []string{
		"evt.type = open", "evt.type in (openat, execve)", "evt.type != openat2", "evt.is_open_write = true", "evt.is_open_read = true", "evt.is_open_write != true",
		"fd.name = /etc/shadow", "fd.name startswith /etc", "fd.name endswith .key", "fd.name pmatch (/usr, /etc/ssh)", "fd.name glob '/etc/*/a.key'", "fd.name glob '*shadow'", "fd.name contains ssh",
		"fd.directory = /etc", "fd.directory in (/, /usr/bin)", "fd.directory startswith /us", "fd.filename = shadow", "fd.filename in (a.key, sh)", "fd.filename endswith key",
		"fd.name != /etc/shadow", "fs.path.name glob '/?sr/bin/*'", "fd.name glob '/etc/[a-s]*'",
	}
	var events []*seawall.Event
	for _, kind := range []string{"open", "openat", "openat2", "execve"} {
		for _, path := range []string{"/etc/shadow", "/etc/ssh/a.key", "/etc", "/usr/bin/sh", "/a.key", "/usrx", "/x/shadow", "/etc/sshd"} {
			cut := strings.LastIndexByte(path, '/')
			for _, access := range []struct{ read, write bool }{{true, false}, {false, true}, {true, true}} {
				events = append(events, &seawall.Event{Type: kind, Fields: map[string]any{
					"fd.name": path, "fs.path.name": path, "fd.directory": "/" + strings.TrimPrefix(path[:cut], "/"), "fd.filename": path[cut+1:],
					"evt.is_open_read": access.read, "evt.is_open_write": access.write,
				}})
			}
		}
	}
	var condition func(depth int) string
	condition = func(depth int) string {
		if depth == 0 || random.IntN(4) == 0 {
			return atoms[random.IntN(len(atoms))]
		}
		switch random.IntN(4) {
		case 0:
			return "not (" + condition(depth-1) + ")"
		case 1:
			return "(" + condition(depth-1) + " or " + condition(depth-1) + ")"
		}
		return "(" + condition(depth-1) + " and " + condition(depth-1) + ")"
	}
	left := 0
	for range 2000 {
		text := condition(4)
		engine, f := filterOf(t, text)
		state := engine.NewState()
		for _, e := range events {
			want := wanted(f, e)
			if !want {
				left++
			}
			if !want && len(state.Match(seawall.SourceSyscall, rules.Recorded{Event: e})) > 0 {
				t.Fatalf("%s\nis true for %s %v, which %+v %+v %+v leaves out", text, e.Type, e.Fields, f.Types, f.Reads, f.Writes)
			}
		}
	}
	if left < 10_000 {
		t.Errorf("only %d events are left out", left)
	}
}
