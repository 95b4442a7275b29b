package compliance_test

import (
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seawall-security/seawall/internal/compliance"
	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/testenv"
)

// The frameworks of the issue are all there, by the names people use.
func TestFrameworksByName(t *testing.T) {
	for name, want := range map[string]string{
		"pci-dss": "pci-dss-4.0", "PCI-DSS-4.0": "pci-dss-4.0", "nist-800-190": "nist-800-190", "nist-800-53": "nist-800-53-r5", "hipaa": "hipaa", "gdpr": "gdpr",
		"soc2": "soc2", "iso-27001": "iso-27001-2022", "mitre": "mitre-attack", "owasp-k8s-2022": "owasp-k8s-2022", "owasp": "owasp-k8s-2025", "nsa-cisa": "nsa-cisa",
		"cis": "cis-k8s-1.12", "cis-docker": "cis-docker-1.6", "eks": "cis-eks-1.7", "gke": "cis-gke-1.8", "aks": "cis-aks-1.8", "rke2": "cis-rke2-1.7", "k3s": "cis-k3s-1.8",
		"cis-linux": "cis-linux", "pss": "pss-baseline", "pss-restricted": "pss-restricted", "hip": "hipaa",
	} {
		f, err := compliance.Load(name, nil)
		if err != nil || f.ID != want {
			t.Errorf("%s: %v, %v; want %s", name, f, err, want)
		}
	}
	for _, name := range []string{"", "cis-", "nist", "x"} {
		if _, err := compliance.Load(name, nil); !errors.Is(err, seawall.ErrUsage) {
			t.Errorf("%q: %v, want a usage error", name, err)
		}
	}
}

// No name leads to two frameworks.
func TestNamesAreUnique(t *testing.T) {
	all, err := compliance.All(nil)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]string{}
	for _, f := range all {
		for _, name := range append([]string{f.ID}, f.Aliases...) {
			if seen[name] != "" {
				t.Errorf("%s is %s and %s", name, seen[name], f.ID)
			}
			seen[name] = f.ID
		}
	}
}

// Every number of the published benchmarks is a requirement.
func TestEveryBenchmarkNumber(t *testing.T) {
	dir := testenv.Shared(t, "benchmarks")
	for file, id := range map[string]string{
		"cis-1.12.csv": "cis-k8s-1.12", "cis-docker.csv": "cis-docker-1.6", "eks-1.7.0.csv": "cis-eks-1.7", "gke-1.8.0.csv": "cis-gke-1.8",
		"aks-1.8.csv": "cis-aks-1.8", "rke2-cis-1.7.csv": "cis-rke2-1.7", "k3s-cis-1.8.csv": "cis-k3s-1.8",
	} {
		f, err := compliance.Load(id, nil)
		if err != nil {
			t.Fatal(err)
		}
		raw, err := os.ReadFile(filepath.Join(dir, file))
		if err != nil {
			t.Fatal(err)
		}
		rows := strings.Split(strings.TrimSpace(string(raw)), "\n")[1:]
		var have []string
		for _, s := range f.Sections {
			for _, r := range s.Requirements {
				have = append(have, r.ID)
			}
		}
		if len(have) != len(rows) {
			t.Errorf("%s: %d requirements, the list has %d", id, len(have), len(rows))
		}
		for _, row := range rows {
			number, _, _ := strings.Cut(row, ",")
			if !slices.Contains(have, number) {
				t.Errorf("%s: no %s", id, number)
			}
		}
	}
}

// A benchmark's number is judged by the rules that name it; one no rule names is
// open where its authors call it automated, a person's work otherwise.
func TestBenchmarkNumbers(t *testing.T) {
	f, err := compliance.Load("cis", controls())
	if err != nil {
		t.Fatal(err)
	}
	fail := finding("SW-POD-001", "fail", "")
	r := compliance.Evaluate(f, controls(), []compliance.Input{{Report: &seawall.Report{Findings: []seawall.Finding{fail}}}}, compliance.Options{Now: now})
	got := map[string]string{}
	for _, q := range r.Requirements {
		got[q.ID] = string(q.Status) + " " + q.Title
	}
	for id, want := range map[string]string{
		"5.2.2": "fail No privileged containers", "1.1.1": "manual Files are private",
		"1.1.2": "not-evaluated Recommendation 1.1.2 master", "5.1.1": "manual Recommendation 5.1.1 policies",
	} {
		if got[id] != want {
			t.Errorf("%s: %q, want %q", id, got[id], want)
		}
	}
}

