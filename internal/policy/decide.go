package policy

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/seawall-security/seawall/internal/expression"
	"github.com/seawall-security/seawall/internal/seawall"
)

// Decide gives what the policy's rules come to for the input, in the rules' order: a
// decision for every rule and message, with all findings it is about.
//
// The outcome is enforced, or dry-run where the mode is not enforce, the grace has
// not passed, or an exception applies (the reason says which), or failed where a rule
// could not be judged and the policy's failure is open; closed treats that as a violation.
func (p *Policy) Decide(in Input) []seawall.Decision { return p.decide(&in, nil) }

// Observed is one answer of a rule, for coverage and explanations.
type Observed struct {
	Rule *Rule
	// Finding and Image are what the rule was asked about; nil where it was not.
	Finding *seawall.Finding
	Image   *Image
	// Matched is the answer. It counts as true where Err is an
	// *expression.UnknownError; with another Err there is none.
	Matched bool
	Err     error

	cases *cases
	facts setter
}

// Explain tells how the answer came about, part by part, variables first.
func (o *Observed) Explain() ([]expression.Step, error) {
	in := o.cases.input(o.cases.policy.environment)
	o.facts(in)
	return o.cases.policy.environment.Explain(o.Rule.When, in)
}

// Observe decides and tells every answer on the way. It is Decide for people.
func (p *Policy) Observe(in Input, observe func(*Observed)) []seawall.Decision {
	return p.decide(&in, observe)
}

// setter gives an expression's input what one case is about.
type setter func(*expression.Input)

// cases are the questions that one input puts to one policy.
type cases struct {
	policy     *Policy
	in         *Input
	values     *expression.Input
	exceptions *expression.Input // of the environment without the policy's variables
	observe    func(*Observed)
	decisions  []seawall.Decision
	index      map[decisionKey]int
}

func (p *Policy) decide(in *Input, observe func(*Observed)) []seawall.Decision {
	if !p.Uses(in.Phase) {
		return nil
	}
	c := p.cases(in, observe)
	concerned := p.concerns(in, in.Images)
	for _, r := range p.Rules {
		switch {
		case !concerned && r.subject != subjectImage:
		case r.actions[in.Phase] == ActionMutate:
			c.judgeMutation(r)
		default:
			c.rule(r)
		}
	}
	c.unscanned()
	return c.decisions
}

func (p *Policy) cases(in *Input, observe func(*Observed)) *cases {
	c := &cases{policy: p, in: in, observe: observe}
	if in.values != nil {
		c.values = in.values.For(p.environment)
	} else {
		c.values = c.input(p.environment)
	}
	return c
}

// prepare gives the input its values once, for the environments of many policies.
func (in *Input) prepare() {
	if env, err := environment(); err == nil {
		in.values = (&cases{in: in}).input(env)
	}
}

// concerns says whether the policy is for the input with these of its images: it
// matches where one does, and is excluded where all are.
func (p *Policy) concerns(in *Input, images []Image) bool {
	return p.match.holds(in, images, slices.ContainsFunc) != no && (p.exclude == nil || p.exclude.holds(in, images, all) != yes)
}

// input gives an environment's variables their values, but for what cases differ in.
func (c *cases) input(env *expression.Environment) *expression.Input {
	in, values := c.in, env.Input()
	values.Set("finding", expression.Unknown("finding"))
	c.whole(values)
	values.Set("phase", in.Phase)
	values.Set("now", in.Now)
	setObject(values, "object", in.Object)
	setObject(values, "request", in.Request)
	setObject(values, "namespaceObject", in.Namespace)
	values.Set("workload", expression.Unknown("workload"))
	if in.Workload != nil {
		values.Set("workload", in.Workload)
	}
	return values
}

func setObject(values *expression.Input, name string, object map[string]any) {
	if object == nil {
		values.Set(name, expression.Unknown(name))
	} else {
		values.Set(name, object)
	}
}

// whole gives asset and image the values they have for the input as a whole.
func (c *cases) whole(values *expression.Input) {
	values.Set("asset", expression.Unknown("asset"))
	if c.in.Asset != nil {
		values.Set("asset", c.in.Asset)
	}
	values.Set("image", expression.Unknown("image"))
	if len(c.in.Images) == 1 {
		values.Set("image", &c.in.Images[0])
	}
}

// rule asks a rule about all of its subjects.
func (c *cases) rule(r *Rule) {
	in := c.in
	switch r.subject {
	case subjectFinding:
		for i := range in.Findings {
			f := &in.Findings[i]
			if f.Status == seawall.StatusFail && (c.observe != nil || r.mayMatch(f)) {
				c.ask(r, f, nil, func(v *expression.Input) { v.Set("finding", f) })
			}
		}
		c.scans(r)
	case subjectImage:
		for i := range in.Images {
			image := &in.Images[i]
			if c.policy.concerns(in, in.Images[i:i+1]) {
				c.ask(r, nil, image, func(v *expression.Input) { v.Set("image", image) })
			}
		}
		c.whole(c.values)
	case subjectObject:
		if in.Object != nil {
			c.ask(r, nil, nil, func(*expression.Input) {})
		}
	case subjectWorkload:
		if in.Workload != nil {
			c.ask(r, nil, nil, func(*expression.Input) {})
		}
	case subjectInput:
		if in.Object == nil {
			c.ask(r, nil, nil, func(*expression.Input) {})
		}
	}
}

