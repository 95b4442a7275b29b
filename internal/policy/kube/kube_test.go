package kube_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	kjson "sigs.k8s.io/json"
	"sigs.k8s.io/yaml"

	"github.com/seawall-security/seawall/internal/policy"
	"github.com/seawall-security/seawall/internal/policy/kube"
	"github.com/seawall-security/seawall/internal/policy/mutate"
	"github.com/seawall-security/seawall/internal/seawall"
)

func parse(t testing.TB, text string) *kube.Set {
	t.Helper()
	s, err := kube.Parse("p.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return s
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

const pods = `
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: pods}
spec:
  matchConstraints: {resourceRules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [pods]}]}
  variables: [{name: latest, expression: "object.spec.containers.filter(c, c.image.endsWith(':latest')).map(c, c.name)"}]
  validations:
  - {expression: size(variables.latest) == 0, messageExpression: "'latest: ' + variables.latest.join(', ')"}
  - {expression: object.spec.restartPolicy == 'Never', message: restarts}
  - {expression: object.spec.nothing == 1}
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: all}
spec: {policyName: pods, validationActions: [Deny]}
`

const pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: web}\nspec: {containers: [{name: a, image: a:latest}, {name: b, image: b:1}]}\n"

// TestDecide: every validation that does not hold is told, with defaults as the API
// server gives them.
func TestDecide(t *testing.T) {
	in := policy.Input{Phase: policy.PhaseBuild}.About(object(t, pod))
	got := parse(t, pods).Decide(in)
	want := []seawall.Decision{
		{Policy: "pods", Rule: "all/validations[0]", Phase: "build", Action: "block", Mode: "enforce", Outcome: "enforced", Reason: "latest: a"},
		{Policy: "pods", Rule: "all/validations[1]", Phase: "build", Action: "block", Mode: "enforce", Outcome: "enforced", Reason: "restarts"},
		{Policy: "pods", Rule: "all/validations[2]", Phase: "build", Action: "block", Mode: "enforce", Outcome: "enforced",
			Reason: "expression 'object.spec.nothing == 1' resulted in error: no such key: nothing"},
	}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(seawall.Decision{}, "Location")); diff != "" {
		t.Error(diff)
	}
	deployment := "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec: {template: {spec: {containers: [{name: a, image: a:latest}]}}}\n"
	if got := parse(t, pods).Decide(policy.Input{Phase: policy.PhaseBuild}.About(object(t, deployment))); len(got) != 3 || got[0].Action != "alert" || got[0].Reason != "its pods would be denied: latest: a" {
		t.Errorf("a deployment, which is let in itself: %+v", got)
	}
	if got := parse(t, pods).Decide(policy.Input{Phase: policy.PhaseRun}.About(object(t, pod))); len(got) > 0 {
		t.Errorf("phase run: %+v", got)
	}
	for actions, outcome := range map[string]string{"[Warn]": "warn dry-run", "[Audit]": "audit dry-run", "[Deny, Audit]": "enforce enforced"} {
		d := parse(t, strings.Replace(pods, "[Deny]", actions, 1)).Decide(in)[0]
		if got := d.Mode + " " + d.Outcome; got != outcome {
			t.Errorf("%s: %s, want %s", actions, got, outcome)
		}
	}
	ignored := parse(t, strings.Replace(pods, "  variables:", "  failurePolicy: Ignore\n  variables:", 1)).Decide(in)
	if len(ignored) != 3 || ignored[2].Outcome != "failed" {
		t.Errorf("failurePolicy Ignore: %+v", ignored)
	}
}

// TestAuthorizer: what only an API server knows is not judged, and not passed either.
func TestAuthorizer(t *testing.T) {
	for _, where := range []string{"  matchConditions: [{name: a, expression: \"!authorizer.group('').resource('pods').check('delete').allowed()\"}]\n",
		"  matchConditions: [{name: a, expression: \"authorizer.group('').resource('pods').check('delete').allowed()\"}]\n"} {
		text := strings.Replace(pods, "  variables:", where+"  variables:", 1)
		got := parse(t, text).Decide(policy.Input{Phase: policy.PhaseBuild}.About(object(t, pod)))
		if len(got) == 0 {
			t.Fatal("a policy that was not judged says nothing")
		}
		for _, d := range got {
			if d.Outcome != "failed" {
				t.Errorf("%+v", d)
			}
		}
	}
}

