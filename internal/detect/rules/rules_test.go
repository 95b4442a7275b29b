package rules_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seawall-security/seawall/internal/detect/rules"
	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/testenv"
)

func compile(t testing.TB, files ...string) *rules.Engine {
	t.Helper()
	e, err := tryCompile(files...)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func tryCompile(files ...string) (*rules.Engine, error) {
	var in []rules.File
	for i, text := range files {
		in = append(in, rules.File{Path: fmt.Sprintf("%d.yaml", i), Data: []byte(text)})
	}
	set, err := rules.Load(in...)
	if err != nil {
		return nil, err
	}
	return rules.Compile(set)
}

// corpus is the public rule files.
func corpus(t testing.TB) []rules.File {
	t.Helper()
	dir := testenv.Shared(t, "falco-rules")
	var files []rules.File
	// A later file redefines rules and macros of an earlier one, as when all are installed.
	for _, name := range []string{"falco_rules.yaml", "falco-incubating_rules.yaml", "falco-sandbox_rules.yaml", "k8s_audit_rules.yaml"} {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, rules.File{Path: name, Data: data})
	}
	return files
}

// Every public rule file loads unchanged, and rules that cannot run say why.
func TestCorpus(t *testing.T) {
	set, err := rules.Load(corpus(t)...)
	if err != nil {
		t.Fatal(err)
	}
	e, err := rules.Compile(set)
	if err != nil {
		t.Fatal(err)
	}
	count := map[string]int{}
	for _, s := range e.Rules() {
		count[s.Source+" "+s.State]++
		if s.State == rules.StateUnsupported {
			t.Logf("%s: %s", s.Name, s.Reason)
		}
	}
	t.Log(count)
	if total := len(e.Rules()); total != 93+48 {
		t.Errorf("%d rules, the corpus has 141", total)
	}
	if n := count["syscall unsupported"] + count["k8s_audit unsupported"]; n > 2 {
		t.Errorf("%d rules are unsupported", n)
	}
}

// rule is one rule over a condition.
func rule(condition string) string {
	return fmt.Sprintf("- list: shells\n  items: [bash, sh]\n- list: programs\n  items: [shells, 'nc']\n- macro: spawned\n  condition: evt.type in (execve, execveat)\n"+
		"- rule: r\n  desc: d\n  condition: >\n    %s\n  output: o\n  priority: NOTICE\n", condition)
}

func event(kind string, fields map[string]any) rules.Recorded {
	return rules.Recorded{Event: &seawall.Event{Type: kind, Time: "2026-01-02T03:04:05Z", Fields: fields}}
}

