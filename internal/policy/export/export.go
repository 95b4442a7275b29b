// Package export says our policies in Kubernetes' own language, ValidatingAdmissionPolicy
// and MutatingAdmissionPolicy, so that they hold inside the API server while no Seawall
// runs.
//
//	policy.Set -> Kubernetes -> Policies (objects, and what was left out) -> YAML
//
// An expression is carried over as its author wrote it: the facts that it names are
// replaced where they stand (rewrite.go) by what the API server has, or by variables that
// make ours of that (translate.go). Each result is compiled as the API server does;
// what does not compile is left out, and told.
package export

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode"

	v1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/seawall-security/seawall/internal/policy"
	"github.com/seawall-security/seawall/internal/policy/kube"
)

// Policies is what of our policies Kubernetes can hold itself.
type Policies struct {
	// Objects are policies and their bindings.
	Objects []any
	// LeftOut says of each rule that is not among them why, and what those that are
	// leave to the webhook.
	LeftOut []string
}

// YAML is the objects as documents.
func (e *Policies) YAML() ([]byte, error) {
	var out bytes.Buffer
	for _, o := range e.Objects {
		text, err := yaml.Marshal(o)
		if err != nil {
			return nil, fmt.Errorf("writing policies: %w", err)
		}
		out.WriteString("---\n")
		out.Write(text)
	}
	return out.Bytes(), nil
}

// Kubernetes exports the policies of the phase deploy: rules about objects, workloads and the names of images, as ValidatingAdmissionPolicy, and about what
// they change in pods as MutatingAdmissionPolicy, each with a binding. Every expression
// is compiled as the API server does. Rules about findings, what is in images and who
// signed them need more than the API server knows and are left out.
//
// Exceptions that count now are written into the policies, without their end, since
// these know no time: export again when they end.
func Kubernetes(set *policy.Set, now time.Time) (*Policies, error) {
	e := &Policies{}
	for _, p := range set.Policies {
		if !p.Uses(policy.PhaseDeploy) {
			e.leave(p.Name, "", "it is not for the phase deploy")
			continue
		}
		x := &exporter{Outline: p.Outline(policy.PhaseDeploy), exceptions: set.ExceptionsOf(p, now), out: e}
		if err := x.export(); err != nil {
			return nil, err
		}
	}
	return e, nil
}

func (e *Policies) leave(policyName, rule, why string) {
	name := "policy " + policyName
	if rule != "" {
		name += ", rule " + rule
	}
	e.LeftOut = append(e.LeftOut, name+": "+why)
}

// exporter writes one policy down.
type exporter struct {
	policy.Outline
	exceptions []policy.ExceptionOutline
	out        *Policies
}

// scope is what a policy of Kubernetes is asked about: rules of one scope and one action
// are one policy.
type scope struct {
	action v1.ValidationAction
	pods   bool // workloads, and not every kind
}

func (x *exporter) export() error {
	if m := x.Match; m != nil {
		switch {
		case len(m.Clusters) > 0:
			x.out.leave(x.Name, "", "it is for some clusters only, and a cluster does not know its name")
			return nil
		case slices.Contains(m.Operations, "CONNECT"):
			x.out.leave(x.Name, "", "CONNECT is left to the webhook")
			return nil
		}
	}
	if m := x.Exclude; m != nil && len(m.Clusters) > 0 {
		x.out.leave(x.Name, "", "it excludes clusters, and a cluster does not know its name")
		return nil
	}
	policies := map[scope]*v1.ValidatingAdmissionPolicy{}
	for _, r := range x.Rules {
		if err := x.rule(&r, policies); err != nil {
			var no *untranslatable
			if !errors.As(err, &no) {
				return err
			}
			x.out.leave(x.Name, r.Name, no.why)
		}
	}
	for _, s := range slices.SortedFunc(maps.Keys(policies), func(a, b scope) int { return strings.Compare(x.name(a), x.name(b)) }) {
		p := policies[s]
		x.out.Objects = append(x.out.Objects, p, &v1.ValidatingAdmissionPolicyBinding{
			TypeMeta:   metav1.TypeMeta{APIVersion: v1.SchemeGroupVersion.String(), Kind: "ValidatingAdmissionPolicyBinding"},
			ObjectMeta: metav1.ObjectMeta{Name: p.Name, Labels: p.Labels},
			Spec:       v1.ValidatingAdmissionPolicyBindingSpec{PolicyName: p.Name, ValidationActions: []v1.ValidationAction{s.action}},
		})
	}
	return nil
}

