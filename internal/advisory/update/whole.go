package update

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/seawall-security/seawall/internal/advisory/db"
	"github.com/seawall-security/seawall/internal/seawall"
)

// MediaType is what the layer that holds a database has in an OCI artifact, as
// pushed with `oras push REF seawall.db:application/vnd.seawall.advisories.v1`.
const MediaType types.MediaType = "application/vnd.seawall.advisories.v1"

// whole takes a complete database from elsewhere.
func (u *updater) whole(ctx context.Context) (*Result, error) {
	have := u.state.Whole
	if have.From != u.From {
		have.Have, have.Digest = validators{}, ""
	}
	have.From = u.From
	incoming := filepath.Join(u.work, "incoming.db.part")
	var current bool
	var err error
	switch {
	case strings.HasPrefix(u.From, "oci://"):
		current, have.Digest, err = u.fromRegistry(ctx, incoming, have.Digest)
	case strings.HasPrefix(u.From, "http://"), strings.HasPrefix(u.From, "https://"):
		have.Have, current, err = u.resume(ctx, u.From, filepath.Base(incoming), have.Have)
	default:
		err = copyFile(incoming, u.From)
	}
	if err != nil {
		return nil, fmt.Errorf("database from %s: %w", u.From, err)
	}
	result := &Result{Changed: !current}
	if !current {
		if err := u.accept(incoming); err != nil {
			return nil, errors.Join(fmt.Errorf("database from %s: %w", u.From, err), os.Remove(incoming))
		}
		u.state.forget()
	} else if err := os.Remove(incoming); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	u.state.Whole = have
	return result, u.finish(result)
}

// accept verifies a database that arrived and puts it in place.
func (u *updater) accept(path string) error {
	r, err := db.Open(path, u.Key)
	if err != nil {
		return err
	}
	err = r.Verify()
	built := r.Info().Built
	if err = errors.Join(err, r.Close()); err != nil {
		return err
	}
	if _, err := os.Stat(u.Path); err == nil && u.base != nil && built < u.base.Info().Built && !u.AllowOlder {
		return seawall.WithHint(fmt.Errorf("it was built %s, the one in use %s", built, u.base.Info().Built),
			"an old database offered as new hides what was found since; --allow-older takes it all the same")
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return install(f, f.Chmod(0o644), u.Path)
}

// fromRegistry fetches the layer that holds the database. The registry client
// checks what it reads against the digests of the manifest and of the layer.
func (u *updater) fromRegistry(ctx context.Context, path, have string) (current bool, digest string, err error) {
	ref, err := name.ParseReference(strings.TrimPrefix(u.From, "oci://"))
	if err != nil {
		return false, "", fmt.Errorf("%w: %w", seawall.ErrUsage, err)
	}
	options := []remote.Option{
		remote.WithContext(ctx), remote.WithAuthFromKeychain(authn.DefaultKeychain), remote.WithUserAgent(u.UserAgent),
	}
	if u.Client.Transport != nil {
		options = append(options, remote.WithTransport(u.Client.Transport))
	}
	image, err := remote.Image(ref, options...)
	if err != nil {
		return false, "", seawall.WithHint(fmt.Errorf("%w: %w", seawall.ErrUnreadable, err),
			"check the reference and the credentials (`docker login` or `podman login` for its registry)")
	}
	hash, err := image.Digest()
	if err != nil {
		return false, "", err
	}
	if digest = hash.String(); digest == have {
		return true, digest, nil
	}
	layer, err := databaseLayer(image)
	if err != nil {
		return false, "", err
	}
	content, err := layer.Compressed()
	if err != nil {
		return false, "", fmt.Errorf("%w: %w", seawall.ErrUnreadable, err)
	}
	defer content.Close()
	return false, digest, writeFile(path, content)
}

func databaseLayer(image v1.Image) (v1.Layer, error) {
	layers, err := image.Layers()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", seawall.ErrCorrupt, err)
	}
	for _, l := range layers {
		if t, err := l.MediaType(); err == nil && t == MediaType {
			return l, nil
		}
	}
	return nil, seawall.WithHint(fmt.Errorf("the artifact has no layer of type %s: %w", MediaType, seawall.ErrCorrupt),
		"push a database with `oras push REFERENCE FILE:"+string(MediaType)+"`")
}

func copyFile(to, from string) error {
	f, err := os.Open(from)
	if err != nil {
		return fmt.Errorf("%w: %w", seawall.ErrUnreadable, err)
	}
	defer f.Close()
	return writeFile(to, f)
}

func writeFile(path string, r io.Reader) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	n, err := io.Copy(f, io.LimitReader(r, maxDownload+1))
	if err == nil && n > maxDownload {
		err = fmt.Errorf("more than %d bytes: %w", int64(maxDownload), seawall.ErrBound)
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, os.Remove(path))
	}
	return nil
}
