package rbac

import (
	"fmt"
	"slices"
	"strings"

	"github.com/seawall-security/seawall/internal/detect/rbac/access"
	"github.com/seawall-security/seawall/internal/detect/rbac/escalation"
	"github.com/seawall-security/seawall/internal/detect/rbac/power"
	"github.com/seawall-security/seawall/internal/detect/rbac/workload"
	"github.com/seawall-security/seawall/internal/seawall"
)

// bindings judges whom roles are given to; it returns how many were looked at.
func (j *judge) bindings() int {
	n := 0
	for _, b := range j.Set.Bindings {
		if component(b) {
			continue
		}
		n++
		if len(b.Subjects) == 0 {
			j.fail(ruleNobody, low, b.Kind+" "+b.Name+" has no subjects", "subjects: []", deleted(b.Ref), j.location(b.Ref, "subjects"))
			continue
		}
		powers := j.powersOf(b)
		if b.Role != nil {
			j.admin(b)
			j.builtin(b, powers)
		}
		for i, s := range b.Subjects {
			if !b.Default || !slices.Contains(access.ShippedSubjects(b), s) {
				j.subject(b, i, s, powers)
			}
		}
	}
	return n
}

// scope says where a binding counts.
func scope(b *access.Binding) string {
	if b.Namespace == "" {
		return "in the whole cluster"
	}
	return "in namespace " + b.Namespace
}

// admin reports everybody who may do everything.
func (j *judge) admin(b *access.Binding) {
	if !slices.ContainsFunc(b.Role.Rules, everything) {
		return
	}
	shipped := []access.Subject(nil)
	if b.Default {
		shipped = access.ShippedSubjects(b)
	}
	account := false
	var who []string
	for _, s := range b.Subjects {
		if slices.Contains(shipped, s) {
			continue
		}
		account = account || s.Kind == access.ServiceAccount || everybody(s) || anonymous(s)
		who = append(who, s.String())
	}
	severity := high
	switch {
	case account && b.Namespace == "":
		severity = critical
	case !account && b.Namespace != "":
		severity = medium
	}
	fix := without(b, func(s access.Subject) bool { return !slices.Contains(shipped, s) })
	j.fail(ruleAdmin, severity, list(who)+" may do everything "+scope(b), fmt.Sprintf("%s gives %s", b, b.Role), fix, j.location(b.Ref, "roleRef"))
	// It breaks every rule about a single power too.
	f := &j.findings[len(j.findings)-1]
	f.Frameworks = slices.Clone(f.Frameworks)
	for _, c := range powerRules() {
		for _, id := range c.Frameworks {
			if !slices.Contains(f.Frameworks, id) {
				f.Frameworks = append(f.Frameworks, id)
			}
		}
	}
}

// list writes names, the first few of many.
func list(names []string) string {
	const show = 3
	if len(names) > show {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:show], ", "), len(names)-show)
	}
	return strings.Join(names, ", ")
}

// builtin reports roles that every cluster has, given to others than they are made for.
func (j *judge) builtin(b *access.Binding, powers power.Set) {
	if !b.Role.Default || b.Default || powers == 0 || slices.ContainsFunc(b.Role.Rules, everything) {
		return
	}
	account := slices.ContainsFunc(b.Subjects, func(s access.Subject) bool { return s.Kind == access.ServiceAccount })
	severity := high
	switch people := b.RoleRef.Name == "admin" || b.RoleRef.Name == "edit"; {
	case people && b.Namespace != "" && !account:
		return // what they are for
	case people && b.Namespace != "":
		severity = medium
	}
	var may []string
	for _, p := range powers.List() {
		may = append(may, p.String())
	}
	j.fail(ruleBuiltin, severity, fmt.Sprintf("%s has the built-in role %s %s", list(names(b.Subjects)), b.RoleRef.Name, scope(b)),
		fmt.Sprintf("%s gives %s, which may %s", b, b.Role, strings.Join(may, ", ")), deleted(b.Ref), j.location(b.Ref, "roleRef"))
}

func names(subjects []access.Subject) []string {
	var list []string
	for _, s := range subjects {
		list = append(list, s.String())
	}
	return list
}

