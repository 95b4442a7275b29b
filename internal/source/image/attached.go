package image

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"strings"

	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/source"
)

// Bounds of what is read beside one image: anybody who may push can add to it.
const (
	maxAttached            = 256
	maxAttachedBytes int64 = 64 << 20
	maxAttachedTotal int64 = 256 << 20
)

// AttachedTags are the tags under which cosign stores signatures and
// attestations of a digest, and the one that lists its referrers in registries
// without the referrers API (OCI distribution specification, "Referrers Tag Schema").
func AttachedTags(digest string) (signatures, attestations, referrers string) {
	base := strings.Replace(digest, ":", "-", 1)
	return base + ".sig", base + ".att", base
}

// Attaching collects what lies beside an image, within bounds.
type Attaching struct {
	store Store
	wants func(mediaType string) bool
	found []source.Attached
	seen  map[string]bool
	total int64
}

// NewAttaching reads from a store what is wanted by media type.
func NewAttaching(s Store, wants func(mediaType string) bool) *Attaching {
	return &Attaching{store: s, wants: wants, seen: map[string]bool{}}
}

// Found returns what Manifest and Index collected.
func (a *Attaching) Found() []source.Attached { return a.found }

// artifact is what is read of an artifact's manifest, or of an index of them.
type artifact struct {
	Layers      []Descriptor      `json:"layers"`
	Manifests   []Descriptor      `json:"manifests"`
	Annotations map[string]string `json:"annotations"`
}

func parseArtifact(raw []byte) (*artifact, error) {
	var doc artifact
	if err := json.Unmarshal(raw, &doc); err != nil {
		return nil, fmt.Errorf("%w: not JSON: %w", seawall.ErrCorrupt, err)
	}
	return &doc, nil
}

// Index collects from every manifest of an index of referrers.
func (a *Attaching) Index(ctx context.Context, raw []byte) error {
	doc, err := parseArtifact(raw)
	if err != nil {
		return fmt.Errorf("list of referrers: %w", err)
	}
	for _, d := range doc.Manifests {
		if len(a.seen) >= maxAttached {
			return fmt.Errorf("%w: more than %d signatures and attestations", seawall.ErrBound, maxAttached)
		}
		if err := a.Manifest(ctx, d, d.Digest); err != nil {
			return err
		}
	}
	return nil
}

// Manifest collects the wanted layers of one manifest, once.
func (a *Attaching) Manifest(ctx context.Context, d Descriptor, place string) error {
	if a.seen[d.Digest] {
		return nil
	}
	a.seen[d.Digest] = true
	raw, err := ReadBlob(ctx, a.store, d)
	if err != nil {
		return a.fail(place, d.MediaType, err)
	}
	doc, err := parseArtifact(raw)
	if err != nil {
		return a.fail(place, d.MediaType, err)
	}
	for i, layer := range doc.Layers {
		if !a.wants(layer.MediaType) {
			continue
		}
		if len(a.found) >= maxAttached {
			return fmt.Errorf("%w: more than %d signatures and attestations", seawall.ErrBound, maxAttached)
		}
		where := place
		if len(doc.Layers) > 1 {
			where = fmt.Sprintf("%s layer %d", place, i+1)
		}
		content, err := a.read(ctx, layer)
		if err != nil {
			if err = a.fail(where, layer.MediaType, err); err != nil {
				return err
			}
			continue
		}
		annotations := maps.Clone(doc.Annotations)
		if annotations == nil {
			annotations = map[string]string{}
		}
		maps.Copy(annotations, layer.Annotations)
		a.found = append(a.found, source.Attached{MediaType: layer.MediaType, Annotations: annotations, Content: content, Place: where})
	}
	return nil
}

// fail keeps what is wrong with a stored thing; what keeps us from reading anything ends the run.
func (a *Attaching) fail(place, mediaType string, err error) error {
	if errors.Is(err, seawall.ErrCorrupt) || errors.Is(err, seawall.ErrBound) {
		a.found = append(a.found, source.Attached{MediaType: mediaType, Place: place, Err: err})
		return nil
	}
	return fmt.Errorf("%s: %w", place, err)
}

// read is ReadBlob for larger blobs.
func (a *Attaching) read(ctx context.Context, d Descriptor) ([]byte, error) {
	if err := CheckDigest(d.Digest); err != nil {
		return nil, err
	}
	limit := min(maxAttachedBytes, maxAttachedTotal-a.total)
	if d.Size > limit {
		return nil, fmt.Errorf("%s: %w: %d bytes where at most %d are read", d.Digest, seawall.ErrBound, d.Size, limit)
	}
	rc, err := a.store.Blob(ctx, d)
	if err != nil {
		return nil, err
	}
	defer rc.Close()
	checked, err := newCheckedReader(ctx, rc, d.Digest, d.Size)
	if err != nil {
		return nil, err
	}
	raw, err := io.ReadAll(io.LimitReader(checked, limit+1))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", d.Digest, err)
	}
	if int64(len(raw)) > limit {
		return nil, fmt.Errorf("%s: %w: more than %d bytes", d.Digest, seawall.ErrBound, limit)
	}
	a.total += int64(len(raw))
	return raw, nil
}

// Subject returns the digest of what a manifest refers to, "" where it stands for itself.
func Subject(ctx context.Context, s Store, d Descriptor) (string, error) {
	raw, err := ReadBlob(ctx, s, d)
	if err != nil {
		return "", err
	}
	var doc struct {
		Subject Descriptor `json:"subject"`
	}
	if err := json.Unmarshal(raw, &doc); err != nil {
		return "", fmt.Errorf("%w: not JSON: %w", seawall.ErrCorrupt, err)
	}
	return doc.Subject.Digest, nil
}
