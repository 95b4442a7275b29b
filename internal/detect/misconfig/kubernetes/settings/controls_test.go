package settings_test

import (
	"maps"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seawall-security/seawall/internal/detect"
	"github.com/seawall-security/seawall/internal/detect/control"
	"github.com/seawall-security/seawall/internal/detect/misconfig/kubernetes/settings"
	"github.com/seawall-security/seawall/internal/seawall"
)

// controlFiles are the files of controls that judge what this package completes.
var controlFiles = []string{"components_*.yaml", "runtime.yaml", "etcd.yaml", "kubelet.yaml", "files.yaml", "distribution_*.yaml"}

func load(t *testing.T) []*control.Control {
	t.Helper()
	all, err := control.Load(os.DirFS(".."), controlFiles...)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// result is what one control came to.
type result struct{ statuses, words string }

func (r result) is(status seawall.Status) bool { return r.statuses == " "+string(status) }

// detector compiles each expression once for all tests.
var detector = sync.OnceValue(func() *control.Detector {
	return control.New(control.Options{Name: "test", Load: func() ([]*control.Control, error) { return control.Load(os.DirFS(".."), controlFiles...) }})
})

func judge(t *testing.T, f detect.Facts) map[string]result {
	t.Helper()
	f.Configs = settings.Complete(f)
	res, err := detector().Detect(t.Context(), f)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]result{}
	for _, f := range res.Findings {
		r := out[f.Rule]
		if !strings.Contains(r.statuses, " "+string(f.Status)) {
			r.statuses += " " + string(f.Status)
		}
		r.words += f.Evidence + f.Reason + "\n"
		out[f.Rule] = r
	}
	return out
}

func fact(kind, path string, pairs ...string) seawall.ConfigFact {
	data := map[string]string{}
	for i := 0; i+1 < len(pairs); i += 2 {
		data[pairs[i]] = pairs[i+1]
	}
	return seawall.ConfigFact{Kind: kind, Path: path, Data: data}
}

func facts(kind seawall.AssetKind, configs ...seawall.ConfigFact) detect.Facts {
	return detect.Facts{Asset: seawall.Asset{ID: "a", Kind: kind}, Configs: configs, Now: time.Date(2026, 11, 21, 0, 0, 0, 0, time.UTC)}
}

const auditAll = `{"rules": [{"level": "Metadata", "resources": [{"group": "", "resources": ["secrets"]}, {"group": "authentication.k8s.io"}]}, {"level": "Request"}]}`

