// Package policy decides what is done about findings, objects and images: one
// document for every phase of a workload's life, build, registry, deploy and run.
//
//	YAML -> Parse / Load -> Set (policies and exceptions) -> Decide(Input) -> []seawall.Decision
//
// A Policy is checked completely when it is read: unknown keys, unknown fields in
// expressions, and actions that a phase cannot carry out are errors with file, line
// and column. Deciding is pure: the time is Input's, nothing is read or written, and
// every violation is told.
//
// What a rule is asked about depends on what its condition names (its variables'
// expressions included), the first that fits:
//
//	finding                      every failing finding of the input that nobody suppressed
//	object, namespaceObject,
//	request                      the input's object; without one the rule is not asked
//	workload                     the input's workload; without one the rule is not asked
//	image                        every image of the input; without one the rule is not asked
//	none of these                the input as a whole, where it has no object
//
// Everything else that the condition names and the input does not say is unknown,
// and unknown facts are carried through as in "false && unknown", which is false. A
// rule whose result hangs on an unknown fact matches, and says so in its reason; an
// exclusion or exception whose result does is not honoured.
//
// Package suppress is the other way to accept a finding: ignore files and VEX, before any policy.
package policy

import (
	"slices"
	"time"

	"github.com/seawall-security/seawall/internal/expression"
	"github.com/seawall-security/seawall/internal/seawall"
)

// APIVersion is that of all documents here.
const APIVersion = "seawall.io/v1alpha1"

// The phases of a workload's life.
const (
	PhaseBuild    = "build"
	PhaseRegistry = "registry"
	PhaseDeploy   = "deploy"
	PhaseRun      = "run"
)

// Phases are all phases, in their order.
func Phases() []string { return []string{PhaseBuild, PhaseRegistry, PhaseDeploy, PhaseRun} }

// ActionsOf are what can be done in a phase, the mildest first.
func ActionsOf(phase string) []string {
	switch phase {
	case PhaseBuild:
		return []string{"alert", "block"}
	case PhaseDeploy:
		return []string{"alert", ActionMutate, "block"}
	case PhaseRegistry:
		return []string{"alert", "mark"}
	case PhaseRun:
		return []string{"alert", "kill-process", "kill-container", "delete-pod", "isolate", "capture"}
	}
	return nil
}

// The modes: enforced, told to whoever asks, or only kept in reports.
const (
	ModeEnforce = "enforce"
	ModeWarn    = "warn"
	ModeAudit   = "audit"
)

// The outcomes of a decision.
const (
	OutcomeEnforced = "enforced"
	OutcomeDryRun   = "dry-run"
	OutcomeFailed   = "failed"
)

// Policy is one document, compiled. It is safe for concurrent use.
type Policy struct {
	Name        string
	Description string
	Place       Place
	Phases      []string
	Mode        string
	// Closed: what cannot be judged is treated as a violation.
	Closed bool
	// UnknownImages is what admission does with an image nobody scanned: allow-and-scan, wait or deny.
	UnknownImages string
	Rules         []*Rule

	match, exclude *criteria
	// exceptions: which namespaces may make exceptions, and for how many days (0 is no bound).
	exceptionNamespaces []string
	exceptionDays       int
	environment         *expression.Environment
	definitions         []Definition
	// variables are the policy's own, and what each of them names in turn.
	variables map[string][]string
	programs  map[string]*expression.Program // theirs
	// asksScans: at admission, some rule asks what only a scan of an image knows.
	asksScans bool
}

// Rule is one condition of a policy.
type Rule struct {
	Name  string
	Place Place
	// When is the condition's text.
	When string
	// Mutation is what the action mutate does; nil where no phase has it.
	Mutation *Mutation

	mode    string
	actions map[string]string // phase -> action
	grace   grace
	message string
	// messageText is messageOf's.
	messageText string
	messageOf   *expression.Program
	when        *expression.Program
	subject     subject
	// kinds, severities and exploited are what a finding must be for the rule to match;
	// nil and false say nothing.
	kinds, severities []string
	exploited         bool
	// uses are all variables that the rule names, itself or through others.
	uses []string
}

// grace is how long a problem may stay before the rule acts.
type grace struct {
	days int
	from string // fixed, published or firstSeen
}

// subject is what a rule is asked about.
type subject int

const (
	subjectInput subject = iota
	subjectImage
	subjectWorkload
	subjectObject
	subjectFinding
)

