package policy

import (
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/seawall-security/seawall/internal/expression"
	"github.com/seawall-security/seawall/internal/seawall"
)

// The kinds of document.
const (
	KindPolicy    = "Policy"
	KindException = "PolicyException"
	KindTest      = "PolicyTest"
)

// Header is how every document begins; Spec is the rest.
type Header struct {
	APIVersion Word     `yaml:"apiVersion"`
	Kind       Word     `yaml:"kind"`
	Metadata   metadata `yaml:"metadata"`
	Spec       Source   `yaml:"spec"`
	Status     any      `yaml:"status"`
}

// metadata is an object's; what an API server adds is read and left alone.
type metadata struct {
	Name              Word              `yaml:"name"`
	Namespace         string            `yaml:"namespace"`
	Labels            map[string]string `yaml:"labels"`
	Annotations       map[string]string `yaml:"annotations"`
	UID               string            `yaml:"uid"`
	ResourceVersion   string            `yaml:"resourceVersion"`
	Generation        int               `yaml:"generation"`
	CreationTimestamp string            `yaml:"creationTimestamp"`
	ManagedFields     any               `yaml:"managedFields"`
}

// ReadHeader reads and checks what all documents have in common.
func ReadHeader(doc Source) (Header, error) {
	var h Header
	if err := doc.Decode(&h); err != nil {
		return h, err
	}
	switch {
	case h.APIVersion.Text != APIVersion:
		return h, doc.Place().Errorf("apiVersion %q: want %s", h.APIVersion.Text, APIVersion)
	case !slices.Contains([]string{KindPolicy, KindException, KindTest}, h.Kind.Text):
		return h, doc.Place().Errorf("kind %q: want %s, %s or %s", h.Kind.Text, KindPolicy, KindException, KindTest)
	case h.Metadata.Name.Text == "":
		return h, doc.Place().Errorf("the document has no metadata.name")
	case h.Spec.node == nil:
		return h, doc.Place().Errorf("%s has no spec", h.Metadata.Name.Text)
	}
	return h, nil
}

type policySpec struct {
	Description   string        `yaml:"description"`
	Phases        []Word        `yaml:"phases"`
	Mode          Word          `yaml:"mode"`
	Failure       Word          `yaml:"failure"`
	UnknownImages Word          `yaml:"unknownImages"`
	Match         matchSpec     `yaml:"match"`
	Exclude       *matchSpec    `yaml:"exclude"`
	Exceptions    exceptionRule `yaml:"exceptions"`
	Variables     []struct {
		Name       Word `yaml:"name"`
		Expression Text `yaml:"expression"`
	} `yaml:"variables"`
	Rules []ruleSpec `yaml:"rules"`
}

type exceptionRule struct {
	Namespaces []string `yaml:"namespaces"`
	MaxDays    int      `yaml:"maxDays"`
}

type ruleSpec struct {
	Name   Word   `yaml:"name"`
	When   Text   `yaml:"when"`
	Action Source `yaml:"action"`
	Mode   Word   `yaml:"mode"`
	Grace  struct {
		Days int  `yaml:"days"`
		From Word `yaml:"from"`
	} `yaml:"grace"`
	Message           string        `yaml:"message"`
	MessageExpression Text          `yaml:"messageExpression"`
	Mutate            *mutationSpec `yaml:"mutate"`
}

// environment is what conditions may use.
var environment = sync.OnceValues(func() (*expression.Environment, error) {
	return expression.NewTyped([]expression.Variable{
		{Name: "finding", Type: reflect.TypeFor[seawall.Finding]()},
		{Name: "asset", Type: reflect.TypeFor[seawall.Asset]()},
		{Name: "image", Type: reflect.TypeFor[Image]()},
		{Name: "workload", Type: reflect.TypeFor[Workload]()},
		{Name: "phase", Type: reflect.TypeFor[string]()},
		{Name: "now", Type: reflect.TypeFor[time.Time]()},
		{Name: "object"}, {Name: "request"}, {Name: "namespaceObject"},
	}, expression.Function{Name: "age", Context: "now", Arguments: 1, Call: age})
})

