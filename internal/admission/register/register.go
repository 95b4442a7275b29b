// Package register keeps the webhook configurations of the API server in step with
// the policies: only resources that some policy needs are sent, what may fail open
// is apart from what must not, and Seawall's own namespace is left alone, so that it
// can always start again.
//
//	policies' Interests + discovery + authorities -> Build -> Configurations -> Sync -> API server
package register

import (
	"cmp"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	arv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/seawall-security/seawall/internal/policy"
)

// The paths that webhooks call. Each answers for the policies of one failure mode.
const (
	PathValidateOpen   = "/validate/open"
	PathValidateClosed = "/validate/closed"
	PathMutateOpen     = "/mutate/open"
	PathMutateClosed   = "/mutate/closed"
	// PathCheck judges policies and exceptions themselves.
	PathCheck = "/check"
)

// Config says where the webhooks are and whom they leave alone.
type Config struct {
	// Name is of both configurations.
	Name string
	// Service is called, in Namespace; or else URL, "https://host:port".
	Service, Namespace string
	URL                string
	// Excluded are the namespaces whose objects are never sent; Namespace is always among them.
	Excluded []string
	// Users are those whose requests are never sent: Seawall itself.
	Users []string
	// Timeout is how long the API server waits: 1 to 30 whole seconds.
	Timeout time.Duration
}

// Resource is one that the API server has.
type Resource struct {
	Group, Version, Name, Kind string
	Namespaced                 bool
}

// Configurations are what the API server should have.
type Configurations struct {
	Validating *arv1.ValidatingWebhookConfiguration
	Mutating   *arv1.MutatingWebhookConfiguration
}

// Build makes the configurations. All that the API server would add is there, so
// that they can be compared with what it has.
func Build(c Config, interests []policy.Interest, resources []Resource, authorities []byte) Configurations {
	meta := metav1.ObjectMeta{Name: c.Name, Labels: map[string]string{"app.kubernetes.io/name": "seawall", "app.kubernetes.io/managed-by": "seawall"}}
	out := Configurations{&arv1.ValidatingWebhookConfiguration{ObjectMeta: meta}, &arv1.MutatingWebhookConfiguration{ObjectMeta: meta}}
	for _, group := range []struct {
		closed           bool
		failure          arv1.FailurePolicyType
		word             string
		validate, mutate string
	}{
		{false, arv1.Ignore, "open", PathValidateOpen, PathMutateOpen},
		{true, arv1.Fail, "closed", PathValidateClosed, PathMutateClosed},
	} {
		if rules := rulesFor(interests, resources, func(i *policy.Interest) bool { return i.Closed == group.closed }); len(rules) > 0 {
			out.Validating.Webhooks = append(out.Validating.Webhooks, c.validating(group.word+".validate.seawall.io", group.validate, group.failure, rules, authorities))
		}
		if slices.ContainsFunc(interests, func(i policy.Interest) bool { return i.Mutates && i.Closed == group.closed }) {
			out.Mutating.Webhooks = append(out.Mutating.Webhooks, c.mutating(group.word+".mutate.seawall.io", group.mutate, group.failure, authorities))
		}
	}
	check := c.validating("check.policies.seawall.io", PathCheck, arv1.Ignore, policyRules(), authorities)
	check.NamespaceSelector, check.MatchConditions = &metav1.LabelSelector{}, nil
	out.Validating.Webhooks = append(out.Validating.Webhooks, check)
	return out
}

func (c *Config) validating(name, path string, failure arv1.FailurePolicyType, rules []arv1.RuleWithOperations, authorities []byte) arv1.ValidatingWebhook {
	return arv1.ValidatingWebhook{
		Name: name, ClientConfig: c.client(path, authorities), Rules: rules, FailurePolicy: &failure, MatchPolicy: ptr(arv1.Equivalent),
		NamespaceSelector: c.namespaces(), ObjectSelector: &metav1.LabelSelector{}, SideEffects: ptr(arv1.SideEffectClassNoneOnDryRun),
		TimeoutSeconds: c.seconds(), AdmissionReviewVersions: []string{"v1"}, MatchConditions: c.conditions(),
	}
}

