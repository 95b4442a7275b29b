package rpmdb

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"

	"github.com/seawall-security/seawall/internal/seawall"
)

// Tags and types of a header, as rpmtag.h of rpm numbers them
// (https://rpm-software-management.github.io/rpm/manual/tags.html).
const (
	tagName            = 1000
	tagVersion         = 1001
	tagRelease         = 1002
	tagEpoch           = 1003
	tagVendor          = 1011
	tagLicense         = 1014
	tagArch            = 1022
	tagOldFileNames    = 1027
	tagFileModes       = 1030
	tagSourceRPM       = 1044
	tagDirIndexes      = 1116
	tagBaseNames       = 1117
	tagDirNames        = 1118
	tagModularityLabel = 5096

	typeInt16       = 3
	typeInt32       = 4
	typeString      = 6
	typeStringArray = 8
	typeI18NString  = 9

	// maxTags is rpm's own limit.
	maxTags = 0xffff
	// maxFiles bounds the files of one package; kernel sources have 80,000.
	maxFiles = 1 << 20
	// maxPath bounds a directory and a name; PATH_MAX is 4096.
	maxPath = 4096
	// maxRatio bounds the bytes of all paths by those of the header, which has
	// every directory once. Deep trees of many small files come to 5.
	maxRatio = 64
)

// Package is what the header of an installed package says.
type Package struct {
	Name, Version, Release string
	// Epoch is "" where there is none; rpm then compares as with 0.
	Epoch string
	Arch  string
	// SourceRPM is the file name of the source package: "bash-5.1.8-6.el9.src.rpm".
	SourceRPM string
	Vendor    string
	License   string
	// ModularityLabel is "name:stream:version:context:arch" for a module's packages.
	ModularityLabel string

	data  []byte
	files fileTags
	dirs  [][]byte // scratch of Files
	path  []byte   // scratch of Files
}

// value is where a tag's values lie.
type value struct {
	kind   uint32
	offset uint32
	count  uint32
}

// parse reads a header blob as databases hold it: the number of index entries
// and of data bytes, the entries, the data; all numbers big endian.
func (p *Package) parse(blob []byte) error {
	if len(blob) < 8 {
		return corrupt("a header of %d bytes", len(blob))
	}
	entries, size := binary.BigEndian.Uint32(blob), binary.BigEndian.Uint32(blob[4:])
	if entries == 0 || entries > maxTags || 8+16*uint64(entries)+uint64(size) > uint64(len(blob)) {
		return corrupt("a header with %d tags and %d bytes of data in %d bytes", entries, size, len(blob))
	}
	last := *p
	*p = Package{dirs: last.dirs, path: last.path, data: blob[8+16*entries:][:size]}
	var t tags
	t.read(blob[8 : 8+16*entries])
	p.files = t.files
	p.Name, p.Version, p.Release = p.text(t.name, ""), p.text(t.version, ""), p.text(t.release, "")
	p.SourceRPM, p.ModularityLabel = p.text(t.sourceRPM, ""), p.text(t.module, "")
	p.Arch, p.Vendor, p.License = p.text(t.arch, last.Arch), p.text(t.vendor, last.Vendor), p.text(t.license, last.License)
	if n := p.numbers(t.epoch, typeInt32, 4); len(n) >= 4 {
		p.Epoch = strconv.FormatUint(uint64(binary.BigEndian.Uint32(n)), 10)
	}
	if p.Name == "" || p.Version == "" || p.Release == "" {
		return corrupt("a header without name, version or release")
	}
	return nil
}

// tags is where the values of the tags lie that are used.
type tags struct {
	name, version, release, epoch, arch, vendor, license, sourceRPM, module value

	files fileTags
}

// fileTags describe the file list: one path for each file in old packages,
// else a directory by number and a base name.
type fileTags struct{ oldNames, modes, dirIndexes, baseNames, dirNames value }

func (t *tags) read(index []byte) {
	for ; len(index) > 0; index = index[16:] {
		if v := t.of(binary.BigEndian.Uint32(index)); v != nil {
			*v = value{binary.BigEndian.Uint32(index[4:]), binary.BigEndian.Uint32(index[8:]), binary.BigEndian.Uint32(index[12:])}
		}
	}
}

// of returns where to keep a tag; nil for one that is not used.
func (t *tags) of(tag uint32) *value {
	switch tag {
	case tagName:
		return &t.name
	case tagVersion:
		return &t.version
	case tagRelease:
		return &t.release
	case tagEpoch:
		return &t.epoch
	case tagVendor:
		return &t.vendor
	case tagLicense:
		return &t.license
	case tagArch:
		return &t.arch
	case tagSourceRPM:
		return &t.sourceRPM
	case tagModularityLabel:
		return &t.module
	case tagOldFileNames:
		return &t.files.oldNames
	case tagFileModes:
		return &t.files.modes
	case tagDirIndexes:
		return &t.files.dirIndexes
	case tagBaseNames:
		return &t.files.baseNames
	case tagDirNames:
		return &t.files.dirNames
	}
	return nil
}

