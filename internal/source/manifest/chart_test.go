package manifest_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/source/manifest"
)

const deployment = `{{- if .Values.enabled }}
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ .Release.Name }}
  labels:
    {{- include "app.labels" . | nindent 4 }}
spec:
  template:
    spec:
      hostNetwork: {{ .Values.hostNetwork }}
      containers:
      {{- range .Values.containers }}
      - name: {{ .name }}
        image: "{{ .image }}"
        {{- with $.Values.securityContext }}
        securityContext:
          {{- toYaml . | nindent 10 }}
        {{- end }}
      {{- end }}
      hostPID: true
{{- end }}
---
apiVersion: v1
kind: Service
metadata:
  name: {{ .Release.Name }}
  namespace: {{ .Release.Namespace }}
`

func chartFiles() map[string]string {
	return map[string]string{
		"chart/Chart.yaml":                    "apiVersion: v2\nname: app\nversion: 1.0.0\ndependencies: [{name: sub, version: 1.x, repository: ''}]\n",
		"chart/values.yaml":                   "enabled: true\nhostNetwork: false\ncontainers: [{name: one, image: a:1}, {name: two, image: b:1}]\nsecurityContext: {privileged: true, runAsUser: 0}\nsub: {name: inner}\n",
		"chart/templates/_helpers.tpl":        "{{- define \"app.labels\" }}\napp: app\nversion: \"1\"\n{{- end }}\n",
		"chart/templates/deployment.yaml":     deployment,
		"chart/templates/NOTES.txt":           "hello",
		"chart/templates/empty.yaml":          "{{ if false }}\nkind: Nothing\n{{ end }}\n",
		"chart/crds/crd.yaml":                 "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: tenants.example.org}\nspec: {group: example.org, scope: Cluster, names: {kind: Tenant}}\n",
		"chart/templates/tenant.yaml":         "apiVersion: example.org/v1\nkind: Tenant\nmetadata: {name: t}\n",
		"chart/templates/version.yaml":        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: \"v{{ .Capabilities.KubeVersion.Minor }}\"}\n",
		"chart/charts/sub/Chart.yaml":         "apiVersion: v2\nname: sub\nversion: 1.0.0\n",
		"chart/charts/sub/templates/pod.yaml": "# a comment\napiVersion: v1\nkind: Pod\nmetadata: {name: {{ .Values.name }}}\n",
		"plain/prod.yaml":                     "hostNetwork: true\n",
	}
}

func TestChart(t *testing.T) {
	write(t, chartFiles())
	_, objects, err := read(t, manifest.Options{
		KubeVersion: "1.31",
		Helm:        manifest.Helm{Values: []string{"plain/prod.yaml"}, Set: []string{"sub.name=given"}, ReleaseNamespace: "shop"},
	}, "chart")
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"chart/charts/sub/templates/pod.yaml:2 Pod/shop/given",
		"chart/templates/deployment.yaml:2 Deployment/shop/app",
		"chart/templates/deployment.yaml:24 Service/shop/app",
		"chart/templates/tenant.yaml:1 Tenant/t",
		"chart/templates/version.yaml:1 ConfigMap/shop/v31",
		"chart/crds/crd.yaml:1 CustomResourceDefinition/tenants.example.org",
	}
	if diff := cmp.Diff(want, places(objects)); diff != "" {
		t.Error(diff)
	}
	lines := strings.Split(deployment, "\n")
	for field, text := range map[string]string{
		"metadata.name":                                               "name: {{ .Release.Name }}",
		"metadata.labels.version":                                     "include",
		"spec.template.spec.hostNetwork":                              "hostNetwork:",
		"spec.template.spec.hostPID":                                  "hostPID:",
		"spec.template.spec.containers[0].name":                       "- name: {{ .name }}",
		"spec.template.spec.containers[1].name":                       "- name: {{ .name }}",
		"spec.template.spec.containers[1].image":                      "image:",
		"spec.template.spec.containers[0].ports":                      "- name: {{ .name }}",
		"spec.template.spec.containers[1].securityContext":            "securityContext:",
		"spec.template.spec.containers[0].securityContext.privileged": "toYaml",
		"spec.template.spec.containers[1].securityContext.runAsUser":  "toYaml",
	} {
		if line := objects[1].Location(field).Line; !strings.Contains(lines[line-1], text) {
			t.Errorf("%s is said to be on line %d, %q; want %q", field, line, lines[line-1], text)
		}
	}
	if line := objects[2].Location("metadata.namespace").Line; line != 28 {
		t.Errorf("the service's namespace is said to be on line %d", line)
	}
	if !strings.Contains(string(objects[1].JSON), `"hostNetwork":true`) {
		t.Error("--values did not win over the chart's")
	}
}

func TestChartsInDirectory(t *testing.T) {
	write(t, chartFiles())
	_, objects, err := read(t, manifest.Options{}, ".")
	if err != nil {
		t.Fatal(err)
	}
	if got := places(objects); len(got) != 6 || got[0] != "chart/charts/sub/templates/pod.yaml:2 Pod/default/inner" {
		t.Errorf("a chart in a directory is not rendered once: %v", got)
	}
	_, named, err := read(t, manifest.Options{}, "chart/Chart.yaml")
	if err != nil || len(named) != 6 {
		t.Errorf("a chart named by its Chart.yaml: %v, %v", places(named), err)
	}
}

