// Package build turns trees of raw advisory files into records: `seawall db
// build` and the second half of `seawall db update`.
//
// Data flows: a directory or file -> archives opened where they are met (tar,
// zip, gzip, zstd, bzip2; nested; bounded) -> each document shown to the
// importers, which recognise it by content -> records, thinned (enumerated
// versions a range already holds, texts whose licence or the caller forbids) -> the Sink, usually the database writer. A damaged document is
// noted with its place and the rest goes on; only the Sink's own errors stop a build.
package build

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/seawall-security/seawall/internal/advisory"
	"github.com/seawall-security/seawall/internal/seawall"
)

// Options configure a Run.
type Options struct {
	Importers []advisory.Importer
	// Sink receives every record to store, under the feed it belongs to. Its errors end the build.
	Sink func(feed string, r advisory.Record) error
	// Feed overrides the feed of every record; "" takes the source's name.
	Feed string
	// FactsOnly leaves out all texts; otherwise they are kept where KeepsText allows.
	FactsOnly bool
	// Progress, when set, is told the documents read so far, now and then.
	Progress func(documents int)
	// Bounds guard against hostile archives; zero values mean the defaults.
	Bounds Bounds
}

// Bounds of what is opened, per file of the tree.
type Bounds struct {
	// Depth is how deep archives may nest; Bytes how much all of them may inflate
	// to; Entries how many members they may have together.
	Depth   int
	Bytes   int64
	Entries int
	// Spool is the size of a zip archive inside another archive, which is copied to a temporary file.
	Spool int64
}

func (b Bounds) orDefault() Bounds {
	if b.Depth == 0 {
		b.Depth = 6
	}
	if b.Bytes == 0 {
		b.Bytes = 64 << 30
	}
	if b.Entries == 0 {
		b.Entries = 5_000_000
	}
	if b.Spool == 0 {
		b.Spool = 4 << 30
	}
	return b
}

// Damage is one document that could not be read, or not to its end.
type Damage struct {
	// Place is the path below the directory given, members of archives after "!".
	Place string
	Err   error
}

// Report is what a build came to.
type Report struct {
	// Documents counts what was shown to the importers; Formats those read, by importer.
	Documents int
	Formats   map[string]int
	// Unrecognized and Damaged list the rest, in the order met.
	Unrecognized []string
	Damaged      []Damage
	// Skipped counts the parts of entries left out, by reason.
	Skipped map[string]int
	// Sources sums up what was stored, by name; entries with one identifier count once.
	Sources []seawall.DatabaseSource
	// Scores counts CVEs with exploitation data.
	Scores int
}

// Advisories is how many advisories were stored.
func (r *Report) Advisories() int {
	n := 0
	for _, s := range r.Sources {
		n += s.Advisories
	}
	return n
}

// Run reads path, a file or a directory whose files are taken in the order of
// their names. The error is the Sink's, the context's, or that path cannot be
// read; damage of single documents is in the report.
func Run(ctx context.Context, path string, o Options) (*Report, error) {
	o.Bounds = o.Bounds.orDefault()
	b := &builder{
		options: o,
		report:  &Report{Formats: map[string]int{}, Skipped: map[string]int{}},
		sources: map[string]*seawall.DatabaseSource{},
		seen:    map[string]struct{}{},
	}
	err := filepath.WalkDir(path, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			if name == path {
				return fmt.Errorf("%w: %w", seawall.ErrUnreadable, err)
			}
			b.damage(relative(path, name), err)
			return nil
		}
		if d.IsDir() || ctx.Err() != nil {
			return ctx.Err()
		}
		return b.top(ctx, relative(path, name), name)
	})
	if err != nil {
		return b.report, err
	}
	return b.report, b.finish()
}

// finish sums up the sources and tells the Sink of them.
func (b *builder) finish() error {
	whole := seawall.DatabaseSource{Name: b.options.Feed}
	for _, name := range slices.Sorted(maps.Keys(b.sources)) {
		s := *b.sources[name]
		b.report.Sources = append(b.report.Sources, s)
		if b.options.Feed == "" {
			if err := b.options.Sink(name, advisory.Record{Source: &s}); err != nil {
				return err
			}
			continue
		}
		whole.Updated = max(whole.Updated, s.Updated)
		if whole.Licence == "" {
			whole.Licence = s.Licence
		} else if s.Licence != "" && !strings.Contains(whole.Licence, s.Licence) {
			whole.Licence += " AND " + s.Licence
		}
	}
	if b.options.Feed == "" || len(b.sources) == 0 {
		return nil
	}
	return b.options.Sink(b.options.Feed, advisory.Record{Source: &whole})
}

