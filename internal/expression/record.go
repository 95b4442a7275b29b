package expression

import (
	"encoding"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
)

// records knows Go structs as types of the language: fields by their json tags,
// checked when an expression is compiled and read where they lie when it is evaluated.
type records struct {
	*types.Registry
	byName map[string]*recordType
}

type recordType struct {
	name   string
	fields []recordField
	empty  *record
}

type recordField struct {
	name    string
	index   []int
	kind    *cel.Type
	convert func(reflect.Value) ref.Val
	// unknown is the value of a field that is nil or zero and so says nothing; nil
	// where that is a value like another.
	unknown *types.Unknown
}

// record is a struct as a value.
type record struct {
	kind  *recordType
	value reflect.Value
}

func newRecords() (*records, error) {
	registry, err := types.NewRegistry()
	return &records{registry, map[string]*recordType{}}, err
}

// declare makes a struct and all it holds known.
func (r *records) declare(t reflect.Type) *recordType {
	if rt := r.byName[t.Name()]; rt != nil {
		return rt
	}
	rt := &recordType{name: t.Name()}
	rt.empty = &record{rt, reflect.New(t).Elem()}
	r.byName[rt.name] = rt // before its fields: a type may hold itself
	display := strings.ToLower(t.Name()[:1]) + t.Name()[1:]
	for _, f := range reflect.VisibleFields(t) {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "" || name == "-" || !f.IsExported() {
			continue
		}
		field := recordField{name: name, index: f.Index}
		field.kind, field.convert = r.conversion(f.Type)
		scalar := f.Type.Kind() == reflect.Pointer && f.Type.Elem().Kind() != reflect.Struct
		if scalar || f.Tag.Get("cel") == "unknown" {
			field.unknown = unknown(display + "." + name)
		}
		rt.fields = append(rt.fields, field)
	}
	return rt
}

var (
	textMarshaler = reflect.TypeFor[encoding.TextMarshaler]()
	timeType      = reflect.TypeFor[time.Time]()
)

// conversion is a Go type in the language, and how its values get there.
func (r *records) conversion(t reflect.Type) (*cel.Type, func(reflect.Value) ref.Val) {
	switch {
	case t == timeType:
		return cel.TimestampType, func(v reflect.Value) ref.Val { return types.Timestamp{Time: v.Interface().(time.Time)} }
	case t.Implements(textMarshaler):
		return cel.StringType, func(v reflect.Value) ref.Val {
			text, err := v.Interface().(encoding.TextMarshaler).MarshalText()
			if err != nil {
				return types.WrapErr(err)
			}
			return types.String(text)
		}
	}
	switch t.Kind() {
	case reflect.String:
		return cel.StringType, func(v reflect.Value) ref.Val { return types.String(v.String()) }
	case reflect.Bool:
		return cel.BoolType, func(v reflect.Value) ref.Val { return types.Bool(v.Bool()) }
	case reflect.Int, reflect.Int64, reflect.Int32:
		return cel.IntType, func(v reflect.Value) ref.Val { return types.Int(v.Int()) }
	case reflect.Float64:
		return cel.DoubleType, func(v reflect.Value) ref.Val { return types.Double(v.Float()) }
	case reflect.Pointer:
		return r.pointer(t)
	case reflect.Struct:
		rt := r.declare(t)
		return cel.ObjectType(rt.name), func(v reflect.Value) ref.Val { return &record{rt, v} }
	case reflect.Slice:
		return r.slice(t)
	case reflect.Map:
		if t.Elem().Kind() == reflect.String {
			return cel.MapType(cel.StringType, cel.StringType), native
		}
		return cel.MapType(cel.StringType, cel.DynType), native
	}
	return cel.DynType, native
}

func native(v reflect.Value) ref.Val { return types.DefaultTypeAdapter.NativeToValue(v.Interface()) }

// pointer: a nil struct reads as an empty one, so that conditions need not ask first.
func (r *records) pointer(t reflect.Type) (*cel.Type, func(reflect.Value) ref.Val) {
	kind, convert := r.conversion(t.Elem())
	if t.Elem().Kind() == reflect.Struct && t.Elem() != timeType {
		rt := r.declare(t.Elem())
		return kind, func(v reflect.Value) ref.Val {
			if v.IsNil() {
				return rt.empty
			}
			return &record{rt, v.Elem()}
		}
	}
	return kind, func(v reflect.Value) ref.Val { return convert(v.Elem()) } // nil ones are unknown
}

