package version

import "strings"

// apkKind orders the parts of an apk version: of two versions equal so far, the
// one whose next part has the smaller kind is the newer (unless that part is a
// pre-release suffix).
type apkKind uint8

const (
	apkFirst apkKind = iota
	apkNumber
	apkLetter
	apkSuffix
	apkSuffixNumber
	apkHash
	apkRevision
	apkEnd
	apkInvalid
)

// apkReader walks the parts of number{.number}[letter]{_suffix[number]}[~hash][-rN].
type apkReader struct {
	rest  string
	kind  apkKind
	value string
	// rank of a suffix; below apkNoSuffix is a pre-release.
	rank int
}

const apkNoSuffix = 4

// apkSuffixRank: alpha, beta, pre and rc come before the release, the others after it.
func apkSuffixRank(s string) int {
	switch s {
	case "alpha":
		return 0
	case "beta":
		return 1
	case "pre":
		return 2
	case "rc":
		return 3
	case "cvs":
		return 5
	case "svn":
		return 6
	case "git":
		return 7
	case "hg":
		return 8
	case "p":
		return 9
	}
	return -1
}

// start reads the first number.
func (r *apkReader) start(v string) {
	r.value = digits(v)
	r.rest, r.kind = v[len(r.value):], apkFirst
	if r.value == "" {
		r.kind = apkInvalid
	}
}

// next reads the part after the current one.
func (r *apkReader) next() {
	if r.rest == "" {
		r.kind, r.value = apkEnd, ""
		return
	}
	c, kind := r.rest[0], r.kind
	r.kind = apkInvalid
	switch {
	case c == '.' && kind <= apkNumber:
		r.take(apkNumber, digits(r.rest[1:]), 1)
	case isLetter(c) && c >= 'a' && kind <= apkNumber:
		r.take(apkLetter, r.rest[:1], 0)
	case c == '_' && kind <= apkSuffixNumber:
		word := letters(r.rest[1:])
		if r.rank = apkSuffixRank(word); r.rank >= 0 {
			r.take(apkSuffix, word, 1)
		}
	case isDigit(c) && kind == apkSuffix:
		r.take(apkSuffixNumber, digits(r.rest), 0)
	case c == '~' && kind < apkHash:
		n := 1
		for n < len(r.rest) && (isDigit(r.rest[n]) || r.rest[n] >= 'a' && r.rest[n] <= 'f') {
			n++
		}
		r.take(apkHash, r.rest[1:n], 1)
	case strings.HasPrefix(r.rest, "-r") && kind < apkRevision:
		r.take(apkRevision, digits(r.rest[2:]), 2)
	}
}

func (r *apkReader) take(kind apkKind, value string, prefix int) {
	if value == "" {
		return
	}
	r.kind, r.value, r.rest = kind, value, r.rest[prefix+len(value):]
}

func validAPK(v string) bool {
	var r apkReader
	for r.start(v); r.kind < apkEnd; {
		r.next()
	}
	return r.kind == apkEnd
}

func compareAPK(a, b string) int {
	var x, y apkReader
	x.start(a)
	y.start(b)
	for x.kind == y.kind && x.kind < apkEnd {
		if c := x.compareValue(&y); c != 0 {
			return c
		}
		x.next()
		y.next()
	}
	switch {
	case x.kind == y.kind:
		return 0
	case x.kind == apkSuffix && x.rank < apkNoSuffix:
		return -1
	case y.kind == apkSuffix && y.rank < apkNoSuffix:
		return 1
	default:
		return int(y.kind) - int(x.kind)
	}
}

// compareValue orders two parts of one kind. A number after the first with a
// leading zero is a decimal fraction and ordered as text.
func (r *apkReader) compareValue(o *apkReader) int {
	switch r.kind {
	case apkSuffix:
		return r.rank - o.rank
	case apkLetter, apkHash:
		return strings.Compare(r.value, o.value)
	case apkNumber:
		if r.value[0] == '0' || o.value[0] == '0' {
			return strings.Compare(r.value, o.value)
		}
	}
	return compareNumbers(r.value, o.value)
}
