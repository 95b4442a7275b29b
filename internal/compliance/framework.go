package compliance

import (
	"bytes"
	"cmp"
	"embed"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"maps"
	"path"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/seawall-security/seawall/internal/seawall"
)

//go:embed frameworks/*.yaml benchmarks/*.csv topics.yaml
var files embed.FS

// Framework is one published set of requirements.
type Framework struct {
	// ID is what findings name it by: "pci-dss-4.0".
	ID string `yaml:"id" json:"id"`
	// Title is its name; Publisher who publishes it; URL where.
	Title     string `yaml:"title" json:"title"`
	Publisher string `yaml:"publisher" json:"publisher"`
	URL       string `yaml:"url" json:"url"`
	// Aliases are further names users may give.
	Aliases []string `yaml:"aliases" json:"aliases,omitempty"`
	// Note says what part of it is here, for the reader of a report.
	Note string `yaml:"note" json:"note,omitempty"`
	// Numbers is the file under benchmarks/ with the requirements, for a benchmark
	// whose numbers the rules themselves name; "rules" where there is no such list
	// and the rules' numbers are all there is.
	Numbers string `yaml:"numbers" json:"-"`
	// Sections hold the requirements in the framework's order.
	Sections []Section `yaml:"sections" json:"sections,omitempty"`
}

// Section is a chapter of a framework.
type Section struct {
	Title string `yaml:"title" json:"title"`
	// Prefix gives the numbers of a benchmark that belong here; for Numbers only.
	Prefix       string        `yaml:"prefix" json:"-"`
	Requirements []Requirement `yaml:"requirements" json:"requirements"`
}

// Requirement is one thing a framework asks for, and what shows it.
type Requirement struct {
	ID    string `yaml:"id" json:"id"`
	Title string `yaml:"title" json:"title"`
	Text  string `yaml:"text" json:"text,omitempty"`
	// Topics are subjects of topics.yaml; loading adds what each selects to Rules,
	// Benchmarks and Kinds.
	Topics    []string `yaml:"topics" json:"topics,omitempty"`
	Selection `yaml:",inline"`
	// ByHand is what no tool can show.
	ByHand []string `yaml:"byHand" json:"byHand,omitempty"`
	// Role and Automated are a benchmark's own words on a number of its list.
	Role      string `yaml:"-" json:"role,omitempty"`
	Automated bool   `yaml:"-" json:"automated,omitempty"`
}

// Selection selects findings.
type Selection struct {
	// Rules are rule identifiers; one that ends with * is a prefix.
	Rules []string `yaml:"rules" json:"rules,omitempty"`
	// Benchmarks are identifiers the rules name ("cis-k8s-1.12:1.2.*"): all rules with
	// one of them.
	Benchmarks []string `yaml:"benchmarks" json:"benchmarks,omitempty"`
	// Kinds are families of findings.
	Kinds []Kind `yaml:"kinds" json:"kinds,omitempty"`
}

// topic is a subject several frameworks ask for.
type topic struct {
	Title     string `yaml:"title"`
	Selection `yaml:",inline"`
}

// readTopics returns all topics by name.
func readTopics() (map[string]topic, error) {
	raw, err := files.ReadFile("topics.yaml")
	if err != nil {
		return nil, err
	}
	var topics map[string]topic
	if err := strict(raw, &topics); err != nil {
		return nil, fmt.Errorf("topics.yaml: %w", err)
	}
	for name, t := range topics {
		if err := t.check(); err != nil {
			return nil, fmt.Errorf("topics.yaml: %s: %w", name, err)
		}
	}
	return topics, nil
}

// Kind selects findings of a kind.
type Kind struct {
	Kind seawall.FindingKind `yaml:"kind" json:"kind"`
	// Severity is the least that counts; unknown counts every finding.
	Severity seawall.Severity `yaml:"severity" json:"severity,omitempty"`
	// FixedDays counts only vulnerabilities whose fix was published longer ago; an
	// unknown day is long ago.
	FixedDays int `yaml:"fixedDays" json:"fixedDays,omitempty"`
	// KEV counts only vulnerabilities known to be exploited.
	KEV bool `yaml:"kev" json:"kev,omitempty"`
}

// Requirements counts the requirements.
func (f *Framework) Requirements() int {
	n := 0
	for _, s := range f.Sections {
		n += len(s.Requirements)
	}
	return n
}

// Keep leaves only the requirements that one of the patterns takes; none at all
// leaves everything. Patterns that take nothing are an error.
func (f *Framework) Keep(patterns []string) error {
	if len(patterns) == 0 {
		return nil
	}
	for _, p := range patterns {
		if !slices.ContainsFunc(f.Sections, func(s Section) bool {
			return slices.ContainsFunc(s.Requirements, func(r Requirement) bool { return matches(p, r.ID) })
		}) {
			return fmt.Errorf("%s has no requirement %q", f.ID, p)
		}
	}
	for i := range f.Sections {
		s := &f.Sections[i]
		s.Requirements = slices.DeleteFunc(s.Requirements, func(r Requirement) bool { return !anyMatches(patterns, r.ID) })
	}
	return nil
}

