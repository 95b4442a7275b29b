package registry_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"io/fs"
	"log"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	memory "github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/source"
	"github.com/seawall-security/seawall/internal/source/registry"
	"github.com/seawall-security/seawall/internal/source/sourcetest"
)

// built is an image of a given day.
func built(t *testing.T, arch string, at time.Time) v1.Image {
	t.Helper()
	img, err := mutate.CreatedAt(sourcetest.Image(t, arch), v1.Time{Time: at})
	if err != nil {
		t.Fatal(err)
	}
	return img
}

func day(d int) time.Time { return time.Date(2026, 11, d, 0, 0, 0, 0, time.UTC) }

// push writes an image under references of a host.
func push(t *testing.T, host string, img v1.Image, references ...string) {
	t.Helper()
	tr := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	defer tr.CloseIdleConnections()
	for _, ref := range references {
		r, err := name.ParseReference(host + "/" + ref)
		if err != nil {
			t.Fatal(err)
		}
		if err := remote.Write(r, img, remote.WithAuthFromKeychain(authn.DefaultKeychain), remote.WithTransport(tr)); err != nil {
			t.Fatal(err)
		}
	}
}

func digestOf(t *testing.T, img v1.Image) string {
	t.Helper()
	d, err := img.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return d.String()
}

// walked is a listing in a form to compare: images by name with their other references, answers by key.
type walked struct {
	images  map[string]string
	answers map[string]string
	configs []seawall.ConfigFact
}

