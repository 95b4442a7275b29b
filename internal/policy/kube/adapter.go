package kube

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	v1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/managedfields"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/admission/plugin/cel"
	"k8s.io/apiserver/pkg/admission/plugin/policy/generic"
	"k8s.io/apiserver/pkg/admission/plugin/policy/matching"
	"k8s.io/apiserver/pkg/admission/plugin/policy/mutating"
	"k8s.io/apiserver/pkg/admission/plugin/policy/mutating/patch"
	"k8s.io/apiserver/pkg/admission/plugin/policy/validating"
	"k8s.io/apiserver/pkg/admission/plugin/webhook/matchconditions"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/cel/environment"
	"k8s.io/client-go/applyconfigurations"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/cache"
)

// This file is all there is between us and the packages of k8s.io/apiserver, whose Go
// API promises nothing from one minor to the next.

// validator and mutator are compiled policies.
type (
	validator struct{ validating.Validator }
	mutator   struct{ mutating.PolicyEvaluator }
)

// baseEnvironment is what all expressions may use.
var baseEnvironment = sync.OnceValue(func() *environment.EnvSet {
	return environment.MustBaseEnvSet(environment.DefaultCompatibilityVersion())
})

// expressionAt is an expression of a policy and where it is: "spec.validations[0].expression".
type expressionAt struct {
	path string
	cel.ExpressionAccessor
}

// compiler compiles a policy's expressions; fail is told the place of each mistake.
type compiler struct {
	*cel.CompositedCompiler
	hasParams bool
	fail      func(path, message string)
}

func newCompiler(hasParams bool, fail func(path, message string)) (*compiler, error) {
	c, err := cel.NewCompositedCompiler(baseEnvironment())
	return &compiler{c, hasParams, fail}, err
}

func (c *compiler) variables(list []v1.Variable) {
	for i, v := range list {
		result := c.CompileAndStoreVariable(&validating.Variable{Name: v.Name, Expression: v.Expression}, c.options(true, false), environment.StoredExpressions)
		if result.Error != nil {
			c.fail(index("spec.variables", i)+".expression", result.Error.Detail)
		}
	}
}

func (c *compiler) options(authorizer, patches bool) cel.OptionalVariableDeclarations {
	return cel.OptionalVariableDeclarations{HasParams: c.hasParams, HasAuthorizer: authorizer, HasPatchTypes: patches}
}

// conditions compiles expressions that are evaluated together.
func (c *compiler) conditions(list []expressionAt, options cel.OptionalVariableDeclarations) cel.ConditionEvaluator {
	accessors := make([]cel.ExpressionAccessor, len(list))
	for i, e := range list {
		if accessors[i] = e.ExpressionAccessor; accessors[i] == nil {
			continue
		}
		if result := c.CompileCELExpression(e.ExpressionAccessor, options, environment.StoredExpressions); result.Error != nil {
			c.fail(e.path, result.Error.Detail)
		}
	}
	return c.CompileCondition(accessors, options, environment.StoredExpressions)
}

func (c *compiler) matcher(list []v1.MatchCondition, failure *v1.FailurePolicyType, name string) matchconditions.Matcher {
	if len(list) == 0 {
		return nil
	}
	expressions := make([]expressionAt, len(list))
	for i := range list {
		expressions[i] = expressionAt{path: index("spec.matchConditions", i) + ".expression", ExpressionAccessor: (*matchconditions.MatchCondition)(&list[i])}
	}
	return matchconditions.NewMatcher(c.conditions(expressions, c.options(true, false)), failure, "policy", "validate", name)
}

