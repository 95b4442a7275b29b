package policy_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seawall-security/seawall/internal/policy"
	"github.com/seawall-security/seawall/internal/seawall"
)

const aboutImages = `  phases: [deploy, build]
  exceptions: {namespaces: ["*"]}
  exclude: {images: ["*/sidecar/**"]}
  variables:
  - {name: fixable, expression: size(finding.vulnerability.fixed) > 0}
  - {name: recent, expression: age(finding.vulnerability.published) < 30}
  rules:
  - {name: kev, when: 'finding.kind == "vulnerability" && finding.vulnerability.kev && variables.fixable', action: block}
  - {name: severe, when: 'finding.severity == "high" && finding.kind in ["secret", "malware"]', action: block}
  - {name: old, when: 'finding.kind == "vulnerability" && !variables.recent', action: alert}
  - {name: place, when: 'finding.kind == "vulnerability" && image.registry == "docker.io" && asset.digest == "sha256:2"', action: alert}
  - {name: pod, when: 'finding.kind == "misconfiguration" && workload.kind == "Pod"', action: block}
---
apiVersion: seawall.io/v1alpha1
kind: PolicyException
metadata: {name: e, namespace: shop}
spec: {policy: p, rules: [severe], owner: o, reason: r, expires: 2027-01-01, match: {images: ["**/two"]}}
`

func scanned(n int) (*seawall.Asset, []seawall.Finding) {
	asset := &seawall.Asset{ID: fmt.Sprint("image:", n), Kind: seawall.AssetImage, Digest: fmt.Sprint("sha256:", n), Image: &seawall.ImageInfo{}}
	kev, old := vulnerability(fmt.Sprint("kev-", n)), vulnerability(fmt.Sprint("old-", n))
	kev.Vulnerability.KEV, kev.Vulnerability.Fixed, kev.Vulnerability.Published = true, []string{"2"}, "2026-11-01"
	old.Vulnerability.Published = "2020-01-01"
	passed := kev
	passed.ID, passed.Status = "passed", seawall.StatusSuppressed
	return asset, []seawall.Finding{kev, old, passed,
		{ID: fmt.Sprint("secret-", n), Kind: seawall.KindSecret, Severity: seawall.SeverityHigh, Status: seawall.StatusFail, Title: "a key"},
		{ID: fmt.Sprint("low-", n), Kind: seawall.KindSecret, Severity: seawall.SeverityLow, Status: seawall.StatusFail, Title: "a test key"},
	}
}

func podOf(images ...string) map[string]any {
	var containers []any
	for _, image := range images {
		containers = append(containers, map[string]any{"name": "c", "image": image})
	}
	return map[string]any{"apiVersion": "v1", "kind": "Pod", "metadata": map[string]any{"name": "web", "namespace": "shop"}, "spec": map[string]any{"containers": containers}}
}

