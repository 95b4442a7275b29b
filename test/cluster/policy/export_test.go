package policy_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seawall-security/seawall/internal/policy"
	"github.com/seawall-security/seawall/internal/policy/export"
	"github.com/seawall-security/seawall/internal/policy/kube"
	"github.com/seawall-security/seawall/internal/policy/library"
	"github.com/seawall-security/seawall/internal/policy/mutate"
)

// exported are policies whose every rule can be exported, each tried in a namespace of its own.
func exported() map[string]string {
	const head = "apiVersion: seawall.io/v1alpha1\nkind: Policy\nmetadata: {name: %s}\nspec:\n  phases: [deploy]\n"
	all := map[string]string{
		"images":    head + "  rules: [{name: r, when: 'image.registry == \"docker.io\" && image.tag != \"1\"', action: block, messageExpression: 'image.name + \" of \" + image.repository'}]\n",
		"match":     head + "  match: {kinds: [Pod, Deployment], selector: {matchLabels: {app: web}}}\n  exclude: {images: [\"docker.io/library/a:*\"], operations: [CREATE]}\n  rules: [{name: r, when: workload.name != \"\", action: block, messageExpression: workload.kind + \" \" + workload.name}]\n",
		"closed":    head + "  failure: closed\n  rules: [{name: r, when: object.spec.replicas > 1, action: block, message: more than one}]\n",
		"open":      head + "  rules: [{name: r, when: object.spec.replicas > 1, action: block, message: more than one}]\n",
		"warning":   head + "  mode: warn\n  rules: [{name: r, when: object.kind == \"Pod\", action: block, message: a pod}]\n",
		"container": head + "  rules: [{name: r, when: 'workload.containers.exists(c, c._kind == \"init\" || c.?securityContext.?privileged.orValue(false))', action: block, messageExpression: 'workload.containers.map(c, c._path).join(\" \")'}]\n",
		"exception": head + "  exceptions: {namespaces: [\"*\"]}\n  rules: [{name: r, when: workload.name != \"\", action: block, message: no workload}]\n---\napiVersion: seawall.io/v1alpha1\nkind: PolicyException\nmetadata: {name: e, namespace: NAMESPACE}\nspec: {policy: exception, owner: o, reason: r, expires: 2030-01-01, when: object.kind == \"Pod\"}\n",
	}
	for name, text := range all {
		all[name] = strings.Replace(text, "%s", name, 1)
	}
	for _, name := range library.Names() {
		text, _ := library.Text(name)
		all["library-"+name] = string(text)
	}
	return all
}

// bindTo makes bindings count in the namespaces of a group only, and names objects apart.
func bindTo(t *testing.T, e *export.Policies, prefix, group string) []map[string]any {
	t.Helper()
	var list []map[string]any
	for _, o := range e.Objects {
		text, err := json.Marshal(o)
		if err != nil {
			t.Fatal(err)
		}
		m := decode(t, text)
		meta, spec := m["metadata"].(map[string]any), m["spec"].(map[string]any)
		meta["name"] = prefix + meta["name"].(string)
		if name, ok := spec["policyName"].(string); ok {
			b := binding(m["kind"].(string), prefix+name, group, spec)
			m["spec"] = b["spec"]
		}
		list = append(list, m)
	}
	return list
}

