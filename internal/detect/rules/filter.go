package rules

import (
	"maps"
	"slices"
	"strings"

	"github.com/seawall-security/seawall/internal/seawall"
)

// maxPaths bounds the prefixes and suffixes of a filter; with more all paths are wanted.
const maxPaths = 2000

// Filter is what system calls the rules want to be told of: without the others, and
// without the opened paths it leaves out, every rule finds the same.
func (e *Engine) Filter() seawall.EventFilter {
	p := e.sources[SourceSyscall]
	if p == nil {
		return seawall.EventFilter{Types: []string{}, Reads: &seawall.PathFilter{}, Writes: &seawall.PathFilter{}}
	}
	f := seawall.EventFilter{Types: []string{}}
	for t, rules := range p.types {
		if len(rules) > 0 {
			f.Types = append(f.Types, t)
		}
	}
	slices.Sort(f.Types)
	f.Reads, f.Writes = p.paths(false).filter(), p.paths(true).filter()
	f.Environment = e.Uses("proc.env") || e.Uses("proc.aenv")
	if len(p.other) > 0 {
		f.Types = nil
	}
	return f
}

// Uses says whether a rule that runs asks for a field, in its condition or its output.
func (e *Engine) Uses(field string) bool {
	seen := map[*node]bool{}
	var asks func(n *node) bool
	asks = func(n *node) bool {
		if seen[n] {
			return false
		}
		seen[n] = true
		c := n.check
		return c != nil && (c.ref.Name == field || c.other != nil && c.other.Name == field) || slices.ContainsFunc(n.terms, asks)
	}
	for _, p := range e.sources {
		for _, list := range append(slices.Collect(maps.Values(p.types)), p.other) {
			for _, c := range list {
				if asks(c.root) || c.rule.output.names(field) {
					return true
				}
			}
		}
	}
	return false
}

// paths are those of opens that a rule may be true for: of files opened for writing, or for reading alone.
func (p *program) paths(write bool) *paths {
	all := &paths{}
	for _, t := range []string{"open", "openat", "openat2", "creat"} {
		candidates, named := p.types[t]
		if !named {
			candidates = p.other
		}
		for _, c := range candidates {
			all = all.or(needed(c.root, true, write))
		}
	}
	return all
}

// paths is a set of paths by how they begin or end; nil is all paths.
type paths struct{ prefixes, suffixes []string }

func (p *paths) size() int { return len(p.prefixes) + len(p.suffixes) }

func (p *paths) or(q *paths) *paths {
	if p == nil || q == nil || p.size()+q.size() > 2*maxPaths {
		return nil
	}
	both := &paths{slices.Concat(p.prefixes, q.prefixes), slices.Concat(p.suffixes, q.suffixes)}
	both.prefixes = shortest(both.prefixes, strings.HasPrefix)
	both.suffixes = shortest(both.suffixes, strings.HasSuffix)
	if both.size() > maxPaths {
		return nil
	}
	return both
}

// and is the smaller of two sets that a path has to be in both of: the one with fewer
// texts, or longer ones.
func (p *paths) and(q *paths) *paths {
	switch {
	case p == nil:
		return q
	case q == nil || p.size() < q.size():
		return p
	case q.size() < p.size() || q.length() > p.length():
		return q
	}
	return p
}

// length is that of the shortest text.
func (p *paths) length() int {
	n := 1 << 20
	for _, t := range slices.Concat(p.prefixes, p.suffixes) {
		n = min(n, len(t))
	}
	return n
}

// shortest leaves out texts that another one is the beginning, or the end, of.
func shortest(texts []string, covers func(s, part string) bool) []string {
	slices.SortFunc(texts, func(a, b string) int {
		if len(a) != len(b) {
			return len(a) - len(b)
		}
		return strings.Compare(a, b)
	})
	var out []string
	for _, t := range texts {
		if !slices.ContainsFunc(out, func(short string) bool { return covers(t, short) }) {
			out = append(out, t)
		}
	}
	return out
}

func (p *paths) filter() *seawall.PathFilter {
	if p == nil {
		return nil
	}
	return &seawall.PathFilter{Prefixes: p.prefixes, Suffixes: p.suffixes}
}

// needed are the paths for which a condition can come to a value.
func needed(n *node, as, write bool) *paths {
	switch n.kind {
	case kindTrue, kindFalse:
		if (n.kind == kindTrue) == as {
			return nil
		}
		return &paths{}
	case kindNot:
		return needed(n.terms[0], !as, write)
	case kindAnd, kindOr:
		all := (n.kind == kindAnd) == as // every term has to hold
		var out *paths
		if !all {
			out = &paths{}
		}
		for _, t := range n.terms {
			if term := needed(t, as, write); all {
				out = out.and(term)
			} else {
				out = out.or(term)
			}
		}
		return out
	}
	return n.check.paths(as, write)
}

// paths are those for which a comparison can be what it should.
func (c *check) paths(as, write bool) *paths {
	if c.other != nil || len(c.transforms) > 0 || c.match == nil {
		return nil
	}
	name := c.ref.Name
	if name == "evt.is_open_write" || name == "evt.is_open_read" && !write {
		n := int64(1)
		if name == "evt.is_open_write" && !write {
			n = 0
		}
		if (c.match(&seawall.Value{Number: n}) != c.negated) != as {
			return &paths{}
		}
		return nil
	}
	if !as || c.negated {
		return nil
	}
	out := &paths{}
	for _, r := range c.right {
		prefix, suffix := ends(name, c.operator, r)
		switch {
		case prefix != "":
			out.prefixes = append(out.prefixes, prefix)
		case suffix != "":
			out.suffixes = append(out.suffixes, suffix)
		default:
			return nil
		}
	}
	return out
}

// ends are how a path must begin or end for a comparison with one value to be true; "" and "" is not known.
func ends(field, operator, value string) (prefix, suffix string) {
	special := strings.IndexAny(value, `*?[\`)
	if field == "fd.nameraw" || field == "fs.path.nameraw" || field == "fs.path.name" { // a filter is about the path as claimed, too
		field = "fd.name"
	}
	switch field + " " + operator {
	case "fd.name =", "fd.name in", "fd.name startswith", "fd.directory startswith":
		return value, ""
	case "fd.name pmatch", "fd.name glob", "fd.directory pmatch", "fd.directory glob":
		if special < 0 {
			return strings.TrimSuffix(value, "/"), ""
		}
		if prefix = value[:special]; prefix == "" && !strings.HasPrefix(field, "fd.directory") && !strings.HasSuffix(operator, "pmatch") {
			if last := strings.LastIndexAny(value, `*?]\`); value[last] == '*' {
				suffix = value[last+1:]
			}
		}
		return strings.TrimSuffix(prefix, "/"), suffix
	case "fd.name endswith", "fd.filename endswith":
		return "", value
	case "fd.directory =", "fd.directory in":
		return strings.TrimSuffix(value, "/") + "/", ""
	case "fd.filename =", "fd.filename in":
		return "", "/" + value
	}
	return "", ""
}
