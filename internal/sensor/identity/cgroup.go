package identity

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Place is what a cgroup's path tells.
type Place struct {
	// IDs are those of the container, the innermost first; none is not in a container.
	IDs     []string
	Runtime string
	PodUID  string
}

// runtimes are the prefixes of cgroup names; those of monitors outside of the container are "".
var runtimes = []struct{ prefix, runtime string }{
	{"cri-containerd-", "containerd"}, {"crio-conmon-", ""}, {"crio-", "cri-o"}, {"docker-", "docker"},
	{"libpod-conmon-", ""}, {"libpod-", "podman"}, {"nerdctl-", "containerd"},
}

// ParsePath reads a cgroup's path: the layouts of kubelet with either of its cgroup
// drivers, containerd, CRI-O, Docker and Podman.
func ParsePath(path string) Place {
	var p Place
	parent := ""
	for part := range strings.SplitSeq(path, "/") {
		name := part
		// With the drivers of kubelet and runtime at odds: kubepods-…-pod<uid>.slice:cri-containerd:<id>.
		if pieces := strings.Split(part, ":"); len(pieces) == 3 {
			p.pod(pieces[0])
			name = pieces[1] + "-" + pieces[2]
		}
		name = strings.TrimSuffix(name, ".scope")
		runtime := map[string]string{"docker": "docker", "libpod_parent": "podman"}[parent]
		monitor := false
		for _, r := range runtimes {
			if rest, ok := strings.CutPrefix(name, r.prefix); ok {
				name, runtime, monitor = rest, r.runtime, r.runtime == ""
				break
			}
		}
		switch {
		case monitor:
			return Place{}
		case len(name) == 64 && isHex(name):
			p.IDs = append([]string{name}, p.IDs...)
			if p.Runtime == "" {
				p.Runtime = runtime
			}
		default:
			p.pod(part)
		}
		parent = part
	}
	return p
}

// pod takes the pod's UID from a part of a path.
func (p *Place) pod(part string) {
	part = strings.TrimSuffix(part, ".slice")
	i := strings.LastIndex(part, "pod")
	if i < 0 || i > 0 && part[i-1] != '-' {
		return
	}
	uid := strings.ReplaceAll(part[i+len("pod"):], "_", "-")
	// Of static pods it is a hash without dashes.
	if plain := strings.ReplaceAll(uid, "-", ""); len(plain) == 32 && isHex(plain) {
		p.PodUID = uid
	}
}

func isHex(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return s != ""
}

// cgroups finds cgroups (v2) by their id.
type cgroups struct {
	root *os.File
	path string
}

// openCgroups opens the cgroup v2 hierarchy that proc/self/mounts names, alone or beside version 1.
func openCgroups(proc string) (*cgroups, error) {
	mounts, err := os.Open(filepath.Join(proc, "self/mounts"))
	if err != nil {
		return nil, err
	}
	defer mounts.Close()
	lines := bufio.NewScanner(mounts)
	for lines.Scan() {
		f := strings.Fields(lines.Text())
		if len(f) < 3 || f[2] != "cgroup2" {
			continue
		}
		root, err := os.Open(f[1])
		if err != nil {
			return nil, err
		}
		return &cgroups{root, f[1]}, nil
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	return nil, fmt.Errorf("no cgroup v2 is mounted")
}

// fileidKernfs is the type of kernfs' file handles, 64 bits that for a cgroup are its id
// (FILEID_KERNFS).
const fileidKernfs = 0xfe

// find is the path of a cgroup below the hierarchy's root. gone: there is no such cgroup any more.
func (g *cgroups) find(id uint64) (path string, gone bool, err error) {
	handle := unix.NewFileHandle(fileidKernfs, binary.NativeEndian.AppendUint64(nil, id))
	fd, err := unix.OpenByHandleAt(int(g.root.Fd()), handle, unix.O_PATH|unix.O_CLOEXEC)
	if err != nil {
		return "", errors.Is(err, unix.ESTALE) || errors.Is(err, unix.ENOENT), err
	}
	defer unix.Close(fd)
	path, err = os.Readlink("/proc/self/fd/" + strconv.Itoa(fd))
	if strings.HasSuffix(path, " (deleted)") {
		return strings.TrimPrefix(strings.TrimSuffix(path, " (deleted)"), g.path), true, err
	}
	return strings.TrimPrefix(path, g.path), false, err
}

// pathOf is the path of a process's cgroup v2, as /proc/PID/cgroup has it.
func pathOf(proc string, pid uint32) (string, error) {
	text, err := os.ReadFile(filepath.Join(proc, strconv.FormatUint(uint64(pid), 10), "cgroup"))
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(text)) {
		if path, ok := strings.CutPrefix(strings.TrimRight(line, "\n"), "0::"); ok {
			return path, nil
		}
	}
	return "", fmt.Errorf("process %d has no cgroup v2", pid)
}
