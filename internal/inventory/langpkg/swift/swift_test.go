package swift

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seawall-security/seawall/internal/inventory/langpkg/langpkgtest"
)

const v1 = `{
  "object": {
    "pins": [
      {
        "package": "Alamofire",
        "repositoryURL": "https://github.com/Alamofire/Alamofire.git",
        "state": { "branch": null, "revision": "01", "version": "5.8.0" }
      },
      {
        "package": "Branch",
        "repositoryURL": "git@github.com:o/branch.git",
        "state": { "branch": "main", "revision": "01", "version": null }
      }
    ]
  },
  "version": 1
}`

const v3 = `{
  "originHash" : "00",
  "pins" : [
    {
      "identity" : "swift-nio",
      "kind" : "remoteSourceControl",
      "location" : "git@github.com:apple/Swift-NIO.git",
      "state" : { "revision" : "01", "version" : "2.62.0" }
    },
    {
      "identity" : "ssh", "kind" : "remoteSourceControl", "location" : "ssh://git@example.com/o/r",
      "state" : { "version" : "1.0.0" }
    },
    {
      "identity" : "mona.linkedlist", "kind" : "registry", "location" : "",
      "state" : { "version" : "1.2.0" }
    },
    {
      "identity" : "local", "kind" : "localSourceControl", "location" : "/home/me/local",
      "state" : { "version" : "1.0.0" }
    }
  ],
  "version" : 3
}`

func TestResolved(t *testing.T) {
	for text, want := range map[string][]string{
		v1: {"github.com/alamofire/alamofire 5.8.0 :4"},
		v3: {"github.com/apple/swift-nio 2.62.0 :4", "example.com/o/r 1.0.0 :10"},
	} {
		if diff := cmp.Diff(want, langpkgtest.Rows(t, Resolved(), true, "Package.resolved", text)); diff != "" {
			t.Error(diff)
		}
	}
	got := langpkgtest.Packages(t, Resolved(), "Package.resolved", v3)[0].PURL
	if want := "pkg:swift/github.com/apple/swift-nio@2.62.0"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func FuzzResolved(f *testing.F) { langpkgtest.Fuzz(f, Resolved(), "Package.resolved", v1, v3) }
