package auditlog_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/sensor/auditlog"
)

const head = `"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"RequestResponse"`

const exec = `{` + head + `,"auditID":"a1","stage":"ResponseComplete","requestURI":"/api/v1/namespaces/shop/pods/web-1/exec?command=sh&command=-c&tty=true","verb":"create",
"user":{"username":"ann","groups":["dev","system:authenticated"],"extra":{"k":["v"]}},"impersonatedUser":{"username":"root"},"sourceIPs":["10.0.0.7","192.0.2.1"],"userAgent":"kubectl/v1.36",
"objectRef":{"resource":"pods","namespace":"shop","name":"web-1","subresource":"exec","apiVersion":"v1"},"responseStatus":{"code":101},
"requestReceivedTimestamp":"2026-11-21T09:00:00.000001Z","stageTimestamp":"2026-11-21T09:00:01.500000Z","annotations":{"authorization.k8s.io/decision":"allow","authorization.k8s.io/reason":"RBAC: x"}}`

const pod = `{` + head + `,"auditID":"p1","stage":"ResponseComplete","verb":"create","requestURI":"/api/v1/namespaces/shop/pods","user":{"username":"bob"},
"objectRef":{"resource":"pods","namespace":"shop"},"responseStatus":{"code":201},"responseObject":{"metadata":{"name":"p-x7"}},
"requestObject":{"metadata":{"name":"p"},"spec":{"hostNetwork":true,"securityContext":{"runAsUser":7,"supplementalGroups":[1,2]},
"volumes":[{"name":"a","hostPath":{"path":"/proc/1"}},{"name":"b","emptyDir":{}},{"name":"c","flexVolume":{"driver":"d/f"}}],
"initContainers":[{"name":"i","image":"init:1","securityContext":{"privileged":true}}],
"containers":[{"name":"x","image":"host:5000/a/b:1","ports":[{"hostPort":80},{"containerPort":1}],"securityContext":{"privileged":true,"runAsUser":0,"capabilities":{"add":["NET_ADMIN"]}}},{"name":"y","image":"c@sha256:0"}]}}}`

const role = `{` + head + `,"stage":"ResponseComplete","verb":"create","requestURI":"/apis","user":{"username":"bob"},"objectRef":{"resource":"clusterroles","name":"r"},
"requestObject":{"rules":[{"verbs":["get","list"],"resources":["pods"],"apiGroups":[""]},{"verbs":["*"],"nonResourceURLs":["/x"]}],"subjects":[{"kind":"User","name":"eve"}],"roleRef":{"name":"cluster-admin"},
"data":{"k":"v"}},"objectRef":{"resource":"clusterroles","name":"r"}}`

func read(t *testing.T, text string) ([]*auditlog.Entry, []string, error) {
	t.Helper()
	var out []*auditlog.Entry
	var bad []string
	err := auditlog.Read(context.Background(), strings.NewReader(text), func(e *auditlog.Entry) error {
		out = append(out, e)
		return nil
	}, func(d *auditlog.Damaged) error {
		bad = append(bad, d.Error())
		return nil
	})
	return out, bad, err
}

func line(s string) string { return strings.ReplaceAll(s, "\n", "") }

// field is every value of a field as text.
func field(e *auditlog.Entry, r seawall.FieldRef) string {
	var out []string
	var v seawall.Value
	for i := 0; i < 20 && e.Value(&r, i, &v); i++ {
		out = append(out, v.Text)
	}
	return strings.Join(out, "|")
}

func TestFields(t *testing.T) {
	for text, want := range map[string]map[string]string{
		exec: {
			"ka.auditid": "a1", "ka.stage": "ResponseComplete", "ka.verb": "create", "ka.user.name": "ann", "ka.user.groups": "dev|system:authenticated", "ka.user.groups[1]": "system:authenticated",
			"ka.user.groups[5]": "", "ka.impuser.name": "root", "ka.sourceips": "10.0.0.7|192.0.2.1", "ka.useragent": "kubectl/v1.36", "ka.target.resource": "pods", "ka.target.subresource": "exec",
			"ka.target.namespace": "shop", "ka.target.name": "web-1", "ka.target.pod.name": "web-1", "ka.uri.param[command]": "sh", "ka.uri.param[none]": "", "ka.response.code": "101", "ka.auth.decision": "allow",
			"ka.auth.reason": "RBAC: x", "jevt.value[/stage]": "ResponseComplete", "jevt.value[/user/groups/0]": "dev", "jevt.value[/annotations/authorization.k8s.io~1decision]": "allow", "jevt.value[/nothing/here]": "",
			"jevt.value[/user/groups/9]": "", "ka.user.extra": `{"k":["v"]}`, "jevt.time.iso8601": "2026-11-21T09:00:01.5Z", "ka.req.pod.containers.image": "", "ka.resp.name": "", "no.such": "",
		},
		pod: {
			"ka.target.name": "p", "ka.resp.name": "p-x7", "ka.target.subresource": "", "ka.req.pod.containers.image": "host:5000/a/b:1|c@sha256:0", "ka.req.pod.containers.image[1]": "c@sha256:0", "ka.req.pod.containers.image.repository": "host:5000/a/b|c",
			"ka.req.pod.containers.privileged": "true|false", "ka.req.pod.initContainers.privileged": "true", "ka.req.pod.ephemeralContainers.privileged": "", "ka.req.pod.host_network": "true", "ka.req.pod.host_pid": "false",
			"ka.req.pod.containers.host_port": "80", "ka.req.pod.containers.add_capabilities": "NET_ADMIN", "ka.req.pod.containers.eff_run_as_user": "0|7", "ka.req.pod.containers.run_as_user": "0", "ka.req.pod.run_as_user": "7",
			"ka.req.pod.supplemental_groups": "1|2", "ka.req.pod.volumes.hostpath": "/proc/1", "ka.req.pod.volumes.flexvolume_driver": "d/f", "ka.req.pod.volumes.volume_type": "hostPath|emptyDir|flexVolume",
			"ka.req.volume.hostpath[/proc*]": "true", "ka.req.volume.hostpath[/etc]": "false", "ka.req.container.image": "host:5000/a/b:1", "ka.req.container.privileged": "true", "ka.req.pod.containers.proc_mount": "Default|Default",
			"ka.req.pod.containers.read_only_fs": "false|false", "ka.req.pod.containers.allow_privilege_escalation": "true|true",
		},
		role: {
			"ka.req.role.rules.verbs": "get|list|*", "ka.req.role.rules.verbs[1]": "*", "ka.req.role.rules.resources": "pods", "ka.req.role.rules.nonResourceURLs": "/x", "ka.req.role.rules.apiGroups": "",
			"ka.req.binding.role": "cluster-admin", "ka.req.binding.subject.has_name[eve]": "true", "ka.req.binding.subject.has_name[ann]": "false", "ka.req.configmap.obj": `{"k":"v"}`,
			"ka.req.binding.subjects": `{"kind":"User","name":"eve"}`, "ka.response.code": "",
		},
	} {
		entries, bad, err := read(t, line(text))
		if err != nil || len(bad) > 0 || len(entries) != 1 {
			t.Fatal(entries, bad, err)
		}
		for name, want := range want {
			r := seawall.FieldRef{Name: name, Index: -1}
			if n, argument, ok := strings.Cut(strings.TrimSuffix(name, "]"), "["); ok {
				r.Name, r.Argument = n, argument
				if _, err := fmt.Sscanf(argument, "%d", &r.Index); err != nil {
					r.Index = -1
				}
			}
			if got := field(entries[0], r); got != want {
				t.Errorf("%s = %q, want %q", name, got, want)
			}
		}
	}
}

