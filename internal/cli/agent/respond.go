package agent

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"

	"github.com/seawall-security/seawall/internal/agent"
	"github.com/seawall-security/seawall/internal/cli/command"
	enforce "github.com/seawall-security/seawall/internal/enforce/all"
	"github.com/seawall-security/seawall/internal/enforce/pod"
)

// serviceAccount is where a pod finds its credentials.
const serviceAccount = "/var/run/secrets/kubernetes.io/serviceaccount"

// enforcer opens what carries actions out. Without an API server pods are not deleted.
func (o *runOptions) enforcer(env *command.Env, cfg *agent.LiveConfig, s *sensors) error {
	if err := os.MkdirAll(o.state, 0o700); err != nil {
		return err
	}
	peers, err := addresses()
	if err != nil {
		return err
	}
	pods, err := o.apiServer(env)
	if err != nil {
		return err
	}
	e, err := enforce.New(enforce.Config{State: o.state, Pods: pods, Peers: peers, Packets: o.packets})
	if e == nil {
		return err
	}
	if err != nil {
		cfg.Log.Warn("a quarantine of an earlier run could not be taken up again", "error", err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		e.Run(ctx)
	}()
	s.closers = append(s.closers, func() error {
		stop()
		<-ended
		return e.Close()
	})
	cfg.Enforcer = e
	return nil
}

// apiServer is the way to the API server: as flags say, else as a pod has it; nil is none.
func (o *runOptions) apiServer(env *command.Env) (*pod.Config, error) {
	server := o.server
	if host, port := env.Getenv("KUBERNETES_SERVICE_HOST"), env.Getenv("KUBERNETES_SERVICE_PORT"); server == "" && host != "" && port != "" {
		server = "https://" + net.JoinHostPort(host, port)
	}
	if server == "" {
		return nil, nil
	}
	in := func(name string) string {
		name = filepath.Join(o.credentials, name)
		if _, err := os.Stat(name); err != nil {
			return ""
		}
		return name
	}
	c := &pod.Config{Server: server, CAFile: in("ca.crt"), TokenFile: in("token"), CertFile: in("tls.crt"), KeyFile: in("tls.key")}
	if c.TokenFile == "" && c.CertFile == "" {
		if o.server == "" {
			return nil, nil // a pod without a service account's token
		}
		return nil, fmt.Errorf("--api-credentials %s holds neither token nor tls.crt", o.credentials)
	}
	return c, nil
}

// pods asks the API server about pods; nil is without one.
func (o *runOptions) pods(env *command.Env, s *sensors) (func(ctx context.Context, namespace, name string) ([]byte, error), error) {
	config, err := o.apiServer(env)
	if config == nil || err != nil {
		return nil, err
	}
	c, err := pod.New(*config)
	if err != nil {
		return nil, err
	}
	s.closers = append(s.closers, c.Close)
	return c.Get, nil
}

// addresses are this node's.
func addresses() ([]netip.Addr, error) {
	all, err := net.InterfaceAddrs()
	if err != nil {
		return nil, fmt.Errorf("this node's addresses: %w", err)
	}
	var out []netip.Addr
	for _, a := range all {
		n, ok := a.(*net.IPNet)
		if !ok || n.IP.IsLoopback() {
			continue
		}
		if addr, ok := netip.AddrFromSlice(n.IP); ok {
			out = append(out, addr.Unmap())
		}
	}
	return out, nil
}
