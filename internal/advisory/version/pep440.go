package version

import "strings"

// pep440 is a version of https://peps.python.org/pep-0440/ taken apart; the
// fields are substrings of it.
type pep440 struct {
	epoch, release string
	pre            int // 0 none, 1 alpha, 2 beta, 3 candidate
	preN           string
	post, dev      bool
	postN, devN    string
	local          string
}

// parsePEP440 reads the public form and the spellings PEP 440 normalises away.
func parsePEP440(s string) (pep440, bool) {
	var v pep440
	s = strings.TrimSpace(s)
	if s != "" && lower(s[0]) == 'v' {
		s = s[1:]
	}
	if i := strings.IndexByte(s, '!'); i >= 0 {
		v.epoch, s = s[:i], s[i+1:]
		if !allDigits(v.epoch) {
			return v, false
		}
	}
	n := 0
	for n < len(s) && (isDigit(s[n]) || s[n] == '.' && n > 0 && n+1 < len(s) && isDigit(s[n+1])) {
		n++
	}
	if n == 0 {
		return v, false
	}
	v.release, s = s[:n], s[n:]
	if word, num, rest, ok := pepWord(s); ok {
		if v.pre = pepPre(word); v.pre > 0 {
			v.preN, s = num, rest
		}
	}
	if len(s) > 1 && s[0] == '-' && isDigit(s[1]) {
		v.post, v.postN = true, digits(s[1:])
		s = s[1+len(v.postN):]
	} else if word, num, rest, ok := pepWord(s); ok && (foldEqual(word, "post") || foldEqual(word, "rev") || foldEqual(word, "r")) {
		v.post, v.postN, s = true, num, rest
	}
	if word, num, rest, ok := pepWord(s); ok && foldEqual(word, "dev") {
		v.dev, v.devN, s = true, num, rest
	}
	if s == "" {
		return v, true
	}
	v.local = s[1:]
	return v, s[0] == '+' && validLocal(v.local)
}

// pepWord reads [separator]word[separator][number].
func pepWord(s string) (word, num, rest string, ok bool) {
	s = skipSeparator(s)
	word = letters(s)
	if word == "" {
		return "", "", "", false
	}
	rest = s[len(word):]
	if t := skipSeparator(rest); t != "" && isDigit(t[0]) {
		num = digits(t)
		rest = t[len(num):]
	}
	return word, num, rest, true
}

func skipSeparator(s string) string {
	if s != "" && (s[0] == '.' || s[0] == '-' || s[0] == '_') {
		return s[1:]
	}
	return s
}

func foldEqual(a, b string) bool { return len(a) == len(b) && compareFold(a, b) == 0 }

func pepPre(word string) int {
	switch {
	case foldEqual(word, "a") || foldEqual(word, "alpha"):
		return 1
	case foldEqual(word, "b") || foldEqual(word, "beta"):
		return 2
	case foldEqual(word, "c") || foldEqual(word, "rc") || foldEqual(word, "pre") || foldEqual(word, "preview"):
		return 3
	}
	return 0
}

func validLocal(s string) bool {
	for s != "" {
		n := 0
		for n < len(s) && (isDigit(s[n]) || isLetter(s[n])) {
			n++
		}
		if n == 0 {
			return false
		}
		if n == len(s) {
			return true
		}
		if s[n] != '.' && s[n] != '-' && s[n] != '_' {
			return false
		}
		s = s[n+1:]
	}
	return false
}

func comparePEP440(a, b string) int {
	x, _ := parsePEP440(a)
	y, _ := parsePEP440(b)
	if c := compareNumbers(x.epoch, y.epoch); c != 0 {
		return c
	}
	if c := compareRelease(x.release, y.release); c != 0 {
		return c
	}
	if c := x.preRank() - y.preRank(); c != 0 {
		return c
	}
	if c := compareNumbers(x.preN, y.preN); c != 0 {
		return c
	}
	if x.post != y.post {
		return before(y.post)
	}
	if c := compareNumbers(x.postN, y.postN); c != 0 {
		return c
	}
	if x.dev != y.dev {
		return before(x.dev)
	}
	if c := compareNumbers(x.devN, y.devN); c != 0 {
		return c
	}
	return compareLocal(x.local, y.local)
}

func before(yes bool) int {
	if yes {
		return -1
	}
	return 1
}

// preRank places a bare development release before the pre-releases and the release after them.
func (v *pep440) preRank() int {
	switch {
	case v.pre > 0:
		return v.pre
	case v.dev && !v.post:
		return 0
	default:
		return 4
	}
}

// compareRelease compares dotted numbers; missing ones are 0.
func compareRelease(a, b string) int {
	for a != "" || b != "" {
		x, y := digits(a), digits(b)
		if c := compareNumbers(x, y); c != 0 {
			return c
		}
		a, b = a[min(len(x)+1, len(a)):], b[min(len(y)+1, len(b)):]
	}
	return 0
}

// compareLocal: numbers are newer than words, a longer label newer than its prefix, none oldest.
func compareLocal(a, b string) int {
	for a != "" && b != "" {
		x, y := localSegment(a), localSegment(b)
		c := compareIdentifier(x, y, true)
		if allDigits(x) != allDigits(y) {
			c = -c
		}
		if c != 0 {
			return c
		}
		a, b = a[min(len(x)+1, len(a)):], b[min(len(y)+1, len(b)):]
	}
	return len(a) - len(b)
}

func localSegment(s string) string {
	if i := strings.IndexAny(s, ".-_"); i >= 0 {
		return s[:i]
	}
	return s
}
