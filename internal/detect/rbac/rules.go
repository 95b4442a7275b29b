package rbac

import (
	"github.com/seawall-security/seawall/internal/detect"
	"github.com/seawall-security/seawall/internal/detect/rbac/power"
	"github.com/seawall-security/seawall/internal/seawall"
)

// The rules that are about more than one power.
const (
	ruleAdmin         = "SW-RBAC-001"
	ruleWildcard      = "SW-RBAC-002"
	ruleBuiltin       = "SW-RBAC-030"
	ruleAnonymous     = "SW-RBAC-031"
	ruleEverybody     = "SW-RBAC-032"
	ruleDefault       = "SW-RBAC-033"
	ruleMasters       = "SW-RBAC-034"
	ruleNoRole        = "SW-RBAC-035"
	ruleNoAccount     = "SW-RBAC-036"
	ruleNobody        = "SW-RBAC-037"
	ruleUnusedRole    = "SW-RBAC-040"
	ruleUnusedAccount = "SW-RBAC-041"
	ruleToken         = "SW-RBAC-042"
	rulePodPath       = "SW-RBAC-050"
	ruleEverybodyPath = "SW-RBAC-051"
)

// rule is a rule and, for those about powers, which ones it looks for.
type rule struct {
	detect.Rule
	powers []power.Power
	// inNamespace is the severity where only a RoleBinding gives the power; Rule.Severity is that of the whole cluster.
	inNamespace seawall.Severity
}

const (
	critical = seawall.SeverityCritical
	high     = seawall.SeverityHigh
	medium   = seawall.SeverityMedium
	low      = seawall.SeverityLow
)

const goodPractices = "https://kubernetes.io/docs/concepts/security/rbac-good-practices/"

func aboutPower(id, title, rationale, remedy string, cluster, namespaced seawall.Severity, powers []power.Power, frameworks ...string) rule {
	return rule{
		Rule: detect.Rule{ID: id, Title: title, Severity: cluster, Rationale: rationale, Remediation: remedy,
			References: []string{goodPractices}, Frameworks: frameworks},
		powers: powers, inNamespace: namespaced,
	}
}

func about(id, title string, severity seawall.Severity, rationale, remedy string, frameworks ...string) rule {
	return rule{Rule: detect.Rule{ID: id, Title: title, Severity: severity, Rationale: rationale, Remediation: remedy,
		References: []string{goodPractices}, Frameworks: frameworks}, inNamespace: severity}
}

// catalogue lists every rule in the order of identifiers.
func catalogue() []rule {
	return append(powerRules(), otherRules()...)
}

type powers = []power.Power

