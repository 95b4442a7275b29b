package kernel

import (
	"maps"

	"github.com/seawall-security/seawall/internal/sensor/trace"
)

// Short names of what the programs call places, kinds and flags of a call.
const (
	ret  = uint8(sensorPlaceARG_RET)
	cwd  = uint8(sensorPlaceARG_CWD)
	none = uint8(sensorPlaceARG_NONE)

	succeeded = uint8(sensorCallFlagCALL_SUCCESS)
	tree      = uint8(sensorCallFlagCALL_TREE)
	structure = uint8(sensorCallFlagCALL_STRUCT)
	receives  = uint8(sensorCallFlagCALL_RECEIVE)
	anyFD     = uint8(sensorCallFlagCALL_ANY_FD)
)

// The number of a table's entries before the 32-bit calls, and before those of socketcall.
const (
	callsNative    = 512
	callsMultiplex = 1024
)

// number is a system call's number on this machine, or in the table of 32-bit calls.
type number struct {
	nr  uint32
	typ trace.Type
}

func plain() sensorCall {
	return sensorCall{Kind: uint8(sensorKindKIND_PLAIN), Path: none, Dir: none, Path2: none, Dir2: none, Text: none, Fd: none, Address: none, Choice: none}
}

func path(path, dir uint8) sensorCall {
	c := plain()
	c.Kind, c.Path, c.Dir = uint8(sensorKindKIND_PATHS), path, dir
	return c
}

func paths(path1, dir1, path2, dir2 uint8) sensorCall {
	c := path(path1, dir1)
	c.Path2, c.Dir2 = path2, dir2
	return c
}

func open(path1, dir, choice uint8) sensorCall {
	c := path(path1, dir)
	c.Kind, c.Choice = uint8(sensorKindKIND_OPEN), choice
	return c
}

func descriptor(fd, address uint8) sensorCall {
	c := plain()
	c.Kind, c.Fd, c.Address = uint8(sensorKindKIND_FD), fd, address
	return c
}

func message(address uint8) sensorCall {
	c := descriptor(0, address)
	c.Kind = uint8(sensorKindKIND_DNS)
	return c.with(succeeded)
}

func mapping(fd uint8) sensorCall {
	c := descriptor(fd, none)
	c.Kind = uint8(sensorKindKIND_MAP)
	return c.with(succeeded)
}

func duplicate(choice uint8) sensorCall {
	c := descriptor(0, none)
	c.Kind, c.Choice = uint8(sensorKindKIND_DUP), choice
	return c.with(succeeded)
}

func (c sensorCall) with(flags uint8) sensorCall {
	c.Flags |= flags
	return c
}

// untold is a call that only the tracepoints of processes tell.
func untold() sensorCall {
	c := plain().with(tree)
	c.Kind = uint8(sensorKindKIND_NONE)
	return c
}

// describe tells how each call is handled and where its arguments are
// (https://man7.org/linux/man-pages/man2/syscalls.2.html).
func describe() map[trace.Type]sensorCall {
	all := describeNames()
	maps.Copy(all, describeMounts())
	maps.Copy(all, describeDescriptors())
	for _, t := range []trace.Type{
		trace.Unshare, trace.Ptrace, trace.ProcessVMReadv, trace.ProcessVMWritev, trace.PidfdOpen, trace.PidfdGetfd,
		trace.Kill, trace.Tkill, trace.Tgkill, trace.PidfdSendSignal, trace.Bpf,
		trace.Setuid, trace.Setgid, trace.Setreuid, trace.Setregid, trace.Setresuid, trace.Setresgid, trace.Setfsuid, trace.Setfsgid, trace.Setgroups,
		trace.Capset, trace.Prctl, trace.IOUringSetup, trace.Userfaultfd, trace.Keyctl, trace.AddKey, trace.PerfEventOpen,
		trace.Sethostname, trace.Settimeofday, trace.ClockSettime, trace.Personality,
	} {
		all[t] = plain()
	}
	for _, t := range []trace.Type{trace.Execve, trace.Execveat, trace.Fork, trace.Vfork, trace.Clone, trace.Clone3} {
		all[t] = untold()
	}
	for t, c := range all {
		c.Type = uint16(t)
		all[t] = c
	}
	return all
}

