package json

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/seawall-security/seawall/internal/seawall"
)

// MaxSize bounds a report that is read back; the largest cluster reports are far below.
const MaxSize = 1 << 30

// Read reads a report written as json or jsonl, telling them apart by content.
// Unknown fields are ignored; skipped counts messages of kinds this version
// does not know. Errors name the line. What is damaged, cut off or of another
// schema version wraps seawall.ErrCorrupt; more than MaxSize wraps seawall.ErrBound.
func Read(r io.Reader) (report *seawall.Report, skipped int, err error) {
	data, err := io.ReadAll(io.LimitReader(r, MaxSize+1))
	if err != nil {
		return nil, 0, fmt.Errorf("reading report: %w", err)
	}
	if len(data) > MaxSize {
		return nil, 0, fmt.Errorf("report is larger than %d MiB: %w", MaxSize>>20, seawall.ErrBound)
	}
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	version, stream, err := probe(data)
	switch {
	case err != nil:
		// Decoding the value as a whole fails at the same place and knows it exactly.
		return nil, 0, locate(data, 0, cmp.Or(json.NewDecoder(bytes.NewReader(data)).Decode(new(json.RawMessage)), err))
	case version == "":
		return nil, 0, seawall.WithHint(fmt.Errorf("not a seawall report: no schemaVersion: %w", seawall.ErrCorrupt),
			"make one with: seawall scan … --format json=report.json")
	case version != seawall.SchemaVersion:
		return nil, 0, seawall.WithHint(fmt.Errorf("report has schemaVersion %q, this version reads %q: %w", version, seawall.SchemaVersion, seawall.ErrCorrupt),
			"use the seawall version that wrote the report, or scan again")
	case stream:
		return readLines(data)
	}
	report, err = readDocument(data)
	return report, 0, err
}

// probe finds the schema version of the first JSON object: its own, or that of
// the run message it is. It reads no further than that.
func probe(data []byte) (version string, stream bool, err error) {
	dec := json.NewDecoder(bytes.NewReader(data))
	start, err := dec.Token()
	if err != nil {
		return "", false, err
	}
	if start != json.Delim('{') {
		return "", false, nil
	}
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return "", false, err
		}
		switch key {
		case "schemaVersion":
			err := dec.Decode(&version)
			return version, false, err
		case "run":
			var run struct {
				SchemaVersion string `json:"schemaVersion"`
			}
			if err := dec.Decode(&run); err != nil || run.SchemaVersion != "" {
				return run.SchemaVersion, true, err
			}
		default:
			if err := dec.Decode(new(json.RawMessage)); err != nil {
				return "", false, err
			}
		}
	}
	_, err = dec.Token()
	return "", false, err
}

func readDocument(data []byte) (*seawall.Report, error) {
	var r seawall.Report
	if err := json.Unmarshal(data, &r); err != nil {
		return nil, locate(data, 0, err)
	}
	return &r, nil
}

func readLines(data []byte) (*seawall.Report, int, error) {
	var r seawall.Report
	skipped := 0
	dec := json.NewDecoder(bytes.NewReader(data))
	for ended := false; ; {
		var m seawall.Message
		start := dec.InputOffset()
		switch err := dec.Decode(&m); {
		case errors.Is(err, io.EOF) && ended:
			return &r, skipped, nil
		case errors.Is(err, io.EOF):
			return nil, 0, seawall.WithHint(fmt.Errorf("the stream stops before its end message: %w", seawall.ErrCorrupt),
				"the run that wrote it was interrupted: scan again")
		case err != nil:
			return nil, 0, locate(data, start, err)
		}
		if m == (seawall.Message{}) {
			skipped++
			continue
		}
		r.Apply(m)
		ended = ended || m.End != nil
	}
}

// locate gives a decoding error its line and column. base is where the value
// being decoded began: type errors count from there, syntax errors from the start.
func locate(data []byte, base int64, err error) error {
	offset := int64(len(data))
	var syntax *json.SyntaxError
	var wrongType *json.UnmarshalTypeError
	switch {
	case errors.As(err, &syntax):
		offset = syntax.Offset - 1
	case errors.As(err, &wrongType):
		offset = base + wrongType.Offset
		err = fmt.Errorf("field %q is a %s", wrongType.Field, wrongType.Value)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		err = errors.New("unexpected end")
	default: // an unknown severity: encoding/json says no place
		offset = base
	}
	before := data[:min(max(offset, 0), int64(len(data)))]
	line := bytes.Count(before, []byte("\n")) + 1
	column := len(before) - bytes.LastIndexByte(before, '\n')
	return fmt.Errorf("report line %d column %d: %w: %w", line, column, err, seawall.ErrCorrupt)
}
