// Package reviews_test asks the admission handler what a real API server asks it, and
// keeps the questions as samples for the handler's own tests (-update).
package reviews_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seawall-security/seawall/internal/admission"
	"github.com/seawall-security/seawall/internal/compliance"
	"github.com/seawall-security/seawall/internal/detect"
	"github.com/seawall-security/seawall/internal/detect/misconfig/kubernetes"
	"github.com/seawall-security/seawall/internal/policy"
	"github.com/seawall-security/seawall/internal/testenv"
	"github.com/seawall-security/seawall/test/cluster/cluster"
	"github.com/seawall-security/seawall/test/cluster/pki"
)

func TestMain(m *testing.M) { testenv.Main(m) }

var update = flag.Bool("update", false, "write the reviews to internal/admission/testdata")

const samples = "../../../internal/admission/testdata"

// TestReviews: what the handler answers is what users of the API server get.
func TestReviews(t *testing.T) {
	c := cluster.Shared(t)
	ns := c.Namespace(t, "owner=test", "seawall.io/pod-security-enforce=baseline", "seawall.io/pod-security-warn=restricted")
	w := serve(t, c)
	w.register(t, ns)
	other := fmt.Sprintf("%s-other", ns)
	t.Cleanup(func() {
		for _, path := range []string{"/api/v1/namespaces/" + other, "/apis/rbac.authorization.k8s.io/v1/clusterroles/" + ns} {
			_ = c.Delete(context.Background(), path)
		}
	})
	pod := func(name, image string, more string) string {
		return fmt.Sprintf(`{"apiVersion":"v1","kind":"Pod","metadata":{"name":%q,"labels":{"keep":"yes"}},"spec":{"containers":[{"name":"c","image":%q,"command":["sleep","600"]%s}]}}`, name, image, more)
	}
	busybox := c.Busybox(t)
	inNamespace := "/api/v1/namespaces/" + ns
	for _, step := range []struct {
		name, method, path, body string
		denied                   []string // parts of the message; none: allowed
		warned                   string
	}{
		{"pod-latest", "POST", inNamespace + "/pods", pod("bad", "nginx", ""), []string{"Pod/" + ns + "/bad", "no-latest/latest: docker.io/library/nginx:latest: name a version (spec.containers[0].image)"}, ""},
		{"pod-privileged", "POST", inNamespace + "/pods", pod("bad", "nginx", `,"securityContext":{"privileged":true}`), []string{"no-latest/latest", "pod-security/enforce", "spec.containers[0].securityContext.privileged", "fix: "}, ""},
		{"pod", "POST", inNamespace + "/pods", pod("web", busybox, ""), nil, "pod-security/warn"},
		{"pod-metadata", "PATCH", inNamespace + "/pods/web", `{"metadata":{"finalizers":["seawall.io/test"]}}`, nil, ""},
		{"pod-metadata-back", "PATCH", inNamespace + "/pods/web", `{"metadata":{"finalizers":null}}`, nil, ""},
		{"pod-ephemeral", "PATCH", inNamespace + "/pods/web/ephemeralcontainers", `{"spec":{"ephemeralContainers":[{"name":"debug","image":"busybox"}]}}`, []string{"docker.io/library/busybox:latest: name a version (spec.ephemeralContainers[0].image)"}, ""},
		{"pod-exec", "POST", inNamespace + "/pods/web/exec?command=sh&stdout=true", "", []string{"PodExecOptions/" + ns + "/web", "no-exec/shell: no shells"}, ""},
		{"pod-portforward", "POST", inNamespace + "/pods/web/portforward?ports=80", "", []string{"no portforward"}, ""},
		{"pod-proxy", "GET", inNamespace + "/pods/web/proxy/x", "", []string{"no proxy"}, ""},
		{"pod-delete", "DELETE", inNamespace + "/pods/web", "", []string{"keep/keep: is to be kept"}, ""},
		{"deployment", "POST", "/apis/apps/v1/namespaces/" + ns + "/deployments", `{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"web"},"spec":{"replicas":0,"selector":{"matchLabels":{"a":"b"}},"template":{"metadata":{"labels":{"a":"b"}},"spec":{"hostNetwork":true,"containers":[{"name":"c","image":"nginx"}]}}}}`,
			[]string{"Deployment/" + ns + "/web: against 2 rules of Seawall", "spec.template.spec.containers[0].image", "spec.template.spec.hostNetwork"}, ""},
		{"deployment-good", "POST", "/apis/apps/v1/namespaces/" + ns + "/deployments", `{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"web"},"spec":{"replicas":0,"selector":{"matchLabels":{"a":"b"}},"template":{"metadata":{"labels":{"a":"b"}},"spec":{"containers":[{"name":"c","image":"nginx:1"}]}}}}`, nil, "its pods would be changed"},
		{"scale", "PATCH", "/apis/apps/v1/namespaces/" + ns + "/deployments/web/scale", `{"spec":{"replicas":5}}`, []string{"scale/many: too many"}, ""},
		{"service", "POST", inNamespace + "/services", `{"apiVersion":"v1","kind":"Service","metadata":{"name":"web"},"spec":{"type":"NodePort","ports":[{"port":80}]}}`, []string{"powers/node-port"}, ""},
		{"ingress", "POST", "/apis/networking.k8s.io/v1/namespaces/" + ns + "/ingresses", `{"apiVersion":"networking.k8s.io/v1","kind":"Ingress","metadata":{"name":"web"},"spec":{"defaultBackend":{"service":{"name":"web","port":{"number":80}}}}}`, nil, "powers/plain: is not encrypted"},
		{"secret", "POST", inNamespace + "/secrets", `{"apiVersion":"v1","kind":"Secret","metadata":{"name":"t","annotations":{"kubernetes.io/service-account.name":"default"}},"type":"kubernetes.io/service-account-token"}`, []string{"powers/token"}, ""},
		{"namespace", "POST", "/api/v1/namespaces", `{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"` + other + `","labels":{"seawall-test":"` + ns + `"}}}`, []string{"Namespace/" + other + ":", "powers/owner"}, ""},
		{"clusterrole", "POST", "/apis/rbac.authorization.k8s.io/v1/clusterroles", `{"apiVersion":"rbac.authorization.k8s.io/v1","kind":"ClusterRole","metadata":{"name":"` + ns + `","labels":{"seawall-test":"` + ns + `"}},"rules":[{"apiGroups":[""],"resources":["pods"],"verbs":["*"]}]}`, []string{"powers/all"}, ""},
	} {
		contentType := "application/json"
		if step.method == "PATCH" {
			contentType = "application/merge-patch+json"
		}
		_, err := c.Do(t.Context(), step.method, step.path, contentType, []byte(step.body))
		w.keep(t, step.name, ns)
		warnings := strings.Join(w.last.Response.Warnings, "\n")
		switch {
		case step.denied == nil && err != nil:
			t.Errorf("%s: %v", step.name, err)
		case step.denied == nil && !strings.Contains(warnings, step.warned):
			t.Errorf("%s: warnings %q, want %q", step.name, warnings, step.warned)
		case step.denied != nil && cluster.Code(err) != http.StatusForbidden:
			t.Errorf("%s: %v, want a refusal", step.name, err)
		}
		for _, part := range step.denied {
			if err == nil || !strings.Contains(err.Error(), part) {
				t.Errorf("%s: it does not say %q:\n%v", step.name, part, err)
			}
		}
	}
	created, err := c.Get(t.Context(), inNamespace+"/pods/web")
	if err != nil {
		t.Fatal(err)
	}
	if team := fmt.Sprint(created["metadata"].(map[string]any)["labels"].(map[string]any)["team"]); team != "nobody" {
		t.Errorf("the pod was not changed: team %s", team)
	}
}

