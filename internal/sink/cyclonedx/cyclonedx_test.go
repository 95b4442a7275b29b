package cyclonedx_test

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/seawall-security/seawall/internal/sink"
	"github.com/seawall-security/seawall/internal/sink/cyclonedx"
	"github.com/seawall-security/seawall/internal/sink/sinktest"
)

func open(w *bytes.Buffer) sink.Handler { return cyclonedx.New(w) }

func TestGolden(t *testing.T) {
	sinktest.Golden(t, "report.cdx.json", sinktest.Render(t, sinktest.Report(t), open))
}

// The schema is the CycloneDX project's, from its own Go module.
func TestValidAgainstSchema(t *testing.T) {
	schema := sinktest.Schema(t, sinktest.Module(t, "github.com/CycloneDX/cyclonedx-go")+"/schema", "bom-1.6.schema.json")
	for name, doc := range sinktest.Documents(t, open) {
		t.Run(name, func(t *testing.T) { sinktest.Validate(t, schema, doc) })
	}
}

// Every reference names a component of the document, and names are unique.
func TestReferencesResolve(t *testing.T) {
	for name, doc := range sinktest.Documents(t, open) {
		t.Run(name, func(t *testing.T) {
			var bom struct {
				Metadata struct {
					Component struct {
						Ref string `json:"bom-ref"`
					}
				}
				Components []struct {
					Ref string `json:"bom-ref"`
				}
				Dependencies []struct {
					Ref       string
					DependsOn []string
				}
				Vulnerabilities []struct{ Affects []struct{ Ref string } }
			}
			if err := json.Unmarshal(doc, &bom); err != nil {
				t.Fatal(err)
			}
			known := map[string]bool{bom.Metadata.Component.Ref: true}
			for _, c := range bom.Components {
				if known[c.Ref] {
					t.Errorf("%q is used twice", c.Ref)
				}
				known[c.Ref] = true
			}
			var used []string
			for _, d := range bom.Dependencies {
				used = append(append(used, d.Ref), d.DependsOn...)
			}
			for _, v := range bom.Vulnerabilities {
				if len(v.Affects) == 0 {
					t.Error("a vulnerability affects nothing")
				}
				for _, a := range v.Affects {
					used = append(used, a.Ref)
				}
			}
			for _, ref := range used {
				if !known[ref] {
					t.Errorf("%q is no component", ref)
				}
			}
		})
	}
}

func BenchmarkWrite(b *testing.B) { sinktest.Bench(b, sinktest.Large(10_000), cyclonedx.New) }
