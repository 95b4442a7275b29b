// Package maven collects what Java builds ask for: pom.xml, resolved as far as
// the target's own files allow, and Gradle's lock and verification files.
// Installed archives are the business of inventory/java.
//
// A pom is read on its own (raw facts of its coordinates, properties and
// dependencies); the joiner then resolves parents, properties and managed
// versions among all poms found, without a network. A dependency whose version
// an outside parent decides is reported with version "", so that it is listed
// and shown as not evaluated. Left out are dependencies on the project's own
// modules and on system paths, and ranges.
package maven

import (
	"context"
	"strconv"
	"strings"

	"github.com/seawall-security/seawall/internal/inventory"
	"github.com/seawall-security/seawall/internal/inventory/langpkg"
	"github.com/seawall-security/seawall/internal/seawall"
)

// Collectors returns the collectors of this package.
func Collectors() []inventory.Collector {
	return []inventory.Collector{POM(), GradleLock(), GradleVerification()}
}

// POM collects pom.xml outside archives' META-INF, which describes how an
// archive was built, not what is to be built.
// https://maven.apache.org/pom.html
func POM() inventory.Collector {
	return &pomCollector{langpkg.Format{ID: "language/maven-pom", Rev: 1, Wanted: true, Parse: parsePOM, Match: func(p string) bool {
		return strings.HasSuffix(p, "pom.xml") && langpkg.Base(p) == "pom.xml" && !strings.Contains(p, "META-INF/")
	}}}
}

type pomCollector struct{ langpkg.Format }

// pomKind is the raw fact of a pom. Its data: "self" and "parent" are
// coordinates, "parent.path" the relative path, "p.NAME" a property, "d.N" and
// "m.N" a dependency and a managed dependency in order.
const pomKind = "maven-pom"

// dependency is one <dependency>, as written.
type dependency struct {
	group, artifact, version, scope string
	line                            int
}

func (d *dependency) pack() string {
	return strings.Join([]string{d.group, d.artifact, d.version, d.scope, strconv.Itoa(d.line)}, "\n")
}

func unpack(s string) (d dependency) {
	f := strings.SplitN(s, "\n", 5)
	if len(f) < 5 {
		return d
	}
	line, _ := strconv.Atoi(f[4])
	return dependency{f[0], f[1], f[2], f[3], line}
}

// listKind tells the prefix of the raw fact for a list of dependencies by what
// it stands in; "" is a list that is not the project's, such as a plug-in's.
// Profiles count: which of them a build activates is not known.
func listKind(in string) string {
	switch in {
	case "", "profiles/profile/":
		return "d."
	case "dependencyManagement/", "profiles/profile/dependencyManagement/":
		return "m."
	}
	return ""
}

func parsePOM(data []byte, out *langpkg.List) error {
	pom := map[string]string{}
	var self, parent, d dependency
	count := map[string]int{}
	err := langpkg.XML(data, func(e *langpkg.Element) {
		path, ok := strings.CutPrefix(e.Path, "project/")
		if !ok {
			return
		}
		text := strings.ReplaceAll(e.Text, "\n", " ")
		if name, ok := strings.CutPrefix(path, "properties/"); ok {
			pom["p."+name] = text
			return
		}
		if path == "parent/relativePath" {
			pom["parent.path"] = text
		} else if field, ok := strings.CutPrefix(path, "parent/"); ok {
			parent.set(field, text)
		} else if _, field, ok := strings.Cut(path, "dependencies/dependency/"); ok {
			d.set(field, text)
		} else if list, ok := strings.CutSuffix(path, "dependencies/dependency"); ok {
			if kind := listKind(list); kind != "" {
				d.line = e.Line
				pom[kind+strconv.Itoa(count[kind])] = d.pack()
				count[kind]++
			}
			d = dependency{}
		} else {
			self.set(path, text)
		}
	})
	pom["self"] = self.pack()
	if parent.artifact != "" {
		pom["parent"] = parent.pack()
	}
	out.Config(pomKind, pom)
	return err
}

func (d *dependency) set(field, text string) {
	switch field {
	case "groupId":
		d.group = text
	case "artifactId":
		d.artifact = text
	case "version":
		d.version = text
	case "scope":
		d.scope = text
	}
}

// Join implements inventory.Joiner: it turns the raw poms into packages.
func (c *pomCollector) Join(ctx context.Context, m *inventory.Merged) error {
	t := tree{byPath: map[string]*project{}, byID: map[string]*project{}}
	rest := m.Configs[:0]
	for _, config := range m.Configs {
		if config.Kind == pomKind {
			t.add(config)
		} else {
			rest = append(rest, config)
		}
	}
	m.Configs = rest
	for _, p := range t.projects {
		if err := ctx.Err(); err != nil {
			return err
		}
		for _, d := range t.dependencies(p) {
			pkg, err := langpkg.New(langpkg.Maven(), langpkg.Dependency{
				Name: d.group + ":" + d.artifact, Version: d.version, Line: d.line, Dev: d.scope == "test",
			})
			if err != nil {
				m.Warn(p.path + ": " + err.Error())
				continue
			}
			pkg.Declared = true
			pkg.Locations = []seawall.Location{{Path: p.path, Line: d.line, Layer: p.layer}}
			m.Packages = append(m.Packages, *pkg)
		}
	}
	return nil
}
