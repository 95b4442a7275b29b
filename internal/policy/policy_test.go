package policy_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seawall-security/seawall/internal/policy"
	"github.com/seawall-security/seawall/internal/seawall"
)

const head = "apiVersion: seawall.io/v1alpha1\nkind: Policy\nmetadata: {name: p}\nspec:\n"

func parse(t testing.TB, text string) *policy.Set {
	t.Helper()
	set, err := policy.Parse("p.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func TestLoadErrors(t *testing.T) {
	rule := "  rules: [{name: r, when: %s, action: alert}]\n"
	tests := []struct{ name, text, err string }{
		{"unknown field", head + "  phases: [build]\n  rules:\n  - name: r\n    when: finding.kind == \"vulnerability\" && finding.vulnerablity.kev\n    action: alert\n",
			`p.yaml:8:53: there is no field "vulnerablity" here; did you mean "vulnerability"?`},
		{"in a block", head + "  phases: [build]\n  rules:\n  - name: r\n    when: |\n      finding.kind == \"x\" &&\n      finding.severty == \"high\"\n    action: alert\n",
			`p.yaml:10:14: there is no field "severty" here; did you mean "severity"?`},
		{"wrong type", head + "  phases: [build]\n" + fmt.Sprintf(rule, "finding.rule == 1"), "p.yaml:6:40: found no matching overload"},
		{"not a condition", head + "  phases: [build]\n" + fmt.Sprintf(rule, "finding.rule"), "p.yaml:6:27: the expression gives string, wanted a bool"},
		{"unknown key", head + "  phases: [build]\n  rulez: []\n", `p.yaml:6:3: there is no key "rulez" here; did you mean "rules"?`},
		{"key twice", head + "  phases: [build]\n  phases: [run]\n", `p.yaml:6:3: the key "phases" is here twice`},
		{"impossible action", head + "  phases: [build, run]\n  rules: [{name: r, when: \"true\", action: {build: block, run: block}}]\n", `p.yaml:6:63: phase run cannot carry out "block"`},
		{"one word, impossible in one", head + "  phases: [build, run]\n  rules: [{name: r, when: \"true\", action: kill-process}]\n", `phase build cannot carry out "kill-process"`},
		{"mutate", head + "  phases: [deploy]\n  rules: [{name: r, when: \"true\", action: mutate}]\n", "no mutate that says what to change"},
		{"phase without action", head + "  phases: [build, run]\n  rules: [{name: r, when: \"true\", action: {build: block}}]\n", "no action for phase run"},
		{"action of another phase", head + "  phases: [build]\n  rules: [{name: r, when: \"true\", action: {build: block, deploy: block}}]\n", `phase "deploy", which the policy does not name`},
		{"phase", head + "  phases: [biuld]\n", `p.yaml:5:12: phase "biuld" is not known; did you mean "build"?`},
		{"no phases", head + "  rules: []\n", "p names no phases"},
		{"mode", head + "  phases: [build]\n  mode: enforced\n", `mode "enforced" is not known; did you mean "enforce"?`},
		{"unknown variable", head + "  phases: [build]\n  variables: [{name: a, expression: \"1\"}]\n" + fmt.Sprintf(rule, "variables.b == 1"), "there are variables.a"},
		{"type of a variable", head + "  phases: [build]\n  variables: [{name: a, expression: \"1\"}]\n" + fmt.Sprintf(rule, `"variables.a == 'x'"`), "p.yaml:7:40: found no matching overload"},
		{"empty exclude", head + "  phases: [build]\n  exclude: {}\n" + fmt.Sprintf(rule, "\"true\""), "exclude says nothing"},
		{"operation", head + "  phases: [build]\n  match: {operations: [CREAT]}\n", `did you mean "CREATE"?`},
		{"subject", head + "  phases: [build]\n  match: {subjects: [alice]}\n", "want user:NAME or group:NAME"},
		{"grace without dates", head + "  phases: [build]\n  rules: [{name: r, when: image.signed, action: alert, grace: {days: 3}}]\n", "names no finding"},
		{"alias", "a: &x [1]\nb: *x\n", "p.yaml:2:4: anchors and aliases are not supported"},
		{"yaml", "a: b\n c: d\n", "p.yaml:2:1: mapping values"},
		{"kind", "apiVersion: seawall.io/v1alpha1\nkind: Polcy\nmetadata: {name: p}\nspec: {}\n", `kind "Polcy"`},
		{"version", "apiVersion: v1\nkind: Policy\n", "want seawall.io/v1alpha1"},
		{"exception without owner", strings.Replace(head, "Policy", "PolicyException", 1) + "  policy: p\n", "has no metadata.namespace"},
	}
	for _, tc := range tests {
		set, err := policy.Parse("p.yaml", []byte(tc.text))
		if err == nil || !strings.Contains(err.Error(), tc.err) {
			t.Errorf("%s: %v, %v; want %s", tc.name, set, err, tc.err)
		}
	}
}

// TestLintWords: a comparison with a kind or severity that findings never have is told.
func TestLintWords(t *testing.T) {
	set := parse(t, `

apiVersion: seawall.io/v1alpha1
kind: Policy
metadata: {name: p}
spec:
  description: d
  phases: [build]
  rules:
  - {name: kind, when: 'finding.kind == "vulnerabilities" && finding.severity == "critical"', action: block}
  - {name: severity, when: 'finding.severity in ["critical", "severe"]', action: block}
  - {name: right, when: 'finding.kind == "license" || finding.kind == "rbac"', action: block}
`)
	want := []string{
		`p.yaml:10:12: rule kind: finding.kind is never "vulnerabilities"; did you mean "vulnerability"?`,
		`p.yaml:11:12: rule severity: finding.severity is never "severe" (want critical, high, medium, low, negligible, unknown)`,
	}
	if diff := cmp.Diff(want, set.Lint()); diff != "" {
		t.Error(diff)
	}
}

// TestLoad: names are unique, and exceptions are from policies that are there.
func TestLoad(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	good := write("a.yaml", head+"  phases: [build]\n  rules: [{name: r, when: \"true\", action: alert}]\n")
	if set, err := policy.Load([]string{dir}); err != nil || len(set.Policies) != 1 {
		t.Errorf("%v, %v", set, err)
	}
	if _, err := policy.Load([]string{good, good}); err == nil || !strings.Contains(err.Error(), "p is here already") {
		t.Errorf("twice: %v", err)
	}
	write("e.yaml", "apiVersion: seawall.io/v1alpha1\nkind: PolicyException\nmetadata: {name: e, namespace: n}\nspec: {policy: q, owner: o, reason: r, expires: 2027-01-01}\n")
	if _, err := policy.Load([]string{dir}); err == nil || !strings.Contains(err.Error(), `from a policy "q" that is not here`) {
		t.Errorf("an exception from nothing: %v", err)
	}
	if _, err := policy.Load([]string{filepath.Join(dir, "e.yaml")}); err == nil || !strings.Contains(err.Error(), "no document of kind Policy") {
		t.Errorf("no policy: %v", err)
	}
}

func now() time.Time { return time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC) }

