// Package julia collects the Julia packages of Manifest.toml. Left out are
// packages of Julia itself (no version), and those from a path or repository.
package julia

import (
	"bytes"
	"strings"

	"github.com/seawall-security/seawall/internal/inventory"
	"github.com/seawall-security/seawall/internal/inventory/langpkg"
)

// Collectors returns the collectors of this package.
func Collectors() []inventory.Collector { return []inventory.Collector{Manifest()} }

// Manifest collects Manifest.toml, JuliaManifest.toml and the ones named by a
// Julia version (Manifest-v1.11.toml). Format 1 has tables [[Name]] at the top,
// format 2 [[deps.Name]].
func Manifest() inventory.Collector {
	return &langpkg.Format{ID: "language/julia-manifest", Rev: 1, Wanted: true, Parse: parse, Match: func(p string) bool {
		if !strings.HasSuffix(p, ".toml") {
			return false
		}
		base := langpkg.Base(p)
		return base == "Manifest.toml" || base == "JuliaManifest.toml" || strings.HasPrefix(base, "Manifest-v")
	}}
}

func parse(data []byte, out *langpkg.List) error {
	var doc map[string]any
	err := langpkg.TOML(data, &doc)
	seen := map[string]int{}
	for n, line := range langpkg.Lines(data) {
		header, ok := bytes.CutPrefix(bytes.TrimSpace(line), []byte("[["))
		if !ok {
			continue
		}
		path := strings.TrimSuffix(string(header), "]]")
		name, deps := strings.CutPrefix(path, "deps.")
		tables := doc
		if deps {
			tables, _ = doc["deps"].(map[string]any)
		}
		entries, _ := tables[name].([]any)
		if seen[path]++; seen[path] > len(entries) {
			continue
		}
		entry, _ := entries[seen[path]-1].(map[string]any)
		version, uuid := text(entry, "version"), text(entry, "uuid")
		if version == "" || uuid == "" || text(entry, "path") != "" || text(entry, "repo-url") != "" {
			continue
		}
		out.Declared(langpkg.Julia(), langpkg.Dependency{Name: name, Version: version, Line: n, Qualifiers: map[string]string{"uuid": uuid}})
	}
	return err
}

func text(table map[string]any, key string) string {
	s, _ := table[key].(string)
	return s
}
