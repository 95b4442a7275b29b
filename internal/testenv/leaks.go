package testenv

import (
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

// Main runs the tests of a package whose work is concurrent and fails it when
// they leave goroutines or open files behind: func TestMain(m *testing.M) { testenv.Main(m) }.
// settle functions are run before the count, to close what libraries keep for later.
func Main(m *testing.M, settle ...func()) {
	files, goroutines := openFiles(), runtime.NumGoroutine()
	code := m.Run()
	// The fuzzing engine keeps goroutines of its own.
	fuzzing := flag.Lookup("test.fuzz")
	if code == 0 && (fuzzing == nil || fuzzing.Value.String() == "") {
		for _, f := range append(settle, http.DefaultClient.CloseIdleConnections) {
			f()
		}
		if left := leaks(files, goroutines); left != "" {
			fmt.Fprintln(os.Stderr, "left behind by the tests:", left)
			code = 1
		}
	}
	os.Exit(code)
}

// leaks gives what is on its way out time to go and returns what stays.
func leaks(files map[string]bool, goroutines int) string {
	var left []string
	for range 100 {
		left = nil
		for f := range openFiles() {
			if !files[f] {
				left = append(left, "open file "+f)
			}
		}
		if runtime.NumGoroutine() > goroutines {
			stacks := make([]byte, 1<<20)
			left = append(left, string(stacks[:runtime.Stack(stacks, true)]))
		}
		if left == nil {
			return ""
		}
		time.Sleep(20 * time.Millisecond)
	}
	return strings.Join(left, "\n")
}

// openFiles are the process's descriptors, each with what it is open on; none where there is no /proc.
// The runtime's own (epoll and its wake-up) are left out.
func openFiles() map[string]bool {
	found := map[string]bool{}
	fds, _ := filepath.Glob("/proc/self/fd/*")
	for _, fd := range fds {
		if to, err := os.Readlink(fd); err == nil && !strings.HasPrefix(to, "anon_inode:[event") {
			found[filepath.Base(fd)+" "+to] = true
		}
	}
	return found
}
