package ospkg

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seawall-security/seawall/internal/inventory"
	"github.com/seawall-security/seawall/internal/seawall"
)

// file is a file as the engine hands it to a collector.
func file(name string, content []byte) seawall.File {
	return seawall.File{Path: name, Info: info{name, int64(len(content))}, Content: memory{bytes.NewReader(content)}}
}

type memory struct{ *bytes.Reader }

func (m memory) Size() int64 { return m.Reader.Size() }

type info struct {
	name string
	size int64
}

func (i info) Name() string       { return i.name }
func (i info) Size() int64        { return i.size }
func (i info) Mode() fs.FileMode  { return 0o644 }
func (i info) ModTime() time.Time { return time.Time{} }
func (i info) IsDir() bool        { return false }
func (i info) Sys() any           { return nil }

// collect runs the one collector that wants the file.
func collect(t *testing.T, name, content string) ([]seawall.Fact, error) {
	t.Helper()
	f := file(name, []byte(content))
	var by inventory.Collector
	for _, c := range Collectors() {
		if c.Wants(name, f.Info) {
			if by != nil {
				t.Fatalf("%s is wanted by %s and %s", name, by.Name(), c.Name())
			}
			by = c
		}
	}
	if by == nil {
		t.Fatalf("%s is wanted by no collector", name)
	}
	return by.Collect(context.Background(), f)
}

// packages are the packages among facts.
func packages(facts []seawall.Fact) []seawall.Package {
	var out []seawall.Package
	for _, f := range facts {
		if f.Package != nil {
			out = append(out, *f.Package)
		}
	}
	return out
}

// owned are the owned paths among facts, as "owner path".
func owned(facts []seawall.Fact) []string {
	var out []string
	for _, f := range facts {
		if f.File != nil {
			out = append(out, f.File.Owner+" "+f.File.Path)
		}
	}
	return out
}

func TestDpkgStatus(t *testing.T) {
	const status = `Package: libc6
Status: install ok installed
Architecture: amd64
Multi-Arch: same
Source: glibc
Version: 2.36-9+deb12u10
Description: GNU C Library
 Package: not a field

Package: gone
Status: deinstall ok config-files
Version: 1.0

Package: perl-base
Essential: yes
Status: hold ok installed
Architecture: amd64
Source: perl (5.36.0-7)
Version: 5.36.0-7+b1

Package: broken
Status: install reinstreq half-installed
Version: 2.0

Package: half
Status: install ok half-configured
Architecture: all
Origin: Example
Version: 1:3.0~rc1-2
`
	facts, err := collect(t, "var/lib/dpkg/status", status)
	if err != nil {
		t.Fatal(err)
	}
	want := []seawall.Package{
		{Kind: "os", PURL: "pkg:deb/", Name: "libc6", Version: "2.36-9+deb12u10", Arch: "amd64", Source: "glibc"},
		{Kind: "os", PURL: "pkg:deb/", Name: "perl-base", Version: "5.36.0-7+b1", Arch: "amd64", Source: "perl", SourceVersion: "5.36.0-7"},
		{Kind: "os", PURL: "pkg:deb/", Name: "half", Version: "1:3.0~rc1-2", Arch: "all", Vendor: "Example"},
	}
	if diff := cmp.Diff(want, packages(facts)); diff != "" {
		t.Error(diff)
	}
}

func TestDpkgDamage(t *testing.T) {
	const status = "Package: a\nStatus: install ok installed\nVersion: 1\n\n" +
		"garbage\n\nPackage: b\nStatus: install ok installed\n\n" +
		"Package: c\nStatus: install ok installed\nVersion: 3"
	facts, err := collect(t, "var/lib/dpkg/status", status)
	if got := packages(facts); len(got) != 2 || got[0].Name != "a" || got[1].Name != "c" {
		t.Errorf("packages = %v, want a and c", got)
	}
	const want = "line 5 is no field: corrupt input (and 2 more)"
	if err == nil || err.Error() != want {
		t.Errorf("err = %v, want %s", err, want)
	}
	if _, err = collect(t, "var/lib/dpkg/status", "Package: "+strings.Repeat("x", 2*maxLine)); err == nil {
		t.Error("a line over the bound is no error")
	}
}