func vulnerability(id string) seawall.Finding {
	fixed := "2026-10-28T00:00:00Z"
	return seawall.Finding{
		ID: "f-" + id, Kind: seawall.KindVulnerability, Status: seawall.StatusFail, Severity: seawall.SeverityCritical, Title: id,
		Vulnerability: &seawall.Vulnerability{ID: id, FixedAt: &fixed, Published: "2026-01-01T00:00:00Z"},
	}
}

// decided shortens decisions for tables.
func decided(ds []seawall.Decision) []string {
	var out []string
	for _, d := range ds {
		out = append(out, fmt.Sprintf("%s %s %s %s %s", d.Rule, d.Action, d.Outcome, strings.Join(d.Findings, "+"), d.Reason))
	}
	return out
}

func TestDecide(t *testing.T) {
	critical := `when: finding.severity == "critical", action: block`
	pod := map[string]any{"apiVersion": "v1", "kind": "Pod", "metadata": map[string]any{"name": "a", "namespace": "shop", "labels": map[string]any{"tier": "web"}},
		"spec": map[string]any{"containers": []any{map[string]any{"name": "c", "image": "nginx:1"}}}}
	tests := []struct {
		name, spec string
		in         policy.Input
		want       []string
	}{
		{"enforced", "  rules: [{name: r, " + critical + "}]", policy.Input{Findings: []seawall.Finding{vulnerability("A")}}, []string{"r block enforced f-A A"}},
		{"every violation, equal ones as one", "  rules: [{name: r, " + critical + ", message: m}, {name: s, " + critical + "}]",
			policy.Input{Findings: []seawall.Finding{vulnerability("A"), vulnerability("B")}},
			[]string{"r block enforced f-A+f-B m", "s block enforced f-A A", "s block enforced f-B B"}},
		{"mode of the policy and of a rule", "  mode: warn\n  rules: [{name: r, " + critical + "}, {name: s, mode: enforce, " + critical + "}]",
			policy.Input{Findings: []seawall.Finding{vulnerability("A")}}, []string{"r block dry-run f-A A", "s block enforced f-A A"}},
		{"another phase", "  rules: [{name: r, " + critical + "}]", policy.Input{Phase: "run", Findings: []seawall.Finding{vulnerability("A")}}, nil},
		{"grace from the fix", "  rules: [{name: r, " + critical + ", grace: {days: 7}}]", policy.Input{Findings: []seawall.Finding{vulnerability("A")}}, []string{"r block dry-run f-A A; grace until 2026-11-04"}},
		{"grace that is over", "  rules: [{name: r, " + critical + ", grace: {days: 7, from: published}}]", policy.Input{Findings: []seawall.Finding{vulnerability("A")}}, []string{"r block enforced f-A A"}},
		{"grace from an unknown date", "  rules: [{name: r, " + critical + ", grace: {days: 7, from: firstSeen}}]", policy.Input{Findings: []seawall.Finding{vulnerability("A")}}, []string{"r block enforced f-A A"}},
		{"grace since first seen", "  rules: [{name: r, " + critical + ", grace: {days: 7, from: firstSeen}}]",
			policy.Input{Findings: []seawall.Finding{vulnerability("A")}, FirstSeen: map[string]time.Time{"f-A": now()}}, []string{"r block dry-run f-A A; grace until 2026-11-08"}},
		{"unknown facts match", "  rules: [{name: r, when: finding.inUse, action: block}]", policy.Input{Findings: []seawall.Finding{vulnerability("A")}}, []string{"r block enforced f-A A (not known here: finding.inUse)"}},
		{"unless they do not matter", "  rules: [{name: r, when: finding.inUse && finding.kind == \"secret\", action: block}]", policy.Input{Findings: []seawall.Finding{vulnerability("A")}}, nil},
		{"an error is no answer", "  rules: [{name: r, when: object.spec.nothing == 1, action: block}]", policy.Input{Object: pod}, []string{"r block failed  could not be judged: no such key: nothing"}},
		{"an error under closed", "  failure: closed\n  rules: [{name: r, when: object.spec.nothing == 1, action: block}]", policy.Input{Object: pod}, []string{"r block enforced  could not be judged: no such key: nothing"}},
		{"no object, no question", "  rules: [{name: r, when: object.spec.nothing == 1, action: block}]", policy.Input{Findings: []seawall.Finding{vulnerability("A")}}, nil},
		{"every image", "  rules: [{name: r, when: image.tag != \"2\", action: block, message: m}]", policy.Input{Images: []policy.Image{policy.NamedImage("a"), policy.NamedImage("b:2"), policy.NamedImage("c:3")}},
			[]string{"r block enforced  docker.io/library/a:latest: m", "r block enforced  docker.io/library/c:3: m"}},
		{"match of an image", "  match: {images: [\"docker.io/**\"]}\n  rules: [{name: r, when: image.tag != \"2\", action: block, message: m}]",
			policy.Input{Images: []policy.Image{policy.NamedImage("a"), policy.NamedImage("x.example/b")}}, []string{"r block enforced  docker.io/library/a:latest: m"}},
		{"exclude of an image", "  exclude: {images: [docker.io/library/*]}\n  rules: [{name: r, when: image.tag != \"2\", action: block, message: m}]",
			policy.Input{Images: []policy.Image{policy.NamedImage("a"), policy.NamedImage("x.example/b")}}, []string{"r block enforced  x.example/b:latest: m"}},
		{"exclude of one image of two", "  exclude: {images: [docker.io/library/*]}\n  rules: [{name: r, " + critical + "}]",
			policy.Input{Findings: []seawall.Finding{vulnerability("A")}, Images: []policy.Image{policy.NamedImage("a"), policy.NamedImage("x.example/b")}}, []string{"r block enforced f-A A"}},
		{"exclude of all images", "  exclude: {images: [docker.io/library/*]}\n  rules: [{name: r, " + critical + "}]",
			policy.Input{Findings: []seawall.Finding{vulnerability("A")}, Images: []policy.Image{policy.NamedImage("a")}}, nil},
		{"match of an unknown namespace", "  match: {namespaces: [shop]}\n  rules: [{name: r, " + critical + "}]", policy.Input{Findings: []seawall.Finding{vulnerability("A")}}, []string{"r block enforced f-A A"}},
		{"match of another namespace", "  match: {namespaces: [shop]}\n  rules: [{name: r, " + critical + "}]", policy.Input{NamespaceName: "x", Findings: []seawall.Finding{vulnerability("A")}}, nil},
		{"exclude of an unknown namespace", "  exclude: {namespaces: [shop]}\n  rules: [{name: r, " + critical + "}]", policy.Input{Findings: []seawall.Finding{vulnerability("A")}}, []string{"r block enforced f-A A"}},
		{"exclude of the namespace", "  exclude: {namespaces: [sh*]}\n  rules: [{name: r, " + critical + "}]", policy.Input{NamespaceName: "shop", Findings: []seawall.Finding{vulnerability("A")}}, nil},
		{"kinds and labels", "  match: {kinds: [Pod], selector: {matchLabels: {tier: web}, matchExpressions: [{key: x, operator: DoesNotExist}]}}\n  rules: [{name: r, when: workload.name == \"a\", action: block, message: m}]",
			policy.Input{}.About(pod), []string{"r block enforced  m"}},
		{"other labels", "  match: {selector: {matchExpressions: [{key: tier, operator: NotIn, values: [web]}]}}\n  rules: [{name: r, when: workload.name == \"a\", action: block}]", policy.Input{}.About(pod), nil},
		{"another group", "  match: {kinds: [Pod.apps]}\n  rules: [{name: r, when: workload.name == \"a\", action: block}]", policy.Input{}.About(pod), nil},
		{"who asks", "  match: {operations: [CONNECT], subjects: [\"group:dev*\"]}\n  rules: [{name: r, when: request.name == \"a\", action: block, message: m}]",
			policy.Input{Object: pod, Request: map[string]any{"name": "a", "operation": "CONNECT", "userInfo": map[string]any{"username": "u", "groups": []any{"devs"}}}}, []string{"r block enforced  m"}},
	}
	for _, tc := range tests {
		p := parse(t, head+"  phases: [build]\n"+tc.spec+"\n").Policies[0]
		tc.in.Now = now()
		if tc.in.Phase == "" {
			tc.in.Phase = "build"
		}
		if diff := cmp.Diff(tc.want, decided(p.Decide(tc.in))); diff != "" {
			t.Errorf("%s: %s", tc.name, diff)
		}
	}
}

