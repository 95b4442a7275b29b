package rules

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/seawall-security/seawall/internal/seawall"
)

// compile makes the check's matcher and the key equal checks share.
func (c *check) compile() error {
	f := c.ref.Field
	c.key = fmt.Sprintf("%s|%s|%s|%q", c.ref.String(), strings.Join(c.transforms, ","), c.operator, c.right)
	if c.operator == "exists" {
		return nil
	}
	if c.ref.several() && f.List && !slices.Contains([]string{"in", "intersects", "exists"}, c.operator) {
		return fmt.Errorf("%s is a list: it is compared by in, intersects and exists", f.Name)
	}
	operator := c.operator
	if operator == "!=" {
		c.negated, operator = true, "="
	}
	if c.other != nil {
		c.key += "|" + c.other.String()
		return nil
	}
	numeric := slices.Contains(c.transforms, "len")
	var err error
	c.match, err = newMatcher(f, operator, c.right, numeric)
	return err
}

// node is a tree with equal parts shared. slot is where its result is remembered
// during one event, -1 for what is used once.
type node struct {
	kind  kind
	terms []*node
	check *check
	slot  int
	uses  int
}

// index folds every rule for each event type its source's rules name: comparisons
// with the type are then known, and rules that cannot be true are left out.
func (c *compiler) index(source string, drafts []*draft) *program {
	types := map[string]bool{}
	var own []*draft
	for _, d := range drafts {
		if d.item.source == source {
			own = append(own, d)
			typesOf(d.tree, types)
		}
	}
	p := &program{types: map[string][]*compiled{}}
	for t := range types {
		p.types[t] = c.foldAll(own, t)
	}
	p.other = c.foldAll(own, "")
	return p
}

func (c *compiler) foldAll(drafts []*draft, eventType string) (out []*compiled) {
	for _, d := range drafts {
		root := c.fold(d.tree, eventType)
		if root.kind == kindFalse {
			continue
		}
		root.uses++
		out = append(out, &compiled{d.status.Rule, root})
	}
	return out
}

// slot is where a field's value is kept.
func (c *compiler) slot(r *Ref) int {
	name := r.String()
	slot, ok := c.refs[name]
	if !ok {
		slot = len(c.refs)
		c.refs[name] = slot
	}
	return slot
}

// isType says whether a check is about what rules are indexed by.
func (c *check) isType() bool {
	switch c.ref.Field.Name {
	case "evt.type", "syscall.type", "ka.verb":
		return c.other == nil && len(c.transforms) == 0
	}
	return false
}

func typesOf(t *tree, types map[string]bool) {
	if t.kind == kindCheck && t.check.isType() && slices.Contains([]string{"=", "!=", "in"}, t.check.operator) {
		for _, r := range t.check.right {
			types[r] = true
		}
	}
	for _, term := range t.terms {
		typesOf(term, types)
	}
}

// fold makes the node of a tree for events of one type; "" is any type no rule names.
func (c *compiler) fold(t *tree, eventType string) *node {
	switch t.kind {
	case kindCheck:
		if known, result := t.check.ofType(eventType); known {
			return c.constant(result)
		}
		t.check.slot = c.slot(&t.check.ref)
		return c.intern(&node{kind: kindCheck, check: t.check}, t.check.key)
	case kindNot:
		term := c.fold(t.terms[0], eventType)
		if term.kind == kindTrue || term.kind == kindFalse {
			return c.constant(term.kind == kindFalse)
		}
		return c.group(kindNot, []*node{term})
	case kindAnd, kindOr:
		// An and of one false is false, an or of one true is true; the others drop out.
		decides, neutral := kindFalse, kindTrue
		if t.kind == kindOr {
			decides, neutral = neutral, decides
		}
		var terms []*node
		for _, term := range t.terms {
			n := c.fold(term, eventType)
			if n.kind == decides {
				return c.constant(decides == kindTrue)
			}
			if n.kind != neutral && !slices.Contains(terms, n) {
				terms = append(terms, n)
			}
		}
		switch len(terms) {
		case 0:
			return c.constant(neutral == kindTrue)
		case 1:
			return terms[0]
		}
		return c.group(t.kind, terms)
	}
	return c.constant(t.kind == kindTrue)
}

// ofType decides a check on the event's type, and on the direction of a system
// call: events are of calls that have returned.
func (c *check) ofType(eventType string) (known, result bool) {
	switch {
	case c.ref.Field.Name == "evt.dir" && c.match != nil:
		return true, c.match(&seawall.Value{Text: "<"}) != c.negated
	case !c.isType():
		return false, false
	case c.operator == "exists":
		return true, true
	case eventType == "" && !slices.Contains([]string{"=", "!=", "in"}, c.operator):
		return false, false // startswith: only the event can tell
	}
	return true, c.match(&seawall.Value{Text: eventType}) != c.negated
}

func (c *compiler) constant(b bool) *node {
	if b {
		return &node{kind: kindTrue, slot: -1}
	}
	return &node{kind: kindFalse, slot: -1}
}