func TestConditions(t *testing.T) {
	e := event("execve", map[string]any{
		"proc.name": "bash", "proc.pname": "nginx", "proc.cmdline": `bash -c "x"`, "proc.exepath": "/usr/bin/BASH", "fd.name": "/etc/passwd",
		"proc.aname": []any{"bash", "nginx", "containerd-shim"}, "user.uid": 0.0, "proc.tty": 34816.0, "fd.sip": "10.1.2.3", "fd.rip": "2001:db8::1",
		"fd.ip": []any{"10.1.2.3", "192.0.2.7"}, "fd.sport": "443", "evt.arg.flags": "O_CREAT|O_WRONLY", "evt.arg.mode": "0755", "container.privileged": true,
		"proc.args": "aGVsbG8=", "container.mount.dest[/proc*]": "/proc", "proc.is_exe_upper_layer": "false", "evt.buffer": "x",
	})
	for condition, want := range map[string]bool{
		"proc.name = bash":                                         true,
		"proc.name != bash":                                        false,
		"not proc.name = nginx":                                    true,
		"spawned and proc.name in (shells)":                        true,
		"spawned and proc.name in shells":                          true,
		"proc.name in (programs)":                                  true,
		`proc.name in ("programs")`:                                false,
		"proc.name in (sh, dash)":                                  false,
		"evt.type = open":                                          false,
		"evt.type != open and proc.name exists":                    true,
		"not evt.type in (open, openat)":                           true,
		"evt.type startswith exec":                                 true,
		"evt.dir = < and evt.type = execve":                        true,
		"evt.dir = > and evt.type = execve":                        false,
		"proc.cmdline contains '-c \"x\"'":                         true,
		"proc.exepath icontains /usr/bin/bash":                     true,
		"proc.exepath contains bash":                               false,
		"proc.exepath startswith /usr":                             true,
		"proc.exepath endswith bash":                               false,
		"tolower(proc.exepath) endswith bash":                      true,
		"basename(proc.exepath) = BASH":                            true,
		"b64(proc.args) = hello":                                   true,
		"b64(proc.name) = hello":                                   false, // what cannot be transformed is missing
		"toupper(tolower(proc.name)) = BASH":                       true,
		"len(proc.name) >= 4":                                      true,
		"proc.exepath glob /usr/*/B?[A-Z]H":                        true,
		"proc.exepath iglob /USR/*bash":                            true,
		"proc.exepath glob /usr/bin":                               false,
		"proc.cmdline regex 'bash.*'":                              true,
		"proc.cmdline regex 'bash'":                                false, // a whole match
		"fd.name pmatch (/etc, /var)":                              true,
		"fd.name pmatch (/et, /etc/pass)":                          false,
		"fd.name pmatch (/e*c)":                                    true,
		"proc.name bcontains 6173":                                 true,
		"proc.name bstartswith 6173":                               false,
		"user.uid = 0":                                             true,
		"user.uid < 1 and proc.tty > 0 and proc.tty in (1,0x8800)": true,
		"proc.aname[2] = containerd-shim":                          true,
		"proc.aname[3] exists":                                     false,
		"proc.aname = nginx":                                       true,
		"proc.aname in (nginx, x)":                                 true,
		"not proc.aname in (shells)":                               false,
		"fd.sip = 10.0.0.0/8 and fd.snet exists":                   false,
		"fd.sip in (192.168.0.0/16, 10.0.0.0/8)":                   true,
		"fd.sip != 10.1.2.3":                                       false,
		"fd.rip = 2001:db8::/32":                                   true,
		"fd.ip = 192.0.2.7":                                        true,
		"fd.sport in (80, 443)":                                    true,
		"evt.arg.flags contains O_CREAT":                           true,
		"evt.arg[flags] contains O_CREAT":                          true,
		"evt.arg.mode > 0500":                                      true,
		"container.privileged = true":                              true,
		"container.privileged = false":                             false,
		"proc.is_exe_upper_layer = false":                          true,
		"container.mount.dest[/proc*] != \"N/A\"":                  true,
		"proc.name = val(proc.pname)":                              false,
		"proc.name != val(proc.pname)":                             true,
		"user.uid < val(proc.tty)":                                 true,
		// What an event does not have: comparisons are false, their negations true.
		"user.name = root":                                   false,
		"user.name != root":                                  false,
		"not user.name = root":                               true,
		"user.loginuid < 5":                                  false,
		"not user.loginuid >= 5":                             true,
		"user.name exists":                                   false,
		"not user.name in (root)":                            true,
		"proc.name = val(user.name)":                         false,
		"(proc.name=bash or user.name = x) and fd.sport=443": true,
	} {
		engine, err := tryCompile(rule(condition))
		if err != nil {
			t.Errorf("%s: %v", condition, err)
			continue
		}
		if got := len(engine.NewState().Match(rules.SourceSyscall, e)) == 1; got != want {
			t.Errorf("%s = %v, want %v", condition, got, want)
		}
	}
}

