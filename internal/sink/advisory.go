package sink

import (
	"net/url"
	"strings"
)

// AdvisoryURL is the page that describes a vulnerability, by the database its
// identifier belongs to; "" for identifiers that are not vulnerabilities'.
func AdvisoryURL(id string) string {
	prefix, _, ok := strings.Cut(id, "-")
	if !ok {
		return ""
	}
	page := url.PathEscape(id)
	switch prefix {
	case "CVE":
		return "https://nvd.nist.gov/vuln/detail/" + page
	case "GHSA":
		return "https://github.com/advisories/" + page
	case "GO":
		return "https://pkg.go.dev/vuln/" + page
	case "RUSTSEC":
		return "https://rustsec.org/advisories/" + page
	case "RHSA", "RHBA", "RHEA":
		return "https://access.redhat.com/errata/" + page
	case "DSA", "DLA":
		return "https://security-tracker.debian.org/tracker/" + page
	case "USN":
		return "https://ubuntu.com/security/notices/" + page
	case "ALSA", "RLSA", "ELSA", "ALAS", "PYSEC", "MAL", "BIT", "OSV", "HSEC", "RSEC", "GSD", "SUSE", "CGA":
		return "https://osv.dev/vulnerability/" + page
	}
	return ""
}

// IsWebURL tells links that are safe to offer: absolute http and https only.
func IsWebURL(s string) bool {
	u, err := url.Parse(s)
	return err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Host != ""
}
