package ospkg

import (
	"bytes"
	"strings"

	"github.com/seawall-security/seawall/internal/seawall"
)

// foreign says whether a package is known to be built by someone other than
// the distribution: its advisories say nothing about such a package, even under
// the same name. Where the builder is not known, or the distribution's own
// name is not, a package counts as the distribution's.
func foreign(p *seawall.Package, os *seawall.OS) bool {
	if p.Vendor == "" || os == nil {
		return false
	}
	own := ownVendors(os.ID)
	for _, prefix := range own {
		if strings.HasPrefix(p.Vendor, prefix) {
			return false
		}
	}
	return len(own) > 0
}

// ownVendors are the beginnings of what a distribution calls itself in the
// vendor of its rpms and in the origin of its debs.
func ownVendors(id string) []string {
	switch id {
	case "debian", "ubuntu":
		return []string{"Debian", "Ubuntu", "Canonical"}
	case "rhel":
		return []string{"Red Hat"}
	case "centos":
		return []string{"CentOS", "Red Hat"}
	case "rocky":
		return []string{"Rocky"}
	case "almalinux":
		return []string{"AlmaLinux"}
	case "ol":
		return []string{"Oracle"}
	case "amzn":
		return []string{"Amazon"}
	case "fedora":
		return []string{"Fedora"}
	case "photon":
		return []string{"VMware", "Broadcom"}
	case "mariner", "azurelinux":
		return []string{"Microsoft"}
	}
	if strings.HasPrefix(id, "sle") || strings.HasPrefix(id, "sl-") || strings.HasPrefix(id, "opensuse") {
		return []string{"SUSE", "openSUSE"}
	}
	return nil
}

// publisher returns the name of a maintainer ("Docker <support@docker.com>")
// whose address is that of a firm with a package archive of its own. Debian
// packages have no vendor, and nobody maintains Debian's from these addresses.
func publisher(maintainer []byte) string {
	name, address, _ := bytes.Cut(maintainer, []byte(" <"))
	_, domain, _ := bytes.Cut(bytes.TrimSuffix(address, []byte(">")), []byte("@"))
	switch string(domain) {
	case "docker.com", "f5.com", "nginx.com", "nodesource.com", "hashicorp.com", "elastic.co", "mongodb.com",
		"grafana.com", "gitlab.com", "datadoghq.com", "percona.com", "confluent.io", "influxdata.com",
		"clickhouse.com", "oss.oracle.com", "newrelic.com":
		return string(name)
	}
	return ""
}
