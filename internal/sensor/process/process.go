// Package process keeps the tree of a node's processes: what runs, who started it,
// and who started that, also when those have ended.
//
// A Tree is filled from /proc once (Scan) and then by events (Apply): starts, new
// programs, ends. Events of one CPU come in order, those of several may overtake
// one another, and some are lost: a process may act before the event of its start
// has come, and after that of its end. A process is therefore made up from the
// event that first names it and corrected later, and stays findable for a moment
// after its end. PID and start time together name it; a PID alone is used again.
//
// A process holds its parent, so ancestors stay as long as a descendant is in the
// tree, and no longer.
package process

import (
	"strings"
	"time"

	"github.com/seawall-security/seawall/internal/sensor/trace"
)

// Process is one process. It changes with the events applied to its Tree.
type Process struct {
	PID uint32
	// Start is when it began, ns of CLOCK_BOOTTIME.
	Start uint64
	// Parent is who started it, ended or not; nil is not known.
	Parent *Process
	// Program is what it runs. Never nil.
	Program *Program
	// Comm is the name of its first thread, Cmdline that and the arguments.
	Comm, Cmdline      string
	VPID, PGID, SID    uint32
	VPGID, VSID, PIDNS uint32
	UID, LoginUID      uint32
	TTY                uint32
	Cgroup             uint64
	// Ended: its end was seen.
	Ended bool

	coarse  bool // Start is of /proc: 10 ms
	assumed bool // made up from an event that was not its start
}

// Program is what one execve started. It is shared by the processes forked from
// it and does not change.
type Program struct {
	// Path is the executable as the process sees it; " (deleted)" ends that of a
	// deleted file, "memfd:" begins that of one in memory. "" is not known.
	Path string
	// Arg0 is the first argument, Args are the others, joined by spaces.
	Arg0, Args string
	// Count are the arguments without the first, Length is of all with the spaces between.
	Count int
	CWD   string
	// File is the executable; its Path is Path.
	File trace.File
	// Stdio are the standard streams when it began.
	Stdio [3]trace.Stdio
	// Started is when, ns of CLOCK_BOOTTIME.
	Started uint64
}

// unknown is the program of a process that could not be looked at.
var unknown = &Program{}

// Exeline is all arguments joined by spaces.
func (p *Program) Exeline() string {
	if p.Args == "" {
		return p.Arg0
	}
	return p.Arg0 + " " + p.Args
}

// Stats count what a tree holds and has not held.
type Stats struct {
	// Processes are those in the tree, ended ones that are still findable included.
	Processes int
	// Assumed counts those whose start was not seen, Refused those beyond the bound.
	Assumed, Refused uint64
}

// Config bounds a Tree. The zero value is for a node.
type Config struct {
	// Proc is where proc is mounted; "" is /proc.
	Proc string
	// Max bounds the processes kept; 0 is 32768. Those beyond are known by their own events alone.
	Max int
}

// Tree holds the processes by PID. It is not safe for concurrent use.
type Tree struct {
	proc  string
	max   int
	byPID map[uint32]*Process
	// inits are the first processes of PID namespaces.
	inits map[uint32]*Process
	ended []grave
	stats Stats
	reads budget
	guard Guard
}

// grave is a process that has ended and until when it is findable.
type grave struct {
	process *Process
	until   uint64
}

const (
	// linger is how long a process is findable after its end: events that were overtaken still come.
	linger = uint64(3 * time.Second)
	// maxDead bounds the generations of ended ancestors that a process keeps alive.
	maxDead = 32
	// maxText bounds the arguments kept of one program, together.
	maxText = 4096
)

// New makes an empty tree.
func New(cfg Config) *Tree {
	if cfg.Proc == "" {
		cfg.Proc = "/proc"
	}
	if cfg.Max == 0 {
		cfg.Max = 32768
	}
	return &Tree{proc: cfg.Proc, max: cfg.Max, byPID: map[uint32]*Process{}, inits: map[uint32]*Process{}}
}

// Stats returns the counters.
func (t *Tree) Stats() Stats {
	s := t.stats
	s.Processes = len(t.byPID)
	return s
}

// Find is the process of a PID, ended or not; nil is none.
func (t *Tree) Find(pid uint32) *Process { return t.byPID[pid] }

