package admission

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/seawall-security/seawall/internal/policy"
)

// Snapshot is the policies and exceptions in force, with what the handler needs to
// know of them. It does not change.
type Snapshot struct {
	set   *policy.Set
	asked []asked
	// labels are the prefixes of the labels that set Pod Security levels.
	labels []string
}

// asked is a policy for admission.
type asked struct {
	*policy.Policy
	interest policy.Interest
	wants    policy.Wants
	// labelled: only where the namespace has a label for a Pod Security level.
	labelled bool
}

// PodSecurityPolicy is the name of the policy that namespaces' labels set.
const PodSecurityPolicy = "pod-security"

// PodSecurityDays is how far off an exception from it may end.
const PodSecurityDays = 90

// NewSnapshot prepares a set. podSecurity are prefixes of namespaces' labels that set a
// level, "seawall.io/pod-security-": followed by enforce, warn or audit they have a
// level of the Pod Security Standards for a value. The first prefix that a namespace
// has a label of counts; none: labels set nothing.
func NewSnapshot(set *policy.Set, podSecurity []string) (*Snapshot, error) {
	s := &Snapshot{set: set, labels: podSecurity}
	if len(podSecurity) > 0 {
		builtIn, err := policy.Parse("built in", []byte(podSecurityText(podSecurity)))
		if err != nil {
			return nil, fmt.Errorf("labels for Pod Security %q: %w", podSecurity, err)
		}
		s.set = &policy.Set{Policies: append(slices.Clone(set.Policies), builtIn.Policies...), Exceptions: set.Exceptions}
	}
	for i, p := range s.set.Policies {
		if interest, ok := p.Interest(policy.PhaseDeploy); ok {
			s.asked = append(s.asked, asked{p, interest, p.Wants(policy.PhaseDeploy), i >= len(set.Policies)})
		}
	}
	return s, nil
}

// Interests are what the policies have to be asked about, for registering webhooks.
func (s *Snapshot) Interests() []policy.Interest {
	var out []policy.Interest
	for i := range s.asked {
		out = append(out, s.asked[i].interest)
	}
	return out
}

// podSecurityText is the policy that labels set. A level that is none is taken for the
// strictest.
func podSecurityText(prefixes []string) string {
	var b strings.Builder
	b.WriteString(`apiVersion: seawall.io/v1alpha1
kind: Policy
metadata: {name: ` + PodSecurityPolicy + `}
spec:
  description: Pods keep to the level of the Pod Security Standards that a label of their namespace sets.
  phases: [deploy]
  exceptions: {namespaces: ["*"], maxDays: ` + strconv.Itoa(PodSecurityDays) + `}
  variables:
  - {name: labels, expression: 'namespaceObject.metadata.?labels.orValue({})'}
`)
	modes := []string{"enforce", "warn", "audit"}
	for _, mode := range modes {
		var labels []string
		for _, prefix := range prefixes {
			labels = append(labels, "variables.labels[?"+strconv.Quote(prefix+mode)+"]")
		}
		value := labels[len(labels)-1]
		for i := len(labels) - 2; i >= 0; i-- {
			value = labels[i] + ".or(" + value + ")"
		}
		fmt.Fprintf(&b, "  - {name: %s, expression: '%s.orValue(\"privileged\")'}\n", mode, value)
	}
	b.WriteString("  rules:\n")
	for _, mode := range modes {
		fmt.Fprintf(&b, `  - name: %[1]s
    mode: %[1]s
    action: block
    when: |
      finding.kind == "misconfiguration" && variables.%[1]s != "privileged" && finding.frameworks.exists(f,
        f.startsWith("pss-baseline:") || f.startsWith("pss-restricted:") && variables.%[1]s != "baseline")
`, mode)
	}
	return b.String()
}

// hasLevel says whether a namespace has a label for a Pod Security level.
func (s *Snapshot) hasLevel(namespace map[string]any) bool {
	meta, _ := namespace["metadata"].(map[string]any)
	labels, _ := meta["labels"].(map[string]any)
	for name := range labels {
		if slices.ContainsFunc(s.labels, func(prefix string) bool {
			mode, ok := strings.CutPrefix(name, prefix)
			return ok && (mode == "enforce" || mode == "warn" || mode == "audit")
		}) {
			return true
		}
	}
	return false
}

// Group is the policies of one failure mode, or all.
type Group int

// The groups.
const (
	All Group = iota
	Open
	Closed
)

func (g Group) has(p *policy.Policy) bool { return g == All || p.Closed == (g == Closed) }

// question is a request with the policies that are asked about it.
type question struct {
	*Request
	snapshot *Snapshot
	policies []*asked
	wants    policy.Wants
	in       policy.Input
}

// question finds the policies that are for a request, by all but what its images are.
func (s *Snapshot) question(g Group, r *Request, in policy.Input) *question {
	q := &question{Request: r, snapshot: s, in: in}
	for i := range s.asked {
		p := &s.asked[i]
		if !g.has(p.Policy) || !r.asks(&p.interest) || !p.Concerns(in) || p.labelled && !s.hasLevel(in.Namespace) {
			continue
		}
		q.policies = append(q.policies, p)
		q.wants.Add(p.wants)
	}
	return q
}

// mutating leaves the policies that change objects.
func (q *question) mutating() {
	q.policies = slices.DeleteFunc(q.policies, func(p *asked) bool { return !p.interest.Mutates })
	q.wants = policy.Wants{}
	for _, p := range q.policies {
		q.wants.Add(p.wants)
	}
}

// set are the question's policies, with all exceptions.
func (q *question) set() *policy.Set {
	set := &policy.Set{Exceptions: q.snapshot.set.Exceptions}
	for _, p := range q.policies {
		set.Policies = append(set.Policies, p.Policy)
	}
	return set
}

// soon is how long before its end an exception is counted as expiring.
const soon = 14 * 24 * time.Hour

// expiring counts the exceptions that end soon, and those that ended.
func (s *Snapshot) expiring(now time.Time) (ending, ended int) {
	for _, e := range s.set.Exceptions {
		switch left := e.Expires.Sub(now); {
		case left <= 0:
			ended++
		case left < soon:
			ending++
		}
	}
	return ending, ended
}
