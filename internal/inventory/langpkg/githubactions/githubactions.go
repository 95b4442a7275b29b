// Package githubactions collects the actions that workflows use. Only a use
// pinned to one release is a package: by its full version tag ("@v4.1.2") or by
// a commit whose comment names the tag ("@0123… # v4.1.2"). A branch or a tag
// that moves ("@v4") is none.
package githubactions

import (
	"strings"

	"github.com/seawall-security/seawall/internal/inventory"
	"github.com/seawall-security/seawall/internal/inventory/langpkg"
)

// Collectors returns the collectors of this package.
func Collectors() []inventory.Collector { return []inventory.Collector{Workflow()} }

// Workflow collects .github/workflows/*.yml and *.yaml, and the composite
// actions under .github/actions.
func Workflow() inventory.Collector {
	return &langpkg.Format{ID: "language/github-actions", Rev: 1, Wanted: true, Parse: parse, Match: func(p string) bool {
		if !strings.HasSuffix(p, ".yml") && !strings.HasSuffix(p, ".yaml") {
			return false
		}
		return strings.Contains(p, ".github/workflows/") || strings.Contains(p, ".github/actions/")
	}}
}

func parse(data []byte, out *langpkg.List) error {
	return langpkg.YAML(data, func(doc *langpkg.Node) { read(doc, out) })
}

func read(doc *langpkg.Node, out *langpkg.List) {
	for _, job := range doc.Get("jobs").Pairs() {
		use(job, out)
		for step := range job.Get("steps").Items() {
			use(step, out)
		}
	}
	for step := range doc.Get("runs").Get("steps").Items() {
		use(step, out)
	}
}

// use reports what the "uses" member of a job or step names:
// "owner/repo@ref", "owner/repo/path@ref". Local paths and images have no "@ref"
// of a repository.
func use(n *langpkg.Node, out *langpkg.List) {
	uses := n.Get("uses")
	action, ref, ok := strings.Cut(uses.Text(), "@")
	parts := strings.Split(action, "/")
	if !ok || len(parts) < 2 || parts[0] == "." || parts[0] == "" || strings.Contains(action, ":") {
		return
	}
	version, ok := release(ref)
	if !ok && len(ref) == 40 {
		version, ok = release(strings.TrimSpace(strings.TrimLeft(uses.LineComment, "# ")))
	}
	if ok {
		out.Declared(langpkg.GitHubActions(), langpkg.Dependency{Name: parts[0] + "/" + parts[1], Version: version, Line: uses.Line})
	}
}

// release reads a full version: three numbers, "v" before them allowed.
func release(ref string) (string, bool) {
	version := strings.TrimPrefix(ref, "v")
	core, _, _ := strings.Cut(version, "-")
	if strings.Count(core, ".") != 2 || strings.ContainsAny(version, " \t") {
		return "", false
	}
	for i := range len(core) {
		if c := core[i]; c != '.' && (c < '0' || c > '9') {
			return "", false
		}
	}
	return version, core[0] != '.'
}
