package escalation

import (
	"cmp"
	"slices"
	"strings"

	"github.com/seawall-security/seawall/internal/detect/rbac/access"
	"github.com/seawall-security/seawall/internal/detect/rbac/power"
	"github.com/seawall-security/seawall/internal/detect/rbac/workload"
)

type builder struct {
	*Graph
	in    Input
	masks map[*access.Role]power.Set
	// accounts by namespace, all of them under "".
	accounts map[string][]access.Subject
}

// holder is what one subject may do in one scope; namespace "" is the cluster.
type holder struct {
	subject   access.Subject
	namespace string
	powers    power.Set
	bindings  []*access.Binding // that count in the scope
}

func (b *builder) mask(role *access.Role) power.Set {
	m, ok := b.masks[role]
	if !ok {
		m = power.OfRole(role) &^ b.in.Gone
		b.masks[role] = m
	}
	return m
}

// subjects adds the edges of everybody's permissions.
func (b *builder) subjects() {
	for _, s := range b.in.Set.Subjects() {
		if s.Kind == access.ServiceAccount {
			b.accounts[""] = append(b.accounts[""], s)
			b.accounts[s.Namespace] = append(b.accounts[s.Namespace], s)
		}
		cluster := holder{subject: s}
		spaces := map[string]*holder{}
		var order []string
		for _, binding := range b.in.Set.BindingsOf(s) {
			if binding.Role == nil {
				continue
			}
			m := b.mask(binding.Role)
			if binding.Namespace == "" {
				cluster.powers |= m
				cluster.bindings = append(cluster.bindings, binding)
				continue
			}
			h := spaces[binding.Namespace]
			if h == nil {
				h = &holder{subject: s, namespace: binding.Namespace}
				spaces[binding.Namespace] = h
				order = append(order, binding.Namespace)
			}
			h.powers |= m.Namespaced()
			h.bindings = append(h.bindings, binding)
		}
		b.clusterPowers(&cluster)
		b.powers(&cluster)
		slices.Sort(order)
		for _, name := range order {
			h := spaces[name]
			if h.powers&^cluster.powers == 0 {
				continue // nothing the cluster-wide bindings do not give
			}
			h.powers |= cluster.powers
			h.bindings = append(h.bindings, cluster.bindings...)
			b.powers(h)
		}
		b.names(s)
	}
}

// prove finds the objects that give powers.
func (b *builder) prove(h *holder, powers ...power.Power) (refs []access.Ref, grant *access.Grant) {
	for _, p := range powers {
		for _, binding := range h.bindings {
			if !b.mask(binding.Role).Has(p) || p.Cluster() && binding.Namespace != "" {
				continue
			}
			rule, _ := p.Grants(binding.Role)
			g := access.Grant{Subject: h.subject, Binding: binding, Role: binding.Role, Rule: rule}
			for _, ref := range g.Objects() {
				if !slices.Contains(refs, ref) {
					refs = append(refs, ref)
				}
			}
			if grant == nil {
				grant = &g
			}
			break
		}
	}
	return refs, grant
}

// step adds an edge if the holder has all the powers.
func (b *builder) step(h *holder, to Node, why string, powers ...power.Power) {
	if !h.powers.Has(powers...) {
		return
	}
	refs, grant := b.prove(h, powers...)
	b.edge(SubjectNode(h.subject), to, why, refs, grant)
}

// clusterPowers are those that lead straight to cluster-admin or to nodes.
func (b *builder) clusterPowers(h *holder) {
	admin := Node{Kind: KindAdmin}
	b.step(h, admin, "may do everything in the cluster", power.Everything)
	b.step(h, admin, "may impersonate the group "+access.Masters, power.ImpersonateUsers, power.ImpersonateGroups)
	b.step(h, admin, "may put any permission into a ClusterRole, also one everybody is bound to", power.EscalateClusterRoles, power.ChangeClusterRoles)
	b.step(h, admin, "may bind itself to the ClusterRole cluster-admin", power.BindClusterRoles, power.ChangeClusterBindings)
	b.step(h, admin, "may impersonate every user, those of the control plane included", power.ImpersonateUsers)
	b.step(h, admin, "may approve its own certificate for any user", power.CreateRequests, power.ApproveRequests, power.ApproveSigner)
	b.step(h, admin, "may put a webhook or policy before every request, which sees and rewrites it", power.ChangeWebhooks)
	b.step(h, admin, "may put a server of its own behind an API group, which is sent the requests of the control plane", power.ChangeAPIServices)
	b.step(h, Node{Kind: KindExec}, "may have every kubelet run commands in its pods", power.NodeProxy)
}

