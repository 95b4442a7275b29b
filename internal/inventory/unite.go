package inventory

import (
	"cmp"
	"slices"
	"strings"

	"github.com/seawall-security/seawall/internal/seawall"
)

// packageKey tells packages apart: what differs in any of these is judged apart.
type packageKey struct {
	name, version, ecosystem, purl, arch, module, owner string
}

func keyOf(p *seawall.Package) packageKey {
	return packageKey{p.Name, p.Version, p.Ecosystem, p.PURL, p.Arch, p.Module, p.Owner}
}

// unitePackages makes one package of all sightings of the same one, with all
// locations in order. It changes packages and returns it shortened.
func unitePackages(asset string, packages []seawall.Package) []seawall.Package {
	at := make(map[packageKey]int, len(packages))
	united := packages[:0]
	for i := range packages {
		p := &packages[i]
		p.Asset = asset
		key := keyOf(p)
		if first, seen := at[key]; seen {
			unite(&united[first], p)
			continue
		}
		at[key] = len(united)
		united = append(united, *p)
	}
	clear(packages[len(united):])
	for i := range united {
		l := united[i].Locations
		slices.SortFunc(l, compareLocations)
		united[i].Locations = slices.Compact(l)
	}
	return united
}

// unite adds a second sighting to a package. An installed one outweighs a
// declared one, a productive one a development one.
func unite(p, q *seawall.Package) {
	p.Locations = append(p.Locations, q.Locations...)
	p.Declared = p.Declared && q.Declared
	p.Dev = p.Dev && q.Dev
	if p.Source == "" {
		p.Source, p.SourceVersion = q.Source, q.SourceVersion
	}
	p.Vendor = cmp.Or(p.Vendor, q.Vendor)
	if len(p.Licenses) == 0 {
		p.Licenses = q.Licenses
	}
}

func compareLocations(a, b seawall.Location) int {
	return cmp.Or(
		strings.Compare(a.Path, b.Path),
		strings.Compare(a.Inner, b.Inner),
		cmp.Compare(a.Line, b.Line),
		strings.Compare(a.Layer, b.Layer),
		strings.Compare(a.Resource, b.Resource),
		strings.Compare(a.Field, b.Field),
	)
}
