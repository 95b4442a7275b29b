package kube

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	v1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	kjson "sigs.k8s.io/json"
	"sigs.k8s.io/yaml"

	"github.com/seawall-security/seawall/internal/policy"
)

// group is the API group of policies.
const group = v1.GroupName

// validatingPolicy is a policy with what is bound to it.
type validatingPolicy struct {
	*v1.ValidatingAdmissionPolicy
	source   policy.Source
	bindings []*v1.ValidatingAdmissionPolicyBinding
	compiled *validator
}

// mutatingPolicy is the same of a mutating one.
type mutatingPolicy struct {
	*v1.MutatingAdmissionPolicy
	source   policy.Source
	bindings []*v1.MutatingAdmissionPolicyBinding
	compiled *mutator
}

type validatingBinding struct {
	*v1.ValidatingAdmissionPolicyBinding
	place policy.Place
}

type mutatingBinding struct {
	*v1.MutatingAdmissionPolicyBinding
	place policy.Place
}

// reader collects what documents say.
type reader struct {
	set                *Set
	validatingBindings []validatingBinding
	mutatingBindings   []mutatingBinding
	others             []other
}

// other is a document that may be a parameter.
type other struct {
	place  policy.Place
	object *object
}

func read(documents []policy.Source) (*Set, error) {
	r := &reader{set: &Set{params: map[string][]*object{}}}
	for _, doc := range documents {
		if err := r.document(doc); err != nil {
			return nil, err
		}
	}
	if err := r.join(); err != nil {
		return nil, err
	}
	s := r.set
	slices.SortStableFunc(s.validating, func(a, b *validatingPolicy) int { return cmp.Compare(a.Name, b.Name) })
	slices.SortStableFunc(s.mutating, func(a, b *mutatingPolicy) int { return cmp.Compare(a.Name, b.Name) })
	for _, p := range s.validating {
		if err := p.compile(); err != nil {
			return nil, err
		}
	}
	for _, p := range s.mutating {
		if err := p.compile(); err != nil {
			return nil, err
		}
	}
	s.sortLint()
	return s, nil
}

// jsonOf is a document as kubectl would send it.
func jsonOf(doc policy.Source) ([]byte, error) {
	text, err := doc.YAML()
	if err == nil {
		text, err = yaml.YAMLToJSON(text)
	}
	if err != nil {
		return nil, doc.Place().Errorf("%w", err)
	}
	return text, nil
}

// Object reads a document as an object.
func Object(doc policy.Source) (map[string]any, error) {
	text, err := jsonOf(doc)
	if err != nil {
		return nil, err
	}
	var m map[string]any
	if err := kjson.UnmarshalCaseSensitivePreserveInts(text, &m); err != nil {
		return nil, doc.Place().Errorf("%w", err)
	}
	return m, nil
}

func (r *reader) document(doc policy.Source) error {
	text, err := jsonOf(doc)
	if err != nil {
		return err
	}
	var head metav1.TypeMeta
	if err := kjson.UnmarshalCaseSensitivePreserveInts(text, &head); err != nil {
		return doc.Place().Errorf("%w", err)
	}
	gv, err := schema.ParseGroupVersion(head.APIVersion)
	if err != nil {
		return doc.Place().Errorf("%w", err)
	}
	if gv.Group != group {
		return r.other(doc)
	}
	if gv.Version != "v1" && gv.Version != "v1beta1" {
		return doc.Place().Errorf("apiVersion %s: want %s/v1 or %s/v1beta1", head.APIVersion, group, group)
	}
	switch head.Kind {
	case "ValidatingAdmissionPolicy":
		p := &validatingPolicy{ValidatingAdmissionPolicy: &v1.ValidatingAdmissionPolicy{}, source: doc}
		if err := decode(doc, text, p.ValidatingAdmissionPolicy); err != nil {
			return err
		}
		r.set.validating = append(r.set.validating, p)
		return p.check()
	case "MutatingAdmissionPolicy":
		p := &mutatingPolicy{MutatingAdmissionPolicy: &v1.MutatingAdmissionPolicy{}, source: doc}
		if err := decode(doc, text, p.MutatingAdmissionPolicy); err != nil {
			return err
		}
		r.set.mutating = append(r.set.mutating, p)
		return p.check()
	case "ValidatingAdmissionPolicyBinding":
		b := &v1.ValidatingAdmissionPolicyBinding{}
		if err := decode(doc, text, b); err != nil {
			return err
		}
		r.validatingBindings = append(r.validatingBindings, validatingBinding{b, doc.Place()})
		return checkValidatingBinding(doc, b)
	case "MutatingAdmissionPolicyBinding":
		b := &v1.MutatingAdmissionPolicyBinding{}
		if err := decode(doc, text, b); err != nil {
			return err
		}
		r.mutatingBindings = append(r.mutatingBindings, mutatingBinding{b, doc.Place()})
		return checkBinding(doc, b.Spec.PolicyName, b.Spec.ParamRef, b.Spec.MatchResources)
	}
	return doc.Place().Errorf("kind %q is no policy (want ValidatingAdmissionPolicy, MutatingAdmissionPolicy or a binding of one)", head.Kind)
}

