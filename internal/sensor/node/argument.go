package node

import (
	"strconv"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/sensor/trace"
)

// argument is one argument of an event as rules see it: evt.arg.name is its text
// (names for flags, absolute paths), evt.rawarg.name its number where it is one.
type argument struct {
	name string
	text func(e *Event) string
	raw  func(e *Event) int64 // nil: it has none
}

// arguments are those of every type of event, in the order of Falco's event table
// (https://falco.org/docs/reference/rules/supported-events/) and by its names.
var arguments = sync.OnceValue(func() [][]argument {
	all := make([][]argument, len(trace.Types())+1)
	for _, part := range []map[trace.Type][]argument{fileArguments(), pathArguments(), mountArguments(), processArguments(), identityArguments(), socketArguments(), memoryArguments()} {
		for t, of := range part {
			all[t] = of
		}
	}
	for t := range all {
		if all[t] == nil {
			all[t] = []argument{argResult}
		}
	}
	return all
})

func number64(name string, of func(e *Event) int64) argument {
	return argument{name, func(e *Event) string { return e.decimal(of(e)) }, of}
}

// raw is the i-th argument as it was passed.
func raw(name string, i int) argument {
	return number64(name, func(e *Event) int64 { return int64(e.Args[i]) })
}

func named(name string, of func(e *Event) uint64, names *[]bit) argument {
	return argument{name, func(e *Event) string { return e.flags(of(e), names) }, func(e *Event) int64 { return int64(of(e)) }}
}

func word(name string, of func(e *Event) string) argument { return argument{name, of, nil} }

var (
	argResult = argument{"res", result, func(e *Event) int64 { return e.Ret }}
	argPath   = func(name string) argument { return word(name, (*Event).path) }
	argPath2  = func(name string) argument { return word(name, (*Event).path2) }
	argFD     = argument{"fd", (*Event).descriptorText, func(e *Event) int64 { return int64(e.FD) }}
	argDirFD  = func(name string, i int) argument {
		return argument{name, func(e *Event) string { return e.directoryText(int32(e.Args[i])) }, func(e *Event) int64 { return int64(int32(e.Args[i])) }}
	}
	argMode  = named("mode", func(e *Event) uint64 { return uint64(e.Mode) }, &modeBits)
	argDev   = number64("dev", func(e *Event) int64 { return int64(e.File.Dev) })
	argInode = number64("ino", func(e *Event) int64 { return int64(e.File.Inode) })
	argUID   = func(name string) argument {
		return argument{name, func(e *Event) string { return e.userText(e.NewUID) }, func(e *Event) int64 { return int64(int32(e.NewUID)) }}
	}
	argGID = func(name string) argument {
		return argument{name, func(e *Event) string { return e.groupText(e.NewGID) }, func(e *Event) int64 { return int64(int32(e.NewGID)) }}
	}
	argTarget = number64("pid", func(e *Event) int64 { return int64(e.TargetPID) })
)

// opFlags are the call's flags by their names.
func opFlags(name string, names *[]bit) argument {
	return named(name, func(e *Event) uint64 { return e.OpFlags }, names)
}

// descriptorText is a descriptor as outputs show it: <f>/etc/passwd.
func (e *Event) descriptorText() string {
	letter := typeLetters[descriptorType(&e.File, e.Socket.Family, false)]
	if letter == "" {
		return e.decimal(int64(e.FD))
	}
	name := e.descriptorName()
	from := len(e.scratch)
	e.scratch = append(append(append(append(e.scratch, '<'), letter...), '>'), name...)
	return e.since(from)
}

func (e *Event) directoryText(fd int32) string {
	if fd == unix.AT_FDCWD {
		return "AT_FDCWD"
	}
	return e.decimal(int64(fd))
}

// userText is a user's name; a number that has none is itself.
func (e *Event) userText(uid uint32) string {
	if u := e.stream.users(e).user(uid); u != nil {
		return u.name
	}
	return e.decimal(int64(int32(uid)))
}

func (e *Event) groupText(gid uint32) string {
	if name := e.stream.users(e).group(gid); name != "" {
		return name
	}
	return e.decimal(int64(int32(gid)))
}

