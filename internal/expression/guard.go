package expression

import (
	"slices"

	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/operators"
	"github.com/google/cel-go/common/types"
)

// Fields are the fields of a variable that the expression names, sorted: "signed"
// where it says image.signed. whole says that it also names the variable otherwise.
func (p *Program) Fields(variable string) (fields []string, whole bool) {
	return p.fields[variable], p.whole[variable]
}

// Guard are the texts one of which a path ("finding.kind") must have for the
// expression to come to true: with any other it comes to false, whatever else is
// so. The text of a bool is true. It is nil where the expression does not say.
func (p *Program) Guard(path string) []string { return p.guards[path] }

// analyse finds what Fields and Guard tell.
func (p *Program) analyse(e ast.Expr) {
	p.guards = guards(e)
	p.fields, p.whole = map[string][]string{}, map[string]bool{}
	selected := map[int64]bool{}
	ast.PostOrderVisit(e, ast.NewExprVisitor(func(e ast.Expr) {
		if e.Kind() == ast.SelectKind && e.AsSelect().Operand().Kind() == ast.IdentKind {
			operand := e.AsSelect().Operand()
			selected[operand.ID()] = true
			p.fields[operand.AsIdent()] = append(p.fields[operand.AsIdent()], e.AsSelect().FieldName())
		}
	}))
	ast.PostOrderVisit(e, ast.NewExprVisitor(func(e ast.Expr) {
		if e.Kind() == ast.IdentKind && !selected[e.ID()] {
			p.whole[e.AsIdent()] = true
		}
	}))
	for name, fields := range p.fields {
		slices.Sort(fields)
		p.fields[name] = slices.Compact(fields)
	}
}

// guards are the guards of an expression by path.
func guards(e ast.Expr) map[string][]string {
	if path := fieldPath(e); path != "" {
		return map[string][]string{path: {"true"}}
	}
	if e.Kind() != ast.CallKind || len(e.AsCall().Args()) != 2 {
		return nil
	}
	a, b := e.AsCall().Args()[0], e.AsCall().Args()[1]
	switch e.AsCall().FunctionName() {
	case operators.LogicalAnd:
		return bothGuards(guards(a), guards(b))
	case operators.LogicalOr:
		return eitherGuards(guards(a), guards(b))
	case operators.Equals:
		if fieldPath(a) == "" {
			a, b = b, a
		}
		if text, ok := literal(b); ok && fieldPath(a) != "" {
			return map[string][]string{fieldPath(a): {text}}
		}
	case operators.In:
		if b.Kind() != ast.ListKind || fieldPath(a) == "" {
			return nil
		}
		texts := []string{}
		for _, element := range b.AsList().Elements() {
			text, ok := literal(element)
			if !ok {
				return nil
			}
			texts = append(texts, text)
		}
		return map[string][]string{fieldPath(a): texts}
	}
	return nil
}

// bothGuards: where both sides say something, only what both allow is left.
func bothGuards(a, b map[string][]string) map[string][]string {
	if a == nil {
		return b
	}
	for path, texts := range b {
		if other, ok := a[path]; ok {
			texts = slices.DeleteFunc(slices.Clone(texts), func(t string) bool { return !slices.Contains(other, t) })
		}
		a[path] = texts
	}
	return a
}

// eitherGuards: only what both sides say something about is left.
func eitherGuards(a, b map[string][]string) map[string][]string {
	out := map[string][]string{}
	for path, texts := range a {
		if other, ok := b[path]; ok {
			out[path] = append(slices.Clone(texts), other...)
		}
	}
	return out
}

// fieldPath is the text of a variable's field, or of one of its fields, "" for
// everything else.
func fieldPath(e ast.Expr) string {
	if e.Kind() != ast.SelectKind || e.AsSelect().IsTestOnly() {
		return ""
	}
	operand := e.AsSelect().Operand()
	path := fieldPath(operand)
	if operand.Kind() == ast.IdentKind {
		path = operand.AsIdent()
	}
	if path == "" {
		return ""
	}
	return path + "." + e.AsSelect().FieldName()
}

func literal(e ast.Expr) (string, bool) {
	if e.Kind() != ast.LiteralKind {
		return "", false
	}
	text, ok := e.AsLiteral().(types.String)
	return string(text), ok
}
