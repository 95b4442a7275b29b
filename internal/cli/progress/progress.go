// Package progress is the one line of a terminal that shows how far long work
// is: a handler of Progress messages, drawn only after a second and redrawn at
// most ten times a second.
package progress

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/seawall-security/seawall/internal/seawall"
)

// progressDelay is how long work must take before anything is shown;
// progressEvery is how often the line is redrawn.
const (
	progressDelay = time.Second
	progressEvery = 100 * time.Millisecond
)

// Line is the handler that redraws one line on a terminal. It is the only
// handler that uses Progress messages and is never part of a report.
type Line struct {
	w     io.Writer
	width int
	now   func() time.Time
	plain func(string) string
	start time.Time
	last  time.Time
	drawn bool
}

// New returns a line of a terminal width columns wide; plain makes foreign text safe to print.
func New(w io.Writer, width int, plain func(string) string) *Line {
	return &Line{w: w, width: width, now: time.Now, plain: plain}
}

// Handle implements sink.Handler.
func (p *Line) Handle(_ context.Context, m seawall.Message) error {
	if m.Progress == nil {
		return nil
	}
	now := p.now()
	if p.start.IsZero() {
		p.start = now
	}
	if now.Sub(p.start) < progressDelay || now.Sub(p.last) < progressEvery {
		return nil
	}
	p.last, p.drawn = now, true
	line := []rune(p.plain(progressLine(m.Progress)))
	if len(line) >= p.width {
		line = line[:p.width-1]
	}
	_, err := fmt.Fprintf(p.w, "\r%s\x1b[K", string(line))
	return err
}

// Close wipes the line.
func (p *Line) Close() error {
	if p.drawn {
		fmt.Fprint(p.w, "\r\x1b[K")
	}
	return nil
}

func progressLine(m *seawall.Progress) string {
	var b strings.Builder
	b.WriteString(m.Stage)
	if m.Asset != "" {
		b.WriteString(" " + m.Asset)
	}
	b.WriteString(": ")
	switch {
	case m.Unit == "bytes" && m.Total > 0:
		fmt.Fprintf(&b, "%s of %s (%d %%)", Bytes(m.Done), Bytes(m.Total), 100*m.Done/m.Total)
	case m.Unit == "bytes":
		b.WriteString(Bytes(m.Done))
	case m.Total > 0:
		fmt.Fprintf(&b, "%d of %d %s", m.Done, m.Total, m.Unit)
	default:
		fmt.Fprintf(&b, "%d %s", m.Done, m.Unit)
	}
	return b.String()
}

// Bytes gives a size in decimal units, as disks and registries count.
func Bytes(n int64) string {
	switch {
	case n >= 1e9:
		return fmt.Sprintf("%.1f GB", float64(n)/1e9)
	case n >= 1e6:
		return fmt.Sprintf("%.0f MB", float64(n)/1e6)
	case n >= 1e3:
		return fmt.Sprintf("%.0f kB", float64(n)/1e3)
	}
	return fmt.Sprintf("%d B", n)
}