// TestExported: what export writes is taken by the server, which then denies and warns
// of what our engine does, in its words.
func TestExported(t *testing.T) {
	s := connect(t)
	prefix := fmt.Sprintf("x%d-", time.Now().UnixNano()%1e6)
	type one struct {
		name, ns string
		ours     *policy.Set
		native   *kube.Set
	}
	var all []one
	texts := exported()
	for _, name := range slices.Sorted(maps.Keys(texts)) {
		ns := s.Namespace(t, groupLabel+"="+prefix+name)
		set, err := policy.Parse(name, []byte(strings.ReplaceAll(texts[name], "NAMESPACE", ns)))
		if err != nil {
			t.Fatal(err)
		}
		e, err := export.Kubernetes(set, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		if len(e.Objects) == 0 {
			if !strings.HasPrefix(name, "library-") {
				t.Errorf("%s: nothing is exported: %q", name, e.LeftOut)
			}
			continue
		}
		objects := bindTo(t, e, prefix, prefix+name)
		s.apply(t, objects)
		all = append(all, one{name, ns, set, parse(t, objects)})
	}
	group := prefix + "ready"
	ready := s.Namespace(t, groupLabel+"="+group)
	p, b := pair(t, prefix+"ready", group, ready, map[string]any{"resources": "any", "validations": []any{map[string]any{"expression": "false"}}})
	s.apply(t, []map[string]any{p, b})
	s.ready(t, ready, prefix+"ready")
	denied := map[string]int{}
	for _, x := range all {
		for _, o := range objects(t, x.ns) {
			if o["metadata"].(map[string]any)["namespace"] == nil {
				continue
			}
			t.Run(x.name+"/"+nameOf(o), func(t *testing.T) {
				in := policy.Input{Phase: policy.PhaseDeploy, Now: time.Now(), Request: map[string]any{"operation": "CREATE", "userInfo": map[string]any{"username": s.user}}}
				in = in.About(parse(t, nil).Review(t.Context(), s.request(t, x.ns, clone(t, o))).Object)
				var blocks, warns int
				for _, d := range x.ours.Decide(in) {
					switch {
					case policy.Blocks(&d):
						blocks++
					case d.Mode == policy.ModeWarn && d.Exception == "":
						warns++
					}
				}
				v := x.native.Review(t.Context(), s.request(t, x.ns, clone(t, o)))
				a := s.create(t, x.ns, o)
				first := v.Denied()
				if (blocks > 0) != (a.refused != "") || (first != nil) != (a.refused != "") {
					t.Fatalf("we block %d times, the server says %q, policy/kube %v", blocks, a.refused, first)
				}
				if first != nil && !strings.Contains(a.refused, first.Text()) {
					t.Errorf("the server says %q, policy/kube %q", a.refused, first.Text())
				}
				warned := len(slices.DeleteFunc(a.warnings, func(w string) bool { return !strings.Contains(w, "'"+prefix) }))
				if (warns > 0) != (warned > 0) {
					t.Errorf("we warn %d times, the server %d times", warns, warned)
				}
				denied[x.name] += blocks + warns
			})
		}
	}
	for _, x := range all {
		if denied[x.name] == 0 && x.name != "open" {
			t.Errorf("%s denies nothing: it has lost its point", x.name)
		}
	}
}

// TestExportedMutations: an exported mutation makes of pods what ours makes of them.
func TestExportedMutations(t *testing.T) {
	s := connect(t)
	prefix := fmt.Sprintf("x%d-", time.Now().UnixNano()%1e6)
	group := prefix + "mutations"
	ns := s.Namespace(t, groupLabel+"="+group)
	set, err := policy.Parse("p", []byte(`
apiVersion: seawall.io/v1alpha1
kind: Policy
metadata: {name: pods}
spec:
  phases: [deploy]
  variables: [{name: first, expression: 'workload.containers[0].name'}]
  rules:
  - {name: label, when: 'workload.name != "bad"', action: mutate, mutate: {labels: {team: ours, app: other, example.org/a: b}}}
  - {name: env, when: 'image.registry == "docker.io"', action: mutate, mutate: {applyConfiguration: {expression: 'Object{spec: Object.spec{containers: object.spec.containers.map(c, Object.spec.containers{name: c.name, env: [Object.spec.containers.env{name: "MIRROR", value: variables.first}]})}}'}}}
  - {name: patch, when: 'object.spec.restartPolicy == "Always"', action: mutate, mutate: {jsonPatch: {expression: '[JSONPatch{op: "replace", path: "/spec/restartPolicy", value: "OnFailure"}]'}, templates: ignore}}
`))
	if err != nil {
		t.Fatal(err)
	}
	e, err := export.Kubernetes(set, time.Now())
	if err != nil || len(e.Objects) != 6 {
		t.Fatalf("%v, %d objects, %q", err, len(e.Objects), e.LeftOut)
	}
	s.apply(t, bindTo(t, e, prefix, group))
	probe := decode(t, []byte("{apiVersion: v1, kind: Pod, metadata: {name: probe}, spec: {containers: [{name: a, image: a}]}}"))
	s.Wait(t, "the policies to be applied", func() error {
		if o := s.create(t, ns, probe).object; o["spec"].(map[string]any)["restartPolicy"] != "OnFailure" {
			return fmt.Errorf("patch is not applied yet")
		}
		return nil
	})
	changed := 0
	for _, o := range objects(t, ns) {
		if o["kind"] != "Pod" {
			continue
		}
		t.Run(nameOf(o), func(t *testing.T) {
			defaulted := parse(t, nil).Review(t.Context(), s.request(t, ns, clone(t, o))).Object
			in := policy.Input{Phase: policy.PhaseDeploy, Now: time.Now(), Mutator: mutate.New(nil)}
			after, decisions := set.Mutate(in.About(defaulted))
			changed += len(decisions)
			a := s.create(t, ns, o)
			if a.refused != "" {
				t.Fatal(a.refused)
			}
			after = parse(t, nil).Review(t.Context(), kube.Request{Operation: "CREATE", Object: after}).Object
			if diff := cmp.Diff(comparable(t, a.object), comparable(t, after)); diff != "" {
				t.Errorf("the server (-) and we (+): %s", diff)
			}
		})
	}
	if changed < 6 {
		t.Errorf("only %d changes", changed)
	}
}
