package agent

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"slices"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/spf13/cobra"

	"github.com/seawall-security/seawall/internal/agent"
	"github.com/seawall-security/seawall/internal/agent/incident"
	"github.com/seawall-security/seawall/internal/agent/prevent"
	"github.com/seawall-security/seawall/internal/agent/privilege"
	"github.com/seawall-security/seawall/internal/agent/respond"
	"github.com/seawall-security/seawall/internal/agent/syscalls"
	"github.com/seawall-security/seawall/internal/cli/command"
	"github.com/seawall-security/seawall/internal/cli/live"
	"github.com/seawall-security/seawall/internal/detect/rules"
	"github.com/seawall-security/seawall/internal/policy"
	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/sensor/auditlog"
	"github.com/seawall-security/seawall/internal/sensor/identity"
	"github.com/seawall-security/seawall/internal/sensor/integrity"
	sinkjson "github.com/seawall-security/seawall/internal/sink/json"
)

// runOptions are the flags of run.
type runOptions struct {
	rules                   live.Rules
	reports, sources        []string
	auditLog                string
	outputs                 live.Outputs
	node, cri, state, inUse string
	cluster                 string
	metrics                 string
	dryRun, host            bool
	protected, excluded     []string
	server, credentials     string
	packets                 time.Duration
	baseline                string
}

func runCommand(env *command.Env) *cobra.Command {
	var o runOptions
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Watch this node",
		Long: `Run watches this node until it is stopped: the kernel's events of every container and of
the host, and with --audit-log what was asked of the API server. Rules find, policies of
phase run say what is done about it, and everything is told as it happens. Files of rules
and policies are read anew when they change, and on SIGHUP; one with a mistake changes
nothing.

` + live.OutputHelp,
		Example: "  seawall-agent run\n" +
			"  seawall-agent run --rules falco_rules.yaml --policy policies/ --output falco-http=http://falcosidekick:2801/\n" +
			"  seawall-agent run --source k8s_audit --audit-log /var/log/kubernetes/audit.log --output jsonl=/var/log/seawall.jsonl --output syslog",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return run(cmd, env, &o) },
	}
	f := cmd.Flags()
	o.rules.Add(cmd)
	o.outputs.Add(cmd)
	f.StringSliceVar(&o.sources, "source", []string{rules.SourceSyscall}, "what to watch: syscall, k8s_audit; --audit-log adds k8s_audit")
	f.StringVar(&o.auditLog, "audit-log", "", "audit log of the API server to follow")
	f.StringArrayVar(&o.reports, "report", nil, "JSON report of scanned images, for the root cause of incidents; repeatable")
	f.StringVar(&o.node, "node-name", "", "name of this node (default: $NODE_NAME, or the host's name)")
	f.StringVar(&o.cluster, "cluster", "", "name of the cluster, which findings of its audit log are of (default: cluster)")
	f.StringVar(&o.cri, "cri", "", "socket of the container runtime (default: the first usual one that is there)")
	f.StringVar(&o.state, "state", "/var/lib/seawall-agent", "directory for what outlives the process")
	f.StringVar(&o.inUse, "in-use", "", "file to keep what is in use by image, for scan --in-use")
	f.StringVar(&o.baseline, "integrity", "", "baseline of files (seawall-agent integrity baseline) whose changes are told, with who made them")
	f.StringVar(&o.metrics, "metrics", "", "address to serve Prometheus metrics at, as 127.0.0.1:9301")
	f.BoolVar(&o.dryRun, "dry-run", false, "tell what policies would do, and do nothing")
	f.BoolVar(&o.host, "respond-on-host", false, "carry out actions on processes of the node, too, not only of containers")
	f.StringSliceVar(&o.protected, "protect-namespace", []string{"kube-system"}, "namespaces no action is carried out in, beside the agent's own; globs")
	f.StringSliceVar(&o.excluded, "exclude-namespace", nil, "namespaces nothing is told of; globs")
	f.StringVar(&o.server, "api-server", "", "address of the API server, to delete pods and set them apart (default: that of the cluster the agent's pod is in)")
	f.StringVar(&o.credentials, "api-credentials", serviceAccount, "directory with token, or tls.crt and tls.key, and ca.crt for the API server")
	f.DurationVar(&o.packets, "capture-packets", 0, "how long a capture listens to the network of its container, as 10s; 0 is not at all")
	_ = cmd.RegisterFlagCompletionFunc("source", command.FixedCompletion(rules.SourceSyscall, rules.SourceAudit))
	return cmd
}