// Init is the first process of a PID namespace; nil is not known.
func (t *Tree) Init(pidns uint32) *Process { return t.inits[pidns] }

// Apply takes an event in and returns the process it is of, as it is after it.
func (t *Tree) Apply(e *trace.Event) *Process {
	t.bury(e.Time)
	p := t.of(e)
	p.update(&e.Task)
	switch {
	case e.Type == trace.Exit:
		t.end(p, e.Time)
	case (e.Type == trace.Execve || e.Type == trace.Execveat) && e.Ret >= 0:
		p.Program = program(e)
		p.assumed = false
		p.rename(e.Task.Comm)
	case e.Child.PID != 0 && e.Ret >= 0:
		t.fork(p, e)
	}
	return p
}

// of finds or makes up the process of an event.
func (t *Tree) of(e *trace.Event) *Process {
	k := &e.Task
	if p := t.byPID[k.PID]; p != nil && p.same(k.Start) {
		return p
	}
	p := &Process{PID: k.PID, Start: k.Start, Program: unknown, assumed: true}
	p.Parent = t.parent(k.PPID, k.ParentStart)
	t.stats.Assumed++
	switch {
	case e.Type == trace.Execve || e.Type == trace.Execveat:
		// The event itself tells what it runs.
	case p.Parent != nil && e.Time-k.Start < uint64(time.Second):
		p.inherit(p.Parent) // the event of its start comes late
	case e.Type != trace.Exit && t.reads.take(e.Time):
		if read, err := t.readProgram(k.PID); err == nil {
			p.Program = read
		}
	}
	p.rename(k.Comm)
	t.insert(p)
	return p
}

// same tells whether a start time is the process's own, and keeps the finer of both.
func (p *Process) same(start uint64) bool {
	switch {
	case p.Start == start || start == 0 || p.Start == 0:
	case p.coarse && start/uint64(tick) == p.Start/uint64(tick):
		p.Start, p.coarse = start, false
	default:
		return false
	}
	return true
}

func (t *Tree) parent(pid uint32, start uint64) *Process {
	if p := t.byPID[pid]; p != nil && p.same(start) {
		return p
	}
	return nil
}

// insert puts a process into the tree if it has room.
func (t *Tree) insert(p *Process) {
	if _, there := t.byPID[p.PID]; !there && len(t.byPID) >= t.max {
		t.stats.Refused++
		return
	}
	t.byPID[p.PID] = p
}

// update takes over what an event tells of the process besides.
func (p *Process) update(k *trace.Task) {
	p.VPID, p.PGID, p.SID, p.VPGID, p.VSID, p.PIDNS = k.VPID, k.PGID, k.SID, k.VPGID, k.VSID, k.PIDNS
	p.UID, p.LoginUID, p.TTY, p.Cgroup = k.UID, k.LoginUID, k.TTY, k.Cgroup
	if k.TID == k.PID && k.Comm != p.Comm && k.Comm != "" {
		p.rename(k.Comm)
	}
}

// rename sets the process's name.
func (p *Process) rename(comm string) {
	if comm != p.Comm {
		p.Comm = strings.Clone(comm)
	}
	p.Cmdline = p.Comm
	if p.Program.Args != "" {
		p.Cmdline = p.Comm + " " + p.Program.Args
	}
}

// inherit is what a fork copies.
func (p *Process) inherit(parent *Process) {
	p.Program, p.Comm, p.Cmdline = parent.Program, parent.Comm, parent.Cmdline
	p.PGID, p.SID, p.VPGID, p.VSID, p.PIDNS = parent.PGID, parent.SID, parent.VPGID, parent.VSID, parent.PIDNS
	p.UID, p.LoginUID, p.TTY, p.Cgroup = parent.UID, parent.LoginUID, parent.TTY, parent.Cgroup
}

// cloneParent is CLONE_PARENT: the child is a sibling of who makes it.
const cloneParent = 0x8000

