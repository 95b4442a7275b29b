package admission_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seawall-security/seawall/internal/admission"
	"github.com/seawall-security/seawall/internal/compliance"
	"github.com/seawall-security/seawall/internal/detect"
	"github.com/seawall-security/seawall/internal/detect/misconfig/kubernetes"
	"github.com/seawall-security/seawall/internal/policy"
	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }

var update = flag.Bool("update", false, "write the golden files")

func now() time.Time { return time.Date(2026, 11, 21, 9, 0, 0, 0, time.UTC) }

func snapshot(t testing.TB, text string, podSecurity ...string) *admission.Snapshot {
	t.Helper()
	set, err := policy.Parse("test.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	s, err := admission.NewSnapshot(set, podSecurity)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// document is a policy for deploy: the rest of its spec.
func document(name, spec string) string {
	return "---\napiVersion: seawall.io/v1alpha1\nkind: Policy\nmetadata: {name: " + name + "}\nspec:\n  phases: [deploy]\n" + spec
}

func handler(t testing.TB, s *admission.Snapshot, adjust func(*admission.Config)) *admission.Handler {
	t.Helper()
	c := admission.Config{Policies: func() *admission.Snapshot { return s }, Cluster: "test", Now: now}
	if adjust != nil {
		adjust(&c)
	}
	h, err := admission.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// reply is a review's response, as the API server reads it.
type reply struct {
	UID     string
	Allowed bool
	Status  struct {
		Code            int
		Reason, Message string
	}
	Patch            []byte
	PatchType        string
	AuditAnnotations map[string]string
	Warnings         []string
}

// post asks the handler and reads its answer.
func post(t testing.TB, h http.Handler, path string, body []byte) reply {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodPost, path, bytes.NewReader(body)))
	if w.Code != http.StatusOK {
		t.Fatalf("%d: %s", w.Code, w.Body)
	}
	var review struct {
		APIVersion, Kind string
		Response         reply
	}
	if err := json.Unmarshal(w.Body.Bytes(), &review); err != nil {
		t.Fatal(err)
	}
	if review.APIVersion != "admission.k8s.io/v1" || review.Kind != "AdmissionReview" {
		t.Fatalf("%s", w.Body)
	}
	return review.Response
}

// review is a request about an object.
func review(operation string, object map[string]any, adjust ...func(request map[string]any)) []byte {
	version, _ := object["apiVersion"].(string)
	group, v, ok := strings.Cut(version, "/")
	if !ok {
		group, v = "", group
	}
	meta, _ := object["metadata"].(map[string]any)
	request := map[string]any{
		"uid": "u-1", "kind": map[string]any{"group": group, "version": v, "kind": object["kind"]}, "resource": map[string]any{"resource": strings.ToLower(fmt.Sprint(object["kind"])) + "s"},
		"name": meta["name"], "namespace": meta["namespace"], "operation": operation, "userInfo": map[string]any{"username": "jane"}, "object": object,
	}
	for _, a := range adjust {
		a(request)
	}
	body, err := json.Marshal(map[string]any{"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request})
	if err != nil {
		panic(err)
	}
	return body
}

func pod(images ...string) map[string]any {
	containers := []any{}
	for i, image := range images {
		containers = append(containers, map[string]any{"name": fmt.Sprint("c", i), "image": image})
	}
	return map[string]any{"apiVersion": "v1", "kind": "Pod", "metadata": map[string]any{"name": "web", "namespace": "shop"}, "spec": map[string]any{"containers": containers}}
}

// TestSamples: the answers to what a real API server asked (test/cluster/reviews).
func TestSamples(t *testing.T) {
	text, err := os.ReadFile("testdata/policies.yaml")
	if err != nil {
		t.Fatal(err)
	}
	controls, err := kubernetes.New(kubernetes.Options{})
	if err != nil {
		t.Fatal(err)
	}
	h := handler(t, snapshot(t, string(text), "seawall.io/pod-security-"), func(c *admission.Config) {
		c.Detectors, c.Frameworks = []detect.Detector{controls}, compliance.NewMapper().Frameworks
		c.Namespace = func(context.Context, string) (map[string]any, error) {
			return map[string]any{"kind": "Namespace", "metadata": map[string]any{"name": "shop", "labels": map[string]any{"seawall.io/pod-security-enforce": "baseline"}}}, nil
		}
	})
	files, err := filepath.Glob("testdata/reviews/*.json")
	if err != nil || len(files) < 15 {
		t.Fatal(len(files), err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".json")
		body, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var out strings.Builder
		for _, hook := range []string{"/validate", "/mutate"} {
			got := post(t, h, hook, body)
			if !bytes.Contains(body, []byte(`"uid": "`+got.UID+`"`)) {
				t.Errorf("%s: uid %s", name, got.UID)
			}
			fmt.Fprintf(&out, "%s: allowed %v\n", hook, got.Allowed)
			if !got.Allowed {
				fmt.Fprintf(&out, "%d %s\n%s\n", got.Status.Code, got.Status.Reason, got.Status.Message)
			}
			for _, w := range got.Warnings {
				fmt.Fprintln(&out, "warning:", w)
			}
			for _, key := range slices.Sorted(maps.Keys(got.AuditAnnotations)) {
				fmt.Fprintf(&out, "audit: %s %s\n", key, got.AuditAnnotations[key])
			}
			if got.Patch != nil {
				fmt.Fprintf(&out, "%s: %s\n", got.PatchType, got.Patch)
			}
		}
		golden := filepath.Join("testdata", "answers", name+".txt")
		if *update {
			if err := os.WriteFile(golden, []byte(out.String()), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), out.String()); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

// TestAsked: who is asked about what.
func TestAsked(t *testing.T) {
	s := snapshot(t, document("open", "  rules: [{name: a, when: object.metadata.name == \"web\", action: block, message: m}]\n")+
		document("closed", "  failure: closed\n  match: {operations: [CREATE, DELETE]}\n  rules: [{name: b, when: object.metadata.name == \"web\", action: block, message: m}]\n"))
	h := handler(t, s, func(c *admission.Config) { c.Exempt = []string{"kube-*", "seawall"} })
	old := func(o map[string]any) func(map[string]any) {
		return func(r map[string]any) { r["oldObject"] = o }
	}
	deleted := func(r map[string]any) { r["oldObject"], r["object"] = r["object"], nil }
	sub := func(name string) func(map[string]any) {
		return func(r map[string]any) { r["subResource"] = name }
	}
	in := func(namespace string) func(map[string]any) {
		return func(r map[string]any) { r["namespace"] = namespace }
	}
	changed, noted, leaving := pod("nginx:2"), pod("nginx"), pod("nginx:2")
	noted["metadata"].(map[string]any)["finalizers"] = []any{"x"}
	noted["status"] = map[string]any{"phase": "Running"}
	leaving["metadata"].(map[string]any)["deletionTimestamp"] = "2026-11-21T00:00:00Z"
	for _, tc := range []struct {
		name, path string
		body       []byte
		want       string // the rules that deny
	}{
		{"create", "/validate", review("CREATE", pod("nginx")), "a b"},
		{"open", "/validate/open", review("CREATE", pod("nginx")), "a"},
		{"closed", "/validate/closed", review("CREATE", pod("nginx")), "b"},
		{"update", "/validate", review("UPDATE", changed, old(pod("nginx"))), "a"},
		{"notes of controllers", "/validate", review("UPDATE", noted, old(pod("nginx"))), ""},
		{"on its way out", "/validate", review("UPDATE", leaving, old(pod("nginx"))), ""},
		{"delete", "/validate", review("DELETE", pod("nginx"), deleted), "b"},
		{"connect", "/validate", review("CONNECT", map[string]any{"apiVersion": "v1", "kind": "PodExecOptions", "metadata": map[string]any{"name": "web"}}), ""},
		{"subresource of its own kind", "/validate", review("CREATE", map[string]any{"apiVersion": "policy/v1", "kind": "Eviction", "metadata": map[string]any{"name": "web"}}, sub("eviction")), ""},
		{"ephemeral containers", "/validate", review("UPDATE", changed, old(pod("nginx")), sub("ephemeralcontainers")), "a"},
		{"exempt", "/validate", review("CREATE", pod("nginx"), in("kube-system")), ""},
		{"nothing to mutate", "/mutate", review("CREATE", pod("nginx")), ""},
	} {
		got := post(t, h, tc.path, tc.body)
		var rules []string
		for _, rule := range []string{"a", "b"} {
			if strings.Contains(got.AuditAnnotations["decisions"], `"rule":"`+rule+`"`) {
				rules = append(rules, rule)
			}
		}
		if strings.Join(rules, " ") != tc.want || got.Allowed != (tc.want == "") {
			t.Errorf("%s: %+v, want %q", tc.name, got, tc.want)
		}
	}
}

// TestMalformed: what is no review is refused as such, and nothing hangs or panics.
func TestMalformed(t *testing.T) {
	h := handler(t, snapshot(t, document("p", "  rules: [{name: a, when: object.kind == \"Pod\", action: block, message: m}]\n")), nil)
	good := string(review("CREATE", pod("nginx")))
	for _, tc := range []struct {
		method, path, body string
		want               int
	}{
		{"GET", "/validate", good, http.StatusMethodNotAllowed},
		{"POST", "/validated", good, http.StatusNotFound},
		{"POST", "/validate/", good, http.StatusNotFound},
		{"POST", "/validate", "", http.StatusBadRequest},
		{"POST", "/validate", "null", http.StatusBadRequest},
		{"POST", "/validate", "[]", http.StatusBadRequest},
		{"POST", "/validate", good[:len(good)-10], http.StatusBadRequest},
		{"POST", "/validate", strings.Replace(good, "admission.k8s.io/v1", "admission.k8s.io/v1beta1", 1), http.StatusBadRequest},
		{"POST", "/validate", strings.Replace(good, `"u-1"`, `""`, 1), http.StatusBadRequest},
		{"POST", "/validate", strings.Replace(good, `"CREATE"`, `"create"`, 1), http.StatusBadRequest},
		{"POST", "/validate", `{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":"1","operation":"CREATE","kind":{"kind":"Pod"},"object":[]}}`, http.StatusBadRequest},
		{"POST", "/validate", strings.Repeat(`{"a":`, 50_000), http.StatusBadRequest},
		{"POST", "/validate", strings.Repeat("[", 9<<20), http.StatusBadRequest},
		{"POST", "/validate", strings.Repeat(" ", 11<<20), http.StatusRequestEntityTooLarge},
		{"POST", "/validate?timeout=never", good, http.StatusOK},
	} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), tc.method, tc.path, strings.NewReader(tc.body)))
		if w.Code != tc.want {
			t.Errorf("%s %s %.60s: %d %s, want %d", tc.method, tc.path, tc.body, w.Code, w.Body, tc.want)
		}
	}
	// A body without a length is bounded all the same, and one that ends early is told.
	for body, want := range map[io.Reader]int{io.MultiReader(strings.NewReader(good)): http.StatusOK,
		io.MultiReader(strings.NewReader(strings.Repeat(" ", 10<<20)), strings.NewReader(good)): http.StatusRequestEntityTooLarge} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "POST", "/validate", body))
		if w.Code != want {
			t.Errorf("%d %s, want %d", w.Code, w.Body, want)
		}
	}
	short := httptest.NewRequestWithContext(t.Context(), "POST", "/validate", strings.NewReader(good))
	short.ContentLength += 10
	w := httptest.NewRecorder()
	if h.ServeHTTP(w, short); w.Code != http.StatusBadRequest {
		t.Errorf("a body that ends early: %d", w.Code)
	}
}

