package filter

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"github.com/seawall-security/seawall/internal/enforce/enforcetest"
	"github.com/seawall-security/seawall/internal/testenv"
)

// The test binary is also the workload and, for the test of its death, the agent.
func TestMain(m *testing.M) {
	switch os.Getenv("SEAWALL_TEST_ROLE") {
	case "workload":
		workload()
	case "agent":
		_, err := New(Config{Cgroup: os.Args[1]})
		fmt.Println("cut", err)
		time.Sleep(time.Hour)
	default:
		testenv.Main(m)
	}
}

// workload does what it is told on standard input, one line each, and says "ok" or the error.
func workload() {
	var conn net.Conn
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		var err error
		switch words := strings.Fields(lines.Text()); words[0] {
		case "listen":
			err = echo(words[1])
		case "dial":
			var c net.Conn
			if c, err = net.DialTimeout(words[1], words[2], 2*time.Second); err == nil {
				if _, err = c.Write([]byte("x")); err == nil && words[1] == "tcp" {
					_, err = io.ReadFull(c, make([]byte, 1))
				}
				c.Close()
			}
		case "open":
			conn, err = net.Dial("tcp", words[1])
		case "write":
			_, err = conn.Write([]byte(words[1]))
		case "frame":
			err = sendFrame(words[1], words[2])
		}
		if err != nil {
			fmt.Println(err)
		} else {
			fmt.Println("ok")
		}
	}
}

func echo(address string) error {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go answer(c)
		}
	}()
	return nil
}

// answer echoes; io.Copy would keep pipes for splicing.
func answer(c net.Conn) {
	defer c.Close()
	_, _ = io.Copy(struct{ io.Writer }{c}, struct{ io.Reader }{c})
}

// sendFrame sends a datagram from a packet socket, which says it is ARP.
func sendFrame(mac, to string) error {
	hardware, err := net.ParseMAC(mac)
	if err != nil {
		return err
	}
	address := netip.MustParseAddrPort(to)
	b := append(append([]byte{}, hardware...), 2, 0, 0, 0, 0, 1, 8, 0)
	ip := []byte{0x45, 0, 0, 29, 0, 0, 0, 0, 64, unix.IPPROTO_UDP, 0, 0, 10, 99, 0, 2}
	ip = append(ip, address.Addr().AsSlice()...)
	sum := uint32(0)
	for i := 0; i < 20; i += 2 {
		sum += uint32(binary.BigEndian.Uint16(ip[i:]))
	}
	binary.BigEndian.PutUint16(ip[10:], ^uint16(sum+sum>>16))
	b = append(b, ip...)
	b = binary.BigEndian.AppendUint16(b, 9)
	b = binary.BigEndian.AppendUint16(b, address.Port())
	b = append(b, 0, 9, 0, 0, 'f')
	i, err := net.InterfaceByName("eth0")
	if err != nil {
		return err
	}
	arp := uint16(unix.ETH_P_ARP)
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return unix.Sendto(fd, b, 0, &unix.SockaddrLinklayer{Ifindex: i.Index, Protocol: arp<<8 | arp>>8})
}

// world is a node and a workload, each in a network namespace of its own.
type world struct {
	t      *testing.T
	cgroup *enforcetest.Cgroup
	pid    int
	in     io.Writer
	out    *bufio.Reader
	node   net.Listener // echoes on 10.99.0.1
	node6  net.Listener
	udp    net.PacketConn
	mac    string
}

func newWorld(t *testing.T) *world {
	t.Helper()
	ip := testenv.Tool(t, "ip")
	w := &world{t: t, cgroup: enforcetest.New(t)}
	// The test's thread is the node; it is not given back.
	runtime.LockOSThread()
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Fatal(err)
	}
	cmd := w.cgroup.Command("/proc/self/exe")
	cmd.SysProcAttr.Cloneflags = syscall.CLONE_NEWNET
	cmd.Env = append(os.Environ(), "SEAWALL_TEST_ROLE=workload")
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { in.Close(); _ = cmd.Process.Kill(); _ = cmd.Wait() })
	w.pid, w.in, w.out = cmd.Process.Pid, in, bufio.NewReader(out)
	run := func(args ...string) {
		t.Helper()
		if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %v\n%s", args, err, out)
		}
	}
	ns := []string{"nsenter", fmt.Sprintf("--net=/proc/%d/ns/net", w.pid), ip}
	run(ip, "link", "add", "veth0", "type", "veth", "peer", "name", "eth0", "netns", fmt.Sprint(w.pid))
	run(ip, "addr", "add", "10.99.0.1/24", "dev", "veth0")
	run(ip, "-6", "addr", "add", "fd99::1/64", "dev", "veth0", "nodad")
	run(ip, "link", "set", "veth0", "up")
	run(append(ns, "addr", "add", "10.99.0.2/24", "dev", "eth0")...)
	run(append(ns, "-6", "addr", "add", "fd99::2/64", "dev", "eth0", "nodad")...)
	run(append(ns, "link", "set", "eth0", "up")...)
	run(append(ns, "link", "set", "lo", "up")...)
	w.listen()
	for _, address := range []string{"10.99.0.2:81", "127.0.0.1:80", "[fd99::2]:81", "[::1]:80"} {
		w.want("listen "+address, "ok")
	}
	return w
}

