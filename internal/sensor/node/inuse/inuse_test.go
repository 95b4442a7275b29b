package inuse

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	reader "github.com/seawall-security/seawall/internal/detect/inuse"
	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/sensor/identity"
	"github.com/seawall-security/seawall/internal/sensor/node"
	"github.com/seawall-security/seawall/internal/sensor/trace"
	"github.com/seawall-security/seawall/internal/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// known is an Identity of containers by cgroup.
type known map[uint64]*identity.Container

func (k known) Lookup(cgroup uint64, _ uint32) (*identity.Container, bool) { return k[cgroup], true }
func (known) Learn(uint64, string)                                         {}
func (known) Path(uint64) string                                           { return "" }
func (known) Resolved() <-chan struct{}                                    { return nil }

// scripted is a sensor that emits events.
type scripted []*trace.Event

func (s scripted) Run(_ context.Context, _ seawall.EventFilter, emit func(*trace.Event)) error {
	for _, e := range s {
		emit(e)
	}
	return nil
}

// record runs events through a stream into a recorder.
func record(t *testing.T, r *Recorder, containers known, events ...*trace.Event) *seawall.InUse {
	t.Helper()
	s, err := node.New(node.Config{Node: "n1", Identity: containers, Proc: t.TempDir(), Clock: trace.NewClock(time.Unix(1_800_000_000, 0), 0)})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Run(t.Context(), scripted(events), seawall.EventFilter{}, r.Observe); err != nil {
		t.Fatal(err)
	}
	return r.Recording(time.Unix(1_800_000_100, 0))
}

func container(id, digest string, created time.Time) *identity.Container {
	c := &identity.Container{Known: true, ImageID: "sha256:config-" + digest, ImageNames: []string{"example.org/" + digest + ":1"}, ImageDigests: []string{"sha256:" + digest}, Created: created.UnixNano()}
	c.ID, c.Digest = id, "sha256:"+digest
	return c
}

func act(kind trace.Type, cgroup uint64, path string, more trace.Event) *trace.Event {
	more.Type, more.FD, more.NewFD = kind, 3, -1
	more.Task.PID, more.Task.TID, more.Task.Cgroup, more.Task.Start = uint32(cgroup), uint32(cgroup), cgroup, 1
	more.File = trace.File{Path: path, Kind: trace.KindFile, Inode: 1}
	if more.Path == "" {
		more.Path = path
	}
	return &more
}

