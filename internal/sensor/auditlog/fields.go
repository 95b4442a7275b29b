package auditlog

import (
	"encoding/json"
	"maps"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/seawall-security/seawall/internal/seawall"
)

// EventType is the verb: what rules are indexed by.
func (e *Entry) EventType() string { return e.Verb }

// Value puts the i-th value of a field into v and says whether there is one. The
// fields are those of the k8saudit rules; see internal/detect/rules/fields.txt.
func (e *Entry) Value(r *seawall.FieldRef, i int, v *seawall.Value) bool {
	switch r.Name {
	case "evt.rawtime", "jevt.rawtime", "json.rawtime":
		v.Number = e.Time().UnixNano()
		return i == 0 && !e.Time().IsZero()
	case "evt.time.s", "evt.rawtime.s", "evt.datetime.s":
		v.Number = e.Time().Unix()
		v.Text = e.Time().UTC().Format("15:04:05")
		return i == 0
	}
	if text, known := e.scalar(r); known {
		v.Text = text
		return i == 0 && text != ""
	}
	if strings.HasPrefix(r.Name, "ka.req.container.") { // of the first container, as Falco once had it
		first := *r
		first.Name, first.Index = "ka.req.pod.containers."+strings.TrimPrefix(r.Name, "ka.req.container."), 0
		ok := i == 0 && e.Value(&first, 0, v)
		v.Number = flag(v.Text == "true")
		return ok
	}
	if r.Name == "ka.req.volume.hostpath" {
		v.Text = "false"
		for _, p := range e.list(&seawall.FieldRef{Name: "ka.req.pod.volumes.hostpath", Index: -1}) {
			if ok, err := path.Match(r.Argument, p); err == nil && ok || strings.TrimSuffix(r.Argument, "*") != r.Argument && strings.HasPrefix(p, strings.TrimSuffix(r.Argument, "*")) {
				v.Text = "true"
			}
		}
		v.Number = flag(v.Text == "true")
		return i == 0
	}
	list := e.list(r)
	if r.Index >= 0 && !perRule(r.Name) {
		i += r.Index
	}
	if i >= len(list) {
		return false
	}
	v.Text = list[i]
	return true
}

