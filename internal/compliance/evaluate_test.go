package compliance_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seawall-security/seawall/internal/compliance"
	"github.com/seawall-security/seawall/internal/seawall"
)

var now = time.Date(2026, 11, 21, 0, 0, 0, 0, time.UTC)

// one is a framework of one requirement.
func one(t *testing.T, selectors string) *compliance.Framework {
	t.Helper()
	f, err := compliance.Parse("test.yaml", []byte("id: test\ntitle: Test\nsections:\n- title: One\n  requirements:\n  - {id: '1', title: It holds, "+selectors+"}\n"))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func controls() []compliance.Control {
	return []compliance.Control{
		{ID: "SW-POD-001", Title: "No privileged containers", Severity: seawall.SeverityHigh, Remediation: "Take it away.", Frameworks: []string{"cis-k8s-1.12:5.2.2"}, Detector: "misconfig/kubernetes"},
		{ID: "SW-POD-002", Title: "No host network", Severity: seawall.SeverityHigh, Detector: "misconfig/kubernetes"},
		{ID: "SW-K8S-900", Title: "Files are private", Manual: "look at them", Frameworks: []string{"cis-k8s-1.12:1.1.1"}, Detector: "misconfig/kubernetes"},
		{ID: "SW-IMG-001", Title: "No root", Severity: seawall.SeverityMedium, Detector: "misconfig/image"},
	}
}

func finding(rule string, status seawall.Status, reason string) seawall.Finding {
	return seawall.Finding{ID: rule + string(status), Kind: seawall.KindMisconfiguration, Rule: rule, Title: rule, Severity: seawall.SeverityHigh, Status: status, Reason: reason, Asset: "cluster:c", Count: 3}
}

func cve(severity seawall.Severity, status seawall.Status, fixedAt string) seawall.Finding {
	v := &seawall.Vulnerability{ID: "CVE-1", State: seawall.StateFixed, Fixed: []string{"2"}}
	if fixedAt != "" {
		v.FixedAt = &fixedAt
	}
	return seawall.Finding{ID: "v", Kind: seawall.KindVulnerability, Rule: "CVE-1", Title: "openssl 1: CVE-1", Severity: severity, Status: status, Asset: "sha256:i", Vulnerability: v}
}

func ran(asset, name string, status seawall.RunStatus) seawall.CollectorStatus {
	return seawall.CollectorStatus{Asset: asset, Name: name, Status: status, Reason: "because"}
}

func TestStatusOfARequirement(t *testing.T) {
	image := seawall.Asset{ID: "sha256:i", Kind: seawall.AssetImage, Name: "app:1"}
	cluster := seawall.Asset{ID: "cluster:c", Kind: seawall.AssetCluster, Name: "c"}
	const pod, root, high = "rules: [SW-POD-001]", "rules: [SW-IMG-001]", "kinds: [{kind: vulnerability, severity: high, fixedDays: 30}]"
	vuln := ran("sha256:i", "vuln", seawall.RunOK)
	for name, test := range map[string]struct {
		selectors string
		findings  []seawall.Finding
		runs      []seawall.CollectorStatus
		coverage  []seawall.Coverage
		want      compliance.Status
		reason    string // of the requirement or of its first check
	}{
		"failing finding":                  {pod, []seawall.Finding{finding("SW-POD-001", "fail", ""), finding("SW-POD-001", "pass", "")}, nil, nil, compliance.Fail, "1 of 1 check failed"},
		"pass said":                        {pod, []seawall.Finding{finding("SW-POD-001", "pass", "")}, nil, nil, compliance.Pass, "1 of 1 check passed"},
		"silence is no pass":               {pod, nil, []seawall.CollectorStatus{ran("cluster:c", "misconfig/kubernetes", seawall.RunOK)}, nil, compliance.NotEvaluated, "nothing in these reports looked at it"},
		"no report at all":                 {pod, nil, nil, nil, compliance.NotEvaluated, "1 of 1 check could not be evaluated"},
		"not evaluated beats pass":         {pod, []seawall.Finding{finding("SW-POD-001", "pass", ""), finding("SW-POD-001", "not-evaluated", "pods: forbidden")}, nil, nil, compliance.NotEvaluated, "pods: forbidden"},
		"fail beats not evaluated":         {pod, []seawall.Finding{finding("SW-POD-001", "fail", ""), finding("SW-POD-001", "not-evaluated", "x")}, nil, nil, compliance.Fail, ""},
		"one open check of two":            {"rules: ['SW-POD-*']", []seawall.Finding{finding("SW-POD-001", "pass", "")}, nil, nil, compliance.NotEvaluated, "1 of 2 checks could not be evaluated"},
		"suppressed is an exception":       {pod, []seawall.Finding{finding("SW-POD-001", "suppressed", "accepted")}, nil, nil, compliance.Pass, ""},
		"not applicable":                   {pod, []seawall.Finding{finding("SW-POD-001", "not-applicable", "managed")}, nil, nil, compliance.NotApplicable, "managed"},
		"not applicable beside pass":       {"rules: ['SW-POD-*']", []seawall.Finding{finding("SW-POD-001", "not-applicable", "managed"), finding("SW-POD-002", "pass", "")}, nil, nil, compliance.Pass, ""},
		"by the benchmark's number":        {"benchmarks: ['cis-k8s-1.12:5.2.*']", []seawall.Finding{finding("SW-POD-001", "fail", "")}, nil, nil, compliance.Fail, ""},
		"manual rule":                      {"rules: [SW-K8S-900]", []seawall.Finding{finding("SW-K8S-900", "not-evaluated", "look at them")}, nil, nil, compliance.Manual, "look at them"},
		"manual, not for all":              {"rules: [SW-K8S-900]", []seawall.Finding{finding("SW-K8S-900", "not-evaluated", "look at them"), finding("SW-K8S-900", "not-applicable", "managed")}, nil, nil, compliance.Manual, "look at them"},
		"manual, not for any":              {"rules: [SW-K8S-900]", []seawall.Finding{finding("SW-K8S-900", "not-applicable", "managed")}, nil, nil, compliance.NotApplicable, "managed"},
		"manual beside pass":               {"rules: [SW-K8S-900, SW-POD-001]", []seawall.Finding{finding("SW-POD-001", "pass", "")}, nil, nil, compliance.Manual, "nothing failed; 1 of 2 checks for a person"},
		"only by hand":                     {"byHand: ['a document']", nil, nil, nil, compliance.Manual, "no tool can show it"},
		"rule nobody has":                  {"rules: [SW-POD-001, SW-XXX-001]", []seawall.Finding{finding("SW-POD-001", "pass", "")}, nil, nil, compliance.NotEvaluated, "no rule of this version covers it"},
		"detector ran clean":               {root, nil, []seawall.CollectorStatus{ran("sha256:i", "misconfig/image", seawall.RunOK)}, nil, compliance.Pass, ""},
		"detector ran on another kind":     {root, nil, []seawall.CollectorStatus{ran("cluster:c", "misconfig/image", seawall.RunOK)}, nil, compliance.NotEvaluated, "nothing in these reports looked at it"},
		"detector failed":                  {root, nil, []seawall.CollectorStatus{ran("sha256:i", "misconfig/image", seawall.RunFailed)}, nil, compliance.NotEvaluated, "failed: because"},
		"one of two clusters failed":       {pod, []seawall.Finding{finding("SW-POD-001", "pass", "")}, []seawall.CollectorStatus{ran("cluster:c", "misconfig/kubernetes", seawall.RunOK), ran("cluster:d", "misconfig/kubernetes", seawall.RunFailed)}, nil, compliance.NotEvaluated, "failed: because"},
		"vulnerability overdue":            {high, []seawall.Finding{cve(seawall.SeverityHigh, "fail", "2026-10-01T00:00:00Z")}, []seawall.CollectorStatus{vuln}, nil, compliance.Fail, ""},
		"vulnerability in its month":       {high, []seawall.Finding{cve(seawall.SeverityHigh, "fail", "2026-11-01T00:00:00Z")}, []seawall.CollectorStatus{vuln}, nil, compliance.Pass, ""},
		"vulnerability, unknown day":       {high, []seawall.Finding{cve(seawall.SeverityHigh, "fail", "")}, []seawall.CollectorStatus{vuln}, nil, compliance.Fail, ""},
		"vulnerability below":              {high, []seawall.Finding{cve(seawall.SeverityMedium, "fail", "")}, []seawall.CollectorStatus{vuln}, nil, compliance.Pass, ""},
		"vulnerability accepted":           {high, []seawall.Finding{cve(seawall.SeverityHigh, "suppressed", "")}, []seawall.CollectorStatus{vuln}, nil, compliance.Pass, ""},
		"packages without advisories":      {high, nil, []seawall.CollectorStatus{vuln}, []seawall.Coverage{{Asset: "sha256:i", Ecosystem: "Debian:12", Packages: 7, Status: seawall.CoverageNotEvaluated}}, compliance.NotEvaluated, "7 packages of Debian:12"},
		"package database partly read":     {high, nil, []seawall.CollectorStatus{vuln, ran("sha256:i", "os/dpkg", seawall.RunPartial)}, nil, compliance.NotEvaluated, "os/dpkg on sha256:i: partial"},
		"kind without detector is not yet": {"kinds: [{kind: runtime}]", nil, nil, nil, compliance.NotEvaluated, ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := compliance.Evaluate(one(t, test.selectors), controls(), []compliance.Input{{Name: "r.json", Report: &seawall.Report{
				Run: seawall.RunTimes{Ended: now.Format(time.RFC3339)}, Asset: &image, Assets: []seawall.Asset{cluster},
				Findings: test.findings, Collectors: test.runs, Coverage: test.coverage,
			}}}, compliance.Options{Now: now})
			got := r.Requirements[0]
			text := got.Reason
			for _, c := range got.Checks {
				text += "; " + c.Reason
			}
			if got.Status != test.want || !strings.Contains(text, test.reason) {
				t.Errorf("%s: %s, want %s: …%s…", got.Status, text, test.want, test.reason)
			}
			if r.Summary.Total != 1 || r.Summary.Of(test.want) != 1 {
				t.Errorf("summary %+v", r.Summary)
			}
		})
	}
}

