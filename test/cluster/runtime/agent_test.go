package runtime

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/testenv"
	"github.com/seawall-security/seawall/test/attacks"
	"github.com/seawall-security/seawall/test/attacks/step"
	"github.com/seawall-security/seawall/test/cluster/cluster"
)

// watcher is a running seawall-agent and the file its findings go to.
type watcher struct {
	cmd    *exec.Cmd
	file   string
	stderr *bytes.Buffer
	ended  chan error
}

// watch starts the real agent for the cluster's node, on the machine that the node is on.
func watch(t *testing.T, c *cluster.Cluster, args ...string) *watcher {
	t.Helper()
	dir := t.TempDir()
	w := &watcher{file: filepath.Join(dir, "findings.jsonl"), stderr: &bytes.Buffer{}, ended: make(chan error, 1)}
	args = append([]string{"run", "--node-name", c.Name, "--cri", c.Containerd(), "--state", filepath.Join(dir, "state"), "--output", "jsonl=" + w.file}, args...)
	w.cmd = exec.Command(build(t, "cmd/seawall-agent"), args...)
	w.cmd.Stderr = w.stderr
	if err := w.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { w.ended <- w.cmd.Wait() }()
	t.Cleanup(func() { w.end(t, syscall.SIGKILL) })
	return w
}

// end signals the agent, once, and waits for its end.
func (w *watcher) end(t *testing.T, signal syscall.Signal) error {
	t.Helper()
	if w.ended == nil {
		return nil
	}
	_ = w.cmd.Process.Signal(signal)
	select {
	case err := <-w.ended:
		w.ended = nil
		return err
	case <-time.After(time.Minute):
		_ = w.cmd.Process.Kill()
		t.Fatalf("the agent does not end:\n%s", w.stderr)
	}
	return nil
}

// report is what the agent has told so far.
func (w *watcher) report(t *testing.T) *seawall.Report {
	t.Helper()
	report := &seawall.Report{}
	data, err := os.ReadFile(w.file)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	data = data[:bytes.LastIndexByte(data, '\n')+1]
	for lines := bufio.NewReader(bytes.NewReader(data)); ; {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			return report
		}
		var m seawall.Message
		if err := json.Unmarshal(line, &m); err != nil {
			t.Fatalf("%v in %s", err, line)
		}
		report.Apply(m)
	}
}

// running is the process's resident memory, KiB; it fails when the agent has ended.
func (w *watcher) resident(t *testing.T) int {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", w.cmd.Process.Pid))
	if err != nil {
		t.Fatalf("the agent has ended: %v\n%s", err, w.stderr)
	}
	var kib int
	for line := range strings.Lines(string(status)) {
		_, _ = fmt.Sscanf(line, "VmRSS: %d kB", &kib)
	}
	return kib
}

// bpf lists the BPF programs and links the agent holds, as bpftool names them.
func (w *watcher) bpf(t *testing.T) (ids []string) {
	t.Helper()
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/fdinfo/*", w.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	id := regexp.MustCompile(`(?m)^(prog|link|map)_id:\s+(\d+)$`)
	for _, file := range files {
		info, err := os.ReadFile(file)
		if err != nil {
			continue // closed meanwhile
		}
		for _, m := range id.FindAllStringSubmatch(string(info), -1) {
			ids = append(ids, m[1]+" "+m[2])
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

// gone waits until nothing of what bpf listed is in the kernel.
func gone(t *testing.T, c *cluster.Cluster, ids []string) {
	t.Helper()
	bpftool := testenv.Tool(t, "bpftool")
	c.Wait(t, "the kernel to forget the agent", func() error {
		for _, one := range ids {
			kind, id, _ := strings.Cut(one, " ")
			if exec.Command(bpftool, kind, "show", "id", id).Run() == nil {
				return fmt.Errorf("%s %s is still there", kind, id)
			}
		}
		return nil
	})
}

// canary is an attack that tells by its finding that the agent has seen all before it.
func (s *stage) canary(t *testing.T, w *watcher) {
	t.Helper()
	attack := []attacks.Attack{{Attack: "amicontained canary"}}
	began := time.Now()
	s.Wait(t, "the agent to find the canary", func() error {
		w.resident(t)
		s.act(t, attack, false)
		for _, f := range w.report(t).Findings {
			if at, err := time.Parse(time.RFC3339Nano, f.Time); f.Rule == "Tool of attackers started" && s.owns(&f) && err == nil && at.After(began) {
				return nil
			}
		}
		return fmt.Errorf("not among %d findings\n%s", len(w.report(t).Findings), w.stderr)
	})
}

// owns says whether a finding is about the pod.
func (s *stage) owns(f *seawall.Finding) bool {
	return f.Location != nil && f.Location.Resource == "Pod/"+s.namespace+"/"+s.pod
}

// during are the findings about a pod in the time of a step.
func (s *stage) during(t *testing.T, report *seawall.Report, r step.Result) (found []seawall.Finding) {
	t.Helper()
	for _, f := range report.Findings {
		at, err := time.Parse(time.RFC3339Nano, f.Time)
		if err != nil {
			t.Fatalf("%s: %v", f.Rule, err)
		}
		if s.owns(&f) && !at.Before(r.Began) && !at.After(r.Ended) {
			found = append(found, f)
		}
	}
	return found
}

func ruleNames(findings []seawall.Finding) (names []string) {
	for _, f := range findings {
		names = append(names, f.Rule)
	}
	return names
}
