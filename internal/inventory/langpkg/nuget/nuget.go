// Package nuget collects .NET packages: what an application was published with
// (X.deps.json, also of the shared runtime), lock files, and the versions that
// project files state.
//
// Left out: projects and plain references, and versions that are ranges,
// floating ("1.*") or properties not set in the same file.
package nuget

import (
	"strings"

	"github.com/seawall-security/seawall/internal/inventory"
	"github.com/seawall-security/seawall/internal/inventory/langpkg"
)

// Collectors returns the collectors of this package.
func Collectors() []inventory.Collector {
	return []inventory.Collector{DepsJSON(), Lock(), Assets(), PackagesConfig(), Project()}
}

// DepsJSON collects X.deps.json, which lies beside a published application.
// The runtime of a self-contained one is a "runtimepack", named in advisories
// without that prefix.
func DepsJSON() inventory.Collector {
	return &langpkg.Format{
		ID: "language/nuget-deps", Rev: 1,
		Match: func(p string) bool { return strings.HasSuffix(p, ".deps.json") },
		Parse: func(data []byte, out *langpkg.List) error {
			if langpkg.NewJSON(data).Peek() == '[' {
				return nil // script bundlers use the name for a list
			}
			return libraries(data, out.Installed)
		},
	}
}

// Assets collects obj/project.assets.json, the restored graph of a project.
func Assets() inventory.Collector {
	return &langpkg.Format{
		ID: "language/nuget-assets", Rev: 1, Wanted: true,
		Match: langpkg.Named("project.assets.json"),
		Parse: func(data []byte, out *langpkg.List) error { return libraries(data, out.Declared) },
	}
}

// libraries reads "libraries": {"Name/1.2.3": {"type": "package"}}.
func libraries(data []byte, add func(langpkg.Ecosystem, langpkg.Dependency)) error {
	j := langpkg.NewJSON(data)
	j.Object(func(key []byte) {
		if string(key) != "libraries" {
			return
		}
		j.Object(func(key []byte) {
			d := langpkg.Dependency{Line: j.Line()}
			d.Name, d.Version, _ = strings.Cut(string(key), "/")
			kind := ""
			j.Object(func(key []byte) {
				if string(key) == "type" {
					kind = j.String()
				}
			})
			if d.Version == "" || kind != "package" && kind != "runtimepack" {
				return
			}
			d.Name = strings.TrimPrefix(d.Name, "runtimepack.")
			add(langpkg.NuGet(), d)
		})
	})
	return j.Err()
}

// Lock collects packages.lock.json. A package locked alike for several target
// frameworks is reported once.
func Lock() inventory.Collector {
	return &langpkg.Format{
		ID: "language/nuget-lock", Rev: 1, Wanted: true, Parse: parseLock,
		Match: func(p string) bool {
			return strings.HasSuffix(p, ".lock.json") && strings.HasPrefix(langpkg.Base(p), "packages.") // packages.PROJECT.lock.json
		},
	}
}

func parseLock(data []byte, out *langpkg.List) error {
	type id struct{ name, version string }
	seen := map[id]bool{}
	j := langpkg.NewJSON(data)
	framework := func([]byte) {
		j.Object(func(key []byte) {
			d := langpkg.Dependency{Name: string(key), Line: j.Line()}
			kind := ""
			j.Object(func(key []byte) {
				switch string(key) {
				case "type":
					kind = j.String()
				case "resolved":
					d.Version = j.String()
				}
			})
			if k := (id{d.Name, d.Version}); kind != "Project" && d.Version != "" && !seen[k] {
				seen[k] = true
				out.Declared(langpkg.NuGet(), d)
			}
		})
	}
	j.Object(func(key []byte) {
		if string(key) == "dependencies" {
			j.Object(framework)
		}
	})
	return j.Err()
}
