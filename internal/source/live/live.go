// Package live reads what a running Linux says about itself in /proc and /sys,
// as facts of a host target. It only reads, works below any prefix (a host
// mounted at /host in a pod), and bounds everything it takes.
//
// The facts are ConfigFacts of these kinds, with these Data:
//
//	host/kernel    release, version, cmdline, lockdown, lsm, entropy, cgroup ("1", "2"), cpu.<vulnerability>
//	host/sysctl    every readable setting: kernel.dmesg_restrict -> "1"; of the network
//	               interfaces only all and default
//	host/mounts    mount point -> "type options": /tmp -> "tmpfs rw,nosuid,nodev"; those of containers left out
//	host/modules   loaded module -> "loaded"
//	host/mac       apparmor ("Y"), apparmor.enforce, apparmor.complain (numbers of profiles), selinux ("0", "1")
//	host/swap      device -> type
//	host/socket    one a listening socket: protocol, address, port, uid, process
//	host/process   one a process: pid, parent, name, exe, uid, seccomp, namespace (of its process
//	               numbers, to tell containers apart), args (NUL after each; may hold secrets: never shown)
//	docker/container  one a container of Docker: the fields of its HostConfig by their names, lists with
//	               commas, Mounts as source:destination:propagation, Ports as address:port; Running, Image, User
//	kubernetes/raw   text: kube-proxy's configuration file, for inventory/nodeconf to read
//	docker/swarm   LocalAddr, ListenAddr, AdvertiseAddr, DataPathAddr; only where Docker is in swarm mode
//	host/unread    what could not be read: resource (one of the kinds above), reason
//
// and a FileFact for the socket of every container runtime, and for run/reboot-required. What a pod sees of
// net.* settings is its own network namespace's: it must run with hostNetwork.
package live

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strconv"
	"strings"

	"github.com/seawall-security/seawall/internal/seawall"
)

const (
	// maxFile bounds one file of /proc; mounts and sockets of a large node are some hundred KiB.
	maxFile = 4 << 20
	// maxValue bounds one setting.
	maxValue = 4 << 10
	// maxSettings bounds the settings, maxProcesses the processes, maxRows mounts and sockets.
	maxSettings, maxProcesses, maxRows = 8192, 65536, 65536
	// maxDescriptors bounds the open files looked at to find the owners of sockets.
	maxDescriptors = 1 << 20
	// maxArgs bounds a command line: a kube-apiserver's is some 3 KiB.
	maxArgs = 64 << 10
)

// reader gathers the facts of one root.
type reader struct {
	ctx   context.Context
	root  *os.Root
	facts []seawall.Fact
}

// Facts returns what the system rooted at root says about itself. It fails only
// when ctx ends; what cannot be read is a host/unread fact.
func Facts(ctx context.Context, root *os.Root) ([]seawall.Fact, error) {
	r := &reader{ctx: ctx, root: root}
	if _, err := root.Stat("proc/sys/kernel"); err != nil {
		for _, kind := range []string{"host/kernel", "host/sysctl", "host/mounts", "host/modules", "host/mac", "host/swap", "host/socket", "host/process"} {
			r.unread(kind, errors.New("there is no /proc here: the files are not those of a running system"))
		}
		return r.facts, ctx.Err()
	}
	for _, read := range []struct {
		kind string
		read func() error
	}{
		{"host/kernel", r.kernel}, {"host/sysctl", r.settings}, {"host/mounts", r.mounts}, {"host/modules", r.modules},
		{"host/mac", r.mac}, {"host/swap", r.swap}, {"host/process", r.processes},
		{"docker/container", r.docker}, {"kubernetes/raw", r.kubeProxy},
	} {
		if err := read.read(); err != nil {
			r.unread(read.kind, err)
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
	}
	r.runtimeFiles()
	return r.facts, nil
}

func (r *reader) add(kind, path string, data map[string]string) {
	r.facts = append(r.facts, seawall.Fact{Config: &seawall.ConfigFact{Kind: kind, Path: path, Data: data}})
}

func (r *reader) unread(kind string, err error) {
	var p *fs.PathError
	reason := err.Error()
	if errors.As(err, &p) {
		reason = "/" + p.Path + ": " + p.Err.Error()
	}
	r.add("host/unread", "", map[string]string{"resource": kind, "reason": reason})
}

// read returns a file of at most limit bytes; a larger one is an error.
func (r *reader) read(name string, limit int64) (string, error) {
	st, err := r.root.Stat(name)
	if err != nil {
		return "", err
	}
	if !st.Mode().IsRegular() {
		return "", &fs.PathError{Op: "read", Path: name, Err: errors.New("not a regular file")}
	}
	f, err := r.root.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return "", err
	}
	if int64(len(data)) > limit {
		return "", &fs.PathError{Op: "read", Path: name, Err: fmt.Errorf("%w: larger than %d bytes", seawall.ErrBound, limit)}
	}
	return string(data), nil
}

// value returns a short file without its line end, "" when it cannot be read.
func (r *reader) value(name string) string {
	s, err := r.read(name, maxValue)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(s)
}

// list returns the names in a directory.
func (r *reader) list(name string) ([]fs.DirEntry, error) {
	return fs.ReadDir(r.root.FS(), name)
}

