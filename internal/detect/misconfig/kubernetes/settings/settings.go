// Package settings completes what is known of Kubernetes' components: a flag
// that is not given has its default, which depends on the version, on whether a
// configuration file is used, and on other flags; a file that a flag names decides too.
//
//	ConfigFacts (source/cluster, inventory/nodeconf), FileFacts ──► Complete ──► ConfigFacts for controls
//
// Of a component's fact kubernetes/<component> every setting that controls ask
// about has a value, under its flag's name ("--profiling"), the kubelet's under
// its configuration's ("authentication.anonymous.enabled"). "said.<name>" tells
// people where the value is from. What cannot be known has no value, so that
// controls cannot judge it, and "unknown.<name>" says why. Feature gates are "gate.<name>".
//
// Facts added: kubernetes/file/<role> for each file of that role with path, mode
// ("0644"), uid, gid, owner ("0:0") and atMost600, atMost640, atMost644,
// atMost700, atMost755, atMost770 ("true" when the mode grants no more).
package settings

import (
	"maps"
	"strconv"
	"strings"

	"github.com/seawall-security/seawall/internal/detect"
	"github.com/seawall-security/seawall/internal/seawall"
)

const prefix = "kubernetes/"

// Complete returns the configuration facts of f with those of components
// completed and those of files added. f is not changed.
func Complete(f detect.Facts) []seawall.ConfigFact {
	c := &completer{facts: f, minor: minor(f.Configs)}
	out := make([]seawall.ConfigFact, 0, len(f.Configs)+len(f.Files))
	for _, fact := range f.Configs {
		if complete := c.component(fact); complete != nil {
			fact.Data = complete
		}
		out = append(out, fact)
	}
	out = append(out, files(f, out)...)
	return append(out, unread(f, out)...)
}

// unread says of a cluster what only its nodes could tell, so that it is not
// taken for fine. A provider's control plane is nobody's to read.
func unread(f detect.Facts, known []seawall.ConfigFact) []seawall.ConfigFact {
	if f.Asset.Kind != seawall.AssetCluster {
		return nil
	}
	seen, managed := map[string]bool{}, false
	for i := range known {
		seen[known[i].Kind] = true
		managed = managed || known[i].Kind == "kubernetes/version" && known[i].Data["managed"] == "true"
	}
	var out []seawall.ConfigFact
	missing := func(kind, reason string, controlPlane bool) {
		say := "kubernetes/unread"
		if managed && controlPlane {
			say, reason = "kubernetes/elsewhere", "the provider runs the control plane"
		}
		if !seen[kind] {
			out = append(out, seawall.ConfigFact{Kind: say, Data: map[string]string{"resource": kind, "reason": reason}})
		}
	}
	for _, component := range []string{"kube-apiserver", "kube-controller-manager", "kube-scheduler", "etcd"} {
		missing(prefix+component, "no pod of "+component+" was seen in kube-system: run 'seawall scan host' on the control-plane nodes", true)
	}
	const nodes = "the cluster's API does not show this: run 'seawall scan host' on the nodes"
	missing(prefix+"kubelet", nodes, false)
	missing(prefix+"certificate", nodes, false)
	missing(prefix+"kubeconfig", nodes, false)
	for i := range roles {
		missing("kubernetes/file/"+roles[i].name, nodes, roles[i].controlPlane())
	}
	return out
}

type completer struct {
	facts detect.Facts
	minor int
}

// minor is the minor version of the cluster, 0 when not known.
func minor(configs []seawall.ConfigFact) int {
	for i := range configs {
		if configs[i].Kind == "kubernetes/version" {
			parts := strings.Split(strings.TrimPrefix(configs[i].Data["version"], "v"), ".")
			if len(parts) > 1 && parts[0] == "1" {
				n, _ := strconv.Atoi(strings.TrimRight(parts[1], "+"))
				return n
			}
		}
	}
	return 0
}

// component completes one fact, nil when it is not a component's.
func (c *completer) component(fact seawall.ConfigFact) map[string]string {
	s := &set{given: fact.Data, out: maps.Clone(fact.Data), unread: fact.Data["unread"]}
	switch fact.Kind {
	case prefix + "kube-apiserver":
		c.apiserver(s)
	case prefix + "kube-controller-manager":
		s.complete(controllerManager[:])
		s.gates("--feature-gates", nil)
	case prefix + "kube-scheduler":
		scheduler(s)
	case prefix + "kube-proxy":
		s.complete(proxy[:])
	case prefix + "etcd":
		s.complete(etcd[:])
	case prefix + "kubelet":
		c.kubelet(s)
	default:
		return nil
	}
	return s.out
}

// setting is one thing a component can be told: by flag, by key of its configuration file, or not at all.
type setting struct {
	flag, key, fallback string
}

// set is the settings of one component while they are completed.
type set struct {
	given, out map[string]string
	// unread says why the configuration file is not known; then what no flag gives is not known either.
	unread string
	// unreadFile says so of the file a flag named last.
	unreadFile string
}

