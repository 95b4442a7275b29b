// Package all lists every collector, so that only one place knows them.
package all

import (
	"slices"

	"github.com/seawall-security/seawall/internal/inventory"
	"github.com/seawall-security/seawall/internal/inventory/binary"
	"github.com/seawall-security/seawall/internal/inventory/java"
	"github.com/seawall-security/seawall/internal/inventory/langpkg/gomod"
	"github.com/seawall-security/seawall/internal/inventory/langpkg/npm"
	"github.com/seawall-security/seawall/internal/inventory/langpkg/pypi"
	"github.com/seawall-security/seawall/internal/inventory/ospkg"
)

// Collectors returns every collector in the order their joiners run:
// operating-system packages first, because they own files others find.
func Collectors() []inventory.Collector {
	return slices.Concat(
		ospkg.Collectors(),
		binary.Collectors(),
		java.Collectors(),
		npm.Collectors(),
		pypi.Collectors(),
		gomod.Collectors(),
	)
}
