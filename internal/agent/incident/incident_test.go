package incident_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seawall-security/seawall/internal/agent/incident"
	"github.com/seawall-security/seawall/internal/seawall"
)

var start = time.Date(2026, 11, 21, 9, 0, 0, 0, time.UTC)

type step struct {
	after    time.Duration
	rule     string
	severity seawall.Severity
	subject  *seawall.Subject
}

func web(pid int) *seawall.Subject {
	return &seawall.Subject{PID: pid, Container: &seawall.Container{ID: "c1", Name: "web", Namespace: "shop", Pod: "web-1", Digest: "sha256:aa", Image: "web:1", Workload: "Deployment/shop/web"}}
}

func host(pid int, parents ...int) *seawall.Subject {
	s := &seawall.Subject{PID: pid, Start: uint64(pid)}
	for _, p := range parents {
		s.Lineage = append(s.Lineage, seawall.ProcessID{PID: p, Start: uint64(p)})
	}
	return s
}

func (s step) finding(i int) *seawall.Finding {
	return &seawall.Finding{ID: fmt.Sprint("f", i), Rule: s.rule, Severity: s.severity, Time: start.Add(s.after).Format(time.RFC3339Nano), Asset: "a", Evidence: "e", Frameworks: []string{"mitre-attack:T1059", "cis:1"}}
}

// groups adds steps and tells which of them share an incident.
func groups(g *incident.Grouper, steps []step) []int {
	numbers := map[string]int{"": -1}
	var out []int
	for i, s := range steps {
		id := g.Add(s.finding(i), s.subject, start.Add(s.after))
		if _, ok := numbers[id]; !ok {
			numbers[id] = len(numbers) - 1
		}
		out = append(out, numbers[id])
	}
	return out
}

