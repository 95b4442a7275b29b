package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seawall-security/seawall/internal/agent/incident"
	"github.com/seawall-security/seawall/internal/agent/respond"
	"github.com/seawall-security/seawall/internal/detect/rules"
	"github.com/seawall-security/seawall/internal/enforce"
	"github.com/seawall-security/seawall/internal/policy"
	"github.com/seawall-security/seawall/internal/seawall"
)

const shellRule = `
- rule: Shell
  desc: a shell
  condition: evt.type = execve and proc.name = %s
  output: "%%proc.name ran (%%proc.cmdline)"
  priority: WARNING
  tags: [T1059]
- rule: Secret
  desc: a secret was read
  condition: evt.type = openat and fd.name = /secret
  output: "%%proc.name read %%fd.name"
  priority: CRITICAL
`

const killPolicy = `
apiVersion: seawall.io/v1alpha1
kind: Policy
metadata: {name: no-shells}
spec:
  phases: [run]
  rules:
  - name: shell
    when: finding.rule == "Shell" && finding.event.fields["proc.name"] == "sh"
    action: kill-process
  - name: secret
    when: finding.rule == "Secret" && "T1059" in finding.tags == false
    action: isolate
`

func loaded(t *testing.T, shell, policies string) *Rules {
	t.Helper()
	set, err := rules.Load(rules.File{Path: "r.yaml", Data: fmt.Appendf(nil, shellRule, shell)})
	if err != nil {
		t.Fatal(err)
	}
	engine, err := rules.Compile(set)
	if err != nil {
		t.Fatal(err)
	}
	p, err := policy.Parse("p.yaml", []byte(policies))
	if err != nil {
		t.Fatal(err)
	}
	return &Rules{engine, p}
}

// happened is an event with a subject.
type happened struct {
	rules.Recorded
	subject seawall.Subject
}

func (h happened) Event() *seawall.Event    { return h.Recorded.Event }
func (h happened) Subject() seawall.Subject { return h.subject }

func exec(name string, pid int, c *seawall.Container) Event {
	return happened{rules.Recorded{Event: &seawall.Event{Type: "execve", Time: "2026-11-21T09:00:00.000000001Z", Fields: map[string]any{"proc.name": name, "proc.cmdline": name + " -c x"}}},
		seawall.Subject{PID: pid, Start: uint64(pid), Container: c}}
}

func read(pid int, c *seawall.Container) Event {
	return happened{rules.Recorded{Event: &seawall.Event{Type: "openat", Time: "2026-11-21T09:00:01Z", Fields: map[string]any{"proc.name": "cat", "fd.name": "/secret"}}},
		seawall.Subject{PID: pid, Start: uint64(pid), Container: c}}
}

func web() *seawall.Container {
	return &seawall.Container{ID: "c1", Name: "web", Namespace: "shop", Pod: "web-1", Image: "web:1", Digest: "sha256:aa", Workload: "Deployment/shop/web"}
}

// scripted is a source that hands over what it is told to.
type scripted struct {
	events  chan Event
	fail    error
	blind   string
	mu      sync.Mutex
	filters []seawall.EventFilter
	counts  []Counter
}

func (s *scripted) Name() string { return seawall.SourceSyscall }

func (s *scripted) Run(ctx context.Context, f seawall.EventFilter, emit func(Event)) error {
	s.SetFilter(f)
	for {
		select {
		case <-ctx.Done():
			return nil
		case e, ok := <-s.events:
			if !ok {
				return s.fail
			}
			emit(e)
		}
	}
}

func (s *scripted) SetFilter(f seawall.EventFilter) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.filters = append(s.filters, f)
	return nil
}

func (s *scripted) Counters() []Counter { return s.counts }
func (s *scripted) Impaired() string    { return s.blind }

// kept keeps the stream.
type kept struct {
	mu       sync.Mutex
	messages []seawall.Message
	closed   bool
}

func (k *kept) Handle(_ context.Context, m seawall.Message) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.messages = append(k.messages, m)
	return nil
}

func (k *kept) Close() error { k.closed = true; return nil }

