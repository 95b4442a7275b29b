package control

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"github.com/seawall-security/seawall/internal/expression"
	"github.com/seawall-security/seawall/internal/seawall"
)

// program is a control and, once it is needed, its expressions compiled.
type program struct {
	*Control
	check   Check
	compile func() (*compiled, error)
}

// compiled are a control's expressions; nil where it has none. Those only a
// failure needs are compiled at the first one.
type compiled struct {
	applies, each, pass    *expression.Program
	field, evidence, patch later
	// eachContainer: each is the variable containers itself.
	eachContainer bool
}

// later is an expression that is compiled when it is first asked for; nil is none.
type later func() (*expression.Program, error)

func compileLater(t Text, want expression.Type) later {
	if t.Text == "" {
		return nil
	}
	return sync.OnceValues(func() (*expression.Program, error) { return compileText(t, want) })
}

func (l later) eval(in *expression.Input) (expression.Value, error) {
	p, err := l()
	if err != nil {
		return expression.Value{}, err
	}
	return p.Eval(in)
}

// text evaluates what was compiled as a String.
func (l later) text(in *expression.Input) (string, error) {
	v, err := l.eval(in)
	text, _ := v.Native().(string)
	return text, err
}

func compile(c *Control) (*compiled, error) {
	out := &compiled{
		eachContainer: c.Each.Text == "containers",
		evidence:      compileLater(c.Evidence, expression.String), patch: compileLater(c.Patch.Text, expression.Map),
	}
	if !literal(c.Field.Text) {
		out.field = compileLater(c.Field, expression.String)
	}
	for _, t := range []struct {
		text Text
		want expression.Type
		to   **expression.Program
	}{
		{c.Applies, expression.Bool, &out.applies},
		{c.Each, expression.List, &out.each},
		{c.Pass, expression.Bool, &out.pass},
	} {
		var err error
		if *t.to, err = compileText(t.text, t.want); err != nil {
			return nil, fmt.Errorf("%s: %w", c.ID, err)
		}
	}
	return out, nil
}

// compileAll compiles every expression of a control, for its mistakes.
func compileAll(c *Control) error {
	out, err := compile(c)
	if err != nil {
		return err
	}
	for _, l := range []later{out.field, out.evidence, out.patch} {
		if l == nil {
			continue
		}
		if _, err := l(); err != nil {
			return fmt.Errorf("%s: %w", c.ID, err)
		}
	}
	return nil
}

// judge judges one subject, which the judge already holds.
func (p *program) judge(j *judge, s *Subject, t *tally) {
	c, err := p.compile()
	if err != nil {
		t.notEvaluated(s, err.Error())
		return
	}
	if c.applies != nil {
		switch ok, err := c.applies.Bool(j.in); {
		case err != nil:
			t.notEvaluated(s, unknown(s, err, "applies: "))
			return
		case !ok:
			t.notApplicable("nothing here it is for")
			return
		}
	}
	switch {
	case p.Manual != "":
		t.notEvaluated(s, p.Manual)
	case p.check != nil:
		p.checked(j, s, c, t)
	case c.each == nil:
		p.one(j, s, nil, c, t)
	default:
		p.items(j, s, c, t)
	}
}

// checked takes a Go check's word.
func (p *program) checked(j *judge, s *Subject, c *compiled, t *tally) {
	judged := *s
	judged.Control = p.Control
	outcomes := p.check(&judged)
	if len(outcomes) == 0 {
		t.passes++
		return
	}
	for i := range outcomes {
		o := &outcomes[i]
		about := s
		if o.Object != nil {
			about = &Subject{Snapshot: s.Snapshot, Object: o.Object}
		}
		switch o.Status {
		case seawall.StatusPass:
			t.passes++
		case seawall.StatusNotApplicable:
			t.notApplicable(o.Reason)
		case seawall.StatusNotEvaluated:
			t.notEvaluated(about, o.Reason)
		default:
			t.add(p.outcome(j, about, c, o))
		}
	}
}

