package cluster

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/source"
)

// Image is an image that pods run.
type Image struct {
	// ID is the container runtime's word on it: "registry/name@sha256:…" for an image
	// that was pulled, else the digest of its configuration, "sha256:…".
	ID string
	// Names are what the pods call it, in order.
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
	called := spec.images()
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
		include(&img.Names, called[c.Name])
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

// PullSecrets are the credentials an image's pods may pull with, by registry, as
// in the files of docker: "registry.example.org" or "registry.example.org/team".
// Each secret is read by its name, when this is called. Credentials beside an
// error, which wraps seawall.ErrUnreadable, are those of the other secrets.
func (t *Target) PullSecrets(ctx context.Context, img *Image) (map[string]source.Credentials, error) {
	keys := map[string]source.Credentials{}
	var problems []error
	for _, name := range img.PullSecrets {
		namespace, secret, _ := strings.Cut(name, "/")
		var got struct{ Data map[string][]byte }
		path := "/api/v1/namespaces/" + url.PathEscape(namespace) + "/secrets/" + url.PathEscape(secret)
		err := t.api.get(ctx, path, &got)
		if err == nil {
			err = readDockerConfig(got.Data, keys)
		}
		switch {
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case err != nil:
			problems = append(problems, fmt.Errorf("pull secret %s: %w: %w", name, seawall.ErrUnreadable, err))
		}
	}
	return keys, errors.Join(problems...)
}

// readDockerConfig reads the two forms of pull secrets: docker's config.json, and the older .dockercfg.
func readDockerConfig(data map[string][]byte, keys map[string]source.Credentials) error {
	type auth struct{ Username, Password, Auth, IdentityToken string }
	var config struct{ Auths map[string]auth }
	text, err := data[".dockerconfigjson"], error(nil)
	if text != nil {
		err = json.Unmarshal(text, &config)
	} else {
		err = json.Unmarshal(data[".dockercfg"], &config.Auths)
	}
	if err != nil {
		return errors.New("not a docker configuration") // the cause would quote it
	}
	for registry, a := range config.Auths {
		c := source.Credentials{Username: a.Username, Password: a.Password, IdentityToken: a.IdentityToken}
		if a.Auth != "" {
			pair, err := base64.StdEncoding.DecodeString(a.Auth)
			if err != nil {
				return errors.New("not a docker configuration: auth is no base64")
			}
			c.Username, c.Password, _ = strings.Cut(string(pair), ":")
		}
		registry = strings.TrimPrefix(strings.TrimPrefix(registry, "https://"), "http://")
		registry = strings.TrimSuffix(strings.TrimSuffix(strings.TrimSuffix(registry, "/"), "/v2"), "/v1")
		keys[registry] = c
	}
	return nil
}