func flag(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// scalar is the value of a field that has one; "" when it is missing.
func (e *Entry) scalar(r *seawall.FieldRef) (text string, known bool) {
	switch r.Name {
	case "evt.type", "ka.verb":
		return e.Verb, true
	case "evt.source":
		return seawall.SourceAudit, true
	case "evt.time", "jevt.time", "evt.datetime":
		return e.Time().UTC().Format("15:04:05.000000000"), true
	case "evt.time.iso8601", "jevt.time.iso8601":
		return e.Time().UTC().Format(time.RFC3339Nano), true
	case "jevt.value", "json.value":
		found, ok := pointer(e.document(), r.Argument)
		if !ok {
			return "", true
		}
		return written(found), true
	case "jevt.obj", "json.obj":
		return string(e.raw), true
	case "ka.auditid":
		return e.AuditID, true
	case "ka.stage":
		return e.Stage, true
	case "ka.auth.decision":
		return e.Annotations["authorization.k8s.io/decision"], true
	case "ka.auth.reason":
		return e.Annotations["authorization.k8s.io/reason"], true
	case "ka.auth.openshift.decision":
		return e.Annotations["authentication.openshift.io/decision"], true
	case "ka.auth.openshift.username":
		return e.Annotations["authentication.openshift.io/username"], true
	case "ka.validations.admission.policy.failure":
		return e.Annotations["validation.policy.admission.k8s.io/validation_failure"], true
	case "ka.user.name":
		return e.User.Username, true
	case "ka.user.extra":
		return e.at("/user/extra"), true
	case "ka.impuser.name":
		if e.ImpersonatedUser == nil {
			return "", true
		}
		return e.ImpersonatedUser.Username, true
	case "ka.uri":
		return e.RequestURI, true
	case "ka.uri.param":
		return e.parameter(r.Argument), true
	case "ka.useragent":
		return e.UserAgent, true
	case "ka.cluster.name":
		return e.Annotations["cluster"], true
	}
	if text, known := e.target(r.Name); known {
		return text, true
	}
	return e.request(r.Name)
}

func (e *Entry) parameter(name string) string {
	u, err := url.ParseRequestURI(e.RequestURI)
	if err != nil {
		return ""
	}
	return u.Query().Get(name)
}

// target is what the request and the response say of the object.
func (e *Entry) target(name string) (text string, known bool) {
	object, response := e.ObjectRef, e.ResponseStatus
	if object == nil {
		object = &Object{}
	}
	switch name {
	case "ka.target.name", "ka.req.configmap.name":
		if object.Name == "" { // a create names its object in the body
			return e.at("/requestObject/metadata/name"), true
		}
		return object.Name, true
	case "ka.target.namespace":
		return object.Namespace, true
	case "ka.target.resource":
		return object.Resource, true
	case "ka.target.subresource":
		return object.Subresource, true
	case "ka.target.pod.name":
		if object.Resource != "pods" {
			return "", true
		}
		return object.Name, true
	case "ka.resp.name":
		return e.at("/responseObject/metadata/name"), true
	case "ka.response.code":
		if response == nil || response.Code == 0 {
			return "", true
		}
		return strconv.Itoa(response.Code), true
	case "ka.response.reason":
		if response == nil {
			return "", true
		}
		return response.Reason, true
	}
	return "", false
}

// request is what the body of the request says.
func (e *Entry) request(name string) (text string, known bool) {
	switch name {
	case "ka.req.binding.role":
		return e.at("/requestObject/roleRef/name"), true
	case "ka.req.configmap.obj":
		return e.at("/requestObject/data"), true
	case "ka.req.service.type":
		return e.at("/requestObject/spec/type"), true
	case "ka.req.pod.run_as_user":
		return e.at("/requestObject/spec/securityContext/runAsUser"), true
	case "ka.req.pod.run_as_group":
		return e.at("/requestObject/spec/securityContext/runAsGroup"), true
	case "ka.req.pod.fs_group":
		return e.at("/requestObject/spec/securityContext/fsGroup"), true
	}
	return "", false
}

// at is the value a JSON pointer (RFC 6901) finds in the event, "" when there is none.
func (e *Entry) at(p string) string {
	found, ok := pointer(e.document(), p)
	if !ok {
		return ""
	}
	return written(found)
}

// perRule tells the lists that an argument picks a rule of a role from, not an element.
func perRule(name string) bool { return strings.HasPrefix(name, "ka.req.role.rules.") }

// list is the values of a field that may have several.
func (e *Entry) list(r *seawall.FieldRef) []string {
	switch r.Name {
	case "ka.user.groups":
		return e.User.Groups
	case "ka.sourceips":
		return e.SourceIPs
	case "ka.req.binding.subjects":
		return texts(e.items("/requestObject/subjects"))
	case "ka.req.binding.subject.has_name":
		for _, s := range e.items("/requestObject/subjects") {
			if name, _ := pointer(s, "/name"); name == r.Argument {
				return []string{"true"}
			}
		}
		return []string{"false"}
	case "ka.req.service.ports":
		return texts(e.items("/requestObject/spec/ports"))
	case "ka.req.role.rules":
		return texts(e.items("/requestObject/rules"))
	case "ka.req.pod.supplemental_groups":
		return texts(e.items("/requestObject/spec/securityContext/supplementalGroups"))
	case "ka.req.pod.host_ipc":
		return []string{e.orFalse("/requestObject/spec/hostIPC")}
	case "ka.req.pod.host_network":
		return []string{e.orFalse("/requestObject/spec/hostNetwork")}
	case "ka.req.pod.host_pid":
		return []string{e.orFalse("/requestObject/spec/hostPID")}
	}
	switch {
	case perRule(r.Name):
		return e.ruleParts(strings.TrimPrefix(r.Name, "ka.req.role.rules."), r.Index)
	case strings.HasPrefix(r.Name, "ka.req.pod.volumes."):
		return e.volumes(strings.TrimPrefix(r.Name, "ka.req.pod.volumes."))
	case strings.HasPrefix(r.Name, "ka.req.pod."):
		kind, field, ok := strings.Cut(strings.TrimPrefix(r.Name, "ka.req.pod."), ".")
		if ok {
			return e.containers(kind, field)
		}
	}
	return nil
}

func (e *Entry) orFalse(p string) string {
	if text := e.at(p); text != "" {
		return text
	}
	return "false"
}

func (e *Entry) items(p string) []any {
	found, _ := pointer(e.document(), p)
	list, _ := found.([]any)
	return list
}

// ruleParts are the verbs, resources, … of one rule of a role, or of all of them.
func (e *Entry) ruleParts(part string, index int) (out []string) {
	for i, rule := range e.items("/requestObject/rules") {
		if index >= 0 && i != index {
			continue
		}
		found, _ := pointer(rule, "/"+part)
		list, _ := found.([]any)
		out = append(out, texts(list)...)
	}
	return out
}

func (e *Entry) volumes(field string) (out []string) {
	for _, volume := range e.items("/requestObject/spec/volumes") {
		fields, _ := volume.(map[string]any)
		switch field {
		case "hostpath":
			if p, ok := pointer(volume, "/hostPath/path"); ok {
				out = append(out, written(p))
			}
		case "flexvolume_driver":
			if d, ok := pointer(volume, "/flexVolume/driver"); ok {
				out = append(out, written(d))
			}
		case "volume_type":
			for _, kind := range slices.Sorted(maps.Keys(fields)) {
				if kind != "name" {
					out = append(out, kind)
				}
			}
		}
	}
	return out
}

// containers is one field of every container of a kind: containers, initContainers or ephemeralContainers.
func (e *Entry) containers(kind, field string) (out []string) {
	for _, c := range e.items("/requestObject/spec/" + kind) {
		get := func(p string) (string, bool) {
			found, ok := pointer(c, p)
			return written(found), ok
		}
		or := func(p, otherwise string) string {
			if text, ok := get(p); ok {
				return text
			}
			return otherwise
		}
		switch field {
		case "image":
			out = append(out, or("/image", ""))
		case "image.repository":
			out = append(out, repository(or("/image", "")))
		case "privileged":
			out = append(out, or("/securityContext/privileged", "false"))
		case "allow_privilege_escalation":
			out = append(out, or("/securityContext/allowPrivilegeEscalation", "true"))
		case "read_only_fs":
			out = append(out, or("/securityContext/readOnlyRootFilesystem", "false"))
		case "proc_mount":
			out = append(out, or("/securityContext/procMount", "Default"))
		case "run_as_user", "run_as_group":
			out = appendFound(out, get, "/securityContext/"+camel(field))
		case "eff_run_as_user", "eff_run_as_group":
			name := camel(strings.TrimPrefix(field, "eff_"))
			out = append(out, or("/securityContext/"+name, e.at("/requestObject/spec/securityContext/"+name)))
		case "host_port":
			ports, _ := pointer(c, "/ports")
			list, _ := ports.([]any)
			for _, p := range list {
				if port, ok := pointer(p, "/hostPort"); ok {
					out = append(out, written(port))
				}
			}
		case "add_capabilities":
			added, _ := pointer(c, "/securityContext/capabilities/add")
			list, _ := added.([]any)
			out = append(out, texts(list)...)
		}
	}
	return out
}

func appendFound(out []string, get func(string) (string, bool), p string) []string {
	if text, ok := get(p); ok {
		return append(out, text)
	}
	return out
}

func camel(field string) string {
	return map[string]string{"run_as_user": "runAsUser", "run_as_group": "runAsGroup"}[field]
}

// repository is an image without tag and digest.
func repository(image string) string {
	image, _, _ = strings.Cut(image, "@")
	if tag := strings.LastIndexByte(image, ':'); tag > strings.LastIndexByte(image, '/') {
		image = image[:tag]
	}
	return image
}

func texts(list []any) []string {
	out := make([]string, len(list))
	for i, one := range list {
		out[i] = written(one)
	}
	return out
}

// written is a JSON value as text: a string as it is, anything else as JSON.
func written(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return v
	}
	raw, err := json.Marshal(v)
	if err != nil {
		return ""
	}
	return string(raw)
}