func TestExceptions(t *testing.T) {
	base := head + "  phases: [build]\n  exceptions: {namespaces: [shop], maxDays: 60}\n  rules: [{name: r, when: finding.severity == \"critical\", action: block}]\n"
	exception := func(spec string) string {
		return base + "---\napiVersion: seawall.io/v1alpha1\nkind: PolicyException\nmetadata: {name: e, namespace: shop}\nspec: {policy: p, owner: o, reason: why, " + spec + "}\n"
	}
	tests := []struct {
		name, text, namespace, want string
	}{
		{"counts", exception("expires: 2026-12-01"), "shop", "dry-run A; excepted until 2026-12-01 by o: why"},
		{"over", exception("expires: 2026-11-01"), "shop", "enforced A"},
		{"too long", exception("expires: 2027-06-01"), "shop", "enforced A"},
		{"another namespace", exception("expires: 2026-12-01"), "x", "enforced A"},
		{"no namespace known", exception("expires: 2026-12-01"), "", "enforced A"},
		{"another rule", exception("expires: 2026-12-01, rules: [s]"), "shop", "enforced A"},
		{"a condition", exception("expires: 2026-12-01, when: finding.rule == \"\""), "shop", "dry-run A; excepted until 2026-12-01 by o: why"},
		{"a condition on what is not known", exception("expires: 2026-12-01, when: \"!finding.inUse\""), "shop", "enforced A"},
		{"not allowed", strings.Replace(exception("expires: 2026-12-01"), "[shop]", "[y]", 1), "shop", "enforced A"},
	}
	for _, tc := range tests {
		ds := parse(t, tc.text).Decide(policy.Input{Phase: "build", Now: now(), NamespaceName: tc.namespace, Findings: []seawall.Finding{vulnerability("A")}})
		if len(ds) != 1 || ds[0].Outcome+" "+ds[0].Reason != tc.want {
			t.Errorf("%s: %+v", tc.name, ds)
		}
	}
}

