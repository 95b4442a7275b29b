package rules

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/seawall-security/seawall/internal/seawall"
)

// File is one rule file.
type File struct {
	Path string
	Data []byte
}

// The bounds of rule files.
const (
	maxFile  = 16 << 20
	maxItems = 100_000
)

// Place is where something is written.
type Place struct {
	Path         string
	Line, Column int
}

// String is "path:line:column".
func (p Place) String() string { return fmt.Sprintf("%s:%d:%d", p.Path, p.Line, p.Column) }

// Set is what a number of files come to.
type Set struct {
	rules  []*ruleItem
	macros map[string]*macroItem
	lists  map[string]*listItem
}

type ruleItem struct {
	name, desc, output, priority, source string
	tags                                 []string
	condition                            []passage // joined by blanks
	exceptions                           []exception
	enabled                              bool
	place                                Place
}

type macroItem struct {
	name      string
	condition []passage
	place     Place
	used      bool
}

type listItem struct {
	name  string
	items []string
	place Place
}

// passage is a part of a condition and where it is written.
type passage struct {
	text string
	node *yaml.Node
	file *File
}

// exception is a named group of values under which a rule does not apply.
type exception struct {
	name   string
	fields []string
	comps  []string
	single bool // fields is one name, and values a plain list
	values [][]any
	place  Place
}

// Load reads rule files in order. Its error joins every mistake, each with file, line and column.
func Load(files ...File) (*Set, error) {
	s := &Set{macros: map[string]*macroItem{}, lists: map[string]*listItem{}}
	var problems []error
	for i := range files {
		l := &loader{set: s, file: &files[i]}
		l.read()
		problems = append(problems, l.problems...)
	}
	if len(problems) > 0 {
		return nil, fmt.Errorf("%w: %w", errors.Join(problems...), seawall.ErrUsage)
	}
	return s, nil
}

type loader struct {
	set      *Set
	file     *File
	problems []error
}

func (l *loader) place(n *yaml.Node) Place { return Place{l.file.Path, n.Line, n.Column} }

func (l *loader) fail(n *yaml.Node, format string, args ...any) {
	l.problems = append(l.problems, fmt.Errorf("%s: %s", l.place(n), fmt.Sprintf(format, args...)))
}

func (l *loader) read() {
	top := &yaml.Node{Line: 1, Column: 1}
	if len(l.file.Data) > maxFile {
		l.fail(top, "%d bytes, more than %d", len(l.file.Data), maxFile)
		return
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(l.file.Data, &doc); err != nil {
		l.problems = append(l.problems, fmt.Errorf("%s: %w", l.file.Path, err))
		return
	}
	if len(doc.Content) == 0 {
		return // only comments
	}
	items := doc.Content[0]
	if items.Kind != yaml.SequenceNode {
		l.fail(items, "want a list of rules, macros and lists")
		return
	}
	if len(items.Content) > maxItems {
		l.fail(items, "%d items, more than %d", len(items.Content), maxItems)
		return
	}
	for _, n := range items.Content {
		l.item(n)
	}
}

// item reads one element: the key that it has tells what it is.
func (l *loader) item(n *yaml.Node) {
	if n.Kind != yaml.MappingNode {
		l.fail(n, "want a rule, a macro or a list")
		return
	}
	m := &mapping{loader: l, node: n, values: map[string]*yaml.Node{}}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		if m.values[key.Value] != nil {
			l.fail(key, "%q is given twice", key.Value)
		}
		m.values[key.Value] = n.Content[i+1]
	}
	switch {
	case m.has("rule"):
		l.rule(m)
	case m.has("macro"):
		l.macro(m)
	case m.has("list"):
		l.list(m)
	case m.has("required_engine_version"), m.has("required_plugin_versions"):
		// Fields are judged one by one, whatever version brought them.
	default:
		l.fail(n, "want one of rule, macro, list, required_engine_version, required_plugin_versions; this has %s", strings.Join(m.keys(), ", "))
	}
}

// mapping is the keys of one item.
type mapping struct {
	*loader
	node   *yaml.Node
	values map[string]*yaml.Node
}

func (m *mapping) has(key string) bool { return m.values[key] != nil }

func (m *mapping) keys() []string {
	var keys []string
	for i := 0; i < len(m.node.Content); i += 2 {
		keys = append(keys, m.node.Content[i].Value)
	}
	return keys
}

// known complains of keys that are none of these.
func (m *mapping) known(keys ...string) {
	for i := 0; i < len(m.node.Content); i += 2 {
		if k := m.node.Content[i]; !slices.Contains(keys, k.Value) {
			m.fail(k, "unknown key %q: want one of %s", k.Value, strings.Join(keys, ", "))
		}
	}
}

