// Package controller is what the admission webhook needs of the cluster that it
// serves: the policies in force, certificates, its registration, and the background
// scan of what already runs.
//
//	watch ──► Snapshot ──► admission.Handler ◄── API server
//	  │                        ▲ TLS
//	  ├─► interests ─► register │         every replica: policies, certificates, statuses
//	certificate ─────► register │         the leader (a Lease): registration, background scan
package controller

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"slices"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"

	"github.com/seawall-security/seawall/internal/admission"
	"github.com/seawall-security/seawall/internal/admission/certificate"
	"github.com/seawall-security/seawall/internal/admission/register"
	"github.com/seawall-security/seawall/internal/admission/watch"
	"github.com/seawall-security/seawall/internal/policy"
	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/store"
)

// Config says where the webhook is and what it may do.
type Config struct {
	// Kubeconfig is a file, "" for the cluster that this process runs in.
	Kubeconfig string
	Register   register.Config
	Lifetimes  certificate.Lifetimes
	// Secret and Lease are the names of those objects in Register.Namespace.
	Secret, Lease string
	// Replica tells this process from the others.
	Replica string
	// PodSecurity are prefixes of namespaces' labels: see admission.NewSnapshot.
	PodSecurity []string

	// Cluster is its name in results; Results nil makes no background scan.
	Cluster            string
	Results            store.Results
	BackgroundInterval time.Duration

	Metrics prometheus.Registerer
	Log     *slog.Logger
	Now     func() time.Time
}

// Controller serves one cluster. What it has is for the Handler's Config.
type Controller struct {
	Config
	dynamic   dynamic.Interface
	typed     kubernetes.Interface
	registry  *register.Registry
	keeper    *certificate.Keeper
	policies  *watch.Policies
	names     *watch.Namespaces
	statuses  *watch.Statuses
	resources atomic.Pointer[[]register.Resource]
	snapshot  atomic.Pointer[admission.Snapshot]
	metrics   *metrics
	// register and rescan are asked for by a token; one that waits is enough.
	register, rescan chan struct{}
	// unread are the resources that the background scan was last told to leave out.
	unread []string
}

// New connects nothing yet. A kubeconfig that is none is an ErrUsage.
func New(c Config) (*Controller, error) {
	if err := c.Lifetimes.Check(); err != nil {
		return nil, err
	}
	config, err := restConfig(c.Kubeconfig)
	if err != nil {
		return nil, err
	}
	config.UserAgent, config.QPS, config.Burst = "seawall", 50, 100
	klog.SetSlogLogger(c.Log)
	k := &Controller{Config: c, names: &watch.Namespaces{}, metrics: newMetrics(c.Metrics), register: make(chan struct{}, 1), rescan: make(chan struct{}, 1)}
	if k.dynamic, err = dynamic.NewForConfig(config); err != nil {
		return nil, fmt.Errorf("kubeconfig: %w: %w", seawall.ErrUsage, err)
	}
	if k.typed, err = kubernetes.NewForConfig(config); err != nil {
		return nil, fmt.Errorf("kubeconfig: %w: %w", seawall.ErrUsage, err)
	}
	empty, err := admission.NewSnapshot(&policy.Set{}, c.PodSecurity)
	if err != nil {
		return nil, err
	}
	k.snapshot.Store(empty)
	k.resources.Store(&[]register.Resource{})
	k.policies = watch.New(c.Now, k.changed)
	k.statuses = &watch.Statuses{Client: k.dynamic, Policies: k.policies, Now: c.Now}
	k.registry = &register.Registry{Client: k.typed.AdmissionregistrationV1()}
	k.keeper = &certificate.Keeper{
		Store: &secret{client: k.typed.CoreV1().Secrets(c.Register.Namespace), name: c.Secret}, Names: c.Register.Names(), Lifetimes: c.Lifetimes, Now: c.Now,
		Published: func(ctx context.Context, authorities []byte) bool {
			return k.registry.Published(ctx, c.Register.Name, authorities)
		},
		Changed: func(what string) { c.Log.Info("certificates", "change", what) },
	}
	return k, nil
}

func restConfig(kubeconfig string) (*rest.Config, error) {
	if kubeconfig == "" {
		config, err := rest.InClusterConfig()
		if err != nil {
			return nil, seawall.WithHint(fmt.Errorf("no cluster: %w: %w", seawall.ErrUsage, err), "run it in a pod with a service account, or name a kubeconfig: --kubeconfig FILE")
		}
		return config, nil
	}
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("kubeconfig: %w: %w", seawall.ErrUsage, err)
	}
	return config, nil
}

