package mutate

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// listKeys are the lists of a pod whose elements are known by keys, and the keys
// (https://kubernetes.io/docs/reference/using-api/server-side-apply/#merge-strategy;
// the API's types say it as x-kubernetes-list-map-keys). All other lists are atomic.
func listKeys(field string) []string {
	switch field {
	case "containers", "initContainers", "ephemeralContainers", "volumes", "env", "schedulingGates", "resourceClaims", "claims", "imagePullSecrets":
		return []string{"name"}
	case "ports":
		return []string{"containerPort", "protocol"}
	case "volumeMounts":
		return []string{"mountPath"}
	case "volumeDevices":
		return []string{"devicePath"}
	case "hostAliases":
		return []string{"ip"}
	case "topologySpreadConstraints":
		return []string{"topologyKey", "whenUnsatisfiable"}
	case "ownerReferences":
		return []string{"uid"}
	}
	return nil
}

// atomicMaps are maps and structs that are replaced as a whole.
func atomicMap(field string) bool {
	switch field {
	case "nodeSelector", "configMapKeyRef", "secretKeyRef", "fieldRef", "resourceFieldRef", "labelSelector", "secretRef", "configMapRef", "nodePublishSecretRef":
		return true
	}
	return false
}

// apply merges the fields of an apply configuration into the pod.
func apply(pod, fields map[string]any) (map[string]any, []string, error) {
	for _, key := range []string{"apiVersion", "kind"} {
		if v, there := fields[key]; there && v != pod[key] {
			return nil, nil, fmt.Errorf("applyConfiguration: %s is not for a patch to change", key)
		}
	}
	before := deepCopy(pod).(map[string]any)
	if err := merge(pod, fields, ""); err != nil {
		return nil, nil, fmt.Errorf("applyConfiguration: %w", err)
	}
	return pod, describe(before, pod), nil
}

func merge(into, fields map[string]any, path string) error {
	for _, key := range sortedKeys(fields) {
		at := strings.TrimPrefix(path+"."+key, ".")
		switch v := fields[key].(type) {
		case map[string]any:
			if atomicMap(key) {
				return fmt.Errorf("%s is replaced as a whole; use jsonPatch for it", at)
			}
			there, ok := into[key].(map[string]any)
			if !ok {
				there = map[string]any{}
				into[key] = there
			}
			if err := merge(there, v, at); err != nil {
				return err
			}
		case []any:
			list, _ := into[key].([]any)
			merged, err := mergeList(list, v, key, at)
			if err != nil {
				return err
			}
			into[key] = merged
		default:
			into[key] = v
		}
	}
	return nil
}

func mergeList(list, elements []any, field, at string) ([]any, error) {
	if field == "finalizers" { // a set
		for _, v := range elements {
			if !slices.Contains(list, v) {
				list = append(list, v)
			}
		}
		return list, nil
	}
	keys := listKeys(field)
	if keys == nil {
		return nil, fmt.Errorf("%s is replaced as a whole; use jsonPatch for it", at)
	}
	for _, v := range elements {
		element, ok := v.(map[string]any)
		if !ok {
			return nil, fmt.Errorf("%s: want elements with fields", at)
		}
		key, err := keyOf(element, keys)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", at, err)
		}
		i := slices.IndexFunc(list, func(o any) bool {
			m, _ := o.(map[string]any)
			other, err := keyOf(m, keys)
			return err == nil && other == key
		})
		target := map[string]any{}
		if i >= 0 {
			target, _ = list[i].(map[string]any)
		}
		if err := merge(target, element, at+"["+key+"]"); err != nil {
			return nil, err
		}
		if i < 0 {
			list = append(list, target)
		}
	}
	return list, nil
}

var errNoKey = errors.New("an element without its key")

// keyOf is an element's key; a port's protocol is TCP unless it says otherwise.
func keyOf(element map[string]any, keys []string) (string, error) {
	var parts []string
	for _, k := range keys {
		v, there := element[k]
		if !there && k == "protocol" {
			v, there = "TCP", true
		}
		if !there {
			return "", fmt.Errorf("%w %s", errNoKey, k)
		}
		parts = append(parts, fmt.Sprint(v))
	}
	return strings.Join(parts, "/"), nil
}

func deepCopy(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := make(map[string]any, len(v))
		for k, e := range v {
			out[k] = deepCopy(e)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, e := range v {
			out[i] = deepCopy(e)
		}
		return out
	}
	return v
}

func equal(a, b any) bool { return reflect.DeepEqual(a, b) }
