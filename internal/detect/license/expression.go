package license

import (
	"regexp"
	"slices"
	"strings"
	"sync"
)

// Bounds of a licence text that is read as an expression.
const (
	maxText  = 4096
	maxDepth = 32
	maxWords = 256
)

// Expression is a licence expression (SPDX specification, annex D): one licence, or parts joined.
type Expression struct {
	// ID is the SPDX identifier, or the text as it was where none is known; "" for joined parts.
	ID string
	// Exception is what WITH names.
	Exception string
	Class     Class
	// Any: one of Parts is enough (OR); otherwise all hold (AND).
	Any   bool
	Parts []Expression
}

// String writes the expression in SPDX's form.
func (e Expression) String() string {
	if e.ID != "" {
		if e.Exception != "" {
			return e.ID + " WITH " + e.Exception
		}
		return e.ID
	}
	op := " AND "
	if e.Any {
		op = " OR "
	}
	var b strings.Builder
	for i, p := range e.Parts {
		if i > 0 {
			b.WriteString(op)
		}
		if len(p.Parts) > 0 && p.Any != e.Any {
			b.WriteString("(" + p.String() + ")")
		} else {
			b.WriteString(p.String())
		}
	}
	return b.String()
}

// Obligations is the class that counts: the mildest alternative, the strictest of what holds together.
func (e Expression) Obligations() Class {
	if e.ID != "" {
		return e.Class
	}
	out := e.Parts[0].Obligations()
	for _, p := range e.Parts[1:] {
		if c := p.Obligations(); e.Any == (c < out) && c != out {
			out = c
		}
	}
	return out
}

// Satisfies says whether the software can be had under licences that all pass.
func (e Expression) Satisfies(pass func(Expression) bool) bool {
	if e.ID != "" {
		return pass(e)
	}
	if e.Any {
		return slices.ContainsFunc(e.Parts, func(p Expression) bool { return p.Satisfies(pass) })
	}
	return !slices.ContainsFunc(e.Parts, func(p Expression) bool { return !p.Satisfies(pass) })
}

// Parse reads what package metadata says of a licence: SPDX expressions, Debian's
// and RPM's short names ("GPL-2+ or Artistic", "GPLv2+ and MIT"), names in
// common use. What it cannot tell is one licence of class Unknown.
func Parse(text string) Expression {
	text = strings.Join(strings.Fields(text), " ")
	if len(text) > maxText {
		return unknown(text)
	}
	if e, ok := lookup(text); ok {
		return e
	}
	if p := (parser{words: words(text)}); len(p.words) <= maxWords {
		if e, ok := p.any(0); ok && p.at == len(p.words) {
			return e
		}
	}
	return unknown(text)
}

// unknown keeps the beginning of a text that is no licence anyone knows.
func unknown(text string) Expression {
	if r := []rune(text); len(r) > 80 {
		text = string(r[:80]) + "…"
	}
	return Expression{ID: text, Class: Unknown}
}

// ParseAll reads the licences of a package, which hold together.
func ParseAll(texts []string) Expression {
	if len(texts) == 1 {
		return Parse(texts[0])
	}
	out := Expression{}
	for _, t := range texts {
		out.join(Parse(t))
	}
	if len(out.Parts) == 1 {
		return out.Parts[0]
	}
	return out
}

// join adds a part, one of the same kind as its parts, each only once.
func (e *Expression) join(part Expression) {
	parts := []Expression{part}
	if len(part.Parts) > 0 && part.Any == e.Any {
		parts = part.Parts
	}
	for _, p := range parts {
		s := p.String()
		if !slices.ContainsFunc(e.Parts, func(o Expression) bool { return o.String() == s }) {
			e.Parts = append(e.Parts, p)
		}
	}
}

// words divides a text at the operators, which stay as "(", ")", "AND", "OR", "WITH".
func words(text string) (out []string) {
	text = strings.NewReplacer("(", " ( ", ")", " ) ", "&", " AND ", "|", " OR ", ",", " AND ", ";", " AND ").Replace(text)
	var name []string
	flush := func() {
		if len(name) > 0 {
			out = append(out, strings.Join(name, " "))
			name = nil
		}
	}
	for w := range strings.FieldsSeq(text) {
		op := strings.ToUpper(w)
		switch op {
		case "AND/OR":
			op = "OR"
			fallthrough
		case "AND", "OR", "WITH", "(", ")":
			flush()
			if n := len(out); op == "AND" && n > 0 && (out[n-1] == "AND" || out[n-1] == "OR") || op == "OR" && n > 0 && out[n-1] == "OR" {
				continue // "a, and b", "a || b"
			} else if op == "OR" && n > 0 && out[n-1] == "AND" {
				out[n-1] = "OR" // "a, or b"
				continue
			}
			out = append(out, op)
		default:
			name = append(name, w)
		}
	}
	flush()
	return out
}

