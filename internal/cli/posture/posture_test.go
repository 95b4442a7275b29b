package posture_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/seawall-security/seawall/internal/cli"
	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/source/sourcetest"
	"github.com/seawall-security/seawall/test/cluster/cluster"
)

// run runs a scan and returns its report, exit code and what it said beside.
func run(t *testing.T, environ []string, args ...string) (report seawall.Report, code int, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	home := t.TempDir()
	code = cli.Run(context.Background(), cli.Invocation{
		Args: append([]string{"scan"}, append(args, "--format", "json")...), Environ: append(environ, "HOME="+home), Stdout: &out, Stderr: &errs, Version: "test",
	})
	if out.Len() > 0 {
		if err := json.Unmarshal(out.Bytes(), &report); err != nil {
			t.Fatal(err)
		}
	}
	return report, code, errs.String()
}

// statuses counts findings of an asset by status.
func statuses(r *seawall.Report, asset string) map[seawall.Status]int {
	n := map[seawall.Status]int{}
	for _, f := range r.Findings {
		if f.Asset == asset {
			n[f.Status]++
		}
	}
	return n
}

const privileged = "apiVersion: v1\nkind: Pod\nmetadata: {name: bad}\nspec: {hostPID: true, containers: [{name: a, image: x, securityContext: {privileged: true}}]}\n"

