package access

import (
	_ "embed"
	"encoding/json"
	"sync"
)

// defaults.json are the roles, bindings and controllers' accounts that a
// Kubernetes 1.36 API server and its controllers make at their start, without
// metadata but names and labels. TestDefaults compares it with a real one.
//
//go:embed defaults.json
var defaultsJSON []byte

// defaultObject is one of them.
type defaultObject struct {
	Kind      string `json:"kind"`
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name"`
	written
}

var defaultList = sync.OnceValue(func() []*defaultObject {
	var list []*defaultObject
	if err := json.Unmarshal(defaultsJSON, &list); err != nil {
		panic("embedded defaults.json: " + err.Error()) // a build error, found by the first test
	}
	return list
})

var defaults = sync.OnceValue(func() map[Ref]*defaultObject {
	byRef := make(map[Ref]*defaultObject, len(defaultList()))
	for _, o := range defaultList() {
		byRef[Ref{Kind: o.Kind, Namespace: o.Namespace, Name: o.Name}] = o
	}
	return byRef
})

const bootstrapLabel = "kubernetes.io/bootstrapping"

// isDefault: a label alone makes nobody trustworthy, the name has to be one the API server uses.
func isDefault(ref Ref, labels map[string]string) bool {
	return labels[bootstrapLabel] == "rbac-defaults" && defaults()[key(ref)] != nil
}

// addDefaults adds the roles that every cluster has and the objects did not
// write; with all, the bindings and accounts too.
func (r *reader) addDefaults(all bool) {
	for _, o := range defaultList() {
		ref := Ref{Kind: o.Kind, Namespace: o.Namespace, Name: o.Name}
		switch {
		case o.Kind == "Role" || o.Kind == "ClusterRole":
			if r.roles[ref] == nil {
				r.role(ref, &o.written)
				r.roles[ref].Default = true
			}
		case !all:
		case o.Kind == ServiceAccount:
			if r.accounts[ref] == nil {
				r.account(ref, &o.written)
				r.accounts[ref].Default = true
			}
		case r.bindings[ref] == nil:
			r.binding(ref, &o.written)
			r.bindings[ref].Default = true
		}
	}
}

// Shipped is a default role as every cluster has it at its start; nil for other roles.
func Shipped(role *Role) *Role { return shipped()[key(role.Ref)] }

// ShippedSubjects are whom a default binding names at its start.
func ShippedSubjects(b *Binding) []Subject {
	if o := defaults()[key(b.Ref)]; o != nil {
		return o.Subjects
	}
	return nil
}

var shipped = sync.OnceValue(func() map[Ref]*Role {
	set, _ := Read(nil, Options{})
	byRef := make(map[Ref]*Role, len(set.Roles))
	for _, role := range set.Roles {
		byRef[key(role.Ref)] = role
	}
	return byRef
})