func TestRecording(t *testing.T) {
	since := time.Unix(1_800_000_000, 0)
	younger := since.Add(time.Second)
	sandbox := container("p", "pause", younger)
	sandbox.Sandbox = true
	containers := known{1: container("a", "web", younger), 2: container("b", "web", younger), 3: container("c", "old", since.Add(-time.Hour)), 4: sandbox}
	code := trace.Event{Prot: unix.PROT_READ | unix.PROT_EXEC}
	got := record(t, New("n1", since), containers,
		act(trace.Execve, 1, "/usr/bin/python3.11", trace.Event{Path: "/app/serve"}),
		act(trace.Mmap, 1, "/usr/lib/libssl.so.3", code),
		act(trace.Mmap, 1, "/usr/share/data.bin", trace.Event{Prot: unix.PROT_READ}),
		act(trace.Openat, 1, "/app/main.py", trace.Event{}),
		act(trace.Openat, 1, "/app/lib/__pycache__/util.cpython-311.pyc", trace.Event{}),
		act(trace.Openat, 1, "/app/written.py", trace.Event{OpFlags: unix.O_WRONLY | unix.O_CREAT}),
		act(trace.Openat, 1, "/app/absent.py", trace.Event{Ret: -2}),
		act(trace.Openat, 1, "/etc/passwd", trace.Event{}),
		act(trace.Execve, 2, "/usr/bin/tar", trace.Event{}),
		act(trace.Openat, 2, "/app/packed.js", trace.Event{}), // by tar
		act(trace.Execve, 3, "/usr/bin/java", trace.Event{}),
		act(trace.Openat, 3, "/app/app.jar", trace.Event{}),
		act(trace.Execve, 4, "/pause", trace.Event{}),
		act(trace.Execve, 5, "/usr/bin/host", trace.Event{}),
	)
	want := &seawall.InUse{
		SchemaVersion: "seawall.in-use/v1", Node: "n1", Since: since.UTC(), Until: since.Add(100 * time.Second).UTC(), Covers: []string{"executables", "libraries", "archives", "scripts"},
		Images: []seawall.InUseImage{
			{Digest: "sha256:old", Digests: []string{"sha256:old", "sha256:config-old"}, Names: []string{"example.org/old:1"}, Since: since.UTC(), Covers: []string{"executables", "libraries"}, Files: []string{"/app/app.jar", "/usr/bin/java"}},
			{Digest: "sha256:web", Digests: []string{"sha256:web", "sha256:config-web"}, Names: []string{"example.org/web:1"}, Since: since.UTC(),
				Files: []string{"/app/lib/util.py", "/app/main.py", "/app/serve", "/usr/bin/python3.11", "/usr/bin/tar", "/usr/lib/libssl.so.3"}},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// TestReadable: what is written, a scan reads.
func TestReadable(t *testing.T) {
	since := time.Unix(1_800_000_000, 0)
	r := New("n1", since)
	record(t, r, known{1: container("a", "web", since.Add(time.Second))}, act(trace.Execve, 1, "/usr/bin/curl", trace.Event{}))
	var b bytes.Buffer
	if err := r.Write(&b, since.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	back, err := reader.Read(&b)
	if err != nil {
		t.Fatal(err)
	}
	if back.Node != "n1" || !back.Since.Equal(since) || len(back.Images) != 1 || back.Images[0].Digest != "sha256:web" || !cmp.Equal(back.Images[0].Files, []string{"/usr/bin/curl"}) {
		t.Errorf("%+v", back)
	}
}

// TestBounds: more files and images than are kept are left out, and the recording says so of the files.
func TestBounds(t *testing.T) {
	since := time.Unix(1_800_000_000, 0)
	containers := known{}
	var events []*trace.Event
	for i := range uint64(maxImages + 3) {
		containers[i+1] = container(fmt.Sprint(i), fmt.Sprint("image", i), since.Add(time.Second))
		events = append(events, act(trace.Execve, i+1, "/bin/x", trace.Event{}))
	}
	for i := range maxFiles + 3 {
		events = append(events, act(trace.Mmap, 1, fmt.Sprint("/lib/", i), trace.Event{Prot: unix.PROT_EXEC}))
	}
	got := record(t, New("n1", since), containers, events...)
	if len(got.Images) != maxImages {
		t.Errorf("%d images", len(got.Images))
	}
	for _, image := range got.Images {
		if first := image.Digest == "sha256:image0"; first != image.Truncated || first && len(image.Files) != maxFiles {
			t.Errorf("%s: truncated %v, %d files", image.Digest, image.Truncated, len(image.Files))
		}
	}
}

// TestOlder: of a container that is older than the recording, what its processes have mapped is found.
func TestOlder(t *testing.T) {
	testenv.Root(t)
	dir := t.TempDir()
	sleep := exec.Command(testenv.Tool(t, "sleep"), "60")
	if err := sleep.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = sleep.Process.Kill(); _ = sleep.Wait() }()
	for range 200 { // until it has become sleep and its loader has done its work
		if maps, _ := os.ReadFile(fmt.Sprintf("/proc/%d/maps", sleep.Process.Pid)); bytes.Contains(maps, []byte("/libc")) {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if err := os.WriteFile(filepath.Join(dir, "cgroup.procs"), fmt.Appendf(nil, "%d\n1000000000\n", sleep.Process.Pid), 0o600); err != nil {
		t.Fatal(err)
	}
	c := container("c", "old", time.Unix(1, 0))
	c.CgroupPath = dir
	got := record(t, New("n1", time.Unix(1_800_000_000, 0)), known{3: c}, act(trace.Execve, 3, "/usr/bin/date", trace.Event{}))
	if len(got.Images) != 1 {
		t.Fatalf("%+v", got)
	}
	files := got.Images[0].Files
	isLibc := func(f string) bool { return strings.Contains(f, "/libc.so") || strings.Contains(f, "/libc-") }
	if !slices.Contains(files, "/usr/bin/date") || !slices.ContainsFunc(files, isLibc) || !slices.ContainsFunc(files, func(f string) bool { return strings.HasSuffix(f, "/sleep") }) {
		t.Errorf("%q", files)
	}
}

func TestFilter(t *testing.T) {
	if got := Filter(seawall.EventFilter{}); !got.Maps || got.Types != nil || got.Reads != nil || got.Writes != nil {
		t.Errorf("of everything: %+v", got)
	}
	given := seawall.EventFilter{Types: []string{"connect"}}
	got := Filter(given)
	if !slices.Contains(got.Types, "mmap") || !slices.Contains(got.Types, "openat") || len(given.Types) != 1 || got.Writes == nil || len(got.Writes.Suffixes) > 0 || got.Reads == nil || !slices.Contains(got.Reads.Suffixes, ".jar") {
		t.Errorf("%+v", got)
	}
	given = seawall.EventFilter{Types: []string{"openat"}, Reads: &seawall.PathFilter{Suffixes: []string{"/shadow"}}}
	got = Filter(given)
	if !slices.Contains(got.Reads.Suffixes, "/shadow") || !slices.Contains(got.Reads.Suffixes, ".py") || len(given.Reads.Suffixes) != 1 || got.Writes != nil {
		t.Errorf("%+v", got)
	}
}

// FuzzMapped: whatever maps hold, files are absolute.
func FuzzMapped(f *testing.F) {
	f.Add("55d0c0000000-55d0c0002000 r-xp 00002000 08:01 1234                       /usr/bin/cat\n7f-80 r--p 0 0 0 /x\n7f-80 r-xp 0 0 0 [vdso]\n")
	if self, err := os.ReadFile("/proc/self/maps"); err == nil {
		f.Add(string(self))
	}
	f.Fuzz(func(t *testing.T, text string) {
		mapped(strings.NewReader(text), func(file string) {
			if !strings.HasPrefix(file, "/") || !strings.Contains(text, file) {
				t.Errorf("%q", file)
			}
		})
	})
}
