package policy

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/seawall-security/seawall/internal/expression"
	"github.com/seawall-security/seawall/internal/expression/nearest"
	"github.com/seawall-security/seawall/internal/seawall"
)

// The bounds of a file.
const (
	maxFile      = 4 << 20
	maxDocuments = 1000
	maxDepth     = 50
	maxNodes     = 200_000
)

// Place is a position in a file.
type Place struct {
	File         string
	Line, Column int
}

func (p Place) String() string { return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Column) }

// Errorf is a mistake at the place, of the user's.
func (p Place) Errorf(format string, args ...any) error {
	return fmt.Errorf("%s: %w: %w", p, fmt.Errorf(format, args...), seawall.ErrUsage)
}

// Text is an expression with the place of its first character.
type Text struct {
	Text  string
	Place Place
	// block: the text starts on the line below Place, indented by this much; 0 is on Place itself.
	block int
}

// Within is the place of a position inside the text, both from 1.
func (t Text) Within(line, column int) Place {
	switch {
	case t.block > 0:
		return Place{t.Place.File, t.Place.Line + line, t.block + column}
	case line > 1:
		return Place{t.Place.File, t.Place.Line + line - 1, column}
	}
	return Place{t.Place.File, t.Place.Line, t.Place.Column + column - 1}
}

// compile compiles the text; a mistake is an error with its place in the file.
func (t Text) compile(env *expression.Environment, want expression.Type) (*expression.Program, error) {
	return t.compiled(func() (*expression.Program, error) { return env.Compile(t.Text, want) })
}

func (t Text) compiled(compile func() (*expression.Program, error)) (*expression.Program, error) {
	program, err := compile()
	var mistake *expression.Error
	if errors.As(err, &mistake) {
		return nil, t.Within(mistake.Line, mistake.Column).Errorf("%s", mistake.Message)
	}
	return program, err
}

// Word is a text with its place, for values that are checked later.
type Word struct {
	Text  string
	Place Place
}

// Source is a part of a file that is read later.
type Source struct {
	node  *yaml.Node
	file  string
	lines [][]byte
}

// Place is where the part begins.
func (s Source) Place() Place { return Place{s.file, max(s.node.Line, 1), max(s.node.Column, 1)} }

// At is the part at a path of keys and, for lists, indexes; the nearest part around it
// and false where there is none.
func (s Source) At(path ...string) (Source, bool) {
	for _, key := range path {
		child := s.child(key)
		if child == nil {
			return s, false
		}
		s.node = child
	}
	return s, true
}

func (s Source) child(key string) *yaml.Node {
	switch s.node.Kind {
	case yaml.MappingNode:
		for i := 0; i+1 < len(s.node.Content); i += 2 {
			if s.node.Content[i].Value == key {
				return s.node.Content[i+1]
			}
		}
	case yaml.SequenceNode:
		if i, err := strconv.Atoi(key); err == nil && i >= 0 && i < len(s.node.Content) {
			return s.node.Content[i]
		}
	}
	return nil
}

// YAML is the part as a document of its own.
func (s Source) YAML() ([]byte, error) { return yaml.Marshal(s.node) }

// Documents takes a file's documents apart.
func Documents(name string, text []byte) ([]Source, error) {
	start := Place{name, 1, 1}
	if len(text) > maxFile {
		return nil, start.Errorf("the file is larger than %d bytes: %w", maxFile, seawall.ErrBound)
	}
	lines := bytes.Split(text, []byte("\n"))
	var documents []Source
	for d := yaml.NewDecoder(bytes.NewReader(text)); ; {
		var doc yaml.Node
		err := d.Decode(&doc)
		if errors.Is(err, io.EOF) {
			return documents, nil
		}
		if err != nil {
			return nil, yamlError(start, err)
		}
		if len(doc.Content) != 1 || doc.Content[0].Tag == "!!null" {
			continue
		}
		s := Source{doc.Content[0], name, lines}
		nodes := 0
		if err := s.bounded(doc.Content[0], 0, &nodes); err != nil {
			return nil, err
		}
		if documents = append(documents, s); len(documents) > maxDocuments {
			return nil, start.Errorf("more than %d documents: %w", maxDocuments, seawall.ErrBound)
		}
	}
}

// bounded refuses what is too deep or too much, and aliases, which make much of little.
func (s Source) bounded(n *yaml.Node, depth int, nodes *int) error {
	*nodes++
	at := Source{n, s.file, s.lines}.Place()
	switch {
	case depth > maxDepth:
		return at.Errorf("more than %d levels: %w", maxDepth, seawall.ErrBound)
	case *nodes > maxNodes:
		return at.Errorf("more than %d values: %w", maxNodes, seawall.ErrBound)
	case n.Kind == yaml.AliasNode:
		return at.Errorf("anchors and aliases are not supported here")
	}
	for _, child := range n.Content {
		if err := s.bounded(child, depth+1, nodes); err != nil {
			return err
		}
	}
	return nil
}

// yamlError puts the line of a YAML error in front.
func yamlError(p Place, err error) error {
	message := strings.TrimPrefix(err.Error(), "yaml: ")
	if rest, ok := strings.CutPrefix(message, "line "); ok {
		if n, what, ok := strings.Cut(rest, ": "); ok {
			if line, bad := strconv.Atoi(n); bad == nil {
				p.Line, message = line, what
			}
		}
	}
	return p.Errorf("%s", message)
}