func walk(t *testing.T, op registry.Opener, w registry.Walk, o source.Options) (*registry.Listing, walked) {
	t.Helper()
	if w.Dir == "" {
		w.Dir = t.TempDir()
	}
	if w.Now == nil {
		w.Now = func() time.Time { return day(21) }
	}
	if o.Platform == "" {
		o.Platform = "linux/amd64"
	}
	l, err := op.Walk(t.Context(), w, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	out := walked{images: map[string]string{}}
	host, _, _ := strings.Cut(w.Registry, "/")
	for _, img := range l.Images {
		var others []string
		for _, r := range img.References {
			if r != img.Name {
				others = append(others, strings.TrimPrefix(r, host+"/"))
			}
		}
		if img.Err != nil {
			others = []string{"error"}
		}
		out.images[strings.TrimPrefix(img.Name, host+"/")] = strings.Join(others, " ")
	}
	facts, err := l.Target().(seawall.Describer).Facts(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range facts {
		switch {
		case f.Config == nil:
		case f.Config.Kind == "registry":
			out.answers = f.Config.Data
		default:
			out.configs = append(out.configs, *f.Config)
		}
	}
	return l, out
}

// wantAnswers compares the answers to some questions; "unknown" is any reason not to know.
func wantAnswers(t *testing.T, got walked, want map[string]string) {
	t.Helper()
	for key, answer := range want {
		g := got.answers[key]
		if answer == "unknown" && strings.HasPrefix(g, "unknown: ") {
			continue
		}
		if g != answer {
			t.Errorf("%s = %q, want %q", key, g, answer)
		}
	}
}

func TestWalkHardened(t *testing.T) {
	host, certDir := startRegistry(t)
	credentials(t, host, "secret")
	first, second := built(t, "amd64", day(1)), built(t, "amd64", day(2))
	push(t, host, first, "team/app:v1.2", "team/app:stable", "mirror/app:v1.2")
	push(t, host, second, "team/app:v1.10", "team/app:latest")
	push(t, host, built(t, "arm64", day(3)), "team/arm:v1")
	op := registry.Opener{CertDirs: []string{certDir}}

	l, got := walk(t, op, registry.Walk{Registry: host}, source.Options{})
	want := map[string]string{
		"mirror/app:v1.2": "team/app:v1.2 team/app:stable",
		"team/app:v1.10":  "team/app:latest",
	}
	if diff := cmp.Diff(want, got.images); diff != "" {
		t.Errorf("images (-want +got):\n%s", diff)
	}
	wantAnswers(t, got, map[string]string{
		"https": "yes", "plainHTTP": "no", "tls.old": "no", "certificate.trust": "yes", "certificate.weak": "no", "auth": "basic",
		"anonymous.catalog": "no", "anonymous.pull": "no", "anonymous.push": "no", "anonymous.delete": "no",
		"account.write": "unknown", "deletion": "unknown", "software": "distribution", "software.version": "",
		"skipped.images for other platforms": "1", "repositories": "3",
	})
	target, err := l.Open(t.Context(), &l.Images[0], source.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer target.Close()
	content, err := sourcetest.Dump(t.Context(), target)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(sourcetest.Content("amd64"), content); diff != "" {
		t.Error(diff)
	}
	if a := target.Asset(); a.Digest != digestOf(t, first) || !slices.Equal(a.Image.RepoTags, l.Images[0].References) ||
		!slices.Equal(a.Image.RepoDigests, []string{host + "/mirror/app@" + digestOf(t, first)}) {
		t.Errorf("asset %+v %+v", a, a.Image)
	}

	t.Run("write probe", func(t *testing.T) {
		_, got := walk(t, op, registry.Walk{Registry: host + "/team", WriteProbe: true}, source.Options{})
		wantAnswers(t, got, map[string]string{"anonymous.push": "no", "anonymous.delete": "no", "account.write": "yes", "deletion": "no"})
		if _, ok := got.images["team/app:v1.2"]; !ok || len(got.images) != 2 {
			t.Errorf("below the prefix: %v", got.images)
		}
	})
	t.Run("unknown authority", func(t *testing.T) {
		l, got := walk(t, registry.Opener{CertDirs: []string{}}, registry.Walk{Registry: host}, source.Options{})
		wantAnswers(t, got, map[string]string{"certificate.trust": "self-signed", "anonymous.push": "unknown"})
		if len(l.Images) != 1 {
			t.Fatalf("images %v", l.Images)
		}
		_, err := l.Open(t.Context(), &l.Images[0], source.Options{})
		sourcetest.WantError(t, err, seawall.ErrUnreadable, "unknown authority", "--insecure")
	})
	t.Run("expired", func(t *testing.T) {
		_, got := walk(t, op, registry.Walk{Registry: host, Now: func() time.Time { return time.Now().Add(48 * time.Hour) }}, source.Options{})
		wantAnswers(t, got, map[string]string{"certificate.trust": "yes"}) // dates are judged apart
	})
	t.Run("wrong password", func(t *testing.T) {
		credentials(t, host, "wrong")
		l, got := walk(t, op, registry.Walk{Registry: host}, source.Options{})
		wantAnswers(t, got, map[string]string{"anonymous.catalog": "no"})
		sourcetest.WantError(t, l.Images[0].Err, seawall.ErrUnreadable, "--repository")
	})
}

func TestWalkOpen(t *testing.T) {
	credentials(t, "", "")
	host, data := sourcetest.OpenRegistry(t)
	push(t, host, built(t, "amd64", day(1)), "a:1.0", "b:1.0")
	uploads := func() (n int) {
		_ = filepath.WalkDir(data, func(path string, d fs.DirEntry, err error) error {
			// Debian's registry leaves an upload's hash state to its own purging.
			if name := filepath.Base(path); err == nil && (name == "startedat" || name == "data" && strings.Contains(path, "_uploads")) {
				n++
			}
			return nil
		})
		return n
	}
	before := uploads()
	_, got := walk(t, registry.Opener{}, registry.Walk{Registry: host}, source.Options{})
	wantAnswers(t, got, map[string]string{
		"https": "no", "plainHTTP": "yes", "auth": "none", "anonymous.catalog": "yes", "anonymous.pull": "yes",
		"anonymous.push": "yes", "anonymous.delete": "unknown", "deletion": "unknown", "account.write": "not-applicable",
	})
	_, got = walk(t, registry.Opener{}, registry.Walk{Registry: host, WriteProbe: true}, source.Options{})
	wantAnswers(t, got, map[string]string{"anonymous.push": "yes", "anonymous.delete": "yes", "deletion": "yes", "probed": "yes"})
	if len(got.images) != 1 || uploads() != before {
		t.Errorf("the probe left something behind: images %v, %d uploads of %d before", got.images, uploads(), before)
	}
}

// TestWalkEmpty: a registry without images can be asked about itself.
func TestWalkEmpty(t *testing.T) {
	credentials(t, "", "")
	host, _ := sourcetest.OpenRegistry(t)
	l, got := walk(t, registry.Opener{}, registry.Walk{Registry: host, WriteProbe: true}, source.Options{})
	wantAnswers(t, got, map[string]string{"anonymous.pull": "unknown", "anonymous.push": "yes", "anonymous.catalog": "yes"})
	if len(l.Images) != 0 {
		t.Errorf("images %v", l.Images)
	}
}

// startMemory is a registry in memory that counts requests and misbehaves as a test tells it to.
type counted struct {
	flaky
	host string
	mu   sync.Mutex
	seen []string
}

func startMemory(t *testing.T) *counted {
	t.Helper()
	credentials(t, "", "")
	c := &counted{}
	c.inner = memory.New(memory.Logger(log.New(io.Discard, "", 0)), memory.WithReferrersSupport(true))
	c.serve = func(w http.ResponseWriter, r *http.Request, inner http.Handler) { inner.ServeHTTP(w, r) }
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c.mu.Lock()
		c.seen = append(c.seen, r.Method+" "+r.URL.Path)
		serve := c.serve
		c.mu.Unlock()
		serve(w, r, c.inner)
	}))
	t.Cleanup(s.Close)
	c.host = strings.TrimPrefix(s.URL, "http://")
	return c
}

