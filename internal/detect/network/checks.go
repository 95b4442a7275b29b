package network

import (
	"fmt"
	"net/netip"
	"path"
	"slices"
	"strings"

	"github.com/seawall-security/seawall/internal/detect/network/portset"
	"github.com/seawall-security/seawall/internal/detect/network/reach"
	"github.com/seawall-security/seawall/internal/seawall"
)

// byNamespace groups the workloads that policies can bind.
func (j *judge) byNamespace() (names []string, workloads map[string][]*reach.Workload) {
	workloads = map[string][]*reach.Workload{}
	for _, w := range j.Workloads {
		if w.Host() {
			continue
		}
		if workloads[w.Namespace] == nil {
			names = append(names, w.Namespace)
		}
		workloads[w.Namespace] = append(workloads[w.Namespace], w)
	}
	return names, workloads
}

// isolation finds namespaces with workloads that are open in a direction.
func (j *judge) isolation() {
	names, workloads := j.byNamespace()
	for d, id := range []string{ruleIngress, ruleEgress} {
		direction := reach.Direction(d)
		j.looked(id, len(names))
		for _, name := range names {
			var open []string
			for _, w := range workloads[name] {
				if !j.Isolated(w, direction) {
					open = append(open, w.Kind+"/"+w.Name)
				}
			}
			if len(open) == 0 {
				continue
			}
			evidence := fmt.Sprintf("%d of %d workloads: %s", len(open), len(workloads[name]), some(open))
			title := fmt.Sprintf("Namespace %s does not restrict %s", name, direction)
			j.fail(id, 0, title, evidence, defaultDeny(name, direction), j.namespaceLocation(name))
		}
	}
	j.metadata(names, workloads)
}

func (j *judge) namespaceLocation(name string) seawall.Location {
	if ns := j.Namespaces[name]; ns != nil && ns.Object != nil {
		return ns.Object.Location("")
	}
	return seawall.Location{Resource: "Namespace/" + name}
}

// defaultDeny is the policy that isolates a namespace in a direction.
func defaultDeny(namespace string, d reach.Direction) string {
	kind := map[reach.Direction]string{reach.Ingress: "Ingress", reach.Egress: "Egress"}[d]
	dns := ""
	if d == reach.Egress {
		dns = `
  egress:
  - to: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: kube-system}}}]
    ports: [{protocol: UDP, port: 53}, {protocol: TCP, port: 53}]`
	}
	return fmt.Sprintf(`apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: default-deny-%s, namespace: %s}
spec:
  podSelector: {}
  policyTypes: [%s]%s
`, strings.ToLower(kind), namespace, kind, dns)
}

// metadata finds namespaces whose pods reach the cloud's metadata service.
func (j *judge) metadata(names []string, workloads map[string][]*reach.Workload) {
	services := []netip.Addr{netip.MustParseAddr("169.254.169.254"), netip.MustParseAddr("fd00:ec2::254")}
	j.looked(ruleMetadata, len(names))
	for _, name := range names {
		var open []string
		for _, w := range workloads[name] {
			reached := slices.ContainsFunc(j.Outside(w, reach.Egress), func(o reach.Outside) bool {
				return slices.ContainsFunc(services, o.Addresses.Contains) && o.Ports.Contains(portset.TCP, 80)
			})
			if reached {
				open = append(open, w.Kind+"/"+w.Name)
			}
		}
		if len(open) > 0 {
			j.fail(ruleMetadata, 0, "Pods of namespace "+name+" can reach the cloud's metadata service", some(open), "", j.namespaceLocation(name))
		}
	}
}

