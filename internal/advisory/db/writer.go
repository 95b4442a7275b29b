package db

import (
	"cmp"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"

	"github.com/klauspost/compress/zstd"
	"github.com/seawall-security/seawall/internal/advisory"
	"github.com/seawall-security/seawall/internal/seawall"
)

// Options are what a builder decides about a file.
type Options struct {
	// Built is the time shown in reports, RFC 3339.
	Built string
	// AllExploitation keeps KEV and EPSS entries of CVEs that no advisory names.
	AllExploitation bool
	// Key signs the file; nil leaves it unsigned.
	Key ed25519.PrivateKey
}

// Writer collects records and writes a database. The same records in the same
// order give the same bytes. It keeps them encoded, about as large as the
// inflated file.
type Writer struct {
	options Options
	feeds   map[string]*feed
	kept    []keptSection
	aliases map[string][]string
	cves    map[uint32]bool
	scores  map[uint32]score
}

// keptSection is a section of an older file that goes into this one as it is.
type keptSection struct {
	reader *Reader
	*section
}

// feed is what was added for one feed.
type feed struct {
	source       seawall.DatabaseSource
	data         []byte // encoded advisories and statements
	advisories   []encodedAdvisory
	statements   []encodedStatement
	exploitation map[uint32]uint64
}

type encodedAdvisory struct {
	id         string
	start, end int
}

type encodedStatement struct {
	ecosystem, name string
	advisory        int
	start, end      int
}

// NewWriter returns an empty database.
func NewWriter(o Options) *Writer {
	return &Writer{
		options: o, feeds: map[string]*feed{}, aliases: map[string][]string{}, cves: map[uint32]bool{}, scores: map[uint32]score{},
	}
}

// Add takes one record of a feed. A feed is replaced as a whole by a later
// update, so it names what is fetched as a whole ("go", "osv/npm", "epss").
// Advisories of one feed with the same identifier become one.
func (w *Writer) Add(name string, r advisory.Record) error {
	switch {
	case r.Source != nil:
		w.feed(name).source = *r.Source
	case r.Advisory != nil:
		w.note(name, r.Advisory)
		return w.feed(name).add(r.Advisory)
	case r.Exploitation != nil:
		return w.feed(name).addExploitation(r.CVE, r.Exploitation)
	case r.Alias[0] != "" && r.Alias[1] != "":
		for i, id := range r.Alias {
			w.aliases[id] = append(w.aliases[id], r.Alias[1-i])
		}
	}
	return nil
}

func (w *Writer) feed(name string) *feed {
	f := w.feeds[name]
	if f == nil {
		f = &feed{exploitation: map[uint32]uint64{}}
		w.feeds[name] = f
	}
	return f
}

// Keep copies the sections of an older database, byte for byte, for which keep
// is true and which nothing is added to. r must stay open until WriteTo returns.
func (w *Writer) Keep(r *Reader, keep func(feed string) bool) {
	for i := range r.table.sections {
		if s := &r.table.sections[i]; s.kind != sectionScores && keep(s.feed) {
			w.kept = append(w.kept, keptSection{r, s})
		}
	}
}

// note remembers what the sections derived from the others need of an advisory.
func (w *Writer) note(feed string, a *advisory.Advisory) {
	for _, key := range cves(a) {
		w.cves[key] = true
	}
	w.noteScores(feed, a, a.CVSS)
	for i := range a.Affected {
		w.noteScores(feed, a, a.Affected[i].CVSS)
	}
}

func (f *feed) add(a *advisory.Advisory) error {
	number := len(f.advisories)
	start := len(f.data)
	f.data = appendAdvisory(f.data, a)
	f.advisories = append(f.advisories, encodedAdvisory{strings.Clone(a.ID), start, len(f.data)})
	for i := range a.Affected {
		statement := &a.Affected[i]
		start = len(f.data)
		data, err := appendAffected(f.data, statement, a.Withdrawn != "")
		if err != nil {
			return fmt.Errorf("%s, %s %s: %w", a.ID, statement.Ecosystem, statement.Name, err)
		}
		f.data = data
		f.statements = append(f.statements, encodedStatement{
			strings.Clone(statement.Ecosystem), strings.Clone(advisory.Canonical(statement.Ecosystem, statement.Name)), number, start, len(data),
		})
	}
	return nil
}

