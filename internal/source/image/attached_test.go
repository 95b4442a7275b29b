package image_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/source/image"
)

// shelf is a Store in memory.
type shelf map[string][]byte

func (s shelf) put(content []byte, mediaType string) image.Descriptor {
	d := image.Descriptor{MediaType: mediaType, Digest: image.Digest(content), Size: int64(len(content))}
	s[d.Digest] = content
	return d
}

func (s shelf) Blob(_ context.Context, d image.Descriptor) (io.ReadCloser, error) {
	content, ok := s[d.Digest]
	if !ok {
		return nil, fmt.Errorf("%s: %w", d.Digest, seawall.ErrUnreadable)
	}
	return io.NopCloser(bytes.NewReader(content)), nil
}

func everything(string) bool { return true }

func TestAttachingBounds(t *testing.T) {
	s := shelf{}
	small := s.put([]byte("x"), "text/plain")
	layer := fmt.Sprintf(`{"mediaType":"text/plain","digest":%q,"size":1}`, small.Digest)
	many := s.put([]byte(`{"layers":[`+strings.Repeat(layer+",", 300)+layer+`]}`), "")
	if err := image.NewAttaching(s, everything).Manifest(t.Context(), many, "many"); !errors.Is(err, seawall.ErrBound) {
		t.Errorf("300 layers: %v", err)
	}
	var list []string
	for i := range 300 {
		d := s.put(fmt.Appendf(nil, `{"layers":[],"annotations":{"n":"%d"}}`, i), "")
		list = append(list, fmt.Sprintf(`{"digest":%q,"size":%d}`, d.Digest, d.Size))
	}
	if err := image.NewAttaching(s, everything).Index(t.Context(), []byte(`{"manifests":[`+strings.Join(list, ",")+`]}`)); !errors.Is(err, seawall.ErrBound) {
		t.Errorf("300 manifests: %v", err)
	}
	large := s.put([]byte(`{"layers":[{"mediaType":"text/plain","digest":"`+small.Digest+`","size":99999999999}]}`), "")
	a := image.NewAttaching(s, everything)
	if err := a.Manifest(t.Context(), large, "large"); err != nil || len(a.Found()) != 1 || !errors.Is(a.Found()[0].Err, seawall.ErrBound) {
		t.Errorf("large: %v, %+v", err, a.Found())
	}
	missing := image.Descriptor{Digest: image.Digest([]byte("missing"))}
	if err := image.NewAttaching(s, everything).Manifest(t.Context(), missing, "missing"); !errors.Is(err, seawall.ErrUnreadable) {
		t.Errorf("missing: %v", err)
	}
}

func FuzzAttaching(f *testing.F) {
	f.Add([]byte(`{"layers":[{"mediaType":"a","digest":"sha256:2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881","size":1}]}`))
	f.Add([]byte(`{"manifests":[{"digest":"sha256:2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"}],"annotations":{"a":"b"}}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		s := shelf{}
		s.put([]byte("x"), "")
		d := s.put(raw, "")
		a := image.NewAttaching(s, everything)
		if err := a.Index(t.Context(), raw); err != nil && len(a.Found()) > 256 {
			t.Errorf("%d found", len(a.Found()))
		}
		if err := a.Manifest(t.Context(), d, "p"); err == nil {
			for _, x := range a.Found() {
				if x.Err == nil && string(x.Content) != "x" && !bytes.Equal(x.Content, raw) {
					t.Errorf("%+v", x)
				}
			}
		}
	})
}
