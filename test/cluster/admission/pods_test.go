package admission

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seawall-security/seawall/internal/policy/library"
	"github.com/seawall-security/seawall/test/cluster/cluster"
)

const hardening = `
apiVersion: seawall.io/v1alpha1
kind: Policy
metadata: {name: hardening}
spec:
  description: Pods of the shop are made as safe as they can be.
  phases: [deploy]
  match: {namespaces: [NAMESPACE], kinds: [Pod]}
  rules:
  - name: harden
    when: workload.kind == "Pod"
    action: mutate
    mutate: {harden: restricted, dropTokenMounts: true, labels: {hardened: "yes"}}
    message: made restricted
`

// testMutation: what is changed by policy starts on the real kubelet.
func testMutation(t *testing.T, c *cluster.Cluster) {
	ns := c.Namespace(t)
	c.Apply(t, "", strings.Replace(hardening, "NAMESPACE", ns, 1))
	t.Cleanup(func() { _ = c.Delete(context.Background(), "/apis/seawall.io/v1alpha1/policies/hardening") })
	pod := fmt.Sprintf(`{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "NAME"}, "spec": {"terminationGracePeriodSeconds": 0, "securityContext": {"runAsUser": 65534}, "containers": [{"name": "a", "image": %q}]}}`, c.Busybox(t))
	c.Wait(t, "the policy", func() error {
		for range 4 {
			o, err := c.Do(t.Context(), http.MethodPost, "/api/v1/namespaces/"+ns+"/pods?dryRun=All", "", []byte(strings.Replace(pod, "NAME", "probe", 1)))
			if err != nil || !strings.Contains(string(o), "hardened") {
				return fmt.Errorf("%w: %s", err, o)
			}
		}
		return nil
	})
	c.Apply(t, ns, strings.Replace(pod, "NAME", "web", 1))
	web := c.WaitPod(t, ns, "web")
	raw, _ := json.Marshal(web)
	for _, want := range []string{`"runAsNonRoot":true`, `"drop":["ALL"]`, `"type":"RuntimeDefault"`, `"automountServiceAccountToken":false`, `"hardened":"yes"`} {
		if !strings.Contains(string(raw), want) {
			t.Errorf("no %s in %s", want, raw)
		}
	}
	if out := c.Kubectl(t, "exec", "-n", ns, "web", "--", "id"); !strings.Contains(out, "uid=65534") {
		t.Error(out)
	}
}

// testBackground: what was there before the policies, and what comes unjudged, is in the results.
func testBackground(t *testing.T, c *cluster.Cluster) {
	lease, err := c.Get(t.Context(), "/apis/coordination.k8s.io/v1/namespaces/"+namespace+"/leases/seawall-admission")
	if err != nil {
		t.Fatal(err)
	}
	leader := lease.String("spec", "holderIdentity")
	leader = leader[:strings.LastIndex(leader, "-")] // the pod's name, without the process's number
	ns := c.Namespace(t)
	c.Apply(t, ns, `{apiVersion: apps/v1, kind: Deployment, metadata: {name: before}, spec: {replicas: 0, selector: {matchLabels: {a: b}}, template: {metadata: {labels: {a: b}}, spec: {containers: [{name: a, image: "registry.example.org/a:1"}]}}}}`)
	c.Apply(t, "", fmt.Sprintf(`
apiVersion: seawall.io/v1alpha1
kind: Policy
metadata: {name: background}
spec:
  description: d
  phases: [deploy]
  match: {namespaces: [%s]}
  rules:
  - {name: registry, when: image.registry == "registry.example.org", action: block, message: not from there}
`, ns))
	t.Cleanup(func() { _ = c.Delete(context.Background(), "/apis/seawall.io/v1alpha1/policies/background") })
	c.Wait(t, "a result", func() error {
		out, err := forwarded(t, c, leader, "/results?decided=true&namespace="+ns)
		if err != nil || !strings.Contains(out, "not from there") || !strings.Contains(out, `"name":"before"`) {
			return fmt.Errorf("%w: %s", err, out)
		}
		return nil
	})
	if err := c.Delete(t.Context(), "/apis/apps/v1/namespaces/"+ns+"/deployments/before"); err != nil {
		t.Fatal(err)
	}
	c.Wait(t, "no result", func() error {
		out, err := forwarded(t, c, leader, "/results?namespace="+ns)
		if err != nil || strings.Contains(out, `"name":"before"`) {
			return fmt.Errorf("%w: %s", err, out)
		}
		return nil
	})
}

// forwarded asks what only the pod itself can be asked, through kubectl port-forward.
func forwarded(t *testing.T, c *cluster.Cluster, pod, path string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), c.Kube, "kubectl", "--kubeconfig", c.Kubeconfig(), "-n", namespace, "port-forward", "pod/"+pod, ":8081")
	out, err := cmd.StdoutPipe()
	if err != nil {
		return "", err
	}
	if err := cmd.Start(); err != nil {
		return "", err
	}
	defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
	var port int
	if _, err := fmt.Fscanf(out, "Forwarding from 127.0.0.1:%d", &port); err != nil {
		return "", fmt.Errorf("port-forward: %w", err)
	}
	return get(t.Context(), fmt.Sprintf("http://127.0.0.1:%d%s", port, path))
}

func get(ctx context.Context, url string) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	resp, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return string(body), err
}

// export is the native form of a starter policy, as the program writes it.
func export(t *testing.T, program string) []string {
	t.Helper()
	text, _ := library.Text("no-host-namespaces")
	file := filepath.Join(t.TempDir(), "policy.yaml")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(program, "policy", "export", file).Output()
	if err != nil {
		t.Fatalf("policy export: %v: %s", err, out)
	}
	return []string{string(out)}
}
