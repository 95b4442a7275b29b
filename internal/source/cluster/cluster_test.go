package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/source/cluster"
)

// taken is a snapshot as tests look at it.
type taken struct {
	target  *cluster.Target
	objects map[string]string // JSON by resource
	configs []seawall.ConfigFact
	err     error
}

func take(t testing.TB, f *fake, o cluster.Options) taken {
	t.Helper()
	o.Kubeconfig = f.start(t)
	if o.Wait == nil {
		o.Wait = func(context.Context, time.Duration) error { return nil }
	}
	target, err := cluster.Open(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { target.Close() })
	facts, err := target.Facts(context.Background())
	out := taken{target: target, objects: map[string]string{}, err: err}
	for _, fact := range facts {
		switch {
		case fact.Object != nil:
			out.objects[fact.Object.Resource()] = string(fact.Object.JSON)
		case fact.Config != nil:
			out.configs = append(out.configs, *fact.Config)
		}
	}
	return out
}

// of returns the data of a kind of configuration whose resource is as named.
func (s *taken) of(kind, resource string) map[string]string {
	for _, c := range s.configs {
		if c.Kind == kind && c.Data["resource"] == resource {
			return c.Data
		}
	}
	return nil
}

func TestSnapshot(t *testing.T) {
	f := &fake{lists: map[string][]map[string]any{
		"/api/v1/nodes": {thing("", "n1", map[string]any{"status": map[string]any{
			"images": []any{"big"}, "nodeInfo": map[string]any{"kubeletVersion": "v1.36.3"}}})},
		"/apis/apps/v1/deployments": {thing("shop", "web", map[string]any{"spec": template("app"), "status": map[string]any{"replicas": 1}})},
		"/apis/apps/v1/replicasets": {
			thing("shop", "web-1", map[string]any{"owner": "shop/web", "spec": template("app")}),
			thing("shop", "alone", map[string]any{"owner": "rollout", "spec": template("app")}),
		},
		"/api/v1/pods": {
			thing("shop", "web-1-a", map[string]any{"owner": "shop/web-1", "spec": containers("app")}),
			thing("shop", "web-1-b", map[string]any{"owner": "shop/web-1", "spec": containers("app", "injected")}),
			thing("shop", "web-1-c", map[string]any{"owner": "shop/web-1", "spec": containers("app", "injected")}),
			thing("shop", "bare", map[string]any{"spec": containers("x"), "status": map[string]any{"podIP": "10.0.0.1", "conditions": []any{"c"}}}),
			thing("kube-system", "static", map[string]any{"owner": "n1-uid", "spec": map[string]any{
				"containers": []any{map[string]any{"name": "a", "command": []any{"kube-apiserver", "--profiling=false"}}}}}),
		},
		"/apis/apiextensions.k8s.io/v1/customresourcedefinitions": {thing("", "crd", map[string]any{"spec": map[string]any{
			"group": "g", "versions": []any{map[string]any{"name": "v1", "schema": map[string]any{"openAPIV3Schema": "big"}}}}})},
		"/api/v1/secrets": {
			thing("shop", "tls", map[string]any{"type": "kubernetes.io/tls", "data": map[string]any{"tls.key": "PRIVATE", "tls.crt": "PUBLIC"}}),
			thing("shop", "own", map[string]any{"type": "example.org/own", "data": map[string]any{"x": "PRIVATE"}}),
		},
		"/apis/policy.networking.k8s.io/v1alpha2/clusternetworkpolicies": {thing("", "cnp", nil)},
	}}
	got := take(t, f, cluster.Options{})
	if got.err != nil {
		t.Fatal(got.err)
	}
	want := map[string]string{
		"Node/n1":                      `{"apiVersion":"v1","kind":"Node","metadata":{"name":"n1","uid":"/n1"},"status":{"nodeInfo":{"kubeletVersion":"v1.36.3"}}}`,
		"Deployment/shop/web":          `{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"web","namespace":"shop","uid":"shop/web"},"spec":{"template":{"spec":{"containers":[{"image":"app:1","name":"app"}]}}}}`,
		"ReplicaSet/shop/alone":        `{"apiVersion":"apps/v1","kind":"ReplicaSet","metadata":{"name":"alone","namespace":"shop","ownerReferences":[{"controller":true,"uid":"rollout"}],"uid":"shop/alone"},"spec":{"template":{"spec":{"containers":[{"image":"app:1","name":"app"}]}}}}`,
		"Pod/shop/web-1-b":             `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"web-1-b","namespace":"shop","ownerReferences":[{"controller":true,"uid":"shop/web-1"}],"uid":"shop/web-1-b"},"spec":{"containers":[{"image":"app:1","name":"app"},{"image":"injected:1","name":"injected"}]}}`,
		"Pod/shop/bare":                `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"bare","namespace":"shop","uid":"shop/bare"},"spec":{"containers":[{"image":"x:1","name":"x"}]},"status":{"podIP":"10.0.0.1"}}`,
		"Pod/kube-system/static":       `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"static","namespace":"kube-system","ownerReferences":[{"controller":true,"uid":"n1-uid"}],"uid":"kube-system/static"},"spec":{"containers":[{"command":["kube-apiserver","--profiling=false"],"name":"a"}]}}`,
		"CustomResourceDefinition/crd": `{"apiVersion":"apiextensions.k8s.io/v1","kind":"CustomResourceDefinition","metadata":{"name":"crd","uid":"/crd"},"spec":{"group":"g","versions":[{"name":"v1"}]}}`,
		"Secret/shop/tls":              `{"apiVersion":"v1","kind":"Secret","metadata":{"name":"tls","namespace":"shop","uid":"shop/tls"},"type":"kubernetes.io/tls"}`,
		"Secret/shop/own":              `{"apiVersion":"v1","kind":"Secret","metadata":{"name":"own","namespace":"shop","uid":"shop/own"}}`,
		"ClusterNetworkPolicy/cnp":     `{"apiVersion":"policy.networking.k8s.io/v1alpha2","kind":"ClusterNetworkPolicy","metadata":{"name":"cnp","uid":"/cnp"}}`,
	}
	if diff := cmp.Diff(want, got.objects); diff != "" {
		t.Error(diff)
	}
	for _, c := range []struct {
		resource, served string
	}{{"pods", ""}, {"secrets", ""}, {"/metrics", ""}, {"gateways.gateway.networking.k8s.io", "false"}, {"adminnetworkpolicies.policy.networking.k8s.io", ""}} {
		data := got.of("kubernetes/read", c.resource)
		if data == nil || data["served"] != c.served {
			t.Errorf("kubernetes/read of %s is %v", c.resource, data)
		}
	}
	var rest []seawall.ConfigFact
	for _, c := range got.configs {
		if c.Kind != "kubernetes/read" {
			rest = append(rest, c)
		}
	}
	if diff := cmp.Diff([]seawall.ConfigFact{
		{Kind: "kubernetes/deprecated-api", Data: map[string]string{"group": "batch", "version": "v1beta1", "resource": "cronjobs", "subresource": "", "removed_release": "1.25"}},
		{Kind: "kubernetes/kube-apiserver", Path: "Pod/kube-system/static", Data: map[string]string{"--profiling": "false"}},
		{Kind: "kubernetes/kubelet", Path: "Node/n1", Data: map[string]string{"authentication.anonymous.enabled": "true"}},
		{Kind: "kubernetes/version", Data: map[string]string{"version": "v1.36.3+k3s1", "platform": "linux/amd64", "distribution": "k3s", "managed": "false"}},
	}, rest); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(seawall.Asset{ID: "cluster:1-2-3", Kind: seawall.AssetCluster, Name: "fake"}, got.target.Asset()); diff != "" {
		t.Error(diff)
	}
	for _, r := range f.requests {
		if !strings.HasPrefix(r, "GET ") || strings.Contains(r, "/secrets") && !strings.Contains(r, "as=PartialObjectMetadataList") {
			t.Errorf("request %s", r)
		}
	}
}

