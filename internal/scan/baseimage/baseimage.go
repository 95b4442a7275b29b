// Package baseimage tells which image another was built on: one the user names, or
// the largest image seen before whose layers are all at the bottom of this one.
// Labels of the OCI image specification give a name where the layers do not.
//
// Images seen are kept as one small file each, named by the chain of their diff
// identifiers (OCI image specification, config.md, "Layer ChainID"), so that a
// lookup is one open per layer and never a search.
package baseimage

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/seawall-security/seawall/internal/seawall"
)

// How a base image is known.
const (
	Given = "given"
	Label = "label"
	Seen  = "seen"
)

// Finder finds base images. It is safe for concurrent use. The zero value knows labels only.
type Finder struct {
	// Dir is where images seen are kept; "" is nowhere.
	Dir string
	// Given are the images the user names as bases.
	Given []seawall.Asset

	mu   sync.Mutex
	used []string // those of Given that an image was built on
}

// image is what is kept of an image seen.
type image struct {
	Name   string `json:"name"`
	Digest string `json:"digest,omitempty"`
}

// maxImage bounds a kept file, maxImages how many are kept.
const maxImage, maxImages = 64 << 10, 4096

// Find returns the base image of an asset, nil when none is known.
func (f *Finder) Find(a *seawall.Asset) *seawall.BaseImage {
	if a.Image == nil {
		return nil
	}
	var found *seawall.BaseImage
	for i := range f.Given {
		g := &f.Given[i]
		if g.Image == nil || len(g.Image.Layers) == 0 || !startsWith(a.Image.Layers, g.Image.Layers) {
			continue
		}
		if n := len(g.Image.Layers); found == nil || n > found.Layers {
			found = &seawall.BaseImage{Name: g.Name, Digest: g.Digest, Layers: n, Known: Given}
		}
		f.mu.Lock()
		f.used = append(f.used, g.Name)
		f.mu.Unlock()
	}
	if found != nil {
		return found
	}
	found = f.seen(a.Image.Layers)
	name, digest := stated(a.Image, "org.opencontainers.image.base.name"), stated(a.Image, "org.opencontainers.image.base.digest")
	switch {
	case name == "" && digest == "":
		return found
	case found == nil:
		return &seawall.BaseImage{Name: name, Digest: digest, Known: Label}
	case digest == "" || found.Digest == "" || found.Digest == digest:
		found.Name, found.Digest, found.Known = cmp.Or(name, found.Name), cmp.Or(digest, found.Digest), Label
	}
	return found
}

// stated is what the manifest's annotations, or else the labels, say.
func stated(i *seawall.ImageInfo, key string) string {
	return cmp.Or(i.Annotations[key], i.Labels[key])
}

// startsWith says whether the layers begin with those of another image, and go on.
func startsWith(layers, base []seawall.LayerInfo) bool {
	if len(layers) <= len(base) {
		return false
	}
	for i := range base {
		if base[i].DiffID == "" || base[i].DiffID != layers[i].DiffID {
			return false
		}
	}
	return true
}

// seen looks for the largest image seen that lies below the top layer.
func (f *Finder) seen(layers []seawall.LayerInfo) *seawall.BaseImage {
	if f.Dir == "" || len(layers) < 2 {
		return nil
	}
	chain := chains(layers)
	for n := len(chain) - 1; n >= 1; n-- {
		if img, ok := f.read(chain[n-1]); ok {
			return &seawall.BaseImage{Name: img.Name, Digest: img.Digest, Layers: n, Known: Seen}
		}
	}
	return nil
}

// chains are the chain identifiers of the lowest one, two, … layers, as far as the diff identifiers are known.
func chains(layers []seawall.LayerInfo) (out []string) {
	for i, l := range layers {
		if l.DiffID == "" {
			return nil
		}
		id := l.DiffID
		if i > 0 {
			sum := sha256.Sum256([]byte(out[i-1] + " " + l.DiffID))
			id = "sha256:" + hex.EncodeToString(sum[:])
		}
		out = append(out, id)
	}
	return out
}

// path is the file of a chain; "" for what is no such identifier (it comes from the image).
func (f *Finder) path(chain string) string {
	sum, ok := strings.CutPrefix(chain, "sha256:")
	if _, err := hex.DecodeString(sum); !ok || err != nil || len(sum) != 64 {
		return ""
	}
	return filepath.Join(f.Dir, sum+".json")
}

func (f *Finder) read(chain string) (image, bool) {
	path := f.path(chain)
	if path == "" {
		return image{}, false
	}
	raw, err := os.ReadFile(path)
	if err != nil || len(raw) > maxImage {
		return image{}, false
	}
	var img image
	err = json.Unmarshal(raw, &img)
	return img, err == nil && img.Name != ""
}

// Remember keeps an image as one that others may be built on. A directory that
// cannot be written only means that nothing is remembered.
func (f *Finder) Remember(a *seawall.Asset) {
	if f.Dir == "" || a.Image == nil {
		return
	}
	chain := chains(a.Image.Layers)
	if len(chain) == 0 {
		return
	}
	path := f.path(chain[len(chain)-1])
	raw, err := json.Marshal(image{a.Name, a.Digest})
	if path == "" || err != nil || os.MkdirAll(f.Dir, 0o700) != nil {
		return
	}
	tmp, err := os.CreateTemp(f.Dir, ".new-*")
	if err != nil {
		return
	}
	_, err = tmp.Write(raw)
	if closing := tmp.Close(); err != nil || closing != nil || os.Rename(tmp.Name(), path) != nil {
		_ = os.Remove(tmp.Name())
		return
	}
	f.prune()
}

// prune forgets the images seen longest ago once there are too many, a quarter at a time.
func (f *Finder) prune() {
	entries, err := os.ReadDir(f.Dir)
	if err != nil || len(entries) <= maxImages {
		return
	}
	seen := func(e os.DirEntry) time.Time {
		info, err := e.Info()
		if err != nil {
			return time.Time{}
		}
		return info.ModTime()
	}
	slices.SortFunc(entries, func(a, b os.DirEntry) int { return seen(a).Compare(seen(b)) })
	for _, e := range entries[:len(entries)-maxImages*3/4] {
		_ = os.Remove(filepath.Join(f.Dir, e.Name()))
	}
}

// Warnings name the given images that nothing scanned was built on.
func (f *Finder) Warnings() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []string
	for i := range f.Given {
		if name := f.Given[i].Name; !slices.Contains(f.used, name) {
			out = append(out, "--base "+name+": no image scanned was built on it as it is now (its layers are not the lowest ones)")
		}
	}
	return out
}