// untranslatable is why a rule is left out.
type untranslatable struct{ why string }

func (u *untranslatable) Error() string { return u.why }

func no(format string, args ...any) error {
	return &untranslatable{fmt.Errorf(format, args...).Error()}
}

func (x *exporter) name(s scope) string {
	name := "seawall-" + x.Name
	if s.action != v1.Deny {
		name += "-" + strings.ToLower(string(s.action))
	}
	if s.pods {
		name += "-workloads"
	}
	return name
}

// rule adds a rule to the policy of its scope, as one validation.
func (x *exporter) rule(r *policy.RuleOutline, policies map[scope]*v1.ValidatingAdmissionPolicy) error {
	switch r.About {
	case "":
		return no("it is about no object")
	case "finding":
		return no("it is about findings")
	}
	if r.Mutation != nil && r.Action == policy.ActionMutate {
		return x.mutation(r)
	}
	s := scope{action: v1.Warn, pods: r.About != "object" || slices.Contains(r.Uses, "workload")}
	if r.About == "object" && s.pods && (x.Match == nil || len(x.Match.Kinds) == 0) {
		x.out.leave(x.Name, r.Name, "of objects that are no workloads it is not asked, since it names the workload")
	}
	switch {
	case r.Mode == policy.ModeAudit:
		s.action = v1.Audit
	case r.Mode == policy.ModeEnforce && r.Action == "block":
		s.action = v1.Deny
	}
	when, message, err := x.expressions(r)
	if err != nil {
		return err
	}
	p := policies[s]
	if p == nil {
		p = x.policy(s)
	}
	trial := p.DeepCopy()
	trial.Spec.Validations = append(trial.Spec.Validations, v1.Validation{Expression: "!(" + when + ")", Message: messageOf(r), MessageExpression: message})
	trial.Spec.Variables = needed(x.variables(s.pods), expressionsOf(trial.Spec.Validations)...)
	if err := kube.CheckValidating(trial); err != nil {
		return no("the API server does not take %w", err)
	}
	policies[s] = trial
	return nil
}

func expressionsOf(list []v1.Validation) []string {
	var out []string
	for _, v := range list {
		out = append(out, v.Expression)
		if v.MessageExpression != "" {
			out = append(out, v.MessageExpression)
		}
	}
	return out
}

// messageOf is what is said where the message's expression fails.
func messageOf(r *policy.RuleOutline) string {
	if r.Message != "" {
		return strings.Join(strings.Fields(r.Message), " ")
	}
	return "is against the rule " + r.Name
}

// expressions are a rule's condition and message.
func (x *exporter) expressions(r *policy.RuleOutline) (when, message string, err error) {
	if when, err = x.translate(r.When); err != nil {
		return "", "", err
	}
	text := r.MessageExpression
	switch {
	case text != "":
		if text, err = x.translate(text); err != nil {
			return "", "", err
		}
	case r.About == "image" && r.Message != "":
		text = `image.name + ": " + ` + quoted(messageOf(r))
	case r.About == "image":
		text = `image.name + " is against the rule"`
	}
	for _, c := range []struct {
		criteria *policy.Criteria
		not      string
	}{{x.Match, ""}, {x.Exclude, "!"}} {
		if c.criteria == nil || len(c.criteria.Images) == 0 {
			continue
		}
		// the rest of exclude is in the policy's conditions only where it has no images
		holds := x.images(c.criteria.Images, r.About == "image", c.not != "")
		if c.not != "" {
			holds = strings.Join(append(conditionsOf(c.criteria), holds), " && ")
		}
		when = c.not + "(" + holds + ") && (" + when + ")"
	}
	for _, e := range x.exceptions {
		if len(e.Rules) > 0 && !slices.Contains(e.Rules, r.Name) {
			continue
		}
		condition, err := x.exception(&e, r.About == "image")
		if err != nil {
			x.out.leave(x.Name, r.Name, "the exception "+e.String()+" is not exported: "+err.Error())
			continue
		}
		x.out.leave(x.Name, r.Name, "the exception "+e.String()+" holds until the next export; it ends on "+e.Expires.Format(time.DateOnly))
		when = "!(" + condition + ") && (" + when + ")"
	}
	if r.About != "image" {
		if text != "" {
			text = "string(" + text + ")"
		}
		return when, text, nil
	}
	return "variables." + imagesName + ".exists(image, " + when + ")",
		"variables." + imagesName + ".filter(image, " + when + ").map(image, string(" + text + ")).join(\"; \")", nil
}

