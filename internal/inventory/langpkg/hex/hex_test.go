package hex

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seawall-security/seawall/internal/inventory/langpkg/langpkgtest"
)

const sample = `%{
  "cowboy": {:hex, :cowboy, "2.10.0", "ff9ffeff", [:make, :rebar3], [{:cowlib, "2.12.1", [hex: :cowlib, repo: "hexpm", optional: false]}], "hexpm", "3afdccb7"},
  "renamed": {:hex, :Plug_Crypto, "1.2.5", "918772575", [:mix], [], "hexpm", "26549a1d"},
  "fork": {:git, "https://github.com/o/fork.git", "0123", [branch: "main"]},
}
`

func TestLock(t *testing.T) {
	want := []string{
		"cowboy 2.10.0 :2",
		"plug_crypto 1.2.5 :3",
	}
	if diff := cmp.Diff(want, langpkgtest.Rows(t, Lock(), true, "mix.lock", sample)); diff != "" {
		t.Error(diff)
	}
}

func FuzzLock(f *testing.F) { langpkgtest.Fuzz(f, Lock(), "mix.lock", sample) }
