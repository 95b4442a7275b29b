package secret

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"io"
	"slices"
	"strings"

	"github.com/seawall-security/seawall/internal/detect/secret/wide"
	"github.com/seawall-security/seawall/internal/seawall"
)

const (
	// bufferSize is how much text is searched at once, with what is kept of the
	// text before it and what is not searched yet because a match may go on.
	bufferSize = 256<<10 + keepBehind + lookAhead
	keepBehind = 2 << 10
	lookAhead  = 8 << 10
	// maxHits bounds what is reported of one file.
	maxHits = 1000
)

// search goes through one text in order.
type search struct {
	*engine
	place place
	// original is the path as it is written.
	original string
	used     int // most of buf ever held

	buf    []byte // what is held of the text
	from   int    // first byte of buf not searched
	start  int64  // of buf in the text
	lines  int    // newlines before buf
	binary bool
	wide   wide.Text
	hits   []hit
	full   bool // maxHits reached
	err    error
}

// hit is a secret found, without its value.
type hit struct {
	rule        *rule
	custom      string // rule of the user's, instead of rule
	description string // of the user's rule
	start, end  int64
	line        int
	name        string
	evidence    string
	fingerprint string
	weak        bool // by its name and look only: gives way to hits by form
	state       string
}

func (e *engine) newSearch(p string, buf []byte) *search {
	return &search{engine: e, place: placeOf(p), original: p, buf: buf[:0]}
}

// readFrom searches all of r.
func (s *search) readFrom(r io.Reader) error {
	for {
		n, err := io.ReadFull(r, s.buf[len(s.buf):cap(s.buf)])
		n = s.wide.Narrow(s.buf[len(s.buf) : len(s.buf)+n])
		s.buf = s.buf[:len(s.buf)+n]
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			s.step(true)
			return s.err
		}
		if err != nil {
			return err
		}
		s.step(false)
	}
}

// write searches a part of a text that goes on.
func (s *search) write(p []byte) {
	for len(p) > 0 {
		n := copy(s.buf[len(s.buf):cap(s.buf)], p)
		p = p[n:]
		n = s.wide.Narrow(s.buf[len(s.buf) : len(s.buf)+n])
		s.buf = s.buf[:len(s.buf)+n]
		if len(s.buf) == cap(s.buf) {
			s.step(false)
		}
	}
}

// step searches what is held, to its end when it is the last, and makes room.
func (s *search) step(last bool) {
	s.used = max(s.used, len(s.buf))
	limit := len(s.buf)
	if !last {
		limit -= lookAhead
	}
	if s.start == 0 && s.from == 0 {
		s.binary = bytes.IndexByte(s.buf[:min(len(s.buf), 1024)], 0) >= 0
		if last && !s.binary {
			s.special()
		}
	}
	if limit > s.from {
		s.needles.Find(s.buf, s.from, func(id, pos int) {
			if pos < limit && !s.full {
				s.found(&s.actions[id], pos)
			}
		})
		s.customRules(limit)
		s.from = limit
	}
	if drop := s.from - keepBehind; drop > 0 {
		s.lines += bytes.Count(s.buf[:drop], newline)
		n := copy(s.buf, s.buf[drop:])
		s.buf, s.from, s.start = s.buf[:n], s.from-drop, s.start+int64(drop)
	}
}

var newline = []byte("\n")

// found looks closer where a needle was found.
func (s *search) found(a *action, pos int) {
	switch a.kind {
	case actToken:
		start, end, ok := a.pattern.at(s.buf, pos)
		if ok && a.rule.passes(s.buf[start:end], pos-start+len(a.pattern.literal)) && s.counts(a.rule) {
			s.report(hit{rule: a.rule, start: int64(start), end: int64(end)}, s.buf[start:end], pos-start+len(a.pattern.literal))
		}
	case actPEM:
		s.pem(pos)
	case actPuTTY:
		if bytes.Contains(s.buf[pos:min(len(s.buf), pos+4096)], []byte("Private-Lines:")) && !s.place.library {
			s.report(hit{rule: s.byID[rulePuTTY], start: int64(pos), end: int64(pos + a.length)}, s.buf[pos:min(len(s.buf), pos+4096)], 0)
		}
	}
	if s.binary {
		return
	}
	switch a.kind {
	case actAssignment:
		s.assignment(pos, a.length)
	case actURL:
		s.url(pos)
	case actHeader:
		s.header(pos, a.length)
	}
}

// counts says whether a token of a rule counts in a file like this: in test data
// only those that cannot be made up.
func (s *search) counts(r *rule) bool {
	return !s.place.fixture || r.check == "github" || r.check == "npm" || r.check == "glsa"
}

