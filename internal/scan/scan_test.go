package scan

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seawall-security/seawall/internal/detect"
	"github.com/seawall-security/seawall/internal/inventory"
	"github.com/seawall-security/seawall/internal/seawall"
)

// memTarget is an image held in memory, one map of files a layer.
type memTarget struct {
	name   string
	layers []map[string]string
	closed *int
}

func (t memTarget) Asset() seawall.Asset {
	return seawall.Asset{ID: "sha256:" + t.name, Kind: seawall.AssetImage, Name: t.name}
}

func (t memTarget) Layers() (layers []seawall.Layer) {
	for i, files := range t.layers {
		layers = append(layers, memLayer{i, files})
	}
	return layers
}

func (t memTarget) Close() error {
	if t.closed != nil {
		*t.closed++
	}
	return nil
}

type memLayer struct {
	index int
	files map[string]string
}

func (l memLayer) Info() seawall.LayerInfo {
	return seawall.LayerInfo{Index: l.index, Digest: fmt.Sprint("L", l.index), CreatedBy: fmt.Sprint("step ", l.index)}
}
func (l memLayer) CacheKey() string { return "" }
func (l memLayer) Walk(_ context.Context, visit func(seawall.Entry) error) error {
	for path, content := range l.files {
		if content == "corrupt" {
			return fmt.Errorf("bad gzip: %w", seawall.ErrCorrupt)
		}
		err := visit(seawall.Entry{Path: path, Info: memInfo(len(content)), Open: func() (io.ReadCloser, error) {
			return io.NopCloser(strings.NewReader(content)), nil
		}})
		if err != nil {
			return err
		}
	}
	return nil
}

type memInfo int64

func (memInfo) Name() string       { return "" }
func (i memInfo) Size() int64      { return int64(i) }
func (memInfo) Mode() fs.FileMode  { return 0o644 }
func (memInfo) ModTime() time.Time { return time.Time{} }
func (memInfo) IsDir() bool        { return false }
func (memInfo) Sys() any           { return nil }

// words makes a package of every "name version" file.
type words struct{}

func (words) Name() string                   { return "test/words" }
func (words) Version() int                   { return 1 }
func (words) Wants(string, fs.FileInfo) bool { return true }
func (words) Collect(_ context.Context, f seawall.File) ([]seawall.Fact, error) {
	data, err := io.ReadAll(f.Content)
	name, version, ok := bytes.Cut(data, []byte(" "))
	if !ok {
		return nil, errors.Join(err, fmt.Errorf("no version in %q", data))
	}
	return []seawall.Fact{{Package: &seawall.Package{Name: string(name), Version: string(version), Ecosystem: "Test"}}}, err
}

// rule finds fault with packages; its rows are by package name.
type rule struct {
	name string
	rows map[string]seawall.Finding
	err  error
}

func (r rule) Name() string { return r.name }
func (r rule) Detect(_ context.Context, f detect.Facts) (detect.Result, error) {
	if r.rows == nil && r.err == nil {
		panic("no rows")
	}
	res := detect.Result{Coverage: []seawall.Coverage{{Ecosystem: "Test", Packages: len(f.Packages), Status: seawall.CoverageNotEvaluated}}}
	for _, p := range f.Packages {
		if finding, ok := r.rows[p.Name]; ok {
			finding.Kind, finding.Status = seawall.KindVulnerability, seawall.StatusFail
			finding.Package = &seawall.PackageRef{Name: p.Name, Version: p.Version, Ecosystem: p.Ecosystem}
			finding.Locations = p.Locations
			res.Findings = append(res.Findings, finding)
		}
	}
	return res, r.err
}

// recorded is a handler that keeps everything.
type recorded struct {
	messages []seawall.Message
	failAt   int
}

func (r *recorded) Handle(_ context.Context, m seawall.Message) error {
	r.messages = append(r.messages, m)
	if r.failAt > 0 && len(r.messages) == r.failAt {
		return errors.New("disk full")
	}
	return nil
}

