package update_test

import (
	"context"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"

	"github.com/seawall-security/seawall/internal/advisory"
	"github.com/seawall-security/seawall/internal/advisory/db"
	"github.com/seawall-security/seawall/internal/advisory/update"
	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/testenv"
)

// signed returns a key pair, through PEM as users have them.
func signed(t *testing.T) (ed25519.PublicKey, ed25519.PrivateKey) {
	t.Helper()
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	if public, err = update.ParsePublicKey(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})); err != nil {
		t.Fatal(err)
	}
	if der, err = x509.MarshalPKCS8PrivateKey(private); err != nil {
		t.Fatal(err)
	}
	if private, err = update.ParsePrivateKey(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})); err != nil {
		t.Fatal(err)
	}
	return public, private
}

// content returns a database in which pkg is fixed in the version fixed.
func content(t *testing.T, o db.Options, fixed string) []byte {
	t.Helper()
	path := filepath.Join(t.TempDir(), "made.db")
	writeDatabase(t, path, o, map[string]advisory.Advisory{"npm": {ID: "GHSA-1", Source: "ghsa", Affected: []advisory.Affected{{
		Ecosystem: "npm", Name: "pkg", Ranges: []advisory.Range{advisory.FixedIn(advisory.RangeSemver, fixed)},
	}}}})
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// TestMirror: only a complete, signed and not older database replaces the one in use.
func TestMirror(t *testing.T) {
	public, private := signed(t)
	_, other := signed(t)
	u, c, _, _ := setup(t)
	c.From, c.Key = u.URL+"/seawall.db", public
	first := content(t, db.Options{Built: "2026-01-01T00:00:00Z", Key: private}, "1.0.0")
	u.put("/seawall.db", first)
	if result, err := update.Run(context.Background(), c); err != nil || !result.Changed {
		t.Fatalf("%+v, %v", result, err)
	}
	if result, err := update.Run(context.Background(), c); err != nil || result.Changed {
		t.Fatalf("the same again: %+v, %v", result, err)
	}
	second := content(t, db.Options{Built: "2026-01-02T00:00:00Z", Key: private}, "2.0.0")
	flipped := append([]byte{}, second...)
	flipped[200] ^= 1
	for name, data := range map[string][]byte{
		"unsigned":          content(t, db.Options{Built: "2026-01-02T00:00:00Z"}, "2.0.0"),
		"signed by another": content(t, db.Options{Built: "2026-01-02T00:00:00Z", Key: other}, "2.0.0"),
		"cut off":           second[:len(second)-10],
		"one bit flipped":   flipped,
		"no database":       []byte("<html>"),
		"empty":             {},
		"older":             content(t, db.Options{Built: "2025-01-02T00:00:00Z", Key: private}, "0.1.0"),
	} {
		u.put("/seawall.db", data)
		_, err := update.Run(context.Background(), c)
		if err == nil {
			t.Errorf("%s: taken", name)
		} else if name != "older" && !errors.Is(err, seawall.ErrCorrupt) && !errors.Is(err, seawall.ErrUnreadable) {
			t.Errorf("%s: %v", name, err)
		}
		if got := fixedIn(t, c.Path, "pkg"); got != "1.0.0" {
			t.Errorf("%s: the database in use says %q", name, got)
		}
	}
	u.put("/seawall.db", second)
	if _, err := update.Run(context.Background(), c); err != nil {
		t.Fatal(err)
	}
	if got := fixedIn(t, c.Path, "pkg"); got != "2.0.0" {
		t.Errorf("after a good one: %q", got)
	}
	// A file, older on purpose.
	c.From = filepath.Join(t.TempDir(), "brought.db")
	if err := os.WriteFile(c.From, first, 0o600); err != nil {
		t.Fatal(err)
	}
	c.AllowOlder = true
	if _, err := update.Run(context.Background(), c); err != nil {
		t.Fatal(err)
	}
	if got := fixedIn(t, c.Path, "pkg"); got != "1.0.0" {
		t.Errorf("after an import: %q", got)
	}
}

// TestRegistry pulls a database from Debian's docker-registry.
func TestRegistry(t *testing.T) {
	host := registry(t)
	_, c, _, _ := setup(t)
	c.Client.Transport = nil
	c.From = "oci://" + host + "/advisories/seawall:latest"
	push := func(data []byte) {
		image, err := mutate.AppendLayers(empty.Image, static.NewLayer(data, update.MediaType))
		if err != nil {
			t.Fatal(err)
		}
		ref, err := name.ParseReference(host + "/advisories/seawall:latest")
		if err != nil {
			t.Fatal(err)
		}
		if err := remote.Write(ref, image); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := update.Run(context.Background(), c); !errors.Is(err, seawall.ErrUnreadable) {
		t.Errorf("nothing pushed yet: %v", err)
	}
	push(content(t, db.Options{Built: "2026-01-01T00:00:00Z"}, "1.0.0"))
	if result, err := update.Run(context.Background(), c); err != nil || !result.Changed {
		t.Fatalf("%+v, %v", result, err)
	}
	if result, err := update.Run(context.Background(), c); err != nil || result.Changed {
		t.Errorf("the same again: %+v, %v", result, err)
	}
	push(content(t, db.Options{Built: "2026-01-02T00:00:00Z"}, "2.0.0"))
	if _, err := update.Run(context.Background(), c); err != nil {
		t.Fatal(err)
	}
	if got := fixedIn(t, c.Path, "pkg"); got != "2.0.0" {
		t.Errorf("pkg fixed in %q", got)
	}
	push([]byte("not a database"))
	if _, err := update.Run(context.Background(), c); !errors.Is(err, seawall.ErrCorrupt) {
		t.Errorf("not a database: %v", err)
	}
}

// registry starts docker-registry on a free port of the loopback interface.
func registry(t *testing.T) string {
	t.Helper()
	program := testenv.Tool(t, "docker-registry")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	host := l.Addr().String()
	l.Close()
	dir := t.TempDir()
	config := filepath.Join(dir, "config.yml")
	text := fmt.Sprintf("version: 0.1\nlog: {level: error}\nstorage: {filesystem: {rootdirectory: %s/data}}\nhttp: {addr: %s}\n", dir, host)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "serve", config)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	for range 200 {
		if c, err := net.Dial("tcp", host); err == nil {
			c.Close()
			return host
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatal("docker-registry does not listen")
	return ""
}
