package inventory

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/seawall-security/seawall/internal/seawall"
)

// suffixCollector wants one kind of name, as most collectors do, and finds nothing in it.
type suffixCollector struct{ suffix string }

func (c suffixCollector) Name() string { return "test/" + c.suffix }
func (suffixCollector) Version() int   { return 1 }
func (c suffixCollector) Wants(p string, info fs.FileInfo) bool {
	return strings.HasSuffix(p, c.suffix)
}
func (suffixCollector) Collect(context.Context, seawall.File) ([]seawall.Fact, error) {
	return nil, nil
}

func sixtyCollectors() (cs []Collector) {
	for i := range 60 {
		cs = append(cs, suffixCollector{fmt.Sprintf("/name-%d.lock", i)})
	}
	return cs
}

// manyLayer has n entries, made as they are walked.
type manyLayer struct {
	fakeLayer
	n     int
	entry func(i int) seawall.Entry
}

func (l manyLayer) Walk(_ context.Context, visit func(seawall.Entry) error) error {
	for i := range l.n {
		if err := visit(l.entry(i)); err != nil {
			return err
		}
	}
	return nil
}

// BenchmarkWalk is the engine's own cost for a tree of 182,000 files that no
// collector of sixty wants, as a directory and as a layer of an image.
func BenchmarkWalk(b *testing.B) {
	const files = 182_000
	entries := make([]seawall.Entry, files)
	for i := range entries {
		entries[i] = random(fmt.Sprintf("usr/share/package-%d/section-%d/file-%d.txt", i/200, i/20%10, i), "")
	}
	for name, digest := range map[string]string{"directory": "", "layer": "L0"} {
		b.Run(name, func(b *testing.B) {
			l := manyLayer{fakeLayer{digest: digest}, files, func(i int) seawall.Entry { return entries[i] }}
			target := fakeTarget{layers: []seawall.Layer{l}}
			if digest != "" {
				target.layers = append(target.layers, layer("L1"))
			}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Run(b.Context(), target, Options{Collectors: sixtyCollectors()}); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/files, "ns/file")
		})
	}
}

func TestAskingAllocatesNothing(t *testing.T) {
	w := &walk{engine: &engine{Options: Options{Collectors: sixtyCollectors()}}, rec: newRecorder(60, false)}
	e := random("usr/share/doc/x/copyright", "text")
	if n := testing.AllocsPerRun(100, func() {
		if err := w.visit(e); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations for a file nobody wants", n)
	}
}

// TestMillionEntriesNeedLittleMemory bounds what a layer of a million paths leaves behind.
func TestMillionEntriesNeedLittleMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("a million entries take seconds under the race detector")
	}
	const n = 1_000_000
	info := fakeInfo{name: "x"}
	l := manyLayer{fakeLayer{digest: "L0"}, n, func(i int) seawall.Entry {
		return seawall.Entry{Path: fmt.Sprintf("d%d/f%d", i%1000, i), Kind: seawall.EntryFile, Info: info}
	}}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	facts, err := readLayers(t.Context(), []seawall.Layer{l, layer("L1")}, Options{}.withDefaults())
	if err != nil {
		t.Fatal(err)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if len(facts[0].Paths) != n || len(facts[0].Dirs) != 1000 {
		t.Errorf("%d paths, %d directories", len(facts[0].Paths), len(facts[0].Dirs))
	}
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 16<<20 {
		t.Errorf("%d bytes kept for %d paths", grown, n)
	}
	runtime.KeepAlive(facts)
}

func TestTooManyPathsAreRefused(t *testing.T) {
	r := newRecorder(0, true)
	r.paths = slices.Repeat([]uint64{0}, maxPaths+1)
	e := file("x", "")
	if _, err := r.note(&e, 1); err == nil || !strings.Contains(err.Error(), "over a safety bound") {
		t.Errorf("error = %v", err)
	}
}

// TestLinksCannotMultiplyFactsWithoutBound: a lock file and many names for it.
func TestLinksCannotMultiplyFactsWithoutBound(t *testing.T) {
	const packages = 10_000
	entries := []seawall.Entry{file("0.list", strings.Repeat("x 1\n", packages))}
	for i := range maxFacts/packages + 1 {
		entries = append(entries, kind(seawall.EntryHardlink, fmt.Sprint("link", i, ".list"), "0.list"))
	}
	_, err := Run(t.Context(), image(layer("L0", entries...)), Options{Collectors: []Collector{listCollector{}}})
	if !errors.Is(err, seawall.ErrBound) {
		t.Errorf("error = %v", err)
	}
}

// TestDeepPathsAreCountedOnce: each entry implies a thousand directories, all the same.
func TestDeepPathsAreCountedOnce(t *testing.T) {
	r := newRecorder(0, true)
	deep := strings.Repeat("d/", 1000)
	for i := range 100 {
		for _, p := range []string{path.Join(deep, fmt.Sprint(i)), fmt.Sprint(i)} {
			e := file(p, "")
			if _, err := r.note(&e, i); err != nil {
				t.Fatal(err)
			}
		}
	}
	if got, err := r.finish(); err != nil || len(got.Dirs) != 1000 || len(got.Paths) != 200 {
		t.Errorf("%d directories, %d paths", len(got.Dirs), len(got.Paths))
	}
}
