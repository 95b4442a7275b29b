package update_test

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seawall-security/seawall/internal/advisory"
	"github.com/seawall-security/seawall/internal/advisory/all"
	"github.com/seawall-security/seawall/internal/advisory/db"
	"github.com/seawall-security/seawall/internal/advisory/update"
	"github.com/seawall-security/seawall/internal/seawall"
)

const (
	kevFile  = `{"catalogVersion":"1","dateReleased":"2026-01-02T00:00:00Z","vulnerabilities":[{"cveID":"CVE-2026-0001","dateAdded":"2026-01-02","knownRansomwareCampaignUse":"Known"}]}`
	epssFile = "#model_version:v1,score_date:2026-01-03T00:00:00+0000\ncve,epss,percentile\nCVE-2026-0001,0.5,0.9\n"
)

// setup returns a server with an npm ecosystem of 36 entries and a configuration for it.
func setup(t *testing.T) (*upstream, update.Config, map[string][]byte, map[string]string) {
	u := newUpstream(t)
	entries, modified := map[string][]byte{}, map[string]string{}
	for i, n := range "abcdefghijklmnopqrstuvwxyz0123456789" {
		id := "GHSA-" + string(n)
		modified[id] = fmt.Sprintf("2026-01-01T00:00:%02dZ", i)
		entries[id] = entry(id, "pkg-"+string(n), "1.0.0", modified[id])
	}
	u.publish(t, entries, modified)
	u.put("/kev.json", []byte(kevFile))
	u.put("/epss.csv", []byte(epssFile))
	return u, update.Config{
		Path:       filepath.Join(t.TempDir(), "seawall.db"),
		Ecosystems: []string{"npm"},
		Sources:    update.Sources{OSV: u.URL + "/osv", KEV: u.URL + "/kev.json", EPSS: u.URL + "/epss.csv", Debian: u.URL + "/debian.json"},
		Importers:  all.Importers(),
		Client:     u.Client(),
		Now:        func() time.Time { return time.Date(2026, 2, 1, 0, 0, 0, 0, time.UTC) },
		Sleep:      func(context.Context, time.Duration) error { return nil },
	}, entries, modified
}