// TestGate: objects have their own findings, workloads and images; what a controller
// made is judged as its controller's; exceptions that do nothing are told.
func TestGate(t *testing.T) {
	set := parse(t, head+`  phases: [deploy]
  exceptions: {namespaces: ["*"]}
  rules:
  - {name: finding, when: 'finding.rule == "X" && workload.kind == "Deployment"', action: block, message: m}
  - {name: whole, when: asset.kind == "cluster", action: alert, message: m}
  - {name: image, when: image.registry == "docker.io", action: block, message: m}
---
apiVersion: seawall.io/v1alpha1
kind: PolicyException
metadata: {name: e, namespace: none}
spec: {policy: p, owner: o, reason: r, expires: 2027-01-01}
`)
	pod := `"spec":{"containers":[{"name":"c","image":"nginx"}]}`
	objects := []seawall.Object{
		{APIVersion: "apps/v1", Kind: "Deployment", Namespace: "shop", Name: "web", JSON: []byte(`{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"web","namespace":"shop"},"spec":{"template":{` + pod + `}}}`)},
		{APIVersion: "v1", Kind: "Pod", Namespace: "shop", Name: "web-1", JSON: []byte(`{"kind":"Pod","metadata":{"name":"web-1","namespace":"shop","ownerReferences":[{"controller":true}]},` + pod + `}`)},
	}
	findings := []seawall.Finding{
		{ID: "1", Rule: "X", Status: seawall.StatusFail, Location: &seawall.Location{Resource: "Deployment/shop/web", Field: "spec"}},
		{ID: "2", Rule: "X", Status: seawall.StatusPass, Location: &seawall.Location{Resource: "Deployment/shop/web"}},
	}
	g := &policy.Gate{Set: set, Phase: "deploy"}
	var got []string
	for _, d := range g.Judge(&seawall.Asset{ID: "cluster:c", Kind: seawall.AssetCluster, Name: "c"}, 0, findings, objects, now()) {
		place := ""
		if d.Location != nil {
			place = d.Location.Resource + " " + d.Location.Field
		}
		got = append(got, d.Rule+" "+strings.Join(d.Findings, "+")+" "+place)
	}
	want := []string{"whole  ", "finding 1 Deployment/shop/web spec", "image  Deployment/shop/web spec.template.spec.containers[0].image"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"exception none/e of o lets nothing pass"}, g.Warnings(now())); diff != "" {
		t.Error(diff)
	}
	if w := g.Warnings(now().AddDate(1, 0, 0)); len(w) != 1 || !strings.Contains(w[0], "ended on 2027-01-01") {
		t.Errorf("warnings %v", w)
	}
}

