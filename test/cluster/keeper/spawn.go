//go:build linux

package keeper

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
)

// result is what a keeper writes to its standard output, once.
type result struct {
	State *State `json:"state,omitempty"`
	Error string `json:"error,omitempty"`
}

// Spawn starts a keeper process from program (test/cluster, built) and returns
// when its cluster is up.
func Spawn(ctx context.Context, program string, spec Spec) (*State, error) {
	if err := os.MkdirAll(Base, 0o700); err != nil {
		return nil, err
	}
	log, err := os.CreateTemp(Base, "start-*.log")
	if err != nil {
		return nil, err
	}
	defer log.Close()
	os.Remove(log.Name())
	cmd := exec.Command(program, "keep")
	cmd.Stderr = log
	// An interrupt from a terminal is for the tests; the keeper notices that they end.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() {
		_ = cmd.Process.Signal(syscall.SIGTERM) // or it has ended
	})
	defer stop()
	if err := json.NewEncoder(stdin).Encode(spec); err != nil {
		return nil, err
	}
	stdin.Close()
	var r result
	if err := json.NewDecoder(stdout).Decode(&r); err != nil {
		r.Error = "the keeper died"
	}
	if r.Error != "" {
		_ = cmd.Wait() // its error is in r
		said, _ := io.ReadAll(io.NewSectionReader(log, 0, 1<<20))
		return nil, errors.Join(fmt.Errorf("starting a cluster: %s\n%s", r.Error, said), ctx.Err())
	}
	stdout.Close()
	// It outlives us, or we bury it as we end.
	return r.State, cmd.Process.Release()
}

// Keep is the keeper process: it reads a Spec from in, writes what came of it to
// out and stays.
func Keep(in io.Reader, out io.WriteCloser) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	var spec Spec
	if err := json.NewDecoder(in).Decode(&spec); err != nil {
		return err
	}
	told := false
	err := Run(ctx, spec, func(s State) {
		told = true
		_ = json.NewEncoder(out).Encode(result{State: &s}) // who asked may be gone
		out.Close()
	})
	if err == nil && !told {
		err = errors.New("ended before it was up")
	}
	if err != nil && !told {
		return json.NewEncoder(out).Encode(result{Error: err.Error()})
	}
	return err
}

// Share joins the running cluster with the spec's key or spawns it.
func Share(ctx context.Context, program string, spec Spec) (*State, error) {
	lock, err := lockOne(ctx, "share")
	if err != nil {
		return nil, err
	}
	defer lock.Close()
	state, err := join(ctx, spec)
	if state != nil || err != nil {
		return state, err
	}
	return Spawn(ctx, program, spec)
}
