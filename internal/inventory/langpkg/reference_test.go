package langpkg_test

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"log"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	cpb "github.com/google/osv-scalibr/binary/proto/config_go_proto"
	"github.com/google/osv-scalibr/extractor/filesystem"
	"github.com/google/osv-scalibr/extractor/filesystem/language/cpp/conanlock"
	"github.com/google/osv-scalibr/extractor/filesystem/language/dart/pubspec"
	"github.com/google/osv-scalibr/extractor/filesystem/language/dotnet/depsjson"
	"github.com/google/osv-scalibr/extractor/filesystem/language/dotnet/nugetcpm"
	"github.com/google/osv-scalibr/extractor/filesystem/language/dotnet/packagesconfig"
	"github.com/google/osv-scalibr/extractor/filesystem/language/dotnet/packageslockjson"
	"github.com/google/osv-scalibr/extractor/filesystem/language/dotnet/projectassetsjson"
	elixirlock "github.com/google/osv-scalibr/extractor/filesystem/language/elixir/mixlock"
	erlanglock "github.com/google/osv-scalibr/extractor/filesystem/language/erlang/mixlock"
	scalibrgomod "github.com/google/osv-scalibr/extractor/filesystem/language/golang/gomod"
	"github.com/google/osv-scalibr/extractor/filesystem/language/java/gradlelockfile"
	"github.com/google/osv-scalibr/extractor/filesystem/language/java/gradleverificationmetadataxml"
	"github.com/google/osv-scalibr/extractor/filesystem/language/java/pomxml"
	"github.com/google/osv-scalibr/extractor/filesystem/language/javascript/bunlock"
	"github.com/google/osv-scalibr/extractor/filesystem/language/javascript/packagejson"
	"github.com/google/osv-scalibr/extractor/filesystem/language/javascript/packagelockjson"
	"github.com/google/osv-scalibr/extractor/filesystem/language/javascript/pnpmlock"
	"github.com/google/osv-scalibr/extractor/filesystem/language/javascript/yarnlock"
	"github.com/google/osv-scalibr/extractor/filesystem/language/julia/manifesttoml"
	"github.com/google/osv-scalibr/extractor/filesystem/language/php/composerlock"
	"github.com/google/osv-scalibr/extractor/filesystem/language/python/pdmlock"
	"github.com/google/osv-scalibr/extractor/filesystem/language/python/pipfilelock"
	"github.com/google/osv-scalibr/extractor/filesystem/language/python/poetrylock"
	"github.com/google/osv-scalibr/extractor/filesystem/language/python/pylock"
	"github.com/google/osv-scalibr/extractor/filesystem/language/python/requirements"
	"github.com/google/osv-scalibr/extractor/filesystem/language/python/uvlock"
	"github.com/google/osv-scalibr/extractor/filesystem/language/python/wheelegg"
	"github.com/google/osv-scalibr/extractor/filesystem/language/r/renvlock"
	"github.com/google/osv-scalibr/extractor/filesystem/language/ruby/gemfilelock"
	"github.com/google/osv-scalibr/extractor/filesystem/language/ruby/gemspec"
	"github.com/google/osv-scalibr/extractor/filesystem/language/rust/cargolock"
	"github.com/google/osv-scalibr/extractor/filesystem/language/swift/packageresolved"
	"github.com/google/osv-scalibr/extractor/filesystem/language/swift/podfilelock"
	scalibrfs "github.com/google/osv-scalibr/fs"

	"github.com/seawall-security/seawall/internal/inventory"
	"github.com/seawall-security/seawall/internal/inventory/all"
	"github.com/seawall-security/seawall/internal/inventory/langpkg/cargo"
	"github.com/seawall-security/seawall/internal/inventory/langpkg/cocoapods"
	"github.com/seawall-security/seawall/internal/inventory/langpkg/composer"
	"github.com/seawall-security/seawall/internal/inventory/langpkg/conan"
	"github.com/seawall-security/seawall/internal/inventory/langpkg/cran"
	"github.com/seawall-security/seawall/internal/inventory/langpkg/gomod"
	"github.com/seawall-security/seawall/internal/inventory/langpkg/hex"
	"github.com/seawall-security/seawall/internal/inventory/langpkg/julia"
	"github.com/seawall-security/seawall/internal/inventory/langpkg/langpkgtest"
	"github.com/seawall-security/seawall/internal/inventory/langpkg/maven"
	"github.com/seawall-security/seawall/internal/inventory/langpkg/npm"
	"github.com/seawall-security/seawall/internal/inventory/langpkg/nuget"
	"github.com/seawall-security/seawall/internal/inventory/langpkg/pub"
	"github.com/seawall-security/seawall/internal/inventory/langpkg/pypi"
	"github.com/seawall-security/seawall/internal/inventory/langpkg/rubygems"
	"github.com/seawall-security/seawall/internal/inventory/langpkg/swift"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// pair is a collector and the osv-scalibr extractor of the same format.
