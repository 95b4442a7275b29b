// Package cases runs the tests of policies: documents of kind PolicyTest, which say
// what policies are to decide for findings, reports, images, objects and requests.
//
//	apiVersion: seawall.io/v1alpha1
//	kind: PolicyTest
//	metadata: {name: no-known-exploited}
//	spec:
//	  policies: [no-known-exploited]        # by name, of the files read
//	  now: 2026-11-01
//	  cases:
//	  - name: one that is exploited and has a fix
//	    phase: build
//	    findings: [{kind: vulnerability, vulnerability: {id: CVE-1, kev: true, fixed: ["2"]}}]
//	    expect: [{rule: kev, action: block}]
//
// A case has some of asset, image, findings, report (a file), object, namespace,
// request, cluster, firstSeen and digests (of images by name, for pinTags). Its decisions
// must be those of expect: each is expected once, and of an expectation only the keys it
// has are compared (reason as a part of it). With mutated, the object, a pod, must become
// that. Exceptions of the files read apply. Policies may be Kubernetes' own.
package cases

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	kjson "sigs.k8s.io/json"

	"github.com/seawall-security/seawall/internal/policy"
	"github.com/seawall-security/seawall/internal/policy/kube"
	"github.com/seawall-security/seawall/internal/policy/mutate"
	"github.com/seawall-security/seawall/internal/seawall"
)

// maxReport bounds a report that a case names, in bytes.
const maxReport = 256 << 20

// Result is what all tests came to.
type Result struct {
	Cases []Case `json:"cases"`
	Rules []Rule `json:"rules"`
	// Coverage is the share of answers (each rule's yes and no) that some case asked for, 0 to 1.
	Coverage float64 `json:"coverage"`
}

// Case is one case and what is wrong with it.
type Case struct {
	Test string `json:"test"`
	Name string `json:"name"`
	// Place is the case in its file.
	Place    string   `json:"place"`
	Problems []string `json:"problems,omitempty"`
}

// Rule counts in how many answers a rule matched, and did not.
type Rule struct {
	Policy    string `json:"policy"`
	Rule      string `json:"rule"`
	Matched   int    `json:"matched"`
	Unmatched int    `json:"unmatched"`
}

// Failed counts the cases with problems.
func (r *Result) Failed() int {
	n := 0
	for i := range r.Cases {
		if len(r.Cases[i].Problems) > 0 {
			n++
		}
	}
	return n
}

type testSpec struct {
	Policies []policy.Word `yaml:"policies"`
	Now      policy.Word   `yaml:"now"`
	Cases    []caseSpec    `yaml:"cases"`
}

type caseSpec struct {
	Name      policy.Word       `yaml:"name"`
	Phase     policy.Word       `yaml:"phase"`
	Now       policy.Word       `yaml:"now"`
	Asset     any               `yaml:"asset"`
	Image     any               `yaml:"image"`
	Findings  []any             `yaml:"findings"`
	Report    policy.Word       `yaml:"report"`
	Object    any               `yaml:"object"`
	Namespace any               `yaml:"namespace"`
	Request   any               `yaml:"request"`
	Cluster   string            `yaml:"cluster"`
	FirstSeen map[string]string `yaml:"firstSeen"`
	Digests   map[string]string `yaml:"digests"`
	Mutated   any               `yaml:"mutated"`
	Expect    []expectation     `yaml:"expect"`
}

type expectation struct {
	Policy    string `yaml:"policy"`
	Rule      string `yaml:"rule"`
	Action    string `yaml:"action"`
	Outcome   string `yaml:"outcome"`
	Reason    string `yaml:"reason"`
	Exception string `yaml:"exception"`
}

// Run runs every test of the files and directories with the policies of the same.
func Run(paths []string) (*Result, error) {
	set, err := policy.LoadWith(paths, kube.Read)
	if err != nil {
		return nil, err
	}
	files, err := policy.Files(paths)
	if err != nil {
		return nil, err
	}
	r := &runner{set: set, seen: map[*policy.Rule]*Rule{}}
	for _, p := range set.Policies {
		for _, rule := range p.Rules {
			r.seen[rule] = &Rule{Policy: p.Name, Rule: rule.Name}
		}
	}
	for _, file := range files {
		text, err := policy.ReadFile(file)
		if err != nil {
			return nil, err
		}
		documents, err := policy.Documents(file, text)
		if err != nil {
			return nil, err
		}
		for _, doc := range documents {
			if err := r.document(filepath.Dir(file), doc); err != nil {
				return nil, err
			}
		}
	}
	r.count()
	return &r.result, nil
}

type runner struct {
	set    *policy.Set
	seen   map[*policy.Rule]*Rule
	result Result
}

