package kubernetes

import (
	"fmt"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
	"sigs.k8s.io/json"

	"github.com/seawall-security/seawall/internal/detect/control"
	"github.com/seawall-security/seawall/internal/seawall"
)

// podSecurity judges pods by the Pod Security Standards with upstream's own
// evaluator. A control names its check in its frameworks: "pss-baseline:privileged".
type podSecurity struct {
	version api.Version
	// checks are by identifier, each with an evaluator of its own, so that a
	// result is that check's.
	checks func() map[string]podSecurityCheck
}

type podSecurityCheck struct {
	level     api.Level
	evaluator policy.Evaluator
}

func newPodSecurity(version api.Version) *podSecurity {
	return &podSecurity{version: version, checks: sync.OnceValue(func() map[string]podSecurityCheck {
		checks := map[string]podSecurityCheck{}
		for _, c := range policy.DefaultChecks() {
			evaluator, err := policy.NewEvaluator([]policy.Check{c}, nil)
			if err == nil { // upstream's own checks are sound
				checks[string(c.ID)] = podSecurityCheck{c.Level, evaluator}
			}
		}
		return checks
	})}
}

// typedPod is a subject's pod as upstream wants it.
type typedPod struct {
	Metadata metav1.ObjectMeta `json:"metadata"`
	Spec     corev1.PodSpec    `json:"spec"`
	err      error
}

type templated struct {
	Template typedPod `json:"template"`
}

// readPod reads a subject's pod template again, with types.
func readPod(s *control.Subject) *typedPod {
	var p *typedPod
	var err error
	switch s.Path {
	case "spec":
		p = new(typedPod)
		err = json.UnmarshalCaseSensitivePreserveInts(s.Object.JSON, p)
	case "template.spec":
		var o templated
		err = json.UnmarshalCaseSensitivePreserveInts(s.Object.JSON, &o)
		p = &o.Template
	case "spec.template.spec":
		var o struct {
			Spec templated `json:"spec"`
		}
		err = json.UnmarshalCaseSensitivePreserveInts(s.Object.JSON, &o)
		p = &o.Spec.Template
	default:
		var o struct {
			Spec struct {
				JobTemplate struct {
					Spec templated `json:"spec"`
				} `json:"jobTemplate"`
			} `json:"spec"`
		}
		err = json.UnmarshalCaseSensitivePreserveInts(s.Object.JSON, &o)
		p = &o.Spec.JobTemplate.Spec.Template
	}
	if n := len(p.Spec.Containers) + len(p.Spec.InitContainers) + len(p.Spec.EphemeralContainers); err == nil && n != len(s.Containers) {
		err = fmt.Errorf("%d containers where there are %d", n, len(s.Containers))
	}
	p.err = err
	return p
}

// place is where a check looks: fields of containers and of the pod, "" for none.
type place struct{ container, pod string }

func podSecurityPlaces() map[string]place {
	return map[string]place{
		"allowPrivilegeEscalation":   {"securityContext.allowPrivilegeEscalation", ""},
		"appArmorProfile":            {"securityContext.appArmorProfile", "securityContext.appArmorProfile"},
		"capabilities_baseline":      {"securityContext.capabilities.add", ""},
		"capabilities_restricted":    {"securityContext.capabilities", ""},
		"hostNamespaces":             {"", "hostNetwork"},
		"hostPathVolumes":            {"", "volumes"},
		"hostPorts":                  {"ports", ""},
		"hostProbesAndHostLifecycle": {"", ""},
		"privileged":                 {"securityContext.privileged", ""},
		"procMount":                  {"securityContext.procMount", ""},
		"procMount_restricted":       {"securityContext.procMount", ""},
		"restrictedVolumes":          {"", "volumes"},
		"runAsNonRoot":               {"securityContext.runAsNonRoot", "securityContext.runAsNonRoot"},
		"runAsUser":                  {"securityContext.runAsUser", "securityContext.runAsUser"},
		"seLinuxOptions":             {"securityContext.seLinuxOptions", "securityContext.seLinuxOptions"},
		"seccompProfile_baseline":    {"securityContext.seccompProfile", "securityContext.seccompProfile"},
		"seccompProfile_restricted":  {"securityContext.seccompProfile", "securityContext.seccompProfile"},
		"sysctls":                    {"", "securityContext.sysctls"},
		"windowsHostProcess":         {"securityContext.windowsOptions.hostProcess", "securityContext.windowsOptions.hostProcess"},
	}
}

// check is the control.Check of every standard that upstream has one check for.
func (p *podSecurity) check(s *control.Subject) []control.Outcome {
	return p.judge(s, func(*corev1.PodSpec) {})
}

// Upstream has one check for three namespaces of the node. Each of ours sees a
// pod that asks for one of them at most.

func (p *podSecurity) hostPID(s *control.Subject) []control.Outcome {
	return p.judge(s, func(spec *corev1.PodSpec) { spec.HostIPC, spec.HostNetwork = false, false })
}

func (p *podSecurity) hostIPC(s *control.Subject) []control.Outcome {
	return p.judge(s, func(spec *corev1.PodSpec) { spec.HostPID, spec.HostNetwork = false, false })
}

func (p *podSecurity) hostNetwork(s *control.Subject) []control.Outcome {
	return p.judge(s, func(spec *corev1.PodSpec) { spec.HostPID, spec.HostIPC = false, false })
}

