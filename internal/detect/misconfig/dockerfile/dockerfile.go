// Package dockerfile finds dangerous and careless instructions in Dockerfiles
// and Containerfiles.
//
// Data flow: the Collector reads a file (parse.go), judges it (lint.go, and
// run.go for the shell commands of RUN, which shell.go takes apart), and emits a
// seawall.Match per breach with its line. The Detector turns matches into
// findings, for source trees only: a Dockerfile that lies about in an image
// builds nothing there. Its rules are in rules.go.
package dockerfile

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/seawall-security/seawall/internal/detect"
	"github.com/seawall-security/seawall/internal/detect/misconfig"
	"github.com/seawall-security/seawall/internal/seawall"
)

const (
	collector = "config/dockerfile"
	// ignoreFile is the kind of the fact that a .dockerignore is there.
	ignoreFile = "dockerignore"
	// needsIgnore is the rule that a .dockerignore settles.
	needsIgnore = "SW-DF-023"
)

// Collector reads Dockerfiles. It is an inventory.Collector.
type Collector struct{}

// Name implements inventory.Collector.
func (Collector) Name() string { return collector }

// Version implements inventory.Collector.
func (Collector) Version() int { return 1 }

// Wants implements inventory.Collector: Dockerfile, Containerfile, with a suffix
// or as one (Dockerfile.dev, app.dockerfile), and .dockerignore.
func (Collector) Wants(file string, info fs.FileInfo) bool {
	name := file[strings.LastIndexByte(file, '/')+1:]
	if len(name) < len("dockerfile") || !info.Mode().IsRegular() || strings.Contains(file, "node_modules/") {
		return false
	}
	return isIgnoreFile(name) || isDockerfile(name)
}

func isIgnoreFile(name string) bool {
	return strings.HasSuffix(name, ".dockerignore") || name == ".containerignore"
}

func isDockerfile(name string) bool {
	for _, word := range [...]string{"dockerfile", "containerfile"} {
		n := len(word)
		if len(name) < n {
			continue
		}
		switch {
		case strings.EqualFold(name[:n], word):
			if rest := name[n:]; rest == "" || rest[0] == '.' && !otherLanguage(rest) {
				return true
			}
		case len(name) > n && strings.EqualFold(name[len(name)-n:], word):
			return name[len(name)-n-1] == '.'
		}
	}
	return false
}

// otherLanguage: Dockerfile.go and the like are programs or templates about Dockerfiles.
func otherLanguage(ext string) bool {
	switch ext[strings.LastIndexByte(ext, '.'):] {
	case ".go", ".py", ".js", ".ts", ".rb", ".java", ".md", ".tmpl", ".j2", ".tpl", ".erb", ".template", ".txt", ".json", ".yaml", ".yml", ".html", ".rs", ".vim":
		return true
	}
	return false
}

// Collect implements inventory.Collector.
func (Collector) Collect(_ context.Context, f seawall.File) ([]seawall.Fact, error) {
	if isIgnoreFile(path.Base(f.Path)) {
		return []seawall.Fact{{Config: &seawall.ConfigFact{Kind: ignoreFile, Path: f.Path}}}, nil
	}
	content, err := io.ReadAll(io.LimitReader(f.Content, maxSize+1))
	if err != nil {
		return nil, fmt.Errorf("reading: %w", err)
	}
	parsed, err := parse(content)
	if err != nil {
		return nil, err
	}
	var facts []seawall.Fact
	for _, b := range lint(parsed) {
		facts = append(facts, seawall.Fact{Match: &seawall.Match{
			Kind: seawall.KindMisconfiguration, Rule: b.rule,
			Location: seawall.Location{Path: f.Path, Line: b.line}, Evidence: b.evidence,
		}})
	}
	return facts, nil
}

// Detector reports what the Collector saw.
type Detector struct{}

var _ detect.Explainer = Detector{}

// Name implements detect.Detector.
func (Detector) Name() string { return "misconfig/dockerfile" }

// Rules implements detect.Explainer.
func (Detector) Rules() []detect.Rule { return rules() }

// Detect implements detect.Detector.
func (Detector) Detect(_ context.Context, f detect.Facts) (detect.Result, error) {
	var res detect.Result
	if f.Asset.Kind != seawall.AssetFS {
		return res, nil
	}
	table := rules()
	for i := range f.Matches {
		m := &f.Matches[i]
		if m.Kind != seawall.KindMisconfiguration || m.Hidden {
			continue
		}
		n := slices.IndexFunc(table, func(r detect.Rule) bool { return r.ID == m.Rule })
		if n < 0 || m.Rule == needsIgnore && hasIgnoreFile(f.Configs, m.Location.Path) {
			continue
		}
		finding := misconfig.Finding(&table[n], m.Evidence)
		finding.Location = &m.Location
		res.Findings = append(res.Findings, finding)
	}
	return res, nil
}

// hasIgnoreFile says whether a build of this Dockerfile has a .dockerignore: one
// of its own, or one in its directory or above, where the context may be.
func hasIgnoreFile(configs []seawall.ConfigFact, dockerfile string) bool {
	return slices.ContainsFunc(configs, func(c seawall.ConfigFact) bool {
		if c.Kind != ignoreFile {
			return false
		}
		if base := path.Base(c.Path); base != ".dockerignore" && base != ".containerignore" {
			return c.Path == dockerfile+".dockerignore"
		}
		dir := path.Dir(c.Path)
		return dir == "." || strings.HasPrefix(dockerfile, dir+"/")
	})
}
