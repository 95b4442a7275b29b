package gitlab_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/sink"
	"github.com/seawall-security/seawall/internal/sink/gitlab"
	"github.com/seawall-security/seawall/internal/sink/sinktest"
)

func open(w *bytes.Buffer) sink.Handler { return gitlab.New(w) }

func TestGolden(t *testing.T) {
	sinktest.Golden(t, "report.gitlab.json", sinktest.Render(t, sinktest.Report(t), open))
}

// GitLab's own schema is not to be had as a Go or npm module:
// testdata/report-15.schema.json holds its requirements for what we write, in our words.
func TestValid(t *testing.T) {
	schema := sinktest.Schema(t, "testdata", "report-15.schema.json")
	for name, doc := range sinktest.Documents(t, open) {
		t.Run(name, func(t *testing.T) { sinktest.Validate(t, schema, doc) })
	}
	t.Run("directory", func(t *testing.T) {
		r := sinktest.Report(t)
		r.Asset.Kind = seawall.AssetRootFS
		doc := sinktest.Render(t, r, open)
		sinktest.Validate(t, schema, doc)
		if !strings.Contains(string(doc), `"type": "dependency_scanning"`) {
			t.Error("a directory is not dependency scanning")
		}
	})
}

func TestWhatTheListDoesNotHoldIsSaid(t *testing.T) {
	var got struct {
		Scan struct {
			Status   string
			Messages []struct{ Value string }
		}
		Vulnerabilities []struct {
			ID          string
			Identifiers []struct{ Value string }
		}
	}
	if err := json.Unmarshal(sinktest.Render(t, sinktest.Report(t), open), &got); err != nil {
		t.Fatal(err)
	}
	said := ""
	for _, m := range got.Scan.Messages {
		said += m.Value + "\n"
	}
	for _, want := range []string{"Debian:9: 61 packages not-evaluated", "seawall db update --ecosystem Debian:9", "os/apk failed", "3 findings of kinds"} {
		if !strings.Contains(said, want) {
			t.Errorf("messages do not say %q:\n%s", want, said)
		}
	}
	if got.Scan.Status != "failure" {
		t.Error("a failed collector counts as success")
	}
	ids := make(map[string]bool)
	for _, v := range got.Vulnerabilities {
		if ids[v.ID] {
			t.Errorf("%s is used twice", v.ID)
		}
		ids[v.ID] = true
		for i, id := range v.Identifiers {
			if i > 0 && strings.HasPrefix(id.Value, "CVE-") && !strings.HasPrefix(v.Identifiers[0].Value, "CVE-") {
				t.Errorf("%s is not led by its CVE", v.Identifiers[0].Value)
			}
		}
	}
}

func BenchmarkWrite(b *testing.B) { sinktest.Bench(b, sinktest.Large(10_000), gitlab.New) }
