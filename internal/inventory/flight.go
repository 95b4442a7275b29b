package inventory

import (
	"context"
	"sync"
)

// Flight lets runs at the same time share the work on a layer: one walks it,
// the others wait and then find it in the cache. The zero value is ready; runs
// that share one have the same collectors and cache.
type Flight struct {
	mu     sync.Mutex
	layers map[string]chan struct{} // closed when the walk is over
}

// enter waits until nobody else walks the layer, or ctx is done. leave must be
// called when the walk is over, however it ended.
func (f *Flight) enter(ctx context.Context, key string) (leave func(), err error) {
	for {
		f.mu.Lock()
		busy := f.layers[key]
		if busy == nil {
			if f.layers == nil {
				f.layers = map[string]chan struct{}{}
			}
			done := make(chan struct{})
			f.layers[key] = done
			f.mu.Unlock()
			return func() {
				f.mu.Lock()
				delete(f.layers, key)
				f.mu.Unlock()
				close(done)
			}, nil
		}
		f.mu.Unlock()
		select {
		case <-busy:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}
