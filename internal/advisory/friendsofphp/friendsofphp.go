// Package friendsofphp imports the PHP Security Advisories Database
// (https://github.com/FriendsOfPHP/security-advisories), one YAML file per advisory.
//
// Data flows: each branch's constraint list -> a version set; the union over the
// branches -> ranges of the Composer package the file names.
package friendsofphp

import (
	"context"
	"fmt"
	"io"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/seawall-security/seawall/internal/advisory"
	"github.com/seawall-security/seawall/internal/advisory/document"
	"github.com/seawall-security/seawall/internal/advisory/version"
	"github.com/seawall-security/seawall/internal/seawall"
)

// Importer reads one advisory.
type Importer struct{}

type entry struct {
	Title     document.Word     `yaml:"title"`
	Link      document.Word     `yaml:"link"`
	CVE       document.Word     `yaml:"cve"`
	Branches  map[string]branch `yaml:"branches"`
	Reference string            `yaml:"reference"`
}

type branch struct {
	Time     document.Word  `yaml:"time"`
	Versions document.Words `yaml:"versions"`
}

const scheme = "composer://"

// Name implements advisory.Importer.
func (Importer) Name() string { return "friendsofphp" }

// Recognizes implements advisory.Importer.
func (Importer) Recognizes(_ string, head []byte) bool {
	return !document.IsJSON(head) && document.Has(head, "title", "branches", "reference")
}

// Import implements advisory.Importer.
func (Importer) Import(_ context.Context, name string, r io.Reader, emit func(advisory.Record) error) error {
	var e entry
	if err := document.Decode(r, document.MaxSize, &e); err != nil {
		return err
	}
	pkg, ok := strings.CutPrefix(e.Reference, scheme)
	if !ok || pkg == "" {
		return fmt.Errorf("reference %q does not start with %s: %w", e.Reference, scheme, seawall.ErrCorrupt)
	}
	if len(e.Branches) == 0 {
		return fmt.Errorf("no branches: %w", seawall.ErrCorrupt)
	}
	affected := version.None(version.Packagist)
	var published, fixedAt string
	for _, name := range slices.Sorted(maps.Keys(e.Branches)) {
		b := e.Branches[name]
		set, err := version.ParseComposer(strings.Join(b.Versions, ", "))
		if err != nil {
			return fmt.Errorf("branch %s: %w: %w", name, seawall.ErrCorrupt, err)
		}
		affected = affected.Union(set)
		if at := document.Time(string(b.Time)); at != "" {
			if published == "" || at < published {
				published = at
			}
			fixedAt = max(fixedAt, at)
		}
	}
	a := &advisory.Advisory{
		ID:      identifier(string(e.CVE), pkg, name),
		Source:  "friendsofphp",
		Summary: string(e.Title), Published: published, Modified: fixedAt,
	}
	if e.Link != "" {
		a.References = []string{string(e.Link)}
	}
	ranges := affected.Ranges()
	if len(ranges) == 0 {
		return fmt.Errorf("its branches hold no version: %w", seawall.ErrCorrupt)
	}
	a.Affected = []advisory.Affected{{
		Ecosystem: "Packagist", Name: advisory.Canonical("Packagist", pkg),
		Ranges: ranges, State: advisory.StateOf(ranges), FixedAt: published,
	}}
	return emit(advisory.Record{Advisory: a})
}

// identifier is the CVE, or where none was given the database's own name of the
// entry: the package and the file.
func identifier(cve, pkg, file string) string {
	if strings.HasPrefix(cve, "CVE-") {
		return strings.TrimSpace(cve)
	}
	return "FriendsOfPHP/" + pkg + "/" + strings.TrimSuffix(path.Base(file), path.Ext(file))
}