func TestManifests(t *testing.T) {
	t.Chdir(t.TempDir())
	for name, text := range map[string]string{"pod.yaml": privileged, "values.yaml": "a: b\n", "broken.yaml": "a: b\n c: d\n"} {
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	report, code, stderr := run(t, nil, "manifests", ".", "--fail-on", "high")
	if code != 1 {
		t.Errorf("exit %d: %s", code, stderr)
	}
	if report.Asset == nil || report.Asset.Kind != seawall.AssetManifests || report.Asset.Name != "." {
		t.Errorf("asset %+v", report.Asset)
	}
	i := slices.IndexFunc(report.Findings, func(f seawall.Finding) bool {
		return f.Location != nil && strings.HasSuffix(f.Location.Field, "securityContext.privileged")
	})
	if i < 0 {
		t.Fatalf("the privileged container is not found among %d findings", len(report.Findings))
	}
	if diff := cmp.Diff(&seawall.Location{Path: "pod.yaml", Line: 4, Resource: "Pod/default/bad", Field: "spec.containers[0].securityContext.privileged"}, report.Findings[i].Location); diff != "" {
		t.Error(diff)
	}
	if !strings.Contains(stderr, "1 document left out") || !strings.Contains(stderr, "could not read everything") {
		t.Errorf("it says %q", stderr)
	}
	status := slices.IndexFunc(report.Collectors, func(s seawall.CollectorStatus) bool { return s.Name == "manifests" })
	if status < 0 || report.Collectors[status].Status != seawall.RunPartial || !strings.Contains(report.Collectors[status].Reason, "broken.yaml:2") {
		t.Errorf("statuses %+v", report.Collectors)
	}
	if _, code, _ := run(t, nil, "manifests", ".", "--strict"); code != 3 {
		t.Errorf("--strict exits %d", code)
	}
	if _, code, stderr := run(t, nil, "manifests", "broken.yaml"); code != 3 || !strings.Contains(stderr, "broken.yaml:2") {
		t.Errorf("only a broken file: exit %d, %s", code, stderr)
	}
	if report, _, _ := run(t, nil, "manifests", "pod.yaml", "--name", "shop"); report.Asset.Name != "shop" || report.Asset.ID != "manifests:shop" {
		t.Errorf("--name makes the asset %+v", report.Asset)
	}
}

func TestOffline(t *testing.T) {
	if _, code, stderr := run(t, nil, "cluster", "--offline"); code != 2 || !strings.Contains(stderr, "--offline") {
		t.Errorf("exit %d: %s", code, stderr)
	}
	if _, code, stderr := run(t, nil, "cluster"); code != 2 || !strings.Contains(stderr, "--kubeconfig") {
		t.Errorf("without a kubeconfig: exit %d: %s", code, stderr)
	}
}

// TestNothingAllowed: who may read nothing is told so for every control; nothing
// passes but what the version alone says.
func TestNothingAllowed(t *testing.T) {
	c := cluster.Shared(t)
	report, code, stderr := run(t, []string{"KUBECONFIG=" + c.UserKubeconfig(t, "seawall-test-noone")}, "cluster")
	if code != 0 {
		t.Fatalf("exit %d: %s", code, stderr)
	}
	for _, f := range report.Findings {
		// Which version it is, everybody may know.
		ofVersion := f.Package != nil && f.Package.Name == "kube-apiserver" || strings.HasPrefix(f.Rule, "SW-VER-")
		if !ofVersion && (f.Status == seawall.StatusPass || f.Status == seawall.StatusFail) {
			t.Errorf("%s %s: %s", f.Status, f.Rule, f.Title)
		}
	}
	if n := statuses(&report, report.Asset.ID)[seawall.StatusNotEvaluated]; n < 20 {
		t.Errorf("only %d controls say that they were not evaluated", n)
	}
}

// TestImages: what runs in a real cluster is scanned once, from the node's
// containerd, and is known by the workloads that run it.
func TestImages(t *testing.T) {
	c := cluster.Shared(t)
	ns, image := c.Namespace(t), c.Busybox(t)
	c.Apply(t, ns, fmt.Sprintf(`
apiVersion: v1
kind: Pod
metadata: {name: solo}
spec: {containers: [{name: a, image: %[1]q}], terminationGracePeriodSeconds: 0}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: a, image: %[1]q}], terminationGracePeriodSeconds: 0}
`, image))
	c.WaitPod(t, ns, "solo")
	c.Wait(t, "the deployment", func() error { return c.Ready(t.Context(), ns, "web") })
	t.Setenv("CONTAINERD_ADDRESS", c.Containerd())
	report, code, stderr := run(t, []string{"KUBECONFIG=" + c.Kubeconfig()}, "cluster", "--namespace", ns, "--images", "--packages")
	if code != 0 {
		t.Fatalf("exit %d: %s", code, stderr)
	}
	if report.Asset.Kind != seawall.AssetCluster || statuses(&report, report.Asset.ID)[seawall.StatusFail] == 0 {
		t.Errorf("the cluster is %+v, with %v", report.Asset, statuses(&report, report.Asset.ID))
	}
	if len(report.Assets) != 1 {
		t.Fatalf("%d images, want one: %+v", len(report.Assets), report.Assets)
	}
	img := report.Assets[0]
	if diff := cmp.Diff([]string{"Deployment/" + ns + "/web", "Pod/" + ns + "/solo"}, img.Workloads); diff != "" || img.Name != image || img.Kind != seawall.AssetImage {
		t.Errorf("%s is %s: %s", image, img.Name, diff)
	}
	if statuses(&report, img.ID)[seawall.StatusFail] == 0 {
		t.Error("no finding about the image, which runs as root")
	}
}

// TestPullSecrets: an image that is not on this machine comes from its registry,
// with the secret its pod pulls with, and without it the error says what to do.
func TestPullSecrets(t *testing.T) {
	c := cluster.Shared(t)
	ns := c.Namespace(t)
	inner := registry.New(registry.Logger(log.New(new(bytes.Buffer), "", 0)))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, password, _ := r.BasicAuth(); user != "puller" || password != "s3cret-of-the-pod" {
			w.Header().Set("WWW-Authenticate", `Basic realm="test"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		inner.ServeHTTP(w, r)
	}))
	defer server.Close()
	host := strings.TrimPrefix(server.URL, "http://")
	img := sourcetest.Image(t, "amd64")
	ref, err := name.ParseReference(host + "/team/app:1")
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(ref, img, remote.WithAuth(&authn.Basic{Username: "puller", Password: "s3cret-of-the-pod"})); err != nil {
		t.Fatal(err)
	}
	digest, err := img.Digest()
	if err != nil {
		t.Fatal(err)
	}
	auth := base64.StdEncoding.EncodeToString([]byte("puller:s3cret-of-the-pod"))
	c.Apply(t, ns, fmt.Sprintf(`
apiVersion: v1
kind: Secret
metadata: {name: pull}
type: kubernetes.io/dockerconfigjson
stringData: {.dockerconfigjson: '{"auths": {"http://%s/v1/": {"auth": %q}}}'}
---
apiVersion: v1
kind: Pod
metadata: {name: app}
spec: {nodeSelector: {nowhere: "true"}, containers: [{name: a, image: "%s/team/app:1"}], imagePullSecrets: [{name: pull}]}
`, host, auth, host))
	status := map[string]any{"status": map[string]any{"phase": "Running", "containerStatuses": []any{map[string]any{
		"name": "a", "image": host + "/team/app:1", "imageID": host + "/team/app@" + digest.String(), "ready": true, "restartCount": 0,
	}}}}
	if _, err := c.Patch(t.Context(), "/api/v1/namespaces/"+ns+"/pods/app/status", status); err != nil {
		t.Fatal(err)
	}
	t.Setenv("CONTAINERD_ADDRESS", c.Containerd())
	t.Setenv("DOCKER_CONFIG", t.TempDir())
	report, code, stderr := run(t, []string{"KUBECONFIG=" + c.Kubeconfig()}, "cluster", "--namespace", ns, "--images")
	if code != 0 || len(report.Assets) != 1 || report.Assets[0].Digest != digest.String() {
		t.Fatalf("exit %d, images %+v: %s", code, report.Assets, stderr)
	}
	if text, _ := json.Marshal(report); bytes.Contains(text, []byte("s3cret")) || bytes.Contains(text, []byte(auth)) || strings.Contains(stderr, "s3cret") {
		t.Error("the pull secret is in the report")
	}
	user := "seawall-test-images"
	c.Apply(t, "", "apiVersion: rbac.authorization.k8s.io/v1\nkind: RoleBinding\nmetadata: {name: view, namespace: "+ns+"}\n"+
		"roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: view}\nsubjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: "+user+"}]\n")
	_, code, stderr = run(t, []string{"KUBECONFIG=" + c.UserKubeconfig(t, user)}, "cluster", "--namespace", ns, "--images")
	if code != 3 || !strings.Contains(stderr, "deploy/rbac/pull-secrets.yaml") {
		t.Errorf("without the secret: exit %d: %s", code, stderr)
	}
}
