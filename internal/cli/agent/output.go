package agent

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

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

// outputOptions are what the flags say of outputs.
type outputOptions struct {
	specs    []string
	ca       string
	token    string
	state    string
	maxSpool int64
	node     string
}

const outputHelp = `Outputs (--output, repeatable; the default is jsonl):
  jsonl[=FILE]         the stream of messages as JSON lines; without FILE to standard output
  falco-json[=FILE]    findings as Falco prints its alerts
  falco-http=URL       the same, one POST each, as Falco sends them (Falcosidekick)
  webhook=URL          messages as JSON lines, many in one POST
  syslog[=ADDRESS]     udp://HOST, tcp://HOST, tls://HOST; without ADDRESS the local daemon
What receivers by network have not taken waits in --state.
`

// openOutputs opens what --output names. What was opened is closed on an error.
func openOutputs(env *command.Env, o outputOptions) (list []*agent.Output, err error) {
	defer func() {
		if err != nil {
			for _, out := range list {
				out.Handler.Close()
			}
			list = nil
		}
	}()
	if len(o.specs) == 0 {
		o.specs = []string{"jsonl"}
	}
	seen := map[string]bool{}
	for _, spec := range o.specs {
		if seen[spec] {
			return list, fmt.Errorf("--output %s twice: %w", spec, seawall.ErrUsage)
		}
		seen[spec] = true
		h, err := openOutput(env, o, spec)
		if err != nil {
			return list, fmt.Errorf("--output %s: %w", spec, err)
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

func openOutput(env *command.Env, o outputOptions, spec string) (sink.Handler, error) {
	kind, target, named := strings.Cut(spec, "=")
	alerts := &falco.Encoder{Hostname: o.node, Now: env.Now}
	if named && target == "" {
		return nil, fmt.Errorf("nothing follows =: %w", seawall.ErrUsage)
	}
	switch kind {
	case "jsonl":
		return toFile(env, target, sinkjson.NewLive)
	case "falco-json":
		return toFile(env, target, func(w io.Writer) sink.Handler { return falco.New(w, alerts) })
	case "falco-http":
		return toHTTP(o, spec, target, webhook.Single, spool.Config{Encode: alerts.Encode, Gap: alerts.Lost, Batch: 1})
	case "webhook":
		return toHTTP(o, spec, target, webhook.Lines, spool.Config{Encode: webhook.Encode, Gap: webhook.Lost, Batch: 500})
	case "syslog":
		c, err := syslog.New(target)
		if err != nil {
			return nil, err
		}
		c.Hostname, c.Now = o.node, env.Now
		return spooled(o, spec, spool.Config{Encode: c.Encode, Gap: c.Lost, Deliver: c.Deliver, Batch: 100}, c.Close)
	}
	return nil, seawall.WithHint(fmt.Errorf("unknown output %q: %w", kind, seawall.ErrUsage), "jsonl, falco-json, falco-http=URL, webhook=URL or syslog")
}

// toFile opens an output that is a file, or standard output.
func toFile(env *command.Env, name string, open func(io.Writer) sink.Handler) (sink.Handler, error) {
	if name == "" || name == "-" {
		return open(env.Stdout), nil
	}
	f, err := file.Open(name)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", err, seawall.ErrUsage)
	}
	return closing{open(f), f.Close}, nil
}

func toHTTP(o outputOptions, spec, address, form string, cfg spool.Config) (sink.Handler, error) {
	c, err := webhook.New(address, form, webhook.Options{CA: o.ca, Token: o.token})
	if err != nil {
		return nil, err
	}
	cfg.Deliver = c.Deliver
	return spooled(o, spec, cfg, c.Close)
}

// spooled opens an output by way of a spool below --state, which has a directory for
// every receiver.
func spooled(o outputOptions, spec string, cfg spool.Config, closeClient func()) (sink.Handler, error) {
	sum := sha256.Sum256([]byte(spec))
	kind, _, _ := strings.Cut(spec, "=")
	cfg.Dir, cfg.MaxBytes = filepath.Join(o.state, "spool", kind+"-"+hex.EncodeToString(sum[:6])), o.maxSpool
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

// watched are the files whose change means that rules are to be read anew. They are
// looked at now and then: that works on every file system, and through the symbolic
// links that Kubernetes switches when a ConfigMap changes.
type watched struct {
	paths []string
	every time.Duration
	last  map[string]string
}

// run tells of changes, and of what hangup says, until ctx ends.
func (w *watched) run(ctx context.Context, hangup <-chan os.Signal, changed chan<- struct{}) {
	w.differs()
	tick := time.NewTicker(w.every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-hangup:
			w.differs()
		case <-tick.C:
			if !w.differs() {
				continue
			}
		}
		select {
		case changed <- struct{}{}:
		case <-ctx.Done():
			return
		}
	}
}

// differs says whether a file is another one than at the last look.
func (w *watched) differs() bool {
	now := map[string]string{}
	for _, path := range w.paths {
		_ = filepath.WalkDir(resolved(path), func(name string, d os.DirEntry, err error) error {
			if err != nil {
				now[name] = err.Error()
				return nil
			}
			info, err := os.Stat(name)
			if err == nil && !info.IsDir() {
				now[name] = fmt.Sprint(info.Size(), info.ModTime().UnixNano())
			}
			return nil
		})
	}
	same := len(now) == len(w.last)
	for name, state := range now {
		same = same && w.last[name] == state
	}
	w.last = now
	return !same
}

func resolved(path string) string {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		return real
	}
	return path
}
