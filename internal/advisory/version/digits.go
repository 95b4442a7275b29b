package version

import "strings"

func isDigit(c byte) bool { return c-'0' < 10 }

func isLetter(c byte) bool { return (c|0x20)-'a' < 26 }

// lower maps ASCII capitals to small letters and leaves the rest.
func lower(c byte) byte {
	if c-'A' < 26 {
		return c + 'a' - 'A'
	}
	return c
}

// digits returns the run of digits s starts with.
func digits(s string) string {
	i := 0
	for i < len(s) && isDigit(s[i]) {
		i++
	}
	return s[:i]
}

// letters returns the run of ASCII letters s starts with.
func letters(s string) string {
	i := 0
	for i < len(s) && isLetter(s[i]) {
		i++
	}
	return s[:i]
}

// compareNumbers orders two runs of digits of any length by value; "" is 0.
func compareNumbers(a, b string) int {
	a, b = strings.TrimLeft(a, "0"), strings.TrimLeft(b, "0")
	if len(a) != len(b) {
		return len(a) - len(b)
	}
	return strings.Compare(a, b)
}

// compareFold orders by bytes, ASCII capitals as small letters.
func compareFold(a, b string) int {
	for i := 0; i < len(a) && i < len(b); i++ {
		if x, y := lower(a[i]), lower(b[i]); x != y {
			return int(x) - int(y)
		}
	}
	return len(a) - len(b)
}

// allDigits says whether s is a number.
func allDigits(s string) bool { return s != "" && len(digits(s)) == len(s) }

// isZero says whether s is a number of value 0.
func isZero(s string) bool { return s != "" && strings.Trim(s, "0") == "" }
