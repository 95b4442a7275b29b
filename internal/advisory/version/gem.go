package version

import "strings"

// validGem: number{.word}[-word{.word}] as Gem::Version.correct?.
func validGem(v string) bool {
	if !isDigit(v[0]) {
		return false
	}
	for i := 1; i < len(v); i++ {
		c := v[i]
		if isDigit(c) || isLetter(c) {
			continue
		}
		if c != '.' && c != '-' || i+1 == len(v) || v[i-1] == '.' {
			return false
		}
	}
	return true
}

// gemReader walks the canonical segments of a gem version: numbers and words,
// without the zeros that end the part before the first word and the whole. A
// hyphen reads as the word "pre".
type gemReader struct {
	rest   string
	inWord bool // a word was seen
}

// next returns the next segment, "" at the end.
func (r *gemReader) next() string {
	for {
		segment, rest := gemSegment(r.rest)
		if segment == "" {
			return ""
		}
		if !isDigit(segment[0]) {
			r.rest, r.inWord = rest, true
			return segment
		}
		if !isZero(segment) {
			r.rest = rest
			return segment
		}
		// Zeros count only when a number, or after a word anything, follows.
		ahead, after := gemSegment(rest)
		for isZero(ahead) {
			ahead, after = gemSegment(after)
		}
		switch {
		case ahead == "":
			return ""
		case isDigit(ahead[0]) || r.inWord:
			r.rest = rest
			return segment
		}
		r.rest = rest // a zero before the first word
	}
}

func gemSegment(s string) (segment, rest string) {
	for s != "" && s[0] == '.' {
		s = s[1:]
	}
	switch {
	case s == "":
		return "", ""
	case s[0] == '-':
		return "pre", s[1:]
	case isDigit(s[0]):
		segment = digits(s)
	default:
		segment = letters(s)
	}
	return segment, s[len(segment):]
}

func compareGem(a, b string) int {
	x, y := gemReader{rest: a}, gemReader{rest: b}
	for {
		s, t := x.next(), y.next()
		if s == "" && t == "" {
			return 0
		}
		sn, tn := s == "" || isDigit(s[0]), t == "" || isDigit(t[0])
		c := 0
		switch {
		case sn && tn:
			c = compareNumbers(s, t)
		case sn:
			c = 1
		case tn:
			c = -1
		default:
			c = strings.Compare(s, t)
		}
		if c != 0 {
			return c
		}
	}
}
