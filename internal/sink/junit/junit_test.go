package junit_test

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/sink"
	"github.com/seawall-security/seawall/internal/sink/junit"
	"github.com/seawall-security/seawall/internal/sink/sinktest"
)

func open(w *bytes.Buffer) sink.Handler { return junit.New(w) }

func TestGolden(t *testing.T) {
	sinktest.Golden(t, "report.junit.xml", sinktest.Render(t, sinktest.Report(t), open))
}

// JUnit XML has no official schema. Readers agree on this shape: testsuites
// with testsuite with testcase, at most one of failure, error and skipped in
// each, and counts that are those of the cases.
func TestShape(t *testing.T) {
	for name, doc := range sinktest.Documents(t, open) {
		t.Run(name, func(t *testing.T) {
			var got struct {
				XMLName  xml.Name `xml:"testsuites"`
				Tests    int      `xml:"tests,attr"`
				Failures int      `xml:"failures,attr"`
				Suites   []struct {
					Name     string `xml:"name,attr"`
					Tests    int    `xml:"tests,attr"`
					Failures int    `xml:"failures,attr"`
					Skipped  int    `xml:"skipped,attr"`
					Cases    []struct {
						Name    string     `xml:"name,attr"`
						Class   string     `xml:"classname,attr"`
						Failure []struct{} `xml:"failure"`
						Skipped []struct{} `xml:"skipped"`
					} `xml:"testcase"`
				} `xml:"testsuite"`
			}
			strict(t, doc)
			if err := xml.Unmarshal(doc, &got); err != nil {
				t.Fatal(err)
			}
			tests, failures := 0, 0
			for _, s := range got.Suites {
				f, k := 0, 0
				for _, c := range s.Cases {
					if c.Name == "" || c.Class == "" || len(c.Failure)+len(c.Skipped) > 1 {
						t.Errorf("bad case %+v", c)
					}
					f, k = f+len(c.Failure), k+len(c.Skipped)
				}
				if s.Name == "" || s.Tests != len(s.Cases) || s.Failures != f || s.Skipped != k {
					t.Errorf("suite %q counts %d/%d/%d, has %d/%d/%d", s.Name, s.Tests, s.Failures, s.Skipped, len(s.Cases), f, k)
				}
				tests, failures = tests+s.Tests, failures+f
			}
			if got.Tests != tests || got.Failures != failures {
				t.Errorf("totals %d/%d, have %d/%d", got.Tests, got.Failures, tests, failures)
			}
		})
	}
}

// strict fails on anything that is not well-formed XML 1.0.
func strict(t *testing.T, doc []byte) {
	t.Helper()
	dec := xml.NewDecoder(bytes.NewReader(doc))
	for {
		if _, err := dec.Token(); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			t.Fatalf("not well formed: %v", err)
		}
	}
}

// Not checked is skipped with the reason, never passed.
func TestNotEvaluatedIsSkipped(t *testing.T) {
	r := &seawall.Report{
		Coverage: []seawall.Coverage{{Asset: "a", Ecosystem: "Debian:12", Packages: 3, Status: seawall.CoverageNotEvaluated, Reason: "no data", Remedy: "seawall db update"}},
		Findings: []seawall.Finding{{Rule: "SW-1", Kind: seawall.KindLicense, Status: seawall.StatusNotEvaluated, Reason: "unreadable", Asset: "a"}, {Rule: "SW-2", Kind: seawall.KindLicense, Status: seawall.StatusPass, Asset: "a"}},
	}
	got := string(sinktest.Render(t, r, open))
	for _, want := range []string{`tests="3" failures="0" skipped="2"`, `<skipped message="not-evaluated: no data">mend it with: seawall db update</skipped>`, `<skipped message="not-evaluated: unreadable">`} {
		if !strings.Contains(got, want) {
			t.Errorf("no %s in\n%s", want, got)
		}
	}
}

func BenchmarkWrite(b *testing.B) { sinktest.Bench(b, sinktest.Large(10_000), junit.New) }
