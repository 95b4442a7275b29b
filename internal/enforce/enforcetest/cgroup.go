// Package enforcetest gives tests of enforcement cgroups of their own, so that
// nothing but what a test started is ever harmed.
package enforcetest

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/testenv"
)

// Cgroup is a cgroup v2 directory that looks like a container's.
type Cgroup struct {
	seawall.Subject
	dir *os.File
}

// New makes a cgroup that is removed, with its processes, when the test ends.
func New(t testing.TB) *Cgroup {
	t.Helper()
	testenv.Root(t)
	var id [32]byte
	_, _ = rand.Read(id[:])
	c := &Cgroup{Subject: seawall.Subject{Container: &seawall.Container{ID: hex.EncodeToString(id[:])}}}
	c.CgroupPath = filepath.Join(mount(t), c.Container.ID)
	if err := os.Mkdir(c.CgroupPath, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.remove(t) })
	var err error
	if c.dir, err = os.Open(c.CgroupPath); err != nil {
		t.Fatal(err)
	}
	var info syscall.Stat_t
	if err := syscall.Fstat(int(c.dir.Fd()), &info); err != nil {
		t.Fatal(err)
	}
	c.Cgroup = info.Ino
	return c
}

// mount is where the machine's cgroup v2 tree is.
func mount(t testing.TB) string {
	data, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(data)) {
		if f := strings.Fields(line); len(f) > 2 && f[2] == "cgroup2" {
			return f[1]
		}
	}
	t.Fatal("no cgroup v2 is mounted")
	return ""
}

// Command is a command that will run in the cgroup.
func (c *Cgroup) Command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(c.dir.Fd())}
	return cmd
}

// Start runs a command in the cgroup; it is ended with the test. The channel
// gives what became of it.
func (c *Cgroup) Start(t testing.TB, name string, args ...string) (*exec.Cmd, <-chan error) {
	t.Helper()
	cmd := c.Command(name, args...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait(); close(done) }()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		for range done { // until it is closed
		}
	})
	return cmd, done
}

func (c *Cgroup) remove(t testing.TB) {
	if c.dir != nil {
		c.dir.Close()
	}
	for range 500 {
		_ = os.WriteFile(filepath.Join(c.CgroupPath, "cgroup.kill"), []byte("1"), 0)
		if err := os.Remove(c.CgroupPath); err == nil || errors.Is(err, fs.ErrNotExist) {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("cgroup %s cannot be removed", c.CgroupPath)
}
