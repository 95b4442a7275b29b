package reach

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"sort"
	"strings"
	"testing"

	"github.com/seawall-security/seawall/internal/detect/network/portset"
	"github.com/seawall-security/seawall/internal/seawall"
)

// The reference judges one connection at a time from the decoded manifests: a pod,
// an address, a protocol, a port. It follows the text of the API reference sentence by
// sentence, knows no classes and no sets, and shares nothing with the package.

type (
	obj  = map[string]any
	list = []any
)

type world struct {
	namespaces, nodes map[string]obj // by name: labels
	nodeIPs           map[string][]string
	pods              []*refPod
	policies          []obj
	rand              *rand.Rand
}

type refPod struct {
	name, namespace, node string
	labels                obj
	host                  bool
	ips                   []string
	ports                 []obj
}

func pick[T any](r *rand.Rand, from ...T) T { return from[r.IntN(len(from))] }

func (w *world) labels() obj {
	out := obj{}
	for _, k := range []string{"app", "tier"} {
		if w.rand.IntN(3) > 0 {
			out[k] = pick(w.rand, "a", "b", "c")
		}
	}
	return out
}

func (w *world) selector() obj {
	s := obj{}
	if w.rand.IntN(3) == 0 {
		return s
	}
	if w.rand.IntN(2) == 0 {
		s["matchLabels"] = obj{pick(w.rand, "app", "tier"): pick(w.rand, "a", "b", "c")}
	}
	if w.rand.IntN(3) == 0 {
		e := obj{"key": pick(w.rand, "app", "tier", "kubernetes.io/metadata.name"), "operator": pick(w.rand, "In", "NotIn", "Exists", "DoesNotExist")}
		if op := e["operator"].(string); op == "In" || op == "NotIn" {
			e["values"] = list{pick(w.rand, "a", "b", "n0"), pick(w.rand, "b", "c", "n1")}
		}
		s["matchExpressions"] = list{e}
	}
	return s
}

func (w *world) block() string {
	if w.rand.IntN(4) == 0 {
		return pick(w.rand, "::/0", "fd00::/64", "fd00::4/126", "2001:4860::/32", "fd00:1::/64")
	}
	return pick(w.rand, "0.0.0.0/0", "10.0.0.0/24", "10.0.0.4/30", "10.0.0.8/29", "192.168.0.0/30", "8.8.0.0/16", "8.8.8.0/25", "10.0.0.5/32")
}

func newWorld(r *rand.Rand) *world {
	w := &world{namespaces: map[string]obj{}, nodes: map[string]obj{}, nodeIPs: map[string][]string{}, rand: r}
	for i := range 1 + r.IntN(3) {
		name := fmt.Sprintf("n%d", i)
		w.namespaces[name] = w.labels()
		w.namespaces[name]["kubernetes.io/metadata.name"] = name
	}
	for i := range 2 {
		name := fmt.Sprintf("node%d", i)
		w.nodes[name], w.nodeIPs[name] = w.labels(), []string{fmt.Sprintf("192.168.0.%d", i+1)}
	}
	if r.IntN(2) == 0 {
		w.nodeIPs["node0"] = append(w.nodeIPs["node0"], "fd00:1::1")
	}
	for i := range 2 + r.IntN(6) {
		p := &refPod{name: fmt.Sprintf("p%d", i), namespace: fmt.Sprintf("n%d", r.IntN(len(w.namespaces))), node: pick(r, "node0", "node1"), labels: w.labels()}
		p.ips = [][]string{{fmt.Sprintf("10.0.0.%d", i+1)}, {fmt.Sprintf("fd00::%d", i+1)}, {fmt.Sprintf("10.0.0.%d", i+1), fmt.Sprintf("fd00::%d", i+1)}}[r.IntN(3)]
		if p.host = r.IntN(8) == 0; p.host {
			p.ips = w.nodeIPs[p.node]
		}
		for _, n := range []string{"web", "dns"} {
			if r.IntN(2) == 0 {
				p.ports = append(p.ports, obj{"name": n, "containerPort": pick(r, 53, 80, 8080), "protocol": pick(r, "TCP", "UDP", "SCTP")})
			}
		}
		w.pods = append(w.pods, p)
	}
	for i := range r.IntN(6) {
		w.policies = append(w.policies, w.networkPolicy(i))
	}
	for i := range r.IntN(5) {
		w.policies = append(w.policies, w.adminPolicy(i))
	}
	if r.IntN(2) == 0 {
		p := w.adminPolicy(99)
		p["kind"], p["metadata"] = "BaselineAdminNetworkPolicy", obj{"name": "default"}
		p["apiVersion"] = "policy.networking.k8s.io/v1alpha1"
		spec := p["spec"].(obj)
		delete(spec, "tier")
		delete(spec, "priority")
		for _, d := range []string{"ingress", "egress"} {
			rules, _ := spec[d].(list)
			for _, x := range rules {
				rule := x.(obj)
				if rule["action"] != "Allow" {
					rule["action"] = "Deny"
				}
				delete(rule, "protocols")
				if r.IntN(2) == 0 {
					rule["ports"] = w.adminPorts()
				}
			}
		}
		w.policies = append(w.policies, p)
	}
	return w
}

