// Package all lists every Opener, so that only one place knows them, and picks
// the one a target's name asks for.
package all

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/source"
	"github.com/seawall-security/seawall/internal/source/archive"
	"github.com/seawall-security/seawall/internal/source/rootfs"
	"github.com/seawall-security/seawall/internal/source/sbom"
)

// Openers returns every way to open a target.
func Openers() []source.Opener {
	return append([]source.Opener{
		archive.Layout{},
		archive.OCI{},
		archive.Docker{},
		sbom.Opener{},
	}, rootfs.Openers()...)
}

// Open opens a target by the scheme before its first colon: "oci:DIR",
// "docker-archive:TAR", "rootfs:DIR", "host:".
func Open(ctx context.Context, name string, o source.Options) (seawall.Target, error) {
	scheme, rest, ok := strings.Cut(name, ":")
	if ok {
		for _, op := range Openers() {
			if slices.Contains(op.Schemes(), scheme) {
				return op.Open(ctx, rest, o)
			}
		}
	}
	if st, err := os.Stat(name); err == nil {
		if st.IsDir() {
			return archive.Layout{}.Open(ctx, name, o)
		}
		return archive.Docker{}.Open(ctx, name, o)
	}
	return nil, fmt.Errorf("%s: %w", name, seawall.ErrUsage)
}
