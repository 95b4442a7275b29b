package policy

import (
	"fmt"
	"slices"
	"strings"

	"github.com/seawall-security/seawall/internal/seawall"
)

// enumerations are the fields of which all values are known.
func enumerations() map[string][]string {
	var severities []string
	for _, s := range seawall.Severities() {
		severities = append(severities, s.String())
	}
	return map[string][]string{"finding.severity": severities, "finding.kind": {
		string(seawall.KindVulnerability), string(seawall.KindSecret), string(seawall.KindMalware), string(seawall.KindMisconfiguration),
		string(seawall.KindLicense), string(seawall.KindSignature), string(seawall.KindLifecycle), string(seawall.KindRBAC),
		string(seawall.KindNetwork), string(seawall.KindRuntime), string(seawall.KindAudit), string(seawall.KindIntegrity),
	}}
}

// Lint says what is allowed and most likely not meant, each with its place.
func (s *Set) Lint() []string {
	var out []string
	say := func(p Place, format string, args ...any) {
		out = append(out, fmt.Sprintf("%s: %s", p, fmt.Sprintf(format, args...)))
	}
	for _, p := range s.Policies {
		used := map[string]bool{}
		for _, r := range p.Rules {
			for _, name := range r.uses {
				used[name] = true
			}
			if len(r.when.Uses()) == 0 {
				say(r.Place, "rule %s: the condition names nothing: it is always the same", r.Name)
			}
			for path, words := range enumerations() {
				for _, w := range r.when.Guard(path) {
					if !slices.Contains(words, w) {
						say(r.Place, "rule %s: %s is never %q%s", r.Name, path, w, didYouMean(w, words))
					}
				}
			}
			if r.message == "" && r.messageOf == nil && r.subject != subjectFinding {
				say(r.Place, "rule %s has neither message nor messageExpression: nobody is told what to do", r.Name)
			}
		}
		for name := range p.variables {
			if !used[name] {
				say(p.Place, "variable %s of %s is not used", strings.TrimPrefix(name, "variables."), p.Name)
			}
		}
		if p.Description == "" {
			say(p.Place, "%s has no description", p.Name)
		}
	}
	if s.Native != nil {
		out = append(out, s.Native.Lint()...)
	}
	slices.Sort(out)
	return out
}
