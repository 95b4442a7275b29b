package kubernetes

import (
	"context"
	"fmt"
	"runtime"
	"testing"

	"github.com/seawall-security/seawall/internal/detect"
	"github.com/seawall-security/seawall/internal/seawall"
)

// cluster generates n objects as they are found: of ten, four workloads with two
// containers, two ConfigMaps, a Secret, a Service, a ServiceAccount and an Ingress,
// in n/100 namespaces.
func cluster(n int) detect.Facts {
	f := detect.Facts{Asset: seawall.Asset{ID: "c", Kind: seawall.AssetCluster}, Now: now}
	add := func(apiVersion, kind, ns, name, rest string) {
		namespace := ""
		if ns != "" {
			namespace = fmt.Sprintf(`"namespace":%q,`, ns)
		}
		f.Objects = append(f.Objects, seawall.Object{APIVersion: apiVersion, Kind: kind, Namespace: ns, Name: name,
			JSON: []byte(fmt.Sprintf(`{"apiVersion":%q,"kind":%q,"metadata":{%s"name":%q,"uid":"0d2c1b5e-4f8e-4a0a-9a51-%012d","creationTimestamp":"2026-01-01T00:00:00Z","labels":{"app":%q,"team":"blue","app.kubernetes.io/managed-by":"Helm"}}%s}`, apiVersion, kind, namespace, name, len(f.Objects), name, rest))})
	}
	container := func(name string, privileged bool) string {
		return fmt.Sprintf(`{"name":%q,"image":"registry.example/team/%s:1.2.3","imagePullPolicy":"IfNotPresent","command":["/app/serve"],"args":["--listen=:8080","--verbose"],"env":[{"name":"HOST","value":"db"},{"name":"MODE","value":"production"},{"name":"POD_NAME","valueFrom":{"fieldRef":{"apiVersion":"v1","fieldPath":"metadata.name"}}}],"ports":[{"containerPort":8080,"name":"http","protocol":"TCP"}],"resources":{"limits":{"memory":"256Mi"},"requests":{"cpu":"100m","memory":"128Mi"}},"livenessProbe":{"httpGet":{"path":"/healthz","port":8080},"periodSeconds":10},"readinessProbe":{"httpGet":{"path":"/ready","port":8080}},"securityContext":{"allowPrivilegeEscalation":false,"privileged":%v,"capabilities":{"drop":["ALL"]},"readOnlyRootFilesystem":true,"runAsNonRoot":true},"terminationMessagePath":"/dev/termination-log","volumeMounts":[{"mountPath":"/data","name":"data"},{"mountPath":"/config","name":"config","readOnly":true}]}`, name, name, privileged)
	}
	for i := 0; len(f.Objects) < n; i++ {
		ns := fmt.Sprintf("team-%d", i%max(1, n/100))
		if i < n/100 {
			add("v1", "Namespace", "", ns, "")
		}
		name := fmt.Sprintf("app-%d", i)
		pod := fmt.Sprintf(`{"serviceAccountName":%q,"automountServiceAccountToken":false,"enableServiceLinks":false,"securityContext":{"seccompProfile":{"type":"RuntimeDefault"},"runAsUser":10001},"containers":[%s,%s],"volumes":[{"name":"data","emptyDir":{}},{"name":"config","configMap":{"name":%q}}],"topologySpreadConstraints":[{"maxSkew":1}],"dnsPolicy":"ClusterFirst","restartPolicy":"Always","terminationGracePeriodSeconds":30}`, name, container("app", i%50 == 0), container("proxy", false), name)
		for w := range 4 {
			kind := []string{"Deployment", "StatefulSet", "DaemonSet", "Deployment"}[w]
			add("apps/v1", kind, ns, fmt.Sprintf("%s-%d", name, w), fmt.Sprintf(`,"spec":{"replicas":2,"selector":{"matchLabels":{"app":%q}},"template":{"metadata":{"labels":{"app":%q}},"spec":%s}}`, name, name, pod))
		}
		add("v1", "ConfigMap", ns, name, `,"data":{"app.properties":"host=db\nport=5432\nmode=production\nlog.level=info\n","LEVEL":"info"}`)
		add("v1", "ConfigMap", ns, name+"-2", `,"data":{"a":"b"}`)
		add("v1", "Secret", ns, name, `,"type":"Opaque"`)
		add("v1", "Service", ns, name, `,"spec":{"type":"ClusterIP","ports":[{"port":80}]}`)
		add("v1", "ServiceAccount", ns, name, "")
		add("networking.k8s.io/v1", "Ingress", ns, name, `,"spec":{"tls":[{"secretName":"x"}],"rules":[{"host":"a.example"}]}`)
	}
	f.Configs = append(f.Configs, seawall.ConfigFact{Kind: "kubernetes/version", Data: map[string]string{"version": "v1.36.1", "distribution": "plain"}})
	for _, r := range []string{"namespaces", "secrets", "services", "pods", "deployments.apps", "statefulsets.apps", "daemonsets.apps", "cronjobs.batch", "serviceaccounts", "ingresses.networking.k8s.io", "resourcequotas", "limitranges", "poddisruptionbudgets.policy", "validatingwebhookconfigurations.admissionregistration.k8s.io", "mutatingwebhookconfigurations.admissionregistration.k8s.io", "customresourcedefinitions.apiextensions.k8s.io", "clusterroles.rbac.authorization.k8s.io"} {
		f.Configs = append(f.Configs, seawall.ConfigFact{Kind: "kubernetes/read", Data: map[string]string{"resource": r}})
	}
	return f
}

// BenchmarkCluster judges 10,000 objects by all controls; compilation is apart
// (BenchmarkFirst). live-MB is what is held beside the objects at the end.
func BenchmarkCluster(b *testing.B) {
	facts := cluster(10_000)
	d, err := New(Options{})
	if err != nil {
		b.Fatal(err)
	}
	if _, err := d.Detect(context.Background(), cluster(20)); err != nil {
		b.Fatal(err)
	}
	var before, after runtime.MemStats
	b.ReportAllocs()
	for b.Loop() {
		runtime.GC()
		runtime.ReadMemStats(&before)
		res, err := d.Detect(context.Background(), facts)
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(len(res.Findings)), "findings")
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(int64(after.HeapAlloc)-int64(before.HeapAlloc))/(1<<20), "live-MB")
		runtime.KeepAlive(res)
	}
}

// BenchmarkFirst loads and compiles every control and judges one small cluster.
func BenchmarkFirst(b *testing.B) {
	facts := cluster(20)
	b.ReportAllocs()
	for b.Loop() {
		d, err := New(Options{})
		if err != nil {
			b.Fatal(err)
		}
		if _, err := d.Detect(context.Background(), facts); err != nil {
			b.Fatal(err)
		}
	}
}
