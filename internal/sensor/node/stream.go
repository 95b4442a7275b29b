// Package node turns what the kernel saw into events that rules can judge: with the
// process and its ancestors (package process), the container, image and pod
// (package identity), users by name, connections with the names they were looked
// up by.
//
// A Stream takes the kernel's events one by one. Those of a container that is not
// identified yet are held, in their order, until it is or its time is over; the
// others pass. An event is emitted with whatever is known of its container by
// then: at least its identifier, never as the host's.
package node

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/sensor/identity"
	"github.com/seawall-security/seawall/internal/sensor/process"
	"github.com/seawall-security/seawall/internal/sensor/trace"
)

// Sensor is where events come from. Its Run hands them over one at a time until ctx ends.
type Sensor interface {
	Run(ctx context.Context, f seawall.EventFilter, emit func(*trace.Event)) error
}

// Identity tells whose cgroups are; identity.Resolver does.
type Identity interface {
	// Lookup is nil for the host. ready is false when more will be known soon.
	Lookup(cgroup uint64, pid uint32) (c *identity.Container, ready bool)
	// Learn takes the path of a cgroup that has been made.
	Learn(cgroup uint64, path string)
	Path(cgroup uint64) string
	// Resolved has something in it after a container has become known.
	Resolved() <-chan struct{}
}

// Config are the parameters of a Stream.
type Config struct {
	// Node is this node's name.
	Node     string
	Identity Identity
	// Clock turns the kernel's time into time of day; the zero value is the machine's, followed when it is set.
	Clock trace.Clock
	// Proc is where proc is mounted; "" is /proc.
	Proc string
	// Processes bounds the process tree.
	Processes int
	// MaxHeld bounds the memory of held events, in bytes; 0 is 8 MiB. Beyond it events
	// are emitted with what is known.
	MaxHeld int
	// HoldFor bounds how long an event is held; 0 is 3 s.
	HoldFor time.Duration
}

// Stats count what a stream has done.
type Stats struct {
	// Events were emitted. Held are those held of them, Early those that left before
	// their container was known, for want of memory or time.
	Events, Held, Early uint64
	// Waiting are held now.
	Waiting   int
	Processes process.Stats
}

// Stream is the state of one node. Run may be called once.
type Stream struct {
	cfg Config
	// fixed: the clock was given.
	fixed bool

	mu       sync.Mutex
	tree     *process.Tree
	emit     func(*Event)
	event    Event
	held     map[uint64]*queue
	bytes    int
	stats    Stats
	accounts map[string]*accounts
	names    names
	caps     map[uint64]string
	guard    process.Guard
	idMaps   map[uint32]*idMap // by user namespace
}

// queue are the held events of one cgroup.
type queue struct {
	events []*trace.Event
	bytes  int
	until  time.Time
}

// New makes a stream. It knows no process before Scan.
func New(cfg Config) (*Stream, error) {
	if cfg.Proc == "" {
		cfg.Proc = "/proc"
	}
	if cfg.MaxHeld == 0 {
		cfg.MaxHeld = 8 << 20
	}
	if cfg.HoldFor == 0 {
		cfg.HoldFor = 3 * time.Second
	}
	fixed := cfg.Clock != (trace.Clock{})
	if !fixed {
		clock, err := now()
		if err != nil {
			return nil, err
		}
		cfg.Clock = clock
	}
	s := &Stream{
		cfg: cfg, fixed: fixed, tree: process.New(process.Config{Proc: cfg.Proc, Max: cfg.Processes}),
		held: map[uint64]*queue{}, accounts: map[string]*accounts{}, caps: map[uint64]string{}, idMaps: map[uint32]*idMap{},
	}
	s.event.stream = s
	return s, nil
}

// Scan adds the processes that are there. The moment for it is when the sensor is
// attached and before its first event (kernel.Config.Started): none is missed then.
func (s *Stream) Scan() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.tree.Scan()
}

func now() (trace.Clock, error) {
	var boot unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &boot); err != nil {
		return trace.Clock{}, err
	}
	return trace.NewClock(time.Now(), time.Duration(boot.Nano())), nil
}

// Stats returns the counters. It is not for the function events are emitted to.
func (s *Stream) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	stats := s.stats
	stats.Processes = s.tree.Stats()
	for _, q := range s.held {
		stats.Waiting += len(q.events)
	}
	return stats
}

// Run asks the sensor for Filter(f) and emits its events until ctx ends or the sensor fails, one at a time.
// Events that are held then are emitted before it returns.
func (s *Stream) Run(ctx context.Context, sensor Sensor, f seawall.EventFilter, emit func(*Event)) error {
	s.emit = emit
	releasing, stop := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.releaseLoop(releasing)
	}()
	err := sensor.Run(ctx, Filter(f), s.take)
	stop()
	<-done
	s.release(true)
	return err
}

