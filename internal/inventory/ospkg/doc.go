// Package ospkg finds the operating-system packages of an asset, the
// distribution they belong to, and the files they own.
//
// Data flows in two steps. Collectors read one database file each and emit raw
// facts: packages of Kind "os" whose Ecosystem is empty and whose PURL is only
// its type ("pkg:deb/"), the owned paths that another collector may find a
// package in (FileFact with Owner), and the os-release values (ConfigFact).
// The joiner then sees all of them merged: it names the distribution
// (Asset.OS), completes Ecosystem and PURL of every package, and marks the
// language packages and binaries that an operating-system package installed
// (Package.Owner), so that they are judged by the distribution's advisories.
//
// Databases: dpkg (also the status.d of distroless images) and opkg, apk, rpm
// (SQLite, NDB and BerkeleyDB files read by package rpmdb), pacman and portage,
// and what images without a database have instead: Azure Linux's manifest,
// chisel's, Bottlerocket's.
package ospkg

import "github.com/seawall-security/seawall/internal/inventory"

// Kind is the Package.Kind of everything this package finds.
const Kind = "os"

// Collectors returns the collectors of this package; the first one joins.
func Collectors() []inventory.Collector {
	return []inventory.Collector{
		Release{},
		Dpkg{},
		Apk{},
		Rpm{},
		Pacman{},
		Portage{},
		Chisel{},
		Bottlerocket{},
	}
}
