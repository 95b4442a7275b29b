package registry

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/source"
	"github.com/seawall-security/seawall/internal/source/image"
)

// Walk says what of a registry to look at, and how gently.
type Walk struct {
	// Registry is HOST[:PORT][/PREFIX]: everything, or the repository PREFIX and those below it.
	Registry string
	// Repositories are looked at instead of what the registry lists; relative to Registry's host.
	Repositories []string
	// Include and Exclude are globs of REPOSITORY or REPOSITORY:TAG; without Include all are wanted.
	Include, Exclude []string
	// Newest is how many images of each repository to look at, by the time they
	// were built; 0 is all.
	Newest int
	// Parallel is how many requests may be under way; 0 is 4.
	Parallel int
	// Rate bounds the requests a second; 0 is no bound.
	Rate float64
	// Dir is where what was seen is remembered between runs.
	Dir string
	// WriteProbe allows requests that may change things: an upload that is begun
	// and taken back, the removal of a manifest that does not exist.
	WriteProbe bool
	// Now is the clock; nil is time.Now.
	Now func() time.Time
}

// Listing is what a Walk found. It is closed when its images have been scanned.
type Listing struct {
	// Images are the distinct images, by name; where one could not be looked at, Err says why.
	Images []Image
	// Resumed is when the walk began that was interrupted and is now gone on with;
	// zero for a walk of its own.
	Resumed time.Time

	session   *session
	memory    *memory
	documents documents
	now       time.Time
	audit     *audit
	// opened counts the images that were opened, or could not be; unfinished
	// tells that one met an error that may pass.
	opened     atomic.Int64
	unfinished atomic.Bool
}

// Image is one image of a registry, for one platform, whatever the number of tags that lead to it.
type Image struct {
	// Name is the tag to call it by, References all of them: host/repository:tag.
	Name       string
	References []string
	// Digest is of the manifest for the platform.
	Digest string
	// Err is why it could not be looked at.
	Err error

	repository string // without the host
	root       image.Descriptor
	platform   string
	created    time.Time
	// signed is "yes", "no" or why that is not known.
	signed string
}

// Walk lists the images of a registry, remembers where their tags point, and
// looks at the registry itself. A registry that cannot be listed still has a
// Listing, whose one Image carries the error; one that cannot be reached is an error.
func (op Opener) Walk(ctx context.Context, w Walk, o source.Options) (*Listing, error) {
	host, prefix, _ := strings.Cut(strings.TrimSuffix(w.Registry, "/"), "/")
	selected, err := w.check(prefix, o)
	if err != nil {
		return nil, err
	}
	if w.Now == nil {
		w.Now = time.Now
	}
	w.Parallel = cmp.Or(w.Parallel, 4)
	s, err := op.newSession(host, w, o)
	if err != nil {
		return nil, err
	}
	v := &walker{Walk: w, session: s, prefix: prefix, selected: selected, progress: o.Progress}
	l, err := v.run(ctx)
	if err != nil {
		s.Close()
	}
	return l, err
}

// check refuses what cannot be meant, before anything is asked of the registry.
func (w *Walk) check(prefix string, o source.Options) (selection, error) {
	if strings.Contains(w.Registry, "://") || prefix != "" && !repositoryName(prefix) {
		return selection{}, seawall.WithHint(fmt.Errorf("%q: %w: not a registry", w.Registry, seawall.ErrUsage), "write HOST[:PORT][/PREFIX], as in registry.example.org/team")
	}
	for _, r := range w.Repositories {
		if !repositoryName(r) {
			return selection{}, seawall.WithHint(fmt.Errorf("repository %q: %w", r, seawall.ErrUsage), "write it without the registry and in lower case, as in team/app")
		}
	}
	if o.Offline {
		return selection{}, seawall.WithHint(fmt.Errorf("%s: %w: walking a registry needs the network, and the run is offline", w.Registry, seawall.ErrUnreadable), "leave out --offline")
	}
	if _, err := image.ParsePlatform(o.Platform); err != nil {
		return selection{}, err
	}
	return newSelection(w.Include, w.Exclude)
}