// lines renders the stream, one line a message.
func (r *recorded) lines() (out []string) {
	for _, m := range r.messages {
		switch {
		case m.Run != nil:
			out = append(out, "run "+m.Run.Started)
		case m.Asset != nil:
			out = append(out, "asset "+m.Asset.Name)
		case m.Coverage != nil:
			out = append(out, fmt.Sprintf("coverage %s %d", m.Coverage.Asset, m.Coverage.Packages))
		case m.Fact != nil:
			out = append(out, "package "+m.Fact.Package.Name)
		case m.Finding != nil:
			f := m.Finding
			layer := ""
			if f.Layer != nil {
				layer = f.Layer.CreatedBy
			}
			out = append(out, fmt.Sprintf("finding %s %s %s %s %s", f.Rule, f.Severity, f.Status, f.Location.Path, layer))
		case m.Status != nil:
			out = append(out, fmt.Sprintf("status %s %s %d %s", m.Status.Name, m.Status.Status, m.Status.Found, m.Status.Reason))
		case m.End != nil:
			out = append(out, fmt.Sprintf("end %s high %d", m.End.Ended, m.End.Summary.High))
		}
	}
	return out
}

type open = func(context.Context, func(seawall.Progress)) (seawall.Target, error)

func opened(t seawall.Target) open {
	return func(context.Context, func(seawall.Progress)) (seawall.Target, error) { return t, nil }
}

func clock() time.Time { return time.Date(2026, 11, 21, 0, 0, 0, 0, time.UTC) }

type accept string

func (a accept) Apply(_ *seawall.Asset, f *seawall.Finding) {
	if f.Rule == string(a) {
		f.Status, f.Reason = seawall.StatusSuppressed, "accepted"
	}
}

func TestStreamAndOutcome(t *testing.T) {
	image := memTarget{name: "reg.example/app:1.2", layers: []map[string]string{
		{"a": "alpha 1", "b": "beta 2", "c": "gamma 3"}, {"d": "delta 4", "e": "nonsense"},
	}}
	high := seawall.SeverityHigh
	cfg := Config{
		Collectors: []inventory.Collector{words{}},
		Detectors: []detect.Detector{
			rule{name: "vuln", rows: map[string]seawall.Finding{
				"alpha": {Rule: "V-1", Severity: seawall.SeverityLow},
				"beta":  {Rule: "V-2", Severity: seawall.SeverityHigh},
				"gamma": {Rule: "V-3", Severity: seawall.SeverityHigh, Vulnerability: &seawall.Vulnerability{KEV: true}},
				"delta": {Rule: "V-4", Severity: seawall.SeverityCritical},
			}},
			rule{name: "broken", err: errors.New("database gone")},
			rule{name: "panics"},
		},
		Suppressor: accept("V-4"), FailOn: &high, Now: clock,
	}
	var h recorded
	out, err := Run(t.Context(), cfg, []Target{{Name: image.name, Open: opened(image)}}, &h)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"run 2026-11-21T00:00:00Z",
		"asset reg.example/app:1.2",
		"coverage sha256:reg.example/app:1.2 4", "coverage sha256:reg.example/app:1.2 4",
		"package alpha", "package beta", "package gamma", "package delta",
		"finding V-3 high fail c step 0",
		"finding V-2 high fail b step 0",
		"finding V-1 low fail a step 0",
		"finding V-4 critical suppressed d step 1",
		`status test/words partial 4 e: no version in "nonsense"`,
		"status vuln ok 4 ", "status broken failed 0 database gone", "status panics failed 0 panic: no rows",
		"end 2026-11-21T00:00:00Z high 2",
	}
	if diff := cmp.Diff(want, h.lines()); diff != "" {
		t.Errorf("stream (-want +got):\n%s", diff)
	}
	if out.Blocking != 2 || out.Packages != 4 || out.NotEvaluated != 8 || len(out.Failed) != 2 || len(out.Partial) != 1 || out.Summary.Suppressed != 1 {
		t.Errorf("outcome = %+v", out)
	}
}

