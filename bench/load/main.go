// Command load measures the admission webhook under load, as a process of its own: an
// open loop of reviews over TLS at a fixed rate, with 20 policies (the library and more
// of its kinds) and images whose scans are known. It prints the percentiles of the time
// inside the webhook and as the client saw it, and the resident memory over time.
//
//	go run ./bench/load [-rate N] [-for 60s]
//
// Open loop: a review is sent when its time has come, whether or not those before it
// were answered, and its latency counts from when it should have been sent. Of ten
// reviews eight are of Pods made from 50 templates, each under a name of its own, one is
// of a Deployment and one of a Pod that is denied.
//
// -serve starts only the webhook, for test/cluster/load: it prints its address, its
// authority and a pod that passes, and ends with its standard input.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

func main() {
	rate := flag.Int("rate", 1000, "reviews a second")
	duration := flag.Duration("for", time.Minute, "how long")
	listen := flag.String("serve", "", "only serve the webhook, at this address")
	policies := flag.String("policies", "", "with -serve: judge by the policies of this file, not by the library")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var err error
	if *listen != "" {
		err = serve(ctx, *listen, *policies, os.Stdin, os.Stdout)
	} else {
		err = run(ctx, os.Stdout, *rate, *duration)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "load:", err)
		os.Exit(1)
	}
}

// place is where a webhook is, as -serve prints it.
type place struct {
	URL       string `json:"url"`
	Authority []byte `json:"authority"` // PEM
	// Pod is one that passes, its image known.
	Pod json.RawMessage `json:"pod"`
}

// run measures a webhook in a process of its own.
func run(ctx context.Context, out io.Writer, rate int, duration time.Duration) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	server := exec.CommandContext(ctx, self, "-serve", "127.0.0.1:0")
	server.Stderr = os.Stderr
	lifeline, err := server.StdinPipe()
	if err != nil {
		return err
	}
	stdout, err := server.StdoutPipe()
	if err != nil {
		return err
	}
	if err := server.Start(); err != nil {
		return err
	}
	defer func() {
		_ = lifeline.Close()
		_ = server.Wait()
	}()
	var at place
	if err := json.NewDecoder(stdout).Decode(&at); err != nil {
		return fmt.Errorf("the webhook did not start: %w", err)
	}
	c, err := newClient(at)
	if err != nil {
		return err
	}
	if err := c.warm(ctx); err != nil {
		return err
	}
	memory := watch(ctx, server.Process.Pid, duration)
	before := processor(server.Process.Pid)
	sent, err := c.load(ctx, rate, duration)
	if err != nil {
		return err
	}
	busy := processor(server.Process.Pid) - before
	inside, err := c.inside(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "%d reviews at %d/s, %d denied\n\n", sent.count, rate, sent.denied)
	fmt.Fprintln(out, "| | p50 | p90 | p99 | p99.9 | max |\n|---|---|---|---|---|---|")
	for _, row := range []struct {
		name  string
		times durations
	}{{"inside the webhook", inside}, {"seen by the client, TLS and queues included", sent.times}} {
		fmt.Fprintf(out, "| %s | %s |\n", row.name, strings.Join(row.times.columns(), " | "))
	}
	samples := <-memory
	fmt.Fprintf(out, "\nprocessor time of the webhook: %s a review, TLS included\n", (busy / time.Duration(max(sent.count, 1))).Round(time.Microsecond))
	fmt.Fprintf(out, "resident memory, MB: %s\n", strings.Join(samples, " "))
	if sent.failed > 0 {
		return errors.New(fmt.Sprint(sent.failed, " reviews were not answered; the first: ", sent.failure))
	}
	return nil
}

// watch samples a process's resident memory, twelve times in all.
func watch(ctx context.Context, pid int, duration time.Duration) <-chan []string {
	out := make(chan []string, 1)
	go func() {
		var samples []string
		tick := time.NewTicker(max(duration/12, time.Second))
		defer tick.Stop()
		end := time.After(duration)
		for {
			select {
			case <-tick.C:
				samples = append(samples, resident(pid))
				continue
			case <-end:
			case <-ctx.Done():
			}
			out <- append(samples, resident(pid))
			return
		}
	}()
	return out
}

// processor is the time that a process has used, user and system.
func processor(pid int) time.Duration {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	fields := strings.Fields(string(text))
	if err != nil || len(fields) < 15 {
		return 0
	}
	var user, system time.Duration
	_, _ = fmt.Sscan(fields[13], &user)
	_, _ = fmt.Sscan(fields[14], &system)
	return (user + system) * time.Second / 100 // clock ticks
}

// resident is a process's resident memory in megabytes.
func resident(pid int) string {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	var size, pages int
	if _, scanned := fmt.Sscan(string(text), &size, &pages); err != nil || scanned != nil {
		return "?"
	}
	return fmt.Sprint(pages * os.Getpagesize() >> 20)
}
