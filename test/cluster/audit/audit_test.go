// Package audit proves the audit log's sensor and rules on what a real API server writes.
package audit

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seawall-security/seawall/internal/cli/agent"
	"github.com/seawall-security/seawall/internal/cli/command"
	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/testenv"
	"github.com/seawall-security/seawall/test/cluster/cluster"
)

const policy = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: None
  resources: [{group: coordination.k8s.io, resources: [leases]}]
- level: Metadata
  resources: [{group: "", resources: [secrets, serviceaccounts/token]}]
- level: RequestResponse
`

// judge runs seawall-agent over the log and counts its findings by user and rule.
func judge(t *testing.T, log string, rules ...string) map[string]int {
	t.Helper()
	args := []string{"replay", log, "--source", "k8s_audit", "--format", "json"}
	for _, r := range rules {
		args = append(args, "--rules", r)
	}
	var out, stderr bytes.Buffer
	env := &command.Env{Stdin: strings.NewReader(""), Stdout: &out, Stderr: &stderr, Version: "test", Now: time.Now, Getenv: os.Getenv}
	if code := agent.Run(context.Background(), env, args); code != command.ExitOK || stderr.Len() > 0 {
		t.Fatalf("exit %d: %s", code, stderr.String())
	}
	var report seawall.Report
	if err := json.Unmarshal(out.Bytes(), &report); err != nil {
		t.Fatal(err)
	}
	found := map[string]int{}
	for _, f := range report.Findings {
		if f.Actor == nil || f.Event == nil {
			t.Fatalf("a finding without actor or event: %+v", f)
		}
		found[f.Actor.User+": "+f.Rule]++
	}
	return found
}

func TestRealAuditLog(t *testing.T) {
	c := cluster.Start(t, cluster.Options{AuditPolicy: policy})
	ctx := t.Context()
	admin := c.As(t, "admin", "system:masters")
	must := func(_ any, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	// Everyday work: a person deploys an application and looks at it.
	admin.Apply(t, "default", `
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: developers}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: edit}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: dev}]
`)
	dev := c.As(t, "dev", "developers")
	c.Wait(t, "the role to be in force", func() error {
		_, err := dev.Get(ctx, "/api/v1/namespaces/default/pods")
		return err
	})
	dev.Apply(t, "default", `
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: "seawall.test/web:1"}]}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {level: info}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80}]}
`)
	must(dev.Get(ctx, "/api/v1/namespaces/default/pods"))
	quiet := judge(t, c.AuditLog())
	if len(quiet) > 0 {
		t.Errorf("starting a cluster and deploying to it: %v", quiet)
	}

	// An intruder with the developer's credentials, and mistakes of an administrator.
	mallory := c.As(t, "dev", "developers")
	must(mallory.Get(ctx, "/api/v1/namespaces/default/secrets"))
	must(mallory.Post(ctx, "/api/v1/namespaces/default/serviceaccounts/default/token", map[string]any{"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": map[string]any{}}))
	shell := func(name string) map[string]any {
		return map[string]any{"apiVersion": "v1", "kind": "Pod", "metadata": map[string]any{"name": name}, "spec": map[string]any{
			"hostPID": true, "volumes": []any{map[string]any{"name": "host", "hostPath": map[string]any{"path": "/"}}},
			"containers": []any{map[string]any{"name": "c", "image": "seawall.test/web:1", "securityContext": map[string]any{"privileged": true}}},
		}}
	}
	must(mallory.Post(ctx, "/api/v1/namespaces/default/pods", shell("posted")))
	must(mallory.ApplyObject(ctx, "default", shell("applied"))) // which the log calls a patch
	admin.Apply(t, "default", `
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: oops}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: Group, name: "system:authenticated"}]
`)
	if err := admin.Delete(ctx, "/api/v1/namespaces/default/events"); err != nil {
		t.Fatal(err)
	}
	want := map[string]int{
		"dev: Secrets listed":                                      1,
		"dev: Token of a service account made":                     1,
		"dev: Privileged pod created":                              2,
		"dev: Pod that shares its node's namespaces created":       2,
		"dev: Pod that mounts sensitive paths of its node created": 2,
		"admin: Somebody was granted cluster-admin":                1,
		"admin: Permissions granted to everybody":                  1,
		"admin: Events deleted":                                    1,
	}
	c.Wait(t, "the audit log to have it all", func() error {
		if got := judge(t, c.AuditLog()); !slices.Equal(sorted(got), sorted(want)) {
			return fmt.Errorf("%s", cmp.Diff(want, got))
		}
		return nil
	})

	// The public rule file finds its share in the same log.
	public := judge(t, c.AuditLog(), testenv.Shared(t, "falco-rules/k8s_audit_rules.yaml"))
	for _, rule := range []string{"dev: Create Privileged Pod", "dev: Create Sensitive Mount Pod", "dev: Create HostPid Pod"} {
		if public[rule] != 1 {
			t.Errorf("%s: %d findings; all: %v", rule, public[rule], public)
		}
	}
}

func sorted(m map[string]int) (out []string) {
	for k, n := range m {
		out = append(out, fmt.Sprint(k, n))
	}
	slices.Sort(out)
	return out
}
