package db

import (
	"math"
	"slices"
	"strings"

	"github.com/seawall-security/seawall/internal/advisory"
	"github.com/seawall-security/seawall/internal/advisory/cvss"
	"github.com/seawall-security/seawall/internal/seawall"
)

// scoreVersions are the CVSS versions by their number in a file, oldest first.
var scoreVersions = [...]string{"2.0", "3.0", "3.1", "4.0"}

// score is the base score a feed gives a CVE.
type score struct {
	version int // in scoreVersions
	tenths  int
	feed    string
}

// better prefers the newer version, then the higher score; the feed's name settles the rest.
func (s score) better(o score) bool {
	if s.version != o.version {
		return s.version > o.version
	}
	if s.tenths != o.tenths {
		return s.tenths > o.tenths
	}
	return s.feed < o.feed
}

// scoreOf reads a score, from the vector where the source gives no number.
func scoreOf(c seawall.CVSS, feed string) (score, bool) {
	if c.Score == 0 && c.Vector != "" {
		v, points, err := cvss.Score(c.Vector)
		if err != nil {
			return score{}, false
		}
		c.Version, c.Score = v, points
	}
	s := score{slices.Index(scoreVersions[:], c.Version), int(math.Round(c.Score * 10)), feed}
	return s, s.version >= 0 && s.tenths > 0 && s.tenths <= 100
}

// noteScores keeps the best score of the CVEs an advisory is about. An erratum
// for several CVEs scores none of them.
func (w *Writer) noteScores(feed string, a *advisory.Advisory, list []seawall.CVSS) {
	for _, c := range list {
		s, ok := scoreOf(c, feed)
		if !ok || a.Withdrawn != "" {
			continue
		}
		for _, id := range cves(a) {
			if known, ok := w.scores[id]; len(a.Upstream) < 2 && (!ok || s.better(known)) {
				w.scores[id] = s
			}
		}
	}
}

// cves are the keys of the CVEs an advisory is about.
func cves(a *advisory.Advisory) []uint32 {
	var keys []uint32
	for _, list := range [...][]string{{a.ID}, a.Aliases, a.Upstream} {
		for _, id := range list {
			if key, ok := cveKey(id); ok {
				keys = append(keys, key)
			}
		}
	}
	return keys
}

// A score's value packs, from the lowest bit: tenths of a point (7 bits), the
// version (2 bits), the number of the section of its feed.
func (s score) pack(sections []section) uint64 {
	n := slices.IndexFunc(sections, func(o section) bool { return o.feed == s.feed })
	return uint64(n)<<9 | uint64(s.version)<<7 | uint64(s.tenths)
}

func unpackScore(v uint64, sections []section) *seawall.CVSS {
	c := &seawall.CVSS{Version: scoreVersions[v>>7&3], Score: float64(v&127) / 10}
	if n := v >> 9; n < uint64(len(sections)) {
		c.Source = strings.Clone(sections[n].source.Name)
	}
	return c
}
