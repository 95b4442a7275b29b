package network

import (
	"github.com/seawall-security/seawall/internal/detect"
	"github.com/seawall-security/seawall/internal/seawall"
)

// The rules.
const (
	ruleIngress    = "SW-NET-001"
	ruleEgress     = "SW-NET-002"
	ruleOutside    = "SW-NET-003"
	ruleSensitive  = "SW-NET-004"
	ruleNoPods     = "SW-NET-005"
	ruleNoPeer     = "SW-NET-006"
	ruleAllIngress = "SW-NET-007"
	ruleAllEgress  = "SW-NET-008"
	ruleNamedPort  = "SW-NET-009"
	ruleNoBackend  = "SW-NET-010"
	ruleTargetPort = "SW-NET-011"
	ruleNoService  = "SW-NET-012"
	ruleMetadata   = "SW-NET-013"
	ruleSystem     = "SW-NET-014"
	ruleDatabase   = "SW-NET-015"
	ruleRedundant  = "SW-NET-016"
	rulePriority   = "SW-NET-017"
	ruleIdle       = "SW-NET-018"
	ruleHost       = "SW-NET-019"
	rulePlugin     = "SW-NET-020"
)

const (
	guide    = "https://kubernetes.io/docs/concepts/services-networking/network-policies/"
	services = "https://kubernetes.io/docs/concepts/services-networking/service/"
	ingress  = "https://kubernetes.io/docs/concepts/services-networking/ingress/"
	adminAPI = "https://network-policy-api.sigs.k8s.io/api-overview/"
	nsa      = "nsa-cisa:network-policies"
)

func rule(id, title string, severity seawall.Severity, rationale, remedy, reference string, frameworks ...string) detect.Rule {
	return detect.Rule{ID: id, Title: title, Severity: severity, Rationale: rationale, Remediation: remedy, References: []string{reference}, Frameworks: frameworks}
}

// catalogue lists every rule in the order of identifiers.
func catalogue() []detect.Rule {
	return append(reachRules(), writtenRules()...)
}

// reachRules are about what can be reached.
func reachRules() []detect.Rule {
	return []detect.Rule{
		rule(ruleIngress, "Pods of a namespace accept connections from everywhere", seawall.SeverityMedium,
			"A pod that no policy selects for ingress can be reached on every port by every pod of the cluster: one compromised pod is enough to get at all of them.",
			"Deny ingress by default in the namespace and allow what is needed; 'seawall network suggest --default-deny' writes the policies.",
			guide, "cis-k8s-1.12:5.3.2", nsa),
		rule(ruleEgress, "Pods of a namespace may connect to everywhere", seawall.SeverityLow,
			"A pod that no policy selects for egress can send what it holds anywhere, and fetch the tools of an attack.",
			"Deny egress by default in the namespace and allow DNS and what is needed; 'seawall network suggest --default-deny' writes the policies.",
			guide, "cis-k8s-1.12:5.3.2", nsa),
		rule(ruleOutside, "A workload can be reached from outside the cluster", seawall.SeverityMedium,
			"What is reachable from outside is attacked first. A Service of type LoadBalancer or NodePort, an external address or a host port opens the pods to whoever reaches the nodes; low through an Ingress or a Gateway, which are there for it.",
			"Check that this is meant. Otherwise make the Service ClusterIP, mark the load balancer internal or limit its loadBalancerSourceRanges; with a NetworkPolicy let in only what carries out the Ingress.",
			services, nsa),
		rule(ruleSensitive, "A port for administration or data can be reached from the Internet", seawall.SeverityHigh,
			"Databases and interfaces of administration have no business on the Internet: they are found within minutes and attacked by password guessing and known flaws.",
			"Take the port out of the Service or make it ClusterIP, and reach it by a private network or kubectl port-forward.",
			services, nsa),
		rule(ruleMetadata, "Pods can reach the cloud's metadata service", seawall.SeverityMedium,
			"169.254.169.254 hands out the node's cloud credentials to whoever asks. A request forged through a web application is enough.",
			"Deny egress to 169.254.169.254/32 (and fd00:ec2::254/128), or by default; in the cloud demand IMDSv2 with a hop limit of 1, or workload identity.",
			guide, "nsa-cisa:cloud-metadata", nsa),
		rule(ruleSystem, "Workloads in kube-system accept connections from any namespace", seawall.SeverityMedium,
			"Workloads in kube-system run with high privileges. Beyond DNS and metrics nothing else in the cluster needs them.",
			"Select them with a NetworkPolicy that allows only the ports and namespaces that need them.",
			guide, nsa),
		rule(ruleDatabase, "A database accepts connections from any namespace", seawall.SeverityMedium,
			"A database that every pod of the cluster can reach is protected by its password alone.",
			"Select the database's pods with a NetworkPolicy that lets in only the workloads that use it.",
			guide, nsa),
	}
}

