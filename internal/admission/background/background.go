// Package background judges what already runs by the policies of admission:
// everything once, then whatever changes, and everything again when the policies
// changed or time has passed. Results go to the store, never into the cluster.
//
//	Resources -> follow -> what is new or different -> Judge -> Results
//
// Objects whose controller makes pods are judged as their controller's. Of an
// object only a fingerprint is kept.
package background

import (
	"context"
	"encoding/json"
	"hash/fnv"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"

	"github.com/seawall-security/seawall/internal/admission"
	"github.com/seawall-security/seawall/internal/admission/follow"
	"github.com/seawall-security/seawall/internal/policy"
	"github.com/seawall-security/seawall/internal/store"
)

// Judge comes to a judgement of an object without a request. admission.Handler does.
type Judge interface {
	Judge(ctx context.Context, object map[string]any) (admission.Judgement, error)
}

// Scan is a background scan of one cluster.
type Scan struct {
	Client  dynamic.Interface
	Judge   Judge
	Results store.Results
	// Cluster is its name in results.
	Cluster string
	// Excluded are namespaces where nothing is judged.
	Excluded []string
	// Interval is how often everything is judged again: images' verdicts change while objects do not.
	Interval time.Duration
	Now      func() time.Time
	Log      *slog.Logger
	Metrics  *Metrics
}

// Metrics are those of background scans.
type Metrics struct {
	judged     *prometheus.CounterVec
	violations *prometheus.GaugeVec
	round      prometheus.Gauge
}

// NewMetrics registers them.
func NewMetrics(r prometheus.Registerer) *Metrics {
	m := &Metrics{
		judged: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "seawall_background_judged_total",
			Help: "Objects judged by the background scan, by result: ok, violations, error."}, []string{"result"}),
		violations: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "seawall_background_violations",
			Help: "Objects in the cluster that a policy decides against, by policy."}, []string{"policy"}),
		round: prometheus.NewGauge(prometheus.GaugeOpts{Name: "seawall_background_last_complete_timestamp_seconds",
			Help: "When everything had been judged the last time."}),
	}
	r.MustRegister(m.judged, m.violations, m.round)
	return m
}

// change is an object to judge, or one that is gone, or (without an object) the end of a list.
type change struct {
	object follow.Object
	gone   bool
}

// state is what is remembered of the objects of one round.
type state struct {
	seen map[string]uint64
	// decided are the policies that decide against an object.
	decided map[string][]string
	counts  map[string]int
}

// Run judges until ctx ends. resources are asked at the beginning of every round;
// restart begins another.
func (s *Scan) Run(ctx context.Context, resources func(context.Context) []schema.GroupVersionResource, restart <-chan struct{}) {
	for ctx.Err() == nil {
		round, cancel := context.WithTimeout(ctx, s.Interval)
		go func() {
			select {
			case <-restart:
				cancel()
			case <-round.Done():
			}
		}()
		s.round(round, resources(round))
		cancel()
	}
}

// round follows the resources until ctx ends.
func (s *Scan) round(ctx context.Context, resources []schema.GroupVersionResource) {
	began := s.Now()
	const waiting = 100
	changes := make(chan change, waiting)
	var followers sync.WaitGroup
	for _, r := range resources {
		followers.Go(func() {
			follow.Run(ctx, s.Client, follow.What{Resource: r, Trim: trim}, &queue{ctx: ctx, to: changes})
		})
	}
	s.Metrics.violations.Reset()
	st := &state{map[string]uint64{}, map[string][]string{}, map[string]int{}}
	for lists := 0; ctx.Err() == nil; {
		select {
		case <-ctx.Done():
		case c := <-changes:
			if c.object != nil {
				s.take(ctx, st, c)
				continue
			}
			if lists++; lists == len(resources) {
				s.complete(ctx, began)
			}
		}
	}
	followers.Wait()
}

// complete forgets what this round did not see.
func (s *Scan) complete(ctx context.Context, began time.Time) {
	if _, err := s.Results.PruneResults(ctx, s.Cluster, began); err != nil && ctx.Err() == nil {
		s.Log.Error("background scan", "error", err)
	}
	s.Metrics.round.Set(float64(s.Now().Unix()))
}

