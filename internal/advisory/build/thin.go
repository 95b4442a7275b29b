package build

import (
	"github.com/seawall-security/seawall/internal/advisory"
	"github.com/seawall-security/seawall/internal/advisory/version"
)

// outsideRanges keeps of the enumerated versions those no range holds: the
// others say nothing more, and databases enumerate every release there ever was.
// A version its ecosystem's order does not understand stays.
func outsideRanges(a *advisory.Affected) {
	if len(a.Ranges) == 0 || len(a.Versions) == 0 {
		return
	}
	ranges := *a
	ranges.Versions = nil
	var rest []string
	for _, text := range a.Versions {
		v, err := version.Parse(a.Ecosystem, text)
		if err == nil {
			if inside, err := v.Affected(&ranges); err == nil && inside {
				continue
			}
		}
		rest = append(rest, text)
	}
	a.Versions = rest
}
