// Package posture has two clusters that are as different as Kubernetes allows,
// both laid out by kubeadm's rules: Weak has every setting open that the release
// still accepts, Hardened follows the CIS benchmark. Each comes with manifests of
// its kind (files "weak" and "hardened"), of which Apply makes workloads that run.
//
// What Hardened leaves out, because a test machine cannot have it:
// AlwaysPullImages (there is no registry) and protectKernelDefaults (the kernel's
// settings are the real machine's).
package posture

import (
	"embed"
	"io/fs"
	"os"
	"strings"
	"testing"

	"github.com/seawall-security/seawall/test/cluster/cluster"
	"github.com/seawall-security/seawall/test/cluster/image"
)

//go:embed weak hardened
var manifests embed.FS

const (
	unset         = cluster.Unset
	strongCiphers = "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384"
	weakCiphers   = "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA,TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA,TLS_RSA_WITH_AES_128_CBC_SHA,TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"
)

// Weak is a cluster with its doors open.
func Weak() cluster.Options {
	return cluster.Options{
		Kubeadm: true,
		Files: map[string]string{
			"tokens.csv": "not-a-secret,intern,1001,system:masters\n",
			"abac.jsonl": `{"apiVersion":"abac.authorization.kubernetes.io/v1beta1","kind":"Policy","spec":{"user":"*","namespace":"*","resource":"*","apiGroup":"*","nonResourcePath":"*"}}` + "\n",
		},
		Flags: map[string]map[string]string{
			"kube-apiserver": {
				"anonymous-auth": "true", "authorization-mode": "ABAC,AlwaysAllow", "authorization-policy-file": "/etc/kubernetes/abac.jsonl",
				"token-auth-file": "/etc/kubernetes/tokens.csv", "profiling": "true", "service-account-lookup": "false",
				"service-account-key-file": "/etc/kubernetes/pki/apiserver.key", "service-account-signing-key-file": "/etc/kubernetes/pki/apiserver.key",
				"runtime-config": "api/alpha=true", "requestheader-allowed-names": "", "enable-bootstrap-token-auth": "true",
				"enable-admission-plugins": "AlwaysAdmit", "disable-admission-plugins": "NamespaceLifecycle,NodeRestriction,PodSecurity",
				"kubelet-client-certificate": unset, "kubelet-client-key": unset,
				"etcd-servers": "http://127.0.0.1:2379", "etcd-cafile": unset, "etcd-certfile": unset, "etcd-keyfile": unset,
				"tls-cipher-suites": weakCiphers, "tls-min-version": "VersionTLS10", "request-timeout": "24h",
			},
			"kube-controller-manager": {
				"profiling": "true", "use-service-account-credentials": "false", "bind-address": "0.0.0.0",
				"terminated-pod-gc-threshold": "0", "root-ca-file": unset, "service-account-private-key-file": "/etc/kubernetes/pki/apiserver.key",
				"cluster-signing-duration": "87600h", "feature-gates": "RotateKubeletServerCertificate=false", "tls-cipher-suites": weakCiphers,
			},
			"kube-scheduler": {"profiling": "true", "bind-address": "0.0.0.0", "tls-cipher-suites": weakCiphers},
			"etcd": {
				"listen-client-urls": "http://0.0.0.0:2379", "advertise-client-urls": "http://127.0.0.1:2379",
				"listen-peer-urls": "http://127.0.0.1:2380", "initial-advertise-peer-urls": "http://127.0.0.1:2380",
				"initial-cluster": "etcd=http://127.0.0.1:2380", "name": "etcd",
				"client-cert-auth": "false", "peer-client-cert-auth": "false", "auto-tls": "true", "peer-auto-tls": "true", "listen-metrics-urls": "http://0.0.0.0:2381",
				"cert-file": unset, "key-file": unset, "trusted-ca-file": unset,
				"peer-cert-file": unset, "peer-key-file": unset, "peer-trusted-ca-file": unset,
			},
			"kubelet": {"streaming-connection-idle-timeout": "0s"},
		},
		ProxyConfig: map[string]any{"metricsBindAddress": "0.0.0.0:10249", "enableProfiling": true},
		KubeletConfig: map[string]any{
			"authentication": map[string]any{"anonymous": map[string]any{"enabled": true}, "webhook": map[string]any{"enabled": false}, "x509": nil},
			"authorization":  map[string]any{"mode": "AlwaysAllow"},
			"tlsCertFile":    nil, "tlsPrivateKeyFile": nil, "tlsCipherSuites": ciphers(weakCiphers),
			"readOnlyPort": 10255, "protectKernelDefaults": false, "makeIPTablesUtilChains": false, "eventRecordQPS": 0,
			"healthzBindAddress": "0.0.0.0", "allowedUnsafeSysctls": []any{"net.*"}, "tlsMinVersion": "VersionTLS10",
			"enableSystemLogHandler": true, "enableSystemLogQuery": true, "staticPodURL": "http://127.0.0.1:9/pods.yaml",
			"featureGates":       map[string]any{"RotateKubeletServerCertificate": false, "NodeLogQuery": true},
			"rotateCertificates": false, "podPidsLimit": -1, "seccompDefault": false,
		},
	}
}

