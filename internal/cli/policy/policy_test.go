package policy_test

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/seawall-security/seawall/internal/cli"
	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// image writes an OCI layout of one layer with a package of npm.
func image(t *testing.T, version string) string {
	t.Helper()
	var layer bytes.Buffer
	w := tar.NewWriter(&layer)
	manifest := `{"name": "lodash", "version": "` + version + `"}`
	if err := w.WriteHeader(&tar.Header{Name: "app/node_modules/lodash/package.json", Mode: 0o644, Size: int64(len(manifest))}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte(manifest)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	l, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(layer.Bytes())), nil })
	if err != nil {
		t.Fatal(err)
	}
	img, err := mutate.AppendLayers(empty.Image, l)
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "image")
	path, err := layout.Write(dir, empty.Index)
	if err == nil {
		err = path.AppendImage(img)
	}
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestScanImage: an image with a vulnerability that has a fix is blocked, one
// without is not, and what is only a dry run blocks nothing.
func TestScanImage(t *testing.T) {
	policies := t.TempDir()
	text := `apiVersion: seawall.io/v1alpha1
kind: Policy
metadata: {name: fixable}
spec:
  phases: [build]
  rules:
  - name: fixable
    when: finding.severity in ["critical", "high"] && size(finding.vulnerability.fixed) > 0
    action: block
    messageExpression: finding.vulnerability.id + " in " + finding.package.name
`
	write := func(text string) {
		if err := os.WriteFile(filepath.Join(policies, "p.yaml"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	scan := func(dir string) (seawall.Report, int, string) {
		var out, errs bytes.Buffer
		code := cli.Run(context.Background(), cli.Invocation{
			Args:    []string{"scan", "image", "oci:" + dir, "--offline", "--policy", policies, "--format", "json"},
			Environ: []string{"HOME=" + t.TempDir()}, Stdout: &out, Stderr: &errs, Version: "test",
		})
		var report seawall.Report
		if err := json.Unmarshal(out.Bytes(), &report); err != nil {
			t.Fatalf("%v: %s", err, errs.String())
		}
		return report, code, errs.String()
	}
	write(text)
	old, fresh := image(t, "4.17.15"), image(t, "4.18.1")
	report, code, stderr := scan(old)
	if code != 1 || !strings.Contains(stderr, "policy fixable, rule fixable: ") || len(report.Decisions) == 0 {
		t.Fatalf("exit %d, %s, decisions %+v", code, stderr, report.Decisions)
	}
	ids := map[string]bool{}
	for _, f := range report.Findings {
		ids[f.ID] = true
	}
	for _, d := range report.Decisions {
		if len(d.Findings) == 0 || !ids[d.Findings[0]] || d.Asset != report.Asset.ID || d.Phase != "build" || d.Outcome != "enforced" {
			t.Errorf("decision %+v", d)
		}
	}
	if report, code, stderr := scan(fresh); code != 0 || len(report.Decisions) > 0 {
		t.Errorf("without a vulnerability: exit %d, %s, decisions %+v", code, stderr, report.Decisions)
	}
	write(strings.Replace(text, "  rules:", "  mode: warn\n  rules:", 1))
	if report, code, _ := scan(old); code != 0 || len(report.Decisions) == 0 || report.Decisions[0].Outcome != "dry-run" {
		t.Errorf("dry run: exit %d, decisions %+v", code, report.Decisions)
	}
}

// TestLibrary: what the library prints is a directory that passes its own tests.
func TestLibrary(t *testing.T) {
	run := func(args ...string) (string, int) {
		var out bytes.Buffer
		code := cli.Run(context.Background(), cli.Invocation{Args: append([]string{"policy"}, args...), Environ: []string{"HOME=" + t.TempDir()}, Stdout: &out, Stderr: &out, Version: "test"})
		return out.String(), code
	}
	dir := t.TempDir()
	for name, args := range map[string][]string{"p.yaml": {"library", "no-malware"}, "p.test.yaml": {"library", "no-malware", "--tests"}} {
		text, code := run(args...)
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil || code != 0 {
			t.Fatal(err, code, text)
		}
	}
	if text, code := run("test", dir); code != 0 || !strings.Contains(text, ", 0 failed; 100 %") {
		t.Error(code, text)
	}
	tests, err := os.ReadFile(filepath.Join(dir, "p.test.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	head, rest, ok := strings.Cut(string(tests), "\n  now:")
	_, undated, _ := strings.Cut(rest, "\n")
	if err := os.WriteFile(filepath.Join(dir, "p.test.yaml"), []byte(head+"\n"+undated), 0o600); err != nil || !ok {
		t.Fatal(err, ok)
	}
	if text, code := run("test", dir); code != 2 || !strings.Contains(text, "nothing says which day it is: write spec.now") {
		t.Error(code, text)
	}
	for _, args := range [][]string{{"library", "--tests"}, {"library", "nothing", "--tests"}, {"library", "no-malware.test"}} {
		if text, code := run(args...); code != 2 {
			t.Errorf("%q: exit %d, %s", args, code, text)
		}
	}
}