// take judges one object unless nothing of interest changed.
func (s *Scan) take(ctx context.Context, st *state, c change) {
	meta, _ := c.object["metadata"].(map[string]any)
	uid, _ := meta["uid"].(string)
	namespace, _ := meta["namespace"].(string)
	if slices.Contains(s.Excluded, namespace) || controlled(meta) {
		return
	}
	if c.gone {
		delete(st.seen, uid)
		s.count(st, uid, nil)
		if err := s.Results.DeleteResult(ctx, uid); err != nil && ctx.Err() == nil {
			s.Log.Error("background scan", "error", err)
		}
		return
	}
	print := fingerprint(c.object)
	if st.seen[uid] == print {
		return
	}
	result, err := s.judge(ctx, c.object, meta)
	if err == nil {
		err = s.Results.PutResult(ctx, result)
	}
	if err != nil {
		if ctx.Err() == nil {
			s.Metrics.judged.WithLabelValues("error").Inc()
			s.Log.Error("background scan", "kind", c.object["kind"], "namespace", namespace, "name", meta["name"], "error", err)
		}
		return
	}
	st.seen[uid] = print
	s.count(st, uid, result)
}

func (s *Scan) judge(ctx context.Context, object, meta map[string]any) (*store.Result, error) {
	judgement, err := s.Judge.Judge(ctx, object)
	if err != nil {
		return nil, err
	}
	r := &store.Result{Cluster: s.Cluster, Judged: s.Now(), Findings: judgement.Findings, Decisions: judgement.Decisions}
	r.UID, _ = meta["uid"].(string)
	r.Name, _ = meta["name"].(string)
	r.Namespace, _ = meta["namespace"].(string)
	r.Kind, _ = object["kind"].(string)
	r.APIVersion, _ = object["apiVersion"].(string)
	return r, nil
}

// count keeps the gauge of violations.
func (s *Scan) count(st *state, uid string, r *store.Result) {
	against := map[string]bool{}
	if r != nil {
		for i := range r.Decisions {
			against[r.Decisions[i].Policy] = true
		}
		s.Metrics.judged.WithLabelValues(map[bool]string{true: "violations", false: "ok"}[len(against) > 0]).Inc()
	}
	for _, p := range st.decided[uid] {
		st.counts[p]--
		s.Metrics.violations.WithLabelValues(p).Set(float64(st.counts[p]))
	}
	delete(st.decided, uid)
	for p := range maps.Keys(against) {
		st.decided[uid] = append(st.decided[uid], p)
		st.counts[p]++
		s.Metrics.violations.WithLabelValues(p).Set(float64(st.counts[p]))
	}
}

// queue hands changes to the one who judges, and waits for it.
type queue struct {
	ctx    context.Context
	to     chan<- change
	listed bool
}

func (q *queue) put(c change) {
	select {
	case q.to <- c:
	case <-q.ctx.Done():
	}
}

// Replace implements follow.Follower. What vanished unseen is pruned by the next round.
func (q *queue) Replace(objects []follow.Object) {
	for _, o := range objects {
		q.put(change{object: o})
	}
	if !q.listed {
		q.listed = true
		q.put(change{})
	}
}

// Set implements follow.Follower.
func (q *queue) Set(o follow.Object) { q.put(change{object: o}) }

// Delete implements follow.Follower.
func (q *queue) Delete(o follow.Object) { q.put(change{object: o, gone: true}) }

// trim leaves what policies judge; of controlled objects, that they are.
func trim(o follow.Object) {
	meta, _ := o["metadata"].(map[string]any)
	delete(o, "status")
	if controlled(meta) {
		delete(o, "spec")
	}
}

// controlled says whether a controller that makes pods made the object.
func controlled(meta map[string]any) bool {
	owners, _ := meta["ownerReferences"].([]any)
	for _, o := range owners {
		owner, _ := o.(map[string]any)
		kind, _ := owner["kind"].(string)
		if is, _ := owner["controller"].(bool); is && policy.MakesPods(kind) {
			return true
		}
	}
	return false
}

// fingerprint is of everything but what changes by itself.
func fingerprint(o follow.Object) uint64 {
	meta, _ := o["metadata"].(map[string]any)
	kept := maps.Clone(o)
	m := maps.Clone(meta)
	delete(m, "resourceVersion")
	kept["metadata"] = m
	h := fnv.New64a()
	_ = json.NewEncoder(h).Encode(kept) // it came as JSON
	return h.Sum64()
}
