package seawall

import "net/netip"

// The sources of events.
const (
	SourceSyscall = "syscall"
	SourceAudit   = "k8s_audit"
)

// Event is one thing that happened: a system call that returned, a request to an
// API server. Fields have the names of the rules language
// (internal/detect/rules/fields.txt).
type Event struct {
	// Time is RFC 3339 with nanoseconds.
	Time string `json:"time"`
	// Type is the system call's name, or the request's verb.
	Type string `json:"type"`
	// Source is SourceSyscall or SourceAudit; "" is SourceSyscall.
	Source string `json:"source,omitempty"`
	// Fields are texts, numbers, booleans and lists of texts.
	Fields map[string]any `json:"fields,omitempty"`
}

// FieldRef names a field of an event as rules do: "proc.aname[2]".
type FieldRef struct {
	Name string
	// Argument is what stands in brackets; Index is its number where it is one, else -1.
	Argument string
	Index    int
}

// String is the field as written.
func (r *FieldRef) String() string {
	if r.Argument == "" {
		return r.Name
	}
	return r.Name + "[" + r.Argument + "]"
}

// Value is one content of a field: which member counts depends on the field.
type Value struct {
	Text    string
	Number  int64 // 0 and 1 for flags
	Address netip.Addr
}