// requests returns those made since the last call.
func (c *counted) requests() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := c.seen
	c.seen = nil
	return out
}

func (c *counted) behave(serve func(w http.ResponseWriter, r *http.Request, inner http.Handler)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.serve = serve
}

func TestSelection(t *testing.T) {
	c := startMemory(t)
	for i, tag := range []string{"v1.9", "v1.10", "v2.0", "nightly"} {
		push(t, c.host, built(t, "amd64", day(i+1)), "team/app:"+tag)
	}
	push(t, c.host, built(t, "amd64", day(9)), "team/tools/cache:1", "other/app:1")
	for _, tt := range []struct {
		name string
		w    registry.Walk
		want []string
	}{
		{"everything", registry.Walk{}, []string{"other/app:1", "team/app:nightly", "team/app:v1.10", "team/app:v1.9", "team/app:v2.0"}},
		{"prefix", registry.Walk{Registry: "/team/app"}, []string{"team/app:nightly", "team/app:v1.10", "team/app:v1.9", "team/app:v2.0"}},
		{"newest", registry.Walk{Newest: 2}, []string{"other/app:1", "team/app:nightly", "team/app:v2.0"}},
		{"include", registry.Walk{Include: []string{"team/*:v1.*"}}, []string{"team/app:v1.10", "team/app:v1.9"}},
		{"exclude", registry.Walk{Exclude: []string{"**/app:v*", "other/**"}}, []string{"team/app:nightly", "team/tools/cache:1"}},
		{"named", registry.Walk{Repositories: []string{"team/tools/cache"}}, []string{"team/tools/cache:1"}},
		{"named, not there", registry.Walk{Repositories: []string{"nobody"}}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.w.Registry = c.host + tt.w.Registry
			_, got := walk(t, registry.Opener{}, tt.w, source.Options{})
			var names []string
			for n := range got.images {
				names = append(names, n)
			}
			slices.Sort(names)
			if diff := cmp.Diff(tt.want, names); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestWalkUsage(t *testing.T) {
	for _, tt := range []struct {
		w     registry.Walk
		o     source.Options
		class error
		words string
	}{
		{registry.Walk{Registry: "https://r.example"}, source.Options{}, seawall.ErrUsage, "HOST[:PORT]"},
		{registry.Walk{Registry: "r.example/UPPER"}, source.Options{}, seawall.ErrUsage, "HOST[:PORT]"},
		{registry.Walk{Registry: "127.0.0.1:1", Include: []string{"[a]"}}, source.Options{}, seawall.ErrUsage, "team/*"},
		{registry.Walk{Registry: "127.0.0.1:1", Repositories: []string{"r.example:80/app"}}, source.Options{}, seawall.ErrUsage, "team/app"},
		{registry.Walk{Registry: "127.0.0.1:1"}, source.Options{Offline: true}, seawall.ErrUnreadable, "--offline"},
		{registry.Walk{Registry: "127.0.0.1:1"}, source.Options{}, seawall.ErrUnreadable, "cannot be reached"},
	} {
		tt.w.Dir = t.TempDir()
		_, err := registry.Opener{}.Walk(t.Context(), tt.w, tt.o)
		sourcetest.WantError(t, err, tt.class, tt.words)
	}
}

// TestMoved: a tag that points elsewhere than at the walk before is noted once.
func TestMoved(t *testing.T) {
	c := startMemory(t)
	w := registry.Walk{Registry: c.host, Dir: t.TempDir()}
	old, now := built(t, "amd64", day(1)), built(t, "amd64", day(2))
	moved := func() (out []string) {
		l, got := walk(t, registry.Opener{}, w, source.Options{})
		for i := range l.Images {
			if _, err := l.Open(t.Context(), &l.Images[i], source.Options{}); err != nil {
				t.Fatal(err)
			}
		}
		if err := l.Complete(); err != nil {
			t.Fatal(err)
		}
		for _, f := range got.configs {
			if f.Kind == "registry-tag" {
				out = append(out, strings.TrimPrefix(f.Data["reference"], c.host+"/")+" "+f.Data["from"]+" "+f.Data["to"]+" "+f.Data["release"])
			}
		}
		return out
	}
	push(t, c.host, old, "app:v1.0", "app:latest", "app:v0.9")
	if got := moved(); len(got) > 0 {
		t.Errorf("at the first walk: %v", got)
	}
	push(t, c.host, now, "app:v1.0", "app:latest", "app:v2.0")
	from := " " + digestOf(t, old) + " " + digestOf(t, now)
	if diff := cmp.Diff([]string{"app:latest" + from + " no", "app:v1.0" + from + " yes"}, moved()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := moved(); len(got) > 0 {
		t.Errorf("at the third walk: %v", got)
	}
}

// TestResumeWalk: what an interrupted walk found out is not asked again by the
// next one; after a complete one everything is.
func TestResumeWalk(t *testing.T) {
	c := startMemory(t)
	for i := range 8 {
		push(t, c.host, built(t, "amd64", day(i+1)), fmt.Sprintf("team/app%d:v1", i))
	}
	w := registry.Walk{Registry: c.host, Dir: t.TempDir(), Parallel: 1}
	noWait := registry.Opener{Wait: func(context.Context, time.Duration) error { return nil }}
	c.behave(func(w http.ResponseWriter, r *http.Request, inner http.Handler) {
		if strings.Contains(r.URL.Path, "/app4/") {
			w.WriteHeader(http.StatusTooManyRequests)
			return
		}
		inner.ServeHTTP(w, r)
	})
	l, _ := walk(t, noWait, w, source.Options{})
	if len(l.Images) != 1 {
		t.Fatalf("images %v", l.Images)
	}
	_, err := l.Open(t.Context(), &l.Images[0], source.Options{})
	sourcetest.WantError(t, err, seawall.ErrUnreadable, "429")
	if err := l.Complete(); err != nil {
		t.Fatal(err)
	}
	c.requests()
	c.behave(func(w http.ResponseWriter, r *http.Request, inner http.Handler) { inner.ServeHTTP(w, r) })

	manifests := func() (asked []string) {
		for _, r := range c.requests() {
			if strings.Contains(r, "/manifests/") || strings.Contains(r, "/tags/") || strings.Contains(r, "/blobs/") {
				asked = append(asked, r)
			}
		}
		slices.Sort(asked)
		return asked
	}
	l, got := walk(t, noWait, w, source.Options{})
	if l.Resumed.IsZero() || len(got.images) != 8 {
		t.Errorf("resumed %v, %d images", l.Resumed, len(got.images))
	}
	again := manifests()
	for _, r := range again {
		for i := range 4 {
			if strings.Contains(r, fmt.Sprintf("/app%d/", i)) && !strings.Contains(r, "/app0/manifests/v1") { // the audit's sample
				t.Errorf("asked again: %s", r)
			}
		}
	}
	for i := range l.Images {
		if _, err := l.Open(t.Context(), &l.Images[i], source.Options{}); err != nil {
			t.Fatal(err)
		}
	}
	if more := manifests(); len(more) > 0 {
		t.Errorf("opening asked again: %v", more)
	}
	if err := l.Complete(); err != nil {
		t.Fatal(err)
	}
	l, _ = walk(t, noWait, w, source.Options{})
	if heads := manifests(); !l.Resumed.IsZero() || len(slices.DeleteFunc(heads, func(r string) bool { return !strings.HasPrefix(r, "HEAD") })) < 8 {
		t.Errorf("after a complete walk: resumed %v, asked %v", l.Resumed, heads)
	}
}

// TestRest: when the registry asks for a rest, every request takes it.
func TestRest(t *testing.T) {
	c := startMemory(t)
	for i := range 6 {
		push(t, c.host, built(t, "amd64", day(i+1)), fmt.Sprintf("app%d:v1", i))
	}
	var busy atomic.Bool
	busy.Store(true)
	var mu sync.Mutex
	var waits []time.Duration
	c.behave(func(w http.ResponseWriter, r *http.Request, inner http.Handler) {
		if strings.Contains(r.URL.Path, "/tags/list") && busy.Swap(false) {
			w.Header().Set("Retry-After", "30")
			w.WriteHeader(http.StatusTooManyRequests)
			return
		}
		inner.ServeHTTP(w, r)
	})
	op := registry.Opener{Wait: func(_ context.Context, d time.Duration) error {
		mu.Lock()
		defer mu.Unlock()
		waits = append(waits, d)
		return nil
	}}
	_, got := walk(t, op, registry.Walk{Registry: c.host}, source.Options{})
	long := 0
	for _, d := range waits {
		if d > 20*time.Second {
			long++
		}
	}
	if len(got.images) != 6 || long < 6 {
		t.Errorf("%d images; %d waits of about 30 s, want one for every later request: %v", len(got.images), long, waits)
	}
}

func TestSignedAndArtifacts(t *testing.T) {
	c := startMemory(t)
	bySig, byReferrer, unsigned := built(t, "amd64", day(1)), built(t, "amd64", day(2)), built(t, "amd64", day(3))
	push(t, c.host, bySig, "app:sig")
	push(t, c.host, byReferrer, "app:referrer")
	push(t, c.host, unsigned, "app:none")
	push(t, c.host, empty.Image, "app:"+strings.Replace(digestOf(t, bySig), ":", "-", 1)+".sig")
	subject, err := mutate.Subject(mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), "application/vnd.cncf.notary.signature"), descriptor(t, byReferrer)).(v1.Image), error(nil)
	if err != nil {
		t.Fatal(err)
	}
	push(t, c.host, subject, "app@"+digestOf(t, subject))
	push(t, c.host, mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), "application/vnd.cncf.helm.config.v1+json"), "chart:1.0")
	l, got := walk(t, registry.Opener{}, registry.Walk{Registry: c.host}, source.Options{})
	wantAnswers(t, got, map[string]string{"skipped.artifacts that are no images (application/vnd.cncf.helm.config.v1+json)": "1"})
	signed := map[string]string{}
	for i := range l.Images {
		target, err := l.Open(t.Context(), &l.Images[i], source.Options{})
		if err != nil {
			t.Fatal(err)
		}
		facts, err := target.(seawall.Describer).Facts(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		signed[strings.TrimPrefix(l.Images[i].Name, c.host+"/")] = facts[0].Config.Data["signed"]
	}
	if diff := cmp.Diff(map[string]string{"app:sig": "yes", "app:referrer": "yes", "app:none": "no"}, signed); diff != "" {
		t.Errorf("signed (-want +got):\n%s", diff)
	}
}

func descriptor(t *testing.T, img v1.Image) v1.Descriptor {
	t.Helper()
	raw, err := img.RawManifest()
	if err != nil {
		t.Fatal(err)
	}
	d, err := img.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return v1.Descriptor{MediaType: types.OCIManifestSchema1, Digest: d, Size: int64(len(raw))}
}

// TestPages: a catalog of several pages is followed, one that leads elsewhere or in circles is refused.
func TestPages(t *testing.T) {
	for next, want := range map[string]string{
		"/v2/_catalog?n=1000&last=a":                 "",
		"http://198.51.100.1/v2/_catalog?n=1&last=a": "at another host",
		"/v2/_catalog?n=1000":                        "the same page again",
	} {
		c := startMemory(t)
		push(t, c.host, built(t, "amd64", day(1)), "a:1", "b:1")
		c.behave(func(w http.ResponseWriter, r *http.Request, inner http.Handler) {
			if r.URL.Path != "/v2/_catalog" {
				inner.ServeHTTP(w, r)
				return
			}
			page := []string{"a"}
			if r.URL.Query().Get("last") == "a" {
				page = []string{"b", "../../etc", "UPPER"}
			} else {
				w.Header().Set("Link", "<"+next+`>; rel="next"`)
			}
			_ = json.NewEncoder(w).Encode(map[string]any{"repositories": page})
		})
		l, got := walk(t, registry.Opener{}, registry.Walk{Registry: c.host}, source.Options{})
		if want != "" {
			sourcetest.WantError(t, l.Images[0].Err, seawall.ErrCorrupt, want)
		} else if diff := cmp.Diff(map[string]string{"a:1": "b:1"}, got.images); diff != "" {
			t.Errorf("%s (-want +got):\n%s", next, diff)
		}
	}
}

// TestHarbor: a registry whose catalog is for administrators lists a project by
// Harbor's interface and tells its version.
func TestHarbor(t *testing.T) {
	c := startMemory(t)
	push(t, c.host, built(t, "amd64", day(1)), "library/app:1", "secret/app:1")
	c.behave(func(w http.ResponseWriter, r *http.Request, inner http.Handler) {
		switch r.URL.Path {
		case "/v2/_catalog":
			w.WriteHeader(http.StatusUnauthorized)
		case "/api/v2.0/projects/library/repositories":
			if r.URL.Query().Get("page") == "2" {
				_, _ = io.WriteString(w, `[{"name":"library/app"}]`)
				return
			}
			w.Header().Set("Link", `</api/v2.0/projects/library/repositories?page=2&page_size=100>; rel="next"`)
			_, _ = io.WriteString(w, `[]`)
		case "/api/v2.0/systeminfo":
			_, _ = io.WriteString(w, `{"harbor_version":"v2.5.0-e58c1a2d","auth_mode":"db_auth"}`)
		default:
			inner.ServeHTTP(w, r)
		}
	})
	l, got := walk(t, registry.Opener{}, registry.Walk{Registry: c.host + "/library"}, source.Options{})
	if diff := cmp.Diff(map[string]string{"library/app:1": ""}, got.images); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	wantAnswers(t, got, map[string]string{"software": "harbor", "software.version": "2.5.0", "anonymous.catalog": "no"})
	facts, err := l.Target().(seawall.Describer).Facts(t.Context())
	if err != nil || !slices.ContainsFunc(facts, func(f seawall.Fact) bool {
		return f.Package != nil && f.Package.Name == "harbor" && f.Package.Version == "2.5.0"
	}) {
		t.Errorf("facts %v, error %v", facts, err)
	}
	l, _ = walk(t, registry.Opener{}, registry.Walk{Registry: c.host}, source.Options{})
	sourcetest.WantError(t, l.Images[0].Err, seawall.ErrUnreadable, "does not list", "--repository")
}

// TestDamagedState: files of another run that are damaged are as none.
func TestDamagedState(t *testing.T) {
	c := startMemory(t)
	push(t, c.host, built(t, "amd64", day(1)), "app:1")
	w := registry.Walk{Registry: c.host, Dir: t.TempDir()}
	walk(t, registry.Opener{}, w, source.Options{})
	damaged := 0
	err := filepath.WalkDir(w.Dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		raw, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		damaged++
		return os.WriteFile(path, bytes.Replace(raw, []byte(`"`), []byte("\x00"), 3), 0o600)
	})
	if err != nil || damaged < 3 {
		t.Fatalf("%d files, error %v", damaged, err)
	}
	if _, got := walk(t, registry.Opener{}, w, source.Options{}); !cmp.Equal(got.images, map[string]string{"app:1": ""}) {
		t.Errorf("images %v", got.images)
	}
}

