package node

import (
	"net/netip"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/sensor/trace"
)

// describes tells whether the event is about a descriptor.
func (e *Event) describes() bool {
	return e.File.Kind != trace.KindNone && e.Type != trace.Execve && e.Type != trace.Execveat || e.Socket.Family != 0 || opens(e.Type)
}

// descriptor is a field of the descriptor with one text.
func descriptor(of func(e *Event) string) field {
	return text(func(e *Event) string {
		if !e.describes() {
			return ""
		}
		return of(e)
	})
}

func descriptorFields() map[string]field {
	return map[string]field{
		"fd.num": number(func(e *Event) (int64, bool) {
			switch {
			case e.NewFD >= 0 && (e.Type == trace.Dup || e.Type == trace.Dup2 || e.Type == trace.Dup3 || e.Type == trace.Fcntl):
				return int64(e.NewFD), true
			case e.FD < 0 && opens(e.Type):
				return e.Ret, true // the error, as rules that ask for fd.num >= 0 expect
			}
			return int64(e.FD), e.FD >= 0
		}),
		"fd.type": descriptor(func(e *Event) string { return descriptorType(&e.File, e.Socket.Family, opens(e.Type)) }),
		"fd.types": {kindText, func(e *Event, r *seawall.FieldRef, i int, v *seawall.Value) bool {
			if i > 0 || r.Index > 0 || !e.describes() {
				return false
			}
			v.Text = descriptorType(&e.File, e.Socket.Family, opens(e.Type))
			return v.Text != ""
		}},
		"fd.typechar": descriptor(func(e *Event) string {
			return typeLetters[descriptorType(&e.File, e.Socket.Family, opens(e.Type))]
		}),
		"fd.name": descriptor((*Event).descriptorName),
		"fd.nameraw": descriptor(func(e *Event) string {
			if e.Path != "" && opens(e.Type) {
				return e.Path
			}
			return e.descriptorName()
		}),
		"fd.directory":          descriptor(func(e *Event) string { return directory(e.filePath()) }),
		"fd.filename":           descriptor(func(e *Event) string { return base(e.filePath()) }),
		"fd.containername":      descriptor(func(e *Event) string { return e.prefixed(e.descriptorName()) }),
		"fd.containerdirectory": descriptor(func(e *Event) string { return e.prefixed(directory(e.filePath())) }),
		"fd.uid": descriptor(func(e *Event) string {
			return e.text(func(b []byte) []byte {
				return strconv.AppendInt(strconv.AppendUint(b, uint64(e.Task.PID), 10), int64(e.FD), 10)
			})
		}),
	}
}

// fileFields are those of a descriptor's file.
func fileFields() map[string]field {
	file := func(of func(f *trace.File) int64) field {
		return number(func(e *Event) (int64, bool) { return of(&e.File), e.describes() && e.File.Inode != 0 })
	}
	return map[string]field{
		"fd.dev":            file(func(f *trace.File) int64 { return int64(f.Dev) }),
		"fd.dev.major":      file(func(f *trace.File) int64 { return int64(f.Dev >> 20) }),
		"fd.dev.minor":      file(func(f *trace.File) int64 { return int64(f.Dev & 0xfffff) }),
		"fd.ino":            file(func(f *trace.File) int64 { return int64(f.Inode) }),
		"fd.is_upper_layer": flag(func(e *Event) (bool, bool) { return e.File.Upper, e.describes() && e.File.Inode != 0 }),
		"fd.is_lower_layer": flag(func(e *Event) (bool, bool) { return e.File.Lower, e.describes() && e.File.Inode != 0 }),
	}
}

// socketFields are those of a descriptor's socket.
func socketFields() map[string]field {
	return map[string]field{
		"fd.l4proto": text(func(e *Event) string { return transport(&e.Socket) }),
		"fd.sockfamily": text(func(e *Event) string {
			switch e.Socket.Family {
			case unix.AF_INET, unix.AF_INET6:
				return "ip"
			case unix.AF_UNIX:
				return "unix"
			}
			return ""
		}),
		"fd.is_server": flag(func(e *Event) (bool, bool) { return e.serves(), inet(&e.Socket) }),
		"fd.connected": flag(func(e *Event) (bool, bool) {
			established := e.Socket.State == 1 || e.Type == trace.Connect && e.Ret >= 0
			return established, e.Socket.Family != 0
		}),
		// A datagram socket's name is that of its last peer: every datagram may change it.
		"fd.name_changed": flag(func(e *Event) (bool, bool) {
			return e.Socket.Type == unix.SOCK_DGRAM && (sends(e.Type) || receives(e.Type) || e.Type == trace.Connect), e.Socket.Family != 0
		}),
	}
}

