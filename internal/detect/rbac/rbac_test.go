package rbac_test

import (
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seawall-security/seawall/internal/detect"
	"github.com/seawall-security/seawall/internal/detect/rbac"
	"github.com/seawall-security/seawall/internal/detect/rbac/rbactest"
	"github.com/seawall-security/seawall/internal/seawall"
)

// live makes facts of a cluster of which every list was read, but those named.
func live(objects []seawall.Object, unread ...string) detect.Facts {
	f := detect.Facts{Asset: seawall.Asset{ID: "c", Kind: seawall.AssetCluster}, Objects: objects}
	for _, list := range []string{"roles.rbac.authorization.k8s.io", "clusterroles.rbac.authorization.k8s.io", "rolebindings.rbac.authorization.k8s.io",
		"clusterrolebindings.rbac.authorization.k8s.io", "serviceaccounts", "pods", "replicationcontrollers", "deployments.apps", "daemonsets.apps",
		"statefulsets.apps", "replicasets.apps", "jobs.batch", "cronjobs.batch", "nodes", "namespaces", "secrets"} {
		kind, data := "kubernetes/read", map[string]string{"resource": list}
		for _, u := range unread {
			if u == list {
				kind, data["reason"] = "kubernetes/unread", "forbidden"
			}
		}
		f.Configs = append(f.Configs, seawall.ConfigFact{Kind: kind, Data: data})
	}
	return f
}

func manifests(objects []seawall.Object) detect.Facts {
	return detect.Facts{Asset: seawall.Asset{ID: "m", Kind: seawall.AssetManifests}, Objects: objects}
}

func findings(t testing.TB, f detect.Facts) []seawall.Finding {
	t.Helper()
	r, err := rbac.Detector{}.Detect(context.Background(), f)
	if err != nil {
		t.Fatal(err)
	}
	return r.Findings
}

// failures are rule, severity and place of what failed.
func failures(list []seawall.Finding) []string {
	var out []string
	for _, f := range list {
		if f.Status == seawall.StatusFail {
			out = append(out, f.Rule+" "+f.Severity.String()+" "+f.Location.Resource)
		}
	}
	return out
}

const rbacAPI = "apiVersion: rbac.authorization.k8s.io/v1\n"

// clusterRole is one with a rule, bound in the whole cluster to an account that exists.
func clusterRole(rule string) string {
	return rbacAPI + "kind: ClusterRole\nmetadata: {name: r}\nrules: [" + rule + "]\n---\n" +
		rbacAPI + "kind: ClusterRoleBinding\nmetadata: {name: b}\nroleRef: {kind: ClusterRole, name: r}\nsubjects: [{kind: Group, name: ops}]\n"
}

// role is the same in one namespace.
func role(rule string) string {
	return rbacAPI + "kind: Role\nmetadata: {name: r, namespace: shop}\nrules: [" + rule + "]\n---\n" +
		rbacAPI + "kind: RoleBinding\nmetadata: {name: b, namespace: shop}\nroleRef: {kind: Role, name: r}\nsubjects: [{kind: Group, name: ops}]\n"
}

