package rbac

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/seawall-security/seawall/internal/detect"
	"github.com/seawall-security/seawall/internal/detect/rbac/access"
	"github.com/seawall-security/seawall/internal/detect/rbac/power"
	"github.com/seawall-security/seawall/internal/seawall"
)

// Detector judges the access of a cluster or of manifests.
type Detector struct{}

var _ detect.Explainer = Detector{}

// Name implements detect.Detector.
func (Detector) Name() string { return "rbac" }

// Rules implements detect.Explainer.
func (Detector) Rules() []detect.Rule {
	var rules []detect.Rule
	for _, r := range catalogue() {
		rules = append(rules, r.Rule)
	}
	return rules
}

// Detect implements detect.Detector. Assets without Kubernetes objects get no findings at all.
func (Detector) Detect(_ context.Context, f detect.Facts) (detect.Result, error) {
	kubernetes := len(f.Objects) > 0
	for i := range f.Configs {
		kubernetes = kubernetes || strings.HasPrefix(f.Configs[i].Kind, "kubernetes/") && f.Configs[i].Kind != "kubernetes/kubelet"
	}
	if !kubernetes || f.Asset.Kind != seawall.AssetCluster && f.Asset.Kind != seawall.AssetManifests {
		return detect.Result{}, nil
	}
	a := Analyse(f)
	return detect.Result{Findings: a.Findings(), Partial: strings.Join(a.Problems, "; ")}, nil
}

// judge collects the findings of one analysis.
type judge struct {
	*Analysis
	rules    map[string]rule
	findings []seawall.Finding
	failed   map[string]bool
	// open are rules that a role with every permission breaks without a finding of their own.
	open bool
}

// verdict says what a rule came to where nothing failed.
type verdict struct {
	rule    string
	count   int // what was looked at
	missing string
}

// Findings judges everything, in the order of rules. The same objects give the same findings.
func (a *Analysis) Findings() []seawall.Finding {
	j := &judge{Analysis: a, rules: map[string]rule{}, failed: map[string]bool{}}
	for _, r := range catalogue() {
		j.rules[r.ID] = r
	}
	roles := j.roles()
	bindings := j.bindings()
	j.unused()
	tokens := j.tokens()
	paths := j.paths()
	j.verdicts(roles, bindings, tokens, paths)
	slices.SortStableFunc(j.findings, func(x, y seawall.Finding) int {
		return cmp.Or(strings.Compare(x.Rule, y.Rule), int(y.Severity-x.Severity))
	})
	return j.findings
}

// fail adds a finding of a rule.
func (j *judge) fail(id string, severity seawall.Severity, title, evidence, fix string, locations ...seawall.Location) {
	r := j.rules[id]
	j.failed[id] = true
	remediation := r.Remediation
	if fix != "" {
		remediation += "\n\n" + fix
	}
	j.findings = append(j.findings, seawall.Finding{
		Kind: seawall.KindRBAC, Rule: id, Title: title, Severity: severity, SeveritySource: "seawall", Status: seawall.StatusFail,
		Asset: j.asset, Location: &locations[0], Locations: locations, Evidence: evidence, Remediation: remediation,
		References: r.References, Frameworks: r.Frameworks,
	})
}

// roles judges what roles give; it returns how many were looked at.
func (j *judge) roles() int {
	n := 0
	for _, role := range j.Set.Roles {
		bindings := slices.DeleteFunc(slices.Clone(j.reach[role]), component)
		if len(bindings) == 0 && (len(j.reach[role]) > 0 || systemName(role)) {
			continue // only the control plane has it
		}
		shipped := power.Set(0)
		if role.Default {
			if len(bindings) == 0 {
				continue
			}
			shipped = power.OfRole(access.Shipped(role))
		}
		n++
		if rule := slices.IndexFunc(role.Rules, everything); rule >= 0 {
			j.open = true
			if !role.Default && len(bindings) == 0 {
				j.role(ruleAdmin, role, rule, nil, role.Name+" allows everything")
			}
			continue // its bindings are the finding
		}
		j.judgeRole(role, bindings, shipped)
	}
	return n
}

func everything(r access.Rule) bool {
	return r.From == nil && r.Allows(power.Everything.Requests()[0])
}

// systemName: made by Kubernetes, its installers and distributions for their own parts.
func systemName(role *access.Role) bool {
	return strings.HasPrefix(role.Name, "system:") || strings.HasPrefix(role.Name, "kubeadm:")
}

// judgeRole reports each rule of the catalogue at the first rule of the role that breaks it.
func (j *judge) judgeRole(role *access.Role, bindings []*access.Binding, shipped power.Set) {
	done := map[string]bool{}
	for i := range role.Rules {
		r := &role.Rules[i]
		if r.From != nil {
			continue // judged where it is written
		}
		if wild(r) && !role.Default && !done[ruleWildcard] {
			done[ruleWildcard] = true
			j.role(ruleWildcard, role, i, bindings, role.Kind+" "+role.Name+" uses wildcards")
		}
		have := rulePowers(r) &^ shipped &^ j.gone
		if !clusterwide(bindings, role) {
			have = have.Namespaced()
		}
		for _, c := range powerRules() {
			if have&power.Of(c.powers...) != 0 && len(c.powers) > 0 && !done[c.ID] {
				done[c.ID] = true
				j.role(c.ID, role, i, bindings, fmt.Sprintf("%s %s may %s", role.Kind, role.Name, (have & power.Of(c.powers...)).List()[0]))
			}
		}
	}
}

