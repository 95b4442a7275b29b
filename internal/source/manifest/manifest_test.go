package manifest_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/source/manifest"
)

// write puts files in a fresh working directory.
func write(t *testing.T, files map[string]string) {
	t.Helper()
	t.Chdir(t.TempDir())
	for name, text := range files {
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// read opens paths and returns their objects and the error of Facts.
func read(t *testing.T, o manifest.Options, paths ...string) (*manifest.Target, []*seawall.Object, error) {
	t.Helper()
	target, err := manifest.Open(paths, o)
	if err != nil {
		t.Fatal(err)
	}
	facts, err := target.Facts(context.Background())
	var objects []*seawall.Object
	for _, f := range facts {
		if f.Object != nil {
			objects = append(objects, f.Object)
		}
	}
	return target, objects, err
}

// places are the objects as "path:line resource".
func places(objects []*seawall.Object) []string {
	var out []string
	for _, o := range objects {
		out = append(out, fmt.Sprintf("%s:%d %s", o.Path, o.Line, o.Resource()))
	}
	return out
}

const web = `# the shop
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
  namespace: shop
  annotations: {"example.org/a.b": x}
spec:
  template:
    spec:
      containers:
      - name: app
        image: app:1
        securityContext:
          privileged: yes
---

apiVersion: v1
kind: Service
metadata: {name: web}
`

func TestFiles(t *testing.T) {
	write(t, map[string]string{
		"k/web.yaml":            web,
		"k/list.yaml":           "apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: ConfigMap\n  metadata:\n    name: one\n- apiVersion: rbac.authorization.k8s.io/v1\n  kind: ClusterRole\n  metadata:\n    name: two\n    namespace: ignored\n",
		"k/deep/pods.json":      "{\"apiVersion\": \"v1\", \"kind\": \"PodList\",\n \"items\": [\n\t{\"metadata\": {\"name\": \"a\"}},\n\t{\"metadata\": {\"name\": \"b\", \"namespace\": \"x\"}}\n]}\n{\"apiVersion\": \"v1\",\n \"kind\": \"Node\", \"metadata\": {\"name\": \"n\"}}\n",
		"k/values.yaml":         "replicas: 3\n",
		"k/kind.yaml":           "kind: Cluster\napiVersion: kind.x-k8s.io/v1alpha4\n",
		"k/README.md":           "apiVersion: v1\nkind: Pod\n",
		"k/.git/x.yaml":         "apiVersion: v1\nkind: Pod\nmetadata: {name: no}\n",
		"k/.hidden/policy.yaml": "kind: Widget\napiVersion: example.org/v1\nmetadata: {generateName: w-}\n",
	})
	target, objects, err := read(t, manifest.Options{}, "k")
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"k/.hidden/policy.yaml:1 Widget/w-",
		"k/deep/pods.json:3 Pod/default/a",
		"k/deep/pods.json:4 Pod/x/b",
		"k/deep/pods.json:6 Node/n",
		"k/list.yaml:4 ConfigMap/default/one",
		"k/list.yaml:8 ClusterRole/two",
		"k/web.yaml:2 Deployment/shop/web",
		"k/web.yaml:18 Service/default/web",
	}
	if diff := cmp.Diff(want, places(objects)); diff != "" {
		t.Error(diff)
	}
	if got := target.Left(); got != 2 {
		t.Errorf("left out %d documents, want values.yaml and kind.yaml", got)
	}
	var deployment struct {
		Spec struct {
			Template struct {
				Spec struct {
					Containers []struct{ SecurityContext struct{ Privileged bool } }
				}
			}
		}
	}
	if err := json.Unmarshal(objects[6].JSON, &deployment); err != nil || !deployment.Spec.Template.Spec.Containers[0].SecurityContext.Privileged {
		t.Errorf("yes is not read as kubectl reads it: %v, %s", err, objects[6].JSON)
	}
	if diff := cmp.Diff(seawall.Asset{ID: "manifests:k", Kind: seawall.AssetManifests, Name: "k"}, target.Asset()); diff != "" {
		t.Error(diff)
	}
}

func TestLines(t *testing.T) {
	const anchors = "\napiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec:\n  containers:\n  - &c\n    name: a\n    image: x\n  - <<: *c\n    name: b\n"
	for _, tt := range []struct {
		text, field string
		object      int
		want        int
	}{
		{web, "", 0, 2},
		{web, "spec.template.spec.containers[0].securityContext.privileged", 0, 15},
		{web, "spec.template.spec.containers[0]", 0, 12},
		{web, "spec.template.spec.containers[0].resources.limits", 0, 12},
		{web, "spec.template.spec.hostNetwork", 0, 10},
		{web, "status", 0, 2},
		{web, `metadata.annotations["example.org/a.b"]`, 0, 7},
		{web, "metadata.name", 1, 20},
		{anchors, "spec.containers[1].image", 0, 9},
		{anchors, "spec.containers[1].name", 0, 11},
		{"{\n\t\"apiVersion\": \"v1\",\n\t\"kind\": \"Pod\",\n\t\"metadata\": {\n\t\t\"name\": \"p\"}}", "metadata.name", 0, 5},
		{"apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: Pod\n  metadata:\n    name: p\n  spec:\n    hostPID: true\n", "spec.hostPID", 0, 9},
	} {
		_, objects, err := read(t, manifest.Options{Stdin: strings.NewReader(tt.text)}, "-")
		if err != nil {
			t.Fatal(err)
		}
		if got := objects[tt.object].Location(tt.field).Line; got != tt.want {
			t.Errorf("line of %q is %d, want %d in\n%s", tt.field, got, tt.want, tt.text)
		}
	}
}

func TestBroken(t *testing.T) {
	bomb := "a: &a [" + strings.Repeat("x,", 100) + "]\n"
	for c := 'b'; c <= 'k'; c++ {
		bomb += fmt.Sprintf("%c: &%c [%s]\n", c, c, strings.Repeat(fmt.Sprintf("*%c,", c-1), 10))
	}
	long := "apiVersion: v1\nkind: ConfigMap\ndata:\n  a: &a " + strings.Repeat("x", 1<<16) + "\n  b: [" + strings.Repeat("*a,", 1<<16) + "]\n"
	for _, tt := range []struct {
		name, text, place, message, hint string
		is                               error
	}{
		{"indentation", "a: b\nc: d\n---\n# two\nkind: Pod\n  name: x\n", "bad.yaml:6: ", "mapping values", "colon", seawall.ErrCorrupt},
		{"tab", "apiVersion: v1\nkind: Pod\nmetadata:\n\tname: x\n", "bad.yaml:4: ", "token", "tabs", seawall.ErrCorrupt},
		{"template", "apiVersion: v1\nkind: Pod\nmetadata: {{ toYaml .Values.meta }}\n", "bad.yaml:", "", "Chart.yaml", seawall.ErrCorrupt},
		{"JSON", "{\"apiVersion\": \"v1\",\n \"kind\": }", "bad.yaml:2: ", "invalid character", "", seawall.ErrCorrupt},
		{"cut JSON", "{\"apiVersion\": \"v1\",\n \"kind\": \"Pod\"", "bad.yaml:2: ", "EOF", "", seawall.ErrCorrupt},
		{"second JSON", "{\"apiVersion\": \"v1\"}\n{\n\n]}", "bad.yaml:4: ", "invalid character", "", seawall.ErrCorrupt},
		{"bomb", bomb, "bad.yaml:1: ", "aliases", "", seawall.ErrBound},
		{"long bomb", long, "bad.yaml:1: ", "aliases", "", seawall.ErrBound},
		{"self", "a: &a\n  b: *a\n", "bad.yaml:1: ", "aliases", "", seawall.ErrBound},
		{"deep", "a: " + strings.Repeat("[", 600) + strings.Repeat("]", 600), "bad.yaml:1: ", "nested", "", seawall.ErrBound},
		{"not a list", "apiVersion: v1\nkind: List\nitems: 3\n", "bad.yaml:1: ", "items", "", seawall.ErrCorrupt},
		{"name is a list", "apiVersion: v1\nkind: Pod\nmetadata: {name: []}\n", "bad.yaml:1: metadata: name: corrupt input: json", "", "", seawall.ErrCorrupt},
	} {
		t.Run(tt.name, func(t *testing.T) {
			write(t, map[string]string{"bad.yaml": tt.text, "good.yaml": "apiVersion: v1\nkind: Pod\nmetadata: {name: good}\n"})
			_, objects, err := read(t, manifest.Options{}, ".")
			if len(objects) == 0 || objects[len(objects)-1].Name != "good" {
				t.Errorf("the other file was not read: %v", places(objects))
			}
			var missed seawall.Incomplete
			if !errors.As(err, &missed) || len(missed) != 1 || !errors.Is(err, tt.is) {
				t.Fatalf("got error %v, want one %v", err, tt.is)
			}
			if !strings.HasPrefix(err.Error(), tt.place) || !strings.Contains(err.Error(), tt.message) {
				t.Errorf("%q does not begin with %q or contain %q", err, tt.place, tt.message)
			}
			var h *seawall.Hinted
			if tt.hint != "" && (!errors.As(err, &h) || !strings.Contains(h.Hint, tt.hint)) {
				t.Errorf("hint of %v: %+v, want %q", err, h, tt.hint)
			}
			_, _, err = read(t, manifest.Options{}, "bad.yaml")
			if errors.As(err, &missed) || !errors.Is(err, tt.is) {
				t.Errorf("alone the error is %v", err)
			}
		})
	}
}
