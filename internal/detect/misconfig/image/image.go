// Package image judges an image's configuration: its user, environment, ports,
// volumes, age, start command and the build steps in its history. All of it
// comes from detect.Facts.Asset.Image; the rules are in rules.go. Build steps are
// judged by package dockerfile and reported under this package's rules, with the
// layer they made.
package image

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/seawall-security/seawall/internal/detect"
	"github.com/seawall-security/seawall/internal/detect/misconfig"
	"github.com/seawall-security/seawall/internal/detect/misconfig/dockerfile"
	"github.com/seawall-security/seawall/internal/seawall"
)

// staleAfter is how old a build may be before its packages are certain to lack updates.
const staleAfter = 180 * 24 * time.Hour

// Detector judges image configurations.
type Detector struct{}

var _ detect.Explainer = Detector{}

// Name implements detect.Detector.
func (Detector) Name() string { return "misconfig/image" }

// Rules implements detect.Explainer.
func (Detector) Rules() []detect.Rule { return rules() }

// Detect implements detect.Detector. What has no image configuration is not judged.
func (Detector) Detect(_ context.Context, f detect.Facts) (detect.Result, error) {
	if f.Asset.Image == nil {
		return detect.Result{}, nil
	}
	j := &judge{facts: f, image: f.Asset.Image, rules: rules()}
	j.start()
	j.environment()
	j.ports()
	j.packages()
	j.age()
	j.name()
	j.history()
	return detect.Result{Findings: j.findings}, nil
}

// judge is the work on one image.
type judge struct {
	facts    detect.Facts
	image    *seawall.ImageInfo
	rules    []detect.Rule
	findings []seawall.Finding
}

// found adds a failing finding; field names the place in the configuration.
func (j *judge) found(id, field, evidence string) *seawall.Finding {
	i := slices.IndexFunc(j.rules, func(r detect.Rule) bool { return r.ID == id })
	finding := misconfig.Finding(&j.rules[i], evidence)
	finding.Location = &seawall.Location{Resource: "image configuration", Field: field}
	j.findings = append(j.findings, finding)
	return &j.findings[len(j.findings)-1]
}

// notEvaluated adds a rule that could not be judged.
func (j *judge) notEvaluated(id, field, title, reason string) {
	f := j.found(id, field, "")
	f.Status, f.Title, f.Reason = seawall.StatusNotEvaluated, title, reason
}

// start judges how a container of the image starts.
func (j *judge) start() {
	if misconfig.RootUser(j.image.User) {
		evidence := "no USER"
		if j.image.User != "" {
			evidence = "USER " + j.image.User
		}
		j.found("SW-IMG-001", "config.User", evidence)
	}
	switch {
	case len(j.image.Healthcheck) == 0:
		j.found("SW-IMG-002", "config.Healthcheck", "no HEALTHCHECK")
	case j.image.Healthcheck[0] == "NONE":
		j.found("SW-IMG-002", "config.Healthcheck", "HEALTHCHECK NONE")
	}
	if e := j.image.Entrypoint; len(e) == 3 && strings.HasSuffix(e[0], "/sh") && e[1] == "-c" && !strings.HasPrefix(e[2], "exec ") {
		j.found("SW-IMG-012", "config.Entrypoint", "ENTRYPOINT in shell form")
	}
	for _, words := range [][]string{j.image.Entrypoint, j.image.Cmd} {
		if slices.ContainsFunc(words, func(w string) bool { return w == "sshd" || strings.HasSuffix(w, "/sshd") }) {
			j.found("SW-IMG-009", "config.Cmd", "starts sshd")
			break
		}
	}
	for _, v := range j.image.Volumes {
		if systemDirectory(v) {
			j.found("SW-IMG-011", "config.Volumes", "VOLUME "+v)
		}
	}
	if l := j.image.Labels; l["org.opencontainers.image.source"] == "" && l["org.opencontainers.image.url"] == "" && l["org.label-schema.vcs-url"] == "" {
		j.found("SW-IMG-013", "config.Labels", "neither org.opencontainers.image.source nor .url")
	}
}

func systemDirectory(dir string) bool {
	switch "/" + strings.Trim(dir, "/") {
	case "/", "/bin", "/sbin", "/boot", "/dev", "/etc", "/lib", "/lib64", "/proc", "/root", "/sys", "/usr", "/usr/bin", "/usr/lib", "/usr/local/bin", "/usr/sbin", "/var/run/docker.sock":
		return true
	}
	return false
}

func (j *judge) environment() {
	for _, e := range j.image.Env {
		name, value, _ := strings.Cut(e, "=")
		field := "config.Env." + name
		switch {
		case misconfig.NamesSecret(name, value):
			j.found("SW-IMG-004", field, name+" is set")
		case misconfig.SwitchesTLSOff(name, value):
			j.found("SW-IMG-014", field, e)
		case name == "PATH" || name == "LD_LIBRARY_PATH":
			if dir, ok := writablePath(name, value); ok {
				j.found("SW-IMG-010", field, fmt.Sprintf("%s contains %q", name, dir))
			}
		case name == "LD_PRELOAD" && value != "":
			j.found("SW-IMG-010", field, "LD_PRELOAD="+value)
		}
	}
}

