package network

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seawall-security/seawall/internal/detect"
	"github.com/seawall-security/seawall/internal/seawall"
)

func object(t *testing.T, apiVersion, kind, namespace, name, body string) seawall.Object {
	t.Helper()
	text := `{"metadata":{"namespace":"` + namespace + `","name":"` + name + `"},` + body + `}`
	if !json.Valid([]byte(text)) {
		t.Fatalf("%s %s: %s", kind, name, text)
	}
	return seawall.Object{APIVersion: apiVersion, Kind: kind, Namespace: namespace, Name: name, JSON: []byte(text)}
}

func deployment(t *testing.T, namespace, name, image, more string) seawall.Object {
	return object(t, "apps/v1", "Deployment", namespace, name,
		fmt.Sprintf(`"spec":{"template":{"metadata":{"labels":{"app":%q}},"spec":{"containers":[{"name":"c","image":%q,"ports":[{"name":"http","containerPort":8080}]}]%s}}}`, name, image, more))
}

func policy(t *testing.T, namespace, name, spec string) seawall.Object {
	return object(t, "networking.k8s.io/v1", "NetworkPolicy", namespace, name, `"spec":`+spec)
}

func service(t *testing.T, namespace, name, spec string) seawall.Object {
	return object(t, "v1", "Service", namespace, name, `"spec":`+spec)
}

func admin(t *testing.T, name, spec string) seawall.Object {
	return object(t, "policy.networking.k8s.io/v1alpha1", "AdminNetworkPolicy", "", name, `"spec":`+spec)
}

func run(t *testing.T, kind seawall.AssetKind, configs []seawall.ConfigFact, objects ...seawall.Object) []seawall.Finding {
	t.Helper()
	res, err := Detector{}.Detect(context.Background(), detect.Facts{Asset: seawall.Asset{ID: "x", Kind: kind}, Objects: objects, Configs: configs})
	if err != nil {
		t.Fatal(err)
	}
	return res.Findings
}

// statuses is what a rule came to: the status, and for failures the titles.
func statuses(findings []seawall.Finding, rule string) string {
	var out []string
	for _, f := range findings {
		switch {
		case f.Rule != rule:
		case f.Status == seawall.StatusFail:
			out = append(out, f.Title)
		default:
			out = append(out, string(f.Status))
		}
	}
	return strings.Join(out, "; ")
}

