package main

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/seawall-security/seawall/internal/enforce/enforcetest"
	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/testenv"
)

// The tests here run the program itself, as root, on this machine's kernel. They
// judge, and act on, programs of their own alone: copies of busybox by random names.

// agentRun is a running agent.
type agentRun struct {
	*exec.Cmd
	out, stderr string
	ended       chan error
}

// startAgent starts the agent with jsonl to a file. It is the test's own executable,
// which is seawall-agent when it is called so (TestMain).
func startAgent(t *testing.T, dir string, args ...string) *agentRun {
	t.Helper()
	return startProgram(t, os.Args[0], dir, args...)
}

func startProgram(t *testing.T, name, dir string, args ...string) *agentRun {
	t.Helper()
	a := &agentRun{out: filepath.Join(dir, "out.jsonl"), stderr: filepath.Join(dir, "stderr"), ended: make(chan error, 1)}
	args = append([]string{"run", "--state", filepath.Join(dir, "state"), "--node-name", "n1", "--output", "jsonl=" + a.out}, args...)
	a.Cmd = exec.Command(name, args...)
	a.Args[0] = "seawall-agent"
	log, err := os.OpenFile(a.stderr, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	a.Stdout, a.Stderr = log, log
	if err := a.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { a.ended <- a.Wait() }()
	t.Cleanup(func() {
		a.Process.Kill()
		<-a.ended
		if t.Failed() {
			text, _ := os.ReadFile(a.stderr)
			t.Logf("the agent says:\n%s", text)
		}
	})
	return a
}

// stop ends the agent and waits.
func (a *agentRun) stop(t *testing.T, s syscall.Signal) error {
	t.Helper()
	if err := a.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
	err := <-a.ended
	a.ended <- err
	return err
}

// messages are those told so far.
func (a *agentRun) messages(t *testing.T) (out []seawall.Message) {
	t.Helper()
	data, err := os.ReadFile(a.out)
	if err != nil {
		return nil
	}
	for line := range bytes.Lines(data) {
		var m seawall.Message
		if json.Unmarshal(line, &m) == nil {
			out = append(out, m)
		}
	}
	return out
}

// until does something again and again until a message is told.
func (a *agentRun) until(t *testing.T, act func(), want func(m *seawall.Message) bool) seawall.Message {
	t.Helper()
	for range 300 {
		act()
		for range 10 {
			for _, m := range a.messages(t) {
				if want(&m) {
					return m
				}
			}
			select {
			case err := <-a.ended:
				a.ended <- err
				t.Fatalf("the agent ended: %v", err)
			case <-time.After(10 * time.Millisecond):
			}
		}
	}
	t.Fatal("the message was not told")
	return seawall.Message{}
}

// own makes a copy of busybox under a name nobody else has, and a rule about it.
func own(t *testing.T, dir string) (path, rules string) {
	t.Helper()
	data, err := os.ReadFile(testenv.Tool(t, "busybox"))
	if err != nil {
		t.Fatal(err)
	}
	name := "busybox" + strings.ToLower(rand.Text()[:8]) // by another beginning it does not know its programs
	path, rules = filepath.Join(dir, name), filepath.Join(dir, "rules.yaml")
	if err := os.WriteFile(path, data, 0o755); err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprintf(`
- rule: Own program ran
  desc: the test's program
  condition: evt.type in (execve, execveat) and proc.name = %s
  output: "%%proc.exepath ran (%%proc.cmdline, parent %%proc.pname, pid %%proc.pid)"
  priority: ERROR
  tags: [T1204]
- rule: Own file read
  desc: the test's file
  condition: evt.type in (open, openat, openat2) and evt.is_open_read = true and fd.name = %s/secret
  output: "%%proc.name read %%fd.name"
  priority: WARNING
`, name, dir)
	if err := os.WriteFile(rules, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "secret"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path, rules
}

func hasRule(rule string) func(m *seawall.Message) bool {
	return func(m *seawall.Message) bool { return m.Finding != nil && m.Finding.Rule == rule }
}

func run1(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", cmd, err, out)
	}
}

// The agent sees a program that starts in a cgroup and a file that is read, says
// whose it is, and what it did not see; its end is a whole stream.
func TestLiveFindings(t *testing.T) {
	testenv.Root(t)
	dir := t.TempDir()
	path, rules := own(t, dir)
	group := enforcetest.New(t)
	metrics := freeAddress(t)
	a := startAgent(t, dir, "--rules", rules, "--output", "falco-json="+filepath.Join(dir, "falco"), "--metrics", metrics)
	m := a.until(t, func() { run1(t, group.Command(path, "true", "argument")) }, hasRule("Own program ran"))
	f := m.Finding
	if f.Asset != "container:"+group.Container.ID || f.Event.Type != "execve" || f.Event.Fields["container.id"] != group.Container.ID[:12] || !strings.HasPrefix(f.Evidence, path+" ran (") || !strings.Contains(f.Evidence, "true argument") || f.Priority != "ERROR" || f.Frameworks[0] != "mitre-attack:T1204" {
		data, _ := json.Marshal(f)
		t.Errorf("%s", data)
	}
	if when, err := time.Parse(time.RFC3339Nano, f.Time); err != nil || time.Since(when).Abs() > time.Minute {
		t.Errorf("time %s, %v", f.Time, err)
	}
	read := a.until(t, func() { run1(t, exec.Command(path, "cat", filepath.Join(dir, "secret"))) }, hasRule("Own file read"))
	if f := read.Finding; f.Asset != "node:n1" || f.Event.Fields["container.id"] != "host" {
		t.Errorf("%+v", f)
	}
	if status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", a.Process.Pid)); err != nil || os.Getenv("CGO_ENABLED") == "0" && !bytes.Contains(status, []byte("NoNewPrivs:\t1")) {
		t.Errorf("the agent kept its privileges: %v", err)
	}
	response, err := http.Get("http://" + metrics + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	text, _ := io.ReadAll(response.Body)
	response.Body.Close()
	for _, want := range []string{`seawall_agent_events_total{fate="emitted",source="syscall",type="execve"}`, `seawall_agent_events_total{fate="lost",`, `seawall_agent_findings_total{severity="high"}`, "process_resident_memory_bytes"} {
		if !bytes.Contains(text, []byte(want)) {
			t.Errorf("metrics have no %s", want)
		}
	}
	if err := a.stop(t, syscall.SIGTERM); err != nil {
		t.Errorf("the agent ended with %v", err)
	}
	var end, status, incident bool
	for _, m := range a.messages(t) {
		end = end || m.End != nil
		status = status || m.Status != nil && m.Status.Name == "sensor/syscall" && m.Status.Found > 0
		incident = incident || m.Incident != nil && m.Incident.Container != nil && m.Incident.Container.ID == group.Container.ID
	}
	if !end || !status || !incident {
		t.Errorf("end %v, status %v, incident %v", end, status, incident)
	}
	alerts, err := os.ReadFile(filepath.Join(dir, "falco"))
	if err != nil || !bytes.Contains(alerts, []byte(`"rule":"Own program ran","source":"syscall","tags":["T1204"]`)) {
		t.Errorf("%v\n%s", err, alerts)
	}
}

// A policy ends a program of its container, and spares the same program of the node.
func TestLiveKill(t *testing.T) {
	testenv.Root(t)
	dir := t.TempDir()
	path, rules := own(t, dir)
	policy := filepath.Join(dir, "policy.yaml")
	text := `
apiVersion: seawall.io/v1alpha1
kind: Policy
metadata: {name: own-programs}
spec:
  phases: [run]
  rules:
  - name: ends
    when: finding.rule == "Own program ran" && finding.event.fields["proc.cmdline"].endsWith("sleep 1000")
    action: kill-process
`
	if err := os.WriteFile(policy, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	group := enforcetest.New(t)
	a := startAgent(t, dir, "--rules", rules, "--policy", policy)
	a.until(t, func() { run1(t, exec.Command(path, "true")) }, hasRule("Own program ran"))

	spared := exec.Command(path, "sleep", "1000")
	if err := spared.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { spared.Process.Kill(); spared.Wait() }()
	killed := group.Command(path, "sleep", "1000")
	err := killed.Run()
	var state *exec.ExitError
	if !errors.As(err, &state) || state.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		t.Fatalf("the program ended with %v", err)
	}
	decision := func(asset, outcome string) func(m *seawall.Message) bool {
		return func(m *seawall.Message) bool {
			return m.Decision != nil && m.Decision.Asset == asset && m.Decision.Action == "kill-process" && m.Decision.Outcome == outcome
		}
	}
	d := a.until(t, func() {}, decision("container:"+group.Container.ID, "enforced")).Decision
	if d.Policy != "own-programs" || d.Rule != "ends" || len(d.Findings) != 1 {
		t.Errorf("%+v", d)
	}
	a.until(t, func() {}, decision("node:n1", "failed"))
	if err := syscall.Kill(spared.Process.Pid, 0); err != nil {
		t.Errorf("the node's program: %v", err)
	}
	if err := a.stop(t, syscall.SIGTERM); err != nil {
		t.Errorf("the agent ended with %v", err)
	}
}

// What was found while the receiver was away reaches it although the agent was killed.
func TestLiveSpoolSurvivesKill(t *testing.T) {
	testenv.Root(t)
	dir := t.TempDir()
	path, rules := own(t, dir)
	address := freeAddress(t)
	a := startAgent(t, dir, "--rules", rules, "--output", "webhook=http://"+address+"/in", "--output", "falco-http=http://"+address+"/falco")
	first := a.until(t, func() { run1(t, exec.Command(path, "true")) }, hasRule("Own program ran")).Finding.ID
	waitFor(t, func() bool { // both spools have it
		found := 0
		files, _ := filepath.Glob(filepath.Join(dir, "state/spool/*/*.spool"))
		for _, f := range files {
			data, _ := os.ReadFile(f)
			if bytes.Contains(data, []byte("Own program ran")) {
				found++
			}
		}
		return found == 2
	})
	if err := a.stop(t, syscall.SIGKILL); err == nil {
		t.Error("killed, and no error")
	}
	var mu sync.Mutex
	var webhook, falco []string
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		for lines := bufio.NewScanner(r.Body); lines.Scan(); {
			if r.URL.Path == "/in" {
				webhook = append(webhook, lines.Text())
			} else {
				falco = append(falco, lines.Text())
			}
		}
	})}
	go server.Serve(l)
	defer server.Close()
	a = startAgent(t, dir, "--rules", rules, "--output", "webhook=http://"+address+"/in", "--output", "falco-http=http://"+address+"/falco")
	waitFor(t, func() bool {
		mu.Lock()
		defer mu.Unlock()
		return strings.Contains(strings.Join(webhook, "\n"), first) && len(falco) > 0 && strings.Contains(falco[0], `"rule":"Own program ran"`)
	})
	if err := a.stop(t, syscall.SIGTERM); err != nil {
		t.Errorf("the agent ended with %v", err)
	}
	mu.Lock()
	defer mu.Unlock()
	if !strings.HasPrefix(webhook[0], `{"run":`) {
		t.Errorf("the stream begins with %s", webhook[0])
	}
}