func (s *set) complete(all []setting) {
	for _, one := range all {
		s.one(one)
	}
}

// one gives a setting its value: flags go before the file, the file before the default.
func (s *set) one(one setting) {
	name := one.key
	if name == "" {
		name = one.flag
	}
	if v, ok := s.given[one.flag]; ok && one.flag != "" {
		s.put(name, v, one.flag+"="+v)
		return
	}
	if v, ok := s.given[one.key]; ok && one.key != "" {
		where := s.given["configuration"]
		if where != "" {
			where = " in " + where
		}
		s.put(name, v, one.key+": "+v+where)
		return
	}
	if one.key != "" && s.unread != "" {
		s.unknown(name, s.unread)
		return
	}
	told := one.flag
	if file := s.given["configuration"]; told == "" || one.key != "" && file != "" {
		told = one.key
	}
	said := told + " is not set"
	if one.fallback != "" {
		said += ": the default is " + one.fallback
	}
	s.put(name, one.fallback, said)
}

func (s *set) put(name, value, said string) {
	s.out[name] = value
	s.out["said."+name] = said
	delete(s.out, "unknown."+name)
}

// unknown takes a setting's value away and says why nobody knows it.
func (s *set) unknown(name, why string) {
	delete(s.out, name)
	delete(s.out, "said."+name)
	s.out["unknown."+name] = why
}

// gates writes the feature gates of a flag and of the configuration file.
func (s *set) gates(flag string, defaults map[string]string) {
	for name, value := range defaults {
		s.put("gate."+name, value, "feature gate "+name+" is not set: the default is "+value)
	}
	for key, value := range s.given {
		if name, ok := strings.CutPrefix(key, "featureGates."); ok {
			s.put("gate."+name, value, key+": "+value)
		}
	}
	for _, one := range strings.Split(s.given[flag], ",") {
		if name, value, ok := strings.Cut(one, "="); ok {
			s.put("gate."+name, value, flag+"="+one)
		}
	}
}

var controllerManager = [...]setting{
	{"--profiling", "", "true"},
	{"--use-service-account-credentials", "", "false"},
	{"--terminated-pod-gc-threshold", "", "12500"},
	{"--bind-address", "", "0.0.0.0"},
	{"--service-account-private-key-file", "", ""},
	{"--root-ca-file", "", ""},
	{"--tls-min-version", "", "VersionTLS12"},
	{"--tls-cipher-suites", "", ""},
	{"--cluster-signing-duration", "", "8760h0m0s"},
	{"--authorization-always-allow-paths", "", "/healthz,/readyz,/livez"},
	{"--authentication-skip-lookup", "", "false"},
}

var etcd = [...]setting{
	{"--cert-file", "", ""},
	{"--key-file", "", ""},
	{"--client-cert-auth", "", "false"},
	{"--trusted-ca-file", "", ""},
	{"--auto-tls", "", "false"},
	{"--peer-cert-file", "", ""},
	{"--peer-key-file", "", ""},
	{"--peer-client-cert-auth", "", "false"},
	{"--peer-trusted-ca-file", "", ""},
	{"--peer-auto-tls", "", "false"},
	{"--listen-client-urls", "", "http://localhost:2379"},
	{"--listen-peer-urls", "", "http://localhost:2380"},
	{"--listen-metrics-urls", "", ""},
	{"--data-dir", "", "/var/lib/etcd"},
	{"--tls-min-version", "", "TLS1.2"},
	{"--cipher-suites", "", ""},
	{"--enable-pprof", "", "false"},
}

var proxy = [...]setting{
	{"--metrics-bind-address", "metricsBindAddress", "127.0.0.1:10249"},
	{"--healthz-bind-address", "healthzBindAddress", "0.0.0.0:10256"},
	{"--kubeconfig", "clientConnection.kubeconfig", ""},
	{"--profiling", "enableProfiling", "false"},
	{"--bind-address-hard-fail", "bindAddressHardFail", "false"},
}

// scheduler ignores --profiling once it has a configuration file.
func scheduler(s *set) {
	s.complete([]setting{
		{"--bind-address", "", "0.0.0.0"}, {"--tls-min-version", "", "VersionTLS12"}, {"--tls-cipher-suites", "", ""},
		{"--authentication-skip-lookup", "", "false"},
	})
	if _, ok := s.given["--config"]; !ok {
		s.one(setting{"--profiling", "", "true"})
		return
	}
	s.unknown("--profiling", s.unread)
	if v, ok := s.given["enableProfiling"]; ok {
		s.put("--profiling", v, "enableProfiling: "+v+" in "+s.given["configuration"])
	} else if s.unread == "" && s.given["configuration"] != "" {
		s.put("--profiling", "true", "enableProfiling is not set in "+s.given["configuration"]+": the default is true")
	}
}
