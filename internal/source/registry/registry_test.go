package registry_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
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

	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/source"
	"github.com/seawall-security/seawall/internal/source/registry"
	"github.com/seawall-security/seawall/internal/source/sourcetest"
	"github.com/seawall-security/seawall/internal/testenv"
)

// certificate writes a self-signed certificate for 127.0.0.1 and its key into dir.
func certificate(t *testing.T, dir string) (cert, key string) {
	t.Helper()
	priv, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, &priv.PublicKey, priv)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := x509.MarshalPKCS8PrivateKey(priv)
	if err != nil {
		t.Fatal(err)
	}
	cert, key = filepath.Join(dir, "ca.crt"), filepath.Join(dir, "key.pem")
	for file, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: raw}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key
}

// startRegistry runs Debian's docker-registry with TLS and a password and returns its address and certificate directory.
func startRegistry(t *testing.T) (host, certDir string) {
	t.Helper()
	program := testenv.Tool(t, "docker-registry")
	dir := t.TempDir()
	out, err := exec.CommandContext(t.Context(), testenv.Tool(t, "htpasswd"), "-Bbn", "user", "secret").Output()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "htpasswd"), out, 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	host = l.Addr().String()
	l.Close()
	certDir = filepath.Join(dir, "certs.d")
	if err := os.MkdirAll(filepath.Join(certDir, host), 0o700); err != nil {
		t.Fatal(err)
	}
	cert, key := certificate(t, filepath.Join(certDir, host))
	config := fmt.Sprintf(`version: 0.1
log: {level: error}
storage: {filesystem: {rootdirectory: %s/data}}
http: {addr: %q, tls: {certificate: %s, key: %s}}
auth: {htpasswd: {realm: test, path: %s/htpasswd}}
`, dir, host, cert, key, dir)
	if err := os.WriteFile(filepath.Join(dir, "config.yml"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, program, "serve", filepath.Join(dir, "config.yml"))
	var log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cancel(); _ = cmd.Wait() })
	for range 200 {
		c, err := tls.Dial("tcp", host, &tls.Config{InsecureSkipVerify: true})
		if err == nil {
			c.Close()
			return host, certDir
		}
		time.Sleep(50 * time.Millisecond)
	}
	cancel()
	_ = cmd.Wait()
	t.Fatalf("docker-registry did not start: %s", &log)
	return "", ""
}