// age is the function age(date): the whole days since then; unknown for "".
func age(args []any) (any, error) {
	now, _ := args[0].(time.Time)
	switch d := args[1].(type) {
	case time.Time:
		return int64(now.Sub(d) / (24 * time.Hour)), nil
	case string:
		if d == "" {
			return expression.Unknown("date"), nil
		}
		t, err := ParseTime(d)
		if err != nil {
			return nil, fmt.Errorf("age: %w", err)
		}
		return int64(now.Sub(t) / (24 * time.Hour)), nil
	}
	return nil, fmt.Errorf("age wants a date")
}

// ParseTime reads a day or a moment of RFC 3339.
func ParseTime(s string) (time.Time, error) {
	if t, err := time.Parse(time.DateOnly, s); err == nil {
		return t, nil
	}
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return t, fmt.Errorf("%.40q is no date (want 2026-11-30, or RFC 3339)", s)
	}
	return t, nil
}

// Parse reads the policies and exceptions of one file; name is for errors. Tests
// (KindTest) are left to whoever runs them.
func Parse(name string, text []byte) (*Set, error) {
	documents, err := Documents(name, text)
	if err != nil {
		return nil, err
	}
	set := &Set{}
	for _, doc := range documents {
		if err := set.read(doc); err != nil {
			return nil, err
		}
	}
	return set, nil
}

// Ours says whether a document is of an API group that is not Kubernetes' or another's.
func (s Source) Ours() bool {
	version, ok := s.At("apiVersion")
	group, _, _ := strings.Cut(version.node.Value, "/")
	return !ok || group == "seawall.io"
}

// read adds what a document says.
func (s *Set) read(doc Source) error {
	h, err := ReadHeader(doc)
	if err != nil {
		return err
	}
	switch h.Kind.Text {
	case KindPolicy:
		p, err := parsePolicy(&h)
		if err != nil {
			return err
		}
		s.Policies = append(s.Policies, p)
	case KindException:
		e, err := parseException(&h)
		if err != nil {
			return err
		}
		s.Exceptions = append(s.Exceptions, e)
	}
	return nil
}

// Files are the .yaml and .yml files that paths name: files, and those in directories.
func Files(paths []string) ([]string, error) {
	var files []string
	for _, name := range paths {
		err := filepath.WalkDir(name, func(file string, d fs.DirEntry, err error) error {
			if ext := filepath.Ext(file); err == nil && !d.IsDir() && (file == name || ext == ".yaml" || ext == ".yml") {
				files = append(files, file)
			}
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("policies: %w: %w", err, seawall.ErrUsage)
		}
	}
	return files, nil
}

// ReadFile reads a file of documents, up to the bound.
func ReadFile(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("policies: %w: %w", err, seawall.ErrUsage)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("policies: %w: %w", err, seawall.ErrUsage)
	}
	return text, nil
}

// Load reads files and directories. Names of policies are unique among them, and
// exceptions name policies that are there. Documents of other kinds are errors.
func Load(paths []string) (*Set, error) { return LoadWith(paths, nil) }

// LoadWith is Load where native reads the documents of other kinds.
func LoadWith(paths []string, native ReadNative) (*Set, error) {
	files, err := Files(paths)
	if err != nil {
		return nil, err
	}
	set := &Set{}
	var others []Source
	for _, file := range files {
		text, err := ReadFile(file)
		if err != nil {
			return nil, err
		}
		documents, err := Documents(file, text)
		if err != nil {
			return nil, err
		}
		for _, doc := range documents {
			if native != nil && !doc.Ours() {
				others = append(others, doc)
			} else if err := set.read(doc); err != nil {
				return nil, err
			}
		}
	}
	if len(others) > 0 {
		if set.Native, err = native(others); err != nil {
			return nil, err
		}
	}
	if len(set.Policies) == 0 && set.Native == nil {
		return nil, fmt.Errorf("policies: no document of kind Policy in %s: %w", strings.Join(paths, ", "), seawall.ErrUsage)
	}
	return set, set.validate()
}

func (s *Set) validate() error {
	var names []string
	for i, p := range s.Policies {
		if j := slices.Index(names, p.Name); j >= 0 {
			return p.Place.Errorf("the policy %s is here already, at %s", p.Name, s.Policies[j].Place)
		}
		names = append(names[:i:i], p.Name)
	}
	for _, e := range s.Exceptions {
		if !slices.Contains(names, e.Policy) {
			return e.Place.Errorf("exception %s is from a policy %q that is not here%s", e.String(), e.Policy, didYouMean(e.Policy, names))
		}
	}
	return nil
}