// TestBadTLS: a server with retired versions and a weak certificate of another name.
func TestBadTLS(t *testing.T) {
	credentials(t, "", "")
	key, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	template := x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "other"}, DNSNames: []string{"other.example"},
		NotBefore: day(1), NotAfter: day(2), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment}
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewUnstartedServer(memory.New(memory.Logger(log.New(io.Discard, "", 0))))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.TLS = &tls.Config{MinVersion: tls.VersionTLS11, Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
	s.StartTLS()
	defer s.Close()
	host := s.Listener.Addr().String()
	_, got := walk(t, registry.Opener{CertDirs: []string{}}, registry.Walk{Registry: host}, source.Options{Insecure: []string{host}})
	wantAnswers(t, got, map[string]string{
		"https": "yes", "plainHTTP": "no", "tls.old": "yes", "tls.accepted": "TLS 1.1", "certificate.trust": "self-signed",
		"certificate.weak": "yes", "certificate.key": "RSA 1024", "certificate.notAfter": "2026-11-02T00:00:00Z", "anonymous.catalog": "yes",
	})
	certs := t.TempDir()
	if err := os.MkdirAll(filepath.Join(certs, host), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(certs, host, "ca.crt"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	_, got = walk(t, registry.Opener{CertDirs: []string{certs}}, registry.Walk{Registry: host}, source.Options{Insecure: []string{host}})
	wantAnswers(t, got, map[string]string{"certificate.trust": "hostname"})
}