// walker is one Walk under way.
type walker struct {
	Walk
	*session
	prefix   string
	selected selection
	progress func(seawall.Progress)

	memory    *memory
	documents documents

	mu      sync.Mutex
	images  []Image
	done    int
	skipped map[string]int // by reason
}

func (w *walker) run(ctx context.Context) (*Listing, error) {
	now := w.Now().UTC()
	w.memory = recall(w.Dir, w.host, now)
	w.documents = documents(filepath.Join(w.Dir, "documents"))
	w.skipped = map[string]int{}
	l := &Listing{session: w.session, memory: w.memory, documents: w.documents, now: now}
	if w.memory.begin(w.key(), now) {
		l.Resumed = w.memory.Walk.Started
	}
	l.audit = &audit{Walk: w.Walk, session: w.session, now: now}
	if err := l.audit.transport(ctx); err != nil {
		return nil, explainHost(w.host, err)
	}
	listed, err := w.list(ctx)
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if err != nil {
		l.Images = []Image{{Name: w.Registry, Err: explainHost(w.Registry, err)}}
	} else {
		l.Images = merge(w.images)
	}
	if err := w.memory.save(true); err != nil {
		return nil, err
	}
	l.audit.content(listed, w.images, w.memory, w.skipped)
	if err := l.audit.access(ctx); err != nil {
		return nil, err
	}
	return l, nil
}

// key tells walks apart that look at different things.
func (w *walker) key() string {
	raw, _ := json.Marshal([]any{w.Registry, w.Repositories, w.Include, w.Exclude, w.Newest, w.o.Platform})
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:8])
}

// list finds the repositories and, of each, its images. It returns the
// repositories; an error means that they could not be listed, or that the
// registry allows no more requests.
func (w *walker) list(ctx context.Context) ([]string, error) {
	list := slices.Clone(w.Repositories)
	if len(list) == 0 {
		var err error
		if list, err = w.repositories(ctx, w.prefix); err != nil {
			return nil, err
		}
	}
	list = slices.DeleteFunc(list, func(r string) bool { return !w.selected.repository(r) })
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(w.Parallel)
	for _, r := range list {
		group.Go(func() error {
			images, err := w.repositoryImages(groupCtx, r)
			if groupCtx.Err() != nil {
				return groupCtx.Err()
			}
			if err != nil {
				images = []Image{{Name: w.host + "/" + r, repository: r, Err: explainHost(w.host+"/"+r, err)}}
			}
			w.add(images, len(list))
			if statusOf(err) == http.StatusTooManyRequests {
				return err
			}
			return w.memory.save(false)
		})
	}
	err := group.Wait()
	if err != nil {
		_ = w.memory.save(true) // what is known serves the next try
	}
	return list, err
}

func (w *walker) add(images []Image, of int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.images = append(w.images, images...)
	w.done++
	if w.progress != nil {
		w.progress(seawall.Progress{Stage: "listing", Unit: "repositories", Done: int64(w.done), Total: int64(of)})
	}
}

func (w *walker) skip(reason string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.skipped[reason]++
}

// repositoryImages finds the images of one repository that are wanted.
func (w *walker) repositoryImages(ctx context.Context, repository string) ([]Image, error) {
	c, err := w.repository(ctx, repository)
	if err != nil {
		return nil, err
	}
	seen, ok := w.memory.known(repository)
	if !ok {
		if seen, err = w.resolveTags(ctx, c, repository); err != nil {
			return nil, err
		}
	}
	byRoot := map[string][]string{}
	for tag, t := range seen.Tags {
		if t.Digest != "" && w.selected.tag(repository, tag) {
			byRoot[t.Digest] = append(byRoot[t.Digest], tag)
		}
	}
	images := make([]Image, 0, len(byRoot))
	for root, tags := range byRoot {
		images = append(images, w.image(repository, root, tags))
	}
	if err := each(ctx, w.Parallel, images, func(ctx context.Context, img *Image) error { return w.inspect(ctx, c, img) }); err != nil {
		return nil, err
	}
	images = newest(slices.DeleteFunc(images, func(i Image) bool { return i.Digest == "" && i.Err == nil }), w.Newest)
	return images, each(ctx, w.Parallel, images, func(ctx context.Context, img *Image) error {
		if img.Err == nil {
			img.signed = w.signed(ctx, c, seen, img)
		}
		return ctx.Err()
	})
}

