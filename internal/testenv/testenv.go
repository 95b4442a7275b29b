// Package testenv gives tests what lies outside the repository: the shared
// sample data beside it, tools of the distribution, root. Where something is
// missing the test is skipped with a printed reason; with CI=true it fails
// instead, so that nothing is left out unseen.
package testenv

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
)

// Shared returns the path of rel under ../shared, seen from the module root.
func Shared(t testing.TB, rel string) string {
	t.Helper()
	path := filepath.Join(moduleRoot(t), "..", "shared", filepath.FromSlash(rel))
	if _, err := os.Stat(path); err != nil {
		missing(t, "no shared data: %v", err)
	}
	return path
}

// Tool returns the path of an installed program.
func Tool(t testing.TB, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		missing(t, "no %s on PATH: %v", name, err)
	}
	return path
}

// Linux skips unless the test runs on Linux.
func Linux(t testing.TB) {
	t.Helper()
	if runtime.GOOS != "linux" {
		missing(t, "needs Linux")
	}
}

// Root skips unless the test runs as root.
func Root(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		missing(t, "needs root")
	}
}

func missing(t testing.TB, format string, args ...any) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf(format, args...)
	}
	t.Skipf(format, args...)
}

func moduleRoot(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			t.Fatal("no go.mod above the test")
		}
		dir = parent
	}
}
