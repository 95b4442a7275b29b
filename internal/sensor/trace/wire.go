package trace

import (
	"encoding/binary"
	"fmt"
	"math/bits"
	"net/netip"
	"strings"
	"unsafe"

	"github.com/seawall-security/seawall/internal/seawall"
)

// The wire format: a header and records behind it, little-endian, aligned to 8
// bytes. internal/sensor/kernel/bpf/wire.h is its other half, and a test of that
// package compares the two.
const (
	headerSize = 248
	recordSize = 8

	fileSize   = 64
	socketSize = 48
	stdioSize  = 32
	childSize  = 40
)

// MaxSize bounds one encoded event.
const MaxSize = 1 << 16

// RecordKind names a record of the wire format.
type RecordKind uint16

// The kinds of records.
const (
	RecordPath RecordKind = 1 + iota
	RecordPath2
	RecordDir
	RecordDir2
	RecordFSType
	RecordFile
	RecordFilePath
	RecordSocket
	RecordSocketPath
	RecordSockaddr
	RecordArgs
	RecordEnv
	RecordCWD
	RecordInterp
	RecordStdio
	RecordChild
	RecordPayload
)

// Bits of the wire format.
const (
	exeUpper = 1 << iota
	exeMemfd
)

const (
	fileUpper = 1 << iota
	fileLower
	fileMemfd
	fileDeleted
)

// File systems that tell what a descriptor is.
const (
	magicPipe   = 0x50495045
	magicSocket = 0x534f434b
	magicAnon   = 0x09041934
)

var le = binary.LittleEndian

// Decode reads one record of the ring buffer into e, which it overwrites. The texts of e
// point into b. Damaged bytes are seawall.ErrCorrupt.
func Decode(b []byte, e *Event) error {
	if len(b) < headerSize || len(b) > MaxSize {
		return fmt.Errorf("event of %d bytes: %w", len(b), seawall.ErrCorrupt)
	}
	if size := le.Uint32(b); size != uint32(len(b)) {
		return fmt.Errorf("event of %d bytes says it has %d: %w", len(b), size, seawall.ErrCorrupt)
	}
	*e = Event{FD: -1, NewFD: -1}
	e.header(b)
	if e.Type == TypeNone || e.Type >= typeCount {
		return fmt.Errorf("event type %d: %w", e.Type, seawall.ErrCorrupt)
	}
	var address []byte
	for rest := b[headerSize:]; len(rest) > 0; {
		if len(rest) < recordSize {
			return fmt.Errorf("%v: %d bytes behind the last record: %w", e.Type, len(rest), seawall.ErrCorrupt)
		}
		kind, n := RecordKind(le.Uint16(rest)), int(le.Uint16(rest[2:]))
		if n > len(rest)-recordSize {
			return fmt.Errorf("%v: record %d of %d bytes where %d are left: %w", e.Type, kind, n, len(rest)-recordSize, seawall.ErrCorrupt)
		}
		content := rest[recordSize : recordSize+n]
		if kind == RecordSockaddr {
			address = content
		} else if !e.record(kind, content) {
			return fmt.Errorf("%v: record %d of %d bytes: %w", e.Type, kind, n, seawall.ErrCorrupt)
		}
		rest = rest[min(recordSize+(n+7)&^7, len(rest)):]
	}
	e.interpret()
	e.claimedAddress(address)
	e.File.Writable = e.Type <= Execveat && e.writable()
	return nil
}

// text is b as a string of the same memory.
func text(b []byte) string {
	return unsafe.String(unsafe.SliceData(b), len(b))
}

func (e *Event) header(b []byte) {
	e.Type = Type(le.Uint16(b[4:]))
	e.Flags = Flags(le.Uint16(b[6:]))
	e.CPU = le.Uint16(b[8:])
	exe := le.Uint16(b[10:])
	e.Rule = le.Uint32(b[12:])
	e.Time = le.Uint64(b[16:])
	e.Ret = int64(le.Uint64(b[24:]))
	for i := range e.Args {
		e.Args[i] = le.Uint64(b[32+8*i:])
	}
	t := &e.Task
	for i, v := range [...]*uint64{&t.Start, &t.ParentStart, &t.Cgroup, &t.CapPermitted, &t.CapEffective, &t.CapInheritable} {
		*v = le.Uint64(b[80+8*i:])
	}
	for i, v := range t.numbers() {
		*v = le.Uint32(b[128+4*i:])
	}
	t.ExeUpper, t.ExeMemfd = exe&exeUpper != 0, exe&exeMemfd != 0
	comm := text(b[232:headerSize])
	t.Comm, _, _ = strings.Cut(comm, "\x00")
}

