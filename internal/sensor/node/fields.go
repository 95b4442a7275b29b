package node

import (
	"maps"
	"strings"
	"sync"
	"time"

	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/sensor/process"
	"github.com/seawall-security/seawall/internal/sensor/trace"
)

// table is how events answer, by the field's name.
var table = sync.OnceValue(func() map[string]field {
	all := map[string]field{}
	for _, part := range []map[string]field{
		eventFields(), argumentFields(), processFields(), relativeFields(), threadFields(), programFields(), procFields(), userFields(), containerFields(), mountFields(), podFields(),
		descriptorFields(), fileFields(), socketFields(), addressFields(), pathFields(),
	} {
		maps.Copy(all, part)
	}
	return all
})

// Fields are the names of all fields an event may have.
func Fields() []string {
	var names []string
	for name := range table() {
		names = append(names, name)
	}
	return names
}

func eventFields() map[string]field {
	layout := func(layout string) field {
		return text(func(e *Event) string {
			return e.text(func(b []byte) []byte { return e.When().AppendFormat(b, layout) })
		})
	}
	return map[string]field{
		"evt.num":          always(func(e *Event) int64 { return int64(e.Number) }),
		"evt.time":         layout("15:04:05.000000000"),
		"evt.time.s":       layout("15:04:05"),
		"evt.time.iso8601": layout(time.RFC3339Nano),
		"evt.datetime":     layout("2006-01-02 15:04:05.000000000"),
		"evt.datetime.s":   layout("2006-01-02 15:04:05"),
		"evt.rawtime":      always(func(e *Event) int64 { return e.When().UnixNano() }),
		"evt.rawtime.s":    always(func(e *Event) int64 { return e.When().Unix() }),
		"evt.rawtime.ns":   always(func(e *Event) int64 { return int64(e.When().Nanosecond()) }),
		"evt.type":         text(func(e *Event) string { return e.Type.String() }),
		"syscall.type": text(func(e *Event) string {
			if e.Type == trace.Exit || e.Type == trace.IOUringOp {
				return ""
			}
			return e.Type.String()
		}),
		"evt.source":      text(func(*Event) string { return seawall.SourceSyscall }),
		"evt.hostname":    text(func(e *Event) string { return e.stream.cfg.Node }),
		"evt.dir":         text(func(*Event) string { return "<" }),
		"evt.category":    text(func(e *Event) string { return category(e.Type) }),
		"evt.cpu":         always(func(e *Event) int64 { return int64(e.CPU) }),
		"evt.res":         text(result),
		"evt.rawres":      number(func(e *Event) (int64, bool) { return e.Ret, e.Type != trace.Exit }),
		"evt.failed":      is(func(e *Event) bool { return e.Failed() }),
		"evt.count":       always(func(*Event) int64 { return 1 }),
		"evt.is_io":       is(func(e *Event) bool { return sends(e.Type) || receives(e.Type) }),
		"evt.is_io_read":  is(func(e *Event) bool { return receives(e.Type) }),
		"evt.is_io_write": is(func(e *Event) bool { return sends(e.Type) }),
		"evt.is_wait":     is(func(e *Event) bool { return e.Type == trace.Accept || e.Type == trace.Accept4 || receives(e.Type) }),
		"evt.buflen":      number(func(e *Event) (int64, bool) { return e.Ret, (sends(e.Type) || receives(e.Type)) && e.Ret >= 0 }),
		"evt.is_open_read": flag(func(e *Event) (bool, bool) {
			access := e.OpFlags & accessMode
			return access == readOnly || access == readWrite, opens(e.Type)
		}),
		"evt.is_open_write": flag(func(e *Event) (bool, bool) {
			return e.Type == trace.Creat || e.OpFlags&accessMode != readOnly, opens(e.Type)
		}),
		"evt.is_open_exec":   flag(func(e *Event) (bool, bool) { return creates(e) && e.Mode&0o111 != 0, opens(e.Type) }),
		"evt.is_open_create": flag(func(e *Event) (bool, bool) { return creates(e) && !e.Failed(), opens(e.Type) }),
	}
}

// result is SUCCESS or the error's name.
func result(e *Event) string {
	switch {
	case e.Type == trace.Exit:
		return ""
	case e.Ret >= 0:
		return "SUCCESS"
	}
	return errnoName(-e.Ret)
}