// kernel reads the kernel's identity and boot parameters.
func (r *reader) kernel() error {
	version, err := r.read("proc/version", maxValue)
	if err != nil {
		return err
	}
	data := map[string]string{
		"release": r.value("proc/sys/kernel/osrelease"),
		"version": strings.TrimSpace(version),
		"cgroup":  "1",
	}
	for key, file := range map[string]string{
		"cmdline": "proc/cmdline", "entropy": "proc/sys/kernel/random/entropy_avail",
		"lsm": "sys/kernel/security/lsm", "lockdown": "sys/kernel/security/lockdown",
	} {
		if v, err := r.read(file, maxValue); err == nil {
			data[key] = strings.TrimSpace(v)
		}
	}
	if data["lsm"] != "" && data["lockdown"] == "" { // securityfs is there, and the module is not
		data["lockdown"] = "none"
	}
	if _, err := r.root.Stat("sys/fs/cgroup/cgroup.controllers"); err == nil {
		data["cgroup"] = "2"
	}
	const cpu = "sys/devices/system/cpu/vulnerabilities"
	vulnerabilities, _ := r.list(cpu) // not every architecture has it
	for _, v := range vulnerabilities {
		data["cpu."+v.Name()] = r.value(cpu + "/" + v.Name())
	}
	r.add("host/kernel", "proc/version", data)
	return nil
}

// settings reads /proc/sys.
func (r *reader) settings() error {
	data := map[string]string{}
	err := fs.WalkDir(r.root.FS(), "proc/sys", func(name string, d fs.DirEntry, err error) error {
		switch {
		case r.ctx.Err() != nil:
			return r.ctx.Err()
		case err != nil && name == "proc/sys":
			return err
		case err != nil: // a setting that is gone or not ours to read
			return nil
		case d.IsDir() && skipSettings(name):
			return fs.SkipDir
		case d.IsDir() || name == "proc/sys/vm/stat_refresh": // reading that one makes the kernel work
			return nil
		case len(data) >= maxSettings:
			return fs.SkipAll
		}
		if v, err := r.read(name, maxValue); err == nil {
			key := strings.ReplaceAll(strings.TrimPrefix(name, "proc/sys/"), "/", ".")
			data[key] = strings.Join(strings.Fields(v), " ")
		}
		return nil
	})
	if err == nil {
		r.add("host/sysctl", "proc/sys", data)
	}
	return err
}

// skipSettings leaves out what a node has thousands of: settings of its containers' network interfaces.
func skipSettings(dir string) bool {
	base, parent := path.Base(dir), path.Base(path.Dir(dir))
	switch {
	case dir == "proc/sys/fs/binfmt_misc":
		return true
	case strings.HasPrefix(dir, "proc/sys/net/") && (parent == "conf" || parent == "neigh"):
		return base != "all" && base != "default"
	}
	return false
}

// mounts reads the mounts of the first process: ours may be a container's.
func (r *reader) mounts() error {
	text, err := r.read("proc/1/mounts", maxFile)
	if err != nil {
		return err
	}
	data := map[string]string{}
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) < 4 || len(data) >= maxRows {
			continue
		}
		target := unescape(f[1])
		if !containersMount(target) {
			data[target] = f[2] + " " + f[3]
		}
	}
	r.add("host/mounts", "proc/1/mounts", data)
	return nil
}

func containersMount(target string) bool {
	for _, prefix := range []string{
		"/var/lib/docker/", "/var/lib/containerd/", "/var/lib/containers/", "/var/lib/kubelet/", "/run/containerd/", "/run/docker/",
		"/run/netns/", "/run/k3s/", "/run/user/", "/var/lib/rancher/", "/snap/", "/run/credentials/", "/proc/", "/sys/fs/cgroup/",
	} {
		if strings.HasPrefix(target, prefix) {
			return true
		}
	}
	return false
}

// unescape undoes the octal escapes of a mount table (fstab(5)).
func unescape(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	return strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`, `\043`, "#").Replace(s)
}

// modules reads which modules are loaded. A kernel without modules has no such file and no module.
func (r *reader) modules() error {
	text, err := r.read("proc/modules", maxFile)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	data := map[string]string{}
	for line := range strings.Lines(text) {
		if name, _, ok := strings.Cut(line, " "); ok {
			data[name] = "loaded"
		}
	}
	r.add("host/modules", "proc/modules", data)
	return nil
}

// mac reads the state of AppArmor and SELinux.
func (r *reader) mac() error {
	data := map[string]string{}
	if v := r.value("sys/module/apparmor/parameters/enabled"); v != "" {
		data["apparmor"] = v
	}
	if v := r.value("sys/fs/selinux/enforce"); v != "" {
		data["selinux"] = v
	}
	if profiles, err := r.read("sys/kernel/security/apparmor/profiles", maxFile); err == nil {
		data["apparmor.enforce"] = strconv.Itoa(strings.Count(profiles, "(enforce)\n"))
		data["apparmor.complain"] = strconv.Itoa(strings.Count(profiles, "(complain)\n"))
	}
	r.add("host/mac", "sys/kernel/security", data)
	return nil
}

// swap reads the swap areas.
func (r *reader) swap() error {
	text, err := r.read("proc/swaps", maxFile)
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	data := map[string]string{}
	for line := range strings.Lines(text) {
		if f := strings.Fields(line); len(f) >= 2 && strings.HasPrefix(f[0], "/") {
			data[f[0]] = f[1]
		}
	}
	if err == nil {
		r.add("host/swap", "proc/swaps", data)
	}
	return err
}
