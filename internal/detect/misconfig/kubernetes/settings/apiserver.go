package settings

import (
	"encoding/json"
	"path"
	"slices"
	"strings"
)

var apiserver = [...]setting{
	{"--anonymous-auth", "", "true"},
	{"--authorization-mode", "", "AlwaysAllow"},
	{"--authorization-policy-file", "", ""},
	{"--token-auth-file", "", ""},
	{"--basic-auth-file", "", ""},
	{"--enable-bootstrap-token-auth", "", "false"},
	{"--enable-admission-plugins", "", ""},
	{"--disable-admission-plugins", "", ""},
	{"--admission-control-config-file", "", ""},
	{"--kubelet-client-certificate", "", ""},
	{"--kubelet-client-key", "", ""},
	{"--kubelet-certificate-authority", "", ""},
	{"--profiling", "", "true"},
	{"--audit-log-path", "", ""},
	{"--audit-policy-file", "", ""},
	{"--audit-webhook-config-file", "", ""},
	{"--audit-log-maxsize", "", "100"},
	{"--request-timeout", "", "1m0s"},
	{"--service-account-lookup", "", "true"},
	{"--service-account-key-file", "", ""},
	{"--service-account-signing-endpoint", "", ""},
	{"--service-account-extend-token-expiration", "", "true"},
	{"--service-account-max-token-expiration", "", ""},
	{"--etcd-certfile", "", ""},
	{"--etcd-keyfile", "", ""},
	{"--etcd-cafile", "", ""},
	{"--etcd-servers", "", ""},
	{"--tls-cert-file", "", ""},
	{"--tls-private-key-file", "", ""},
	{"--client-ca-file", "", ""},
	{"--requestheader-client-ca-file", "", ""},
	{"--requestheader-allowed-names", "", ""},
	{"--encryption-provider-config", "", ""},
	{"--encryption-provider-config-automatic-reload", "", "false"},
	{"--tls-cipher-suites", "", ""},
	{"--tls-min-version", "", "VersionTLS12"},
	{"--insecure-port", "", "0"},
	{"--secure-port", "", "6443"},
	{"--feature-gates", "", ""},
	{"--runtime-config", "", ""},
	{"--oidc-issuer-url", "", ""},
	{"--allow-privileged", "", "false"},
}

// admissionDefaults are the plugins that run unless disabled; PodSecurity since
// 1.23 (https://kubernetes.io/docs/reference/access-authn-authz/admission-controllers/).
var admissionDefaults = [...]string{
	"CertificateApproval", "CertificateSigning", "CertificateSubjectRestriction", "DefaultIngressClass", "DefaultStorageClass",
	"DefaultTolerationSeconds", "LimitRanger", "MutatingAdmissionWebhook", "NamespaceLifecycle", "PersistentVolumeClaimResize",
	"PodSecurity", "Priority", "ResourceQuota", "RuntimeClass", "ServiceAccount", "StorageObjectInUseProtection",
	"TaintNodesByCondition", "ValidatingAdmissionPolicy", "ValidatingAdmissionWebhook",
}

// apiserver completes the API server's settings, by the files its flags name too.
func (c *completer) apiserver(s *set) {
	s.complete(apiserver[:])
	age, backups := "", "" // files were never removed unless told so, until 1.36
	if c.minor >= 36 {
		age, backups = "366", "100"
	}
	s.one(setting{"--audit-log-maxage", "", age})
	s.one(setting{"--audit-log-maxbackup", "", backups})
	s.gates("--feature-gates", nil)
	s.admission()
	c.authentication(s)
	c.authorization(s)
	c.encryption(s)
	c.audit(s)
	c.podSecurity(s)
}

// admission writes the plugins that run as "admission", with a comma on both sides of each.
func (s *set) admission() {
	list := func(flag string) []string {
		return strings.FieldsFunc(s.given[flag], func(r rune) bool { return r == ',' || r == ' ' })
	}
	disabled := list("--disable-admission-plugins")
	run := slices.Clone(admissionDefaults[:])
	run = slices.DeleteFunc(run, func(p string) bool { return slices.Contains(disabled, p) })
	for _, p := range append(list("--enable-admission-plugins"), list("--admission-control")...) {
		if !slices.Contains(run, p) {
			run = append(run, p)
		}
	}
	slices.Sort(run)
	said := s.out["said.--enable-admission-plugins"]
	if len(disabled) > 0 {
		said += ", " + s.out["said.--disable-admission-plugins"]
	}
	s.put("admission", ","+strings.Join(run, ",")+",", said)
}

