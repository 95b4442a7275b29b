package update

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/seawall-security/seawall/internal/seawall"
)

func noSleep(context.Context, time.Duration) error { return nil }

// TestServersThatMisbehave: a download ends with the right bytes or with an error, never with a mixture.
func TestServersThatMisbehave(t *testing.T) {
	const body = "0123456789"
	for name, test := range map[string]struct {
		partial string
		handler func(n int, w http.ResponseWriter, r *http.Request)
		fails   string
	}{
		"another part than asked for": {"01234", func(n int, w http.ResponseWriter, r *http.Request) {
			if n == 0 {
				w.Header().Set("Content-Range", "bytes 7-9/10")
				w.WriteHeader(http.StatusPartialContent)
				w.Write([]byte("789"))
				return
			}
			w.Write([]byte(body))
		}, ""},
		"the file changed meanwhile": {"abcde", func(n int, w http.ResponseWriter, r *http.Request) {
			w.Header().Set("ETag", `"new"`)
			w.Write([]byte(body))
		}, ""},
		"all of it was there already": {body, func(n int, w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Range") != "" {
				w.WriteHeader(http.StatusRequestedRangeNotSatisfiable)
				return
			}
			w.Write([]byte(body))
		}, ""},
		"a wrong checksum once": {"", func(n int, w http.ResponseWriter, r *http.Request) {
			w.Header().Set("X-Goog-Hash", "crc32c=KAwGng==,md5=x") // of 0123456789
			if n == 0 {
				w.Write([]byte("012345678X"))
				return
			}
			w.Write([]byte(body))
		}, ""},
		"a wrong checksum always": {"", func(n int, w http.ResponseWriter, r *http.Request) {
			w.Header().Set("X-Goog-Hash", "crc32c=AAAAAA==")
			w.Write([]byte(body))
		}, "crc32c"},
		"an error page forever": {"", func(n int, w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusBadGateway)
		}, "502"},
		"no access": {"", func(n int, w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusForbidden)
		}, "403"},
	} {
		t.Run(name, func(t *testing.T) {
			requests := 0
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				test.handler(requests, w, r)
				requests++
			}))
			defer server.Close()
			path := filepath.Join(t.TempDir(), "file")
			d := download{url: server.URL, path: path}
			if test.partial != "" {
				if err := os.WriteFile(path, []byte(test.partial), 0o600); err != nil {
					t.Fatal(err)
				}
				d.partial = validators{ETag: `"old"`}
			}
			f := &fetcher{client: server.Client(), sleep: noSleep}
			_, _, err := f.get(context.Background(), d)
			if test.fails != "" {
				if err == nil || !strings.Contains(err.Error(), test.fails) {
					t.Errorf("error = %v, want %q", err, test.fails)
				}
				if requests > attempts {
					t.Errorf("%d requests", requests)
				}
				return
			}
			got, readErr := os.ReadFile(path)
			if err != nil || readErr != nil || string(got) != body {
				t.Errorf("got %q, %v, %v", got, err, readErr)
			}
		})
	}
}

func TestDiskFull(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.Write([]byte("x")) }))
	defer server.Close()
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip("no /dev/full:", err)
	}
	defer full.Close()
	response, err := server.Client().Get(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	f := &fetcher{client: server.Client(), sleep: noSleep}
	err = f.copy(full, response, 0, server.URL)
	var hinted *seawall.Hinted
	if !errors.Is(err, syscall.ENOSPC) || !errors.As(err, &hinted) || !strings.Contains(hinted.Hint, "--cache-dir") {
		t.Errorf("error = %v", err)
	}
	var retry *retryError
	if errors.As(err, &retry) {
		t.Error("a full disk is not mended by another try")
	}
}

// TestEveryEcosystemHasAFeed: what Ecosystems lists can be planned, and a default address is https.
func TestEveryEcosystemHasAFeed(t *testing.T) {
	for _, ecosystem := range Ecosystems() {
		feeds, err := plan(DefaultSources(), []string{strings.Replace(ecosystem, "RELEASE", "v3.20", 1)})
		if err != nil {
			t.Errorf("%s: %v", ecosystem, err)
		}
		for _, f := range feeds {
			for _, url := range f.urls {
				if !strings.HasPrefix(url, "https://") {
					t.Errorf("%s: %s", f.name, url)
				}
			}
		}
	}
}

func TestPointer(t *testing.T) {
	for name, ok := range map[string]bool{"csaf_vex_2026-01-01.tar.zst\n": true, "../../etc/passwd": false, "": false, "a?b": false, "https://example.org/x": false} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.Write([]byte(name)) }))
		dir := t.TempDir()
		u := &updater{work: dir, state: &state{Partial: map[string]partial{}}, fetch: &fetcher{client: server.Client(), sleep: noSleep}}
		a := &arrival{dir: dir, feed: feed{urls: []string{server.URL + "/vex/archive_latest.txt"}}, known: feedState{Files: map[string]validators{}}}
		err := u.follow(context.Background(), a)
		if (err == nil) != ok {
			t.Errorf("%q: %v", name, err)
		}
		if ok && a.feed.urls[0] != server.URL+"/vex/csaf_vex_2026-01-01.tar.zst" {
			t.Errorf("%q leads to %s", name, a.feed.urls[0])
		}
		server.Close()
	}
}
