package rpmdb

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	reference "github.com/erikvarga/go-rpmdb/pkg"
	"github.com/google/go-cmp/cmp"

	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/testenv"
)

// sample is a database in the test data of the go-rpmdb module.
func sample(t testing.TB, name string) string {
	return filepath.Join(moduleDir(t, "github.com/erikvarga/go-rpmdb"), "pkg", "testdata", filepath.FromSlash(name))
}

// scalibrSample is a database in the test data of osv-scalibr.
func scalibrSample(t testing.TB, name string) string {
	return filepath.Join(moduleDir(t, "github.com/google/osv-scalibr"), "extractor/filesystem/os/rpm/testdata", name)
}

// moduleDir is where a module of the build list is kept.
func moduleDir(t testing.TB, module string) string {
	t.Helper()
	out, err := exec.Command(testenv.Tool(t, "go"), "list", "-m", "-f", "{{.Dir}}", module).CombinedOutput()
	dir := strings.TrimSpace(string(out))
	if err != nil || dir == "" {
		t.Fatalf("go list -m %s: %v\n%s", module, err, out)
	}
	return dir
}

func readFile(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// rows reads a database into one line for each package and each of its files,
// sorted, in the form of rpmQuery.
func rows(data []byte) ([]string, error) {
	var out []string
	var listErr error
	none := func(s string) string {
		if s == "" {
			return "(none)"
		}
		return s
	}
	err := Read(bytes.NewReader(data), int64(len(data)), func(p *Package) {
		name := fmt.Sprintf("%s|%s|%s|%s|%s", p.Name, none(p.Epoch), p.Version, p.Release, none(p.Arch))
		out = append(out, fmt.Sprintf("%s|%s|%s|%s|%s", name, none(p.Vendor), none(p.License), none(p.SourceRPM), none(p.ModularityLabel)))
		listErr = errors.Join(listErr, p.Files(func(path []byte, mode uint16) {
			out = append(out, fmt.Sprintf("%s %s %d", name, path, mode))
		}))
	})
	slices.Sort(out)
	return out, errors.Join(err, listErr)
}

const rpmQuery = `%{NAME}|%{EPOCH}|%{VERSION}|%{RELEASE}|%{ARCH}|%{VENDOR}|%{LICENSE}|%{SOURCERPM}|%{MODULARITYLABEL}\n` +
	`[%{=NAME}|%{=EPOCH}|%{=VERSION}|%{=RELEASE}|%{=ARCH} %{FILENAMES} %{FILEMODES}\n]`

// rpmRows asks Debian's rpm for what rows returns.
func rpmRows(t *testing.T, dir, backend string) []string {
	t.Helper()
	cmd := exec.Command(testenv.Tool(t, "rpm"), "--dbpath", dir, "--define", "_db_backend "+backend, "-qa", "--qf", rpmQuery)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("rpm: %v\n%s", err, stderr.Bytes())
	}
	want := strings.Split(strings.TrimSuffix(string(out), "\n"), "\n")
	slices.Sort(want)
	return want
}

func TestReadLikeRPM(t *testing.T) {
	tests := []struct{ name, backend string }{
		{"cbl-mariner-2.0/rpmdb.sqlite", "sqlite"},
		{"fedora35/rpmdb.sqlite", "sqlite"},
		{"centos5-plain/Packages", "bdb_ro"},
		{"centos7-plain/Packages", "bdb_ro"},
		{"centos8-modularitylabel/Packages", "bdb_ro"},
		{"ubi8-s390x/Packages", "bdb_ro"}, // big endian
		{"libuuid/Packages", "bdb_ro"},
		{"centos6-plain/Packages", "bdb_ro"},
		{"centos6-devtools/Packages", "bdb_ro"},
		{"centos6-many/Packages", "bdb_ro"},
		{"centos7-devtools/Packages", "bdb_ro"},
		{"centos7-httpd24/Packages", "bdb_ro"},
		{"centos7-many/Packages", "bdb_ro"},
		{"centos7-python35/Packages", "bdb_ro"},
		{"fedora35-plus-mongo/rpmdb.sqlite", "sqlite"},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			data := readFile(t, sample(t, tc.name))
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, filepath.Base(tc.name)), data, 0o600); err != nil {
				t.Fatal(err)
			}
			got, err := rows(data)
			if err != nil {
				t.Error(err)
			}
			compare(t, rpmRows(t, dir, tc.backend), got)
		})
	}
}