func TestCertificates(t *testing.T) {
	f := &fake{lists: map[string][]map[string]any{"/api/v1/secrets": {
		thing("a", "tls", map[string]any{"type": "kubernetes.io/tls", "data": map[string]any{"tls.key": "PRIVATE", "tls.crt": "PUBLIC"}}),
		thing("a", "pass", map[string]any{"type": "Opaque", "data": map[string]any{"tls.crt": "PRIVATE"}}),
	}}}
	got := take(t, f, cluster.Options{Certificates: true})
	if want := `{"apiVersion":"v1","kind":"Secret","metadata":{"name":"tls","namespace":"a","uid":"a/tls"},"type":"kubernetes.io/tls","data":{"tls.crt":"PUBLIC"}}`; got.objects["Secret/a/tls"] != want {
		t.Errorf("got %s", got.objects["Secret/a/tls"])
	}
	if text := fmt.Sprint(got.objects); strings.Contains(text, "PRIVATE") {
		t.Errorf("a secret is in %s", text)
	}
}

// many are n config maps, enough for several pages.
func many(n int) []map[string]any {
	var out []map[string]any
	for i := range n {
		out = append(out, thing("default", fmt.Sprintf("m%04d", i), nil))
	}
	return out
}

func TestTroubles(t *testing.T) {
	const path = "/api/v1/configmaps"
	for _, tt := range []struct {
		name   string
		answer func(w http.ResponseWriter, r *http.Request, nth int) bool // of the nth request for config maps
		count  int
		unread string // part of the reason
		err    string
	}{
		{"pages", func(http.ResponseWriter, *http.Request, int) bool { return false }, 1200, "", ""},
		{"busy", func(w http.ResponseWriter, _ *http.Request, nth int) bool {
			if nth == 2 {
				w.Header().Set("Retry-After", "1")
				status(w, 429, "later")
			}
			return nth == 2
		}, 1200, "", ""},
		{"expired", func(w http.ResponseWriter, r *http.Request, nth int) bool {
			if nth == 3 {
				status(w, 410, "continue expired")
			}
			return nth == 3
		}, 1200, "", ""},
		{"broken off", func(w http.ResponseWriter, r *http.Request, nth int) bool {
			if nth == 1 {
				fmt.Fprint(w, `{"items":[{"metadata":{"name":"twice","namespace":"default"}},{"meta`)
			}
			return nth == 1
		}, 1200, "", ""},
		{"refused", func(w http.ResponseWriter, _ *http.Request, _ int) bool {
			status(w, 403, `configmaps is forbidden: User "me" cannot list`)
			return true
		}, 0, "not allowed to read configmaps: configmaps is forbidden", ""},
		{"refused on the way", func(w http.ResponseWriter, _ *http.Request, nth int) bool {
			if nth > 1 {
				status(w, 403, "forbidden")
			}
			return nth > 1
		}, 0, "not allowed", ""},
		{"always busy", func(w http.ResponseWriter, _ *http.Request, _ int) bool { status(w, 503, "down"); return true }, 0, "down", "configmaps: down"},
		{"always expired", func(w http.ResponseWriter, _ *http.Request, _ int) bool { status(w, 410, "gone"); return true }, 0, "gone", "configmaps: gone"},
		{"no JSON", func(w http.ResponseWriter, _ *http.Request, _ int) bool { fmt.Fprint(w, "<html>"); return true }, 0, "corrupt", "configmaps: "},
		{"no object", func(w http.ResponseWriter, _ *http.Request, _ int) bool {
			fmt.Fprint(w, `{"items":[3]}`)
			return true
		}, 0, "corrupt", "configmaps: "},
		{"in a circle", func(w http.ResponseWriter, r *http.Request, nth int) bool {
			fmt.Fprint(w, `{"metadata":{"continue":"x"},"items":[]}`)
			return true
		}, 0, "again and again", "configmaps: "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := &fake{lists: map[string][]map[string]any{path: many(1200)}}
			nth := 0
			f.before = func(w http.ResponseWriter, r *http.Request) bool {
				if r.URL.Path != path {
					return false
				}
				nth++
				return tt.answer(w, r, nth)
			}
			got := take(t, f, cluster.Options{})
			if len(got.objects) != tt.count {
				t.Errorf("%d objects, want %d", len(got.objects), tt.count)
			}
			if reason := got.of("kubernetes/unread", "configmaps")["reason"]; !strings.Contains(reason, tt.unread) || (tt.unread == "") != (reason == "") {
				t.Errorf("unread because of %q, want %q", reason, tt.unread)
			}
			if read := got.of("kubernetes/read", "configmaps") != nil; read != (tt.unread == "") {
				t.Errorf("read is %v", read)
			}
			var missed seawall.Incomplete
			if errors.As(got.err, &missed) != (tt.err != "") || tt.err != "" && !strings.Contains(got.err.Error(), tt.err) {
				t.Errorf("error %v, want %q", got.err, tt.err)
			}
		})
	}
}

