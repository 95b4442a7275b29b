package cli

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

// progress is the handler that redraws one line on a terminal. It is the only
// handler that uses Progress messages and is never part of a report.
type progress struct {
	w     io.Writer
	width int
	now   func() time.Time
	start time.Time
	last  time.Time
	drawn bool
}

func (p *progress) Handle(_ context.Context, m seawall.Message) error {
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
	line := []rune(printable(progressLine(m.Progress)))
	if len(line) >= p.width {
		line = line[:p.width-1]
	}
	_, err := fmt.Fprintf(p.w, "\r%s\x1b[K", string(line))
	return err
}

// Close wipes the line.
func (p *progress) Close() error {
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
		fmt.Fprintf(&b, "%s of %s (%d %%)", bytesText(m.Done), bytesText(m.Total), 100*m.Done/m.Total)
	case m.Unit == "bytes":
		b.WriteString(bytesText(m.Done))
	case m.Total > 0:
		fmt.Fprintf(&b, "%d of %d %s", m.Done, m.Total, m.Unit)
	default:
		fmt.Fprintf(&b, "%d %s", m.Done, m.Unit)
	}
	return b.String()
}

// bytesText gives a size in decimal units, as disks and registries count.
func bytesText(n int64) string {
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
