package settings

import "strings"

// The kubelet's settings by their names in its configuration file. Where flags
// alone are used the first four have other, unsafe, defaults
// (k8s.io/kubernetes/cmd/kubelet/app/options: applyLegacyDefaults).
var kubeletLegacy = [...]setting{
	{"--anonymous-auth", "authentication.anonymous.enabled", "true"},
	{"--authentication-token-webhook", "authentication.webhook.enabled", "false"},
	{"--authorization-mode", "authorization.mode", "AlwaysAllow"},
	{"--read-only-port", "readOnlyPort", "10255"},
}

var kubeletSafe = [...]setting{
	{"--anonymous-auth", "authentication.anonymous.enabled", "false"},
	{"--authentication-token-webhook", "authentication.webhook.enabled", "true"},
	{"--authorization-mode", "authorization.mode", "Webhook"},
	{"--read-only-port", "readOnlyPort", "0"},
}

var kubelet = [...]setting{
	{"--client-ca-file", "authentication.x509.clientCAFile", ""},
	{"--make-iptables-util-chains", "makeIPTablesUtilChains", "true"},
	{"--protect-kernel-defaults", "protectKernelDefaults", "false"},
	{"--event-qps", "eventRecordQPS", "50"},
	{"--tls-cert-file", "tlsCertFile", ""},
	{"--tls-private-key-file", "tlsPrivateKeyFile", ""},
	{"--rotate-certificates", "rotateCertificates", "false"},
	{"--rotate-server-certificates", "serverTLSBootstrap", "false"},
	{"--tls-cipher-suites", "tlsCipherSuites", ""},
	{"--tls-min-version", "tlsMinVersion", "VersionTLS12"},
	{"--pod-max-pids", "podPidsLimit", "-1"},
	{"--seccomp-default", "seccompDefault", "false"},
	{"--hostname-override", "", ""},
	{"--enable-debugging-handlers", "enableDebuggingHandlers", "true"},
	{"", "enableProfilingHandler", "true"},
	{"", "enableSystemLogHandler", "true"},
	{"", "enableSystemLogQuery", "false"},
	{"--healthz-bind-address", "healthzBindAddress", "127.0.0.1"},
	{"--allowed-unsafe-sysctls", "allowedUnsafeSysctls", ""},
	{"--fail-swap-on", "failSwapOn", "true"},
	{"--static-pod-url", "staticPodURL", ""},
	{"--kubeconfig", "", ""},
}

// kubelet completes the kubelet's settings.
func (c *completer) kubelet(s *set) {
	_, file := s.given["--config"]
	_, dir := s.given["--config-dir"]
	if file || dir || s.given["configuration"] != "" || s.given["authentication.anonymous.enabled"] != "" {
		s.complete(kubeletSafe[:])
	} else {
		s.complete(kubeletLegacy[:])
	}
	s.complete(kubelet[:])
	c.idleTimeout(s)
	if s.unread == "" {
		s.gates("--feature-gates", map[string]string{"RotateKubeletServerCertificate": "true"})
	}
	if how := c.credential(s); how != "" {
		s.put("credential", how, "its kubeconfig holds a "+how)
	}
}

// idleTimeout: zero in the file means the default, zero as a flag means never.
func (c *completer) idleTimeout(s *set) {
	const name = "streamingConnectionIdleTimeout"
	s.one(setting{"--streaming-connection-idle-timeout", name, "4h0m0s"})
	_, flag := s.given["--streaming-connection-idle-timeout"]
	if v := s.given[name]; !flag && v != "" && strings.Trim(v, "0hmsu.") == "" {
		s.put(name, "4h0m0s", name+": "+v+", which means the default, 4h0m0s")
	}
}

// credential tells how the kubelet proves itself to the API server:
// "certificate", "token", "program", "" when not known.
func (c *completer) credential(s *set) string {
	file := strings.TrimPrefix(s.given["--kubeconfig"], "/")
	for i := range c.facts.Configs {
		k := &c.facts.Configs[i]
		if k.Kind != "kubernetes/kubeconfig" || k.Path != file {
			continue
		}
		switch {
		case k.Data["user.0.exec"] != "":
			return "program"
		case k.Data["user.0.client-certificate"] != "" || k.Data["user.0.client-certificate-data"] != "":
			return "certificate"
		case k.Data["user.0.token"] != "" || k.Data["user.0.tokenFile"] != "":
			return "token"
		}
	}
	return ""
}
