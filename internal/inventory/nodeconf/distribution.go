package nodeconf

import (
	"maps"
	"slices"
	"strings"
)

// version tells which distribution of Kubernetes a node belongs to, by the files
// its installer leaves. Without any component there is none.
func (j *joiner) version() {
	distribution, evidence := j.distribution()
	if distribution == "" {
		return
	}
	data := map[string]string{"distribution": distribution, "managed": "false"}
	switch distribution {
	case "eks", "gke", "aks":
		data["managed"] = "true"
	}
	for _, c := range j.merged.Configs {
		if v := c.Data["version"]; v != "" && strings.HasPrefix(c.Kind, componentKind+"kube") {
			data["version"] = v
		}
	}
	j.add("kubernetes/version", evidence, data)
}

func (j *joiner) distribution() (name, evidence string) {
	marks := []struct{ prefix, name string }{
		{"etc/eks/", "eks"}, {"etc/kubernetes/kubelet/config.json", "eks"}, {"etc/kubernetes/kubelet/kubelet-config.json", "eks"},
		{"etc/kubernetes/azure.json", "aks"}, {"home/kubernetes/", "gke"},
		{"var/lib/rancher/rke2/", "rke2"}, {"etc/rancher/rke2/", "rke2"},
		{"var/lib/rancher/k3s/", "k3s"}, {"etc/rancher/k3s/", "k3s"},
		{"etc/kubernetes/static-pod-resources/", "openshift"},
		{"kind/", "kind"}, {"etc/kubernetes/kubelet.conf", "kubeadm"}, {"etc/kubernetes/admin.conf", "kubeadm"},
	}
	seen := map[string]string{}
	note := func(p string) {
		for _, m := range marks {
			if strings.HasPrefix(p, m.prefix) && seen[m.name] == "" {
				seen[m.name] = p
			}
		}
	}
	for _, f := range j.merged.Files {
		if f.Kind != "" {
			note(f.Path)
		}
	}
	component := ""
	for _, c := range j.merged.Configs {
		note(c.Path)
		if name, ok := strings.CutPrefix(c.Kind, componentKind); ok && isComponent(name) {
			component = c.Path
		}
	}
	for _, m := range marks {
		if p := seen[m.name]; p != "" && (component != "" || m.name == "k3s" || m.name == "rke2") {
			return m.name, p
		}
	}
	if component != "" {
		return "plain", component
	}
	return "", ""
}

// k3s has its components in one process that shows no arguments: what they run
// with are the arguments K3s itself passes (https://docs.k3s.io/security/hardening-guide)
// and those of its configuration file.
func (j *joiner) k3s() {
	settings, where := j.k3sConfig()
	if where == "" {
		return
	}
	server := j.has("var/lib/rancher/k3s/server/")
	all := k3sDefaults()
	for _, component := range slices.Sorted(maps.Keys(all)) {
		if len(j.facts(componentKind+component)) > 0 || component != "kubelet" && component != "kube-proxy" && !server {
			continue
		}
		flags := all[component]
		argument := component + "-arg"
		for _, one := range strings.Split(settings[argument], ",") {
			if name, value, ok := strings.Cut(one, "="); ok {
				flags["--"+strings.TrimLeft(name, "-")] = value
			}
		}
		if component == "kube-apiserver" && settings["secrets-encryption"] == "true" {
			flags["--encryption-provider-config"] = "/var/lib/rancher/k3s/server/cred/encryption-config.json"
		}
		if component == "kubelet" {
			if settings["protect-kernel-defaults"] == "true" {
				flags["--protect-kernel-defaults"] = "true"
			}
			for _, d := range j.dropIns("KubeletConfiguration", "var/lib/rancher/k3s/agent/etc/kubelet.conf.d") {
				apply(flags, flatJSON(d.Data["json"]))
			}
			flags["configuration"] = "/var/lib/rancher/k3s/agent/etc/kubelet.conf.d"
		}
		j.add(componentKind+component, where, flags)
	}
}

// k3sConfig merges K3s's configuration file and what lies in config.yaml.d.
func (j *joiner) k3sConfig() (settings map[string]string, where string) {
	settings = map[string]string{}
	for _, c := range j.facts("rancher/config") {
		if !strings.HasPrefix(c.Path, "etc/rancher/k3s/") {
			continue
		}
		where = c.Path
		for key, value := range c.Data {
			settings[strings.TrimSuffix(key, "+")] = value
		}
	}
	if where == "" && j.has("var/lib/rancher/k3s/") {
		where = "var/lib/rancher/k3s"
	}
	return settings, where
}

// has tells whether a file below prefix was listed.
func (j *joiner) has(prefix string) bool {
	for i := range j.merged.Files {
		if j.merged.Files[i].Kind != "" && strings.HasPrefix(j.merged.Files[i].Path, prefix) {
			return true
		}
	}
	return false
}

// k3sDefaults are the arguments K3s passes to its components.
func k3sDefaults() map[string]map[string]string {
	const tls = "/var/lib/rancher/k3s/server/tls/"
	return map[string]map[string]string{
		"kube-apiserver": {
			"--anonymous-auth": "false", "--profiling": "false", "--authorization-mode": "Node,RBAC",
			"--enable-admission-plugins": "NodeRestriction", "--bind-address": "127.0.0.1", "--secure-port": "6444",
			"--client-ca-file": tls + "client-ca.crt", "--kubelet-certificate-authority": tls + "server-ca.crt",
			"--kubelet-client-certificate": tls + "client-kube-apiserver.crt", "--kubelet-client-key": tls + "client-kube-apiserver.key",
			"--tls-cert-file": tls + "serving-kube-apiserver.crt", "--tls-private-key-file": tls + "serving-kube-apiserver.key",
			"--service-account-key-file": tls + "service.key", "--etcd-cafile": tls + "etcd/server-ca.crt",
			"--etcd-certfile": tls + "etcd/client.crt", "--etcd-keyfile": tls + "etcd/client.key",
			"--tls-cipher-suites": "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384," +
				"TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256," +
				"TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
		},
		"kube-controller-manager": {
			"--profiling": "false", "--use-service-account-credentials": "true", "--bind-address": "127.0.0.1",
			"--service-account-private-key-file": tls + "service.current.key", "--root-ca-file": tls + "server-ca.crt",
		},
		"kube-scheduler": {"--profiling": "false", "--bind-address": "127.0.0.1"},
		"kubelet": {
			"--anonymous-auth": "false", "--authorization-mode": "Webhook", "--read-only-port": "0",
			"--client-ca-file": "/var/lib/rancher/k3s/agent/client-ca.crt",
			"--tls-cert-file":  "/var/lib/rancher/k3s/agent/serving-kubelet.crt", "--tls-private-key-file": "/var/lib/rancher/k3s/agent/serving-kubelet.key",
		},
		"kube-proxy": {"--metrics-bind-address": "127.0.0.1:10249"},
	}
}