// describeNames: calls about files by name.
func describeNames() map[trace.Type]sensorCall {
	return map[trace.Type]sensorCall{
		trace.Open:           open(0, cwd, 1),
		trace.Openat:         open(1, 0, 2),
		trace.Openat2:        open(1, 0, 2).with(structure),
		trace.Creat:          open(0, cwd, none),
		trace.OpenByHandleAt: open(none, none, 2),

		trace.Rename:    paths(0, cwd, 1, cwd),
		trace.Renameat:  paths(1, 0, 3, 2),
		trace.Renameat2: paths(1, 0, 3, 2),
		trace.Unlink:    path(0, cwd),
		trace.Unlinkat:  path(1, 0),
		trace.Rmdir:     path(0, cwd),
		trace.Mkdir:     path(0, cwd),
		trace.Mkdirat:   path(1, 0),
		trace.Mknod:     path(0, cwd),
		trace.Mknodat:   path(1, 0),
		trace.Link:      paths(0, cwd, 1, cwd),
		trace.Linkat:    paths(1, 0, 3, 2),
		trace.Symlink:   paths(0, none, 1, cwd),
		trace.Symlinkat: paths(0, none, 2, 1),
		trace.Chmod:     path(0, cwd),
		trace.Fchmodat:  path(1, 0),
		trace.Fchmodat2: path(1, 0),
		trace.Fchmod:    descriptor(0, none),
		trace.Chown:     path(0, cwd),
		trace.Lchown:    path(0, cwd),
		trace.Fchownat:  path(1, 0),
		trace.Fchown:    descriptor(0, none),
		trace.Truncate:  path(0, cwd),
		trace.Utime:     path(0, cwd),
		trace.Utimes:    path(0, cwd),
		trace.Futimesat: path(1, 0),
		trace.Utimensat: path(1, 0),
		trace.Setxattr:  paths(0, cwd, 1, none),
		trace.Lsetxattr: paths(0, cwd, 1, none),
		trace.Chdir:     path(0, cwd),
		trace.Chroot:    path(0, cwd),
	}
}

// describeMounts: calls that change the tree of files, and the machine.
func describeMounts() map[trace.Type]sensorCall {
	mount := paths(0, none, 1, cwd)
	mount.Text = 2
	fsopen := plain()
	fsopen.Kind, fsopen.Text = uint8(sensorKindKIND_PATHS), 0
	return map[trace.Type]sensorCall{
		trace.Mount:      mount,
		trace.Umount2:    path(0, cwd),
		trace.MoveMount:  paths(1, 0, 3, 2),
		trace.Fsopen:     fsopen,
		trace.PivotRoot:  paths(0, cwd, 1, cwd),
		trace.OpenTree:   path(1, 0),
		trace.Swapon:     path(0, cwd),
		trace.Quotactl:   path(1, cwd),
		trace.KexecLoad:  plain(),
		trace.Reboot:     plain(),
		trace.InitModule: plain(),
	}
}

// describeDescriptors: calls about what is open, and about memory.
func describeDescriptors() map[trace.Type]sensorCall {
	memfd := descriptor(ret, none).with(succeeded)
	memfd.Path = 0
	return map[trace.Type]sensorCall{
		trace.DeleteModule:  path(0, none),
		trace.FinitModule:   descriptor(0, none),
		trace.KexecFileLoad: descriptor(0, none),

		trace.Setns:       descriptor(0, none),
		trace.MemfdCreate: memfd,
		trace.Mmap:        mapping(4),
		trace.Mprotect:    mapping(none),

		trace.SocketCall: descriptor(ret, none),
		trace.Connect:    descriptor(0, 1),
		trace.Accept:     descriptor(ret, none).with(succeeded),
		trace.Accept4:    descriptor(ret, none).with(succeeded),
		trace.Bind:       descriptor(0, 1),
		trace.Listen:     descriptor(0, none),
		trace.Sendto:     message(4),
		trace.Sendmsg:    message(none).with(structure),
		trace.Sendmmsg:   message(none).with(structure),
		trace.Recvfrom:   message(4).with(receives),
		trace.Recvmsg:    message(none).with(receives | structure),
		trace.Recvmmsg:   message(none).with(structure),
		trace.Write:      message(none).with(anyFD),
		trace.Read:       message(none).with(receives | anyFD),
		trace.Dup:        duplicate(none),
		trace.Dup2:       duplicate(none),
		trace.Dup3:       duplicate(none),
		trace.Fcntl:      duplicate(1),
	}
}
