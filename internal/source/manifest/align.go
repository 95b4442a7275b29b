package manifest

import (
	"cmp"
	"slices"
	"strings"
)

// templateLine is what a line of a template says whatever the values are.
type templateLine struct {
	indent         int
	prefix, suffix string // text before the first action and after the last
	action         bool   // there is an action in it
	output         bool   // it is an action alone, one that may write
}

// matches says whether a rendered line, trimmed, may come from this one.
func (t *templateLine) matches(line string) bool {
	if !t.action {
		return line == t.prefix
	}
	return t.prefix+t.suffix != "" && len(line) >= len(t.prefix)+len(t.suffix) &&
		strings.HasPrefix(line, t.prefix) && strings.HasSuffix(line, t.suffix)
}

func parseTemplate(text string) []templateLine {
	var lines []templateLine
	inside := false // an action that spans lines
	for line := range strings.Lines(text) {
		trimmed := strings.TrimSpace(line)
		t := templateLine{indent: strings.Index(line, trimmed), prefix: trimmed}
		if inside {
			_, rest, closed := strings.Cut(trimmed, "}}")
			t.action, t.prefix, t.suffix, inside = true, "", rest, !closed
		} else if before, rest, ok := strings.Cut(trimmed, "{{"); ok {
			t.action, t.prefix = true, strings.TrimSpace(before)
			end := strings.LastIndex(rest, "}}")
			inside = strings.LastIndex(rest, "{{") > end || end < 0
			if end >= 0 && !inside {
				t.suffix = strings.TrimSpace(rest[end+len("}}"):])
			}
			t.output = t.prefix+t.suffix == "" && writes(rest)
		}
		lines = append(lines, t)
	}
	return lines
}

// writes says whether an action may put text out; control structures do not.
func writes(action string) bool {
	words := strings.Fields(strings.TrimLeft(action, "- "))
	return len(words) > 0 && !slices.Contains([]string{"if", "else", "end", "range", "with", "define", "block", "break", "continue"}, words[0]) &&
		!strings.HasPrefix(words[0], "/*") && !strings.HasPrefix(words[0], "$")
}

const (
	// maxStates bounds how many places in the template are thought possible at once.
	maxStates = 48
	// The costs of one rendered line, small ones being likely. They were tuned by
	// eye on charts of the test; only their order matters much.
	costSkip      = 1  // per template line passed over, up to costFar
	costFar       = 60 // leaving out a long block
	costBack      = 25 // going back: a loop's next round
	costSame      = 20 // the same line again
	costUnmatched = 30 // a line that no template line explains: values written out
	costIndent    = 4  // not indented as in the template
	costVague     = 8  // hardly any text in common
)

// state is one way to explain the rendered lines so far.
type state struct {
	at   int // index of the template line last matched, -1 at first
	cost int
	from *state
	line int // template line of this rendered line, from 1
}

// align says for every line of what a template rendered to which line of the
// template it comes from, from 1. It is a guess, the cheapest way through the
// template: lines that only values explain belong to the action that wrote them.
func align(template, rendered string) []int {
	lines := parseTemplate(template)
	byText, dynamic := indexTemplate(lines)
	states := []*state{{at: -1, line: 1}}
	for line := range strings.Lines(rendered) {
		trimmed := strings.TrimSpace(line)
		indent := strings.Index(line, trimmed)
		next := map[int]*state{}
		offer := func(s *state) {
			if old := next[s.at]; old == nil || s.cost < old.cost {
				next[s.at] = s
			}
		}
		for _, s := range states {
			offer(&state{at: s.at, cost: s.cost + unmatched(trimmed), from: s, line: writer(lines, s.at)})
		}
		if trimmed != "" {
			for _, i := range candidates(lines, byText, dynamic, trimmed) {
				own := 0
				if lines[i].indent != indent {
					own += costIndent
				}
				if len(lines[i].prefix)+len(lines[i].suffix) < 3 {
					own += costVague
				}
				for _, s := range states {
					offer(&state{at: i, cost: s.cost + own + jump(s.at, i), from: s, line: i + 1})
				}
			}
		}
		states = cheapest(next)
	}
	var out []int
	for s := states[0]; s.from != nil; s = s.from {
		out = append(out, s.line)
	}
	slices.Reverse(out)
	return out
}

func unmatched(trimmed string) int {
	if trimmed == "" || trimmed == "---" || trimmed[0] == '#' {
		return 0
	}
	return costUnmatched
}

// jump is the cost of going from one template line to another.
func jump(from, to int) int {
	switch d := to - from; {
	case d > 0:
		return min((d-1)*costSkip, costFar)
	case d == 0:
		return costSame
	default:
		return costBack + min(-d*costSkip, costFar)
	}
}

// writer is the template line that an unexplained line comes from, from 1: the
// next action that writes, when it follows at once, else the line last matched.
func writer(lines []templateLine, at int) int {
	for i := at + 1; i < len(lines) && i <= at+3 && lines[i].action && lines[i].prefix+lines[i].suffix == ""; i++ {
		if lines[i].output {
			return i + 1
		}
	}
	return max(at, 0) + 1
}

// indexTemplate finds plain lines by their text and lists those with actions.
func indexTemplate(lines []templateLine) (byText map[string][]int, dynamic []int) {
	byText = map[string][]int{}
	for i := range lines {
		switch l := &lines[i]; {
		case l.action && l.prefix+l.suffix != "":
			dynamic = append(dynamic, i)
		case !l.action && l.prefix != "":
			byText[l.prefix] = append(byText[l.prefix], i)
		}
	}
	return byText, dynamic
}

func candidates(lines []templateLine, byText map[string][]int, dynamic []int, line string) []int {
	out := slices.Clone(byText[line])
	for _, i := range dynamic {
		if lines[i].matches(line) {
			out = append(out, i)
		}
	}
	return out
}

func cheapest(next map[int]*state) []*state {
	states := make([]*state, 0, len(next))
	for _, s := range next {
		states = append(states, s)
	}
	slices.SortFunc(states, func(a, b *state) int { return cmp.Or(cmp.Compare(a.cost, b.cost), cmp.Compare(a.at, b.at)) })
	return states[:min(len(states), maxStates)]
}
