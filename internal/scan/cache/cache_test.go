package cache

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seawall-security/seawall/internal/inventory"
	"github.com/seawall-security/seawall/internal/seawall"
)

type collector struct {
	name    string
	version int
}

func (c collector) Name() string                 { return c.name }
func (c collector) Version() int                 { return c.version }
func (collector) Wants(string, fs.FileInfo) bool { return false }
func (collector) Collect(context.Context, seawall.File) ([]seawall.Fact, error) {
	return nil, nil
}

func collectors(versions ...int) (out []inventory.Collector) {
	for i, v := range versions {
		out = append(out, collector{fmt.Sprintf("c%d", i), v})
	}
	return out
}

// fill sets every field reachable from v to a value that differs from its zero
// and from its neighbours', so that a field the codec forgets shows.
func fill(v reflect.Value, n *int) {
	*n++
	switch v.Kind() {
	case reflect.String:
		v.SetString(fmt.Sprintf("s%d", *n))
	case reflect.Int, reflect.Int64:
		v.SetInt(int64(*n))
	case reflect.Uint32, reflect.Uint64, reflect.Uint8:
		v.SetUint(uint64(*n % 250))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), n)
	case reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i), n)
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		for i := range 2 {
			fill(v.Index(i), n)
		}
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		fill(key, n)
		fill(value, n)
		v.SetMapIndex(key, value)
	case reflect.Func: // of an object, which an entry never has
	default:
		panic("fill: " + v.Kind().String())
	}
}

// filled has one fact of each kind, every field set, but what an entry does not
// keep: time spent and what keeps a layer from being cached.
func filled() *inventory.LayerFacts {
	l := &inventory.LayerFacts{}
	n := 0
	fill(reflect.ValueOf(l).Elem(), &n)
	l.Missed = inventory.Problems{}
	for i := range l.Tallies {
		l.Tallies[i].Spent, l.Tallies[i].Failed = 0, ""
	}
	for i := range l.Files {
		var facts []seawall.Fact
		all := reflect.ValueOf(l.Files[i].Facts[0])
		for k := range all.NumField() {
			var f seawall.Fact
			reflect.ValueOf(&f).Elem().Field(k).Set(all.Field(k))
			if f.Object == nil { // stated by targets without layers
				facts = append(facts, f)
			}
		}
		l.Files[i].Facts = facts
		l.Files[i].Collector = i
	}
	return l
}

