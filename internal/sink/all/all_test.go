package all_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/sink"
	"github.com/seawall-security/seawall/internal/sink/all"
	"github.com/seawall-security/seawall/internal/sink/sinktest"
)

// Every format of DESIGN section 4 opens and writes something for every report.
func TestEveryFormatWrites(t *testing.T) {
	template := filepath.Join(t.TempDir(), "t.tmpl")
	if err := os.WriteFile(template, []byte("{{len .Findings}}"), 0o600); err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range all.Formats() {
		names = append(names, f.Name)
		spec := f.Name
		if spec == "template" {
			spec += "=" + template
		}
		for what, doc := range sinktest.Documents(t, func(w *bytes.Buffer) sink.Handler { return open(t, spec, w, sink.Options{}) }) {
			if len(doc) == 0 {
				t.Errorf("%s writes nothing for the %s report", f.Name, what)
			}
		}
	}
	if got, want := strings.Join(names, " "), "table json jsonl sarif cyclonedx spdx openvex junit html markdown gitlab template"; got != want {
		t.Errorf("formats %s, want %s", got, want)
	}
}

func open(t *testing.T, spec string, w *bytes.Buffer, o sink.Options) sink.Handler {
	t.Helper()
	h, err := all.Open(spec, w, o)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// A run that broke before its end leaves nothing that looks like a report; jsonl,
// which is written as it happens, then lacks its end.
func TestBrokenRunsWriteNothing(t *testing.T) {
	for _, f := range all.Formats() {
		if f.Name == "template" || f.Name == "jsonl" {
			continue
		}
		var out bytes.Buffer
		h := open(t, f.Name, &out, sink.Options{})
		for m := range sinktest.Report(t).Messages {
			if m.End == nil {
				if err := h.Handle(t.Context(), m); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := h.Close(); err != nil || out.Len() > 0 {
			t.Errorf("%s: %d bytes, error %v", f.Name, out.Len(), err)
		}
	}
}

// The display filter reaches every format that shows failing findings, and hides the same ones everywhere.
func TestFilterHidesTheSameEverywhere(t *testing.T) {
	o := sink.Options{Severities: []seawall.Severity{seawall.SeverityCritical}, Fixable: true}
	for _, f := range all.Formats() {
		if f.Name == "template" {
			continue
		}
		got := string(sinktest.Render(t, sinktest.Report(t), func(w *bytes.Buffer) sink.Handler { return open(t, f.Name, w, o) }))
		for id, want := range map[string]bool{"CVE-2021-44228": true, "CVE-2023-4911": false, "CVE-2023-45853": false} {
			if f.Name == "json" || f.Name == "jsonl" { // decisions keep naming what was decided on
				got = regexp.MustCompile(`"decisions": \[[^\]]*\]|.*"decision":.*`).ReplaceAllString(got, "")
			}
			if strings.Contains(got, id) != want {
				t.Errorf("%s: %s shown %v, want %v", f.Name, id, !want, want)
			}
		}
	}
}

func TestUnknownFormat(t *testing.T) {
	for _, spec := range []string{"yaml", "", "template", "template=", "json=x"} {
		_, err := all.Open(spec, &bytes.Buffer{}, sink.Options{})
		var hint *seawall.Hinted
		if !errors.Is(err, seawall.ErrUsage) || !errors.As(err, &hint) {
			t.Errorf("%q: %v, want a usage error with a hint", spec, err)
		}
	}
}
