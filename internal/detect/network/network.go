// Package network finds what is wrong with who can reach whom: namespaces that are
// not isolated, workloads open to the Internet, policies that do not do what they say.
//
//	objects -> reach.Read, reach.New -> checks (checks.go, written.go) -> findings
//
// Questions about what is absent (no policy selects a pod) are asked of a cluster
// whose policies were all read, and of manifests that hold policies; else they are
// not evaluated: manifests without any may be a part.
package network

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/seawall-security/seawall/internal/detect"
	"github.com/seawall-security/seawall/internal/detect/network/reach"
	"github.com/seawall-security/seawall/internal/seawall"
)

// Detector judges the network of a cluster or of manifests.
type Detector struct{}

var _ detect.Explainer = Detector{}

// Name implements detect.Detector.
func (Detector) Name() string { return "network" }

// Rules implements detect.Explainer.
func (Detector) Rules() []detect.Rule {
	rules := catalogue()
	slices.SortFunc(rules, func(a, b detect.Rule) int { return cmp.Compare(a.ID, b.ID) })
	return rules
}

// Detect implements detect.Detector. Assets that are neither a cluster nor manifests get no findings.
func (d Detector) Detect(_ context.Context, f detect.Facts) (detect.Result, error) {
	if f.Asset.Kind != seawall.AssetCluster && f.Asset.Kind != seawall.AssetManifests || len(f.Objects) == 0 {
		return detect.Result{}, nil
	}
	cluster := reach.Read(f.Objects)
	j := &judge{Model: reach.New(cluster), asset: f.Asset, live: f.Asset.Kind == seawall.AssetCluster, rules: map[string]*verdict{}}
	for _, r := range d.Rules() {
		j.rules[r.ID] = &verdict{rule: r}
		j.order = append(j.order, r.ID)
	}
	j.coverage(f.Configs)
	j.isolation()
	j.exposures()
	j.destinations()
	j.selectors()
	j.openRules()
	j.namedPorts()
	j.services()
	j.overlaps()
	j.plugin(f.Configs)
	return detect.Result{Findings: j.finish(), Partial: strings.Join(cluster.Problems, "; ")}, nil
}

// Exposed returns a function that says whether a workload, as "namespace/Kind/name", can
// be reached from outside the cluster: something leads there and policies let it in.
func Exposed(objects []seawall.Object) func(workload string) bool {
	exposed := map[string]bool{}
	for _, e := range reach.New(reach.Read(objects)).Exposures() {
		exposed[e.Workload.ID()] = true
	}
	return func(workload string) bool { return exposed[workload] }
}

// verdict is what a rule came to.
type verdict struct {
	rule     detect.Rule
	looked   int    // at how many things it was asked
	missing  string // why it could not be evaluated
	findings []seawall.Finding
}

// judge collects the findings.
type judge struct {
	*reach.Model
	asset seawall.Asset
	live  bool
	rules map[string]*verdict
	order []string
}

// coverage notes which rules cannot be evaluated because something was not read.
func (j *judge) coverage(configs []seawall.ConfigFact) {
	for i := range configs {
		if configs[i].Kind != "kubernetes/unread" {
			continue
		}
		resource := configs[i].Data["resource"]
		name, _, _ := strings.Cut(resource, ".")
		reason := resource + " could not be read: " + configs[i].Data["reason"]
		switch name {
		case "namespaces", "pods", "deployments", "statefulsets", "daemonsets", "jobs", "cronjobs", "replicasets", "replicationcontrollers":
			j.missing(reason, j.order...)
		case "networkpolicies", "adminnetworkpolicies", "baselineadminnetworkpolicies", "clusternetworkpolicies":
			j.missing(reason, slices.DeleteFunc(slices.Clone(j.order), func(id string) bool {
				return id == ruleNoBackend || id == ruleTargetPort || id == ruleNoService || id == rulePlugin
			})...)
		case "services":
			j.missing(reason, ruleOutside, ruleSensitive, ruleNoBackend, ruleTargetPort, ruleNoService)
		case "ingresses", "gateways", "httproutes", "grpcroutes", "tlsroutes", "tcproutes", "udproutes":
			j.missing(reason, ruleOutside, ruleSensitive, ruleNoService)
		}
	}
	if !j.live && len(j.Policies)+len(j.Admin) == 0 {
		j.missing("the manifests hold no network policies, and are only a part of a cluster",
			ruleIngress, ruleEgress, ruleMetadata, ruleSystem, ruleDatabase)
	}
}

// missing notes why rules cannot be evaluated; the first reason stays.
func (j *judge) missing(reason string, rules ...string) {
	for _, id := range rules {
		if j.rules[id].missing == "" {
			j.rules[id].missing = reason
		}
	}
}

// looked counts what a rule was asked about.
func (j *judge) looked(id string, n int) { j.rules[id].looked += n }

// fail adds a finding; severity unknown is the rule's. fix is a manifest, "" for none.
func (j *judge) fail(id string, severity seawall.Severity, title, evidence, fix string, locations ...seawall.Location) {
	v := j.rules[id]
	remediation := v.rule.Remediation
	if fix != "" {
		remediation += "\n\n" + fix
	}
	f := seawall.Finding{
		Kind: seawall.KindNetwork, Rule: id, Title: title, Severity: cmp.Or(severity, v.rule.Severity), SeveritySource: "seawall",
		Status: seawall.StatusFail, Asset: j.asset.ID, Locations: locations, Evidence: evidence, Remediation: remediation,
		References: v.rule.References, Frameworks: v.rule.Frameworks,
	}
	if len(locations) > 0 {
		f.Location = &locations[0]
	}
	v.findings = append(v.findings, f)
}

// finish is all findings, and for rules without one what they came to.
func (j *judge) finish() []seawall.Finding {
	var out []seawall.Finding
	for _, id := range j.order {
		v := j.rules[id]
		f := seawall.Finding{
			Kind: seawall.KindNetwork, Rule: id, Title: v.rule.Title, Severity: v.rule.Severity, SeveritySource: "seawall",
			Asset: j.asset.ID, References: v.rule.References, Frameworks: v.rule.Frameworks,
		}
		switch {
		case v.missing != "":
			f.Status, f.Reason = seawall.StatusNotEvaluated, v.missing
			out = append(out, f)
		case len(v.findings) > 0:
			out = append(out, v.findings...)
		case v.looked == 0:
			f.Status, f.Reason = seawall.StatusNotApplicable, "there is nothing it is about"
			out = append(out, f)
		default:
			f.Status, f.Count = seawall.StatusPass, v.looked
			out = append(out, f)
		}
	}
	return out
}

// location is a workload's place; its pods' where only they are known.
func location(w *reach.Workload) seawall.Location {
	if w.Object != nil {
		return w.Object.Location("")
	}
	return seawall.Location{Resource: w.Kind + "/" + w.Namespace + "/" + w.Name}
}

// some lists a few names and how many more there are.
func some(names []string) string {
	const few = 5
	if len(names) <= few {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:few], ", "), len(names)-few)
}