// credentials makes docker's configuration hold a password for host, or none for "".
func credentials(t *testing.T, host, password string) {
	t.Helper()
	home := t.TempDir()
	t.Setenv("HOME", home)
	t.Setenv("DOCKER_CONFIG", home)
	t.Setenv("REGISTRY_AUTH_FILE", "")
	t.Setenv("XDG_RUNTIME_DIR", "")
	t.Setenv("XDG_CONFIG_HOME", home)
	if host == "" {
		return
	}
	auth := (&authn.Basic{Username: "user", Password: password})
	cfg, err := auth.Authorization()
	if err != nil {
		t.Fatal(err)
	}
	raw := fmt.Sprintf(`{"auths":{%q:{"username":%q,"password":%q}}}`, host, cfg.Username, cfg.Password)
	if err := os.WriteFile(filepath.Join(home, "config.json"), []byte(raw), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestRegistry(t *testing.T) {
	host, certDir := startRegistry(t)
	credentials(t, host, "secret")
	index := v1.ImageIndex(empty.Index)
	for _, p := range []v1.Platform{{OS: "linux", Architecture: "amd64"}, {OS: "linux", Architecture: "arm", Variant: "v6"},
		{OS: "linux", Architecture: "arm", Variant: "v7"}, {OS: "windows", Architecture: "amd64"}} {
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: sourcetest.Image(t, strings.TrimSuffix(p.Architecture+"/"+p.Variant, "/")), Descriptor: v1.Descriptor{Platform: &p}})
	}
	ref, err := name.ParseReference(host + "/team/app:v1")
	if err != nil {
		t.Fatal(err)
	}
	push := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	defer push.CloseIdleConnections()
	if err := remote.WriteIndex(ref, index, remote.WithAuthFromKeychain(authn.DefaultKeychain), remote.WithTransport(push)); err != nil {
		t.Fatal(err)
	}
	digest, _ := index.Digest()
	op := registry.Opener{CertDirs: []string{certDir}}
	read := func(t *testing.T, name string, o source.Options) (seawall.Asset, []string) {
		t.Helper()
		target, err := op.Open(t.Context(), name, o)
		if err != nil {
			t.Fatal(err)
		}
		defer target.Close()
		got, err := sourcetest.Dump(t.Context(), target)
		if err != nil {
			t.Fatal(err)
		}
		return target.Asset(), got
	}
	t.Run("platforms", func(t *testing.T) {
		for wish, arch := range map[string]string{"linux/amd64": "amd64", "linux/arm/v6": "arm/v6", "linux/arm": "arm/v7", "linux/arm/v8": "arm/v7"} {
			var done atomic.Int64
			a, got := read(t, host+"/team/app:v1", source.Options{Platform: wish, Progress: func(p seawall.Progress) { done.Store(p.Done) }})
			if diff := cmp.Diff(sourcetest.Content(arch), got); diff != "" {
				t.Errorf("%s: %s", wish, diff)
			}
			if want := []string{host + "/team/app@" + digest.String()}; !cmp.Equal(want, a.Image.RepoDigests) {
				t.Errorf("repoDigests = %v", a.Image.RepoDigests)
			}
			var size int64
			for _, l := range a.Image.Layers {
				size += l.Size
			}
			if done.Load() != size {
				t.Errorf("progress ended at %d of %d", done.Load(), size)
			}
		}
	})
	t.Run("by digest", func(t *testing.T) {
		if _, got := read(t, host+"/team/app@"+digest.String(), source.Options{Platform: "linux/amd64"}); len(got) == 0 {
			t.Error("no entries")
		}
	})
	t.Run("insecure", func(t *testing.T) {
		if _, err := (registry.Opener{CertDirs: []string{}}).Open(t.Context(), host+"/team/app:v1", source.Options{Insecure: []string{host}, Platform: "linux/amd64"}); err != nil {
			t.Error(err)
		}
	})
	for _, tt := range []struct {
		name     string
		op       registry.Opener
		ref      string
		password string
		o        source.Options
		class    error
		words    []string
	}{
		{"wrong password", op, "team/app:v1", "wrong", source.Options{}, seawall.ErrUnreadable, []string{"401", "docker login " + host}},
		{"no tag", op, "team/app:v2", "secret", source.Options{}, seawall.ErrUnreadable, []string{"404", "spelling"}},
		{"no platform", op, "team/app:v1", "secret", source.Options{Platform: "linux/s390x"}, seawall.ErrUnreadable, []string{"linux/amd64, linux/arm/v6", "--platform"}},
		{"bad platform", op, "team/app:v1", "secret", source.Options{Platform: "arm64"}, seawall.ErrUsage, []string{"OS/ARCH"}},
		{"unknown authority", registry.Opener{CertDirs: []string{}}, "team/app:v1", "secret", source.Options{}, seawall.ErrUnreadable, []string{"unknown authority", "certs.d", "--insecure"}},
		{"offline", op, "team/app:v1", "secret", source.Options{Offline: true}, seawall.ErrUnreadable, []string{"offline"}},
		{"bad name", op, "Team/APP:v1", "secret", source.Options{}, seawall.ErrUsage, []string{"lower case"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			credentials(t, host, tt.password)
			_, err := tt.op.Open(t.Context(), host+"/"+tt.ref, tt.o)
			sourcetest.WantError(t, err, tt.class, tt.words...)
		})
	}
}

// flaky is a registry in memory that misbehaves as a test tells it to.
type flaky struct {
	inner http.Handler
	serve func(w http.ResponseWriter, r *http.Request, inner http.Handler)
}

func (f *flaky) ServeHTTP(w http.ResponseWriter, r *http.Request) { f.serve(w, r, f.inner) }

// startFlaky serves an image at app:v1 over plain HTTP.
func startFlaky(t *testing.T) (*flaky, string) {
	t.Helper()
	credentials(t, "", "")
	f := &flaky{inner: memory.New(memory.Logger(log.New(io.Discard, "", 0)))}
	f.serve = func(w http.ResponseWriter, r *http.Request, inner http.Handler) { inner.ServeHTTP(w, r) }
	s := httptest.NewServer(f)
	t.Cleanup(s.Close)
	host := strings.TrimPrefix(s.URL, "http://")
	ref, err := name.ParseReference(host + "/app:v1")
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(ref, sourcetest.Image(t, "amd64")); err != nil {
		t.Fatal(err)
	}
	return f, host + "/app:v1"
}

