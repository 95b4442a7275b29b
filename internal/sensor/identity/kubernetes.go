package identity

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/seawall-security/seawall/internal/seawall"
)

// pod is what is used of a pod as the API server has it (core/v1).
type pod struct {
	Metadata struct {
		UID             string            `json:"uid"`
		Labels          map[string]string `json:"labels"`
		OwnerReferences []struct {
			Kind       string `json:"kind"`
			Name       string `json:"name"`
			Controller bool   `json:"controller"`
		} `json:"ownerReferences"`
	} `json:"metadata"`
	Spec struct {
		Containers          []podContainer `json:"containers"`
		InitContainers      []podContainer `json:"initContainers"`
		EphemeralContainers []podContainer `json:"ephemeralContainers"`
	} `json:"spec"`
}

type podContainer struct {
	Name  string `json:"name"`
	Image string `json:"image"`
}

// maxPod bounds a pod: etcd keeps no object of more than 1.5 MiB by its default.
const maxPod = 4 << 20

// refine takes over what the API server knows better than the runtime: which
// controller made the pod, which of an image's names the container was started by.
func (c *Container) refine(object []byte) error {
	if len(object) > maxPod {
		return fmt.Errorf("pod %s/%s: more than %d MiB: %w", c.Namespace, c.Pod, maxPod>>20, seawall.ErrBound)
	}
	var p pod
	if err := json.Unmarshal(object, &p); err != nil {
		return fmt.Errorf("pod %s/%s: %w: %w", c.Namespace, c.Pod, seawall.ErrCorrupt, err)
	}
	if p.Metadata.UID != c.PodUID {
		return nil // a later pod of that name, or a static pod's mirror
	}
	for _, o := range p.Metadata.OwnerReferences {
		if o.Controller {
			c.Workload = owned(&c.Container, o.Kind, o.Name)
		}
	}
	for _, all := range [][]podContainer{p.Spec.Containers, p.Spec.InitContainers, p.Spec.EphemeralContainers} {
		for _, of := range all {
			if of.Name != c.Name || of.Image == "" || c.Sandbox {
				continue
			}
			c.Image = fullName(of.Image)
			c.Repository, c.Tag = SplitImage(c.Image)
			c.finish()
		}
	}
	return nil
}

// owned names a workload by its pod's controller: a Deployment by its ReplicaSet.
func owned(c *seawall.Container, kind, name string) string {
	if d := Deployment(c); kind == "ReplicaSet" && d != "" {
		kind, name = "Deployment", d
	}
	if kind == "Node" { // a static pod
		kind, name = "Pod", c.Pod
	}
	return kind + "/" + c.Namespace + "/" + name
}

// fullName is a reference as runtimes write it: "nginx" is docker.io/library/nginx:latest.
func fullName(ref string) string {
	first, _, slash := strings.Cut(ref, "/")
	switch {
	case !slash:
		ref = "docker.io/library/" + ref
	case !strings.ContainsAny(first, ".:") && first != "localhost":
		ref = "docker.io/" + ref
	}
	if !strings.ContainsAny(ref[strings.LastIndexByte(ref, '/'):], ":@") {
		ref += ":latest"
	}
	return ref
}