// fork adds the child of a fork event.
func (t *Tree) fork(p *Process, e *trace.Event) {
	parent := p
	if e.OpFlags&cloneParent != 0 && p.Parent != nil {
		parent = p.Parent
	}
	child := t.byPID[e.Child.PID]
	if child == nil || !child.same(e.Child.Start) {
		child = &Process{PID: e.Child.PID, Start: e.Child.Start}
		child.inherit(p)
		child.VPID, child.PIDNS = e.Child.VPID, e.Child.PIDNS
		if e.Child.Cgroup != 0 {
			child.Cgroup = e.Child.Cgroup
		}
		t.insert(child)
	} else if child.assumed {
		child.assumed = false
		if child.Program == unknown {
			child.Program = p.Program
			child.rename(child.Comm)
		}
	}
	child.Parent = parent
	prune(child)
	if child.VPID == 1 && len(t.inits) < t.max {
		t.inits[child.PIDNS] = child
	}
}

// prune takes ended ancestors out of a lineage that has more than maxDead of them,
// the most distant first: programs that start themselves anew and end would
// otherwise grow one without end.
func prune(p *Process) {
	dead := 0
	for a := p.Parent; a != nil && a.Parent != nil; a = a.Parent {
		if a.Parent.Ended {
			if dead++; dead > maxDead {
				a.Parent = a.Parent.Parent
				return
			}
		}
	}
}

// end marks a process as ended; bury takes it out of the tree later.
func (t *Tree) end(p *Process, now uint64) {
	if p.Ended {
		return
	}
	p.Ended = true
	if t.inits[p.PIDNS] == p {
		delete(t.inits, p.PIDNS)
	}
	t.ended = append(t.ended, grave{p, now + linger})
	if len(t.ended) > t.max/4 {
		t.remove()
	}
}

// bury removes the processes whose time after their end is over.
func (t *Tree) bury(now uint64) {
	for len(t.ended) > 0 && t.ended[0].until < now {
		t.remove()
	}
}

func (t *Tree) remove() {
	p := t.ended[0].process
	t.ended[0] = grave{}
	t.ended = t.ended[1:]
	if t.byPID[p.PID] == p {
		delete(t.byPID, p.PID)
	}
}

// Ancestor is the process n generations up; 0 is itself, nil is not known.
func (p *Process) Ancestor(n int) *Process {
	for ; n > 0 && p != nil; n-- {
		p = p.Parent
	}
	return p
}

// SessionLeader is the process that leads p's session. When it has been forgotten
// it is the most distant ancestor of the session.
func (t *Tree) SessionLeader(p *Process) *Process {
	return t.leader(p, p.SID, func(q *Process) uint32 { return q.SID })
}

// GroupLeader is the process that leads p's process group, likewise.
func (t *Tree) GroupLeader(p *Process) *Process {
	return t.leader(p, p.PGID, func(q *Process) uint32 { return q.PGID })
}

func (t *Tree) leader(p *Process, id uint32, of func(*Process) uint32) *Process {
	if q := t.byPID[id]; q != nil && id != 0 && of(q) == id {
		return q
	}
	for p.Parent != nil && of(p.Parent) == of(p) {
		p = p.Parent
	}
	return p
}

// program is what an exec event started, its texts copied.
func program(e *trace.Event) *Program {
	p := &Program{File: e.File, Stdio: e.Exec.Stdio, Started: e.Time, CWD: strings.Clone(e.Exec.CWD)}
	path := e.File.Path
	switch {
	case e.File.Memfd && !strings.HasPrefix(path, "memfd:"):
		path = "memfd:" + strings.TrimPrefix(path, "/")
	case path == "":
		path = e.Path
	}
	if e.File.Deleted {
		path += " (deleted)"
	}
	p.Path = strings.Clone(path)
	p.File.Path = p.Path
	p.arguments(string(e.Exec.Args))
	return p
}

// arguments takes the arguments, each ended by a zero byte, of which at most maxText bytes are kept.
func (p *Program) arguments(all string) {
	p.Count = max(trace.Strings(all).Len()-1, 0)
	all = strings.TrimSuffix(all[:min(len(all), maxText)], "\x00")
	arg0, rest, _ := strings.Cut(all, "\x00")
	p.Arg0 = strings.Clone(arg0)
	p.Args = strings.ReplaceAll(rest, "\x00", " ")
	if p.Args == rest {
		p.Args = strings.Clone(rest)
	}
}