// A list of an audit event: in means all of its values, intersects any.
func TestLists(t *testing.T) {
	e := event("create", map[string]any{"ka.user.groups": []any{"system:authenticated", "dev"}})
	for condition, want := range map[string]bool{
		"ka.user.groups in (dev, system:authenticated, ops)": true,
		"ka.user.groups in (dev)":                            false,
		"ka.user.groups intersects (dev)":                    true,
		"ka.user.groups intersects (ops)":                    false,
		"ka.user.groups[1] = dev":                            true,
		"ka.sourceips in (10.0.0.1)":                         false,
		"not ka.sourceips in (10.0.0.1)":                     true,
		"ka.verb=create and ka.user.groups exists":           true,
	} {
		engine := compile(t, strings.Replace(rule(condition), "  priority", "  source: k8s_audit\n  priority", 1))
		if got := len(engine.NewState().Match(rules.SourceAudit, e)) == 1; got != want {
			t.Errorf("%s = %v, want %v", condition, got, want)
		}
	}
}

const base = `
- list: names
  items: [a]
- macro: m
  condition: proc.name in (names)
- rule: one
  desc: first
  condition: evt.type = execve and m
  output: "%proc.name ran"
  priority: WARNING
  tags: [t1]
- rule: two
  desc: second
  condition: evt.type = open
  output: opened
  priority: ERROR
  exceptions:
  - name: by_program
    fields: [proc.name, fd.name]
    comps: [=, startswith]
    values:
    - [cat, /tmp]
  - name: users
    fields: user.name
    values: [root]
`

func TestChanges(t *testing.T) {
	run := func(more, kind string, fields map[string]any) string {
		t.Helper()
		var names []string
		for _, r := range compile(t, base, more).NewState().Match(rules.SourceSyscall, event(kind, fields)) {
			names = append(names, r.Name)
		}
		return strings.Join(names, ",")
	}
	for _, tc := range []struct {
		more, kind string
		fields     map[string]any
		want       string
	}{
		{"", "execve", map[string]any{"proc.name": "a"}, "one"},
		{"", "execve", map[string]any{"proc.name": "b"}, ""},
		{"- {list: names, append: true, items: [b]}", "execve", map[string]any{"proc.name": "b"}, "one"},
		{"- {list: names, items: [b], override: {items: append}}", "execve", map[string]any{"proc.name": "b"}, "one"},
		{"- {list: names, items: [b]}", "execve", map[string]any{"proc.name": "a"}, ""},
		{"- {macro: m, append: true, condition: or proc.name=z}", "execve", map[string]any{"proc.name": "z"}, "one"},
		{"- {macro: m, condition: proc.name=z}", "execve", map[string]any{"proc.name": "a"}, ""},
		{"- {rule: one, append: true, condition: and user.uid=0}", "execve", map[string]any{"proc.name": "a"}, ""},
		{"- {rule: one, condition: and user.uid=0, override: {condition: append}}", "execve", map[string]any{"proc.name": "a", "user.uid": "0"}, "one"},
		{"- {rule: one, condition: evt.type=open, override: {condition: replace}}", "open", map[string]any{}, "one,two"},
		{"- {rule: one, enabled: false}", "execve", map[string]any{"proc.name": "a"}, ""},
		{"- {rule: one, desc: d, output: o, priority: DEBUG, condition: evt.type=close}", "close", nil, "one"},
		{"", "open", map[string]any{"proc.name": "cat", "fd.name": "/tmp/x"}, ""},
		{"", "open", map[string]any{"proc.name": "cat", "fd.name": "/etc/x"}, "two"},
		{"", "open", map[string]any{"user.name": "root"}, ""},
		{"- {rule: two, exceptions: [{name: users, values: [[me, you]]}], override: {exceptions: append}}", "open", map[string]any{"user.name": "you"}, ""},
		{"- {rule: two, append: true, exceptions: [{name: by_program, values: [[[ls, ps], /var]]}]}", "open", map[string]any{"proc.name": "ps", "fd.name": "/var/x"}, ""},
	} {
		if got := run(tc.more, tc.kind, tc.fields); got != tc.want {
			t.Errorf("%s %s %v: %q, want %q", tc.more, tc.kind, tc.fields, got, tc.want)
		}
	}
}

