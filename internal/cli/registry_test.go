package cli_test

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/seawall-security/seawall/internal/cli"
	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/source/sourcetest"
)

// layerWith is a layer of one file.
func layerWith(t *testing.T, path, content string) v1.Layer {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	if err := w.WriteHeader(&tar.Header{Name: path, Mode: 0o644, Size: int64(len(content))}); err != nil {
		t.Fatal(err)
	}
	_, _ = io.WriteString(w, content)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	l, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b.Bytes())), nil })
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func npmLock(name, version string) string {
	return fmt.Sprintf(`{"name":"app","version":"1.0.0","lockfileVersion":3,"packages":{"":{"name":"app"},"node_modules/%s":{"version":"%s"}}}`, name, version)
}

// TestScanRegistry: a real registry that is wide open, with three images on one
// vulnerable layer, from listing to report and exit code.
func TestScanRegistry(t *testing.T) {
	host, _ := sourcetest.OpenRegistry(t)
	home := t.TempDir()
	t.Setenv("HOME", home) // the login files of go-containerregistry's keychain
	t.Setenv("DOCKER_CONFIG", home)
	t.Setenv("REGISTRY_AUTH_FILE", "")
	t.Setenv("XDG_RUNTIME_DIR", "")
	t.Setenv("TMPDIR", t.TempDir())
	base := layerWith(t, "base/package-lock.json", npmLock("lodash", "4.17.4"))
	for i := range 3 {
		img, err := mutate.AppendLayers(empty.Image, base, layerWith(t, "app/package-lock.json", npmLock("minimist", fmt.Sprint("0.0.", i))))
		if err != nil {
			t.Fatal(err)
		}
		cfg, err := img.ConfigFile()
		if err != nil {
			t.Fatal(err)
		}
		cfg.OS, cfg.Architecture, cfg.Created = "linux", "amd64", v1.Time{Time: time.Date(2026, 11, 1+i, 0, 0, 0, 0, time.UTC)}
		if img, err = mutate.ConfigFile(img, cfg); err != nil {
			t.Fatal(err)
		}
		for _, tag := range []string{fmt.Sprint("v1.", i), "latest"} {
			ref, err := name.ParseReference(host + "/team/app:" + tag)
			if err != nil {
				t.Fatal(err)
			}
			if err := remote.Write(ref, img); err != nil {
				t.Fatal(err)
			}
		}
	}
	cache := t.TempDir()
	run := func(args ...string) (code int, stdout, stderr string) {
		var out, errs bytes.Buffer
		code = cli.Run(t.Context(), cli.Invocation{
			Args:    append([]string{"scan", "registry", host + "/team", "--cache-dir", cache, "--platform", "linux/amd64"}, args...),
			Environ: []string{"HOME=" + home}, Stdin: strings.NewReader(""), Stdout: &out, Stderr: &errs, Version: "test",
			Now: func() time.Time { return time.Date(2026, 11, 21, 0, 0, 0, 0, time.UTC) },
		})
		return code, out.String(), errs.String()
	}
	code, out, errs := run("--format", "json", "--fail-on", "critical")
	if code != 1 {
		t.Fatalf("exit %d: %s", code, errs)
	}
	var r seawall.Report
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		t.Fatal(err)
	}
	if r.Asset.Kind != seawall.AssetRegistry || r.Asset.Name != host || len(r.Assets) != 3 {
		t.Fatalf("asset %+v, %d others", r.Asset, len(r.Assets))
	}
	if tags := r.Assets[0].Image.RepoTags; !slices.Equal(tags, []string{host + "/team/app:v1.2", host + "/team/app:latest"}) {
		t.Errorf("tags of the newest: %v", tags)
	}
	failing := map[string]int{}
	for _, f := range r.Findings {
		if f.Status == seawall.StatusFail {
			failing[f.Rule]++
		}
	}
	for rule, n := range map[string]int{"SW-REG-001": 1, "SW-REG-006": 1, "SW-REG-007": 1, "SW-REG-008": 1, "SW-REG-011": 1, "SW-REG-013": 3} {
		if failing[rule] != n {
			t.Errorf("%s fails %d times, want %d", rule, failing[rule], n)
		}
	}

	if _, out, _ := run("--scanners", "secret", "--format", "table"); !strings.Contains(out, "SW-REG-008") || strings.Contains(out, "lodash") {
		t.Errorf("the audit depends on the scanners:\n%s", out)
	}
	code, out, errs = run("--newest", "2", "--write-probe", "--no-cache", "--format", "table")
	if code != 0 {
		t.Errorf("exit %d: %s", code, errs)
	}
	for _, want := range []string{"SW-REG-009 Anybody can delete images", "ACROSS IMAGES", "lodash 4.17.4", "in 2 images: " + host + "/team/app:v1.2, ", "SHARED LAYERS", "IMAGES (2)"} {
		if !strings.Contains(strings.Join(strings.Fields(out), " "), want) {
			t.Errorf("the table lacks %q:\n%s", want, out)
		}
	}
	if left, err := os.ReadDir(os.Getenv("TMPDIR")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}
