package auditlog_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seawall-security/seawall/internal/sensor/auditlog"
)

// follower runs a Tail.
type follower struct {
	events, damaged chan string
	stop            func() error
}

func follow(t *testing.T, tail *auditlog.Tail) *follower {
	t.Helper()
	f := &follower{events: make(chan string, 1000), damaged: make(chan string, 1000)}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	tail.Every = time.Millisecond
	go func() {
		ended <- tail.Run(ctx, func(e *auditlog.Entry) { f.events <- e.AuditID }, func(d *auditlog.Damaged) { f.damaged <- d.Err.Error() })
	}()
	f.stop = func() error { cancel(); return <-ended }
	return f
}

func (f *follower) next(t *testing.T, n int) (out []string) {
	t.Helper()
	for range n {
		select {
		case id := <-f.events:
			out = append(out, id)
		case <-t.Context().Done():
			t.Fatalf("only %q came", out)
		}
	}
	return out
}

func auditLine(id any) string {
	return fmt.Sprintf(`{"kind":"Event","apiVersion":"audit.k8s.io/v1","auditID":"%v","stage":"ResponseComplete","verb":"get"}`+"\n", id)
}

func appendTo(t *testing.T, name, text string) {
	t.Helper()
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(text); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// Every line is told once: over partial writes, rotation both ways, and a restart.
func TestTail(t *testing.T) {
	dir := t.TempDir()
	log, cursor := filepath.Join(dir, "audit.log"), filepath.Join(dir, "cursor")
	appendTo(t, log, auditLine("old"))
	f := follow(t, &auditlog.Tail{Path: log, Cursor: cursor})
	for { // the end of what is old was found
		if _, err := os.Stat(cursor); err == nil {
			break
		}
		time.Sleep(time.Millisecond)
	}
	var got []string
	line := auditLine(1)
	appendTo(t, log, line[:20])
	appendTo(t, log, line[20:]+"nonsense\n"+auditLine(2))
	got = append(got, f.next(t, 2)...)
	if bad := <-f.damaged; !strings.Contains(bad, "invalid character") {
		t.Error(bad)
	}
	if err := os.Rename(log, log+".1"); err != nil {
		t.Fatal(err)
	}
	appendTo(t, log+".1", auditLine(3)) // the writer has not noticed yet
	got = append(got, f.next(t, 1)...)
	appendTo(t, log, auditLine(4))
	got = append(got, f.next(t, 1)...)
	if err := os.Truncate(log, 0); err != nil {
		t.Fatal(err)
	}
	time.Sleep(20 * time.Millisecond) // a file that is cut and grows past the old size at once cannot be told from one that grew
	appendTo(t, log, auditLine(5))
	got = append(got, f.next(t, 1)...)
	if err := f.stop(); err != nil {
		t.Fatal(err)
	}
	appendTo(t, log, auditLine(6))
	f = follow(t, &auditlog.Tail{Path: log, Cursor: cursor})
	appendTo(t, log, auditLine(7))
	got = append(got, f.next(t, 2)...)
	if err := f.stop(); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"1", "2", "3", "4", "5", "6", "7"}, got); diff != "" {
		t.Error(diff)
	}
}

// A log that is made later is read from its beginning.
func TestTailWaits(t *testing.T) {
	log := filepath.Join(t.TempDir(), "audit.log")
	tail := &auditlog.Tail{Path: log}
	f := follow(t, tail)
	for !tail.Missing() {
		time.Sleep(time.Millisecond)
	}
	var text strings.Builder
	for i := range 500 {
		text.WriteString(auditLine(i))
	}
	if err := os.WriteFile(log+".new", []byte(text.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(log+".new", log); err != nil {
		t.Fatal(err)
	}
	for i, id := range f.next(t, 500) {
		if id != fmt.Sprint(i) {
			t.Fatalf("%d: %s", i, id)
		}
	}
	if tail.Missing() {
		t.Error("a file that was read is missing")
	}
	if err := f.stop(); err != nil {
		t.Fatal(err)
	}
	if err := (&auditlog.Tail{Path: filepath.Join(log, "x")}).Run(t.Context(), nil, nil); err == nil {
		t.Error("a file below a file")
	}
}
