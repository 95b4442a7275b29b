// Package mutate carries out what policies change about pods.
//
//	pod, policy.Edit -> New(resolve).Mutate -> pod, changes in words
//	pod before, pod after -> Patch -> RFC 6902
//
// Every change is the smallest that comes to what is wanted and none where that is so
// already: the same edit of its own result changes nothing. Nothing is read or written
// but through resolve, which names the digest of a tag.
//
// Expressions mean what they do in MutatingAdmissionPolicy: applyConfiguration is merged
// by the keys of the API's lists and may not replace lists and maps that have none
// (atomic.go), and jsonPatch is RFC 6902, where a failed test leaves the pod as it is.
package mutate

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	kjson "sigs.k8s.io/json"

	"github.com/seawall-security/seawall/internal/policy"
)

// Resolve gives the digest ("sha256:…") of an image's full name, "docker.io/library/nginx:1.25".
type Resolve func(image string) (string, error)

// ErrNoResolver is the error of pinning tags where nothing resolves them.
var ErrNoResolver = errors.New("tags are not resolved here")

// New returns the mutator. Without resolve, pinning tags fails.
func New(resolve Resolve) policy.Mutator {
	if resolve == nil {
		resolve = func(string) (string, error) { return "", ErrNoResolver }
	}
	return mutator{resolve}
}

type mutator struct{ resolve Resolve }

// Mutate implements policy.Mutator.
func (m mutator) Mutate(pod map[string]any, edit policy.Edit) (map[string]any, []string, error) {
	e := &edited{pod: pod}
	switch {
	case edit.Configuration != nil:
		return apply(pod, edit.Configuration)
	case edit.Operations != nil:
		return operate(pod, edit.Operations)
	}
	e.rewrite(edit.RewriteRegistries)
	if edit.PinTags {
		if err := e.pin(m.resolve); err != nil {
			return nil, nil, err
		}
	}
	e.label(edit.Labels)
	if edit.DropTokenMounts {
		e.dropTokens()
	}
	if edit.Harden != "" {
		if err := e.harden(edit.Harden); err != nil {
			return nil, nil, err
		}
	}
	return e.pod, e.changes, nil
}

// edited is a pod and what was changed about it.
type edited struct {
	pod     map[string]any
	changes []string
}

func (e *edited) changed(format string, args ...any) {
	e.changes = append(e.changes, fmt.Sprintf(format, args...))
}

func (e *edited) spec() map[string]any { return child(e.pod, "spec") }

// child is a map in a map, made where there is none.
func child(m map[string]any, key string) map[string]any {
	c, ok := m[key].(map[string]any)
	if !ok {
		c = map[string]any{}
		m[key] = c
	}
	return c
}

// containers are all of the pod's, of every kind.
func (e *edited) containers() []map[string]any {
	spec, _ := e.pod["spec"].(map[string]any)
	var all []map[string]any
	for _, key := range []string{"initContainers", "containers", "ephemeralContainers"} {
		list, _ := spec[key].([]any)
		for _, c := range list {
			if c, ok := c.(map[string]any); ok {
				all = append(all, c)
			}
		}
	}
	return all
}

// rewrite moves images to other registries.
func (e *edited) rewrite(rewrites []policy.Rewrite) {
	for _, c := range e.containers() {
		name, _ := c["image"].(string)
		if name == "" {
			continue
		}
		full := policy.NamedImage(name).Name
		for _, r := range rewrites {
			if rest, ok := strings.CutPrefix(full, r.From+"/"); ok {
				c["image"] = r.To + "/" + rest
				e.changed("container %v: image %s is taken from %s", c["name"], name, c["image"])
				break
			}
		}
	}
}

// pin adds digests to tags.
func (e *edited) pin(resolve Resolve) error {
	for _, c := range e.containers() {
		name, _ := c["image"].(string)
		image := policy.NamedImage(name)
		if name == "" || image.Digest != "" {
			continue
		}
		digest, err := resolve(image.Name)
		if err != nil {
			return fmt.Errorf("pinning %s: %w", image.Name, err)
		}
		c["image"] = name + "@" + digest
		e.changed("container %v: image %s is pinned to %s", c["name"], name, digest)
	}
	return nil
}

// label adds labels that are not there; one that is may be what a selector looks for.
func (e *edited) label(labels map[string]string) {
	meta, _ := e.pod["metadata"].(map[string]any)
	have, _ := meta["labels"].(map[string]any)
	for _, key := range sortedKeys(labels) {
		if _, there := have[key]; there {
			continue
		}
		have = child(child(e.pod, "metadata"), "labels")
		have[key] = labels[key]
		e.changed("label %s=%s", key, labels[key])
	}
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// tokenVolume begins the name of the volume that the API server's ServiceAccount
// admission adds to every pod.
const tokenVolume = "kube-api-access-"

// dropTokens takes the API token away: no mounting of it, and not the volume that was
// added already.
func (e *edited) dropTokens() {
	spec := e.spec()
	if auto, set := spec["automountServiceAccountToken"].(bool); !set || auto {
		spec["automountServiceAccountToken"] = false
		e.changed("automountServiceAccountToken is false")
	}
	isToken := func(key string) func(any) bool {
		return func(v any) bool {
			m, _ := v.(map[string]any)
			name, _ := m[key].(string)
			return strings.HasPrefix(name, tokenVolume)
		}
	}
	if without(spec, "volumes", isToken("name")) {
		e.changed("the token's volume is taken away")
	}
	for _, c := range e.containers() {
		without(c, "volumeMounts", isToken("name"))
	}
}

// without takes elements out of a list, and the list where none are left.
func without(m map[string]any, key string, drop func(any) bool) bool {
	list, _ := m[key].([]any)
	kept := slices.DeleteFunc(list, drop)
	switch {
	case len(kept) == len(list):
		return false
	case len(kept) == 0:
		delete(m, key)
	default:
		m[key] = kept
	}
	return true
}

// operate applies the operations of a JSON patch.
func operate(pod map[string]any, operations []any) (map[string]any, []string, error) {
	for i, op := range operations { // an empty from is no from
		if m, ok := op.(map[string]any); ok && m["from"] == "" {
			delete(m, "from")
			operations[i] = m
		}
	}
	text, err := json.Marshal(operations)
	if err != nil {
		return nil, nil, fmt.Errorf("jsonPatch: %w", err)
	}
	patch, err := jsonpatch.DecodePatch(text)
	if err != nil {
		return nil, nil, fmt.Errorf("jsonPatch: %w", err)
	}
	before, err := json.Marshal(pod)
	if err != nil {
		return nil, nil, fmt.Errorf("reading the pod: %w", err)
	}
	after, err := patch.Apply(before)
	if errors.Is(err, jsonpatch.ErrTestFailed) {
		return pod, nil, nil
	}
	if err != nil {
		return nil, nil, fmt.Errorf("jsonPatch: %w", err)
	}
	var changed map[string]any
	if err := kjson.UnmarshalCaseSensitivePreserveInts(after, &changed); err != nil {
		return nil, nil, fmt.Errorf("jsonPatch: reading the changed pod: %w", err)
	}
	return changed, describe(pod, changed), nil
}
