package debian

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/seawall-security/seawall/internal/advisory"
	"github.com/seawall-security/seawall/internal/advisory/document"
	"github.com/seawall-security/seawall/internal/seawall"
)

// ListImporter reads the DSA and DLA lists of the tracker's repository.
type ListImporter struct{}

const maxLine = 64 << 10

// Name implements advisory.Importer.
func (ListImporter) Name() string { return "debian-list" }

var (
	heading = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`^\[(\d{1,2} \w{3} \d{4})\] (D[SLT]S?A-\d+(?:-\d+)?)\s+(.*)$`)
	})
	fix = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`^\[(\w+)\]\s+-\s+(\S+)\s+(\S+)`)
	})
)

// Recognizes implements advisory.Importer.
func (ListImporter) Recognizes(_ string, head []byte) bool {
	line, _, _ := strings.Cut(string(head[:min(len(head), 512)]), "\n")
	return heading().MatchString(strings.TrimRight(line, "\r"))
}

// Import implements advisory.Importer.
func (ListImporter) Import(ctx context.Context, _ string, r io.Reader, emit func(advisory.Record) error) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 0, maxLine), maxLine)
	var a *advisory.Advisory
	flush := func() error {
		if a == nil {
			return nil
		}
		if len(a.Affected) == 0 {
			return emit(advisory.Record{Skipped: "debian advisory without a package version"})
		}
		return emit(advisory.Record{Advisory: a})
	}
	newest := ""
	for n := 1; lines.Scan(); n++ {
		if n%1024 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		text := strings.TrimRight(lines.Text(), " \t\r")
		body := strings.TrimLeft(text, " \t")
		switch {
		case body == "":
		case body == text && strings.HasPrefix(text, "["):
			if err := flush(); err != nil {
				return err
			}
			var err error
			if a, err = announcement(text); err != nil {
				return fmt.Errorf("line %d: %w", n, err)
			}
			newest = max(newest, a.Published)
		case a == nil || body == text:
			return fmt.Errorf("line %d: %.60q is outside an advisory: %w", n, text, seawall.ErrCorrupt)
		default:
			skipped, err := addLine(a, body)
			if err != nil {
				return fmt.Errorf("line %d: %w", n, err)
			}
			if skipped != "" {
				if err := emit(advisory.Record{Skipped: skipped}); err != nil {
					return err
				}
			}
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("%w: %w", seawall.ErrCorrupt, err)
	}
	if err := flush(); err != nil {
		return err
	}
	return emit(advisory.Record{Source: &seawall.DatabaseSource{Name: "debian", Updated: newest}})
}

// announcement reads "[29 Mar 2023] DSA-5380-1 xorg-server - security update".
func announcement(line string) (*advisory.Advisory, error) {
	m := heading().FindStringSubmatch(line)
	if m == nil {
		return nil, fmt.Errorf("%.60q is no advisory heading: %w", line, seawall.ErrCorrupt)
	}
	date := m[1]
	if date[1] == ' ' {
		date = "0" + date
	}
	a := &advisory.Advisory{ID: m[2], Source: "debian", Published: document.Time(date)}
	a.Summary = strings.TrimSpace(m[3])
	return a, nil
}

// addLine reads one indented line: identifiers in braces, a fix, or a note.
func addLine(a *advisory.Advisory, body string) (skipped string, err error) {
	switch {
	case strings.HasPrefix(body, "{"):
		for _, id := range strings.Fields(strings.Trim(body, "{}")) {
			if strings.HasPrefix(id, "CVE-") || strings.HasPrefix(id, "CAN-") {
				a.Upstream = append(a.Upstream, "CVE-"+id[4:])
			}
		}
		return "", nil
	case !strings.HasPrefix(body, "["):
		return "", nil // NOTE:, TODO: and the like
	}
	m := fix().FindStringSubmatch(body)
	if m == nil {
		return "", fmt.Errorf("%.60q is no package line: %w", body, seawall.ErrCorrupt)
	}
	f := advisory.Affected{Ecosystem: Ecosystem(m[1]), Name: m[2], FixedAt: a.Published}
	if f.Ecosystem == "" {
		return "debian release not known here", nil
	}
	switch m[3] {
	case "<not-affected>":
		f.FixedAt, f.Unaffected = "", true
	case "<unfixed>", "<end-of-life>", "<no-dsa>", "<ignored>", "<postponed>", "<undetermined>":
		f.FixedAt, f.State = "", listState(m[3])
		f.Ranges = []advisory.Range{advisory.FixedIn(advisory.RangeEcosystem, "")}
	default:
		if strings.HasPrefix(m[3], "<") {
			return "", fmt.Errorf("state %q: %w", m[3], seawall.ErrCorrupt)
		}
		f.State = seawall.StateFixed
		f.Ranges = []advisory.Range{advisory.FixedIn(advisory.RangeEcosystem, m[3])}
	}
	same := func(o advisory.Affected) bool {
		return o.Ecosystem == f.Ecosystem && o.Name == f.Name && slices.EqualFunc(o.Ranges, f.Ranges, func(x, y advisory.Range) bool {
			return slices.Equal(x.Events, y.Events)
		})
	}
	if !slices.ContainsFunc(a.Affected, same) {
		a.Affected = append(a.Affected, f)
	}
	return "", nil
}

func listState(tag string) seawall.VulnerabilityState {
	switch tag {
	case "<end-of-life>":
		return seawall.StateEndOfLife
	case "<ignored>":
		return seawall.StateWillNotFix
	case "<no-dsa>", "<postponed>":
		return seawall.StateDeferred
	case "<undetermined>":
		return seawall.StateUnderInvestigation
	}
	return seawall.StateAffected
}
