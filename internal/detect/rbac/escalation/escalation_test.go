package escalation_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seawall-security/seawall/internal/detect/rbac/access"
	"github.com/seawall-security/seawall/internal/detect/rbac/escalation"
	"github.com/seawall-security/seawall/internal/detect/rbac/power"
	"github.com/seawall-security/seawall/internal/detect/rbac/rbactest"
	"github.com/seawall-security/seawall/internal/detect/rbac/workload"
	"github.com/seawall-security/seawall/internal/seawall"
)

const rbac = "rbac.authorization.k8s.io"

// world is what a test builds a graph of, with few words.
type world struct {
	t        testing.TB
	objects  []seawall.Object
	input    escalation.Input
	defaults bool
}

func (w *world) add(kind, namespace, name string, body any) {
	raw, err := json.Marshal(body)
	if err != nil {
		w.t.Fatal(err)
	}
	version := rbac + "/v1"
	if kind == "ServiceAccount" {
		version = "v1"
	}
	w.objects = append(w.objects, seawall.Object{APIVersion: version, Kind: kind, Namespace: namespace, Name: name, JSON: raw})
}

type rule = map[string][]string

// allow gives the account shop/web rules, in a namespace or, "", in the cluster.
func (w *world) allow(namespace string, rules ...rule) {
	roleKind, bindingKind := "ClusterRole", "ClusterRoleBinding"
	if namespace != "" {
		roleKind, bindingKind = "Role", "RoleBinding"
	}
	name := fmt.Sprint("r", len(w.objects))
	w.add(roleKind, namespace, name, map[string]any{"rules": rules})
	w.add(bindingKind, namespace, name, map[string]any{"roleRef": map[string]string{"kind": roleKind, "name": name},
		"subjects": []map[string]string{{"kind": "ServiceAccount", "namespace": "shop", "name": "web"}}})
}

func on(group, resources, verbs string) rule {
	return rule{"apiGroups": {group}, "resources": strings.Split(resources, ","), "verbs": strings.Split(verbs, ",")}
}

func (w *world) graph() *escalation.Graph {
	w.add("ServiceAccount", "shop", "web", struct{}{})
	var problems []string
	w.input.Set, problems = access.Read(w.objects, access.Options{Live: !w.defaults, Defaults: true})
	if len(problems) > 0 {
		w.t.Fatal(problems)
	}
	return escalation.New(w.input)
}

func node(kind, namespace, name string) escalation.Node {
	return escalation.Node{Kind: kind, Namespace: namespace, Name: name}
}

var web = node("ServiceAccount", "shop", "web")

// positions are those a path goes through.
func positions(g *escalation.Graph, from escalation.Node) []string {
	var list []string
	for _, e := range g.Path(from) {
		list = append(list, g.Nodes[e.To].String())
	}
	return list
}

