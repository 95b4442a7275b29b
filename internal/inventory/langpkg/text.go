package langpkg

import (
	"bytes"
	"iter"
	"strings"
)

// Lines yields each line with its number, counted from 1, without its end.
func Lines(data []byte) iter.Seq2[int, []byte] {
	return func(yield func(int, []byte) bool) {
		n := 0
		for line := range bytes.Lines(data) {
			n++
			if !yield(n, bytes.TrimRight(line, "\r\n")) {
				return
			}
		}
	}
}

// Paragraph reads the header of a file written as RFC 822 fields ("Name: value",
// continued on lines that start with a space), up to the first empty line, and
// calls field for each. value is trimmed and valid until field returns.
func Paragraph(data []byte, field func(name, value []byte)) {
	var name, value, joined []byte
	flush := func() {
		if name != nil {
			field(name, bytes.TrimSpace(value))
		}
		name, joined = nil, joined[:0]
	}
	for _, line := range Lines(data) {
		switch {
		case len(bytes.TrimSpace(line)) == 0:
			flush()
			return
		case line[0] == ' ' || line[0] == '\t':
			if len(joined) == 0 {
				joined = append(joined, value...)
			}
			joined = append(joined, line...)
			value = joined
		default:
			flush()
			if n, v, ok := bytes.Cut(line, []byte(":")); ok {
				name, value = n, v
			}
		}
	}
	flush()
}

// Base returns the last element of a cleaned path.
func Base(path string) string { return path[strings.LastIndexByte(path, '/')+1:] }

// Named returns a Match of files with one of the given names. It looks at the
// end of a path only, which is most of what the walk of a large tree costs here.
func Named(names ...string) func(path string) bool {
	return func(path string) bool {
		for _, name := range names {
			if n := len(path) - len(name); n >= 0 && path[n:] == name && (n == 0 || path[n-1] == '/') {
				return true
			}
		}
		return false
	}
}
