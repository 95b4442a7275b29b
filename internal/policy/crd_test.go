package policy

import (
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
)

// TestSchemas: the API server and this package know the same fields.
func TestSchemas(t *testing.T) {
	for file, spec := range map[string]reflect.Type{
		"policies.yaml": reflect.TypeFor[policySpec](), "policyexceptions.yaml": reflect.TypeFor[exceptionSpec](),
	} {
		text, err := os.ReadFile("../../deploy/chart/crds/" + file)
		if err != nil {
			t.Fatal(err)
		}
		var crd struct {
			Spec struct {
				Versions []struct {
					Schema struct {
						OpenAPI schema `yaml:"openAPIV3Schema"`
					}
				}
			}
		}
		if err := yaml.Unmarshal(text, &crd); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		var has, want []string
		crd.Spec.Versions[0].Schema.OpenAPI.Properties["spec"].fields("spec", &has)
		fieldsOf(spec, "spec", &want)
		slices.Sort(has)
		slices.Sort(want)
		if diff := cmp.Diff(want, has); diff != "" || len(want) < 8 {
			t.Errorf("%s (-package +schema):\n%s", file, diff)
		}
	}
}

type schema struct {
	Type       string
	Properties map[string]*schema
	Items      *schema
}

func (s *schema) fields(path string, out *[]string) {
	switch {
	case s.Items != nil:
		s.Items.fields(path+"[]", out)
	case len(s.Properties) > 0:
		for name, p := range s.Properties {
			p.fields(path+"."+name, out)
		}
	default:
		*out = append(*out, path+" "+s.Type)
	}
}

func fieldsOf(t reflect.Type, path string, out *[]string) {
	switch t {
	case reflect.TypeFor[Word](), reflect.TypeFor[Text]():
		*out = append(*out, path+" string")
		return
	case reflect.TypeFor[Source]():
		*out = append(*out, path+" ")
		return
	}
	switch t.Kind() {
	case reflect.Pointer:
		fieldsOf(t.Elem(), path, out)
	case reflect.Slice:
		fieldsOf(t.Elem(), path+"[]", out)
	case reflect.Struct:
		for i := range t.NumField() {
			if name := t.Field(i).Tag.Get("yaml"); name != "" {
				fieldsOf(t.Field(i).Type, path+"."+name, out)
			}
		}
	default:
		kind := map[reflect.Kind]string{reflect.Int: "integer", reflect.Bool: "boolean", reflect.Map: "object"}[t.Kind()]
		*out = append(*out, path+" "+strings.TrimSpace(kind+map[bool]string{true: "string"}[t.Kind() == reflect.String]))
	}
}
