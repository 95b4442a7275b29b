package advisory

import (
	"path"
	"regexp"
	"strings"
	"sync"
)

// NormalizeEcosystem turns the spelling of a source ("Ubuntu:22.04:LTS",
// "Red Hat:enterprise_linux:9::appstream", "SUSE:Linux Enterprise Server 15 SP5")
// into the one packages carry ("Ubuntu:22.04", "Red Hat:9", "SUSE:15.5"). What
// it does not know stays as it is; commit histories ("GIT", "") give "".
func NormalizeEcosystem(ecosystem string) string {
	family, release, _ := strings.Cut(strings.TrimSpace(ecosystem), ":")
	switch strings.ToLower(family) {
	case "", "git":
		return ""
	case "debian":
		return withRelease("Debian", release)
	case "ubuntu":
		return withRelease("Ubuntu", ubuntuRelease(release))
	case "alpine":
		return withRelease("Alpine", release)
	case "red hat", "redhat":
		return redHat(release)
	case "almalinux":
		return withRelease("AlmaLinux", release)
	case "rocky linux":
		return withRelease("Rocky Linux", release)
	case "azure linux":
		if release != "" && !strings.Contains(release, ".") {
			release += ".0"
		}
		return withRelease("Azure Linux", release)
	case "suse":
		return withRelease("SUSE", suseRelease(release))
	case "opensuse":
		if leap, ok := strings.CutPrefix(release, "Leap "); ok && leap != "" && leap[0] >= '0' && leap[0] <= '9' {
			release = leap
		}
		return withRelease("openSUSE", release)
	}
	if name := unreleased(strings.ToLower(family)); name != "" {
		return name // a registry after the colon ("Maven:https://…") does not change the name
	}
	return strings.TrimSpace(ecosystem)
}

// unreleased returns the spelling of an ecosystem without releases, "" for others.
func unreleased(lower string) string {
	for _, name := range [...]string{
		"npm", "PyPI", "Go", "Maven", "RubyGems", "crates.io", "Packagist", "NuGet", "Pub", "SwiftURL",
		"CocoaPods", "Hex", "ConanCenter", "Julia", "CRAN", "GitHub Actions", "Bitnami", "Kubernetes",
		"Node.js", "Wolfi", "Chainguard",
	} {
		if strings.ToLower(name) == lower {
			return name
		}
	}
	return ""
}

func withRelease(family, release string) string {
	if release == "" {
		return family
	}
	return family + ":" + release
}

// ubuntuRelease drops the LTS marks: "22.04:LTS" is 22.04, "Pro:22.04:LTS" is Pro:22.04.
func ubuntuRelease(release string) string {
	return strings.ReplaceAll(release, ":LTS", "")
}

// redHat reads what follows "Red Hat:", a CPE without its vendor. Only the main
// product becomes a release; the extended-support ones (rhel_eus:9.2) ship other
// fixes and stay apart.
func redHat(cpe string) string {
	product, rest, _ := strings.Cut(cpe, ":")
	version, _, _ := strings.Cut(rest, ":")
	switch {
	case version == "":
		return withRelease("Red Hat", product)
	case product == "enterprise_linux":
		major, _, _ := strings.Cut(version, ".")
		return "Red Hat:" + major
	}
	return "Red Hat:" + product + ":" + version
}

var slesVersion = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^Linux Enterprise .*?(\d+(?:\.\d+)?)(?: SP(\d+))?(?:-\S*)?$`)
})

// suseRelease turns "Linux Enterprise Module for Basesystem 15 SP5" into "15.5".
func suseRelease(release string) string {
	m := slesVersion().FindStringSubmatch(release)
	switch {
	case m == nil:
		return release
	case m[2] == "":
		return m[1]
	}
	return m[1] + "." + m[2]
}

// Published says whether a public database holds advisories for the ecosystem
// that `seawall db update` can fetch. Others can still be built from own sources.
func Published(ecosystem string) bool {
	family, release, _ := strings.Cut(ecosystem, ":")
	switch family {
	case "npm", "Maven", "NuGet", "RubyGems", "Packagist", "Pub", "SwiftURL", "Hex", "ConanCenter", "Julia", "CRAN", "GitHub Actions",
		"Go", "PyPI", "crates.io", "Bitnami", "generic", "Node.js", "Kubernetes",
		"Debian", "Ubuntu", "Wolfi", "Chainguard", "Alpaquita", "MinimOS", "BellSoft Hardened Containers",
		"Red Hat", "CentOS", "Rocky Linux", "AlmaLinux", "SUSE", "openSUSE", "Azure Linux", "openEuler", "Mageia":
		return true
	case "Alpine":
		return release != ""
	}
	return false
}

// Canonical returns the spelling of a package name advisories are stored and
// looked up by: PEP 503 for PyPI, lower case where the registry does not tell
// cases apart, no scheme or ".git" for SwiftURL, the binary's name for
// Kubernetes components.
func Canonical(ecosystem, name string) string {
	family, _, _ := strings.Cut(ecosystem, ":")
	switch family {
	case "PyPI":
		return pep503(name)
	case "Packagist", "NuGet", "Pub", "Hex", "GitHub Actions", "Bitnami", "Wolfi", "Chainguard", "Alpine":
		return strings.ToLower(name)
	case "SwiftURL":
		name = strings.TrimPrefix(strings.TrimPrefix(strings.ToLower(name), "https://"), "http://")
		return strings.TrimSuffix(strings.TrimSuffix(name, "/"), ".git")
	case "Kubernetes":
		return kubernetesComponent(name)
	}
	return name
}

// pep503 is https://peps.python.org/pep-0503/#normalized-names.
func pep503(name string) string {
	var b strings.Builder
	b.Grow(len(name))
	run := false
	for i := 0; i < len(name); i++ {
		c := name[i]
		switch {
		case c == '-' || c == '_' || c == '.':
			if !run {
				b.WriteByte('-')
			}
			run = true
			continue
		case c >= 'A' && c <= 'Z':
			c += 'a' - 'A'
		}
		run = false
		b.WriteByte(c)
	}
	return b.String()
}

// kubernetesComponent maps the module paths of the official feed to binaries.
func kubernetesComponent(name string) string {
	switch name = path.Base(name); name {
	case "apiserver", "controller-manager":
		return "kube-" + name
	}
	return name
}