// decode reads a document strictly, as the API server does.
func decode(doc policy.Source, text []byte, into metav1.Object) error {
	mistakes, err := kjson.UnmarshalStrict(text, into)
	if err == nil && len(mistakes) > 0 {
		err = errors.Join(mistakes...)
	}
	if err != nil {
		return doc.Place().Errorf("%s", strings.ReplaceAll(err.Error(), "\n", "; "))
	}
	if into.GetName() == "" {
		return doc.Place().Errorf("the document has no metadata.name")
	}
	return nil
}

func (r *reader) other(doc policy.Source) error {
	m, err := Object(doc)
	if err != nil {
		return err
	}
	o, err := newObject(m, false)
	if err != nil {
		return doc.Place().Errorf("%w", err)
	}
	r.others = append(r.others, other{doc.Place(), o})
	return nil
}

// errorf is a mistake at a path of a document.
func errorf(doc policy.Source, path string, format string, args ...any) error {
	at, _ := doc.At(strings.FieldsFunc(path, func(c rune) bool { return c == '.' || c == '[' || c == ']' })...)
	return at.Place().Errorf("%s: %w", path, fmt.Errorf(format, args...))
}

func (p *validatingPolicy) check() error {
	spec := &p.Spec
	switch {
	case spec.MatchConstraints == nil || len(spec.MatchConstraints.ResourceRules) == 0:
		return errorf(p.source, "spec.matchConstraints", "want resourceRules")
	case len(spec.Validations) == 0 && len(spec.AuditAnnotations) == 0:
		return errorf(p.source, "spec", "want validations or auditAnnotations")
	}
	if spec.FailurePolicy == nil {
		spec.FailurePolicy = new(v1.FailurePolicyType)
		*spec.FailurePolicy = v1.Fail
	}
	return checkPolicy(p.source, spec.MatchConstraints, *spec.FailurePolicy, spec.ParamKind)
}

func (p *mutatingPolicy) check() error {
	spec := &p.Spec
	switch {
	case spec.MatchConstraints == nil || len(spec.MatchConstraints.ResourceRules) == 0:
		return errorf(p.source, "spec.matchConstraints", "want resourceRules")
	case len(spec.Mutations) == 0:
		return errorf(p.source, "spec", "want mutations")
	case spec.ReinvocationPolicy != v1.NeverReinvocationPolicy && spec.ReinvocationPolicy != v1.IfNeededReinvocationPolicy:
		return errorf(p.source, "spec.reinvocationPolicy", "want Never or IfNeeded")
	}
	for i, m := range spec.Mutations {
		configures, patches := m.PatchType == v1.PatchTypeApplyConfiguration, m.PatchType == v1.PatchTypeJSONPatch
		if !configures && !patches || configures != (m.ApplyConfiguration != nil) || patches != (m.JSONPatch != nil) {
			return errorf(p.source, fmt.Sprintf("spec.mutations[%d]", i), "want patchType ApplyConfiguration with applyConfiguration, or JSONPatch with jsonPatch")
		}
	}
	if spec.FailurePolicy == nil {
		spec.FailurePolicy = new(v1.FailurePolicyType)
		*spec.FailurePolicy = v1.Fail
	}
	return checkPolicy(p.source, spec.MatchConstraints, *spec.FailurePolicy, spec.ParamKind)
}

func checkPolicy(doc policy.Source, m *v1.MatchResources, failure v1.FailurePolicyType, param *v1.ParamKind) error {
	switch {
	case failure != v1.Fail && failure != v1.Ignore:
		return errorf(doc, "spec.failurePolicy", "want Fail or Ignore")
	case param != nil && (param.APIVersion == "" || param.Kind == ""):
		return errorf(doc, "spec.paramKind", "want apiVersion and kind")
	}
	return setDefaults(doc, "spec.matchConstraints", m)
}

func checkValidatingBinding(doc policy.Source, b *v1.ValidatingAdmissionPolicyBinding) error {
	actions := b.Spec.ValidationActions
	has := func(a v1.ValidationAction) bool { return slices.Contains(actions, a) }
	switch {
	case len(actions) == 0:
		return errorf(doc, "spec", "want validationActions: some of Deny, Warn, Audit")
	case has(v1.Deny) && has(v1.Warn):
		return errorf(doc, "spec.validationActions", "Deny and Warn exclude each other")
	case slices.ContainsFunc(actions, func(a v1.ValidationAction) bool { return a != v1.Deny && a != v1.Warn && a != v1.Audit }):
		return errorf(doc, "spec.validationActions", "want some of Deny, Warn, Audit")
	}
	return checkBinding(doc, b.Spec.PolicyName, b.Spec.ParamRef, b.Spec.MatchResources)
}

