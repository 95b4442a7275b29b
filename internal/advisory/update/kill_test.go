package update_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/seawall-security/seawall/internal/advisory/all"
	"github.com/seawall-security/seawall/internal/advisory/update"
)

// TestMain lets the test binary be an updater that can be killed.
func TestMain(m *testing.M) {
	if base := os.Getenv("SEAWALL_TEST_UPDATE"); base != "" {
		path := os.Getenv("SEAWALL_TEST_PATH")
		client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
		_, err := update.Run(context.Background(), update.Config{
			Path: path, Ecosystems: []string{"npm"}, Importers: all.Importers(), Client: client,
			Sources: update.Sources{OSV: base + "/osv", KEV: base + "/kev.json", EPSS: base + "/epss.csv"},
		})
		if err != nil {
			os.Stderr.WriteString(err.Error() + "\n")
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// TestKilledUpdateLeavesTheOldDatabase kills an updater in the middle of a
// download; the next one goes on where it was.
func TestKilledUpdateLeavesTheOldDatabase(t *testing.T) {
	u, c, entries, modified := setup(t)
	if _, err := update.Run(context.Background(), c); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(c.Path)
	if err != nil {
		t.Fatal(err)
	}
	for id := range entries {
		modified[id] = "2026-03-01T00:00:00Z"
		entries[id] = entry(id, "pkg-"+id[5:], "2.0.0", modified[id])
	}
	u.publish(t, entries, modified)
	half, release := make(chan struct{}), make(chan struct{})
	var resumed string
	u.fail = func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path != "/osv/npm/all.zip" {
			return false
		}
		if resumed = r.Header.Get("Range"); resumed != "" {
			return false
		}
		data := u.files[r.URL.Path]
		w.Header().Set("ETag", etag(data))
		w.Header().Set("Content-Length", strconv.Itoa(len(data)))
		w.Write(data[:len(data)/2])
		w.(*statusWriter).ResponseWriter.(http.Flusher).Flush()
		close(half)
		<-release
		panic(http.ErrAbortHandler)
	}
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), "SEAWALL_TEST_UPDATE="+u.URL, "SEAWALL_TEST_PATH="+c.Path)
	stderr, err := child.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	<-half
	waitForBytes(t, filepath.Join(c.Path+".d", "osv-npm-0-all.zip.part"))
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	for s := bufio.NewScanner(stderr); s.Scan(); {
		t.Log(s.Text())
	}
	if err := child.Wait(); err == nil {
		t.Fatal("the updater ended before it was killed")
	}
	close(release)
	after, err := os.ReadFile(c.Path)
	if err != nil || string(after) != string(before) {
		t.Fatalf("the database in use changed (%v)", err)
	}
	if got := fixedIn(t, c.Path, "pkg-a"); got != "1.0.0" {
		t.Errorf("pkg-a fixed in %q", got)
	}
	if _, err := update.Run(context.Background(), c); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(resumed, "bytes=") {
		t.Errorf("the second update asked for %q, not for the rest", resumed)
	}
	if got := fixedIn(t, c.Path, "pkg-a"); got != "2.0.0" {
		t.Errorf("after the second update: pkg-a fixed in %q", got)
	}
	left, err := os.ReadDir(c.Path + ".d")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range left {
		if f.Name() != "lock" && f.Name() != "state.json" {
			t.Errorf("left behind: %s", f.Name())
		}
	}
}

func waitForBytes(t *testing.T, path string) {
	t.Helper()
	for range 1000 {
		if info, err := os.Stat(path); err == nil && info.Size() > 0 {
			return
		}
		pause()
	}
	t.Fatalf("%s stays empty", path)
}

// pause lets another process go on.
func pause() { time.Sleep(10 * time.Millisecond) }
