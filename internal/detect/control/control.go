// Package control holds controls as data: what must be so in a cluster, a
// manifest or a node, written in YAML files that users write the same way.
//
//	files -> Load -> []*Control -> Detector.Detect(facts) -> findings
//
// # A file
//
// One file per area. Decoding is strict: an unknown key, a wrong word or a
// mistake in an expression is an error with file, line and column.
//
//	area: workloads
//	controls:
//	- id: SW-POD-001                # letters, digits and dashes; SW-… are Seawall's own
//	  title: Containers must not share the host's network     # own words
//	  severity: high                # critical, high, medium, low
//	  inspects: [workloads]         # see below
//	  needs: [networkpolicies.networking.k8s.io]              # lists that must have been read, else not-evaluated
//	  applies: <CEL bool>           # false: not-applicable
//	  each: <CEL list>              # one judgement per element, as item (and its index)
//	  pass: <CEL bool>              # true: pass, false: fail
//	  check: goCheckName            # instead of pass: a function of the program
//	  manual: what a person must look at                      # instead of pass: always not-evaluated, for this reason
//	  field: <path or CEL string>   # where the finding points to
//	  evidence: <CEL string>        # the proof; by default the field's value where that is safe to show
//	  absent: not-applicable        # what it means that there is no such fact: not-applicable, not-evaluated, fail or pass
//	  rationale: why it matters
//	  remediation: what to do
//	  patch: <mapping or CEL map>   # see below
//	  references: [https://…]
//	  frameworks: ["cis-k8s-1.12:5.2.2"]
//	  distributions: [kubeadm, plain]                         # the only ones it is for; others are not-applicable
//
// Exactly one of pass, check and manual is there.
//
// # What a control inspects
//
//   - workloads: every pod template, wherever it is: Pod, Deployment, CronJob, any
//     other kind with spec.template.spec.containers. Judged once per object.
//   - a kind, "Service" or, where two groups have it, "Ingress.networking.k8s.io":
//     once per object.
//   - the kind of a config fact, "kubernetes/kube-apiserver", "host/sshd": once per fact.
//   - cluster: once, for the whole snapshot of a cluster or set of manifests.
//   - host: once, for all facts of a node.
//
// # Variables of expressions
//
//	object      the object as a map; null for facts, cluster and host
//	pod         its pod spec; null where it has none. Its volumes have _path
//	containers  all containers of pod, init and ephemeral ones too; each has
//	            _kind ("container", "init", "ephemeral") and _path ("spec.template.spec.containers[0]")
//	path        where pod is in object: "spec", "spec.template.spec", …
//	item, index the element of each and its number
//	config      the fact's data, a map of strings; null for objects
//	configs     map: kind of config fact -> list of data maps
//	namespaceObject  the object's Namespace, null when it is not known
//	now         the time to judge by
//	objects(kind)            all objects of a kind (cluster)
//	facts(kind)              all data maps of a kind of config fact; [] without any
//	files(glob)              facts about files, maps of path, owner, kind, mode, uid, gid, size;
//	                         as items of each they are the place of the finding
//	namesSecret(name, value) does a variable with this value look like a credential
//
// and the functions of package expression. A missing field is an error, and an
// error of pass, applies or each is not-evaluated, never pass: write object.?spec.?hostNetwork.orValue(false),
// config[?"--profiling"].orValue("true").
//
// # Fields and patches
//
// A field that is a plain path is taken literally; a first segment "pod" stands
// for the pod spec, "item" for the item's _path, "object" for nothing:
// pod.hostNetwork, item.securityContext.privileged. Anything else is CEL.
//
// A patch is a strategic merge patch as kubectl patch takes it. A mapping with
// the one key container is put into the container that is item, one with the
// one key pod into the pod spec; any other mapping is for the object. A text is
// CEL that builds such a mapping.
//
// # Findings
//
// One failing finding per object or item; passes, what does not apply and what
// could not be judged are one finding per control, status and asset, with count.
// What could not be read makes controls not-evaluated: facts "<family>/unread"
// with a resource and a reason, and "kubernetes/read" for each complete list. A
// fact "<family>/elsewhere" says why facts of a kind are not this asset's business
// (a provider's control plane): not-applicable. A fact's "unknown.<name>" says why
// it has no such setting.
package control

import (
	"go.yaml.in/yaml/v3"

	"github.com/seawall-security/seawall/internal/detect"
	"github.com/seawall-security/seawall/internal/seawall"
)

// Control is one thing that must be so. See the package comment for its fields.
type Control struct {
	ID            string
	Area          string
	Title         string
	Severity      seawall.Severity
	Inspects      []string
	Needs         []string
	Applies       Text
	Each          Text
	Pass          Text
	Check         string
	Manual        string
	Field         Text
	Evidence      Text
	Absent        seawall.Status
	Rationale     string
	Remediation   string
	Patch         Patch
	References    []string
	Frameworks    []string
	Distributions []string
	// Place is the control's own, for errors.
	Place Place
}

// Text is an expression, or "" , and where it stands.
type Text struct {
	Text string
	Place
}

// Patch is a mapping, or an expression that builds one; the zero value is none.
type Patch struct {
	Static map[string]any
	Text   Text
}

// Empty says whether the control offers no patch.
func (p Patch) Empty() bool { return p.Static == nil && p.Text.Text == "" }

// String is the patch as a control's author wrote it.
func (p Patch) String() string {
	if p.Static == nil {
		return p.Text.Text
	}
	text, err := yaml.Marshal(p.Static)
	if err != nil {
		return "" // it was read from YAML
	}
	return string(text)
}

// Rule is the control as 'seawall explain' shows it.
func (c *Control) Rule() detect.Rule {
	return detect.Rule{
		ID: c.ID, Title: c.Title, Severity: c.Severity, Rationale: c.Rationale, Remediation: c.Remediation, Patch: c.Patch.String(),
		References: c.References, Frameworks: c.Frameworks, Manual: c.Manual,
	}
}

// Check is a control's Go function. It judges one subject and returns what it
// found; nothing at all means the subject passes.
type Check func(s *Subject) []Outcome

// Outcome is one judgement of a Check.
type Outcome struct {
	// Status is fail when empty.
	Status seawall.Status
	// Object is what the outcome is about, the subject's when nil.
	Object *seawall.Object
	// Item is the container or other part of the object it is about, nil for the
	// whole: the control's field and patch are for it.
	Item map[string]any
	// Field is the path in the object, or the setting's name in a fact; by default
	// what the control's field says.
	Field    string
	Evidence string
	// Reason is for not-applicable and not-evaluated.
	Reason string
	// Severity, Title and Remediation override the control's where they are set.
	Severity    seawall.Severity
	Title       string
	Remediation string
	// Frameworks are added to the control's.
	Frameworks []string
	// Patch overrides the control's: a strategic merge patch for the object.
	Patch map[string]any
}