func (w *world) listen() {
	w.t.Helper()
	var err error
	if w.node, err = net.Listen("tcp", "10.99.0.1:80"); err != nil {
		w.t.Fatal(err)
	}
	if w.node6, err = net.Listen("tcp", "[fd99::1]:80"); err != nil {
		w.t.Fatal(err)
	}
	if w.udp, err = net.ListenPacket("udp", "10.99.0.1:53"); err != nil {
		w.t.Fatal(err)
	}
	veth, err := net.InterfaceByName("veth0")
	if err != nil {
		w.t.Fatal(err)
	}
	w.mac = veth.HardwareAddr.String()
	w.t.Cleanup(func() { w.node.Close(); w.node6.Close(); w.udp.Close() })
	for _, l := range []net.Listener{w.node, w.node6} {
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				go answer(c)
			}
		}()
	}
}

// want tells the workload to do something and checks what it says.
func (w *world) want(command, answer string) {
	w.t.Helper()
	fmt.Fprintln(w.in, command)
	line, err := w.out.ReadString('\n')
	if err != nil || !strings.Contains(line, answer) {
		w.t.Errorf("%s: %q, %v; want %q", command, line, err, answer)
	}
}

// received says whether the node got a datagram.
func (w *world) received(within time.Duration) bool {
	_ = w.udp.SetReadDeadline(time.Now().Add(within))
	_, _, err := w.udp.ReadFrom(make([]byte, 10))
	return err == nil
}

// reach dials the workload from the node.
func (w *world) reach(address string, within time.Duration) error {
	c, err := net.DialTimeout("tcp", address, within)
	if err == nil {
		defer c.Close()
		_, _ = c.Write([]byte("x"))
		_, err = io.ReadFull(c, make([]byte, 1))
	}
	return err
}

// connected checks that everything works, and cut that nothing does.
func (w *world) connected() {
	w.t.Helper()
	for _, dial := range []string{"dial tcp 10.99.0.1:80", "dial tcp [fd99::1]:80", "dial tcp 127.0.0.1:80", "dial tcp [::1]:80", "dial udp 10.99.0.1:53"} {
		w.want(dial, "ok")
	}
	if !w.received(5 * time.Second) {
		w.t.Error("the datagram did not come")
	}
	for _, address := range []string{"10.99.0.2:81", "[fd99::2]:81"} {
		if err := w.reach(address, 5*time.Second); err != nil {
			w.t.Error(err)
		}
	}
}

func (w *world) isCut() {
	w.t.Helper()
	for _, dial := range []string{"dial tcp 10.99.0.1:80", "dial tcp [fd99::1]:80", "dial udp 10.99.0.1:53"} {
		w.want(dial, "operation not permitted")
	}
	w.want("dial tcp 127.0.0.1:80", "ok")
	w.want("dial tcp [::1]:80", "ok")
}

func TestCut(t *testing.T) {
	w := newWorld(t)
	w.connected()
	w.want("frame "+w.mac+" 10.99.0.1:53", "ok")
	if !w.received(5 * time.Second) {
		t.Fatal("the frame did not come")
	}
	w.want("open 10.99.0.1:80", "ok")
	w.want("write before", "ok")

	cut, err := New(Config{Cgroup: w.cgroup.CgroupPath, PIDs: []int{w.pid, w.pid, 1 << 30}})
	if err != nil {
		t.Fatal(err)
	}
	w.isCut()
	for _, address := range []string{"10.99.0.2:81", "[fd99::2]:81"} {
		if err := w.reach(address, 100*time.Millisecond); err == nil {
			t.Errorf("%s is reached", address)
		}
	}
	before, err := cut.Counts()
	if err != nil {
		t.Fatal(err)
	}
	// Neither an open connection nor a packet socket gets anything out.
	w.want("write after", "ok")
	w.want("frame "+w.mac+" 10.99.0.1:53", "")
	if w.received(100 * time.Millisecond) {
		t.Error("a frame of a packet socket came through")
	}
	after, err := cut.Counts()
	if err != nil {
		t.Fatal(err)
	}
	if before.Calls < 3 || before.In < 2 || after.Out < before.Out+2 {
		t.Errorf("refused: %+v, then %+v", before, after)
	}
	if len(cut.Interfaces) != 1 || cut.Interfaces[0] != "eth0" {
		t.Errorf("interfaces: %v", cut.Interfaces)
	}
	ids := linkIDs(t, cut)
	if err := cut.Close(); err != nil {
		t.Fatal(err)
	}
	w.connected()
	for _, id := range ids {
		if l, err := link.NewFromID(id); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("link %d is left: %v, %v", id, l, err)
		}
	}
}

