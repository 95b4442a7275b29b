// Package expression is the language of conditions in controls and policies:
// CEL (https://github.com/google/cel-spec), with one set of functions everywhere.
//
//	text -> Environment.Compile -> Program -> Program.Bool(Input) -> bool or error
//
// Beside the standard functions and macros there are, from the extensions of
// cel-go: optionals (a.?b.orValue(c), a[?"b"]), strings, lists, sets, math,
// base64, regex, cel.bind and comprehensions with two variables; as in Kubernetes:
// quantity, semver, isIP, isCIDR; and glob, cidrContains and image (a name's parts). Functions of a caller's own are added
// by name. No type of cel-go is in this package's interface.
//
// Variables may be of any type, or declared with a Go type (Variable): then an
// unknown field is a mistake of the text. A fact that nobody knows (Unknown, a nil
// pointer to a number, text or bool) is carried through: what depends on it comes
// to an *UnknownError, what does not comes to its value, as false && unknown does.
//
// Costs are bounded: a text by its size, an evaluation by the steps of its
// comprehensions (Steps). Nothing is compiled before it is asked for.
package expression

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"reflect"
	"slices"
	"strings"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common"
	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/common/types/traits"
	"github.com/google/cel-go/ext"
	"github.com/google/cel-go/interpreter"

	"github.com/seawall-security/seawall/internal/expression/nearest"
)

// Steps is how many steps of comprehensions one evaluation may take.
const Steps = 2_000_000

// maxText bounds an expression, in characters.
const maxText = 20_000

// ErrSteps is wrapped by the error of an evaluation that took more than Steps.
var ErrSteps = errors.New("the expression takes too many steps")

// Type is what an expression must come to.
type Type int

// The types of results. An expression whose type is only known when it is
// evaluated compiles as any of them.
const (
	Any Type = iota
	Bool
	String
	List
	Map
)

func (t Type) String() string {
	return [...]string{"a value", "a bool", "a string", "a list", "a map"}[t]
}

func (t Type) allows(k types.Kind) bool {
	want := [...]types.Kind{types.DynKind, types.BoolKind, types.StringKind, types.ListKind, types.MapKind}[t]
	return t == Any || k == want || k == types.DynKind || k == types.AnyKind
}

// Function is a function beyond the language's. Context functions get the value
// of the input's variable Context as their first argument, unseen by the text.
type Function struct {
	Name string
	// Context names a variable of the environment; "" for a plain function.
	Context string
	// Arguments is how many the text passes.
	Arguments int
	// Call gets plain Go values (see Value.Native) and returns one, or an error.
	Call func(args []any) (any, error)
}

// Environment is what expressions may use. It is safe for concurrent use.
type Environment struct {
	env       *cel.Env
	variables map[string]int
	records   *records
	// lazy are variables that are expressions themselves, by their index; nil for others.
	lazy []cel.Program
}

// Variable is one that expressions may name. Type is a Go type whose structs are
// known by their json tags: a nil pointer to a struct is an empty one, a nil pointer
// to anything else is unknown, and so is a zero field tagged cel:"unknown". A nil
// Type is any value.
type Variable struct {
	Name string
	Type reflect.Type
}

// New makes an environment with variables, all of any type, and functions.
func New(variables []string, functions ...Function) (*Environment, error) {
	declared := make([]Variable, len(variables))
	for i, name := range variables {
		declared[i].Name = name
	}
	return NewTyped(declared, functions...)
}

// NewTyped makes an environment with variables of declared types, and functions.
func NewTyped(variables []Variable, functions ...Function) (*Environment, error) {
	known, err := newRecords()
	if err != nil {
		return nil, fmt.Errorf("setting up expressions: %w", err)
	}
	e := &Environment{variables: make(map[string]int, len(variables)), records: known, lazy: make([]cel.Program, len(variables))}
	options := []cel.EnvOption{
		cel.CustomTypeProvider(known),
		cel.OptionalTypes(), ext.Strings(), ext.Lists(), ext.Sets(), ext.Math(), ext.Encoders(), ext.Regex(),
		ext.Bindings(), ext.TwoVarComprehensions(), cel.DefaultUTCTimeZone(true), cel.CrossTypeNumericComparisons(true),
		cel.ParserExpressionSizeLimit(maxText),
	}
	for i, v := range variables {
		e.variables[v.Name] = i
		kind := cel.DynType
		if v.Type != nil {
			kind, _ = known.conversion(v.Type)
		}
		options = append(options, cel.Variable(v.Name, kind))
	}
	options = append(options, library()...)
	for _, f := range functions {
		options = append(options, f.options()...)
	}
	env, err := cel.NewEnv(options...)
	if err != nil {
		return nil, fmt.Errorf("setting up expressions: %w", err)
	}
	e.env = env
	return e, nil
}

