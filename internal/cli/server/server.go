// Package server holds the command server: the roles that run in a cluster.
//
//	flags -> role.run each, side by side -> one log, one metrics registry, one readiness
//
// A role is a value: its name, its flags and what runs it until the end. Package cli
// lends what it needs of scanning.
package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/seawall-security/seawall/internal/cli/command"
	"github.com/seawall-security/seawall/internal/cli/live"
	"github.com/seawall-security/seawall/internal/seawall"
)

// role is one of the things that a server can be.
type role struct {
	name string
	// run works until ctx ends. What it serves is ready when its checks in process say so.
	run func(ctx context.Context, p *process) error
}

// process is what the roles of one server share.
type process struct {
	env     *command.Env
	cmd     *cobra.Command
	log     *slog.Logger
	metrics *prometheus.Registry
	ops     *operations
}

// settings are the flags of all roles.
type settings struct {
	roles             []string
	listen, opsListen string
	logLevel          string
	drain             time.Duration
	admission         admissionFlags
	audit             auditFlags
}

// Command returns "seawall server".
func Command(env *command.Env, images Images) *cobra.Command {
	var s settings
	roles := []role{
		{"admission", func(ctx context.Context, p *process) error { return runAdmission(ctx, p, &s, images) }},
		{"audit", func(ctx context.Context, p *process) error { return runAudit(ctx, p, &s) }},
	}
	var names []string
	for _, r := range roles {
		names = append(names, r.name)
	}
	cmd := &cobra.Command{
		Use:   "server --roles ROLE[,ROLE]",
		Short: "Run in a cluster: the admission webhook, the receiver of audit events",
		Long: `Server runs Seawall as a service. Roles of this version:

  admission   judges requests to the API server by the cluster's Policy objects, and
              what already runs in the background
  audit       takes the audit events that API servers send and judges them by rules

The Helm chart in deploy/chart is how it is installed. Everything that a role needs
of the cluster it makes and mends itself: certificates, webhook configurations.

  --listen            the webhook, HTTPS
  --ops-listen        /healthz, /readyz and /metrics, plain HTTP
  --local-listen      /results and /reviews as JSON, for this machine and kubectl port-forward
  --audit-listen      /audit for the webhook backend of API servers' audit logs, HTTPS

The role audit: ` + live.OutputHelp,
		Example: `  seawall server --roles admission
  seawall server --roles admission --kubeconfig admin.conf --url https://10.0.0.5:8443      outside of the cluster
  seawall server --roles audit --audit-tls /etc/seawall/tls --audit-tokens /etc/seawall/tokens --output jsonl=/var/log/seawall.jsonl`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return s.run(cmd, env, roles) },
	}
	flags := cmd.Flags()
	flags.StringSliceVar(&s.roles, "roles", nil, "what to be: "+command.JoinWords(names))
	flags.StringVar(&s.listen, "listen", ":8443", "address of the webhook")
	flags.StringVar(&s.opsListen, "ops-listen", ":8080", "address of /healthz, /readyz and /metrics")
	flags.StringVar(&s.logLevel, "log-level", "info", "debug, info, warn or error")
	flags.DurationVar(&s.drain, "drain", 5*time.Second, "how long to go on serving after the signal to end, while others take over")
	s.admission.add(cmd)
	s.audit.add(cmd)
	images.AddFlags(cmd)
	_ = cmd.RegisterFlagCompletionFunc("roles", command.FixedCompletion(names...))
	return cmd
}

func (s *settings) run(cmd *cobra.Command, env *command.Env, all []role) error {
	wanted, err := s.wanted(all)
	if err != nil {
		return command.Usage(cmd, err)
	}
	var level slog.Level
	if err := level.UnmarshalText([]byte(s.logLevel)); err != nil {
		return command.Usage(cmd, fmt.Errorf("--log-level %q: want debug, info, warn or error", s.logLevel))
	}
	if s.drain < 0 {
		return command.Usage(cmd, fmt.Errorf("--drain %s: want 0 or more", s.drain))
	}
	p := &process{env: env, cmd: cmd, metrics: prometheus.NewRegistry(),
		log: slog.New(slog.NewJSONHandler(env.Stderr, &slog.HandlerOptions{Level: level}))}
	p.metrics.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	p.ops = newOperations(p.metrics)
	p.log.Info("starting", "version", env.Version, "roles", s.roles)

	group, ctx := errgroup.WithContext(cmd.Context())
	serving, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	group.Go(func() error { return serveOperations(serving, s.opsListen, p) })
	roles, ctx := errgroup.WithContext(ctx)
	for _, r := range wanted {
		roles.Go(func() error {
			if err := r.run(ctx, p); err != nil {
				return fmt.Errorf("role %s: %w", r.name, err)
			}
			return nil
		})
	}
	err = roles.Wait()
	stop()
	err = errors.Join(err, group.Wait())
	p.log.Info("ended")
	return err
}

// wanted are the roles asked for. One that this version does not have is an error.
func (s *settings) wanted(all []role) ([]role, error) {
	if len(s.roles) == 0 {
		return nil, errors.New("--roles is missing: which role should the server have?")
	}
	var out []role
	for _, name := range s.roles {
		i := slices.IndexFunc(all, func(r role) bool { return r.name == name })
		switch {
		case i < 0 && slices.Contains([]string{"console", "worker"}, name):
			return nil, fmt.Errorf("--roles %s: this version does not have it yet: %w", name, seawall.ErrUsage)
		case i < 0:
			return nil, fmt.Errorf("--roles %s: there is no such role: %w", name, seawall.ErrUsage)
		case slices.ContainsFunc(out, func(r role) bool { return r.name == name }):
			return nil, fmt.Errorf("--roles %s: it is there twice: %w", name, seawall.ErrUsage)
		}
		out = append(out, all[i])
	}
	return out, nil
}