// TestRequest: what an admission request says goes before what its object does.
func TestRequest(t *testing.T) {
	text := strings.NewReplacer("operations: [CREATE], resources: [pods]", `operations: ["*"], resources: ["pods", "pods/exec"]`,
		"size(variables.latest) == 0", "'false'", "'latest: ' + variables.latest.join(', ')",
		"[request.operation, request.name, request.namespace, request.?subResource.orValue('-'), request.userInfo.username, string(object == null), string(oldObject == null)].join(' ')").Replace(pods)
	for _, tt := range []struct{ request, object, want string }{
		{"{operation: CONNECT, name: web, namespace: shop, resource: {version: v1, resource: pods}, subResource: exec, userInfo: {username: eve}}",
			"{apiVersion: v1, kind: PodExecOptions, command: [sh]}", "CONNECT web shop exec eve false true"},
		{"{operation: DELETE, name: web, namespace: shop, resource: {version: v1, resource: pods}, userInfo: {username: eve}}", pod, "DELETE web shop - eve true false"},
		{"{operation: UPDATE, name: web, namespace: shop, resource: {version: v1, resource: pods}, userInfo: {username: eve}, oldObject: {apiVersion: v1, kind: Pod, metadata: {name: web, namespace: shop}, spec: {}}}", pod, "UPDATE web shop - eve false false"},
	} {
		in := policy.Input{Phase: policy.PhaseDeploy, Request: object(t, tt.request)}
		if got := parse(t, text).Decide(in.About(object(t, tt.object))); len(got) == 0 || got[0].Reason != tt.want {
			t.Errorf("%s: %+v", tt.want, got)
		}
	}
}

// TestMutate: mutating policies come first, again where they ask for it, and what they
// leave is judged.
func TestMutate(t *testing.T) {
	text := pods + `
---
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingAdmissionPolicy
metadata: {name: a-second}
spec:
  reinvocationPolicy: IfNeeded
  matchConstraints: {resourceRules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [pods]}]}
  mutations: [{patchType: JSONPatch, jsonPatch: {expression: "object.metadata.?labels.?first.hasValue() ? [JSONPatch{op: 'add', path: '/metadata/labels/' + jsonpatch.escapeKey('a/second'), value: 'yes'}] : []"}}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingAdmissionPolicy
metadata: {name: b-first}
spec:
  reinvocationPolicy: Never
  matchConstraints: {resourceRules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [pods]}]}
  mutations: [{patchType: ApplyConfiguration, applyConfiguration: {expression: "Object{metadata: Object.metadata{labels: {'first': 'yes'}}, spec: Object.spec{restartPolicy: 'Never', containers: [Object.spec.containers{name: 'a', image: 'a:2'}]}}"}}]
---
{apiVersion: admissionregistration.k8s.io/v1, kind: MutatingAdmissionPolicyBinding, metadata: {name: s}, spec: {policyName: a-second}}
---
{apiVersion: admissionregistration.k8s.io/v1, kind: MutatingAdmissionPolicyBinding, metadata: {name: f}, spec: {policyName: b-first}}
`
	v := parse(t, text).Review(context.Background(), kube.Request{Operation: "CREATE", Object: object(t, pod), User: kube.User})
	if v.Refused != "" || !v.Changed || len(v.Violations) != 1 || v.Violations[0].Rule != "validations[2]" {
		t.Fatalf("%+v", v)
	}
	meta, spec := v.Object["metadata"].(map[string]any), v.Object["spec"].(map[string]any)
	if diff := cmp.Diff(map[string]any{"first": "yes", "a/second": "yes"}, meta["labels"]); diff != "" {
		t.Error(diff)
	}
	var images []string
	for _, c := range spec["containers"].([]any) {
		images = append(images, c.(map[string]any)["image"].(string))
	}
	if diff := cmp.Diff([]string{"a:2", "b:1"}, images); diff != "" || spec["restartPolicy"] != "Never" {
		t.Error(diff, spec["restartPolicy"])
	}
}

