package manifest

import (
	"bytes"
	"cmp"
	"hash/maphash"
	"slices"
	"strconv"
	"strings"
	"sync"

	"go.yaml.in/yaml/v3"
)

// maxIndexed bounds the fields of a document that have a line of their own.
const maxIndexed = 1 << 20

// lineIndex finds the lines of a document's fields. It is made when first asked
// and holds 16 bytes a field.
type lineIndex struct {
	doc  *document
	once sync.Once
	seed maphash.Seed
	at   []fieldLine // by hash
}

type fieldLine struct {
	hash uint64
	line int32
}

// first is the line an object begins at; prefix leads to it.
func (x *lineIndex) first(prefix string) int {
	if prefix == "" {
		return x.doc.line + leading(x.doc.text)
	}
	return x.line(prefix, "")
}

// leading counts the lines before the first that is neither blank nor a comment.
func leading(text []byte) int {
	n := 0
	for line := range bytes.Lines(text) {
		if line = bytes.TrimSpace(line); len(line) > 0 && line[0] != '#' && line[0] != '%' {
			break
		}
		n++
	}
	return n
}

// line is the line of a field, or of its nearest parent that has one.
func (x *lineIndex) line(prefix, field string) int {
	x.once.Do(x.build)
	path := segments(prefix + field)
	for n := len(path); n > 0; n-- {
		h := x.hash(path[:n])
		if i, ok := slices.BinarySearchFunc(x.at, h, func(f fieldLine, h uint64) int { return cmp.Compare(f.hash, h) }); ok {
			return int(x.at[i].line)
		}
	}
	return x.doc.line + leading(x.doc.text)
}

// segments cuts a field's path: spec.containers[0]["a.b"] is spec, containers, 0, a.b.
func segments(field string) []string {
	var out []string
	for field != "" {
		switch field[0] {
		case '.':
			field = field[1:]
			continue
		case '[':
			end := strings.IndexByte(field, ']')
			if len(field) > 1 && (field[1] == '"' || field[1] == '\'') {
				if q := strings.Index(field[2:], field[1:2]+"]"); q >= 0 {
					end = q + 3
				}
			}
			if end < 0 {
				return append(out, field)
			}
			out = append(out, strings.Trim(field[1:end], `"'`))
			field = field[end+1:]
		default:
			end := strings.IndexAny(field, ".[")
			if end < 0 {
				end = len(field)
			}
			out = append(out, field[:end])
			field = field[end:]
		}
	}
	return out
}

func (x *lineIndex) hash(path []string) uint64 {
	var h maphash.Hash
	h.SetSeed(x.seed)
	for _, p := range path {
		_, _ = h.WriteString(p)
		_ = h.WriteByte(0)
	}
	return h.Sum64()
}

// build indexes the document; one that cannot be parsed has no lines.
func (x *lineIndex) build() {
	x.seed = maphash.MakeSeed()
	text := x.doc.text
	if x.doc.json {
		text = bytes.ReplaceAll(text, []byte("\t"), []byte(" ")) // YAML allows no tabs there
	}
	var root yaml.Node
	if yaml.Unmarshal(text, &root) != nil || len(root.Content) == 0 {
		return
	}
	x.add(nil, root.Content[0], 0)
	slices.SortStableFunc(x.at, func(a, b fieldLine) int { return cmp.Compare(a.hash, b.hash) })
	x.at = slices.CompactFunc(x.at, func(a, b fieldLine) bool { return a.hash == b.hash })
}

func (x *lineIndex) put(path []string, line int) {
	x.at = append(x.at, fieldLine{x.hash(path), int32(x.doc.line + line - 1)})
}

// add indexes what is below a node. Merged mappings (<<) come after the keys
// they are merged into, so that these win.
func (x *lineIndex) add(path []string, n *yaml.Node, deep int) {
	if deep > maxDepth || len(x.at) > maxIndexed {
		return
	}
	switch n.Kind {
	case yaml.AliasNode:
		x.add(path, n.Alias, deep+1)
	case yaml.SequenceNode:
		for i, item := range n.Content {
			at := append(path, strconv.Itoa(i))
			x.put(at, item.Line)
			x.add(at, item, deep+1)
		}
	case yaml.MappingNode:
		var merged []*yaml.Node
		for i := 0; i+1 < len(n.Content); i += 2 {
			key, value := n.Content[i], n.Content[i+1]
			if key.Value == "<<" && key.Tag == "!!merge" {
				merged = append(merged, value)
				continue
			}
			at := append(path, key.Value)
			x.put(at, key.Line)
			x.add(at, value, deep+1)
		}
		for _, m := range merged {
			x.merge(path, m, deep+1)
		}
	}
}

// merge indexes what << names: a mapping, or several.
func (x *lineIndex) merge(path []string, n *yaml.Node, deep int) {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if n.Kind != yaml.SequenceNode {
		x.add(path, n, deep)
		return
	}
	for _, m := range n.Content {
		x.add(path, m, deep)
	}
}