func TestDpkgOwnedFiles(t *testing.T) {
	facts, err := collect(t, "var/lib/dpkg/info/python3-requests:amd64.list", `/.
/usr
/usr/bin
/usr/bin/req
/usr/lib
/usr/lib/python3
/usr/lib/python3/dist-packages
/usr/lib/python3/dist-packages/requests-2.28.1.egg-info
/usr/lib/python3/dist-packages/requests-2.28.1.egg-info/PKG-INFO
/usr/lib/python3/dist-packages/requests/api.py
/usr/share/doc/python3-requests/changelog
/usr/lib/x86_64-linux-gnu/libcrypto.so.3
`)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"python3-requests usr/bin/req",
		"python3-requests usr/lib/python3/dist-packages/requests-2.28.1.egg-info/PKG-INFO",
		"python3-requests usr/lib/x86_64-linux-gnu/libcrypto.so.3",
	}
	if diff := cmp.Diff(want, owned(facts)); diff != "" {
		t.Error(diff)
	}
}

func TestDistroless(t *testing.T) {
	facts, err := collect(t, "var/lib/dpkg/status.d/libssl3", "Package: libssl3\nSource: openssl\nVersion: 3.0.15-1~deb12u1\nArchitecture: amd64\n")
	if err != nil {
		t.Fatal(err)
	}
	want := []seawall.Package{{Kind: "os", PURL: "pkg:deb/", Name: "libssl3", Version: "3.0.15-1~deb12u1", Arch: "amd64", Source: "openssl"}}
	if diff := cmp.Diff(want, packages(facts)); diff != "" {
		t.Error(diff)
	}
	facts, err = collect(t, "var/lib/dpkg/status.d/libssl3.md5sums",
		"0123456789abcdef0123456789abcdef  usr/lib/x86_64-linux-gnu/libssl.so.3\n0123456789abcdef0123456789abcdef  usr/share/doc/libssl3/copyright\n")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"libssl3 usr/lib/x86_64-linux-gnu/libssl.so.3"}, owned(facts)); diff != "" {
		t.Error(diff)
	}
}

func TestApk(t *testing.T) {
	const installed = `C:Q1abcdefghijklmnopqrstuvwxyz0=
P:busybox-binsh
V:1.36.1-r15
A:x86_64
T:busybox ash /bin/sh
L:GPL-2.0-only
o:busybox
F:bin
R:sh
a:0:0:777
F:usr/share/doc
R:readme

P:musl
V:1.2.4-r2
A:x86_64
L:MIT
o:musl
F:lib
R:ld-musl-x86_64.so.1
a:0:0:755
`
	facts, err := collect(t, "lib/apk/db/installed", installed)
	if err != nil {
		t.Fatal(err)
	}
	want := []seawall.Package{
		{Kind: "os", PURL: "pkg:apk/", Name: "busybox-binsh", Version: "1.36.1-r15", Arch: "x86_64", Source: "busybox", Licenses: []string{"GPL-2.0-only"}},
		{Kind: "os", PURL: "pkg:apk/", Name: "musl", Version: "1.2.4-r2", Arch: "x86_64", Licenses: []string{"MIT"}},
	}
	if diff := cmp.Diff(want, packages(facts)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"busybox-binsh bin/sh", "musl lib/ld-musl-x86_64.so.1"}, owned(facts)); diff != "" {
		t.Error(diff)
	}
}

