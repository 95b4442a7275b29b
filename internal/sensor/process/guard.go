package process

import (
	"sync/atomic"
	"time"
)

// Guard runs looks into other processes. Those could make one last for ever: by a
// file system that they serve themselves (FUSE) below their root or executable, by
// memory that they never fill (userfaultfd) where their arguments should be. Nobody
// who wants to go unseen may hold up the agent with that. The zero value is ready.
type Guard struct{ open atomic.Int32 }

const (
	// maxLook is how long a look may take, maxLooks how many may take longer at a time;
	// with so many none is begun any more.
	maxLook  = 250 * time.Millisecond
	maxLooks = 8
)

// Look returns what f returns. false: f takes too long, and goes on unseen, or too many others do.
func Look[T any](g *Guard, f func() T) (result T, ok bool) {
	if g.open.Add(1) > maxLooks {
		g.open.Add(-1)
		return result, false
	}
	done := make(chan T, 1)
	go func() {
		defer g.open.Add(-1)
		done <- f()
	}()
	patience := time.NewTimer(maxLook)
	defer patience.Stop()
	select {
	case result = <-done:
		return result, true
	case <-patience.C:
		return result, false
	}
}
