package vuln

import (
	"fmt"
	"strings"
)

// remediation says what to install, how, and how much of the package's findings it mends.
func remediation(s *subject, target string, fixable, total int) string {
	name := s.Name
	var b strings.Builder
	fmt.Fprintf(&b, "upgrade %s to %s or later", name, target)
	switch {
	case total == 1:
	case fixable == total:
		fmt.Fprintf(&b, ": the smallest upgrade that fixes all %d findings of this package", total)
	default:
		fmt.Fprintf(&b, ": the smallest upgrade that fixes the %d of %d findings of this package with a fix", fixable, total)
	}
	if command := upgradeCommand(s, target); command != "" {
		fmt.Fprintf(&b, " (%s)", command)
	}
	return b.String()
}

// upgradeCommand is how the ecosystem upgrades one package; "" where there is no one way.
func upgradeCommand(s *subject, target string) string {
	family, _, _ := strings.Cut(s.Ecosystem, ":")
	switch family {
	case "Debian", "Ubuntu":
		return "apt-get update && apt-get install --only-upgrade " + s.Name
	case "Alpine", "Wolfi", "Chainguard":
		return "apk add --upgrade " + s.Name
	case "Red Hat", "CentOS", "CentOS Stream", "Rocky Linux", "AlmaLinux", "Oracle Linux", "Amazon Linux", "Fedora":
		return "dnf upgrade " + s.Name
	case "SUSE", "openSUSE":
		return "zypper update " + s.Name
	case "Photon OS", "Azure Linux":
		return "tdnf update " + s.Name
	case "npm":
		return "npm install " + s.Name + "@" + target
	case "PyPI":
		return "pip install '" + s.Name + ">=" + target + "'"
	case "Go":
		if s.Name == "stdlib" || s.Name == "toolchain" {
			return "rebuild with Go " + target
		}
		return "go get " + s.Name + "@v" + strings.TrimPrefix(target, "v")
	case "crates.io":
		return "cargo update -p " + s.Name + " --precise " + target
	case "RubyGems":
		return "bundle update " + s.Name
	case "Packagist":
		return "composer require " + s.Name + ":^" + target
	case "NuGet":
		return "dotnet add package " + s.Name + " --version " + target
	}
	return ""
}