// pointer finds what a JSON pointer names.
func pointer(v any, p string) (any, bool) {
	if p == "" {
		return v, true
	}
	for part := range strings.SplitSeq(strings.TrimPrefix(p, "/"), "/") {
		if strings.ContainsRune(part, '~') {
			part = strings.NewReplacer("~1", "/", "~0", "~").Replace(part)
		}
		switch at := v.(type) {
		case map[string]any:
			next, ok := at[part]
			if !ok {
				return nil, false
			}
			v = next
		case []any:
			i, err := strconv.Atoi(part)
			if err != nil || i < 0 || i >= len(at) {
				return nil, false
			}
			v = at[i]
		default:
			return nil, false
		}
	}
	return v, v != nil
}

// Event is the entry as findings and records show it: the fields that tell who
// did what, never the objects, which may hold secrets.
func (e *Entry) Event() *seawall.Event {
	out := &seawall.Event{Time: e.Time().UTC().Format(time.RFC3339Nano), Type: e.Verb, Source: seawall.SourceAudit, Fields: map[string]any{}}
	for _, name := range []string{
		"ka.auditid", "ka.stage", "ka.user.name", "ka.impuser.name", "ka.uri", "ka.useragent", "ka.target.name", "ka.target.namespace", "ka.target.resource",
		"ka.target.subresource", "ka.response.code", "ka.response.reason", "ka.auth.decision", "ka.auth.reason",
	} {
		if text, _ := e.scalar(&seawall.FieldRef{Name: name, Index: -1}); text != "" {
			out.Fields[name] = text
		}
	}
	if len(e.User.Groups) > 0 {
		out.Fields["ka.user.groups"] = slices.Clone(e.User.Groups)
	}
	if len(e.SourceIPs) > 0 {
		out.Fields["ka.sourceips"] = slices.Clone(e.SourceIPs)
	}
	return out
}
