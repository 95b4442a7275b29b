package prevent_test

import (
	"context"
	"crypto/rand"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seawall-security/seawall/internal/agent"
	"github.com/seawall-security/seawall/internal/agent/prevent"
	"github.com/seawall-security/seawall/internal/agent/respond"
	"github.com/seawall-security/seawall/internal/agent/syscalls"
	"github.com/seawall-security/seawall/internal/detect/rules"
	enforce "github.com/seawall-security/seawall/internal/enforce/all"
	"github.com/seawall-security/seawall/internal/enforce/enforcetest"
	"github.com/seawall-security/seawall/internal/enforce/permission"
	"github.com/seawall-security/seawall/internal/policy"
	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }

const ruleFile = `
- macro: exec
  condition: evt.type in (execve, execveat) and container.id != host
- rule: drift
  desc: d
  condition: exec and proc.is_exe_upper_layer = true
  output: "drift %proc.exepath"
  priority: WARNING
- rule: payload
  desc: d
  condition: exec and proc.name = payload and proc.pname = bash and not proc.args contains spare
  output: "payload %proc.cmdline %proc.pname"
  priority: WARNING
- rule: told
  desc: d
  condition: exec and proc.name = told
  output: "told %proc.cmdline"
  priority: WARNING
`

const killPolicy = `
apiVersion: seawall.io/v1alpha1
kind: Policy
metadata: {name: kill}
spec:
  phases: [run]
  rules:
  - {name: r, when: 'finding.asset == "container:CONTAINER" && finding.rule in ["drift", "payload"]', action: kill-process}
`

func loaded(t *testing.T, policies string) *agent.Rules {
	t.Helper()
	set, err := rules.Load(rules.File{Path: "r.yaml", Data: []byte(ruleFile)})
	if err != nil {
		t.Fatal(err)
	}
	engine, err := rules.Compile(set)
	if err != nil {
		t.Fatal(err)
	}
	p, err := policy.Parse("p.yaml", []byte(policies))
	if err != nil {
		t.Fatal(err)
	}
	return &agent.Rules{Engine: engine, Policies: p}
}

// stream keeps the messages about a container.
type stream struct {
	mu   sync.Mutex
	all  []seawall.Message
	kept func(m seawall.Message) bool
}

func (s *stream) Handle(_ context.Context, m seawall.Message) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.kept(m) {
		s.all = append(s.all, m)
	}
	return nil
}

func (s *stream) Close() error { return nil }

