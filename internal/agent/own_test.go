package agent_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seawall-security/seawall/internal/agent"
	"github.com/seawall-security/seawall/internal/detect/rules"
	"github.com/seawall-security/seawall/internal/seawall"
)

// request is an audit event in the making.
type request struct {
	user, verb, object, uri, agent, impersonates string // object is "pods/exec shop/web"
	groups, ips                                  []string
	code                                         int
	stage                                        string
	body                                         string
}

func (r request) json(t *testing.T) string {
	t.Helper()
	if r.user == "" {
		r.user = "ann"
	}
	if r.code == 0 {
		r.code = 200
	}
	if r.stage == "" {
		r.stage = "ResponseComplete"
	}
	if r.ips == nil {
		r.ips = []string{"10.0.0.7"}
	}
	e := map[string]any{
		"kind": "Event", "apiVersion": "audit.k8s.io/v1", "stage": r.stage, "verb": r.verb, "requestURI": r.uri, "userAgent": r.agent, "sourceIPs": r.ips,
		"user": map[string]any{"username": r.user, "groups": r.groups}, "responseStatus": map[string]any{"code": r.code}, "stageTimestamp": "2026-11-21T09:00:00Z",
	}
	if r.impersonates != "" {
		e["impersonatedUser"] = map[string]any{"username": r.impersonates}
	}
	if r.object != "" {
		what, which, _ := strings.Cut(r.object, " ")
		resource, sub, _ := strings.Cut(what, "/")
		namespace, name, namespaced := strings.Cut(which, "/")
		if !namespaced {
			namespace, name = "", which
		}
		e["objectRef"] = map[string]any{"resource": resource, "subresource": sub, "namespace": namespace, "name": name}
	}
	if r.body != "" {
		e["requestObject"] = json.RawMessage(r.body)
	}
	raw, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func own(t testing.TB) *rules.Engine {
	t.Helper()
	set, err := rules.Load(rules.Own()...)
	if err != nil {
		t.Fatal(err)
	}
	e, err := rules.Compile(set)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// recorder keeps a stream.
type recorder struct{ seawall.Report }

func (r *recorder) Handle(_ context.Context, m seawall.Message) error { r.Apply(m); return nil }

func replay(t *testing.T, engine *rules.Engine, source, text string) (seawall.Report, agent.Outcome) {
	t.Helper()
	var got recorder
	now := func() time.Time { return time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC) }
	out, err := agent.Replay(context.Background(), agent.Config{Engine: engine, Source: source, Now: now, RunID: "run"}, "test", strings.NewReader(text), &got)
	if err != nil {
		t.Fatal(err)
	}
	return got.Report, out
}

const privileged = `{"spec":{"containers":[{"image":"a","securityContext":{"privileged":true}}]}}`

// Each of our own rules has an attack it finds and a twin that is everyday work.
func TestOwnRules(t *testing.T) {
	cases := map[string]struct{ attack, benign []request }{
		"Anonymous request was allowed": {
			[]request{{user: "system:anonymous", verb: "list", object: "pods shop/", uri: "/api/v1/namespaces/shop/pods"}},
			[]request{{user: "system:anonymous", verb: "get", uri: "/livez?verbose"}, {user: "system:anonymous", verb: "get", uri: "/version"}},
		},
		"Anonymous request was refused": {
			[]request{{user: "system:anonymous", verb: "list", object: "secrets shop/", uri: "/api/v1/secrets", code: 403}},
			[]request{{user: "system:anonymous", verb: "get", uri: "/", code: 403}, {user: "ann", verb: "list", object: "nodes", uri: "/api/v1/nodes", code: 403}},
		},
		"Command run in a container": {
			[]request{
				{verb: "create", object: "pods/exec shop/web", uri: "/api/v1/namespaces/shop/pods/web/exec?command=sh", stage: "ResponseStarted", code: 101},
				{verb: "get", object: "pods/attach shop/web", code: 200},
			},
			[]request{{verb: "create", object: "pods/exec shop/web", code: 101}, {verb: "create", object: "pods/exec shop/web", code: 403}, {verb: "get", object: "pods/log shop/web"}},
		},
		"Port of a pod forwarded": {
			[]request{{verb: "create", object: "pods/portforward shop/db", stage: "ResponseStarted", code: 101}, {verb: "get", object: "services/proxy shop/db"}},
			[]request{{verb: "get", object: "services shop/db"}},
		},
		"Request through a node's kubelet": {
			[]request{{verb: "get", object: "nodes/proxy n1", uri: "/api/v1/nodes/n1/proxy/run/shop/web/app"}},
			[]request{{verb: "get", object: "nodes/proxy n1", uri: "/api/v1/nodes/n1/proxy/metrics"}, {verb: "get", object: "nodes n1", uri: "/api/v1/nodes/n1"}},
		},
		"Debug container added to a running pod": {
			[]request{{verb: "patch", object: "pods/ephemeralcontainers shop/web"}},
			[]request{{verb: "patch", object: "pods shop/web"}, {verb: "get", object: "pods/ephemeralcontainers shop/web"}},
		},
		"Secrets listed": {
			[]request{{verb: "list", object: "secrets shop/"}},
			[]request{{verb: "get", object: "secrets shop/db"}, {user: "system:kube-controller-manager", verb: "list", object: "secrets shop/"}, {verb: "list", object: "secrets shop/", code: 403}},
		},
		"Secrets of every namespace listed": {
			[]request{{user: "system:serviceaccount:shop:web", verb: "list", object: "secrets "}},
			[]request{{verb: "list", object: "configmaps "}, {user: "system:apiserver", verb: "watch", object: "secrets shop/", groups: []string{"system:masters"}}},
		},
		"Secret refused to a service account": {
			[]request{{user: "system:serviceaccount:shop:web", verb: "get", object: "secrets shop/db", code: 403}},
			[]request{{user: "system:serviceaccount:shop:web", verb: "get", object: "secrets shop/db", code: 404}, {verb: "get", object: "secrets shop/db", code: 403}},
		},
		"Token of a service account made": {
			[]request{{verb: "create", object: "serviceaccounts/token shop/web", code: 201}},
			[]request{{user: "system:node:n1", verb: "create", object: "serviceaccounts/token shop/web", code: 201}, {verb: "create", object: "serviceaccounts shop/web", code: 201}},
		},
		"Somebody was granted cluster-admin": {
			[]request{{verb: "create", object: "clusterrolebindings b", body: `{"roleRef":{"name":"cluster-admin"},"subjects":[{"kind":"User","name":"eve"}]}`}},
			[]request{{verb: "create", object: "clusterrolebindings b", body: `{"roleRef":{"name":"view"},"subjects":[{"kind":"User","name":"eve"}]}`},
				{user: "system:apiserver", verb: "create", object: "clusterrolebindings cluster-admin", body: `{"roleRef":{"name":"cluster-admin"}}`}},
		},
		"Permissions granted to everybody": {
			[]request{{verb: "create", object: "rolebindings shop/b", body: `{"roleRef":{"name":"view"},"subjects":[{"kind":"User","name":"eve"},{"kind":"Group","name":"system:unauthenticated"}]}`}},
			[]request{{verb: "create", object: "rolebindings shop/b", body: `{"roleRef":{"name":"view"},"subjects":[{"kind":"Group","name":"dev"}]}`}},
		},
		"Role with all permissions written": {
			[]request{{verb: "create", object: "clusterroles r", body: `{"rules":[{"verbs":["get"],"resources":["pods"]},{"verbs":["*"],"resources":["jobs"]}]}`}},
			[]request{{verb: "create", object: "roles shop/r", body: `{"rules":[{"verbs":["get"],"resources":["pods"]}]}`}},
		},
		"Role that leads to more permissions written": {
			[]request{{verb: "update", object: "roles shop/r", body: `{"rules":[{"verbs":["create"],"resources":["pods/exec"]}]}`}, {verb: "create", object: "clusterroles r", body: `{"rules":[{"verbs":["bind"],"resources":["clusterroles"]}]}`}},
			[]request{{verb: "update", object: "roles shop/r", body: `{"rules":[{"verbs":["create"],"resources":["pods"]}]}`}},
		},
		"Somebody acted as another user": {
			[]request{{verb: "get", object: "pods shop/web", impersonates: "root"}},
			[]request{{verb: "get", object: "pods shop/web"}, {verb: "get", object: "pods shop/web", impersonates: "root", code: 403}},
		},
		"Certificate of a client approved": {
			[]request{{verb: "update", object: "certificatesigningrequests/approval eve"}},
			[]request{{verb: "create", object: "certificatesigningrequests eve"}},
		},
		"Admission webhook or policy changed": {
			[]request{{verb: "delete", object: "validatingwebhookconfigurations seawall"}, {verb: "patch", object: "validatingadmissionpolicies p"}},
			[]request{{verb: "list", object: "validatingwebhookconfigurations "}, {verb: "patch", object: "validatingadmissionpolicies p", code: 409}},
		},
		"Events deleted": {
			[]request{{verb: "deletecollection", object: "events shop/"}},
			[]request{{verb: "create", object: "events shop/e"}, {user: "system:serviceaccount:kube-system:namespace-controller", verb: "deletecollection", object: "events shop/"}},
		},
		"Privileged pod created": {
			[]request{{verb: "create", object: "pods shop/p", body: privileged}, {verb: "patch", code: 201, object: "pods shop/p", body: privileged}},
			[]request{{verb: "create", object: "pods shop/p", body: `{"spec":{"containers":[{"image":"a"}]}}`}, {user: "system:serviceaccount:kube-system:daemon-set-controller", verb: "create", object: "pods shop/p", body: privileged}, {verb: "create", object: "pods shop/p", body: privileged, code: 403}},
		},
		"Pod that shares its node's namespaces created": {
			[]request{{verb: "create", object: "pods shop/p", body: `{"spec":{"hostPID":true}}`}},
			[]request{{verb: "create", object: "pods shop/p", body: `{"spec":{"hostPID":false}}`}},
		},
		"Pod that mounts sensitive paths of its node created": {
			[]request{{verb: "create", object: "pods shop/p", body: `{"spec":{"volumes":[{"name":"v","hostPath":{"path":"/etc/kubernetes/pki"}}]}}`}, {verb: "create", object: "pods shop/p", body: `{"spec":{"volumes":[{"hostPath":{"path":"/"}}]}}`}},
			[]request{{verb: "create", object: "pods shop/p", body: `{"spec":{"volumes":[{"hostPath":{"path":"/data"}},{"emptyDir":{}}]}}`}},
		},
		"Pod created in a namespace of the system": {
			[]request{{verb: "create", object: "pods kube-system/p"}},
			[]request{{verb: "create", object: "pods shop/p"}, {user: "system:node:n1", groups: []string{"system:nodes"}, verb: "create", object: "pods kube-system/kube-apiserver-n1"}},
		},
		"Workload that runs everywhere or again and again created by a service account": {
			[]request{{user: "system:serviceaccount:shop:web", verb: "create", object: "daemonsets shop/d"}},
			[]request{{verb: "create", object: "daemonsets shop/d"}, {user: "system:serviceaccount:shop:web", verb: "create", object: "jobs shop/j"}},
		},
		"Credentials in a ConfigMap": {
			[]request{{verb: "create", object: "configmaps shop/c", body: `{"data":{"app.ini":"db_password=hunter22"}}`}},
			[]request{{verb: "create", object: "configmaps shop/c", body: `{"data":{"app.ini":"level=info"}}`}},
		},
		"Service opened to other networks": {
			[]request{{verb: "create", object: "services shop/s", body: `{"spec":{"type":"NodePort"}}`}},
			[]request{{verb: "create", object: "services shop/s", body: `{"spec":{"type":"ClusterIP"}}`}},
		},
		"Network policy removed": {
			[]request{{verb: "delete", object: "networkpolicies shop/default-deny"}},
			[]request{{verb: "update", object: "networkpolicies shop/default-deny"}},
		},
		"Namespace deleted": {
			[]request{{verb: "delete", object: "namespaces shop"}},
			[]request{{verb: "update", object: "namespaces shop"}},
		},
		"Service account asks what it may do": {
			[]request{{user: "system:serviceaccount:shop:web", verb: "create", object: "selfsubjectrulesreviews "}},
			[]request{{verb: "create", object: "selfsubjectrulesreviews "}},
		},
		"kubectl used with a service account's token": {
			[]request{{user: "system:serviceaccount:shop:web", verb: "get", object: "pods shop/web", agent: "kubectl/v1.36.3 (linux/amd64)"}},
			[]request{{verb: "get", object: "pods shop/web", agent: "kubectl/v1.36.3 (linux/amd64)"}, {user: "system:serviceaccount:shop:web", verb: "get", object: "pods shop/web", agent: "Go-http-client/2.0"}},
		},
	}
	engine := own(t)
	hits := func(r request) []string {
		report, _ := replay(t, engine, rules.SourceAudit, r.json(t))
		var names []string
		for _, f := range report.Findings {
			names = append(names, f.Rule)
		}
		return names
	}
	for _, s := range engine.Rules() {
		if s.Source != rules.SourceAudit {
			continue // internal/detect/rules has theirs
		}
		if s.State != rules.StateOK {
			t.Errorf("%s: %s %s", s.Name, s.State, s.Reason)
		}
		if _, ok := cases[s.Name]; !ok && s.Name != "Request from an address outside" {
			t.Errorf("%s has no attack and no twin", s.Name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(cases)) {
		for _, r := range cases[name].attack {
			if got := hits(r); !slices.Contains(got, name) {
				t.Errorf("%s: not found in %+v: %v", name, r, got)
			}
		}
		for _, r := range cases[name].benign {
			if got := hits(r); len(got) > 0 && (slices.Contains(got, name) || r.code == 0 && len(cases[name].benign) == 1) {
				t.Errorf("%s: everyday work %+v: %v", name, r, got)
			}
		}
	}
}

// The list of outside addresses is the user's to fill.
func TestOwnListIsAppendedTo(t *testing.T) {
	files := append(rules.Own(), rules.File{Path: "mine.yaml", Data: []byte("- {list: outside_addresses, append: true, items: ['198.51.100.9']}")})
	set, err := rules.Load(files...)
	if err != nil {
		t.Fatal(err)
	}
	engine, err := rules.Compile(set)
	if err != nil {
		t.Fatal(err)
	}
	report, _ := replay(t, engine, rules.SourceAudit, request{verb: "get", object: "pods shop/web", ips: []string{"198.51.100.9"}}.json(t))
	if len(report.Findings) != 1 || report.Findings[0].Rule != "Request from an address outside" {
		t.Errorf("%+v", report.Findings)
	}
}

// The report has who did it, to what, what the rule says, and where it comes from.
func TestReplayReport(t *testing.T) {
	attack := request{user: "eve", groups: []string{"dev"}, verb: "create", object: "clusterrolebindings b", uri: "/apis/rbac", body: `{"roleRef":{"name":"cluster-admin"},"subjects":[]}`}
	text := attack.json(t) + "\n" + "nonsense\n" + request{verb: "get", object: "pods shop/web"}.json(t) + "\n"
	report, out := replay(t, own(t), rules.SourceAudit, text)
	if out.Events != 2 || out.Damaged != 1 || len(report.Findings) != 1 || report.Summary.Critical != 1 {
		t.Fatalf("%+v, %+v", out, report.Findings)
	}
	f := report.Findings[0]
	want := seawall.Finding{
		ID: f.ID, Kind: seawall.KindAudit, Rule: "Somebody was granted cluster-admin", Title: "Somebody was granted cluster-admin", Severity: seawall.SeverityCritical, SeveritySource: "rule",
		Status: seawall.StatusFail, Asset: "cluster:test", Time: "2026-11-21T09:00:00Z", Count: 1, Actor: &seawall.Actor{User: "eve", Groups: []string{"dev"}, SourceIPs: []string{"10.0.0.7"}},
		Location: &seawall.Location{Resource: "clusterrolebindings/b"}, Locations: []seawall.Location{{Resource: "clusterrolebindings/b"}},
		Evidence: "eve bound cluster-admin to <NA> (clusterrolebindings b)", Frameworks: []string{"mitre-attack:T1098.006"},
		Priority: "CRITICAL", Tags: []string{"privilege-escalation", "persistence", "T1098.006"},
		Shown: map[string]any{"ka.user.name": "eve", "ka.req.binding.subjects": nil, "ka.target.resource": "clusterrolebindings", "ka.target.name": "b"},
		Event: &seawall.Event{Time: "2026-11-21T09:00:00Z", Type: "create", Source: "k8s_audit", Fields: map[string]any{
			"ka.stage": "ResponseComplete", "ka.user.name": "eve", "ka.user.groups": []string{"dev"}, "ka.uri": "/apis/rbac", "ka.sourceips": []string{"10.0.0.7"},
			"ka.target.resource": "clusterrolebindings", "ka.target.name": "b", "ka.response.code": "200",
		}},
	}
	if diff := cmp.Diff(want, f); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if s := report.Collectors[0]; s.Status != seawall.RunPartial || s.Found != 2 || !strings.Contains(s.Reason, "line 2") {
		t.Errorf("status %+v", s)
	}
	again, _ := replay(t, own(t), rules.SourceAudit, text)
	if again.Findings[0].ID != f.ID {
		t.Error("another identifier for the same event")
	}
}

// Recorded system calls: one finding per event, a stream's other messages passed over.
func TestReplaySyscalls(t *testing.T) {
	set, err := rules.Load(rules.File{Path: "r", Data: []byte(`
- rule: shell
  desc: d
  condition: evt.type = execve and proc.name = sh and container.id != host
  output: "%proc.cmdline by %user.name in %container.image.repository"
  priority: WARNING
- rule: never
  desc: d
  condition: evt.buffer contains x
  output: o
  priority: INFO
`)})
	if err != nil {
		t.Fatal(err)
	}
	engine, err := rules.Compile(set)
	if err != nil {
		t.Fatal(err)
	}
	shell := `{"time":"2026-11-21T09:00:00Z","type":"execve","fields":{"proc.name":"sh","proc.cmdline":"sh -c id","container.id":"ab12","container.image.repository":"web","user.uid":0}}`
	stream := `{"run":{"id":"x"}}` + "\n" + shell + "\n" + `{"event":` + shell + "}\n" + strings.Replace(shell, `"sh"`, `"ls"`, 1) + "\n"
	report, out := replay(t, engine, rules.SourceSyscall, stream)
	if out.Events != 3 || len(report.Findings) != 2 || report.Findings[0].ID == report.Findings[1].ID {
		t.Fatalf("%+v %+v", out, report.Findings)
	}
	if got, want := report.Findings[0].Evidence, "sh -c id by <NA> in web"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if s := report.Collectors[1]; s.Name != "rule/never" || s.Status != seawall.RunSkipped || s.Reason != "unsupported: field evt.buffer" {
		t.Errorf("%+v", s)
	}
	var got recorder
	if _, err := agent.Replay(context.Background(), agent.Config{Engine: engine, Source: rules.SourceSyscall}, "x", bytes.NewReader([]byte("nothing\n")), &got); err == nil {
		t.Error("a file without events is no error")
	}
}

// A token that is used from a second address is found by whoever reads the log.
func TestTwoPlaces(t *testing.T) {
	use := func(ip string) string {
		return fmt.Sprintf(`{"kind":"Event","apiVersion":"audit.k8s.io/v1","auditID":"1","stage":"ResponseComplete","verb":"get","user":{"username":"system:serviceaccount:shop:web","extra":{"authentication.kubernetes.io/credential-id":["JTI=1"]}},"sourceIPs":["%s"],"objectRef":{"resource":"pods","namespace":"shop"},"stageTimestamp":"2026-11-21T09:00:00Z","requestReceivedTimestamp":"2026-11-21T09:00:00Z"}`, ip)
	}
	var text strings.Builder
	for _, ip := range []string{"10.0.0.7", "10.0.0.7", "198.51.100.9", "198.51.100.9"} {
		text.WriteString(use(ip) + "\n")
	}
	report, _ := replay(t, own(t), rules.SourceAudit, text.String())
	found := 0
	for _, f := range report.Findings {
		if f.Rule == "SW-AUD-001" {
			found++
			if f.Asset != "cluster:test" || f.Event == nil || f.ID == "" || f.Actor == nil || f.Location == nil {
				t.Errorf("%+v", f)
			}
		}
	}
	if found != 1 {
		t.Errorf("%d findings of a token in two places", found)
	}
}
