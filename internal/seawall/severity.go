package seawall

import (
	"fmt"
	"strings"
)

// Severity is how bad a finding is. The zero value is SeverityUnknown; greater is worse.
type Severity int

// The severities, least first. Negligible is a vendor's "unimportant".
const (
	SeverityUnknown Severity = iota
	SeverityNegligible
	SeverityLow
	SeverityMedium
	SeverityHigh
	SeverityCritical
)

// Severities lists every severity, worst first: the order of tables and summaries.
func Severities() []Severity {
	return []Severity{SeverityCritical, SeverityHigh, SeverityMedium, SeverityLow, SeverityNegligible, SeverityUnknown}
}

// String returns the word used in reports and flags.
func (s Severity) String() string {
	switch s {
	case SeverityNegligible:
		return "negligible"
	case SeverityLow:
		return "low"
	case SeverityMedium:
		return "medium"
	case SeverityHigh:
		return "high"
	case SeverityCritical:
		return "critical"
	default:
		return "unknown"
	}
}

// ParseSeverity reads a severity word in any case. It knows the words vendors
// use for the same thing: moderate (medium), important (high), unimportant,
// none and informational (negligible).
func ParseSeverity(word string) (Severity, error) {
	switch strings.ToLower(strings.TrimSpace(word)) {
	case "critical":
		return SeverityCritical, nil
	case "high", "important":
		return SeverityHigh, nil
	case "medium", "moderate":
		return SeverityMedium, nil
	case "low":
		return SeverityLow, nil
	case "negligible", "unimportant", "none", "informational":
		return SeverityNegligible, nil
	case "unknown", "":
		return SeverityUnknown, nil
	}
	return SeverityUnknown, fmt.Errorf("unknown severity %q (want critical, high, medium, low, negligible or unknown)", word)
}

// SeverityOfScore turns a CVSS base score into a severity by the qualitative
// scale of CVSS v3.1 section 5. For version 2 scores, which have no critical
// band, NVD's scale applies: 7.0 and above is high.
func SeverityOfScore(cvssVersion string, score float64) Severity {
	switch {
	case score <= 0:
		return SeverityNegligible
	case score < 4:
		return SeverityLow
	case score < 7:
		return SeverityMedium
	case score < 9 || strings.HasPrefix(cvssVersion, "2"):
		return SeverityHigh
	default:
		return SeverityCritical
	}
}

// MarshalText implements encoding.TextMarshaler.
func (s Severity) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (s *Severity) UnmarshalText(text []byte) error {
	v, err := ParseSeverity(string(text))
	if err != nil {
		return err
	}
	*s = v
	return nil
}
