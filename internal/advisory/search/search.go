// Package search answers `db search`: what a database says of an identifier or
// of a package named by its purl.
//
// Data flows: an identifier is compared with every advisory's own and other
// identifiers; a purl becomes the ecosystems and the name it stands for, which
// are looked up, and with a version judged.
package search

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/package-url/packageurl-go"

	"github.com/seawall-security/seawall/internal/advisory"
	"github.com/seawall-security/seawall/internal/advisory/db"
	"github.com/seawall-security/seawall/internal/advisory/version"
	"github.com/seawall-security/seawall/internal/seawall"
)

// Hit is an advisory found.
type Hit struct {
	// Advisory has the statements that were asked for: all of them for an
	// identifier, those on the package for a purl.
	Advisory *advisory.Advisory `json:"advisory"`
	// Exploitation is that of the first CVE the advisory names.
	Exploitation advisory.Exploitation `json:"exploitation"`
	// Unjudged is set when the purl's version could not be compared; the statement is listed all the same.
	Unjudged string `json:"unjudged,omitempty"`
}

// Find returns what matches the query, sorted by identifier and source. No hit is no error.
func Find(r *db.Reader, query string) ([]Hit, error) {
	query = strings.TrimSpace(query)
	var hits []Hit
	var err error
	if strings.HasPrefix(query, "pkg:") {
		hits, err = byPURL(r, query)
	} else {
		hits, err = byID(r, query)
	}
	for i := range hits {
		hits[i].Exploitation = exploitation(r, hits[i].Advisory)
	}
	slices.SortStableFunc(hits, func(a, b Hit) int {
		return cmp.Or(strings.Compare(a.Advisory.ID, b.Advisory.ID), strings.Compare(a.Advisory.Source, b.Advisory.Source))
	})
	return hits, err
}

func byID(r *db.Reader, id string) ([]Hit, error) {
	if id == "" {
		return nil, fmt.Errorf("nothing to search for: %w", seawall.ErrUsage)
	}
	same := func(other string) bool { return strings.EqualFold(id, other) }
	var hits []Hit
	for a, err := range r.Select(func(a *advisory.Advisory) bool {
		return same(a.ID) || slices.ContainsFunc(a.Aliases, same) || slices.ContainsFunc(a.Upstream, same)
	}) {
		if err != nil {
			return hits, err
		}
		hits = append(hits, Hit{Advisory: a})
	}
	return hits, nil
}

func byPURL(r *db.Reader, query string) ([]Hit, error) {
	p, err := packageurl.FromString(query)
	if err != nil {
		return nil, seawall.WithHint(fmt.Errorf("%s: %w: %w", query, seawall.ErrUsage, err), "a purl looks like pkg:npm/lodash@4.17.20 or pkg:deb/debian/curl?distro=debian-12")
	}
	family, name, ok := target(&p)
	if !ok {
		return nil, fmt.Errorf("%s: no advisories are kept for purls of type %s: %w", query, p.Type, seawall.ErrUsage)
	}
	var hits []Hit
	for _, ecosystem := range ecosystems(r, family, p.Qualifiers.Map()["distro"]) {
		matches, err := r.Find(ecosystem, name)
		if err != nil {
			return hits, err
		}
		for i := range matches {
			hit, affected, err := judge(r, &matches[i], p.Version)
			if err != nil {
				return hits, err
			}
			if affected {
				hits = append(hits, hit)
			}
		}
	}
	return hits, nil
}

// judge turns a match into a hit; false when the version is known not to be affected.
func judge(r *db.Reader, m *advisory.Match, installed string) (Hit, bool, error) {
	a, err := r.Advisory(m.Advisory)
	if err != nil {
		return Hit{}, false, err
	}
	one := *a
	one.Affected = []advisory.Affected{*m.Affected}
	hit := Hit{Advisory: &one}
	if installed == "" {
		return hit, true, nil
	}
	if m.Affected.Unaffected {
		return hit, false, nil
	}
	v, err := version.Parse(m.Affected.Ecosystem, installed)
	if err == nil {
		var affected bool
		if affected, err = v.Affected(m.Affected); err == nil {
			return hit, affected, nil
		}
	}
	hit.Unjudged = err.Error()
	return hit, true, nil
}

