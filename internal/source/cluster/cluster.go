// Package cluster opens a live Kubernetes cluster as a target: one snapshot of
// the objects that posture, access and network detectors judge, read with get
// and list alone.
//
//	kubeconfig (config.go) -> HTTP with client-go's authentication -> API (api.go:
//	retries, paging) -> discovery (discovery.go) -> lists, a page at a time ->
//	reduce (reduce.go: what nobody judges goes) -> Objects
//
// client-go does kubeconfigs, credentials, exec plugins and TLS. Lists are made
// here, because its clients hold whole pages decoded: an object is read off the
// connection, trimmed and kept as compact JSON before the next one is.
//
// A list that was refused or broke off is a fact of kind kubernetes/unread, one
// that is complete a fact kubernetes/read; what is not there at all, because the
// cluster does not serve the resource, is read and empty.
//
// Secrets are listed by their metadata and type alone (secrets.go).
package cluster

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/seawall-security/seawall/internal/seawall"
)

// Options are what a user may set about reading a cluster.
type Options struct {
	// Kubeconfig is the path of a kubeconfig; "" is $KUBECONFIG, then
	// ~/.kube/config, then the service account of the pod this runs in.
	Kubeconfig string
	// Context picks from the kubeconfig; "" is its current one.
	Context string
	// Namespace restricts what is read to one namespace and to what has none; "" is all.
	Namespace string
	// Certificates also reads the public certificates of TLS secrets. Reading a
	// secret gives its private key, too: it is dropped at once.
	Certificates bool
	// Images also notes which images the pods run; see Target.Images.
	Images bool
	// Getenv reads the environment (KUBECONFIG, HOME, KUBERNETES_SERVICE_HOST); nil is an empty one.
	Getenv func(string) string
	// Progress receives the objects read; may be nil. It is called by one goroutine at a time.
	Progress func(seawall.Progress)
	// Wait pauses before another try; nil really waits.
	Wait func(context.Context, time.Duration) error
}

// Target is one cluster. It has no layers; its Facts are a snapshot.
type Target struct {
	options Options
	api     *api
	asset   seawall.Asset
	version version
	images  *imageIndex
}

// Open finds the cluster and says hello: which version it is, and its identity
// where that may be read. Errors wrap seawall.ErrUsage for a kubeconfig that is
// wrong and ErrUnreadable for a cluster that does not answer.
func Open(ctx context.Context, o Options) (*Target, error) {
	if o.Getenv == nil {
		o.Getenv = func(string) string { return "" }
	}
	config, name, err := o.load()
	if err != nil {
		return nil, err
	}
	a, err := newAPI(config, &o)
	if err != nil {
		return nil, err
	}
	t := &Target{options: o, api: a, images: newImageIndex()}
	if err := a.get(ctx, "/version", &t.version); err != nil {
		a.close()
		return nil, explain(name, config.Host, err)
	}
	t.asset = seawall.Asset{ID: "cluster:" + name, Kind: seawall.AssetCluster, Name: name}
	var system struct{ Metadata struct{ UID string } }
	if err := a.get(ctx, "/api/v1/namespaces/kube-system", &system); err == nil && system.Metadata.UID != "" {
		t.asset.ID = "cluster:" + system.Metadata.UID
	}
	return t, nil
}

// Asset implements seawall.Target. Its ID holds the UID of namespace
// kube-system, which stays as long as the cluster does, where that may be read.
func (t *Target) Asset() seawall.Asset { return t.asset }

// Layers implements seawall.Target.
func (t *Target) Layers() []seawall.Layer { return nil }

// Close implements io.Closer.
func (t *Target) Close() error {
	t.api.close()
	return nil
}

// Facts implements seawall.Describer. What could not be listed is a fact and,
// unless access was refused, a problem of the seawall.Incomplete beside the facts.
func (t *Target) Facts(ctx context.Context) ([]seawall.Fact, error) {
	s := &snapshot{target: t, api: t.api, owners: map[string]*owner{}}
	if err := s.read(ctx); err != nil {
		return nil, explain(t.asset.Name, t.api.host, err)
	}
	if len(s.problems) > 0 {
		return s.facts(), s.problems
	}
	return s.facts(), nil
}

// explain puts the next step to errors of the first contact.
func explain(name, host string, err error) error {
	var st *statusError
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	case errors.As(err, &st) && st.code == 401:
		return seawall.WithHint(fmt.Errorf("%s: %w: the credentials are not accepted: %w", name, seawall.ErrUnreadable, err),
			"check with: kubectl auth whoami")
	case errors.As(err, &st):
		return fmt.Errorf("%s: %w: %w", name, seawall.ErrUnreadable, err)
	}
	return seawall.WithHint(fmt.Errorf("%s at %s: %w: %w", name, host, seawall.ErrUnreadable, err),
		"is the cluster up, and is this the context you mean? See: kubectl config get-contexts")
}
