package kubernetes

import (
	"fmt"
	"strings"

	"github.com/seawall-security/seawall/internal/detect/control"
	"github.com/seawall-security/seawall/internal/seawall"
)

// use says whether a cluster uses a feature.
type use int

const (
	unused use = iota
	used
	unseen // cannot be told from outside
)

// feature is one security feature of Kubernetes that is on by default since a minor release.
type feature struct {
	minor int
	name  string
	gain  string
	how   string
	page  string
	// use is nil for what needs nobody to use it.
	use func(s *control.Snapshot) use
}

// features is the table, by release (release notes of 1.25 to 1.36 and the
// feature gates of 1.36: "since" is when the gate came on).
func features() []feature {
	return []feature{
		{25, "Pod Security admission", "namespaces refuse pods outside of a standard", "Label namespaces with pod-security.kubernetes.io/enforce.", "concepts/security/pod-security-admission/", labelled},
		{27, "Seccomp by default", "pods without a profile get the runtime's", "Set seccompDefault to true in the kubelets' configuration.", "tutorials/security/seccomp/", kubeletSays("seccompDefault", "true")},
		{29, "KMS version 2", "keys for encryption at rest from a key service, rotated without a restart", "Add a kms provider with apiVersion v2 to the EncryptionConfiguration.", "tasks/administer-cluster/kms-provider/", flagIfMissing("--encryption-provider-config")},
		{30, "ValidatingAdmissionPolicy", "rules in the API server itself, without a webhook that may be down", "Write ValidatingAdmissionPolicies, or export Seawall's.", "reference/access-authn-authz/validating-admission-policy/", kindExists("ValidatingAdmissionPolicyBinding", "validatingadmissionpolicybindings.admissionregistration.k8s.io")},
		{30, "AppArmor profiles as fields", "profiles that admission can require", "Set securityContext.appArmorProfile.", "tutorials/security/apparmor/", podUses("appArmorProfile")},
		{30, "Clean-up of unused long-lived tokens", "tokens in Secrets that nobody used for a year stop working", "", "reference/access-authn-authz/service-accounts-admin/", nil},
		{31, "Recursive read-only mounts", "readOnly also for what is mounted below", "Set recursiveReadOnly on read-only mounts.", "concepts/storage/volumes/#recursive-read-only-mounts", podUses("recursiveReadOnly")},
		{32, "Structured authorization configuration", "several webhooks with conditions instead of one for everything", "Start the API server with --authorization-config.", "reference/access-authn-authz/authorization/", flag("--authorization-config")},
		{32, "Kubelets read only what concerns their node", "a stolen kubelet credential lists no other node's pods", "", "reference/access-authn-authz/node/", nil},
		{33, "User namespaces", "root in a container is nobody on the node", "Set hostUsers to false in pods.", "concepts/workloads/pods/user-namespaces/", podUses("hostUsers")},
		{33, "Strict supplemental groups", "groups come from the pod, not from the image", "Set securityContext.supplementalGroupsPolicy to Strict.", "tasks/configure-pod-container/security-context/", podUses("supplementalGroupsPolicy")},
		{33, "Fine-grained rights on kubelets", "monitoring needs no nodes/proxy, which runs commands", "Grant nodes/metrics, nodes/stats, nodes/pods, nodes/healthz instead of nodes/proxy.", "reference/access-authn-authz/kubelet-authn-authz/", fineGrained},
		{33, "Audience of tokens that kubelets may ask for is restricted", "a stolen kubelet credential gets tokens for its pods' audiences only", "", "reference/access-authn-authz/admission-controllers/#noderestriction", nil},
		{34, "Structured authentication configuration", "several identity providers, and anonymous access for named paths only", "Start the API server with --authentication-config.", "reference/access-authn-authz/authentication/", flag("--authentication-config")},
		{34, "Image pulls with tokens of service accounts", "pull credentials of a pod's own instead of long-lived Secrets", "Configure the kubelets' credential providers with tokenAttributes.", "tasks/administer-cluster/kubelet-credential-provider/", func(*control.Snapshot) use { return unseen }},
		{35, "Pull credentials are checked for images already on the node", "a pod does not start from an image it may not pull", "", "concepts/containers/images/", nil},
		{36, "MutatingAdmissionPolicy", "changes on admission without a webhook", "Write MutatingAdmissionPolicies.", "reference/access-authn-authz/mutating-admission-policy/", kindExists("MutatingAdmissionPolicyBinding", "mutatingadmissionpolicybindings.admissionregistration.k8s.io")},
		{36, "Constrained impersonation", "impersonation for named verbs instead of everything", "Grant impersonate-on verbs instead of impersonate.", "reference/access-authn-authz/user-impersonation/", func(*control.Snapshot) use { return unseen }},
		{36, "External signing of service account tokens", "the signing key stays in a key service", "Start the API server with --service-account-signing-endpoint.", "reference/access-authn-authz/service-accounts-admin/", flag("--service-account-signing-endpoint")},
	}
}

