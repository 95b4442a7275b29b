package runtime

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/testenv"
	"github.com/seawall-security/seawall/test/attacks"
	"github.com/seawall-security/seawall/test/cluster/cluster"
)

// service is an ordinary application: probes that run programs, a hook at its end,
// settings and a secret in files, logs.
const service = `
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {level: "%[2]d"}
---
apiVersion: v1
kind: Secret
metadata: {name: login}
stringData: {password: "%[2]d"}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80, targetPort: 8080}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}, annotations: {round: "%[2]d"}}
    spec:
      terminationGracePeriodSeconds: 1
      initContainers:
      - {name: prepare, image: %[1]q, command: [/bin/sh, -c, "mkdir -p /data/site && echo hello > /data/site/index.html && chmod 755 /data/site"], volumeMounts: [{name: data, mountPath: /data}]}
      containers:
      - name: web
        image: %[1]q
        command: [/bin/sh, -c, "while :; do echo $(date) access >> /data/access.log; cat /settings/level; sleep 1; done & exec httpd -f -p 8080 -h /data/site"]
        livenessProbe: {exec: {command: [/bin/sh, -c, "test -f /data/site/index.html"]}, periodSeconds: 1}
        readinessProbe: {httpGet: {path: /, port: 8080}, periodSeconds: 1}
        lifecycle: {preStop: {exec: {command: [/bin/sh, -c, "rm -f /data/access.log"]}}}
        volumeMounts: [{name: data, mountPath: /data}, {name: settings, mountPath: /settings}, {name: login, mountPath: /login, readOnly: true}]
      volumes: [{name: data, emptyDir: {}}, {name: settings, configMap: {name: settings}}, {name: login, secret: {secretName: login}}]
---
apiVersion: batch/v1
kind: Job
metadata: {name: "migrate-%[2]d"}
spec:
  template:
    spec:
      restartPolicy: Never
      containers: [{name: migrate, image: %[1]q, command: [/bin/sh, -c, "grep -c root /etc/passwd; date > /tmp/done; rm /tmp/done"]}]
`

// building is what a builder of images does below its daemon: packages, compilers, new programs.
const building = `
apiVersion: v1
kind: Pod
metadata: {name: "build-%[2]d"}
spec:
  restartPolicy: Never
  containers:
  - name: build
    image: %[1]q
    command: [buildkitd, spawn, /bin/sh, -c, "apk add make; gcc -o app app.c; cp /bin/busybox /opt/app && /opt/app true; touch /tmp/configure && chmod +x /tmp/configure; chmod 4755 /opt/app; adduser -D app; echo app > /etc/ld.so.conf; chroot / /bin/true"]
`

// chatter fills a log until the kubelet turns it.
const chatter = `
apiVersion: v1
kind: Pod
metadata: {name: chatter}
spec:
  restartPolicy: Never
  terminationGracePeriodSeconds: 0
  containers: [{name: chatter, image: %[1]q, command: [/bin/sh, -c, "yes a line of a log that grows until it is turned | head -c 12000000; sleep 3600"]}]
`

// round is a day of a cluster in seconds: a deployment, its settings changed and rolled
// out, somebody looking at it, a job, a build, an end.
func round(t *testing.T, c *cluster.Cluster, n int, busybox, builder string) (namespace string) {
	t.Helper()
	ns := c.Namespace(t)
	ready := func() { c.Wait(t, "the service", func() error { return c.Ready(context.Background(), ns, "web") }) }
	c.Apply(t, ns, fmt.Sprintf(service, busybox, n))
	c.Apply(t, ns, fmt.Sprintf(building, builder, n))
	ready()
	c.Kubectl(t, "exec", "-n", ns, "deploy/web", "--", "ls", "/data")
	c.Kubectl(t, "logs", "-n", ns, "deploy/web")
	c.Kubectl(t, "get", "pods", "-n", ns, "-o", "wide")
	c.Apply(t, ns, strings.ReplaceAll(fmt.Sprintf(service, busybox, n+1), fmt.Sprintf("migrate-%d", n+1), fmt.Sprintf("migrate-%d", n)))
	ready()
	c.Kubectl(t, "scale", "-n", ns, "deploy/web", "--replicas=1")
	c.WaitPod(t, ns, fmt.Sprintf("build-%d", n))
	c.Kubectl(t, "delete", "-n", ns, "deploy/web", "--wait=false")
	c.Kubectl(t, "delete", "namespace", ns, "--wait=false")
	return ns
}

// logs is where the cluster's node has the logs of its containers.
func logs(c *cluster.Cluster) string { return filepath.Join(c.Dir, "pods") }

// ours says whether a finding is about pods of these namespaces, or about the node
// beside containers: about a process of another PID namespace than the machine's.
func ours(f *seawall.Finding, namespaces map[any]bool) bool {
	fields := f.Event.Fields
	if fields["container.id"] != "host" {
		return namespaces[fields["k8s.ns.name"]]
	}
	return fields["proc.pid"] != fields["proc.vpid"]
}

// The life of a cluster rings no alarm, 30 seconds of it in make test and ten minutes
// in make soak, in which the agent's memory does not grow; and nothing is left of an
// agent that is killed.
func TestSilence(t *testing.T) {
	testenv.Root(t)
	long := os.Getenv("SEAWALL_LONG") == "1"
	c := cluster.Shared(t)
	all, err := attacks.All()
	if err != nil {
		t.Fatal(err)
	}
	s := newStage(t, c, append(all, attacks.Attack{Programs: []string{"buildkitd"}}))
	busybox := c.Busybox(t)
	w := watch(t, c)
	s.canary(t, w)
	began := time.Now()
	c.Apply(t, s.namespace, fmt.Sprintf(chatter, busybox))

	duration, half := 30*time.Second, 0
	if long {
		duration = 10 * time.Minute
	}
	namespaces := map[any]bool{s.namespace: true}
	for n := 1; time.Since(began) < duration; n += 2 {
		namespaces[round(t, c, n, busybox, s.image)] = true
		if half == 0 && time.Since(began) > duration/2 {
			half = w.resident(t)
		}
	}
	resident := w.resident(t)
	s.canary(t, w)
	rotated, err := filepath.Glob(filepath.Join(logs(c), s.namespace+"_chatter_*", "chatter", "*.log.*"))
	if err != nil || len(rotated) == 0 {
		t.Errorf("the kubelet has turned no log in %s: %v", logs(c), err)
	}
	for _, f := range w.report(t).Findings {
		at, err := time.Parse(time.RFC3339Nano, f.Time)
		if err != nil {
			t.Fatal(err)
		}
		if at.Before(began) || !ours(&f, namespaces) || strings.Contains(f.Evidence, "canary") {
			continue
		}
		t.Errorf("%s: %s", f.Rule, f.Evidence)
	}
	t.Logf("resident: %d KiB at half time, %d KiB at the end", half, resident)
	if grown := resident - half; long && grown > 4<<10 {
		t.Errorf("the agent's memory grew by %d KiB in half of the time", grown)
	}
	ids := w.bpf(t)
	if len(ids) == 0 {
		t.Error("the agent holds no BPF program")
	}
	_ = w.end(t, syscall.SIGKILL)
	gone(t, c, ids)
}
