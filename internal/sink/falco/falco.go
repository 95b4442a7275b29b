// Package falco writes findings about events as Falco prints its alerts with
// json_output, one JSON object each, so that what reads Falco's alerts
// (Falcosidekick, log pipelines) reads ours unchanged. Other messages of the
// stream are left out, except that lost events become an alert, as in Falco.
//
// The shape is that of https://falco.org/docs/concepts/outputs/formatting/: keys in
// the order of their names, tags sorted, output_fields typed and null where the
// event has no value.
package falco

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/sink"
)

// alert is one line.
type alert struct {
	Hostname string         `json:"hostname"`
	Output   string         `json:"output"`
	Fields   map[string]any `json:"output_fields"`
	Priority string         `json:"priority"`
	Rule     string         `json:"rule"`
	Source   string         `json:"source"`
	Tags     []string       `json:"tags"`
	Time     string         `json:"time"`
}

// Encoder makes alerts of messages.
type Encoder struct {
	// Hostname is told in every alert.
	Hostname string
	// Now is the time of alerts about losses.
	Now func() time.Time
}

// Encode returns the alert of a message without a line's end, nil where it has none.
func (e *Encoder) Encode(m *seawall.Message) ([]byte, error) {
	switch {
	case m.Finding != nil && m.Finding.Status == seawall.StatusFail:
		return e.finding(m.Finding)
	case m.Status != nil && m.Status.Status == seawall.RunPartial:
		return e.internal("Seawall agent: "+m.Status.Name+" is partial", m.Status.Reason)
	}
	return nil, nil
}

// Lost is the alert that stands for so many alerts that had no room.
func (e *Encoder) Lost(n uint64) []byte {
	data, err := e.internal("Seawall agent: alerts lost", fmt.Sprintf("%d alerts had no room in the spool", n))
	if err != nil {
		return nil // a text and a number always encode
	}
	return data
}

func (e *Encoder) internal(rule, text string) ([]byte, error) {
	return e.encode(&alert{Rule: rule, Output: text, Source: "internal", Priority: "Warning"}, e.Now().UTC())
}

func (e *Encoder) finding(f *seawall.Finding) ([]byte, error) {
	when, err := time.Parse(time.RFC3339Nano, f.Time)
	if err != nil {
		when = e.Now()
	}
	a := &alert{Rule: f.Rule, Output: f.Evidence, Source: seawall.SourceSyscall, Priority: Priority(f), Fields: maps.Clone(f.Shown)}
	if f.Event != nil {
		if f.Event.Source != "" {
			a.Source = f.Event.Source
		}
		if f.Shown == nil {
			a.Fields = maps.Clone(f.Event.Fields)
		}
	}
	if a.Output == "" {
		a.Output = f.Title
	}
	a.Tags = slices.Sorted(slices.Values(f.Tags))
	return e.encode(a, when.UTC())
}

func (e *Encoder) encode(a *alert, when time.Time) ([]byte, error) {
	a.Hostname = e.Hostname
	a.Time = when.Format("2006-01-02T15:04:05.000000000Z")
	a.Output = when.Format("15:04:05.000000000") + ": " + a.Priority + " " + a.Output
	if a.Fields == nil {
		a.Fields = map[string]any{}
	}
	a.Fields["evt.time"] = when.UnixNano()
	if a.Tags == nil {
		a.Tags = []string{}
	}
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(a); err != nil {
		return nil, fmt.Errorf("alert of rule %q: %w", a.Rule, err)
	}
	return bytes.TrimSuffix(out.Bytes(), []byte("\n")), nil
}

// Priority is a finding's priority as Falco words it: its rule's, else by its severity.
func Priority(f *seawall.Finding) string {
	switch p := strings.ToUpper(f.Priority); p {
	case "EMERGENCY", "ALERT", "CRITICAL", "ERROR", "WARNING", "NOTICE", "DEBUG":
		return p[:1] + strings.ToLower(p[1:])
	case "INFO", "INFORMATIONAL":
		return "Informational"
	}
	switch f.Severity {
	case seawall.SeverityCritical:
		return "Critical"
	case seawall.SeverityHigh:
		return "Error"
	case seawall.SeverityMedium:
		return "Warning"
	case seawall.SeverityLow:
		return "Notice"
	default:
		return "Informational"
	}
}

// New returns a handler that writes one alert a line, at once.
func New(w io.Writer, e *Encoder) sink.Handler { return &lines{w, e} }

type lines struct {
	out io.Writer
	enc *Encoder
}

func (l *lines) Handle(_ context.Context, m seawall.Message) error {
	data, err := l.enc.Encode(&m)
	if err != nil || data == nil {
		return err
	}
	_, err = l.out.Write(append(data, '\n'))
	return err
}

func (l *lines) Close() error { return nil }
