package identity

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/google/go-cmp/cmp"

	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/testenv"
)

const (
	id1 = "ab54211245ed74f27b97b1b1dbebfdd638d64d43c0c631b755c680dcfcb0f5d1"
	id2 = "4a15a9e5859f960502853de6a8480a8caa66160bcf4a89950fb8990eafde2e42"
)

func TestMain(m *testing.M) { testenv.Main(m) }

func TestParsePath(t *testing.T) {
	for _, c := range []struct {
		path string
		want Place
	}{
		{"/", Place{}},
		{"/system.slice/containerd.service", Place{}},
		{"/kubepods/besteffort/pod5d97025f-e6f1-42b9-aab8-f04580216c05/" + id1, Place{IDs: []string{id1}, PodUID: "5d97025f-e6f1-42b9-aab8-f04580216c05"}},
		{"/kubepods/besteffort/pod5d97025f-e6f1-42b9-aab8-f04580216c05", Place{PodUID: "5d97025f-e6f1-42b9-aab8-f04580216c05"}},
		{"/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod5d97025f_e6f1_42b9_aab8_f04580216c05.slice/cri-containerd-" + id1 + ".scope",
			Place{IDs: []string{id1}, Runtime: "containerd", PodUID: "5d97025f-e6f1-42b9-aab8-f04580216c05"}},
		{"/kubepods.slice/kubepods-pod0123456789abcdef0123456789abcdef.slice/crio-" + id1 + ".scope",
			Place{IDs: []string{id1}, Runtime: "cri-o", PodUID: "0123456789abcdef0123456789abcdef"}},
		{"/kubepods.slice/kubepods-pod0123456789abcdef0123456789abcdef.slice/crio-conmon-" + id1 + ".scope", Place{}},
		{"/system.slice/containerd.service/kubepods-besteffort-pod5d97025f_e6f1_42b9_aab8_f04580216c05.slice:cri-containerd:" + id1,
			Place{IDs: []string{id1}, Runtime: "containerd", PodUID: "5d97025f-e6f1-42b9-aab8-f04580216c05"}},
		{"/system.slice/docker-" + id1 + ".scope", Place{IDs: []string{id1}, Runtime: "docker"}},
		{"/docker/" + id1, Place{IDs: []string{id1}, Runtime: "docker"}},
		{"/docker/" + id1 + "/kubelet/kubepods/besteffort/pod5d97025f-e6f1-42b9-aab8-f04580216c05/" + id2,
			Place{IDs: []string{id2, id1}, Runtime: "docker", PodUID: "5d97025f-e6f1-42b9-aab8-f04580216c05"}},
		{"/machine.slice/libpod-" + id1 + ".scope/container", Place{IDs: []string{id1}, Runtime: "podman"}},
		{"/machine.slice/libpod-conmon-" + id1 + ".scope", Place{}},
		{"/libpod_parent/libpod-" + id1, Place{IDs: []string{id1}, Runtime: "podman"}},
		{"/seawall/kubepods/pod5d97025f-e6f1-42b9-aab8-f04580216c05/" + id1 + "/init.scope", Place{IDs: []string{id1}, PodUID: "5d97025f-e6f1-42b9-aab8-f04580216c05"}},
	} {
		if diff := cmp.Diff(c.want, ParsePath(c.path)); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", c.path, diff)
		}
	}
}

func TestSplitImage(t *testing.T) {
	for ref, want := range map[string][2]string{
		"docker.io/library/nginx:1.25":                {"docker.io/library/nginx", "1.25"},
		"localhost:5000/a/b":                          {"localhost:5000/a/b", ""},
		"localhost:5000/a/b:x@sha256:" + id1:          {"localhost:5000/a/b", "x"},
		"registry.example.org/team/app@sha256:" + id1: {"registry.example.org/team/app", ""},
	} {
		if repository, tag := SplitImage(ref); repository != want[0] || tag != want[1] {
			t.Errorf("%s: %q %q", ref, repository, tag)
		}
	}
}

func TestWorkload(t *testing.T) {
	for _, c := range []struct {
		pod    string
		labels map[string]string
		want   string
	}{
		{"web-6d4cf56db6-x2x9z", map[string]string{"pod-template-hash": "6d4cf56db6"}, "Deployment/shop/web"},
		{"my-web-6d4cf56db6-x2x9z", map[string]string{"pod-template-hash": "6d4cf56db6"}, "Deployment/shop/my-web"},
		{"db-0", map[string]string{"statefulset.kubernetes.io/pod-name": "db-0", "controller-revision-hash": "db-5c"}, "StatefulSet/shop/db"},
		{"backup-28-x2x9z", map[string]string{"batch.kubernetes.io/job-name": "backup-28"}, "Job/shop/backup-28"},
		{"proxy-x2x9z", map[string]string{"controller-revision-hash": "5c", "pod-template-generation": "1"}, "DaemonSet/shop/proxy"},
		{"alone", map[string]string{"app": "x"}, "Pod/shop/alone"},
		{"claims-to-be", map[string]string{"pod-template-hash": "6d4cf56db6"}, "Pod/shop/claims-to-be"},
		{"", nil, ""},
	} {
		if got := workload(&seawall.Container{Pod: c.pod, Namespace: "shop", Labels: c.labels}); got != c.want {
			t.Errorf("%s: %s, want %s", c.pod, got, c.want)
		}
	}
}

