package controller

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/typed/core/v1"

	"github.com/seawall-security/seawall/internal/admission/certificate"
)

// secret is a Secret as a certificate.Store.
type secret struct {
	client v1.SecretInterface
	name   string
}

// Get implements certificate.Store. A Secret without data is as good as none, but for its version.
func (s *secret) Get(ctx context.Context) (map[string][]byte, string, error) {
	is, err := s.client.Get(ctx, s.name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return nil, "", nil
	case err != nil:
		return nil, "", fmt.Errorf("secret %s: %w", s.name, err)
	case len(is.Data) == 0:
		return nil, is.ResourceVersion, nil
	}
	return is.Data, is.ResourceVersion, nil
}

// Put implements certificate.Store.
func (s *secret) Put(ctx context.Context, data map[string][]byte, version string) error {
	want := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: s.name, ResourceVersion: version, Labels: map[string]string{"app.kubernetes.io/name": "seawall"}}, Type: corev1.SecretTypeOpaque, Data: data}
	var err error
	if version == "" {
		_, err = s.client.Create(ctx, want, metav1.CreateOptions{})
	} else {
		var is *corev1.Secret
		if is, err = s.client.Get(ctx, s.name, metav1.GetOptions{}); err == nil {
			is.ResourceVersion, is.Data = version, data
			_, err = s.client.Update(ctx, is, metav1.UpdateOptions{})
		}
	}
	if apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("secret %s: %w", s.name, certificate.ErrConflict)
	}
	if err != nil {
		return fmt.Errorf("secret %s: %w", s.name, err)
	}
	return nil
}
