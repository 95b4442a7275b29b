package watch

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	admissionv1 "k8s.io/api/admission/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic/fake"

	"github.com/seawall-security/seawall/internal/admission/follow"
	"github.com/seawall-security/seawall/internal/policy"
	"github.com/seawall-security/seawall/internal/seawall"
)

func object(t testing.TB, generation int, text string) follow.Object {
	t.Helper()
	var u unstructured.Unstructured
	raw, err := json.Marshal(yamlMap(t, text))
	if err != nil {
		t.Fatal(err)
	}
	if err := u.UnmarshalJSON(raw); err != nil {
		t.Fatal(err)
	}
	u.SetGeneration(int64(generation))
	u.SetUID("uid-" + "1")
	u.SetOwnerReferences(nil)
	u.SetFinalizers([]string{"example.org/keep"}) // what users do not write is left alone
	return u.Object
}

func rule(name, when string) string {
	return fmt.Sprintf(`{apiVersion: seawall.io/v1alpha1, kind: Policy, metadata: {name: %s}, spec: {description: d, phases: [deploy], rules: [
  {name: r, when: %q, action: block, message: no}]}}`, name, when)
}

const exception = `{apiVersion: seawall.io/v1alpha1, kind: PolicyException, metadata: {name: e, namespace: shop}, spec: {policy: a, owner: us, reason: why, expires: "2026-12-31"}}`

func clock() time.Time { return time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC) }

func names(s *policy.Set) (out []string) {
	for _, p := range s.Policies {
		out = append(out, p.Name+": "+p.Rules[0].When)
	}
	for _, e := range s.Exceptions {
		out = append(out, e.String())
	}
	return out
}