func opens(t trace.Type) bool { return t >= trace.Open && t <= trace.OpenByHandleAt }

func creates(e *Event) bool {
	return e.Type == trace.Creat || opens(e.Type) && e.OpFlags&flagCreate != 0
}

func sends(t trace.Type) bool {
	return t == trace.Sendto || t == trace.Sendmsg || t == trace.Sendmmsg || t == trace.Write
}

func receives(t trace.Type) bool {
	return t == trace.Recvfrom || t == trace.Recvmsg || t == trace.Recvmmsg || t == trace.Read
}

// category sorts event types as the rules language does.
func category(t trace.Type) string {
	switch {
	case opens(t), t >= trace.Rename && t <= trace.OpenTree:
		return "file"
	case t >= trace.Execve && t <= trace.Clone3, t == trace.Setns, t == trace.Unshare, t == trace.Ptrace, t == trace.Prctl:
		return "process"
	case t == trace.SocketCall, t == trace.Connect, t == trace.Accept, t == trace.Accept4, t == trace.Bind, t == trace.Listen:
		return "net"
	case sends(t):
		return "IO-write"
	case receives(t):
		return "IO-read"
	case t >= trace.Kill && t <= trace.PidfdSendSignal:
		return "signal"
	case t >= trace.Setuid && t <= trace.Capset:
		return "user"
	case t == trace.Mmap, t == trace.Mprotect, t == trace.MemfdCreate:
		return "memory"
	}
	return "system"
}

// processFields are the numbers and times of the process.
func processFields() map[string]field {
	return map[string]field{
		"proc.pid":  always(func(e *Event) int64 { return int64(e.Task.PID) }),
		"proc.ppid": always(parentPID),
		"proc.vpid": always(func(e *Event) int64 { return int64(e.Task.VPID) }),
		// 0: the parent is outside of the process's PID namespace.
		"proc.pvpid":           always(func(e *Event) int64 { return int64(e.Task.VPPID) }),
		"proc.sid":             always(func(e *Event) int64 { return int64(e.Task.VSID) }),
		"proc.vpgid":           always(func(e *Event) int64 { return int64(e.Task.VPGID) }),
		"proc.pgid":            always(func(e *Event) int64 { return int64(e.Task.PGID) }),
		"proc.is_sid_leader":   is(func(e *Event) bool { return e.Task.SID == e.Task.PID }),
		"proc.is_vpgid_leader": is(func(e *Event) bool { return e.Task.VPGID == e.Task.VPID }),
		"proc.is_pgid_leader":  is(func(e *Event) bool { return e.Task.PGID == e.Task.PID }),
		"proc.tty":             always(func(e *Event) int64 { return int64(e.Task.TTY) }),
		"proc.pid.ts":          number(func(e *Event) (int64, bool) { return e.wall(e.Process.Start) }),
		"proc.duration":        number(func(e *Event) (int64, bool) { return e.elapsed(e.Process) }),
		"proc.ppid.ts": number(func(e *Event) (int64, bool) {
			if p := e.Process.Parent; p != nil {
				return e.wall(p.Start)
			}
			return 0, false
		}),
		"proc.ppid.duration": number(func(e *Event) (int64, bool) { return e.elapsed(e.Process.Parent) }),
		"proc.pidns_init_start_ts": number(func(e *Event) (int64, bool) {
			if p := e.stream.tree.Init(e.Task.PIDNS); p != nil {
				return e.wall(p.Start)
			}
			return 0, false
		}),
	}
}