// mutating is about Pods when they are made: later they can hardly be changed.
func (c *Config) mutating(name, path string, failure arv1.FailurePolicyType, authorities []byte) arv1.MutatingWebhook {
	pods := arv1.RuleWithOperations{Operations: []arv1.OperationType{arv1.Create},
		Rule: arv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"pods"}, Scope: ptr(arv1.NamespacedScope)}}
	return arv1.MutatingWebhook{
		Name: name, ClientConfig: c.client(path, authorities), Rules: []arv1.RuleWithOperations{pods}, FailurePolicy: &failure, MatchPolicy: ptr(arv1.Equivalent),
		NamespaceSelector: c.namespaces(), ObjectSelector: &metav1.LabelSelector{}, SideEffects: ptr(arv1.SideEffectClassNoneOnDryRun),
		TimeoutSeconds: c.seconds(), AdmissionReviewVersions: []string{"v1"}, MatchConditions: c.conditions(), ReinvocationPolicy: ptr(arv1.IfNeededReinvocationPolicy),
	}
}

func (c *Config) client(path string, authorities []byte) arv1.WebhookClientConfig {
	if c.URL != "" {
		return arv1.WebhookClientConfig{URL: ptr(strings.TrimSuffix(c.URL, "/") + path), CABundle: authorities}
	}
	return arv1.WebhookClientConfig{Service: &arv1.ServiceReference{Namespace: c.Namespace, Name: c.Service, Path: &path, Port: ptr(int32(443))}, CABundle: authorities}
}

func (c *Config) seconds() *int32 { return ptr(int32(c.Timeout / time.Second)) }

func (c *Config) namespaces() *metav1.LabelSelector {
	excluded := slices.Compact(slices.Sorted(slices.Values(append(slices.Clone(c.Excluded), c.Namespace))))
	return &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "kubernetes.io/metadata.name", Operator: metav1.LabelSelectorOpNotIn, Values: excluded}}}
}

// conditions leave alone what kubelets say of their own nodes and pods, and Seawall.
func (c *Config) conditions() []arv1.MatchCondition {
	out := []arv1.MatchCondition{{Name: "not-a-node", Expression: `!("system:nodes" in request.userInfo.groups)`}}
	for i, user := range c.Users {
		out = append(out, arv1.MatchCondition{Name: "not-seawall-" + strconv.Itoa(i), Expression: "request.userInfo.username != " + strconv.Quote(user)})
	}
	return out
}

func policyRules() []arv1.RuleWithOperations {
	return []arv1.RuleWithOperations{{Operations: []arv1.OperationType{arv1.Create, arv1.Update},
		Rule: arv1.Rule{APIGroups: []string{"seawall.io"}, APIVersions: []string{"v1alpha1"}, Resources: []string{"policies", "policyexceptions"}, Scope: ptr(arv1.AllScopes)}}}
}

// rulesFor are the rules for all interests that are wanted, one for the resources of
// a group, version and set of operations.
func rulesFor(interests []policy.Interest, resources []Resource, wanted func(*policy.Interest) bool) []arv1.RuleWithOperations {
	operations := map[Resource][]string{}
	for i := range interests {
		if interest := &interests[i]; wanted(interest) {
			for _, r := range resources {
				for _, o := range asked(interest, &r) {
					if !slices.Contains(operations[r], o) {
						operations[r] = append(operations[r], o)
					}
				}
			}
			subresources(interest, operations)
		}
	}
	type key struct{ group, version, operations string }
	names := map[key][]string{}
	for r, list := range operations {
		slices.Sort(list)
		k := key{r.Group, r.Version, strings.Join(list, ",")}
		names[k] = append(names[k], r.Name)
		if r.Group == "" && r.Name == "pods" && slices.Contains(list, "UPDATE") {
			k.operations = "UPDATE"
			names[k] = append(names[k], "pods/ephemeralcontainers", "pods/resize")
		}
	}
	var rules []arv1.RuleWithOperations
	for k, list := range names {
		slices.Sort(list)
		var ops []arv1.OperationType
		for o := range strings.SplitSeq(k.operations, ",") {
			ops = append(ops, arv1.OperationType(o))
		}
		rules = append(rules, arv1.RuleWithOperations{Operations: ops,
			Rule: arv1.Rule{APIGroups: []string{k.group}, APIVersions: []string{k.version}, Resources: list, Scope: ptr(arv1.AllScopes)}})
	}
	slices.SortFunc(rules, func(a, b arv1.RuleWithOperations) int {
		return cmp.Or(cmp.Compare(a.APIGroups[0], b.APIGroups[0]), cmp.Compare(a.APIVersions[0], b.APIVersions[0]),
			cmp.Compare(fmt.Sprint(a.Operations), fmt.Sprint(b.Operations)))
	})
	return rules
}