func TestPackedChart(t *testing.T) {
	write(t, nil)
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	w := tar.NewWriter(z)
	for name, text := range chartFiles() {
		name = "app" + strings.TrimPrefix(name, "chart")
		_ = w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(text))})
		_, _ = w.Write([]byte(text))
	}
	w.Close()
	z.Close()
	if err := os.WriteFile("app-1.0.0.tgz", packed.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	_, objects, err := read(t, manifest.Options{}, "app-1.0.0.tgz")
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(places(objects), "app-1.0.0.tgz/templates/deployment.yaml:2 Deployment/default/app") {
		t.Errorf("got %v", places(objects))
	}
}

func TestBrokenCharts(t *testing.T) {
	for _, tt := range []struct {
		name, file, text string
		message, hint    string
		is               error
	}{
		{"template", "chart/templates/bad.yaml", "{{ if }}", "chart/templates/bad.yaml:1", "", seawall.ErrCorrupt},
		{"missing value", "chart/templates/bad.yaml", "\n{{ .Values.a.b }}", "chart/templates/bad.yaml:2", "--values", seawall.ErrCorrupt},
		{"required value", "chart/templates/bad.yaml", `{{ required "give x" .Values.x }}`, "give x", "--values", seawall.ErrCorrupt},
		{"YAML", "chart/templates/bad.yaml", "\n{{/* one\ntwo */}}apiVersion: v1\nkind: Pod\n  x: y\n", "chart/templates/bad.yaml:5", "", seawall.ErrCorrupt},
		{"Chart.yaml", "chart/Chart.yaml", "apiVersion: [", "chart", "", seawall.ErrCorrupt},
		{"dependency", "chart/Chart.yaml", "apiVersion: v2\nname: app\nversion: 1.0.0\ndependencies: [{name: redis, version: 1.x, repository: 'https://charts.example.org'}]\n", "redis", "helm dependency build", seawall.ErrCorrupt},
	} {
		t.Run(tt.name, func(t *testing.T) {
			files := chartFiles()
			files[tt.file] = tt.text
			files["good.yaml"] = "apiVersion: v1\nkind: Pod\nmetadata: {name: good}\n"
			write(t, files)
			_, objects, err := read(t, manifest.Options{}, ".")
			if !slices.Contains(places(objects), "good.yaml:1 Pod/default/good") {
				t.Errorf("the rest was not read: %v", places(objects))
			}
			var h *seawall.Hinted
			var missed seawall.Incomplete
			if !errors.As(err, &missed) || !errors.Is(err, tt.is) || !strings.Contains(err.Error(), tt.message) {
				t.Errorf("error %v, want %q", err, tt.message)
			}
			if tt.hint != "" && (!errors.As(err, &h) || !strings.Contains(h.Hint, tt.hint)) {
				t.Errorf("hint %+v, want %q", h, tt.hint)
			}
		})
	}
}

func TestChartSettings(t *testing.T) {
	write(t, chartFiles())
	for _, o := range []manifest.Options{
		{Helm: manifest.Helm{Values: []string{"nowhere.yaml"}}},
		{Helm: manifest.Helm{Values: []string{"chart/templates/deployment.yaml"}}},
		{Helm: manifest.Helm{Set: []string{"a[b=c"}}},
	} {
		if _, _, err := read(t, o, "chart"); !errors.Is(err, seawall.ErrUsage) {
			t.Errorf("%+v: error %v, want a usage error", o.Helm, err)
		}
	}
	if _, err := manifest.Open([]string{"chart"}, manifest.Options{KubeVersion: "new"}); !errors.Is(err, seawall.ErrUsage) {
		t.Errorf("Kubernetes version new: %v", err)
	}
}

