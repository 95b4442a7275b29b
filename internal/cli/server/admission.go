package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/seawall-security/seawall/internal/admission"
	"github.com/seawall-security/seawall/internal/admission/certificate"
	"github.com/seawall-security/seawall/internal/admission/controller"
	"github.com/seawall-security/seawall/internal/admission/register"
	"github.com/seawall-security/seawall/internal/cli/command"
	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/store/sql"
)

// namespaceFile is where a pod finds the name of its namespace.
const namespaceFile = "/var/run/secrets/kubernetes.io/serviceaccount/namespace"

// admissionFlags are those of the role admission.
type admissionFlags struct {
	kubeconfig, namespace, service, url, name string
	account                                   string
	exclude                                   []string
	timeout                                   time.Duration
	podSecurityLabels                         []string
	lifetimes                                 certificate.Lifetimes
	cluster, database, localListen            string
	background                                time.Duration
	keep                                      time.Duration
}

func (f *admissionFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.kubeconfig, "kubeconfig", "", "the cluster to serve (default: the one that this process runs in)")
	flags.StringVar(&f.namespace, "namespace", "", "Seawall's own namespace, which the webhook leaves alone (default: the pod's)")
	flags.StringVar(&f.service, "service", "seawall", "the Service in that namespace by which the API server calls")
	flags.StringVar(&f.url, "url", "", "call this address (https://HOST:PORT) instead of the Service")
	flags.StringVar(&f.name, "name", "seawall", "name of the webhook configurations, and of the Lease and Secret (NAME-admission-tls) beside it")
	flags.StringVar(&f.account, "service-account", "seawall", "whose requests are never judged: Seawall's own")
	flags.StringSliceVar(&f.exclude, "exclude-namespaces", []string{"kube-system"}, "namespaces where nothing is judged, beside Seawall's own")
	flags.DurationVar(&f.timeout, "webhook-timeout", 10*time.Second, "how long the API server waits for an answer: 1s to 30s")
	flags.StringSliceVar(&f.podSecurityLabels, "pod-security-labels", []string{"seawall.io/pod-security-"}, "prefixes of the namespace labels (PREFIXenforce, PREFIXwarn, PREFIXaudit) that set a Pod Security level")
	life := certificate.DefaultLifetimes()
	flags.DurationVar(&f.lifetimes.Authority, "ca-lifetime", life.Authority, "how long an authority lasts")
	flags.DurationVar(&f.lifetimes.Serving, "certificate-lifetime", life.Serving, "how long a certificate lasts")
	flags.DurationVar(&f.lifetimes.Overlap, "certificate-overlap", life.Overlap, "how long an authority is trusted before it is used, and after")
	flags.StringVar(&f.cluster, "cluster", "", "the cluster's name in policies (match.clusters) and results")
	flags.StringVar(&f.database, "database", "", "SQLite file for verdicts, reviews and results (default: seawall-server.db in the cache directory)")
	flags.StringVar(&f.localListen, "local-listen", "127.0.0.1:8081", "loopback address of /results and /reviews; empty for none")
	flags.DurationVar(&f.background, "background-interval", time.Hour, "how often what runs is judged again; 0 never judges it")
	flags.DurationVar(&f.keep, "keep", 7*24*time.Hour, "how long reviews are remembered")
}

func (f *admissionFlags) check() error {
	switch {
	case f.timeout < time.Second || f.timeout > 30*time.Second || f.timeout%time.Second != 0:
		return fmt.Errorf("--webhook-timeout %s: want 1s to 30s, in whole seconds", f.timeout)
	case f.url != "" && !strings.HasPrefix(f.url, "https://"):
		return fmt.Errorf("--url %s: want https://HOST:PORT", f.url)
	case f.background < 0 || f.background > 0 && f.background < time.Minute:
		return fmt.Errorf("--background-interval %s: want 1m or more, or 0", f.background)
	case f.keep < time.Hour:
		return fmt.Errorf("--keep %s: want 1h or more", f.keep)
	}
	for _, namespace := range f.exclude {
		if !isLabel(namespace) {
			return fmt.Errorf("--exclude-namespaces %s: want names of namespaces, not patterns: the API server leaves them out by name", namespace)
		}
	}
	return checkLocal(f.localListen)
}

// isLabel says whether a text is a DNS label, as names of namespaces are (RFC 1123).
func isLabel(s string) bool {
	const most = 63
	return s != "" && len(s) <= most && !strings.ContainsFunc(s, func(c rune) bool { return c != '-' && (c < 'a' || c > 'z') && (c < '0' || c > '9') })
}

// ownNamespace is the flag's, else the pod's.
func (f *admissionFlags) ownNamespace() (string, error) {
	if f.namespace != "" {
		return f.namespace, nil
	}
	text, err := os.ReadFile(namespaceFile)
	if err != nil {
		return "", seawall.WithHint(fmt.Errorf("which namespace is Seawall's own? %w", seawall.ErrUsage), "give --namespace outside of a pod")
	}
	return strings.TrimSpace(string(text)), nil
}

