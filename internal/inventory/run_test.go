package inventory

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"github.com/seawall-security/seawall/internal/seawall"
)

// sumCollector wants *.bin and reports its length and first and last bytes in
// every way a collector may read, so that a wrong page or window shows.
type sumCollector struct{ name string }

func (c sumCollector) Name() string                        { return c.name }
func (sumCollector) Version() int                          { return 1 }
func (sumCollector) Wants(p string, info fs.FileInfo) bool { return strings.HasSuffix(p, ".bin") }
func (c sumCollector) Collect(_ context.Context, f seawall.File) ([]seawall.Fact, error) {
	all, err := io.ReadAll(iotest.OneByteReader(io.LimitReader(f.Content, 1000)))
	if err != nil {
		return nil, err
	}
	if _, err := f.Content.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	if err := iotest.TestReader(io.LimitReader(f.Content, 1000), all); err != nil {
		return nil, err
	}
	tail := make([]byte, min(f.Content.Size(), pageSize+1))
	if n, err := f.Content.ReadAt(tail, f.Content.Size()-int64(len(tail))); n != len(tail) || err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("tail: %d bytes, %w", n, err)
	}
	if n, err := f.Content.ReadAt(make([]byte, 1), f.Content.Size()); n != 0 || !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("read at the end: %d, %w", n, err)
	}
	return packageFacts(c.name, f.Content.Size(), tail), nil
}

func packageFacts(name string, size int64, tail []byte) []seawall.Fact {
	return []seawall.Fact{{Package: &seawall.Package{Name: name, Version: fmt.Sprintf("%d %x", size, tail[max(0, len(tail)-4):])}}}
}

// streamCollector is a sumCollector that also takes streams.
type streamCollector struct{ sumCollector }

func (c streamCollector) Stream(string, fs.FileInfo) seawall.Stream {
	return &sumStream{name: c.name + " streamed"}
}

type sumStream struct {
	name string
	all  bytes.Buffer
}

func (s *sumStream) Write(p []byte) (int, error) { return s.all.Write(p) }
func (s *sumStream) Facts() ([]seawall.Fact, error) {
	return packageFacts(s.name, int64(s.all.Len()), s.all.Bytes()), nil
}

func numbered(n int) string {
	b := make([]byte, n+8)
	for i := 0; i < n; i += 8 {
		binary.BigEndian.PutUint64(b[i:], uint64(i))
	}
	return string(b[:n])
}

func TestContentIsWholeHoweverItIsHeld(t *testing.T) {
	collectors := []Collector{sumCollector{"whole"}, streamCollector{sumCollector{"either"}}}
	memory := NewMemory(2 << 20)
	for _, size := range []int{1, 100, pageSize - 1, pageSize, pageSize + 1, 3<<20 + 17, streamOver + 5} {
		content := numbered(size)
		tail := fmt.Sprintf("%d %x", size, content[max(0, size-4):])
		for _, e := range []seawall.Entry{file("a.bin", content), random("a.bin", content)} {
			res := run(t, image(layer("", e)), Options{Collectors: collectors, Memory: memory})
			want := []string{"whole " + tail + " :a.bin", "either " + tail + " :a.bin"}
			if diff := cmp.Diff(want, seen(res.Packages)); diff != "" {
				t.Errorf("%d bytes, random %v: (-want +got):\n%s%v", size, e.Random, diff, res.Statuses)
			}
		}
	}
	if !memory.held.TryAcquire(memory.pages) {
		t.Error("pages were not given back")
	}
}

