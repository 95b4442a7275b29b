package kubernetes

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"

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

// readPod reads a subject's pod template again, with types.
func readPod(s *control.Subject) *typedPod {
	var p *typedPod
	var err error
	switch s.Path {
	case "spec":
		p = new(typedPod)
		err = json.Unmarshal(s.Object.JSON, p)
	case "template.spec":
		var o struct{ Template typedPod }
		err = json.Unmarshal(s.Object.JSON, &o)
		p = &o.Template
	case "spec.template.spec":
		var o struct{ Spec struct{ Template typedPod } }
		err = json.Unmarshal(s.Object.JSON, &o)
		p = &o.Spec.Template
	default:
		var o struct {
			Spec struct {
				JobTemplate struct{ Spec struct{ Template typedPod } }
			}
		}
		err = json.Unmarshal(s.Object.JSON, &o)
		p = &o.Spec.JobTemplate.Spec.Template
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
	judge := func(spec *corev1.PodSpec) *policy.CheckResult {
		results := c.evaluator.EvaluatePod(api.LevelVersion{Level: c.level, Version: p.version}, &pod.Metadata, spec)
		if len(results) == 0 {
			return nil
		}
		return &results[0]
	}
	spec := pod.Spec
	without(&spec)
	whole := judge(&spec)
	switch {
	case whole == nil:
		return []control.Outcome{{Status: seawall.StatusNotApplicable, Reason: fmt.Sprintf("not part of the Pod Security Standards %s", p.version.String())}}
	case whole.Allowed:
		return nil
	}
	return locate(s, &spec, whole, podSecurityPlaces()[id], judge)
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

// locate asks the evaluator who is to blame: the pod without any container, or
// each container as the only one.
func locate(s *control.Subject, spec *corev1.PodSpec, whole *policy.CheckResult, at place, judge func(*corev1.PodSpec) *policy.CheckResult) []control.Outcome {
	evidence := whole.ForbiddenReason
	if whole.ForbiddenDetail != "" {
		evidence += ": " + whole.ForbiddenDetail
	}
	alone := *spec
	alone.Containers, alone.InitContainers, alone.EphemeralContainers = nil, nil, nil
	if !judge(&alone).Allowed {
		return []control.Outcome{{Field: podField(s, spec, at), Evidence: evidence}}
	}
	var outcomes []control.Outcome
	blame := func(item map[string]any, result *policy.CheckResult) {
		if result.Allowed {
			return
		}
		field, _ := item["_path"].(string)
		if at.container != "" {
			field += "." + at.container
		}
		outcomes = append(outcomes, control.Outcome{Item: item, Field: field, Evidence: fmt.Sprintf("container %v: %s", item["name"], result.ForbiddenReason)})
	}
	n := 0
	for i := range spec.Containers {
		one := alone
		one.Containers = spec.Containers[i : i+1]
		blame(s.Containers[n], judge(&one))
		n++
	}
	for i := range spec.InitContainers {
		one := alone
		one.InitContainers = spec.InitContainers[i : i+1]
		blame(s.Containers[n], judge(&one))
		n++
	}
	for i := range spec.EphemeralContainers {
		one := alone
		one.EphemeralContainers = spec.EphemeralContainers[i : i+1]
		blame(s.Containers[n], judge(&one))
		n++
	}
	if len(outcomes) == 0 {
		return []control.Outcome{{Field: podField(s, spec, at), Evidence: evidence}}
	}
	return outcomes
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
