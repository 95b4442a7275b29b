package osv

import "strings"

// source names the database an entry comes from, by the prefix of its id
// (https://ossf.github.io/osv-schema/#id-modified-fields).
func source(e *entry) string {
	prefix, _, _ := strings.Cut(e.ID, "-")
	switch prefix {
	case "GO":
		return "go"
	case "PYSEC":
		return "pypi"
	case "RUSTSEC":
		return "rustsec"
	case "GHSA":
		return "ghsa"
	case "MAL":
		return "malicious-packages"
	case "BIT":
		return "bitnami"
	case "ALSA", "ALBA", "ALEA":
		return "almalinux"
	case "RLSA", "RXSA", "RLBA", "RLEA":
		return "rocky"
	case "RHSA", "RHBA", "RHEA":
		return "redhat"
	case "DSA", "DLA", "DTSA", "DEBIAN":
		return "debian"
	case "UBUNTU", "USN", "LSN":
		return "ubuntu"
	case "ALPINE":
		return "alpine"
	case "CGA":
		return "chainguard"
	case "SUSE", "openSUSE":
		return "suse"
	case "AZL":
		return "azure-linux"
	case "OSV":
		return "oss-fuzz"
	case "PSF":
		return "psf"
	case "RSEC":
		return "r-consortium"
	case "CVE":
		return cveSource(e)
	case "":
		return "osv"
	}
	return strings.ToLower(prefix)
}

// cveSource: feeds whose entries carry plain CVE ids tell themselves by their ecosystem.
func cveSource(e *entry) string {
	for _, a := range e.Affected {
		if strings.EqualFold(a.Package.Ecosystem, "kubernetes") {
			return "kubernetes"
		}
	}
	return "cve"
}

// isErratum: ids of vendor updates that mend CVEs, in contrast to ids that name a vulnerability.
func isErratum(id string) bool {
	prefix, _, _ := strings.Cut(id, "-")
	switch prefix {
	case "ALSA", "ALBA", "ALEA", "RLSA", "RXSA", "RLBA", "RLEA", "RHSA", "RHBA", "RHEA",
		"DSA", "DLA", "DTSA", "USN", "LSN", "SUSE", "openSUSE", "ELSA", "ALAS", "MGASA", "OESA", "DEBIAN", "UBUNTU", "ALPINE":
		return true
	}
	return false
}

// isSecurity: of the errata, those that are not bug fixes or enhancements.
func isSecurity(id string) bool {
	for _, prefix := range [...]string{"ALBA", "ALEA", "RLBA", "RLEA", "RHBA", "RHEA"} {
		if strings.HasPrefix(id, prefix) {
			return false
		}
	}
	return true
}
