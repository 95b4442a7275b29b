package manifest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"

	yamlv3 "go.yaml.in/yaml/v3"
	"sigs.k8s.io/yaml"

	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/source/object"
)

const (
	// maxYAML and maxJSON bound one file in bytes. JSON, as kubectl get -A -o json
	// writes it, is cheaper to read.
	maxYAML, maxJSON = 64 << 20, 512 << 20
	// maxTotal bounds all files of a run.
	maxTotal = 2 << 30
	// maxDepth bounds how deep an object nests. Schemas of custom resources reach about 60.
	maxDepth = 500
	// maxGrowth bounds what the aliases of a document make of it, times its size;
	// minGrowth bytes are always allowed.
	maxGrowth, minGrowth = 50, 1 << 20
)

// document is one document of a stream.
type document struct {
	text []byte
	// line is that of text's first byte in its file, from 1.
	line int
	json bool
}

// split cuts a stream into its documents: YAML ones at lines that begin with
// three dashes, as kubectl does, JSON ones where a value ends.
func split(text []byte) ([]document, error) {
	text = bytes.TrimPrefix(text, []byte("\xef\xbb\xbf"))
	if head := bytes.TrimLeft(text, " \t\r\n"); len(head) > 0 && head[0] == '{' {
		if docs, err := splitJSON(text); err == nil || !looksYAML(text) {
			return docs, err
		}
	}
	return splitYAML(text), nil
}

// looksYAML tells a flow-style YAML mapping or a stream with separators from
// JSON that is merely broken: JSON's keys are quoted.
func looksYAML(text []byte) bool {
	head := bytes.TrimLeft(bytes.TrimLeft(text, " \t\r\n")[1:], " \t\r\n")
	return len(head) > 0 && head[0] != '"' || bytes.Contains(text, []byte("\n---"))
}

func splitJSON(text []byte) ([]document, error) {
	var docs []document
	d := json.NewDecoder(bytes.NewReader(text))
	at := position{text: text, line: 1}
	for {
		var raw json.RawMessage
		err := d.Decode(&raw)
		if errors.Is(err, io.EOF) {
			return docs, nil
		}
		if err != nil {
			return docs, at.jsonError(err)
		}
		doc := document{text: raw, line: at.lineOf(d.InputOffset() - int64(len(raw))), json: true}
		items, err := doc.items()
		if err != nil {
			return docs, err
		}
		docs = append(docs, items...)
	}
}

// position counts lines on the way through a text.
type position struct {
	text   []byte
	offset int64
	line   int
}

// lineOf is the line of an offset that is not before the last one asked for.
func (p *position) lineOf(offset int64) int {
	offset = min(max(offset, p.offset), int64(len(p.text)))
	p.line += bytes.Count(p.text[p.offset:offset], []byte("\n"))
	p.offset = offset
	return p.line
}

func (p *position) jsonError(err error) error {
	offset := int64(len(p.text))
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		offset = syntax.Offset
	}
	return wrong(p.lineOf(offset), err)
}

// items are the objects of a JSON list, each with a document of its own, so that
// a dump of a whole cluster is not held twice. Any other document is itself.
func (d document) items() ([]document, error) {
	o, ok, err := object.Parse(d.text)
	if err != nil || !ok || !isList(&o) {
		return []document{d}, nil // what is wrong with it is told when it is read
	}
	var docs []document
	dec := json.NewDecoder(bytes.NewReader(d.text))
	at := position{text: d.text, line: d.line}
	_, _ = dec.Token() // the opening brace
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return nil, at.jsonError(err)
		}
		if key != "items" {
			var skip json.RawMessage
			if err := dec.Decode(&skip); err != nil {
				return nil, at.jsonError(err)
			}
			continue
		}
		if t, err := dec.Token(); err != nil || t != json.Delim('[') {
			continue // null
		}
		for dec.More() {
			var raw json.RawMessage
			if err := dec.Decode(&raw); err != nil {
				return nil, at.jsonError(err)
			}
			item, err := typed(raw, o.APIVersion, strings.TrimSuffix(o.Kind, "List"))
			if err != nil {
				return nil, wrong(d.line, err)
			}
			docs = append(docs, document{text: item, line: at.lineOf(dec.InputOffset() - int64(len(raw))), json: true})
		}
		_, _ = dec.Token() // the closing bracket
	}
	return docs, nil
}