// relativeFields name the process, its ancestors and the leaders of its session and group.
func relativeFields() map[string]field {
	of := func(which func(e *Event) *process.Process, what func(p *process.Process) string) field {
		return text(func(e *Event) string {
			if p := which(e); p != nil {
				return what(p)
			}
			return ""
		})
	}
	parent := func(e *Event) *process.Process { return e.Process.Parent }
	session := func(e *Event) *process.Process { return e.stream.tree.SessionLeader(e.Process) }
	group := func(e *Event) *process.Process { return e.stream.tree.GroupLeader(e.Process) }
	name := func(p *process.Process) string { return p.Comm }
	arg0 := func(p *process.Process) string { return p.Program.Arg0 }
	path := func(p *process.Process) string { return p.Program.Path }
	line := func(p *process.Process) string { return p.Cmdline }
	put := func(what func(*process.Process) string) field {
		return ancestors(kindText, func(p *process.Process, v *seawall.Value) { v.Text = what(p) })
	}
	return map[string]field{
		"proc.apid":          ancestors(kindNumber, func(p *process.Process, v *seawall.Value) { v.Number = int64(p.PID) }),
		"proc.name":          text(func(e *Event) string { return e.Process.Comm }),
		"proc.pname":         of(parent, name),
		"proc.aname":         put(name),
		"proc.sname":         of(session, name),
		"proc.vpgid.name":    of(group, name),
		"proc.pgid.name":     of(group, name),
		"proc.exe":           text(func(e *Event) string { return e.Process.Program.Arg0 }),
		"proc.pexe":          of(parent, arg0),
		"proc.aexe":          put(arg0),
		"proc.sid.exe":       of(session, arg0),
		"proc.vpgid.exe":     of(group, arg0),
		"proc.pgid.exe":      of(group, arg0),
		"proc.exepath":       text(func(e *Event) string { return e.Process.Program.Path }),
		"proc.pexepath":      of(parent, path),
		"proc.aexepath":      put(path),
		"proc.sid.exepath":   of(session, path),
		"proc.vpgid.exepath": of(group, path),
		"proc.pgid.exepath":  of(group, path),
		"proc.cmdline":       text(func(e *Event) string { return e.Process.Cmdline }),
		"proc.pcmdline":      of(parent, line),
		"proc.acmdline":      put(line),
	}
}

func threadFields() map[string]field {
	return map[string]field{
		"thread.tid":             always(func(e *Event) int64 { return int64(e.Task.TID) }),
		"thread.vtid":            always(func(e *Event) int64 { return int64(e.Task.VTID) }),
		"thread.ismain":          is(func(e *Event) bool { return e.Task.TID == e.Task.PID }),
		"thread.cap_permitted":   text(func(e *Event) string { return e.stream.capabilities(e.Task.CapPermitted) }),
		"thread.cap_inheritable": text(func(e *Event) string { return e.stream.capabilities(e.Task.CapInheritable) }),
		"thread.cap_effective":   text(func(e *Event) string { return e.stream.capabilities(e.Task.CapEffective) }),
		"thread.cgroups":         text(func(e *Event) string { return e.stream.cfg.Identity.Path(e.Task.Cgroup) }),
	}
}

// parentPID is of the parent the tree has: who started it, although it may have ended.
func parentPID(e *Event) int64 {
	if p := e.Process.Parent; p != nil {
		return int64(p.PID)
	}
	return int64(e.Task.PPID)
}

// wall is a time since boot as ns since 1970.
func (e *Event) wall(sinceBoot uint64) (int64, bool) {
	return e.stream.cfg.Clock.Time(sinceBoot).UnixNano(), sinceBoot != 0
}

// elapsed is how long ago a process began, ns.
func (e *Event) elapsed(p *process.Process) (int64, bool) {
	if p == nil || p.Start == 0 {
		return 0, false
	}
	return int64(e.Time) - int64(p.Start), true
}

