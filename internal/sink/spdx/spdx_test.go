package spdx_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	spdxjson "github.com/spdx/tools-golang/json"
	"github.com/spdx/tools-golang/spdx/v2/v2_3"

	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/sink"
	"github.com/seawall-security/seawall/internal/sink/sinktest"
	"github.com/seawall-security/seawall/internal/sink/spdx"
)

func open(w *bytes.Buffer) sink.Handler { return spdx.New(w) }

func TestGolden(t *testing.T) {
	sinktest.Golden(t, "report.spdx.json", sinktest.Render(t, sinktest.Report(t), open))
}

// The SPDX project's schema is not to be had as a Go or npm module, so two
// things stand for it: testdata/spdx-2.3.schema.json holds the requirements of
// the specification for what we write, in our words, and the SPDX project's own
// library must read the document back.
func TestValid(t *testing.T) {
	schema := sinktest.Schema(t, "testdata", "spdx-2.3.schema.json")
	for name, doc := range sinktest.Documents(t, open) {
		t.Run(name, func(t *testing.T) {
			sinktest.Validate(t, schema, doc)
			var read v2_3.Document
			if err := spdxjson.ReadInto(bytes.NewReader(doc), &read); err != nil {
				t.Fatal(err)
			}
			known := map[string]bool{"DOCUMENT": true}
			for _, p := range read.Packages {
				if known[string(p.PackageSPDXIdentifier)] {
					t.Errorf("%s is used twice", p.PackageSPDXIdentifier)
				}
				known[string(p.PackageSPDXIdentifier)] = true
			}
			related := make(map[string]bool)
			for _, r := range read.Relationships {
				if !known[string(r.RefA.ElementRefID)] || !known[string(r.RefB.ElementRefID)] {
					t.Errorf("%s %s %s names an unknown element", r.RefA.ElementRefID, r.Relationship, r.RefB.ElementRefID)
				}
				related[string(r.RefB.ElementRefID)] = true
			}
			if len(related) != len(read.Packages) {
				t.Errorf("%d of %d packages are reachable", len(related), len(read.Packages))
			}
		})
	}
}

func TestLicenses(t *testing.T) {
	r := &seawall.Report{SchemaVersion: seawall.SchemaVersion}
	for i, l := range [][]string{{"MIT"}, {"MIT", "Apache-2.0 OR GPL-2.0-only"}, {"Public domain"}, {"Public domain", "MIT"}, nil} {
		r.Packages = append(r.Packages, seawall.Package{Name: fmt.Sprint(i), Licenses: l})
	}
	var doc struct {
		Packages                   []struct{ LicenseDeclared string }
		HasExtractedLicensingInfos []struct{ LicenseID, ExtractedText string }
	}
	if err := json.Unmarshal(sinktest.Render(t, r, open), &doc); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, p := range doc.Packages {
		got = append(got, p.LicenseDeclared)
	}
	if want := "MIT|MIT AND (Apache-2.0 OR GPL-2.0-only)|LicenseRef-1|LicenseRef-1 AND MIT|NOASSERTION"; strings.Join(got, "|") != want {
		t.Errorf("declared %q, want %q", got, want)
	}
	if len(doc.HasExtractedLicensingInfos) != 1 || doc.HasExtractedLicensingInfos[0].ExtractedText != "Public domain" {
		t.Errorf("extracted %v", doc.HasExtractedLicensingInfos)
	}
}

func BenchmarkWrite(b *testing.B) { sinktest.Bench(b, sinktest.Large(10_000), spdx.New) }