// Findings of rules this program does not have, the users' own, count where they name the requirement.
func TestUsersOwnRules(t *testing.T) {
	f := finding("ACME-001", "fail", "")
	f.Frameworks = []string{"test:1"}
	r := compliance.Evaluate(one(t, "byHand: [x]"), controls(), []compliance.Input{{Report: &seawall.Report{Findings: []seawall.Finding{f}}}}, compliance.Options{Now: now})
	if got := r.Requirements[0]; got.Status != compliance.Fail || len(got.Checks) != 1 || got.Checks[0].ID != "ACME-001" {
		t.Errorf("%+v", got)
	}
}

func TestEvidence(t *testing.T) {
	var findings []seawall.Finding
	for i, status := range []seawall.Status{"suppressed", "fail", "fail", "fail"} {
		f := finding("SW-POD-001", status, "accepted by the owner")
		f.Severity, f.Remediation = seawall.Severity(i+1), "Take it away."
		f.Location = &seawall.Location{Resource: "Pod/shop/web", Field: "spec.hostPID"}
		findings = append(findings, f)
	}
	in := []compliance.Input{{Report: &seawall.Report{Findings: findings}}}
	c := compliance.Evaluate(one(t, "rules: [SW-POD-001]"), controls(), in, compliance.Options{Now: now, Evidence: 2}).Requirements[0].Checks[0]
	if c.Failed != 3 || c.Exceptions != 1 || len(c.Evidence) != 2 || c.LeftOut != 2 || c.Evidence[0].Severity != seawall.SeverityHigh || c.Evidence[0].Place != "Pod/shop/web spec.hostPID" || c.Evidence[0].Remediation != "" {
		t.Errorf("bounded: %+v", c)
	}
	c = compliance.Evaluate(one(t, "rules: [SW-POD-001]"), controls(), in, compliance.Options{Now: now}).Requirements[0].Checks[0]
	if len(c.Evidence) != 4 || c.LeftOut != 0 || c.Evidence[3].Accepted != "accepted by the owner" {
		t.Errorf("unbounded: %+v", c)
	}
}

