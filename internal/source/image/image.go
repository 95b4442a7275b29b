package image

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/source"
)

// Store gives access to the blobs of one place by digest.
type Store interface {
	// Blob opens the stored bytes of a blob. The bytes need not be verified. A
	// blob that is not there is seawall.ErrUnreadable.
	Blob(ctx context.Context, d Descriptor) (io.ReadCloser, error)
}

// Parts is an image taken apart, ready to be a Target.
type Parts struct {
	// Name is what the user called it.
	Name string
	// Digest is the manifest's; "" where the place knows no manifest.
	Digest string
	// Config is the raw configuration.
	Config []byte
	// Annotations are the manifest's.
	Annotations map[string]string
	// Layers, lowest first.
	Layers []Blob
	// RepoTags and RepoDigests are the full names the place knows the image by.
	RepoTags, RepoDigests []string
	// Closer is closed with the Target; may be nil.
	Closer io.Closer
}

// Blob is a stored layer.
type Blob struct {
	MediaType string
	// Digest is of the stored bytes and is verified; when it is "", the layer's
	// diff ID is verified instead.
	Digest string
	// Size is of the stored bytes; 0 when unknown.
	Size int64
	Open func(ctx context.Context) (io.ReadCloser, error)
}

// check refuses digests that cannot be verified, before they become part of a path or an address.
func (b *Blob) check(diffID string) error {
	if b.Size < 0 {
		return fmt.Errorf("%w: a size of %d bytes", seawall.ErrCorrupt, b.Size)
	}
	if b.Digest != "" {
		if err := CheckDigest(b.Digest); err != nil {
			return err
		}
	}
	return CheckDigest(diffID)
}

// Open resolves a descriptor (an index, a manifest) in a store to the image for
// the wanted platform. parts carries the name, tags and closer; the rest is filled in.
// On error the closer is left to the caller.
func Open(ctx context.Context, s Store, d Descriptor, parts Parts, o source.Options) (seawall.Target, error) {
	return OpenAny(ctx, s, []Descriptor{d}, parts, o)
}

// OpenAny is Open for a list of descriptors that are one image for several platforms, as in an index.
func OpenAny(ctx context.Context, s Store, ds []Descriptor, parts Parts, o source.Options) (seawall.Target, error) {
	r := resolver{store: s, wish: o.Platform}
	found, err := r.resolveAny(ctx, ds, 0)
	if err != nil {
		return nil, err
	}
	parts.Digest, parts.Config = found.digest, found.config
	parts.Annotations, parts.Layers = found.manifest.Annotations, nil
	for _, l := range found.manifest.Layers {
		parts.Layers = append(parts.Layers, Blob{
			MediaType: l.MediaType, Digest: l.Digest, Size: l.Size,
			Open: func(ctx context.Context) (io.ReadCloser, error) { return s.Blob(ctx, l) },
		})
	}
	return New(parts, o)
}

// resolved is a manifest with its configuration.
type resolved struct {
	digest   string
	manifest *document
	config   []byte
}

// resolver follows indexes to the manifest for a platform.
type resolver struct {
	store Store
	wish  string
	read  int
}

// Bounds of a walk through indexes: they may nest, and may list manifests without a platform.
const maxIndexDepth, maxManifestsRead = 4, 64

func (r *resolver) resolve(ctx context.Context, d Descriptor, depth int) (*resolved, error) {
	if r.read++; r.read > maxManifestsRead || depth > maxIndexDepth {
		return nil, fmt.Errorf("%w: indexes nested too deep or too wide", seawall.ErrBound)
	}
	raw, err := ReadBlob(ctx, r.store, d)
	if err != nil {
		return nil, fmt.Errorf("manifest: %w", err)
	}
	doc, err := parseDocument(raw)
	if err != nil {
		return nil, fmt.Errorf("manifest %s: %w", d.Digest, err)
	}
	if !doc.isIndex() {
		return r.manifest(ctx, d, doc)
	}
	return r.resolveAny(ctx, doc.Manifests, depth+1)
}

// resolveAny tries the manifests of an index that may be for the wanted platform.
func (r *resolver) resolveAny(ctx context.Context, ds []Descriptor, depth int) (*resolved, error) {
	candidates, err := pick(ds, r.wish)
	if err != nil {
		return nil, err
	}
	var first error
	for _, c := range candidates {
		found, err := r.resolve(ctx, c, depth)
		if err == nil {
			return found, nil
		}
		first = cmp.Or(first, err)
		if !errors.Is(err, ErrOtherPlatform) {
			return nil, err
		}
	}
	return nil, first
}

// ErrOtherPlatform: the image is for another platform than the one asked for.
var ErrOtherPlatform = fmt.Errorf("%w: not the platform asked for", seawall.ErrUnreadable)