// Without a published list the rules' own numbers are the requirements, in their order.
func TestNumbersOfRules(t *testing.T) {
	list := []compliance.Control{{ID: "a", Frameworks: []string{"cis-linux:1.10", "cis-linux:5.2.1"}}, {ID: "b", Frameworks: []string{"cis-linux:1.9", "cis-linux:1.10"}}}
	f, err := compliance.Load("cis-linux", list)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, s := range f.Sections {
		for _, r := range s.Requirements {
			got = append(got, s.Title[:1]+" "+r.ID)
		}
	}
	if diff := cmp.Diff([]string{"1 1.9", "1 1.10", "5 5.2.1"}, got); diff != "" {
		t.Error(diff)
	}
}

// A subject no framework asks for would leave its rules without a requirement.
func TestEveryTopicIsUsed(t *testing.T) {
	all, err := compliance.All(nil)
	if err != nil {
		t.Fatal(err)
	}
	used := map[string]bool{}
	for _, f := range all {
		for _, s := range f.Sections {
			for _, r := range s.Requirements {
				for _, topic := range r.Topics {
					used[topic] = true
				}
			}
		}
	}
	raw, err := os.ReadFile("topics.yaml")
	if err != nil {
		t.Fatal(err)
	}
	topics := regexp.MustCompile(`(?m)^([a-z-]+):$`).FindAllStringSubmatch(string(raw), -1)
	if len(topics) < 30 {
		t.Fatalf("only %d topics found", len(topics))
	}
	for _, m := range topics {
		if !used[m[1]] {
			t.Errorf("topic %s is used by no requirement", m[1])
		}
	}
}

func TestKeep(t *testing.T) {
	f, err := compliance.Load("pci", nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Keep([]string{"6.3.*", "1.2.1"}); err != nil || f.Requirements() != 4 {
		t.Errorf("%v, %d requirements, want 4", err, f.Requirements())
	}
	if err := f.Keep([]string{"99"}); err == nil {
		t.Error("a pattern that takes nothing was accepted")
	}
}

func TestFilesWithMistakes(t *testing.T) {
	for name, test := range map[string]struct{ text, want string }{
		"unknown key":      {"id: a\ntitle: b\nsektions: []", "line 3"},
		"no id":            {"title: b", "needs an id"},
		"empty":            {"", "EOF"},
		"colon in id":      {"id: 'a:b'\ntitle: b", "colons"},
		"nothing to show":  {"id: a\ntitle: b\nsections: [{title: c, requirements: [{id: '1', title: d}]}]", "requirement 1: neither"},
		"twice":            {"id: a\ntitle: b\nsections: [{title: c, requirements: [{id: '1', title: d, byHand: [x]}, {id: '1', title: d, byHand: [x]}]}]", "twice"},
		"unknown kind":     {"id: a\ntitle: b\nsections: [{title: c, requirements: [{id: '1', title: d, kinds: [{kind: vuln}]}]}]", `unknown kind "vuln"`},
		"unknown severity": {"id: a\ntitle: b\nsections: [{title: c, requirements: [{id: '1', title: d, kinds: [{kind: secret, severity: bad}]}]}]", `unknown severity "bad"`},
		"days of secrets":  {"id: a\ntitle: b\nsections: [{title: c, requirements: [{id: '1', title: d, kinds: [{kind: secret, fixedDays: 3}]}]}]", "for vulnerabilities"},
		"star inside":      {"id: a\ntitle: b\nsections: [{title: c, requirements: [{id: '1', title: d, rules: ['SW-*-1']}]}]", `pattern "SW-*-1"`},
		"no benchmark":     {"id: a\ntitle: b\nsections: [{title: c, requirements: [{id: '1', title: d, benchmarks: ['5.1']}]}]", "want framework:number"},
		"a list of ours":   {"id: a\ntitle: b\nnumbers: cis-1.12.csv", "built-in"},
		"unknown topic":    {"id: a\ntitle: b\nsections: [{title: c, requirements: [{id: '1', title: d, topics: [pod]}]}]", `unknown topic "pod"`},
		"two documents":    {"id: a\ntitle: b\n---\nid: c\ntitle: d", "more than one document"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := compliance.Parse("f.yaml", []byte(test.text))
			if err == nil || !strings.Contains(err.Error(), test.want) || !strings.HasPrefix(err.Error(), "f.yaml") || !errors.Is(err, seawall.ErrUsage) {
				t.Errorf("%v, want a usage error of f.yaml with %q", err, test.want)
			}
		})
	}
	if _, err := compliance.Parse("f.yaml", make([]byte, compliance.MaxFrameworkBytes+1)); !errors.Is(err, seawall.ErrBound) {
		t.Errorf("over the bound: %v", err)
	}
}

