package scan

import (
	"archive/tar"
	"bytes"
	"context"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/seawall-security/seawall/internal/inventory"
	inventoryall "github.com/seawall-security/seawall/internal/inventory/all"
	"github.com/seawall-security/seawall/internal/scan/cache"
	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/source"
	sourceall "github.com/seawall-security/seawall/internal/source/all"
)

const (
	baseStatus = "Package: libc6\nStatus: install ok installed\nArchitecture: amd64\nSource: glibc\nVersion: 2.36-9+deb12u4\n"
	nextStatus = baseStatus + "\nPackage: curl\nStatus: install ok installed\nArchitecture: amd64\nVersion: 7.88.1-10+deb12u5\n"
	osRelease  = "ID=debian\nVERSION_ID=\"12\"\nVERSION_CODENAME=bookworm\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\n"
	npmLock    = `{"name":"app","version":"1.0.0","lockfileVersion":3,"packages":{"":{"name":"app","version":"1.0.0"},"node_modules/lodash":{"version":"4.17.20"}}}`
)

// sample is an image of three layers as file contents; "" removes a file. The
// program of this test stands for a large Go binary.
func sample(t *testing.T) []map[string]string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile(self)
	if err != nil {
		t.Fatal(err)
	}
	program = append(program, make([]byte, 16<<20)...) // large enough to be streamed from a layer
	return []map[string]string{
		{"usr/lib/os-release": osRelease, "var/lib/dpkg/status": baseStatus, "old/package-lock.json": npmLock},
		{"var/lib/dpkg/status": nextStatus, "srv/program": string(program)},
		{"app/package-lock.json": npmLock, "old/package-lock.json": ""},
	}
}

// writeTree writes what is left of the layers into a directory.
func writeTree(t *testing.T, layers []map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for _, files := range layers {
		for name, content := range files {
			path := filepath.Join(dir, name)
			if content == "" {
				if err := os.Remove(path); err != nil {
					t.Fatal(err)
				}
				continue
			}
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(content), 0o755); err != nil {
				t.Fatal(err)
			}
		}
	}
	return dir
}

// writeLayout writes the layers as an OCI image layout.
func writeLayout(t *testing.T, layers []map[string]string) string {
	t.Helper()
	var blobs []v1.Layer
	for _, files := range layers {
		blobs = append(blobs, tarLayer(t, files))
	}
	return writeImage(t, blobs...)
}

func writeImage(t *testing.T, layers ...v1.Layer) string {
	t.Helper()
	img, err := mutate.AppendLayers(empty.Image, layers...)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	p, err := layout.Write(dir, empty.Index)
	if err == nil {
		err = p.AppendImage(img)
	}
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func tarLayer(t *testing.T, files map[string]string) v1.Layer {
	t.Helper()
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, name := range slices.Sorted(maps.Keys(files)) { // the same files are the same layer
		content := files[name]
		if content == "" {
			name = filepath.Join(filepath.Dir(name), ".wh."+filepath.Base(name))
		}
		if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o755, Size: int64(len(content))}); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, content); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return layerOf(t, buf.Bytes())
}

