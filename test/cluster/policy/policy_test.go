// Package policy_test holds Kubernetes' own policies against the API server that they
// are of: what policy/kube says of an object is what the server answers.
package policy_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	kjson "sigs.k8s.io/json"
	"sigs.k8s.io/yaml"

	"github.com/seawall-security/seawall/internal/policy"
	"github.com/seawall-security/seawall/internal/policy/kube"
	"github.com/seawall-security/seawall/internal/policy/mutate"
	"github.com/seawall-security/seawall/internal/testenv"
	"github.com/seawall-security/seawall/test/cluster/cluster"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// server is the API server with what it says beside its answers.
type server struct {
	*cluster.Cluster
	http   *http.Client
	url    string
	user   string
	groups []string
}

func connect(t *testing.T) *server {
	t.Helper()
	c := cluster.Shared(t)
	config, err := clientcmd.BuildConfigFromFlags("", c.Kubeconfig())
	if err != nil {
		t.Fatal(err)
	}
	trust, err := rest.TLSConfigFor(config)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: trust}}
	t.Cleanup(client.CloseIdleConnections)
	s := &server{Cluster: c, http: client, url: config.Host}
	o, err := c.Post(context.Background(), "/apis/authentication.k8s.io/v1/selfsubjectreviews", map[string]any{"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"})
	if err != nil {
		t.Fatal(err)
	}
	s.user = o.String("status", "userInfo", "username")
	for _, g := range o.At("status", "userInfo", "groups").([]any) {
		s.groups = append(s.groups, g.(string))
	}
	return s
}

// answer is what the server says of an object.
type answer struct {
	object   map[string]any
	refused  string
	warnings []string
}

var warning = regexp.MustCompile(`^299 - "((?:[^"\\]|\\.)*)"$`)