func fileArguments() map[trace.Type][]argument {
	flags := opFlags("flags", &openBits)
	return map[trace.Type][]argument{
		trace.Open:           {argFD, argPath("name"), flags, argMode, argDev, argInode},
		trace.Openat:         {argFD, argDirFD("dirfd", 0), argPath("name"), flags, argMode, argDev, argInode},
		trace.Openat2:        {argFD, argDirFD("dirfd", 0), argPath("name"), flags, argMode, argDev, argInode},
		trace.Creat:          {argFD, argPath("name"), argMode, argDev, argInode, flags},
		trace.OpenByHandleAt: {argFD, raw("mountfd", 0), flags, word("path", (*Event).descriptorName), argDev, argInode},
		trace.Chmod:          {argResult, argPath("filename"), argMode},
		trace.Fchmod:         {argResult, argFD, argMode},
		trace.Fchmodat:       {argResult, argDirFD("dirfd", 0), argPath("filename"), argMode},
		trace.Fchmodat2:      {argResult, argDirFD("dirfd", 0), argPath("filename"), argMode, raw("flags", 3)},
		trace.Chown:          {argResult, argPath("path"), argUID("uid"), argGID("gid")},
		trace.Lchown:         {argResult, argPath("path"), argUID("uid"), argGID("gid")},
		trace.Fchown:         {argResult, argFD, argUID("uid"), argGID("gid")},
		trace.Fchownat:       {argResult, argDirFD("dirfd", 0), argPath("pathname"), argUID("uid"), argGID("gid"), raw("flags", 4)},
		trace.Truncate:       {argResult, argPath("path"), raw("length", 1)},
		trace.Utime:          {argResult, argPath("path")},
		trace.Utimes:         {argResult, argPath("path")},
		trace.Futimesat:      {argResult, argDirFD("dirfd", 0), argPath("path")},
		trace.Utimensat:      {argResult, argDirFD("dirfd", 0), argPath("path")},
		trace.Setxattr:       {argResult, argPath("path"), word("name", func(e *Event) string { return e.Path2 })},
		trace.Lsetxattr:      {argResult, argPath("path"), word("name", func(e *Event) string { return e.Path2 })},
		trace.Dup:            {argResult, number64("oldfd", oldFD)},
		trace.Dup2:           {argResult, number64("oldfd", oldFD), number64("newfd", newFD)},
		trace.Dup3:           {argResult, number64("oldfd", oldFD), number64("newfd", newFD), flags},
		trace.Fcntl:          {argResult, number64("fd", oldFD), raw("cmd", 1)},
		trace.IOUringSetup:   {argResult, raw("entries", 0), raw("flags", 1)},
		trace.IOUringOp:      {argResult, number64("opcode", func(e *Event) int64 { return int64(e.Command) })},
	}
}

func oldFD(e *Event) int64 { return int64(e.FD) }
func newFD(e *Event) int64 { return int64(e.NewFD) }

func pathArguments() map[trace.Type][]argument {
	unlinkFlags := opFlags("flags", &unlinkBits)
	text := word("target", func(e *Event) string { return e.Path })
	return map[trace.Type][]argument{
		trace.Rename:    {argResult, argPath("oldpath"), argPath2("newpath")},
		trace.Renameat:  {argResult, argDirFD("olddirfd", 0), argPath("oldpath"), argDirFD("newdirfd", 2), argPath2("newpath")},
		trace.Renameat2: {argResult, argDirFD("olddirfd", 0), argPath("oldpath"), argDirFD("newdirfd", 2), argPath2("newpath"), raw("flags", 4)},
		trace.Unlink:    {argResult, argPath("path")},
		trace.Unlinkat:  {argResult, argDirFD("dirfd", 0), argPath("name"), unlinkFlags},
		trace.Rmdir:     {argResult, argPath("path")},
		trace.Mkdir:     {argResult, argPath("path"), argMode},
		trace.Mkdirat:   {argResult, argDirFD("dirfd", 0), argPath("path"), argMode},
		trace.Mknod:     {argResult, argPath("path"), argMode, raw("dev", 2)},
		trace.Mknodat:   {argResult, argDirFD("dirfd", 0), argPath("path"), argMode, raw("dev", 3)},
		trace.Link:      {argResult, argPath("oldpath"), argPath2("newpath")},
		trace.Linkat:    {argResult, argDirFD("olddir", 0), argPath("oldpath"), argDirFD("newdir", 2), argPath2("newpath"), raw("flags", 4)},
		trace.Symlink:   {argResult, text, argPath2("linkpath")},
		trace.Symlinkat: {argResult, text, argDirFD("linkdirfd", 1), argPath2("linkpath")},
		trace.Chdir:     {argResult, argPath("path")},
		trace.Chroot:    {argResult, argPath("path")},
	}
}

