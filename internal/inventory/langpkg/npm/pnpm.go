package npm

import (
	"strings"

	"github.com/seawall-security/seawall/internal/inventory"
	"github.com/seawall-security/seawall/internal/inventory/langpkg"
)

// PNPM collects pnpm-lock.yaml, lock file versions 5 to 9.
// https://github.com/pnpm/spec/tree/master/lockfile
//
// Until version 6 a package says itself whether it is for development only.
// Version 9 dropped that, so it is worked out: what no production dependency of
// any workspace member reaches.
func PNPM() inventory.Collector {
	return &langpkg.Format{ID: "language/pnpm-lock", Rev: 1, Wanted: true, Parse: parsePNPM, Match: langpkg.Named("pnpm-lock.yaml")}
}

func parsePNPM(data []byte, out *langpkg.List) error {
	return langpkg.YAML(data, func(doc *langpkg.Node) { readPNPM(doc, out) })
}

func readPNPM(doc *langpkg.Node, out *langpkg.List) {
	var production map[string]bool
	if snapshots := doc.Get("snapshots"); snapshots != nil {
		production = reachable(doc, snapshots)
	}
	for key, entry := range doc.Get("packages").Pairs() {
		d := langpkg.Dependency{Line: key.Line}
		d.Name, d.Version = pnpmPath(key.Name)
		if name := entry.Get("name").Text(); name != "" { // a tarball or git package
			d.Name = name
		}
		d.Dev = entry.Get("dev").Text() == "true"
		if production != nil {
			d.Dev = !production[d.Name+"@"+d.Version]
		}
		resolution := entry.Get("resolution")
		from := resolution.Get("type").Text() // git, directory
		if from == "directory" {
			from = "file:"
		}
		if tarball := resolution.Get("tarball").Text(); from == "" && tarball != "" {
			from = tarball
		}
		if published(d.Version, from) {
			out.Declared(langpkg.NPM(), d)
		}
	}
}

// pnpmPath splits a dependency path: "/@babel/core/7.1.0_peer@1.0.0" (5),
// "/@babel/core@7.1.0(peer@1.0.0)" (6), "@babel/core@7.1.0(peer@1.0.0)" (9). In
// version 5 a registry other than the default stands first: "host.example/a/1.0.0".
func pnpmPath(path string) (name, version string) {
	if i := strings.IndexByte(path, '('); i > 0 {
		path = path[:i]
	}
	path, _ = strings.CutPrefix(path, "/")
	if name, version, ok := cutSpecifier(path); ok && strings.Count(name, "/") <= strings.Count(name[:1], "@") {
		return name, version
	}
	i := strings.LastIndexByte(path, '/')
	if i < 0 {
		return path, ""
	}
	name, version = path[:i], path[i+1:]
	if host, rest, ok := strings.Cut(name, "/"); ok && !strings.HasPrefix(host, "@") {
		if !strings.Contains(host, ".") || !strings.Contains(version, ".") {
			return name, "" // a repository and a commit
		}
		name = rest
	}
	if at := strings.IndexByte(version, '_'); at > 0 {
		version = version[:at]
	}
	return name, version
}

// reachable returns "name@version" of every package that a dependency or
// optional dependency of a workspace member reaches in the graph of snapshots.
func reachable(doc, snapshots *langpkg.Node) map[string]bool {
	graph := map[string]*langpkg.Node{}
	for key, n := range snapshots.Pairs() {
		graph[key.Name] = n
	}
	var queue []string
	push := func(n *langpkg.Node) {
		for _, kind := range []string{"dependencies", "optionalDependencies"} {
			for key, v := range n.Get(kind).Pairs() {
				version := v.Text()
				if version == "" {
					version = v.Get("version").Text()
				}
				queue = append(queue, key.Name+"@"+version, version) // an alias carries the whole path
			}
		}
	}
	for _, importer := range doc.Get("importers").Pairs() {
		push(importer)
	}
	production, seen := map[string]bool{}, map[string]bool{}
	for len(queue) > 0 {
		id := queue[len(queue)-1]
		queue = queue[:len(queue)-1]
		n, known := graph[id]
		if !known || seen[id] {
			continue
		}
		seen[id] = true
		name, version := pnpmPath(id)
		production[name+"@"+version] = true
		push(n)
	}
	return production
}