// numbers are the members of 32 bits in the order of the header.
func (t *Task) numbers() [25]*uint32 {
	return [...]*uint32{
		&t.PID, &t.TID, &t.PPID, &t.VPID, &t.VTID, &t.VPPID, &t.PGID, &t.SID, &t.VPGID, &t.VSID,
		&t.UID, &t.EUID, &t.SUID, &t.FSUID, &t.GID, &t.EGID, &t.SGID, &t.FSGID, &t.LoginUID, &t.Session,
		&t.MountNS, &t.PIDNS, &t.NetNS, &t.UserNS, &t.TTY,
	}
}

// record takes one record; false is a wrong size. Kinds of a newer sensor are passed over.
func (e *Event) record(kind RecordKind, b []byte) bool {
	if to := e.textOf(kind); to != nil {
		*to = text(b)
		if kind == RecordSocketPath {
			*to = unixPath(b)
		}
		return len(b) <= maxText
	}
	switch kind {
	case RecordFile:
		return e.File.decode(b)
	case RecordSocket:
		return e.Socket.decode(b)
	case RecordStdio:
		if len(b) != 3*stdioSize {
			return false
		}
		for i := range e.Exec.Stdio {
			e.Exec.Stdio[i].decode(b[i*stdioSize:])
		}
	case RecordChild:
		if len(b) != childSize || !e.Type.forks() {
			return false
		}
		e.Child = Child{Start: le.Uint64(b), Cgroup: le.Uint64(b[8:]), PID: le.Uint32(b[16:]), VPID: le.Uint32(b[20:]), PIDNS: le.Uint32(b[24:])}
		e.OpFlags = le.Uint64(b[32:])
	}
	return true
}

// textOf is where a record that is a text belongs.
func (e *Event) textOf(kind RecordKind) *string {
	switch kind {
	case RecordPath:
		return &e.Path
	case RecordPath2:
		return &e.Path2
	case RecordDir:
		return &e.Dir
	case RecordDir2:
		return &e.Dir2
	case RecordFSType:
		return &e.FSType
	case RecordFilePath:
		return &e.File.Path
	case RecordSocketPath:
		return &e.Socket.Path
	case RecordArgs:
		return (*string)(&e.Exec.Args)
	case RecordEnv:
		return (*string)(&e.Exec.Env)
	case RecordCWD:
		return &e.Exec.CWD
	case RecordInterp:
		return &e.Exec.Interp
	case RecordPayload:
		return &e.Payload
	}
	return nil
}

func (f *File) decode(b []byte) bool {
	if len(b) != fileSize {
		return false
	}
	f.Inode, f.CTime, f.MTime, f.FSMagic = le.Uint64(b), le.Uint64(b[8:]), le.Uint64(b[16:]), le.Uint64(b[24:])
	f.Dev, f.Mode, f.UID, f.GID, f.NLink, f.Flags = le.Uint32(b[32:]), le.Uint32(b[36:]), le.Uint32(b[40:]), le.Uint32(b[44:]), le.Uint32(b[48:]), le.Uint32(b[52:])
	flags := le.Uint32(b[56:])
	f.Upper, f.Lower, f.Memfd, f.Deleted = flags&fileUpper != 0, flags&fileLower != 0, flags&fileMemfd != 0, flags&fileDeleted != 0
	f.Kind = kindOf(f.Mode, f.FSMagic)
	if f.Kind != KindFile && f.Kind != KindDir {
		f.Deleted = false // pipes and the like never have a name
	}
	return true
}

// kindOf tells what a descriptor refers to from its inode's type and file system.
func kindOf(mode uint32, magic uint64) Kind {
	switch magic {
	case magicSocket:
		return KindSocket
	case magicPipe:
		return KindPipe
	case magicAnon:
		return KindAnon
	}
	switch mode & 0o170000 {
	case 0o100000:
		return KindFile
	case 0o040000:
		return KindDir
	case 0o140000:
		return KindSocket
	case 0o010000:
		return KindPipe
	case 0o020000:
		return KindChar
	case 0o060000:
		return KindBlock
	case 0o120000:
		return KindLink
	}
	return KindNone
}

