// Package db is the advisory database: one immutable file that is looked
// things up in where it lies, mapped from disk or embedded in the program.
//
// A file is a header, one section per feed, and a table of contents. A feed is
// the unit of update: replacing one writes its section anew and copies the
// others byte for byte. A section of advisories holds two kinds of zstd block:
//
//   - advisory blocks: what an advisory says of itself (aliases, scores, dates,
//     references), those of one package side by side;
//   - package blocks: per ecosystem the packages in the order of their canonical
//     names, each with its statements (ranges, versions, states), which point at
//     advisories by number.
//
// A lookup searches a fixed-width directory for the one block that can hold the
// name, inflates it, and decodes that package alone; advisory blocks are read
// only for statements that match. Opening reads the header and the table of
// contents and nothing else. A section of exploitation data (KEV, EPSS) is a
// sorted array of fixed-width records, searched in place. So is the last section,
// which is made anew with every file: a score for each CVE that any advisory
// scores, for the sources that give none.
//
// The header carries the SHA-256 of the table of contents, which carries those
// of the sections; an ed25519 signature of the header therefore covers the
// file. Open checks header, table and signature; Verify also checks every
// section and is for files that just arrived. Blocks carry zstd's own checksum
// and every length read from a file is checked against what is there.
//
// Data flows: advisory.Record -> Writer.Add -> file -> Reader (advisory.Lookup).
package db

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"

	"github.com/seawall-security/seawall/internal/seawall"
)

const (
	// formatVersion is the version of the file format; a reader refuses others.
	formatVersion = 1

	magic      = "SWADVDB\n"
	headerSize = 64
	// signedText goes before the header in what is signed, so that a signature
	// of something else never passes for one of a database.
	signedText = "seawall advisory database\n"

	// Blocks end once they reach this size before compression, or with the first entry over it.
	packageBlock  = 16 << 10
	advisoryBlock = 16 << 10

	// maxBlock bounds an inflated block: one package with all its statements.
	maxBlock = 16 << 20
	maxTable = 16 << 20

	directoryEntry    = 16
	exploitationEntry = 12
)

// header is the first 64 bytes: magic, version, table length, table offset, table SHA-256, zeros.
type header struct {
	tableLength uint32
	tableOffset uint64
	tableSum    [sha256.Size]byte
}

func (h header) append(b []byte) []byte {
	b = append(b, magic...)
	b = binary.LittleEndian.AppendUint32(b, formatVersion)
	b = binary.LittleEndian.AppendUint32(b, h.tableLength)
	b = binary.LittleEndian.AppendUint64(b, h.tableOffset)
	b = append(b, h.tableSum[:]...)
	return append(b, make([]byte, headerSize-len(magic)-4-4-8-sha256.Size)...)
}

func parseHeader(b []byte) (h header, err error) {
	if len(b) < headerSize || string(b[:len(magic)]) != magic {
		return h, seawall.WithHint(fmt.Errorf("not an advisory database: %w", seawall.ErrCorrupt), "seawall db build --from DIR --out FILE makes one")
	}
	if v := binary.LittleEndian.Uint32(b[8:]); v != formatVersion {
		return h, seawall.WithHint(fmt.Errorf("advisory database of format %d, this program reads %d: %w", v, formatVersion, seawall.ErrCorrupt),
			"run seawall db update with this version of seawall")
	}
	h.tableLength = binary.LittleEndian.Uint32(b[12:])
	h.tableOffset = binary.LittleEndian.Uint64(b[16:])
	copy(h.tableSum[:], b[24:])
	return h, nil
}

type sectionKind uint8

const (
	sectionAdvisories sectionKind = iota
	sectionExploitation
	// sectionScores is derived from the others: one score for each CVE some advisory scores.
	sectionScores
)

// section is one feed's entry in the table of contents.
type section struct {
	kind   sectionKind
	feed   string
	source seawall.DatabaseSource
	offset uint64
	length uint64
	sum    [sha256.Size]byte

	// Of an advisory section, relative to its start:
	advisories directory
	ecosystems []ecosystem
	// Of a section of exploitation data or scores: how many records it is.
	records uint32
}

