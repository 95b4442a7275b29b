// Package all lists every collector, so that only one place knows them.
package all

import (
	"slices"

	"github.com/seawall-security/seawall/internal/inventory"
	"github.com/seawall-security/seawall/internal/inventory/binary"
	"github.com/seawall-security/seawall/internal/inventory/java"
	"github.com/seawall-security/seawall/internal/inventory/langpkg/cargo"
	"github.com/seawall-security/seawall/internal/inventory/langpkg/cocoapods"
	"github.com/seawall-security/seawall/internal/inventory/langpkg/composer"
	"github.com/seawall-security/seawall/internal/inventory/langpkg/conan"
	"github.com/seawall-security/seawall/internal/inventory/langpkg/cran"
	"github.com/seawall-security/seawall/internal/inventory/langpkg/githubactions"
	"github.com/seawall-security/seawall/internal/inventory/langpkg/gomod"
	"github.com/seawall-security/seawall/internal/inventory/langpkg/hex"
	"github.com/seawall-security/seawall/internal/inventory/langpkg/julia"
	"github.com/seawall-security/seawall/internal/inventory/langpkg/maven"
	"github.com/seawall-security/seawall/internal/inventory/langpkg/npm"
	"github.com/seawall-security/seawall/internal/inventory/langpkg/nuget"
	"github.com/seawall-security/seawall/internal/inventory/langpkg/pub"
	"github.com/seawall-security/seawall/internal/inventory/langpkg/pypi"
	"github.com/seawall-security/seawall/internal/inventory/langpkg/rubygems"
	"github.com/seawall-security/seawall/internal/inventory/langpkg/swift"
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
		maven.Collectors(),
		rubygems.Collectors(),
		cargo.Collectors(),
		composer.Collectors(),
		nuget.Collectors(),
		pub.Collectors(),
		swift.Collectors(),
		cocoapods.Collectors(),
		hex.Collectors(),
		conan.Collectors(),
		julia.Collectors(),
		cran.Collectors(),
		githubactions.Collectors(),
	)
}
