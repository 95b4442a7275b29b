package cluster

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/source/object"
)

// version is the answer of /version.
type version struct {
	GitVersion string
	Platform   string
}

// versionFact says which Kubernetes it is.
func (s *snapshot) versionFact(objects []*seawall.Object) seawall.ConfigFact {
	v := s.target.version
	distribution := distributionOf(v.GitVersion, s.groups, objects)
	managed := slices.Contains([]string{"eks", "gke", "aks"}, distribution)
	return seawall.ConfigFact{Kind: "kubernetes/version", Data: map[string]string{
		"version": v.GitVersion, "platform": v.Platform, "distribution": distribution, "managed": strconv.FormatBool(managed),
	}}
}

// distributionOf tells distributions by their version's suffix, by API groups of
// their own, by what their nodes say, and kubeadm by its ConfigMap. Everything
// else is plain.
func distributionOf(gitVersion string, groups []string, objects []*seawall.Object) string {
	for _, by := range []struct{ mark, name string }{{"+k3s", "k3s"}, {"+rke2", "rke2"}, {"-eks-", "eks"}, {"-gke.", "gke"}} {
		if strings.Contains(gitVersion, by.mark) {
			return by.name
		}
	}
	if slices.Contains(groups, "config.openshift.io") {
		return "openshift"
	}
	name := "plain"
	for _, o := range objects {
		switch o.Kind {
		case "Node":
			if d := distributionOfNode(o); d != "" {
				return d
			}
		case "ConfigMap":
			if o.Namespace == "kube-system" && o.Name == "kubeadm-config" {
				name = "kubeadm" // unless a node says better: kind uses kubeadm, too
			}
		}
	}
	return name
}

func distributionOfNode(o *seawall.Object) string {
	var n struct {
		Metadata struct{ Labels map[string]string }
		Spec     struct{ ProviderID string }
	}
	if json.Unmarshal(o.JSON, &n) != nil {
		return ""
	}
	for label, name := range map[string]string{
		"eks.amazonaws.com/nodegroup": "eks", "cloud.google.com/gke-nodepool": "gke", "kubernetes.azure.com/cluster": "aks",
	} {
		if _, ok := n.Metadata.Labels[label]; ok {
			return name
		}
	}
	if strings.HasPrefix(n.Spec.ProviderID, "kind://") {
		return "kind"
	}
	return ""
}

// kubelets reads the configuration of every node's kubelet, where nodes/proxy
// may be read: the way there is the kubelet's own /configz.
func (s *snapshot) kubelets(ctx context.Context) error {
	i := slices.Index(s.want, wanted{"", "nodes"})
	nodes := s.lists[i]
	if len(nodes) == 0 {
		return nil
	}
	// The first one tells whether the others may be asked.
	if err := s.kubelet(ctx, nodes[0].Name); err != nil {
		if uerr := s.unread(ctx, "nodes/proxy", err); uerr != nil || refused(err) {
			return uerr
		}
	}
	g, asking := errgroup.WithContext(ctx)
	g.SetLimit(parallel)
	for _, n := range nodes[1:] {
		g.Go(func() error {
			if err := s.kubelet(asking, n.Name); err != nil {
				return s.unread(asking, "nodes/proxy", err)
			}
			return nil
		})
	}
	return g.Wait()
}

// kubelet reads the configuration of one node's kubelet.
func (s *snapshot) kubelet(ctx context.Context, node string) error {
	var answer struct {
		KubeletConfig json.RawMessage `json:"kubeletconfig"`
	}
	if err := s.api.get(ctx, "/api/v1/nodes/"+url.PathEscape(node)+"/proxy/configz", &answer); err != nil {
		return fmt.Errorf("kubelet of %s: %w", node, err)
	}
	data := map[string]string{}
	if err := object.Flatten(answer.KubeletConfig, data); err != nil {
		return fmt.Errorf("kubelet of %s: %w: %w", node, seawall.ErrCorrupt, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.configs = append(s.configs, seawall.ConfigFact{Kind: "kubernetes/kubelet", Path: "Node/" + node, Data: data})
	return nil
}

// deprecatedMetric counts requests for deprecated APIs since the API server's start.
const deprecatedMetric = "apiserver_requested_deprecated_apis{"

// deprecated notes which deprecated APIs are in use, as facts of kind
// kubernetes/deprecated-api: group, version, resource, subresource, removed_release.
func (s *snapshot) deprecated(ctx context.Context) error {
	err := s.api.read(ctx, "/metrics", nil, "text/plain", func(body io.Reader) error {
		lines := bufio.NewScanner(body)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			if labels, ok := strings.CutPrefix(lines.Text(), deprecatedMetric); ok {
				if labels, value, ok := strings.Cut(labels, "} "); ok && value != "0" {
					s.note("kubernetes/deprecated-api", parseLabels(labels))
				}
			}
		}
		return lines.Err()
	})
	if err != nil {
		return s.unread(ctx, "/metrics", err)
	}
	s.note("kubernetes/read", map[string]string{"resource": "/metrics"})
	return nil
}

// parseLabels reads name="value",… of Prometheus' text format; values there hold no quotes.
func parseLabels(text string) map[string]string {
	labels := map[string]string{}
	for text != "" {
		name, rest, ok := strings.Cut(text, `="`)
		if !ok {
			break
		}
		value, rest, ok := strings.Cut(rest, `"`)
		if !ok {
			break
		}
		labels[strings.Trim(name, ", ")] = value
		text = rest
	}
	return labels
}

// compareConfigs orders facts so that equal clusters give equal snapshots.
func compareConfigs(a, b seawall.ConfigFact) int {
	return cmp.Or(strings.Compare(a.Kind, b.Kind), strings.Compare(a.Path, b.Path), strings.Compare(key(a.Data), key(b.Data)))
}

func key(data map[string]string) string {
	var out []string
	for _, k := range slices.Sorted(maps.Keys(data)) {
		out = append(out, k+"="+data[k])
	}
	return strings.Join(out, "\x00")
}
