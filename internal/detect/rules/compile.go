package rules

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/seawall-security/seawall/internal/detect/rules/syntax"
	"github.com/seawall-security/seawall/internal/expression/nearest"
	"github.com/seawall-security/seawall/internal/seawall"
)

// Rule is a rule as it runs.
type Rule struct {
	Name        string           `json:"name"`
	Description string           `json:"description,omitempty"`
	Source      string           `json:"source"`
	Priority    string           `json:"priority"`
	Severity    seawall.Severity `json:"severity"`
	Tags        []string         `json:"tags,omitempty"`
	Place       Place            `json:"-"`

	output *Output
}

// The states of a rule.
const (
	StateOK          = "ok"
	StateDisabled    = "disabled"
	StateUnsupported = "unsupported"
)

// Status says whether a rule runs, and why not.
type Status struct {
	*Rule
	State string `json:"state"`
	// Reason is "unsupported: field" with the fields' names for StateUnsupported.
	Reason string `json:"reason,omitempty"`
	// Events are the event types it is asked for; empty is every type.
	Events []string `json:"events,omitempty"`
	// Prevention is how early the agent can stop what a rule of SourceSyscall is about; nil when it does not run.
	Prevention *Prevention `json:"prevention,omitempty"`
}

// Engine is a compiled Set. It is immutable and safe for concurrent use through one State each.
type Engine struct {
	statuses []Status
	sources  map[string]*program
	memos    int
	values   int
}

// program is the rules of one source, by event type.
type program struct {
	types map[string][]*compiled
	other []*compiled // of types no rule names
}

type compiled struct {
	rule *Rule
	root *node
}

// Rules tells every rule's Status, in the order of the files.
func (e *Engine) Rules() []Status { return e.statuses }

// Compile turns a Set into an Engine. Its error joins every mistake, each with file, line and column.
func Compile(s *Set) (*Engine, error) {
	c := &compiler{set: s, interned: map[string]*node{}, parsed: map[*macroItem]syntax.Expr{}, refs: map[string]int{}}
	e := &Engine{sources: map[string]*program{}}
	var running []*draft
	for _, item := range s.rules {
		d := c.rule(item)
		e.statuses = append(e.statuses, d.status)
		if d.status.State == StateOK && d.tree != nil {
			running = append(running, d)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(s.macros)) {
		c.unused(s.macros[name])
	}
	if len(c.problems) > 0 {
		return nil, fmt.Errorf("%w: %w", errors.Join(c.problems...), seawall.ErrUsage)
	}
	for _, source := range []string{SourceSyscall, SourceAudit} {
		e.sources[source] = c.index(source, running)
	}
	for i := range e.statuses {
		e.statuses[i].Events = e.eventsOf(e.statuses[i].Rule)
		e.statuses[i].Prevention = e.classify(&e.statuses[i])
	}
	e.memos, e.values = c.assignMemos(), len(c.refs)
	return e, nil
}

// eventsOf lists the types a rule is indexed under, none when it is asked for every type.
func (e *Engine) eventsOf(r *Rule) (types []string) {
	p := e.sources[r.Source]
	has := func(c *compiled) bool { return c.rule == r }
	if p == nil || slices.ContainsFunc(p.other, has) {
		return nil
	}
	for _, t := range slices.Sorted(maps.Keys(p.types)) {
		if slices.ContainsFunc(p.types[t], has) {
			types = append(types, t)
		}
	}
	return types
}

type compiler struct {
	set      *Set
	problems []error
	interned map[string]*node
	parsed   map[*macroItem]syntax.Expr
	refs     map[string]int // slots of values by field
}

// draft is a rule on its way.
type draft struct {
	item        *ruleItem
	status      Status
	tree        *tree
	unsupported []string
}

func (c *compiler) fail(p Place, format string, args ...any) {
	c.problems = append(c.problems, fmt.Errorf("%s: %s", p, fmt.Sprintf(format, args...)))
}

func (c *compiler) rule(item *ruleItem) *draft {
	severity, _ := severityOf(item.priority)
	r := &Rule{Name: item.name, Description: item.desc, Source: item.source, Priority: item.priority, Severity: severity, Tags: item.tags, Place: item.place}
	d := &draft{item: item, status: Status{Rule: r, State: StateOK}}
	if item.source != SourceSyscall && item.source != SourceAudit {
		d.status.State, d.status.Reason = StateUnsupported, "unsupported: source "+item.source
		return d
	}
	w := &writer{compiler: c, draft: d, source: item.source, passages: &item.condition}
	if expr := c.parse(item.condition); expr != nil {
		d.tree = w.tree(expr)
	}
	for _, e := range item.exceptions {
		if t := w.exception(e); t != nil && d.tree != nil {
			d.tree = &tree{kind: kindAnd, terms: []*tree{d.tree, {kind: kindNot, terms: []*tree{t}}}}
		}
	}
	var unknown []string
	r.output, unknown = NewOutput(item.output)
	d.unsupported = append(d.unsupported, unknown...)
	switch slices.Sort(d.unsupported); {
	case !item.enabled:
		d.status.State = StateDisabled
	case len(d.unsupported) > 0:
		d.status.State = StateUnsupported
		d.status.Reason = "unsupported: field " + strings.Join(slices.Compact(d.unsupported), ", ")
	}
	return d
}

// parse reads a condition and reports its mistake.
func (c *compiler) parse(passages []passage) syntax.Expr {
	expr, err := syntax.Parse(join(passages))
	if err != nil {
		var mistake *syntax.Error
		errors.As(err, &mistake)
		c.fail(locate(passages, mistake.At), "%s", mistake.Text)
		return nil
	}
	return expr
}

func join(passages []passage) string {
	var parts []string
	for _, p := range passages {
		parts = append(parts, p.text)
	}
	return strings.Join(parts, " ")
}

// locate finds the place of an offset in a condition. YAML folds lines and blanks
// alone, so it is where as many other bytes have gone by.
func locate(passages []passage, at int) Place {
	p := passages[0]
	for _, p = range passages {
		if at <= len(p.text) {
			break
		}
		at -= len(p.text) + 1
	}
	if p.node == nil {
		return Place{Path: p.file.Path, Line: 1, Column: 1}
	}
	place := Place{p.file.Path, p.node.Line, p.node.Column}
	raw := string(p.file.Data)
	for range place.Line - 1 {
		_, raw, _ = strings.Cut(raw, "\n")
	}
	skip := place.Column - 1
	switch {
	case p.node.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0:
		skip = strings.IndexByte(raw, '\n') + 1
		place.Line, place.Column = place.Line+1, 1
	case p.node.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle) != 0:
		skip++
		place.Column++
	}
	raw = raw[min(skip, len(raw)):]
	before := p.text[:min(max(at, 0), len(p.text))]
	left, end := len(before)-blanks(before), len(before) == len(p.text)
	for _, ch := range []byte(raw) {
		switch {
		case left == 0 && end:
			return place
		case ch == '\n':
			place.Line, place.Column = place.Line+1, 0
		case left == 0 && ch != ' ' && ch != '\t' && ch != '\r':
			return place
		case ch != ' ' && ch != '\t' && ch != '\r':
			left--
		}
		place.Column++
	}
	return place
}

