package build_test

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"

	"github.com/seawall-security/seawall/internal/advisory"
	"github.com/seawall-security/seawall/internal/advisory/all"
	"github.com/seawall-security/seawall/internal/advisory/build"
	"github.com/seawall-security/seawall/internal/seawall"
)

func doc(id string) []byte {
	return []byte(fmt.Sprintf(`{"id":%q,"modified":"2024-01-02T00:00:00Z","summary":"a\n text","affected":[{"package":{"ecosystem":"npm","name":"a"},
		"ranges":[{"type":"SEMVER","events":[{"introduced":"1.0.0"},{"fixed":"2.0.0"}]}],"versions":["1.0.0","1.5.0","3.0.0","weird"]}]}`, id))
}

func zipped(t testing.TB, files map[string][]byte) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, name := range sorted(files) {
		w, err := z.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(files[name]); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func tarred(t testing.TB, files map[string][]byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, name := range sorted(files) {
		if err := w.WriteHeader(&tar.Header{Name: name, Size: int64(len(files[name])), Mode: 0o644, Typeflag: tar.TypeReg, Format: tar.FormatUSTAR}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(files[name]); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func gzipped(t testing.TB, data []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func zstded(t testing.TB, data []byte) []byte {
	t.Helper()
	w, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	return w.EncodeAll(data, nil)
}

func sorted(files map[string][]byte) []string {
	var names []string
	for name := range files {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func write(t *testing.T, files map[string][]byte) string {
	t.Helper()
	dir := t.TempDir()
	for name, data := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestArchivesAreOpenedWhereTheyAreMet(t *testing.T) {
	dir := write(t, map[string][]byte{
		"plain/a.json":  doc("GHSA-plain"),
		"b.json.gz":     gzipped(t, doc("GHSA-gz")),
		"c.tar.zst":     zstded(t, tarred(t, map[string][]byte{"x/c.json": doc("GHSA-tar-zst"), "README": []byte("read me")})),
		"d.zip":         zipped(t, map[string][]byte{"d.json": doc("GHSA-zip"), "inner.zip": zipped(t, map[string][]byte{"e.json": doc("GHSA-zip-zip")})}),
		"f.tar.gz":      gzipped(t, tarred(t, map[string][]byte{"g.zip": zipped(t, map[string][]byte{"g.json": doc("GHSA-gz-tar-zip")})})),
		"h/cut.tar.gz":  gzipped(t, tarred(t, map[string][]byte{"1.json": doc("GHSA-before-cut"), "2.json": doc("GHSA-lost")}))[:230],
		"i/broken.json": []byte(`{"id":"GHSA-broken","modified":"2024-01-02T00:00:00Z",` + "\n" + `"affected":[}`),
	})
	records, report := run(t, dir, build.Options{})
	var ids []string
	for _, r := range records {
		if r.Advisory != nil {
			ids = append(ids, r.Advisory.ID)
		}
	}
	want := []string{"GHSA-gz", "GHSA-tar-zst", "GHSA-zip", "GHSA-zip-zip", "GHSA-gz-tar-zip", "GHSA-plain"}
	ids = slices.DeleteFunc(ids, func(id string) bool { return id == "GHSA-before-cut" })
	if diff := cmp.Diff(want, ids); diff != "" {
		t.Errorf("advisories (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"c.tar!README"}, report.Unrecognized); diff != "" {
		t.Errorf("not recognised (-want +got):\n%s", diff)
	}
	if len(report.Damaged) != 2 || !strings.HasPrefix(report.Damaged[0].Place, "h/cut") || report.Damaged[1].Place != "i/broken.json" ||
		!strings.Contains(report.Damaged[1].Err.Error(), "line 2") {
		t.Errorf("damaged: %v", report.Damaged)
	}
	for _, d := range report.Damaged {
		if !errors.Is(d.Err, seawall.ErrCorrupt) {
			t.Errorf("%s: %v is not corrupt", d.Place, d.Err)
		}
	}
	if left, _ := filepath.Glob(filepath.Join(os.TempDir(), "seawall-build-*")); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}

// TestBombs: each bound ends the archive it is reached in, with ErrBound, and the rest goes on.
func TestBombs(t *testing.T) {
	nested := doc("GHSA-deep")
	for range 12 {
		nested = gzipped(t, nested)
	}
	many := map[string][]byte{}
	for n := range 200 {
		many[fmt.Sprintf("%03d", n)] = []byte("x")
	}
	zeros := gzipped(t, append(tarred(t, map[string][]byte{"z": make([]byte, 8<<20)}), make([]byte, 8<<20)...))
	for name, test := range map[string]struct {
		data   []byte
		bounds build.Bounds
	}{
		"nested":           {nested, build.Bounds{Depth: 6}},
		"many members":     {tarred(t, many), build.Bounds{Entries: 100}},
		"many zip members": {zipped(t, many), build.Bounds{Entries: 100}},
		"inflates":         {zeros, build.Bounds{Bytes: 1 << 20}},
		"zip inflates":     {zipped(t, map[string][]byte{"z.json": append([]byte(`{"id":"GHSA-1","modified":"2024-01-02","x":"`), bytes.Repeat([]byte("0"), 4<<20)...)}), build.Bounds{Bytes: 1 << 20}},
		"zip in tar":       {tarred(t, map[string][]byte{"a.zip": zipped(t, many)}), build.Bounds{Spool: 100}},
		"document":         {append([]byte(`{"id":"GHSA-1","modified":"2024-01-02","x":"`), bytes.Repeat([]byte("0"), 17<<20)...), build.Bounds{}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := write(t, map[string][]byte{"a-bomb": test.data, "b.json": doc("GHSA-after")})
			records, report := run(t, dir, build.Options{Bounds: test.bounds})
			if len(report.Damaged) == 0 || !errors.Is(report.Damaged[0].Err, seawall.ErrBound) {
				t.Errorf("damaged: %v", report.Damaged)
			}
			if len(records) == 0 || records[0].Advisory.ID != "GHSA-after" {
				t.Errorf("what comes after is lost")
			}
		})
	}
}

// TestThinning: versions a range holds go, the others stay; texts go where they must.
func TestThinning(t *testing.T) {
	dir := write(t, map[string][]byte{"a.json": doc("GHSA-1"), "u.json": doc("UBUNTU-CVE-2024-1")})
	records, report := run(t, dir, build.Options{})
	for _, r := range records[:2] {
		if diff := cmp.Diff([]string{"3.0.0", "weird"}, r.Advisory.Affected[0].Versions); diff != "" {
			t.Errorf("%s: versions (-want +got):\n%s", r.Advisory.ID, diff)
		}
	}
	if records[0].Advisory.Summary != "a text" || records[1].Advisory.Summary != "" {
		t.Errorf("summaries %q (CC-BY) and %q (share-alike)", records[0].Advisory.Summary, records[1].Advisory.Summary)
	}
	if records, _ = run(t, dir, build.Options{FactsOnly: true}); records[0].Advisory.Summary != "" {
		t.Errorf("facts only, and yet %q", records[0].Advisory.Summary)
	}
	want := []seawall.DatabaseSource{
		{Name: "ghsa", Updated: "2024-01-02T00:00:00Z", Advisories: 1, Licence: "CC-BY-4.0"},
		{Name: "ubuntu", Updated: "2024-01-02T00:00:00Z", Advisories: 1, Licence: "CC-BY-SA-4.0"},
	}
	if diff := cmp.Diff(want, report.Sources); diff != "" {
		t.Errorf("sources (-want +got):\n%s", diff)
	}
}

func TestOneFeed(t *testing.T) {
	dir := write(t, map[string][]byte{"a.json": doc("GHSA-1"), "m.json": doc("MAL-2024-1")})
	feeds := map[string]int{}
	var source seawall.DatabaseSource
	_, err := build.Run(context.Background(), dir, build.Options{Importers: all.Importers(), Feed: "osv/npm", Sink: func(feed string, r advisory.Record) error {
		feeds[feed]++
		if r.Source != nil {
			source = *r.Source
		}
		return nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]int{"osv/npm": 3}, feeds); diff != "" {
		t.Errorf("feeds (-want +got):\n%s", diff)
	}
	if want := (seawall.DatabaseSource{Name: "osv/npm", Updated: "2024-01-02T00:00:00Z", Licence: "CC-BY-4.0 AND Apache-2.0"}); source != want {
		t.Errorf("source %+v, want %+v", source, want)
	}
}

func TestSinkAndCancelEndABuild(t *testing.T) {
	dir := write(t, map[string][]byte{"a.zip": zipped(t, map[string][]byte{"1.json": doc("GHSA-1"), "2.json": doc("GHSA-2")})})
	full := errors.New("disk full")
	calls := 0
	_, err := build.Run(context.Background(), dir, build.Options{Importers: all.Importers(), Sink: func(string, advisory.Record) error {
		calls++
		return full
	}})
	if !errors.Is(err, full) || calls != 1 {
		t.Errorf("%d calls, %v", calls, err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	_, err = build.Run(ctx, dir, build.Options{Importers: all.Importers(), Sink: func(string, advisory.Record) error {
		cancel()
		return nil
	}})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("canceled: %v", err)
	}
	if _, err := build.Run(context.Background(), filepath.Join(dir, "no-such"), build.Options{}); !errors.Is(err, seawall.ErrUnreadable) {
		t.Errorf("no such directory: %v", err)
	}
}

// FuzzRun: no archive, however broken, panics, hangs or ends a build.
func FuzzRun(f *testing.F) {
	f.Add(gzipped(f, tarred(f, map[string][]byte{"a.json": doc("GHSA-1")})))
	f.Add(zipped(f, map[string][]byte{"a.json": doc("GHSA-1"), "b.zip": zipped(f, map[string][]byte{"c": []byte("x")})}))
	f.Add(zstded(f, doc("GHSA-1")))
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, data []byte) {
		path := filepath.Join(dir, "input")
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		report, err := build.Run(context.Background(), path, build.Options{
			Importers: all.Importers(), Bounds: build.Bounds{Bytes: 1 << 20, Entries: 1000, Spool: 1 << 20},
			Sink: func(string, advisory.Record) error { return nil },
		})
		if err != nil {
			t.Fatal(err)
		}
		if report.Documents == 0 && len(report.Damaged) == 0 && len(data) > 0 && !isEmptyArchive(data) {
			t.Errorf("%d bytes, and neither a document nor damage", len(data))
		}
	})
}

// isEmptyArchive: an archive may hold nothing, and that is no damage.
func isEmptyArchive(data []byte) bool {
	return bytes.HasPrefix(data, []byte("PK")) || len(data) > 262 && string(data[257:262]) == "ustar" || data[0] == 0x1f || data[0] == 0x28
}
