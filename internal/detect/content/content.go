// Package content finds files that are no malware and still do not belong into
// an image: programs that give privileges, system files anybody may write,
// hidden programs, tools of attackers, compilers and package managers.
//
// The Collector decides by path and mode alone and opens only what looks wrong;
// the Detector turns its matches into findings, one for each file, but one for
// all compilers and one for all package managers of an image.
package content

import (
	"archive/tar"
	"context"
	"encoding/binary"
	"io"
	"io/fs"
	"strings"

	"github.com/seawall-security/seawall/internal/seawall"
)

// The rules.
const (
	ruleSetuid       = "SW-IMG-101"
	ruleSetuidKnown  = "SW-IMG-102"
	ruleCapabilities = "SW-IMG-103"
	ruleWritable     = "SW-IMG-104"
	ruleHidden       = "SW-IMG-105"
	ruleTemporary    = "SW-IMG-106"
	ruleOffensive    = "SW-IMG-107"
	ruleDualUse      = "SW-IMG-108"
	ruleCompiler     = "SW-IMG-109"
	ruleManager      = "SW-IMG-110"
)

// Collector finds the files. It is stateless.
type Collector struct{}

// Name is the collector's name.
func (Collector) Name() string { return "content" }

// Version changes with the rules.
func (Collector) Version() int { return 1 }

// List notes the system's directories anybody may write, where nobody's files
// are safe from being removed: those without the sticky bit.
func (Collector) List(path string, info fs.FileInfo) *seawall.Fact {
	mode := info.Mode()
	if !mode.IsDir() || mode&0o002 == 0 || mode&fs.ModeSticky != 0 || !isSystem(path+"/") {
		return nil
	}
	return &seawall.Fact{Match: &seawall.Match{Kind: seawall.KindMisconfiguration, Rule: ruleWritable, Evidence: "mode " + mode.String(), Location: seawall.Location{Path: path}}}
}

// Wants asks for the files one of the rules may be about.
func (Collector) Wants(path string, info fs.FileInfo) bool {
	mode := info.Mode()
	switch {
	case mode&fs.ModeSymlink != 0:
		return inBin(path) && toolRule(base(path)) != ""
	case !mode.IsRegular():
		return false
	case mode&(fs.ModeSetuid|fs.ModeSetgid) != 0, mode&0o002 != 0 && isSystem(path):
		return true
	case mode&0o111 == 0:
		return false
	}
	return strings.HasPrefix(base(path), ".") || isTemporary(path) || inBin(path) && toolRule(base(path)) != "" ||
		len(capability(info)) > 0
}

// Collect emits what is wrong with a file.
func (Collector) Collect(_ context.Context, f seawall.File) ([]seawall.Fact, error) {
	var facts []seawall.Fact
	add := func(rule, evidence string) {
		facts = append(facts, seawall.Fact{Match: &seawall.Match{Kind: seawall.KindMisconfiguration, Rule: rule, Evidence: evidence}})
	}
	name, mode := base(f.Path), f.Info.Mode()
	if inBin(f.Path) && mode&(0o111|fs.ModeSymlink) != 0 {
		if rule := toolRule(name); rule != "" {
			add(rule, name)
		}
	}
	if !mode.IsRegular() {
		return facts, nil
	}
	if mode&(fs.ModeSetuid|fs.ModeSetgid) != 0 && mode&0o111 != 0 {
		rule := ruleSetuid
		if isSystem(f.Path) && isKnownSetuid(name) {
			rule = ruleSetuidKnown
		}
		add(rule, "mode "+mode.String())
	}
	if caps := capability(f.Info); len(caps) > 0 {
		add(ruleCapabilities, capabilityNames(caps))
	}
	if mode&0o002 != 0 && isSystem(f.Path) {
		add(ruleWritable, "mode "+mode.String())
	}
	hidden, temporary := strings.HasPrefix(name, "."), isTemporary(f.Path)
	if !hidden && !temporary || mode&0o111 == 0 {
		return facts, nil
	}
	kind, err := programKind(f.Content)
	switch {
	case err != nil:
		return facts, err
	case kind == "":
	case hidden && (isSystem(f.Path) || temporary):
		add(ruleHidden, kind)
	case temporary:
		add(ruleTemporary, kind)
	}
	return facts, nil
}

// programKind names what would run: "" is nothing.
func programKind(content io.ReaderAt) (string, error) {
	var magic [4]byte
	n, err := content.ReadAt(magic[:], 0)
	switch {
	case err != nil && err != io.EOF:
		return "", err
	case string(magic[:n]) == "\x7fELF":
		return "ELF program", nil
	case n >= 2 && string(magic[:2]) == "#!":
		return "script", nil
	}
	return "", nil
}

// capability is the extended attribute security.capability of a file, from the
// archive it is in or from what its source read with it.
func capability(info fs.FileInfo) []byte {
	switch i := info.(type) {
	case interface{ Capability() []byte }:
		return i.Capability()
	default:
		if h, ok := info.Sys().(*tar.Header); ok {
			return []byte(h.PAXRecords["SCHILY.xattr.security.capability"])
		}
	}
	return nil
}

// capabilityNames spells out the permitted set of an attribute as capabilities(7)
// describes it: a revision and flags, then pairs of 32 bits, permitted and inheritable.
func capabilityNames(attribute []byte) string {
	if len(attribute) < 8 {
		return "unreadable capabilities"
	}
	permitted := uint64(binary.LittleEndian.Uint32(attribute[4:]))
	if len(attribute) >= 16 {
		permitted |= uint64(binary.LittleEndian.Uint32(attribute[12:])) << 32
	}
	var names []string
	for i, name := range capabilities() {
		if permitted&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return "no permitted capabilities"
	}
	return strings.Join(names, " ")
}

func base(path string) string { return path[strings.LastIndexByte(path, '/')+1:] }

// inBin tells whether a path is in a directory programs are run from.
func inBin(path string) bool {
	dir := strings.TrimSuffix(path, base(path))
	return strings.HasSuffix(dir, "bin/")
}

// isSystem tells whether a path belongs to the system rather than to an application's data.
func isSystem(path string) bool {
	first, _, nested := strings.Cut(path, "/")
	switch first {
	case "bin", "sbin", "lib", "lib32", "lib64", "libx32", "usr", "etc", "boot", "root":
		return nested
	}
	return false
}

func isTemporary(path string) bool {
	return strings.HasPrefix(path, "tmp/") || strings.HasPrefix(path, "var/tmp/") || strings.HasPrefix(path, "dev/")
}
