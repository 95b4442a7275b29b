package identity

import (
	"bytes"
	"context"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/seawall-security/seawall/test/cluster/cluster"
)

// TestContainerd asks the containerd and the API server of a real cluster about a pod that was there first.
func TestContainerd(t *testing.T) {
	c := cluster.Shared(t)
	ns := c.Namespace(t)
	c.Apply(t, ns, `
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      hostPID: true
      containers:
      - name: main
        image: `+c.Busybox(t)+`
        command: [sh, -c, "exec sleep 3141592"]
        securityContext: {privileged: true}
        volumeMounts: [{name: etc, mountPath: /host-etc, readOnly: true}]
      volumes: [{name: etc, hostPath: {path: /etc}}]
`)
	c.Wait(t, "the deployment", func() error { return c.Ready(t.Context(), ns, "web") })
	pid := sleeping(t, "3141592")
	path, err := pathOf("/proc", uint32(pid))
	if err != nil {
		t.Fatal(err)
	}
	r := resolver(t, Config{CRI: NewCRI(c.Containerd()), Pod: func(ctx context.Context, namespace, name string) ([]byte, error) {
		return c.Do(ctx, http.MethodGet, "/api/v1/namespaces/"+namespace+"/pods/"+name, "", nil)
	}})
	info, err := os.Stat(r.groups.path + path)
	if err != nil {
		t.Fatal(err)
	}
	id := info.Sys().(*syscall.Stat_t).Ino
	got := settled(t, r, id)
	if got == nil || !got.Known {
		t.Fatalf("%s: %+v (%v)", path, got, r.Stats().Err)
	}
	if got.Namespace != ns || got.Workload != "Deployment/"+ns+"/web" || got.Name != "main" || got.Runtime != "containerd" || got.Labels["app"] != "web" || !strings.HasPrefix(got.Pod, "web-") {
		t.Errorf("%+v", got.Container)
	}
	// containerd has other names for the image, too; the pod's is the one.
	if got.Image != c.Busybox(t) || !slices.Contains(got.ImageNames, got.Image) {
		t.Errorf("image %s of %q, want %s", got.Image, got.ImageNames, c.Busybox(t))
	}
	if !got.Privileged || !got.HostPID || got.HostNetwork || got.Sandbox {
		t.Errorf("privileged %v, host PID %v, host network %v, sandbox %v", got.Privileged, got.HostPID, got.HostNetwork, got.Sandbox)
	}
	if !strings.HasPrefix(got.Digest, "sha256:") || got.Repository == "" || got.Tag == "" || got.IP == "" || got.Created == 0 {
		t.Errorf("image %q %q %q, address %q", got.Digest, got.Repository, got.Tag, got.IP)
	}
	if !strings.Contains(got.MountsText, "/etc:/host-etc::false:private") {
		t.Errorf("mounts: %s", got.MountsText)
	}
	if got.CgroupPath != r.groups.path+path {
		t.Errorf("its cgroup: %s, want %s", got.CgroupPath, path)
	}
}

// sleeping finds the process of "sleep <seconds>".
func sleeping(t *testing.T, seconds string) int {
	t.Helper()
	all, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range all {
		text, err := os.ReadFile(file)
		if err != nil || !bytes.Equal(text, []byte("sleep\x00"+seconds+"\x00")) {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		if err != nil {
			t.Fatal(err)
		}
		return pid
	}
	t.Fatal("no process sleeps " + seconds)
	return 0
}