func exploitation(r *db.Reader, a *advisory.Advisory) advisory.Exploitation {
	for _, id := range slices.Concat([]string{a.ID}, a.Aliases, a.Upstream) {
		if strings.HasPrefix(id, "CVE-") {
			return r.Exploitation(id)
		}
	}
	return advisory.Exploitation{}
}

// target maps a purl to the ecosystem's family and the package's name in it.
func target(p *packageurl.PackageURL) (family, name string, ok bool) {
	joined := func(separator string) string {
		if p.Namespace == "" {
			return p.Name
		}
		return p.Namespace + separator + p.Name
	}
	switch p.Type {
	case "npm":
		return "npm", joined("/"), true
	case "pypi":
		return "PyPI", p.Name, true
	case "golang":
		return "Go", joined("/"), true
	case "maven":
		return "Maven", joined(":"), true
	case "gem":
		return "RubyGems", p.Name, true
	case "cargo":
		return "crates.io", p.Name, true
	case "composer":
		return "Packagist", joined("/"), true
	case "nuget":
		return "NuGet", p.Name, true
	case "pub":
		return "Pub", p.Name, true
	case "swift":
		return "SwiftURL", joined("/"), true
	case "cocoapods":
		return "CocoaPods", p.Name, true
	case "hex":
		return "Hex", joined("/"), true
	case "conan":
		return "ConanCenter", p.Name, true
	case "julia":
		return "Julia", p.Name, true
	case "cran":
		return "CRAN", p.Name, true
	case "githubactions":
		return "GitHub Actions", joined("/"), true
	case "bitnami":
		return "Bitnami", p.Name, true
	case "generic":
		return "generic", p.Name, true
	case "deb", "rpm", "apk":
		family, ok := distribution(p.Namespace)
		return family, p.Name, ok
	}
	return "", "", false
}

// distribution maps a purl's namespace to the family of its ecosystems.
func distribution(namespace string) (string, bool) {
	switch strings.ToLower(namespace) {
	case "debian":
		return "Debian", true
	case "ubuntu":
		return "Ubuntu", true
	case "alpine":
		return "Alpine", true
	case "wolfi":
		return "Wolfi", true
	case "chainguard":
		return "Chainguard", true
	case "redhat", "rhel":
		return "Red Hat", true
	case "centos":
		return "CentOS", true
	case "almalinux":
		return "AlmaLinux", true
	case "rocky", "rockylinux":
		return "Rocky Linux", true
	case "ol", "oraclelinux":
		return "Oracle Linux", true
	case "amzn", "amazon":
		return "Amazon Linux", true
	case "fedora":
		return "Fedora", true
	case "sles", "suse":
		return "SUSE", true
	case "opensuse":
		return "openSUSE", true
	case "photon":
		return "Photon OS", true
	case "azurelinux", "mariner":
		return "Azure Linux", true
	}
	return "", false
}

// ecosystems lists the ecosystems of a family the database has; distro
// ("debian-12", "alpine-3.18.4") narrows them to its release.
func ecosystems(r *db.Reader, family, distro string) []string {
	release := distro[strings.LastIndexByte(distro, '-')+1:]
	if distro == "" {
		release = ""
	}
	var list []string
	for _, e := range r.Ecosystems() {
		name, has, _ := strings.Cut(e.Name, ":")
		if name != family {
			continue
		}
		if has = strings.TrimPrefix(has, "v"); release == "" || has == "" || release == has || strings.HasPrefix(release, has+".") {
			list = append(list, e.Name)
		}
	}
	return list
}
