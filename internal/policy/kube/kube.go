// Package kube judges objects by Kubernetes' own policies: ValidatingAdmissionPolicy and
// MutatingAdmissionPolicy with their bindings, as the API server does.
//
//	documents -> Read -> Set -> Decide(policy.Input) -> []seawall.Decision
//	                         -> Review(Request) -> Verdict
//
// Policies are read strictly and compiled when they are (parse.go, compile.go); a mistake
// is an error with its place. What is judged is made what the API server would see
// (object.go, defaults.go): an object that no server has had is given the defaults of its
// kind, and pods what admission gives to every pod. Matching, parameters, conditions,
// messages and patches are the API server's own packages (adapter.go holds every use of
// them): mutating policies first, then validating ones.
//
// What only a running API server has: a request's user and the authorizer, and the
// resources that another server serves. Without a request it is a create by nobody in
// particular (User), and a policy that asks the authorizer has not been judged. Objects
// that policies take as parameters (paramKind) are documents beside them.
//
// Package export is the other way round: our policies as Kubernetes'.
package kube

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/seawall-security/seawall/internal/policy"
	"github.com/seawall-security/seawall/internal/seawall"
)

// User is who asks where no request says who did.
const User = "system:seawall"

// Read reads the documents of policies, bindings and parameters. It is a policy.ReadNative.
func Read(documents []policy.Source) (policy.Native, error) {
	s, err := read(documents)
	if err != nil {
		return nil, err
	}
	return s, nil
}

// Parse reads the policies of one file; name is for errors.
func Parse(name string, text []byte) (*Set, error) {
	documents, err := policy.Documents(name, text)
	if err != nil {
		return nil, err
	}
	return read(documents)
}

// Set is policies with their bindings and parameters. It is safe for concurrent use.
type Set struct {
	validating []*validatingPolicy
	mutating   []*mutatingPolicy
	// params are by kind ("v1, Kind=ConfigMap").
	params map[string][]*object
	lint   []string
}

// Names implements policy.Native.
func (s *Set) Names() []string {
	var names []string
	for _, p := range s.mutating {
		names = append(names, p.Name)
	}
	for _, p := range s.validating {
		names = append(names, p.Name)
	}
	return names
}

// Lint implements policy.Native. Beside policies without a binding and the like it says
// what the API server warns of in a policy's status: expressions that name fields which
// the kinds it is for do not have.
func (s *Set) Lint() []string {
	out := slices.Clone(s.lint)
	for _, p := range s.validating {
		out = append(out, p.typeCheck()...)
	}
	return out
}

// Request is what is asked of an API server.
type Request struct {
	// Operation is CREATE, UPDATE, DELETE or CONNECT.
	Operation string
	// Object and OldObject are as the request has them; one may be nil.
	Object, OldObject map[string]any
	// Stored: the objects come from an API server and have their defaults.
	Stored bool
	// Namespace is the Namespace object of namespaced ones; nil is one with its name alone.
	Namespace map[string]any
	// Group, Version, Resource and Subresource say what is asked for; Resource "" is
	// what the object's kind is served as.
	Group, Version, Resource, Subresource string
	// Name and In, its namespace, are those of what is asked for, where the object is
	// not that itself (a subresource's); both "" are the object's.
	Name, In string
	User     string
	Groups   []string
	DryRun   bool
}

// Violation is one validation that did not hold, or could not be judged.
type Violation struct {
	Policy, Binding string
	// Rule is the place in the policy: "validations[0]", "" for the policy as a whole.
	Rule    string
	Message string
	// Deny, Warn and Audit are the binding's validationActions.
	Deny, Warn, Audit bool
	// Unknown: it hangs on what only a running API server knows.
	Unknown bool
	// Ignored: it could not be judged, and failurePolicy is Ignore.
	Ignored bool
}

// Text is how the API server says it.
func (v *Violation) Text() string {
	if v.Binding == "" {
		return fmt.Sprintf("ValidatingAdmissionPolicy '%s' denied request: %s", v.Policy, v.Message)
	}
	return fmt.Sprintf("ValidatingAdmissionPolicy '%s' with binding '%s' denied request: %s", v.Policy, v.Binding, v.Message)
}

// Warning is how the API server warns of it.
func (v *Violation) Warning() string {
	return fmt.Sprintf("Validation failed for ValidatingAdmissionPolicy '%s' with binding '%s': %s", v.Policy, v.Binding, v.Message)
}

// Verdict is what the policies come to for a request.
type Verdict struct {
	// Object is the object as the mutating policies leave it.
	Object map[string]any
	// Changed: they changed it.
	Changed bool
	// Unreadable is why the object is not one of its kind; nothing is judged then.
	Unreadable string
	// Refused is the error of mutating policies that failed; nothing is judged after that.
	Refused    string
	Violations []Violation
	// Annotations are what policies write into the audit log.
	Annotations map[string]string
}

// Denied is the first violation that denies the request, nil where it is let in.
func (v *Verdict) Denied() *Violation {
	for i := range v.Violations {
		if v.Violations[i].Deny && !v.Violations[i].Ignored {
			return &v.Violations[i]
		}
	}
	return nil
}

