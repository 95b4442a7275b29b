// Package rbac finds permissions that are too wide, shows how far an attacker
// gets with them, and writes what to change.
//
// Analyse reads the objects of manifests or a cluster into an Analysis: who may
// do what (access), which of it is dangerous (power), what runs as whom
// (workload), and the shortest ways to cluster-admin (escalation). The Detector
// turns it into findings; 'seawall rbac' shows it whole (view draws it).
//
// A role is judged once, by what its rules give, and its severity is the reach
// of its bindings: a ClusterRoleBinding gives it in the whole cluster. What every
// cluster brings (roles and bindings of the control plane) is no finding while
// it is as it was shipped. Where a list could not be read, what was read is
// still judged, and what it would take the rest to know is not evaluated.
//
// Every fix is a manifest in the finding's remediation; its first line is the
// command it is for. A narrowed role keeps everything but what is dangerous.
package rbac

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/seawall-security/seawall/internal/detect"
	"github.com/seawall-security/seawall/internal/detect/rbac/access"
	"github.com/seawall-security/seawall/internal/detect/rbac/escalation"
	"github.com/seawall-security/seawall/internal/detect/rbac/power"
	"github.com/seawall-security/seawall/internal/detect/rbac/workload"
	"github.com/seawall-security/seawall/internal/seawall"
)

// Analysis is all that is known about the access of one cluster or set of manifests.
type Analysis struct {
	Set       *access.Set
	Workloads []workload.Workload
	Graph     *escalation.Graph
	// Live: a cluster was looked at, not manifests.
	Live bool
	// Problems are sentences about objects that could not be read or count for less than they say.
	Problems []string

	asset    string
	name     string
	gone     power.Set // what the version does not give
	masks    map[*access.Role]power.Set
	written  map[access.Subject]bool        // by what was read
	objects  map[access.Ref]*seawall.Object // by kind, namespace and name
	read     map[string]bool                // lists that were read, of a cluster
	unread   map[string]string              // why lists were not
	reach    map[*access.Role][]*access.Binding
	resource []access.Resource
}

// The lists that rules need, as kubernetes/read names them.
var (
	roleLists     = []string{"roles.rbac.authorization.k8s.io", "clusterroles.rbac.authorization.k8s.io"}
	bindingLists  = []string{"rolebindings.rbac.authorization.k8s.io", "clusterrolebindings.rbac.authorization.k8s.io"}
	accountLists  = []string{"serviceaccounts"}
	workloadLists = []string{"pods", "replicationcontrollers", "deployments.apps", "daemonsets.apps", "statefulsets.apps", "replicasets.apps", "jobs.batch", "cronjobs.batch"}
)

// Analyse looks at the facts of one asset.
func Analyse(f detect.Facts) *Analysis {
	a := &Analysis{asset: f.Asset.ID, name: f.Asset.Name, objects: map[access.Ref]*seawall.Object{}, read: map[string]bool{}, unread: map[string]string{}, reach: map[*access.Role][]*access.Binding{},
		masks: map[*access.Role]power.Set{}, written: map[access.Subject]bool{}}
	managed := false
	for _, c := range f.Configs {
		switch c.Kind {
		case "kubernetes/read":
			if ns := c.Data["namespace"]; ns != "" {
				a.unread[c.Data["resource"]] = "only namespace " + ns + " was looked at"
			} else {
				a.read[c.Data["resource"]] = true
			}
		case "kubernetes/unread":
			reason := c.Data["reason"]
			if ns := c.Data["namespace"]; ns != "" {
				reason = "in " + ns + ": " + reason
			}
			a.unread[c.Data["resource"]] = reason
		case "kubernetes/version":
			managed = c.Data["managed"] == "true"
			a.gone = power.Gone(c.Data["version"])
		}
	}
	a.Live = len(a.read)+len(a.unread) > 0
	for i := range f.Objects {
		o := &f.Objects[i]
		a.objects[access.Ref{Kind: o.Kind, Namespace: o.Namespace, Name: o.Name}] = o
	}
	a.Set, a.Problems = access.Read(f.Objects, access.Options{Live: a.Live, Defaults: true})
	var problems []string
	a.Workloads, problems = workload.Read(f.Objects, a.Set)
	a.Problems = append(a.Problems, problems...)
	a.resource = a.Set.Resources()
	for _, b := range a.Bindings() {
		for _, s := range b.Subjects {
			a.written[s] = true
		}
	}
	for _, account := range a.Set.Accounts {
		a.written[account.Subject()] = a.written[account.Subject()] || !account.Default
	}
	a.reaches()
	a.Graph = escalation.New(a.surroundings(f.Objects, managed))
	return a
}

// reaches notes, for every role, the bindings that give its rules: its own and
// those of the roles that aggregate it.
func (a *Analysis) reaches() {
	for _, role := range a.Set.Roles {
		a.reach[role] = append(a.reach[role], role.Bindings...)
		if !role.Aggregated {
			continue
		}
		seen := map[*access.Role]bool{}
		for i := range role.Rules {
			if from := role.Rules[i].From; from != nil && !seen[from] {
				seen[from] = true
				a.reach[from] = append(a.reach[from], role.Bindings...)
			}
		}
	}
}

