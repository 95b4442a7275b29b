package compliance

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seawall-security/seawall/internal/seawall"
)

func TestCounterparts(t *testing.T) {
	for _, c := range []struct{ in, want []string }{
		{nil, nil},
		{[]string{"cis-k8s-1.12:1.2.1"}, []string{"cis-k8s-1.12:1.2.1"}},
		{[]string{"x", "cis-k8s-1.12:5.1.10"}, []string{"cis-aks-1.8:4.1.9", "cis-k3s-1.8:5.1.10", "cis-k8s-1.12:5.1.10", "cis-rke2-1.7:5.1.10", "x"}},
		{[]string{"cis-k8s-1.12:5.2.8"}, []string{"cis-k3s-1.8:5.2.8", "cis-k3s-1.8:5.2.9", "cis-k8s-1.12:5.2.8", "cis-rke2-1.7:5.2.8", "cis-rke2-1.7:5.2.9"}},
	} {
		if diff := cmp.Diff(c.want, WithCounterparts(c.in)); diff != "" {
			t.Errorf("%v: %s", c.in, diff)
		}
	}
	f := seawall.Finding{Rule: "SW-X-1", Status: seawall.StatusFail, Frameworks: []string{"cis-k8s-1.12:5.1.1"}}
	got := NewMapper().Frameworks(&f, time.Now())
	for _, want := range []string{"cis-eks-1.7:4.1.1", "cis-gke-1.8:4.1.1", "cis-k8s-1.12:5.1.1"} {
		found := false
		for _, id := range got {
			found = found || id == want
		}
		if !found {
			t.Errorf("the mapper does not say %s: %v", want, got)
		}
	}
}
