package workload_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seawall-security/seawall/internal/detect/rbac/access"
	"github.com/seawall-security/seawall/internal/detect/rbac/rbactest"
	"github.com/seawall-security/seawall/internal/detect/rbac/workload"
	"github.com/seawall-security/seawall/internal/seawall"
)

func read(t *testing.T, manifest string) workload.Workload {
	t.Helper()
	off := false
	set := &access.Set{Accounts: []*access.Account{{Ref: access.Ref{Kind: "ServiceAccount", Namespace: "n", Name: "off"}, Automount: &off}}}
	list, problems := workload.Read(rbactest.Objects(t, manifest), set)
	if len(problems) > 0 || len(list) != 1 {
		t.Fatalf("%v %v\n%s", list, problems, manifest)
	}
	return list[0]
}

func pod(spec string) string {
	return "{apiVersion: v1, kind: Pod, metadata: {namespace: n, name: w}, spec: " + spec + "}"
}

func TestToken(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		manifest, account      string
		token, says, projected bool
	}{
		{pod("{containers: [{name: c}]}"), "default", true, false, false},
		{pod("{serviceAccountName: a, automountServiceAccountToken: false, containers: [{name: c}]}"), "a", false, true, false},
		{pod("{serviceAccount: old, containers: [{name: c}]}"), "old", true, false, false},
		{pod("{serviceAccountName: 'off', containers: [{name: c}]}"), "off", false, false, false},
		{pod("{serviceAccountName: 'off', automountServiceAccountToken: true, containers: [{name: c}]}"), "off", true, true, false},
		{pod("{serviceAccountName: 'off', containers: [{name: c}], volumes: [{name: v, projected: {sources: [{serviceAccountToken: {path: t}}]}}]}"), "off", true, false, true},
		{pod("{serviceAccountName: 'off', containers: [{name: c}], volumes: [{name: v, projected: {sources: [{serviceAccountToken: {path: t, audience: vault}}]}}]}"), "off", false, false, false},
		{"{apiVersion: apps/v1, kind: Deployment, metadata: {namespace: n, name: w}, spec: {template: {spec: {serviceAccountName: d}}}}", "d", true, false, false},
		{"{apiVersion: batch/v1, kind: CronJob, metadata: {namespace: n, name: w}, spec: {jobTemplate: {spec: {template: {spec: {serviceAccountName: j}}}}}}", "j", true, false, false},
	} {
		w := read(t, c.manifest)
		if w.Account.Name != c.account || w.Token != c.token || w.PodSays != c.says || w.Projected != c.projected {
			t.Errorf("%s: account %s, token %v, said by the pod %v", c.manifest, w.Account.Name, w.Token, w.PodSays)
		}
	}
}

func TestHost(t *testing.T) {
	t.Parallel()
	mount := func(path, mounts string) string {
		return pod("{containers: [{name: c, volumeMounts: [" + mounts + "]}], volumes: [{name: v, hostPath: {path: '" + path + "'}}]}")
	}
	const write, read_, none = "{name: v, mountPath: /h}", "{name: v, mountPath: /h, readOnly: true}", ""
	for _, c := range []struct{ manifest, field, what string }{
		{pod("{containers: [{name: c, securityContext: {privileged: true}}]}"), "spec.containers[0].securityContext.privileged", "container c is privileged"},
		{pod("{containers: [{name: c}], initContainers: [{name: i, securityContext: {privileged: true}}]}"), "spec.initContainers[0].securityContext.privileged", "container i is privileged"},
		{pod("{containers: [{name: c, securityContext: {capabilities: {add: [CAP_SYS_ADMIN]}}}]}"), "spec.containers[0].securityContext.capabilities.add", "container c has the capability SYS_ADMIN"},
		{pod("{containers: [{name: c, securityContext: {capabilities: {add: [NET_BIND_SERVICE]}}}]}"), "", ""},
		{pod("{containers: [{name: c, securityContext: {capabilities: {add: [SYS_PTRACE]}}}]}"), "", ""},
		{pod("{hostPID: true, containers: [{name: c, securityContext: {capabilities: {add: [SYS_PTRACE]}}}]}"), "spec.containers[0].securityContext.capabilities.add", "container c has the capability SYS_PTRACE"},
		{pod("{hostPID: true, hostNetwork: true, containers: [{name: c}]}"), "", ""},
		{mount("/", write), "spec.volumes[0].hostPath.path", "writes / of the node"},
		{mount("/", read_), "spec.volumes[0].hostPath.path", "reads / of the node"},
		{mount("/", none), "", ""},
		{mount("/etc", read_), "spec.volumes[0].hostPath.path", "reads /etc of the node"},
		{mount("/etc/ssl", write), "", ""},
		{mount("/var/run/docker.sock", read_), "spec.volumes[0].hostPath.path", "reads /var/run/docker.sock of the node"},
		{mount("/var/../usr/bin/", write), "spec.volumes[0].hostPath.path", "writes /var/../usr/bin/ of the node"},
		{mount("/usr/bin", read_), "", ""},
		{mount("/lib/modules", read_), "", ""},
		{mount("/var/log", write), "", ""},
	} {
		w := read(t, c.manifest)
		var want []workload.Way
		if c.field != "" {
			want = []workload.Way{{Field: c.field, What: c.what}}
		}
		if diff := cmp.Diff(want, w.Host); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.manifest, diff)
		}
	}
}

func TestSecrets(t *testing.T) {
	t.Parallel()
	w := read(t, pod("{containers: [{name: c, env: [{name: E, valueFrom: {secretKeyRef: {name: env, key: k}}}], envFrom: [{secretRef: {name: from}}]}], "+
		"volumes: [{name: a, secret: {secretName: vol}}, {name: b, projected: {sources: [{secret: {name: projected}}]}}, {name: c, secret: {secretName: vol}}]}"))
	if got := strings.Join(w.Secrets, " "); got != "env from projected vol" {
		t.Errorf("secrets %q", got)
	}
}

// TestOtherKinds: what only looks like a workload is none, and what cannot be read is said.
func TestOtherKinds(t *testing.T) {
	t.Parallel()
	list, problems := workload.Read([]seawall.Object{
		{APIVersion: "v1", Kind: "Deployment", Name: "a", JSON: []byte(`{}`)},
		{APIVersion: "serving.knative.dev/v1", Kind: "Service", Name: "b", JSON: []byte(`{}`)},
		{APIVersion: "v1", Kind: "Pod", Name: "c", JSON: []byte(`{"spec": 3}`)},
	}, &access.Set{})
	if len(list) != 0 || len(problems) != 1 || !strings.Contains(problems[0], "Pod/c is not read") {
		t.Errorf("%v %q", list, problems)
	}
}