func blanks(s string) (n int) {
	for _, ch := range []byte(s) {
		if ch == ' ' || ch == '\t' || ch == '\r' || ch == '\n' {
			n++
		}
	}
	return n
}

// macro parses a macro's condition once; nil when it has a mistake.
func (c *compiler) macro(m *macroItem) syntax.Expr {
	m.used = true
	expr, done := c.parsed[m]
	if !done {
		expr = c.parse(m.condition)
		c.parsed[m] = expr
	}
	return expr
}

// unused checks the macros no rule asked for, too.
func (c *compiler) unused(m *macroItem) {
	if m.used {
		return
	}
	if expr := c.macro(m); expr != nil {
		w := &writer{compiler: c, draft: &draft{}, passages: &m.condition, within: []string{m.name}}
		w.tree(expr)
	}
}

// tree is a condition with lists and macros expanded and checks compiled.
type tree struct {
	kind  kind
	terms []*tree
	check *check
}

type kind uint8

const (
	kindAnd kind = iota
	kindOr
	kindNot
	kindCheck
	kindTrue
	kindFalse
)

// check is a compiled comparison.
type check struct {
	ref        Ref
	transforms []string
	operator   string
	right      []string
	other      *Ref // a field on the right
	match      matcher
	negated    bool // != is a comparison: false for what is missing
	key        string
	slot       int // where the field's value is kept during one event
}

// writer turns one rule's expressions into trees.
type writer struct {
	*compiler
	draft    *draft
	source   string // "" in a macro of no rule
	passages *[]passage
	within   []string // macros being expanded
}

func (w *writer) place(at int) Place { return locate(*w.passages, at) }

func (w *writer) tree(e syntax.Expr) *tree {
	switch e := e.(type) {
	case *syntax.And:
		return &tree{kind: kindAnd, terms: w.terms(e.Terms)}
	case *syntax.Or:
		return &tree{kind: kindOr, terms: w.terms(e.Terms)}
	case *syntax.Not:
		return &tree{kind: kindNot, terms: []*tree{w.tree(e.Term)}}
	case *syntax.Macro:
		return w.expand(e)
	case *syntax.Check:
		return w.check(e)
	}
	return &tree{kind: kindFalse}
}

func (w *writer) terms(exprs []syntax.Expr) (out []*tree) {
	for _, e := range exprs {
		out = append(out, w.tree(e))
	}
	return out
}

// maxWithin bounds macros within macros.
const maxWithin = 50

func (w *writer) expand(e *syntax.Macro) *tree {
	m := w.set.macros[e.Name]
	switch {
	case m == nil:
		w.fail(w.place(e.At), "%s: no such macro%s", e.Name, near(e.Name, maps.Keys(w.set.macros)))
	case slices.Contains(w.within, e.Name):
		w.fail(w.place(e.At), "macro %s is in its own condition", e.Name)
	case len(w.within) > maxWithin:
		w.fail(w.place(e.At), "more than %d macros within one another", maxWithin)
	default:
		expr := w.macro(m)
		if expr == nil {
			break
		}
		inner := *w
		inner.passages, inner.within = &m.condition, append(slices.Clip(w.within), e.Name)
		return inner.tree(expr)
	}
	return &tree{kind: kindFalse}
}

