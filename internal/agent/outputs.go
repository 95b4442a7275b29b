package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/seawall-security/seawall/internal/seawall"
)

// Output is where the stream goes: a handler, by the name it is told under.
type Output struct {
	Name    string
	Handler interface {
		Handler
		Close() error
	}
	queue   chan seawall.Message
	failed  atomic.Uint64
	dropped atomic.Uint64
}

// maxQueued bounds the messages that wait for one output.
const maxQueued = 1024

// complainEvery is how often an output that fails is logged.
const complainEvery = time.Minute

// outputs hand every message to every output, each in a goroutine of its own, so
// that one that is stuck holds up nobody.
type outputs struct {
	list  []*Output
	ended []chan error
}

func startOutputs(list []*Output, log *slog.Logger) *outputs {
	o := &outputs{list: list}
	for _, out := range list {
		out.queue = make(chan seawall.Message, maxQueued)
		ended := make(chan error, 1)
		o.ended = append(o.ended, ended)
		go func() { ended <- out.write(log) }()
	}
	return o
}

// send queues a message. Where there is no room it is dropped and counted.
func (o *outputs) send(m seawall.Message) {
	for _, out := range o.list {
		select {
		case out.queue <- m:
		default:
			out.dropped.Add(1)
		}
	}
}

// close waits until all is written; an output that is stuck is left behind.
func (o *outputs) close(patience time.Duration) error {
	for _, out := range o.list {
		close(out.queue)
	}
	var errs []error
	late := time.After(patience)
	for i, out := range o.list {
		select {
		case err := <-o.ended[i]:
			errs = append(errs, err)
		case <-late:
			late = closed()
			select {
			case err := <-o.ended[i]:
				errs = append(errs, err)
			default:
				errs = append(errs, fmt.Errorf("output %s takes nothing more: %d messages are not written: %w", out.Name, len(out.queue), seawall.ErrTransient))
			}
		}
	}
	return errors.Join(errs...)
}

func closed() <-chan time.Time {
	c := make(chan time.Time)
	close(c)
	return c
}

// write hands the messages to the handler. One that fails is tried again with the next message.
func (out *Output) write(log *slog.Logger) error {
	var complained time.Time
	for m := range out.queue {
		if err := out.Handler.Handle(context.Background(), m); err != nil {
			out.failed.Add(1)
			if time.Since(complained) >= complainEvery {
				complained = time.Now()
				log.Error("a message could not be written", "output", out.Name, "error", err)
			}
		}
	}
	if err := out.Handler.Close(); err != nil {
		return fmt.Errorf("output %s: %w", out.Name, err)
	}
	return nil
}
