// Package npm collects JavaScript packages: installed ones (package.json below
// node_modules), the lock files of npm, yarn, pnpm and bun, and libraries
// shipped as plain files (jquery-3.4.1.min.js).
//
// Left out, because no registry knows them: the root project, workspace
// members, links, and dependencies on files, URLs and git commits. An alias
// ("npm:other@1.0.0") is reported under the name it stands for.
package npm

import (
	"strings"

	"github.com/seawall-security/seawall/internal/inventory"
)

// Collectors returns the collectors of this package.
func Collectors() []inventory.Collector {
	return []inventory.Collector{Installed(), PackageLock(), Yarn(), PNPM(), Bun(), Script()}
}

// installPath returns the package name of a node_modules path:
// "node_modules/a/node_modules/@b/c" is "@b/c". ok is false for other paths.
func installPath(path string) (name string, ok bool) {
	i := strings.LastIndex(path, "node_modules/")
	if i < 0 || i > 0 && path[i-1] != '/' {
		return "", false
	}
	return path[i+len("node_modules/"):], true
}

// alias resolves a version of the form "npm:name@version".
func alias(name, version string) (string, string) {
	target, ok := strings.CutPrefix(version, "npm:")
	if !ok {
		return name, version
	}
	if i := strings.LastIndexByte(target, '@'); i > 0 {
		return target[:i], target[i+1:]
	}
	return name, target
}

// published reports whether a version or where it was resolved from is a
// registry's: it starts with a digit and names no other source.
func published(version, resolved string) bool {
	if version == "" || version[0] < '0' || version[0] > '9' {
		return false
	}
	for _, other := range []string{"git", "file:", "link:", "workspace:", "portal:", "ssh:"} {
		if strings.HasPrefix(resolved, other) {
			return false
		}
	}
	return !strings.HasPrefix(resolved, "https://codeload.github.com/")
}
