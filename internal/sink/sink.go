// Package sink holds the handlers of the Message stream: reports in every
// format now, alerts and uploads later. A handler gets one stream, from Run to
// End, and writes its output at the latest in Close.
package sink

import (
	"context"

	"github.com/seawall-security/seawall/internal/seawall"
)

// Handler takes a stream of messages.
type Handler interface {
	// Handle is called from one goroutine at a time, in stream order. It must not keep m's pointers' targets after it returns unless it copies them.
	Handle(ctx context.Context, m seawall.Message) error
	// Close writes what is left. It is called exactly once, also when the run failed
	// before its End; a handler that saw no End writes nothing that looks complete.
	Close() error
}