// releaseLoop lets held events go when their containers have become known.
func (s *Stream) releaseLoop(ctx context.Context) {
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	clock := time.NewTicker(10 * time.Second)
	defer clock.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-clock.C:
			s.setClock()
		case <-s.cfg.Identity.Resolved():
		case <-tick.C:
		}
		s.release(false)
	}
}

// setClock follows changes of the time of day.
func (s *Stream) setClock() {
	if clock, err := now(); err == nil && !s.fixed {
		s.mu.Lock()
		s.cfg.Clock = clock
		s.mu.Unlock()
	}
}

func (s *Stream) release(all bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for cgroup, q := range s.held {
		c, ready := s.cfg.Identity.Lookup(cgroup, q.events[0].Task.PID)
		if ready || all || time.Now().After(q.until) {
			s.flush(cgroup, c, ready)
		}
	}
}

// flush emits the held events of a cgroup.
func (s *Stream) flush(cgroup uint64, c *identity.Container, known bool) {
	q := s.held[cgroup]
	if q == nil {
		return
	}
	delete(s.held, cgroup)
	s.bytes -= q.bytes
	if !known {
		s.stats.Early += uint64(len(q.events))
	}
	for _, e := range q.events {
		s.pass(e, c)
	}
}

// take receives an event from the sensor.
func (s *Stream) take(e *trace.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch e.Type {
	case trace.CgroupMkdir:
		s.cfg.Identity.Learn(e.Child.Cgroup, e.Path)
		return
	case trace.CgroupRmdir:
		return
	}
	if e.Child.Cgroup != 0 && e.Child.Cgroup != e.Task.Cgroup {
		s.cfg.Identity.Lookup(e.Child.Cgroup, e.Child.PID) // it will be needed
	}
	c, ready := s.cfg.Identity.Lookup(e.Task.Cgroup, e.Task.PID)
	if !ready && s.hold(e) {
		return
	}
	if !ready {
		s.stats.Early++
	}
	s.flush(e.Task.Cgroup, c, ready)
	s.pass(e, c)
}

// hold keeps an event, after those of its cgroup that are held already. false: there is no room.
func (s *Stream) hold(e *trace.Event) bool {
	n := size(e)
	if s.bytes+n > s.cfg.MaxHeld {
		return false
	}
	q := s.held[e.Task.Cgroup]
	if q == nil {
		q = &queue{until: time.Now().Add(s.cfg.HoldFor)}
		s.held[e.Task.Cgroup] = q
	}
	q.events = append(q.events, e.Clone())
	q.bytes += n
	s.bytes += n
	s.stats.Held++
	return true
}

// size is about the memory a clone takes.
func size(e *trace.Event) int {
	return int(unsafe.Sizeof(*e)) + len(e.Path) + len(e.Path2) + len(e.Dir) + len(e.Dir2) + len(e.File.Path) + len(e.Exec.Args) + len(e.Exec.Env) + len(e.Exec.CWD) + len(e.Payload)
}

// pass joins an event with its process and emits it.
func (s *Stream) pass(t *trace.Event, c *identity.Container) {
	p := s.tree.Apply(t)
	s.names.learn(t)
	s.stats.Events++
	s.event.reset(t, p, c)
	s.emit(&s.event)
}

// capabilities are the names in a set, in the order of their numbers.
func (s *Stream) capabilities(set uint64) string {
	if set == 0 {
		return ""
	}
	if made, ok := s.caps[set]; ok {
		return made
	}
	var all []string
	for i, name := range capabilityNames() {
		if set&(1<<i) != 0 {
			all = append(all, name)
		}
	}
	if len(s.caps) >= 256 {
		clear(s.caps)
	}
	s.caps[set] = strings.Join(all, " ")
	return s.caps[set]
}

// maxProcFile bounds what is read of a file of /proc.
const maxProcFile = 64 << 10

// procFile reads a file of a process, nil when it cannot.
func (s *Stream) procFile(pid uint32, name string) []byte {
	path := filepath.Join(s.cfg.Proc, strconv.FormatUint(uint64(pid), 10), name)
	b, _ := process.Look(&s.guard, func() []byte {
		f, err := os.Open(path)
		if err != nil {
			return nil
		}
		defer f.Close()
		b, err := io.ReadAll(io.LimitReader(f, maxProcFile))
		if err != nil {
			return nil
		}
		return b
	})
	return b
}

// descriptorName is what a descriptor of a process refers to now.
func (s *Stream) descriptorName(p *process.Process, fd int) string {
	name, err := os.Readlink(filepath.Join(s.cfg.Proc, strconv.FormatUint(uint64(p.PID), 10), "fd", strconv.Itoa(fd)))
	if err != nil {
		return ""
	}
	return name
}