// Mistakes name the file, the line and the column, and what was meant.
func TestMistakes(t *testing.T) {
	for text, want := range map[string]string{
		"- rule: x\n  desc: d\n  condition: >\n    evt.type = open and\n    nosuch\n  output: o\n  priority: INFO\n": "0.yaml:5:5: nosuch: no such macro",
		"- macro: shell_a\n  condition: proc.name=a\n- macro: b\n  condition: shel_a\n":                              "0.yaml:4:14: shel_a: no such macro (did you mean shell_a?)",
		"- macro: a\n  condition: (proc.name = x\n":                                                                  "0.yaml:2:28: the parenthesis",
		"- macro: a\n  condition: |\n    proc.name = x and\n      user.uid = root\n":                                 `0.yaml:4:7: "root" is no number`,
		"- macro: a\n  condition: a\n":                                                                               "0.yaml:2:14: macro a is in its own condition",
		"- list: l\n  items: [m]\n- list: m\n  items: [l]\n- macro: a\n  condition: proc.name in (l)\n":              "list l contains itself",
		"- macro: a\n  condition: fd.sip = x\n":                                                                      `"x" is neither an address nor a network`,
		"- macro: a\n  condition: proc.name regex '('\n":                                                             "0.yaml:2:14: regex",
		"- macro: a\n  condition: jevt.value = x\n":                                                                  "jevt.value needs an argument",
		"- macro: a\n  condition: proc.pid[1] = 1\n":                                                                 "proc.pid takes no argument",
		"- macro: a\n  condition: container.privileged = maybe\n":                                                    `true or false, never "maybe"`,
		"- rule: x\n  condition: proc.name=a\n  output: o\n":                                                         `0.yaml:1:3: rule "x" has no priority`,
		"- rule: x\n  condition: proc.name=a\n  output: o\n  priority: BAD\n":                                        "0.yaml:4:13: priority",
		"- rule: x\n  condtion: proc.name=a\n  output: o\n  priority: INFO\n":                                        `0.yaml:2:3: unknown key "condtion"`,
		"- rule: x\n  append: true\n  condition: proc.name=a\n":                                                      `rule "x" is changed before it is defined`,
		"- list: l\n  append: true\n  items: []\n":                                                                   `list "l" is appended to before it is defined`,
		"- thing: x\n": "want one of rule, macro, list",
		"rule: x\n":    "want a list of rules",
		"- rule: [x\n": "0.yaml: yaml",
		"- macro: a\n  condition: x\n  condition: y\n": `"condition" is given twice`,
	} {
		_, err := tryCompile(text)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q:\n got %v\nwant …%s…", text, err, want)
		}
	}
}

