// Package prevent stops what policies want killed before it can do anything.
//
// A rule of the kernel class becomes an entry of the sensor's deny map for every
// container it is about: the kernel ends the process at exec. The mounts of containers
// are watched for rules of the permission class: the exec is refused. Both only where a
// policy of phase run says kill-process. Either way the event is judged and told like
// any other; what is not prevented in time is still killed after the event.
//
//	first event of a container -> Denials -> Sensor.Deny
//	first exec in its mounts   -> Guard.Watch -> each exec -> rules, policies -> refuse, emit
//
// A denial is in place when the container has been identified, so a container's very
// first programs may be judged after they have started.
package prevent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sys/unix"

	"github.com/seawall-security/seawall/internal/agent"
	"github.com/seawall-security/seawall/internal/agent/respond"
	"github.com/seawall-security/seawall/internal/detect/rules"
	"github.com/seawall-security/seawall/internal/enforce"
	"github.com/seawall-security/seawall/internal/enforce/permission"
	"github.com/seawall-security/seawall/internal/enforce/process"
	"github.com/seawall-security/seawall/internal/policy"
	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/sensor/kernel"
	"github.com/seawall-security/seawall/internal/sensor/node"
	"github.com/seawall-security/seawall/internal/sensor/trace"
)

// Config says what is prevented.
type Config struct {
	// Node is the asset of processes in no container.
	Node  seawall.Asset
	Rules *agent.Rules
	// Response says what is spared; its limits are for what is done after an event.
	Response respond.Config
	// Excluded are globs of namespaces nothing is told of.
	Excluded []string
	Log      *slog.Logger
}

// Sensor refuses programs in the kernel.
type Sensor interface {
	Deny(cgroup uint64, rule kernel.DenyRule) error
	Allow(cgroup uint64) error
}

// Stream tells what an exec will be.
type Stream interface {
	Exec(x *node.Exec, now uint64, with func(*node.Event)) bool
}

// Identity tells the cgroup of a process and whether a cgroup is still there.
type Identity interface {
	Of(pid uint32) (cgroup uint64, err error)
	Path(cgroup uint64) string
}

// Prevention is what is in force on a node.
type Prevention struct {
	config   Config
	sensor   Sensor
	stream   Stream
	identity Identity
	guard    *permission.Guard // nil where the kernel has none

	rules atomic.Pointer[prepared]
	emit  func(agent.Event)
	watch chan request

	mu sync.Mutex
	// seen are the cgroups whose denials are in place, by what was known then.
	seen map[uint64]sight
	// mounts are those that are watched.
	mounts map[mounts]bool
}

// mounts are the mount namespace of a container's processes. Its number alone is used
// again for another one's.
type mounts struct {
	cgroup    uint64
	namespace uint32
}

// sight is how much was known of a container.
type sight struct {
	rules *prepared
	known bool
	// denied: the kernel has entries of it. watched: a rule of the permission class may be about it.
	denied, watched bool
}

// prepared are the rules as Prevention needs them.
type prepared struct {
	*agent.Rules
	states sync.Pool
	// refusable are the rules of the permission class.
	refusable map[*rules.Rule]bool
}

func prepare(r *agent.Rules) *prepared {
	p := &prepared{Rules: r, refusable: map[*rules.Rule]bool{}}
	for _, s := range r.Engine.Rules() {
		if s.Prevention != nil && s.Prevention.Class == rules.ClassPermission {
			p.refusable[s.Rule] = true
		}
	}
	p.states.New = func() any { return r.Engine.NewState() }
	return p
}

// New returns a Prevention without anything in force.
func New(c Config) *Prevention {
	p := &Prevention{config: c, watch: make(chan request, 1024), seen: map[uint64]sight{}, mounts: map[mounts]bool{}}
	p.rules.Store(prepare(c.Rules))
	return p
}

// Attach says what to work with, before Run.
func (p *Prevention) Attach(sensor Sensor, stream Stream, identity Identity) {
	p.sensor, p.stream, p.identity = sensor, stream, identity
	err := permission.Probe()
	if err == nil {
		p.guard, err = permission.New(permission.Config{Judge: p.judge})
	}
	if err != nil {
		p.config.Log.Warn("programs cannot be refused here: rules of the permission class act after the event", "error", err)
	}
}

