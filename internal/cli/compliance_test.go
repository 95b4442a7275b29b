package cli

import (
	"slices"
	"strings"
	"testing"

	"github.com/seawall-security/seawall/internal/compliance"
)

// Every rule of every detector is evidence for a requirement of a framework
// that is more than a benchmark's number.
func TestEveryRuleIsMapped(t *testing.T) {
	all := controls()
	if len(all) < 400 {
		t.Fatalf("only %d rules", len(all))
	}
	m := compliance.NewMapper()
	for _, c := range all {
		mapped := slices.DeleteFunc(slices.Clone(m.OfRule(&c)), func(id string) bool { return slices.Contains(c.Frameworks, id) })
		if len(mapped) == 0 {
			t.Errorf("%s (%s): no framework's requirement asks for it", c.ID, c.Title)
		}
	}
}

// What a framework file names is there: rules among the detectors', numbers among the benchmarks'.
func TestFrameworksNameWhatIsThere(t *testing.T) {
	all := controls()
	frameworks, err := compliance.All(all)
	if err != nil {
		t.Fatal(err)
	}
	var rules, numbers []string
	for _, c := range all {
		rules = append(rules, c.ID)
		numbers = append(numbers, c.Frameworks...)
	}
	for _, f := range frameworks {
		if f.Numbers == "" {
			continue
		}
		for _, s := range f.Sections {
			for _, r := range s.Requirements {
				numbers = append(numbers, f.ID+":"+r.ID)
			}
		}
	}
	for _, f := range frameworks {
		for _, s := range f.Sections {
			for _, r := range s.Requirements {
				for _, pattern := range r.Rules {
					if !takes(pattern, rules) {
						t.Errorf("%s:%s names rule %s, and no detector has it", f.ID, r.ID, pattern)
					}
				}
				for _, pattern := range r.Benchmarks {
					if !takes(pattern, numbers) {
						t.Errorf("%s:%s names %s, and no benchmark or rule has it", f.ID, r.ID, pattern)
					}
				}
			}
		}
	}
}

// What a rule says of a framework is there: a number of the benchmark, a requirement.
func TestRulesNameRequirementsThatExist(t *testing.T) {
	all := controls()
	frameworks, err := compliance.All(all)
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	for _, f := range frameworks {
		known[f.ID] = true
		for _, s := range f.Sections {
			for _, r := range s.Requirements {
				known[f.ID+":"+r.ID] = true
			}
		}
	}
	for _, c := range all {
		for _, id := range c.Frameworks {
			framework, number, ok := strings.Cut(id, ":")
			switch {
			case !ok: // CWE-319
			case !known[framework]:
				t.Errorf("%s: no framework %s", c.ID, framework)
			case !known[id]:
				t.Errorf("%s: %s has no %s", c.ID, framework, number)
			}
		}
	}
}

// Every detector with rules is one that compliance knows how to ask about.
func TestDetectorsAreKnown(t *testing.T) {
	r := compliance.Evaluate(&compliance.Framework{ID: "all", Sections: []compliance.Section{{Requirements: []compliance.Requirement{{
		ID: "1", Selection: compliance.Selection{Rules: []string{"SW-*"}},
	}}}}}, controls(), nil, compliance.Options{})
	for _, m := range r.Scope.Missing {
		if m.Remedy == "" {
			t.Errorf("%s: no scan is named that runs it", m.Detector)
		}
	}
	if len(r.Scope.Missing) < 10 {
		t.Errorf("only %d detectors have rules: %v", len(r.Scope.Missing), r.Scope.Missing)
	}
}

func takes(pattern string, ids []string) bool {
	beginning, many := strings.CutSuffix(pattern, "*")
	return slices.ContainsFunc(ids, func(id string) bool { return id == pattern || many && strings.HasPrefix(id, beginning) })
}