// addExploitation keeps what is known of a CVE; identifiers of another form are not kept, nothing refers to them.
func (f *feed) addExploitation(cve string, e *advisory.Exploitation) error {
	key, ok := cveKey(cve)
	if !ok {
		return nil
	}
	v, err := packExploitation(e)
	if err != nil {
		return fmt.Errorf("%s: %w", cve, err)
	}
	f.exploitation[key] |= v
	return nil
}

// WriteTo writes the file. It may be called once.
func (w *Writer) WriteTo(out io.Writer) (int64, error) {
	encoder, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedBestCompression), zstd.WithEncoderConcurrency(1))
	if err != nil {
		return 0, err
	}
	if err := w.noteKept(); err != nil {
		return 0, err
	}
	t := table{built: w.options.Built}
	var bodies [][]byte
	offset := uint64(headerSize)
	emit := func(s section, body []byte) {
		s.offset, s.length = offset, uint64(len(body))
		offset += s.length
		t.sections = append(t.sections, s)
		bodies = append(bodies, body)
	}
	for _, name := range w.names() {
		if f := w.feeds[name]; f != nil {
			sections, contents, err := w.encode(name, f, encoder)
			if err != nil {
				return 0, fmt.Errorf("feed %s: %w", name, err)
			}
			for i, s := range sections {
				emit(s, contents[i])
			}
			continue
		}
		for _, k := range w.kept {
			if k.feed == name {
				emit(*k.section, k.reader.body(k.section))
			}
		}
	}
	if len(w.scores) > 0 {
		values := make(map[uint32]uint64, len(w.scores))
		for key, s := range w.scores {
			values[key] = s.pack(t.sections)
		}
		body := encodeRecords(values, func(uint32) bool { return true })
		emit(section{kind: sectionScores, sum: sha256.Sum256(body), records: uint32(len(values))}, body)
	}
	return w.write(out, t, bodies, offset)
}

