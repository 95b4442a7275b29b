// Package object reads what manifests and API servers have in common: the head
// of a Kubernetes object, which kinds have no namespace, what of an object is
// worth keeping, and the command lines of control-plane components.
//
// JSON of one object -> Trim (what nobody judges goes) -> Parse -> seawall.Object;
// over all objects of a target, Components -> configuration facts.
package object

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/seawall-security/seawall/internal/seawall"
)

// Parse reads the head of a trimmed object; data becomes its JSON. ok is false
// when data is sound JSON and no Kubernetes object: without apiVersion or kind.
// Field names count as they are written, as they do for the API server: structs
// would take "Kind" for kind.
func Parse(data []byte) (o seawall.Object, ok bool, err error) {
	top, err := fields(data)
	if err != nil {
		return o, false, err
	}
	o = seawall.Object{JSON: data}
	if o.APIVersion, err = text(top, "apiVersion"); err != nil {
		return o, false, err
	}
	if o.Kind, err = text(top, "kind"); err != nil || o.APIVersion == "" || o.Kind == "" {
		return o, false, err
	}
	meta, err := fields(top["metadata"])
	if err != nil {
		return o, false, fmt.Errorf("metadata: %w", err)
	}
	if o.Namespace, err = text(meta, "namespace"); err != nil {
		return o, false, fmt.Errorf("metadata: %w", err)
	}
	if o.Name, err = text(meta, "name"); err == nil && o.Name == "" {
		o.Name, err = text(meta, "generateName")
	}
	if err != nil {
		return o, false, fmt.Errorf("metadata: %w", err)
	}
	return o, true, nil
}

// fields cuts an object into its fields; null and nothing have none.
func fields(data []byte) (map[string]json.RawMessage, error) {
	var m map[string]json.RawMessage
	if len(data) == 0 {
		return nil, nil
	}
	if err := json.Unmarshal(data, &m); err != nil {
		return nil, fmt.Errorf("%w: %w", seawall.ErrCorrupt, err)
	}
	return m, nil
}

// text is a field that holds a string; null and nothing are "".
func text(m map[string]json.RawMessage, name string) (s string, err error) {
	if m[name] == nil {
		return "", nil
	}
	if err := json.Unmarshal(m[name], &s); err != nil {
		return "", fmt.Errorf("%s: %w: %w", name, seawall.ErrCorrupt, err)
	}
	return s, nil
}

// Group is the API group of an apiVersion: "apps" of "apps/v1", "" of "v1".
func Group(apiVersion string) string {
	group, _, grouped := strings.Cut(apiVersion, "/")
	if !grouped {
		return ""
	}
	return group
}

// LastApplied is the annotation with kubectl's copy of the whole manifest.
const LastApplied = "kubectl.kubernetes.io/last-applied-configuration"

// Trim takes managedFields and kubectl's copy of the manifest out of an object.
// Objects without either are returned as they are.
func Trim(data []byte) ([]byte, error) {
	if !bytes.Contains(data, []byte(`"managedFields"`)) && !bytes.Contains(data, []byte(LastApplied)) {
		return data, nil
	}
	return WithoutAnnotation(data, LastApplied)
}

// WithoutAnnotation takes one annotation, and managedFields, out of an object.
func WithoutAnnotation(data []byte, annotation string) ([]byte, error) {
	o, err := fields(data)
	if err != nil {
		return nil, err
	}
	meta, err := trimMetadata(o["metadata"], annotation)
	if err != nil {
		return nil, err
	}
	if meta != nil {
		o["metadata"] = meta
	}
	return json.Marshal(o)
}

// trimMetadata is nil where there is no metadata to trim.
func trimMetadata(raw json.RawMessage, annotation string) (json.RawMessage, error) {
	var meta, annotations map[string]json.RawMessage
	if len(raw) == 0 || raw[0] != '{' {
		return nil, nil
	}
	if err := json.Unmarshal(raw, &meta); err != nil {
		return nil, fmt.Errorf("metadata: %w: %w", seawall.ErrCorrupt, err)
	}
	delete(meta, "managedFields")
	if json.Unmarshal(meta["annotations"], &annotations) == nil {
		delete(annotations, annotation)
		if len(annotations) == 0 {
			delete(meta, "annotations")
		} else {
			text, err := json.Marshal(annotations)
			if err != nil {
				return nil, err
			}
			meta["annotations"] = text
		}
	}
	return json.Marshal(meta)
}