// MaxFrameworkBytes bounds a user's framework file.
const MaxFrameworkBytes = 4 << 20

// Load returns the framework a user names: by identifier, by alias, or by the
// beginning of an identifier when only one begins so. Controls give the
// requirements of benchmarks without a list of their own. An unknown name is a
// usage error.
func Load(name string, controls []Control) (*Framework, error) {
	all, err := All(controls)
	if err != nil {
		return nil, err
	}
	name = strings.ToLower(name)
	var begin []*Framework
	for _, f := range all {
		switch {
		case f.ID == name || slices.Contains(f.Aliases, name):
			return f, nil
		case strings.HasPrefix(f.ID, name):
			begin = append(begin, f)
		}
	}
	if len(begin) == 1 {
		return begin[0], nil
	}
	return nil, seawall.WithHint(fmt.Errorf("no framework %q: %w", name, seawall.ErrUsage), "'seawall compliance list' names them all")
}

// All returns every framework, in the order of their files' names.
func All(controls []Control) ([]*Framework, error) {
	all, err := decodeAll()
	if err != nil {
		return nil, err
	}
	for _, f := range all {
		if err := f.number(controls); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// decodeAll decodes the embedded frameworks; benchmarks have no numbers yet.
func decodeAll() ([]*Framework, error) {
	names, err := files.ReadDir("frameworks")
	if err != nil {
		return nil, err
	}
	topics, err := readTopics()
	if err != nil {
		return nil, err
	}
	var all []*Framework
	for _, entry := range names {
		raw, err := files.ReadFile("frameworks/" + entry.Name())
		if err != nil {
			return nil, err
		}
		f, err := decode(entry.Name(), raw, topics)
		if err != nil {
			return nil, err
		}
		all = append(all, f)
	}
	return all, nil
}

// number gives a benchmark its requirements.
func (f *Framework) number(controls []Control) (err error) {
	var numbers []Requirement
	switch f.Numbers {
	case "":
		return nil
	case "rules":
		numbers = numbersOfRules(f.ID, controls)
	default:
		if numbers, err = numbersOfFile(f.Numbers); err != nil {
			return err
		}
	}
	f.place(numbers)
	return nil
}

// Parse reads a framework file of the user's. Errors name the file and the place.
func Parse(name string, raw []byte) (*Framework, error) {
	if len(raw) > MaxFrameworkBytes {
		return nil, fmt.Errorf("%s: %d bytes, the bound is %d: %w", name, len(raw), MaxFrameworkBytes, seawall.ErrBound)
	}
	topics, err := readTopics()
	if err != nil {
		return nil, err
	}
	f, err := decode(name, raw, topics)
	switch {
	case err != nil:
		return nil, fmt.Errorf("%w: %w", err, seawall.ErrUsage)
	case f.Numbers != "":
		return nil, fmt.Errorf("%s: numbers is for built-in benchmarks: %w", name, seawall.ErrUsage)
	}
	return f, nil
}

func decode(name string, raw []byte, topics map[string]topic) (*Framework, error) {
	var f Framework
	if err := strict(raw, &f); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if err := f.check(); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if err := f.resolve(topics); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return &f, nil
}

// strict decodes one YAML document whose keys must all be known.
func strict(raw []byte, into any) error {
	d := yaml.NewDecoder(bytes.NewReader(raw))
	d.KnownFields(true)
	if err := d.Decode(into); err != nil {
		return err
	}
	if err := d.Decode(new(any)); !errors.Is(err, io.EOF) {
		return errors.New("more than one document")
	}
	return nil
}

// resolve adds to each requirement what its topics select.
func (f *Framework) resolve(topics map[string]topic) error {
	for i := range f.Sections {
		for j := range f.Sections[i].Requirements {
			r := &f.Sections[i].Requirements[j]
			for _, name := range r.Topics {
				t, ok := topics[name]
				if !ok {
					return fmt.Errorf("requirement %s: unknown topic %q (want one of %s)", r.ID, name, strings.Join(slices.Sorted(maps.Keys(topics)), ", "))
				}
				r.Rules = union(r.Rules, t.Rules)
				r.Benchmarks = union(r.Benchmarks, t.Benchmarks)
				r.Kinds = union(r.Kinds, t.Kinds)
			}
		}
	}
	return nil
}

// union appends what is not there yet.
func union[T comparable](list, more []T) []T {
	for _, v := range more {
		if !slices.Contains(list, v) {
			list = append(list, v)
		}
	}
	return list
}

// check finds what decoding cannot: a requirement that nothing shows would pass
// unseen, a mistyped kind would never match.
func (f *Framework) check() error {
	if f.ID == "" || f.Title == "" || strings.ContainsAny(f.ID, ": ") {
		return fmt.Errorf("a framework needs an id without spaces and colons, and a title")
	}
	seen := map[string]bool{}
	for _, s := range f.Sections {
		for _, r := range s.Requirements {
			switch {
			case r.ID == "" || r.Title == "":
				return fmt.Errorf("section %q: a requirement needs an id and a title", s.Title)
			case seen[r.ID]:
				return fmt.Errorf("requirement %s: it is there twice", r.ID)
			case len(r.Topics)+len(r.Rules)+len(r.Benchmarks)+len(r.Kinds)+len(r.ByHand) == 0:
				return fmt.Errorf("requirement %s: neither topics, rules, benchmarks, kinds nor byHand", r.ID)
			}
			seen[r.ID] = true
			if err := r.check(); err != nil {
				return fmt.Errorf("requirement %s: %w", r.ID, err)
			}
		}
	}
	return nil
}

func (s *Selection) check() error {
	for _, pattern := range slices.Concat(s.Rules, s.Benchmarks) {
		if i := strings.IndexByte(pattern, '*'); pattern == "" || i == 0 || i > 0 && i < len(pattern)-1 {
			return fmt.Errorf("pattern %q: want an identifier, or the beginning of one and *", pattern)
		}
	}
	for _, b := range s.Benchmarks {
		if !strings.Contains(b, ":") && !strings.HasSuffix(b, "*") {
			return fmt.Errorf("benchmark %q: want framework:number, or the beginning of one and *", b)
		}
	}
	for _, k := range s.Kinds {
		if !slices.Contains(kinds(), k.Kind) {
			return fmt.Errorf("unknown kind %q (want one of %v)", k.Kind, kinds())
		}
		if (k.FixedDays != 0 || k.KEV) && k.Kind != seawall.KindVulnerability {
			return fmt.Errorf("kind %s: fixedDays and kev are for vulnerabilities", k.Kind)
		}
	}
	return nil
}

func kinds() []seawall.FindingKind {
	return []seawall.FindingKind{
		seawall.KindVulnerability, seawall.KindSecret, seawall.KindMalware, seawall.KindMisconfiguration, seawall.KindLicense, seawall.KindSignature,
		seawall.KindLifecycle, seawall.KindRBAC, seawall.KindNetwork, seawall.KindRuntime, seawall.KindAudit, seawall.KindIntegrity,
	}
}

// numbersOfFile reads a list of numbers: number, [role,] assessment[, scored].
func numbersOfFile(name string) ([]Requirement, error) {
	raw, err := files.ReadFile(path.Join("benchmarks", name))
	if err != nil {
		return nil, err
	}
	rows, err := csv.NewReader(bytes.NewReader(raw)).ReadAll()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	column := map[string]int{}
	for i, title := range rows[0] {
		column[title] = i
	}
	var out []Requirement
	for _, row := range rows[1:] {
		r := Requirement{ID: row[column["number"]], Automated: row[column["assessment"]] == "automated"}
		if i, ok := column["role"]; ok {
			r.Role = row[i]
		}
		out = append(out, r)
	}
	return out, nil
}

// numbersOfRules are the numbers the rules themselves name.
func numbersOfRules(framework string, controls []Control) []Requirement {
	var out []Requirement
	for _, c := range controls {
		for _, id := range c.Frameworks {
			number, ok := strings.CutPrefix(id, framework+":")
			if ok && !slices.ContainsFunc(out, func(r Requirement) bool { return r.ID == number }) {
				out = append(out, Requirement{ID: number, Automated: true})
			}
		}
	}
	slices.SortFunc(out, func(a, b Requirement) int { return compareNumbers(a.ID, b.ID) })
	return out
}

// place puts numbers into the section with the longest prefix of theirs.
func (f *Framework) place(numbers []Requirement) {
	for _, n := range numbers {
		best := -1
		for i, s := range f.Sections {
			if strings.HasPrefix(n.ID, s.Prefix) && (best < 0 || len(s.Prefix) > len(f.Sections[best].Prefix)) {
				best = i
			}
		}
		if best < 0 {
			f.Sections = append(f.Sections, Section{Title: "Others"})
			best = len(f.Sections) - 1
		}
		f.Sections[best].Requirements = append(f.Sections[best].Requirements, n)
	}
	f.Sections = slices.DeleteFunc(f.Sections, func(s Section) bool { return len(s.Requirements) == 0 })
}

// compareNumbers orders 1.9 before 1.10.
func compareNumbers(a, b string) int {
	as, bs := strings.Split(a, "."), strings.Split(b, ".")
	for i := range min(len(as), len(bs)) {
		if c := cmp.Or(cmp.Compare(len(as[i]), len(bs[i])), strings.Compare(as[i], bs[i])); c != 0 {
			return c
		}
	}
	return cmp.Compare(len(as), len(bs))
}
