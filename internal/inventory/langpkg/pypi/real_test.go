package pypi

import (
	"archive/zip"
	"encoding/json"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seawall-security/seawall/internal/inventory/langpkg/langpkgtest"
	"github.com/seawall-security/seawall/internal/testenv"
)

// TestRealPip installs two wheels with pip and compares with what pip lists.
func TestRealPip(t *testing.T) {
	python := testenv.Tool(t, "python3")
	if err := exec.Command(python, "-m", "pip", "--version").Run(); err != nil {
		testenv.Tool(t, "pip3") // says that it is missing
		t.Fatalf("python3 -m pip: %v", err)
	}
	dir := t.TempDir()
	site := filepath.Join(dir, "site-packages")
	args := []string{"-m", "pip", "install", "--quiet", "--no-index", "--no-cache-dir", "--disable-pip-version-check", "--target", site,
		wheel(t, dir, "Foo_Bar", "1.0.post1"), wheel(t, dir, "plain", "2.0rc1")}
	cmd := exec.Command(python, args...)
	cmd.Env = append(os.Environ(), "HOME="+dir)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("pip install: %v\n%s", err, out)
	}
	out, err := exec.Command(python, "-m", "pip", "list", "--disable-pip-version-check", "--path", site, "--format", "json").Output()
	if err != nil {
		t.Fatalf("pip list: %v", err)
	}
	var listed []struct{ Name, Version string }
	if err := json.Unmarshal(out, &listed); err != nil {
		t.Fatal(err)
	}
	var want, got []string
	for _, p := range listed {
		want = append(want, p.Name+" "+p.Version)
	}
	slices.Sort(want)
	if diff := cmp.Diff([]string{"Foo_Bar 1.0.post1", "plain 2.0rc1"}, want); diff != "" {
		t.Fatalf("pip list: %s", diff)
	}
	err = fs.WalkDir(os.DirFS(dir), "site-packages", func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || !Installed().Wants(path, nil) {
			return err
		}
		data, err := os.ReadFile(filepath.Join(dir, path))
		for _, p := range langpkgtest.Packages(t, Installed(), path, string(data)) {
			got = append(got, p.Name+" "+p.Version)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"foo-bar 1.0.post1", "plain 2.0rc1"}, got); diff != "" {
		t.Error(diff)
	}
}

// wheel builds the smallest wheel pip takes.
func wheel(t *testing.T, dir, name, version string) string {
	t.Helper()
	info := name + "-" + version + ".dist-info/"
	path := filepath.Join(dir, name+"-"+version+"-py3-none-any.whl")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	zw := zip.NewWriter(f)
	for _, file := range [][2]string{
		{name + ".py", "x = 1\n"},
		{info + "METADATA", "Metadata-Version: 2.1\nName: " + name + "\nVersion: " + version + "\n"},
		{info + "WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"},
		{info + "RECORD", name + ".py,,\n" + info + "METADATA,,\n" + info + "WHEEL,,\n" + info + "RECORD,,\n"},
	} {
		w, err := zw.Create(file[0])
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(file[1])); err != nil {
			t.Fatal(err)
		}
	}
	if err := zw.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}
