// Package registry judges a container registry by what was asked of it: how it
// is spoken to, who may read and write, what moved, what is unsigned or stale.
//
// The facts come from source/registry as ConfigFacts: one "registry" with the
// answers ("yes", "no", "unknown: why"), a "registry-repository" for each
// repository, a "registry-tag" for each tag that moved, and one "registry-image"
// with every image. What an answer does not tell is not-evaluated. Known
// vulnerabilities of the registry's software are the vuln detector's: the
// software is a package among the facts.
package registry

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/seawall-security/seawall/internal/detect"
	"github.com/seawall-security/seawall/internal/seawall"
)

const (
	// renewal is how long before its end a certificate should be renewed.
	renewal = 30 * 24 * time.Hour
	// stale is how old a repository's newest image may be.
	stale = 365 * 24 * time.Hour
)

// Detector judges registries and what they say about their images.
type Detector struct{}

var _ detect.Explainer = Detector{}

// Name implements detect.Detector.
func (Detector) Name() string { return "registry" }

// Rules implements detect.Explainer.
func (Detector) Rules() []detect.Rule { return rules() }

// Detect implements detect.Detector. Assets that are neither a registry nor an image of one have no findings.
func (Detector) Detect(_ context.Context, f detect.Facts) (detect.Result, error) {
	j := judge{now: f.Now, rules: map[string]detect.Rule{}}
	for i := range f.Configs {
		c := &f.Configs[i]
		if !strings.HasPrefix(c.Kind, "registry") {
			continue
		}
		if len(j.rules) == 0 {
			for _, r := range rules() {
				j.rules[r.ID] = r
			}
		}
		switch c.Kind {
		case "registry":
			j.registry(c.Data)
		case "registry-repository":
			j.repository(c.Data)
		case "registry-tag":
			j.tag(c.Data)
		case "registry-image":
			j.image(f.Asset.Name, c.Data)
		}
	}
	j.undatedRepositories()
	return detect.Result{Findings: j.findings}, nil
}

// judge gathers the findings of one asset.
type judge struct {
	now      time.Time
	rules    map[string]detect.Rule
	findings []seawall.Finding
	undated  []string
}

// add makes a finding of a rule. The finding may be changed until the next call.
func (j *judge) add(rule string, status seawall.Status, resource, evidence string) *seawall.Finding {
	r := j.rules[rule]
	f := seawall.Finding{Kind: seawall.KindMisconfiguration, Rule: rule, Title: r.Title, Severity: r.Severity, Status: status,
		SeveritySource: "seawall", Location: &seawall.Location{Resource: resource}}
	switch status {
	case seawall.StatusFail:
		f.Evidence, f.Remediation, f.References, f.Frameworks = evidence, r.Remediation, r.References, slices.Clone(r.Frameworks)
	case seawall.StatusPass:
		f.Evidence = evidence
	default:
		f.Reason = evidence
	}
	j.findings = append(j.findings, f)
	return &j.findings[len(j.findings)-1]
}

// answer makes a finding of a question whose "yes" is bad.
func (j *judge) answer(rule, resource, answer, evidence string) *seawall.Finding {
	switch {
	case answer == "yes":
		return j.add(rule, seawall.StatusFail, resource, evidence)
	case answer == "no":
		return j.add(rule, seawall.StatusPass, resource, "")
	case answer == "not-applicable":
		return j.add(rule, seawall.StatusNotApplicable, resource, evidence)
	}
	return j.add(rule, seawall.StatusNotEvaluated, resource, reason(answer))
}

func reason(answer string) string {
	if why, ok := strings.CutPrefix(answer, "unknown: "); ok {
		return why
	}
	return "the registry was not asked"
}

func (j *judge) registry(d map[string]string) {
	host := d["host"]
	evidence := "GET http://" + host + "/v2/ is answered"
	if d["https"] != "yes" {
		evidence += ", HTTPS is not"
	}
	j.answer(rulePlainHTTP, host, d["plainHTTP"], evidence)
	if d["https"] == "yes" {
		j.answer(ruleOldTLS, host, d["tls.old"], "accepted: "+d["tls.accepted"])
		j.certificate(host, d)
	}
	j.reading(host, d)
	j.writing(host, d)
	if d["software.version"] == "" {
		why := "the registry does not tell its version"
		if d["software"] != "" {
			why = d["software"] + " does not tell its version"
		}
		j.add(ruleSoftware, seawall.StatusNotEvaluated, host, why)
	}
}

func (j *judge) certificate(host string, d map[string]string) {
	named := fmt.Sprintf("certificate of %s by %s", d["certificate.subject"], d["certificate.issuer"])
	switch trust := d["certificate.trust"]; trust {
	case "yes":
		j.add(ruleUntrusted, seawall.StatusPass, host, named)
	case "self-signed":
		j.add(ruleUntrusted, seawall.StatusFail, host, "self-signed "+named)
	case "hostname":
		j.add(ruleUntrusted, seawall.StatusFail, host, named+" is not made out to "+host)
	case "":
		j.add(ruleUntrusted, seawall.StatusNotEvaluated, host, "no certificate was seen")
	default:
		j.add(ruleUntrusted, seawall.StatusFail, host, named+": "+trust)
	}
	j.dates(host, d["certificate.notBefore"], d["certificate.notAfter"])
	j.answer(ruleWeakKey, host, d["certificate.weak"], d["certificate.key"])
}

