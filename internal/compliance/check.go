package compliance

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/seawall-security/seawall/internal/seawall"
)

// judge describes a detector.
type judge struct {
	detector string
	// kinds are the findings no other detector makes.
	kinds []seawall.FindingKind
	// assets are the sorts judged by a detector that reports only what is wrong:
	// that it did all its work on one of them shows that the rest is right. A
	// detector without says itself what passed.
	assets []seawall.AssetKind
	// inputs are collectors whose work it needs, as prefixes of their names.
	inputs []string
	// remedy is a scan that runs it.
	remedy string
}

func judges() []judge {
	const image, rootfs, fs, host, sbom = seawall.AssetImage, seawall.AssetRootFS, seawall.AssetFS, seawall.AssetHost, seawall.AssetSBOM
	files := []seawall.AssetKind{image, rootfs, fs, host, seawall.AssetContainer, seawall.AssetNode}
	packages := append(slices.Clone(files), sbom)
	systems := []seawall.AssetKind{image, rootfs, host, sbom, seawall.AssetContainer, seawall.AssetNode}
	const cluster, node = "seawall scan cluster", "seawall scan host --scanners misconfig"
	return []judge{
		{"vuln", []seawall.FindingKind{seawall.KindVulnerability}, packages, []string{"os/"}, "seawall scan image REF"},
		{"lifecycle", []seawall.FindingKind{seawall.KindLifecycle}, systems, []string{"os/"}, "seawall scan image REF"},
		{"license", []seawall.FindingKind{seawall.KindLicense}, packages, []string{"os/"}, "seawall scan image REF --scanners license"},
		{"secret", []seawall.FindingKind{seawall.KindSecret}, files, []string{"secret/"}, "seawall scan image REF --scanners secret"},
		{"malware", []seawall.FindingKind{seawall.KindMalware}, files, nil, "seawall scan image REF --scanners malware"},
		{"content", nil, files, nil, "seawall scan image REF --scanners malware"},
		{"misconfig/image", nil, []seawall.AssetKind{image}, nil, "seawall scan image REF --scanners misconfig"},
		{"misconfig/dockerfile", nil, []seawall.AssetKind{fs}, nil, "seawall scan fs . --scanners misconfig"},
		{"registry", nil, []seawall.AssetKind{seawall.AssetRegistry}, nil, "seawall scan registry HOST"},
		{"signature", []seawall.FindingKind{seawall.KindSignature}, nil, nil, "seawall scan image REF --verify-key FILE"},
		{"rbac", []seawall.FindingKind{seawall.KindRBAC}, nil, nil, cluster},
		{"network", []seawall.FindingKind{seawall.KindNetwork}, nil, nil, cluster},
		{"misconfig/kubernetes", nil, nil, nil, cluster + ", and on its nodes " + node},
		{"misconfig/host", nil, nil, nil, node},
		{"misconfig/docker", nil, nil, nil, node},
	}
}

func judgeOf(detector string) *judge {
	all := judges()
	if i := slices.IndexFunc(all, func(j judge) bool { return j.detector == detector }); i >= 0 {
		return &all[i]
	}
	return nil
}

func judgeOfKind(kind seawall.FindingKind) *judge {
	all := judges()
	if i := slices.IndexFunc(all, func(j judge) bool { return slices.Contains(j.kinds, kind) }); i >= 0 {
		return &all[i]
	}
	return nil
}

// rule judges one rule.
func (e *evaluation) rule(c *Control) Check {
	check := Check{ID: c.ID, Title: c.Title, Severity: c.Severity, Detector: c.Detector, Remediation: c.Remediation}
	list := e.byRule[c.ID]
	if c.Manual != "" && (len(list) == 0 || slices.ContainsFunc(list, func(f found) bool { return f.Status == seawall.StatusNotEvaluated })) {
		check.Status, check.Reason = Manual, c.Manual
		return check
	}
	e.conclude(&check, list, judgeOf(c.Detector))
	return check
}

