package nodeconf

import (
	"cmp"
	"context"
	"encoding/json"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/seawall-security/seawall/internal/inventory"
	"github.com/seawall-security/seawall/internal/seawall"
)

const (
	componentKind = "kubernetes/"
	// staticKind marks what a static pod says until Join knows whether it runs.
	staticKind = "kubernetes/static-pod/"
	// rawKind is a file that source/live read.
	rawKind = "kubernetes/raw"
)

// Join implements inventory.Joiner: command lines of running components go before
// what static pods say, flags before configuration files.
func (Collector) Join(_ context.Context, m *inventory.Merged) error {
	j := joiner{merged: m, running: map[string]bool{}}
	j.raw()
	j.processes()
	j.staticPods()
	j.kubelet()
	j.k3s()
	j.etcd()
	j.configured("kube-proxy", "KubeProxyConfiguration")
	j.configured("kube-scheduler", "KubeSchedulerConfiguration")
	j.version()
	return nil
}

type joiner struct {
	merged  *inventory.Merged
	running map[string]bool
}

func (j *joiner) add(kind, path string, data map[string]string) *seawall.ConfigFact {
	j.merged.Configs = append(j.merged.Configs, seawall.ConfigFact{Kind: kind, Path: path, Data: data})
	return &j.merged.Configs[len(j.merged.Configs)-1]
}

// facts returns the facts of a kind; they may be changed.
func (j *joiner) facts(kind string) []*seawall.ConfigFact {
	var out []*seawall.ConfigFact
	for i := range j.merged.Configs {
		if j.merged.Configs[i].Kind == kind {
			out = append(out, &j.merged.Configs[i])
		}
	}
	return out
}

// raw reads the texts that a running host has in places no walk enters.
func (j *joiner) raw() {
	for _, c := range j.facts(rawKind) {
		facts, err := documents(c.Path, []byte(c.Data["text"]))
		if err != nil {
			j.merged.Warn(c.Path + ": " + err.Error())
		}
		for _, f := range facts {
			j.add(f.Config.Kind, c.Path, f.Config.Data)
		}
	}
	j.merged.Configs = slices.DeleteFunc(j.merged.Configs, func(c seawall.ConfigFact) bool { return c.Kind == rawKind })
}

// processes turns command lines into settings. A component that runs several
// times (nodes of kind on one host) is several facts.
func (j *joiner) processes() {
	for _, p := range j.facts("host/process") {
		args := strings.Split(strings.TrimRight(p.Data["args"], "\x00"), "\x00")
		component, _ := command(args[:min(len(args), 2)]) // the program, or hyperkube and its first word
		if component == "" {
			continue
		}
		_, flags := command(args)
		if component == "dockerd" {
			j.docker(flags)
			continue
		}
		j.running[component] = true
		j.add(componentKind+component, p.Path, flags)
	}
}

// staticPods keeps those of components that were not seen running.
func (j *joiner) staticPods() {
	kept := j.merged.Configs[:0]
	for _, c := range j.merged.Configs {
		if component, ok := strings.CutPrefix(c.Kind, staticKind); ok {
			if j.running[component] {
				j.versionOf(component, c.Data["version"])
				continue
			}
			c.Kind, c.Data = componentKind+component, maps.Clone(c.Data) // shared with a cache
		}
		kept = append(kept, c)
	}
	j.merged.Configs = kept
}

// versionOf notes the version the image's tag gives for a component seen running.
func (j *joiner) versionOf(component, version string) {
	for _, c := range j.facts(componentKind + component) {
		if version != "" && c.Data["version"] == "" {
			c.Data["version"] = version
		}
	}
}

// document finds the configuration a flag names.
func (j *joiner) document(kind, file string) (map[string]string, bool) {
	for _, c := range j.facts("kubernetes/config/" + kind) {
		if c.Path == strings.TrimPrefix(path.Clean(file), "/") {
			return flatJSON(c.Data["json"]), true
		}
	}
	return nil, false
}

func flatJSON(text string) map[string]string {
	out := map[string]string{}
	var doc map[string]any
	if json.Unmarshal([]byte(text), &doc) == nil {
		delete(doc, "apiVersion")
		delete(doc, "kind")
		flatten(out, "", doc)
	}
	return out
}

// apply adds a configuration to settings where they have no such value yet.
func apply(settings, configuration map[string]string) {
	for key, value := range configuration {
		if _, set := settings[key]; !set {
			settings[key] = value
		}
	}
}

// kubeletFiles are where installers put the kubelet's configuration, for a file
// system nothing runs on.
var kubeletFiles = [...]string{
	"var/lib/kubelet/config.yaml", "etc/kubernetes/kubelet/config.json", "etc/kubernetes/kubelet/kubelet-config.json",
	"home/kubernetes/kubelet-config.yaml", "etc/kubernetes/kubelet/kubelet-config.yaml", "var/lib/kubelet/kubelet-config.yaml",
	"etc/kubernetes/kubelet-config.yaml", "etc/kubernetes/kubelet.yaml",
}

