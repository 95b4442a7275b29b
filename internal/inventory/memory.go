package inventory

import (
	"context"
	"fmt"
	"sync"

	"golang.org/x/sync/semaphore"

	"github.com/seawall-security/seawall/internal/seawall"
)

const (
	// pageSize is the unit of held content and the chunk size of streams.
	pageSize = 256 << 10
	// DefaultMemory is the content held at once when nothing else is asked for.
	DefaultMemory = 64 << 20
	// nestedShared is what every file may ask for beside others; more is granted to one file at a time.
	nestedShared = 4 << 20
)

// Memory bounds the file content a process holds: pages for files on their way
// to collectors, and what collectors ask for through File.Budget. One Memory
// may serve many runs. What is granted never depends on timing: a request
// waits for its turn, or is over the bound whatever else runs.
type Memory struct {
	pages  int64
	held   *semaphore.Weighted
	nested int64
	token  chan struct{} // held by the one file that is over nestedShared

	mu   sync.Mutex
	free [][]byte
}

// NewMemory returns a Memory of that many bytes of content, and as many again
// for nested content; 0 is DefaultMemory.
func NewMemory(bytes int64) *Memory {
	if bytes <= 0 {
		bytes = DefaultMemory
	}
	pages := max(bytes/pageSize, 4)
	return &Memory{
		pages:  pages,
		held:   semaphore.NewWeighted(pages),
		nested: max(bytes, nestedShared),
		token:  make(chan struct{}, 1),
	}
}

// acquire returns n pages, waiting until they fit. A file larger than the whole
// Memory waits until it is alone.
func (m *Memory) acquire(ctx context.Context, n int) ([][]byte, error) {
	if err := m.held.Acquire(ctx, min(int64(n), m.pages)); err != nil {
		return nil, err
	}
	pages := make([][]byte, n)
	m.mu.Lock()
	reused := min(n, len(m.free))
	copy(pages, m.free[len(m.free)-reused:])
	m.free = m.free[:len(m.free)-reused]
	m.mu.Unlock()
	for i := reused; i < n; i++ {
		pages[i] = make([]byte, pageSize)
	}
	return pages, nil
}

// release gives back the pages of one acquire.
func (m *Memory) release(pages [][]byte) {
	m.mu.Lock()
	m.free = append(m.free, pages[:min(len(pages), int(m.pages)-len(m.free))]...)
	m.mu.Unlock()
	m.held.Release(min(int64(len(pages)), m.pages))
}

// allowance is one file's share of nested memory: File.Budget.
type allowance struct {
	ctx context.Context
	m   *Memory

	mu        sync.Mutex
	used      int64
	exclusive bool
}

// ask implements File.Budget.
func (a *allowance) ask(bytes int64) (release func(), err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if bytes < 0 || bytes > a.m.nested-a.used {
		return nil, fmt.Errorf("%d bytes of nested content beside %d held: %w", bytes, a.used, seawall.ErrBudget)
	}
	if !a.exclusive && a.used+bytes > nestedShared {
		select {
		case a.m.token <- struct{}{}:
			a.exclusive = true
		case <-a.ctx.Done():
			return nil, a.ctx.Err()
		}
	}
	a.used += bytes
	var once sync.Once
	return func() {
		once.Do(func() {
			a.mu.Lock()
			a.used -= bytes
			a.mu.Unlock()
		})
	}, nil
}

// close ends the allowance, whatever was not released with it.
func (a *allowance) close() {
	if a.exclusive {
		<-a.m.token
	}
}
