package version

// mavenToken is one part of a version with the separator before it; a change
// between letters and digits counts as a hyphen.
type mavenToken struct {
	separator byte
	number    bool
	text      string
	// rank orders the qualifiers Maven knows; the others share mavenOther and are ordered as text.
	rank int8
}

// The ranks of qualifiers, least first.
const (
	mavenAlpha int8 = iota
	mavenBeta
	mavenMilestone
	mavenCandidate
	mavenSnapshot
	mavenRelease
	mavenServicePack
	mavenOther
)

func mavenRank(s string, beforeNumber bool) int8 {
	switch {
	case s == "", foldEqual(s, "ga"), foldEqual(s, "final"), foldEqual(s, "release"):
		return mavenRelease
	case foldEqual(s, "alpha"), beforeNumber && foldEqual(s, "a"):
		return mavenAlpha
	case foldEqual(s, "beta"), beforeNumber && foldEqual(s, "b"):
		return mavenBeta
	case foldEqual(s, "milestone"), beforeNumber && foldEqual(s, "m"):
		return mavenMilestone
	case foldEqual(s, "rc"), foldEqual(s, "cr"):
		return mavenCandidate
	case foldEqual(s, "snapshot"):
		return mavenSnapshot
	case foldEqual(s, "sp"):
		return mavenServicePack
	}
	return mavenOther
}

// null says whether the token adds nothing: 0 or a name of the release itself.
func (t *mavenToken) null() bool {
	if t.number {
		return isZero(t.text)
	}
	return t.rank == mavenRelease
}

func validMaven(v string) bool {
	for i := 0; i < len(v); i++ {
		if c := v[i]; c <= ' ' || c > '~' || c == '$' || c == '{' || c == '}' || c == '[' || c == ']' || c == '(' || c == ')' || c == ',' {
			return false
		}
	}
	return true
}

// mavenTokens splits v and drops the tokens that add nothing: at its end, before
// each hyphen, and, where Maven's own comparison would run in circles (1-a before
// 1.0.rc before 1 before 1-a), before each qualifier.
func mavenTokens(tokens []mavenToken, v string) []mavenToken {
	separator := byte('.')
	for {
		t := mavenToken{separator: separator}
		n := 0
		if v != "" && isDigit(v[0]) {
			t.number = true
			n = len(digits(v))
		} else {
			for n < len(v) && !isDigit(v[n]) && v[n] != '.' && v[n] != '-' && v[n] != '_' {
				n++
			}
		}
		t.text, v = v[:n], v[n:]
		if t.text == "" {
			t.number, t.text = true, "0"
		} else if !t.number {
			t.rank = mavenRank(t.text, v != "" && isDigit(v[0]))
		}
		tokens = append(tokens, t)
		if v == "" {
			break
		}
		separator = '-'
		if c := v[0]; c == '.' || c == '-' || c == '_' {
			v = v[1:]
			if c == '.' {
				separator = '.'
			}
		}
	}
	return trimMaven(tokens)
}

func trimMaven(tokens []mavenToken) []mavenToken {
	kept := len(tokens)
	boundary := true // the next kept token starts with a hyphen or is a qualifier, or there is none
	for i := len(tokens) - 1; i >= 0; i-- {
		t := tokens[i]
		if i > 0 && boundary && t.null() {
			continue
		}
		kept--
		tokens[kept] = t
		boundary = t.separator == '-' || !t.number
	}
	return tokens[kept:]
}

func compareMaven(a, b string) int {
	var abuf, bbuf [16]mavenToken
	x, y := mavenTokens(abuf[:0], a), mavenTokens(bbuf[:0], b)
	for i := 0; i < len(x) || i < len(y); i++ {
		var c int
		switch {
		case i >= len(x):
			c = -y[i].againstNothing()
		case i >= len(y):
			c = x[i].againstNothing()
		default:
			c = x[i].compare(&y[i])
		}
		if c != 0 {
			return c
		}
	}
	return 0
}

// againstNothing orders a token against the end of the other version.
func (t *mavenToken) againstNothing() int {
	if t.number {
		if isZero(t.text) {
			return 0
		}
		return 1
	}
	return int(t.rank) - int(mavenRelease)
}

func (t *mavenToken) compare(o *mavenToken) int {
	switch {
	case t.number && o.number:
		if t.separator != o.separator {
			return int(t.separator) - int(o.separator) // "-1" is before ".1", as the bytes are
		}
		return compareNumbers(t.text, o.text)
	case t.number:
		return 1
	case o.number:
		return -1
	case t.rank != o.rank:
		return int(t.rank) - int(o.rank)
	case t.rank == mavenOther:
		return compareFold(t.text, o.text)
	}
	return 0
}