func linkIDs(t *testing.T, c *Cut) (ids []link.ID) {
	for _, l := range c.links {
		info, err := l.Info()
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, info.ID)
	}
	if len(ids) != 8 {
		t.Errorf("%d links, want 6 at the cgroup and 2 at the interface", len(ids))
	}
	return ids
}

func TestPeers(t *testing.T) {
	w := newWorld(t)
	cut, err := New(Config{Cgroup: w.cgroup.CgroupPath, PIDs: []int{w.pid}, Peers: []netip.Addr{netip.MustParseAddr("10.99.0.1"), netip.MustParseAddr("fd99::1")}})
	if err != nil {
		t.Fatal(err)
	}
	defer cut.Close()
	for _, address := range []string{"10.99.0.2:81", "[fd99::2]:81"} {
		if err := w.reach(address, 5*time.Second); err != nil {
			t.Errorf("a probe of %s: %v", address, err)
		}
	}
	w.isCut()
	w.want("frame "+w.mac+" 10.99.0.1:53", "")
	if w.received(100 * time.Millisecond) {
		t.Error("a frame of a packet socket came through")
	}
}

// TestAgentKilled: a cut does not outlive the process that made it.
func TestAgentKilled(t *testing.T) {
	w := newWorld(t)
	agent := exec.Command("/proc/self/exe", w.cgroup.CgroupPath)
	agent.Env = append(os.Environ(), "SEAWALL_TEST_ROLE=agent")
	out, err := agent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := agent.Start(); err != nil {
		t.Fatal(err)
	}
	if line, _ := bufio.NewReader(out).ReadString('\n'); line != "cut <nil>\n" {
		t.Errorf("the agent says %q", line)
	}
	w.isCut()
	_ = agent.Process.Kill()
	_ = agent.Wait()
	// The kernel frees the links some time after the process.
	for range 500 {
		if fmt.Fprintln(w.in, "dial tcp 10.99.0.1:80"); strings.HasPrefix(readLine(w.out), "ok") {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	w.connected()
}

func readLine(r *bufio.Reader) string {
	line, _ := r.ReadString('\n')
	return line
}

func TestErrors(t *testing.T) {
	testenv.Root(t)
	c := enforcetest.New(t)
	for name, cfg := range map[string]Config{
		"no cgroup":  {Cgroup: filepath.Join(t.TempDir(), "none")},
		"no process": {Cgroup: c.CgroupPath, PIDs: []int{1 << 30}},
	} {
		if cut, err := New(cfg); err == nil {
			cut.Close()
			t.Errorf("%s: no error", name)
		}
	}
	// The agent's own network is never cut.
	cut, err := New(Config{Cgroup: c.CgroupPath, PIDs: []int{os.Getpid()}})
	if err != nil {
		t.Fatal(err)
	}
	if len(cut.Interfaces) > 0 {
		t.Errorf("cut the test's own %v", cut.Interfaces)
	}
	if err := cut.Close(); err != nil {
		t.Error(err)
	}
}

// TestObject: the committed object is that of the source.
func TestObject(t *testing.T) {
	clang := testenv.Tool(t, "clang")
	strip := testenv.Tool(t, "llvm-strip")
	if version, _ := exec.Command(clang, "--version").Output(); !bytes.Contains(version, []byte("clang version 14.")) {
		t.Skipf("filter.o is made by clang 14, not %.60s", version)
	}
	source, err := os.ReadFile("filter.go")
	if err != nil {
		t.Fatal(err)
	}
	_, command, _ := strings.Cut(string(source), `//go:generate sh -c "`)
	command, _, _ = strings.Cut(command, `"`)
	made := filepath.Join(t.TempDir(), "filter.o")
	command = strings.ReplaceAll(strings.ReplaceAll(command, "filter.o", made), "llvm-strip", strip)
	if out, err := exec.Command("sh", "-c", command).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if got, err := os.ReadFile(made); err != nil || !bytes.Equal(got, object) {
		t.Errorf("filter.o is not of bpf/filter.c (%v): go generate ./internal/enforce/filter", err)
	}
}
