// Package sourcetest builds images for tests and reads targets back, so that
// every source is held to the same content.
package sourcetest

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/seawall-security/seawall/internal/seawall"
)

// Member is a tar member with its content; Size, where 0, is the content's.
type Member struct {
	tar.Header
	Content string
}

// File is a regular file.
func File(name, content string) Member {
	return Member{tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o644}, content}
}

// Tar writes members to a tar.
func Tar(t testing.TB, members ...Member) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, m := range members {
		if m.Size == 0 {
			m.Size = int64(len(m.Content))
		}
		if err := w.WriteHeader(&m.Header); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, m.Content); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// Image is a small linux image of three layers: a base, a step that removes a
// file of it and hides a directory, and a program. arch ("amd64",
// "arm/v6") is in its configuration and in a file.
func Image(t testing.TB, arch string) v1.Image {
	t.Helper()
	layers := [][]byte{
		Tar(t, Member{Header: tar.Header{Name: "./etc/", Typeflag: tar.TypeDir, Mode: 0o755}},
			File("./etc/os-release", "ID=test\n"), File("etc/removed", "x"), File("opt/old/a", "a")),
		Tar(t, File("etc/.wh.removed", ""), File("opt/old/.wh..wh..opq", ""), File("opt/old/b", "b")),
		Tar(t, File("bin/app", "program for "+arch),
			Member{Header: tar.Header{Name: "bin/link", Typeflag: tar.TypeSymlink, Linkname: "app"}},
			Member{Header: tar.Header{Name: "bin/hard", Typeflag: tar.TypeLink, Linkname: "./bin/app"}}),
	}
	img := mutate.MediaType(empty.Image, types.OCIManifestSchema1)
	img = mutate.ConfigMediaType(img, types.OCIConfigJSON)
	steps := []string{"/bin/sh -c #(nop) ADD file:1 in / ", "|1 A=b c /bin/sh -c rm /etc/removed", "COPY app /bin/ # buildkit"}
	var err error
	for i, raw := range layers {
		layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(raw)), nil },
			tarball.WithMediaType(types.OCILayer))
		if err != nil {
			t.Fatal(err)
		}
		if img, err = mutate.Append(img, mutate.Addendum{Layer: layer, History: v1.History{CreatedBy: steps[i]}},
			mutate.Addendum{History: v1.History{CreatedBy: "ENV", EmptyLayer: true}}); err != nil {
			t.Fatal(err)
		}
	}
	cfg, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	cfg = cfg.DeepCopy()
	cfg.OS = "linux"
	cfg.Architecture, cfg.Variant, _ = strings.Cut(arch, "/")
	cfg.Config.User, cfg.Config.Env = "nobody", []string{"A=b"}
	if img, err = mutate.ConfigFile(img, cfg); err != nil {
		t.Fatal(err)
	}
	return img
}

// Content is what Image's layers hold as Dump writes it.
func Content(arch string) []string {
	return []string{
		`0 dir etc`, `0 file etc/os-release "ID=test\n"`, `0 file etc/removed "x"`, `0 file opt/old/a "a"`,
		`1 whiteout etc/removed`, `1 opaque opt/old`, `1 file opt/old/b "b"`,
		fmt.Sprintf(`2 file bin/app "program for %s"`, arch), `2 symlink bin/link -> app`, `2 hardlink bin/hard -> bin/app`,
	}
}

// Steps are the build steps of Image's layers, cleaned.
var Steps = [3]string{"ADD file:1 in /", "RUN rm /etc/removed", "COPY app /bin/"}

// Dump walks every layer of a target and writes its entries one a line.
func Dump(ctx context.Context, t seawall.Target) ([]string, error) {
	var out []string
	for _, l := range t.Layers() {
		err := l.Walk(ctx, func(e seawall.Entry) error {
			line, err := dumpEntry(e)
			out = append(out, fmt.Sprintf("%d %s", l.Info().Index, line))
			return err
		})
		if err != nil {
			return out, err
		}
	}
	return out, nil
}

// WantContent checks that a target is Image and holds it all.
func WantContent(t testing.TB, target seawall.Target, arch string) {
	t.Helper()
	got, err := Dump(t.Context(), target)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(Content(arch), got); diff != "" {
		t.Error(diff)
	}
}

func dumpEntry(e seawall.Entry) (string, error) {
	kind := map[seawall.EntryKind]string{
		seawall.EntryFile: "file", seawall.EntryDir: "dir", seawall.EntrySymlink: "symlink", seawall.EntryHardlink: "hardlink",
		seawall.EntryOther: "other", seawall.EntryWhiteout: "whiteout", seawall.EntryOpaque: "opaque",
	}[e.Kind]
	line := kind + " " + e.Path
	if e.Link != "" {
		line += " -> " + e.Link
	}
	if e.Err != nil {
		return line + " (" + e.Err.Error() + ")", nil
	}
	if e.Kind != seawall.EntryFile {
		return line, nil
	}
	rc, err := e.Open()
	if err != nil {
		return line, err
	}
	defer rc.Close()
	raw, err := io.ReadAll(io.LimitReader(rc, 1<<20))
	return fmt.Sprintf("%s %q", line, raw), err
}

// WantError checks an error's class and that message and hint together hold words.
func WantError(t testing.TB, err, class error, words ...string) {
	t.Helper()
	if !errors.Is(err, class) {
		t.Fatalf("error = %v, want %v", err, class)
	}
	text := err.Error()
	var h *seawall.Hinted
	if errors.As(err, &h) {
		text += " " + h.Hint
	}
	for _, w := range words {
		if !strings.Contains(text, w) {
			t.Errorf("error %q lacks %q", text, w)
		}
	}
}
