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

// head is what every object has.
type head struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Metadata   struct {
		Name         string `json:"name"`
		GenerateName string `json:"generateName"`
		Namespace    string `json:"namespace"`
	} `json:"metadata"`
}

// Parse reads the head of a trimmed object; data becomes its JSON. ok is false
// when data is sound JSON and no Kubernetes object: without apiVersion or kind.
func Parse(data []byte) (o seawall.Object, ok bool, err error) {
	var h head
	if err := json.Unmarshal(data, &h); err != nil {
		return o, false, fmt.Errorf("%w: %w", seawall.ErrCorrupt, err)
	}
	name := h.Metadata.Name
	if name == "" {
		name = h.Metadata.GenerateName
	}
	o = seawall.Object{APIVersion: h.APIVersion, Kind: h.Kind, Namespace: h.Metadata.Namespace, Name: name, JSON: data}
	return o, h.APIVersion != "" && h.Kind != "", nil
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
	var o map[string]json.RawMessage
	if err := json.Unmarshal(data, &o); err != nil {
		return nil, fmt.Errorf("%w: %w", seawall.ErrCorrupt, err)
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
