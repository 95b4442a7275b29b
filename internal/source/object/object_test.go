package object_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/source/object"
)

func parse(t *testing.T, text string) *seawall.Object {
	t.Helper()
	o, ok, err := object.Parse([]byte(text))
	if err != nil || !ok {
		t.Fatalf("%s: %v", text, err)
	}
	return &o
}

func TestComponents(t *testing.T) {
	const apiserver = `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"kube-apiserver-cp","namespace":"kube-system"},
		"spec":{"containers":[{"command":["kube-apiserver","--anonymous-auth=false","--enable-admission-plugins","NodeRestriction","--profiling"]},{"command":["sleep"]}]}}`
	const proxy = `{"apiVersion":"apps/v1","kind":"DaemonSet","metadata":{"name":"kube-proxy","namespace":"kube-system"},
		"spec":{"template":{"spec":{"containers":[{"command":["/usr/local/bin/kube-proxy","--config=/c"]}]}}}}`
	const config = `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"kube-proxy","namespace":"kube-system"},
		"data":{"config.conf":"mode: nftables\nnodePortAddresses: [10.0.0.0/8, fd00::/8]\niptables:\n  masqueradeAll: no\nlist:\n- a: 1\n"}}`
	const shell = `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"etcd","namespace":"kube-system"},
		"spec":{"containers":[{"command":["/bin/sh","-c","exec etcd --data-dir=/d --x=1 --x=2"]}]}}`
	const elsewhere = `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"fake","namespace":"shop"},"spec":{"containers":[{"command":["etcd"]}]}}`
	got := object.Components([]*seawall.Object{parse(t, apiserver), parse(t, proxy), parse(t, config), parse(t, shell), parse(t, elsewhere)})
	want := []seawall.ConfigFact{
		{Kind: "kubernetes/kube-apiserver", Path: "Pod/kube-system/kube-apiserver-cp", Data: map[string]string{
			"--anonymous-auth": "false", "--enable-admission-plugins": "NodeRestriction", "--profiling": "true"}},
		{Kind: "kubernetes/kube-proxy", Path: "DaemonSet/kube-system/kube-proxy", Data: map[string]string{
			"--config": "/c", "mode": "nftables", "nodePortAddresses": "10.0.0.0/8,fd00::/8", "iptables.masqueradeAll": "false", "list.0.a": "1"}},
		{Kind: "kubernetes/etcd", Path: "Pod/kube-system/etcd", Data: map[string]string{"--data-dir": "/d", "--x": "1,2"}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestTrim(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{`{"kind":"Pod"}`, `{"kind":"Pod"}`},
		{`{"metadata":{"name":"x","managedFields":[{"manager":"kubectl"}]},"kind":"Pod"}`, `{"kind":"Pod","metadata":{"name":"x"}}`},
		{`{"metadata":{"annotations":{"kubectl.kubernetes.io/last-applied-configuration":"{}","a":"b"}}}`, `{"metadata":{"annotations":{"a":"b"}}}`},
		{`{"metadata":{"annotations":{"kubectl.kubernetes.io/last-applied-configuration":"{}"}},"data":{"managedFields":"kept"}}`, `{"data":{"managedFields":"kept"},"metadata":{}}`},
		{`{"metadata":3,"x":"\"managedFields\""}`, `{"metadata":3,"x":"\"managedFields\""}`},
	} {
		got, err := object.Trim([]byte(tt.in))
		if err != nil || string(got) != tt.want {
			t.Errorf("Trim(%s) = %s, %v; want %s", tt.in, got, err, tt.want)
		}
	}
}

func TestClusterScoped(t *testing.T) {
	for _, tt := range []struct {
		apiVersion, kind string
		cluster, known   bool
	}{
		{"v1", "Node", true, true},
		{"v1", "Pod", false, true},
		{"rbac.authorization.k8s.io/v1", "ClusterRole", true, true},
		{"rbac.authorization.k8s.io/v1", "Role", false, true},
		{"example.org/v1", "ClusterRole", false, false},
	} {
		cluster, known := object.ClusterScoped(tt.apiVersion, tt.kind)
		if cluster != tt.cluster || known != tt.known {
			t.Errorf("%s %s: %v, %v", tt.apiVersion, tt.kind, cluster, known)
		}
	}
	crd := parse(t, `{"apiVersion":"apiextensions.k8s.io/v1","kind":"CustomResourceDefinition","metadata":{"name":"c"},"spec":{"group":"example.org","scope":"Cluster","names":{"kind":"Tenant"}}}`)
	if cluster, known := object.CustomScopes([]*seawall.Object{crd})("example.org/v2", "Tenant"); !cluster || !known {
		t.Error("the scope of a custom kind is not read from its definition")
	}
}

func TestParse(t *testing.T) {
	for _, tt := range []struct {
		in   string
		want seawall.Object
		ok   bool
	}{
		{`{"apiVersion":"v1","kind":"Pod","Kind":"ConfigMap","metadata":{"name":"x","Name":"y","namespace":"n"},"Metadata":{}}`,
			seawall.Object{APIVersion: "v1", Kind: "Pod", Name: "x", Namespace: "n"}, true},
		{`{"apiVersion":"v1","kind":"Pod","metadata":{"generateName":"x-"}}`, seawall.Object{APIVersion: "v1", Kind: "Pod", Name: "x-"}, true},
		{`{"apiVersion":"v1","kind":"Pod","metadata":null}`, seawall.Object{APIVersion: "v1", Kind: "Pod"}, true},
		{`{"ApiVersion":"v1","kind":"Pod"}`, seawall.Object{}, false},
		{`{"metadata":3}`, seawall.Object{}, false},
		{`{}`, seawall.Object{}, false},
	} {
		got, ok, err := object.Parse([]byte(tt.in))
		if err != nil || ok != tt.ok {
			t.Errorf("%s: %v, %v", tt.in, ok, err)
		}
		if got.JSON = nil; ok {
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("%s: %s", tt.in, diff)
			}
		}
	}
	for _, bad := range []string{``, `[`, `3`, `{"apiVersion":1,"kind":"Pod"}`, `{"apiVersion":"v1","kind":"Pod","metadata":{"name":[]}}`, `{"apiVersion":"v1","kind":"Pod","metadata":3}`} {
		if _, ok, err := object.Parse([]byte(bad)); ok || bad != "" && !errors.Is(err, seawall.ErrCorrupt) {
			t.Errorf("%q: %v, %v", bad, ok, err)
		}
	}
}