// outcome makes the finding of a failing outcome.
func (p *program) outcome(j *judge, s *Subject, c *compiled, o *Outcome) seawall.Finding {
	j.in.Set("item", nil)
	if o.Item != nil {
		j.in.Set("item", o.Item)
	}
	field := o.Field
	var fieldErr, patchErr error
	if field == "" && o.Object == nil {
		field, fieldErr = p.fieldOf(j, s, o.Item, c)
	}
	f := p.finding(s, field, o.Evidence)
	if o.Severity != seawall.SeverityUnknown {
		f.Severity = o.Severity
	}
	if o.Title != "" {
		f.Title = o.Title
	}
	if o.Remediation != "" {
		f.Remediation = o.Remediation
	}
	if len(o.Frameworks) > 0 {
		f.Frameworks = append(append([]string{}, f.Frameworks...), o.Frameworks...)
	}
	switch {
	case o.Patch != nil:
		f.Patch = encode(o.Patch)
	case o.Object == nil:
		f.Patch, patchErr = p.patchFor(j, s, o.Item, c)
	}
	return remark(f, fieldErr, nil, patchErr)
}

// remark notes in the evidence what of a finding could not be made. It fails all the same.
func remark(f seawall.Finding, field, evidence, patch error) seawall.Finding {
	for _, part := range []struct {
		name string
		err  error
	}{{"field", field}, {"evidence", evidence}, {"patch", patch}} {
		if part.err != nil {
			f.Evidence = strings.TrimSpace(fmt.Sprintf("%s (%s: %v)", f.Evidence, part.name, part.err))
		}
	}
	return f
}

// items judges every element of each.
func (p *program) items(j *judge, s *Subject, c *compiled, t *tally) {
	list := j.containers
	if !c.eachContainer {
		var err error
		if list, err = c.each.List(j.in); err != nil {
			t.notEvaluated(s, "each: "+err.Error())
			return
		}
	}
	for i, v := range list {
		j.in.Set("item", v)
		j.in.Set("index", int64(i))
		item, _ := v.Native().(map[string]any)
		p.one(j, s, item, c, t)
	}
	if len(list) == 0 {
		t.notApplicable("nothing here it is for")
	}
}

// one judges a subject, or one item of it.
func (p *program) one(j *judge, s *Subject, item map[string]any, c *compiled, t *tally) {
	ok, err := c.pass.Bool(j.in)
	switch {
	case err != nil:
		t.notEvaluated(s, unknown(s, err, ""))
		return
	case ok:
		t.passes++
		return
	}
	field, fieldErr := p.fieldOf(j, s, item, c)
	evidence, evidenceErr := p.shown(s, item), error(nil)
	if c.evidence != nil {
		evidence, evidenceErr = c.evidence.text(j.in)
	}
	f := p.finding(s, field, evidence)
	var patchErr error
	f.Patch, patchErr = p.patchFor(j, s, item, c)
	t.add(remark(f, fieldErr, evidenceErr, patchErr))
}

// unknown is why an expression failed: where it asked for a setting that the fact
// says is not known ("unknown.<name>"), the fact's reason.
func unknown(s *Subject, err error, where string) string {
	if _, key, ok := strings.Cut(err.Error(), "no such key: "); ok && s.Config != nil {
		if why := s.Config.Data["unknown."+key]; why != "" {
			return why
		}
	}
	return where + err.Error()
}

// finding begins a failing finding.
func (p *program) finding(s *Subject, field, evidence string) seawall.Finding {
	f := seawall.Finding{
		Kind: seawall.KindMisconfiguration, Rule: p.ID, Title: p.Title, Severity: p.Severity, SeveritySource: "seawall",
		Status: seawall.StatusFail, Evidence: evidence, Remediation: p.Remediation, References: p.References, Frameworks: p.Frameworks,
	}
	f.Location = locate(s, field)
	return f
}

// locate is the place of a field of a subject, nil where there is none. Without
// an object or fact a field that starts with / is a file.
func locate(s *Subject, field string) *seawall.Location {
	switch {
	case s == nil:
		return nil
	case s.Object != nil:
		l := s.Object.Location(field)
		return &l
	case s.Config != nil:
		return &seawall.Location{Path: s.Config.Path, Field: field, Layer: s.Config.Layer}
	case strings.HasPrefix(field, "/"):
		return &seawall.Location{Path: field[1:]}
	case field != "":
		return &seawall.Location{Field: field}
	}
	return nil
}

