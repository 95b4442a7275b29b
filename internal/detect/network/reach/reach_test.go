package reach

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seawall-security/seawall/internal/detect/network/portset"
	"github.com/seawall-security/seawall/internal/seawall"
)

// objects reads JSON objects, one after another.
func objects(t testing.TB, text string) []seawall.Object {
	t.Helper()
	var out []seawall.Object
	for d := json.NewDecoder(strings.NewReader(text)); d.More(); {
		var raw json.RawMessage
		if err := d.Decode(&raw); err != nil {
			t.Fatal(err)
		}
		var head struct {
			APIVersion, Kind string
			Metadata         struct{ Namespace, Name string }
		}
		if err := json.Unmarshal(raw, &head); err != nil {
			t.Fatal(err)
		}
		out = append(out, seawall.Object{APIVersion: head.APIVersion, Kind: head.Kind, Namespace: head.Metadata.Namespace, Name: head.Metadata.Name, JSON: raw})
	}
	return out
}

func deployment(namespace, name, labels, more string) string {
	return fmt.Sprintf(`{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"namespace":%q,"name":%q},"spec":{"selector":{"matchLabels":%s},"template":{"metadata":{"labels":%s},"spec":{"containers":[{"name":"c","ports":[{"name":"http","containerPort":8080}]}]%s}}}}`,
		namespace, name, labels, labels, more)
}

func policy(namespace, name, spec string) string {
	return fmt.Sprintf(`{"apiVersion":"networking.k8s.io/v1","kind":"NetworkPolicy","metadata":{"namespace":%q,"name":%q},"spec":%s}`, namespace, name, spec)
}

func service(namespace, name, spec string) string {
	return fmt.Sprintf(`{"apiVersion":"v1","kind":"Service","metadata":{"namespace":%q,"name":%q},"spec":%s}`, namespace, name, spec)
}

