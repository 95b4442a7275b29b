package version

import (
	"fmt"
	"strconv"
	"strings"
)

// maxClauses bounds how many alternatives and comparators one expression may have.
const maxClauses = 256

// ParseNPM reads a range in the grammar of npm's semver package: alternatives
// separated by "||", each a hyphen range ("1.2 - 2") or comparators that must
// all hold (">=1.2 <2", "^1.2.3", "~1.2", "1.x", "*", "").
//
// Pre-releases are ordered, not excluded: 2.0.0-rc.1 is in "<2.0.0" and not in
// "^1.0.0", which is what an advisory means.
func ParseNPM(expression string) (Set, error) {
	out := None(Semver)
	alternatives := strings.Split(expression, "||")
	if len(alternatives) > maxClauses {
		return Set{}, fmt.Errorf("range %.60q: more than %d alternatives", expression, maxClauses)
	}
	for _, alternative := range alternatives {
		s, err := parseNPMAlternative(strings.TrimSpace(alternative))
		if err != nil {
			return Set{}, fmt.Errorf("range %.60q: %w", expression, err)
		}
		out = out.Union(s)
	}
	return out, nil
}

func parseNPMAlternative(text string) (Set, error) {
	if low, high, ok := strings.Cut(text, " - "); ok {
		return hyphenRange(Semver, strings.TrimSpace(low), strings.TrimSpace(high))
	}
	out := All(Semver)
	for n := 0; text != ""; n++ {
		if n == maxClauses {
			return Set{}, fmt.Errorf("more than %d comparators", maxClauses)
		}
		var operator, operand string
		operator, operand, text = nextComparator(text)
		s, err := npmComparator(Semver, operator, operand)
		if err != nil {
			return Set{}, err
		}
		out = out.Intersect(s)
	}
	return out, nil
}

// nextComparator takes one operator and operand off the front; blanks between them and commas after are allowed.
func nextComparator(text string) (operator, operand, rest string) {
	n := strings.IndexFunc(text, func(r rune) bool { return !strings.ContainsRune("<>=!~^", r) })
	if n < 0 {
		n = len(text)
	}
	operator, rest = text[:n], strings.TrimLeft(text[n:], " \t")
	if n = strings.IndexAny(rest, " \t,<>=!^"); n < 0 {
		n = len(rest)
	}
	return operator, rest[:n], strings.TrimLeft(rest[n:], " \t,")
}

// partial is a version of which parts may be missing or wildcards.
type partial struct {
	numbers    []uint64 // 0 to 4, as far as given
	prerelease string
}

// parsePartial reads [v=]number{.number}[-prerelease][+build]; x, X and * end the numbers.
func parsePartial(s string) (partial, bool) {
	var p partial
	s = strings.TrimLeft(s, "v=")
	s, _, _ = strings.Cut(s, "+")
	wild := s == ""
	for s != "" {
		if s[0] == 'x' || s[0] == 'X' || s[0] == '*' {
			wild, s = true, s[1:]
		} else {
			text := digits(s)
			n, err := strconv.ParseUint(text, 10, 63)
			if err != nil || len(p.numbers) == 4 {
				return p, false
			}
			if !wild {
				p.numbers = append(p.numbers, n)
			}
			s = s[len(text):]
		}
		if s == "" || s[0] != '.' {
			break
		}
		if s = s[1:]; s == "" {
			return p, false
		}
	}
	if s == "" {
		return p, true
	}
	p.prerelease = strings.TrimPrefix(s, "-")
	full := "0-" + p.prerelease
	return p, !wild && p.prerelease != "" && (s[0] == '-' || isLetter(s[0])) && validSemver(full)
}

// String writes the version with three numbers.
func (p partial) String() string {
	s := p.release(len(p.numbers))
	if p.prerelease != "" {
		s += "-" + p.prerelease
	}
	return s
}

// release writes the first n numbers, filled with zeros to three.
func (p partial) release(n int) string {
	var b []byte
	for i := range max(3, n) {
		var v uint64
		if i < n {
			v = p.numbers[i]
		}
		if i > 0 {
			b = append(b, '.')
		}
		b = strconv.AppendUint(b, v, 10)
	}
	return string(b)
}

// bump is the release with number i one up and the rest 0.
func (p partial) bump(i int) string {
	n := append([]uint64(nil), p.numbers[:i+1]...)
	n[i]++
	return partial{numbers: n}.release(i + 1)
}

// exact says whether no part is missing.
func (p partial) exact() bool { return len(p.numbers) >= 3 }

// floor is the cut just before the first version p names.
func (p partial) floor() cut {
	if len(p.numbers) == 0 {
		return lowest
	}
	return cut{version: p.String()}
}

// ceiling is the cut just after the last version p names: 1.2 names all of 1.2.x.
func (p partial) ceiling(s Scheme) cut {
	switch {
	case len(p.numbers) == 0:
		return highest
	case p.exact():
		return cut{version: p.String(), after: true}
	default:
		return below(s, p.bump(len(p.numbers)-1))
	}
}

// below is the cut before v and before v's pre-releases.
func below(s Scheme, v string) cut {
	switch s {
	case Packagist:
		return cut{version: v + "-dev"}
	default:
		return cut{version: v + "-0"}
	}
}

func hyphenRange(s Scheme, low, high string) (Set, error) {
	from, ok := parsePartial(low)
	to, ok2 := parsePartial(high)
	if !ok || !ok2 || s.Check(from.String()) != nil || s.Check(to.String()) != nil {
		return Set{}, fmt.Errorf("%w: %.60q", ErrInvalid, low+" - "+high)
	}
	return None(s).with(span{from.floor(), to.ceiling(s)}), nil
}

// npmComparator turns one operator and version into a set; Composer's constraints use it too.
func npmComparator(s Scheme, operator, operand string) (Set, error) {
	p, ok := parsePartial(operand)
	if !ok || operand == "" || s.Check(p.String()) != nil {
		return Set{}, fmt.Errorf("%w: %.60q", ErrInvalid, operator+operand)
	}
	out := span{lowest, highest}
	switch operator {
	case "", "=", "==":
		out = span{p.floor(), p.ceiling(s)}
	case "!=", "<>":
		return None(s).with(span{p.floor(), p.ceiling(s)}).Not(), nil
	case ">=", "=>":
		out.from = p.floor()
	case ">":
		out.from = p.ceiling(s)
	case "<":
		out.to = p.floor()
	case "<=", "=<":
		out.to = p.ceiling(s)
	case "^":
		out = span{p.floor(), p.caret(s)}
	case "~", "~>":
		out = span{p.floor(), p.tilde(s)}
	default:
		return Set{}, fmt.Errorf("unknown operator %q", operator)
	}
	if out.from == highest {
		return None(s), nil
	}
	if out.to == lowest {
		return None(s), nil
	}
	return None(s).with(out), nil
}

// caret keeps the left-most number that is not 0.
func (p partial) caret(s Scheme) cut {
	for i, n := range p.numbers {
		if n != 0 || i == len(p.numbers)-1 {
			return below(s, p.bump(i))
		}
	}
	return highest
}

// tilde keeps major and minor, or what is given of them. Composer's tilde keeps
// all but the last number given.
func (p partial) tilde(s Scheme) cut {
	keep := min(len(p.numbers), 2)
	if s == Packagist && len(p.numbers) > 1 {
		keep = len(p.numbers) - 1
	}
	if keep == 0 {
		return highest
	}
	return below(s, p.bump(keep-1))
}