// surroundings are what the graph needs of objects that are not about access.
func (a *Analysis) surroundings(objects []seawall.Object, managed bool) escalation.Input {
	in := escalation.Input{Gone: a.gone, Set: a.Set, Workloads: a.Workloads, Managed: managed, Restricted: map[string]bool{}, Taints: map[string][]workload.Taint{}, TokenSecrets: map[access.Ref]access.Subject{}}
	if a.read["nodes"] {
		in.ControlPlane = map[string]bool{}
	}
	for i := range objects {
		o := &objects[i]
		switch {
		case o.APIVersion != "v1":
		case o.Kind == "Node":
			if in.ControlPlane == nil {
				in.ControlPlane = map[string]bool{}
			}
			in.Taints[o.Name] = taints(o)
			labels := meta(o).Labels
			_, plane := labels["node-role.kubernetes.io/control-plane"]
			_, master := labels["node-role.kubernetes.io/master"]
			in.ControlPlane[o.Name] = plane || master
		case o.Kind == "Namespace":
			level := meta(o).Labels["pod-security.kubernetes.io/enforce"]
			in.Restricted[o.Name] = level == "baseline" || level == "restricted"
		case o.Kind == "Secret":
			if m := meta(o); m.Type == "kubernetes.io/service-account-token" && m.Annotations["kubernetes.io/service-account.name"] != "" {
				in.TokenSecrets[access.Ref{Kind: "Secret", Namespace: o.Namespace, Name: o.Name}] =
					access.Subject{Kind: access.ServiceAccount, Namespace: o.Namespace, Name: m.Annotations["kubernetes.io/service-account.name"]}
			}
		}
	}
	return in
}

type objectMeta struct {
	Labels, Annotations map[string]string
	Type                string
}

func meta(o *seawall.Object) objectMeta {
	var m struct {
		Metadata objectMeta `json:"metadata"`
		Type     string     `json:"type"`
	}
	if json.Unmarshal(o.JSON, &m) != nil {
		return objectMeta{}
	}
	m.Metadata.Type = m.Type
	return m.Metadata
}

func taints(o *seawall.Object) []workload.Taint {
	var node struct {
		Spec struct {
			Taints []workload.Taint `json:"taints"`
		} `json:"spec"`
	}
	if json.Unmarshal(o.JSON, &node) != nil {
		return []workload.Taint{{Effect: "unreadable"}} // nothing tolerates it
	}
	return node.Spec.Taints
}

// missing says why lists were not read; "" when all were, or when manifests are looked at.
func (a *Analysis) missing(lists ...string) string {
	if !a.Live {
		return ""
	}
	var reasons []string
	for _, list := range lists {
		switch reason, failed := a.unread[list]; {
		case failed:
			reasons = append(reasons, list+" could not be read: "+reason)
		case !a.read[list]:
			reasons = append(reasons, list+" was not listed")
		}
	}
	return strings.Join(reasons, "; ")
}

// Unread lists what could not be read and matters here.
func (a *Analysis) Unread() []string {
	var reasons []string
	for _, list := range slices.Concat(roleLists, bindingLists, accountLists, workloadLists) {
		if reason := a.missing(list); reason != "" {
			reasons = append(reasons, reason)
		}
	}
	return reasons
}

// powersOf is what a role gives in this cluster where it is bound.
func (a *Analysis) powersOf(b *access.Binding) power.Set {
	if b.Role == nil {
		return 0
	}
	powers, ok := a.masks[b.Role]
	if !ok {
		powers = power.OfRole(b.Role) &^ a.gone
		a.masks[b.Role] = powers
	}
	if b.Namespace != "" {
		powers = powers.Namespaced()
	}
	return powers
}

// key identifies an object whatever its place.
func key(r access.Ref) access.Ref {
	return access.Ref{Kind: r.Kind, Namespace: r.Namespace, Name: r.Name}
}

// location is the place of a field of an object.
func (a *Analysis) location(ref access.Ref, field string) seawall.Location {
	if o := a.objects[key(ref)]; o != nil {
		return o.Location(field)
	}
	return seawall.Location{Path: ref.Path, Line: ref.Line, Resource: ref.String(), Field: field}
}

// component says whether a binding only serves the control plane: one as the
// API server ships it, or one of its identities bound to a role made for it.
func component(b *access.Binding) bool {
	if b.Default {
		shipped := access.ShippedSubjects(b)
		return !slices.ContainsFunc(b.Subjects, func(s access.Subject) bool { return !slices.Contains(shipped, s) })
	}
	if b.Name == "kubeadm:cluster-admins" && b.RoleRef.Name == "cluster-admin" {
		return !slices.ContainsFunc(b.Subjects, func(s access.Subject) bool { return s.Kind != access.Group || s.Name != b.Name })
	}
	system := strings.HasPrefix(b.RoleRef.Name, "system:") || strings.HasPrefix(b.RoleRef.Name, "kubeadm:")
	return system && len(b.Subjects) > 0 && !slices.ContainsFunc(b.Subjects, func(s access.Subject) bool { return !systemIdentity(s) })
}

// systemIdentity: a user, group or account that only the control plane and nodes have.
func systemIdentity(s access.Subject) bool {
	switch s.Kind {
	case access.ServiceAccount:
		return s.Namespace == "kube-system" && s.Name != "default"
	case access.Group:
		return strings.HasPrefix(s.Name, "system:") && !everybody(s) || strings.HasPrefix(s.Name, "kubeadm:")
	}
	return strings.HasPrefix(s.Name, "system:") && s.Name != access.Anonymous
}

// everybody: groups that hold more than somebody chose.
func everybody(s access.Subject) bool {
	return s.Kind == access.Group && (s.Name == access.Authenticated || s.Name == access.Unauthenticated || s.Name == access.AllAccounts || strings.HasPrefix(s.Name, access.AllAccounts+":"))
}

func anonymous(s access.Subject) bool {
	return s.Kind == access.User && s.Name == access.Anonymous || s.Kind == access.Group && s.Name == access.Unauthenticated
}
