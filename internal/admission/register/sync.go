package register

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	arv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/kubernetes/typed/admissionregistration/v1"

	"github.com/seawall-security/seawall/internal/admission/certificate"
)

// Registry is the API server's webhook configurations.
type Registry struct {
	Client v1.AdmissionregistrationV1Interface
}

// Sync makes the API server have what it should, and says what it changed. Labels
// and annotations that others added stay.
func (r *Registry) Sync(ctx context.Context, want Configurations) (changed []string, err error) {
	validating, err1 := sync(ctx, want.Validating, r.Client.ValidatingWebhookConfigurations(), func(is *arv1.ValidatingWebhookConfiguration) bool {
		if equality.Semantic.DeepEqual(is.Webhooks, want.Validating.Webhooks) {
			return false
		}
		is.Webhooks = want.Validating.Webhooks
		return true
	})
	mutating, err2 := sync(ctx, want.Mutating, r.Client.MutatingWebhookConfigurations(), func(is *arv1.MutatingWebhookConfiguration) bool {
		if equality.Semantic.DeepEqual(is.Webhooks, want.Mutating.Webhooks) {
			return false
		}
		is.Webhooks = want.Mutating.Webhooks
		return true
	})
	for _, what := range []string{validating, mutating} {
		if what != "" {
			changed = append(changed, what)
		}
	}
	return changed, errors.Join(err1, err2)
}

// client is what the typed clients of both kinds have in common.
type client[T any] interface {
	Get(ctx context.Context, name string, o metav1.GetOptions) (T, error)
	Create(ctx context.Context, object T, o metav1.CreateOptions) (T, error)
	Update(ctx context.Context, object T, o metav1.UpdateOptions) (T, error)
}

// sync creates an object, or updates it where change changes it.
func sync[T metav1.Object](ctx context.Context, want T, c client[T], change func(is T) bool) (string, error) {
	is, err := c.Get(ctx, want.GetName(), metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		if _, err = c.Create(ctx, want, metav1.CreateOptions{}); err == nil {
			return fmt.Sprintf("%T created", want), nil
		}
		if apierrors.IsForbidden(err) { // as installed by the chart, which makes them
			return "", fmt.Errorf("registering webhooks: %T %s is gone, and nothing is judged without it: %w", want, want.GetName(), err)
		}
	}
	if err != nil {
		return "", fmt.Errorf("registering webhooks: %w", err)
	}
	if !change(is) {
		return "", nil
	}
	if _, err = c.Update(ctx, is, metav1.UpdateOptions{}); err != nil {
		return "", fmt.Errorf("registering webhooks: %w", err)
	}
	return fmt.Sprintf("%T changed", want), nil
}

// Published says whether every webhook of the configurations trusts all of the authorities.
func (r *Registry) Published(ctx context.Context, name string, authorities []byte) bool {
	validating, err := r.Client.ValidatingWebhookConfigurations().Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return false
	}
	mutating, err := r.Client.MutatingWebhookConfigurations().Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return false
	}
	for _, w := range validating.Webhooks {
		if !certificate.Trusts(w.ClientConfig.CABundle, authorities) {
			return false
		}
	}
	for _, w := range mutating.Webhooks {
		if !certificate.Trusts(w.ClientConfig.CABundle, authorities) {
			return false
		}
	}
	return true
}

// Discover lists what the API server has, in the versions that it prefers. Where a
// group does not answer, what was known of it stays.
func Discover(d discovery.DiscoveryInterface, known []Resource) ([]Resource, error) {
	lists, err := d.ServerPreferredResources()
	var out []Resource
	answered := map[string]bool{}
	for _, list := range lists {
		for i := range list.APIResources {
			a := &list.APIResources[i]
			gv := groupVersion(list.GroupVersion)
			answered[gv[0]] = true
			if !canCreate(a) {
				continue
			}
			out = append(out, Resource{Group: gv[0], Version: gv[1], Name: a.Name, Kind: a.Kind, Namespaced: a.Namespaced})
		}
	}
	var partial *discovery.ErrGroupDiscoveryFailed
	if err != nil && !errors.As(err, &partial) {
		return known, fmt.Errorf("asking what resources there are: %w", err)
	}
	for _, r := range known {
		if err != nil && !answered[r.Group] {
			out = append(out, r)
		}
	}
	return out, nil
}

// canCreate leaves out subresources, and what is only read.
func canCreate(a *metav1.APIResource) bool {
	return !strings.Contains(a.Name, "/") && slices.Contains(a.Verbs, "create")
}

func groupVersion(s string) [2]string {
	if group, version, ok := strings.Cut(s, "/"); ok {
		return [2]string{group, version}
	}
	return [2]string{"", s}
}
