package privilege_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/seawall-security/seawall/internal/agent/privilege"
	"github.com/seawall-security/seawall/internal/testenv"
)

func TestMain(m *testing.M) {
	if os.Getenv("PRIVILEGE_CHILD") != "" {
		child()
		return
	}
	os.Exit(m.Run())
}

// child gives up and prints the state of every thread, and what it can still do.
func child() {
	if err := privilege.Keep([]int{unix.CAP_KILL, unix.CAP_SYS_PTRACE}); err != nil {
		if errors.Is(err, errors.ErrUnsupported) {
			fmt.Println("unsupported")
			return
		}
		panic(err)
	}
	tasks, _ := filepath.Glob("/proc/self/task/*/status")
	for _, name := range tasks {
		data, _ := os.ReadFile(name)
		for line := range strings.Lines(string(data)) {
			if strings.HasPrefix(line, "Cap") || strings.HasPrefix(line, "NoNewPrivs") {
				fmt.Print(line)
			}
		}
	}
	fmt.Println("chown:", os.Chown(os.Args[0], 1, 1) != nil)
}

func TestKeep(t *testing.T) {
	testenv.Root(t)
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "PRIVILEGE_CHILD=1")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if string(out) == "unsupported\n" {
		t.Skip("built with cgo")
	}
	mask := fmt.Sprintf("%016x", 1<<unix.CAP_KILL|1<<unix.CAP_SYS_PTRACE)
	want := map[string]string{"CapInh:": strings.Repeat("0", 16), "CapPrm:": mask, "CapEff:": mask, "CapBnd:": mask, "CapAmb:": strings.Repeat("0", 16), "NoNewPrivs:": "1", "chown:": "true"}
	threads := 0
	for line := range strings.Lines(string(out)) {
		f := strings.Fields(line)
		if want[f[0]] != f[1] {
			t.Errorf("%s %s, want %s", f[0], f[1], want[f[0]])
		}
		if f[0] == "CapEff:" {
			threads++
		}
	}
	if threads < 2 {
		t.Errorf("%d threads were looked at:\n%s", threads, out)
	}
}