// report notes a hit at a place in buf.
func (s *search) report(h hit, value []byte, prefix int) {
	if len(s.hits) >= maxHits {
		s.full = true
		return
	}
	h.line = s.lines + 1 + bytes.Count(s.buf[:h.start], newline)
	h.start, h.end = h.start+s.start, h.end+s.start
	h.fingerprint = fingerprint(value)
	h.evidence = redact(h.name, value, prefix)
	if s.verifier != nil && h.rule != nil {
		h.state = s.verifier.Check(h.rule.ID, h.fingerprint, string(value))
	}
	s.hits = append(s.hits, h)
}

// matches returns what was found, in order. Of overlapping hits those by form
// stand, then the earlier rule.
func (s *search) matches(inner string) []seawall.Match {
	slices.SortStableFunc(s.hits, func(a, b hit) int {
		return cmp.Or(cmp.Compare(a.start, b.start), cmp.Compare(weight(&a), weight(&b)), strings.Compare(a.id(), b.id()))
	})
	var out []seawall.Match
	for i := range s.hits {
		h := &s.hits[i]
		if s.covered(h, i) {
			continue
		}
		m := seawall.Match{
			Kind: seawall.KindSecret, Rule: h.id(), Evidence: h.evidence, Fingerprint: h.fingerprint,
			Location: seawall.Location{Inner: inner, Line: h.line},
		}
		if s.binary {
			m.Location.Line = 0
		}
		if h.state != "" {
			m.Data = map[string]string{"verified": h.state}
		}
		if h.description != "" {
			m.Data = map[string]string{"description": h.description}
		}
		out = append(out, m)
	}
	return out
}

func (h *hit) id() string {
	if h.rule == nil {
		return h.custom
	}
	return h.rule.ID
}

func weight(h *hit) int {
	if h.weak {
		return 1
	}
	return 0
}

// covered says whether another hit says more about the same place.
func (s *search) covered(h *hit, i int) bool {
	for j := i - 1; j >= 0 && j > i-8; j-- {
		if o := &s.hits[j]; o.end > h.start && (o.id() == h.id() || (h.rule != nil && o.rule != nil && weight(o) <= weight(h))) {
			return true
		}
	}
	for j := i + 1; j < len(s.hits) && s.hits[j].start < h.end; j++ {
		if o := &s.hits[j]; h.weak && !o.weak && o.rule != nil {
			return true
		}
	}
	return false
}

// pem reads a PEM block (RFC 7468) or what a string literal makes of one.
func (s *search) pem(pos int) {
	text := s.buf[pos:min(len(s.buf), pos+lookAhead/2)]
	label, body, ok := bytes.Cut(text[len("-----BEGIN "):], []byte("-----"))
	if !ok || len(label) > 40 || !bytes.Contains(label, []byte("PRIVATE KEY")) || s.place.library || s.binary && s.place.foreign {
		return
	}
	body, _, _ = bytes.Cut(body, []byte("-----END"))
	encrypted := bytes.Contains(label, []byte("ENCRYPTED")) || bytes.Contains(body, []byte("ENCRYPTED"))
	key := make([]byte, 0, len(body))
	for line := range bytes.FieldsFuncSeq(bytes.ReplaceAll(body, []byte(`\n`), newline), func(r rune) bool { return r <= ' ' || r == '"' || r == '\'' || r == '\\' }) {
		if base64Only(line) {
			key = append(key, line...)
		}
	}
	if len(key) < 60 || entropy(key) < 4 || repetitive(key) {
		return
	}
	id := rulePrivateKey
	switch {
	case encrypted:
		id = ruleEncryptedKey
	case bytes.Contains(label, []byte("OPENSSH")):
		id = ruleOpenSSH
		if head, err := base64.StdEncoding.DecodeString(string(key[:56])); err == nil && bytes.Contains(head, []byte("bcrypt")) {
			id = ruleEncryptedKey
		}
	case bytes.Contains(label, []byte("PGP")):
		id = rulePGP
	case bytes.Contains(s.buf[max(0, pos-keepBehind):pos], []byte(`"service_account"`)):
		id = ruleGoogleKey
	}
	s.report(hit{rule: s.byID[id], name: string(label), start: int64(pos), end: int64(pos + len("-----BEGIN ") + len(label))}, key, 0)
	clear(key)
}

func base64Only(b []byte) bool {
	for _, c := range b {
		if !(wordByte(c) && c != '_' || c == '+' || c == '/' || c == '=') {
			return false
		}
	}
	return len(b) > 3
}
