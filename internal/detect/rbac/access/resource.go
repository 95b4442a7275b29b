package access

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/seawall-security/seawall/internal/seawall"
)

// Resource is a kind of thing the API server serves.
type Resource struct {
	Group        string   `json:"group"`
	Name         string   `json:"name"` // plural, as rules write it
	Singular     string   `json:"singular"`
	Kind         string   `json:"kind"`
	Short        []string `json:"short"`
	Namespaced   bool     `json:"namespaced"`
	Subresources []string `json:"subresources"`
	Verbs        []string `json:"verbs"`
}

// resources.json is what a Kubernetes 1.36 API server serves, in the order in
// which kubectl prefers groups. TestResources compares it with a real one.
//
//go:embed resources.json
var resourcesJSON []byte

var builtin = sync.OnceValue(func() []Resource {
	var list []Resource
	if err := json.Unmarshal(resourcesJSON, &list); err != nil {
		panic("embedded resources.json: " + err.Error()) // a build error, found by the first test
	}
	for i := range list {
		if list[i].Group == "" && list[i].Name == "nodes" {
			// The kubelet asks for these (https://kubernetes.io/docs/reference/access-authn-authz/kubelet-authn-authz/).
			list[i].Subresources = append(list[i].Subresources, "checkpoint", "configz", "healthz", "log", "metrics", "pods", "spec", "stats")
		}
	}
	// Only authorizers know these, for impersonation and for signers of certificates.
	impersonate := []string{"impersonate"}
	return append(list,
		Resource{Name: "users", Singular: "user", Kind: "User", Verbs: impersonate},
		Resource{Name: "groups", Singular: "group", Kind: "Group", Verbs: impersonate},
		Resource{Group: "authentication.k8s.io", Name: "userextras", Singular: "userextra", Verbs: impersonate},
		Resource{Group: "authentication.k8s.io", Name: "uids", Singular: "uid", Verbs: impersonate},
		Resource{Group: "certificates.k8s.io", Name: "signers", Singular: "signer", Verbs: []string{"approve", "sign", "attest"}},
	)
})

// Builtin lists what every API server serves and what only authorizers know.
func Builtin() []Resource { return slices.Clone(builtin()) }

// Resources lists what is known: the built-in ones and those of CustomResourceDefinitions read.
func (s *Set) Resources() []Resource { return append(Builtin(), s.resources...) }

// Resolve turns a verb and what a person writes for a resource into a Request:
// a plural, singular, short name or kind, with or without its group
// ("deploy", "deployments.apps", "pods/log", "*", "*.apps"), or a URL ("/metrics").
// namespace and name are those asked for; a cluster-scoped resource drops the
// namespace, and one Namespace is in itself. note is a remark for the person, "" for none.
func (s *Set) Resolve(verb, text, name, namespace string) (q Request, note string, err error) {
	if strings.HasPrefix(text, "/") {
		if name != "" || namespace != "" {
			note = "a URL has no name and no namespace: they are not looked at"
		}
		return Request{Verb: verb, Path: text}, note, nil
	}
	text, subresource, _ := strings.Cut(text, "/")
	word, group, grouped := strings.Cut(text, ".")
	q = Request{Verb: verb, Group: group, Resource: word, Subresource: subresource, Name: name, Namespace: namespace}
	if word == "" {
		return q, "", fmt.Errorf("no resource in %q: %w", text, seawall.ErrUsage)
	}
	if word == All {
		if !grouped {
			q.Group = All
		}
		return q, "", nil
	}
	r := s.find(strings.ToLower(word), group, grouped)
	switch {
	case r == nil && !grouped:
		return q, "", seawall.WithHint(fmt.Errorf("no resource %q is known: %w", word, seawall.ErrUsage),
			"write it as RESOURCE.GROUP, for example certificates.cert-manager.io")
	case r == nil:
		return q, fmt.Sprintf("%s is not known here and is taken as written, in the group %s", text, group), nil
	}
	q.Resource, q.Group = r.Name, r.Group
	if !r.Namespaced && namespace != "" && !r.isNamespace() {
		q.Namespace = ""
		note = fmt.Sprintf("%s is cluster-scoped: the namespace is not looked at", r.Name)
	}
	if r.isNamespace() && name != "" {
		q.Namespace = name // as the API server asks about one namespace
	}
	if subresource != "" && len(r.Verbs) > 0 && !slices.Contains(r.Subresources, subresource) {
		note = fmt.Sprintf("%s has no subresource %q; one object is asked for with --resource-name", r.Name, subresource)
	}
	return q, note, nil
}

func (r *Resource) isNamespace() bool { return r.Group == "" && r.Name == "namespaces" }

// find prefers, as kubectl, the exact group, then a group that begins so
// ("roles.rbac"), then built-in resources in the API server's order.
func (s *Set) find(word, group string, grouped bool) *Resource {
	if version, rest, ok := strings.Cut(group, "."); ok && isVersion(version) {
		group = rest // deployments.v1.apps
	} else if isVersion(group) {
		group = "" // pods.v1
	}
	var near *Resource
	for _, list := range [][]Resource{builtin(), s.resources} {
		for i := range list {
			r := &list[i]
			switch {
			case !r.named(word):
			case !grouped || r.Group == group:
				return r
			case near == nil && group != "" && strings.HasPrefix(r.Group, group):
				near = r
			}
		}
	}
	return near
}

func (r *Resource) named(word string) bool {
	return word == r.Name || word == r.Singular || r.Kind != "" && word == strings.ToLower(r.Kind) || slices.Contains(r.Short, word)
}

// isVersion: v1, v2beta3.
func isVersion(s string) bool {
	rest, ok := strings.CutPrefix(s, "v")
	return ok && rest != "" && rest[0] >= '0' && rest[0] <= '9'
}
