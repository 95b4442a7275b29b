// Package auditlog reads the audit log of a Kubernetes API server
// (https://kubernetes.io/docs/tasks/debug/debug-cluster/audit/, group
// audit.k8s.io/v1): single events, lines of them as its log backend writes, and
// EventLists as its webhook backend sends.
//
// An Entry is one event. It answers for the fields of the k8saudit rules
// (ka.*, jevt.*) straight from the document, so that a rule that never asks for
// the request's object never pays for reading it.
package auditlog

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/seawall-security/seawall/internal/seawall"
)

// MaxEvent bounds one line, or one document that is not written in lines.
const MaxEvent = 64 << 20

// Damaged is a line that holds no audit event. Reading goes on after it.
type Damaged struct {
	Line int
	Err  error
}

// Error implements error.
func (d *Damaged) Error() string { return fmt.Sprintf("line %d: %v", d.Line, d.Err) }

// Unwrap returns the cause.
func (d *Damaged) Unwrap() error { return d.Err }

// Read calls emit for every event of r in order, until emit fails. damaged is told
// of every line that is no event; it ends the reading by an error of its own. An
// input without a line that could be read is an error, seawall.ErrCorrupt.
func Read(ctx context.Context, r io.Reader, emit func(*Entry) error, damaged func(*Damaged) error) error {
	in := bufio.NewReaderSize(r, 1<<20)
	whole, err := inLines(in)
	if err != nil {
		return err
	}
	if !whole {
		return readDocument(in, emit)
	}
	var buf []byte
	good, last := 0, (*Damaged)(nil)
	for n := 1; ; n++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		line, err := nextLine(in, &buf)
		if err != nil && err != io.EOF {
			return fmt.Errorf("line %d: %w", n, err)
		}
		if trimmed := bytes.TrimSpace(line); len(trimmed) > 0 {
			events, perr := parse(trimmed)
			if perr != nil {
				last = &Damaged{n, perr}
				if derr := damaged(last); derr != nil {
					return derr
				}
			}
			for _, e := range events {
				good++
				if eerr := emit(e); eerr != nil {
					return eerr
				}
			}
		}
		if err == io.EOF {
			if good == 0 && last != nil {
				return fmt.Errorf("no audit event: %w", last)
			}
			return nil
		}
	}
}

// inLines tells lines of JSON from one document over several lines, whose first
// line ends where a value goes on.
func inLines(in *bufio.Reader) (bool, error) {
	head, err := in.Peek(1 << 20)
	if err != nil && err != io.EOF && err != bufio.ErrBufferFull {
		return false, err
	}
	line, rest, _ := bytes.Cut(bytes.TrimLeft(head, " \t\r\n"), []byte("\n"))
	line = bytes.TrimSpace(line)
	goesOn := len(line) > 0 && bytes.IndexByte([]byte("{[,:"), line[len(line)-1]) >= 0
	return !goesOn || len(bytes.TrimSpace(rest)) == 0, nil
}

// nextLine reads a line of at most MaxEvent bytes; the slice is good until the next call.
func nextLine(in *bufio.Reader, buf *[]byte) ([]byte, error) {
	*buf = (*buf)[:0]
	for {
		part, err := in.ReadSlice('\n')
		*buf = append(*buf, part...)
		if len(*buf) > MaxEvent {
			return nil, fmt.Errorf("longer than %d MiB: %w", MaxEvent>>20, seawall.ErrBound)
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return *buf, err
		}
	}
}

// readDocument reads one document, or several after one another.
func readDocument(in io.Reader, emit func(*Entry) error) error {
	data, err := io.ReadAll(io.LimitReader(in, MaxEvent+1))
	if err != nil {
		return err
	}
	if len(data) > MaxEvent {
		return fmt.Errorf("a document of more than %d MiB: %w", MaxEvent>>20, seawall.ErrBound)
	}
	for d := json.NewDecoder(bytes.NewReader(data)); ; {
		var raw json.RawMessage
		if err := d.Decode(&raw); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			line := 1 + bytes.Count(data[:min(int(d.InputOffset()), len(data))], []byte("\n"))
			return fmt.Errorf("line %d: %w: %w", line, err, seawall.ErrCorrupt)
		}
		events, err := parse(raw)
		if err != nil {
			return fmt.Errorf("the document that ends in line %d: %w", 1+bytes.Count(data[:d.InputOffset()], []byte("\n")), err)
		}
		for _, e := range events {
			if err := emit(e); err != nil {
				return err
			}
		}
	}
}

// Parse reads one document: an Event, an EventList, or a JSON list of events. A
// document with an event that cannot be read is refused whole.
func Parse(data []byte) ([]*Entry, error) {
	data = bytes.TrimSpace(data)
	if len(data) == 0 {
		return nil, fmt.Errorf("no audit event: %w", seawall.ErrCorrupt)
	}
	events, err := parse(data)
	if err != nil {
		return nil, err
	}
	return events, nil
}

// parse reads one document: an Event, an EventList, or a JSON list of them.
func parse(raw []byte) ([]*Entry, error) {
	if raw[0] == '[' {
		var items []json.RawMessage
		if err := json.Unmarshal(raw, &items); err != nil {
			return nil, fmt.Errorf("%w: %w", err, seawall.ErrCorrupt)
		}
		return parseAll(items)
	}
	var head struct {
		Kind       string            `json:"kind"`
		APIVersion string            `json:"apiVersion"`
		Items      []json.RawMessage `json:"items"`
	}
	if err := json.Unmarshal(raw, &head); err != nil {
		return nil, fmt.Errorf("%w: %w", err, seawall.ErrCorrupt)
	}
	switch {
	case !strings.HasPrefix(head.APIVersion, "audit.k8s.io/"):
		return nil, fmt.Errorf("apiVersion %q, want audit.k8s.io/v1: %w", head.APIVersion, seawall.ErrCorrupt)
	case head.Kind == "EventList":
		return parseAll(head.Items)
	case head.Kind != "Event":
		return nil, fmt.Errorf("kind %q, want Event or EventList: %w", head.Kind, seawall.ErrCorrupt)
	}
	e, err := newEntry(raw)
	if err != nil {
		return nil, err
	}
	return []*Entry{e}, nil
}

func parseAll(items []json.RawMessage) ([]*Entry, error) {
	var out []*Entry
	for i, item := range items {
		e, err := newEntry(item) // items of a list need no kind
		if err != nil {
			return out, fmt.Errorf("event %d of the list: %w", i, err)
		}
		out = append(out, e)
	}
	return out, nil
}
