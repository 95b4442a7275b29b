package view

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seawall-security/seawall/internal/detect/network/reach"
	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/testenv"
)

// hostile is a name with what would break out of every format.
const hostile = `x"</script><b>&\`

func model(t *testing.T) *reach.Model {
	t.Helper()
	object := func(version, kind, namespace, name, spec string) seawall.Object {
		return seawall.Object{APIVersion: version, Kind: kind, Namespace: namespace, Name: name, JSON: []byte(`{"spec":` + spec + `}`)}
	}
	template := func(app string) string {
		return `{"selector":{"matchLabels":{"app":"` + app + `"}},"template":{"metadata":{"labels":{"app":"` + app + `"}},"spec":{"containers":[{"ports":[{"containerPort":80}]}]}}}`
	}
	return reach.New(reach.Read([]seawall.Object{
		object("apps/v1", "Deployment", "a", "web", template("web")), object("apps/v1", "Deployment", "a", "db", template("db")), object("apps/v1", "Deployment", "b", hostile, template("x")),
		object("networking.k8s.io/v1", "NetworkPolicy", "a", "p", `{"podSelector":{},"policyTypes":["Ingress","Egress"],"ingress":[{"from":[{"podSelector":{}}],"ports":[{"port":80},{"port":90,"endPort":99,"protocol":"UDP"}]}],
			"egress":[{"to":[{"podSelector":{"matchLabels":{"app":"db"}}}]},{"to":[{"ipBlock":{"cidr":"8.8.8.0/24","except":["8.8.8.0/25"]}}],"ports":[{"port":443}]}]}`),
		object("networking.k8s.io/v1", "NetworkPolicy", "b", "p", `{"podSelector":{},"policyTypes":["Egress"]}`),
		object("v1", "Service", "b", "x", `{"type":"LoadBalancer","selector":{"app":"x"},"ports":[{"port":80}]}`),
	}))
}

func TestJSON(t *testing.T) {
	var out bytes.Buffer
	if err := JSON(&out, model(t)); err != nil {
		t.Fatal(err)
	}
	var got, want any
	if err := json.Unmarshal(out.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	const text = `{"connections": [
		{"from": "a/Deployment/db", "to": "8.8.8.128/25", "ports": [{"protocol": "TCP", "first": 443, "last": 443}]},
		{"from": "a/Deployment/web", "to": "a/Deployment/db", "ports": [{"protocol": "TCP", "first": 80, "last": 80}, {"protocol": "UDP", "first": 90, "last": 99}]},
		{"from": "a/Deployment/web", "to": "8.8.8.128/25", "ports": [{"protocol": "TCP", "first": 443, "last": 443}]}]}`
	if err := json.Unmarshal([]byte(text), &want); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	out.Reset()
	if err := JSON(&out, reach.New(reach.Read(nil))); err != nil || !json.Valid(out.Bytes()) {
		t.Errorf("of nothing: %s %v", out.Bytes(), err)
	}
}

// TestHTML: one file, nothing fetched, no foreign name read as markup, every row whole.
func TestHTML(t *testing.T) {
	var out bytes.Buffer
	if err := HTML(&out, model(t)); err != nil {
		t.Fatal(err)
	}
	text := out.String()
	if n := strings.Count(text, "</script>"); n != 2 {
		t.Errorf("%d scripts end, want 2", n)
	}
	if found := regexp.MustCompile(`(?i)(src|href)="[^#"]|url\((?:"|')?http|@import`).FindString(text); found != "" {
		t.Errorf("something is fetched: %s", found)
	}
	p := payloadOf(model(t))
	for _, w := range p.Workloads {
		total := 0
		for i := 1; i < len(p.Rows[w.Row]); i += 2 {
			total += p.Rows[w.Row][i]
		}
		if total != len(p.Workloads) {
			t.Errorf("the row of %s is about %d workloads", w.Name, total)
		}
	}
}

// TestScript runs the page in a browser: it draws every workload and says no error.
func TestScript(t *testing.T) {
	if os.Getenv("SEAWALL_LONG") == "" {
		t.Skip("set SEAWALL_LONG=1 to open the page in Chromium")
	}
	chromium := testenv.Tool(t, "chromium")
	dir := t.TempDir()
	var out bytes.Buffer
	if err := HTML(&out, model(t)); err != nil {
		t.Fatal(err)
	}
	page := filepath.Join(dir, "network.html")
	if err := os.WriteFile(page, out.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(chromium, "--headless=new", "--no-sandbox", "--disable-gpu", "--user-data-dir="+filepath.Join(dir, "profile"), "--virtual-time-budget=3000", "--dump-dom", "file://"+page+"#a/Deployment/web")
	dom, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	if n := bytes.Count(dom, []byte("data-i=")); n != 3 {
		t.Errorf("%d workloads drawn, want 3", n)
	}
	for _, want := range []string{"Can reach", "tcp 80; udp 90-99", "8.8.8.128/25", "ingress isolated"} {
		if !bytes.Contains(dom, []byte(want)) {
			t.Errorf("the panel of a/Deployment/web lacks %q", want)
		}
	}
}

func TestSVG(t *testing.T) {
	var out bytes.Buffer
	if err := SVG(&out, model(t)); err != nil {
		t.Fatal(err)
	}
	names := 0
	for d := xml.NewDecoder(&out); ; {
		token, err := d.Token()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if e, ok := token.(xml.StartElement); ok && e.Name.Local == "title" {
			names++
		}
	}
	if names != 4 { // three workloads, one connection between two
		t.Errorf("%d titles, want 4", names)
	}
}

func TestDOT(t *testing.T) {
	if os.Getenv("SEAWALL_LONG") == "" {
		t.Skip("set SEAWALL_LONG=1 to read the graph with Graphviz")
	}
	dot := testenv.Tool(t, "dot")
	var out bytes.Buffer
	if err := DOT(&out, model(t)); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(dot, "-Tplain")
	cmd.Stdin = &out
	plain, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, plain)
	}
	if n := bytes.Count(plain, []byte("\nedge ")); n != 3 {
		t.Errorf("%d edges, want 3:\n%s", n, plain)
	}
}
