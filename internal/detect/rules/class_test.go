package rules_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seawall-security/seawall/internal/detect/rules"
	"github.com/seawall-security/seawall/internal/seawall"
)

const macros = `
- macro: exec
  condition: evt.type in (execve, execveat) and evt.dir = <
- macro: container
  condition: container.id != host
`

func oneRule(condition string) string {
	quoted, _ := json.Marshal(condition)
	return macros + fmt.Sprintf("- rule: r\n  desc: d\n  condition: %s\n  output: o\n  priority: WARNING\n", quoted)
}

func TestPrevention(t *testing.T) {
	for _, tc := range []struct{ condition, class, reason string }{
		{"exec and container and proc.is_exe_upper_layer = true", rules.ClassKernel, "executable"},
		{"exec and container and (proc.is_exe_upper_layer = true or proc.is_exe_from_memfd = true)", rules.ClassKernel, ""},
		{"exec and container and user.uid = 0 and k8s.ns.name = shop", rules.ClassKernel, ""},
		{"exec and container and user.uid = 0 and proc.is_exe_upper_layer = true", rules.ClassPermission, "two at once"},
		{"exec and container and k8s.ns.name = shop", rules.ClassPermission, "none"},
		{"evt.type = execve and container and proc.is_exe_upper_layer = true", rules.ClassPermission, "evt.type"},
		{"exec and container and proc.is_exe_upper_layer = true and (evt.type = execve or user.uid = 0)", rules.ClassPermission, "evt.type"},
		{"exec and container and (k8s.ns.name = shop or proc.is_exe_upper_layer = true)", rules.ClassPermission, "none"},
		{"exec and container and not container.image.repository startswith 'docker.io/library/' and proc.is_exe_from_memfd = true and evt.failed = false", rules.ClassKernel, ""},
		{"exec and k8s.ns.name = shop and proc.exe_ino in (4, 5)", rules.ClassPermission, "proc.exe_ino"},
		{"exec and container and not proc.is_exe_upper_layer = false", rules.ClassPermission, "proc.is_exe_upper_layer"},
		{"exec and container and not user.uid = 0", rules.ClassPermission, "user.uid"},
		{"exec and container and user.uid > 0", rules.ClassPermission, "user.uid"},
		{"exec and container and proc.name in (nc, ncat)", rules.ClassPermission, "proc.name"},
		{"exec and container and proc.is_exe_upper_layer = true and not proc.pname in (dpkg, rpm)", rules.ClassPermission, "proc.pname"},
		{"exec and container and proc.exepath = /bin/nc and proc.aname[2] = nginx", rules.ClassPermission, "proc.aname[2]"},
		{"exec and container and proc.is_exe_from_memfd = true and proc.pname = nginx", rules.ClassAfter, "proc.is_exe_from_memfd"},
		{"exec and container and proc.is_exe_from_memfd = false and proc.pname = nginx", rules.ClassAfter, "proc.is_exe_from_memfd"},
		{"exec and container and not proc.is_exe_from_memfd = true and proc.pname = nginx", rules.ClassPermission, "proc.pname"},
		{"exec and container and proc.env contains LD_PRELOAD", rules.ClassAfter, "proc.env"},
		{"exec and container and proc.is_exe_upper_layer = true and thread.cap_effective contains CAP_SYS_ADMIN", rules.ClassAfter, "thread.cap_effective"},
		{"exec and container and proc.is_exe_upper_layer = true and evt.num >= 0 and not evt.num = 0", rules.ClassKernel, ""},
		{"exec and container and proc.is_exe_upper_layer = true and evt.num > 7", rules.ClassAfter, "evt.num"},
		{"exec and not container and proc.name = nc", rules.ClassAfter, "host"},
		{"exec and container.id = host and proc.name = nc", rules.ClassAfter, "host"},
		{"evt.type = openat and container and fd.name = /etc/shadow", rules.ClassAfter, "openat"},
		{"evt.type in (execve, connect) and container and proc.is_exe_upper_layer = true", rules.ClassAfter, "connect"},
		{"container and proc.is_exe_upper_layer = true", rules.ClassAfter, "every type"},
	} {
		s := compile(t, oneRule(tc.condition)).Rules()[0]
		if s.State != rules.StateOK {
			t.Errorf("%s: %s %s", tc.condition, s.State, s.Reason)
			continue
		}
		if s.Prevention.Class != tc.class || !strings.Contains(s.Prevention.Reason, tc.reason) {
			t.Errorf("%s\n\tis %+v, want %s because of %s", tc.condition, *s.Prevention, tc.class, tc.reason)
		}
	}
	for condition, host := range map[string]string{
		"exec and proc.is_exe_upper_layer = true":                rules.ClassAfter,
		"exec and (container or proc.is_exe_upper_layer = true)": rules.ClassAfter,
		"exec and container and proc.name = nc":                  "",
		"exec and k8s.ns.name in (a, b) and proc.name = nc":      "",
		"exec and not k8s.ns.name = a and proc.name = nc":        rules.ClassAfter,
	} {
		if p := compile(t, oneRule(condition)).Rules()[0].Prevention; p.Class == rules.ClassAfter || p.Host != host {
			t.Errorf("%s: %+v, want %q for the host", condition, *p, host)
		}
	}
}

