package syslog_test

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/sink/syslog"
	"github.com/seawall-security/seawall/internal/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }

func finding() *seawall.Finding {
	return &seawall.Finding{ID: "f1", Rule: "Shell in a container", Evidence: "sh\nran\x1b[31m in web", Status: seawall.StatusFail, Priority: "NOTICE", Severity: seawall.SeverityCritical,
		Time: "2026-11-21T09:00:00.5Z", Asset: "container:abc", Location: &seawall.Location{Resource: "Pod/shop/web-1"}, Incident: "i1"}
}

func encode(t *testing.T, address string, m seawall.Message) string {
	t.Helper()
	c, err := syslog.New(address)
	if err != nil {
		t.Fatal(err)
	}
	c.Hostname = "node-1"
	data, err := c.Encode(&m)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestEncode(t *testing.T) {
	text := fmt.Sprintf("seawall-agent %d - - Shell in a container: sh ran [31m in web [finding=f1 asset=container:abc resource=Pod/shop/web-1 incident=i1]", os.Getpid())
	if got, want := encode(t, "udp://host", seawall.Message{Finding: finding()}), "<37>1 2026-11-21T09:00:00.500000Z node-1 "+text; got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
	got := encode(t, "unix", seawall.Message{Finding: finding()})
	if !regexp.MustCompile(`^<37>Nov 21 \d\d:\d\d:\d\d seawall-agent\[\d+\]: Shell in a container: sh ran`).MatchString(got) {
		t.Error(got)
	}
	f := finding()
	f.Priority, f.Status = "", seawall.StatusPass
	if got := encode(t, "udp://host", seawall.Message{Finding: f}); got != "" {
		t.Error(got)
	}
	f.Status, f.Evidence = seawall.StatusFail, strings.Repeat("ä", 9000)
	if got := encode(t, "udp://host", seawall.Message{Finding: f}); !strings.HasPrefix(got, "<34>") || len(got) > 9000 {
		t.Errorf("%d bytes: %.40s", len(got), got)
	}
}

func TestAddresses(t *testing.T) {
	for _, bad := range []string{"udp://", "http://host", "host:514", "unix://host/path", "tcp://host/path", "udp://host:port"} {
		if _, err := syslog.New(bad); !errors.Is(err, seawall.ErrUsage) {
			t.Errorf("%s: %v", bad, err)
		}
	}
	for _, good := range []string{"udp://host", "tcp://[::1]:601", "tls://host", "unix", "unix:///run/log"} {
		if _, err := syslog.New(good); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
}

// A stream the receiver ended is noticed before messages go into the void.
func TestReconnect(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := syslog.New("tcp://" + l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for round := range 3 {
		if err := c.Deliver(t.Context(), [][]byte{[]byte("one"), []byte("three")}); err != nil {
			t.Fatal(err)
		}
		conn, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, len("3 one5 three"))
		if _, err := conn.Read(buf); err != nil || string(buf) != "3 one5 three" {
			t.Errorf("round %d: %q, %v", round, buf, err)
		}
		conn.Close()
	}
}

// rsyslog takes what we send over every transport, with time, level and program understood.
func TestRsyslog(t *testing.T) {
	dir := t.TempDir()
	daemon := startRsyslog(t, dir)
	for i, address := range []string{"udp://127.0.0.1:" + daemon.udp, "tcp://127.0.0.1:" + daemon.tcp, "unix://" + daemon.socket} {
		c, err := syslog.New(address)
		if err != nil {
			t.Fatal(err)
		}
		c.Hostname = "node-1"
		f := finding()
		f.ID = fmt.Sprint("number", i)
		data, err := c.Encode(&seawall.Message{Finding: f})
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Deliver(t.Context(), [][]byte{data}); err != nil {
			t.Fatal(err)
		}
		c.Close()
		line := daemon.line(t, f.ID)
		if !strings.HasPrefix(line, "auth|notice|seawall-agent|") || !strings.Contains(line, "Shell in a container: sh ran") {
			t.Errorf("%s: %s", address, line)
		}
	}
}

type rsyslog struct{ udp, tcp, socket, out string }

// line waits for the line that holds a text.
func (r *rsyslog) line(t *testing.T, text string) string {
	t.Helper()
	for {
		data, _ := os.ReadFile(r.out)
		for line := range strings.Lines(string(data)) {
			if strings.Contains(line, text) {
				return line
			}
		}
		select {
		case <-t.Context().Done():
			t.Fatalf("%s did not come", text)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func startRsyslog(t *testing.T, dir string) *rsyslog {
	t.Helper()
	var libraries []string
	for _, name := range []string{"libestr0", "libfastjson4", "liblognorm5"} {
		root, _ := testenv.Debian(t, name)
		found, _ := filepath.Glob(root + "/usr/lib/*-linux-gnu*")
		libraries = append(libraries, found...)
		if found, _ = filepath.Glob(root + "/lib/*-linux-gnu*"); len(found) > 0 {
			libraries = append(libraries, found...)
		}
	}
	root, _ := testenv.Debian(t, "rsyslog")
	modules, _ := filepath.Glob(root + "/usr/lib/*-linux-gnu*/rsyslog")
	if len(modules) == 0 {
		t.Fatal("the package has no modules")
	}
	r := &rsyslog{udp: freePort(t, "udp"), tcp: freePort(t, "tcp"), socket: filepath.Join(dir, "log"), out: filepath.Join(dir, "out")}
	conf := fmt.Sprintf(`module(load="imudp")
module(load="imtcp")
module(load="imuxsock" SysSock.Use="off")
input(type="imudp" address="127.0.0.1" port="%s")
input(type="imtcp" address="127.0.0.1" port="%s")
input(type="imuxsock" socket="%s" UseSysTimeStamp="off")
template(name="t" type="string" string="%%syslogfacility-text%%|%%syslogseverity-text%%|%%programname%%|%%timereported:::date-rfc3339%%|%%msg%%\n")
action(type="omfile" file="%s" template="t" asyncWriting="off" flushOnTXEnd="on")
`, r.udp, r.tcp, r.socket, r.out)
	name := filepath.Join(dir, "rsyslog.conf")
	if err := os.WriteFile(name, []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(filepath.Join(root, "usr/sbin/rsyslogd"), "-n", "-f", name, "-i", filepath.Join(dir, "pid"), "-M", modules[0])
	cmd.Env = append(os.Environ(), "LD_LIBRARY_PATH="+strings.Join(libraries, ":"))
	log, err := os.Create(filepath.Join(dir, "stderr"))
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() {
		cmd.Process.Kill()
		<-ended
		log.Close()
	})
	for {
		if _, err := os.Stat(r.socket); err == nil {
			if conn, err := net.Dial("tcp", "127.0.0.1:"+r.tcp); err == nil {
				conn.Close()
				return r
			}
		}
		select {
		case err := <-ended:
			ended <- err
			text, _ := os.ReadFile(log.Name())
			t.Fatalf("rsyslogd: %v\n%s", err, text)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func freePort(t *testing.T, network string) string {
	t.Helper()
	var addr net.Addr
	if network == "udp" {
		c, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		addr = c.LocalAddr()
	} else {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		addr = l.Addr()
	}
	_, port, _ := net.SplitHostPort(addr.String())
	return port
}
