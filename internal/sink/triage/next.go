package triage

import (
	"fmt"
	"strings"

	"github.com/seawall-security/seawall/internal/seawall"
)

// Next is the single most valuable next step in one sentence; "" when there is
// nothing to do. What could not be judged at all comes first, because every
// other number depends on it; then what is certainly hostile or exploited; then
// the upgrade that mends most of the worst.
func (v *View) Next() string {
	if judged, unjudged := v.judged(); unjudged > judged && len(v.Gaps) > 0 && v.Gaps[0].Remedy != "" {
		return fmt.Sprintf("run %q: %s could not be judged", v.Gaps[0].Remedy, Count(unjudged, "package"))
	}
	for i := range v.Assets {
		for _, f := range v.Assets[i].Others {
			if f.Kind == seawall.KindMalware {
				return "remove " + subject(f) + ": it is known malware"
			}
		}
	}
	if v.Fleet() {
		// What lets anybody in comes before what is in any one image.
		if others := v.Assets[0].Others; len(others) > 0 && others[0].Severity == seawall.SeverityCritical && others[0].Remediation != "" {
			return others[0].Title + ": " + others[0].Advice()
		}
	}
	if g := v.bestUpgrade(); g != nil {
		return fmt.Sprintf("upgrade %s to %s: mends %s", g.Name, g.Upgrade, mended(g))
	}
	for i := range v.Assets {
		for _, f := range v.Assets[i].Others {
			if f.Remediation != "" {
				return f.Advice()
			}
		}
	}
	if len(v.Gaps) > 0 && v.Gaps[0].Remedy != "" {
		return fmt.Sprintf("run %q to judge what is left", v.Gaps[0].Remedy)
	}
	return ""
}

func subject(f *seawall.Finding) string {
	if f.Package != nil {
		return f.Package.Name + " " + f.Package.Version
	}
	if f.Location != nil {
		return PathOf(*f.Location)
	}
	return f.Title
}

// judged counts the packages with and without advisory data.
func (v *View) judged() (with, without int) {
	for _, c := range v.Report.Coverage {
		if c.Status == seawall.CoverageNotEvaluated {
			without += c.Packages
		} else {
			with += c.Packages
		}
	}
	return with, without
}

// bestUpgrade is the worst group that an upgrade mends: groups are already in order.
func (v *View) bestUpgrade() *Group {
	var best *Group
	for i := range v.Assets {
		for j := range v.Assets[i].Groups {
			g := &v.Assets[i].Groups[j]
			if g.Upgrade != "" && (best == nil || compareGroups(*g, *best) < 0) {
				best = g
			}
		}
	}
	return best
}

// mended says what a group's upgrade does: "2 critical and 5 high, 1 known
// exploited", or "3 of 9 vulnerabilities" when it does not mend all.
func mended(g *Group) string {
	var parts []string
	for _, sev := range seawall.Severities() {
		if n := g.Counts.Of(sev); n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, sev))
		}
	}
	if len(parts) > 3 {
		parts = append(parts[:2], "others")
	}
	words := strings.Join(parts, " and ")
	if len(parts) == 3 {
		words = parts[0] + ", " + parts[1] + " and " + parts[2]
	}
	if g.Fixed < len(g.Findings) {
		words = fmt.Sprintf("%d of %s", g.Fixed, Count(len(g.Findings), "vulnerability"))
	}
	if g.Exploited > 0 {
		words += fmt.Sprintf(", %d known exploited", g.Exploited)
	}
	return words
}

// Count writes a number with its noun in the right form: "1 package", "2 vulnerabilities".
func Count(n int, noun string) string {
	if n != 1 {
		if stem, ok := strings.CutSuffix(noun, "ity"); ok {
			noun = stem + "ities"
		} else {
			noun += "s"
		}
	}
	return fmt.Sprintf("%d %s", n, noun)
}
