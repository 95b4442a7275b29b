package rootfs_test

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/source"
	"github.com/seawall-security/seawall/internal/source/rootfs"
	"github.com/seawall-security/seawall/internal/source/sourcetest"
	"github.com/seawall-security/seawall/internal/testenv"
)

// tree writes files; a name with a slash at its end is a directory.
func tree(t *testing.T, names ...string) string {
	t.Helper()
	dir := t.TempDir()
	for _, n := range names {
		path := filepath.Join(dir, n)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		var err error
		if strings.HasSuffix(n, "/") {
			err = os.MkdirAll(path, 0o755)
		} else {
			err = os.WriteFile(path, []byte(filepath.Base(n)), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func open(t *testing.T, kind seawall.AssetKind, dir string, o source.Options) seawall.Target {
	t.Helper()
	for _, op := range rootfs.Openers() {
		if op.Schemes()[0] == string(kind) {
			target, err := op.Open(t.Context(), dir, o)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { target.Close() })
			return target
		}
	}
	t.Fatalf("no opener for %s", kind)
	return nil
}

func TestWalk(t *testing.T) {
	dir := tree(t, "etc/os-release", "b", "a/z", "a/b/c", "empty/", "bad\xffname/f", ".git/objects/x", ".git/config",
		"var/lib/docker/overlay2/x", "var/lib/dpkg/status", "home/me/.local/share/containers/storage/x", "proc/1/maps")
	for link, to := range map[string]string{"loop": "loop", "up": "../../..", "a/abs": "/etc"} {
		if err := os.Symlink(to, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	all := []string{"0 dir .", "0 dir .git", `0 file .git/config "config"`, "0 dir .git/objects", `0 file .git/objects/x "x"`,
		"0 dir a", "0 symlink a/abs -> /etc", "0 dir a/b", `0 file a/b/c "c"`, `0 file a/z "z"`, `0 file b "b"`,
		`0 dir bad\xffname`, `0 file bad\xffname/f "f"`, "0 dir empty", "0 dir etc", `0 file etc/os-release "os-release"`,
		"0 dir home", "0 dir home/me", "0 dir home/me/.local", "0 dir home/me/.local/share", "0 dir home/me/.local/share/containers",
		"0 dir home/me/.local/share/containers/storage", `0 file home/me/.local/share/containers/storage/x "x"`,
		"0 symlink loop -> loop", "0 other pipe", "0 dir proc", "0 dir proc/1", `0 file proc/1/maps "maps"`, "0 symlink up -> ../../..",
		"0 dir var", "0 dir var/lib", "0 dir var/lib/docker", "0 dir var/lib/docker/overlay2", `0 file var/lib/docker/overlay2/x "x"`,
		"0 dir var/lib/dpkg", `0 file var/lib/dpkg/status "status"`}
	without := func(prefixes ...string) []string {
		var out []string
		for _, line := range all {
			keep := true
			for _, p := range prefixes {
				keep = keep && !strings.Contains(line, " "+p+"/")
			}
			if keep {
				out = append(out, line)
			}
		}
		return out
	}
	for _, tt := range []struct {
		kind seawall.AssetKind
		o    source.Options
		want []string
	}{
		{seawall.AssetRootFS, source.Options{}, all},
		{seawall.AssetFS, source.Options{}, without(".git/objects")},
		{seawall.AssetHost, source.Options{}, without("proc", "var/lib/docker", "home/me/.local/share/containers/storage")},
		{seawall.AssetHost, source.Options{AllFileSystems: true}, all},
	} {
		t.Run(fmt.Sprintf("%s %v", tt.kind, tt.o.AllFileSystems), func(t *testing.T) {
			target := open(t, tt.kind, dir, tt.o)
			got, err := sourcetest.Dump(t.Context(), target)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
			if a := target.Asset(); a.ID != string(tt.kind)+":"+dir || a.Kind != tt.kind || target.Layers()[0].CacheKey() != "" {
				t.Errorf("asset = %+v, cache key %q", a, target.Layers()[0].CacheKey())
			}
		})
	}
}

// TestRandom: a file can be opened after the walk, twice, and read at any place; never through a link put in its way.
func TestRandom(t *testing.T) {
	dir := tree(t, "d/file", "secret", "d/swapped")
	target := open(t, seawall.AssetRootFS, dir, source.Options{})
	opens := map[string]func() (io.ReadCloser, error){}
	if err := target.Layers()[0].Walk(t.Context(), func(e seawall.Entry) error {
		if e.Kind == seawall.EntryFile && e.Random {
			opens[e.Path] = e.Open
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		rc, err := opens["d/file"]()
		if err != nil {
			t.Fatal(err)
		}
		var b [2]byte
		if _, err := rc.(io.ReaderAt).ReadAt(b[:], 2); err != nil || string(b[:]) != "le" {
			t.Errorf("ReadAt = %q, %v", b, err)
		}
		rc.Close()
	}
	swapped := filepath.Join(dir, "d/swapped")
	os.Remove(swapped)
	if err := os.Symlink("/etc/passwd", swapped); err != nil {
		t.Fatal(err)
	}
	if rc, err := opens["d/swapped"](); !errors.Is(err, seawall.ErrUnreadable) {
		t.Errorf("opened %v through a link, %v", rc, err)
	}
	os.Remove(swapped)
	if err := syscall.Mkfifo(swapped, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := opens["d/swapped"](); !errors.Is(err, seawall.ErrUnreadable) {
		t.Errorf("a pipe: %v", err)
	}
	if err := os.Rename(filepath.Join(dir, "d"), filepath.Join(dir, "e")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("e", filepath.Join(dir, "d")); err != nil {
		t.Fatal(err)
	}
	if _, err := opens["d/file"](); !errors.Is(err, seawall.ErrUnreadable) {
		t.Errorf("a linked directory: %v", err)
	}
}

// TestChanging: what goes away during the walk is passed over.
func TestChanging(t *testing.T) {
	dir := tree(t, "a", "b/c", "d", "e/f")
	var got []string
	err := open(t, seawall.AssetRootFS, dir, source.Options{}).Layers()[0].Walk(t.Context(), func(e seawall.Entry) error {
		got = append(got, e.Path)
		if e.Path == "a" {
			os.RemoveAll(filepath.Join(dir, "b"))
			os.Remove(filepath.Join(dir, "d"))
		}
		return e.Err
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{".", "a", "e", "e/f"}, got); diff != "" {
		t.Error(diff)
	}
}

// TestPortable runs the tests on the code for other systems than Linux.
func TestPortable(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles the tests once more")
	}
	cmd := exec.CommandContext(t.Context(), testenv.Tool(t, "go"), "test", "-short", "-tags", "rootfsportable", ".")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestSingleFile(t *testing.T) {
	dir := tree(t, "go.mod", "other")
	got, err := sourcetest.Dump(t.Context(), open(t, seawall.AssetFS, filepath.Join(dir, "go.mod"), source.Options{}))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{`0 file go.mod "go.mod"`}, got); diff != "" {
		t.Error(diff)
	}
	for _, op := range rootfs.Openers() {
		_, err := op.Open(t.Context(), filepath.Join(dir, "absent"), source.Options{})
		if !errors.Is(err, seawall.ErrUnreadable) || !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: error = %v", op.Schemes()[0], err)
		}
		if op.Schemes()[0] == "fs" {
			continue
		}
		var h *seawall.Hinted
		if _, err := op.Open(t.Context(), filepath.Join(dir, "go.mod"), source.Options{}); !errors.As(err, &h) {
			t.Errorf("%s of a file: error = %v", op.Schemes()[0], err)
		}
	}
}

// TestDeep: directories nested past the bound are said to be unread.
func TestDeep(t *testing.T) {
	dir := t.TempDir()
	fd, err := syscall.Open(dir, syscall.O_RDONLY|syscall.O_DIRECTORY, 0)
	if err != nil {
		t.Fatal(err)
	}
	for range 600 {
		if err := syscall.Mkdirat(fd, "d", 0o755); err != nil {
			t.Fatal(err)
		}
		next, err := syscall.Openat(fd, "d", syscall.O_RDONLY|syscall.O_DIRECTORY, 0)
		if err != nil {
			t.Fatal(err)
		}
		syscall.Close(fd)
		fd = next
	}
	syscall.Close(fd)
	var bound int
	err = open(t, seawall.AssetRootFS, dir, source.Options{}).Layers()[0].Walk(t.Context(), func(e seawall.Entry) error {
		if errors.Is(e.Err, seawall.ErrBound) {
			bound++
		}
		return nil
	})
	if err != nil || bound != 1 {
		t.Errorf("%d entries over the bound, error %v", bound, err)
	}
}

// BenchmarkWalk walks the tree SEAWALL_BENCH_ROOTFS names, or /usr.
func BenchmarkWalk(b *testing.B) {
	dir := os.Getenv("SEAWALL_BENCH_ROOTFS")
	if dir == "" {
		dir = "/usr"
	}
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		target, err := rootfs.Openers()[0].Open(b.Context(), dir, source.Options{})
		if err != nil {
			b.Fatal(err)
		}
		n = 0
		if err := target.Layers()[0].Walk(b.Context(), func(seawall.Entry) error { n++; return nil }); err != nil {
			b.Fatal(err)
		}
		target.Close()
	}
	b.ReportMetric(float64(n), "entries/op")
}
