// Package privilege gives up what a process needs no more once it is set up: all
// capabilities but those it names, for good, in every thread, and for whatever it
// would execute.
package privilege

import (
	"errors"
	"fmt"
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Sensing are the capabilities that watching needs when it has begun: reading of
// every process, finding cgroups by their numbers, changing the tables of BPF programs.
func Sensing() []int {
	return []int{unix.CAP_SYS_PTRACE, unix.CAP_DAC_READ_SEARCH, unix.CAP_BPF}
}

// Responding are those that actions need beside: ending processes, cutting networks
// (BPF programs of cgroups), refusing programs (fanotify), entering network
// namespaces, listening there.
func Responding() []int {
	return []int{unix.CAP_KILL, unix.CAP_NET_ADMIN, unix.CAP_PERFMON, unix.CAP_SYS_ADMIN, unix.CAP_NET_RAW, unix.CAP_SYS_RESOURCE}
}

// Keep gives up every capability that is not named, and the way to get new ones by
// executing a program. Those the process does not have are not gained. The error
// wraps errors.ErrUnsupported where a program is built with cgo.
func Keep(capabilities []int) error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var have [2]unix.CapUserData
	if err := unix.Capget(&header, &have[0]); err != nil {
		return fmt.Errorf("reading capabilities: %w", err)
	}
	var keep [2]uint32
	for _, c := range capabilities {
		keep[c/32] |= 1 << (c % 32)
	}
	// Taking from the bounding set needs a capability: it comes first, as far as it is allowed.
	if have[0].Effective&(1<<unix.CAP_SETPCAP) != 0 {
		for c := range unix.CAP_LAST_CAP + 1 {
			if keep[c/32]&(1<<(c%32)) == 0 {
				if err := all(unix.SYS_PRCTL, unix.PR_CAPBSET_DROP, uintptr(c), 0); err != nil && !errors.Is(err, unix.EINVAL) { // one this kernel does not know
					return fmt.Errorf("capability %d: %w", c, err)
				}
			}
		}
	}
	if err := all(unix.SYS_PRCTL, unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0); err != nil {
		return fmt.Errorf("ambient capabilities: %w", err)
	}
	if err := all(unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1, 0); err != nil {
		return fmt.Errorf("no new privileges: %w", err)
	}
	for i := range have {
		have[i].Permitted &= keep[i]
		have[i].Effective = have[i].Permitted
		have[i].Inheritable = 0
	}
	err := all(unix.SYS_CAPSET, uintptr(unsafe.Pointer(&header)), uintptr(unsafe.Pointer(&have[0])), 0)
	runtime.KeepAlive(&header)
	runtime.KeepAlive(&have)
	if err != nil {
		return fmt.Errorf("giving up capabilities: %w", err)
	}
	return nil
}

// all makes a system call in every thread of the process.
func all(number, a, b, c uintptr) error {
	_, _, errno := syscall.AllThreadsSyscall6(number, a, b, c, 0, 0, 0)
	switch errno {
	case 0:
		return nil
	case syscall.ENOTSUP:
		return errors.ErrUnsupported
	}
	return errno
}
