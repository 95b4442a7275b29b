// Package license tells SPDX licence expressions from other words for a
// licence, which bill of materials formats must not pass off as identifiers.
//
// ids.txt is the SPDX licence and exception list, identifiers only, as the
// CycloneDX 1.7 schema enumerates it; a test compares the two.
package license

import (
	_ "embed"
	"strings"
	"sync"
)

//go:embed ids.txt
var list string

// ids is built at the first use, not at start.
var ids = sync.OnceValue(func() map[string]bool {
	m := make(map[string]bool)
	for id := range strings.Lines(list) {
		m[strings.TrimSpace(id)] = true
	}
	return m
})

// IsID tells whether s is one SPDX licence identifier.
func IsID(s string) bool { return ids()[s] }

// IsExpression tells whether s is an SPDX licence expression (SPDX 2.3 annex D)
// made of listed identifiers.
func IsExpression(s string) bool {
	if len(s) > 4096 {
		return false
	}
	p := parser{tokens: strings.Fields(strings.NewReplacer("(", " ( ", ")", " ) ").Replace(s))}
	return p.expression(0) && len(p.tokens) == 0
}

type parser struct{ tokens []string }

func (p *parser) next() string {
	if len(p.tokens) == 0 {
		return ""
	}
	t := p.tokens[0]
	p.tokens = p.tokens[1:]
	return t
}

func (p *parser) accept(words ...string) bool {
	for _, w := range words {
		if len(p.tokens) > 0 && p.tokens[0] == w {
			p.next()
			return true
		}
	}
	return false
}

func (p *parser) expression(depth int) bool {
	for {
		if !p.term(depth) {
			return false
		}
		if !p.accept("AND", "OR") {
			return true
		}
	}
}

func (p *parser) term(depth int) bool {
	if p.accept("(") {
		return depth < 32 && p.expression(depth+1) && p.accept(")")
	}
	if t := p.next(); !IsID(t) && !IsID(strings.TrimSuffix(t, "+")) {
		return false
	}
	return !p.accept("WITH") || IsID(p.next())
}
