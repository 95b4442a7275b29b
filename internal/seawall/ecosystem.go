package seawall

import "strings"

// Ecosystem returns the name the distribution's packages and advisories go by,
// in OSV spelling with the release where the distribution has releases:
// "Debian:12", "Ubuntu:22.04", "Alpine:v3.18", "Red Hat:9", "Wolfi". A
// distribution that is not known keeps its own name and version ("Linux
// Mint:21"); the zero OS is "Linux".
//
// ID decides, Version is VERSION_ID, and Name (PRETTY_NAME) tells CentOS Stream
// from CentOS and names unknown distributions.
func (o OS) Ecosystem() string {
	version := o.Version
	switch o.ID {
	case "":
		return "Linux"
	case "debian":
		return release("Debian", major(version), "sid")
	case "ubuntu":
		return release("Ubuntu", firstParts(version, 2), "")
	case "alpine":
		return alpine(version)
	case "wolfi":
		return "Wolfi"
	case "chainguard":
		return "Chainguard"
	case "arch":
		return "Arch"
	case "gentoo":
		return "Gentoo"
	case "rhel":
		return release("Red Hat", major(version), "")
	case "centos":
		if strings.Contains(o.Name, "Stream") {
			return release("CentOS Stream", major(version), "")
		}
		return release("CentOS", major(version), "")
	case "rocky":
		return release("Rocky Linux", major(version), "")
	case "almalinux":
		return release("AlmaLinux", major(version), "")
	case "ol":
		return release("Oracle Linux", major(version), "")
	case "fedora":
		return release("Fedora", major(version), "rawhide")
	case "amzn":
		// The first Amazon Linux had dates for releases: 2018.03.
		if strings.Contains(version, ".") {
			return "Amazon Linux:1"
		}
		return release("Amazon Linux", version, "")
	case "photon":
		return release("Photon OS", firstParts(version, 2), "")
	case "mariner", "azurelinux":
		return release("Azure Linux", firstParts(version, 2), "")
	}
	if strings.HasPrefix(o.ID, "sle") || strings.HasPrefix(o.ID, "sl-") ||
		strings.HasPrefix(o.ID, "suse") || strings.HasPrefix(o.ID, "opensuse") {
		return o.suse()
	}
	return o.ownName()
}

// suse names the SUSE family. SUSE Linux Enterprise Micro 5.x is built from the
// service packs of SUSE Linux Enterprise 15 and is judged by their advisories.
func (o OS) suse() string {
	switch o.ID {
	case "opensuse-tumbleweed", "opensuse-microos":
		return "openSUSE:Tumbleweed"
	case "opensuse-leap", "opensuse":
		return release("openSUSE", o.Version, "")
	case "sle-micro", "sle_micro", "suse-microos", "sle-micro-rancher":
		switch o.Version {
		case "5.1", "5.2":
			return "SUSE:15.3"
		case "5.3", "5.4":
			return "SUSE:15.4"
		case "5.5":
			return "SUSE:15.5"
		}
		return release("SUSE Linux Micro", o.Version, "")
	case "sl-micro":
		return release("SUSE Linux Micro", o.Version, "")
	case "sles", "sled", "sles_sap", "sle_hpc":
		return release("SUSE", o.Version, "")
	}
	return o.ownName()
}

// ownName is the distribution's own name without the version that PRETTY_NAME
// appends, then its version.
func (o OS) ownName() string {
	name := o.Name
	if o.Version != "" {
		name, _, _ = strings.Cut(name, o.Version)
	}
	name, _, _ = strings.Cut(name, "(")
	name = strings.TrimSpace(strings.ReplaceAll(name, ":", " "))
	if name == "" {
		name = o.ID
	}
	return release(name, o.Version, "")
}

// alpine writes a release as the secdb does: "v3.18". Development snapshots
// ("3.21.0_alpha20240923") and edge have no release.
func alpine(version string) string {
	if version == "" || strings.Contains(version, "_alpha") || version == "edge" {
		return "Alpine:edge"
	}
	return "Alpine:v" + firstParts(version, 2)
}

// release joins a name and a version; rolling is the version to say when there is none.
func release(name, version, rolling string) string {
	if version == "" {
		version = rolling
	}
	if version == "" {
		return name
	}
	return name + ":" + version
}

func major(version string) string { return firstParts(version, 1) }

// firstParts keeps the first n dot-separated parts.
func firstParts(version string, n int) string {
	end := 0
	for ; n > 0; n-- {
		dot := strings.IndexByte(version[end:], '.')
		if dot < 0 {
			return version
		}
		end += dot + 1
	}
	return version[:end-1]
}