// kind judges one family of findings.
func (e *evaluation) kind(k *Kind) Check {
	check := Check{ID: k.String(), Title: k.Title(), Severity: k.Severity}
	var list []found
	for _, f := range e.byKind[k.Kind] {
		if k.counts(f.Finding, f.at) {
			list = append(list, f)
		}
	}
	j := judgeOfKind(k.Kind)
	if j != nil {
		check.Detector = j.detector
	}
	e.conclude(&check, list, j)
	if k.Kind == seawall.KindVulnerability && check.Status == Pass && len(e.uncovered) > 0 {
		check.Status, check.Reason = NotEvaluated, e.uncoveredReason()
	}
	return check
}

// uncoveredReason says whose packages could not be judged.
func (e *evaluation) uncoveredReason() string {
	packages, ecosystems := 0, []string{}
	for _, c := range e.uncovered {
		packages += c.Packages
		ecosystems = append(ecosystems, c.Ecosystem)
	}
	slices.Sort(ecosystems)
	return fmt.Sprintf("%s of %s without complete advisories", plural(packages, "package"), strings.Join(slices.Compact(ecosystems), ", "))
}

// conclude makes a check's status of its findings and of its detector's work.
func (e *evaluation) conclude(c *Check, list []found, j *judge) {
	var failed, accepted, open, without []found
	for _, f := range list {
		switch f.Status {
		case seawall.StatusFail:
			failed = append(failed, f)
		case seawall.StatusSuppressed:
			accepted = append(accepted, f)
		case seawall.StatusNotEvaluated:
			open = append(open, f)
		case seawall.StatusNotApplicable:
			without = append(without, f)
		case seawall.StatusPass:
			c.Passed += max(f.Count, 1)
		}
	}
	c.Failed, c.Exceptions = len(failed), len(accepted)
	c.Evidence, c.LeftOut = e.evidence(failed, accepted, c.Remediation)
	clean, broken := e.clean(j, failed)
	c.Passed += clean
	switch {
	case len(failed) > 0:
		c.Status = Fail
	case len(open) > 0:
		c.Status, c.Reason = NotEvaluated, reasons(open)
	case broken != "":
		c.Status, c.Reason = NotEvaluated, broken
	case c.Passed > 0 || len(accepted) > 0:
		c.Status = Pass
	case len(without) > 0:
		c.Status, c.Reason = NotApplicable, reasons(without)
	default:
		c.Status, c.Reason = NotEvaluated, "nothing in these reports looked at it"
		e.wait(c)
	}
}

// work is what a detector did.
type work struct {
	// done are the assets it judged completely.
	done map[string]bool
	// broken is why its silence says nothing; "" when it does.
	broken string
}

// clean tells how many assets the detector judged completely without one of the
// failing findings, or why its silence says nothing.
func (e *evaluation) clean(j *judge, failed []found) (n int, broken string) {
	if j == nil {
		return 0, ""
	}
	w, known := e.works[j.detector]
	if !known {
		w = e.work(j)
		e.works[j.detector] = w
	}
	bad := map[string]bool{}
	for _, f := range failed {
		bad[f.Asset] = w.done[f.Asset]
	}
	n = len(w.done)
	for _, counted := range bad {
		if counted {
			n--
		}
	}
	return n, w.broken
}

// work adds up the detector's statuses, and those of the collectors it needs.
func (e *evaluation) work(j *judge) work {
	w := work{done: map[string]bool{}}
	for _, s := range e.runs {
		if j.assets != nil && !slices.Contains(j.assets, e.assets[s.Asset]) {
			continue
		}
		input := slices.ContainsFunc(j.inputs, func(prefix string) bool { return strings.HasPrefix(s.Name, prefix) })
		switch {
		case s.Name != j.detector && !input:
		case j.assets == nil && s.Status != seawall.RunFailed: // its findings say what could not be judged
		case s.Status == seawall.RunFailed || s.Status == seawall.RunPartial:
			w.broken = incomplete(s)
		case s.Status == seawall.RunOK && !input:
			w.done[s.Asset] = true
		}
	}
	return w
}

func incomplete(s seawall.CollectorStatus) string {
	return strings.TrimSuffix(fmt.Sprintf("%s on %s: %s: %s", s.Name, s.Asset, s.Status, s.Reason), ": ")
}