func parsePolicy(h *Header) (*Policy, error) {
	var spec policySpec
	if err := h.Spec.Decode(&spec); err != nil {
		return nil, err
	}
	p := &Policy{Name: h.Metadata.Name.Text, Place: h.Metadata.Name.Place, Description: spec.Description}
	if err := p.words(&spec); err != nil {
		return nil, err
	}
	var err error
	if p.match, err = spec.Match.compile(); err != nil {
		return nil, err
	}
	if spec.Exclude != nil {
		if p.exclude, err = spec.Exclude.compile(); err != nil {
			return nil, err
		}
		if p.exclude == nil {
			return nil, h.Spec.Place().Errorf("%s: exclude says nothing; it would exclude everything", p.Name)
		}
	}
	p.exceptionNamespaces, p.exceptionDays = spec.Exceptions.Namespaces, spec.Exceptions.MaxDays
	if err := p.defineVariables(&spec); err != nil {
		return nil, err
	}
	if len(spec.Rules) == 0 {
		return nil, p.Place.Errorf("%s has no rules", p.Name)
	}
	for i := range spec.Rules {
		r, err := p.rule(&spec.Rules[i])
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(p.Rules, func(o *Rule) bool { return o.Name == r.Name }) {
			return nil, r.Place.Errorf("%s has two rules %q", p.Name, r.Name)
		}
		p.Rules = append(p.Rules, r)
	}
	wants := p.Wants(PhaseDeploy)
	p.asksScans = wants.Scans()
	return p, nil
}

// words checks the values that are words.
func (p *Policy) words(spec *policySpec) (err error) {
	if len(spec.Phases) == 0 {
		return p.Place.Errorf("%s names no phases (want some of %s)", p.Name, strings.Join(Phases(), ", "))
	}
	for _, w := range spec.Phases {
		phase, err := w.oneOf("phase", "", Phases()...)
		if err != nil {
			return err
		}
		if slices.Contains(p.Phases, phase) {
			return w.Place.Errorf("phase %s is here twice", phase)
		}
		p.Phases = append(p.Phases, phase)
	}
	if p.Mode, err = spec.Mode.oneOf("mode", ModeEnforce, ModeEnforce, ModeWarn, ModeAudit); err != nil {
		return err
	}
	failure, err := spec.Failure.oneOf("failure", "open", "open", "closed")
	if err != nil {
		return err
	}
	p.Closed = failure == "closed"
	p.UnknownImages, err = spec.UnknownImages.oneOf("unknownImages", "allow-and-scan", "allow-and-scan", "wait", "deny")
	return err
}

func (p *Policy) defineVariables(spec *policySpec) (err error) {
	if p.environment, err = environment(); err != nil {
		return err
	}
	for _, v := range spec.Variables {
		name := "variables." + v.Name.Text
		switch {
		case !isIdentifier(v.Name.Text):
			return v.Name.Place.Errorf("variable %q: want letters, digits and _", v.Name.Text)
		case p.variables[name] != nil:
			return v.Name.Place.Errorf("variable %q is here already", v.Name.Text)
		case v.Expression.Text == "":
			return v.Name.Place.Errorf("variable %q has no expression", v.Name.Text)
		}
		program, err := v.Expression.compile(p.environment, expression.Any)
		if err != nil {
			return err
		}
		if p.environment, err = p.environment.Extend(name, program); err != nil {
			return v.Expression.Place.Errorf("variable %q: %w", v.Name.Text, err)
		}
		if p.variables == nil {
			p.variables, p.programs = map[string][]string{}, map[string]*expression.Program{}
		}
		p.programs[name] = program
		p.variables[name] = p.named(program)
		p.definitions = append(p.definitions, Definition{v.Name.Text, v.Expression.Text})
	}
	return nil
}

// named are the facts that an expression names, itself or through variables.
func (p *Policy) named(program *expression.Program) []string {
	names := []string{}
	for _, name := range program.Uses() {
		names = append(append(names, name), p.variables[name]...)
	}
	return names
}