// isList tells a list of objects from an object.
func isList(o *seawall.Object) bool { return strings.HasSuffix(o.Kind, "List") && o.Name == "" }

func splitYAML(text []byte) []document {
	var docs []document
	line, start, first := 1, 0, 1
	cut := func(end int) {
		if doc := text[start:end]; hasContent(doc) {
			docs = append(docs, document{text: doc, line: first})
		}
	}
	for at := 0; at < len(text); line++ {
		end := at + 1 + bytes.IndexByte(text[at:], '\n')
		if end == at {
			end = len(text)
		}
		if separator(text[at:end]) {
			cut(at)
			start, first = at+len("---"), line
		}
		at = end
	}
	cut(len(text))
	return docs
}

// separator says whether a line begins a document.
func separator(line []byte) bool {
	rest, ok := bytes.CutPrefix(line, []byte("---"))
	return ok && (len(rest) == 0 || bytes.IndexByte([]byte(" \t\r\n"), rest[0]) >= 0)
}

// hasContent says whether there is more than blank lines, comments and directives.
func hasContent(doc []byte) bool {
	for line := range bytes.Lines(doc) {
		if line = bytes.TrimSpace(line); len(line) > 0 && line[0] != '#' && line[0] != '%' && string(line) != "..." {
			return true
		}
	}
	return false
}

// toJSON is a document as JSON. Errors name the line.
func (d *document) toJSON() ([]byte, error) {
	out := d.text
	if !d.json {
		if err := d.checkAliases(); err != nil {
			return nil, err
		}
		var err error
		if out, err = yaml.YAMLToJSON(d.text); err != nil {
			return nil, d.yamlError(err)
		}
	}
	if depth(out) > maxDepth {
		return nil, wrong(d.line, fmt.Errorf("nested more than %d deep: %w", maxDepth, seawall.ErrBound))
	}
	return out, nil
}

// checkAliases refuses a document that its aliases would blow up.
func (d *document) checkAliases() error {
	if bytes.IndexByte(d.text, '&') < 0 || bytes.IndexByte(d.text, '*') < 0 {
		return nil
	}
	var root yamlv3.Node
	if yamlv3.Unmarshal(d.text, &root) != nil {
		return nil // what is wrong with it is told by the other library
	}
	most := max(maxGrowth*len(d.text), minGrowth)
	if expanded(&root, map[*yamlv3.Node]int{}, most) > most {
		return wrong(d.line, fmt.Errorf("its aliases make %d bytes of YAML more than %d: %w", len(d.text), most, seawall.ErrBound))
	}
	return nil
}

// expanded is about the size of a node with its aliases written out, in bytes;
// anything over most is most+1. Nodes are counted once each, in known.
func expanded(n *yamlv3.Node, known map[*yamlv3.Node]int, most int) int {
	if size, ok := known[n]; ok {
		return size
	}
	known[n] = most + 1 // a node inside itself has no end
	size := len(n.Value) + 4
	if n.Alias != nil {
		size = expanded(n.Alias, known, most)
	}
	for _, c := range n.Content {
		if size += expanded(c, known, most); size > most {
			return most + 1
		}
	}
	known[n] = size
	return size
}

// depth is how deep JSON nests.
func depth(text []byte) int {
	now, deepest, quoted := 0, 0, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			now++
			deepest = max(deepest, now)
		case c == '}' || c == ']':
			now--
		}
	}
	return deepest
}

// yamlLine matches the place in the YAML library's errors; lines count from the document's first.
func yamlLine() *regexp.Regexp {
	return regexp.MustCompile(`^(?:yaml: )*(?:unmarshal errors:\s*)?line (\d+): `)
}

// yamlError puts the place in the file into an error of the YAML library, and what to do.
func (d *document) yamlError(err error) error {
	text, line := strings.TrimPrefix(err.Error(), "error converting YAML to JSON: "), d.line
	if m := yamlLine().FindStringSubmatch(text); m != nil {
		n, _ := strconv.Atoi(m[1])
		line, text = d.line+n-1, text[len(m[0]):]
	}
	text = strings.TrimPrefix(text, "yaml: ")
	hint := "check the indentation around this line"
	switch {
	case bytes.Contains(d.text, []byte("{{")):
		hint = "this looks like a template: name the chart's directory, the one with Chart.yaml, to have it rendered"
	case bytes.Contains(d.text, []byte("\n\t")):
		hint = "indent with spaces: YAML allows no tabs there"
	case strings.Contains(text, "mapping values are not allowed"):
		hint = "quote a value that contains a colon followed by a space"
	case strings.Contains(text, "excessive aliasing"):
		return wrong(line, fmt.Errorf("%s: %w", text, seawall.ErrBound))
	}
	return seawall.WithHint(wrong(line, errors.New(text)), hint)
}