func TestRules(t *testing.T) {
	web := deployment(t, "a", "web", "nginx", "")
	db := deployment(t, "a", "db", "docker.io/library/postgres:16", "")
	denyAll := policy(t, "a", "deny", `{"podSelector":{},"policyTypes":["Ingress","Egress"]}`)
	open := policy(t, "a", "open", `{"podSelector":{},"ingress":[{}],"egress":[{"to":[{"ipBlock":{"cidr":"0.0.0.0/0"}}]}],"policyTypes":["Ingress","Egress"]}`)
	all := func(objects ...seawall.Object) []seawall.Object { return objects }
	for _, tt := range []struct {
		rule, name string
		objects    []seawall.Object
		want       string
	}{
		{ruleIngress, "open", all(web), "Namespace a does not restrict ingress"},
		{ruleIngress, "denied", all(web, denyAll), "pass"},
		{ruleIngress, "only pods in the node's network", all(deployment(t, "a", "web", "nginx", `,"hostNetwork":true`)), "not-applicable"},
		{ruleIngress, "an administrator denies", all(web, admin(t, "x", `{"priority":1,"subject":{"namespaces":{}},"ingress":[{"action":"Deny","from":[{"namespaces":{}}]}]}`)), "pass"},
		{ruleIngress, "one of two", all(web, db, policy(t, "a", "p", `{"podSelector":{"matchLabels":{"app":"db"}}}`)), "Namespace a does not restrict ingress"},
		{ruleEgress, "open", all(web), "Namespace a does not restrict egress"},
		{ruleEgress, "denied", all(web, denyAll), "pass"},
		{ruleOutside, "nothing", all(web), "pass"},
		{ruleOutside, "node port", all(web, service(t, "a", "web", `{"type":"NodePort","selector":{"app":"web"},"ports":[{"port":80,"targetPort":"http"}]}`)), "a/Deployment/web can be reached from outside the cluster"},
		{ruleOutside, "node port behind a policy", all(web, denyAll, service(t, "a", "web", `{"type":"NodePort","selector":{"app":"web"},"ports":[{"port":80,"targetPort":"http"}]}`)), "pass"},
		{ruleSensitive, "database on the Internet", all(db, service(t, "a", "db", `{"type":"LoadBalancer","selector":{"app":"db"},"ports":[{"port":5432}]}`)), "PostgreSQL of a/Deployment/db can be reached from the Internet"},
		{ruleSensitive, "web on the Internet", all(web, service(t, "a", "web", `{"type":"LoadBalancer","selector":{"app":"web"},"ports":[{"port":80}]}`)), "pass"},
		{ruleNoPods, "no pods", all(web, policy(t, "a", "p", `{"podSelector":{"matchLabels":{"app":"wbe"}}}`)), "NetworkPolicy a/p selects no pods"},
		{ruleNoPods, "pods", all(web, denyAll), "pass"},
		{ruleNoPods, "a default without pods yet", all(web, policy(t, "empty", "deny", `{"podSelector":{}}`)), "pass"},
		{ruleNoPeer, "nobody", all(web, policy(t, "a", "p", `{"podSelector":{},"ingress":[{"from":[{"podSelector":{"matchLabels":{"app":"x"}}}]}]}`)), "NetworkPolicy a/p: ingress rule 1 matches nobody"},
		{ruleNoPeer, "somebody", all(web, policy(t, "a", "p", `{"podSelector":{},"ingress":[{"from":[{"podSelector":{"matchLabels":{"app":"web"}}}]}]}`)), "pass"},
		{ruleAllIngress, "all", all(web, open), "NetworkPolicy/a/open allows all ingress"},
		{ruleAllIngress, "a port", all(web, policy(t, "a", "p", `{"podSelector":{},"ingress":[{"ports":[{"port":80}]}]}`)), "pass"},
		{ruleAllEgress, "all", all(web, open), "NetworkPolicy/a/open allows all egress"},
		{ruleNamedPort, "nobody has it", all(web, policy(t, "a", "p", `{"podSelector":{},"ingress":[{"ports":[{"port":"htp"}]}]}`)), `NetworkPolicy/a/p names port "htp", which no pod has`},
		{ruleNamedPort, "with another protocol", all(web, policy(t, "a", "p", `{"podSelector":{},"ingress":[{"ports":[{"port":"http","protocol":"UDP"}]}]}`)), `NetworkPolicy/a/p names port "http", which no pod has`},
		{ruleNamedPort, "a pod has it", all(web, policy(t, "a", "p", `{"podSelector":{},"ingress":[{"ports":[{"port":"http"}]}]}`)), "pass"},
		{ruleNoBackend, "no pods", all(web, service(t, "a", "s", `{"selector":{"app":"x"},"ports":[{"port":80}]}`)), "Service a/s selects no pods"},
		{ruleNoBackend, "without a selector", all(web, service(t, "a", "s", `{"ports":[{"port":80}]}`)), "not-applicable"},
		{ruleTargetPort, "none", all(web, service(t, "a", "s", `{"selector":{"app":"web"},"ports":[{"port":80,"targetPort":"x"}]}`)), `Service a/s leads to port "x", which no pod has`},
		{ruleNoService, "none", all(web, object(t, "networking.k8s.io/v1", "Ingress", "a", "i", `"spec":{"defaultBackend":{"service":{"name":"s","port":{"number":80}}}}`)), "Ingress/a/i leads to Service a/s, which does not exist"},
		{ruleMetadata, "open", all(web), "Pods of namespace a can reach the cloud's metadata service"},
		{ruleMetadata, "all but it", all(web, policy(t, "a", "p", `{"podSelector":{},"policyTypes":["Egress"],"egress":[{"to":[{"ipBlock":{"cidr":"0.0.0.0/0","except":["169.254.169.254/32"]}}]}]}`)), "pass"},
		{ruleSystem, "open", all(deployment(t, "kube-system", "x", "x", "")), "kube-system/Deployment/x accepts connections from any namespace"},
		{ruleSystem, "own namespace", all(deployment(t, "kube-system", "x", "x", ""), policy(t, "kube-system", "p", `{"podSelector":{},"ingress":[{"from":[{"podSelector":{}}]}]}`)), "pass"},
		{ruleDatabase, "open", all(db), "postgres a/Deployment/db accepts connections from any namespace"},
		{ruleDatabase, "own namespace", all(db, policy(t, "a", "p", `{"podSelector":{},"ingress":[{"from":[{"podSelector":{}}]}]}`)), "pass"},
		{ruleDatabase, "any namespace", all(db, policy(t, "a", "p", `{"podSelector":{},"ingress":[{"from":[{"namespaceSelector":{}}]}]}`)), "postgres a/Deployment/db accepts connections from any namespace"},
		{ruleRedundant, "twice", all(web, policy(t, "a", "p", `{"podSelector":{},"ingress":[{"ports":[{"port":80}]}]}`), policy(t, "a", "q", `{"podSelector":{},"ingress":[{"ports":[{"port":79,"endPort":81}]}]}`)), "NetworkPolicy/a/p changes nothing"},
		{ruleRedundant, "apart", all(web, policy(t, "a", "p", `{"podSelector":{},"ingress":[{"ports":[{"port":80}]}]}`), policy(t, "a", "q", `{"podSelector":{},"ingress":[{"ports":[{"port":81}]}]}`)), "pass"},
		{ruleRedundant, "outside only", all(web, policy(t, "a", "p", `{"podSelector":{},"ingress":[{"from":[{"ipBlock":{"cidr":"8.8.8.8/32"}}]}]}`), policy(t, "a", "q", `{"podSelector":{},"ingress":[{"from":[{"ipBlock":{"cidr":"8.8.4.4/32"}}]}]}`)), "pass"},
		{ruleRedundant, "for nobody yet", all(web, denyAll, policy(t, "a", "p", `{"podSelector":{},"ingress":[{"from":[{"podSelector":{"matchLabels":{"app":"x"}}}]}]}`)), "not-applicable"},
		{rulePriority, "the same", all(web, admin(t, "x", `{"priority":1,"subject":{"namespaces":{}},"ingress":[{"action":"Deny","from":[{"namespaces":{}}]}]}`), admin(t, "y", `{"priority":1,"subject":{"namespaces":{}},"ingress":[{"action":"Allow","from":[{"namespaces":{}}]}]}`)),
			"AdminNetworkPolicy/x and AdminNetworkPolicy/y have the same priority"},
		{ruleIdle, "covered", all(web, db, admin(t, "x", `{"priority":1,"subject":{"namespaces":{}},"ingress":[{"action":"Deny","from":[{"namespaces":{}}]}]}`), admin(t, "y", `{"priority":2,"subject":{"namespaces":{}},"ingress":[{"action":"Allow","from":[{"namespaces":{}}]}]}`)),
			"AdminNetworkPolicy/y: ingress rule 1 never applies"},
		{ruleIdle, "a NetworkPolicy overruled", all(web, db, admin(t, "x", `{"priority":1,"subject":{"namespaces":{}},"ingress":[{"action":"Deny","from":[{"namespaces":{}}]}]}`), policy(t, "a", "p", `{"podSelector":{},"ingress":[{"from":[{"podSelector":{}}]}]}`)),
			"NetworkPolicy/a/p: ingress rule 1 never applies"},
		{ruleIdle, "partly", all(web, db, admin(t, "x", `{"priority":1,"subject":{"namespaces":{}},"ingress":[{"action":"Deny","from":[{"namespaces":{}}],"ports":[{"portNumber":{"protocol":"TCP","port":1}}]}]}`), policy(t, "a", "p", `{"podSelector":{},"ingress":[{"from":[{"podSelector":{}}]}]}`)), "pass"},
		{ruleHost, "node network", all(deployment(t, "a", "web", "nginx", `,"hostNetwork":true`), policy(t, "a", "p", `{"podSelector":{"matchLabels":{"app":"web"}}}`)), "NetworkPolicy a/p selects pods it cannot bind"},
		{rulePlugin, "unknown", all(web), "not-evaluated"},
		{rulePlugin, "flannel", all(object(t, "apps/v1", "DaemonSet", "kube-flannel", "kube-flannel-ds", `"spec":{"template":{}}`)), "Flannel does not enforce network policies"},
		{rulePlugin, "Calico", all(object(t, "apps/v1", "DaemonSet", "kube-system", "calico-node", `"spec":{"template":{}}`)), "pass"},
	} {
		t.Run(tt.rule+" "+tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, statuses(run(t, seawall.AssetCluster, nil, tt.objects...), tt.rule)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestNotEvaluated: what was not read, or manifests cannot show, is never a pass.
func TestNotEvaluated(t *testing.T) {
	web := deployment(t, "a", "web", "nginx", "")
	findings := run(t, seawall.AssetManifests, nil, web)
	for _, rule := range []string{ruleIngress, ruleEgress, ruleMetadata, rulePlugin} {
		if got := statuses(findings, rule); got != "not-evaluated" {
			t.Errorf("manifests without policies: %s %s", rule, got)
		}
	}
	dns := policy(t, "a", "dns", `{"podSelector":{},"policyTypes":["Egress"],"egress":[{"to":[{"namespaceSelector":{"matchLabels":{"kubernetes.io/metadata.name":"kube-system"}}}]}]}`)
	deny := policy(t, "a", "deny", `{"podSelector":{},"policyTypes":["Egress"]}`)
	if got := statuses(run(t, seawall.AssetManifests, nil, web, dns, deny), ruleRedundant); got != "not-applicable" {
		t.Errorf("manifests without the namespace a policy allows: %s", got)
	}
	unread := func(resource string) []seawall.ConfigFact {
		return []seawall.ConfigFact{{Kind: "kubernetes/unread", Data: map[string]string{"resource": resource, "reason": "forbidden"}}}
	}
	for _, f := range run(t, seawall.AssetCluster, unread("deployments.apps"), web) {
		if f.Status != seawall.StatusNotEvaluated || !strings.Contains(f.Reason, "forbidden") {
			t.Errorf("workloads unread: %s %s %s", f.Rule, f.Status, f.Reason)
		}
	}
	for _, f := range run(t, seawall.AssetCluster, unread("networkpolicies.networking.k8s.io"), web) {
		known := slices.Contains([]string{ruleNoBackend, ruleTargetPort, ruleNoService, rulePlugin}, f.Rule)
		if f.Status != seawall.StatusNotEvaluated && !known {
			t.Errorf("policies unread: %s %s", f.Rule, f.Status)
		}
	}
	if got := run(t, seawall.AssetImage, nil, web); got != nil {
		t.Errorf("an image has findings: %v", got)
	}
}

// TestRulesAreComplete: every rule explains itself and is reported once or more.
func TestRulesAreComplete(t *testing.T) {
	findings := run(t, seawall.AssetCluster, nil, deployment(t, "a", "web", "nginx", ""))
	for i, r := range (Detector{}).Rules() {
		if want := fmt.Sprintf("SW-NET-%03d", i+1); r.ID != want {
			t.Errorf("rule %s, want %s", r.ID, want)
		}
		if r.Title == "" || r.Rationale == "" || r.Remediation == "" || r.Severity == 0 || len(r.References) == 0 {
			t.Errorf("%s lacks an explanation", r.ID)
		}
		if statuses(findings, r.ID) == "" {
			t.Errorf("%s is not reported", r.ID)
		}
	}
}

// TestExposed: open from outside means a way in that policies leave open.
func TestExposed(t *testing.T) {
	web := deployment(t, "a", "web", "nginx", "")
	lb := service(t, "a", "web", `{"type":"LoadBalancer","selector":{"app":"web"},"ports":[{"port":80}]}`)
	if !Exposed([]seawall.Object{web, lb})("a/Deployment/web") || Exposed([]seawall.Object{web})("a/Deployment/web") {
		t.Error("a load balancer exposes, nothing does not")
	}
	if Exposed([]seawall.Object{web, lb, policy(t, "a", "p", `{"podSelector":{}}`)})("a/Deployment/web") {
		t.Error("a default deny closes")
	}
}