// TLS serves the current certificate.
func (k *Controller) TLS() *tls.Config { return k.keeper.TLS() }

// Snapshot is the policies in force.
func (k *Controller) Snapshot() *admission.Snapshot { return k.snapshot.Load() }

// Check is the handler of register.PathCheck.
func (k *Controller) Check(w http.ResponseWriter, r *http.Request) { k.policies.Check(w, r) }

// Decided counts a decision for the status of its policy.
func (k *Controller) Decided(d *seawall.Decision) { k.statuses.Seen(d) }

// Namespace is a Namespace object; one made a moment ago is asked for.
func (k *Controller) Namespace(ctx context.Context, name string) (map[string]any, error) {
	if ns := k.names.Get(name); ns != nil {
		return ns, nil
	}
	ns, err := k.dynamic.Resource(namespaces()).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return nil, fmt.Errorf("namespace %s: %w", name, err)
	}
	return ns.Object, nil
}

// Ready says what is still missing before reviews can be answered; nil is nothing.
func (k *Controller) Ready() error {
	switch {
	case k.keeper.Authorities() == nil:
		return errors.New("no certificate yet")
	case !k.policies.Ready():
		return errors.New("the policies are not read yet")
	case !k.names.Ready():
		return errors.New("the namespaces are not read yet")
	}
	return nil
}

// changed takes in a new set of policies.
func (k *Controller) changed(set *policy.Set, problems []watch.Problem) {
	snapshot, err := admission.NewSnapshot(set, k.PodSecurity)
	if err != nil {
		k.Log.Error("policies: the ones before stay in force", "error", err)
		return
	}
	k.snapshot.Store(snapshot)
	k.metrics.policies.Set(float64(len(set.Policies)))
	k.metrics.exceptions.Set(float64(len(set.Exceptions)))
	k.metrics.problems.Set(float64(len(problems)))
	for _, p := range problems {
		k.Log.Warn("not in force as it is written", "kind", p.Kind, "name", p.Name, "field", p.Field, "error", p.Message)
	}
	k.Log.Info("policies", "policies", len(set.Policies), "exceptions", len(set.Exceptions), "problems", len(problems))
	poke(k.register)
	poke(k.rescan)
}

// poke leaves a token, unless there is one.
func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// watched are the resources whose objects the background scan judges: those that
// policies are about and Seawall may read. The others are told when they change.
func (k *Controller) watched(ctx context.Context) []schema.GroupVersionResource {
	var out []schema.GroupVersionResource
	var unread []string
	interests := k.Snapshot().Interests()
	for _, r := range *k.resources.Load() {
		if !slices.ContainsFunc(interests, func(i policy.Interest) bool { return register.Concerns(&i, &r) }) {
			continue
		}
		gvr := schema.GroupVersionResource{Group: r.Group, Version: r.Version, Resource: r.Name}
		if r.Group == "" && r.Name == "secrets" || !k.mayRead(ctx, gvr) {
			unread = append(unread, gvr.GroupResource().String())
			continue
		}
		out = append(out, gvr)
	}
	if !slices.Equal(unread, k.unread) && ctx.Err() == nil {
		k.unread = unread
		k.Log.Info("not judged in the background: secrets never are, others for want of rights", "resources", unread)
	}
	return out
}

// mayRead asks the API server. What it cannot say is tried.
func (k *Controller) mayRead(ctx context.Context, r schema.GroupVersionResource) bool {
	for _, verb := range []string{"list", "watch"} {
		review := &authorizationv1.SelfSubjectAccessReview{Spec: authorizationv1.SelfSubjectAccessReviewSpec{
			ResourceAttributes: &authorizationv1.ResourceAttributes{Group: r.Group, Version: r.Version, Resource: r.Resource, Verb: verb},
		}}
		answer, err := k.typed.AuthorizationV1().SelfSubjectAccessReviews().Create(ctx, review, metav1.CreateOptions{})
		if err == nil && !answer.Status.Allowed {
			return false
		}
	}
	return true
}

func namespaces() schema.GroupVersionResource {
	return schema.GroupVersionResource{Version: "v1", Resource: "namespaces"}
}

// Replica is a name for this process: the pod's, or the machine's with the process id.
func Replica() string {
	host, err := os.Hostname()
	if err != nil {
		host = "seawall"
	}
	return fmt.Sprintf("%s-%d", host, os.Getpid())
}
