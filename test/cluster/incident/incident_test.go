// Package incident proves on a real node what an incident tells: whose shell it was,
// by the API server's audit log, who deployed the workload, and what a scan knows of
// its image.
package incident

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/sensor/identity"
	"github.com/seawall-security/seawall/test/cluster/cluster"
)

const rules = `
- rule: Marked file read
  desc: the test's file is read in a container
  condition: evt.type in (execve, execveat) and container.id != host and proc.name = busybox and proc.args contains incident-marker
  output: "%proc.cmdline (pod %k8s.ns.name/%k8s.pod.name, image %container.image.digest, parent %proc.pname)"
  priority: ERROR
  tags: [T1005]
`

const deployment = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 0
      containers: [{name: main, image: %s, command: [/bin/busybox, sleep, "100000"]}]
`

// watch starts the agent with the cluster's audit log and returns where it tells.
func watch(t *testing.T, c *cluster.Cluster, args ...string) (told func() []seawall.Message) {
	t.Helper()
	dir := t.TempDir()
	program, out := filepath.Join(dir, "seawall-agent"), filepath.Join(dir, "out.jsonl")
	build := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-o", program, "github.com/seawall-security/seawall/cmd/seawall-agent")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if text, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	rulesFile := filepath.Join(dir, "rules.yaml")
	if err := os.WriteFile(rulesFile, []byte(rules), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, append([]string{"run", "--node-name", c.Name, "--cri", c.Containerd(), "--state", filepath.Join(dir, "state"),
		"--audit-log", c.AuditLog(), "--rules", rulesFile, "--output", "jsonl=" + out}, args...)...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil || t.Failed() {
			t.Errorf("the agent ended with %v:\n%s", err, &stderr)
		}
	})
	return func() (messages []seawall.Message) {
		data, _ := os.ReadFile(out)
		for lines := bufio.NewScanner(bytes.NewReader(data)); lines.Scan(); {
			var m seawall.Message
			if json.Unmarshal(lines.Bytes(), &m) == nil {
				messages = append(messages, m)
			}
		}
		return messages
	}
}

// pod waits for the deployment's pod and returns its name and the digest of its image as the node knows it.
func pod(t *testing.T, c *cluster.Cluster, namespace string) (name, digest string) {
	t.Helper()
	runtime := identity.NewCRI(c.Containerd())
	defer runtime.Close()
	c.Wait(t, "the pod", func() error {
		if err := c.Ready(t.Context(), namespace, "web"); err != nil {
			return err
		}
		list, err := c.Get(t.Context(), "/api/v1/namespaces/"+namespace+"/pods?labelSelector=app%3Dweb")
		if err != nil {
			return err
		}
		p := list.List("items")[0]
		_, id, _ := strings.Cut(p.List("status", "containerStatuses")[0].String("containerID"), "://")
		container, err := runtime.Container(t.Context(), id)
		if err != nil {
			return err
		}
		name, digest = p.Name(), container.Digest
		return nil
	})
	return name, digest
}

// scanned writes a report about an image and returns its name.
func scanned(t *testing.T, image, digest string) string {
	t.Helper()
	data, err := json.Marshal(seawall.Report{
		SchemaVersion: seawall.SchemaVersion, Asset: &seawall.Asset{ID: "i", Kind: seawall.AssetImage, Name: image, Digest: digest},
		Findings: []seawall.Finding{{
			ID: "1", Kind: seawall.KindVulnerability, Asset: "i", Status: seawall.StatusFail, Package: &seawall.PackageRef{Name: "log4j-core", Version: "2.14.1", Ecosystem: "Maven"},
			Layer: &seawall.LayerInfo{Index: 1, Digest: "sha256:l"}, Vulnerability: &seawall.Vulnerability{ID: "CVE-2021-44228", KEV: true},
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "report.json")
	if err := os.WriteFile(name, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestIncident(t *testing.T) {
	c := cluster.Shared(t)
	namespace := c.Namespace(t)
	exec := func(kubeconfig, pod, text string) error {
		cmd := exec.CommandContext(t.Context(), c.Kube, "kubectl", "--kubeconfig", kubeconfig, "exec", "-n", namespace, pod, "--", "/bin/busybox", "sh", "-c", "/bin/busybox cat /"+text+" || true; /bin/busybox echo done")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		return nil
	}
	alice, eve := c.As(t, "alice", "system:masters"), c.UserKubeconfig(t, "eve", "system:masters")
	image := c.Busybox(t)
	alice.Apply(t, namespace, fmt.Sprintf(deployment, image))
	web, digest := pod(t, c, namespace)
	told := watch(t, c, "--report", scanned(t, image, digest))
	find := func(what string, act func() error, want func(m *seawall.Message) bool) (found seawall.Message) {
		t.Helper()
		c.Wait(t, what, func() error {
			if err := act(); err != nil {
				return err
			}
			for _, m := range told() {
				if want(&m) {
					found = m
					return nil
				}
			}
			return fmt.Errorf("it was not told")
		})
		return found
	}
	nothing := func() error { return nil }

	// The agent reads the log from its end: what alice does now it sees.
	find("the agent to watch", func() error { return exec(eve, web, "incident-marker-1") }, func(m *seawall.Message) bool { return m.Finding != nil })
	if _, err := alice.Patch(t.Context(), "/apis/apps/v1/namespaces/"+namespace+"/deployments/web", map[string]any{"metadata": map[string]any{"annotations": map[string]any{"changed": "yes"}}}); err != nil {
		t.Fatal(err)
	}
	if err := exec(eve, web, "incident-marker-2"); err != nil {
		t.Fatal(err)
	}
	f := find("the finding", nothing, func(m *seawall.Message) bool {
		return m.Finding != nil && strings.Contains(m.Finding.Evidence, "cat /incident-marker-2") && !strings.Contains(m.Finding.Evidence, "sh -c")
	}).Finding
	if f.Actor == nil || f.Actor.User != "eve" || f.Incident == "" || f.Priority != "ERROR" {
		t.Errorf("the finding is %q's: %+v", f.Actor, f)
	}
	in := find("the incident", nothing, func(m *seawall.Message) bool {
		if m.Incident == nil || m.Incident.ID != f.Incident || m.Incident.Cause == nil || m.Incident.Cause.DeployedBy == nil {
			return false
		}
		for _, s := range m.Incident.Steps {
			if s.Finding == f.ID {
				return true
			}
		}
		return false
	}).Incident
	c1 := in.Cause
	if c1.DeployedBy.User != "alice" || c1.Shell == nil || c1.Shell.User != "eve" || c1.Digest != digest || c1.Layer == nil || len(c1.Packages) != 1 || c1.Packages[0].Vulnerabilities[0] != "CVE-2021-44228" {
		data, _ := json.Marshal(in)
		t.Errorf("%s", data)
	}
	if in.Container.Workload != "Deployment/"+namespace+"/web" || in.Container.Pod != web || in.Techniques[0] != "T1005" {
		t.Errorf("%+v", in.Container)
	}
}
