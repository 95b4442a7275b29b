// Package response proves on a real node that what policies ask for is done: pods are
// deleted and come again, cut off and kept, containers end, programs are refused.
package response

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
	"github.com/seawall-security/seawall/test/cluster/cluster"
)

const ruleFile = `
- macro: marked
  condition: evt.type in (execve, execveat) and container.id != host and proc.name = busybox
- {rule: Delete, desc: d, condition: marked and proc.args contains /respond-delete, output: "%proc.cmdline", priority: WARNING}
- {rule: Isolate, desc: d, condition: marked and proc.args contains /respond-isolate, output: "%proc.cmdline", priority: WARNING}
- {rule: Kill, desc: d, condition: marked and proc.args contains /respond-kill, output: "%proc.cmdline", priority: WARNING}
- {rule: Capture, desc: d, condition: marked and proc.args contains /respond-capture, output: "%proc.cmdline", priority: WARNING}
- {rule: Refuse, desc: d, condition: marked and proc.args contains /respond-refuse, output: "%proc.cmdline", priority: WARNING}
- rule: Drift
  desc: what the kernel itself refuses
  condition: evt.type in (execve, execveat) and k8s.ns.name = NAMESPACE and proc.is_exe_upper_layer = true
  output: "%proc.cmdline"
  priority: WARNING
`

const policies = `
apiVersion: seawall.io/v1alpha1
kind: Policy
metadata: {name: respond}
spec:
  phases: [run]
  match: {namespaces: [NAMESPACE]}
  rules:
  - {name: delete, when: finding.rule == "Delete", action: delete-pod}
  - {name: isolate, when: finding.rule == "Isolate", action: isolate}
  - {name: kill, when: finding.rule == "Kill", action: kill-container}
  - {name: capture, when: finding.rule == "Capture", action: capture}
  - {name: refuse, when: 'finding.rule in ["Refuse", "Drift"]', action: kill-process}
`

// account is what the agent may do: what its responses need and no more.
const account = `
apiVersion: v1
kind: ServiceAccount
metadata: {name: agent}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: agent}
rules:
- {apiGroups: [""], resources: [pods], verbs: [get, patch, delete]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: agent}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: agent}
subjects: [{kind: ServiceAccount, name: agent, namespace: NAMESPACE}]
`

const deployment = `
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: %[1]s}
spec:
  selector: {matchLabels: {app: %[1]s}}
  template:
    metadata: {labels: {app: %[1]s}}
    spec:
      terminationGracePeriodSeconds: 0
      containers: [{name: main, image: %[2]s, command: %[3]s}]
`

type stage struct {
	*cluster.Cluster
	t         *testing.T
	namespace string
	agent     string // the program
	dir       string
	stderr    bytes.Buffer
}

func newStage(t *testing.T) *stage {
	t.Helper()
	s := &stage{Cluster: cluster.Shared(t), t: t, dir: t.TempDir()}
	s.namespace = s.Cluster.Namespace(t)
	s.agent = filepath.Join(s.dir, "seawall-agent")
	build := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-o", s.agent, "github.com/seawall-security/seawall/cmd/seawall-agent")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	image := s.Busybox(t)
	manifests := strings.ReplaceAll(account, "NAMESPACE", s.namespace)
	for _, name := range []string{"delete", "isolate", "kill", "refuse"} {
		manifests += fmt.Sprintf(deployment, name, image, `[/bin/busybox, sleep, "100000"]`)
	}
	manifests += fmt.Sprintf(deployment, "server", image, `[/bin/busybox, httpd, -f, -p, "80", -h, /etc]`)
	s.Apply(t, s.namespace, manifests)
	for _, name := range []string{"delete", "isolate", "kill", "refuse", "server"} {
		s.Wait(t, name, func() error { return s.Ready(t.Context(), s.namespace, name) })
	}
	s.write("rules.yaml", strings.ReplaceAll(ruleFile, "NAMESPACE", s.namespace))
	s.write("policies.yaml", strings.ReplaceAll(policies, "NAMESPACE", s.namespace))
	s.write("ca.crt", string(s.CA(t)))
	token, err := s.Post(t.Context(), "/api/v1/namespaces/"+s.namespace+"/serviceaccounts/agent/token", map[string]any{"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": map[string]any{}})
	if err != nil {
		t.Fatal(err)
	}
	s.write("token", field[string](token, "status", "token"))
	return s
}