// Several reports make one: what one lacks the other shows, and both are in the scope.
func TestReportsAreJoined(t *testing.T) {
	image := &seawall.Report{Asset: &seawall.Asset{ID: "i", Kind: seawall.AssetImage, Name: "app"}, Collectors: []seawall.CollectorStatus{ran("i", "misconfig/image", seawall.RunOK)}}
	cluster := &seawall.Report{Asset: &seawall.Asset{ID: "cluster:c", Kind: seawall.AssetCluster, Name: "c"}, Findings: []seawall.Finding{finding("SW-POD-001", "pass", "")}}
	f := func() *compliance.Framework { return one(t, "rules: [SW-IMG-001, SW-POD-001]") }
	for name, test := range map[string]struct {
		inputs  []compliance.Input
		want    compliance.Status
		missing []compliance.Missing
	}{
		"both":       {[]compliance.Input{{Name: "i.json", Report: image}, {Name: "c.json", Report: cluster}}, compliance.Pass, []compliance.Missing{}},
		"image only": {[]compliance.Input{{Name: "i.json", Report: image}}, compliance.NotEvaluated, []compliance.Missing{{Detector: "misconfig/kubernetes", Checks: 1, Remedy: "seawall scan cluster, and on its nodes seawall scan host --scanners misconfig"}}},
	} {
		r := compliance.Evaluate(f(), controls(), test.inputs, compliance.Options{Now: now})
		if r.Requirements[0].Status != test.want || len(r.Scope.Assets) != len(test.inputs) || r.Scope.Assets[0].Input != "i.json" {
			t.Errorf("%s: %s, scope %+v", name, r.Requirements[0].Status, r.Scope)
		}
		if diff := cmp.Diff(test.missing, r.Scope.Missing); diff != "" {
			t.Errorf("%s: missing (-want +got)\n%s", name, diff)
		}
	}
}