// each does something with every item, several at a time.
func each[T any](ctx context.Context, parallel int, items []T, do func(context.Context, *T) error) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(parallel)
	for i := range items {
		group.Go(func() error { return do(ctx, &items[i]) })
	}
	return group.Wait()
}

// resolveTags asks where every wanted tag of a repository points, and remembers it.
func (w *walker) resolveTags(ctx context.Context, c *client, repository string) (*seenRepository, error) {
	listed, err := c.tags(ctx)
	if err != nil {
		return nil, err
	}
	type pointer struct{ tag, digest string }
	var wanted []pointer
	for _, tag := range listed {
		if w.selected.tag(repository, tag) && !attachedTag(tag) {
			wanted = append(wanted, pointer{tag: tag})
		}
	}
	err = each(ctx, w.Parallel, wanted, func(ctx context.Context, p *pointer) error {
		digest, err := c.head(ctx, p.tag)
		if statusOf(err) == http.StatusNotFound {
			return nil // removed since it was listed
		}
		p.digest = digest
		return err
	})
	if err != nil {
		return nil, err
	}
	digests := make(map[string]string, len(wanted))
	for _, p := range wanted {
		if p.digest != "" {
			digests[p.tag] = p.digest
		}
	}
	return w.memory.note(repository, listed, digests, w.Now().UTC()), nil
}

// attachedTag tells tags that hold something about another image, by its digest:
// cosign's signatures and attestations, and the fallback tag of OCI referrers.
func attachedTag(tag string) bool {
	return (strings.HasPrefix(tag, "sha256-") || strings.HasPrefix(tag, "sha512-")) && len(tag) >= 7+64
}

// head asks for the digest a tag points to.
func (c *client) head(ctx context.Context, tag string) (string, error) {
	_, header, err := c.fetch(ctx, http.MethodHead, c.prefix+"manifests/"+tag, manifestTypes, 0)
	if status := statusOf(err); err != nil && status != http.StatusMethodNotAllowed {
		return "", err
	}
	if digest := header.Get("Docker-Content-Digest"); image.CheckDigest(digest) == nil {
		return digest, nil
	}
	raw, _, err := c.fetch(ctx, http.MethodGet, c.prefix+"manifests/"+tag, manifestTypes, maxManifest)
	if err != nil {
		return "", err
	}
	return image.Digest(raw), nil
}

// image is what is known of an image before it is looked at.
func (w *walker) image(repository, root string, tags []string) Image {
	slices.SortFunc(tags, compareTags)
	img := Image{repository: repository, root: image.Descriptor{MediaType: "application/vnd.oci.image.index.v1+json", Digest: root}}
	for _, tag := range tags {
		img.References = append(img.References, w.host+"/"+repository+":"+tag)
	}
	img.Name = img.References[0]
	return img
}

// manifest is what tells an index, an image and an artifact apart.
type manifest struct {
	ArtifactType string             `json:"artifactType"`
	Config       *image.Descriptor  `json:"config"`
	Layers       []image.Descriptor `json:"layers"`
	Manifests    []image.Descriptor `json:"manifests"`
}

// inspect reads the manifest and configuration of an image. One that is not for
// us (an artifact, another platform) is left without a Digest; one that cannot
// be read gets its Err. The error returned ends the walk.
func (w *walker) inspect(ctx context.Context, c *client, img *Image) error {
	store := pinned{c, w.documents}
	raw, err := image.ReadBlob(ctx, store, img.root)
	if err != nil {
		return w.failed(ctx, img, err)
	}
	var m manifest
	if err := json.Unmarshal(raw, &m); err != nil {
		return w.failed(ctx, img, fmt.Errorf("manifest: %w: %w", seawall.ErrCorrupt, err))
	}
	if kind := m.artifact(); kind != "" {
		w.skip("artifacts that are no images (" + kind + ")")
		return nil
	}
	img.platform = w.o.Platform
	if m.Config == nil {
		var ok bool
		if img.platform, ok = m.choose(w.o.Platform); !ok {
			w.skip("images for other platforms")
			return nil
		}
	}
	t, err := img.open(ctx, store, w.o)
	if errors.Is(err, image.ErrOtherPlatform) {
		w.skip("images for other platforms")
		return nil
	}
	if err != nil {
		return w.failed(ctx, img, err)
	}
	asset := t.Asset()
	img.Digest = asset.Digest
	img.created, _ = time.Parse(time.RFC3339, asset.Image.Created)
	return nil
}

