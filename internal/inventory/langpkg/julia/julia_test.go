package julia

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seawall-security/seawall/internal/inventory/langpkg/langpkgtest"
)

const format2 = `julia_version = "1.9.0"
manifest_format = "2.0"

[[deps.ArgTools]]
uuid = "0dad84c5-d112-42e6-8d28-ef12dabb789f"
version = "1.1.1"

[[deps.Base64]]
uuid = "2a0f44e3-6c83-55bd-87e4-b1978d98bd5f"

[[deps.Fork]]
repo-rev = "main"
repo-url = "https://github.com/o/Fork.jl"
uuid = "7876af07-990d-54b4-ab0e-23690620f79a"
version = "0.5.0"

[[deps.Same]]
uuid = "00000000-0000-0000-0000-000000000001"
version = "1.0.0"

[[deps.Same]]
uuid = "00000000-0000-0000-0000-000000000002"
version = "2.0.0"
`

const format1 = `[[ArgTools]]
uuid = "0dad84c5-d112-42e6-8d28-ef12dabb789f"
version = "1.1.1"
`

func TestManifest(t *testing.T) {
	for text, want := range map[string][]string{
		format2: {"ArgTools 1.1.1 :4", "Same 1.0.0 :17", "Same 2.0.0 :21"},
		format1: {"ArgTools 1.1.1 :1"},
		"[package]\nname = 'not Julia'\n[[package.metadata]]\nx = 1\n": nil,
	} {
		if diff := cmp.Diff(want, langpkgtest.Rows(t, Manifest(), true, "Manifest.toml", text)); diff != "" {
			t.Error(diff)
		}
	}
	got := langpkgtest.Packages(t, Manifest(), "Manifest-v1.11.toml", format1)[0].PURL
	if want := "pkg:julia/ArgTools@1.1.1?uuid=0dad84c5-d112-42e6-8d28-ef12dabb789f"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func FuzzManifest(f *testing.F) { langpkgtest.Fuzz(f, Manifest(), "Manifest.toml", format1, format2) }