func TestDistribution(t *testing.T) {
	tests := []struct {
		name  string
		files map[string]string
		want  *seawall.OS
	}{
		{"none", nil, nil},
		{"debian", map[string]string{
			"etc/os-release":     "PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\n# comment\nID=debian\nVERSION_ID=\"12\"\nVERSION_CODENAME=bookworm\n",
			"etc/debian_version": "12.5\n",
		}, &seawall.OS{ID: "debian", Version: "12", Codename: "bookworm", Name: "Debian GNU/Linux 12 (bookworm)"}},
		{"distroless", map[string]string{
			"usr/lib/os-release": "PRETTY_NAME=\"Distroless\"\nNAME=\"Debian GNU/Linux\"\nID=\"debian\"\nVERSION_ID=\"12\"\n",
		}, &seawall.OS{ID: "debian", Version: "12", Name: "Debian GNU/Linux 12 (distroless)"}},
		{"quotes", map[string]string{"etc/os-release": "ID='wolfi'\nPRETTY_NAME=\"a \\\"b\\\" \\$c\"\n"},
			&seawall.OS{ID: "wolfi", Name: `a "b" $c`}},
		{"coreos", map[string]string{"etc/os-release": "ID=\"rhcos\"\nVERSION_ID=\"4.14\"\nRHEL_VERSION=9.2\nNAME=CoreOS\nVERSION=414\n"},
			&seawall.OS{ID: "rhel", Version: "9.2", Name: "CoreOS 414"}},
		{"centos 6", map[string]string{"etc/redhat-release": "CentOS release 6.10 (Final)\n", "etc/centos-release": "CentOS release 6.10 (Final)\n"},
			&seawall.OS{ID: "centos", Version: "6.10", Name: "CentOS release 6.10 (Final)"}},
		{"oracle 6", map[string]string{
			"etc/redhat-release": "Red Hat Enterprise Linux Server release 6.10 (Santiago)\n",
			"etc/oracle-release": "Oracle Linux Server release 6.10\n",
		}, &seawall.OS{ID: "ol", Version: "6.10", Name: "Oracle Linux Server release 6.10"}},
		{"ubuntu by lsb", map[string]string{"etc/lsb-release": "DISTRIB_ID=Ubuntu\nDISTRIB_RELEASE=12.04\nDISTRIB_CODENAME=precise\nDISTRIB_DESCRIPTION=\"Ubuntu 12.04.5 LTS\"\n"},
			&seawall.OS{ID: "ubuntu", Version: "12.04", Codename: "precise", Name: "Ubuntu 12.04.5 LTS"}},
		{"old debian", map[string]string{"etc/debian_version": "6.0.10\n"}, &seawall.OS{ID: "debian", Version: "6.0.10", Name: "Debian GNU/Linux 6.0.10"}},
		{"debian testing", map[string]string{"etc/debian_version": "forky/sid\n"}, &seawall.OS{ID: "debian", Name: "Debian GNU/Linux forky/sid"}},
		{"alpine", map[string]string{"etc/alpine-release": "3.4.6\n"}, &seawall.OS{ID: "alpine", Version: "3.4.6", Name: "Alpine Linux 3.4.6"}},
		{"release without ID", map[string]string{"etc/os-release": "NAME=x\n", "etc/alpine-release": "3.4.6\n"}, &seawall.OS{ID: "alpine", Version: "3.4.6", Name: "Alpine Linux 3.4.6"}},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			var configs []seawall.ConfigFact
			for name, content := range tc.files {
				facts, err := collect(t, name, content)
				if err != nil {
					t.Fatal(err)
				}
				for _, f := range facts {
					configs = append(configs, *f.Config)
				}
			}
			if diff := cmp.Diff(tc.want, distribution(configs)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestJoin(t *testing.T) {
	link := func(from, to string) seawall.ConfigFact {
		return seawall.ConfigFact{Kind: linkConfig, Path: from, Data: map[string]string{"target": linkTarget(from, to)}}
	}
	at := func(paths ...string) (out []seawall.Location) {
		for _, p := range paths {
			out = append(out, seawall.Location{Path: p})
		}
		return out
	}
	m := &inventory.Merged{
		Asset: &seawall.Asset{},
		Packages: []seawall.Package{
			{Kind: "os", PURL: "pkg:deb/", Name: "libstdc++6", Version: "1:12.2.0-14", Arch: "amd64", Source: "gcc-12", SourceVersion: "12.2.0-14"},
			{Kind: "os", PURL: "pkg:rpm/", Name: "stray", Version: "1-1"},
			{Kind: "language", Name: "requests", Version: "2.28.1", Ecosystem: "PyPI", Locations: at("usr/lib/python3/x/METADATA")},
			{Kind: "binary", Name: "bash", Ecosystem: "generic", Locations: at("usr/bin/bash")},
			{Kind: "binary", Name: "init", Ecosystem: "generic", Locations: at("usr/bin/init")},
			{Kind: "language", Name: "copied", Ecosystem: "npm", Locations: at("usr/lib/python3/x/METADATA", "app/METADATA")},
			{Kind: "language", Name: "own", Ecosystem: "npm", Locations: at("app/package.json")},
		},
		Files: []seawall.FileFact{
			{Path: "lib/python3/x/METADATA", Owner: "python3-requests"},
			{Path: "bin/bash", Owner: "bash"},
			{Path: "sbin/init", Owner: "systemd"},
		},
		Configs: []seawall.ConfigFact{
			{Kind: releaseConfig, Path: "etc/os-release", Data: map[string]string{"ID": "debian", "VERSION_ID": "12"}},
			link("usr/sbin", "bin"), link("sbin", "usr/sbin"), link("lib", "/usr/lib"), link("bin", "usr/bin"),
		},
		Hidden: []seawall.Package{{Kind: "os", PURL: "pkg:deb/", Name: "old", Version: "1"}},
	}
	if err := (Release{}).Join(context.Background(), m); err != nil {
		t.Fatal(err)
	}
	var owners []string
	for _, p := range m.Packages[2:] {
		owners = append(owners, p.Owner)
	}
	if diff := cmp.Diff([]string{"python3-requests", "bash", "systemd", "", ""}, owners); diff != "" {
		t.Error(diff)
	}
	type named struct{ Ecosystem, PURL string }
	var names []named
	for _, p := range append(m.Packages[:2:2], m.Hidden...) {
		names = append(names, named{p.Ecosystem, p.PURL})
	}
	want := []named{
		{"Debian:12", "pkg:deb/debian/libstdc%2B%2B6@1:12.2.0-14?arch=amd64&distro=debian-12&upstream=gcc-12%4012.2.0-14"},
		{"Linux", "pkg:rpm/stray@1-1"},
		{"Debian:12", "pkg:deb/debian/old@1?distro=debian-12"},
	}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Error(diff)
	}
}

func TestPacman(t *testing.T) {
	facts, err := collect(t, "var/lib/pacman/local/gcc-libs-14.2.1-1/desc",
		"%NAME%\ngcc-libs\n\n%VERSION%\n14.2.1+r134-1\n\n%BASE%\ngcc\n\n%DESC%\n%NAME%\n\n%ARCH%\nx86_64\n\n%LICENSE%\nGPL-3.0-or-later\nFDL\n")
	if err != nil {
		t.Fatal(err)
	}
	want := []seawall.Package{{Kind: "os", PURL: "pkg:alpm/", Name: "gcc-libs", Version: "14.2.1+r134-1", Source: "gcc", Arch: "x86_64", Licenses: []string{"GPL-3.0-or-later", "FDL"}}}
	if diff := cmp.Diff(want, packages(facts)); diff != "" {
		t.Error(diff)
	}
	facts, err = collect(t, "var/lib/pacman/local/gcc-libs-14.2.1-1/files",
		"%FILES%\nusr/\nusr/bin/\nusr/lib/libgcc_s.so.1\nusr/share/info/x.info\n\n%BACKUP%\nusr/bin/no\n")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"gcc-libs usr/lib/libgcc_s.so.1"}, owned(facts)); diff != "" {
		t.Error(diff)
	}
	if facts, err = collect(t, "var/lib/pacman/local/x-1-1/desc", "%NAME%\nx\n\n%VERSION%\n"); err == nil || facts != nil {
		t.Errorf("a description without version gives %v, %v", facts, err)
	}
	if facts, err = collect(t, "var/lib/pacman/local/x/files", "%FILES%\nusr/bin/x\n"); err == nil || facts != nil {
		t.Errorf("files of no package give %v, %v", facts, err)
	}
}

