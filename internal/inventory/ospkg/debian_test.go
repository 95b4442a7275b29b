package ospkg

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seawall-security/seawall/internal/inventory"
	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/testenv"
)

// debianRoot is a small Debian 12, made once by mmdebstrap and kept in the
// user's cache directory.
func debianRoot(t testing.TB) string {
	t.Helper()
	testenv.Root(t)
	mmdebstrap := testenv.Tool(t, "mmdebstrap")
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	cache = filepath.Join(cache, "seawall-test")
	root := filepath.Join(cache, "debian-12-essential")
	if _, err := os.Stat(root); err == nil {
		return root
	}
	if err := os.MkdirAll(cache, 0o755); err != nil {
		t.Fatal(err)
	}
	tmp, err := os.MkdirTemp(cache, "debian-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(tmp)
	made := filepath.Join(tmp, "root")
	if out, err := exec.Command(mmdebstrap, "--variant=essential", "bookworm", made).CombinedOutput(); err != nil {
		t.Fatalf("mmdebstrap: %v\n%s", err, out)
	}
	if err := os.Rename(made, root); err != nil && !os.IsExist(err) {
		t.Fatal(err)
	}
	return root
}

// disk is the content of a file.
type disk struct {
	*os.File
	size int64
}

func (d disk) Size() int64 { return d.size }

// walk collects from a directory as the engine would and joins.
func walk(t testing.TB, root string, more ...seawall.Package) *inventory.Merged {
	t.Helper()
	m := &inventory.Merged{
		Asset: &seawall.Asset{}, Packages: more,
		Warn: func(reason string) { t.Errorf("warning: %s", reason) },
	}
	err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		for _, c := range Collectors() {
			if c.Wants(rel, info) {
				collectFile(t, m, c, path, seawall.File{Path: rel, Info: info})
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := (Release{}).Join(context.Background(), m); err != nil {
		t.Fatal(err)
	}
	return m
}

func collectFile(t testing.TB, m *inventory.Merged, c inventory.Collector, path string, f seawall.File) {
	t.Helper()
	if f.Info.Mode()&fs.ModeSymlink != 0 {
		link, err := os.Readlink(path)
		if err != nil {
			t.Fatal(err)
		}
		f.Link, f.Content = link, memory{bytes.NewReader(nil)}
	} else {
		opened, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer opened.Close()
		f.Content = disk{opened, f.Info.Size()}
	}
	facts, err := c.Collect(context.Background(), f)
	if err != nil {
		t.Errorf("%s: %s: %v", c.Name(), f.Path, err)
	}
	for _, fact := range facts {
		switch {
		case fact.Package != nil:
			m.Packages = append(m.Packages, *fact.Package)
		case fact.File != nil:
			m.Files = append(m.Files, *fact.File)
		case fact.Config != nil:
			m.Configs = append(m.Configs, *fact.Config)
		}
	}
}

// TestDebianPackages compares with what dpkg itself says.
func TestDebianPackages(t *testing.T) {
	root := debianRoot(t)
	admin := filepath.Join(root, "var/lib/dpkg")
	out, err := exec.Command(testenv.Tool(t, "dpkg-query"), "--admindir", admin, "-W",
		"-f", "${Package} ${Version} ${Architecture} ${source:Package} ${source:Version}\n").Output()
	if err != nil {
		t.Fatal(err)
	}
	want := strings.Split(strings.TrimSpace(string(out)), "\n")
	m := walk(t, root)
	var got []string
	for _, p := range m.Packages {
		source, version := p.Source, p.SourceVersion
		if source == "" {
			source = p.Name
		}
		if version == "" {
			version = p.Version
		}
		got = append(got, strings.Join([]string{p.Name, p.Version, p.Arch, source, version}, " "))
		if p.Ecosystem != "Debian:12" || !strings.HasPrefix(p.PURL, "pkg:deb/debian/") || !strings.Contains(p.PURL, "distro=debian-12") {
			t.Errorf("%s: ecosystem %q, purl %q", p.Name, p.Ecosystem, p.PURL)
		}
	}
	slices.Sort(want)
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if os := m.Asset.OS; os == nil || os.ID != "debian" || os.Version != "12" || os.Codename != "bookworm" {
		t.Errorf("OS = %+v", os)
	}
}

// TestDebianOwners: every program and library found in the file system has the
// owner dpkg names, whichever of the merged directories its list says.
func TestDebianOwners(t *testing.T) {
	root := debianRoot(t)
	admin := filepath.Join(root, "var/lib/dpkg")
	out, err := exec.Command(testenv.Tool(t, "dpkg-query"), "--admindir", admin, "-S", "*/bin/*", "*/sbin/*", "*.so", "*.so.[0-9]*").Output()
	if err != nil {
		t.Fatal(err)
	}
	owners := map[string]string{}
	for s := bufio.NewScanner(bytes.NewReader(out)); s.Scan(); {
		owner, path, ok := strings.Cut(s.Text(), ": /")
		if !ok || strings.HasPrefix(owner, "diversion") || strings.Contains(owner, ",") {
			continue
		}
		owner, _, _ = strings.Cut(owner, ":")
		for _, top := range []string{"bin/", "sbin/", "lib/", "lib64/"} {
			if strings.HasPrefix(path, top) {
				path = "usr/" + path
			}
		}
		owners[path] = owner
	}
	var found []seawall.Package
	for path := range owners {
		if info, err := os.Lstat(filepath.Join(root, path)); err == nil && info.Mode().IsRegular() {
			found = append(found, seawall.Package{Kind: "binary", Name: path, Ecosystem: "generic", Locations: []seawall.Location{{Path: path}}})
		}
	}
	if len(found) < 300 {
		t.Fatalf("only %d programs and libraries", len(found))
	}
	for _, p := range walk(t, root, found...).Packages {
		if p.Kind == "binary" && p.Owner != owners[p.Name] {
			t.Errorf("%s is owned by %q, dpkg says %q", p.Name, p.Owner, owners[p.Name])
		}
	}
}

// BenchmarkDebian reads the whole dpkg database, lists included.
func BenchmarkDebian(b *testing.B) {
	admin := filepath.Join(debianRoot(b), "var/lib/dpkg")
	files := map[string][]byte{}
	err := filepath.WalkDir(admin, func(path string, e fs.DirEntry, err error) error {
		rel, _ := filepath.Rel(admin, path)
		if err != nil || e.IsDir() || !(Dpkg{}).Wants(dpkgDir+rel, nil) {
			return err
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		files[dpkgDir+rel], err = io.ReadAll(f)
		return err
	})
	if err != nil {
		b.Fatal(err)
	}
	size := 0
	for _, content := range files {
		size += len(content)
	}
	b.SetBytes(int64(size))
	b.ReportAllocs()
	for b.Loop() {
		for name, content := range files {
			if _, err := (Dpkg{}).Collect(context.Background(), file(name, content)); err != nil {
				b.Fatal(err)
			}
		}
	}
}
