package admission

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seawall-security/seawall/test/cluster/cluster"
)

const registration = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/seawall"

// guard is a policy about ConfigMaps whose names begin as its own does, "open" or "closed".
func guard(name string) string {
	failure, _, _ := strings.Cut(name, "-")
	return fmt.Sprintf(`{apiVersion: seawall.io/v1alpha1, kind: Policy, metadata: {name: %s}, spec: {description: d, phases: [deploy], failure: %s, match: {kinds: [ConfigMap]},
rules: [{name: r, when: "object.metadata.name.startsWith('%s-')", action: block, message: not this name}]}}`, name, failure, name)
}

func configMap(namespace, name, data string) string {
	return fmt.Sprintf(`{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": %q, "namespace": %q}, "data": {"a": %q}}`, name, namespace, data)
}

// try creates a ConfigMap as a dry run.
func try(ctx context.Context, c *cluster.Cluster, namespace, name, data string) error {
	_, err := c.Do(ctx, http.MethodPost, "/api/v1/namespaces/"+namespace+"/configmaps?dryRun=All", "", []byte(configMap(namespace, name, data)))
	return err
}

// guarded puts guards in force, and waits until every replica knows them.
func guarded(t *testing.T, c *cluster.Cluster, names ...string) {
	t.Helper()
	for _, name := range names {
		c.Apply(t, "", guard(name))
		t.Cleanup(func() { _ = c.Delete(context.Background(), "/apis/seawall.io/v1alpha1/policies/"+name) })
	}
	for _, name := range names {
		c.Wait(t, "the guard "+name, func() error {
			for range 8 {
				if err := try(t.Context(), c, "default", name+"-a", ""); err == nil || !strings.Contains(err.Error(), "not this name") {
					return fmt.Errorf("not denied: %w", err)
				}
			}
			return nil
		})
	}
}

// unguarded takes every policy away.
func unguarded(t *testing.T, c *cluster.Cluster) {
	t.Helper()
	if out, err := kubectl(t, c, "", "delete", "policies.seawall.io", "--all"); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	c.Wait(t, "the end of the policies", func() error {
		if slices.Contains(webhooks(t, c), "closed.validate.seawall.io") {
			return fmt.Errorf("webhooks %v", webhooks(t, c))
		}
		return nil
	})
}

// testRepair: an edited registration is mended.
func testRepair(t *testing.T, c *cluster.Cluster) {
	before, err := c.Get(t.Context(), registration)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Patch(t.Context(), registration, map[string]any{"webhooks": []any{}}); err != nil {
		t.Fatal(err)
	}
	c.Wait(t, "the repair", func() error {
		after, err := c.Get(t.Context(), registration)
		if err != nil || len(after.List("webhooks")) != len(before.List("webhooks")) {
			return fmt.Errorf("%w: %v", err, webhooks(t, c))
		}
		return nil
	})
	if err := try(t.Context(), c, "default", "closed-a", ""); err == nil {
		t.Error("not denied after the repair")
	}
}

// testStrange: what is no review, and what is huge, gets an answer.
func testStrange(t *testing.T, c *cluster.Cluster) {
	const most = 3<<20 - 4096 // what the API server takes is 3 MiB
	if err := try(t.Context(), c, "default", "huge", strings.Repeat("x", most)); err != nil && !strings.Contains(err.Error(), "Too long") {
		t.Errorf("3 MB: %v", err)
	}
	if err := try(t.Context(), c, "default", "closed-huge", strings.Repeat("x", 900_000)); err == nil || !strings.Contains(err.Error(), "not this name") {
		t.Errorf("900 kB that are denied: %v", err)
	}
	client, url := direct(t, c)
	for _, body := range []string{"", "{", "null", `{"kind":"AdmissionReview"}`, strings.Repeat("[", 1<<20), strings.Repeat("x", 20<<20)} {
		for _, path := range []string{"/validate/open", "/validate/closed", "/mutate/open", "/check", "/nothing"} {
			resp, err := client.Post(url+path, "application/json", strings.NewReader(body))
			if err != nil {
				if len(body) < 1<<20 { // who sends too much may see the connection end before the answer
					t.Errorf("%s %.20q: %v", path, body, err)
				}
				continue
			}
			answer, _ := io.ReadAll(resp.Body)
			resp.Body.Close()
			if resp.StatusCode < 400 || resp.StatusCode >= 500 || len(answer) == 0 {
				t.Errorf("%s %.20q: %s %s", path, body, resp.Status, answer)
			}
		}
	}
	if err := try(t.Context(), c, "default", "closed-a", ""); err == nil {
		t.Error("it judges no more after that")
	}
}

