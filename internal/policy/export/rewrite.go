package export

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/ext"
)

// mention is a place where an expression names a fact: a variable that it does not
// bind itself.
type mention struct {
	name       string
	start, end int // in characters
	// field is what of the fact it asks for, "" for it as a whole. Of variables and the
	// workload it is part of the name: "workload.pod".
	field string
	// asked: only whether the field is there.
	asked bool
}

// syntax is the language that our policies are written in, without its functions.
var syntax = sync.OnceValues(func() (*cel.Env, error) {
	return cel.NewEnv(cel.OptionalTypes(), ext.Bindings(), ext.TwoVarComprehensions(), ext.Math())
})

// mentions finds the facts that an expression names, in order.
func mentions(text string) ([]mention, error) {
	env, err := syntax()
	if err != nil {
		return nil, fmt.Errorf("setting up expressions: %w", err)
	}
	parsed, issues := env.Parse(text)
	if issues.Err() != nil {
		return nil, issues.Err()
	}
	w := &walker{chars: []rune(text), info: parsed.NativeRep().SourceInfo(), found: map[int]mention{}}
	w.walk(parsed.NativeRep().Expr(), nil)
	var out []mention
	for _, m := range w.found {
		out = append(out, m)
	}
	slices.SortFunc(out, func(a, b mention) int { return a.start - b.start })
	return out, nil
}

type walker struct {
	chars []rune
	info  *ast.SourceInfo
	found map[int]mention
}

func (w *walker) note(e ast.Expr, bound []string, field string, asked bool) {
	name := e.AsIdent()
	at, ok := w.info.GetOffsetRange(e.ID())
	if !ok || slices.Contains(bound, name) || strings.HasPrefix(name, "@") {
		return
	}
	if (name == "variables" || name == "workload") && w.has(int(at.Start), name+"."+field) { // one name: variables.x
		name += "." + field
	}
	if !w.has(int(at.Start), name) {
		return // written otherwise, as only a macro's own names are
	}
	m := mention{name: name, start: int(at.Start), end: int(at.Start) + len([]rune(name)), field: field, asked: asked}
	if was, there := w.found[m.start]; !there || was.asked && !asked {
		w.found[m.start] = m
	}
}

// has says whether the text has a name at a place.
func (w *walker) has(start int, name string) bool {
	n := len([]rune(name))
	return start+n <= len(w.chars) && string(w.chars[start:start+n]) == name
}

func (w *walker) walk(e ast.Expr, bound []string) {
	switch e.Kind() {
	case ast.IdentKind:
		w.note(e, bound, "", false)
	case ast.SelectKind:
		s := e.AsSelect()
		if s.Operand().Kind() == ast.IdentKind {
			w.note(s.Operand(), bound, s.FieldName(), s.IsTestOnly())
			return
		}
		w.walk(s.Operand(), bound)
	case ast.CallKind:
		c := e.AsCall()
		if c.FunctionName() == "_?._" && c.Args()[0].Kind() == ast.IdentKind && c.Args()[1].Kind() == ast.LiteralKind {
			field, _ := c.Args()[1].AsLiteral().Value().(string)
			w.note(c.Args()[0], bound, field, true)
			return
		}
		if c.IsMemberFunction() {
			w.walk(c.Target(), bound)
		}
		w.all(c.Args(), bound)
	case ast.ListKind:
		w.all(e.AsList().Elements(), bound)
	case ast.MapKind:
		for _, entry := range e.AsMap().Entries() {
			w.walk(entry.AsMapEntry().Key(), bound)
			w.walk(entry.AsMapEntry().Value(), bound)
		}
	case ast.StructKind:
		for _, f := range e.AsStruct().Fields() {
			w.walk(f.AsStructField().Value(), bound)
		}
	case ast.ComprehensionKind:
		c := e.AsComprehension()
		w.walk(c.IterRange(), bound)
		w.walk(c.AccuInit(), bound)
		inner := append(slices.Clone(bound), c.IterVar(), c.IterVar2(), c.AccuVar())
		w.walk(c.LoopCondition(), inner)
		w.walk(c.LoopStep(), inner)
		w.walk(c.Result(), inner)
	}
}

func (w *walker) all(list []ast.Expr, bound []string) {
	for _, e := range list {
		w.walk(e, bound)
	}
}

// rewrite replaces facts in an expression by what replace gives for them.
func rewrite(text string, replace func(mention) (string, error)) (string, error) {
	found, err := mentions(text)
	if err != nil {
		return "", err
	}
	chars := []rune(text)
	var b strings.Builder
	last := 0
	for _, m := range found {
		by, err := replace(m)
		if err != nil {
			return "", err
		}
		b.WriteString(string(chars[last:m.start]))
		b.WriteString(by)
		last = m.end
	}
	b.WriteString(string(chars[last:]))
	return b.String(), nil
}