func (c *compiler) group(k kind, terms []*node) *node {
	var key strings.Builder
	key.WriteString(strconv.Itoa(int(k)))
	for _, t := range terms {
		fmt.Fprintf(&key, ",%p", t)
	}
	return c.intern(&node{kind: k, terms: terms}, key.String())
}

// intern returns the one node of a key.
func (c *compiler) intern(n *node, key string) *node {
	if old := c.interned[key]; old != nil {
		return old
	}
	n.slot = -1
	for _, t := range n.terms {
		t.uses++
	}
	c.interned[key] = n
	return n
}

// assignMemos gives every node that is used more than once a place for its result.
func (c *compiler) assignMemos() (slots int) {
	for _, key := range slices.Sorted(maps.Keys(c.interned)) {
		if n := c.interned[key]; n.uses > 1 {
			n.slot = slots
			slots++
		}
	}
	return slots
}

// State matches events, one at a time. It is not safe for concurrent use.
type State struct {
	engine *Engine
	record Record
	memo   []uint32 // generation<<1 | result
	kept   []kept
	now    uint32
	hits   []*Rule
	value  seawall.Value
	other  seawall.Value
}

// kept is the first value of a field, once it was asked for.
type kept struct {
	now   uint32
	has   bool
	value seawall.Value
}

// NewState returns a State of e.
func (e *Engine) NewState() *State {
	return &State{engine: e, memo: make([]uint32, e.memos), kept: make([]kept, e.values)}
}

// Match returns the rules an event is true for, in the order of their files. The
// slice is valid until the next call.
func (s *State) Match(source string, r Record) []*Rule {
	p := s.engine.sources[source]
	if p == nil {
		return nil
	}
	candidates, ok := p.types[r.EventType()]
	if !ok {
		candidates = p.other
	}
	s.record, s.hits = r, s.hits[:0]
	if s.now++; s.now >= 1<<31 {
		clear(s.memo)
		clear(s.kept)
		s.now = 1
	}
	for _, c := range candidates {
		if s.eval(c.root) {
			s.hits = append(s.hits, c.rule)
		}
	}
	s.record = nil
	return s.hits
}

func (s *State) eval(n *node) bool {
	if n.slot >= 0 && s.memo[n.slot]>>1 == s.now {
		return s.memo[n.slot]&1 == 1
	}
	result := n.kind == kindTrue
	switch n.kind {
	case kindCheck:
		result = s.check(n.check)
	case kindNot:
		result = !s.eval(n.terms[0])
	case kindAnd:
		result = true
		for _, t := range n.terms {
			if !s.eval(t) {
				result = false
				break
			}
		}
	case kindOr:
		for _, t := range n.terms {
			if s.eval(t) {
				result = true
				break
			}
		}
	}
	if n.slot >= 0 {
		s.memo[n.slot] = s.now << 1
		if result {
			s.memo[n.slot] |= 1
		}
	}
	return result
}

// check compares what the event has. A list is compared as a whole: in means all
// of its values, anything else any of them.
func (s *State) check(c *check) bool {
	all := c.ref.Field.List && c.operator == "in" && c.ref.several()
	for i := 0; ; i++ {
		if !s.fetch(c, i) {
			if i > 0 || c.ref.Field.Default == "" {
				return all && i > 0
			}
			s.value.Text = c.ref.Field.Default
		}
		result := s.compare(c)
		switch {
		case all && !result:
			return false
		case !all && result:
			return true
		case !c.ref.several():
			return result
		}
	}
}

// fetch makes the i-th value of a check's field the current one.
func (s *State) fetch(c *check, i int) bool {
	if i > 0 {
		return s.record.Value(&c.ref.FieldRef, i, &s.value)
	}
	k := &s.kept[c.slot]
	if k.now != s.now {
		k.now, k.has = s.now, s.record.Value(&c.ref.FieldRef, 0, &k.value)
	}
	if k.has {
		s.value = k.value
	}
	return k.has
}

func (s *State) compare(c *check) bool {
	for _, t := range slices.Backward(c.transforms) {
		if !transform(t, c.ref.Field, &s.value) {
			return false
		}
	}
	switch {
	case c.operator == "exists":
		return true
	case c.other == nil:
		return c.match(&s.value) != c.negated
	case !s.record.Value(&c.other.FieldRef, 0, &s.other):
		return false
	}
	return s.relate(c)
}

// relate compares two fields of the event.
func (s *State) relate(c *check) bool {
	if c.ref.Field.Type == TypeNumber {
		a, b := s.value.Number, s.other.Number
		switch c.operator {
		case "<":
			return a < b
		case "<=":
			return a <= b
		case ">":
			return a > b
		case ">=":
			return a >= b
		}
		return (a == b) != c.negated
	}
	equal := c.ref.Field.write(&s.value) == c.other.Field.write(&s.other)
	return equal != c.negated
}
