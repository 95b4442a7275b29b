package version

import "strings"

// A Composer version is [v]number{.number}, then stability words with numbers.
// Wildcards of branch names ("2.x-dev") read as composerWildcard.
const composerWildcard = "9999999"

// The stabilities Composer orders, least first.
const (
	composerDev = iota
	composerAlpha
	composerBeta
	composerCandidate
	composerStable
	composerPatch
)

func composerStability(word string) (int, bool) {
	switch {
	case foldEqual(word, "dev"):
		return composerDev, true
	case foldEqual(word, "alpha"), foldEqual(word, "a"):
		return composerAlpha, true
	case foldEqual(word, "beta"), foldEqual(word, "b"):
		return composerBeta, true
	case foldEqual(word, "rc"):
		return composerCandidate, true
	case foldEqual(word, "stable"), word == "":
		return composerStable, true
	case foldEqual(word, "patch"), foldEqual(word, "pl"), foldEqual(word, "p"):
		return composerPatch, true
	}
	return 0, false
}

func trimComposer(v string) string {
	if len(v) > 1 && lower(v[0]) == 'v' {
		v = v[1:]
	}
	if i := strings.IndexByte(v, '+'); i >= 0 {
		v = v[:i]
	}
	return v
}

func validComposer(v string) bool {
	s := trimComposer(v)
	if s == "" || !isDigit(s[0]) {
		return false
	}
	for {
		n := composerNumber(s)
		if n == "" {
			break
		}
		s = s[len(n):]
		if len(s) > 1 && s[0] == '.' && composerNumber(s[1:]) != "" {
			s = s[1:]
		} else {
			break
		}
	}
	for s != "" {
		word, _, rest := composerWord(s)
		if _, ok := composerStability(word); !ok || rest == s {
			return false
		}
		s = rest
	}
	return true
}

// composerNumber returns the number or wildcard s starts with.
func composerNumber(s string) string {
	if s != "" && (lower(s[0]) == 'x' || s[0] == '*') {
		return s[:1]
	}
	return digits(s)
}

// composerWord reads [separator]word[separator][number{.number}].
func composerWord(s string) (word, number, rest string) {
	s = skipSeparator(s)
	word = letters(s)
	rest = s[len(word):]
	t := rest
	if t != "" && (t[0] == '.' || t[0] == '-') {
		t = t[1:]
	}
	n := 0
	for n < len(t) && (isDigit(t[n]) || t[n] == '.' && n > 0 && n+1 < len(t) && isDigit(t[n+1])) {
		n++
	}
	if n > 0 {
		number, rest = t[:n], t[n:]
	}
	return word, number, rest
}

func compareComposer(a, b string) int {
	a, b = trimComposer(a), trimComposer(b)
	for {
		x, y := composerNumber(a), composerNumber(b)
		if c := compareNumbers(wildcard(x), wildcard(y)); c != 0 {
			return c
		}
		a, b = a[len(x):], b[len(y):]
		adot := len(a) > 1 && a[0] == '.' && composerNumber(a[1:]) != ""
		bdot := len(b) > 1 && b[0] == '.' && composerNumber(b[1:]) != ""
		if !adot && !bdot {
			break
		}
		if adot {
			a = a[1:]
		}
		if bdot {
			b = b[1:]
		}
	}
	for {
		aw, an, arest := composerWord(a)
		bw, bn, brest := composerWord(b)
		x, _ := composerStability(aw)
		y, _ := composerStability(bw)
		if x != y {
			return x - y
		}
		if c := compareRelease(an, bn); c != 0 {
			return c
		}
		if arest == "" && brest == "" {
			return 0
		}
		a, b = arest, brest
	}
}

func wildcard(n string) string {
	if n != "" && !isDigit(n[0]) {
		return composerWildcard
	}
	return n
}
