// Package pypi collects Python packages: installed ones (wheels' METADATA, eggs'
// PKG-INFO), requirements files, and the lock files of poetry, pipenv, pdm and uv
// and the standard pylock.toml (PEP 751).
//
// Left out: the project itself, and dependencies on paths, URLs and commits.
package pypi

import (
	"strings"

	"github.com/seawall-security/seawall/internal/inventory"
)

// Collectors returns the collectors of this package.
func Collectors() []inventory.Collector {
	return []inventory.Collector{Installed(), Requirements(), Poetry(), PDM(), UV(), Pylock(), Pipenv()}
}

// development reports whether dependency groups hold no production group:
// "main" (poetry) or "default" (pdm) is production, and so is no group at all.
func development(groups []string) bool {
	for _, g := range groups {
		if g == "main" || g == "default" {
			return false
		}
	}
	return len(groups) > 0
}

// digit reports whether a version starts as versions do, with "v" or an epoch allowed.
func digit(version string) bool {
	version = strings.TrimPrefix(version, "v")
	return version != "" && '0' <= version[0] && version[0] <= '9'
}
