package object

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/seawall-security/seawall/internal/seawall"
)

// Packages are what a cluster says it runs on, so that known vulnerabilities are
// found: the API server by its version, and each version of kubelet and container
// runtime that nodes report, with those nodes as locations.
func Packages(server string, objects []*seawall.Object) []seawall.Package {
	var packages []seawall.Package
	add := func(name, version, ecosystem, purl, resource string) {
		version = upstream(version)
		if version == "" {
			return
		}
		i := slices.IndexFunc(packages, func(p seawall.Package) bool { return p.Name == name && p.Version == version })
		if i < 0 {
			i = len(packages)
			packages = append(packages, seawall.Package{Name: name, Version: version, Ecosystem: ecosystem, PURL: purl + "@" + version, Kind: "binary"})
		}
		if resource != "" {
			packages[i].Locations = append(packages[i].Locations, seawall.Location{Resource: resource})
		}
	}
	add("kube-apiserver", server, "Kubernetes", "pkg:k8s/kube-apiserver", "")
	for _, o := range objects {
		var node struct {
			Status struct {
				NodeInfo struct{ KubeletVersion, ContainerRuntimeVersion string }
			}
		}
		if o.Kind != "Node" || json.Unmarshal(o.JSON, &node) != nil {
			continue
		}
		info := node.Status.NodeInfo
		add("kubelet", info.KubeletVersion, "Kubernetes", "pkg:k8s/kubelet", o.Resource())
		runtime, version, _ := strings.Cut(info.ContainerRuntimeVersion, "://")
		switch {
		case runtime == "containerd" && strings.HasPrefix(strings.TrimPrefix(version, "v"), "1."):
			add("github.com/containerd/containerd", version, "Go", "pkg:golang/github.com/containerd/containerd", o.Resource())
		case runtime == "containerd":
			add("github.com/containerd/containerd/v2", version, "Go", "pkg:golang/github.com/containerd/containerd/v2", o.Resource())
		case runtime == "cri-o":
			add("github.com/cri-o/cri-o", version, "Go", "pkg:golang/github.com/cri-o/cri-o", o.Resource())
		}
	}
	return packages
}

// upstream is a version without what distributions append: "1.29.3" of
// "v1.29.3+k3s1" and "v1.29.3-eks-036c24b"; "" when it is none.
func upstream(version string) string {
	version = strings.TrimPrefix(version, "v")
	end := strings.IndexFunc(version, func(r rune) bool { return r != '.' && (r < '0' || r > '9') })
	if end >= 0 && !strings.HasPrefix(version[end:], "-alpha") && !strings.HasPrefix(version[end:], "-beta") && !strings.HasPrefix(version[end:], "-rc") {
		version = version[:end]
	}
	return version
}