func mountArguments() map[trace.Type][]argument {
	fstype := word("type", func(e *Event) string { return e.FSType })
	return map[trace.Type][]argument{
		trace.Mount:     {argResult, word("dev", func(e *Event) string { return e.Path }), argPath2("dir"), fstype, opFlags("flags", &mountBits)},
		trace.Umount2:   {argResult, argPath("name"), opFlags("flags", &umountBits)},
		trace.MoveMount: {argResult, argPath("from"), argPath2("to"), raw("flags", 4)},
		trace.Fsopen:    {argResult, fstype, raw("flags", 1)},
		trace.PivotRoot: {argResult, argPath("new_root"), argPath2("put_old")},
		trace.OpenTree:  {argFD, argDirFD("dirfd", 0), argPath("filename"), raw("flags", 2)},
	}
}

func processArguments() map[trace.Type][]argument {
	caps := func(name string, of func(t *trace.Task) uint64) argument {
		return argument{name, func(e *Event) string { return e.stream.capabilities(of(&e.Task)) }, func(e *Event) int64 { return int64(of(&e.Task)) }}
	}
	sets := []argument{
		caps("cap_inheritable", func(t *trace.Task) uint64 { return t.CapInheritable }),
		caps("cap_permitted", func(t *trace.Task) uint64 { return t.CapPermitted }),
		caps("cap_effective", func(t *trace.Task) uint64 { return t.CapEffective }),
	}
	tid := number64("tid", func(e *Event) int64 { return int64(e.Task.TID) })
	pid := number64("pid", func(e *Event) int64 { return int64(e.Task.PID) })
	ptid := number64("ptid", parentPID)
	exec := append([]argument{
		argResult, word("exe", func(e *Event) string { return e.Process.Program.Arg0 }), word("args", func(e *Event) string { return e.Process.Program.Args }),
		tid, pid, ptid, word("cwd", workingDirectory), word("comm", func(e *Event) string { return e.Process.Comm }),
		number64("tty", func(e *Event) int64 { return int64(e.Task.TTY) }), number64("vpgid", func(e *Event) int64 { return int64(e.Task.VPGID) }),
		number64("loginuid", func(e *Event) int64 { return int64(int32(e.Task.LoginUID)) }), named("flags", execFlags, &execBits),
		number64("exe_ino", func(e *Event) int64 { return int64(e.File.Inode) }), number64("exe_ino_ctime", func(e *Event) int64 { return int64(e.File.CTime) }),
		number64("exe_ino_mtime", func(e *Event) int64 { return int64(e.File.MTime) }), number64("uid", func(e *Event) int64 { return int64(e.uid()) }),
		argPath("filename"), word("interpreter", func(e *Event) string { return e.Exec.Interp }),
	}, sets...)
	fork := []argument{
		number64("res", func(e *Event) int64 { return e.Ret }), tid, pid, ptid, opFlags("flags", &cloneBits),
		number64("child", func(e *Event) int64 { return int64(e.Child.PID) }), number64("vpid", func(e *Event) int64 { return int64(e.Task.VPID) }),
	}
	signal := argument{"sig", func(e *Event) string { return unix.SignalName(unix.Signal(e.Signal)) }, func(e *Event) int64 { return int64(e.Signal) }}
	module := word("name", func(e *Event) string { return e.Path })
	return map[trace.Type][]argument{
		trace.Execve: exec, trace.Execveat: exec,
		trace.Fork: fork, trace.Vfork: fork, trace.Clone: fork, trace.Clone3: fork,
		trace.Exit:    {number64("status", func(e *Event) int64 { return e.Ret })},
		trace.Setns:   {argResult, argFD, named("nstype", namespaceOf, &cloneBits)},
		trace.Unshare: {argResult, opFlags("flags", &cloneBits)},
		trace.Ptrace: {argResult, argument{"request", func(e *Event) string { return e.enumerated(uint64(e.Command), ptraceRequests()) }, command}, argTarget,
			raw("addr", 2), raw("data", 3)},
		trace.ProcessVMReadv:  {argResult, argTarget},
		trace.ProcessVMWritev: {argResult, argTarget},
		trace.PidfdOpen:       {argResult, argTarget, raw("flags", 1)},
		trace.PidfdGetfd:      {argResult, raw("pid_fd", 0), raw("target_fd", 1)},
		trace.Kill:            {argResult, argTarget, signal},
		trace.Tkill:           {argResult, number64("tid", func(e *Event) int64 { return int64(e.TargetPID) }), signal},
		trace.Tgkill:          {argResult, argTarget, raw("tid", 1), signal},
		trace.PidfdSendSignal: {argResult, argFD, signal},
		trace.Bpf:             {argResult, argument{"cmd", func(e *Event) string { return e.enumerated(uint64(e.Command), bpfCommands()) }, command}},
		trace.InitModule:      {argResult, raw("length", 1)},
		trace.FinitModule:     {argResult, argFD, raw("flags", 2)},
		trace.DeleteModule:    {argResult, module, raw("flags", 1)},
		trace.Prctl:           {argResult, argument{"option", func(e *Event) string { return e.decimal(int64(e.Command)) }, command}},
		trace.Keyctl:          {argResult, argument{"cmd", func(e *Event) string { return e.decimal(int64(e.Command)) }, command}},
		trace.Capset:          append([]argument{argResult}, sets...),
		trace.Personality:     {argResult, raw("persona", 0)},
	}
}

