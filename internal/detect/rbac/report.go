package rbac

import (
	"cmp"
	"slices"
	"strings"

	"github.com/seawall-security/seawall/internal/detect/rbac/access"
	"github.com/seawall-security/seawall/internal/detect/rbac/escalation"
	"github.com/seawall-security/seawall/internal/detect/rbac/power"
	"github.com/seawall-security/seawall/internal/seawall"
)

// Report is an Analysis as people and programs read it.
type Report struct {
	Asset string `json:"asset"`
	Name  string `json:"name"`
	// Subjects are those with permissions and the accounts that run workloads, the most dangerous first.
	Subjects []SubjectReport `json:"subjects"`
	// Findings are those that fail.
	Findings []seawall.Finding `json:"findings"`
	// Unread is what could not be read, so that something may be missing here.
	Unread   []string `json:"unread"`
	Problems []string `json:"problems"`
}

// SubjectReport is what one subject may do.
type SubjectReport struct {
	access.Subject
	// Risk is how bad it is when somebody else acts as the subject.
	Risk seawall.Severity `json:"risk"`
	// System: only the control plane and nodes have this identity.
	System bool `json:"system,omitempty"`
	// Powers are the dangerous permissions.
	Powers []Held `json:"powers"`
	// Permissions are all, one entry for each rule of each role it has.
	Permissions []Permission `json:"permissions"`
	// Workloads run as the account.
	Workloads []access.Ref `json:"workloads,omitempty"`
	// Path is the shortest way to cluster-admin, nil when there is none.
	Path []Step `json:"path,omitempty"`
}

// Held is a power and the namespace it is held in, "" for the whole cluster.
type Held struct {
	Power     string `json:"power"`
	Namespace string `json:"namespace"`
}

// Permission is a rule that a subject holds in a namespace, "" for the whole cluster.
type Permission struct {
	Namespace string `json:"namespace"`
	access.Rule
	Via []access.Ref `json:"via"`
}

// Step is one step of a path.
type Step struct {
	Position string       `json:"position"`
	Why      string       `json:"why"`
	Proof    []access.Ref `json:"proof,omitempty"`
}

