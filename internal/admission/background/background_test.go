package background

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
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic/fake"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/seawall-security/seawall/internal/admission"
	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/store"
	"github.com/seawall-security/seawall/internal/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }

var deployments = schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "deployments"}
var pods = schema.GroupVersionResource{Version: "v1", Resource: "pods"}

func object(kind, name, image string) *unstructured.Unstructured {
	version := map[string]string{"Pod": "v1", "Deployment": "apps/v1"}[kind]
	return &unstructured.Unstructured{Object: map[string]any{"apiVersion": version, "kind": kind,
		"metadata": map[string]any{"name": name, "namespace": "shop", "uid": kind + "-" + name, "resourceVersion": "1"},
		"spec":     map[string]any{"image": image}, "status": map[string]any{"ready": int64(1)}}}
}

// judge decides against the image "bad" and notes what it was asked.
type judge struct {
	mu    sync.Mutex
	asked []string
	fails bool
}

func (j *judge) Judge(_ context.Context, o map[string]any) (admission.Judgement, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	name := o["metadata"].(map[string]any)["name"].(string)
	j.asked = append(j.asked, name)
	if o["status"] != nil {
		return admission.Judgement{}, errors.New("a status is nothing to judge")
	}
	if j.fails {
		return admission.Judgement{}, errors.New("no facts")
	}
	if o["spec"].(map[string]any)["image"] == "bad" {
		return admission.Judgement{Decisions: []seawall.Decision{{Policy: "p", Action: "block"}}}, nil
	}
	return admission.Judgement{}, nil
}

// results keeps what is put.
type results struct {
	mu     sync.Mutex
	byUID  map[string]store.Result
	pruned int
}

func (r *results) PutResult(_ context.Context, x *store.Result) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.byUID[x.UID] = *x
	return nil
}

func (r *results) DeleteResult(_ context.Context, uid string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.byUID, uid)
	return nil
}

func (r *results) PruneResults(_ context.Context, _ string, before time.Time) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.pruned++
	for uid, x := range r.byUID {
		if x.Judged.Before(before) {
			delete(r.byUID, uid)
		}
	}
	return 0, nil
}

func (r *results) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []string
	for _, x := range r.byUID {
		out = append(out, fmt.Sprint(x.Kind, "/", x.Namespace, "/", x.Name, " ", len(x.Decisions)))
	}
	slices.Sort(out)
	return strings.Join(out, ", ")
}

func (r *results) Results(context.Context, store.ResultQuery) ([]store.Result, error) {
	return nil, nil
}

func (r *results) rounds() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.pruned
}

func eventually(t *testing.T, what string, ask func() error) {
	t.Helper()
	var err error
	for range 1000 {
		if err = ask(); err == nil {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("%s: %v", what, err)
}

func TestScan(t *testing.T) {
	controlled := object("Pod", "made", "bad")
	yes := true
	controlled.SetOwnerReferences([]metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "ReplicaSet", Name: "r", UID: "r", Controller: &yes}})
	custom := object("Pod", "custom", "good")
	custom.SetOwnerReferences([]metav1.OwnerReference{{APIVersion: "example.org/v1", Kind: "Runner", Name: "r", UID: "r", Controller: &yes}})
	client := fake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(),
		map[schema.GroupVersionResource]string{deployments: "DeploymentList", pods: "PodList"},
		object("Deployment", "web", "good"), object("Deployment", "sick", "bad"), controlled, custom)
	j, r := &judge{}, &results{byUID: map[string]store.Result{"gone": {UID: "gone", Kind: "Pod", Name: "gone", Judged: time.Unix(0, 0)}}}
	registry := prometheus.NewRegistry()
	s := &Scan{Client: client, Judge: j, Results: r, Interval: time.Hour, Now: time.Now, Log: slog.New(slog.DiscardHandler), Metrics: NewMetrics(registry)}
	ctx, stop := context.WithCancel(t.Context())
	done, restart := make(chan struct{}), make(chan struct{}, 1)
	go func() {
		s.Run(ctx, func(context.Context) []schema.GroupVersionResource {
			return []schema.GroupVersionResource{deployments, pods}
		}, restart)
		close(done)
	}()
	defer func() { stop(); <-done }()
	is := func(want string, rounds int) {
		t.Helper()
		eventually(t, want, func() error {
			if got := r.String(); got != want || r.rounds() < rounds {
				return fmt.Errorf("%s after %d rounds", got, r.rounds())
			}
			return nil
		})
	}
	is("Deployment/shop/sick 1, Deployment/shop/web 0, Pod/shop/custom 0", 1)
	violations := func() float64 { return testutil.ToFloat64(s.Metrics.violations.WithLabelValues("p")) }
	if violations() != 1 {
		t.Errorf("%v violations", violations())
	}

	// A changed object is judged; one of which only the status changed is not.
	asked := len(j.asked)
	same := object("Deployment", "web", "good")
	same.Object["status"], same.Object["metadata"].(map[string]any)["resourceVersion"] = map[string]any{"ready": int64(2)}, "2"
	for _, o := range []*unstructured.Unstructured{same, object("Deployment", "sick", "good"), object("Deployment", "web", "bad")} {
		if _, err := client.Resource(deployments).Namespace("shop").Update(ctx, o, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	is("Deployment/shop/sick 0, Deployment/shop/web 1, Pod/shop/custom 0", 1)
	if diff := cmp.Diff([]string{"sick", "web"}, j.asked[asked:]); diff != "" {
		t.Error(diff)
	}
	if err := client.Resource(deployments).Namespace("shop").Delete(ctx, "web", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	is("Deployment/shop/sick 0, Pod/shop/custom 0", 1)
	eventually(t, "the gauge", func() error {
		if violations() != 0 {
			return fmt.Errorf("%v violations", violations())
		}
		return nil
	})

	// Other policies: everything again.
	restart <- struct{}{}
	is("Deployment/shop/sick 0, Pod/shop/custom 0", 2)
}

// TestNotJudged: what could not be judged has no result, and is tried again with the next change.
func TestNotJudged(t *testing.T) {
	j, r := &judge{fails: true}, &results{byUID: map[string]store.Result{}}
	s := &Scan{Judge: j, Results: r, Now: time.Now, Log: slog.New(slog.DiscardHandler), Metrics: NewMetrics(prometheus.NewRegistry()), Excluded: []string{"own"}}
	st := &state{map[string]uint64{}, map[string][]string{}, map[string]int{}}
	o := object("Pod", "a", "good").Object
	delete(o, "status")
	s.take(t.Context(), st, change{object: o})
	j.fails = false
	s.take(t.Context(), st, change{object: o})
	s.take(t.Context(), st, change{object: o})
	own := object("Pod", "b", "good")
	own.SetNamespace("own")
	s.take(t.Context(), st, change{object: own.Object})
	if r.String() != "Pod/shop/a 0" || len(j.asked) != 2 || testutil.ToFloat64(s.Metrics.judged.WithLabelValues("error")) != 1 {
		t.Errorf("%s; asked %v", r, j.asked)
	}
}