// wait waits for a message.
func (k *kept) wait(t *testing.T, want func(m *seawall.Message) bool) seawall.Message {
	t.Helper()
	for {
		k.mu.Lock()
		i := slices.IndexFunc(k.messages, func(m seawall.Message) bool { return want(&m) })
		if i >= 0 {
			m := k.messages[i]
			k.mu.Unlock()
			return m
		}
		k.mu.Unlock()
		select {
		case <-t.Context().Done():
			t.Fatal("the message did not come")
		case <-time.After(time.Millisecond):
		}
	}
}

// enforcer notes what it was asked to do.
type enforcer struct {
	mu   sync.Mutex
	did  []string
	fail error
}

func (e *enforcer) Can(string) bool { return true }

func (e *enforcer) Do(_ context.Context, a enforce.Action) enforce.Outcome {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.did = append(e.did, fmt.Sprintf("%s %d by %s/%s", a.Name, a.Subject.PID, a.Policy, a.Rule))
	return enforce.Outcome{Err: e.fail, Detail: "done"}
}

func (k *kept) count(of func(m *seawall.Message) bool) (n int) {
	for i := range k.messages {
		if of(&k.messages[i]) {
			n++
		}
	}
	return n
}

type run struct {
	source *scripted
	out    *kept
	live   *Live
	stop   func() error
}

func start(t *testing.T, cfg LiveConfig) *run {
	t.Helper()
	r := &run{source: &scripted{events: make(chan Event)}, out: &kept{}}
	cfg.Node, cfg.Sources, cfg.Outputs = "n1", []Source{r.source}, []*Output{{Name: "test", Handler: r.out}}
	if cfg.Rules == nil {
		cfg.Rules = loaded(t, "sh", killPolicy)
	}
	r.live = NewLive(cfg)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- r.live.Run(ctx) }()
	r.stop = sync.OnceValue(func() error {
		cancel()
		return <-ended
	})
	t.Cleanup(func() { r.stop() })
	return r
}

func (r *run) emit(events ...Event) {
	for _, e := range events {
		r.source.events <- e
	}
}

// One finding a match, with who, where and what was done, in a stream that is whole.
func TestLive(t *testing.T) {
	does := &enforcer{}
	r := start(t, LiveConfig{Enforcer: does})
	r.emit(exec("ls", 5, web()), exec("sh", 7, web()), read(8, web()), exec("sh", 9, nil))
	r.out.wait(t, func(m *seawall.Message) bool { return m.Decision != nil && m.Decision.Action == "isolate" })
	r.out.wait(t, func(m *seawall.Message) bool { return m.Finding != nil && m.Finding.Asset == "node:n1" })
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	var order []string
	var findings []seawall.Finding
	var decisions []seawall.Decision
	for _, m := range r.out.messages {
		switch {
		case m.Run != nil:
			order = append(order, "run")
		case m.Asset != nil:
			order = append(order, "asset "+m.Asset.ID)
		case m.Finding != nil:
			findings = append(findings, *m.Finding)
			order = append(order, "finding "+m.Finding.Rule)
		case m.Decision != nil:
			decisions = append(decisions, *m.Decision)
		case m.Status != nil:
			order = append(order, "status "+m.Status.Name)
		case m.Incident != nil:
			order = append(order, "incident "+m.Incident.Title)
		case m.End != nil:
			order = append(order, fmt.Sprint("end ", m.End.Summary.Critical, m.End.Summary.Medium))
		}
	}
	want := []string{"run", "asset node:n1", "asset container:c1", "finding Shell", "finding Secret", "finding Shell",
		"incident Secret and another rule in shop/web-1 (web)", "status sensor/syscall", "end 1 2"}
	if diff := cmp.Diff(want, order); diff != "" {
		t.Error(diff)
	}
	f := findings[0]
	if f.Asset != "container:c1" || f.Location.Resource != "Pod/shop/web-1" || f.Evidence != "sh ran (sh -c x)" || f.Priority != "WARNING" || f.Incident == "" || f.Incident != findings[1].Incident || f.Incident == findings[2].Incident || f.ID == findings[2].ID {
		t.Errorf("%+v", f)
	}
	slices.SortFunc(decisions, func(a, b seawall.Decision) int { return strings.Compare(a.Rule+a.Outcome, b.Rule+b.Outcome) })
	var told []string
	for _, d := range decisions {
		told = append(told, fmt.Sprintf("%s %s %s: %s", d.Asset, d.Action, d.Outcome, d.Reason))
	}
	if len(told) != 3 || !strings.Contains(told[0], "container:c1 isolate enforced") || !strings.Contains(told[1], "container:c1 kill-process enforced") || !strings.Contains(told[2], "node:n1 kill-process failed") || !strings.Contains(told[2], "process of the node") {
		t.Errorf("%q", told)
	}
	if diff := cmp.Diff([]string{"kill-process 7 by no-shells/shell", "isolate 8 by no-shells/secret"}, does.did); diff != "" {
		t.Error(diff)
	}
	if len(r.source.filters) != 1 || !slices.Equal(r.source.filters[0].Types, []string{"execve", "openat"}) || !r.out.closed {
		t.Errorf("filters %+v, closed %v", r.source.filters, r.out.closed)
	}
}