// count sums up which answers of rules were asked for.
func (r *runner) count() {
	covered := 0
	for _, p := range r.set.Policies {
		for _, rule := range p.Rules {
			n := r.seen[rule]
			r.result.Rules = append(r.result.Rules, *n)
			covered += min(n.Matched, 1) + min(n.Unmatched, 1)
		}
	}
	if len(r.result.Rules) > 0 {
		r.result.Coverage = float64(covered) / float64(2*len(r.result.Rules))
	}
}

func (r *runner) document(dir string, doc policy.Source) error {
	if !doc.Ours() { // read with the policies
		return nil
	}
	h, err := policy.ReadHeader(doc)
	if err != nil || h.Kind.Text != policy.KindTest {
		return err
	}
	var spec testSpec
	if err := h.Spec.Decode(&spec); err != nil {
		return err
	}
	set := policy.Set{Exceptions: r.set.Exceptions}
	var native []string
	for _, name := range spec.Policies {
		i := slices.IndexFunc(r.set.Policies, func(p *policy.Policy) bool { return p.Name == name.Text })
		switch {
		case i >= 0:
			set.Policies = append(set.Policies, r.set.Policies[i])
		case r.set.Native != nil && slices.Contains(r.set.Native.Names(), name.Text):
			native = append(native, name.Text)
		default:
			return name.Place.Errorf("the policy %q is not in the files given", name.Text)
		}
	}
	if len(spec.Policies) == 0 || len(spec.Cases) == 0 {
		return doc.Place().Errorf("test %s has no policies or no cases", h.Metadata.Name.Text)
	}
	for i := range spec.Cases {
		c := &spec.Cases[i]
		in, err := c.input(dir, &spec)
		if err != nil {
			return c.Name.Place.Errorf("case %s: %w", strconv.Quote(c.Name.Text), err)
		}
		in.Exceptions = set.Exceptions
		var decisions []seawall.Decision
		for _, p := range set.Policies {
			decisions = append(decisions, p.Observe(in, r.observe)...)
		}
		if len(native) > 0 {
			decisions = append(decisions, slices.DeleteFunc(r.set.Native.Decide(in), func(d seawall.Decision) bool { return !slices.Contains(native, d.Policy) })...)
		}
		var problems []string
		if c.Mutated != nil {
			if problems, err = c.mutated(&set, in); err != nil {
				return c.Name.Place.Errorf("case %s: %w", strconv.Quote(c.Name.Text), err)
			}
		}
		if c.Mutated == nil || c.Expect != nil {
			problems = append(problems, compare(c.Expect, decisions)...)
		}
		r.result.Cases = append(r.result.Cases, Case{
			Test: h.Metadata.Name.Text, Name: c.Name.Text, Place: c.Name.Place.String(), Problems: problems,
		})
	}
	return nil
}

// mutated says how the mutated object differs from the one that is expected.
func (c *caseSpec) mutated(set *policy.Set, in policy.Input) ([]string, error) {
	var want map[string]any
	if err := loose(c.Mutated, &want); err != nil {
		return nil, fmt.Errorf("mutated: %w", err)
	}
	got, decisions := set.Mutate(in)
	var problems []string
	for _, line := range mutate.Diff(want, got) {
		problems = append(problems, "mutated, - as expected, + as it is: "+line)
	}
	for i := range decisions {
		if d := &decisions[i]; d.Outcome == policy.OutcomeFailed || d.Action != policy.ActionMutate {
			problems = append(problems, fmt.Sprintf("policy %s, rule %s: %s", d.Policy, d.Rule, d.Reason))
		}
	}
	return problems, nil
}

// resolve gives the digests of the case.
func (c *caseSpec) resolve(image string) (string, error) {
	if digest := c.Digests[image]; digest != "" {
		return digest, nil
	}
	return "", fmt.Errorf("the case has no digest of %s", image)
}

func (r *runner) observe(o *policy.Observed) {
	n := r.seen[o.Rule]
	switch {
	case o.Matched:
		n.Matched++
	case o.Err == nil:
		n.Unmatched++
	}
}

// input makes what a case says one.
func (c *caseSpec) input(dir string, spec *testSpec) (in policy.Input, err error) {
	in = policy.Input{Phase: c.Phase.Text, Cluster: c.Cluster, Mutator: mutate.New(c.resolve)}
	if c.Name.Text == "" {
		return in, fmt.Errorf("it has no name")
	}
	if !slices.Contains(policy.Phases(), in.Phase) {
		return in, fmt.Errorf("phase %q: want %s", in.Phase, strings.Join(policy.Phases(), ", "))
	}
	when := spec.Now.Text
	if c.Now.Text != "" {
		when = c.Now.Text
	}
	if when == "" {
		return in, errors.New("nothing says which day it is: write spec.now, or now in the case (2026-11-30, or RFC 3339)")
	}
	if in.Now, err = policy.ParseTime(when); err != nil {
		return in, fmt.Errorf("now: %w", err)
	}
	if c.Report.Text != "" {
		if err := readReport(filepath.Join(dir, c.Report.Text), &in); err != nil {
			return in, err
		}
	}
	if c.Object != nil {
		var object map[string]any
		if err := loose(c.Object, &object); err != nil {
			return in, fmt.Errorf("object: %w", err)
		}
		in = in.About(object)
	}
	in.FirstSeen = map[string]time.Time{}
	for id, day := range c.FirstSeen {
		if in.FirstSeen[id], err = policy.ParseTime(day); err != nil {
			return in, fmt.Errorf("firstSeen: %w", err)
		}
	}
	return in, c.facts(&in)
}

