// Package live holds what the commands that judge events as they come share: the flags
// of rules, policies and outputs, what they name opened, and files watched for changes.
//
//	flags -> Rules.Load (again when Watch tells of a change), Outputs.Open -> agent.LiveConfig
package live

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/seawall-security/seawall/internal/agent"
	"github.com/seawall-security/seawall/internal/detect/rules"
	"github.com/seawall-security/seawall/internal/policy"
	"github.com/seawall-security/seawall/internal/seawall"
)

// Rules are the flags of what events are judged by.
type Rules struct {
	files, policies []string
	rate            string
}

// Add adds the flags.
func (r *Rules) Add(cmd *cobra.Command) {
	AddFiles(cmd, &r.files)
	f := cmd.Flags()
	f.StringArrayVar(&r.policies, "policy", nil, "policy file or directory; repeatable")
	f.StringVar(&r.rate, "rate", "60/1m", "findings of one rule in one container: so many at once, and so many in that time; 0 is no limit")
}

// AddFiles adds the flag of rule files.
func AddFiles(cmd *cobra.Command, files *[]string) {
	cmd.Flags().StringArrayVar(files, "rules", nil, "rule files in Falco's language; repeatable, a later one changes earlier ones;\nown stands for Seawall's rules, which are the default")
}

// Paths are the files and directories that Load reads.
func (r *Rules) Paths() []string { return slices.Concat(r.files, r.policies) }

// Load reads rules and policies.
func (r *Rules) Load() (*agent.Rules, error) {
	engine, err := Compile(r.files)
	if err != nil {
		return nil, err
	}
	set := &policy.Set{}
	if len(r.policies) > 0 {
		if set, err = policy.Load(r.policies); err != nil {
			return nil, err
		}
	}
	return &agent.Rules{Engine: engine, Policies: set}, nil
}

// Rate reads --rate.
func (r *Rules) Rate() (agent.Rate, error) {
	if r.rate == "0" {
		return agent.Rate{}, nil
	}
	count, per, ok := strings.Cut(r.rate, "/")
	n, nerr := strconv.Atoi(count)
	d, derr := time.ParseDuration(per)
	if !ok || nerr != nil || derr != nil || n < 1 || d < time.Duration(n) {
		return agent.Rate{}, fmt.Errorf("--rate %q: want a number and a time, as 60/1m, or 0: %w", r.rate, seawall.ErrUsage)
	}
	return agent.Rate{Burst: n, Every: d / time.Duration(n)}, nil
}

// ownRules stands for Seawall's own rules among rule files.
const ownRules = "own"

// Compile compiles rule files, or where none are named Seawall's own.
func Compile(names []string) (*rules.Engine, error) {
	files := rules.Own()
	if len(names) > 0 {
		files = nil
	}
	for _, name := range names {
		if name == ownRules {
			files = append(files, rules.Own()...)
			continue
		}
		data, err := os.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", err, seawall.ErrUsage)
		}
		files = append(files, rules.File{Path: name, Data: data})
	}
	set, err := rules.Load(files...)
	if err != nil {
		return nil, err
	}
	return rules.Compile(set)
}

// Watch are the files whose change means that rules are to be read anew. They are
// looked at now and then: that works on every file system, and through the symbolic
// links that Kubernetes switches when a ConfigMap changes.
type Watch struct {
	Paths []string
	Every time.Duration

	last map[string]string
}

// Run tells of changes, and of what hangup says, until ctx ends.
func (w *Watch) Run(ctx context.Context, hangup <-chan os.Signal, changed chan<- struct{}) {
	w.differs()
	tick := time.NewTicker(w.Every)
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
func (w *Watch) differs() bool {
	now := map[string]string{}
	for _, path := range w.Paths {
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
