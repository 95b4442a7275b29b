package settings

import (
	"slices"
	"strings"
)

// auditRule is a rule of an audit policy (audit.k8s.io/v1), as far as it matters here.
type auditRule struct {
	Level           string
	Users           []string
	UserGroups      []string
	Verbs           []string
	Resources       []auditResources
	Namespaces      []string
	NonResourceURLs []string
}

type auditResources struct {
	Group         string
	Resources     []string
	ResourceNames []string
}

// auditRequest is a request an audit log must not miss.
type auditRequest struct {
	what, verb, group, resource string
}

var auditRequests = [...]auditRequest{
	{"reading Secrets", "get", "", "secrets"},
	{"changing Secrets", "update", "", "secrets"},
	{"changing ConfigMaps", "update", "", "configmaps"},
	{"token reviews", "create", "authentication.k8s.io", "tokenreviews"},
	{"creating pods", "create", "", "pods"},
	{"changing Deployments", "patch", "apps", "deployments"},
	{"commands in pods (exec)", "create", "", "pods/exec"},
	{"port forwarding", "create", "", "pods/portforward"},
	{"requests through pods (proxy)", "get", "", "pods/proxy"},
	{"requests through Services (proxy)", "get", "", "services/proxy"},
	{"changing roles", "create", "rbac.authorization.k8s.io", "clusterrolebindings"},
}

// audit writes what the policy leaves out as "auditMissing" and what it copies
// secrets of into the log as "auditLeaks", both "" when nothing.
func (c *completer) audit(s *set) {
	var policy struct{ Rules []auditRule }
	file, ok := c.document(s, "--audit-policy-file", &policy)
	if !ok {
		s.unknown("auditMissing", s.unreadFile)
		s.unknown("auditLeaks", s.unreadFile)
		return
	}
	if file == "" {
		s.put("auditMissing", "everything", "--audit-policy-file is not set: nothing is logged")
		s.put("auditLeaks", "", "--audit-policy-file is not set: nothing is logged")
		return
	}
	var missing, leaks []string
	for _, r := range auditRequests {
		level := auditLevel(policy.Rules, r)
		if level == "" || level == "None" {
			missing = append(missing, r.what)
		}
		if secret := r.resource == "secrets" || r.resource == "tokenreviews"; secret && strings.HasPrefix(level, "Request") && (level == "RequestResponse" || r.verb != "get") {
			leaks = append(leaks, r.what)
		}
	}
	s.put("auditMissing", strings.Join(missing, ", "), "the policy "+file+" does not log "+strings.Join(missing, ", "))
	s.put("auditLeaks", strings.Join(leaks, ", "), "the policy "+file+" logs the bodies of "+strings.Join(leaks, ", "))
}

// auditLevel is the level of the first rule that matches the request of a
// person, "" when none does: rules for named users or namespaces are for others.
func auditLevel(rules []auditRule, r auditRequest) string {
	for _, rule := range rules {
		everyone := len(rule.Users) == 0 && (len(rule.UserGroups) == 0 || slices.Contains(rule.UserGroups, "system:authenticated"))
		if everyone && rule.matches(r) {
			return rule.Level
		}
	}
	return ""
}

func (rule auditRule) matches(r auditRequest) bool {
	if len(rule.Verbs) > 0 && !slices.Contains(rule.Verbs, r.verb) && !slices.Contains(rule.Verbs, "*") || len(rule.Namespaces) > 0 {
		return false
	}
	if len(rule.Resources) == 0 {
		return len(rule.NonResourceURLs) == 0
	}
	return slices.ContainsFunc(rule.Resources, func(of auditResources) bool { return of.matches(r) })
}

func (of auditResources) matches(r auditRequest) bool {
	if of.Group != r.group && of.Group != "*" || len(of.ResourceNames) > 0 {
		return false
	}
	return len(of.Resources) == 0 || slices.ContainsFunc(of.Resources, func(pattern string) bool { return takes(pattern, r.resource) })
}

// takes matches a resource ("pods", "pods/exec") with a pattern of a policy:
// "*", "pods", "pods/exec", "pods/*", "*/exec".
func takes(pattern, resource string) bool {
	if pattern == "*" || pattern == resource {
		return true
	}
	want, wantSub, narrow := strings.Cut(pattern, "/")
	name, sub, isSub := strings.Cut(resource, "/")
	return narrow && isSub && (want == "*" || want == name) && (wantSub == "*" || wantSub == sub)
}
