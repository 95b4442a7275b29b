package db

import (
	"container/list"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"iter"
	"os"
	"slices"
	"strings"
	"sync"
	"unsafe"

	"github.com/klauspost/compress/zstd"
	"github.com/seawall-security/seawall/internal/advisory"
	"github.com/seawall-security/seawall/internal/seawall"
)

// Reader is an open database. It implements advisory.Lookup.
type Reader struct {
	data    []byte
	origin  string
	signed  bool
	close   func() error
	table   *table
	places  map[string][]place // by ecosystem
	decoder func() (*zstd.Decoder, error)
	cache   cache
}

var _ advisory.Lookup = (*Reader)(nil)

// place is an ecosystem's part of a section.
type place struct {
	section uint32
	*ecosystem
}

// Open maps a database file. With a key the file must carry its signature;
// without one any file is taken and Info says unsigned. Errors wrap
// seawall.ErrUnreadable or ErrCorrupt.
func Open(path string, key ed25519.PublicKey) (*Reader, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("database: %w: %w", seawall.ErrUnreadable, err)
	}
	defer f.Close()
	data, unmap, err := mapFile(f)
	if err != nil {
		return nil, fmt.Errorf("database %s: %w: %w", path, seawall.ErrUnreadable, err)
	}
	r, err := New(data, path, key)
	if err != nil {
		_ = unmap()
		return nil, fmt.Errorf("database %s: %w", path, err)
	}
	r.close = unmap
	return r, nil
}

// New opens a database in memory, such as one embedded in the program; data
// must not change. origin is what Info says it came from.
func New(data []byte, origin string, key ed25519.PublicKey) (*Reader, error) {
	h, err := parseHeader(data)
	if err != nil {
		return nil, err
	}
	size := uint64(len(data))
	if h.tableLength > maxTable || h.tableOffset > size || uint64(h.tableLength) > size-h.tableOffset {
		return nil, fmt.Errorf("cut off: %d bytes, the table of contents ends at %d: %w", size, h.tableOffset+uint64(h.tableLength), seawall.ErrCorrupt)
	}
	end := h.tableOffset + uint64(h.tableLength)
	contents := data[h.tableOffset:end]
	if sha256.Sum256(contents) != h.tableSum {
		return nil, fmt.Errorf("the table of contents does not match its checksum: %w", seawall.ErrCorrupt)
	}
	if key != nil && !ed25519.Verify(key, append([]byte(signedText), data[:headerSize]...), data[end:]) {
		return nil, seawall.WithHint(fmt.Errorf("no signature of the configured key: %w", seawall.ErrCorrupt),
			"fetch the database again from a source you trust, or correct the configured key")
	}
	t, err := parseTable(contents, h.tableOffset)
	if err != nil {
		return nil, err
	}
	r := &Reader{data: data, origin: origin, signed: key != nil, table: t, places: map[string][]place{}}
	r.cache.blocks = map[uint64]*list.Element{}
	r.decoder = sync.OnceValues(func() (*zstd.Decoder, error) {
		return zstd.NewReader(nil, zstd.WithDecoderMaxMemory(maxBlock), zstd.WithDecoderConcurrency(0))
	})
	for i := range t.sections {
		for j := range t.sections[i].ecosystems {
			e := &t.sections[i].ecosystems[j]
			r.places[e.name] = append(r.places[e.name], place{uint32(i), e})
		}
	}
	return r, nil
}

// CopyTo writes the database as it is, signature included.
func (r *Reader) CopyTo(w io.Writer) error {
	_, err := w.Write(r.data)
	return err
}

// Close releases the file. The reader must not be used afterwards.
func (r *Reader) Close() error {
	if r.close == nil {
		return nil
	}
	return r.close()
}

// Info implements advisory.Lookup.
func (r *Reader) Info() seawall.DatabaseInfo {
	info := seawall.DatabaseInfo{Built: r.table.built, Origin: r.origin, Signed: r.signed}
	for _, s := range r.table.sections {
		if s.kind != sectionScores {
			info.Sources = append(info.Sources, s.source)
		}
	}
	return info
}