func hardened() detect.Facts {
	f := facts(seawall.AssetHost,
		fact("kubernetes/version", "", "distribution", "kubeadm", "version", "v1.36.3"),
		fact("kubernetes/kube-apiserver", "proc/1", "--anonymous-auth", "false", "--authorization-mode", "Node,RBAC",
			"--enable-admission-plugins", "NodeRestriction,AlwaysPullImages,EventRateLimit,DenyServiceExternalIPs", "--profiling", "false",
			"--kubelet-client-certificate", "/c", "--kubelet-client-key", "/k", "--kubelet-certificate-authority", "/ca",
			"--audit-log-path", "/var/log/audit.log", "--audit-policy-file", "/etc/kubernetes/audit.yaml",
			"--service-account-key-file", "/sa.pub", "--service-account-extend-token-expiration", "false",
			"--etcd-certfile", "/c", "--etcd-keyfile", "/k", "--etcd-cafile", "/etcd/ca.crt", "--etcd-servers", "https://127.0.0.1:2379",
			"--tls-cert-file", "/c", "--tls-private-key-file", "/k", "--client-ca-file", "/ca.crt", "--tls-min-version", "VersionTLS13",
			"--requestheader-client-ca-file", "/front-ca.crt", "--requestheader-allowed-names", "front-proxy",
			"--encryption-provider-config", "/etc/kubernetes/enc.yaml", "--admission-control-config-file", "/etc/kubernetes/admission.yaml"),
		fact("kubernetes/config/EncryptionConfiguration", "etc/kubernetes/enc.yaml", "json", `{"resources": [{"resources": ["secrets"], "providers": [{"kms": {}}, {"identity": {}}]}]}`),
		fact("kubernetes/config/Policy", "etc/kubernetes/audit.yaml", "json", auditAll),
		fact("kubernetes/config/AdmissionConfiguration", "etc/kubernetes/admission.yaml", "json", `{"plugins": [{"name": "PodSecurity", "configuration": {"defaults": {"enforce": "baseline"}}}]}`),
		fact("kubernetes/kube-controller-manager", "proc/2", "--profiling", "false", "--use-service-account-credentials", "true", "--service-account-private-key-file", "/k",
			"--root-ca-file", "/ca", "--bind-address", "127.0.0.1"),
		fact("kubernetes/kube-scheduler", "proc/3", "--profiling", "false", "--bind-address", "127.0.0.1"),
		fact("kubernetes/kube-proxy", "proc/4", "metricsBindAddress", "127.0.0.1:10249"),
		fact("kubernetes/etcd", "proc/5", "--cert-file", "/c", "--key-file", "/k", "--client-cert-auth", "true", "--trusted-ca-file", "/etcd/ca.crt",
			"--peer-cert-file", "/c", "--peer-key-file", "/k", "--peer-client-cert-auth", "true", "--listen-client-urls", "https://127.0.0.1:2379",
			"--listen-metrics-urls", "http://127.0.0.1:2381", "--data-dir", "/var/lib/etcd"),
		fact("host/process", "proc/5", "name", "etcd", "uid", "0"),
		fact("kubernetes/kubelet", "proc/6", "--config", "/var/lib/kubelet/config.yaml", "configuration", "/var/lib/kubelet/config.yaml",
			"--kubeconfig", "/etc/kubernetes/kubelet.conf", "authentication.x509.clientCAFile", "/etc/kubernetes/pki/ca.crt", "serverTLSBootstrap", "true",
			"rotateCertificates", "true", "tlsMinVersion", "VersionTLS13", "podPidsLimit", "4096", "seccompDefault", "true", "protectKernelDefaults", "true"),
		fact("kubernetes/kubeconfig", "etc/kubernetes/kubelet.conf", "user.0.client-certificate", "/x", "cluster.0.server", "https://10.0.0.5:6443"),
		fact("containerd/config", "etc/containerd/config.toml", "plugins.io.containerd.grpc.v1.cri.enable_selinux", "true"),
		fact("host/mac", "", "selinux", "1"),
		fact("kubernetes/certificate", "etc/kubernetes/pki/apiserver.crt", "subject", "CN=kube-apiserver", "notBefore", "2026-10-01T00:00:00Z",
			"notAfter", "2027-10-01T00:00:00Z", "key", "RSA 2048", "signature", "SHA256-RSA", "ca", "false"),
	)
	f.Files = files(0o600, 0, 0)
	return f
}

func files(mode, uid, gid uint32) []seawall.FileFact {
	var out []seawall.FileFact
	for _, p := range []string{
		"etc/kubernetes/manifests/kube-apiserver.yaml", "etc/kubernetes/manifests/kube-controller-manager.yaml", "etc/kubernetes/manifests/kube-scheduler.yaml",
		"etc/kubernetes/manifests/etcd.yaml", "etc/cni/net.d/10-a.conflist", "etc/kubernetes/admin.conf", "etc/kubernetes/scheduler.conf",
		"etc/kubernetes/controller-manager.conf", "etc/kubernetes/pki/ca.crt", "etc/kubernetes/pki/etcd/ca.key", "etc/kubernetes/enc.yaml",
		"etc/systemd/system/kubelet.service.d/10-kubeadm.conf", "var/lib/kube-proxy/kubeconfig", "etc/kubernetes/kubelet.conf",
		"var/lib/kubelet/config.yaml", "etc/kubernetes/azure.json",
	} {
		out = append(out, seawall.FileFact{Path: p, Kind: "file", Mode: mode, UID: uid, GID: gid})
	}
	return append(out, seawall.FileFact{Path: "var/lib/etcd", Kind: "directory", Mode: mode | mode>>2&0o111, UID: uid, GID: gid})
}

