package network_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/seawall-security/seawall/internal/cli"
	"github.com/seawall-security/seawall/internal/detect/network/reach"
	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/test/cluster/cluster"
)

// run is one command against a cluster.
func run(t *testing.T, c *cluster.Cluster, args ...string) (stdout string, code int) {
	t.Helper()
	var out, stderr bytes.Buffer
	code = cli.Run(t.Context(), cli.Invocation{Args: args, Environ: []string{"HOME=" + t.TempDir(), "KUBECONFIG=" + c.Kubeconfig()}, Stdout: &out, Stderr: &stderr})
	if code > 1 {
		t.Fatalf("seawall %s: exit %d: %s", strings.Join(args, " "), code, stderr.String())
	}
	return out.String(), code
}

// failing are the titles of findings about two namespaces.
func failing(t *testing.T, c *cluster.Cluster, a, b string) []string {
	t.Helper()
	out, _ := run(t, c, "scan", "cluster", "--format", "json", "--exit-zero")
	var report seawall.Report
	if err := json.Unmarshal([]byte(out), &report); err != nil {
		t.Fatal(err)
	}
	var titles []string
	for _, f := range report.Findings {
		if f.Kind == seawall.KindNetwork && f.Status == seawall.StatusFail && (strings.Contains(f.Title, a) || strings.Contains(f.Title, b)) {
			titles = append(titles, f.Title)
		}
	}
	return titles
}

// TestSuggestedPolicies: the API server takes the policies, what they mend is found no
// more, what must go on is open, and the rest is closed.
func TestSuggestedPolicies(t *testing.T) {
	c := cluster.Shared(t)
	shop, data := c.Namespace(t), c.Namespace(t)
	workload := func(kind, name, env string) string {
		return fmt.Sprintf(`
apiVersion: apps/v1
kind: %s
metadata: {name: %[2]s}
spec:
  replicas: 0
  selector: {matchLabels: {app: %[2]s}}
  template:
    metadata: {labels: {app: %[2]s}}
    spec: {containers: [{name: c, image: none, ports: [{name: http, containerPort: 8080}]%s}]}
---
`, kind, name, env)
	}
	c.Apply(t, shop, workload("Deployment", "web", `, env: [{name: API, value: "http://api"}]`)+workload("Deployment", "api", `, env: [{name: DB_URL, value: "postgres://db.`+data+`.svc/x"}]`)+`
apiVersion: v1
kind: Service
metadata: {name: api}
spec: {selector: {app: api}, ports: [{port: 80, targetPort: http}]}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {type: NodePort, selector: {app: web}, ports: [{port: 80, targetPort: http}]}
`)
	c.Apply(t, data, workload("Deployment", "db", "")+`
apiVersion: v1
kind: Service
metadata: {name: db}
spec: {selector: {app: db}, ports: [{port: 5432}]}
`)
	before := failing(t, c, shop, data)
	for _, want := range []string{"Namespace " + shop + " does not restrict ingress", "Namespace " + data + " does not restrict egress"} {
		if !strings.Contains(strings.Join(before, "\n"), want) {
			t.Errorf("before: no %q in %q", want, before)
		}
	}
	policies, _ := run(t, c, "network", "suggest", "--default-deny", "--namespace", shop+","+data)
	c.Apply(t, "", policies)
	for _, title := range failing(t, c, shop, data) {
		// The test cluster has no DNS: the rule for it has nobody to match.
		if !strings.Contains(title, "can be reached from outside") && !strings.Contains(title, "/allow-dns") {
			t.Errorf("after: %s", title)
		}
	}
	for _, q := range []struct {
		from, to, port string
		open           bool
	}{
		{shop + "/web", shop + "/svc/api", "tcp/80", true},
		{shop + "/api", data + "/svc/db", "tcp/5432", true},
		{"internet", shop + "/svc/web", "tcp/80", true},
		{shop + "/web", data + "/db", "tcp/5432", false},
		{data + "/db", shop + "/api", "tcp/8080", false},
		{shop + "/api", "169.254.169.254", "tcp/80", false},
		{shop + "/api", shop + "/web", "tcp/22", false},
	} {
		out, code := run(t, c, "network", "check", "--from", q.from, "--to", q.to, "--port", q.port)
		if (code == 0) != q.open {
			t.Errorf("%+v: exit %d\n%s", q, code, out)
		}
	}
}

