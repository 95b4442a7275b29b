package server

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/seawall-security/seawall/internal/agent"
	"github.com/seawall-security/seawall/internal/cli/command"
	"github.com/seawall-security/seawall/internal/cli/live"
	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/sensor/auditlog/webhook"
)

// auditPath is where API servers send their events.
const auditPath = "/audit"

// auditFlags are those of the role audit.
type auditFlags struct {
	listen, tls, tokens, state string
	rules                      live.Rules
	outputs                    live.Outputs
}

func (f *auditFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.listen, "audit-listen", ":9443", "address that API servers send audit events to, at "+auditPath)
	flags.StringVar(&f.tls, "audit-tls", "", "directory with tls.crt and tls.key, and ca.crt where client certificates count; read anew when they change")
	flags.StringVar(&f.tokens, "audit-tokens", "", "file with the bearer tokens API servers send, one a line; read anew when it changes")
	flags.StringVar(&f.state, "audit-state", "/var/lib/seawall", "directory for what receivers have not taken yet")
	f.rules.Add(cmd)
	f.outputs.Add(cmd)
}

func (f *auditFlags) check() error {
	if f.tls == "" {
		return errors.New("--audit-tls is missing: audit events hold who did what, and are taken by HTTPS alone")
	}
	if _, err := os.Stat(filepath.Join(f.tls, "ca.crt")); f.tokens == "" && err != nil {
		return errors.New("--audit-tokens is missing, and --audit-tls has no ca.crt: nobody could send")
	}
	_, err := f.rules.Rate()
	return err
}

// runAudit is the role audit: what API servers send is judged by rules and policies, and told.
func runAudit(ctx context.Context, p *process, s *settings) error {
	f := &s.audit
	if err := f.check(); err != nil {
		return command.Usage(p.cmd, err)
	}
	credentials := &auditCredentials{dir: f.tls, tokenFile: f.tokens, now: p.env.Now}
	if err := credentials.read(); err != nil {
		return command.Usage(p.cmd, err)
	}
	loaded, err := f.rules.Load()
	if err != nil {
		return err
	}
	rate, _ := f.rules.Rate()
	cluster := cmp.Or(s.admission.cluster, "cluster")
	outputs, err := f.outputs.Open(p.env, cluster, f.state)
	if err != nil {
		return err
	}
	log := agent.NewAuditLog(nil)
	changed := make(chan struct{})
	judge := agent.NewLive(agent.LiveConfig{
		Tool: seawall.Tool{Name: "seawall", Version: p.env.Version}, Node: cluster, Now: p.env.Now, Log: p.log,
		Asset: agent.ClusterAsset(cluster), Cluster: cluster,
		Sources: []agent.Source{log}, Rules: loaded, Reload: f.rules.Load, Changed: changed, Rate: rate,
		Observers: []agent.Observer{&agent.Actors{}}, Outputs: outputs,
	})
	receiver := &webhook.Receiver{Token: credentials.token, Emit: log.Feed}
	p.metrics.MustRegister(judge, receiverMetrics{receiver})
	p.ops.check("audit", ctx.Err)
	mux := http.NewServeMux()
	mux.Handle(auditPath, receiver)

	// At the end what is under way is answered before the judging stops.
	judging, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	parts, failed := errgroup.WithContext(ctx)
	parts.Go(func() error { return judge.Run(judging) })
	parts.Go(func() error {
		(&live.Watch{Paths: f.rules.Paths(), Every: 2 * time.Second}).Run(failed, nil, changed)
		return nil
	})
	parts.Go(func() error {
		defer stop()
		return serve(failed, p, "audit", f.listen, &http.Server{Handler: mux, TLSConfig: credentials.config()})
	})
	return parts.Wait()
}

// auditCredentials are the certificate shown and what is accepted of others, read anew
// when a file changes: by then a secret has been rotated.
type auditCredentials struct {
	dir, tokenFile string
	now            func() time.Time

	mu     sync.Mutex
	looked time.Time
	state  string
	tls    *tls.Config
	known  func(string) bool
}

