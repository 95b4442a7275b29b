//go:build linux

package node

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// Enter is the first thing that runs inside the new namespaces: it waits until
// the machine is connected, moves into its cgroup and becomes Init.
func Enter(configPath string) error {
	config, err := readConfig(configPath)
	if err != nil {
		return err
	}
	// Unbuffered: what follows the first byte is Init's.
	if _, err := os.Stdin.Read(make([]byte, 1)); err != nil {
		return fmt.Errorf("waiting to be connected: %w", err)
	}
	// A cgroup namespace is per thread until the program is executed again.
	runtime.LockOSThread()
	if err := enterCgroups(config.Name); err != nil {
		return err
	}
	return syscall.Exec("/proc/self/exe", []string{os.Args[0], "node-init", configPath}, os.Environ())
}

// Init sets the machine up, says "up" and then runs what it is told to, until
// standard input ends. It must be the first process of a PID namespace.
func Init(configPath string) error {
	config, err := readConfig(configPath)
	if err != nil {
		return err
	}
	if err := unix.Sethostname([]byte(config.Name)); err != nil {
		return err
	}
	logs, err := os.Open(filepath.Join(config.Dir, "log"))
	if err != nil {
		return err
	}
	if err := enterRoot(config); err != nil {
		return err
	}
	if err := connect(config); err != nil {
		return err
	}
	fmt.Fprintln(os.Stdout, "up")
	s := &supervisor{running: map[int]string{}, logs: logs}
	go s.reap()
	for d := json.NewDecoder(bufio.NewReader(os.Stdin)); ; {
		var p Process
		if err := d.Decode(&p); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		if err := s.start(p); err != nil {
			s.exited(p.Name, err.Error())
		}
	}
}

func readConfig(path string) (Config, error) {
	var c Config
	data, err := os.ReadFile(path)
	if err != nil {
		return c, err
	}
	return c, json.Unmarshal(data, &c)
}

// enterRoot makes the root file system and moves there.
func enterRoot(config Config) error {
	cgroups, err := hierarchies()
	if err != nil {
		return err
	}
	memory := filepath.Join(config.Dir, "memory")
	root := filepath.Join(memory, "root")
	if err := os.MkdirAll(memory, 0o755); err != nil {
		return err
	}
	// Nothing mounted from here on shows outside.
	if err := mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return err
	}
	if err := mount("tmpfs", memory, "tmpfs", 0, "mode=755"); err != nil {
		return err
	}
	for _, dir := range []string{"upper", "work", "root"} {
		if err := os.Mkdir(filepath.Join(memory, dir), 0o755); err != nil {
			return err
		}
	}
	layers := fmt.Sprintf("lowerdir=/,upperdir=%s/upper,workdir=%s/work", memory, memory)
	if err := mount("overlay", root, "overlay", 0, layers); err != nil {
		return err
	}
	for _, m := range []struct {
		source, dir, fstype string
		flags               uintptr
		options             string
	}{
		{"proc", "proc", "proc", 0, ""},
		{"sysfs", "sys", "sysfs", 0, ""},
		{"/dev", "dev", "", unix.MS_BIND | unix.MS_REC, ""},
		{"tmpfs", "run", "tmpfs", 0, "mode=755"},
	} {
		if err := mount(m.source, filepath.Join(root, m.dir), m.fstype, m.flags, m.options); err != nil {
			return err
		}
	}
	if err := mountCgroups(root, cgroups); err != nil {
		return err
	}
	for _, b := range config.Binds {
		if err := bind(b.Source, filepath.Join(root, b.Target)); err != nil {
			return err
		}
	}
	return pivot(root)
}

func mount(source, target, fstype string, flags uintptr, options string) error {
	if err := unix.Mount(source, target, fstype, flags, options); err != nil {
		return fmt.Errorf("mounting %s at %s: %w", source, target, err)
	}
	return nil
}

func bind(source, target string) error {
	info, err := os.Stat(source)
	if err != nil {
		return err
	}
	if info.IsDir() {
		err = os.MkdirAll(target, 0o755)
	} else if err = os.MkdirAll(filepath.Dir(target), 0o755); err == nil {
		err = os.WriteFile(target, nil, 0o755)
	}
	if err != nil {
		return err
	}
	return mount(source, target, "", unix.MS_BIND, "")
}

func pivot(root string) error {
	if err := unix.Chdir(root); err != nil {
		return err
	}
	// The old root is stacked on the new one, then taken off.
	if err := unix.PivotRoot(".", "."); err != nil {
		return fmt.Errorf("changing the root: %w", err)
	}
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
		return err
	}
	if err := unix.Chdir("/"); err != nil {
		return err
	}
	// Volumes with mount propagation need a root that shares its mounts.
	return mount("", "/", "", unix.MS_REC|unix.MS_SHARED, "")
}

func connect(config Config) error {
	gateway, _, _ := strings.Cut(config.Gateway, "/")
	for _, args := range [][]string{
		{"link", "set", "lo", "up"},
		{"address", "add", config.Address, "dev", "eth0"},
		{"link", "set", "eth0", "up"},
		{"route", "add", "default", "via", gateway},
	} {
		if err := ip(args...); err != nil {
			return err
		}
	}
	address, _, _ := strings.Cut(config.Address, "/")
	hosts := fmt.Sprintf("127.0.0.1 localhost\n%s %s\n", address, config.Name)
	if err := os.WriteFile("/etc/hosts", []byte(hosts), 0o644); err != nil {
		return err
	}
	return os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0)
}

// supervisor runs processes and, being the first of its PID namespace, buries
// all that lose their parent.
type supervisor struct {
	mu      sync.Mutex
	running map[int]string
	logs    *os.File
}

func (s *supervisor) start(p Process) error {
	program, err := exec.LookPath(p.Args[0])
	if err != nil {
		return err
	}
	// The directory is outside the new root: reached by its descriptor.
	fd, err := unix.Openat(int(s.logs.Fd()), p.Name+".log", unix.O_CREAT|unix.O_WRONLY|unix.O_APPEND|unix.O_CLOEXEC, 0o644)
	if err != nil {
		return err
	}
	log := os.NewFile(uintptr(fd), p.Name)
	defer log.Close()
	null, err := os.Open(os.DevNull)
	if err != nil {
		return err
	}
	defer null.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	pid, err := syscall.ForkExec(program, p.Args, &syscall.ProcAttr{
		Env:   append(os.Environ(), p.Env...),
		Files: []uintptr{null.Fd(), log.Fd(), log.Fd()},
		Sys:   &syscall.SysProcAttr{Setsid: true},
	})
	if err != nil {
		return err
	}
	s.running[pid] = p.Name
	return nil
}

func (s *supervisor) reap() {
	children := make(chan os.Signal, 1)
	signal.Notify(children, syscall.SIGCHLD)
	for range children {
		s.mu.Lock()
		for {
			var status syscall.WaitStatus
			pid, err := syscall.Wait4(-1, &status, syscall.WNOHANG, nil)
			if err != nil || pid <= 0 {
				break
			}
			if name, ok := s.running[pid]; ok {
				delete(s.running, pid)
				s.exited(name, describe(status))
			}
		}
		s.mu.Unlock()
	}
}

func describe(status syscall.WaitStatus) string {
	if status.Signaled() {
		return "killed by signal " + status.Signal().String()
	}
	return fmt.Sprintf("exit status %d", status.ExitStatus())
}

// exited tells the Machine; that it is gone is no reason to stop.
func (s *supervisor) exited(name, status string) {
	_ = json.NewEncoder(os.Stdout).Encode(Exit{Name: name, Status: status})
}
