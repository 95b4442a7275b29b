package update_test

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// upstream is a server with validators and ranges, as the real ones have, that
// can be made to fail.
type upstream struct {
	*httptest.Server
	mu    sync.Mutex
	files map[string][]byte
	// fail answers a request in place of the server when it returns true.
	fail func(w http.ResponseWriter, r *http.Request) bool
	// served lists "status path" of what was answered.
	served []string
}

func newUpstream(t *testing.T) *upstream {
	u := &upstream{files: map[string][]byte{}}
	u.Server = httptest.NewTLSServer(u)
	t.Cleanup(u.Close)
	return u
}

type statusWriter struct {
	http.ResponseWriter
	status int
}

func (w *statusWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

func (u *upstream) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	u.mu.Lock()
	data, ok := u.files[r.URL.Path]
	fail := u.fail
	u.mu.Unlock()
	sw := &statusWriter{w, http.StatusOK}
	if fail == nil || !fail(sw, r) {
		if !ok {
			http.NotFound(sw, r)
		} else {
			w.Header().Set("ETag", etag(data))
			http.ServeContent(sw, r, "", time.Time{}, bytes.NewReader(data))
		}
	}
	u.mu.Lock()
	u.served = append(u.served, fmt.Sprintf("%d %s", sw.status, r.URL.Path))
	u.mu.Unlock()
}

func (u *upstream) put(path string, data []byte) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.files[path] = data
}

// answered returns what was served since the last call, sorted.
func (u *upstream) answered() []string {
	u.mu.Lock()
	defer u.mu.Unlock()
	list := u.served
	u.served = nil
	slices.Sort(list)
	return list
}

// entry is an OSV document on one npm package.
func entry(id, pkg, fixed, modified string) []byte {
	return []byte(fmt.Sprintf(`{"id":%q,"modified":%q,"affected":[{"package":{"ecosystem":"npm","name":%q},
		"ranges":[{"type":"SEMVER","events":[{"introduced":"0"},{"fixed":%q}]}]}]}`, id, modified, pkg, fixed))
}

// publish puts an npm ecosystem of the given entries on the server: archive, index, single files.
func (u *upstream) publish(t *testing.T, entries map[string][]byte, modified map[string]string) {
	t.Helper()
	var archive bytes.Buffer
	z := zip.NewWriter(&archive)
	var index strings.Builder
	for _, id := range slices.Sorted(maps.Keys(entries)) {
		w, err := z.Create(id + ".json")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(entries[id]); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&index, "%s,%s\n", modified[id], id)
		u.put("/osv/npm/"+id+".json", entries[id])
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	u.put("/osv/npm/all.zip", archive.Bytes())
	u.put("/osv/npm/modified_id.csv", []byte(index.String()))
}

func etag(data []byte) string {
	sum := sha256.Sum256(data)
	return `"` + hex.EncodeToString(sum[:8]) + `"`
}