// compileValidating compiles a policy as the API server's plugin does.
func compileValidating(p *v1.ValidatingAdmissionPolicy, fail func(path, message string)) (*validator, error) {
	c, err := newCompiler(p.Spec.ParamKind != nil, fail)
	if err != nil {
		return nil, err
	}
	c.variables(p.Spec.Variables)
	matcher := c.matcher(p.Spec.MatchConditions, p.Spec.FailurePolicy, p.Name)
	var validations, messages, annotations []expressionAt
	for i, v := range p.Spec.Validations {
		at := index("spec.validations", i)
		validations = append(validations, expressionAt{path: at + ".expression", ExpressionAccessor: &validating.ValidationCondition{Expression: v.Expression, Message: v.Message, Reason: v.Reason}})
		message := expressionAt{path: at + ".messageExpression"}
		if v.MessageExpression != "" {
			message.ExpressionAccessor = &validating.MessageExpressionCondition{MessageExpression: v.MessageExpression}
		}
		messages = append(messages, message)
	}
	for i, a := range p.Spec.AuditAnnotations {
		annotations = append(annotations, expressionAt{path: index("spec.auditAnnotations", i) + ".valueExpression",
			ExpressionAccessor: &validating.AuditAnnotationCondition{Key: a.Key, ValueExpression: a.ValueExpression}})
	}
	return &validator{validating.NewValidator(
		c.conditions(validations, c.options(true, false)), matcher, c.conditions(annotations, c.options(true, false)),
		c.conditions(messages, c.options(false, false)), p.Spec.FailurePolicy, nil)}, nil
}

// typeCheck compares a policy's expressions with the schemas of the kinds that it is for.
func (p *validatingPolicy) typeCheck() []string {
	checker := validating.TypeChecker{SchemaResolver: schemas{}, RestMapper: schemas{}}
	var out []string
	for _, w := range checker.Check(p.ValidatingAdmissionPolicy) {
		out = append(out, p.warned(w.FieldRef, w.Warning)...)
	}
	return out
}

// compileMutating does the same for mutating policies.
func compileMutating(p *v1.MutatingAdmissionPolicy, fail func(path, message string)) (*mutator, error) {
	c, err := newCompiler(p.Spec.ParamKind != nil, fail)
	if err != nil {
		return nil, err
	}
	c.variables(p.Spec.Variables)
	out := mutating.PolicyEvaluator{Matcher: c.matcher(p.Spec.MatchConditions, p.Spec.FailurePolicy, p.Name), CompositedCompiler: c.CompositedCompiler}
	for i, m := range p.Spec.Mutations {
		var accessor cel.ExpressionAccessor
		at := index("spec.mutations", i)
		if m.PatchType == v1.PatchTypeJSONPatch {
			accessor, at = &patch.JSONPatchCondition{Expression: m.JSONPatch.Expression}, at+".jsonPatch.expression"
		} else {
			accessor, at = &patch.ApplyConfigurationCondition{Expression: m.ApplyConfiguration.Expression}, at+".applyConfiguration.expression"
		}
		if result := c.CompileCELExpression(accessor, c.options(true, true), environment.StoredExpressions); result.Error != nil {
			fail(at, result.Error.Detail)
		}
		evaluator := c.CompileMutatingEvaluator(accessor, c.options(true, true), environment.StoredExpressions)
		if m.PatchType == v1.PatchTypeJSONPatch {
			out.Mutators = append(out.Mutators, patch.NewJSONPatcher(evaluator))
		} else {
			out.Mutators = append(out.Mutators, patch.NewApplyConfigurationPatcher(evaluator))
		}
	}
	return &mutator{out}, nil
}

// review is one request on its way through the policies.
type review struct {
	set        *Set
	attributes admission.Attributes
	matcher    *matching.Matcher
	namespace  *corev1.Namespace
	asked      *unknownAuthorizer
	stored     bool
}

// Review judges a request: mutating policies change its object, validating ones judge
// what comes of it. Where the object cannot be read, Unreadable says why.
func (s *Set) Review(ctx context.Context, r Request) *Verdict {
	v := &Verdict{Object: r.Object}
	rv, err := s.review(&r)
	if err != nil {
		v.Unreadable = err.Error()
		return v
	}
	err = rv.mutate(ctx, v)
	if o, ok := rv.attributes.GetObject().(*unstructured.Unstructured); ok {
		v.Object = o.Object
	}
	switch {
	case rv.asked.was:
		v.Violations = append(v.Violations, Violation{Policy: "MutatingAdmissionPolicy", Message: unknownAuthorizerText, Deny: true, Unknown: true})
	case err != nil:
		v.Refused = err.Error()
		return v
	}
	rv.validate(ctx, v)
	return v
}

