package agent

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seawall-security/seawall/internal/agent/incident"
	"github.com/seawall-security/seawall/internal/agent/respond"
	"github.com/seawall-security/seawall/internal/detect/rules"
	"github.com/seawall-security/seawall/internal/enforce"
	"github.com/seawall-security/seawall/internal/policy"
	"github.com/seawall-security/seawall/internal/seawall"
)

// Event is one event as a source hands it over: good until the function it is handed to returns.
type Event interface {
	rules.Record
	// Event and Subject are what is kept of it. They are asked for when a rule is true for it.
	Event() *seawall.Event
	Subject() seawall.Subject
}

// Source is a live input.
type Source interface {
	// Name is seawall.SourceSyscall or seawall.SourceAudit: whose rules are asked.
	Name() string
	// Run hands events over until ctx ends, from one goroutine. f says which are wanted.
	Run(ctx context.Context, f seawall.EventFilter, emit func(Event)) error
	// SetFilter changes which events are wanted while it runs.
	SetFilter(f seawall.EventFilter) error
	// Counters tell what became of events, since the start.
	Counters() []Counter
}

// Counter counts events of one type with one fate.
type Counter struct {
	Fate string // FateEmitted, …
	Type string // "" is all types
	N    uint64
}

// The fates of events. Lost ones nobody has seen; limited ones are of workloads
// that made more than their share; unidentified ones were judged before their
// container was known.
const (
	FateEmitted  = "emitted"
	FateFiltered = "filtered"
	FateLimited  = "limited"
	FateLost     = "lost"

	FateUnidentified = "unidentified"
)

// Observer sees all events beside the rules. It is called by one goroutine at a time.
type Observer interface {
	Name() string
	// Observe sees an event; what it keeps of it is bounded, and it never blocks.
	Observe(e Event) []seawall.Finding
	// Complete adds what it knows to a finding about an event.
	Complete(f *seawall.Finding, s *seawall.Subject)
}

// Waiter is an Observer that may know more of a subject in a moment. Findings about it
// are told then; what policies ask for is done at once.
type Waiter interface {
	Pending(s *seawall.Subject, now time.Time) bool
}

// Finder finds by itself, beside events.
type Finder interface {
	Name() string
	// Run tells what it finds until ctx ends. Where a finding has no asset it is this node's.
	Run(ctx context.Context, tell func(f seawall.Finding, s seawall.Subject)) error
}

// Enforcer carries out actions; package enforce's is one.
type Enforcer interface {
	Do(ctx context.Context, a enforce.Action) enforce.Outcome
	Can(action string) bool
}

// Rules are what events are judged by: replaced as a whole when files change.
type Rules struct {
	Engine   *rules.Engine
	Policies *policy.Set
}

// LiveConfig are the parameters of a Live.
type LiveConfig struct {
	Tool seawall.Tool
	// Node is the name of this node.
	Node string
	// Asset is what is watched; the zero value is the node.
	Asset seawall.Asset
	// Cluster names the asset that findings of the audit log are of; "" is "cluster".
	Cluster string
	Sources []Source
	Rules   *Rules
	// Reload reads the rules anew when Changed says that something did; on an error the old ones stay.
	Reload    func() (*Rules, error)
	Changed   <-chan struct{}
	Observers []Observer
	Finders   []Finder
	Outputs   []*Output
	// Enforcer carries out what Response allows; nil carries out nothing.
	Enforcer Enforcer
	Response respond.Config
	// ExcludedNamespaces are globs: events of their pods are not told.
	ExcludedNamespaces []string
	Rate               Rate
	Knowledge          *incident.Knowledge
	// StatusEvery is how often the stream tells how sources fare; 0 is a minute.
	StatusEvery time.Duration
	Log         *slog.Logger
	Now         func() time.Time
	RunID       string
}

// patience is how long actions that have begun, and outputs, may take when the run ends.
const patience = 10 * time.Second

// maxWaiting bounds the findings between the rules and what is done about them.
const maxWaiting = 1024

// Live judges events as they come.
//
//	Source -> judge (rules, rate) -> matches -> desk (policy, response, incident) -> Outputs
//
// Each source has a judge that runs in the source's goroutine, so that an event no
// rule is true for costs no copy. One desk, in a goroutine of its own, takes the
// matches in order.
type Live struct {
	LiveConfig
	asset    seawall.Asset
	cluster  seawall.Asset
	rules    atomic.Pointer[Rules]
	matches  chan *match
	observe  sync.Mutex
	counters counters
	desk     *desk
}

