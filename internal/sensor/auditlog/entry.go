package auditlog

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/seawall-security/seawall/internal/seawall"
)

// Entry is one audit event. Its exported part is what every event has; the
// request's and the response's object are read when a field needs them.
type Entry struct {
	AuditID                  string            `json:"auditID"`
	Stage                    string            `json:"stage"`
	Level                    string            `json:"level"`
	RequestURI               string            `json:"requestURI"`
	Verb                     string            `json:"verb"`
	User                     User              `json:"user"`
	ImpersonatedUser         *User             `json:"impersonatedUser"`
	SourceIPs                []string          `json:"sourceIPs"`
	UserAgent                string            `json:"userAgent"`
	ObjectRef                *Object           `json:"objectRef"`
	ResponseStatus           *Response         `json:"responseStatus"`
	RequestReceivedTimestamp time.Time         `json:"requestReceivedTimestamp"`
	StageTimestamp           time.Time         `json:"stageTimestamp"`
	Annotations              map[string]string `json:"annotations"`

	raw    []byte
	parsed bool
	tree   any
}

// User is who asked.
type User struct {
	Username string              `json:"username"`
	UID      string              `json:"uid"`
	Groups   []string            `json:"groups"`
	Extra    map[string][]string `json:"extra"`
}

// Object is what the request is about.
type Object struct {
	Resource    string `json:"resource"`
	Namespace   string `json:"namespace"`
	Name        string `json:"name"`
	APIGroup    string `json:"apiGroup"`
	APIVersion  string `json:"apiVersion"`
	Subresource string `json:"subresource"`
}

// Response is how the request ended.
type Response struct {
	Code   int    `json:"code"`
	Reason string `json:"reason"`
}

func newEntry(raw []byte) (*Entry, error) {
	e := &Entry{raw: append([]byte(nil), raw...)}
	if err := json.Unmarshal(e.raw, e); err != nil {
		return nil, fmt.Errorf("%w: %w", err, seawall.ErrCorrupt)
	}
	if e.Verb == "" && e.Stage == "" {
		return nil, fmt.Errorf("an audit event without verb and stage: %w", seawall.ErrCorrupt)
	}
	return e, nil
}

// Time is when the stage was reached.
func (e *Entry) Time() time.Time {
	if e.StageTimestamp.IsZero() {
		return e.RequestReceivedTimestamp
	}
	return e.StageTimestamp
}

// Actor is who asked, in a finding's words.
func (e *Entry) Actor() *seawall.Actor {
	return &seawall.Actor{User: e.User.Username, Groups: e.User.Groups, SourceIPs: e.SourceIPs}
}

// Resource names the object as findings do: "pods/shop/web-1".
func (e *Entry) Resource() string {
	o := e.ObjectRef
	if o == nil {
		return ""
	}
	s := o.Resource
	if o.Namespace != "" {
		s += "/" + o.Namespace
	}
	if o.Name != "" {
		s += "/" + o.Name
	}
	return s
}

// document is the whole event, read once.
func (e *Entry) document() any {
	if !e.parsed {
		e.parsed = true
		_ = json.Unmarshal(e.raw, &e.tree) // it was read before
	}
	return e.tree
}
