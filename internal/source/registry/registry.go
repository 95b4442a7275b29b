// Package registry opens images in a registry by their reference, with Docker
// Hub's rules for short names ("nginx" is docker.io/library/nginx:latest).
//
// go-containerregistry does references, credentials (docker's and podman's
// files, credential helpers) and the token handshake. Requests are made here,
// because three things are wanted that it does not offer: a blob stream that
// goes on where the connection broke, waiting as long as a registry asks for,
// and errors that say what to do next. Layers are streamed, never stored.
//
// Stack of a request, outermost first: token or password, retries, in a walk the
// pace, transport security.
//
// Walk goes over a whole registry: repositories, their tags, the distinct images
// behind them; what it learned lies on disk, so that an interrupted walk goes on
// and the next one sees which tags moved. On the way an audit asks the registry
// about itself. The answers are facts; detect/registry judges them.
package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/source"
	"github.com/seawall-security/seawall/internal/source/credentials"
	"github.com/seawall-security/seawall/internal/source/image"
)

// Opener opens references. It has no scheme: it takes names that have none.
type Opener struct {
	// CertDirs hold certificate authorities by registry (DIR/HOST[:PORT]/*.crt);
	// nil is where docker and podman look.
	CertDirs []string
	// Keys are credentials by registry ("registry.example.org", "docker.io/team"),
	// asked before docker's and podman's.
	Keys map[string]source.Credentials
	// Wait pauses between tries; nil really waits.
	Wait waitFunc
}

// Schemes implements source.Opener.
func (Opener) Schemes() []string { return nil }

// Open implements source.Opener.
func (op Opener) Open(ctx context.Context, ref string, o source.Options) (seawall.Target, error) {
	r, err := name.ParseReference(ref)
	if err != nil {
		return nil, seawall.WithHint(fmt.Errorf("%q: %w: not an image reference", ref, seawall.ErrUsage),
			"write [REGISTRY/]NAME[:TAG][@sha256:DIGEST] in lower case, as in docker.io/library/nginx:1.27")
	}
	if o.Offline {
		return nil, seawall.WithHint(fmt.Errorf("%s: %w: pulling from %s needs the network, and the run is offline", ref, seawall.ErrUnreadable, r.Context().RegistryStr()),
			"leave out --offline, or save the image and scan docker-archive:FILE")
	}
	if _, err := image.ParsePlatform(o.Platform); err != nil {
		return nil, err
	}
	c, err := op.connect(ctx, r, o)
	if err != nil {
		return nil, explain(ref, r, err)
	}
	root, err := c.root(ctx, r)
	if err != nil {
		c.Close()
		return nil, explain(ref, r, err)
	}
	repo := shownName(r.Context())
	parts := image.Parts{Name: ref, RepoDigests: []string{repo + "@" + root.Digest}, Closer: c}
	if tag, ok := r.(name.Tag); ok {
		parts.RepoTags = []string{repo + ":" + tag.TagStr()}
	}
	t, err := image.Open(ctx, c, root, parts, o)
	if err != nil {
		c.Close()
		return nil, explain(ref, r, err)
	}
	return t, nil
}

// shownName is a repository as people write it in full: docker.io, not the host behind it.
func shownName(r name.Repository) string {
	return strings.Replace(r.Name(), name.DefaultRegistry+"/", "docker.io/", 1)
}

// client speaks to one repository; it implements image.Store.
type client struct {
	http   *http.Client
	base   *connections
	prefix string // scheme://host/v2/repository/
	log    *slog.Logger
	// top is the manifest the reference led to: it is not asked for twice.
	top    []byte
	digest string
}

// reach prepares connections to a registry, insecure where it is listed so.
func (op Opener) reach(host string, o source.Options) (name.Registry, *connections, error) {
	reg, err := name.NewRegistry(host)
	if err != nil {
		return reg, nil, err
	}
	sec, err := newSecurity(reg.RegistryStr(), o.Insecure, op.CertDirs)
	if err != nil {
		return reg, nil, err
	}
	if sec.listed(reg.RegistryStr()) {
		if reg, err = name.NewRegistry(reg.RegistryStr(), name.Insecure); err != nil {
			return reg, nil, err
		}
	}
	return reg, sec.transport(), nil
}

