// Package rubygems collects Ruby gems: installed ones (specifications/*.gemspec)
// and those of Gemfile.lock. Left out are gems from git and paths.
package rubygems

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/seawall-security/seawall/internal/inventory"
	"github.com/seawall-security/seawall/internal/inventory/langpkg"
	"github.com/seawall-security/seawall/internal/seawall"
)

// Collectors returns the collectors of this package.
func Collectors() []inventory.Collector { return []inventory.Collector{Installed(), Lock()} }

// Installed collects the specification that RubyGems writes for an installed
// gem, which is Ruby code of a fixed form:
//
//	s.name = "rake".freeze
//	s.version = "13.0.6"
//	s.licenses = ["MIT".freeze]
func Installed() inventory.Collector {
	return &langpkg.Format{ID: "language/gem-installed", Rev: 1, Parse: parseGemspec, Match: func(p string) bool {
		return strings.HasSuffix(p, ".gemspec") && strings.Contains(p, "specifications/")
	}}
}

func parseGemspec(data []byte, out *langpkg.List) error {
	var d langpkg.Dependency
	for _, line := range langpkg.Lines(data) {
		line = bytes.TrimSpace(line)
		dot := bytes.IndexByte(line, '.') // the variable has any name
		if dot < 0 {
			continue
		}
		field, value, ok := bytes.Cut(line[dot+1:], []byte("="))
		if !ok {
			continue
		}
		switch string(bytes.TrimSpace(field)) {
		case "name":
			d.Name = first(d.Name, literals(value))
		case "version": // also Gem::Version.new("1.0")
			d.Version = first(d.Version, literals(value))
		case "license", "licenses":
			d.Licenses = literals(value)
		}
		if d.Name != "" && d.Version != "" && d.Licenses != nil {
			break
		}
	}
	if d.Name == "" || d.Version == "" {
		return fmt.Errorf("%w: no literal name and version in the specification", seawall.ErrCorrupt)
	}
	out.Installed(langpkg.RubyGems(), d)
	return nil
}

// first keeps what is known, else takes the first of the literals.
func first(known string, literals []string) string {
	if known != "" || len(literals) == 0 {
		return known
	}
	return literals[0]
}

// literals returns the string literals of a line of Ruby: "a", 'a', %q{a}.
func literals(code []byte) (all []string) {
	for len(code) > 0 {
		i := bytes.IndexAny(code, `"'%`)
		if i < 0 {
			return all
		}
		quote := code[i : i+1]
		code = code[i+1:]
		if quote[0] == '%' {
			var ok bool
			if code, ok = bytes.CutPrefix(code, []byte("q{")); !ok {
				continue
			}
			quote = []byte("}")
		}
		text, rest, ok := bytes.Cut(code, quote)
		if !ok {
			return all
		}
		all = append(all, string(text))
		code = rest
	}
	return all
}

// Lock collects Gemfile.lock (gems.locked). Only the section GEM lists gems of
// a registry; in it "    name (version)" is a gem, one indented deeper what it
// needs. It does not say which gems are for development only.
func Lock() inventory.Collector {
	return &langpkg.Format{ID: "language/gem-lock", Rev: 1, Wanted: true, Parse: parseLock, Match: langpkg.Named("Gemfile.lock", "gems.locked")}
}

func parseLock(data []byte, out *langpkg.List) error {
	registry := false
	seen := map[string]bool{}
	for n, line := range langpkg.Lines(data) {
		if len(line) > 0 && line[0] != ' ' {
			registry = string(line) == "GEM"
			continue
		}
		entry, ok := bytes.CutPrefix(line, []byte("    "))
		if !registry || !ok || len(entry) == 0 || entry[0] == ' ' {
			continue
		}
		name, rest, _ := strings.Cut(string(entry), " (")
		version, _, ok := strings.Cut(rest, ")")
		if !ok {
			return fmt.Errorf("line %d: %w: want a name and a version in parentheses", n, seawall.ErrCorrupt)
		}
		version, _, _ = strings.Cut(version, "-") // the platform of a binary gem
		if id := name + " " + version; !seen[id] {
			seen[id] = true
			out.Declared(langpkg.RubyGems(), langpkg.Dependency{Name: name, Version: version, Line: n})
		}
	}
	return nil
}
