package gomod

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seawall-security/seawall/internal/inventory/langpkg/langpkgtest"
)

const sample = `module example.com/app

go 1.22.1

toolchain go1.22.5

require (
	example.com/a v1.2.3
	example.com/b v0.0.0-20240101000000-0123456789ab // indirect
	example.com/local v1.0.0
	example.com/fork v1.0.0
	example.com/pinned v1.0.0
)

replace example.com/local => ../local

replace example.com/fork => example.com/other v1.5.0

replace example.com/pinned v1.9.9 => ../never

exclude example.com/a v1.0.0
`

func TestGoMod(t *testing.T) {
	got := langpkgtest.Rows(t, GoMod(), true, "app/go.mod", sample)
	want := []string{
		"example.com/a v1.2.3 :8",
		"example.com/b v0.0.0-20240101000000-0123456789ab :9",
		"example.com/other v1.5.0 :11",
		"example.com/pinned v1.0.0 :12",
		"stdlib 1.22.5 :5",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestToolchain(t *testing.T) {
	for text, want := range map[string][]string{
		"module m\ngo 1.21\n":                                      nil, // a language version
		"module m\ngo 1.21.0\n":                                    {"stdlib 1.21.0 :2"},
		"module m\ngo 1.21.0\ntoolchain go1.22.3-corp\n":           {"stdlib 1.22.3 :3"},
		"module m\ngo 1.21.0\ntoolchain default\n":                 {"stdlib 1.21.0 :2"},
		"module m\nfuture directive\nrequire example.com/a v1.0.0": {"example.com/a v1.0.0 :3"},
	} {
		if diff := cmp.Diff(want, langpkgtest.Rows(t, GoMod(), true, "go.mod", text)); diff != "" {
			t.Errorf("%q: %s", text, diff)
		}
	}
}

// The Go distribution on this machine, whatever its version.
func TestDistribution(t *testing.T) {
	out, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"src/go.mod", "src/cmd/go.mod"} {
		data, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(out)), path))
		if err != nil {
			t.Fatal(err)
		}
		if got := langpkgtest.Rows(t, GoMod(), true, "usr/local/go/"+path, string(data)); got != nil {
			t.Errorf("%s: got %v", path, got)
		}
	}
}

// This module's own go.mod: a real file with hundreds of lines.
func TestOwnGoMod(t *testing.T) {
	data, err := os.ReadFile("../../../../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	got := langpkgtest.Packages(t, GoMod(), "go.mod", string(data))
	for _, p := range got {
		if p.Name == "golang.org/x/mod" {
			return
		}
	}
	t.Errorf("golang.org/x/mod is not among %d packages", len(got))
}

func FuzzGoMod(f *testing.F) { langpkgtest.Fuzz(f, GoMod(), "go.mod", sample) }
