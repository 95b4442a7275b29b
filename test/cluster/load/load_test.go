// Package load_test measures what admission costs a real API server: pods are created
// (dry run) as fast as it can without us, with the webhook, and with the same policies as
// ValidatingAdmissionPolicies. SEAWALL_LONG=1 (make load) measures for minutes.
package load_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seawall-security/seawall/internal/policy"
	exports "github.com/seawall-security/seawall/internal/policy/export"
	"github.com/seawall-security/seawall/internal/testenv"
	"github.com/seawall-security/seawall/test/cluster/cluster"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// objectPolicies are 20 policies that Kubernetes can hold itself.
func objectPolicies(namespace string) string {
	var b strings.Builder
	for i := range 20 {
		fmt.Fprintf(&b, `---
apiVersion: seawall.io/v1alpha1
kind: Policy
metadata: {name: load-%[2]s-%[1]d}
spec:
  phases: [deploy]
  match: {namespaces: [%[2]s]}
  rules:
  - {name: privileged, when: 'workload.containers.exists(c, c.?securityContext.?privileged.orValue(false)) && workload.labels[?"allow-%[1]d"].orValue("") == ""', action: block, message: is privileged}
  - {name: registry, when: 'workload.containers.exists(c, c.image.startsWith("forbidden-%[1]d.example/"))', action: block, message: is from elsewhere}
`, i, namespace)
	}
	return b.String()
}

// side is one of the things compared.
type side struct {
	name string
	// set puts it in force and returns what takes it away.
	set   func(t *testing.T) func()
	times []time.Duration
	best  float64 // requests a second
}

// TestLoad: every request is answered as the policies say on every side; the table says
// what that costs.
func TestLoad(t *testing.T) {
	rounds, each := 1, time.Second
	if os.Getenv("SEAWALL_LONG") != "" {
		rounds, each = 5, 8*time.Second
	}
	c := cluster.Shared(t)
	ns := c.Namespace(t)
	file := filepath.Join(t.TempDir(), "policies.yaml")
	if err := os.WriteFile(file, []byte(objectPolicies(ns)), 0o600); err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(t.TempDir(), "load")
	if out, err := exec.Command("go", "build", "-o", program, "../../../bench/load").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	library, own := start(t, c, program), start(t, c, program, "-policies", file)
	pod := sample(t, library.Pod, "")
	bad := sample(t, library.Pod, "forbidden-7.example/x")
	sides := []*side{
		{name: "without us", set: func(*testing.T) func() { return func() {} }},
		{name: "webhook, 20 policies of the library's kinds", set: func(t *testing.T) func() { return register(t, c, ns, library) }},
		{name: "webhook, 20 policies about objects", set: func(t *testing.T) func() { return register(t, c, ns, own) }},
		{name: "the same 20 exported to the API server", set: func(t *testing.T) func() { return export(t, c, file) }},
	}
	path := "/api/v1/namespaces/" + ns + "/pods?dryRun=All"
	create := func(pod []byte) error {
		_, err := c.Do(t.Context(), "POST", path, "application/json", pod)
		return err
	}
	for round := range rounds {
		for i, s := range sides {
			remove := s.set(t)
			if i > 0 {
				c.Wait(t, s.name, func() error { return inForce(create(bad), i != 1) })
			}
			// The API server compiles policies when they are first asked: not measured.
			measure(t, each, func() error { return create(pod) })
			times := measure(t, each, func() error { return create(pod) })
			s.times = append(s.times, times...)
			s.best = max(s.best, float64(len(times))/each.Seconds())
			if round == 0 && len(times) == 0 {
				t.Errorf("%s: no request was answered", s.name)
			}
			remove()
			if i > 0 {
				c.Wait(t, s.name+" to go", func() error { return create(bad) })
			}
		}
	}
	report(t, sides)
}

// inForce says whether what was put in force is: the bad pod is denied, by the policies
// about objects for its registry, by the library for its tag.
func inForce(err error, registry bool) error {
	switch {
	case err == nil:
		return fmt.Errorf("the bad pod is let in")
	case registry && !strings.Contains(err.Error(), "is from elsewhere"):
		return fmt.Errorf("denied for something else: %w", err)
	}
	return nil
}

// workers is how many requests are under way at once.
const workers = 8