// TestRoles has for each rule about a role a rule that breaks it and one close by that does not.
func TestRoles(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ id, bad, good, cluster, namespaced string }{
		{"SW-RBAC-002", `{apiGroups: [apps], resources: ["*"], verbs: [get]}`, `{apiGroups: [apps], resources: [deployments], verbs: [get]}`, "high", "medium"},
		{"SW-RBAC-003", `{apiGroups: [""], resources: [secrets], verbs: [watch]}`, `{apiGroups: [""], resources: [secrets], resourceNames: [tls], verbs: [get]}`, "high", "medium"},
		{"SW-RBAC-004", `{apiGroups: [""], resources: [secrets], verbs: [create]}`, `{apiGroups: [""], resources: [configmaps], verbs: [create]}`, "high", "medium"},
		{"SW-RBAC-005", `{apiGroups: [apps], resources: [daemonsets], verbs: [patch]}`, `{apiGroups: [apps], resources: [daemonsets/status], verbs: [patch]}`, "high", "medium"},
		{"SW-RBAC-006", `{apiGroups: [""], resources: [pods/exec], verbs: [get]}`, `{apiGroups: [""], resources: [pods/log], verbs: [get]}`, "high", "medium"},
		{"SW-RBAC-007", `{apiGroups: [""], resources: [services/proxy], verbs: [get]}`, `{apiGroups: [""], resources: [services], verbs: [get]}`, "medium", "low"},
		{"SW-RBAC-008", `{apiGroups: [""], resources: [pods/ephemeralcontainers], verbs: [patch]}`, `{apiGroups: [""], resources: [pods/ephemeralcontainers], verbs: [get]}`, "high", "medium"},
		{"SW-RBAC-009", `{apiGroups: [rbac.authorization.k8s.io], resources: [roles, clusterroles], verbs: [escalate]}`, `{apiGroups: [rbac.authorization.k8s.io], resources: [roles], verbs: [get]}`, "critical", "high"},
		{"SW-RBAC-010", `{apiGroups: [rbac.authorization.k8s.io], resources: [clusterroles], verbs: [bind]}`, `{apiGroups: [rbac.authorization.k8s.io], resources: [clusterroles], resourceNames: [view], verbs: [bind]}`, "critical", "high"},
		{"SW-RBAC-011", `{apiGroups: [rbac.authorization.k8s.io], resources: [rolebindings], verbs: [create]}`, `{apiGroups: [rbac.authorization.k8s.io], resources: [rolebindings], verbs: [delete]}`, "medium", "low"},
		{"SW-RBAC-012", `{apiGroups: [""], resources: [serviceaccounts], verbs: [impersonate]}`, `{apiGroups: [""], resources: [serviceaccounts], resourceNames: [ci], verbs: [impersonate]}`, "critical", "high"},
		{"SW-RBAC-013", `{apiGroups: [""], resources: [nodes/proxy], verbs: [get]}`, `{apiGroups: [""], resources: [nodes/metrics], verbs: [get]}`, "critical", ""},
		{"SW-RBAC-014", `{apiGroups: [certificates.k8s.io], resources: [certificatesigningrequests/approval], verbs: [update]}`, `{apiGroups: [certificates.k8s.io], resources: [certificatesigningrequests], verbs: [create]}`, "critical", ""},
		{"SW-RBAC-015", `{apiGroups: [""], resources: [serviceaccounts/token], verbs: [create]}`, `{apiGroups: [""], resources: [serviceaccounts/token], resourceNames: [ci], verbs: [create]}`, "high", "medium"},
		{"SW-RBAC-016", `{apiGroups: [admissionregistration.k8s.io], resources: [mutatingwebhookconfigurations], verbs: [patch]}`, `{apiGroups: [admissionregistration.k8s.io], resources: [mutatingwebhookconfigurations], resourceNames: [mine], verbs: [patch]}`, "critical", ""},
		{"SW-RBAC-017", `{apiGroups: [""], resources: [persistentvolumes], verbs: [create]}`, `{apiGroups: [""], resources: [persistentvolumeclaims], verbs: [create]}`, "high", ""},
		{"SW-RBAC-018", `{apiGroups: [""], resources: [nodes], verbs: [patch]}`, `{apiGroups: [""], resources: [nodes], verbs: [list]}`, "high", ""},
		{"SW-RBAC-019", `{apiGroups: [""], resources: [namespaces], verbs: [update]}`, `{apiGroups: [""], resources: [namespaces], verbs: [create]}`, "medium", "low"},
		{"SW-RBAC-020", `{apiGroups: [apiregistration.k8s.io], resources: [apiservices], verbs: [update]}`, `{apiGroups: [apiregistration.k8s.io], resources: [apiservices], verbs: [get]}`, "high", ""},
		{"SW-RBAC-021", `{apiGroups: [events.k8s.io], resources: [events], verbs: [delete]}`, `{apiGroups: [events.k8s.io], resources: [events], verbs: [create]}`, "low", "low"},
	} {
		for _, look := range []struct {
			kind string
			of   func([]seawall.Object) detect.Facts
		}{{"cluster", func(o []seawall.Object) detect.Facts { return live(o) }}, {"manifests", manifests}} {
			check := func(text, want string) {
				t.Helper()
				list := findings(t, look.of(rbactest.Objects(t, text)))
				got := ""
				for _, f := range list {
					if f.Rule == c.id && f.Status == seawall.StatusFail {
						got = f.Severity.String()
						if f.Location.Field != "rules[0]" || !strings.Contains(f.Remediation, "kubectl apply") || !strings.Contains(f.Evidence, "Group/ops") {
							t.Errorf("%s in %s: location %+v, evidence %q, remediation %q", c.id, look.kind, f.Location, f.Evidence, f.Remediation)
						}
					}
				}
				if got != want {
					t.Errorf("%s in %s: severity %q, want %q of\n%s%v", c.id, look.kind, got, want, text, failures(list))
				}
			}
			check(clusterRole(c.bad), c.cluster)
			check(clusterRole(c.good), "")
			check(role(c.bad), c.namespaced)
			check(role(c.good), "")
		}
	}
}