func command(e *Event) int64 { return int64(e.Command) }

// The flags of an exec, as the rules language numbers them.
const (
	execWritable = 1 << iota
	execUpper
	execMemfd
	execLower
)

func execFlags(e *Event) (set uint64) {
	for bit, is := range map[uint64]bool{execWritable: e.File.Writable, execUpper: e.File.Upper, execMemfd: e.File.Memfd, execLower: e.File.Lower} {
		if is {
			set |= bit
		}
	}
	return set
}

// namespaceOf is the kind of namespace a setns asks for; where it says any, the descriptor's.
func namespaceOf(e *Event) uint64 {
	if e.OpFlags != 0 {
		return e.OpFlags
	}
	for name, kind := range namespaceKinds() {
		if len(e.File.Path) > len(name) && e.File.Path[:len(name)] == name && e.File.Path[len(name)] == ':' || base(e.File.Path) == name {
			return kind
		}
	}
	return 0
}

func identityArguments() map[trace.Type][]argument {
	uidAt := func(name string, i int) argument {
		return argument{name, func(e *Event) string { return e.userText(uint32(e.Args[i])) }, func(e *Event) int64 { return int64(int32(e.Args[i])) }}
	}
	gidAt := func(name string, i int) argument {
		return argument{name, func(e *Event) string { return e.groupText(uint32(e.Args[i])) }, func(e *Event) int64 { return int64(int32(e.Args[i])) }}
	}
	return map[trace.Type][]argument{
		trace.Setuid:    {argResult, argUID("uid")},
		trace.Setfsuid:  {argResult, argUID("uid")},
		trace.Setgid:    {argResult, argGID("gid")},
		trace.Setfsgid:  {argResult, argGID("gid")},
		trace.Setreuid:  {argResult, uidAt("ruid", 0), uidAt("euid", 1)},
		trace.Setregid:  {argResult, gidAt("rgid", 0), gidAt("egid", 1)},
		trace.Setresuid: {argResult, uidAt("ruid", 0), uidAt("euid", 1), uidAt("suid", 2)},
		trace.Setresgid: {argResult, gidAt("rgid", 0), gidAt("egid", 1), gidAt("sgid", 2)},
	}
}

