package live

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/url"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/seawall-security/seawall/internal/agent"
	"github.com/seawall-security/seawall/internal/cli/command"
	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/sink"
	"github.com/seawall-security/seawall/internal/sink/falco"
	"github.com/seawall-security/seawall/internal/sink/file"
	sinkjson "github.com/seawall-security/seawall/internal/sink/json"
	"github.com/seawall-security/seawall/internal/sink/spool"
	"github.com/seawall-security/seawall/internal/sink/syslog"
	"github.com/seawall-security/seawall/internal/sink/webhook"
)

// Outputs are the flags of where results go.
type Outputs struct {
	specs     []string
	ca, token string
	megabytes int64
}

// Add adds the flags.
func (o *Outputs) Add(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringArrayVar(&o.specs, "output", nil, "where results go; repeatable (see above)")
	f.StringVar(&o.ca, "output-ca", "", "file of certificates to trust receivers by, instead of the system's")
	f.StringVar(&o.token, "output-token", "", "file with a bearer token for receivers")
	f.Int64Var(&o.megabytes, "output-spool", 64, "MiB on disk for what a receiver has not taken")
}

// OutputHelp explains the flags.
const OutputHelp = `Outputs (--output, repeatable; the default is jsonl):
  jsonl[=FILE]         the stream of messages as JSON lines; without FILE to standard output
  falco-json[=FILE]    findings as Falco prints its alerts
  falco-http=URL       the same, one POST each, as Falco sends them (Falcosidekick)
  webhook=URL          messages as JSON lines, many in one POST
  syslog[=ADDRESS]     udp://HOST, tcp://HOST, tls://HOST; without ADDRESS the local daemon
What receivers by network have not taken waits in --state.
`

// Open opens what --output names, told as of a node. What waits for its receiver is
// kept below state. What was opened is closed on an error.
func (o *Outputs) Open(env *command.Env, node, state string) (list []*agent.Output, err error) {
	if o.megabytes < 1 {
		return nil, fmt.Errorf("--output-spool %d: want 1 or more: %w", o.megabytes, seawall.ErrUsage)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, CloseOutputs(list))
			list = nil
		}
	}()
	specs := o.specs
	if len(specs) == 0 {
		specs = []string{"jsonl"}
	}
	p := opening{Outputs: o, env: env, node: node, state: state}
	seen := map[string]bool{}
	for _, spec := range specs {
		if seen[spec] {
			return list, fmt.Errorf("--output %s twice: %w", redacted(spec), seawall.ErrUsage)
		}
		seen[spec] = true
		h, err := p.open(spec)
		if err != nil {
			return list, fmt.Errorf("--output %s: %w", redacted(spec), err)
		}
		kind, _, _ := strings.Cut(spec, "=")
		name := kind
		for n := 2; seen["name "+name]; n++ {
			name = fmt.Sprint(kind, "-", n)
		}
		seen["name "+name] = true
		list = append(list, &agent.Output{Name: name, Handler: h})
	}
	return list, nil
}

// CloseOutputs closes all.
func CloseOutputs(list []*agent.Output) error {
	var errs []error
	for _, out := range list {
		errs = append(errs, out.Handler.Close())
	}
	return errors.Join(errs...)
}

// opening is what opening outputs needs to know.
type opening struct {
	*Outputs
	env         *command.Env
	node, state string
}

// redacted is an output as it may be told: without a password.
func redacted(spec string) string {
	kind, target, _ := strings.Cut(spec, "=")
	if u, err := url.Parse(target); err == nil && u.User != nil {
		return kind + "=" + u.Redacted()
	}
	return spec
}

func (o *opening) open(spec string) (sink.Handler, error) {
	kind, target, named := strings.Cut(spec, "=")
	alerts := &falco.Encoder{Hostname: o.node, Now: o.env.Now}
	if named && target == "" {
		return nil, fmt.Errorf("nothing follows =: %w", seawall.ErrUsage)
	}
	switch kind {
	case "jsonl":
		return o.toFile(target, sinkjson.NewLive)
	case "falco-json":
		return o.toFile(target, func(w io.Writer) sink.Handler { return falco.New(w, alerts) })
	case "falco-http":
		return o.toHTTP(spec, target, webhook.Single, spool.Config{Encode: alerts.Encode, Gap: alerts.Lost, Batch: 1})
	case "webhook":
		return o.toHTTP(spec, target, webhook.Lines, spool.Config{Encode: webhook.Encode, Gap: webhook.Lost, Batch: 500})
	case "syslog":
		c, err := syslog.New(target)
		if err != nil {
			return nil, err
		}
		c.Hostname, c.Now = o.node, o.env.Now
		return o.spooled(spec, spool.Config{Encode: c.Encode, Gap: c.Lost, Deliver: c.Deliver, Batch: 100}, c.Close)
	}
	return nil, seawall.WithHint(fmt.Errorf("unknown output %q: %w", kind, seawall.ErrUsage), "jsonl, falco-json, falco-http=URL, webhook=URL or syslog")
}

// toFile opens an output that is a file, or standard output.
func (o *opening) toFile(name string, open func(io.Writer) sink.Handler) (sink.Handler, error) {
	if name == "" || name == "-" {
		return open(o.env.Stdout), nil
	}
	f, err := file.Open(name)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", err, seawall.ErrUsage)
	}
	return closing{open(f), f.Close}, nil
}

func (o *opening) toHTTP(spec, address, form string, cfg spool.Config) (sink.Handler, error) {
	c, err := webhook.New(address, form, webhook.Options{CA: o.ca, Token: o.token})
	if err != nil {
		return nil, err
	}
	cfg.Deliver = c.Deliver
	return o.spooled(spec, cfg, c.Close)
}

// spooled opens an output by way of a spool below the state directory, which has a directory for
// every receiver.
func (o *opening) spooled(spec string, cfg spool.Config, closeClient func()) (sink.Handler, error) {
	sum := sha256.Sum256([]byte(spec))
	kind, _, _ := strings.Cut(spec, "=")
	cfg.Dir, cfg.MaxBytes = filepath.Join(o.state, "spool", kind+"-"+hex.EncodeToString(sum[:6])), o.megabytes<<20
	s, err := spool.New(cfg)
	if err != nil {
		return nil, seawall.WithHint(fmt.Errorf("%w: %w", err, seawall.ErrUsage), "--state DIR is where messages wait for their receiver")
	}
	return network{s, closeClient}, nil
}

// closing closes the file below a handler after it.
type closing struct {
	sink.Handler
	file func() error
}

func (c closing) Close() error { return errors.Join(c.Handler.Close(), c.file()) }

// network is a spool with its client.
type network struct {
	*spool.Spool
	client func()
}

// Close tells what is left behind, which is no failure: the next process delivers it.
func (n network) Close() error {
	err := n.Spool.Close()
	n.client()
	if errors.Is(err, seawall.ErrTransient) {
		return nil
	}
	return err
}