// TestScan: the decisions about a pod whose images were scanned, each finding with its
// image, are those that asking every rule about every finding of each image alone gives.
func TestScan(t *testing.T) {
	set := parse(t, head+aboutImages)
	in := policy.Input{Phase: "deploy", Now: now(), Location: func(field string) seawall.Location {
		return seawall.Location{Resource: "Pod/shop/web", Field: field}
	}}.About(podOf("nginx", "r.example/two", "r.example/sidecar/x"))
	in.Findings = []seawall.Finding{{ID: "own", Kind: seawall.KindMisconfiguration, Status: seawall.StatusFail, Title: "root", Location: &seawall.Location{Resource: "Pod/shop/web", Field: "spec.x"}}}
	for i := range in.Images {
		asset, findings := scanned(i)
		in.Images[i].Scan = set.Scanned("deploy", asset, findings)
	}
	if n := len(in.Images[0].Scan.Findings); n != 3 {
		t.Errorf("%d findings kept of 5, of which one passes and one matches no rule", n)
	}
	var got []string
	for _, d := range set.Decide(in) {
		got = append(got, fmt.Sprint(d.Rule, " ", d.Outcome, " ", strings.Join(d.Findings, "+"), " ", d.Location.Field, " ", d.Exception))
	}
	want := []string{
		"kev enforced f-kev-0 spec.containers[0].image ", "kev enforced f-kev-1 spec.containers[1].image ",
		"severe enforced secret-0 spec.containers[0].image ", "severe dry-run secret-1 spec.containers[1].image shop/e",
		"old enforced f-old-0 spec.containers[0].image ", "old enforced f-old-1 spec.containers[1].image ",
		"pod enforced own spec.x ",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestUnscanned: what nobody scanned is answered by unknownImages, and by rules only as
// far as they do not ask what a scan would have said.
func TestUnscanned(t *testing.T) {
	rules := `  rules:
  - {name: counts, when: image.counts.critical > 0, action: block, message: m}
  - {name: registry, when: 'image.registry == "docker.io" || image.age > 30', action: block, message: m}
  - {name: signed, when: "!image.signed", action: block, message: m}
  - {name: workload, when: 'workload.kind == "Pod" && image.packages > 3', action: block, message: m}
`
	for spec, want := range map[string][]string{
		"":                                      {"registry block enforced", "signed block failed", "unknownImages alert enforced"},
		"  mode: warn\n  unknownImages: deny\n": {"registry block dry-run", "signed block failed", "unknownImages block dry-run"},
		"  unknownImages: deny\n":               {"registry block enforced", "signed block failed", "unknownImages block enforced"},
		"  unknownImages: wait\n":               {"registry block enforced", "signed block failed", "unknownImages block failed"},
		"  failure: closed\n  unknownImages: wait\n": {"registry block enforced", "signed block enforced", "unknownImages block enforced"},
	} {
		set := parse(t, head+"  phases: [deploy]\n"+spec+rules)
		in := policy.Input{Phase: "deploy", Now: now()}.About(podOf("nginx"))
		in.Images[0].Unscanned, in.Images[0].Unreached = "nobody scanned it", "connection refused"
		var got []string
		for _, d := range set.Decide(in) {
			got = append(got, d.Rule+" "+d.Action+" "+d.Outcome)
			if d.Rule == "signed" && d.Outcome == "failed" && !strings.Contains(d.Reason, "connection refused") {
				t.Errorf("%s", d.Reason)
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", spec, diff)
		}
	}
	// A scan that went wrong is answered by the failure mode.
	for spec, want := range map[string]string{"": "block failed", "  failure: closed\n": "block enforced", "  unknownImages: deny\n": "block enforced"} {
		set := parse(t, head+"  phases: [deploy]\n"+spec+"  rules:\n  - {name: counts, when: image.counts.critical > 0, action: block, message: m}\n")
		in := policy.Input{Phase: "deploy", Now: now()}.About(podOf("nginx"))
		in.Images[0].Unscanned, in.Images[0].Unscannable = "its scan failed", true
		if ds := set.Decide(in); len(ds) != 1 || ds[0].Action+" "+ds[0].Outcome != want {
			t.Errorf("%s: %+v", spec, ds)
		}
	}
	// A policy that asks nothing of scans leaves them alone.
	set := parse(t, head+"  phases: [deploy]\n  rules:\n  - {name: tag, when: 'image.tag == \"latest\"', action: block, message: m}\n")
	in := policy.Input{Phase: "deploy", Now: now()}.About(podOf("nginx:1"))
	in.Images[0].Unscanned = "nobody scanned it"
	if ds := set.Decide(in); len(ds) != 0 {
		t.Error(ds)
	}
}

func TestWants(t *testing.T) {
	for rules, want := range map[string]policy.Wants{
		`{name: a, when: 'finding.kind == "vulnerability"', action: block, grace: {days: 1, from: firstSeen}}`:                             {Findings: true, Kinds: []string{"vulnerability"}, FirstSeen: true},
		`{name: a, when: 'finding.kind == "secret" || finding.kind == "malware"', action: block}`:                                          {Findings: true, Kinds: []string{"malware", "secret"}},
		"{name: a, when: 'finding.kind == \"secret\"', action: block}\n  - {name: b, when: 'finding.severity == \"high\"', action: block}": {Findings: true},
		`{name: a, when: image.registry == "x" && image.tag == "y", action: block, message: m}`:                                            {},
		`{name: a, when: variables.unsigned, action: block, messageExpression: image.digest}`:                                              {Signature: true, Digest: true},
		`{name: a, when: image.counts.high > 1, action: block, message: m}`:                                                                {Scan: true},
	} {
		p := parse(t, head+"  phases: [deploy]\n  variables: [{name: unsigned, expression: '!image.signed'}]\n  rules:\n  - "+rules+"\n").Policies[0]
		if diff := cmp.Diff(want, p.Wants("deploy")); diff != "" {
			t.Errorf("%s: %s", rules, diff)
		}
		if got := p.Wants("run"); got.Findings || got.Scan {
			t.Errorf("%s: in another phase %+v", rules, got)
		}
	}
}

// BenchmarkScanned decides about a pod whose image has 1,000 findings, by the 20
// policies of BenchmarkDecide.
func BenchmarkScanned(b *testing.B) {
	set, findings := many(b)
	asset := &seawall.Asset{ID: "a", Kind: seawall.AssetImage, Image: &seawall.ImageInfo{}}
	in := policy.Input{Phase: "deploy", Now: time.Now()}.About(podOf("nginx"))
	in.Images[0].Scan = set.Scanned("deploy", asset, findings)
	b.ReportAllocs()
	for b.Loop() {
		if n := len(set.Decide(in)); n != 200 {
			b.Fatal(n)
		}
	}
}