// TestHuge: reviews of 3 MB, of text or of many small things, are judged.
func TestHuge(t *testing.T) {
	h := handler(t, snapshot(t, document("p", "  rules: [{name: a, when: 'object.data.exists(k, k == \"bad\")', action: block, message: m}]\n")), nil)
	data := map[string]any{"blob": strings.Repeat("a\u00e4<", 1<<19)}
	for i := range 20_000 {
		data[fmt.Sprint("key-", i)] = "value"
	}
	object := map[string]any{"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"name": "c", "namespace": "shop"}, "data": data}
	body := review("CREATE", object)
	if len(body) < 3<<20 {
		t.Fatal(len(body))
	}
	if got := post(t, h, "/validate?timeout=30s", body); !got.Allowed || len(got.Warnings) > 0 {
		t.Errorf("%+v", got)
	}
	data["bad"] = ""
	if got := post(t, h, "/validate?timeout=30s", review("CREATE", object)); got.Allowed {
		t.Errorf("%+v", got)
	}
}

// TestNoSecrets: what a Secret holds is in no answer, record or log.
func TestNoSecrets(t *testing.T) {
	const value = "aHVudGVyMg=="
	var log bytes.Buffer
	var decided []seawall.Decision
	h := handler(t, snapshot(t, document("p", `  failure: closed
  rules:
  - {name: a, when: object.kind == "Secret", action: block, message: m}
  - {name: b, when: object.data.password.size() > object.nothing, action: block, message: m}
  - {name: c, when: int(object.data.password) > 1, action: block, message: m}
`)), func(c *admission.Config) {
		c.Log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
		c.Decided = func(d *seawall.Decision) { decided = append(decided, *d) }
	})
	body := review("CREATE", map[string]any{"apiVersion": "v1", "kind": "Secret", "metadata": map[string]any{"name": "s", "namespace": "shop"}, "data": map[string]any{"password": value}})
	got := post(t, h, "/validate", body)
	if got.Allowed || len(decided) != 3 {
		t.Fatalf("%+v", got)
	}
	if all := fmt.Sprintf("%+v %+v %s", got, decided, &log); strings.Contains(all, value) {
		t.Error(all)
	}
}

// failing is a detector that does what it is told.
type failing struct{ detect func(context.Context) error }

func (failing) Name() string { return "failing" }

func (f failing) Detect(ctx context.Context, _ detect.Facts) (detect.Result, error) {
	return detect.Result{}, f.detect(ctx)
}

// TestFailureModes: what cannot be judged passes with a warning where all policies for
// it are open, and is denied where one is closed.
func TestFailureModes(t *testing.T) {
	spec := "  rules: [{name: a, when: 'finding.kind == \"misconfiguration\"', action: block}]\n"
	s := snapshot(t, document("open", spec)+document("closed", "  failure: closed\n  match: {namespaces: [bank]}\n"+spec))
	in := func(namespace string) []byte {
		o := pod("nginx")
		o["metadata"].(map[string]any)["namespace"] = namespace
		return review("CREATE", o)
	}
	for name, tc := range map[string]struct {
		detect       func(context.Context) error
		timeout, why string
	}{
		"error":    {func(context.Context) error { return errors.New("no rules") }, "30s", "no rules"},
		"panic":    {func(context.Context) error { panic("secret detail") }, "30s", "an internal error"},
		"deadline": {func(context.Context) error { <-t.Context().Done(); return nil }, "50ms", "no answer in time"},
	} {
		t.Run(name, func(t *testing.T) {
			h := handler(t, s, func(c *admission.Config) { c.Detectors = []detect.Detector{failing{tc.detect}} })
			got := post(t, h, "/validate?timeout="+tc.timeout, in("shop"))
			if !got.Allowed || len(got.Warnings) != 1 || !strings.Contains(got.Warnings[0], tc.why) || got.AuditAnnotations["outcome"] != "failed-open" {
				t.Errorf("open: %+v", got)
			}
			got = post(t, h, "/validate?timeout="+tc.timeout, in("bank"))
			if got.Allowed || got.Status.Code != http.StatusServiceUnavailable || !strings.Contains(got.Status.Message, tc.why) || !strings.Contains(got.Status.Message, "closed") {
				t.Errorf("closed: %+v", got)
			}
			if got = post(t, h, "/validate/open?timeout="+tc.timeout, in("bank")); !got.Allowed {
				t.Errorf("the open ones alone: %+v", got)
			}
		})
	}
}

// counting is a detector that finds one thing about every object and counts its calls.
type counting struct{ calls int }

func (*counting) Name() string { return "counting" }

func (c *counting) Detect(_ context.Context, f detect.Facts) (detect.Result, error) {
	c.calls++
	o := f.Objects[0]
	location := o.Location("spec")
	return detect.Result{Findings: []seawall.Finding{{Kind: seawall.KindMisconfiguration, Rule: "X", Status: seawall.StatusFail, Title: "bad", Location: &location, Locations: []seawall.Location{location}}}}, nil
}

// TestLikeness: pods of one template are judged by controls once, each under its own
// name, and so is what is applied again; what differs in more is judged anew.
func TestLikeness(t *testing.T) {
	d := &counting{}
	h := handler(t, snapshot(t, document("p", "  rules: [{name: a, when: 'finding.rule == \"X\"', action: block}]\n")), func(c *admission.Config) { c.Detectors = []detect.Detector{d} })
	replica := func(name, image string) map[string]any {
		p := pod(image)
		p["metadata"] = map[string]any{"name": name, "generateName": "web-", "namespace": "shop"}
		p["spec"].(map[string]any)["volumes"] = []any{map[string]any{"name": "kube-api-access-" + name}}
		return p
	}
	for i, tc := range []struct {
		object map[string]any
		name   string
		calls  int
	}{
		{replica("aaaaa", "nginx"), "Pod/shop/aaaaa", 1},
		{replica("bbbbb", "nginx"), "Pod/shop/bbbbb", 1},
		{replica("ccccc", "nginx:2"), "Pod/shop/ccccc", 2},
		{replica("cccccc", "nginx:2"), "Pod/shop/cccccc", 3}, // no token's volume that the API server named
		{map[string]any{"apiVersion": "v1", "kind": "Service", "metadata": map[string]any{"name": "a", "namespace": "shop"}}, "Service/shop/a", 4},
		{map[string]any{"apiVersion": "v1", "kind": "Service", "metadata": map[string]any{"name": "b", "namespace": "shop"}}, "Service/shop/b", 5},
		{map[string]any{"apiVersion": "v1", "kind": "Service", "metadata": map[string]any{"name": "b", "namespace": "shop", "resourceVersion": "7"}, "status": map[string]any{}}, "Service/shop/b", 5},
		{pod("nginx"), "Pod/shop/web", 6},
	} {
		got := post(t, h, "/validate", review("CREATE", tc.object))
		if got.Allowed || !strings.HasPrefix(got.Status.Message, tc.name+":") || d.calls != tc.calls {
			t.Errorf("%d: after %d calls: %+v", i, d.calls, got)
		}
	}
}

// TestOverload: who finds no room is answered by failure mode, in time; the room comes
// back when it is free.
func TestOverload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		block := make(chan struct{})
		spec := "  rules: [{name: a, when: 'finding.kind == \"misconfiguration\"', action: block}]\n"
		h := handler(t, snapshot(t, document("open", spec)+document("closed", "  failure: closed\n  match: {namespaces: [bank]}\n"+spec)), func(c *admission.Config) {
			c.Now, c.Limits = time.Now, admission.Limits{Body: 128 << 10, InFlight: 128 << 10}
			c.Namespace = func(context.Context, string) (map[string]any, error) { <-block; return nil, nil }
		})
		service := func(namespace, name string) []byte {
			return review("CREATE", map[string]any{"apiVersion": "v1", "kind": "Service", "metadata": map[string]any{"name": name, "namespace": namespace}})
		}
		for range 2 { // their answers come by deadline; what they began goes on
			if got := post(t, h, "/validate?timeout=1s", service("shop", "a")); !got.Allowed || !strings.Contains(got.Warnings[0], "no answer in time") {
				t.Errorf("%+v", got)
			}
		}
		start := time.Now()
		if got := post(t, h, "/validate?timeout=1s", service("shop", "b")); !got.Allowed || len(got.Warnings) != 1 || !strings.Contains(got.Warnings[0], "too many reviews at once") {
			t.Errorf("open: %+v", got)
		}
		if got := post(t, h, "/validate?timeout=1s", service("bank", "b")); got.Allowed || got.Status.Code != http.StatusServiceUnavailable {
			t.Errorf("closed: %+v", got)
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "POST", "/validate?timeout=1s", bytes.NewReader(service("shop", strings.Repeat("b", 50<<10)))))
		if w.Code != http.StatusServiceUnavailable {
			t.Errorf("a large one: %d", w.Code)
		}
		if took := time.Since(start); took > 3*time.Second {
			t.Errorf("three answers took %s", took)
		}
		close(block)
		synctest.Wait()
		if got := post(t, h, "/validate?timeout=1s", service("bank", "c")); !got.Allowed || len(got.Warnings) > 0 {
			t.Errorf("when there is room again: %+v", got)
		}
	})
}