type pair struct {
	ours   inventory.Collector
	path   string // as which ours reads a fixture
	theirs func(*cpb.PluginConfig) (filesystem.Extractor, error)
	// fixtures is the extractor's directory below extractor/filesystem/language.
	fixtures string
}

var pairs = []pair{
	{npm.Installed(), "node_modules/x/package.json", packagejson.New, "javascript/packagejson"},
	{npm.PackageLock(), "package-lock.json", packagelockjson.New, "javascript/packagelockjson"},
	{npm.Yarn(), "yarn.lock", yarnlock.New, "javascript/yarnlock"},
	{npm.PNPM(), "pnpm-lock.yaml", pnpmlock.New, "javascript/pnpmlock"},
	{npm.Bun(), "bun.lock", bunlock.New, "javascript/bunlock"},
	{pypi.Installed(), "x.dist-info/METADATA", wheelegg.New, "python/wheelegg"},
	{pypi.Requirements(), "requirements.txt", requirements.New, "python/requirements"},
	{pypi.Poetry(), "poetry.lock", poetrylock.New, "python/poetrylock"},
	{pypi.PDM(), "pdm.lock", pdmlock.New, "python/pdmlock"},
	{pypi.UV(), "uv.lock", uvlock.New, "python/uvlock"},
	{pypi.Pylock(), "pylock.toml", pylock.New, "python/pylock"},
	{pypi.Pipenv(), "Pipfile.lock", pipfilelock.New, "python/pipfilelock"},
	{gomod.GoMod(), "go.mod", scalibrgomod.New, "golang/gomod"},
	{maven.POM(), "pom.xml", pomxml.New, "java/pomxml"},
	{maven.GradleLock(), "gradle.lockfile", gradlelockfile.New, "java/gradlelockfile"},
	{maven.GradleVerification(), "verification-metadata.xml", gradleverificationmetadataxml.New, "java/gradleverificationmetadataxml"},
	{rubygems.Installed(), "specifications/x.gemspec", gemspec.New, "ruby/gemspec"},
	{rubygems.Lock(), "Gemfile.lock", gemfilelock.New, "ruby/gemfilelock"},
	{cargo.Lock(), "Cargo.lock", cargolock.New, "rust/cargolock"},
	{composer.Lock(), "composer.lock", composerlock.New, "php/composerlock"},
	{nuget.DepsJSON(), "x.deps.json", depsjson.New, "dotnet/depsjson"},
	{nuget.Lock(), "packages.lock.json", packageslockjson.New, "dotnet/packageslockjson"},
	{nuget.PackagesConfig(), "packages.config", packagesconfig.New, "dotnet/packagesconfig"},
	{nuget.Assets(), "project.assets.json", projectassetsjson.New, "dotnet/projectassetsjson"},
	{nuget.Project(), "Directory.Packages.props", nugetcpm.New, "dotnet/nugetcpm"},
	{pub.Lock(), "pubspec.lock", pubspec.New, "dart/pubspec"},
	{swift.Resolved(), "Package.resolved", packageresolved.New, "swift/packageresolved"},
	{cocoapods.Lock(), "Podfile.lock", podfilelock.New, "swift/podfilelock"},
	{hex.Lock(), "mix.lock", elixirlock.New, "elixir/mixlock"},
	{hex.Lock(), "mix.lock", erlanglock.New, "erlang/mixlock"},
	{conan.Lock(), "conan.lock", conanlock.New, "cpp/conanlock"},
	{julia.Manifest(), "Manifest.toml", manifesttoml.New, "julia/manifesttoml"},
	{cran.Lock(), "renv.lock", renvlock.New, "r/renvlock"},
}

// TestReference reads every fixture of osv-scalibr with its extractor and with
// ours and writes down where the two differ. testdata/reference.txt holds the
// differences, each kind explained at its top.
func TestReference(t *testing.T) {
	dir := scalibrDir(t)
	quiet(t)
	var got bytes.Buffer
	fixtures, same := 0, 0
	for _, p := range pairs {
		extractor, err := p.theirs(&cpb.PluginConfig{})
		if err != nil {
			t.Fatal(err)
		}
		root := filepath.Join(dir, "extractor/filesystem/language", p.fixtures, "testdata")
		for _, file := range files(t, root) {
			data, err := os.ReadFile(filepath.Join(root, file))
			if err != nil {
				t.Fatal(err)
			}
			fixtures++
			ours := readOurs(p, data)
			theirs := readTheirs(extractor, root, file)
			if maps.Equal(ours, theirs) {
				same++
				continue
			}
			fmt.Fprintf(&got, "%s/%s\n", p.fixtures, file)
			for _, id := range slices.Sorted(maps.Keys(theirs)) {
				if !ours[id] {
					fmt.Fprintf(&got, "  - %s\n", id)
				}
			}
			for _, id := range slices.Sorted(maps.Keys(ours)) {
				if !theirs[id] {
					fmt.Fprintf(&got, "  + %s\n", id)
				}
			}
		}
	}
	fmt.Fprintf(&got, "%d of %d fixtures are read alike\n", same, fixtures)
	golden(t, "testdata/reference.txt", got.String())
}