func TestEveryFieldSurvives(t *testing.T) {
	want := filled()
	got, err := decode(encode(want))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestEncodingIsDeterministic(t *testing.T) {
	l := filled()
	for _, f := range l.Files {
		for _, fact := range f.Facts {
			if fact.Config != nil {
				for i := range 50 {
					fact.Config.Data[fmt.Sprint(i)] = "v"
				}
			}
		}
	}
	if !bytes.Equal(encode(l), encode(l)) {
		t.Error("two encodings of one value differ")
	}
}

func TestEntryIsOfItsLayerAndCollectors(t *testing.T) {
	c := open(t, 0)
	want := filled()
	c.Put("sha256:a", collectors(1, 2), want)
	got, ok := c.Get("sha256:a", collectors(1, 2))
	if !ok {
		t.Fatal("not found")
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for name, other := range map[string][]inventory.Collector{
		"newer version": collectors(1, 3), "fewer": collectors(1), "more": collectors(1, 2, 1),
		"other order": {collector{"c1", 2}, collector{"c0", 1}},
	} {
		if _, ok := c.Get("sha256:a", other); ok {
			t.Errorf("%s: found", name)
		}
	}
	if _, ok := c.Get("sha256:b", collectors(1, 2)); ok {
		t.Error("another layer: found")
	}
}

func TestDamagedEntryIsAMissAndReplaced(t *testing.T) {
	c := open(t, 0)
	layer, cs := "sha256:a", collectors(1, 2)
	c.Put(layer, cs, filled())
	path := c.path(layer, cs)
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := range good {
		bad := bytes.Clone(good)
		bad[i] ^= 0x40
		if _, err := decode(bad); err == nil {
			t.Fatalf("a flipped bit in byte %d was not noticed", i)
		}
		if _, err := decode(good[:i]); err == nil {
			t.Fatalf("truncation to %d bytes was not noticed", i)
		}
	}
	if err := os.WriteFile(path, good[:len(good)/2], 0o600); err != nil {
		t.Fatal(err)
	}
	if _, ok := c.Get(layer, cs); ok {
		t.Error("a truncated entry was found")
	}
	c.Put(layer, cs, filled())
	if _, ok := c.Get(layer, cs); !ok {
		t.Error("the damaged entry was not replaced")
	}
}

func TestLeastRecentlyUsedIsEvicted(t *testing.T) {
	cs := collectors(1, 2)
	one := int64(len(encode(filled())))
	c := open(t, 10*one)
	past := time.Now().Add(-24 * time.Hour)
	for i := range 10 {
		layer := fmt.Sprint("layer", i)
		c.Put(layer, cs, filled())
		used := past.Add(time.Duration(i) * time.Minute)
		if err := os.Chtimes(c.path(layer, cs), used, used); err != nil {
			t.Fatal(err)
		}
	}
	stale := filepath.Join(c.dir, temporary+"left-behind")
	if err := os.WriteFile(stale, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(stale, past, past); err != nil {
		t.Fatal(err)
	}
	if _, ok := c.Get("layer0", cs); !ok { // now the most recently used
		t.Fatal("layer0 not found")
	}
	c.Put("new", cs, filled())

	var have []string
	for _, layer := range []string{"layer0", "layer1", "layer2", "layer3", "new"} {
		if _, ok := c.Get(layer, cs); ok {
			have = append(have, layer)
		}
	}
	if diff := cmp.Diff([]string{"layer0", "layer3", "new"}, have); diff != "" {
		t.Errorf("left (-want +got):\n%s", diff)
	}
	if _, err := os.Stat(stale); err == nil {
		t.Error("a stale temporary file is still there")
	}
}

func TestSeveralProcessesShareACache(t *testing.T) {
	dir := t.TempDir()
	want := filled()
	one := int64(len(encode(want)))
	var all sync.WaitGroup
	for range 4 { // each Cache stands for a process: they share the directory only
		c, err := Open(dir, 5*one)
		if err != nil {
			t.Fatal(err)
		}
		all.Go(func() {
			for i := range 50 {
				layer := fmt.Sprint("layer", i%7)
				c.Put(layer, collectors(1, 2), want)
				if got, ok := c.Get(layer, collectors(1, 2)); ok && !reflect.DeepEqual(want, got) {
					t.Error("read something that was never put")
				}
			}
		})
	}
	all.Wait()
	files, err := os.ReadDir(filepath.Join(dir, "layers"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if filepath.Ext(f.Name()) != suffix {
			t.Errorf("left behind: %s", f.Name())
		}
	}
}

func TestOnlyTheOwnerMayRead(t *testing.T) {
	c := open(t, 0)
	c.Put("layer", collectors(1), &inventory.LayerFacts{Tallies: make([]inventory.Tally, 1)})
	err := filepath.WalkDir(c.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err == nil && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s: mode %v", path, info.Mode())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func open(t *testing.T, max int64) *Cache {
	t.Helper()
	c, err := Open(filepath.Join(t.TempDir(), "cache"), max)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func FuzzDecode(f *testing.F) {
	good := encode(filled())
	f.Add(good[headerSize:])
	f.Add(encode(&inventory.LayerFacts{})[headerSize:])
	f.Fuzz(func(t *testing.T, body []byte) {
		data := append([]byte(format), 0, 0, 0, 0)
		data = append(data, body...)
		sum := checksum(body)
		for i := range 4 {
			data[len(format)+i] = byte(sum >> (8 * i))
		}
		l, err := decode(data)
		if (l == nil) == (err == nil) {
			t.Fatalf("value %v, error %v", l, err)
		}
		if l == nil {
			return
		}
		again, err := decode(encode(l))
		if err != nil {
			t.Fatalf("what was read cannot be written and read: %v", err)
		}
		if diff := cmp.Diff(l, again); diff != "" {
			t.Fatalf("(-first +second):\n%s", diff)
		}
	})
}

// BenchmarkDecode reads a layer like the bench image's large one: 60,000 paths, 4,000 packages.
func BenchmarkDecode(b *testing.B) {
	l := &inventory.LayerFacts{Tallies: make([]inventory.Tally, 60)}
	for i := range 60_000 {
		l.Paths = append(l.Paths, uint64(i)*0x9e3779b97f4a7c15)
	}
	for i := range 4000 {
		path := fmt.Sprintf("app/node_modules/package-%d/package.json", i)
		p := &seawall.Package{
			Name: fmt.Sprint("package-", i), Version: fmt.Sprint("1.2.", i%50), Ecosystem: "npm",
			PURL: fmt.Sprintf("pkg:npm/package-%d@1.2.%d", i, i%50), Kind: "language",
			Locations: []seawall.Location{{Path: path}},
		}
		l.Files = append(l.Files, inventory.FileFacts{Path: path, Facts: []seawall.Fact{{Package: p}}})
	}
	data := encode(l)
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := decode(data); err != nil {
			b.Fatal(err)
		}
	}
}
