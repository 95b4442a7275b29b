package policy

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/seawall-security/seawall/internal/expression"
	"github.com/seawall-security/seawall/internal/seawall"
)

// ActionMutate changes pods as they are created.
const ActionMutate = "mutate"

// Mutation is what a rule changes about pods: a patch of its own, or any of the
// built-in changes.
type Mutation struct {
	// RewriteRegistries gives images other names; the first that fits counts.
	RewriteRegistries []Rewrite
	// PinTags adds to images without a digest the one that the tag has now.
	PinTags bool
	// Labels are added where the pod has none of that name.
	Labels map[string]string
	// DropTokenMounts takes away the service account's token.
	DropTokenMounts bool
	// Harden is the Pod Security Standard that security contexts are to keep to: "", baseline or restricted.
	Harden string
	// Expression is the patch, of kind Patch; "" is none.
	Expression string
	Patch      expression.Patch
	// Templates says what is done about a template whose pods would be changed: warn, block or ignore.
	Templates string

	program *expression.Program
}

// Rewrite moves images from one place to another: a registry, or one with a path.
type Rewrite struct{ From, To string }

// Edit is a mutation of one pod, with its expression evaluated.
type Edit struct {
	*Mutation
	// Configuration are the fields to set; nil for none.
	Configuration map[string]any
	// Operations are those of RFC 6902, as maps; nil for none.
	Operations []any
}

// Mutator carries mutations out. Package mutate has it.
type Mutator interface {
	// Mutate changes pod, which is the mutator's to change or replace, and tells each
	// change. The same edit of its result changes nothing.
	Mutate(pod map[string]any, edit Edit) (changed map[string]any, changes []string, err error)
}

type mutationSpec struct {
	ApplyConfiguration *struct {
		Expression Text `yaml:"expression"`
	} `yaml:"applyConfiguration"`
	JSONPatch *struct {
		Expression Text `yaml:"expression"`
	} `yaml:"jsonPatch"`
	Harden            Word `yaml:"harden"`
	PinTags           bool `yaml:"pinTags"`
	RewriteRegistries []struct {
		From Word `yaml:"from"`
		To   Word `yaml:"to"`
	} `yaml:"rewriteRegistries"`
	Labels          map[string]string `yaml:"labels"`
	DropTokenMounts bool              `yaml:"dropTokenMounts"`
	Templates       Word              `yaml:"templates"`
}

// mutation checks a rule's.
func (p *Policy) mutation(r *Rule, spec *mutationSpec) (*Mutation, error) {
	m := &Mutation{PinTags: spec.PinTags, Labels: spec.Labels, DropTokenMounts: spec.DropTokenMounts}
	var err error
	if m.Harden, err = spec.Harden.oneOf("harden", "", "baseline", "restricted"); err != nil {
		return nil, err
	}
	if m.Templates, err = spec.Templates.oneOf("templates", "warn", "warn", "block", "ignore"); err != nil {
		return nil, err
	}
	if err := m.rewrites(spec); err != nil {
		return nil, err
	}
	builtIn := m.Harden != "" || m.PinTags || len(m.RewriteRegistries) > 0 || len(m.Labels) > 0 || m.DropTokenMounts
	var text Text
	switch {
	case spec.ApplyConfiguration != nil && spec.JSONPatch != nil:
		return nil, r.Place.Errorf("rule %s has applyConfiguration and jsonPatch; make two rules of it", r.Name)
	case spec.ApplyConfiguration != nil:
		text, m.Patch = spec.ApplyConfiguration.Expression, expression.Configuration
	case spec.JSONPatch != nil:
		text, m.Patch = spec.JSONPatch.Expression, expression.JSONPatch
	case !builtIn:
		return nil, r.Place.Errorf("rule %s: mutate says nothing to change", r.Name)
	default:
		return m, nil
	}
	switch {
	case text.Text == "":
		return nil, r.Place.Errorf("rule %s: mutate has no expression", r.Name)
	case builtIn:
		return nil, r.Place.Errorf("rule %s: mutate has an expression and built-in changes; make two rules of it", r.Name)
	}
	m.Expression = text.Text
	m.program, err = text.compiled(func() (*expression.Program, error) { return p.environment.CompilePatch(text.Text, m.Patch) })
	return m, err
}

