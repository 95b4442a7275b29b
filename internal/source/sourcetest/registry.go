package sourcetest

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/seawall-security/seawall/internal/testenv"
)

// OpenRegistry runs Debian's docker-registry as it should not be: plain HTTP, no
// login, deletion on. It returns the address and the storage directory.
func OpenRegistry(t testing.TB) (host, data string) {
	t.Helper()
	program := testenv.Tool(t, "docker-registry")
	dir := t.TempDir()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	host = l.Addr().String()
	l.Close()
	data = filepath.Join(dir, "data")
	config := fmt.Sprintf("version: 0.1\nlog: {level: error}\nstorage: {filesystem: {rootdirectory: %s}, delete: {enabled: true}}\nhttp: {addr: %q}\n", data, host)
	if err := os.WriteFile(filepath.Join(dir, "config.yml"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, program, "serve", filepath.Join(dir, "config.yml"))
	cmd.Env = []string{"HOME=" + dir} // docker-registry takes REGISTRY_AUTH_FILE for a setting
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cancel(); _ = cmd.Wait() })
	for range 200 {
		if c, err := net.Dial("tcp", host); err == nil {
			c.Close()
			return host, data
		}
		time.Sleep(50 * time.Millisecond)
	}
	cancel()
	_ = cmd.Wait()
	t.Fatalf("docker-registry did not start: %s", &output)
	return "", ""
}
