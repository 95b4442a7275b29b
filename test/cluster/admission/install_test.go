// Package admission proves the admission webhook on a real cluster: Seawall in pods,
// installed by its Helm chart, asked by the real API server.
package admission

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"

	"github.com/seawall-security/seawall/internal/testenv"
	"github.com/seawall-security/seawall/test/cluster/cluster"
	"github.com/seawall-security/seawall/test/cluster/image"
)

func TestMain(m *testing.M) { testenv.Main(m) }

const (
	chartDir = "../../../deploy/chart"
	// namespace is Seawall's own, imageRef its image.
	namespace = "seawall-system"
	imageRef  = "seawall.test/seawall:1"
)

// render is what helm template gives, in the order that helm installs.
func render(t *testing.T, values map[string]any) (crds, manifests []string) {
	t.Helper()
	c, err := loader.LoadDir(chartDir)
	if err != nil {
		t.Fatal(err)
	}
	release := chartutil.ReleaseOptions{Name: "seawall", Namespace: namespace, Revision: 1, IsInstall: true}
	capabilities := chartutil.DefaultCapabilities.Copy()
	capabilities.KubeVersion = chartutil.KubeVersion{Version: "v1.36.3", Major: "1", Minor: "36"}
	all, err := chartutil.ToRenderValues(c, values, release, capabilities)
	if err != nil {
		t.Fatal(err)
	}
	rendered, err := engine.Render(c, all)
	if err != nil {
		t.Fatal(err)
	}
	for _, crd := range c.CRDObjects() {
		crds = append(crds, string(crd.File.Data))
	}
	first := func(name string) int {
		return cmp.Compare(strings.Index(name, "policies.yaml"), strings.Index(name, "rbac.yaml")) // roles, the server, policies
	}
	for _, name := range slices.SortedFunc(maps.Keys(rendered), func(a, b string) int { return cmp.Or(first(a)-first(b), cmp.Compare(a, b)) }) {
		if strings.HasSuffix(name, ".yaml") && strings.TrimSpace(rendered[name]) != "" {
			manifests = append(manifests, rendered[name])
		}
	}
	return crds, manifests
}

// buildSeawall is the program as it is released.
func buildSeawall(t *testing.T) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "seawall")
	build := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w -X main.version=test", "-o", program, "github.com/seawall-security/seawall/cmd/seawall")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return program
}

// install puts Seawall into the cluster and waits until it is registered. args are further flags.
func install(t *testing.T, c *cluster.Cluster, program string, values map[string]any, args ...string) {
	t.Helper()
	binary, err := os.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	img, err := image.FromFiles(map[string][]byte{"bin/seawall": binary}, "/bin/seawall")
	if err != nil {
		t.Fatal(err)
	}
	c.ImportImage(t, imageRef, img)
	for _, label := range []string{"enforce", "warn"} { // the chart's pods keep to the strictest level
		c.Apply(t, "", fmt.Sprintf("{apiVersion: v1, kind: Namespace, metadata: {name: %s, labels: {pod-security.kubernetes.io/%s: restricted}}}", namespace, label))
	}
	server := map[string]any{"extraArgs": toAny(args)}
	all := map[string]any{"image": map[string]any{"repository": "seawall.test/seawall", "tag": "1"}, "server": server}
	merged := chartutil.MergeTables(values, all)
	crds, manifests := render(t, merged)
	for _, crd := range crds {
		c.Apply(t, "", crd)
	}
	c.Wait(t, "the kinds of Seawall", func() error {
		_, err := c.Get(t.Context(), "/apis/seawall.io/v1alpha1/policyexceptions")
		return err
	})
	for _, m := range manifests {
		c.Apply(t, namespace, m)
	}
	ready(t, c)
	c.Wait(t, "the registration", func() error {
		if names := webhooks(t, c); !slices.Contains(names, "check.policies.seawall.io") {
			return fmt.Errorf("webhooks %v", names)
		}
		return nil
	})
}

func ready(t *testing.T, c *cluster.Cluster) {
	t.Helper()
	defer func() {
		if t.Failed() {
			t.Log(logs(c))
		}
	}()
	c.Wait(t, "Seawall", func() error { return c.Ready(t.Context(), namespace, "seawall") })
}

func toAny(list []string) []any {
	out := []any{}
	for _, s := range list {
		out = append(out, s)
	}
	return out
}

// webhooks are the names of the validating ones.
func webhooks(t *testing.T, c *cluster.Cluster) (names []string) {
	t.Helper()
	config, err := c.Get(t.Context(), "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/seawall")
	if err != nil {
		return nil
	}
	for _, w := range config.List("webhooks") {
		names = append(names, w.String("name"))
	}
	return names
}

// logs is what Seawall's pods said.
func logs(c *cluster.Cluster) string {
	cmd := exec.Command(c.Kube, "kubectl", "--kubeconfig", c.Kubeconfig(), "-n", namespace, "logs", "-l", "app.kubernetes.io/component=server", "--prefix", "--tail", "60")
	out, _ := cmd.CombinedOutput()
	return string(out)
}

// kubectl runs kubectl as the administrator with a manifest on its standard input.
func kubectl(t *testing.T, c *cluster.Cluster, manifest string, args ...string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), c.Kube, append([]string{"kubectl", "--kubeconfig", c.Kubeconfig()}, args...)...)
	cmd.Stdin = strings.NewReader(manifest)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	return out.String(), err
}