// match is a rule that was true for an event.
type match struct {
	finding seawall.Finding
	subject seawall.Subject
	// asset is what the finding is of where it is no container's.
	asset *seawall.Asset
	// quiet: over the rate of its rule, told only by what is done about it.
	quiet bool
	rules *Rules
}

// NewLive returns a Live.
func NewLive(cfg LiveConfig) *Live {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.RunID == "" {
		cfg.RunID = rand.Text()
	}
	if cfg.StatusEvery == 0 {
		cfg.StatusEvery = time.Minute
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	l := &Live{LiveConfig: cfg, matches: make(chan *match, maxWaiting)}
	l.asset = cfg.Asset
	if l.asset.ID == "" {
		l.asset = seawall.Asset{ID: "node:" + cfg.Node, Kind: seawall.AssetNode, Name: cfg.Node}
	}
	l.cluster = ClusterAsset(cfg.Cluster)
	l.rules.Store(cfg.Rules)
	l.desk = newDesk(l)
	return l
}

// ClusterAsset is the asset of a cluster's audit log; "" is a cluster without a name.
func ClusterAsset(name string) seawall.Asset {
	name = cmp.Or(name, "cluster")
	return seawall.Asset{ID: "cluster:" + name, Kind: seawall.AssetCluster, Name: name}
}

// Run judges until ctx ends or a source fails, then tells what is left and closes
// the outputs. The stream has the same shape as a replay's: Run, Asset, findings,
// decisions and incidents as they come, statuses, End.
func (l *Live) Run(ctx context.Context) error {
	started := l.Now()
	outputs := startOutputs(l.Outputs, l.Log)
	l.desk.out = outputs.send
	outputs.send(seawall.Message{Run: &seawall.Run{SchemaVersion: seawall.SchemaVersion, Tool: l.Tool, ID: l.RunID, Started: started.UTC().Format(time.RFC3339)}})
	outputs.send(seawall.Message{Asset: &l.asset})

	var sources, rest sync.WaitGroup
	running, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	filter := l.Rules.Engine.Filter()
	for _, s := range l.Sources {
		j := &judge{Live: l, source: s.Name(), limiter: limiter{Rate: l.Rate}}
		sources.Go(func() {
			if err := s.Run(running, filter, j.event); err != nil && running.Err() == nil {
				stop(fmt.Errorf("%s: %w", s.Name(), err))
			}
		})
	}
	for _, f := range l.Finders {
		sources.Go(func() { l.find(running, f) })
	}
	// The desk works until its sources have ended, so it has a context that outlives theirs.
	working, done := context.WithCancel(context.WithoutCancel(ctx))
	rest.Go(func() { l.desk.work(working) })
	rest.Go(func() { l.reload(running) })
	<-running.Done()
	late := time.AfterFunc(patience, done)
	sources.Wait()
	close(l.matches)
	rest.Wait()
	late.Stop()
	done()
	outputs.send(seawall.Message{End: &seawall.End{Ended: l.Now().UTC().Format(time.RFC3339), Summary: l.desk.summary}})
	err := outputs.close(patience)
	if cause := context.Cause(running); ctx.Err() == nil && cause != nil {
		err = errors.Join(cause, err)
	}
	return err
}

// find runs a Finder. One that fails is logged and tried again: the agent goes on without it.
func (l *Live) find(ctx context.Context, f Finder) {
	for {
		err := f.Run(ctx, l.found)
		if err != nil {
			l.Log.Error("a finder failed", "name", f.Name(), "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Minute):
		}
	}
}

// found takes what a Finder tells.
func (l *Live) found(f seawall.Finding, s seawall.Subject) {
	m := match{finding: f, subject: s, asset: &l.asset, rules: l.rules.Load()}
	l.place(&m)
	l.pass(m)
}

// reload replaces the rules when they changed. Events go on being judged by the old
// ones until the new ones are ready, and when they have a mistake.
func (l *Live) reload(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-l.Changed:
		}
		fresh, err := l.Reload()
		if err != nil {
			l.counters.reloads.failed.Add(1)
			l.Log.Error("rules have a mistake: the old ones stay", "error", err)
			continue
		}
		filter := fresh.Engine.Filter()
		for _, s := range l.Sources {
			if err := s.SetFilter(filter); err != nil {
				l.Log.Error("a sensor keeps its old filter", "sensor", s.Name(), "error", err)
			}
		}
		l.rules.Store(fresh)
		l.counters.reloads.done.Add(1)
		l.Log.Info("rules replaced", "rules", len(fresh.Engine.Rules()), "policies", len(fresh.Policies.Policies))
	}
}
