package seawall

// Subject is whom an event is of: what a response acts on.
type Subject struct {
	// PID is the process's in the host's PID namespace; 0 is not known. Start tells
	// it from a later process of that number: nanoseconds since boot.
	PID   int
	Start uint64
	// Cgroup is the identifier of its cgroup (v2), CgroupPath the directory as the
	// agent sees it: of its container, where it is in one.
	Cgroup     uint64
	CgroupPath string
	// Prevented says how it was stopped before it could do anything: PreventedKernel,
	// PreventedPermission; "" is not.
	Prevented string
	// Lineage are the identities of its parents, the nearest first, as far as known.
	Lineage []ProcessID
	// Container is where it runs; nil is on the host.
	Container *Container
}

// How an exec was prevented.
const (
	// PreventedKernel: the process was ended at exec, before its first instruction.
	PreventedKernel = "kernel"
	// PreventedPermission: the exec was refused; the process goes on as it was.
	PreventedPermission = "permission"
)

// ProcessID names a process once and for all on a running machine.
type ProcessID struct {
	PID   int
	Start uint64
}

// Container is a container with the pod it is of, by what its node knows.
type Container struct {
	// ID is the runtime's, in full.
	ID   string `json:"id"`
	Name string `json:"name,omitempty"`
	// Image is the reference it was started by, Digest the manifest's.
	Image  string `json:"image,omitempty"`
	Digest string `json:"digest,omitempty"`
	// Namespace, Pod and PodUID are empty outside Kubernetes.
	Namespace string `json:"namespace,omitempty"`
	Pod       string `json:"pod,omitempty"`
	PodUID    string `json:"podUID,omitempty"`
	// Workload is what made the pod, as findings name objects: "Deployment/shop/web".
	Workload string            `json:"workload,omitempty"`
	Labels   map[string]string `json:"labels,omitempty"` // the pod's
}

// EventFilter is what a consumer wants of a sensor: events that it excludes no rule
// can be true for. The zero value wants everything. A sensor may send more.
type EventFilter struct {
	// Types are those wanted; nil is all.
	Types []string
	// Reads and Writes limit which opened paths are wanted, of files opened for
	// reading alone and of all others; nil is all.
	Reads, Writes *PathFilter
	// Maps also wants the files that are mapped executable (libraries), once for each cgroup.
	Maps bool
	// Environment also wants the variables of programs that start.
	Environment bool
}

// PathFilter is a set of opened files: those whose path, resolved as the process sees
// it or as claimed, begins or ends with one of these. An empty one is no file.
type PathFilter struct{ Prefixes, Suffixes []string }
