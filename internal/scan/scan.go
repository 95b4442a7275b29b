// Package scan is the role that looks at still inputs: the command line, a CI
// gate, later a registry or a cluster, are all one Run over targets.
//
// For each target in turn: open, inventory (facts), detectors (findings),
// suppression, order, policies, and out as messages: Run once, then per target Asset,
// Coverage, package Facts, Findings worst first, Decisions, Statuses; End at last.
// Progress may come anywhere between. A target that cannot be completed is
// reported in Outcome.Errors and the others go on.
//
//	out, err := scan.Run(ctx, scan.Config{
//		Tool:       seawall.Tool{Name: "seawall", Version: v},
//		Collectors: inventoryall.Collectors(),
//		Detectors:  detectors,               // built with their database
//		Database:   &info,
//		Cache:      layerCache,              // *cache.Cache, or nil
//		Suppressor: ignoreSet,               // or nil
//		FailOn:     &threshold,              // or nil
//	}, []scan.Target{{Name: ref, Open: open}}, handler)
//
// err is non-nil only when the run as a whole ended early (ctx, timeout, a
// handler's error): then no End was sent. The caller closes the handler and
// turns Outcome into an exit code.
package scan

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/seawall-security/seawall/internal/detect"
	"github.com/seawall-security/seawall/internal/inventory"
	"github.com/seawall-security/seawall/internal/policy"
	"github.com/seawall-security/seawall/internal/seawall"
)

// Target is one thing to scan.
type Target struct {
	// Name is what the user called it.
	Name string
	// Open opens it; Run closes what it returns. progress may be called as often as
	// there is any, from one goroutine at a time, until the target is closed.
	Open func(ctx context.Context, progress func(seawall.Progress)) (seawall.Target, error)
	// Members, when set, is asked once this target was reported for those it leads
	// to: the images of a registry. They are scanned next.
	Members func() []Target
}

// Config are the parameters of Run. Collectors and Detectors decide what is
// looked for; nil or zero for the rest is a sensible default.
type Config struct {
	Tool       seawall.Tool
	Collectors []inventory.Collector
	Detectors  []detect.Detector
	// Database describes the advisory knowledge the detectors were built with.
	Database *seawall.DatabaseInfo
	// Cache keeps facts by layer.
	Cache inventory.Cache
	// Bases tells base images; nil tells none.
	Bases Bases
	// Memory bounds the file content held at once; 0 is inventory.DefaultMemory.
	Memory int64
	// Redact takes the secrets out of what an image's configuration says before it
	// is reported; nil reports it as it is. Detectors see it as it is.
	Redact func(string) string
	// Verify judges the signatures of an image opened by this name and notes the
	// outcome in its Image.Verification; nil when no signature was asked for. It may be called concurrently.
	Verify func(ctx context.Context, name string, image *seawall.Asset)
	// Suppressor marks findings that are accepted or do not apply.
	Suppressor Suppressor
	// Policies decide about what was found; nil decides nothing.
	Policies Policies
	// Frameworks returns the identifiers a finding carries: those it has and those of
	// the requirements it is evidence for. It may be called concurrently; nil leaves findings as they are.
	Frameworks func(f *seawall.Finding, now time.Time) []string
	// Exposed says whether an asset can be reached from outside of its cluster; nil
	// where it does not know. It may be called concurrently.
	Exposed func(*seawall.Asset) *bool
	// InUse sets Finding.InUse where it is known and says what it knows of the asset; nil
	// where nothing was observed. It may be called concurrently.
	InUse func(*seawall.Asset, []seawall.FileFact, []seawall.Finding) seawall.CollectorStatus
	// FailOn blocks on an unsuppressed failing finding at least this severe;
	// SeverityUnknown is any finding.
	FailOn *seawall.Severity
	// Timeout bounds the whole run; 0 is none.
	Timeout time.Duration
	// Now is the clock; nil is time.Now.
	Now func() time.Time
	// Parallel is how many targets are scanned at once; 0 is one. They are reported
	// in their order, and a layer that several have is analysed once.
	Parallel int
	// RunID identifies the run in its stream; "" takes a random one.
	RunID string
}

