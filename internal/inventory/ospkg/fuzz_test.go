package ospkg

import (
	"context"
	"encoding/binary"
	"errors"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/seawall-security/seawall/internal/seawall"
)

// FuzzCollect feeds every parser of this package by the path it wants: whatever
// the bytes, packages have a name and a version, owned paths an owner and no
// leading slash, no more facts than bytes come out (of what is not compressed), and an error says damage or bound.
func FuzzCollect(f *testing.F) {
	seeds := []struct{ path, content string }{
		{"var/lib/dpkg/status", "Package: a\nStatus: install ok installed\nArchitecture: amd64\nSource: b (1-1)\nVersion: 1-1+b1\nDescription: x\n y\n\nPackage: c\n"},
		{"var/lib/dpkg/info/libc6:amd64.list", "/.\n/usr\n/usr/bin\n/usr/bin/ldd\n"},
		{"var/lib/dpkg/status.d/x.md5sums", "0123  usr/lib/libssl.so.3\n"},
		{"lib/apk/db/installed", "C:Q1\nP:musl\nV:1.2\nA:x86_64\no:musl\nL:MIT\nF:lib\nR:ld.so.1\na:0:0:755\n\nP:x\n"},
		{"etc/os-release", "ID=debian\nVERSION_ID=\"12\"\nPRETTY_NAME='x'\n"},
		{"etc/redhat-release", "CentOS release 6.10 (Final)\n"},
		{"etc/lsb-release", "DISTRIB_ID=Ubuntu\nDISTRIB_RELEASE=14.04\n"},
		{"etc/debian_version", "trixie/sid\n"},
		{"var/lib/pacman/local/a-1-1/desc", "%NAME%\na\n\n%VERSION%\n1-1\n\n%BASE%\nb\n"},
		{"var/lib/pacman/local/a-1-1/files", "%FILES%\nusr/\nusr/bin/a\n"},
		{"var/db/pkg/app/a-1/CONTENTS", "obj /usr/bin/a 0123 1\ndir /usr\n"},
		{rpmManifest, "a\t1-1\t0\t0\tv\t(none)\t0\tx86_64\t1\ta-1-1.src.rpm\n"},
		{chiselManifest, string(deflate(`{"jsonwall":"1.0"}{"kind":"content","slice":"a_b","path":"/usr/bin/a"}{"kind":"package","name":"a","version":"1","arch":"amd64"}`))},
		{bottlerocketInventory, `{"Content":[{"Name":"a","Version":"1","Release":"2","Epoch":"0","Architecture":"x86_64"}]}`},
		{"var/lib/rpm/rpmdb.sqlite-wal", string(makeWAL(2))},
		{"var/lib/rpm/rpmdb.sqlite-shm", string(make([]byte, 128))},
	}
	for i, s := range seeds {
		f.Add(byte(i), []byte(s.content))
	}
	f.Fuzz(func(t *testing.T, which byte, content []byte) {
		name := seeds[int(which)%len(seeds)].path
		fl := file(name, content)
		for _, c := range Collectors() {
			if !c.Wants(name, fl.Info) {
				continue
			}
			facts, err := c.Collect(context.Background(), fl)
			if err != nil && !errors.Is(err, seawall.ErrCorrupt) && !errors.Is(err, seawall.ErrBound) {
				t.Errorf("%s: %v", name, err)
			}
			if len(facts) > len(content)+1 && name != chiselManifest {
				t.Errorf("%s: %d facts of %d bytes", name, len(facts), len(content))
			}
			for _, fact := range facts {
				if p := fact.Package; p != nil && (p.Name == "" || p.Version == "" || p.Kind != Kind || !strings.HasPrefix(p.PURL, "pkg:")) {
					t.Errorf("%s: package %+v", name, p)
				}
				if o := fact.File; o != nil && (o.Path == "" || o.Path[0] == '/' || o.Owner == "" && name != "lib/apk/db/installed") {
					t.Errorf("%s: file %+v", name, o)
				}
			}
		}
	})
}

// deflate is zstd over text.
func deflate(text string) []byte {
	e, err := zstd.NewWriter(nil)
	if err != nil {
		panic(err)
	}
	return e.EncodeAll([]byte(text), nil)
}

// makeWAL makes a write-ahead log of pages of 512 bytes.
func makeWAL(frames int) []byte {
	wal := make([]byte, 32, 32+frames*(24+512))
	binary.BigEndian.PutUint32(wal, 0x377f0682)
	binary.BigEndian.PutUint32(wal[8:], 512)
	copy(wal[16:24], "saltsalt")
	for range frames {
		frame := make([]byte, 24+512)
		copy(frame[8:16], "saltsalt")
		wal = append(wal, frame...)
	}
	return wal
}