// Input is what is known of one thing to decide about. The zero value of a field
// says that it is not known.
type Input struct {
	// Phase is one of Phases.
	Phase string
	Now   time.Time
	Asset *seawall.Asset
	// Images are those the thing is or runs.
	Images []Image
	// Findings about the thing; only failing ones are judged.
	Findings []seawall.Finding
	// Own are more of them, prepared. Those of objects like it may have been made for one
	// of another name: decisions place them in this one.
	Own *Scan
	// Object is the Kubernetes object as it would be stored, Workload what it runs.
	Object   map[string]any
	Workload *Workload
	// Namespace is the Namespace object; NamespaceName is enough for matching.
	Namespace     map[string]any
	NamespaceName string
	Cluster       string
	// Request is the admission request (admission.k8s.io/v1).
	Request map[string]any
	// Location places a field of Object; nil places nothing.
	Location func(field string) seawall.Location
	// FirstSeen says since when findings are known here, by their identifiers.
	FirstSeen map[string]time.Time
	// Exceptions that may apply.
	Exceptions []*Exception
	// Mutator carries mutations out; without one they fail.
	Mutator Mutator

	// values are the input's as expressions see them, where many policies share them.
	values *expression.Input
}

// Image is what is known of an image, by its reference alone or by a scan.
type Image struct {
	// Name is the full reference: "docker.io/library/nginx:1.25".
	Name       string `json:"name"`
	Registry   string `json:"registry" cel:"unknown"`
	Repository string `json:"repository" cel:"unknown"`
	// Tag is "" for a reference that has a digest alone.
	Tag *string `json:"tag"`
	// Digest is the manifest's.
	Digest string `json:"digest" cel:"unknown"`
	// Signed tells whether the signatures asked for are there, Signer who made the first.
	Signed *bool   `json:"signed"`
	Signer *string `json:"signer"`
	// Base is the name of the base image.
	Base *string `json:"base"`
	// Age is the days since it was built.
	Age *int `json:"age"`
	// Packages counts what is installed, Counts the failing findings.
	Packages *int              `json:"packages"`
	Counts   *Counts           `json:"counts" cel:"unknown"`
	Labels   map[string]string `json:"labels" cel:"unknown"`
	User     *string           `json:"user"`

	// Field is where Input's object names it.
	Field string `json:"-"`
	// Scan is what a scan found in it, about which rules are asked as about Input's
	// findings; nil where they are among those, or not known.
	Scan *Scan `json:"-"`
	// Unscanned is why no scan of it is known. What only a scan knows is then answered by
	// the policies' unknownImages, and by no rule.
	Unscanned string `json:"-"`
	// Unscannable says that a scan was tried, or looked for, and went wrong: then the
	// failure mode answers.
	Unscannable bool `json:"-"`
	// Unreached is why its registry did not say its digest or signatures. What hangs on
	// them could not be judged.
	Unreached string `json:"-"`
}

// Counts are the failing findings of an image by severity.
type Counts struct {
	Critical   int `json:"critical"`
	High       int `json:"high"`
	Medium     int `json:"medium"`
	Low        int `json:"low"`
	Negligible int `json:"negligible"`
	Unknown    int `json:"unknown"`
}

// Workload is an object that makes pods.
type Workload struct {
	Kind           string            `json:"kind"`
	Namespace      string            `json:"namespace"`
	Name           string            `json:"name"`
	Labels         map[string]string `json:"labels"`
	Annotations    map[string]string `json:"annotations"`
	ServiceAccount string            `json:"serviceAccount"`
	// Pod is the pod spec; Containers are all its containers, init and ephemeral
	// ones too, each with _kind and _path.
	Pod        map[string]any `json:"pod"`
	Containers []any          `json:"containers"`
}

// Set is policies and the exceptions from them.
type Set struct {
	Policies   []*Policy
	Exceptions []*Exception
	// Native are Kubernetes' own policies, nil for none.
	Native Native
}

// Native are policies in Kubernetes' own language. Package kube has them.
type Native interface {
	// Decide is as Set's.
	Decide(in Input) []seawall.Decision
	// Mutate gives the object as it is judged, before and after the mutations; nil, nil
	// where there is none to judge, or a mutation was refused: Decide says so.
	Mutate(in Input) (before, after map[string]any)
	// Lint says what is allowed and most likely not meant, each with its place.
	Lint() []string
	// Names are the policies'.
	Names() []string
}

// ReadNative reads documents that are not of this package's kinds: policies and what
// they take as parameters. Anything else is an error.
type ReadNative func(documents []Source) (Native, error)

// Decide gives the decisions of all policies, in their order.
func (s *Set) Decide(in Input) []seawall.Decision {
	in.Exceptions = s.Exceptions
	in.prepare()
	var decisions []seawall.Decision
	for _, p := range s.Policies {
		decisions = append(decisions, p.Decide(in)...)
	}
	if s.Native != nil {
		decisions = append(decisions, s.Native.Decide(in)...)
	}
	return decisions
}

// Uses says whether a policy is for a phase.
func (p *Policy) Uses(phase string) bool { return slices.Contains(p.Phases, phase) }

// Blocks says whether a decision stops what it is about.
func Blocks(d *seawall.Decision) bool { return d.Action == "block" && d.Outcome == OutcomeEnforced }
