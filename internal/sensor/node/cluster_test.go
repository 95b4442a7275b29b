package node

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/sensor/identity"
	"github.com/seawall-security/seawall/test/cluster/cluster"
)

// TestCluster: whatever happens in pods of a real node has their identity: in one
// that was there before the sensor, in one that comes and goes after, in what is
// executed in it, and what the runtime does to start it. Nothing of them is told as the host's.
func TestCluster(t *testing.T) {
	c := cluster.Shared(t)
	ns := c.Namespace(t)
	pod := func(name, command string) string {
		return fmt.Sprintf(`
apiVersion: v1
kind: Pod
metadata: {name: %s, labels: {app: %s}}
spec:
  restartPolicy: Never
  terminationGracePeriodSeconds: 0
  containers: [{name: main, image: %s, command: [sh, -c, %q], securityContext: {runAsUser: 7}}]
`, name, name, c.Busybox(t), command)
	}
	c.Apply(t, ns, pod("older", "sleep 3600"))
	c.WaitPod(t, ns, "older")
	l := start(t, identity.Config{CRI: identity.NewCRI(c.Containerd())}, seawall.EventFilter{Types: []string{"execve", "procexit"}}, func(e *Event) bool {
		return strings.Contains(e.Process.Cmdline, ns) || e.Container != nil && (e.Container.Namespace == ns || !e.Container.Known)
	})
	c.Kubectl(t, "exec", "-n", ns, "older", "--", "sh", "-c", "/bin/busybox ls /; true # "+ns+" in older")
	c.Apply(t, ns, pod("younger", "/bin/busybox ls /; true # "+ns+" in younger"))
	c.WaitPod(t, ns, "younger")
	for _, name := range []string{"older", "younger"} {
		shell := l.wait(t, "the shell in "+name, func(e *seawall.Event) bool {
			line, _ := e.Fields["proc.cmdline"].(string)
			return e.Type == "execve" && strings.HasPrefix(line, "busybox sh ") && strings.HasSuffix(line, ns+" in "+name)
		})
		want := map[string]any{
			"k8s.ns.name": ns, "k8s.pod.name": name, "k8s.workload": "Pod/" + ns + "/" + name, "container.name": "main", "container.type": "containerd", "k8s.node.name": "n1",
			"container.privileged": false, "proc.pvpid": int64(0), "user.uid": int64(7), "container.host_pid": false,
		}
		got := map[string]any{}
		for field := range want {
			got[field] = shell.Fields[field]
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got)\n%s", name, diff)
		}
		for _, field := range []string{"container.full_id", "container.image.repository", "container.image.digest", "k8s.pod.uid", "container.start_ts", "proc.exepath"} {
			if shell.Fields[field] == nil {
				t.Errorf("%s has no %s", name, field)
			}
		}
		ls := l.wait(t, "ls in "+name, func(e *seawall.Event) bool {
			return e.Type == "execve" && e.Fields["proc.cmdline"] == "busybox ls /" && e.Fields["k8s.pod.name"] == name
		})
		if lines := ls.Fields["proc.acmdline"].([]string); len(lines) < 2 || lines[1] != shell.Fields["proc.cmdline"] {
			t.Errorf("%s: ancestors of ls: %q", name, lines)
		}
	}
	l.wait(t, "the sandbox", func(e *seawall.Event) bool {
		return e.Type == "execve" && e.Fields["container.name"] == "POD" && e.Fields["k8s.pod.name"] == "younger"
	})
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range l.events {
		line, _ := e.Fields["proc.cmdline"].(string)
		if e.Fields["container.id"] == host && !strings.Contains(line, "kubectl") {
			t.Errorf("of the host: %s %s", e.Type, line)
		}
		if e.Fields["container.id"] != host && e.Fields["k8s.pod.name"] == nil && e.Fields["container.full_id"] == "" {
			t.Errorf("of nobody: %v", e.Fields)
		}
	}
	if st := l.Stats(); st.Events == 0 {
		t.Errorf("%+v", st)
	}
	t.Logf("%+v", l.Stats())
}
