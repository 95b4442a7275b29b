package kernel

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"
	"github.com/cilium/ebpf/link"
	"github.com/cilium/ebpf/ringbuf"
	"github.com/cilium/ebpf/rlimit"
	"golang.org/x/sys/unix"

	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/sensor/trace"
)

// Config are the parameters of a Sensor; the zero value is a good one.
type Config struct {
	// Buffer is the ring buffer's size in bytes, a power of two; 0 is 8 MiB.
	Buffer int
	// Rate and Burst protect against floods: events a second of one type that one cgroup may cause on one
	// CPU; more are counted as limited. 0 is 20,000 and 40,000, a negative rate is no limit. Processes and denials are not limited.
	Rate, Burst int
	// Started is called by Run once the programs are attached and before the first event:
	// what /proc shows then is the state that the events change. nil is nothing.
	Started func() error
}

// The defaults of Config.
const (
	defaultBuffer = 8 << 20
	defaultRate   = 20_000
	defaultBurst  = 40_000
)

// How the ring buffer is read. While events come the reader looks for more every
// awake; after quiet looks without any it says so and sleeps until a program that
// has an event wakes it, or for asleep.
const (
	awake  = 10 * time.Millisecond
	quiet  = 3
	asleep = time.Second
)

// Sensor is the loaded programs. Its methods may be called concurrently.
type Sensor struct {
	config  Config
	objects sensorObjects
	calls   map[trace.Type]sensorCall
	// rows are the keys of each type in the table of calls.
	rows map[trace.Type][]uint32
	ring bool // operations of io_uring can be told
	own  uint32

	mu       sync.Mutex
	filter   seawall.EventFilter
	prefixes map[sensorPrefixKey]uint32
	suffixes map[sensorSuffixKey]uint32
	denials  map[sensorDenyKey]uint32
	guarded  map[uint64]uint32
	damaged  uint64
}

// New loads the programs into the kernel without attaching them. It needs CAP_BPF and CAP_PERFMON
// and a kernel with BTF and what the programs call (Linux 5.15).
func New(cfg Config) (*Sensor, error) {
	if cfg.Buffer == 0 {
		cfg.Buffer = defaultBuffer
	}
	if cfg.Rate == 0 {
		cfg.Rate, cfg.Burst = defaultRate, defaultBurst
	}
	if cfg.Burst <= 0 {
		cfg.Burst = cfg.Rate
	}
	s := &Sensor{
		config: cfg, calls: describe(), rows: map[trace.Type][]uint32{},
		prefixes: map[sensorPrefixKey]uint32{}, suffixes: map[sensorSuffixKey]uint32{},
		denials: map[sensorDenyKey]uint32{}, guarded: map[uint64]uint32{},
	}
	for base, numbers := range map[uint32][]number{0: nativeNumbers(), callsNative: compatNumbers(), callsMultiplex: multiplexNumbers()} {
		for _, n := range numbers {
			s.rows[n.typ] = append(s.rows[n.typ], base+n.nr)
		}
	}
	if err := s.load(); err != nil {
		return nil, seawall.WithHint(fmt.Errorf("loading the BPF programs: %w", err), "seawall-agent check tells what this kernel and these privileges allow")
	}
	return s, nil
}

func (s *Sensor) load() error {
	if err := rlimit.RemoveMemlock(); err != nil {
		return err
	}
	spec, err := loadSensor()
	if err != nil {
		return err
	}
	cpus, err := ebpf.PossibleCPU()
	if err != nil {
		return err
	}
	spec.Maps[sensorMapScratches].MaxEntries = uint32(cpus)
	spec.Maps[sensorMapEvents].MaxEntries = uint32(s.config.Buffer)
	for name, t := range map[string]trace.Type{
		sensorVarTypeExecve: trace.Execve, sensorVarTypeExecveat: trace.Execveat, sensorVarTypeExit: trace.Exit,
		sensorVarTypeClone: trace.Clone, sensorVarTypeClone3: trace.Clone3, sensorVarTypeConnect: trace.Connect,
		sensorVarTypeCgroupMkdir: trace.CgroupMkdir, sensorVarTypeCgroupRmdir: trace.CgroupRmdir, sensorVarTypeIoUringOp: trace.IOUringOp,
	} {
		if err := spec.Variables[name].Set(uint16(t)); err != nil {
			return err
		}
	}
	if err := s.adapt(spec); err != nil {
		return err
	}
	if s.own, err = ownPID(); err != nil {
		return fmt.Errorf("finding out this process's number: %w", err)
	}
	if err := spec.LoadAndAssign(&s.objects, nil); err != nil {
		return err
	}
	if err := s.setHandlers(); err != nil {
		_ = s.objects.Close()
		return err
	}
	return nil
}

