package document_test

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"github.com/seawall-security/seawall/internal/advisory/document"
	"github.com/seawall-security/seawall/internal/seawall"
)

func TestKeys(t *testing.T) {
	for text, want := range map[string][]string{
		`{"a": {"b": 1, "c": ["d"]}, "e": "f", "g": [{"h": 1}], "i": null}`: {"a", "e", "g", "i"},
		"\xef\xbb\xbf \n{\"a\\\"b\": 1, \"c\": \"}\"":                       {`a\"b`, "c"},
		`{"a": "cut off, "b`: {"a"},
		`{"a": 1, "unfinis`:  {"a"},
		`[{"a": 1}]`:         nil,
		`{}`:                 nil,
		"a: 1\nb:\n  c: 2\n- d: 3\n# e: 4\nf:\n- g\n\"h\": 5\nhttp://x\n": {"a", "b", "f"},
		"---\r\na: 1\r\nb:\r\n": {"a", "b"},
		"<html>":                nil,
		"":                      nil,
	} {
		if diff := cmp.Diff(want, slices.Collect(document.Keys([]byte(text)))); diff != "" {
			t.Errorf("%q (-want +got):\n%s", text, diff)
		}
	}
	if !document.Has([]byte(`{"a":1,"b":2}`), "b", "a") || document.Has([]byte(`{"a":1,"b":{"c":2}}`), "a", "c") {
		t.Error("Has")
	}
}

func TestDecodeBounds(t *testing.T) {
	bomb := "a: &a [x,x,x,x,x,x,x,x,x]\n"
	for c := 'b'; c <= 'j'; c++ {
		p := string(c - 1)
		bomb += string(c) + ": &" + string(c) + " [" + strings.Repeat("*"+p+",", 8) + "*" + p + "]\n"
	}
	for name, test := range map[string]struct {
		text string
		is   error
	}{
		"too long":    {`{"a":"` + strings.Repeat("x", 1<<20) + `"}`, seawall.ErrBound},
		"deep JSON":   {strings.Repeat(`{"a":`, 20_000), seawall.ErrCorrupt},
		"deep YAML":   {strings.Repeat("[", 20_000), seawall.ErrCorrupt},
		"alias bomb":  {bomb, seawall.ErrCorrupt},
		"blank":       {" \n", seawall.ErrCorrupt},
		"two objects": {`{}{}`, seawall.ErrCorrupt},
	} {
		var v map[string]any
		if err := document.Decode(strings.NewReader(test.text), 1<<20, &v); !errors.Is(err, test.is) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestLooseTypes(t *testing.T) {
	type loose struct {
		Word  document.Word        `json:"word" yaml:"word"`
		Words document.Words       `json:"words" yaml:"words"`
		List  document.List[loose] `json:"list" yaml:"list"`
	}
	for text, want := range map[string]loose{
		`{"word": "a", "words": ["b", 1.50, null, {"c": 1}, "", true], "list": [{"word": "d"}]}`: {
			Word: "a", Words: document.Words{"b", "1.50", "true"}, List: document.List[loose]{{Word: "d"}}},
		`{"word": {"a": 1}, "words": "one", "list": {"a": 1}}`: {Words: document.Words{"one"}},
		`{"word": 7, "words": null, "list": [1, 2]}`:           {Word: "7"},
		`{"word": null, "words": {"a": 1}, "list": "x"}`:       {},
	} {
		var j, y loose
		if err := json.Unmarshal([]byte(text), &j); err != nil {
			t.Errorf("%s: %v", text, err)
		}
		if err := yaml.Unmarshal([]byte(text), &y); err != nil { // JSON is YAML
			t.Errorf("%s: %v", text, err)
		}
		if diff := cmp.Diff(want, j); diff != "" {
			t.Errorf("%s as JSON (-want +got):\n%s", text, diff)
		}
		if diff := cmp.Diff(want, y); diff != "" {
			t.Errorf("%s as YAML (-want +got):\n%s", text, diff)
		}
	}
}

func TestTime(t *testing.T) {
	for in, want := range map[string]string{
		"2024-05-01T10:00:00.123Z":     "2024-05-01T10:00:00Z",
		"2024-05-01T12:00:00+02:00":    "2024-05-01T10:00:00Z",
		"2024-05-01":                   "2024-05-01T00:00:00Z",
		"2024-05-01T10:00Z":            "2024-05-01T10:00:00Z",
		"2024-05-01 10:00:00":          "2024-05-01T10:00:00Z",
		"01 May 2024":                  "2024-05-01T00:00:00Z",
		"0001-01-01T00:00:00Z":         "",
		"yesterday, or the day before": "",
		"":                             "",
	} {
		if got := document.Time(in); got != want {
			t.Errorf("Time(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestCVSS(t *testing.T) {
	for vector, version := range map[string]string{
		"CVSS:3.1/AV:N/AC:L": "3.1", "CVSS:4.0/AV:N": "4.0", "AV:N/AC:L/Au:N/C:P/I:P/A:P": "2.0",
		"CVSS:9.9/AV:N": "", "CVSS:3.1": "", "7.5": "", "": "",
	} {
		c, ok := document.CVSS("x", vector)
		if ok != (version != "") || c.Version != version {
			t.Errorf("%q: %+v, %v", vector, c, ok)
		}
	}
}

// FuzzKeys: of valid JSON objects the keys are those encoding/json sees.
func FuzzKeys(f *testing.F) {
	for _, seed := range []string{`{"a":{"b":[1,"}"]},"c":"\""}`, "a: 1\nb: 2\n", `{"a`, "[[["} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		n := 0
		for range document.Keys(data) {
			n++
		}
		var object map[string]json.RawMessage
		if json.Unmarshal(data, &object) == nil && object != nil && n < len(object) {
			t.Errorf("%d keys of %d in %s", n, len(object), data)
		}
		document.Inside(data)
	})
}
