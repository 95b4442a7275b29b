package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/seawall-security/seawall/internal/detect/rules"
	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/sensor/kernel"
	"github.com/seawall-security/seawall/internal/sensor/trace"
)

// report is what a watching process says at its end.
type report struct {
	Told, Lost uint64
	BPF        time.Duration
	BPFRuns    uint64
}

// watch runs a sensor until ctx ends. Its first line is "ready", its last a report.
func watch(ctx context.Context, what string, out io.Writer) error {
	filter := seawall.EventFilter{Types: []string{what}}
	if what == "rules" {
		set, err := rules.Load(rules.Own()...)
		if err != nil {
			return err
		}
		engine, err := rules.Compile(set)
		if err != nil {
			return err
		}
		filter = engine.Filter()
	}
	stats, err := kernel.EnableStats()
	if err != nil {
		return err
	}
	defer stats.Close()
	s, err := kernel.New(kernel.Config{Rate: -1, Started: func() error { _, err := fmt.Fprintln(out, "ready"); return err }})
	if err != nil {
		return err
	}
	defer s.Close()
	var r report
	if err := s.Run(ctx, filter, func(*trace.Event) { r.Told++ }); err != nil {
		return err
	}
	counts, err := s.Counters()
	if err != nil {
		return err
	}
	for _, c := range counts {
		r.Lost += c.Lost
	}
	if r.BPF, r.BPFRuns, err = s.RunTime(); err != nil {
		return err
	}
	return json.NewEncoder(out).Encode(r)
}

// sensor is this program, watching.
func (b *bench) sensor(what string) func(context.Context) (func() (usage, error), error) {
	return func(ctx context.Context) (func() (usage, error), error) {
		cmd := exec.CommandContext(ctx, b.self, "-observe", what)
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		if err != nil {
			return nil, err
		}
		if err := cmd.Start(); err != nil {
			return nil, err
		}
		lines := bufio.NewReader(out)
		if line, err := lines.ReadString('\n'); line != "ready\n" {
			return nil, errors.Join(fmt.Errorf("the sensor said %q", line), err, cmd.Wait())
		}
		before, err := usageOf(cmd.Process.Pid)
		if err != nil {
			return nil, err
		}
		return func() (usage, error) {
			u, err := usageOf(cmd.Process.Pid)
			if err != nil {
				return u, err
			}
			u.cpu -= before.cpu
			if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
				return u, err
			}
			var r report
			if err := json.NewDecoder(lines).Decode(&r); err != nil {
				return u, err
			}
			u.told, u.lost, u.bpf, u.bpfRuns = r.Told, int64(r.Lost), r.BPF, r.BPFRuns
			return u, cmd.Wait()
		}, nil
	}
}

// wholeAgent is seawall-agent with its own rules, writing what it finds to a file.
func (b *bench) wholeAgent(ctx context.Context) (func() (usage, error), error) {
	log, err := os.Create(filepath.Join(b.work, "agent.log"))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd := exec.CommandContext(ctx, b.agent, "run", "--state", b.work, "--output", "jsonl="+filepath.Join(b.work, "agent.jsonl"))
	cmd.Stderr = log
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	time.Sleep(4 * time.Second) // loaded and attached
	before, err := usageOf(cmd.Process.Pid)
	if err != nil {
		return nil, err
	}
	return func() (usage, error) {
		u, err := usageOf(cmd.Process.Pid)
		u.cpu -= before.cpu
		u.lost = -1 // its statuses say so
		if err != nil {
			return u, err
		}
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			return u, err
		}
		return u, cmd.Wait()
	}, nil
}

// auditd is the same load beside auditd from the distribution; none where it is not installed or in use.
func (b *bench) auditd(call string) []observer {
	daemon, err := exec.LookPath("auditd")
	if err != nil {
		return nil
	}
	status, err := exec.Command("auditctl", "-s").Output()
	if err != nil || !strings.Contains(string(status), "\npid 0\n") {
		return nil
	}
	return []observer{{"auditd, every call told", func(ctx context.Context) (func() (usage, error), error) {
		dir := filepath.Join(b.work, "audit")
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, err
		}
		conf := fmt.Sprintf("local_events = yes\nwrite_logs = yes\nlog_file = %s/audit.log\nlog_format = RAW\nflush = INCREMENTAL_ASYNC\nfreq = 50\nmax_log_file = 512\nnum_logs = 2\nmax_log_file_action = ROTATE\nspace_left = 2\nadmin_space_left = 1\nq_depth = 20000\nplugin_dir = %s\n", dir, dir)
		if err := os.WriteFile(filepath.Join(dir, "auditd.conf"), []byte(conf), 0o600); err != nil {
			return nil, err
		}
		cmd := exec.CommandContext(ctx, daemon, "-n", "-s", "enable", "-c", dir)
		if err := cmd.Start(); err != nil {
			return nil, err
		}
		time.Sleep(time.Second)
		rule := []string{"always,exit", "-F", "arch=b64", "-S", call, "-F", "uid=" + strconv.Itoa(loadUser)}
		lost := func() (n int64) {
			out, _ := exec.Command("auditctl", "-s").Output()
			for line := range strings.Lines(string(out)) {
				_, _ = fmt.Sscanf(line, "lost %d", &n)
			}
			return n
		}
		if out, err := exec.Command("auditctl", append([]string{"-b", "16384", "-a"}, rule...)...).CombinedOutput(); err != nil {
			return nil, fmt.Errorf("auditctl: %w: %s", err, out)
		}
		lostBefore := lost()
		before, err := usageOf(cmd.Process.Pid)
		return func() (usage, error) {
			u, err := usageOf(cmd.Process.Pid)
			u.cpu -= before.cpu
			u.lost = lost() - lostBefore
			_, errRule := exec.Command("auditctl", append([]string{"-d"}, rule...)...).Output()
			_, errOff := exec.Command("auditctl", "-e", "0").Output()
			err = errors.Join(err, errRule, errOff, cmd.Process.Signal(syscall.SIGTERM))
			_ = cmd.Wait()
			return u, errors.Join(err, os.RemoveAll(dir))
		}, err
	}}}
}

// usageOf reads a process's CPU time and resident memory.
func usageOf(pid int) (usage, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return usage{}, err
	}
	// Behind the name, which may hold anything (proc_pid_stat(5)).
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	if len(fields) < 22 {
		return usage{}, fmt.Errorf("/proc/%d/stat: %q", pid, stat)
	}
	user, _ := strconv.ParseInt(fields[11], 10, 64)
	system, _ := strconv.ParseInt(fields[12], 10, 64)
	pages, _ := strconv.ParseInt(fields[21], 10, 64)
	const ticks = 100 // a second, on every Linux
	return usage{cpu: time.Duration(user+system) * time.Second / ticks, rss: pages * int64(unix.Getpagesize())}, nil
}