// facts reads what is given as JSON would be.
func (c *caseSpec) facts(in *policy.Input) error {
	if c.Namespace != nil {
		if err := loose(c.Namespace, &in.Namespace); err != nil {
			return fmt.Errorf("namespace: %w", err)
		}
		if meta, ok := in.Namespace["metadata"].(map[string]any); ok && in.NamespaceName == "" {
			in.NamespaceName, _ = meta["name"].(string)
		}
	}
	if c.Request != nil {
		if err := loose(c.Request, &in.Request); err != nil {
			return fmt.Errorf("request: %w", err)
		}
	}
	if c.Asset != nil {
		in.Asset = &seawall.Asset{}
		if err := strict(c.Asset, in.Asset); err != nil {
			return fmt.Errorf("asset: %w", err)
		}
	}
	if c.Image != nil {
		var named struct {
			Name string `json:"name"`
		}
		if err := loose(c.Image, &named); err != nil {
			return fmt.Errorf("image: %w", err)
		}
		image := policy.Image{}
		if named.Name != "" {
			image = policy.NamedImage(named.Name)
		}
		full := image.Name
		if err := strict(c.Image, &image); err != nil {
			return fmt.Errorf("image: %w", err)
		}
		image.Name = full
		if i := slices.IndexFunc(in.Images, func(o policy.Image) bool { return o.Name == full }); i >= 0 {
			image.Field = in.Images[i].Field
			in.Images[i] = image
		} else {
			in.Images = append(in.Images, image)
		}
	}
	for i, v := range c.Findings {
		f := seawall.Finding{ID: "finding-" + strconv.Itoa(i+1), Status: seawall.StatusFail}
		if err := strict(v, &f); err != nil {
			return fmt.Errorf("finding %d: %w", i+1, err)
		}
		in.Findings = append(in.Findings, f)
	}
	return nil
}

// strict makes a value of YAML one of Go; keys that do not exist are errors.
func strict(v, into any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	return d.Decode(into)
}

// loose makes a value of YAML one as objects of an API server are read.
func loose(v, into any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return kjson.UnmarshalCaseSensitivePreserveInts(text, into)
}

// readReport takes the asset and the findings of a saved JSON report.
func readReport(name string, in *policy.Input) error {
	info, err := os.Stat(name)
	if err != nil {
		return err
	}
	if info.Size() > maxReport {
		return fmt.Errorf("%s is larger than %d bytes: %w", name, maxReport, seawall.ErrBound)
	}
	text, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	var report seawall.Report
	if err := json.Unmarshal(text, &report); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	*in = policy.Reported(&report, *in)
	return nil
}

// compare says what is wrong between what was expected and what was decided.
func compare(expect []expectation, decisions []seawall.Decision) []string {
	left := slices.Clone(decisions)
	var problems []string
	for i := range expect {
		e := &expect[i]
		j := slices.IndexFunc(left, e.fits)
		if j < 0 {
			problems = append(problems, "expected, and not decided: "+e.String())
			continue
		}
		left = slices.Delete(left, j, j+1)
	}
	for i := range left {
		d := &left[i]
		problems = append(problems, fmt.Sprintf("decided, and not expected: policy %s, rule %s: %s, %s: %s", d.Policy, d.Rule, d.Action, d.Outcome, d.Reason))
	}
	return problems
}

func (e *expectation) fits(d seawall.Decision) bool {
	for _, pair := range [][2]string{{e.Policy, d.Policy}, {e.Rule, d.Rule}, {e.Action, d.Action}, {e.Outcome, d.Outcome}, {e.Exception, d.Exception}} {
		if pair[0] != "" && pair[0] != pair[1] {
			return false
		}
	}
	return strings.Contains(d.Reason, e.Reason)
}

func (e *expectation) String() string {
	var words []string
	for _, pair := range [][2]string{
		{"policy", e.Policy}, {"rule", e.Rule}, {"action", e.Action}, {"outcome", e.Outcome}, {"exception", e.Exception}, {"reason", e.Reason},
	} {
		if pair[1] != "" {
			words = append(words, pair[0]+" "+pair[1])
		}
	}
	return strings.Join(words, ", ")
}