// direct calls the webhook as the API server does, over a new connection each time,
// by the authorities that are registered at that moment.
func direct(t *testing.T, c *cluster.Cluster) (*http.Client, string) {
	t.Helper()
	service, err := c.Get(t.Context(), "/api/v1/namespaces/"+namespace+"/services/seawall")
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{
		ServerName: "seawall." + namespace + ".svc", InsecureSkipVerify: true, VerifyConnection: func(state tls.ConnectionState) error {
			return verify(context.Background(), c, state)
		}}}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: 20 * time.Second}, "https://" + service.String("spec", "clusterIP")
}

// verify judges a handshake as the API server does.
func verify(ctx context.Context, c *cluster.Cluster, state tls.ConnectionState) error {
	config, err := c.Get(ctx, registration)
	if err != nil {
		return err
	}
	pool := x509.NewCertPool()
	for _, w := range config.List("webhooks") {
		pem, err := base64.StdEncoding.DecodeString(w.String("clientConfig", "caBundle"))
		if err != nil || !pool.AppendCertsFromPEM(pem) {
			return fmt.Errorf("caBundle: %w", err)
		}
	}
	_, err = state.PeerCertificates[0].Verify(x509.VerifyOptions{DNSName: state.ServerName, Roots: pool})
	return err
}

// authorities is what the registration trusts now.
func authorities(ctx context.Context, c *cluster.Cluster) string {
	config, err := c.Get(ctx, registration)
	if err != nil || len(config.List("webhooks")) == 0 {
		return ""
	}
	return config.List("webhooks")[0].String("clientConfig", "caBundle")
}

// rotation is requests that go on while everything else happens, of which none fails.
type rotation struct {
	calls, wrong atomic.Int64
	// first are the authorities at the beginning.
	first string
	stop  context.CancelFunc
	load  sync.WaitGroup
}

func startRotation(t *testing.T, c *cluster.Cluster) *rotation {
	t.Helper()
	guarded(t, c, "closed")
	client, url := direct(t, c)
	review := reviewOf(t)
	ctx, stop := context.WithCancel(t.Context())
	r := &rotation{first: authorities(ctx, c), stop: stop}
	keepOn := func(call func() error) {
		r.load.Go(func() {
			for ctx.Err() == nil {
				r.calls.Add(1)
				if err := call(); err != nil && ctx.Err() == nil && r.wrong.Add(1) < 10 {
					t.Error(err)
				}
				time.Sleep(50 * time.Millisecond)
			}
		})
	}
	keepOn(func() error { return try(ctx, c, "default", "fine", "") }) // a call that fails is refused: the policy is closed
	keepOn(func() error {
		if err := try(ctx, c, "default", "closed-a", ""); err == nil || !strings.Contains(err.Error(), "not this name") {
			return fmt.Errorf("not denied: %w", err)
		}
		return nil
	})
	keepOn(func() error {
		resp, err := client.Post(url+"/validate/closed", "application/json", bytes.NewReader(review))
		if err != nil {
			return err
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return errors.New(resp.Status)
		}
		return nil
	})
	return r
}

// end stops the requests.
func (r *rotation) end() {
	r.stop()
	r.load.Wait()
}

// finish replaces every replica and waits until the authority is another.
func (r *rotation) finish(t *testing.T, c *cluster.Cluster) {
	c.Kubectl(t, "rollout", "restart", "-n", namespace, "deployment/seawall")
	c.Kubectl(t, "rollout", "status", "-n", namespace, "deployment/seawall", "--timeout=120s")
	c.Wait(t, "another authority", func() error {
		if now := authorities(t.Context(), c); now == "" || r.first == "" || sharesAuthority(r.first, now) {
			return fmt.Errorf("still the one of before; %d calls", r.calls.Load())
		}
		return nil
	})
	r.end()
	if r.wrong.Load() > 0 || r.calls.Load() < 100 {
		t.Errorf("%d calls, %d wrong", r.calls.Load(), r.wrong.Load())
	}
	t.Logf("%d calls, none wrong", r.calls.Load())
}

// sharesAuthority says whether two PEM bundles in base64 have a certificate in common.
func sharesAuthority(a, b string) bool {
	has := map[string]bool{}
	for i, text := range []string{a, b} {
		pem, _ := base64.StdEncoding.DecodeString(text)
		for block := range strings.SplitSeq(string(pem), "-----BEGIN CERTIFICATE-----") {
			if block = strings.TrimSpace(block); block == "" {
				continue
			}
			if i == 1 && has[block] {
				return true
			}
			has[block] = has[block] || i == 0
		}
	}
	return false
}