// names lists the feeds added and kept, sorted.
func (w *Writer) names() []string {
	var names []string
	for name := range w.feeds {
		names = append(names, name)
	}
	for _, k := range w.kept {
		names = append(names, k.feed)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func (w *Writer) write(out io.Writer, t table, bodies [][]byte, offset uint64) (int64, error) {
	contents := t.append(nil)
	h := header{uint32(len(contents)), offset, sha256.Sum256(contents)}
	head := h.append(nil)
	parts := append([][]byte{head}, bodies...)
	parts = append(parts, contents)
	if w.options.Key != nil {
		parts = append(parts, ed25519.Sign(w.options.Key, append([]byte(signedText), head...)))
	}
	var written int64
	for _, p := range parts {
		n, err := out.Write(p)
		written += int64(n)
		if err != nil {
			return written, err
		}
	}
	return written, nil
}

// noteKept does for the sections kept what Add does for records. Those of feeds written anew are not kept after all.
func (w *Writer) noteKept() error {
	for _, k := range w.kept {
		if w.feeds[k.feed] != nil {
			continue
		}
		for a, err := range k.reader.selectFrom(k.section, nil) {
			if err != nil {
				return err
			}
			w.note(k.feed, a)
		}
	}
	return nil
}

// encode turns a feed into its sections: one of advisories, one of exploitation data, as far as it has them.
func (w *Writer) encode(name string, f *feed, z *zstd.Encoder) (sections []section, bodies [][]byte, err error) {
	source := f.source
	if source.Name == "" {
		source.Name = name
	}
	if len(f.advisories) > 0 || len(f.exploitation) == 0 {
		s := section{kind: sectionAdvisories, feed: name, source: source}
		b := builder{zstd: z}
		numbers := b.advisories(w, f, &s)
		b.packages(f, numbers, &s)
		if len(b.body) > math.MaxUint32 {
			return nil, nil, fmt.Errorf("%d bytes of advisories: %w", len(b.body), seawall.ErrBound)
		}
		if b.over > 0 {
			return nil, nil, fmt.Errorf("one package with %d bytes of statements: %w", b.over, seawall.ErrBound)
		}
		s.source.Advisories = int(s.advisories.count)
		s.sum = sha256.Sum256(b.body)
		sections, bodies = append(sections, s), append(bodies, b.body)
	}
	if len(f.exploitation) > 0 {
		body := encodeRecords(f.exploitation, func(key uint32) bool { return w.options.AllExploitation || w.cves[key] })
		s := section{kind: sectionExploitation, feed: name, source: source, records: uint32(len(body) / exploitationEntry)}
		s.source.Advisories = int(s.records)
		s.sum = sha256.Sum256(body)
		sections, bodies = append(sections, s), append(bodies, body)
	}
	return sections, bodies, nil
}

// builder writes the body of one advisory section.
type builder struct {
	zstd *zstd.Encoder
	body []byte
	over int // size of a block over the bound, 0 when none is
}

// blocks collects entries into blocks of about size bytes and returns their directory entries.
type blocks struct {
	b         *builder
	size      int
	raw       []byte
	key       uint32 // of the block being filled
	directory []byte
	count     uint32 // blocks written
}

// add appends an entry; key is called for the first entry of a block.
func (k *blocks) add(entry []byte, key func() uint32) {
	if len(k.raw) == 0 {
		k.key = key()
	}
	k.raw = append(k.raw, entry...)
	if len(k.raw) >= k.size {
		k.flush()
	}
}

func (k *blocks) flush() {
	if len(k.raw) == 0 {
		return
	}
	if len(k.raw) > maxBlock {
		k.b.over = len(k.raw)
	}
	start := len(k.b.body)
	k.b.body = k.b.zstd.EncodeAll(k.raw, k.b.body)
	for _, v := range [...]uint32{k.key, uint32(start), uint32(len(k.b.body) - start), uint32(len(k.raw))} {
		k.directory = binary.LittleEndian.AppendUint32(k.directory, v)
	}
	k.count++
	k.raw = k.raw[:0]
}

// finish writes the directory into the body.
func (k *blocks) finish() (offset uint32) {
	k.flush()
	offset = uint32(len(k.b.body))
	k.b.body = append(k.b.body, k.directory...)
	return offset
}

// homes returns for each identifier the first package it is about: advisories
// are written by package, so that those of one package lie in one block.
func (f *feed) homes() map[string]string {
	homes := make(map[string]string, len(f.advisories))
	for _, s := range f.statements {
		id, home := f.advisories[s.advisory].id, s.ecosystem+"\x00"+s.name
		if known, ok := homes[id]; !ok || home < known {
			homes[id] = home
		}
	}
	return homes
}

// advisories writes the advisories, merging those of one identifier, and
// returns the number each was given.
func (b *builder) advisories(w *Writer, f *feed, s *section) (numbers []uint32) {
	homes := f.homes()
	order := make([]int, len(f.advisories))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(i, j int) int {
		x, y := f.advisories[i].id, f.advisories[j].id
		return cmp.Or(strings.Compare(homes[x], homes[y]), strings.Compare(x, y))
	})
	numbers = make([]uint32, len(order))
	k := blocks{b: b, size: advisoryBlock}
	var entry []byte
	for i := 0; i < len(order); {
		j := i
		for ; j < len(order) && f.advisories[order[j]].id == f.advisories[order[i]].id; j++ {
			numbers[order[j]] = s.advisories.count
		}
		data := f.merged(order[i:j], w.aliases)
		entry = append(binary.AppendUvarint(entry[:0], uint64(len(data))), data...)
		k.add(entry, func() uint32 { return s.advisories.count })
		s.advisories.count++
		i = j
	}
	s.advisories.offset = k.finish()
	s.advisories.blocks = k.count
	return numbers
}

// merged returns the encoding of one advisory or of several with one identifier.
func (f *feed) merged(same []int, aliases map[string][]string) []byte {
	firstOne := f.advisories[same[0]]
	data := f.data[firstOne.start:firstOne.end]
	more := aliases[firstOne.id]
	if len(same) == 1 && more == nil {
		return data
	}
	a := decodeAdvisory(data)
	for _, i := range same[1:] {
		o := decodeAdvisory(f.data[f.advisories[i].start:f.advisories[i].end])
		a.Aliases, a.Upstream, a.Related = union(a.Aliases, o.Aliases), union(a.Upstream, o.Upstream), union(a.Related, o.Related)
		a.CWEs, a.References = union(a.CWEs, o.CWEs), union(a.References, o.References)
		a.Severity = max(a.Severity, o.Severity)
		a.Summary, a.Published, a.Modified = cmp.Or(a.Summary, o.Summary), cmp.Or(a.Published, o.Published), max(a.Modified, o.Modified)
		for _, c := range o.CVSS {
			if !slices.Contains(a.CVSS, c) {
				a.CVSS = append(a.CVSS, c)
			}
		}
		if o.Withdrawn == "" {
			a.Withdrawn = ""
		}
	}
	a.Aliases = union(a.Aliases, more)
	return appendAdvisory(nil, a)
}

func decodeAdvisory(data []byte) *advisory.Advisory {
	c := cursor{rest: string(data)}
	return c.advisory()
}

func union(a, b []string) []string {
	for _, s := range b {
		if !slices.Contains(a, s) {
			a = append(a, s)
		}
	}
	return a
}

// packages writes the statements by ecosystem, name and advisory; equal statements become one.
func (b *builder) packages(f *feed, numbers []uint32, s *section) {
	list := f.statements
	slices.SortStableFunc(list, func(x, y encodedStatement) int {
		return cmp.Or(strings.Compare(x.ecosystem, y.ecosystem), strings.Compare(x.name, y.name), cmp.Compare(numbers[x.advisory], numbers[y.advisory]))
	})
	for len(list) > 0 {
		n := 0
		for n < len(list) && list[n].ecosystem == list[0].ecosystem {
			n++
		}
		s.ecosystems = append(s.ecosystems, b.ecosystem(f, numbers, list[:n]))
		list = list[n:]
	}
}

func (b *builder) ecosystem(f *feed, numbers []uint32, list []encodedStatement) ecosystem {
	e := ecosystem{name: list[0].ecosystem}
	k := blocks{b: b, size: packageBlock}
	var names, entry, statements []byte
	for len(list) > 0 {
		name := list[0].name
		count := 0
		var last []byte
		statements = statements[:0]
		n := 0
		for ; n < len(list) && list[n].name == name; n++ {
			data := f.data[list[n].start:list[n].end]
			if n > 0 && numbers[list[n].advisory] == numbers[list[n-1].advisory] && string(data) == string(last) {
				continue
			}
			statements = binary.AppendUvarint(statements, uint64(numbers[list[n].advisory]))
			statements = append(statements, data...)
			last = data
			count++
		}
		entry = appendString(entry[:0], name)
		body := binary.AppendUvarint(nil, uint64(count))
		entry = binary.AppendUvarint(entry, uint64(len(body)+len(statements)))
		entry = append(append(entry, body...), statements...)
		k.add(entry, func() uint32 {
			at := uint32(len(names))
			names = append(names, name...)
			return at
		})
		e.count++
		e.statements += uint32(count)
		list = list[n:]
	}
	e.offset = k.finish()
	e.blocks = k.count
	e.names, e.namesLength = uint32(len(b.body)), uint32(len(names))
	b.body = append(b.body, names...)
	return e
}
