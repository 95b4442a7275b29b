package containerd_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"

	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/source"
	"github.com/seawall-security/seawall/internal/source/containerd"
	"github.com/seawall-security/seawall/internal/source/sourcetest"
	"github.com/seawall-security/seawall/internal/testenv"
)

// startContainerd runs Debian's containerd with everything it keeps below a
// directory of the test, without the CRI plugin.
func startContainerd(t *testing.T) (socket string, ctr func(args ...string)) {
	t.Helper()
	program, client := testenv.Tool(t, "containerd"), testenv.Tool(t, "ctr")
	testenv.Root(t)
	dir := t.TempDir()
	socket = filepath.Join(dir, "c.sock")
	config := filepath.Join(dir, "config.toml")
	if err := os.WriteFile(config, fmt.Appendf(nil, `version = 2
root = %q
state = %q
disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.internal.v1.opt"]
[grpc]
address = %q
[ttrpc]
address = %q
`, filepath.Join(dir, "root"), filepath.Join(dir, "state"), socket, socket+".ttrpc"), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "--config", config)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	var log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM)
		_ = cmd.Wait()
	})
	ready := func() bool { return exec.Command(client, "-a", socket, "version").Run() == nil }
	for i := 0; !ready(); i++ {
		if i == 100 {
			t.Fatalf("containerd did not start: %s", &log)
		}
		time.Sleep(100 * time.Millisecond)
	}
	return socket, func(args ...string) {
		t.Helper()
		if out, err := exec.Command(client, append([]string{"-a", socket}, args...)...).CombinedOutput(); err != nil {
			t.Fatalf("ctr %v: %v\n%s", args, err, out)
		}
	}
}

func TestContainerd(t *testing.T) {
	socket, ctr := startContainerd(t)
	img := sourcetest.Image(t, "amd64")
	dir := t.TempDir()
	p, err := layout.Write(dir, empty.Index)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.AppendImage(img, layout.WithAnnotations(map[string]string{"io.containerd.image.name": "docker.io/library/app:v1"})); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "image.tar")
	if out, err := exec.Command("tar", "-C", dir, "-cf", file, ".").CombinedOutput(); err != nil {
		t.Fatalf("tar: %v\n%s", err, out)
	}
	ctr("-n", "k8s.io", "images", "import", "--no-unpack", file)
	op := containerd.Opener{Socket: socket}
	digest, err := img.Digest()
	if err != nil {
		t.Fatal(err)
	}
	for _, ref := range []string{"docker.io/library/app:v1", "app:v1"} {
		target, err := op.Open(t.Context(), ref, source.Options{Offline: true})
		if err != nil {
			t.Fatal(err)
		}
		sourcetest.WantContent(t, target, "amd64")
		if target.Asset().ID != digest.String() {
			t.Errorf("ID = %s, want %s", target.Asset().ID, digest)
		}
		target.Close()
	}
	_, err = op.Open(t.Context(), "other:v1", source.Options{})
	sourcetest.WantError(t, err, seawall.ErrUnreadable, "default, k8s.io", "docker.io/library/app:v1 (in k8s.io)")
	_, err = op.Open(t.Context(), "app:v1", source.Options{Namespace: "default"})
	sourcetest.WantError(t, err, seawall.ErrUnreadable, "no such image in default")

	layers, err := img.Layers()
	if err != nil {
		t.Fatal(err)
	}
	gone, err := layers[1].Digest()
	if err != nil {
		t.Fatal(err)
	}
	ctr("-n", "k8s.io", "content", "rm", gone.String())
	target, err := op.Open(t.Context(), "app:v1", source.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer target.Close()
	_, err = sourcetest.Dump(t.Context(), target)
	sourcetest.WantError(t, err, seawall.ErrUnreadable, "layer 1", gone.String(), "discard_unpacked_layers")
}

func TestNoContainerd(t *testing.T) {
	_, err := containerd.Opener{Socket: filepath.Join(t.TempDir(), "absent.sock")}.Open(t.Context(), "a", source.Options{})
	sourcetest.WantError(t, err, seawall.ErrUnreadable, "absent.sock")
}