// TestRealCargoLock reads the lock file of a real project with both.
func TestRealCargoLock(t *testing.T) {
	root := filepath.Join(scalibrDir(t), "enricher/reachability/rust/testdata/real-rust-project")
	data, err := os.ReadFile(filepath.Join(root, "Cargo.lock"))
	if err != nil {
		t.Fatal(err)
	}
	extractor, err := cargolock.New(&cpb.PluginConfig{})
	if err != nil {
		t.Fatal(err)
	}
	ours, theirs := readOurs(pairOf("language/cargo-lock"), data), readTheirs(extractor, root, "Cargo.lock")
	delete(theirs, "real-vuln-rust-project 0.1.0") // the project itself
	if diff := cmp.Diff(theirs, ours); diff != "" || len(ours) == 0 {
		t.Errorf("%d crates: %s", len(ours), diff)
	}
}

// TestRegistered: every format in the packages below is in inventory/all, once.
func TestRegistered(t *testing.T) {
	registered := map[string]int{}
	for _, c := range all.Collectors() {
		registered[c.Name()]++
	}
	name := regexp.MustCompile(`"(language/[a-z-]+)"`)
	found := 0
	for _, file := range files(t, ".") {
		if !strings.HasSuffix(file, ".go") || strings.HasSuffix(file, "_test.go") || !strings.Contains(file, "/") {
			continue
		}
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range name.FindAllSubmatch(source, -1) {
			if id := string(m[1]); registered[id] != 1 {
				t.Errorf("%s: %s is %d times in inventory/all", file, id, registered[id])
			}
			found++
		}
	}
	if found < 30 {
		t.Errorf("only %d formats found in the source", found)
	}
}

// quiet keeps osv-scalibr from logging what its extractors skip.
func quiet(t testing.TB) {
	log.SetOutput(io.Discard)
	t.Cleanup(func() { log.SetOutput(os.Stderr) })
}

// golden compares got with a golden file, whose lines starting with "#" are explanations.
func golden(t *testing.T, path, got string) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil && !*update {
		t.Fatal(err)
	}
	var notes, want strings.Builder
	for line := range strings.Lines(string(data)) {
		if strings.HasPrefix(line, "#") {
			notes.WriteString(line)
		} else {
			want.WriteString(line)
		}
	}
	if *update {
		if err := os.WriteFile(path, []byte(notes.String()+got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(want.String(), got); diff != "" {
		t.Errorf("%s: %s", path, diff)
	}
}

func scalibrDir(t testing.TB) string {
	t.Helper()
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/google/osv-scalibr").Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

// files lists the regular files below root, slash-separated, in order.
func files(t testing.TB, root string) (all []string) {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, e os.DirEntry, err error) error {
		if err == nil && e.Type().IsRegular() {
			rel, _ := filepath.Rel(root, path)
			all = append(all, filepath.ToSlash(rel))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// readOurs returns the "name version" of all packages, and "error" for one.
func readOurs(p pair, data []byte) map[string]bool {
	ids := map[string]bool{}
	facts, err := p.ours.Collect(context.Background(), langpkgtest.File(p.path, data))
	m := inventory.Merged{Warn: func(string) {}}
	for _, f := range facts {
		if f.Package != nil {
			m.Packages = append(m.Packages, *f.Package)
		} else if f.Config != nil {
			m.Configs = append(m.Configs, *f.Config)
		}
	}
	if j, ok := p.ours.(inventory.Joiner); ok {
		if err := j.Join(context.Background(), &m); err != nil {
			ids["error"] = true
		}
	}
	for _, pkg := range m.Packages {
		ids[strings.ToLower(pkg.Name)+" "+pkg.Version] = true
	}
	if err != nil {
		ids["error"] = true
	}
	return ids
}

// readTheirs does the same with an extractor. Names are compared lower case,
// PyPI's with "-" for "_" and ".", Go's versions with "v".
func readTheirs(extractor filesystem.Extractor, root, file string) map[string]bool {
	ids := map[string]bool{}
	full := filepath.Join(root, file)
	f, err := os.Open(full)
	if err != nil {
		return map[string]bool{"error": true}
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return map[string]bool{"error": true}
	}
	inv, err := extractor.Extract(context.Background(), &filesystem.ScanInput{
		FS: scalibrfs.DirFS(root), Path: file, Root: root, Info: info, Reader: f,
	})
	if err != nil {
		ids["error"] = true
	}
	for _, pkg := range inv.Packages {
		name, version := strings.ToLower(pkg.Name), pkg.Version
		switch pkg.PURLType {
		case "pypi":
			name = strings.NewReplacer("_", "-", ".", "-").Replace(name)
		case "golang":
			if name != "stdlib" {
				version = "v" + version
			}
		}
		ids[name+" "+version] = true
	}
	return ids
}