func TestCheck(t *testing.T) {
	base := deployment("a", "web", `{"app":"web"}`, "") + deployment("a", "db", `{"app":"db"}`, "") + deployment("b", "job", `{"app":"job"}`, "") +
		deployment("b", "agent", `{"app":"agent"}`, `,"hostNetwork":true`)
	deny := policy("a", "deny", `{"podSelector":{},"policyTypes":["Ingress","Egress"]}`)
	lb := service("a", "web", `{"type":"LoadBalancer","selector":{"app":"web"},"ports":[{"port":80,"targetPort":"http"}]}`)
	ingress := `{"apiVersion":"networking.k8s.io/v1","kind":"Ingress","metadata":{"namespace":"a","name":"i"},"spec":{"rules":[{"http":{"paths":[{"backend":{"service":{"name":"db","port":{"number":5432}}}}]}}]}}` +
		service("a", "db", `{"selector":{"app":"db"},"ports":[{"port":5432}]}`)
	for _, tt := range []struct {
		name, objects, from, to, port, want string
		policies                            string // those that decided
	}{
		{"nothing binds", base, "a/web", "a/db", "tcp/1", "tcp 1", ""},
		{"default deny", base + deny, "b/job", "a/db", "tcp/1", "no ports", "deny isolates"},
		{"hostNetwork is the node, maybe the same", base + deny, "b/agent", "a/db", "tcp/1", "tcp 1", ""},
		{"a pod may use its own node", base + deny, "a/db", "b/agent", "tcp/1", "tcp 1", ""},
		{"by kind and Service", base + lb, "a/deploy/db", "a/svc/web", "tcp/80", "tcp 8080", ""},
		{"a Service's port that is none", base + lb, "a/deploy/db", "a/svc/web", "tcp/81", "no ports", ""},
		{"unlimited block takes in pods", base + policy("a", "p", `{"podSelector":{"matchLabels":{"app":"db"}},"ingress":[{"from":[{"ipBlock":{"cidr":"0.0.0.0/0"}}],"ports":[{"port":5432}]}]}`), "b/job", "a/db", "tcp/5432", "tcp 5432", "p Allow spec.ingress[0]"},
		{"a block of some of the addresses takes in none", base + policy("a", "p", `{"podSelector":{"matchLabels":{"app":"db"}},"ingress":[{"from":[{"ipBlock":{"cidr":"0.0.0.0/0","except":["10.0.0.0/8"]}}]}]}`), "b/job", "a/db", "tcp/5432", "no ports", "p isolates"},
		{"out to an address", base + policy("a", "p", `{"podSelector":{},"egress":[{"to":[{"ipBlock":{"cidr":"8.8.8.0/24"}}],"ports":[{"port":53,"protocol":"UDP"}]}]}`), "a/web", "8.8.8.8", "udp/53", "udp 53", "p Allow spec.egress[0]"},
		{"out to another", base + policy("a", "p", `{"podSelector":{},"egress":[{"to":[{"ipBlock":{"cidr":"8.8.8.0/24"}}]}]}`), "a/web", "8.8.9.8", "udp/53", "no ports", "p isolates"},
		{"out over IPv6", base + policy("a", "p", `{"podSelector":{},"egress":[{"to":[{"ipBlock":{"cidr":"2001:db8::/32"}}]}]}`), "a/web", "2001:db8::1", "", "all ports", "p Allow spec.egress[0]"},
		{"in from an address", base + deny, "1.2.3.4", "a/web", "tcp/80", "no ports", "deny isolates"},
		{"the Internet without a way", base, "internet", "a/web", "", "no ports", ""},
		{"the Internet by a load balancer", base + lb, "internet", "a/web", "", "tcp 8080", ""},
		{"the Internet by a load balancer, policy", base + lb + deny, "internet", "a/web", "", "no ports", "deny isolates"},
		{"the Internet by an Ingress", base + ingress, "internet", "a/db", "", "tcp 5432", ""},
		{"the Internet by an Ingress, policy", base + ingress + deny, "internet", "a/db", "", "no ports", "deny isolates"},
		{"the Ingress's controller is meant", base + ingress + deny + policy("a", "p", `{"podSelector":{"matchLabels":{"app":"db"}},"ingress":[{"from":[{"namespaceSelector":{"matchLabels":{"kubernetes.io/metadata.name":"ingress-nginx"}}}]}]}`),
			"internet", "a/db", "", "tcp 5432", "deny isolates p isolates"},
		{"internal load balancer", base + strings.Replace(lb, `"name":"web"}`, `"name":"web","annotations":{"networking.gke.io/load-balancer-type":"Internal"}}`, 1), "internet", "a/web", "", "no ports", ""},
		{"load balancer for some", base + strings.Replace(lb, `"ports"`, `"loadBalancerSourceRanges":["10.0.0.0/8"],"ports"`, 1), "internet", "a/web", "", "no ports", ""},
		{"an administrator denies", base + `{"apiVersion":"policy.networking.k8s.io/v1alpha1","kind":"AdminNetworkPolicy","metadata":{"name":"anp"},"spec":{"priority":1,"subject":{"namespaces":{}},"ingress":[{"action":"Deny","from":[{"namespaces":{"matchLabels":{"kubernetes.io/metadata.name":"b"}}}]}]}}`,
			"b/job", "a/web", "tcp/80", "no ports", "anp Deny spec.ingress[0]"},
		{"a peer of an unknown kind denies all", base + `{"apiVersion":"policy.networking.k8s.io/v1alpha1","kind":"AdminNetworkPolicy","metadata":{"name":"anp"},"spec":{"priority":1,"subject":{"namespaces":{}},"ingress":[{"action":"Pass","from":[{"new":{}}],"ports":[{"portNumber":{"protocol":"TCP","port":1}}]}]}}`,
			"b/job", "a/web", "tcp/80", "no ports", "anp Deny spec.ingress[0]"},
		{"a peer of an unknown kind allows nothing", base + deny + `{"apiVersion":"policy.networking.k8s.io/v1alpha1","kind":"AdminNetworkPolicy","metadata":{"name":"anp"},"spec":{"priority":1,"subject":{"namespaces":{}},"ingress":[{"action":"Allow","from":[{"new":{}}]}]}}`,
			"b/job", "a/web", "tcp/80", "no ports", "deny isolates"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := New(Read(objects(t, tt.objects)))
			if len(m.Problems) > 0 {
				t.Fatal(m.Problems)
			}
			from, err := m.Endpoint(tt.from)
			if err != nil {
				t.Fatal(err)
			}
			to, err := m.Endpoint(tt.to)
			if err != nil {
				t.Fatal(err)
			}
			ports := portset.All()
			if tt.port != "" {
				if ports, err = portset.Parse(tt.port); err != nil {
					t.Fatal(err)
				}
			}
			a := m.Check(from, to, ports)
			var decided []string
			for _, s := range a.Sides {
				for _, r := range s.Rules {
					decided = append(decided, strings.TrimSpace(r.Object.Name+" "+r.Action+" "+r.Field))
				}
			}
			if diff := cmp.Diff([]string{tt.want, tt.policies}, []string{a.Ports.String(), strings.Join(decided, " ")}); diff != "" {
				t.Errorf("%s\n%+v", diff, a)
			}
		})
	}
}

