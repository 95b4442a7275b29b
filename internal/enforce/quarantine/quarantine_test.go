package quarantine

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seawall-security/seawall/internal/enforce"
	"github.com/seawall-security/seawall/internal/enforce/enforcetest"
	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// talks says whether a process of a cgroup may send a datagram to an address that is nobody's.
func talks(t *testing.T, c *enforcetest.Cgroup) bool {
	t.Helper()
	cmd := c.Command(testenv.Tool(t, "bash"), "-c", "echo x > /dev/udp/198.51.100.1/9")
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !(errors.As(err, &exit) && strings.Contains(string(out), "Operation not permitted")) {
		// No route to it is no refusal: it may talk.
		return strings.Contains(string(out), "unreachable")
	}
	return err == nil
}

// pods notes what the API server was asked.
type pods struct {
	asked []string
	apart bool
	err   error
}

func (p *pods) Apart(context.Context, *seawall.Subject) (bool, error) { return p.apart, p.err }

func (p *pods) SetApart(_ context.Context, s *seawall.Subject, reason string) error {
	p.asked = append(p.asked, "apart "+s.Container.Pod+" "+reason)
	return p.err
}

func (p *pods) Return(_ context.Context, s *seawall.Subject) error {
	p.asked = append(p.asked, "return "+s.Container.Pod)
	return p.err
}

func TestQuarantine(t *testing.T) {
	c := enforcetest.New(t)
	c.Container.Pod, c.Container.PodUID = "web", "u-1"
	other := enforcetest.New(t)
	api := &pods{}
	file := filepath.Join(t.TempDir(), "quarantines.json")
	q := New(Config{Pods: api, File: file})
	defer q.Close()
	action := &enforce.Action{Subject: c.Subject, Policy: "p", Rule: "r"}
	if !talks(t, c) {
		t.Skip("this machine sends nothing to other machines")
	}
	for range 2 {
		if o := q.Isolate(t.Context(), action); o.Err != nil {
			t.Fatal(o.Err)
		}
	}
	if talks(t, c) || !talks(t, other) {
		t.Error("the wrong one is cut")
	}
	// The agent is started anew.
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
	if !talks(t, c) {
		t.Error("still cut")
	}
	q = New(Config{Pods: api, File: file})
	if err := q.Restore(); err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	if talks(t, c) {
		t.Error("not cut any more")
	}
	if diff := cmp.Diff([]*seawall.Container{c.Container}, q.Contained()); diff != "" {
		t.Error(diff)
	}
	// Another container of the pod stands for it.
	release := &enforce.Action{Subject: seawall.Subject{Container: &seawall.Container{ID: "other", Pod: "web", PodUID: "u-1"}}}
	if o := q.Release(t.Context(), release); o.Err != nil {
		t.Error(o.Err)
	}
	if o := q.Release(t.Context(), release); !errors.Is(o.Err, enforce.ErrGone) {
		t.Errorf("released again: %v", o.Err)
	}
	if !talks(t, c) {
		t.Error("still cut")
	}
	if diff := cmp.Diff([]string{"apart web p/r", "apart web p/r", "return web"}, api.asked); diff != "" {
		t.Error(diff)
	}
	if data, _ := os.ReadFile(file); string(data) != "[]" {
		t.Errorf("remembered: %s", data)
	}
}

// TestReleased: whoever takes the pod's label away releases it.
func TestReleased(t *testing.T) {
	c := enforcetest.New(t)
	c.Container.Pod = "web"
	api := &pods{apart: true}
	q := New(Config{Pods: api})
	defer q.Close()
	if o := q.Isolate(t.Context(), &enforce.Action{Subject: c.Subject}); o.Err != nil {
		t.Fatal(o.Err)
	}
	q.reconcile(t.Context())
	api.apart, api.err = false, errors.New("no route")
	q.reconcile(t.Context())
	if talks(t, c) {
		t.Error("released without anybody's wish")
	}
	api.err = nil
	q.reconcile(t.Context())
	if !talks(t, c) {
		t.Error("still cut")
	}
	if diff := cmp.Diff([]string{"apart web asked for", "return web"}, api.asked); diff != "" {
		t.Error(diff)
	}
}

// TestUnreachable: the network is cut whatever the API server says.
func TestUnreachable(t *testing.T) {
	c := enforcetest.New(t)
	c.Container.Pod = "web"
	q := New(Config{Pods: &pods{err: errors.New("no route")}})
	defer q.Close()
	if o := q.Isolate(t.Context(), &enforce.Action{Subject: c.Subject}); o.Err == nil || !strings.Contains(o.Err.Error(), "not set apart") {
		t.Errorf("%+v", o)
	}
	if talks(t, c) {
		t.Error("not cut")
	}
	if err := os.Remove(c.CgroupPath); err != nil {
		t.Fatal(err)
	}
	if left := q.Contained(); len(left) > 0 {
		t.Errorf("a container that is gone is kept: %v", left)
	}
}

func TestScope(t *testing.T) {
	const id, uid = "0123456789abcdef", "6f3c-41a2"
	for dir, want := range map[string]string{
		"/sys/fs/cgroup/kubepods/besteffort/pod" + uid + "/" + id:                                   "/sys/fs/cgroup/kubepods/besteffort/pod" + uid,
		"/sys/fs/cgroup/kubepods.slice/kubepods-pod6f3c_41a2.slice/cri-containerd-" + id + ".scope": "/sys/fs/cgroup/kubepods.slice/kubepods-pod6f3c_41a2.slice",
		"/sys/fs/cgroup/system.slice/docker-" + id + ".scope":                                       "/sys/fs/cgroup/system.slice/docker-" + id + ".scope",
	} {
		if got := scope(dir, &seawall.Container{ID: id, PodUID: uid}); got != want {
			t.Errorf("%s: %s, want %s", dir, got, want)
		}
	}
	if got := scope("/a/pod/"+id, &seawall.Container{ID: id}); got != "/a/pod/"+id {
		t.Errorf("without a pod: %s", got)
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{"[]", `[{"cgroup":"/a","inode":3,"container":{"id":"0123456789ab"},"reason":"r"}]`, `[{}]`, "{", "null"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		all, err := parse(data)
		if err != nil && all != nil || len(all) > maxKept {
			t.Errorf("%q: %v, %v", data, all, err)
		}
		for _, k := range all {
			if k.Container == nil || k.Inode == 0 {
				t.Errorf("%q: %+v", data, k)
			}
		}
	})
}