// subject judges one subject of a binding.
func (j *judge) subject(b *access.Binding, i int, s access.Subject, powers power.Set) {
	id, severity, title := "", low, ""
	role := "the missing role " + b.RoleRef.Name
	if b.Role != nil {
		role = b.Role.String()
	}
	switch {
	case anonymous(s) && b.Role != nil:
		id, severity, title = ruleAnonymous, critical, "Requests without any login have "+role+" "+scope(b)
		if powers == 0 && readsOnly(b.Role) {
			severity = high
		}
	case everybody(s) && b.Role != nil:
		id, severity, title = ruleEverybody, medium, s.String()+" has "+role+" "+scope(b)
		switch {
		case powers.Has(power.Everything):
			severity = critical
		case powers != 0:
			severity = high
		}
	case s.Kind == access.ServiceAccount && s.Name == "default" && b.Role != nil:
		id, severity, title = ruleDefault, medium, fmt.Sprintf("The default account of %s has %s %s", s.Namespace, role, scope(b))
		if powers != 0 {
			severity = high
		}
	case s.Kind == access.Group && s.Name == access.Masters:
		id, title = ruleMasters, b.Kind+" "+b.Name+" names the group system:masters"
	}
	if id != "" {
		fix := without(b, func(o access.Subject) bool { return o == s })
		j.fail(id, severity, title, fmt.Sprintf("%s gives %s to %s", b, role, s), fix, j.location(b.Ref, fmt.Sprintf("subjects[%d]", i)))
	}
}

func readsOnly(role *access.Role) bool {
	return !slices.ContainsFunc(role.Rules, func(r access.Rule) bool {
		return slices.ContainsFunc(r.Verbs, func(v string) bool { return v != "get" && v != "list" && v != "watch" })
	})
}

// unused reports what nothing refers to, and references to nothing. Manifests do not show that.
func (j *judge) unused() {
	if !j.Live {
		return
	}
	if j.missing(slices.Concat(roleLists, bindingLists)...) == "" {
		j.unbound()
	}
	accounts := map[access.Subject]bool{}
	for _, a := range j.Set.Accounts {
		accounts[a.Subject()] = true
	}
	if j.missing(slices.Concat(bindingLists, accountLists)...) == "" {
		j.lost(accounts)
	}
	if j.missing(slices.Concat(bindingLists, accountLists, workloadLists)...) == "" {
		j.idle()
	}
}

func (j *judge) unbound() {
	for _, b := range j.Set.Bindings {
		if b.Role == nil && !component(b) && len(b.Subjects) > 0 {
			j.fail(ruleNoRole, low, fmt.Sprintf("%s %s names %s, which does not exist", b.Kind, b.Name, b.RoleRef.Name),
				fmt.Sprintf("roleRef: %s; %s", b.RoleRef, held([]*access.Binding{b})), deleted(b.Ref), j.location(b.Ref, "roleRef"))
		}
	}
	for _, role := range j.Set.Roles {
		// An aggregated role shows its parts; a part serves the role that shows it.
		if role.Default || systemName(role) || len(role.Bindings) > 0 || j.aggregatedInto(role) {
			continue
		}
		j.fail(ruleUnusedRole, low, role.Kind+" "+role.Name+" is not bound", "no RoleBinding and no ClusterRoleBinding names it", deleted(role.Ref), j.location(role.Ref, ""))
	}
}

func (j *judge) aggregatedInto(role *access.Role) bool {
	for label := range role.Labels {
		if strings.HasPrefix(label, "rbac.authorization.k8s.io/aggregate-to-") {
			return true
		}
	}
	return len(j.reach[role]) > len(role.Bindings)
}

// lost reports bindings to accounts that do not exist.
func (j *judge) lost(accounts map[access.Subject]bool) {
	for _, b := range j.Set.Bindings {
		if b.Default || component(b) || b.Role == nil {
			continue
		}
		for i, s := range b.Subjects {
			if s.Kind != access.ServiceAccount || accounts[s] {
				continue
			}
			severity := low
			if j.powersOf(b) != 0 {
				severity = medium
			}
			j.fail(ruleNoAccount, severity, fmt.Sprintf("%s %s names %s, which does not exist", b.Kind, b.Name, s),
				fmt.Sprintf("%s gives %s", b, b.Role), without(b, func(o access.Subject) bool { return o == s }), j.location(b.Ref, fmt.Sprintf("subjects[%d]", i)))
		}
	}
}

// idle reports accounts that no pod runs as.
func (j *judge) idle() {
	used := map[access.Subject]bool{}
	for i := range j.Workloads {
		used[j.Workloads[i].Account] = true
	}
	for _, a := range j.Set.Accounts {
		s := a.Subject()
		if used[s] || s.Name == "default" || s.Namespace == "kube-system" {
			continue
		}
		refs := []access.Ref{a.Ref}
		evidence := "no pod runs as it, and no binding names it"
		if own := j.own(s); len(own) > 0 {
			evidence = "no pod runs as it; " + own[0].String() + " gives it " + own[0].RoleRef.String() + ", for who holds a token of it"
		}
		j.fail(ruleUnusedAccount, low, s.String()+" is not used by any pod", evidence, deleted(refs...), j.location(a.Ref, ""))
	}
}

