package node

import (
	"strings"

	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/sensor/process"
	"github.com/seawall-security/seawall/internal/sensor/trace"
)

// Exec is a program that a process wants to start.
type Exec struct {
	Type trace.Type
	PID  uint32
	// Cgroup is the one the process is in, MountNS its mount namespace.
	Cgroup  uint64
	MountNS uint32
	// Name is the process's name after it, Path what it claimed to start.
	Name, Path string
	Args       []string
	// File is what will run: of a script its interpreter.
	File trace.File
}

// Exec hands over the event that an exec will be, before it is: for who decides
// whether it may be. Processes are looked up in /proc, as events of the last moments
// may not have come; the stream stays as it is. The event's Subject is Prevented
// where with keeps it. false: the process is gone, or its container is not known yet.
func (s *Stream) Exec(x *Exec, now uint64, with func(*Event)) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, ready := s.cfg.Identity.Lookup(x.Cgroup, x.PID)
	if c == nil || !ready {
		return false
	}
	p := s.tree.Live(x.PID)
	if p == nil {
		return false
	}
	args := strings.Join(x.Args, "\x00") + "\x00"
	t := trace.Event{
		Type: x.Type, Time: now, Path: x.Path, File: x.File, FD: -1, NewFD: -1,
		Exec: trace.Exec{Args: trace.Strings(args), CWD: p.Program.CWD},
		Task: trace.Task{
			PID: x.PID, TID: x.PID, VPID: p.VPID, VTID: p.VPID, PGID: p.PGID, SID: p.SID, VPGID: p.VPGID, VSID: p.VSID, Start: p.Start,
			UID: p.UID, EUID: p.UID, SUID: p.UID, FSUID: p.UID, LoginUID: p.LoginUID, TTY: p.TTY, Cgroup: x.Cgroup, PIDNS: p.PIDNS, MountNS: x.MountNS,
			Comm: x.Name, ExeUpper: x.File.Upper, ExeMemfd: x.File.Memfd,
		},
	}
	if p.Parent != nil {
		t.Task.PPID, t.Task.VPPID, t.Task.ParentStart = p.Parent.PID, p.Parent.VPID, p.Parent.Start
	}
	p.Start, p.Cgroup = t.Task.Start, x.Cgroup
	e := Event{stream: s, prevented: seawall.PreventedPermission}
	e.reset(&t, process.Replaced(p, &t), c)
	e.Number = s.event.Number + 1
	with(&e)
	return true
}
