// Package secdb imports the security databases apk distributions publish:
// Alpine's per release and repository (YAML or JSON), Wolfi's and Chainguard's
// security.json.
//
// Data flows: per package, fixed version -> identifiers; turned round into one
// advisory per identifier and file, saying of each package where it is fixed.
// The version "0" means the package never was affected.
package secdb

import (
	"context"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/seawall-security/seawall/internal/advisory"
	"github.com/seawall-security/seawall/internal/advisory/document"
	"github.com/seawall-security/seawall/internal/advisory/version"
	"github.com/seawall-security/seawall/internal/seawall"
)

// Importer reads one database.
type Importer struct{}

// maxSize: Wolfi's is over 10 MB.
const maxSize = 128 << 20

type database struct {
	Distribution string        `json:"distroversion" yaml:"distroversion"`
	Repository   string        `json:"reponame" yaml:"reponame"`
	URLPrefix    string        `json:"urlprefix" yaml:"urlprefix"`
	Updated      document.Word `json:"last_update" yaml:"last_update"`
	Packages     []struct {
		Pkg struct {
			Name     string                    `json:"name" yaml:"name"`
			SecFixes map[string]document.Words `json:"secfixes" yaml:"secfixes"`
		} `json:"pkg" yaml:"pkg"`
	} `json:"packages" yaml:"packages"`
}

// Name implements advisory.Importer.
func (Importer) Name() string { return "apk-secdb" }

// Recognizes implements advisory.Importer.
func (Importer) Recognizes(_ string, head []byte) bool {
	for key := range document.Keys(head) {
		switch key {
		case "apkurl", "reponame", "urlprefix":
			return document.Has(head, "packages") || document.Has(head, "apkurl")
		}
	}
	return false
}

// Import implements advisory.Importer.
func (Importer) Import(_ context.Context, _ string, r io.Reader, emit func(advisory.Record) error) error {
	var db database
	if err := document.Decode(r, maxSize, &db); err != nil {
		return err
	}
	source, ecosystem, err := db.distribution()
	if err != nil {
		return err
	}
	fixes := map[string]map[string]string{} // identifier -> package -> lowest fixed version
	aliases := map[string][]string{}
	for n, p := range db.Packages {
		if p.Pkg.Name == "" {
			return fmt.Errorf("package %d has no name: %w", n, seawall.ErrCorrupt)
		}
		for fixed, lines := range p.Pkg.SecFixes {
			// "2.6-r0 (main)" and the like: the version is the first word.
			fixed, _, _ = strings.Cut(strings.TrimSpace(fixed), " ")
			if version.APK.Check(fixed) != nil {
				if err := emit(advisory.Record{Skipped: "fixed version apk does not understand"}); err != nil {
					return err
				}
				continue
			}
			for _, line := range lines {
				ids := identifiers(line)
				if len(ids) == 0 {
					if err := emit(advisory.Record{Skipped: "secdb line without an identifier"}); err != nil {
						return err
					}
					continue
				}
				aliases[ids[0]] = union(aliases[ids[0]], ids[1:])
				if err := lower(fixes, ids[0], p.Pkg.Name, fixed); err != nil {
					return fmt.Errorf("%s: %w: %w", p.Pkg.Name, seawall.ErrCorrupt, err)
				}
			}
		}
	}
	for _, id := range slices.Sorted(maps.Keys(fixes)) {
		a := &advisory.Advisory{ID: id, Aliases: aliases[id], Source: source}
		for _, name := range slices.Sorted(maps.Keys(fixes[id])) {
			a.Affected = append(a.Affected, affected(ecosystem, name, fixes[id][name]))
		}
		if err := emit(advisory.Record{Advisory: a}); err != nil {
			return err
		}
	}
	return emit(advisory.Record{Source: &seawall.DatabaseSource{Name: source, Updated: document.Time(string(db.Updated))}})
}

func (db *database) distribution() (source, ecosystem string, err error) {
	switch {
	case strings.Contains(db.URLPrefix, "wolfi"):
		return "wolfi", "Wolfi", nil
	case strings.Contains(db.URLPrefix, "chainguard"), strings.Contains(db.URLPrefix, "cgr.dev"):
		return "chainguard", "Chainguard", nil
	case strings.HasPrefix(db.Distribution, "v"), db.Distribution == "edge":
		return "alpine", "Alpine:" + db.Distribution, nil
	case strings.HasPrefix(db.Distribution, "edge-"):
		return "alpine", "Alpine:edge", nil
	}
	return "", "", fmt.Errorf("distroversion %q, urlprefix %q: a distribution not known here: %w", db.Distribution, db.URLPrefix, seawall.ErrCorrupt)
}

var identifier = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^[A-Za-z]+(?:[-_ ][A-Za-z0-9]+)*-[A-Za-z0-9-]+$`)
})

// identifiers splits a line: the identifiers of one vulnerability, separated by
// blanks, with remarks in parentheses. "CVE_2019-1" and "CVE 2018-1" are slips
// for CVE-…; numbers not given yet ("CVE-????-?????") are left out.
func identifiers(line string) []string {
	line, _, _ = strings.Cut(line, "(")
	line = strings.NewReplacer("CVE_", "CVE-", "CVE ", "CVE-").Replace(line)
	var ids []string
	for _, word := range strings.Fields(line) {
		if identifier().MatchString(word) && !slices.Contains(ids, word) {
			ids = append(ids, word)
		}
	}
	return ids
}

func union(list, more []string) []string {
	for _, s := range more {
		if !slices.Contains(list, s) {
			list = append(list, s)
		}
	}
	slices.Sort(list)
	return list
}

// lower notes a fix. Where a file names several versions for one vulnerability,
// each of them holds a fix, so the lowest is where being affected ends.
func lower(fixes map[string]map[string]string, id, name, fixed string) error {
	if fixes[id] == nil {
		fixes[id] = map[string]string{}
	}
	known, ok := fixes[id][name]
	if !ok {
		fixes[id][name] = fixed
		return nil
	}
	c, err := version.APK.Compare(fixed, known)
	if err == nil && c < 0 {
		fixes[id][name] = fixed
	}
	return err
}

func affected(ecosystem, name, fixed string) advisory.Affected {
	a := advisory.Affected{Ecosystem: ecosystem, Name: advisory.Canonical(ecosystem, name)}
	if fixed == "0" {
		a.Unaffected = true
		return a
	}
	a.State = seawall.StateFixed
	a.Ranges = []advisory.Range{advisory.FixedIn(advisory.RangeEcosystem, fixed)}
	return a
}