// clusterwide: bound so, or a ClusterRole nobody binds here.
func clusterwide(bindings []*access.Binding, role *access.Role) bool {
	return len(bindings) == 0 && role.Kind == "ClusterRole" || slices.ContainsFunc(bindings, func(b *access.Binding) bool { return b.Namespace == "" })
}

// role adds a finding about one rule of a role, as severe as its reach.
func (j *judge) role(id string, role *access.Role, i int, bindings []*access.Binding, title string) {
	c := j.rules[id]
	severity := c.inNamespace
	switch {
	case len(bindings) == 0 && j.Live:
		severity = low
		title += ", bound to nobody"
	case len(bindings) > 0 && clusterwide(bindings, role):
		severity = c.Severity
		title += " in the whole cluster"
	case id == ruleWildcard:
		severity = medium
	case id == ruleAdmin: // bound, if at all, outside of these manifests
		severity = high
	}
	evidence := fmt.Sprintf("rules[%d]: %s; %s", i, describe(&role.Rules[i]), held(bindings))
	j.fail(id, severity, title, evidence, narrowed(role, j.resource), j.location(role.Ref, fmt.Sprintf("rules[%d]", i)))
}

// describe writes a rule in one line.
func describe(r *access.Rule) string {
	s := strings.Join(r.Verbs, ",")
	if len(r.NonResourceURLs) > 0 {
		s += " on " + strings.Join(r.NonResourceURLs, ",")
	}
	if len(r.Resources) > 0 {
		s += " on " + strings.Join(r.Resources, ",")
		groups := slices.Clone(r.APIGroups)
		for i, g := range groups {
			if g == "" {
				groups[i] = "core"
			}
		}
		s += " of " + strings.Join(groups, ",")
	}
	if len(r.ResourceNames) > 0 {
		s += " named " + strings.Join(r.ResourceNames, ",")
	}
	return s
}

// held says who has a role, the first few by name.
func held(bindings []*access.Binding) string {
	const show = 3
	var who []string
	n := 0
	for _, b := range bindings {
		for _, s := range b.Subjects {
			if n++; n <= show {
				who = append(who, s.String()+" ("+b.String()+")")
			}
		}
	}
	switch {
	case n == 0:
		return "held by nobody"
	case n > show:
		return fmt.Sprintf("held by %s and %d more", strings.Join(who, ", "), n-show)
	}
	return "held by " + strings.Join(who, ", ")
}

// verdicts adds one finding for every rule that nothing failed: a pass with the
// number of objects looked at, or why it is not known.
func (j *judge) verdicts(roles, bindings, tokens, paths int) {
	access := j.missing(slices.Concat(roleLists, bindingLists)...)
	var list []verdict
	for _, c := range powerRules() {
		list = append(list, verdict{c.ID, roles, access})
	}
	for _, id := range []string{ruleBuiltin, ruleAnonymous, ruleEverybody, ruleDefault, ruleMasters, ruleNobody} {
		list = append(list, verdict{id, bindings, access})
	}
	part := "manifests show only a part of a cluster"
	if j.Live {
		part = ""
	}
	list = append(list,
		verdict{ruleNoRole, bindings, cmp.Or(part, access)},
		verdict{ruleNoAccount, bindings, cmp.Or(part, j.missing(slices.Concat(bindingLists, accountLists)...))},
		verdict{ruleUnusedRole, roles, cmp.Or(part, access)},
		verdict{ruleUnusedAccount, len(j.Set.Accounts), cmp.Or(part, j.missing(slices.Concat(bindingLists, accountLists, workloadLists)...))},
		verdict{ruleToken, tokens, cmp.Or(access, j.missing(slices.Concat(accountLists, workloadLists)...))},
		verdict{rulePodPath, paths, cmp.Or(access, j.missing(slices.Concat(accountLists, workloadLists)...))},
		verdict{ruleEverybodyPath, bindings, access},
	)
	for _, v := range list {
		j.verdict(v)
	}
}

func (j *judge) verdict(v verdict) {
	if j.failed[v.rule] {
		return
	}
	r := j.rules[v.rule]
	f := seawall.Finding{Kind: seawall.KindRBAC, Rule: v.rule, Title: r.Title, Asset: j.asset, Severity: r.Severity, SeveritySource: "seawall",
		Status: seawall.StatusPass, Count: v.count, References: r.References, Frameworks: r.Frameworks}
	switch {
	case v.missing != "":
		f.Status, f.Reason, f.Count = seawall.StatusNotEvaluated, v.missing, 0
	case v.count == 0:
		f.Status, f.Reason = seawall.StatusNotApplicable, "there is nothing here that the rule looks at"
	case j.open && len(r.powers) > 0:
		return // broken by every finding of ruleAdmin, which says so in its frameworks
	}
	j.findings = append(j.findings, f)
}