// What is over a rule's rate is counted, and what a policy asks for is done all the same.
func TestLiveRate(t *testing.T) {
	does := &enforcer{}
	r := start(t, LiveConfig{Enforcer: does, Rate: Rate{Burst: 2, Every: time.Hour}})
	other := web()
	other.ID = "c2"
	for pid := range 5 {
		r.emit(exec("sh", 100+pid, web()))
	}
	r.emit(exec("sh", 200, other), exec("sh", 201, other))
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	if n := r.out.count(func(m *seawall.Message) bool { return m.Finding != nil }); n != 4 {
		t.Errorf("%d findings, want 4", n)
	}
	if len(does.did) != 7 {
		t.Errorf("%q", does.did)
	}
	if n := r.out.count(func(m *seawall.Message) bool {
		return m.Status != nil && m.Status.Name == "rule/Shell" && strings.HasPrefix(m.Status.Reason, "3 findings")
	}); n != 1 {
		t.Errorf("%+v", r.out.messages)
	}
}

// A run in which nothing is done says so, and protected namespaces are left alone.
func TestLiveDryRun(t *testing.T) {
	does := &enforcer{}
	system := web()
	system.ID, system.Namespace = "c9", "kube-system"
	r := start(t, LiveConfig{Enforcer: does, Response: respond.Config{DryRun: true, Protected: []string{"kube-system"}}, ExcludedNamespaces: []string{"loud-*"}})
	loud := web()
	loud.Namespace = "loud-1"
	r.emit(exec("sh", 7, web()), exec("sh", 8, system), exec("sh", 9, loud))
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, m := range r.out.messages {
		if m.Decision != nil {
			got = append(got, m.Decision.Asset+" "+m.Decision.Outcome)
		}
	}
	if diff := cmp.Diff([]string{"container:c1 dry-run", "container:c9 failed"}, got); diff != "" || len(does.did) > 0 {
		t.Error(diff, does.did)
	}
	if r.live.counters.excluded.Load() != 1 {
		t.Error("the excluded event is not counted")
	}
}

// New rules replace old ones between two events; a mistake keeps the old ones.
func TestLiveReload(t *testing.T) {
	changed, next := make(chan struct{}), make(chan *Rules, 1)
	r := start(t, LiveConfig{Changed: changed, Reload: func() (*Rules, error) {
		select {
		case fresh := <-next:
			return fresh, nil
		default:
			return nil, errors.New("line 3: mistake")
		}
	}})
	finding := func(pid string) func(m *seawall.Message) bool {
		return func(m *seawall.Message) bool { return m.Finding != nil && strings.HasPrefix(m.Finding.Evidence, pid) }
	}
	r.emit(exec("sh", 1, web()))
	r.out.wait(t, finding("sh"))
	changed <- struct{}{}
	next <- loaded(t, "ash", killPolicy)
	changed <- struct{}{} // taken when the first try is over
	for r.live.counters.reloads.done.Load() == 0 {
		time.Sleep(time.Millisecond)
	}
	r.emit(exec("sh", 2, web()), exec("ash", 3, web()))
	r.out.wait(t, finding("ash"))
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	if n := r.out.count(func(m *seawall.Message) bool { return m.Finding != nil }); n != 2 {
		t.Errorf("%d findings, want 2", n)
	}
	if len(r.source.filters) != 2 {
		t.Errorf("filters %+v", r.source.filters)
	}
}