// TestPodSecurity: labels of the namespace set the level; exemptions are exceptions.
func TestPodSecurity(t *testing.T) {
	controls, err := kubernetes.New(kubernetes.Options{})
	if err != nil {
		t.Fatal(err)
	}
	exception := `---
apiVersion: seawall.io/v1alpha1
kind: PolicyException
metadata: {name: agent, namespace: shop}
spec: {policy: pod-security, rules: [enforce], owner: o, reason: r, expires: %s, when: object.metadata.name == "web"}
`
	privileged, plain := pod("nginx:1"), pod("nginx:1")
	privileged["spec"].(map[string]any)["hostPID"] = true
	for _, tc := range []struct {
		name, exception string
		labels          map[string]any
		object          map[string]any
		allowed         bool
		warnings        int
	}{
		{"no label", "", nil, privileged, true, 0},
		{"privileged", "", map[string]any{"seawall.io/pod-security-enforce": "privileged"}, privileged, true, 0},
		{"baseline", "", map[string]any{"seawall.io/pod-security-enforce": "baseline"}, privileged, false, 0},
		{"baseline, a pod that keeps to it", "", map[string]any{"seawall.io/pod-security-enforce": "baseline"}, plain, true, 0},
		{"restricted", "", map[string]any{"seawall.io/pod-security-enforce": "restricted"}, plain, false, 0},
		{"no level", "", map[string]any{"seawall.io/pod-security-enforce": "strict"}, plain, false, 0},
		{"the standard label", "", map[string]any{"pod-security.kubernetes.io/enforce": "baseline"}, privileged, false, 0},
		{"ours counts first", "", map[string]any{"pod-security.kubernetes.io/enforce": "baseline", "seawall.io/pod-security-enforce": "privileged"}, privileged, true, 0},
		{"warn", "", map[string]any{"seawall.io/pod-security-warn": "baseline"}, privileged, true, 1},
		{"audit", "", map[string]any{"seawall.io/pod-security-audit": "restricted"}, privileged, true, 0},
		{"exempt", fmt.Sprintf(exception, "2026-12-31"), map[string]any{"seawall.io/pod-security-enforce": "baseline"}, privileged, true, 0},
		{"exempt until yesterday", fmt.Sprintf(exception, "2026-11-20"), map[string]any{"seawall.io/pod-security-enforce": "baseline"}, privileged, false, 0},
		{"exempt for too long", fmt.Sprintf(exception, "2027-12-31"), map[string]any{"seawall.io/pod-security-enforce": "baseline"}, privileged, false, 0},
	} {
		s := snapshot(t, tc.exception, "seawall.io/pod-security-", "pod-security.kubernetes.io/")
		h := handler(t, s, func(c *admission.Config) {
			c.Detectors, c.Frameworks = []detect.Detector{controls}, compliance.NewMapper().Frameworks
			c.Namespace = func(context.Context, string) (map[string]any, error) {
				return map[string]any{"kind": "Namespace", "metadata": map[string]any{"name": "shop", "labels": tc.labels}}, nil
			}
		})
		got := post(t, h, "/validate", review("CREATE", tc.object))
		if got.Allowed != tc.allowed || len(got.Warnings) != tc.warnings {
			t.Errorf("%s: %+v", tc.name, got)
		}
		if tc.labels["seawall.io/pod-security-audit"] != nil && !strings.Contains(got.AuditAnnotations["decisions"], `"rule":"audit"`) {
			t.Errorf("%s: %+v", tc.name, got)
		}
	}
}

