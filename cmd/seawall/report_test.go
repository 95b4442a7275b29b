package main

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/seawall-security/seawall/internal/cli"
)

// reportContract is the JSON report as ../shared/DESIGN.md section 5 fixes it: a
// path, the types it may have, and "always" (in every element of its parent),
// "seen" (the report of TestReportContract has one) or "optional".
const reportContract = `
schemaVersion string always
tool.name string always
tool.version string always
run.id string always
run.started string always
run.ended string always
database.built string always
database.sources[].name string always
database.sources[].updated string seen
database.sources[].advisories number always
asset.id string always
asset.kind string always
asset.name string always
asset.digest string always
asset.os.id string always
asset.os.version string always
coverage[].asset string always
coverage[].ecosystem string always
coverage[].packages number always
coverage[].status string always
coverage[].reason string seen
packages[].asset string always
packages[].name string always
packages[].version string always
packages[].ecosystem string always
packages[].purl string seen
packages[].source string seen
packages[].locations[].path string always
packages[].locations[].layer string always
findings[].id string always
findings[].kind string always
findings[].rule string always
findings[].title string always
findings[].severity string always
findings[].severitySource string seen
findings[].status string always
findings[].reason string seen
findings[].asset string always
findings[].location.path string always
findings[].locations[].path string always
findings[].layer.index number always
findings[].layer.digest string always
findings[].layer.createdBy string always
findings[].layer.base bool optional
findings[].package.name string always
findings[].package.version string always
findings[].package.ecosystem string always
findings[].package.purl string seen
findings[].vulnerability.id string always
findings[].vulnerability.aliases[] string seen
findings[].vulnerability.state string always
findings[].vulnerability.fixed[] string seen
findings[].vulnerability.fixedAt null|string always
findings[].vulnerability.published string seen
findings[].vulnerability.cvss[].source string optional
findings[].vulnerability.cvss[].version string always
findings[].vulnerability.cvss[].vector string always
findings[].vulnerability.cvss[].score number always
findings[].vulnerability.cwes[] string optional
findings[].vulnerability.epss.score number always
findings[].vulnerability.epss.percentile number always
findings[].vulnerability.kev bool always
findings[].remediation string seen
findings[].references[] string seen
summary.critical number always
summary.high number always
summary.medium number always
summary.low number always
summary.negligible number always
summary.unknown number always
summary.suppressed number always
summary.pass number always
summary.notApplicable number always
summary.notEvaluated number always
collectors[].asset string always
collectors[].name string always
collectors[].status string always
collectors[].reason string seen
collectors[].found number always
collectors[].ms number always
`

