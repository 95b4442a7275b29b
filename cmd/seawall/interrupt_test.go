package main

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/seawall-security/seawall/internal/testenv"
)

// TestInterrupt: a signal while a scan reads standard input or walks a layer
// ends it with status 3 and leaves nothing in TMPDIR.
func TestInterrupt(t *testing.T) {
	program := filepath.Join(t.TempDir(), "seawall")
	if out, err := exec.CommandContext(t.Context(), testenv.Tool(t, "go"), "build", "-o", program, ".").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	layout := hugeLayout(t)
	for _, signal := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		t.Run("spooling "+signal.String(), func(t *testing.T) {
			// What a pipe cannot hold has been read: the archive is being spooled.
			interrupt(t, signal, program, "docker-archive:-", func(_ *os.Process, stdin io.Writer) error {
				_, err := stdin.Write(make([]byte, 16<<20))
				return err
			})
		})
		t.Run("walking "+signal.String(), func(t *testing.T) {
			interrupt(t, signal, program, "oci:"+layout, func(p *os.Process, _ io.Writer) error { return readMuch(p) })
		})
	}
}

// interrupt runs a scan that cannot end by itself, and signals it once begun returns.
func interrupt(t *testing.T, signal os.Signal, program, target string, begun func(*os.Process, io.Writer) error) {
	t.Helper()
	tmp, home := t.TempDir(), t.TempDir()
	cmd := exec.CommandContext(t.Context(), program, "scan", "image", target)
	cmd.Env = append(os.Environ(), "TMPDIR="+tmp, "HOME="+home, "XDG_CACHE_HOME="+home)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	hung := time.AfterFunc(time.Minute, func() { _ = cmd.Process.Kill() }) // a guard, not a measure
	defer hung.Stop()
	if err := errors.Join(begun(cmd.Process, stdin), cmd.Process.Signal(signal)); err != nil {
		t.Error(err)
		_ = cmd.Process.Kill()
	}
	_ = cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != 3 {
		t.Errorf("%v, want status 3\n%s", cmd.ProcessState, &out)
	}
	if !bytes.Contains(out.Bytes(), []byte("interrupted")) {
		t.Errorf("it said %q", &out)
	}
	if left, err := os.ReadDir(tmp); err != nil || len(left) > 0 {
		t.Errorf("left in TMPDIR: %v, %v", left, err)
	}
}

// readMuch waits until a process has read more than there is besides the layer.
func readMuch(p *os.Process) error {
	for {
		raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/io", p.Pid))
		if err != nil {
			return err
		}
		m := regexp.MustCompile(`(?m)^rchar: (\d+)$`).FindSubmatch(raw)
		if m == nil {
			return fmt.Errorf("no count of bytes read: the scan has ended")
		}
		if n, err := strconv.ParseInt(string(m[1]), 10, 64); err != nil || n > 256<<20 {
			return err
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// hugeLayout is an OCI layout of one layer that holds a file of 32 GiB of zeros,
// which take no room on the disk. Its digest is wrong, which shows at the end only.
func hugeLayout(t *testing.T) string {
	t.Helper()
	const size = 32 << 30
	dir := t.TempDir()
	blobs := filepath.Join(dir, "blobs", "sha256")
	if err := os.MkdirAll(blobs, 0o700); err != nil {
		t.Fatal(err)
	}
	var header bytes.Buffer
	if err := tar.NewWriter(&header).WriteHeader(&tar.Header{Name: "zeros", Size: size, Format: tar.FormatGNU}); err != nil {
		t.Fatal(err)
	}
	write := func(path string, content []byte) {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	blob := func(content []byte) string {
		sum := fmt.Sprintf("%x", sha256.Sum256(content))
		write(filepath.Join(blobs, sum), content)
		return fmt.Sprintf(`{"digest":"sha256:%s","size":%d}`, sum, len(content))
	}
	layer := fmt.Sprintf("%064d", 0)
	write(filepath.Join(blobs, layer), header.Bytes())
	if err := os.Truncate(filepath.Join(blobs, layer), size+2048); err != nil {
		t.Fatal(err)
	}
	config := blob(fmt.Appendf(nil, `{"os":"linux","rootfs":{"type":"layers","diff_ids":["sha256:%s"]}}`, layer))
	manifest := blob(fmt.Appendf(nil, `{"schemaVersion":2,"config":%s,"layers":[{"digest":"sha256:%s","size":%d}]}`, config, layer, int64(size+2048)))
	write(filepath.Join(dir, "oci-layout"), []byte(`{"imageLayoutVersion":"1.0.0"}`))
	write(filepath.Join(dir, "index.json"), fmt.Appendf(nil, `{"schemaVersion":2,"manifests":[%s]}`, manifest))
	return dir
}