func TestGroups(t *testing.T) {
	other := web(1)
	other.Container.ID, other.Container.Pod = "c2", "web-2"
	request := &seawall.Subject{Container: &seawall.Container{Namespace: "shop", Pod: "web-1"}}
	for name, c := range map[string]struct {
		steps []step
		want  []int
	}{
		"one container":           {[]step{{0, "a", 3, web(1)}, {time.Minute, "b", 3, web(2)}, {time.Minute, "b", 3, other}}, []int{0, 0, 1}},
		"a pause":                 {[]step{{0, "a", 3, web(1)}, {9 * time.Minute, "b", 3, web(2)}, {18 * time.Minute, "b", 3, web(1)}, {28 * time.Minute, "b", 3, web(2)}}, []int{0, 0, 0, 1}},
		"a request about the pod": {[]step{{0, "exec", 3, request}, {time.Second, "shell", 3, web(9)}, {2 * time.Second, "exec", 3, request}, {3 * time.Second, "shell", 3, other}}, []int{0, 0, 0, 1}},
		"a request after":         {[]step{{0, "shell", 3, web(9)}, {time.Second, "exec", 3, request}}, []int{0, 0}},
		"a request about no pod":  {[]step{{0, "a", 3, &seawall.Subject{}}, {0, "b", 3, &seawall.Subject{Container: &seawall.Container{}}}}, []int{-1, -1}},
		"a shell's children":      {[]step{{0, "a", 3, host(20, 10, 5, 1)}, {0, "b", 3, host(21, 10, 5, 1)}, {0, "c", 3, host(30, 21, 10, 5, 1)}}, []int{0, 0, 0}},
		"two logins":              {[]step{{0, "a", 3, host(20, 10, 9, 5, 1)}, {0, "b", 3, host(40, 30, 29, 5, 1)}}, []int{0, 1}},
		"children of init":        {[]step{{0, "a", 3, host(20, 1)}, {0, "b", 3, host(21, 1)}}, []int{0, 1}},
		"a number is used again":  {[]step{{0, "a", 3, host(20, 1)}, {0, "b", 3, &seawall.Subject{PID: 20, Start: 99}}}, []int{0, 1}},
	} {
		if diff := cmp.Diff(c.want, groups(&incident.Grouper{}, c.steps)); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func TestStory(t *testing.T) {
	g := &incident.Grouper{
		Cause:      func(c *seawall.Container) *seawall.IncidentCause { return &seawall.IncidentCause{Digest: c.Digest} },
		Prevention: func(*seawall.Container) []string { return []string{"no-known-exploited"} },
	}
	add := func(i int, s step) string {
		f := s.finding(i)
		if i == 0 {
			f.Actor = &seawall.Actor{User: "eve"}
		}
		return g.Add(f, s.subject, start.Add(s.after))
	}
	id := add(0, step{0, "shell", seawall.SeverityMedium, web(1)})
	if due := g.Due(start.Add(time.Minute)); len(due) != 0 {
		t.Errorf("one rule of medium severity is told: %+v", due)
	}
	add(1, step{3 * time.Second, "token read", seawall.SeverityHigh, web(2)})
	add(2, step{2 * time.Second, "shell", seawall.SeverityMedium, web(1)}) // came late
	g.Responded(&seawall.Decision{Action: "kill-process", Outcome: "enforced", Findings: []string{"f1", "unknown"}}, start.Add(3*time.Second))
	due := g.Due(start.Add(5 * time.Second))
	if len(due) != 1 {
		t.Fatalf("%d incidents", len(due))
	}
	at := func(d time.Duration) string { return start.Add(d).Format(time.RFC3339Nano) }
	eve := &seawall.Actor{User: "eve"}
	want := seawall.Incident{
		ID: id, Asset: "a", Title: "token read and another rule in shop/web-1 (web)", Severity: seawall.SeverityHigh, Started: at(0), Updated: at(3 * time.Second), Container: web(1).Container,
		Steps: []seawall.IncidentStep{
			{Finding: "f0", Time: at(0), Rule: "shell", Severity: seawall.SeverityMedium, Evidence: "e", PID: 1, Actor: eve},
			{Finding: "f2", Time: at(2 * time.Second), Rule: "shell", Severity: seawall.SeverityMedium, Evidence: "e", PID: 1},
			{Finding: "f1", Time: at(3 * time.Second), Rule: "token read", Severity: seawall.SeverityHigh, Evidence: "e", PID: 2, Responses: []string{"kill-process: enforced"}},
		},
		Count: 3, Techniques: []string{"T1059"}, Cause: &seawall.IncidentCause{Digest: "sha256:aa", Shell: eve}, Prevention: []string{"no-known-exploited"},
	}
	if diff := cmp.Diff(want, due[0]); diff != "" {
		t.Error(diff)
	}
	if due := g.Due(start.Add(time.Minute)); len(due) != 0 {
		t.Errorf("told again: %+v", due)
	}
	add(3, step{time.Minute, "miner", seawall.SeverityCritical, web(3)})
	if rest := g.Rest(); len(rest) != 1 || rest[0].Count != 4 || rest[0].ID != id {
		t.Errorf("%+v", rest)
	}
}

// A flood is one bounded incident that is told while it goes on.
func TestFlood(t *testing.T) {
	g := &incident.Grouper{}
	told := 0
	for i := range 20_000 {
		now := start.Add(time.Duration(i) * time.Millisecond)
		s := step{time.Duration(i) * time.Millisecond, "a", seawall.SeverityHigh, web(i)}
		g.Add(s.finding(i), s.subject, now)
		for _, in := range g.Due(now) {
			told++
			if len(in.Steps) > 100 || in.Count != i+1 {
				t.Fatalf("%d steps of %d", len(in.Steps), in.Count)
			}
		}
	}
	if told < 5 || told > 10 {
		t.Errorf("told %d times in 20 s", told)
	}
	for i := range 5000 { // more stories than are kept
		s := step{time.Hour, "a", seawall.SeverityHigh, host(10_000+i, 1)}
		g.Add(s.finding(i), s.subject, start.Add(time.Hour))
	}
	if due := g.Due(start.Add(2 * time.Hour)); len(due) != 0 {
		t.Errorf("%d incidents are open after their pause", len(due))
	}
}

func TestKnowledge(t *testing.T) {
	vulnerable := func(asset, name, id string, kev bool, aliases ...string) seawall.Finding {
		return seawall.Finding{Asset: asset, Status: seawall.StatusFail, Package: &seawall.PackageRef{Name: name, Version: "1"}, Layer: &seawall.LayerInfo{Index: 2, Digest: "sha256:l"},
			Vulnerability: &seawall.Vulnerability{ID: id, KEV: kev, Aliases: aliases}}
	}
	report := &seawall.Report{
		Asset:  &seawall.Asset{ID: "i1", Kind: seawall.AssetImage, Name: "web:1", Digest: "sha256:aa", Image: &seawall.ImageInfo{ConfigDigest: "sha256:config", RepoDigests: []string{"web@sha256:index"}}},
		Assets: []seawall.Asset{{ID: "i2", Kind: seawall.AssetImage, Digest: "sha256:bb"}},
		Findings: []seawall.Finding{
			vulnerable("i1", "log4j", "GHSA-1", true, "CVE-2021-44228"), vulnerable("i1", "log4j", "CVE-2", true), vulnerable("i1", "openssl", "CVE-3", false), vulnerable("i2", "xz", "CVE-4", true),
		},
	}
	suppressed := vulnerable("i1", "curl", "CVE-5", true)
	suppressed.Status = seawall.StatusSuppressed
	report.Findings = append(report.Findings, suppressed)
	var k incident.Knowledge
	k.Add(report, []string{"no-known-exploited"})
	for _, digest := range []string{"sha256:aa", "sha256:config", "sha256:index"} {
		c := &seawall.Container{Image: "registry/web:1", Digest: digest}
		want := &seawall.IncidentCause{Image: "registry/web:1", Digest: digest, Layer: &seawall.LayerInfo{Index: 2, Digest: "sha256:l"},
			Packages: []seawall.IncidentPackage{{PackageRef: seawall.PackageRef{Name: "log4j", Version: "1"}, Vulnerabilities: []string{"CVE-2021-44228", "CVE-2"}}}}
		if diff := cmp.Diff(want, k.Cause(c)); diff != "" {
			t.Errorf("%s: %s", digest, diff)
		}
		if diff := cmp.Diff([]string{"no-known-exploited"}, k.Prevention(c)); diff != "" {
			t.Errorf("%s: %s", digest, diff)
		}
	}
	if c := (&seawall.Container{Digest: "sha256:bb"}); k.Prevention(c) != nil || k.Cause(c).Packages[0].Name != "xz" {
		t.Errorf("%+v", k.Cause(c))
	}
	if c := (&seawall.Container{Image: "x"}); k.Cause(c).Packages != nil || k.Cause(c).Image != "x" {
		t.Errorf("%+v", k.Cause(c))
	}
}

func TestDeployers(t *testing.T) {
	var d incident.Deployers
	alice, bob := &seawall.Actor{User: "alice"}, &seawall.Actor{User: "bob"}
	d.Observe("create", "deployments", "shop", "web", alice)
	d.Observe("patch", "deployments", "shop", "web", bob)
	d.Observe("update", "deployments", "shop", "web", &seawall.Actor{User: "system:serviceaccount:kube-system:deployment-controller"})
	d.Observe("delete", "deployments", "shop", "web", alice)
	d.Observe("create", "pods", "shop", "job-1", alice)
	if got := d.Of(web(1).Container); got != bob {
		t.Errorf("%+v", got)
	}
	if got := d.Of(&seawall.Container{Namespace: "shop", Pod: "job-1"}); got != alice {
		t.Errorf("%+v", got)
	}
	if got := d.Of(&seawall.Container{Namespace: "shop", Pod: "other"}); got != nil {
		t.Errorf("%+v", got)
	}
	for i := range 20_000 {
		d.Observe("create", "pods", "x", fmt.Sprint(i), alice)
	}
	if d.Of(web(1).Container) != nil || d.Of(&seawall.Container{Namespace: "x", Pod: "19999"}) != alice {
		t.Error("the newest are kept")
	}
}