// Replace puts other rules in force.
func (p *Prevention) Replace(r *agent.Rules) { p.rules.Store(prepare(r)) }

// Counts are those of programs that waited to be judged.
func (p *Prevention) Counts() permission.Counts {
	if p.guard == nil {
		return permission.Counts{}
	}
	return p.guard.Counts()
}

// Describe implements prometheus.Collector.
func (*Prevention) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (p *Prevention) Collect(out chan<- prometheus.Metric) {
	n := p.Counts()
	desc := prometheus.NewDesc("seawall_agent_execs_judged_total", "Programs that waited for an answer before they started.", []string{"answer"}, nil)
	for answer, count := range map[string]uint64{"allowed": n.Allowed, "refused": n.Refused, "unread": n.Unread, "late": n.Late} {
		out <- prometheus.MustNewConstMetric(desc, prometheus.CounterValue, float64(count), answer)
	}
}

// Run keeps it in force until ctx ends. emit takes the events of refused programs; it
// is called while the stream holds its lock, as for any other event.
func (p *Prevention) Run(ctx context.Context, emit func(agent.Event)) {
	p.emit = emit
	var wait sync.WaitGroup
	defer wait.Wait()
	if p.guard != nil {
		defer p.guard.Close()
		wait.Go(func() {
			if err := p.guard.Run(ctx); err != nil {
				p.config.Log.Error("programs are not refused any more", "error", err)
			}
		})
	}
	soon, sweep := time.NewTicker(time.Second), time.NewTicker(time.Minute)
	defer soon.Stop()
	defer sweep.Stop()
	for scans := 0; ; {
		select {
		case <-ctx.Done():
			return
		case r := <-p.watch:
			p.watchMounts(r)
		case <-soon.C:
			if scans++; scans <= maxScans {
				p.scan(ctx)
			}
		case <-sweep.C:
			p.sweep()
			p.scan(ctx)
		}
	}
}

// maxScans is how often containers are looked for in the first seconds: the runtime
// takes a moment to tell what they are.
const maxScans = 5

// scan looks for containers that do nothing: those older than the agent.
func (p *Prevention) scan(ctx context.Context) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		p.config.Log.Error("containers are not looked for", "error", err)
		return
	}
	for _, entry := range entries {
		pid, err := strconv.ParseUint(entry.Name(), 10, 32)
		if err != nil || ctx.Err() != nil {
			continue
		}
		cgroup, err := p.identity.Of(uint32(pid))
		var ns unix.Stat_t
		if err != nil || unix.Stat("/proc/"+entry.Name()+"/ns/mnt", &ns) != nil || p.known(mounts{cgroup, uint32(ns.Ino)}) {
			continue
		}
		p.stream.Exec(&node.Exec{Type: trace.Execve, PID: uint32(pid), Cgroup: cgroup, MountNS: uint32(ns.Ino)}, 0, p.Seen)
	}
}

// known says whether nothing is to be done for a process.
func (p *Prevention) known(m mounts) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	s, there := p.seen[m.cgroup]
	return there && s.rules == p.rules.Load() && (p.mounts[m] || !s.watched)
}

// request is for mounts to be watched, those of a process.
type request struct {
	mounts
	pid, parent uint32
	directory   string // of the cgroup
}

func (p *Prevention) watchMounts(r request) {
	err := permission.ErrNode
	if !p.outside(r) {
		err = p.guard.Watch(int(r.pid))
	}
	var partly seawall.Incomplete
	if !errors.As(err, &partly) && gone(err) {
		err = p.watchOther(r)
	}
	switch {
	case err == nil:
	case errors.As(err, &partly):
		p.config.Log.Debug("some mounts are not watched", "error", err)
	default:
		p.mu.Lock()
		delete(p.mounts, r.mounts) // the next exec tries again
		p.mu.Unlock()
		if !gone(err) && !errors.Is(err, permission.ErrNode) {
			p.config.Log.Warn("mounts are not watched: programs there are judged after they have started", "error", err)
		}
	}
}