// Decode reads the part into a struct with yaml tags. A key that the struct does not
// have is an error. Fields are texts, Text, Word, numbers, bools, lists and maps of these,
// any, Source, and structs.
func (s Source) Decode(into any) error { return s.value(reflect.ValueOf(into).Elem()) }

func (s Source) at(n *yaml.Node) Source { return Source{n, s.file, s.lines} }

func (s Source) value(v reflect.Value) error {
	n := s.node
	switch into := v.Addr().Interface().(type) {
	case *Source:
		*into = s
		return nil
	case *Text:
		return s.text(into)
	case *Word:
		if n.Kind != yaml.ScalarNode {
			return s.Place().Errorf("want a text")
		}
		*into = Word{n.Value, s.Place()}
		return nil
	case *any:
		if err := n.Decode(into); err != nil {
			return yamlError(s.Place(), err)
		}
		return nil
	}
	switch v.Kind() {
	case reflect.Struct:
		return s.mapping(v)
	case reflect.Slice:
		return s.sequence(v)
	case reflect.Map:
		return s.entries(v)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		return s.value(v.Elem())
	}
	if n.Kind != yaml.ScalarNode {
		return s.Place().Errorf("want %s", nounOf(v.Kind()))
	}
	if v.Kind() == reflect.String { // whatever a plain word would be: names may be numbers
		v.SetString(n.Value)
		return nil
	}
	if err := n.Decode(v.Addr().Interface()); err != nil {
		return s.Place().Errorf("%.40q is not %s", n.Value, nounOf(v.Kind()))
	}
	return nil
}

func nounOf(k reflect.Kind) string {
	switch k {
	case reflect.Int:
		return "a number"
	case reflect.Bool:
		return "true or false"
	}
	return "a text"
}

func (s Source) mapping(v reflect.Value) error {
	if s.node.Kind != yaml.MappingNode {
		return s.Place().Errorf("want a mapping")
	}
	var keys []string
	fields := map[string]reflect.Value{}
	for i := range v.NumField() {
		if name := v.Type().Field(i).Tag.Get("yaml"); name != "" {
			keys = append(keys, name)
			fields[name] = v.Field(i)
		}
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(s.node.Content); i += 2 {
		key, value := s.node.Content[i], s.node.Content[i+1]
		field, known := fields[key.Value]
		switch {
		case !known:
			return s.at(key).Place().Errorf("there is no key %q here%s", key.Value, didYouMean(key.Value, keys))
		case seen[key.Value]:
			return s.at(key).Place().Errorf("the key %q is here twice", key.Value)
		}
		seen[key.Value] = true
		if err := s.at(value).value(field); err != nil {
			return err
		}
	}
	return nil
}

func (s Source) sequence(v reflect.Value) error {
	if s.node.Kind != yaml.SequenceNode {
		return s.Place().Errorf("want a list")
	}
	list := reflect.MakeSlice(v.Type(), len(s.node.Content), len(s.node.Content))
	for i, n := range s.node.Content {
		if err := s.at(n).value(list.Index(i)); err != nil {
			return err
		}
	}
	v.Set(list)
	return nil
}

func (s Source) entries(v reflect.Value) error {
	if s.node.Kind != yaml.MappingNode {
		return s.Place().Errorf("want a mapping")
	}
	v.Set(reflect.MakeMap(v.Type()))
	for i := 0; i+1 < len(s.node.Content); i += 2 {
		value := reflect.New(v.Type().Elem()).Elem()
		if err := s.at(s.node.Content[i+1]).value(value); err != nil {
			return err
		}
		v.SetMapIndex(reflect.ValueOf(s.node.Content[i].Value), value)
	}
	return nil
}

func (s Source) text(into *Text) error {
	n := s.node
	if n.Kind != yaml.ScalarNode {
		return s.Place().Errorf("want an expression")
	}
	*into = Text{Text: strings.TrimRight(n.Value, " \n"), Place: s.Place()}
	switch n.Style &^ yaml.TaggedStyle {
	case yaml.LiteralStyle, yaml.FoldedStyle:
		if n.Line < len(s.lines) {
			line := s.lines[n.Line]
			into.block = len(line) - len(bytes.TrimLeft(line, " "))
		}
	case yaml.SingleQuotedStyle, yaml.DoubleQuotedStyle:
		into.Place.Column++
	}
	return nil
}

// didYouMean names the nearest word, or all.
func didYouMean(word string, words []string) string {
	if near := nearest.Word(word, words); near != "" {
		return fmt.Sprintf("; did you mean %q?", near)
	}
	return " (want " + strings.Join(words, ", ") + ")"
}

// oneOf checks a word against those that exist; "" is the default.
func (w Word) oneOf(what, fallback string, words ...string) (string, error) {
	if w.Text == "" {
		return fallback, nil
	}
	if !slices.Contains(words, w.Text) {
		return "", w.Place.Errorf("%s %q is not known%s", what, w.Text, didYouMean(w.Text, words))
	}
	return w.Text, nil
}