func weak() detect.Facts {
	f := facts(seawall.AssetHost,
		fact("kubernetes/version", "", "distribution", "kubeadm", "version", "v1.23.1"),
		fact("kubernetes/kube-apiserver", "proc/1", "--authorization-mode", "AlwaysAllow,ABAC", "--authorization-policy-file", "/abac", "--token-auth-file", "/t",
			"--basic-auth-file", "/b", "--enable-bootstrap-token-auth", "true", "--enable-admission-plugins", "AlwaysAdmit",
			"--disable-admission-plugins", "PodSecurity,ServiceAccount,NamespaceLifecycle", "--audit-log-maxsize", "10", "--request-timeout", "30m",
			"--service-account-lookup", "false", "--etcd-servers", "http://127.0.0.1:2379", "--insecure-port", "8080", "--secure-port", "0",
			"--tls-min-version", "VersionTLS10", "--feature-gates", "AllAlpha=true", "--client-ca-file", "", "--requestheader-client-ca-file", "/ca.crt",
			"--encryption-provider-config", "/etc/kubernetes/enc.yaml", "--audit-policy-file", "/etc/kubernetes/audit.yaml"),
		fact("kubernetes/config/EncryptionConfiguration", "etc/kubernetes/enc.yaml", "json", `{"resources": [{"resources": ["secrets"], "providers": [{"identity": {}}, {"aescbc": {}}]}]}`),
		fact("kubernetes/config/Policy", "etc/kubernetes/audit.yaml", "json", `{"rules": [{"level": "RequestResponse", "resources": [{"group": "", "resources": ["secrets"]}]}]}`),
		fact("kubernetes/kube-apiserver", "proc/11", "--client-ca-file", "/ca.crt", "--requestheader-client-ca-file", "/ca.crt",
			"--encryption-provider-config", "/etc/kubernetes/enc2.yaml"),
		fact("kubernetes/config/EncryptionConfiguration", "etc/kubernetes/enc2.yaml", "json", `{"resources": [{"resources": ["*.*"], "providers": [{"aescbc": {}}]}]}`),
		fact("kubernetes/kube-apiserver", "proc/12", "--authorization-mode", "RBAC"),
		fact("kubernetes/kube-controller-manager", "proc/2", "--terminated-pod-gc-threshold", "0", "--feature-gates", "RotateKubeletServerCertificate=false", "--cluster-signing-duration", "87600h"),
		fact("kubernetes/kube-scheduler", "proc/3"),
		fact("kubernetes/kube-proxy", "proc/4", "--metrics-bind-address", "0.0.0.0:10249", "enableProfiling", "true"),
		fact("kubernetes/etcd", "proc/5", "--auto-tls", "true", "--peer-auto-tls", "true", "--trusted-ca-file", "/ca.crt", "--listen-metrics-urls", "http://0.0.0.0:2381",
			"--tls-min-version", "TLS1.0", "--data-dir", "/var/lib/etcd"),
		fact("host/process", "proc/5", "name", "etcd", "uid", "105"),
		fact("kubernetes/kubelet", "proc/6", "--streaming-connection-idle-timeout", "0", "--make-iptables-util-chains", "false", "--hostname-override", "n",
			"--event-qps", "-1", "--feature-gates", "RotateKubeletServerCertificate=false", "--kubeconfig", "/etc/kubernetes/kubelet.conf",
			"--healthz-bind-address", "0.0.0.0", "--allowed-unsafe-sysctls", "net.*", "--tls-min-version", "VersionTLS10", "--static-pod-url", "http://x",
			"enableSystemLogQuery", "true"),
		fact("kubernetes/kubeconfig", "etc/kubernetes/kubelet.conf", "cluster.0.insecure-skip-tls-verify", "true", "user.0.client-certificate-data", "(removed)",
			"user.0.subject", "CN=me,O=system:masters"),
		fact("containerd/config", "etc/containerd/config.toml", "grpc.tcp_address", "0.0.0.0:8090", "debug.level", "trace", "disable_apparmor", "true",
			"plugins.io.containerd.grpc.v1.cri.registry.configs.r.tls.insecure_skip_verify", "true", "plugins.io.containerd.grpc.v1.cri.enable_selinux", "false",
			"plugins.io.containerd.grpc.v1.cri.disable_apparmor", "true", "plugins.io.containerd.grpc.v1.cri.unset_seccomp_profile", "unconfined",
			"plugins.io.containerd.grpc.v1.cri.registry.configs.r.auth.password", "(removed)"),
		fact("host/mac", "", "selinux", "1"),
		fact("kubernetes/certificate", "a.crt", "subject", "CN=old", "notBefore", "2016-10-01T00:00:00Z", "notAfter", "2026-10-01T00:00:00Z", "key", "RSA 1024", "signature", "SHA1-RSA", "ca", "false"),
		fact("kubernetes/certificate", "b.crt", "subject", "CN=soon", "notBefore", "2025-12-01T00:00:00Z", "notAfter", "2026-12-01T00:00:00Z", "key", "ECDSA 256", "signature", "ECDSA-SHA256", "ca", "false"),
	)
	f.Files = files(0o666, 1000, 1000)
	return f
}