// TestCatalogue: every rule explains itself, and says where it comes from.
func TestCatalogue(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, r := range (rbac.Detector{}).Rules() {
		if seen[r.ID] || r.Title == "" || r.Rationale == "" || r.Remediation == "" || len(r.References) == 0 || len(r.Frameworks) == 0 || r.Severity == 0 {
			t.Errorf("%+v", r)
		}
		seen[r.ID] = true
	}
	for _, want := range []string{"5.1.1", "5.1.2", "5.1.3", "5.1.4", "5.1.5", "5.1.6", "5.1.7", "5.1.8", "5.1.9", "5.1.10", "5.1.11", "5.1.12", "5.1.13"} {
		found := false
		for _, r := range (rbac.Detector{}).Rules() {
			for _, f := range r.Frameworks {
				found = found || f == "cis-k8s-1.12:"+want
			}
		}
		if !found {
			t.Errorf("no rule for cis-k8s-1.12:%s", want)
		}
	}
}

func binding(name, roleKind, role, subjects string) string {
	return "---\n" + rbacAPI + "kind: ClusterRoleBinding\nmetadata: {name: " + name + "}\nroleRef: {kind: " + roleKind + ", name: " + role + "}\nsubjects: [" + subjects + "]\n"
}

const shipped = rbacAPI + `kind: ClusterRole
metadata: {name: cluster-admin, labels: {kubernetes.io/bootstrapping: rbac-defaults}}
rules: [{apiGroups: ["*"], resources: ["*"], verbs: ["*"]}, {nonResourceURLs: ["*"], verbs: ["*"]}]
---
` + rbacAPI + `kind: ClusterRole
metadata: {name: view, labels: {kubernetes.io/bootstrapping: rbac-defaults}}
rules: [{apiGroups: [""], resources: [pods], verbs: [get, list, watch]}]
---
` + rbacAPI + `kind: ClusterRole
metadata: {name: edit, labels: {kubernetes.io/bootstrapping: rbac-defaults}}
rules: [{apiGroups: [""], resources: [pods, secrets], verbs: [get, list, create]}]
---
` + rbacAPI + `kind: ClusterRoleBinding
metadata: {name: cluster-admin, labels: {kubernetes.io/bootstrapping: rbac-defaults}}
roleRef: {kind: ClusterRole, name: cluster-admin}
subjects: [{kind: Group, name: "system:masters"}]
---
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {pod-security.kubernetes.io/enforce: restricted}}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: web, namespace: shop}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: default, namespace: shop}
---
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop}
spec: {serviceAccountName: web, automountServiceAccountToken: false, containers: [{name: c}]}
`

