package sink

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Plain makes foreign text safe to print: names and paths come from the scanned
// thing and may carry terminal escapes, line breaks or direction overrides.
// Everything unicode.IsPrint refuses (controls, zero-width and direction
// characters, odd spaces) becomes a visible escape (\x1b, \u202e);
// clean text is returned unchanged, without allocating.
func Plain(s string) string {
	if isPlain(s) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && n == 1:
			b.WriteRune(utf8.RuneError)
		case unicode.IsPrint(r):
			b.WriteString(s[i : i+n])
		case r <= 0xff:
			fmt.Fprintf(&b, `\x%02x`, r)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
		i += n
	}
	return b.String()
}

func isPlain(s string) bool {
	for i := 0; i < len(s); {
		if c := s[i]; c < utf8.RuneSelf {
			if c < ' ' || c == 0x7f {
				return false
			}
			i++
			continue
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && n == 1 || !unicode.IsPrint(r) {
			return false
		}
		i += n
	}
	return true
}