// manifest reads the configuration beside an image manifest and checks the platform the user asked for.
func (r *resolver) manifest(ctx context.Context, d Descriptor, doc *document) (*resolved, error) {
	if err := doc.checkImage(); err != nil {
		return nil, err
	}
	config, err := ReadBlob(ctx, r.store, *doc.Config)
	if err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	if err := CheckPlatform(config, r.wish); err != nil {
		return nil, err
	}
	return &resolved{digest: d.Digest, manifest: doc, config: config}, nil
}

// IsArtifact tells manifests of something that is not a container image: a
// signature, an SBOM attached to an image. An index is none. What cannot be read is none
// either: whoever opens it learns why.
func IsArtifact(ctx context.Context, s Store, d Descriptor) bool {
	raw, err := ReadBlob(ctx, s, d)
	if err != nil {
		return false
	}
	doc, err := parseDocument(raw)
	return err == nil && !doc.isIndex() && errors.Is(doc.checkImage(), errArtifact)
}

// CheckPlatform refuses a configuration for another platform than the one asked for; "" asks for none.
func CheckPlatform(config []byte, wish string) error {
	want, err := ParsePlatform(wish)
	if err != nil || wish == "" {
		return err
	}
	var have Platform
	if json.Unmarshal(config, &have) != nil || have.fit(want) > 0 {
		return nil
	}
	return seawall.WithHint(fmt.Errorf("%w: the image is for %s, not %s", ErrOtherPlatform, have, want), "leave out --platform to scan it")
}

// ReadBlob reads and verifies a small blob: a manifest, an index, a configuration.
func ReadBlob(ctx context.Context, s Store, d Descriptor) ([]byte, error) {
	if err := CheckDigest(d.Digest); err != nil {
		return nil, err
	}
	if d.Size > maxDocument {
		return nil, fmt.Errorf("%s: %w: %d bytes where at most %d are read", d.Digest, seawall.ErrBound, d.Size, maxDocument)
	}
	rc, err := s.Blob(ctx, d)
	if err != nil {
		return nil, err
	}
	defer rc.Close()
	checked, err := newCheckedReader(ctx, rc, d.Digest, d.Size)
	if err != nil {
		return nil, err
	}
	raw, err := io.ReadAll(io.LimitReader(checked, maxDocument+1))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", d.Digest, err)
	}
	if len(raw) > maxDocument {
		return nil, fmt.Errorf("%s: %w: more than %d bytes", d.Digest, seawall.ErrBound, maxDocument)
	}
	return raw, nil
}

// target implements seawall.Target.
type target struct {
	asset  seawall.Asset
	layers []seawall.Layer
	closer io.Closer
	once   sync.Once
}

// New makes a Target of an image taken apart. Errors wrap seawall.ErrCorrupt.
func New(p Parts, o source.Options) (seawall.Target, error) {
	cfg, err := parseConfig(p.Config)
	if err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	if n := len(cfg.RootFS.DiffIDs); n != len(p.Layers) {
		return nil, fmt.Errorf("%w: %d layers, but the configuration lists %d", seawall.ErrCorrupt, len(p.Layers), n)
	}
	info := cfg.imageInfo(p.Config)
	info.RepoTags, info.RepoDigests, info.Annotations = p.RepoTags, p.RepoDigests, p.Annotations
	t := &target{closer: p.Closer}
	meter := newMeter(o.Progress, p)
	inflated := new(atomic.Int64)
	createdBy := alignHistory(info.History, len(p.Layers))
	for i, b := range p.Layers {
		diffID := cfg.RootFS.DiffIDs[i]
		if err := b.check(diffID); err != nil {
			return nil, fmt.Errorf("layer %d: %w", i, err)
		}
		li := seawall.LayerInfo{Index: i, Digest: cmp.Or(b.Digest, diffID), DiffID: diffID, CreatedBy: createdBy[i], Size: b.Size}
		info.Layers = append(info.Layers, li)
		t.layers = append(t.layers, &layer{info: li, blob: b, bounds: o.Bounds.WithDefaults(), inflated: inflated, progress: meter})
	}
	id := cmp.Or(p.Digest, info.ConfigDigest)
	t.asset = seawall.Asset{ID: id, Kind: seawall.AssetImage, Name: p.Name, Digest: p.Digest, Image: info}
	return t, nil
}

func (t *target) Asset() seawall.Asset    { return t.asset }
func (t *target) Layers() []seawall.Layer { return slices.Clone(t.layers) }

func (t *target) Close() error {
	var err error
	t.once.Do(func() {
		if t.closer != nil {
			err = t.closer.Close()
		}
	})
	return err
}

// newMeter returns a function that adds stored bytes read, over all layers, to the progress.
func newMeter(report func(seawall.Progress), p Parts) func(int64) {
	if report == nil {
		return nil
	}
	var mu sync.Mutex
	at := seawall.Progress{Asset: p.Name, Stage: "reading", Unit: "bytes"}
	for _, b := range p.Layers {
		at.Total += b.Size
	}
	return func(n int64) {
		mu.Lock()
		defer mu.Unlock()
		at.Done += n
		report(at)
	}
}