// exception is when an exception applies.
func (x *exporter) exception(e *policy.ExceptionOutline, one bool) (string, error) {
	conditions := []string{namespace() + " == " + quoted(e.Namespace)}
	if e.Match != nil {
		if len(e.Match.Clusters) > 0 {
			return "", no("a cluster does not know its name")
		}
		conditions = append(conditions, conditionsOf(e.Match)...)
		if len(e.Match.Images) > 0 {
			conditions = append(conditions, x.images(e.Match.Images, one, true))
		}
	}
	if e.When != "" {
		when, err := x.translate(e.When)
		if err != nil {
			return "", err
		}
		conditions = append(conditions, "("+when+")")
	}
	return strings.Join(conditions, " && "), nil
}

// translate says an expression with what the API server knows.
func (x *exporter) translate(text string) (string, error) {
	return rewrite(text, func(m mention) (string, error) {
		if name, ok := strings.CutPrefix(m.name, "variables."); ok {
			return x.variable(m.name, name)
		}
		if field, ok := strings.CutPrefix(m.name, "workload."); ok {
			return factOf(field), nil
		}
		switch m.name {
		case "workload":
			return "variables." + workloadName, nil
		case "object":
			return "variables." + objectName, nil
		case "phase":
			return quoted(policy.PhaseDeploy), nil
		case "request", "namespaceObject":
			return m.name, nil
		case "image":
			return m.name, x.knownOfImages(m)
		case "now":
			return "", no("it asks for the time")
		}
		return "", no("the API server does not know %s", m.name)
	})
}

// knownOfImages: a name alone says these things, and a digest not always.
func (x *exporter) knownOfImages(m mention) error {
	switch {
	case slices.Contains([]string{"name", "registry", "repository", "tag"}, m.field), m.field == "digest" && m.asked:
		return nil
	case m.field == "":
		return no("it needs more of images than their names")
	}
	return no("image.%s is not in an image's name", m.field)
}

// variable is a variable of the policy's own: by its name, or as its expression where
// it differs from image to image.
func (x *exporter) variable(full, name string) (string, error) {
	i := slices.IndexFunc(x.Variables, func(d policy.Definition) bool { return d.Name == name })
	if i < 0 {
		return "", no("%s is not known", full)
	}
	text, err := x.translate(x.Variables[i].Expression)
	if err != nil {
		return "", err
	}
	found, err := mentions(text)
	if err != nil {
		return "", err
	}
	if slices.ContainsFunc(found, func(m mention) bool { return m.name == "image" }) {
		return "(" + text + ")", nil
	}
	return full, nil
}

// policy is one without validations.
func (x *exporter) policy(s scope) *v1.ValidatingAdmissionPolicy {
	failure := v1.Ignore
	if x.Closed {
		failure = v1.Fail
	}
	p := &v1.ValidatingAdmissionPolicy{
		TypeMeta: metav1.TypeMeta{APIVersion: v1.SchemeGroupVersion.String(), Kind: "ValidatingAdmissionPolicy"},
		ObjectMeta: metav1.ObjectMeta{Name: x.name(s), Labels: managed(),
			Annotations: map[string]string{"seawall.io/policy": x.Name}},
		Spec: v1.ValidatingAdmissionPolicySpec{FailurePolicy: &failure, MatchConstraints: x.constraints(s.pods), MatchConditions: x.conditions()},
	}
	if x.Description != "" {
		p.Annotations["seawall.io/description"] = x.Description
	}
	return p
}

