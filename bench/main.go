// Command bench measures seawall beside the physical limit and beside the peers
// found on PATH, as whole processes: wall time, CPU time, peak resident memory
// and bytes written. It prints a Markdown table for docs/guide/performance.md.
//
//	go run ./bench [-input DIR] [-runs N] [-seawall BINARY]
//
// DIR is what shared/bench-image/make-image made: an OCI layout (big/) and the
// tree it was made from (rootfs/). Rows of one section are run in turn, N rounds
// of them, and the round with the best wall time counts: a busy machine then
// disturbs all alike. Ratios are to the section's first row.
//
// "Inflate only" is the limit of a cold image scan: this program started again,
// inflating all layers at once with the same library and walking the tar
// streams, doing nothing with them.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

func main() {
	input := flag.String("input", "/tmp/bench", "what make-image made: big/ and rootfs/")
	runs := flag.Int("runs", 3, "rounds; the best counts")
	binary := flag.String("seawall", "bin/seawall", "the seawall binary to measure")
	inflate := flag.String("inflate", "", "only inflate and walk the layers of this OCI layout (used by bench itself)")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := error(nil)
	if *inflate != "" {
		err = inflateLayout(*inflate)
	} else {
		err = run(ctx, os.Stdout, *input, *binary, *runs)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// row is one program measured.
type row struct {
	name string
	args []string
	// before puts the world into its first state; not measured.
	before func() error
}

type section struct {
	title string
	rows  []row
}

// measure is one run of a program.
type measure struct {
	wall, cpu time.Duration
	rss       int64 // bytes
	written   int64 // bytes to block devices
}

func run(ctx context.Context, w io.Writer, input, binary string, runs int) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	if binary, err = filepath.Abs(binary); err != nil {
		return err
	}
	if _, err := os.Stat(binary); err != nil {
		return fmt.Errorf("%w (make build makes it)", err)
	}
	work, err := os.MkdirTemp("", "seawall-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	b := bench{seawall: binary, self: self, input: input, work: work}
	sections, err := b.sections()
	if err != nil {
		return err
	}
	for _, s := range sections {
		if err := s.measure(ctx, w, runs, work); err != nil {
			return err
		}
	}
	return nil
}

// measure runs the section's rows in turn and prints the best of each.
func (s section) measure(ctx context.Context, w io.Writer, runs int, work string) error {
	best := make([]measure, len(s.rows))
	for round := range runs {
		for i, r := range s.rows {
			m, err := r.measure(ctx, work)
			if err != nil {
				return fmt.Errorf("%s: %w", r.name, err)
			}
			if round == 0 || m.wall < best[i].wall {
				best[i] = m
			}
		}
	}
	fmt.Fprintf(w, "\n### %s\n\n| program | wall | CPU | peak RSS | written | wall × the first row |\n|---|--:|--:|--:|--:|--:|\n", s.title)
	for i, r := range s.rows {
		m := best[i]
		fmt.Fprintf(w, "| %s | %s | %s | %d MB | %d MB | %.2f |\n", r.name, round(m.wall), round(m.cpu), m.rss/1e6, m.written/1e6, float64(m.wall)/float64(best[0].wall))
	}
	return nil
}

func round(d time.Duration) time.Duration {
	if d < time.Second {
		return d.Round(100 * time.Microsecond)
	}
	return d.Round(10 * time.Millisecond)
}

// measure runs the program once. What it prints is thrown away, but shown when it fails.
func (r row) measure(ctx context.Context, work string) (measure, error) {
	if r.before != nil {
		if err := r.before(); err != nil {
			return measure{}, err
		}
	}
	cmd := exec.CommandContext(ctx, r.args[0], r.args[1:]...)
	cmd.Env = append(os.Environ(), "TMPDIR="+work)
	errors := &tail{}
	cmd.Stderr = errors
	start := time.Now()
	err := cmd.Run()
	wall := time.Since(start)
	if err != nil {
		return measure{}, fmt.Errorf("%w: %s", err, errors.kept)
	}
	usage := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	return measure{
		wall: wall, cpu: cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime(),
		rss: usage.Maxrss << 10, written: usage.Oublock * 512,
	}, nil
}

// tail keeps the end of what is written to it.
type tail struct{ kept []byte }

func (t *tail) Write(p []byte) (int, error) {
	t.kept = append(t.kept, p...)
	t.kept = t.kept[max(0, len(t.kept)-2000):]
	return len(p), nil
}

var errNoInput = errors.New("no big/ there: make it with shared/bench-image/make-image")
