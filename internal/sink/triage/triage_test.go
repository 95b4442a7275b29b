package triage_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/sink"
	"github.com/seawall-security/seawall/internal/sink/sinktest"
	"github.com/seawall-security/seawall/internal/sink/triage"
)

// report holds one vulnerability of one package per list of fixed versions.
func report(ecosystem string, fixed ...string) *seawall.Report {
	r := &seawall.Report{Asset: &seawall.Asset{ID: "a"}}
	for i, list := range fixed {
		v := &seawall.Vulnerability{ID: string(rune('A' + i))}
		if list != "" {
			v.Fixed = strings.Fields(list)
		}
		r.Findings = append(r.Findings, seawall.Finding{Rule: v.ID, Status: seawall.StatusFail, Asset: "a", Severity: seawall.SeverityHigh,
			Package: &seawall.PackageRef{Name: "p", Version: "1.0", Ecosystem: ecosystem}, Vulnerability: v})
	}
	return r
}

func TestUpgrade(t *testing.T) {
	for _, test := range []struct {
		name, ecosystem string
		fixed           []string
		want            string
	}{
		{"one", "npm", []string{"1.2.3"}, "1.2.3"},
		{"greatest", "npm", []string{"1.2.3", "1.10.0", "1.9.9"}, "1.10.0"},
		{"unfixed ones do not count", "npm", []string{"1.2.3", ""}, "1.2.3"},
		{"none", "npm", []string{"", ""}, ""},
		{"debian order", "Debian:12", []string{"3.0.11-1~deb12u2", "3.0.11-1"}, "3.0.11-1"},
		{"epoch", "Debian:12", []string{"2.0", "1:1.0"}, "1:1.0"},
		{"rpm family", "Amazon Linux:2023", []string{"1:1.0-1.amzn2023", "1:1.0-10.amzn2023", "1:1.0-9.amzn2023"}, "1:1.0-10.amzn2023"},
		{"first of the release line", "npm", []string{"1.2.6 0.2.4"}, "1.2.6"},
		// Going to 2.0.0 for B needs A's fix of the 2 line, which is later.
		{"the line gone to counts", "npm", []string{"1.2.5 2.0.1", "2.0.0"}, "2.0.1"},
		{"older branches do not lift it", "npm", []string{"1.2.5 3.0.1", "2.0.0"}, "2.0.0"},
		{"unknown order", "Gentoo", []string{"1.0-r1", "1.0-r2"}, ""},
		{"unknown order, one version", "Gentoo", []string{"1.0-r1", "1.0-r1"}, "1.0-r1"},
	} {
		t.Run(test.name, func(t *testing.T) {
			v := triage.New(report(test.ecosystem, test.fixed...), sink.Options{})
			if got := v.Assets[0].Groups[0].Upgrade; got != test.want {
				t.Errorf("upgrade to %q, want %q", got, test.want)
			}
		})
	}
}