func TestOneTargetsFailureLeavesTheOthers(t *testing.T) {
	closed := 0
	good := memTarget{name: "good", layers: []map[string]string{{"a": "alpha 1"}}, closed: &closed}
	corrupt := memTarget{name: "corrupt", layers: []map[string]string{{"a": "corrupt"}}, closed: &closed}
	missing := func(context.Context, func(seawall.Progress)) (seawall.Target, error) {
		return nil, fmt.Errorf("missing: no such file: %w", seawall.ErrUnreadable)
	}
	var h recorded
	out, err := Run(t.Context(), Config{Collectors: []inventory.Collector{words{}}},
		[]Target{{Name: "missing", Open: missing}, {Name: "corrupt", Open: opened(corrupt)}, {Name: "good", Open: opened(good)}}, &h)
	if err != nil {
		t.Fatal(err)
	}
	if len(out.Errors) != 2 || !errors.Is(out.Errors[0], seawall.ErrUnreadable) || !errors.Is(out.Errors[1], seawall.ErrCorrupt) {
		t.Errorf("errors = %v", out.Errors)
	}
	for i, want := range []string{"missing: no such file: cannot be read", "corrupt: bad gzip: corrupt input"} {
		if got := out.Errors[i].Error(); got != want {
			t.Errorf("error %q, want %q", got, want)
		}
	}
	if !slices.Contains(h.lines(), "package alpha") || h.messages[len(h.messages)-1].End == nil {
		t.Errorf("stream = %q", h.lines())
	}
	if closed != 2 {
		t.Errorf("%d targets closed, want 2", closed)
	}
}

func TestRunThatEndsEarlySendsNoEnd(t *testing.T) {
	image := memTarget{name: "i", layers: []map[string]string{{"a": "alpha 1"}}}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	slow := func(ctx context.Context, _ func(seawall.Progress)) (seawall.Target, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	tests := []struct {
		name string
		ctx  context.Context
		cfg  Config
		open open
		h    recorded
		want string
	}{
		{"handler's error", t.Context(), Config{}, opened(image), recorded{failAt: 3}, "disk full"},
		{"cancelled", cancelled, Config{}, opened(image), recorded{}, "context canceled"},
		{"timeout", t.Context(), Config{Timeout: time.Nanosecond}, slow, recorded{}, "longer than its timeout of 1ns"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.cfg.Collectors = []inventory.Collector{words{}}
			_, err := Run(tt.ctx, tt.cfg, []Target{{Name: "t", Open: tt.open}, {Name: "t", Open: tt.open}}, &tt.h)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error = %v", err)
			}
			if last := tt.h.messages[len(tt.h.messages)-1]; last.End != nil {
				t.Error("End was sent")
			}
		})
	}
}

