package node

import (
	"strings"
	"sync"
	"time"

	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/sensor/process"
	"github.com/seawall-security/seawall/internal/sensor/trace"
)

// reported are the fields that an event is written down with.
var reported = sync.OnceValue(func() []string {
	return strings.Fields(`
		evt.num evt.type evt.category evt.cpu evt.dir evt.hostname evt.res evt.rawres evt.failed evt.is_open_read evt.is_open_write
		proc.pid proc.ppid proc.vpid proc.pvpid proc.sid proc.pgid proc.vpgid proc.name proc.pname proc.exe proc.pexe proc.exepath proc.pexepath proc.args proc.cmdline proc.pcmdline
		proc.cwd proc.tty proc.sname proc.duration proc.pid.ts proc.is_exe_upper_layer proc.is_exe_from_memfd proc.is_exe_writable proc.stdin.type proc.stdout.type
		proc.is_sid_leader proc.is_vpgid_leader proc.exe_ino proc.exe_ino.ctime proc.exe_ino.mtime
		thread.tid thread.cap_permitted thread.cap_effective user.uid user.name user.loginuid user.loginname group.gid group.name
		container.id container.full_id container.name container.type container.image container.image.id container.image.repository container.image.tag
		container.image.digest container.privileged container.start_ts container.host_pid container.host_network container.mounts
		k8s.ns.name k8s.pod.name k8s.pod.uid k8s.pod.labels k8s.deployment.name k8s.rs.name k8s.workload k8s.node.name
		fd.num fd.type fd.typechar fd.name fd.nameraw fd.directory fd.filename fd.cip fd.sip fd.lip fd.rip fd.cport fd.sport fd.lport fd.rport fd.l4proto
		fd.sip.name fd.rip.name fd.ino fd.is_upper_layer fd.connected fd.is_server fs.path.name fs.path.source fs.path.target`)
})

// maxReported bounds one text of an event that is written down, maxAncestor one of an ancestor's command lines.
const maxReported, maxAncestor = 8192, 512

// Event is the event as findings carry it and recordings keep it, its texts copied.
func (e *Event) Event() *seawall.Event {
	fields := map[string]any{}
	for _, name := range reported() {
		f, ref := table()[name], seawall.FieldRef{Name: name, Index: -1}
		var v seawall.Value
		if f.get(e, &ref, 0, &v) {
			fields[name] = f.kind.keep(&v)
		}
	}
	for i := range arguments()[e.Type] {
		a := &arguments()[e.Type][i]
		if t := a.text(e); t != "" {
			fields["evt.arg."+a.name] = keepText(t)
		}
		if a.raw != nil {
			fields["evt.rawarg."+a.name] = a.raw(e)
		}
	}
	e.lineage(fields)
	return &seawall.Event{Time: e.When().UTC().Format(time.RFC3339Nano), Type: e.Type.String(), Source: seawall.SourceSyscall, Fields: fields}
}

// lineage are the lists of ancestors, the process itself first.
func (e *Event) lineage(fields map[string]any) {
	var comms, paths, lines []string
	for p := e.Process; p != nil && len(comms) <= maxLineage; p = p.Parent {
		comms, paths, lines = append(comms, p.Comm), append(paths, p.Program.Path), append(lines, keepText(p.Cmdline[:min(len(p.Cmdline), maxAncestor)]))
	}
	fields["proc.aname"], fields["proc.aexepath"], fields["proc.acmdline"] = comms, paths, lines
}

// keep is a value as a document holds it.
func (k kind) keep(v *seawall.Value) any {
	switch k {
	case kindNumber:
		return v.Number
	case kindFlag:
		return v.Number != 0
	case kindAddress:
		return v.Address.String()
	}
	return keepText(v.Text)
}

// keepText copies a text, cut to maxReported and made valid UTF-8.
func keepText(t string) string {
	return strings.ToValidUTF8(strings.Clone(t[:min(len(t), maxReported)]), "\uFFFD")
}

// Entered are the arguments of a program whose parent is not in its container: the
// container's first one, or one that a runtime was asked to run; nil of all others.
func (e *Event) Entered() []string {
	if e.Type != trace.Execve && e.Type != trace.Execveat || e.Failed() || e.Container == nil || !e.parentOutside(e.Process) {
		return nil
	}
	var args []string
	for _, arg := range e.Exec.Args.All() {
		args = append(args, strings.Clone(arg))
	}
	return args
}

func (e *Event) parentOutside(p *process.Process) bool {
	if p.Parent == nil {
		return e.Task.VPPID == 0
	}
	return e.outside(p.Parent)
}

// outside tells whether a process is not in the event's container, or on the host with it.
func (e *Event) outside(p *process.Process) bool {
	c, _ := e.stream.cfg.Identity.Lookup(p.Cgroup, 0)
	if c == nil || e.Container == nil {
		return c != e.Container
	}
	return c.ID != e.Container.ID
}
