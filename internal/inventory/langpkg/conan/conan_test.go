package conan

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seawall-security/seawall/internal/inventory/langpkg/langpkgtest"
)

const v1 = `{
 "graph_lock": {
  "nodes": {
   "0": {"path": "conanfile.txt", "ref": "app/1.0", "requires": ["1"]},
   "1": {"ref": "zlib/1.2.11#514b772abf9c36ad9be48b84cfc6fdc2", "package_id": "01", "context": "host"},
   "2": {
    "ref": "cmake/3.25.0", "context": "build"
   },
   "3": {"ref": null}
  },
  "revisions_enabled": true
 },
 "version": "0.4"
}`

const v2 = `{
    "version": "0.5",
    "requires": [
        "zlib/1.2.13#e377bee636333ae348d51ca90874e353%1678880487.556",
        "openssl/3.1.0@corp/stable#01",
        "unlocked/[>=1.0]"
    ],
    "build_requires": [
        "cmake/3.25.0"
    ]
}`

func TestLock(t *testing.T) {
	for text, want := range map[string][]string{
		v1: {"zlib 1.2.11 :5", "cmake 3.25.0 :6 dev"},
		v2: {"zlib 1.2.13 :4", "openssl 3.1.0 :5", "cmake 3.25.0 :9 dev"},
	} {
		if diff := cmp.Diff(want, langpkgtest.Rows(t, Lock(), true, "conan.lock", text)); diff != "" {
			t.Error(diff)
		}
	}
}

func FuzzLock(f *testing.F) { langpkgtest.Fuzz(f, Lock(), "conan.lock", v1, v2) }
