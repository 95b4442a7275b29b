// Command agent measures what watching costs: the kernel sensor alone, the whole
// agent, and auditd beside them, under the same loads. It prints Markdown tables
// for docs/guide/agent.md. It needs root.
//
//	go run ./bench/agent [-agent BINARY] [-seconds N] [-runs N] [-only TITLE]
//
// A load is this program started again, making system calls at a rate; an observer
// is started before it and stopped after it. Runs of one section are made in turn
// and the best counts, as in bench: a busy machine then disturbs all alike.
//
// auditd is given rules for the load's user only, and takes them and itself away afterwards.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"
)

func main() {
	agent := flag.String("agent", "", "the seawall-agent binary to measure, too")
	seconds := flag.Int("seconds", 5, "how long a load lasts")
	runs := flag.Int("runs", 3, "rounds; the best counts")
	only := flag.String("only", "", "only sections whose title has this")
	load := flag.String("load", "", "make this load (used by bench itself)")
	rate := flag.Int("rate", 0, "calls a second of the load; 0 is as many as it can")
	observe := flag.String("observe", "", "watch with this filter (used by bench itself)")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var err error
	switch {
	case *load != "":
		err = makeLoad(*load, *rate, time.Duration(*seconds)*time.Second)
	case *observe != "":
		err = watch(ctx, *observe, os.Stdout)
	default:
		b := bench{agent: *agent, only: *only, seconds: *seconds, runs: *runs, out: os.Stdout}
		err = b.run(ctx)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench/agent:", err)
		os.Exit(1)
	}
}

// bench is one measurement of everything.
type bench struct {
	agent         string
	self          string
	work, only    string
	seconds, runs int
	out           io.Writer
}

// result is one load under one observer.
type result struct {
	wall     time.Duration
	calls    int
	observer usage
}

// usage is what an observer spent while a load lasted.
type usage struct {
	cpu  time.Duration
	rss  int64
	told uint64
	lost int64 // -1 is not known
	// In its programs, of the whole machine's calls; 0 runs where there are none of them.
	bpf     time.Duration
	bpfRuns uint64
}

func (b *bench) run(ctx context.Context) (err error) {
	if b.self, err = os.Executable(); err != nil {
		return err
	}
	if b.work, err = os.MkdirTemp("", "seawall-bench-"); err != nil {
		return err
	}
	defer os.RemoveAll(b.work)
	for _, s := range b.sections() {
		if !strings.Contains(s.title, b.only) {
			continue
		}
		if err := b.section(ctx, s); err != nil {
			return fmt.Errorf("%s: %w", s.title, err)
		}
	}
	return nil
}

// section is one load under several observers.
type section struct {
	title     string
	load      string
	rate      int
	loads     int // processes
	observers []observer
}

// observer is something that watches: start returns when it does, and the function that ends it.
type observer struct {
	name  string
	start func(ctx context.Context) (stop func() (usage, error), err error)
}

func (b *bench) sections() []section {
	nobody := observer{"nobody", func(context.Context) (func() (usage, error), error) {
		return func() (usage, error) { return usage{lost: -1}, nil }, nil
	}}
	rules := observer{"sensor with the filter of our rules", b.sensor("rules")}
	calls := observer{"sensor, every call told", b.sensor("kill")}
	whole := []observer{nobody, rules}
	if b.agent != "" {
		whole = append(whole, observer{"seawall-agent run", b.wholeAgent})
	}
	beside := append(whole[:len(whole):len(whole)], b.auditd("execve")...)
	return []section{
		{"10,000 opens of files a second that no rule wants", "open", 10_000, 1, whole},
		{"200,000 calls a second, all told", "kill", 100_000, 2, append([]observer{nobody, calls}, b.auditd("kill")...)},
		{"As many calls as one thread can make, all told", "kill", 0, 1, append([]observer{nobody, calls}, b.auditd("kill")...)},
		{"Starts of programs, one after the other", "exec", 0, 1, beside},
		{"A build: encoding/json and what it needs", "build", 0, 1, whole},
	}
}

// section measures the observers in turn and prints the best round of each.
func (b *bench) section(ctx context.Context, s section) error {
	best := make([]result, len(s.observers))
	for round := range b.runs {
		for i, o := range s.observers {
			r, err := b.measure(ctx, s, o)
			if err != nil {
				return fmt.Errorf("%s: %w", o.name, err)
			}
			if round == 0 || r.better(best[i], s.rate > 0) {
				best[i] = r
			}
		}
	}
	fmt.Fprintf(b.out, "\n### %s\n\n| watched by | calls/s | × unwatched | its CPU, of one core | its RSS | told | lost | BPF, of one core | BPF per run |\n|---|--:|--:|--:|--:|--:|--:|--:|--:|\n", s.title)
	for i, o := range s.observers {
		r, u := best[i], best[i].observer
		fmt.Fprintf(b.out, "| %s | %.4g | %.2f | %.2f %% | %d MB |", o.name, r.rate(), r.rate()/best[0].rate(), 100*u.cpu.Seconds()/r.wall.Seconds(), u.rss/1e6)
		row := []string{"–", "–", "–", "–"}
		if u.lost >= 0 {
			row[1] = strconv.FormatInt(u.lost, 10)
		}
		if u.bpfRuns > 0 {
			row[0], row[2] = strconv.FormatUint(u.told, 10), fmt.Sprintf("%.2f %%", 100*u.bpf.Seconds()/r.wall.Seconds())
			row[3] = fmt.Sprintf("%d ns", u.bpf.Nanoseconds()/int64(u.bpfRuns))
		}
		fmt.Fprintf(b.out, " %s |\n", strings.Join(row, " | "))
	}
	return nil
}

// better than another round: fewer lost; then, of a load that keeps a rate, watched for less, of others faster.
func (r result) better(than result, paced bool) bool {
	switch {
	case r.observer.lost != than.observer.lost:
		return r.observer.lost < than.observer.lost
	case paced:
		return r.observer.cpu+r.observer.bpf < than.observer.cpu+than.observer.bpf
	}
	return r.rate() > than.rate()
}

func (r result) rate() float64 { return float64(r.calls) / r.wall.Seconds() }

// measure makes the load under one observer.
func (b *bench) measure(ctx context.Context, s section, o observer) (result, error) {
	stop, err := o.start(ctx)
	if err != nil {
		return result{}, err
	}
	var loads []*exec.Cmd
	var outputs []io.Reader
	for range s.loads {
		cmd := exec.CommandContext(ctx, b.self, "-load", s.load, "-rate", strconv.Itoa(s.rate), "-seconds", strconv.Itoa(b.seconds))
		cmd.Stderr = os.Stderr
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: loadUser, Gid: loadUser}}
		out, err := cmd.StdoutPipe()
		if err != nil {
			return result{}, err
		}
		loads, outputs = append(loads, cmd), append(outputs, out)
	}
	var r result
	start := time.Now()
	for _, cmd := range loads {
		if err := cmd.Start(); err != nil {
			return result{}, err
		}
	}
	for i, cmd := range loads {
		var n int
		if _, err := fmt.Fscan(outputs[i], &n); err != nil {
			return result{}, fmt.Errorf("load: %w", err)
		}
		r.calls += n
		if err := cmd.Wait(); err != nil {
			return result{}, fmt.Errorf("load: %w", err)
		}
	}
	r.wall = time.Since(start)
	r.observer, err = stop()
	return r, err
}
