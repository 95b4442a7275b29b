package manifest

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/seawall-security/seawall/internal/seawall"
)

// FuzzDocuments: whatever is read, objects are sound JSON with a kind, their
// lines lie in the text, and what is wrong wraps ErrCorrupt or ErrBound.
func FuzzDocuments(f *testing.F) {
	for _, seed := range []string{
		"apiVersion: v1\nkind: Pod\nmetadata: {name: x}\nspec:\n  containers:\n  - &a {name: b}\n  - *a\n---\n# c\n...\n--- {apiVersion: v1, kind: X}\n",
		"{\"apiVersion\": \"v1\", \"kind\": \"PodList\", \"items\": [{\"metadata\": {\"name\": \"x\"}}]}\n{}",
		"apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: ConfigMap, metadata: {name: y, managedFields: []}}\n",
		"a: &a [x]\nb: &b [*a, *a]\n<<: {c: yes}\n0644: 1_000\n? [k]\n: v\n", "%YAML 1.1\n---\n!!binary aGk=\n", "\xef\xbb\xbfkind: \t\n", "[1]\n", "{", "{a: b}\n---\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if len(text) > 1<<16 {
			return
		}
		lines := bytes.Count(text, []byte("\n")) + 1
		docs, err := split(text)
		check(t, err)
		for i := range docs {
			objects, left, err := docs[i].objects()
			check(t, err)
			if err == nil && len(objects) == 0 && left == 0 && !bytes.Contains(text, []byte("List")) && !bytes.Contains(text, []byte("null")) && !bytes.Contains(text, []byte("~")) {
				if out, _ := docs[i].toJSON(); strings.TrimSpace(string(out)) != "null" {
					t.Errorf("%q is neither an object nor left out", docs[i].text)
				}
			}
			for _, o := range objects {
				if !json.Valid(o.JSON) || o.Kind == "" || o.APIVersion == "" {
					t.Errorf("object %+v: %q", o, o.JSON)
				}
				for _, field := range []string{"", "metadata.name", "spec.containers[1].name", "x[", `a["b`} {
					if line := o.Location(field).Line; line < 1 || line > lines {
						t.Errorf("%q is on line %d of %d", field, line, lines)
					}
				}
			}
		}
	})
}

func check(t *testing.T, err error) {
	t.Helper()
	if err == nil {
		return
	}
	var p *placed
	if !errors.Is(err, seawall.ErrCorrupt) && !errors.Is(err, seawall.ErrBound) || !errors.As(err, &p) || p.line < 1 {
		t.Errorf("error %v", err)
	}
}

// FuzzAlign: every rendered line has a line of the template.
func FuzzAlign(f *testing.F) {
	f.Add("a:\n{{- range .x }}\n- {{ . }}\n{{- end }}\nb: {{ .y }}z\n", "a:\n- 1\n- 2\nb: 3z\n")
	f.Add("{{ toYaml . }}\n{{/* x\ny */}}k: v", "k: v\n\nw: {{\n")
	f.Add("", "a")
	f.Fuzz(func(t *testing.T, template, rendered string) {
		if len(template) > 1<<12 || len(rendered) > 1<<12 {
			return
		}
		lines := align(template, rendered)
		if want := strings.Count(rendered, "\n"); len(lines) != want && len(lines) != want+1 {
			t.Errorf("%d lines for %q", len(lines), rendered)
		}
		for _, l := range lines {
			if l < 1 || l > strings.Count(template, "\n")+1 {
				t.Errorf("line %d of %q", l, template)
			}
		}
	})
}
