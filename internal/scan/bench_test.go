package scan

import (
	"context"
	"os"
	"path/filepath"
	"testing"

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
	target := Target{Name: name, Open: func(ctx context.Context, _ func(seawall.Progress)) (seawall.Target, error) {
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
	target := Target{Name: name, Open: func(ctx context.Context, _ func(seawall.Progress)) (seawall.Target, error) {
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
