package npm

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seawall-security/seawall/internal/inventory/langpkg/langpkgtest"
	"github.com/seawall-security/seawall/internal/testenv"
)

// released is what the test's registry holds: "name@version" and what it needs.
var released = map[string]map[string]string{
	"left@1.2.3":         {"deep": "^1.0.0", "@scope/inner": "^2.0.0"},
	"deep@1.0.0":         nil,
	"deep@2.0.0":         nil,
	"@scope/inner@1.0.0": nil,
	"@scope/inner@2.1.0": nil,
	"tool@5.0.0-rc.1":    {"deep": "^2.0.0", "only-tools": "*"},
	"only-tools@0.1.0":   nil,
}

// project is installed with a dependency of each kind.
var project = map[string]string{
	"package.json": `{"name": "app", "version": "1.0.0", "private": true, "workspaces": ["packages/*"],
		"dependencies": {"left": "^1.0.0", "old": "npm:deep@^2.0.0", "local": "file:./vendor/local"},
		"devDependencies": {"tool": "^5.0.0-rc.1"}}`,
	"packages/member/package.json": `{"name": "member", "version": "9.0.0", "dependencies": {"@scope/inner": "^1.0.0"}}`,
	"vendor/local/package.json":    `{"name": "local", "version": "9.0.0"}`,
}

// TestRealNPM installs a project with npm from a registry on the loopback, with
// each version of the lock file, and compares with what npm says it installed.
func TestRealNPM(t *testing.T) {
	npm := testenv.Tool(t, "npm")
	server := registry(t)
	for version := 1; version <= 3; version++ {
		dir, home := t.TempDir(), t.TempDir()
		run := func(args ...string) string {
			cmd := exec.Command(npm, args...)
			cmd.Dir = dir
			cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + home, "npm_config_registry=" + server,
				"npm_config_cache=" + filepath.Join(home, "cache"), "npm_config_update_notifier=false"}
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Fatalf("npm %v: %v\n%s", args, err, out)
			}
			return string(out)
		}
		for name, text := range project {
			write(t, filepath.Join(dir, name), text)
		}
		run("install", "--no-audit", "--no-fund", "--ignore-scripts", fmt.Sprint("--lockfile-version=", version))

		want := fromRegistry(run("ls", "--all", "--parseable", "--long"))
		if len(want) < 7 {
			t.Fatalf("npm installed only %v", want)
		}
		if diff := cmp.Diff(want, installedIn(t, dir)); diff != "" {
			t.Errorf("node_modules: %s", diff)
		}
		production := fromRegistry(run("ls", "--all", "--parseable", "--long", "--omit=dev"))
		for _, lock := range []string{"package-lock.json", "node_modules/.package-lock.json"} {
			data, err := os.ReadFile(filepath.Join(dir, lock))
			if err != nil {
				t.Fatal(err)
			}
			var all, productive []string
			for _, p := range langpkgtest.Packages(t, PackageLock(), lock, string(data)) {
				id := p.Name + "@" + p.Version
				all = append(all, id)
				if !p.Dev {
					productive = append(productive, id)
				}
				if line := strings.Split(string(data), "\n")[p.Locations[0].Line-1]; !strings.HasSuffix(line, "{") {
					t.Errorf("%s: %s is said to start at %q", lock, id, line)
				}
			}
			if diff := cmp.Diff(want, unique(all)); diff != "" {
				t.Errorf("%s, version %d: %s", lock, version, diff)
			}
			if diff := cmp.Diff(production, unique(productive)); diff != "" {
				t.Errorf("%s, version %d, without development: %s", lock, version, diff)
			}
		}
	}
}

// fromRegistry reads "path:name@version…" lines of npm ls, keeping what the registry holds.
func fromRegistry(out string) (all []string) {
	for line := range strings.Lines(out) {
		for _, field := range strings.Split(strings.TrimSpace(line), ":") {
			if _, ok := released[field]; ok {
				all = append(all, field)
			}
		}
	}
	return unique(all)
}

// installedIn walks a project and collects what Installed wants.
func installedIn(t *testing.T, dir string) (all []string) {
	t.Helper()
	err := fs.WalkDir(os.DirFS(dir), ".", func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() || !Installed().Wants(path, nil) {
			return err
		}
		data, err := os.ReadFile(filepath.Join(dir, path))
		for _, p := range langpkgtest.Packages(t, Installed(), path, string(data)) {
			all = append(all, p.Name+"@"+p.Version)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return unique(all)
}

func unique(ids []string) []string {
	slices.Sort(ids)
	return slices.Compact(ids)
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// registry serves the packages of released as an npm registry does.
func registry(t *testing.T) string {
	tarballs := map[string][]byte{}
	packages := map[string]map[string]any{}
	mux := http.NewServeMux()
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	for id, needs := range released {
		at := strings.LastIndexByte(id, '@')
		name, version := id[:at], id[at+1:]
		manifest := map[string]any{"name": name, "version": version, "license": "MIT", "dependencies": needs}
		path := fmt.Sprintf("/-/%s.tgz", strings.NewReplacer("@", "", "/", "-").Replace(id))
		tarballs[path] = tarball(t, manifest)
		sum := sha512.Sum512(tarballs[path])
		manifest["dist"] = map[string]string{"tarball": server.URL + path, "integrity": "sha512-" + base64.StdEncoding.EncodeToString(sum[:])}
		if packages[name] == nil {
			packages[name] = map[string]any{}
		}
		packages[name][version] = manifest
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		if data, ok := tarballs[r.URL.Path]; ok {
			_, _ = w.Write(data)
			return
		}
		name := strings.TrimPrefix(r.URL.Path, "/") // "/" of a scope arrives as %2f, decoded
		versions, ok := packages[name]
		if !ok {
			http.NotFound(w, r)
			return
		}
		latest := ""
		for v := range versions {
			latest = max(latest, v)
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"name": name, "versions": versions, "dist-tags": map[string]string{"latest": latest}})
	})
	return server.URL
}

func tarball(t *testing.T, manifest map[string]any) []byte {
	t.Helper()
	text, err := json.MarshalIndent(manifest, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	var buf bytes.Buffer
	gz := gzip.NewWriter(&buf)
	tw := tar.NewWriter(gz)
	for name, data := range map[string][]byte{"package/package.json": text, "package/esm/package.json": []byte(`{"type":"module"}`)} {
		if err := tw.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(data))}); err != nil {
			t.Fatal(err)
		}
		if _, err := tw.Write(data); err != nil {
			t.Fatal(err)
		}
	}
	if err := tw.Close(); err != nil {
		t.Fatal(err)
	}
	if err := gz.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}
