package scan

import (
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/seawall-security/seawall/internal/inventory"
)

// scanned is what one target came to.
type scanned struct {
	inv *inventory.Result
	res judged
	err error
}

// fleet scans targets, Parallel at a time, and reports them in their order. At
// most Parallel results are held, so memory does not grow with the fleet.
func (s *scanner) fleet(ctx context.Context, targets []Target) error {
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	var started []chan scanned
	start := func() {
		t, out := targets[len(started)], make(chan scanned, 1)
		started = append(started, out)
		running.Go(func() {
			var r scanned
			r.inv, r.res, r.err = s.target(ctx, t)
			out <- r
		})
	}
	for i := 0; i < len(targets); i++ {
		// Nothing is started past a target whose members come before what follows it.
		for n := len(started); n < len(targets) && n < i+max(s.Parallel, 1); n++ {
			if n > i && targets[n-1].Members != nil {
				break
			}
			start()
		}
		r := <-started[i]
		if r.err == nil {
			r.err = s.report(ctx, r.inv, r.res)
		}
		var te TargetError
		switch {
		case r.err == nil && targets[i].Members != nil:
			targets = slices.Insert(slices.Clone(targets), i+1, targets[i].Members()...)
		case r.err == nil:
		case ctx.Err() != nil || !errors.As(r.err, &te):
			return r.err
		default:
			s.outcome.Errors = append(s.outcome.Errors, te)
		}
	}
	return nil
}
