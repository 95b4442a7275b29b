package scan

import (
	"archive/tar"
	"bufio"
	"context"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/klauspost/compress/gzip"

	inventoryall "github.com/seawall-security/seawall/internal/inventory/all"
	"github.com/seawall-security/seawall/internal/scan/cache"
	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/source"
	sourceall "github.com/seawall-security/seawall/internal/source/all"
)

// benchInput is the measured image or tree: SEAWALL_BENCH, or what
// shared/bench-image/make-image put into /tmp/bench.
func benchInput(b *testing.B, name string) string {
	b.Helper()
	dir := os.Getenv("SEAWALL_BENCH")
	if dir == "" {
		dir = "/tmp/bench"
	}
	path := filepath.Join(dir, name)
	if _, err := os.Stat(path); err != nil {
		b.Skipf("no bench input: %v", err)
	}
	return path
}

type discard struct{}

func (discard) Handle(context.Context, seawall.Message) error { return nil }

func benchScan(b *testing.B, name string, cfg Config) {
	b.Helper()
	cfg.Collectors = inventoryall.Collectors()
	target := Target{name, func(ctx context.Context) (seawall.Target, error) {
		return sourceall.Open(ctx, name, source.Options{})
	}}
	for b.Loop() {
		out, err := Run(b.Context(), cfg, []Target{target}, discard{})
		if err != nil || len(out.Errors) > 0 {
			b.Fatal(err, out.Errors)
		}
		b.ReportMetric(float64(out.Packages), "packages")
	}
}

func BenchmarkColdImage(b *testing.B) {
	benchScan(b, "oci:"+benchInput(b, "big"), Config{})
}

func BenchmarkCachedImage(b *testing.B) {
	name := "oci:" + benchInput(b, "big")
	c, err := cache.Open(b.TempDir(), 0)
	if err != nil {
		b.Fatal(err)
	}
	cfg := Config{Cache: c, Collectors: inventoryall.Collectors()}
	target := Target{name, func(ctx context.Context) (seawall.Target, error) {
		return sourceall.Open(ctx, name, source.Options{})
	}}
	if _, err := Run(b.Context(), cfg, []Target{target}, discard{}); err != nil {
		b.Fatal(err)
	}
	benchScan(b, name, cfg)
}

func BenchmarkRootFS(b *testing.B) {
	benchScan(b, "rootfs:"+benchInput(b, "rootfs"), Config{})
}

// BenchmarkInflateOnly is the limit a cold scan is measured against: the same
// layers inflated in parallel and walked, and nothing else.
func BenchmarkInflateOnly(b *testing.B) {
	dir := benchInput(b, "big")
	blobs := layerBlobs(b, dir)
	for b.Loop() {
		var all sync.WaitGroup
		for _, blob := range blobs {
			all.Go(func() {
				if err := inflate(blob); err != nil {
					b.Error(err)
				}
			})
		}
		all.Wait()
	}
}

func inflate(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	z, err := gzip.NewReader(bufio.NewReaderSize(f, 1<<20))
	if err != nil {
		return err
	}
	t := tar.NewReader(z)
	for {
		if _, err := t.Next(); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
	}
}

// layerBlobs are the files of the layers of the only image of an OCI layout.
func layerBlobs(b *testing.B, dir string) (paths []string) {
	b.Helper()
	var index struct{ Manifests, Layers []struct{ Digest string } }
	readJSON(b, filepath.Join(dir, "index.json"), &index)
	blob := func(digest string) string {
		return filepath.Join(dir, "blobs", strings.ReplaceAll(digest, ":", "/"))
	}
	readJSON(b, blob(index.Manifests[0].Digest), &index)
	for _, l := range index.Layers {
		paths = append(paths, blob(l.Digest))
	}
	return paths
}

func readJSON(b *testing.B, path string, v any) {
	b.Helper()
	data, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(data, v)
	}
	if err != nil {
		b.Fatal(err)
	}
}
