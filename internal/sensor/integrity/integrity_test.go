package integrity

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }

func now() time.Time { return time.Date(2026, 11, 21, 9, 0, 0, 0, time.UTC) }

// host makes a host's file system with some files below /etc and /bin.
func host(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range map[string]string{
		"etc/passwd": "root", "etc/ssh/sshd_config": "x", "etc/cache/a": "1", "bin/su": "su", "bin/ls": "ls", "var/log": "no",
	} {
		file := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("passwd", filepath.Join(root, "etc/link")); err != nil {
		t.Fatal(err)
	}
	return root
}

func take(t *testing.T, root string) *Baseline {
	t.Helper()
	b, err := Take(t.Context(), Config{Trees: []string{"/etc", "/bin", "/gone"}, Root: root, Exclude: []string{"/etc/cache"}}, now())
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func sh(t *testing.T, dir, command string) {
	t.Helper()
	cmd := exec.Command("sh", "-ec", command)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", command, err, out)
	}
}

func brief(changes []Change) (out []string) {
	for _, c := range changes {
		out = append(out, strings.TrimSpace(c.Rule+" "+c.Path+" "+strings.Join(c.What, ",")))
	}
	return out
}

func TestCompare(t *testing.T) {
	root := host(t)
	before := take(t, root)
	var file bytes.Buffer
	if err := before.Write(&file); err != nil {
		t.Fatal(err)
	}
	read, err := Read(&file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, read); diff != "" {
		t.Error(diff)
	}
	if changes := Compare(read, take(t, root)); len(changes) > 0 {
		t.Errorf("nothing was done: %+v", changes)
	}
	// The same size and time: only the content differs.
	sh(t, root, `touch -r etc/passwd stamp; printf toor > etc/passwd; touch -r stamp etc/passwd
		chmod 4755 bin/su; rm bin/ls; echo new > etc/new; ln -sfn /evil etc/link; rm etc/ssh/sshd_config; mkfifo etc/ssh/sshd_config; echo 2 > etc/cache/a; mkdir gone; touch gone/x`)
	changes := Compare(read, take(t, root))
	want := []string{
		"SW-FIM-004 /bin/ls", "SW-FIM-002 /bin/su mode", "SW-FIM-001 /etc/link target", "SW-FIM-003 /etc/new",
		"SW-FIM-001 /etc/passwd content", "SW-FIM-001 /etc/ssh/sshd_config type,content", "SW-FIM-003 /gone", "SW-FIM-003 /gone/x",
	}
	if diff := cmp.Diff(want, brief(changes)); diff != "" {
		t.Error(diff)
	}
	severity := map[string]seawall.Severity{}
	for _, c := range changes {
		f := c.Finding("node:n", now(), nil)
		severity[c.Path] = f.Severity
		if f.ID == "" || f.Kind != seawall.KindIntegrity || f.Location.Path != c.Path || f.Status != seawall.StatusFail {
			t.Errorf("%+v", f)
		}
	}
	if severity["/bin/su"] != seawall.SeverityCritical || severity["/etc/passwd"] != seawall.SeverityHigh || severity["/etc/new"] != seawall.SeverityMedium {
		t.Errorf("%v", severity)
	}
}

// TestUnread: what could not be read is never unchanged.
func TestUnread(t *testing.T) {
	root := host(t)
	before := take(t, root)
	large := filepath.Join(root, "etc/passwd")
	if err := os.Truncate(large, maxFile+1); err != nil {
		t.Fatal(err)
	}
	after, err := Take(t.Context(), Config{Trees: before.Trees, Root: root, Exclude: before.Exclude}, now())
	var unread seawall.Incomplete
	if !errors.As(err, &unread) || len(unread) != 1 {
		t.Fatalf("%v", err)
	}
	changes := Compare(before, after)
	if diff := cmp.Diff([]string{"SW-FIM-005 /etc/passwd"}, brief(changes)); diff != "" {
		t.Fatal(diff)
	}
	if f := changes[0].Finding("a", now(), nil); f.Status != seawall.StatusNotEvaluated || f.Reason == "" {
		t.Errorf("%+v", f)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Take(ctx, Config{Trees: before.Trees, Root: root}, now()); !errors.Is(err, context.Canceled) {
		t.Errorf("canceled: %v", err)
	}
}

// event is an event of the kernel sensor.
type event struct {
	kind   string
	fields map[string]any
}

func (e event) EventType() string     { return e.kind }
func (e event) Event() *seawall.Event { return &seawall.Event{Type: e.kind, Fields: e.fields} }
func (e event) Value(r *seawall.FieldRef, i int, v *seawall.Value) bool {
	switch x := e.fields[r.Name].(type) {
	case string:
		*v = seawall.Value{Text: x}
	case int:
		*v = seawall.Value{Number: int64(x)}
	default:
		return false
	}
	return i == 0
}

func did(kind, field, path string) event {
	return event{kind, map[string]any{field: path, "proc.name": "vi", "proc.exepath": "/usr/bin/vi", "proc.cmdline": "vi x", "user.name": "eve", "container.id": "host", "evt.is_open_write": 1}}
}

func TestWatch(t *testing.T) {
	root := host(t)
	w := NewWatch(take(t, root), root, "node:n", time.Second)
	sh(t, root, "echo evil >> etc/passwd; chmod 4755 bin/su; rm bin/ls; echo a > etc/cache/a; chmod 600 etc/new 2>/dev/null || true")
	inContainer := did("chmod", "fs.path.name", "/etc/passwd")
	inContainer.fields["container.id"] = "0123456789ab"
	reads := did("openat", "fd.name", "/etc/ssh/sshd_config")
	reads.fields["evt.is_open_write"] = 0
	refused := did("unlink", "fs.path.name", "/etc/link")
	refused.fields["evt.failed"] = 1
	for _, e := range []event{
		did("openat", "fd.name", "/etc/passwd"), did("fchmodat", "fs.path.name", "/bin/su"), did("unlinkat", "fs.path.name", "/bin/../bin/ls"),
		did("openat", "fd.name", "/etc/cache/a"), did("openat", "fd.name", "/var/log"), did("execve", "fd.name", "/etc/link"), did("openat", "fd.name", "/etc/never"),
		inContainer, reads, refused,
	} {
		w.Observe(e, now())
	}
	if len(w.pending) != 4 {
		t.Errorf("pending: %v", w.pending)
	}
	w.Check(t.Context(), now().Add(time.Second/2))
	if found, _ := w.Findings(); len(found) > 0 {
		t.Errorf("before they settled: %v", found)
	}
	w.Check(t.Context(), now().Add(time.Second))
	found, lost := w.Findings()
	titles := map[string]bool{}
	for _, f := range found {
		titles[f.Title] = true
		if f.Actor.User != "eve" || f.Event == nil || !strings.Contains(f.Evidence, "vi x") || f.Time != "2026-11-21T09:00:00Z" {
			t.Errorf("%+v", f)
		}
	}
	want := map[string]bool{"/etc/passwd was changed: content by vi": true, "/bin/su was changed: mode by vi": true, "/bin/ls was removed by vi": true}
	if diff := cmp.Diff(want, titles); diff != "" || lost != 0 {
		t.Errorf("%d lost, %s", lost, diff)
	}
	// Told once: as it is now is what it is compared with.
	w.Observe(did("openat", "fd.name", "/etc/passwd"), now())
	w.Check(t.Context(), now().Add(time.Hour))
	if found, _ := w.Findings(); len(found) > 0 {
		t.Errorf("told again: %v", found)
	}
}

func TestWatchBounds(t *testing.T) {
	w := NewWatch(&Baseline{Trees: []string{"/etc"}}, t.TempDir(), "a", 0)
	for i := range maxPending + 5 {
		w.Observe(did("unlink", "fs.path.name", fmt.Sprintf("/etc/%d", i)), now())
	}
	if _, lost := w.Findings(); lost != 5 || len(w.pending) != maxPending {
		t.Errorf("%d pending, %d lost", len(w.pending), lost)
	}
}

func TestErrors(t *testing.T) {
	for _, c := range []Config{{Trees: []string{"etc"}}, {Trees: []string{"/etc/../x"}}, {Trees: []string{"/"}, Exclude: []string{"["}}} {
		if _, err := Take(t.Context(), c, now()); !errors.Is(err, seawall.ErrUsage) {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte(`{"schemaVersion":"seawall.integrity/v1","time":"t","trees":["/etc"],"entries":[{"path":"/etc","type":"directory","mode":493,"uid":0,"gid":0}]}`))
	f.Add([]byte(`{"schemaVersion":"seawall.integrity/v1","entries":[{"path":"b"},{"path":"a"}]}`))
	f.Add([]byte(`{}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		b, err := Read(bytes.NewReader(data))
		if (b == nil) == (err == nil) {
			t.Fatalf("%v, %v", b, err)
		}
		if err == nil && len(Compare(b, b)) > 0 {
			for _, c := range Compare(b, b) {
				if c.Rule != RuleUnread {
					t.Fatalf("differs from itself: %+v", c)
				}
			}
		}
	})
}

func BenchmarkTake(b *testing.B) {
	cfg := Config{Trees: []string{"/usr/bin"}}
	for b.Loop() {
		taken, err := Take(b.Context(), cfg, now())
		var unread seawall.Incomplete
		if err != nil && !errors.As(err, &unread) {
			b.Fatal(err)
		}
		bytes := int64(0)
		for _, e := range taken.Entries {
			bytes += e.Size
		}
		b.SetBytes(bytes)
	}
}

// BenchmarkObserve is an event of another tree, as nearly all are.
func BenchmarkObserve(b *testing.B) {
	w := NewWatch(&Baseline{Trees: Trees()}, "", "a", time.Second)
	e := did("openat", "fd.name", "/var/log/syslog")
	b.ReportAllocs()
	for b.Loop() {
		w.Observe(e, now())
	}
}