func TestPolicies(t *testing.T) {
	swaps, got := 0, []Problem(nil)
	p := New(clock, func(_ *policy.Set, problems []Problem) { swaps, got = swaps+1, problems })
	check := func(want ...string) {
		t.Helper()
		if diff := cmp.Diff(want, names(p.Snapshot())); diff != "" {
			t.Error(diff)
		}
	}
	p.OfPolicies().Replace([]follow.Object{object(t, 1, rule("b", "object.x")), object(t, 1, rule("a", "object.y"))})
	check() // exceptions are not listed yet
	if p.Ready() || swaps != 0 {
		t.Error("half a set is in force")
	}
	p.OfExceptions().Replace([]follow.Object{object(t, 1, exception)})
	check("a: object.y", "b: object.x", "shop/e")
	if !p.Ready() {
		t.Error("not ready")
	}
	before := p.Snapshot()

	p.OfPolicies().Set(object(t, 1, rule("a", "object.ignored"))) // only the status changed
	p.OfPolicies().Set(object(t, 2, rule("b", "object.x +")))
	check("a: object.y", "b: object.x", "shop/e")
	want := []Problem{{"Policy", "b", Mistake{Field: "spec.rules[0].when"}}}
	if len(got) == 1 && strings.Contains(got[0].Message, "Syntax error") {
		got[0].Message = ""
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	p.OfPolicies().Set(object(t, 3, rule("b", "object.z")))
	check("a: object.y", "b: object.z", "shop/e")
	p.OfPolicies().Delete(object(t, 3, rule("a", "object.y")))
	p.OfExceptions().Delete(object(t, 3, exception))
	check("b: object.z")
	p.OfPolicies().Replace(nil) // a watch was lost, and everything went meanwhile
	check()
	if diff := cmp.Diff([]string{"a: object.y", "b: object.x", "shop/e"}, names(before)); diff != "" || len(got) > 0 {
		t.Errorf("a snapshot changed: %s", diff)
	}
}

func TestMistakesNameTheirField(t *testing.T) {
	for _, test := range []struct{ text, field, message string }{
		{rule("a", "object."), "spec.rules[0].when", "Syntax error"},
		{strings.Replace(rule("a", "true"), "block", "kill-process", 1), "spec.rules[0].action", "phase deploy cannot carry out"},
		{strings.Replace(rule("a", "true"), "message", "mesage", 1), "spec.rules[0].mesage", `did you mean "message"?`},
		{strings.Replace(rule("a", "true"), "[deploy]", "[depoly]", 1), "spec.phases[0]", "phase"},
		{strings.Replace(rule("a", "true"), "kind: Policy", "kind: PolicyTest", 1), "kind", "want Policy or PolicyException"},
		{strings.Replace(exception, "2026-12-31", "soon", 1), "spec.expires", "no date"},
		{`{apiVersion: seawall.io/v1alpha1, kind: Policy, metadata: {name: a}}`, "apiVersion", "has no spec"},
	} {
		set, mistake := Read(object(t, 1, test.text))
		if mistake == nil || set != nil || mistake.Field != test.field || !strings.Contains(mistake.Message, test.message) || strings.Contains(mistake.Message, "usage") {
			t.Errorf("%s: %+v", test.text, mistake)
		}
	}
}

func TestCheck(t *testing.T) {
	p := New(clock, func(*policy.Set, []Problem) {})
	p.OfPolicies().Replace([]follow.Object{object(t, 1, rule("a", "object.x"))})
	ask := func(text string) *admissionv1.AdmissionResponse {
		t.Helper()
		raw, err := json.Marshal(yamlMap(t, text))
		if err != nil {
			t.Fatal(err)
		}
		body, err := json.Marshal(admissionv1.AdmissionReview{Request: &admissionv1.AdmissionRequest{UID: "u", Operation: admissionv1.Create, Object: runtime.RawExtension{Raw: raw}}})
		if err != nil {
			t.Fatal(err)
		}
		w := httptest.NewRecorder()
		p.Check(w, httptest.NewRequest("POST", "/check", bytes.NewReader(body)))
		var review admissionv1.AdmissionReview
		if err := json.Unmarshal(w.Body.Bytes(), &review); err != nil || review.Response.UID != "u" {
			t.Fatalf("%v: %s", err, w.Body)
		}
		return review.Response
	}
	if r := ask(rule("b", "object.x")); !r.Allowed || len(r.Warnings) > 0 {
		t.Errorf("%+v", r)
	}
	if r := ask(rule("b", "objec.x")); r.Allowed || !strings.HasPrefix(r.Result.Message, "spec.rules[0].when: ") {
		t.Errorf("%+v", r)
	}
	if r := ask(rule("b", "true")); !r.Allowed || len(r.Warnings) != 1 || !strings.HasPrefix(r.Warnings[0], "rule r: the condition names nothing") {
		t.Errorf("%+v", r)
	}
	if r := ask(exception); !r.Allowed || len(r.Warnings) != 1 || !strings.HasPrefix(r.Warnings[0], "it does not count: spec.exceptions of the policy \"a\"") {
		t.Errorf("%+v", r)
	}
	p.OfPolicies().Set(object(t, 2, strings.Replace(rule("a", "object.x"), "phases:", "exceptions: {namespaces: [shop], maxDays: 60}, phases:", 1)))
	if r := ask(exception); !r.Allowed || len(r.Warnings) > 0 {
		t.Errorf("%+v", r)
	}
	if r := ask(strings.Replace(exception, "policy: a", "policy: z", 1)); !r.Allowed || len(r.Warnings) != 1 {
		t.Errorf("%+v", r)
	}
	if r := ask(strings.Replace(exception, "2026-12-31", "2026-11-20", 1)); r.Allowed || r.Result.Message != "spec.expires: is in the past" {
		t.Errorf("%+v", r)
	}
	if r := ask(strings.Replace(exception, "policy: a", "policy: pod-security", 1)); !r.Allowed || len(r.Warnings) > 0 {
		t.Errorf("%+v", r)
	}
	if r := ask(strings.NewReplacer("policy: a", "policy: pod-security", "2026-12-31", "2027-12-31").Replace(exception)); !r.Allowed || len(r.Warnings) != 1 {
		t.Errorf("%+v", r)
	}
	for _, body := range []string{"", "{}", "[", `{"request": {"object": []}}`, strings.Repeat("[", 100_000)} {
		w := httptest.NewRecorder()
		p.Check(w, httptest.NewRequest("POST", "/check", strings.NewReader(body)))
		if w.Code == 200 && !strings.Contains(w.Body.String(), `"allowed":false`) {
			t.Errorf("%.20s: %d %s", body, w.Code, w.Body)
		}
	}
}

func TestStatuses(t *testing.T) {
	good, bad := object(t, 2, rule("a", "object.x")), object(t, 1, rule("b", "object."))
	ex := object(t, 1, exception)
	scheme := runtime.NewScheme()
	client := fake.NewSimpleDynamicClientWithCustomListKinds(scheme,
		map[schema.GroupVersionResource]string{PoliciesResource(): "PolicyList", ExceptionsResource(): "PolicyExceptionList"},
		&unstructured.Unstructured{Object: runtime.DeepCopyJSON(good)}, &unstructured.Unstructured{Object: runtime.DeepCopyJSON(bad)}, &unstructured.Unstructured{Object: runtime.DeepCopyJSON(ex)})
	p := New(clock, func(*policy.Set, []Problem) {})
	p.OfPolicies().Replace([]follow.Object{good, bad})
	p.OfExceptions().Replace([]follow.Object{ex})
	s := &Statuses{Client: client, Policies: p, Now: clock}
	s.Seen(&seawall.Decision{Policy: "a"})
	s.Seen(&seawall.Decision{Policy: "a", Exception: "shop/e"})
	s.Seen(&seawall.Decision{Policy: "gone"})
	for range 2 { // the second time there is nothing to write
		if err := s.Write(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	status := func(resource schema.GroupVersionResource, key string) map[string]any {
		o, err := client.Tracker().Get(resource, strings.TrimSuffix(key[:strings.Index(key, "/")+1], "/"), key[strings.Index(key, "/")+1:])
		if err != nil {
			t.Fatal(err)
		}
		m, _ := o.(*unstructured.Unstructured).Object["status"].(map[string]any)
		return m
	}
	matched := map[string]any{"observedGeneration": int64(2), "active": true, "matches": int64(2), "lastMatch": "2026-11-21T10:00:00Z"}
	if diff := cmp.Diff(matched, status(PoliciesResource(), "a")); diff != "" {
		t.Error(diff)
	}
	b := status(PoliciesResource(), "b")
	if b["active"] != false || b["errorField"] != "spec.rules[0].when" || b["error"] == "" || b["matches"] != int64(0) {
		t.Error(b)
	}
	if e := status(ExceptionsResource(), "shop/e"); e["matches"] != int64(1) || e["active"] != true {
		t.Error(e)
	}
	s.Seen(&seawall.Decision{Policy: "a"})
	if err := s.Write(t.Context()); err != nil {
		t.Fatal(err)
	}
	if a := status(PoliciesResource(), "a"); a["matches"] != int64(3) {
		t.Error(a)
	}
	updates := 0
	for _, a := range client.Actions() {
		if a.GetVerb() == "update" {
			updates++
		}
	}
	if updates != 4 {
		t.Errorf("%d writes, want 4", updates)
	}
}

func TestNamespaces(t *testing.T) {
	var n Namespaces
	ns := func(name string) follow.Object { return follow.Object{"metadata": map[string]any{"name": name}} }
	if n.Ready() || n.Get("a") != nil {
		t.Error("ready before it is")
	}
	n.Replace([]follow.Object{ns("a"), ns("b")})
	n.Set(ns("c"))
	n.Delete(ns("a"))
	if !n.Ready() || n.Get("a") != nil || n.Get("b") == nil || n.Get("c") == nil {
		t.Error("wrong namespaces")
	}
}

// FuzzRead: a set of one or a mistake with a message, and never a panic.
func FuzzRead(f *testing.F) {
	for _, s := range []string{rule("a", "object.x"), exception, rule("a", "object."), `{"kind":{},"metadata":[]}`, `{"spec":{"rules":[{"when":"\n\u0000"}]}}`} {
		raw, _ := json.Marshal(yamlMap(f, s))
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		var o map[string]any
		if json.Unmarshal(raw, &o) != nil {
			return
		}
		set, mistake := Read(o)
		if (set == nil) == (mistake == nil) || mistake != nil && mistake.Message == "" {
			t.Fatalf("%v and %v", set, mistake)
		}
	})
}