// unusedFeatures tells which features of this version the cluster does not use.
func unusedFeatures(s *control.Subject) []control.Outcome {
	minor, ok := minorOf(s.Snapshot.Setting("kubernetes/version", "version"))
	if !ok {
		return []control.Outcome{{Status: seawall.StatusNotEvaluated, Reason: "the version is not known"}}
	}
	var outcomes []control.Outcome
	for _, f := range features() {
		if f.minor > minor || f.use == nil {
			continue
		}
		switch f.use(s.Snapshot) {
		case unused:
			outcomes = append(outcomes, control.Outcome{
				Field: f.name, Title: "Not used: " + f.name, Evidence: fmt.Sprintf("there since 1.%d: %s", f.minor, f.gain), Remediation: f.how + " See https://kubernetes.io/docs/" + f.page,
			})
		case unseen:
			outcomes = append(outcomes, control.Outcome{Status: seawall.StatusNotEvaluated, Reason: f.name + ": its use cannot be seen through the API"})
		default:
			outcomes = append(outcomes, control.Outcome{Status: seawall.StatusPass})
		}
	}
	return outcomes
}

// newerFeatures tells what newer versions would bring, one outcome for each.
func newerFeatures(s *control.Subject) []control.Outcome {
	minor, ok := minorOf(s.Snapshot.Setting("kubernetes/version", "version"))
	if !ok {
		return []control.Outcome{{Status: seawall.StatusNotEvaluated, Reason: "the version is not known"}}
	}
	var outcomes []control.Outcome
	byMinor := map[int][]string{}
	for _, f := range features() {
		byMinor[f.minor] = append(byMinor[f.minor], f.name+" ("+f.gain+")")
	}
	for m := minor + 1; m <= newestMinor; m++ {
		if names := byMinor[m]; names != nil {
			outcomes = append(outcomes, control.Outcome{Field: fmt.Sprintf("1.%d", m), Title: fmt.Sprintf("Kubernetes 1.%d has security features this cluster lacks", m), Evidence: strings.Join(names, "; ")})
		}
	}
	return outcomes
}

func labelled(s *control.Snapshot) use {
	if !s.Read("namespaces") {
		return unseen
	}
	for _, ns := range s.Decoded("Namespace") {
		m, _ := ns.(map[string]any)
		if text(object(m, "metadata", "labels"), "pod-security.kubernetes.io/enforce") != "" {
			return used
		}
	}
	return unused
}

// kubeletSays tells by the kubelets' configuration, where it was read.
func kubeletSays(setting, value string) func(*control.Snapshot) use {
	return func(s *control.Snapshot) use {
		kubelets := s.Configs("kubernetes/kubelet")
		if len(kubelets) == 0 {
			return unseen
		}
		for _, k := range kubelets {
			if k.Data[setting] != value {
				return unused
			}
		}
		return used
	}
}

// flag tells by an argument of the API server, where that was read.
func flag(name string) func(*control.Snapshot) use {
	return func(s *control.Snapshot) use {
		switch servers := s.Configs("kubernetes/kube-apiserver"); {
		case len(servers) == 0:
			return unseen
		case servers[0].Data[name] != "":
			return used
		}
		return unused
	}
}

// flagIfMissing is flag where the argument alone does not prove the use.
func flagIfMissing(name string) func(*control.Snapshot) use {
	return func(s *control.Snapshot) use {
		if flag(name)(s) == unused {
			return unused
		}
		return unseen
	}
}

func kindExists(kind, resource string) func(*control.Snapshot) use {
	return func(s *control.Snapshot) use {
		for i := range s.Facts.Objects {
			if s.Facts.Objects[i].Kind == kind {
				return used
			}
		}
		if !s.Read(resource) {
			return unseen
		}
		return unused
	}
}

// podUses tells by the pod templates, which the index has seen.
func podUses(field string) func(*control.Snapshot) use {
	return func(s *control.Snapshot) use {
		switch r, ok := s.Index.(*references); {
		case !ok:
			return unseen
		case r.fields[field]:
			return used
		case !s.Read("pods"):
			return unseen
		}
		return unused
	}
}

// fineGrained: somebody was given a part of the kubelet's API instead of all of it.
func fineGrained(s *control.Snapshot) use {
	if !s.Read("clusterroles.rbac.authorization.k8s.io") {
		return unseen
	}
	for _, role := range s.Decoded("ClusterRole") {
		m, _ := role.(map[string]any)
		for _, rule := range list(m, "rules") {
			resources, _ := rule["resources"].([]any)
			for _, r := range resources {
				switch r {
				case "nodes/pods", "nodes/healthz", "nodes/configz":
					return used
				}
			}
		}
	}
	return unused
}