// text reads a string, the first one of several; "" when there is none. When it
// is the same as last, which most packages of a distribution share, last is returned.
func (p *Package) text(v value, last string) string {
	if v.kind != typeString && v.kind != typeStringArray && v.kind != typeI18NString || v.offset >= uint32(len(p.data)) {
		return ""
	}
	text, _, terminated := bytes.Cut(p.data[v.offset:], []byte{0})
	switch {
	case !terminated:
		return ""
	case string(text) == last:
		return last
	}
	return string(text)
}

// numbers returns the bytes of an array of numbers; nil when it is not whole.
func (p *Package) numbers(v value, kind uint32, width uint64) []byte {
	end := uint64(v.offset) + width*uint64(v.count)
	if v.kind != kind || end > uint64(len(p.data)) {
		return nil
	}
	return p.data[v.offset:end]
}

// FullVersion is "[epoch:]version-release", the epoch left out when it is 0.
func (p *Package) FullVersion() string {
	if p.Epoch == "" || p.Epoch == "0" {
		return p.Version + "-" + p.Release
	}
	return p.Epoch + ":" + p.Version + "-" + p.Release
}

// SplitSource splits the file name of a source package, "bash-5.1.8-6.el9.src.rpm",
// into name and "version-release"; both are "" when it is not of that form.
func SplitSource(file string) (name, version string) {
	file, ok := strings.CutSuffix(file, ".rpm")
	if !ok {
		return "", ""
	}
	if dot := strings.LastIndexByte(file, '.'); dot > 0 {
		file = file[:dot] // .src, .nosrc
	}
	release := strings.LastIndexByte(file, '-')
	if release <= 0 {
		return "", ""
	}
	if v := strings.LastIndexByte(file[:release], '-'); v > 0 {
		return file[:v], file[v+1:]
	}
	return "", ""
}

// Module is "name:stream" of the modularity label.
func (p *Package) Module() string {
	name, rest, ok := strings.Cut(p.ModularityLabel, ":")
	if !ok {
		return ""
	}
	stream, _, _ := strings.Cut(rest, ":")
	return name + ":" + stream
}

// Files calls file with the absolute path and the mode (st_mode, 0 when not
// recorded) of every file the package owns. The path is valid until file
// returns. Lists that contradict themselves or are over a bound are an error
// after what could be read.
func (p *Package) Files(file func(path []byte, mode uint16)) error {
	modes := p.numbers(p.files.modes, typeInt16, 2)
	mode := func(i int) uint16 {
		if 2*i+2 > len(modes) {
			return 0
		}
		return binary.BigEndian.Uint16(modes[2*i:])
	}
	if p.files.baseNames.count == 0 {
		return p.eachString(p.files.oldNames, func(i int, name []byte) error {
			file(name, mode(i))
			return nil
		})
	}
	p.dirs = p.dirs[:0]
	err := p.eachString(p.files.dirNames, func(_ int, name []byte) error {
		p.dirs = append(p.dirs, name)
		return nil
	})
	if err != nil {
		return err
	}
	index, room := p.numbers(p.files.dirIndexes, typeInt32, 4), maxRatio*len(p.data)
	return p.eachString(p.files.baseNames, func(i int, name []byte) error {
		if 4*i+4 > len(index) {
			return corrupt("the file list of %s has no directory for file %d", p.Name, i)
		}
		dir := binary.BigEndian.Uint32(index[4*i:])
		if uint64(dir) >= uint64(len(p.dirs)) {
			return corrupt("the file list of %s has no directory %d", p.Name, dir)
		}
		p.path = append(append(p.path[:0], p.dirs[dir]...), name...)
		if room -= len(p.path); room < 0 {
			return fmt.Errorf("the file list of %s is %d times its header: %w", p.Name, maxRatio, seawall.ErrBound)
		}
		file(p.path, mode(i))
		return nil
	})
}

// eachString calls f with every string of an array.
func (p *Package) eachString(v value, f func(i int, s []byte) error) error {
	if v.count == 0 {
		return nil
	}
	if v.count > maxFiles {
		return fmt.Errorf("%s owns %d files, %d are allowed: %w", p.Name, v.count, maxFiles, seawall.ErrBound)
	}
	if v.kind != typeStringArray || v.offset >= uint32(len(p.data)) {
		return corrupt("a list of %s is no list", p.Name)
	}
	rest := p.data[v.offset:]
	for i := range int(v.count) {
		end := bytes.IndexByte(rest, 0)
		if end < 0 || end > maxPath {
			return corrupt("a list of %s ends after %d of %d", p.Name, i, v.count)
		}
		if err := f(i, rest[:end]); err != nil {
			return err
		}
		rest = rest[end+1:]
	}
	return nil
}
