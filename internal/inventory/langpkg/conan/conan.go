// Package conan collects the C and C++ packages of conan.lock. Left out are the
// project itself and references without an exact version.
package conan

import (
	"strings"

	"github.com/seawall-security/seawall/internal/inventory"
	"github.com/seawall-security/seawall/internal/inventory/langpkg"
)

// Collectors returns the collectors of this package.
func Collectors() []inventory.Collector { return []inventory.Collector{Lock()} }

// Lock collects conan.lock of Conan 1 (a graph) and 2 (lists of references).
// What is needed only to build is marked as development.
func Lock() inventory.Collector {
	return &langpkg.Format{ID: "language/conan-lock", Rev: 1, Wanted: true, Parse: parse, Match: langpkg.Named("conan.lock")}
}

func parse(data []byte, out *langpkg.List) error {
	j := langpkg.NewJSON(data)
	j.Object(func(key []byte) {
		switch string(key) {
		case "requires", "build_requires", "python_requires", "config_requires":
			dev := string(key) != "requires"
			j.Array(func() {
				line := j.Line()
				add(out, j.String(), line, dev)
			})
		case "graph_lock":
			j.Object(func(key []byte) {
				if string(key) == "nodes" {
					j.Object(func([]byte) { readNode(j, out) })
				}
			})
		}
	})
	return j.Err()
}

// readNode reads a node of a Conan 1 graph. The project's own has a path.
func readNode(j *langpkg.JSON, out *langpkg.List) {
	line := j.Line()
	var ref, path, context string
	j.Object(func(key []byte) {
		switch string(key) {
		case "ref", "pref": // "pref" until format 0.3: "ref:package#revision"
			ref = j.String()
		case "path":
			path = j.String()
		case "context":
			context = j.String()
		}
	})
	if path == "" {
		add(out, ref, line, context == "build")
	}
}

// add reports a reference: name/version[@user/channel][#revision][%timestamp].
func add(out *langpkg.List, ref string, line int, dev bool) {
	if i := strings.IndexAny(ref, "@#%:"); i >= 0 {
		ref = ref[:i]
	}
	name, version, ok := strings.Cut(ref, "/")
	if ok && version != "" && !strings.ContainsAny(version, "[]<>*") {
		out.Declared(langpkg.Conan(), langpkg.Dependency{Name: name, Version: version, Line: line, Dev: dev})
	}
}