func (w *world) networkPolicy(i int) obj {
	r := w.rand
	spec := obj{"podSelector": w.selector()}
	if r.IntN(2) == 0 {
		spec["policyTypes"] = pick(r, list{"Ingress"}, list{"Egress"}, list{"Ingress", "Egress"})
	}
	for _, d := range []string{"ingress", "egress"} {
		if r.IntN(3) == 0 {
			continue
		}
		rules := list{}
		for range r.IntN(3) {
			rule := obj{}
			if r.IntN(4) > 0 {
				peers := list{}
				for range r.IntN(3) {
					switch r.IntN(4) {
					case 0:
						b := obj{"cidr": "10.0.0.0/24", "except": list{"10.0.0.4/30"}}
						if r.IntN(2) == 0 {
							b = obj{"cidr": w.block()}
						}
						peers = append(peers, obj{"ipBlock": b})
					case 1:
						peers = append(peers, obj{"podSelector": w.selector()})
					case 2:
						peers = append(peers, obj{"namespaceSelector": w.selector()})
					case 3:
						peers = append(peers, obj{"podSelector": w.selector(), "namespaceSelector": w.selector()})
					}
				}
				rule[map[string]string{"ingress": "from", "egress": "to"}[d]] = peers
			}
			if r.IntN(3) > 0 {
				ports := list{}
				for range r.IntN(3) {
					p := obj{}
					if r.IntN(2) == 0 {
						p["protocol"] = pick(r, "TCP", "UDP", "SCTP")
					}
					switch r.IntN(4) {
					case 0:
						p["port"] = pick(r, "web", "dns", "none")
					case 1:
						p["port"], p["endPort"] = 79, 81+r.IntN(2)*8000
					case 2:
						p["port"] = pick(r, 53, 80, 443)
					}
					ports = append(ports, p)
				}
				rule["ports"] = ports
			}
			rules = append(rules, rule)
		}
		spec[d] = rules
	}
	return obj{"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": obj{"namespace": fmt.Sprintf("n%d", r.IntN(len(w.namespaces))), "name": fmt.Sprintf("np%d", i)}, "spec": spec}
}

func (w *world) adminPorts() list {
	r := w.rand
	return list{pick(r,
		obj{"portNumber": obj{"protocol": pick(r, "TCP", "UDP"), "port": pick(r, 53, 80)}},
		obj{"namedPort": pick(r, "web", "dns")},
		obj{"portRange": obj{"protocol": pick(r, "TCP", "SCTP"), "start": 53, "end": 80}})}
}