// TestSlow: who sends a review byte by byte is told that time is over, over both
// versions of HTTP, and the connection serves on.
func TestSlow(t *testing.T) {
	for _, h2 := range []bool{false, true} {
		server := httptest.NewUnstartedServer(handler(t, snapshot(t, ""), nil))
		server.EnableHTTP2 = h2
		server.StartTLS()
		ask := func(timeout string, body io.Reader, length int64) int {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL+"/validate?timeout="+timeout, body)
			if err != nil {
				t.Fatal(err)
			}
			req.ContentLength = length
			resp, err := server.Client().Do(req)
			if err != nil {
				t.Fatal(err)
			}
			_ = resp.Body.Close()
			return resp.StatusCode
		}
		good := review("CREATE", pod("nginx"))
		stuck, sender := io.Pipe()
		go func() { _, _ = sender.Write(good[:10]) }()
		if status := ask("100ms", stuck, int64(len(good))); status != http.StatusBadRequest {
			t.Errorf("HTTP/2 %v: %d", h2, status)
		}
		_ = sender.Close()
		if status := ask("30s", bytes.NewReader(good), int64(len(good))); status != http.StatusOK {
			t.Errorf("HTTP/2 %v, the next one: %d", h2, status)
		}
		server.Client().CloseIdleConnections()
		server.Close()
	}
}
