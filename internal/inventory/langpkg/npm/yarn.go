package npm

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/seawall-security/seawall/internal/inventory"
	"github.com/seawall-security/seawall/internal/inventory/langpkg"
	"github.com/seawall-security/seawall/internal/seawall"
)

// Yarn collects yarn.lock of yarn classic (version 1) and berry (2 and later).
// Neither says which packages are for development only.
//
// Both write entries at the left margin, "name@range, name@range:", followed by
// indented fields; classic writes `version "1.0.0"`, berry `version: 1.0.0`.
func Yarn() inventory.Collector {
	return &langpkg.Format{ID: "language/yarn-lock", Rev: 1, Wanted: true, Parse: parseYarn, Match: langpkg.Named("yarn.lock")}
}

// yarnEntry is one entry while it is read.
type yarnEntry struct {
	specifier, version   string
	resolved, resolution string // classic, berry
	line                 int
}

func parseYarn(data []byte, out *langpkg.List) error {
	var e yarnEntry
	for n, line := range langpkg.Lines(data) {
		trimmed := bytes.TrimSpace(line)
		switch {
		case len(trimmed) == 0 || trimmed[0] == '#':
		case line[0] != ' ':
			e.add(out)
			specifier, ok := bytes.CutSuffix(trimmed, []byte(":"))
			if !ok {
				return fmt.Errorf("line %d: %w: want an entry that ends in a colon", n, seawall.ErrCorrupt)
			}
			first, _, _ := strings.Cut(string(specifier), ", ")
			e = yarnEntry{specifier: strings.Trim(first, `"`), line: n}
		case len(line) > 2 && line[2] != ' ':
			switch key, value := yarnField(trimmed); key {
			case "version":
				e.version = value
			case "resolved":
				e.resolved = value
			case "resolution":
				e.resolution = value
			}
		}
	}
	e.add(out)
	return nil
}

func yarnField(line []byte) (key, value string) {
	k, v, _ := bytes.Cut(line, []byte(" "))
	return string(bytes.Trim(k, `":`)), strings.Trim(string(v), `"`)
}

// add reports an entry. A classic entry names the package in its specifier,
// possibly through an alias; berry's resolution always holds the real name:
// "@babel/core@npm:7.2.0", "local@workspace:.", "x@patch:x@npm%3A1.0.0#…".
func (e *yarnEntry) add(out *langpkg.List) {
	d := langpkg.Dependency{Version: e.version, Line: e.line}
	from := e.resolved
	if e.resolution != "" {
		name, source, _ := cutSpecifier(e.resolution)
		if !strings.HasPrefix(source, "npm:") && !strings.HasPrefix(source, "patch:") {
			return
		}
		d.Name = name
	} else {
		name, source, _ := cutSpecifier(e.specifier)
		if name == "__metadata" {
			return // of berry
		}
		var ok bool
		if source, ok = strings.CutPrefix(source, "npm:"); ok {
			if target, _, ok := cutSpecifier(source); ok {
				name = target
			}
		} else if strings.ContainsAny(source, ":/") && !strings.HasPrefix(source, "http") {
			return // git+ssh://…, file:../x, owner/repo
		}
		d.Name = name
	}
	if published(d.Version, from) {
		out.Declared(langpkg.NPM(), d)
	}
}

// cutSpecifier splits "@scope/name@rest".
func cutSpecifier(s string) (name, rest string, ok bool) {
	if len(s) < 2 {
		return s, "", false
	}
	i := strings.IndexByte(s[1:], '@')
	if i < 0 {
		return s, "", false
	}
	return s[:i+1], s[i+2:], true
}
