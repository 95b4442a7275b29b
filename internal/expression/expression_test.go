package expression

import (
	"errors"
	"fmt"
	"reflect"
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
		{"object.spec &&\n  objct.x", Bool, `2:3: "objct" is not known here; did you mean "object"?`},
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

type thing struct {
	Name   string            `json:"name"`
	Level  seawallLevel      `json:"level"`
	Flag   *bool             `json:"flag"`
	Inner  *thing            `json:"inner"`
	Parts  []thing           `json:"parts"`
	Labels map[string]string `json:"labels"`
	Signer string            `json:"signer" cel:"unknown"`
	Hidden string            `json:"-"`
}

type seawallLevel int

func (l seawallLevel) MarshalText() ([]byte, error) { return []byte([]string{"low", "high"}[l]), nil }

// TestRecords: fields of structs are checked when compiling, and what nobody knows
// only matters where the result hangs on it.
func TestRecords(t *testing.T) {
	e, err := NewTyped([]Variable{{"thing", reflect.TypeFor[thing]()}, {"other", nil}})
	if err != nil {
		t.Fatal(err)
	}
	yes := true
	in := e.Input()
	in.Set("thing", &thing{Name: "a", Level: 1, Parts: []thing{{Name: "p", Flag: &yes}}, Labels: map[string]string{"k": "v"}})
	in.Set("other", Unknown("other"))
	tests := []struct{ text, want string }{
		{`thing.name == "a" && thing.level == "high" && thing.labels.k == "v"`, "true"},
		{`thing.inner.inner.name == "" && !has(thing.inner)`, "true"},
		{`thing.parts.exists(p, p.flag && p.name == "p")`, "true"},
		{`dyn(thing).name == "a" && has(thing.name) && dyn([thing])[0].parts.size() == 1`, "true"},
		{`thing.flag`, "not known here: thing.flag"},
		{`has(thing.flag)`, "false"},
		{`!thing.flag || thing.signer == "x"`, "not known here: thing.flag, thing.signer"},
		{`thing.flag && thing.name == "b"`, "false"},
		{`thing.name == "a" || thing.inner.flag`, "true"},
		{`other.spec.x.startsWith("a")`, "not known here: other"},
		{`other.list.exists(x, x == 1)`, "not known here: other"},
		{`thing.nam == "a"`, `1:6: there is no field "nam" here; did you mean "name"?`},
		{`thing.parts.all(p, p.Hidden == "")`, `1:21: there is no field "Hidden" here`},
		{`thing.name == 1`, `1:12: found no matching overload`},
	}
	for _, tc := range tests {
		got := ""
		if p, err := e.Compile(tc.text, Bool); err != nil {
			got = err.Error()
		} else if v, err := p.Bool(in); err != nil {
			got = err.Error()
		} else {
			got = fmt.Sprint(v)
		}
		if !strings.HasPrefix(got, tc.want) {
			t.Errorf("%s: %s, want %s", tc.text, got, tc.want)
		}
	}
}

// TestExtend: a variable that is an expression has its type and is forgotten when the input changes.
func TestExtend(t *testing.T) {
	e, err := NewTyped([]Variable{{"thing", reflect.TypeFor[thing]()}})
	if err != nil {
		t.Fatal(err)
	}
	twice, err := e.Compile("thing.name + thing.name", Any)
	if err != nil {
		t.Fatal(err)
	}
	if e, err = e.Extend("variables.twice", twice); err != nil {
		t.Fatal(err)
	}
	if _, err := e.Compile("variables.twice == 1", Bool); err == nil || !strings.Contains(err.Error(), "no matching overload") {
		t.Errorf("a wrong type: %v", err)
	}
	if _, err := e.Compile("variables.thrice", Any); err == nil || !strings.Contains(err.Error(), "there are variables.twice") {
		t.Errorf("an unknown one: %v", err)
	}
	p, err := e.Compile("variables.twice", String)
	if err != nil {
		t.Fatal(err)
	}
	in := e.Input()
	for _, name := range []string{"a", "b"} {
		in.Set("thing", &thing{Name: name})
		if got, err := p.String(in); err != nil || got != name+name {
			t.Errorf("%q, %v", got, err)
		}
	}
	steps, err := e.Explain(`thing.name == "x" && variables.twice == "bb" || !(variables.twice != "bb")`, in)
	if err != nil {
		t.Fatal(err)
	}
	got := ""
	for _, s := range steps {
		got += fmt.Sprintf("%d %s -> %s\n", s.Depth, s.Text, s.Value)
	}
	want := `0 thing.name == "x" && variables.twice == "bb" || !(variables.twice != "bb") -> true
1 thing.name == "x" && variables.twice == "bb" -> false
2 thing.name == "x" -> false
3 thing.name -> "b"
2 variables.twice == "bb" -> not needed
1 !(variables.twice != "bb") -> true
2 variables.twice != "bb" -> false
3 variables.twice -> "bb"
`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestGuard: what must be so for a condition to be true, and nothing more.
func TestGuard(t *testing.T) {
	env, err := New([]string{"f", "g"})
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string][]string{
		`f.kind == "a"`:            {"a"},
		`"a" == f.kind && f.x > 1`: {"a"},
		`f.x > 1 && (f.kind == "a" || f.kind in ["b", "c"])`:         {"a", "b", "c"},
		`f.kind in ["a", "b"] && f.kind in ["b", "c"] && g.y`:        {"b"},
		`f.kind == "a" && f.kind == "b"`:                             {},
		`(f.kind == "a" && f.x) || (f.kind == "b" && !f.x)`:          {"a", "b"},
		`f.kind == "a" || f.x`:                                       nil,
		`!(f.kind == "a")`:                                           nil,
		`f.kind != "a"`:                                              nil,
		`f.kind == g.kind`:                                           nil,
		`f.kind in ["a", g.kind]`:                                    nil,
		`f.kind in f.kinds`:                                          nil,
		`f.kind == "a" ? f.x : true`:                                 nil,
		`f.deep.kind == "a" && g.kind == "b"`:                        nil,
		`f.kind && f.x > 1`:                                          {"true"},
		`f.kind && f.kind == "a"`:                                    {},
		`f.list.exists(kind, kind == "a")`:                           nil,
		`has(f.kind) && f.kind == "a"`:                               {"a"},
		`f.kinds.exists(k, k == "z") && f.kind == "a" && g.x == "q"`: {"a"},
	} {
		p, err := env.Compile(text, Bool)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, p.Guard("f.kind")); diff != "" {
			t.Errorf("%s: %s", text, diff)
		}
	}
}

func TestFields(t *testing.T) {
	env, err := New([]string{"f", "g"})
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{
		`f.b.c && f.a == 1 && has(f.d)`:     "[a b d] false",
		`g.a`:                               "[] false",
		`f == g`:                            "[] true",
		`f.?a.orValue(true)`:                "[] true",
		`g.list.exists(x, x == f.a && x.f)`: "[a] false",
	} {
		p, err := env.Compile(text, Bool)
		if err != nil {
			t.Fatal(err)
		}
		fields, whole := p.Fields("f")
		if got := fmt.Sprint(fields, whole); got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
}
