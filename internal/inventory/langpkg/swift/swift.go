// Package swift collects the Swift packages of Package.resolved. A package is
// named by its repository, "github.com/owner/repo". Left out are pins to a
// branch or commit, local packages and packages of a registry, whose
// repository the file does not tell.
package swift

import (
	"strings"

	"github.com/seawall-security/seawall/internal/inventory"
	"github.com/seawall-security/seawall/internal/inventory/langpkg"
)

// Collectors returns the collectors of this package.
func Collectors() []inventory.Collector { return []inventory.Collector{Resolved()} }

// Resolved collects Package.resolved, versions 1 to 3.
func Resolved() inventory.Collector {
	return &langpkg.Format{ID: "language/swift-resolved", Rev: 1, Wanted: true, Parse: parse, Match: langpkg.Named("Package.resolved")}
}

func parse(data []byte, out *langpkg.List) error {
	j := langpkg.NewJSON(data)
	pins := func(key []byte) {
		if string(key) == "pins" {
			j.Array(func() { out.Declared(langpkg.Swift(), pin(j)) })
		}
	}
	j.Object(func(key []byte) {
		if string(key) == "object" { // version 1 nests the pins
			j.Object(pins)
		} else {
			pins(key)
		}
	})
	return j.Err()
}

// pin reads one pin; its name stays empty where it is no release of a repository.
func pin(j *langpkg.JSON) langpkg.Dependency {
	d := langpkg.Dependency{Line: j.Line()}
	location := ""
	j.Object(func(key []byte) {
		switch string(key) {
		case "repositoryURL", "location":
			location = j.String()
		case "state":
			j.Object(func(key []byte) {
				if string(key) == "version" {
					d.Version = j.String()
				}
			})
		}
	})
	if d.Version != "" {
		d.Name = repository(location)
	}
	return d
}

// repository turns a clone URL into host/owner/repo, "" when it is none:
// "https://github.com/o/r.git", "git@github.com:o/r", "ssh://git@github.com/o/r".
func repository(location string) string {
	scheme, rest, ok := strings.Cut(location, "://")
	if ok {
		if scheme == "file" {
			return ""
		}
	} else if host, path, ok := strings.Cut(location, ":"); ok && !strings.Contains(host, "/") {
		rest = host + "/" + path
	} else {
		return ""
	}
	if i := strings.IndexByte(rest, '@'); i >= 0 && i < strings.IndexByte(rest, '/') {
		rest = rest[i+1:]
	}
	rest = strings.TrimSuffix(strings.Trim(rest, "/"), ".git")
	if strings.Count(rest, "/") < 2 {
		return ""
	}
	return rest
}
