package cluster

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/seawall-security/seawall/internal/seawall"
)

// Image is an image that pods run.
type Image struct {
	// ID is the container runtime's word on it: "registry/name@sha256:…" for an image
	// that was pulled, else the digest of its configuration, "sha256:…".
	ID string
	// Names are what the pods called it, in order.
	Names []string
	// Workloads run it: "Deployment/shop/web", in order.
	Workloads []string
	// PullSecrets are the secrets ("namespace/name") its pods may pull with, in order.
	PullSecrets []string
	// Nodes have it, in order.
	Nodes []string
}

// imageIndex gathers images while pods go by.
type imageIndex struct{ byID map[string]*Image }

func newImageIndex() *imageIndex { return &imageIndex{byID: map[string]*Image{}} }

// add notes what a pod runs for workload. Pods that ended run nothing.
func (x *imageIndex) add(it *item, spec *podSpec, workload string) error {
	var status struct {
		Phase                      string
		ContainerStatuses          []containerStatus
		InitContainerStatuses      []containerStatus
		EphemeralContainerStatuses []containerStatus
	}
	if raw := it.raw["status"]; raw != nil {
		if err := json.Unmarshal(raw, &status); err != nil {
			return fmt.Errorf("status: %w: %w", seawall.ErrCorrupt, err)
		}
	}
	if status.Phase == "Succeeded" || status.Phase == "Failed" {
		return nil
	}
	for _, c := range slices.Concat(status.InitContainerStatuses, status.ContainerStatuses, status.EphemeralContainerStatuses) {
		id := plainID(c.ImageID)
		if id == "" {
			continue // not pulled yet
		}
		img := x.byID[id]
		if img == nil {
			img = &Image{ID: id}
			x.byID[id] = img
		}
		include(&img.Names, c.Image)
		include(&img.Workloads, workload)
		include(&img.Nodes, spec.NodeName)
		for _, s := range spec.ImagePullSecrets {
			include(&img.PullSecrets, it.meta.Namespace+"/"+s.Name)
		}
	}
	return nil
}

// plainID takes off what older runtimes put in front: docker-pullable://, docker://.
func plainID(id string) string {
	if _, rest, ok := strings.Cut(id, "://"); ok {
		return rest
	}
	return id
}

// include adds a word to a sorted list once.
func include(list *[]string, word string) {
	if i, ok := slices.BinarySearch(*list, word); !ok && word != "" {
		*list = slices.Insert(*list, i, word)
	}
}

// Images are the distinct images that running pods use, by ID, once Facts has
// returned. It needs Options.Images.
func (t *Target) Images() []Image {
	var out []Image
	for _, img := range t.images.byID {
		out = append(out, *img)
	}
	slices.SortFunc(out, func(a, b Image) int { return strings.Compare(a.ID, b.ID) })
	return out
}