// ownPID is this process's number as the kernel counts, which is another one than its
// own PID namespace has, where the node is itself a container. The kernel is asked by a
// program that runs once, in this process.
func ownPID() (uint32, error) {
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Name: "own_pid", Type: ebpf.RawTracepoint, License: "GPL",
		Instructions: asm.Instructions{asm.FnGetCurrentPidTgid.Call(), asm.RSh.Imm(asm.R0, 32), asm.Return()},
	})
	if err != nil {
		return 0, err
	}
	defer p.Close()
	return p.Run(&ebpf.RunOptions{})
}

// adapt leaves out what this kernel has no tracepoint for: operations of io_uring before Linux 6.3.
func (s *Sensor) adapt(spec *ebpf.CollectionSpec) error {
	kernel, err := btf.LoadKernelSpec()
	if err != nil {
		return err
	}
	p := spec.Programs[sensorProgIoUringSubmit]
	var tracepoint *btf.Typedef
	err = kernel.TypeByName("btf_trace_"+p.AttachTo, &tracepoint)
	if s.ring = err == nil; s.ring || !errors.Is(err, btf.ErrNotFound) {
		return err
	}
	p.AttachTo = spec.Programs[sensorProgSysExit].AttachTo
	p.Instructions = asm.Instructions{asm.Mov.Imm(asm.R0, 0), asm.Return()}
	return nil
}

func (s *Sensor) setHandlers() error {
	for kind, p := range map[sensorKind]*ebpf.Program{
		sensorKindKIND_PLAIN: s.objects.HandlePlain, sensorKindKIND_PATHS: s.objects.HandlePaths, sensorKindKIND_OPEN: s.objects.HandleOpen,
		sensorKindKIND_FD: s.objects.HandleFd, sensorKindKIND_DNS: s.objects.HandleDns, sensorKindKIND_MAP: s.objects.HandleMap, sensorKindKIND_DUP: s.objects.HandleDup,
	} {
		if err := s.objects.Handlers.Put(uint32(kind), p); err != nil {
			return fmt.Errorf("handler %d: %w", kind, err)
		}
	}
	return nil
}

// Close unloads the programs; Run must have returned.
func (s *Sensor) Close() error { return s.objects.Close() }

// Run attaches the programs and hands events to emit until ctx ends, then detaches
// them, hands over what the ring buffer still holds, and returns nil. The event is
// reused: emit takes a Clone of one it keeps. Events of this process are not told.
func (s *Sensor) Run(ctx context.Context, filter seawall.EventFilter, emit func(*trace.Event)) (err error) {
	if err := s.SetFilter(filter); err != nil {
		return err
	}
	reader, err := ringbuf.NewReader(s.objects.Events)
	if err != nil {
		return fmt.Errorf("ring buffer: %w", err)
	}
	defer func() { err = errors.Join(err, reader.Close()) }()
	links, err := s.attach()
	if err != nil {
		return errors.Join(err, closeAll(links))
	}
	if s.config.Started != nil {
		if err := s.config.Started(); err != nil {
			return errors.Join(err, closeAll(links))
		}
	}
	var detached error
	stopped := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(stopped)
		detached = errors.Join(closeAll(links), reader.Flush())
	})
	err = s.read(reader, emit)
	if stop() { // reading failed before ctx ended
		return errors.Join(err, closeAll(links))
	}
	<-stopped
	return errors.Join(err, detached)
}