// The absence of findings is worded no stronger than what was checked.
func TestNothing(t *testing.T) {
	cover := func(s seawall.CoverageStatus) seawall.Coverage {
		return seawall.Coverage{Asset: "a", Packages: 3, Status: s}
	}
	for _, test := range []struct {
		name  string
		edit  func(*seawall.Report)
		want  string
		clean bool
	}{
		{"judged", func(r *seawall.Report) { r.Coverage = []seawall.Coverage{cover(seawall.CoverageOK)} }, "nothing found", true},
		{"partly", func(r *seawall.Report) { r.Coverage = []seawall.Coverage{cover(seawall.CoveragePartial)} }, "nothing found in what could be judged", false},
		{"one of two", func(r *seawall.Report) {
			r.Coverage = []seawall.Coverage{cover(seawall.CoverageOK), cover(seawall.CoverageNotEvaluated)}
		}, "nothing found in what could be judged", false},
		{"not at all", func(r *seawall.Report) { r.Coverage = []seawall.Coverage{cover(seawall.CoverageNotEvaluated)} }, "nothing could be judged", false},
		{"a collector failed", func(r *seawall.Report) {
			r.Coverage = []seawall.Coverage{cover(seawall.CoverageOK)}
			r.Collectors = []seawall.CollectorStatus{{Asset: "a", Status: seawall.RunFailed}}
		}, "nothing found in what could be judged", false},
		{"empty", func(r *seawall.Report) { r.Packages = nil }, "no packages found", true},
		{"a node that was watched", func(r *seawall.Report) { r.Packages, r.Asset.Kind = nil, seawall.AssetNode }, "nothing found", true},
		{"filtered", func(r *seawall.Report) {
			r.Findings = []seawall.Finding{{Asset: "a", Status: seawall.StatusFail, Severity: seawall.SeverityLow}}
		}, "nothing to show: 1 finding not shown by the display filter", false},
	} {
		r := &seawall.Report{Asset: &seawall.Asset{ID: "a"}, Packages: []seawall.Package{{Asset: "a", Name: "p"}}}
		test.edit(r)
		v := triage.New(r, sink.Options{Severities: []seawall.Severity{seawall.SeverityHigh}})
		if got, clean := v.Assets[0].Nothing(); got != test.want || clean != test.clean {
			t.Errorf("%s: %q, clean %v, want %q, %v", test.name, got, clean, test.want, test.clean)
		}
	}
}

func TestNoFix(t *testing.T) {
	for state, want := range map[seawall.VulnerabilityState]string{
		seawall.StateWillNotFix: "the vendor will not fix this", seawall.StateDeferred: "the vendor has deferred a fix",
		seawall.StateEndOfLife: "no fix: end of life", seawall.StateUnderInvestigation: "the vendor is investigating", seawall.StateAffected: "no fixed version yet",
	} {
		r := report("npm", "", "")
		for i := range r.Findings {
			r.Findings[i].Vulnerability.State = state
		}
		if got := triage.New(r, sink.Options{}).Assets[0].Groups[0].NoFix(); got != want {
			t.Errorf("%s: %q, want %q", state, got, want)
		}
		r.Findings[0].Vulnerability.State = "something else"
		if got := triage.New(r, sink.Options{}).Assets[0].Groups[0].NoFix(); got != "no fixed version yet" {
			t.Errorf("%s mixed: %q", state, got)
		}
	}
	if got := triage.New(report("Gentoo", "1.0-r1", "1.0-r2"), sink.Options{}).Assets[0].Groups[0].NoFix(); got != "fixed versions differ by finding" {
		t.Errorf("no common upgrade: %q", got)
	}
}

// Advice considers what the display filter hides: mending only the shown would leave the rest.
func TestUpgradeIgnoresTheFilter(t *testing.T) {
	r := report("npm", "1.2.0", "1.5.0")
	r.Findings[1].Severity = seawall.SeverityLow
	v := triage.New(r, sink.Options{Severities: []seawall.Severity{seawall.SeverityHigh}})
	g := v.Assets[0].Groups[0]
	if g.Upgrade != "1.5.0" || len(g.Findings) != 1 || v.Hidden != 1 {
		t.Errorf("upgrade to %s, %d shown, %d hidden", g.Upgrade, len(g.Findings), v.Hidden)
	}
}

func TestOrderAndGrouping(t *testing.T) {
	v := triage.New(sinktest.Report(t), sink.Options{})
	var got []string
	for _, g := range v.Assets[0].Groups {
		got = append(got, g.Name)
	}
	want := []string{"org.apache.logging.log4j:log4j-core", "org.springframework:spring-beans", "libc6", "openssl", "zlib1g", "minimist", "lodash", "curl", "golang.org/x/net", "perl-base", "stdlib"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("order (-want +got):\n%s", diff)
	}
	openssl := v.Assets[0].Groups[3]
	if diff := cmp.Diff([]string{"libssl3", "openssl"}, openssl.Packages); diff != "" || len(openssl.Findings) != 4 || openssl.Counts.Critical != 1 {
		t.Errorf("openssl: %v, %d findings, %+v", openssl.Packages, len(openssl.Findings), openssl.Counts)
	}
	if v.Exploited != 4 || v.Fixable != 28 || len(v.Gaps) != 3 || v.Gaps[0].Ecosystem != "Debian:9" || v.Gaps[2].Status != seawall.CoveragePartial {
		t.Errorf("exploited %d, fixable %d, gaps %v", v.Exploited, v.Fixable, v.Gaps)
	}
	if len(v.Incomplete) != 2 || v.Incomplete[0].Status != seawall.RunFailed {
		t.Errorf("incomplete %v", v.Incomplete)
	}
}

