package sink

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"

	"github.com/seawall-security/seawall/internal/seawall"
)

// Whole returns a handler for formats that need the whole report: it collects
// the stream and calls render once, in Close. A stream without End renders
// nothing, so a broken run never leaves a report that looks complete.
func Whole(render func(*seawall.Report) error) Handler {
	return &whole{render: render}
}

// Document returns a Whole handler for formats that are one indented JSON document.
func Document[T any](w io.Writer, build func(*seawall.Report) T) Handler {
	return Whole(func(r *seawall.Report) error {
		out := bufio.NewWriter(w)
		enc := json.NewEncoder(out)
		enc.SetEscapeHTML(false)
		enc.SetIndent("", "  ")
		return errors.Join(enc.Encode(build(r)), out.Flush())
	})
}

type whole struct {
	report seawall.Report
	ended  bool
	render func(*seawall.Report) error
}

func (w *whole) Handle(_ context.Context, m seawall.Message) error {
	w.report.Apply(m)
	w.ended = w.ended || m.End != nil
	return nil
}

func (w *whole) Close() error {
	if !w.ended {
		return nil
	}
	return w.render(&w.report)
}

// Filtered hands h only the findings that o shows. The summary keeps counting the whole run.
func Filtered(h Handler, o Options) Handler {
	if !o.Filters() {
		return h
	}
	return &filtered{Handler: h, options: o}
}

type filtered struct {
	Handler
	options Options
}

func (f *filtered) Handle(ctx context.Context, m seawall.Message) error {
	if m.Finding != nil && !f.options.Shows(m.Finding) {
		return nil
	}
	return f.Handler.Handle(ctx, m)
}

// Multi hands every message to every handler and closes all of them. One that
// fails gets no further messages; the others go on, and the errors are returned by Close.
func Multi(handlers ...Handler) Handler {
	if len(handlers) == 1 {
		return handlers[0]
	}
	return &multi{handlers: handlers, errs: make([]error, len(handlers))}
}

type multi struct {
	handlers []Handler
	errs     []error
}

func (m *multi) Handle(ctx context.Context, msg seawall.Message) error {
	for i, h := range m.handlers {
		if m.errs[i] == nil {
			m.errs[i] = h.Handle(ctx, msg)
		}
	}
	return nil
}

func (m *multi) Close() error {
	for i, h := range m.handlers {
		if err := h.Close(); m.errs[i] == nil {
			m.errs[i] = err
		}
	}
	return errors.Join(m.errs...)
}
