package watch

import (
	"bytes"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"sync"

	"go.yaml.in/yaml/v3"

	"github.com/seawall-security/seawall/internal/admission/follow"
	"github.com/seawall-security/seawall/internal/policy"
	"github.com/seawall-security/seawall/internal/seawall"
)

// Mistake is why an object is no policy or exception.
type Mistake struct {
	// Field is where: "spec.rules[0].when".
	Field   string
	Message string
}

func (m *Mistake) Error() string {
	if m.Field == "" {
		return m.Message
	}
	return m.Field + ": " + m.Message
}

// place is how errors of package policy begin.
var place = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[^:]*:(\d+):(\d+): `) })

// Read reads an object as the set of the one policy or exception that it is.
func Read(object follow.Object) (*policy.Set, *Mistake) {
	meta := map[string]any{}
	for _, key := range []string{"name", "namespace", "labels", "annotations"} {
		if v := at(object, "metadata", key); v != nil {
			meta[key] = v
		}
	}
	document := map[string]any{"apiVersion": object["apiVersion"], "kind": object["kind"], "metadata": meta}
	if spec, ok := object["spec"]; ok {
		document["spec"] = spec
	}
	var text bytes.Buffer
	encoder := yaml.NewEncoder(&text)
	encoder.SetIndent(2)
	if err := encoder.Encode(document); err != nil {
		return nil, &Mistake{Message: fmt.Sprintf("not an object: %v", err)}
	}
	kind, _ := object["kind"].(string)
	set, err := policy.Parse(kind+" "+textAt(object, "metadata", "name"), text.Bytes())
	if err != nil {
		return nil, mistakeOf(err, text.Bytes())
	}
	if len(set.Policies)+len(set.Exceptions) != 1 {
		return nil, &Mistake{Field: "kind", Message: fmt.Sprintf("%s: want %s or %s", kind, policy.KindPolicy, policy.KindException)}
	}
	return set, nil
}

// mistakeOf turns the place in a text that nobody has seen into the field there.
func mistakeOf(err error, text []byte) *Mistake {
	m := &Mistake{Message: strings.TrimSuffix(err.Error(), ": "+seawall.ErrUsage.Error())}
	found := place().FindStringSubmatch(m.Message)
	if found == nil {
		return m
	}
	m.Message = m.Message[len(found[0]):]
	line, _ := strconv.Atoi(found[1])
	column, _ := strconv.Atoi(found[2])
	var doc yaml.Node
	if yaml.Unmarshal(text, &doc) == nil {
		m.Field = strings.TrimPrefix(fieldAt(&doc, line, column), ".")
	}
	return m
}

// fieldAt is the path of the last value that begins at or before a place.
func fieldAt(n *yaml.Node, line, column int) string {
	reached := func(n *yaml.Node) bool { return n.Line < line || n.Line == line && n.Column <= column }
	path := ""
	switch n.Kind {
	case yaml.DocumentNode:
		return fieldAt(n.Content[0], line, column)
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			if reached(n.Content[i]) {
				path = "." + n.Content[i].Value + fieldAt(n.Content[i+1], line, column)
			}
		}
	case yaml.SequenceNode:
		for i, c := range n.Content {
			if reached(c) {
				path = "[" + strconv.Itoa(i) + "]" + fieldAt(c, line, column)
			}
		}
	}
	return path
}
