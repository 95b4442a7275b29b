package live

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seawall-security/seawall/internal/seawall"
)

func openRoot(t testing.TB, dir string) *os.Root {
	t.Helper()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { root.Close() })
	return root
}

func factsOf(t testing.TB, dir string) []seawall.Fact {
	t.Helper()
	facts, err := Facts(context.Background(), openRoot(t, dir))
	if err != nil {
		t.Fatal(err)
	}
	return facts
}

func ofKind(facts []seawall.Fact, kind string) (found []*seawall.ConfigFact) {
	for _, f := range facts {
		if f.Config != nil && f.Config.Kind == kind {
			found = append(found, f.Config)
		}
	}
	return found
}

// TestThisMachine compares with what the test knows about itself.
func TestThisMachine(t *testing.T) {
	if _, err := os.Stat("/proc/self"); err != nil {
		t.Skip("no /proc")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	facts := factsOf(t, "/")

	self := func() *seawall.ConfigFact {
		for _, p := range ofKind(facts, "host/process") {
			if p.Data["pid"] == strconv.Itoa(os.Getpid()) {
				return p
			}
		}
		t.Fatal("this process is not among the processes")
		return nil
	}()
	exe, _ := os.Executable()
	if diff := cmp.Diff([]string{exe, strings.Join(os.Args, "\x00") + "\x00", strconv.Itoa(os.Geteuid())},
		[]string{self.Data["exe"], self.Data["args"], self.Data["uid"]}); diff != "" {
		t.Errorf("this process (-want +got):\n%s", diff)
	}

	settings := ofKind(facts, "host/sysctl")[0].Data
	for _, key := range []string{"kernel.randomize_va_space", "net.ipv4.ip_forward", "net.ipv4.conf.all.accept_redirects"} {
		want, err := os.ReadFile("/proc/sys/" + strings.ReplaceAll(key, ".", "/"))
		if err == nil && settings[key] != strings.TrimSpace(string(want)) {
			t.Errorf("%s = %q, want %q", key, settings[key], want)
		}
	}
	for key := range settings {
		if strings.Contains(key, ".conf.lo.") {
			t.Errorf("setting of one network interface: %s", key)
		}
	}

	if samePID1Network(t) {
		port := strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
		var got map[string]string
		for _, s := range ofKind(facts, "host/socket") {
			if s.Data["port"] == port && s.Data["protocol"] == "tcp" {
				got = s.Data
			}
		}
		want := map[string]string{"protocol": "tcp", "address": "127.0.0.1", "port": port, "uid": strconv.Itoa(os.Geteuid()), "process": self.Data["name"]}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("our socket (-want +got):\n%s", diff)
		}
	}
	if release, _ := os.ReadFile("/proc/sys/kernel/osrelease"); ofKind(facts, "host/kernel")[0].Data["release"] != strings.TrimSpace(string(release)) {
		t.Errorf("kernel %v", ofKind(facts, "host/kernel")[0].Data)
	}
	if _, ok := ofKind(facts, "host/mounts")[0].Data["/proc"]; !ok {
		t.Error("/proc is not among the mounts")
	}
}

func samePID1Network(t *testing.T) bool {
	a, errA := os.Readlink("/proc/1/ns/net")
	b, errB := os.Readlink("/proc/self/ns/net")
	if errA != nil || errB != nil || a != b {
		t.Log("process 1 is in another network, or not ours to look at: sockets not compared")
		return false
	}
	return true
}

func TestNoRunningSystem(t *testing.T) {
	facts := factsOf(t, t.TempDir())
	if len(facts) != 8 || len(ofKind(facts, "host/unread")) != 8 {
		t.Fatalf("%d facts, want one host/unread for each kind", len(facts))
	}
	if got := ofKind(facts, "host/unread")[1].Data; got["resource"] != "host/sysctl" || !strings.Contains(got["reason"], "no /proc") {
		t.Errorf("%v", got)
	}
}