// adminPolicy is an AdminNetworkPolicy or a ClusterNetworkPolicy. Their priorities differ.
func (w *world) adminPolicy(i int) obj {
	r := w.rand
	cluster := r.IntN(2) == 0
	spec := obj{"priority": (i*37 + 11) % 1000, "subject": pick(r, obj{"namespaces": w.selector()}, obj{"pods": obj{"namespaceSelector": w.selector(), "podSelector": w.selector()}})}
	for _, d := range []string{"ingress", "egress"} {
		rules := list{}
		for range r.IntN(3) {
			rule := obj{"action": pick(r, "Allow", "Deny", "Pass")}
			if cluster && rule["action"] == "Allow" {
				rule["action"] = "Accept"
			}
			if i == 99 { // the baseline
				rule["action"] = pick(r, "Allow", "Deny")
			}
			peers := list{}
			for range 1 + r.IntN(2) {
				peer := pick(r, obj{"namespaces": w.selector()}, obj{"pods": obj{"namespaceSelector": w.selector(), "podSelector": w.selector()}})
				if d == "egress" {
					switch r.IntN(4) {
					case 0:
						peer = obj{"networks": list{w.block(), w.block()}}
					case 1:
						peer = obj{"nodes": w.selector()}
					}
				}
				peers = append(peers, peer)
			}
			rule[map[string]string{"ingress": "from", "egress": "to"}[d]] = peers
			switch {
			case r.IntN(2) == 0:
			case cluster:
				rule["protocols"] = list{pick(r, obj{"tcp": obj{"destinationPort": obj{"number": 80}}}, obj{"udp": obj{"destinationPort": obj{"range": obj{"start": 53, "end": 80}}}},
					obj{"sctp": obj{}}, obj{"destinationNamedPort": "web"})}
			default:
				rule["ports"] = w.adminPorts()
			}
			rules = append(rules, rule)
		}
		spec[d] = rules
	}
	if cluster {
		spec["tier"] = pick(r, "Admin", "Admin", "Baseline")
		return obj{"apiVersion": "policy.networking.k8s.io/v1alpha2", "kind": "ClusterNetworkPolicy", "metadata": obj{"name": fmt.Sprintf("cnp%d", i)}, "spec": spec}
	}
	return obj{"apiVersion": "policy.networking.k8s.io/v1alpha1", "kind": "AdminNetworkPolicy", "metadata": obj{"name": fmt.Sprintf("anp%d", i)}, "spec": spec}
}

func (w *world) objects(t *testing.T) []seawall.Object {
	var out []seawall.Object
	add := func(o obj) {
		text, err := json.Marshal(o)
		if err != nil {
			t.Fatal(err)
		}
		m := o["metadata"].(obj)
		ns, _ := m["namespace"].(string)
		out = append(out, seawall.Object{APIVersion: o["apiVersion"].(string), Kind: o["kind"].(string), Namespace: ns, Name: m["name"].(string), JSON: text})
	}
	for name, labels := range w.namespaces {
		add(obj{"apiVersion": "v1", "kind": "Namespace", "metadata": obj{"name": name, "labels": labels}})
	}
	for name, labels := range w.nodes {
		var addresses list
		for _, ip := range w.nodeIPs[name] {
			addresses = append(addresses, obj{"type": "InternalIP", "address": ip})
		}
		add(obj{"apiVersion": "v1", "kind": "Node", "metadata": obj{"name": name, "labels": labels}, "status": obj{"addresses": addresses}})
	}
	for _, p := range w.pods {
		var ips list
		for _, ip := range p.ips {
			ips = append(ips, obj{"ip": ip})
		}
		add(obj{"apiVersion": "v1", "kind": "Pod", "metadata": obj{"name": p.name, "namespace": p.namespace, "labels": p.labels},
			"spec":   obj{"hostNetwork": p.host, "nodeName": p.node, "containers": list{obj{"name": "c", "ports": p.ports}}},
			"status": obj{"phase": "Running", "podIPs": ips}})
	}
	for _, p := range w.policies {
		add(p)
	}
	return out
}

// ---- the reference proper ----