// sensitivePorts are ports of administration and data that have no place on the Internet.
func sensitivePorts() map[uint16]string {
	return map[uint16]string{
		22: "SSH", 23: "Telnet", 2375: "Docker", 2376: "Docker", 2379: "etcd", 2380: "etcd", 3389: "Remote Desktop", 5900: "VNC", 6443: "Kubernetes API",
		10250: "kubelet", 1433: "SQL Server", 1521: "Oracle", 3306: "MySQL", 5432: "PostgreSQL", 5984: "CouchDB", 6379: "Redis", 8086: "InfluxDB",
		9042: "Cassandra", 9092: "Kafka", 9200: "Elasticsearch", 9300: "Elasticsearch", 11211: "memcached", 15672: "RabbitMQ", 26257: "CockroachDB",
		27017: "MongoDB", 7474: "Neo4j", 8123: "ClickHouse", 9000: "ClickHouse", 2181: "ZooKeeper", 873: "rsync", 111: "portmapper", 2049: "NFS", 445: "SMB",
	}
}

// exposures finds what is reachable from outside, and what of it should not be.
func (j *judge) exposures() {
	sensitive := sensitivePorts()
	n := len(j.Workloads)
	j.looked(ruleOutside, n)
	j.looked(ruleSensitive, n)
	for _, e := range j.Exposures() {
		severity := seawall.SeverityMedium
		if !strings.Contains(e.Chain[0], "Service/") && len(e.Chain) > 1 || !e.Internet {
			severity = seawall.SeverityLow
		}
		evidence := strings.Join(e.Chain, " -> ") + " -> " + e.Workload.ID() + " " + e.Ports.String()
		if e.Assumed != "" {
			evidence += " (" + e.Assumed + ")"
		}
		title := e.Workload.ID() + " can be reached from outside the cluster"
		j.fail(ruleOutside, severity, title, evidence, "", location(e.Workload))
		if !e.Internet {
			continue
		}
		for _, r := range e.Ports.Ranges(portset.TCP) {
			for port := int(r.First); port <= int(r.Last) && r.Last-r.First < 1024; port++ {
				if what := sensitive[uint16(port)]; what != "" && !(port == 9000 && database(e.Workload) == "") {
					j.fail(ruleSensitive, 0, fmt.Sprintf("%s of %s can be reached from the Internet", what, e.Workload.ID()), evidence, "", location(e.Workload))
				}
			}
		}
	}
}

// destinations finds workloads that any namespace can reach and should not.
func (j *judge) destinations() {
	for _, w := range j.Workloads {
		db := database(w)
		system := w.Namespace == "kube-system"
		if w.Host() || db == "" && !system {
			continue
		}
		open := j.FromAnyNamespace(w)
		if db != "" {
			j.looked(ruleDatabase, 1)
			if !open.Empty() {
				j.fail(ruleDatabase, 0, fmt.Sprintf("%s %s accepts connections from any namespace", db, w.ID()), "open to any namespace: "+open.String(), "", location(w))
			}
		}
		if system {
			j.looked(ruleSystem, 1)
			if open = open.Minus(public(w)); !open.Empty() {
				j.fail(ruleSystem, 0, w.ID()+" accepts connections from any namespace", "open to any namespace: "+open.String(), "", location(w))
			}
		}
	}
}

// public is the ports of kube-system every namespace needs: DNS.
func public(w *reach.Workload) portset.Set {
	var s portset.Set
	for _, pod := range w.Pods {
		for _, p := range pod.Ports {
			if p.Number == 53 || p.Name == "dns" || p.Name == "dns-tcp" {
				one, _ := portset.Of(p.Protocol, p.Number, p.Number) // checked when read
				s = s.Union(one)
			}
		}
	}
	return s
}

// database names the database an image is of; "" for others.
func database(w *reach.Workload) string {
	if w.Spec == nil {
		return ""
	}
	for _, c := range w.Spec.Containers {
		image, _, _ := strings.Cut(c.Image, "@")
		name, _, _ := strings.Cut(path.Base(image), ":")
		for _, known := range []string{"postgres", "postgresql", "postgis", "timescaledb", "mysql", "mysql-server", "mariadb", "percona", "mongo", "mongodb", "redis", "valkey", "memcached",
			"elasticsearch", "opensearch", "cassandra", "couchdb", "etcd", "clickhouse", "clickhouse-server", "influxdb", "neo4j", "cockroach", "minio", "mssql-server"} {
			if name == known {
				return known
			}
		}
	}
	return ""
}
