package agent

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"sync/atomic"
	"time"

	"github.com/seawall-security/seawall/internal/agent/incident"
	"github.com/seawall-security/seawall/internal/detect/actor"
	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/sensor/auditlog"
)

// auditEvent is an entry of the audit log as an Event.
type auditEvent struct{ *auditlog.Entry }

// Subject is the pod or namespace the request is about; nobody else is known.
func (e auditEvent) Subject() seawall.Subject {
	o := e.ObjectRef
	if o == nil || o.Namespace == "" {
		return seawall.Subject{}
	}
	c := &seawall.Container{Namespace: o.Namespace}
	if o.Resource == "pods" {
		c.Pod = o.Name
		if u, err := url.ParseRequestURI(e.RequestURI); err == nil && o.Subresource != "" {
			c.Name = u.Query().Get("container")
		}
	}
	return seawall.Subject{Container: c}
}

// AuditLog is the audit log of an API server as a Source: a file that is followed,
// or what is fed to it.
type AuditLog struct {
	tail    *auditlog.Tail // nil: nothing is followed
	fed     chan fed
	ended   chan struct{} // closed when Run returns
	damaged atomic.Uint64
}

// fed is a batch on its way; taken is told when it has been judged.
type fed struct {
	entries []*auditlog.Entry
	taken   chan struct{}
}

// NewAuditLog returns a source that follows tail, which may be nil, beside what it is fed.
func NewAuditLog(tail *auditlog.Tail) *AuditLog {
	return &AuditLog{tail: tail, fed: make(chan fed), ended: make(chan struct{})}
}

// Name implements Source.
func (*AuditLog) Name() string { return seawall.SourceAudit }

// SetFilter implements Source: an audit log is read as a whole.
func (*AuditLog) SetFilter(seawall.EventFilter) error { return nil }

// Counters implements Source: lines that could not be read are lost.
func (a *AuditLog) Counters() []Counter {
	return []Counter{{Fate: FateLost, N: a.damaged.Load()}}
}

// Impaired implements Impaired: a log that is not there says nothing.
func (a *AuditLog) Impaired() string {
	if a.tail != nil && a.tail.Missing() {
		return a.tail.Path + " is not there: waiting for it"
	}
	return ""
}

