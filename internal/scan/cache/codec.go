package cache

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"maps"
	"slices"

	"github.com/seawall-security/seawall/internal/inventory"
	"github.com/seawall-security/seawall/internal/seawall"
)

// An entry is
//
//	format, checksum (CRC-32C of the rest, 4 bytes)
//	strings: count, their lengths, their bytes
//	values, where a string is its index in the table
//
// Numbers are varints, path hashes 8 bytes; little-endian throughout. The
// table makes the many equal strings of a layer one each, and all of them one
// allocation when read. Change the format's digit with any change of layout.
const format = "seawall-layer-4\n"

var errDamaged = errors.New("damaged cache entry")

const headerSize = len(format) + 4

// The numbers that say which kind of fact follows. Objects are stated by targets
// without layers and never cached.
const (
	packageFact = iota + 1
	fileFact
	configFact
	signatureFact
	matchFact
)

type encoder struct {
	index   map[string]uint64
	strings []string
	body    []byte
}

func encode(l *inventory.LayerFacts) []byte {
	e := &encoder{index: map[string]uint64{}}
	e.layer(l)
	size := headerSize + len(e.body)
	for _, s := range e.strings {
		size += len(s) + 2
	}
	out := append(make([]byte, 0, size), format...)
	out = append(out, 0, 0, 0, 0)
	out = binary.AppendUvarint(out, uint64(len(e.strings)))
	for _, s := range e.strings {
		out = binary.AppendUvarint(out, uint64(len(s)))
	}
	for _, s := range e.strings {
		out = append(out, s...)
	}
	out = append(out, e.body...)
	binary.LittleEndian.PutUint32(out[len(format):], checksum(out[headerSize:]))
	return out
}

func checksum(b []byte) uint32 { return crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)) }

func (e *encoder) number(n uint64) { e.body = binary.AppendUvarint(e.body, n) }

func (e *encoder) flag(v bool) {
	if v {
		e.number(1)
	} else {
		e.number(0)
	}
}

func (e *encoder) string(s string) {
	i, ok := e.index[s]
	if !ok {
		i = uint64(len(e.strings))
		e.index[s] = i
		e.strings = append(e.strings, s)
	}
	e.number(i)
}

func (e *encoder) stringList(list []string) {
	e.number(uint64(len(list)))
	for _, s := range list {
		e.string(s)
	}
}

func (e *encoder) stringMap(m map[string]string) {
	e.number(uint64(len(m)))
	for _, k := range slices.Sorted(maps.Keys(m)) {
		e.string(k)
		e.string(m[k])
	}
}

func (e *encoder) hashes(list []uint64) {
	e.number(uint64(len(list)))
	for _, h := range list {
		e.body = binary.LittleEndian.AppendUint64(e.body, h)
	}
}

func (e *encoder) layer(l *inventory.LayerFacts) {
	e.hashes(l.Paths)
	e.hashes(l.Dirs)
	e.stringList(l.Whiteouts)
	e.stringList(l.Opaques)
	e.number(uint64(len(l.Tallies)))
	for i := range l.Tallies {
		e.problems(&l.Tallies[i].Problems)
	}
	facts, packages, locations := totals(l)
	e.number(facts)
	e.number(packages)
	e.number(locations)
	e.number(uint64(len(l.Files)))
	for i := range l.Files {
		f := &l.Files[i]
		e.string(f.Path)
		e.number(uint64(f.Collector))
		e.number(uint64(len(f.Facts)))
		for j := range f.Facts {
			e.fact(&f.Facts[j])
		}
	}
}

// totals lets the decoder allocate each kind at once.
func totals(l *inventory.LayerFacts) (facts, packages, locations uint64) {
	for i := range l.Files {
		facts += uint64(len(l.Files[i].Facts))
		for j := range l.Files[i].Facts {
			if p := l.Files[i].Facts[j].Package; p != nil {
				packages++
				locations += uint64(len(p.Locations))
			}
		}
	}
	return facts, packages, locations
}

func (e *encoder) problems(p *inventory.Problems) {
	e.number(uint64(p.Count))
	e.number(uint64(len(p.First)))
	for _, one := range p.First {
		e.string(one.Path)
		e.string(one.Reason)
	}
}