// Decide implements policy.Native: in the phases build and deploy, objects are judged as
// if they were created, or as the request says. A validation that denies is the action
// block and enforced; one that warns or audits a dry run; one that could not be judged
// has failed.
func (s *Set) Decide(in policy.Input) []seawall.Decision {
	if in.Object == nil || in.Phase != policy.PhaseBuild && in.Phase != policy.PhaseDeploy {
		return nil
	}
	v := s.Review(context.Background(), requestOf(&in))
	d := seawall.Decision{Phase: in.Phase, Action: "block", Mode: policy.ModeEnforce, Outcome: policy.OutcomeEnforced}
	if in.Asset != nil {
		d.Asset = in.Asset.ID
	}
	if in.Location != nil {
		l := in.Location("")
		d.Location = &l
	}
	var decisions []seawall.Decision
	switch {
	case v.Unreadable != "":
		d.Policy, d.Reason, d.Outcome = "kubernetes", "could not be judged: "+v.Unreadable, policy.OutcomeFailed
		return append(decisions, d)
	case v.Refused != "":
		d.Policy, d.Reason = "MutatingAdmissionPolicy", v.Refused
		if rest, ok := strings.CutPrefix(v.Refused, "policy '"); ok { // 'NAME' with binding …
			d.Policy, _, _ = strings.Cut(rest, "'")
		}
		return append(decisions, d)
	}
	for i := range v.Violations {
		decisions = append(decisions, v.Violations[i].decision(d))
	}
	if in.Request == nil && in.Workload != nil && in.Workload.Kind != "Pod" {
		decisions = append(decisions, s.pods(&in, d)...)
	}
	return decisions
}

// Mutate implements policy.Native.
func (s *Set) Mutate(in policy.Input) (before, after map[string]any) {
	if in.Object == nil || in.Phase != policy.PhaseBuild && in.Phase != policy.PhaseDeploy {
		return nil, nil
	}
	r := requestOf(&in)
	rv, err := s.review(&r)
	if err != nil {
		return nil, nil
	}
	o, ok := rv.attributes.GetObject().(*unstructured.Unstructured)
	if !ok {
		return nil, nil
	}
	before = o.DeepCopy().Object
	if err := rv.mutate(context.Background(), &Verdict{}); err != nil {
		return nil, nil
	}
	if o, ok = rv.attributes.GetObject().(*unstructured.Unstructured); !ok {
		return nil, nil
	}
	return before, o.Object
}

// pods tells what will be denied later: the pods of a workload that itself is let in.
func (s *Set) pods(in *policy.Input, d seawall.Decision) []seawall.Decision {
	r := requestOf(in)
	r.Object, r.Stored = policy.PodOf(in.Object), false
	v := s.Review(context.Background(), r)
	var decisions []seawall.Decision
	for i := range v.Violations {
		if v.Violations[i].Deny && !v.Violations[i].Ignored {
			d := v.Violations[i].decision(d)
			d.Action, d.Reason = "alert", "its pods would be denied: "+d.Reason
			decisions = append(decisions, d)
		}
	}
	return decisions
}

// decision is the violation as ours.
func (v *Violation) decision(d seawall.Decision) seawall.Decision {
	d.Policy, d.Rule, d.Reason = v.Policy, v.Rule, v.Message
	if v.Binding != v.Policy {
		d.Rule = strings.Trim(v.Binding+"/"+v.Rule, "/")
	}
	switch {
	case v.Deny:
	case v.Warn:
		d.Mode, d.Outcome = policy.ModeWarn, policy.OutcomeDryRun
	default:
		d.Mode, d.Outcome = policy.ModeAudit, policy.OutcomeDryRun
	}
	if v.Unknown || v.Ignored {
		d.Outcome = policy.OutcomeFailed
	}
	return d
}

// requestOf is what an input asks.
func requestOf(in *policy.Input) Request {
	r := Request{Operation: "CREATE", Object: in.Object, Namespace: in.Namespace, User: User, Groups: []string{"system:authenticated"}}
	if meta, ok := in.Object["metadata"].(map[string]any); ok {
		r.Stored = meta["uid"] != nil
	}
	if in.Request == nil {
		return r
	}
	r.Stored = true
	text := func(m map[string]any, key string) string {
		s, _ := m[key].(string)
		return s
	}
	r.Operation = text(in.Request, "operation")
	r.OldObject, _ = in.Request["oldObject"].(map[string]any)
	if r.Operation == "DELETE" {
		r.Object = nil
		if r.OldObject == nil {
			r.OldObject = in.Object
		}
	}
	resource, _ := in.Request["resource"].(map[string]any)
	r.Group, r.Version, r.Resource = text(resource, "group"), text(resource, "version"), text(resource, "resource")
	r.Subresource, r.Name, r.In = text(in.Request, "subResource"), text(in.Request, "name"), text(in.Request, "namespace")
	info, _ := in.Request["userInfo"].(map[string]any)
	r.User, r.Groups = text(info, "username"), nil
	groups, _ := info["groups"].([]any)
	for _, g := range groups {
		if g, ok := g.(string); ok {
			r.Groups = append(r.Groups, g)
		}
	}
	r.DryRun = in.Request["dryRun"] == true
	return r
}

// sortLint keeps what Lint says in order.
func (s *Set) sortLint() {
	slices.Sort(s.lint)
	s.lint = slices.Compact(s.lint)
}