func managed() map[string]string { return map[string]string{"app.kubernetes.io/managed-by": "seawall"} }

// variables are ours for the facts that the API server has in another form, and the
// policy's own.
func (x *exporter) variables(workloads bool) []v1.Variable {
	list := []v1.Variable{{Name: objectName, Expression: "object != null ? object : oldObject"}}
	if workloads {
		list = append(list, workloadVariables(x.words())...)
	}
	for _, d := range x.Variables {
		if text, err := x.translate(d.Expression); err == nil {
			list = append(list, v1.Variable{Name: d.Name, Expression: text})
		}
	}
	return list
}

// needed are the variables that expressions name, themselves or through others. Those
// that they cannot name (of images one by one) are none of them.
func needed(list []v1.Variable, expressions ...string) []v1.Variable {
	var out []v1.Variable
	for i := len(list) - 1; i >= 0; i-- { // each names only those before it
		named := slices.ContainsFunc(expressions, func(text string) bool {
			found, err := mentions(text)
			return err == nil && slices.ContainsFunc(found, func(m mention) bool { return m.name == "variables."+list[i].Name })
		})
		if named {
			out = append(out, list[i])
			expressions = append(expressions, list[i].Expression)
		}
	}
	slices.Reverse(out)
	return out
}

// words are the words of all that the policy says, "_kind" among them.
func (x *exporter) words() map[string]bool {
	var texts []string
	for _, d := range x.Variables {
		texts = append(texts, d.Expression)
	}
	for _, r := range x.Rules {
		texts = append(texts, r.When, r.MessageExpression)
		if r.Mutation != nil {
			texts = append(texts, r.Mutation.Expression)
		}
	}
	for _, e := range x.exceptions {
		texts = append(texts, e.When)
	}
	words := map[string]bool{}
	for _, w := range strings.FieldsFunc(strings.Join(texts, " "), func(c rune) bool { return c != '_' && !unicode.IsLetter(c) && !unicode.IsDigit(c) }) {
		words[w] = true
	}
	return words
}

// conditions are what match and exclude say of the request.
func (x *exporter) conditions() []v1.MatchCondition {
	var list []v1.MatchCondition
	add := func(name, expression string) {
		list = append(list, v1.MatchCondition{Name: name, Expression: expression})
	}
	if x.Match != nil {
		if c := conditionsOf(x.Match); len(c) > 0 {
			add("match", strings.Join(c, " && "))
		}
	}
	if x.Exclude != nil && len(x.Exclude.Images) == 0 {
		if c := conditionsOf(x.Exclude); len(c) > 0 {
			add("exclude", "!("+strings.Join(c, " && ")+")")
		}
	}
	return list
}

// constraints are the kinds and operations.
func (x *exporter) constraints(workloads bool) *v1.MatchResources {
	operations := []v1.OperationType{v1.Create, v1.Update}
	if x.Match != nil && len(x.Match.Operations) > 0 {
		operations = nil
		for _, o := range x.Match.Operations {
			operations = append(operations, v1.OperationType(o))
		}
	}
	rule := func(groups []string, resources ...string) v1.NamedRuleWithOperations {
		return v1.NamedRuleWithOperations{RuleWithOperations: v1.RuleWithOperations{
			Operations: operations, Rule: v1.Rule{APIGroups: groups, APIVersions: []string{"*"}, Resources: resources}}}
	}
	m := &v1.MatchResources{}
	switch {
	case workloads:
		m.ResourceRules = []v1.NamedRuleWithOperations{
			rule([]string{""}, "pods", "pods/ephemeralcontainers", "podtemplates", "replicationcontrollers"),
			rule([]string{"apps"}, "deployments", "replicasets", "statefulsets", "daemonsets"),
			rule([]string{"batch"}, "jobs", "cronjobs"),
		}
	default:
		m.ResourceRules = []v1.NamedRuleWithOperations{rule([]string{"*"}, "*")}
	}
	return m
}