// run watches until the command's context ends.
func run(cmd *cobra.Command, env *command.Env, o *runOptions) error {
	debug.SetGCPercent(20) // what rules and programs take to load is not kept
	ctx, log := cmd.Context(), slog.New(slog.NewTextHandler(env.Stderr, nil))
	cfg, err := o.config(env)
	if err != nil {
		return usage(cmd, err)
	}
	cfg.Log = log
	if cfg.Rules, err = o.rules.Load(); err != nil {
		return err
	}
	if cfg.Knowledge, err = o.knowledge(cfg.Rules.Policies, env.Now()); err != nil {
		return err
	}
	cfg.Reload = o.rules.Load
	changed := make(chan struct{})
	cfg.Changed = changed
	sensors, err := o.open(ctx, env, &cfg)
	if err != nil {
		return usage(cmd, err)
	}
	if !o.dryRun {
		if err := o.enforcer(env, &cfg, sensors); err != nil {
			return errors.Join(err, sensors.close())
		}
	}
	defer func() { // after the run: nothing of it is left in the kernel
		if cerr := sensors.close(); cerr != nil {
			log.Error("closing sensors", "error", cerr)
		}
	}()
	if cfg.Outputs, err = o.outputs.Open(env, o.node, o.state); err != nil {
		return usage(cmd, err)
	}
	judge := agent.NewLive(cfg)
	stopMetrics, err := serveMetrics(o.metrics, judge, log, sensors.collectors...)
	if err != nil {
		return usage(cmd, errors.Join(err, live.CloseOutputs(cfg.Outputs)))
	}
	defer stopMetrics()

	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	files := &live.Watch{Paths: o.rules.Paths(), Every: 2 * time.Second}
	watching, stop := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		files.Run(watching, hangup, changed)
	}()
	defer func() { stop(); <-ended }()
	if !slices.Contains(o.sources, rules.SourceSyscall) { // else once the sensor is attached
		if err := o.giveUp(log); err != nil {
			return errors.Join(err, live.CloseOutputs(cfg.Outputs))
		}
	}
	debug.SetGCPercent(50) // the heap is small and matching makes no garbage
	log.Info("watching", "node", cfg.Node, "sources", o.sources, "rules", len(cfg.Rules.Engine.Rules()), "policies", len(cfg.Rules.Policies.Policies), "outputs", len(cfg.Outputs))
	return judge.Run(ctx)
}

// giveUp gives up the privileges that were needed to begin.
func (o *runOptions) giveUp(log *slog.Logger) error {
	keep := privilege.Sensing()
	if !o.dryRun {
		keep = append(keep, privilege.Responding()...)
	}
	if err := privilege.Keep(keep); errors.Is(err, errors.ErrUnsupported) {
		log.Warn("privileges are kept: this program was built with cgo")
	} else if err != nil {
		return fmt.Errorf("privileges: %w", err)
	}
	return nil
}

// usage points a wrong request to the help, where it has no better hint.
func usage(cmd *cobra.Command, err error) error {
	var hinted *seawall.Hinted
	if !errors.Is(err, seawall.ErrUsage) || errors.As(err, &hinted) {
		return err
	}
	return seawall.WithHint(err, "see '"+cmd.CommandPath()+" --help'")
}

