// Package json writes and reads Seawall's own report: one indented document, or
// the same content as a stream of JSON lines. Both keep everything, so both
// replay into every other format.
package json

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"reflect"
	"strings"

	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/sink"
)

// New returns the handler of the json format.
func New(w io.Writer) sink.Handler {
	return sink.Whole(func(r *seawall.Report) error { return write(w, r) })
}

// write encodes the report with the same bytes for the same content. Lists are
// written element by element, so a large report needs no second copy in memory;
// those that are part of every report are [] when empty, never null.
func write(w io.Writer, r *seawall.Report) error {
	doc := *r
	if doc.Database != nil && doc.Database.Sources == nil {
		db := *doc.Database
		db.Sources = []seawall.DatabaseSource{}
		doc.Database = &db
	}
	out := &writer{out: bufio.NewWriterSize(w, 1<<16)}
	out.enc = json.NewEncoder(&out.value)
	out.enc.SetEscapeHTML(false)
	out.string("{")
	fields := reflect.ValueOf(&doc).Elem()
	separator := "\n  "
	for i := range fields.NumField() {
		name, option, _ := strings.Cut(fields.Type().Field(i).Tag.Get("json"), ",")
		field := fields.Field(i)
		if option == "omitempty" && (field.Kind() == reflect.Slice && field.Len() == 0 || field.IsZero()) {
			continue
		}
		out.string(separator + `"` + name + `": `)
		if field.Kind() == reflect.Slice {
			out.list(field)
		} else {
			out.encode(field, "  ")
		}
		separator = ",\n  "
	}
	out.string("\n}\n")
	return errors.Join(out.err, out.out.Flush())
}

// writer puts out one value after the other; it keeps the first encoding error.
type writer struct {
	out   *bufio.Writer
	enc   *json.Encoder
	value bytes.Buffer
	err   error
}

func (w *writer) string(s string) { w.out.WriteString(s) } // bufio keeps the error for Flush

func (w *writer) list(list reflect.Value) {
	if list.Len() == 0 {
		w.string("[]")
		return
	}
	separator := "[\n    "
	for i := range list.Len() {
		w.string(separator)
		w.encode(list.Index(i), "    ")
		separator = ",\n    "
	}
	w.string("\n  ]")
}

func (w *writer) encode(v reflect.Value, indent string) {
	w.value.Reset()
	w.enc.SetIndent(indent, "  ")
	if err := w.enc.Encode(v.Addr().Interface()); err != nil && w.err == nil {
		w.err = err
	}
	w.out.Write(bytes.TrimSuffix(w.value.Bytes(), []byte("\n")))
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