func isIdentifier(s string) bool {
	for i, c := range s {
		if c != '_' && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return s != ""
}

func (p *Policy) rule(spec *ruleSpec) (*Rule, error) {
	r := &Rule{Name: spec.Name.Text, Place: spec.Name.Place, When: spec.When.Text, message: spec.Message, messageText: spec.MessageExpression.Text}
	var err error
	switch {
	case r.Name == "":
		return nil, p.Place.Errorf("%s has a rule without a name", p.Name)
	case r.When == "":
		return nil, r.Place.Errorf("rule %s has no when", r.Name)
	case spec.Message != "" && spec.MessageExpression.Text != "":
		return nil, r.Place.Errorf("rule %s has message and messageExpression; take one", r.Name)
	case spec.Action.node == nil:
		return nil, r.Place.Errorf("rule %s has no action", r.Name)
	}
	if r.mode, err = spec.Mode.oneOf("mode", p.Mode, ModeEnforce, ModeWarn, ModeAudit); err != nil {
		return nil, err
	}
	if r.actions, err = p.actions(spec.Action); err != nil {
		return nil, err
	}
	switch mutates := slices.Contains(slices.Collect(maps.Values(r.actions)), ActionMutate); {
	case mutates && spec.Mutate == nil:
		return nil, r.Place.Errorf("rule %s has the action mutate, and no mutate that says what to change", r.Name)
	case !mutates && spec.Mutate != nil:
		return nil, r.Place.Errorf("rule %s has mutate, and no phase has the action mutate", r.Name)
	case mutates:
		if r.Mutation, err = p.mutation(r, spec.Mutate); err != nil {
			return nil, err
		}
	}
	if r.when, err = spec.When.compile(p.environment, expression.Bool); err != nil {
		return nil, err
	}
	if spec.MessageExpression.Text != "" {
		if r.messageOf, err = spec.MessageExpression.compile(p.environment, expression.String); err != nil {
			return nil, err
		}
	}
	r.uses = p.named(r.when)
	r.subject = subjectOf(r.uses)
	r.kinds, r.severities = r.when.Guard("finding.kind"), r.when.Guard("finding.severity")
	r.exploited = slices.Equal(r.when.Guard("finding.vulnerability.kev"), []string{"true"})
	if r.messageOf != nil {
		r.uses = append(r.uses, p.named(r.messageOf)...)
	}
	if spec.Grace.Days < 0 || spec.Grace.Days > 3650 {
		return nil, r.Place.Errorf("rule %s: grace of %d days: want 0 to 3650", r.Name, spec.Grace.Days)
	}
	r.grace.days = spec.Grace.Days
	if r.grace.from, err = spec.Grace.From.oneOf("grace from", "fixed", "fixed", "published", "firstSeen"); err != nil {
		return nil, err
	}
	if r.grace.days > 0 && r.subject != subjectFinding {
		return nil, r.Place.Errorf("rule %s: grace is counted from a finding's dates, and the rule names no finding", r.Name)
	}
	return r, nil
}

// actions reads one word, valid in every phase, or one for each.
func (p *Policy) actions(s Source) (map[string]string, error) {
	actions := map[string]string{}
	var one Word
	each := map[string]Word{}
	if s.Decode(&one) == nil {
		for _, phase := range p.Phases {
			each[phase] = one
		}
	} else if err := s.Decode(&each); err != nil {
		return nil, s.Place().Errorf("action is a word, or a mapping of phases to words")
	}
	for phase, w := range each {
		if !slices.Contains(p.Phases, phase) {
			return nil, w.Place.Errorf("action for phase %q, which the policy does not name%s", phase, didYouMean(phase, p.Phases))
		}
		if !slices.Contains(ActionsOf(phase), w.Text) {
			return nil, w.Place.Errorf("phase %s cannot carry out %q%s", phase, w.Text, didYouMean(w.Text, ActionsOf(phase)))
		}
		actions[phase] = w.Text
	}
	for _, phase := range p.Phases {
		if actions[phase] == "" {
			return nil, s.Place().Errorf("no action for phase %s (want one of %s)", phase, strings.Join(ActionsOf(phase), ", "))
		}
	}
	return actions, nil
}

// subjectOf is what a condition that names these variables is about.
func subjectOf(uses []string) subject {
	for _, s := range []struct {
		name string
		is   subject
	}{{"finding", subjectFinding}, {"object", subjectObject}, {"request", subjectObject}, {"namespaceObject", subjectObject}, {"workload", subjectWorkload}, {"image", subjectImage}} {
		if slices.Contains(uses, s.name) {
			return s.is
		}
	}
	return subjectInput
}
