package posture

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/seawall-security/seawall/internal/scan"
	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/source"
	"github.com/seawall-security/seawall/internal/source/cluster"
	"github.com/seawall-security/seawall/internal/source/containerd"
	"github.com/seawall-security/seawall/internal/source/registry"
)

// images are the images that pods run, as targets.
func images(c *cluster.Target, insecure []string) []scan.Target {
	var targets []scan.Target
	for _, img := range c.Images() {
		targets = append(targets, scan.Target{Name: shownName(&img), Open: func(ctx context.Context, progress func(seawall.Progress)) (seawall.Target, error) {
			t, err := openImage(ctx, c, &img, source.Options{Progress: progress, Insecure: insecure})
			if err != nil {
				return nil, err
			}
			return running{t, &img}, nil
		}})
	}
	return targets
}

// shownName is what people know an image by.
func shownName(img *cluster.Image) string {
	for _, n := range img.Names {
		if !strings.HasPrefix(n, "sha256:") {
			return n
		}
	}
	return img.ID
}

// openImage takes an image from this machine's containerd, where it lies there,
// else from its registry. Both are asked for the very digest that runs.
func openImage(ctx context.Context, c *cluster.Target, img *cluster.Image, o source.Options) (seawall.Target, error) {
	o.Namespace = "k8s.io"
	local, err := containerd.Opener{}.Open(ctx, img.ID, o)
	if err == nil {
		return local, nil
	}
	if !strings.Contains(img.ID, "@") {
		return nil, seawall.WithHint(fmt.Errorf("%w: it was not pulled from a registry and lies only on its nodes (%s)", seawall.ErrUnreadable, strings.Join(img.Nodes, ", ")),
			"scan it there: seawall scan image containerd:"+img.ID+" --namespace k8s.io")
	}
	keys, err := c.PullSecrets(ctx, img)
	if err != nil && !errors.Is(err, seawall.ErrUnreadable) {
		return nil, err
	}
	t, openErr := registry.Opener{Keys: keys}.Open(ctx, img.ID, o)
	if openErr != nil && err != nil {
		return nil, seawall.WithHint(fmt.Errorf("%w (and %w)", openErr, err), "let the scan get the pods' pull secrets: deploy/rbac/pull-secrets.yaml")
	}
	return t, openErr
}

// running is an image with the workloads that run it.
type running struct {
	seawall.Target
	image *cluster.Image
}

// Asset implements seawall.Target.
func (r running) Asset() seawall.Asset {
	asset := r.Target.Asset()
	asset.Name = shownName(r.image)
	asset.Workloads = r.image.Workloads
	return asset
}

// Facts implements seawall.Describer for images that have facts of their own.
func (r running) Facts(ctx context.Context) ([]seawall.Fact, error) {
	if d, ok := r.Target.(seawall.Describer); ok {
		return d.Facts(ctx)
	}
	return nil, nil
}
