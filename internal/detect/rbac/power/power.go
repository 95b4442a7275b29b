// Package power names the permissions that give more than they seem to: each is
// a few requests to the API server, any of which is enough. A role is judged once
// for all of them (Of), a subject by what its roles come to.
package power

import (
	"math/bits"
	"strconv"
	"strings"

	"github.com/seawall-security/seawall/internal/detect/rbac/access"
)

// Power is one dangerous permission.
type Power uint8

// The powers. What each is made of stands in table.
const (
	Everything Power = iota
	ReadSecrets
	CreateSecrets
	ChangeSecrets
	CreatePods
	ChangePods
	ChangeWorkloads
	Exec
	ExecByGet
	Forward
	Debug
	CreateTokens
	ImpersonateUsers
	ImpersonateGroups
	ImpersonateAccounts
	EscalateClusterRoles
	EscalateRoles
	BindClusterRoles
	BindRoles
	ChangeClusterRoles
	ChangeRoles
	ChangeClusterBindings
	ChangeBindings
	NodeProxy
	CreateRequests
	ApproveRequests
	ApproveSigner
	SignRequests
	ChangeWebhooks
	ChangeAPIServices
	CreateVolumes
	CreateClaims
	ChangeNodes
	ChangeNamespaces
	DeleteEvents
	count
)

// Set is a set of powers.
type Set uint64

// Gone are powers that an API server of a version does not give any more:
// from 1.35 get is not enough for what opens a connection into a pod
// (feature AuthorizePodWebsocketUpgradeCreatePermission). An unknown version, "", keeps all.
func Gone(version string) Set {
	major, rest, _ := strings.Cut(strings.TrimPrefix(version, "v"), ".")
	minor, _, _ := strings.Cut(rest, ".")
	if n, err := strconv.Atoi(strings.TrimRight(minor, "+")); err == nil && major == "1" && n >= 35 {
		return Of(ExecByGet)
	}
	return 0
}

// Of makes a set.
func Of(powers ...Power) Set {
	var s Set
	for _, p := range powers {
		s |= 1 << p
	}
	return s
}

// Has says whether all of the powers are in the set.
func (s Set) Has(powers ...Power) bool { want := Of(powers...); return s&want == want }

// List lists the powers in order.
func (s Set) List() []Power {
	list := make([]Power, 0, bits.OnesCount64(uint64(s)))
	for p := range count {
		if s.Has(p) {
			list = append(list, p)
		}
	}
	return list
}

const (
	rbac         = "rbac.authorization.k8s.io"
	certificates = "certificates.k8s.io"
	admission    = "admissionregistration.k8s.io"
)

type definition struct {
	name string
	// cluster: only a ClusterRoleBinding gives it, the resource has no namespace.
	cluster  bool
	requests []access.Request
}

// Cluster says whether only a ClusterRoleBinding can give the power.
func (p Power) Cluster() bool { return table[p].cluster }

// String says what the power is, after "may".
func (p Power) String() string { return table[p].name }

// Requests are those that give the power, any one of them. The namespace is not set.
func (p Power) Requests() []access.Request { return table[p].requests }

// Grants says whether a role gives the power, and by which rule.
func (p Power) Grants(role *access.Role) (rule int, ok bool) {
	for _, q := range table[p].requests {
		if i := role.Allows(q); i >= 0 {
			return i, true
		}
	}
	return -1, false
}

// OfRole is every power a role gives where it is bound.
func OfRole(role *access.Role) Set {
	var s Set
	for p := range count {
		if _, ok := p.Grants(role); ok {
			s |= 1 << p
		}
	}
	return s
}

// Namespaced leaves out what a RoleBinding cannot give.
func (s Set) Namespaced() Set {
	for p := range count {
		if table[p].cluster {
			s &^= 1 << p
		}
	}
	return s
}

// ask makes the requests for some verbs on some resources of a group.
func ask(group string, resources []string, verbs ...string) []access.Request {
	var list []access.Request
	for _, resource := range resources {
		for _, verb := range verbs {
			list = append(list, request(verb, group, resource))
		}
	}
	return list
}

func request(verb, group, resource string) access.Request {
	q := access.Request{Verb: verb, Group: group, Resource: resource}
	for i := range len(resource) {
		if resource[i] == '/' {
			q.Resource, q.Subresource = resource[:i], resource[i+1:]
		}
	}
	return q
}

// named adds the same requests for one name, for rules that are limited to it.
func named(list []access.Request, name string) []access.Request {
	for _, q := range list {
		q.Name = name
		list = append(list, q)
	}
	return list
}

func join(lists ...[]access.Request) []access.Request {
	var all []access.Request
	for _, l := range lists {
		all = append(all, l...)
	}
	return all
}

type words = []string