func TestNext(t *testing.T) {
	full := sinktest.Report(t)
	judged := sinktest.Report(t)
	judged.Coverage = judged.Coverage[:4]
	clean := *judged
	clean.Findings = nil
	noMalware := *judged
	noMalware.Findings = nil
	for _, f := range judged.Findings {
		if f.Kind != seawall.KindMalware {
			noMalware.Findings = append(noMalware.Findings, f)
		}
	}
	for _, test := range []struct {
		name string
		r    *seawall.Report
		want string
	}{
		{"most is not judged", full, `run "seawall db update --ecosystem Debian:9": 76 packages could not be judged`},
		{"malware", judged, "remove flatmap-stream 0.1.1: it is known malware"},
		{"exploited", &noMalware, "upgrade org.apache.logging.log4j:log4j-core to 2.17.1: mends 2 critical and 2 medium, 2 known exploited"},
		{"clean", &clean, ""},
	} {
		if got := triage.New(test.r, sink.Options{}).Next(); got != test.want {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
	}
}

func TestGapsOfOneReasonAreSaidOnce(t *testing.T) {
	gap := func(asset, ecosystem string, n int, reason string) seawall.Coverage {
		return seawall.Coverage{Asset: asset, Ecosystem: ecosystem, Packages: n, Status: seawall.CoverageNotEvaluated, Reason: reason}
	}
	v := triage.New(&seawall.Report{Coverage: []seawall.Coverage{gap("a", "npm", 2, "x"), gap("b", "npm", 3, "x"), gap("a", "PyPI", 9, "x"), gap("a", "Go", 1, "y")}}, sink.Options{})
	var got []string
	for _, g := range v.MergedGaps() {
		got = append(got, fmt.Sprintf("%s: %d in %d", g.Ecosystems(), g.Packages, g.Assets))
	}
	if diff := cmp.Diff([]string{"PyPI 9, npm 5: 14 in 2", "Go: 1 in 1"}, got); diff != "" {
		t.Errorf("gaps (-want +got):\n%s", diff)
	}
}

func TestCount(t *testing.T) {
	for want, got := range map[string]string{
		"1 day": triage.Count(1, "day"), "91 days": triage.Count(91, "day"), "0 packages": triage.Count(0, "package"),
		"1 vulnerability": triage.Count(1, "vulnerability"), "2 vulnerabilities": triage.Count(2, "vulnerability"),
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func BenchmarkNew(b *testing.B) {
	r := sinktest.Large(10_000)
	b.ReportAllocs()
	for b.Loop() {
		triage.New(r, sink.Options{})
	}
}

func TestBaseFact(t *testing.T) {
	for want, b := range map[string]seawall.BaseImage{
		"base debian:12 (its layers are not known: scan it, or name it with --base)": {Name: "debian:12", Known: "label"},
		"base debian:12 (2 layers): mending it would remove 3 findings":              {Name: "debian:12", Layers: 2, Findings: &seawall.Summary{High: 1, Low: 2, Pass: 5}},
		"base sha256:d (1 layer, nothing found in them)":                             {Digest: "sha256:d", Layers: 1, Findings: &seawall.Summary{}},
	} {
		a := triage.Asset{Asset: seawall.Asset{Kind: seawall.AssetImage, Image: &seawall.ImageInfo{Base: &b}}}
		if got := a.Facts(); got[len(got)-1] != want {
			t.Errorf("got %q, want %q", got[len(got)-1], want)
		}
	}
}