// Extend adds a variable that is what program comes to, evaluated when it is asked
// for. The program is of e or what e was extended from.
func (e *Environment) Extend(name string, program *Program) (*Environment, error) {
	env, err := e.env.Extend(cel.Variable(name, program.out))
	if err != nil {
		return nil, fmt.Errorf("setting up expressions: %w", err)
	}
	out := &Environment{env: env, variables: maps.Clone(e.variables), records: e.records, lazy: append(slices.Clone(e.lazy), program.program)}
	out.variables[name] = len(e.lazy)
	return out, nil
}

// options declare a function. One with a context is a macro that adds the hidden argument.
func (f Function) options() []cel.EnvOption {
	name, n := f.Name, f.Arguments
	var options []cel.EnvOption
	if f.Context != "" {
		name, n = "@"+f.Name, n+1
		options = append(options, cel.Macros(cel.GlobalMacro(f.Name, f.Arguments,
			func(m cel.MacroExprFactory, _ ast.Expr, args []ast.Expr) (ast.Expr, *cel.Error) {
				return m.NewCall(name, append([]ast.Expr{m.NewIdent(f.Context)}, args...)...), nil
			})))
	}
	params := make([]*cel.Type, n)
	for i := range params {
		params[i] = cel.DynType
	}
	call := func(args ...ref.Val) ref.Val {
		plain := make([]any, len(args))
		for i, a := range args {
			plain[i] = Value{a}.Native()
		}
		out, err := f.Call(plain)
		if err != nil {
			return types.WrapErr(err)
		}
		return Plain(out).v
	}
	return append(options, cel.Function(name, cel.Overload(strings.TrimPrefix(name, "@")+"_call", params, cel.DynType, cel.FunctionBinding(call))))
}

// Error is a mistake in an expression's text.
type Error struct {
	// Line and Column count from 1 within the text.
	Line, Column int
	Message      string
}

func (e *Error) Error() string { return fmt.Sprintf("%d:%d: %s", e.Line, e.Column, e.Message) }

// Program is a compiled expression, safe for concurrent use.
type Program struct {
	program cel.Program
	want    Type
	out     *cel.Type
	uses    []string
	// What guard.go found out.
	guards map[string][]string
	fields map[string][]string
	whole  map[string]bool
}

// Uses are the variables that the expression names, sorted.
func (p *Program) Uses() []string { return p.uses }

// Compile checks a text that must come to want. Its error is an *Error, the
// first mistake in the text.
func (e *Environment) Compile(text string, want Type) (*Program, error) {
	checked, issues := e.env.CompileSource(common.NewTextSource(text))
	if issues.Err() != nil {
		first := issues.Errors()[0]
		return nil, &Error{max(first.Location.Line(), 1), max(first.Location.Column()+1, 1), e.suggest(first.Message)}
	}
	if out := checked.OutputType(); !want.allows(out.Kind()) {
		return nil, &Error{1, 1, fmt.Sprintf("the expression gives %s, wanted %s", out, want)}
	}
	// The input answers whether the steps are used up, so the frequency only has to be set.
	program, err := e.env.Program(checked, cel.EvalOptions(cel.OptOptimize), cel.InterruptCheckFrequency(1))
	if err != nil {
		return nil, &Error{1, 1, err.Error()}
	}
	p := &Program{program: program, want: want, out: checked.OutputType(), uses: e.used(checked)}
	p.analyse(checked.NativeRep().Expr())
	return p, nil
}