func TestFileTooLargeToHold(t *testing.T) {
	content := numbered(streamOver + 5)
	tail := fmt.Sprintf("%d %x", len(content), content[len(content)-4:])
	collectors := []Collector{sumCollector{"whole"}, streamCollector{sumCollector{"either"}}}
	res := run(t, image(layer("", file("a.bin", content))), Options{Collectors: collectors, MaxFile: streamOver})
	if diff := cmp.Diff([]string{"either streamed " + tail + " :a.bin"}, seen(res.Packages)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	wantStatuses(t, res.Statuses,
		"whole partial 0 a.bin: needs random access to 16 MiB, more than the 16 MiB held in memory", "either ok 1 ")
}

func TestOnlyStreamersNeedNoMemory(t *testing.T) {
	content := numbered(streamOver + 5)
	res := run(t, image(layer("", file("a.bin", content))), Options{
		Collectors: []Collector{streamCollector{sumCollector{"either"}}}, Memory: NewMemory(1 << 20),
	})
	if got := seen(res.Packages); len(got) != 1 || !strings.HasPrefix(got[0], "either streamed ") {
		t.Errorf("packages = %v", got)
	}
}

func TestReadInOrderIsBoundedForThoseThatCannotStream(t *testing.T) {
	reader := funcCollector{name: "reads-all", collect: func(f seawall.File) ([]seawall.Fact, error) {
		_, err := io.Copy(io.Discard, f.Content)
		if err == nil {
			err = errors.New("read all of it")
		}
		return nil, err
	}}
	res := run(t, image(layer("", random("a", numbered(1<<20)))), Options{Collectors: []Collector{reader}, MaxFile: 300_000})
	wantStatuses(t, res.Statuses, "reads-all partial 0 a: more than 300000 bytes read in order: over the memory budget")
}

// funcCollector wants every file.
type funcCollector struct {
	name    string
	wants   func(p string) bool
	collect func(f seawall.File) ([]seawall.Fact, error)
}

func (c funcCollector) Name() string { return c.name }
func (funcCollector) Version() int   { return 1 }
func (c funcCollector) Wants(p string, _ fs.FileInfo) bool {
	return c.wants == nil || c.wants(p)
}
func (c funcCollector) Collect(_ context.Context, f seawall.File) ([]seawall.Fact, error) {
	return c.collect(f)
}

func wantStatuses(t *testing.T, got []seawall.CollectorStatus, want ...string) {
	t.Helper()
	var lines []string
	for _, s := range got {
		lines = append(lines, fmt.Sprintf("%s %s %d %s", s.Name, s.Status, s.Found, s.Reason))
	}
	if diff := cmp.Diff(want, lines); diff != "" {
		t.Errorf("statuses (-want +got):\n%s", diff)
	}
}

func TestOneCollectorsTroubleIsItsOwn(t *testing.T) {
	entries := []seawall.Entry{
		file("a.list", "a 1"), file("bad.list", "b 1\nnonsense"), file("boom.list", "c 1"),
		{Path: "locked.list", Kind: seawall.EntryFile, Info: fakeInfo{name: "locked.list"}, Err: fs.ErrPermission},
		{Path: "locked.txt", Kind: seawall.EntryFile, Info: fakeInfo{name: "locked.txt"}, Err: fs.ErrPermission},
		{Path: "lockeddir", Kind: seawall.EntryDir, Info: fakeInfo{name: "lockeddir"}, Err: fs.ErrPermission},
		unopenable("vanished.list", fs.ErrNotExist), unopenable("busy.list", errors.New(strings.Repeat("busy ", 100))),
		kind(seawall.EntrySymlink, "link.list", "../a.list"),
		kind(seawall.EntryHardlink, "late.list", "locked.txt"),
	}
	boom := listCollector{collect: func(f seawall.File) {
		if f.Path == "boom.list" {
			panic("index out of range")
		}
	}}
	picky := funcCollector{name: "picky", wants: func(p string) bool {
		if p == "bad.list" {
			panic("wants")
		}
		return p == "a.list"
	}, collect: func(f seawall.File) ([]seawall.Fact, error) {
		return nil, nil
	}}
	res := run(t, image(layer("", entries...)), Options{Collectors: []Collector{boom, picky, listCollector{}}})
	wantStatuses(t, res.Statuses,
		"test/list failed 3 boom.list: panic: index out of range",
		"picky failed 0 bad.list: panic: wants",
		`test/list partial 4 4 inputs: bad.list: bad line "nonsense"; busy.list: `+strings.Repeat("busy ", 60)+`…; late.list: hard link to locked.txt, whose content cannot be read again; …`,
		"walk partial 0 lockeddir: permission denied",
	)
	if diff := cmp.Diff([]seawall.ConfigFact{
		{Kind: "link", Path: "link.list", Data: map[string]string{"to": "../a.list"}},
		{Kind: "link", Path: "link.list", Data: map[string]string{"to": "../a.list"}},
	}, res.Configs); diff != "" {
		t.Errorf("links (-want +got):\n%s", diff)
	}
}

// unopenable is a file of a directory that cannot be opened once it is its turn.
func unopenable(p string, err error) seawall.Entry {
	e := random(p, "x 1")
	e.Open = func() (io.ReadCloser, error) { return nil, err }
	return e
}

func TestNestedMemory(t *testing.T) {
	const mib = 1 << 20
	var got []string
	note := func(format string, args ...any) { got = append(got, fmt.Sprintf(format, args...)) }
	c := funcCollector{name: "nested", collect: func(f seawall.File) ([]seawall.Fact, error) {
		small, err := f.Budget(1 * mib)
		note("1: %v", err)
		big, err := f.Budget(9 * mib)
		note("9 more: %v", err)
		_, err = f.Budget(7 * mib)
		note("7 more: %v", err)
		big()
		big()
		_, err = f.Budget(7 * mib)
		note("7 after giving 9 back: %v", err)
		_, err = f.Budget(-1)
		note("-1: %v", errors.Is(err, seawall.ErrBudget))
		small()
		return nil, nil
	}}
	// Three files one after another: what the first keeps is given back at its end.
	res := run(t, image(layer("", file("a", "x"), file("b", "x"), file("c", "x"))), Options{
		Collectors: []Collector{c}, Memory: NewMemory(16 * mib), Workers: 1,
	})
	wantStatuses(t, res.Statuses, "nested ok 0 ")
	want := []string{
		"1: <nil>", "9 more: <nil>",
		"7 more: 7340032 bytes of nested content beside 10485760 held: over the memory budget",
		"7 after giving 9 back: <nil>", "-1: true",
	}
	if diff := cmp.Diff(slices.Concat(want, want, want), got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestHeldMemoryIsBounded runs more files at once than fit, with more workers
// than that, and watches what they hold together.
func TestHeldMemoryIsBounded(t *testing.T) {
	const limit = 8 << 20
	var held, nested, mostHeld, mostNested atomic.Int64
	add := func(sum, most *atomic.Int64, n int64) {
		now := sum.Add(n)
		for old := most.Load(); now > old && !most.CompareAndSwap(old, now); old = most.Load() {
		}
	}
	c := funcCollector{name: "c", collect: func(f seawall.File) ([]seawall.Fact, error) {
		add(&held, &mostHeld, f.Content.Size())
		defer held.Add(-f.Content.Size())
		release, err := f.Budget(nestedShared + 1)
		if err != nil {
			return nil, err
		}
		add(&nested, &mostNested, 1)
		runtime.Gosched()
		nested.Add(-1)
		release()
		return nil, nil
	}}
	content := numbered(3 << 20)
	var layers []fakeLayer
	for l := range 4 {
		var entries []seawall.Entry
		for i := range 10 {
			entries = append(entries, file(fmt.Sprint(i), content))
		}
		layers = append(layers, layer(fmt.Sprint("L", l), entries...))
	}
	res := run(t, image(layers...), Options{Collectors: []Collector{c}, Memory: NewMemory(limit), Workers: 8})
	wantStatuses(t, res.Statuses, "c ok 0 ")
	if got := mostHeld.Load(); got > limit || got < int64(len(content)) {
		t.Errorf("%d bytes held at once, want at most %d", got, limit)
	}
	if got := mostNested.Load(); got != 1 {
		t.Errorf("%d files over the shared allowance at once, want 1", got)
	}
}

func TestCancelledRunEnds(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("interrupted")
	c := funcCollector{name: "c", collect: func(f seawall.File) ([]seawall.Fact, error) {
		cancel(why)
		return nil, nil
	}}
	endless := endlessLayer{}
	_, err := Run(ctx, fakeTarget{layers: []seawall.Layer{endless, endless}}, Options{Collectors: []Collector{c}})
	if !errors.Is(err, why) {
		t.Errorf("error = %v", err)
	}
}

// endlessLayer never ends by itself.
type endlessLayer struct{ fakeLayer }

func (endlessLayer) Walk(ctx context.Context, visit func(seawall.Entry) error) error {
	for i := 0; ; i++ {
		if err := visit(file(fmt.Sprint(i), "x")); err != nil {
			return err
		}
	}
}

// memoryCache is an honest Cache in memory.
type memoryCache struct {
	mu   sync.Mutex
	held map[string]*LayerFacts
}

func (c *memoryCache) Get(layer string, _ []Collector) (*LayerFacts, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	l, ok := c.held[layer]
	return l, ok
}

func (c *memoryCache) Put(layer string, _ []Collector, facts *LayerFacts) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.held == nil {
		c.held = map[string]*LayerFacts{}
	}
	c.held[layer] = facts
}

func TestCachedLayersAreNotWalkedAndGiveTheSame(t *testing.T) {
	var walks atomic.Int32
	counted := func(l fakeLayer) fakeLayer { l.walks = &walks; return l }
	target := image(
		counted(layer("L0", file("a/x.list", "x 1\nbad"), file("db.list", "a 1"))),
		counted(layer("L1", opaque("a"), file("db.list", "a 1\nb 1"))),
	)
	o := Options{Collectors: []Collector{listCollector{}, editingJoiner{}}, Cache: &memoryCache{}, Workers: 1}
	first, second := run(t, target, o), run(t, target, o)
	if walks.Load() != 2 {
		t.Errorf("%d walks, want 2", walks.Load())
	}
	for i := range first.Statuses {
		first.Statuses[i].MS, second.Statuses[i].MS = 0, 0
	}
	if diff := cmp.Diff(first.Statuses, second.Statuses); diff != "" {
		t.Errorf("statuses (-first +cached):\n%s", diff)
	}
	if diff := cmp.Diff(first.Packages, second.Packages); diff != "" {
		t.Errorf("packages (-first +cached):\n%s", diff)
	}
	if first.Statuses[0].Status != seawall.RunPartial {
		t.Error("the damaged file is not reported")
	}
}

func TestWhatMayGoBetterAgainIsNotCached(t *testing.T) {
	for name, bad := range map[string]seawall.Entry{
		"panic":      file("boom.list", "x 1"),
		"unreadable": {Path: "x.list", Kind: seawall.EntryFile, Info: fakeInfo{name: "x.list"}, Err: fs.ErrPermission},
	} {
		cache := &memoryCache{}
		boom := listCollector{collect: func(f seawall.File) { panic("boom") }}
		run(t, image(layer("L0", bad)), Options{Collectors: []Collector{boom}, Cache: cache})
		if len(cache.held) != 0 {
			t.Errorf("%s: cached", name)
		}
	}
}

// editingJoiner changes everything it may.
type editingJoiner struct{ listCollector }

func (editingJoiner) Name() string                   { return "test/join" }
func (editingJoiner) Wants(string, fs.FileInfo) bool { return false }
func (editingJoiner) Join(_ context.Context, m *Merged) error {
	for i := range m.Packages {
		m.Packages[i].Ecosystem = "Test"
		m.Packages[i].Locations[0].Path += "!"
	}
	m.Asset.OS = &seawall.OS{ID: "test"}
	m.Warn("one thing")
	return nil
}

func TestJoinersSeeTheMergedFacts(t *testing.T) {
	res := run(t, image(layer("L0", file("x.list", "x 1\ny 1")), layer("L1", whiteout("none"))),
		Options{Collectors: []Collector{editingJoiner{}, listCollector{}, failingJoiner{}}})
	if diff := cmp.Diff([]string{"x 1 L0:x.list!", "y 1 L0:x.list!"}, seen(res.Packages)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if res.Packages[0].Ecosystem != "Test" || res.Packages[0].Asset != "asset" || res.Asset.OS.ID != "test" {
		t.Errorf("package %+v, asset %+v", res.Packages[0], res.Asset)
	}
	wantStatuses(t, res.Statuses, "test/join partial 0 one thing", "test/list ok 2 ", "test/fail failed 0 panic: join")
}

type failingJoiner struct{ editingJoiner }

func (failingJoiner) Name() string                        { return "test/fail" }
func (failingJoiner) Join(context.Context, *Merged) error { panic("join") }

func TestDamageEndsTheRun(t *testing.T) {
	short := func(size int64) fakeLayer {
		e := file("a.bin", "12345")
		e.Info = fakeInfo{name: "a.bin", size: size}
		return layer("L1", e)
	}
	broken := layer("L1", file("x.list", "x 1"))
	broken.walkErr = fmt.Errorf("layer 1 (L1): %w", seawall.ErrCorrupt)
	tests := []struct {
		name string
		bad  fakeLayer
		want string
	}{
		{"the layer's own error", broken, "layer 1 (L1): corrupt input"},
		{"content held shorter than its size", short(10), "layer 0: reading a.bin: content ends before its size: corrupt input"},
		{"content streamed shorter than its size", short(streamOver + 1), "layer 0: reading a.bin: content ends before its size: corrupt input"},
	}
	if _, err := Run(t.Context(), image(make([]fakeLayer, maxLayers+1)...), Options{}); !errors.Is(err, seawall.ErrBound) {
		t.Errorf("too many layers: error = %v", err)
	}
	for _, tt := range tests {
		_, err := Run(t.Context(), image(layer("L0"), tt.bad), Options{Collectors: []Collector{streamCollector{sumCollector{"s"}}}})
		if !errors.Is(err, seawall.ErrCorrupt) || err.Error() != tt.want {
			t.Errorf("%s: error = %v", tt.name, err)
		}
	}
}

func TestMatchesOfHiddenFilesAreKept(t *testing.T) {
	c := funcCollector{name: "secrets", collect: func(f seawall.File) ([]seawall.Fact, error) {
		data, err := io.ReadAll(f.Content)
		return []seawall.Fact{{Match: &seawall.Match{Kind: seawall.KindSecret, Rule: "r", Fingerprint: string(data)}}}, err
	}}
	res := run(t, image(
		layer("L0", file("gone", "1"), file("kept", "2"), file("rotated", "3")),
		layer("L1", whiteout("gone"), file("kept", "2"), file("rotated", "4")),
	), Options{Collectors: []Collector{c}})
	var got []string
	for _, m := range res.Matches {
		got = append(got, fmt.Sprint(m.Fingerprint, " ", m.Location.Path, " ", m.Location.Layer, " ", m.Hidden))
	}
	want := []string{"1 gone L0 true", "2 kept L1 false", "4 rotated L1 false", "3 rotated L0 true"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	wantStatuses(t, res.Statuses, "secrets ok 2 ")
}

// twiceLayer can be walked again.
type twiceLayer struct{ fakeLayer }

func (l twiceLayer) Rewalk(ctx context.Context, visit func(seawall.Entry) error) error {
	return l.Walk(ctx, visit)
}

// TestLinkWantedAfterItsContent is a package manager's store: the content has a
// name nobody wants, the links to it come later.
func TestLinkWantedAfterItsContent(t *testing.T) {
	var walks atomic.Int32
	l := layer("L0",
		file("store/00", "x 1"), file("store/01", "unused 1"), file("y.list", "y 1"),
		kind(seawall.EntryHardlink, "z/x.list", "store/00"), kind(seawall.EntryHardlink, "z/x2.list", "store/00"),
		kind(seawall.EntryHardlink, "z/other", "store/01"), kind(seawall.EntryHardlink, "z/lost.list", "not/there"),
	)
	l.walks = &walks
	res := run(t, fakeTarget{layers: []seawall.Layer{twiceLayer{l}, layer("L1", whiteout("z/x.list"))}}, Options{Collectors: []Collector{listCollector{}}})
	if diff := cmp.Diff([]string{"y 1 L0:y.list", "x 1 L0:z/x2.list"}, seen(res.Packages)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	wantStatuses(t, res.Statuses, "test/list partial 2 z/lost.list: hard link to not/there, whose content cannot be read again")
	if walks.Load() != 2 {
		t.Errorf("%d walks, want 2", walks.Load())
	}
}

// describedTarget is an SBOM: facts but no layers.
type describedTarget struct{ fakeTarget }

func (describedTarget) Facts(context.Context) ([]seawall.Fact, error) {
	return []seawall.Fact{
		{Package: &seawall.Package{Name: "x", Version: "1"}},
		{Package: &seawall.Package{Name: "x", Version: "1"}},
	}, nil
}

func TestTargetThatDescribesItself(t *testing.T) {
	res := run(t, describedTarget{}, Options{Collectors: []Collector{failingJoiner{}}})
	if diff := cmp.Diff([]string{"x 1"}, seen(res.Packages)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	wantStatuses(t, res.Statuses) // no collector had anything to look at
}

// partlyTarget states objects, and what it could not read.
type partlyTarget struct {
	fakeTarget
	err error
}

func (partlyTarget) Asset() seawall.Asset {
	return seawall.Asset{ID: "m", Kind: seawall.AssetManifests}
}

func (p partlyTarget) Facts(context.Context) ([]seawall.Fact, error) {
	return []seawall.Fact{{Object: &seawall.Object{Kind: "Pod", Name: "a"}}}, p.err
}

func TestTargetThatIsReadInPart(t *testing.T) {
	missed := seawall.Incomplete{errors.New("b.yaml:2: tabs"), errors.New("a.yaml: gone")}
	res := run(t, partlyTarget{err: fmt.Errorf("reading: %w", missed)}, Options{})
	if len(res.Objects) != 1 || res.Objects[0].Name != "a" {
		t.Errorf("objects %v", res.Objects)
	}
	wantStatuses(t, res.Statuses, "manifests partial 1 2 inputs: a.yaml: gone; b.yaml:2: tabs")
	res = run(t, partlyTarget{}, Options{})
	wantStatuses(t, res.Statuses, "manifests ok 1 ")
	if _, err := Run(context.Background(), partlyTarget{err: errors.New("broken")}, Options{}); err == nil {
		t.Error("an error that is no Incomplete did not end the run")
	}
}

// dirLister lists directories and the sockets below run.
type dirLister struct{ listCollector }

func (dirLister) Name() string { return "test/dirs" }
func (dirLister) List(path string, info fs.FileInfo) *seawall.Fact {
	switch {
	case path == "boom":
		panic("listing")
	case info.IsDir(), strings.HasPrefix(path, "run/"):
		return &seawall.Fact{File: &seawall.FileFact{Path: path, Mode: uint32(info.Mode().Perm())}}
	}
	return nil
}

func TestListersSeeEveryEntryOfADirectory(t *testing.T) {
	dir := seawall.Entry{Path: "etc", Kind: seawall.EntryDir, Info: fakeInfo{name: "etc", mode: fs.ModeDir | 0o750}}
	locked := seawall.Entry{Path: "locked", Kind: seawall.EntryDir, Info: fakeInfo{name: "locked", mode: fs.ModeDir}, Err: fs.ErrPermission}
	socket := seawall.Entry{Path: "run/s", Kind: seawall.EntryOther, Info: fakeInfo{name: "s", mode: fs.ModeSocket | 0o666}}
	entries := []seawall.Entry{dir, file("etc/a.list", "a 1"), file("boom", ""), locked, socket}
	o := Options{Collectors: []Collector{dirLister{}}}

	res := run(t, image(layer("", entries...)), o)
	want := []seawall.FileFact{{Path: "etc", Mode: 0o750}, {Path: "run/s", Mode: 0o666}}
	if diff := cmp.Diff(want, res.Files); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"a 1 :etc/a.list"}, seen(res.Packages)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	wantStatuses(t, res.Statuses, "test/dirs failed 1 boom: panic: listing", "walk partial 0 locked: permission denied")

	res = run(t, image(layer("sha256:1", entries[:3]...)), o)
	if len(res.Files) > 0 {
		t.Errorf("an image's entries were listed: %v", res.Files)
	}
}

// joinedDescription sees what the target says of itself.
type joinedDescription struct{ listCollector }

func (joinedDescription) Join(_ context.Context, m *Merged) error {
	for i := range m.Packages {
		m.Packages[i].Version += " joined"
	}
	return nil
}

func TestJoinersSeeWhatTheTargetSays(t *testing.T) {
	target := describedTarget{image(layer("", file("a.txt", "")))}
	res := run(t, target, Options{Collectors: []Collector{joinedDescription{}}})
	if diff := cmp.Diff([]string{"x 1 joined"}, seen(res.Packages)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