// own are the bindings that give a subject more than everybody has.
func (a *Analysis) own(s access.Subject) []*access.Binding {
	return slices.DeleteFunc(a.Set.BindingsOf(s), func(b *access.Binding) bool {
		return b.Role == nil || len(b.Role.Rules) == 0 || b.Default && component(b) && b.Namespace == "" && slices.ContainsFunc(b.Subjects, everybody)
	})
}

// tokens reports accounts whose token is in pods though it may nothing; it
// returns how many workloads were looked at.
func (j *judge) tokens() int {
	if j.missing(slices.Concat(roleLists, bindingLists, workloadLists, accountLists)...) != "" {
		return 0
	}
	known := map[access.Subject]bool{}
	for _, a := range j.Set.Accounts {
		known[a.Subject()] = !a.Default
	}
	n := 0
	pods := map[access.Subject][]*workload.Workload{}
	var order []access.Subject
	for i := range j.Workloads {
		w := &j.Workloads[i]
		// Of manifests an account that is not in them may have its bindings elsewhere, too.
		if !j.Live && !known[w.Account] && w.Account.Name != "default" {
			continue
		}
		n++
		if !w.Token || len(j.own(w.Account)) > 0 {
			continue
		}
		if pods[w.Account] == nil {
			order = append(order, w.Account)
		}
		pods[w.Account] = append(pods[w.Account], w)
	}
	for _, account := range order {
		var places []seawall.Location
		fix := noToken(account)
		for _, w := range pods[account] {
			places = append(places, j.location(w.Ref, w.Field+".automountServiceAccountToken"))
			if w.PodSays && w.Kind != "Pod" { // a pod cannot be changed, only made again
				fix += "---\n" + podWithout(w, j.objects[key(w.Ref)].APIVersion)
			}
		}
		j.fail(ruleToken, low, fmt.Sprintf("The token of %s is mounted for nothing", account),
			fmt.Sprintf("%d workloads mount it; no binding gives the account anything", len(places)), fix, places...)
	}
	return n
}

// paths reports the shortest ways to cluster-admin; it returns from how many workloads it looked.
func (j *judge) paths() int {
	n := 0
	found := map[string]int{} // finding by the path's steps
	for i := range j.Workloads {
		w := &j.Workloads[i]
		if w.Namespace == "kube-system" {
			continue // the control plane and its parts
		}
		n++
		path := j.Graph.Path(escalation.WorkloadNode(w))
		if path == nil {
			continue
		}
		place := j.location(w.Ref, w.Field)
		steps := j.steps(path)
		if at, ok := found[steps]; ok {
			f := &j.findings[at]
			f.Locations = append(f.Locations, place)
			f.Title = fmt.Sprintf("A shell in %s or %d more leads to cluster-admin in %s", f.Location.Resource, len(f.Locations)-1, inSteps(len(path)))
			continue
		}
		found[steps] = len(j.findings)
		j.fail(rulePodPath, critical, fmt.Sprintf("A shell in %s leads to cluster-admin in %s", w.Ref, inSteps(len(path))), steps, j.cut(path), place)
	}
	seen := map[access.Subject]bool{}
	for _, b := range j.Set.Bindings {
		for i, s := range b.Subjects {
			if !everybody(s) && !anonymous(s) || seen[s] || component(b) {
				continue
			}
			if path := j.Graph.Path(escalation.SubjectNode(s)); path != nil {
				seen[s] = true
				j.fail(ruleEverybodyPath, critical, fmt.Sprintf("%s can become cluster-admin in %s", s, inSteps(len(path))), j.steps(path), j.cut(path), j.location(b.Ref, fmt.Sprintf("subjects[%d]", i)))
			}
		}
	}
	return n
}

func inSteps(n int) string {
	if n == 1 {
		return "1 step"
	}
	return fmt.Sprint(n, " steps")
}

// steps writes a path, one step after the other.
func (j *judge) steps(path []escalation.Edge) string {
	var steps []string
	for i, e := range path {
		steps = append(steps, fmt.Sprintf("%d. %s", i+1, j.Graph.Step(e)))
	}
	return strings.Join(steps, "\n")
}

// cut is the manifest that cuts a path at its first permission; "" when it has none.
func (j *judge) cut(path []escalation.Edge) string {
	for _, e := range path {
		if e.Grant == nil {
			continue
		}
		g := e.Grant
		if g.Role.Default || slices.ContainsFunc(g.Role.Rules, everything) {
			return without(g.Binding, func(s access.Subject) bool { return s == g.Subject })
		}
		if from := g.Role.Rules[g.Rule].From; from != nil {
			return narrowed(from, j.resource)
		}
		return narrowed(g.Role, j.resource)
	}
	return ""
}
