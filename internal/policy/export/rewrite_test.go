package export

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestMentions: facts are found where an expression names them, and not what it binds.
func TestMentions(t *testing.T) {
	for text, want := range map[string]string{
		`workload.pod[?f].orValue(false)`:                                   `<workload.pod>[?<f>].orValue(false)`,
		`x.filter(image, image.tag == "latest" && object.kind == "image")`:  `<x>.filter(image, image.tag == "latest" && <object>.kind == "image")`,
		`has(image.digest) || !has(object.spec.?a.b)`:                       `has(<image>.digest) || !has(<object>.spec.?a.b)`,
		`variables.a + variables . b + {"k": image.?tag}`:                   `<variables.a> + <variables> . b + {"k": <image>.?tag}`,
		`a.all(i, v, i < v && "ü" != workload.name)`:                        `<a>.all(i, v, i < v && "ü" != <workload.name>)`,
		`cel.bind(image, object.image, image + image.x) + image`:            `cel.bind(image, <object>.image, image + image.x) + <image>`,
		"object\n  .spec // object\n  .map(object, object.a)":               "<object>\n  .spec // object\n  .map(object, object.a)",
		`optional.of(request).optMap(r, r.name + object.name).orValue("a")`: `<optional>.of(<request>).optMap(r, r.name + <object>.name).orValue("a")`,
	} {
		got, err := rewrite(text, func(m mention) (string, error) { return "<" + m.name + ">", nil })
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	}
}

// FuzzRewrite: an expression whose facts are replaced by themselves is itself.
func FuzzRewrite(f *testing.F) {
	for _, text := range []string{`has(image.digest)`, `variables.a.exists(x, x.?y.orValue(1) > 2)`, "a . b\n+ `c`.d", `[1, {"a": b}].map(c, T{d: e})`} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 2000 {
			return
		}
		got, err := rewrite(text, func(m mention) (string, error) { return m.name, nil })
		if err == nil && got != text && !strings.ContainsRune(text, '\uFFFD') {
			t.Errorf("%q became %q", text, got)
		}
	})
}