// review makes a request's attributes.
func (s *Set) review(r *Request) (*review, error) {
	var current, old *object
	var err error
	if r.Object != nil {
		if current, err = newObject(r.Object, r.Stored); err != nil {
			return nil, err
		}
	}
	if r.OldObject != nil {
		if old, err = newObject(r.OldObject, true); err != nil {
			return nil, err
		}
	}
	about := current
	if about == nil {
		about = old
	}
	if about == nil {
		return nil, errors.New("a request without an object")
	}
	resource := schema.GroupVersionResource{Group: r.Group, Version: r.Version, Resource: r.Resource}
	if r.Resource == "" {
		resource = resourceOf(about.kind)
	}
	namespace, name := about.namespaceOf(), about.GetName()
	if r.Name != "" || r.In != "" {
		namespace, name = r.In, r.Name
	}
	if about.kind.Group == "" && about.kind.Kind == "Namespace" {
		namespace = about.GetName() // as the API server has it
	}
	var options runtime.Object
	switch r.Operation {
	case "CREATE":
		options = &metav1.CreateOptions{TypeMeta: metav1.TypeMeta{APIVersion: "meta.k8s.io/v1", Kind: "CreateOptions"}}
	case "UPDATE":
		options = &metav1.UpdateOptions{TypeMeta: metav1.TypeMeta{APIVersion: "meta.k8s.io/v1", Kind: "UpdateOptions"}}
	case "DELETE":
		options = &metav1.DeleteOptions{TypeMeta: metav1.TypeMeta{APIVersion: "meta.k8s.io/v1", Kind: "DeleteOptions"}}
	}
	rv := &review{set: s, asked: &unknownAuthorizer{}, namespace: namespaceObject(r.Namespace, namespace), stored: r.Stored}
	rv.matcher = matching.NewMatcher(namespaces{rv.namespace}, nil)
	rv.attributes = admission.NewAttributesRecord(plain(current), plain(old), about.kind, namespace, name, resource, r.Subresource,
		admission.Operation(r.Operation), options, r.DryRun, &user.DefaultInfo{Name: r.User, Groups: r.Groups})
	return rv, nil
}

// plain is the object without our part of it; a nil one is no interface with nil in it.
func plain(o *object) runtime.Object {
	if o == nil {
		return nil
	}
	return o.Unstructured
}

func namespaceObject(m map[string]any, name string) *corev1.Namespace {
	ns := &corev1.Namespace{}
	if m != nil {
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(m, ns); err != nil {
			ns = &corev1.Namespace{}
		}
	}
	ns.Name = name
	if ns.Labels == nil {
		ns.Labels = map[string]string{}
	}
	ns.Labels[corev1.LabelMetadataName] = name
	return ns
}

func (rv *review) interfaces() admission.ObjectInterfaces {
	return &admission.RuntimeObjectInterfaces{ObjectCreater: maker{}, ObjectTyper: scheme.Scheme, ObjectDefaulter: defaulter{rv.stored}, ObjectConvertor: converter{}, EquivalentResourceMapper: equivalents{}}
}

// mutate runs the mutating policies, once more where they ask for it.
func (rv *review) mutate(ctx context.Context, v *Verdict) error {
	if rv.attributes.GetOperation() == admission.Delete || len(rv.set.mutating) == 0 || rv.attributes.GetObject() == nil {
		return nil
	}
	hooks := make([]mutating.PolicyHook, len(rv.set.mutating))
	for i, p := range rv.set.mutating {
		hooks[i] = mutating.PolicyHook{Policy: p.MutatingAdmissionPolicy, Bindings: p.bindings, Evaluator: p.compiled.PolicyEvaluator}
		hooks[i].ParamInformer, hooks[i].ParamScope = rv.set.informer(p.Spec.ParamKind)
	}
	dispatcher := mutating.NewDispatcher(rv.asked, rv.matcher, typeConverters{})
	again := rv.attributes.GetReinvocationContext()
	err := dispatcher.Dispatch(ctx, rv.attributes, rv.interfaces(), hooks)
	if err == nil && again.ShouldReinvoke() {
		again.SetIsReinvoke()
		v.Changed = true
		err = dispatcher.Dispatch(ctx, rv.attributes, rv.interfaces(), hooks)
	}
	return err
}

