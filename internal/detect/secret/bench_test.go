package secret

import (
	"bytes"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// BenchmarkSearch measures mixed text: the Go source tree, in memory.
func BenchmarkSearch(b *testing.B) {
	e, err := newEngine(nil)
	if err != nil {
		b.Fatal(err)
	}
	type file struct {
		path string
		data []byte
	}
	var files []file
	total := int64(0)
	root := os.Getenv("SEAWALL_BENCH_DIR")
	if root == "" {
		goroot, err := exec.Command("go", "env", "GOROOT").Output()
		if err != nil {
			b.Fatal(err)
		}
		root = filepath.Join(strings.TrimSpace(string(goroot)), "src")
	}
	err = filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || total > 200<<20 {
			return err
		}
		if skipped(p) || archiveKind(p) != notArchive {
			return nil
		}
		data, err := os.ReadFile(p)
		total += int64(len(data))
		files = append(files, file{p[len(root)+1:], data})
		return err
	})
	if err != nil {
		b.Fatal(err)
	}
	buf := make([]byte, 0, bufferSize)
	b.SetBytes(total)
	b.ReportAllocs()
	for b.Loop() {
		hits := 0
		for _, f := range files {
			s := e.newSearch(f.path, buf)
			if err := s.readFrom(bytes.NewReader(f.data)); err != nil {
				b.Fatal(err)
			}
			hits += len(s.matches(""))
		}
		b.ReportMetric(float64(hits), "hits")
	}
}

// BenchmarkNew measures what a scan pays before its first file.
func BenchmarkNew(b *testing.B) {
	for b.Loop() {
		if _, _, err := New(Options{}); err != nil {
			b.Fatal(err)
		}
	}
}