// directory places blocks: entries of 16 bytes (key, block offset, compressed
// length, inflated length). key is an advisory number, or where the block's
// first name starts in the ecosystem's names.
type directory struct {
	offset uint32
	blocks uint32
	count  uint32 // what the blocks hold together: advisories or packages
}

type ecosystem struct {
	name string
	directory
	names       uint32 // offset of the first names of the blocks, one after the other
	namesLength uint32
	statements  uint32
}

// table is the table of contents.
type table struct {
	built    string
	sections []section
}

func (t *table) append(b []byte) []byte {
	b = appendString(b, t.built)
	b = binary.AppendUvarint(b, uint64(len(t.sections)))
	for i := range t.sections {
		b = t.sections[i].append(b)
	}
	return b
}

func (s *section) append(b []byte) []byte {
	b = append(b, byte(s.kind))
	b = appendString(b, s.feed)
	b = appendString(b, s.source.Name)
	b = appendString(b, s.source.Updated)
	b = appendString(b, s.source.Licence)
	b = binary.AppendUvarint(b, uint64(s.source.Advisories))
	b = binary.AppendUvarint(b, s.offset)
	b = binary.AppendUvarint(b, s.length)
	b = append(b, s.sum[:]...)
	b = binary.AppendUvarint(b, uint64(s.records))
	b = s.advisories.append(b)
	b = binary.AppendUvarint(b, uint64(len(s.ecosystems)))
	for _, e := range s.ecosystems {
		b = appendString(b, e.name)
		b = e.directory.append(b)
		b = binary.AppendUvarint(b, uint64(e.names))
		b = binary.AppendUvarint(b, uint64(e.namesLength))
		b = binary.AppendUvarint(b, uint64(e.statements))
	}
	return b
}

func (d directory) append(b []byte) []byte {
	b = binary.AppendUvarint(b, uint64(d.offset))
	b = binary.AppendUvarint(b, uint64(d.blocks))
	return binary.AppendUvarint(b, uint64(d.count))
}

// parseTable reads the table of contents of a file of the given size and checks
// that everything it points at lies inside.
func parseTable(b []byte, size uint64) (*table, error) {
	c := cursor{rest: string(b)}
	t := &table{built: c.string()}
	for range c.count() {
		s := section{kind: sectionKind(c.byte()), feed: c.string()}
		s.source = seawall.DatabaseSource{Name: c.string(), Updated: c.string(), Licence: c.string(), Advisories: int(c.uint32())}
		s.offset, s.length = c.uvarint(), c.uvarint()
		copy(s.sum[:], c.take(sha256.Size))
		s.records = c.uint32()
		s.advisories = c.directory()
		for range c.count() {
			e := ecosystem{name: c.string(), directory: c.directory()}
			e.names, e.namesLength, e.statements = c.uint32(), c.uint32(), c.uint32()
			s.ecosystems = append(s.ecosystems, e)
		}
		if c.bad {
			break
		}
		if !s.inside(size) {
			return nil, fmt.Errorf("section %q reaches beyond its bounds: %w", s.feed, seawall.ErrCorrupt)
		}
		t.sections = append(t.sections, s)
	}
	if c.bad || c.rest != "" {
		return nil, fmt.Errorf("table of contents: %w", seawall.ErrCorrupt)
	}
	return t, nil
}

func (s *section) inside(size uint64) bool {
	fits := func(offset, length uint64) bool { return offset <= s.length && length <= s.length-offset }
	if s.kind > sectionScores || s.offset > size || s.length > size-s.offset {
		return false
	}
	if !fits(0, uint64(s.records)*exploitationEntry) || !fits(uint64(s.advisories.offset), uint64(s.advisories.blocks)*directoryEntry) {
		return false
	}
	for _, e := range s.ecosystems {
		if !fits(uint64(e.offset), uint64(e.blocks)*directoryEntry) || !fits(uint64(e.names), uint64(e.namesLength)) {
			return false
		}
	}
	return true
}
