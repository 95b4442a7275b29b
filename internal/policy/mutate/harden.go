package mutate

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
)

// standards judges pods by the Pod Security Standards.
var standards = sync.OnceValues(func() (policy.Evaluator, error) { return policy.NewEvaluator(policy.DefaultChecks(), nil) })

// breaches are what keeps a pod from a level of the standards.
func breaches(pod map[string]any, level string) ([]string, error) {
	evaluator, err := standards()
	if err != nil {
		return nil, err
	}
	var typed struct {
		Metadata metav1.ObjectMeta `json:"metadata"`
		Spec     corev1.PodSpec    `json:"spec"`
	}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(pod, &typed); err != nil {
		return nil, fmt.Errorf("reading the pod: %w", err)
	}
	var out []string
	for _, r := range evaluator.EvaluatePod(api.LevelVersion{Level: api.Level(level), Version: api.LatestVersion()}, &typed.Metadata, &typed.Spec) {
		if !r.Allowed {
			out = append(out, r.ForbiddenReason+" ("+r.ForbiddenDetail+")")
		}
	}
	return out, nil
}

// harden changes security contexts as little as reaches the level. What else is in the
// way (host namespaces, volumes, host ports) is an error, and nothing changes.
func (e *edited) harden(level string) error {
	left, err := breaches(e.pod, level)
	if err != nil || len(left) == 0 {
		return err
	}
	trial := &edited{pod: deepCopy(e.pod).(map[string]any)}
	trial.baseline()
	if level == string(api.LevelRestricted) {
		trial.restricted()
	}
	if left, err = breaches(trial.pod, level); err != nil {
		return err
	}
	if len(left) > 0 {
		return fmt.Errorf("security contexts alone do not make it %s: %s", level, strings.Join(left, "; "))
	}
	e.pod = trial.pod
	e.changes = append(e.changes, trial.changes...)
	return nil
}

// place is a security context: the pod's or a container's.
type place struct {
	owner map[string]any // pod spec or container
	name  string
	pod   bool
}

func (e *edited) places() []place {
	all := []place{{e.spec(), "pod", true}}
	for _, c := range e.containers() {
		all = append(all, place{c, fmt.Sprintf("container %v", c["name"]), false})
	}
	return all
}

// get is the security context, an empty one where there is none.
func (p place) get() map[string]any {
	m, _ := p.owner["securityContext"].(map[string]any)
	return m
}

// set sets a field of the security context.
func (e *edited) set(p place, value any, keys ...string) {
	m := child(p.owner, "securityContext")
	for _, k := range keys[:len(keys)-1] {
		m = child(m, k)
	}
	m[keys[len(keys)-1]] = value
	e.changed("%s: %s is %s", p.name, strings.Join(keys, "."), text(value))
}

// drop takes a field of the security context away.
func (e *edited) drop(p place, keys ...string) {
	m := p.get()
	for _, k := range keys[:len(keys)-1] {
		m, _ = m[k].(map[string]any)
	}
	delete(m, keys[len(keys)-1])
	e.changed("%s: %s is taken away", p.name, strings.Join(keys, "."))
}

func field(m map[string]any, keys ...string) any {
	var v any = m
	for _, k := range keys {
		m, _ := v.(map[string]any)
		v = m[k]
	}
	return v
}

// allowedCapabilities are those that the baseline lets containers add
// (https://kubernetes.io/docs/concepts/security/pod-security-standards/).
func allowedCapabilities() []any {
	return []any{"AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_BIND_SERVICE", "SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT"}
}

// baseline takes away what the baseline forbids.
func (e *edited) baseline() {
	for _, p := range e.places() {
		c := p.get()
		if c["privileged"] == true {
			e.drop(p, "privileged")
		}
		e.keepCapabilities(p, allowedCapabilities())
		if v, _ := c["procMount"].(string); v != "" && v != "Default" {
			e.drop(p, "procMount")
		}
		if field(c, "seccompProfile", "type") == "Unconfined" {
			e.set(p, map[string]any{"type": "RuntimeDefault"}, "seccompProfile")
		}
		if field(c, "appArmorProfile", "type") == "Unconfined" {
			e.set(p, map[string]any{"type": "RuntimeDefault"}, "appArmorProfile")
		}
		if field(c, "windowsOptions", "hostProcess") == true {
			e.drop(p, "windowsOptions", "hostProcess")
		}
		e.labelSELinux(p)
	}
	e.appArmorAnnotations()
	e.sysctls()
}

