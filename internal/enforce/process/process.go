// Package process ends processes: one, or all of a container.
//
// A process is held by a pidfd before its start time is compared, so that the
// signal reaches the one that was judged and never another one that got its
// number. A container's processes are ended through its cgroup, at once where
// the kernel has cgroup.kill (5.14), else one by one until none is left.
package process

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/seawall-security/seawall/internal/enforce"
)

// tick is the unit of times in /proc/PID/stat, in nanoseconds: USER_HZ is 100 on
// every architecture Linux runs containers on.
const tick = 10_000_000

// Killer ends processes and containers. Its zero value protects this process,
// process 1, kernel threads, and Protected programs of the host.
type Killer struct {
	// Protected are names of the host's programs that are never ended, as the file
	// is called, not as the process calls itself; nil is Protected().
	Protected []string
}

// Protected are the programs without which a node is lost.
func Protected() []string {
	return []string{"kubelet", "containerd", "containerd-shim-runc-v2", "containerd-shim", "crio", "conmon", "dockerd",
		"systemd", "systemd-journald", "systemd-logind", "systemd-udevd", "dbus-daemon", "init", "runc", "crun", "kube-apiserver", "etcd"}
}

// Process ends the process of an action: PID and Start are needed.
func (k *Killer) Process(_ context.Context, a *enforce.Action) enforce.Outcome {
	s := &a.Subject
	if s.Start == 0 {
		return enforce.Outcome{Err: fmt.Errorf("process %d without its start time: %w", s.PID, enforce.ErrIdentity)}
	}
	if err := k.end(s.PID, s.Start, s.Container == nil); err != nil {
		return enforce.Outcome{Err: err}
	}
	return enforce.Outcome{Detail: fmt.Sprintf("process %d got SIGKILL", s.PID)}
}

// end kills the process that has pid and, unless it is 0, started.
func (k *Killer) end(pid int, started uint64, host bool) error {
	if pid <= 1 || pid == os.Getpid() {
		return fmt.Errorf("process %d: %w", pid, enforce.ErrProtected)
	}
	fd, err := unix.PidfdOpen(pid, 0)
	if errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("process %d: %w", pid, enforce.ErrGone)
	}
	if err != nil {
		return fmt.Errorf("process %d: pidfd_open: %w", pid, err)
	}
	defer unix.Close(fd)
	now, flags, err := stat(pid)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ESRCH):
		return fmt.Errorf("process %d: %w", pid, enforce.ErrGone)
	case err != nil:
		return err
	case flags&kernelThread != 0:
		return fmt.Errorf("process %d is the kernel's: %w", pid, enforce.ErrProtected)
	case started != 0 && now/tick != started/tick:
		return fmt.Errorf("process %d started %v after boot, not %v: %w", pid, time.Duration(now), time.Duration(started), enforce.ErrGone)
	}
	if host {
		if exe, _ := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid)); slices.Contains(k.protected(), filepath.Base(exe)) {
			return fmt.Errorf("process %d is the node's %s: %w", pid, filepath.Base(exe), enforce.ErrProtected)
		}
	}
	if err := unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0); errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("process %d: %w", pid, enforce.ErrGone)
	} else if err != nil {
		return fmt.Errorf("process %d: pidfd_send_signal: %w", pid, err)
	}
	return nil
}

func (k *Killer) protected() []string {
	if k.Protected != nil {
		return k.Protected
	}
	return Protected()
}

// kernelThread is PF_KTHREAD.
const kernelThread = 0x00200000

// Started is when a process started, in nanoseconds since boot, in steps of 10 ms.
func Started(pid int) (uint64, error) {
	started, _, err := stat(pid)
	return started, err
}

// stat reads the start and flags of a process: proc(5), fields 22 and 9 of stat.
func stat(pid int) (started, flags uint64, err error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, 0, err
	}
	return parseStat(data)
}

func parseStat(data []byte) (started, flags uint64, err error) {
	// The name is in parentheses and may hold anything, parentheses included.
	end := bytes.LastIndexByte(data, ')')
	fields := strings.Fields(string(data[end+1:]))
	if end < 0 || len(fields) < 20 {
		return 0, 0, fmt.Errorf("process status %.40q is not as proc(5) says", data)
	}
	flags, err = strconv.ParseUint(fields[6], 10, 64)
	ticks, err2 := strconv.ParseUint(fields[19], 10, 64)
	if err = errors.Join(err, err2); err != nil || ticks > 1<<62/tick {
		return 0, 0, fmt.Errorf("process status %.40q is not as proc(5) says", data)
	}
	return ticks * tick, flags, nil
}

// Container ends every process of an action's container: Container and CgroupPath
// are needed. It returns when none is left.
func (k *Killer) Container(ctx context.Context, a *enforce.Action) enforce.Outcome {
	count, err := k.container(ctx, a)
	if err != nil {
		return enforce.Outcome{Err: err}
	}
	return enforce.Outcome{Detail: fmt.Sprintf("%d processes of container %.12s got SIGKILL", count, a.Subject.Container.ID)}
}

func (k *Killer) container(ctx context.Context, a *enforce.Action) (count int, err error) {
	dir, err := enforce.CgroupDir(&a.Subject)
	if err != nil {
		return 0, err
	}
	pids, err := Members(dir)
	if err != nil {
		return 0, err
	}
	if slices.Contains(pids, os.Getpid()) {
		return 0, fmt.Errorf("the agent itself is in %s: %w", dir, enforce.ErrProtected)
	}
	err = os.WriteFile(filepath.Join(dir, "cgroup.kill"), []byte("1"), 0)
	oneByOne := errors.Is(err, fs.ErrNotExist)
	if err != nil && !oneByOne {
		return 0, fmt.Errorf("ending the processes of %s: %w", dir, err)
	}
	return len(pids), k.drain(ctx, dir, oneByOne)
}

// drain waits until a cgroup is empty, killing what is in it when asked to.
func (k *Killer) drain(ctx context.Context, dir string, kill bool) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	for {
		pids, err := Members(dir)
		if err != nil {
			return err
		}
		if len(pids) == 0 {
			return nil
		}
		for _, pid := range pids {
			if !kill {
				break
			}
			if err := k.end(pid, 0, false); err != nil && !errors.Is(err, enforce.ErrGone) {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%d processes of %s are still there: %w", len(pids), dir, ctx.Err())
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// Members are the processes of a cgroup and those below it; none where it is gone.
func Members(dir string) (pids []int, err error) {
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			var more []int
			more, err = procs(filepath.Join(path, "cgroup.procs"))
			pids = append(pids, more...)
		}
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENODEV) {
			return nil
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("reading the processes of %s: %w", dir, err)
	}
	return pids, nil
}

func procs(name string) (pids []int, err error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		// 0 is a process of another PID namespace: none of the host's.
		if pid, err := strconv.Atoi(lines.Text()); err == nil && pid > 0 {
			pids = append(pids, pid)
		}
	}
	return pids, lines.Err()
}