func TestUnsupported(t *testing.T) {
	e := compile(t, `
- rule: plugin
  desc: d
  condition: okta.app = x
  output: "%okta.user"
  priority: INFO
- rule: foreign
  desc: d
  condition: ct.name = x
  output: o
  priority: INFO
  source: aws_cloudtrail
- rule: audit in syscall
  desc: d
  condition: ka.verb = get
  output: o
  priority: INFO
- rule: never filled
  desc: d
  condition: evt.type = read and evt.buffer contains x
  output: o
  priority: INFO
- rule: mistyped
  desc: d
  condition: proc.nam = x
  output: o
  priority: INFO
- rule: off
  desc: d
  condition: evt.type = read
  output: o
  priority: INFO
  enabled: false
`)
	var got []string
	for _, s := range e.Rules() {
		got = append(got, s.Name+": "+s.State+" "+s.Reason)
	}
	want := []string{
		"plugin: unsupported unsupported: field okta.app, okta.user",
		"foreign: unsupported unsupported: source aws_cloudtrail",
		"audit in syscall: unsupported unsupported: field ka.verb",
		"never filled: unsupported unsupported: field evt.buffer",
		"mistyped: unsupported unsupported: field proc.nam (did you mean proc.name?)",
		"off: disabled ",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if hits := e.NewState().Match(rules.SourceSyscall, event("read", map[string]any{"evt.buffer": "x"})); len(hits) > 0 {
		t.Errorf("an unsupported rule ran: %v", hits[0].Name)
	}
}

// Rules are asked only for the event types they can be true for.
func TestIndex(t *testing.T) {
	text := ""
	for name, condition := range map[string]string{
		"a": "evt.type in (open, openat) and proc.name = x",
		"b": "(evt.type = open and proc.name=x) or (evt.type = connect and proc.name=y)",
		"c": "proc.name = x",
		"d": "not evt.type = open and proc.name = x",
		"e": "evt.type = open and evt.type = connect",
	} {
		text += fmt.Sprintf("- rule: %s\n  desc: d\n  condition: %s\n  output: o\n  priority: INFO\n", name, condition)
	}
	got := map[string]string{}
	for _, s := range compile(t, text).Rules() {
		got[s.Name] = strings.Join(s.Events, ",")
	}
	want := map[string]string{"a": "open,openat", "b": "connect,open", "c": "", "d": "", "e": ""}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestOutput(t *testing.T) {
	e := event("execve", map[string]any{"proc.name": "Bash", "proc.aname": []any{"a", "b"}, "user.uid": 0.0, "ka.user.groups": []any{"g", "h"}})
	for template, want := range map[string]string{
		"%proc.name ran as %user.uid (%evt.type).": "Bash ran as 0 (execve).",
		"%user.name and *%user.name.":              "<NA> and <NA>.",
		"100% of %proc.name%proc.name":             "100% of BashBash",
		"%proc.aname[1] %proc.aname":               "b a,b",
		"%tolower(proc.name)|%len(proc.name)":      "bash|4",
		"%ka.user.groups":                          "(g,h)",
		"%evt.time.iso8601":                        "2026-01-02T03:04:05Z",
		"%nosuch.field":                            "<NA>",
		"%":                                        "%",
	} {
		o, unsupported := rules.NewOutput(template)
		if got := o.Write(e); got != want {
			t.Errorf("%s: %q, want %q", template, got, want)
		}
		if (len(unsupported) > 0) != (template == "%nosuch.field") {
			t.Errorf("%s: unsupported %v", template, unsupported)
		}
	}
}

// The same event and rules give the same hits, in the order of the files, whatever came before.
func TestStateIsFresh(t *testing.T) {
	s := compile(t, base, "- {rule: three, desc: d, output: o, priority: INFO, condition: m}").NewState()
	names := func(e rules.Recorded) (out []string) {
		for _, r := range s.Match(rules.SourceSyscall, e) {
			out = append(out, r.Name)
		}
		return out
	}
	a, b := event("execve", map[string]any{"proc.name": "a"}), event("execve", map[string]any{"proc.name": "b"})
	for range 3 {
		if got := names(a); !slices.Equal(got, []string{"one", "three"}) {
			t.Fatalf("a: %v", got)
		}
		if got := names(b); len(got) > 0 {
			t.Fatalf("b: %v", got)
		}
	}
}

func FuzzLoad(f *testing.F) {
	f.Add([]byte(base))
	f.Add([]byte(rule("proc.name glob '[a' or fd.name pmatch (a,b)")))
	f.Fuzz(func(t *testing.T, data []byte) {
		set, err := rules.Load(rules.File{Path: "f", Data: data})
		if err != nil {
			return
		}
		e, err := rules.Compile(set)
		if (e == nil) == (err == nil) {
			t.Fatal("neither an engine nor a mistake, or both")
		}
		if e != nil {
			e.NewState().Match(rules.SourceSyscall, event("open", map[string]any{"proc.name": "x", "fd.name": "/a/b"}))
		}
	})
}
