package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seawall-security/seawall/internal/detect"
	"github.com/seawall-security/seawall/internal/seawall"
)

// write is one control in a file, with its body at the usual indentation.
func write(body string) string {
	return "area: test\ncontrols:\n- id: T-1\n  title: a title\n  severity: high\n  rationale: why\n  remediation: how\n" + body
}

func object(t testing.TB, text string) seawall.Object {
	t.Helper()
	var head struct {
		APIVersion, Kind string
		Metadata         struct{ Name, Namespace string }
	}
	if err := json.Unmarshal([]byte(text), &head); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return seawall.Object{APIVersion: head.APIVersion, Kind: head.Kind, Namespace: head.Metadata.Namespace, Name: head.Metadata.Name, JSON: []byte(text)}
}

func pod(t testing.TB, name, spec string) seawall.Object {
	return object(t, `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"`+name+`","namespace":"shop"},"spec":`+spec+`}`)
}

func detector(text string, checks map[string]Check) *Detector {
	return New(Options{Name: "test", Checks: checks, Load: func() ([]*Control, error) {
		return Load(fstest.MapFS{"test.yaml": {Data: []byte(text)}}, "*.yaml")
	}})
}

// told writes findings briefly: "fail Pod/shop/web spec.x: evidence", "pass 3".
func told(findings []seawall.Finding) []string {
	var out []string
	for _, f := range findings {
		s := string(f.Status)
		if f.Location != nil {
			s += " " + strings.TrimSpace(f.Location.Resource+f.Location.Path+" "+f.Location.Field)
		}
		if f.Count > 0 {
			s += fmt.Sprint(" ", f.Count)
		}
		if f.Evidence+f.Reason != "" {
			s += ": " + f.Evidence + f.Reason
		}
		if f.Patch != nil {
			s += " " + string(f.Patch)
		}
		out = append(out, s)
	}
	return out
}