// Suppressor is the word of ignore files and VEX documents on a finding. Apply
// sets Status and Reason of those it knows; it may be called concurrently.
type Suppressor interface {
	Apply(asset *seawall.Asset, f *seawall.Finding)
}

// Policies decide about one asset, its packages counted, its findings after
// suppression, and its objects. Judge is not called concurrently.
type Policies interface {
	Judge(asset *seawall.Asset, packages int, findings []seawall.Finding, objects []seawall.Object, now time.Time) []seawall.Decision
}

// Handler takes the stream; the sinks are such.
type Handler interface {
	Handle(ctx context.Context, m seawall.Message) error
}

// Outcome is what a run came to, for the exit code.
type Outcome struct {
	Summary seawall.Summary
	// Assets counts the targets that were scanned.
	Assets int
	// Blocking counts the findings at or above Config.FailOn; 0 without one.
	Blocking int
	// Blocks are the decisions of policies that block, and Undecided those that a
	// policy could not make.
	Blocks, Undecided []seawall.Decision
	// Errors are the targets that could not be completed.
	Errors []TargetError
	// Failed and Partial are the collectors and detectors that did not do all their work.
	Failed, Partial []seawall.CollectorStatus
	// Packages counts the packages found, NotEvaluated those without advisory data.
	Packages, NotEvaluated int
}

// TargetError is a target that could not be completed. It wraps the cause.
type TargetError struct {
	Target string
	Err    error
}

// Error implements error. The target is named once, also where the cause names it.
func (e TargetError) Error() string {
	name := e.Target + ": "
	return name + strings.TrimPrefix(e.Err.Error(), name)
}

// Unwrap returns the cause.
func (e TargetError) Unwrap() error { return e.Err }

// Run scans targets and sends everything to h, one message at a time, in the targets' order.
func Run(ctx context.Context, cfg Config, targets []Target, h Handler) (Outcome, error) {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Timeout > 0 {
		cause := fmt.Errorf("the run took longer than its timeout of %s: %w", cfg.Timeout, context.DeadlineExceeded)
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, cfg.Timeout, cause)
		defer cancel()
	}
	s := &scanner{Config: cfg, out: newOutput(h), memory: inventory.NewMemory(cfg.Memory), flight: &inventory.Flight{}}
	err := s.run(ctx, targets)
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return s.outcome, err
}

// scanner is one run.
type scanner struct {
	Config
	out     output
	memory  *inventory.Memory
	flight  *inventory.Flight
	outcome Outcome
	issued  map[string]string // finding identifiers so far, and whose they are
}

func (s *scanner) run(ctx context.Context, targets []Target) error {
	id := s.RunID
	if id == "" {
		id = newRunID()
	}
	started := s.Now().UTC()
	err := s.out.send(ctx, seawall.Message{Run: &seawall.Run{
		SchemaVersion: seawall.SchemaVersion, Tool: s.Tool, ID: id,
		Started: started.Format(time.RFC3339), Database: s.Database,
	}})
	if err != nil {
		return err
	}
	if err := s.fleet(ctx, targets); err != nil {
		return err
	}
	return s.out.send(ctx, seawall.Message{End: &seawall.End{
		Ended: s.Now().UTC().Format(time.RFC3339), Summary: s.outcome.Summary,
	}})
}

// target scans one target; it may be called concurrently. What concerns only
// this target is a TargetError.
func (s *scanner) target(ctx context.Context, t Target) (*inventory.Result, judged, error) {
	progress := func(p seawall.Progress) {
		p.Asset = t.Name
		s.out.progress(ctx, p)
	}
	target, err := t.Open(ctx, progress)
	if err != nil {
		return nil, judged{}, TargetError{t.Name, err}
	}
	defer target.Close()
	inv, err := inventory.Run(ctx, target, inventory.Options{
		Collectors: s.Collectors, Memory: s.memory, Cache: s.Cache, Flight: s.flight, Progress: progress,
	})
	if err != nil {
		return nil, judged{}, TargetError{t.Name, err}
	}
	layers := layersOf(target)
	s.markBase(inv.Asset, layers)
	if s.Verify != nil && inv.Asset.Image != nil {
		s.Verify(ctx, t.Name, inv.Asset)
	}
	res := s.judge(ctx, inv, layers)
	countBase(inv.Asset, res.findings)
	s.redact(inv.Asset, res.findings)
	return inv, res, ctx.Err()
}