// asked are the operations on a resource that a policy is asked about, CONNECT apart.
func asked(i *policy.Interest, r *Resource) []string {
	if !Concerns(i, r) {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(i.Operations), func(o string) bool { return o == "CONNECT" })
}

// Concerns says whether a policy judges objects of a resource.
func Concerns(i *policy.Interest, r *Resource) bool {
	if !i.Names(r.Group, r.Kind) || !i.Named() && unjudged(r) || r.Group == "admissionregistration.k8s.io" || r.Group == "coordination.k8s.io" {
		return false
	}
	return i.Objects || i.Workloads && policy.MakesPods(r.Kind) || i.Findings && (i.Named() || policy.MakesPods(r.Kind) || hasControls(r))
}

// subresources adds those with kinds of their own, where a policy names the kind; those
// that requests connect to also where it names none.
func subresources(i *policy.Interest, operations map[Resource][]string) {
	for _, s := range []struct{ group, name, kindGroup, kind, operation string }{
		{"", "pods/exec", "", "PodExecOptions", "CONNECT"},
		{"", "pods/attach", "", "PodAttachOptions", "CONNECT"},
		{"", "pods/portforward", "", "PodPortForwardOptions", "CONNECT"},
		{"", "pods/proxy", "", "PodProxyOptions", "CONNECT"},
		{"", "services/proxy", "", "ServiceProxyOptions", "CONNECT"},
		{"", "nodes/proxy", "", "NodeProxyOptions", "CONNECT"},
		{"", "pods/eviction", "policy", "Eviction", "CREATE"},
		{"", "serviceaccounts/token", "authentication.k8s.io", "TokenRequest", "CREATE"},
		{"", "replicationcontrollers/scale", "autoscaling", "Scale", "UPDATE"},
		{"apps", "deployments/scale", "autoscaling", "Scale", "UPDATE"},
		{"apps", "replicasets/scale", "autoscaling", "Scale", "UPDATE"},
		{"apps", "statefulsets/scale", "autoscaling", "Scale", "UPDATE"},
	} {
		if i.Objects && slices.Contains(i.Operations, s.operation) && i.Names(s.kindGroup, s.kind) && (i.Named() || s.operation == "CONNECT") {
			operations[Resource{Group: s.group, Version: "v1", Name: s.name, Kind: s.kind}] = []string{s.operation}
		}
	}
}

// unjudged are resources that change all the time, or hold questions: they are sent
// only where a policy names their kind.
func unjudged(r *Resource) bool {
	switch r.Group {
	case "authentication.k8s.io", "authorization.k8s.io", "events.k8s.io", "discovery.k8s.io", "metrics.k8s.io", "seawall.io", "internal.apiserver.k8s.io":
		return true
	case "":
		return slices.Contains([]string{"events", "endpoints", "nodes", "componentstatuses", "bindings"}, r.Name)
	case "apps":
		return r.Name == "controllerrevisions"
	case "storage.k8s.io":
		return slices.Contains([]string{"csinodes", "csistoragecapacities", "volumeattachments"}, r.Name)
	}
	return false
}

// hasControls says whether our controls judge a resource that makes no pods.
func hasControls(r *Resource) bool {
	switch r.Group {
	case "rbac.authorization.k8s.io", "networking.k8s.io":
		return true
	case "":
		return slices.Contains([]string{"namespaces", "services", "serviceaccounts"}, r.Name)
	}
	return false
}

// Names are the names and addresses by which the API server calls.
func (c *Config) Names() []string {
	if c.URL != "" {
		host := strings.TrimPrefix(c.URL, "https://")
		host, _, _ = strings.Cut(host, "/")
		if h, _, err := net.SplitHostPort(host); err == nil {
			host = h
		}
		return []string{strings.Trim(host, "[]")}
	}
	return []string{c.Service + "." + c.Namespace + ".svc"}
}

func ptr[T any](v T) *T { return &v }
