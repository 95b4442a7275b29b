package inventory

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seawall-security/seawall/internal/seawall"
)

// fakeTarget is an image, or with one layer without a digest a directory.
type fakeTarget struct {
	layers []seawall.Layer
}

func (t fakeTarget) Asset() seawall.Asset {
	return seawall.Asset{ID: "asset", Kind: seawall.AssetImage, Name: "fake"}
}
func (t fakeTarget) Layers() []seawall.Layer { return t.layers }
func (t fakeTarget) Close() error            { return nil }

// fakeLayer lists entries; walkErr ends its walk.
type fakeLayer struct {
	digest  string
	entries []seawall.Entry
	walkErr error
	walks   *atomic.Int32
}

func (l fakeLayer) Info() seawall.LayerInfo { return seawall.LayerInfo{Digest: l.digest} }
func (l fakeLayer) CacheKey() string        { return l.digest }
func (l fakeLayer) Walk(ctx context.Context, visit func(seawall.Entry) error) error {
	if l.walks != nil {
		l.walks.Add(1)
	}
	for _, e := range l.entries {
		if err := visit(e); err != nil {
			return err
		}
	}
	return l.walkErr
}

type fakeInfo struct {
	name string
	size int64
	mode fs.FileMode
}

func (i fakeInfo) Name() string       { return i.name }
func (i fakeInfo) Size() int64        { return i.size }
func (i fakeInfo) Mode() fs.FileMode  { return i.mode }
func (i fakeInfo) ModTime() time.Time { return time.Time{} }
func (i fakeInfo) IsDir() bool        { return i.mode.IsDir() }
func (i fakeInfo) Sys() any           { return nil }

func file(p, content string) seawall.Entry {
	return seawall.Entry{Path: p, Kind: seawall.EntryFile, Info: fakeInfo{path.Base(p), int64(len(content)), 0o644},
		Open: func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(content)), nil }}
}

// readerAt is a random-access content, as of a file in a directory.
type readerAt struct{ *bytes.Reader }

func (readerAt) Close() error { return nil }

func random(p, content string) seawall.Entry {
	e := file(p, content)
	e.Random = true
	e.Open = func() (io.ReadCloser, error) { return readerAt{bytes.NewReader([]byte(content))}, nil }
	return e
}

func kind(k seawall.EntryKind, p, link string) seawall.Entry {
	mode := map[seawall.EntryKind]fs.FileMode{seawall.EntryDir: fs.ModeDir, seawall.EntrySymlink: fs.ModeSymlink}[k]
	return seawall.Entry{Path: p, Kind: k, Link: link, Info: fakeInfo{name: path.Base(p), mode: mode}}
}

func dir(p string) seawall.Entry      { return kind(seawall.EntryDir, p, "") }
func whiteout(p string) seawall.Entry { return kind(seawall.EntryWhiteout, p, "") }
func opaque(p string) seawall.Entry   { return kind(seawall.EntryOpaque, p, "") }

func layer(digest string, entries ...seawall.Entry) fakeLayer {
	return fakeLayer{digest: digest, entries: entries}
}

func image(layers ...fakeLayer) fakeTarget {
	var t fakeTarget
	for _, l := range layers {
		t.layers = append(t.layers, l)
	}
	return t
}

// listCollector reads "name version" lines of files named *.list.
type listCollector struct {
	collect func(f seawall.File) // called first; may panic
}

func (listCollector) Name() string { return "test/list" }
func (listCollector) Version() int { return 1 }
func (listCollector) Wants(p string, info fs.FileInfo) bool {
	return strings.HasSuffix(p, ".list")
}
func (c listCollector) Collect(_ context.Context, f seawall.File) ([]seawall.Fact, error) {
	if c.collect != nil {
		c.collect(f)
	}
	if f.Link != "" {
		return []seawall.Fact{{Config: &seawall.ConfigFact{Kind: "link", Data: map[string]string{"to": f.Link}}}}, nil
	}
	data, err := io.ReadAll(f.Content)
	if err != nil {
		return nil, err
	}
	return parseList(string(data))
}

func parseList(text string) (facts []seawall.Fact, err error) {
	for line := range strings.Lines(text) {
		name, version, ok := strings.Cut(strings.TrimSpace(line), " ")
		if !ok {
			err = fmt.Errorf("bad line %q", line)
			continue
		}
		facts = append(facts, seawall.Fact{Package: &seawall.Package{Name: name, Version: version}})
	}
	return facts, err
}

// seen renders packages as "name version @layer path+path".
func seen(packages []seawall.Package) []string {
	var out []string
	for _, p := range packages {
		s := p.Name + " " + p.Version
		for _, l := range p.Locations {
			s += " " + l.Layer + ":" + l.Path
		}
		out = append(out, s)
	}
	return out
}

