package dockerfile

import (
	"cmp"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/seawall-security/seawall/internal/detect/misconfig"
)

// breach is one rule broken at one place. Evidence never holds a credential.
type breach struct {
	rule     string
	line     int
	evidence string
}

// linter goes through one file.
type linter struct {
	file     *file
	breaches []breach
}

// lint returns the breaches of a file by line.
func lint(f *file) []breach {
	l := &linter{file: f}
	for i := range f.global {
		l.unknown(&f.global[i])
		l.arguments(&f.global[i])
	}
	for i := range f.stages {
		l.from(i)
		l.stage(&f.stages[i])
	}
	l.final()
	slices.SortStableFunc(l.breaches, func(a, b breach) int {
		return cmp.Or(cmp.Compare(a.line, b.line), strings.Compare(a.rule, b.rule), strings.Compare(a.evidence, b.evidence))
	})
	return slices.Compact(l.breaches)
}

func (l *linter) found(rule string, line int, evidence string) {
	const longest = 160
	evidence = strings.Join(strings.Fields(evidence), " ")
	if r := []rune(evidence); len(r) > longest {
		evidence = string(r[:longest]) + "…"
	}
	l.breaches = append(l.breaches, breach{rule, line, evidence})
}

// isStage says whether a name is a stage before the given one.
func (l *linter) isStage(name string, before int) bool {
	if n, err := strconv.Atoi(name); err == nil {
		return n < before
	}
	return slices.ContainsFunc(l.file.stages[:before], func(s stage) bool { return s.name != "" && s.name == strings.ToLower(name) })
}

// from judges what a stage starts from.
func (l *linter) from(n int) {
	s := &l.file.stages[n]
	if s.name != "" && slices.ContainsFunc(l.file.stages[:n], func(o stage) bool { return o.name == s.name }) {
		l.found("SW-DF-013", s.from.line, "AS "+s.name)
	}
	if s.image != "scratch" && !l.isStage(s.image, n) {
		l.image(s.image, s.from.line)
	}
	for i := range s.body {
		ins := &s.body[i]
		if from := ins.flag("from"); from != "" && !l.isStage(from, n+1) {
			l.image(l.file.expand(from), ins.line)
		}
	}
}

// image judges a reference. What a build argument without a default decides cannot be judged.
func (l *linter) image(ref string, line int) {
	if ref == "" || strings.Contains(ref, "$") || strings.Contains(ref, "@sha256:") || strings.Contains(ref, "@sha512:") {
		return
	}
	_, tag, _ := strings.Cut(ref[strings.LastIndexByte(ref, '/')+1:], ":")
	if tag == "" || tag == "latest" {
		l.found("SW-DF-001", line, ref)
	} else {
		l.found("SW-DF-002", line, ref)
	}
}

// stage judges the instructions of a stage.
func (l *linter) stage(s *stage) {
	seen := map[string]bool{}
	for i := range s.body {
		ins := &s.body[i]
		l.unknown(ins)
		switch ins.keyword {
		case "CMD", "ENTRYPOINT", "HEALTHCHECK":
			if seen[ins.keyword] && !ins.onBuild {
				l.found("SW-DF-010", ins.line, ins.keyword)
			}
			seen[ins.keyword] = seen[ins.keyword] || !ins.onBuild
		}
		l.instruction(ins)
	}
}

func (l *linter) instruction(ins *instruction) {
	switch ins.keyword {
	case "ARG":
		l.arguments(ins)
	case "ENV":
		l.environment(ins)
	case "ADD", "COPY":
		l.copies(ins)
	case "RUN":
		l.run(ins)
	case "EXPOSE":
		l.expose(ins)
	case "CMD", "ENTRYPOINT":
		if ins.exec == nil && ins.text != "" && !strings.HasPrefix(ins.text, "exec ") {
			l.found("SW-DF-008", ins.line, ins.keyword)
		}
	case "WORKDIR":
		if !absolute(ins.text) {
			l.found("SW-DF-006", ins.line, "WORKDIR "+ins.text)
		}
	case "MAINTAINER":
		l.found("SW-DF-007", ins.line, "MAINTAINER")
	}
}

