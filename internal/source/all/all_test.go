package all_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/source"
	"github.com/seawall-security/seawall/internal/source/all"
	"github.com/seawall-security/seawall/internal/source/sourcetest"
)

// place makes a working directory with an image in several forms.
func place(t *testing.T) {
	t.Helper()
	dir := t.TempDir()
	t.Chdir(dir)
	img := sourcetest.Image(t, "amd64")
	if err := tarball.WriteToFile("image.tar", name.MustParseReference("app:v1").(name.Tag), img); err != nil {
		t.Fatal(err)
	}
	p, err := layout.Write("layout", empty.Index)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.AppendImage(img); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("tar", "-C", "layout", "-cf", "oci.tar", ".").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for file, content := range map[string]string{"go.mod": "module x\n", "nginx": "x", "plain/a": ""} {
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func TestOpen(t *testing.T) {
	place(t)
	for name, kind := range map[string]seawall.AssetKind{
		"./image.tar": seawall.AssetImage, "image.tar": seawall.AssetImage, "docker-archive:image.tar": seawall.AssetImage,
		"./image.tar:v1": seawall.AssetImage, "oci.tar": seawall.AssetImage, "oci-archive:oci.tar": seawall.AssetImage,
		"./layout": seawall.AssetImage, "oci:layout": seawall.AssetImage,
		"rootfs:plain": seawall.AssetRootFS, "fs:plain": seawall.AssetFS, "fs:go.mod": seawall.AssetFS, "host:plain": seawall.AssetHost,
	} {
		t.Run(name, func(t *testing.T) {
			target, err := all.Open(t.Context(), name, source.Options{Offline: true})
			if err != nil {
				t.Fatal(err)
			}
			defer target.Close()
			if got := target.Asset().Kind; got != kind {
				t.Errorf("kind = %s, want %s", got, kind)
			}
		})
	}
}

func TestErrors(t *testing.T) {
	place(t)
	for _, tt := range []struct {
		name  string
		class error
		words []string
	}{
		{"", seawall.ErrUsage, []string{"no target"}},
		{"tar:./image.tar", seawall.ErrUsage, []string{`"tar:"`, "docker-archive:", "oci:"}},
		{"https://example.com/app", seawall.ErrUsage, []string{`"https:"`}},
		{"./absent.tar", seawall.ErrUnreadable, []string{"no such file", "nginx:1.27"}},
		{"./plain", seawall.ErrUnreadable, []string{"scan rootfs ./plain"}},
		{"./go.mod", seawall.ErrUnreadable, []string{"scan fs ./go.mod"}},
		{"nginx", seawall.ErrUnreadable, []string{"offline"}}, // a reference, though there is a file of that name
		{"layout", seawall.ErrUnreadable, []string{"did you mean oci:layout?"}},
		{"oci:image.tar", seawall.ErrUnreadable, []string{"docker-archive:image.tar"}},
		{"docker-archive:layout", seawall.ErrUnreadable, []string{"oci:layout"}},
		{"rootfs:image.tar", seawall.ErrUnreadable, []string{"docker-archive:image.tar"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := all.Open(t.Context(), tt.name, source.Options{Offline: true})
			sourcetest.WantError(t, err, tt.class, tt.words...)
		})
	}
}

// TestSchemes: no scheme is taken twice.
func TestSchemes(t *testing.T) {
	seen := map[string]bool{}
	for _, op := range all.Openers() {
		for _, s := range op.Schemes() {
			if seen[s] {
				t.Errorf("%s: taken twice", s)
			}
			seen[s] = true
		}
	}
	for _, s := range []string{"oci", "oci-archive", "docker-archive", "docker", "containerd", "rootfs", "fs", "host", "sbom"} {
		if !seen[s] {
			t.Errorf("%s: nobody takes it", s)
		}
	}
}