func FuzzParse(f *testing.F) {
	for _, name := range []string{"frameworks/gdpr.yaml", "frameworks/cis-k8s-1.12.yaml"} {
		raw, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		got, err := compliance.Parse("x", raw)
		if (got == nil) == (err == nil) {
			t.Fatalf("%v and %v", got, err)
		}
		if got != nil {
			compliance.Evaluate(got, controls(), []compliance.Input{{Report: large(3)}}, compliance.Options{Now: now})
		}
	})
}

func TestMapper(t *testing.T) {
	m := compliance.NewMapper()
	pod := finding("SW-POD-001", "fail", "")
	pod.Frameworks = []string{"cis-k8s-1.12:5.2.2"}
	kev := cve(seawall.SeverityLow, "fail", "2026-11-20T00:00:00Z")
	kev.Vulnerability.KEV = true
	unfixed := cve(seawall.SeverityCritical, "fail", "")
	unfixed.Vulnerability.Fixed = nil
	for name, test := range map[string]struct {
		finding seawall.Finding
		has     []string
		lacks   []string
	}{
		"rule":         {pod, []string{"cis-k8s-1.12:5.2.2", "nist-800-190:4.4.3", "mitre-attack:T1611", "owasp-k8s-2025:K01"}, []string{"pci-dss-4.0:6.3.3", "nist-800-190:4.1.1"}},
		"secret":       {seawall.Finding{Kind: seawall.KindSecret, Rule: "SW-SEC-010", Status: seawall.StatusFail}, []string{"pci-dss-4.0:8.6.2", "nist-800-190:4.1.4"}, []string{"nist-800-190:4.1.3"}},
		"overdue":      {cve(seawall.SeverityHigh, "fail", "2026-10-01T00:00:00Z"), []string{"pci-dss-4.0:6.3.3", "pci-dss-4.0:11.3.1"}, nil},
		"in its month": {cve(seawall.SeverityHigh, "fail", "2026-11-01T00:00:00Z"), []string{"pci-dss-4.0:11.3.1"}, []string{"pci-dss-4.0:6.3.3"}},
		"exploited":    {kev, []string{"pci-dss-4.0:6.3.3"}, []string{"pci-dss-4.0:11.3.1"}},
		"no fix":       {unfixed, []string{"pci-dss-4.0:11.3.1"}, []string{"pci-dss-4.0:6.3.3"}},
	} {
		for range 2 { // the second answer is remembered
			got := m.Frameworks(&test.finding, now)
			if !slices.IsSorted(got) || len(slices.Compact(slices.Clone(got))) != len(got) {
				t.Errorf("%s: not sorted, or twice: %v", name, got)
			}
			for _, id := range test.has {
				if !slices.Contains(got, id) {
					t.Errorf("%s: no %s in %v", name, id, got)
				}
			}
			for _, id := range test.lacks {
				if slices.Contains(got, id) {
					t.Errorf("%s: has %s", name, id)
				}
			}
		}
	}
}

// The Mapper and Evaluate are the same mapping: a finding that names a
// requirement makes it fail, one that does not leaves it.
func TestMapperAgreesWithEvaluate(t *testing.T) {
	all, err := compliance.All(nil)
	if err != nil {
		t.Fatal(err)
	}
	m := compliance.NewMapper()
	overdue := cve(seawall.SeverityHigh, "fail", "2026-10-01T00:00:00Z")
	for _, f := range []seawall.Finding{overdue, cve(seawall.SeverityMedium, "fail", ""), finding("SW-POD-001", "fail", ""), finding("SW-IMG-001", "fail", "")} {
		ids := m.Frameworks(&f, now)
		in := []compliance.Input{{Report: &seawall.Report{Run: seawall.RunTimes{Ended: now.Format(time.RFC3339)}, Findings: []seawall.Finding{f}}}}
		for _, framework := range all {
			for _, q := range compliance.Evaluate(framework, bare(), in, compliance.Options{Now: now}).Requirements {
				if named := slices.Contains(ids, framework.ID+":"+q.ID); named != (q.Status == compliance.Fail) {
					t.Errorf("%s: named by %s:%s is %v, and it is %s", f.Rule, framework.ID, q.ID, named, q.Status)
				}
			}
		}
	}
}

// bare are the controls without benchmark numbers, as the findings above have none.
func bare() []compliance.Control {
	list := controls()
	for i := range list {
		list[i].Frameworks = nil
	}
	return list
}

func BenchmarkMapper(b *testing.B) {
	r := large(10_000)
	m := compliance.NewMapper()
	m.Frameworks(&r.Findings[0], now)
	b.ReportAllocs()
	for b.Loop() {
		for i := range r.Findings {
			m.Frameworks(&r.Findings[i], now)
		}
	}
}

func BenchmarkMapperFirst(b *testing.B) {
	r := large(1)
	for b.Loop() {
		compliance.NewMapper().Frameworks(&r.Findings[0], now)
	}
}
