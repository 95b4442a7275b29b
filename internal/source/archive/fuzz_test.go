package archive

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	dockertar "github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/source"
	"github.com/seawall-security/seawall/internal/source/sourcetest"
)

// FuzzDocker opens arbitrary bytes as a docker archive: a target or an error of a known class.
func FuzzDocker(f *testing.F) {
	var buf bytes.Buffer
	if err := dockertar.Write(name.MustParseReference("a:b").(name.Tag), sourcetest.Image(f, "amd64"), &buf); err != nil {
		f.Fatal(err)
	}
	f.Add(buf.Bytes())
	f.Add(sourcetest.Tar(f, sourcetest.File("manifest.json", `[{"Config":"c","Layers":["l"]}]`), sourcetest.File("c", `{"rootfs":{"diff_ids":["x"]}}`), sourcetest.File("l", "")))
	f.Add(sourcetest.Tar(f, sourcetest.File("index.json", `{"manifests":[{"digest":"sha256:00"}]}`)))
	f.Fuzz(func(t *testing.T, raw []byte) {
		var target seawall.Target
		b, err := indexTar(t.Context(), bytes.NewReader(raw), int64(len(raw)), io.NopCloser(nil))
		if err == nil {
			target, err = openDocker(t.Context(), b, "", Exported{Name: "fuzz"}, source.Options{})
		}
		if (target == nil) == (err == nil) {
			t.Fatalf("target %v, error %v", target, err)
		}
		if err != nil && !errors.Is(err, seawall.ErrCorrupt) && !errors.Is(err, seawall.ErrUnreadable) && !errors.Is(err, seawall.ErrBound) {
			t.Errorf("error of no class: %v", err)
		}
		if target != nil {
			_, _ = sourcetest.Dump(t.Context(), target) // must not panic
			target.Close()
		}
	})
}

// FuzzIndex chooses from arbitrary index.json files.
func FuzzIndex(f *testing.F) {
	f.Add([]byte(`{"manifests":[{"digest":"sha256:`+hex64+`","annotations":{"org.opencontainers.image.ref.name":"v1"}}]}`), "v1")
	f.Add([]byte(`{"manifests":[]}`), "")
	f.Fuzz(func(t *testing.T, raw []byte, choice string) {
		ix, err := parseIndex(raw)
		if (ix == nil) == (err == nil) {
			t.Fatalf("index %v, error %v", ix, err)
		}
		if err != nil {
			return
		}
		if found, err := choose(ix.Manifests, choice); (len(found) == 0) == (err == nil) {
			t.Errorf("chose %v, %v", found, err)
		}
	})
}

const hex64 = "0000000000000000000000000000000000000000000000000000000000000000"
