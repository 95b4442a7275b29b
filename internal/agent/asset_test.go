package agent

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seawall-security/seawall/internal/detect/rules"
	"github.com/seawall-security/seawall/internal/policy"
)

const auditRule = `
- rule: Exec
  desc: a shell was asked for
  condition: ka.target.subresource = exec
  output: "%ka.user.name asked for a shell"
  priority: NOTICE
  source: k8s_audit
`

const clusterPolicy = `
apiVersion: seawall.io/v1alpha1
kind: Policy
metadata: {name: told}
spec:
  phases: [run]
  rules:
  - {name: cluster, when: 'finding.asset == asset.id && asset.kind == "cluster"', action: alert}
`

// An audit log is the cluster's, whichever node has it: its findings look the same from
// an agent and from the server, and the asset is told once, before the first of them.
func TestAuditLogIsOfTheCluster(t *testing.T) {
	set, err := rules.Load(rules.File{Path: "r.yaml", Data: []byte(auditRule)})
	if err != nil {
		t.Fatal(err)
	}
	engine, err := rules.Compile(set)
	if err != nil {
		t.Fatal(err)
	}
	policies, err := policy.Parse("p.yaml", []byte(clusterPolicy))
	if err != nil {
		t.Fatal(err)
	}
	request := `{"kind":"Event","apiVersion":"audit.k8s.io/v1","auditID":"1","stage":"ResponseStarted","verb":"create","user":{"username":"eve"},"requestURI":"/api/v1/namespaces/shop/pods/web-1/exec?command=sh","objectRef":{"resource":"pods","subresource":"exec","namespace":"shop","name":"web-1"},"stageTimestamp":"2026-11-21T09:00:00Z"}`
	for name, test := range map[string]struct {
		cfg  LiveConfig
		want []string
	}{
		"an agent":   {LiveConfig{Node: "n1", Cluster: "prod"}, []string{"asset node:n1", "asset cluster:prod", "finding cluster:prod", "decision cluster:prod", "finding cluster:prod", "decision cluster:prod"}},
		"no name":    {LiveConfig{Node: "n1"}, []string{"asset node:n1", "asset cluster:cluster", "finding cluster:cluster", "decision cluster:cluster", "finding cluster:cluster", "decision cluster:cluster"}},
		"the server": {LiveConfig{Asset: ClusterAsset("prod"), Cluster: "prod"}, []string{"asset cluster:prod", "finding cluster:prod", "decision cluster:prod", "finding cluster:prod", "decision cluster:prod"}},
	} {
		t.Run(name, func(t *testing.T) {
			feed, out := NewAuditLog(nil), &kept{}
			test.cfg.Sources, test.cfg.Rules, test.cfg.Outputs = []Source{feed}, &Rules{engine, policies}, []*Output{{Name: "test", Handler: out}}
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			live := NewLive(test.cfg)
			go func() { ended <- live.Run(ctx) }()
			if err := feed.Feed(ctx, entries(t, request, request)); err != nil {
				t.Fatal(err)
			}
			cancel()
			if err := <-ended; err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, m := range out.messages {
				switch {
				case m.Asset != nil:
					got = append(got, "asset "+m.Asset.ID)
				case m.Finding != nil:
					got = append(got, "finding "+m.Finding.Asset)
				case m.Decision != nil:
					got = append(got, "decision "+m.Decision.Asset)
				}
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}
