package enforcetest

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// Shell is a shell in a cgroup and mounts of its own, as a container's: below Dir,
// where it starts, m is a tmpfs and o an overlay with the program old in its lower layer.
type Shell struct {
	*Cgroup
	t   testing.TB
	PID int
	In  io.Writer
	Out *bufio.Reader
	Dir string
}

// NewShell starts a shell that ends with the test.
func NewShell(t testing.TB) *Shell {
	t.Helper()
	s := &Shell{Cgroup: New(t), t: t, Dir: t.TempDir()}
	for _, dir := range []string{"m", "o", "lower", "upper", "work"} {
		if err := os.Mkdir(filepath.Join(s.Dir, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	cmd := s.Command("/bin/bash", "--norc")
	cmd.SysProcAttr.Unshareflags = syscall.CLONE_NEWNS // Go makes the mounts private
	cmd.Dir = s.Dir
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = cmd.Stdout
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { in.Close(); _ = cmd.Process.Kill(); _ = cmd.Wait() })
	s.PID, s.In, s.Out = cmd.Process.Pid, in, bufio.NewReader(out)
	s.Run("cp /bin/true lower/old && mount -t tmpfs tmpfs m && mount -t overlay overlay -olowerdir=$PWD/lower,upperdir=$PWD/upper,workdir=$PWD/work o")
	return s
}

// Run has the shell do something and returns what was said, the exit status last: "== 0".
func (s *Shell) Run(command string) string {
	s.t.Helper()
	fmt.Fprintf(s.In, "%s\necho \"== $?\"\n", command)
	var said strings.Builder
	for {
		line, err := s.Out.ReadString('\n')
		if err != nil {
			s.t.Fatalf("%s: %q, %v", command, said.String()+line, err)
		}
		if strings.HasPrefix(line, "== ") {
			return said.String() + strings.TrimSpace(line)
		}
		said.WriteString(line)
	}
}
