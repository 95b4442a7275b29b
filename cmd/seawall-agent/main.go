// Command seawall-agent is the node's program of the Seawall security platform.
// It only joins the process (signals, standard streams, exit code) to
// internal/cli/agent.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/seawall-security/seawall/internal/cli/agent"
	"github.com/seawall-security/seawall/internal/cli/command"
)

// version is set by the build: -ldflags "-X main.version=…".
var version = "devel"

func main() {
	os.Exit(run())
}

func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the run at once
	env := &command.Env{Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Version: version, Now: time.Now, Getenv: os.Getenv}
	return agent.Run(ctx, env, os.Args[1:])
}