// judge evaluates the check that the subject's control names, on the pod as
// without leaves it.
func (p *podSecurity) judge(s *control.Subject, without func(*corev1.PodSpec)) []control.Outcome {
	id := checkID(s.Control)
	c, ok := p.checks()[id]
	if !ok {
		return []control.Outcome{{Status: seawall.StatusNotEvaluated, Reason: fmt.Sprintf("the Pod Security Standards have no check %q", id)}}
	}
	pod := s.Memo(func() any { return readPod(s) }).(*typedPod)
	if pod.err != nil {
		return []control.Outcome{{Status: seawall.StatusNotEvaluated, Reason: "reading the pod: " + pod.err.Error()}}
	}
	t := trial{s, podSecurityPlaces()[id], func(meta *metav1.ObjectMeta, spec *corev1.PodSpec) *policy.CheckResult {
		results := c.evaluator.EvaluatePod(api.LevelVersion{Level: c.level, Version: p.version}, meta, spec)
		if len(results) == 0 {
			return nil
		}
		return &results[0]
	}}
	spec := pod.Spec
	without(&spec)
	switch whole := t.judge(&pod.Metadata, &spec); {
	case whole == nil:
		return []control.Outcome{{Status: seawall.StatusNotApplicable, Reason: fmt.Sprintf("not part of the Pod Security Standards %s", p.version.String())}}
	case !whole.Allowed:
		return t.outcomes(&pod.Metadata, &spec, whole)
	}
	return nil
}

// checkID is the upstream check a control is.
func checkID(c *control.Control) string {
	for _, f := range c.Frameworks {
		if _, id, ok := strings.Cut(f, ":"); ok && strings.HasPrefix(f, "pss-") {
			return id
		}
	}
	return ""
}

// trial asks the evaluator of one check who in a pod is to blame.
type trial struct {
	subject *control.Subject
	at      place
	judge   func(*metav1.ObjectMeta, *corev1.PodSpec) *policy.CheckResult
}

// outcomes blames the pod where it is refused without any container, its
// annotations likewise, and each container that is refused as the only one. What
// the pod is blamed for already is put right before its containers are asked about.
func (t trial) outcomes(meta *metav1.ObjectMeta, spec *corev1.PodSpec, whole *policy.CheckResult) []control.Outcome {
	evidence := whole.ForbiddenReason
	if whole.ForbiddenDetail != "" {
		evidence += ": " + whole.ForbiddenDetail
	}
	alone := *spec
	alone.Containers, alone.InitContainers, alone.EphemeralContainers = nil, nil, nil
	sound := corev1.PodSpec{OS: spec.OS, HostUsers: spec.HostUsers}
	var outcomes []control.Outcome
	if !t.judge(&metav1.ObjectMeta{}, &alone).Allowed {
		outcomes = append(outcomes, control.Outcome{Field: podField(t.subject, spec, t.at), Evidence: evidence})
	}
	if !t.judge(meta, &sound).Allowed {
		outcomes = append(outcomes, annotated(t.subject, meta, evidence))
	}
	if len(outcomes) > 0 {
		sound.SecurityContext = &corev1.PodSecurityContext{RunAsNonRoot: new(true), SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault}}
		alone = sound
	}
	outcomes = append(outcomes, t.containers(spec, alone)...)
	if len(outcomes) == 0 {
		return []control.Outcome{{Field: podField(t.subject, spec, t.at), Evidence: evidence}}
	}
	return outcomes
}

// containers blames each container that is refused as the only one of alone.
func (t trial) containers(spec *corev1.PodSpec, alone corev1.PodSpec) []control.Outcome {
	var outcomes []control.Outcome
	n := 0
	ask := func(with corev1.PodSpec) {
		item := t.subject.Containers[n]
		n++
		result := t.judge(&metav1.ObjectMeta{}, &with)
		if result.Allowed {
			return
		}
		field, _ := item["_path"].(string)
		if t.at.container != "" {
			field += "." + t.at.container
		}
		outcomes = append(outcomes, control.Outcome{Item: item, Field: field, Evidence: fmt.Sprintf("container %v: %s", item["name"], result.ForbiddenReason)})
	}
	for i := range spec.Containers {
		with := alone
		with.Containers = spec.Containers[i : i+1]
		ask(with)
	}
	for i := range spec.InitContainers {
		with := alone
		with.InitContainers = spec.InitContainers[i : i+1]
		ask(with)
	}
	for i := range spec.EphemeralContainers {
		with := alone
		with.EphemeralContainers = spec.EphemeralContainers[i : i+1]
		ask(with)
	}
	return outcomes
}

// annotated blames annotations, which set AppArmor profiles before there were fields.
func annotated(s *control.Subject, meta *metav1.ObjectMeta, evidence string) control.Outcome {
	gone := map[string]any{}
	for name := range meta.Annotations {
		if strings.HasPrefix(name, corev1.DeprecatedAppArmorBetaContainerAnnotationKeyPrefix) {
			gone[name] = nil
		}
	}
	steps := strings.Split(strings.TrimSuffix(s.Path, "spec")+"metadata", ".")
	patch := map[string]any{"annotations": gone}
	for i := len(steps) - 1; i >= 0; i-- {
		patch = map[string]any{steps[i]: patch}
	}
	return control.Outcome{Field: strings.Join(steps, ".") + ".annotations", Evidence: evidence, Patch: patch}
}

// podField is the field of the pod that a check is about.
func podField(s *control.Subject, spec *corev1.PodSpec, at place) string {
	field := at.pod
	if field == "hostNetwork" && !spec.HostNetwork {
		if field = "hostIPC"; spec.HostPID {
			field = "hostPID"
		}
	}
	if field == "" {
		return s.Path
	}
	return s.Path + "." + field
}
