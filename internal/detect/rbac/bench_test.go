package rbac_test

import (
	"context"
	"fmt"
	"runtime"
	"testing"

	"github.com/seawall-security/seawall/internal/detect"
	"github.com/seawall-security/seawall/internal/detect/rbac"
	"github.com/seawall-security/seawall/internal/seawall"
)

// BenchmarkDetect judges 5,000 accounts with a workload each, 2,000 roles and 10,000 bindings.
func BenchmarkDetect(b *testing.B) {
	for _, kind := range []seawall.AssetKind{seawall.AssetCluster, seawall.AssetManifests} {
		b.Run(string(kind), func(b *testing.B) {
			f := live(large())
			if kind == seawall.AssetManifests {
				f = manifests(large())
			}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := (rbac.Detector{}).Detect(context.Background(), f); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(held(f))/(1<<20), "MB-kept")
		})
	}
}

func BenchmarkReport(b *testing.B) {
	f := manifests(large())
	b.ReportAllocs()
	for b.Loop() {
		rbac.Analyse(f).Report()
	}
}

// held is what an analysis keeps beside the objects.
func held(f detect.Facts) uint64 {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	a := rbac.Analyse(f)
	runtime.GC()
	runtime.ReadMemStats(&after)
	runtime.KeepAlive(a)
	return after.HeapAlloc - min(before.HeapAlloc, after.HeapAlloc)
}

func large() []seawall.Object {
	var list []seawall.Object
	add := func(version, kind, namespace, name, body string) {
		list = append(list, seawall.Object{APIVersion: version, Kind: kind, Namespace: namespace, Name: name, JSON: []byte(body)})
	}
	const rbacVersion = "rbac.authorization.k8s.io/v1"
	for i := range 2000 {
		add(rbacVersion, "Role", fmt.Sprint("ns", i%100), fmt.Sprint("r", i), fmt.Sprintf(
			`{"rules":[{"verbs":["get","list","watch"],"apiGroups":["","apps"],"resources":["pods","services","deployments"]},{"verbs":[%q],"apiGroups":[""],"resources":[%q]}]}`,
			[]string{"get", "list", "create", "patch"}[i%4], []string{"configmaps", "secrets", "pods/exec"}[i%3]))
	}
	for i := range 5000 {
		ns, name := fmt.Sprint("ns", i%100), fmt.Sprint("sa", i)
		add("v1", "ServiceAccount", ns, name, `{}`)
		add("apps/v1", "Deployment", ns, name, fmt.Sprintf(`{"spec":{"template":{"spec":{"serviceAccountName":%q,"containers":[{"name":"c"}]}}}}`, name))
	}
	for i := range 10_000 {
		ns := fmt.Sprint("ns", i%100)
		add(rbacVersion, "RoleBinding", ns, fmt.Sprint("b", i), fmt.Sprintf(
			`{"roleRef":{"kind":"Role","name":"r%d"},"subjects":[{"kind":"ServiceAccount","namespace":%q,"name":"sa%d"}]}`, i%2000, ns, i%5000))
	}
	return list
}
