package usage

import (
	"errors"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/seawall-security/seawall/internal/enforce/enforcetest"
	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }

func TestCPU(t *testing.T) {
	c := enforcetest.New(t)
	before, err := CPU(c.CgroupPath)
	if err != nil {
		t.Fatal(err)
	}
	if out, err := c.Command("sh", "-c", "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	after, err := CPU(c.CgroupPath)
	if err != nil || after-before < 10*time.Millisecond {
		t.Errorf("%v, then %v, %v", before, after, err)
	}
	if _, err := CPU(t.TempDir()); err == nil {
		t.Error("no cgroup: no error")
	}
}

func TestSent(t *testing.T) {
	testenv.Root(t)
	ip := testenv.Tool(t, "ip")
	cmd := exec.Command("bash", "-c", `set -e
		`+ip+` link add v0 type veth peer name v1; `+ip+` link set v1 up; `+ip+` link set v0 up; `+ip+` addr add 10.98.0.1/24 dev v0
		`+ip+` neigh add 10.98.0.2 lladdr 02:00:00:00:00:02 dev v0
		for i in 1 2 3; do head -c 1000 /dev/zero > /dev/udp/10.98.0.2/9; done; echo ready; exec sleep 60`)
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	if _, err := out.Read(make([]byte, 6)); err != nil {
		t.Fatal(err)
	}
	if sent, err := Sent(cmd.Process.Pid); err != nil || sent < 3000 {
		t.Errorf("%d, %v", sent, err)
	}
	if _, err := Sent(os.Getpid()); !errors.Is(err, ErrShared) {
		t.Errorf("the own network: %v", err)
	}
}

func FuzzParsers(f *testing.F) {
	f.Add([]byte("usage_usec 1500\nuser_usec 1000\n"))
	f.Add([]byte("Inter-|   Receive\n face |bytes\n    lo: 1 1 0 0 0 0 0 0 1 1 0 0 0 0 0 0\n  eth0: 9 1 0 0 0 0 0 0 77 1 0 0 0 0 0 0\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if cpu, err := parseCPU(data); cpu < 0 || err != nil && (cpu != 0 || !errors.Is(err, seawall.ErrCorrupt)) {
			t.Errorf("%v, %v", cpu, err)
		}
		if sent, err := parseSent(data); err != nil && (sent != 0 || !errors.Is(err, seawall.ErrCorrupt)) {
			t.Errorf("%v, %v", sent, err)
		}
	})
}
