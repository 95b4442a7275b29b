// Package json writes and reads Seawall's own report: one indented document, or
// the same content as a stream of JSON lines. Both keep everything, so both
// replay into every other format.
package json

import (
	"bufio"
	"context"
	"encoding/json"
	"io"

	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/sink"
)

// New returns the handler of the json format.
func New(w io.Writer) sink.Handler {
	return sink.Whole(func(r *seawall.Report) error { return write(w, r) })
}

// write encodes the report with the same bytes for the same content. Lists that
// are part of every report are [] when empty, never null.
func write(w io.Writer, r *seawall.Report) error {
	doc := *r
	doc.Coverage = orEmpty(doc.Coverage)
	doc.Packages = orEmpty(doc.Packages)
	doc.Findings = orEmpty(doc.Findings)
	doc.Collectors = orEmpty(doc.Collectors)
	if doc.Database != nil {
		db := *doc.Database
		db.Sources = orEmpty(db.Sources)
		doc.Database = &db
	}
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(&doc)
}

func orEmpty[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s
}

// NewLines returns the handler of the jsonl format: one Message a line, as it
// happens. Progress is left out: it says nothing about the result.
func NewLines(w io.Writer) sink.Handler {
	out := bufio.NewWriterSize(w, 1<<16)
	enc := json.NewEncoder(out)
	enc.SetEscapeHTML(false)
	return &lines{out: out, enc: enc}
}

type lines struct {
	out *bufio.Writer
	enc *json.Encoder
}

func (l *lines) Handle(_ context.Context, m seawall.Message) error {
	if m.Progress != nil {
		return nil
	}
	return l.enc.Encode(m)
}

func (l *lines) Close() error { return l.out.Flush() }