// TestScannedImage: what nobody looked at is unknown, and what has no name has none.
func TestScannedImage(t *testing.T) {
	asset := seawall.Asset{Kind: seawall.AssetImage, Name: "build.tar", Digest: "sha256:1", Image: &seawall.ImageInfo{Created: "2026-10-01T00:00:00Z"}}
	findings := []seawall.Finding{vulnerability("A"), {Status: seawall.StatusPass}}
	rules := `  rules:
  - {name: registry, when: image.registry == "docker.io", action: alert, message: m}
  - {name: signed, when: "!image.signed", action: alert, message: m}
  - {name: age, when: image.age > 30 && image.packages == 3, action: alert, message: m}
  - {name: counts, when: image.counts.critical > 0 && image.counts.high == 0, action: alert, message: m}
`
	p := parse(t, head+"  phases: [build]\n"+rules).Policies[0]
	decide := func() []string {
		in := policy.Input{Phase: "build", Now: now(), Images: []policy.Image{policy.ScannedImage(&asset, 3, findings, now())}}
		var out []string
		for _, d := range p.Decide(in) {
			out = append(out, d.Rule+" "+d.Reason)
		}
		return out
	}
	want := []string{"registry build.tar: m (not known here: image.registry)", "signed build.tar: m (not known here: image.signed)", "age build.tar: m", "counts build.tar: m"}
	if diff := cmp.Diff(want, decide()); diff != "" {
		t.Error(diff)
	}
	asset.Image.RepoTags, asset.Image.Verification = []string{"r.example/a:1"}, &seawall.Verification{Verified: true}
	if diff := cmp.Diff([]string{"age r.example/a:1: m", "counts r.example/a:1: m"}, decide()); diff != "" {
		t.Error(diff)
	}
}

