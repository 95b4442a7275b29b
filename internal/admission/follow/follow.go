// Package follow keeps up with objects of a cluster: it lists them, watches, and
// lists again where a watch was lost. Nothing is kept here but what the caller keeps.
//
//	API server -> client-go's reflector -> Trim -> Follower
package follow

import (
	"context"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/tools/cache"
)

// Object is an object as the API server gives it, without managedFields. It is not
// to be changed.
type Object = map[string]any

// Follower is told of objects by one goroutine.
type Follower interface {
	// Replace: these are all there are. It comes first, and after a watch was lost.
	Replace(objects []Object)
	// Set: an object is new or changed.
	Set(object Object)
	// Delete: an object is gone; this is its last state.
	Delete(object Object)
}

// What says which objects.
type What struct {
	Resource schema.GroupVersionResource
	// Namespace and Name narrow it; "" is all.
	Namespace, Name string
	// Trim takes away what the follower does not need, before a list is gathered; nil keeps all.
	Trim func(Object)
}

// Run follows until ctx ends. What goes wrong is tried again, and told by client-go's log.
func Run(ctx context.Context, client dynamic.Interface, what What, to Follower) {
	var resource dynamic.ResourceInterface = client.Resource(what.Resource)
	if what.Namespace != "" {
		resource = client.Resource(what.Resource).Namespace(what.Namespace)
	}
	narrow := func(o *metav1.ListOptions) {
		if what.Name != "" {
			o.FieldSelector = "metadata.name=" + what.Name
		}
	}
	lw := cache.ToListWatcherWithWatchListSemantics(&cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			narrow(&o)
			return resource.List(ctx, o)
		},
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			narrow(&o)
			return resource.Watch(ctx, o)
		},
	}, client)
	reflector := cache.NewReflectorWithOptions(lw, &unstructured.Unstructured{}, store{what, to}, cache.ReflectorOptions{Name: what.Resource.String()})
	reflector.RunWithContext(ctx)
}

// store is the reflector's view of a Follower.
type store struct {
	what What
	to   Follower
}

// Transformer implements cache.TransformingStore.
func (s store) Transformer() cache.TransformFunc {
	return func(o any) (any, error) { s.trim(o); return o, nil }
}

// trim may see an object twice: once when a list is gathered, once here.
func (s store) trim(o any) Object {
	u, ok := o.(*unstructured.Unstructured)
	if !ok {
		return nil
	}
	unstructured.RemoveNestedField(u.Object, "metadata", "managedFields")
	if s.what.Trim != nil {
		s.what.Trim(u.Object)
	}
	return u.Object
}

// Add implements cache.ReflectorStore.
func (s store) Add(o any) error { s.to.Set(s.trim(o)); return nil }

// Update implements cache.ReflectorStore.
func (s store) Update(o any) error { return s.Add(o) }

// Delete implements cache.ReflectorStore.
func (s store) Delete(o any) error { s.to.Delete(s.trim(o)); return nil }

// Replace implements cache.ReflectorStore.
func (s store) Replace(list []any, _ string) error {
	objects := make([]Object, 0, len(list))
	for _, o := range list {
		objects = append(objects, s.trim(o))
	}
	s.to.Replace(objects)
	return nil
}

// Resync implements cache.ReflectorStore.
func (store) Resync() error { return nil }