// kubelet adds the configuration file and its drop-in directory to the flags.
func (j *joiner) kubelet() {
	const kind = "KubeletConfiguration"
	if len(j.facts(componentKind+"kubelet")) == 0 {
		for _, file := range kubeletFiles {
			if data, ok := j.document(kind, file); ok {
				data["configuration"] = "/" + file
				j.add(componentKind+"kubelet", file, data)
				return
			}
		}
		return
	}
	for _, k := range j.facts(componentKind + "kubelet") {
		// Drop-ins come after the file, the last by name first here.
		if dir := k.Data["--config-dir"]; dir != "" {
			for _, d := range j.dropIns(kind, dir) {
				apply(k.Data, flatJSON(d.Data["json"]))
			}
			k.Data["configuration"] = dir
		}
		j.file(k, kind)
	}
}

// file adds the configuration that --config names.
func (j *joiner) file(c *seawall.ConfigFact, kind string) {
	file := c.Data["--config"]
	if file == "" {
		return
	}
	c.Data["configuration"] = file
	data, ok := j.document(kind, file)
	if !ok {
		c.Data["unread"] = file + " was not read"
		return
	}
	apply(c.Data, data)
}

func (j *joiner) dropIns(kind, dir string) []*seawall.ConfigFact {
	dir = strings.TrimPrefix(path.Clean(dir), "/")
	all := slices.DeleteFunc(j.facts("kubernetes/config/"+kind), func(c *seawall.ConfigFact) bool { return path.Dir(c.Path) != dir })
	slices.SortFunc(all, func(a, b *seawall.ConfigFact) int { return cmp.Compare(b.Path, a.Path) })
	return all
}

// configured adds the configuration file of a component that has one; kubeadm's
// kube-proxy has it in a config map, found among the kubelet's volumes.
func (j *joiner) configured(component, kind string) {
	for _, c := range j.facts(componentKind + component) {
		if j.file(c, kind); c.Data["unread"] == "" {
			continue
		}
		for _, found := range j.facts("kubernetes/config/" + kind) {
			if within(found.Path, "var/lib/kubelet/pods/") {
				delete(c.Data, "unread")
				apply(c.Data, flatJSON(found.Data["json"]))
			}
		}
	}
}

// etcd adds etcd's configuration file (RKE2, and K3s where it runs etcd inside):
// its keys are the flags, those of the TLS sections without their section.
func (j *joiner) etcd() {
	files := j.facts("etcd/config")
	for _, c := range j.facts(componentKind + "etcd") {
		file := c.Data["--config-file"]
		if file == "" {
			continue
		}
		c.Data["configuration"] = file
		c.Data["unread"] = file + " was not read"
		for _, f := range files {
			if f.Path == strings.TrimPrefix(path.Clean(file), "/") {
				delete(c.Data, "unread")
				apply(c.Data, etcdFlags(f.Data))
			}
		}
	}
	if len(j.facts(componentKind+"etcd")) == 0 {
		for _, f := range files {
			flags := etcdFlags(f.Data)
			flags["configuration"] = "/" + f.Path
			j.add(componentKind+"etcd", f.Path, flags)
		}
	}
}

func etcdFlags(data map[string]string) map[string]string {
	flags := make(map[string]string, len(data))
	for key, value := range data {
		switch section, name, nested := strings.Cut(key, "."); {
		case !nested:
			flags["--"+key] = value
		case section == "client-transport-security":
			flags["--"+name] = value
		case section == "peer-transport-security":
			flags["--peer-"+name] = value
		}
	}
	return flags
}

// docker gives dockerd's flags the names they have in daemon.json.
func (j *joiner) docker(flags map[string]string) {
	var daemon *seawall.ConfigFact
	if found := j.facts("docker/daemon"); len(found) > 0 {
		daemon = found[0]
		daemon.Data = maps.Clone(daemon.Data) // shared with a cache
	} else {
		daemon = j.add("docker/daemon", "", map[string]string{})
	}
	for flag, value := range flags {
		name := strings.TrimPrefix(flag, "--")
		if long, ok := dockerName(name); ok {
			name = long
		}
		daemon.Data[name] = value
	}
	daemon.Data["running"] = "true"
}

// dockerName is what a flag that may be repeated, or a short one, is called in daemon.json.
func dockerName(flag string) (string, bool) {
	switch flag {
	case "H", "host":
		return "hosts", true
	case "D":
		return "debug", true
	case "G":
		return "group", true
	case "l":
		return "log-level", true
	case "insecure-registry":
		return "insecure-registries", true
	case "authorization-plugin", "storage-opt", "log-opt", "exec-opt", "default-ulimit":
		return flag + "s", true
	}
	return "", false
}