// rewrites checks that what was rewritten is not rewritten again.
func (m *Mutation) rewrites(spec *mutationSpec) error {
	for _, w := range spec.RewriteRegistries {
		if w.From.Text == "" || w.To.Text == "" {
			return w.From.Place.Errorf("rewriteRegistries: want from and to")
		}
		m.RewriteRegistries = append(m.RewriteRegistries, Rewrite{strings.TrimSuffix(w.From.Text, "/"), strings.TrimSuffix(w.To.Text, "/")})
	}
	for i, w := range m.RewriteRegistries {
		for _, other := range m.RewriteRegistries {
			if strings.HasPrefix(w.To+"/", other.From+"/") {
				return spec.RewriteRegistries[i].To.Place.Errorf("rewriteRegistries: what is moved to %s would be moved again, from %s", w.To, other.From)
			}
		}
	}
	return nil
}

// maxPasses is how often policies may change what others of them changed.
const maxPasses = 5

// Mutate gives the input's object, a pod, as the policies' mutations leave it, and what
// they did. Rules are asked in their policies' order, each about what those before it
// left, and again until none changes anything; where they never agree, the object stays
// as it was. The input's object is not changed.
//
// The outcome is enforced for what was changed, dry-run where the mode is not enforce or
// an exception applies, and failed for what could not be done; under failure closed the
// action of that is block, and it is enforced.
func (s *Set) Mutate(in Input) (map[string]any, []seawall.Decision) {
	in.Exceptions = s.Exceptions
	if kind, _ := in.Object["kind"].(string); kind != "Pod" {
		return in.Object, nil
	}
	before := in.Object
	var decisions []seawall.Decision
	for pass := range maxPasses {
		var changed []seawall.Decision
		for _, p := range s.Policies {
			in.Object, changed = p.mutate(in, pass == 0, changed)
		}
		decisions = append(decisions, changed...)
		if !slices.ContainsFunc(changed, func(d seawall.Decision) bool { return d.Outcome == OutcomeEnforced && d.Action == ActionMutate }) {
			return in.Object, decisions
		}
		if pass == maxPasses-1 {
			return before, s.unsettled(changed)
		}
	}
	return before, nil
}

// unsettled are the decisions about changes that never end.
func (s *Set) unsettled(changed []seawall.Decision) []seawall.Decision {
	for i := range changed {
		d := &changed[i]
		d.Outcome = OutcomeFailed
		d.Reason = "changes what it changed before again and again, itself or with another rule: " + d.Reason
		for _, p := range s.Policies {
			if p.Name == d.Policy {
				p.close(d)
			}
		}
	}
	return changed
}

// close makes a mutation that failed a denial where the policy's failure is closed.
func (p *Policy) close(d *seawall.Decision) {
	if p.Closed && d.Mode == ModeEnforce {
		d.Action, d.Outcome = "block", OutcomeEnforced
	}
}

// mutate asks the policy's mutating rules once. Only the first round tells what was not
// carried out.
func (p *Policy) mutate(in Input, first bool, decisions []seawall.Decision) (map[string]any, []seawall.Decision) {
	if !p.Uses(in.Phase) {
		return in.Object, decisions
	}
	for _, r := range p.Rules {
		if r.Mutation == nil || r.actions[in.Phase] != ActionMutate {
			continue
		}
		current := in.as(in.Object)
		c := p.cases(&current, nil)
		if !p.concerns(&current, current.Images) && r.subject != subjectImage {
			continue
		}
		object, d := c.mutation(r)
		if d == nil || d.Outcome != OutcomeEnforced && !first {
			continue
		}
		if d.Outcome == OutcomeEnforced && d.Action == ActionMutate {
			in.Object = object
		}
		decisions = append(decisions, *d)
	}
	return in.Object, decisions
}

