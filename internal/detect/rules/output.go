package rules

import (
	"slices"
	"strings"

	"github.com/seawall-security/seawall/internal/detect/rules/syntax"

	"github.com/seawall-security/seawall/internal/seawall"
)

// Output is a rule's message with fields in it: "%proc.name ran in %container.id".
type Output struct{ parts []part }

// part is a text, or a field with transformers, then text is the field as written.
type part struct {
	text       string
	ref        *Ref
	transforms []string
}

// missing is what stands for a value an event does not have.
const missing = "<NA>"

// NewOutput reads a message. Fields nothing fills are returned by name; they are written as <NA>.
func NewOutput(text string) (o *Output, unsupported []string) {
	o = &Output{}
	for text != "" {
		i := strings.IndexByte(text, '%')
		if i < 0 {
			break
		}
		n := fieldLength(text[i+1:])
		before := strings.TrimSuffix(text[:i], "*") // *%field may be missing: any may
		if n == 0 {
			o.parts = append(o.parts, part{text: text[:i+1]})
			text = text[i+1:]
			continue
		}
		o.parts = append(o.parts, part{text: before})
		p, known := newPart(text[i+1 : i+1+n])
		if !known {
			unsupported = append(unsupported, text[i+1:i+1+n])
			p = part{text: missing}
		}
		o.parts = append(o.parts, p)
		text = text[i+1+n:]
	}
	o.parts = append(o.parts, part{text: text})
	return o, unsupported
}

func newPart(field string) (part, bool) {
	e, err := syntax.Parse(field + " exists")
	c, ok := e.(*syntax.Check)
	if err != nil || !ok {
		return part{}, false
	}
	r, known, err := ref(c.Left.Field, c.Left.Argument, c.Left.Indexed)
	return part{text: field, ref: &r, transforms: c.Left.Transformers}, known && err == nil
}

// fieldLength is the length of the field at the start of s, 0 when there is none:
// names and dots, then brackets; transformers with parentheses around.
func fieldLength(s string) int {
	n := 0
	for n < len(s) && (isNameByte(s[n]) || s[n] == '.') {
		n++
	}
	if n < len(s) && s[n] == '(' && n > 0 && !strings.Contains(s[:n], ".") {
		inner := fieldLength(s[n+1:])
		if inner > 0 && strings.HasPrefix(s[n+1+inner:], ")") {
			return n + inner + 2
		}
		return 0
	}
	for n > 0 && s[n-1] == '.' {
		n-- // the end of a sentence
	}
	if !strings.Contains(s[:n], ".") {
		return 0
	}
	if n < len(s) && s[n] == '[' {
		if end := strings.IndexByte(s[n:], ']'); end > 0 {
			n += end + 1
		}
	}
	return n
}

func isNameByte(c byte) bool {
	return c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

// Write fills the message for an event.
func (o *Output) Write(r Record) string {
	var b strings.Builder
	var v seawall.Value
	for _, p := range o.parts {
		if p.ref == nil {
			b.WriteString(p.text)
			continue
		}
		b.WriteString(p.value(r, &v))
	}
	return b.String()
}

// Shown are the fields the message names, as it writes them: numbers, booleans and texts; nil where the event has none.
func (o *Output) Shown(r Record) map[string]any {
	out := map[string]any{}
	var v seawall.Value
	for _, p := range o.parts {
		if p.ref == nil {
			continue
		}
		text := p.value(r, &v)
		out[p.text] = strings.Clone(text) // the event's texts are used again
		switch {
		case text == missing:
			out[p.text] = nil
		case p.ref.several() || len(p.transforms) > 0:
		case p.ref.Field.Type == TypeNumber:
			out[p.text] = v.Number
		case p.ref.Field.Type == TypeFlag:
			out[p.text] = v.Number != 0
		}
	}
	return out
}

// names says whether the message shows a field.
func (o *Output) names(field string) bool {
	return slices.ContainsFunc(o.parts, func(p part) bool { return p.ref != nil && p.ref.Name == field })
}

func (p *part) value(r Record, v *seawall.Value) string {
	var all []string
	for i := 0; r.Value(&p.ref.FieldRef, i, v); i++ {
		for _, t := range slices.Backward(p.transforms) {
			transform(t, p.ref.Field, v)
		}
		if slices.Contains(p.transforms, "len") {
			all = append(all, (&Field{Type: TypeNumber}).write(v))
		} else {
			all = append(all, p.ref.Field.write(v))
		}
		if !p.ref.several() {
			break
		}
	}
	switch {
	case len(all) == 0:
		return missing
	case p.ref.several() && p.ref.Field.List:
		return "(" + strings.Join(all, ",") + ")"
	}
	return strings.Join(all, ",")
}