// placed is an error with its line; the reader of the file adds the file's name.
type placed struct {
	line int
	err  error
}

func (p *placed) Error() string { return p.err.Error() }
func (p *placed) Unwrap() error { return p.err }

// wrong places what is wrong with a document.
func wrong(line int, err error) error {
	if !errors.Is(err, seawall.ErrBound) && !errors.Is(err, seawall.ErrCorrupt) {
		err = fmt.Errorf("%w: %w", seawall.ErrCorrupt, err)
	}
	return &placed{line, err}
}

// inFile names the file of an error, and its line where one is known, as at has it.
func inFile(path string, err error, at func(line int) int) error {
	var p *placed
	if errors.As(err, &p) {
		path += ":" + strconv.Itoa(at(p.line))
	}
	var h *seawall.Hinted
	if errors.As(err, &h) {
		return seawall.WithHint(fmt.Errorf("%s: %w", path, h.Err), h.Hint)
	}
	return fmt.Errorf("%s: %w", path, err)
}

// objects returns the objects of one document: itself, or the items of a List.
// left counts what is no object.
func (d *document) objects() (out []seawall.Object, left int, err error) {
	text, err := d.toJSON()
	if err != nil {
		return nil, 0, err
	}
	var lines *lineIndex
	add := func(text []byte, o seawall.Object, prefix string) {
		if lines == nil {
			lines = &lineIndex{doc: d}
		}
		o.JSON, o.Lines = text, func(field string) int { return lines.line(prefix, field) }
		o.Line = lines.first(prefix)
		out = append(out, o)
	}
	return out, left, d.unpack(text, "", add, &left)
}

func (d *document) unpack(text []byte, prefix string, add func([]byte, seawall.Object, string), left *int) error {
	if text = bytes.TrimSpace(text); len(text) == 0 || text[0] != '{' {
		if string(text) != "null" {
			*left++
		}
		return nil
	}
	text, err := object.Trim(text)
	if err != nil {
		return wrong(d.line, err)
	}
	o, ok, err := object.Parse(text)
	switch {
	case err != nil:
		return wrong(d.line, err)
	case !ok || notDeployed(o.APIVersion):
		*left++
		return nil
	case !isList(&o):
		add(text, o, prefix)
		return nil
	}
	var list map[string]json.RawMessage // names count as they are written
	var items []json.RawMessage
	if err = json.Unmarshal(text, &list); err == nil && list["items"] != nil {
		err = json.Unmarshal(list["items"], &items)
	}
	if err != nil {
		return wrong(d.line, fmt.Errorf("items of %s: %w", o.Kind, err))
	}
	for i, item := range items {
		if item, err = typed(item, o.APIVersion, strings.TrimSuffix(o.Kind, "List")); err != nil {
			return wrong(d.line, err)
		}
		if err := d.unpack(item, fmt.Sprintf("%sitems[%d].", prefix, i), add, left); err != nil {
			return err
		}
	}
	return nil
}

// typed gives an item of a PodList the kind that such items may leave out.
func typed(item []byte, apiVersion, kind string) ([]byte, error) {
	if kind == "" {
		return item, nil // of a List, whose items say what they are
	}
	var o map[string]json.RawMessage
	if json.Unmarshal(item, &o) != nil || o["kind"] != nil || o["apiVersion"] != nil {
		return item, nil
	}
	o["kind"], o["apiVersion"] = json.RawMessage(strconv.Quote(kind)), json.RawMessage(strconv.Quote(apiVersion))
	return json.Marshal(o)
}

// notDeployed tells documents that are shaped like objects and never reach an
// API server: tools' own configurations.
func notDeployed(apiVersion string) bool {
	switch object.Group(apiVersion) {
	case "kustomize.config.k8s.io", "kind.x-k8s.io", "kubeadm.k8s.io", "k3d.io", "skaffold":
		return true
	}
	return strings.HasPrefix(apiVersion, "skaffold/")
}