// lookEvery is how often files are looked at.
const lookEvery = 5 * time.Second

// config is for a server; each connection gets what the files say when it comes.
func (c *auditCredentials) config() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
		c.refresh()
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.tls, nil
	}}
}

func (c *auditCredentials) token(token string) bool {
	c.refresh()
	c.mu.Lock()
	known := c.known
	c.mu.Unlock()
	return known(token)
}

// refresh reads what has changed. Files that cannot be read change nothing: they may be half written.
func (c *auditCredentials) refresh() {
	c.mu.Lock()
	due := c.now().Sub(c.looked) >= lookEvery
	state := c.state
	if due {
		c.looked = c.now()
	}
	c.mu.Unlock()
	if due && state != c.files() {
		_ = c.read()
	}
}

// files says when the files were written.
func (c *auditCredentials) files() string {
	var b strings.Builder
	for _, name := range []string{filepath.Join(c.dir, "tls.crt"), filepath.Join(c.dir, "tls.key"), filepath.Join(c.dir, "ca.crt"), c.tokenFile} {
		if info, err := os.Stat(name); err == nil {
			fmt.Fprint(&b, info.ModTime().UnixNano(), " ", info.Size(), " ")
		}
	}
	return b.String()
}

// read reads all files.
func (c *auditCredentials) read() error {
	state := c.files()
	certificate, err := tls.LoadX509KeyPair(filepath.Join(c.dir, "tls.crt"), filepath.Join(c.dir, "tls.key"))
	if err != nil {
		return fmt.Errorf("--audit-tls: %w: %w", err, seawall.ErrUsage)
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{certificate}, NextProtos: []string{"h2", "http/1.1"}}
	authority, err := os.ReadFile(filepath.Join(c.dir, "ca.crt"))
	switch {
	case err == nil:
		config.ClientCAs = x509.NewCertPool()
		if !config.ClientCAs.AppendCertsFromPEM(authority) {
			return fmt.Errorf("--audit-tls: ca.crt has no certificate: %w", seawall.ErrUsage)
		}
		config.ClientAuth = tls.VerifyClientCertIfGiven
	case !errors.Is(err, os.ErrNotExist):
		return fmt.Errorf("--audit-tls: %w: %w", err, seawall.ErrUsage)
	}
	var tokens []string
	if c.tokenFile != "" {
		text, err := os.ReadFile(c.tokenFile)
		if err != nil {
			return fmt.Errorf("--audit-tokens: %w: %w", err, seawall.ErrUsage)
		}
		tokens = strings.Fields(string(text))
		if i := slices.IndexFunc(tokens, func(t string) bool { return len(t) < 16 }); i >= 0 || len(tokens) == 0 {
			return fmt.Errorf("--audit-tokens: want tokens of 16 characters or more, one a line: %w", seawall.ErrUsage)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.state, c.tls, c.known = state, config, webhook.Tokens(tokens...)
	return nil
}

// receiverMetrics are a receiver's counters.
type receiverMetrics struct{ *webhook.Receiver }

// Describe implements prometheus.Collector.
func (m receiverMetrics) Describe(out chan<- *prometheus.Desc) { prometheus.DescribeByCollect(m, out) }

// Collect implements prometheus.Collector.
func (m receiverMetrics) Collect(out chan<- prometheus.Metric) {
	c := m.Counters()
	for _, counter := range []struct {
		name, help string
		value      uint64
	}{
		{"batches_total", "Batches of audit events taken.", c.Batches},
		{"events_total", "Audit events taken.", c.Events},
		{"refused_total", "Requests of nobody who is known.", c.Refused},
		{"damaged_total", "Batches that could not be read.", c.Damaged},
		{"failed_total", "Batches not taken, which the API server sends again.", c.Failed},
	} {
		out <- prometheus.MustNewConstMetric(prometheus.NewDesc("seawall_audit_"+counter.name, counter.help, nil, nil), prometheus.CounterValue, float64(counter.value))
	}
}
