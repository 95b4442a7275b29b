package image_test

import (
	"bufio"
	"io"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/klauspost/compress/gzip"

	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/source"
	"github.com/seawall-security/seawall/internal/source/archive"
)

// bigImage is the image of DESIGN section 10; SEAWALL_BENCH_IMAGE names another layout.
func bigImage(b *testing.B) string {
	dir := os.Getenv("SEAWALL_BENCH_IMAGE")
	if dir == "" {
		dir = "/tmp/bench/big"
	}
	if _, err := os.Stat(filepath.Join(dir, "index.json")); err != nil {
		b.Skipf("no OCI layout in %s: make one with shared/bench-image/make-image, or set SEAWALL_BENCH_IMAGE", dir)
	}
	return dir
}

// BenchmarkLayerWalk walks all layers at once, opening nothing, with digests
// verified; compare with BenchmarkInflateOnly.
func BenchmarkLayerWalk(b *testing.B) {
	dir := bigImage(b)
	b.ReportAllocs()
	for b.Loop() {
		t, err := archive.Layout{}.Open(b.Context(), dir, source.Options{})
		if err != nil {
			b.Fatal(err)
		}
		var wg sync.WaitGroup
		for _, l := range t.Layers() {
			wg.Go(func() {
				if err := l.Walk(b.Context(), func(seawall.Entry) error { return nil }); err != nil {
					b.Error(err)
				}
			})
		}
		wg.Wait()
		t.Close()
	}
}

// BenchmarkInflateOnly is the limit: gzip alone, all layers at once, nothing verified or parsed.
func BenchmarkInflateOnly(b *testing.B) {
	dir := bigImage(b)
	blobs, err := filepath.Glob(filepath.Join(dir, "blobs/sha256/*"))
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		var wg sync.WaitGroup
		for _, name := range blobs {
			wg.Go(func() {
				if err := inflateFile(name); err != nil {
					b.Error(err)
				}
			})
		}
		wg.Wait()
	}
}

func inflateFile(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	r := bufio.NewReaderSize(f, 1<<20)
	if magic, _ := r.Peek(2); string(magic) != "\x1f\x8b" {
		return nil // a manifest
	}
	z, err := gzip.NewReader(r)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, z)
	return err
}
