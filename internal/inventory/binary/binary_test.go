package binary

import (
	"bytes"
	"context"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seawall-security/seawall/internal/inventory"
	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/testenv"
)

// fileInfo is a file as a layer describes it.
type fileInfo struct {
	name string
	size int64
	mode fs.FileMode
}

func (i fileInfo) Name() string       { return i.name }
func (i fileInfo) Size() int64        { return i.size }
func (i fileInfo) Mode() fs.FileMode  { return i.mode }
func (i fileInfo) ModTime() time.Time { return time.Time{} }
func (i fileInfo) IsDir() bool        { return i.mode.IsDir() }
func (i fileInfo) Sys() any           { return nil }

// file makes what a collector gets of content in memory.
func file(path string, content []byte) seawall.File {
	return seawall.File{
		Path:    path,
		Info:    fileInfo{filepath.Base(path), int64(len(content)), 0o755},
		Content: bytes.NewReader(content),
		Budget:  func(int64) (func(), error) { return func() {}, nil },
	}
}

// rows are the packages of facts as "ecosystem name version".
func rows(facts []seawall.Fact) []string {
	out := []string{}
	for _, f := range facts {
		out = append(out, f.Package.Ecosystem+" "+f.Package.Name+" "+f.Package.Version)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// collect runs one collector over content in random access and as a stream in
// chunks of several sizes, and fails unless all agree.
func collect(t testing.TB, c inventory.Streamer, path string, content []byte) []string {
	t.Helper()
	facts, err := c.Collect(context.Background(), file(path, content))
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	want := rows(facts)
	for _, size := range []int{1000, 256 << 10, len(content)} {
		facts, err := streamIn(c, path, content, size)
		if err != nil {
			t.Fatalf("%s in chunks of %d: %v", path, size, err)
		}
		if diff := cmp.Diff(want, rows(facts)); diff != "" {
			t.Errorf("%s in chunks of %d (-random access +stream):\n%s", path, size, diff)
		}
	}
	return want
}

func streamIn(c inventory.Streamer, path string, content []byte, size int) ([]seawall.Fact, error) {
	s := c.Stream(path, fileInfo{filepath.Base(path), int64(len(content)), 0o755})
	for chunk := range slices.Chunk(content, max(size, 1)) {
		if _, err := io.Copy(struct{ io.Writer }{s}, bytes.NewReader(chunk)); err != nil {
			return nil, err
		}
	}
	return s.Facts()
}

func TestWants(t *testing.T) {
	for _, tc := range []struct {
		path         string
		mode         fs.FileMode
		goes, stated bool // Go wants it, Software wants it
	}{
		{"usr/local/bin/app", 0o755, true, true},
		{"app/server", 0o755, true, true},
		{"app/server", 0o644, false, false},
		{"opt/x/bin/server", 0o644, true, true}, // wrong mode bits
		{"usr/bin/ls", 0o755, true, false},
		{"usr/sbin/nginx", 0o755, true, true},
		{"bin/[", 0o755, true, true},
		{"usr/lib/x86_64-linux-gnu/libcrypto.so.3", 0o644, false, true},
		{"usr/lib/x86_64-linux-gnu/libz.so.1", 0o755, false, false},
		{"lib/libcrypto.so.3", 0o755, false, true},
		{"opt/lib/libfoo.so", 0o644, true, true},
		{"usr/local/lib/libpython3.12.so.1.0", 0o644, true, true},
		{"app/tool.exe", 0o644, true, true},
		{"app/run.sh", 0o755, false, false},
		{"app/data.json", 0o777, false, false},
		{"usr/bin/nginx", fs.ModeSymlink | 0o777, false, false},
		{"usr/bin", fs.ModeDir | 0o755, false, false},
	} {
		info := fileInfo{filepath.Base(tc.path), 1 << 20, tc.mode}
		if got := (Go{}).Wants(tc.path, info); got != tc.goes {
			t.Errorf("Go wants %s %v: %v", tc.path, tc.mode, got)
		}
		if got := (Software{}).Wants(tc.path, info); got != tc.stated {
			t.Errorf("Software wants %s %v: %v", tc.path, tc.mode, got)
		}
	}
	var info fs.FileInfo = fileInfo{"nginx", 1 << 20, 0o755}
	collectors := Collectors()
	if n := testing.AllocsPerRun(100, func() {
		for _, c := range collectors {
			c.Wants("usr/local/share/some/where/file.txt", info)
			c.Wants("usr/sbin/nginx", info)
		}
	}); n != 0 {
		t.Errorf("Wants allocates %v times", n)
	}
}

// everything runs all collectors of the package over a tree, as the engine would.
func everything(t *testing.T, root string) []string {
	t.Helper()
	var all []string
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(root, path)
		for _, c := range Collectors() {
			if !c.Wants(rel, info) {
				continue
			}
			content, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			all = append(all, collect(t, c.(inventory.Streamer), rel, content)...)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// The software of Debian, read from its programs, is what its packages say.
func TestDebianSoftware(t *testing.T) {
	for _, tc := range []struct {
		deb, name string
		more      []string // what else is found
		long      bool
	}{
		{deb: "apache2-bin", name: "generic httpd"},
		{deb: "bash", name: "generic bash"},
		{deb: "busybox-static", name: "generic busybox"},
		{deb: "crun", name: "generic crun"},
		{deb: "curl", name: "generic curl"},
		{deb: "haproxy", name: "generic haproxy"},
		{deb: "libcurl4", name: "generic curl"},
		{deb: "libruby3.1", name: "generic ruby"},
		{deb: "libsqlite3-0", name: "generic sqlite"},
		{deb: "libssl3", name: "generic openssl"},
		{deb: "memcached", name: "generic memcached"},
		{deb: "nginx", name: "generic nginx"},
		{deb: "openssl", name: "generic openssl"},
		{deb: "perl-base", name: "generic perl"},
		{deb: "php8.2-cli", name: "generic php"},
		{deb: "python3.11-minimal", name: "generic python"},
		{deb: "redis-tools", name: "generic redis"},
		{deb: "runc", name: "generic runc", more: []string{"Go stdlib 1.19.8"}},
		{deb: "caddy", name: "generic caddy", more: []string{"Go stdlib 1.19.8"}, long: true},
		{deb: "containerd", name: "generic containerd", more: []string{"Go stdlib 1.19.8", "generic containerd "}, long: true},
		{deb: "git", name: "generic git", long: true},
		{deb: "libnode108", name: "generic node", long: true},
		{deb: "libperl5.36", name: "generic perl", long: true},
		{deb: "libpython3.11", name: "generic python", long: true},
		{deb: "mariadb-server-core", name: "generic mariadb", long: true},
		{deb: "openjdk-17-jre-headless", name: "generic openjdk", long: true},
		{deb: "postgresql-15", name: "generic postgresql", long: true},
		{deb: "prometheus", name: "generic prometheus", more: []string{"Go stdlib 1.19.8"}, long: true},
	} {
		t.Run(tc.deb, func(t *testing.T) {
			if tc.long && os.Getenv("SEAWALL_LONG") == "" {
				t.Skip("a large download: set SEAWALL_LONG=1")
			}
			root, version := testenv.Debian(t, tc.deb)
			want := append([]string{tc.name + " " + version}, tc.more...)
			slices.Sort(want)
			if diff := cmp.Diff(want, everything(t, root)); diff != "" {
				t.Errorf("(-package says +found):\n%s", diff)
			}
		})
	}
}

// A program is known by its content where distributions do not install,
// whatever it is called; what only uses a library is not the library.
func TestRenamed(t *testing.T) {
	root, version := testenv.Debian(t, "nginx")
	content, err := os.ReadFile(filepath.Join(root, "usr/sbin/nginx"))
	if err != nil {
		t.Fatal(err)
	}
	got := collect(t, Software{}, "srv/app/server", content)
	if diff := cmp.Diff([]string{"generic nginx " + version}, got); diff != "" {
		t.Error(diff) // nginx carries the version of the OpenSSL it was compiled against
	}
	if got := collect(t, Software{}, "srv/app/server", content[4:]); len(got) != 0 {
		t.Errorf("found %v in a file that is no program", got)
	}
	// The words of a documentation or of another scanner are not the program.
	text := []byte("\x7fELF" + strings.Repeat("\x00", 60) + "try nginx version: nginx/VERSION or BusyBox v%s, OpenSSL 3.0.0, Apache/2.4.1\x00")
	if got := collect(t, Software{}, "srv/app/scanner", text); len(got) != 0 {
		t.Errorf("found %v in text about programs", got)
	}
}

// What no package of Debian shows: layouts of other builds, in their published form.
func TestVersionTexts(t *testing.T) {
	elf := "\x7fELF" + strings.Repeat("\x00", 60)
	for _, tc := range []struct{ path, text, want string }{
		{"opt/n/nginx", "\x00nginx version: openresty/1.21.4.1\n\x00", "generic openresty 1.21.4.1"},
		{"opt/o", "\x00OpenSSL 1.1.1w  11 Sep 2023\x00OPENSSLDIR: \"/usr/local/ssl\"\x00", "generic openssl 1.1.1w"},
		{"opt/o", "\x00OpenSSL 1.0.2k-fips  26 Jan 2017\x00OPENSSLDIR: \"/etc/pki/tls\"\x00", "generic openssl 1.0.2k"},
		{"opt/node", "\x00OpenSSL 3.0.13+quic 30 Jan 2024\x00OPENSSLDIR: \"/\"\x00", "generic openssl 3.0.13"},
		{"opt/o", "\x00OpenSSL 3.0.13 30 Jan 2024\x00", ""},
		{"usr/local/bin/openssl", "\x00LibreSSL 3.8.2\x00", "generic libressl 3.8.2"},
		{"opt/libjvm.so", "OpenJDK 64-Bit Server VM (25.392-b08) for linux-amd64\x00", "generic openjdk 1.8.0_392"},
		{"opt/libjvm.so", "OpenJDK 64-Bit Server VM (21+35-LTS) for linux-amd64\x00", "generic openjdk 21"},
		{"opt/postgres", "\x00postgres (PostgreSQL) 17rc1\n\x00", "generic postgresql 17rc1"},
		{"opt/ruby", "\x00ruby 3.3.0 (2023-12-25 revision 5124f9ac75) [x86_64-linux]\x00", "generic ruby 3.3.0"},
		{"opt/ruby", "\x00ruby 3.4.0preview1 (2024-05-16 revision 9d69619623) [x86_64-linux]\x00", "generic ruby 3.4.0preview1"},
		{"opt/mysqld", "/export/home/pb2/build/sb_0-26/mysql-8.0.36/sql/x.cc\x00", "generic mysql 8.0.36"},
		{"opt/mariadbd", "\x0011.4.2-MariaDB-1:11.4.2+maria~ubu2404\x00", "generic mariadb 11.4.2"},
		{"opt/valkey", "\x008.0.1\x007.2.4\x001.0.0\x0010.1.2.3\x00 Valkey is starting o\x00", "generic valkey 8.0.1"},
		{"opt/redis", "\x004.0.11\x005.3.0-0-g1\x003.2.0\x00oO0OoO0Oo Redis is starting oO0Oo\x00", "generic redis 4.0.11"},
		{"opt/envoy", "\x001.2.13\x001.28.7\x00envoy.reloadable_features.x\x00", "generic envoy 1.28.7"},
		{"opt/envoy", "\x001.52.0\x001.28.7\x00envoy.reloadable_features.x\x00", ""}, // which of the two?
		{"opt/python", "\x003.12.1\x003.2.0\x00<prefix>/lib/pythonX.X\x00", "generic python 3.12.1"},
		{"opt/haproxy", "HA-Proxy version 2.2.9-2, released 2021/02/06\x00", "generic haproxy 2.2.9"},
		{"opt/lighttpd", "\x00lighttpd/1.4.69\x00", "generic lighttpd 1.4.69"},
	} {
		var want []string
		if tc.want != "" {
			want = []string{tc.want}
		}
		if diff := cmp.Diff(want, append([]string(nil), collect(t, Software{}, tc.path, []byte(elf+tc.text))...)); diff != "" {
			t.Errorf("%q: %s", tc.text, diff)
		}
	}
}

func TestLiterals(t *testing.T) {
	texts := []string{"abcdef", "bcdefg-long", "aaaaaa", "xabcde"}
	l := newLiterals(texts)
	content := []byte("xabcdefg-long aaaaaaa abcde bcdefg")
	type place struct{ text, at int }
	var got, want []place
	l.scan(content, 0, len(content), func(text, at int) { got = append(got, place{text, at}) })
	for at := range content {
		for n, text := range texts {
			if bytes.HasPrefix(content[at:], []byte(text)) {
				want = append(want, place{n, at})
			}
		}
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(place{})); diff != "" {
		t.Error(diff)
	}
	if n := testing.AllocsPerRun(10, func() { l.scan(content, 0, len(content), func(int, int) {}) }); n != 0 {
		t.Errorf("scan allocates %v times", n)
	}
}

// FuzzSoftware: what is found does not depend on how the content is cut.
func FuzzSoftware(f *testing.F) {
	f.Add([]byte("\x7fELF\x00nginx version: nginx/1.25.1\n\x00"), 7)
	f.Add([]byte("\x7fELF\x00OpenSSL 1.1.1w  11 Sep 2023\x00OPENSSLDIR: \"/\"\x00"), 3)
	f.Add([]byte("\x7fELF\x0011.4.2-MariaDB\x00git/2.1.0\x00GIT_USER_AGENT\x00ruby 3.3.0 (2023-12-25 revision "), 1)
	f.Fuzz(func(t *testing.T, content []byte, size int) {
		whole, err := streamIn(Software{}, "opt/curl", content, len(content))
		if err != nil {
			t.Fatal(err)
		}
		if len(content) < 4 {
			return
		}
		// The first chunk holds the magic.
		s := Software{}.Stream("opt/curl", nil)
		size = 4 + max(size, -size, 0)%1000
		for chunk := range slices.Chunk(content, size) {
			if _, err := s.Write(chunk); err != nil {
				t.Fatal(err)
			}
		}
		cut, err := s.Facts()
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(rows(whole), rows(cut)); diff != "" {
			t.Fatalf("whole and in chunks of %d:\n%s", size, diff)
		}
		for _, fact := range whole {
			if fact.Package.Version == "" || len(fact.Package.Version) > lookAhead {
				t.Fatalf("%+v", fact.Package)
			}
		}
	})
}

// benchContent is a real program of 15 MB: the Go command. Its note of being a Go
// program is taken out, so that nothing is skipped.
func benchContent(b *testing.B) []byte {
	b.Helper()
	path, err := exec.LookPath("go")
	if err != nil {
		b.Skip(err)
	}
	if path, err = filepath.EvalSymlinks(path); err != nil {
		b.Fatal(err)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		b.Fatal(err)
	}
	return bytes.Replace(content, []byte(goNote), make([]byte, len(goNote)), 1)
}

func benchmarkStream(b *testing.B, c inventory.Streamer) {
	content := benchContent(b)
	b.SetBytes(int64(len(content)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := streamIn(c, "opt/program", content, 256<<10); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkGoStream(b *testing.B)       { benchmarkStream(b, Go{}) }
func BenchmarkCargoStream(b *testing.B)    { benchmarkStream(b, Cargo{}) }
func BenchmarkSoftwareStream(b *testing.B) { benchmarkStream(b, Software{}) }

// BenchmarkLiterals compares the one pass with one pass for each literal by the
// standard library, which scans with vector instructions.
func BenchmarkLiterals(b *testing.B) {
	content := benchContent(b)
	l := compiled()
	b.Run("one-pass", func(b *testing.B) {
		b.SetBytes(int64(len(content)))
		for b.Loop() {
			l.scan(content, 0, len(content), func(int, int) {})
		}
	})
	b.Run("bytes.Index", func(b *testing.B) {
		b.SetBytes(int64(len(content)))
		for b.Loop() {
			for _, text := range l.texts {
				for rest := content; ; {
					i := bytes.Index(rest, []byte(text))
					if i < 0 {
						break
					}
					rest = rest[i+1:]
				}
			}
		}
	})
}
