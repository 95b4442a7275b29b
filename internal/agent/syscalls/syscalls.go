// Package syscalls is the kernel as a source of the agent's events: the BPF sensor,
// the processes and containers its events are of, and what is kept of them beside
// the rules.
//
//	sensor/kernel -> sensor/node (process, identity) -> Source.Run's emit
package syscalls

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"github.com/seawall-security/seawall/internal/agent"
	"github.com/seawall-security/seawall/internal/agent/prevent"
	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/sensor/identity"
	"github.com/seawall-security/seawall/internal/sensor/kernel"
	"github.com/seawall-security/seawall/internal/sensor/node"
)

// Config is what a Source is made of.
type Config struct {
	// Node is this node's name.
	Node string
	// CRI is the socket of the container runtime; "" is none: containers are known by their cgroups.
	CRI string
	// Pod gets a pod from the API server, as JSON; nil is not to ask it.
	Pod func(ctx context.Context, namespace, name string) ([]byte, error)
	// Attached is called once events are being recorded; nil is nothing.
	Attached func() error
	// Watchers see every event before the rules do.
	Watchers []Watcher
	// Prevention stops programs before they start; nil is not.
	Prevention *prevent.Prevention
}

// Watcher sees events beside the rules.
type Watcher interface {
	// Filter adds what it needs to what the rules want.
	Filter(f seawall.EventFilter) seawall.EventFilter
	// Observe sees an event, which is valid until it returns. It does not block.
	Observe(e *node.Event)
}

// buffer is the ring buffer's size. Its pages count twice in the resident size: they are mapped twice.
const buffer = 4 << 20

// Source implements agent.Source.
type Source struct {
	Config
	cri    *identity.CRI
	ids    *identity.Resolver
	stream *node.Stream
	sensor *kernel.Sensor
}

// New loads the sensor. Close gives back what it opened.
func New(cfg Config) (*Source, error) {
	s := &Source{Config: cfg}
	if cfg.CRI != "" {
		s.cri = identity.NewCRI(cfg.CRI)
	}
	var err error
	if s.ids, err = identity.New(identity.Config{CRI: s.cri, Pod: cfg.Pod}); err != nil {
		return nil, errors.Join(fmt.Errorf("containers: %w", err), s.Close())
	}
	if s.stream, err = node.New(node.Config{Node: cfg.Node, Identity: s.ids}); err != nil {
		return nil, errors.Join(fmt.Errorf("processes: %w", err), s.Close())
	}
	if s.sensor, err = kernel.New(kernel.Config{Started: s.attached, Buffer: buffer}); err != nil {
		return nil, errors.Join(seawall.WithHint(fmt.Errorf("kernel sensor: %w", err), "seawall-agent check shows what this kernel and these privileges allow"), s.Close())
	}
	if s.Prevention != nil {
		s.Prevention.Attach(s.sensor, s.stream, s.ids)
	}
	return s, nil
}

// attached fills the process tree when no event is missed any more.
func (s *Source) attached() error {
	if err := s.stream.Scan(); err != nil {
		return err
	}
	if s.Attached != nil {
		if err := s.Attached(); err != nil {
			return err
		}
	}
	debug.FreeOSMemory() // loading and compiling have left more than the agent will ever need again
	return nil
}

// Name implements agent.Source.
func (*Source) Name() string { return seawall.SourceSyscall }

// Run implements agent.Source.
func (s *Source) Run(ctx context.Context, f seawall.EventFilter, emit func(agent.Event)) error {
	var wait sync.WaitGroup
	asking, stop := context.WithCancel(ctx)
	wait.Go(func() { s.ids.Run(asking) })
	defer wait.Wait()
	defer stop()
	if s.Prevention != nil {
		wait.Go(func() { s.Prevention.Run(asking, emit) })
	}
	return s.stream.Run(ctx, s.sensor, s.with(f), func(e *node.Event) {
		for _, w := range s.Watchers {
			w.Observe(e)
		}
		emit(e)
		if s.Prevention != nil {
			s.Prevention.Seen(e)
		}
	})
}

// SetFilter implements agent.Source.
func (s *Source) SetFilter(f seawall.EventFilter) error { return s.sensor.SetFilter(s.with(f)) }

// with adds what watchers need to what the rules want.
func (s *Source) with(f seawall.EventFilter) seawall.EventFilter {
	for _, w := range s.Watchers {
		f = w.Filter(f)
	}
	return node.Filter(f)
}

// Counters implements agent.Source.
func (s *Source) Counters() []agent.Counter {
	var out []agent.Counter
	counts, err := s.sensor.Counters()
	if err != nil {
		return nil
	}
	for t, c := range counts {
		name := t.String()
		out = append(out, agent.Counter{Fate: agent.FateEmitted, Type: name, N: c.Emitted}, agent.Counter{Fate: agent.FateFiltered, Type: name, N: c.Filtered},
			agent.Counter{Fate: agent.FateLimited, Type: name, N: c.Limited}, agent.Counter{Fate: agent.FateLost, Type: name, N: c.Lost})
	}
	return append(out, agent.Counter{Fate: agent.FateLost, Type: "damaged", N: s.sensor.Damaged()}, agent.Counter{Fate: agent.FateUnidentified, N: s.stream.Stats().Early})
}

// Runtime is the container runtime's name and version.
func (s *Source) Runtime(ctx context.Context) (string, error) {
	if s.cri == nil {
		return "none", nil
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	name, version, err := s.cri.Version(ctx)
	return name + " " + version, err
}

// Close implements io.Closer. Run must have returned.
func (s *Source) Close() error {
	var errs []error
	if s.sensor != nil {
		errs = append(errs, s.sensor.Close())
	}
	if s.ids != nil {
		errs = append(errs, s.ids.Close())
	}
	if s.cri != nil {
		s.cri.Close()
	}
	return errors.Join(errs...)
}