func (j *judge) dates(host, notBefore, notAfter string) {
	from, err1 := time.Parse(time.RFC3339, notBefore)
	to, err2 := time.Parse(time.RFC3339, notAfter)
	switch left := to.Sub(j.now); {
	case err1 != nil || err2 != nil:
		j.add(ruleExpiry, seawall.StatusNotEvaluated, host, "no certificate was seen")
	case left < 0:
		j.add(ruleExpiry, seawall.StatusFail, host, "expired on "+to.Format(time.DateOnly))
	case j.now.Before(from):
		j.add(ruleExpiry, seawall.StatusFail, host, "not valid before "+from.Format(time.RFC3339))
	case left < renewal:
		j.add(ruleExpiry, seawall.StatusFail, host, fmt.Sprintf("expires on %s, in %d days", to.Format(time.DateOnly), int(left.Hours()/24))).Severity = seawall.SeverityMedium
	default:
		j.add(ruleExpiry, seawall.StatusPass, host, "valid until "+to.Format(time.DateOnly))
	}
}

// reading judges what may be seen without a login.
func (j *judge) reading(host string, d map[string]string) {
	if d["public"] == "yes" {
		const why = "a public registry"
		j.add(ruleCatalog, seawall.StatusNotApplicable, host, why)
		j.add(rulePull, seawall.StatusNotApplicable, host, why)
		return
	}
	j.answer(ruleCatalog, host, d["anonymous.catalog"], "GET /v2/_catalog is answered without a login")
	j.answer(rulePull, host, d["anonymous.pull"], "a manifest can be had without a login")
}

// writing judges what may be changed.
func (j *judge) writing(host string, d map[string]string) {
	how := func(probed, passive string) string {
		if d["probed"] == "yes" {
			return probed
		}
		return passive
	}
	granted := "an anonymous token grants it"
	if d["auth"] == "none" {
		granted = "there is no login, and the registry offers PUT for manifests (--write-probe tries it)"
	}
	j.answer(rulePush, host, d["anonymous.push"], how("an upload could be begun without a login", granted))
	j.answer(ruleDelete, host, d["anonymous.delete"], how("the removal of a manifest was not refused without a login", granted))
	evidence := how("an upload could be begun with it", "its token grants it")
	if d["account.write"] == "not-applicable" {
		evidence = "no login was used"
	}
	j.answer(ruleAccount, host, d["account.write"], evidence)
	j.mutable(host, d)
}

func (j *judge) mutable(host string, d map[string]string) {
	var proof []string
	if d["anonymous.push"] == "yes" {
		proof = append(proof, "anybody may push")
	}
	if n := d["tags.moved"]; n != "" && n != "0" {
		proof = append(proof, n+" tags moved since the last scan")
	}
	if d["deletion"] == "yes" {
		proof = append(proof, "the registry deletes")
	}
	if len(proof) == 0 {
		first, _, _ := strings.Cut(d["firstSeen"], "T")
		j.add(ruleMutable, seawall.StatusNotEvaluated, host, "registries do not tell; no tag has moved since the last scan, the first was on "+first)
		return
	}
	f := j.add(ruleMutable, seawall.StatusFail, host, strings.Join(proof, ", "))
	if d["anonymous.push"] == "yes" {
		f.Severity = seawall.SeverityHigh
	}
}

// repository judges the age of a repository's newest image. Reproducible builds
// claim a fixed time long past, which says nothing.
func (j *judge) repository(d map[string]string) {
	built, err := time.Parse(time.RFC3339, d["built"])
	if err != nil || built.Year() < 2013 {
		j.undated = append(j.undated, d["repository"])
		return
	}
	if age := j.now.Sub(built); age > stale {
		j.add(ruleStale, seawall.StatusFail, d["repository"], fmt.Sprintf("the newest image is of %s, %d days ago", built.Format(time.DateOnly), int(age.Hours()/24)))
	}
}

func (j *judge) undatedRepositories() {
	const most = 3
	if n := len(j.undated); n > 0 {
		names := strings.Join(j.undated[:min(n, most)], ", ")
		if n > most {
			names += fmt.Sprintf(" and %d more", n-most)
		}
		j.add(ruleStale, seawall.StatusNotEvaluated, "", "images without a time of their build: "+names)
	}
}

func (j *judge) tag(d map[string]string) {
	seen, _, _ := strings.Cut(d["seen"], "T")
	f := j.add(ruleMoved, seawall.StatusFail, d["reference"], fmt.Sprintf("from %s to %s, seen on %s", d["from"], d["to"], seen))
	f.Title = "Tag " + d["reference"][strings.LastIndexByte(d["reference"], ':')+1:] + " points to another image than at the last scan"
	switch {
	case strings.HasSuffix(d["reference"], ":latest"):
		f.Severity = seawall.SeverityLow
	case d["release"] == "yes":
		f.Severity = seawall.SeverityHigh
	}
}

func (j *judge) image(name string, d map[string]string) {
	switch d["signed"] {
	case "yes":
		j.add(ruleUnsigned, seawall.StatusPass, name, "there is a signature; 'seawall verify image' judges it")
	case "no":
		j.add(ruleUnsigned, seawall.StatusFail, name, "neither a referrer nor a tag holds a signature")
	default:
		j.add(ruleUnsigned, seawall.StatusNotEvaluated, name, reason(d["signed"]))
	}
}