// outside says whether the mounts are still those of who starts the container: its
// parent has them, too, and is not in it.
func (p *Prevention) outside(r request) bool {
	cgroup, err := p.identity.Of(r.parent)
	var ns unix.Stat_t
	return err == nil && cgroup != r.cgroup && unix.Stat(fmt.Sprintf("/proc/%d/ns/mnt", r.parent), &ns) == nil && uint32(ns.Ino) == r.namespace
}

// watchOther watches the mounts by another process that has them: the one that was
// seen has ended already.
func (p *Prevention) watchOther(r request) error {
	pids, err := process.Members(r.directory)
	if err != nil {
		return err
	}
	for _, pid := range pids {
		var info unix.Stat_t
		if unix.Stat(fmt.Sprintf("/proc/%d/ns/mnt", pid), &info) == nil && uint32(info.Ino) == r.namespace {
			return p.guard.Watch(pid)
		}
	}
	return unix.ESRCH
}

func gone(err error) bool { return errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ESRCH) }

// Seen looks at an event for containers that are new. It is for the function events
// are handed to.
func (p *Prevention) Seen(e *node.Event) {
	if e.Container == nil {
		return
	}
	now := p.rules.Load()
	p.mu.Lock()
	defer p.mu.Unlock()
	s, there := p.seen[e.Task.Cgroup]
	if !there || s.rules != now || s.known != e.Container.Known {
		s = p.enforce(now, s, e)
		p.seen[e.Task.Cgroup] = s
	}
	if e.Type == trace.Mount || e.Type == trace.MoveMount {
		delete(p.mounts, mounts{e.Task.Cgroup, e.Task.MountNS}) // there may be new ones
	}
	exec := (e.Type == trace.Execve || e.Type == trace.Execveat) && e.Ret >= 0
	if m := (mounts{e.Task.Cgroup, e.Task.MountNS}); exec && s.watched && p.guard != nil && !p.mounts[m] {
		select {
		case p.watch <- request{m, e.Task.PID, e.Task.PPID, e.Container.CgroupPath}:
			p.mounts[m] = true
		default: // the next exec tries again
		}
	}
}

// enforce puts the denials of a container in place.
func (p *Prevention) enforce(now *prepared, before sight, e *node.Event) sight {
	s := sight{rules: now, known: e.Container.Known}
	cgroup := e.Task.Cgroup
	if before.denied {
		if err := p.sensor.Allow(cgroup); err != nil {
			p.config.Log.Error("a denial stays", "error", err)
		}
	}
	if !p.concerned(&e.Container.Container) {
		return s
	}
	for i, d := range now.Engine.Denials(e, func(r *rules.Rule) bool { return p.kills(now, r, e) }) {
		s.denied = true
		if len(d.UIDs) > 0 && !hostUsers(e) {
			d.UIDs = nil // rules ask for the container's users, the kernel for the host's: such a rule acts after
		}
		if err := p.sensor.Deny(cgroup, kernel.DenyRule{ID: uint32(i), Upper: d.Upper, Memfd: d.Memfd, UIDs: d.UIDs}); err != nil {
			p.config.Log.Error("the kernel does not prevent a rule", "rule", d.Rule.Name, "error", err)
		}
	}
	for r := range now.refusable {
		if p.mayKill(now, r, e) {
			s.watched = true
			break
		}
	}
	return s
}

// hostUsers says whether a process has the agent's user namespace.
func hostUsers(e *node.Event) bool {
	var own, theirs unix.Stat_t
	if unix.Stat("/proc/self/ns/user", &own) != nil {
		return false
	}
	if e.Task.UserNS != 0 {
		return uint32(own.Ino) == e.Task.UserNS
	}
	return unix.Stat(fmt.Sprintf("/proc/%d/ns/user", e.Task.PID), &theirs) == nil && own.Ino == theirs.Ino
}

// concerned says whether anything is ever done to a container.
func (p *Prevention) concerned(c *seawall.Container) bool {
	for _, pattern := range p.config.Excluded {
		if ok, err := path.Match(pattern, c.Namespace); err == nil && ok && c.Namespace != "" {
			return false
		}
	}
	spared := respond.Judge{Config: respond.Config{DryRun: p.config.Response.DryRun, Protected: p.config.Response.Protected}}
	return spared.Judge(enforce.KillProcess, &seawall.Subject{Container: c}, time.Now()).Do
}

