package registry_test

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/source"
	"github.com/seawall-security/seawall/internal/source/registry"
	"github.com/seawall-security/seawall/internal/source/sourcetest"
)

// content opens ref and compares what is in it.
func content(t *testing.T, ref string) {
	t.Helper()
	target, err := registry.Opener{}.Open(t.Context(), ref, source.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer target.Close()
	sourcetest.WantContent(t, target, "amd64")
}

// TestToken logs in with the token handshake: the password goes to the token
// server only, tokens that expire are renewed, and where blobs are redirected to no login goes along.
func TestToken(t *testing.T) {
	f, ref := startFlaky(t)
	host, _, _ := strings.Cut(ref, "/")
	storage := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if len(r.Header["Authorization"]) > 0 {
			t.Errorf("the storage got %q", r.Header["Authorization"])
		}
		f.inner.ServeHTTP(w, r)
	}))
	defer storage.Close()
	var issued, expired atomic.Int64
	f.serve = func(w http.ResponseWriter, r *http.Request, inner http.Handler) {
		token := fmt.Sprintf("t%d", issued.Load())
		user, password, basic := r.BasicAuth()
		switch {
		case r.URL.Path == "/token":
			if user != "user" || password != "secret" || r.URL.Query().Get("scope") != "repository:app:pull" || r.URL.Query().Get("service") != "test" {
				w.WriteHeader(http.StatusUnauthorized)
				return
			}
			_ = json.NewEncoder(w).Encode(map[string]any{"token": fmt.Sprintf("t%d", issued.Add(1)), "expires_in": 60})
		case basic:
			t.Errorf("the registry got the password at %s", r.URL)
		case r.Header.Get("Authorization") != "Bearer "+token,
			strings.Contains(r.URL.Path, "/blobs/") && expired.Add(1) == 2: // the second blob meets an expired token
			w.Header().Set("WWW-Authenticate", `Bearer realm="http://`+host+`/token",service="test",scope="repository:app:pull"`)
			w.WriteHeader(http.StatusUnauthorized)
		case strings.Contains(r.URL.Path, "/blobs/"):
			http.Redirect(w, r, storage.URL+r.URL.Path+"?signature=s", http.StatusTemporaryRedirect)
		default:
			inner.ServeHTTP(w, r)
		}
	}
	credentials(t, host, "secret")
	content(t, ref)
	if n := issued.Load(); n != 2 {
		t.Errorf("%d tokens issued, want 2: one at first, one after it expired", n)
	}
	credentials(t, host, "wrong")
	_, err := registry.Opener{}.Open(t.Context(), ref, source.Options{})
	sourcetest.WantError(t, err, seawall.ErrUnreadable, "401", "docker login "+host)

	storage.Close()
	credentials(t, host, "secret")
	_, err = registry.Opener{}.Open(t.Context(), ref, source.Options{})
	sourcetest.WantError(t, err, seawall.ErrUnreadable, "cannot be reached")
	if strings.Contains(err.Error(), "signature") {
		t.Errorf("the error tells the signature: %v", err)
	}
}

// TestHelper: the password comes from a credential helper on PATH.
func TestHelper(t *testing.T) {
	f, ref := startFlaky(t)
	host, _, _ := strings.Cut(ref, "/")
	f.serve = func(w http.ResponseWriter, r *http.Request, inner http.Handler) {
		if user, password, _ := r.BasicAuth(); user != "robot" || password != "from helper" {
			w.Header().Set("WWW-Authenticate", `Basic realm="test"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		inner.ServeHTTP(w, r)
	}
	bin := t.TempDir()
	script := fmt.Sprintf("#!/bin/sh\nread -r server\n[ \"$1 $server\" = 'get %s' ] || { echo 'credentials not found in native keychain'; exit 1; }\n"+
		`echo '{"ServerURL":"%s","Username":"robot","Secret":"from helper"}'`+"\n", host, host)
	if err := os.WriteFile(filepath.Join(bin, "docker-credential-x"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin+string(os.PathListSeparator)+os.Getenv("PATH"))
	config := fmt.Sprintf(`{"credHelpers":{%q:"x"}}`, host)
	if err := os.WriteFile(filepath.Join(os.Getenv("DOCKER_CONFIG"), "config.json"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	content(t, ref)
}

// TestEndless: answers that never end are cut, of the handshake and of a manifest.
func TestEndless(t *testing.T) {
	f, ref := startFlaky(t)
	endless := "/v2/"
	f.serve = func(w http.ResponseWriter, r *http.Request, inner http.Handler) {
		if r.URL.Path != endless {
			inner.ServeHTTP(w, r)
			return
		}
		for _, err := w.Write(make([]byte, 1<<20)); err == nil; {
			_, err = w.Write(make([]byte, 1<<20))
		}
	}
	content(t, ref)
	endless = "/v2/app/manifests/v1"
	_, err := registry.Opener{}.Open(t.Context(), ref, source.Options{})
	sourcetest.WantError(t, err, seawall.ErrBound, "more than 16777216")
}

// TestShortBlob: a blob that ends early and cannot be read on is damage, said so.
func TestShortBlob(t *testing.T) {
	f, ref := startFlaky(t)
	target, err := registry.Opener{}.Open(t.Context(), ref, source.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer target.Close()
	f.serve = func(w http.ResponseWriter, r *http.Request, inner http.Handler) {
		if r.Header.Get("Range") != "" {
			w.WriteHeader(http.StatusRequestedRangeNotSatisfiable)
			return
		}
		whole := httptest.NewRecorder()
		inner.ServeHTTP(whole, r)
		_, _ = w.Write(whole.Body.Bytes()[:20])
	}
	_, err = sourcetest.Dump(t.Context(), target)
	sourcetest.WantError(t, err, seawall.ErrCorrupt, "layer 0", "it ends after 20 of")
}

// TestConnectionsClosed: no connection stays open once a target is closed or could not be opened.
func TestConnectionsClosed(t *testing.T) {
	f, ref := startFlaky(t)
	states := make(chan http.ConnState, 100)
	s := httptest.NewUnstartedServer(f)
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) { states <- state }
	s.Start()
	defer s.Close()
	name := strings.TrimPrefix(s.URL, "http://") + "/" + strings.SplitN(ref, "/", 2)[1]
	for _, name := range []string{name, name + "-absent"} {
		if target, err := (registry.Opener{}).Open(t.Context(), name, source.Options{}); err == nil {
			target.Close()
		}
		for open, seen := 0, false; !seen || open > 0; { // for ever where one stays open
			switch <-states {
			case http.StateNew:
				open, seen = open+1, true
			case http.StateClosed:
				open--
			}
		}
	}
}
