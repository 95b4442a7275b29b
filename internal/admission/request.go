package admission

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"strings"

	kjson "sigs.k8s.io/json"

	"github.com/seawall-security/seawall/internal/policy"
	"github.com/seawall-security/seawall/internal/seawall"
)

// apiVersion is that of the reviews we answer.
const apiVersion = "admission.k8s.io/v1"

// Request is what the API server asks: an AdmissionRequest of admission.k8s.io/v1.
type Request struct {
	UID                  string
	Group, Version, Kind string
	Resource             string
	SubResource          string
	Namespace            string
	// Name is "" for an object whose name the API server makes up.
	Name      string
	Operation string
	User      string
	DryRun    bool
	// Object is nil for DELETE, OldObject for CREATE and CONNECT.
	Object, OldObject map[string]any
	// Fields is the whole request as it came, for policies.
	Fields map[string]any
}

// ParseReview reads an AdmissionReview. Its error wraps seawall.ErrCorrupt.
func ParseReview(body []byte) (*Request, error) {
	var review map[string]any
	if err := kjson.UnmarshalCaseSensitivePreserveInts(body, &review); err != nil {
		return nil, fmt.Errorf("admission review: %w: %w", seawall.ErrCorrupt, err)
	}
	corrupt := func(what string) error { return fmt.Errorf("admission review: %w: %s", seawall.ErrCorrupt, what) }
	if review["kind"] != "AdmissionReview" || review["apiVersion"] != apiVersion {
		return nil, corrupt(fmt.Sprintf("want kind AdmissionReview of %s", apiVersion))
	}
	fields, ok := review["request"].(map[string]any)
	if !ok {
		return nil, corrupt("it has no request")
	}
	kind, _ := fields["kind"].(map[string]any)
	resource, _ := fields["resource"].(map[string]any)
	user, _ := fields["userInfo"].(map[string]any)
	r := &Request{
		UID: text(fields, "uid"), Group: text(kind, "group"), Version: text(kind, "version"), Kind: text(kind, "kind"),
		Resource: text(resource, "resource"), SubResource: text(fields, "subResource"), Namespace: text(fields, "namespace"), Name: text(fields, "name"),
		Operation: text(fields, "operation"), User: text(user, "username"), Fields: fields,
	}
	r.DryRun, _ = fields["dryRun"].(bool)
	switch {
	case r.UID == "" || len(r.UID) > 256:
		return nil, corrupt("request.uid is missing or longer than 256")
	case r.Kind == "":
		return nil, corrupt("request.kind.kind is missing")
	case r.Operation != "CREATE" && r.Operation != "UPDATE" && r.Operation != "DELETE" && r.Operation != "CONNECT":
		return nil, corrupt(fmt.Sprintf("request.operation %.20q", r.Operation))
	}
	for name, into := range map[string]*map[string]any{"object": &r.Object, "oldObject": &r.OldObject} {
		switch v := fields[name].(type) {
		case nil:
		case map[string]any:
			*into = v
		default:
			return nil, corrupt("request." + name + " is no object")
		}
	}
	return r, nil
}

func text(m map[string]any, key string) string {
	s, _ := m[key].(string)
	return s
}

// creation is the request to create an object: what the background scan asks.
func creation(object map[string]any) *Request {
	meta, _ := object["metadata"].(map[string]any)
	group, version, ok := strings.Cut(text(object, "apiVersion"), "/")
	if !ok {
		group, version = "", group
	}
	return &Request{Group: group, Version: version, Kind: text(object, "kind"), Namespace: text(meta, "namespace"), Name: text(meta, "name"), Operation: "CREATE", Object: object}
}

// subject is the object that the request is about, which for DELETE is the one to be deleted.
func (r *Request) subject() map[string]any {
	if r.Operation == "DELETE" {
		return r.OldObject
	}
	return r.Object
}

// groupKind is "Deployment.apps", "Pod".
func (r *Request) groupKind() string {
	if r.Group == "" {
		return r.Kind
	}
	return r.Kind + "." + r.Group
}

// resource names the object as findings do: "Deployment/shop/web".
func (r *Request) resource() string {
	name := r.Name
	if meta, _ := r.subject()["metadata"].(map[string]any); name == "" {
		name = text(meta, "generateName") + "*"
	}
	o := seawall.Object{Kind: r.Kind, Namespace: r.Namespace, Name: name}
	if r.Kind == "Namespace" {
		o.Namespace = ""
	}
	return o.Resource()
}

// asks says whether a policy is asked about the request: of operations about those it
// names, which are CREATE and UPDATE where it names none; of subresources with kinds of
// their own only where it names the kind.
func (r *Request) asks(i *policy.Interest) bool {
	own := r.SubResource != "" && r.SubResource != "ephemeralcontainers" && r.SubResource != "resize" && r.Operation != "CONNECT"
	for _, o := range i.Operations {
		if o == r.Operation {
			return i.Names(r.Group, r.Kind) && (!own || i.Named())
		}
	}
	return false
}

// idle says that an update changes nothing that policies are about: what controllers
// note about an object, or one that is on its way out.
func (r *Request) idle() bool {
	if r.Operation != "UPDATE" || r.Object == nil || r.OldObject == nil {
		return false
	}
	if meta, _ := r.Object["metadata"].(map[string]any); meta["deletionTimestamp"] != nil {
		return true
	}
	return reflect.DeepEqual(essence(r.Object), essence(r.OldObject))
}

// essence is an object without what controllers note about it.
func essence(object map[string]any) map[string]any {
	out := maps.Clone(object)
	delete(out, "status")
	meta, _ := out["metadata"].(map[string]any)
	meta = maps.Clone(meta)
	for _, key := range []string{"managedFields", "finalizers", "ownerReferences", "resourceVersion", "generation", "selfLink"} {
		delete(meta, key)
	}
	out["metadata"] = meta
	return out
}

// encode is the review that answers a request.
func encode(uid string, resp *Response) []byte {
	type status struct {
		Code    int    `json:"code,omitempty"`
		Reason  string `json:"reason,omitempty"`
		Message string `json:"message,omitempty"`
	}
	type response struct {
		UID       string            `json:"uid"`
		Allowed   bool              `json:"allowed"`
		Status    *status           `json:"status,omitempty"`
		Patch     []byte            `json:"patch,omitempty"`
		PatchType string            `json:"patchType,omitempty"`
		Audit     map[string]string `json:"auditAnnotations,omitempty"`
		Warnings  []string          `json:"warnings,omitempty"`
	}
	out := response{UID: uid, Allowed: resp.Allowed, Patch: resp.Patch, Audit: resp.Audit, Warnings: resp.Warnings}
	if len(resp.Patch) > 0 {
		out.PatchType = "JSONPatch"
	}
	if !resp.Allowed {
		out.Status = &status{resp.Code, resp.reason(), resp.Message}
	}
	body, err := json.Marshal(map[string]any{"apiVersion": apiVersion, "kind": "AdmissionReview", "response": out})
	if err != nil {
		panic(errors.Join(errors.New("a response of texts has no JSON"), err))
	}
	return body
}