// A file of a baseline that is changed is told with who changed it, and what ran of
// images is written down.
func TestLiveFiles(t *testing.T) {
	testenv.Root(t)
	dir := t.TempDir()
	path, rules := own(t, dir)
	tree, baseline, used := filepath.Join(dir, "tree"), filepath.Join(dir, "baseline.json"), filepath.Join(dir, "used.json")
	if err := os.Mkdir(tree, 0o755); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(tree, "passwd")
	if err := os.WriteFile(file, []byte("root"), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0], "integrity", "baseline", "--output", baseline, tree)
	cmd.Args[0] = "seawall-agent"
	run1(t, cmd)
	a := startAgent(t, dir, "--rules", rules, "--integrity", baseline, "--in-use", used)
	a.until(t, func() { run1(t, exec.Command(path, "true")) }, hasRule("Own program ran"))
	run1(t, exec.Command(path, "sh", "-c", "echo eve >> "+file))
	f := a.until(t, func() {}, func(m *seawall.Message) bool {
		return m.Finding != nil && m.Finding.Kind == seawall.KindIntegrity
	}).Finding
	if f.Asset != "node:n1" || f.Location == nil || f.Location.Path != file || f.Event == nil || f.Event.Fields["proc.exepath"] != path {
		data, _ := json.Marshal(f)
		t.Errorf("%s", data)
	}
	if err := a.stop(t, syscall.SIGTERM); err != nil {
		t.Errorf("the agent ended with %v", err)
	}
	if data, err := os.ReadFile(used); err != nil || !bytes.Contains(data, []byte(`"seawall.in-use/v1"`)) {
		t.Errorf("%v: %s", err, data)
	}
}

