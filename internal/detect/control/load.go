package control

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"

	"go.yaml.in/yaml/v3"

	"github.com/seawall-security/seawall/internal/expression"
	"github.com/seawall-security/seawall/internal/expression/nearest"
	"github.com/seawall-security/seawall/internal/seawall"
)

// The bounds of a file of controls.
const (
	maxFile     = 4 << 20
	maxControls = 5000
	maxDepth    = 50
)

// Place is a position in a file of controls.
type Place struct {
	File         string
	Line, Column int
	// lines are how far an expression's lines are indented, nil when its text is on one line.
	block []int
}

func (p Place) String() string { return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Column) }

// within is the place of a position inside an expression that starts at p.
func (p Place) within(line, column int) Place {
	if p.block != nil {
		indent := 0
		if line <= len(p.block) {
			indent = p.block[line-1]
		}
		return Place{File: p.File, Line: p.Line + line, Column: indent + column}
	}
	return Place{File: p.File, Line: p.Line + line - 1, Column: p.Column + column - 1}
}

func (p Place) errorf(format string, args ...any) error {
	return fmt.Errorf("%s: %w: %w", p, fmt.Errorf(format, args...), seawall.ErrUsage)
}

// Load reads the control files of fsys that match the patterns of path.Match,
// in order of their names. Identifiers are unique among them.
func Load(fsys fs.FS, patterns ...string) ([]*Control, error) {
	var controls []*Control
	var names []string
	for _, pattern := range patterns {
		matches, err := fs.Glob(fsys, pattern)
		if err != nil {
			return nil, err
		}
		names = append(names, matches...)
	}
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		text, err := fs.ReadFile(fsys, name)
		if err != nil {
			return nil, err
		}
		read, err := Parse(name, text)
		if err != nil {
			return nil, err
		}
		controls = append(controls, read...)
	}
	return controls, unique(controls)
}

// LoadUser reads users' own control files: files, and directories with .yaml and
// .yml files. Their identifiers do not start with SW-, and every expression is
// checked at once.
func LoadUser(paths []string) ([]*Control, error) {
	var controls []*Control
	for _, name := range paths {
		files := []string{name}
		if info, err := os.Stat(name); err != nil {
			return nil, fmt.Errorf("controls: %w: %w", err, seawall.ErrUsage)
		} else if info.IsDir() {
			files = files[:0]
			err := filepath.WalkDir(name, func(file string, d fs.DirEntry, err error) error {
				if ext := path.Ext(file); err == nil && !d.IsDir() && (ext == ".yaml" || ext == ".yml") {
					files = append(files, file)
				}
				return err
			})
			if err != nil {
				return nil, fmt.Errorf("controls: %w: %w", err, seawall.ErrUsage)
			}
		}
		for _, file := range files {
			read, err := loadFile(file)
			if err != nil {
				return nil, err
			}
			controls = append(controls, read...)
		}
	}
	for _, c := range controls {
		if strings.HasPrefix(c.ID, "SW-") {
			return nil, c.Place.errorf("identifier %s: SW-… are Seawall's own, take a prefix of yours", c.ID)
		}
		if err := compileAll(c); err != nil {
			return nil, err
		}
	}
	return controls, unique(controls)
}

func loadFile(name string) ([]*Control, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("controls: %w: %w", err, seawall.ErrUsage)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("controls: %w: %w", err, seawall.ErrUsage)
	}
	return Parse(name, text)
}

func unique(controls []*Control) error {
	first := make(map[string]Place, len(controls))
	for _, c := range controls {
		if p, taken := first[c.ID]; taken {
			return c.Place.errorf("identifier %s is taken already, at %s", c.ID, p)
		}
		first[c.ID] = c.Place
	}
	return nil
}

// Parse reads one file; name is for errors. Expressions are not compiled.
func Parse(name string, text []byte) ([]*Control, error) {
	start := Place{File: name, Line: 1, Column: 1}
	if len(text) > maxFile {
		return nil, start.errorf("the file is larger than %d bytes: %w", maxFile, seawall.ErrBound)
	}
	p := parser{file: name, lines: bytes.Split(text, []byte("\n"))}
	var controls []*Control
	for d := yaml.NewDecoder(bytes.NewReader(text)); ; {
		var doc yaml.Node
		err := d.Decode(&doc)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, yamlError(start, err)
		}
		read, err := p.document(&doc)
		if err != nil {
			return nil, err
		}
		controls = append(controls, read...)
		if len(controls) > maxControls {
			return nil, start.errorf("more than %d controls: %w", maxControls, seawall.ErrBound)
		}
	}
	return controls, nil
}

// yamlError puts the line of a YAML error in front.
func yamlError(p Place, err error) error {
	message := strings.TrimPrefix(err.Error(), "yaml: ")
	if rest, ok := strings.CutPrefix(message, "line "); ok {
		if n, what, ok := strings.Cut(rest, ": "); ok {
			if _, bad := fmt.Sscanf(n, "%d", &p.Line); bad == nil {
				message = what
			}
		}
	}
	return p.errorf("%s", message)
}

