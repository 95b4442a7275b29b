package text

import (
	"bufio"
	"strings"
	"unicode"

	"golang.org/x/text/width"

	"github.com/seawall-security/seawall/internal/sink"
)

// style is an ANSI "select graphic rendition" parameter (ECMA-48); "" is plain.
type style string

const (
	plain    style = ""
	bold     style = "1"
	dim      style = "2"
	green    style = "32"
	yellow   style = "33"
	cyan     style = "36"
	boldRed  style = "1;31"
	reversed style = "1;97;41"
)

// word is a piece of text that is never broken over lines.
type word struct {
	text  string
	style style
}

// printer writes lines of words wrapped at a width. Widths are counted in
// terminal cells, without the colour codes, so that coloured and plain output
// have the same shape.
type printer struct {
	out   *bufio.Writer
	width int
	color bool
}

// wrap writes words separated by spaces; the first line starts with lead, the
// others are indented to the same column. A word longer than the line overflows it.
func (p *printer) wrap(lead []word, indent int, words []word) {
	column := 0
	for _, w := range lead {
		column += p.put(w)
	}
	for ; column < indent; column++ {
		p.out.WriteByte(' ')
	}
	fresh := true
	for _, w := range words {
		n := cells(w.text)
		switch {
		case fresh:
		case column+1+n > p.width:
			p.out.WriteByte('\n')
			p.out.WriteString(strings.Repeat(" ", indent))
			column = indent
		default:
			p.out.WriteByte(' ')
			column++
		}
		column += p.put(w)
		fresh = false
	}
	p.out.WriteByte('\n')
}

// prose wraps a sentence at its spaces.
func (p *printer) prose(indent int, s string, st style) {
	p.wrap(nil, indent, split(s, st))
}

func (p *printer) blank() { p.out.WriteByte('\n') }

// put writes one word and returns its width in cells.
func (p *printer) put(w word) int {
	if p.color && w.style != plain {
		p.out.WriteString("\x1b[" + string(w.style) + "m" + w.text + "\x1b[0m")
	} else {
		p.out.WriteString(w.text)
	}
	return cells(w.text)
}

// length is the width of words with the spaces between them.
func length(words []word) int {
	n := max(len(words)-1, 0)
	for _, w := range words {
		n += cells(w.text)
	}
	return n
}

// split makes words of a sentence of foreign text, safe to print.
func split(s string, st style) []word {
	fields := strings.Fields(s)
	words := make([]word, len(fields))
	for i, f := range fields {
		words[i] = word{sink.Plain(f), st}
	}
	return words
}

// cells is the number of terminal columns of clean text: two for wide East
// Asian characters, none for combining marks (Unicode Standard Annex 11).
func cells(s string) int {
	n := 0
	for _, r := range s {
		switch {
		case r < 0x300:
			n++
		case unicode.In(r, unicode.Mn, unicode.Me):
		default:
			switch width.LookupRune(r).Kind() {
			case width.EastAsianWide, width.EastAsianFullwidth:
				n += 2
			default:
				n++
			}
		}
	}
	return n
}
