package rules_test

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"github.com/seawall-security/seawall/internal/detect/rules"
	"github.com/seawall-security/seawall/internal/seawall"
)

var update = flag.Bool("update", false, "write docs/guide/own-rules.md")

// own are our rules, adapted as users adapt them.
func own(t testing.TB) *rules.Engine {
	t.Helper()
	return load(t, append(rules.Own(), rules.File{Path: "mine.yaml", Data: []byte("- {list: sealed_namespaces, append: true, items: [sealed]}")}))
}

// scene is an event in the words of testdata/own.yaml.
type scene map[string]any

// event spells a scene out: in a container of a pod, with what follows from what it says.
func (s scene) event() *seawall.Event {
	e := &seawall.Event{Fields: map[string]any{
		"container.id": "0a1b2c3d4e5f", "container.name": "web", "container.image.repository": "registry.test/web", "k8s.ns.name": "shop", "k8s.pod.name": "web-0",
		"proc.pname": "app", "evt.rawres": 0,
	}}
	f := e.Fields
	program := func(line string) {
		exe, args, _ := strings.Cut(line, " ")
		name := path.Base(exe)
		f["proc.name"], f["proc.exe"], f["proc.args"], f["proc.exepath"] = name[:min(15, len(name))], exe, args, "/usr/bin/"+name
		f["proc.cmdline"], f["proc.exeline"] = name+" "+args, line
		if path.IsAbs(exe) {
			f["proc.exepath"] = exe
		}
	}
	open := func(name any, write bool) {
		e.Type = "openat"
		f["fd.name"], f["fd.nameraw"], f["fd.filename"], f["fd.directory"] = name, name, path.Base(name.(string)), path.Dir(name.(string))
		f["evt.is_open_write"], f["evt.is_open_read"], f["fd.typechar"] = write, !write, "f"
	}
	for _, key := range slices.Sorted(maps.Keys(s)) {
		switch v := s[key]; key {
		case "by":
			program(v.(string))
		case "call":
			e.Type = v.(string)
		case "read":
			open(v, false)
		case "write":
			open(v, true)
		case "run":
			e.Type = "execve"
			program(v.(string))
		}
	}
	for key, v := range s {
		f[key] = v
	}
	return e
}

// Each of our own rules for system calls has an attack it finds and a twin that is everyday work for every rule.
func TestOwnSyscallRules(t *testing.T) {
	data, err := os.ReadFile("testdata/own.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var cases map[string]struct{ Attack, Benign []scene }
	if err := yaml.Unmarshal(data, &cases); err != nil {
		t.Fatal(err)
	}
	engine := own(t)
	state := engine.NewState()
	hits := func(s scene) (names []string) {
		for _, r := range state.Match(rules.SourceSyscall, rules.Recorded{Event: s.event()}) {
			names = append(names, r.Name)
		}
		return names
	}
	known := map[string]bool{}
	for _, s := range engine.Rules() {
		if s.Source != rules.SourceSyscall {
			continue
		}
		known[s.Name] = true
		if s.State != rules.StateOK || len(s.Events) == 0 {
			t.Errorf("%s: %s %s, for events %v", s.Name, s.State, s.Reason, s.Events)
		}
		if c := cases[s.Name]; len(c.Attack) == 0 || len(c.Benign) == 0 {
			t.Errorf("%s has no attack or no twin", s.Name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(cases)) {
		if !known[name] {
			t.Errorf("%s is no rule", name)
		}
		for _, s := range cases[name].Attack {
			if got := hits(s); !slices.Contains(got, name) {
				t.Errorf("%s: not found in %v: %v", name, s, got)
			}
		}
		for _, s := range cases[name].Benign {
			if got := hits(s); len(got) > 0 {
				t.Errorf("%s: everyday work %v: %v", name, s, got)
			}
		}
	}
}

// Our names are not those of the public rules: both sets can be loaded together.
func TestOwnNames(t *testing.T) {
	names := func(files []rules.File) map[string]string {
		names := map[string]string{}
		for _, f := range files {
			var items []struct{ List, Macro, Rule string }
			if err := yaml.Unmarshal(f.Data, &items); err != nil {
				t.Fatal(err)
			}
			for _, i := range items {
				for _, name := range []string{"list " + i.List, "macro " + i.Macro, "rule " + i.Rule} {
					names[name] = f.Path
				}
			}
		}
		for _, kind := range []string{"list ", "macro ", "rule "} {
			delete(names, kind)
		}
		return names
	}
	public := names(corpus(t))
	for name, path := range names(rules.Own()) {
		if other, ok := public[name]; ok {
			t.Errorf("%s in %s is in %s, too", name, path, other)
		}
	}
}

// The page of our own rules is what they say of themselves; every one has a phase and techniques of MITRE ATT&CK.
func TestOwnRulesPage(t *testing.T) {
	const page = "../../../docs/guide/own-rules.md"
	technique := regexp.MustCompile(`^T\d{4}(\.\d{3})?$`)
	var b strings.Builder
	b.WriteString("# Seawall's own rules\n\nWritten by `go test ./internal/detect/rules -run OwnRulesPage -update` from `internal/detect/rules/own`. How to adapt them: [rules](rules.md).\n")
	titles := map[string]string{rules.SourceAudit: "The Kubernetes audit log", rules.SourceSyscall: "System calls"}
	for _, source := range []string{rules.SourceSyscall, rules.SourceAudit} {
		fmt.Fprintf(&b, "\n## %s\n\n| rule | priority | phases | techniques |\n|---|---|---|---|\n", titles[source])
		for _, s := range own(t).Rules() {
			if s.Source != source {
				continue
			}
			var phases, techniques []string
			for _, tag := range s.Tags {
				if technique.MatchString(tag) {
					techniques = append(techniques, tag)
				} else {
					phases = append(phases, tag)
				}
			}
			if len(phases) == 0 || len(techniques) == 0 {
				t.Errorf("%s: tags %v", s.Name, s.Tags)
			}
			fmt.Fprintf(&b, "| **%s**. %s | %s | %s | %s |\n", s.Name, strings.TrimSpace(s.Description), s.Priority, strings.Join(phases, ", "), strings.Join(techniques, ", "))
		}
	}
	if *update {
		if err := os.WriteFile(page, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(got), b.String()); diff != "" {
		t.Errorf("docs/guide/own-rules.md is behind, run with -update (-page +rules):\n%s", diff)
	}
}