func TestChartLinks(t *testing.T) {
	write(t, chartFiles())
	if err := os.WriteFile("secret", []byte("x: y"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("../../secret", "chart/templates/link.yaml"); err != nil {
		t.Fatal(err)
	}
	if _, _, err := read(t, manifest.Options{}, "chart"); !errors.Is(err, seawall.ErrUnreadable) || !strings.Contains(err.Error(), "link") {
		t.Errorf("a link out of the chart was followed: %v", err)
	}
}

func TestKustomize(t *testing.T) {
	write(t, map[string]string{
		"base/kustomization.yaml":      "resources: [web.yaml, more]\nconfigMapGenerator:\n- name: settings\n  literals: [a=b]\n",
		"base/web.yaml":                web,
		"base/more/kustomization.yaml": "resources: [sa.yaml]\n",
		"base/more/sa.yaml":            "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: app}\n",
		"base/unused.yaml":             "apiVersion: v1\nkind: Pod\nmetadata: {name: unused}\n",
		"prod/kustomization.yaml":      "namespace: prod\nnamePrefix: p-\nresources: [../base]\npatches: [{path: patch.yaml}]\ncomponents: [../component]\n",
		"prod/patch.yaml":              "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web, namespace: shop}\nspec: {template: {spec: {hostPID: true}}}\n",
		"component/kustomization.yaml": "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\nresources: [c.yaml]\n",
		"component/c.yaml":             "# c\napiVersion: v1\nkind: ServiceAccount\nmetadata: {name: c}\n",
	})
	_, objects, err := read(t, manifest.Options{}, ".")
	if err != nil {
		t.Fatal(err)
	}
	got := places(objects)
	for i := range got {
		got[i], _, _ = strings.Cut(got[i], "-settings-") // then a hash
	}
	want := []string{
		"base/web.yaml:2 Deployment/prod/p-web",
		"base/web.yaml:18 Service/prod/p-web",
		"base/more/sa.yaml:1 ServiceAccount/prod/p-app",
		"base/kustomization.yaml:1 ConfigMap/prod/p",
		"component/c.yaml:2 ServiceAccount/prod/p-c",
		"base/unused.yaml:1 Pod/default/unused",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if line := objects[0].Location("spec.template.spec.containers[0].image").Line; line != 13 {
		t.Errorf("the image is said to be on line %d", line)
	}
	if text := string(objects[0].JSON); !strings.Contains(text, `"hostPID":true`) || strings.Contains(text, "config.kubernetes.io") {
		t.Errorf("got %s", text)
	}
	_, objects, err = read(t, manifest.Options{}, "base/kustomization.yaml")
	if err != nil || len(objects) != 5 {
		t.Errorf("a kustomization named by its file: %v, %v", places(objects), err)
	}
}

func TestKustomizeFetchesNothing(t *testing.T) {
	for _, text := range []string{
		"resources: ['https://example.org/x.yaml']",
		"resources: ['https:example.org/x.yaml']",
		"resources: ['github.com/org/repo?ref=v1']",
		"resources: ['git@example.org:org/repo.git']",
		"resources: ['ssh://git@example.org/org/repo']",
		"components: ['git::https://example.org/org/repo']",
		"bases: ['HTTPS://example.org/x']",
		"patches: [{path: 'http://example.org/p.yaml'}]",
		"patchesStrategicMerge: ['http://example.org/p.yaml']",
		"configMapGenerator: [{name: x, files: ['k=https://example.org/k']}]",
		"secretGenerator: [{name: x, envs: ['https://example.org/k']}]",
		"openapi: {path: 'https://example.org/k'}",
		"crds: ['https://example.org/k']",
		"replacements: [{path: 'https://example.org/k'}]",
		"generators: [gen.yaml]",
		"generators: [\"apiVersion: builtin\\nkind: ConfigMapGenerator\\nmetadata: {name: x}\\nfiles: ['a=https://example.org/k']\"]",
		"transformers: [../plugins]",
	} {
		t.Run(text, func(t *testing.T) {
			write(t, map[string]string{
				"top/kustomization.yaml":     "resources: [../k, pod.yaml]\n",
				"top/pod.yaml":               "apiVersion: v1\nkind: Pod\nmetadata: {name: top}\n",
				"k/kustomization.yaml":       text,
				"k/gen.yaml":                 "apiVersion: builtin\nkind: ConfigMapGenerator\nmetadata: {name: x}\nfiles: ['a=https://example.org/k']\n",
				"plugins/kustomization.yaml": "resources: [gen.yaml]\n",
				"plugins/gen.yaml":           "apiVersion: builtin\nkind: PrefixTransformer\nmetadata: {name: x}\n",
				"other/good.yaml":            "apiVersion: v1\nkind: Pod\nmetadata: {name: good}\n",
			})
			_, objects, err := read(t, manifest.Options{}, "top", "k", "other")
			if !slices.Contains(places(objects), "other/good.yaml:1 Pod/default/good") {
				t.Errorf("the rest was not read: %v", places(objects))
			}
			if err == nil || !errors.Is(err, seawall.ErrUnreadable) || !strings.Contains(err.Error(), "nothing is fetched") {
				t.Errorf("error %v", err)
			}
		})
	}
}

func TestKustomizeBombs(t *testing.T) {
	files := map[string]string{"k0/kustomization.yaml": "configMapGenerator: [{name: x, literals: [a=b]}]\n"}
	for i := 1; i <= 20; i++ {
		level, below := "k"+string(rune('a'+i)), "k"+string(rune('a'+i-1))
		if i == 1 {
			below = "k0"
		}
		files[level+"/kustomization.yaml"] = "resources: [one, two]\n"
		files[level+"/one/kustomization.yaml"] = "namePrefix: a-\nresources: [../../" + below + "]\n"
		files[level+"/two/kustomization.yaml"] = "namePrefix: b-\nresources: [../../" + below + "]\n"
	}
	write(t, files)
	if _, _, err := read(t, manifest.Options{}, "ku"); !errors.Is(err, seawall.ErrBound) {
		t.Errorf("error %v, want a bound", err)
	}
	write(t, map[string]string{"a/kustomization.yaml": "resources: [../b]\n", "b/kustomization.yaml": "resources: [../a]\n"})
	if _, _, err := read(t, manifest.Options{}, "."); err == nil {
		t.Error("a circle is no error")
	}
}