// TestMutated: what mutations change is told apart from the defaults that objects get, and
// the object asked about stays as it is.
func TestMutated(t *testing.T) {
	text := `
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingAdmissionPolicy
metadata: {name: m}
spec:
  reinvocationPolicy: Never
  matchConstraints: {resourceRules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [pods]}]}
  mutations: [{patchType: ApplyConfiguration, applyConfiguration: {expression: "Object{metadata: Object.metadata{labels: {'first': 'yes'}}}"}}]
---
{apiVersion: admissionregistration.k8s.io/v1, kind: MutatingAdmissionPolicyBinding, metadata: {name: b}, spec: {policyName: m}}
`
	in := policy.Input{Phase: policy.PhaseDeploy, Object: object(t, pod)}
	before, after := parse(t, text).Mutate(in)
	if diff := cmp.Diff([]string{`+ metadata.labels: {"first":"yes"}`}, mutate.Diff(before, after)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(object(t, pod), in.Object); diff != "" {
		t.Error(diff)
	}
	in.Phase = policy.PhaseRun
	if before, after := parse(t, text).Mutate(in); before != nil || after != nil {
		t.Error(before, after)
	}
}

// TestParams: parameters are documents beside the policies.
func TestParams(t *testing.T) {
	text := `
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: p}
spec:
  paramKind: {apiVersion: example.org/v1, kind: Limit}
  matchConstraints: {resourceRules: [{apiGroups: [""], apiVersions: [v1], operations: ["*"], resources: [pods]}]}
  validations: [{expression: "size(object.spec.containers) <= params.spec.max", messageExpression: "'more than ' + string(params.spec.max)"}]
---
{apiVersion: admissionregistration.k8s.io/v1, kind: ValidatingAdmissionPolicyBinding, metadata: {name: b}, spec: {policyName: p, validationActions: [Deny], paramRef: {SELECT, parameterNotFoundAction: Deny}}}
---
{apiVersion: example.org/v1, kind: Limit, metadata: {name: one, namespace: shop, labels: {a: b}}, spec: {max: 1}}
---
{apiVersion: example.org/v1, kind: Limit, metadata: {name: two, namespace: shop, labels: {a: b}}, spec: {max: 2}}
`
	for selector, want := range map[string][]string{
		"name: one, namespace: shop":                          {"more than 1"},
		"name: two, namespace: shop":                          nil,
		"selector: {matchLabels: {a: b}}, namespace: shop":    {"more than 1"},
		"name: three, namespace: shop":                        {"failed to configure binding: no params found for policy binding with `Deny` parameterNotFoundAction"},
		"selector: {matchLabels: {a: c}}, namespace: default": {"failed to configure binding: no params found for policy binding with `Deny` parameterNotFoundAction"},
	} {
		var got []string
		for _, d := range parse(t, strings.Replace(text, "SELECT", selector, 1)).Decide(policy.Input{Phase: policy.PhaseDeploy}.About(object(t, pod))) {
			got = append(got, d.Reason)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", selector, diff)
		}
	}
}

// TestAnnotations: audit annotations are told; one that fails denies, whatever the
// binding's actions.
func TestAnnotations(t *testing.T) {
	text := strings.Replace(strings.Replace(pods, "  validations:\n", "  auditAnnotations: [{key: images, valueExpression: \"object.spec.containers.map(c, c.image).join(',')\"}, {key: none, valueExpression: 'null'}]\n  validations:\n", 1), "[Deny]", "[Audit]", 1)
	request := kube.Request{Operation: "CREATE", Object: object(t, pod)}
	v := parse(t, text).Review(context.Background(), request)
	if diff := cmp.Diff(map[string]string{"pods/images": "a:latest,b:1"}, v.Annotations); diff != "" || v.Denied() != nil || len(v.Violations) != 3 {
		t.Errorf("%s%+v", diff, v.Violations)
	}
	v = parse(t, strings.Replace(text, "'null'", "string(object.spec.nothing)", 1)).Review(context.Background(), request)
	if d := v.Denied(); d == nil || d.Rule != "auditAnnotations[1]" || !strings.Contains(d.Text(), "no such key: nothing") {
		t.Errorf("%+v", v.Violations)
	}
	refusing := `
{apiVersion: admissionregistration.k8s.io/v1, kind: MutatingAdmissionPolicyBinding, metadata: {name: b}, spec: {policyName: broken}}
---
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingAdmissionPolicy
metadata: {name: broken}
spec:
  reinvocationPolicy: Never
  matchConstraints: {resourceRules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [pods]}]}
  mutations: [{patchType: JSONPatch, jsonPatch: {expression: "[JSONPatch{op: 'remove', path: '/spec/nothing'}]"}}]
`
	got := parse(t, refusing).Decide(policy.Input{Phase: policy.PhaseDeploy}.About(object(t, pod)))
	if len(got) != 1 || got[0].Policy != "broken" || !policy.Blocks(&got[0]) {
		t.Errorf("%+v", got)
	}
}

// TestMistakes: mistakes have their place.
func TestMistakes(t *testing.T) {
	for _, tt := range []struct{ old, new, want string }{
		{"endsWith(':latest')", "endsWiht(':latest')", "p.yaml:7:92: spec.variables[0].expression: undeclared reference to 'endsWiht'"},
		{"object.spec.restartPolicy == 'Never'", "object.spec.restartPolicy", "p.yaml:10:18: spec.validations[1].expression: must evaluate to bool"},
		{"  validations:", "  validation:", `p.yaml:2:1: unknown field "spec.validation"`},
		{"[Deny]", "[Refuse]", "p.yaml:16:45: spec.validationActions: want some of Deny, Warn, Audit"},
		{"resources: [pods]", "resources: []", "p.yaml:6:38: spec.matchConstraints.resourceRules[0]: want operations"},
		{"kind: ValidatingAdmissionPolicyBinding", "kind: ValidatingAdmissionPolicy", "unknown field"},
		{"admissionregistration.k8s.io/v1\nkind: ValidatingAdmissionPolicyBinding", "v1\nkind: ConfigMap", "is neither a policy nor a parameter of one"},
		{"admissionregistration.k8s.io/v1\n", "admissionregistration.k8s.io/v1alpha1\n", "want admissionregistration.k8s.io/v1 or"},
		{"policyName: pods", "policyName: ''", "want policyName"},
	} {
		_, err := kube.Parse("p.yaml", []byte(strings.Replace(pods, tt.old, tt.new, 1)))
		if err == nil || !strings.Contains(err.Error(), tt.want) || !errors.Is(err, seawall.ErrUsage) {
			t.Errorf("%s: %v, want %s", tt.new, err, tt.want)
		}
	}
	if lint := parse(t, strings.Replace(pods, "policyName: pods", "policyName: pots", 1)).Lint(); len(lint) != 3 || !strings.Contains(lint[1], "has no binding") || !strings.Contains(lint[0], `"pots" that is not here`) {
		t.Errorf("%q", lint)
	}
}

// TestTypes: what expressions ask of kinds that they do not have is told, as the API
// server tells it in a policy's status.
func TestTypes(t *testing.T) {
	text := strings.Replace(pods, "resources: [pods]}", "resources: [pods]}, {apiGroups: [apps], apiVersions: [v1], operations: [CREATE], resources: [deployments]}", 1)
	want := []string{
		"p.yaml:10:29: spec.validations[1].expression: undefined field 'restartPolicy' (apps/v1, Kind=Deployment)",
		"p.yaml:11:29: spec.validations[2].expression: undefined field 'nothing' (/v1, Kind=Pod; apps/v1, Kind=Deployment)",
	}
	var got []string
	for _, line := range parse(t, text).Lint() {
		if strings.Contains(line, "undefined field") && !strings.Contains(line, "variables") {
			got = append(got, line)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff, parse(t, text).Lint())
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(pods))
	f.Add([]byte("{apiVersion: v1, kind: ConfigMap}"))
	in := policy.Input{Phase: policy.PhaseBuild}.About(map[string]any{"apiVersion": "v1", "kind": "Pod", "metadata": map[string]any{"name": "a"}, "spec": map[string]any{}})
	f.Fuzz(func(t *testing.T, text []byte) {
		s, err := kube.Parse("f.yaml", text)
		if (s == nil) == (err == nil) {
			t.Fatalf("set %v, error %v", s, err)
		}
		if err == nil {
			s.Decide(in)
		} else if !strings.HasPrefix(err.Error(), "f.yaml:") {
			t.Fatalf("an error without its place: %v", err)
		}
	})
}

func BenchmarkDecide(b *testing.B) {
	s, in := parse(b, pods), policy.Input{Phase: policy.PhaseDeploy}.About(object(b, pod))
	b.ReportAllocs()
	for b.Loop() {
		if len(s.Decide(in)) != 3 {
			b.Fatal("the decisions changed")
		}
	}
}

func BenchmarkParse(b *testing.B) {
	for b.Loop() {
		parse(b, pods)
	}
}
