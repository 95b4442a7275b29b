package cocoapods

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seawall-security/seawall/internal/inventory/langpkg/langpkgtest"
)

const sample = `PODS:
  - Alamofire (5.8.0)
  - Firebase/Core (10.1.0):
    - Firebase/CoreOnly
    - FirebaseAnalytics (~> 10.1.0)
  - Firebase/CoreOnly (10.1.0)
  - Local (0.1.0)
  - "Name+Plus (1.0.0-beta.1)":
    - Alamofire

DEPENDENCIES:
  - Alamofire (~> 5.8)
  - Local (from "../Local")

EXTERNAL SOURCES:
  Local:
    :path: "../Local"

SPEC CHECKSUMS:
  Alamofire: '00'

COCOAPODS: 1.15.2
`

func TestLock(t *testing.T) {
	want := []string{
		"Alamofire 5.8.0 :2",
		"Firebase 10.1.0 :3",
		"Name+Plus 1.0.0-beta.1 :8",
	}
	if diff := cmp.Diff(want, langpkgtest.Rows(t, Lock(), true, "ios/Podfile.lock", sample)); diff != "" {
		t.Error(diff)
	}
}

func FuzzLock(f *testing.F) { langpkgtest.Fuzz(f, Lock(), "ios/Podfile.lock", sample) }