// exec is a record of an exec.
type exec map[string]any

func (exec) EventType() string { return "execve" }
func (e exec) Value(r *seawall.FieldRef, i int, v *seawall.Value) bool {
	switch x := e[r.String()].(type) {
	case string:
		*v = seawall.Value{Text: x}
	case int:
		*v = seawall.Value{Number: int64(x)}
	default:
		return false
	}
	return i == 0
}

// matches is what the kernel does with denials.
func matches(all []rules.Denial, e exec) bool {
	return slices.ContainsFunc(all, func(d rules.Denial) bool {
		return d.Upper && e["proc.is_exe_upper_layer"] == 1 || d.Memfd && e["proc.is_exe_from_memfd"] == 1 ||
			slices.ContainsFunc(d.UIDs, func(uid uint32) bool { return e["user.uid"] == int(uid) })
	})
}

func everyRule(*rules.Rule) bool { return true }

// TestDenials: what random conditions of the kernel class say of random execs, the
// kernel's denials say, too.
func TestDenials(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	atoms := []string{
		"proc.is_exe_upper_layer = true", "proc.is_exe_from_memfd = true", "user.uid = 0", "user.uid in (0, 7)",
		"k8s.ns.name = shop", "not k8s.ns.name = shop", "container.image.repository contains web", "evt.failed = false", "not container.privileged = true",
	}
	var condition func(depth int) string
	condition = func(depth int) string {
		if depth == 0 {
			return atoms[random.IntN(len(atoms))]
		}
		return "(" + condition(depth-1) + []string{" and ", " or "}[random.IntN(2)] + condition(depth-1) + ")"
	}
	kernel, hits := 0, 0
	for range 3000 {
		text := "exec and container and " + condition(1+random.IntN(3))
		e := compile(t, oneRule(text))
		if e.Rules()[0].Prevention.Class != rules.ClassKernel {
			continue
		}
		kernel++
		for range 20 {
			record := exec{
				"container.id": "c", "evt.failed": 0, "proc.is_exe_upper_layer": random.IntN(2), "proc.is_exe_from_memfd": random.IntN(2),
				"user.uid": []int{0, 7, 9}[random.IntN(3)], "container.privileged": random.IntN(2),
				"k8s.ns.name": []string{"shop", "other"}[random.IntN(2)], "container.image.repository": []string{"web", "db"}[random.IntN(2)],
			}
			want := len(e.NewState().Match(rules.SourceSyscall, record)) > 0
			got := matches(e.Denials(record, everyRule), record)
			if got != want {
				t.Fatalf("%s\n%v: the kernel says %t, the rule %t", text, record, got, want)
			}
			if got {
				hits++
			}
		}
	}
	if kernel < 500 || hits < 1000 || hits > 19*kernel {
		t.Errorf("%d rules of the kernel class, %d execs match", kernel, hits)
	}
}

func TestDenialsOfWorkload(t *testing.T) {
	e := compile(t, oneRule("exec and container and k8s.ns.name = shop and (proc.is_exe_upper_layer = true or user.uid in (0, 5))"))
	want := []rules.Denial{{Rule: e.Rules()[0].Rule, Upper: true, UIDs: []uint32{0, 5}}}
	same := cmp.Comparer(func(a, b *rules.Rule) bool { return a == b })
	if diff := cmp.Diff(want, e.Denials(exec{"container.id": "c", "k8s.ns.name": "shop"}, everyRule), same); diff != "" {
		t.Error(diff)
	}
	if got := e.Denials(exec{"container.id": "c", "k8s.ns.name": "bank"}, everyRule); len(got) > 0 {
		t.Errorf("another namespace's: %+v", got)
	}
	if got := e.Denials(exec{"container.id": "c", "k8s.ns.name": "shop"}, func(*rules.Rule) bool { return false }); len(got) > 0 {
		t.Errorf("of a rule nobody wants enforced: %+v", got)
	}
}

// TestCorpusPrevention: every rule that runs has a class and a reason; those about
// programs started in containers can be prevented.
func TestCorpusPrevention(t *testing.T) {
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
		if s.Source != rules.SourceSyscall || s.State != rules.StateOK {
			if s.Prevention != nil {
				t.Errorf("%s: %s, and yet %+v", s.Name, s.State, s.Prevention)
			}
			continue
		}
		if s.Prevention == nil || s.Prevention.Reason == "" {
			t.Errorf("%s: %+v", s.Name, s.Prevention)
			continue
		}
		count[s.Prevention.Class]++
		t.Logf("%-10s %s: %s", s.Prevention.Class, s.Name, s.Prevention.Reason)
	}
	if count[rules.ClassPermission] == 0 || count[rules.ClassAfter] == 0 {
		t.Errorf("classes: %v", count)
	}
}
