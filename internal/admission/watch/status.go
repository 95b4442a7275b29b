package watch

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"

	"github.com/seawall-security/seawall/internal/seawall"
)

// The resources of the API group seawall.io.
func PoliciesResource() schema.GroupVersionResource {
	return schema.GroupVersionResource{Group: "seawall.io", Version: "v1alpha1", Resource: "policies"}
}

// ExceptionsResource is that of PolicyException.
func ExceptionsResource() schema.GroupVersionResource {
	return schema.GroupVersionResource{Group: "seawall.io", Version: "v1alpha1", Resource: "policyexceptions"}
}

// maxDirty bounds the keys that wait for their status to be written.
const maxDirty = 10_000

// Statuses writes the status of policies and exceptions: what is in force, what is
// wrong, how often it matched. Every replica adds what it saw itself.
type Statuses struct {
	Client   dynamic.Interface
	Policies *Policies
	Now      func() time.Time

	mu sync.Mutex
	// seen are the matches since the last Write, by policy and by exception.
	policies, exceptions map[string]int64
}

// Seen counts a decision. It does not block.
func (s *Statuses) Seen(d *seawall.Decision) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.policies == nil {
		s.policies, s.exceptions = map[string]int64{}, map[string]int64{}
	}
	if len(s.policies) < maxDirty {
		s.policies[d.Policy]++
	}
	if d.Exception != "" && len(s.exceptions) < maxDirty {
		s.exceptions[d.Exception]++
	}
}

// Write brings the status of every object up to date that is not. What could not be
// written stays to be written.
func (s *Statuses) Write(ctx context.Context) error {
	s.mu.Lock()
	policies, exceptions := s.policies, s.exceptions
	s.policies, s.exceptions = nil, nil
	s.mu.Unlock()
	return errors.Join(
		s.writeAll(ctx, PoliciesResource(), s.Policies.states(s.Policies.policies), policies, func(left int64, key string) { s.again(left, key, "") }),
		s.writeAll(ctx, ExceptionsResource(), s.Policies.states(s.Policies.exceptions), exceptions, func(left int64, key string) { s.again(left, "", key) }))
}

// again counts matches that could not be written.
func (s *Statuses) again(n int64, policy, exception string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.policies == nil {
		s.policies, s.exceptions = map[string]int64{}, map[string]int64{}
	}
	if policy != "" {
		s.policies[policy] += n
	} else {
		s.exceptions[exception] += n
	}
}

// states are copies of the entries, safe to read.
func (p *Policies) states(entries map[string]*entry) map[string]entry {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := make(map[string]entry, len(entries))
	for key, e := range entries {
		out[key] = *e
	}
	return out
}

func (s *Statuses) writeAll(ctx context.Context, resource schema.GroupVersionResource, entries map[string]entry, matches map[string]int64, again func(int64, string)) error {
	var errs []error
	for _, key := range slices.Sorted(maps.Keys(entries)) {
		e := entries[key]
		if err := s.write(ctx, resource, key, &e, matches[key]); err != nil {
			again(matches[key], key)
			errs = append(errs, fmt.Errorf("status of %s %s: %w", resource.Resource, key, err))
		}
	}
	return errors.Join(errs...)
}

// write adds to one object's status, again where somebody else wrote in between.
func (s *Statuses) write(ctx context.Context, resource schema.GroupVersionResource, key string, e *entry, matches int64) error {
	namespace, name, namespaced := strings.Cut(key, "/")
	objects := s.Client.Resource(resource).Namespace(namespace)
	if !namespaced {
		name, objects = key, s.Client.Resource(resource)
	}
	const tries = 5
	for try := 1; ; try++ {
		object, err := objects.Get(ctx, name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) || err == nil && string(object.GetUID()) != e.uid {
			return nil // gone, or another by now
		}
		if err != nil {
			return err
		}
		before, _ := object.Object["status"].(map[string]any)
		after := s.status(before, e, matches)
		if reflect.DeepEqual(before, after) || object.GetGeneration() > e.generation && matches == 0 {
			return nil
		}
		_, err = objects.UpdateStatus(ctx, &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": object.GetAPIVersion(), "kind": object.GetKind(), "status": after,
			"metadata": map[string]any{"name": name, "namespace": object.GetNamespace(), "uid": e.uid, "resourceVersion": object.GetResourceVersion()},
		}}, metav1.UpdateOptions{})
		if !apierrors.IsConflict(err) || try == tries {
			return err
		}
	}
}

func (s *Statuses) status(before map[string]any, e *entry, matches int64) map[string]any {
	sum, _ := before["matches"].(int64)
	after := map[string]any{"observedGeneration": e.generation, "active": e.active > 0, "matches": sum + matches}
	if e.active > 0 && e.active != e.generation {
		after["activeGeneration"] = e.active
	}
	if e.mistake != nil {
		after["error"], after["errorField"] = e.mistake.Message, e.mistake.Field
	}
	if last, ok := before["lastMatch"]; ok {
		after["lastMatch"] = last
	}
	if matches > 0 {
		after["lastMatch"] = s.Now().UTC().Format(time.RFC3339)
	}
	return after
}
