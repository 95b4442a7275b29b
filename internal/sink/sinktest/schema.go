package sinktest

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/sink"
)

// Module is the directory of a module this one requires; its test data is read at test time.
func Module(t testing.TB, path string) string {
	t.Helper()
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", path).Output()
	if err != nil {
		t.Fatalf("finding module %s: %v", path, err)
	}
	return strings.TrimSpace(string(out))
}

// Download fetches a module that this one does not require, for its test data,
// through the ordinary Go client.
func Download(t testing.TB, module string) string {
	t.Helper()
	cmd := exec.Command("go", "mod", "download", "-json", module)
	cmd.Dir = t.TempDir() // outside any module: go.mod stays as it is
	out, err := cmd.Output()
	if err != nil && os.Getenv("CI") != "true" {
		t.Skipf("%s cannot be fetched: %v", module, err)
	}
	var got struct{ Dir string }
	if err := json.Unmarshal(out, &got); err != nil || got.Dir == "" {
		t.Fatalf("fetching %s: %v\n%s", module, err, out)
	}
	return got.Dir
}

// Documents renders the recorded, the hostile, a large and an empty report.
func Documents(t testing.TB, open func(*bytes.Buffer) sink.Handler) map[string][]byte {
	t.Helper()
	docs := make(map[string][]byte)
	for name, r := range map[string]*seawall.Report{
		"recorded": Report(t), "hostile": Hostile(), "large": Large(200),
		"empty": {SchemaVersion: seawall.SchemaVersion, Tool: seawall.Tool{Name: "seawall", Version: "0.1.0"},
			Run:   seawall.RunTimes{ID: "1", Started: "2026-11-21T00:00:00Z", Ended: "2026-11-21T00:00:01Z"},
			Asset: &seawall.Asset{ID: "rootfs:/", Kind: seawall.AssetRootFS, Name: "/"}},
	} {
		docs[name] = Render(t, r, open)
	}
	return docs
}

// Schema compiles the JSON schema in dir/name; others of the directory resolve by file name.
func Schema(t testing.TB, dir, name string) *jsonschema.Schema {
	t.Helper()
	dir, err := filepath.Abs(dir)
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.UseLoader(sibling(dir))
	c.AssertFormat()
	s, err := c.Compile(filepath.Join(dir, name))
	if err != nil {
		t.Fatalf("compiling %s: %v", name, err)
	}
	return s
}

// sibling loads every schema from one directory by the last part of its address: nothing is fetched.
type sibling string

func (s sibling) Load(url string) (any, error) {
	name := filepath.Base(strings.TrimSuffix(url, "#"))
	if name == "jsf-0.82.schema.json" {
		name = "jsf-0.82.schemax.json" // as the CycloneDX Go module misspells it
	}
	return jsonschema.FileLoader{}.Load("file://" + filepath.Join(string(s), name))
}

// Validate checks a JSON document.
func Validate(t testing.TB, s *jsonschema.Schema, doc []byte) {
	t.Helper()
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(doc))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Validate(v); err != nil {
		t.Errorf("not valid: %v", err)
	}
}
