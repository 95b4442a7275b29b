package update

import (
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/seawall-security/seawall/internal/seawall"
)

// Sources are the addresses feeds are fetched from. Each can be replaced, for
// a mirror or a network without the outside.
type Sources struct {
	// OSV is the base of OSV.dev's per-ecosystem archives: BASE/npm/all.zip.
	OSV string `json:"osv"`
	// KEV, EPSS, Debian (tracker JSON), Wolfi and Chainguard (security.json) and
	// NodeCore (index.json) are whole files.
	KEV        string `json:"kev"`
	EPSS       string `json:"epss"`
	Debian     string `json:"debian"`
	Wolfi      string `json:"wolfi"`
	Chainguard string `json:"chainguard"`
	NodeCore   string `json:"nodejs"`
	// Kubernetes is an archive of OSV documents, the project's own feed.
	Kubernetes string `json:"kubernetes"`
	// Alpine is the base of the secdb: BASE/v3.20/main.json.
	Alpine string `json:"alpine"`
	// RedHat is the base of the CSAF VEX documents; BASE/archive_latest.txt names the archive.
	RedHat string `json:"redhat"`
}

// DefaultSources are the addresses their publishers document.
func DefaultSources() Sources {
	return Sources{
		OSV:        "https://osv-vulnerabilities.storage.googleapis.com",
		KEV:        "https://www.cisa.gov/sites/default/files/feeds/known_exploited_vulnerabilities.json",
		EPSS:       "https://epss.empiricalsecurity.com/epss_scores-current.csv.gz",
		Debian:     "https://security-tracker.debian.org/tracker/data/json",
		Wolfi:      "https://packages.wolfi.dev/os/security.json",
		Chainguard: "https://packages.cgr.dev/chainguard/security.json",
		NodeCore:   "https://raw.githubusercontent.com/nodejs/security-wg/main/vuln/core/index.json",
		Kubernetes: "https://codeload.github.com/kubernetes-sigs/cve-feed-osv/tar.gz/refs/heads/main",
		Alpine:     "https://secdb.alpinelinux.org",
		RedHat:     "https://security.access.redhat.com/data/csaf/v2/vex",
	}
}

// feed is what is fetched and replaced as a whole.
type feed struct {
	name string
	// urls are the files it consists of.
	urls []string
	// osv is the base of an OSV ecosystem, which can be fetched in parts.
	osv string
	// pointer says the only URL is a text file that names the file to fetch.
	pointer bool
	// replaces are feeds of the starter this one supersedes.
	replaces []string
}

// plan returns the feeds for the ecosystems, sorted by name, and always KEV and
// EPSS: scores of new entries would be missing otherwise.
func plan(s Sources, ecosystems []string) ([]feed, error) {
	feeds := map[string]feed{
		"kev":  {name: "kev", urls: []string{s.KEV}},
		"epss": {name: "epss", urls: []string{s.EPSS}},
	}
	for _, e := range ecosystems {
		list, ok := s.feedsOf(e)
		if !ok {
			return nil, seawall.WithHint(fmt.Errorf("no feed covers the ecosystem %q: %w", e, seawall.ErrUsage),
				"known are "+strings.Join(Ecosystems(), ", "))
		}
		for _, f := range list {
			feeds[f.name] = f
		}
	}
	var out []feed
	for _, f := range feeds {
		out = append(out, f)
	}
	slices.SortFunc(out, func(a, b feed) int { return strings.Compare(a.name, b.name) })
	return out, nil
}

// Ecosystems lists what an update can fetch, sorted; distributions stand for all their releases.
func Ecosystems() []string {
	return []string{
		"Alpaquita", "AlmaLinux", "Alpine:RELEASE", "Azure Linux", "BellSoft Hardened Containers", "Bitnami", "CRAN", "Chainguard", "ConanCenter",
		"Debian", "GitHub Actions", "Go", "Hex", "Julia", "Kubernetes", "Mageia", "Maven", "MinimOS", "Node.js", "NuGet", "Packagist", "Pub", "PyPI", "Red Hat", "Rocky Linux", "RubyGems", "SUSE",
		"SwiftURL", "Ubuntu", "Wolfi", "crates.io", "generic", "npm", "openEuler", "openSUSE",
	}
}

// feedsOf returns the feeds of every ecosystem that is advisory.Published.
func (s Sources) feedsOf(ecosystem string) ([]feed, bool) {
	family, release, _ := strings.Cut(ecosystem, ":")
	switch family {
	case "npm", "Maven", "NuGet", "RubyGems", "Packagist", "Pub", "SwiftURL", "Hex", "ConanCenter", "Julia", "CRAN", "GitHub Actions",
		"Ubuntu", "Rocky Linux", "SUSE", "openSUSE", "Azure Linux", "openEuler", "Mageia",
		"Alpaquita", "MinimOS", "BellSoft Hardened Containers":
		return []feed{s.osvFeed(family)}, true
	case "Go":
		return []feed{s.osvFeed(family, "go")}, true
	case "PyPI":
		return []feed{s.osvFeed(family, "pypi")}, true
	case "crates.io":
		return []feed{s.osvFeed(family, "rustsec")}, true
	case "AlmaLinux":
		return []feed{s.osvFeed(family, "almalinux")}, true
	case "Bitnami", "generic":
		return []feed{s.osvFeed("Bitnami", "bitnami")}, true
	case "Debian":
		return []feed{{name: "debian", urls: []string{s.Debian}}}, true
	case "Wolfi":
		return []feed{{name: "wolfi", urls: []string{s.Wolfi}}}, true
	case "Chainguard":
		return []feed{{name: "chainguard", urls: []string{s.Chainguard}}}, true
	case "Kubernetes":
		return []feed{{name: "kubernetes", urls: []string{s.Kubernetes}}}, true
	case "Node.js":
		return []feed{{name: "nodejs", urls: []string{s.NodeCore}}}, true
	case "Red Hat", "CentOS":
		return []feed{{name: "redhat", urls: []string{s.RedHat + "/archive_latest.txt"}, pointer: true}}, true
	case "Alpine":
		if release == "" {
			return nil, false
		}
		base := s.Alpine + "/" + url.PathEscape(release)
		return []feed{{name: "alpine/" + release, urls: []string{base + "/main.json", base + "/community.json"}}}, true
	}
	return nil, false
}

func (s Sources) osvFeed(ecosystem string, replaces ...string) feed {
	base := strings.TrimSuffix(s.OSV, "/") + "/" + url.PathEscape(ecosystem)
	return feed{name: "osv/" + ecosystem, osv: base, urls: []string{base + "/all.zip"}, replaces: replaces}
}
