// Package junit writes JUnit XML for continuous integration: a suite per asset,
// a failed case per finding. What was suppressed or could not be evaluated is a
// skipped case with its reason, and every ecosystem that was judged is a passed
// one, so a green suite shows what it stands for.
package junit

import (
	"bufio"
	"cmp"
	"encoding/xml"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/sink"
	"github.com/seawall-security/seawall/internal/sink/triage"
)

type suites struct {
	XMLName  xml.Name `xml:"testsuites"`
	Name     string   `xml:"name,attr"`
	Tests    int      `xml:"tests,attr"`
	Failures int      `xml:"failures,attr"`
	Skipped  int      `xml:"skipped,attr"`
	Time     string   `xml:"time,attr"`
	Suites   []*suite
}

type suite struct {
	XMLName   xml.Name `xml:"testsuite"`
	Name      string   `xml:"name,attr"`
	Tests     int      `xml:"tests,attr"`
	Failures  int      `xml:"failures,attr"`
	Errors    int      `xml:"errors,attr"`
	Skipped   int      `xml:"skipped,attr"`
	Timestamp string   `xml:"timestamp,attr,omitempty"`
	Time      string   `xml:"time,attr"`
	Cases     []testCase
}

type testCase struct {
	XMLName xml.Name `xml:"testcase"`
	Class   string   `xml:"classname,attr"`
	Name    string   `xml:"name,attr"`
	Time    string   `xml:"time,attr"`
	Failure *outcome `xml:"failure,omitempty"`
	Skipped *outcome `xml:"skipped,omitempty"`
}

type outcome struct {
	Message string `xml:"message,attr"`
	Type    string `xml:"type,attr,omitempty"`
	Text    string `xml:",chardata"`
}

// New returns the handler of the junit format.
func New(w io.Writer) sink.Handler {
	return sink.Whole(func(r *seawall.Report) error {
		out := bufio.NewWriter(w)
		out.WriteString(xml.Header)
		enc := xml.NewEncoder(out)
		enc.Indent("", "  ")
		if err := enc.Encode(build(r)); err != nil {
			return err
		}
		out.WriteByte('\n')
		return out.Flush()
	})
}

func build(r *seawall.Report) *suites {
	all := &suites{Name: "seawall", Time: "0"}
	of := make(map[string]*suite)
	add := func(id, name string) *suite {
		s := &suite{Name: cmp.Or(name, id, "unknown asset"), Timestamp: timestamp(r.Run.Started), Time: "0"}
		of[id] = s
		all.Suites = append(all.Suites, s)
		return s
	}
	for _, a := range sink.Assets(r) {
		add(a.ID, a.Name)
	}
	suiteOf := func(id string) *suite {
		if s := of[id]; s != nil {
			return s
		}
		return add(id, id)
	}
	for _, c := range r.Coverage {
		suiteOf(c.Asset).add(coverageCase(c))
	}
	for i := range r.Findings {
		f := &r.Findings[i]
		suiteOf(f.Asset).add(findingCase(f))
	}
	for _, s := range all.Suites {
		all.Tests, all.Failures, all.Skipped = all.Tests+s.Tests, all.Failures+s.Failures, all.Skipped+s.Skipped
	}
	return all
}

func (s *suite) add(c testCase) {
	c.Time = "0"
	s.Tests++
	if c.Failure != nil {
		s.Failures++
	}
	if c.Skipped != nil {
		s.Skipped++
	}
	s.Cases = append(s.Cases, c)
}

// timestamp is local-time ISO 8601 without a zone, as the format wants; ours is UTC.
func timestamp(s string) string {
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return ""
	}
	return t.UTC().Format("2006-01-02T15:04:05")
}

func coverageCase(c seawall.Coverage) testCase {
	t := testCase{Class: "coverage", Name: sink.Plain(fmt.Sprintf("%s: %s", c.Ecosystem, triage.Count(c.Packages, "package")))}
	if c.Status != seawall.CoverageOK {
		t.Skipped = &outcome{Message: sink.Plain(string(c.Status) + ": " + c.Reason)}
		if c.Remedy != "" {
			t.Skipped.Text = "mend it with: " + sink.Plain(c.Remedy)
		}
	}
	return t
}

func findingCase(f *seawall.Finding) testCase {
	t := testCase{Class: string(f.Kind), Name: sink.Plain(f.Rule)}
	if p := f.Package; p != nil {
		t.Class = sink.Plain(cmp.Or(p.Ecosystem, string(f.Kind)) + "." + p.Name)
		t.Name = sink.Plain(f.Rule + " in " + p.Name + " " + p.Version)
	}
	switch f.Status {
	case seawall.StatusFail:
		t.Failure = &outcome{Message: sink.Plain(f.Title), Type: f.Severity.String(), Text: details(f)}
	case seawall.StatusSuppressed, seawall.StatusNotEvaluated, seawall.StatusNotApplicable:
		t.Skipped = &outcome{Message: sink.Plain(string(f.Status) + ": " + f.Reason)}
	}
	return t
}

func details(f *seawall.Finding) string {
	var lines []string
	add := func(label, value string) {
		if value != "" {
			lines = append(lines, label+": "+sink.Plain(value))
		}
	}
	add("severity", f.Severity.String())
	if v := f.Vulnerability; v != nil {
		add("summary", v.Summary)
		if v.KEV {
			add("known exploited", "yes (CISA KEV)")
		}
		if v.EPSS != nil {
			add("EPSS", fmt.Sprintf("%.1f%%", v.EPSS.Score*100))
		}
	}
	for _, l := range sink.Places(f) {
		add("at", triage.PlaceOf(l))
	}
	add("evidence", f.Evidence)
	add("fix", f.Remediation)
	add("see", sink.AdvisoryURL(f.Rule))
	return strings.Join(lines, "\n")
}