// fixedIn returns the fixed version of the only statement on an npm package, "" when there is none.
func fixedIn(t *testing.T, path, name string) string {
	t.Helper()
	r, err := db.Open(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if err := r.Verify(); err != nil {
		t.Fatal(err)
	}
	found, err := r.Find("npm", name)
	if err != nil {
		t.Fatal(err)
	}
	if len(found) == 0 {
		return ""
	}
	return strings.Clone(found[0].Affected.Ranges[0].Events[1].Fixed)
}

func TestFeedsThenNothingThenLittle(t *testing.T) {
	u, c, entries, modified := setup(t)
	result, err := update.Run(context.Background(), c)
	if err != nil {
		t.Fatal(err)
	}
	if !result.Changed || len(result.Info.Sources) != 3 || result.Info.Built != "2026-02-01T00:00:00Z" {
		t.Errorf("result = %+v", result)
	}
	want := []string{"200 /epss.csv", "200 /kev.json", "200 /osv/npm/all.zip", "200 /osv/npm/modified_id.csv"}
	if diff := cmp.Diff(want, u.answered()); diff != "" {
		t.Errorf("first update (-want +got):\n%s", diff)
	}
	if got := fixedIn(t, c.Path, "pkg-b"); got != "1.0.0" {
		t.Errorf("pkg-b fixed in %q", got)
	}

	if result, err = update.Run(context.Background(), c); err != nil || result.Changed {
		t.Errorf("second update: %+v, %v", result, err)
	}
	want = []string{"304 /epss.csv", "304 /kev.json", "304 /osv/npm/modified_id.csv"}
	if diff := cmp.Diff(want, u.answered()); diff != "" {
		t.Errorf("second update (-want +got):\n%s", diff)
	}

	modified["GHSA-b"] = "2026-01-05T00:00:00.5Z"
	entries["GHSA-b"] = entry("GHSA-b", "pkg-b", "1.0.1", modified["GHSA-b"])
	delete(entries, "GHSA-c")
	u.publish(t, entries, modified)
	if result, err = update.Run(context.Background(), c); err != nil || !result.Changed || result.Feeds[2].Status != update.Incremental {
		t.Fatalf("third update: %+v, %v", result, err)
	}
	// GHSA-9 has the latest time known before: it may have changed since.
	want = []string{"200 /osv/npm/GHSA-9.json", "200 /osv/npm/GHSA-b.json", "200 /osv/npm/modified_id.csv", "304 /epss.csv", "304 /kev.json"}
	if diff := cmp.Diff(want, u.answered()); diff != "" {
		t.Errorf("third update (-want +got):\n%s", diff)
	}
	for name, fixed := range map[string]string{"pkg-a": "1.0.0", "pkg-b": "1.0.1", "pkg-c": ""} {
		if got := fixedIn(t, c.Path, name); got != fixed {
			t.Errorf("%s fixed in %q, want %q", name, got, fixed)
		}
	}
	r, err := db.Open(c.Path, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if e := r.Exploitation("CVE-2026-0001"); !e.KEV || !e.Ransomware || e.EPSS == nil || e.EPSS.Score != 0.5 {
		t.Errorf("exploitation = %+v", e)
	}
}

// TestAnotherDatabaseIsNotTrusted: what was known of one file says nothing of another in its place.
func TestAnotherDatabaseIsNotTrusted(t *testing.T) {
	u, c, _, _ := setup(t)
	if _, err := update.Run(context.Background(), c); err != nil {
		t.Fatal(err)
	}
	u.answered()
	writeDatabase(t, c.Path, db.Options{Built: "2026-01-15T00:00:00Z"}, map[string]advisory.Advisory{
		"osv/npm": {ID: "GHSA-a", Source: "ghsa", Affected: []advisory.Affected{{Ecosystem: "npm", Name: "pkg-a", Ranges: []advisory.Range{advisory.FixedIn(0, "0.0.1")}}}},
	})
	if _, err := update.Run(context.Background(), c); err != nil {
		t.Fatal(err)
	}
	want := []string{"200 /epss.csv", "200 /kev.json", "200 /osv/npm/all.zip", "200 /osv/npm/modified_id.csv"}
	if diff := cmp.Diff(want, u.answered()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := fixedIn(t, c.Path, "pkg-z"); got != "1.0.0" {
		t.Errorf("pkg-z fixed in %q", got)
	}
}

// TestShrunkenIndex: an index without most entries does not empty the database.
func TestShrunkenIndex(t *testing.T) {
	u, c, _, _ := setup(t)
	if _, err := update.Run(context.Background(), c); err != nil {
		t.Fatal(err)
	}
	u.put("/osv/npm/modified_id.csv", []byte("2026-02-01T00:00:00Z,GHSA-a\n"))
	if _, err := update.Run(context.Background(), c); err != nil {
		t.Fatal(err)
	}
	if got := fixedIn(t, c.Path, "pkg-z"); got != "1.0.0" {
		t.Errorf("pkg-z fixed in %q", got)
	}
}

func TestManyChangesTakeTheArchive(t *testing.T) {
	u, c, entries, modified := setup(t)
	if _, err := update.Run(context.Background(), c); err != nil {
		t.Fatal(err)
	}
	u.answered()
	for id := range entries {
		modified[id] = "2026-03-01T00:00:00Z"
		entries[id] = entry(id, "pkg-"+id[5:], "2.0.0", modified[id])
	}
	u.publish(t, entries, modified)
	if _, err := update.Run(context.Background(), c); err != nil {
		t.Fatal(err)
	}
	want := []string{"200 /osv/npm/all.zip", "200 /osv/npm/modified_id.csv", "304 /epss.csv", "304 /kev.json"}
	if diff := cmp.Diff(want, u.answered()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := fixedIn(t, c.Path, "pkg-z"); got != "2.0.0" {
		t.Errorf("pkg-z fixed in %q", got)
	}
}

// TestBreaksAndWaits: a body broken off is resumed with a range bound to the
// version, and 429 is obeyed.
func TestBreaksAndWaits(t *testing.T) {
	u, c, _, _ := setup(t)
	var ranges []string
	var waited []time.Duration
	broken, throttled := false, false
	u.fail = func(w http.ResponseWriter, r *http.Request) bool {
		switch {
		case r.URL.Path == "/epss.csv" && !throttled:
			throttled = true
			w.Header().Set("Retry-After", "7")
			w.WriteHeader(http.StatusTooManyRequests)
			return true
		case r.URL.Path == "/osv/npm/all.zip" && !broken:
			broken = true
			data := u.files[r.URL.Path]
			w.Header().Set("ETag", etag(data))
			w.Header().Set("Content-Length", strconv.Itoa(len(data)))
			w.Write(data[:100])
			w.(*statusWriter).ResponseWriter.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		case r.URL.Path == "/osv/npm/all.zip":
			ranges = append(ranges, r.Header.Get("Range")+" "+r.Header.Get("If-Range"))
		}
		return false
	}
	c.Sleep = func(_ context.Context, d time.Duration) error {
		waited = append(waited, d)
		return nil
	}
	if _, err := update.Run(context.Background(), c); err != nil {
		t.Fatal(err)
	}
	if want := []string{"bytes=100- " + etag(u.files["/osv/npm/all.zip"])}; !cmp.Equal(want, ranges) {
		t.Errorf("ranges %q, want %q", ranges, want)
	}
	if want := []time.Duration{7 * time.Second, time.Second}; !cmp.Equal(want, waited) {
		t.Errorf("waited %v, want %v", waited, want)
	}
	if got := fixedIn(t, c.Path, "pkg-z"); got != "1.0.0" {
		t.Errorf("pkg-z fixed in %q", got)
	}
}

func TestOneFeedFailsTheOthersArrive(t *testing.T) {
	for name, damage := range map[string]func(u *upstream){
		"not there": func(*upstream) {},
		"cut off": func(u *upstream) {
			u.put("/debian.json", []byte(`{"openssl": {"CVE-2026-1": {"releases": {"bookworm": {"status": "op`))
		},
		"another format": func(u *upstream) { u.put("/debian.json", []byte("<html>sign in</html>")) },
		"damaged, inside": func(u *upstream) {
			u.put("/debian.json", []byte(`{"a":{"CVE-2026-1":{"releases":{"bookworm":{"status":"resolved"}}}}}`))
		},
	} {
		t.Run(name, func(t *testing.T) {
			u, c, _, _ := setup(t)
			damage(u)
			c.Ecosystems = []string{"npm", "Debian:12"}
			result, err := update.Run(context.Background(), c)
			if err == nil || !strings.Contains(err.Error(), "feed debian") {
				t.Fatalf("error = %v", err)
			}
			if !result.Changed || result.Feeds[0].Status != update.Failed || result.Feeds[1].Status != update.Replaced {
				t.Errorf("feeds = %+v", result.Feeds)
			}
			if got := fixedIn(t, c.Path, "pkg-a"); got != "1.0.0" {
				t.Errorf("pkg-a fixed in %q", got)
			}
		})
	}
}

func TestErrorsCarryTheNextStep(t *testing.T) {
	_, c, _, _ := setup(t)
	offline := c
	offline.Sources.OSV = "https://127.0.0.1:1/osv"
	waits := c
	u2, throttled, _, _ := setup(t)
	u2.fail = func(w http.ResponseWriter, r *http.Request) bool {
		w.Header().Set("Retry-After", "3600")
		w.WriteHeader(http.StatusTooManyRequests)
		return true
	}
	unknown := c
	unknown.Ecosystems = []string{"Debain:12"}
	keyed := c
	keyed.Key = make(ed25519.PublicKey, ed25519.PublicKeySize)
	waits.From = filepath.Join(t.TempDir(), "no-such-file.db")
	for name, test := range map[string]struct {
		config update.Config
		is     error
		hint   string
	}{
		"offline":           {offline, seawall.ErrUnreadable, "db import"},
		"throttled":         {throttled, seawall.ErrUnreadable, "wait 1h0m0s"},
		"unknown ecosystem": {unknown, seawall.ErrUsage, "known are"},
		"feeds with a key":  {keyed, seawall.ErrUsage, "--from"},
		"no such file":      {waits, seawall.ErrUnreadable, ""},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := update.Run(context.Background(), test.config)
			if !errors.Is(err, test.is) {
				t.Errorf("error %v is not %v", err, test.is)
			}
			var hinted *seawall.Hinted
			if test.hint != "" && (!errors.As(err, &hinted) || !strings.Contains(hinted.Hint, test.hint)) {
				t.Errorf("hint of %v lacks %q", err, test.hint)
			}
		})
	}
}

// TestStarterFeedsAreKeptOrSuperseded: what is not updated stays, what a feed replaces goes.
func TestStarterFeedsAreKeptOrSuperseded(t *testing.T) {
	u, c, _, _ := setup(t)
	start := filepath.Join(t.TempDir(), "starter.db")
	writeDatabase(t, start, db.Options{Built: "2025-01-01T00:00:00Z"}, map[string]advisory.Advisory{
		"pypi": {ID: "PYSEC-1", Source: "pypi", Affected: []advisory.Affected{{Ecosystem: "PyPI", Name: "old"}}},
		"go":   {ID: "GO-1", Source: "go", Affected: []advisory.Affected{{Ecosystem: "Go", Name: "old"}}},
	})
	c.Starter = func() (*db.Reader, error) { return db.Open(start, nil) }
	c.Ecosystems = []string{"npm", "Go"}
	u.put("/osv/Go/all.zip", u.files["/osv/npm/all.zip"]) // any archive will do; this mirror has no index
	if _, err := update.Run(context.Background(), c); err != nil {
		t.Fatal(err)
	}
	r, err := db.Open(c.Path, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if diff := cmp.Diff([]string{"epss", "kev", "osv/Go", "osv/npm", "pypi"}, r.Feeds()); diff != "" {
		t.Errorf("feeds (-want +got):\n%s", diff)
	}
}

func TestOnlyOneUpdaterAtATime(t *testing.T) {
	u, c, _, _ := setup(t)
	u.fail = func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path == "/kev.json" {
			if _, err := update.Run(context.Background(), c); err == nil || !strings.Contains(err.Error(), "another update") {
				t.Errorf("a second update while one runs: %v", err)
			}
		}
		return false
	}
	if _, err := update.Run(context.Background(), c); err != nil {
		t.Fatal(err)
	}
}

func writeDatabase(t *testing.T, path string, o db.Options, feeds map[string]advisory.Advisory) {
	t.Helper()
	w := db.NewWriter(o)
	for name, a := range feeds {
		if err := w.Add(name, advisory.Record{Advisory: &a}); err != nil {
			t.Fatal(err)
		}
	}
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.WriteTo(f); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}
