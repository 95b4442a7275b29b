package registry

import (
	"context"
	"fmt"

	"github.com/google/go-containerregistry/pkg/name"

	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/source"
)

// Digest is what a reference leads to now: the digest of a manifest, or of the index
// of a multi-platform image.
func (op Opener) Digest(ctx context.Context, ref string, o source.Options) (string, error) {
	r, err := name.ParseReference(ref)
	if err != nil {
		return "", fmt.Errorf("%q: %w: not an image reference", ref, seawall.ErrUsage)
	}
	if o.Offline {
		return "", fmt.Errorf("%s: %w: asking %s needs the network, and the run is offline", ref, seawall.ErrUnreadable, r.Context().RegistryStr())
	}
	c, err := op.connect(ctx, r, o)
	if err != nil {
		return "", explain(ref, r, err)
	}
	defer c.Close()
	root, err := c.root(ctx, r)
	if err != nil {
		return "", explain(ref, r, err)
	}
	return root.Digest, nil
}
