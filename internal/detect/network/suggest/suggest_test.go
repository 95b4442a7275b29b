package suggest

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seawall-security/seawall/internal/detect"
	"github.com/seawall-security/seawall/internal/detect/network"
	"github.com/seawall-security/seawall/internal/detect/network/portset"
	"github.com/seawall-security/seawall/internal/detect/network/reach"
	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/source/manifest"
)

var update = flag.Bool("update", false, "rewrite golden files")

func load(t *testing.T, paths ...string) []seawall.Object {
	t.Helper()
	target, err := manifest.Open(paths, manifest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer target.Close()
	facts, err := target.Facts(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	var objects []seawall.Object
	for _, f := range facts {
		if f.Object != nil {
			objects = append(objects, *f.Object)
		}
	}
	return objects
}

func failing(t *testing.T, objects []seawall.Object) map[string]bool {
	t.Helper()
	res, err := network.Detector{}.Detect(context.Background(), detect.Facts{Asset: seawall.Asset{Kind: seawall.AssetManifests}, Objects: objects})
	if err != nil {
		t.Fatal(err)
	}
	rules := map[string]bool{}
	for _, f := range res.Findings {
		if f.Status == seawall.StatusFail {
			rules[f.Rule] = true
		}
	}
	return rules
}

// TestSuggest: with the policies applied the namespaces are isolated, nothing is wrong
// with the policies themselves, and every flow they are for is open, others are not.
func TestSuggest(t *testing.T) {
	before := load(t, "testdata/shop.yaml")
	set := For(reach.New(reach.Read(before)), before, Options{DefaultDeny: true})
	var out bytes.Buffer
	if err := Write(&out, set.Policies); err != nil {
		t.Fatal(err)
	}
	golden := filepath.Join("testdata", "shop.golden.yaml")
	if *update {
		if err := os.WriteFile(golden, out.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), out.String()); diff != "" {
		t.Error(diff)
	}
	if rules := failing(t, before); !rules["SW-NET-001"] || !rules["SW-NET-002"] || !rules["SW-NET-013"] {
		t.Errorf("before: %v", rules)
	}
	objects := load(t, "testdata/shop.yaml", golden)
	for _, rule := range []string{"SW-NET-001", "SW-NET-002", "SW-NET-005", "SW-NET-006", "SW-NET-008", "SW-NET-013"} {
		if failing(t, objects)[rule] {
			t.Errorf("%s fails with the policies applied", rule)
		}
	}
	m := reach.New(reach.Read(objects))
	for _, f := range set.Flows {
		flowOpen(t, m, f)
	}
	if n := len(set.Flows); n < 6 {
		t.Errorf("only %d flows", n)
	}
	for _, closed := range [][3]string{{"shop/web", "data/db", "tcp/5432"}, {"data/db", "shop/api", "tcp/9090"}, {"shop/api", "data/db", "tcp/22"}, {"shop/api", "8.8.8.8", "tcp/443"}, {"shop/web", "10.0.0.1", "tcp/443"}} {
		if a := ask(t, m, closed[0], closed[1], closed[2]); !a.Ports.Empty() {
			t.Errorf("%v is open", closed)
		}
	}
}

func ask(t *testing.T, m *reach.Model, from, to, port string) reach.Answer {
	t.Helper()
	src, err := m.Endpoint(from)
	if err != nil {
		t.Fatal(err)
	}
	dst, err := m.Endpoint(to)
	if err != nil {
		t.Fatal(err)
	}
	ports, err := portset.Parse(port)
	if err != nil {
		t.Fatal(err)
	}
	return m.Check(src, dst, ports)
}

func flowOpen(t *testing.T, m *reach.Model, f Flow) {
	t.Helper()
	find := func(w *reach.Workload) *reach.Workload { return m.Find(w.Namespace + "/" + w.Kind + "/" + w.Name)[0] }
	var open portset.Set
	switch {
	case f.From != nil && f.To != nil:
		open = m.Ports(find(f.From), find(f.To))
	case f.From != nil:
		for _, o := range m.Outside(find(f.From), reach.Egress) {
			open = open.Union(o.Ports)
		}
	case f.Source == Clients:
		for _, o := range m.Outside(find(f.To), reach.Ingress) {
			open = open.Union(o.Ports)
		}
	case f.Source == AnyPods:
		open = m.FromAnyNamespace(find(f.To))
	}
	if !open.Covers(f.Ports) {
		t.Errorf("%s: only %v of %v is open", f.Why, open, f.Ports)
	}
}

func TestReferences(t *testing.T) {
	object := func(kind, name, body string) seawall.Object {
		text := `{"apiVersion":"v1","kind":"` + kind + `","metadata":{"name":"` + name + `","namespace":"a"},` + body + `}`
		if !json.Valid([]byte(text)) {
			t.Fatalf("%s: %s", name, text)
		}
		return seawall.Object{APIVersion: "v1", Kind: kind, Namespace: "a", Name: name, JSON: []byte(text)}
	}
	service := func(name, spec string) seawall.Object { return object("Service", name, `"spec":`+spec) }
	for value, want := range map[string]string{
		"DB_HOST=db":                              "db",
		"MODE=db":                                 "",
		"URL=postgres://user:pw@db/x":             "db tcp 5432; udp 5432",
		"URL=http://db.a.svc.cluster.local:99/x":  "db tcp 99; udp 99",
		"X=db.a:5432":                             "db tcp 5432; udp 5432",
		"BROKERS=db-0.db.a.svc:9092,other:9092":   "db tcp 9092; udp 9092",
		"X=https://api.example.com/db":            "api.example.com tcp 443",
		"X=file:///etc/db.conf":                   "",
		"X=http://localhost:80":                   "",
		"X=http://127.0.0.1:80":                   "",
		"X=see db for more":                       "",
		"X=http://10.1.2.3:8080":                  "10.1.2.3 tcp 8080",
		"IMAGE=registry.example.com/db:1.2":       "",
		"X=db:5432":                               "db tcp 5432; udp 5432",
		"LIST=http://db/a http://api.example.com": "db tcp 80; udp 80|api.example.com tcp 80",
	} {
		name, text, _ := bytes.Cut([]byte(value), []byte("="))
		env, err := json.Marshal([]map[string]string{{"name": string(name), "value": string(text)}})
		if err != nil {
			t.Fatal(err)
		}
		objects := []seawall.Object{object("Pod", "p", `"spec":{"containers":[{"name":"c","env":`+string(env)+`}]}`), service("db", `{"ports":[{"port":5432}]}`)}
		m := reach.New(reach.Read(objects))
		s := &suggester{Model: m}
		got := ""
		for _, r := range s.calls(m.Workloads[0]) {
			if got != "" {
				got += "|"
			}
			got += r.name
			if r.name == "" {
				got += r.host
			}
			if !r.ports.Empty() {
				got += " " + r.ports.String()
			}
		}
		if got != want {
			t.Errorf("%s: %q, want %q", value, got, want)
		}
	}
}

// FuzzReferences: text of any kind gives references that name a Service or an outside host.
func FuzzReferences(f *testing.F) {
	for _, s := range []string{"http://db:80", "postgres://u:p@db/x", "a.b.svc", "://", ":", "@", "db-0.db"} {
		f.Add(s)
	}
	objects := []seawall.Object{{APIVersion: "v1", Kind: "Service", Namespace: "a", Name: "db", JSON: []byte(`{"spec":{"ports":[{"port":80}]}}`)}}
	m := reach.New(reach.Read(objects))
	f.Fuzz(func(t *testing.T, text string) {
		found := finder{suggester: &suggester{Model: m}, namespace: "a", seen: map[string]bool{}}
		found.text(text, "x")
		for _, r := range found.found {
			if r.name != "" && r.name != "db" || r.name == "" && !outside(r.host) {
				t.Fatalf("%q: %+v", text, r)
			}
		}
	})
}