// group makes a cgroup with a sleeping process in it and returns its id and the process.
func group(t *testing.T, name string) (uint64, int) {
	t.Helper()
	testenv.Root(t)
	groups, err := openCgroups("/proc")
	if err != nil {
		t.Fatal(err)
	}
	defer groups.root.Close()
	top := filepath.Join(groups.path, "seawall-identity-"+filepath.Base(t.TempDir())+strings.ReplaceAll(t.Name(), "/", "-"))
	dir := filepath.Join(top, name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for d := dir; d != groups.path; d = filepath.Dir(d) {
			for range 100 {
				if err = os.Remove(d); err == nil || os.IsNotExist(err) {
					break
				}
				time.Sleep(10 * time.Millisecond) // the process is on its way out
			}
		}
		if err != nil && !os.IsNotExist(err) {
			t.Error(err)
		}
	})
	info, err := os.Stat(dir)
	if err != nil {
		t.Fatal(err)
	}
	fd, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer fd.Close()
	sleep := exec.Command("sleep", "60")
	sleep.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(fd.Fd()), Pdeathsig: syscall.SIGKILL}
	if err := sleep.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = sleep.Process.Kill(); _ = sleep.Wait() })
	return info.Sys().(*syscall.Stat_t).Ino, sleep.Process.Pid
}

func resolver(t *testing.T, cfg Config) *Resolver {
	t.Helper()
	r, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { r.Run(ctx); close(done) }()
	t.Cleanup(func() {
		cancel()
		<-done
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

// settled waits for what the runtime says.
func settled(t *testing.T, r *Resolver, cgroup uint64) *Container {
	t.Helper()
	for range 1000 {
		if c, ready := r.Lookup(cgroup, 0); ready {
			return c
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatal("not resolved")
	return nil
}

// TestLookupByPath: without a runtime the path tells what it can, whether or not the process is known.
func TestLookupByPath(t *testing.T) {
	container, pid := group(t, "kubepods/pod5d97025f-e6f1-42b9-aab8-f04580216c05/"+id1+"/inner")
	r := resolver(t, Config{})
	c, ready := r.Lookup(container, 0)
	if !ready || c == nil || c.ID != id1 || c.Short != id1[:12] || c.PodUID != "5d97025f-e6f1-42b9-aab8-f04580216c05" || c.Known {
		t.Errorf("%v %+v", ready, c)
	}
	if c != nil && !strings.HasSuffix(c.CgroupPath, "/"+id1) {
		t.Errorf("its cgroup: %s", c.CgroupPath)
	}
	if got := r.Path(container); !strings.HasSuffix(got, id1+"/inner") {
		t.Errorf("the path: %s", got)
	}
	if path, err := pathOf("/proc", uint32(pid)); err != nil || !strings.HasSuffix(path, id1+"/inner") {
		t.Errorf("of the process: %s %v", path, err)
	}
	self, err := os.Stat(r.groups.path)
	if err != nil {
		t.Fatal(err)
	}
	if c, ready := r.Lookup(self.Sys().(*syscall.Stat_t).Ino, 0); c != nil || !ready {
		t.Errorf("the root is of the host, not %+v", c)
	}
	if c, _ := r.Lookup(1<<40, 0); c == nil || c.ID == "" {
		t.Error("a cgroup that nobody knows was taken for the host's")
	}
	if s := r.Stats(); s.Lost == 0 || s.Containers < 2 { // others' containers are here, too
		t.Errorf("%+v", s)
	}
}

// TestForget: a cgroup is remembered for one sweep after it is gone, and the bound holds.
func TestForget(t *testing.T) {
	r, err := New(Config{Max: 4})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for id := range uint64(100) {
		r.Lookup(1<<40+id, 0)
	}
	if n := r.Stats().Cgroups; n != 4 {
		t.Errorf("%d remembered", n)
	}
	r.sweep()
	if n := r.Stats().Cgroups; n != 4 {
		t.Errorf("%d remembered after one sweep", n)
	}
	r.sweep()
	if n := r.Stats().Cgroups; n != 0 {
		t.Errorf("%d remembered after two", n)
	}
}

// TestLearn: a cgroup that has been told of is known when it is gone already; the text it was told in is used again.
func TestLearn(t *testing.T) {
	testenv.Root(t)
	r, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	text := []byte("/kubepods/pod5d97025f-e6f1-42b9-aab8-f04580216c05/" + id1)
	r.Learn(1<<41, unsafe.String(&text[0], len(text)))
	for i := range text {
		text[i] = 'x'
	}
	c, ready := r.Lookup(1<<41, 0)
	if !ready || c == nil || c.ID != id1 || c.PodUID != "5d97025f-e6f1-42b9-aab8-f04580216c05" || !strings.HasSuffix(c.CgroupPath, id1) {
		t.Errorf("%+v", c)
	}
	r.Learn(1<<42, "/system.slice/x.service")
	if c, _ := r.Lookup(1<<42, 0); c != nil {
		t.Errorf("a service of the host: %+v", c)
	}
}

// TestOtherRuntimes: nobody asks, or waits for, the runtime of Kubernetes about containers of others.
func TestOtherRuntimes(t *testing.T) {
	testenv.Root(t)
	r, err := New(Config{CRI: NewCRI("/nonexistent/cri.sock")}) // Run would ask; it does not run
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for path, waits := range map[string]bool{
		"/machine.slice/libpod-" + id1 + ".scope": false, "/docker/" + id1: false, "/system.slice/docker-" + id1 + ".scope": false,
		"/kubepods.slice/kubepods-pod5d97025f_e6f1_42b9_aab8_f04580216c05.slice/docker-" + id1 + ".scope": true, "/k8s.io/" + id1: true,
	} {
		clear(r.known)
		r.Learn(1<<41, path)
		if c, ready := r.Lookup(1<<41, 0); ready == waits || c.ID != id1 {
			t.Errorf("%s: ready %v, %+v", path, ready, c)
		}
	}
}
