package template_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/sink"
	"github.com/seawall-security/seawall/internal/sink/sinktest"
	"github.com/seawall-security/seawall/internal/sink/template"
)

func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "report.tmpl")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestFunctions(t *testing.T) {
	for _, test := range []struct{ text, want string }{
		{`{{.Asset.Name}}`, "registry.example.com/shop/api:1.4.2"},
		{`{{len (failing .Findings)}} {{len .Findings}}`, "44 47"},
		{`{{range atLeast "high" (kind "secret" .Findings)}}{{.Rule}} {{.Severity}}{{end}}`, "SW-SEC-011 high"},
		{`{{range kind "malware" .Findings}}{{lower .Package.Name | upper}}{{end}}`, "FLATMAP-STREAM"},
		{`{{json .Summary}}`, `{"critical":8,"high":11,"medium":14,"low":1,"negligible":9,"unknown":1,"suppressed":1,"pass":1,"notApplicable":0,"notEvaluated":1}`},
		{`{{html "<a&b>"}} {{plain "a\x1bb"}} {{replace "a-b" "-" "+"}} {{contains "abc" "b"}}`, `&lt;a&amp;b&gt; a\x1bb a+b true`},
		{`{{with index .Findings 0}}{{join .Vulnerability.Fixed ","}} {{advisory .Rule}}{{end}}`, "2.15.0 https://nvd.nist.gov/vuln/detail/CVE-2021-44228"},
	} {
		path := write(t, test.text)
		got := sinktest.Render(t, sinktest.Report(t), func(w *bytes.Buffer) sink.Handler {
			h, err := template.New(w, path)
			if err != nil {
				t.Fatal(err)
			}
			return h
		})
		if string(got) != test.want {
			t.Errorf("%s gave %q, want %q", test.text, got, test.want)
		}
	}
}

func TestErrorsNameTheFile(t *testing.T) {
	for name, test := range map[string]struct{ path, want string }{
		"missing":          {filepath.Join(t.TempDir(), "none.tmpl"), "none.tmpl"},
		"broken":           {write(t, "\n{{if}}"), "report.tmpl:2"},
		"unknown function": {write(t, "{{shell `id`}}"), `report.tmpl:1: function "shell"`},
	} {
		if _, err := template.New(&bytes.Buffer{}, test.path); err == nil || !strings.Contains(err.Error(), test.want) || !errors.Is(err, seawall.ErrUsage) {
			t.Errorf("%s: %v, want %q wrapping ErrUsage", name, err, test.want)
		}
	}
	h, err := template.New(&bytes.Buffer{}, write(t, "{{.Nothing}}"))
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Handle(context.Background(), seawall.Message{End: &seawall.End{}}); err != nil {
		t.Fatal(err)
	}
	if err := h.Close(); err == nil || !strings.Contains(err.Error(), "report.tmpl:1") || !errors.Is(err, seawall.ErrUsage) {
		t.Errorf("unknown field: %v", err)
	}
}
