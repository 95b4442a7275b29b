package langpkg

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"go.yaml.in/yaml/v3"

	"github.com/seawall-security/seawall/internal/seawall"
)

// CheckTree refuses what is larger than MaxTree.
func CheckTree(data []byte) error {
	if len(data) > MaxTree {
		return fmt.Errorf("%w: %d bytes, at most %d of this format are read", seawall.ErrBound, len(data), MaxTree)
	}
	return nil
}

// TOML decodes a document into v; an error names its line.
func TOML(data []byte, v any) error {
	if err := CheckTree(data); err != nil {
		return err
	}
	err := toml.Unmarshal(data, v)
	var at *toml.DecodeError
	if errors.As(err, &at) {
		row, _ := at.Position()
		return fmt.Errorf("line %d: %w: %s", row, seawall.ErrCorrupt, at.Error())
	}
	if err != nil {
		return fmt.Errorf("%w: %s", seawall.ErrCorrupt, err.Error())
	}
	return nil
}

// TOMLTables returns the line of each "[[name]]" header, in order: entry i of
// the decoded array starts at element i. Lines is 0 past its end.
func TOMLTables(data []byte, name string) LineIndex {
	header := "[[" + name + "]]"
	var lines LineIndex
	for n, line := range Lines(data) {
		if string(bytes.TrimSpace(line)) == header {
			lines = append(lines, n)
		}
	}
	return lines
}

// LineIndex maps the position of an entry to its line.
type LineIndex []int

// Of returns the line of entry i, 0 when not known.
func (x LineIndex) Of(i int) int {
	if i >= len(x) {
		return 0
	}
	return x[i]
}

// YAML calls read for each document of a file, which must be a mapping.
func YAML(data []byte, read func(doc *Node)) error {
	if err := CheckTree(data); err != nil {
		return err
	}
	d := yaml.NewDecoder(bytes.NewReader(data))
	for {
		var doc yaml.Node
		err := d.Decode(&doc)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%w: %s", seawall.ErrCorrupt, strings.TrimPrefix(err.Error(), "yaml: "))
		}
		switch root := doc.Content[0]; {
		case root.Kind == yaml.MappingNode:
			read((*Node)(root))
		case root.Tag != "!!null":
			return fmt.Errorf("line %d: %w: want a mapping", root.Line, seawall.ErrCorrupt)
		}
	}
}

// Node is a value of a YAML document. Its methods work on nil and on values of
// another shape, as if the value were missing. Aliases are not followed: lock
// files have none, and a file that nests them is an attack.
type Node yaml.Node

// Pairs yields the members of a mapping, each with the line of its key.
func (n *Node) Pairs() iter.Seq2[Key, *Node] {
	return func(yield func(Key, *Node) bool) {
		if n == nil || n.Kind != yaml.MappingNode {
			return
		}
		for i := 0; i+1 < len(n.Content); i += 2 {
			k := n.Content[i]
			if !yield(Key{k.Value, k.Line}, (*Node)(n.Content[i+1])) {
				return
			}
		}
	}
}

// Key is the key of a mapping's member and its line.
type Key struct {
	Name string
	Line int
}

// Get returns the member of that name.
func (n *Node) Get(name string) *Node {
	for k, v := range n.Pairs() {
		if k.Name == name {
			return v
		}
	}
	return nil
}

// Items yields the elements of a sequence.
func (n *Node) Items() iter.Seq[*Node] {
	return func(yield func(*Node) bool) {
		if n == nil || n.Kind != yaml.SequenceNode {
			return
		}
		for _, c := range n.Content {
			if !yield((*Node)(c)) {
				return
			}
		}
	}
}

// Text returns a scalar's text as written, without quotes.
func (n *Node) Text() string {
	if n == nil || n.Kind != yaml.ScalarNode || n.Tag == "!!null" {
		return ""
	}
	return n.Value
}