// powers are those that count in a namespace as in the cluster.
func (b *builder) powers(h *holder) {
	ns := h.namespace
	for _, p := range []struct {
		to     string
		why    string
		powers []power.Power
	}{
		{KindNamespace, "may do everything in the namespace", []power.Power{power.Everything}},
		{KindNamespace, "may bind itself to a role that may do everything", []power.Power{power.BindClusterRoles, power.ChangeBindings}},
		{KindNamespace, "may bind itself to any Role, and put any permission into it", []power.Power{power.EscalateRoles, power.ChangeRoles}},
		{KindPods, "may create pods", []power.Power{power.CreatePods}},
		{KindPods, "may create or change workloads", []power.Power{power.ChangeWorkloads}},
		{KindTokens, "may create tokens for any account", []power.Power{power.CreateTokens}},
		{KindTokens, "may impersonate any account", []power.Power{power.ImpersonateAccounts}},
		{KindTokens, "may create a Secret with a token of any account and read it", []power.Power{power.CreateSecrets, power.ReadSecrets}},
		{KindExec, "may run commands in pods", []power.Power{power.Exec}},
		{KindExec, "may run commands in pods, by get", []power.Power{power.ExecByGet}},
		{KindExec, "may add debug containers to pods", []power.Power{power.Debug}},
		{KindExec, "may change the image of pods", []power.Power{power.ChangePods}},
		{KindSecrets, "may read secrets", []power.Power{power.ReadSecrets}},
	} {
		if ns == "" && p.to == KindNamespace && p.powers[0] == power.Everything {
			continue // cluster-admin already
		}
		b.step(h, Node{Kind: p.to, Namespace: ns}, p.why, p.powers...)
	}
	pods := h.powers.Has(power.CreatePods) || h.powers.Has(power.ChangeWorkloads)
	which := power.CreatePods
	if !h.powers.Has(which) {
		which = power.ChangeWorkloads
	}
	switch host := (Node{Kind: KindNode, Name: AnyNode}); {
	case !pods:
	case h.powers.Has(power.ChangeNamespaces):
		b.step(h, host, "may create privileged pods, having changed the namespace's labels if need be", which, power.ChangeNamespaces)
	case h.powers.Has(power.CreateVolumes, power.CreateClaims):
		b.step(h, host, "may mount any directory of a node through a PersistentVolume", which, power.CreateVolumes, power.CreateClaims)
	}
}

// names adds what is allowed for named objects only: impersonation of those, and secrets that hold tokens.
func (b *builder) names(s access.Subject) {
	for _, binding := range b.in.Set.BindingsOf(s) {
		if binding.Role == nil {
			continue
		}
		for i := range binding.Role.Rules {
			rule := &binding.Role.Rules[i]
			for _, name := range rule.ResourceNames {
				b.named(s, binding, i, rule, name)
			}
		}
	}
}

func (b *builder) named(s access.Subject, binding *access.Binding, i int, rule *access.Rule, name string) {
	grant := access.Grant{Subject: s, Binding: binding, Role: binding.Role, Rule: i}
	to := func(target access.Subject, why string) {
		b.edge(SubjectNode(s), SubjectNode(target), why, grant.Objects(), &grant)
	}
	if binding.Namespace == "" && rule.Allows(access.Request{Verb: "impersonate", Resource: "users", Name: name}) {
		to(userOf(name), "may impersonate it")
	}
	if binding.Namespace == "" {
		return
	}
	account := access.Subject{Kind: access.ServiceAccount, Namespace: binding.Namespace, Name: name}
	if rule.Allows(access.Request{Verb: "impersonate", Resource: "serviceaccounts", Name: name}) {
		to(account, "may impersonate it")
	}
	if rule.Allows(access.Request{Verb: "create", Resource: "serviceaccounts", Subresource: "token", Name: name}) {
		to(account, "may create tokens for it")
	}
	secret := access.Ref{Kind: "Secret", Namespace: binding.Namespace, Name: name}
	if owner, ok := b.in.TokenSecrets[secret]; ok && rule.Allows(access.Request{Verb: "get", Resource: "secrets", Name: name}) {
		to(owner, "may read its token in the Secret "+name)
	}
}

// userOf is the subject behind a user name.
func userOf(name string) access.Subject {
	if rest, ok := strings.CutPrefix(name, "system:serviceaccount:"); ok {
		if namespace, account, ok := strings.Cut(rest, ":"); ok {
			return access.Subject{Kind: access.ServiceAccount, Namespace: namespace, Name: account}
		}
	}
	return access.Subject{Kind: access.User, Name: name}
}

// workloads adds what a shell in a pod has.
func (b *builder) workloads() {
	for i := range b.in.Workloads {
		w := &b.in.Workloads[i]
		from := WorkloadNode(w)
		b.node(from)
		if w.Token {
			b.edge(from, SubjectNode(w.Account), "its token is mounted", []access.Ref{w.Ref}, nil)
		}
		if len(w.Host) > 0 {
			b.edge(from, Node{Kind: KindNode, Name: cmp.Or(w.Node, SomeNode)}, w.Host[0].What, []access.Ref{w.Ref}, nil)
			b.everywhere(w)
		}
		for _, name := range w.Secrets {
			secret := access.Ref{Kind: "Secret", Namespace: w.Namespace, Name: name}
			if owner, ok := b.in.TokenSecrets[secret]; ok {
				b.edge(from, SubjectNode(owner), "mounts its token from the Secret "+name, []access.Ref{w.Ref, secret}, nil)
			}
		}
	}
}