// TestEveryControlBothWays: each fails on the weak node and passes on the
// hardened one; what only a person can see is never judged.
func TestEveryControlBothWays(t *testing.T) {
	bad, good := judge(t, weak()), judge(t, hardened())
	cloud := cloudPairs(t)
	exposed := hardened() // the controller manager and the scheduler listen outside, with weak and strong TLS
	for i := range exposed.Configs {
		switch exposed.Configs[i].Kind {
		case "kubernetes/kube-controller-manager", "kubernetes/kube-scheduler":
			exposed.Configs[i].Data["--bind-address"] = "10.0.0.5"
			exposed.Configs[i].Data["--tls-cipher-suites"] = "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,TLS_AES_128_GCM_SHA256"
		}
	}
	outside := judge(t, exposed)
	for _, c := range load(t) {
		b, g := bad[c.ID], good[c.ID]
		switch c.ID {
		case "SW-K8S-108", "SW-K8S-123":
			g = outside[c.ID]
		}
		if pair, ok := cloud[c.ID]; ok {
			b, g = pair[0], pair[1]
		}
		if c.Manual != "" {
			if strings.Contains(b.statuses+g.statuses, "pass") || strings.Contains(b.statuses+g.statuses, "fail") {
				t.Errorf("%s is for a person, and was judged: %s, %s", c.ID, b.statuses, g.statuses)
			}
			continue
		}
		if !strings.Contains(b.statuses, "fail") {
			t.Errorf("%s does not fail on what is weak:%s %s", c.ID, b.statuses, b.words)
		}
		if !strings.Contains(g.statuses, "pass") || strings.Contains(g.statuses, "fail") || strings.Contains(g.statuses, "not-evaluated") {
			t.Errorf("%s does not pass on what is hardened:%s %s", c.ID, g.statuses, g.words)
		}
	}
}

func object(apiVersion, kind, name, json string) seawall.Object {
	return seawall.Object{APIVersion: apiVersion, Kind: kind, Namespace: "kube-system", Name: name, JSON: []byte(json)}
}

// cloudPairs are failing and passing results of what is judged on managed clusters only.
func cloudPairs(t *testing.T) map[string][2]result {
	t.Helper()
	cluster := func(distribution string, objects ...seawall.Object) map[string]result {
		f := facts(seawall.AssetCluster, fact("kubernetes/version", "", "distribution", distribution, "managed", "true"))
		f.Objects = objects
		return judge(t, f)
	}
	weak := cluster("gke",
		object("v1", "Node", "n", `{"metadata":{"name":"n"},"status":{"addresses":[{"type":"ExternalIP","address":"203.0.113.9"}],"nodeInfo":{"osImage":"Ubuntu 24.04"}}}`),
		object("v1", "Service", "s", `{"metadata":{"name":"s"},"spec":{"type":"LoadBalancer","ports":[{"port":80}]}}`),
		object("storage.k8s.io/v1", "StorageClass", "c", `{"metadata":{"name":"c"},"provisioner":"pd.csi.storage.gke.io","parameters":{}}`),
		object("apps/v1", "Deployment", "kubernetes-dashboard", `{"metadata":{"name":"kubernetes-dashboard","namespace":"d"},"spec":{}}`))
	firm := cluster("gke",
		object("v1", "Node", "n", `{"metadata":{"name":"n"},"status":{"addresses":[{"type":"InternalIP","address":"10.0.0.9"}],"nodeInfo":{"osImage":"Container-Optimized OS from Google"}}}`),
		object("v1", "Service", "s", `{"metadata":{"name":"s"},"spec":{"type":"LoadBalancer","ports":[{"port":443}]}}`),
		object("storage.k8s.io/v1", "StorageClass", "c", `{"metadata":{"name":"c"},"provisioner":"pd.csi.storage.gke.io","parameters":{"disk-encryption-kms-key":"k"}}`),
		object("apps/v1", "DaemonSet", "cos-auditd-logging", `{"metadata":{"name":"cos-auditd-logging"},"spec":{}}`))
	out := map[string][2]result{}
	for _, id := range []string{"SW-K8S-612", "SW-K8S-614", "SW-K8S-709", "SW-K8S-722", "SW-K8S-726", "SW-K8S-728"} {
		out[id] = [2]result{weak[id], firm[id]}
	}
	return out
}

