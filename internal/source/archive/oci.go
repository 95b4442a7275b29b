package archive

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/source"
	"github.com/seawall-security/seawall/internal/source/image"
)

// Layout opens oci:DIR.
type Layout struct{}

// Schemes implements source.Opener.
func (Layout) Schemes() []string { return []string{"oci"} }

// Open implements source.Opener.
func (Layout) Open(ctx context.Context, name string, o source.Options) (seawall.Target, error) {
	dir, choice := SplitName(name)
	t, err := openLayout(ctx, dir, choice, name, o)
	if err != nil {
		return nil, fmt.Errorf("oci:%s: %w", name, err)
	}
	return t, nil
}

func openLayout(ctx context.Context, dir, choice, name string, o source.Options) (seawall.Target, error) {
	if st, err := os.Stat(dir); err != nil {
		return nil, notThere(err)
	} else if !st.IsDir() {
		return nil, seawall.WithHint(fmt.Errorf("%w: a file, not an OCI layout directory", seawall.ErrUnreadable),
			"for a tar write oci-archive:"+dir+" or docker-archive:"+dir)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, notThere(err)
	}
	return openOCI(ctx, directory{root}, choice, name, o)
}

// OCI opens oci-archive:TAR.
type OCI struct{}

// Schemes implements source.Opener.
func (OCI) Schemes() []string { return []string{"oci-archive"} }

// Open implements source.Opener.
func (OCI) Open(ctx context.Context, name string, o source.Options) (seawall.Target, error) {
	file, choice := SplitName(name)
	t, err := openTar(ctx, file, o)
	if err != nil {
		return nil, fmt.Errorf("oci-archive:%s: %w", name, err)
	}
	target, err := openOCI(ctx, t, choice, name, o)
	if err != nil {
		return nil, fmt.Errorf("oci-archive:%s: %w", name, err)
	}
	return target, nil
}

// SplitName splits "PATH", "PATH:CHOICE" or "PATH@DIGEST". As paths may hold
// colons, the shortest beginning that exists wins, after the whole.
func SplitName(name string) (file, choice string) {
	if _, err := os.Lstat(name); err == nil || name == "-" {
		return name, ""
	}
	for i, c := range name {
		if c != ':' && c != '@' {
			continue
		}
		if _, err := os.Lstat(name[:i]); err == nil || name[:i] == "-" {
			return name[:i], name[i+1:]
		}
	}
	return name, ""
}

// blobs is an image.Store over an OCI layout.
type blobs struct{ bundle }

// Blob implements image.Store.
func (b blobs) Blob(_ context.Context, d image.Descriptor) (io.ReadCloser, error) {
	if err := image.CheckDigest(d.Digest); err != nil {
		return nil, err
	}
	rc, size, err := b.open("blobs/" + strings.Replace(d.Digest, ":", "/", 1))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("%w: blob %s is not in the layout", seawall.ErrUnreadable, d.Digest)
	case err != nil:
		return nil, err
	case d.Size > 0 && size != d.Size:
		rc.Close()
		return nil, fmt.Errorf("%w: blob %s has %d bytes, its descriptor says %d", seawall.ErrCorrupt, d.Digest, size, d.Size)
	}
	return rc, nil
}

// index is an index.json.
type index struct {
	Manifests []image.Descriptor `json:"manifests"`
}

// openOCI opens the chosen image of a layout. It takes over b, also on error.
func openOCI(ctx context.Context, b bundle, choice, name string, o source.Options) (seawall.Target, error) {
	t, err := resolveOCI(ctx, b, choice, name, o)
	if err != nil {
		b.Close()
		return nil, err
	}
	return t, nil
}

func resolveOCI(ctx context.Context, b bundle, choice, name string, o source.Options) (seawall.Target, error) {
	raw, err := readSmall(b, "index.json")
	if errors.Is(err, fs.ErrNotExist) {
		return nil, seawall.WithHint(fmt.Errorf("%w: no index.json: not an OCI image layout", seawall.ErrUnreadable),
			"for what docker save wrote use docker-archive:TAR, for an unpacked root file system scan rootfs DIR")
	} else if err != nil {
		return nil, err
	}
	ix, err := parseIndex(raw)
	if err != nil {
		return nil, err
	}
	manifests := ix.Manifests
	if choice == "" {
		manifests = withoutArtifacts(ctx, blobs{b}, manifests)
	}
	candidates, err := choose(manifests, choice)
	if err != nil {
		return nil, err
	}
	parts := image.Parts{Name: name, Closer: b, RepoTags: refNames(candidates)}
	return image.OpenAny(ctx, blobs{b}, candidates, parts, o)
}