func run(t *testing.T, target seawall.Target, o Options) *Result {
	t.Helper()
	res, err := Run(t.Context(), target, o)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

func TestMergeFollowsTheImageSpecification(t *testing.T) {
	tests := []struct {
		name            string
		layers          []fakeLayer
		visible, hidden []string
	}{
		{
			name:    "added above",
			layers:  []fakeLayer{layer("L0", file("a/x.list", "x 1")), layer("L1", file("a/y.list", "y 1"))},
			visible: []string{"x 1 L0:a/x.list", "y 1 L1:a/y.list"},
		},
		{
			name:    "replaced",
			layers:  []fakeLayer{layer("L0", file("x.list", "x 1")), layer("L1", file("x.list", "x 2"))},
			visible: []string{"x 2 L1:x.list"}, hidden: []string{"x 1 L0:x.list"},
		},
		{
			name:   "removed by a whiteout",
			layers: []fakeLayer{layer("L0", file("x.list", "x 1")), layer("L1", whiteout("x.list"))},
			hidden: []string{"x 1 L0:x.list"},
		},
		{
			name:   "removed with a parent",
			layers: []fakeLayer{layer("L0", file("a/b/x.list", "x 1")), layer("L1", whiteout("a"))},
			hidden: []string{"x 1 L0:a/b/x.list"},
		},
		{
			name:    "a whiteout spares its own layer and longer names",
			layers:  []fakeLayer{layer("L0", file("ab/y.list", "y 1")), layer("L1", file("a/x.list", "x 1"), whiteout("a"))},
			visible: []string{"x 1 L1:a/x.list", "y 1 L0:ab/y.list"},
		},
		{
			name:    "opaque directory",
			layers:  []fakeLayer{layer("L0", file("a/b/x.list", "x 1"), file("c/y.list", "y 1")), layer("L1", opaque("a"), file("a/z.list", "z 1"))},
			visible: []string{"z 1 L1:a/z.list", "y 1 L0:c/y.list"}, hidden: []string{"x 1 L0:a/b/x.list"},
		},
		{
			name:   "opaque root",
			layers: []fakeLayer{layer("L0", file("x.list", "x 1")), layer("L1", opaque("."))},
			hidden: []string{"x 1 L0:x.list"},
		},
		{
			name:   "a file replaces a directory",
			layers: []fakeLayer{layer("L0", file("a/b/x.list", "x 1")), layer("L1", file("a", "now a file"))},
			hidden: []string{"x 1 L0:a/b/x.list"},
		},
		{
			name:   "a symbolic link replaces a directory",
			layers: []fakeLayer{layer("L0", file("a/b/x.list", "x 1")), layer("L1", kind(seawall.EntrySymlink, "a/b", "/c"))},
			hidden: []string{"x 1 L0:a/b/x.list"},
		},
		{
			name:   "a directory replaces a file",
			layers: []fakeLayer{layer("L0", file("a.list", "x 1")), layer("L1", dir("a.list"))},
			hidden: []string{"x 1 L0:a.list"},
		},
		{
			name:   "an implied directory replaces a file",
			layers: []fakeLayer{layer("L0", file("a.list", "x 1")), layer("L1", file("a.list/b", ""))},
			hidden: []string{"x 1 L0:a.list"},
		},
		{
			name:    "a directory over a directory keeps what is beneath",
			layers:  []fakeLayer{layer("L0", dir("a"), file("a/x.list", "x 1")), layer("L1", dir("a"))},
			visible: []string{"x 1 L0:a/x.list"},
		},
		{
			name:    "removed, then back",
			layers:  []fakeLayer{layer("L0", file("x.list", "x 1")), layer("L1", whiteout("x.list")), layer("L2", file("x.list", "x 2"))},
			visible: []string{"x 2 L2:x.list"}, hidden: []string{"x 1 L0:x.list"},
		},
		{
			name: "a rewritten database names the layer that brought each package",
			layers: []fakeLayer{
				layer("L0", file("db.list", "a 1\nb 1")),
				layer("L1", file("db.list", "a 1\nb 1\nc 1")),
				layer("L2", file("other", "")),
				layer("L3", file("db.list", "a 1\nb 2\nc 1")),
			},
			visible: []string{"a 1 L0:db.list", "b 2 L3:db.list", "c 1 L1:db.list"},
			hidden:  []string{"b 1 L0:db.list L1:db.list"},
		},
		{
			name: "a package that was gone in between came back with the later layer",
			layers: []fakeLayer{
				layer("L0", file("db.list", "a 1")), layer("L1", file("db.list", "b 1")), layer("L2", file("db.list", "a 1\nb 1")),
			},
			visible: []string{"a 1 L2:db.list", "b 1 L1:db.list"},
		},
		{
			name: "a database removed and made anew is of the later layer",
			layers: []fakeLayer{
				layer("L0", file("d/db.list", "a 1")), layer("L1", whiteout("d")), layer("L2", file("d/db.list", "a 1")),
			},
			visible: []string{"a 1 L2:d/db.list"},
		},
		{
			name:    "a path stored twice is what the last entry says",
			layers:  []fakeLayer{layer("L0", file("x.list", "x 1"), file("x.list", "x 2"))},
			visible: []string{"x 2 L0:x.list"},
		},
		{
			name:    "several places make one package",
			layers:  []fakeLayer{layer("L0", file("b.list", "x 1")), layer("L1", file("a.list", "x 1\nx 1"))},
			visible: []string{"x 1 L1:a.list L0:b.list"},
		},
		{
			name:    "a hard link is found under both names",
			layers:  []fakeLayer{layer("L0", file("x.list", "x 1"), kind(seawall.EntryHardlink, "y.list", "x.list"))},
			visible: []string{"x 1 L0:x.list L0:y.list"},
		},
		{
			name: "a hard link outlives its target",
			layers: []fakeLayer{
				layer("L0", file("x.list", "x 1"), kind(seawall.EntryHardlink, "y.list", "x.list"), kind(seawall.EntryHardlink, "z.list", "y.list")),
				layer("L1", whiteout("x.list"), whiteout("y.list")),
			},
			visible: []string{"x 1 L0:z.list"}, hidden: []string{"x 1 L0:x.list L0:y.list"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			res := run(t, image(tt.layers...), Options{Collectors: []Collector{listCollector{}}})
			if diff := cmp.Diff(tt.visible, seen(res.Packages)); diff != "" {
				t.Errorf("visible (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tt.hidden, seen(res.Hidden)); diff != "" {
				t.Errorf("hidden (-want +got):\n%s", diff)
			}
		})
	}
}