// filePath is the path of a descriptor's file or directory, "" of any other.
func (e *Event) filePath() string {
	switch e.File.Kind {
	case trace.KindFile, trace.KindDir, trace.KindChar, trace.KindBlock, trace.KindLink:
		return e.descriptorName()
	case trace.KindNone:
		if opens(e.Type) {
			return e.descriptorName()
		}
	}
	return ""
}

// descriptorName is a file's path as its process sees it, a connection's addresses, a unix socket's path.
func (e *Event) descriptorName() string {
	if e.made.hasName {
		return e.made.fdName
	}
	name := ""
	switch {
	case inet(&e.Socket):
		name = e.text(e.appendTuple)
	case e.Socket.Family == unix.AF_UNIX:
		name = e.Socket.Path
		if strings.HasPrefix(name, "\x00") {
			name = e.text(func(b []byte) []byte { return append(append(b, '@'), e.Socket.Path[1:]...) })
		}
	case e.File.Memfd:
		name = e.text(func(b []byte) []byte {
			return append(append(b, "memfd:"...), strings.TrimPrefix(e.File.Path, "memfd:")...)
		})
	case e.File.Path != "":
		name = e.File.Path
	case opens(e.Type):
		name = e.path()
	}
	e.made.fdName, e.made.hasName = name, true
	return name
}

// appendTuple writes "client->server", or the one end there is.
func (e *Event) appendTuple(b []byte) []byte {
	client, server := e.ends()
	switch {
	case !client.IsValid() || !client.Addr().IsValid():
		return appendEnd(b, server)
	case !server.IsValid() || !server.Addr().IsValid():
		return appendEnd(b, client)
	}
	return appendEnd(append(appendEnd(b, client), "->"...), server)
}

func appendEnd(b []byte, a netip.AddrPort) []byte {
	if !a.IsValid() {
		return b
	}
	b = a.Addr().AppendTo(b)
	return strconv.AppendUint(append(b, ':'), uint64(a.Port()), 10)
}

func (e *Event) prefixed(name string) string {
	if name == "" {
		return ""
	}
	id := host
	if e.Container != nil {
		id = e.Container.Short
	}
	from := len(e.scratch)
	e.scratch = append(append(append(e.scratch, id...), ':'), name...)
	return e.since(from)
}

func directory(path string) string {
	switch i := strings.LastIndexByte(path, '/'); {
	case i > 0:
		return path[:i]
	case i == 0:
		return "/"
	}
	return ""
}

func base(path string) string { return path[strings.LastIndexByte(path, '/')+1:] }

// typeLetters are the one-letter forms of types.
var typeLetters = map[string]string{
	"file": "f", "directory": "d", "ipv4": "4", "ipv6": "6", "unix": "u", "pipe": "p", "memfd": "m", "netlink": "n",
	"event": "e", "eventpoll": "l", "inotify": "i", "timerfd": "t", "signalfd": "s", "bpf": "b", "iouring": "r", "pidfd": "P", "userfaultfd": "U",
}

// descriptorType is the type as rules name it. A file that was not opened would have been one.
func descriptorType(f *trace.File, family uint16, opened bool) string {
	if family != 0 {
		return familyType(family)
	}
	switch f.Kind {
	case trace.KindFile:
		if f.Memfd {
			return "memfd"
		}
		return "file"
	case trace.KindChar, trace.KindBlock, trace.KindLink:
		return "file"
	case trace.KindDir:
		return "directory"
	case trace.KindPipe:
		return "pipe"
	case trace.KindAnon:
		return anonymousType(f.Path)
	case trace.KindNone:
		if opened {
			return "file"
		}
	}
	return ""
}

func familyType(family uint16) string {
	switch family {
	case unix.AF_INET:
		return "ipv4"
	case unix.AF_INET6:
		return "ipv6"
	case unix.AF_UNIX:
		return "unix"
	case unix.AF_NETLINK:
		return "netlink"
	}
	return ""
}

// anonymousType is the type of an anon_inode by its name.
func anonymousType(name string) string {
	for _, t := range []struct{ part, name string }{
		{"eventpoll", "eventpoll"}, {"eventfd", "event"}, {"inotify", "inotify"}, {"timerfd", "timerfd"}, {"signalfd", "signalfd"},
		{"bpf", "bpf"}, {"io_uring", "iouring"}, {"pidfd", "pidfd"}, {"userfaultfd", "userfaultfd"},
	} {
		if strings.Contains(name, t.part) {
			return t.name
		}
	}
	return ""
}