// TestRefused: what the API server refuses is a problem that names the place.
func TestRefused(t *testing.T) {
	for spec, want := range map[string]string{
		`{"podSelector":{},"ingress":[{"from":[{}]}]}`:                                                        "spec.ingress[0]: from[0]: a peer needs",
		`{"podSelector":{},"ingress":[{"from":[{"ipBlock":{"cidr":"10.0.0.0/8","except":["11.0.0.0/8"]}}]}]}`: "not within",
		`{"podSelector":{},"ingress":[{"from":[{"ipBlock":{"cidr":"10/8"}}]}]}`:                               "no CIDR block",
		`{"podSelector":{},"ingress":[{"from":[{"ipBlock":{"cidr":"10.0.0.0/8"},"podSelector":{}}]}]}`:        "cannot be with a selector",
		`{"podSelector":{},"ingress":[{"ports":[{"port":80,"endPort":79}]}]}`:                                 "ports[0]",
		`{"podSelector":{},"ingress":[{"ports":[{"port":"http","endPort":79}]}]}`:                             "endPort needs a port that is a number",
		`{"podSelector":{},"ingress":[{"ports":[{"endPort":79}]}]}`:                                           "endPort needs port",
		`{"podSelector":{},"ingress":[{"ports":[{"port":0}]}]}`:                                               "1 to 65535",
		`{"podSelector":{},"ingress":[{"ports":[{"port":1,"protocol":"ICMP"}]}]}`:                             "unknown protocol",
		`{"podSelector":{},"policyTypes":["ingress"]}`:                                                        "unknown type",
		`{"podSelector":{"matchExpressions":[{"key":"a","operator":"Is"}]}}`:                                  "unknown operator",
		`{"podSelector":{"matchExpressions":[{"key":"a","operator":"In"}]}}`:                                  "needs values",
		`{"podSelector":[]}`: "cannot unmarshal",
	} {
		c := Read(objects(t, policy("a", "p", spec)))
		if len(c.Policies) != 0 || len(c.Problems) != 1 || !strings.Contains(c.Problems[0], want) || !strings.Contains(c.Problems[0], "NetworkPolicy/a/p") {
			t.Errorf("%s: %v", spec, c.Problems)
		}
	}
}

// TestOwners: pods count to what made them in the end.
func TestOwners(t *testing.T) {
	pod := func(name, owner string) string {
		return `{"apiVersion":"v1","kind":"Pod","metadata":{"namespace":"a","name":"` + name + `","labels":{"pod-template-hash":"abc"},"ownerReferences":[` + owner + `]},"spec":{"containers":[]}}`
	}
	c := Read(objects(t, pod("x", `{"kind":"ReplicaSet","name":"web-abc","controller":true}`)+pod("y", `{"kind":"Job","name":"j-1","controller":true}`)+pod("z", "")+pod("s", `{"kind":"Node","name":"n","controller":true}`)+
		`{"apiVersion":"batch/v1","kind":"Job","metadata":{"namespace":"a","name":"j-1","ownerReferences":[{"kind":"CronJob","name":"j","controller":true}]}}`))
	var got []string
	for _, w := range c.Workloads {
		got = append(got, w.ID())
	}
	if diff := cmp.Diff([]string{"a/CronJob/j", "a/Deployment/web", "a/Pod/s", "a/Pod/z"}, got); diff != "" {
		t.Error(diff)
	}
}

