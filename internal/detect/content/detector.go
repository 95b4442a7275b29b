package content

import (
	"context"
	"slices"
	"strings"

	"github.com/seawall-security/seawall/internal/detect"
	"github.com/seawall-security/seawall/internal/seawall"
)

// Detector turns the Collector's matches into findings.
type Detector struct{}

var _ detect.Explainer = Detector{}

// Name implements detect.Detector.
func (Detector) Name() string { return "content" }

// Detect implements detect.Detector.
func (d Detector) Detect(_ context.Context, f detect.Facts) (detect.Result, error) {
	rules := map[string]detect.Rule{}
	for _, r := range d.Rules() {
		rules[r.ID] = r
	}
	var res detect.Result
	together := map[string]int{} // by rule: index of its one finding
	for i := range f.Matches {
		m := &f.Matches[i]
		rule, ours := rules[m.Rule]
		if !ours || m.Kind != seawall.KindMisconfiguration || m.Hidden {
			continue // what a later layer removed can no longer be run
		}
		one := m.Rule == ruleCompiler || m.Rule == ruleManager
		if one && f.Asset.Kind != seawall.AssetImage && f.Asset.Kind != seawall.AssetContainer {
			continue // a host needs them
		}
		location := m.Location
		if at, known := together[m.Rule]; one && known {
			f := &res.Findings[at]
			f.Locations = append(f.Locations, location)
			f.Evidence += ", " + m.Evidence
			continue
		}
		together[m.Rule] = len(res.Findings)
		res.Findings = append(res.Findings, d.finding(f.Asset.ID, rule, m, location, one))
	}
	return res, nil
}

func (Detector) finding(asset string, rule detect.Rule, m *seawall.Match, location seawall.Location, one bool) seawall.Finding {
	finding := seawall.Finding{
		Kind: seawall.KindMisconfiguration, Rule: rule.ID, Title: rule.Title, Severity: rule.Severity, SeveritySource: "seawall",
		Status: seawall.StatusFail, Asset: asset, Location: &location, Locations: []seawall.Location{location}, Evidence: m.Evidence,
		Remediation: rule.Remediation, References: rule.References, Frameworks: rule.Frameworks,
	}
	if !one {
		finding.Title += ": " + location.Path
	}
	if rule.ID == ruleCapabilities && !slices.ContainsFunc(strings.Fields(m.Evidence), isDangerous) {
		finding.Severity = seawall.SeverityLow
	}
	return finding
}

// Rules implements detect.Explainer.
func (Detector) Rules() []detect.Rule {
	const cis48 = "cis-docker-1.6:4.8"
	return []detect.Rule{
		{ID: ruleSetuid, Title: "Setuid or setgid program that no distribution installs", Severity: seawall.SeverityMedium, Frameworks: []string{cis48},
			Rationale:   "Whoever runs the program gets its owner's rights: a mistake in it makes every user of the container root.",
			Remediation: "Take the bits off (chmod a-s), or run the container with no-new-privileges."},
		{ID: ruleSetuidKnown, Title: "Setuid or setgid program of the distribution", Severity: seawall.SeverityNegligible, Frameworks: []string{cis48},
			Rationale:   "A container that runs one application needs none of the distribution's programs that change the user, and each has had holes.",
			Remediation: "Take the bits off (chmod a-s), or run the container with no-new-privileges."},
		{ID: ruleCapabilities, Title: "Program with file capabilities", Severity: seawall.SeverityMedium,
			Rationale:   "The capabilities are given to whoever runs the program. Low when none of them leads to root or out of the container.",
			Remediation: "Remove them with setcap -r and give the container the capability it needs instead.",
			References:  []string{"https://man7.org/linux/man-pages/man7/capabilities.7.html"}},
		{ID: ruleWritable, Title: "System file that everybody may write", Severity: seawall.SeverityHigh,
			Rationale:   "Any user of the container can change what others, root among them, read or run.",
			Remediation: "Take the write bit off (chmod o-w)."},
		{ID: ruleHidden, Title: "Hidden program", Severity: seawall.SeverityMedium,
			Rationale:   "A program whose name starts with a dot does not show in listings; packages have no reason for that in system and temporary directories.",
			Remediation: "Find out which build step made it, and remove it."},
		{ID: ruleTemporary, Title: "Program in a temporary directory", Severity: seawall.SeverityLow,
			Rationale:   "Everybody may write there: what is run from there can be replaced, and attackers drop their programs there.",
			Remediation: "Install programs where only root may write; clean temporary directories in the step that fills them."},
		{ID: ruleOffensive, Title: "Tool of attackers", Severity: seawall.SeverityHigh,
			Rationale:   "The program's name is that of a tool to break into systems or to mine; an application's image has no use for it.",
			Remediation: "Remove it; if nobody installed it knowingly treat the image as compromised."},
		{ID: ruleDualUse, Title: "Network or debugging tool", Severity: seawall.SeverityLow,
			Rationale:   "Useful to administrators, and to whoever gets into the container: scanning, tunnelling and reading other processes need nothing else.",
			Remediation: "Leave it out of the image and debug with an ephemeral container (kubectl debug)."},
		{ID: ruleCompiler, Title: "Compilers and build tools", Severity: seawall.SeverityLow,
			Rationale:   "Whoever gets into the container can build exploits in it, and every compiler brings packages with holes of their own.",
			Remediation: "Build in one stage and copy the result into another without them."},
		{ID: ruleManager, Title: "Package managers", Severity: seawall.SeverityNegligible,
			Rationale:   "Whoever gets into the container can install what is missing; an image that is replaced instead of updated needs none.",
			Remediation: "Use a base image without package manager for the last stage, where the language allows it."},
	}
}
