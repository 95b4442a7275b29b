package file_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/seawall-security/seawall/internal/sink/file"
)

func TestRotation(t *testing.T) {
	name := filepath.Join(t.TempDir(), "out")
	if err := os.WriteFile(name, []byte("old "), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := file.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	write := func(text string) {
		t.Helper()
		if _, err := f.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	holds := func(name, want string) {
		t.Helper()
		if got, err := os.ReadFile(name); err != nil || string(got) != want {
			t.Errorf("%s: %q, %v; want %q", filepath.Base(name), got, err, want)
		}
	}
	write("1")
	if err := os.Rename(name, name+".1"); err != nil {
		t.Fatal(err)
	}
	write("2")
	holds(name+".1", "old 1")
	if err := os.Truncate(name, 0); err != nil {
		t.Fatal(err)
	}
	write("3")
	holds(name, "3")
	if err := os.Remove(name); err != nil {
		t.Fatal(err)
	}
	write("4")
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	holds(name, "4")
}

func TestGone(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "d")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	f, err := file.Open(filepath.Join(dir, "out"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write([]byte("1")); err == nil {
		t.Error("written to nowhere")
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write([]byte("2")); err != nil {
		t.Error(err)
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
}