// everywhere adds the nodes of the control plane that a DaemonSet runs on.
func (b *builder) everywhere(w *workload.Workload) {
	if !w.EveryNode {
		return
	}
	for _, name := range b.nodes() {
		if b.in.ControlPlane[name] && w.Tolerates(b.in.Taints[name]) {
			node := access.Ref{Kind: "Node", Name: name}
			b.edge(WorkloadNode(w), Node{Kind: KindNode, Name: name}, w.Host[0].What+", and one of its pods is on this node", []access.Ref{w.Ref, node}, nil)
		}
	}
}

// nodes are the names of the nodes that are known, in order.
func (b *builder) nodes() []string {
	names := make([]string, 0, len(b.in.ControlPlane))
	for name := range b.in.ControlPlane {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// positions adds what follows from the positions that came up so far.
func (b *builder) positions() {
	for i := 0; i < len(b.Nodes); i++ { // the list grows
		switch n := b.Nodes[i]; n.Kind {
		case KindNamespace:
			b.edge(n, Node{Kind: KindPods, Namespace: n.Namespace}, "may create pods there", nil, nil)
		case KindPods:
			b.edge(n, Node{Kind: KindTokens, Namespace: n.Namespace}, "a pod names the account it runs as", nil, nil)
			switch refuses, known := b.in.Restricted[n.Namespace]; {
			case n.Namespace == "":
				b.edge(n, Node{Kind: KindNode, Name: AnyNode}, "privileged pods are not refused in kube-system, and a pod may name its node", nil, nil)
			case known && !refuses:
				b.edge(n, Node{Kind: KindNode, Name: AnyNode}, "no label of the namespace refuses privileged pods, and a pod may name its node", []access.Ref{{Kind: "Namespace", Name: n.Namespace}}, nil)
			}
		case KindTokens:
			for _, s := range b.accounts[n.Namespace] {
				b.edge(n, SubjectNode(s), "it is one of those accounts", nil, nil)
			}
		case KindSecrets:
			for _, ref := range b.tokenSecrets() {
				if n.Namespace == "" || n.Namespace == ref.Namespace {
					b.edge(n, SubjectNode(b.in.TokenSecrets[ref]), "its token is in the Secret "+ref.Name, []access.Ref{ref}, nil)
				}
			}
		case KindExec:
			for j := range b.in.Workloads {
				if w := &b.in.Workloads[j]; n.Namespace == "" || n.Namespace == w.Namespace {
					b.edge(n, WorkloadNode(w), "it is one of those pods", []access.Ref{w.Ref}, nil)
				}
			}
		case KindNode:
			b.host(n)
		}
	}
}

// host is root on a node: the tokens of its pods, and on a node of the control plane the cluster's keys.
func (b *builder) host(n Node) {
	admin := Node{Kind: KindAdmin}
	switch {
	case b.in.ControlPlane[n.Name]:
		b.edge(n, admin, "the node runs the control plane and holds its keys", []access.Ref{{Kind: "Node", Name: n.Name}}, nil)
	case n.Name == AnyNode && b.in.ControlPlane == nil && !b.in.Managed:
		b.edge(n, admin, "a node of the control plane holds the cluster's keys", nil, nil)
	case n.Name == AnyNode:
		for _, name := range b.nodes() {
			b.edge(n, Node{Kind: KindNode, Name: name}, "it is one of the nodes", []access.Ref{{Kind: "Node", Name: name}}, nil)
		}
	}
	for i := range b.in.Workloads {
		w := &b.in.Workloads[i]
		switch {
		case !w.Token:
		case n.Name == AnyNode:
			b.edge(n, SubjectNode(w.Account), "its token lies on the node of a pod that has it", []access.Ref{w.Ref}, nil)
		case w.Node == n.Name && w.Node != "":
			b.edge(n, SubjectNode(w.Account), "its token lies there, a pod has it", []access.Ref{w.Ref}, nil)
		case w.EveryNode:
			b.edge(n, SubjectNode(w.Account), "its token lies there, a pod on every node has it", []access.Ref{w.Ref}, nil)
		}
	}
}

func (b *builder) tokenSecrets() []access.Ref {
	refs := make([]access.Ref, 0, len(b.in.TokenSecrets))
	for ref := range b.in.TokenSecrets {
		refs = append(refs, ref)
	}
	slices.SortFunc(refs, func(a, b access.Ref) int { return strings.Compare(a.String(), b.String()) })
	return refs
}