func powerRules() []rule {
	const nsa = "nsa-cisa:authorization"
	return []rule{
		about(ruleAdmin, "An account or person may do everything", critical,
			"Whoever holds every verb on every resource owns the cluster: all secrets, all nodes, all workloads. A service account that holds it hands it to whoever gets a shell in its pods. "+
				"Medium where only a namespace is given away to people, high to an account there.",
			"Give a role with the verbs and resources that are used, in the namespaces where they are used, and delete this binding.", "cis-k8s-1.12:5.1.1", nsa),
		about(ruleWildcard, "A role uses wildcards", high,
			"An asterisk also stands for every verb, resource and API group that will ever be installed: the role grows without anybody changing it. Medium in a namespace.",
			"List the verbs, resources and API groups that are used.", "cis-k8s-1.12:5.1.3", nsa),
		aboutPower("SW-RBAC-003", "A role may read secrets", "get, list and watch on secrets each give their content: passwords, keys, and tokens of service accounts.",
			"Take secrets out of the rule, or limit it to get and to resourceNames; pods mount their secrets without any permission.", high, medium,
			powers{power.ReadSecrets}, "cis-k8s-1.12:5.1.2", nsa),
		aboutPower("SW-RBAC-004", "A role may write secrets", "Who creates a Secret of the type kubernetes.io/service-account-token is given a token of any account in the namespace; who changes secrets replaces keys, "+
			"certificates and pull credentials that workloads trust.", "Take the verbs that write out of the rule, or limit update and patch to resourceNames.", high, medium,
			powers{power.CreateSecrets, power.ChangeSecrets}, "cis-k8s-1.12:5.1.2", nsa),
		aboutPower("SW-RBAC-005", "A role may create pods or workloads", "A pod chooses the account it runs as, the secrets it mounts and, where nothing refuses it, the node's file system: creating one in a namespace is having "+
			"everything in that namespace.", "Leave creation to the pipeline's own account in the namespaces it deploys to, and refuse privileged pods with Pod Security labels.", high, medium,
			powers{power.CreatePods, power.ChangePods, power.ChangeWorkloads}, "cis-k8s-1.12:5.1.4", nsa),
		aboutPower("SW-RBAC-006", "A role may run commands in pods", "exec and attach give a shell in any container in reach, with its data, its token and its network. Before Kubernetes 1.35 get is enough for it.",
			"Give pods/exec for a limited time to people who mend things, never to workloads.", high, medium, powers{power.Exec, power.ExecByGet}, nsa),
		aboutPower("SW-RBAC-007", "A role may reach ports of pods through the API server", "port-forward and the proxy subresources reach every port of pods and services past all network policies, and the "+
			"connection seems to come from the control plane or the node.", "Give it to people who debug, for a limited time.", medium, low, powers{power.Forward}, nsa),
		aboutPower("SW-RBAC-008", "A role may add debug containers to pods", "An ephemeral container joins a running pod with an image and security context of the caller's choice, and is not restarted away.",
			"Give pods/ephemeralcontainers for a limited time to people who mend things.", high, medium, powers{power.Debug}, nsa),
		aboutPower("SW-RBAC-009", "A role may grant what it does not hold (escalate)", "The verb escalate switches off the API server's check that nobody writes a role with more than they have.",
			"Take the verb escalate out of the role.", critical, high, powers{power.EscalateClusterRoles, power.EscalateRoles}, "cis-k8s-1.12:5.1.8", nsa),
		aboutPower("SW-RBAC-010", "A role may bind roles it does not hold (bind)", "The verb bind lets its holder give any role, also cluster-admin, to itself.",
			"Take the verb bind out, or limit it with resourceNames to the roles it has to hand out.", critical, high, powers{power.BindClusterRoles, power.BindRoles}, "cis-k8s-1.12:5.1.8", nsa),
		aboutPower("SW-RBAC-011", "A role may change roles or bindings", "The API server refuses to grant more than the caller has, but a role can be handed to others, and that to accounts that last.",
			"Leave roles and bindings to the pipeline or the administrators.", medium, low,
			powers{power.ChangeClusterRoles, power.ChangeRoles, power.ChangeClusterBindings, power.ChangeBindings}, nsa),
		aboutPower("SW-RBAC-012", "A role may impersonate others", "An impersonated request counts as the other's in every check: who may impersonate users and groups is whoever they want to be.",
			"Limit impersonate with resourceNames to the identities it is for.", critical, high,
			powers{power.ImpersonateUsers, power.ImpersonateGroups, power.ImpersonateAccounts}, "cis-k8s-1.12:5.1.8", nsa),
		aboutPower("SW-RBAC-013", "A role may reach the kubelet through nodes/proxy", "nodes/proxy reaches the whole API of every kubelet, which runs commands in any pod, past admission and past the audit log. get is enough.",
			"Use the finer subresources nodes/metrics, nodes/stats, nodes/log, nodes/healthz, nodes/pods and nodes/configz.", critical, critical, powers{power.NodeProxy}, "cis-k8s-1.12:5.1.10", nsa),
		aboutPower("SW-RBAC-014", "A role may approve or sign certificate requests", "A client certificate is an identity: who approves their own request is any user they name, until the certificate ends.",
			"Leave approval to the approver that is made for it, limited by signerName in resourceNames.", critical, critical,
			powers{power.ApproveRequests, power.ApproveSigner, power.SignRequests}, "cis-k8s-1.12:5.1.11", nsa),
		aboutPower("SW-RBAC-015", "A role may create tokens of service accounts", "A token from the TokenRequest API is the account, for as long as was asked for, whoever carries it.",
			"Limit serviceaccounts/token with resourceNames to the accounts it is for.", high, medium, powers{power.CreateTokens}, "cis-k8s-1.12:5.1.13", nsa),
		aboutPower("SW-RBAC-016", "A role may change admission", "A mutating webhook or policy sees and rewrites every object on its way into the cluster, secrets included; a validating one can let through what was refused, or refuse everything.",
			"Leave admission configuration to the administrators, or limit update and patch with resourceNames to the one configuration it keeps.", critical, critical,
			powers{power.ChangeWebhooks}, "cis-k8s-1.12:5.1.12", nsa),
		aboutPower("SW-RBAC-017", "A role may create PersistentVolumes", "A PersistentVolume of the type hostPath mounts any directory of a node into a pod that no Pod Security label refuses.",
			"Leave volumes to the storage provisioner; workloads need PersistentVolumeClaims only.", high, high, powers{power.CreateVolumes}, "cis-k8s-1.12:5.1.9", nsa),
		aboutPower("SW-RBAC-018", "A role may change nodes", "Labels and taints decide where pods run: an attacker on one node draws pods with strong accounts to it; deleting nodes stops workloads.",
			"Leave nodes to the kubelet and the cluster's own controllers.", high, high, powers{power.ChangeNodes}, nsa),
		aboutPower("SW-RBAC-019", "A role may change namespaces", "The labels of a namespace decide which pods Pod Security admission refuses and which network policies and admission webhooks look at it.",
			"Leave namespaces to the pipeline or the administrators.", medium, low, powers{power.ChangeNamespaces}, nsa),
		aboutPower("SW-RBAC-020", "A role may register API services", "The server behind an APIService is sent the requests for its group by the API server, with the identity of the caller.",
			"Leave APIServices to the administrators.", high, high, powers{power.ChangeAPIServices}, nsa),
		aboutPower("SW-RBAC-021", "A role may delete events", "Events tell what happened in the cluster; deleting them hides traces.",
			"Take delete and deletecollection on events out of the role; they expire by themselves.", low, low, powers{power.DeleteEvents}, nsa),
	}
}

