package cluster_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"runtime"
	"testing"

	"github.com/seawall-security/seawall/internal/source/cluster"
)

// realistic is a deployment, its replica set and n pods, as an API server gives
// them: with managedFields, conditions, mounted tokens.
func realistic(i, n int) (deployment, replicas map[string]any, pods []map[string]any) {
	ns, name := fmt.Sprintf("team-%d", i%50), fmt.Sprintf("app-%d", i)
	managed := []any{map[string]any{"manager": "kube-controller-manager", "operation": "Update", "fieldsType": "FieldsV1", "fieldsV1": deep(6)}}
	spec := map[string]any{
		"serviceAccountName": name, "restartPolicy": "Always", "terminationGracePeriodSeconds": 30, "dnsPolicy": "ClusterFirst",
		"containers": []any{map[string]any{
			"name": "app", "image": "registry.example.org/team/" + name + ":1.2.3", "imagePullPolicy": "IfNotPresent",
			"ports": []any{map[string]any{"containerPort": 8080}}, "resources": map[string]any{"limits": map[string]any{"memory": "128Mi"}},
			"env": []any{map[string]any{"name": "LOG", "value": "info"}}, "securityContext": map[string]any{"runAsNonRoot": true},
			"volumeMounts": []any{map[string]any{"name": "token", "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount", "readOnly": true}},
		}},
		"volumes": []any{map[string]any{"name": "token", "projected": map[string]any{"sources": []any{map[string]any{"serviceAccountToken": map[string]any{"expirationSeconds": 3607}}}}}},
	}
	labels := map[string]any{"app": name, "team": ns}
	make := func(name, owner string, more map[string]any) map[string]any {
		o := thing(ns, name, more)
		meta := o["metadata"].(map[string]any)
		meta["labels"], meta["managedFields"] = labels, managed
		meta["annotations"] = map[string]any{"kubectl.kubernetes.io/last-applied-configuration": `{"apiVersion":"apps/v1","kind":"Deployment"}`, "example.org/owner": ns}
		if owner != "" {
			meta["ownerReferences"] = []any{map[string]any{"uid": ns + "/" + owner, "controller": true}}
		}
		return o
	}
	template := map[string]any{"replicas": n, "selector": map[string]any{"matchLabels": labels}, "template": map[string]any{"metadata": map[string]any{"labels": labels}, "spec": spec}}
	status := map[string]any{"conditions": []any{deep(2), deep(2), deep(2)}}
	deployment = make(name, "", map[string]any{"spec": template, "status": status})
	replicas = make(name+"-5d8f", name, map[string]any{"spec": template, "status": status})
	for p := range n {
		pods = append(pods, make(fmt.Sprintf("%s-5d8f-%d", name, p), name+"-5d8f", map[string]any{"spec": spec, "status": status}))
	}
	return deployment, replicas, pods
}

func deep(n int) map[string]any {
	if n == 0 {
		return map[string]any{}
	}
	return map[string]any{"f:metadata": deep(n - 1), "f:status": map[string]any{"f:conditions": map[string]any{".": map[string]any{}}}}
}

// encoded serves pages that are encoded beforehand, so that the time is the client's.
type encoded struct {
	*fake
	pages map[string][]byte
}

func (e *encoded) answer(w http.ResponseWriter, r *http.Request) bool {
	key := r.URL.Path + "?" + r.URL.Query().Get("continue")
	if page, ok := e.pages[key]; ok {
		_, _ = w.Write(page)
		return true
	}
	return false
}

func newEncoded(deployments, podsEach int) *encoded {
	e := &encoded{fake: &fake{}, pages: map[string][]byte{}}
	lists := map[string][]map[string]any{}
	for i := range deployments {
		d, r, p := realistic(i, podsEach)
		lists["/apis/apps/v1/deployments"] = append(lists["/apis/apps/v1/deployments"], d)
		lists["/apis/apps/v1/replicasets"] = append(lists["/apis/apps/v1/replicasets"], r)
		lists["/api/v1/pods"] = append(lists["/api/v1/pods"], p...)
		lists["/api/v1/configmaps"] = append(lists["/api/v1/configmaps"], thing(fmt.Sprintf("team-%d", i%50), fmt.Sprintf("c%d", i), map[string]any{"data": map[string]any{"a": "b"}}))
		lists["/api/v1/services"] = append(lists["/api/v1/services"], thing(fmt.Sprintf("team-%d", i%50), fmt.Sprintf("s%d", i), map[string]any{"spec": map[string]any{"type": "ClusterIP"}}))
	}
	for path, items := range lists {
		for from := 0; from < len(items); from += 500 {
			meta, key := map[string]any{}, path+"?"
			if from > 0 {
				key += fmt.Sprint(from)
			}
			if from+500 < len(items) {
				meta["continue"] = fmt.Sprint(from + 500)
			}
			text, _ := json.Marshal(map[string]any{"kind": "List", "metadata": meta, "items": items[from:min(from+500, len(items))]})
			e.pages[key] = text
		}
	}
	e.before = e.answer
	return e
}

// BenchmarkSnapshot reads 10,000 objects: 1,000 deployments with a replica set
// and 6 pods each, services, config maps. MB-kept is the heap they hold after.
func BenchmarkSnapshot(b *testing.B) {
	e := newEncoded(1000, 6)
	size := 0
	for _, p := range e.pages {
		size += len(p)
	}
	kubeconfig := e.start(b)
	b.SetBytes(int64(size))
	var before, after runtime.MemStats
	b.ReportAllocs()
	for b.Loop() {
		runtime.GC()
		runtime.ReadMemStats(&before)
		target, err := cluster.Open(context.Background(), cluster.Options{Kubeconfig: kubeconfig})
		if err != nil {
			b.Fatal(err)
		}
		facts, err := target.Facts(context.Background())
		if err != nil {
			b.Fatal(err)
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/1e6, "MB-kept")
		b.ReportMetric(float64(len(facts)), "facts")
		target.Close()
	}
}
