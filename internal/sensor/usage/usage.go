// Package usage reads what a container has used of the machine: CPU time from its
// cgroup (v2, cpu.stat, which has it without the cpu controller, on hybrid machines
// too), sent bytes from the interfaces of its network namespace.
package usage

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/seawall-security/seawall/internal/seawall"
)

// ErrShared: the container has the node's network, whose bytes are not its own.
var ErrShared = errors.New("the node's network is not counted by container")

// maxFile bounds the files read.
const maxFile = 1 << 20

// CPU is the CPU time the processes of a cgroup and those below it have used.
func CPU(dir string) (time.Duration, error) {
	data, err := read(filepath.Join(dir, "cpu.stat"))
	if err != nil {
		return 0, err
	}
	return parseCPU(data)
}

func parseCPU(data []byte) (time.Duration, error) {
	for line := range strings.Lines(string(data)) {
		if value, ok := strings.CutPrefix(line, "usage_usec "); ok {
			n, err := strconv.ParseUint(strings.TrimSpace(value), 10, 64)
			if err != nil || n > 1<<53 {
				return 0, fmt.Errorf("usage_usec %.40q: %w", value, seawall.ErrCorrupt)
			}
			return time.Duration(n) * time.Microsecond, nil
		}
	}
	return 0, fmt.Errorf("cpu.stat has no usage_usec: %w", seawall.ErrCorrupt)
}

// Sent are the bytes that the interfaces of a process's network namespace have sent,
// loopback aside. It is ErrShared for the namespace of the calling process.
func Sent(pid int) (uint64, error) {
	own, err := os.Stat("/proc/self/ns/net")
	if err != nil {
		return 0, err
	}
	theirs, err := os.Stat(fmt.Sprintf("/proc/%d/ns/net", pid))
	if err != nil {
		return 0, err
	}
	if os.SameFile(own, theirs) {
		return 0, ErrShared
	}
	data, err := read(fmt.Sprintf("/proc/%d/net/dev", pid))
	if err != nil {
		return 0, err
	}
	return parseSent(data)
}

// parseSent reads /proc/net/dev: after an interface's name eight numbers of what was
// received, then eight of what was sent, bytes first.
func parseSent(data []byte) (sum uint64, err error) {
	for line := range bytes.Lines(data) {
		name, rest, ok := bytes.Cut(line, []byte(":"))
		if !ok || string(bytes.TrimSpace(name)) == "lo" {
			continue
		}
		fields := strings.Fields(string(rest))
		if len(fields) < 9 {
			return 0, fmt.Errorf("interface %.40q has %d numbers: %w", name, len(fields), seawall.ErrCorrupt)
		}
		n, err := strconv.ParseUint(fields[8], 10, 64)
		if err != nil {
			return 0, fmt.Errorf("interface %.40q: %w: %w", name, err, seawall.ErrCorrupt)
		}
		sum += n
	}
	return sum, nil
}

func read(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxFile))
}