func (m *mapping) text(key string) string {
	n := m.values[key]
	if n == nil {
		return ""
	}
	if n.Kind != yaml.ScalarNode {
		m.fail(n, "%s: want a text", key)
		return ""
	}
	return strings.TrimSpace(n.Value)
}

func (m *mapping) flag(key string, otherwise bool) bool {
	n := m.values[key]
	if n == nil {
		return otherwise
	}
	var b bool
	if err := n.Decode(&b); err != nil {
		m.fail(n, "%s: want true or false", key)
	}
	return b
}

// texts reads a list of scalars; lists within it are flattened.
func (m *mapping) texts(key string) []string {
	n := m.values[key]
	if n == nil || n.Kind == yaml.ScalarNode && n.Tag == "!!null" {
		return nil
	}
	if n.Kind != yaml.SequenceNode {
		m.fail(n, "%s: want a list", key)
		return nil
	}
	var out []string
	for _, c := range n.Content {
		if c.Kind != yaml.ScalarNode {
			m.fail(c, "%s: want plain items", key)
			continue
		}
		out = append(out, c.Value)
	}
	return out
}

func (m *mapping) passage(key string) passage {
	return passage{m.text(key), m.values[key], m.file}
}

// The ways a later item changes an earlier one.
const (
	replaces = "replace"
	appends  = "append"
)

// changes reads how an item relates to an earlier one of its name: by key, for
// append: true all of the appendable ones.
func (m *mapping) changes(appendable ...string) map[string]string {
	how := map[string]string{}
	if m.flag("append", false) {
		for _, k := range appendable {
			if m.has(k) {
				how[k] = appends
			}
		}
	}
	n := m.values["override"]
	if n == nil {
		return how
	}
	if n.Kind != yaml.MappingNode {
		m.fail(n, "override: want keys with append or replace")
		return how
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, way := n.Content[i], n.Content[i+1]
		switch {
		case way.Value != appends && way.Value != replaces:
			m.fail(way, "override of %s: want append or replace, not %q", key.Value, way.Value)
		case way.Value == appends && !slices.Contains(appendable, key.Value):
			m.fail(key, "%s can only be replaced: append is for %s", key.Value, strings.Join(appendable, ", "))
		case !m.has(key.Value):
			m.fail(key, "override of %s without a %s", key.Value, key.Value)
		}
		how[key.Value] = way.Value
	}
	return how
}

func (l *loader) list(m *mapping) {
	m.known("list", "items", "append", "override")
	name, items := m.text("list"), m.texts("items")
	old := l.set.lists[name]
	if how := m.changes("items"); how["items"] == appends {
		if old == nil {
			l.fail(m.node, "list %q is appended to before it is defined", name)
			return
		}
		old.items = append(old.items, items...)
		return
	}
	l.set.lists[name] = &listItem{name, items, l.place(m.node)}
}

func (l *loader) macro(m *mapping) {
	m.known("macro", "condition", "append", "override")
	name := m.text("macro")
	if !m.has("condition") {
		l.fail(m.node, "macro %q has no condition", name)
		return
	}
	old := l.set.macros[name]
	if how := m.changes("condition"); how["condition"] == appends {
		if old == nil {
			l.fail(m.node, "macro %q is appended to before it is defined", name)
			return
		}
		old.condition = append(old.condition, m.passage("condition"))
		return
	}
	l.set.macros[name] = &macroItem{name: name, condition: []passage{m.passage("condition")}, place: l.place(m.node)}
}

func (l *loader) rule(m *mapping) {
	m.known("rule", "desc", "condition", "output", "priority", "tags", "source", "enabled", "exceptions", "append", "override",
		"warn_evttypes", "skip-if-unknown-filter", "capture", "capture_duration")
	name := m.text("rule")
	i := slices.IndexFunc(l.set.rules, func(r *ruleItem) bool { return r.name == name && (!m.has("source") || r.source == m.text("source")) })
	how := m.changes("condition", "output", "desc", "tags", "exceptions")
	switch onlyEnables := len(m.values) == 2 && m.has("enabled"); {
	case len(how) == 0 && !onlyEnables:
		l.define(m, name, i)
	case i < 0:
		l.fail(m.node, "rule %q is changed before it is defined", name)
	default:
		l.change(m, l.set.rules[i], how)
	}
}

// define adds a rule, or puts it in the place of an earlier one.
func (l *loader) define(m *mapping, name string, old int) {
	for _, k := range []string{"condition", "output", "priority"} {
		if m.text(k) == "" {
			l.fail(m.node, "rule %q has no %s", name, k)
			return
		}
	}
	if _, ok := severityOf(m.text("priority")); !ok {
		l.fail(m.values["priority"], "priority %q: want one of %s", m.text("priority"), strings.Join(priorities(), ", "))
	}
	r := &ruleItem{
		name: name, desc: m.text("desc"), output: m.text("output"), priority: m.text("priority"), source: cmp.Or(m.text("source"), SourceSyscall),
		tags: m.texts("tags"), condition: []passage{m.passage("condition")}, exceptions: l.exceptions(m),
		enabled: m.flag("enabled", true), place: l.place(m.node),
	}
	if old >= 0 {
		l.set.rules[old] = r
		return
	}
	l.set.rules = append(l.set.rules, r)
}

