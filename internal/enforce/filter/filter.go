// Package filter cuts a workload off the network with BPF programs.
//
// Programs at the workload's cgroup refuse its packets, both ways, and its calls of
// connect and sendto; programs at the interfaces of its network namespace, where it
// has one of its own, refuse what packet sockets send past the cgroup. Loopback
// stays, so that the workload lives on and can be examined. Peers, the addresses of
// the node, may open TCP connections to the workload (the kubelet's probes: without
// them it would restart the container and its memory would be gone) and get answers;
// the workload cannot open any to them.
//
// Nothing is pinned: a cut ends with its Close, and with the process that made it.
package filter

//go:generate sh -c "clang -O2 -g -fdebug-compilation-dir=. -Wall -Werror -target bpf -mcpu=v3 -I/usr/include/$(uname -m)-linux-gnu -c bpf/filter.c -o filter.o && llvm-strip -g filter.o"

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"runtime"
	"slices"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"
)

//go:embed filter.o
var object []byte

// Config is what to cut.
type Config struct {
	// Cgroup is the directory of a cgroup v2; what is below it is cut, too.
	Cgroup string
	// PIDs are the workload's processes: the interfaces of all network namespaces they
	// are in are cut, but never those of the calling process's. None is the cgroup alone.
	PIDs []int
	// Peers may open TCP connections to the workload.
	Peers []netip.Addr
}

// Cut is a workload without network.
type Cut struct {
	refused *ebpf.Map
	links   []link.Link
	// Interfaces are those cut in the workload's network namespace.
	Interfaces []string
}

// programs mirrors filter.c.
type programs struct {
	Ingress          *ebpf.Program `ebpf:"cut_ingress"`
	Egress           *ebpf.Program `ebpf:"cut_egress"`
	InterfaceIngress *ebpf.Program `ebpf:"cut_interface_ingress"`
	InterfaceEgress  *ebpf.Program `ebpf:"cut_interface_egress"`
	Connect4         *ebpf.Program `ebpf:"cut_connect4"`
	Connect6         *ebpf.Program `ebpf:"cut_connect6"`
	Sendmsg4         *ebpf.Program `ebpf:"cut_sendmsg4"`
	Sendmsg6         *ebpf.Program `ebpf:"cut_sendmsg6"`
	Refused          *ebpf.Map     `ebpf:"refused"`
	Peers            *ebpf.Map     `ebpf:"peers"`
}

func (p *programs) close() {
	for _, prog := range []*ebpf.Program{p.Ingress, p.Egress, p.InterfaceIngress, p.InterfaceEgress, p.Connect4, p.Connect6, p.Sendmsg4, p.Sendmsg6} {
		prog.Close()
	}
	p.Peers.Close()
}

// New cuts a workload. Its error leaves nothing cut.
func New(c Config) (*Cut, error) {
	spec, err := ebpf.LoadCollectionSpecFromReader(bytes.NewReader(object))
	if err != nil {
		return nil, fmt.Errorf("reading the network filter: %w", err)
	}
	var p programs
	if err := spec.LoadAndAssign(&p, nil); err != nil {
		return nil, fmt.Errorf("loading the network filter: %w", err)
	}
	defer p.close()
	cut := &Cut{refused: p.Refused}
	for _, a := range c.Peers {
		if err := p.Peers.Put(a.As16(), uint8(1)); err != nil {
			return nil, errors.Join(fmt.Errorf("peer %s: %w", a, err), cut.Close())
		}
	}
	if err := cut.attach(c, &p); err != nil {
		return nil, errors.Join(err, cut.Close())
	}
	return cut, nil
}

