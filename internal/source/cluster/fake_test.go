package cluster_test

import (
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// fake is an API server as far as a snapshot asks: discovery, paged lists,
// refusals. The real one is the proof (test/cluster); this one can be made to fail.
type fake struct {
	t testing.TB
	// lists are objects by the path of their list: "/api/v1/pods".
	lists map[string][]map[string]any
	// before answers first, where it returns true.
	before func(w http.ResponseWriter, r *http.Request) bool

	mu       sync.Mutex
	requests []string
}

// resources are what the fake serves: name, kind, namespaced, by group version.
var resources = map[string][][3]string{
	"v1": {{"namespaces", "Namespace", ""}, {"nodes", "Node", ""}, {"pods", "Pod", "yes"}, {"services", "Service", "yes"},
		{"secrets", "Secret", "yes"}, {"configmaps", "ConfigMap", "yes"}, {"serviceaccounts", "ServiceAccount", "yes"}},
	"apps/v1":                           {{"deployments", "Deployment", "yes"}, {"replicasets", "ReplicaSet", "yes"}, {"daemonsets", "DaemonSet", "yes"}},
	"batch/v1":                          {{"cronjobs", "CronJob", "yes"}, {"jobs", "Job", "yes"}},
	"networking.k8s.io/v1":              {{"networkpolicies", "NetworkPolicy", "yes"}},
	"policy.networking.k8s.io/v1alpha1": {{"adminnetworkpolicies", "AdminNetworkPolicy", ""}},
	"policy.networking.k8s.io/v1alpha2": {{"adminnetworkpolicies", "AdminNetworkPolicy", ""}, {"clusternetworkpolicies", "ClusterNetworkPolicy", ""}},
	"apiextensions.k8s.io/v1":           {{"customresourcedefinitions", "CustomResourceDefinition", ""}},
}

// start serves and returns a kubeconfig for it.
func (f *fake) start(t testing.TB) string {
	t.Helper()
	f.t = t
	server := httptest.NewTLSServer(f)
	t.Cleanup(server.Close)
	path := filepath.Join(t.TempDir(), "kubeconfig")
	config := fmt.Sprintf(`apiVersion: v1
kind: Config
current-context: here
contexts: [{name: here, context: {cluster: fake, user: me}}]
clusters: [{name: fake, cluster: {server: %q, certificate-authority-data: %s}}]
users: [{name: me, user: {token: secret-token}}]
`, server.URL, base64.StdEncoding.EncodeToString(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})))
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.requests = append(f.requests, r.Method+" "+r.URL.RequestURI()+" "+r.Header.Get("Accept"))
	if r.Header.Get("Authorization") != "Bearer secret-token" {
		status(w, http.StatusUnauthorized, "Unauthorized")
		return
	}
	if f.before != nil && f.before(w, r) {
		return
	}
	switch path := r.URL.Path; {
	case path == "/version":
		answer(w, map[string]any{"gitVersion": "v1.36.3+k3s1", "platform": "linux/amd64"})
	case path == "/api/v1/namespaces/kube-system":
		answer(w, map[string]any{"metadata": map[string]any{"uid": "1-2-3"}})
	case path == "/apis":
		f.groups(w)
	case path == "/api/v1", strings.HasPrefix(path, "/apis/") && strings.Count(path, "/") == 3:
		f.discovery(w, path)
	case path == "/metrics":
		fmt.Fprint(w, "# HELP x\nother{a=\"b\"} 1\napiserver_requested_deprecated_apis{group=\"batch\",removed_release=\"1.25\",resource=\"cronjobs\",subresource=\"\",version=\"v1beta1\"} 1\n")
	case strings.HasSuffix(path, "/proxy/configz"):
		fmt.Fprint(w, `{"kubeletconfig":{"authentication":{"anonymous":{"enabled":true}}}}`)
	default:
		f.list(w, r)
	}
}

func answer(w http.ResponseWriter, v any) { _ = json.NewEncoder(w).Encode(v) }

