package all

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/source"
	"github.com/seawall-security/seawall/internal/source/archive"
	"github.com/seawall-security/seawall/internal/source/registry"
)

// Attached fetches what lies beside an image (see source.Attacher), which is
// named as for Open.
func Attached(ctx context.Context, name string, o source.Options, w source.Wanted) (source.Attachments, error) {
	scheme, rest, ok := strings.Cut(name, ":")
	if !ok || !slices.ContainsFunc(Openers(), func(op source.Opener) bool { return slices.Contains(op.Schemes(), scheme) }) {
		if !looksLikePath(name) {
			return registry.Opener{}.Attached(ctx, name, o, w)
		}
		file, _ := archive.SplitName(name)
		found, err := recognise(file)
		if err != nil {
			return source.Attachments{}, err
		}
		scheme, rest = found, name
	}
	for _, op := range Openers() {
		if a, ok := op.(source.Attacher); ok && slices.Contains(op.Schemes(), scheme) {
			return a.Attached(ctx, rest, o, w)
		}
	}
	return source.Attachments{}, seawall.WithHint(fmt.Errorf("%s: %w: %s: keeps no signatures beside an image", name, seawall.ErrUsage, scheme),
		"name the image in its registry, or in an OCI layout (oci:DIR, oci-archive:TAR)")
}