// compare shows the first differences of two sorted lists.
func compare(t *testing.T, want, got []string) {
	t.Helper()
	if len(want) == 0 {
		t.Fatal("nothing to compare with")
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%d lines, want %d\n%.3000s", len(got), len(want), diff)
	}
}

func TestReadNDBLikeReference(t *testing.T) {
	for _, name := range []string{sample(t, "sle15-bci/Packages.db"), scalibrSample(t, "Packages.db")} {
		t.Run(filepath.Base(filepath.Dir(name)), func(t *testing.T) {
			db, err := reference.Open(name)
			if err != nil {
				t.Fatal(err)
			}
			list, err := db.ListPackages()
			if err != nil {
				t.Fatal(err)
			}
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
			var want, got []string
			for _, p := range list {
				if p.Name == "gpg-pubkey" {
					continue // the reference leaves out what SOURCERPM says of keys
				}
				want = append(want, fmt.Sprintf("%s %d %s %s %s %s %s", p.Name, p.EpochNum(), p.Version, p.Release, p.Arch, p.Vendor, p.SourceRpm))
			}
			data := readFile(t, name)
			err = Read(bytes.NewReader(data), int64(len(data)), func(p *Package) {
				if p.Name == "gpg-pubkey" {
					return
				}
				epoch := p.Epoch
				if epoch == "" {
					epoch = "0"
				}
				got = append(got, fmt.Sprintf("%s %s %s %s %s %s %s", p.Name, epoch, p.Version, p.Release, p.Arch, p.Vendor, p.SourceRPM))
			})
			if err != nil {
				t.Error(err)
			}
			slices.Sort(want)
			slices.Sort(got)
			compare(t, want, got)
		})
	}
}

