package vuln

import (
	"strings"

	"github.com/seawall-security/seawall/internal/seawall"
)

// query is one question to the database.
type query struct {
	ecosystem, name, version string
	// modular: builds of modules and plain builds of one package have unrelated releases.
	modular bool
}

// queriesFor returns what to ask about a package: by the names and the version
// its ecosystem's advisories use. None means no advisories are known to judge it by.
func queriesFor(p *seawall.Package) []query {
	family, release, _ := strings.Cut(p.Ecosystem, ":")
	source, sourceVersion := p.Source, p.SourceVersion
	if source == "" {
		source = p.Name
	}
	if sourceVersion == "" {
		sourceVersion = p.Version
	}
	switch family {
	case "":
		return nil
	case "Debian", "Ubuntu": // the trackers name source packages
		return []query{{ecosystem: p.Ecosystem, name: source, version: sourceVersion}}
	case "Alpine", "Wolfi", "Chainguard": // secdb names origins, Wolfi's advisories also subpackages
		return both(query{ecosystem: p.Ecosystem, name: source, version: sourceVersion}, p)
	case "Red Hat", "AlmaLinux", "Oracle Linux", "Amazon Linux", "Fedora": // errata name binary packages
		return []query{{ecosystem: p.Ecosystem, name: p.Name, version: p.Version, modular: true}}
	case "CentOS": // rebuilt from Red Hat's sources with the same versions
		return []query{{ecosystem: "Red Hat:" + release, name: p.Name, version: p.Version, modular: true}}
	case "Rocky Linux", "SUSE", "openSUSE", "Photon OS", "Azure Linux", "openEuler", "Mageia": // some name sources, some binaries
		return both(query{ecosystem: p.Ecosystem, name: source, version: sourceVersion, modular: family == "Rocky Linux"}, p)
	case "Go":
		if p.Name == "stdlib" || p.Name == "toolchain" {
			return []query{{ecosystem: "Go", name: p.Name, version: goRelease(p.Version)}}
		}
	case "Kubernetes":
		return []query{
			{ecosystem: "Kubernetes", name: p.Name, version: p.Version},
			{ecosystem: "Kubernetes", name: "kubernetes", version: p.Version},
		}
	case "Bitnami": // the first build of a release: in advisories "-0" is a mark before its candidates
		return []query{{ecosystem: "Bitnami", name: p.Name, version: strings.TrimSuffix(p.Version, "-0")}}
	case "generic":
		return productQueries(p.Name, p.Version)
	}
	return []query{{ecosystem: p.Ecosystem, name: p.Name, version: p.Version}}
}

// both asks by the source package and, where it differs, by the package's own name.
func both(q query, p *seawall.Package) []query {
	if q.name == p.Name {
		return []query{q}
	}
	own := q
	own.name, own.version = p.Name, p.Version
	return []query{q, own}
}

// goRelease writes a Go release as the advisories do: "1.22rc1" is 1.22.0-rc.1.
// What vendors and experiments add ("1.22.1-google", "1.22.1 X:boringcrypto") is not part of it.
func goRelease(v string) string {
	v = strings.TrimPrefix(v, "go")
	if i := strings.IndexAny(v, " -+"); i >= 0 && !strings.HasPrefix(v[i:], "-rc.") && !strings.HasPrefix(v[i:], "-beta.") {
		v = v[:i]
	}
	for _, word := range [...]string{"rc", "beta"} {
		if release, n, ok := strings.Cut(v, word); ok && strings.Count(release, ".") == 1 {
			return release + ".0-" + word + "." + n
		}
	}
	return v
}

// productQueries maps software read from binaries to where its advisories are
// kept: Bitnami's product names, the Go module of Go programs, the Node.js and
// Go projects' own databases.
func productQueries(name, version string) []query {
	bitnami := func(product string) query {
		return query{ecosystem: "Bitnami", name: product, version: version}
	}
	module := func(path string) query {
		return query{ecosystem: "Go", name: path, version: version}
	}
	switch name {
	case "node", "nodejs":
		return []query{{ecosystem: "Node.js", name: "node", version: version}, bitnami("node")}
	case "go", "golang":
		v := goRelease(version)
		return []query{{ecosystem: "Go", name: "stdlib", version: v}, {ecosystem: "Go", name: "toolchain", version: v}}
	case "openjdk", "java":
		return []query{bitnami("java")}
	case "python", "cpython":
		return []query{bitnami("python")}
	case "postgres", "postgresql":
		return []query{bitnami("postgresql")}
	case "mysql", "mysqld":
		return []query{bitnami("mysql"), bitnami("mysql-client")}
	case "httpd", "apache":
		return []query{bitnami("apache")}
	case "mongodb", "mongod":
		return []query{bitnami("mongodb")}
	case "containerd":
		return []query{module("github.com/containerd/containerd"), module("github.com/containerd/containerd/v2")}
	case "runc":
		return []query{module("github.com/opencontainers/runc")}
	case "docker", "dockerd":
		return []query{module("github.com/docker/docker"), module("github.com/moby/moby")}
	case "docker-cli":
		return []query{module("github.com/docker/cli"), bitnami("docker-cli")}
	case "cri-o":
		return []query{module("github.com/cri-o/cri-o")}
	case "coredns":
		return []query{module("github.com/coredns/coredns")}
	case "traefik":
		return []query{module("github.com/traefik/traefik"), module("github.com/traefik/traefik/v2"), module("github.com/traefik/traefik/v3")}
	case "caddy":
		return []query{module("github.com/caddyserver/caddy"), module("github.com/caddyserver/caddy/v2")}
	case "etcd", "etcdctl":
		return []query{bitnami("etcd"), module("go.etcd.io/etcd"), module("go.etcd.io/etcd/v3")}
	case "nats-server":
		return []query{bitnami("nats"), module("github.com/nats-io/nats-server"), module("github.com/nats-io/nats-server/v2")}
	case "terraform":
		return []query{module("github.com/hashicorp/terraform")}
	case "harbor": // registries that tell their version
		return []query{bitnami("harbor"), module("github.com/goharbor/harbor")}
	case "gitea":
		return []query{bitnami("gitea"), module("code.gitea.io/gitea")}
	case "zot":
		return []query{module("zotregistry.dev/zot"), module("zotregistry.io/zot"), module("zotregistry.dev/zot/v2")}
	case "ruby": // RubySec has advisories on the interpreter
		return []query{bitnami("ruby"), {ecosystem: "generic", name: "ruby", version: version}}
	case "nginx", "redis", "mariadb", "memcached", "haproxy", "envoy", "php", "perl", "valkey", "keydb",
		"vault", "consul", "prometheus", "alertmanager", "grafana", "minio", "helm", "git", "rabbitmq", "tomcat", "varnish":
		return []query{bitnami(name)}
	}
	return nil
}
