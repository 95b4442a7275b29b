package sarif_test

import (
	"bytes"
	"encoding/json"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/sink"
	"github.com/seawall-security/seawall/internal/sink/sarif"
	"github.com/seawall-security/seawall/internal/sink/sinktest"
)

func open(w *bytes.Buffer) sink.Handler { return sarif.New(w) }

func TestGolden(t *testing.T) {
	sinktest.Golden(t, "report.sarif", sinktest.Render(t, sinktest.Report(t), open))
}

// The schema is OASIS's, as gosec's tests carry it.
func TestValidAgainstSchema(t *testing.T) {
	dir := sinktest.Download(t, "github.com/securego/gosec/v2@v2.29.0")
	schema := sinktest.Schema(t, dir+"/report/sarif/testdata", "sarif-schema-2.1.0.json")
	for name, doc := range sinktest.Documents(t, open) {
		t.Run(name, func(t *testing.T) { sinktest.Validate(t, schema, doc) })
	}
}

type document struct {
	Runs []struct {
		Tool struct {
			Driver struct {
				Rules []struct {
					ID               string
					ShortDescription struct{ Text string }
					HelpURI          string
					Properties       map[string]any
				}
			}
		}
		Invocations []struct {
			ExecutionSuccessful        bool
			ToolExecutionNotifications []struct{ Message struct{ Text string } }
		}
		Results []struct {
			RuleID              string
			RuleIndex           int
			PartialFingerprints map[string]string
			Suppressions        []struct{ Justification string }
			Locations           []struct {
				PhysicalLocation struct {
					ArtifactLocation struct{ URI string }
					Region           struct{ StartLine int }
				}
			}
		}
	}
}

func decode(t *testing.T, r *seawall.Report) document {
	t.Helper()
	var d document
	if err := json.Unmarshal(sinktest.Render(t, r, open), &d); err != nil {
		t.Fatal(err)
	}
	return d
}

// What code scanning asks of every result and rule beyond the schema.
func TestCodeScanningRules(t *testing.T) {
	for name, r := range map[string]*seawall.Report{"recorded": sinktest.Report(t), "hostile": sinktest.Hostile()} {
		t.Run(name, func(t *testing.T) {
			run := decode(t, r).Runs[0]
			rules := run.Tool.Driver.Rules
			for _, rule := range rules {
				if len(rule.ShortDescription.Text) > 1024 {
					t.Errorf("%s: description of %d bytes", rule.ID, len(rule.ShortDescription.Text))
				}
				if s, ok := rule.Properties["security-severity"].(string); ok {
					if score, err := strconv.ParseFloat(s, 64); err != nil || score <= 0 || score > 10 {
						t.Errorf("%s: security-severity %q", rule.ID, s)
					}
				}
			}
			prints := make(map[string]bool)
			for _, res := range run.Results {
				if rules[res.RuleIndex].ID != res.RuleID {
					t.Errorf("%s has index %d, which is %s", res.RuleID, res.RuleIndex, rules[res.RuleIndex].ID)
				}
				print := res.PartialFingerprints["primaryLocationLineHash"]
				if prints[print] || print == "" {
					t.Errorf("%s: fingerprint %q is empty or used twice", res.RuleID, print)
				}
				prints[print] = true
				for _, l := range res.Locations {
					uri := l.PhysicalLocation.ArtifactLocation.URI
					if u, err := url.Parse(uri); err != nil || u.IsAbs() || strings.HasPrefix(uri, "/") || u.Host != "" {
						t.Errorf("%s: URI %q is not relative", res.RuleID, uri)
					}
					if l.PhysicalLocation.Region.StartLine < 1 {
						t.Errorf("%s: no line", res.RuleID)
					}
				}
				if len(res.Locations) == 0 {
					t.Errorf("%s: no location", res.RuleID)
				}
			}
		})
	}
}

func TestGapsAndSuppressionsAreSaid(t *testing.T) {
	run := decode(t, sinktest.Report(t)).Runs[0]
	inv := run.Invocations[0]
	if inv.ExecutionSuccessful {
		t.Error("a failed collector counts as success")
	}
	said := ""
	for _, n := range inv.ToolExecutionNotifications {
		said += n.Message.Text + "\n"
	}
	for _, want := range []string{"Debian:9", "Alpine:v3.23", "seawall db update", "os/apk failed", "language/java partial", "SW-LIC-001 not evaluated"} {
		if !strings.Contains(said, want) {
			t.Errorf("notifications do not mention %q:\n%s", want, said)
		}
	}
	suppressed := 0
	for _, r := range run.Results {
		suppressed += len(r.Suppressions)
	}
	if suppressed != 1 {
		t.Errorf("%d suppressions, want 1", suppressed)
	}
}

func TestStaysBelowTheResultLimit(t *testing.T) {
	run := decode(t, sinktest.Large(25_010)).Runs[0]
	notes := run.Invocations[0].ToolExecutionNotifications
	if len(run.Results) != 25_000 || len(notes) != 1 || !strings.HasPrefix(notes[0].Message.Text, "10 less severe findings are left out") {
		t.Errorf("%d results, notifications %v", len(run.Results), notes)
	}
}

func BenchmarkWrite(b *testing.B) { sinktest.Bench(b, sinktest.Large(10_000), sarif.New) }
