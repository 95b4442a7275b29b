package npm

import (
	"strings"

	"github.com/seawall-security/seawall/internal/inventory"
	"github.com/seawall-security/seawall/internal/inventory/langpkg"
)

// Installed collects package.json files of installed packages. One without
// name or version only configures a directory and is left out.
func Installed() inventory.Collector {
	return &langpkg.Format{ID: "language/npm-installed", Rev: 1, Match: isInstalled, Parse: parseInstalled}
}

// isInstalled takes package.json only where packages are installed, so that a
// project's own manifest is not mistaken for a package: below node_modules,
// where Debian keeps its modules, and where Node.js images keep yarn.
func isInstalled(p string) bool {
	if !strings.HasSuffix(p, "/package.json") {
		return false
	}
	return strings.Contains(p, "node_modules/") ||
		strings.HasPrefix(p, "usr/share/nodejs/") || strings.HasPrefix(p, "usr/lib/nodejs/") ||
		strings.HasPrefix(p, "opt/yarn") && strings.Count(p, "/") == 2
}

func parseInstalled(data []byte, out *langpkg.List) error {
	var d langpkg.Dependency
	j := langpkg.NewJSON(data)
	found := 0
	j.Object(func(key []byte) {
		switch string(key) {
		case "name":
			d.Name = j.String()
		case "version":
			d.Version = j.String()
		case "license":
			d.Licenses = j.License()
		case "licenses":
			d.Licenses = append(d.Licenses, j.License()...)
		default:
			return
		}
		if found++; found == 3 {
			j.Stop()
		}
	})
	if strings.HasSuffix(out.Path, "node_modules/package.json") {
		return j.Err()
	}
	if d.Version != "" {
		d.Version = strings.TrimPrefix(strings.TrimSpace(d.Version), "v")
		out.Installed(langpkg.NPM(), d)
	}
	return j.Err()
}
