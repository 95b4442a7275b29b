package register

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	arv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/seawall-security/seawall/internal/policy"
)

var some = []Resource{
	{"", "v1", "pods", "Pod", true}, {"", "v1", "secrets", "Secret", true}, {"", "v1", "events", "Event", true}, {"", "v1", "nodes", "Node", false},
	{"", "v1", "namespaces", "Namespace", false}, {"apps", "v1", "deployments", "Deployment", true}, {"apps", "v1", "controllerrevisions", "ControllerRevision", true},
	{"coordination.k8s.io", "v1", "leases", "Lease", true}, {"rbac.authorization.k8s.io", "v1", "clusterroles", "ClusterRole", false},
	{"example.org", "v2", "deployments", "Deployment", true}, {"example.org", "v2", "widgets", "Widget", true},
}

func interest(t *testing.T, spec string) policy.Interest {
	t.Helper()
	set, err := policy.Parse("p", []byte("{apiVersion: seawall.io/v1alpha1, kind: Policy, metadata: {name: p}, spec: {phases: [deploy], "+spec+"}}"))
	if err != nil {
		t.Fatal(err)
	}
	i, ok := set.Policies[0].Interest(policy.PhaseDeploy)
	if !ok {
		t.Fatal("not for deploy")
	}
	return i
}

func when(condition string) string {
	return fmt.Sprintf("rules: [{name: r, when: %q, action: block}]", condition)
}

// TestRules: what policies are about decides what is sent.
func TestRules(t *testing.T) {
	for _, test := range []struct {
		name, spec string
		want       []string
	}{
		{"images", when(`image.tag == "latest"`), []string{"CREATE UPDATE /v1 pods", "UPDATE /v1 pods/ephemeralcontainers,pods/resize", "CREATE UPDATE apps/v1 deployments", "CREATE UPDATE example.org/v2 deployments"}},
		{"findings", when(`finding.kind == "secret"`), []string{"CREATE UPDATE /v1 namespaces,pods", "UPDATE /v1 pods/ephemeralcontainers,pods/resize", "CREATE UPDATE apps/v1 deployments",
			"CREATE UPDATE example.org/v2 deployments", "CREATE UPDATE rbac.authorization.k8s.io/v1 clusterroles"}},
		{"any object", when(`object.metadata.name == "x"`), []string{"CREATE UPDATE /v1 namespaces,pods,secrets", "UPDATE /v1 pods/ephemeralcontainers,pods/resize", "CREATE UPDATE apps/v1 deployments",
			"CREATE UPDATE example.org/v2 deployments,widgets", "CREATE UPDATE rbac.authorization.k8s.io/v1 clusterroles"}},
		{"a kind", "match: {kinds: [Deployment.apps]}, " + when(`object.metadata.name == "x"`), []string{"CREATE UPDATE apps/v1 deployments"}},
		{"nodes when asked", "match: {kinds: [Node]}, " + when(`object.metadata.name == "x"`), []string{"CREATE UPDATE /v1 nodes"}},
		{"leases never", "match: {kinds: [Lease]}, " + when(`object.metadata.name == "x"`), nil},
		{"exec", "match: {kinds: [PodExecOptions], operations: [CONNECT]}, " + when(`request.userInfo.username == "x"`), []string{"CONNECT /v1 pods/exec"}},
		{"evictions and scales", "match: {kinds: [Eviction, Scale.autoscaling]}, " + when(`request.userInfo.username == "x"`), []string{"CREATE /v1 pods/eviction", "UPDATE /v1 replicationcontrollers/scale",
			"UPDATE apps/v1 deployments/scale,replicasets/scale,statefulsets/scale"}},
		{"deletes", "match: {kinds: [Namespace], operations: [DELETE]}, " + when(`request.userInfo.username == "x"`), []string{"DELETE /v1 namespaces"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			var got []string
			for _, r := range rulesFor([]policy.Interest{interest(t, test.spec)}, some, func(*policy.Interest) bool { return true }) {
				var ops []string
				for _, o := range r.Operations {
					ops = append(ops, string(o))
				}
				got = append(got, strings.Join(ops, " ")+" "+r.APIGroups[0]+"/"+r.APIVersions[0]+" "+strings.Join(r.Resources, ","))
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestBuild(t *testing.T) {
	c := Config{Name: "seawall", Service: "seawall", Namespace: "seawall-system", Excluded: []string{"kube-system"}, Users: []string{"system:serviceaccount:seawall-system:seawall"}, Timeout: 10 * time.Second}
	interests := []policy.Interest{interest(t, when(`image.tag == "latest"`)), interest(t, "failure: closed, match: {kinds: [Secret]}, "+when(`object.metadata.name == "x"`))}
	got := Build(c, interests, some, []byte("CA"))
	var hooks []string
	for _, w := range got.Validating.Webhooks {
		hooks = append(hooks, fmt.Sprint(w.Name, " ", *w.FailurePolicy, " ", *w.ClientConfig.Service.Path, " ", len(w.Rules)))
		excluded := w.NamespaceSelector.MatchExpressions
		if w.Name != "check.policies.seawall.io" && (len(excluded) != 1 || !slices.Equal(excluded[0].Values, []string{"kube-system", "seawall-system"}) || len(w.MatchConditions) != 2) {
			t.Errorf("%s: %+v", w.Name, w)
		}
	}
	want := []string{"open.validate.seawall.io Ignore /validate/open 4", "closed.validate.seawall.io Fail /validate/closed 1", "check.policies.seawall.io Ignore /check 1"}
	if diff := cmp.Diff(want, hooks); diff != "" {
		t.Error(diff)
	}
	if len(got.Mutating.Webhooks) != 0 {
		t.Error("no policy mutates")
	}
	mutates := interests[0]
	mutates.Mutates = true
	if got := Build(c, []policy.Interest{mutates}, some, nil).Mutating.Webhooks; len(got) != 1 || *got[0].FailurePolicy != arv1.Ignore || got[0].Rules[0].Resources[0] != "pods" {
		t.Errorf("%+v", got)
	}
	c.URL = "https://[fd00::1]:8443/"
	if diff := cmp.Diff([]string{"fd00::1"}, c.Names()); diff != "" || *Build(c, interests, some, nil).Validating.Webhooks[0].ClientConfig.URL != "https://[fd00::1]:8443/validate/open" {
		t.Error(diff)
	}
}

func TestSync(t *testing.T) {
	client := fake.NewClientset()
	r := &Registry{client.AdmissionregistrationV1()}
	want := Build(Config{Name: "seawall", Service: "seawall", Namespace: "ns", Timeout: time.Second}, nil, nil, nil)
	ctx := context.Background()
	steps := func(n int) {
		t.Helper()
		changed, err := r.Sync(ctx, want)
		if err != nil || len(changed) != n {
			t.Errorf("changed %v, want %d; %v", changed, n, err)
		}
	}
	steps(2)
	steps(0)
	is, _ := r.Client.ValidatingWebhookConfigurations().Get(ctx, "seawall", metav1.GetOptions{})
	is.Webhooks[0].FailurePolicy = ptr(arv1.Fail)
	is.Labels["kept"] = "yes"
	if _, err := r.Client.ValidatingWebhookConfigurations().Update(ctx, is, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	steps(1)
	is, _ = r.Client.ValidatingWebhookConfigurations().Get(ctx, "seawall", metav1.GetOptions{})
	if *is.Webhooks[0].FailurePolicy != arv1.Ignore || is.Labels["kept"] != "yes" {
		t.Errorf("not repaired, or more than that: %+v", is)
	}
}