// keepCapabilities takes away added capabilities that are not allowed.
func (e *edited) keepCapabilities(p place, allowed []any) {
	added, _ := field(p.get(), "capabilities", "add").([]any)
	kept := slices.DeleteFunc(slices.Clone(added), func(c any) bool { return !slices.Contains(allowed, c) })
	switch {
	case len(kept) == len(added):
	case len(kept) == 0:
		e.drop(p, "capabilities", "add")
	default:
		e.set(p, kept, "capabilities", "add")
	}
}

func (e *edited) labelSELinux(p place) {
	options, _ := p.get()["seLinuxOptions"].(map[string]any)
	for _, key := range []string{"user", "role"} {
		if v, _ := options[key].(string); v != "" {
			e.drop(p, "seLinuxOptions", key)
		}
	}
	v, _ := options["type"].(string)
	if !slices.Contains([]string{"", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"}, v) {
		e.drop(p, "seLinuxOptions", "type")
	}
}

// appArmorAnnotations are the older form of appArmorProfile.
func (e *edited) appArmorAnnotations() {
	annotations, _ := field(e.pod, "metadata", "annotations").(map[string]any)
	for _, key := range sortedKeys(annotations) {
		if strings.HasPrefix(key, "container.apparmor.security.beta.kubernetes.io/") && annotations[key] == "unconfined" {
			delete(annotations, key)
			e.changed("annotation %s is taken away", key)
		}
	}
}

// sysctls takes those away that reach beyond the pod; upstream's evaluator says which.
func (e *edited) sysctls() {
	p := e.places()[0]
	list, _ := p.get()["sysctls"].([]any)
	kept := slices.DeleteFunc(slices.Clone(list), func(s any) bool {
		probe := map[string]any{"spec": map[string]any{"containers": []any{}, "securityContext": map[string]any{"sysctls": []any{s}}}}
		left, err := breaches(probe, string(api.LevelBaseline))
		return err != nil || len(left) > 0
	})
	switch {
	case len(kept) == len(list):
	case len(kept) == 0:
		e.drop(p, "sysctls")
	default:
		e.set(p, kept, "sysctls")
	}
}

// restricted sets what the restricted level asks for.
func (e *edited) restricted() {
	places := e.places()
	windows := field(e.pod, "spec", "os", "name") == "windows"
	for _, p := range places {
		if fmt.Sprint(p.get()["runAsUser"]) == "0" {
			e.drop(p, "runAsUser")
		}
		if p.pod || windows {
			continue
		}
		if p.get()["allowPrivilegeEscalation"] != false {
			e.set(p, false, "allowPrivilegeEscalation")
		}
		e.keepCapabilities(p, []any{"NET_BIND_SERVICE"})
		if dropped, _ := field(p.get(), "capabilities", "drop").([]any); !slices.Contains(dropped, "ALL") {
			e.set(p, append(slices.Clone(dropped), "ALL"), "capabilities", "drop")
		}
	}
	e.inherit(places, true, "runAsNonRoot")
	if !windows {
		e.inherit(places, "RuntimeDefault", "seccompProfile", "type")
	}
}

// inherit makes a field of every container come to a value: once for the pod where some
// container leaves it to the pod, and for those that say otherwise themselves.
func (e *edited) inherit(places []place, value any, keys ...string) {
	ok := func(v any) bool { return v == value || value != true && v == "Localhost" }
	pod, containers := places[0], places[1:]
	if !ok(field(pod.get(), keys...)) {
		left := slices.ContainsFunc(containers, func(p place) bool { return field(p.get(), keys...) == nil })
		if left || field(pod.get(), keys...) != nil {
			e.set(pod, value, keys...)
		}
	}
	for _, p := range containers {
		if v := field(p.get(), keys...); v != nil && !ok(v) {
			e.set(p, value, keys...)
		}
	}
}