// check compiles a comparison; what cannot be compiled is a mistake or an unsupported field.
func (w *writer) check(e *syntax.Check) *tree {
	r, ok := w.ref(e.Left)
	if !ok {
		return &tree{kind: kindFalse}
	}
	c := &check{ref: r, transforms: e.Left.Transformers, operator: e.Operator}
	if len(e.Right) == 1 && e.Right[0].Field != "" {
		other, ok := w.ref(e.Right[0])
		if !ok {
			return &tree{kind: kindFalse}
		}
		if e.Operator != "=" && e.Operator != "!=" && r.Field.Type != TypeNumber {
			w.fail(w.place(e.Right[0].At), "fields are compared by = and !=, numbers also by < and >")
		}
		c.other = &other
	} else {
		c.right = w.values(e)
	}
	if err := c.compile(); err != nil {
		w.fail(w.place(e.At), "%s", err)
		return &tree{kind: kindFalse}
	}
	return &tree{kind: kindCheck, check: c}
}

func (w *writer) ref(o syntax.Operand) (Ref, bool) {
	r, known, err := ref(o.Field, o.Argument, o.Indexed)
	switch {
	case err != nil:
		w.fail(w.place(o.At), "%s", err)
		return r, false
	case !known:
		w.draft.unsupported = append(w.draft.unsupported, o.Field+near(o.Field, maps.Keys(fields())))
		return r, false
	case !r.Field.Filled, w.source != "" && r.Field.Source != "" && r.Field.Source != w.source:
		w.draft.unsupported = append(w.draft.unsupported, o.Field)
		return r, false
	}
	return r, true
}

// values are the texts on the right, with lists in their place.
func (w *writer) values(e *syntax.Check) (out []string) {
	single := !slices.Contains([]string{"in", "intersects", "pmatch"}, e.Operator)
	for _, o := range e.Right {
		list := w.set.lists[o.Text]
		if single || o.Quoted || list == nil {
			out = append(out, o.Text)
			continue
		}
		out = append(out, w.items(list, nil, o.At)...)
	}
	return out
}

func (w *writer) items(l *listItem, within []string, at int) (out []string) {
	if slices.Contains(within, l.name) {
		w.fail(w.place(at), "list %s contains itself", l.name)
		return nil
	}
	for _, item := range l.items {
		if inner := w.set.lists[item]; inner != nil {
			out = append(out, w.items(inner, append(within, l.name), at)...)
			continue
		}
		out = append(out, unquote(item))
	}
	return out
}

// unquote takes off the quotes that a list's item keeps from being a list's name with.
func unquote(item string) string {
	if n := len(item); n >= 2 && (item[0] == '"' || item[0] == '\'') && item[n-1] == item[0] {
		return item[1 : n-1]
	}
	return item
}

// exception is true for the events one of its rows is about; nil without rows.
func (w *writer) exception(e exception) *tree {
	if len(e.values) == 0 {
		return nil
	}
	or := &tree{kind: kindOr}
	if e.single {
		var all []any
		for _, row := range e.values {
			all = append(all, row...)
		}
		return w.row(e, []any{all})
	}
	for _, row := range e.values {
		if len(row) != len(e.fields) {
			w.fail(e.place, "exception %q: a row of %d values for %d fields", e.name, len(row), len(e.fields))
			return nil
		}
		or.terms = append(or.terms, w.row(e, row))
	}
	return or
}

func (w *writer) row(e exception, row []any) *tree {
	and := &tree{kind: kindAnd}
	for i, field := range e.fields {
		check := &syntax.Check{Operator: e.comps[i]}
		left, err := syntax.Parse(field + " exists")
		parsed, ok := left.(*syntax.Check)
		if err != nil || !ok {
			w.fail(e.place, "exception %q: %q is no field", e.name, field)
			return and
		}
		check.Left = parsed.Left
		switch values := row[i].(type) {
		case []any:
			if check.Operator == "=" {
				check.Operator = "in"
			}
			for _, v := range values {
				check.Right = append(check.Right, syntax.Operand{Text: unquote(fmt.Sprint(v))})
			}
		default:
			check.Right = []syntax.Operand{{Text: unquote(fmt.Sprint(values))}}
		}
		here := *w
		here.passages = &[]passage{{file: &File{Path: e.place.Path}}}
		before := len(w.problems)
		and.terms = append(and.terms, here.check(check))
		for j := before; j < len(w.problems); j++ {
			w.problems[j] = fmt.Errorf("%s: exception %q: %w", e.place, e.name, w.problems[j])
		}
	}
	return and
}

// near suggests the name that was meant.
func near(name string, names func(func(string) bool)) string {
	best := nearest.Word(name, slices.Sorted(names))
	if best == "" {
		return ""
	}
	return fmt.Sprintf(" (did you mean %s?)", best)
}