// reviewOf is a review of a ConfigMap.
func reviewOf(t *testing.T) []byte {
	t.Helper()
	var object map[string]any
	if err := json.Unmarshal([]byte(configMap("default", "fine", "")), &object); err != nil {
		t.Fatal(err)
	}
	body, err := json.Marshal(map[string]any{"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": map[string]any{
		"uid": "1", "kind": map[string]any{"version": "v1", "kind": "ConfigMap"}, "resource": map[string]any{"version": "v1", "resource": "configmaps"},
		"namespace": "default", "name": "fine", "operation": "CREATE", "dryRun": true, "userInfo": map[string]any{"username": "test"}, "object": object}})
	if err != nil {
		t.Fatal(err)
	}
	return body
}

// testDeath: with every replica dead, what fails open goes on, what fails closed does
// not, exported policies hold, and Seawall comes back by itself.
func testDeath(t *testing.T, c *cluster.Cluster, program string) {
	unguarded(t, c)
	guarded(t, c, "open")
	native(t, c, program)
	namespaces := []string{"default", c.Namespace(t), c.Namespace(t), namespace}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var calls atomic.Int64
	var load sync.WaitGroup
	for _, ns := range namespaces { // under load, before and after
		load.Go(func() {
			for ctx.Err() == nil {
				calls.Add(1)
				if err := try(ctx, c, ns, "fine", ""); err != nil && ctx.Err() == nil {
					t.Errorf("%s: %v", ns, err)
				}
				time.Sleep(20 * time.Millisecond)
			}
		})
	}
	scale(t, c, 0)
	if out, err := kubectl(t, c, configMap("default", "open-a", ""), "create", "--dry-run=server", "-f", "-"); err != nil {
		t.Errorf("nobody judges, and it fails open: %v: %s", err, out)
	}
	pod := fmt.Sprintf("{apiVersion: v1, kind: Pod, metadata: {name: alone}, spec: {terminationGracePeriodSeconds: 0, containers: [{name: a, image: %q}]}}", c.Busybox(t))
	c.Apply(t, namespaces[1], pod)
	c.WaitPod(t, namespaces[1], "alone")
	out, err := kubectl(t, c, strings.Replace(pod, "name: alone", "name: host", 1), "create", "-n", namespaces[2], "--dry-run=server", "-f", "-")
	if err != nil {
		t.Errorf("%v: %s", err, out)
	}
	out, err = kubectl(t, c, strings.Replace(pod, "spec: {", "spec: {hostPID: true, ", 1), "create", "-n", namespaces[2], "--dry-run=server", "-f", "-")
	if err == nil || !strings.Contains(out, "sets hostPID") {
		t.Errorf("the exported policy does not hold: %v: %s", err, out)
	}
	stop()
	load.Wait()
	t.Logf("%d calls while the webhooks died and were dead", calls.Load())
	scale(t, c, 2)

	guarded(t, c, "closed")
	scale(t, c, 0)
	if err := try(t.Context(), c, "default", "fine", ""); err == nil || !strings.Contains(err.Error(), "closed.validate.seawall.io") {
		t.Errorf("nobody judges, and it fails closed: %v", err)
	}
	if err := try(t.Context(), c, namespace, "fine", ""); err != nil {
		t.Errorf("Seawall's own namespace: %v", err)
	}
	if err := try(t.Context(), c, "kube-system", "fine", ""); err != nil {
		t.Errorf("kube-system: %v", err)
	}
	scale(t, c, 2) // closed and dead: it starts all the same
	c.Wait(t, "the webhook", func() error { return try(t.Context(), c, "default", "fine", "") })
}

// native exports a starter policy to the API server itself.
func native(t *testing.T, c *cluster.Cluster, program string) {
	t.Helper()
	manifests := export(t, program)
	for _, m := range manifests {
		c.Apply(t, "", m)
	}
	t.Cleanup(func() {
		for _, m := range manifests {
			for _, o := range cluster.Parse(t, m) {
				if path, err := c.Path(context.Background(), o.String("apiVersion"), o.String("kind"), "", o.Name()); err == nil {
					_ = c.Delete(context.Background(), path)
				}
			}
		}
	})
}

func scale(t *testing.T, c *cluster.Cluster, replicas int) {
	t.Helper()
	path := "/apis/apps/v1/namespaces/" + namespace + "/deployments/seawall"
	if _, err := c.Patch(t.Context(), path, map[string]any{"spec": map[string]any{"replicas": replicas}}); err != nil {
		t.Fatal(err)
	}
	if replicas > 0 {
		ready(t, c)
		return
	}
	c.Wait(t, "the end of all replicas", func() error {
		pods, err := c.Get(t.Context(), "/api/v1/namespaces/"+namespace+"/pods")
		if err != nil || len(pods.List("items")) > 0 {
			return fmt.Errorf("%d pods: %w", len(pods.List("items")), err)
		}
		return nil
	})
}