// A sensor that fails ends the run, and what it found is told.
func TestLiveSourceFails(t *testing.T) {
	r := start(t, LiveConfig{})
	r.source.fail = errors.New("no ring buffer")
	r.emit(exec("sh", 1, web()))
	close(r.source.events)
	r.out.wait(t, func(m *seawall.Message) bool { return m.End != nil })
	if err := r.stop(); err == nil || !strings.Contains(err.Error(), "syscall: no ring buffer") {
		t.Errorf("%v", err)
	}
	if n := r.out.count(func(m *seawall.Message) bool { return m.Finding != nil }); n != 1 {
		t.Errorf("%d findings", n)
	}
}

// witness is an observer that finds every seventh process and knows who is behind all.
type witness struct{}

func (witness) Name() string { return "witness" }

func (witness) Observe(e Event) []seawall.Finding {
	if s := e.Subject(); s.PID == 7 {
		return []seawall.Finding{{Kind: seawall.KindRuntime, Rule: "SW-TEST-001", Status: seawall.StatusFail, Severity: seawall.SeverityLow, Time: e.Event().Time}}
	}
	return nil
}

func (witness) Complete(f *seawall.Finding, _ *seawall.Subject) {
	f.Actor = &seawall.Actor{User: "eve"}
}

func TestLiveObserver(t *testing.T) {
	r := start(t, LiveConfig{Observers: []Observer{witness{}}, Knowledge: &incident.Knowledge{}})
	r.emit(exec("ls", 7, web()), exec("sh", 8, web()))
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, m := range r.out.messages {
		if m.Finding != nil {
			got = append(got, m.Finding.Rule+" "+m.Finding.Asset)
		}
		if m.Incident != nil && (m.Incident.Cause == nil || m.Incident.Cause.Digest != "sha256:aa" || m.Incident.Cause.Shell.User != "eve") {
			t.Errorf("%+v", m.Incident.Cause)
		}
	}
	if diff := cmp.Diff([]string{"SW-TEST-001 container:c1", "Shell container:c1"}, got); diff != "" {
		t.Error(diff)
	}
}

// broken is an event that is wrong inside.
type broken struct{ happened }

func (broken) Value(*seawall.FieldRef, int, *seawall.Value) bool { panic("index out of range") }

// An event that breaks the judging is counted and told; the next one is judged.
func TestLiveBrokenEvent(t *testing.T) {
	r := start(t, LiveConfig{})
	r.emit(broken{exec("sh", 1, web()).(happened)}, exec("sh", 2, web()))
	r.out.wait(t, func(m *seawall.Message) bool { return m.Finding != nil })
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	if n := r.out.count(func(m *seawall.Message) bool {
		return m.Status != nil && m.Status.Name == "judge" && m.Status.Reason == "1 event could not be judged"
	}); n != 1 {
		t.Errorf("%+v", r.out.messages)
	}
}

// Losses stand beside the result.
func TestLiveLosses(t *testing.T) {
	r := start(t, LiveConfig{})
	r.source.counts = []Counter{{FateLost, "openat", 2}, {FateLost, "execve", 1}, {FateEmitted, "execve", 9}, {FateLimited, "", 4}}
	r.emit(exec("ls", 1, web()))
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(r.out.messages, func(m seawall.Message) bool { return m.Status != nil })
	want := seawall.CollectorStatus{Asset: "node:n1", Name: "sensor/syscall", Status: seawall.RunPartial, Reason: "4 events limited, 3 events lost", Found: 1}
	if diff := cmp.Diff(&want, r.out.messages[i].Status); diff != "" {
		t.Error(diff)
	}
}

