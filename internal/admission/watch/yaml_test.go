package watch

import (
	"testing"

	"go.yaml.in/yaml/v3"
)

func yamlMap(t testing.TB, text string) map[string]any {
	t.Helper()
	var m map[string]any
	if err := yaml.Unmarshal([]byte(text), &m); err != nil {
		t.Fatal(err)
	}
	return m
}
