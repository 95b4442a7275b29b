package db

import (
	"math"

	"github.com/seawall-security/seawall/internal/advisory"
	"github.com/seawall-security/seawall/internal/seawall"
)

// cursor reads what encode.go wrote. Strings are parts of the block, not
// copies. Once something does not fit, bad is set and every read gives zero.
type cursor struct {
	rest string
	bad  bool
}

func (c *cursor) fail() {
	c.bad, c.rest = true, ""
}

func (c *cursor) take(n int) string {
	if n < 0 || n > len(c.rest) {
		c.fail()
		return ""
	}
	s := c.rest[:n]
	c.rest = c.rest[n:]
	return s
}

func (c *cursor) byte() byte {
	if c.rest == "" {
		c.fail()
		return 0
	}
	b := c.rest[0]
	c.rest = c.rest[1:]
	return b
}

func (c *cursor) uvarint() uint64 {
	var v uint64
	for i := 0; i < len(c.rest) && i < 10; i++ {
		b := c.rest[i]
		v |= uint64(b&0x7f) << (7 * i)
		if b < 0x80 {
			c.rest = c.rest[i+1:]
			return v
		}
	}
	c.fail()
	return 0
}

func (c *cursor) uint32() uint32 {
	v := c.uvarint()
	if v > math.MaxUint32 {
		c.fail()
		return 0
	}
	return uint32(v)
}

// count reads the length of a list whose elements take at least a byte each.
func (c *cursor) count() int {
	n := c.uvarint()
	if n > uint64(len(c.rest)) {
		c.fail()
		return 0
	}
	return int(n)
}

func (c *cursor) string() string { return c.take(c.count()) }

func (c *cursor) strings() []string {
	n := c.count()
	if n == 0 {
		return nil
	}
	list := make([]string, n)
	for i := range list {
		list[i] = c.string()
	}
	return list
}

func (c *cursor) time() string {
	switch v := c.uvarint(); v {
	case 0:
		return ""
	case 1:
		return c.string()
	default:
		return formatTime(int64(min(v-2, 1<<40)))
	}
}

func (c *cursor) cvss() []seawall.CVSS {
	n := c.count()
	if n == 0 {
		return nil
	}
	list := make([]seawall.CVSS, n)
	for i := range list {
		list[i] = seawall.CVSS{Source: c.string(), Version: c.string(), Vector: c.string(), Score: float64(c.byte()) / 10}
	}
	return list
}

func (c *cursor) directory() directory {
	return directory{offset: c.uint32(), blocks: c.uint32(), count: c.uint32()}
}

func (c *cursor) severity() seawall.Severity {
	v := seawall.Severity(c.byte())
	if v > seawall.SeverityCritical {
		c.fail()
		return 0
	}
	return v
}

func (c *cursor) advisory() *advisory.Advisory {
	a := &advisory.Advisory{ID: c.string(), Kind: advisory.Kind(c.byte()), Severity: c.severity()}
	a.Notice, a.Source, a.Summary = c.string(), c.string(), c.string()
	a.Published, a.Modified, a.Withdrawn = c.time(), c.time(), c.time()
	a.Aliases, a.Upstream, a.Related, a.CWEs, a.References = c.strings(), c.strings(), c.strings(), c.strings(), c.strings()
	a.CVSS = c.cvss()
	return a
}

// affected reads a statement into f and says whether its advisory is withdrawn.
func (c *cursor) affected(f *advisory.Affected) (withdrawn bool) {
	fields := c.uvarint()
	f.Unaffected = fields&hasUnaffected != 0
	f.Ranges = c.ranges()
	if fields&hasState != 0 {
		if n := int(c.byte()); n < len(states) {
			f.State = states[n]
		} else {
			c.fail()
		}
	}
	if fields&hasSeverity != 0 {
		f.Severity = c.severity()
	}
	if fields&hasModule != 0 {
		f.Module = c.string()
	}
	if fields&hasFixedAt != 0 {
		f.FixedAt = c.time()
	}
	if fields&hasVersions != 0 {
		f.Versions = c.strings()
	}
	if fields&hasCVSS != 0 {
		f.CVSS = c.cvss()
	}
	if fields&hasArches != 0 {
		f.Arches = c.strings()
	}
	if fields&hasSymbols != 0 {
		f.Symbols = c.strings()
	}
	return fields&hasWithdrawn != 0
}

func (c *cursor) ranges() []advisory.Range {
	n := c.count()
	if n == 0 {
		return nil
	}
	list := make([]advisory.Range, n)
	for i := range list {
		v := c.uvarint()
		if v>>1 > uint64(len(c.rest)) {
			c.fail()
			return nil
		}
		list[i].Type = advisory.RangeType(v & 1)
		list[i].Events = make([]advisory.RangeEvent, v>>1)
		for j := range list[i].Events {
			c.event(&list[i].Events[j])
		}
	}
	return list
}

func (c *cursor) event(e *advisory.RangeEvent) {
	v := c.uvarint()
	if v>>2 > uint64(len(c.rest)) {
		c.fail()
		return
	}
	text := c.take(int(v >> 2))
	switch v & 3 {
	case eventIntroduced:
		if text == "" {
			text = "0"
		}
		e.Introduced = text
	case eventFixed:
		e.Fixed = text
	case eventLastAffected:
		e.LastAffected = text
	case eventLimit:
		e.Limit = text
	}
}