// What is not looked at is told: a source that sees nothing, a rule that does not run.
func TestLiveNotEvaluated(t *testing.T) {
	set, err := rules.Load(rules.File{Path: "r.yaml", Data: []byte(`
- {rule: Never, desc: d, condition: evt.type = execve and no.field = x, output: o, priority: WARNING}
- {rule: Elsewhere, desc: d, condition: no.field = x, output: o, priority: WARNING, source: k8s_audit}
`)})
	if err != nil {
		t.Fatal(err)
	}
	engine, err := rules.Compile(set)
	if err != nil {
		t.Fatal(err)
	}
	r := start(t, LiveConfig{Rules: &Rules{engine, &policy.Set{}}})
	r.source.blind = "it is not there"
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	var got []seawall.CollectorStatus
	for _, m := range r.out.messages {
		if m.Status != nil {
			got = append(got, *m.Status)
		}
	}
	want := []seawall.CollectorStatus{
		{Asset: "node:n1", Name: "sensor/syscall", Status: seawall.RunPartial, Reason: "it is not there"},
		{Asset: "node:n1", Name: "rule/Never", Status: seawall.RunSkipped, Reason: "unsupported: field no.field"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// stuck takes nothing until it is let go.
type stuck struct{ free chan struct{} }

func (s stuck) Handle(ctx context.Context, _ seawall.Message) error { <-s.free; return nil }
func (s stuck) Close() error                                        { return nil }

// An output that is stuck holds up neither the others nor the end.
func TestStuckOutput(t *testing.T) {
	out, s := &kept{}, stuck{make(chan struct{})}
	o := startOutputs([]*Output{{Name: "stuck", Handler: s}, {Name: "fine", Handler: out}}, slog.New(slog.DiscardHandler))
	for range 2 * maxQueued {
		o.send(seawall.Message{Status: &seawall.CollectorStatus{}})
		if len(o.list[1].queue) == maxQueued {
			time.Sleep(time.Millisecond)
		}
	}
	if err := o.close(time.Second); err == nil || !strings.Contains(err.Error(), "output stuck takes nothing more") {
		t.Errorf("%v", err)
	}
	if dropped := o.list[0].dropped.Load(); dropped < maxQueued-1 {
		t.Errorf("%d messages dropped", dropped)
	}
	close(s.free)
	if <-o.ended[0]; !out.closed {
		t.Error("the other output was not closed")
	}
}

// failing is a finder that fails at once, and then finds.
type failing struct{}

func (*failing) Name() string { return "failing" }

func (f *failing) Run(ctx context.Context, tell func(seawall.Finding, seawall.Subject)) error {
	tell(seawall.Finding{Kind: seawall.KindIntegrity, Rule: "SW-FIM-001", Status: seawall.StatusFail, Title: "t"}, seawall.Subject{Container: web()})
	return errors.New("no")
}

// What is found beside events is told; a finder that fails does not end the run.
func TestFinder(t *testing.T) {
	r := start(t, LiveConfig{Finders: []Finder{&failing{}}})
	f := r.out.wait(t, func(m *seawall.Message) bool { return m.Finding != nil }).Finding
	if f.Asset != "container:c1" || f.ID == "" || f.Location.Resource != "Pod/shop/web-1" {
		t.Errorf("%+v", f)
	}
	r.emit(exec("sh", 1, web()))
	r.out.wait(t, func(m *seawall.Message) bool { return m.Finding != nil && m.Finding.Rule == "Shell" })
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
}

func TestLimiter(t *testing.T) {
	l := limiter{Rate: Rate{Burst: 3, Every: time.Second}}
	now := time.Date(2026, 11, 21, 9, 0, 0, 0, time.UTC)
	allowed := 0
	for i := range 100 { // ten a second
		if l.allow(nil, "c", now.Add(time.Duration(i)*100*time.Millisecond)) {
			allowed++
		}
	}
	if allowed != 3+9 {
		t.Errorf("%d allowed, want 12", allowed)
	}
	for i := range 3 * maxBuckets {
		if !l.allow(nil, fmt.Sprint(i), now) {
			t.Fatal("another container is limited")
		}
	}
	if len(l.buckets) > maxBuckets {
		t.Errorf("%d buckets", len(l.buckets))
	}
	none := limiter{}
	for range 100 {
		if !none.allow(nil, "c", now) {
			t.Fatal("limited without a limit")
		}
	}
}

// BenchmarkJudge is what the agent adds to an event no rule is true for.
func BenchmarkJudge(b *testing.B) {
	set, err := rules.Load(rules.Own()...)
	if err != nil {
		b.Fatal(err)
	}
	engine, err := rules.Compile(set)
	if err != nil {
		b.Fatal(err)
	}
	l := NewLive(LiveConfig{Rules: &Rules{engine, &policy.Set{}}})
	j := &judge{Live: l, source: seawall.SourceSyscall}
	e := exec("ls", 1, web())
	b.ReportAllocs()
	for b.Loop() {
		j.event(e)
	}
}