// TestManagedClusters: the provider's control plane is not judged, its absence
// is no failure; what lies on the nodes is not known from the API.
func TestManagedClusters(t *testing.T) {
	for distribution, of := range map[string]struct{ controlPlane, nodes seawall.Status }{
		"eks":     {seawall.StatusNotApplicable, seawall.StatusNotEvaluated},
		"kubeadm": {seawall.StatusNotEvaluated, seawall.StatusNotEvaluated},
	} {
		managed := map[bool]string{true: "true", false: "false"}[distribution == "eks"]
		got := judge(t, facts(seawall.AssetCluster, fact("kubernetes/version", "", "distribution", distribution, "managed", managed)))
		for _, id := range []string{"SW-K8S-001", "SW-K8S-101", "SW-K8S-121", "SW-K8S-201", "SW-NODE-101"} {
			if !got[id].is(of.controlPlane) {
				t.Errorf("%s, %s:%s %s, want %s", distribution, id, got[id].statuses, got[id].words, of.controlPlane)
			}
		}
		for _, id := range []string{"SW-NODE-001", "SW-NODE-161", "SW-NODE-127"} {
			if !got[id].is(of.nodes) || !strings.Contains(got[id].words, "seawall scan host") {
				t.Errorf("%s, %s:%s %s, want %s", distribution, id, got[id].statuses, got[id].words, of.nodes)
			}
		}
		if cloud := got["SW-K8S-601"]; (distribution == "eks") != cloud.is(seawall.StatusNotEvaluated) || cloud.is(seawall.StatusPass) {
			t.Errorf("%s, what a person looks at in the account: %s", distribution, cloud.statuses)
		}
	}
}