// config makes of the flags what needs no file.
func (o *runOptions) config(env *command.Env) (cfg agent.LiveConfig, err error) {
	if o.auditLog != "" && !slices.Contains(o.sources, rules.SourceAudit) {
		o.sources = append(o.sources, rules.SourceAudit)
	}
	for _, s := range o.sources {
		if s != rules.SourceSyscall && s != rules.SourceAudit {
			return cfg, fmt.Errorf("--source %q: want syscall or k8s_audit: %w", s, seawall.ErrUsage)
		}
		if s == rules.SourceAudit && o.auditLog == "" {
			return cfg, fmt.Errorf("--source k8s_audit needs --audit-log FILE: %w", seawall.ErrUsage)
		}
	}
	host, err := os.Hostname()
	if err != nil {
		return cfg, err
	}
	o.node = cmp.Or(o.node, env.Getenv("NODE_NAME"), host)
	rate, err := o.rules.Rate()
	if err != nil {
		return cfg, err
	}
	for _, p := range slices.Concat(o.protected, o.excluded) {
		if _, err := filepath.Match(p, ""); err != nil {
			return cfg, fmt.Errorf("namespace %q: %w: %w", p, err, seawall.ErrUsage)
		}
	}
	protected := o.protected
	if own := env.Getenv("POD_NAMESPACE"); own != "" {
		protected = append(slices.Clone(protected), own)
	}
	return agent.LiveConfig{
		Tool: seawall.Tool{Name: "seawall-agent", Version: env.Version}, Node: o.node, Cluster: o.cluster, Now: env.Now, Rate: rate,
		Observers: []agent.Observer{&agent.Actors{}}, ExcludedNamespaces: o.excluded,
		Response: respond.Config{DryRun: o.dryRun, Protected: protected, Host: o.host, Limits: respond.Limits()},
	}, nil
}

// knowledge reads scan reports for what they say of images that may run here.
func (o *runOptions) knowledge(set *policy.Set, now time.Time) (*incident.Knowledge, error) {
	k := &incident.Knowledge{}
	for _, name := range o.reports {
		f, err := os.Open(name)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", err, seawall.ErrUnreadable)
		}
		report, _, err := sinkjson.Read(f)
		f.Close()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		k.Add(report, prevention(set, report, now))
	}
	return k, nil
}

// prevention names the policies that stop what a report is about before it runs.
func prevention(set *policy.Set, report *seawall.Report, now time.Time) (names []string) {
	for _, phase := range []string{policy.PhaseBuild, policy.PhaseDeploy} {
		for _, d := range set.Decide(policy.Reported(report, policy.Input{Phase: phase, Now: now, Exceptions: set.Exceptions})) {
			if policy.Blocks(&d) && !slices.Contains(names, d.Policy) {
				names = append(names, d.Policy)
			}
		}
	}
	return names
}

// serveMetrics serves /metrics and /healthz until stop is called; without an address nothing.
func serveMetrics(address string, judge *agent.Live, log *slog.Logger, more ...prometheus.Collector) (stop func(), err error) {
	if address == "" {
		return func() {}, nil
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("--metrics: %w: %w", err, seawall.ErrUsage)
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(judge, collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	registry.MustRegister(more...)
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second, WriteTimeout: 30 * time.Second, MaxHeaderBytes: 16 << 10}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			log.Error("metrics are not served any more", "error", err)
		}
	}()
	log.Info("serving metrics", "address", l.Addr().String())
	return func() {
		server.Close()
		<-ended
	}, nil
}

// sensors are the open inputs and what belongs to them.
type sensors struct {
	closers    []func() error
	collectors []prometheus.Collector
}

func (s *sensors) close() error {
	var errs []error
	for _, c := range slices.Backward(s.closers) {
		errs = append(errs, c())
	}
	return errors.Join(errs...)
}