func (r *records) slice(t reflect.Type) (*cel.Type, func(reflect.Value) ref.Val) {
	switch t.Elem().Kind() {
	case reflect.String:
		if t.Elem() == reflect.TypeFor[string]() {
			return cel.ListType(cel.StringType), func(v reflect.Value) ref.Val {
				return types.NewStringList(types.DefaultTypeAdapter, v.Interface().([]string))
			}
		}
	case reflect.Uint8: // raw JSON
		return cel.DynType, func(reflect.Value) ref.Val { return types.NullValue }
	case reflect.Interface:
		return cel.ListType(cel.DynType), native
	}
	kind, convert := r.conversion(t.Elem())
	return cel.ListType(kind), func(v reflect.Value) ref.Val {
		list := make([]ref.Val, v.Len())
		for i := range list {
			list[i] = convert(v.Index(i))
		}
		return types.NewRefValList(types.DefaultTypeAdapter, list)
	}
}

// FindStructType implements types.Provider.
func (r *records) FindStructType(name string) (*types.Type, bool) {
	if r.byName[name] != nil {
		return types.NewTypeTypeWithParam(types.NewObjectType(name)), true
	}
	return r.Registry.FindStructType(name)
}

// FindStructFieldNames implements types.Provider.
func (r *records) FindStructFieldNames(name string) ([]string, bool) {
	rt := r.byName[name]
	if rt == nil {
		return r.Registry.FindStructFieldNames(name)
	}
	var names []string
	for i := range rt.fields {
		names = append(names, rt.fields[i].name)
	}
	return names, true
}

// FindStructFieldType implements types.Provider.
func (r *records) FindStructFieldType(name, field string) (*types.FieldType, bool) {
	rt := r.byName[name]
	if rt == nil {
		return r.Registry.FindStructFieldType(name, field)
	}
	f := rt.field(field)
	if f == nil {
		return nil, false
	}
	return &types.FieldType{
		Type: f.kind,
		IsSet: func(target any) bool {
			rec, ok := target.(*record)
			return ok && f.isSet(rec.value)
		},
		GetFrom: func(target any) (any, error) {
			switch target := target.(type) {
			case *record:
				return f.get(target.value), nil
			case *types.Unknown:
				return target, nil
			}
			return nil, fmt.Errorf("no such key: %s", field)
		},
	}, true
}

// fieldNames are those of all records, for suggestions.
func (r *records) fieldNames() []string {
	var names []string
	for _, rt := range r.byName {
		for i := range rt.fields {
			names = append(names, rt.fields[i].name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func (rt *recordType) field(name string) *recordField {
	for i := range rt.fields {
		if rt.fields[i].name == name {
			return &rt.fields[i]
		}
	}
	return nil
}

func (f *recordField) isSet(v reflect.Value) bool { return !v.FieldByIndex(f.index).IsZero() }

func (f *recordField) get(v reflect.Value) ref.Val {
	field := v.FieldByIndex(f.index)
	if f.unknown != nil && field.IsZero() {
		return f.unknown
	}
	return f.convert(field)
}

func unknown(name string) *types.Unknown {
	return types.NewUnknown(0, types.NewAttributeTrail(name))
}

// ConvertToNative implements ref.Val.
func (r *record) ConvertToNative(t reflect.Type) (any, error) {
	return nil, fmt.Errorf("no conversion from %s to %s", r.kind.name, t)
}

// ConvertToType implements ref.Val.
func (r *record) ConvertToType(t ref.Type) ref.Val {
	return types.NewErr("no conversion from %s to %s", r.kind.name, t.TypeName())
}

// Equal implements ref.Val.
func (r *record) Equal(other ref.Val) ref.Val {
	o, ok := other.(*record)
	return types.Bool(ok && o.kind == r.kind && reflect.DeepEqual(r.value.Interface(), o.value.Interface()))
}

// Type implements ref.Val.
func (r *record) Type() ref.Type { return types.NewObjectType(r.kind.name) }

// Value implements ref.Val.
func (r *record) Value() any { return r }

// Get implements traits.Indexer, for records whose type the checker lost.
func (r *record) Get(index ref.Val) ref.Val {
	if name, ok := index.(types.String); ok {
		if f := r.kind.field(string(name)); f != nil {
			return f.get(r.value)
		}
	}
	return types.NewErr("no such key: %v", index)
}

// IsSet implements traits.FieldTester.
func (r *record) IsSet(index ref.Val) ref.Val {
	name, _ := index.(types.String)
	f := r.kind.field(string(name))
	return types.Bool(f != nil && f.isSet(r.value))
}
