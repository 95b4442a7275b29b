//go:build linux

// Package node is one machine of a test cluster: a process that is the init of
// its own mount, PID, network, cgroup, UTS and IPC namespaces. It sees the root
// file system of the real machine with a layer in memory above it, so that the
// programs inside find and write the paths of a normal node (/etc/kubernetes,
// /var/lib/kubelet, /run/containerd) and the real machine sees none of it.
//
// Boot makes one and returns its Machine. That starts itself again twice inside
// the new namespaces (Enter, then Init), since a process cannot move as a whole.
// The Machine sends commands to the init over its standard input, the init
// answers with the ends of processes on its standard output.
//
// When the init dies the kernel kills every process in its PID namespace,
// containers and their shims included, and with the last of them mounts,
// interfaces and packet filter rules go. The init is told to die with the thread
// that booted it. What outlives all that are empty cgroups: RemoveCgroups.
package node

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// Config describes a machine.
type Config struct {
	// Name is the host name and the name of its cgroup.
	Name string
	// Dir is a directory of the machine's own, on a real file system.
	Dir string
	// Link is the name of the interface that the real machine has towards this one.
	Link string
	// Address is this machine's, Gateway the real machine's, on the link between both (CIDR notation).
	Address, Gateway string
	// Routes are more networks that the real machine reaches through this one.
	Routes []string
	// Binds are files and directories of the real machine to be seen inside.
	Binds []Bind
}

// Bind shows Source at Target.
type Bind struct{ Source, Target string }

// Process is a program to run on a machine.
type Process struct {
	Name string
	Args []string
	Env  []string
}

// Exit is the end of a Process.
type Exit struct{ Name, Status string }

// Machine is a running node, seen from outside.
type Machine struct {
	config Config
	init   *exec.Cmd
	stdin  io.WriteCloser
	exits  chan Exit
}

// Boot starts a machine. The calling goroutine must be locked to its thread and
// the thread must live as long as the machine.
func Boot(config Config) (*Machine, error) {
	if err := os.MkdirAll(filepath.Join(config.Dir, "log"), 0o755); err != nil {
		return nil, err
	}
	data, err := json.Marshal(config)
	if err != nil {
		return nil, err
	}
	path := filepath.Join(config.Dir, "node.json")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	log, err := os.Create(filepath.Join(config.Dir, "log", "init.log"))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd := exec.Command(self, "node-enter", path)
	cmd.Stderr = log
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWNET | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC,
		Pdeathsig:  syscall.SIGKILL,
		Setsid:     true,
	}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting the init of %s: %w", config.Name, err)
	}
	m := &Machine{config: config, init: cmd, stdin: stdin, exits: make(chan Exit, 32)}
	if err := m.boot(bufio.NewReader(stdout)); err != nil {
		_ = m.Stop() // there is an error to report already
		said, _ := os.ReadFile(log.Name())
		return nil, fmt.Errorf("booting %s: %w\n%s", config.Name, err, said)
	}
	return m, nil
}

// boot connects the machine, lets its init go on and waits until it is up.
func (m *Machine) boot(stdout *bufio.Reader) error {
	pid := strconv.Itoa(m.PID())
	gateway, _, _ := strings.Cut(m.config.Address, "/")
	commands := [][]string{
		{"link", "add", m.config.Link, "type", "veth", "peer", "name", "eth0", "netns", pid},
		{"address", "add", m.config.Gateway, "dev", m.config.Link},
		{"link", "set", m.config.Link, "up"},
	}
	for _, network := range m.config.Routes {
		commands = append(commands, []string{"route", "add", network, "via", gateway})
	}
	for _, args := range commands {
		if err := ip(args...); err != nil {
			return err
		}
	}
	if _, err := m.stdin.Write([]byte{'\n'}); err != nil {
		return err
	}
	if _, err := stdout.ReadString('\n'); err != nil {
		return fmt.Errorf("its init ended: %w", err)
	}
	go func() {
		defer close(m.exits)
		for d := json.NewDecoder(stdout); ; {
			var e Exit
			if d.Decode(&e) != nil {
				return
			}
			m.exits <- e
		}
	}()
	return nil
}

// PID is the machine's init, as the real machine numbers it.
func (m *Machine) PID() int { return m.init.Process.Pid }

// Exits has the ends of processes; it is closed when the machine is down.
func (m *Machine) Exits() <-chan Exit { return m.exits }

// Start runs a program on the machine. Its output goes to Log(p.Name).
func (m *Machine) Start(p Process) error {
	return json.NewEncoder(m.stdin).Encode(p)
}

// Log is the file that has the output of a process.
func (m *Machine) Log(process string) string {
	return filepath.Join(m.config.Dir, "log", process+".log")
}

// Stop takes the machine down with everything on it.
func (m *Machine) Stop() error {
	m.stdin.Close()
	_ = m.init.Process.Kill() // it may be dead already
	_ = m.init.Wait()         // and its status says only that
	_ = ip("link", "delete", m.config.Link)
	return RemoveCgroups(m.config.Name)
}

func ip(args ...string) error {
	if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("ip %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}
