package kube

import (
	"fmt"
	"reflect"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apiserver/pkg/cel/openapi/resolver"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/kube-openapi/pkg/validation/spec"
)

// schemas are the schemas of the built-in kinds, from their Go types, for checking what
// expressions say of objects.
type schemas struct{ meta.RESTMapper }

// KindsFor implements the part of meta.RESTMapper that is asked for.
func (schemas) KindsFor(r schema.GroupVersionResource) ([]schema.GroupVersionKind, error) {
	kind := (equivalents{}).KindFor(r, "")
	if kind.Empty() {
		return nil, fmt.Errorf("%s is not built in", r.String())
	}
	return []schema.GroupVersionKind{kind}, nil
}

// ResolveSchema implements resolver.SchemaResolver.
func (schemas) ResolveSchema(kind schema.GroupVersionKind) (*spec.Schema, error) {
	t := scheme.Scheme.KnownTypes(kind.GroupVersion())[kind.Kind]
	if t == nil {
		return nil, fmt.Errorf("%s: %w", kind.String(), resolver.ErrSchemaNotFound)
	}
	return schemaOf(t, nil), nil
}

// schemaOf is the schema of a type's JSON. What holds itself is not looked into.
func schemaOf(t reflect.Type, within []reflect.Type) *spec.Schema {
	switch t {
	case reflect.TypeFor[resource.Quantity](), reflect.TypeFor[intstr.IntOrString]():
		s := &spec.Schema{}
		s.AddExtension("x-kubernetes-int-or-string", true)
		return s
	case reflect.TypeFor[metav1.Time](), reflect.TypeFor[metav1.MicroTime](), reflect.TypeFor[time.Time]():
		return spec.StrFmtProperty("date-time")
	case reflect.TypeFor[metav1.Duration]():
		return spec.StringProperty()
	case reflect.TypeFor[runtime.RawExtension](), reflect.TypeFor[metav1.FieldsV1]():
		return anything()
	}
	switch t.Kind() {
	case reflect.Pointer:
		return schemaOf(t.Elem(), within)
	case reflect.String:
		return spec.StringProperty()
	case reflect.Bool:
		return spec.BoolProperty()
	case reflect.Int32, reflect.Int64, reflect.Int, reflect.Uint32, reflect.Uint64, reflect.Uint8:
		return spec.Int64Property()
	case reflect.Float64:
		return spec.Float64Property()
	case reflect.Map:
		return spec.MapProperty(schemaOf(t.Elem(), within))
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Uint8 {
			return spec.StrFmtProperty("byte")
		}
		return spec.ArrayProperty(schemaOf(t.Elem(), within))
	case reflect.Struct:
		for _, outer := range within {
			if outer == t {
				return anything()
			}
		}
		s := &spec.Schema{SchemaProps: spec.SchemaProps{Type: []string{"object"}, Properties: map[string]spec.Schema{}}}
		fieldsOf(t, append(within, t), s)
		return s
	}
	return anything()
}

func fieldsOf(t reflect.Type, within []reflect.Type, into *spec.Schema) {
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case name == "-" || !f.IsExported():
		case name == "" && f.Anonymous:
			fieldsOf(f.Type, within, into)
		case name != "":
			into.Properties[name] = *schemaOf(f.Type, within)
		}
	}
}

func anything() *spec.Schema {
	s := &spec.Schema{SchemaProps: spec.SchemaProps{Type: []string{"object"}}}
	s.AddExtension("x-kubernetes-preserve-unknown-fields", true)
	return s
}
