// Command seawall is the command line and the server roles of the Seawall
// security platform. It only joins the process (signals, standard streams, exit
// code) to internal/cli.
package main

import (
	"context"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/seawall-security/seawall/internal/cli"
)

// version is set by the build: -ldflags "-X main.version=…".
var version = "devel"

func main() {
	os.Exit(run())
}

func run() int {
	// A scan's live heap is small and short-lived garbage is most of its work: twice
	// the default headroom halves the collector's share and stays under the memory
	// budget (docs/guide/performance.md). GOGC still decides where it is set.
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(200)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// The first signal ends the run in order; a second one ends it at once.
	context.AfterFunc(ctx, stop)
	return cli.Run(ctx, cli.Invocation{
		Args:    os.Args[1:],
		Environ: os.Environ(),
		Stdin:   os.Stdin,
		Stdout:  os.Stdout,
		Stderr:  os.Stderr,
		Version: version,
	})
}
