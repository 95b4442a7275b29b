package capture

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/seawall-security/seawall/internal/enforce"
	"github.com/seawall-security/seawall/internal/enforce/enforcetest"
	"github.com/seawall-security/seawall/internal/enforce/process"
	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// open reads a bundle, checks it against its manifest and returns its files.
func open(t *testing.T, path string) (map[string]string, Manifest) {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("%s has mode %v", path, info.Mode())
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	zip, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for r := tar.NewReader(zip); ; {
		h, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		files[h.Name] = string(data)
	}
	var m Manifest
	if err := json.Unmarshal([]byte(files["manifest.json"]), &m); err != nil {
		t.Fatal(err)
	}
	if len(m.Files) != len(files)-1 {
		t.Errorf("the manifest names %d of %d files", len(m.Files), len(files)-1)
	}
	for _, f := range m.Files {
		if sum := sha256.Sum256([]byte(files[f.Name])); hex.EncodeToString(sum[:]) != f.SHA256 || int64(len(files[f.Name])) != f.Size {
			t.Errorf("%s is not what the manifest says", f.Name)
		}
	}
	return files, m
}

func TestContainer(t *testing.T) {
	c := enforcetest.New(t)
	c.Container.Pod = "web"
	other := enforcetest.New(t)
	foreign, _ := other.Start(t, "sleep", "60")
	dir := t.TempDir()
	evidence := filepath.Join(dir, "evidence")
	ip := testenv.Tool(t, "ip")
	cmd := c.Command("bash", "-c", ip+" link set lo up; exec 7>"+evidence+"; sleep 61 & echo ready; while true; do echo x > /dev/udp/127.0.0.1/9; sleep 0.01; done")
	cmd.SysProcAttr.Cloneflags = syscall.CLONE_NEWNET
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "PASSWORD=hunter2"}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	if line, _ := bufio.NewReader(out).ReadString('\n'); line != "ready\n" {
		t.Fatalf("said %q", line)
	}
	bundles := New(Config{Dir: filepath.Join(dir, "bundles"), Packets: 100 * time.Millisecond, Now: func() time.Time { return time.Unix(1795250000, 5) }})
	action := enforce.Action{Subject: c.Subject, Policy: "p", Rule: "r", Finding: &seawall.Finding{ID: "f-1"}, Events: []seawall.Event{{Type: "execve"}, {Type: "connect"}}}
	o := bundles.Capture(t.Context(), &action)
	if o.Err != nil {
		t.Fatal(o.Err)
	}
	files, m := open(t, o.Path)
	if m.Time != "2026-11-21T08:33:20Z" || m.Rule != "r" || m.Container.Pod != "web" || m.Finding.ID != "f-1" {
		t.Errorf("%+v", m)
	}
	if files["events.jsonl"] != "{\"time\":\"\",\"type\":\"execve\"}\n{\"time\":\"\",\"type\":\"connect\"}\n" {
		t.Errorf("events: %q", files["events.jsonl"])
	}
	var all []Process
	if err := json.Unmarshal([]byte(files["processes.json"]), &all); err != nil {
		t.Fatal(err)
	}
	shell := slices.IndexFunc(all, func(p Process) bool { return p.PID == cmd.Process.Pid })
	if shell < 0 {
		t.Fatalf("%+v", all)
	}
	p := all[shell]
	if p.Name != "bash" || p.Started == 0 || !slices.Contains(p.Environment, "PASSWORD") || !slices.Contains(p.Open, Open{"7", evidence}) || p.CommandLine[0] != "bash" {
		t.Errorf("%+v", p)
	}
	if !slices.ContainsFunc(all, func(p Process) bool { return p.Parent == cmd.Process.Pid }) {
		t.Error("the child is not there")
	}
	if slices.ContainsFunc(all, func(p Process) bool { return p.PID == foreign.Process.Pid }) {
		t.Error("another container's process is there")
	}
	for name, want := range map[string]string{fmt.Sprintf("proc/%d/maps", p.PID): "[heap]", "mountinfo": " / ", "net/udp": "local_address"} {
		if !strings.Contains(files[name], want) {
			t.Errorf("%s: %.200q", name, files[name])
		}
	}
	for name, data := range files {
		if strings.Contains(data, "hunter2") {
			t.Errorf("%s has a secret of the environment", name)
		}
	}
	if packets := files["packets.pcap"]; len(packets) < 100 || binary.LittleEndian.Uint32([]byte(packets)) != 0xa1b23c4d {
		t.Errorf("packets: %.40q, %v", packets, m.Incomplete)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "bundles", "*.part")); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

func TestHost(t *testing.T) {
	c := enforcetest.New(t)
	cmd, _ := c.Start(t, "sleep", "60")
	started, err := process.Started(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	bundles := New(Config{Dir: t.TempDir()})
	subject := seawall.Subject{PID: cmd.Process.Pid, Start: started}
	o := bundles.Capture(t.Context(), &enforce.Action{Subject: subject})
	if o.Err != nil {
		t.Fatal(o.Err)
	}
	files, _ := open(t, o.Path)
	for _, pid := range []int{cmd.Process.Pid, os.Getpid(), 1} {
		if files[fmt.Sprintf("proc/%d/status", pid)] == "" {
			t.Errorf("process %d is not there", pid)
		}
	}
	subject.Start += 1e9
	if o := bundles.Capture(t.Context(), &enforce.Action{Subject: subject}); !errors.Is(o.Err, enforce.ErrGone) {
		t.Errorf("a later process of that number: %v", o.Err)
	}
}

func TestBounds(t *testing.T) {
	dir := t.TempDir()
	for i := range maxBundles {
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("capture-%d.tar.gz", i)), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	started, err := process.Started(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	action := &enforce.Action{Subject: seawall.Subject{PID: os.Getpid(), Start: started}}
	if o := New(Config{Dir: dir}).Capture(t.Context(), action); !errors.Is(o.Err, seawall.ErrBound) {
		t.Errorf("%v", o.Err)
	}
	b := newBundle(io.Discard)
	b.add("a", make([]byte, maxFile+7))
	if b.manifest.Files[0].Size != maxFile || !strings.Contains(b.manifest.Incomplete[0], "a: 7 bytes") {
		t.Errorf("%+v", b.manifest)
	}
}

func TestAppendPacket(t *testing.T) {
	out := appendPacket(pcapHeader(), time.Unix(3, 4), []byte("abc"), 70000)
	want := append([]byte{0x4d, 0x3c, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 1, 0, 0, 0},
		3, 0, 0, 0, 4, 0, 0, 0, 3, 0, 0, 0, 0x70, 0x11, 1, 0, 'a', 'b', 'c')
	if !bytes.Equal(out, want) {
		t.Errorf("%x\n%x", out, want)
	}
}
