// Package binary finds the software in compiled files: what the toolchain wrote
// into them (Go build info, cargo-auditable), and for software no package
// manager knows the version its own text states.
//
// Data flows one way: file -> executable (is it worth opening) -> one of
//
//	Go        build info -> modules, the standard library, known Go programs
//	Cargo     the .dep-v0 section -> crates
//	Software  one pass over the content for the literals of all signatures -> versions
//
// Every collector takes content in random access or as a stream. The name of a
// file only decides whether it is opened; what is reported comes from its bytes.
// A version the bytes do not state is "", never a guess.
package binary

import (
	"encoding/binary"
	"io/fs"
	"path"
	"strings"

	"github.com/package-url/packageurl-go"

	"github.com/seawall-security/seawall/internal/seawall"
)

// executable reports whether a file may be a program or a library, by its mode
// and its path alone. Many images carry wrong mode bits, so a file in a program
// directory counts without them. Libraries of the distribution are left to the
// collectors that know them by name.
func executable(p string, info fs.FileInfo) bool {
	if info == nil || !info.Mode().IsRegular() {
		return false
	}
	base := path.Base(p)
	if library(base) {
		return !distribution(p)
	}
	if strings.HasSuffix(base, ".exe") || strings.HasSuffix(base, ".dll") {
		return true
	}
	if dataFile(base) {
		return false
	}
	return info.Mode()&0o111 != 0 || programDir(p)
}

// library reports whether a base name is a shared library's: libx.so, libx.so.1.2, libx.dylib.
func library(base string) bool {
	return strings.HasSuffix(base, ".so") || strings.Contains(base, ".so.") || strings.HasSuffix(base, ".dylib")
}

// distribution reports whether a path lies where only distributions install.
func distribution(p string) bool {
	if strings.HasPrefix(p, "usr/") {
		return !strings.HasPrefix(p, "usr/local/")
	}
	for _, dir := range [...]string{"bin/", "sbin/", "lib/", "lib64/", "lib32/"} {
		if strings.HasPrefix(p, dir) {
			return true
		}
	}
	return false
}

// programDir reports whether a file lies directly in a bin, sbin or libexec directory.
func programDir(p string) bool {
	dir := p[:max(strings.LastIndexByte(p, '/'), 0)]
	switch dir[strings.LastIndexByte(dir, '/')+1:] {
	case "bin", "sbin", "libexec":
		return true
	}
	return false
}

// dataFile reports whether a base name ends like a script or a data file, which
// are often marked executable.
func dataFile(base string) bool {
	dot := strings.LastIndexByte(base, '.')
	if dot < 0 {
		return false
	}
	switch base[dot+1:] {
	case "sh", "bash", "py", "pyc", "pl", "pm", "rb", "js", "mjs", "cjs", "ts", "map", "php", "lua", "tcl", "awk",
		"json", "yaml", "yml", "toml", "xml", "html", "htm", "css", "md", "txt", "rst", "conf", "cfg", "ini", "csv", "log",
		"jar", "war", "ear", "class", "zip", "gz", "xz", "bz2", "zst", "tar", "tgz", "whl", "gem", "deb", "rpm",
		"png", "jpg", "jpeg", "gif", "svg", "ico", "woff", "woff2", "ttf", "pdf", "mo", "po", "ko", "o", "a", "h", "c", "go", "cmd", "bat", "ps1", "service", "db", "sqlite":
		return true
	}
	return false
}

// format is the container of machine code a file is in.
type format uint8

const (
	formatNone format = iota
	formatELF
	formatPE
	formatMachO
)

// formatOf judges by the first four bytes.
func formatOf(head []byte) format {
	if len(head) < 4 {
		return formatNone
	}
	switch {
	case string(head[:4]) == "\x7fELF":
		return formatELF
	case string(head[:2]) == "MZ":
		return formatPE
	}
	switch string(head[:4]) {
	case "\xfe\xed\xfa\xce", "\xfe\xed\xfa\xcf", "\xce\xfa\xed\xfe", "\xcf\xfa\xed\xfe", "\xca\xfe\xba\xbe", "\xca\xfe\xba\xbf":
		return formatMachO
	}
	return formatNone
}

// head reads the first four bytes of an opened file.
func head(c seawall.Content) format {
	var b [4]byte
	if n, _ := c.ReadAt(b[:], 0); n < len(b) {
		return formatNone
	}
	return formatOf(b[:])
}

// boundedELF reports whether content is an ELF program whose section table has
// its length in the header: at most 65,535 sections. Longer ones ("extended
// numbering") are only in object files, and would let a file decide how much
// memory its table takes.
func boundedELF(c seawall.Content) bool {
	var h [64]byte
	if n, _ := c.ReadAt(h[:], 0); n < len(h) || formatOf(h[:]) != formatELF {
		return false
	}
	var order binary.ByteOrder = binary.LittleEndian
	if h[5] == 2 {
		order = binary.BigEndian
	}
	if h[4] == 1 { // 32 bits
		return order.Uint16(h[0x30:]) != 0 || order.Uint32(h[0x20:]) == 0
	}
	return order.Uint16(h[0x3c:]) != 0 || order.Uint64(h[0x28:]) == 0
}

// generic makes the package of a program no registry knows.
func generic(ecosystem, name, version, file string) seawall.Fact {
	return seawall.Fact{Package: &seawall.Package{
		Name:      name,
		Version:   version,
		Ecosystem: ecosystem,
		PURL:      packageurl.NewPackageURL("generic", "", name, version, nil, "").ToString(),
		Kind:      "binary",
		Locations: []seawall.Location{{Path: file}},
	}}
}
