package registry

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"

	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/source"
)

// Target is the registry itself: no files, only what was asked of it.
func (l *Listing) Target() seawall.Target { return registryTarget{l} }

type registryTarget struct{ listing *Listing }

// Asset implements seawall.Target.
func (t registryTarget) Asset() seawall.Asset {
	host := t.listing.session.host
	return seawall.Asset{ID: "registry:" + host, Kind: seawall.AssetRegistry, Name: host}
}

// Layers implements seawall.Target.
func (registryTarget) Layers() []seawall.Layer { return nil }

// Close implements io.Closer. The listing outlives its target.
func (registryTarget) Close() error { return nil }

// Facts implements seawall.Describer.
func (t registryTarget) Facts(context.Context) ([]seawall.Fact, error) {
	return t.listing.audit.facts, nil
}

// Open opens one of the images.
func (l *Listing) Open(ctx context.Context, img *Image, o source.Options) (seawall.Target, error) {
	t, err := l.open(ctx, img, o)
	if err != nil {
		l.note(err)
		return nil, err
	}
	l.opened.Add(1)
	return imageTarget{t, img}, nil
}

func (l *Listing) open(ctx context.Context, img *Image, o source.Options) (seawall.Target, error) {
	if img.Err != nil {
		return nil, img.Err
	}
	c, err := l.session.repository(ctx, img.repository)
	if err != nil {
		return nil, explainHost(img.Name, err)
	}
	t, err := img.open(ctx, pinned{c, l.documents}, o)
	if err != nil {
		return nil, explainHost(img.Name, err)
	}
	return t, nil
}

// note remembers errors that another try may not meet: too many requests, a
// fault of the server, no answer.
func (l *Listing) note(err error) {
	l.opened.Add(1)
	switch status := statusOf(err); {
	case status == http.StatusTooManyRequests || status >= 500:
	case status != 0, errors.Is(err, seawall.ErrCorrupt), errors.Is(err, seawall.ErrBound), errors.Is(err, seawall.ErrUsage):
		return
	}
	l.unfinished.Store(true)
}

// imageTarget is an image with what its registry says about it.
type imageTarget struct {
	seawall.Target
	img *Image
}

// Facts implements seawall.Describer.
func (t imageTarget) Facts(context.Context) ([]seawall.Fact, error) {
	return []seawall.Fact{{Config: &seawall.ConfigFact{Kind: "registry-image", Data: map[string]string{"signed": t.img.signed}}}}, nil
}

// Complete remembers that the walk and the scans it led to are over, so that the
// next walk starts afresh. After errors that may pass it does not: the next walk
// goes on with this one.
func (l *Listing) Complete() error {
	l.memory.Walk.Complete = !l.unfinished.Load() && int(l.opened.Load()) == len(l.Images)
	l.documents.prune(l.now)
	return l.memory.save(true)
}

// Close implements io.Closer.
func (l *Listing) Close() error { return l.session.Close() }

// explainHost is explain for what is not one reference: a registry, a repository.
func explainHost(what string, err error) error {
	host, _, _ := strings.Cut(what, "/")
	r, parseErr := name.NewTag(cmp.Or(host, "docker.io") + "/x:x")
	if parseErr != nil {
		return fmt.Errorf("%s: %w", what, marked(err))
	}
	return explain(what, r, err)
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