// parser turns nodes into controls.
type parser struct {
	file  string
	lines [][]byte
}

func (p *parser) place(n *yaml.Node) Place {
	return Place{File: p.file, Line: n.Line, Column: n.Column}
}

// fields calls with with every key of a mapping; keys are the ones that exist.
func (p *parser) fields(n *yaml.Node, what string, keys []string, with func(key string, value *yaml.Node) error) error {
	if n.Kind != yaml.MappingNode {
		return p.place(n).errorf("%s is a mapping", what)
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if !slices.Contains(keys, key.Value) {
			return p.place(key).errorf("%s has no key %q%s", what, key.Value, didYouMean(key.Value, keys))
		}
		if seen[key.Value] {
			return p.place(key).errorf("%s has the key %q twice", what, key.Value)
		}
		seen[key.Value] = true
		if err := with(key.Value, value); err != nil {
			return err
		}
	}
	return nil
}

func (p *parser) document(doc *yaml.Node) ([]*Control, error) {
	if doc.Kind != yaml.DocumentNode || len(doc.Content) != 1 {
		return nil, p.place(doc).errorf("a file of controls is a mapping")
	}
	area := ""
	var controls []*Control
	err := p.fields(doc.Content[0], "a file of controls", []string{"area", "controls"}, func(key string, value *yaml.Node) (err error) {
		if key == "area" {
			area, err = p.text(value, key)
			return err
		}
		if value.Kind != yaml.SequenceNode {
			return p.place(value).errorf("controls is a list")
		}
		for _, n := range value.Content {
			c, err := p.control(n)
			if err != nil {
				return err
			}
			controls = append(controls, c)
		}
		return nil
	})
	if err == nil && area == "" {
		err = p.place(doc.Content[0]).errorf("a file of controls names its area")
	}
	for _, c := range controls {
		c.Area = area
	}
	return controls, err
}

func controlKeys() []string {
	return []string{"id", "title", "severity", "inspects", "needs", "applies", "pass", "each", "field", "evidence", "check", "manual", "absent",
		"rationale", "remediation", "patch", "references", "frameworks", "distributions"}
}

