package node

import (
	"net/netip"
	"strconv"
	"time"
	"unsafe"

	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/sensor/identity"
	"github.com/seawall-security/seawall/internal/sensor/process"
	"github.com/seawall-security/seawall/internal/sensor/trace"
)

// Event is what the kernel saw with the process it was and the container it was
// in. It answers for the fields of the rules language (EventType, Value: the
// Record of package rules) without allocating for those that rules ask for often.
//
// It is valid until the function it was handed to returns, and so are the texts it
// gives. Event and Subject make copies that stay.
type Event struct {
	*kernelEvent
	Process *process.Process
	// Container is where the process runs; nil is the host.
	Container *identity.Container
	// Number counts the stream's events, from 1.
	Number uint64

	stream *Stream
	// prevented is Subject.Prevented of an exec that was refused.
	prevented string
	// scratch holds the texts made for this event.
	scratch []byte
	made    made
	environ []byte
}

// kernelEvent is trace.Event under a name that leaves Event free for the method.
type kernelEvent = trace.Event

// made are texts that are asked for more than once.
type made struct {
	fdName, path, path2  string
	hasName, has1, has2  bool
	query                string
	hasQuery, hasEnviron bool
}

// reset prepares for the next event.
func (e *Event) reset(t *trace.Event, p *process.Process, c *identity.Container) {
	e.kernelEvent, e.Process, e.Container = t, p, c
	e.Number++
	e.scratch = e.scratch[:0]
	e.made = made{}
	e.environ = nil
}

// Trace is what the kernel saw.
func (e *Event) Trace() *trace.Event { return e.kernelEvent }

// EventType is the system call's name.
func (e *Event) EventType() string { return e.Type.String() }

// Value puts the i-th value of a field into v and says whether there is one.
// internal/detect/rules/fields.txt has the fields.
func (e *Event) Value(r *seawall.FieldRef, i int, v *seawall.Value) bool {
	f, ok := table()[r.Name]
	return ok && f.get(e, r, i, v)
}

// text makes a text of what write appends. It holds as long as the event.
func (e *Event) text(write func(b []byte) []byte) string {
	from := len(e.scratch)
	e.scratch = write(e.scratch)
	return e.since(from)
}

// since is what has been appended to the scratch memory after from. Texts made
// before stay as they are when it moves.
func (e *Event) since(from int) string {
	made := e.scratch[from:]
	return unsafe.String(unsafe.SliceData(made), len(made))
}

func (e *Event) decimal(n int64) string {
	from := len(e.scratch)
	e.scratch = strconv.AppendInt(e.scratch, n, 10)
	return e.since(from)
}

// When is the time of the event.
func (e *Event) When() time.Time { return e.stream.cfg.Clock.Time(e.Time) }

// Subject is whom the event is of, for a response.
func (e *Event) Subject() seawall.Subject {
	s := seawall.Subject{PID: int(e.Task.PID), Start: e.Task.Start, Cgroup: e.Task.Cgroup, Prevented: e.prevented}
	if e.Flags&trace.FlagKilled != 0 {
		s.Prevented = seawall.PreventedKernel
	}
	for p := e.Process.Parent; p != nil && len(s.Lineage) < maxLineage; p = p.Parent {
		s.Lineage = append(s.Lineage, seawall.ProcessID{PID: int(p.PID), Start: p.Start})
	}
	if e.Container == nil {
		s.CgroupPath = e.stream.cfg.Identity.Path(e.Task.Cgroup)
		return s
	}
	s.CgroupPath = e.Container.CgroupPath
	c := e.Container.Container
	s.Container = &c
	return s
}

// maxLineage bounds the ancestors that are told.
const maxLineage = 16

// kind is what a field's value is.
type kind uint8

const (
	kindText kind = iota
	kindNumber
	kindFlag
	kindAddress
)

// field is how an event answers for one field.
type field struct {
	kind kind
	get  func(e *Event, r *seawall.FieldRef, i int, v *seawall.Value) bool
}

// text is a field with one text; "" is missing.
func text(of func(e *Event) string) field {
	return field{kindText, func(e *Event, _ *seawall.FieldRef, i int, v *seawall.Value) bool {
		if i > 0 {
			return false
		}
		v.Text = of(e)
		return v.Text != ""
	}}
}

// number is a field with one number.
func number(of func(e *Event) (int64, bool)) field {
	return field{kindNumber, func(e *Event, _ *seawall.FieldRef, i int, v *seawall.Value) (ok bool) {
		v.Number, ok = of(e)
		return ok && i == 0
	}}
}

// always is a number that every event has.
func always(of func(e *Event) int64) field {
	return number(func(e *Event) (int64, bool) { return of(e), true })
}

// flag is a field that is true or false.
func flag(of func(e *Event) (is, known bool)) field {
	return field{kindFlag, func(e *Event, _ *seawall.FieldRef, i int, v *seawall.Value) bool {
		is, known := of(e)
		v.Number, v.Text = 0, "false"
		if is {
			v.Number, v.Text = 1, "true"
		}
		return known && i == 0
	}}
}

// is is a flag that every event has.
func is(of func(e *Event) bool) field {
	return flag(func(e *Event) (bool, bool) { return of(e), true })
}

// address is a field with one address.
func address(of func(e *Event) netip.Addr) field {
	return field{kindAddress, func(e *Event, _ *seawall.FieldRef, i int, v *seawall.Value) bool {
		v.Address = of(e)
		return v.Address.IsValid() && i == 0
	}}
}

// ancestors is a field of the process's ancestors: with a number in brackets of
// that one (0 is the process itself), without of any.
func ancestors(k kind, of func(p *process.Process, v *seawall.Value)) field {
	return field{k, func(e *Event, r *seawall.FieldRef, i int, v *seawall.Value) bool {
		n := i + 1
		if r.Index >= 0 {
			if i > 0 {
				return false
			}
			n = r.Index
		}
		p := e.Process.Ancestor(n)
		if p == nil {
			return false
		}
		of(p, v) // that of one may be missing: it is not the end of the others
		return true
	}}
}