func TestNamedImage(t *testing.T) {
	for name, want := range map[string]string{
		"nginx":                       "docker.io library/nginx latest",
		"bitnami/redis:7":             "docker.io bitnami/redis 7",
		"index.docker.io/a@sha256:0f": "docker.io library/a  sha256:0f",
		"localhost:5000/a/b:1":        "localhost:5000 a/b 1",
		"localhost/a:1@sha256:0f":     "localhost a 1 sha256:0f",
	} {
		i := policy.NamedImage(name)
		if got := strings.TrimSpace(i.Registry + " " + i.Repository + " " + *i.Tag + " " + i.Digest); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}

// FuzzParse: an error with the file's name or policies that decide without panicking.
func FuzzParse(f *testing.F) {
	files, err := filepath.Glob("library/*.yaml")
	if err != nil || len(files) == 0 {
		f.Fatal("no seeds", err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		set, err := policy.Parse("f.yaml", text)
		if (err == nil) != (set != nil) {
			t.Fatalf("set %v, error %v", set, err)
		}
		if err != nil {
			if !strings.Contains(err.Error(), "f.yaml:") {
				t.Fatalf("the error has no place: %v", err)
			}
			return
		}
		for _, phase := range policy.Phases() {
			set.Decide(policy.Input{Phase: phase, Now: now(), Findings: []seawall.Finding{vulnerability("A")}, Images: []policy.Image{policy.NamedImage("a")}})
		}
	})
}

// many are 20 policies and 1,000 findings, of which each policy matches ten.
func many(b *testing.B) (*policy.Set, []seawall.Finding) {
	set := &policy.Set{}
	for i := range 20 {
		text := strings.Replace(head, "name: p", fmt.Sprintf("name: p%d", i), 1) + fmt.Sprintf(`  phases: [deploy]
  variables: [{name: fixable, expression: size(finding.vulnerability.fixed) > 0}]
  rules:
  - {name: r, when: 'finding.kind == "vulnerability" && finding.vulnerability.kev && variables.fixable && finding.package.name != "x%d"', action: block}
`, i)
		set.Policies = append(set.Policies, parse(b, text).Policies...)
	}
	findings := make([]seawall.Finding, 1000)
	for i := range findings {
		findings[i] = vulnerability(fmt.Sprint(i))
		if i%100 == 0 {
			findings[i].Vulnerability.KEV, findings[i].Vulnerability.Fixed, findings[i].Package = true, []string{"2"}, &seawall.PackageRef{Name: "a"}
		}
	}
	return set, findings
}

// BenchmarkDecide judges 1,000 findings by 20 policies.
func BenchmarkDecide(b *testing.B) {
	set, findings := many(b)
	b.ReportAllocs()
	for b.Loop() {
		if n := len(set.Decide(policy.Input{Phase: "deploy", Now: now(), Findings: findings})); n != 200 {
			b.Fatal(n)
		}
	}
}