func (f *admissionFlags) controller(p *process, st *sql.Store) (*controller.Controller, error) {
	namespace, err := f.ownNamespace()
	if err != nil {
		return nil, err
	}
	c := controller.Config{
		Kubeconfig: f.kubeconfig, Lifetimes: f.lifetimes, Secret: f.name + "-admission-tls", Lease: f.name + "-admission",
		Replica: controller.Replica(), PodSecurity: f.podSecurityLabels, Cluster: f.cluster,
		Metrics: p.metrics, Log: p.log, Now: p.env.Now,
		Register: register.Config{
			Name: f.name, Service: f.service, Namespace: namespace, URL: f.url, Excluded: f.exclude, Timeout: f.timeout,
			Users: []string{"system:serviceaccount:" + namespace + ":" + f.account},
		},
	}
	if f.background > 0 {
		c.Results, c.BackgroundInterval = st, f.background
	}
	return controller.New(c)
}

// runAdmission is the role admission.
func runAdmission(ctx context.Context, p *process, s *settings, images Images) (err error) {
	f := &s.admission
	if err := f.check(); err != nil {
		return command.Usage(p.cmd, err)
	}
	file, err := f.databaseFile(p)
	if err != nil {
		return err
	}
	st, err := sql.OpenSQLite(ctx, file)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, st.Close()) }()
	scanning, err := images.Open(p.cmd)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, scanning.Close()) }()
	var refreshing sync.WaitGroup
	defer refreshing.Wait()
	until, stop := context.WithCancel(ctx)
	defer stop()
	refreshing.Go(func() { scanning.refresh(until, p.log) })
	k, err := f.controller(p, st)
	if err != nil {
		return err
	}
	lookup := &imageLookup{scanning, p.env.Version}
	config := admission.Config{
		Policies: k.Snapshot, Cluster: f.cluster, Namespace: k.Namespace, Exempt: append(slices.Clone(f.exclude), k.Register.Namespace),
		Verdicts: st, Scanner: lookup, Resolver: lookup, Detectors: scanning.Detectors, Frameworks: scanning.Frameworks, Sightings: st, Reviews: st,
		Decided: k.Decided, Metrics: p.metrics, Log: p.log, Now: p.env.Now, Limits: admission.Limits{Timeout: f.timeout},
	}
	if scanning.Verify != nil {
		config.Verifier = lookup
	}
	handler, err := admission.New(config)
	if err != nil {
		return err
	}
	return f.serve(ctx, p, s, k, handler, st)
}

// serve runs all of the role's parts. At the end the parts that answer go on while
// readiness tells others to go elsewhere.
func (f *admissionFlags) serve(ctx context.Context, p *process, s *settings, k *controller.Controller, handler *admission.Handler, st *sql.Store) error {
	p.ops.check("admission", func() error {
		if ctx.Err() != nil {
			return errors.New("ending")
		}
		return k.Ready()
	})
	mux := http.NewServeMux()
	mux.Handle("/", handler)
	mux.HandleFunc("POST "+register.PathCheck, k.Check)

	parts, failed := errgroup.WithContext(context.WithoutCancel(ctx))
	serving, stop := context.WithCancel(failed)
	defer stop()
	parts.Go(func() error { return handler.Run(serving) })
	parts.Go(func() error { return k.Run(serving, handler) })
	parts.Go(func() error { return f.prune(serving, p, st) })
	if f.localListen != "" {
		parts.Go(func() error {
			return serve(serving, p, "local", f.localListen, &http.Server{Handler: records(st)})
		})
	}
	web, answering := context.WithCancel(failed)
	defer answering()
	parts.Go(func() error {
		defer stop()
		return serve(web, p, "webhook", s.listen, &http.Server{Handler: mux, TLSConfig: k.TLS()})
	})
	parts.Go(func() error {
		select {
		case <-ctx.Done():
			p.log.Info("ending", "drain", s.drain)
			drain := time.NewTimer(s.drain)
			defer drain.Stop()
			select {
			case <-drain.C:
			case <-failed.Done():
			}
		case <-failed.Done():
		}
		answering()
		return nil
	})
	return parts.Wait()
}

// databaseFile is where the store is.
func (f *admissionFlags) databaseFile(p *process) (string, error) {
	if f.database != "" {
		return f.database, nil
	}
	cacheDir, _ := p.cmd.Flags().GetString("cache-dir")
	dir, err := p.env.CacheDirectory(cacheDir)
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("--database: %w: %w", seawall.ErrUsage, err)
	}
	return filepath.Join(dir, "seawall-server.db"), nil
}

// prune forgets what is too old, now and every hour.
func (f *admissionFlags) prune(ctx context.Context, p *process, st *sql.Store) error {
	const keepVerdicts = 90 * 24 * time.Hour
	for {
		now := p.env.Now()
		_, err1 := st.PruneReviews(ctx, now.Add(-f.keep))
		_, err2 := st.PruneVerdicts(ctx, now.Add(-keepVerdicts))
		_, err3 := st.PruneSightings(ctx, now.Add(-keepVerdicts))
		if err := errors.Join(err1, err2, err3); err != nil && ctx.Err() == nil {
			p.log.Error("database", "error", err)
		}
		select {
		case <-time.After(time.Hour):
		case <-ctx.Done():
			return nil
		}
	}
}
