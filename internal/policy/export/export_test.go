package export_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seawall-security/seawall/internal/policy"
	exports "github.com/seawall-security/seawall/internal/policy/export"
	"github.com/seawall-security/seawall/internal/policy/kube"
	"github.com/seawall-security/seawall/internal/policy/library"
	"github.com/seawall-security/seawall/internal/seawall"
)

func now() time.Time { return time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC) }

// export writes policies down and reads them again.
func export(t testing.TB, set *policy.Set) (*kube.Set, []string) {
	t.Helper()
	e, err := exports.Kubernetes(set, now())
	if err != nil {
		t.Fatal(err)
	}
	text, err := e.YAML()
	if err != nil {
		t.Fatal(err)
	}
	s, err := kube.Parse("exported.yaml", text)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return s, e.LeftOut
}

func ours(t testing.TB, text string) *policy.Set {
	t.Helper()
	set, err := policy.Parse("p.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func object(t testing.TB, text string) map[string]any {
	t.Helper()
	documents, err := policy.Documents("object", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	m, err := kube.Object(documents[0])
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// TestExportLibrary: what of the starter library can be exported is, the rest is named
// with its reason.
func TestExportLibrary(t *testing.T) {
	set := &policy.Set{}
	for _, name := range library.Names() {
		text, _ := library.Text(name)
		set.Policies = append(set.Policies, ours(t, string(text)).Policies...)
	}
	s, left := export(t, set)
	want := []string{"seawall-no-host-namespaces-workloads", "seawall-no-latest-tag-workloads", "seawall-required-labels-workloads", "seawall-resource-limits-workloads", "seawall-trusted-registries-workloads"}
	if diff := cmp.Diff(want, s.Names()); diff != "" {
		t.Error(diff, strings.Join(left, "\n"))
	}
	for _, why := range []string{"policy licences: it is not for the phase deploy", "policy no-known-exploited, rule exploited: it is about findings", "policy signed-by-us, rule signed: image.signed is not in an image's name"} {
		if !slices.Contains(left, why) {
			t.Errorf("%q is not among %q", why, left)
		}
	}
}

// images are names with everything that a name can have.
func images() []string {
	return []string{
		"nginx", "nginx:1.25", "library/nginx", "index.docker.io/x/y:2", "registry.example.org/a/b:1", "registry.example.org:5000/a", "localhost/a:latest",
		"localhost:5000/a/b/c:1@sha256:00", "a@sha256:00", "registry.k8s.io/pause:3.9", "x.y/z:", "UPPER/a", "a/b/c",
	}
}

// TestExportAgrees: an exported policy denies what the policy does, with the same words.
func TestExportAgrees(t *testing.T) {
	const head = "apiVersion: seawall.io/v1alpha1\nkind: Policy\nmetadata: {name: p}\nspec:\n  phases: [deploy]\n"
	texts := map[string]string{
		"images":     head + "  rules: [{name: r, when: 'image.registry == \"docker.io\" || image.tag == \"latest\" && !has(image.digest)', action: block, messageExpression: 'image.name + \" \" + image.repository'}]\n",
		"each image": head + "  rules: [{name: r, when: 'true || image.name == \"\"', action: block, messageExpression: 'image.name + \"|\" + image.registry + \"|\" + image.repository + \"|\" + image.tag + \"|\" + (has(image.digest) ? \"d\" : \"\")'}]\n",
		"of a match": head + "  match: {images: [\"docker.io/**\", \"localhost/*\"]}\n  rules: [{name: r, when: image.tag != \"1.25\", action: block, message: no}]\n",
		"of others":  head + "  exclude: {images: [\"registry.example.org/**\"], namespaces: [shop]}\n  rules: [{name: r, when: image.tag != \"1.25\", action: block, message: no}]\n",
		"namespaces": head + "  match: {namespaces: [\"sh?p\", \"kube-*\"]}\n  rules: [{name: r, when: object.metadata.name != \"\", action: block, message: no}]\n",
		"kinds":      head + "  match: {kinds: [\"Deployment.apps\", Po*]}\n  rules: [{name: r, when: workload.name != \"\", action: block, messageExpression: workload.kind + workload.name}]\n",
		"excluded":   head + "  exclude: {kinds: [Pod], selector: {matchLabels: {app: web}}}\n  rules: [{name: r, when: object.kind != \"\", action: block, message: no}]\n",
		"selector":   head + "  match: {selector: {matchExpressions: [{key: app, operator: In, values: [web, api]}, {key: x, operator: DoesNotExist}, {key: tier, operator: NotIn, values: [test]}]}}\n  rules: [{name: r, when: object.kind != \"\", action: block, message: no}]\n",
		"containers": head + "  variables: [{name: bad, expression: 'workload.containers.filter(c, c._kind != \"init\" && c.?securityContext.?privileged.orValue(false))'}]\n  rules: [{name: r, when: size(variables.bad) > 0, action: block, messageExpression: 'variables.bad.map(c, c._path + \" \" + c.name).join(\", \") + workload.serviceAccount'}]\n",
		"both":       head + "  match: {kinds: [Pod, Deployment]}\n  rules: [{name: r, when: 'workload.containers.exists(c, c.image == \"nginx\") && object.metadata.name != \"\"', action: block, messageExpression: 'workload.?name.orValue(\"-\") + string(size(workload.labels))'}]\n",
		"plain":      head + "  rules: [{name: r, when: 'workload.containers.exists(c, c.?securityContext.?privileged.orValue(false))', action: block, messageExpression: workload.kind + workload.namespace}]\n",
		"inlined":    head + "  variables: [{name: l, expression: image.tag == \"latest\"}, {name: bad, expression: variables.l || image.registry == \"localhost\"}]\n  rules: [{name: r, when: variables.bad, action: block, message: no}]\n",
		"failing":    head + "  rules: [{name: r, when: object.spec.nothing > 1, action: block, message: no}]\n",
		"closed":     head + "  failure: closed\n  rules: [{name: r, when: object.spec.nothing > 1, action: block, message: no}]\n",
		"modes":      head + "  rules: [{name: a, when: object.kind == \"Pod\", action: block, mode: warn, message: a}, {name: b, when: object.kind == \"Pod\", action: block, mode: audit, message: b}, {name: c, when: phase == \"deploy\" && object.kind == \"Pod\", action: block, message: c}]\n",
		"request":    head + "  match: {operations: [CREATE], subjects: [\"user:al*\", \"group:dev\"]}\n  rules: [{name: r, when: request.operation == \"CREATE\" && object.kind != \"\", action: block, messageExpression: request.userInfo.username}]\n",
		"an exception": head + "  exceptions: {namespaces: [\"*\"]}\n  rules: [{name: r, when: workload.name != \"\", action: block, message: no}]\n" +
			"---\napiVersion: seawall.io/v1alpha1\nkind: PolicyException\nmetadata: {name: e, namespace: shop}\nspec: {policy: p, owner: o, reason: r, expires: 2026-12-01, match: {images: [\"docker.io/**\"]}, when: object.kind == \"Pod\"}\n",
	}
	for _, name := range library.Names() {
		text, _ := library.Text(name)
		texts["library "+name] = string(text)
	}
	for name, text := range texts {
		t.Run(name, func(t *testing.T) {
			set := ours(t, text)
			native, left := export(t, set)
			if len(native.Names()) == 0 {
				if !strings.HasPrefix(name, "library ") {
					t.Fatalf("nothing is exported: %q", left)
				}
				return
			}
			denied := 0
			for _, in := range inputs(t) {
				want := verdicts(set.Decide(in))
				if diff := cmp.Diff(want, verdicts(native.Decide(in))); diff != "" {
					t.Fatalf("%v: ours (-) and native (+): %s", in.Object, diff)
				}
				denied += len(want)
			}
			if denied == 0 && name != "failing" {
				t.Error("nothing is denied: this case has lost its point")
			}
		})
	}
}

// inputs are creations of workloads with every kind of image, and of other things.
func inputs(t testing.TB) []policy.Input {
	t.Helper()
	var texts []string
	for i, image := range images() {
		texts = append(texts, fmt.Sprintf("apiVersion: v1\nkind: Pod\nmetadata: {name: p%d, namespace: %s, labels: {app: %s}}\nspec: {hostPID: true, initContainers: [{name: i, image: %q, securityContext: {privileged: true}}], containers: [{name: c, image: \"registry.k8s.io/x:1\", securityContext: {privileged: true}}, {name: d, image: %q}]}",
			i, []string{"shop", "kube-system", "other"}[i%3], []string{"web", "api", "db"}[i%3], image, images()[(i+3)%len(images())]))
	}
	texts = append(texts,
		"apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: w, namespace: shop, labels: {app: web, tier: test}}\nspec: {template: {spec: {serviceAccountName: x, containers: [{name: c, image: nginx, resources: {limits: {memory: 1Gi}, requests: {cpu: 1}}}]}}}",
		"apiVersion: batch/v1\nkind: CronJob\nmetadata: {name: c, namespace: shop, labels: {app: web, team: x, app.kubernetes.io/name: c}}\nspec: {jobTemplate: {spec: {template: {spec: {hostNetwork: true, containers: [{name: c, image: \"nginx:1.25\", securityContext: {privileged: true}}]}}}}}",
		"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: cm, namespace: shop, labels: {app: api}}",
		"apiVersion: v1\nkind: Namespace\nmetadata: {name: shop, labels: {app: api, x: z}}")
	var list []policy.Input
	for i, text := range texts {
		in := policy.Input{Phase: policy.PhaseDeploy, Now: now(), Request: map[string]any{"operation": "CREATE",
			"userInfo": map[string]any{"username": []string{"alice", "bob"}[i%2], "groups": []any{[]string{"dev", "ops"}[i/2%2]}}}}
		list = append(list, in.About(object(t, text)))
	}
	return list
}

// verdicts are decisions in what both sides say alike: the modes with their texts.
func verdicts(decisions []seawall.Decision) (out []string) {
	messages := map[string]string{}
	for _, d := range decisions {
		if d.Outcome == policy.OutcomeFailed || d.Exception != "" {
			continue
		}
		mode := d.Mode
		reason := d.Reason
		if strings.Contains(reason, "no such key") {
			reason = "no such key"
		}
		if was, there := messages[mode+d.Rule]; there { // native policies tell all images at once
			reason = was + "; " + reason
		}
		messages[mode+d.Rule] = reason
	}
	for key, reason := range messages {
		out = append(out, key[:4]+" "+reason)
	}
	slices.Sort(out)
	return out
}

func BenchmarkExported(b *testing.B) {
	for _, name := range []string{"resource-limits", "no-host-namespaces", "trusted-registries"} {
		text, _ := library.Text(name)
		set := ours(b, string(text))
		native, _ := export(b, set)
		in := inputs(b)[0]
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				native.Decide(in)
			}
		})
		b.Run(name+"/ours", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				set.Decide(in)
			}
		})
	}
}