func (s *stage) write(name, text string) {
	s.t.Helper()
	if err := os.WriteFile(filepath.Join(s.dir, name), []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// field reads a field of an object; the zero value where there is none.
func field[T any](o map[string]any, path ...string) (value T) {
	var at any = o
	for _, name := range path {
		m, _ := at.(map[string]any)
		at = m[name]
	}
	value, _ = at.(T)
	return value
}

// watch starts the agent; stop ends it.
func (s *stage) watch() (stop func(syscall.Signal)) {
	s.t.Helper()
	cmd := exec.Command(s.agent, "run", "--node-name", s.Name, "--cri", s.Containerd(), "--state", filepath.Join(s.dir, "state"),
		"--rules", filepath.Join(s.dir, "rules.yaml"), "--policy", filepath.Join(s.dir, "policies.yaml"),
		"--api-server", s.URL, "--api-credentials", s.dir, "--output", "jsonl="+filepath.Join(s.dir, "out.jsonl"))
	cmd.Stderr = &s.stderr
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	ended := false
	stop = func(signal syscall.Signal) {
		if !ended {
			ended = true
			_ = cmd.Process.Signal(signal)
			_ = cmd.Wait()
		}
	}
	s.t.Cleanup(func() {
		stop(syscall.SIGKILL)
		if s.t.Failed() {
			s.t.Logf("the agent said:\n%s", &s.stderr)
		}
	})
	return stop
}

// pod is the pod of a deployment that is not being deleted.
func (s *stage) pod(app string) map[string]any {
	s.t.Helper()
	var found map[string]any
	s.Wait(s.t, "a pod of "+app, func() error {
		list, err := s.Get(s.t.Context(), "/api/v1/namespaces/"+s.namespace+"/pods?labelSelector=app%3D"+app)
		if err != nil {
			return err
		}
		for _, item := range field[[]any](list, "items") {
			p, _ := item.(map[string]any)
			if field[string](p, "metadata", "deletionTimestamp") == "" && field[string](p, "status", "phase") == "Running" {
				found = p
				return nil
			}
		}
		return fmt.Errorf("none runs")
	})
	return found
}

func name(pod map[string]any) string { return field[string](pod, "metadata", "name") }
func uid(pod map[string]any) string  { return field[string](pod, "metadata", "uid") }

// do runs busybox in a pod; that it fails may be what a test is about.
func (s *stage) do(pod string, args ...string) (string, error) {
	cmd := exec.CommandContext(s.t.Context(), s.Kube, append([]string{"kubectl", "--kubeconfig", s.Kubeconfig(), "exec", "-n", s.namespace, pod, "--", "/bin/busybox"}, args...)...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// decided waits until the agent has told a decision.
func (s *stage) decided(action, outcome, reason string) {
	s.t.Helper()
	s.Wait(s.t, action, func() error {
		data, err := os.ReadFile(filepath.Join(s.dir, "out.jsonl"))
		if err != nil {
			return err
		}
		var told []string
		for lines := bufio.NewScanner(bytes.NewReader(data)); lines.Scan(); {
			var m seawall.Message
			if json.Unmarshal(lines.Bytes(), &m) != nil || m.Decision == nil {
				continue
			}
			if d := m.Decision; d.Action == action && d.Outcome == outcome && strings.Contains(d.Reason, reason) {
				return nil
			}
			told = append(told, m.Decision.Action+" "+m.Decision.Outcome+" "+m.Decision.Reason)
		}
		return fmt.Errorf("told: %q\n%s", told, &s.stderr)
	})
}

// reaches waits until a pod reaches an address, or does not.
func (s *stage) reaches(pod, address string, want bool) {
	s.t.Helper()
	s.Wait(s.t, fmt.Sprintf("%s to reach %s: %t", pod, address, want), func() error {
		out, err := s.do(pod, "sh", "-c", `printf 'GET /hostname HTTP/1.0\r\n\r\n' | /bin/busybox nc -w 2 `+address+` 80`)
		if reached := strings.Contains(out, "server-"); reached != want {
			return fmt.Errorf("%q, error %w", out, err)
		}
		return nil
	})
}

func TestResponse(t *testing.T) {
	s := newStage(t)
	deleted, isolated, killed, refused, server := s.pod("delete"), s.pod("isolate"), s.pod("kill"), s.pod("refuse"), s.pod("server")
	address := field[string](server, "status", "podIP")
	s.reaches(name(isolated), address, true)
	stop := s.watch()
	// The agent is there when it refuses a program, in a pod that is older than it.
	s.Wait(t, "the agent to refuse a program", func() error {
		if out, err := s.do(name(refused), "touch", "/respond-refuse"); err == nil || !strings.Contains(out, "peration not permitted") {
			_, _ = s.do(name(refused), "rm", "-f", "/respond-refuse")
			return fmt.Errorf("%q, error %w", out, err)
		}
		return nil
	})
	if _, err := s.do(name(refused), "stat", "/respond-refuse"); err == nil {
		t.Error("the refused program has had its effect")
	}
	if out, err := s.do(name(refused), "touch", "/harmless"); err != nil {
		t.Errorf("a harmless program: %q, %v", out, err)
	}
	s.decided("kill-process", "enforced", "refused before it started")

	// A program that is not the image's is ended in the kernel.
	out, err := s.do(name(refused), "sh", "-c", "/bin/busybox cp /bin/busybox /payload && /payload touch /respond-never; echo ended $?; /bin/busybox ls /respond-never")
	if !strings.Contains(out, "ended 137") || !strings.Contains(out, "No such file") {
		t.Errorf("a program of the upper layer: %q, %v", out, err)
	}
	s.decided("kill-process", "enforced", "before its first instruction")

	_, _ = s.do(name(deleted), "touch", "/respond-delete")
	s.decided("delete-pod", "enforced", name(deleted))
	s.Wait(t, "the deleted pod to come again", func() error {
		if p := s.pod("delete"); uid(p) == uid(deleted) {
			return fmt.Errorf("it is still there")
		}
		return s.Ready(t.Context(), s.namespace, "delete")
	})

	_, _ = s.do(name(killed), "touch", "/respond-kill")
	s.decided("kill-container", "enforced", "got SIGKILL")
	s.Wait(t, "the killed container to start again", func() error {
		statuses := field[[]any](s.pod("kill"), "status", "containerStatuses")
		for _, one := range statuses {
			if c, _ := one.(map[string]any); field[float64](c, "restartCount") > 0 {
				return nil
			}
		}
		return fmt.Errorf("%v", statuses)
	})

	if out, err := s.do(name(refused), "touch", "/respond-capture"); err != nil {
		t.Errorf("%q, %v", out, err)
	}
	s.decided("capture", "enforced", "captures/capture-")
	s.isolation(isolated, address, stop)
}

// isolation: the pod is cut off and kept, and replaced; an agent that is started anew
// takes the quarantine up again, one that has ended leaves none.
func (s *stage) isolation(isolated map[string]any, address string, stop func(syscall.Signal)) {
	t := s.t
	if out, err := s.do(name(isolated), "touch", "/respond-isolate"); err != nil {
		t.Errorf("%q, %v", out, err)
	}
	s.decided("isolate", "enforced", "is set apart")
	s.reaches(name(isolated), address, false)
	s.Wait(t, "the isolated pod to be replaced", func() error {
		if p := s.pod("isolate"); uid(p) == uid(isolated) {
			return fmt.Errorf("it has its labels still")
		}
		return s.Ready(t.Context(), s.namespace, "isolate")
	})
	s.reaches(name(s.pod("isolate")), address, true)
	kept, err := s.Get(t.Context(), "/api/v1/namespaces/"+s.namespace+"/pods/"+name(isolated))
	if err != nil || uid(kept) != uid(isolated) || field[string](kept, "metadata", "labels", "seawall.io/quarantined") != "true" {
		t.Errorf("the pod in quarantine: %v, %v", kept["metadata"], err)
	}
	stop(syscall.SIGKILL)
	s.reaches(name(isolated), address, true)
	stop = s.watch()
	s.reaches(name(isolated), address, false)
	if os.Getenv("SEAWALL_LONG") == "1" {
		// Whoever takes the label away releases the pod: half a minute later it has its network and labels.
		s.Kubectl(t, "label", "pod", "-n", s.namespace, name(isolated), "seawall.io/quarantined-")
		s.Wait(t, "the pod to have its labels back, or to be one too many", func() error {
			p, err := s.Get(t.Context(), "/api/v1/namespaces/"+s.namespace+"/pods/"+name(isolated))
			if cluster.Code(err) == 404 || field[string](p, "metadata", "labels", "app") == "isolate" {
				return nil
			}
			return fmt.Errorf("%v, %w", p["metadata"], err)
		})
		stop(syscall.SIGTERM)
		return
	}
	stop(syscall.SIGTERM)
	s.reaches(name(isolated), address, true)
}
