package cluster

import (
	"context"
	"slices"
	"strings"
)

// wanted is a resource that detectors judge.
type wanted struct {
	group, resource string
}

// String is "pods" or "deployments.apps".
func (w wanted) String() string {
	if w.group == "" {
		return w.resource
	}
	return w.resource + "." + w.group
}

// wantedResources are what is read, in this order: owners before what they own,
// so that an owned object can be dropped as it comes.
func wantedResources() []wanted {
	var out []wanted
	for _, g := range []struct{ group, resources string }{
		{"", "namespaces nodes serviceaccounts services configmaps resourcequotas limitranges persistentvolumes persistentvolumeclaims"},
		{"apps", "deployments statefulsets daemonsets replicasets"},
		{"", "replicationcontrollers"},
		{"batch", "cronjobs jobs"},
		{"", "pods"},
		{"rbac.authorization.k8s.io", "clusterroles clusterrolebindings roles rolebindings"},
		{"networking.k8s.io", "networkpolicies ingresses ingressclasses"},
		{"policy.networking.k8s.io", "adminnetworkpolicies baselineadminnetworkpolicies clusternetworkpolicies"},
		{"gateway.networking.k8s.io", "gatewayclasses gateways httproutes grpcroutes tlsroutes tcproutes udproutes referencegrants backendtlspolicies"},
		{"policy", "poddisruptionbudgets podsecuritypolicies"},
		{"autoscaling", "horizontalpodautoscalers"},
		{"storage.k8s.io", "storageclasses csidrivers"},
		{"scheduling.k8s.io", "priorityclasses"},
		{"node.k8s.io", "runtimeclasses"},
		{"admissionregistration.k8s.io", "validatingwebhookconfigurations mutatingwebhookconfigurations validatingadmissionpolicies validatingadmissionpolicybindings mutatingadmissionpolicies mutatingadmissionpolicybindings"},
		{"apiextensions.k8s.io", "customresourcedefinitions"},
		{"apiregistration.k8s.io", "apiservices"},
		{"certificates.k8s.io", "certificatesigningrequests"},
	} {
		for _, r := range strings.Fields(g.resources) {
			out = append(out, wanted{g.group, r})
		}
	}
	return out
}

// served is a resource as the cluster offers it.
type served struct {
	path       string // of its group and version: "/apis/apps/v1"
	apiVersion string
	kind       string
	namespaced bool
}

type apiResources struct {
	GroupVersion string
	Resources    []struct {
		Name       string
		Kind       string
		Namespaced bool
		Verbs      []string
	}
}

// discover asks which of the wanted resources the cluster has, each in the first
// version of its group that has it, the preferred one before others. groups are
// all API groups.
func (a *api) discover(ctx context.Context, want []wanted) (have map[wanted]served, groups []string, err error) {
	var list struct {
		Groups []struct {
			Name             string
			PreferredVersion struct{ GroupVersion string }
			Versions         []struct{ GroupVersion string }
		}
	}
	if err := a.get(ctx, "/apis", &list); err != nil {
		return nil, nil, err
	}
	have = map[wanted]served{}
	if err := a.discoverVersion(ctx, "/api/v1", "", have, want); err != nil {
		return nil, nil, err
	}
	for _, g := range list.Groups {
		groups = append(groups, g.Name)
		if !slices.ContainsFunc(want, func(w wanted) bool { return w.group == g.Name }) {
			continue
		}
		versions := []string{g.PreferredVersion.GroupVersion}
		for _, v := range g.Versions {
			if !slices.Contains(versions, v.GroupVersion) {
				versions = append(versions, v.GroupVersion)
			}
		}
		for _, v := range versions {
			if err := a.discoverVersion(ctx, "/apis/"+v, g.Name, have, want); err != nil && !notFound(err) {
				return nil, nil, err
			}
		}
	}
	return have, groups, nil
}

func (a *api) discoverVersion(ctx context.Context, path, group string, have map[wanted]served, want []wanted) error {
	var list apiResources
	if err := a.get(ctx, path, &list); err != nil {
		return err
	}
	for _, r := range list.Resources {
		w := wanted{group, r.Name}
		_, known := have[w]
		if !known && slices.Contains(want, w) && slices.Contains(r.Verbs, "list") {
			have[w] = served{path: path, apiVersion: list.GroupVersion, kind: r.Kind, namespaced: r.Namespaced}
		}
	}
	return nil
}
