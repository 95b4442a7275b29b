package audit

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/seawall-security/seawall/internal/cli"
	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/test/cluster/cluster"
	"github.com/seawall-security/seawall/test/cluster/keeper"
	"github.com/seawall-security/seawall/test/cluster/pki"
)

const token = "an-api-server-s-own-token"

// backend is what an API server's --audit-webhook-config-file names, with where we serve.
const backend = `apiVersion: v1
kind: Config
current-context: seawall
clusters: [{name: seawall, cluster: {server: "https://%s:%d/audit", tls-server-name: seawall, certificate-authority-data: %q}}]
users: [{name: api-server, user: {token: %q}}]
contexts: [{name: seawall, context: {cluster: seawall, user: api-server}}]
`

// A real API server sends its events to "seawall server --roles audit", which was not
// even there when it began: what happened meanwhile comes, too.
func TestWebhookBackend(t *testing.T) {
	authority, err := pki.NewAuthority("audit")
	if err != nil {
		t.Fatal(err)
	}
	serving, err := authority.Issue(pki.Leaf{CommonName: "seawall", Names: []string{"seawall"}})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, text := range map[string][]byte{"tls.crt": serving.Cert, "tls.key": serving.Key, "tokens": []byte(token + "\n")} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const port = 9443
	authorityJSON, _ := json.Marshal(authority.CertPEM) // base64, as kubeconfig has it
	c := cluster.Start(t, cluster.Options{
		AuditPolicy: policy,
		Files:       map[string]string{"audit-webhook.yaml": strings.ReplaceAll(fmt.Sprintf(backend, keeper.HostAddress, port, "@", token), `"@"`, string(authorityJSON))},
		Flags: map[string]map[string]string{"kube-apiserver": {
			"audit-webhook-config-file": "/etc/kubernetes/audit-webhook.yaml", "audit-webhook-batch-max-wait": "500ms", "audit-webhook-initial-backoff": "3s",
		}},
	})
	admin := c.As(t, "mallory", "system:masters")
	if err := admin.Delete(t.Context(), "/api/v1/namespaces/default/events"); err != nil {
		t.Fatal(err)
	}

	out := filepath.Join(dir, "findings.jsonl")
	stop := serve(t, "--audit-listen", net.JoinHostPort(c.HostAddress, fmt.Sprint(port)), "--audit-tls", dir, "--audit-tokens", filepath.Join(dir, "tokens"),
		"--audit-state", filepath.Join(dir, "state"), "--cluster", "prod", "--output", "jsonl="+out, "--ops-listen", "127.0.0.1:0")
	c.Wait(t, "the finding of what happened before", func() error { return found(out, "Events deleted", "mallory") })
	admin.Apply(t, "default", `
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: everybody}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: Group, name: "system:authenticated"}]
`)
	c.Wait(t, "the finding of what happened then", func() error { return found(out, "Somebody was granted cluster-admin", "mallory") })
	if log := stop(); strings.Contains(log, token) {
		t.Errorf("the token is in the log: %s", log)
	}
	text, err := os.ReadFile(out)
	if err != nil || !bytes.Contains(text, []byte(`{"end":`)) || !bytes.Contains(text, []byte(`"id":"cluster:prod"`)) {
		t.Errorf("the stream is not whole (%v): %s", err, text)
	}
}

// serve runs the server until stop, which returns its log.
func serve(t *testing.T, args ...string) (stop func() string) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var log bytes.Buffer
	code := -1
	var ended sync.WaitGroup
	ended.Go(func() {
		code = cli.Run(ctx, cli.Invocation{Args: append([]string{"server", "--roles", "audit"}, args...), Stdin: strings.NewReader(""), Stdout: &log, Stderr: &log, Version: "test"})
	})
	stop = func() string { cancel(); ended.Wait(); return log.String() }
	t.Cleanup(func() {
		if text := stop(); code != 0 || t.Failed() {
			t.Errorf("the server ended with %d: %s", code, text)
		}
	})
	return stop
}

// found says whether a stream has a finding by this rule about this user.
func found(stream, rule, user string) error {
	f, err := os.Open(stream)
	if err != nil {
		return err
	}
	defer f.Close()
	var all []string
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var m seawall.Message
		if err := json.Unmarshal(lines.Bytes(), &m); err == nil && m.Finding != nil && m.Finding.Actor != nil {
			if m.Finding.Rule == rule && m.Finding.Actor.User == user {
				return nil
			}
			all = append(all, m.Finding.Rule+" by "+m.Finding.Actor.User)
		}
	}
	return fmt.Errorf("findings: %q", all)
}