// read emits until the reader is flushed.
func (s *Sensor) read(reader *ringbuf.Reader, emit func(*trace.Event)) error {
	var record ringbuf.Record
	var event trace.Event
	looks := 0 // without an event
	reader.SetDeadline(time.Now())
	for {
		switch err := reader.ReadInto(&record); {
		case err == nil:
			if looks >= quiet {
				reader.SetDeadline(time.Now())
			}
			looks = 0
			if err := trace.Decode(record.RawSample, &event); err != nil {
				s.mu.Lock()
				s.damaged++
				s.mu.Unlock()
				continue
			}
			emit(&event)
		case errors.Is(err, os.ErrDeadlineExceeded):
			looks++
			if err := s.rest(reader, looks); err != nil {
				return err
			}
		case errors.Is(err, ringbuf.ErrFlushed):
			return nil
		default:
			return fmt.Errorf("ring buffer: %w", err)
		}
	}
}

// rest waits after a look that found nothing more.
func (s *Sensor) rest(reader *ringbuf.Reader, looks int) error {
	if looks < quiet {
		time.Sleep(awake) // cheaper than to wait for the descriptor
		return nil
	}
	if err := s.objects.Sleeping.Set(uint32(1)); err != nil {
		return fmt.Errorf("ring buffer: %w", err)
	}
	if looks > quiet { // one more look first: what came before the programs knew has woken nobody
		reader.SetDeadline(time.Now().Add(asleep))
	}
	return nil
}

// attach puts the programs to their tracepoints, those of processes first. What it returns with an error is to be closed too.
func (s *Sensor) attach() ([]link.Link, error) {
	var links []link.Link
	for _, p := range s.attached() {
		l, err := link.AttachTracing(link.TracingOptions{Program: p})
		if err != nil {
			return links, fmt.Errorf("attaching %v: %w", p, err)
		}
		links = append(links, l)
	}
	return links, nil
}

// attached are the programs that sit at tracepoints themselves.
func (s *Sensor) attached() []*ebpf.Program {
	o := &s.objects
	all := []*ebpf.Program{o.CgroupMkdir, o.CgroupRmdir, o.ProcessFork, o.ProcessExec, o.ProcessExit, o.SysExit}
	if s.ring {
		all = append(all, o.IoUringSubmit)
	}
	return all
}

func closeAll(links []link.Link) error {
	var errs []error
	for _, l := range links {
		errs = append(errs, l.Close())
	}
	return errors.Join(errs...)
}

// Counts are exact numbers of events of a type since the programs were loaded.
type Counts struct {
	// Emitted were handed over; Filtered no rule can be true for; Limited were too many (Config.Rate); Lost found the ring buffer full.
	Emitted, Filtered, Limited, Lost uint64
}

// Counters are the counts by type; types without any are left out. Those of
// filtered calls are counted from when a type has been asked for or not: by every exit of such a call.
func (s *Sensor) Counters() (map[trace.Type]Counts, error) {
	found := map[trace.Type]Counts{}
	var perCPU []sensorCounters
	for _, t := range trace.Types() {
		if err := s.objects.Counts.Lookup(uint32(t), &perCPU); err != nil {
			return nil, fmt.Errorf("counters of %v: %w", t, err)
		}
		var sum Counts
		for _, c := range perCPU {
			sum.Emitted += c.Emitted
			sum.Filtered += c.Filtered
			sum.Limited += c.Limited
			sum.Lost += c.Lost
		}
		if sum != (Counts{}) {
			found[t] = sum
		}
	}
	return found, nil
}

// Damaged is how many records could not be decoded: none, unless programs and package are of different versions.
func (s *Sensor) Damaged() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.damaged
}

// EnableStats makes the kernel measure its BPF programs, at a cost to each of their
// runs, until what is returned is closed.
func EnableStats() (io.Closer, error) { return ebpf.EnableStats(unix.BPF_STATS_RUN_TIME) }

// RunTime is how long this sensor's programs ran while EnableStats was on, and how often.
func (s *Sensor) RunTime() (time.Duration, uint64, error) {
	var total time.Duration
	var runs uint64
	for _, p := range s.attached() {
		stats, err := p.Stats()
		if err != nil {
			return 0, 0, fmt.Errorf("statistics of %v: %w", p, err)
		}
		total += stats.Runtime
		runs += stats.RunCount
	}
	return total, runs, nil
}