// buildRPMs makes packages with rpmbuild: an epoch and a module label, a
// package large enough for a chain of overflow pages, and enough small ones
// that the table needs an interior page.
func buildRPMs(t *testing.T) []string {
	t.Helper()
	const small = 40
	var spec strings.Builder
	spec.WriteString("Name: m\nVersion: 1\nRelease: 2\nEpoch: 3\nSummary: m\nLicense: MIT\nVendor: Acme\nBuildArch: noarch\n" +
		"ModularityLabel: nodejs:18:123:rhel9\n%description\nm\n")
	for i := range small {
		fmt.Fprintf(&spec, "%%package -n lib%d\nSummary: s\nLicense: %s\n%%description -n lib%d\n%s\n", i, "BSD", i, strings.Repeat("long text ", 300))
	}
	spec.WriteString("%install\nmkdir -p %{buildroot}/opt/m/bin\necho > %{buildroot}/opt/m/bin/prog\nchmod 755 %{buildroot}/opt/m/bin/prog\n" +
		"for i in $(seq 1000); do echo > %{buildroot}/opt/m/file$i.txt; done\n%files\n/opt/m\n")
	for i := range small {
		fmt.Fprintf(&spec, "%%files -n lib%d\n", i)
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "m.spec")
	if err := os.WriteFile(file, []byte(spec.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(testenv.Tool(t, "rpmbuild"), "-bb", "--define", "_topdir "+dir, file).CombinedOutput()
	if err != nil {
		t.Fatalf("rpmbuild: %v\n%s", err, out)
	}
	built, err := filepath.Glob(filepath.Join(dir, "RPMS/noarch/*.rpm"))
	if err != nil || len(built) != small+1 {
		t.Fatalf("built %d packages: %v", len(built), err)
	}
	return built
}

// installRPMs makes a SQLite database of packages.
func installRPMs(t *testing.T, packages []string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	for _, args := range [][]string{{"--initdb"}, append([]string{"-i", "--justdb", "--nodeps"}, packages...)} {
		args = append([]string{"--dbpath", dir, "--define", "_db_backend sqlite"}, args...)
		if out, err := exec.Command(testenv.Tool(t, "rpm"), args...).CombinedOutput(); err != nil {
			t.Fatalf("rpm %s: %v\n%s", args[4], err, out)
		}
	}
	return dir
}

func TestReadBuilt(t *testing.T) {
	dir := installRPMs(t, buildRPMs(t))
	data := readFile(t, filepath.Join(dir, "rpmdb.sqlite"))
	got, err := rows(data)
	if err != nil {
		t.Fatal(err)
	}
	compare(t, rpmRows(t, dir, "sqlite"), got)
	if !slices.Contains(got, "m|3|1|2|noarch|Acme|MIT|m-1-2.src.rpm|nodejs:18:123:rhel9") {
		t.Error("the package with epoch and module label is missing")
	}

	t.Run("cut", func(t *testing.T) {
		whole := packagesOf(t, data)
		for _, keep := range []int{0, 50, 4096, len(data) / 4, len(data) / 2, len(data) - 1} {
			n := 0
			err := Read(bytes.NewReader(data[:keep]), int64(keep), func(*Package) { n++ })
			if n < whole { // else what was cut off is an index
				wantDamage(t, fmt.Sprintf("cut to %d", keep), err)
			} else if keep < len(data)-1 {
				t.Errorf("cut to %d: %d packages of %d", keep, n, whole)
			}
		}
	})
	t.Run("pages that lead to themselves", func(t *testing.T) {
		page := int(binary.BigEndian.Uint16(data[16:]))
		found := 0
		for at := page; at+page <= len(data); at += page {
			if data[at] != sqliteInterior {
				continue
			}
			found++
			damaged := bytes.Clone(data)
			// The rightmost child is the page itself.
			binary.BigEndian.PutUint32(damaged[at+8:], uint32(at/page+1))
			err := Read(bytes.NewReader(damaged), int64(len(data)), func(*Package) {})
			if err != nil && !errors.Is(err, seawall.ErrCorrupt) {
				t.Errorf("page %d: %v", at/page+1, err)
			}
		}
		if found == 0 {
			t.Error("no interior page: the test needs more packages")
		}
	})
}

func packagesOf(t *testing.T, data []byte) (n int) {
	t.Helper()
	if err := Read(bytes.NewReader(data), int64(len(data)), func(*Package) { n++ }); err != nil {
		t.Fatal(err)
	}
	return n
}

func wantDamage(t *testing.T, what string, err error) {
	t.Helper()
	if !errors.Is(err, seawall.ErrCorrupt) && !errors.Is(err, seawall.ErrBound) {
		t.Errorf("%s: err = %v, want ErrCorrupt or ErrBound", what, err)
	}
}

func TestHostile(t *testing.T) {
	libuuid := readFile(t, sample(t, "libuuid/Packages"))
	blob := blobOf(t, libuuid)
	ndb := makeNDB(blob, 1)
	if got := packagesOf(t, ndb); got != 1 {
		t.Fatalf("the NDB file made has %d packages", got)
	}
	change := func(data []byte, at int, value uint32) []byte {
		c := bytes.Clone(data)
		binary.LittleEndian.PutUint32(c[at:], value)
		return c
	}
	overflow := slices.IndexFunc(pages(libuuid), func(p []byte) bool { return p[25] == bdbOverflow && binary.LittleEndian.Uint32(p[16:]) != 0 })
	tests := []struct {
		name string
		data []byte
	}{
		{"empty", nil},
		{"text", []byte("not a database at all, but long enough to look at")},
		{"bdb page size", change(libuuid, 20, 3)},
		{"bdb last page", change(libuuid, 32, 1<<31)},
		{"bdb overflow cycle", change(libuuid, overflow*4096+16, uint32(overflow))},
		{"bdb overflow beyond the end", change(libuuid, overflow*4096+16, 1<<30)},
		{"bdb with a loop of osv-scalibr", readFile(t, scalibrSample(t, "timeout/Packages"))},
		{"ndb version", change(ndb, 4, 9)},
		{"ndb slot pages", change(ndb, 12, 1<<31)},
		{"ndb without slot pages", change(ndb, 12, 0)},
		{"ndb slot magic", change(ndb, 32, 0)},
		{"ndb blob beyond the end", change(ndb, 32+8, 1<<31)},
		{"ndb blob of another package", change(ndb, 4096+4, 9)},
		{"ndb blob length", change(ndb, 4096+12, 1<<30)},
		{"ndb same blob a hundred times", makeNDB(blob, 100)},
		{"header with too many tags", makeNDB(append([]byte{0, 1, 0, 0}, blob[4:]...), 1)},
		{"header with more data than there is", makeNDB(append(append(bytes.Clone(blob[:4]), 0x7f, 0xff, 0xff, 0xff), blob[8:]...), 1)},
		{"header without tags", makeNDB(make([]byte, 64), 1)},
	}
	for _, tc := range tests {
		err := Read(bytes.NewReader(tc.data), int64(len(tc.data)), func(*Package) {})
		wantDamage(t, tc.name, err)
	}
}

func pages(data []byte) [][]byte { return slices.Collect(slices.Chunk(data, 4096)) }

// blobOf returns the first header blob of a BerkeleyDB file.
func blobOf(t testing.TB, data []byte) []byte {
	t.Helper()
	d := database{r: bytes.NewReader(data), size: int64(len(data))}
	var blob []byte
	d.visit = func(*Package) {
		if blob == nil {
			blob = bytes.Clone(d.blob)
		}
	}
	if err := d.bdb(data[:512], binary.LittleEndian); err != nil || blob == nil {
		t.Fatalf("no blob: %v", err)
	}
	return blob
}

// makeNDB makes an NDB file of one page of slots with one blob; slots says how
// many slots name it.
func makeNDB(blob []byte, slots int) []byte {
	file := make([]byte, ndbPage, ndbPage+len(blob)+64)
	le := binary.LittleEndian
	copy(file, ndbMagic)
	le.PutUint32(file[12:], 1)
	blocks := uint32(len(blob)+ndbBlobStart+ndbBlock-1) / ndbBlock
	for at := ndbHeader; at < ndbPage; at += ndbSlot {
		copy(file[at:], ndbSlotMagic)
		if slots--; slots >= 0 {
			le.PutUint32(file[at+4:], 1)
			le.PutUint32(file[at+8:], ndbPage/ndbBlock)
			le.PutUint32(file[at+12:], blocks)
		}
	}
	file = append(file, ndbBlobMagic...)
	file = le.AppendUint32(file, 1)
	file = le.AppendUint32(file, 0)
	file = le.AppendUint32(file, uint32(len(blob)))
	file = append(file, blob...)
	return append(file, make([]byte, int(blocks)*ndbBlock-len(blob)-ndbBlobStart)...)
}

func TestSplitSource(t *testing.T) {
	tests := []struct{ file, name, version string }{
		{"bash-5.1.8-6.el9.src.rpm", "bash", "5.1.8-6.el9"},
		{"java-17-openjdk-17.0.9.0.9-2.el9.nosrc.rpm", "java-17-openjdk", "17.0.9.0.9-2.el9"},
		{"(none)", "", ""},
		{"a-1.src.rpm", "", ""},
		{"-1-2.src.rpm", "", ""},
		{".rpm", "", ""},
	}
	for _, tc := range tests {
		if name, version := SplitSource(tc.file); name != tc.name || version != tc.version {
			t.Errorf("SplitSource(%q) = %q, %q, want %q, %q", tc.file, name, version, tc.name, tc.version)
		}
	}
}

// TestFileListBomb: a million files in one long directory are five megabytes
// of header and four gigabytes of paths.
func TestFileListBomb(t *testing.T) {
	const files = 1 << 20
	be := binary.BigEndian
	var data []byte
	var index []byte
	add := func(tag, kind, count uint32, value []byte) {
		for _, n := range []uint32{tag, kind, uint32(len(data)), count} {
			index = be.AppendUint32(index, n)
		}
		data = append(data, value...)
	}
	add(tagName, typeString, 1, []byte("bomb\x00"))
	add(tagVersion, typeString, 1, []byte("1\x00"))
	add(tagRelease, typeString, 1, []byte("1\x00"))
	add(tagDirNames, typeStringArray, 1, append(bytes.Repeat([]byte("d"), maxPath), 0))
	add(tagDirIndexes, typeInt32, files, make([]byte, 4*files))
	add(tagBaseNames, typeStringArray, files, make([]byte, files))
	blob := be.AppendUint32(nil, uint32(len(index)/16))
	blob = append(append(be.AppendUint32(blob, uint32(len(data))), index...), data...)
	file := makeNDB(blob, 1)
	var total int
	var listErr error
	err := Read(bytes.NewReader(file), int64(len(file)), func(p *Package) {
		listErr = p.Files(func(path []byte, _ uint16) { total += len(path) })
	})
	if err != nil {
		t.Fatal(err)
	}
	if !errors.Is(listErr, seawall.ErrBound) || total > maxRatio*len(blob) {
		t.Errorf("%d bytes of paths from %d of header: %v", total, len(blob), listErr)
	}
}

// FuzzRead: whatever the bytes, reading ends, what is visited is a package, and
// an error says damage or bound.
func FuzzRead(f *testing.F) {
	libuuid := readFile(f, sample(f, "libuuid/Packages"))
	f.Add(libuuid)
	f.Add(readFile(f, scalibrSample(f, "Packages_epoch")))
	f.Add(makeNDB(blobOf(f, libuuid), 1))
	f.Add(smallSQLite(blobOf(f, libuuid)))
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 1<<20 {
			return
		}
		visited := 0
		err := Read(bytes.NewReader(data), int64(len(data)), func(p *Package) {
			visited += len(p.data)
			if p.Name == "" || p.Version == "" || p.Release == "" {
				t.Errorf("a package without name, version or release: %+v", p)
			}
			_ = p.Files(func(path []byte, _ uint16) {
				if len(path) > 2*maxPath {
					t.Errorf("a path of %d bytes", len(path))
				}
			})
		})
		if err != nil {
			wantDamage(t, "read", err)
		}
		if visited > 2*len(data) {
			t.Errorf("visited %d bytes of headers in a file of %d", visited, len(data))
		}
	})
}