// Advisories is how many advisories the file holds; scores of CVEs are none.
func (r *Reader) Advisories() int {
	n := 0
	for _, s := range r.table.sections {
		if s.kind == sectionAdvisories {
			n += s.source.Advisories
		}
	}
	return n
}

// Feeds lists the feeds in the file, sorted.
func (r *Reader) Feeds() []string {
	var names []string
	for _, s := range r.table.sections {
		if s.kind != sectionScores {
			names = append(names, s.feed)
		}
	}
	return slices.Compact(names)
}

// Ecosystem is what a database holds for one ecosystem and release.
type Ecosystem struct {
	Name string `json:"name"`
	// Packages and Statements are summed over the feeds.
	Packages   int `json:"packages"`
	Statements int `json:"statements"`
}

// Ecosystems lists what the database can judge, sorted by name.
func (r *Reader) Ecosystems() []Ecosystem {
	var list []Ecosystem
	for name, places := range r.places {
		e := Ecosystem{Name: name}
		for _, p := range places {
			e.Packages += int(p.count)
			e.Statements += int(p.statements)
		}
		list = append(list, e)
	}
	slices.SortFunc(list, func(a, b Ecosystem) int { return strings.Compare(a.Name, b.Name) })
	return list
}

// Covers says whether the database holds any advisory for the ecosystem.
func (r *Reader) Covers(ecosystem string) bool { return len(r.places[ecosystem]) > 0 }