// Report puts everything together, ordered by risk.
func (a *Analysis) Report() *Report {
	r := &Report{Asset: a.asset, Name: a.name, Unread: a.Unread(), Problems: a.Problems}
	for _, f := range a.Findings() {
		if f.Status == seawall.StatusFail {
			r.Findings = append(r.Findings, f)
		}
	}
	slices.SortStableFunc(r.Findings, func(x, y seawall.Finding) int { return int(y.Severity - x.Severity) })
	running := map[access.Subject][]access.Ref{}
	for i := range a.Workloads {
		w := &a.Workloads[i]
		running[w.Account] = append(running[w.Account], w.Ref)
	}
	for _, s := range a.Set.Subjects() {
		if !a.Live && !a.written[s] {
			continue // every cluster has it, the manifests do not
		}
		r.Subjects = append(r.Subjects, a.subject(s, running[s]))
	}
	slices.SortStableFunc(r.Subjects, func(x, y SubjectReport) int {
		return cmp.Or(boolInt(x.System)-boolInt(y.System), int(y.Risk-x.Risk), pathLength(x)-pathLength(y), len(y.Powers)-len(x.Powers))
	})
	return r
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

func pathLength(s SubjectReport) int {
	if s.Path == nil {
		return 1 << 20
	}
	return len(s.Path)
}

func (a *Analysis) subject(s access.Subject, workloads []access.Ref) SubjectReport {
	out := SubjectReport{Subject: s, System: systemIdentity(s), Workloads: workloads, Path: a.Steps(escalation.SubjectNode(s)), Powers: []Held{}, Permissions: []Permission{}}
	seen := map[Held]bool{}
	for _, b := range a.BindingsOf(s) {
		if b.Role == nil {
			continue
		}
		for i := range b.Role.Rules {
			g := access.Grant{Subject: s, Binding: b, Role: b.Role, Rule: i}
			out.Permissions = append(out.Permissions, Permission{Namespace: b.Namespace, Rule: b.Role.Rules[i], Via: g.Objects()})
		}
		powers := a.powersOf(b)
		out.Risk = max(out.Risk, risk(powers, b.Namespace))
		if powers.Has(power.Everything) {
			powers = power.Of(power.Everything) // which says it all
		}
		for _, p := range powers.List() {
			if h := (Held{p.String(), b.Namespace}); !seen[h] {
				seen[h] = true
				out.Powers = append(out.Powers, h)
			}
		}
	}
	slices.SortStableFunc(out.Powers, func(x, y Held) int { return strings.Compare(x.Namespace, y.Namespace) })
	if out.Path != nil {
		out.Risk = seawall.SeverityCritical
	}
	if out.Risk == seawall.SeverityUnknown {
		out.Risk = seawall.SeverityNegligible
	}
	return out
}

// risk is the worst severity of rules about these powers.
func risk(powers power.Set, namespace string) seawall.Severity {
	worst := seawall.SeverityUnknown
	if powers.Has(power.Everything) {
		worst = high
	}
	for _, c := range powerRules() {
		switch {
		case len(c.powers) == 0 || powers&power.Of(c.powers...) == 0:
		case namespace == "":
			worst = max(worst, c.Severity)
		default:
			worst = max(worst, c.inNamespace)
		}
	}
	return worst
}

// Steps is the shortest way from a position to cluster-admin; nil when there is none.
func (a *Analysis) Steps(from escalation.Node) []Step {
	var steps []Step
	for _, e := range a.Graph.Path(from) {
		steps = append(steps, Step{Position: a.Graph.Nodes[e.To].String(), Why: e.Why, Proof: e.Proof})
	}
	return steps
}

// Starts are the positions an attacker may begin at: workloads and subjects that
// are not the control plane's own.
func (a *Analysis) Starts() []escalation.Node {
	var list []escalation.Node
	for i := range a.Workloads {
		if w := &a.Workloads[i]; w.Namespace != "kube-system" {
			list = append(list, escalation.WorkloadNode(w))
		}
	}
	for _, s := range a.Set.Subjects() {
		if !systemIdentity(s) && (a.Live || a.written[s]) {
			list = append(list, escalation.SubjectNode(s))
		}
	}
	return list
}

// UnreadAccess lists the lists of roles and bindings that could not be read.
func (a *Analysis) UnreadAccess() []string {
	var reasons []string
	for _, list := range slices.Concat(roleLists, bindingLists) {
		if reason := a.missing(list); reason != "" {
			reasons = append(reasons, reason)
		}
	}
	return reasons
}

// Bindings are those that were read: of manifests not the ones every cluster has.
func (a *Analysis) Bindings() []*access.Binding { return a.present(a.Set.Bindings) }

// BindingsOf are those of Bindings that name the subject or a group it is certain to be in.
func (a *Analysis) BindingsOf(s access.Subject) []*access.Binding {
	return a.present(a.Set.BindingsOf(s))
}

func (a *Analysis) present(bindings []*access.Binding) []*access.Binding {
	if a.Live {
		return bindings
	}
	return slices.DeleteFunc(slices.Clone(bindings), a.implied)
}

// implied: every cluster has it, what was read does not.
func (a *Analysis) implied(b *access.Binding) bool {
	return b.Default && a.objects[key(b.Ref)] == nil
}

// WhoCan lists the grants of Bindings that allow a request.
func (a *Analysis) WhoCan(q access.Request) []access.Grant {
	grants := a.Set.WhoCan(q)
	if a.Live {
		return grants
	}
	return slices.DeleteFunc(grants, func(g access.Grant) bool { return a.implied(g.Binding) })
}

// Members are the grants that known accounts have by being in groups that are granted.
func (a *Analysis) Members(grants []access.Grant) []access.Grant {
	var list []access.Grant
	for _, s := range a.Set.Subjects() {
		if s.Kind != access.ServiceAccount || !a.Live && !a.written[s] {
			continue
		}
		for _, g := range grants {
			if g.Subject.Kind == access.Group && slices.Contains(s.Groups(), g.Subject.Name) {
				g.Subject = s
				list = append(list, g)
			}
		}
	}
	return list
}

// InSomeNamespaces is, of a request about all namespaces, who may in one of them only; the
// namespace is that of the grant.
func (a *Analysis) InSomeNamespaces(q access.Request) []Scoped {
	everywhere := map[access.Subject]bool{}
	for _, g := range a.WhoCan(q) {
		everywhere[g.Subject] = true
	}
	var list []Scoped
	for _, b := range a.Set.Bindings {
		if b.Namespace == "" || b.Role == nil || b.Default || b.Role.Allows(q) < 0 {
			continue
		}
		for _, s := range b.Subjects {
			if !everywhere[s] {
				everywhere[s] = true
				list = append(list, Scoped{s, b.Namespace})
			}
		}
	}
	return list
}

// Scoped is a subject in a namespace.
type Scoped struct {
	Subject   access.Subject
	Namespace string
}