func relative(root, name string) string {
	if rel, err := filepath.Rel(root, name); err == nil && rel != "." {
		return filepath.ToSlash(rel)
	}
	return filepath.Base(name)
}

type builder struct {
	options Options
	report  *Report
	sources map[string]*seawall.DatabaseSource
	// seen holds the identifiers met, by source: an entry often lies in several
	// files (one per release, an index, an archive beside its content).
	seen map[string]struct{}
	last advisory.Importer
}

// sinkError marks an error that ends the build.
type sinkError struct{ error }

func (e sinkError) Unwrap() error { return e.error }

// top reads one file of the tree.
func (b *builder) top(ctx context.Context, place, name string) error {
	f, err := os.Open(name)
	if err != nil {
		b.damage(place, err)
		return nil
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		b.damage(place, errors.Join(err, errors.New("not a regular file")))
		return nil
	}
	o := &opener{ctx: ctx, bounds: b.options.Bounds, document: b.document, damage: b.damage}
	return o.open(place, f, 0)
}

func (b *builder) damage(place string, err error) {
	b.report.Damaged = append(b.report.Damaged, Damage{place, err})
}

// document shows one file to the importers.
func (b *builder) document(ctx context.Context, place string, head []byte, r io.Reader) error {
	b.report.Documents++
	if b.options.Progress != nil && b.report.Documents%256 == 0 {
		b.options.Progress(b.report.Documents)
	}
	importer := b.recognize(place, head)
	if importer == nil {
		b.report.Unrecognized = append(b.report.Unrecognized, place)
		return nil
	}
	err := importer.Import(ctx, place, r, func(rec advisory.Record) error {
		if err := b.record(importer.Name(), rec); err != nil {
			return sinkError{err}
		}
		return nil
	})
	var fatal sinkError
	switch {
	case err == nil:
		b.report.Formats[importer.Name()]++
	case errors.As(err, &fatal):
		return fatal.error
	case ctx.Err() != nil:
		return ctx.Err()
	default:
		b.damage(place, err)
	}
	return nil
}

// recognize asks the importer of the document before first: files of a format come together.
func (b *builder) recognize(place string, head []byte) advisory.Importer {
	if b.last != nil && b.last.Recognizes(place, head) {
		return b.last
	}
	for _, i := range b.options.Importers {
		if i.Recognizes(place, head) {
			b.last = i
			return i
		}
	}
	return nil
}

func (b *builder) record(format string, r advisory.Record) error {
	feed := b.options.Feed
	switch {
	case r.Skipped != "":
		b.report.Skipped[r.Skipped]++
		return nil
	case r.Source != nil:
		s := b.source(r.Source.Name)
		s.Updated = max(s.Updated, r.Source.Updated)
		if r.Source.Licence != "" {
			s.Licence = r.Source.Licence
		}
		return nil
	case r.Advisory != nil:
		b.thin(r.Advisory)
		if feed == "" {
			feed = r.Advisory.Source
		}
		s := b.source(r.Advisory.Source)
		s.Updated = max(s.Updated, r.Advisory.Modified)
		if id := r.Advisory.Source + " " + r.Advisory.ID; !b.met(id) {
			s.Advisories++
		}
	default:
		b.report.Scores++
		if feed == "" {
			feed = format
		}
	}
	return b.options.Sink(feed, r)
}

func (b *builder) met(id string) bool {
	_, met := b.seen[id]
	b.seen[id] = struct{}{}
	return met
}

func (b *builder) source(name string) *seawall.DatabaseSource {
	s := b.sources[name]
	if s == nil {
		s = &seawall.DatabaseSource{Name: name, Licence: licence(name)}
		b.sources[name] = s
	}
	return s
}

// thin drops what need not or must not be stored.
func (b *builder) thin(a *advisory.Advisory) {
	if b.options.FactsOnly || !KeepsText(a.Source) {
		a.Summary = ""
	}
	a.Summary = oneLine(a.Summary)
	for i := range a.Affected {
		outsideRanges(&a.Affected[i])
	}
}

// maxSummary bounds a summary, in bytes.
const maxSummary = 300

// oneLine joins lines and cuts at the last blank below the bound.
func oneLine(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	if len(s) <= maxSummary {
		return s
	}
	cut := strings.LastIndexByte(s[:maxSummary], ' ')
	if cut < 0 {
		cut = 0
	}
	return s[:cut] + " …"
}
