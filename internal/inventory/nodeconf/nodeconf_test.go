package nodeconf_test

import (
	"context"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/seawall-security/seawall/internal/inventory"
	"github.com/seawall-security/seawall/internal/inventory/nodeconf"
	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/source"
	"github.com/seawall-security/seawall/internal/source/rootfs"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// described adds what source/live would say of running processes.
type described struct {
	seawall.Target
	facts []seawall.Fact
}

func (d described) Facts(context.Context) ([]seawall.Fact, error) { return d.facts, nil }

func process(pid, uid string, args ...string) seawall.Fact {
	return seawall.Fact{Config: &seawall.ConfigFact{Kind: "host/process", Path: "proc/" + pid, Data: map[string]string{
		"pid": pid, "uid": uid, "name": filepath.Base(args[0]), "args": strings.Join(args, "\x00") + "\x00",
	}}}
}

// read lays out an archive's files and collects what the package finds in them.
func read(t *testing.T, archive string, processes ...seawall.Fact) *inventory.Result {
	t.Helper()
	dir := t.TempDir()
	a, err := txtar.ParseFile(filepath.Join("testdata", archive+".txtar"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range a.Files {
		p := filepath.Join(dir, f.Name)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, f.Data, 0o640); err != nil {
			t.Fatal(err)
		}
	}
	return collect(t, dir, processes...)
}

func collect(t *testing.T, dir string, processes ...seawall.Fact) *inventory.Result {
	t.Helper()
	target, err := rootfs.Openers()[0].Open(t.Context(), dir, source.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer target.Close()
	res, err := inventory.Run(t.Context(), described{target, processes}, inventory.Options{Collectors: []inventory.Collector{nodeconf.Collector{}}})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range res.Statuses {
		if s.Status != seawall.RunOK {
			t.Errorf("%s: %s %s", s.Name, s.Status, s.Reason)
		}
	}
	return res
}

// TestLayouts holds what is found on each distribution's node against a golden
// file; keys and tokens must be in none.
func TestLayouts(t *testing.T) {
	kubelet := process("812", "0", "/usr/bin/kubelet", "--kubeconfig=/etc/kubernetes/kubelet.conf", "--config=/var/lib/kubelet/config.yaml",
		"--feature-gates=A=true", "--feature_gates", "B=false", "--rotate-certificates")
	for _, c := range []struct {
		name, archive string
		processes     []seawall.Fact
	}{
		{"kubeadm", "kubeadm", []seawall.Fact{
			kubelet,
			process("905", "0", "/usr/local/bin/kube-proxy", "--config=/var/lib/kube-proxy/config.conf"),
			{Config: &seawall.ConfigFact{Kind: "kubernetes/raw", Path: "var/lib/kubelet/pods/u/volumes/kubernetes.io~configmap/kube-proxy/config.conf",
				Data: map[string]string{"text": "apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\nmetricsBindAddress: 0.0.0.0:10249\n"}}},
			process("900", "0", "kube-apiserver", "--anonymous-auth=false", "--authorization-mode=Node,RBAC"),
			process("901", "0", "/bin/bash", "-c", "grep kube-apiserver"),
		}},
		{"kubeadm-still", "kubeadm", nil},
		{"rke2", "rke2", nil},
		{"k3s", "k3s", []seawall.Fact{process("700", "0", "/usr/local/bin/k3s server")}},
		{"eks", "eks", []seawall.Fact{process("55", "0", "/usr/bin/kubelet", "--config", "/etc/kubernetes/kubelet/config.json",
			"--config-dir", "/etc/kubernetes/kubelet/config.json.d", "--kubeconfig=/var/lib/kubelet/kubeconfig")}},
		{"docker", "docker", []seawall.Fact{process("60", "0", "/usr/bin/dockerd", "-H", "fd://", "--icc=true", "--insecure-registry", "a:1", "--insecure-registry=b:1")}},
	} {
		t.Run(c.name, func(t *testing.T) {
			res := read(t, c.archive, c.processes...)
			var facts []seawall.ConfigFact
			for _, f := range res.Configs {
				if f.Kind != "host/process" {
					facts = append(facts, f)
				}
			}
			got, err := json.MarshalIndent(facts, "", "\t")
			if err != nil {
				t.Fatal(err)
			}
			for _, secret := range []string{"very-secret", "node-join-secret", "hidden", "c2VhLXdhbGw"} {
				if strings.Contains(string(got), secret) {
					t.Errorf("%q is in the facts", secret)
				}
			}
			golden := filepath.Join("testdata", c.name+".json")
			if *update {
				if err := os.WriteFile(golden, append(got, '\n'), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(string(got)+"\n", "\n")); diff != "" {
				t.Errorf("(-want +got, -update rewrites):\n%s", diff)
			}
		})
	}
}