func parseIndex(raw []byte) (*index, error) {
	var ix index
	if err := json.Unmarshal(raw, &ix); err != nil {
		return nil, fmt.Errorf("index.json: %w: %w", seawall.ErrCorrupt, err)
	}
	for i := range ix.Manifests {
		if err := image.CheckDigest(ix.Manifests[i].Digest); err != nil {
			return nil, fmt.Errorf("index.json: manifest %d: %w", i, err)
		}
	}
	if len(ix.Manifests) == 0 {
		return nil, fmt.Errorf("index.json: %w: it lists no image", seawall.ErrUnreadable)
	}
	return &ix, nil
}

// maxJudged bounds how many manifests are read to tell images from artifacts.
const maxJudged = 256

// withoutArtifacts leaves out signatures, SBOMs and the like, which a layout may hold beside an image.
func withoutArtifacts(ctx context.Context, s image.Store, manifests []image.Descriptor) []image.Descriptor {
	if len(manifests) == 1 || len(manifests) > maxJudged {
		return manifests
	}
	var images []image.Descriptor
	for _, d := range manifests {
		if !image.IsArtifact(ctx, s, d) {
			images = append(images, d)
		}
	}
	if len(images) == 0 {
		return manifests
	}
	return images
}

// choose returns the manifests the user means: more than one only where they are one name for several platforms.
func choose(manifests []image.Descriptor, choice string) ([]image.Descriptor, error) {
	found := manifests
	if choice != "" {
		found = nil
		for _, d := range manifests {
			if names(d, choice) {
				found = append(found, d)
			}
		}
	}
	if len(found) == 0 {
		return nil, choiceError(fmt.Sprintf("no image %q in it", choice), manifests)
	}
	for _, d := range found[1:] {
		if refName(d) != refName(found[0]) || d.Platform == nil {
			return nil, choiceError("it holds several images", found)
		}
	}
	return found, nil
}

// names tells whether a choice names a manifest: by digest, by full name, or by tag.
func names(d image.Descriptor, choice string) bool {
	if d.Digest == choice {
		return true
	}
	for _, n := range []string{d.Annotations[image.AnnotationRefName], d.Annotations[image.AnnotationContainerdName]} {
		if n != "" && sameImage(n, choice) {
			return true
		}
	}
	return false
}

// sameImage compares a stored name with what the user wrote: the whole
// name with Docker's default parts left out, or the tag alone.
func sameImage(stored, choice string) bool {
	if stored == choice || strings.HasSuffix(stored, ":"+choice) {
		return true
	}
	return shortName(stored) == shortName(choice)
}

// shortName takes off the parts of a name Docker fills in.
func shortName(name string) string {
	for _, p := range []string{"docker.io/", "index.docker.io/", "localhost/", "library/"} {
		name = strings.TrimPrefix(name, p)
	}
	return strings.TrimSuffix(name, ":latest")
}

func refName(d image.Descriptor) string {
	if n := d.Annotations[image.AnnotationContainerdName]; n != "" {
		return n
	}
	return d.Annotations[image.AnnotationRefName]
}

// refNames are the full names among the candidates' annotations.
func refNames(ds []image.Descriptor) []string {
	var out []string
	for _, d := range ds {
		if n := refName(d); strings.ContainsAny(n, "/:") {
			out = append(out, n)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// choiceError says what can be chosen.
func choiceError(what string, ds []image.Descriptor) error {
	var have []string
	for _, d := range ds {
		if n := refName(d); n != "" {
			have = append(have, ":"+n)
		} else {
			have = append(have, "@"+d.Digest)
		}
	}
	return seawall.WithHint(fmt.Errorf("%w: %s", seawall.ErrUnreadable, what),
		"choose one by adding "+strings.Join(have, " or "))
}
