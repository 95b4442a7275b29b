package expression

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/operators"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/interpreter"
)

// Step is one part of an expression and what it came to.
type Step struct {
	// Depth is how deep the part lies in &&, ||, !, ?: and comparisons, the whole at 0.
	Depth int    `json:"depth"`
	Text  string `json:"text"`
	// Value is as the language writes it, "not needed" for what others decided already.
	Value string `json:"value"`
}

// maxShown bounds the text of a step's value, in bytes.
const maxShown = 200

// Explain evaluates an expression and tells what its parts came to, outer parts first.
func (e *Environment) Explain(text string, in *Input) ([]Step, error) {
	checked, issues := e.env.Compile(text)
	if issues.Err() != nil {
		return nil, issues.Err()
	}
	program, err := e.env.Program(checked, cel.EvalOptions(cel.OptTrackState), cel.InterruptCheckFrequency(1))
	if err != nil {
		return nil, err
	}
	in.values.steps = 0
	_, details, err := program.Eval(&in.values)
	if details == nil {
		return nil, err
	}
	x := explainer{info: checked.NativeRep().SourceInfo(), state: details.State()}
	x.add(checked.NativeRep().Expr(), 0)
	return x.steps, nil
}

type explainer struct {
	info  *ast.SourceInfo
	state interpreter.EvalState
	steps []Step
}

func (x *explainer) add(e ast.Expr, depth int) {
	if e.Kind() == ast.LiteralKind {
		return
	}
	text, err := cel.ExprToString(e, x.info)
	if err != nil {
		return // parts that macros made have no text
	}
	value := "not needed"
	if v, ok := x.state.Value(e.ID()); ok && v != nil {
		value = written(v)
	}
	x.steps = append(x.steps, Step{depth, text, value})
	if e.Kind() != ast.CallKind || value == "not needed" {
		return
	}
	call := e.AsCall()
	switch call.FunctionName() {
	case operators.LogicalAnd, operators.LogicalOr, operators.LogicalNot, operators.Conditional,
		operators.Equals, operators.NotEquals, operators.Less, operators.LessEquals, operators.Greater, operators.GreaterEquals, operators.In:
		for _, arg := range call.Args() {
			x.add(arg, depth+1)
		}
	default:
		if call.IsMemberFunction() {
			x.add(call.Target(), depth+1)
		}
		for _, arg := range call.Args() {
			x.add(arg, depth+1)
		}
	}
}

// written is a value as the language writes it.
func written(v ref.Val) string {
	switch x := v.(type) {
	case *types.Unknown:
		return unknownError(x).Error()
	case *types.Err:
		return "error: " + x.Error()
	case *record:
		return x.kind.name + " …"
	}
	plain := Value{v}.Native()
	text, err := json.Marshal(plain)
	if err != nil {
		text = []byte(fmt.Sprint(plain))
	}
	if len(text) > maxShown {
		return strings.ToValidUTF8(string(text[:maxShown]), "") + "…"
	}
	return string(text)
}