// reasons joins what findings say, each once.
func reasons(list []found) string {
	var out []string
	for _, f := range list {
		if f.Reason != "" && !slices.Contains(out, f.Reason) {
			out = append(out, f.Reason)
		}
	}
	const shown = 3
	if len(out) > shown {
		out = append(out[:shown], fmt.Sprintf("and %d more reasons", len(out)-shown))
	}
	return cmp.Or(strings.Join(out, "; "), "no reason was given")
}

// evidence lists failing findings worst first, then accepted ones, within the bound.
func (e *evaluation) evidence(failed, accepted []found, remediation string) ([]Evidence, int) {
	worst := slices.SortedStableFunc(slices.Values(failed), func(a, b found) int { return cmp.Compare(b.Severity, a.Severity) })
	all := append(worst, accepted...)
	left := 0
	if e.Evidence > 0 && len(all) > e.Evidence {
		left = len(all) - e.Evidence
		all = all[:e.Evidence]
	}
	var out []Evidence
	for _, f := range all {
		item := Evidence{Finding: f.ID, Asset: f.Asset, Severity: f.Severity, Title: f.Title, Place: placeOf(f.Finding), Detail: f.Finding.Evidence}
		if f.Status == seawall.StatusSuppressed {
			item.Accepted = cmp.Or(f.Reason, "no reason was given")
		}
		if f.Remediation != remediation {
			item.Remediation = f.Remediation
		}
		out = append(out, item)
	}
	return out, left
}

// placeOf is where the finding is: object and field, else file and line, else package.
func placeOf(f *seawall.Finding) string {
	l := f.Location
	switch {
	case l != nil && l.Resource != "":
		return strings.TrimSuffix(l.Resource+" "+l.Field, " ")
	case l != nil && l.Path != "":
		place := l.Path
		if l.Inner != "" {
			place += "!" + l.Inner
		}
		if l.Line > 0 {
			place += fmt.Sprintf(":%d", l.Line)
		}
		return place
	case f.Package != nil:
		return f.Package.Name + " " + f.Package.Version
	}
	return ""
}

// wait notes that a check waits for a detector.
func (e *evaluation) wait(c *Check) {
	if !e.checked[c.ID] {
		e.checked[c.ID] = true
		e.missing[c.Detector]++
	}
}

// missingDetectors are those checks wait for, most first.
func (e *evaluation) missingDetectors() []Missing {
	out := []Missing{}
	for detector, n := range e.missing {
		m := Missing{Detector: cmp.Or(detector, "no detector of this version"), Checks: n}
		if j := judgeOf(detector); j != nil {
			m.Remedy = j.remedy
		}
		out = append(out, m)
	}
	slices.SortFunc(out, func(a, b Missing) int {
		return cmp.Or(cmp.Compare(b.Checks, a.Checks), strings.Compare(a.Detector, b.Detector))
	})
	return out
}

// scopeOf says what the answer rests on.
func scopeOf(inputs []Input) Scope {
	s := Scope{Inputs: []InputInfo{}, Assets: []Asset{}, Gaps: []Gap{}}
	for _, in := range inputs {
		r := in.Report
		info := InputInfo{Name: in.Name, Run: r.Run.ID, Started: r.Run.Started, Ended: r.Run.Ended, Tool: r.Tool}
		if r.Database != nil {
			info.Database = r.Database.Built
		}
		s.Inputs = append(s.Inputs, info)
		for _, a := range assetsOf(r) {
			asset := Asset{ID: a.ID, Kind: a.Kind, Name: a.Name, Digest: a.Digest, Input: in.Name}
			if a.OS != nil {
				asset.OS = cmp.Or(a.OS.Name, strings.TrimSpace(a.OS.ID+" "+a.OS.Version))
			}
			s.Assets = append(s.Assets, asset)
		}
		for _, c := range r.Coverage {
			if c.Status != seawall.CoverageOK {
				s.Gaps = append(s.Gaps, Gap{c.Asset, plural(c.Packages, "package") + " of " + c.Ecosystem, string(c.Status), c.Reason, c.Remedy})
			}
		}
		for _, c := range r.Collectors {
			if c.Status == seawall.RunFailed || c.Status == seawall.RunPartial {
				s.Gaps = append(s.Gaps, Gap{c.Asset, c.Name, string(c.Status), c.Reason, ""})
			}
		}
	}
	return s
}