// find waits for a message.
func (s *stream) find(t *testing.T, what string, is func(m *seawall.Message) bool) {
	t.Helper()
	for range 1000 {
		s.mu.Lock()
		for i := range s.all {
			if is(&s.all[i]) {
				s.mu.Unlock()
				return
			}
		}
		s.mu.Unlock()
		time.Sleep(10 * time.Millisecond)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range s.all {
		t.Logf("%+v %+v", m.Finding, m.Decision)
	}
	t.Errorf("never told: %s", what)
}

// watched starts an agent that watches the machine and keeps what is about one
// container. Its policies must be about that one alone.
func watched(t *testing.T, container, policies string, response respond.Config) (*prevent.Prevention, *stream) {
	t.Helper()
	r := loaded(t, policies)
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	node := seawall.Asset{ID: "node:n", Kind: seawall.AssetNode, Name: "n"}
	p := prevent.New(prevent.Config{Node: node, Rules: r, Response: response, Log: log})
	attached := make(chan struct{})
	source, err := syscalls.New(syscalls.Config{Node: "n", Prevention: p, Attached: func() error { close(attached); return nil }})
	if err != nil && os.Getenv("CI") != "true" {
		t.Skipf("no kernel sensor here: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	enforcer, err := enforce.New(enforce.Config{State: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	// Nothing outside of the test's cgroup is ever acted on.
	out := &stream{kept: func(m seawall.Message) bool {
		return m.Finding != nil && m.Finding.Asset == "container:"+container || m.Decision != nil && m.Decision.Asset == "container:"+container
	}}
	live := agent.NewLive(agent.LiveConfig{Node: "n", Rules: r, Sources: []agent.Source{source}, Enforcer: enforcer, Response: response, Outputs: []*agent.Output{{Name: "test", Handler: out}}, Log: log})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- live.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if err := source.Close(); err != nil {
			t.Error(err)
		}
		if err := enforcer.Close(); err != nil {
			t.Error(err)
		}
	})
	<-attached
	return p, out
}

// supported skips where the kernel has not what these tests are about.
func supported(t *testing.T) {
	t.Helper()
	testenv.Root(t)
	if err := permission.Probe(); err != nil {
		t.Skipf("this kernel refuses no programs: %v", err)
	}
}

// TestAgain: a container is watched also when the kernel gives it numbers that an
// ended one had.
func TestAgain(t *testing.T) {
	supported(t)
	name := "p" + strings.ToLower(rand.Text()[:12])
	p, _ := watched(t, "", strings.Replace(killPolicy, `finding.asset == "container:CONTAINER" && finding.rule in ["drift", "payload"]`, `finding.rule == "told" && finding.event.fields["proc.pname"] == "`+name+`"`, 1), respond.Config{})
	for range 4 {
		t.Run("", func(t *testing.T) {
			c := enforcetest.NewShell(t)
			c.Run("cp /bin/touch told; cp /bin/bash " + name)
			for i := 0; ; i++ {
				if said := c.Run("rm -f effect; ./" + name + " -c './told effect; true'"); strings.Contains(said, "Operation not permitted") {
					break
				}
				if i == 500 {
					t.Fatalf("not watched: %+v", p.Counts())
				}
				time.Sleep(10 * time.Millisecond)
			}
			if c.Run("test -e effect") == "== 0" {
				t.Error("the refused program has had its effect")
			}
		})
	}
}

// TestPrevented: payloads end before their effect, in the kernel and at the exec;
// twins that no rule is about run; all of it is told.
func TestPrevented(t *testing.T) {
	supported(t)
	c := enforcetest.NewShell(t)
	other := enforcetest.NewShell(t)
	c.Run("cp /bin/touch m/payload; cp /bin/touch m/harmless; cp /bin/touch o/new")
	other.Run("cp /bin/touch o/new; cp /bin/touch m/payload")
	p, out := watched(t, c.Container.ID, strings.ReplaceAll(killPolicy, "CONTAINER", c.Container.ID), respond.Config{})
	// From its first program on the container is known.
	for i := 0; p.Counts().Allowed == 0; i++ {
		if c.Run("/bin/true"); i == 500 {
			t.Fatalf("the container is not watched: %+v", p.Counts())
		}
		time.Sleep(10 * time.Millisecond)
	}
	for _, tc := range []struct{ command, want, effect string }{
		{"o/new m/upper", "== 137", ""},
		{"m/payload m/refused", "Operation not permitted", ""},
		{"m/payload m/spare", "== 0", "m/spare"},
		{"m/harmless m/fine", "== 0", "m/fine"},
		{"(exec -a payload m/harmless m/named)", "== 0", "m/named"},
		{"o/old", "== 0", "o/old"},
	} {
		if said := c.Run(tc.command); !strings.Contains(said, tc.want) {
			t.Errorf("%s: %q, want %q", tc.command, said, tc.want)
		}
		words := strings.Fields(strings.Trim(tc.command, "()"))
		effect := words[len(words)-1]
		if there := c.Run("test -e "+effect) == "== 0"; there != (tc.effect != "") {
			t.Errorf("%s: %s is there: %t", tc.command, effect, there)
		}
	}
	for rule, reason := range map[string]string{"drift": "before its first instruction", "payload": "refused before it started"} {
		id := ""
		out.find(t, "finding of "+rule, func(m *seawall.Message) bool {
			if m.Finding == nil || m.Finding.Rule != rule {
				return false
			}
			id = m.Finding.ID
			return true
		})
		out.find(t, "decision of "+rule, func(m *seawall.Message) bool {
			d := m.Decision
			return d != nil && len(d.Findings) == 1 && d.Findings[0] == id && d.Action == "kill-process" && d.Outcome == "enforced" && strings.Contains(d.Reason, reason)
		})
	}
	out.find(t, "whose it was", func(m *seawall.Message) bool {
		return m.Finding != nil && m.Finding.Rule == "payload" && strings.Contains(m.Finding.Evidence, "payload m/refused bash")
	})
	if _, err := os.Stat(filepath.Join(c.Dir, "upper/new")); err != nil {
		t.Error(err)
	}
}
