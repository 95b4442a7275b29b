package live

import (
	"encoding/hex"
	"errors"
	"io/fs"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/seawall-security/seawall/internal/seawall"
)

// processes reads the processes, and the listening sockets with the process that has each open.
func (r *reader) processes() error {
	entries, err := r.list("proc")
	if err != nil {
		return err
	}
	owners := map[string]string{} // inode of a socket -> process name
	count, descriptors := 0, 0
	for _, e := range entries {
		if _, err := strconv.Atoi(e.Name()); err != nil || count >= maxProcesses {
			continue
		}
		if r.ctx.Err() != nil {
			return r.ctx.Err()
		}
		data := r.process(e.Name())
		if data == nil { // it has ended
			continue
		}
		count++
		r.add("host/process", "proc/"+e.Name(), data)
		r.sockets("proc/"+e.Name()+"/fd", data["name"], owners, &descriptors)
	}
	r.listening(owners)
	return nil
}

// process reads one process, nil when it is gone.
func (r *reader) process(pid string) map[string]string {
	dir := "proc/" + pid
	status, err := r.read(dir+"/status", maxArgs)
	if err != nil {
		return nil
	}
	data := map[string]string{"pid": pid}
	for line := range strings.Lines(status) {
		key, value, _ := strings.Cut(line, ":")
		value = strings.TrimSpace(value)
		switch key {
		case "Name":
			data["name"] = value
		case "PPid":
			data["parent"] = value
		case "Seccomp":
			data["seccomp"] = value
		case "Uid": // real, effective, saved, file system
			if f := strings.Fields(value); len(f) > 1 {
				data["uid"] = f[1]
			}
		}
	}
	if args, err := r.read(dir+"/cmdline", maxArgs); err == nil {
		data["args"] = args
	}
	if exe, err := r.root.Readlink(dir + "/exe"); err == nil {
		data["exe"] = exe
	}
	if ns, err := r.root.Readlink(dir + "/ns/pid"); err == nil {
		data["namespace"] = ns
	}
	return data
}

// sockets notes the sockets among the descriptors of a process.
func (r *reader) sockets(dir, process string, owners map[string]string, looked *int) {
	entries, err := r.list(dir)
	if err != nil {
		return
	}
	for _, e := range entries {
		if *looked++; *looked > maxDescriptors {
			return
		}
		target, err := r.root.Readlink(dir + "/" + e.Name())
		if err != nil {
			continue
		}
		if inode, ok := strings.CutPrefix(target, "socket:["); ok {
			if _, known := owners[strings.TrimSuffix(inode, "]")]; !known {
				owners[strings.TrimSuffix(inode, "]")] = process
			}
		}
	}
}

// listening reads the sockets that wait for others: TCP in state LISTEN, UDP without a peer.
func (r *reader) listening(owners map[string]string) {
	for _, protocol := range []string{"tcp", "tcp6", "udp", "udp6"} {
		name := "proc/1/net/" + protocol
		text, err := r.read(name, maxFile)
		if errors.Is(err, fs.ErrNotExist) {
			continue // a kernel without IPv6
		}
		if err != nil {
			r.unread("host/socket", err)
			continue
		}
		rows := 0
		for line := range strings.Lines(text) {
			data := parseSocket(protocol, line)
			if data == nil {
				continue
			}
			if rows++; rows > maxRows {
				break
			}
			if process, known := owners[data["inode"]]; known {
				data["process"] = process
			}
			delete(data, "inode")
			r.add("host/socket", name, data)
		}
	}
}

// parseSocket reads a row of /proc/net/tcp and the like (proc_net(5)): nil when
// it is no listening socket.
func parseSocket(protocol, line string) map[string]string {
	f := strings.Fields(line)
	if len(f) < 10 || !strings.HasSuffix(f[0], ":") {
		return nil
	}
	const listen, unconnected = "0A", "07"
	if tcp := strings.HasPrefix(protocol, "tcp"); tcp && f[3] != listen || !tcp && f[3] != unconnected {
		return nil
	}
	host, port, ok := strings.Cut(f[1], ":")
	number, err := strconv.ParseUint(port, 16, 16)
	address, valid := parseAddress(host)
	if !ok || err != nil || !valid {
		return nil
	}
	return map[string]string{
		"protocol": protocol, "address": address.String(), "port": strconv.FormatUint(number, 10),
		"uid": f[7], "inode": f[9],
	}
}

// parseAddress reads an address as the kernel prints it: 32-bit words in the
// machine's byte order, which is little-endian on what we run on.
func parseAddress(s string) (netip.Addr, bool) {
	b, err := hex.DecodeString(s)
	if err != nil || len(b)%4 != 0 {
		return netip.Addr{}, false
	}
	for i := 0; i < len(b); i += 4 {
		slices.Reverse(b[i : i+4])
	}
	a, ok := netip.AddrFromSlice(b)
	return a.Unmap(), ok
}

// runtimeFiles notes who may talk to the container runtimes, and whether a restart is asked for.
func (r *reader) runtimeFiles() {
	for _, name := range []string{
		"run/docker.sock", "run/containerd/containerd.sock", "run/crio/crio.sock", "run/podman/podman.sock", "run/cri-dockerd.sock",
		"run/k3s/containerd/containerd.sock", "run/buildkit/buildkitd.sock", "run/dockershim.sock", "run/reboot-required",
	} {
		info, err := r.root.Lstat(name)
		if err != nil {
			continue
		}
		s, ok := info.Sys().(*syscall.Stat_t)
		if !ok {
			continue
		}
		if f := seawall.StatFact(name, owned{info, seawall.Ownership{UID: s.Uid, GID: s.Gid}}); f != nil {
			r.facts = append(r.facts, seawall.Fact{File: f})
		}
	}
}

// owned is an os.FileInfo that says who owns the file in the vocabulary's terms.
type owned struct {
	fs.FileInfo
	owner seawall.Ownership
}

func (o owned) Sys() any { return o.owner }