func TestNamespace(t *testing.T) {
	f := &fake{lists: map[string][]map[string]any{
		"/api/v1/namespaces/shop/configmaps": {thing("shop", "mine", nil)},
		"/api/v1/configmaps":                 {thing("other", "theirs", nil)},
		"/api/v1/nodes":                      {thing("", "n", nil)},
		"/api/v1/namespaces":                 {thing("", "shop", nil), thing("", "other", nil)},
	}}
	got := take(t, f, cluster.Options{Namespace: "shop"})
	if diff := cmp.Diff([]string{"ConfigMap/shop/mine", "Namespace/shop", "Node/n"}, keys(got.objects)); diff != "" {
		t.Error(diff)
	}
	if got.of("kubernetes/read", "configmaps")["namespace"] != "shop" || got.of("kubernetes/read", "nodes")["namespace"] != "" {
		t.Error("what was read of one namespace is not told from what was read of all")
	}
}

func TestOpen(t *testing.T) {
	f := &fake{}
	config := f.start(t)
	denied := &fake{before: func(w http.ResponseWriter, _ *http.Request) bool { status(w, 401, "Unauthorized"); return true }}
	for _, tt := range []struct {
		name string
		o    cluster.Options
		is   error
		hint string
	}{
		{"no kubeconfig", cluster.Options{Getenv: func(string) string { return "" }}, seawall.ErrUsage, "--kubeconfig"},
		{"no such file", cluster.Options{Kubeconfig: "/nowhere"}, seawall.ErrUsage, ""},
		{"no such context", cluster.Options{Kubeconfig: config, Context: "there"}, seawall.ErrUsage, "here"},
		{"not let in", cluster.Options{Kubeconfig: denied.start(t)}, seawall.ErrUnreadable, "whoami"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := cluster.Open(context.Background(), tt.o)
			var h *seawall.Hinted
			if !errors.Is(err, tt.is) || tt.hint != "" && (!errors.As(err, &h) || !strings.Contains(h.Hint, tt.hint)) {
				t.Errorf("error %v, hint %+v", err, h)
			}
			if err != nil && strings.Contains(err.Error(), "secret-token") {
				t.Errorf("the token is in %v", err)
			}
		})
	}
	env := map[string]string{"KUBECONFIG": "/nowhere:" + config}
	if _, err := cluster.Open(context.Background(), cluster.Options{Getenv: func(k string) string { return env[k] }}); err != nil {
		t.Error(err)
	}
}

func keys(m map[string]string) []string {
	var out []string
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}