// write makes files below dir.
func write(t testing.TB, dir string, files map[string]string) {
	t.Helper()
	for name, content := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func TestPrefix(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, map[string]string{
		"proc/version":                                    "Linux version 6.1.0\n",
		"proc/cmdline":                                    "root=/dev/sda audit=1\n",
		"proc/sys/kernel/osrelease":                       "6.1.0-1\n",
		"proc/sys/net/ipv4/conf/all/x":                    "1\n",
		"proc/sys/net/ipv4/conf/veth0/x":                  "1\n",
		"proc/sys/net/ipv4/tcp_rmem":                      "4096\t131072\t6291456\n",
		"proc/sys/vm/stat_refresh":                        "",
		"proc/1/mounts":                                   "/dev/sda / ext4 rw 0 0\ntmpfs /a\\040b tmpfs rw,nodev 0 0\noverlay /var/lib/docker/overlay2/x/merged overlay rw 0 0\nshort\n",
		"proc/1/status":                                   "Name:\tinit\nPPid:\t0\nUid:\t0\t0\t0\t0\nSeccomp:\t2\n",
		"proc/1/cmdline":                                  "/sbin/init\x00splash\x00",
		"proc/notapid/status":                             "Name:\tx\n",
		"proc/1/net/tcp":                                  "  sl  local_address\n   0: 0100007F:0277 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 17 1\n   1: 0100007F:9999 0100007F:0277 01 0:0 00:0 0 0 0 18 1\n",
		"proc/1/net/tcp6":                                 "   0: 00000000000000000000000001000000:1F90 0:0 0A 0:0 00:0 0 33 0 19 1\n",
		"proc/1/net/udp":                                  "   0: zz:0 0:0 07 0:0 00:0 0 33 0 19 1\n",
		"proc/modules":                                    "dccp 1 0 - Live 0x0\n",
		"proc/swaps":                                      "Filename Type Size Used Priority\n/dev/sda2 partition 1 0 -2\n",
		"sys/kernel/security/lsm":                         "capability,apparmor",
		"sys/fs/selinux/enforce":                          "1",
		"sys/fs/cgroup/cgroup.controllers":                "cpu",
		"sys/module/apparmor/parameters/enabled":          "Y\n",
		"sys/kernel/security/apparmor/profiles":           "a (enforce)\nb (complain)\nc (enforce)\n",
		"sys/devices/system/cpu/vulnerabilities/meltdown": "Vulnerable\n",
	})
	if err := os.MkdirAll(filepath.Join(dir, "run"), 0o755); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", filepath.Join(dir, "run/docker.sock"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	got := map[string][]map[string]string{}
	var socket *seawall.FileFact
	for _, f := range factsOf(t, dir) {
		if f.File != nil {
			socket = f.File
			continue
		}
		got[f.Config.Kind] = append(got[f.Config.Kind], f.Config.Data)
	}
	want := map[string][]map[string]string{
		"host/kernel": {{"release": "6.1.0-1", "version": "Linux version 6.1.0", "cmdline": "root=/dev/sda audit=1",
			"lsm": "capability,apparmor", "lockdown": "none", "cgroup": "2", "cpu.meltdown": "Vulnerable"}},
		"host/sysctl":  {{"kernel.osrelease": "6.1.0-1", "net.ipv4.conf.all.x": "1", "net.ipv4.tcp_rmem": "4096 131072 6291456"}},
		"host/mounts":  {{"/": "ext4 rw", "/a b": "tmpfs rw,nodev"}},
		"host/modules": {{"dccp": "loaded"}},
		"host/mac":     {{"apparmor": "Y", "apparmor.enforce": "2", "apparmor.complain": "1", "selinux": "1"}},
		"host/swap":    {{"/dev/sda2": "partition"}},
		"host/process": {{"pid": "1", "name": "init", "parent": "0", "uid": "0", "seccomp": "2", "args": "/sbin/init\x00splash\x00"}},
		"host/socket": {
			{"protocol": "tcp", "address": "127.0.0.1", "port": "631", "uid": "0"},
			{"protocol": "tcp6", "address": "::1", "port": "8080", "uid": "33"},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if socket == nil || socket.Path != "run/docker.sock" || socket.Kind != "socket" || socket.UID != uint32(os.Geteuid()) {
		t.Errorf("socket of the runtime: %+v", socket)
	}
}

func TestBoundsAndEnds(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, map[string]string{
		"proc/sys/kernel/osrelease": "1", "proc/version": "v", "proc/1/mounts": strings.Repeat("x", maxFile+1), "proc/1/status": "Name: x",
	})
	var reason string
	for _, u := range ofKind(factsOf(t, dir), "host/unread") {
		if u.Data["resource"] == "host/mounts" {
			reason = u.Data["reason"]
		}
	}
	if !strings.Contains(reason, "/proc/1/mounts: ") || !strings.Contains(reason, "larger than") {
		t.Errorf("mounts over the bound: %q", reason)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Facts(ctx, openRoot(t, dir)); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

func FuzzParseSocket(f *testing.F) {
	f.Add("tcp", "   0: 0100007F:0277 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 17 1")
	f.Add("udp6", "   0: 00000000000000000000000001000000:1F90 0:0 07 0:0 00:0 0 33 0 19 1")
	f.Fuzz(func(t *testing.T, protocol, line string) {
		data := parseSocket(protocol, line)
		if data == nil {
			return
		}
		if n, err := strconv.ParseUint(data["port"], 10, 16); err != nil || strconv.FormatUint(n, 10) != data["port"] {
			t.Errorf("port %q", data["port"])
		}
		if net.ParseIP(data["address"]) == nil {
			t.Errorf("address %q", data["address"])
		}
	})
}

func BenchmarkThisMachine(b *testing.B) {
	b.ReportAllocs()
	root := openRoot(b, "/")
	for b.Loop() {
		if _, err := Facts(context.Background(), root); err != nil {
			b.Fatal(err)
		}
	}
}

// TestContainersFiles reads what Docker and the kubelet themselves wrote.
func TestContainersFiles(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		p := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const id = "0123456789abcdef0123456789abcdef"
	write("proc/sys/kernel/osrelease", "6.1\n")
	write(dockerContainers+"/"+id+"/hostconfig.json", `{"Binds":["/etc:/host/etc:ro"],"NetworkMode":"host","RestartPolicy":{"Name":"on-failure","MaximumRetryCount":5},
		"CapAdd":["SYS_ADMIN"],"Privileged":true,"SecurityOpt":["seccomp={`+strings.Repeat("x", 500)+`}"],"PidsLimit":100,"NanoCpus":5,"CpuShares":7,"Memory":1048576,
		"PortBindings":{"80/tcp":[{"HostIp":"","HostPort":"8080"},{"HostIp":"127.0.0.1","HostPort":"81"}]},"Devices":[{"PathOnHost":"/dev/kvm"}],"Ulimits":[{"Name":"nofile"}]}`)
	write(dockerContainers+"/"+id+"/config.v2.json", `{"Name":"/web","State":{"Running":true},"AppArmorProfile":"docker-default",
		"Config":{"Image":"nginx:1.27","User":"101","Env":["PASSWORD=hunter2"],"Healthcheck":{"Test":["CMD","true"]}},
		"MountPoints":{"/host/etc":{"Source":"/etc/","Destination":"/host/etc","RW":false,"Propagation":"rprivate"}}}`)
	write(dockerContainers+"/broken/hostconfig.json", `{`)
	write(dockerSwarm, `{"LocalAddr":"10.0.0.4","ListenAddr":"0.0.0.0:2377","AdvertiseAddr":"10.0.0.4:2377","DataPathAddr":""}`)
	write(dockerContainers+"/broken/config.v2.json", `{}`)

	const proxy = "var/lib/kubelet/pods/uid/volumes/kubernetes.io~configmap/kube-proxy"
	write(proxy+"/..2026/config.conf", "kind: KubeProxyConfiguration")
	for link, to := range map[string]string{"/..data": "..2026", "/config.conf": "..data/config.conf"} { // as the kubelet writes them
		if err := os.Symlink(to, filepath.Join(dir, proxy+link)); err != nil {
			t.Fatal(err)
		}
	}

	facts := factsOf(t, dir)
	if raw := ofKind(facts, "kubernetes/raw"); len(raw) != 1 || raw[0].Path != proxy+"/config.conf" || raw[0].Data["text"] != "kind: KubeProxyConfiguration" {
		t.Errorf("kube-proxy: %v", raw)
	}
	found := ofKind(facts, "docker/container")
	if len(found) != 1 {
		t.Fatalf("%d containers, want 1", len(found))
	}
	want := map[string]string{
		"id": "0123456789ab", "Name": "web", "Image": "nginx:1.27", "User": "101", "Running": "true", "Healthcheck": "true",
		"AppArmorProfile": "docker-default", "ProcessLabel": "", "Privileged": "true", "ReadonlyRootfs": "false", "PublishAllPorts": "false",
		"NetworkMode": "host", "PidMode": "", "IpcMode": "", "UTSMode": "", "UsernsMode": "", "CgroupParent": "", "Memory": "1048576",
		"CpuShares": "7", "NanoCpus": "5", "PidsLimit": "100", "CapAdd": "SYS_ADMIN", "CapDrop": "", "RestartPolicy": "on-failure",
		"MaximumRetryCount": "5", "SecurityOpt": "seccomp={" + strings.Repeat("x", maxOption-len("seccomp={")), "Devices": "/dev/kvm",
		"Ulimits": "nofile", "Ports": "127.0.0.1:81,:8080", "Mounts": "/etc:/host/etc:rprivate",
	}
	if diff := cmp.Diff(want, found[0].Data); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if swarm := ofKind(facts, "docker/swarm"); len(swarm) != 1 || swarm[0].Data["ListenAddr"] != "0.0.0.0:2377" {
		t.Errorf("swarm: %v", swarm)
	}
	var unread []string
	for _, u := range ofKind(facts, "host/unread") {
		if u.Data["resource"] == "docker/container" {
			unread = append(unread, u.Data["reason"])
		}
	}
	if len(unread) != 1 || !strings.Contains(unread[0], "broken/hostconfig.json") {
		t.Errorf("unread: %q", unread)
	}
}