// Feed hands entries over and returns when they have been judged. It may be called
// concurrently; once Run has returned nothing is taken any more.
func (a *AuditLog) Feed(ctx context.Context, entries []*auditlog.Entry) error {
	batch := fed{entries, make(chan struct{})}
	select {
	case a.fed <- batch:
	case <-a.ended:
		return fmt.Errorf("the audit log is not judged any more: %w", seawall.ErrTransient)
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case <-batch.taken:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Run implements Source. It is called once.
func (a *AuditLog) Run(ctx context.Context, _ seawall.EventFilter, emit func(Event)) error {
	defer close(a.ended)
	ended := make(chan error, 1)
	running, stop := context.WithCancel(ctx)
	defer stop()
	if a.tail != nil {
		go func() {
			ended <- a.tail.Run(running, func(e *auditlog.Entry) {
				if err := a.Feed(running, []*auditlog.Entry{e}); err != nil && ctx.Err() == nil {
					a.damaged.Add(1)
				}
			}, func(*auditlog.Damaged) { a.damaged.Add(1) })
		}()
	} else {
		go func() { <-running.Done(); ended <- nil }()
	}
	for {
		select {
		case batch := <-a.fed:
			for _, e := range batch.entries {
				emit(auditEvent{e})
			}
			close(batch.taken)
		case err := <-ended:
			return err
		}
	}
}

// Starter is an Event of a program that starts.
type Starter interface {
	// Entered are the arguments of a program whose parent is not in its container: the
	// container's first one, or one that a runtime was asked to run; nil of all others.
	Entered() []string
}

// Actors is the Observer that joins the audit log with the kernel's events: who asked
// for a shell is behind what the shell does, and who deployed a workload is told in
// its incidents. It finds tokens that are used from two places.
type Actors struct {
	sessions    actor.Sessions
	credentials actor.Credentials
	deployers   incident.Deployers
	execs       []string // the audit identifiers of exec requests, the newest at the end
	audited     bool     // there is an audit log
}

// patienceForRequest is how long the request that started a process may take to come.
const patienceForRequest = 1500 * time.Millisecond

// maxExecs bounds the exec requests that are remembered.
const maxExecs = 256

// Name implements Observer.
func (*Actors) Name() string { return "actors" }

// Observe implements Observer.
func (a *Actors) Observe(e Event) []seawall.Finding {
	switch e := e.(type) {
	case auditEvent:
		return a.request(e.Entry)
	case Starter:
		if args := e.Entered(); args != nil {
			a.started(e.(Event), args)
		}
	}
	return nil
}

func (a *Actors) started(e Event, args []string) {
	s := e.Subject()
	when, err := time.Parse(time.RFC3339Nano, e.Event().Time)
	if err == nil && s.Container != nil {
		a.sessions.Process(actor.Process{Time: when, ID: seawall.ProcessID{PID: s.PID, Start: s.Start}, Container: s.Container, Args: args})
	}
}

// request takes a request in. The same request has several stages: what starts is
// told when it starts, what was written when it is.
func (a *Actors) request(e *auditlog.Entry) []seawall.Finding {
	a.audited = true
	who := e.Actor()
	if o := e.ObjectRef; o != nil {
		switch {
		case o.Resource == "pods" && o.Subresource == "exec":
			if !a.began(e) {
				break
			}
			a.sessions.Request(execRequest(e, who))
		case o.Subresource == "" && e.Stage == "ResponseComplete" && (e.ResponseStatus == nil || e.ResponseStatus.Code < 400):
			a.deployers.Observe(e.Verb, o.Resource, o.Namespace, name(e), who)
		}
	}
	if e.Stage != "ResponseComplete" {
		return nil
	}
	return twoPlaces(&a.credentials, e)
}

// began says whether a stage is the first that is told of an exec: when it begins, or
// when it ends, where the audit policy leaves the beginning out.
func (a *Actors) began(e *auditlog.Entry) bool {
	if e.Stage != "ResponseStarted" && e.Stage != "ResponseComplete" || slices.Contains(a.execs, e.AuditID) {
		return false
	}
	if len(a.execs) >= maxExecs {
		a.execs = slices.Delete(a.execs, 0, 1)
	}
	a.execs = append(a.execs, e.AuditID)
	return true
}

// twoPlaces asks whether the request's token was used elsewhere.
func twoPlaces(c *actor.Credentials, e *auditlog.Entry) []seawall.Finding {
	ids := e.User.Extra["authentication.kubernetes.io/credential-id"]
	if len(ids) == 0 {
		return nil
	}
	f := c.Observe(actor.Use{Time: e.Time(), Credential: ids[0], Actor: *e.Actor()})
	if f == nil {
		return nil
	}
	f.Event, f.Time = e.Event(), e.Event().Time
	return []seawall.Finding{*f}
}

// name is that of the object, which a create has in its body.
func name(e *auditlog.Entry) string {
	var v seawall.Value
	e.Value(&seawall.FieldRef{Name: "ka.target.name", Index: -1}, 0, &v)
	return v.Text
}

func execRequest(e *auditlog.Entry, who *seawall.Actor) actor.Request {
	r := actor.Request{Time: e.RequestReceivedTimestamp, Namespace: e.ObjectRef.Namespace, Pod: e.ObjectRef.Name, Actor: *who}
	if u, err := url.ParseRequestURI(e.RequestURI); err == nil {
		r.Container, r.Command = u.Query().Get("container"), u.Query()["command"]
	}
	return r
}

// Complete implements Observer.
func (a *Actors) Complete(f *seawall.Finding, s *seawall.Subject) {
	if f.Actor == nil {
		f.Actor = a.sessions.Actor(s)
	}
}

// Pending implements Waiter: the kernel is faster than the audit log.
func (a *Actors) Pending(s *seawall.Subject, now time.Time) bool {
	return a.audited && a.sessions.Waits(s, now, patienceForRequest)
}

// Deployer is who wrote a container's workload last, as far as the audit log tells.
func (a *Actors) Deployer(c *seawall.Container) *seawall.Actor { return a.deployers.Of(c) }