// validate asks every validating policy, and tells all that does not hold. It is what
// the API server's dispatcher does, which tells the first alone.
func (rv *review) validate(ctx context.Context, v *Verdict) {
	matcher := generic.NewPolicyMatcher(rv.matcher)
	for _, p := range rv.set.validating {
		vp := &validation{review: rv, policy: p, verdict: v, annotations: map[string][]string{}}
		matches, resource, kind, err := matcher.DefinitionMatches(rv.attributes, rv.interfaces(), validating.NewValidatingAdmissionPolicyAccessor(p.ValidatingAdmissionPolicy))
		if err != nil {
			vp.misconfigured(nil, "failed to configure policy: "+err.Error())
			continue
		}
		if !matches {
			continue
		}
		for _, b := range p.bindings {
			matches, err := matcher.BindingMatches(rv.attributes, rv.interfaces(), validating.NewValidatingAdmissionPolicyBindingAccessor(b))
			if err == nil && matches {
				err = vp.bound(ctx, b, resource, kind)
			}
			if err != nil {
				vp.misconfigured(b, "failed to configure binding: "+err.Error())
			}
		}
		vp.annotate()
	}
}

// validation is one policy's part in a review.
type validation struct {
	*review
	policy      *validatingPolicy
	verdict     *Verdict
	versioned   *admission.VersionedAttributes
	annotations map[string][]string
}

// bound validates with each of a binding's parameters.
func (v *validation) bound(ctx context.Context, b *v1.ValidatingAdmissionPolicyBinding, resource schema.GroupVersionResource, kind schema.GroupVersionKind) error {
	informer, scope := v.set.informer(v.policy.Spec.ParamKind)
	params, err := generic.CollectParams(v.policy.Spec.ParamKind, informer, scope, b.Spec.ParamRef, v.attributes.GetNamespace())
	if err != nil || len(params) == 0 {
		return err
	}
	if v.versioned == nil {
		if v.versioned, err = admission.NewVersionedAttributes(v.attributes, kind, v.interfaces()); err != nil {
			return fmt.Errorf("failed to convert object version: %w", err)
		}
	}
	var namespace *corev1.Namespace
	if v.attributes.GetNamespace() != "" && v.attributes.GetKind().GroupKind() != (schema.GroupKind{Kind: "Namespace"}) {
		namespace = v.namespace
	}
	for _, param := range params {
		v.asked.was = false
		result := v.policy.compiled.Validate(ctx, resource, v.versioned, param, namespace, celconfig.RuntimeCELCostBudget, v.asked)
		v.tell(b, &result)
	}
	return nil
}

func (v *validation) tell(b *v1.ValidatingAdmissionPolicyBinding, result *validating.ValidateResult) {
	if len(result.Decisions) == 0 && v.asked.was { // a condition did
		v.violated(b, Violation{Message: unknownAuthorizerText, Unknown: true})
	}
	for i, d := range result.Decisions {
		if d.Action == validating.ActionAdmit && d.Evaluation != validating.EvalError {
			if v.asked.was {
				v.violated(b, Violation{Rule: index("validations", i), Message: unknownAuthorizerText, Unknown: true})
			}
			continue
		}
		v.violated(b, Violation{Rule: index("validations", i), Message: d.Message, Ignored: d.Action == validating.ActionAdmit, Unknown: v.asked.was})
	}
	for i, a := range result.AuditAnnotations {
		switch a.Action {
		case validating.AuditAnnotationActionPublish:
			if have := v.annotations[a.Key]; !slices.Contains(have, a.Value) {
				v.annotations[a.Key] = append(have, a.Value)
			}
		case validating.AuditAnnotationActionError: // denies, whatever the binding's actions
			v.verdict.Violations = append(v.verdict.Violations, Violation{
				Policy: v.policy.Name, Binding: b.Name, Rule: index("auditAnnotations", i), Message: a.Error, Deny: true, Unknown: v.asked.was})
		}
	}
}

func (v *validation) violated(b *v1.ValidatingAdmissionPolicyBinding, violation Violation) {
	violation.Policy, violation.Binding = v.policy.Name, b.Name
	for _, a := range b.Spec.ValidationActions {
		violation.Deny = violation.Deny || a == v1.Deny
		violation.Warn = violation.Warn || a == v1.Warn
		violation.Audit = violation.Audit || a == v1.Audit
	}
	v.verdict.Violations = append(v.verdict.Violations, violation)
}

