package kubernetes

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/pod-security-admission/api"
	"sigs.k8s.io/yaml"

	"github.com/seawall-security/seawall/internal/detect"
	"github.com/seawall-security/seawall/internal/detect/control"
	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/source/manifest"
)

// fixture is what a control is shown: what must fail, and what must pass.
type fixture struct {
	Fail, Pass scene
}

// scene is a cluster: objects and facts. A pod is the spec of a Pod, a container
// one of a Pod that has no other; several make several pods.
type scene struct {
	Pods       []map[string]any    `json:"pods"`
	Containers []map[string]any    `json:"containers"`
	Objects    []map[string]any    `json:"objects"`
	Facts      []map[string]string `json:"facts"` // with kind
	// Certificates become TLS Secrets, Requests approved CertificateSigningRequests.
	Certificates []certificate `json:"certificates"`
	Requests     []certificate `json:"requests"`
}

// certificate is valid from yesterday for so many days from now.
type certificate struct {
	Days         int    `json:"days"`
	Organization string `json:"organization"`
}

func (c certificate) pem(t *testing.T) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "somebody", Organization: []string{c.Organization}},
		NotBefore: now.AddDate(0, 0, min(-1, c.Days-1)), NotAfter: now.AddDate(0, 0, c.Days),
	}
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return base64.StdEncoding.EncodeToString(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

var now = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

func (s scene) facts(t *testing.T, needs []string) detect.Facts {
	t.Helper()
	f := detect.Facts{Asset: seawall.Asset{ID: "c", Kind: seawall.AssetCluster}, Now: now}
	for _, c := range s.Containers {
		container := map[string]any{"name": "app", "image": "registry.example/app:1"}
		for k, v := range c {
			container[k] = v
		}
		s.Pods = append(s.Pods, map[string]any{"containers": []any{container}})
	}
	for i, p := range s.Pods {
		if p["containers"] == nil {
			p["containers"] = []any{map[string]any{"name": "app", "image": "registry.example/app:1"}}
		}
		s.Objects = append(s.Objects, map[string]any{"apiVersion": "v1", "kind": "Pod", "metadata": map[string]any{"name": fmt.Sprintf("pod-%d", i), "namespace": "shop"}, "spec": p})
	}
	for i, c := range s.Certificates {
		s.Objects = append(s.Objects, map[string]any{"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls", "metadata": map[string]any{"name": fmt.Sprintf("tls-%d", i), "namespace": "shop"}, "data": map[string]any{"tls.crt": c.pem(t)}})
	}
	for i, c := range s.Requests {
		s.Objects = append(s.Objects, map[string]any{"apiVersion": "certificates.k8s.io/v1", "kind": "CertificateSigningRequest", "metadata": map[string]any{"name": fmt.Sprintf("csr-%d", i)},
			"spec": map[string]any{"signerName": "kubernetes.io/kube-apiserver-client"}, "status": map[string]any{"certificate": c.pem(t), "conditions": []any{map[string]any{"type": "Approved"}}}})
	}
	for _, m := range s.Objects {
		f.Objects = append(f.Objects, toObject(t, m))
	}
	for _, data := range s.Facts {
		c := seawall.ConfigFact{Kind: data["kind"], Data: map[string]string{}}
		for k, v := range data {
			if k != "kind" {
				c.Data[k] = v
			}
		}
		f.Configs = append(f.Configs, c)
	}
	for _, resource := range needs {
		f.Configs = append(f.Configs, seawall.ConfigFact{Kind: "kubernetes/read", Data: map[string]string{"resource": resource}})
	}
	return f
}

func toObject(t *testing.T, m map[string]any) seawall.Object {
	t.Helper()
	body, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	metadata := object(m, "metadata")
	return seawall.Object{APIVersion: text(m, "apiVersion"), Kind: text(m, "kind"), Namespace: text(metadata, "namespace"), Name: text(metadata, "name"), JSON: body}
}

// own are the files of controls that are about objects, with fixtures in testdata.
var own = []string{"podsecurity.yaml", "workloads.yaml", "data.yaml", "tenancy.yaml", "access.yaml", "versions.yaml"}

func controls(t testing.TB) []*control.Control {
	t.Helper()
	list, err := control.Load(files, own...)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func fixtures(t *testing.T) map[string]fixture {
	t.Helper()
	all := map[string]fixture{}
	names, err := filepath.Glob("testdata/fixtures/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		body, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		var some map[string]fixture
		if err := yaml.UnmarshalStrict(body, &some); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for id, f := range some {
			if _, twice := all[id]; twice {
				t.Fatalf("%s: fixtures of %s twice", name, id)
			}
			all[id] = f
		}
	}
	return all
}

// only is a detector with one control.
func only(c *control.Control) *control.Detector {
	return control.New(control.Options{
		Name: "one", Load: func() ([]*control.Control, error) { return []*control.Control{c}, nil }, Checks: Checks(api.LatestVersion()), Index: newReferences,
	})
}

func judge(t *testing.T, c *control.Control, facts detect.Facts) map[seawall.Status][]seawall.Finding {
	t.Helper()
	res, err := only(c).Detect(context.Background(), facts)
	if err != nil {
		t.Fatalf("%s: %v", c.ID, err)
	}
	if res.Partial != "" {
		t.Errorf("%s: partial: %s", c.ID, res.Partial)
	}
	by := map[seawall.Status][]seawall.Finding{}
	for _, f := range res.Findings {
		by[f.Status] = append(by[f.Status], f)
	}
	return by
}

// TestControls: every control fails on its failing fixture, and on the passing
// one passes and nothing else; what it points to and offers is there.
func TestControls(t *testing.T) {
	all := fixtures(t)
	for _, c := range controls(t) {
		t.Run(c.ID, func(t *testing.T) {
			f, ok := all[c.ID]
			if !ok {
				t.Fatalf("%s has no fixtures in testdata/fixtures", c.ID)
			}
			delete(all, c.ID)
			bad := judge(t, c, f.Fail.facts(t, c.Needs))
			for _, finding := range bad[seawall.StatusFail] {
				if finding.Evidence == "" || strings.Contains(finding.Evidence, "no such key") || finding.Remediation == "" || len(finding.References) == 0 {
					t.Errorf("a finding without evidence, remediation or reference: %+v", finding)
				}
				if finding.Location == nil {
					t.Errorf("a finding without a place: %+v", finding)
				}
			}
			if c.Manual != "" {
				if len(bad[seawall.StatusNotEvaluated]) != 1 || len(bad) != 1 {
					t.Errorf("a manual control gave %v", bad)
				}
				return
			}
			if len(bad[seawall.StatusFail]) == 0 || len(bad[seawall.StatusNotEvaluated]) > 0 {
				t.Errorf("the failing fixture gave %+v", bad)
			}
			good := judge(t, c, f.Pass.facts(t, c.Needs))
			if len(good[seawall.StatusFail])+len(good[seawall.StatusNotEvaluated]) > 0 || len(good[seawall.StatusPass]) != 1 {
				t.Errorf("the passing fixture gave %+v", good)
			}
		})
	}
	for id := range all {
		t.Errorf("fixtures of %s, which is no control", id)
	}
}

// TestPatches: a control's patch, applied to what it was offered for, makes the
// finding go away.
func TestPatches(t *testing.T) {
	all := fixtures(t)
	for _, c := range controls(t) {
		if c.Patch.Empty() {
			continue
		}
		t.Run(c.ID, func(t *testing.T) {
			facts := all[c.ID].Fail.facts(t, c.Needs)
			patched := 0
			for _, finding := range judge(t, c, facts)[seawall.StatusFail] {
				if finding.Patch == nil {
					t.Errorf("no patch for %s %s", finding.Location.Resource, finding.Location.Field)
					continue
				}
				i := slices.IndexFunc(facts.Objects, func(o seawall.Object) bool { return o.Resource() == finding.Location.Resource })
				if i < 0 {
					t.Fatalf("no object %s", finding.Location.Resource)
				}
				facts.Objects[i].JSON = apply(t, facts.Objects[i], finding.Patch)
				patched++
			}
			if left := judge(t, c, facts); patched == 0 || len(left[seawall.StatusFail])+len(left[seawall.StatusNotEvaluated]) > 0 {
				t.Errorf("after %d patches: %+v\n%s", patched, left, facts.Objects[0].JSON)
			}
		})
	}
}

// apply patches an object as kubectl does: with the types of its kind, custom
// resources by plain merging.
func apply(t *testing.T, o seawall.Object, patch []byte) []byte {
	t.Helper()
	typed, err := scheme.Scheme.New(schema.FromAPIVersionAndKind(o.APIVersion, o.Kind))
	if err != nil {
		t.Fatal(err)
	}
	out, err := strategicpatch.StrategicMergePatch(o.JSON, patch, typed)
	if err != nil {
		t.Fatalf("%s: %v", patch, err)
	}
	return out
}

// TestWeakManifests: the patches offered for the deliberately weak manifests,
// all applied, leave no finding that had one.
func TestWeakManifests(t *testing.T) {
	target, err := manifest.Open([]string{"../../../../test/cluster/posture/weak"}, manifest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	facts := detect.Facts{Asset: target.Asset(), Now: now}
	stated, err := target.Facts(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range stated {
		if f.Object != nil {
			facts.Objects = append(facts.Objects, *f.Object)
		}
	}
	d, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	findings := func() []seawall.Finding {
		res, err := d.Detect(context.Background(), facts)
		if err != nil || res.Partial != "" {
			t.Fatalf("%v, partial %q", err, res.Partial)
		}
		return slices.DeleteFunc(res.Findings, func(f seawall.Finding) bool { return f.Patch == nil })
	}
	before := findings()
	rules := map[string]bool{}
	for _, f := range before {
		rules[f.Rule] = true
		i := slices.IndexFunc(facts.Objects, func(o seawall.Object) bool { return o.Resource() == f.Location.Resource })
		facts.Objects[i].JSON = apply(t, facts.Objects[i], f.Patch)
	}
	if len(rules) < 20 {
		t.Errorf("only %d rules offered patches", len(rules))
	}
	for _, f := range findings() {
		t.Errorf("still there: %s %s %s: %s", f.Rule, f.Location.Resource, f.Location.Field, f.Evidence)
	}
}

// TestComplete: all controls of the package load and compile, with checks that exist.
func TestComplete(t *testing.T) {
	d, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	res, err := d.Detect(context.Background(), detect.Facts{Asset: seawall.Asset{Kind: seawall.AssetCluster}, Now: now})
	if err != nil {
		t.Fatal(err)
	}
	if len(d.Rules()) < 100 || len(res.Findings) < 50 {
		t.Errorf("%d rules, %d findings", len(d.Rules()), len(res.Findings))
	}
	for _, f := range res.Findings {
		if f.Status == seawall.StatusPass || f.Status == seawall.StatusFail {
			t.Errorf("nothing is known and %s is %s", f.Rule, f.Status)
		}
		if strings.Contains(f.Reason, "not known here") {
			t.Errorf("%s: %s", f.Rule, f.Reason)
		}
	}
}

// FuzzObject: whatever an object holds, judging it by all controls ends, and
// every finding is about it.
func FuzzObject(f *testing.F) {
	f.Add("Pod", `{"spec":{"containers":[{"name":"a","securityContext":{"privileged":true}}],"volumes":[{"hostPath":{"path":"/"}}]}}`)
	f.Add("Deployment", `{"spec":{"template":{"metadata":null,"spec":{"containers":[{}],"initContainers":null}}}}`)
	f.Add("Ingress", `{"spec":{"rules":[null,{"host":1}]},"metadata":{"annotations":[]}}`)
	f.Add("Secret", `{"type":"kubernetes.io/tls","data":{"tls.crt":"eA=="}}`)
	f.Add("Node", `{"status":{"nodeInfo":{"kubeletVersion":"v1.","kernelVersion":"6"}}}`)
	f.Add("CronJob", `{"spec":{"jobTemplate":{"spec":{"template":{"spec":{"containers":["x"]}}}}}}`)
	d, err := New(Options{})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, kind, body string) {
		o := seawall.Object{APIVersion: "v1", Kind: kind, Namespace: "shop", Name: "fuzzed", JSON: []byte(body)}
		res, err := d.Detect(context.Background(), detect.Facts{
			Asset: seawall.Asset{Kind: seawall.AssetManifests}, Objects: []seawall.Object{o}, Now: now,
			Configs: []seawall.ConfigFact{{Kind: "kubernetes/version", Data: map[string]string{"version": "v1.36.0"}}},
		})
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(res.Partial, "panic") {
			t.Error(res.Partial)
		}
		for _, finding := range res.Findings {
			if finding.Status == seawall.StatusFail && finding.Location != nil && finding.Location.Resource != "" && finding.Location.Resource != o.Resource() {
				t.Errorf("%s is about %s", finding.Rule, finding.Location.Resource)
			}
		}
	})
}
