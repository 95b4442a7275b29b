package pypi

import (
	"bytes"
	"context"
	"path"
	"strconv"
	"strings"

	"github.com/seawall-security/seawall/internal/inventory"
	"github.com/seawall-security/seawall/internal/inventory/langpkg"
)

// Requirements collects pip requirements files: text files with "requirements"
// in their name, or in a directory of that name.
// https://pip.pypa.io/en/stable/reference/requirements-file-format/
//
// Only an exact pin ("name==1.2", "name===1.2") is a package; a range may
// install anything. Environment markers are not evaluated: the package counts.
// A file that -r includes is read as a requirements file of its own if its name
// says so; for any other name the joiner warns that it was not read.
func Requirements() inventory.Collector {
	return &requirements{langpkg.Format{ID: "language/pypi-requirements", Rev: 1, Wanted: true, Match: isRequirements, Parse: parseRequirements}}
}

type requirements struct{ langpkg.Format }

const includeKind = "pypi-requirements-include"

func isRequirements(p string) bool {
	if !strings.HasSuffix(p, ".txt") && !strings.HasSuffix(p, ".pip") && !strings.HasSuffix(p, ".in") {
		return false
	}
	base := langpkg.Base(p)
	if strings.Contains(base, "requirements") {
		return true
	}
	dir := p[:max(0, len(p)-len(base)-1)]
	return langpkg.Base(dir) == "requirements"
}

// Join implements inventory.Joiner.
func (r *requirements) Join(_ context.Context, m *inventory.Merged) error {
	rest := m.Configs[:0]
	for _, c := range m.Configs {
		if c.Kind != includeKind {
			rest = append(rest, c)
			continue
		}
		for line, included := range c.Data {
			if p := path.Join(path.Dir(c.Path), included); !isRequirements(p) {
				m.Warn(c.Path + " line " + line + " includes " + included + ", which is not read: \"requirements\" is not in its name")
			}
		}
	}
	m.Configs = rest
	return nil
}

func parseRequirements(data []byte, out *langpkg.List) error {
	includes := map[string]string{}
	var joined []byte // a requirement continued over lines ends each but the last in "\"
	start := 0
	flush := func() {
		if file, ok := include(string(joined)); ok {
			includes[strconv.Itoa(start)] = file
		} else if name, version, ok := pinned(string(joined)); ok {
			out.Declared(langpkg.PyPI(), langpkg.Dependency{Name: name, Version: version, Line: start})
		}
		joined, start = joined[:0], 0
	}
	for n, line := range langpkg.Lines(data) {
		if start == 0 {
			start = n
		}
		head, more := bytes.CutSuffix(line, []byte{'\\'})
		if joined = append(joined, head...); !more {
			flush()
		}
	}
	flush()
	if len(includes) > 0 {
		out.Config(includeKind, includes)
	}
	return nil
}

// include reads "-r FILE", "-rFILE", "--requirement FILE" and "--requirement=FILE".
func include(line string) (file string, ok bool) {
	line = strings.TrimSpace(line)
	if file, ok = strings.CutPrefix(line, "--requirement"); ok {
		file = strings.TrimPrefix(file, "=")
	} else if file, ok = strings.CutPrefix(line, "-r"); !ok {
		return "", false
	}
	file, _, _ = strings.Cut(file, " #")
	file = strings.TrimSpace(file)
	return file, file != "" && !strings.Contains(file, "://")
}

// pinned reads "name[extra]==1.2.3 ; marker --hash=… # comment".
func pinned(line string) (name, version string, ok bool) {
	line, _, _ = strings.Cut(line, " #")
	line, _, _ = strings.Cut(line, ";")
	line, _, _ = strings.Cut(line, " -")
	name, version, ok = strings.Cut(line, "==")
	if !ok || strings.HasPrefix(strings.TrimSpace(line), "#") {
		return "", "", false
	}
	name, extra, hasExtra := strings.Cut(strings.TrimSpace(name), "[")
	name = strings.TrimSpace(name)
	if hasExtra && !strings.HasSuffix(extra, "]") || !isName(name) {
		return "", "", false
	}
	version = strings.TrimSpace(strings.TrimPrefix(version, "="))
	return name, version, digit(version) && !strings.ContainsAny(version, "*, \t<>!=~")
}

// isName follows PEP 508: letters, digits and "-_." between letters or digits.
func isName(s string) bool {
	for i := range len(s) {
		c := s[i]
		alnum := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
		inner := (c == '-' || c == '_' || c == '.') && i > 0 && i < len(s)-1
		if !alnum && !inner {
			return false
		}
	}
	return s != ""
}