func (e *encoder) fact(f *seawall.Fact) {
	switch {
	case f.Package != nil:
		e.number(packageFact)
		e.pkg(f.Package)
	case f.File != nil:
		e.number(fileFact)
		e.string(f.File.Path)
		e.string(f.File.Owner)
		e.string(f.File.Kind)
		e.number(uint64(f.File.Mode))
		e.number(uint64(f.File.UID))
		e.number(uint64(f.File.GID))
		e.number(uint64(f.File.Size))
	case f.Config != nil:
		e.number(configFact)
		e.string(f.Config.Kind)
		e.string(f.Config.Path)
		e.string(f.Config.Layer)
		e.stringMap(f.Config.Data)
	case f.Signature != nil:
		e.number(signatureFact)
		e.string(f.Signature.Digest)
		e.string(f.Signature.Kind)
		e.string(f.Signature.Signer)
		e.string(f.Signature.Issuer)
		e.string(f.Signature.Builder)
	case f.Match != nil:
		e.number(matchFact)
		e.string(string(f.Match.Kind))
		e.string(f.Match.Rule)
		e.location(&f.Match.Location)
		e.string(f.Match.Evidence)
		e.string(f.Match.Fingerprint)
		e.stringMap(f.Match.Data)
		e.flag(f.Match.Hidden)
	default:
		e.number(0)
	}
}

func (e *encoder) pkg(p *seawall.Package) {
	for _, s := range packageStrings(p) {
		e.string(*s)
	}
	e.stringList(p.Licenses)
	e.flag(p.Dev)
	e.flag(p.Declared)
	e.number(uint64(len(p.Locations)))
	for i := range p.Locations {
		e.location(&p.Locations[i])
	}
}

func (e *encoder) location(l *seawall.Location) {
	for _, s := range locationStrings(l) {
		e.string(*s)
	}
	e.number(uint64(l.Line))
}

// packageStrings are a package's string fields in the order they are stored.
func packageStrings(p *seawall.Package) [12]*string {
	return [...]*string{
		&p.Asset, &p.Name, &p.Version, &p.Ecosystem, &p.PURL, &p.Source, &p.SourceVersion,
		&p.Arch, &p.Module, &p.Vendor, &p.Owner, &p.Kind,
	}
}

func locationStrings(l *seawall.Location) [5]*string {
	return [...]*string{&l.Path, &l.Inner, &l.Layer, &l.Resource, &l.Field}
}

// decoder reads what encoder wrote. The first damage ends it: rest is emptied
// and every later read gives zero.
type decoder struct {
	rest    []byte
	strings []string
	damaged bool

	facts     slab[seawall.Fact]
	packages  slab[seawall.Package]
	locations slab[seawall.Location]
}

// slab hands out parts of one allocation.
type slab[T any] []T

// take returns the next n values, nil when there are not as many.
func (s *slab[T]) take(n int) []T {
	if n > len(*s) {
		return nil
	}
	part := (*s)[:n:n]
	*s = (*s)[n:]
	return part
}

func decode(data []byte) (*inventory.LayerFacts, error) {
	if len(data) < headerSize || string(data[:len(format)]) != format {
		return nil, fmt.Errorf("%w: not a layer of this version", errDamaged)
	}
	body := data[headerSize:]
	if binary.LittleEndian.Uint32(data[len(format):]) != checksum(body) {
		return nil, fmt.Errorf("%w: wrong checksum", errDamaged)
	}
	d := &decoder{rest: body}
	d.table()
	l := d.layer()
	if d.damaged || len(d.rest) > 0 {
		return nil, fmt.Errorf("%w: wrong layout", errDamaged)
	}
	return l, nil
}

func (d *decoder) fail() { d.damaged, d.rest = true, nil }

func (d *decoder) number() uint64 {
	n, size := binary.Uvarint(d.rest)
	if size <= 0 {
		d.fail()
		return 0
	}
	d.rest = d.rest[size:]
	return n
}

// count reads the length of a list whose elements take at least size bytes each.
func (d *decoder) count(size int) int {
	n := d.number()
	if n > uint64(len(d.rest)/size) {
		d.fail()
		return 0
	}
	return int(n)
}

func (d *decoder) flag() bool { return d.number() == 1 }