// ask asks a rule about one subject and notes what follows.
func (c *cases) ask(r *Rule, f *seawall.Finding, image *Image, facts setter) {
	facts(c.values)
	matched, err := r.when.Bool(c.values)
	var unknown *expression.UnknownError
	if errors.As(err, &unknown) {
		matched = true
	}
	if c.observe != nil {
		c.observe(&Observed{Rule: r, Finding: f, Image: image, Matched: matched, Err: err, cases: c, facts: facts})
	}
	d := seawall.Decision{Policy: c.policy.Name, Rule: r.Name, Phase: c.in.Phase, Action: r.actions[c.in.Phase], Mode: r.mode, Outcome: OutcomeDryRun}
	switch {
	case err != nil && unknown == nil:
		d.Reason = "could not be judged: " + err.Error()
		if !c.policy.Closed {
			d.Outcome = OutcomeFailed
			c.add(d, f, image)
			return
		}
		if d.Action == ActionMutate {
			d.Action = "block" // nobody knows what to change
		}
	case !matched || unknown != nil && c.answeredElsewhere(unknown, image):
		return
	case unknown != nil && !c.policy.Closed && c.unreached(unknown, image) != "":
		d.Reason, d.Outcome = "could not be judged: "+c.unreached(unknown, image), OutcomeFailed
		c.add(d, f, image)
		return
	case unknown != nil:
		d.Reason, d.Unknown = c.messageFor(r, f, image)+" ("+unknown.Error()+")", unknown.Facts
	default:
		d.Reason = c.messageFor(r, f, image)
	}
	c.settle(&d, r, f, image, facts)
	c.add(d, f, image)
}

// settle finds the outcome of a violation.
func (c *cases) settle(d *seawall.Decision, r *Rule, f *seawall.Finding, image *Image, facts setter) {
	if e := c.exception(r, image, facts); e != nil {
		d.Exception = e.String()
		d.Reason += fmt.Sprintf("; excepted until %s by %s: %s", e.Expires.Format(time.DateOnly), e.Owner, e.Reason)
		return
	}
	if end, ok := r.grace.end(f, c.in.FirstSeen); ok && c.in.Now.Before(end) {
		d.Reason += "; grace until " + end.Format(time.DateOnly)
		return
	}
	if r.mode == ModeEnforce {
		d.Outcome = OutcomeEnforced
	}
}

// end is when the grace of a finding ends; without its date there is no grace.
func (g grace) end(f *seawall.Finding, firstSeen map[string]time.Time) (time.Time, bool) {
	if g.days == 0 || f == nil {
		return time.Time{}, false
	}
	date := ""
	if v := f.Vulnerability; v != nil && g.from == "published" {
		date = v.Published
	} else if v != nil && g.from == "fixed" && v.FixedAt != nil {
		date = *v.FixedAt
	}
	t, err := ParseTime(date)
	if g.from == "firstSeen" {
		t, err = firstSeen[f.ID], nil
	}
	return t.AddDate(0, 0, g.days), err == nil && !t.IsZero()
}

// messageFor is the rule's message about a subject.
func (c *cases) messageFor(r *Rule, f *seawall.Finding, image *Image) string {
	if r.messageOf != nil {
		if m, err := r.messageOf.String(c.values); err == nil && m != "" {
			return m
		}
	}
	about := r.message
	switch {
	case about != "" && image != nil:
		return image.Name + ": " + about
	case about != "":
		return about
	case f != nil && image != nil:
		return image.Name + ": " + f.Title
	case f != nil:
		return f.Title
	case image != nil:
		return image.Name + " is against the rule"
	}
	return "is against the rule"
}

// add notes a decision; equal ones about several findings become one.
func (c *cases) add(d seawall.Decision, f *seawall.Finding, image *Image) {
	if c.in.Asset != nil {
		d.Asset = c.in.Asset.ID
	}
	d.Location = c.location(f, image)
	key := decisionKey{d.Rule, d.Outcome, d.Reason, d.Exception, "", ""}
	if d.Location != nil {
		key.resource, key.field = d.Location.Resource, d.Location.Field
	}
	if i, same := c.index[key]; same {
		if f != nil {
			c.decisions[i].Findings = append(c.decisions[i].Findings, f.ID)
		}
		return
	}
	if c.index == nil {
		c.index = map[decisionKey]int{}
	}
	c.index[key] = len(c.decisions)
	if f != nil {
		d.Findings = []string{f.ID}
	}
	c.decisions = append(c.decisions, d)
}

// decisionKey is what makes decisions of one input and policy equal.
type decisionKey struct{ rule, outcome, reason, exception, resource, field string }

// location is where the object says what the decision is about; nil without an object.
func (c *cases) location(f *seawall.Finding, image *Image) *seawall.Location {
	var l seawall.Location
	switch {
	case c.in.Location == nil:
		return nil
	case f != nil && f.Location != nil && image == nil:
		l = *f.Location
		if c.in.Own != nil {
			l.Resource = c.in.Location("").Resource
		}
	case image != nil:
		l = c.in.Location(image.Field)
	default:
		l = c.in.Location("")
	}
	return &l
}