// fieldOf is where the finding points to.
func (p *program) fieldOf(j *judge, s *Subject, item map[string]any, c *compiled) (string, error) {
	if c.field != nil {
		return c.field.text(j.in)
	}
	itemPath, _ := item["_path"].(string)
	head, rest, _ := strings.Cut(p.Field.Text, ".")
	switch head {
	case "":
		return itemPath, nil
	case "pod":
		return join(s.Path, rest), nil
	case "item":
		return join(itemPath, rest), nil
	case "object":
		return rest, nil
	}
	return p.Field.Text, nil
}

func join(path, rest string) string {
	if path == "" || rest == "" {
		return path + rest
	}
	return path + "." + rest
}

// maxShown bounds a value in evidence, in bytes.
const maxShown = 120

// shown is the evidence of a control that gives none: the value its field has,
// where a field cannot hold a secret, and the item's name.
func (p *program) shown(s *Subject, item map[string]any) string {
	head, rest, _ := strings.Cut(p.Field.Text, ".")
	m := map[string]map[string]any{"pod": s.Pod, "item": item, "object": s.Map}[head]
	if s.Object != nil && (s.Object.Kind == "Secret" || s.Object.Kind == "ConfigMap") || !literal(p.Field.Text) {
		return ""
	}
	value := ""
	switch {
	case s.Config != nil:
		if v, ok := s.Config.Data[p.Field.Text]; ok && len(v) <= maxShown {
			value = p.Field.Text + " = " + v
		} else if p.Field.Text != "" && !ok {
			value = p.Field.Text + " is not set"
		}
	case m != nil && rest != "" && !mayHoldSecrets(rest):
		value = rest + display(m, rest)
	}
	name, _ := item["name"].(string)
	kind, _ := item["_kind"].(string)
	switch {
	case name == "":
		return value
	case kind == "":
		name = strconv.Quote(name)
	case kind == "container":
		name = "container " + name
	default:
		name = kind + " container " + name
	}
	if value == "" {
		return name
	}
	return name + ": " + value
}

// mayHoldSecrets is true for the fields of containers that people put credentials into.
func mayHoldSecrets(field string) bool {
	name, _, _ := strings.Cut(field, ".")
	return name == "env" || name == "args" || name == "command"
}

// display writes a plain value after its name.
func display(m map[string]any, field string) string {
	keys := strings.Split(field, ".")
	parent := at(m, keys[:len(keys)-1]...)
	v, ok := parent[keys[len(keys)-1]]
	if !ok {
		return " is not set"
	}
	switch v := v.(type) {
	case bool, int64, float64:
		return fmt.Sprintf(" = %v", v)
	case string:
		if len(v) <= maxShown {
			return " = " + v
		}
	case []any:
		text, err := json.Marshal(v)
		if err == nil && len(text) <= maxShown {
			return " = " + string(text)
		}
	}
	return " is set"
}

// patchFor is the control's patch as one for the whole object; nil where it has
// none, or there is no object to patch.
func (p *program) patchFor(j *judge, s *Subject, item map[string]any, c *compiled) (json.RawMessage, error) {
	if s.Object == nil {
		return nil, nil
	}
	patch := p.Patch.Static
	if c.patch != nil {
		v, err := c.patch.eval(j.in)
		if err != nil {
			return nil, err
		}
		patch, _ = v.Native().(map[string]any)
	}
	if len(patch) == 0 {
		return nil, nil
	}
	if len(patch) == 1 {
		if inner, ok := patch["container"].(map[string]any); ok {
			list := map[any]string{"container": "containers", "init": "initContainers"}[item["_kind"]]
			if list == "" {
				return nil, nil // ephemeral containers cannot be changed
			}
			named := map[string]any{"name": item["name"]}
			for k, v := range inner {
				named[k] = v
			}
			patch = map[string]any{"pod": map[string]any{list: []any{named}}}
		}
		if inner, ok := patch["pod"].(map[string]any); ok {
			patch = inner
			keys := strings.Split(s.Path, ".")
			for i := len(keys) - 1; i >= 0; i-- {
				patch = map[string]any{keys[i]: patch}
			}
		}
	}
	return encode(patch), nil
}

func encode(patch map[string]any) json.RawMessage {
	text, err := json.Marshal(patch)
	if err != nil {
		return nil // a patch holds plain values
	}
	return text
}
