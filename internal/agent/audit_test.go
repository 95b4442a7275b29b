package agent

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/seawall-security/seawall/internal/detect/rules"
	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/sensor/auditlog"
)

// entered is an event of a program that a runtime was asked to run.
type entered struct {
	happened
	args []string
}

func (e entered) Entered() []string { return e.args }

func entries(t *testing.T, texts ...string) (out []*auditlog.Entry) {
	t.Helper()
	for _, text := range texts {
		err := auditlog.Read(t.Context(), bytes.NewBufferString(text), func(e *auditlog.Entry) error { out = append(out, e); return nil }, func(d *auditlog.Damaged) error { return d })
		if err != nil {
			t.Fatal(err)
		}
	}
	return out
}

func execRequested(user string, when time.Time, stage string) string {
	return fmt.Sprintf(`{"kind":"Event","apiVersion":"audit.k8s.io/v1","auditID":"%s","stage":"%s","verb":"create","user":{"username":"%s"},"requestURI":"/api/v1/namespaces/shop/pods/web-1/exec?command=sh&command=-c&command=x&container=web","objectRef":{"resource":"pods","subresource":"exec","namespace":"shop","name":"web-1"},"responseStatus":{"code":101},"requestReceivedTimestamp":"%s","stageTimestamp":"%s"}`,
		user+when.String(), stage, user, when.Format(time.RFC3339Nano), when.Format(time.RFC3339Nano))
}

// Whoever asked for a shell is behind what it does, also when the kernel tells of the
// shell first; and what a policy asks for does not wait for the audit log.
func TestActorOfShell(t *testing.T) {
	feed, does := NewAuditLog(nil), &enforcer{}
	source, out := &scripted{events: make(chan Event)}, &kept{}
	now := time.Now().UTC()
	live := NewLive(LiveConfig{
		Node: "n1", Sources: []Source{source, feed}, Rules: loaded(t, "sh", killPolicy), Observers: []Observer{&Actors{}}, Enforcer: does, Outputs: []*Output{{Name: "test", Handler: out}},
	})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- live.Run(ctx) }()
	// The log is known, and has who deployed the workload.
	deployed := fmt.Sprintf(`{"kind":"Event","apiVersion":"audit.k8s.io/v1","auditID":"1","stage":"ResponseComplete","verb":"create","user":{"username":"alice"},"objectRef":{"resource":"deployments","namespace":"shop","name":"web"},"responseStatus":{"code":201},"stageTimestamp":"%s"}`, now.Format(time.RFC3339Nano))
	if err := feed.Feed(ctx, entries(t, deployed)); err != nil {
		t.Fatal(err)
	}
	shell := func(pid int, when time.Time) Event {
		e := &seawall.Event{Type: "execve", Time: when.Format(time.RFC3339Nano), Fields: map[string]any{"proc.name": "sh", "proc.cmdline": fmt.Sprint("sh ", pid)}}
		return entered{happened{rules.Recorded{Event: e}, seawall.Subject{PID: pid, Start: uint64(pid), Container: web()}}, []string{"sh", "-c", "x"}}
	}
	child := func(pid, parent int) Event {
		s := seawall.Subject{PID: pid, Start: uint64(pid), Container: web(), Lineage: []seawall.ProcessID{{PID: parent, Start: uint64(parent)}}}
		e := &seawall.Event{Type: "openat", Time: now.Format(time.RFC3339Nano), Fields: map[string]any{"proc.name": fmt.Sprint("child of ", parent), "fd.name": "/secret"}}
		return happened{rules.Recorded{Event: e}, s}
	}
	of := func(evidence string) seawall.Message {
		return out.wait(t, func(m *seawall.Message) bool { return m.Finding != nil && m.Finding.Evidence == evidence })
	}
	user := func(m seawall.Message) string {
		if m.Finding.Actor == nil {
			return ""
		}
		return m.Finding.Actor.User
	}
	// The kernel is first: the finding waits for the request, the kill does not.
	source.events <- shell(10, now)
	source.events <- child(11, 10)
	for done := false; !done; time.Sleep(time.Millisecond) {
		does.mu.Lock()
		done = len(does.did) >= 2
		does.mu.Unlock()
	}
	if err := feed.Feed(ctx, entries(t, execRequested("eve", now, "ResponseStarted"), execRequested("eve", now, "ResponseComplete"))); err != nil {
		t.Fatal(err)
	}
	if got := user(of("sh ran (sh 10)")); got != "eve" {
		t.Errorf("the shell is %q's", got)
	}
	if got := user(of("child of 10 read /secret")); got != "eve" {
		t.Errorf("its child is %q's", got)
	}
	// The request is first.
	if err := feed.Feed(ctx, entries(t, execRequested("mallory", now, "ResponseComplete"))); err != nil {
		t.Fatal(err)
	}
	source.events <- shell(20, now)
	if got := user(of("sh ran (sh 20)")); got != "mallory" {
		t.Errorf("the second shell is %q's", got)
	}
	// Nobody asked: it is told all the same.
	source.events <- shell(30, now.Add(-time.Hour))
	if got := user(of("sh ran (sh 30)")); got != "" {
		t.Errorf("the third shell is %q's", got)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if err := feed.Feed(t.Context(), nil); !errors.Is(err, seawall.ErrTransient) {
		t.Errorf("fed after the end: %v", err)
	}
	var last *seawall.Incident
	for i := range out.messages {
		if in := out.messages[i].Incident; in != nil {
			last = in
		}
	}
	if last == nil || last.Cause == nil || last.Cause.Shell.User != "eve" || last.Cause.DeployedBy == nil || last.Cause.DeployedBy.User != "alice" || last.Steps[1].Actor == nil {
		t.Fatalf("%+v", last)
	}
}
