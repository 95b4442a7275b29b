package node

import (
	"fmt"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"
	"golang.org/x/sys/unix"

	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/sensor/trace"
)

// ask returns the i-th value of a field as rules write it ("proc.aname[2]"), "" when there is none.
func ask(e *Event, written string, i int) string {
	name, argument, _ := strings.Cut(strings.TrimSuffix(written, "]"), "[")
	ref := seawall.FieldRef{Name: name, Argument: argument, Index: -1}
	if n, err := strconv.Atoi(argument); err == nil {
		ref.Index = n
	}
	var v seawall.Value
	if !e.Value(&ref, i, &v) {
		return ""
	}
	switch table()[name].kind {
	case kindNumber:
		return strconv.FormatInt(v.Number, 10)
	case kindFlag:
		return strconv.FormatBool(v.Number != 0)
	case kindAddress:
		return v.Address.String()
	}
	return v.Text
}

// write makes a file of a made-up /proc.
func write(t *testing.T, s *Stream, path, content string) {
	t.Helper()
	path = filepath.Join(s.cfg.Proc, path)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

// acts are one event for every kind of value that a field may have.
func acts() map[string]*trace.Event {
	web := task(4001, 3000, "node")
	file := func(path string) trace.File {
		return trace.File{Path: path, Kind: trace.KindFile, Inode: 7, Dev: 8<<20 | 1, Upper: true, Mode: 0o100644}
	}
	socket := func(kind uint16, family uint16) trace.Socket {
		s := trace.Socket{Family: family, Type: kind, State: 1, Local: netip.MustParseAddrPort("10.0.0.5:41000"), Remote: netip.MustParseAddrPort("93.184.216.34:443")}
		if family == unix.AF_INET6 {
			s.Local, s.Remote = netip.MustParseAddrPort("[2001:db8::5]:41000"), netip.MustParseAddrPort("[2001:db8::9]:443")
		}
		return s
	}
	of := trace.File{Kind: trace.KindSocket, Inode: 8}
	act := func(t trace.Type, more trace.Event) *trace.Event {
		more.Type, more.Task, more.Time = t, web, 5000*second
		if more.FD == 0 {
			more.FD = -1
		}
		more.NewFD = max(more.NewFD, -1)
		return &more
	}
	root := task(4003, 4002, "bash")
	root.TTY, root.LoginUID, root.Session = 34816, 1000, 3
	shell := started(4003, 4002, "/bin/bash", "bash\x00-i\x00")
	shell.Task = root
	exit := act(trace.Exit, trace.Event{Ret: 3})
	host := act(trace.Unlink, trace.Event{Path: "/etc/x"})
	host.Task.Cgroup = hostGroup
	return map[string]*trace.Event{
		"exec": shell,
		"exit": exit,
		"host": host,
		"open": act(trace.Openat, trace.Event{Ret: 12, FD: 12, Path: "../etc/./passwd", Dir: "/usr", File: file("/etc/passwd"), OpFlags: unix.O_WRONLY | unix.O_CREAT | unix.O_TRUNC, Mode: 0o755, Args: [6]uint64{^uint64(99)}}),
		"fail": act(trace.Openat, trace.Event{Ret: -13, Path: "/etc/shadow", OpFlags: unix.O_RDONLY}),
		"conn": act(trace.Connect, trace.Event{FD: 15, File: of, Socket: socket(unix.SOCK_STREAM, unix.AF_INET)}),
		"six":  act(trace.Connect, trace.Event{Ret: -115, FD: 15, File: of, Socket: socket(unix.SOCK_STREAM, unix.AF_INET6)}),
		"acc": act(trace.Accept4, trace.Event{Ret: 16, FD: 16, File: of, Socket: trace.Socket{Family: unix.AF_INET, Type: unix.SOCK_STREAM, State: 1,
			Local: netip.MustParseAddrPort("10.0.0.5:8080"), Remote: netip.MustParseAddrPort("10.0.0.9:50000")}}),
		"bind": act(trace.Bind, trace.Event{FD: 17, File: of, Socket: trace.Socket{Family: unix.AF_INET, Type: unix.SOCK_STREAM, Local: netip.MustParseAddrPort("0.0.0.0:8080")}}),
		"unix": act(trace.Connect, trace.Event{FD: 18, File: of, Socket: trace.Socket{Family: unix.AF_UNIX, Type: unix.SOCK_STREAM, Path: "\x00hidden"}}),
		"send": act(trace.Sendto, trace.Event{Ret: 30, FD: 19, File: of, Payload: query("miner.example.org.", false), Socket: trace.Socket{Family: unix.AF_INET, Type: unix.SOCK_DGRAM,
			Local: netip.MustParseAddrPort("10.0.0.5:50001"), Remote: netip.MustParseAddrPort("10.0.0.10:53")}}),
		"ren":  act(trace.Renameat2, trace.Event{Path: "a", Dir: "/tmp", Path2: "../b", Dir2: "/var/log", Args: [6]uint64{5, 0, 6, 0, 1}}),
		"sym":  act(trace.Symlink, trace.Event{Path: "/etc/shadow", Path2: "link"}),
		"dup":  act(trace.Dup2, trace.Event{Ret: 1, FD: 15, NewFD: 1, File: of, Socket: socket(unix.SOCK_STREAM, unix.AF_INET)}),
		"setu": act(trace.Setuid, trace.Event{NewUID: 33}),
		"memf": act(trace.MemfdCreate, trace.Event{Ret: 9, FD: 9, Path: "x", File: trace.File{Path: "x", Kind: trace.KindFile, Memfd: true, Inode: 5}}),
		"pipe": act(trace.Dup2, trace.Event{FD: 4, NewFD: 0, File: trace.File{Kind: trace.KindPipe, Inode: 4}}),
	}
}

// query is a message to a name server, or its answer.
func query(name string, answer bool) string {
	b := dnsmessage.NewBuilder(nil, dnsmessage.Header{ID: 7, Response: answer})
	n := dnsmessage.MustNewName(name)
	err := b.StartQuestions()
	if err == nil {
		err = b.Question(dnsmessage.Question{Name: n, Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET})
	}
	if err == nil && answer {
		err = b.StartAnswers()
		alias := dnsmessage.MustNewName("edge.example.net.")
		h := dnsmessage.ResourceHeader{Name: n, Class: dnsmessage.ClassINET}
		if err == nil {
			err = b.CNAMEResource(h, dnsmessage.CNAMEResource{CNAME: alias})
		}
		h.Name = alias
		if err == nil {
			err = b.AResource(h, dnsmessage.AResource{A: [4]byte{93, 184, 216, 34}})
		}
	}
	if err != nil {
		panic(err)
	}
	m, err := b.Finish()
	if err != nil {
		panic(err)
	}
	return string(m)
}

// expected is every field an event can fill, on an event that has it: "act field value".
const expected = `
open evt.num 14
open evt.time 01:23:20.000000000
open evt.time.s 01:23:20
open evt.time.iso8601 1970-01-01T01:23:20Z
open evt.datetime 1970-01-01_01:23:20.000000000
open evt.datetime.s 1970-01-01_01:23:20
open evt.rawtime 5000000000000
open evt.rawtime.s 5000
open evt.rawtime.ns 0
open evt.type openat
open evt.source syscall
open evt.hostname n1
open evt.dir <
open syscall.type openat
exit syscall.type -
open evt.category file
conn evt.category net
exec evt.category process
open evt.cpu 0
open evt.args fd=<f>/etc/passwd_dirfd=AT_FDCWD_name=/etc/passwd_flags=O_WRONLY|O_CREAT|O_TRUNC_mode=S_IRUSR|S_IWUSR|S_IXUSR|S_IRGRP|S_IXGRP|S_IROTH|S_IXOTH_dev=8388609_ino=7
open evt.info fd=<f>/etc/passwd_dirfd=AT_FDCWD_name=/etc/passwd_flags=O_WRONLY|O_CREAT|O_TRUNC_mode=S_IRUSR|S_IWUSR|S_IXUSR|S_IRGRP|S_IXGRP|S_IROTH|S_IXOTH_dev=8388609_ino=7
open evt.arg[name] /etc/passwd
open evt.arg[flags] O_WRONLY|O_CREAT|O_TRUNC
open evt.arg[2] /etc/passwd
open evt.rawarg[flags] 577
open evt.rawarg[name] /etc/passwd
setu evt.arg[uid] www-data
setu evt.rawarg[uid] 33
send evt.arg[query] miner.example.org
send evt.buflen 30
open evt.res SUCCESS
fail evt.res EACCES
six evt.res EINPROGRESS
open evt.rawres 12
exit evt.rawres -
open evt.failed false
fail evt.failed true
six evt.failed false
send evt.is_io true
send evt.is_io_read false
send evt.is_io_write true
acc evt.is_wait true
open evt.count 1
open evt.is_open_read false
fail evt.is_open_read true
open evt.is_open_write true
open evt.is_open_exec true
open evt.is_open_create true
conn evt.is_open_read -
open evt.abspath /etc/passwd
ren evt.abspath[new] /var/b
ren evt.abspath[old] /tmp/a
exec proc.pid 4003
exec proc.ppid 4002
exec proc.apid[1] 4002
exec proc.apid[3] 3000
exec proc.vpid 3
exec proc.pvpid 2
exec proc.sid 1
exec proc.sname node
exec proc.sid.exe node
exec proc.sid.exepath /usr/local/bin/node
exec proc.vpgid 3
exec proc.vpgid.name bash
exec proc.vpgid.exe bash
exec proc.vpgid.exepath /bin/bash
exec proc.pgid 4003
exec proc.pgid.name bash
exec proc.pgid.exe bash
exec proc.pgid.exepath /bin/bash
exec proc.name bash
exec proc.pname sh
exec proc.aname[0] bash
exec proc.aname[2] node
exec proc.aname[9] -
exec proc.exe bash
exec proc.pexe sh
exec proc.aexe[2] node
exec proc.exepath /bin/bash
exec proc.pexepath /bin/sh
exec proc.aexepath[2] /usr/local/bin/node
exec proc.args -i
exec proc.cmdline bash_-i
exec proc.pcmdline sh_-c_date_+%s
exec proc.acmdline[2] node_/app/server.js_--port_8080
exec proc.exeline bash_-i
exec proc.cmdnargs 1
exec proc.cmdlenargs 2
exec proc.env HOME=/root_MARK=here
exec proc.env[MARK] here
exec proc.env[MAR] -
open proc.env[FROM] proc
exec proc.cwd /app/
exec proc.tty 34816
exec proc.duration 100000000
exec proc.ppid.duration 1100000000
exec proc.pid.ts 4003000000000
exec proc.ppid.ts 4002000000000
exec proc.is_exe_writable true
exec proc.is_exe_upper_layer false
exec proc.is_exe_lower_layer true
exec proc.is_exe_from_memfd false
exec proc.is_sid_leader false
exec proc.is_vpgid_leader true
exec proc.is_pgid_leader true
exec proc.exe_ino 99
exec proc.exe_ino.ctime 1600000000000000000
exec proc.exe_ino.mtime 1600000001000000000
exec proc.exe_ino.ctime_duration_proc_start -1599995997000000000
exec proc.exe_ino.ctime_duration_pidns_start 1599995999000000000
exec proc.pidns_init_start_ts 4001000000000
exec proc.nthreads 5
exec proc.nchilds 4
exec proc.vmsize 9000
exec proc.vmrss 700
exec proc.fdopencount 3
exec proc.fdlimit 1024
exec proc.loginshellid 4002
open proc.loginshellid -
open proc.vmrss -
exec proc.aenv[2] FROM=proc_AND=more
exec proc.aenv[AND] more
exec proc.aenv[NO] -
exec proc.stdin.type ipv4
exec proc.stdout.type file
exec proc.stderr.type pipe
exec proc.stdin.name socket:[5]
exec proc.stdout.name /tmp/out
exec proc.stderr.name pipe:[6]
exec thread.tid 4003
exec thread.vtid 3
exec thread.ismain true
exec thread.cap_permitted CAP_CHOWN_CAP_DAC_OVERRIDE_CAP_FOWNER_CAP_FSETID_CAP_KILL_CAP_SETGID_CAP_SETUID_CAP_SETPCAP_CAP_NET_BIND_SERVICE_CAP_NET_RAW_CAP_SYS_CHROOT_CAP_MKNOD_CAP_AUDIT_WRITE_CAP_SETFCAP
exec thread.cap_effective CAP_CHOWN_CAP_DAC_OVERRIDE_CAP_FOWNER_CAP_FSETID_CAP_KILL_CAP_SETGID_CAP_SETUID_CAP_SETPCAP_CAP_NET_BIND_SERVICE_CAP_NET_RAW_CAP_SYS_CHROOT_CAP_MKNOD_CAP_AUDIT_WRITE_CAP_SETFCAP
exit thread.cap_inheritable CAP_NET_RAW
exec thread.cgroups /sys/fs/cgroup/test
exec user.uid 0
exec user.name admin
host user.name root
exec user.homedir /home/admin
exec user.shell /bin/sh
exec user.loginuid 1000
open user.loginuid -1
exec user.loginname ann
exec group.gid 0
exec group.name wheel
exec container.id ab54211245ed
host container.id host
exec container.full_id ab54211245ed74f27b97b1b1dbebfdd638d64d43c0c631b755c680dcfcb0f5d1
exec container.name web
host container.name host
exec container.type containerd
exec container.image registry.example.org/shop/web:1.2
host container.image -
exec container.image.id 0011
exec container.image.repository registry.example.org/shop/web
exec container.image.tag 1.2
exec container.image.digest sha256:ab54211245ed74f27b97b1b1dbebfdd638d64d43c0c631b755c680dcfcb0f5d1
exec container.privileged true
host container.privileged -
exec container.mounts /var/run/docker.sock:/docker.sock:Z:true:private
exec container.mount[0] /var/run/docker.sock:/docker.sock:Z:true:private
exec container.mount[1] -
exec container.mount.dest[/var/run/docker.sock] /docker.sock
exec container.mount.dest[/var*] /docker.sock
exec container.mount.dest[/etc] -
exec container.mount.source[/docker.sock] /var/run/docker.sock
exec container.mount.mode[0] Z
exec container.mount.rdwr[0] true
exec container.mount.propagation[0] private
exec container.start_ts 1700000000000000000
exec container.duration -1699995996900000000
exec container.ip 10.1.2.3
exec container.host_pid true
exec container.host_network true
exec container.host_ipc true
exec container.label[tier] front
exec container.labels tier:front
exec k8s.ns.name shop
host k8s.ns.name -
exec k8s.pod.name web-6d4cf56db6-x2x9z
exec k8s.pod.id 5d97025f-e6f1-42b9-aab8-f04580216c05
exec k8s.pod.uid 5d97025f-e6f1-42b9-aab8-f04580216c05
exec k8s.pod.sandbox_id 4a15a9e5859f
exec k8s.pod.full_sandbox_id 4a15a9e5859f960502853de6a8480a8caa66160bcf4a89950fb8990eafde2e42
exec k8s.pod.label[app] web
exec k8s.pod.labels app:web,_pod-template-hash:6d4cf56db6
exec k8s.pod.ip 10.1.2.3
exec k8s.deployment.name web
exec k8s.rs.name web-6d4cf56db6
exec k8s.workload Deployment/shop/web
host k8s.node.name n1
open fd.num 12
fail fd.num -13
dup fd.num 1
open fd.type file
fail fd.type file
conn fd.type ipv4
six fd.type ipv6
unix fd.type unix
memf fd.type memfd
pipe fd.type pipe
exec fd.type -
open fd.types[0] file
open fd.typechar f
conn fd.typechar 4
unix fd.typechar u
open fd.name /etc/passwd
fail fd.name /etc/shadow
conn fd.name 10.0.0.5:41000->93.184.216.34:443
six fd.name 2001:db8::5:41000->2001:db8::9:443
acc fd.name 10.0.0.9:50000->10.0.0.5:8080
bind fd.name 0.0.0.0:8080
unix fd.name @hidden
memf fd.name memfd:x
open fd.nameraw ../etc/./passwd
open fd.directory /etc
fail fd.directory /etc
conn fd.directory -
open fd.filename passwd
open fd.containername ab54211245ed:/etc/passwd
open fd.containerdirectory ab54211245ed:/etc
conn fd.ip 10.0.0.5
bind fd.ip 0.0.0.0
conn fd.cip 10.0.0.5
conn fd.sip 93.184.216.34
acc fd.sip 10.0.0.5
acc fd.cip 10.0.0.9
acc fd.lip 10.0.0.5
conn fd.lip 10.0.0.5
acc fd.rip 10.0.0.9
conn fd.rip 93.184.216.34
conn fd.net 10.0.0.5
conn fd.cnet 10.0.0.5
conn fd.snet 93.184.216.34
conn fd.lnet 10.0.0.5
conn fd.rnet 93.184.216.34
conn fd.port 41000
conn fd.cport 41000
conn fd.sport 443
acc fd.sport 8080
bind fd.sport 8080
acc fd.lport 8080
conn fd.rport 443
bind fd.rport -
conn fd.l4proto tcp
send fd.l4proto udp
unix fd.l4proto -
conn fd.sockfamily ip
unix fd.sockfamily unix
conn fd.is_server false
acc fd.is_server true
open fd.is_server -
conn fd.connected true
bind fd.connected false
conn fd.name_changed false
send fd.name_changed true
conn fd.sip.name www.example.org
conn fd.rip.name www.example.org
conn fd.cip.name -
acc fd.lip.name -
open fd.uid 400112
open fd.dev 8388609
open fd.dev.major 8
open fd.dev.minor 1
open fd.ino 7
open fd.is_upper_layer true
open fd.is_lower_layer false
open fs.path.name /etc/passwd
open fs.path.nameraw ../etc/./passwd
host fs.path.name /etc/x
ren fs.path.name -
ren fs.path.source /tmp/a
ren fs.path.sourceraw a
ren fs.path.target /var/b
ren fs.path.targetraw ../b
sym fs.path.source /etc/shadow
sym fs.path.target /app/link
`

// named are fields that no act fills: the names of one's own addresses.
var unnamed = []string{"fd.cip.name", "fd.lip.name"}

// TestFields: every field is filled by an event that has it, and missing where an event has none.
func TestFields(t *testing.T) {
	check := func(*Event) {}
	s, _ := recorder(t, func(e *Event) { check(e) })
	write(t, s, "1/root/etc/passwd", "root:x:0:0:root:/root:/bin/bash\n")
	for _, pid := range []string{"4001", "4003"} {
		write(t, s, pid+"/root/etc/passwd", "# a comment\nbroken\nadmin:x:0:0:The Admin:/home/admin:/bin/sh\nroot:x:0:0:again:/:/bin/sh\nwww-data:x:33:33::/var/www:/bin/false\nann:x:1000:1000::/home/ann:/bin/bash\n")
		write(t, s, pid+"/root/etc/group", "wheel:x:0:\n")
	}
	write(t, s, "4001/environ", "FROM=proc\x00AND=more\x00")
	write(t, s, "4003/status", "Name:\tbash\nThreads:\t5\nVmSize:\t  9000 kB\nVmRSS:\t  700 kB\n")
	write(t, s, "4003/limits", "Limit                     Soft Limit           Hard Limit           Units\nMax open files            1024                 1048576              files\n")
	for fd, to := range []string{"socket:[5]", "/tmp/out", "pipe:[6]"} {
		if err := os.MkdirAll(filepath.Join(s.cfg.Proc, "4003/fd"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(to, filepath.Join(s.cfg.Proc, "4003/fd", strconv.Itoa(fd))); err != nil {
			t.Fatal(err)
		}
	}
	s.cfg.Clock = trace.NewClock(time.Unix(0, 0), 0)
	populate(s)
	init := started(4001, 3000, "/usr/local/bin/node", "")
	s.take(&trace.Event{Type: trace.Clone, Task: task(3000, 1, "containerd-shim"), Child: trace.Child{PID: 4001, VPID: 1, Start: init.Task.Start, PIDNS: 77, Cgroup: webGroup}})
	s.take(&trace.Event{Type: trace.Recvfrom, Task: task(4001, 3000, "node"), Payload: query("www.example.org.", true), Socket: trace.Socket{Remote: netip.MustParseAddrPort("10.0.0.10:53")}})

	wanted := map[string][][2]string{}
	filled := map[string]bool{}
	for line := range strings.Lines(strings.TrimSpace(expected)) {
		f := strings.Fields(line)
		wanted[f[0]] = append(wanted[f[0]], [2]string{f[1], f[2]})
		if name, _, _ := strings.Cut(f[1], "["); f[2] != "-" {
			filled[name] = true
		}
	}
	all := acts()
	all["exit"].Task.CapInheritable = 1 << 13
	order := slices.Sorted(maps.Keys(wanted))
	order = append(slices.DeleteFunc(order, func(act string) bool { return act == "exit" }), "exit")
	for _, act := range order {
		check = func(e *Event) {
			for _, w := range wanted[act] {
				got := strings.ReplaceAll(ask(e, w[0], 0), " ", "_")
				if got == "" {
					got = "-"
				}
				if got != w[1] {
					t.Errorf("%s: %s is %q, want %q", act, w[0], got, w[1])
				}
			}
		}
		s.take(all[act])
	}
	for _, name := range Fields() {
		if !filled[name] && !slices.Contains(unnamed, name) {
			t.Errorf("%s: no event of the table fills it", name)
		}
	}
}

// TestSeveral: fields with several values give all of them.
func TestSeveral(t *testing.T) {
	check := func(*Event) {}
	s, _ := recorder(t, func(e *Event) { check(e) })
	populate(s)
	list := func(e *Event, field string) string {
		var all []string
		for i := 0; i < 20; i++ {
			v := ask(e, field, i)
			if v == "" {
				break
			}
			all = append(all, v)
		}
		return strings.Join(all, " ")
	}
	check = func(e *Event) {
		for field, want := range map[string]string{
			"proc.aname": "sh node containerd-shim", "proc.apid": "4002 4001 3000", "proc.aname[1]": "sh", "proc.name": "bash", "evt.num": fmt.Sprint(e.Number),
		} {
			if got := list(e, field); got != want {
				t.Errorf("%s: %q, want %q", field, got, want)
			}
		}
	}
	s.take(acts()["exec"])
	check = func(e *Event) {
		if got := list(e, "fd.ip"); got != "10.0.0.5 93.184.216.34" {
			t.Errorf("addresses: %s", got)
		}
		if got := list(e, "fd.port"); got != "41000 443" {
			t.Errorf("ports: %s", got)
		}
	}
	s.take(acts()["conn"])
}

// TestArguments: every type of event has arguments, each with a text or a number
// on some event of that type, and none of them panics on an empty one.
func TestArguments(t *testing.T) {
	check := func(*Event) {}
	s, _ := recorder(t, func(e *Event) { check(e) })
	populate(s)
	for _, kind := range trace.Types() {
		if kind == trace.CgroupMkdir || kind == trace.CgroupRmdir {
			continue
		}
		called := false
		check = func(e *Event) {
			called = true
			names := map[string]bool{}
			for _, a := range arguments()[kind] {
				if names[a.name] {
					t.Errorf("%s has %s twice", kind, a.name)
				}
				names[a.name] = true
				if a.text(e) == "" && a.raw != nil && !strings.HasPrefix(a.name, "cap_") {
					t.Errorf("%s: %s has a number and no text", kind, a.name)
				}
			}
			if kind != trace.Exit && !names["res"] && !names["fd"] {
				t.Errorf("%s does not tell how it went", kind)
			}
		}
		s.take(&trace.Event{Type: kind, Task: task(4001, 3000, "node"), Time: 5000 * second, FD: -1, NewFD: -1, Signal: 9, Path: "/a", Path2: "/b"})
		if !called {
			t.Errorf("%s was not emitted", kind)
		}
	}
}