func status(w http.ResponseWriter, code int, message string) {
	w.WriteHeader(code)
	answer(w, map[string]any{"kind": "Status", "message": message, "code": code})
}

func (f *fake) groups(w http.ResponseWriter) {
	byName := map[string][]map[string]any{}
	var names []string
	for gv := range resources {
		group, _, ok := strings.Cut(gv, "/")
		if !ok {
			continue
		}
		if byName[group] == nil {
			names = append(names, group)
		}
		byName[group] = append(byName[group], map[string]any{"groupVersion": gv})
	}
	slices.Sort(names)
	var groups []any
	for _, n := range names {
		slices.SortFunc(byName[n], func(a, b map[string]any) int {
			return strings.Compare(a["groupVersion"].(string), b["groupVersion"].(string))
		})
		groups = append(groups, map[string]any{"name": n, "versions": byName[n], "preferredVersion": byName[n][0]})
	}
	answer(w, map[string]any{"groups": groups})
}

func (f *fake) discovery(w http.ResponseWriter, path string) {
	gv := strings.TrimPrefix(strings.TrimPrefix(path, "/apis/"), "/api/")
	list := []any{}
	for _, r := range resources[gv] {
		list = append(list, map[string]any{"name": r[0], "kind": r[1], "namespaced": r[2] != "", "verbs": []string{"get", "list"}})
		list = append(list, map[string]any{"name": r[0] + "/status", "kind": r[1], "verbs": []string{"get"}})
	}
	answer(w, map[string]any{"groupVersion": gv, "resources": list})
}

// list pages as the API server does: limit, continue, field selectors on type.
func (f *fake) list(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	var items []map[string]any
	for _, o := range f.lists[r.URL.Path] {
		if selected(o, query.Get("fieldSelector")) {
			items = append(items, o)
		}
	}
	limit, _ := strconv.Atoi(query.Get("limit"))
	from, _ := strconv.Atoi(query.Get("continue"))
	meta := map[string]any{"resourceVersion": "7"}
	if limit > 0 && from+limit < len(items) {
		meta["continue"] = strconv.Itoa(from + limit)
		items = items[:from+limit]
	}
	items = items[min(from, len(items)):]
	if strings.Contains(r.Header.Get("Accept"), "PartialObjectMetadataList") {
		bare := []map[string]any{}
		for _, o := range items {
			bare = append(bare, map[string]any{"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": o["metadata"]})
		}
		items = bare
	}
	answer(w, map[string]any{"kind": "List", "metadata": meta, "items": items})
}

func selected(o map[string]any, selector string) bool {
	if selector == "" {
		return true
	}
	if name, ok := strings.CutPrefix(selector, "metadata.name="); ok {
		return o["metadata"].(map[string]any)["name"] == name
	}
	kind, _ := o["type"].(string)
	for part := range strings.SplitSeq(selector, ",") {
		if not, ok := strings.CutPrefix(part, "type!="); ok {
			if kind == not {
				return false
			}
		} else if kind != strings.TrimPrefix(part, "type=") {
			return false
		}
	}
	return true
}

// thing makes an object of a list.
func thing(namespace, name string, more map[string]any) map[string]any {
	meta := map[string]any{"name": name, "uid": namespace + "/" + name, "managedFields": []any{map[string]any{"manager": "x"}}}
	if namespace != "" {
		meta["namespace"] = namespace
	}
	o := map[string]any{"metadata": meta}
	for k, v := range more {
		if k == "owner" {
			meta["ownerReferences"] = []any{map[string]any{"uid": v, "controller": true}}
			continue
		}
		o[k] = v
	}
	return o
}

func containers(names ...string) map[string]any {
	var list []any
	for _, n := range names {
		list = append(list, map[string]any{"name": n, "image": n + ":1"})
	}
	return map[string]any{"containers": list}
}

func template(names ...string) map[string]any {
	return map[string]any{"template": map[string]any{"spec": containers(names...)}}
}
