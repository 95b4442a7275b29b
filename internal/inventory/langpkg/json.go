package langpkg

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/seawall-security/seawall/internal/seawall"
)

// JSON reads a document front to back without building a tree, knows the line
// it is at, and passes over values nobody asks for at the speed of a byte scan.
// Errors stick: after the first, every method does nothing and Err reports it.
//
// It reads what JSON readers accept plus what package tools write: comments and
// commas before a closing bracket (bun.lock, tsconfig style) and a byte order
// mark. A value passed over is checked for balanced brackets and closed strings only.
type JSON struct {
	data  []byte
	pos   int
	depth int
	err   error
	// line is the line of data[linePos].
	line, linePos int
}

// NewJSON starts reading a document.
func NewJSON(data []byte) *JSON {
	return &JSON{data: bytes.TrimPrefix(data, []byte("\xef\xbb\xbf")), line: 1}
}

// Err is the first error met, naming its line; nil after Stop.
func (j *JSON) Err() error {
	if errors.Is(j.err, errStop) {
		return nil
	}
	return j.err
}

// Line is the line of the next value, counted from 1.
func (j *JSON) Line() int {
	j.line += bytes.Count(j.data[j.linePos:j.pos], []byte{'\n'})
	j.linePos = j.pos
	return j.line
}

// Peek returns the first byte of the next value: '{', '[', '"', a digit, '-',
// 't', 'f' or 'n'; 0 at the end.
func (j *JSON) Peek() byte {
	j.space()
	if j.err != nil || j.pos >= len(j.data) {
		return 0
	}
	return j.data[j.pos]
}

// Object calls member for each member of the next value. Another kind of value
// is passed over, or an error if it is the whole document. member may read the
// value or leave it; key is valid until member returns.
func (j *JSON) Object(member func(key []byte)) {
	j.composite('{', '}', func() {
		key := j.rawString()
		if j.Peek() != ':' {
			j.Fail("a colon after an object key")
			return
		}
		j.pos++
		j.value(func() { member(key) })
	})
}

// Array calls element for each element of the next value. Another kind of
// value is passed over, or an error if it is the whole document.
func (j *JSON) Array(element func()) {
	j.composite('[', ']', func() { j.value(element) })
}

// value lets read consume the next value, or skips it when read does not.
func (j *JSON) value(read func()) {
	j.space()
	before := j.pos
	read()
	if j.pos == before {
		j.Skip()
	}
}

func (j *JSON) composite(open, end byte, item func()) {
	if j.Peek() != open {
		if j.depth == 0 {
			j.Fail("a document that starts with " + string(open))
		}
		j.Skip()
		return
	}
	if j.depth++; j.depth > MaxDepth {
		j.err = fmt.Errorf("line %d: %w: nested deeper than %d", j.Line(), seawall.ErrBound, MaxDepth)
		return
	}
	defer func() { j.depth-- }()
	j.pos++
	for j.err == nil {
		switch j.Peek() {
		case end:
			j.pos++
			return
		case ',':
			j.pos++
			continue
		}
		item()
		if c := j.Peek(); c != ',' && c != end {
			j.Fail("a comma or a closing bracket")
		}
	}
}

// String reads the next value if it is a string, else passes over it and
// returns "".
func (j *JSON) String() string {
	if j.Peek() != '"' {
		j.Skip()
		return ""
	}
	return string(j.rawString())
}

// Bool reads the next value: true only for the literal true.
func (j *JSON) Bool() bool {
	c := j.Peek()
	j.Skip()
	return c == 't'
}

// Strings reads an array of strings, or one string as an array of one.
func (j *JSON) Strings() []string {
	if j.Peek() == '"' {
		return []string{j.String()}
	}
	var all []string
	j.Array(func() {
		if s := j.String(); s != "" {
			all = append(all, s)
		}
	})
	return all
}

// Stop ends the reading: the rest of the document is not looked at.
func (j *JSON) Stop() {
	if j.err == nil {
		j.err = errStop
	}
}

// Skip passes over the next value.
func (j *JSON) Skip() {
	switch c := j.Peek(); c {
	case 0:
		j.Fail("a value")
	case '"':
		j.rawString()
	case '{', '[':
		j.skipComposite()
	case '}', ']', ',', ':':
		j.Fail("a value")
	default:
		for j.pos < len(j.data) && !delimits(j.data[j.pos]) {
			j.pos++
		}
	}
}

func delimits(c byte) bool {
	switch c {
	case ',', '}', ']', ':', ' ', '\t', '\n', '\r', '"', '/':
		return true
	}
	return false
}

func (j *JSON) skipComposite() {
	depth := 0
	for j.pos < len(j.data) && j.err == nil {
		switch j.data[j.pos] {
		case '"':
			j.rawString()
			continue
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				j.pos++
				return
			}
		case '/':
			if j.comment() {
				continue
			}
		}
		j.pos++
	}
	j.Fail("a closing bracket")
}

// space passes over white space and comments.
func (j *JSON) space() {
	for j.pos < len(j.data) {
		switch j.data[j.pos] {
		case ' ', '\t', '\n', '\r':
			j.pos++
		case '/':
			if !j.comment() {
				return
			}
		default:
			return
		}
	}
}

// comment passes over a comment and reports whether there was one.
func (j *JSON) comment() bool {
	rest := j.data[j.pos:]
	var end []byte
	switch {
	case bytes.HasPrefix(rest, []byte("//")):
		end = []byte("\n")
	case bytes.HasPrefix(rest, []byte("/*")):
		end = []byte("*/")
	default:
		return false
	}
	i := bytes.Index(rest[2:], end)
	if i < 0 {
		j.pos = len(j.data)
		return true
	}
	j.pos += 2 + i + len(end)
	return true
}

// rawString reads a string; without escapes it is a part of the document.
func (j *JSON) rawString() []byte {
	if j.Peek() != '"' {
		j.Fail("a string")
		return nil
	}
	start := j.pos
	escaped := false
	for i := start + 1; i < len(j.data); i++ {
		switch j.data[i] {
		case '\\':
			escaped = true
			i++
		case '"':
			j.pos = i + 1
			if !escaped {
				return j.data[start+1 : i]
			}
			return j.unescape(j.data[start:j.pos])
		}
	}
	j.Fail("a closing quote")
	return nil
}

func (j *JSON) unescape(quoted []byte) []byte {
	var s string
	if err := json.Unmarshal(quoted, &s); err != nil {
		j.Fail("a string without bad escapes")
	}
	return []byte(s)
}

var errStop = errors.New("stopped")

// Fail ends the reading with an error: what should stand here.
func (j *JSON) Fail(want string) {
	if j.err == nil {
		j.err = fmt.Errorf("line %d: %w: want %s", j.Line(), seawall.ErrCorrupt, want)
	}
}

// License reads the value of a package manifest's licence field in any of its
// forms: a string, an object with a type, an array of either.
func (j *JSON) License() []string {
	switch j.Peek() {
	case '{':
		var all []string
		j.Object(func(key []byte) {
			if string(key) == "type" {
				all = j.License()
			}
		})
		return all
	case '[':
		var all []string
		j.Array(func() { all = append(all, j.License()...) })
		return all
	}
	if s := strings.TrimSpace(j.String()); s != "" {
		return []string{s}
	}
	return nil
}