// smallSQLite makes a SQLite file of 512-byte pages with the table Packages,
// one row whose blob is on overflow pages: a seed small enough to fuzz.
func smallSQLite(blob []byte) []byte {
	const page = 512
	file := make([]byte, 2*page)
	copy(file, sqliteMagic)
	be := binary.BigEndian
	be.PutUint16(file[16:], page)
	leaf := func(p []byte, head int, cell []byte) {
		p[head] = sqliteLeaf
		be.PutUint16(p[head+3:], 1)
		be.PutUint16(p[head+8:], uint16(page-len(cell)))
		copy(p[page-len(cell):], cell)
	}
	schema := []byte{6, 23, 29, 29, 1, 13} // header length, then the types of five columns
	schema = append(schema, "tablePackagesPackages\x02"...)
	leaf(file[:page], sqliteHeader, append([]byte{byte(len(schema)), 1}, schema...))

	kind := uint64(len(blob)*2 + 12)
	record := append([]byte{5, 0, byte(kind>>14) | 0x80, byte(kind>>7) | 0x80, byte(kind & 0x7f)}, blob...)
	size := len(record)
	s := sqliteFile{usable: page}
	local := int(s.localPart(int64(size)))
	cell := []byte{byte(size>>14) | 0x80, byte(size>>7) | 0x80, byte(size & 0x7f), 1}
	cell = append(cell, record[:local]...)
	leaf(file[page:], 0, be.AppendUint32(cell, 3))
	for rest := record[local:]; len(rest) > 0; {
		part := rest[:min(page-4, len(rest))]
		rest = rest[len(part):]
		next := 0
		if len(rest) > 0 {
			next = len(file)/page + 2
		}
		file = be.AppendUint32(file, uint32(next))
		file = append(append(file, part...), make([]byte, page-4-len(part))...)
	}
	return file
}

func TestSmallSQLite(t *testing.T) {
	file := smallSQLite(blobOf(t, readFile(t, sample(t, "libuuid/Packages"))))
	if got := packagesOf(t, file); got != 1 {
		t.Errorf("%d packages, want 1", got)
	}
}

// BenchmarkRead reads real databases, file lists included.
func BenchmarkRead(b *testing.B) {
	for _, name := range []string{"fedora35/rpmdb.sqlite", "centos7-plain/Packages", "sle15-bci/Packages.db"} {
		b.Run(name, func(b *testing.B) {
			data := readFile(b, sample(b, name))
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			for b.Loop() {
				files := 0
				if err := Read(bytes.NewReader(data), int64(len(data)), func(p *Package) {
					_ = p.Files(func([]byte, uint16) { files++ })
				}); err != nil || files == 0 {
					b.Fatal(files, err)
				}
			}
		})
	}
}