func otherRules() []rule {
	const nsa = "nsa-cisa:authorization"
	return []rule{
		about(ruleBuiltin, "A broad built-in role is bound widely", high,
			"admin and edit hold secrets, exec and pod creation; a role named system:… is made for one component of the control plane. Bound in the whole cluster, or to an account, they give far more than is used. "+
				"Medium where an account has admin or edit in a namespace.",
			"Write a role with what is used.", "cis-k8s-1.12:5.1.1", nsa),
		about(ruleAnonymous, "Requests without any login are allowed something", critical,
			"system:anonymous and system:unauthenticated are everybody who reaches the API server's port. Beyond the health and version pages every cluster shows, nothing is for them.",
			"Remove the subject from the binding.", "cis-gke-1.8:4.1.8", "cis-gke-1.8:4.1.9", nsa),
		about(ruleEverybody, "Everybody with a login is allowed something", high,
			"system:authenticated and system:serviceaccounts hold every person and every pod of the cluster, whatever they are for. Critical where it amounts to everything, medium where the role holds nothing dangerous.",
			"Bind the groups and accounts that need it.", "cis-k8s-1.12:5.1.1", "cis-gke-1.8:4.1.10", nsa),
		about(ruleDefault, "A default service account has permissions", medium,
			"Every pod that names no account runs as its namespace's default account and gets what it may, unseen. High where the role holds something dangerous.",
			"Make an account of its own for the workload, bind that, and remove the default account from the binding.", "cis-k8s-1.12:5.1.5", nsa),
		about(ruleMasters, "A binding names the group system:masters", low,
			"Members of system:masters pass every check whatever bindings say, and their certificates cannot be taken back. A binding for them grants nothing and hides who is meant.",
			"Bind a group of your own and give people certificates or logins with that group.", "cis-k8s-1.12:5.1.7", nsa),
		about(ruleNoRole, "A binding names a role that does not exist", low,
			"Whoever may create roles fills the binding later, with anything they hold, for subjects that nobody looks at any more.",
			"Delete the binding.", nsa),
		about(ruleNoAccount, "A binding names a service account that does not exist", medium,
			"Whoever may create an account of that name, or a pipeline that reuses the name, gets the permissions. Low where the role holds nothing dangerous.",
			"Remove the account from the binding.", nsa),
		about(ruleNobody, "A binding has no subjects", low, "It grants nothing, and waits to be filled.", "Delete the binding.", nsa),
		about(ruleUnusedRole, "A role is not bound", low, "A role nobody holds is no danger until somebody binds it without reading it.", "Delete the role.", nsa),
		about(ruleUnusedAccount, "A service account is not used", low,
			"No pod runs as it. Its permissions and tokens, if any, are there for whoever finds them.", "Delete the account and what binds it.", "cis-k8s-1.12:5.1.5", nsa),
		about(ruleToken, "A token is mounted for nothing", low,
			"The account has no permissions beyond what everybody has, yet its token lies in every container: a proof of identity inside the cluster that nobody needs.",
			"Set automountServiceAccountToken: false. Pods keep the token until they are made again.", "cis-k8s-1.12:5.1.6", nsa),
		about(rulePodPath, "A shell in this pod leads to cluster-admin", critical,
			"From the pod's token, its node or what its account may create, a chain of allowed requests ends with every permission in the cluster. Each step names the objects that allow it.",
			"Cut the path at one of its steps; the first permission on it is the nearest.", "cis-k8s-1.12:5.1.1", nsa),
		about(ruleEverybodyPath, "Everybody can become cluster-admin", critical,
			"The permissions of a group that everybody is in lead, step by step, to every permission in the cluster.",
			"Remove the group from the binding the path begins with.", nsa),
	}
}