func TestReaching(t *testing.T) {
	r := &compliance.Report{Requirements: []compliance.Result{{ID: "a", Status: compliance.Pass}, {ID: "b", Status: compliance.Fail}, {ID: "c", Status: compliance.Manual}, {ID: "d", Status: compliance.NotEvaluated}, {ID: "e", Status: compliance.NotApplicable}}}
	for threshold, want := range map[compliance.Status]string{compliance.Fail: "b", compliance.NotEvaluated: "bd", compliance.Manual: "bcd"} {
		got := ""
		for _, q := range r.Reaching(threshold) {
			got += q.ID
		}
		if got != want {
			t.Errorf("%s: %s, want %s", threshold, got, want)
		}
	}
}

// large is a report of many findings, most of them vulnerabilities.
func large(n int) *seawall.Report {
	r := &seawall.Report{Run: seawall.RunTimes{Ended: now.Format(time.RFC3339)}, Asset: &seawall.Asset{ID: "sha256:i", Kind: seawall.AssetImage}}
	for i := range n {
		at := now.AddDate(0, 0, -i%500).Format(time.RFC3339)
		r.Findings = append(r.Findings, cve(seawall.Severity(1+i%5), "fail", at))
	}
	return r
}

func BenchmarkEvaluate(b *testing.B) {
	f, err := compliance.Load("nist-800-53", nil)
	if err != nil {
		b.Fatal(err)
	}
	in := []compliance.Input{{Report: large(10_000)}}
	for b.Loop() {
		compliance.Evaluate(f, controls(), in, compliance.Options{Now: now, Evidence: 20})
	}
}