// used are the environment's variables that an expression names.
func (e *Environment) used(checked *cel.Ast) []string {
	var names []string
	for _, r := range checked.NativeRep().ReferenceMap() {
		if _, ok := e.variables[r.Name]; ok {
			names = append(names, r.Name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// suggest takes the machinery out of a message of the checker.
func (e *Environment) suggest(message string) string {
	if name, ok := strings.CutPrefix(message, "undefined field '"); ok {
		name = strings.TrimSuffix(name, "'")
		if near := nearest.Word(name, e.records.fieldNames()); near != "" {
			return fmt.Sprintf("there is no field %q here; did you mean %q?", name, near)
		}
		return fmt.Sprintf("there is no field %q here", name)
	}
	name, ok := strings.CutPrefix(message, "undeclared reference to '")
	if !ok {
		return message
	}
	name, _, _ = strings.Cut(name, "'")
	var own []string
	for v := range e.variables {
		if strings.HasPrefix(v, name+".") {
			own = append(own, v)
		}
	}
	if len(own) > 0 {
		slices.Sort(own)
		return fmt.Sprintf("%q is not known here in this form; there are %s", name, strings.Join(own, ", "))
	}
	if near := nearest.Word(name, slices.Sorted(maps.Keys(e.variables))); near != "" {
		return fmt.Sprintf("%q is not known here; did you mean %q?", name, near)
	}
	return fmt.Sprintf("%q is not known here", name)
}

// Input is the values of an environment's variables for one evaluation after
// another. It is used by one goroutine at a time.
type Input struct {
	values  activation
	records *records
}

// Input makes one, with every variable null.
func (e *Environment) Input() *Input {
	in := &Input{activation{names: e.variables, values: make([]ref.Val, len(e.variables)), lazy: e.lazy}, e.records}
	for i := range in.values.values {
		if e.lazy[i] == nil {
			in.values.values[i] = types.NullValue
		}
	}
	return in
}

// For is an input of an environment that was extended from in's, with the same values.
func (in *Input) For(e *Environment) *Input {
	values := make([]ref.Val, len(e.lazy))
	copy(values, in.values.values)
	for i := range values[:len(in.values.lazy)] {
		if in.values.lazy[i] != nil {
			values[i] = nil
		}
	}
	return &Input{activation{names: e.variables, values: values, lazy: e.lazy}, e.records}
}

// Set gives a variable a plain Go value: nil, bool, a number, string, time.Time,
// []any, map[string]any, map[string]string, a pointer to a struct of a declared
// type, or a Value of these. Nothing is copied.
func (in *Input) Set(name string, v any) {
	i, ok := in.values.names[name]
	if !ok {
		panic("expression: no variable " + name)
	}
	in.values.values[i] = in.records.value(v)
	for j, program := range in.values.lazy {
		if program != nil {
			in.values.values[j] = nil
		}
	}
}

// value is v as the language sees it.
func (r *records) value(v any) ref.Val {
	rv := reflect.ValueOf(v)
	if rv.Kind() == reflect.Pointer && rv.Type().Elem().Kind() == reflect.Struct {
		if rt := r.byName[rv.Type().Elem().Name()]; rt != nil {
			if rv.IsNil() {
				return rt.empty
			}
			return &record{rt, rv.Elem()}
		}
	}
	return Plain(v).v
}

// Unknown is the value of something that nobody knows, by the name people know it by.
func Unknown(name string) Value { return Value{unknown(name)} }

// UnknownError says which facts a result hangs on that nobody knows.
type UnknownError struct{ Facts []string }

func (e *UnknownError) Error() string { return "not known here: " + strings.Join(e.Facts, ", ") }

func unknownError(u *types.Unknown) *UnknownError {
	e := &UnknownError{}
	for _, id := range u.IDs() {
		trails, _ := u.GetAttributeTrails(id)
		for _, t := range trails {
			e.Facts = append(e.Facts, t.String())
		}
	}
	slices.Sort(e.Facts)
	e.Facts = slices.Compact(e.Facts)
	return e
}

// activation is Input as the interpreter sees it.
type activation struct {
	names  map[string]int
	values []ref.Val
	lazy   []cel.Program
	steps  int
}

// stepsVariable is what the interpreter asks at every step of a comprehension.
const stepsVariable = "#interrupted"

// ResolveName implements interpreter.Activation.
func (a *activation) ResolveName(name string) (any, bool) {
	if i, ok := a.names[name]; ok {
		if a.values[i] == nil {
			out, _, err := a.lazy[i].Eval(a)
			if err != nil {
				out = types.WrapErr(err)
			}
			a.values[i] = out
		}
		return a.values[i], true
	}
	if name == stepsVariable {
		a.steps++
		return a.steps > Steps, true
	}
	return nil, false
}

// Parent implements interpreter.Activation.
func (a *activation) Parent() interpreter.Activation { return nil }

// Value is an input or result whose other form is only made when asked for.
type Value struct{ v ref.Val }

// Plain is a plain Go value for Input.Set, prepared once for many evaluations.
func Plain(v any) Value {
	if own, ok := v.(Value); ok {
		return own
	}
	return Value{types.DefaultTypeAdapter.NativeToValue(v)}
}

// Opaque is a value that expressions can only hand to functions.
func Opaque(v any) Value { return Value{boxed[any]{opaqueType, v}} }

// Eval evaluates the program. Its error is an *UnknownError where the result hangs
// on facts that nobody knows.
func (p *Program) Eval(in *Input) (Value, error) {
	in.values.steps = 0
	out, _, err := p.program.Eval(&in.values)
	switch {
	case in.values.steps > Steps:
		return Value{}, fmt.Errorf("%w (%d allowed)", ErrSteps, Steps)
	case err != nil:
		return Value{}, err
	case types.IsUnknown(out):
		return Value{}, unknownError(out.(*types.Unknown))
	case !p.want.allows(kindOf(out)):
		return Value{}, fmt.Errorf("the expression gave %s, wanted %s", out.Type().TypeName(), p.want)
	}
	return Value{out}, nil
}

func kindOf(v ref.Val) types.Kind {
	switch v.(type) {
	case types.Bool:
		return types.BoolKind
	case types.String:
		return types.StringKind
	case traits.Lister:
		return types.ListKind
	case traits.Mapper:
		return types.MapKind
	}
	return types.UnspecifiedKind
}

// Bool evaluates a program compiled as Bool.
func (p *Program) Bool(in *Input) (bool, error) {
	v, err := p.Eval(in)
	if err != nil {
		return false, err
	}
	b, ok := v.v.(types.Bool)
	if !ok {
		return false, fmt.Errorf("the expression gave %s, wanted a bool", v.v.Type().TypeName())
	}
	return bool(b), nil
}

// String evaluates a program compiled as String.
func (p *Program) String(in *Input) (string, error) {
	v, err := p.Eval(in)
	if err != nil {
		return "", err
	}
	s, ok := v.v.(types.String)
	if !ok {
		return "", fmt.Errorf("the expression gave %s, wanted a string", v.v.Type().TypeName())
	}
	return string(s), nil
}

// List evaluates a program compiled as List.
func (p *Program) List(in *Input) ([]Value, error) {
	v, err := p.Eval(in)
	if err != nil {
		return nil, err
	}
	list, ok := v.v.(traits.Lister)
	if !ok {
		return nil, fmt.Errorf("the expression gave %s, wanted a list", v.v.Type().TypeName())
	}
	var values []Value
	for it := list.Iterator(); it.HasNext() == types.True; {
		values = append(values, Value{it.Next()})
	}
	return values, nil
}

// Native returns the value as plain Go: nil, bool, int64, uint64, float64,
// string, []byte, time.Time, time.Duration, []any, map[string]any. A map or list
// that came from an input comes back as it was given and must not be changed.
func (v Value) Native() any {
	switch x := v.v.(type) {
	case nil, types.Null:
		return nil
	case *types.Optional:
		if !x.HasValue() {
			return nil
		}
		return Value{x.GetValue()}.Native()
	case traits.Lister:
		if plain, ok := x.Value().([]any); ok {
			return plain
		}
		out := make([]any, 0, 4)
		for it := x.Iterator(); it.HasNext() == types.True; {
			out = append(out, Value{it.Next()}.Native())
		}
		return out
	case traits.Mapper:
		if plain, ok := x.Value().(map[string]any); ok {
			return plain
		}
		out := map[string]any{}
		for it := x.Iterator(); it.HasNext() == types.True; {
			k := it.Next()
			out[fmt.Sprint(k.Value())] = Value{x.Get(k)}.Native()
		}
		return out
	case types.Double:
		if f := float64(x); f == math.Trunc(f) && math.Abs(f) < 1<<53 {
			return int64(f)
		}
		return float64(x)
	}
	return v.v.Value()
}
