package cluster

import (
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/seawall-security/seawall/internal/seawall"
)

// load finds the kubeconfig and the cluster's name in it.
func (o *Options) load() (*rest.Config, string, error) {
	rules := &clientcmd.ClientConfigLoadingRules{ExplicitPath: o.Kubeconfig}
	if o.Kubeconfig == "" {
		rules.Precedence = o.kubeconfigs()
		if !anyExists(rules.Precedence) {
			return o.inCluster()
		}
	}
	loader := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, &clientcmd.ConfigOverrides{CurrentContext: o.Context})
	raw, err := loader.RawConfig()
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, "", fmt.Errorf("kubeconfig: %w: %w", seawall.ErrUsage, err)
		}
		return nil, "", fmt.Errorf("kubeconfig %s: %w: %w", strings.Join(append(rules.Precedence, o.Kubeconfig), " "), seawall.ErrUsage, err)
	}
	current := raw.CurrentContext
	if o.Context != "" {
		current = o.Context
	}
	chosen, ok := raw.Contexts[current]
	if !ok {
		names := make([]string, 0, len(raw.Contexts))
		for n := range raw.Contexts {
			names = append(names, n)
		}
		return nil, "", seawall.WithHint(fmt.Errorf("kubeconfig: %w: no context %q", seawall.ErrUsage, current), contextHint(names))
	}
	config, err := loader.ClientConfig()
	if err != nil {
		return nil, "", fmt.Errorf("kubeconfig: %w: %w", seawall.ErrUsage, err)
	}
	return config, chosen.Cluster, nil
}

func contextHint(names []string) string {
	if len(names) == 0 {
		return "it has no contexts at all: name another file with --kubeconfig"
	}
	return "there are " + strings.Join(sorted(names), ", ") + ": choose one with --context"
}

// kubeconfigs are the files kubectl reads.
func (o *Options) kubeconfigs() []string {
	if list := o.Getenv("KUBECONFIG"); list != "" {
		return filepath.SplitList(list)
	}
	if home := o.Getenv("HOME"); home != "" {
		return []string{filepath.Join(home, ".kube", "config")}
	}
	return nil
}

func anyExists(paths []string) bool {
	for _, p := range paths {
		if _, err := os.Stat(p); err == nil {
			return true
		}
	}
	return false
}

// inCluster uses the service account of the pod this runs in.
func (o *Options) inCluster() (*rest.Config, string, error) {
	if o.Getenv("KUBERNETES_SERVICE_HOST") == "" {
		return nil, "", seawall.WithHint(fmt.Errorf("no kubeconfig found: %w", seawall.ErrUsage),
			"name one with --kubeconfig, or set KUBECONFIG")
	}
	config, err := rest.InClusterConfig()
	if err != nil {
		return nil, "", fmt.Errorf("the pod's service account: %w: %w", seawall.ErrUsage, err)
	}
	name := config.Host
	if u, err := url.Parse(config.Host); err == nil {
		name = u.Host
	}
	return config, name, nil
}
