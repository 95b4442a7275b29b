package mutate_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/pod-security-admission/api"
	psa "k8s.io/pod-security-admission/policy"
	kjson "sigs.k8s.io/json"
	"sigs.k8s.io/yaml"

	"github.com/seawall-security/seawall/internal/policy"
	"github.com/seawall-security/seawall/internal/policy/mutate"
	"github.com/seawall-security/seawall/internal/seawall"
)

const digest = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

func resolve(name string) (string, error) {
	if strings.Contains(name, "missing") {
		return "", errors.New("no such tag")
	}
	return digest, nil
}

// set parses policies of rules; each rules text is the YAML of one policy's rules.
func set(t testing.TB, spec string, rules ...string) *policy.Set {
	t.Helper()
	var all strings.Builder
	for i, r := range rules {
		fmt.Fprintf(&all, "---\napiVersion: seawall.io/v1alpha1\nkind: Policy\nmetadata: {name: p%d}\nspec:\n  phases: [deploy]\n%s  rules:\n%s\n", i, spec, r)
	}
	s, err := policy.Parse("p.yaml", []byte(all.String()))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func rule(name, mutation string) string {
	return fmt.Sprintf("  - name: %s\n    when: workload.kind == \"Pod\"\n    action: mutate\n    mutate: %s\n", name, mutation)
}

func object(t testing.TB, text string) map[string]any {
	t.Helper()
	out, err := yaml.YAMLToJSON([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	var m map[string]any
	if err := kjson.UnmarshalCaseSensitivePreserveInts(out, &m); err != nil {
		t.Fatal(err)
	}
	return m
}

func input(object map[string]any) policy.Input {
	in := policy.Input{Phase: policy.PhaseDeploy, Now: time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC), Mutator: mutate.New(resolve)}
	return in.About(object)
}

func clone(t testing.TB, v map[string]any) map[string]any {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var out map[string]any
	if err := kjson.UnmarshalCaseSensitivePreserveInts(text, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

const pod = `
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop, labels: {app: web}}
spec:
  volumes:
  - {name: kube-api-access-x2x4z, projected: {sources: [{serviceAccountToken: {path: token}}]}}
  - {name: data, emptyDir: {}}
  containers:
  - name: a
    image: nginx:1.25
    ports: [{containerPort: 80}]
    volumeMounts: [{name: kube-api-access-x2x4z, mountPath: /var/run/secrets/kubernetes.io/serviceaccount}, {name: data, mountPath: /data}]
  - name: b
    image: registry.example.org/b@` + digest + `
    securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}
    volumeMounts: [{name: kube-api-access-x2x4z, mountPath: /var/run/secrets/kubernetes.io/serviceaccount}]
`

func TestMutations(t *testing.T) {
	for _, tt := range []struct {
		name, mutation string
		want           []string // of Diff
	}{
		{"pin", "{pinTags: true}", []string{"- spec.containers[0].image: nginx:1.25", "+ spec.containers[0].image: nginx:1.25@" + digest}},
		{"rewrite", "{rewriteRegistries: [{from: docker.io/library, to: mirror.example.org/hub}, {from: docker.io, to: other.example.org}]}",
			[]string{"- spec.containers[0].image: nginx:1.25", "+ spec.containers[0].image: mirror.example.org/hub/nginx:1.25"}},
		{"label", "{labels: {app: other, team: shop}}", []string{"+ metadata.labels.team: shop"}},
		{"tokens", "{dropTokenMounts: true}", []string{
			"+ spec.automountServiceAccountToken: false",
			"- spec.containers[0].volumeMounts[0]: {\"mountPath\":\"/var/run/secrets/kubernetes.io/serviceaccount\",\"name\":\"kube-api-access-x2x4z\"}",
			"- spec.containers[1].volumeMounts: [{\"mountPath\":\"/var/run/secrets/kubernetes.io/serviceaccount\",\"name\":\"kube-api-access-x2x4z\"}]",
			"- spec.volumes[0]: {\"name\":\"kube-api-access-x2x4z\",\"projected\":{\"sources\":[{\"serviceAccountToken\":{\"path\":\"token\"}}]}}",
		}},
		{"harden", "{harden: restricted}", []string{
			`+ spec.containers[0].securityContext: {"allowPrivilegeEscalation":false,"capabilities":{"drop":["ALL"]}}`,
			`+ spec.securityContext: {"runAsNonRoot":true,"seccompProfile":{"type":"RuntimeDefault"}}`,
		}},
		{"harden to what it is", "{harden: baseline}", nil},
		{"configuration", `{applyConfiguration: {expression: 'Object{spec: Object.spec{containers: [Object.spec.containers{name: "a", env: [Object.spec.containers.env{name: "Z", value: object.metadata.name}]}]}}'}}`,
			[]string{`+ spec.containers[0].env: [{"name":"Z","value":"web"}]`}},
		{"operations", `{jsonPatch: {expression: '[JSONPatch{op: "test", path: "/metadata/name", value: "web"}, JSONPatch{op: "add", path: "/metadata/annotations", value: {"example.org/a": "b"}}]'}}`,
			[]string{`+ metadata.annotations: {"example.org/a":"b"}`}},
		{"a test that fails", `{jsonPatch: {expression: '[JSONPatch{op: "test", path: "/metadata/name", value: "x"}, JSONPatch{op: "remove", path: "/spec"}]'}}`, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := set(t, "", rule("r", tt.mutation))
			before := object(t, pod)
			after, decisions := s.Mutate(input(before))
			if diff := cmp.Diff(object(t, pod), before); diff != "" {
				t.Fatalf("the input was changed: %s", diff)
			}
			if diff := cmp.Diff(tt.want, mutate.Diff(before, after)); diff != "" {
				t.Errorf("%s\n%+v", diff, decisions)
			}
			if changed := len(tt.want) > 0; changed != (len(decisions) == 1) || changed && (decisions[0].Action != "mutate" || decisions[0].Outcome != "enforced" || decisions[0].Reason == "") {
				t.Errorf("decisions %+v", decisions)
			}
		})
	}
}

// TestFailures: what cannot be changed leaves the pod as it was, and is a denial where
// the policy's failure is closed.
func TestFailures(t *testing.T) {
	for name, tt := range map[string]struct{ mutation, replace, with, reason string }{
		"no such tag":         {"{pinTags: true}", "nginx:1.25", "missing:1", "no such tag"},
		"host network":        {"{harden: baseline}", "spec:\n", "spec:\n  hostNetwork: true\n", "security contexts alone do not make it baseline: host namespaces"},
		"an atomic list":      {`{applyConfiguration: {expression: 'Object{spec: Object.spec{tolerations: [Object.spec.tolerations{key: "a"}]}}'}}`, "", "", "spec.tolerations is replaced as a whole"},
		"a path that is none": {`{jsonPatch: {expression: '[JSONPatch{op: "remove", path: "/spec/nothing"}]'}}`, "", "", "jsonPatch"},
		"never settles":       {`{jsonPatch: {expression: '[JSONPatch{op: "add", path: "/spec/containers/-", value: {"name": "c", "image": "c"}}]'}}`, "", "", "again and again"},
		"another's fields":    {`{applyConfiguration: {expression: 'Object{spec: Object.metadata{name: "x"}}'}}`, "", "", "it wants Object.spec{}"},
	} {
		t.Run(name, func(t *testing.T) {
			before := object(t, strings.Replace(pod, tt.replace, tt.with, 1))
			for _, failure := range []string{"open", "closed"} {
				after, decisions := set(t, "  failure: "+failure+"\n", rule("r", tt.mutation)).Mutate(input(before))
				if diff := mutate.Diff(before, after); len(diff) > 0 {
					t.Errorf("changed: %q", diff)
				}
				want := [2]string{"mutate", "failed"}
				if failure == "closed" {
					want = [2]string{"block", "enforced"}
				}
				if len(decisions) != 1 || !strings.Contains(decisions[0].Reason, tt.reason) || [2]string{decisions[0].Action, decisions[0].Outcome} != want {
					t.Errorf("%s: %+v", failure, decisions)
				}
			}
		})
	}
}

// TestTemplates: templates are never changed; what their pods would be is told.
func TestTemplates(t *testing.T) {
	deployment := object(t, `
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec: {template: {metadata: {labels: {app: web}}, spec: {containers: [{name: a, image: nginx}]}}}
`)
	for templates, want := range map[string]string{"warn": "alert enforced", "block": "block enforced", "ignore": ""} {
		s := set(t, "", rule("r", "{labels: {team: shop, app: x}, templates: "+templates+"}"))
		if after, decisions := s.Mutate(input(deployment)); len(decisions) > 0 || !cmp.Equal(after, deployment) {
			t.Errorf("%s: the template was changed: %+v", templates, decisions)
		}
		got := ""
		for _, d := range s.Decide(input(deployment)) {
			got += d.Action + " " + d.Outcome
			if !strings.Contains(d.Reason, "its pods would be changed: label team=shop") {
				t.Errorf("reason %q", d.Reason)
			}
		}
		if got != want {
			t.Errorf("%s: %q, want %q", templates, got, want)
		}
	}
	s := set(t, "  mode: warn\n", rule("r", "{labels: {team: shop}}"))
	after, decisions := s.Mutate(input(object(t, pod)))
	if len(decisions) != 1 || decisions[0].Outcome != "dry-run" || len(mutate.Diff(object(t, pod), after)) > 0 {
		t.Errorf("mode warn: %+v", decisions)
	}
}

// TestOrder: rules see what those before them left, and all of them settle.
func TestOrder(t *testing.T) {
	s := set(t, "",
		rule("pin", "{pinTags: true}"),
		"  - name: annotate\n    when: object.metadata.?labels.?team.orValue(\"\") == \"shop\" && !has(object.metadata.annotations)\n    action: mutate\n    mutate: {jsonPatch: {expression: '[JSONPatch{op: \"add\", path: \"/metadata/annotations\", value: {jsonpatch.escapeKey(\"a/b\"): \"c\"}}]'}}\n",
		rule("label", "{labels: {team: shop}}"))
	before := object(t, pod)
	after, decisions := s.Mutate(input(before))
	var rules []string
	for _, d := range decisions {
		rules = append(rules, d.Rule)
	}
	if diff := cmp.Diff([]string{"pin", "label", "annotate"}, rules); diff != "" {
		t.Error(diff)
	}
	if got := after["metadata"].(map[string]any)["annotations"]; !cmp.Equal(got, map[string]any{"a~1b": "c"}) {
		t.Errorf("annotations %v", got)
	}
	if again, more := s.Mutate(input(after)); len(more) > 0 || !cmp.Equal(after, again) {
		t.Errorf("a second time: %+v", more)
	}
}

// TestFacts: what is known of an image decides about mutations, too, of a template's as well.
func TestFacts(t *testing.T) {
	s := set(t, "", "  - name: r\n    when: \"!image.signed\"\n    action: mutate\n    mutate: {labels: {unsigned: \"yes\"}}\n")
	template := object(t, "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec: {template: {spec: {containers: [{name: a, image: nginx}]}}}\n")
	for signed, want := range map[bool]int{true: 0, false: 1} {
		in := input(object(t, strings.Replace(pod, "registry.example.org/b@"+digest, "nginx:1.25", 1)))
		for i := range in.Images {
			in.Images[i].Signed = &signed
		}
		if _, decisions := s.Mutate(in); len(decisions) != want {
			t.Errorf("signed %v: %+v", signed, decisions)
		}
		in = input(template)
		in.Images[0].Signed = &signed
		if decisions := s.Decide(in); len(decisions) != want {
			t.Errorf("a template, signed %v: %+v", signed, decisions)
		}
	}
}

// TestLoad: mistakes are told when the policy is read, with their place.
func TestLoad(t *testing.T) {
	for mutation, want := range map[string]string{
		"{}":                   "says nothing to change",
		"{harden: privileged}": "harden \"privileged\" is not known",
		"{pinTag: true}":       `did you mean "pinTags"`,
		"{labels: {a: b}, jsonPatch: {expression: '[]'}}":                                           "make two rules of it",
		"{rewriteRegistries: [{from: a.example, to: a.example/hub}]}":                               "would be moved again",
		"{rewriteRegistries: [{from: a.example, to: b.example}, {from: b.example, to: c.example}]}": "would be moved again",
		"{applyConfiguration: {expression: '1'}}":                                                   "p.yaml:12:48: the expression gives int, wanted Object",
		"{jsonPatch: {expression: 'Object{}'}}":                                                     "wanted list(JSONPatch)",
		"{jsonPatch: {expression: '[JSONPatch{path: 1}]'}}":                                         "expected type",
		"{jsonPatch: {expression: '[JSONPatch{paht: \"\"}]'}}":                                      "paht",
		"{applyConfiguration: {expression: 'Object{spec: nothing}'}}":                               "\"nothing\" is not known here",
	} {
		text := "apiVersion: seawall.io/v1alpha1\nkind: Policy\nmetadata: {name: p}\nspec:\n  phases: [deploy]\n\n\n  rules:\n" + rule("r", mutation)
		_, err := policy.Parse("p.yaml", []byte(text))
		if err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "p.yaml:") || !errors.Is(err, seawall.ErrUsage) {
			t.Errorf("%s: %v, want %s", mutation, err, want)
		}
	}
}

// randomPod is a pod with all that the built-in changes look at, some of it bad.
func randomPod(r *rand.Rand) map[string]any {
	pick := func(values ...any) any { return values[r.IntN(len(values))] }
	put := func(m map[string]any, key string, values ...any) {
		if v := pick(append(values, nil, nil)...); v != nil {
			m[key] = v
		}
	}
	context := func(container bool) map[string]any {
		c := map[string]any{}
		put(c, "runAsNonRoot", true, false)
		put(c, "runAsUser", int64(0), int64(1000))
		put(c, "seccompProfile", map[string]any{"type": "Unconfined"}, map[string]any{"type": "RuntimeDefault"}, map[string]any{"type": "Localhost", "localhostProfile": "x"})
		put(c, "appArmorProfile", map[string]any{"type": "Unconfined"}, map[string]any{"type": "RuntimeDefault"})
		put(c, "seLinuxOptions", map[string]any{"type": "container_t"}, map[string]any{"type": "spc_t", "role": "x", "level": "s0"})
		if container {
			put(c, "privileged", true, false)
			put(c, "allowPrivilegeEscalation", true, false)
			put(c, "procMount", "Unmasked", "Default")
			caps := map[string]any{}
			put(caps, "add", []any{"SYS_ADMIN"}, []any{"NET_BIND_SERVICE", "CHOWN", "NET_RAW"}, []any{"NET_BIND_SERVICE"})
			put(caps, "drop", []any{"ALL"}, []any{"NET_RAW"})
			put(c, "capabilities", caps)
			if c["privileged"] == true {
				delete(c, "allowPrivilegeEscalation")
			}
		} else {
			put(c, "sysctls", []any{map[string]any{"name": "kernel.msgmax", "value": "1"}, map[string]any{"name": "net.ipv4.tcp_syncookies", "value": "1"}})
		}
		return c
	}
	containers := func(prefix string, n int) []any {
		var list []any
		for i := range n {
			c := map[string]any{"name": fmt.Sprint(prefix, i), "image": pick("nginx", "docker.io/library/a:1", "registry.example.org/x/y:2", "b@"+digest)}
			put(c, "securityContext", context(true))
			put(c, "volumeMounts", []any{map[string]any{"name": "kube-api-access-abcde", "mountPath": "/t"}}, []any{map[string]any{"name": "data", "mountPath": "/d"}})
			list = append(list, c)
		}
		return list
	}
	spec := map[string]any{"containers": containers("c", 1+r.IntN(3))}
	put(spec, "initContainers", containers("i", 1))
	put(spec, "securityContext", context(false))
	put(spec, "volumes", []any{map[string]any{"name": "kube-api-access-abcde", "projected": map[string]any{}}, map[string]any{"name": "data", "emptyDir": map[string]any{}}})
	if r.IntN(10) == 0 {
		spec["hostNetwork"] = true
	}
	meta := map[string]any{"name": "web", "namespace": "shop"}
	put(meta, "labels", map[string]any{"team": "x"}, map[string]any{"app": "y"})
	put(meta, "annotations", map[string]any{"container.apparmor.security.beta.kubernetes.io/c0": "unconfined"})
	return map[string]any{"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec}
}

// TestProperties: on random pods, applying twice is applying once, the patch makes the
// one of the other, and the hardened pod is at its level with no change to spare.
func TestProperties(t *testing.T) {
	evaluator, err := psa.NewEvaluator(psa.DefaultChecks(), nil)
	if err != nil {
		t.Fatal(err)
	}
	allowed := func(pod map[string]any, level string) bool {
		var typed struct {
			Metadata metav1.ObjectMeta
			Spec     corev1.PodSpec
		}
		text, err := json.Marshal(pod)
		if err == nil {
			err = json.Unmarshal(text, &typed)
		}
		if err != nil {
			t.Fatal(err)
		}
		ok := true
		for _, r := range evaluator.EvaluatePod(api.LevelVersion{Level: api.Level(level), Version: api.LatestVersion()}, &typed.Metadata, &typed.Spec) {
			ok = ok && r.Allowed
		}
		return ok
	}
	all := set(t, "",
		rule("rewrite", "{rewriteRegistries: [{from: docker.io, to: mirror.example.org}]}"), rule("pin", "{pinTags: true, labels: {team: shop}, dropTokenMounts: true}"),
		rule("configure", `{applyConfiguration: {expression: 'Object{spec: Object.spec{containers: object.spec.containers.map(c, Object.spec.containers{name: c.name, env: [Object.spec.containers.env{name: "A", value: "b"}]})}}'}}`))
	levels := map[string]*policy.Set{"baseline": set(t, "", rule("harden", "{harden: baseline}")), "restricted": set(t, "", rule("harden", "{harden: restricted}"))}
	r := rand.New(rand.NewPCG(1, 2))
	hardened := map[string]int{}
	for range 300 {
		before := randomPod(r)
		after, _ := all.Mutate(input(before))
		if again, more := all.Mutate(input(after)); len(more) > 0 || !cmp.Equal(again, after) {
			t.Fatalf("twice is not once: %+v\n%s", more, cmp.Diff(after, again))
		}
		roundTrip(t, before, after)
		for level, s := range levels {
			after, decisions := s.Mutate(input(before))
			roundTrip(t, before, after)
			ok := allowed(after, level)
			if failed := len(decisions) == 1 && decisions[0].Outcome == "failed"; ok == failed || failed != (before["spec"].(map[string]any)["hostNetwork"] == true) {
				t.Fatalf("%s: allowed %v, %+v", level, ok, decisions)
			}
			if !ok {
				continue
			}
			hardened[level]++
			spareless(t, before, after, func(pod map[string]any) bool { return allowed(pod, level) })
		}
	}
	if hardened["baseline"] < 200 || hardened["restricted"] < 200 {
		t.Errorf("only %v were hardened", hardened)
	}
}

// roundTrip applies the patch between two pods.
func roundTrip(t *testing.T, before, after map[string]any) {
	t.Helper()
	text, err := mutate.Patch(before, after)
	if err != nil {
		t.Fatal(err)
	}
	patch, err := jsonpatch.DecodePatch(text)
	if err != nil {
		t.Fatal(err)
	}
	old, err := json.Marshal(before)
	if err != nil {
		t.Fatal(err)
	}
	patched, err := patch.Apply(old)
	if err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	var got map[string]any
	if err := kjson.UnmarshalCaseSensitivePreserveInts(patched, &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(clone(t, after), got); diff != "" {
		t.Fatalf("%s\n%s", text, diff)
	}
}

// spareless leaves one operation of the patch out at a time: the pod must not be allowed then.
func spareless(t *testing.T, before, after map[string]any, allowed func(map[string]any) bool) {
	t.Helper()
	text, err := mutate.Patch(before, after)
	if err != nil {
		t.Fatal(err)
	}
	var ops []map[string]any
	if err := json.Unmarshal(text, &ops); err != nil {
		t.Fatal(err)
	}
	old, err := json.Marshal(before)
	if err != nil {
		t.Fatal(err)
	}
	for i := range ops {
		var rest []map[string]any
		rest = append(append(rest, ops[:i]...), ops[i+1:]...)
		some, err := json.Marshal(rest)
		if err != nil {
			t.Fatal(err)
		}
		patch, err := jsonpatch.DecodePatch(some)
		if err != nil {
			t.Fatal(err)
		}
		patched, err := patch.Apply(old)
		if err != nil {
			continue // it needs the one left out
		}
		var pod map[string]any
		if err := json.Unmarshal(patched, &pod); err != nil {
			t.Fatal(err)
		}
		if allowed(pod) {
			t.Fatalf("%v was not needed: %s", ops[i], text)
		}
	}
}

// FuzzPatch: of any two objects, the patch makes the one of the other.
func FuzzPatch(f *testing.F) {
	f.Add([]byte(`{"a":[1,2,3],"b":{"c/d":"~"}}`), []byte(`{"a":[1,4,2,3],"b":{"c/d":null}}`))
	f.Add([]byte(`{"a":{}}`), []byte(`{"a":[{"b":1}],"":2}`))
	f.Fuzz(func(t *testing.T, a, b []byte) {
		var before, after map[string]any
		if kjson.UnmarshalCaseSensitivePreserveInts(a, &before) != nil || kjson.UnmarshalCaseSensitivePreserveInts(b, &after) != nil || before == nil || after == nil {
			return
		}
		roundTrip(t, before, after)
	})
}

func BenchmarkMutate(b *testing.B) {
	for name, s := range map[string]*policy.Set{
		"harden": set(b, "", rule("r", "{harden: restricted}")),
		"pin":    set(b, "", rule("r", "{pinTags: true, labels: {team: shop}}")),
		"apply":  set(b, "", rule("r", `{applyConfiguration: {expression: 'Object{metadata: Object.metadata{labels: {"team": "shop"}}}'}}`)),
	} {
		in := input(object(b, pod))
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				after, _ := s.Mutate(in)
				if _, err := mutate.Patch(in.Object, after); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
