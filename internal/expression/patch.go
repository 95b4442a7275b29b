package expression

import (
	"fmt"
	"reflect"
	"strings"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/common/types/traits"
)

// Patch says what kind of patch an expression writes, as in MutatingAdmissionPolicy
// (https://kubernetes.io/docs/reference/access-authn-authz/mutating-admission-policy/).
type Patch int

// The kinds of patch: the fields to set, Object{spec: Object.spec{...}}, and a list
// of operations, [JSONPatch{op: "add", path: "/metadata/labels/a", value: "b"}].
const (
	Configuration Patch = iota
	JSONPatch
)

// CompilePatch checks a text that must come to a patch. Its values are a map of the
// fields, or a list of maps with op, path, from and value. Its error is an *Error.
func (e *Environment) CompilePatch(text string, kind Patch) (*Program, error) {
	env, err := e.env.Extend(cel.CustomTypeProvider(patchTypes{e.records}),
		cel.Function("jsonpatch.escapeKey", cel.Overload("string_jsonpatch_escape_key", []*cel.Type{cel.StringType}, cel.StringType,
			cel.UnaryBinding(func(v ref.Val) ref.Val {
				return types.String(strings.NewReplacer("~", "~0", "/", "~1").Replace(string(v.(types.String))))
			}))))
	if err != nil {
		return nil, fmt.Errorf("setting up expressions: %w", err)
	}
	patches := *e
	patches.env = env
	program, err := patches.Compile(text, Any)
	if err != nil {
		return nil, err
	}
	want := cel.ObjectType(objectName)
	if kind == JSONPatch {
		want = cel.ListType(cel.ObjectType(patchName))
	}
	if !want.IsAssignableType(program.out) {
		return nil, &Error{1, 1, fmt.Sprintf("the expression gives %s, wanted %s", program.out, want)}
	}
	return program, nil
}

const (
	objectName = "Object"
	patchName  = "JSONPatch"
)

// patchTypes are the types that patches are written with: JSONPatch, and Object with
// one for every path below it, whose fields may have any name and value.
type patchTypes struct{ *records }

// patchFields are JSONPatch's.
func patchFields() map[string]*types.Type {
	return map[string]*types.Type{"op": types.StringType, "path": types.StringType, "from": types.StringType, "value": types.DynType}
}

func isObject(name string) bool {
	return name == objectName || strings.HasPrefix(name, objectName+".")
}

// FindStructType implements types.Provider.
func (p patchTypes) FindStructType(name string) (*types.Type, bool) {
	if isObject(name) || name == patchName {
		return types.NewTypeTypeWithParam(types.NewObjectType(name)), true
	}
	return p.records.FindStructType(name)
}

// FindStructFieldType implements types.Provider.
func (p patchTypes) FindStructFieldType(name, field string) (*types.FieldType, bool) {
	kind := types.DynType
	switch {
	case name == patchName:
		if kind = patchFields()[field]; kind == nil {
			return nil, false
		}
	case !isObject(name):
		return p.records.FindStructFieldType(name, field)
	}
	return &types.FieldType{
		Type:    kind,
		IsSet:   func(any) bool { return false }, // patches are written, not read
		GetFrom: func(any) (any, error) { return nil, fmt.Errorf("no such key: %s", field) },
	}, true
}

// NewValue implements types.Provider.
func (p patchTypes) NewValue(name string, fields map[string]ref.Val) ref.Val {
	if !isObject(name) && name != patchName {
		return p.records.NewValue(name, fields)
	}
	plain := make(map[string]any, len(fields))
	for key, v := range fields {
		if optional, ok := v.(*types.Optional); ok && !optional.HasValue() {
			continue
		}
		if want := name + "." + key; isObject(name) {
			if got, bad := misplaced(v, want); bad {
				return types.NewErr("%s is set to %s; it wants %s{}", want, got, want)
			}
		}
		plain[key] = Value{v}.Native()
	}
	return &patchValue{name, plain}
}

// misplaced says whether a value, or an element of it, is an Object of another path.
func misplaced(v ref.Val, want string) (string, bool) {
	switch v := v.(type) {
	case *patchValue:
		return v.name, v.name != want
	case *types.Optional:
		return misplaced(v.GetValue(), want)
	case traits.Lister:
		for it := v.Iterator(); it.HasNext() == types.True; {
			if got, bad := misplaced(it.Next(), want); bad {
				return got, true
			}
		}
	}
	return "", false
}

// patchValue is an Object or a JSONPatch as a value.
type patchValue struct {
	name   string
	fields map[string]any
}

// ConvertToNative implements ref.Val.
func (v *patchValue) ConvertToNative(t reflect.Type) (any, error) {
	return nil, fmt.Errorf("no conversion from %s to %s", v.name, t)
}

// ConvertToType implements ref.Val.
func (v *patchValue) ConvertToType(t ref.Type) ref.Val {
	return types.NewErr("no conversion from %s to %s", v.name, t.TypeName())
}

// Equal implements ref.Val.
func (v *patchValue) Equal(other ref.Val) ref.Val {
	o, ok := other.(*patchValue)
	return types.Bool(ok && o.name == v.name && reflect.DeepEqual(o.fields, v.fields))
}

// Type implements ref.Val.
func (v *patchValue) Type() ref.Type { return types.NewObjectType(v.name) }

// Value implements ref.Val.
func (v *patchValue) Value() any { return v.fields }
