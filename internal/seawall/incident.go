package seawall

// Incident is findings of one place and time told as one story. A stream tells it
// anew, with the same ID, when it has grown; the last one counts.
type Incident struct {
	// ID is stable: of its first finding.
	ID string `json:"id"`
	// Asset is where: a container or a node.
	Asset    string   `json:"asset"`
	Title    string   `json:"title"`
	Severity Severity `json:"severity"`
	// Started and Updated are the times of its first and last finding, RFC 3339.
	Started string `json:"started"`
	Updated string `json:"updated"`
	// Container is where it happened; nil is on the node itself.
	Container *Container `json:"container,omitempty"`
	// Steps are its findings, in the order of their times; Count is how many there
	// were, also of those beyond the bound of Steps.
	Steps []IncidentStep `json:"steps"`
	Count int            `json:"count"`
	// Techniques are those of MITRE ATT&CK that its rules name.
	Techniques []string `json:"techniques,omitempty"`
	// Cause is what let it in, as far as known.
	Cause *IncidentCause `json:"cause,omitempty"`
	// Prevention names the policies that would have stopped it.
	Prevention []string `json:"prevention,omitempty"`
}

// IncidentStep is one finding of an incident.
type IncidentStep struct {
	Finding  string   `json:"finding"`
	Time     string   `json:"time"`
	Rule     string   `json:"rule"`
	Severity Severity `json:"severity"`
	Evidence string   `json:"evidence,omitempty"`
	PID      int      `json:"pid,omitempty"`
	// Actor is who asked for it, where a request is known.
	Actor *Actor `json:"actor,omitempty"`
	// Responses are what was done about it: "kill-process: enforced".
	Responses []string `json:"responses,omitempty"`
}

// IncidentCause is where an incident may have begun.
type IncidentCause struct {
	Image  string `json:"image,omitempty"`
	Digest string `json:"digest,omitempty"`
	// Packages of the image have vulnerabilities known to be exploited; Layer brought the first.
	Packages []IncidentPackage `json:"packages,omitempty"`
	Layer    *LayerInfo        `json:"layer,omitempty"`
	// DeployedBy is who made the workload, Shell who asked for a shell in it.
	DeployedBy *Actor `json:"deployedBy,omitempty"`
	Shell      *Actor `json:"shell,omitempty"`
}

// IncidentPackage is a package with what is known to be exploited in it.
type IncidentPackage struct {
	PackageRef
	Vulnerabilities []string `json:"vulnerabilities"`
	// InUse tells whether it was loaded; nil is not known.
	InUse *bool `json:"inUse,omitempty"`
}
