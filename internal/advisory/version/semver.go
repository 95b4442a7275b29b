package version

import "strings"

// validSemver: [v]number{.number}[pre-release][+build]. The pre-release follows
// a hyphen or, leniently, a letter glued to the number.
func validSemver(v string) bool {
	s := strings.TrimPrefix(v, "v")
	for {
		n := digits(s)
		if n == "" {
			return false
		}
		s = s[len(n):]
		if len(s) < 2 || s[0] != '.' || !isDigit(s[1]) {
			break
		}
		s = s[1:]
	}
	if s == "" {
		return true
	}
	c := s[0]
	if c == '-' || c == '+' || c == '.' || c == '_' {
		if len(s) == 1 || c == '.' && !isLetter(s[1]) {
			return false
		}
	} else if !isLetter(c) {
		return false
	}
	for i := 1; i < len(s); i++ {
		if c := s[i]; !isDigit(c) && !isLetter(c) && strings.IndexByte("-+._~", c) < 0 {
			return false
		}
	}
	return true
}

func compareSemver(a, b string, s Scheme) int {
	a, b = strings.TrimPrefix(a, "v"), strings.TrimPrefix(b, "v")
	for {
		x, y := digits(a), digits(b)
		if c := compareNumbers(x, y); c != 0 {
			return c
		}
		a, b = a[len(x):], b[len(y):]
		adot, bdot := numberFollows(a), numberFollows(b)
		if !adot && !bdot {
			break
		}
		if adot {
			a = a[1:]
		}
		if bdot {
			b = b[1:]
		}
		// The shorter one reads as 0 from here on: its tail starts with no digit.
	}
	if s == Loose {
		x, y := patchLetter(a), patchLetter(b)
		if c := compareFold(x, y); c != 0 {
			return c
		}
		a, b = a[len(x):], b[len(y):]
		x, y = revision(a), revision(b)
		if c := compareNumbers(x, y); c != 0 {
			return c
		}
		if x != "" {
			a = ""
		}
		if y != "" {
			b = ""
		}
	}
	return comparePrerelease(prerelease(a), prerelease(b), s != Semver)
}

func numberFollows(s string) bool { return len(s) > 1 && s[0] == '.' && isDigit(s[1]) }

// patchLetter returns the one letter (or two, OpenSSL 1.0.2za) that ends the numbers of a Loose version.
func patchLetter(s string) string {
	l := letters(s)
	if len(l) == len(s) && (len(l) == 1 || len(l) == 2 && lower(l[0]) == 'z') {
		return l
	}
	return ""
}

// revision returns the build number after the hyphen of a Loose version: 7.1.0-62,
// 1.25.1-3. A zero is none: advisories write 1.24.0-0 for "before its candidates".
func revision(s string) string {
	if len(s) > 1 && s[0] == '-' && allDigits(s[1:]) && !isZero(s[1:]) {
		return s[1:]
	}
	return ""
}

// prerelease strips the separator before it and the build metadata after it.
func prerelease(s string) string {
	if s == "" {
		return s
	}
	if i := strings.IndexByte(s, '+'); i >= 0 {
		s = s[:i]
	}
	if s != "" && !isLetter(s[0]) {
		s = s[1:]
	}
	return s
}

// comparePrerelease follows semver.org item 11; no pre-release is the greatest.
func comparePrerelease(a, b string, fold bool) int {
	if a == "" || b == "" {
		return len(b) - len(a)
	}
	for {
		x, arest, amore := strings.Cut(a, ".")
		y, brest, bmore := strings.Cut(b, ".")
		if c := compareIdentifier(x, y, fold); c != 0 {
			return c
		}
		if !amore || !bmore {
			return len(arest) - len(brest)
		}
		a, b = arest, brest
	}
}

func compareIdentifier(a, b string, fold bool) int {
	an, bn := allDigits(a), allDigits(b)
	switch {
	case an && bn:
		return compareNumbers(a, b)
	case an:
		return -1
	case bn:
		return 1
	case fold:
		return compareFold(a, b)
	default:
		return strings.Compare(a, b)
	}
}

// validCRAN: numbers separated by single dots or hyphens.
func validCRAN(v string) bool {
	for {
		n := digits(v)
		if n == "" {
			return false
		}
		v = v[len(n):]
		if v == "" {
			return true
		}
		if v[0] != '.' && v[0] != '-' {
			return false
		}
		v = v[1:]
	}
}

// compareCRAN: of two versions equal so far the longer is the newer (1.0 < 1.0.0).
func compareCRAN(a, b string) int {
	for a != "" && b != "" {
		x, y := digits(a), digits(b)
		if c := compareNumbers(x, y); c != 0 {
			return c
		}
		a, b = a[min(len(x)+1, len(a)):], b[min(len(y)+1, len(b)):]
	}
	return len(a) - len(b)
}