// writtenRules are about how policies, Services and routes are written.
func writtenRules() []detect.Rule {
	low, medium := seawall.SeverityLow, seawall.SeverityMedium
	return []detect.Rule{
		rule(ruleNoPods, "A network policy selects no pods", low,
			"It protects nothing: its labels were mistyped, or the pods are gone. What it was meant for is open.",
			"Correct the selector, or remove the policy.", guide, nsa),
		rule(ruleNoPeer, "A network policy's rule matches no peer", low,
			"The rule allows nothing: its selectors were mistyped, or the peer is gone.",
			"Correct the selectors, or remove the rule.", guide, nsa),
		rule(ruleAllIngress, "A network policy lets in everything", medium,
			"A rule without from and without ports admits every source on every port and undoes every other policy of the pods, because policies only add.",
			"Name the sources and ports that are needed.", guide, "cis-k8s-1.12:5.3.2", nsa),
		rule(ruleAllEgress, "A network policy lets out everything", medium,
			"A rule without to (or to 0.0.0.0/0) and without ports lets the pods connect to every address, the metadata service and other namespaces included.",
			"Name the destinations and ports that are needed; for the Internet except private and link-local addresses.", guide, "cis-k8s-1.12:5.3.2", nsa),
		rule(ruleNamedPort, "A network policy names a port that no pod has", medium,
			"A named port is looked up among the container ports of the destination pod. Where none has the name the rule allows nothing.",
			"Correct the name or its protocol, or write the number.", guide, nsa),
		rule(ruleNoBackend, "A Service selects no pods", low,
			"Connections to it fail, and whoever may create pods with these labels gets its traffic.",
			"Correct the selector, or remove the Service.", services),
		rule(ruleTargetPort, "A Service leads to a named port that no pod has", low,
			"Connections to it fail.", "Correct the name or its protocol, or write the number.", services),
		rule(ruleNoService, "A route leads to a Service that does not exist", low,
			"Requests fail, and whoever may create a Service of that name gets them.",
			"Correct the name, or remove the route.", ingress),
		rule(ruleRedundant, "A network policy changes nothing", low,
			"Other policies isolate the same pods and allow all that this one allows. It misleads whoever reads it, or tightens another.",
			"Remove it, or narrow the policies that cover it.", guide),
		rule(rulePriority, "Administrators' network policies about the same pods have the same priority", medium,
			"Which of them applies is not defined: it may change with the plugin's version.",
			"Give each a priority of its own.", adminAPI),
		rule(ruleIdle, "A network policy's rule never applies", medium,
			"Policies before it decide all of its traffic: what it says is not what happens.",
			"Remove it, or put it before the rules that cover it.", adminAPI),
		rule(ruleHost, "A network policy selects pods in their node's network", medium,
			"Pods with hostNetwork share the node's addresses: network policies do not bind them, though their labels match.",
			"Run the pods without hostNetwork, or protect the node's ports with a firewall.", guide, nsa),
		rule(rulePlugin, "The cluster's network plugin does not enforce network policies", seawall.SeverityHigh,
			"The API server takes network policies whether or not the plugin carries them out. Where it does not, nothing is isolated.",
			"Use a plugin that enforces them (Calico, Cilium, Antrea, kube-router, OVN-Kubernetes), or add one beside it.", guide, "cis-k8s-1.12:5.3.1", nsa),
	}
}