// TestEdges has the way each permission opens, and what is missing when one half of it is.
func TestEdges(t *testing.T) {
	t.Parallel()
	direct := []string{"cluster-admin"}
	plane := map[string]bool{"cp": true, "n1": false}
	workers := map[string]bool{"n1": false}
	viaNode := []string{"root on a node of choice", "root on node cp", "cluster-admin"}
	for _, c := range []struct {
		name  string
		build func(w *world)
		want  []string
	}{
		{"nothing", func(w *world) { w.allow("", on("", "pods", "get,list")) }, nil},
		{"everything", func(w *world) { w.allow("", on("*", "*", "*")) }, direct},
		// A namespace's labels are in it: who may change them lets privileged pods in.
		{"everything in one namespace", func(w *world) { w.allow("shop", on("*", "*", "*")) }, []string{"root on a node of choice", "cluster-admin"}},
		{"everything in one namespace of a managed cluster", func(w *world) { w.input.Managed = true; w.allow("shop", on("*", "*", "*")) }, nil},
		{"impersonate users", func(w *world) { w.allow("", on("", "users", "impersonate")) }, direct},
		{"impersonate groups alone", func(w *world) { w.allow("", on("", "groups", "impersonate")) }, nil},
		{"escalate without change", func(w *world) { w.allow("", on(rbac, "clusterroles", "escalate")) }, nil},
		{"escalate", func(w *world) { w.allow("", on(rbac, "clusterroles", "escalate,patch")) }, direct},
		{"escalate and change by two roles", func(w *world) {
			w.allow("", on(rbac, "clusterroles", "escalate"))
			w.allow("", on(rbac, "clusterroles", "update"))
		}, direct},
		{"escalate cluster roles, bound in a namespace", func(w *world) { w.allow("shop", on(rbac, "clusterroles", "escalate,patch")) }, nil},
		{"bind", func(w *world) {
			w.allow("", on(rbac, "clusterroles", "bind"), on(rbac, "clusterrolebindings", "create"))
		}, direct},
		{"bind view only", func(w *world) {
			r := on(rbac, "clusterroles", "bind")
			r["resourceNames"] = []string{"view"}
			w.allow("", r, on(rbac, "clusterrolebindings", "create"))
		}, nil},
		{"certificates", func(w *world) {
			w.allow("", on("certificates.k8s.io", "certificatesigningrequests", "create"), on("certificates.k8s.io", "certificatesigningrequests/approval", "update"), on("certificates.k8s.io", "signers", "approve"))
		}, direct},
		{"certificates without the signer", func(w *world) {
			w.allow("", on("certificates.k8s.io", "certificatesigningrequests", "create"), on("certificates.k8s.io", "certificatesigningrequests/approval", "update"))
		}, nil},
		{"webhooks", func(w *world) {
			w.allow("", on("admissionregistration.k8s.io", "mutatingwebhookconfigurations", "create"))
		}, direct},
		{"pods where nothing refuses privileged ones", func(w *world) {
			w.input.ControlPlane, w.input.Restricted = plane, map[string]bool{"shop": false}
			w.allow("shop", on("", "pods", "create"))
		}, append([]string{"run any pod in shop"}, viaNode...)},
		{"pods where labels refuse privileged ones", func(w *world) {
			w.input.ControlPlane, w.input.Restricted = plane, map[string]bool{"shop": true}
			w.allow("shop", on("", "pods", "create"))
		}, nil},
		{"and may change the labels", func(w *world) {
			w.input.ControlPlane, w.input.Restricted = plane, map[string]bool{"shop": true}
			w.allow("shop", on("", "pods", "create"), on("", "namespaces", "patch"))
		}, viaNode},
		{"and may create volumes", func(w *world) {
			w.input.ControlPlane, w.input.Restricted = plane, map[string]bool{"shop": true}
			w.allow("", on("", "persistentvolumes", "create"))
			w.allow("shop", on("", "pods,persistentvolumeclaims", "create"))
		}, viaNode},
		{"nodes of a managed cluster", func(w *world) {
			w.input.ControlPlane, w.input.Restricted = workers, map[string]bool{"shop": false}
			w.allow("shop", on("", "pods", "create"))
		}, nil},
		{"workloads in kube-system", func(w *world) {
			w.defaults, w.input.Managed = true, true
			w.allow("kube-system", on("batch", "jobs", "create"))
		}, []string{"run any pod in kube-system", "act as any service account in kube-system", "ServiceAccount/kube-system/clusterrole-aggregation-controller", "cluster-admin"}},
		{"tokens in kube-system", func(w *world) {
			w.defaults = true
			w.allow("kube-system", on("", "serviceaccounts/token", "create"))
		}, []string{"act as any service account in kube-system", "ServiceAccount/kube-system/clusterrole-aggregation-controller", "cluster-admin"}},
		{"secrets to create and to read", func(w *world) {
			w.defaults = true
			w.allow("kube-system", on("", "secrets", "create,get"))
		}, []string{"act as any service account in kube-system", "ServiceAccount/kube-system/clusterrole-aggregation-controller", "cluster-admin"}},
		{"secrets to read where none holds a token", func(w *world) {
			w.defaults = true
			w.allow("kube-system", on("", "secrets", "get"))
		}, nil},
		{"one secret that holds a token", func(w *world) {
			w.defaults = true
			w.input.TokenSecrets = map[access.Ref]access.Subject{{Kind: "Secret", Namespace: "kube-system", Name: "old"}: {Kind: "ServiceAccount", Namespace: "kube-system", Name: "clusterrole-aggregation-controller"}}
			r := on("", "secrets", "get")
			r["resourceNames"] = []string{"old"}
			w.allow("kube-system", r)
		}, []string{"ServiceAccount/kube-system/clusterrole-aggregation-controller", "cluster-admin"}},
		{"another secret", func(w *world) {
			w.defaults = true
			w.input.TokenSecrets = map[access.Ref]access.Subject{{Kind: "Secret", Namespace: "kube-system", Name: "old"}: {Kind: "ServiceAccount", Namespace: "kube-system", Name: "clusterrole-aggregation-controller"}}
			r := on("", "secrets", "get")
			r["resourceNames"] = []string{"new"}
			w.allow("kube-system", r)
		}, nil},
		{"impersonate one user", func(w *world) {
			w.defaults = true
			r := on("", "users", "impersonate")
			r["resourceNames"] = []string{"system:serviceaccount:kube-system:clusterrole-aggregation-controller"}
			w.allow("", r)
		}, []string{"ServiceAccount/kube-system/clusterrole-aggregation-controller", "cluster-admin"}},
		{"exec into a pod with a stronger account", func(w *world) {
			w.defaults = true
			w.input.Workloads = []workload.Workload{{Ref: access.Ref{Kind: "Pod", Namespace: "kube-system", Name: "p"}, Token: true,
				Account: access.Subject{Kind: "ServiceAccount", Namespace: "kube-system", Name: "clusterrole-aggregation-controller"}}}
			w.allow("kube-system", on("", "pods/exec", "create"))
		}, []string{"a shell in any pod in kube-system", "Pod/kube-system/p", "ServiceAccount/kube-system/clusterrole-aggregation-controller", "cluster-admin"}},
		{"exec by get, before 1.35", func(w *world) {
			w.input.Workloads = []workload.Workload{{Ref: access.Ref{Kind: "Pod", Namespace: "a", Name: "p"}, Host: []workload.Way{{What: "is privileged"}}, Node: "cp"}}
			w.input.ControlPlane = plane
			w.allow("a", on("", "pods/exec", "get"))
		}, []string{"a shell in any pod in a", "Pod/a/p", "root on node cp", "cluster-admin"}},
		{"exec by get, from 1.35", func(w *world) {
			w.input.Workloads = []workload.Workload{{Ref: access.Ref{Kind: "Pod", Namespace: "a", Name: "p"}, Host: []workload.Way{{What: "is privileged"}}, Node: "cp"}}
			w.input.ControlPlane, w.input.Gone = plane, power.Gone("v1.36.3")
			w.allow("a", on("", "pods/exec", "get"))
		}, nil},
		{"the kubelets", func(w *world) {
			w.input.Workloads = []workload.Workload{{Ref: access.Ref{Kind: "Pod", Namespace: "a", Name: "p"}, Host: []workload.Way{{What: "is privileged"}}, Node: "cp"}}
			w.input.ControlPlane = plane
			w.allow("", on("", "nodes/proxy", "get"))
		}, []string{"a shell in any pod in every namespace", "Pod/a/p", "root on node cp", "cluster-admin"}},
		{"bind in a namespace", func(w *world) {
			w.input.ControlPlane, w.input.Restricted = plane, map[string]bool{"shop": false}
			w.allow("shop", on(rbac, "clusterroles", "bind"), on(rbac, "rolebindings", "create"))
		}, append([]string{"everything in shop", "run any pod in shop"}, viaNode...)},
	} {
		w := &world{t: t}
		c.build(w)
		g := w.graph()
		if diff := cmp.Diff(c.want, positions(g, web)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
		for _, e := range g.Path(web) {
			if g.Nodes[e.From].Kind == "ServiceAccount" && (len(e.Proof) < 2 || e.Grant == nil) {
				t.Errorf("%s: no proof of %q", c.name, g.Step(e))
			}
		}
	}
}

// TestWorkloads: what a shell in a pod begins with.
func TestWorkloads(t *testing.T) {
	t.Parallel()
	account := access.Subject{Kind: "ServiceAccount", Namespace: "shop", Name: "web"}
	build := func(change func(*world)) *escalation.Graph {
		w := &world{t: t}
		w.allow("", on("*", "*", "*"))
		w.input.Workloads = []workload.Workload{
			{Ref: access.Ref{Kind: "Pod", Namespace: "shop", Name: "token"}, Account: account, Token: true, Node: "n1"},
			{Ref: access.Ref{Kind: "Pod", Namespace: "shop", Name: "none"}, Account: account},
			{Ref: access.Ref{Kind: "Pod", Namespace: "shop", Name: "neighbour"}, Host: []workload.Way{{What: "is privileged"}}, Node: "n1"},
			{Ref: access.Ref{Kind: "Pod", Namespace: "shop", Name: "elsewhere"}, Host: []workload.Way{{What: "is privileged"}}, Node: "n2"},
			{Ref: access.Ref{Kind: "Pod", Namespace: "shop", Name: "somewhere"}, Host: []workload.Way{{What: "is privileged"}}},
		}
		w.input.ControlPlane = map[string]bool{"n1": false, "n2": false}
		if change != nil {
			change(w)
		}
		return w.graph()
	}
	g := build(nil)
	for name, want := range map[string][]string{
		"token":     {"ServiceAccount/shop/web", "cluster-admin"},
		"none":      nil,
		"neighbour": {"root on node n1", "ServiceAccount/shop/web", "cluster-admin"},
		"elsewhere": nil,
		"somewhere": nil,
	} {
		if diff := cmp.Diff(want, positions(g, node("Pod", "shop", name))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	g = build(func(w *world) {
		w.input.Workloads = append(w.input.Workloads, workload.Workload{Ref: access.Ref{Kind: "DaemonSet", Namespace: "shop", Name: "agent"}, Account: account, Token: true, EveryNode: true})
	})
	if diff := cmp.Diff([]string{"root on its node", "ServiceAccount/shop/web", "cluster-admin"}, positions(g, node("Pod", "shop", "somewhere"))); diff != "" {
		t.Errorf("beside a DaemonSet (-want +got):\n%s", diff)
	}
}

// TestDaemonSets: on which nodes of the control plane a DaemonSet runs is known from taints and tolerations.
func TestDaemonSets(t *testing.T) {
	t.Parallel()
	const daemons = `
apiVersion: apps/v1
kind: DaemonSet
metadata: {namespace: shop, name: plain}
spec: {template: {spec: {containers: [{name: c, securityContext: {privileged: true}}]}}}
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {namespace: shop, name: tolerant}
spec: {template: {spec: {tolerations: [{key: control, operator: Exists, effect: NoSchedule}], containers: [{name: c, securityContext: {privileged: true}}]}}}
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {namespace: shop, name: everything}
spec: {template: {spec: {tolerations: [{operator: Exists}], containers: [{name: c, securityContext: {privileged: true}}]}}}
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {namespace: shop, name: selected}
spec: {template: {spec: {nodeSelector: {a: b}, tolerations: [{operator: Exists}], containers: [{name: c, securityContext: {privileged: true}}]}}}
`
	for _, c := range []struct {
		taints []workload.Taint
		reach  string
	}{
		{nil, "plain tolerant everything"},
		{[]workload.Taint{{Key: "control", Effect: "NoSchedule"}}, "tolerant everything"},
		{[]workload.Taint{{Key: "control", Effect: "NoExecute"}}, "everything"},
		{[]workload.Taint{{Key: "busy", Effect: "PreferNoSchedule"}}, "plain tolerant everything"},
	} {
		w := &world{t: t}
		w.input.ControlPlane, w.input.Taints = map[string]bool{"cp": true, "n1": false}, map[string][]workload.Taint{"cp": c.taints}
		w.input.Workloads, _ = workload.Read(rbactest.Objects(t, daemons), &access.Set{})
		g := w.graph()
		var reach []string
		for _, d := range w.input.Workloads {
			if path := positions(g, escalation.WorkloadNode(&d)); path != nil {
				reach = append(reach, d.Name)
				if diff := cmp.Diff([]string{"root on node cp", "cluster-admin"}, path); diff != "" {
					t.Errorf("%s (-want +got):\n%s", d.Name, diff)
				}
			}
		}
		if got := strings.Join(reach, " "); got != c.reach {
			t.Errorf("with taints %v %s, want %s", c.taints, got, c.reach)
		}
	}
}

// TestShortest compares the paths of generated worlds with a plain search forward along the same edges.
func TestShortest(t *testing.T) {
	t.Parallel()
	found := 0
	for seed := range 200 {
		r := rand.New(rand.NewPCG(uint64(seed), 3))
		w := &world{t: t}
		w.input.ControlPlane = map[string]bool{"cp": r.IntN(2) == 0, "n": false}
		w.input.Restricted = map[string]bool{"a": r.IntN(2) == 0, "b": false}
		for range r.IntN(5) {
			rules := []rule{on([]string{"", "apps", rbac, "*"}[r.IntN(4)], []string{"pods", "secrets", "pods/exec", "serviceaccounts/token", "clusterroles,clusterrolebindings", "*"}[r.IntN(6)],
				[]string{"create", "get", "bind,create", "escalate,update", "*"}[r.IntN(5)])}
			w.allow([]string{"", "a", "b", "shop"}[r.IntN(4)], rules...)
		}
		for i := range 3 {
			w.input.Workloads = append(w.input.Workloads, workload.Workload{Ref: access.Ref{Kind: "Pod", Namespace: []string{"a", "b"}[r.IntN(2)], Name: fmt.Sprint(i)},
				Account: access.Subject{Kind: "ServiceAccount", Namespace: "shop", Name: "web"}, Token: r.IntN(2) == 0, Node: "cp"})
		}
		g := w.graph()
		for i, n := range g.Nodes {
			want := forward(g, i)
			path := g.Path(n)
			if len(path) != max(want, 0) {
				t.Fatalf("seed %d: %d steps from %s, want %d", seed, len(path), n, want)
			}
			at := i
			for _, e := range path {
				if e.From != at {
					t.Fatalf("seed %d: the path from %s does not hang together", seed, n)
				}
				at = e.To
			}
			if want > 1 {
				found++
			}
		}
	}
	if found < 50 {
		t.Errorf("only %d paths of more than one step", found)
	}
}

// forward is the number of steps from a node to cluster-admin, -1 when there is no way.
func forward(g *escalation.Graph, from int) int {
	seen := map[int]bool{from: true}
	for steps, now := 0, []int{from}; len(now) > 0; steps++ {
		var next []int
		for _, at := range now {
			if g.Nodes[at].Kind == escalation.KindAdmin {
				return steps
			}
			for _, e := range g.Edges {
				if e.From == at && !seen[e.To] {
					seen[e.To] = true
					next = append(next, e.To)
				}
			}
		}
		now = next
	}
	return -1
}

// BenchmarkNew is 5,000 accounts with a workload each, 2,000 roles, 10,000 bindings.
func BenchmarkNew(b *testing.B) {
	w := &world{t: b}
	for i := range 2000 {
		ns := fmt.Sprint("ns", i%100)
		verbs := []string{"get", "list", "create", "patch"}[i%4]
		w.add("Role", ns, fmt.Sprint("r", i), map[string]any{"rules": []rule{on("", "pods,services", "get,list"), on("", []string{"configmaps", "secrets", "pods/exec"}[i%3], verbs)}})
	}
	for i := range 5000 {
		ns, name := fmt.Sprint("ns", i%100), fmt.Sprint("sa", i)
		w.add("ServiceAccount", ns, name, struct{}{})
		w.input.Workloads = append(w.input.Workloads, workload.Workload{Ref: access.Ref{Kind: "Deployment", Namespace: ns, Name: name}, Token: true, Account: access.Subject{Kind: "ServiceAccount", Namespace: ns, Name: name}})
	}
	for i := range 10_000 {
		ns := fmt.Sprint("ns", i%100)
		w.add("RoleBinding", ns, fmt.Sprint("b", i), map[string]any{"roleRef": map[string]string{"kind": "Role", "name": fmt.Sprint("r", i%2000)},
			"subjects": []map[string]string{{"kind": "ServiceAccount", "namespace": ns, "name": fmt.Sprint("sa", i%5000)}}})
	}
	w.allow("", on("*", "*", "*"))
	w.graph()
	b.ReportAllocs()
	for b.Loop() {
		escalation.New(w.input)
	}
}
