package advisory

import "github.com/seawall-security/seawall/internal/seawall"

// FixedIn is the range of every version before fixed; "" for fixed means every version.
func FixedIn(t RangeType, fixed string) Range {
	r := Range{Type: t, Events: []RangeEvent{{Introduced: "0"}}}
	if fixed != "" {
		r.Events = append(r.Events, RangeEvent{Fixed: fixed})
	}
	return r
}

// StateOf is the state ranges alone tell: fixed when any names a fixed version.
func StateOf(ranges []Range) seawall.VulnerabilityState {
	for _, r := range ranges {
		for _, e := range r.Events {
			if e.Fixed != "" {
				return seawall.StateFixed
			}
		}
	}
	return seawall.StateAffected
}
