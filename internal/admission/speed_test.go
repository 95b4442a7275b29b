package admission_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seawall-security/seawall/internal/admission"
	"github.com/seawall-security/seawall/internal/compliance"
	"github.com/seawall-security/seawall/internal/detect"
	"github.com/seawall-security/seawall/internal/detect/misconfig/kubernetes"
	"github.com/seawall-security/seawall/internal/policy/library"
	"github.com/seawall-security/seawall/internal/seawall"
)

// FuzzReview: every body gets an HTTP error or a review with its own uid, and what is
// denied says why.
func FuzzReview(f *testing.F) {
	files, err := filepath.Glob("testdata/reviews/*.json")
	if err != nil || len(files) == 0 {
		f.Fatal("no seeds", err)
	}
	for _, file := range files {
		body, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(body)
	}
	text, err := os.ReadFile("testdata/policies.yaml")
	if err != nil {
		f.Fatal(err)
	}
	h := handler(f, snapshot(f, string(text), "seawall.io/pod-security-"), nil)
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, hook := range []string{"/validate", "/mutate/open"} {
			w := httptest.NewRecorder()
			h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodPost, hook, bytes.NewReader(body)))
			r, err := admission.ParseReview(body)
			if (err == nil) != (w.Code == http.StatusOK) || (err == nil) != (r != nil) {
				t.Fatalf("%d %s, %v", w.Code, w.Body, err)
			}
			if err != nil {
				continue
			}
			var answer struct{ Response reply }
			if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil {
				t.Fatal(err)
			}
			if got := answer.Response; strings.ToValidUTF8(r.UID, "\ufffd") != got.UID || !got.Allowed && got.Status.Message == "" || got.Status.Code == http.StatusServiceUnavailable {
				t.Fatalf("uid %q: %+v", r.UID, got)
			}
		}
	})
}

// twenty are the library's policies and as many of other kinds as make 20.
func twenty(b testing.TB) string {
	var all strings.Builder
	names := library.Names()
	for _, name := range names {
		text, _ := library.Text(name)
		all.WriteString("---\n" + string(text))
	}
	for i := len(names); i < 20; i++ {
		all.WriteString(document(fmt.Sprint("own-", i), fmt.Sprintf("  rules: [{name: r, when: 'finding.kind == \"vulnerability\" && finding.package.name == \"p%d\" && finding.severity == \"critical\"', action: block}]\n", i)))
	}
	return all.String()
}

// BenchmarkReview answers a review of a pod whose image has 1,000 findings, by 20
// policies; with and without those that ask about the objects' own findings.
func BenchmarkReview(b *testing.B) {
	digest := digestOf("b")
	v := verdictOf(digest)
	for i := range 1000 {
		v.Findings = append(v.Findings, seawall.Finding{ID: fmt.Sprint(i), Kind: seawall.KindVulnerability, Severity: seawall.SeverityHigh, Status: seawall.StatusFail, Title: "x",
			Package: &seawall.PackageRef{Name: "x"}, Vulnerability: &seawall.Vulnerability{ID: fmt.Sprint("CVE-", i)}})
	}
	controls, err := kubernetes.New(kubernetes.Options{})
	if err != nil {
		b.Fatal(err)
	}
	sample, err := os.ReadFile("testdata/reviews/pod.json")
	if err != nil {
		b.Fatal(err)
	}
	var parsed map[string]any
	if err := json.Unmarshal(sample, &parsed); err != nil {
		b.Fatal(err)
	}
	container := parsed["request"].(map[string]any)["object"].(map[string]any)["spec"].(map[string]any)["containers"].([]any)[0].(map[string]any)
	container["image"] = "r.example/app@" + digest
	body, err := json.Marshal(parsed)
	if err != nil {
		b.Fatal(err)
	}
	for name, detectors := range map[string][]detect.Detector{"images": nil, "images and controls": {controls}} {
		b.Run(name, func(b *testing.B) {
			r := &registry{}
			_ = r.PutVerdict(b.Context(), v)
			h := handler(b, snapshot(b, twenty(b), "seawall.io/pod-security-"), func(c *admission.Config) {
				r.connect(c)
				c.Detectors, c.Frameworks = detectors, compliance.NewMapper().Frameworks
			})
			post(b, h, "/validate", body)
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				w := httptest.NewRecorder()
				h.ServeHTTP(w, httptest.NewRequestWithContext(b.Context(), http.MethodPost, "/validate?timeout=10s", bytes.NewReader(body)))
				if w.Code != http.StatusOK {
					b.Fatal(w.Body)
				}
			}
		})
	}
}