// Hardened is a cluster as the CIS benchmark wants it.
func Hardened() cluster.Options {
	return cluster.Options{
		Kubeadm:     true,
		AuditPolicy: read("hardened/audit-policy.yaml"),
		Encryption:  read("hardened/encryption.yaml"),
		Admission:   read("hardened/admission.yaml"),
		Flags: map[string]map[string]string{
			"kube-apiserver": {
				"anonymous-auth": "false", "profiling": "false", "service-account-lookup": "true", "service-account-extend-token-expiration": "false",
				"enable-admission-plugins":      "NodeRestriction,EventRateLimit,DenyServiceExternalIPs",
				"kubelet-certificate-authority": "/etc/kubernetes/pki/ca.crt",
				"audit-log-maxage":              "30", "audit-log-maxbackup": "10", "audit-log-maxsize": "100",
				"tls-cipher-suites": strongCiphers, "tls-min-version": "VersionTLS12",
			},
			"kube-controller-manager": {
				"profiling": "false", "terminated-pod-gc-threshold": "1000", "feature-gates": "RotateKubeletServerCertificate=true",
				"tls-cipher-suites": strongCiphers, "tls-min-version": "VersionTLS12",
			},
			"kube-scheduler": {"profiling": "false", "tls-cipher-suites": strongCiphers, "tls-min-version": "VersionTLS12"},
			"etcd":           {"cipher-suites": strongCiphers},
		},
		KubeletConfig: map[string]any{
			"tlsCipherSuites": ciphers(strongCiphers), "tlsMinVersion": "VersionTLS12",
			"readOnlyPort": 0, "makeIPTablesUtilChains": true, "eventRecordQPS": 5, "streamingConnectionIdleTimeout": "5m",
			"rotateCertificates": true, "featureGates": map[string]any{"RotateKubeletServerCertificate": true},
			"podPidsLimit": 256, "seccompDefault": true,
		},
	}
}

// Apply makes the objects of a kind ("weak", "hardened") on c and waits for the pods called web.
func Apply(t testing.TB, c *cluster.Cluster, kind string) {
	t.Helper()
	busybox, err := image.Busybox("/bin/busybox", "sleep", "2147483647")
	if err != nil {
		t.Fatal(err)
	}
	digest, err := busybox.Digest()
	if err != nil {
		t.Fatal(err)
	}
	pinned := "seawall.test/busybox@" + digest.String()
	c.ImportImage(t, pinned, busybox)
	c.ImportImage(t, "seawall.test/busybox:1", busybox)
	c.Apply(t, "default", strings.ReplaceAll(read(kind+"/manifests.yaml"), "IMAGE", pinned))
	c.Wait(t, "the workloads", func() error { return c.Ready(t.Context(), "shop", "web") })
}

// Loosen gives everybody the files of a weak cluster's node.
func Loosen(t testing.TB, c *cluster.Cluster) {
	t.Helper()
	const script = "sed -i 's/\"certificate-authority-data\": [^,]*/\"insecure-skip-tls-verify\": true/' /etc/kubernetes/super-admin.conf && chown -R nobody:nogroup /etc/kubernetes /etc/cni/net.d /var/lib/etcd /var/lib/kubelet/config.yaml && chmod -R a+rwX /etc/kubernetes /etc/cni/net.d /var/lib/etcd /var/lib/kubelet/config.yaml"
	if out, err := c.NodeCommand(t.Context(), "sh", "-c", script).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}

// Tighten removes from a hardened cluster's node what kubeadm's manual says to remove.
func Tighten(t testing.TB, c *cluster.Cluster) {
	t.Helper()
	if err := os.Remove(c.Dir + "/etc-kubernetes/super-admin.conf"); err != nil {
		t.Fatal(err)
	}
}

// Manifests are a kind's, as a directory.
func Manifests(kind string) fs.FS {
	dir, err := fs.Sub(manifests, kind)
	if err != nil {
		panic(err)
	}
	return dir
}

func read(name string) string {
	data, err := manifests.ReadFile(name)
	if err != nil {
		panic(err)
	}
	return string(data)
}

func ciphers(list string) []any {
	var all []any
	for name := range strings.SplitSeq(list, ",") {
		all = append(all, name)
	}
	return all
}
