package policy

import (
	"slices"
	"strings"
	"time"
)

// Outline is a policy in one phase in parts, for whoever says the same in another language.
type Outline struct {
	Name, Description string
	Closed            bool
	// Match and Exclude are nil where they say nothing.
	Match, Exclude *Criteria
	Variables      []Definition
	Rules          []RuleOutline
}

// Definition is a variable.
type Definition struct{ Name, Expression string }

// Criteria are what match and exclude say: patterns, and requirements of labels.
type Criteria struct {
	Images, Clusters, Namespaces, Kinds, Operations, Subjects []string
	Labels                                                    []LabelRequirement
}

// LabelRequirement is one of a label selector: In, NotIn, Exists or DoesNotExist.
type LabelRequirement struct {
	Key, Operator string
	Values        []string
}

// RuleOutline is a rule.
type RuleOutline struct {
	Name, When, Message, MessageExpression string
	Action, Mode                           string
	// About is what the rule is asked about: finding, object, workload, image, or "" for
	// the input as a whole.
	About string
	// Uses are the facts that it names, itself or through variables.
	Uses     []string
	Mutation *Mutation
}

// ExceptionOutline is an exception.
type ExceptionOutline struct {
	*Exception
	Match *Criteria
	When  string
}

// Outline is the policy's in a phase.
func (p *Policy) Outline(phase string) Outline {
	o := Outline{Name: p.Name, Description: p.Description, Closed: p.Closed, Match: p.match.outline(), Exclude: p.exclude.outline(), Variables: p.definitions}
	for _, r := range p.Rules {
		about := [...]string{subjectInput: "", subjectImage: "image", subjectWorkload: "workload", subjectObject: "object", subjectFinding: "finding"}[r.subject]
		o.Rules = append(o.Rules, RuleOutline{
			Name: r.Name, When: r.When, Message: r.message, MessageExpression: r.messageText, Action: r.actions[phase], Mode: r.mode,
			About: about, Uses: r.uses, Mutation: r.Mutation,
		})
	}
	return o
}

// ExceptionsOf are the exceptions from a policy that count at a time.
func (s *Set) ExceptionsOf(p *Policy, now time.Time) []ExceptionOutline {
	var out []ExceptionOutline
	for _, e := range s.Exceptions {
		if e.Policy == p.Name && p.Allows(e, now) {
			out = append(out, ExceptionOutline{e, e.match.outline(), e.whenText})
		}
	}
	return out
}

func (c *criteria) outline() *Criteria {
	if c == nil {
		return nil
	}
	o := &Criteria{Images: c.images, Clusters: c.clusters, Namespaces: c.namespaces, Kinds: c.kinds, Operations: c.operations, Subjects: c.subjects}
	for _, r := range c.selector {
		o.Labels = append(o.Labels, LabelRequirement{r.key, r.operator, r.values})
	}
	slices.SortFunc(o.Labels, func(a, b LabelRequirement) int { return strings.Compare(a.Key, b.Key) })
	return o
}
