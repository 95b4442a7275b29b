// Package cargo collects the Rust crates of Cargo.lock. Left out are the
// workspace's own crates (no source) and those from git or another path.
package cargo

import (
	"strings"

	"github.com/seawall-security/seawall/internal/inventory"
	"github.com/seawall-security/seawall/internal/inventory/langpkg"
)

// Collectors returns the collectors of this package.
func Collectors() []inventory.Collector { return []inventory.Collector{Lock()} }

// Lock collects Cargo.lock. It does not say which crates are for development only.
func Lock() inventory.Collector {
	return &langpkg.Format{ID: "language/cargo-lock", Rev: 1, Wanted: true, Parse: parse, Match: langpkg.Named("Cargo.lock")}
}

func parse(data []byte, out *langpkg.List) error {
	var doc struct {
		Package []struct{ Name, Version, Source string }
	}
	err := langpkg.TOML(data, &doc)
	lines := langpkg.TOMLTables(data, "package")
	for i, p := range doc.Package {
		if strings.HasPrefix(p.Source, "registry+") || strings.HasPrefix(p.Source, "sparse+") {
			out.Declared(langpkg.Crates(), langpkg.Dependency{Name: p.Name, Version: p.Version, Line: lines.Of(i)})
		}
	}
	return err
}