// document returns the configuration document a flag names. ok is false, with
// the reason in the settings, when the flag is set and the file is not known.
func (c *completer) document(s *set, flag string, into any) (file string, ok bool) {
	file = s.given[flag]
	if file == "" {
		return "", true
	}
	name := strings.TrimPrefix(path.Clean(file), "/")
	for i := range c.facts.Configs {
		d := &c.facts.Configs[i]
		if d.Path == name && strings.HasPrefix(d.Kind, "kubernetes/config/") && json.Unmarshal([]byte(d.Data["json"]), into) == nil {
			return file, true
		}
	}
	s.unreadFile = file + " lies on the node and was not read: 'seawall scan host' there reads it"
	return file, false
}

// authentication: the configuration file may narrow or forbid anonymous requests instead of the flag.
func (c *completer) authentication(s *set) {
	var doc struct {
		Anonymous *struct {
			Enabled    bool
			Conditions []struct{ Path string }
		}
	}
	file, ok := c.document(s, "--authentication-config", &doc)
	_, flag := s.given["--anonymous-auth"]
	switch {
	case file == "" || flag:
	case !ok:
		s.unknown("--anonymous-auth", s.unreadFile)
	case doc.Anonymous != nil && !doc.Anonymous.Enabled:
		s.put("--anonymous-auth", "false", "anonymous.enabled: false in "+file)
	case doc.Anonymous != nil && len(doc.Anonymous.Conditions) > 0:
		paths := make([]string, len(doc.Anonymous.Conditions))
		for i, c := range doc.Anonymous.Conditions {
			paths[i] = c.Path
		}
		value := "paths"
		if slices.ContainsFunc(paths, func(p string) bool { return p != "/livez" && p != "/readyz" && p != "/healthz" }) {
			value = "true"
		}
		s.put("--anonymous-auth", value, "anonymous requests are allowed to "+strings.Join(paths, ", ")+" in "+file)
	}
}

// authorization: the configuration file lists the authorizers instead of the
// flag. Where everything is allowed nobody is anonymous.
func (c *completer) authorization(s *set) {
	var doc struct{ Authorizers []struct{ Type string } }
	file, ok := c.document(s, "--authorization-config", &doc)
	switch {
	case file == "":
	case !ok:
		s.unknown("--authorization-mode", s.unreadFile)
	default:
		modes := make([]string, len(doc.Authorizers))
		for i, a := range doc.Authorizers {
			modes[i] = a.Type
		}
		s.put("--authorization-mode", strings.Join(modes, ","), "authorizers "+strings.Join(modes, ", ")+" in "+file)
	}
	// The server itself does so (BuiltInAuthenticationOptions.ApplyAuthorization).
	if s.out["--anonymous-auth"] == "true" && slices.Contains(strings.Split(s.out["--authorization-mode"], ","), "AlwaysAllow") {
		s.put("--anonymous-auth", "false", "AlwaysAllow turns anonymous requests off")
	}
}

// encryption writes which provider encrypts new Secrets as "encryption" and the
// rest after it, in order: "aescbc,identity". Without a configuration it is "identity".
func (c *completer) encryption(s *set) {
	var doc struct {
		Resources []struct {
			Resources []string
			Providers []map[string]json.RawMessage
		}
	}
	file, ok := c.document(s, "--encryption-provider-config", &doc)
	if !ok {
		s.unknown("encryption", s.unreadFile)
		return
	}
	if file == "" {
		s.put("encryption", "identity", "--encryption-provider-config is not set: etcd holds Secrets as they are")
		return
	}
	for _, r := range doc.Resources {
		if !slices.ContainsFunc(r.Resources, func(name string) bool { return name == "secrets" || name == "*.*" || name == "*." }) {
			continue
		}
		var order []string
		for _, p := range r.Providers {
			for name := range p {
				order = append(order, name)
			}
		}
		providers := strings.Join(order, ",")
		s.put("encryption", providers, file+" encrypts Secrets with the first of "+strings.Join(order, ", "))
		return // the first entry that names a resource decides
	}
	s.put("encryption", "identity", file+" has no entry for secrets")
}

// podSecurity writes the cluster's default level of Pod Security as "podSecurity".
func (c *completer) podSecurity(s *set) {
	var doc struct {
		Plugins []struct {
			Name          string
			Configuration struct{ Defaults struct{ Enforce string } }
		}
	}
	file, ok := c.document(s, "--admission-control-config-file", &doc)
	switch {
	case !strings.Contains(s.out["admission"], ",PodSecurity,"):
		s.put("podSecurity", "off", "the PodSecurity plugin is disabled")
		return
	case !ok:
		s.unknown("podSecurity", s.unreadFile)
		return
	case file == "":
		s.put("podSecurity", "privileged", "--admission-control-config-file is not set: namespaces without labels allow everything")
		return
	}
	level := "privileged"
	for _, p := range doc.Plugins {
		if p.Name == "PodSecurity" && p.Configuration.Defaults.Enforce != "" {
			level = p.Configuration.Defaults.Enforce
		}
	}
	s.put("podSecurity", level, "the default level is "+level+" in "+file)
}
