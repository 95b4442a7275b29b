package secret

import (
	"fmt"
	"math/bits"
	"slices"
	"strconv"
	"strings"
)

// charset is a set of bytes.
type charset [4]uint64

func (c *charset) has(b byte) bool { return c[b>>6]&(1<<(b&63)) != 0 }
func (c *charset) add(b byte)      { c[b>>6] |= 1 << (b & 63) }

func (c *charset) size() int {
	n := 0
	for _, w := range c {
		n += bits.OnesCount64(w)
	}
	return n
}

func (c *charset) addRange(from, to byte) {
	for b := int(from); b <= int(to); b++ {
		c.add(byte(b))
	}
}

// atom is a set of bytes repeated.
type atom struct {
	set      charset
	min, max int
}

// pattern is a token's form: a literal with what comes before and after it. Every
// atom takes as many bytes as it can and never gives one back, so a match costs
// no more than its length.
//
// The language: literal bytes; [a-z0-9] sets; \d digits, \h and \H lower and any
// hexadecimal, \a letters and digits, \l and \u lower and upper letters and
// digits, \b base64 without padding, \s base64url; {n}, {m,n} repetition.
type pattern struct {
	literal string
	before  []atom // nearest to the literal first
	after   []atom
	// most is the greatest length of a match.
	most int
}

// minLiteral is the shortest literal that can be searched for.
const minLiteral = 3

// maxRepeat bounds a repetition, and with it how far a match can reach.
const maxRepeat = 1400

// compile reads a pattern. Its longest literal is the one searched for; whole
// patterns of values need none.
func compile(text string, whole bool) (*pattern, error) {
	atoms, err := parseAtoms(text)
	if err != nil {
		return nil, fmt.Errorf("pattern %q: %w", text, err)
	}
	p := &pattern{}
	for _, a := range atoms {
		p.most += a.max
	}
	if whole {
		p.after = atoms
		return p, nil
	}
	from, to := longestLiteral(atoms)
	if to-from < minLiteral {
		return nil, fmt.Errorf("pattern %q: no literal of %d bytes to search for", text, minLiteral)
	}
	var literal []byte
	for _, a := range atoms[from:to] {
		b, _ := a.literal()
		literal = append(literal, b)
	}
	p.literal, p.after, p.before = string(literal), atoms[to:], atoms[:from]
	slices.Reverse(p.before)
	return p, nil
}

func parseAtoms(text string) (atoms []atom, err error) {
	for text != "" {
		var a atom
		if a.set, text, err = parseSet(text); err != nil {
			return nil, err
		}
		a.min, a.max = 1, 1
		if strings.HasPrefix(text, "{") {
			count, rest, ok := strings.Cut(text[1:], "}")
			if !ok {
				return nil, fmt.Errorf("repetition without end")
			}
			low, high, ranged := strings.Cut(count, ",")
			if !ranged {
				high = low
			}
			if a.min, err = strconv.Atoi(low); err != nil {
				return nil, err
			}
			if high == "" {
				a.max = maxRepeat
			} else if a.max, err = strconv.Atoi(high); err != nil {
				return nil, err
			}
			if a.min < 0 || a.max < a.min || a.max > maxRepeat {
				return nil, fmt.Errorf("repetition {%s} out of range", count)
			}
			text = rest
		}
		atoms = append(atoms, a)
	}
	return atoms, nil
}

func parseSet(text string) (set charset, rest string, err error) {
	switch {
	case text[0] == '\\' && len(text) > 1:
		return escaped(text[1]), text[2:], nil
	case text[0] == '[':
		body, rest, ok := strings.Cut(text[1:], "]")
		if !ok || body == "" {
			return set, "", fmt.Errorf("set without end")
		}
		for i := 0; i < len(body); i++ {
			if i+2 < len(body) && body[i+1] == '-' {
				set.addRange(body[i], body[i+2])
				i += 2
			} else {
				set.add(body[i])
			}
		}
		return set, rest, nil
	}
	set.add(text[0])
	return set, text[1:], nil
}

func escaped(b byte) (set charset) {
	set.addRange('0', '9')
	switch b {
	case 'd':
	case 'h':
		set.addRange('a', 'f')
	case 'H':
		set.addRange('a', 'f')
		set.addRange('A', 'F')
	case 'l':
		set.addRange('a', 'z')
	case 'u':
		set.addRange('A', 'Z')
	case 'a', 'b', 's':
		set.addRange('a', 'z')
		set.addRange('A', 'Z')
		if b == 'b' {
			set.add('+')
			set.add('/')
		}
		if b == 's' {
			set.add('-')
			set.add('_')
		}
	default:
		set = charset{}
		set.add(b)
	}
	return set
}

// literal returns the one byte the atom stands for.
func (a *atom) literal() (byte, bool) {
	if a.min != 1 || a.max != 1 || a.set.size() != 1 {
		return 0, false
	}
	for i, w := range a.set {
		if w != 0 {
			return byte(i*64 + bits.TrailingZeros64(w)), true
		}
	}
	return 0, false
}

// longestLiteral prefers a literal the pattern begins with: nothing before it can take part of it.
func longestLiteral(atoms []atom) (from, to int) {
	start := 0
	for i := range atoms {
		if _, ok := atoms[i].literal(); !ok {
			start = i + 1
		} else if (from > 0 || to < minLiteral || start == 0) && i+1-start > to-from {
			from, to = start, i+1
		}
	}
	return from, to
}

// at matches the pattern whose literal stands at data[pos:] and returns the whole token's place.
func (p *pattern) at(data []byte, pos int) (start, end int, ok bool) {
	end = pos + len(p.literal)
	if end, ok = forward(p.after, data, end); !ok {
		return 0, 0, false
	}
	start = pos
	for i := range p.before {
		a := &p.before[i]
		n := 0
		for n < a.max && start > 0 && a.set.has(data[start-1]) {
			start--
			n++
		}
		if n < a.min {
			return 0, 0, false
		}
	}
	return start, end, delimited(data, start, end)
}

// matches says whether all of value has the pattern's form.
func (p *pattern) matches(value []byte) bool {
	end, ok := forward(p.after, value, 0)
	return ok && end == len(value)
}

func forward(atoms []atom, data []byte, end int) (int, bool) {
	for i := range atoms {
		a := &atoms[i]
		stop := min(end+a.max, len(data))
		from := end
		for end < stop && a.set.has(data[end]) {
			end++
		}
		if end-from < a.min {
			return 0, false
		}
	}
	return end, true
}

// delimited says whether a token stands for itself and is no part of a longer
// word. A letter that ends an escape of a quoted string ("\n") is no part of it.
func delimited(data []byte, start, end int) bool {
	if start > 0 && wordByte(data[start-1]) && wordByte(data[start]) && !(start > 1 && data[start-2] == '\\') {
		return false
	}
	return end == len(data) || !wordByte(data[end]) || !wordByte(data[end-1])
}

func wordByte(b byte) bool {
	return b|0x20 >= 'a' && b|0x20 <= 'z' || b >= '0' && b <= '9' || b == '_'
}
