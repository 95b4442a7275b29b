package archive_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/source"
	"github.com/seawall-security/seawall/internal/source/archive"
	"github.com/seawall-security/seawall/internal/source/sourcetest"
	"github.com/seawall-security/seawall/internal/testenv"
)

// writeLayout writes an OCI layout holding images by tag.
func writeLayout(t *testing.T, images map[string]v1.Image) string {
	t.Helper()
	dir := t.TempDir()
	p, err := layout.Write(dir, empty.Index)
	if err != nil {
		t.Fatal(err)
	}
	for tag, img := range images {
		if err := p.AppendImage(img, layout.WithAnnotations(map[string]string{"org.opencontainers.image.ref.name": tag})); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// run runs a program in dir and fails the test when it fails.
func run(t *testing.T, dir, program string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), testenv.Tool(t, program), args...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s %v: %v\n%s", program, args, err, out)
	}
}

// TestForms opens one image in every archive form, made by go-containerregistry, tar, gzip and skopeo.
func TestForms(t *testing.T) {
	img := sourcetest.Image(t, "amd64")
	config, _ := img.ConfigName()
	digest, _ := img.Digest()
	dir := writeLayout(t, map[string]v1.Image{"v1": img})
	tmp := t.TempDir()
	ociTar := filepath.Join(tmp, "oci:odd.tar")
	run(t, tmp, "tar", "-C", dir, "--force-local", "-cf", ociTar, ".")
	dockerTar := filepath.Join(tmp, "docker.tar")
	tag, err := name.NewTag("example.com/app:v1")
	if err != nil {
		t.Fatal(err)
	}
	if err := tarball.WriteToFile(dockerTar, tag, img); err != nil {
		t.Fatal(err)
	}
	run(t, tmp, "gzip", "-k", dockerTar)
	run(t, tmp, "zstd", "-q", dockerTar)
	skopeo := filepath.Join(tmp, "skopeo.tar")
	run(t, tmp, "skopeo", "copy", "-q", "--insecure-policy", "oci:"+dir+":v1", "docker-archive:"+skopeo+":example.com/app:v1")
	stdin, err := os.ReadFile(skopeo)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		op   source.Opener
		name string
		id   string
	}{
		{archive.Layout{}, dir, digest.String()},
		{archive.Layout{}, dir + ":v1", digest.String()},
		{archive.Layout{}, dir + "@" + digest.String(), digest.String()},
		{archive.OCI{}, ociTar, digest.String()},
		{archive.OCI{}, ociTar + ":v1", digest.String()},
		{archive.Docker{}, ociTar, digest.String()},
		{archive.Docker{}, dockerTar, config.String()},
		{archive.Docker{}, dockerTar + ":v1", config.String()},
		{archive.Docker{}, dockerTar + ":example.com/app:v1", config.String()},
		{archive.Docker{}, dockerTar + ".gz", config.String()},
		{archive.Docker{}, dockerTar + ".zst", config.String()},
		{archive.Docker{}, skopeo, ""}, // skopeo rewrites the configuration
		{archive.Docker{}, "-", ""},
	} {
		t.Run(tt.op.Schemes()[0]+" "+filepath.Base(tt.name), func(t *testing.T) {
			target, err := tt.op.Open(t.Context(), tt.name, source.Options{Stdin: bytes.NewReader(stdin)})
			if err != nil {
				t.Fatal(err)
			}
			defer target.Close()
			sourcetest.WantContent(t, target, "amd64")
			a := target.Asset()
			if tt.id != "" && a.ID != tt.id {
				t.Errorf("ID = %s, want %s", a.ID, tt.id)
			}
			if a.Image.Platform != "linux/amd64" || a.Image.User != "nobody" || a.Kind != seawall.AssetImage {
				t.Errorf("asset = %+v", a.Image)
			}
			for i, l := range a.Image.Layers {
				if l.CreatedBy != sourcetest.Steps[i] {
					t.Errorf("layer %d created by %q, want %q", i, l.CreatedBy, sourcetest.Steps[i])
				}
			}
		})
	}
}

