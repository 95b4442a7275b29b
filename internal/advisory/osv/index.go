package osv

import (
	"bufio"
	"fmt"
	"io"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/seawall-security/seawall/internal/seawall"
)

const maxIndexLines = 5_000_000

var indexID = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._:-]{0,127}$`)
})

// ReadIndex reads the modified_id.csv of an OSV ecosystem: lines of a time and
// an identifier. Times come back as RFC 3339 in UTC with nine decimals, which
// compare as strings; newest is the latest of them.
func ReadIndex(r io.Reader) (modified map[string]string, newest string, err error) {
	modified = map[string]string{}
	lines := bufio.NewScanner(r)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" {
			continue
		}
		at, id, _ := strings.Cut(line, ",")
		t, err := time.Parse(time.RFC3339Nano, at)
		if err != nil || !indexID().MatchString(id) || strings.Contains(id, "..") {
			return nil, "", fmt.Errorf("line %d: %.60q is not a time and an identifier: %w", n, line, seawall.ErrCorrupt)
		}
		if n > maxIndexLines {
			return nil, "", fmt.Errorf("line %d: %w", n, seawall.ErrBound)
		}
		stamp := t.UTC().Format("2006-01-02T15:04:05.000000000Z")
		modified[id] = stamp
		newest = max(newest, stamp)
	}
	if err := lines.Err(); err != nil {
		return nil, "", fmt.Errorf("%w: %w", seawall.ErrCorrupt, err)
	}
	return modified, newest, nil
}
