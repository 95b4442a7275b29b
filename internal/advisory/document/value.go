package document

import (
	"strings"
	"time"

	"github.com/seawall-security/seawall/internal/seawall"
)

// Time returns a time as RFC 3339 in UTC, whole seconds; it reads what feeds
// write: RFC 3339, a day, a day with a time of day. "" stands for what is not a
// time and for the zero time some feeds use as "unknown".
func Time(s string) string {
	s = strings.TrimSpace(s)
	if len(s) < len("2006-01-02") {
		return ""
	}
	for _, layout := range [...]string{
		time.RFC3339, "2006-01-02", "2006-01-02T15:04Z07:00", "2006-01-02 15:04:05", "2006-01-02 15:04:05Z07:00",
		"2006-01-02T15:04:05", "2006-01-02 15:04:05 -0700", "02 Jan 2006",
	} {
		if t, err := time.Parse(layout, s); err == nil {
			if t.Year() < 1970 || t.Year() > 9999 {
				return ""
			}
			return t.UTC().Truncate(time.Second).Format(time.RFC3339)
		}
	}
	return ""
}

// CVSS reads a vector; false when it is none. Version 2 vectors have no prefix. The score is left to the reader.
func CVSS(source, vector string) (seawall.CVSS, bool) {
	vector = strings.TrimSpace(vector)
	c := seawall.CVSS{Source: source, Vector: vector}
	switch {
	case strings.HasPrefix(vector, "CVSS:"):
		version, _, ok := strings.Cut(vector[len("CVSS:"):], "/")
		if c.Version = version; !ok || (version != "3.0" && version != "3.1" && version != "4.0") {
			return seawall.CVSS{}, false
		}
	case strings.HasPrefix(vector, "AV:"):
		c.Version = "2.0"
	default:
		return seawall.CVSS{}, false
	}
	return c, true
}
