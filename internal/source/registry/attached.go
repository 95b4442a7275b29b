package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/source"
	"github.com/seawall-security/seawall/internal/source/image"
)

// Attached implements source.Attacher: the referrers API, in registries without
// it the tag that stands for it, and cosign's tags.
func (op Opener) Attached(ctx context.Context, ref string, o source.Options, w source.Wanted) (source.Attachments, error) {
	var out source.Attachments
	r, err := name.ParseReference(ref)
	if err != nil {
		return out, seawall.WithHint(fmt.Errorf("%q: %w: not an image reference", ref, seawall.ErrUsage),
			"write [REGISTRY/]NAME[:TAG][@sha256:DIGEST] in lower case, as in docker.io/library/nginx:1.27")
	}
	if o.Offline {
		return out, seawall.WithHint(fmt.Errorf("%s: %w: signatures are in the registry, and the run is offline", ref, seawall.ErrUnreadable),
			"leave out --offline, or save the image with its signatures and verify oci:DIR")
	}
	c, err := op.connect(ctx, r, o)
	if err != nil {
		return out, explain(ref, r, err)
	}
	defer c.Close()
	root, err := c.root(ctx, r)
	if err != nil {
		return out, explain(ref, r, err)
	}
	out.Digest, out.MediaType, out.Size = root.Digest, root.MediaType, root.Size
	if out.Known = w.Known(out.Digest); out.Known {
		return out, nil
	}
	if out.Found, err = c.attached(ctx, root.Digest, w.MediaType); err != nil {
		return out, explain(ref, r, err)
	}
	return out, nil
}

func (c *client) attached(ctx context.Context, digest string, wants func(mediaType string) bool) ([]source.Attached, error) {
	a := image.NewAttaching(c, wants)
	signatures, attestations, referrers := image.AttachedTags(digest)
	supported, err := c.referrers(ctx, digest, a)
	if err != nil {
		return nil, err
	}
	if !supported {
		raw, _, err := c.tagged(ctx, referrers)
		if err != nil {
			return nil, err
		}
		if raw != nil {
			if err := a.Index(ctx, raw); err != nil {
				return nil, err
			}
		}
	}
	for _, tag := range []string{signatures, attestations} {
		raw, mediaType, err := c.tagged(ctx, tag)
		if err != nil {
			return nil, err
		}
		if raw == nil {
			continue
		}
		c.top, c.digest = raw, image.Digest(raw)
		if err := a.Manifest(ctx, image.Descriptor{MediaType: mediaType, Digest: c.digest, Size: int64(len(raw))}, tag); err != nil {
			return nil, err
		}
	}
	return a.Found(), nil
}

// maxReferrerPages bounds how far a list of referrers is followed.
const maxReferrerPages = 16

// referrers asks the referrers API (OCI distribution specification, "Listing
// Referrers"). Registries without it answer 404, or with something that is no index.
func (c *client) referrers(ctx context.Context, digest string, a *image.Attaching) (supported bool, err error) {
	const indexType = "application/vnd.oci.image.index.v1+json"
	path := "referrers/" + digest
	for range maxReferrerPages {
		resp, err := c.get(ctx, path, indexType, 0)
		if unsupported(err) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		raw, err := readManifest(resp)
		if err != nil {
			return false, err
		}
		if mediaType, _, _ := strings.Cut(resp.Header.Get("Content-Type"), ";"); mediaType != indexType {
			return false, nil
		}
		if err := a.Index(ctx, raw); err != nil {
			return false, err
		}
		next := nextReferrers(resp)
		if next == "" {
			return true, nil
		}
		path = "referrers/" + digest + "?" + next
	}
	return false, fmt.Errorf("list of referrers: %w: more than %d pages", seawall.ErrBound, maxReferrerPages)
}

// unsupported tells the answers of registries that do not know a path.
func unsupported(err error) bool {
	var answer *transport.Error
	if !errors.As(err, &answer) {
		return false
	}
	switch answer.StatusCode {
	case http.StatusNotFound, http.StatusBadRequest, http.StatusMethodNotAllowed, http.StatusNotImplemented:
		return true
	}
	return false
}

// nextReferrers returns the query of the Link header's next page (RFC 8288); "" for none.
func nextReferrers(resp *http.Response) string {
	target, params, ok := strings.Cut(resp.Header.Get("Link"), ">")
	if !ok || !strings.Contains(params, "next") {
		return ""
	}
	_, query, _ := strings.Cut(strings.TrimPrefix(strings.TrimSpace(target), "<"), "?")
	return query
}

// tagged fetches a manifest by its tag; nil where there is none.
func (c *client) tagged(ctx context.Context, tag string) (raw []byte, mediaType string, err error) {
	resp, err := c.get(ctx, "manifests/"+tag, manifestTypes, 0)
	var answer *transport.Error
	if errors.As(err, &answer) && answer.StatusCode == http.StatusNotFound {
		return nil, "", nil
	}
	if err != nil {
		return nil, "", err
	}
	raw, err = readManifest(resp)
	return raw, resp.Header.Get("Content-Type"), err
}

// readManifest reads and closes a manifest's answer.
func readManifest(resp *http.Response) ([]byte, error) {
	defer resp.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(resp.Body, maxManifest+1))
	if err != nil {
		return nil, fmt.Errorf("manifest: %w: %w", seawall.ErrUnreadable, err)
	}
	if len(raw) > maxManifest {
		return nil, fmt.Errorf("manifest: %w: more than %d bytes", seawall.ErrBound, maxManifest)
	}
	return raw, nil
}
