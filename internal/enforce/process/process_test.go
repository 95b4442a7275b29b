package process

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/seawall-security/seawall/internal/enforce"
	"github.com/seawall-security/seawall/internal/enforce/enforcetest"
	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }

func killed(err error) bool {
	var exit *exec.ExitError
	return errors.As(err, &exit) && exit.Sys().(syscall.WaitStatus).Signal() == syscall.SIGKILL
}

func TestProcess(t *testing.T) {
	c := enforcetest.New(t)
	cmd, done := c.Start(t, "sleep", "60")
	started, err := Started(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	k := &Killer{}
	target := c.Subject
	target.PID = cmd.Process.Pid
	// Neither without the start time nor with that of an older process of the same number.
	for _, wrong := range []uint64{0, started - tick, started + tick} {
		target.Start = wrong
		if err := k.Process(t.Context(), &enforce.Action{Subject: target}).Err; !errors.Is(err, enforce.ErrIdentity) && !errors.Is(err, enforce.ErrGone) {
			t.Errorf("started %v: %v", wrong, err)
		}
	}
	select {
	case err := <-done:
		t.Fatalf("the process ended for another one's sake: %v", err)
	default:
	}
	target.Start = started + 3_000_000 // the kernel's own is finer
	if err := k.Process(t.Context(), &enforce.Action{Subject: target}).Err; err != nil {
		t.Fatal(err)
	}
	if err := <-done; !killed(err) {
		t.Errorf("it ended by %v", err)
	}
	if err := k.Process(t.Context(), &enforce.Action{Subject: target}).Err; !errors.Is(err, enforce.ErrGone) {
		t.Errorf("killing it again: %v", err)
	}
}

func TestProtected(t *testing.T) {
	c := enforcetest.New(t)
	sleep, err := exec.LookPath("sleep")
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(sleep)
	if err != nil {
		t.Fatal(err)
	}
	kubelet := filepath.Join(t.TempDir(), "kubelet")
	if err := os.WriteFile(kubelet, data, 0o755); err != nil {
		t.Fatal(err)
	}
	cmd, done := c.Start(t, kubelet, "60")
	k := &Killer{}
	for _, pid := range []int{cmd.Process.Pid, 1, 2, os.Getpid()} {
		started, err := Started(pid)
		if err != nil {
			t.Fatal(err)
		}
		err = k.Process(t.Context(), &enforce.Action{Subject: seawall.Subject{PID: pid, Start: max(started, 1)}}).Err
		if !errors.Is(err, enforce.ErrProtected) {
			t.Errorf("process %d: %v", pid, err)
		}
	}
	// In a container a program of that name is not the node's.
	started, _ := Started(cmd.Process.Pid)
	if err := k.Process(t.Context(), &enforce.Action{Subject: seawall.Subject{PID: cmd.Process.Pid, Start: started, Container: c.Container}}).Err; err != nil {
		t.Error(err)
	}
	<-done
}

func TestContainer(t *testing.T) {
	for _, oneByOne := range []bool{false, true} {
		t.Run(fmt.Sprintf("one by one %t", oneByOne), func(t *testing.T) {
			c := enforcetest.New(t)
			other := enforcetest.New(t)
			_, spared := other.Start(t, "sleep", "60")
			cmd := c.Command("sh", "-c", "sleep 60 & sleep 60 & (sleep 60 & echo ready; wait) & wait")
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			if line, _ := bufio.NewReader(out).ReadString('\n'); line != "ready\n" {
				t.Fatalf("said %q", line)
			}
			k := &Killer{}
			if oneByOne {
				err = k.drain(t.Context(), c.CgroupPath, true)
			} else {
				err = k.Container(t.Context(), &enforce.Action{Subject: c.Subject}).Err
			}
			if err != nil {
				t.Error(err)
			}
			if err := cmd.Wait(); !killed(err) {
				t.Errorf("it ended by %v", err)
			}
			if pids, err := Members(c.CgroupPath); len(pids) > 0 || err != nil {
				t.Errorf("left: %v, %v", pids, err)
			}
			select {
			case err := <-spared:
				t.Errorf("another container's process ended: %v", err)
			default:
			}
		})
	}
}

func FuzzParseStat(f *testing.F) {
	for _, seed := range []string{
		"1234 (a) b) S 1 1234 1234 0 -1 4194560 100 0 0 0 1 2 3 4 20 0 1 0 5678 1000 10 18446744073709551615",
		"2 (kthreadd) S 0 0 0 0 -1 2129984 0 0 0 0 0 0 0 0 20 0 1 0 3 0 0 18446744073709551615", "", ")", "1 (",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		started, _, err := parseStat(data)
		if started > 1<<62 || err != nil && started != 0 {
			t.Errorf("%q: %v, %v", data, started, err)
		}
	})
}
