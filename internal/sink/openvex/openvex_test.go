package openvex_test

import (
	"bytes"
	"testing"

	"github.com/openvex/go-vex/pkg/vex"

	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/sink"
	"github.com/seawall-security/seawall/internal/sink/openvex"
	"github.com/seawall-security/seawall/internal/sink/sinktest"
)

func open(w *bytes.Buffer) sink.Handler { return openvex.New(w) }

func TestGolden(t *testing.T) {
	sinktest.Golden(t, "report.openvex.json", sinktest.Render(t, sinktest.Report(t), open))
}

// The OpenVEX project's own library reads every document and finds every statement complete.
func TestValid(t *testing.T) {
	for name, doc := range sinktest.Documents(t, open) {
		t.Run(name, func(t *testing.T) {
			got, err := vex.Parse(doc)
			if err != nil {
				t.Fatal(err)
			}
			if got.ID == "" || got.Author == "" || got.Timestamp == nil || got.Version < 1 {
				t.Errorf("metadata is incomplete: %+v", got.Metadata)
			}
			for i := range got.Statements {
				st := &got.Statements[i]
				if err := st.Validate(); err != nil {
					t.Errorf("statement %d: %v", i, err)
				}
				if st.Vulnerability.Name == "" || len(st.Products) != 1 || st.Products[0].ID == "" {
					t.Errorf("statement %d names no vulnerability or product", i)
				}
			}
		})
	}
}

func TestStatuses(t *testing.T) {
	r := &seawall.Report{SchemaVersion: seawall.SchemaVersion, Asset: &seawall.Asset{ID: "rootfs:/", Kind: seawall.AssetRootFS}, Run: seawall.RunTimes{Ended: "2026-11-21T00:00:00Z"}}
	add := func(id string, status seawall.Status, reason string, state seawall.VulnerabilityState) {
		r.Findings = append(r.Findings, seawall.Finding{Rule: id, Status: status, Reason: reason, Asset: "rootfs:/", Vulnerability: &seawall.Vulnerability{ID: id, State: state}})
	}
	add("A", seawall.StatusFail, "", seawall.StateAffected)
	add("B", seawall.StatusFail, "", seawall.StateUnderInvestigation)
	add("C", seawall.StatusSuppressed, "not affected: not there (VEX a.json)", seawall.StateAffected)
	add("D", seawall.StatusSuppressed, "fixed (VEX a.json)", seawall.StateAffected)
	add("E", seawall.StatusSuppressed, "we accept it", seawall.StateAffected)
	add("F", seawall.StatusNotEvaluated, "", seawall.StateAffected)
	doc, err := vex.Parse(sinktest.Render(t, r, open))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]vex.Status{"A": vex.StatusAffected, "B": vex.StatusUnderInvestigation, "C": vex.StatusNotAffected, "D": vex.StatusFixed, "E": vex.StatusAffected}
	if len(doc.Statements) != len(want) {
		t.Errorf("%d statements, want %d", len(doc.Statements), len(want))
	}
	for _, st := range doc.Statements {
		if want[string(st.Vulnerability.Name)] != st.Status {
			t.Errorf("%s is %s, want %s", st.Vulnerability.Name, st.Status, want[string(st.Vulnerability.Name)])
		}
	}
}

func BenchmarkWrite(b *testing.B) { sinktest.Bench(b, sinktest.Large(10_000), openvex.New) }
