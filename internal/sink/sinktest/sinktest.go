// Package sinktest is what the tests of the report formats share: a recorded
// realistic report, a hostile one, large ones, and golden files. Nothing
// outside tests imports it.
package sinktest

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/sink"
	"github.com/seawall-security/seawall/internal/sink/json"
)

// update is the test flag that rewrites golden files.
var update = flag.Bool("update", false, "rewrite golden files")

// Report reads the recorded report in sink/testdata: several assets, every kind
// of coverage and collector status, known exploited, unfixable, suppressed,
// malware, secret and end-of-life findings, two incidents.
func Report(t testing.TB) *seawall.Report {
	t.Helper()
	_, here, _, _ := runtime.Caller(0)
	f, err := os.Open(filepath.Join(filepath.Dir(here), "../testdata/report.json"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, skipped, err := json.Read(f)
	if err != nil || skipped != 0 {
		t.Fatalf("recorded report: %v, %d messages skipped", err, skipped)
	}
	return r
}

// Nasty is a string with everything a hostile package name may carry: markup,
// terminal escapes, a direction override, line breaks, table and template
// syntax, bytes XML cannot hold, invalid UTF-8.
const Nasty = "</script><img src=x onerror=alert(1)>|`*_[a](javascript:b)\x1b[31mred\x07\r\n@everyone {{.}} \u202e\u0000\xff{包裹}&amp;\"'"

// Hostile is a small report in which every string that a scanned thing controls is Nasty.
func Hostile() *seawall.Report {
	ref := &seawall.PackageRef{Name: Nasty, Version: Nasty, Ecosystem: "npm", PURL: "pkg:npm/" + Nasty, Source: Nasty}
	loc := seawall.Location{Path: Nasty, Inner: Nasty, Line: 1, Resource: Nasty}
	layer := &seawall.LayerInfo{Digest: "sha256:00", CreatedBy: Nasty}
	return &seawall.Report{
		SchemaVersion: seawall.SchemaVersion,
		Tool:          seawall.Tool{Name: "seawall", Version: "0.1.0"},
		Run:           seawall.RunTimes{ID: "1", Started: "2026-11-21T00:00:00Z", Ended: "2026-11-21T00:00:01Z"},
		Asset:         &seawall.Asset{ID: "a", Kind: seawall.AssetImage, Name: Nasty, OS: &seawall.OS{ID: Nasty, Name: Nasty}},
		Coverage:      []seawall.Coverage{{Asset: "a", Ecosystem: Nasty, Packages: 1, Status: seawall.CoverageNotEvaluated, Reason: Nasty, Remedy: Nasty}},
		Packages:      []seawall.Package{{Asset: "a", Name: Nasty, Version: Nasty, Ecosystem: "npm", PURL: "pkg:npm/" + Nasty, Licenses: []string{Nasty}, Locations: []seawall.Location{loc}}},
		Findings: []seawall.Finding{
			{ID: "1", Kind: seawall.KindVulnerability, Rule: Nasty, Title: Nasty, Severity: seawall.SeverityHigh, Status: seawall.StatusFail, Asset: "a",
				Location: &loc, Locations: []seawall.Location{loc}, Layer: layer, Package: ref, Remediation: Nasty, References: []string{"javascript:alert(1)", Nasty, "https://example.com/"},
				Vulnerability: &seawall.Vulnerability{ID: Nasty, Aliases: []string{Nasty}, State: seawall.StateFixed, Fixed: []string{Nasty}, Summary: Nasty, CWEs: []string{Nasty}}},
			{ID: "2", Kind: seawall.KindSecret, Rule: Nasty, Title: Nasty, Severity: seawall.SeverityLow, Status: seawall.StatusFail, Asset: "a", Location: &loc, Evidence: Nasty, Remediation: Nasty},
			{ID: "3", Kind: seawall.KindMisconfiguration, Rule: Nasty, Title: Nasty, Status: seawall.StatusSuppressed, Reason: Nasty, Asset: "a"},
			{ID: "4", Kind: seawall.KindLicense, Rule: Nasty, Title: Nasty, Status: seawall.StatusNotEvaluated, Reason: Nasty, Asset: "a"},
		},
		Incidents: []seawall.Incident{{ID: "1", Asset: Nasty, Title: Nasty, Severity: seawall.SeverityHigh, Started: Nasty, Updated: Nasty, Count: 1,
			Container:  &seawall.Container{ID: Nasty, Name: Nasty, Image: Nasty, Digest: Nasty, Namespace: Nasty, Pod: Nasty, Workload: Nasty},
			Steps:      []seawall.IncidentStep{{Finding: "1", Time: Nasty, Rule: Nasty, Evidence: Nasty, Responses: []string{Nasty}}},
			Techniques: []string{Nasty}, Prevention: []string{Nasty},
			Cause: &seawall.IncidentCause{Image: Nasty, Digest: Nasty, Layer: layer, DeployedBy: &seawall.Actor{User: Nasty, SourceIPs: []string{Nasty}}, Shell: &seawall.Actor{User: Nasty},
				Packages: []seawall.IncidentPackage{{PackageRef: *ref, Vulnerabilities: []string{Nasty}}}}}},
		Summary:    seawall.Summary{High: 1, Low: 1, Suppressed: 1, NotEvaluated: 1},
		Collectors: []seawall.CollectorStatus{{Asset: "a", Name: "os/dpkg", Status: seawall.RunPartial, Reason: Nasty}},
	}
}

// Large is a report of n findings in n/10 packages, for benchmarks.
func Large(n int) *seawall.Report {
	r := &seawall.Report{
		SchemaVersion: seawall.SchemaVersion,
		Tool:          seawall.Tool{Name: "seawall", Version: "0.1.0"},
		Run:           seawall.RunTimes{ID: "1", Started: "2026-11-21T00:00:00Z", Ended: "2026-11-21T00:00:01Z"},
		Asset:         &seawall.Asset{ID: "sha256:00", Kind: seawall.AssetImage, Name: "registry.example.com/large:1", Digest: "sha256:00"},
	}
	for i := range n {
		pkg := fmt.Sprintf("package-%d", i/10)
		loc := seawall.Location{Path: "srv/node_modules/" + pkg + "/package.json", Layer: "sha256:01"}
		ref := seawall.PackageRef{Name: pkg, Version: "1.0.0", Ecosystem: "npm", PURL: "pkg:npm/" + pkg + "@1.0.0"}
		if i%10 == 0 {
			r.Packages = append(r.Packages, seawall.Package{Asset: r.Asset.ID, Name: pkg, Version: ref.Version, Ecosystem: ref.Ecosystem, PURL: ref.PURL, Locations: []seawall.Location{loc}})
		}
		id := fmt.Sprintf("CVE-2025-%d", 10000+i)
		r.Findings = append(r.Findings, seawall.Finding{
			ID: fmt.Sprintf("swf-%016x", i), Kind: seawall.KindVulnerability, Rule: id, Title: pkg + " 1.0.0: " + id + ", fixed in 1.0.1",
			Severity: seawall.Severity(i % 6), Status: seawall.StatusFail, Asset: r.Asset.ID, Location: &loc, Locations: []seawall.Location{loc}, Package: &ref,
			Vulnerability: &seawall.Vulnerability{ID: id, State: seawall.StateFixed, Fixed: []string{fmt.Sprintf("1.0.%d", 1+i%10)}, KEV: i%100 == 0,
				EPSS: &seawall.EPSS{Score: float64(i%100) / 100, Percentile: 0.5}, Summary: "a made-up vulnerability for benchmarks"},
		})
		r.Summary.Add(&r.Findings[i])
	}
	return r
}

// Render replays a report through the handler that open makes and returns what it wrote.
func Render(t testing.TB, r *seawall.Report, open func(w *bytes.Buffer) sink.Handler) []byte {
	t.Helper()
	var out bytes.Buffer
	h := open(&out)
	for m := range r.Messages {
		if err := h.Handle(context.Background(), m); err != nil {
			t.Fatal(err)
		}
	}
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// Golden compares got with testdata/name of the calling test's package; the
// test flag -update writes it.
func Golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v (write it with -update)", err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s differs (-want +got), rewrite with -update:\n%s", path, diff)
	}
}

// Bench measures replaying a report through the handler that open makes.
func Bench(b *testing.B, r *seawall.Report, open func(io.Writer) sink.Handler) {
	b.ReportAllocs()
	for b.Loop() {
		h := open(io.Discard)
		for m := range r.Messages {
			if err := h.Handle(context.Background(), m); err != nil {
				b.Fatal(err)
			}
		}
		if err := h.Close(); err != nil {
			b.Fatal(err)
		}
	}
}
