package maven

import (
	"cmp"
	"path"
	"strconv"
	"strings"

	"github.com/seawall-security/seawall/internal/seawall"
)

// The bounds of resolution; real builds have parents three or four deep.
const (
	maxParents    = 16
	maxProperties = 16   // properties inside properties
	maxValue      = 1024 // bytes of a value once expanded
	maxImports    = 64   // imported dependencyManagement, all together
)

// project is a pom of the target.
type project struct {
	path, layer  string
	self, parent dependency
	parentPath   string
	data         map[string]string
	dependencies []dependency
	// managed is by "group:artifact", versions as written; imports are the same
	// ids of what its dependencyManagement imports. Both are made when first asked for.
	managed map[string]dependency
	imports []string
}

// tree is all poms of a target.
type tree struct {
	projects []*project
	byPath   map[string]*project
	byID     map[string]*project // "group:artifact"
}

func (t *tree) add(c seawall.ConfigFact) {
	p := &project{
		path: c.Path, layer: c.Layer, data: c.Data,
		self: unpack(c.Data["self"]), parent: unpack(c.Data["parent"]), parentPath: c.Data["parent.path"],
		dependencies: numbered(c.Data, "d."),
	}
	if p.parentPath == "" {
		p.parentPath = "../pom.xml"
	}
	if p.self.group == "" {
		p.self.group = p.parent.group
	}
	if p.self.version == "" {
		p.self.version = p.parent.version
	}
	t.projects = append(t.projects, p)
	t.byPath[p.path] = p
	t.byID[p.self.group+":"+p.self.artifact] = p
}

func numbered(data map[string]string, prefix string) (all []dependency) {
	for i := 0; ; i++ {
		packed, ok := data[prefix+strconv.Itoa(i)]
		if !ok {
			return all
		}
		all = append(all, unpack(packed))
	}
}

// lineage returns a project and its parents in the target, nearest first.
func (t *tree) lineage(p *project) []*project {
	chain := []*project{p}
	for len(chain) < maxParents && p.parent.artifact != "" {
		file := path.Join(path.Dir(p.path), p.parentPath)
		next := t.byPath[file]
		if next == nil {
			next = t.byPath[path.Join(file, "pom.xml")]
		}
		if next == nil || next.self.artifact != p.parent.artifact {
			next = t.byID[p.parent.group+":"+p.parent.artifact]
		}
		if next == nil || next == p {
			break
		}
		chain = append(chain, next)
		p = next
	}
	return chain
}

// dependencies returns what a project asks for in its own pom, with properties
// expanded and managed versions and scopes filled in.
func (t *tree) dependencies(p *project) (all []dependency) {
	chain := t.lineage(p)
	for _, d := range p.dependencies {
		d.group, d.artifact = expand(d.group, chain), expand(d.artifact, chain)
		if d.version == "" || d.scope == "" {
			version, scope := t.managed(d.group+":"+d.artifact, chain)
			d.version, d.scope = cmp.Or(d.version, version), cmp.Or(d.scope, scope)
		}
		d.scope = expand(d.scope, chain)
		d.version = exact(expand(d.version, chain))
		if d.version == ranged || d.scope == "system" || t.own(d) ||
			d.group == "" || d.artifact == "" || strings.Contains(d.group+d.artifact, "${") {
			continue
		}
		all = append(all, d)
	}
	return all
}

// own reports whether a dependency is another module of the same build.
func (t *tree) own(d dependency) bool {
	p := t.byID[d.group+":"+d.artifact]
	return p != nil && (d.version == "" || expand(p.self.version, t.lineage(p)) == d.version)
}

// managed returns the version and scope that dependencyManagement gives to an
// id: what a project or a parent of it writes wins over what they import.
func (t *tree) managed(id string, chain []*project) (version, scope string) {
	queue := [][]*project{chain}
	for seen := 0; seen < len(queue) && seen < maxImports; seen++ {
		chain := queue[seen]
		for _, p := range chain {
			t.index(p)
			if d, ok := p.managed[id]; ok {
				return expand(d.version, chain), expand(d.scope, chain)
			}
		}
		for _, p := range chain {
			for _, id := range p.imports {
				if bill := t.byID[id]; bill != nil && len(queue) < maxImports {
					queue = append(queue, t.lineage(bill))
				}
			}
		}
	}
	return "", ""
}

// index makes the lists of a project's dependencyManagement.
func (t *tree) index(p *project) {
	if p.managed != nil {
		return
	}
	p.managed = map[string]dependency{}
	chain := t.lineage(p)
	for _, d := range numbered(p.data, "m.") {
		id := expand(d.group, chain) + ":" + expand(d.artifact, chain)
		if d.scope == "import" {
			p.imports = append(p.imports, id)
		} else if _, known := p.managed[id]; !known {
			p.managed[id] = d
		}
	}
}

// expand replaces ${properties} as they hold for the first project of a
// lineage. What is not known stays as written.
func expand(s string, chain []*project) string {
	for range maxProperties {
		start := strings.Index(s, "${")
		if start < 0 || len(s) > maxValue {
			return s
		}
		end := strings.IndexByte(s[start:], '}')
		if end < 0 {
			return s
		}
		value, ok := property(s[start+2:start+end], chain)
		if !ok {
			return s
		}
		s = s[:start] + value + s[start+end+1:]
	}
	return s
}

// property looks a property up: Maven's own names for the project and its
// parent, then <properties>, nearest first.
func property(name string, chain []*project) (string, bool) {
	p := chain[0]
	field := name
	for _, prefix := range []string{"project.", "pom."} {
		field = strings.TrimPrefix(field, prefix)
	}
	value := ""
	switch field {
	case "groupId":
		value = p.self.group
	case "artifactId":
		value = p.self.artifact
	case "version":
		value = p.self.version
	case "parent.groupId":
		value = p.parent.group
	case "parent.version":
		value = p.parent.version
	}
	if value != "" {
		return value, true
	}
	for _, p := range chain {
		if value, ok := p.data["p."+name]; ok {
			return value, true
		}
	}
	return "", false
}

// ranged stands for a version that is a range.
const ranged = "range"

// exact returns the version Maven takes: "1.2" and "[1.2]" are one version, a
// property that is not known is none (""), other brackets are a range.
// https://maven.apache.org/pom.html#dependency-version-requirement-specification
func exact(version string) string {
	if strings.Contains(version, "${") {
		return ""
	}
	if inner, ok := strings.CutPrefix(version, "["); ok && strings.HasSuffix(inner, "]") && !strings.Contains(inner, ",") {
		return strings.TrimSuffix(inner, "]")
	}
	if strings.ContainsAny(version, "[](),") || version == "LATEST" || version == "RELEASE" {
		return ranged
	}
	return version
}
