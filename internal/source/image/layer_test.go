package image_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"

	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/source"
	"github.com/seawall-security/seawall/internal/source/image"
	"github.com/seawall-security/seawall/internal/source/sourcetest"
)

// target makes an image of one stored layer whose digest is right.
func target(t testing.TB, stored []byte, bounds source.Bounds) seawall.Target {
	return targetOf(t, image.Blob{Digest: image.Digest(stored), Size: int64(len(stored)), Open: opener(bytes.NewReader(stored))}, bounds)
}

func opener(r io.Reader) func(context.Context) (io.ReadCloser, error) {
	return func(context.Context) (io.ReadCloser, error) { return io.NopCloser(r), nil }
}

func targetOf(t testing.TB, b image.Blob, bounds source.Bounds) seawall.Target {
	t.Helper()
	config := fmt.Sprintf(`{"os":"linux","architecture":"amd64","rootfs":{"diff_ids":["sha256:%064d"]}}`, 0)
	target, err := image.New(image.Parts{Name: "test", Config: []byte(config), Layers: []image.Blob{b}}, source.Options{Bounds: bounds})
	if err != nil {
		t.Fatal(err)
	}
	return target
}

func gz(t testing.TB, raw []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write(raw); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func zst(t testing.TB, raw []byte) []byte {
	t.Helper()
	w, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	return w.EncodeAll(raw, []byte("\x50\x2a\x4d\x18\x02\x00\x00\x00xx")) // behind a skippable frame, as zstd:chunked may
}

// TestCompression reads one tar in each compression, including gzip of several members.
func TestCompression(t *testing.T) {
	raw := sourcetest.Tar(t, sourcetest.File("a", "A"), sourcetest.File("b", strings.Repeat("B", 3000)))
	want := []string{`0 file a "A"`, `0 file b "` + strings.Repeat("B", 3000) + `"`}
	for name, stored := range map[string][]byte{
		"plain": raw, "gzip": gz(t, raw), "zstd": zst(t, raw), "members": append(gz(t, raw[:700]), gz(t, raw[700:])...),
	} {
		t.Run(name, func(t *testing.T) {
			got, err := sourcetest.Dump(t.Context(), target(t, stored, source.Bounds{}))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestNames: whatever a tar calls a member, the path is safe, and says what a runtime would make of it.
func TestNames(t *testing.T) {
	typed := func(name, link string, kind byte) sourcetest.Member {
		return sourcetest.Member{Header: tar.Header{Name: name, Linkname: link, Typeflag: kind}}
	}
	raw := sourcetest.Tar(t,
		typed("./", "", tar.TypeDir),
		sourcetest.File("/abs", ""),
		sourcetest.File("../../up", ""),
		sourcetest.File("a/../../b//c/.", ""),
		sourcetest.File("bad\xff\x01name", ""),
		typed("hard", "/../etc/passwd", tar.TypeLink),
		typed("loop", "loop", tar.TypeSymlink),
		typed("out", "../../../etc/shadow", tar.TypeSymlink),
		sourcetest.Member{Header: tar.Header{Name: "dev/sda", Typeflag: tar.TypeBlock, Devmajor: 8}},
		typed("dev/null", "", tar.TypeChar),
		typed("pipe", "", tar.TypeFifo),
		sourcetest.File(".wh.gone", ""),
		sourcetest.File("d/.wh.gone", ""),
		sourcetest.File(".wh..wh..opq", ""),
		sourcetest.File("d/.wh..wh..opq", ""),
		sourcetest.File("d/.wh.", ""),
		sourcetest.File("d/.wh...", ""),
		sourcetest.File("d/.wh..wh.plnk", ""),
		sourcetest.File(strings.Repeat("long/", 100)+"x", ""),
	)
	var got []string
	err := target(t, raw, source.Bounds{}).Layers()[0].Walk(t.Context(), func(e seawall.Entry) error {
		if !fs.ValidPath(e.Path) {
			t.Errorf("path %q is not valid", e.Path)
		}
		if (e.Open != nil) != (e.Kind == seawall.EntryFile) {
			t.Errorf("%s: Open does not fit kind %d", e.Path, e.Kind)
		}
		got = append(got, fmt.Sprintf("%d %s %s", e.Kind, e.Path, e.Link))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"1 . ", "0 abs ", "0 up ", "0 b/c ", "0 bad\\xff\x01name ", "3 hard etc/passwd", "2 loop loop", "2 out ../../../etc/shadow",
		"4 dev/sda ", "4 dev/null ", "4 pipe ", "5 gone ", "5 d/gone ", "6 . ", "6 d ", "0 d/.wh. ", "0 d/.wh... ", "5 d/.wh.plnk ",
		"0 " + strings.Repeat("long/", 100) + "x "}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestHostile: damage and excess end the walk with the right class, a place and no more memory than a sound layer takes.
func TestHostile(t *testing.T) {
	sound := sourcetest.Tar(t, sourcetest.File("first", "1"), sourcetest.File("second", strings.Repeat("2", 5000)))
	flipped := bytes.Clone(sound)
	flipped[600] ^= 1
	packed := gz(t, sound)
	many := func(n int) []byte {
		var b bytes.Buffer
		w := tar.NewWriter(&b)
		for i := range n {
			if err := w.WriteHeader(&tar.Header{Name: fmt.Sprintf("f%d", i), Typeflag: tar.TypeReg}); err != nil {
				t.Fatal(err)
			}
		}
		w.Close()
		return b.Bytes()
	}
	blob := func(stored []byte, digest string, size int64) image.Blob {
		return image.Blob{Digest: digest, Size: size, Open: opener(bytes.NewReader(stored))}
	}
	exact := func(stored []byte) image.Blob { return blob(stored, image.Digest(stored), int64(len(stored))) }
	zeros := func(n int64) io.Reader { return io.LimitReader(zeroReader{}, n) }
	for _, tt := range []struct {
		name   string
		blob   image.Blob
		bounds source.Bounds
		class  error
		word   string
	}{
		{"truncated tar", exact(sound[:2000]), source.Bounds{}, seawall.ErrCorrupt, `after "second"`},
		{"truncated gzip", exact(packed[:len(packed)/2]), source.Bounds{}, seawall.ErrCorrupt, "layer 0 (sha256:"},
		{"short blob", blob(sound[:3000], image.Digest(sound), int64(len(sound))), source.Bounds{}, seawall.ErrCorrupt, "truncated: 3000 of"},
		{"long blob", blob(append(bytes.Clone(sound), 0), image.Digest(sound), int64(len(sound))), source.Bounds{}, seawall.ErrCorrupt, "more than"},
		{"wrong digest", blob(flipped, image.Digest(sound), int64(len(sound))), source.Bounds{}, seawall.ErrCorrupt, "digest"},
		{"wrong diff ID", blob(packed, "", 0), source.Bounds{}, seawall.ErrCorrupt, "digest"},
		{"not a tar", exact([]byte(strings.Repeat("text ", 300))), source.Bounds{}, seawall.ErrCorrupt, "header"},
		{"damaged gzip", exact(append(bytes.Clone(packed[:30]), packed[35:]...)), source.Bounds{}, seawall.ErrCorrupt, ""},
		{"damaged zstd", exact([]byte("\x28\xb5\x2f\xfdxxxxxxxxxxxx")), source.Bounds{}, seawall.ErrCorrupt, ""},
		{"entries", exact(many(1001)), source.Bounds{Entries: 1000}, seawall.ErrBound, "1000 entries"},
		{"long name", exact(sourcetest.Tar(t, sourcetest.File(strings.Repeat("x", 5000), ""))), source.Bounds{}, seawall.ErrBound, "4096"},
		{"absolute bomb", exact(gz(t, sourcetest.Tar(t, sourcetest.File("zeros", strings.Repeat("\x00", 2<<20))))), source.Bounds{Inflated: 1 << 20}, seawall.ErrBound, "inflates"},
		{"encrypted", image.Blob{MediaType: "application/vnd.oci.image.layer.v1.tar+gzip+encrypted"}, source.Bounds{}, seawall.ErrUnreadable, "encrypted"},
		{"failing place", image.Blob{Open: opener(failing{})}, source.Bounds{}, seawall.ErrUnreadable, "disk on fire"},
		{"endless header", image.Blob{Open: opener(io.MultiReader(bytes.NewReader(paxBomb(t)), zeros(64<<20)))}, source.Bounds{}, seawall.ErrCorrupt, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err := sourcetest.Dump(t.Context(), targetOf(t, tt.blob, tt.bounds))
			runtime.ReadMemStats(&after)
			if !errors.Is(err, tt.class) || !strings.Contains(err.Error(), tt.word) {
				t.Errorf("error = %v, want %v with %q", err, tt.class, tt.word)
			}
			if grown := after.TotalAlloc - before.TotalAlloc; grown > 64<<20 {
				t.Errorf("allocated %d bytes", grown)
			}
		})
	}
}

// TestBadDescriptors: what would become part of a path or an address, and a
// size nobody can hold a place to, are refused before anything is read.
func TestBadDescriptors(t *testing.T) {
	config := fmt.Appendf(nil, `{"rootfs":{"diff_ids":["sha256:%064d"]}}`, 0)
	unread := func(context.Context) (io.ReadCloser, error) {
		t.Error("the layer was opened")
		return nil, errors.New("opened")
	}
	for _, b := range []image.Blob{
		{Digest: "md5:00", Size: 1, Open: unread},
		{Digest: "../../other/manifests/latest", Size: 1, Open: unread},
		{Digest: image.Digest(nil), Size: -1, Open: unread},
	} {
		_, err := image.New(image.Parts{Config: config, Layers: []image.Blob{b}}, source.Options{})
		sourcetest.WantError(t, err, seawall.ErrCorrupt, "layer 0")
	}
	manifest := fmt.Appendf(nil, `{"schemaVersion":2,"config":{"digest":%q,"size":%d},"layers":[{"digest":%q}]}`,
		image.Digest(config), len(config), image.Digest(nil))
	_, err := image.Open(t.Context(), memory{image.Digest(config): config, image.Digest(manifest): manifest},
		image.Descriptor{Digest: image.Digest(manifest)}, image.Parts{}, source.Options{})
	sourcetest.WantError(t, err, seawall.ErrCorrupt, "layer 0", "no size")
}

// memory is an image.Store.
type memory map[string][]byte

func (m memory) Blob(_ context.Context, d image.Descriptor) (io.ReadCloser, error) {
	return io.NopCloser(bytes.NewReader(m[d.Digest])), nil
}

// paxBomb is a PAX header that states a record of a terabyte.
func paxBomb(t *testing.T) []byte {
	h := sourcetest.Tar(t, sourcetest.Member{Header: tar.Header{Name: "x", Typeflag: tar.TypeReg, Format: tar.FormatPAX,
		PAXRecords: map[string]string{"A.b": strings.Repeat("x", 600)}}, Content: ""})
	copy(h[124:136], "77777777777\x00") // size of the extended header: 8 GiB
	checksum(h[:512])
	return h[:1024]
}

// checksum mends a header's checksum.
func checksum(h []byte) {
	copy(h[148:156], "        ")
	sum := 0
	for _, b := range h {
		sum += int(b)
	}
	copy(h[148:156], fmt.Sprintf("%06o\x00 ", sum))
}

type zeroReader struct{}

func (zeroReader) Read(p []byte) (int, error) { clear(p); return len(p), nil }

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errors.New("disk on fire") }

// TestRatio: a layer that inflates beyond all measure is stopped soon after the floor of a gibibyte.
func TestRatio(t *testing.T) {
	pr, pw := io.Pipe()
	go func() {
		enc, err := zstd.NewWriter(pw, zstd.WithEncoderConcurrency(1))
		if err != nil {
			pw.CloseWithError(err)
			return
		}
		w := tar.NewWriter(enc)
		err = w.WriteHeader(&tar.Header{Name: "bomb", Typeflag: tar.TypeReg, Size: 1 << 40})
		if err == nil {
			_, err = io.Copy(w, zeroReader{})
		}
		pw.CloseWithError(err)
	}()
	b := image.Blob{Open: func(context.Context) (io.ReadCloser, error) { return pr, nil }}
	err := targetOf(t, b, source.Bounds{}).Layers()[0].Walk(t.Context(), func(seawall.Entry) error { return nil })
	if !errors.Is(err, seawall.ErrBound) {
		t.Errorf("error = %v, want %v", err, seawall.ErrBound)
	}
}

// TestSparse: a sparse member that claims four gibibytes costs nothing until
// it is opened, and opened no more than the bound.
func TestSparse(t *testing.T) {
	old := sourcetest.Tar(t, sourcetest.File("old", ""))[:512]
	old[156] = 'S'
	copy(old[257:265], "ustar  \x00")
	copy(old[386:398], "40000000000\x00") // one fragment at 4 GiB, of no bytes
	copy(old[398:410], "00000000000\x00")
	copy(old[483:495], "40000000000\x00") // the real size
	checksum(old)
	for _, open := range []bool{false, true} {
		stored := append(bytes.Clone(old), make([]byte, 1024)...)
		var claimed int64
		err := target(t, stored, source.Bounds{Inflated: 1 << 20}).Layers()[0].Walk(t.Context(), func(e seawall.Entry) error {
			claimed = e.Info.Size()
			if !open {
				return nil
			}
			rc, err := e.Open()
			if err != nil {
				return err
			}
			n, err := io.Copy(io.Discard, rc)
			if n > 2<<20 {
				t.Errorf("%d bytes were delivered", n)
			}
			return err
		})
		if claimed != 4<<30 || open != errors.Is(err, seawall.ErrBound) || !open && err != nil {
			t.Errorf("open %v: %d bytes claimed, error %v", open, claimed, err)
		}
	}
}

// TestMillionEntries walks a million entries in little memory.
func TestMillionEntries(t *testing.T) {
	one := sourcetest.Tar(t, sourcetest.File("some/dir/file", ""))[:512]
	const n = 1_000_000
	stream := io.MultiReader(&repeated{block: one, left: n}, bytes.NewReader(make([]byte, 1024)))
	count := 0
	b := image.Blob{Open: opener(stream), Digest: ""}
	_ = targetOf(t, b, source.Bounds{}).Layers()[0].Walk(t.Context(), func(seawall.Entry) error { count++; return nil })
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	if count != n || m.HeapAlloc > 64<<20 {
		t.Errorf("%d entries with %d bytes of heap", count, m.HeapAlloc)
	}
}

// repeated is one block many times over.
type repeated struct {
	block []byte
	left  int
}

func (r *repeated) Read(p []byte) (int, error) {
	n := 0
	for ; r.left > 0 && len(p)-n >= len(r.block); r.left-- {
		n += copy(p[n:], r.block)
	}
	if n == 0 {
		return 0, io.EOF
	}
	return n, nil
}

// TestEntryLifetime: content is readable once, while its entry is visited, and a visit's error ends the walk as it is.
func TestEntryLifetime(t *testing.T) {
	raw := sourcetest.Tar(t, sourcetest.File("a", "AAAA"), sourcetest.File("b", "BBBB"))
	stop := errors.New("stop")
	var first io.Reader
	err := target(t, raw, source.Bounds{}).Layers()[0].Walk(t.Context(), func(e seawall.Entry) error {
		if first == nil {
			rc, err := e.Open()
			if err != nil {
				t.Fatal(err)
			}
			first = rc
			if _, err := e.Open(); err == nil {
				t.Error("opened twice")
			}
			return nil
		}
		if n, err := first.Read(make([]byte, 4)); n != 0 || !errors.Is(err, fs.ErrClosed) {
			t.Errorf("read of the entry before = %d, %v", n, err)
		}
		return stop
	})
	if !errors.Is(err, stop) {
		t.Errorf("error = %v, want what visit returned", err)
	}
}

// TestCancel: a walk ends with its context even while the place gives nothing.
func TestCancel(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	raw := sourcetest.Tar(t, sourcetest.File("a", ""))
	b := image.Blob{Open: func(ctx context.Context) (io.ReadCloser, error) {
		pr, pw := io.Pipe()
		context.AfterFunc(ctx, func() { pw.CloseWithError(ctx.Err()) }) // as the network does
		go func() { _, _ = pw.Write(append(raw[:512:512], make([]byte, 512<<10)...)) }()
		return pr, nil
	}}
	cancel()
	err := targetOf(t, b, source.Bounds{}).Layers()[0].Walk(ctx, func(seawall.Entry) error { return nil })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error = %v", err)
	}
}

func FuzzLayer(f *testing.F) {
	raw := sourcetest.Tar(f, sourcetest.File("./etc/.wh.x", ""), sourcetest.File("b", "BBBB"))
	for _, seed := range [][]byte{raw, gz(f, raw), zst(f, raw), raw[:600], []byte("\x1f\x8b"), nil} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, stored []byte) {
		read := int64(0)
		err := target(t, stored, source.Bounds{Inflated: 1 << 20, Entries: 1000}).Layers()[0].Walk(t.Context(), func(e seawall.Entry) error {
			if !fs.ValidPath(e.Path) {
				t.Errorf("path %q", e.Path)
			}
			if e.Kind != seawall.EntryFile {
				return nil
			}
			rc, err := e.Open()
			if err != nil {
				t.Error(err)
				return nil
			}
			n, _ := io.Copy(io.Discard, rc) // damage comes back from the walk
			read += n
			return nil
		})
		if read > 2<<20 {
			t.Errorf("%d bytes over a bound of one MiB", read)
		}
		if err != nil && !errors.Is(err, seawall.ErrCorrupt) && !errors.Is(err, seawall.ErrBound) {
			t.Errorf("error of no class: %v", err)
		}
	})
}