func TestPortage(t *testing.T) {
	facts, err := collect(t, "var/db/pkg/sys-apps/gawk-5.3.1-r1/PF", "gawk-5.3.1-r1\n")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]seawall.Package{{Kind: "os", PURL: "pkg:portage/", Name: "sys-apps/gawk", Version: "5.3.1-r1"}}, packages(facts)); diff != "" {
		t.Error(diff)
	}
	facts, err = collect(t, "var/db/pkg/sys-apps/gawk-5.3.1-r1/CONTENTS",
		"dir /usr/bin\nobj /usr/bin/a b 0123 1700000000\nsym /usr/bin/awk -> gawk 1700000000\nobj /usr/share/doc/x 0123 1\nobj broken\n")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"sys-apps/gawk usr/bin/a b"}, owned(facts)); diff != "" {
		t.Error(diff)
	}
	for pf, want := range map[string][2]string{
		"font-adobe-100dpi-1.0.3": {"font-adobe-100dpi", "1.0.3"},
		"x-r-1":                   {"x-r", "1"},
		"x-1.2_rc3-r12":           {"x", "1.2_rc3-r12"},
		"noversion":               {"", ""},
		"x-":                      {"", ""},
		"-1":                      {"", ""},
	} {
		if name, version := splitPF(pf); name != want[0] || version != want[1] {
			t.Errorf("splitPF(%q) = %q, %q", pf, name, version)
		}
	}
}

