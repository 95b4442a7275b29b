package version

import "strings"

// validDpkg: [epoch:]upstream[-revision], deb-version(7). A letter at the start
// of upstream is tolerated as dpkg does for installed packages.
func validDpkg(v string) bool {
	epoch, rest, found := strings.Cut(v, ":")
	if !found {
		rest = v
	} else if !allDigits(epoch) {
		return false
	}
	if rest == "" || rest[0] == '-' {
		return false
	}
	for i := 0; i < len(rest); i++ {
		if c := rest[i]; !isDigit(c) && !isLetter(c) && strings.IndexByte(".+-~:_", c) < 0 {
			return false
		}
	}
	return rest[len(rest)-1] != '-'
}

// splitEpoch returns the parts of a valid [epoch:]version[-revision]; missing ones are "".
func splitEpoch(v string) (epoch, version, revision string) {
	version = v
	if i := strings.IndexByte(v, ':'); i >= 0 {
		epoch, version = v[:i], v[i+1:]
	}
	if i := strings.LastIndexByte(version, '-'); i >= 0 {
		version, revision = version[:i], version[i+1:]
	}
	return epoch, version, revision
}

// compareEpoch orders by epoch (a missing one is 0), then version and revision as part does.
func compareEpoch(a, b string, part func(a, b string) int) int {
	ae, av, ar := splitEpoch(a)
	be, bv, br := splitEpoch(b)
	if c := compareNumbers(ae, be); c != 0 {
		return c
	}
	if c := part(av, bv); c != 0 {
		return c
	}
	return part(ar, br)
}

// compareDpkgPart alternates non-digit and digit runs. In a non-digit run a
// tilde comes before the end, the end before letters, letters before the rest.
func compareDpkgPart(a, b string) int {
	for a != "" || b != "" {
		for a != "" && !isDigit(a[0]) || b != "" && !isDigit(b[0]) {
			x, y := dpkgWeight(a), dpkgWeight(b)
			if x != y {
				return x - y
			}
			a, b = a[1:], b[1:]
		}
		x, y := digits(a), digits(b)
		if c := compareNumbers(x, y); c != 0 {
			return c
		}
		a, b = a[len(x):], b[len(y):]
	}
	return 0
}

func dpkgWeight(s string) int {
	switch {
	case s == "" || isDigit(s[0]):
		return 0
	case s[0] == '~':
		return -1
	case isLetter(s[0]):
		return int(s[0])
	default:
		return int(s[0]) + 256
	}
}