func (c *Cut) attach(cfg Config, p *programs) error {
	// Packets first: from here on nothing gets out.
	for _, at := range []struct {
		program *ebpf.Program
		place   ebpf.AttachType
	}{
		{p.Egress, ebpf.AttachCGroupInetEgress}, {p.Ingress, ebpf.AttachCGroupInetIngress},
		{p.Connect4, ebpf.AttachCGroupInet4Connect}, {p.Connect6, ebpf.AttachCGroupInet6Connect},
		{p.Sendmsg4, ebpf.AttachCGroupUDP4Sendmsg}, {p.Sendmsg6, ebpf.AttachCGroupUDP6Sendmsg},
	} {
		l, err := link.AttachCgroup(link.CgroupOptions{Path: cfg.Cgroup, Attach: at.place, Program: at.program})
		if err != nil {
			return fmt.Errorf("cgroup %s: %v: %w", cfg.Cgroup, at.place, err)
		}
		c.links = append(c.links, l)
	}
	return c.attachNamespaces(cfg.PIDs, p)
}

// attachNamespaces cuts the interfaces of the processes' network namespaces. That some
// processes have ended meanwhile is no error, that all have is one.
func (c *Cut) attachNamespaces(pids []int, p *programs) error {
	own, err := os.Stat("/proc/self/ns/net")
	if err != nil {
		return err
	}
	cut := []os.FileInfo{own}
	gone := 0
	for _, pid := range pids {
		ns, err := os.Open(fmt.Sprintf("/proc/%d/ns/net", pid))
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ESRCH) {
			gone++
			continue
		}
		if err != nil {
			return fmt.Errorf("network namespace of process %d: %w", pid, err)
		}
		info, err := ns.Stat()
		if err == nil && !slices.ContainsFunc(cut, func(other os.FileInfo) bool { return os.SameFile(other, info) }) {
			cut = append(cut, info)
			err = c.attachInterfaces(ns, p)
		}
		ns.Close()
		if err != nil {
			return fmt.Errorf("network namespace of process %d: %w", pid, err)
		}
	}
	if gone > 0 && gone == len(pids) {
		return fmt.Errorf("network namespace of process %d: %w", pids[0], fs.ErrNotExist)
	}
	return nil
}

// attachInterfaces cuts the interfaces of a network namespace. A thread goes there
// and is thrown away.
func (c *Cut) attachInterfaces(ns *os.File, p *programs) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		done <- func() error {
			if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
				return err
			}
			interfaces, err := net.Interfaces()
			if err != nil {
				return fmt.Errorf("interfaces: %w", err)
			}
			for _, i := range interfaces {
				if i.Flags&net.FlagLoopback != 0 {
					continue
				}
				if err := c.attachInterface(i, p); err != nil {
					return err
				}
			}
			return nil
		}()
	}()
	return <-done
}

func (c *Cut) attachInterface(i net.Interface, p *programs) error {
	for program, place := range map[*ebpf.Program]ebpf.AttachType{p.InterfaceEgress: ebpf.AttachTCXEgress, p.InterfaceIngress: ebpf.AttachTCXIngress} {
		l, err := link.AttachTCX(link.TCXOptions{Interface: i.Index, Program: program, Attach: place, Anchor: link.Head()})
		if err != nil {
			return fmt.Errorf("interface %s: %v: %w", i.Name, place, err)
		}
		c.links = append(c.links, l)
	}
	c.Interfaces = append(c.Interfaces, i.Name)
	return nil
}

// Counts are what a Cut has refused: packets to and from the workload, calls of it.
type Counts struct{ In, Out, Calls uint64 }

// Counts reads the counters.
func (c *Cut) Counts() (n Counts, err error) {
	for i, to := range []*uint64{&n.In, &n.Out, &n.Calls} {
		var perCPU []uint64
		if err := c.refused.Lookup(uint32(i), &perCPU); err != nil {
			return n, fmt.Errorf("reading counters of the network filter: %w", err)
		}
		for _, v := range perCPU {
			*to += v
		}
	}
	return n, nil
}

// Close gives the workload its network back.
func (c *Cut) Close() error {
	var errs []error
	for _, l := range c.links {
		errs = append(errs, l.Close())
	}
	c.links = nil
	return errors.Join(append(errs, c.refused.Close())...)
}
