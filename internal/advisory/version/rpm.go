package version

import "strings"

// validRPM: [epoch:]version[-release] of printable ASCII without spaces.
func validRPM(v string) bool {
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
		if c := rest[i]; c <= ' ' || c > '~' || c == ':' {
			return false
		}
	}
	return true
}

// compareRPMPart is rpmvercmp: runs of digits or letters, everything else only
// separates; "~" sorts before the end, "^" after it but before anything else.
func compareRPMPart(a, b string) int {
	for {
		a, b = skipRPMSeparators(a), skipRPMSeparators(b)
		at, bt := strings.HasPrefix(a, "~"), strings.HasPrefix(b, "~")
		if at || bt {
			if !at {
				return 1
			}
			if !bt {
				return -1
			}
			a, b = a[1:], b[1:]
			continue
		}
		ac, bc := strings.HasPrefix(a, "^"), strings.HasPrefix(b, "^")
		if ac || bc {
			switch {
			case a == "":
				return -1
			case b == "":
				return 1
			case !ac:
				return 1
			case !bc:
				return -1
			}
			a, b = a[1:], b[1:]
			continue
		}
		if a == "" || b == "" {
			return len(a) - len(b)
		}
		x, y, numeric := digits(a), digits(b), isDigit(a[0])
		if !numeric {
			x, y = letters(a), letters(b)
		}
		if y == "" { // different kinds: a number is newer than letters
			if numeric {
				return 1
			}
			return -1
		}
		c := 0
		if numeric {
			c = compareNumbers(x, y)
		} else {
			c = strings.Compare(x, y)
		}
		if c != 0 {
			return c
		}
		a, b = a[len(x):], b[len(y):]
	}
}

func skipRPMSeparators(s string) string {
	i := 0
	for i < len(s) && !isDigit(s[i]) && !isLetter(s[i]) && s[i] != '~' && s[i] != '^' {
		i++
	}
	return s[i:]
}
