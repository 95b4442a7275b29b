package all

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seawall-security/seawall/internal/enforce"
	"github.com/seawall-security/seawall/internal/enforce/enforcetest"
	"github.com/seawall-security/seawall/internal/enforce/pod"
	"github.com/seawall-security/seawall/internal/enforce/process"
	"github.com/seawall-security/seawall/internal/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// TestDo: every action of a policy's run phase has its actor, and each does what it says.
func TestDo(t *testing.T) {
	c := enforcetest.New(t)
	state := t.TempDir()
	e, err := New(Config{State: state})
	if err != nil {
		t.Fatal(err)
	}
	one, oneDone := c.Start(t, "sleep", "60")
	_, restDone := c.Start(t, "sleep", "60")
	subject := c.Subject
	subject.PID = one.Process.Pid
	if subject.Start, err = process.Started(one.Process.Pid); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{enforce.Capture, enforce.Isolate, enforce.Release, enforce.KillProcess} {
		if o := e.Do(t.Context(), enforce.Action{Name: name, Subject: subject}); o.Err != nil || o.Detail == "" {
			t.Errorf("%s: %+v", name, o)
		}
	}
	<-oneDone
	select {
	case <-restDone:
		t.Error("kill-process ended another process")
	default:
	}
	if o := e.Do(t.Context(), enforce.Action{Name: enforce.KillContainer, Subject: subject}); o.Err != nil {
		t.Errorf("%+v", o)
	}
	<-restDone
	if left, _ := filepath.Glob(filepath.Join(state, "captures", "*.tar.gz")); len(left) != 1 {
		t.Errorf("bundles: %v", left)
	}
	if o := e.Do(t.Context(), enforce.Action{Name: enforce.DeletePod, Subject: subject}); o.Err == nil || !strings.Contains(o.Err.Error(), "cannot be carried out here") {
		t.Errorf("without an API server: %+v", o)
	}
	if err := e.Close(); err != nil {
		t.Error(err)
	}
	e, err = New(Config{State: state, Pods: &pod.Config{Server: "https://127.0.0.1:1"}})
	if err != nil || !e.Can(enforce.DeletePod) || e.Can("mutate") {
		t.Errorf("with an API server: %v", err)
	}
	if err := e.Close(); err != nil {
		t.Error(err)
	}
}

func TestDamagedState(t *testing.T) {
	state := t.TempDir()
	if err := os.WriteFile(filepath.Join(state, "quarantines.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	e, err := New(Config{State: state})
	if err == nil || e == nil || !strings.Contains(err.Error(), "quarantines.json") {
		t.Fatalf("%v, %v", e, err)
	}
	if err := e.Close(); err != nil {
		t.Error(err)
	}
}