func (s *Socket) decode(b []byte) bool {
	if len(b) != socketSize {
		return false
	}
	s.Family, s.Type, s.Protocol, s.State = le.Uint16(b), le.Uint16(b[2:]), le.Uint16(b[4:]), b[6]
	s.Local = addrPort(s.Family, b[16:32], le.Uint16(b[8:]))
	s.Remote = addrPort(s.Family, b[32:48], le.Uint16(b[10:]))
	return true
}

// Address families.
const (
	afUnix  = 1
	afInet  = 2
	afInet6 = 10
)

// addrPort is an address of a socket; the zero value where it has none.
func addrPort(family uint16, b []byte, port uint16) netip.AddrPort {
	var a netip.Addr
	switch family {
	case afInet:
		a = netip.AddrFrom4([4]byte(b))
	case afInet6:
		a = netip.AddrFrom16([16]byte(b)).Unmap()
	default:
		return netip.AddrPort{}
	}
	if port == 0 && a.IsUnspecified() {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(a, port)
}

// unixPath is the path in a unix socket's address: to its first zero byte, but for an abstract one, which begins with one.
func unixPath(b []byte) string {
	path := text(b)
	if path != "" && path[0] != 0 {
		path, _, _ = strings.Cut(path, "\x00")
	}
	return path
}

func (s *Stdio) decode(b []byte) {
	s.Inode, s.Dev, s.Family = le.Uint64(b), le.Uint32(b[8:]), le.Uint16(b[24:])
	s.Kind = kindOf(le.Uint32(b[12:]), le.Uint64(b[16:]))
}

// claimedAddress fills in what the kernel's socket does not (yet) know from the address given to the call.
func (e *Event) claimedAddress(b []byte) {
	if len(b) < 2 {
		return
	}
	to := &e.Socket.Remote
	if e.Type == Bind {
		to = &e.Socket.Local
	}
	family := le.Uint16(b)
	if e.Socket.Family != family && e.Socket.Family != 0 {
		return
	}
	e.Socket.Family = family
	switch {
	case family == afUnix && e.Socket.Path == "":
		e.Socket.Path = unixPath(b[2:])
	case family == afInet && len(b) >= 8 && to.Port() == 0:
		*to = addrPort(family, b[4:8], binary.BigEndian.Uint16(b[2:]))
	case family == afInet6 && len(b) >= 24 && to.Port() == 0:
		*to = addrPort(family, b[8:24], binary.BigEndian.Uint16(b[2:]))
	}
}

// writable is whether the mode lets the task's user write the file; the groups beyond its first are not known.
func (e *Event) writable() bool {
	const overrideDAC = 1 << 1
	f, t := &e.File, &e.Task
	if f.Kind != KindFile {
		return false
	}
	switch {
	case t.CapEffective&overrideDAC != 0:
		return true
	case t.FSUID == f.UID:
		return f.Mode&0o200 != 0
	case t.FSGID == f.GID:
		return f.Mode&0o020 != 0
	}
	return f.Mode&0o002 != 0
}

// Append writes e behind b in the wire format. Of the members that follow from Args
// only Args is written. Texts are cut after 4,096 bytes.
func Append(b []byte, e *Event) []byte {
	start := len(b)
	b = append(b, make([]byte, headerSize)...)
	h := b[start:]
	le.PutUint16(h[4:], uint16(e.Type))
	le.PutUint16(h[6:], uint16(e.Flags))
	le.PutUint16(h[8:], e.CPU)
	le.PutUint16(h[10:], flag(e.Task.ExeUpper, exeUpper)|flag(e.Task.ExeMemfd, exeMemfd))
	le.PutUint32(h[12:], e.Rule)
	le.PutUint64(h[16:], e.Time)
	le.PutUint64(h[24:], uint64(e.Ret))
	for i, v := range e.Args {
		le.PutUint64(h[32+8*i:], v)
	}
	t := e.Task
	for i, v := range [...]uint64{t.Start, t.ParentStart, t.Cgroup, t.CapPermitted, t.CapEffective, t.CapInheritable} {
		le.PutUint64(h[80+8*i:], v)
	}
	for i, v := range t.numbers() {
		le.PutUint32(h[128+4*i:], *v)
	}
	copy(h[232:headerSize], t.Comm)
	b = e.appendRecords(b)
	le.PutUint32(b[start:], uint32(len(b)-start))
	return b
}

func flag(set bool, bit uint16) uint16 {
	if set {
		return bit
	}
	return 0
}

// maxText bounds a text of an event, so that all of them fit into MaxSize.
const maxText = 4096

func (e *Event) appendRecords(b []byte) []byte {
	for kind := RecordPath; kind <= RecordPayload; kind++ {
		if t := e.textOf(kind); t != nil && *t != "" {
			b = appendRecord(b, kind, []byte((*t)[:min(len(*t), maxText)]))
		}
	}
	if e.File != (File{Path: e.File.Path, Writable: e.File.Writable}) {
		b = appendRecord(b, RecordFile, e.File.encode())
	}
	if e.Socket != (Socket{Path: e.Socket.Path}) {
		b = appendRecord(b, RecordSocket, e.Socket.encode())
	}
	if e.Exec.Stdio != ([3]Stdio{}) {
		var all []byte
		for _, s := range e.Exec.Stdio {
			all = append(all, s.encode()...)
		}
		b = appendRecord(b, RecordStdio, all)
	}
	if e.Type.forks() {
		c := make([]byte, childSize)
		le.PutUint64(c, e.Child.Start)
		le.PutUint64(c[8:], e.Child.Cgroup)
		le.PutUint32(c[16:], e.Child.PID)
		le.PutUint32(c[20:], e.Child.VPID)
		le.PutUint32(c[24:], e.Child.PIDNS)
		le.PutUint64(c[32:], e.OpFlags)
		b = appendRecord(b, RecordChild, c)
	}
	return b
}

func appendRecord(b []byte, kind RecordKind, content []byte) []byte {
	b = le.AppendUint16(b, uint16(kind))
	b = le.AppendUint16(b, uint16(len(content)))
	b = le.AppendUint32(b, 0)
	b = append(b, content...)
	return append(b, make([]byte, -len(content)&7)...)
}

func (f *File) encode() []byte {
	b := make([]byte, fileSize)
	for i, v := range [...]uint64{f.Inode, f.CTime, f.MTime, f.FSMagic} {
		le.PutUint64(b[8*i:], v)
	}
	for i, v := range [...]uint32{f.Dev, f.Mode, f.UID, f.GID, f.NLink, f.Flags} {
		le.PutUint32(b[32+4*i:], v)
	}
	le.PutUint32(b[56:], uint32(flag(f.Upper, fileUpper)|flag(f.Lower, fileLower)|flag(f.Memfd, fileMemfd)|flag(f.Deleted, fileDeleted)))
	return b
}

func (s *Socket) encode() []byte {
	b := make([]byte, socketSize)
	le.PutUint16(b, s.Family)
	le.PutUint16(b[2:], s.Type)
	le.PutUint16(b[4:], s.Protocol)
	b[6] = s.State
	le.PutUint16(b[8:], s.Local.Port())
	le.PutUint16(b[10:], s.Remote.Port())
	putAddr(b[16:32], s.Family, s.Local.Addr())
	putAddr(b[32:48], s.Family, s.Remote.Addr())
	return b
}

func putAddr(b []byte, family uint16, a netip.Addr) {
	switch {
	case !a.IsValid():
	case family == afInet && a.Is4():
		v := a.As4()
		copy(b, v[:])
	case family == afInet6:
		v := a.As16()
		copy(b, v[:])
	}
}

// modeOf is a mode that kindOf takes for the kind.
func (k Kind) modeOf() (mode uint32, magic uint64) {
	switch k {
	case KindFile:
		return 0o100000, 0
	case KindDir:
		return 0o040000, 0
	case KindSocket:
		return 0o140000, magicSocket
	case KindPipe:
		return 0o010000, magicPipe
	case KindChar:
		return 0o020000, 0
	case KindBlock:
		return 0o060000, 0
	case KindLink:
		return 0o120000, 0
	case KindAnon:
		return 0, magicAnon
	}
	return 0, 0
}

func (s *Stdio) encode() []byte {
	b := make([]byte, stdioSize)
	le.PutUint64(b, s.Inode)
	le.PutUint32(b[8:], s.Dev)
	mode, magic := s.Kind.modeOf()
	le.PutUint32(b[12:], mode)
	le.PutUint64(b[16:], magic)
	le.PutUint16(b[24:], s.Family)
	return b
}

// HasCap reports whether a capability (its number) is in a set.
func HasCap(set uint64, capability int) bool {
	return bits.Len64(set) > capability && set>>capability&1 != 0
}