// TestMonotone: one more NetworkPolicy for pods that one isolates already never takes reach
// away; one for pods that none isolated never adds to it.
func TestMonotone(t *testing.T) {
	for seed := range uint64(400) {
		w := newWorld(rand.New(rand.NewPCG(seed, 77)))
		before := New(Read(w.objects(t)))
		extra := w.networkPolicy(1000)
		w.policies = append(w.policies, extra)
		after := New(Read(w.objects(t)))
		added := after.Policies[len(after.Policies)-1]
		for _, p := range after.Policies {
			if p.Object.Name == "np1000" {
				added = p
			}
		}
		for i, dst := range after.Workloads {
			was := before.Workloads[i]
			selected := added.Selects(after.Cluster, dst.Pods[0]) && added.Affects[Ingress]
			isolated := before.classes[was.classes[0]].binding[Ingress].isolated
			for k, src := range after.Workloads {
				if added.Affects[Egress] && added.Selects(after.Cluster, src.Pods[0]) {
					continue // its egress changed, too
				}
				a, b := before.Ports(before.Workloads[k], was), after.Ports(src, dst)
				switch {
				case !selected && !a.Equal(b):
					t.Fatalf("seed %d: a policy about others changed %s -> %s", seed, src.ID(), dst.ID())
				case selected && !isolated && !a.Covers(b) && len(w.baseline()) == 0:
					t.Fatalf("seed %d: the first policy of %s widened its ingress from %s: %v to %v", seed, dst.ID(), src.ID(), a, b)
				case selected && isolated && !b.Covers(a):
					t.Fatalf("seed %d: a further policy narrowed %s -> %s", seed, src.ID(), dst.ID())
				}
			}
		}
	}
}

// baseline is the policies whose denials a NetworkPolicy may override.
func (w *world) baseline() []obj {
	var out []obj
	for _, p := range w.policies {
		if p["kind"] == "BaselineAdminNetworkPolicy" || p["spec"].(obj)["tier"] == "Baseline" {
			out = append(out, p)
		}
	}
	return out
}

// FuzzPolicy: any text is a policy or a problem, and answers are found in any case.
func FuzzPolicy(f *testing.F) {
	f.Add("NetworkPolicy", `{"podSelector":{},"ingress":[{"from":[{"ipBlock":{"cidr":"10.0.0.0/8"}}],"ports":[{"port":80}]}]}`)
	f.Add("AdminNetworkPolicy", `{"priority":1,"subject":{"namespaces":{}},"egress":[{"action":"Deny","to":[{"networks":["::/0"]}]}]}`)
	f.Add("ClusterNetworkPolicy", `{"tier":"Baseline","priority":1,"subject":{"pods":{"podSelector":{}}},"ingress":[{"action":"Accept","from":[{"namespaces":{}}],"protocols":[{"tcp":{}}]}]}`)
	f.Add("Service", `{"selector":{"a":"b"},"ports":[{"port":1,"targetPort":"x"}]}`)
	f.Add("Deployment", `{"template":{"spec":{"containers":[{"ports":[{"containerPort":1}]}]}}}`)
	versions := map[string]string{"NetworkPolicy": "networking.k8s.io/v1", "Service": "v1", "Deployment": "apps/v1", "Ingress": "networking.k8s.io/v1", "HTTPRoute": "gateway.networking.k8s.io/v1"}
	f.Fuzz(func(t *testing.T, kind, spec string) {
		version := versions[kind]
		if version == "" {
			version = "policy.networking.k8s.io/v1alpha1"
		}
		list := objects(t, deployment("a", "web", `{"a":"b"}`, ""))
		list = append(list, seawall.Object{APIVersion: version, Kind: kind, Namespace: "a", Name: "x", JSON: []byte(`{"spec":` + spec + `}`)})
		c := Read(list)
		if (len(c.Policies)+len(c.Admin) > 0) && len(c.Problems) > 0 {
			t.Fatalf("both a policy and %v", c.Problems)
		}
		m := New(c)
		for range m.Connections() {
		}
		m.Exposures()
	})
}

