package update

import (
	"testing"

	"github.com/seawall-security/seawall/internal/advisory"
)

// TestFeedsArePublished: what coverage tells users to fetch, an update can fetch, and nothing more.
func TestFeedsArePublished(t *testing.T) {
	ecosystems := append(Ecosystems(), "Alpine", "Alpine:v3.20", "CentOS:7", "CentOS Stream:9", "Debian:12", "Ubuntu:22.04", "Red Hat:9",
		"Oracle Linux:9", "Amazon Linux:2023", "Fedora:40", "Photon OS:4.0", "Arch", "Gentoo", "Linux", "CocoaPods", "Java", "")
	for _, e := range ecosystems {
		feeds, ok := DefaultSources().feedsOf(e)
		if ok != advisory.Published(e) {
			t.Errorf("%q: has a feed %v, Published %v", e, ok, advisory.Published(e))
		}
		for _, f := range feeds {
			if len(f.urls) == 0 || f.urls[0] == "" {
				t.Errorf("%q: feed %s has no address", e, f.name)
			}
		}
	}
}