func socketArguments() map[trace.Type][]argument {
	tuple := word("tuple", (*Event).descriptorName)
	query := word("query", (*Event).queried)
	data := []argument{argResult, argFD, number64("size", func(e *Event) int64 { return max(e.Ret, 0) }), tuple, query}
	return map[trace.Type][]argument{
		trace.SocketCall: {argFD, argument{"domain", func(e *Event) string { return e.enumerated(e.Args[0], families()) }, func(e *Event) int64 { return int64(e.Args[0]) }},
			argument{"type", func(e *Event) string { return e.enumerated(e.Args[1]&0xf, socketTypes()) }, func(e *Event) int64 { return int64(e.Args[1]) }}, raw("proto", 2)},
		trace.Connect: {argResult, tuple, argFD, word("addr", func(e *Event) string {
			return e.text(func(b []byte) []byte { return appendEnd(b, e.remote()) })
		})},
		trace.Accept:  {argFD, tuple},
		trace.Accept4: {argFD, tuple, raw("flags", 3)},
		trace.Bind:    {argResult, word("addr", (*Event).descriptorName), argFD},
		trace.Listen:  {argResult, argFD, raw("backlog", 1)},
		trace.Sendto:  data, trace.Sendmsg: data, trace.Sendmmsg: data,
		trace.Recvfrom: data, trace.Recvmsg: data, trace.Recvmmsg: data,
		trace.Write: data, trace.Read: data,
	}
}

func memoryArguments() map[trace.Type][]argument {
	prot := named("prot", func(e *Event) uint64 { return uint64(e.Prot) }, &protBits)
	return map[trace.Type][]argument{
		trace.MemfdCreate: {argFD, word("name", func(e *Event) string { return e.Path }), raw("flags", 1)},
		trace.Mmap:        {argResult, raw("addr", 0), raw("length", 1), prot, opFlags("flags", &mapBits), argFD},
		trace.Mprotect:    {argResult, raw("addr", 0), raw("length", 1), prot},
		trace.Userfaultfd: {argResult, raw("flags", 0)},
	}
}

// argumentFields are the fields of arguments.
func argumentFields() map[string]field {
	find := func(e *Event, r *seawall.FieldRef, i int) *argument {
		of := arguments()[e.Type]
		if i > 0 {
			return nil
		}
		if r.Index >= 0 && r.Index < len(of) {
			return &of[r.Index]
		}
		for n := range of {
			if of[n].name == r.Argument {
				return &of[n]
			}
		}
		return nil
	}
	return map[string]field{
		"evt.arg": {kindText, func(e *Event, r *seawall.FieldRef, i int, v *seawall.Value) bool {
			a := find(e, r, i)
			if a == nil {
				return false
			}
			v.Text = a.text(e)
			return v.Text != ""
		}},
		"evt.rawarg": {kindText, func(e *Event, r *seawall.FieldRef, i int, v *seawall.Value) bool {
			a := find(e, r, i)
			switch {
			case a == nil:
				return false
			case a.raw == nil:
				v.Text = a.text(e)
			default:
				v.Number = a.raw(e)
				v.Text = e.decimal(v.Number)
			}
			return v.Text != ""
		}},
		"evt.args": text((*Event).allArguments),
		"evt.info": text((*Event).allArguments),
		"evt.abspath": {kindText, func(e *Event, r *seawall.FieldRef, i int, v *seawall.Value) bool {
			if i > 0 || e.Type < trace.Open || e.Type > trace.OpenTree {
				return false
			}
			switch r.Argument {
			case "new", "newpath", "linkpath":
				v.Text = e.targetPath()
			case "old", "oldpath":
				v.Text = e.sourcePath()
			default:
				if v.Text = e.pathName(); v.Text == "" {
					v.Text = e.sourcePath()
				}
			}
			return v.Text != ""
		}},
	}
}

// allArguments are all of them: "res=SUCCESS path=/etc/x".
func (e *Event) allArguments() string {
	var all []byte
	for _, a := range arguments()[e.Type] {
		if t := a.text(e); t != "" {
			if len(all) > 0 {
				all = append(all, ' ')
			}
			all = append(append(append(all, a.name...), '='), t...)
		}
	}
	return string(all)
}

// enumerated is the name of a value that is one of a list; its number when it has none.
func (e *Event) enumerated(n uint64, names map[uint64]string) string {
	if name := names[n]; name != "" {
		return name
	}
	return e.text(func(b []byte) []byte { return strconv.AppendUint(b, n, 10) })
}