// TestDefaults holds what a component does when it is told nothing: the
// findings people call wrong in other tools.
func TestDefaults(t *testing.T) {
	kubelet := func(pairs ...string) seawall.ConfigFact { return fact("kubernetes/kubelet", "proc/6", pairs...) }
	file := []string{"--config", "/var/lib/kubelet/config.yaml", "configuration", "/var/lib/kubelet/config.yaml"}
	with := func(pairs ...string) []string { return append(append([]string{}, file...), pairs...) }
	version := func(v string) seawall.ConfigFact { return fact("kubernetes/version", "", "version", v) }
	api := func(pairs ...string) seawall.ConfigFact { return fact("kubernetes/kube-apiserver", "proc/1", pairs...) }
	for _, c := range []struct {
		name   string
		facts  []seawall.ConfigFact
		rule   string
		status seawall.Status
		words  string
	}{
		{"flags alone: anonymous", []seawall.ConfigFact{kubelet()}, "SW-NODE-001", "fail", "--anonymous-auth is not set: the default is true"},
		{"a file: not anonymous", []seawall.ConfigFact{kubelet(file...)}, "SW-NODE-001", "pass", ""},
		{"a file nobody listed", []seawall.ConfigFact{kubelet(with("authentication.x509.clientCAFile", "/none/ca.crt")...)}, "SW-NODE-128", "not-evaluated", "/none/ca.crt were not read"},
		{"flags go before the file", []seawall.ConfigFact{kubelet(with("authentication.anonymous.enabled", "false", "--anonymous-auth", "true")...)}, "SW-NODE-001", "fail", "--anonymous-auth=true"},
		{"the file's value and place", []seawall.ConfigFact{kubelet(with("authentication.anonymous.enabled", "true")...)}, "SW-NODE-001", "fail", "authentication.anonymous.enabled: true in /var/lib/kubelet/config.yaml"},
		{"a file nobody read", []seawall.ConfigFact{kubelet("--config", "/x.yaml", "unread", "/x.yaml was not read")}, "SW-NODE-001", "not-evaluated", "/x.yaml was not read"},
		{"a file nobody read, a flag", []seawall.ConfigFact{kubelet("--config", "/x.yaml", "unread", "/x.yaml was not read", "--anonymous-auth", "false")}, "SW-NODE-001", "pass", ""},
		{"flags alone: read-only port", []seawall.ConfigFact{kubelet()}, "SW-NODE-004", "fail", "10255"},
		{"a file: no read-only port", []seawall.ConfigFact{kubelet(file...)}, "SW-NODE-004", "pass", ""},
		{"zero in the file is the default", []seawall.ConfigFact{kubelet(with("streamingConnectionIdleTimeout", "0s")...)}, "SW-NODE-005", "pass", ""},
		{"zero as a flag is never", []seawall.ConfigFact{kubelet(with("--streaming-connection-idle-timeout", "0")...)}, "SW-NODE-005", "fail", ""},
		{"no rotation by default", []seawall.ConfigFact{kubelet(file...)}, "SW-NODE-010", "fail", "default is false"},
		{"a program needs no rotation", []seawall.ConfigFact{kubelet(with("--kubeconfig", "/k")...), fact("kubernetes/kubeconfig", "k", "user.0.exec", "(removed)")}, "SW-NODE-010", "not-applicable", ""},
		{"feature gate on by default", []seawall.ConfigFact{kubelet(file...)}, "SW-NODE-011", "pass", ""},
		{"all admission plugins by default but NodeRestriction", []seawall.ConfigFact{api()}, "SW-K8S-015", "pass", ""},
		{"NodeRestriction is off by default", []seawall.ConfigFact{api()}, "SW-K8S-017", "fail", ""},
		{"where everything is allowed nobody is anonymous", []seawall.ConfigFact{api("--anonymous-auth", "true")}, "SW-K8S-001", "pass", ""},
		{"anonymous by default", []seawall.ConfigFact{api("--authorization-mode", "Node,RBAC")}, "SW-K8S-001", "fail", "--anonymous-auth is not set: the default is true"},
		{"tokens signed elsewhere need no key", []seawall.ConfigFact{api("--service-account-signing-endpoint", "/run/signer.sock")}, "SW-K8S-025", "pass", ""},
		{"no authorization mode is AlwaysAllow", []seawall.ConfigFact{api()}, "SW-K8S-007", "fail", "default is AlwaysAllow"},
		{"authorizers from a file", []seawall.ConfigFact{api("--authorization-config", "/a.yaml"),
			fact("kubernetes/config/AuthorizationConfiguration", "a.yaml", "json", `{"authorizers":[{"type":"Node"},{"type":"RBAC"},{"type":"Webhook"}]}`)}, "SW-K8S-009", "pass", ""},
		{"authorizers from a file nobody read", []seawall.ConfigFact{api("--authorization-config", "/a.yaml")}, "SW-K8S-007", "not-evaluated", "/a.yaml lies on the node"},
		{"anonymous for health only", []seawall.ConfigFact{api("--authentication-config", "/a.yaml"),
			fact("kubernetes/config/AuthenticationConfiguration", "a.yaml", "json", `{"anonymous":{"enabled":true,"conditions":[{"path":"/livez"},{"path":"/readyz"}]}}`)}, "SW-K8S-001", "pass", ""},
		{"anonymous for more", []seawall.ConfigFact{api("--authentication-config", "/a.yaml", "--authorization-mode", "RBAC"),
			fact("kubernetes/config/AuthenticationConfiguration", "a.yaml", "json", `{"anonymous":{"enabled":true,"conditions":[{"path":"/metrics"}]}}`)}, "SW-K8S-001", "fail", "/metrics"},
		{"a file that does not speak of anonymous", []seawall.ConfigFact{api("--authentication-config", "/a.yaml", "--authorization-mode", "RBAC"),
			fact("kubernetes/config/AuthenticationConfiguration", "a.yaml", "json", `{"jwt":[]}`)}, "SW-K8S-001", "fail", "default is true"},
		{"audit files are kept for a year from 1.36", []seawall.ConfigFact{version("v1.36.0"), api("--audit-log-path", "/l")}, "SW-K8S-020", "pass", ""},
		{"and without a limit before", []seawall.ConfigFact{version("v1.35.2"), api("--audit-log-path", "/l")}, "SW-K8S-020", "fail", "--audit-log-maxage is not set"},
		{"audit files 100 MB always", []seawall.ConfigFact{version("v1.30.0"), api("--audit-log-path", "/l")}, "SW-K8S-022", "pass", ""},
		{"events sent away have no files", []seawall.ConfigFact{api("--audit-webhook-config-file", "/w")}, "SW-K8S-020", "not-applicable", ""},
		{"identity first", []seawall.ConfigFact{api("--encryption-provider-config", "/e"),
			fact("kubernetes/config/EncryptionConfiguration", "e", "json", `{"resources":[{"resources":["configmaps"],"providers":[{"kms":{}}]},{"resources":["secrets"],"providers":[{"identity":{}},{"kms":{}}]}]}`)}, "SW-K8S-031", "fail", "first of identity, kms"},
		{"no word of secrets", []seawall.ConfigFact{api("--encryption-provider-config", "/e"),
			fact("kubernetes/config/EncryptionConfiguration", "e", "json", `{"resources":[{"resources":["configmaps"],"providers":[{"kms":{}}]}]}`)}, "SW-K8S-031", "fail", "no entry for secrets"},
		{"encryption nobody read", []seawall.ConfigFact{api("--encryption-provider-config", "/e")}, "SW-K8S-031", "not-evaluated", "lies on the node"},
		{"a scheduler with a file ignores the flag", []seawall.ConfigFact{fact("kubernetes/kube-scheduler", "p", "--config", "/s", "configuration", "/s", "--profiling", "false")}, "SW-K8S-121", "fail", "enableProfiling is not set in /s"},
		{"the controller manager listens everywhere by default", []seawall.ConfigFact{fact("kubernetes/kube-controller-manager", "p")}, "SW-K8S-107", "fail", "0.0.0.0"},
		{"kube-proxy does not", []seawall.ConfigFact{fact("kubernetes/kube-proxy", "p")}, "SW-K8S-131", "pass", ""},
		{"K3s with SQLite speaks to no etcd", []seawall.ConfigFact{api("--etcd-servers", "unix://kine.sock")}, "SW-K8S-026", "not-applicable", ""},
		{"system:authenticated is everyone", []seawall.ConfigFact{api("--audit-policy-file", "/p"),
			fact("kubernetes/config/Policy", "p", "json", `{"rules":[{"level":"None","userGroups":["system:nodes"]},{"level":"Metadata","userGroups":["system:authenticated"]}]}`)}, "SW-K8S-039", "pass", ""},
		{"exec is left out", []seawall.ConfigFact{api("--audit-policy-file", "/p"),
			fact("kubernetes/config/Policy", "p", "json", `{"rules":[{"level":"None","resources":[{"group":"","resources":["pods/exec"]}]},{"level":"Metadata"}]}`)}, "SW-K8S-039", "fail", "commands in pods"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := facts(seawall.AssetHost, c.facts...)
			f.Files = []seawall.FileFact{{Path: "etc/kubernetes", Kind: "directory", Mode: 0o755}}
			got := judge(t, f)[c.rule]
			if !got.is(c.status) || !strings.Contains(got.words, c.words) {
				t.Errorf("%s:%s %s; want %s %s", c.rule, got.statuses, got.words, c.status, c.words)
			}
		})
	}
}

// TestFactsAreNotChanged: what others hold stays as it was.
func TestFactsAreNotChanged(t *testing.T) {
	f := weak()
	before := make([]map[string]string, len(f.Configs))
	for i := range f.Configs {
		before[i] = maps.Clone(f.Configs[i].Data)
	}
	settings.Complete(f)
	for i := range f.Configs {
		if !maps.Equal(before[i], f.Configs[i].Data) {
			t.Errorf("%s was changed", f.Configs[i].Kind)
		}
	}
}
