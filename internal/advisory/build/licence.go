package build

// licence is that of a source as it states it; "" where it states none or has
// changed it. Sources without one are stored as facts only.
func licence(source string) string {
	switch source {
	case "go", "pypi", "ghsa", "redhat", "suse", "oss-fuzz", "psf":
		return "CC-BY-4.0"
	case "rustsec", "kev":
		return "CC0-1.0"
	case "almalinux", "nodejs":
		return "MIT"
	case "bitnami", "malicious-packages", "kubernetes", "k8s-cves", "retirejs", "r-consortium":
		return "Apache-2.0"
	case "rocky":
		return "BSD-3-Clause"
	case "rubysec":
		return "public domain"
	case "friendsofphp":
		return "Unlicense"
	case "ubuntu":
		return "CC-BY-SA-4.0"
	case "epss":
		return "free use, credit FIRST"
	}
	return ""
}

// KeepsText says whether a source's licence lets a database carry its summaries.
// Share-alike licences do not: they would bind the whole file.
func KeepsText(source string) bool {
	switch licence(source) {
	case "CC-BY-4.0", "CC0-1.0", "MIT", "Apache-2.0", "BSD-3-Clause", "public domain", "Unlicense":
		return true
	}
	return false
}
