// Package runtime proves the agent's own rules on a real node: attacks acted out in
// a pod are found with whose they are, their everyday twins and the life of a cluster
// are not.
package runtime

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/testenv"
	"github.com/seawall-security/seawall/test/attacks"
	"github.com/seawall-security/seawall/test/attacks/step"
	"github.com/seawall-security/seawall/test/cluster/cluster"
)

// build compiles a program of the module.
func build(t *testing.T, path string) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), filepath.Base(path))
	cmd := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", out, "github.com/seawall-security/seawall/"+path)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return out
}

// libraries are the files a dynamically linked program needs.
func libraries(t *testing.T, program string) (paths []string) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "ldd", program).Output()
	if err != nil {
		t.Fatal(err)
	}
	for word := range strings.FieldsSeq(string(out)) {
		if strings.HasPrefix(word, "/") {
			paths = append(paths, word)
		}
	}
	return paths
}

// stage is a pod in which attacks are acted out.
type stage struct {
	*cluster.Cluster
	namespace, pod, image, digest string
}

const manifest = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: stage}
spec:
  selector: {matchLabels: {app: stage}}
  template:
    metadata: {labels: {app: stage}}
    spec:
      terminationGracePeriodSeconds: 0
      containers:
      - name: main
        image: %s
        volumeMounts: [{name: memory, mountPath: /dev/shm}]
      volumes: [{name: memory, emptyDir: {medium: Memory}}]
`

func newStage(t *testing.T, c *cluster.Cluster, all []attacks.Attack) *stage {
	t.Helper()
	files := map[string][]byte{
		"/etc/passwd": []byte("root:x:0:0:root:/:/bin/sh\n"), "/etc/group": []byte("root:x:0:\n"), "/etc/shadow": []byte("root:*:19000:0:99999:7:::\n"),
	}
	add := func(name, from string) {
		data, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		files[name] = data
	}
	busybox := testenv.Tool(t, "busybox")
	add("/bin/busybox", busybox)
	add("/bin/tool", build(t, "test/attacks/tool"))
	add("/bin/sh", "/bin/dash") // busybox's shell runs its own commands without executing them
	for _, library := range libraries(t, "/bin/dash") {
		add(library, library)
	}
	applets, err := exec.CommandContext(t.Context(), busybox, "--list").Output()
	if err != nil {
		t.Fatal(err)
	}
	img, err := attacks.Image(files, strings.Fields(string(applets)), all)
	if err != nil {
		t.Fatal(err)
	}
	digest, err := img.ConfigName() // an image that was never in a registry has no other
	if err != nil {
		t.Fatal(err)
	}
	s := &stage{Cluster: c, image: "seawall.test/attacks:" + digest.Hex[:12], digest: digest.String()}
	c.ImportImage(t, s.image, img)
	s.namespace = c.Namespace(t)
	c.Apply(t, s.namespace, fmt.Sprintf(manifest, s.image))
	c.Wait(t, "the stage", func() error { return c.Ready(context.Background(), s.namespace, "stage") })
	pods, err := c.Get(t.Context(), "/api/v1/namespaces/"+s.namespace+"/pods")
	if err != nil {
		t.Fatal(err)
	}
	s.pod = pods.List("items")[0].Name()
	return s
}

// act does the attacks, or their twins, one after another in the pod.
func (s *stage) act(t *testing.T, all []attacks.Attack, twins bool) []step.Result {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), s.Kube, "kubectl", "--kubeconfig", s.Kubeconfig(), "exec", "-i", "-n", s.namespace, s.pod, "--", "/bin/tool", "run")
	cmd.Stdin = bytes.NewReader(attacks.Steps(all, twins))
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("kubectl exec: %v\n%s%s", err, out, stderr.String())
	}
	results, err := attacks.Results(out, len(all))
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return results
}

// Every attack is found by its rule while it is acted out, everyday work by none,
// in a container older than the agent; and whose they are is told of it and of a younger one.
func TestAttacks(t *testing.T) {
	testenv.Root(t)
	all, err := attacks.All()
	if err != nil {
		t.Fatal(err)
	}
	s := newStage(t, cluster.Shared(t), all)
	w := watch(t, s.Cluster)
	s.canary(t, w)
	twins := s.act(t, all, true)
	acted := s.act(t, all, false)
	s.canary(t, w)

	report := w.report(t)
	for i, a := range all {
		if found := s.during(t, report, twins[i]); len(found) > 0 {
			t.Errorf("everyday work %q: %v\n\t%s", a.Twin, ruleNames(found), found[0].Evidence)
		}
		found := s.during(t, report, acted[i])
		if !slices.Contains(ruleNames(found), a.Rule) {
			t.Errorf("%q is not found by %q: %v (%q)", a.Attack, a.Rule, ruleNames(found), acted[i].Output)
		}
		for _, f := range found {
			s.identified(t, report, &f)
		}
	}

	young := newStage(t, s.Cluster, all)
	r := young.act(t, all[:1], false)
	young.canary(t, w)
	report = w.report(t)
	found := young.during(t, report, r[0])
	if !slices.Contains(ruleNames(found), all[0].Rule) {
		t.Errorf("in a container younger than the agent: %v", ruleNames(found))
	}
	for _, f := range found {
		young.identified(t, report, &f)
	}
	held := w.bpf(t)
	if err := w.end(t, syscall.SIGTERM); err != nil {
		t.Errorf("%v\n%s", err, w.stderr)
	}
	gone(t, s.Cluster, held)
}

// identified checks that a finding says whose it is.
func (s *stage) identified(t *testing.T, report *seawall.Report, f *seawall.Finding) {
	t.Helper()
	want := map[string]any{"k8s.ns.name": s.namespace, "k8s.pod.name": s.pod, "container.name": "main", "container.image.repository": "seawall.test/attacks", "container.image.digest": s.digest}
	got := map[string]any{}
	for name := range want {
		got[name] = f.Event.Fields[name]
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s: (-want +got)\n%s", f.Rule, diff)
	}
	i := slices.IndexFunc(report.Assets, func(a seawall.Asset) bool { return a.ID == f.Asset })
	if i < 0 {
		t.Fatalf("%s: asset %s was not told", f.Rule, f.Asset)
	}
	wantAsset := seawall.Asset{ID: f.Asset, Kind: seawall.AssetContainer, Name: s.namespace + "/" + s.pod + "/main", Digest: s.digest, Workloads: []string{"Deployment/" + s.namespace + "/stage"}}
	if diff := cmp.Diff(wantAsset, report.Assets[i]); diff != "" {
		t.Errorf("%s: (-want +got)\n%s", f.Rule, diff)
	}
}