func refSelects(sel, labels obj) bool {
	ml, _ := sel["matchLabels"].(obj)
	for k, v := range ml {
		if labels[k] != v {
			return false
		}
	}
	es, _ := sel["matchExpressions"].(list)
	for _, x := range es {
		e := x.(obj)
		v, has := labels[e["key"].(string)]
		in := false
		values, _ := e["values"].(list)
		for _, want := range values {
			in = in || has && v == want
		}
		if ok := map[string]bool{"In": in, "NotIn": !in, "Exists": has, "DoesNotExist": !has}[e["operator"].(string)]; !ok {
			return false
		}
	}
	return true
}

func refInBlock(cidr, ip string) bool {
	_, n, err := net.ParseCIDR(cidr)
	if err != nil {
		panic(err)
	}
	return (strings.Contains(cidr, ":") == strings.Contains(ip, ":")) && n.Contains(net.ParseIP(ip))
}

// other is the far end of a connection: a pod by one of its addresses, or an address.
type other struct {
	pod *refPod // nil outside
	ip  string
}

type question struct {
	protocol string
	port     int
	dst      *refPod // nil outside: no named ports
}

func (q question) named(name, protocol string) bool {
	if q.dst == nil || q.dst.host {
		return false
	}
	for _, p := range q.dst.ports {
		if p["name"] == name && p["protocol"] == q.protocol && (protocol == "" || protocol == q.protocol) && p["containerPort"] == q.port {
			return true
		}
	}
	return false
}

func (w *world) refPeer(namespace string, peer obj, o other) bool {
	if b, ok := peer["ipBlock"].(obj); ok {
		if !refInBlock(b["cidr"].(string), o.ip) {
			return false
		}
		except, _ := b["except"].(list)
		for _, e := range except {
			if refInBlock(e.(string), o.ip) {
				return false
			}
		}
		return true
	}
	if o.pod == nil || o.pod.host {
		return false
	}
	if sel, ok := peer["namespaceSelector"].(obj); ok {
		if !refSelects(sel, w.namespaces[o.pod.namespace]) {
			return false
		}
	} else if o.pod.namespace != namespace {
		return false
	}
	sel, ok := peer["podSelector"].(obj)
	return !ok || refSelects(sel, o.pod.labels)
}

func refPorts(rule obj, q question) bool {
	ports, _ := rule["ports"].(list)
	if len(ports) == 0 {
		return true
	}
	for _, x := range ports {
		p := x.(obj)
		protocol := "TCP"
		if s, ok := p["protocol"].(string); ok {
			protocol = s
		}
		switch port := p["port"].(type) {
		case nil:
			if protocol == q.protocol {
				return true
			}
		case string:
			if q.named(port, protocol) {
				return true
			}
		case int:
			last := port
			if end, ok := p["endPort"].(int); ok {
				last = end
			}
			if protocol == q.protocol && port <= q.port && q.port <= last {
				return true
			}
		}
	}
	return false
}

// refNetworkPolicies: whether any selects the pod for the direction, and whether one allows.
func (w *world) refNetworkPolicies(p *refPod, direction string, o other, q question) (isolated, allowed bool) {
	for _, policy := range w.policies {
		if policy["kind"] != "NetworkPolicy" || policy["metadata"].(obj)["namespace"] != p.namespace {
			continue
		}
		spec := policy["spec"].(obj)
		if !refSelects(spec["podSelector"].(obj), p.labels) {
			continue
		}
		rules, _ := spec[direction].(list)
		affects := direction == "ingress" || len(rules) > 0
		if types, ok := spec["policyTypes"].(list); ok {
			affects = false
			for _, t := range types {
				affects = affects || strings.EqualFold(t.(string), direction)
			}
		}
		if !affects {
			continue
		}
		isolated = true
		for _, x := range rules {
			rule := x.(obj)
			peers, _ := rule[map[string]string{"ingress": "from", "egress": "to"}[direction]].(list)
			matches := len(peers) == 0
			for _, peer := range peers {
				matches = matches || w.refPeer(p.namespace, peer.(obj), o)
			}
			if matches && refPorts(rule, q) {
				allowed = true
			}
		}
	}
	return isolated, allowed
}