func TestFindingIDs(t *testing.T) {
	image := func(name string) *seawall.Asset { return &seawall.Asset{Kind: seawall.AssetImage, Name: name} }
	vuln := func(version, path string, line int) seawall.Finding {
		return seawall.Finding{Kind: seawall.KindVulnerability, Rule: "CVE-1",
			Package: &seawall.PackageRef{Name: "p", Version: version}, Location: &seawall.Location{Path: path, Line: line}}
	}
	secret := func(path string, line int) seawall.Finding {
		return seawall.Finding{Kind: seawall.KindSecret, Rule: "SW-SEC-1", Location: &seawall.Location{Path: path, Line: line}}
	}
	id := func(a *seawall.Asset, f seawall.Finding) string {
		one := []seawall.Finding{f}
		identify(a, one)
		return one[0].ID
	}
	base := id(image("reg.example:5000/app:1"), vuln("1", "a", 1))
	for name, same := range map[string]string{
		"other tag":                  id(image("reg.example:5000/app:2"), vuln("1", "a", 1)),
		"digest":                     id(image("reg.example:5000/app@sha256:00"), vuln("1", "a", 1)),
		"tag and digest":             id(image("reg.example:5000/app:3@sha256:00"), vuln("1", "a", 1)),
		"no tag":                     id(image("reg.example:5000/app"), vuln("1", "a", 1)),
		"other place of the package": id(image("reg.example:5000/app:1"), vuln("1", "b", 2)),
	} {
		if same != base {
			t.Errorf("%s: the ID changed", name)
		}
	}
	for name, other := range map[string]string{
		"other repository": id(image("reg.example:5000/app2:1"), vuln("1", "a", 1)),
		"other version":    id(image("reg.example:5000/app:1"), vuln("2", "a", 1)),
		"other kind":       id(&seawall.Asset{Kind: seawall.AssetRootFS, Name: "reg.example:5000/app:1"}, vuln("1", "a", 1)),
	} {
		if other == base {
			t.Errorf("%s: the same ID", name)
		}
	}
	if id(image("oci:build:v1"), secret("f", 1)) != id(image("oci:build:v2"), secret("f", 9)) {
		t.Error("tag of an OCI layout or a moved line: the ID changed")
	}
	if id(image("oci:build"), secret("f", 1)) == id(image("oci:other"), secret("f", 1)) {
		t.Error("another OCI layout: the same ID")
	}
	one, two := image("reg.example:5000/app:1"), image("reg.example:5000/app:2")
	one.ID, two.ID = "sha256:1", "sha256:2"
	inOne, inTwo := []seawall.Finding{vuln("1", "a", 1)}, []seawall.Finding{vuln("1", "a", 1)}
	identify(one, inOne)
	identify(two, inTwo)
	var run scanner
	run.distinguish(one, inOne)
	run.distinguish(two, inTwo)
	if inOne[0].ID != base || inTwo[0].ID == base {
		t.Error("two images of one repository in one run: want the first with the lasting ID, the second with another")
	}
	twins := []seawall.Finding{secret("f", 1), secret("f", 2)}
	identify(image("i"), twins)
	if twins[0].ID == twins[1].ID {
		t.Error("two secrets in one file have one ID")
	}
}

// waitingTarget's only layer ends once its progress has been seen.
type waitingTarget struct {
	memTarget
	seen chan struct{}
}

func (t waitingTarget) Layers() []seawall.Layer { return []seawall.Layer{t} }
func (waitingTarget) Info() seawall.LayerInfo   { return seawall.LayerInfo{} }
func (waitingTarget) CacheKey() string          { return "" }
func (t waitingTarget) Walk(ctx context.Context, visit func(seawall.Entry) error) error {
	<-t.seen
	return nil
}

// progressWatcher closes seen once both stages have shown progress; it notices concurrent calls.
type progressWatcher struct {
	recorded
	busy   atomic.Bool
	stages map[string]string
	seen   chan struct{}
}

func (w *progressWatcher) Handle(ctx context.Context, m seawall.Message) error {
	if !w.busy.CompareAndSwap(false, true) {
		return errors.New("called twice at a time")
	}
	defer w.busy.Store(false)
	if p := m.Progress; p != nil {
		w.stages[p.Stage] = p.Asset
		if len(w.stages) == 2 && w.seen != nil {
			close(w.seen)
			w.seen = nil
		}
	}
	return w.recorded.Handle(ctx, m)
}

func TestLongWorkShowsProgress(t *testing.T) {
	seen := make(chan struct{})
	target := waitingTarget{memTarget{name: "i"}, seen}
	var reading sync.WaitGroup
	calls := 0
	openTarget := func(_ context.Context, progress func(seawall.Progress)) (seawall.Target, error) {
		reading.Go(func() { // stands for a layer being downloaded
			for {
				select {
				case <-seen:
					return
				case <-time.After(time.Millisecond):
					calls++
					progress(seawall.Progress{Stage: "reading", Done: 1, Total: 2})
				}
			}
		})
		return target, nil
	}
	w := &progressWatcher{stages: map[string]string{}, seen: seen}
	if _, err := Run(t.Context(), Config{}, []Target{{Name: "called so", Open: openTarget}}, w); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]string{"reading": "called so", "analysing": "called so"}, w.stages); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	reading.Wait()
	if len(w.messages) >= calls {
		t.Errorf("%d messages of %d calls: progress is not held back", len(w.messages), calls)
	}
}