// connect does the handshake with the registry.
func (op Opener) connect(ctx context.Context, r name.Reference, o source.Options) (*client, error) {
	reg, base, err := op.reach(r.Context().RegistryStr(), o)
	if err != nil {
		return nil, err
	}
	auth, err := authn.Resolve(ctx, credentials.Keychain(op.Keys), r.Context())
	if err != nil {
		return nil, fmt.Errorf("credentials: %w", err)
	}
	retrying := &retry{inner: base, wait: op.Wait, log: o.Logger}
	t, err := transport.NewWithContext(ctx, reg, auth, retrying, []string{r.Scope(transport.PullScope)})
	if err != nil {
		base.CloseIdleConnections()
		return nil, err
	}
	return &client{
		http:   &http.Client{Transport: t},
		base:   base,
		prefix: "https://" + reg.RegistryStr() + "/v2/" + r.Context().RepositoryStr() + "/",
		log:    o.Logger,
	}, nil
}

// Close implements io.Closer.
func (c *client) Close() error {
	c.base.CloseIdleConnections()
	return nil
}

// manifestTypes are what we understand, for the Accept header.
const manifestTypes = "application/vnd.oci.image.index.v1+json, " +
	"application/vnd.oci.image.manifest.v1+json, " +
	"application/vnd.docker.distribution.manifest.list.v2+json, " +
	"application/vnd.docker.distribution.manifest.v2+json"

// maxManifest is the largest manifest registries accept, four times over.
const maxManifest = 16 << 20

// root fetches the manifest of a reference. Without a digest in the reference, its own is computed.
func (c *client) root(ctx context.Context, r name.Reference) (image.Descriptor, error) {
	resp, err := c.get(ctx, "manifests/"+r.Identifier(), manifestTypes, 0)
	if err != nil {
		return image.Descriptor{}, err
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(resp.Body, maxManifest+1))
	if err != nil {
		return image.Descriptor{}, fmt.Errorf("manifest: %w: %w", seawall.ErrUnreadable, err)
	}
	if len(raw) > maxManifest {
		return image.Descriptor{}, fmt.Errorf("manifest: %w: more than %d bytes", seawall.ErrBound, maxManifest)
	}
	c.top, c.digest = raw, image.Digest(raw)
	d := image.Descriptor{MediaType: resp.Header.Get("Content-Type"), Digest: c.digest, Size: int64(len(raw))}
	if pinned, ok := r.(name.Digest); ok && pinned.DigestStr() != c.digest {
		return d, fmt.Errorf("manifest: %w: the registry answered with %s", seawall.ErrCorrupt, c.digest)
	}
	return d, nil
}

// Blob implements image.Store.
func (c *client) Blob(ctx context.Context, d image.Descriptor) (io.ReadCloser, error) {
	switch {
	case d.Digest == c.digest:
		return io.NopCloser(strings.NewReader(string(c.top))), nil
	case strings.Contains(manifestTypes, d.MediaType) && d.MediaType != "":
		resp, err := c.get(ctx, "manifests/"+d.Digest, manifestTypes, 0)
		if err != nil {
			return nil, err
		}
		return resp.Body, nil
	}
	s := &stream{ctx: ctx, c: c, d: d}
	if err := s.connect(); err != nil {
		return nil, err
	}
	return s, nil
}

// get asks for a path of the repository, from an offset on. The answer is 200
// or, for an offset, 206; everything else is a *transport.Error.
func (c *client) get(ctx context.Context, path, accept string, offset int64) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.prefix+path, nil)
	if err != nil {
		return nil, err
	}
	if accept != "" {
		req.Header.Set("Accept", accept)
	}
	if offset > 0 {
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-", offset))
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, withoutQuery(err)
	}
	if err := transport.CheckError(resp, http.StatusOK, http.StatusPartialContent); err != nil {
		resp.Body.Close()
		return nil, err
	}
	return resp, nil
}

// withoutQuery takes the query off the address in an error: where a registry
// redirects to its storage, it holds a signature that lets anyone fetch the blob.
func withoutQuery(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		u.URL, _, _ = strings.Cut(u.URL, "?")
	}
	return err
}
