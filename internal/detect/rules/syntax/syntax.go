// Package syntax reads the condition language of Falco's rules
// (https://falco.org/docs/concepts/rules/conditions/): text in, an expression
// tree out, every node with its offset in the text.
//
// The grammar, or binding least and not most:
//
//	or      = and *("or" and)
//	and     = not *("and" not)
//	not     = *"not" check
//	check   = "(" or ")" / macro / operand "exists" / operand operator value / operand set "(" [item *("," item)] ")" / operand set item
//	operand = field / transformer "(" operand ")"
//	value   = word / quoted / "val(" field ")" / transformer "(" field ")"
//	field   = name 1*("." name) ["[" argument "]"]
//
// A word runs to the next blank, parenthesis, comma, quote or equals sign, so
// that paths and names such as runc:[0:PARENT] need no quotes.
package syntax

import (
	"fmt"
	"slices"
	"strings"
)

// Expr is a node of a condition: *And, *Or, *Not, *Macro or *Check.
type Expr interface{ Offset() int }

// And is true when all of its terms are.
type And struct{ Terms []Expr }

// Or is true when one of its terms is.
type Or struct{ Terms []Expr }

// Not is true when its term is false.
type Not struct {
	Term Expr
	At   int
}

// Macro is a condition by its name.
type Macro struct {
	Name string
	At   int
}

// Check compares a field with values.
type Check struct {
	Left Operand
	// Operator is one of Operators; "==" is written "=".
	Operator string
	// Right has one operand; any number for in, intersects and pmatch; none for exists.
	Right []Operand
	At    int
}

// Operand is a field or a text.
type Operand struct {
	// Field is a name as in "proc.name", Argument what stands in its brackets.
	Field    string
	Argument string
	Indexed  bool // there are brackets
	// Text is the value where Field is "".
	Text   string
	Quoted bool
	// Transformers are applied to the field from the last to the first: tolower, toupper, b64, basename, len.
	Transformers []string
	At           int
}

// Offset implements Expr.
func (e *And) Offset() int   { return e.Terms[0].Offset() }
func (e *Or) Offset() int    { return e.Terms[0].Offset() }
func (e *Not) Offset() int   { return e.At }
func (e *Macro) Offset() int { return e.At }
func (e *Check) Offset() int { return e.At }

// String writes the operand as in a condition.
func (o Operand) String() string {
	if o.Field == "" {
		return o.Text
	}
	s := o.Field
	if o.Indexed {
		s += "[" + o.Argument + "]"
	}
	for _, t := range slices.Backward(o.Transformers) {
		s = t + "(" + s + ")"
	}
	return s
}

// Error is a mistake in a condition and its place, in bytes from the start.
type Error struct {
	At   int
	Text string
}

// Error implements error.
func (e *Error) Error() string { return e.Text }

// maxDepth bounds parentheses and negations within one another, maxLength a condition.
const maxDepth, maxLength = 100, 1 << 20

// symbols and words are the operators: those of letters end at a blank.
func symbols() []string { return []string{"==", "!=", "<=", ">=", "=", "<", ">"} }

// sets are the operators that take a list.
func sets() []string { return []string{"in", "intersects", "pmatch"} }

func words() []string {
	return []string{"icontains", "contains", "bcontains", "startswith", "bstartswith", "endswith", "glob", "iglob", "regex"}
}

func transformers() []string { return []string{"tolower", "toupper", "b64", "basename", "len"} }

// Parse reads a condition. Its error is an *Error.
func Parse(text string) (Expr, error) {
	if len(text) > maxLength {
		return nil, &Error{0, fmt.Sprintf("condition of %d bytes, more than %d", len(text), maxLength)}
	}
	p := &parser{text: text}
	e, err := p.or(0)
	if err != nil {
		return nil, err
	}
	if p.skip(); p.at < len(text) {
		return nil, p.fail("unexpected %q: want and, or, or the end", p.peek())
	}
	return e, nil
}

type parser struct {
	text string
	at   int
}

func (p *parser) fail(format string, args ...any) error {
	return &Error{p.at, fmt.Sprintf(format, args...)}
}

func (p *parser) skip() {
	for p.at < len(p.text) && isBlank(p.text[p.at]) {
		p.at++
	}
}