func TestOpkg(t *testing.T) {
	facts, err := collect(t, "usr/lib/opkg/status", "Package: busybox\nVersion: 1.36.1-1\nDepends: libc\nStatus: install user installed\nArchitecture: mipsel_24kc\nInstalled-Time: 1700000000\n")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]seawall.Package{{Kind: "os", PURL: "pkg:opkg/", Name: "busybox", Version: "1.36.1-1", Arch: "mipsel_24kc"}}, packages(facts)); diff != "" {
		t.Error(diff)
	}
}

func TestRPMManifest(t *testing.T) {
	facts, err := collect(t, "var/lib/rpmmanifest/container-manifest-2",
		"openssl-libs\t3.3.2-1.azl3\t1700000000\t1690000000\tMicrosoft Corporation\t(none)\t9000000\tx86_64\t1\topenssl-3.3.2-1.azl3.src.rpm\n"+
			"tzdata\t2024a-1.azl3\t1700000000\t1690000000\tMicrosoft Corporation\t(none)\t1\tnoarch\t0\ttzdata-2024a-1.azl3.src.rpm\n"+
			"short\t1\n")
	want := []seawall.Package{
		{Kind: "os", PURL: "pkg:rpm/", Name: "openssl-libs", Version: "1:3.3.2-1.azl3", Arch: "x86_64", Vendor: "Microsoft Corporation", Source: "openssl"},
		{Kind: "os", PURL: "pkg:rpm/", Name: "tzdata", Version: "2024a-1.azl3", Arch: "noarch", Vendor: "Microsoft Corporation"},
	}
	if diff := cmp.Diff(want, packages(facts)); diff != "" {
		t.Error(diff)
	}
	const damage = "line 3 has 2 fields instead of 10: corrupt input"
	if err == nil || err.Error() != damage {
		t.Errorf("err = %v, want %s", err, damage)
	}
}

func TestInteresting(t *testing.T) {
	for path, want := range map[string]bool{
		"usr/bin/x":                                true,
		"usr/libexec/git/x.sh":                     true,
		"usr/lib/postgresql/15/bin/postgres":       true,
		"usr/lib/systemd/systemd":                  true,
		"opt/vendor/agent":                         true,
		"usr/lib/x86_64-linux-gnu/libssl.so.3":     true,
		"lib/x86_64-linux-gnu/libz.so":             true,
		"usr/share/java/a.jar":                     true,
		"usr/share/nodejs/a/package.json":          true,
		"usr/share/nodejs/a/pnpm-lock.yaml":        true,
		"usr/share/nodejs/a/poetry.lock":           true,
		"usr/lib/python3/dist-packages/x.egg-info": true,
		"usr/lib/R/library/x/DESCRIPTION":          true,
		"usr/share/javascript/jquery.min.js":       true,
		"usr/share/nodejs/jquery/dist/jquery.js":   false,
		"usr/lib/python3/dist-packages/x.py":       false,
		"usr/share/doc/x/copyright":                false,
		"usr/include/c++/12/vector":                false,
		"usr/share/man/man1/x.1.gz":                false,
		"etc/passwd":                               false,
		"usr/share/binfmts/x.conf":                 false,
	} {
		if got := interesting([]byte(path)); got != want {
			t.Errorf("interesting(%q) = %t", path, got)
		}
	}
}

func TestChisel(t *testing.T) {
	manifest, err := os.ReadFile(scalibrData(t, "chisel/testdata/chisel/openssl.wall"))
	if err != nil {
		t.Fatal(err)
	}
	facts, err := collect(t, chiselManifest, string(manifest))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, p := range packages(facts) {
		names = append(names, p.Name+" "+p.Version+" "+p.Arch)
	}
	want := []string{"base-files 13ubuntu10.2 amd64", "libc6 2.39-0ubuntu8.4 amd64", "libssl3t64 3.0.13-0ubuntu3.5 amd64", "openssl 3.0.13-0ubuntu3.5 amd64"}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Error(diff)
	}
	if !slices.Contains(owned(facts), "openssl usr/bin/openssl") {
		t.Error("the owner of openssl is not known")
	}

	half := manifest[:len(manifest)/2]
	if _, err := collect(t, chiselManifest, string(half)); !errors.Is(err, seawall.ErrCorrupt) {
		t.Errorf("half a manifest: %v", err)
	}
	bomb := deflate(`{"kind":"package","name":"a","version":"1"}` + strings.Repeat(" ", maxManifest+1))
	if facts, err := collect(t, chiselManifest, string(bomb)); !errors.Is(err, seawall.ErrBound) || len(facts) != 1 {
		t.Errorf("%d bytes that inflate to %d: %d facts, %v", len(bomb), maxManifest, len(facts), err)
	}
}