func checkBinding(doc policy.Source, policyName string, ref *v1.ParamRef, m *v1.MatchResources) error {
	if policyName == "" {
		return errorf(doc, "spec", "want policyName")
	}
	if ref != nil {
		switch {
		case (ref.Name == "") == (ref.Selector == nil):
			return errorf(doc, "spec.paramRef", "want name or selector")
		case ref.ParameterNotFoundAction == nil || *ref.ParameterNotFoundAction != v1.AllowAction && *ref.ParameterNotFoundAction != v1.DenyAction:
			return errorf(doc, "spec.paramRef", "want parameterNotFoundAction: Allow or Deny")
		}
	}
	if m == nil {
		return nil
	}
	return setDefaults(doc, "spec.matchResources", m)
}

// setDefaults gives match resources what the API server gives them.
func setDefaults(doc policy.Source, path string, m *v1.MatchResources) error {
	if m.MatchPolicy == nil {
		m.MatchPolicy = new(v1.MatchPolicyType)
		*m.MatchPolicy = v1.Equivalent
	}
	for name, selector := range map[string]**metav1.LabelSelector{"namespaceSelector": &m.NamespaceSelector, "objectSelector": &m.ObjectSelector} {
		if *selector == nil {
			*selector = &metav1.LabelSelector{}
		}
		if _, err := metav1.LabelSelectorAsSelector(*selector); err != nil {
			return errorf(doc, path+"."+name, "%w", err)
		}
	}
	for field, rules := range map[string][]v1.NamedRuleWithOperations{"resourceRules": m.ResourceRules, "excludeResourceRules": m.ExcludeResourceRules} {
		for i := range rules {
			rule := &rules[i]
			if rule.Scope == nil {
				rule.Scope = new(v1.ScopeType)
				*rule.Scope = v1.AllScopes
			}
			if len(rule.Operations) == 0 || len(rule.APIGroups) == 0 || len(rule.APIVersions) == 0 || len(rule.Resources) == 0 {
				return errorf(doc, fmt.Sprintf("%s.%s[%d]", path, field, i), "want operations, apiGroups, apiVersions and resources")
			}
		}
	}
	return nil
}

// join gives policies their bindings and parameters.
func (r *reader) join() error {
	s := r.set
	for _, b := range r.validatingBindings {
		i := slices.IndexFunc(s.validating, func(p *validatingPolicy) bool { return p.Name == b.Spec.PolicyName })
		if i < 0 {
			s.say(b.place, "binding %s is of a policy %q that is not here", b.Name, b.Spec.PolicyName)
			continue
		}
		s.validating[i].bindings = append(s.validating[i].bindings, b.ValidatingAdmissionPolicyBinding)
	}
	for _, b := range r.mutatingBindings {
		i := slices.IndexFunc(s.mutating, func(p *mutatingPolicy) bool { return p.Name == b.Spec.PolicyName })
		if i < 0 {
			s.say(b.place, "binding %s is of a policy %q that is not here", b.Name, b.Spec.PolicyName)
			continue
		}
		s.mutating[i].bindings = append(s.mutating[i].bindings, b.MutatingAdmissionPolicyBinding)
	}
	kinds := map[string]bool{}
	for _, p := range s.validating {
		note(kinds, p.Spec.ParamKind)
		if len(p.bindings) == 0 {
			s.say(p.source.Place(), "%s has no binding: the API server does not apply it", p.Name)
		}
	}
	for _, p := range s.mutating {
		note(kinds, p.Spec.ParamKind)
		if len(p.bindings) == 0 {
			s.say(p.source.Place(), "%s has no binding: the API server does not apply it", p.Name)
		}
	}
	for _, o := range r.others {
		kind := o.object.kind.String()
		if !kinds[kind] {
			return o.place.Errorf("%s is neither a policy nor a parameter of one", kind)
		}
		s.params[kind] = append(s.params[kind], o.object)
	}
	return r.unique()
}

func (s *Set) say(p policy.Place, format string, args ...any) {
	s.lint = append(s.lint, fmt.Sprintf("%s: %s", p, fmt.Sprintf(format, args...)))
}

func note(kinds map[string]bool, param *v1.ParamKind) {
	if param != nil {
		kinds[paramKind(param).String()] = true
	}
}

func paramKind(param *v1.ParamKind) schema.GroupVersionKind {
	return schema.FromAPIVersionAndKind(param.APIVersion, param.Kind)
}

// unique refuses two policies of one name.
func (r *reader) unique() error {
	seen := map[string]policy.Place{}
	for _, p := range r.set.validating {
		if at, there := seen["v "+p.Name]; there {
			return p.source.Place().Errorf("the policy %s is here already, at %s", p.Name, at)
		}
		seen["v "+p.Name] = p.source.Place()
	}
	for _, p := range r.set.mutating {
		if at, there := seen["m "+p.Name]; there {
			return p.source.Place().Errorf("the policy %s is here already, at %s", p.Name, at)
		}
		seen["m "+p.Name] = p.source.Place()
	}
	return nil
}
