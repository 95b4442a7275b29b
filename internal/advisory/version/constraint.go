package version

import (
	"fmt"
	"strings"
)

// ParseComparators reads comparators that must all hold, separated by commas
// and blanks: ">= 1.3, <= 1.7.13", "< 2". The operators are =, ==, !=, <, <=, >
// and >=; versions are taken as written, in the scheme's order.
func ParseComparators(s Scheme, expression string) (Set, error) {
	out, err := parseConstraint(s, expression, comparator)
	if err != nil {
		return Set{}, fmt.Errorf("constraint %.60q: %w", expression, err)
	}
	return out, nil
}

// ParseRubyGems reads a gem requirement: the comparators of ParseComparators
// and "~> 1.2.3" (at least 1.2.3, below 1.3 and its pre-releases).
func ParseRubyGems(requirement string) (Set, error) {
	out, err := parseConstraint(RubyGems, requirement, gemComparator)
	if err != nil {
		return Set{}, fmt.Errorf("requirement %.60q: %w", requirement, err)
	}
	return out, nil
}

// ParseComposer reads a Composer constraint: alternatives separated by "||" or
// "|", each a hyphen range or comparators that must all hold, with ^, ~ and
// wildcards. Unlike Composer, which reads "<2.0" as "<2.0-dev", pre-releases are ordered as they are.
func ParseComposer(expression string) (Set, error) {
	out := None(Packagist)
	alternatives := strings.FieldsFunc(expression, func(r rune) bool { return r == '|' })
	if len(alternatives) == 0 || len(alternatives) > maxClauses {
		return Set{}, fmt.Errorf("constraint %.60q: want 1 to %d alternatives", expression, maxClauses)
	}
	for _, alternative := range alternatives {
		var s Set
		var err error
		if low, high, ok := strings.Cut(alternative, " - "); ok {
			s, err = hyphenRange(Packagist, strings.TrimSpace(low), strings.TrimSpace(high))
		} else {
			s, err = parseConstraint(Packagist, alternative, composerComparator)
		}
		if err != nil {
			return Set{}, fmt.Errorf("constraint %.60q: %w", expression, err)
		}
		out = out.Union(s)
	}
	return out, nil
}

// parseConstraint intersects the comparators of one expression.
func parseConstraint(s Scheme, text string, one func(Scheme, string, string) (Set, error)) (Set, error) {
	out := All(s)
	text = strings.TrimSpace(text)
	if text == "" {
		return Set{}, fmt.Errorf("%w: empty", ErrInvalid)
	}
	for n := 0; text != ""; n++ {
		if n == maxClauses {
			return Set{}, fmt.Errorf("more than %d comparators", maxClauses)
		}
		var operator, operand string
		operator, operand, text = nextComparator(text)
		set, err := one(s, operator, operand)
		if err != nil {
			return Set{}, err
		}
		out = out.Intersect(set)
	}
	return out, nil
}

func comparator(s Scheme, operator, operand string) (Set, error) {
	if err := s.Check(operand); err != nil {
		return Set{}, err
	}
	from, to := cut{version: operand}, cut{version: operand, after: true}
	out := span{lowest, highest}
	switch operator {
	case "", "=", "==":
		out = span{from, to}
	case "!=":
		return None(s).with(span{from, to}).Not(), nil
	case ">=":
		out.from = from
	case ">":
		out.from = to
	case "<":
		out.to = from
	case "<=":
		out.to = to
	default:
		return Set{}, fmt.Errorf("unknown operator %q", operator)
	}
	return Set{s, []span{out}}, nil
}

func gemComparator(s Scheme, operator, operand string) (Set, error) {
	if operator != "~>" {
		return comparator(s, operator, operand)
	}
	if err := s.Check(operand); err != nil {
		return Set{}, err
	}
	// The number to count up is the last but one of those before the first word.
	var numbers []string
	for rest := operand; ; {
		var segment string
		segment, rest = gemSegment(rest)
		if segment == "" || !isDigit(segment[0]) {
			break
		}
		numbers = append(numbers, segment)
	}
	p, ok := parsePartial(strings.Join(numbers[:min(len(numbers), 4)], "."))
	if !ok {
		return Set{}, fmt.Errorf("%w: %.60q", ErrInvalid, operand)
	}
	keep := max(len(p.numbers)-2, 0)
	end := partial{numbers: p.numbers[:keep+1]}.bump(keep)
	// "A" is the least word, so end.A comes before every pre-release of end.
	return Set{s, []span{{cut{version: operand}, cut{version: end + ".A"}}}}, nil
}

// composerComparator takes plain comparators as written, so that stability
// words are kept, and hands ^, ~ and wildcards to the npm grammar.
func composerComparator(s Scheme, operator, operand string) (Set, error) {
	if strings.HasPrefix(operator, "^") || strings.HasPrefix(operator, "~") || strings.ContainsAny(operand, "*xX") {
		return npmComparator(s, operator, operand)
	}
	return comparator(s, operator, operand)
}
