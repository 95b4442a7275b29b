package npm

import (
	"fmt"
	"strings"

	"github.com/seawall-security/seawall/internal/inventory"
	"github.com/seawall-security/seawall/internal/inventory/langpkg"
	"github.com/seawall-security/seawall/internal/seawall"
)

// Bun collects bun.lock, the text lock file of bun 1.2 and later. The older
// binary bun.lockb is not read: it is an error that says what to do.
//
// Each member of "packages" is an array that starts with "name@version" and,
// for a package of a registry, holds the object of its dependencies third. What
// no production dependency of a workspace reaches is for development only.
func Bun() inventory.Collector {
	return &langpkg.Format{ID: "language/bun-lock", Rev: 1, Wanted: true, Parse: parseBun, Match: langpkg.Named("bun.lock", "bun.lockb")}
}

// maxNesting bounds the places looked at to resolve one dependency.
const maxNesting = 32

// bunPackage is an entry of "packages".
type bunPackage struct {
	langpkg.Dependency
	needs []string
}

func parseBun(data []byte, out *langpkg.List) error {
	if strings.HasSuffix(out.Path, "b") {
		return fmt.Errorf("%w: the binary lock file of bun before 1.2; bun install --save-text-lockfile writes one that can", seawall.ErrUnreadable)
	}
	j := langpkg.NewJSON(data)
	var roots, order []string
	packages := map[string]*bunPackage{}
	j.Object(func(key []byte) {
		switch string(key) {
		case "workspaces":
			j.Object(func([]byte) { roots = append(roots, bunNeeds(j)...) })
		case "packages":
			j.Object(func(key []byte) {
				k := string(key)
				if strings.Count(k, "/") > maxNesting {
					j.Fail("a package that is not nested so deep")
					return
				}
				packages[k] = readBunPackage(j)
				order = append(order, k)
			})
		}
	})
	production := bunProduction(roots, packages)
	for _, key := range order {
		p := packages[key]
		p.Dev = !production[key]
		if published(p.Version, "") {
			out.Declared(langpkg.NPM(), p.Dependency)
		}
	}
	return j.Err()
}

func readBunPackage(j *langpkg.JSON) *bunPackage {
	p := bunPackage{Dependency: langpkg.Dependency{Line: j.Line()}}
	first := true
	j.Array(func() {
		if first {
			first = false
			if j.Peek() != '"' {
				j.Fail("a package and its version")
				return
			}
			p.Name, p.Version, _ = cutSpecifier(j.String())
		} else if j.Peek() == '{' {
			p.needs = bunNeeds(j)
		}
	})
	return &p
}

// bunNeeds reads the names of the dependencies that production installs.
func bunNeeds(j *langpkg.JSON) (names []string) {
	j.Object(func(key []byte) {
		switch string(key) {
		case "dependencies", "optionalDependencies", "peerDependencies":
			j.Object(func(key []byte) { names = append(names, string(key)) })
		}
	})
	return names
}

// bunProduction returns the keys that the roots reach. The key of a nested copy
// is its path, "parent/child", and wins over the hoisted "child".
func bunProduction(roots []string, packages map[string]*bunPackage) map[string]bool {
	production := map[string]bool{}
	queue := roots
	for len(queue) > 0 {
		key := queue[len(queue)-1]
		queue = queue[:len(queue)-1]
		p := packages[key]
		if p == nil || production[key] {
			continue
		}
		production[key] = true
		for _, name := range p.needs {
			queue = append(queue, bunResolve(key, name, packages))
		}
	}
	return production
}

// bunResolve finds the copy of name that the package at key sees: its own, its
// parent's, and so on up to the hoisted one.
func bunResolve(key, name string, packages map[string]*bunPackage) string {
	for key != "" {
		if nested := key + "/" + name; packages[nested] != nil {
			return nested
		}
		key = key[:max(0, strings.LastIndexByte(key, '/'))]
	}
	return name
}
