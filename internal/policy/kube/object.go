package kube

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/scheme"
)

// object is an object as the API server would hand it to policies.
type object struct {
	*unstructured.Unstructured
	kind schema.GroupVersionKind
}

// newObject reads an object as its kind's type does, which takes away what is empty and
// what the kind does not have, and gives it its defaults unless it is from a server. A
// kind that is not built in stays as it is.
func newObject(m map[string]any, stored bool) (*object, error) {
	u := &unstructured.Unstructured{Object: m}
	kind := u.GroupVersionKind()
	if kind.Kind == "" || kind.Version == "" {
		return nil, fmt.Errorf("an object without apiVersion and kind")
	}
	o := &object{u, kind}
	typed, err := scheme.Scheme.New(kind)
	if err != nil {
		return o, nil //nolint:nilerr // a kind of somebody's own
	}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(m, typed); err != nil {
		return nil, fmt.Errorf("%s %s: %w", kind.Kind, u.GetName(), err)
	}
	if !stored {
		setDefault(typed)
	}
	if o.Object, err = runtime.DefaultUnstructuredConverter.ToUnstructured(typed); err != nil {
		return nil, fmt.Errorf("%s %s: %w", kind.Kind, u.GetName(), err)
	}
	o.SetGroupVersionKind(kind)
	return o, nil
}

// clusterScoped says which of the built-in kinds are in no namespace.
func clusterScoped(kind schema.GroupKind) bool {
	switch kind.Kind {
	case "Namespace", "Node", "PersistentVolume", "ComponentStatus":
		return kind.Group == ""
	case "ClusterRole", "ClusterRoleBinding", "CustomResourceDefinition", "APIService", "CertificateSigningRequest", "ClusterTrustBundle",
		"StorageClass", "VolumeAttachment", "VolumeAttributesClass", "CSIDriver", "CSINode", "PriorityClass", "RuntimeClass", "IngressClass",
		"IPAddress", "ServiceCIDR", "FlowSchema", "PriorityLevelConfiguration", "DeviceClass", "ResourceSlice", "DeviceTaintRule",
		"ValidatingWebhookConfiguration", "MutatingWebhookConfiguration", "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding",
		"MutatingAdmissionPolicy", "MutatingAdmissionPolicyBinding", "StorageVersion", "StorageVersionMigration",
		"TokenReview", "SubjectAccessReview", "SelfSubjectAccessReview", "SelfSubjectRulesReview", "SelfSubjectReview":
		return strings.HasSuffix(kind.Group, ".k8s.io") || kind.Group == ""
	}
	return false
}

// namespaceOf is the namespace that the object is in, or would be created in.
func (o *object) namespaceOf() string {
	if ns := o.GetNamespace(); ns != "" || clusterScoped(o.kind.GroupKind()) || !scheme.Scheme.Recognizes(o.kind) {
		return ns
	}
	return "default"
}

// resourceOf is how a kind is served.
func resourceOf(kind schema.GroupVersionKind) schema.GroupVersionResource {
	plural, _ := meta.UnsafeGuessKindToResource(kind)
	return plural
}

// equivalents is the resource mapper of built-in kinds: those of one group and kind are
// the same in all of the group's versions.
type equivalents struct{}

// EquivalentResourcesFor implements runtime.EquivalentResourceMapper.
func (equivalents) EquivalentResourcesFor(resource schema.GroupVersionResource, _ string) []schema.GroupVersionResource {
	var all []schema.GroupVersionResource
	for _, version := range scheme.Scheme.PrioritizedVersionsForGroup(resource.Group) {
		other := version.WithResource(resource.Resource)
		if other == resource || !(equivalents{}).KindFor(other, "").Empty() {
			all = append(all, other)
		}
	}
	return all
}

// KindFor implements runtime.EquivalentResourceMapper.
func (equivalents) KindFor(resource schema.GroupVersionResource, _ string) schema.GroupVersionKind {
	for kind := range scheme.Scheme.KnownTypes(resource.GroupVersion()) {
		if full := resource.GroupVersion().WithKind(kind); resourceOf(full) == resource {
			return full
		}
	}
	return schema.GroupVersionKind{}
}

// converter changes the version of objects whose kinds look the same in both.
type converter struct{ runtime.ObjectConvertor }

// Convert implements runtime.ObjectConvertor.
func (converter) Convert(in, out, _ any) error {
	from, ok := in.(*unstructured.Unstructured)
	to, ok2 := out.(*unstructured.Unstructured)
	if !ok || !ok2 {
		return fmt.Errorf("no conversion from %T to %T", in, out)
	}
	kind := to.GroupVersionKind()
	if kind.Empty() {
		kind = from.GroupVersionKind()
	}
	if reshaped(from.GroupVersionKind(), kind) {
		return fmt.Errorf("%s is not converted from %s here", kind, from.GroupVersionKind().Version)
	}
	to.Object = from.DeepCopy().Object
	to.SetGroupVersionKind(kind)
	return nil
}

// reshaped says whether two versions of a kind have other fields.
func reshaped(a, b schema.GroupVersionKind) bool {
	return a.Version != b.Version && slices.Contains([]string{"HorizontalPodAutoscaler", "ResourceClaim", "ResourceClaimTemplate", "ResourceSlice", "DeviceClass"}, a.Kind)
}

// maker makes objects without Go types.
type maker struct{}

// New implements runtime.ObjectCreater.
func (maker) New(kind schema.GroupVersionKind) (runtime.Object, error) {
	u := &unstructured.Unstructured{}
	u.SetGroupVersionKind(kind)
	return u, nil
}

// defaulter gives changed objects what their types make of them.
type defaulter struct{ stored bool }

// Default implements runtime.ObjectDefaulter.
func (d defaulter) Default(in runtime.Object) {
	u, ok := in.(*unstructured.Unstructured)
	if !ok {
		return
	}
	if o, err := newObject(u.Object, d.stored); err == nil {
		u.Object = o.Object
	}
}
