// Package rbactest reads manifests that tests write into their source.
package rbactest

import (
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/seawall-security/seawall/internal/seawall"
)

// Objects are the documents of manifests, as a source gives them but without places.
func Objects(t testing.TB, manifests string) []seawall.Object {
	t.Helper()
	var list []seawall.Object
	for d := yaml.NewDecoder(strings.NewReader(manifests)); ; {
		var o map[string]any
		if err := d.Decode(&o); errors.Is(err, io.EOF) {
			return list
		} else if err != nil {
			t.Fatalf("%v\n%s", err, manifests)
		}
		list = append(list, Object(t, o))
	}
}

// Object is one object.
func Object(t testing.TB, o map[string]any) seawall.Object {
	t.Helper()
	raw, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	text := func(m map[string]any, key string) string { s, _ := m[key].(string); return s }
	meta, _ := o["metadata"].(map[string]any)
	return seawall.Object{APIVersion: text(o, "apiVersion"), Kind: text(o, "kind"), Namespace: text(meta, "namespace"), Name: text(meta, "name"), JSON: raw}
}
