package admission

import (
	"strings"
	"testing"

	"github.com/seawall-security/seawall/internal/policy/library"
	"github.com/seawall-security/seawall/internal/testenv"
	"github.com/seawall-security/seawall/test/cluster/cluster"
)

// TestAdmission: one cluster, one installation, in the order of an operator's first days.
func TestAdmission(t *testing.T) {
	testenv.Root(t)
	c := cluster.Start(t, cluster.Options{Kubelet: true})
	img := serveImages(t, c)
	values := map[string]any{"server": map[string]any{"verification": map[string]any{"key": img.key}}}
	program := buildSeawall(t)
	install(t, c, program, values, "--insecure="+img.host, "--ca-lifetime=75s", "--certificate-lifetime=45s", "--certificate-overlap=5s")
	r := startRotation(t, c)
	t.Cleanup(r.end)
	for _, step := range []struct {
		name string
		run  func(*testing.T, *cluster.Cluster)
	}{
		{"kinds", testKinds},
		{"mutation", testMutation},
		{"background", testBackground},
		{"strange", testStrange},
		{"library", func(t *testing.T, c *cluster.Cluster) { testLibrary(t, c, img) }},
		{"rotation", func(t *testing.T, c *cluster.Cluster) { r.finish(t, c) }},
		{"repair", func(t *testing.T, c *cluster.Cluster) { r.end(); testRepair(t, c) }},
		{"death", func(t *testing.T, c *cluster.Cluster) { r.end(); testDeath(t, c, program) }},
	} {
		if !t.Run(step.name, func(t *testing.T) { step.run(t, c) }) {
			t.Log(logs(c))
		}
		t.Logf("after %s: %s", step.name, resident(t, c))
	}
}

// testKinds: the API server takes every policy of the library and refuses what is none.
func testKinds(t *testing.T, c *cluster.Cluster) {
	for _, name := range library.Names() {
		text, _ := library.Text(name)
		if out, err := kubectl(t, c, string(text), "create", "--dry-run=server", "-f", "-"); err != nil || strings.Contains(out, "Warning") {
			t.Errorf("%s: %v: %s", name, err, out)
		}
	}
	const policy = `{apiVersion: seawall.io/v1alpha1, kind: Policy, metadata: {name: p}, spec: {description: d, phases: [deploy], rules: [{name: r, when: "object.metadata.name == 'x'", action: block, message: m}]}}`
	const exception = `{apiVersion: seawall.io/v1alpha1, kind: PolicyException, metadata: {name: e, namespace: default}, spec: {policy: p, owner: o, reason: r, expires: "2030-01-01"}}`
	for _, test := range []struct{ of, replace, by, want string }{
		{policy, "", "", ""},
		{policy, "action: block", "action: {deploy: block}", ""},
		{policy, "phases: [deploy]", "phases: []", "spec.phases"},
		{policy, "phases: [deploy]", "phases: [deploy, deploy]", "Duplicate value"},
		{policy, "phases: [deploy]", "phases: [delpoy]", "Unsupported value"},
		{policy, "phases: [deploy]", "phases: [deploy], exclude: {}", "would exclude everything"},
		{policy, "message: m", "message: m, messageExpression: '1'", "take message or messageExpression"},
		{policy, "message: m", "mesage: m", `unknown field "spec.rules[0].mesage"`},
		{policy, "x'", "x", "spec.rules[0].when: "},
		{policy, "object.metadata.name", "finding.sevrity", `did you mean "severity"`},
		{policy, "action: block", "action: kill-process", "spec.rules[0].action: phase deploy cannot carry out"},
		{policy, "description: d", "match: {selector: {matchExpressions: [{key: a, operator: In}]}}", "In and NotIn want values"},
		{exception, "policy: p", "policy: no-latest-tag", ""},
		{exception, `"2030-01-01"`, `"2030-01-01T10:00:00Z"`, ""},
		{exception, `"2030-01-01"`, `2030-01-01`, ""},
		{exception, `"2030-01-01"`, "soon", "want 2026-12-31, or RFC 3339"},
		{exception, "owner: o, ", "", "spec.owner: Required value"},
		{exception, "reason: r", `reason: ""`, "spec.reason"},
		{exception, `"2030-01-01"`, `"2020-01-01"`, "spec.expires: is in the past"},
	} {
		manifest := strings.Replace(test.of, test.replace, test.by, 1)
		out, err := kubectl(t, c, manifest, "create", "--dry-run=server", "-f", "-")
		if (err == nil) != (test.want == "") || !strings.Contains(out, test.want) {
			t.Errorf("%s: want %q, got %v: %s", manifest, test.want, err, out)
		}
	}
}

// resident is the memory of each replica, for the log.
func resident(t *testing.T, c *cluster.Cluster) string {
	t.Helper()
	pods, err := c.Get(t.Context(), "/api/v1/namespaces/"+namespace+"/pods")
	if err != nil {
		return err.Error()
	}
	var out []string
	for _, p := range pods.List("items") {
		text, err := get(t.Context(), "http://"+p.String("status", "podIP")+":8080/metrics")
		for line := range strings.Lines(text) {
			if value, ok := strings.CutPrefix(line, "process_resident_memory_bytes "); ok && err == nil {
				out = append(out, strings.TrimSpace(value)+" bytes")
			}
		}
	}
	return strings.Join(out, ", ")
}