func (p *parser) control(n *yaml.Node) (*Control, error) {
	c := &Control{Place: p.place(n)}
	texts := map[string]*string{"id": &c.ID, "title": &c.Title, "check": &c.Check, "manual": &c.Manual, "rationale": &c.Rationale, "remediation": &c.Remediation}
	lists := map[string]*[]string{"inspects": &c.Inspects, "needs": &c.Needs, "references": &c.References, "frameworks": &c.Frameworks, "distributions": &c.Distributions}
	expressions := map[string]*Text{"applies": &c.Applies, "pass": &c.Pass, "each": &c.Each, "field": &c.Field, "evidence": &c.Evidence}
	err := p.fields(n, "a control", controlKeys(), func(key string, value *yaml.Node) (err error) {
		switch {
		case texts[key] != nil:
			*texts[key], err = p.text(value, key)
		case lists[key] != nil:
			*lists[key], err = p.list(value, key)
		case expressions[key] != nil:
			*expressions[key], err = p.expression(value, key)
		case key == "severity":
			c.Severity, err = p.severity(value)
		case key == "absent":
			c.Absent, err = p.absent(value)
		case key == "patch":
			c.Patch, err = p.patch(value)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return c, c.validate()
}

var identifier = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[A-Z][A-Z0-9]*(-[A-Z0-9]+)+$`) })

// validate finds what is missing or contradicts itself.
func (c *Control) validate() error {
	ways := 0
	for _, way := range []string{c.Pass.Text, c.Check, c.Manual} {
		if way != "" {
			ways++
		}
	}
	switch {
	case c.ID == "":
		return c.Place.errorf("the control has no id")
	case !identifier().MatchString(c.ID):
		return c.Place.errorf("identifier %q: want capitals, digits and dashes, as in ACME-POD-001", c.ID)
	case c.Title == "":
		return c.Place.errorf("%s has no title", c.ID)
	case c.Severity == seawall.SeverityUnknown:
		return c.Place.errorf("%s has no severity", c.ID)
	case len(c.Inspects) == 0:
		return c.Place.errorf("%s does not say what it inspects", c.ID)
	case ways != 1:
		return c.Place.errorf("%s has %d of pass, check and manual; it needs exactly one", c.ID, ways)
	case c.Rationale == "" || c.Remediation == "":
		return c.Place.errorf("%s needs a rationale and a remediation", c.ID)
	}
	for _, what := range c.Inspects {
		if subjectKindOf(what) == kindUnknown {
			return c.Place.errorf("%s inspects %q: want workloads, cluster, host, a kind as in Service, or a config fact as in kubernetes/kubelet", c.ID, what)
		}
	}
	return nil
}

func (p *parser) scalar(n *yaml.Node, key string) (string, error) {
	if n.Kind != yaml.ScalarNode {
		return "", p.place(n).errorf("%s is a text", key)
	}
	return n.Value, nil
}

func (p *parser) text(n *yaml.Node, key string) (string, error) {
	s, err := p.scalar(n, key)
	return strings.TrimSpace(s), err
}

func (p *parser) list(n *yaml.Node, key string) ([]string, error) {
	if n.Kind != yaml.SequenceNode {
		return nil, p.place(n).errorf("%s is a list", key)
	}
	list := make([]string, 0, len(n.Content))
	for _, item := range n.Content {
		s, err := p.text(item, "an element of "+key)
		if err != nil {
			return nil, err
		}
		list = append(list, s)
	}
	return list, nil
}

func (p *parser) severity(n *yaml.Node) (seawall.Severity, error) {
	switch n.Value {
	case "critical", "high", "medium", "low":
		return seawall.ParseSeverity(n.Value)
	}
	return 0, p.place(n).errorf("severity %q: want critical, high, medium or low", n.Value)
}

func (p *parser) absent(n *yaml.Node) (seawall.Status, error) {
	switch s := seawall.Status(n.Value); s {
	case seawall.StatusFail, seawall.StatusPass, seawall.StatusNotApplicable, seawall.StatusNotEvaluated:
		return s, nil
	}
	return "", p.place(n).errorf("absent %q: want not-applicable, not-evaluated, fail or pass", n.Value)
}

// expression keeps a text with the place of its first character.
func (p *parser) expression(n *yaml.Node, key string) (Text, error) {
	s, err := p.scalar(n, key)
	if err != nil {
		return Text{}, err
	}
	t := Text{Text: strings.TrimRight(s, " \n"), Place: p.place(n)}
	switch n.Style &^ yaml.TaggedStyle {
	case yaml.LiteralStyle, yaml.FoldedStyle:
		t.block = p.indents(n.Line, strings.Count(s, "\n")+1)
	case yaml.SingleQuotedStyle, yaml.DoubleQuotedStyle:
		t.Column++
	}
	return t, nil
}

// indents are the indentations of the lines of a block after its header line,
// all as deep as the first: what is deeper belongs to the text.
func (p *parser) indents(header, lines int) []int {
	indent := 0
	if header < len(p.lines) {
		line := p.lines[header]
		indent = len(line) - len(bytes.TrimLeft(line, " "))
	}
	return slices.Repeat([]int{indent}, lines)
}

func (p *parser) patch(n *yaml.Node) (Patch, error) {
	switch n.Kind {
	case yaml.ScalarNode:
		t, err := p.expression(n, "patch")
		return Patch{Text: t}, err
	case yaml.MappingNode:
		v, err := p.plain(n, 0)
		if err != nil {
			return Patch{}, err
		}
		return Patch{Static: v.(map[string]any)}, nil
	}
	return Patch{}, p.place(n).errorf("patch is a mapping, or an expression that builds one")
}

// plain is a node as Go values: maps, lists, texts, numbers, bools and nil.
func (p *parser) plain(n *yaml.Node, depth int) (any, error) {
	switch {
	case depth > maxDepth:
		return nil, p.place(n).errorf("more than %d levels: %w", maxDepth, seawall.ErrBound)
	case n.Kind == yaml.MappingNode:
		out := make(map[string]any, len(n.Content)/2)
		for i := 0; i+1 < len(n.Content); i += 2 {
			v, err := p.plain(n.Content[i+1], depth+1)
			if err != nil {
				return nil, err
			}
			out[n.Content[i].Value] = v
		}
		return out, nil
	case n.Kind == yaml.SequenceNode:
		out := make([]any, 0, len(n.Content))
		for _, item := range n.Content {
			v, err := p.plain(item, depth+1)
			if err != nil {
				return nil, err
			}
			out = append(out, v)
		}
		return out, nil
	case n.Kind == yaml.ScalarNode:
		var v any
		if err := n.Decode(&v); err != nil {
			return nil, yamlError(p.place(n), err)
		}
		return v, nil
	}
	return nil, p.place(n).errorf("anchors and aliases are not supported here")
}

// didYouMean names the nearest word.
func didYouMean(word string, words []string) string {
	best := nearest.Word(word, words)
	if best == "" {
		return " (keys are " + strings.Join(words, ", ") + ")"
	}
	return fmt.Sprintf("; did you mean %q?", best)
}

// compileText compiles an expression; a mistake is an error with its place in the file.
func compileText(t Text, want expression.Type) (*expression.Program, error) {
	if t.Text == "" {
		return nil, nil
	}
	env, err := environment()
	if err != nil {
		return nil, err
	}
	program, err := env.Compile(t.Text, want)
	var mistake *expression.Error
	if errors.As(err, &mistake) {
		return nil, t.within(mistake.Line, mistake.Column).errorf("%s", mistake.Message)
	}
	return program, err
}
