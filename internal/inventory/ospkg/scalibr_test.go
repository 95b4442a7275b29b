package ospkg

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	cpb "github.com/google/osv-scalibr/binary/proto/config_go_proto"
	"github.com/google/osv-scalibr/extractor/filesystem"
	"github.com/google/osv-scalibr/extractor/filesystem/os/apk"
	"github.com/google/osv-scalibr/extractor/filesystem/os/dpkg"
	"github.com/google/osv-scalibr/extractor/filesystem/os/rpm"
	scalibrfs "github.com/google/osv-scalibr/fs"

	"github.com/seawall-security/seawall/internal/inventory"
)

// moduleDir is where a module of the build list is kept.
func moduleDir(t testing.TB, module string) string {
	t.Helper()
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", module).Output()
	if err != nil {
		t.Fatalf("go list -m %s: %v", module, err)
	}
	return strings.TrimSpace(string(out))
}

// scalibrData is the test data of osv-scalibr's extractors.
func scalibrData(t testing.TB, rel string) string {
	t.Helper()
	return filepath.Join(moduleDir(t, "github.com/google/osv-scalibr"), "extractor/filesystem/os", rel)
}

// corpus is a database both we and osv-scalibr read.
type corpus struct {
	name string
	path string // in the root
	file string // on disk
	ours inventory.Collector
	them func(*cpb.PluginConfig) (filesystem.Extractor, error)
}

func corpora(t testing.TB) []corpus {
	return []corpus{
		{"dpkg", "var/lib/dpkg/status", filepath.Join(debianRoot(t), "var/lib/dpkg/status"), Dpkg{}, dpkg.New},
		{"apk", "lib/apk/db/installed", scalibrData(t, "apk/testdata/installed"), Apk{}, apk.New},
		{"rpm-sqlite", "var/lib/rpm/rpmdb.sqlite", scalibrData(t, "rpm/testdata/rpmdb.sqlite"), Rpm{}, rpm.New},
		{"rpm-ndb", "usr/lib/sysimage/rpm/Packages.db", scalibrData(t, "rpm/testdata/Packages.db"), Rpm{}, rpm.New},
		{"rpm-bdb", "var/lib/rpm/Packages", scalibrData(t, "rpm/testdata/Packages"), Rpm{}, rpm.New},
	}
}

// theirs returns a function that runs osv-scalibr's extractor on the database,
// which lies where it expects it, and returns name and version of what it finds.
func (c corpus) theirs(t testing.TB, content []byte) func() []string {
	t.Helper()
	e, err := c.them(&cpb.PluginConfig{})
	if err != nil {
		t.Fatal(err)
	}
	root := t.TempDir()
	for name, content := range map[string][]byte{c.path: content, "etc/os-release": []byte("ID=test\nVERSION_ID=1\n")} {
		name = filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return func() []string {
		inv, err := e.Extract(context.Background(), &filesystem.ScanInput{
			FS: scalibrfs.DirFS(root), Root: root, Path: c.path, Info: info{c.path, int64(len(content))}, Reader: bytes.NewReader(content),
		})
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, p := range inv.Packages {
			names = append(names, p.Name+" "+p.Version)
		}
		return names
	}
}

// TestLikeScalibr: we find every package osv-scalibr finds, in the same version.
func TestLikeScalibr(t *testing.T) {
	for _, c := range corpora(t) {
		t.Run(c.name, func(t *testing.T) {
			content, err := os.ReadFile(c.file)
			if err != nil {
				t.Fatal(err)
			}
			facts, err := c.ours.Collect(context.Background(), file(c.path, content))
			if err != nil {
				t.Fatal(err)
			}
			found := map[string]bool{}
			for _, p := range packages(facts) {
				// osv-scalibr leaves an rpm's epoch out of the version.
				_, plain, _ := strings.Cut(p.Version, ":")
				found[p.Name+" "+p.Version], found[p.Name+" "+plain] = true, true
			}
			theirs := c.theirs(t, content)()
			if len(theirs) == 0 {
				t.Fatal("osv-scalibr found nothing")
			}
			for _, p := range theirs {
				if !found[p] && !strings.HasPrefix(p, "gpg-pubkey ") {
					t.Errorf("%s is missing", p)
				}
			}
		})
	}
}

// BenchmarkPackages: ours reads owned files too, osv-scalibr's packages only.
func BenchmarkPackages(b *testing.B) {
	for _, c := range corpora(b) {
		content, err := os.ReadFile(c.file)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(c.name+"/seawall", func(b *testing.B) {
			b.SetBytes(int64(len(content)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := c.ours.Collect(context.Background(), file(c.path, content)); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(c.name+"/scalibr", func(b *testing.B) {
			theirs := c.theirs(b, content)
			b.SetBytes(int64(len(content)))
			b.ReportAllocs()
			for b.Loop() {
				theirs()
			}
		})
	}
}