// TestReportContract scans a real image with the embedded database and holds the
// report against the documented names and types.
func TestReportContract(t *testing.T) {
	dir := t.TempDir()
	image := dir + "/image"
	contractImage(t, image)
	accepted := dir + "/accepted.yaml"
	if err := os.WriteFile(accepted, []byte("ignore:\n- id: RUSTSEC-2016-0001\n  reason: tested\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	first := scanReport(t, "image", "oci:"+image, "--ignore", accepted)
	holdContract(t, reportContract, first)
	findingsContract(t, first, scanReport(t, "image", "oci:"+image, "--ignore", accepted, "--no-cache"))
}

// TestInUse: what an agent saw loaded is said of the findings, of the same image only.
func TestInUse(t *testing.T) {
	dir := t.TempDir()
	contractImage(t, dir+"/image")
	digest, _ := scanReport(t, "image", "oci:"+dir+"/image")["asset"].(map[string]any)["digest"].(string)
	inUse := func(digest string) map[any]any {
		recording := fmt.Sprintf(`{"schemaVersion":"seawall.in-use/v1","since":"2026-11-20T00:00:00Z","until":"2026-11-21T00:00:00Z","covers":["executables","scripts"],
			"images":[{"digest":%q,"files":["/app/node_modules/x/node_modules/lodash/index.js"]}]}`, digest)
		if err := os.WriteFile(dir+"/in-use.json", []byte(recording), 0o600); err != nil {
			t.Fatal(err)
		}
		answers := map[any]any{}
		for _, f := range scanReport(t, "image", "oci:"+dir+"/image", "--in-use", dir+"/in-use.json")["findings"].([]any) {
			f := f.(map[string]any)
			if p, ok := f["package"].(map[string]any); ok {
				answers[p["name"]] = f["inUse"]
			}
		}
		return answers
	}
	if got := inUse(digest); digest == "" || got["lodash"] != true || got["Django"] != nil || got["openssl"] != nil {
		t.Errorf("of image %q in use: %v", digest, got)
	}
	if got := inUse("sha256:another"); got["lodash"] != nil {
		t.Errorf("by another image's recording in use: %v", got)
	}
}

// manifestsContract is the same of what has no packages and no layers.
const manifestsContract = `
schemaVersion string always
tool.name string always
run.id string always
asset.id string always
asset.kind string always
asset.name string always
findings[].id string always
findings[].kind string always
findings[].rule string always
findings[].title string always
findings[].severity string always
findings[].severitySource string seen
findings[].status string always
findings[].reason string seen
findings[].asset string always
findings[].location.path string seen
findings[].location.line number seen
findings[].location.resource string seen
findings[].location.field string seen
findings[].locations[].resource string seen
findings[].count number seen
findings[].evidence string seen
findings[].remediation string seen
findings[].references[] string seen
findings[].frameworks[] string seen
summary.critical number always
summary.high number always
summary.pass number always
summary.notApplicable number always
summary.notEvaluated number always
collectors[].asset string always
collectors[].name string always
collectors[].status string always
collectors[].found number always
collectors[].ms number always
`

// TestManifestsReportContract: findings about objects name the object, the field
// and its line, and what was not judged says why.
func TestManifestsReportContract(t *testing.T) {
	file := t.TempDir() + "/pod.yaml"
	if err := os.WriteFile(file, []byte(`apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop}
spec:
  containers:
  - name: web
    image: registry.example.com/web:1
    securityContext:
      privileged: true
`), 0o600); err != nil {
		t.Fatal(err)
	}
	first := scanReport(t, "manifests", file)
	holdContract(t, manifestsContract, first)
	second := scanReport(t, "manifests", file)
	for _, list := range []string{"coverage", "packages"} {
		if got, ok := first[list].([]any); !ok || len(got) != 0 {
			t.Errorf("%s is %v, want []", list, first[list])
		}
	}
	identifiersContract(t, first, second)
	privileged := 0
	for _, f := range first["findings"].([]any) {
		f := f.(map[string]any)
		if status := f["status"]; (status == "not-evaluated" || status == "not-applicable") && f["reason"] == nil {
			t.Errorf("%v is %v without a reason", f["rule"], status)
		}
		if f["rule"] == "SW-PSS-001" && f["status"] == "fail" {
			privileged++
			at := f["location"].(map[string]any)
			if at["resource"] != "Pod/shop/web" || at["field"] != "spec.containers[0].securityContext.privileged" || at["line"] != 9.0 {
				t.Errorf("a privileged container is at %v", at)
			}
		}
	}
	if privileged != 1 {
		t.Errorf("%d findings of a privileged container", privileged)
	}
}

// holdContract holds a report against the paths and types of a contract.
func holdContract(t *testing.T, contract string, report map[string]any) {
	t.Helper()
	for _, line := range strings.Split(strings.TrimSpace(contract), "\n") {
		var path, types, presence string
		if _, err := fmt.Sscan(line, &path, &types, &presence); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		c := contractField{types: strings.Split(types, "|"), always: presence == "always"}
		c.check(report, path, "")
		for _, problem := range c.problems {
			t.Errorf("%s: %s", path, problem)
		}
		if c.seen == 0 && presence != "optional" {
			t.Errorf("%s: nowhere in the report", path)
		}
	}
}

// TestEmptyReportContract: nothing found gives empty lists, never null.
func TestEmptyReportContract(t *testing.T) {
	report := scanReport(t, "rootfs", t.TempDir())
	for _, name := range []string{"coverage", "packages", "findings"} {
		if list, ok := report[name].([]any); !ok || len(list) != 0 {
			t.Errorf("%s is %v, want []", name, report[name])
		}
	}
}

// identifiersContract: identifiers are unique and the same in two runs.
func identifiersContract(t *testing.T, first, second map[string]any) {
	t.Helper()
	ids := func(report map[string]any) []string {
		var out []string
		for _, f := range report["findings"].([]any) {
			out = append(out, f.(map[string]any)["id"].(string))
		}
		slices.Sort(out)
		return out
	}
	if a, b := ids(first), ids(second); !slices.Equal(a, b) {
		t.Errorf("identifiers differ between two runs: %v, %v", a, b)
	} else if len(slices.Compact(a)) != len(b) {
		t.Error("two findings share an identifier")
	}
}

// findingsContract: identifiers are unique and stable, and a vulnerability is one
// finding per asset, package and version with every path in locations.
func findingsContract(t *testing.T, first, second map[string]any) {
	t.Helper()
	identifiersContract(t, first, second)
	keys := map[string]bool{}
	lodash := 0
	for _, f := range first["findings"].([]any) {
		f := f.(map[string]any)
		if f["kind"] != "vulnerability" {
			continue
		}
		p := f["package"].(map[string]any)
		key := fmt.Sprint(f["asset"], f["vulnerability"].(map[string]any)["id"], p["ecosystem"], p["name"], p["version"])
		if keys[key] {
			t.Errorf("more than one finding for %s", key)
		}
		keys[key] = true
		locations := f["locations"].([]any)
		if got, want := fmt.Sprint(f["location"]), fmt.Sprint(locations[0]); got != want {
			t.Errorf("%s: location %s is not the first of locations, %s", key, got, want)
		}
		if p["name"] == "lodash" {
			lodash++
			if len(locations) != 2 {
				t.Errorf("%s: %d locations, want both copies", key, len(locations))
			}
		}
	}
	if lodash == 0 {
		t.Error("no finding on lodash")
	}
}

// contractField holds every value at one path against its types.
type contractField struct {
	types    []string
	always   bool
	seen     int
	problems []string
}

func (c *contractField) check(v any, path, at string) {
	if path == "" {
		c.seen++
		if kind := jsonType(v); !slices.Contains(c.types, kind) {
			c.problems = append(c.problems, fmt.Sprintf("%s is a %s, want %v", at, kind, c.types))
		}
		return
	}
	name, rest, _ := strings.Cut(path, ".")
	name, isList := strings.CutSuffix(name, "[]")
	object, ok := v.(map[string]any)
	if !ok {
		c.problems = append(c.problems, fmt.Sprintf("%s is a %s, want an object", at, jsonType(v)))
		return
	}
	child, present := object[name]
	switch {
	case !present:
		if rest == "" && c.always {
			c.problems = append(c.problems, "missing at "+at)
		}
	case isList:
		list, ok := child.([]any)
		if !ok {
			c.problems = append(c.problems, fmt.Sprintf("%s.%s is a %s, want a list", at, name, jsonType(child)))
		}
		for i, element := range list {
			c.check(element, rest, fmt.Sprintf("%s.%s[%d]", at, name, i))
		}
	default:
		c.check(child, rest, at+"."+name)
	}
}

func jsonType(v any) string {
	switch v.(type) {
	case nil:
		return "null"
	case string:
		return "string"
	case float64:
		return "number"
	case bool:
		return "bool"
	case []any:
		return "list"
	}
	return "object"
}

// scanReport runs the command and returns its JSON report.
func scanReport(t *testing.T, args ...string) map[string]any {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code := cli.Run(t.Context(), cli.Invocation{
		Args:    append([]string{"scan"}, append(args, "--format", "json", "--offline")...),
		Environ: []string{"XDG_CACHE_HOME=" + t.TempDir()},
		Stdin:   strings.NewReader(""), Stdout: &stdout, Stderr: &stderr, Version: "test",
	})
	if code != 0 {
		t.Fatalf("exit %d: %s", code, &stderr)
	}
	var report map[string]any
	if err := json.Unmarshal(stdout.Bytes(), &report); err != nil {
		t.Fatal(err)
	}
	return report
}

// contractImage writes a layout with an end-of-life Alpine, two copies of one npm
// package, a wheel, a lock file and a damaged one.
func contractImage(t *testing.T, dir string) {
	t.Helper()
	files := [][2]string{
		{"etc/os-release", "ID=alpine\nVERSION_ID=3.11.3\n"},
		{"lib/apk/db/installed", "P:libssl1.1\nV:1.1.1d-r2\nA:x86_64\no:openssl\n\n"},
		{"app/node_modules/lodash/package.json", `{"name": "lodash", "version": "4.17.15"}`},
		{"app/node_modules/x/node_modules/lodash/package.json", `{"name": "lodash", "version": "4.17.15"}`},
		{"opt/python3/site-packages/django-3.2.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: Django\nVersion: 3.2.0\n"},
		{"app/Cargo.lock", "version = 3\n\n[[package]]\nname = \"openssl\"\nversion = \"0.8.3\"\nsource = \"registry+https://github.com/rust-lang/crates.io-index\"\n"},
		{"broken/Cargo.lock", "[[package"},
	}
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, f := range files {
		if err := w.WriteHeader(&tar.Header{Name: f[0], Mode: 0o644, Size: int64(len(f[1]))}); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, f[1]); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b.Bytes())), nil })
	if err != nil {
		t.Fatal(err)
	}
	image, err := mutate.Append(empty.Image, mutate.Addendum{Layer: layer, History: v1.History{CreatedBy: "COPY . /"}})
	if err != nil {
		t.Fatal(err)
	}
	path, err := layout.Write(dir, empty.Index)
	if err != nil {
		t.Fatal(err)
	}
	if err := path.AppendImage(image); err != nil {
		t.Fatal(err)
	}
}