func TestBottlerocket(t *testing.T) {
	facts, err := collect(t, bottlerocketInventory, `{"Content":[
		{"Name":"kernel-6.1","Publisher":"Bottlerocket","Version":"6.1.102","Release":"1.1722000000.abcdef.br1","Epoch":"1","InstalledTime":"2024-08-01T00:00:00Z","ApplicationType":"Unspecified","Architecture":"x86_64"},
		{"Name":"nameless"}]}`)
	want := []seawall.Package{{Kind: "os", PURL: "pkg:rpm/", Name: "kernel-6.1", Version: "1:6.1.102-1.1722000000.abcdef.br1", Arch: "x86_64", Vendor: "Bottlerocket"}}
	if diff := cmp.Diff(want, packages(facts)); diff != "" {
		t.Error(diff)
	}
	if !errors.Is(err, seawall.ErrCorrupt) {
		t.Errorf("err = %v", err)
	}
}

// TestWriteAheadLog: packages that are only in the log of an rpm database are
// not read, and that is said; a log that is in the database already is fine.
func TestWriteAheadLog(t *testing.T) {
	shm := func(frames, done uint32) string {
		index := make([]byte, 128)
		binary.LittleEndian.PutUint32(index[16:], frames)
		binary.LittleEndian.PutUint32(index[96:], done)
		return string(index)
	}
	const db = "var/lib/rpm/rpmdb.sqlite"
	old := makeWAL(3)
	copy(old[32+24+512+8:], "another round") // the second frame is left from before
	tests := []struct {
		name  string
		files map[string]string
		warn  bool
	}{
		{"no log", nil, false},
		{"empty log", map[string]string{"-wal": ""}, false},
		{"header only", map[string]string{"-wal": string(makeWAL(0))}, false},
		{"log without index", map[string]string{"-wal": string(makeWAL(2))}, true},
		{"log not in the database", map[string]string{"-wal": string(makeWAL(2)), "-shm": shm(2, 1)}, true},
		{"log in the database", map[string]string{"-wal": string(makeWAL(2)), "-shm": shm(2, 2)}, false},
		{"index of another log", map[string]string{"-wal": string(makeWAL(2)), "-shm": shm(1, 1)}, true},
		{"older frames behind", map[string]string{"-wal": string(old), "-shm": shm(1, 1)}, false},
	}
	for _, tc := range tests {
		warned := ""
		m := &inventory.Merged{Asset: &seawall.Asset{}, Warn: func(reason string) { warned = reason }}
		for suffix, content := range tc.files {
			facts, err := collect(t, db+suffix, content)
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range facts {
				m.Configs = append(m.Configs, *f.Config)
			}
		}
		if err := (Release{}).Join(context.Background(), m); err != nil {
			t.Fatal(err)
		}
		if (warned != "") != tc.warn || tc.warn && !strings.HasPrefix(warned, db+": ") {
			t.Errorf("%s: warning %q", tc.name, warned)
		}
	}
}

func TestRPM(t *testing.T) {
	db, err := os.ReadFile(scalibrData(t, "rpm/testdata/rpmdb.sqlite"))
	if err != nil {
		t.Fatal(err)
	}
	facts, err := collect(t, "var/lib/rpm/rpmdb.sqlite", string(db))
	if err != nil {
		t.Fatal(err)
	}
	found := packages(facts)
	i := slices.IndexFunc(found, func(p seawall.Package) bool { return p.Name == "openssl-libs" })
	want := seawall.Package{ // as rpm -q has it
		Kind: "os", PURL: "pkg:rpm/", Name: "openssl-libs", Version: "1:3.0.7-6.el9_2", Arch: "x86_64",
		Source: "openssl", Vendor: "Rocky Enterprise Software Foundation", Licenses: []string{"ASL 2.0"},
	}
	if i < 0 {
		t.Fatal("openssl-libs is missing")
	}
	if diff := cmp.Diff(want, found[i]); diff != "" {
		t.Error(diff)
	}
	files := owned(facts)
	for _, file := range []string{"bash usr/bin/bash", "openssl-libs usr/lib64/libcrypto.so.3.0.7", "glibc lib64/ld-linux-x86-64.so.2"} {
		if !slices.Contains(files, file) {
			t.Errorf("no owner %q", file)
		}
	}
}

