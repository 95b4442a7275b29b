package controller

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"

	"github.com/seawall-security/seawall/internal/admission/certificate"
)

func TestSecret(t *testing.T) {
	client := fake.NewClientset()
	s := &secret{client.CoreV1().Secrets("ns"), "tls"}
	ctx := t.Context()
	if data, version, err := s.Get(ctx); data != nil || version != "" || err != nil {
		t.Errorf("of nothing: %v %q %v", data, version, err)
	}
	// The chart's empty Secret is filled, and keeps its labels.
	empty := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "tls", Namespace: "ns", ResourceVersion: "7", Labels: map[string]string{"kept": "yes"}}}
	if err := client.Tracker().Add(empty); err != nil {
		t.Fatal(err)
	}
	data, version, err := s.Get(ctx)
	if data != nil || version != "7" || err != nil {
		t.Errorf("of an empty one: %v %q %v", data, version, err)
	}
	want := map[string][]byte{"a": []byte("b")}
	if err := s.Put(ctx, want, version); err != nil {
		t.Fatal(err)
	}
	is, _ := client.CoreV1().Secrets("ns").Get(ctx, "tls", metav1.GetOptions{})
	if diff := cmp.Diff(want, is.Data); diff != "" || is.Labels["kept"] != "yes" {
		t.Error(diff, is.Labels)
	}
	if err := s.Put(ctx, want, ""); !errors.Is(err, certificate.ErrConflict) {
		t.Errorf("created twice: %v", err)
	}
	client.PrependReactor("update", "secrets", func(a clienttesting.Action) (bool, runtime.Object, error) {
		if v := a.(clienttesting.UpdateAction).GetObject().(*corev1.Secret).ResourceVersion; v != "8" {
			return true, nil, apierrors.NewConflict(schema.GroupResource{Resource: "secrets"}, "tls", errors.New("version "+v))
		}
		return false, nil, nil
	})
	if err := s.Put(ctx, want, "7"); !errors.Is(err, certificate.ErrConflict) {
		t.Errorf("an old version: %v", err)
	}
	if err := s.Put(ctx, want, "8"); err != nil {
		t.Error(err)
	}
}