// change applies append, override and a lone enabled.
func (l *loader) change(m *mapping, r *ruleItem, how map[string]string) {
	adds := func(key string) bool { return how[key] == appends }
	text := func(key string, to *string) {
		switch {
		case adds(key):
			*to += " " + m.text(key)
		case m.has(key):
			*to = m.text(key)
		}
	}
	text("output", &r.output)
	text("desc", &r.desc)
	text("priority", &r.priority)
	if _, ok := severityOf(r.priority); !ok {
		l.fail(m.values["priority"], "priority %q: want one of %s", r.priority, strings.Join(priorities(), ", "))
	}
	switch {
	case adds("condition"):
		r.condition = append(r.condition, m.passage("condition"))
	case m.has("condition"):
		r.condition = []passage{m.passage("condition")}
	}
	switch {
	case adds("tags"):
		r.tags = append(r.tags, m.texts("tags")...)
	case m.has("tags"):
		r.tags = m.texts("tags")
	}
	switch {
	case adds("exceptions"):
		r.addExceptions(l.exceptions(m))
	case m.has("exceptions"):
		r.exceptions = l.exceptions(m)
	}
	r.enabled = m.flag("enabled", r.enabled)
}

// addExceptions adds values to exceptions of the same name, and new exceptions.
func (r *ruleItem) addExceptions(more []exception) {
	for _, e := range more {
		i := slices.IndexFunc(r.exceptions, func(o exception) bool { return o.name == e.name })
		if i < 0 {
			r.exceptions = append(r.exceptions, e)
			continue
		}
		old := &r.exceptions[i]
		if len(e.fields) > 0 {
			old.fields, old.comps, old.single = e.fields, e.comps, e.single
		}
		old.values = append(old.values, e.values...)
	}
}

func (l *loader) exceptions(m *mapping) []exception {
	n := m.values["exceptions"]
	if n == nil || n.Tag == "!!null" {
		return nil
	}
	if n.Kind != yaml.SequenceNode {
		l.fail(n, "exceptions: want a list")
		return nil
	}
	var out []exception
	for _, c := range n.Content {
		var raw struct {
			Name   string
			Fields any
			Comps  any
			Values []any
		}
		if err := c.Decode(&raw); err != nil || raw.Name == "" {
			l.fail(c, "exception: want name, fields, comps and values: %v", err)
			continue
		}
		e := exception{name: raw.Name, place: l.place(c)}
		e.fields, e.single = namesOf(raw.Fields)
		e.comps, _ = namesOf(raw.Comps)
		for len(e.comps) < len(e.fields) {
			e.comps = append(e.comps, map[bool]string{true: "in", false: "="}[e.single])
		}
		if len(e.comps) > len(e.fields) && len(e.fields) > 0 {
			l.fail(c, "exception %q has %d comps for %d fields", e.name, len(e.comps), len(e.fields))
		}
		for _, v := range raw.Values {
			e.values = append(e.values, rowOf(v))
		}
		out = append(out, e)
	}
	return out
}

// namesOf reads one name or a list of them.
func namesOf(v any) (names []string, single bool) {
	switch v := v.(type) {
	case string:
		return []string{v}, true
	case []any:
		for _, one := range v {
			names = append(names, fmt.Sprint(one))
		}
	}
	return names, false
}

func rowOf(v any) []any {
	if row, ok := v.([]any); ok {
		return row
	}
	return []any{v}
}

// priorities are Falco's, the worst first.
func priorities() []string {
	return []string{"EMERGENCY", "ALERT", "CRITICAL", "ERROR", "WARNING", "NOTICE", "INFORMATIONAL", "DEBUG"}
}

// severityOf maps a priority: three are critical, then high, medium, low, and what is below a notice is negligible.
func severityOf(priority string) (seawall.Severity, bool) {
	switch strings.ToUpper(priority) {
	case "EMERGENCY", "ALERT", "CRITICAL":
		return seawall.SeverityCritical, true
	case "ERROR":
		return seawall.SeverityHigh, true
	case "WARNING":
		return seawall.SeverityMedium, true
	case "NOTICE":
		return seawall.SeverityLow, true
	case "INFORMATIONAL", "INFO", "DEBUG":
		return seawall.SeverityNegligible, true
	}
	return seawall.SeverityUnknown, false
}
