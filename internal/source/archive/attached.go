package archive

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/source"
	"github.com/seawall-security/seawall/internal/source/image"
)

// Attached implements source.Attacher.
func (Layout) Attached(ctx context.Context, name string, _ source.Options, w source.Wanted) (source.Attachments, error) {
	dir, choice := SplitName(name)
	root, err := os.OpenRoot(dir)
	if err != nil {
		return source.Attachments{}, fmt.Errorf("oci:%s: %w", name, notThere(err))
	}
	defer root.Close()
	found, err := attached(ctx, directory{root}, choice, w)
	if err != nil {
		return found, fmt.Errorf("oci:%s: %w", name, err)
	}
	return found, nil
}

// Attached implements source.Attacher.
func (OCI) Attached(ctx context.Context, name string, o source.Options, w source.Wanted) (source.Attachments, error) {
	file, choice := SplitName(name)
	t, err := openTar(ctx, file, o)
	if err != nil {
		return source.Attachments{}, fmt.Errorf("oci-archive:%s: %w", name, err)
	}
	defer t.Close()
	found, err := attached(ctx, t, choice, w)
	if err != nil {
		return found, fmt.Errorf("oci-archive:%s: %w", name, err)
	}
	return found, nil
}

// attached finds an image in a layout and what refers to it: manifests with a
// subject, under the tags a registry would use, or marked by "cosign save".
func attached(ctx context.Context, b bundle, choice string, w source.Wanted) (source.Attachments, error) {
	raw, err := readSmall(b, "index.json")
	if errors.Is(err, fs.ErrNotExist) {
		return source.Attachments{}, seawall.WithHint(fmt.Errorf("%w: no index.json: not an OCI image layout", seawall.ErrUnreadable),
			"signatures can be kept in a registry and in an OCI layout")
	} else if err != nil {
		return source.Attachments{}, err
	}
	ix, err := parseIndex(raw)
	if err != nil {
		return source.Attachments{}, err
	}
	var images, others []image.Descriptor
	subjects := map[string]string{}
	for _, d := range ix.Manifests {
		subject, err := image.Subject(ctx, blobs{b}, d)
		if err != nil {
			return source.Attachments{}, fmt.Errorf("%s: %w", d.Digest, err)
		}
		if subjects[d.Digest] = subject; subject != "" || isAttached(d) {
			others = append(others, d)
		} else {
			images = append(images, d)
		}
	}
	chosen, err := choose(images, choice)
	if err != nil {
		return source.Attachments{}, err
	}
	if len(chosen) > 1 {
		return source.Attachments{}, choiceError("it holds an image for each of several platforms, each with its own signature", chosen)
	}
	out := source.Attachments{Digest: chosen[0].Digest, MediaType: chosen[0].MediaType, Size: chosen[0].Size}
	if out.Known = w.Known(out.Digest); out.Known {
		return out, nil
	}
	a := image.NewAttaching(blobs{b}, w.MediaType)
	for _, d := range others {
		if subjects[d.Digest] != out.Digest && !marked(d, out.Digest, len(images)) {
			continue
		}
		if err := a.Manifest(ctx, d, d.Digest); err != nil {
			return out, err
		}
	}
	out.Found = a.Found()
	return out, nil
}

// cosignKind is the annotation by which "cosign save" tells images, signatures and attestations apart.
const cosignKind = "kind"

// isAttached tells signatures and the like without a subject from images in a layout's index.
func isAttached(d image.Descriptor) bool {
	kind, tag := d.Annotations[cosignKind], d.Annotations[image.AnnotationRefName]
	tag = tag[strings.LastIndexByte(tag, ':')+1:]
	digest, isDigest := strings.CutPrefix(strings.TrimSuffix(strings.TrimSuffix(tag, ".sig"), ".att"), "sha256-")
	return strings.HasSuffix(kind, "/sigs") || strings.HasSuffix(kind, "/atts") || isDigest && len(digest) == 64
}

// marked tells whether a manifest's tag is that of the digest's signatures, or
// it was saved as belonging to the only image there is.
func marked(d image.Descriptor, digest string, images int) bool {
	signatures, attestations, _ := image.AttachedTags(digest)
	tag := d.Annotations[image.AnnotationRefName]
	return strings.HasSuffix(tag, signatures) || strings.HasSuffix(tag, attestations) ||
		strings.HasPrefix(d.Annotations[cosignKind], "dev.cosignproject.cosign/") && images == 1
}
