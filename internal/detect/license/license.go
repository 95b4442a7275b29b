// Package license judges the licences of packages against the lists a user
// gives. It reads what package metadata says (Package.Licenses) as SPDX
// expressions (expression.go) by a table of facts (list.go). Without a list
// there is nothing to judge by, and no findings.
package license

import (
	"context"
	"fmt"
	"path"
	"strings"

	"github.com/seawall-security/seawall/internal/detect"
	"github.com/seawall-security/seawall/internal/seawall"
)

// The rules.
const (
	RuleDenied     = "SW-LIC-001"
	RuleNotAllowed = "SW-LIC-002"
	RuleUnknown    = "SW-LIC-003"
)

// Detector judges licences.
type Detector struct {
	allow, deny []string
}

var _ detect.Explainer = (*Detector)(nil)

// New returns a detector. An entry of a list is an SPDX identifier, one with
// wildcards ("GPL-*"), or a class: permissive, weak-copyleft, strong-copyleft,
// network-copyleft, proprietary, unknown. "GPL-2.0 WITH Classpath-*" is the
// licence with such an exception alone; without WITH exceptions make no
// difference. Denied wins over allowed. The error wraps seawall.ErrUsage.
func New(allow, deny []string) (*Detector, error) {
	d := &Detector{}
	for _, l := range []struct {
		from []string
		to   *[]string
	}{{allow, &d.allow}, {deny, &d.deny}} {
		for _, entry := range l.from {
			entry = strings.Join(strings.Fields(entry), " ")
			if !valid(entry) {
				return nil, seawall.WithHint(fmt.Errorf("unknown licence %q in a licence list: %w", entry, seawall.ErrUsage),
					"name SPDX identifiers (MIT), patterns (GPL-*, GPL-2.0 WITH Classpath-*) or classes (permissive, weak-copyleft, strong-copyleft, network-copyleft, proprietary, unknown)")
			}
			*l.to = append(*l.to, strings.ToLower(entry))
		}
	}
	return d, nil
}

// valid says whether an entry can match anything: a misspelt one would be a hole in a deny list.
func valid(entry string) bool {
	low, exception, with := strings.Cut(strings.ToLower(entry), " with ")
	if _, err := path.Match(exception, ""); with && (err != nil || exception == "" || strings.Contains(exception, " ")) {
		return false
	}
	for c := Permissive; c <= Unknown; c++ {
		if low == c.String() {
			return true
		}
	}
	if strings.HasPrefix(low, "licenseref-") {
		return true
	}
	for id := range known() {
		if ok, err := path.Match(low, id); ok && err == nil {
			return true
		}
	}
	return false
}

// Name implements detect.Detector.
func (*Detector) Name() string { return "license" }

// Rules implements detect.Explainer.
func (*Detector) Rules() []detect.Rule {
	refs := []string{"https://spdx.org/licenses/"}
	return []detect.Rule{
		{ID: RuleDenied, Title: "A package has a licence that is denied", Severity: seawall.SeverityHigh, References: refs,
			Rationale:   "The licence is on the list given with --license-deny, and no alternative is offered.",
			Remediation: "Replace the package, or have the use agreed and accept the finding."},
		{ID: RuleNotAllowed, Title: "A package has a licence that is not allowed", Severity: seawall.SeverityMedium, References: refs,
			Rationale:   "The licence is not on the list given with --license-allow.",
			Remediation: "Replace the package, or add the licence to the list."},
		{ID: RuleUnknown, Title: "The licence of a package is not known", Severity: seawall.SeverityLow, References: refs,
			Rationale:   "With a list of allowed licences a package that states none, or one that cannot be read, may not be used unseen.",
			Remediation: "Find out the licence; allow \"unknown\", or accept the finding."},
	}
}

// Detect implements detect.Detector.
func (d *Detector) Detect(_ context.Context, f detect.Facts) (detect.Result, error) {
	var res detect.Result
	if len(d.allow)+len(d.deny) == 0 {
		return res, nil
	}
	rules := d.Rules()
	parsed := map[string]verdict{} // packages share few licences
	for i := range f.Packages {
		p := &f.Packages[i]
		key := strings.Join(p.Licenses, "\x00")
		v, ok := parsed[key]
		if !ok {
			v = d.judge(p.Licenses)
			parsed[key] = v
		}
		if v.rule < 0 {
			continue
		}
		r := &rules[v.rule]
		res.Findings = append(res.Findings, seawall.Finding{
			Kind: seawall.KindLicense, Rule: r.ID, Severity: r.Severity, SeveritySource: "seawall", Status: seawall.StatusFail,
			Title:     strings.TrimSpace(p.Name+" "+p.Version) + ": " + v.title,
			Package:   &seawall.PackageRef{Name: p.Name, Version: p.Version, Ecosystem: p.Ecosystem, PURL: p.PURL},
			Locations: p.Locations, Evidence: v.evidence, Remediation: r.Remediation, References: r.References,
		})
	}
	return res, nil
}

// verdict is what the lists say of one set of licences; rule -1 is nothing.
type verdict struct {
	rule            int
	title, evidence string
}

func (d *Detector) judge(texts []string) verdict {
	e := Expression{ID: "no licence stated", Class: Unknown}
	if len(texts) > 0 {
		e = ParseAll(texts)
	}
	denied := func(e Expression) bool { return matches(d.deny, e) }
	allowed := func(e Expression) bool { return len(d.allow) == 0 || matches(d.allow, e) }
	evidence := fmt.Sprintf("%s (%s)", e, e.Obligations())
	switch {
	case !e.Satisfies(func(e Expression) bool { return !denied(e) }):
		return verdict{0, "licence " + e.String() + " is denied", evidence}
	case e.Satisfies(func(e Expression) bool { return !denied(e) && allowed(e) }):
		return verdict{rule: -1}
	case e.Satisfies(func(e Expression) bool { return !denied(e) && (allowed(e) || e.Class == Unknown) }):
		return verdict{2, "licence not known", evidence}
	}
	return verdict{1, "licence " + e.String() + " is not allowed", evidence}
}

// matches says whether a list has a licence. "GPL-2.0" in a list means both its -only and -or-later form.
func matches(list []string, e Expression) bool {
	id := strings.ToLower(e.ID)
	for _, entry := range list {
		entry, exception, with := strings.Cut(entry, " with ")
		if ok, err := path.Match(exception, strings.ToLower(e.Exception)); with && (!ok || err != nil) {
			continue
		}
		if entry == e.Class.String() {
			return true
		}
		for _, form := range [...]string{id, strings.TrimSuffix(id, "-only"), strings.TrimSuffix(id, "-or-later")} {
			if ok, err := path.Match(entry, form); ok && err == nil {
				return true
			}
		}
	}
	return false
}