// webhook serves the handler to the cluster and has the last review.
type webhook struct {
	cluster *cluster.Cluster
	url     string
	ca      []byte

	mu   sync.Mutex
	body []byte
	last struct {
		Response struct{ Warnings []string }
	}
}

func serve(t *testing.T, c *cluster.Cluster) *webhook {
	text, err := os.ReadFile(filepath.Join(samples, "policies.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	set, err := policy.Parse("policies.yaml", text)
	if err != nil {
		t.Fatal(err)
	}
	snapshot, err := admission.NewSnapshot(set, []string{"seawall.io/pod-security-"})
	if err != nil {
		t.Fatal(err)
	}
	controls, err := kubernetes.New(kubernetes.Options{})
	if err != nil {
		t.Fatal(err)
	}
	handler, err := admission.New(admission.Config{
		Policies: func() *admission.Snapshot { return snapshot },
		Namespace: func(ctx context.Context, name string) (map[string]any, error) {
			return c.Get(ctx, "/api/v1/namespaces/"+name)
		},
		Detectors: []detect.Detector{controls}, Frameworks: compliance.NewMapper().Frameworks,
	})
	if err != nil {
		t.Fatal(err)
	}
	authority, err := pki.NewAuthority("webhook")
	if err != nil {
		t.Fatal(err)
	}
	pair, err := authority.Issue(pki.Leaf{CommonName: "webhook", Addresses: []net.IP{net.ParseIP(c.HostAddress)}})
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := tls.X509KeyPair(pair.Cert, pair.Key)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := tls.Listen("tcp", net.JoinHostPort(c.HostAddress, "0"), &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12})
	if err != nil {
		t.Fatal(err)
	}
	w := &webhook{cluster: c, url: "https://" + listener.Addr().String(), ca: authority.CertPEM}
	server := &http.Server{ReadHeaderTimeout: 10 * time.Second, Handler: http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
		body, _ := io.ReadAll(req.Body)
		req.Body = io.NopCloser(bytes.NewReader(body))
		answer := &recorder{ResponseWriter: rw}
		handler.ServeHTTP(answer, req)
		w.mu.Lock()
		defer w.mu.Unlock()
		if strings.HasPrefix(req.URL.Path, "/validate") {
			w.body = body
			_ = json.Unmarshal(answer.body.Bytes(), &w.last)
		}
	})}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close() })
	return w
}

