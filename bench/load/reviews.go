package main

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// templates is how many different pods there are.
const templates = 50

func uid(n int) string { return fmt.Sprintf("00000000-0000-0000-0000-%012d", n) }

// denied says whether a review's object is against a policy.
func denied(n int) bool { return n%10 == 9 }

// digest is that of a template's image.
func digest(n int) string { return fmt.Sprintf("sha256:%064x", n) }

// reviews makes reviews. Of each kind and template one is written in full; the others
// differ in their names.
type reviews map[int][]byte

// newReviews writes those that the others are made of.
func newReviews() reviews {
	all := reviews{}
	for n := range period {
		all[n] = review(n)
	}
	return all
}

// period is after how many reviews the same template comes in the same place.
const period = 10 * templates

// nth is the n-th review.
func (r reviews) nth(n int) []byte {
	first := n % period
	body := bytes.Replace(r[first], []byte(uid(first)), []byte(uid(n)), 1)
	return bytes.ReplaceAll(body, fmt.Appendf(nil, "-p%05d", first), fmt.Appendf(nil, "-p%05d", n))
}

// review writes a review.
func review(n int) []byte {
	template := n % templates
	name := fmt.Sprintf("app-%d", template)
	labels := map[string]any{"app": name, "app.kubernetes.io/name": name, "app.kubernetes.io/managed-by": "Helm", "team": "blue", "owner": "blue"}
	spec := podSpec(name, template)
	object := map[string]any{"apiVersion": "v1", "kind": "Pod", "spec": spec,
		"metadata": map[string]any{"name": fmt.Sprintf("%s-6d4b9c7f8-p%05d", name, n), "generateName": name + "-6d4b9c7f8-", "namespace": "shop", "labels": labels}}
	kind := map[string]any{"group": "", "version": "v1", "kind": "Pod"}
	switch {
	case denied(n):
		spec["hostNetwork"] = true
	case n%10 == 8:
		kind = map[string]any{"group": "apps", "version": "v1", "kind": "Deployment"}
		object = map[string]any{"apiVersion": "apps/v1", "kind": "Deployment", "metadata": map[string]any{"name": name, "namespace": "shop", "labels": labels},
			"spec": map[string]any{"replicas": 3, "selector": map[string]any{"matchLabels": map[string]any{"app": name}}, "template": map[string]any{"metadata": map[string]any{"labels": labels}, "spec": spec}}}
	}
	body, err := json.Marshal(map[string]any{"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": map[string]any{
		"uid": uid(n), "kind": kind, "resource": map[string]any{"group": kind["group"], "version": "v1", "resource": "pods"}, "namespace": "shop", "operation": "CREATE",
		"name":     object["metadata"].(map[string]any)["name"],
		"userInfo": map[string]any{"username": "system:serviceaccount:kube-system:replicaset-controller", "groups": []string{"system:serviceaccounts", "system:authenticated"}},
		"object":   object, "oldObject": nil, "dryRun": false, "options": map[string]any{"kind": "CreateOptions", "apiVersion": "meta.k8s.io/v1"}}})
	if err != nil {
		panic(err)
	}
	return body
}

// podSpec is a pod that keeps to the restricted standard.
func podSpec(name string, template int) map[string]any {
	container := func(which string) map[string]any {
		return map[string]any{
			"name": which, "image": fmt.Sprintf("registry.example.org/blue/%s:1.%d@%s", name, template, digest(template)), "imagePullPolicy": "IfNotPresent",
			"command": []any{"/app/serve"}, "args": []any{"--listen=:8080"}, "ports": []any{map[string]any{"containerPort": 8080, "name": "http", "protocol": "TCP"}},
			"env":            []any{map[string]any{"name": "MODE", "value": "production"}, map[string]any{"name": "DATABASE", "value": "db.shop.svc"}},
			"resources":      map[string]any{"limits": map[string]any{"memory": "256Mi", "cpu": "1"}, "requests": map[string]any{"cpu": "100m", "memory": "128Mi"}},
			"livenessProbe":  map[string]any{"httpGet": map[string]any{"path": "/healthz", "port": 8080}},
			"readinessProbe": map[string]any{"httpGet": map[string]any{"path": "/ready", "port": 8080}},
			"securityContext": map[string]any{"allowPrivilegeEscalation": false, "runAsNonRoot": true, "readOnlyRootFilesystem": true,
				"capabilities": map[string]any{"drop": []any{"ALL"}}, "seccompProfile": map[string]any{"type": "RuntimeDefault"}},
			"volumeMounts": []any{map[string]any{"mountPath": "/data", "name": "data"}, map[string]any{"mountPath": "/var/run/secrets/kubernetes.io/serviceaccount", "name": "kube-api-access-abcde", "readOnly": true}},
		}
	}
	return map[string]any{
		"serviceAccountName": name, "restartPolicy": "Always", "dnsPolicy": "ClusterFirst", "schedulerName": "default-scheduler", "enableServiceLinks": false,
		"securityContext": map[string]any{"runAsUser": 10001, "runAsNonRoot": true, "seccompProfile": map[string]any{"type": "RuntimeDefault"}},
		"containers":      []any{container("app"), container("proxy")},
		"volumes": []any{map[string]any{"name": "data", "emptyDir": map[string]any{}}, map[string]any{"name": "kube-api-access-abcde", "projected": map[string]any{"sources": []any{
			map[string]any{"serviceAccountToken": map[string]any{"expirationSeconds": 3607, "path": "token"}}, map[string]any{"configMap": map[string]any{"name": "kube-root-ca.crt"}}}}}},
		"tolerations": []any{map[string]any{"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}},
	}
}
