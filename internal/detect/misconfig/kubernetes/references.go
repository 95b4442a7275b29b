package kubernetes

import (
	"github.com/seawall-security/seawall/internal/detect/control"
)

// references are what objects name and use: secrets, and settings of pods.
type references struct {
	// secrets are "namespace/name" of all that something uses.
	secrets map[string]bool
	// fields are security settings that at least one pod has.
	fields map[string]bool
}

func newReferences() control.Index {
	return &references{secrets: map[string]bool{}, fields: map[string]bool{}}
}

// Add implements control.Index.
func (r *references) Add(s *control.Subject) {
	ns := s.Object.Namespace
	if s.Pod != nil {
		r.pod(ns, s)
		return
	}
	switch s.Object.Kind {
	case "ServiceAccount":
		r.names(ns, list(s.Map, "secrets"), "name", r.secrets)
		r.names(ns, list(s.Map, "imagePullSecrets"), "name", r.secrets)
	case "Ingress":
		r.names(ns, list(object(s.Map, "spec"), "tls"), "secretName", r.secrets)
	case "Gateway":
		for _, l := range list(object(s.Map, "spec"), "listeners") {
			for _, ref := range list(object(l, "tls"), "certificateRefs") {
				of := text(ref, "namespace")
				if of == "" {
					of = ns
				}
				r.secrets[of+"/"+text(ref, "name")] = true
			}
		}
	case "PersistentVolume":
		r.secretReferences(s.Map["spec"])
	}
}

// pod notes what a pod template uses.
func (r *references) pod(ns string, s *control.Subject) {
	r.names(ns, list(s.Pod, "imagePullSecrets"), "name", r.secrets)
	r.settings(s)
	for _, c := range s.Containers {
		for _, from := range list(c, "envFrom") {
			r.name(ns, object(from, "secretRef"), "name", r.secrets)
		}
		for _, e := range list(c, "env") {
			r.name(ns, object(e, "valueFrom", "secretKeyRef"), "name", r.secrets)
		}
	}
	for _, v := range list(s.Pod, "volumes") {
		r.name(ns, object(v, "secret"), "secretName", r.secrets)
		for _, source := range list(object(v, "projected"), "sources") {
			r.name(ns, object(source, "secret"), "name", r.secrets)
		}
		for kind, source := range v {
			if m, ok := source.(map[string]any); ok && kind != "secret" && kind != "projected" {
				r.name(ns, object(m, "secretRef"), "name", r.secrets)
				r.name(ns, object(m, "nodePublishSecretRef"), "name", r.secrets)
				r.name(ns, m, "secretName", r.secrets)
			}
		}
	}
}

// settings notes which security settings a pod has.
func (r *references) settings(s *control.Subject) {
	if s.Pod["hostUsers"] == false {
		r.fields["hostUsers"] = true
	}
	context := object(s.Pod, "securityContext")
	if context["supplementalGroupsPolicy"] == "Strict" {
		r.fields["supplementalGroupsPolicy"] = true
	}
	if context["appArmorProfile"] != nil {
		r.fields["appArmorProfile"] = true
	}
	for _, c := range s.Containers {
		if object(c, "securityContext", "appArmorProfile") != nil {
			r.fields["appArmorProfile"] = true
		}
		for _, m := range list(c, "volumeMounts") {
			if m["recursiveReadOnly"] != nil {
				r.fields["recursiveReadOnly"] = true
			}
		}
	}
}

// secretReferences notes every {name, namespace} below a key that ends in SecretRef.
func (r *references) secretReferences(v any) {
	m, ok := v.(map[string]any)
	if !ok {
		return
	}
	if name, ns := text(m, "name"), text(m, "namespace"); name != "" && ns != "" {
		r.secrets[ns+"/"+name] = true
	}
	for _, child := range m {
		r.secretReferences(child)
	}
}

func (r *references) names(ns string, items []map[string]any, key string, used map[string]bool) {
	for _, item := range items {
		r.name(ns, item, key, used)
	}
}

func (r *references) name(ns string, m map[string]any, key string, used map[string]bool) {
	if name := text(m, key); name != "" {
		used[ns+"/"+name] = true
	}
}

// object walks down maps; nil where one is missing.
func object(m map[string]any, keys ...string) map[string]any {
	for _, k := range keys {
		m, _ = m[k].(map[string]any)
	}
	return m
}

// list is the maps in a list.
func list(m map[string]any, key string) []map[string]any {
	items, _ := m[key].([]any)
	out := make([]map[string]any, 0, len(items))
	for _, item := range items {
		if of, ok := item.(map[string]any); ok {
			out = append(out, of)
		}
	}
	return out
}

func text(m map[string]any, key string) string {
	s, _ := m[key].(string)
	return s
}