// measure sends requests one after another from all workers and returns their times.
func measure(t *testing.T, duration time.Duration, request func() error) []time.Duration {
	var mu sync.Mutex
	var times []time.Duration
	var all sync.WaitGroup
	end := time.Now().Add(duration)
	for range workers {
		all.Go(func() {
			for time.Now().Before(end) && !t.Failed() {
				start := time.Now()
				if err := request(); err != nil {
					t.Error(err)
				}
				took := time.Since(start)
				mu.Lock()
				times = append(times, took)
				mu.Unlock()
			}
		})
	}
	all.Wait()
	return times
}

func report(t *testing.T, sides []*side) {
	var out strings.Builder
	fmt.Fprintf(&out, "\n| %d clients, best round of each | requests/s | ratio | p50 | p99 | p50 ratio |\n|---|---|---|---|---|---|\n", workers)
	at := func(s *side, p float64) time.Duration {
		return s.times[min(int(p*float64(len(s.times))), len(s.times)-1)]
	}
	for _, s := range sides {
		slices.Sort(s.times)
		fmt.Fprintf(&out, "| %s | %.0f | %.2f | %s | %s | %.2f |\n", s.name, s.best, s.best/sides[0].best,
			at(s, .5).Round(100*time.Microsecond), at(s, .99).Round(100*time.Microsecond), float64(at(s, .5))/float64(at(sides[0], .5)))
	}
	t.Log(out.String())
}

// place is what bench/load says of its webhook.
type place struct {
	URL       string
	Authority []byte
	Pod       json.RawMessage
}

// start starts a webhook in a process of its own, where the cluster reaches it.
func start(t *testing.T, c *cluster.Cluster, program string, args ...string) place {
	cmd := exec.Command(program, append([]string{"-serve", net.JoinHostPort(c.HostAddress, "0")}, args...)...)
	lifeline, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	var said bytes.Buffer
	cmd.Stderr = &said
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = lifeline.Close()
		_, _ = io.Copy(io.Discard, stdout)
		if err := cmd.Wait(); err != nil {
			t.Errorf("the webhook: %v %s", err, &said)
		}
	})
	var p place
	if err := json.NewDecoder(stdout).Decode(&p); err != nil {
		t.Fatalf("%v %s", err, &said)
	}
	return p
}

// sample is the pod as this cluster takes it, with another image where one is given.
func sample(t *testing.T, pod json.RawMessage, image string) []byte {
	var object map[string]any
	if err := json.Unmarshal(pod, &object); err != nil {
		t.Fatal(err)
	}
	spec := object["spec"].(map[string]any)
	spec["serviceAccountName"] = "default"
	if image != "" {
		spec["containers"].([]any)[0].(map[string]any)["image"] = image
	}
	out, err := json.Marshal(object)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// register has the API server ask a webhook about the namespace's pods.
func register(t *testing.T, c *cluster.Cluster, ns string, at place) func() {
	const path = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations"
	_, err := c.Post(t.Context(), path, map[string]any{"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration", "metadata": map[string]any{"name": ns},
		"webhooks": []any{map[string]any{"name": "load.test.seawall.io", "failurePolicy": "Fail", "sideEffects": "None", "admissionReviewVersions": []string{"v1"}, "timeoutSeconds": 10,
			"clientConfig":      map[string]any{"url": at.URL + "/validate", "caBundle": at.Authority},
			"namespaceSelector": map[string]any{"matchLabels": map[string]string{"kubernetes.io/metadata.name": ns}},
			"rules":             []any{map[string]any{"operations": []string{"CREATE"}, "apiGroups": []string{""}, "apiVersions": []string{"v1"}, "resources": []string{"pods"}}}}}})
	if err != nil {
		t.Fatal(err)
	}
	return once(t, func() error { return c.Delete(context.Background(), path+"/"+ns) })
}

// export gives the API server a file's policies as its own.
func export(t *testing.T, c *cluster.Cluster, file string) func() {
	set, err := policy.Load([]string{file})
	if err != nil {
		t.Fatal(err)
	}
	exported, err := exports.Kubernetes(set, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	text, err := exported.YAML()
	if err != nil || len(exported.LeftOut) > 0 {
		t.Fatal(err, exported.LeftOut)
	}
	objects := c.Apply(t, "", string(text))
	return once(t, func() error {
		for _, o := range objects {
			name := o["metadata"].(map[string]any)["name"].(string)
			path, err := c.Path(context.Background(), o["apiVersion"].(string), o["kind"].(string), "", name)
			if err == nil {
				err = c.Delete(context.Background(), path)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// once is undone when asked, or with the test.
func once(t *testing.T, undo func() error) func() {
	done := sync.OnceFunc(func() {
		if err := undo(); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(done)
	return done
}