func isBlank(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\b' }

// peek is the next word or sign, for messages.
func (p *parser) peek() string {
	rest := p.text[p.at:]
	if rest == "" {
		return "end of the condition"
	}
	if n := wordLength(rest); n > 0 {
		return rest[:n]
	}
	return rest[:1]
}

// keyword takes a word of the language when it is next and ends there.
func (p *parser) keyword(word string) bool {
	p.skip()
	rest, ok := strings.CutPrefix(p.text[p.at:], word)
	if !ok || rest != "" && !isBlank(rest[0]) && rest[0] != '(' && rest[0] != ')' {
		return false
	}
	p.at += len(word)
	return true
}

func (p *parser) sign(c byte) bool {
	p.skip()
	if p.at < len(p.text) && p.text[p.at] == c {
		p.at++
		return true
	}
	return false
}

func (p *parser) or(depth int) (Expr, error) {
	terms, err := p.terms("or", depth, p.and)
	if err != nil || len(terms) == 1 {
		return first(terms), err
	}
	return &Or{terms}, nil
}

func (p *parser) and(depth int) (Expr, error) {
	terms, err := p.terms("and", depth, p.not)
	if err != nil || len(terms) == 1 {
		return first(terms), err
	}
	return &And{terms}, nil
}

func first(terms []Expr) Expr {
	if len(terms) == 0 {
		return nil
	}
	return terms[0]
}

// terms reads one or more terms between which a word stands.
func (p *parser) terms(word string, depth int, term func(int) (Expr, error)) ([]Expr, error) {
	var terms []Expr
	for {
		t, err := term(depth)
		if err != nil {
			return nil, err
		}
		if terms = append(terms, t); !p.keyword(word) {
			return terms, nil
		}
	}
}

func (p *parser) not(depth int) (Expr, error) {
	p.skip()
	at := p.at
	if depth > maxDepth {
		return nil, p.fail("more than %d parentheses within one another", maxDepth)
	}
	if p.keyword("not") {
		term, err := p.not(depth + 1)
		if err != nil {
			return nil, err
		}
		return &Not{term, at}, nil
	}
	if p.sign('(') {
		e, err := p.or(depth + 1)
		if err != nil {
			return nil, err
		}
		if !p.sign(')') {
			return nil, p.fail("the parenthesis opened at byte %d is not closed before %q", at, p.peek())
		}
		return e, nil
	}
	return p.check()
}

// check reads a comparison, or a macro's name.
func (p *parser) check() (Expr, error) {
	p.skip()
	at := p.at
	name := nameLength(p.text[at:])
	if name == 0 {
		return nil, p.fail("unexpected %q: want a field, a macro, not or (", p.peek())
	}
	if word := p.text[at : at+name]; !strings.Contains(word, ".") && (at+name == len(p.text) || p.text[at+name] != '(') {
		if slices.Contains([]string{"and", "or", "not"}, word) {
			return nil, p.fail("unexpected %q: want a field, a macro, not or (", word)
		}
		p.at += name
		return &Macro{word, at}, nil
	}
	left, err := p.operand()
	if err != nil {
		return nil, err
	}
	return p.comparison(&Check{Left: left, At: at})
}

func (p *parser) comparison(c *Check) (Expr, error) {
	p.skip()
	if p.keyword("exists") {
		c.Operator = "exists"
		return c, nil
	}
	for _, op := range symbols() {
		if strings.HasPrefix(p.text[p.at:], op) {
			p.at += len(op)
			c.Operator = op
			if op == "==" {
				c.Operator = "="
			}
			return p.single(c)
		}
	}
	for _, op := range words() {
		if p.keyword(op) {
			c.Operator = op
			return p.single(c)
		}
	}
	for _, op := range sets() {
		if p.keyword(op) {
			c.Operator = op
			return p.list(c)
		}
	}
	return nil, p.fail("unexpected %q after %s: want an operator (%s, exists)", p.peek(), c.Left, strings.Join(slices.Concat(symbols(), words(), sets()), ", "))
}

func (p *parser) single(c *Check) (Expr, error) {
	v, err := p.value()
	c.Right = []Operand{v}
	return c, err
}

func (p *parser) list(c *Check) (Expr, error) {
	if !p.sign('(') {
		return p.single(c) // the name of a list
	}
	if p.sign(')') {
		return c, nil
	}
	for {
		v, err := p.value()
		if err != nil {
			return nil, err
		}
		c.Right = append(c.Right, v)
		if p.sign(')') {
			return c, nil
		}
		if !p.sign(',') {
			return nil, p.fail("unexpected %q in a list: want , or )", p.peek())
		}
	}
}

// operand reads a field, with transformers around it.
func (p *parser) operand() (Operand, error) {
	p.skip()
	var around []string
	at := p.at
	for {
		p.skip()
		t := p.transformer(transformers())
		if t == "" {
			break
		}
		around = append(around, t)
	}
	p.skip()
	n := nameLength(p.text[p.at:])
	if word := p.text[p.at : p.at+n]; !strings.Contains(word, ".") {
		if n > 0 && p.at+n < len(p.text) && p.text[p.at+n] == '(' {
			return Operand{}, p.fail("unknown transformer %q: there are %s", word, strings.Join(transformers(), ", "))
		}
		return Operand{}, p.fail("unexpected %q: want a field", p.peek())
	}
	o := Operand{Field: p.text[p.at : p.at+n], Transformers: around, At: at}
	p.at += n
	if p.at < len(p.text) && p.text[p.at] == '[' {
		if err := p.argument(&o); err != nil {
			return Operand{}, err
		}
	}
	for range around {
		if !p.sign(')') {
			return Operand{}, p.fail("%s( is not closed before %q", around[0], p.peek())
		}
	}
	return o, nil
}

// transformer takes "name(" when it is next.
func (p *parser) transformer(names []string) string {
	for _, t := range names {
		if rest, ok := strings.CutPrefix(p.text[p.at:], t); ok && strings.HasPrefix(strings.TrimLeft(rest, " "), "(") {
			p.at = len(p.text) - len(rest) + strings.IndexByte(rest, '(') + 1
			return t
		}
	}
	return ""
}

// argument reads what stands in a field's brackets, quoted or not.
func (p *parser) argument(o *Operand) error {
	p.at++
	if p.at < len(p.text) && (p.text[p.at] == '"' || p.text[p.at] == '\'') {
		text, err := p.quoted()
		if err != nil {
			return err
		}
		o.Argument, o.Indexed = text, true
		if !p.sign(']') {
			return p.fail("the argument of %s does not end with ]", o.Field)
		}
		return nil
	}
	end := strings.IndexByte(p.text[p.at:], ']')
	if end < 0 {
		return p.fail("the argument of %s does not end with ]", o.Field)
	}
	o.Argument, o.Indexed = p.text[p.at:p.at+end], true
	p.at += end + 1
	return nil
}

// value reads the right side of a comparison.
func (p *parser) value() (Operand, error) {
	p.skip()
	at := p.at
	if p.at == len(p.text) {
		return Operand{}, p.fail("the condition ends where a value belongs")
	}
	if c := p.text[p.at]; c == '"' || c == '\'' {
		text, err := p.quoted()
		return Operand{Text: text, Quoted: true, At: at}, err
	}
	if p.transformer([]string{"val"}) != "" {
		o, err := p.operand()
		if err == nil && !p.sign(')') {
			err = p.fail("val( is not closed before %q", p.peek())
		}
		return o, err
	}
	if before := p.at; p.transformer(transformers()) != "" {
		p.at = before
		return p.operand()
	}
	n := wordLength(p.text[p.at:])
	if n == 0 {
		return Operand{}, p.fail("unexpected %q: want a value", p.peek())
	}
	p.at += n
	return Operand{Text: p.text[at:p.at], At: at}, nil
}

// quoted reads a text between quotes; a backslash keeps the next quote or backslash.
func (p *parser) quoted() (string, error) {
	at, quote := p.at, p.text[p.at]
	var b strings.Builder
	for p.at++; p.at < len(p.text); p.at++ {
		c := p.text[p.at]
		switch {
		case c == quote:
			p.at++
			return b.String(), nil
		case c == '\\' && p.at+1 < len(p.text) && (p.text[p.at+1] == quote || p.text[p.at+1] == '\\'):
			p.at++
			b.WriteByte(p.text[p.at])
		default:
			b.WriteByte(c)
		}
	}
	p.at = at
	return "", p.fail("the text that begins here has no closing %c", quote)
}

// nameLength is the length of a field's or macro's name at the start of s.
func nameLength(s string) int {
	for i := range len(s) {
		if c := s[i]; c != '_' && c != '.' && c != '-' && (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') {
			return i
		}
	}
	return len(s)
}

func wordLength(s string) int {
	if i := strings.IndexAny(s, " \t\r\n\b(),\"'="); i >= 0 {
		return i
	}
	return len(s)
}