// stdioType is the type of a standard stream.
func stdioType(s *trace.Stdio) string {
	if s.Kind == trace.KindSocket {
		return familyType(s.Family)
	}
	return descriptorType(&trace.File{Kind: s.Kind}, 0, false)
}

func inet(s *trace.Socket) bool { return s.Family == unix.AF_INET || s.Family == unix.AF_INET6 }

// transport is the protocol above IP.
func transport(s *trace.Socket) string {
	if !inet(s) {
		return ""
	}
	switch s.Protocol {
	case unix.IPPROTO_TCP:
		return "tcp"
	case unix.IPPROTO_UDP:
		return "udp"
	case unix.IPPROTO_ICMP, unix.IPPROTO_ICMPV6:
		return "icmp"
	}
	switch s.Type & 0xf {
	case unix.SOCK_STREAM:
		return "tcp"
	case unix.SOCK_DGRAM:
		return "udp"
	case unix.SOCK_RAW:
		return "raw"
	}
	return ""
}

// serves tells whether the process is the connection's server: it accepted or
// listens, or its port is a well-known one and the peer's is not.
func (e *Event) serves() bool {
	switch e.Type {
	case trace.Accept, trace.Accept4, trace.Bind, trace.Listen:
		return true
	case trace.Connect:
		return false
	}
	local, remote := e.Socket.Local.Port(), e.Socket.Remote.Port()
	return local != 0 && local < 1024 && (remote == 0 || remote >= 1024)
}

// ends are the addresses of client and server; invalid where there is none.
func (e *Event) ends() (client, server netip.AddrPort) {
	if !inet(&e.Socket) {
		return client, server
	}
	local, remote := e.Socket.Local, e.Socket.Remote
	if remote.Port() == 0 && (!remote.Addr().IsValid() || remote.Addr().IsUnspecified()) {
		remote = netip.AddrPort{}
	}
	if local.Port() == 0 && (!local.Addr().IsValid() || local.Addr().IsUnspecified()) {
		local = netip.AddrPort{}
	}
	if e.serves() {
		return remote, local
	}
	return local, remote
}

func (e *Event) client() netip.AddrPort { c, _ := e.ends(); return c }
func (e *Event) server() netip.AddrPort { _, s := e.ends(); return s }

// local and remote are the ends as the process sees them.
func (e *Event) local() netip.AddrPort {
	client, server := e.ends()
	if e.serves() {
		return server
	}
	return client
}

func (e *Event) remote() netip.AddrPort {
	client, server := e.ends()
	if e.serves() {
		return client
	}
	return server
}

// addressFields are fd.*ip, fd.*net, fd.*port and fd.*ip.name of both ends.
func addressFields() map[string]field {
	all := map[string]field{}
	for letter, of := range map[string]func(e *Event) netip.AddrPort{
		"c": (*Event).client, "s": (*Event).server, "l": (*Event).local, "r": (*Event).remote,
	} {
		ip := func(e *Event) netip.Addr { return of(e).Addr() }
		all["fd."+letter+"ip"] = address(ip)
		all["fd."+letter+"net"] = address(ip)
		all["fd."+letter+"port"] = number(func(e *Event) (int64, bool) { a := of(e); return int64(a.Port()), a.IsValid() })
		all["fd."+letter+"ip.name"] = text(func(e *Event) string { return e.stream.names.of(e.Task.NetNS, ip(e)) })
	}
	both := field{kindAddress, func(e *Event, _ *seawall.FieldRef, i int, v *seawall.Value) bool {
		a, ok := e.end(i)
		v.Address = a.Addr()
		return ok
	}}
	all["fd.ip"], all["fd.net"] = both, both
	all["fd.port"] = field{kindNumber, func(e *Event, _ *seawall.FieldRef, i int, v *seawall.Value) bool {
		a, ok := e.end(i)
		v.Number = int64(a.Port())
		return ok
	}}
	return all
}

// end is the i-th of the ends there are.
func (e *Event) end(i int) (netip.AddrPort, bool) {
	client, server := e.ends()
	if !client.IsValid() {
		client, server = server, netip.AddrPort{}
	}
	if i == 1 {
		return server, server.IsValid()
	}
	return client, i == 0 && client.IsValid()
}
