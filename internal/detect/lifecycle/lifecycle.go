// Package lifecycle finds operating systems whose security support has ended
// or is about to end. It looks the asset's distribution up in a table of facts
// (table.go) and compares dates: no network, no clock but Facts.Now. What the
// table does not know is not-evaluated, never fine.
package lifecycle

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/seawall-security/seawall/internal/detect"
	"github.com/seawall-security/seawall/internal/seawall"
)

// RuleEndOfLife is the identifier of the one rule here.
const RuleEndOfLife = "SW-OS-001"

// soon is how long before the end an upgrade is due.
const soon = 90 * 24 * time.Hour

// Detector judges the support of an asset's distribution.
type Detector struct{}

var _ detect.Explainer = Detector{}

// Name implements detect.Detector.
func (Detector) Name() string { return "lifecycle" }

// Rules implements detect.Explainer.
func (Detector) Rules() []detect.Rule {
	return []detect.Rule{{
		ID:       RuleEndOfLife,
		Title:    "The operating system gets no security updates any more, or not for long",
		Severity: seawall.SeverityHigh,
		Rationale: "After the end of its support a distribution publishes neither fixes nor advisories: new vulnerabilities stay open " +
			"and no scanner can name them, so a short list of findings is no good news. Low while the end is less than 90 days away.",
		Remediation: "Move to a supported release of the distribution, for images by the base image's tag.",
		References:  []string{"https://endoflife.date/"},
	}}
}

// Detect implements detect.Detector.
func (Detector) Detect(_ context.Context, f detect.Facts) (detect.Result, error) {
	if f.Asset.OS == nil {
		if !hasOSPackages(f.Packages) {
			return detect.Result{}, nil
		}
		return notEvaluated(f, "operating system", "no file names the distribution"), nil
	}
	ecosystem := f.Asset.OS.Ecosystem()
	if strings.HasPrefix(ecosystem, "SUSE:") && strings.Contains(f.Asset.OS.ID, "micro") {
		ecosystem = "SUSE Linux Micro:" + f.Asset.OS.Version // has the service packs' advisories, not their dates
	}
	if rolling(ecosystem) {
		return detect.Result{}, nil
	}
	fam, rel := lookup(ecosystem)
	today := f.Now.UTC().Format(time.DateOnly)
	switch {
	case rel == nil:
		return notEvaluated(f, ecosystem, "the end of its support is not known"), nil
	case rel.ends == "" && today > yearAfter(written):
		return notEvaluated(f, ecosystem, "the end of its support was not announced by "+written), nil
	}
	res := detect.Result{EndOfLife: rel.ends}
	if rel.ends == "" || f.Now.UTC().Add(soon).Format(time.DateOnly) < rel.ends {
		return res, nil
	}
	finding := base(f)
	finding.Status = seawall.StatusFail
	finding.SeveritySource = "seawall"
	finding.References = []string{fam.source}
	finding.Remediation = fam.upgrade(rel, today)
	if today > rel.ends {
		finding.Severity = seawall.SeverityHigh
		finding.Title = fmt.Sprintf("%s is past its end of life", display(ecosystem))
		finding.Evidence = fmt.Sprintf("security support of %s ended on %s", display(ecosystem), rel.ends)
	} else {
		finding.Severity = seawall.SeverityLow
		finding.Title = fmt.Sprintf("%s is close to its end of life", display(ecosystem))
		finding.Evidence = fmt.Sprintf("security support of %s ends on %s", display(ecosystem), rel.ends)
	}
	if rel.extended > today {
		finding.Evidence += fmt.Sprintf("; %s, for subscribers, goes on until %s", fam.extension, rel.extended)
	}
	res.Findings = []seawall.Finding{finding}
	return res, nil
}

// hasOSPackages says whether there is an operating system at all.
func hasOSPackages(packages []seawall.Package) bool {
	for i := range packages {
		if packages[i].Kind == "os" {
			return true
		}
	}
	return false
}

// base is what every finding has in common.
func base(f detect.Facts) seawall.Finding {
	finding := seawall.Finding{Kind: seawall.KindLifecycle, Rule: RuleEndOfLife, Asset: f.Asset.ID}
	for i := range f.Configs {
		if c := &f.Configs[i]; c.Kind == "os-release" {
			finding.Location = &seawall.Location{Path: c.Path}
			break
		}
	}
	return finding
}

func notEvaluated(f detect.Facts, what, reason string) detect.Result {
	finding := base(f)
	finding.Status = seawall.StatusNotEvaluated
	finding.Title = fmt.Sprintf("support of %s could not be judged", display(what))
	finding.Reason = reason
	return detect.Result{Findings: []seawall.Finding{finding}}
}

// lookup finds a release; rel is nil when the table does not have it.
func lookup(ecosystem string) (*family, *release) {
	name, version, _ := strings.Cut(ecosystem, ":")
	for i := range families {
		fam := &families[i]
		if fam.name != name {
			continue
		}
		for j := range fam.releases {
			if fam.releases[j].version == version {
				return fam, &fam.releases[j]
			}
		}
	}
	return nil, nil
}

// Ends is the last day of a release's security support for everyone, as
// YYYY-MM-DD, "" where it was not announced or never comes. known is false where
// the table does not have the release.
func Ends(os seawall.OS) (day string, known bool) {
	ecosystem := os.Ecosystem()
	if rolling(ecosystem) {
		return "", true
	}
	if _, rel := lookup(ecosystem); rel != nil {
		return rel.ends, true
	}
	return "", false
}

// upgrade says where to go from a release.
func (f *family) upgrade(from *release, today string) string {
	for i := range f.releases {
		r := &f.releases[i]
		if r == from {
			break
		}
		if r.ends == "" || r.ends > today {
			return "upgrade to " + f.name + " " + r.version
		}
	}
	if f.successor != "" {
		return "move to " + f.successor
	}
	return "upgrade to a release newer than " + f.name + " " + f.releases[0].version
}

// display writes an ecosystem for people: "Debian 12".
func display(ecosystem string) string { return strings.Replace(ecosystem, ":", " ", 1) }

func yearAfter(day string) string {
	t, err := time.Parse(time.DateOnly, day)
	if err != nil {
		return ""
	}
	return t.AddDate(1, 0, 0).Format(time.DateOnly)
}