// open opens the sources.
func (o *runOptions) open(ctx context.Context, env *command.Env, cfg *agent.LiveConfig) (*sensors, error) {
	s := &sensors{}
	if slices.Contains(o.sources, rules.SourceAudit) {
		if err := os.MkdirAll(o.state, 0o700); err != nil {
			return s, seawall.WithHint(fmt.Errorf("%w: %w", err, seawall.ErrUsage), "--state DIR is where the place in the log is kept")
		}
		cfg.Sources = append(cfg.Sources, agent.NewAuditLog(&auditlog.Tail{Path: o.auditLog, Cursor: filepath.Join(o.state, "audit-log.place")}))
	}
	if slices.Contains(o.sources, rules.SourceSyscall) {
		watchers, err := o.watchers(cfg)
		if err != nil {
			return s, errors.Join(err, s.close())
		}
		prevention := o.prevention(cfg)
		if prevention != nil {
			s.collectors = append(s.collectors, prevention)
		}
		pods, err := o.pods(env, s)
		if err != nil {
			return s, errors.Join(err, s.close())
		}
		source, err := syscalls.New(syscalls.Config{
			Pod: pods, Node: cfg.Node, CRI: cmp.Or(o.cri, identity.FindSocket("/")), Attached: func() error { return o.giveUp(cfg.Log) }, Prevention: prevention, Watchers: watchers,
		})
		if err != nil {
			return s, errors.Join(err, s.close())
		}
		s.closers = append(s.closers, source.Close)
		cfg.Sources = append(cfg.Sources, source)
		if err := o.usage(cfg, source); err != nil {
			return s, errors.Join(err, s.close())
		}
		s.runtime(ctx, source, cfg.Log)
	}
	return s, nil
}

// usage finds containers that use much more than they are used to.
func (o *runOptions) usage(cfg *agent.LiveConfig, source *syscalls.Source) error {
	if err := os.MkdirAll(o.state, 0o700); err != nil {
		return seawall.WithHint(fmt.Errorf("%w: %w", err, seawall.ErrUsage), "--state DIR is where the baselines of resource use are kept")
	}
	u, err := source.Usage(filepath.Join(o.state, "usage.json"), cfg.Now)
	if err != nil {
		cfg.Log.Warn("the usual resource use is learned anew", "error", err)
	}
	cfg.Finders = append(cfg.Finders, u)
	return nil
}

// watchers see events beside the rules, and find beside events.
func (o *runOptions) watchers(cfg *agent.LiveConfig) (list []syscalls.Watcher, err error) {
	if o.inUse != "" {
		w, err := syscalls.NewInUse(o.inUse, cfg.Node, cfg.Now)
		if err != nil {
			return nil, fmt.Errorf("--in-use: %w: %w", err, seawall.ErrUsage)
		}
		list, cfg.Finders = append(list, w), append(cfg.Finders, w)
	}
	if o.baseline != "" {
		f, err := os.Open(o.baseline)
		if err != nil {
			return nil, fmt.Errorf("--integrity: %w: %w", err, seawall.ErrUsage)
		}
		defer f.Close()
		b, err := integrity.Read(f)
		if err != nil {
			return nil, fmt.Errorf("--integrity %s: %w", o.baseline, err)
		}
		w := syscalls.NewFiles(b, cfg.Node, cfg.Now)
		list, cfg.Finders = append(list, w), append(cfg.Finders, w)
	}
	return list, nil
}

// prevention stops programs before they start where policies say so; nil in a dry run.
func (o *runOptions) prevention(cfg *agent.LiveConfig) *prevent.Prevention {
	if o.dryRun {
		return nil
	}
	node := seawall.Asset{ID: "node:" + cfg.Node, Kind: seawall.AssetNode, Name: cfg.Node}
	p := prevent.New(prevent.Config{Node: node, Rules: cfg.Rules, Response: cfg.Response, Excluded: o.excluded, Log: cfg.Log})
	reload := cfg.Reload
	cfg.Reload = func() (*agent.Rules, error) {
		fresh, err := reload()
		if err == nil {
			p.Replace(fresh)
		}
		return fresh, err
	}
	return p
}

// runtime tells whether the container runtime answers.
func (*sensors) runtime(ctx context.Context, source *syscalls.Source, log *slog.Logger) {
	name, err := source.Runtime(ctx)
	if err != nil {
		log.Warn("the container runtime does not answer: containers are known by their cgroups alone until it does", "error", err)
		return
	}
	log.Info("container runtime", "name", name)
}
