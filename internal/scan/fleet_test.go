package scan

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seawall-security/seawall/internal/inventory"
	"github.com/seawall-security/seawall/internal/scan/cache"
	"github.com/seawall-security/seawall/internal/seawall"
)

// counting counts how often a file was collected. The shared layer's is held back
// until several images that have it are open and had time to ask for it.
type counting struct {
	words
	collected, open *atomic.Int64
}

func (c counting) Collect(ctx context.Context, f seawall.File) ([]seawall.Fact, error) {
	c.collected.Add(1)
	for f.Path == "a" && c.open.Load() < 4 && ctx.Err() == nil {
		time.Sleep(time.Millisecond)
	}
	if f.Path == "a" {
		time.Sleep(20 * time.Millisecond)
	}
	return c.words.Collect(ctx, f)
}

// sharedLayer can be cached.
type sharedLayer struct{ memLayer }

func (l sharedLayer) CacheKey() string { return "sha256:shared" }

// member is an image of one shared layer and one of its own.
type member struct{ memTarget }

func (m member) Layers() []seawall.Layer {
	layers := m.memTarget.Layers()
	layers[0] = sharedLayer{layers[0].(memLayer)}
	return layers
}

func TestFleet(t *testing.T) {
	const n = 12
	var collected, open atomic.Int64
	var members []Target
	for i := range n {
		img := member{memTarget{name: fmt.Sprint("image", i), layers: []map[string]string{{"a": "alpha 1"}, {"b": fmt.Sprint("own ", i)}}}}
		members = append(members, Target{Name: img.name, Open: func(context.Context, func(seawall.Progress)) (seawall.Target, error) {
			open.Add(1)
			if i == 5 {
				return nil, fmt.Errorf("image5: gone: %w", fs.ErrNotExist)
			}
			return img, nil
		}})
	}
	asked := false
	registry := Target{Name: "registry", Open: opened(memTarget{name: "registry"}), Members: func() []Target { asked = true; return members }}
	after := Target{Name: "after", Open: func(context.Context, func(seawall.Progress)) (seawall.Target, error) {
		if !asked {
			t.Error("opened before what comes before it was known")
		}
		return memTarget{name: "after"}, nil
	}}
	store, err := cache.Open(t.TempDir(), 0)
	if err != nil {
		t.Fatal(err)
	}
	var h recorded
	out, err := Run(t.Context(), Config{Collectors: []inventory.Collector{counting{collected: &collected, open: &open}}, Cache: store, Parallel: 4}, []Target{registry, after}, &h)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"asset registry"}
	for i := range n {
		if i != 5 {
			want = append(want, fmt.Sprint("asset image", i))
		}
	}
	want = append(want, "asset after")
	got := slices.DeleteFunc(h.lines(), func(l string) bool { return len(l) < 6 || l[:6] != "asset " })
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("order (-want +got):\n%s", diff)
	}
	if out.Assets != n+1 || len(out.Errors) != 1 || !errors.Is(out.Errors[0], fs.ErrNotExist) || out.Packages != 2*(n-1) {
		t.Errorf("outcome %+v", out)
	}
	if got := collected.Load(); got != 1+n-1 {
		t.Errorf("%d files collected, want %d: the shared layer once", got, n)
	}
}

// TestFleetStops: the first error of the handler ends all targets under way, and they are closed.
func TestFleetStops(t *testing.T) {
	var targets []Target
	open := new(atomic.Int64)
	for i := range 6 {
		targets = append(targets, Target{Name: fmt.Sprint(i), Open: func(context.Context, func(seawall.Progress)) (seawall.Target, error) {
			open.Add(1)
			return closing{memTarget{name: fmt.Sprint(i), layers: []map[string]string{{"a": "alpha 1"}}}, open}, nil
		}})
	}
	_, err := Run(t.Context(), Config{Collectors: []inventory.Collector{words{}}, Parallel: 3}, targets, &recorded{failAt: 3})
	if err == nil || err.Error() != "disk full" {
		t.Errorf("error = %v", err)
	}
	if n := open.Load(); n != 0 {
		t.Errorf("%d targets left open", n)
	}
}

type closing struct {
	memTarget
	open *atomic.Int64
}

func (c closing) Close() error { c.open.Add(-1); return nil }
