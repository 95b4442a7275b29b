// Package objects opens what the commands over Kubernetes objects look at:
// manifests, named as PATHs, or the cluster of the current kubeconfig. It holds
// the flags of both, so that every such command has the same ones.
package objects

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/seawall-security/seawall/internal/cli/command"
	"github.com/seawall-security/seawall/internal/detect"
	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/source/cluster"
	"github.com/seawall-security/seawall/internal/source/manifest"
)

// Flags are the settings of reading objects.
type Flags struct {
	Manifest manifest.Options
	Cluster  cluster.Options
}

// AddManifests defines the flags about manifests.
func (f *Flags) AddManifests(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.Manifest.KubeVersion, "kube-version", "", "the Kubernetes version the manifests are meant for, for example 1.33")
	flags.StringArrayVarP(&f.Manifest.Helm.Values, "values", "f", nil, "values files for Helm charts, later ones win")
	flags.StringArrayVar(&f.Manifest.Helm.Set, "set", nil, "values for Helm charts: key=value, as for helm")
	flags.StringVar(&f.Manifest.Helm.ReleaseName, "release-name", "", "the name charts are rendered with (default: the chart's)")
	flags.StringVar(&f.Manifest.Helm.ReleaseNamespace, "release-namespace", "", "the namespace charts are rendered for (default: default)")
}

// AddCluster defines the flags about the cluster.
func (f *Flags) AddCluster(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.Cluster.Kubeconfig, "kubeconfig", "", "the kubeconfig (default: $KUBECONFIG, ~/.kube/config, the pod's service account)")
	flags.StringVar(&f.Cluster.Context, "context", "", "the context of the kubeconfig (default: its current one)")
}

// OpenManifests opens the manifests at paths.
func (f *Flags) OpenManifests(env *command.Env, paths []string) (*manifest.Target, error) {
	o := f.Manifest
	o.Stdin = env.Stdin
	return manifest.Open(paths, o)
}

// OpenCluster opens the live cluster. progress may be nil.
func (f *Flags) OpenCluster(ctx context.Context, env *command.Env, progress func(seawall.Progress)) (*cluster.Target, error) {
	o := f.Cluster
	o.Getenv, o.Progress = env.Getenv, progress
	return cluster.Open(ctx, o)
}

// Facts reads the manifests at paths, or without paths the live cluster, which
// offline refuses. missed is what could not be read, one error each; the facts
// beside it stand.
func (f *Flags) Facts(ctx context.Context, env *command.Env, paths []string, offline bool) (facts detect.Facts, missed seawall.Incomplete, err error) {
	var target interface {
		seawall.Target
		seawall.Describer
	}
	switch {
	case len(paths) > 0:
		target, err = f.OpenManifests(env, paths)
	case offline:
		return facts, nil, seawall.WithHint(fmt.Errorf("--offline: reading a cluster needs the network: %w", seawall.ErrUsage), "name manifests to read instead")
	default:
		target, err = f.OpenCluster(ctx, env, nil)
	}
	if err != nil {
		return facts, nil, err
	}
	defer target.Close()
	list, err := target.Facts(ctx)
	if err != nil && !errors.As(err, &missed) {
		return facts, nil, err
	}
	facts = detect.Facts{Asset: target.Asset(), Now: env.Now()}
	for _, fact := range list {
		switch {
		case fact.Object != nil:
			facts.Objects = append(facts.Objects, *fact.Object)
		case fact.Config != nil:
			facts.Configs = append(facts.Configs, *fact.Config)
		}
	}
	return facts, missed, nil
}
