// Package gomod collects what a Go module's go.mod asks for: its requirements,
// replacements applied, and the standard library of the toolchain it names.
package gomod

import (
	"fmt"
	"strings"

	"golang.org/x/mod/modfile"
	"golang.org/x/mod/module"

	"github.com/seawall-security/seawall/internal/inventory"
	"github.com/seawall-security/seawall/internal/inventory/langpkg"
	"github.com/seawall-security/seawall/internal/seawall"
)

// Collectors returns the collectors of this package.
func Collectors() []inventory.Collector { return []inventory.Collector{GoMod()} }

// GoMod collects go.mod. With Go 1.17 and later it lists every module the
// build needs, so go.sum, which also lists versions not built, is not read.
//
// The modules "std" and "cmd" are the Go distribution's own, which carries what
// they require and is judged as a whole; they are left out.
//
// A requirement replaced by a directory is left out; one replaced by another
// module is reported as that module. The "toolchain" line, else the "go" line
// when it names a patch release, gives the version of "stdlib": a "go 1.21"
// states a language version, not what the program is built with.
func GoMod() inventory.Collector {
	return &langpkg.Format{ID: "language/go-mod", Rev: 1, Wanted: true, Parse: parse, Match: langpkg.Named("go.mod")}
}

func parse(data []byte, out *langpkg.List) error {
	if err := langpkg.CheckTree(data); err != nil {
		return err
	}
	f, err := modfile.Parse(out.Path, data, nil)
	if err != nil { // a directive of a later Go: its requirements can still be read
		f, err = modfile.ParseLax(out.Path, data, nil)
	}
	if err != nil {
		return fmt.Errorf("%w: %s", seawall.ErrCorrupt, strings.TrimPrefix(err.Error(), out.Path+":"))
	}
	if f.Module != nil && (f.Module.Mod.Path == "std" || f.Module.Mod.Path == "cmd") {
		return nil
	}
	replaced := map[module.Version]module.Version{}
	for _, r := range f.Replace {
		replaced[r.Old] = r.New
	}
	for _, r := range f.Require {
		v := r.Mod
		if to, ok := replaced[r.Mod]; ok {
			v = to
		} else if to, ok := replaced[module.Version{Path: v.Path}]; ok {
			v = to
		}
		if v.Version != "" {
			out.Declared(langpkg.Go(), langpkg.Dependency{Name: v.Path, Version: v.Version, Line: line(r.Syntax)})
		}
	}
	if v, at := toolchain(f); v != "" {
		out.Declared(langpkg.Go(), langpkg.Dependency{Name: "stdlib", Version: v, Line: at})
	}
	return nil
}

func line(l *modfile.Line) int {
	if l == nil {
		return 0
	}
	return l.Start.Line
}

// toolchain returns the Go release a module is built with at least, without "go".
func toolchain(f *modfile.File) (version string, at int) {
	if f.Toolchain != nil {
		if v, ok := strings.CutPrefix(f.Toolchain.Name, "go"); ok {
			v, _, _ = strings.Cut(v, "-") // a custom suffix: go1.21.3-corp
			return v, line(f.Toolchain.Syntax)
		}
	}
	if f.Go != nil && strings.Count(f.Go.Version, ".") == 2 {
		return f.Go.Version, line(f.Go.Syntax)
	}
	return "", 0
}
