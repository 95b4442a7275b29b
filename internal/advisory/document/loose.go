package document

import (
	"encoding/json"

	"go.yaml.in/yaml/v3"
)

// Word is a scalar of any type, kept as its text; null, lists and objects are "".
type Word string

// UnmarshalJSON implements json.Unmarshaler; it never fails on valid JSON.
func (w *Word) UnmarshalJSON(data []byte) error {
	*w = ""
	switch data[0] {
	case '"':
		var s string
		if err := json.Unmarshal(data, &s); err != nil {
			return err
		}
		*w = Word(s)
	case '{', '[', 'n':
	default:
		*w = Word(data)
	}
	return nil
}

// UnmarshalYAML implements yaml.Unmarshaler; it never fails.
func (w *Word) UnmarshalYAML(n *yaml.Node) error {
	*w = ""
	if n.Kind == yaml.ScalarNode && n.Tag != "!!null" {
		*w = Word(n.Value)
	}
	return nil
}

// Words is a list of scalars, or one scalar meant as a list of one; null and
// objects are nil, empty words are left out.
type Words []string

// UnmarshalJSON implements json.Unmarshaler; it never fails on valid JSON.
func (ws *Words) UnmarshalJSON(data []byte) error {
	var list []Word
	if data[0] != '[' {
		list = make([]Word, 1)
		if err := list[0].UnmarshalJSON(data); err != nil {
			return err
		}
	} else if err := json.Unmarshal(data, &list); err != nil {
		return err
	}
	*ws = nil
	ws.add(list)
	return nil
}

// UnmarshalYAML implements yaml.Unmarshaler; it never fails.
func (ws *Words) UnmarshalYAML(n *yaml.Node) error {
	nodes := []*yaml.Node{n}
	if n.Kind == yaml.SequenceNode {
		nodes = n.Content
	}
	list := make([]Word, len(nodes))
	for i, node := range nodes {
		if err := list[i].UnmarshalYAML(node); err != nil {
			return err
		}
	}
	*ws = nil
	ws.add(list)
	return nil
}

func (ws *Words) add(list []Word) {
	for _, w := range list {
		if w != "" {
			*ws = append(*ws, string(w))
		}
	}
}

// List is a list of T that is empty where a feed has something else in its place.
type List[T any] []T

// UnmarshalJSON implements json.Unmarshaler; it never fails on valid JSON.
func (l *List[T]) UnmarshalJSON(data []byte) error {
	var list []T
	if data[0] == '[' && json.Unmarshal(data, &list) != nil {
		list = nil
	}
	*l = list
	return nil
}

// UnmarshalYAML implements yaml.Unmarshaler; it never fails.
func (l *List[T]) UnmarshalYAML(n *yaml.Node) error {
	var list []T
	if n.Kind == yaml.SequenceNode && n.Decode(&list) != nil {
		list = nil
	}
	*l = list
	return nil
}