// failed notes why an image could not be looked at; what ends the whole walk is returned.
func (w *walker) failed(ctx context.Context, img *Image, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if statusOf(err) == http.StatusTooManyRequests {
		return err
	}
	img.Err = explainHost(img.Name, err)
	return nil
}

// artifact is the type of a manifest that is no image: a chart, a signature; "" for images.
func (m *manifest) artifact() string {
	if m.Config == nil {
		return m.ArtifactType
	}
	switch m.Config.MediaType {
	case "application/vnd.oci.image.config.v1+json", "application/vnd.docker.container.image.v1+json", "":
	default:
		return m.Config.MediaType
	}
	for i := range m.Layers {
		if t := m.Layers[i].MediaType; m.ArtifactType == "" && t != "" && !strings.Contains(t, "tar") && !strings.Contains(t, "rootfs.diff") {
			return t
		}
	}
	return m.ArtifactType
}

// choose picks the platform to look at: the one asked for, else the default, else
// the first for Linux. ok is false when there is none.
func (m *manifest) choose(wish string) (platform string, ok bool) {
	if wish != "" {
		return wish, true // image.Open judges how well the variants fit
	}
	ours, _ := image.ParsePlatform("")
	unnamed := false
	for i := range m.Manifests {
		switch p := m.Manifests[i].Platform; {
		case p == nil || p.OS == "":
			unnamed = true
		case p.OS == ours.OS && p.Architecture == ours.Architecture:
			return "", true
		case p.OS == "linux" && platform == "":
			platform = p.String()
		}
	}
	return platform, platform != "" || unnamed
}

// open makes a Target of an image whose documents store knows.
func (img *Image) open(ctx context.Context, store image.Store, o source.Options) (seawall.Target, error) {
	o.Platform = img.platform
	host, _, _ := strings.Cut(img.Name, "/")
	return image.Open(ctx, store, img.root, image.Parts{
		Name: img.Name, RepoTags: img.References, RepoDigests: []string{host + "/" + img.repository + "@" + img.root.Digest},
	}, o)
}

// tagOf is what follows the last colon of a reference's name.
func tagOf(reference string) string {
	if i := strings.LastIndexByte(reference, ':'); i > strings.LastIndexByte(reference, '/') {
		return reference[i+1:]
	}
	return ""
}

// pinned is a repository whose small documents are kept.
type pinned struct {
	*client
	documents documents
}

// Blob implements image.Store.
func (p pinned) Blob(ctx context.Context, d image.Descriptor) (io.ReadCloser, error) {
	if !strings.HasSuffix(d.MediaType, "json") {
		return p.client.Blob(ctx, d)
	}
	if raw, ok := p.documents.get(d.Digest); ok {
		return io.NopCloser(strings.NewReader(string(raw))), nil
	}
	rc, err := p.client.Blob(ctx, d)
	if err != nil {
		return nil, err
	}
	defer rc.Close()
	raw, err := io.ReadAll(io.LimitReader(rc, maxManifest+1))
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %w", d.Digest, seawall.ErrUnreadable, err)
	}
	p.documents.put(d.Digest, raw)
	return io.NopCloser(strings.NewReader(string(raw))), nil // the reader of it judges its size and digest
}

// newest keeps the n images built last, those of one time by their tags. Images
// that could not be looked at are kept: nobody knows how old they are.
func newest(images []Image, n int) []Image {
	slices.SortFunc(images, func(a, b Image) int {
		return cmp.Or(b.created.Compare(a.created), compareTags(tagOf(a.Name), tagOf(b.Name)), cmp.Compare(a.Name, b.Name))
	})
	if n == 0 {
		return images
	}
	kept := 0
	return slices.DeleteFunc(images, func(i Image) bool {
		if i.Err != nil {
			return false
		}
		kept++
		return kept > n
	})
}

