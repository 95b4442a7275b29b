package langpkg_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	cpb "github.com/google/osv-scalibr/binary/proto/config_go_proto"
	"github.com/google/osv-scalibr/extractor/filesystem"
	scalibrfs "github.com/google/osv-scalibr/fs"

	"github.com/seawall-security/seawall/internal/inventory"
	"github.com/seawall-security/seawall/internal/inventory/langpkg/composer"
	"github.com/seawall-security/seawall/internal/inventory/langpkg/cran"
	"github.com/seawall-security/seawall/internal/inventory/langpkg/githubactions"
	"github.com/seawall-security/seawall/internal/inventory/langpkg/langpkgtest"
	"github.com/seawall-security/seawall/internal/inventory/langpkg/npm"
	"github.com/seawall-security/seawall/internal/inventory/langpkg/pypi"
)

// The trees of the project's big bench image, where it has been made.
const benchApp, benchRoot = "/tmp/bench/app", "/tmp/bench/rootfs"

func benchTree(t testing.TB, dir string) string {
	t.Helper()
	if _, err := os.Stat(dir); err != nil {
		t.Skipf("no bench image: %v", err)
	}
	return dir
}

// What osv-scalibr reports and we do not in the trees of the bench image; there
// is nothing the other way round.
var benchDifferences = map[string][]string{
	// Requirements without an exact version; 0.2.0a0 is the lower end of a range.
	"usr/share/doc/python3-pip/requirements.txt": {
		"furo ", "myst-parser ", "sphinx ", "sphinx-copybutton ", "sphinx-inline-tabs ", "sphinxcontrib-towncrier 0.2.0a0", "towncrier ",
	},
	// The gem whose lock file it is, from PATH.
	"usr/lib/ruby/gems/3.1.0/gems/typeprof-0.21.2/Gemfile.lock": {"typeprof 0.21.2"},
}

// TestBenchTrees compares what we find in real trees with what osv-scalibr's
// extractors find in the same files: an npm application with its lock file, and
// a Debian system with Python, Ruby and Node.js stacks.
func TestBenchTrees(t *testing.T) {
	quiet(t)
	for _, tree := range []string{benchApp, benchRoot} {
		root := benchTree(t, tree)
		all := files(t, root)
		for _, p := range pairs {
			extractor, err := p.theirs(&cpb.PluginConfig{})
			if err != nil {
				t.Fatal(err)
			}
			compared := 0
			for _, file := range all {
				if !p.ours.Wants(file, nil) {
					continue
				}
				data, err := os.ReadFile(filepath.Join(root, file))
				if err != nil {
					t.Fatal(err)
				}
				p.path = file
				ours, theirs := readOurs(p, data), readTheirs(extractor, root, file)
				for _, id := range benchDifferences[file] {
					delete(theirs, id)
				}
				if diff := cmp.Diff(theirs, ours); diff != "" {
					t.Errorf("%s: %s", file, diff)
				}
				compared++
			}
			if compared > 0 {
				t.Logf("%s: %s: %d files", tree, p.ours.Name(), compared)
			}
		}
	}
}

// The hot formats against osv-scalibr's extractors, on the same bytes.

func BenchmarkPackageJSON(b *testing.B) {
	var paths []string
	root := benchTree(b, benchApp)
	for _, f := range files(b, root) {
		if npm.Installed().Wants(f, nil) {
			paths = append(paths, f)
		}
	}
	benchmark(b, pairOf("language/npm-installed"), root, paths)
}

func BenchmarkMetadata(b *testing.B) {
	var paths []string
	root := benchTree(b, benchRoot)
	for _, f := range files(b, root) {
		if pypi.Installed().Wants(f, nil) && strings.HasSuffix(f, "METADATA") {
			paths = append(paths, f)
		}
	}
	benchmark(b, pairOf("language/pypi-installed"), root, paths)
}

func BenchmarkPackageLock(b *testing.B) {
	benchmark(b, pairOf("language/npm-lock"), benchTree(b, benchApp), []string{"opt/app/package-lock.json"})
}

func pairOf(name string) pair {
	return pairs[slices.IndexFunc(pairs, func(p pair) bool { return p.ours.Name() == name })]
}

// benchmark reads the files once per iteration, their content already in memory.
func benchmark(b *testing.B, p pair, root string, paths []string) {
	contents := make([][]byte, len(paths))
	infos := make([]os.FileInfo, len(paths))
	total := int64(0)
	for i, path := range paths {
		full := filepath.Join(root, path)
		var err error
		if contents[i], err = os.ReadFile(full); err != nil {
			b.Fatal(err)
		}
		if infos[i], err = os.Stat(full); err != nil {
			b.Fatal(err)
		}
		total += int64(len(contents[i]))
	}
	ctx := context.Background()
	b.Run(fmt.Sprintf("ours-%d-files", len(paths)), func(b *testing.B) {
		b.SetBytes(total)
		b.ReportAllocs()
		for b.Loop() {
			for i, path := range paths {
				if _, err := p.ours.Collect(ctx, langpkgtest.File(path, contents[i])); err != nil {
					b.Fatal(err)
				}
			}
		}
	})
	b.Run(fmt.Sprintf("osv-scalibr-%d-files", len(paths)), func(b *testing.B) {
		quiet(b)
		extractor, err := p.theirs(&cpb.PluginConfig{})
		if err != nil {
			b.Fatal(err)
		}
		fs := scalibrfs.DirFS(root)
		b.SetBytes(total)
		b.ReportAllocs()
		for b.Loop() {
			for i, path := range paths {
				if _, err := extractor.Extract(ctx, &filesystem.ScanInput{
					FS: fs, Path: path, Root: root, Info: infos[i], Reader: bytes.NewReader(contents[i]),
				}); err != nil {
					b.Fatal(err)
				}
			}
		}
	})
}

// BenchmarkWants asks every collector of this family about every file of a real
// tree, as the engine does.
func BenchmarkWants(b *testing.B) {
	all := files(b, benchTree(b, benchRoot))
	var collectors []inventory.Collector
	for _, p := range pairs {
		collectors = append(collectors, p.ours)
	}
	collectors = append(collectors, npm.Script(), cran.Installed(), composer.Installed(), githubactions.Workflow())
	b.ReportAllocs()
	for b.Loop() {
		for _, file := range all {
			for _, c := range collectors {
				c.Wants(file, nil)
			}
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(all)), "ns/file")
}