// With all of our own rules and the public ones loaded the idle agent is below 40 MB.
func TestResidentSize(t *testing.T) {
	testenv.Root(t)
	const limit = 40 << 10
	dir := t.TempDir()
	path, rules := own(t, dir)
	program := filepath.Join(dir, "seawall-agent")
	if out, err := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", program, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	args := []string{"--rules", "own", "--rules", rules}
	for _, name := range []string{"falco_rules.yaml", "falco-incubating_rules.yaml", "falco-sandbox_rules.yaml", "k8s_audit_rules.yaml"} {
		args = append(args, "--rules", testenv.Shared(t, filepath.Join("falco-rules", name)))
	}
	a := startProgram(t, program, dir, args...)
	a.until(t, func() { run1(t, exec.Command(path, "true")) }, hasRule("Own program ran"))
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", a.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if f := strings.Fields(line); f[0] == "VmRSS:" {
			size, err := strconv.Atoi(f[1])
			if err != nil || size > limit {
				t.Errorf("resident: %d kB, the limit is %d (%v)", size, limit, err)
			}
			t.Logf("resident: %d kB", size)
		}
	}
}

func waitFor(t *testing.T, ready func() bool) {
	t.Helper()
	for range 3000 {
		if ready() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatal("it did not happen")
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
