package trace

// none is an identity that a call leaves as it is.
const none = ^uint32(0)

// interpret fills the members that follow from Type, Ret and Args.
func (e *Event) interpret() {
	e.NewUID, e.NewGID = none, none
	e.descriptors()
	a := &e.Args
	switch e.Type {
	case Execve, Execveat:
		if e.Ret == 0 {
			e.Exec.OldTID = uint32(a[0])
		} else {
			e.OpFlags = a[4]
		}
	case Open:
		e.OpFlags, e.Mode = a[1], uint32(a[2])
	case Openat:
		e.OpFlags, e.Mode = a[2], uint32(a[3])
	case Openat2: // the programs put what struct open_how says into the unused arguments
		e.OpFlags, e.Mode = a[4], uint32(a[5])
	case Creat:
		e.OpFlags, e.Mode = 0o1101, uint32(a[1]) // O_CREAT | O_TRUNC | O_WRONLY
	case OpenByHandleAt:
		e.OpFlags = a[2]
	case Renameat2, Linkat, MoveMount:
		e.OpFlags = a[4]
	case Unlinkat, OpenTree:
		e.OpFlags = a[2]
	case Mkdir, Mknod, Chmod, Fchmod:
		e.Mode = uint32(a[1])
	case Mkdirat, Mknodat, Fchmodat, Fchmodat2:
		e.Mode = uint32(a[2])
	case Chown, Lchown, Fchown:
		e.NewUID, e.NewGID = uint32(a[1]), uint32(a[2])
	case Fchownat:
		e.NewUID, e.NewGID, e.OpFlags = uint32(a[2]), uint32(a[3]), a[4]
	case Mount:
		e.OpFlags = a[3]
	case PidfdOpen:
		e.TargetPID, e.OpFlags = int32(a[0]), a[1]
	case Umount2, Fsopen, Setns, MemfdCreate, FinitModule:
		e.OpFlags = a[1]
	case Unshare, Userfaultfd:
		e.OpFlags = a[0]
	case Mmap:
		e.Prot, e.OpFlags = uint32(a[2]), a[3]
	case Mprotect:
		e.Prot = uint32(a[2])
	case SocketCall, Dup3:
		e.OpFlags = a[1]
		if e.Type == Dup3 {
			e.OpFlags = a[2]
		}
	case Accept4:
		e.OpFlags = a[3]
	case CgroupMkdir, CgroupRmdir:
		e.Child.Cgroup = a[0]
	default:
		e.interpretProcess()
	}
}

// interpretProcess: calls about processes and identities.
func (e *Event) interpretProcess() {
	a := &e.Args
	switch e.Type {
	case Ptrace:
		e.Command, e.TargetPID = uint32(a[0]), int32(a[1])
	case Bpf, Prctl, Keyctl, IOUringOp, Personality:
		e.Command = uint32(a[0])
	case Fcntl:
		e.Command = uint32(a[1])
	case Kill, Tkill:
		e.TargetPID, e.Signal = int32(a[0]), int32(a[1])
	case Tgkill:
		e.TargetPID, e.Signal = int32(a[0]), int32(a[2])
	case PidfdSendSignal:
		e.Signal = int32(a[1])
	case ProcessVMReadv, ProcessVMWritev:
		e.TargetPID = int32(a[0])
	case Setuid, Setfsuid:
		e.NewUID = uint32(a[0])
	case Setgid, Setfsgid:
		e.NewGID = uint32(a[0])
	case Setreuid, Setresuid:
		e.NewUID = uint32(a[1])
	case Setregid, Setresgid:
		e.NewGID = uint32(a[1])
	}
}

// descriptors fills FD and NewFD.
func (e *Event) descriptors() {
	switch e.Type {
	case Open, Openat, Openat2, Creat, OpenByHandleAt, MemfdCreate, SocketCall, Accept, Accept4, PidfdOpen, PidfdGetfd, Userfaultfd, IOUringSetup, Fsopen, OpenTree, PerfEventOpen:
		e.FD = int32(max(e.Ret, -1))
	case Fchmod, Fchown, Setns, Connect, Bind, Listen, Sendto, Sendmsg, Sendmmsg, Recvfrom, Recvmsg, Recvmmsg, Write, Read, FinitModule, PidfdSendSignal, KexecFileLoad:
		e.FD = int32(e.Args[0])
	case Dup, Dup2, Dup3, Fcntl:
		e.FD, e.NewFD = int32(e.Args[0]), int32(e.Ret)
	case Mmap:
		e.FD = int32(e.Args[4])
	}
}