// programFields are those of what the process runs.
func programFields() map[string]field {
	file := func(of func(f *trace.File) int64) field {
		return number(func(e *Event) (int64, bool) { return of(&e.Process.Program.File), e.Process.Program.File.Inode != 0 })
	}
	all := map[string]field{
		"proc.args":               text(func(e *Event) string { return e.Process.Program.Args }),
		"proc.exeline":            text(exeline),
		"proc.cmdnargs":           always(func(e *Event) int64 { return int64(e.Process.Program.Count) }),
		"proc.cmdlenargs":         always(func(e *Event) int64 { return int64(len(e.Process.Program.Args)) }),
		"proc.cwd":                text(workingDirectory),
		"proc.env":                {kindText, environment},
		"proc.is_exe_writable":    flag(func(e *Event) (bool, bool) { return e.Process.Program.File.Writable, e.Process.Program.Started != 0 }),
		"proc.is_exe_upper_layer": is(func(e *Event) bool { return e.Task.ExeUpper || e.Process.Program.File.Upper }),
		"proc.is_exe_lower_layer": flag(func(e *Event) (bool, bool) { return e.Process.Program.File.Lower, e.Process.Program.Started != 0 }),
		"proc.is_exe_from_memfd":  is(func(e *Event) bool { return e.Task.ExeMemfd || e.Process.Program.File.Memfd }),
		"proc.exe_ino":            file(func(f *trace.File) int64 { return int64(f.Inode) }),
		"proc.exe_ino.ctime":      file(func(f *trace.File) int64 { return int64(f.CTime) }),
		"proc.exe_ino.mtime":      file(func(f *trace.File) int64 { return int64(f.MTime) }),
		"proc.exe_ino.ctime_duration_proc_start": number(func(e *Event) (int64, bool) {
			began, ok := e.wall(e.Process.Start)
			return began - int64(e.Process.Program.File.CTime), ok && e.Process.Program.File.CTime != 0
		}),
		"proc.exe_ino.ctime_duration_pidns_start": number(func(e *Event) (int64, bool) {
			first := e.stream.tree.Init(e.Task.PIDNS)
			if first == nil || e.Process.Program.File.CTime == 0 {
				return 0, false
			}
			began, ok := e.wall(first.Start)
			return int64(e.Process.Program.File.CTime) - began, ok
		}),
	}
	for i, stream := range []string{"stdin", "stdout", "stderr"} {
		all["proc."+stream+".type"] = text(func(e *Event) string { return stdioType(&e.Process.Program.Stdio[i]) })
		all["proc."+stream+".name"] = text(func(e *Event) string { return e.stream.descriptorName(e.Process, i) })
	}
	return all
}

func exeline(e *Event) string {
	p := e.Process.Program
	if p.Args == "" {
		return p.Arg0
	}
	from := len(e.scratch)
	e.scratch = append(append(append(e.scratch, p.Arg0...), ' '), p.Args...)
	return e.since(from)
}

// workingDirectory ends in a slash, as rules have it. It is that of the program's
// start; a program that has changed it since is followed by chdir events where
// the sensor sees them.
func workingDirectory(e *Event) string {
	cwd := e.Process.Program.CWD
	if cwd == "" || cwd == "/" {
		return cwd
	}
	from := len(e.scratch)
	e.scratch = append(append(e.scratch, cwd...), '/')
	return e.since(from)
}

// environment is proc.env: all variables, or the one in brackets.
func environment(e *Event, r *seawall.FieldRef, i int, v *seawall.Value) bool {
	if i > 0 {
		return false
	}
	env := e.env()
	if r.Argument == "" {
		from := len(e.scratch)
		for _, one := range env.All() {
			e.scratch = append(append(e.scratch, one...), ' ')
		}
		v.Text = strings.TrimSuffix(e.since(from), " ")
		return v.Text != ""
	}
	var ok bool
	v.Text, ok = variable(env, r.Argument)
	return ok
}

// env are the variables the program began with: an exec tells them, of others /proc does.
func (e *Event) env() trace.Strings {
	if e.Exec.Env != "" {
		return e.Exec.Env
	}
	if !e.made.hasEnviron {
		e.made.hasEnviron = true
		e.environ = e.stream.procFile(e.Task.PID, "environ")
	}
	return trace.Strings(e.environ)
}

// userFields are those of the user and group.
func userFields() map[string]field {
	account := func(of func(u *user) string, id func(e *Event) uint32) field {
		return text(func(e *Event) string {
			if u := e.stream.users(e).user(id(e)); u != nil {
				return of(u)
			}
			return ""
		})
	}
	return map[string]field{
		"user.uid":     always(func(e *Event) int64 { return int64(e.uid()) }),
		"user.name":    account(func(u *user) string { return u.name }, (*Event).uid),
		"user.homedir": account(func(u *user) string { return u.home }, (*Event).uid),
		"user.shell":   account(func(u *user) string { return u.shell }, (*Event).uid),
		// -1 is none, as rules have it.
		"user.loginuid":  always(func(e *Event) int64 { return int64(int32(e.Task.LoginUID)) }),
		"user.loginname": account(func(u *user) string { return u.name }, func(e *Event) uint32 { return e.Task.LoginUID }),
		"group.gid":      always(func(e *Event) int64 { return int64(e.gid()) }),
		"group.name":     text(func(e *Event) string { return e.stream.users(e).group(e.gid()) }),
	}
}
