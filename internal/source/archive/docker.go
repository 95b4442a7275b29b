package archive

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"

	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/source"
	"github.com/seawall-security/seawall/internal/source/image"
)

// Docker opens docker-archive:TAR.
type Docker struct{}

// Schemes implements source.Opener.
func (Docker) Schemes() []string { return []string{"docker-archive"} }

// Open implements source.Opener.
func (Docker) Open(ctx context.Context, name string, o source.Options) (seawall.Target, error) {
	file, choice := SplitName(name)
	t, err := openTar(ctx, file, o)
	if err != nil {
		return nil, fmt.Errorf("docker-archive:%s: %w", name, err)
	}
	target, err := openDocker(ctx, t, choice, Exported{Name: name}, o)
	if err != nil {
		return nil, fmt.Errorf("docker-archive:%s: %w", name, err)
	}
	return target, nil
}

// Exported is what an engine says about an image it exports.
type Exported struct {
	// Name is what the user called it.
	Name                  string
	RepoTags, RepoDigests []string
	// Size is about what the export will come to, in bytes; 0 when unknown.
	Size int64
}

// Export opens the stream an engine's image export writes: a docker archive
// holding one image.
func Export(ctx context.Context, r io.Reader, e Exported, o source.Options) (seawall.Target, error) {
	t, err := spooled(ctx, r, seawall.Progress{Asset: e.Name, Total: e.Size}, o)
	if err != nil {
		return nil, err
	}
	return openDocker(ctx, t, "", e, o)
}

// saved is an element of a docker archive's manifest.json.
type saved struct {
	Config   string
	RepoTags []string
	Layers   []string
}

// openDocker opens the chosen image of a docker archive. It takes over b, also on error.
func openDocker(ctx context.Context, b bundle, choice string, e Exported, o source.Options) (seawall.Target, error) {
	t, err := resolveDocker(ctx, b, choice, e, o)
	if err != nil {
		b.Close()
		return nil, err
	}
	return t, nil
}

func resolveDocker(ctx context.Context, b bundle, choice string, e Exported, o source.Options) (seawall.Target, error) {
	raw, err := readSmall(b, "manifest.json")
	if errors.Is(err, fs.ErrNotExist) {
		t, err := resolveOCI(ctx, b, choice, e.Name, o)
		if err != nil {
			return nil, fmt.Errorf("no manifest.json, so not a docker archive: %w", err)
		}
		return t, nil
	} else if err != nil {
		return nil, err
	}
	images, err := parseSaved(raw)
	if err != nil {
		return nil, err
	}
	chosen, err := chooseSaved(images, choice)
	if err != nil {
		return nil, err
	}
	parts, err := savedParts(b, chosen)
	if err != nil {
		return nil, err
	}
	parts.Name, parts.RepoDigests = e.Name, e.RepoDigests
	if len(e.RepoTags) > 0 {
		parts.RepoTags = e.RepoTags
	}
	if err := image.CheckPlatform(parts.Config, o.Platform); err != nil {
		return nil, err
	}
	return image.New(parts, o)
}

func parseSaved(raw []byte) ([]saved, error) {
	var images []saved
	if err := json.Unmarshal(raw, &images); err != nil {
		return nil, fmt.Errorf("manifest.json: %w: %w", seawall.ErrCorrupt, err)
	}
	for i, m := range images {
		if m.Config == "" {
			return nil, fmt.Errorf("manifest.json: %w: image %d names no configuration", seawall.ErrCorrupt, i)
		}
	}
	if len(images) == 0 {
		return nil, fmt.Errorf("manifest.json: %w: it lists no image", seawall.ErrUnreadable)
	}
	return images, nil
}

// chooseSaved picks one image by tag, name or configuration digest.
func chooseSaved(images []saved, choice string) (saved, error) {
	var found []saved
	var have []string
	for _, m := range images {
		id := "@sha256:" + configName(m.Config)
		match := choice == "" || "@"+choice == id
		for _, tag := range m.RepoTags {
			match = match || sameImage(tag, choice)
			have = append(have, ":"+tag)
		}
		if len(m.RepoTags) == 0 {
			have = append(have, id)
		}
		if match {
			found = append(found, m)
		}
	}
	if len(found) == 1 {
		return found[0], nil
	}
	what := "it holds several images"
	if len(found) == 0 {
		what = fmt.Sprintf("no image %q in it", choice)
	}
	return saved{}, seawall.WithHint(fmt.Errorf("%w: %s", seawall.ErrUnreadable, what),
		"choose one by adding "+strings.Join(have, " or "))
}

// configName is the hexadecimal digest a configuration's file name states, in both layouts.
func configName(file string) string { return strings.TrimSuffix(path.Base(file), ".json") }

// savedParts finds the configuration and layers of an image in the archive.
func savedParts(b bundle, m saved) (image.Parts, error) {
	config, err := readSmall(b, m.Config)
	if err != nil {
		return image.Parts{}, missing("configuration", err)
	}
	if got, want := image.Digest(config), "sha256:"+configName(m.Config); got != want && image.CheckDigest(want) == nil {
		return image.Parts{}, fmt.Errorf("configuration %s: %w: the content has digest %s", m.Config, seawall.ErrCorrupt, got)
	}
	parts := image.Parts{Config: config, RepoTags: m.RepoTags, Closer: b}
	for i, file := range m.Layers {
		rc, size, err := b.open(file)
		if err != nil {
			return image.Parts{}, missing(fmt.Sprintf("layer %d", i), err)
		}
		rc.Close()
		parts.Layers = append(parts.Layers, image.Blob{
			Digest: blobDigest(file), Size: size,
			Open: func(context.Context) (io.ReadCloser, error) {
				rc, _, err := b.open(file)
				return rc, err
			},
		})
	}
	return parts, nil
}

// blobDigest is the digest a path states when it is one of an OCI layout ("blobs/sha256/…"), else "".
func blobDigest(file string) string {
	rest, ok := strings.CutPrefix(file, "blobs/")
	digest := strings.Replace(rest, "/", ":", 1)
	if !ok || image.CheckDigest(digest) != nil {
		return ""
	}
	return digest
}

// missing marks a file that manifest.json names and the archive does not hold.
func missing(what string, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s: %w: %w", what, seawall.ErrCorrupt, err)
	}
	return fmt.Errorf("%s: %w", what, err)
}
