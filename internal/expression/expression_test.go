package expression

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func environment(t testing.TB) *Environment {
	t.Helper()
	e, err := New([]string{"object", "item", "items"},
		Function{Name: "twice", Arguments: 1, Call: func(args []any) (any, error) { return fmt.Sprint(args[0], args[0]), nil }},
		Function{Name: "lookup", Context: "items", Arguments: 1, Call: func(args []any) (any, error) {
			if v, ok := args[0].(map[string]any)[args[1].(string)]; ok {
				return v, nil
			}
			return nil, errors.New("nothing there")
		}})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestEval(t *testing.T) {
	e := environment(t)
	in := e.Input()
	in.Set("object", map[string]any{
		"spec": map[string]any{"ports": []any{map[string]any{"port": int64(80)}, map[string]any{"port": int64(8443)}}, "share": 0.5},
	})
	in.Set("items", map[string]any{"a": int64(7)})
	tests := []struct {
		text string
		want any
		err  string
	}{
		{`object.spec.ports.exists(p, p.port < 1024)`, true, ""},
		{`object.spec.ports.map(p, p.port)`, []any{int64(80), int64(8443)}, ""},
		{`object.?spec.?hostNetwork.orValue(false)`, false, ""},
		{`object.spec[?"nothing"].hasValue()`, false, ""},
		{`object.spec.nothing`, nil, "no such key: nothing"},
		{`object.spec.share < 1`, true, ""},
		{`item == null`, true, ""},
		{`twice("ab")`, "abab", ""},
		{`lookup("a") + 1`, int64(8), ""},
		{`lookup("b")`, nil, "nothing there"},
		{`{"a": {"b": [1, null, {"c": true}]}}`, map[string]any{"a": map[string]any{"b": []any{int64(1), nil, map[string]any{"c": true}}}}, ""},
		{`quantity("1.5Gi").isGreaterThan(quantity("1500M"))`, true, ""},
		{`quantity("100m").compareTo(quantity("0.1"))`, int64(0), ""},
		{`quantity("100m") == quantity("0.1")`, true, ""},
		{`quantity("2e3").asInteger()`, int64(2000), ""},
		{`quantity("1E").compareTo(quantity("1e18"))`, int64(0), ""},
		{`quantity("1").add(quantity("1")).sub(quantity("500m")).asApproximateFloat()`, 1.5, ""},
		{`quantity("100m").asInteger()`, nil, "no integer"},
		{`["", "x", "1 ", "1e99999", "0x10", "1/2", "5mm", "Gi", "1Zi"].exists(q, isQuantity(q))`, false, ""},
		{`quantity("x").sign()`, nil, `"x" is no quantity`},
		{`semver("1.29.0-rc.2").isLessThan(semver("v1.29.0-rc.11"))`, true, ""},
		{`semver("1.29.0").isGreaterThan(semver("1.29.0-rc.1"))`, true, ""},
		{`semver("1.36+build").minor()`, int64(36), ""},
		{`["1.x", "", "1.2.3.4", "v"].exists(v, isSemver(v))`, false, ""},
		{`isIP("::1") && !isIP("1.2.3") && isCIDR("10.0.0.0/8") && cidrContains("10.0.0.0/8", "10.1.2.3") && !cidrContains("10.0.0.0/8", "11.0.0.1")`, true, ""},
		{`"docker.io/library/nginx".glob("docker.io/*/nginx") && !"docker.io/a/b/nginx".glob("docker.io/*/nginx")`, true, ""},
		{`"a".glob("[")`, nil, "glob"},
		{`sets.contains(["a", "b"], ["a"]) && ["b", "a"].sort() == ["a", "b"] && math.greatest(1, 2) == 2 && "a,b".split(",").size() == 2`, true, ""},
		{`image("registry.example:5000/a/b:1.2@sha256:0f")`, map[string]any{"registry": "registry.example:5000", "repository": "a/b", "tag": "1.2", "digest": "sha256:0f"}, ""},
		{`image("nginx")`, map[string]any{"registry": "", "repository": "nginx", "tag": "", "digest": ""}, ""},
		{`image("bitnami/redis:7").repository + image("localhost/x").registry`, "bitnami/redislocalhost", ""},
		{`cel.bind(x, 3, x * x)`, int64(9), ""},
		{`object.spec.ports.all(i, p, i < 2 && p.port > 0)`, true, ""},
	}
	for _, tc := range tests {
		p, err := e.Compile(tc.text, Any)
		if err != nil {
			t.Errorf("%s: %v", tc.text, err)
			continue
		}
		got, err := p.Eval(in)
		switch {
		case tc.err != "":
			if err == nil || !strings.Contains(err.Error(), tc.err) {
				t.Errorf("%s: error %v, want %q", tc.text, err, tc.err)
			}
		case err != nil:
			t.Errorf("%s: %v", tc.text, err)
		default:
			if diff := cmp.Diff(tc.want, got.Native()); diff != "" {
				t.Errorf("%s: %s", tc.text, diff)
			}
		}
	}
}

func TestCompileErrors(t *testing.T) {
	e := environment(t)
	tests := []struct {
		text string
		want Type
		err  string
	}{
		{"object.spec &&\n  objct.x", Bool, `2:3: "objct" is not known here`},
		{"Object.spec == 1", Bool, `1:1: "Object" is not known here; did you mean "object"?`},
		{"1 +", Bool, "1:4: Syntax error"},
		{"1 + 1", Bool, "1:1: the expression gives int, wanted a bool"},
		{"'a'", List, "1:1: the expression gives string, wanted a list"},
		{"object.nothing(1)", Any, `1:15: "nothing" is not known here`},
		{strings.Repeat("1+", 15000) + "1", Any, "1:1: expression code point size exceeds limit"},
		{strings.Repeat("(", 400) + strings.Repeat(")", 400), Any, "1:"},
	}
	for _, tc := range tests {
		_, err := e.Compile(tc.text, tc.want)
		var mistake *Error
		if !errors.As(err, &mistake) || !strings.HasPrefix(err.Error(), tc.err) {
			t.Errorf("%.40s: error %v, want %s", tc.text, err, tc.err)
		}
	}
}

// TestDynamicResult: what only turns out to be of another type while evaluating is an error then.
func TestDynamicResult(t *testing.T) {
	e := environment(t)
	in := e.Input()
	in.Set("object", map[string]any{"a": "text"})
	for _, want := range []Type{Bool, List, Map} {
		p, err := e.Compile("object.a", want)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.Eval(in); err == nil || !strings.Contains(err.Error(), "the expression gave string, wanted "+want.String()) {
			t.Errorf("%s: %v", want, err)
		}
	}
}

// TestSteps: an expression that would run for hours ends with an error.
func TestSteps(t *testing.T) {
	e := environment(t)
	p, err := e.Compile("items.all(a, items.all(b, items.all(c, items.all(d, a + b + c + d >= 0))))", Bool)
	if err != nil {
		t.Fatal(err)
	}
	in := e.Input()
	many := make([]any, 1000)
	for i := range many {
		many[i] = int64(i)
	}
	in.Set("items", many)
	if _, err := p.Bool(in); !errors.Is(err, ErrSteps) {
		t.Errorf("error %v", err)
	}
	in.Set("items", many[:10])
	if ok, err := p.Bool(in); err != nil || !ok {
		t.Errorf("after it: %v, %v", ok, err)
	}
}

func FuzzCompile(f *testing.F) {
	e := environment(f)
	in := e.Input()
	in.Set("object", map[string]any{"a": []any{int64(1), "b", nil, 2.5}})
	for _, seed := range []string{`object.a.exists(x, x == 1)`, `quantity("1Gi").sign()`, `semver("1.2.3").major() > 0`, `"a".glob("*")`, `cel.bind(x, object, x.?a)`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p, err := e.Compile(text, Any)
		if (p == nil) == (err == nil) {
			t.Fatalf("program %v, error %v", p, err)
		}
		var mistake *Error
		if err != nil && !errors.As(err, &mistake) {
			t.Fatalf("error without a place: %v", err)
		}
		if p != nil {
			if v, err := p.Eval(in); err == nil {
				v.Native()
			}
		}
	})
}

func BenchmarkEval(b *testing.B) {
	e := environment(b)
	in := e.Input()
	for _, tc := range []struct{ name, text string }{
		{"field", `object.?securityContext.?privileged.orValue(false) == false`},
		{"list", `object.containers.all(c, !(c.?securityContext.?privileged.orValue(false)))`},
	} {
		p, err := e.Compile(tc.text, Bool)
		if err != nil {
			b.Fatal(err)
		}
		in.Set("object", map[string]any{
			"securityContext": map[string]any{"privileged": false},
			"containers":      []any{map[string]any{"name": "a"}, map[string]any{"name": "b", "securityContext": map[string]any{}}},
		})
		b.Run(tc.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := p.Bool(in); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
