// Package epss imports the daily scores of FIRST's Exploit Prediction Scoring
// System (https://www.first.org/epss/data_stats), a CSV of 300,000 lines and more.
//
// Data flows: line by line, a CVE with its score and percentile -> an
// Exploitation; the comment on top gives the date of the scores.
package epss

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/seawall-security/seawall/internal/advisory"
	"github.com/seawall-security/seawall/internal/advisory/document"
	"github.com/seawall-security/seawall/internal/seawall"
)

// Importer reads the scores.
type Importer struct{}

const (
	maxLine  = 4 << 10
	maxLines = 10_000_000
)

// Name implements advisory.Importer.
func (Importer) Name() string { return "epss" }

// Recognizes implements advisory.Importer: the header line, below a comment or first.
func (Importer) Recognizes(_ string, head []byte) bool {
	first, rest, _ := bytes.Cut(head, []byte{'\n'})
	if bytes.HasPrefix(first, []byte("#")) {
		first, _, _ = bytes.Cut(rest, []byte{'\n'})
	}
	return string(bytes.TrimSpace(first)) == "cve,epss,percentile"
}

// Import implements advisory.Importer.
func (Importer) Import(ctx context.Context, _ string, r io.Reader, emit func(advisory.Record) error) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 0, maxLine), maxLine)
	updated := ""
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		switch {
		case n > maxLines:
			return fmt.Errorf("line %d: %w", n, seawall.ErrBound)
		case strings.HasPrefix(line, "#"):
			_, date, _ := strings.Cut(line, "score_date:")
			date, _, _ = strings.Cut(date, ",")
			updated = document.Time(scoreDate(date))
			continue
		case line == "", line == "cve,epss,percentile":
			continue
		}
		if n%4096 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		rec, err := parse(line)
		if err != nil {
			return fmt.Errorf("line %d: %w", n, err)
		}
		if err := emit(rec); err != nil {
			return err
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("%w: %w", seawall.ErrCorrupt, err)
	}
	return emit(advisory.Record{Source: &seawall.DatabaseSource{Name: "epss", Updated: updated, Licence: "free use, credit FIRST"}})
}

// scoreDate adds the colon that FIRST leaves out of the zone ("+0000").
func scoreDate(s string) string {
	if i := len(s) - 5; i > 10 && (s[i] == '+' || s[i] == '-') {
		return s[:i+3] + ":" + s[i+3:]
	}
	return s
}

func parse(line string) (advisory.Record, error) {
	cve, rest, _ := strings.Cut(line, ",")
	score, percentile, ok := strings.Cut(rest, ",")
	if !ok || !strings.HasPrefix(cve, "CVE-") {
		return advisory.Record{}, fmt.Errorf("%q is not cve,epss,percentile: %w", line, seawall.ErrCorrupt)
	}
	s, err := probability(score)
	if err != nil {
		return advisory.Record{}, fmt.Errorf("epss %w", err)
	}
	p, err := probability(percentile)
	if err != nil {
		return advisory.Record{}, fmt.Errorf("percentile %w", err)
	}
	return advisory.Record{CVE: cve, Exploitation: &advisory.Exploitation{EPSS: &seawall.EPSS{Score: s, Percentile: p}}}, nil
}

func probability(s string) (float64, error) {
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || !(f >= 0 && f <= 1) {
		return 0, fmt.Errorf("%q is not a number from 0 to 1: %w", s, seawall.ErrCorrupt)
	}
	return f, nil
}
