package actor

import (
	"slices"
	"time"

	"github.com/seawall-security/seawall/internal/seawall"
)

// Bounds of Sessions.
const (
	// window is how far the times of a request and of its process may be apart, and
	// how long one waits for the other: audit webhooks send in batches.
	window = time.Minute
	// early is how much before its request a process may seem to start: clocks differ.
	early = 2 * time.Second
	// maxWaiting bounds the requests, and the processes, that wait; maxSessions those joined.
	maxWaiting  = 1024
	maxSessions = 4096
)

// Request is an exec or attach of the audit log.
type Request struct {
	Time time.Time
	// Namespace and Pod; Container is "" where the request names none.
	Namespace, Pod, Container string
	// Command is what was asked to run; nil for an attach, which starts nothing.
	Command []string
	Actor   seawall.Actor
}

// Process is a program that started in a container and whose parent is not in it: the
// container's own first one, or what a runtime was asked to run.
type Process struct {
	Time      time.Time
	ID        seawall.ProcessID
	Container *seawall.Container
	Args      []string
}

// Sessions join the exec requests of the audit log with the processes they started.
// Either may be told first. A request is for one process; of equal ones the earliest
// are joined.
type Sessions struct {
	requests  []Request
	processes []Process
	actors    map[seawall.ProcessID]*seawall.Actor
	order     []seawall.ProcessID // of actors, the oldest first
}

// Request tells of a request. It returns the process it started, if that is known already.
func (s *Sessions) Request(r Request) (started seawall.ProcessID, ok bool) {
	if r.Command == nil {
		return started, false
	}
	s.forget(r.Time)
	for i, p := range s.processes {
		if fits(&r, &p) {
			s.processes = slices.Delete(s.processes, i, i+1)
			s.join(p.ID, r.Actor)
			return p.ID, true
		}
	}
	s.requests = keep(s.requests, r)
	return started, false
}

// Process tells of a process. It returns who asked for it, if that is known already.
func (s *Sessions) Process(p Process) *seawall.Actor {
	if p.Container == nil || p.Container.Pod == "" {
		return nil
	}
	s.forget(p.Time)
	for i, r := range s.requests {
		if fits(&r, &p) {
			s.requests = slices.Delete(s.requests, i, i+1)
			return s.join(p.ID, r.Actor)
		}
	}
	s.processes = keep(s.processes, p)
	return nil
}

// Actor is who is behind a process: who asked for it or for one of its parents; nil
// when nobody is known.
func (s *Sessions) Actor(subject *seawall.Subject) *seawall.Actor {
	if len(s.actors) == 0 {
		return nil
	}
	if a := s.actors[seawall.ProcessID{PID: subject.PID, Start: subject.Start}]; a != nil {
		return a
	}
	for _, parent := range subject.Lineage {
		if a := s.actors[parent]; a != nil {
			return a
		}
	}
	return nil
}

// Waits says whether a process or one of its parents started less than a time ago and
// its request is not known: it may still be told.
func (s *Sessions) Waits(subject *seawall.Subject, now time.Time, less time.Duration) bool {
	for i := len(s.processes) - 1; i >= 0 && now.Sub(s.processes[i].Time) < less; i-- {
		if id := s.processes[i].ID; id == (seawall.ProcessID{PID: subject.PID, Start: subject.Start}) || slices.Contains(subject.Lineage, id) {
			return true
		}
	}
	return false
}

// fits says whether a request may have started a process. The arguments of a process
// may have been cut.
func fits(r *Request, p *Process) bool {
	c := p.Container
	if r.Namespace != c.Namespace || r.Pod != c.Pod || r.Container != "" && r.Container != c.Name {
		return false
	}
	if d := p.Time.Sub(r.Time); d < -early || d > window {
		return false
	}
	return len(p.Args) > 0 && len(p.Args) <= len(r.Command) && slices.Equal(p.Args, r.Command[:len(p.Args)])
}

func (s *Sessions) join(id seawall.ProcessID, a seawall.Actor) *seawall.Actor {
	if s.actors == nil {
		s.actors = map[seawall.ProcessID]*seawall.Actor{}
	}
	if len(s.order) == maxSessions {
		delete(s.actors, s.order[0])
		s.order = s.order[1:]
	}
	s.actors[id] = &a
	s.order = append(s.order, id)
	return &a
}

// forget drops what has waited for too long.
func (s *Sessions) forget(now time.Time) {
	s.requests = slices.DeleteFunc(s.requests, func(r Request) bool { return now.Sub(r.Time) > window })
	s.processes = slices.DeleteFunc(s.processes, func(p Process) bool { return now.Sub(p.Time) > window })
}

// keep appends to a bounded list; the oldest makes room.
func keep[T any](list []T, e T) []T {
	if len(list) == maxWaiting {
		list = slices.Delete(list, 0, 1)
	}
	return append(list, e)
}