// parser reads OR over AND over single licences.
type parser struct {
	words []string
	at    int
}

func (p *parser) take(word string) bool {
	if p.at < len(p.words) && p.words[p.at] == word {
		p.at++
		return true
	}
	return false
}

func (p *parser) any(depth int) (Expression, bool) {
	return p.joined("OR", depth, func() (Expression, bool) {
		return p.joined("AND", depth, func() (Expression, bool) { return p.single(depth) })
	})
}

func (p *parser) joined(op string, depth int, part func() (Expression, bool)) (Expression, bool) {
	first, ok := part()
	if !ok || depth > maxDepth {
		return Expression{}, false
	}
	out := Expression{Any: op == "OR"}
	out.join(first)
	for p.take(op) {
		next, ok := part()
		if !ok {
			return Expression{}, false
		}
		out.join(next)
	}
	if len(out.Parts) == 1 {
		return out.Parts[0], true
	}
	return out, true
}

func (p *parser) single(depth int) (Expression, bool) {
	if p.take("(") {
		e, ok := p.any(depth + 1)
		return e, ok && p.take(")")
	}
	if p.at == len(p.words) || operator(p.words[p.at]) {
		return Expression{}, false
	}
	name := p.words[p.at]
	p.at++
	e, ok := lookup(name)
	if !ok {
		e = Expression{ID: name, Class: Unknown}
	}
	if p.take("WITH") {
		if p.at == len(p.words) || operator(p.words[p.at]) {
			return Expression{}, false
		}
		if e.ID != "" {
			e.Exception = p.words[p.at]
		}
		p.at++
	}
	return e, true
}

func operator(w string) bool {
	return w == "AND" || w == "OR" || w == "WITH" || w == "(" || w == ")"
}

// gnu matches the spellings of GNU licences once "license" and "gnu" are taken off.
var gnu = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^(?:the )?(?:gnu )?(a|affero |l|lesser |library )?(?:gpl|general public)(?:[ -]?(?:version |v\.? ?)?(\d)(?:\.(\d))?(?:\.0)?)[ -]?(\+|or[ -](?:later|newer|any later)(?: version)?|only)?(?: \(.*\))?$`)
})

// lookup finds a single licence by identifier or name.
func lookup(name string) (Expression, bool) {
	low := strings.ToLower(strings.TrimSpace(name))
	if e, ok := known()[low]; ok {
		return Expression{ID: gnuOnly(e.id), Class: e.class}, true
	}
	if e, ok := known()[strings.TrimSuffix(low, "+")]; ok && strings.HasSuffix(low, "+") {
		if isGNU(e.id) {
			return Expression{ID: e.id + "-or-later", Class: e.class}, true
		}
		return Expression{ID: e.id, Class: e.class}, true
	}
	key := nameKey(low)
	if id, ok := names()[key]; ok {
		if strings.Contains(id, " OR ") {
			p := parser{words: words(id)}
			return p.any(0)
		}
		return Expression{ID: gnuOnly(known()[strings.ToLower(id)].id), Class: known()[strings.ToLower(id)].class}, true
	}
	if m := gnu().FindStringSubmatch(key); m != nil {
		return gnuLicense(m)
	}
	if e, ok := known()[strings.ReplaceAll(key, " ", "-")]; ok {
		return Expression{ID: gnuOnly(e.id), Class: e.class}, true
	}
	return Expression{}, false
}

// gnuOnly gives the deprecated "GPL-2.0" its present name.
func gnuOnly(id string) string {
	if isGNU(id) && !strings.HasSuffix(id, "-only") && !strings.HasSuffix(id, "-or-later") {
		return id + "-only"
	}
	return id
}

func gnuLicense(m []string) (Expression, bool) {
	family := "GPL"
	switch m[1] {
	case "a", "affero ":
		family = "AGPL"
	case "l", "lesser ", "library ":
		family = "LGPL"
	}
	minor := m[3]
	if minor == "" {
		minor = "0"
	}
	suffix := "-only"
	if m[4] != "" && m[4] != "only" {
		suffix = "-or-later"
	}
	e, ok := known()[strings.ToLower(family+"-"+m[2]+"."+minor+suffix)]
	return Expression{ID: e.id, Class: e.class}, ok
}

// nameKey is a name in lower case without the words that carry nothing.
func nameKey(low string) string {
	low = strings.NewReplacer("licence", "license", "osi approved :: ", "", "license :: ", "", ",", "").Replace(low)
	low = strings.TrimSuffix(strings.TrimPrefix(low, "the "), ".")
	low = strings.Join(strings.FieldsFunc(low, func(r rune) bool { return r == ' ' || r == '\t' }), " ")
	for _, w := range [...]string{" software license", " license", "-license"} {
		if rest := strings.Replace(low, w, "", 1); rest != low && rest != "" {
			low = rest
			break
		}
	}
	return strings.TrimSpace(low)
}