// create creates an object, dry.
func (s *server) create(t *testing.T, namespace string, o map[string]any) answer {
	t.Helper()
	apiVersion, _ := o["apiVersion"].(string)
	kind, _ := o["kind"].(string)
	path, err := s.Path(t.Context(), apiVersion, kind, namespace, "")
	if err != nil {
		t.Fatal(err)
	}
	body, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url+path+"?dryRun=All", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := s.http.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	var a answer
	if err := kjson.UnmarshalCaseSensitivePreserveInts(text, &a.object); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	for _, w := range response.Header.Values("Warning") {
		if m := warning.FindStringSubmatch(w); m != nil {
			a.warnings = append(a.warnings, strings.NewReplacer(`\"`, `"`, `\\`, `\`).Replace(m[1]))
		}
	}
	if response.StatusCode/100 != 2 {
		a.refused, _ = a.object["message"].(string)
	}
	return a
}

func read(t *testing.T, name string) []byte {
	t.Helper()
	text, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// objects are fresh copies of those that everything is tried with.
func objects(t *testing.T, namespace string) []map[string]any {
	t.Helper()
	var all []map[string]any
	for _, text := range strings.Split(string(read(t, "objects.yaml")), "\n---\n") {
		o := decode(t, []byte(text))
		switch o["kind"] {
		case "Namespace", "ClusterRole", "PersistentVolume":
		default:
			o["metadata"].(map[string]any)["namespace"] = namespace
		}
		all = append(all, o)
	}
	return all
}

func decode(t *testing.T, text []byte) map[string]any {
	t.Helper()
	text, err := yaml.YAMLToJSON(text)
	if err != nil {
		t.Fatal(err)
	}
	var m map[string]any
	if err := kjson.UnmarshalCaseSensitivePreserveInts(text, &m); err != nil {
		t.Fatal(err)
	}
	return m
}

func nameOf(o map[string]any) string {
	return fmt.Sprint(o["kind"], "/", o["metadata"].(map[string]any)["name"])
}

// specs are the policies' by name.
func specs(t *testing.T, file string) map[string]map[string]any {
	t.Helper()
	out := map[string]map[string]any{}
	for name, spec := range decode(t, read(t, file)) {
		out[name] = spec.(map[string]any)
	}
	return out
}

// constraints are what resources stands for.
func constraints(resources string) map[string]any {
	rule := map[string]any{"apiGroups": []any{"*"}, "apiVersions": []any{"*"}, "operations": []any{"CREATE"}, "resources": []any{"*"}}
	switch resources {
	case "pods", "services":
		rule["apiGroups"], rule["resources"] = []any{""}, []any{resources}
	case "workloads":
		rule["apiGroups"], rule["resources"] = []any{"apps"}, []any{"deployments", "statefulsets", "daemonsets", "replicasets"}
	}
	return map[string]any{"resourceRules": []any{rule}}
}

const groupLabel = "seawall.test/group"

// binding binds a policy to the namespaces of a group.
func binding(kind, name, group string, spec map[string]any) map[string]any {
	spec["policyName"] = name
	match, _ := spec["matchResources"].(map[string]any)
	if match == nil {
		match = map[string]any{}
		spec["matchResources"] = match
	}
	selector, _ := match["namespaceSelector"].(map[string]any)
	if selector == nil {
		selector = map[string]any{}
		match["namespaceSelector"] = selector
	}
	labels, _ := selector["matchLabels"].(map[string]any)
	if labels == nil {
		labels = map[string]any{}
		selector["matchLabels"] = labels
	}
	labels[groupLabel] = group
	return map[string]any{"apiVersion": "admissionregistration.k8s.io/v1", "kind": kind, "metadata": map[string]any{"name": name}, "spec": spec}
}

// apply creates objects of the cluster and removes them with the test.
func (s *server) apply(t *testing.T, list []map[string]any) {
	t.Helper()
	for _, o := range list {
		if _, err := s.ApplyObject(t.Context(), "", cluster.Object(o)); err != nil {
			t.Fatalf("%s: %v", nameOf(o), err)
		}
		path, err := s.Path(t.Context(), o["apiVersion"].(string), o["kind"].(string), "", o["metadata"].(map[string]any)["name"].(string))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := s.Delete(context.Background(), path); err != nil {
				t.Error(err)
			}
		})
	}
}

// parse reads the same objects as our policies.
func parse(t *testing.T, list []map[string]any) *kube.Set {
	t.Helper()
	var all bytes.Buffer
	for _, o := range list {
		text, err := json.Marshal(o)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&all, "---\n%s\n", text)
	}
	set, err := kube.Parse("policies", all.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// request is the dry creation of an object by the test's user.
func (s *server) request(t *testing.T, namespace string, o map[string]any) kube.Request {
	t.Helper()
	ns, err := s.Get(t.Context(), "/api/v1/namespaces/"+namespace)
	if err != nil {
		t.Fatal(err)
	}
	return kube.Request{Operation: "CREATE", Object: o, Namespace: ns, User: s.user, Groups: s.groups, DryRun: true}
}

const batches = 6

// TestValidating: all policies, in a few groups, against all objects: the warnings that
// the server gives are ours, word by word.
func TestValidating(t *testing.T) {
	s := connect(t)
	all := specs(t, "policies.yaml")
	always := all["always"]
	delete(all, "always")
	names := slices.Sorted(maps.Keys(all))
	prefix := fmt.Sprintf("diff-%d-", time.Now().UnixNano()%1e9)
	var policies, bindings [][]map[string]any
	var namespaces []string
	var sets []*kube.Set
	var parameters []map[string]any
	for i := range batches {
		group := fmt.Sprint(prefix, i)
		ns := s.Namespace(t, groupLabel+"="+group, "tier="+[]string{"test", "live"}[i%2])
		namespaces = append(namespaces, ns)
		params := s.params(t, ns)
		if !slices.ContainsFunc(names, func(name string) bool { return slices.Index(names, name)%batches == i && all[name]["paramKind"] != nil }) {
			params = nil
		}
		parameters = append(parameters, params...)
		var p, b []map[string]any
		for j := i; j < len(names); j += batches {
			one, bound := pair(t, prefix+names[j], group, ns, clone(t, all[names[j]]))
			p, b = append(p, one), append(b, bound)
		}
		one, bound := pair(t, fmt.Sprint(prefix, "z-always-", i), group, ns, clone(t, always))
		policies, bindings = append(policies, append(p, one)), append(bindings, append(b, bound))
		sets = append(sets, parse(t, slices.Concat(policies[i], bindings[i], params)))
	}
	for i := range batches {
		s.apply(t, policies[i])
	}
	for i := range batches {
		s.apply(t, bindings[i])
	}
	whole := parse(t, slices.Concat(slices.Concat(policies...), slices.Concat(bindings...), parameters))
	pairs, violations := 0, 0
	for i, ns := range namespaces {
		s.ready(t, ns, fmt.Sprint("z-always-", i))
		for _, o := range objects(t, ns) {
			t.Run(fmt.Sprint(i, "/", nameOf(o)), func(t *testing.T) {
				set := sets[i]
				if o["metadata"].(map[string]any)["namespace"] == nil { // bindings of every group apply
					set = whole
				}
				verdict := set.Review(t.Context(), s.request(t, ns, clone(t, o)))
				var ours []string
				for _, v := range verdict.Violations {
					if v.Warn && !v.Ignored {
						ours = append(ours, v.Warning())
					}
				}
				var theirs []string
				a := s.create(t, ns, o)
				for _, w := range a.warnings {
					if strings.Contains(w, "'"+prefix) {
						theirs = append(theirs, w)
					}
				}
				if a.refused != "" || verdict.Refused != "" {
					t.Errorf("refused: %q, by us %q", a.refused, verdict.Refused)
				}
				slices.Sort(ours)
				slices.Sort(theirs)
				if diff := cmp.Diff(theirs, ours); diff != "" {
					t.Errorf("the server (-) and we (+): %s", diff)
				}
				pairs += len(policies[i])
				violations += len(ours)
			})
		}
	}
	t.Logf("%d pairs of policies and objects, %d violations", pairs, violations)
	if len(names) < 60 || pairs < 1000 || violations < 300 {
		t.Errorf("%d policies, %d pairs, %d violations: this test has lost its point", len(names), pairs, violations)
	}
}

// TestTypes: what the server warns of in a policy's status, policy check does.
func TestTypes(t *testing.T) {
	s := connect(t)
	name := fmt.Sprintf("types-%d", time.Now().UnixNano()%1e9)
	p := map[string]any{"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy", "metadata": map[string]any{"name": name}, "spec": decode(t, []byte(`
paramKind: {apiVersion: v1, kind: ConfigMap}
matchConstraints:
  resourceRules:
  - {apiGroups: [apps], apiVersions: [v1], operations: [CREATE], resources: [deployments, daemonsets]}
  - {apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [pods, services]}
variables: [{name: c, expression: object.spec.template.spec.containers}]
validations:
- {expression: object.spec.replicas > 3 && object.spec.nothing == 1 && params.dta.x == 'a'}
- {expression: "variables.c.all(c, c.resources.limits['memory'] == 'a' && c.nme == 'x')", messageExpression: "string(object.metadata.nam)"}
- {expression: "object.spec.?ports.hasValue() || object.metadata.labels['a'] == 1"}
`))}
	s.apply(t, []map[string]any{p})
	mistakes := regexp.MustCompile(`undefined field '\w+'|found no matching overload for '\S+'`)
	var theirs, ours []string
	s.Wait(t, "the server's type check", func() error {
		o, err := s.Get(t.Context(), "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies/"+name)
		if err != nil {
			return err
		}
		if o.At("status", "typeChecking") == nil {
			return fmt.Errorf("no status yet")
		}
		for _, w := range o.List("status", "typeChecking", "expressionWarnings") {
			for _, m := range mistakes.FindAllString(w.String("warning"), -1) {
				theirs = append(theirs, w.String("fieldRef")+": "+m)
			}
		}
		return nil
	})
	for _, line := range parse(t, []map[string]any{p}).Lint() {
		if _, after, ok := strings.Cut(line, ": spec."); ok {
			field, _, _ := strings.Cut(after, ":")
			for _, m := range mistakes.FindAllString(after, -1) {
				ours = append(ours, "spec."+field+": "+m)
			}
		}
	}
	slices.Sort(theirs)
	slices.Sort(ours)
	if diff := cmp.Diff(slices.Compact(theirs), slices.Compact(ours)); diff != "" || len(theirs) == 0 {
		t.Errorf("the server (-) and we (+): %s", diff)
	}
}

// pair is a policy of a compact spec, and its binding.
func pair(t *testing.T, name, group, namespace string, spec map[string]any) (p, b map[string]any) {
	t.Helper()
	if r, ok := spec["resources"].(string); ok {
		spec["matchConstraints"] = constraints(r)
		delete(spec, "resources")
	}
	bound, _ := spec["binding"].(map[string]any)
	if bound == nil {
		bound = map[string]any{}
	}
	delete(spec, "binding")
	if ref, ok := bound["paramRef"].(map[string]any); ok && ref["namespace"] == "NAMESPACE" {
		ref["namespace"] = namespace
	}
	bound["validationActions"] = []any{"Warn"}
	p = map[string]any{"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy", "metadata": map[string]any{"name": name}, "spec": spec}
	return p, binding("ValidatingAdmissionPolicyBinding", name, group, bound)
}

func clone(t *testing.T, m map[string]any) map[string]any {
	t.Helper()
	text, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return decode(t, text)
}

// params creates the parameters of a namespace and returns them.
func (s *server) params(t *testing.T, ns string) []map[string]any {
	t.Helper()
	list := []map[string]any{
		decode(t, []byte("{apiVersion: v1, kind: ConfigMap, metadata: {name: limits, namespace: "+ns+"}, data: {containers: '1'}}")),
		decode(t, []byte("{apiVersion: v1, kind: ConfigMap, metadata: {name: evil, namespace: "+ns+", labels: {forbids: images}}, data: {prefix: evil.example.org}}")),
		decode(t, []byte("{apiVersion: v1, kind: ConfigMap, metadata: {name: hub, namespace: "+ns+", labels: {forbids: images}}, data: {prefix: nginx}}")),
	}
	for _, o := range list {
		if _, err := s.ApplyObject(t.Context(), ns, cluster.Object(o)); err != nil {
			t.Fatal(err)
		}
	}
	return list
}

// ready waits until the server applies a policy; those before it are applied then.
func (s *server) ready(t *testing.T, ns, policy string) {
	t.Helper()
	probe := decode(t, []byte("{apiVersion: v1, kind: ConfigMap, metadata: {name: probe}}"))
	s.Wait(t, "policies to be applied", func() error {
		if a := s.create(t, ns, probe); !strings.Contains(a.refused+strings.Join(a.warnings, " "), policy) {
			return fmt.Errorf("%s is not applied yet", policy)
		}
		return nil
	})
}

// TestDefaults: what we make of a manifest is what the server makes of it.
func TestDefaults(t *testing.T) {
	s := connect(t)
	ns := s.Namespace(t)
	set := parse(t, nil)
	for _, o := range objects(t, ns) {
		t.Run(nameOf(o), func(t *testing.T) {
			ours := set.Review(t.Context(), s.request(t, ns, clone(t, o)))
			theirs := s.create(t, ns, o)
			if ours.Refused != "" || theirs.refused != "" {
				t.Fatalf("refused: %q, by us %q", theirs.refused, ours.Refused)
			}
			if diff := cmp.Diff(comparable(t, theirs.object), comparable(t, ours.Object)); diff != "" {
				t.Errorf("the server (-) and we (+): %s", diff)
			}
		})
	}
}

var tokenVolume = regexp.MustCompile(`kube-api-access-[a-z0-9]{5}`)

// comparable takes away what the server only knows once it stores an object: its
// identity, its status, and what it allocates.
func comparable(t *testing.T, o map[string]any) map[string]any {
	t.Helper()
	text, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	o = decode(t, tokenVolume.ReplaceAll(text, []byte("kube-api-access-xxxxx")))
	delete(o, "status")
	meta := o["metadata"].(map[string]any)
	for _, key := range []string{"uid", "creationTimestamp", "managedFields", "generation", "resourceVersion", "finalizers"} {
		delete(meta, key)
	}
	if labels, ok := meta["labels"].(map[string]any); ok && len(labels) == 0 {
		delete(meta, "labels")
	}
	spec, _ := o["spec"].(map[string]any)
	switch o["kind"] {
	case "Service":
		for _, key := range []string{"clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"} {
			delete(spec, key)
		}
		for _, p := range spec["ports"].([]any) {
			delete(p.(map[string]any), "nodePort")
		}
	case "Job": // the selector is of the object's identity
		delete(spec, "selector")
		delete(meta, "labels")
		delete(spec["template"].(map[string]any), "metadata")
	case "Secret": // stringData is written only
		delete(o, "stringData")
		delete(o, "data")
	}
	return prune(o).(map[string]any)
}

// prune takes away nulls.
func prune(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k, e := range v {
			if e == nil {
				delete(v, k)
				continue
			}
			v[k] = prune(e)
		}
	case []any:
		for i := range v {
			v[i] = prune(v[i])
		}
	}
	return v
}

// TestMutating: every mutating policy makes of every pod what the server makes of it;
// and so does the same expression in a policy of ours.
func TestMutating(t *testing.T) {
	s := connect(t)
	prefix := fmt.Sprintf("diff-%d-", time.Now().UnixNano()%1e9)
	all := specs(t, "mutations.yaml")
	type bound struct {
		name, ns string
		objects  []map[string]any
	}
	var cases []bound
	for _, name := range slices.Sorted(maps.Keys(all)) {
		group := prefix + name
		b := bound{name: name, ns: s.Namespace(t, groupLabel+"="+group)}
		b.objects = []map[string]any{
			{"apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingAdmissionPolicy", "metadata": map[string]any{"name": group},
				"spec": map[string]any{"reinvocationPolicy": "Never", "matchConstraints": constraints("pods"), "mutations": []any{clone(t, all[name])}}},
			binding("MutatingAdmissionPolicyBinding", group, group, map[string]any{}),
		}
		s.apply(t, b.objects)
		cases = append(cases, b)
	}
	probe := cluster.Object(decode(t, []byte("{apiVersion: v1, kind: Pod, metadata: {name: probe}, spec: {containers: [{name: a, image: a}]}}")))
	before := comparable(t, s.create(t, s.Namespace(t), probe).object)
	last := cases[len(cases)-1] // those before it are applied then
	s.Wait(t, "the policies to be applied", func() error {
		after := comparable(t, s.create(t, last.ns, probe).object)
		after["metadata"].(map[string]any)["namespace"] = before["metadata"].(map[string]any)["namespace"]
		if cmp.Equal(before, after) {
			return fmt.Errorf("%s is not applied yet", last.name)
		}
		return nil
	})
	for _, b := range cases {
		set := parse(t, b.objects)
		for _, o := range objects(t, b.ns) {
			if o["kind"] != "Pod" {
				continue
			}
			t.Run(b.name+"/"+nameOf(o), func(t *testing.T) {
				request := s.request(t, b.ns, clone(t, o))
				ours := set.Review(t.Context(), request)
				theirs := s.create(t, b.ns, o)
				if (ours.Refused != "") != (theirs.refused != "") {
					t.Fatalf("refused: %q, by us %q", theirs.refused, ours.Refused)
				}
				if theirs.refused != "" {
					return
				}
				want := comparable(t, theirs.object)
				if diff := cmp.Diff(want, comparable(t, ours.Object)); diff != "" {
					t.Errorf("the server (-) and policy/kube (+): %s", diff)
				}
				if diff := cmp.Diff(want, comparable(t, own(t, all[b.name], parse(t, nil), request))); diff != "" {
					t.Errorf("the server (-) and policy/mutate (+): %s", diff)
				}
			})
		}
	}
}

// own applies a mutation as a rule of our policies.
func own(t *testing.T, mutation map[string]any, defaults *kube.Set, request kube.Request) map[string]any {
	t.Helper()
	m := clone(t, mutation)
	delete(m, "patchType")
	text, err := json.Marshal(map[string]any{
		"apiVersion": "seawall.io/v1alpha1", "kind": "Policy", "metadata": map[string]any{"name": "own"},
		"spec": map[string]any{"phases": []any{"deploy"}, "rules": []any{map[string]any{"name": "own", "when": "phase == \"deploy\" && object != null", "action": "mutate", "mutate": m}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	set, err := policy.Parse("own", text)
	if err != nil {
		t.Fatal(err)
	}
	in := policy.Input{Phase: policy.PhaseDeploy, Now: time.Now(), Mutator: mutate.New(nil), Namespace: request.Namespace, Request: map[string]any{"operation": request.Operation}}
	in = in.About(defaults.Review(t.Context(), request).Object)
	object, decisions := set.Mutate(in)
	for _, d := range decisions {
		if d.Outcome != policy.OutcomeEnforced {
			t.Errorf("%+v", d)
		}
	}
	return defaults.Review(t.Context(), kube.Request{Operation: "CREATE", Object: object}).Object
}