func (w *world) refSubject(s obj, p *refPod) bool {
	if p.host {
		return false
	}
	if sel, ok := s["namespaces"].(obj); ok {
		return refSelects(sel, w.namespaces[p.namespace])
	}
	pods := s["pods"].(obj)
	return refSelects(pods["namespaceSelector"].(obj), w.namespaces[p.namespace]) && refSelects(pods["podSelector"].(obj), p.labels)
}

func (w *world) refAdminPeer(peer obj, o other) bool {
	if networks, ok := peer["networks"].(list); ok {
		for _, n := range networks {
			if refInBlock(n.(string), o.ip) {
				return true
			}
		}
		return false
	}
	if sel, ok := peer["nodes"].(obj); ok {
		for name, labels := range w.nodes {
			for _, ip := range w.nodeIPs[name] {
				if refSelects(sel, labels) && ip == o.ip {
					return true
				}
			}
		}
		return false
	}
	return o.pod != nil && w.refSubject(peer, o.pod)
}

func refAdminPorts(rule obj, q question) bool {
	ports, _ := rule["ports"].(list)
	protocols, _ := rule["protocols"].(list)
	if len(ports)+len(protocols) == 0 {
		return true
	}
	for _, x := range ports {
		p := x.(obj)
		if n, ok := p["portNumber"].(obj); ok && n["protocol"] == q.protocol && n["port"] == q.port {
			return true
		}
		if n, ok := p["portRange"].(obj); ok && n["protocol"] == q.protocol && n["start"].(int) <= q.port && q.port <= n["end"].(int) {
			return true
		}
		if n, ok := p["namedPort"].(string); ok && q.named(n, "") {
			return true
		}
	}
	for _, x := range protocols {
		p := x.(obj)
		if n, ok := p["destinationNamedPort"].(string); ok && q.named(n, "") {
			return true
		}
		d, ok := p[strings.ToLower(q.protocol)].(obj)
		if !ok {
			continue
		}
		port, ok := d["destinationPort"].(obj)
		if !ok || port["number"] == q.port {
			return true
		}
		if r, ok := port["range"].(obj); ok && r["start"].(int) <= q.port && q.port <= r["end"].(int) {
			return true
		}
	}
	return false
}

// refTier is the first rule of a tier that matches: its action, or "".
func (w *world) refTier(admin bool, p *refPod, direction string, o other, q question) string {
	var tier []obj
	for _, policy := range w.policies {
		kind, spec := policy["kind"], policy["spec"].(obj)
		if kind == "AdminNetworkPolicy" && admin || kind == "BaselineAdminNetworkPolicy" && !admin ||
			kind == "ClusterNetworkPolicy" && (spec["tier"] == "Admin") == admin {
			tier = append(tier, policy)
		}
	}
	order := func(policy obj) int {
		if n, ok := policy["spec"].(obj)["priority"].(int); ok {
			return n
		}
		return 5000 // the BaselineAdminNetworkPolicy comes last
	}
	sort.Slice(tier, func(i, j int) bool { return order(tier[i]) < order(tier[j]) })
	for _, policy := range tier {
		spec := policy["spec"].(obj)
		if !w.refSubject(spec["subject"].(obj), p) {
			continue
		}
		rules, _ := spec[direction].(list)
		for _, x := range rules {
			rule := x.(obj)
			peers := rule[map[string]string{"ingress": "from", "egress": "to"}[direction]].(list)
			for _, peer := range peers {
				if w.refAdminPeer(peer.(obj), o) && refAdminPorts(rule, q) {
					return rule["action"].(string)
				}
			}
		}
	}
	return ""
}