func TestBindings(t *testing.T) {
	t.Parallel()
	if got := failures(findings(t, live(rbactest.Objects(t, shipped)))); got != nil {
		t.Fatalf("a cluster as shipped: %v", got)
	}
	const web = "{kind: ServiceAccount, name: web, namespace: shop}"
	for _, c := range []struct {
		name, objects string
		want          []string
	}{
		{"account is cluster-admin", binding("b", "ClusterRole", "cluster-admin", web), []string{"SW-RBAC-001 critical ClusterRoleBinding/b"}},
		{"person is cluster-admin", binding("b", "ClusterRole", "cluster-admin", "{kind: User, name: jane}"), []string{"SW-RBAC-001 high ClusterRoleBinding/b"}},
		{"view", binding("b", "ClusterRole", "view", web), nil},
		{"edit everywhere", binding("b", "ClusterRole", "edit", "{kind: Group, name: dev}"), []string{"SW-RBAC-030 high ClusterRoleBinding/b"}},
		{"edit in a namespace", strings.Replace(strings.Replace(binding("b", "ClusterRole", "edit", "{kind: Group, name: dev}"), "ClusterRoleB", "RoleB", 1), "{name: b}", "{name: b, namespace: shop}", 1), nil},
		{"anonymous", binding("b", "ClusterRole", "view", "{kind: User, name: 'system:anonymous'}"), []string{"SW-RBAC-031 high ClusterRoleBinding/b"}},
		{"everybody", binding("b", "ClusterRole", "view", "{kind: Group, name: 'system:authenticated'}"), []string{"SW-RBAC-032 medium ClusterRoleBinding/b"}},
		{"default account", binding("b", "ClusterRole", "view", "{kind: ServiceAccount, name: default, namespace: shop}"), []string{"SW-RBAC-033 medium ClusterRoleBinding/b"}},
		{"masters", binding("b", "ClusterRole", "view", "{kind: Group, name: 'system:masters'}"), []string{"SW-RBAC-034 low ClusterRoleBinding/b"}},
		{"no role", binding("b", "ClusterRole", "gone", web), []string{"SW-RBAC-035 low ClusterRoleBinding/b"}},
		{"no account", binding("b", "ClusterRole", "view", "{kind: ServiceAccount, name: gone, namespace: shop}"), []string{"SW-RBAC-036 low ClusterRoleBinding/b"}},
		{"nobody", binding("b", "ClusterRole", "view", ""), []string{"SW-RBAC-037 low ClusterRoleBinding/b"}},
		{"subject added to a shipped binding", strings.Replace(binding("cluster-admin", "ClusterRole", "cluster-admin", "{kind: Group, name: 'system:masters'}, {kind: User, name: eve}"),
			"{name: cluster-admin}\nroleRef", "{name: cluster-admin, labels: {kubernetes.io/bootstrapping: rbac-defaults}}\nroleRef", 1), []string{"SW-RBAC-001 high ClusterRoleBinding/cluster-admin"}},
		{"controllers in kube-system", binding("b", "ClusterRole", "'system:coredns'", "{kind: ServiceAccount, name: coredns, namespace: kube-system}") +
			"---\n" + rbacAPI + "kind: ClusterRole\nmetadata: {name: 'system:coredns'}\nrules: [{apiGroups: [''], resources: [secrets], verbs: [list]}]\n", nil},
		{"tiller in kube-system", binding("b", "ClusterRole", "cluster-admin", "{kind: ServiceAccount, name: tiller, namespace: kube-system}") +
			"---\napiVersion: v1\nkind: ServiceAccount\nmetadata: {name: tiller, namespace: kube-system}\n", []string{"SW-RBAC-001 critical ClusterRoleBinding/b"}},
		{"unused role", "---\n" + rbacAPI + "kind: Role\nmetadata: {name: r, namespace: shop}\nrules: [{apiGroups: [''], resources: [pods], verbs: [list]}]\n", []string{"SW-RBAC-040 low Role/shop/r"}},
		{"unused account", "---\napiVersion: v1\nkind: ServiceAccount\nmetadata: {name: old, namespace: shop}\n", []string{"SW-RBAC-041 low ServiceAccount/shop/old"}},
		{"token for nothing", "---\napiVersion: v1\nkind: Pod\nmetadata: {name: p, namespace: shop}\nspec: {containers: [{name: c}]}\n", []string{"SW-RBAC-042 low Pod/shop/p"}},
		{"shipped role extended", "---\n" + rbacAPI + "kind: ClusterRole\nmetadata: {name: view, labels: {kubernetes.io/bootstrapping: rbac-defaults}}\n" +
			"rules: [{apiGroups: [''], resources: [pods, secrets], verbs: [get]}]\n" + binding("b", "ClusterRole", "view", "{kind: Group, name: dev}"),
			[]string{"SW-RBAC-003 high ClusterRole/view", "SW-RBAC-030 high ClusterRoleBinding/b"}},
	} {
		list := findings(t, live(rbactest.Objects(t, shipped+c.objects)))
		if diff := cmp.Diff(c.want, failures(list)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
}

// TestUnread: what a missing list hides is not evaluated, never passed; what was read still fails.
func TestUnread(t *testing.T) {
	t.Parallel()
	status := func(list []seawall.Finding) map[string]seawall.Status {
		m := map[string]seawall.Status{}
		for _, f := range list {
			m[f.Rule] = f.Status
			if f.Status == seawall.StatusNotEvaluated && f.Reason == "" || f.Status == seawall.StatusPass && f.Count == 0 {
				t.Errorf("%+v", f)
			}
		}
		return m
	}
	secrets := shipped + "---\n" + clusterRole("{apiGroups: [''], resources: [secrets], verbs: [list]}")
	all := status(findings(t, live(rbactest.Objects(t, secrets))))
	if all["SW-RBAC-006"] != seawall.StatusPass || all["SW-RBAC-040"] != seawall.StatusPass || all["SW-RBAC-050"] != seawall.StatusPass || all["SW-RBAC-003"] != seawall.StatusFail {
		t.Errorf("everything read: %v", all)
	}
	blind := status(findings(t, live(rbactest.Objects(t, secrets), "clusterrolebindings.rbac.authorization.k8s.io", "pods")))
	if blind["SW-RBAC-003"] != seawall.StatusFail {
		t.Errorf("a role that was read: %v", blind["SW-RBAC-003"])
	}
	for rule, s := range blind {
		if s == seawall.StatusPass {
			t.Errorf("%s passed without ClusterRoleBindings", rule)
		}
	}
	if len(blind) != len((rbac.Detector{}).Rules()) {
		t.Errorf("%d rules have a verdict, of %d", len(blind), len((rbac.Detector{}).Rules()))
	}
	part := status(findings(t, manifests(rbactest.Objects(t, secrets))))
	for _, rule := range []string{"SW-RBAC-035", "SW-RBAC-036", "SW-RBAC-040", "SW-RBAC-041"} {
		if part[rule] != seawall.StatusNotEvaluated {
			t.Errorf("%s of manifests: %s", rule, part[rule])
		}
	}
	if got := findings(t, detect.Facts{Asset: seawall.Asset{Kind: seawall.AssetImage}}); got != nil {
		t.Errorf("an image: %v", got)
	}
}
