// Package pub collects the Dart packages of pubspec.lock. Left out are packages
// from git, paths and the SDK.
package pub

import (
	"github.com/seawall-security/seawall/internal/inventory"
	"github.com/seawall-security/seawall/internal/inventory/langpkg"
)

// Collectors returns the collectors of this package.
func Collectors() []inventory.Collector { return []inventory.Collector{Lock()} }

// Lock collects pubspec.lock. It marks direct development dependencies only;
// what those need is reported as any other.
func Lock() inventory.Collector {
	return &langpkg.Format{ID: "language/pub-lock", Rev: 1, Wanted: true, Parse: parse, Match: langpkg.Named("pubspec.lock")}
}

func parse(data []byte, out *langpkg.List) error {
	return langpkg.YAML(data, func(doc *langpkg.Node) {
		for key, entry := range doc.Get("packages").Pairs() {
			version := entry.Get("version").Text()
			if entry.Get("source").Text() != "hosted" || version == "" {
				continue
			}
			out.Declared(langpkg.Pub(), langpkg.Dependency{
				Name: key.Name, Version: version, Line: key.Line,
				Dev: entry.Get("dependency").Text() == "direct dev",
			})
		}
	})
}