func layerOf(t *testing.T, archive []byte) v1.Layer {
	t.Helper()
	l, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(archive)), nil })
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// inventoryOf runs every real collector over a target.
func inventoryOf(t *testing.T, name string, c inventory.Cache) *inventory.Result {
	t.Helper()
	target, err := sourceall.Open(t.Context(), name, source.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer target.Close()
	res, err := inventory.Run(t.Context(), target, inventory.Options{Collectors: inventoryall.Collectors(), Cache: c})
	if err != nil {
		t.Fatal(err)
	}
	for i := range res.Statuses {
		res.Statuses[i].MS = 0
	}
	return res
}

func TestImageAndDirectoryGiveTheSamePackages(t *testing.T) {
	layers := sample(t)
	image := inventoryOf(t, "oci:"+writeLayout(t, layers), nil)
	tree := inventoryOf(t, "rootfs:"+writeTree(t, layers), nil)

	if image.Asset.OS == nil || *image.Asset.OS != *tree.Asset.OS || image.Asset.OS.ID != "debian" {
		t.Errorf("OS of the image %+v, of the tree %+v", image.Asset.OS, tree.Asset.OS)
	}
	plain := func(res *inventory.Result) (packages []seawall.Package) {
		for _, p := range res.Packages {
			p.Asset = ""
			p.Locations = slices.Clone(p.Locations)
			for i := range p.Locations {
				p.Locations[i].Layer = ""
			}
			packages = append(packages, p)
		}
		return packages
	}
	if diff := cmp.Diff(plain(tree), plain(image)); diff != "" {
		t.Errorf("packages (-tree +image):\n%s", diff)
	}
	var layersOf []string
	for _, p := range image.Packages {
		if i := slices.IndexFunc(image.Asset.Image.Layers, func(l seawall.LayerInfo) bool { return l.Digest == p.Locations[0].Layer }); i < 0 {
			t.Errorf("%s: no layer %q", p.Name, p.Locations[0].Layer)
		} else if want := (map[string]int{"libc6": 0, "curl": 1, "stdlib": 1, "lodash": 2}); want[p.Name] != 0 || p.Name == "libc6" {
			layersOf = append(layersOf, p.Name)
			if i != want[p.Name] {
				t.Errorf("%s is of layer %d, want %d", p.Name, i, want[p.Name])
			}
		}
	}
	slices.Sort(layersOf)
	if diff := cmp.Diff([]string{"curl", "libc6", "lodash", "stdlib"}, layersOf); diff != "" {
		t.Errorf("found (-want +got):\n%s", diff)
	}
	if h := image.Hidden; len(h) != 1 || h[0].Name != "lodash" || h[0].Locations[0].Path != "old/package-lock.json" {
		t.Errorf("hidden: %+v, want the lodash that was removed", h)
	}
}

func TestCachedImageGivesTheSame(t *testing.T) {
	name := "oci:" + writeLayout(t, sample(t))
	c, err := cache.Open(t.TempDir(), 0)
	if err != nil {
		t.Fatal(err)
	}
	cold, cached, without := inventoryOf(t, name, c), inventoryOf(t, name, c), inventoryOf(t, name, nil)
	for what, other := range map[string]*inventory.Result{"cached": cached, "without cache": without} {
		if diff := cmp.Diff(cold, other); diff != "" {
			t.Errorf("(-cold +%s):\n%s", what, diff)
		}
	}
}

// TestHardLinksOfAStore is how pnpm installs: a store of contents without names
// anyone knows, and hard links to them that come later in the layer.
func TestHardLinksOfAStore(t *testing.T) {
	const manifest = `{"name":"lodash","version":"4.17.20"}`
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, h := range []*tar.Header{
		{Name: "pnpm/store/v3/files/00/aa", Mode: 0o644, Size: int64(len(manifest))},
		{Name: "srv/node_modules/lodash/package.json", Typeflag: tar.TypeLink, Linkname: "pnpm/store/v3/files/00/aa", Mode: 0o644},
	} {
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if h.Size > 0 {
			if _, err := io.WriteString(w, manifest); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	res := inventoryOf(t, "oci:"+writeImage(t, layerOf(t, buf.Bytes())), nil)
	if len(res.Packages) != 1 || res.Packages[0].Name != "lodash" || res.Packages[0].Locations[0].Path != "srv/node_modules/lodash/package.json" {
		t.Errorf("packages = %+v", res.Packages)
	}
}

// garbage are contents no collector expects under the names it wants.
func garbage() map[string]string {
	random := make([]byte, 70_000)
	r := rand.NewChaCha8([32]byte{1})
	_, _ = r.Read(random)
	return map[string]string{
		"empty": "", "random": string(random), "zeros": strings.Repeat("\x00", 70_000),
		"braces": strings.Repeat("{", 70_000), "brackets": strings.Repeat("[", 70_000), "tags": strings.Repeat("<a>", 30_000),
		"text": strings.Repeat("name: x\nversion: \xff\xfe\n", 1000), "elf": "\x7fELF\x02\x01\x01" + string(random),
		"zip": "PK\x03\x04" + string(random) + "PK\x05\x06" + strings.Repeat("\xff", 18),
	}
}

// wantedPaths has a path for every collector, of those in the bench tree's ecosystems and more.
func wantedPaths() []string {
	return strings.Fields(`etc/os-release usr/lib/os-release etc/debian_version etc/alpine-release etc/redhat-release
		var/lib/dpkg/status var/lib/dpkg/status.d/base var/lib/dpkg/info/base.list lib/apk/db/installed var/lib/rpm/rpmdb.sqlite
		var/lib/rpm/Packages var/lib/rpm/Packages.db var/lib/pacman/local/x-1/desc var/db/pkg/app/x-1/PF usr/bin/program usr/lib/libssl.so.3
		app/x.jar app/x.war opt/jdk/release app/package-lock.json app/yarn.lock app/pnpm-lock.yaml app/bun.lock app/node_modules/x/package.json
		site-packages/x-1.dist-info/METADATA site-packages/x-1.egg-info/PKG-INFO app/requirements.txt app/poetry.lock app/Pipfile.lock app/pdm.lock app/uv.lock
		app/go.mod app/pom.xml app/gradle.lockfile app/Gemfile.lock gems/specifications/x-1.gemspec app/Cargo.lock app/composer.lock app/vendor/composer/installed.json
		app/packages.lock.json app/packages.config app/x.deps.json app/pubspec.lock app/Package.resolved app/Podfile.lock app/mix.lock app/conan.lock app/Manifest.toml
		app/renv.lock lib/R/library/x/DESCRIPTION .github/workflows/ci.yml app/jquery-1.0.min.js app/pylock.toml app/gradle/verification-metadata.xml
		app/obj/project.assets.json app/x.csproj usr/share/bottlerocket/application-inventory.json var/lib/chisel/manifest.wall`)
}

func TestGarbageNeverFailsACollector(t *testing.T) {
	wanted := map[string]bool{}
	for name, content := range garbage() {
		var target memTarget
		files := map[string]string{}
		for _, p := range wantedPaths() {
			files[p] = content
		}
		target.layers = append(target.layers, files)
		res, err := inventory.Run(t.Context(), target, inventory.Options{Collectors: watched(wanted)})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for _, s := range res.Statuses {
			if s.Status == seawall.RunFailed {
				t.Errorf("%s: %s failed: %s", name, s.Name, s.Reason)
			}
		}
	}
	for _, c := range inventoryall.Collectors() {
		if !wanted[c.Name()] {
			t.Errorf("%s wanted none of the paths of this test: give it one", c.Name())
		}
	}
}

// watched are all collectors, noting which of them want anything.
func watched(wanted map[string]bool) (cs []inventory.Collector) {
	for _, c := range inventoryall.Collectors() {
		cs = append(cs, watch{c, wanted})
	}
	return cs
}

type watch struct {
	inventory.Collector
	wanted map[string]bool
}

func (w watch) Wants(path string, info fs.FileInfo) bool {
	wants := w.Collector.Wants(path, info)
	w.wanted[w.Name()] = w.wanted[w.Name()] || wants
	return wants
}

func (w watch) Join(ctx context.Context, m *inventory.Merged) error {
	if j, ok := w.Collector.(inventory.Joiner); ok {
		return j.Join(ctx, m)
	}
	return nil
}