// large is a cluster of pods in deployments of five, and policies for them.
func large(tb testing.TB, pods, policies int) []seawall.Object {
	r := rand.New(rand.NewPCG(9, 9))
	var out []seawall.Object
	add := func(version, kind, namespace, name string, body any) {
		text, err := json.Marshal(body)
		if err != nil {
			tb.Fatal(err)
		}
		out = append(out, seawall.Object{APIVersion: version, Kind: kind, Namespace: namespace, Name: name, JSON: text})
	}
	spaces := pods / 50
	for i := range spaces {
		name := fmt.Sprintf("ns%d", i)
		add("v1", "Namespace", "", name, obj{"metadata": obj{"labels": obj{"team": fmt.Sprintf("t%d", i%10)}}})
	}
	for i := range pods {
		ns, app := fmt.Sprintf("ns%d", i%spaces), fmt.Sprintf("app%d", i/spaces/5)
		add("v1", "Pod", ns, fmt.Sprintf("p%d", i), obj{
			"metadata": obj{"labels": obj{"app": app, "pod-template-hash": "h"}, "ownerReferences": list{obj{"kind": "ReplicaSet", "name": app + "-h", "controller": true}}},
			"spec":     obj{"nodeName": fmt.Sprintf("node%d", i%100), "containers": list{obj{"name": "c", "ports": list{obj{"name": "http", "containerPort": 8000 + i/spaces/5%7}}}}},
			"status":   obj{"podIPs": list{obj{"ip": fmt.Sprintf("10.%d.%d.%d", i>>16, i>>8&255, i&255)}}},
		})
	}
	for i := range policies {
		ns := fmt.Sprintf("ns%d", i%spaces)
		peer := obj{"namespaceSelector": obj{"matchLabels": obj{"team": fmt.Sprintf("t%d", r.IntN(10))}}, "podSelector": obj{"matchLabels": obj{"app": fmt.Sprintf("app%d", r.IntN(10))}}}
		add("networking.k8s.io/v1", "NetworkPolicy", ns, fmt.Sprintf("np%d", i), obj{"spec": obj{
			"podSelector": obj{"matchLabels": obj{"app": fmt.Sprintf("app%d", i/spaces)}}, "policyTypes": list{"Ingress", "Egress"},
			"ingress": list{obj{"from": list{peer, obj{"podSelector": obj{}}}, "ports": list{obj{"port": "http"}, obj{"port": 9000 + r.IntN(5), "endPort": 9100}}}},
			"egress":  list{obj{"to": list{obj{"ipBlock": obj{"cidr": fmt.Sprintf("%d.0.0.0/8", 20+r.IntN(100))}}}}, obj{"to": list{obj{"namespaceSelector": obj{}}}, "ports": list{obj{"port": 8000, "endPort": 9200}}}},
		}})
	}
	return out
}

// BenchmarkGraph is 5,000 pods and 1,000 policies to all connections: from
// objects, once with pods that differ by policy only by workload, once where blocks
// of pod addresses make nearly every pod a class of its own.
func BenchmarkGraph(b *testing.B) {
	plain := large(b, 5000, 1000)
	fine := large(b, 5000, 1000)
	for i := range 1000 {
		fine = append(fine, objects(b, policy(fmt.Sprintf("ns%d", i%100), fmt.Sprintf("fine%d", i),
			fmt.Sprintf(`{"podSelector":{"matchLabels":{"app":"app%d"}},"egress":[{"to":[{"ipBlock":{"cidr":"10.0.%d.%d/30"}}]}]}`, i/100, i*5>>8, i*5&252)))...)
	}
	for name, objects := range map[string][]seawall.Object{"workloads": plain, "addresses": fine} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			var m *Model
			connections := 0
			for b.Loop() {
				m = New(Read(objects))
				connections = 0
				for range m.Connections() {
					connections++
				}
			}
			runtime.GC()
			var mem runtime.MemStats
			runtime.ReadMemStats(&mem)
			b.ReportMetric(float64(len(m.classes)), "classes")
			b.ReportMetric(float64(connections), "connections")
			b.ReportMetric(float64(mem.HeapAlloc)/1e6, "MB-live")
			b.ReportMetric(float64(mem.Sys)/1e6, "MB-sys")
		})
	}
}
