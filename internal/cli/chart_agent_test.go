package cli_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seawall-security/seawall/internal/cli/agent"
	"github.com/seawall-security/seawall/internal/cli/command"
	"github.com/seawall-security/seawall/internal/source/manifest"
)

// TestChartAgent: of the severe things that our own judgement says of the agent's
// DaemonSet each is known and has its reason in the template, and the agent knows
// every flag that it is given.
func TestChartAgent(t *testing.T) {
	all := writeFile(t, filepath.Join(t.TempDir(), "values.yaml"), []byte(`
agent:
  enabled: true
  respond: {enabled: true, setApart: true, protectNamespaces: [kube-system, ops]}
  rules: {local.yaml: "- list: trusted\n  items: [a]\n"}
  policies: {run.yaml: "apiVersion: seawall.io/v1alpha1\n"}
  excludeNamespaces: [lab]
  auditLog: /var/log/kubernetes/audit.log
  outputs: [jsonl, "webhook=https://receiver.example.org/"]
  extraArgs: [--rate=10/1m]
`))
	watching := []string{
		"SW-POD-002 volumes[1]", // the runtime says which container is whose
		"SW-POD-003 volumes[2]", // cgroups
		"SW-POD-004",            // state that outlives the pod
		"SW-PSS-002", "SW-PSS-005", "SW-PSS-006",
	}
	for _, test := range []struct {
		args []string
		want []string
	}{
		{[]string{"--set", "agent.enabled=true"}, watching},
		{[]string{"--values", all}, append([]string{"SW-POD-003 volumes[4]", "SW-RBAC-005"}, watching...)}, // the audit log's directory; patching pods
	} {
		code, stdout, stderr := run(t, t.TempDir(), append([]string{"scan", "manifests", chart, "--format", "json"}, test.args...)...)
		if code != 0 {
			t.Fatalf("exit %d: %s", code, stderr)
		}
		slices.Sort(test.want)
		if diff := cmp.Diff(test.want, severeOfAgent(t, stdout)); diff != "" {
			t.Errorf("%v: %s", test.args, diff)
		}
	}
	for _, helm := range []manifest.Helm{{Set: []string{"agent.enabled=true"}}, {Values: []string{all}}} {
		var stderr bytes.Buffer
		args := podArgs(t, "DaemonSet", helm)
		env := &command.Env{Stdin: strings.NewReader(""), Stdout: &bytes.Buffer{}, Stderr: &stderr, Now: time.Now, Getenv: os.Getenv}
		if code := agent.Run(t.Context(), env, append(args, "--help")); code != 0 || len(args) < 5 {
			t.Errorf("%v: %s", args, &stderr)
		}
	}
}

// severeOfAgent are the severe findings about the agent's objects, a volume named where it is one.
func severeOfAgent(t *testing.T, report string) (out []string) {
	t.Helper()
	var r struct {
		Findings []struct {
			Status, Severity, Rule string
			Location               struct{ Resource, Field string }
		}
	}
	if err := json.Unmarshal([]byte(report), &r); err != nil {
		t.Fatal(err)
	}
	for _, f := range r.Findings {
		if f.Status == "fail" && (f.Severity == "high" || f.Severity == "critical") && strings.Contains(f.Location.Resource, "-agent") {
			what := f.Rule
			if field, ok := strings.CutPrefix(f.Location.Field, "spec.template.spec.volumes["); ok {
				what += " volumes[" + field[:2]
			}
			out = append(out, what)
		}
	}
	slices.Sort(out)
	return out
}
