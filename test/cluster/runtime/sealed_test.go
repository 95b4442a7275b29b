package runtime

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seawall-security/seawall/internal/testenv"
	"github.com/seawall-security/seawall/test/attacks"
	"github.com/seawall-security/seawall/test/cluster/cluster"
)

const (
	sealed = "- {list: sealed_namespaces, append: true, items: [%s]}\n"
	kill   = `apiVersion: seawall.io/v1alpha1
kind: Policy
metadata: {name: sealed}
spec:
  phases: [run]
  rules:
  - {name: foreign, when: finding.rule == "Program that is not in the image started in a sealed namespace", action: kill-process}
`
)

// In a sealed namespace a program that is not in the image is ended before its first
// instruction: what it would have done is not done. Programs of the image run.
func TestSealed(t *testing.T) {
	testenv.Root(t)
	all, err := attacks.All()
	if err != nil {
		t.Fatal(err)
	}
	s := newStage(t, cluster.Shared(t), all)
	rules, policy := filepath.Join(t.TempDir(), "sealed.yaml"), filepath.Join(t.TempDir(), "policy.yaml")
	for name, text := range map[string]string{rules: fmt.Sprintf(sealed, s.namespace), policy: kill} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	w := watch(t, s.Cluster, "--rules", "own", "--rules", rules, "--policy", policy)
	s.canary(t, w)
	do := func(command string) (string, error) {
		out, err := exec.CommandContext(t.Context(), s.Kube, "kubectl", "--kubeconfig", s.Kubeconfig(), "exec", "-n", s.namespace, s.pod, "--", "/bin/sh", "-c", command).CombinedOutput()
		return string(out), err
	}
	if out, err := do("cp /bin/busybox /opt/touch && rm -f /opt/effect && /bin/touch /opt/harmless && ls /opt/harmless"); err != nil {
		t.Fatalf("programs of the image: %s %v", out, err)
	}
	out, err := do("/opt/touch /opt/effect")
	if err == nil || !strings.Contains(out, "137") {
		t.Errorf("the payload ended with %q, %v, want SIGKILL", out, err)
	}
	if out, err := do("ls /opt/effect"); err == nil {
		t.Errorf("the payload has had its effect: %s", out)
	}
	s.Wait(t, "the agent to tell", func() error {
		for _, d := range w.report(t).Decisions {
			if d.Policy == "sealed" && d.Outcome == "enforced" && strings.Contains(d.Reason, "before its first instruction") {
				return nil
			}
		}
		return fmt.Errorf("%+v", w.report(t).Decisions)
	})
}