// merge makes one of the images that several repositories or indexes share.
func merge(images []Image) []Image {
	slices.SortFunc(images, func(a, b Image) int {
		return cmp.Or(cmp.Compare(a.repository, b.repository), compareTags(tagOf(a.Name), tagOf(b.Name)))
	})
	at := map[string]int{}
	var out []Image
	for _, img := range images {
		i, ok := at[img.Digest]
		if !ok || img.Err != nil {
			if img.Err == nil {
				at[img.Digest] = len(out)
			}
			out = append(out, img)
			continue
		}
		same := &out[i]
		same.References = append(slices.Clip(same.References), img.References...)
		if img.signed == "yes" || same.signed == "no" {
			same.signed = img.signed
		}
	}
	return out
}

// compareTags puts the tag to show first: versions before words, the highest
// first, "latest" last. Numbers in a tag are compared as numbers.
func compareTags(a, b string) int {
	if a == b {
		return 0
	}
	return cmp.Or(cmp.Compare(rank(a), rank(b)), natural(b, a), cmp.Compare(a, b))
}

func rank(tag string) int {
	switch {
	case tag == "latest":
		return 2
	case releaseTag(tag):
		return 0
	}
	return 1
}

// releaseTag tells a tag that names one version: "1.2", "v3.0.1-alpine", "2026-11-21".
func releaseTag(tag string) bool {
	tag = strings.TrimPrefix(tag, "v")
	return tag != "" && tag[0] >= '0' && tag[0] <= '9' && strings.ContainsAny(tag, ".-_")
}

// natural compares texts with the numbers in them by value.
func natural(a, b string) int {
	for a != "" && b != "" {
		x, y := number(a), number(b)
		if x == "" || y == "" {
			if a[0] != b[0] {
				return cmp.Compare(a[0], b[0])
			}
			a, b = a[1:], b[1:]
			continue
		}
		a, b = a[len(x):], b[len(y):]
		x, y = strings.TrimLeft(x, "0"), strings.TrimLeft(y, "0")
		if c := cmp.Or(cmp.Compare(len(x), len(y)), cmp.Compare(x, y)); c != 0 {
			return c
		}
	}
	return cmp.Compare(len(a), len(b))
}

// number is the run of digits a text begins with.
func number(s string) string {
	i := 0
	for i < len(s) && s[i] >= '0' && s[i] <= '9' {
		i++
	}
	return s[:i]
}

// signed looks for a signature of an image: by the referrers of the OCI
// distribution specification, their fallback tag, and cosign's older tag.
func (w *walker) signed(ctx context.Context, c *client, seen *seenRepository, img *Image) string {
	const indexType = "application/vnd.oci.image.index.v1+json"
	unknown := ""
	for _, digest := range slices.Compact([]string{img.root.Digest, img.Digest}) {
		tag := strings.Replace(digest, ":", "-", 1)
		if _, ok := seen.Tags[tag+".sig"]; ok {
			return "yes"
		}
		path := "referrers/" + digest
		if _, ok := seen.Tags[tag]; ok {
			path = "manifests/" + tag
		}
		raw, header, err := c.fetch(ctx, http.MethodGet, c.prefix+path, indexType, maxManifest)
		var index manifest
		switch mediaType, _, _ := strings.Cut(header.Get("Content-Type"), ";"); {
		case err == nil && mediaType == indexType:
			err = json.Unmarshal(raw, &index)
		case err == nil, unsupported(err): // a registry without referrers: there is only what tags say
			err = nil
		}
		if err != nil {
			unknown = "asking for referrers: " + err.Error()
		}
		if slices.ContainsFunc(index.Manifests, isSignature) {
			return "yes"
		}
	}
	return cmp.Or(unknown, "no")
}

func isSignature(d image.Descriptor) bool {
	return strings.HasPrefix(d.ArtifactType, "application/vnd.dev.sigstore.bundle") ||
		d.ArtifactType == "application/vnd.cncf.notary.signature" ||
		d.ArtifactType == "application/vnd.dev.cosign.artifact.sig.v1+json"
}