// refSide: does the pod's side let the connection pass.
func (w *world) refSide(p *refPod, direction string, o other, q question, ownNode bool) bool {
	if p.host {
		return true
	}
	switch w.refTier(true, p, direction, o, q) {
	case "Allow", "Accept":
		return true
	case "Deny":
		return false
	}
	isolated, allowed := w.refNetworkPolicies(p, direction, o, q)
	if isolated {
		return allowed || ownNode
	}
	return w.refTier(false, p, direction, o, q) != "Deny"
}

func (w *world) refConnects(src, dst *refPod, protocol string, port int) bool {
	if src == dst || src.host && dst.host || src.host && src.node == dst.node {
		return true
	}
	ownNode := dst.host && src.node == dst.node
	q := question{protocol, port, dst}
	for _, from := range src.ips {
		for _, to := range dst.ips {
			if strings.Contains(from, ":") == strings.Contains(to, ":") &&
				w.refSide(src, "egress", other{dst, to}, q, ownNode) && w.refSide(dst, "ingress", other{src, from}, q, false) {
				return true
			}
		}
	}
	return false
}

func (w *world) refOutside(p *refPod, direction, ip, protocol string, port int) bool {
	reachable := false
	for _, own := range p.ips {
		reachable = reachable || strings.Contains(own, ":") == strings.Contains(ip, ":")
	}
	q := question{protocol: protocol, port: port}
	if direction == "ingress" {
		q.dst = p
	}
	return reachable && w.refSide(p, direction, other{ip: ip}, q, false)
}

// TestReference compares every pair of pods and many addresses, on the ports where
// something may change, over thousands of generated clusters.
func TestReference(t *testing.T) {
	worlds := 2000
	if os.Getenv("SEAWALL_LONG") != "" {
		worlds = 40000
	}
	questions := 0
	for seed := range uint64(worlds) {
		w := newWorld(rand.New(rand.NewPCG(seed, 20)))
		c := Read(w.objects(t))
		if len(c.Problems) > 0 {
			t.Fatalf("seed %d: %v", seed, c.Problems)
		}
		m := New(c)
		questions += compare(t, seed, w, m)
		if t.Failed() {
			text, _ := json.MarshalIndent(w.policies, "", " ")
			t.Fatalf("policies of seed %d: %s", seed, text)
		}
	}
	t.Logf("%d clusters, %d questions", worlds, questions)
}

func compare(t *testing.T, seed uint64, w *world, m *Model) (questions int) {
	t.Helper()
	find := map[string]*Workload{}
	for _, x := range m.Workloads {
		find[x.Name] = x
	}
	ports := []int{1, 53, 54, 79, 80, 81, 443, 8080, 8082}
	outside := []string{"8.8.8.8", "8.8.8.129", "8.9.0.0", "10.0.0.200", "10.0.1.0", "192.168.0.3", "1.1.1.1", "2001:4860::1", "2001:db9::1", "fd00::ff", "fd00:1::ff"}
	for _, p := range portset.Protocols() {
		for _, port := range ports {
			for _, src := range w.pods {
				for _, dst := range w.pods {
					if src == dst {
						continue
					}
					questions++
					want := w.refConnects(src, dst, p.String(), port)
					if got := m.Ports(find[src.name], find[dst.name]).Contains(p, uint16(port)); got != want {
						t.Errorf("seed %d: %s -> %s %s/%d: %v, want %v", seed, src.name, dst.name, p, port, got, want)
						return questions
					}
				}
				for _, ip := range outside {
					for d, word := range []string{"ingress", "egress"} {
						questions++
						got := false
						for _, o := range m.Outside(find[src.name], Direction(d)) {
							got = got || o.Addresses.Contains(netip.MustParseAddr(ip)) && o.Ports.Contains(p, uint16(port))
						}
						if want := w.refOutside(src, word, ip, p.String(), port); got != want {
							t.Errorf("seed %d: %s of %s with %s %s/%d: %v, want %v", seed, word, src.name, ip, p, port, got, want)
							return questions
						}
					}
				}
			}
		}
	}
	return questions
}