// TestSpoolLeavesNothing: the copy of standard input has no name.
func TestSpoolLeavesNothing(t *testing.T) {
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	var buf bytes.Buffer
	if err := tarball.Write(name.MustParseReference("a:b").(name.Tag), sourcetest.Image(t, "amd64"), &buf); err != nil {
		t.Fatal(err)
	}
	target, err := archive.Docker{}.Open(t.Context(), "-", source.Options{Stdin: &buf})
	if err != nil {
		t.Fatal(err)
	}
	defer target.Close()
	if left, _ := os.ReadDir(tmp); len(left) != 0 {
		t.Errorf("in TMPDIR while open: %v", left)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	pr, pw := io.Pipe() // a standard input nobody writes to
	defer pw.Close()
	if _, err := (archive.Docker{}).Open(ctx, "-", source.Options{Stdin: pr}); !errors.Is(err, context.Canceled) {
		t.Errorf("error = %v, want canceled", err)
	}
	if left, _ := os.ReadDir(tmp); len(left) != 0 {
		t.Errorf("in TMPDIR after cancel: %v", left)
	}
}

func TestChoice(t *testing.T) {
	dir := writeLayout(t, map[string]v1.Image{"a": sourcetest.Image(t, "amd64"), "b": sourcetest.Image(t, "arm64")})
	_, err := archive.Layout{}.Open(t.Context(), dir, source.Options{})
	sourcetest.WantError(t, err, seawall.ErrUnreadable, "several images", ":a")
	_, err = archive.Layout{}.Open(t.Context(), dir+":c", source.Options{})
	sourcetest.WantError(t, err, seawall.ErrUnreadable, `no image "c"`, ":b")
	target, err := archive.Layout{}.Open(t.Context(), dir+":b", source.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if got := target.Asset().Image.Platform; got != "linux/arm64" {
		t.Errorf("platform = %s", got)
	}
	target.Close()
	_, err = archive.Layout{}.Open(t.Context(), dir+":b", source.Options{Platform: "linux/s390x"})
	sourcetest.WantError(t, err, seawall.ErrUnreadable, "linux/arm64, not linux/s390x", "--platform")
}

// TestDockerLegacy reads archives as Docker before 25 wrote them.
func TestDockerLegacy(t *testing.T) {
	layer := string(sourcetest.Tar(t, sourcetest.File("a", "A")))
	config := func(diffIDs string) string {
		return `{"os":"linux","architecture":"amd64","rootfs":{"type":"layers","diff_ids":[` + diffIDs + `]}}`
	}
	diffID := `"` + digestOf(layer) + `"`
	link := func(name, target string, kind byte) sourcetest.Member {
		return sourcetest.Member{Header: tar.Header{Name: name, Typeflag: kind, Linkname: target}}
	}
	manifest := func(m string) sourcetest.Member { return sourcetest.File("manifest.json", m) }
	const two = `[{"Config":"c.json","RepoTags":["x:1"],"Layers":["1/layer.tar","2/layer.tar"]}]`
	for _, tt := range []struct {
		name    string
		members []sourcetest.Member
		want    []string
		class   error
		word    string
	}{
		{"symlinked layer", []sourcetest.Member{sourcetest.File("1/layer.tar", layer), link("2/layer.tar", "../1/layer.tar", tar.TypeSymlink),
			sourcetest.File("c.json", config(diffID+","+diffID)), manifest(two)}, []string{`0 file a "A"`, `1 file a "A"`}, nil, ""},
		{"hard-linked layer", []sourcetest.Member{sourcetest.File("1/layer.tar", layer), link("2/layer.tar", "1/layer.tar", tar.TypeLink),
			sourcetest.File("c.json", config(diffID+","+diffID)), manifest(two)}, []string{`0 file a "A"`, `1 file a "A"`}, nil, ""},
		{"link loop", []sourcetest.Member{link("1/layer.tar", "../2/layer.tar", tar.TypeSymlink), link("2/layer.tar", "../1/layer.tar", tar.TypeSymlink),
			sourcetest.File("c.json", config(diffID+","+diffID)), manifest(two)}, nil, seawall.ErrCorrupt, "circle"},
		{"missing layer", []sourcetest.Member{sourcetest.File("c.json", config(diffID)), manifest(two)}, nil, seawall.ErrCorrupt, "1/layer.tar"},
		{"fewer diff IDs", []sourcetest.Member{sourcetest.File("1/layer.tar", layer), sourcetest.File("2/layer.tar", layer),
			sourcetest.File("c.json", config(diffID)), manifest(two)}, nil, seawall.ErrCorrupt, "2 layers"},
		{"wrong diff ID", []sourcetest.Member{sourcetest.File("1/layer.tar", layer), sourcetest.File("2/layer.tar", layer+"\x00"),
			sourcetest.File("c.json", config(diffID+","+diffID)), manifest(two)}, nil, seawall.ErrCorrupt, "layer 1"},
		{"damaged manifest", []sourcetest.Member{manifest(`[{`)}, nil, seawall.ErrCorrupt, "manifest.json"},
		{"empty manifest", []sourcetest.Member{manifest(`[]`)}, nil, seawall.ErrUnreadable, "no image"},
		{"no manifest", []sourcetest.Member{sourcetest.File("x", "")}, nil, seawall.ErrUnreadable, "manifest.json"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "i.tar")
			if err := os.WriteFile(file, sourcetest.Tar(t, tt.members...), 0o600); err != nil {
				t.Fatal(err)
			}
			target, err := archive.Docker{}.Open(t.Context(), file, source.Options{})
			var got []string
			if err == nil {
				got, err = sourcetest.Dump(t.Context(), target)
				target.Close()
			}
			if tt.class != nil {
				sourcetest.WantError(t, err, tt.class, tt.word)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestBadArchives(t *testing.T) {
	dir := t.TempDir()
	write := func(name string, raw []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, raw, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	var buf bytes.Buffer
	if err := tarball.Write(name.MustParseReference("a:b").(name.Tag), sourcetest.Image(t, "amd64"), &buf); err != nil {
		t.Fatal(err)
	}
	whole := buf.Bytes()
	var bomb bytes.Buffer
	var zipped bytes.Buffer
	for w, raw := range map[*bytes.Buffer][]byte{&bomb: make([]byte, 4<<20), &zipped: whole} {
		z := gzip.NewWriter(w)
		if _, err := z.Write(raw); err != nil {
			t.Fatal(err)
		}
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct {
		name  string
		class error
		word  string
	}{
		{filepath.Join(dir, "absent.tar"), seawall.ErrUnreadable, "no such file"},
		{dir, seawall.ErrUnreadable, "oci:"},
		{write("truncated.tar", whole[:700]), seawall.ErrCorrupt, ""},
		{write("text.tar", []byte(strings.Repeat("not a tar ", 200))), seawall.ErrCorrupt, "tar"},
		{write("empty.tar", nil), seawall.ErrUnreadable, "manifest.json"},
		{write("names.tar", longNames(t)), seawall.ErrBound, "names"},
		{write("cut.tar.gz", zipped.Bytes()[:zipped.Len()/2]), seawall.ErrCorrupt, ""},
		{write("bomb.tar.gz", bomb.Bytes()), seawall.ErrBound, "larger than"},
		{write("x.tar.xz", []byte("\xfd7zXZ\x00....")), seawall.ErrUnreadable, "xzcat"},
	} {
		t.Run(filepath.Base(tt.name), func(t *testing.T) {
			_, err := archive.Docker{}.Open(t.Context(), tt.name, source.Options{Bounds: source.Bounds{Spool: 1 << 20}})
			sourcetest.WantError(t, err, tt.class, tt.word)
		})
	}
}

// longNames is an archive of names of almost a megabyte.
func longNames(t *testing.T) []byte {
	var members []sourcetest.Member
	for i := range 40 {
		members = append(members, sourcetest.File(strings.Repeat("x", 1<<20-1000-i), ""))
	}
	return sourcetest.Tar(t, members...)
}

func digestOf(s string) string {
	h, _, err := v1.SHA256(strings.NewReader(s))
	if err != nil {
		panic(err)
	}
	return h.String()
}

// TestArtifacts: what is attached to an image (signatures, SBOMs) is not asked about.
func TestArtifacts(t *testing.T) {
	img := sourcetest.Image(t, "amd64")
	digest, err := img.Digest()
	if err != nil {
		t.Fatal(err)
	}
	subject, err := partial.Descriptor(img)
	if err != nil {
		t.Fatal(err)
	}
	sbom := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), "application/vnd.cyclonedx+json")
	signature := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	if signature, err = mutate.AppendLayers(signature, static.NewLayer([]byte("{}"), "application/vnd.dev.cosign.simplesigning.v1+json")); err != nil {
		t.Fatal(err)
	}
	dir := writeLayout(t, nil)
	p := layout.Path(dir)
	for _, m := range []v1.Image{mutate.Subject(sbom, *subject).(v1.Image), img, signature} {
		if err := p.AppendImage(m); err != nil {
			t.Fatal(err)
		}
	}
	target, err := archive.Layout{}.Open(t.Context(), dir, source.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer target.Close()
	if got := target.Asset().Digest; got != digest.String() {
		t.Errorf("chose %s, want %s", got, digest)
	}
	sbomDigest, err := mutate.Subject(sbom, *subject).(v1.Image).Digest()
	if err != nil {
		t.Fatal(err)
	}
	_, err = archive.Layout{}.Open(t.Context(), dir+"@"+sbomDigest.String(), source.Options{})
	sourcetest.WantError(t, err, seawall.ErrUnreadable, "an artifact of type application/vnd.cyclonedx+json")
	if err := p.AppendImage(sourcetest.Image(t, "arm64")); err != nil {
		t.Fatal(err)
	}
	_, err = archive.Layout{}.Open(t.Context(), dir, source.Options{})
	sourcetest.WantError(t, err, seawall.ErrUnreadable, "several images", digest.String())
}

// TestPipeInLayout: a named pipe in a blob's place is damage, not a scan that never ends.
func TestPipeInLayout(t *testing.T) {
	dir := writeLayout(t, nil)
	if err := os.Remove(filepath.Join(dir, "index.json")); err != nil {
		t.Fatal(err)
	}
	run(t, dir, "mkfifo", "index.json")
	_, err := archive.Layout{}.Open(t.Context(), dir, source.Options{})
	sourcetest.WantError(t, err, seawall.ErrCorrupt, "index.json", "not a regular file")
}

// TestPipe: an archive may come through a named pipe; waiting for its other end stops with the context.
func TestPipe(t *testing.T) {
	dir := t.TempDir()
	run(t, dir, "mkfifo", "silent", "pipe")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := (archive.Docker{}).Open(ctx, filepath.Join(dir, "silent"), source.Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("error = %v", err)
	}
	release, err := os.OpenFile(filepath.Join(dir, "silent"), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer release.Close()

	var image bytes.Buffer
	if err := tarball.Write(name.MustParseReference("a:b").(name.Tag), sourcetest.Image(t, "amd64"), &image); err != nil {
		t.Fatal(err)
	}
	written := make(chan error, 1)
	go func() { written <- os.WriteFile(filepath.Join(dir, "pipe"), image.Bytes(), 0) }()
	target, err := archive.Docker{}.Open(t.Context(), filepath.Join(dir, "pipe"), source.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer target.Close()
	if got, err := sourcetest.Dump(t.Context(), target); err != nil || !cmp.Equal(got, sourcetest.Content("amd64")) {
		t.Errorf("content = %q, %v", got, err)
	}
	if err := <-written; err != nil {
		t.Error(err)
	}
}
