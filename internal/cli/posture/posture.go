// Package posture makes the commands that scan what is deployed, and what is
// meant to be: scan manifests and scan cluster. The parent package lends them
// the flags and the running of every scan (Scan).
package posture

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/seawall-security/seawall/internal/cli/command"
	"github.com/seawall-security/seawall/internal/cli/objects"
	"github.com/seawall-security/seawall/internal/detect/network"
	"github.com/seawall-security/seawall/internal/scan"
	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/source/cluster"
	"github.com/seawall-security/seawall/internal/source/manifest"
)

// Scan is what all scans have in common.
type Scan struct {
	// AddFlags defines the flags of every scan; scanners are looked for unless the user says otherwise.
	AddFlags func(cmd *cobra.Command, scanners ...string)
	// Run scans targets; adjust has the last word on the Config.
	Run func(cmd *cobra.Command, targets []scan.Target, adjust func(*scan.Config)) error
	// Settings reads what the user gave, once the flags are parsed.
	Settings func() Settings
}

// Settings are the settings of every scan that matter here.
type Settings struct {
	// Name replaces the target's own, "" does not.
	Name    string
	Offline bool
	Quiet   bool
}

// Manifests is the command scan manifests.
func Manifests(env *command.Env, s Scan) *cobra.Command {
	var f objects.Flags
	cmd := &cobra.Command{
		Use:   "manifests PATH...",
		Short: "Scan Kubernetes manifests: YAML, JSON, Helm charts, Kustomize",
		Long: `Scan Kubernetes manifests before they are deployed. A PATH is

  a file         YAML or JSON, any number of documents, Lists too; - is standard input
  a directory    every .yaml, .yml and .json below it, charts and kustomizations included
  a Helm chart   a directory with Chart.yaml, or a .tgz; rendered with --values and --set
  a Kustomize directory, with kustomization.yaml; built from what lies on disk

All PATHs are one set: a policy in one file counts for the workloads of another.
Nothing is fetched. A file that cannot be read is named, and the others go on.`,
		Example: `  seawall scan manifests deploy/
  seawall scan manifests chart/ --values prod.yaml --kube-version 1.33
  helm template app chart | seawall scan manifests - --fail-on high`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, paths []string) error {
			var opened *manifest.Target
			target := scan.Target{Open: func(context.Context, func(seawall.Progress)) (t seawall.Target, err error) {
				if opened, err = f.OpenManifests(env, paths); err != nil {
					return nil, err
				}
				return named(opened, s.Settings().Name), nil
			}}
			target.Name = strings.Join(paths, " ")
			err := s.Run(cmd, []scan.Target{target}, func(cfg *scan.Config) {
				cfg.Collectors = nil
				WithoutFiles(cfg, "seawall scan fs PATH")
			})
			if opened != nil && opened.Left() > 0 && !s.Settings().Quiet {
				fmt.Fprintf(env.Stderr, "seawall: %s left out: no Kubernetes objects\n", command.Plural(opened.Left(), "document"))
			}
			return err
		},
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return nil, cobra.ShellCompDirectiveDefault
		},
	}
	s.AddFlags(cmd, "misconfig")
	f.AddManifests(cmd)
	return cmd
}

