package reach

import (
	"fmt"
	"slices"
	"strconv"
)

// Selector is a label selector; the zero value selects everything.
type Selector struct {
	MatchLabels      map[string]string `json:"matchLabels"`
	MatchExpressions []Requirement     `json:"matchExpressions"`
}

// Requirement is one expression of a selector.
type Requirement struct {
	Key      string   `json:"key"`
	Operator string   `json:"operator"`
	Values   []string `json:"values"`
}

// Everything says whether it selects whatever there is.
func (s *Selector) Everything() bool { return len(s.MatchLabels)+len(s.MatchExpressions) == 0 }

// Matches says whether labels fulfil all requirements. An operator that is none
// matches nothing.
func (s *Selector) Matches(labels map[string]string) bool {
	for k, want := range s.MatchLabels {
		if got, ok := labels[k]; !ok || got != want {
			return false
		}
	}
	for i := range s.MatchExpressions {
		if !s.MatchExpressions[i].matches(labels) {
			return false
		}
	}
	return true
}

func (r *Requirement) matches(labels map[string]string) bool {
	value, ok := labels[r.Key]
	switch r.Operator {
	case "In":
		return ok && slices.Contains(r.Values, value)
	case "NotIn":
		return !ok || !slices.Contains(r.Values, value)
	case "Exists":
		return ok
	case "DoesNotExist":
		return !ok
	}
	return false
}

// check says what the API server would refuse.
func (s *Selector) check() error {
	for _, r := range s.MatchExpressions {
		switch r.Operator {
		case "In", "NotIn":
			if len(r.Values) == 0 {
				return fmt.Errorf("operator %s of key %q needs values", r.Operator, r.Key)
			}
		case "Exists", "DoesNotExist":
			if len(r.Values) > 0 {
				return fmt.Errorf("operator %s of key %q takes no values", r.Operator, r.Key)
			}
		default:
			return fmt.Errorf("unknown operator %q of key %q (want In, NotIn, Exists or DoesNotExist)", r.Operator, r.Key)
		}
	}
	return nil
}

// keys calls add for every label the selector looks at.
func (s *Selector) keys(add func(string)) {
	for k := range s.MatchLabels {
		add(k)
	}
	for _, r := range s.MatchExpressions {
		add(r.Key)
	}
}

func itoa(n int) string { return strconv.Itoa(n) }
