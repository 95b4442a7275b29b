// Command seawall is the command line and the server roles of the Seawall
// security platform. It only joins the process (signals, standard streams, exit
// code) to internal/cli.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/seawall-security/seawall/internal/cli"
)

// version is set by the build: -ldflags "-X main.version=…".
var version = "devel"

func main() {
	os.Exit(run())
}

func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	return cli.Run(ctx, cli.Invocation{
		Args:    os.Args[1:],
		Environ: os.Environ(),
		Stdin:   os.Stdin,
		Stdout:  os.Stdout,
		Stderr:  os.Stderr,
		Version: version,
	})
}