// absolute says whether a path is, also a Windows one; what a variable decides counts as absolute.
func absolute(p string) bool {
	p = strings.Trim(p, `"'`)
	return p == "" || strings.HasPrefix(p, "/") || strings.HasPrefix(p, "$") || strings.HasPrefix(p, `\`) || len(p) > 1 && p[1] == ':'
}

func (l *linter) unknown(ins *instruction) {
	switch ins.keyword {
	case "FROM", "RUN", "CMD", "LABEL", "MAINTAINER", "EXPOSE", "ENV", "ADD", "COPY", "ENTRYPOINT", "VOLUME",
		"USER", "WORKDIR", "ARG", "ONBUILD", "STOPSIGNAL", "HEALTHCHECK", "SHELL":
	default:
		l.found("SW-DF-009", ins.line, ins.keyword)
	}
}

func (l *linter) arguments(ins *instruction) {
	if ins.keyword != "ARG" {
		return
	}
	for _, a := range assignments(ins.text) {
		if misconfig.SecretName(a.name) && (a.value == "" || misconfig.NamesSecret(a.name, a.value)) {
			l.found("SW-DF-021", ins.textLine+a.line, "ARG "+a.name)
		}
	}
}

func (l *linter) environment(ins *instruction) {
	for _, a := range assignments(ins.text) {
		line := ins.textLine + a.line
		switch {
		case misconfig.NamesSecret(a.name, a.value):
			l.found("SW-DF-020", line, "ENV "+a.name)
		case misconfig.SwitchesTLSOff(a.name, a.value):
			l.found("SW-DF-026", line, "ENV "+a.name+"="+a.value)
		}
	}
}

// expose judges the ports; a range counts by its ends.
func (l *linter) expose(ins *instruction) {
	for _, w := range splitWords(ins.text) {
		if name := misconfig.AdminPort(w.text); name != "" {
			l.found("SW-DF-012", ins.textLine+w.line, "EXPOSE "+w.text+" ("+name+")")
		}
	}
}

var credentialFile = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`(?i)(^|/)(id_(rsa|dsa|ecdsa|ed25519)|\.ssh/?|\.netrc|_netrc|\.pgpass|\.npmrc|\.pypirc|\.git-credentials|\.htpasswd|\.env(\.(prod|production|local))?|\.aws(/credentials)?/?|credentials\.json|service-?account[\w-]*\.json|kubeconfig|\.kube(/config)?/?|\.docker/config\.json|terraform\.tfstate|[\w.-]*(private|priv|server|tls|ssl|client|host)[\w.-]*\.key|[\w-]+\.(pfx|p12|jks|ppk))$`)
})

// copies judges COPY and ADD.
func (l *linter) copies(ins *instruction) {
	sources := ins.exec
	if sources == nil {
		for _, w := range splitWords(ins.text) {
			sources = append(sources, w.text)
		}
	}
	if len(sources) > 0 {
		sources = sources[:len(sources)-1]
	}
	for _, src := range sources {
		switch {
		case strings.Contains(src, "://"):
			l.addURL(ins, src)
		case strings.HasPrefix(src, "<<") || strings.HasPrefix(src, "git@"):
		default:
			if ins.keyword == "ADD" && !archive(src) && !strings.ContainsAny(src, "$*?[") {
				l.found("SW-DF-005", ins.line, "ADD "+src)
			}
			if ins.flag("from") != "" {
				continue
			}
			if credentialFile().MatchString(src) {
				l.found("SW-DF-022", ins.line, ins.keyword+" "+src)
			}
			if clean := path.Clean(src); clean == "." || clean == "/" {
				l.found("SW-DF-023", ins.line, ins.keyword+" "+src)
			}
		}
	}
}

func (l *linter) addURL(ins *instruction, src string) {
	if m := userInfo().FindString(src); m != "" {
		l.found("SW-DF-024", ins.line, withoutPassword(src))
	}
	git := strings.HasSuffix(strings.SplitN(src, "#", 2)[0], ".git")
	if ins.keyword != "ADD" || git {
		return
	}
	if ins.flag("checksum") == "" {
		l.found("SW-DF-004", ins.line, withoutPassword(src))
		if strings.HasPrefix(src, "http://") && !local(src) {
			l.found("SW-DF-044", ins.line, withoutPassword(src))
		}
	}
}

func archive(name string) bool {
	name = strings.ToLower(name)
	for _, ext := range [...]string{".tar", ".tgz", ".gz", ".bz2", ".tbz", ".xz", ".txz", ".zst", ".lzma"} {
		if strings.HasSuffix(name, ext) {
			return true
		}
	}
	return false
}

// final judges what only counts for the image that is built: the last stage and those it is made from.
func (l *linter) final() {
	last := len(l.file.stages) - 1
	user, health, from := "", false, l.file.stages[last].from.line
	line, external := from, "scratch"
	for n := last; n >= 0; {
		s := &l.file.stages[n]
		for i := len(s.body) - 1; i >= 0; i-- {
			ins := &s.body[i]
			if ins.onBuild {
				continue
			}
			if ins.keyword == "USER" && user == "" {
				user, line = strings.Trim(ins.text, `"' `), ins.line
			}
			health = health || ins.keyword == "HEALTHCHECK"
		}
		external = s.image
		n = slices.IndexFunc(l.file.stages[:n], func(o stage) bool { return o.name != "" && o.name == strings.ToLower(s.image) })
	}
	switch {
	case user == "" && unprivileged(external):
	case user == "":
		l.found("SW-DF-003", line, "no USER in the last stage")
	case misconfig.RootUser(user):
		l.found("SW-DF-003", line, "USER "+user)
	}
	if !health {
		l.found("SW-DF-011", from, "no HEALTHCHECK in the last stage")
	}
}

// unprivileged says whether a base image is known by its name to set an unprivileged user itself.
func unprivileged(image string) bool {
	return strings.Contains(image, "nonroot") || strings.Contains(image, "unprivileged") || strings.Contains(image, "rootless") || strings.HasPrefix(image, "cgr.dev/chainguard/")
}