// table follows https://kubernetes.io/docs/concepts/security/rbac-good-practices/
// and, for bind, escalate and impersonate, what the API server checks.
var table = [count]definition{
	Everything:    {"do everything", false, ask("*", words{"*"}, "*")},
	ReadSecrets:   {"read secrets", false, ask("", words{"secrets"}, "get", "list", "watch")},
	CreateSecrets: {"create secrets", false, ask("", words{"secrets"}, "create")},
	ChangeSecrets: {"change or delete secrets", false, ask("", words{"secrets"}, "update", "patch", "delete", "deletecollection")},
	CreatePods:    {"create pods", false, ask("", words{"pods"}, "create")},
	ChangePods:    {"change the image of pods", false, ask("", words{"pods"}, "update", "patch")},
	ChangeWorkloads: {"create or change workloads", false, join(
		ask("apps", words{"deployments", "daemonsets", "statefulsets", "replicasets"}, "create", "update", "patch"),
		ask("batch", words{"jobs", "cronjobs"}, "create", "update", "patch"),
		ask("", words{"replicationcontrollers"}, "create", "update", "patch"))},
	Exec:      {"run commands in pods", false, ask("", words{"pods/exec", "pods/attach"}, "create")},
	ExecByGet: {"run commands in pods", false, ask("", words{"pods/exec", "pods/attach", "pods/portforward"}, "get")},
	Forward: {"reach ports of pods through the API server", false, join(
		ask("", words{"pods/portforward"}, "create"),
		ask("", words{"pods/proxy", "services/proxy"}, "create", "get", "update", "patch", "delete"))},
	Debug:               {"add debug containers to pods", false, ask("", words{"pods/ephemeralcontainers"}, "update", "patch")},
	CreateTokens:        {"create tokens of service accounts", false, ask("", words{"serviceaccounts/token"}, "create")},
	ImpersonateUsers:    {"impersonate users", true, ask("", words{"users"}, "impersonate")},
	ImpersonateGroups:   {"impersonate groups", true, named(ask("", words{"groups"}, "impersonate"), access.Masters)},
	ImpersonateAccounts: {"impersonate service accounts", false, ask("", words{"serviceaccounts"}, "impersonate")},

	EscalateClusterRoles:  {"put any permission into ClusterRoles (escalate)", true, ask(rbac, words{"clusterroles"}, "escalate")},
	EscalateRoles:         {"put any permission into Roles (escalate)", false, ask(rbac, words{"roles"}, "escalate")},
	BindClusterRoles:      {"bind ClusterRoles it does not hold", false, named(ask(rbac, words{"clusterroles"}, "bind"), "cluster-admin")},
	BindRoles:             {"bind Roles it does not hold", false, ask(rbac, words{"roles"}, "bind")},
	ChangeClusterRoles:    {"change ClusterRoles", true, ask(rbac, words{"clusterroles"}, "create", "update", "patch")},
	ChangeRoles:           {"change Roles", false, ask(rbac, words{"roles"}, "create", "update", "patch")},
	ChangeClusterBindings: {"change ClusterRoleBindings", true, ask(rbac, words{"clusterrolebindings"}, "create", "update", "patch")},
	ChangeBindings:        {"change RoleBindings", false, ask(rbac, words{"rolebindings"}, "create", "update", "patch")},

	NodeProxy:       {"reach the kubelet of every node", true, ask("", words{"nodes/proxy"}, "get", "create", "update", "patch", "delete")},
	CreateRequests:  {"request certificates", true, ask(certificates, words{"certificatesigningrequests"}, "create")},
	ApproveRequests: {"approve certificate requests", true, ask(certificates, words{"certificatesigningrequests/approval"}, "update", "patch")},
	ApproveSigner:   {"approve for the signer of client certificates", true, named(named(ask(certificates, words{"signers"}, "approve"), "kubernetes.io/kube-apiserver-client")[:2], "kubernetes.io/*")},
	SignRequests:    {"sign client certificates", true, named(ask(certificates, words{"signers"}, "sign"), "kubernetes.io/kube-apiserver-client")},
	ChangeWebhooks: {"change what admission does to every request", true, ask(admission, words{"mutatingwebhookconfigurations", "validatingwebhookconfigurations",
		"mutatingadmissionpolicies", "mutatingadmissionpolicybindings", "validatingadmissionpolicies", "validatingadmissionpolicybindings"}, "create", "update", "patch", "delete")},
	ChangeAPIServices: {"put a server of its own behind an API group", true, ask("apiregistration.k8s.io", words{"apiservices"}, "create", "update", "patch")},
	CreateVolumes:     {"create PersistentVolumes", true, ask("", words{"persistentvolumes"}, "create")},
	CreateClaims:      {"create PersistentVolumeClaims", false, ask("", words{"persistentvolumeclaims"}, "create")},
	ChangeNodes:       {"change nodes", true, ask("", words{"nodes", "nodes/status"}, "update", "patch", "delete")},
	ChangeNamespaces:  {"change namespaces and their security labels", false, ask("", words{"namespaces"}, "update", "patch")},
	DeleteEvents:      {"delete events", false, join(ask("", words{"events"}, "delete", "deletecollection"), ask("events.k8s.io", words{"events"}, "delete", "deletecollection"))},
}
