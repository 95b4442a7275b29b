package object_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/source/object"
)

func TestPackages(t *testing.T) {
	node := func(name, kubelet, runtime string) *seawall.Object {
		return &seawall.Object{Kind: "Node", Name: name, JSON: []byte(`{"status":{"nodeInfo":{"kubeletVersion":"` + kubelet + `","containerRuntimeVersion":"` + runtime + `"}}}`)}
	}
	got := object.Packages("v1.29.3+k3s1", []*seawall.Object{
		node("a", "v1.29.3-eks-036c24b", "containerd://1.7.13-k3s1"), node("b", "v1.29.3", "containerd://2.0.1"), node("c", "v1.30.0-rc.1", "docker://20.10.7"),
		{Kind: "Pod", Name: "p"},
	})
	at := func(names ...string) (l []seawall.Location) {
		for _, n := range names {
			l = append(l, seawall.Location{Resource: "Node/" + n})
		}
		return l
	}
	want := []seawall.Package{
		{Name: "kube-apiserver", Version: "1.29.3", Ecosystem: "Kubernetes", PURL: "pkg:k8s/kube-apiserver@1.29.3", Kind: "binary"},
		{Name: "kubelet", Version: "1.29.3", Ecosystem: "Kubernetes", PURL: "pkg:k8s/kubelet@1.29.3", Kind: "binary", Locations: at("a", "b")},
		{Name: "github.com/containerd/containerd", Version: "1.7.13", Ecosystem: "Go", PURL: "pkg:golang/github.com/containerd/containerd@1.7.13", Kind: "binary", Locations: at("a")},
		{Name: "github.com/containerd/containerd/v2", Version: "2.0.1", Ecosystem: "Go", PURL: "pkg:golang/github.com/containerd/containerd/v2@2.0.1", Kind: "binary", Locations: at("b")},
		{Name: "kubelet", Version: "1.30.0-rc.1", Ecosystem: "Kubernetes", PURL: "pkg:k8s/kubelet@1.30.0-rc.1", Kind: "binary", Locations: at("c")},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