// Cluster is the command scan cluster.
func Cluster(env *command.Env, s Scan) *cobra.Command {
	var f objects.Flags
	var insecure []string
	cmd := &cobra.Command{
		Use:   "cluster",
		Short: "Scan a live cluster",
		Long: `Scan the cluster of the current kubeconfig, or from inside a pod its own. The
API is asked with get and list alone, a page at a time; deploy/rbac has the
roles it needs. What may not be read is named in the report, and the controls
that need it are not evaluated, never passed.

Of secrets only metadata and type are read; --certificates also takes the
public certificates of TLS secrets, to see when they expire.

--images also scans every image that pods run, once, by its digest: from this
machine's containerd where it lies there, else from its registry with the pods'
pull secrets.`,
		Example: `  seawall scan cluster
  seawall scan cluster --context staging --format html=cluster.html
  seawall scan cluster --namespace shop --images`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runCluster(cmd, env, s, &f, insecure) },
	}
	s.AddFlags(cmd, "vuln", "misconfig")
	f.AddCluster(cmd)
	flags := cmd.Flags()
	flags.StringVarP(&f.Cluster.Namespace, "namespace", "n", "", "read namespaced resources of this namespace only (default: all)")
	flags.BoolVar(&f.Cluster.Images, "images", false, "also scan the images that pods run")
	flags.StringSliceVar(&insecure, "insecure", nil, "with --images: registries (host[:port]) to reach over plain HTTP or unverified TLS")
	flags.BoolVar(&f.Cluster.Certificates, "certificates", false, "also read the certificates of TLS secrets; the API gives their private keys with them, which are dropped")
	return cmd
}

func runCluster(cmd *cobra.Command, env *command.Env, s Scan, f *objects.Flags, insecure []string) error {
	set := s.Settings()
	if set.Offline {
		return command.Usage(cmd, fmt.Errorf("--offline: a cluster is only reached over the network"))
	}
	var opened *cluster.Target
	snapshot := &snapshot{}
	defer func() {
		if opened != nil {
			opened.Close()
		}
	}()
	target := scan.Target{Name: "cluster", Open: func(ctx context.Context, progress func(seawall.Progress)) (t seawall.Target, err error) {
		if opened, err = f.OpenCluster(ctx, env, progress); err != nil {
			return nil, err
		}
		snapshot.Target = opened
		return named(snapshot, set.Name), nil
	}}
	if f.Cluster.Images {
		target.Members = func() []scan.Target { return images(opened, insecure) }
	}
	return s.Run(cmd, []scan.Target{target}, func(cfg *scan.Config) {
		cfg.Exposed = snapshot.exposure
		if !f.Cluster.Images {
			WithoutFiles(cfg, "seawall scan cluster --images")
		}
	})
}

// describer is a target whose facts are its own.
type describer interface {
	seawall.Target
	seawall.Describer
}

// named is a target under the name the user chose, if there is one.
func named(t describer, name string) describer {
	if name == "" {
		return t
	}
	return renamed{t, name}
}

type renamed struct {
	describer
	name string
}

// Asset implements seawall.Target.
func (r renamed) Asset() seawall.Asset {
	asset := r.describer.Asset()
	if asset.ID == string(asset.Kind)+":"+asset.Name {
		asset.ID = string(asset.Kind) + ":" + r.name
	}
	asset.Name = r.name
	return asset
}

// snapshot is a cluster that is not closed when it was read: its images follow. It
// remembers which workloads the outside can reach.
type snapshot struct {
	*cluster.Target
	reached func(workload string) bool // nil when something was not read
}

// Close implements io.Closer.
func (*snapshot) Close() error { return nil }

// Facts implements seawall.Describer.
func (s *snapshot) Facts(ctx context.Context) ([]seawall.Fact, error) {
	facts, err := s.Target.Facts(ctx)
	if err != nil {
		return facts, err // in part, perhaps: then nobody knows what is reached
	}
	var objects []seawall.Object
	for i := range facts {
		if facts[i].Object != nil {
			objects = append(objects, *facts[i].Object)
		}
	}
	s.reached = network.Exposed(objects)
	return facts, nil
}

// exposure says whether one of the workloads that run an image can be reached from outside.
func (s *snapshot) exposure(a *seawall.Asset) *bool {
	if s.reached == nil || len(a.Workloads) == 0 {
		return nil
	}
	reached := slices.ContainsFunc(a.Workloads, func(w string) bool {
		kind, rest, _ := strings.Cut(w, "/")
		namespace, name, _ := strings.Cut(rest, "/")
		return s.reached(namespace + "/" + kind + "/" + name)
	})
	return &reached
}