// misconfigured is a policy that cannot be asked.
func (v *validation) misconfigured(b *v1.ValidatingAdmissionPolicyBinding, message string) {
	violation := Violation{Policy: v.policy.Name, Message: message, Deny: true, Ignored: *v.policy.Spec.FailurePolicy == v1.Ignore}
	if b != nil {
		violation.Binding = b.Name
	}
	v.verdict.Violations = append(v.verdict.Violations, violation)
}

func (v *validation) annotate() {
	for key, values := range v.annotations {
		if v.verdict.Annotations == nil {
			v.verdict.Annotations = map[string]string{}
		}
		v.verdict.Annotations[v.policy.Name+"/"+key] = strings.Join(values, ", ")
	}
}

// unknownAuthorizer is the authorizer where there is no API server to ask. It notes
// that it was asked.
type unknownAuthorizer struct{ was bool }

const unknownAuthorizerText = "asks the authorizer, which only an API server has"

var errUnknownAuthorizer = errors.New(unknownAuthorizerText)

// Authorize implements authorizer.Authorizer.
func (u *unknownAuthorizer) Authorize(context.Context, authorizer.Attributes) (authorizer.Decision, string, error) {
	u.was = true
	return authorizer.DecisionNoOpinion, "", errUnknownAuthorizer
}

// namespaces is a lister of the one namespace that a request is in.
type namespaces struct{ one *corev1.Namespace }

// List implements the lister.
func (n namespaces) List(labels.Selector) ([]*corev1.Namespace, error) {
	return []*corev1.Namespace{n.one}, nil
}

// Get implements the lister.
func (n namespaces) Get(string) (*corev1.Namespace, error) { return n.one, nil }

// typeConverters know the shapes of built-in kinds; lists of others are replaced as a whole.
type typeConverters struct{}

var builtIn = sync.OnceValue(func() managedfields.TypeConverter { return applyconfigurations.NewTypeConverter(scheme.Scheme) })

// GetTypeConverter implements patch.TypeConverterManager.
func (typeConverters) GetTypeConverter(kind schema.GroupVersionKind) managedfields.TypeConverter {
	if scheme.Scheme.Recognizes(kind) {
		return builtIn()
	}
	return managedfields.NewDeducedTypeConverter()
}

// Run implements patch.TypeConverterManager.
func (typeConverters) Run(context.Context) {}

// informer gives the parameters of a kind in the form that the API server has them in.
func (s *Set) informer(kind *v1.ParamKind) (informers.GenericInformer, meta.RESTScope) {
	if kind == nil {
		return nil, nil
	}
	gvk := paramKind(kind)
	p := params{objects: s.params[gvk.String()], kind: gvk}
	if clusterScoped(gvk.GroupKind()) || len(p.objects) > 0 && p.objects[0].namespaceOf() == "" {
		return p, meta.RESTScopeRoot
	}
	return p, meta.RESTScopeNamespace
}

// params is an informer that has all it will ever have.
type params struct {
	objects   []*object
	kind      schema.GroupVersionKind
	namespace string
}

type synced struct{ cache.SharedIndexInformer }

// HasSynced implements cache.SharedIndexInformer.
func (synced) HasSynced() bool { return true }

// Informer implements informers.GenericInformer.
func (p params) Informer() cache.SharedIndexInformer { return synced{} }

// Lister implements informers.GenericInformer.
func (p params) Lister() cache.GenericLister { return p }

// ByNamespace implements cache.GenericLister.
func (p params) ByNamespace(namespace string) cache.GenericNamespaceLister {
	p.namespace = namespace
	return p
}

// List implements cache.GenericLister.
func (p params) List(selector labels.Selector) ([]runtime.Object, error) {
	var out []runtime.Object
	for _, o := range p.objects {
		if o.namespaceOf() == p.namespace && selector.Matches(labels.Set(o.GetLabels())) {
			out = append(out, o.Unstructured)
		}
	}
	return out, nil
}

// Get implements cache.GenericLister.
func (p params) Get(name string) (runtime.Object, error) {
	for _, o := range p.objects {
		if o.namespaceOf() == p.namespace && o.GetName() == name {
			return o.Unstructured, nil
		}
	}
	return nil, apierrors.NewNotFound(resourceOf(p.kind).GroupResource(), name)
}
