package policy

import (
	"fmt"
	"slices"
	"strings"
)

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
