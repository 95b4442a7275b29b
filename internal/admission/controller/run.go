package controller

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"

	"github.com/seawall-security/seawall/internal/admission/background"
	"github.com/seawall-security/seawall/internal/admission/follow"
	"github.com/seawall-security/seawall/internal/admission/register"
	"github.com/seawall-security/seawall/internal/admission/watch"
)

// How often things are looked after. What must be quick is told at once; this is for
// what was missed.
const (
	statusInterval   = 30 * time.Second
	discoverInterval = 5 * time.Minute
	// settle is how long to wait for the next change of the same kind.
	settle = time.Second
)

// Run keeps up with the cluster until ctx ends. judge is what the background scan asks.
func (k *Controller) Run(ctx context.Context, judge background.Judge) error {
	var all sync.WaitGroup
	for what, to := range map[schema.GroupVersionResource]follow.Follower{
		watch.PoliciesResource(): k.policies.OfPolicies(), watch.ExceptionsResource(): k.policies.OfExceptions(), namespaces(): k.names,
	} {
		all.Go(func() { follow.Run(ctx, k.dynamic, follow.What{Resource: what}, to) })
	}
	all.Go(func() { k.certify(ctx) })
	all.Go(func() {
		k.every(ctx, statusInterval, nil, func() error { return k.statuses.Write(ctx) })
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), settle)
		defer cancel()
		if err := k.statuses.Write(last); err != nil {
			k.warn(err)
		}
	})
	all.Go(func() { k.lead(ctx, judge) })
	all.Wait()
	return nil
}

func (k *Controller) warn(err error) { k.Log.Warn("cluster", "error", err) }

// every does something now, after an interval, and when poked, a moment later.
func (k *Controller) every(ctx context.Context, interval time.Duration, poked <-chan struct{}, do func() error) {
	for {
		if err := do(); err != nil && ctx.Err() == nil {
			k.warn(err)
		}
		wait := time.NewTimer(interval)
		select {
		case <-wait.C:
		case <-poked:
			wait.Stop()
			select {
			case <-time.After(settle):
			case <-ctx.Done():
			}
		case <-ctx.Done():
			wait.Stop()
		}
		if ctx.Err() != nil {
			return
		}
	}
}

// certify keeps the certificates. Until there are some it tries every second.
func (k *Controller) certify(ctx context.Context) {
	for ctx.Err() == nil && k.keeper.Authorities() == nil {
		if _, err := k.keeper.Sync(ctx); err != nil {
			k.warn(err)
			select {
			case <-time.After(settle):
			case <-ctx.Done():
			}
		}
	}
	poke(k.register)
	k.every(ctx, k.keeper.Interval(), nil, func() error {
		changed, err := k.keeper.Sync(ctx)
		if changed {
			poke(k.register)
		}
		k.metrics.expires.Set(float64(k.keeper.Expires().Unix()))
		return err
	})
}

// lead does what only one replica does, while it is the one.
func (k *Controller) lead(ctx context.Context, judge background.Judge) {
	lock := &resourcelock.LeaseLock{
		LeaseMeta:  metav1.ObjectMeta{Namespace: k.Config.Register.Namespace, Name: k.Lease},
		Client:     k.typed.CoordinationV1(),
		LockConfig: resourcelock.ResourceLockConfig{Identity: k.Replica},
	}
	for ctx.Err() == nil {
		elector, err := leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
			Lock: lock, Name: k.Lease, ReleaseOnCancel: true,
			LeaseDuration: 15 * time.Second, RenewDeadline: 10 * time.Second, RetryPeriod: 2 * time.Second,
			Callbacks: leaderelection.LeaderCallbacks{
				OnStartedLeading: func(ctx context.Context) { k.leading(ctx, judge) },
				OnStoppedLeading: func() { k.metrics.leader.Set(0) },
			},
		})
		if err != nil {
			k.warn(err)
			return
		}
		elector.Run(ctx)
	}
}

func (k *Controller) leading(ctx context.Context, judge background.Judge) {
	k.metrics.leader.Set(1)
	k.Log.Info("leading", "replica", k.Replica)
	var all sync.WaitGroup
	for _, resource := range []string{"validatingwebhookconfigurations", "mutatingwebhookconfigurations"} {
		what := follow.What{Resource: schema.GroupVersionResource{Group: "admissionregistration.k8s.io", Version: "v1", Resource: resource},
			Name: k.Config.Register.Name}
		all.Go(func() { follow.Run(ctx, k.dynamic, what, poker(k.register)) })
	}
	all.Go(func() { k.every(ctx, discoverInterval, k.register, func() error { return k.sync(ctx) }) })
	if k.Results != nil {
		all.Go(func() { k.scan(ctx, judge) })
	}
	all.Wait()
}

// sync brings the registration in step. Nothing is registered before there is
// something to answer with.
func (k *Controller) sync(ctx context.Context) error {
	if err := k.Ready(); err != nil {
		return fmt.Errorf("not registering: %w", err)
	}
	resources, err := register.Discover(k.typed.Discovery(), *k.resources.Load())
	if err != nil {
		return err
	}
	if !slices.Equal(resources, *k.resources.Load()) {
		k.resources.Store(&resources)
		poke(k.rescan)
	}
	want := register.Build(k.Config.Register, k.Snapshot().Interests(), resources, k.keeper.Authorities())
	changed, err := k.registry.Sync(ctx, want)
	for _, what := range changed {
		k.metrics.registrations.Inc()
		k.Log.Info("registration", "change", what)
	}
	return err
}

// scan is the background scan, once there is something to judge by.
func (k *Controller) scan(ctx context.Context, judge background.Judge) {
	scan := &background.Scan{
		Client: k.dynamic, Judge: judge, Results: k.Results, Cluster: k.Cluster, Interval: k.BackgroundInterval,
		Excluded: append(slices.Clone(k.Config.Register.Excluded), k.Config.Register.Namespace),
		Now:      k.Now, Log: k.Log, Metrics: k.metrics.background,
	}
	scan.Run(ctx, k.watched, k.rescan)
}

// poker is told of changes and asks for another look.
type poker chan struct{}

func (p poker) Replace([]follow.Object) { poke(p) }
func (p poker) Set(follow.Object)       { poke(p) }
func (p poker) Delete(follow.Object)    { poke(p) }