// TestBusy: 429 and 503 are waited out as long as the registry says, then reported.
func TestBusy(t *testing.T) {
	f, ref := startFlaky(t)
	var waits []time.Duration
	op := registry.Opener{Wait: func(_ context.Context, d time.Duration) error { waits = append(waits, d); return nil }}
	busy := 2
	f.serve = func(w http.ResponseWriter, r *http.Request, inner http.Handler) {
		if strings.Contains(r.URL.Path, "/manifests/") && busy > 0 {
			busy--
			w.Header().Set("Retry-After", "7")
			w.WriteHeader(http.StatusTooManyRequests)
			return
		}
		inner.ServeHTTP(w, r)
	}
	target, err := op.Open(t.Context(), ref, source.Options{})
	if err != nil {
		t.Fatal(err)
	}
	target.Close()
	if diff := cmp.Diff([]time.Duration{7 * time.Second, 7 * time.Second}, waits); diff != "" {
		t.Error(diff)
	}
	busy = 1000
	_, err = op.Open(t.Context(), ref, source.Options{})
	sourcetest.WantError(t, err, seawall.ErrUnreadable, "429", "docker login")
	f.serve = func(w http.ResponseWriter, r *http.Request, _ http.Handler) { w.WriteHeader(http.StatusForbidden) }
	_, err = op.Open(t.Context(), ref, source.Options{})
	sourcetest.WantError(t, err, seawall.ErrUnreadable, "403")
}

// TestResume: blobs whose connection breaks are read on from the same byte, with and without ranges.
func TestResume(t *testing.T) {
	for _, ranges := range []bool{true, false} {
		t.Run(fmt.Sprintf("ranges %v", ranges), func(t *testing.T) {
			f, ref := startFlaky(t)
			var broken, resumed atomic.Int64
			f.serve = func(w http.ResponseWriter, r *http.Request, inner http.Handler) {
				if !strings.Contains(r.URL.Path, "/blobs/") {
					inner.ServeHTTP(w, r)
					return
				}
				serveBroken(w, r, inner, ranges, &broken, &resumed)
			}
			target, err := registry.Opener{}.Open(t.Context(), ref, source.Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer target.Close()
			sourcetest.WantContent(t, target, "amd64")
			if broken.Load() == 0 || ranges && resumed.Load() == 0 {
				t.Errorf("%d connections broken, %d resumed: the test broke nothing", broken.Load(), resumed.Load())
			}
		})
	}
}

// serveBroken answers a blob request up to half of what is left, then cuts the connection, unless little is left.
func serveBroken(w http.ResponseWriter, r *http.Request, inner http.Handler, ranges bool, broken, resumed *atomic.Int64) {
	whole := httptest.NewRecorder()
	plain := r.Clone(r.Context())
	plain.Header.Del("Range")
	inner.ServeHTTP(whole, plain)
	body := whole.Body.Bytes()
	status := http.StatusOK
	if from, ok := strings.CutPrefix(r.Header.Get("Range"), "bytes="); ok && ranges {
		n, _ := strconv.Atoi(strings.TrimSuffix(from, "-"))
		body, status = body[n:], http.StatusPartialContent
		resumed.Add(1)
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	if len(body) < 40 || !ranges && r.Header.Get("Range") != "" {
		_, _ = w.Write(body)
		return
	}
	_, _ = w.Write(body[:len(body)/2])
	w.(http.Flusher).Flush()
	broken.Add(1)
	panic(http.ErrAbortHandler)
}

// TestWrongContent: a registry that answers with other bytes is found out.
func TestWrongContent(t *testing.T) {
	f, ref := startFlaky(t)
	f.serve = func(w http.ResponseWriter, r *http.Request, inner http.Handler) {
		rec := httptest.NewRecorder()
		inner.ServeHTTP(rec, r)
		body := rec.Body.Bytes()
		if strings.Contains(r.URL.Path, "/blobs/") && bytes.HasPrefix(body, []byte("\x1f\x8b")) {
			body[9] ^= 1 // the operating-system byte of the gzip header: it still inflates
		}
		w.Header().Set("Content-Type", rec.Header().Get("Content-Type"))
		w.WriteHeader(rec.Code)
		_, _ = w.Write(body)
	}
	target, err := registry.Opener{}.Open(t.Context(), ref, source.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer target.Close()
	_, err = sourcetest.Dump(t.Context(), target)
	sourcetest.WantError(t, err, seawall.ErrCorrupt, "layer 0", "digest")
}

// TestPlain: plain HTTP is spoken to this machine and to listed hosts, never to
// another, not even when a registry sends us there.
func TestPlain(t *testing.T) {
	f, ref := startFlaky(t)
	f.serve = func(w http.ResponseWriter, r *http.Request, inner http.Handler) {
		if strings.Contains(r.URL.Path, "/manifests/") {
			http.Redirect(w, r, "http://10.255.255.1:1/elsewhere", http.StatusTemporaryRedirect)
			return
		}
		inner.ServeHTTP(w, r)
	}
	_, err := registry.Opener{}.Open(t.Context(), ref, source.Options{})
	sourcetest.WantError(t, err, seawall.ErrUnreadable, "10.255.255.1:1: plain HTTP is not allowed")
}
