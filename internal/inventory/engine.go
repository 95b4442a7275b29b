package inventory

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/seawall-security/seawall/internal/seawall"
)

// Options are the parameters of Run. The zero value of each field but Collectors is a sensible default.
type Options struct {
	Collectors []Collector
	// Memory bounds the content held at once; share one between runs.
	Memory *Memory
	// MaxFile is the size up to which a file that must be read whole is held; 0 is 256 MiB.
	// A larger file makes its collectors partial.
	MaxFile int64
	// Workers is how many files are analysed at once; 0 is GOMAXPROCS.
	Workers int
	// Cache keeps raw facts by layer; nil is none.
	Cache Cache
	// Flight lets concurrent runs with one Cache analyse a layer once; nil is none.
	Flight *Flight
	// Progress receives the files and layers done, a few times a second, from one goroutine at a time; may be nil.
	Progress func(seawall.Progress)
}

// Cache keeps the raw facts of layers. Implementations are safe for concurrent
// use; whatever they hold is shared and must not be changed.
type Cache interface {
	// Get returns what Put stored under the layer's key by the same collectors in
	// the same versions and order; a damaged entry is not found.
	Get(layer string, collectors []Collector) (*LayerFacts, bool)
	// Put stores facts. It reports nothing: a cache that cannot be written is only slower.
	Put(layer string, collectors []Collector, facts *LayerFacts)
}

const (
	// defaultMaxFile is the largest file held whole when nothing else is asked for.
	defaultMaxFile = 256 << 20
	// streamOver is the size above which a file goes to Streamers in chunks instead of being held for them.
	streamOver = 16 << 20
	// queueLength is how many wanted files wait for a worker.
	queueLength = 64
	// maxWalks is how many layers inflate at once.
	maxWalks = 4
	// maxLayers bounds a target; no runtime stacks more than a few hundred.
	maxLayers = 1000

	progressEvery = 250 * time.Millisecond
)

// Result is what a Target comes to.
type Result struct {
	Merged
	// Statuses are one per collector in their order (none for a target without
	// layers), one named "walk" when entries could not be read, and one named after
	// the kind of asset when the target states objects.
	Statuses []seawall.CollectorStatus
}

// Run walks every layer of a target, collects and merges its facts and runs the
// joiners. It fails only when the target itself cannot be read to its end
// (damage, a bound, ctx); what goes wrong with single files or collectors is in
// Statuses. Equal targets give equal results, times apart.
func Run(ctx context.Context, target seawall.Target, o Options) (*Result, error) {
	o = o.withDefaults()
	layers := target.Layers()
	if len(layers) > maxLayers {
		return nil, fmt.Errorf("%d layers, more than %d: %w", len(layers), maxLayers, seawall.ErrBound)
	}
	facts, err := readLayers(ctx, layers, o)
	if err != nil {
		return nil, err
	}
	asset := target.Asset()
	infos := make([]seawall.LayerInfo, len(layers))
	for i, l := range layers {
		infos[i] = l.Info()
	}
	res := &Result{Merged: Merged{Asset: &asset}}
	found := res.merge(infos, facts, len(o.Collectors))
	var described seawall.CollectorStatus
	if d, ok := target.(seawall.Describer); ok {
		if described, err = res.describe(ctx, d); err != nil {
			return nil, err
		}
	}
	joined := make([]joinTally, len(o.Collectors))
	if len(layers) > 0 {
		if joined, err = res.join(ctx, o.Collectors); err != nil {
			return nil, err
		}
	}
	res.Packages = unitePackages(asset.ID, res.Packages)
	res.Hidden = unitePackages(asset.ID, res.Hidden)
	if len(layers) > 0 { // else the collectors had nothing to look at
		res.Statuses = statuses(asset.ID, o.Collectors, facts, found, joined)
	}
	if len(res.Objects) > 0 || described.Status == seawall.RunPartial {
		res.Statuses = append(res.Statuses, described)
	}
	return res, nil
}

func (o Options) withDefaults() Options {
	if o.Memory == nil {
		o.Memory = NewMemory(0)
	}
	if o.MaxFile <= 0 {
		o.MaxFile = defaultMaxFile
	}
	if o.Workers <= 0 {
		o.Workers = runtime.GOMAXPROCS(0)
	}
	return o
}

// engine is one run's walkers and workers.
type engine struct {
	Options
	queue   chan *job
	entries atomic.Int64
	layers  atomic.Int64
}

// readLayers returns the facts of every layer, from the cache or by walking it.
func readLayers(ctx context.Context, layers []seawall.Layer, o Options) ([]*LayerFacts, error) {
	e := &engine{Options: o, queue: make(chan *job, queueLength)}
	facts := make([]*LayerFacts, len(layers))
	stop := e.reportProgress(len(layers))
	defer stop()

	walkers, walkCtx := errgroup.WithContext(ctx)
	walkers.SetLimit(maxWalks)
	var workers sync.WaitGroup
	for range o.Workers {
		workers.Go(func() { e.work(walkCtx) })
	}
	for i, layer := range layers {
		walkers.Go(func() error {
			var err error
			if facts[i], err = e.layer(walkCtx, layer, len(layers) > 1); err != nil {
				return err
			}
			e.layers.Add(1)
			return nil
		})
	}
	err := walkers.Wait()
	close(e.queue)
	workers.Wait()
	if err != nil && ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return facts, err
}

// layer returns one layer's facts.
func (e *engine) layer(ctx context.Context, layer seawall.Layer, several bool) (*LayerFacts, error) {
	key := layer.CacheKey()
	cached := key != "" && e.Cache != nil
	if cached {
		if e.Flight != nil {
			leave, err := e.Flight.enter(ctx, key)
			if err != nil {
				return nil, err
			}
			defer leave()
		}
		if facts, ok := e.Cache.Get(key, e.Collectors); ok && len(facts.Tallies) == len(e.Collectors) {
			return facts, nil
		}
	}
	w := &walk{engine: e, ctx: ctx, rec: newRecorder(len(e.Collectors), several || key != ""), collected: map[string]collected{}}
	if !w.rec.overlay {
		for i, c := range e.Collectors {
			if l, ok := c.(Lister); ok {
				w.listers = append(w.listers, lister{l, i})
			}
		}
	}
	if err := w.run(layer); err != nil {
		return nil, err
	}
	facts, err := w.rec.finish()
	if err != nil {
		return nil, fmt.Errorf("layer %d: %w", layer.Info().Index, err)
	}
	if cached && w.rec.reproducible() {
		e.Cache.Put(key, e.Collectors, facts)
	}
	return facts, nil
}

// reportProgress sends progress until stop is called, which waits for the last message.
func (e *engine) reportProgress(layers int) (stop func()) {
	if e.Progress == nil {
		return func() {}
	}
	done := make(chan struct{})
	var reporter sync.WaitGroup
	reporter.Go(func() {
		tick := time.NewTicker(progressEvery)
		defer tick.Stop()
		for {
			select {
			case <-done:
				return
			case <-tick.C:
				e.Progress(seawall.Progress{Stage: "analysing", Unit: "files", Done: e.entries.Load()})
				if layers > 1 {
					e.Progress(seawall.Progress{Stage: "analysing", Unit: "layers", Done: e.layers.Load(), Total: int64(layers)})
				}
			}
		}
	})
	return func() { close(done); reporter.Wait() }
}
