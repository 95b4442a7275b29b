package registry_test

import (
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	memory "github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/source"
	"github.com/seawall-security/seawall/internal/source/registry"
	"github.com/seawall-security/seawall/internal/source/sourcetest"
)

const attachedType = "application/vnd.dev.sigstore.bundle.v0.3+json"

var bundles = source.Wanted{
	MediaType: func(mediaType string) bool { return mediaType == attachedType },
	Known:     func(string) bool { return false },
}

// attach pushes an image with n referrers and returns its name and digest. change
// answers requests in the registry's stead where it returns true.
func attach(t *testing.T, n int, change func(w http.ResponseWriter, r *http.Request) bool, o ...memory.Option) (ref, digest string) {
	t.Helper()
	real := memory.New(append(o, memory.Logger(log.New(io.Discard, "", 0)))...)
	var changing bool
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !changing || change == nil || !change(w, r) {
			real.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(server.Close)
	repo, err := name.NewRepository(strings.TrimPrefix(server.URL, "http://") + "/app")
	if err != nil {
		t.Fatal(err)
	}
	img := sourcetest.Image(t, "amd64")
	desc, err := partial.Descriptor(img)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(repo.Tag("1"), img); err != nil {
		t.Fatal(err)
	}
	for i := range n {
		layer := static.NewLayer(fmt.Appendf(nil, "bundle %d", i), attachedType)
		signature, err := mutate.Append(mutate.MediaType(empty.Image, types.OCIManifestSchema1),
			mutate.Addendum{Layer: layer, Annotations: map[string]string{"n": fmt.Sprint(i)}},
			mutate.Addendum{Layer: static.NewLayer([]byte("not wanted"), "text/plain")})
		if err != nil {
			t.Fatal(err)
		}
		if err := remote.Write(repo.Tag(fmt.Sprintf("s%d", i)), mutate.Subject(signature, *desc).(v1.Image)); err != nil {
			t.Fatal(err)
		}
	}
	changing = true
	return repo.Tag("1").Name(), desc.Digest.String()
}

func TestAttached(t *testing.T) {
	html := func(w http.ResponseWriter, r *http.Request) bool {
		if strings.Contains(r.URL.Path, "/referrers/") {
			fmt.Fprint(w, "<html>hello</html>")
			return true
		}
		return false
	}
	for name, c := range map[string]struct {
		change func(http.ResponseWriter, *http.Request) bool
		o      []memory.Option
	}{
		"referrers API": {o: []memory.Option{memory.WithReferrersSupport(true)}},
		"tag":           {},
		"not an index":  {change: html},
	} {
		t.Run(name, func(t *testing.T) {
			ref, digest := attach(t, 3, c.change, c.o...)
			got, err := registry.Opener{}.Attached(t.Context(), ref, source.Options{}, bundles)
			if err != nil {
				t.Fatal(err)
			}
			seen := map[string]bool{}
			for _, a := range got.Found {
				if a.Err != nil || a.MediaType != attachedType || a.Annotations["n"] != strings.TrimPrefix(string(a.Content), "bundle ") {
					t.Errorf("%+v", a)
				}
				seen[string(a.Content)] = true
			}
			if got.Digest != digest || got.MediaType != string(types.OCIManifestSchema1) || got.Size == 0 || len(got.Found) != 3 || len(seen) != 3 {
				t.Errorf("%+v", got)
			}
		})
	}
}

// TestAttachedPages: a list in pages is followed, an endless one is not.
func TestAttachedPages(t *testing.T) {
	endless := false
	page := func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.Contains(r.URL.Path, "/referrers/") || r.URL.Query().Get("last") != "" && !endless {
			return false
		}
		w.Header().Set("Content-Type", string(types.OCIImageIndex))
		w.Header().Set("Link", fmt.Sprintf(`<%s?last=%s1>; rel="next"`, r.URL.Path, r.URL.Query().Get("last")))
		fmt.Fprint(w, `{"schemaVersion":2,"manifests":[]}`)
		return true
	}
	ref, _ := attach(t, 2, page, memory.WithReferrersSupport(true))
	got, err := registry.Opener{}.Attached(t.Context(), ref, source.Options{}, bundles)
	if err != nil || len(got.Found) != 2 {
		t.Errorf("%v, %+v", err, got)
	}
	endless = true
	if _, err := (registry.Opener{}).Attached(t.Context(), ref, source.Options{}, bundles); !errors.Is(err, seawall.ErrBound) {
		t.Errorf("%v, want a bound", err)
	}
}

// TestAttachedHostile: one bad blob is one bad signature; a registry that cannot answer is an error.
func TestAttachedHostile(t *testing.T) {
	lie := func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.Contains(r.URL.Path, "/blobs/") {
			return false
		}
		fmt.Fprint(w, "bundle 9")
		return true
	}
	ref, _ := attach(t, 2, lie)
	got, err := registry.Opener{}.Attached(t.Context(), ref, source.Options{}, bundles)
	if err != nil || len(got.Found) != 2 {
		t.Fatalf("%v, %+v", err, got)
	}
	for _, a := range got.Found {
		if !errors.Is(a.Err, seawall.ErrCorrupt) || a.Content != nil {
			t.Errorf("%+v", a)
		}
	}
	denied := func(w http.ResponseWriter, r *http.Request) bool {
		if strings.Contains(r.URL.Path, "/blobs/") || strings.Contains(r.URL.Path, "/referrers/") {
			w.WriteHeader(http.StatusForbidden)
			return true
		}
		return false
	}
	ref, _ = attach(t, 1, denied)
	if _, err := (registry.Opener{}).Attached(t.Context(), ref, source.Options{}, bundles); !errors.Is(err, seawall.ErrUnreadable) {
		t.Errorf("%v, want unreadable", err)
	}
	if _, err := (registry.Opener{}).Attached(t.Context(), ref, source.Options{Offline: true}, bundles); !errors.Is(err, seawall.ErrUnreadable) {
		t.Errorf("offline: %v", err)
	}
}

// TestAttachedKnown: nothing is fetched once the digest answers the question.
func TestAttachedKnown(t *testing.T) {
	ref, digest := attach(t, 1, func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path != "/v2/" && !strings.HasSuffix(r.URL.Path, "/manifests/1") {
			t.Errorf("asked for %s", r.URL.Path)
		}
		return false
	})
	w := bundles
	w.Known = func(d string) bool { return d == digest }
	got, err := registry.Opener{}.Attached(t.Context(), ref, source.Options{}, w)
	if err != nil || !got.Known || got.Digest != digest || got.Found != nil {
		t.Errorf("%v, %+v", err, got)
	}
}