// layersOf indexes the layers by digest; of equal ones the lowest counts.
func layersOf(t seawall.Target) map[string]seawall.LayerInfo {
	layers := map[string]seawall.LayerInfo{}
	for _, l := range slices.Backward(t.Layers()) {
		if info := l.Info(); info.Digest != "" {
			layers[info.Digest] = info
		}
	}
	return layers
}

// report sends what is known of one target in stream order.
func (s *scanner) report(ctx context.Context, inv *inventory.Result, res judged) error {
	if err := s.out.send(ctx, seawall.Message{Asset: inv.Asset}); err != nil {
		return err
	}
	for i := range res.coverage {
		if err := s.out.send(ctx, seawall.Message{Coverage: &res.coverage[i]}); err != nil {
			return err
		}
	}
	for i := range inv.Packages {
		if err := s.out.send(ctx, seawall.Message{Fact: &seawall.Fact{Package: &inv.Packages[i]}}); err != nil {
			return err
		}
	}
	s.distinguish(inv.Asset, res.findings)
	for i := range res.findings {
		if err := s.out.send(ctx, seawall.Message{Finding: &res.findings[i]}); err != nil {
			return err
		}
	}
	if err := s.decide(ctx, inv, res.findings); err != nil {
		return err
	}
	statuses := append(inv.Statuses, res.statuses...)
	for i := range statuses {
		if err := s.out.send(ctx, seawall.Message{Status: &statuses[i]}); err != nil {
			return err
		}
	}
	s.count(len(inv.Packages), res, statuses)
	return nil
}

// decide sends what the policies make of one target.
func (s *scanner) decide(ctx context.Context, inv *inventory.Result, findings []seawall.Finding) error {
	if s.Policies == nil {
		return nil
	}
	decisions := s.Policies.Judge(inv.Asset, len(inv.Packages), findings, inv.Objects, s.Now())
	for i := range decisions {
		d := &decisions[i]
		if policy.Blocks(d) {
			s.outcome.Blocks = append(s.outcome.Blocks, *d)
		} else if d.Outcome == policy.OutcomeFailed {
			s.outcome.Undecided = append(s.outcome.Undecided, *d)
		}
		if err := s.out.send(ctx, seawall.Message{Decision: d}); err != nil {
			return err
		}
	}
	return nil
}

// count adds one target to the outcome.
func (s *scanner) count(packages int, res judged, statuses []seawall.CollectorStatus) {
	o := &s.outcome
	o.Assets++
	o.Packages += packages
	for i := range res.findings {
		f := &res.findings[i]
		o.Summary.Add(f)
		if s.FailOn != nil && f.Status == seawall.StatusFail && f.Severity >= *s.FailOn {
			o.Blocking++
		}
	}
	for _, c := range res.coverage {
		if c.Status == seawall.CoverageNotEvaluated {
			o.NotEvaluated += c.Packages
		}
	}
	for _, st := range statuses {
		switch st.Status {
		case seawall.RunFailed:
			o.Failed = append(o.Failed, st)
		case seawall.RunPartial:
			o.Partial = append(o.Partial, st)
		}
	}
}

const (
	progressAfter = time.Second
	progressEvery = 100 * time.Millisecond
)

// output sends messages one at a time. Progress is best effort: none in the
// first second, then of each stage at most one every progressEvery; an error its
// handler returns is reported by the next message.
type output struct {
	h Handler

	mu    sync.Mutex
	err   error
	start time.Time
	shown map[string]time.Time // by stage and unit, when last
}

func newOutput(h Handler) output {
	return output{h: h, start: time.Now(), shown: map[string]time.Time{}}
}

func (o *output) send(ctx context.Context, m seawall.Message) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.err == nil {
		o.err = o.h.Handle(ctx, m)
	}
	return o.err
}

func (o *output) progress(ctx context.Context, p seawall.Progress) {
	now, what := time.Now(), p.Stage+p.Unit
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.err != nil || now.Sub(o.start) < progressAfter || now.Sub(o.shown[what]) < progressEvery {
		return
	}
	o.shown[what] = now
	o.err = o.h.Handle(ctx, seawall.Message{Progress: &p})
}