func TestDetect(t *testing.T) {
	cluster := seawall.Asset{ID: "c", Kind: seawall.AssetCluster}
	manifests := seawall.Asset{ID: "m", Kind: seawall.AssetManifests}
	host := seawall.Asset{ID: "h", Kind: seawall.AssetHost}
	objects := []seawall.Object{
		pod(t, "bad", `{"hostNetwork":true,"containers":[{"name":"a","securityContext":{"privileged":true}},{"name":"b"}],"initContainers":[{"name":"i","securityContext":{"privileged":true}}],"ephemeralContainers":[{"name":"e","securityContext":{"privileged":true}}],"volumes":[{"name":"v","hostPath":{"path":"/"}}]}`),
		object(t, `{"apiVersion":"batch/v1","kind":"CronJob","metadata":{"name":"cron","namespace":"shop"},"spec":{"jobTemplate":{"spec":{"template":{"spec":{"hostNetwork":true,"containers":[{"name":"c"}]}}}}}}`),
		object(t, `{"apiVersion":"example.org/v1","kind":"Rollout","metadata":{"name":"new","namespace":"shop"},"spec":{"template":{"spec":{"hostNetwork":true,"containers":[{"name":"c"}]}}}}`),
		object(t, `{"apiVersion":"v1","kind":"Service","metadata":{"name":"svc","namespace":"shop"},"spec":{"type":"NodePort","ports":[{"port":80},{"port":8080}]}}`),
		object(t, `{"apiVersion":"example.org/v1","kind":"Service","metadata":{"name":"other","namespace":"shop"},"spec":{"type":"NodePort"}}`),
		object(t, `{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"shop","labels":{"team":"blue"}}}`),
		object(t, `{"apiVersion":"v1","kind":"Secret","metadata":{"name":"s","namespace":"shop"},"data":{"x":"aGVsbG8="}}`),
	}
	config := func(kind string, data map[string]string) seawall.ConfigFact {
		return seawall.ConfigFact{Kind: kind, Path: "etc/x", Data: data}
	}
	kubeadm := config("kubernetes/version", map[string]string{"distribution": "kubeadm"})
	tests := []struct {
		name    string
		body    string
		asset   seawall.Asset
		objects []seawall.Object
		configs []seawall.ConfigFact
		want    []string
	}{
		{"containers", "  inspects: [workloads]\n  each: containers\n  pass: '!item.?securityContext.?privileged.orValue(false)'\n  field: item.securityContext.privileged\n  patch: {container: {securityContext: {privileged: false}}}",
			manifests, objects, nil, []string{
				`fail Pod/shop/bad spec.containers[0].securityContext.privileged: container a: securityContext.privileged = true {"spec":{"containers":[{"name":"a","securityContext":{"privileged":false}}]}}`,
				`fail Pod/shop/bad spec.initContainers[0].securityContext.privileged: init container i: securityContext.privileged = true {"spec":{"initContainers":[{"name":"i","securityContext":{"privileged":false}}]}}`,
				`fail Pod/shop/bad spec.ephemeralContainers[0].securityContext.privileged: ephemeral container e: securityContext.privileged = true`,
				"pass 3",
			}},
		{"pod templates everywhere", "  inspects: [workloads]\n  pass: '!pod.?hostNetwork.orValue(false)'\n  field: pod.hostNetwork\n  patch: {pod: {hostNetwork: null}}",
			manifests, objects, nil, []string{
				`fail Pod/shop/bad spec.hostNetwork: hostNetwork = true {"spec":{"hostNetwork":null}}`,
				`fail CronJob/shop/cron spec.jobTemplate.spec.template.spec.hostNetwork: hostNetwork = true {"spec":{"jobTemplate":{"spec":{"template":{"spec":{"hostNetwork":null}}}}}}`,
				`fail Rollout/shop/new spec.template.spec.hostNetwork: hostNetwork = true {"spec":{"template":{"spec":{"hostNetwork":null}}}}`,
			}},
		{"list of the pod", "  inspects: [workloads]\n  each: pod.?volumes.orValue([])\n  pass: '!has(item.hostPath)'\n  field: item.hostPath.path", manifests, objects, nil,
			[]string{`fail Pod/shop/bad spec.volumes[0].hostPath.path: "v": hostPath.path = /`}},
		{"kind and field by expression", "  inspects: [Service.v1]\n  each: object.spec.ports\n  pass: item.port != 8080\n  field: \"'spec.ports[' + string(index) + '].port'\"\n  evidence: \"'port ' + string(item.port)\"\n  patch: \"{'spec': {'type': 'ClusterIP', 'n': index}}\"", manifests, objects, nil,
			[]string{`fail Service/shop/svc spec.ports[1].port: port 8080 {"spec":{"n":1,"type":"ClusterIP"}}`, "pass 1"}},
		{"kind of any group", "  inspects: [Service]\n  pass: object.spec.type != 'NodePort'\n  field: object.spec.type", manifests, objects, nil,
			[]string{"fail Service/shop/svc spec.type: spec.type = NodePort", "fail Service/shop/other spec.type: spec.type = NodePort"}},
		{"applies", "  inspects: [workloads]\n  applies: object.kind == 'StatefulSet'\n  pass: 'false'", manifests, objects, nil, []string{"not-applicable 3: nothing here it is for"}},
		{"nothing of the kind", "  inspects: [Ingress]\n  pass: 'false'", manifests, objects, nil, []string{"not-applicable: there is nothing of the kind"}},
		{"an error about a failure leaves it one", "  inspects: [Service.v1]\n  pass: 'false'\n  field: object.nothing\n  evidence: object.nothing\n  patch: \"object.nothing\"", manifests, objects, nil,
			[]string{"fail Service/shop/svc nothing: (evidence: no such key: nothing) (patch: no such key: nothing)"}},
		{"no secrets in evidence", "  inspects: [workloads]\n  each: containers\n  pass: 'false'\n  field: item.args", manifests, []seawall.Object{pod(t, "p", `{"containers":[{"name":"c","args":["--password=x"]}]}`)}, nil,
			[]string{"fail Pod/shop/p spec.containers[0].args: container c"}},
		{"an error is not evaluated", "  inspects: [workloads]\n  pass: pod.nothing", manifests, objects, nil, []string{"not-evaluated Pod/shop/bad 3: no such key: nothing (and 2 more)"}},
		{"manual", "  inspects: [workloads]\n  manual: look", manifests, objects[:1], nil, []string{"not-evaluated Pod/shop/bad 1: look"}},
		{"namespace", "  inspects: [Secret]\n  pass: namespaceObject.metadata.labels.team == 'red'\n  field: object.data.x", manifests, objects, nil, []string{"fail Secret/shop/s data.x"}},
		{"cluster", "  inspects: [cluster]\n  needs: [services]\n  pass: objects('Service').all(s, s.spec.type != 'NodePort')", cluster, objects, []seawall.ConfigFact{config("kubernetes/read", map[string]string{"resource": "services"})}, []string{"fail"}},
		{"cluster, list forbidden", "  inspects: [cluster]\n  needs: [services]\n  pass: size(objects('Service')) > 0", cluster, objects, []seawall.ConfigFact{config("kubernetes/unread", map[string]string{"resource": "services", "reason": "forbidden"})},
			[]string{"not-evaluated 1: services could not be listed: forbidden"}},
		{"cluster, list not asked for", "  inspects: [cluster]\n  needs: [services]\n  pass: 'true'", cluster, nil, nil, []string{"not-evaluated 1: services were not listed"}},
		{"cluster, manifests", "  inspects: [cluster]\n  needs: [services]\n  pass: 'true'", manifests, nil, nil, []string{"not-evaluated 1: manifests show only a part of a cluster"}},
		{"object, list not known", "  inspects: [Namespace]\n  needs: [resourcequotas]\n  pass: 'false'", manifests, objects, nil, []string{"not-evaluated 1: manifests show only a part of a cluster"}},
		{"one fact of two", "  inspects: [kubernetes/kubelet]\n  pass: config.a == 'c'\n  field: a", cluster, nil, []seawall.ConfigFact{config("kubernetes/kubelet", map[string]string{"a": "b"}), config("kubernetes/unread", map[string]string{"resource": "kubernetes/kubelet", "reason": "node down"})},
			[]string{"fail etc/x a: a = b", "not-evaluated 1: kubernetes/kubelet could not be read: node down"}},
		{"workloads, list forbidden", "  inspects: [workloads]\n  pass: '!pod.?hostNetwork.orValue(false) || object.kind != \"Pod\"'", cluster, objects, []seawall.ConfigFact{config("kubernetes/unread", map[string]string{"resource": "jobs.batch", "reason": "forbidden"})},
			[]string{"fail Pod/shop/bad", "not-evaluated 1: jobs.batch could not be read: forbidden"}},
		{"kind, list forbidden", "  inspects: [NetworkPolicy]\n  pass: 'true'", cluster, nil, []seawall.ConfigFact{config("kubernetes/unread", map[string]string{"resource": "networkpolicies.networking.k8s.io", "reason": "forbidden"})},
			[]string{"not-evaluated 1: networkpolicies.networking.k8s.io could not be read: forbidden"}},
		{"fact", "  inspects: [host/sshd]\n  pass: config.PermitRootLogin == 'no'\n  field: PermitRootLogin", host, nil, []seawall.ConfigFact{config("host/sshd", map[string]string{"PermitRootLogin": "yes"})},
			[]string{"fail etc/x PermitRootLogin: PermitRootLogin = yes"}},
		{"fact with a missing setting", "  inspects: [host/sshd]\n  pass: config[?'X11Forwarding'].orValue('no') == 'yes'\n  field: X11Forwarding", host, nil, []seawall.ConfigFact{config("host/sshd", map[string]string{"A": "b"})},
			[]string{"fail etc/x X11Forwarding: X11Forwarding is not set"}},
		{"fact absent", "  inspects: [host/sshd]\n  pass: 'true'", host, nil, []seawall.ConfigFact{config("host/other", nil)}, []string{"not-applicable 1: no sshd here"}},
		{"fact absent, which fails", "  inspects: [host/auditd]\n  absent: fail\n  pass: 'true'", host, nil, []seawall.ConfigFact{config("host/other", nil)}, []string{"fail: auditd is not set up"}},
		{"fact unread", "  inspects: [host/sshd]\n  pass: 'true'", host, nil, []seawall.ConfigFact{config("host/unread", map[string]string{"resource": "host/sshd", "reason": "permission denied"})},
			[]string{"not-evaluated 1: host/sshd could not be read: permission denied"}},
		{"component of a cluster", "  inspects: [kubernetes/etcd]\n  pass: 'true'", cluster, nil, []seawall.ConfigFact{kubeadm}, []string{"not-evaluated 1: etcd could not be looked at from here"}},
		{"component on a host without Kubernetes", "  inspects: [kubernetes/etcd]\n  pass: 'true'", host, nil, []seawall.ConfigFact{config("host/other", nil)}, nil},
		{"component not on this node", "  inspects: [kubernetes/etcd]\n  pass: 'true'", host, nil, []seawall.ConfigFact{config("kubernetes/kubelet", nil)}, []string{"not-applicable 1: no etcd here"}},
		{"distribution", "  inspects: [kubernetes/etcd]\n  pass: 'true'\n  distributions: [k3s]", cluster, nil, []seawall.ConfigFact{kubeadm}, []string{"not-applicable 1: not for kubeadm"}},
		{"host as a whole", "  inspects: [host]\n  pass: facts('host/mount').exists(m, m.target == '/tmp') && size(facts('host/none')) == 0", host, nil, []seawall.ConfigFact{config("host/mount", map[string]string{"target": "/tmp"})}, []string{"pass 1"}},
		{"objects are none of a host's", "  inspects: [workloads, Service, cluster]\n  pass: 'true'", host, nil, nil, nil},
		{"functions", "  inspects: [workloads]\n  pass: namesSecret('DB_PASSWORD', 'hunter22') && !namesSecret('HOME', '/x') && now == timestamp('2026-11-21T00:00:00Z') && path == 'spec'", manifests, objects[:1], nil, []string{"pass 1"}},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			res, err := detector(write(tc.body), nil).Detect(context.Background(), detect.Facts{
				Asset: tc.asset, Objects: tc.objects, Configs: tc.configs, Now: time.Date(2026, 11, 21, 0, 0, 0, 0, time.UTC),
			})
			if err != nil {
				t.Fatal(err)
			}
			if res.Partial != "" {
				t.Errorf("partial: %s", res.Partial)
			}
			if diff := cmp.Diff(tc.want, told(res.Findings)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestFiles(t *testing.T) {
	body := "  inspects: [host]\n  each: files('/etc/ssh/*_key')\n  pass: item.mode == 384 && item.uid == 0"
	res, err := detector(write(body), nil).Detect(context.Background(), detect.Facts{
		Asset: seawall.Asset{Kind: seawall.AssetHost},
		Files: []seawall.FileFact{{Path: "etc/ssh/a_key", Kind: "file", Mode: 0o600}, {Path: "etc/ssh/b_key", Kind: "file", Mode: 0o644}, {Path: "etc/ssh/c_key"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"fail etc/ssh/b_key", "pass 1"}, told(res.Findings)); diff != "" {
		t.Error(diff)
	}
}

func TestChecks(t *testing.T) {
	checks := map[string]Check{"look": func(s *Subject) []Outcome {
		switch s.Object.Name {
		case "bad":
			return []Outcome{{Field: "spec.x", Evidence: "seen", Severity: seawall.SeverityLow, Title: "another", Remediation: "other", Frameworks: []string{"b"}, Patch: map[string]any{"a": 1}}}
		case "odd":
			return []Outcome{{Status: seawall.StatusNotEvaluated, Reason: "unclear"}, {Status: seawall.StatusNotApplicable, Reason: "no"}}
		}
		return nil
	}}
	d := detector(write("  inspects: [workloads]\n  check: look\n  frameworks: [a]"), checks)
	res, err := d.Detect(context.Background(), detect.Facts{Objects: []seawall.Object{pod(t, "bad", "{}"), pod(t, "odd", "{}"), pod(t, "good", "{}")}})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{`fail Pod/shop/bad spec.x: seen {"a":1}`, "not-evaluated Pod/shop/odd 1: unclear", "pass 1"}
	if diff := cmp.Diff(want, told(res.Findings)); diff != "" {
		t.Error(diff)
	}
	f := res.Findings[0]
	if f.Severity != seawall.SeverityLow || f.Title != "another" || f.Remediation != "other" || !cmp.Equal(f.Frameworks, []string{"a", "b"}) {
		t.Errorf("%+v", f)
	}
	if _, err := detector(write("  inspects: [workloads]\n  check: nothing"), checks).Detect(context.Background(), detect.Facts{Objects: []seawall.Object{pod(t, "x", "{}")}}); err == nil || !strings.Contains(err.Error(), `there is no check "nothing"`) {
		t.Errorf("unknown check: %v", err)
	}
}

// TestDamaged: an object that cannot be read makes the run partial, nothing else.
func TestDamaged(t *testing.T) {
	broken := pod(t, "broken", "{}")
	broken.JSON = broken.JSON[:20]
	odd := pod(t, "odd", `{"containers":["x"]}`)
	res, err := detector(write("  inspects: [workloads]\n  pass: 'true'"), nil).Detect(context.Background(), detect.Facts{Objects: []seawall.Object{broken, odd, pod(t, "good", "{}")}})
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(res.Partial, "reading Pod/shop/broken: ") || !strings.Contains(res.Partial, "reading Pod/shop/odd: spec.containers[0] is no mapping") {
		t.Errorf("partial %q", res.Partial)
	}
	if diff := cmp.Diff([]string{"pass 1"}, told(res.Findings)); diff != "" {
		t.Error(diff)
	}
}

// TestPanic: a check that panics makes the run partial and the program goes on.
func TestPanic(t *testing.T) {
	checks := map[string]Check{"look": func(s *Subject) []Outcome {
		if s.Object.Name == "bad" {
			panic("oh")
		}
		return nil
	}}
	res, err := detector(write("  inspects: [workloads]\n  check: look"), checks).Detect(context.Background(), detect.Facts{Objects: []seawall.Object{pod(t, "bad", "{}"), pod(t, "good", "{}")}})
	if err != nil || res.Partial != "judging Pod/shop/bad: panic: oh" {
		t.Errorf("%v, partial %q", err, res.Partial)
	}
	if diff := cmp.Diff([]string{"pass 1"}, told(res.Findings)); diff != "" {
		t.Error(diff)
	}
}

// TestOrder: results do not depend on which worker was first.
func TestOrder(t *testing.T) {
	var objects []seawall.Object
	var want []string
	for i := range 500 {
		objects = append(objects, pod(t, fmt.Sprintf("p%03d", i), "{}"))
		want = append(want, fmt.Sprintf("fail Pod/shop/p%03d", i))
	}
	d := detector(write("  inspects: [workloads]\n  pass: 'false'"), nil)
	for range 5 {
		res, err := d.Detect(context.Background(), detect.Facts{Objects: objects})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, told(res.Findings)); diff != "" {
			t.Fatal(diff)
		}
	}
}

func TestMistakes(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"unknown key", write("  inspects: [workloads]\n  pas: 'true'"), `test.yaml:9:3: a control has no key "pas"; did you mean "pass"?`},
		{"unknown key of the file", "area: a\ncontrol: []", `test.yaml:2:1: a file of controls has no key "control"; did you mean "controls"?`},
		{"key twice", write("  inspects: [workloads]\n  title: other\n  pass: 'true'"), `test.yaml:9:3: a control has the key "title" twice`},
		{"no yaml", "area: [", `test.yaml:1:1: did not find expected node content`},
		{"no area", "controls: []", `test.yaml:1:1: a file of controls names its area`},
		{"severity", strings.Replace(write("  inspects: [workloads]\n  pass: 'true'"), "severity: high", "severity: severe", 1), `test.yaml:5:13: severity "severe": want critical, high, medium or low`},
		{"identifier", strings.Replace(write("  inspects: [workloads]\n  pass: 'true'"), "T-1", "t 1", 1), `test.yaml:3:3: identifier "t 1": want capitals`},
		{"nothing to judge by", write("  inspects: [workloads]"), "T-1 has 0 of pass, check and manual"},
		{"two ways", write("  inspects: [workloads]\n  pass: 'true'\n  manual: x"), "T-1 has 2 of pass, check and manual"},
		{"inspects", write("  inspects: [pods]\n  pass: 'true'"), `T-1 inspects "pods": want workloads, cluster, host`},
		{"twice", write("  inspects: [workloads]\n  pass: 'true'") + "\n- " + strings.TrimPrefix(write("  inspects: [workloads]\n  pass: 'true'"), "area: test\ncontrols:\n- "), "test.yaml:10:3: identifier T-1 is taken already, at test.yaml:3:3"},
		{"expression", write("  inspects: [workloads]\n  pass: \"pood.x\""), `T-1: test.yaml:9:10: "pood" is not known here`},
		{"expression over lines", write("  inspects: [workloads]\n  pass: |\n    pod.x == 1 &&\n    pood.x"), `T-1: test.yaml:11:5: "pood" is not known here`},
		{"expression of another type", write("  inspects: [workloads]\n  each: '1'\n  pass: 'true'"), `T-1: test.yaml:9:10: the expression gives int, wanted a list`},
		{"patch", write("  inspects: [workloads]\n  pass: 'true'\n  patch: [1]"), "test.yaml:10:10: patch is a mapping"},
		{"alias", write("  inspects: [workloads]\n  pass: 'true'\n  patch: {a: &x {}, b: *x}"), "test.yaml:10:24: anchors and aliases are not supported here"},
		{"absent", write("  inspects: [host/x]\n  pass: 'true'\n  absent: never"), `test.yaml:10:11: absent "never"`},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			dir := t.TempDir()
			name := filepath.Join(dir, "test.yaml")
			if err := os.WriteFile(name, []byte(tc.text), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := LoadUser([]string{dir})
			if !errors.Is(err, seawall.ErrUsage) || !strings.Contains(strings.ReplaceAll(err.Error(), dir+"/", ""), tc.want) {
				t.Errorf("error %v, want %s", err, tc.want)
			}
		})
	}
	if _, err := LoadUser([]string{filepath.Join(t.TempDir(), "none.yaml")}); !errors.Is(err, seawall.ErrUsage) {
		t.Errorf("missing file: %v", err)
	}
}

func TestUserIdentifiers(t *testing.T) {
	name := filepath.Join(t.TempDir(), "own.yaml")
	text := strings.Replace(write("  inspects: [workloads]\n  pass: 'true'"), "T-1", "SW-POD-900", 1)
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadUser([]string{name}); err == nil || !strings.Contains(err.Error(), "SW-… are Seawall's own") {
		t.Errorf("error %v", err)
	}
}

// FuzzParse: a file gives controls or an error that names it, and what it gives can be compiled or refused.
func FuzzParse(f *testing.F) {
	f.Add(write("  inspects: [workloads]\n  each: containers\n  pass: 'true'\n  patch: {container: {a: [1, null, true]}}"))
	f.Add(write("  inspects: [host/sshd]\n  pass: |\n    config.x == 'y' &&\n    true\n  field: x"))
	f.Add("area: a\ncontrols:\n- &a {id: A-1}\n- *a\n---\n")
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 1<<16 {
			return
		}
		controls, err := Parse("f.yaml", []byte(text))
		if err != nil {
			if controls != nil || !strings.HasPrefix(err.Error(), "f.yaml:") {
				t.Fatalf("%d controls, error %v", len(controls), err)
			}
			return
		}
		for _, c := range controls {
			if out, err := compile(c); (out == nil) == (err == nil) {
				t.Fatalf("compiled %v, error %v", out, err)
			}
		}
	})
}
