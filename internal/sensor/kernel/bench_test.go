package kernel

import (
	"context"
	"os"
	"os/exec"
	"testing"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/sensor/trace"
	"github.com/seawall-security/seawall/internal/testenv"
)

// watched runs a sensor, which sees this process too, for as long as a benchmark lasts.
func watched(b *testing.B, filter seawall.EventFilter) {
	b.Helper()
	testenv.Root(b)
	started := make(chan struct{})
	s, err := New(Config{Rate: -1, Started: func() error { close(started); return nil }})
	if err != nil {
		b.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx, filter, func(*trace.Event) {}) }()
	stats, err := EnableStats()
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		stats.Close()
		for name, p := range map[string]*ebpf.Program{"call": s.objects.SysExit, "exec": s.objects.ProcessExec, "fork": s.objects.ProcessFork, "exit": s.objects.ProcessExit} {
			if st, err := p.Stats(); err == nil && st.RunCount > 0 {
				b.ReportMetric(float64(st.Runtime.Nanoseconds())/float64(st.RunCount), "BPF-ns/"+name)
			}
		}
		stop()
		if err := <-done; err != nil {
			b.Error(err)
		}
		s.Close()
	})
	<-started
	var settings sensorSettings
	if err := s.objects.Config.Lookup(uint32(0), &settings); err != nil {
		b.Fatal(err)
	}
	settings.Own = 0
	if err := s.objects.Config.Put(uint32(0), settings); err != nil {
		b.Fatal(err)
	}
}

// What the sensor adds to a system call: one it does not know, one that no rule
// wants, one whose path no rule wants, one that is told.
func BenchmarkCall(b *testing.B) {
	getppid := func() { unix.Getppid() }
	kill := func() { _ = unix.Kill(os.Getpid(), 0) }
	open := func() {
		if fd, err := unix.Open("/etc/hostname", unix.O_RDONLY, 0); err == nil {
			unix.Close(fd)
		}
	}
	limited := &seawall.PathFilter{Prefixes: []string{"/var/run/secrets", "/etc/shadow"}, Suffixes: []string{"/id_rsa", ".kdbx"}}
	for _, c := range []struct {
		name   string
		call   func()
		filter *seawall.EventFilter
	}{
		{"getppid/without", getppid, nil},
		{"getppid/unknown", getppid, &seawall.EventFilter{}},
		{"kill/without", kill, nil},
		{"kill/unwanted", kill, &seawall.EventFilter{Types: []string{}}},
		{"kill/told", kill, &seawall.EventFilter{Types: []string{"kill"}}},
		{"open+close/without", open, nil},
		{"open+close/filtered", open, &seawall.EventFilter{Types: []string{"openat"}, Reads: limited}},
		{"open+close/told", open, &seawall.EventFilter{Types: []string{"openat"}}},
	} {
		b.Run(c.name, func(b *testing.B) {
			if c.filter != nil {
				watched(b, *c.filter)
			}
			for b.Loop() {
				c.call()
			}
		})
	}
}

// What the sensor adds to the start and end of a program.
func BenchmarkExec(b *testing.B) {
	for _, name := range []string{"without", "with"} {
		b.Run(name, func(b *testing.B) {
			if name == "with" {
				watched(b, seawall.EventFilter{Types: []string{}})
			}
			for b.Loop() {
				if err := exec.Command("/bin/true").Run(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