// Single events, pretty-printed or not, lines, lists of events, several documents.
func TestForms(t *testing.T) {
	items := "[" + line(exec) + "," + line(pod) + "]"
	list := `{"kind":"EventList","apiVersion":"audit.k8s.io/v1","items":` + items + `}`
	for name, tc := range map[string]struct {
		text string
		want int
	}{
		"single": {line(exec), 1}, "pretty": {exec, 1}, "lines": {line(exec) + "\n\n" + line(pod) + "\n", 2}, "list": {list, 2}, "pretty list": {strings.ReplaceAll(list, ",", ",\n"), 2},
		"lines of lists": {list + "\n" + list, 4}, "array": {items, 2}, "empty": {"", 0}, "documents": {exec + "\n" + pod, 2}, "blank": {" \n", 0},
	} {
		entries, bad, err := read(t, tc.text)
		if err != nil || len(bad) > 0 || len(entries) != tc.want {
			t.Errorf("%s: %d events, %v, %v", name, len(entries), bad, err)
		}
	}
}

func TestDamage(t *testing.T) {
	entries, bad, err := read(t, line(exec)+"\n{\"cut\": \nnonsense\n"+line(pod)+"\n{\"kind\":\"Pod\",\"apiVersion\":\"v1\"}\n")
	if err != nil || len(entries) != 2 || len(bad) != 3 {
		t.Errorf("%d events, %q, %v", len(entries), bad, err)
	}
	if !strings.HasPrefix(bad[0], "line 2: ") || !strings.Contains(bad[2], `apiVersion "v1"`) {
		t.Errorf("%q", bad)
	}
	for name, text := range map[string]string{"not JSON": "what\nis\nthis", "cut document": exec[:len(exec)-40], "another kind": "{\n\"kind\": \"Pod\",\n\"apiVersion\": \"v1\"}"} {
		if _, _, err := read(t, text); !errors.Is(err, seawall.ErrCorrupt) {
			t.Errorf("%s: %v", name, err)
		}
	}
	stop := errors.New("stop")
	err = auditlog.Read(context.Background(), strings.NewReader(line(exec)+"\nx\n"), func(*auditlog.Entry) error { return nil }, func(*auditlog.Damaged) error { return stop })
	if !errors.Is(err, stop) {
		t.Errorf("an error of damaged: %v", err)
	}
}

// An event in a report never holds the request's object.
func TestEvent(t *testing.T) {
	entries, _, err := read(t, line(pod))
	if err != nil {
		t.Fatal(err)
	}
	want := &seawall.Event{Time: "0001-01-01T00:00:00Z", Type: "create", Source: seawall.SourceAudit, Fields: map[string]any{
		"ka.auditid": "p1", "ka.stage": "ResponseComplete", "ka.user.name": "bob", "ka.uri": "/api/v1/namespaces/shop/pods", "ka.target.name": "p", "ka.target.namespace": "shop",
		"ka.target.resource": "pods", "ka.response.code": "201",
	}}
	if diff := cmp.Diff(want, entries[0].Event()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte(line(exec) + "\n" + line(pod)))
	f.Add([]byte(exec))
	f.Fuzz(func(t *testing.T, data []byte) {
		_ = auditlog.Read(context.Background(), strings.NewReader(string(data)), func(e *auditlog.Entry) error {
			for _, name := range []string{"ka.req.pod.containers.image", "ka.req.role.rules.verbs", "ka.uri.param", "jevt.value", "ka.req.pod.volumes.hostpath"} {
				field(e, seawall.FieldRef{Name: name, Argument: "/requestObject/0", Index: -1})
			}
			if e.Event() == nil {
				t.Error("no event")
			}
			return nil
		}, func(*auditlog.Damaged) error { return nil })
	})
}