// writablePath returns a search directory everyone may write, or one that depends on where the program is started.
func writablePath(name, value string) (string, bool) {
	for dir := range strings.SplitSeq(value, ":") {
		switch {
		case dir == "" && name == "LD_LIBRARY_PATH":
			// "$LD_LIBRARY_PATH:/x" with nothing set before leaves one in very many images, and
			// glibc reads it as the working directory.
			continue
		case !strings.HasPrefix(dir, "/") && !strings.HasPrefix(dir, "$") && !strings.HasPrefix(dir, `"`) && !strings.HasPrefix(dir, "~"),
			dir == "/tmp" || strings.HasPrefix(dir, "/tmp/") || dir == "/var/tmp" || strings.HasPrefix(dir, "/dev/shm"):
			return dir, true
		}
	}
	return "", false
}

func (j *judge) ports() {
	for _, p := range j.image.ExposedPorts {
		if service := misconfig.AdminPort(p); service != "" {
			j.found("SW-IMG-003", "config.ExposedPorts", p+" ("+service+")")
		}
	}
}

// packages judges what is installed by its name alone.
func (j *judge) packages() {
	for i := range j.facts.Packages {
		p := &j.facts.Packages[i]
		if p.Kind != "os" {
			continue
		}
		rule := ""
		switch p.Name {
		case "sudo", "doas", "sudo-ldap":
			rule = "SW-IMG-007"
		case "openssh-server", "dropbear", "dropbear-bin", "tinysshd":
			rule = "SW-IMG-008"
		default:
			continue
		}
		f := j.found(rule, "", p.Name+" "+p.Version+" is installed")
		f.Package = &seawall.PackageRef{Name: p.Name, Version: p.Version, Ecosystem: p.Ecosystem, PURL: p.PURL}
		f.Location, f.Locations = nil, p.Locations
	}
}

func (j *judge) age() {
	created, err := time.Parse(time.RFC3339, j.image.Created)
	switch {
	case err != nil:
		j.notEvaluated("SW-IMG-005", "created", "The age of the image could not be judged", "the configuration has no date of creation")
	case created.Year() < 2000:
		j.notEvaluated("SW-IMG-005", "created", "The age of the image could not be judged", "the date of creation was set to a fixed one by a reproducible build")
	case j.facts.Now.Sub(created) > staleAfter:
		j.found("SW-IMG-005", "created", fmt.Sprintf("built on %s, %d days ago", created.UTC().Format(time.DateOnly), int(j.facts.Now.Sub(created).Hours()/24)))
	}
}

// name judges how the image was asked for.
func (j *judge) name() {
	if len(j.image.RepoTags)+len(j.image.RepoDigests) == 0 || strings.Contains(j.facts.Asset.Name, "@sha256:") {
		return
	}
	for _, t := range j.image.RepoTags {
		if strings.HasSuffix(t, ":latest") {
			j.found("SW-IMG-006", "", t)
			return
		}
	}
}

// stepRules are the rules of package dockerfile that hold for a history, by this package's identifiers.
func stepRule(id string) string {
	switch id {
	case "SW-DF-004":
		return "SW-IMG-015"
	case "SW-DF-024", "SW-DF-025":
		return "SW-IMG-021"
	case "SW-DF-030":
		return "SW-IMG-016"
	case "SW-DF-032":
		return "SW-IMG-017"
	case "SW-DF-038":
		return "SW-IMG-018"
	case "SW-DF-040":
		return "SW-IMG-019"
	case "SW-DF-041", "SW-DF-042", "SW-DF-044":
		return "SW-IMG-020"
	case "SW-DF-046":
		return "SW-IMG-023"
	}
	return ""
}

// history judges the build steps.
func (j *judge) history() {
	if len(j.image.History) == 0 {
		j.notEvaluated("SW-IMG-015", "history", "The steps of the build could not be judged", "the configuration has no history")
		return
	}
	layer, layers := 0, 0
	for _, h := range j.image.History {
		if !h.EmptyLayer {
			layers++
		}
	}
	aligned := layers == len(j.image.Layers)
	for n, h := range j.image.History {
		var info *seawall.LayerInfo
		if !h.EmptyLayer {
			if aligned {
				info = &j.image.Layers[layer]
			}
			layer++
		}
		text, args := buildStep(h.CreatedBy)
		field := fmt.Sprintf("history[%d]", n)
		for _, b := range dockerfile.Step(text) {
			if rule := stepRule(b.Rule); rule != "" {
				j.found(rule, field, b.Evidence).Layer = info
			}
		}
		for _, a := range args {
			name, value, _ := strings.Cut(a, "=")
			if misconfig.NamesSecret(name, value) {
				j.found("SW-IMG-022", field, "build argument "+name).Layer = info
			}
		}
	}
}

// buildStep takes a step of a history apart: "|2 A=x B=y /bin/sh -c cmd" and
// "RUN |1 A=x /bin/sh -c cmd # buildkit" are RUN cmd with two and one build
// arguments. Values with spaces end at the first.
func buildStep(createdBy string) (text string, args []string) {
	s := strings.TrimSuffix(strings.TrimSpace(createdBy), " # buildkit")
	run := strings.HasPrefix(s, "RUN ")
	s = strings.TrimPrefix(s, "RUN ")
	if strings.HasPrefix(s, "|") {
		if before, _, ok := strings.Cut(s, "/bin/sh -c "); ok {
			args = strings.Fields(before)[1:]
			s = s[len(before):]
		}
	}
	if rest, ok := strings.CutPrefix(s, "/bin/sh -c "); ok {
		if rest, nop := strings.CutPrefix(rest, "#(nop) "); nop {
			return strings.TrimSpace(rest), args
		}
		return "RUN " + rest, args
	}
	if name, ok := strings.CutPrefix(s, "ARG "); ok {
		args = append(args, name)
	}
	if run {
		s = "RUN " + s
	}
	return s, args
}