// TestRPMKeys: the keys that rpm keeps among its packages are none.
func TestRPMKeys(t *testing.T) {
	db, err := os.ReadFile(scalibrData(t, "rpm/testdata/Packages.db"))
	if err != nil {
		t.Fatal(err)
	}
	facts, err := collect(t, "usr/lib/sysimage/rpm/Packages.db", string(db))
	if err != nil {
		t.Fatal(err)
	}
	if n := len(packages(facts)); n != 132 { // rpm has 137, of them 5 keys
		t.Errorf("%d packages", n)
	}
	if slices.ContainsFunc(packages(facts), func(p seawall.Package) bool { return p.Name == "gpg-pubkey" }) {
		t.Error("a key is listed as a package")
	}
}

func TestWantsAllocatesNothing(t *testing.T) {
	for _, path := range []string{
		"usr/lib/python3/dist-packages/requests/api.py", "var/lib/dpkg/info/libc6:amd64.list", "etc/hosts",
		"var/db/pkg/sys-apps/gawk-5.3.1/CONTENTS", "var/lib/rpm/Packages", "usr/lib/os-release",
	} {
		for _, c := range Collectors() {
			if n := testing.AllocsPerRun(10, func() { c.Wants(path, info{}) }); n != 0 {
				t.Errorf("%s: Wants(%q) allocates %v times", c.Name(), path, n)
			}
		}
	}
}

// TestForeign: what others build is neither judged by the distribution's
// advisories nor hides what it brings.
func TestForeign(t *testing.T) {
	db, err := os.ReadFile(filepath.Join(moduleDir(t, "github.com/erikvarga/go-rpmdb"), "pkg/testdata/fedora35-plus-mongo/rpmdb.sqlite"))
	if err != nil {
		t.Fatal(err)
	}
	facts, err := collect(t, "var/lib/rpm/rpmdb.sqlite", string(db))
	if err != nil {
		t.Fatal(err)
	}
	m := &inventory.Merged{
		Asset: &seawall.Asset{},
		Configs: []seawall.ConfigFact{
			{Kind: releaseConfig, Path: "etc/os-release", Data: map[string]string{"ID": "fedora", "VERSION_ID": "35"}},
		},
		Packages: []seawall.Package{
			{Kind: "binary", Name: "mongocli", Ecosystem: "Go", Locations: []seawall.Location{{Path: "usr/bin/mongocli"}}},
			{Kind: "binary", Name: "bash", Ecosystem: "generic", Locations: []seawall.Location{{Path: "usr/bin/bash"}}},
		},
	}
	for _, f := range facts {
		if f.Package != nil {
			m.Packages = append(m.Packages, *f.Package)
		} else if f.File != nil {
			m.Files = append(m.Files, *f.File)
		}
	}
	if !slices.ContainsFunc(m.Files, func(f seawall.FileFact) bool { return f.Path == "usr/bin/mongocli" }) {
		t.Fatal("the sample has no mongocli")
	}
	if err := (Release{}).Join(context.Background(), m); err != nil {
		t.Fatal(err)
	}
	if got := m.Packages[0].Owner + "," + m.Packages[1].Owner; got != ",bash" {
		t.Errorf("owners of mongocli and bash: %q", got)
	}
	for _, p := range m.Packages[2:] {
		want := "Fedora:35"
		if p.Name == "mongocli" {
			want = "Linux"
		}
		if p.Ecosystem != want {
			t.Errorf("%s by %s is of %s", p.Name, p.Vendor, p.Ecosystem)
		}
	}
}

func TestPublisher(t *testing.T) {
	for maintainer, want := range map[string]string{
		"Docker <support@docker.com>":                         "Docker",
		"NGINX Packaging <nginx-packaging@f5.com>":            "NGINX Packaging",
		"Dmitry Smirnov <onlyjob@debian.org>":                 "",
		"Someone <x@notdocker.com>":                           "",
		"nobody":                                              "",
		"Debian Go Packaging Team <team+go@lists.debian.org>": "",
	} {
		if got := publisher([]byte(maintainer)); got != want {
			t.Errorf("publisher(%q) = %q, want %q", maintainer, got, want)
		}
	}
}