func (d *decoder) table() {
	d.strings = make([]string, d.count(1))
	ends := make([]int, len(d.strings))
	end := 0
	for i := range ends {
		n := d.number()
		if n > uint64(len(d.rest)-end) {
			d.fail()
			return
		}
		end += int(n)
		ends[i] = end
	}
	if end > len(d.rest) {
		d.fail()
		return
	}
	all := string(d.rest[:end])
	d.rest = d.rest[end:]
	start := 0
	for i, end := range ends {
		d.strings[i] = all[start:end]
		start = end
	}
}

func (d *decoder) string() string {
	i := d.number()
	if i >= uint64(len(d.strings)) {
		d.fail()
		return ""
	}
	return d.strings[i]
}

func (d *decoder) stringList() []string {
	n := d.count(1)
	if n == 0 {
		return nil
	}
	list := make([]string, n)
	for i := range list {
		list[i] = d.string()
	}
	return list
}

func (d *decoder) stringMap() map[string]string {
	n := d.count(2)
	if n == 0 {
		return nil
	}
	m := make(map[string]string, n)
	for range n {
		k := d.string()
		m[k] = d.string()
	}
	return m
}

func (d *decoder) hashes() []uint64 {
	list := make([]uint64, d.count(8))
	for i := range list {
		list[i] = binary.LittleEndian.Uint64(d.rest)
		d.rest = d.rest[8:]
	}
	return list
}

func (d *decoder) layer() *inventory.LayerFacts {
	l := &inventory.LayerFacts{
		Paths: d.hashes(), Dirs: d.hashes(), Whiteouts: d.stringList(), Opaques: d.stringList(),
	}
	l.Tallies = make([]inventory.Tally, d.count(2))
	for i := range l.Tallies {
		l.Tallies[i].Problems = d.problems()
	}
	d.facts = make([]seawall.Fact, d.count(1))
	d.packages = make([]seawall.Package, d.count(15))
	d.locations = make([]seawall.Location, d.count(6))
	l.Files = make([]inventory.FileFacts, d.count(3))
	for i := range l.Files {
		f := &l.Files[i]
		f.Path, f.Collector = d.string(), int(d.number())
		if f.Collector < 0 || f.Collector >= len(l.Tallies) {
			d.fail()
			return l
		}
		n := d.count(1)
		if f.Facts = d.facts.take(n); len(f.Facts) < n {
			d.fail()
			return l
		}
		for j := range f.Facts {
			d.fact(&f.Facts[j])
		}
	}
	return l
}

func (d *decoder) problems() inventory.Problems {
	p := inventory.Problems{Count: int(d.number())}
	n := d.count(2)
	for range n {
		p.First = append(p.First, inventory.Problem{Path: d.string(), Reason: d.string()})
	}
	return p
}

func (d *decoder) fact(f *seawall.Fact) {
	switch d.number() {
	case packageFact:
		f.Package = d.pkg()
	case fileFact:
		f.File = &seawall.FileFact{
			Path: d.string(), Owner: d.string(), Kind: d.string(), Mode: uint32(d.number()),
			UID: uint32(d.number()), GID: uint32(d.number()), Size: int64(d.number()),
		}
	case configFact:
		f.Config = &seawall.ConfigFact{Kind: d.string(), Path: d.string(), Layer: d.string(), Data: d.stringMap()}
	case signatureFact:
		f.Signature = &seawall.Signature{Digest: d.string(), Kind: d.string(), Signer: d.string(), Issuer: d.string(), Builder: d.string()}
	case matchFact:
		f.Match = &seawall.Match{
			Kind: seawall.FindingKind(d.string()), Rule: d.string(), Location: d.location(),
			Evidence: d.string(), Fingerprint: d.string(), Data: d.stringMap(), Hidden: d.flag(),
		}
	}
}

func (d *decoder) pkg() *seawall.Package {
	one := d.packages.take(1)
	if one == nil {
		d.fail()
		return nil
	}
	p := &one[0]
	for _, s := range packageStrings(p) {
		*s = d.string()
	}
	p.Licenses = d.stringList()
	p.Dev, p.Declared = d.flag(), d.flag()
	n := d.count(6)
	if p.Locations = d.locations.take(n); len(p.Locations) < n {
		d.fail()
		return nil
	}
	for i := range p.Locations {
		p.Locations[i] = d.location()
	}
	return p
}

func (d *decoder) location() (l seawall.Location) {
	for _, s := range locationStrings(&l) {
		*s = d.string()
	}
	l.Line = int(d.number())
	return l
}