// TestSameValidation: what the API server refuses of a NetworkPolicy is a problem here,
// and what it takes is none.
func TestSameValidation(t *testing.T) {
	c := cluster.Shared(t)
	ns := c.Namespace(t)
	for i, spec := range []string{
		`{"podSelector":{},"ingress":[{"from":[{}]}]}`,
		`{"podSelector":{},"ingress":[{"from":[{"ipBlock":{"cidr":"10.0.0.0/8","except":["11.0.0.0/8"]}}]}]}`,
		`{"podSelector":{},"ingress":[{"from":[{"ipBlock":{"cidr":"10.0.0.0/8","except":["10.1.0.0/16","10.0.0.0/9"]}}]}]}`,
		`{"podSelector":{},"ingress":[{"from":[{"ipBlock":{"cidr":"10/8"}}]}]}`,
		`{"podSelector":{},"ingress":[{"from":[{"ipBlock":{"cidr":"fd00::/8"}}]}]}`,
		`{"podSelector":{},"ingress":[{"from":[{"ipBlock":{"cidr":"10.0.0.0/8"},"podSelector":{}}]}]}`,
		`{"podSelector":{},"ingress":[{"from":[{"namespaceSelector":{},"podSelector":{}}]}]}`,
		`{"podSelector":{},"ingress":[{"ports":[{"port":80,"endPort":79}]}]}`,
		`{"podSelector":{},"ingress":[{"ports":[{"port":80,"endPort":80}]}]}`,
		`{"podSelector":{},"ingress":[{"ports":[{"port":"http","endPort":79}]}]}`,
		`{"podSelector":{},"ingress":[{"ports":[{"endPort":79}]}]}`,
		`{"podSelector":{},"ingress":[{"ports":[{"port":0}]}]}`,
		`{"podSelector":{},"ingress":[{"ports":[{"port":65535,"protocol":"SCTP"}]}]}`,
		`{"podSelector":{},"ingress":[{"ports":[{"port":1,"protocol":"ICMP"}]}]}`,
		`{"podSelector":{},"ingress":[{"ports":[{}]}]}`,
		`{"podSelector":{},"policyTypes":["ingress"]}`,
		`{"podSelector":{},"policyTypes":["Egress"]}`,
		`{"podSelector":{"matchExpressions":[{"key":"a","operator":"Is"}]}}`,
		`{"podSelector":{"matchExpressions":[{"key":"a","operator":"In"}]}}`,
		`{"podSelector":{"matchExpressions":[{"key":"a","operator":"Exists","values":["b"]}]}}`,
		`{"podSelector":{"matchExpressions":[{"key":"a","operator":"NotIn","values":["b"]}]}}`,
	} {
		name := fmt.Sprintf("p%d", i)
		text := fmt.Sprintf(`{"apiVersion":"networking.k8s.io/v1","kind":"NetworkPolicy","metadata":{"name":%q,"namespace":%q},"spec":%s}`, name, ns, spec)
		_, err := c.Post(t.Context(), "/apis/networking.k8s.io/v1/namespaces/"+ns+"/networkpolicies", json.RawMessage(text))
		if err != nil && cluster.Code(err) != 400 && cluster.Code(err) != 422 {
			t.Fatal(err)
		}
		got := reach.Read([]seawall.Object{{APIVersion: "networking.k8s.io/v1", Kind: "NetworkPolicy", Namespace: ns, Name: name, JSON: []byte(text)}})
		if (err != nil) != (len(got.Problems) > 0) {
			t.Errorf("%s:\nAPI server: %v\nhere: %v", spec, err, got.Problems)
		}
	}
}
