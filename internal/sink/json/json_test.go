package json_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/sink"
	"github.com/seawall-security/seawall/internal/sink/json"
	"github.com/seawall-security/seawall/internal/sink/sinktest"
)

func document(w *bytes.Buffer) sink.Handler { return json.New(w) }
func lines(w *bytes.Buffer) sink.Handler    { return json.NewLines(w) }

// What is written reads back as the same report, from either form, and is written with the same bytes again.
func TestRoundTrip(t *testing.T) {
	for _, form := range []struct {
		name string
		open func(*bytes.Buffer) sink.Handler
	}{{"document", document}, {"lines", lines}} {
		t.Run(form.name, func(t *testing.T) {
			want := sinktest.Report(t)
			first := sinktest.Render(t, want, form.open)
			got, skipped, err := json.Read(bytes.NewReader(first))
			if err != nil || skipped != 0 {
				t.Fatalf("read: %v, skipped %d", err, skipped)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("report changed (-want +got):\n%s", diff)
			}
			if second := sinktest.Render(t, got, form.open); !bytes.Equal(first, second) {
				t.Error("written again it has other bytes")
			}
		})
	}
}

func TestRecordedReportIsCanonical(t *testing.T) {
	sinktest.Golden(t, "../../testdata/report.json", sinktest.Render(t, sinktest.Report(t), document))
}

func TestEmptyListsAreNotNull(t *testing.T) {
	r := &seawall.Report{SchemaVersion: seawall.SchemaVersion, Database: &seawall.DatabaseInfo{Built: "2026-11-20T00:00:00Z"}}
	got := string(sinktest.Render(t, r, document))
	for _, want := range []string{`"coverage": []`, `"packages": []`, `"findings": []`, `"collectors": []`, `"sources": []`} {
		if !strings.Contains(got, want) {
			t.Errorf("no %s in:\n%s", want, got)
		}
	}
}

func TestMarkupIsNotEscaped(t *testing.T) {
	r := &seawall.Report{SchemaVersion: seawall.SchemaVersion, Findings: []seawall.Finding{{Title: "a < b & c > d"}}}
	for _, open := range []func(*bytes.Buffer) sink.Handler{document, lines} {
		if got := string(sinktest.Render(t, r, open)); !strings.Contains(got, "a < b & c > d") {
			t.Errorf("title is escaped:\n%s", got)
		}
	}
}

func TestProgressIsLeftOut(t *testing.T) {
	var out bytes.Buffer
	h := json.NewLines(&out)
	if err := h.Handle(context.Background(), seawall.Message{Progress: &seawall.Progress{Stage: "layers"}}); err != nil {
		t.Fatal(err)
	}
	if err := h.Close(); err != nil || out.Len() != 0 {
		t.Errorf("wrote %q, error %v", out.String(), err)
	}
}

func TestUnknownFieldsAndMessages(t *testing.T) {
	const stream = `{"run":{"schemaVersion":"seawall/v1","id":"1","new":true}}
{"weather":{"rain":true}}
{"finding":{"id":"f","severity":"high","status":"fail","mood":"bad"}}
{"end":{"ended":"2026-11-21T00:00:00Z","summary":{"high":1}}}
{"later":{}}
`
	r, skipped, err := json.Read(strings.NewReader(stream))
	if err != nil {
		t.Fatal(err)
	}
	if skipped != 2 || len(r.Findings) != 1 || r.Findings[0].Severity != seawall.SeverityHigh || r.Summary.High != 1 {
		t.Errorf("skipped %d, report %+v", skipped, r)
	}
}

func TestReadErrors(t *testing.T) {
	const run = `{"run":{"schemaVersion":"seawall/v1"}}` + "\n"
	for _, test := range []struct{ name, input, message string }{
		{"empty", "", "line 1 column 1: unexpected end"},
		{"not JSON", "{\n  hello", "line 2 column 3: invalid character"},
		{"no version", `{"findings":[]}`, "no schemaVersion"},
		{"a list", `[1]`, "not a seawall report"},
		{"version of wrong type", `{"schemaVersion":1}`, "line 1 column"},
		{"another version", `{"schemaVersion":"seawall/v9"}`, `schemaVersion "seawall/v9"`},
		{"another version in a stream", `{"run":{"schemaVersion":"seawall/v9"}}`, `schemaVersion "seawall/v9"`},
		{"wrong type", "{\"schemaVersion\":\"seawall/v1\",\n\"findings\":[{\"title\":7}]}", "line 2 column"},
		{"cut off", `{"schemaVersion":"seawall/v1","findings":[`, "unexpected end"},
		{"wrong type in a stream", run + `{"finding":{"title":7}}`, "line 2 column"},
		{"unknown severity in a stream", run + `{"finding":{"severity":"bad"}}`, `unknown severity "bad"`},
		{"interrupted stream", run + `{"finding":{"severity":"low"}}`, "before its end message"},
		{"trailing text", `{"schemaVersion":"seawall/v1"} x`, "line 1 column"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, _, err := json.Read(strings.NewReader(test.input))
			if err == nil || !strings.Contains(err.Error(), test.message) || !errors.Is(err, seawall.ErrCorrupt) {
				t.Errorf("error %v, want %q wrapping ErrCorrupt", err, test.message)
			}
		})
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte(`{"schemaVersion":"seawall/v1","findings":[{"severity":"high"}]}`))
	f.Add([]byte("{\"run\":{\"schemaVersion\":\"seawall/v1\"}}\n{\"end\":{}}\n"))
	f.Add([]byte("\xef\xbb\xbf{}"))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, skipped, err := json.Read(bytes.NewReader(data))
		if (err == nil) != (r != nil) || skipped < 0 {
			t.Fatalf("report %v, skipped %d, error %v", r, skipped, err)
		}
		if r != nil { // what reads must also write
			sinktest.Render(t, r, document)
		}
	})
}

func BenchmarkWrite(b *testing.B) {
	r := sinktest.Large(10_000)
	for _, form := range []struct {
		name string
		open func(io.Writer) sink.Handler
	}{{"json", json.New}, {"jsonl", json.NewLines}} {
		b.Run(form.name, func(b *testing.B) { sinktest.Bench(b, r, form.open) })
	}
}

func BenchmarkRead(b *testing.B) {
	data := sinktest.Render(b, sinktest.Large(10_000), document)
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := json.Read(bytes.NewReader(data)); err != nil {
			b.Fatal(err)
		}
	}
}