// as is the input with its object in another form: what is known of images stays known
// of those that it still names.
func (in *Input) as(object map[string]any) Input {
	out := in.About(object)
	out.NamespaceName = in.NamespaceName
	for i := range out.Images {
		image := &out.Images[i]
		for _, known := range in.Images {
			if known.Name == image.Name {
				known.Field = image.Field
				*image = known
				break
			}
		}
	}
	return out
}

// judgeMutation notes what a mutating rule would do about the input's workload.
func (c *cases) judgeMutation(r *Rule) {
	if c.in.Workload == nil || r.Mutation.Templates == "ignore" && c.in.Workload.Kind != "Pod" {
		return
	}
	about := c.in.as(PodOf(c.in.Object))
	inner := c.policy.cases(&about, c.observe)
	_, d := inner.mutation(r)
	if d == nil {
		return
	}
	switch enforced := d.Outcome == OutcomeEnforced && d.Action == ActionMutate; {
	case enforced && c.in.Workload.Kind == "Pod":
		d.Outcome, d.Reason = OutcomeDryRun, "would be changed: "+d.Reason
	case enforced:
		d.Reason = "its pods would be changed: " + d.Reason
		if d.Action = "alert"; r.Mutation.Templates == "block" {
			d.Action = "block"
		}
	}
	c.add(*d, nil, nil)
}

// mutation asks a mutating rule about the input's object, a pod, and gives what it
// would be; the decision is nil where nothing changes.
func (c *cases) mutation(r *Rule) (map[string]any, *seawall.Decision) {
	c.rule(r)
	if len(c.decisions) == 0 {
		return nil, nil
	}
	d := c.decisions[0]
	for _, other := range c.decisions { // of several findings or images, one is enough
		if other.Outcome == OutcomeEnforced {
			d = other
			break
		}
	}
	c.decisions, c.index = nil, nil
	d.Findings, d.Location = nil, nil
	if d.Outcome == OutcomeFailed || d.Action != ActionMutate {
		return nil, &d
	}
	object, changes, err := c.edit(r)
	switch {
	case err != nil:
		d.Reason, d.Outcome = "could not be changed: "+err.Error(), OutcomeFailed
		c.policy.close(&d)
	case len(changes) == 0:
		return nil, nil
	case d.Exception != "" || r.message != "" || r.messageOf != nil:
		d.Reason = strings.Join(changes, "; ") + ": " + d.Reason
	default:
		d.Reason = strings.Join(changes, "; ")
	}
	return object, &d
}

// edit carries a rule's mutation out on a copy of the input's object.
func (c *cases) edit(r *Rule) (map[string]any, []string, error) {
	if c.in.Mutator == nil {
		return nil, nil, errors.New("nothing here carries mutations out")
	}
	edit := Edit{Mutation: r.Mutation}
	if r.Mutation.program != nil {
		v, err := r.Mutation.program.Eval(c.values)
		if err != nil {
			return nil, nil, err
		}
		switch v := v.Native().(type) {
		case map[string]any:
			edit.Configuration = v
		case []any:
			edit.Operations = v
		default:
			return nil, nil, fmt.Errorf("the expression gave %T", v)
		}
	}
	return c.in.Mutator.Mutate(copied(c.in.Object).(map[string]any), edit)
}

// copied is a deep copy of a value of JSON.
func copied(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := maps.Clone(v)
		for k, element := range out {
			out[k] = copied(element)
		}
		return out
	case []any:
		out := slices.Clone(v)
		for i, element := range out {
			out[i] = copied(element)
		}
		return out
	}
	return v
}

// PodOf is the pod that a workload makes: itself, or its template's.
func PodOf(object map[string]any) map[string]any {
	kind, _ := object["kind"].(string)
	if kind == "Pod" {
		return object
	}
	keys := podPath(kind)
	template := at(object, keys[:len(keys)-1]...)
	meta := map[string]any{}
	maps.Copy(meta, at(template, "metadata"))
	outer := at(object, "metadata")
	if namespace, ok := outer["namespace"]; ok {
		meta["namespace"] = namespace
	}
	if name, ok := outer["name"].(string); ok {
		meta["generateName"] = name + "-"
	}
	return map[string]any{"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": template["spec"]}
}
