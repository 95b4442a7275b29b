// Package composer collects PHP packages: composer.lock and what composer
// records of an installation. Branches ("dev-main") have no version and are left out.
package composer

import (
	"strings"

	"github.com/seawall-security/seawall/internal/inventory"
	"github.com/seawall-security/seawall/internal/inventory/langpkg"
)

// Collectors returns the collectors of this package.
func Collectors() []inventory.Collector { return []inventory.Collector{Lock(), Installed()} }

// Lock collects composer.lock; "packages-dev" is for development only.
func Lock() inventory.Collector {
	return &langpkg.Format{ID: "language/composer-lock", Rev: 1, Wanted: true, Parse: parseLock, Match: langpkg.Named("composer.lock")}
}

// Installed collects vendor/composer/installed.json of composer 1 (an array)
// and 2 (an object that also names the development packages).
func Installed() inventory.Collector {
	return &langpkg.Format{ID: "language/composer-installed", Rev: 1, Parse: parseInstalled, Match: func(p string) bool {
		return p == "composer/installed.json" || strings.HasSuffix(p, "/composer/installed.json")
	}}
}

func parseLock(data []byte, out *langpkg.List) error {
	j := langpkg.NewJSON(data)
	j.Object(func(key []byte) {
		switch string(key) {
		case "packages", "packages-dev":
			for _, d := range readPackages(j) {
				d.Dev = string(key) == "packages-dev"
				out.Declared(langpkg.Packagist(), d)
			}
		}
	})
	return j.Err()
}

func parseInstalled(data []byte, out *langpkg.List) error {
	j := langpkg.NewJSON(data)
	var packages []langpkg.Dependency
	dev := map[string]bool{}
	if j.Peek() == '[' {
		packages = readPackages(j)
	} else {
		j.Object(func(key []byte) {
			switch string(key) {
			case "packages":
				packages = readPackages(j)
			case "dev-package-names":
				for _, name := range j.Strings() {
					dev[name] = true
				}
			}
		})
	}
	for _, d := range packages {
		d.Dev = dev[d.Name]
		out.Installed(langpkg.Packagist(), d)
	}
	return j.Err()
}

// readPackages reads an array of packages.
func readPackages(j *langpkg.JSON) (all []langpkg.Dependency) {
	j.Array(func() {
		d := langpkg.Dependency{Line: j.Line()}
		j.Object(func(key []byte) {
			switch string(key) {
			case "name":
				d.Name = j.String()
			case "version":
				d.Version = j.String()
			case "license":
				d.Licenses = j.License()
			}
		})
		if d.Version != "" && !strings.HasPrefix(d.Version, "dev-") && !strings.HasSuffix(d.Version, "-dev") {
			all = append(all, d)
		}
	})
	return all
}
