package cli_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seawall-security/seawall/internal/policy/library"
	"github.com/seawall-security/seawall/internal/source/manifest"
)

const chart = "../../deploy/chart"

// TestChart: by our own judgement nothing severe is in the chart, however it is set,
// and the server knows every flag that it is given.
func TestChart(t *testing.T) {
	values := writeFile(t, filepath.Join(t.TempDir(), "values.yaml"), []byte(`
policies: [no-latest-tag, restricted-pods]
image: {digest: "sha256:`+strings.Repeat("0", 64)+`", pullSecrets: [pull]}
server:
  registryCredentials: registry
  verification: {key: "-----BEGIN PUBLIC KEY-----\nMFk=\n-----END PUBLIC KEY-----\n", identity: release@example.org, issuer: https://issuer.example.org}
  extraArgs: [--insecure=registry.local:5000]
  priorityClassName: important
  nodeSelector: {a: b}
  tolerations: [{key: a, operator: Exists}]
networkPolicy: {metricsFrom: [{namespaceSelector: {}}]}
`))
	for _, set := range [][]string{nil, {"--values", values}} {
		args := append([]string{"scan", "manifests", chart, "--format", "json", "--fail-on", "high", "--policy", "../policy/library", "--set", "labels.team=platform"}, set...)
		code, stdout, stderr := run(t, t.TempDir(), args...)
		if code != 0 {
			t.Errorf("%v: exit %d: %s\n%s", set, code, stderr, severe(t, stdout))
		}
	}
	for _, helm := range []manifest.Helm{{}, {Values: []string{values}}} {
		args := serverArgs(t, helm)
		if code, _, stderr := run(t, t.TempDir(), append(args, "--help")...); code != 0 || len(args) < 10 {
			t.Errorf("%v: %s", args, stderr)
		}
	}
	if code, _, stderr := run(t, t.TempDir(), "scan", "manifests", chart, "--set", "policies={no-such}"); code == 0 || !strings.Contains(stderr, `there is no starter policy "no-such"`) {
		t.Errorf("exit %d: %s", code, stderr)
	}
}

func severe(t *testing.T, report string) (out string) {
	t.Helper()
	var r struct {
		Findings  []struct{ Status, Severity, Rule, Title string }
		Decisions []struct{ Policy, Action, Outcome, Reason string }
	}
	if err := json.Unmarshal([]byte(report), &r); err != nil {
		return report
	}
	for _, f := range r.Findings {
		if f.Status == "fail" && (f.Severity == "high" || f.Severity == "critical") {
			out += f.Rule + " " + f.Title + "\n"
		}
	}
	for _, d := range r.Decisions {
		out += d.Policy + " " + d.Action + " " + d.Outcome + " " + d.Reason + "\n"
	}
	return out
}

// serverArgs are the arguments of the server's container.
func serverArgs(t *testing.T, helm manifest.Helm) []string { return podArgs(t, "Deployment", helm) }

// podArgs are the arguments of the container of the chart's one object of a kind.
func podArgs(t *testing.T, kind string, helm manifest.Helm) []string {
	t.Helper()
	target, err := manifest.Open([]string{chart}, manifest.Options{Helm: helm})
	if err != nil {
		t.Fatal(err)
	}
	defer target.Close()
	facts, err := target.Facts(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range facts {
		if f.Object != nil && f.Object.Kind == kind {
			var d struct {
				Spec struct {
					Template struct {
						Spec struct{ Containers []struct{ Args []string } }
					}
				}
			}
			if err := json.Unmarshal(f.Object.JSON, &d); err != nil {
				t.Fatal(err)
			}
			return d.Spec.Template.Spec.Containers[0].Args
		}
	}
	t.Fatalf("the chart has no %s", kind)
	return nil
}

// TestChartLibrary: the chart's starter policies are the library's.
func TestChartLibrary(t *testing.T) {
	var has []string
	files, err := filepath.Glob(chart + "/library/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".yaml")
		has = append(has, name)
		want, _ := library.Text(name)
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), string(text)); diff != "" {
			t.Errorf("%s: copy it again: cp internal/policy/library/%s.yaml deploy/chart/library/\n%s", file, name, diff)
		}
	}
	if diff := cmp.Diff(library.Names(), has); diff != "" {
		t.Error(diff)
	}
}
