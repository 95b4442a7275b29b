package engine_test

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/source"
	"github.com/seawall-security/seawall/internal/source/engine"
	"github.com/seawall-security/seawall/internal/source/sourcetest"
	"github.com/seawall-security/seawall/internal/testenv"
)

// startPodman runs podman's service with storage of its own, an image loaded, and returns its socket.
func startPodman(t *testing.T) string {
	t.Helper()
	podman := testenv.Tool(t, "podman")
	testenv.Root(t)
	dir := t.TempDir()
	socket := filepath.Join(dir, "p.sock")
	args := func(more ...string) []string {
		return append([]string{"--root", filepath.Join(dir, "root"), "--runroot", filepath.Join(dir, "run"), "--tmpdir", filepath.Join(dir, "tmp"),
			"--storage-driver", "vfs", "--cgroup-manager", "cgroupfs", "--events-backend", "none"}, more...)
	}
	archive := filepath.Join(dir, "image.tar")
	if err := tarball.WriteToFile(archive, name.MustParseReference("example.com/app:v1").(name.Tag), sourcetest.Image(t, "amd64")); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), podman, args("load", "-q", "-i", archive)...).CombinedOutput(); err != nil {
		t.Fatalf("podman load: %v\n%s", err, out)
	}
	cmd := exec.Command(podman, args("system", "service", "--time", "0", "unix://"+socket)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	var log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		_ = cmd.Wait()
		// podman bind-mounts its storage onto itself.
		for _, sub := range []string{"root/vfs", "root/overlay", "root"} {
			_ = syscall.Unmount(filepath.Join(dir, sub), syscall.MNT_DETACH)
		}
	})
	waitFor(t, socket, &log)
	return socket
}

func waitFor(t *testing.T, socket string, log *bytes.Buffer) {
	t.Helper()
	for range 200 {
		if c, err := net.Dial("unix", socket); err == nil {
			c.Close()
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatalf("no service at %s: %s", socket, log)
}

func env(vars map[string]string) func(string) string {
	return func(k string) string { return vars[k] }
}

func TestPodman(t *testing.T) {
	socket := startPodman(t)
	op := engine.Opener{Env: env(map[string]string{"DOCKER_HOST": "unix://" + socket})}
	target, err := op.Open(t.Context(), "example.com/app:v1", source.Options{Offline: true})
	if err != nil {
		t.Fatal(err)
	}
	defer target.Close()
	sourcetest.WantContent(t, target, "amd64")
	a := target.Asset()
	config, err := sourcetest.Image(t, "amd64").ConfigName()
	if err != nil {
		t.Fatal(err)
	}
	if a.ID != config.String() || !cmp.Equal(a.Image.RepoTags, []string{"example.com/app:v1"}) {
		t.Errorf("asset = %s %v, want %s", a.ID, a.Image.RepoTags, config)
	}
	_, err = op.Open(t.Context(), "absent:v1", source.Options{})
	sourcetest.WantError(t, err, seawall.ErrUnreadable, "tried unix://"+socket, "docker.io/library/docker:absent:v1")
}

func TestUnreachable(t *testing.T) {
	dir := t.TempDir()
	dead := filepath.Join(dir, "docker.sock")
	l, err := net.Listen("unix", dead)
	if err != nil {
		t.Fatal(err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	l.Close()
	for _, tt := range []struct {
		name    string
		vars    map[string]string
		offline bool
		class   error
		words   []string
	}{
		{"dead socket", map[string]string{"XDG_RUNTIME_DIR": dir}, false, seawall.ErrUnreadable, []string{"tried", dead}},
		{"ssh", map[string]string{"DOCKER_HOST": "ssh://x"}, false, seawall.ErrUsage, []string{"only unix sockets", "docker save"}},
		{"tls", map[string]string{"DOCKER_HOST": "tcp://x:1", "DOCKER_TLS_VERIFY": "1"}, false, seawall.ErrUsage, []string{"only unix sockets"}},
		{"offline tcp", map[string]string{"DOCKER_HOST": "tcp://x:1"}, true, seawall.ErrUnreadable, []string{"offline"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := engine.Opener{Env: env(tt.vars)}.Open(t.Context(), "a:b", source.Options{Offline: tt.offline})
			sourcetest.WantError(t, err, tt.class, tt.words...)
		})
	}
}

// TestBrokenExport: an engine that dies while it exports gives an error, not half an image.
func TestBrokenExport(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	l, err := net.Listen("unix", filepath.Join(dir, "s"))
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/json") {
			_, _ = w.Write([]byte(`{"Id":"x"}`))
			return
		}
		_, _ = w.Write(sourcetest.Tar(t, sourcetest.File("a", "b"))[:600])
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	})}
	go func() { _ = s.Serve(l) }()
	defer s.Shutdown(context.Background())
	_, err = engine.Opener{Env: env(map[string]string{"DOCKER_HOST": "unix://" + l.Addr().String()})}.Open(t.Context(), "a:b", source.Options{})
	if !errors.Is(err, seawall.ErrUnreadable) && !errors.Is(err, seawall.ErrCorrupt) {
		t.Errorf("error = %v", err)
	}
	if left, _ := os.ReadDir(dir); len(left) != 1 {
		t.Errorf("left in TMPDIR: %v", left)
	}
}