// mayKill says whether policies kill for a rule in a container with some event.
func (p *Prevention) mayKill(now *prepared, r *rules.Rule, e *node.Event) bool {
	f := finding(r, e, nil)
	for _, o := range now.Observe(&p.config.Node, &f, &e.Container.Container, time.Now()) {
		if o.Rule.Action(policy.PhaseRun) == enforce.KillProcess && (o.Matched || doubtful(o)) {
			return true
		}
	}
	return false
}

// kills says whether policies kill for a rule in a container, whatever the event is.
func (p *Prevention) kills(now *prepared, r *rules.Rule, e *node.Event) bool {
	f := finding(r, e, nil)
	doubt := map[string]bool{}
	for _, o := range now.Observe(&p.config.Node, &f, &e.Container.Container, time.Now()) {
		doubt[o.Rule.Name] = doubt[o.Rule.Name] || doubtful(o)
	}
	for _, d := range now.Decide(&p.config.Node, &f, &e.Container.Container, time.Now()) {
		if d.Action == enforce.KillProcess && d.Outcome == policy.OutcomeEnforced && !doubt[d.Rule] {
			return true
		}
	}
	return false
}

// doubtful: the event may make another answer of it (finding.event, finding.evidence,
// or variables that may name them).
func doubtful(o *policy.Observed) bool {
	return o.Err != nil || strings.Contains(o.Rule.When, "finding.e") || strings.Contains(o.Rule.When, "variables.")
}

// judge says whether an exec is refused. Its event is emitted when it is.
func (p *Prevention) judge(x *permission.Exec) (refuse, judged bool) {
	cgroup, err := p.identity.Of(uint32(x.PID))
	if err != nil {
		return false, false
	}
	exec := node.Exec{
		Type: trace.Execve, PID: uint32(x.PID), Cgroup: cgroup, Name: x.Name(), Path: x.Claimed, Args: x.Args,
		File: trace.File{Path: x.Path, Kind: trace.KindFile, Inode: x.Inode, Mode: x.Mode, Upper: x.Upper, Lower: x.Lower, Deleted: x.Deleted},
	}
	if x.Type == "execveat" {
		exec.Type = trace.Execveat
	}
	var boot unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &boot); err != nil {
		return false, false
	}
	judged = p.stream.Exec(&exec, uint64(boot.Nano()), func(e *node.Event) {
		if refuse = p.refuses(e); refuse {
			p.emit(e)
		}
	})
	return refuse, judged
}

// refuses says whether a policy kills for a rule that is true for an exec and whose
// class says that all it asks for is known.
func (p *Prevention) refuses(e *node.Event) bool {
	if !p.concerned(&e.Container.Container) {
		return false
	}
	now := p.rules.Load()
	state := now.states.Get().(*rules.State)
	defer now.states.Put(state)
	for _, r := range state.Match(rules.SourceSyscall, e) {
		if !now.refusable[r] {
			continue
		}
		f := finding(r, e, e.Event())
		for _, d := range now.Decide(&p.config.Node, &f, &e.Container.Container, time.Now()) {
			if d.Action == enforce.KillProcess && d.Outcome == policy.OutcomeEnforced {
				return true
			}
		}
	}
	return false
}

// finding is what a rule's match will be told as.
func finding(r *rules.Rule, e *node.Event, event *seawall.Event) seawall.Finding {
	f := r.Finding(e, event)
	f.Asset = "container:" + e.Container.ID
	return f
}

// sweep forgets what is gone.
func (p *Prevention) sweep() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for cgroup, s := range p.seen {
		var info unix.Stat_t
		if dir := p.identity.Path(cgroup); dir != "" && unix.Stat(dir, &info) == nil {
			continue
		}
		if s.denied {
			if err := p.sensor.Allow(cgroup); err != nil {
				p.config.Log.Error("a denial stays", "error", err)
			}
		}
		delete(p.seen, cgroup)
	}
	clear(p.mounts) // scan watches them again, with those that are new
}
