package main

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"seawall-agent": func() { os.Exit(run()) }})
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script", UpdateScripts: os.Getenv("UPDATE_SCRIPTS") != "", RequireExplicitExec: true,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"await": await, "append": appendFile, "hangup": hangup},
	})
}

// await FILE PATTERN waits until a file matches.
func await(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: await FILE PATTERN")
	}
	for range 3000 {
		if matches(ts, args[0], args[1]) {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	text, _ := os.ReadFile(ts.MkAbs(args[0]))
	ts.Fatalf("%s has no %s:\n%s", args[0], args[1], text)
}

func matches(ts *testscript.TestScript, file, pattern string) bool {
	re, err := regexp.Compile(pattern)
	ts.Check(err)
	text, err := os.ReadFile(ts.MkAbs(file))
	return err == nil && re.Match(text)
}

// hangup sends SIGHUP to what runs in the background.
func hangup(ts *testscript.TestScript, neg bool, args []string) {
	for _, cmd := range ts.BackgroundCmds() {
		ts.Check(cmd.Process.Signal(syscall.SIGHUP))
	}
}

// append FILE OTHER [OUT PATTERN] appends a file to another one: once, or until OUT matches.
func appendFile(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 && len(args) != 4 {
		ts.Fatalf("usage: append FILE OTHER [OUT PATTERN]")
	}
	for range 300 {
		f, err := os.OpenFile(ts.MkAbs(args[0]), os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
		ts.Check(err)
		_, err = f.WriteString(ts.ReadFile(args[1]))
		ts.Check(err)
		ts.Check(f.Close())
		if len(args) == 2 {
			return
		}
		for range 10 {
			time.Sleep(10 * time.Millisecond)
			if matches(ts, args[2], args[3]) {
				return
			}
		}
	}
	ts.Fatalf("%s never had %s", args[2], args[3])
}

// The agent stays small: what it must never link (docs/adr/0001).
func TestDependencies(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, forbidden := range []string{
		"seawall/internal/inventory", "seawall/internal/advisory", "seawall/internal/store", "seawall/internal/policy/kube", "seawall/internal/source", "seawall/internal/scan",
		"k8s.io/client-go", "k8s.io/apiserver", "helm.sh/helm", "google.golang.org/grpc", "modernc.org", "github.com/google/go-containerregistry", "github.com/sigstore",
	} {
		if strings.Contains(string(out), forbidden) {
			t.Errorf("the agent links %s", forbidden)
		}
	}
}
