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

// Incidents come worst first, then by findings; the display filter hides none.
func TestIncidentOrder(t *testing.T) {
	r := &seawall.Report{Incidents: []seawall.Incident{
		{Title: "few", Severity: seawall.SeverityHigh, Count: 1},
		{Title: "many", Severity: seawall.SeverityHigh, Count: 9},
		{Title: "worst", Severity: seawall.SeverityCritical, Count: 2},
		{Title: "least", Severity: seawall.SeverityLow, Count: 90},
	}}
	var got []string
	for _, in := range triage.New(r, sink.Options{Severities: []seawall.Severity{seawall.SeverityCritical}}).Incidents() {
		got = append(got, in.Title)
	}
	if diff := cmp.Diff([]string{"worst", "many", "few", "least"}, got); diff != "" {
		t.Error(diff)
	}
	if r.Incidents[0].Title != "few" {
		t.Error("the report itself was put in order")
	}
}

// What is not known is not stated; what is long is counted, and says so.
func TestIncidentFacts(t *testing.T) {
	no := false
	in := seawall.Incident{Asset: "n", Started: "2026-11-20T23:59:59.9Z", Updated: "2026-11-21T01:00:01+01:00", Count: 12,
		Cause: &seawall.IncidentCause{Shell: &seawall.Actor{SourceIPs: []string{"10.0.0.1"}},
			Packages: []seawall.IncidentPackage{{PackageRef: seawall.PackageRef{Name: "a", Version: "1"}, Vulnerabilities: []string{"CVE-1"}, InUse: &no}}}}
	for i := range 9 {
		in.Steps = append(in.Steps, seawall.IncidentStep{Rule: fmt.Sprint("r", i%8), Responses: []string{"kill-process: enforced"}})
	}
	r := &seawall.Report{Asset: &seawall.Asset{ID: "n", Kind: seawall.AssetNode, Name: "worker"}, Incidents: []seawall.Incident{in}}
	want := []triage.Fact{
		{Label: "when", Text: "2026-11-20 23:59:59 to 2026-11-21 00:00:01 UTC"},
		{Label: "where", Text: "worker"},
		{Label: "findings", Text: "12: r0, r1, r2, r3, r4, r5 and 2 more"},
		{Label: "done", Text: "kill-process: enforced"},
		{Label: "cause may be", Text: "a 1 with CVE-1, known exploited, not in use"},
		{Label: "behind it", Text: "an unknown user from 10.0.0.1"},
	}
	if diff := cmp.Diff(want, triage.New(r, sink.Options{}).Incidents()[0].Facts); diff != "" {
		t.Error(diff)
	}
}

// An image that is named by its digest is not named twice.
func TestIncidentImage(t *testing.T) {
	r := sinktest.Report(t)
	c := r.Incidents[1].Container
	c.Image = "registry.example.com/shop/api@" + c.Digest
	for _, f := range triage.New(r, sink.Options{}).Incidents()[0].Facts {
		if f.Label == "image" && strings.Count(f.Text, c.Digest) != 1 {
			t.Error(f.Text)
		}
	}
}
