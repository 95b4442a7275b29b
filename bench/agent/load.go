package main

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// loadUser is the user of the loads: one that nothing else on the machine runs as.
const loadUser = 61234

// build compiles a package and what it needs from nothing.
func build() error {
	dir, err := os.MkdirTemp("", "seawall-bench-build-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	cmd := exec.Command("go", "build", "encoding/json")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOCACHE="+dir+"/cache", "GOPATH="+dir, "HOME="+dir, "GOTOOLCHAIN=local")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}

// makeLoad makes calls for some time, evenly spread over each millisecond, and prints how many.
func makeLoad(kind string, rate int, lasts time.Duration) error {
	runtime.LockOSThread()
	self := os.Getpid()
	call := map[string]func() error{
		"kill": func() error { return unix.Kill(self, 0) },
		"open": func() error {
			fd, err := unix.Open("/etc/hostname", unix.O_RDONLY|unix.O_CLOEXEC, 0)
			if err == nil {
				err = unix.Close(fd)
			}
			return err
		},
		"exec":  func() error { return exec.Command("/bin/true").Run() },
		"build": build,
	}[kind]
	if call == nil {
		return fmt.Errorf("no load %q", kind)
	}
	n := 0
	start := time.Now()
	for ; ; n++ {
		if n%64 == 0 || rate == 0 || rate < 64_000 {
			passed := time.Since(start)
			if passed >= lasts {
				break
			}
			if rate > 0 && n > int(passed.Seconds()*float64(rate)) {
				time.Sleep(time.Millisecond)
			}
		}
		if err := call(); err != nil {
			return fmt.Errorf("%s: %w", kind, err)
		}
	}
	fmt.Println(n)
	return nil
}