// Sources implements advisory.Lookup.
func (r *Reader) Sources(ecosystem string) []string {
	var names []string
	for _, p := range r.places[ecosystem] {
		names = append(names, r.table.sections[p.section].source.Name)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// Find implements advisory.Lookup.
func (r *Reader) Find(ecosystem, name string) ([]advisory.Match, error) {
	var found []advisory.Match
	if len(r.places[ecosystem]) == 0 {
		return nil, nil
	}
	name = advisory.Canonical(ecosystem, name)
	for _, p := range r.places[ecosystem] {
		s := &r.table.sections[p.section]
		body, err := r.findPackage(s, p.ecosystem, name)
		if err != nil {
			return nil, fmt.Errorf("%s %s in feed %s: %w", ecosystem, name, s.feed, err)
		}
		if body == "" {
			continue
		}
		if found, err = decodeStatements(found, body, p, name); err != nil {
			return nil, fmt.Errorf("%s %s in feed %s: %w", ecosystem, name, s.feed, err)
		}
	}
	return found, nil
}

func decodeStatements(found []advisory.Match, body string, p place, name string) ([]advisory.Match, error) {
	c := cursor{rest: body}
	n := c.count()
	var chunk []advisory.Affected // grows with what was read, not with what the count claims
	for i := 0; i < n && !c.bad; i++ {
		if len(chunk) == 0 {
			chunk = make([]advisory.Affected, min(n-i, 64))
		}
		f := &chunk[0]
		chunk = chunk[1:]
		number := c.uint32()
		f.Ecosystem, f.Name = p.name, name
		withdrawn := c.affected(f)
		if !withdrawn {
			found = append(found, advisory.Match{Affected: f, Advisory: advisory.Ref{Section: p.section, Index: number}})
		}
	}
	if c.bad {
		return nil, fmt.Errorf("statements: %w", seawall.ErrCorrupt)
	}
	return found, nil
}

// findPackage returns the encoded statements on a package, "" when there are none.
func (r *Reader) findPackage(s *section, e *ecosystem, name string) (string, error) {
	body := r.body(s)
	entries := body[e.offset:][:int(e.blocks)*directoryEntry]
	names := body[e.names:][:e.namesLength]
	// The block that can hold the name is the last one that does not start after it.
	low, high := 0, int(e.blocks)
	for low < high {
		mid := (low + high) / 2
		from := binary.LittleEndian.Uint32(entries[mid*directoryEntry:])
		to := e.namesLength
		if mid+1 < int(e.blocks) {
			to = binary.LittleEndian.Uint32(entries[(mid+1)*directoryEntry:])
		}
		if from > to || to > e.namesLength {
			return "", fmt.Errorf("directory: %w", seawall.ErrCorrupt)
		}
		if string(names[from:to]) > name {
			high = mid
		} else {
			low = mid + 1
		}
	}
	if low == 0 {
		return "", nil
	}
	block, err := r.block(s, entries, low-1)
	if err != nil {
		return "", err
	}
	c := cursor{rest: block}
	for c.rest != "" {
		at := c.string()
		statements := c.string()
		if at == name {
			return statements, nil
		}
		if at > name {
			break
		}
	}
	if c.bad {
		return "", fmt.Errorf("package block: %w", seawall.ErrCorrupt)
	}
	return "", nil
}

// Advisory implements advisory.Lookup.
func (r *Reader) Advisory(ref advisory.Ref) (*advisory.Advisory, error) {
	if int(ref.Section) >= len(r.table.sections) {
		return nil, fmt.Errorf("advisory %v: %w", ref, seawall.ErrCorrupt)
	}
	s := &r.table.sections[ref.Section]
	if ref.Index >= s.advisories.count {
		return nil, fmt.Errorf("advisory %d of feed %s: %w", ref.Index, s.feed, seawall.ErrCorrupt)
	}
	entries := r.body(s)[s.advisories.offset:][:int(s.advisories.blocks)*directoryEntry]
	low, high := 0, int(s.advisories.blocks)
	for low < high {
		mid := (low + high) / 2
		if binary.LittleEndian.Uint32(entries[mid*directoryEntry:]) > ref.Index {
			high = mid
		} else {
			low = mid + 1
		}
	}
	if low == 0 {
		return nil, fmt.Errorf("advisory %d of feed %s: %w", ref.Index, s.feed, seawall.ErrCorrupt)
	}
	block, err := r.block(s, entries, low-1)
	if err != nil {
		return nil, fmt.Errorf("feed %s: %w", s.feed, err)
	}
	c := cursor{rest: block}
	for range ref.Index - binary.LittleEndian.Uint32(entries[(low-1)*directoryEntry:]) {
		if c.string(); c.bad {
			break
		}
	}
	one := cursor{rest: c.string()}
	a := one.advisory()
	if c.bad || one.bad {
		return nil, fmt.Errorf("advisory %d of feed %s: %w", ref.Index, s.feed, seawall.ErrCorrupt)
	}
	return a, nil
}

// Exploitation implements advisory.Lookup.
func (r *Reader) Exploitation(cve string) advisory.Exploitation {
	var e advisory.Exploitation
	key, ok := cveKey(cve)
	if !ok {
		return e
	}
	for i := range r.table.sections {
		s := &r.table.sections[i]
		v, ok := findRecord(r.body(s)[:int(s.records)*exploitationEntry], key)
		switch {
		case !ok:
		case s.kind == sectionScores:
			e.Score = unpackScore(v, r.table.sections)
		default:
			unpackExploitation(v, &e)
		}
	}
	return e
}

// Verify reads the whole file once and checks every section's checksum.
func (r *Reader) Verify() error {
	for i := range r.table.sections {
		s := &r.table.sections[i]
		if sha256.Sum256(r.body(s)) != s.sum {
			return fmt.Errorf("feed %s does not match its checksum: %w", s.feed, seawall.ErrCorrupt)
		}
	}
	return nil
}

// Select yields the advisories for which match is true, with their statements,
// feed by feed, in an order that depends on nothing but the content; nil matches all. It reads every
// block: for export and search, not for matching packages.
func (r *Reader) Select(match func(*advisory.Advisory) bool) iter.Seq2[*advisory.Advisory, error] {
	return func(yield func(*advisory.Advisory, error) bool) {
		for i := range r.table.sections {
			for a, err := range r.selectFrom(&r.table.sections[i], match) {
				if !yield(a, err) || err != nil {
					return
				}
			}
		}
	}
}

// selectFrom is Select for one section.
func (r *Reader) selectFrom(s *section, match func(*advisory.Advisory) bool) iter.Seq2[*advisory.Advisory, error] {
	return func(yield func(*advisory.Advisory, error) bool) {
		selected := map[uint32]*advisory.Advisory{}
		var order []*advisory.Advisory
		err := r.eachAdvisory(s, func(number uint32, a *advisory.Advisory) {
			if match == nil || match(a) {
				selected[number] = a
				order = append(order, a)
			}
		})
		if err == nil && len(order) > 0 {
			err = r.eachStatement(s, func(number uint32, f *advisory.Affected) {
				if a := selected[number]; a != nil {
					a.Affected = append(a.Affected, *f)
				}
			})
		}
		if err != nil {
			yield(nil, fmt.Errorf("feed %s: %w", s.feed, err))
			return
		}
		for _, a := range order {
			if !yield(a, nil) {
				return
			}
		}
	}
}

// eachAdvisory decodes every advisory of a section.
func (r *Reader) eachAdvisory(s *section, visit func(uint32, *advisory.Advisory)) error {
	entries := r.body(s)[s.advisories.offset:][:int(s.advisories.blocks)*directoryEntry]
	number := uint32(0)
	for i := range int(s.advisories.blocks) {
		block, err := r.inflate(s, entries, i)
		if err != nil {
			return err
		}
		for c := (cursor{rest: block}); c.rest != ""; number++ {
			one := cursor{rest: c.string()}
			a := one.advisory()
			if c.bad || one.bad {
				return fmt.Errorf("advisory %d: %w", number, seawall.ErrCorrupt)
			}
			visit(number, a)
		}
	}
	return nil
}

// eachStatement decodes every statement of a section.
func (r *Reader) eachStatement(s *section, visit func(uint32, *advisory.Affected)) error {
	for i := range s.ecosystems {
		e := &s.ecosystems[i]
		entries := r.body(s)[e.offset:][:int(e.blocks)*directoryEntry]
		for j := range int(e.blocks) {
			block, err := r.inflate(s, entries, j)
			if err != nil {
				return err
			}
			for c := (cursor{rest: block}); c.rest != ""; {
				name := c.string()
				one := cursor{rest: c.string()}
				for range one.count() {
					number := one.uint32()
					f := advisory.Affected{Ecosystem: e.name, Name: name}
					one.affected(&f)
					if one.bad {
						break
					}
					visit(number, &f)
				}
				if c.bad || one.bad {
					return fmt.Errorf("statements on %s %s: %w", e.name, name, seawall.ErrCorrupt)
				}
			}
		}
	}
	return nil
}

// body is a section's bytes; parseTable checked that they are there.
func (r *Reader) body(s *section) []byte { return r.data[s.offset:][:s.length] }

// block returns an inflated block, from the cache where it is there.
func (r *Reader) block(s *section, entries []byte, i int) (string, error) {
	at := s.offset + uint64(binary.LittleEndian.Uint32(entries[i*directoryEntry+4:]))
	if block, ok := r.cache.get(at); ok {
		return block, nil
	}
	block, err := r.inflate(s, entries, i)
	if err != nil {
		return "", err
	}
	r.cache.put(at, block)
	return block, nil
}

func (r *Reader) inflate(s *section, entries []byte, i int) (string, error) {
	e := entries[i*directoryEntry:]
	offset, length, size := binary.LittleEndian.Uint32(e[4:]), binary.LittleEndian.Uint32(e[8:]), binary.LittleEndian.Uint32(e[12:])
	if uint64(offset) > s.length || uint64(length) > s.length-uint64(offset) || size == 0 || size > maxBlock {
		return "", fmt.Errorf("block %d lies outside its section: %w", i, seawall.ErrCorrupt)
	}
	decoder, err := r.decoder()
	if err != nil {
		return "", err
	}
	// A block never inflates to more than about 2,000 times its size in practice;
	// the buffer grows from what the compressed data can pay for.
	out, err := decoder.DecodeAll(r.body(s)[offset:][:length], make([]byte, 0, min(size, length*64)))
	if err != nil || uint32(len(out)) != size {
		return "", fmt.Errorf("block %d: %w", i, seawall.ErrCorrupt)
	}
	return unsafe.String(unsafe.SliceData(out), len(out)), nil // out is never written again
}