type recorder struct {
	http.ResponseWriter
	body bytes.Buffer
}

func (r *recorder) Write(b []byte) (int, error) {
	r.body.Write(b)
	return r.ResponseWriter.Write(b)
}

// register has the API server ask about the namespace and what is labelled with it.
func (w *webhook) register(t *testing.T, ns string) {
	client := func(path string) map[string]any {
		return map[string]any{"url": w.url + path, "caBundle": w.ca}
	}
	rule := func(operations string, resources ...string) map[string]any {
		return map[string]any{"operations": strings.Split(operations, ","), "apiGroups": []string{"*"}, "apiVersions": []string{"*"}, "resources": resources}
	}
	hook := func(name, path string, more map[string]any, rules ...map[string]any) map[string]any {
		out := map[string]any{"name": name, "clientConfig": client(path), "rules": rules, "failurePolicy": "Fail", "sideEffects": "None",
			"admissionReviewVersions": []string{"v1"}, "timeoutSeconds": 10}
		for k, v := range more {
			out[k] = v
		}
		return out
	}
	here := map[string]any{"namespaceSelector": map[string]any{"matchLabels": map[string]string{"kubernetes.io/metadata.name": ns}}}
	labelled := map[string]any{"objectSelector": map[string]any{"matchLabels": map[string]string{"seawall-test": ns}}}
	for kind, hooks := range map[string][]map[string]any{
		"ValidatingWebhookConfiguration": {
			hook("here.test.seawall.io", "/validate", here, rule("CREATE,UPDATE", "pods", "pods/ephemeralcontainers", "deployments", "deployments/scale", "services", "ingresses", "secrets"),
				rule("CONNECT", "pods/exec", "pods/portforward", "pods/proxy"), rule("DELETE", "pods")),
			hook("labelled.test.seawall.io", "/validate", labelled, rule("CREATE", "namespaces", "clusterroles")),
		},
		"MutatingWebhookConfiguration": {hook("mutate.test.seawall.io", "/mutate", here, rule("CREATE", "pods"))},
	} {
		path := "/apis/admissionregistration.k8s.io/v1/" + strings.ToLower(kind) + "s"
		_, err := w.cluster.Post(t.Context(), path, map[string]any{"apiVersion": "admissionregistration.k8s.io/v1", "kind": kind, "metadata": map[string]any{"name": ns}, "webhooks": hooks})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = w.cluster.Delete(context.Background(), path+"/"+ns) })
	}
	// The API server reads its configurations a moment later.
	w.cluster.Wait(t, "the webhook", func() error {
		_, err := w.cluster.Do(t.Context(), "POST", "/api/v1/namespaces/"+ns+"/secrets?dryRun=All", "application/json",
			[]byte(`{"apiVersion":"v1","kind":"Secret","metadata":{"name":"probe"}}`))
		w.mu.Lock()
		defer w.mu.Unlock()
		if err == nil && w.body == nil {
			return fmt.Errorf("it was not asked")
		}
		return err
	})
}

// keep writes the last review as a sample, without what differs each time.
func (w *webhook) keep(t *testing.T, name, ns string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !*update {
		return
	}
	var out bytes.Buffer
	if err := json.Indent(&out, bytes.ReplaceAll(w.body, []byte(ns), []byte("shop")), "", " "); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(samples, "reviews", name+".json"), out.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
}
