package process

import (
	"bufio"
	"os"
	"os/exec"
	"testing"
)

// TestLive: what no event has told yet is seen.
func TestLive(t *testing.T) {
	cmd := exec.Command("bash", "-c", "sleep 60 & echo; wait")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	tree := New(Config{})
	p := tree.Live(uint32(cmd.Process.Pid))
	if p == nil || p.Comm != "bash" || p.Start == 0 || p.Parent == nil || p.Parent.PID != uint32(os.Getpid()) {
		t.Fatalf("%+v", p)
	}
	if len(tree.byPID) != 0 {
		t.Error("the tree has grown")
	}
	// A parent that has ended is the tree's to know.
	ended := &Process{PID: 4_000_000, Comm: "gone", Ended: true, Program: unknown}
	tree.insert(&Process{PID: p.PID, Start: p.Start + 3, Parent: ended, Program: unknown})
	if q := tree.Live(p.PID); q.Parent != ended || q.Start != p.Start+3 {
		t.Errorf("%+v", q)
	}
	if q := tree.Live(1 << 30); q != nil {
		t.Errorf("no process: %+v", q)
	}
}
